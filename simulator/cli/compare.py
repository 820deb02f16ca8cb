"""What shall I buy? The command compare: options side by side, how sure the best one is, and where the choice flips."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.flags import OutputFlags, ScenarioFlags
from simulator.errors import NoEffectWarning, OldPriceWarning, SimulatorError

if TYPE_CHECKING:
    from simulator.report import Page
    from simulator.scenarios import Scenario
    from simulator.scenarios.solving import Solved

__all__ = ["compare"]

NO_CHOICE, NO_OUTPUT = ScenarioFlags(), OutputFlags()


def compare(
    scenario: str, /, *, choice: ScenarioFlags = NO_CHOICE, output: OutputFlags = NO_OUTPUT, figures: bool = False,
    report: Path | None = None,
) -> None:  # fmt: skip
    """Which option is the best, by how much, how sure is that, and where would it flip?

    Parameters
    ----------
    scenario
        A scenario file with [[option]], or the name of a shipped one.
    figures
        Draw the figure into the folder of --out too.
    report
        Write one HTML page to mail and print: the options, figures, prices, assumptions and their sources.
    """
    import numpy as np

    from simulator.cli.compare_answer import compare_keys, compare_tables, print_compare
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.scenarios.comparing import compared

    if choice.option is not None:
        raise SimulatorError("--option does not belong to compare: it compares all of them")
    with collected_warnings() as caught, request_errors():
        options = choice.load_options(scenario)
        if not options:
            raise SimulatorError(f"{scenario}: option: is missing: compare lays [[option]] tables over the scenario")
        first = options[0]
        title, seed, section = first.sections.title or first.name, first.sections.seed, first.sections.compare
        inputs = [[one.tree for one in options], choice.workload]
        out = Output.prepared("compare", output, title=title, seed=seed, inputs=inputs, figures=figures, report=report)
        learners = section.learners if section is not None else ()
        with request_errors(first.name):
            rows, said = [], []
            for one in options:
                with collected_warnings() as own_warnings:
                    rows.append(_solved(one, choice.workload, learners))
                said.append((str(one.option), own_warnings))
            _warn(said)
            answer = compared(
                [(one, row.case, row.answer) for one, row in zip(options, rows, strict=True)],
                section.crossovers if section is not None else (),
                learners,
                np.random.default_rng(seed),
            )
    own = compare_keys(answer, rows)
    tables = compare_tables(answer, own)

    def page(found: Mapping[str, Any]) -> Page:
        from simulator.cli.report_pages import compare_page

        return compare_page(found, answer, rows, tables, [scenario], choice.given())

    out.emit(own, caught, scenario=first, text=lambda: print_compare(title, answer, rows), tables=tables, page=page)


def _warn(said: list[tuple[str, list[warnings.WarningMessage]]]) -> None:
    """Give the warnings of the options, each text once: of all options, of a price, or with the names of the options.

    That a key has no effect is said where that is so in all of them: most options are there to make some key idle.
    """
    found: dict[tuple[str, type[Warning]], dict[str, None]] = {}
    for name, own in said:
        for warning in own:
            found.setdefault((str(warning.message), warning.category), {})[name] = None
    for (text, category), names in found.items():
        if len(names) == len(said) or issubclass(category, OldPriceWarning):
            warnings.warn(text, category, stacklevel=3)
        elif not issubclass(category, NoEffectWarning):
            warnings.warn(f"{', '.join(names)}: {text}", category, stacklevel=3)


def _solved(option: Scenario, workload: str | None, learners: Sequence[int]) -> Solved:
    """Return an option as `run` answers it; where it cannot have those learners, the fastest of [compare] learners it can."""
    from simulator.scenarios.solving import solved

    def best(asked: Scenario) -> Solved:
        return min(solved(asked, workload), key=lambda row: row.answer.converge_time_s)

    try:
        return best(option)
    except (SimulatorError, ValueError) as error:
        first, found = error, []
    for P in learners:
        try:
            found.append(best(option.with_value("run.learners", P)))
        except (SimulatorError, ValueError):
            continue
    if not found:
        raise SimulatorError(f"option {option.option!r}: {first}") from None
    return min(found, key=lambda row: row.answer.converge_time_s)
