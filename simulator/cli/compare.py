"""What shall I buy? The command compare: options side by side, how sure the best one is, and where the choice flips."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.cli.flags import OutputFlags, ScenarioFlags
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.scenarios import Case, Scenario
    from simulator.studies.answer import Answer

__all__ = ["compare"]

NO_CHOICE, NO_OUTPUT = ScenarioFlags(), OutputFlags()


def compare(
    scenario: str, /, *, choice: ScenarioFlags = NO_CHOICE, output: OutputFlags = NO_OUTPUT, figures: bool = False
) -> None:
    """Which option is the best, by how much, how sure is that, and where would it flip?

    Parameters
    ----------
    scenario
        A scenario file with [[option]], or the name of a shipped one.
    figures
        Draw the figure into the folder of --out too.
    """
    import numpy as np

    from simulator.cli.compare_answer import compare_keys, print_compare
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.scenarios.comparing import compared

    if choice.option is not None:
        raise SimulatorError("--option does not belong to compare: it compares all of them")
    with collected_warnings() as caught, request_errors():
        loaded = choice.load(scenario)
        title, seed = loaded.sections.title or loaded.name, loaded.sections.seed
        out = Output.prepared("compare", output, title=title, seed=seed, inputs=loaded.tree, figures=figures)
        names = [str(item["name"]) for item in loaded.sections.option]
        if not names:
            raise SimulatorError(f"{loaded.name}: option: is missing: compare lays [[option]] tables over the scenario")
        section = loaded.sections.compare
        learners = section.learners if section is not None else ()
        rows, said = [], []
        for name in names:
            with collected_warnings() as own_warnings:
                rows.append((name, *_answered(scenario, name, choice, learners)))
            said.append((name, own_warnings))
        _warn(said)
        with request_errors(loaded.name):
            answer = compared(rows, section.crossovers if section is not None else (), learners, np.random.default_rng(seed))
    own = compare_keys(answer)

    def draw(folder: Path) -> list[Path]:
        from simulator.design_plots import draw_compare

        return draw_compare(folder, own)

    tables = {"rows.csv": own["rows"], **({"learners.csv": own["by_learners"]} if own["by_learners"] else {})}
    if own["crossovers"]:
        tables["crossovers.csv"] = own["crossovers"]
    out.emit(own, caught, scenario=loaded, text=lambda: print_compare(title, answer), tables=tables, draw=draw)


def _warn(said: list[tuple[str, list[warnings.WarningMessage]]]) -> None:
    """Give the warnings of the options: what all say once, the others with the name of the option."""
    texts = [{str(warning.message) for warning in own} for _, own in said]
    for name, own in said:
        for warning in own:
            text = str(warning.message)
            everywhere = all(text in others for others in texts)
            warnings.warn(text if everywhere else f"{name}: {text}", warning.category, stacklevel=3)


def _answered(scenario: str, name: str, choice: ScenarioFlags, learners: tuple[int, ...]) -> tuple[Scenario, Case, Answer]:
    """Return an option as `run` answers it; where it refuses all learners, the fastest of the numbers listed that it takes."""
    import dataclasses

    one = dataclasses.replace(choice, option=name)
    try:
        return _solved(one.load(scenario), choice.workload)
    except (SimulatorError, ValueError) as error:
        found, first = [], error
    for P in learners:
        try:
            found.append(_solved(one.load(scenario, {"learners": P}), choice.workload))
        except (SimulatorError, ValueError):
            continue
    if not found:
        raise SimulatorError(f"option {name!r}: {first}") from None
    return min(found, key=lambda row: row[2].converge_time_s)


def _solved(loaded: Scenario, workload: str | None) -> tuple[Scenario, Case, Answer]:
    from simulator.cli.answers import solved

    best = min(solved(loaded, workload), key=lambda row: row.answer.converge_time_s)
    return loaded, best.case, best.answer
