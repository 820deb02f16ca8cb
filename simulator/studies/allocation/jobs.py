"""Jobs that come and go, and what a policy sees of them: T_C as a function of learners, and how much of it is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.quantities import FloatArray, non_negative, positive, whole
from simulator.studies.allocation.options import Catalogue, IntArray, Options

__all__ = ["ActiveJobs", "Job", "MiniBatch", "Policy"]

MiniBatch = Literal["best", "own", "held"]
"""Which mini-batch the jobs of a policy take. best: the best one for the learners that they get. own: the one that their
owners ask for; the best one where they do not. held: that too, but where they do not ask, the best one for the learners that
they ask for, whatever they get."""

HALF_EFFICIENT = 0.5
"""A job that asks for no number of learners gets as many as are still used at least half as well as its fewest are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """A job that arrives, runs and ends.

    Parameters
    ----------
    name : str
        Unique among the jobs.
    arrival_s : float
        Seconds, >= 0.
    best : Options
        T_C(P) at the best mini-batch for each P.
    own : Options, optional
        T_C(P) at the mini-batch that its owner asks for; None: any.
    held : Options, optional
        T_C(P) at the mini-batch that is best for the learners asked for; None: `own`, or where there is none `best`.
    work : float
        Factor on every T_C: jobs alike but for their size share their options. > 0; not 1 only for work without updates.
    requested_learners : int, optional
        What its owner asks for. None: as many as have at least half the efficiency of the fewest.
    weight : float
        Of the weighted mean, > 0.
    deadline_s : float, optional
        Seconds after its arrival by which it should have ended.
    workload : str
        What it trains, for tables.
    borrowed : bool
        Whether its laws are those of another machine or model.
    """

    name: str
    arrival_s: float
    best: Options
    own: Options | None = None
    held: Options | None = None
    work: float = 1.0
    requested_learners: int | None = None
    weight: float = 1.0
    deadline_s: float | None = None
    workload: str = ""
    borrowed: bool = False

    def __post_init__(self) -> None:
        non_negative("arrival_s", self.arrival_s)
        positive("work", self.work)
        positive("weight", self.weight)
        if self.work != 1.0 and self.best.updates is not None:
            raise ValueError(f"work must be 1 for a job with updates, got {self.work:g}")
        if self.requested_learners is not None:
            whole("requested_learners", self.requested_learners)
        if self.deadline_s is not None:
            positive("deadline_s", self.deadline_s)

    def options(self, mini_batch: MiniBatch) -> Options:
        """Return T_C(P) as a policy uses it, for `work` = 1."""
        chosen = {"best": None, "own": self.own, "held": self.own or self.held}[mini_batch]
        return self.best if chosen is None else chosen

    def request(self, options: Options) -> int:
        """Return the learners asked for: of those in `options` the largest not above what its owner says, or the fewest."""
        if self.requested_learners is None:
            used = options.learners * options.converge_time_s  # efficiency: learner-seconds of the fewest over these
            return int(options.learners[np.flatnonzero(used * HALF_EFFICIENT <= used[0])[-1]])
        possible = options.learners[options.learners <= self.requested_learners]
        return int(possible[-1] if len(possible) else options.learners[0])

    def fastest_s(self, learners: int) -> float:
        """Return the seconds of the job alone on at most `learners`, at the best of all its options; infinity: not possible."""
        return self.work * min(float(one.converge_time_s[fits].min(initial=np.inf)) for one, fits in self._within(learners))

    def least_learner_s(self, learners: int) -> float:
        """Return the least learner-seconds that it can take on at most `learners`; infinity: not possible."""
        return self.work * min(
            float((one.learners * one.converge_time_s)[fits].min(initial=np.inf)) for one, fits in self._within(learners)
        )

    def _within(self, learners: int) -> list[tuple[Options, NDArray[np.bool_]]]:
        return [(one, one.learners <= learners) for one in (self.best, self.own, self.held) if one is not None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActiveJobs:
    """Jobs that have arrived and not ended, in order of arrival: all that a policy sees.

    Parameters
    ----------
    catalogue : Catalogue
        T_C(P) of every kind of job.
    kind : ndarray of int, shape (n,)
        The kind of each job.
    work, weight : ndarray, shape (n,)
        Factor on its T_C; its weight in the objective.
    remaining : ndarray, shape (n,)
        Fraction of each job that is left, 0 to 1.
    held : ndarray of int, shape (n,)
        Learners that it has now; 0: it waits.
    requested : ndarray of int, shape (n,)
        Learners that it asks for.
    restart_s : ndarray, shape (n,)
        Seconds that it stands still when it is given another number of learners: 0 before its first start.
    """

    catalogue: Catalogue
    kind: IntArray
    work: FloatArray
    weight: FloatArray
    remaining: FloatArray
    held: IntArray
    requested: IntArray
    restart_s: FloatArray

    def __len__(self) -> int:
        return len(self.kind)

    def lock(self) -> None:
        """Let nobody change what a policy is shown."""
        for shown in (self.kind, self.work, self.weight, self.remaining, self.held, self.requested, self.restart_s):
            shown.setflags(write=False)

    def learners(self, job: int) -> IntArray:
        """Return the numbers of learners that job number `job` may have; not to be changed."""
        possible = self.catalogue.tables[int(self.kind[job])].learners.view()
        possible.setflags(write=False)
        return possible

    def remaining_s(self, job: int) -> FloatArray:
        """Return the seconds that are left of job number `job` at each of its numbers of learners, restart not counted."""
        left: FloatArray = self.work[job] * self.remaining[job] * self.catalogue.tables[self.kind[job]].converge_time_s
        return left

    def remaining_at_s(self, learners: IntArray) -> FloatArray:
        """Return the seconds that are left of each job on `learners`, shape (n,), each a number that the job may have."""
        left: FloatArray = self.catalogue.converge_time_s[self.catalogue.place(self.kind, learners)]
        return left * self.work * self.remaining

    def among(self, chosen: IntArray) -> ActiveJobs:
        """Return the jobs at these places only."""
        return ActiveJobs(
            catalogue=self.catalogue,
            kind=self.kind[chosen],
            work=self.work[chosen],
            weight=self.weight[chosen],
            remaining=self.remaining[chosen],
            held=self.held[chosen],
            requested=self.requested[chosen],
            restart_s=self.restart_s[chosen],
        )


class Policy(Protocol):
    """Who gets how many learners. A function will do: it then takes the best mini-batch.

    An attribute `mini_batch` says otherwise.
    """

    def __call__(self, jobs: ActiveJobs, learners: int, /) -> Sequence[int] | IntArray:
        """Return the learners of each job, in their order: 0 lets it wait; at most `learners` together."""
