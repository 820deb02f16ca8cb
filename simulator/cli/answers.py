"""Answers as JSON keys and as text: first in words and people's units, then the table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.cli.output import footnotes, print_footnotes, print_lines, print_table
from simulator.cli.words import BOUND_WORDS, aligned, number, percent, seconds
from simulator.studies.answer import law_keys

if TYPE_CHECKING:
    from simulator.scenarios import Case
    from simulator.scenarios.solving import Solved
    from simulator.studies.answer import Answer
    from simulator.studies.scaling import ScalingTable
    from simulator.time_to_converge import TimeToConverge

__all__ = [
    "optimum_keys",
    "print_explanation",
    "print_optimum",
    "print_run",
    "print_scaling",
]

MOST_CONTRIBUTIONS = 4


def optimum_keys(model: TimeToConverge, found: Answer) -> dict[str, Any]:
    """Return the JSON keys of `optimum`."""
    keys = dataclasses.asdict(found)
    for name in ("best_batch_samples", "best_converge_time_s"):
        del keys[name]
    return {**keys, "rounding": model.rounding, **law_keys(model)}


def limited_by(found: Answer, model: TimeToConverge, unit: str, memory_source: str | None = None) -> str:
    """Say in words what limits an answer."""
    if found.branch is None:
        ratio = found.converge_time_s / found.best_converge_time_s
        best = f"the best mini-batch there, {_plural(found.best_batch_samples, unit)} ({seconds(found.best_converge_time_s)})"
        if ratio < 1.0005:
            return f"the mini-batch was given, and is as fast as {best}"
        longer = f"{percent(ratio - 1.0)} longer than" if ratio < 2.0 else f"{ratio:.1f} times as long as"
        return f"the mini-batch was given, and takes {longer} {best}"
    if found.bound is None:
        return "not limited by a bound"
    words = BOUND_WORDS[found.bound]
    if found.bound == "memory":
        words += f": {number(model.max_local_samples)} {unit}s per learner"
        words += f" ({memory_source})" if memory_source else ""
    if found.bound == "knee" and hasattr(model.compute, "knee_samples"):
        words += f": {number(model.compute.knee_samples)} {unit}s per learner"
    if found.bound == "learners":
        words += f": all {number(found.learners)} are used, more would be faster"
    return f"limited by {words}"


def shares_in_words(found: Answer) -> str:
    """Say where the time goes."""
    names = {
        "compute": "compute",
        "communication": "communication",
        "waiting": "waiting",
        "cross_validation": "cross-validation",
    }
    parts = [
        f"{percent(getattr(found.shares, key))} {name}"
        for key, name in names.items()
        if getattr(found.shares, key) > 0 or key in ("compute", "communication")
    ]
    return ", ".join(parts)


def _plural(value: float, unit: str) -> str:
    return f"{number(value)} {unit}{'' if value == 1 else 's'}"


def print_run(title: str, best: Solved, rows: Sequence[Solved]) -> None:
    """Print the answer of `run`: the sentence, the facts, the table."""
    found, case = best.answer, best.case
    unit = case.sample_unit
    time = seconds(found.converge_time_s)
    between = ""
    if best.interval is not None:
        between = f", 90 % between {' and '.join(seconds(end, like=found.converge_time_s) for end in best.interval.one_run)}"
    estimated = " (compute time estimated, not measured)" if case.estimated is not None else ""
    lines = [
        title,
        "",
        f"{time}{between}{estimated}; {limited_by(found, case.model, unit, case.memory_source)}; {shares_in_words(found)}",
        "",
    ]
    low, high = found.flat_range_samples
    facts = [
        ("batch (all learners)", f"{_plural(found.batch_samples, unit)}, {number(found.local_samples)} per learner"),
        ("within 5 % of the best", f"{number(low)} to {_plural(high, unit)}"),
        ("learners", f"{number(found.learners)}{_on_nodes(case, found.learners)}"),
        ("updates to converge", f"{number(found.updates)} of {seconds(found.update_time_s)}"),
        ("of an update", f"computing {seconds(found.compute_time_s)}, reducing {seconds(found.reduce_time_s)}"),
        *_law_facts(case.model, unit),
        ("bottleneck", found.bottleneck.replace("_", " ")),
    ]
    if best.cost_usd is not None:
        per_second = best.cost_usd / found.converge_time_s
        ends = [f"{end * per_second:,.2f}" for end in best.interval.one_run] if best.interval is not None else []
        facts.append(("cost", f"{best.cost_usd:,.2f} USD" + (f", 90 % between {' and '.join(ends)}" if ends else "")))
    if best.interval is not None:
        mean = " to ".join(seconds(end, like=found.converge_time_s) for end in best.interval.mean)
        facts.append(("mean over runs, 90 %", mean))
        most = list(best.interval.contributions.items())[:MOST_CONTRIBUTIONS]
        facts.append(("what widens it most", ", ".join(f"{name} {percent(width)}" for name, width in most)))
    lines += aligned(facts)
    print_lines([*lines, ""])
    print_table([_run_row(row) for row in rows], right=_RUN_COLUMNS)


_RUN_COLUMNS = ("learners", "batch_samples", "local_samples", "updates", "update", "time", "communication", "cost_usd")


def _run_row(row: Solved) -> dict[str, str]:
    found = row.answer
    cells = {
        "learners": number(found.learners),
        "batch_samples": number(found.batch_samples),
        "local_samples": number(found.local_samples),
        "updates": number(found.updates),
        "update": seconds(found.update_time_s),
        "time": seconds(found.converge_time_s),
        "communication": percent(found.shares.communication),
        "bound": BOUND_WORDS[found.bound] if found.bound else "-",
    }
    if row.cost_usd is not None:
        cells["cost_usd"] = f"{row.cost_usd:,.2f}"
    return cells


def _on_nodes(case: Case, learners: float) -> str:
    nodes = case.nodes(learners)
    return f" on {nodes} node{'' if nodes == 1 else 's'}" if nodes is not None else ""


def _law_facts(model: TimeToConverge, unit: str) -> list[tuple[str, str]]:
    keys = law_keys(model)
    if keys["n_inf_updates"] is None:
        return []
    words = f"fewest updates {number(keys['n_inf_updates'])}, fewest samples {keys['alpha_samples']:.4g}"
    if keys["critical_batch_samples"] is not None:
        words += f", critical batch {_plural(round(keys['critical_batch_samples']), unit)}"
    return [("N_inf, alpha", words)]


def print_optimum(title: str, model: TimeToConverge, found: Answer) -> None:
    """Print the answer of `optimum`."""
    low, high = found.flat_range_samples
    lines = [title, ""] if title else []
    lines += [
        f"{seconds(found.converge_time_s)} at batch (all learners) {number(found.batch_samples)} on "
        f"{_plural(found.learners, 'learner')}; {limited_by(found, model, 'sample')}; {shares_in_words(found)}",
        "",
    ]
    facts = [
        ("batch (all learners)", f"{found.batch_samples:.8g} samples, {found.local_samples:.6g} per learner"),
        ("within 5 % of the best", f"{number(low)} to {number(high)} samples"),
        ("updates to converge", f"{found.updates:.8g} of {seconds(found.update_time_s)}"),
        ("of an update", f"computing {seconds(found.compute_time_s)}, reducing {seconds(found.reduce_time_s)}"),
        *_law_facts(model, "sample"),
        ("branch", f"{found.branch}" + (f", bound {found.bound}" if found.bound else "")),
    ]
    print_lines(lines + aligned(facts))


def print_scaling(table: ScalingTable, title: str) -> None:
    """Print the three scalings: the thresholds in words, then one row for each number of learners."""
    lines = [title, ""] if title else []
    weak, strong = table.optimal_is_weak_from_learners, table.strong_stops_at_learners
    lines += aligned(
        [
            ("optimal is weak scaling", f"from {number(weak)} learners on" if weak else "nowhere in this range"),
            (
                "strong scaling stops",
                f"at {number(strong)} learners" if strong else "nowhere in this range",
            ),
            ("held constant", f"strong: batch (all learners) {number(table.strong_batch_samples)}; weak: "
             f"{number(table.weak_local_samples)} per learner"),
        ]
    )  # fmt: skip
    print_lines([*lines, ""])
    cells: dict[int, dict[str, str]] = {}
    for row in table.rows:
        line = cells.setdefault(row.learners, {"learners": number(row.learners)})
        if row.scaling == "optimal":
            line["best batch (all learners)"] = number(row.batch_samples)
        line[row.scaling] = seconds(row.converge_time_s) if row.converge_time_s is not None else "-"
        if row.scaling == "optimal":
            line["speed-up"] = number(row.speedup)
            line["efficiency"] = percent(row.efficiency) if row.efficiency is not None else "-"
    print_table(list(cells.values()), right=tuple(next(iter(cells.values()))))


def print_explanation(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print where every number comes from; sources are numbered and listed below the table."""
    sources = footnotes(row["source"] for row in rows if row["source"] != "default")
    marks = {True: "yes", False: "NO", None: "-"}
    cells = []
    for row in rows:
        value = row["value"]
        shown = f"{value:.10g}" if isinstance(value, float) else "-" if value is None else str(value)
        if row["low"] is not None and row["high"] is not None:
            shown += f" ({row['low']:.4g} to {row['high']:.4g})"
        cells.append(
            {
                "key": row["key"],
                "value": shown,
                "unit": row["unit"] or "",
                "checked": marks[row["verified"]],
                "source": sources.get(row["source"], row["source"] or ""),
                "equation": row["equation"] or "",
            }
        )
    print_lines([title, ""])
    print_table(cells, width=150)
    print_footnotes(sources)
