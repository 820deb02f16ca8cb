"""What no policy can beat: a lower bound of the mean completion time."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from simulator.quantities import FloatArray
from simulator.studies.allocation.jobs import Job

__all__ = ["mean_completion_bound_s", "shortest_remaining_time_s"]


def mean_completion_bound_s(jobs: Sequence[Job], learners: int) -> float:
    """Return a lower bound of the mean completion time of `jobs` on `learners` under any policy, seconds.

    The larger of two: the mean of each job's fastest time alone; and the mean on one machine as fast as all learners together
    that needs each job's least learner-seconds only, always at the job with the least left, which no other order beats (Schrage
    1968). Progress that adds up over mini-batches is assumed, as in `online`.
    """
    alone_s = float(np.mean([job.fastest_s(learners) for job in jobs]))
    needs_s = np.array([job.least_learner_s(learners) for job in jobs]) / learners
    arrival_s = np.array([job.arrival_s for job in jobs])
    return max(alone_s, float(np.mean(shortest_remaining_time_s(arrival_s, needs_s) - arrival_s)))


def shortest_remaining_time_s(arrival_s: FloatArray, needs_s: FloatArray) -> FloatArray:
    """Return when each job ends on one machine that always works at the job with the least left.

    Parameters
    ----------
    arrival_s, needs_s : ndarray, shape (n,)
        When each arrives, and the seconds that it needs.

    Examples
    --------
    >>> shortest_remaining_time_s(np.array([0.0, 1.0]), np.array([5.0, 2.0]))  # the second goes first from 1 to 3
    array([7., 3.])
    """
    end_s = np.empty(len(arrival_s))
    order = np.argsort(arrival_s, kind="stable")
    waiting: list[tuple[float, int]] = []
    now = 0.0
    for place, job in enumerate(order.tolist()):
        now = max(now, float(arrival_s[job]))
        heapq.heappush(waiting, (float(needs_s[job]), job))
        following = float(arrival_s[order[place + 1]]) if place + 1 < len(order) else np.inf
        while waiting and now < following:
            left, first = heapq.heappop(waiting)
            if now + left <= following:
                now += left
                end_s[first] = now
            else:
                heapq.heappush(waiting, (left - (following - now), first))
                now = following
    return end_s
