"""What shall I buy? The command design: how many of which nodes, which network, which mini-batch, and how sure is that?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.flags import OutputFlags, ScenarioFlags
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    import warnings

    from simulator.cli.output import Output
    from simulator.report import Page
    from simulator.scenarios.resolve import Scenario

__all__ = ["design"]

NO_CHOICE, NO_OUTPUT = ScenarioFlags(), OutputFlags()


def design(
    scenario: str,
    /,
    *,
    budget: str | None = None,
    deadline: str | None = None,
    why_not: str | None = None,
    choice: ScenarioFlags = NO_CHOICE,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
    report: Path | None = None,
) -> None:
    """What shall I buy for this budget, or for this deadline, and how sure is that?

    Parameters
    ----------
    scenario
        A scenario file with [design], or the name of a shipped one: a catalogue with prices, or [design.continuous].
    budget
        Dollars instead of the file's budget_usd: 5e6, or "5e6 USD".
    deadline
        Time instead of the file's deadline_s: seconds, or "3 day".
    why_not
        A node, network, switch, topology or oversubscription ("4:1") of the catalogue: why was it not chosen?
    figures
        Draw the figures into the folder of --out too.
    report
        Write one HTML page to mail and print: what to buy, figures, bill, assumptions and the source of every price.
    """
    import numpy as np

    from simulator.cli.design_answer import design_keys, design_tables
    from simulator.cli.design_text import print_design
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.scenarios.designing import design_answer, warn_about_design

    limits = {"budget_usd": _limit("budget_usd", budget), "deadline_s": _limit("deadline_s", deadline)}
    if choice.workload is not None:
        raise SimulatorError("--workload does not belong to design: all workloads of the file share the cluster")
    with collected_warnings() as caught, request_errors():
        loaded = choice.load(scenario)
        title, seed = loaded.sections.title or loaded.name, loaded.sections.seed
        inputs = [loaded.tree, limits, why_not]
        continuous = loaded.sections.design is not None and loaded.sections.design.continuous is not None
        for flag, given in (("--why-not", why_not), ("--report", report)):
            if continuous and given is not None:
                raise SimulatorError(f"{flag} needs a catalogue, [design.choose]: {loaded.name} has [design.continuous]")
        out = Output.prepared("design", output, title=title, seed=seed, inputs=inputs, figures=figures, report=report)
        if continuous:
            with request_errors(loaded.name):
                _continuous(loaded, title, limits, out, caught)
            return
        with request_errors(loaded.name):
            answer = design_answer(
                loaded,
                np.random.default_rng(seed),
                budget_usd=limits["budget_usd"],
                deadline_s=limits["deadline_s"],
                asked_why_not=why_not,
            )
        warn_about_design(answer)

    own, tables = design_keys(answer), design_tables(answer) if out.saves else {}

    def draw(folder: Path) -> list[Path]:
        from simulator.design_plots import draw_design

        return draw_design(folder, own, tables["batch.csv"])

    def page(found: Mapping[str, Any]) -> Page:
        from simulator.cli.report_design import design_page

        flags = {"budget": budget, "deadline": deadline, "why-not": why_not, **choice.given()}
        return design_page(found, loaded, answer, tables, [scenario], flags)

    out.emit(
        own,
        caught,
        scenario=loaded,
        text=lambda: print_design(title, answer),
        tables=tables,
        draw=draw,
        page=page,
    )


def _continuous(
    loaded: Scenario, title: str, limits: Mapping[str, float | None], out: Output, caught: list[warnings.WarningMessage]
) -> None:
    """Answer a scenario with [design.continuous]."""
    from simulator.cli.continuous_answer import continuous_keys, continuous_tables, print_continuous
    from simulator.scenarios.designing_continuous import continuous_answer, warn_about_continuous

    answer = continuous_answer(loaded, budget_usd=limits["budget_usd"], deadline_s=limits["deadline_s"])
    warn_about_continuous(loaded, answer)
    own, tables = continuous_keys(answer), continuous_tables(answer) if out.saves else {}

    def draw(folder: Path) -> list[Path]:
        from simulator.design_plots import draw_design

        return draw_design(folder, own, tables["batch.csv"])

    out.emit(own, caught, scenario=loaded, text=lambda: print_continuous(title, answer), tables=tables, draw=draw)


def _limit(key: str, text: str | None) -> float | None:
    """Return a limit of a flag in the unit of its key; SimulatorError where it is none, or not above 0."""
    if text is None:
        return None
    from simulator.loading import quantity

    flag = f"--{key.split('_')[0]}"
    try:
        number: str | float = float(text)
    except ValueError:
        number = text
    try:
        value = float(quantity(key, number))
    except ValueError as error:
        raise SimulatorError(f"{flag} {error}") from None
    if not 0 < value < 1e18:
        raise SimulatorError(f"{flag} must be > 0, got {text}")
    return value
