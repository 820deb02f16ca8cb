"""What a schedule was like: completion times, slowdowns, makespan, utilisation, restarts; and the jobs one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.quantities import HOUR_S, FloatArray
from simulator.studies.allocation.jobs import Job
from simulator.studies.allocation.records import Schedule

__all__ = ["Summary", "in_use", "job_rows", "part_columns", "summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A schedule in figures. A job's completion time is from its arrival to its end; its slowdown that over its fastest alone.

    Parameters
    ----------
    jobs : int
        How many.
    mean_completion_s, median_completion_s, p99_completion_s : float
        Of the completion times; quantiles interpolated between the nearest two.
    weighted_completion_s : float
        Their mean, weighted by the jobs' weights.
    mean_wait_s : float
        Mean time from arrival to the first learners.
    mean_slowdown, p99_slowdown, worst_slowdown : float
        Ratios, >= 1.
    makespan_s : float
        From the first arrival to the last end.
    utilisation : float
        Share of all learners' time within the makespan that jobs held them, 0 to 1.
    learner_hours : float
        Hours of learners held, restarts included.
    restarts : int
        How often jobs had to start again.
    missed_deadlines : int or None
        Jobs that ended after their deadline; None where none has one.
    """

    jobs: int
    mean_completion_s: float
    median_completion_s: float
    p99_completion_s: float
    weighted_completion_s: float
    mean_wait_s: float
    mean_slowdown: float
    p99_slowdown: float
    worst_slowdown: float
    makespan_s: float
    utilisation: float
    learner_hours: float
    restarts: int
    missed_deadlines: int | None


def summary(jobs: Sequence[Job], found: Schedule, learners: int) -> Summary:
    """Summarise a schedule of `jobs` on `learners`."""
    arrival_s = np.array([job.arrival_s for job in jobs])
    completion_s = found.end_s - arrival_s
    slowdown = completion_s / np.array([job.fastest_s(learners) for job in jobs])
    makespan_s = float(found.end_s.max() - arrival_s.min())
    learner_s = float(found.learner_s.sum())
    late = [time_s > job.deadline_s for job, time_s in zip(jobs, completion_s, strict=True) if job.deadline_s is not None]
    return Summary(
        jobs=len(jobs),
        mean_completion_s=float(completion_s.mean()),
        median_completion_s=float(np.median(completion_s)),
        p99_completion_s=float(np.quantile(completion_s, 0.99)),
        weighted_completion_s=float(np.average(completion_s, weights=[job.weight for job in jobs])),
        mean_wait_s=float((found.start_s - arrival_s).mean()),
        mean_slowdown=float(slowdown.mean()),
        p99_slowdown=float(np.quantile(slowdown, 0.99)),
        worst_slowdown=float(slowdown.max()),
        makespan_s=makespan_s,
        utilisation=learner_s / (learners * makespan_s),
        learner_hours=learner_s / HOUR_S,
        restarts=int(found.restarts.sum()),
        missed_deadlines=int(sum(late)) if late else None,
    )


def job_rows(jobs: Sequence[Job], found: Schedule, learners: int) -> list[dict[str, Any]]:
    """Return a row for each job: when it arrived, started and ended, what it held, and how it fared."""
    order = np.argsort(found.part_job, kind="stable")
    first = np.searchsorted(found.part_job[order], np.arange(len(jobs) + 1))
    rows = []
    for j, job in enumerate(jobs):
        parts = order[first[j] : first[j + 1]]
        completion_s = float(found.end_s[j] - job.arrival_s)
        M = found.part_batch_samples[parts]
        rows.append(
            {
                "job": job.name,
                "workload": job.workload or None,
                "borrowed": job.borrowed,
                "arrival_s": job.arrival_s,
                "start_s": float(found.start_s[j]),
                "end_s": float(found.end_s[j]),
                "completion_s": completion_s,
                "slowdown": completion_s / job.fastest_s(learners),
                "learners_first": int(found.part_learners[parts[0]]),
                "learners_last": int(found.part_learners[parts[-1]]),
                "mean_learners": float(found.learner_s[j] / sum(found.part_to_s[parts] - found.part_from_s[parts])),
                "batch_samples_first": float(M[0]) if M[0] else None,
                "batch_samples_last": float(M[-1]) if M[-1] else None,
                "updates": float(found.part_updates[parts].sum()) if M[0] else None,
                "restarts": int(found.restarts[j]),
                "learner_hours": float(found.learner_s[j] / HOUR_S),
                "deadline_met": None if job.deadline_s is None else completion_s <= job.deadline_s,
            }
        )
    return rows


def part_columns(jobs: Sequence[Job], found: Schedule) -> dict[str, list[Any]]:
    """Return each time that a job held a number of learners, by column: from when to when, how many, at which mini-batch."""
    M = found.part_batch_samples.tolist()
    return {
        "job": [jobs[j].name for j in found.part_job.tolist()],
        "workload": [jobs[j].workload or None for j in found.part_job.tolist()],
        "borrowed": [jobs[j].borrowed for j in found.part_job.tolist()],
        "from_s": found.part_from_s.tolist(),
        "to_s": found.part_to_s.tolist(),
        "learners": found.part_learners.tolist(),
        "batch_samples": [one or None for one in M],
        "updates": [updates if one else None for updates, one in zip(found.part_updates.tolist(), M, strict=True)],
        "progress": found.part_progress.tolist(),
    }


def in_use(found: Schedule) -> tuple[FloatArray, FloatArray]:
    """Return the instants at which the number of learners held changes, and that number from each on."""
    at = np.concatenate([found.part_from_s, found.part_to_s])
    change = np.concatenate([found.part_learners, -found.part_learners]).astype(np.float64)
    instants, place = np.unique(at, return_inverse=True)
    return instants, np.cumsum(np.bincount(place, weights=change))
