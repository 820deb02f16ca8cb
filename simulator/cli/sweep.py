"""How long for every combination? The command sweep."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from simulator.cli.flags import OutputFlags, ScenarioFlags, WorkerFlags
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulator.scenarios.sweeps import Sweep, SweepBy

__all__ = ["sweep"]

NO_CHOICE, NO_OUTPUT, NO_WORKERS = ScenarioFlags(), OutputFlags(), WorkerFlags()
MOST_ALIKE = 3
"""Warnings of one class that are told in full."""
MOST_LINES = 40
"""Combinations that the text lists, fastest first; all of them are in the JSON object and in sweep.csv."""


def sweep(
    scenario: str,
    /,
    *,
    by: Literal["closed_form", "simulation"] | None = None,
    choice: ScenarioFlags = NO_CHOICE,
    workers: WorkerFlags = NO_WORKERS,
    output: OutputFlags = NO_OUTPUT,
) -> None:
    """How long for every combination of the values in [sweep]?

    Parameters
    ----------
    scenario
        A scenario file, or the name of a shipped one (see: learnersim scenarios).
    by
        closed_form: as run answers; simulation: as simulate does, which is the default where the scenario has a [simulate].
    """
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.cli.progress import shown_progress
    from simulator.scenarios.sweeps import Sweep
    from simulator.tasks import run_locally

    processes = workers.number()
    with collected_warnings() as caught, request_errors():
        loaded = choice.load(scenario)
        title = loaded.sections.title or loaded.name
        title = f"{title} [{loaded.option}]" if loaded.option else title
        kind: SweepBy = by or ("simulation" if loaded.sections.simulate is not None else "closed_form")
        task = Sweep(scenario=loaded, by=kind, workload=choice.workload)
        inputs = [loaded.written, loaded.resolved(), kind, choice.workload]
        out = Output.prepared("sweep", output, title=title, seed=loaded.sections.seed, inputs=inputs)
        results = []
        with out.journal() as journal, shown_progress("combinations", len(task)) as told:
            for result in run_locally(task.row, len(task), workers=processes, journal=journal):
                results.append(result)
                told(len(results))
            if journal is not None:
                journal.settle(len(results))
        _warn(results)
    answered = [result for result in results if result["answer"] is not None]
    if not answered:
        raise SimulatorError(f"{loaded.name}: no combination has an answer; the first: {results[0]['fault']}")
    keys = list(answered[0]["answer"])
    rows = [{**result["values"], **(result["answer"] or dict.fromkeys(keys)), "fault": result["fault"]} for result in results]
    best = min(answered, key=lambda result: result["answer"]["converge_time_s"])
    own = {
        "by": kind,
        "keys": list(task.axes),
        "combinations": len(rows),
        "fastest": {**best["values"], **best["answer"]},
        "rows": rows,
    }
    out.emit(
        own,
        caught,
        scenario=loaded,
        text=lambda: _print(title, task, results, best),
        tables={"sweep.csv": _aligned(rows, keys)},
    )


def _warn(results: Sequence[Mapping[str, Any]]) -> None:
    """Say each warning of the combinations once, and of how many it is; and how many have no answer."""
    from simulator import errors

    counted = Counter((name, text) for result in results for name, text in result["warnings"])
    told: Counter[str] = Counter()
    for (name, text), count in counted.items():
        told[name] += 1
        of = f" ({count:,} of {len(results):,} combinations)" if count < len(results) else ""
        if told[name] <= MOST_ALIKE:
            warnings.warn(text + of, getattr(errors, name), stacklevel=2)
    for name, count in told.items():
        if count > MOST_ALIKE:
            more = f"{count - MOST_ALIKE:,} more warnings of this kind, which differ in their numbers"
            warnings.warn(more, getattr(errors, name), stacklevel=2)
    refused = [result for result in results if result["fault"] is not None]
    if refused:
        warnings.warn(
            f"{len(refused):,} of {len(results):,} combinations have no answer; the first, {_said(refused[0]['values'])}: "
            f"{refused[0]['fault']}",
            errors.InfeasibleWarning,
            stacklevel=2,
        )


def _said(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in values.items())


def _aligned(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Give rows without an answer the columns of the others: a table, or a pair, is spread over several."""
    model = next(row for row in rows if row["fault"] is None)
    empty = {
        key: dict.fromkeys(model[key])
        if isinstance(model[key], dict)
        else [None, None]
        if isinstance(model[key], list)
        else None
        for key in keys
    }
    return [dict(row) if row["fault"] is None else {**row, **empty} for row in rows]


def _print(title: str, task: Sweep, results: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> None:
    from simulator.cli.output import print_lines, print_table
    from simulator.cli.words import number, percent, seconds

    ordered = sorted(
        (result for result in results if result["answer"] is not None), key=lambda result: result["answer"]["converge_time_s"]
    )
    slowest = ordered[-1]["answer"]["converge_time_s"]
    lines = [
        title,
        "",
        f"{seconds(best['answer']['converge_time_s'])} at best, with {_said(best['values'])}; {seconds(slowest)} at worst; "
        f"{number(len(results))} combinations by {'simulation' if task.by == 'simulation' else 'the closed form'}",
        "",
    ]
    if len(ordered) > MOST_LINES:
        lines += [f"the {MOST_LINES} fastest of {number(len(ordered))}", ""]
    print_lines(lines)
    simulated = task.by == "simulation"
    print_table(
        [
            {
                **{key: str(value) for key, value in result["values"].items()},
                "learners": number(result["answer"]["learners"]),
                "batch_samples": number(result["answer"]["batch_samples"]),
                "time": seconds(result["answer"]["converge_time_s"]),
                **({"closed form": seconds(result["answer"]["closed_form_s"])} if simulated else {}),
                **{
                    name: percent(result["answer"]["shares"][name])
                    for name in ("compute", "communication", *(("waiting", "lost") if simulated else ()))
                },
            }
            for result in ordered[:MOST_LINES]
        ],
        right=("learners", "batch_samples", "time", "closed form", "compute", "communication", "waiting", "lost"),
    )
