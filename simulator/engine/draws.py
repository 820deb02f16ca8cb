"""Seconds that the parties of a job compute, update after update, drawn in blocks.

A party is a learner with a stream of its own, or a cohort: all learners of one expected time, of which the slowest is drawn.
Blocks have one length, so that what is drawn does not depend on who asks for how much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.engine.job import Noise
from simulator.engine.scatter import Scatter, largest, scatter_of
from simulator.errors import SimulatorError
from simulator.quantities import HOUR_S, FloatArray

__all__ = ["Block", "CohortDraws", "Draws", "LearnerDraws", "Rows", "cohorts", "slowed"]

IntArray = NDArray[np.int64]

COHORT_ROWS = 1024
LEARNER_ROWS = 64
MOST_STRUCK = 2.0**20
"""Hiccups of a block of cohorts, about: their number bounds its memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Computing of so many updates.

    Parameters
    ----------
    seconds : ndarray of shape (updates, parties)
        What each party computes.
    finish_s : ndarray of shape (updates, parties)
        When it is through, from the start of the update: later than `seconds` where learners share a unit.
    slowest_s, mean_s : ndarray of shape (updates,)
        When the last learner is through, and the mean learner.
    """

    seconds: FloatArray
    finish_s: FloatArray
    slowest_s: FloatArray
    mean_s: FloatArray

    def __len__(self) -> int:
        return len(self.slowest_s)

    def __getitem__(self, rows: slice) -> Block:
        return Block(self.seconds[rows], self.finish_s[rows], self.slowest_s[rows], self.mean_s[rows])


class Draws(Protocol):
    """An endless supply of blocks."""

    @property
    def parties(self) -> tuple[str, ...]:
        """Names of the parties."""

    def block(self) -> Block:
        """Draw the next block."""


def slowed(times_s: FloatArray, noise: Noise | None) -> FloatArray:
    """Return the learners' times with those of the slow ones multiplied by their factors."""
    times_s = times_s.copy()
    if noise is not None:
        for learner, factor in noise.slow_learners.items():
            times_s[learner] *= factor
    return times_s


def cohorts(*times_s: FloatArray) -> tuple[list[FloatArray], IntArray]:
    """Put learners together that are alike in all of `times_s`; return these times of each cohort, and its learners.

    Examples
    --------
    >>> cohorts(np.array([2.0, 2.0, 1.0]), np.array([5.0, 5.0, 5.0]))
    ([array([1., 2.]), array([5., 5.])], array([1, 2]))
    """
    alike, count = np.unique(np.stack(times_s), axis=1, return_counts=True)
    return list(alike), count.astype(np.int64)


def _pauses_s(noise: Noise, counts: IntArray, rng: np.random.Generator) -> FloatArray:
    """Return the summed pauses of so many hiccups each."""
    assert noise.hiccups is not None
    total = int(counts.sum())
    with np.errstate(over="ignore"):
        durations = noise.hiccups.duration_s * (1.0 + rng.pareto(noise.hiccups.tail, total))
    if not np.isfinite(durations).all():
        raise SimulatorError(
            f"a hiccup lasts longer than any number: hiccups with tail = {noise.hiccups.tail:g} have no mean, give more than 1"
        )
    owner = np.repeat(np.arange(len(counts)), counts)
    return np.bincount(owner, weights=durations, minlength=len(counts)).astype(np.float64)


class LearnerDraws:
    """Each learner's own draws, from streams of its own: one more learner leaves the others' as they were.

    Parameters
    ----------
    times_s : ndarray of shape (learners,)
        Expected seconds of each learner, slow ones slowed.
    noise : Noise or None
        Scatter and hiccups.
    rng : Generator
        Split once for each learner.
    learners_per_unit : int
        Learners that share a unit, one after the other.
    """

    def __init__(
        self, times_s: FloatArray, noise: Noise | None, *, rng: np.random.Generator, learners_per_unit: int = 1
    ) -> None:
        self.times_s = times_s
        self.noise = noise
        self.scatter: Scatter = scatter_of(noise)
        self.learners_per_unit = learners_per_unit
        self.still = noise is None or (noise.kind == "none" and noise.hiccups is None)
        self.rng = rng
        self.streams: list[np.random.Generator] = []
        self.pause_streams: list[tuple[np.random.Generator, ...]] = []

    @property
    def parties(self) -> tuple[str, ...]:
        """Names of the parties."""
        return tuple(f"learner {i}" for i in range(len(self.times_s)))

    def block(self) -> Block:
        """Draw the next block."""
        B, P = LEARNER_ROWS, len(self.times_s)
        if not self.streams and not self.still:
            self.streams = self.rng.spawn(P)
            if self.noise is not None and self.noise.hiccups is not None:
                self.pause_streams = [tuple(stream.spawn(2)) for stream in self.streams]
        if self.still:
            seconds = np.broadcast_to(self.times_s, (B, P))
        else:
            factors = np.empty((P, B))
            for i, stream in enumerate(self.streams):
                factors[i] = self.scatter.sample(stream, B)
            seconds = factors.T * self.times_s
            for i, (counting, lasting) in enumerate(self.pause_streams):
                assert self.noise is not None
                assert self.noise.hiccups is not None
                counts = counting.poisson(self.noise.hiccups.per_learner_hour * self.times_s[i] / HOUR_S, B)
                if counts.any():
                    seconds[:, i] += _pauses_s(self.noise, counts, lasting)
        finish_s = seconds
        if self.learners_per_unit > 1:
            finish_s = seconds.copy()
            for turn in range(1, self.learners_per_unit):
                later = finish_s[:, turn :: self.learners_per_unit]
                later += finish_s[:, turn - 1 :: self.learners_per_unit][:, : later.shape[1]]
        return Block(seconds, finish_s, finish_s.max(axis=1), finish_s.mean(axis=1))


class CohortDraws:
    """Of each cohort of learners with one expected time the slowest is drawn; the others enter the mean by expectation.

    Given the slowest of n, the others are independent draws below it, so that the mean learner's expectation is
    ``(slowest + (n - 1) E[X | X < slowest]) / n``. Learners that a hiccup strikes are drawn one by one: there are few.

    Parameters
    ----------
    cohort_s : ndarray of shape (cohorts,)
        Expected seconds of the learners of each cohort.
    count : ndarray of int64 of shape (cohorts,)
        Learners of each.
    noise : Noise or None
        Scatter and hiccups.
    rng : Generator
        Of all draws.
    """

    def __init__(self, cohort_s: FloatArray, count: IntArray, noise: Noise | None, *, rng: np.random.Generator) -> None:
        self.cohort_s = cohort_s
        self.count = count
        self.noise = noise
        self.scatter: Scatter = scatter_of(noise)
        self.rng = rng
        hiccups = 0.0 if noise is None or noise.hiccups is None else noise.hiccups.per_learner_hour / HOUR_S
        struck = float(hiccups * (cohort_s * count).sum())
        self.rows = int(np.clip(MOST_STRUCK / max(struck, 1.0), 1, COHORT_ROWS))

    @property
    def parties(self) -> tuple[str, ...]:
        """Names of the parties."""
        return tuple(f"cohort {number} ({count:,} learners)" for number, count in enumerate(self.count))

    def block(self) -> Block:
        """Draw the next block."""
        seconds = np.empty((self.rows, len(self.count)))
        sums = np.zeros(self.rows)
        for cohort, (expected_s, count) in enumerate(zip(self.cohort_s.tolist(), self.count.tolist(), strict=True)):
            seconds[:, cohort], mean_s = self._cohort(expected_s, count)
            sums += count * mean_s
        slowest_s = seconds.max(axis=1)
        return Block(seconds, seconds, slowest_s, np.minimum(sums / self.count.sum(), slowest_s))

    def _cohort(self, expected_s: float, count: int) -> tuple[FloatArray, FloatArray]:
        """Return slowest and mean of a cohort for a block of updates."""
        struck, struck_s = self._struck(expected_s, count)
        left = count - np.bincount(struck, minlength=self.rows)
        factor = largest(self.scatter, self.rng, np.maximum(left, 1), self.rows)
        slowest_s = np.where(left > 0, expected_s * factor, 0.0)
        sums = slowest_s + np.maximum(left - 1, 0) * expected_s * self.scatter.mean_below(factor)
        if len(struck):
            sums += np.bincount(struck, weights=struck_s, minlength=self.rows)
            np.maximum.at(slowest_s, struck, struck_s)
        return slowest_s, sums / count

    def _struck(self, expected_s: float, count: int) -> tuple[IntArray, FloatArray]:
        """Return, for each learner that a hiccup strikes, the update and its time."""
        hiccups = None if self.noise is None else self.noise.hiccups
        if hiccups is None or hiccups.per_learner_hour * expected_s == 0:
            return np.empty(0, dtype=np.int64), np.empty(0)
        assert self.noise is not None
        expected = hiccups.per_learner_hour * expected_s / HOUR_S
        learners = self.rng.binomial(count, -np.expm1(-expected), self.rows)
        struck = np.repeat(np.arange(self.rows), learners)
        # A first one for sure, when it comes given that it does, and those that come after it.
        first = -np.log1p(self.rng.random(len(struck)) * np.expm1(-expected))
        counts = 1 + self.rng.poisson(np.maximum(expected - first, 0.0))
        times_s = expected_s * self.scatter.sample(self.rng, len(struck)) + _pauses_s(self.noise, counts, self.rng)
        return struck, times_s


class Rows:
    """Draws, handed out in the portions that are asked for."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self.drawn: Block | None = None
        self.used = 0

    def take(self, most: int) -> Block:
        """Return the next rows: at least one, at most `most`, as far as the block goes."""
        if self.drawn is None or self.used == len(self.drawn):
            self.drawn, self.used = self.draws.block(), 0
        found = self.drawn[self.used : self.used + most]
        self.used += len(found)
        return found
