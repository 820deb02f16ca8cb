"""Days under policies: every schedule a task of its own, and what they say together, day by day and over the days."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import PolicyError
from simulator.studies.allocation.jobs import Job, Policy
from simulator.studies.allocation.lower_bound import mean_completion_bound_s
from simulator.studies.allocation.online import schedule
from simulator.studies.allocation.records import Rules
from simulator.studies.allocation.static import Objective
from simulator.studies.allocation.summary import job_rows, part_columns, summary
from simulator.studies.replications import Spread

__all__ = ["MEASURE", "OnDay", "Runs", "comparison"]

MOST_PARTS = 200_000
"""Parts of one schedule that are kept; of one with more only the jobs are."""

MEASURE: Mapping[Objective, str] = {
    "mean_time": "mean_completion_s",
    "weighted_time": "weighted_completion_s",
    "makespan": "makespan_s",
    "worst_slowdown": "worst_slowdown",
}
"""The figure of a schedule that an objective looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDay:
    """Jobs of a day, with or without those whose laws are borrowed."""

    day: str
    borrowed_in: bool
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """All schedules that are asked for: each day under each policy.

    Parameters
    ----------
    days : tuple of OnDay
        The days.
    policies : tuple of str
        Names.
    policy_of : callable
        Name to policy.
    rules : Rules
        Learners, restarts, intervals, checkpoints.
    """

    days: tuple[OnDay, ...]
    policies: tuple[str, ...]
    policy_of: Callable[[str], Policy]
    rules: Rules

    def __len__(self) -> int:
        return len(self.days) * len(self.policies)

    def __call__(self, number: int, *, progress: Callable[[int, float], None] | None = None) -> dict[str, Any]:
        """Make schedule `number` (all policies of the first day, then of the next) and return what JSON can hold of it."""
        one, name = self.days[number // len(self.policies)], self.policies[number % len(self.policies)]
        try:
            found = schedule(one.jobs, self.rules, self.policy_of(name), progress=progress)
        except PolicyError as error:
            raise PolicyError(f"policy {name!r}: {error}" if not str(error).startswith("policy ") else str(error)) from None
        what = {"policy": name, "day": one.day, "borrowed_in": one.borrowed_in}
        bound_s = mean_completion_bound_s(one.jobs, self.rules.learners)
        told = dataclasses.asdict(summary(one.jobs, found, self.rules.learners))
        return {
            "summary": {**what, **told, "lower_bound_completion_s": bound_s},
            "rows": [{**what, **row} for row in job_rows(one.jobs, found, self.rules.learners)],
            "what": what,
            "parts": part_columns(one.jobs, found) if len(found.part_job) <= MOST_PARTS else None,
            "part_count": len(found.part_job),
        }


def comparison(summaries: Sequence[Mapping[str, Any]], *, objective: Objective, reference: str) -> list[dict[str, Any]]:
    """Compare policies over the days: means with 90 % intervals, and each day's ratio to the same day under `reference`.

    Parameters
    ----------
    summaries : sequence of mapping
        The `summary` of each schedule.
    objective : str
        Which figure the ratio is of.
    reference : str
        The policy that others are measured against.

    Returns
    -------
    list of dict
        For each policy, with and without borrowed jobs: figures as {mean, lo, hi}, the geometric mean over the days and its
        90 % interval (Student's t of the logarithms; None of one day); the ratio likewise, paired day by day.
    """
    rows = []
    measure = MEASURE[objective]
    for borrowed_in in sorted({one["borrowed_in"] for one in summaries}, reverse=True):
        by_day = {(one["policy"], one["day"]): one for one in summaries if one["borrowed_in"] == borrowed_in}
        for policy in dict.fromkeys(name for name, _ in by_day):
            own = [(day, one) for (name, day), one in by_day.items() if name == policy]
            rows.append(
                {
                    "policy": policy,
                    "borrowed_in": borrowed_in,
                    "days": len(own),
                    **{name: _geometric([one[name] for _, one in own]) for name in COMPARED},
                    "ratio": _geometric([one[measure] / by_day[reference, day][measure] for day, one in own]),
                    "over_lower_bound": _geometric(
                        [one["mean_completion_s"] / one["lower_bound_completion_s"] for _, one in own]
                    ),
                }
            )
    return rows


COMPARED = (
    "mean_completion_s", "weighted_completion_s", "median_completion_s", "p99_completion_s", "mean_slowdown", "worst_slowdown",
    "makespan_s", "utilisation",
)  # fmt: skip


def _geometric(values: Sequence[float]) -> dict[str, float | None]:
    """Return the geometric mean and the 90 % interval of it."""
    spread = Spread.of(np.log(values))
    ends = [None if end is None else float(np.exp(end)) for end in (spread.lo, spread.hi)]
    return {"mean": float(np.exp(spread.mean)), "lo": ends[0], "hi": ends[1]}
