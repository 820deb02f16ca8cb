"""Marginal gain on T_C: learners go where the next one gains most, at what is left of each job, restarts counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from simulator.quantities import FloatArray
from simulator.studies.allocation.jobs import ActiveJobs, MiniBatch
from simulator.studies.allocation.options import KINDS_APART, Catalogue, IntArray

__all__ = ["MarginalGain", "MarginalGainFixedBatch", "Measure"]

Measure = Literal["fraction", "seconds"]
"""What a learner gains: a fraction of T_C, or seconds of it."""

APART = 1000.0
"""How far apart the logarithms of different kinds of job lie in one sorted list: more than those of one kind spread."""
DIGITS = 1e-4
"""The price of a learner is found to this relative distance; what it leaves free is given out by gain."""
MOST_ROUNDS = 8
PATIENCE = 3.0
"""A restart counts for so many: what it gains lasts until the next change, not to the end of the job."""


@dataclass(frozen=True, slots=True, eq=False)
class _Hulls:
    """Lower convex hulls of the cost of all kinds of job against their learners, end to end; the cost is T_C or log T_C.

    `key` holds for each kind in turn kind * APART - log(gain per learner) of its segments, so it increases; `learners` and
    `time_s` (T_C) hold the corners, of which a kind has one more than segments; `code` is kind * 2**32 + P of them, `last`
    the place of each kind's last one. `log_gains` is the range of log(gain per learner).
    """

    key: FloatArray
    learners: IntArray
    time_s: FloatArray
    code: IntArray
    last: IntArray
    log_gains: tuple[float, float]


@lru_cache(maxsize=64)
def _hulls(catalogue: Catalogue, measure: Measure) -> _Hulls:
    gains, codes, times_s = [], [], []
    for kind, one in enumerate(catalogue.tables):
        cost = one.converge_time_s if measure == "seconds" else np.log(one.converge_time_s)
        corner = _hull(one.learners, cost)
        gains.append(np.log(-np.diff(cost[corner]) / np.diff(one.learners[corner])))
        codes.append(kind * KINDS_APART + one.learners[corner])
        times_s.append(one.converge_time_s[corner])
    every, code = np.concatenate(gains), np.concatenate(codes)
    return _Hulls(
        key=np.concatenate([kind * APART - one for kind, one in enumerate(gains)]),
        learners=code % KINDS_APART,
        time_s=np.concatenate(times_s),
        code=code,
        last=np.cumsum([len(one) for one in codes]) - 1,
        log_gains=(float(every.min()), float(every.max())) if len(every) else (0.0, 0.0),
    )


def _hull(learners: IntArray, cost: FloatArray) -> IntArray:
    """Return the places of the corners of the lower convex hull, from the fewest learners to the least cost."""
    P, c = learners.tolist(), cost.tolist()
    corners = [0]
    for i in range(1, int(np.argmin(cost)) + 1):
        if c[i] >= c[corners[-1]]:
            continue
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (c[a] - c[b]) * (P[i] - P[b]) > (c[b] - c[i]) * (P[b] - P[a]):
                break
            corners.pop()
        corners.append(i)
    return np.array(corners)


@dataclass(frozen=True, slots=True)
class MarginalGain:
    """The next learner goes to the job whose T_C it shortens most, at the best mini-batch for every number of learners.

    A learner has a price, the same for all; a job takes the number of learners at which what is left of it and the price of
    its learners cost least together, restart counted where that is another number than now. The price is the lowest at which
    all fits. Where not even the fewest learners of every job do, those with the fewest learner-seconds left run.

    Parameters
    ----------
    measure : {"fraction", "seconds"}
        fraction: what is left costs its logarithm, so that a learner goes where it takes the largest fraction off T_C.
        seconds: it costs its seconds, as in the static problem. That would be right if shares were held to the end, but long
        jobs get learners when the short ones have gone: on loads drawn at random, means are 8 to 41 % longer (benchmarks).
    """

    measure: Measure = "fraction"
    mini_batch: ClassVar[MiniBatch] = "best"

    def __call__(self, jobs: ActiveJobs, learners: int, /) -> IntArray:
        """Return the learners of each job."""
        runs = _who_runs(jobs, learners)
        given = np.zeros(len(jobs), dtype=np.int64)
        some = jobs if len(runs) == len(jobs) else jobs.among(runs)
        given[runs] = _Market.of(some, self.measure).shares(learners)
        return given


@dataclass(frozen=True, slots=True)
class MarginalGainFixedBatch(MarginalGain):
    """`MarginalGain` with one mini-batch for each job, held."""

    mini_batch: ClassVar[MiniBatch] = "held"


def _who_runs(jobs: ActiveJobs, learners: int) -> IntArray:
    """Return the jobs that run: all, or as many as fit with their fewest learners, fewest learner-seconds left first."""
    first = jobs.catalogue.first[jobs.kind]
    fewest = jobs.catalogue.learners[first]
    if fewest.sum() <= learners:
        return np.arange(len(jobs))
    left_s = fewest * jobs.catalogue.converge_time_s[first] * jobs.work * jobs.remaining / jobs.weight
    order = np.argsort(left_s, kind="stable")
    return np.sort(order[np.cumsum(fewest[order]) <= learners])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Market:
    """Jobs that all run, and what they pay for learners."""

    jobs: ActiveJobs
    hulls: _Hulls
    measure: Measure
    log_scale: FloatArray
    stay: FloatArray

    @classmethod
    def of(cls, jobs: ActiveJobs, measure: Measure) -> _Market:
        left = np.log(jobs.work * jobs.remaining)
        holds = jobs.held > 0
        market = cls(
            jobs=jobs,
            hulls=_hulls(jobs.catalogue, measure),
            measure=measure,
            log_scale=np.log(jobs.weight) + (left if measure == "seconds" else 0.0),
            stay=np.full(len(jobs), np.inf),
        )
        market.stay[holds] = market.cost(jobs.remaining_at_s(np.where(holds, jobs.held, jobs.requested)))[holds]
        return market

    def cost(self, left_s: FloatArray) -> FloatArray:
        """What a job costs with so many seconds left: these, or their logarithm; weighted."""
        return self.jobs.weight * (left_s if self.measure == "seconds" else np.log(left_s))

    def move(self, corner: IntArray) -> FloatArray:
        """Cost of each job that is moved to a corner of its hull."""
        left_s = self.jobs.work * self.jobs.remaining * self.hulls.time_s[corner]
        return self.cost(left_s + PATIENCE * self.jobs.restart_s)

    def at(self, log_price: float) -> IntArray:
        """What each job is best off with at a price: a corner of its hull, or what it holds."""
        kind = self.jobs.kind
        corner = np.searchsorted(self.hulls.key, kind * APART + self.log_scale - log_price, side="right") + kind
        wanted = self.hulls.learners[corner]
        stays = self.stay - self.move(corner) <= np.exp(log_price) * (wanted - self.jobs.held)
        return np.where(stays, self.jobs.held, wanted)

    def shares(self, learners: int) -> IntArray:
        """Return the learners of each job: at the lowest price at which no more than there are are taken, the rest by gain."""
        low = self.hulls.log_gains[0] + float(self.log_scale.min()) - 1.0
        high = self.hulls.log_gains[1] + float(self.log_scale.max()) + 1.0
        given = self.at(low)
        if given.sum() > learners:
            given = _priced(self.at, learners, (low, int(given.sum())), high)
        return self.filled(given, learners - int(given.sum()))

    def filled(self, given: IntArray, free: int) -> IntArray:
        """Give learners that are free to the jobs that gain most for each."""
        jobs, hulls = self.jobs, self.hulls
        for _ in range(MOST_ROUNDS):
            if free <= 0:
                break
            corner = np.searchsorted(hulls.code, jobs.kind * KINDS_APART + given, side="right")
            there = corner <= hulls.last[jobs.kind]
            corner = np.where(there, corner, hulls.last[jobs.kind])
            step = hulls.learners[corner] - given
            open_to = np.flatnonzero(there & (step <= free))
            now = np.where(given == jobs.held, self.stay, self.cost(jobs.remaining_at_s(given) + PATIENCE * jobs.restart_s))
            then = np.where(hulls.learners[corner] == jobs.held, self.stay, self.move(corner))
            rate = ((now - then)[open_to]) / step[open_to]
            order = open_to[np.argsort(-rate, kind="stable")]
            gains = order[: int(np.count_nonzero(rate > 0.0))]
            taken = gains[np.cumsum(step[gains]) <= free]
            if not len(taken):
                break
            given[taken] += step[taken]
            free -= int(step[taken].sum())
        return given


def _priced(shares: Callable[[float], IntArray], learners: int, too_low: tuple[float, int], high: float) -> IntArray:
    """Return the shares at the lowest price (its logarithm to `DIGITS`) that takes no more than `learners`.

    `too_low` is a logarithm at which more are taken, and how many.
    """
    low, taken_low = too_low
    above = shares(high)
    while above.sum() > learners:  # a restart is dearer than any gain: the price must rise beyond the gains
        high += 2.0
        above = shares(high)
    taken_high = int(above.sum())
    by_slope = True
    while high - low > DIGITS and taken_high < learners:
        # what is taken is nearly a power of the price; every other step halves what is left, whatever it is
        part = np.log(taken_low / learners) / np.log(taken_low / taken_high) if by_slope else 0.5
        middle = low + min(max(float(part), 0.02), 0.98) * (high - low)
        by_slope = not by_slope
        given = shares(middle)
        taken = int(given.sum())
        if taken > learners:
            low, taken_low = middle, taken
        else:
            high, taken_high, above = middle, taken, given
    return above
