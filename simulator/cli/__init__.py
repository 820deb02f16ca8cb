"""The command line: thin commands that load, call one library function, and print or save.

Exit status: 0 an answer (also with warnings), 1 an error of the user's files or request, 2 a usage error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group, Parameter

from simulator.cli.allocate import allocate
from simulator.cli.bom import bom
from simulator.cli.compare import compare
from simulator.cli.design import design
from simulator.cli.fit import updates as fit_updates
from simulator.cli.fit_reduce import reduce as fit_reduce
from simulator.cli.fit_step_time import step_time as fit_step_time
from simulator.cli.how_long import explain, optimum, plot, run, scale
from simulator.cli.measure import measure
from simulator.cli.network import network
from simulator.cli.shelves import profiles, scenarios, show
from simulator.cli.simulate import simulate
from simulator.cli.start import start
from simulator.cli.sweep import sweep
from simulator.cli.validate import validate
from simulator.cli.version import version
from simulator.errors import SimulatorError
from simulator.messages import printable

__all__ = ["app", "main"]

HOW_LONG = Group("How long?", sort_key=1)
FILES = Group("What is there?", sort_key=7)
GROUPS = {
    "network": Group("How fast is this network?", sort_key=2),
    "buy": Group("What shall I buy?", sort_key=3),
    "share": Group("Who gets how many?", sort_key=4),
    "true": Group("Is it true?", sort_key=5),
    "measure": Group("Measure mine", sort_key=6),
    "how_long": HOW_LONG,
}

app = App(
    name="learnersim",
    help="How long does data-parallel SGD take to converge, on which cluster, with which mini-batch, for how much money?",
    version=version,
    help_format="plaintext",  # no markup in the docstrings, and no markdown parser to load
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,  # status says that it was interrupted
)
for command in (run, optimum, scale, simulate, sweep, explain, plot):
    app.command(command, group=HOW_LONG)
app.command(network, group=GROUPS["network"])
app.command(bom, group=GROUPS["buy"])
app.command(design, group=GROUPS["buy"])
app.command(compare, group=GROUPS["buy"])
app.command(start, group=GROUPS["buy"])
app.command(allocate, group=GROUPS["share"])
fits = App(name="fit", help="Fit a law to measurements.", group=GROUPS["measure"], help_format="plaintext")
fits.command(fit_updates, name="updates")
fits.command(fit_reduce, name="reduce")
fits.command(fit_step_time, name="step-time")
app.command(fits)
app.command(measure, group=GROUPS["measure"])
app.command(validate, group=GROUPS["true"])
shelf = App(name="scenarios", help="List the shipped scenarios, or show one.", group=FILES)
shelf.default(scenarios)
shelf.command(show)
app.command(shelf)
app.command(profiles, group=FILES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    sys.exit(status(sys.argv[1:] if arguments is None else arguments))


def status(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status; errors become messages on stderr."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _say(f"learnersim: {' '.join(str(error).split())}\nTry 'learnersim --help'.")
        return 2
    except SimulatorError as error:
        _say(str(error))
        return 1
    except BrokenPipeError:  # the reader of our output has gone: nothing left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as error:
        _say("; ".join(["learnersim: interrupted", *getattr(error, "__notes__", ())]))
        return 130
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
