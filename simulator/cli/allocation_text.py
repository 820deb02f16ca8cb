"""The answer of allocate as text: what the jobs get, how long they take, policies side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.cli.output import print_lines, print_table
from simulator.cli.words import aligned, number, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simulator.scenarios.allocations import DataCentre

__all__ = ["print_allocation"]

MOST_LINES = 20
"""Jobs that the text lists; all of them are in the JSON object and in rows.csv."""
OBJECTIVES = {
    "mean_time": "the mean time to converge",
    "weighted_time": "the weighted mean time to converge",
    "makespan": "the longest time to converge",
    "worst_slowdown": "the worst slowdown",
}


def print_allocation(title: str, centre: DataCentre, own: Mapping[str, Any]) -> None:
    """Print the answer of allocate."""
    print_lines([title, ""])
    if own["static"] is not None:
        _print_static(own)
    asked = [row for row in own["summary"] if row["policy"] == own["policy"]]
    if own["comparison"] is None:
        _print_one(asked, own)
    else:
        _print_comparison(own, centre)
    jobs = [row for row in own["rows"] if row["policy"] == own["policy"] and row["borrowed_in"]]
    if len(jobs) <= MOST_LINES:
        print_lines([""])
        print_table(
            [_job(row) for row in jobs], right=("arrival", "wait", "takes", "slowdown", "learners", "batch", "restarts")
        )
    else:
        print_lines(["", f"{number(len(jobs))} jobs are too many to list: --out DIR writes a row for each, --json prints them"])
    notes = [f"Assumed: {text}." for text in own["assumptions"]]
    notes += [f"Borrowed: {name}, {what}." for name, what in own["borrowed"].items()]
    print_lines(["", *notes])


def _print_static(own: Mapping[str, Any]) -> None:
    found = own["static"]
    value = f"{found['value']:.3g}" if found["objective"] == "worst_slowdown" else seconds(found["value"])
    proof = "proved best" if found["gap"] == 0.0 else f"at most {percent(found['gap'])} above the best"
    lines = [
        f"All at the same time, held to the end: {OBJECTIVES[found['objective']]} is {value}, {proof} ({found['method']}); "
        f"{number(found['learners_used'])} of {number(own['learners'])} learners in use",
    ]
    if found["next_job"] is None:
        lines.append("No further learner would help.")
    else:
        lines.append(
            f"The next learners should go to {found['next_job']}: {number(found['next_learners'])} more would save "
            f"{seconds(found['next_gain_s_per_learner'])} each"
        )
    print_lines([*lines, ""])
    rows = [row for row in own["rows"] if row["policy"] == "static"]
    print_table(
        [
            {
                "job": row["job"],
                "workload": _workload(row),
                "learners": number(row["learners_first"]),
                "batch_samples": number(row["batch_samples_first"]),
                "takes": seconds(row["completion_s"]),
                "slowdown": f"{row['slowdown']:.2f}",
                "gain per further learner": "-"
                if row["gain_s_per_learner"] is None
                else f"{seconds(row['gain_s_per_learner'])} (of {number(row['next_learners'])})",
            }
            for row in rows[:MOST_LINES]
        ],
        right=("learners", "batch_samples", "takes", "slowdown", "gain per further learner"),
    )
    more = len(rows) - MOST_LINES
    print_lines(
        ["", *([f"and {number(more)} jobs more: --out DIR writes a row for each, --json prints them", ""] if more > 0 else [])]
    )


def _print_one(asked: Sequence[Mapping[str, Any]], own: Mapping[str, Any]) -> None:
    """Print the schedule of one policy on one day, with and without borrowed jobs."""
    for row in asked:
        without = "" if row["borrowed_in"] else "Without the borrowed jobs: "
        mean_s, bound_s = row["mean_completion_s"], row["lower_bound_completion_s"]
        lines = [
            f"{without}{own['policy']}: {number(row['jobs'])} jobs take {seconds(mean_s)} each on average, "
            f"{mean_s / bound_s:.2f} times what no policy can go below ({seconds(bound_s, like=mean_s)})",
            "",
            *aligned(_facts(row, own)),
        ]
        print_lines(lines)


def _facts(row: Mapping[str, Any], own: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("median, 99th percentile", f"{seconds(row['median_completion_s'])}, {seconds(row['p99_completion_s'])}"),
        ("until the first learners", f"{seconds(row['mean_wait_s'])} on average"),
        (
            "slowdown",
            f"{row['mean_slowdown']:.2f} on average, {row['p99_slowdown']:.2f} at the 99th percentile, "
            f"{row['worst_slowdown']:.2f} at worst",
        ),
        ("makespan", seconds(row["makespan_s"])),
        (
            "utilisation",
            f"{percent(row['utilisation'])} of {number(own['learners'])} learners; {number(row['accelerator_hours'])} hours of "
            "accelerators",
        ),
        ("restarts", number(row["restarts"])),
    ]
    if row["missed_deadlines"] is not None:
        facts.append(("deadlines missed", number(row["missed_deadlines"])))
    return facts


def _print_comparison(own: Mapping[str, Any], centre: DataCentre) -> None:
    """Print the policies side by side, over the days."""
    count = len(own["days"])
    if own["best_policy"] is not None:
        print_lines([f"Shortest by {own['objective']}: {own['best_policy']}"])
    over = f"Geometric means over {count} days" if count > 1 else f"{own['days'][0]['day']}, {number(own['jobs'])} jobs"
    interval = ", with 90 % intervals over the days" if count > 1 else ""
    print_lines(
        [f"{over} on {number(own['learners'])} learners; ratio: {own['objective']} relative to {own['policy']}{interval}", ""]
    )
    both = {row["borrowed_in"] for row in own["comparison"]} == {True, False}
    rows = []
    for row in own["comparison"]:
        rows.append(
            {
                "policy": row["policy"],
                **({"borrowed": "in" if row["borrowed_in"] else "out"} if both else {}),
                "mean completion": _spread(row["mean_completion_s"], seconds),
                "99th percentile": seconds(row["p99_completion_s"]["mean"]),
                "slowdown": f"{row['mean_slowdown']['mean']:.2f}",
                "in use": percent(row["utilisation"]["mean"]),
                "ratio": _spread(row["ratio"], lambda value, like=None: f"{value:.2f}"),
                "over bound": f"{row['over_lower_bound']['mean']:.2f}",
            }
        )
    print_table(rows, right=("mean completion", "99th percentile", "slowdown", "in use", "ratio", "over bound"))


def _spread(found: Mapping[str, Any], words: Callable[..., str]) -> str:
    """Write a mean with its interval."""
    mean = words(found["mean"])
    if found["lo"] is None:
        return mean
    low, high = (words(end, like=found["mean"]) for end in (found["lo"], found["hi"]))
    return f"{mean} ({low} to {high})"


def _workload(row: Mapping[str, Any]) -> str:
    return f"{row['workload'] or '-'}{' (borrowed)' if row['borrowed'] else ''}"


def _job(row: Mapping[str, Any]) -> dict[str, str]:
    first, last = row["learners_first"], row["learners_last"]
    M, M_last = row["batch_samples_first"], row["batch_samples_last"]
    return {
        "job": row["job"],
        "workload": _workload(row),
        "arrival": seconds(row["arrival_s"]),
        "wait": seconds(row["start_s"] - row["arrival_s"]),
        "takes": seconds(row["completion_s"]),
        "slowdown": f"{row['slowdown']:.2f}",
        "learners": number(first) if first == last else f"{number(first)} ... {number(last)}",
        "batch": number(M) if M_last == M else f"{number(M)} ... {number(M_last)}",
        "restarts": number(row["restarts"]),
    }
