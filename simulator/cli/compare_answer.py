"""A comparison as JSON keys and as text."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from simulator.cli.output import print_lines, print_table
from simulator.cli.words import aligned, figure_value, number, percent, seconds

if TYPE_CHECKING:
    from simulator.scenarios.comparing import Comparison, OptionCase
    from simulator.studies.answer import Answer

__all__ = ["compare_keys", "print_compare"]

WIDE = 140


def _row(option: OptionCase, found: Answer) -> dict[str, Any]:
    cost = option.case.cost
    total = cost.total if cost is not None else None
    return {
        "option": option.name,
        "learners": found.learners,
        "nodes": option.case.nodes(found.learners),
        "batch_samples": found.batch_samples,
        "local_samples": found.local_samples,
        "updates": found.updates,
        "update_time_s": found.update_time_s,
        "compute_time_s": found.compute_time_s,
        "reduce_time_s": found.reduce_time_s,
        "converge_time_s": found.converge_time_s,
        "flat_range_samples": found.flat_range_samples,
        "branch": found.branch,
        "bound": found.bound,
        "bottleneck": found.bottleneck,
        "shares": dataclasses.asdict(found.shares),
        "collective": _collective(option, found),
        "cluster_usd": None if total is None else float(total.usd),
        "cost_usd": option.cost_usd(found),
    }


def _collective(option: OptionCase, found: Answer) -> str | None:
    law: Any = option.case.model.reduce
    return law.time(found.learners).collective if hasattr(law, "network") and found.learners > 1 else None


def compare_keys(answer: Comparison) -> dict[str, Any]:
    """Return the JSON keys of `compare`."""
    chance = dict(zip(answer.order, answer.chances.probability_best, strict=True))
    interval = dict(zip(answer.order, answer.chances.intervals90, strict=True))
    rows = [
        {
            **_row(option, option.answer),
            "converge_time_s_mean_interval90": interval[i],
            "probability_best": chance[i],
            "slower_than_best": option.answer.converge_time_s / answer.best.answer.converge_time_s - 1.0,
        }
        for i, option in enumerate(answer.options)
    ]
    by_learners = []
    for option in answer.options:
        for P, found, reason in option.by_learners:
            nothing = dict.fromkeys(rows[0])
            known = {} if found is None else _row(option, found)
            by_learners.append({**nothing, "option": option.name, "learners": P, **known, "why_not": reason or None})
    for row in by_learners:
        for key in ("converge_time_s_mean_interval90", "probability_best", "slower_than_best"):
            row.pop(key, None)
    return {
        "best": answer.best.name,
        "rows": rows,
        "probability_best": {option.name: chance[i] for i, option in enumerate(answer.options)},
        "expected_regret": answer.chances.expected_regret,
        "expected_regret_relative": answer.chances.relative_regret,
        "by_learners": by_learners,
        "crossovers": [
            {
                "variable": one.variable,
                "option": one.option,
                "at": one.at,
                "from": one.better_below,
                "to": one.better_above,
            }
            for one in answer.crossovers
        ],
        "no_crossover": list(answer.without),
    }


def print_compare(title: str, answer: Comparison) -> None:
    """Print the best option, then all side by side, then where it flips."""
    best, sure = answer.best, answer.chances
    text = f"{best.name}: {seconds(best.answer.converge_time_s)} at mini-batch {number(best.answer.batch_samples)}"
    facts = [("best", text)]
    if len(answer.options) > 1:
        second = answer.options[answer.order[1]]
        slower = second.answer.converge_time_s / best.answer.converge_time_s - 1.0
        text = f"{second.name}: as fast" if slower < 5e-10 else f"{second.name}: {percent(slower)} slower"
        facts.append(("next", f"{text}; {best.name} is faster with probability {sure.beats[1]:.2f}"))
        regret = seconds(sure.expected_regret)
        facts.append(("how sure", f"best of all with probability {sure.probability_best[0]:.2f}; expected regret {regret}"))
    print_lines([title, "", *aligned(facts), ""])
    keys = compare_keys(answer)
    print_table(
        [_cells(row) for row in keys["rows"]],
        right=("learners", "batch_samples", "time", "cluster USD", "USD a model", "P(best)"),
        width=WIDE,
    )
    if keys["by_learners"]:
        print_lines(["", "By number of learners", ""])
        numbers = list(dict.fromkeys(row["learners"] for row in keys["by_learners"]))
        print_table(
            [
                {
                    "learners": number(P),
                    **{
                        row["option"]: "-" if row["converge_time_s"] is None
                        else f"{seconds(row['converge_time_s'])} at {number(row['batch_samples'])}"
                        for row in keys["by_learners"] if row["learners"] == P
                    },
                }
                for P in numbers
            ],
            right=("learners", *(option.name for option in answer.options)),
        )  # fmt: skip
        notes = dict.fromkeys(
            f"  {row['option']}, {number(row['learners'])}: {row['why_not']}" for row in keys["by_learners"] if row["why_not"]
        )
        if notes:
            print_lines(["", *notes])
    if answer.crossovers or answer.without:
        print_lines(["", "Where the choice flips", ""])
        lines = [
            f"  {one.variable}{f' of {one.option}' if one.option else ''}: {one.better_below} below "
            f"{_value(one.variable, one.at)}, {one.better_above} from there on"
            for one in answer.crossovers
        ]
        lines += [f"  {variable}: nowhere, up to a factor of a hundred either way" for variable in answer.without]
        print_lines(lines)


def _value(variable: str, at: float) -> str:
    if variable == "price":
        return f"{at:.4g} times what it is"
    if not math.isfinite(at):
        return "-"
    if variable in ("learners", "batch_samples"):
        return number(round(at)) if variable == "learners" else number(at)
    return figure_value(variable, float(at))


def _cells(row: dict[str, Any]) -> dict[str, str]:
    time = row["converge_time_s"]
    low, high = row["converge_time_s_mean_interval90"]
    return {
        "option": row["option"],
        "learners": number(row["learners"]),
        "batch_samples": number(row["batch_samples"]),
        "time": seconds(time),
        "90 % of the mean": f"{seconds(low, like=time)} to {seconds(high, like=time)}",
        "cluster USD": "-" if row["cluster_usd"] is None else f"{row['cluster_usd']:,.0f}",
        "USD a model": "-" if row["cost_usd"] is None else f"{row['cost_usd']:,.2f}",
        "bottleneck": row["bottleneck"].replace("_", " "),
        "P(best)": f"{row['probability_best']:.2f}",
    }
