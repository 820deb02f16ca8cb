"""Policies that need no search: first come first served, equal shares, shortest remaining time first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from simulator.quantities import FloatArray
from simulator.studies.allocation.jobs import ActiveJobs, MiniBatch
from simulator.studies.allocation.options import IntArray

__all__ = ["EqualShare", "FirstComeFirstServed", "ShortestRemainingTime"]


@dataclass(frozen=True, slots=True)
class FirstComeFirstServed:
    """In order of arrival, each job gets the learners that it asks for, and keeps them to its end.

    The first that must wait holds up those behind it.
    """

    mini_batch: ClassVar[MiniBatch] = "own"

    def __call__(self, jobs: ActiveJobs, learners: int, /) -> IntArray:
        """Return the learners of each job."""
        given = jobs.held.copy()
        waits = np.flatnonzero(given == 0)
        fits = np.cumsum(jobs.requested[waits]) <= learners - given.sum()
        starts = waits[: int(np.argmin(fits)) if not fits.all() else len(waits)]
        given[starts] = jobs.requested[starts]
        return given


@dataclass(frozen=True, slots=True)
class ShortestRemainingTime:
    """The jobs that would end soonest on the learners that they ask for get them, others wait; a running job may be stopped."""

    mini_batch: ClassVar[MiniBatch] = "own"

    def __call__(self, jobs: ActiveJobs, learners: int, /) -> IntArray:
        """Return the learners of each job."""
        order = np.argsort(jobs.remaining_at_s(jobs.requested), kind="stable")
        given = np.zeros(len(jobs), dtype=np.int64)
        left = learners
        wanted = jobs.requested[order]
        at = 0
        while at < len(order):  # as many as fit, then the next one that still does
            fits = np.cumsum(wanted[at:]) <= left
            count = len(fits) if fits.all() else int(np.argmin(fits))
            given[order[at : at + count]] = wanted[at : at + count]
            left -= int(wanted[at : at + count].sum())
            possible = np.flatnonzero(wanted[at + count :] <= left)
            if not len(possible):
                break
            at += count + int(possible[0])
        return given


@dataclass(frozen=True, slots=True)
class EqualShare:
    """All jobs get the same, as far as their options allow; what some leave goes to the others.

    Where not even the fewest learners of every job are there, the first to arrive run.
    """

    mini_batch: ClassVar[MiniBatch] = "own"

    def __call__(self, jobs: ActiveJobs, learners: int, /) -> IntArray:
        """Return the learners of each job."""
        catalogue = jobs.catalogue
        fewest = catalogue.learners[catalogue.first][jobs.kind]
        first = np.arange(len(jobs))[np.cumsum(fewest) <= learners]
        kinds, kind = np.unique(jobs.kind[first], return_inverse=True)
        tables = [catalogue.tables[one] for one in kinds]

        def within(share: int) -> IntArray:
            """What each job takes of a share: the number at which it is fastest, or its fewest."""
            best = [_fastest_within(one.learners, one.converge_time_s, share) for one in tables]
            return np.array(best, dtype=np.int64)[kind]

        low, high = 0, learners
        while low < high:  # the largest share that all can have at once
            middle = (low + high + 1) // 2
            low, high = (middle, high) if within(middle).sum() <= learners else (low, middle - 1)
        shares, more = within(low), within(low + 1)
        further = np.cumsum(more - shares) <= learners - shares.sum()  # one step more for those who came first
        given = np.zeros(len(jobs), dtype=np.int64)
        given[first] = np.where(further, more, shares)
        return given


def _fastest_within(learners: IntArray, times_s: FloatArray, share: int) -> int:
    within = max(int(np.searchsorted(learners, share, side="right")), 1)
    return int(learners[int(np.argmin(times_s[:within]))])
