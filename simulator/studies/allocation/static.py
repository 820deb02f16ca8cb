"""The static problem: G learners, jobs that run at the same time, each with its T_C(P); how many learners to each?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from simulator.errors import InfeasibleError
from simulator.quantities import FloatArray, positive, whole
from simulator.studies.allocation.choices import Menu, Method, least_cost, menu
from simulator.studies.allocation.options import IntArray, Options

__all__ = ["Allocation", "Gain", "Objective", "StaticJob", "allocate", "further_gain", "objective_s"]

Objective = Literal["mean_time", "weighted_time", "makespan", "worst_slowdown"]
"""mean of T_C; mean weighted by the jobs' weights; the longest T_C; the largest T_C relative to the job's fastest alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticJob:
    """A job of the static problem.

    Parameters
    ----------
    name : str
        For messages and tables.
    options : Options
        T_C at each number of learners that it may have.
    weight : float
        Of the weighted mean, > 0.
    deadline_s : float, optional
        Its T_C must be at most this, seconds.
    """

    name: str
    options: Options
    weight: float = 1.0
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        positive("weight", self.weight)
        if self.deadline_s is not None:
            positive("deadline_s", self.deadline_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What further learners would bring a job, at the best rate.

    Parameters
    ----------
    learners : int
        How many more of them at once: fewer than these gain less each.
    gain_s_per_learner : float
        Seconds of T_C that each of them saves.
    """

    learners: int
    gain_s_per_learner: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allocation:
    """Learners of each job, and how good that is.

    Parameters
    ----------
    learners : ndarray of int, shape (jobs,)
        P of each job, in their order.
    converge_time_s : ndarray, shape (jobs,)
        T_C of each, seconds.
    place : ndarray of int, shape (jobs,)
        Place of P among the options of each.
    value, lower_bound : float
        The objective (seconds; a ratio for worst_slowdown), and what no allocation can go below.
    method : str
        How it was found.
    gains : tuple of Gain or None
        What the next learners would bring each job; None where none would help.
    next_job : int or None
        The job to which the next learners should go: where the objective gains most for each; None where none gains.
    """

    learners: IntArray
    converge_time_s: FloatArray
    place: IntArray
    value: float
    lower_bound: float
    method: Method
    gains: tuple[Gain | None, ...]
    next_job: int | None

    @property
    def gap(self) -> float:
        """Proved relative distance from the best: 0 where it is the best."""
        return (self.value - self.lower_bound) / self.value

    @property
    def learners_used(self) -> int:
        """Learners in use."""
        return int(self.learners.sum())


def allocate(jobs: Sequence[StaticJob], learners: int, *, objective: Objective = "mean_time") -> Allocation:
    """Decide how many learners each of `jobs` gets, all of them at the same time.

    Parameters
    ----------
    jobs : sequence of StaticJob
        At least one.
    learners : int
        G, all there are, >= 1.
    objective : {"mean_time", "weighted_time", "makespan", "worst_slowdown"}
        What is minimised. Of all allocations with the least makespan or worst slowdown, one with the least mean time is taken.

    Returns
    -------
    Allocation
        `gap` is 0, or at most 0.001 where exactness would take too long (see `choices.least_cost`).

    Raises
    ------
    InfeasibleError
        If a deadline cannot be met, or the jobs do not fit at the same time.

    Examples
    --------
    >>> scales = Options(learners=np.array([1, 2, 3]), converge_time_s=np.array([12.0, 6.0, 4.0]))
    >>> talks = Options(learners=np.array([1, 2, 3]), converge_time_s=np.array([9.0, 8.0, 7.5]))
    >>> both = [StaticJob(name="scales", options=scales), StaticJob(name="talks", options=talks)]
    >>> found = allocate(both, 4)  # (4 + 9)/2; two each would take (6 + 8)/2
    >>> found.learners.tolist(), found.value
    ([3, 1], 6.5)
    """
    whole("learners", learners)
    if not jobs:
        raise ValueError("jobs must hold at least one job, got none")
    if objective not in get_args(Objective):
        raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}, got {objective!r}")
    scale = _scale(jobs, objective)
    unit = int(np.gcd.reduce([int(np.gcd.reduce(job.options.learners)) for job in jobs]))
    menus = [_menu(job, unit, learners, weight) for job, weight in zip(jobs, scale, strict=True)]
    _must_fit(jobs, menus, unit, learners)
    capacity = learners // unit
    if objective in ("mean_time", "weighted_time"):
        chosen = least_cost(menus, capacity)
        value, bound, method = chosen.cost, chosen.lower_bound, chosen.method
    else:
        ceiling = _least_ceiling(menus, capacity)
        means = _scale(jobs, "mean_time")
        within = [
            _menu(job, unit, learners, mean, longest_s=ceiling / weight)
            for job, mean, weight in zip(jobs, means, scale, strict=True)
        ]
        chosen = least_cost(within, capacity)
        menus, value, bound, method = within, ceiling, ceiling, "bisection"
    place = np.array([int(one.place[k]) for one, k in zip(menus, chosen.place, strict=True)])
    times_s = np.array([job.options.converge_time_s[k] for job, k in zip(jobs, place, strict=True)])
    gains = tuple(further_gain(job.options, int(k)) for job, k in zip(jobs, place, strict=True))
    return Allocation(
        learners=np.array([job.options.learners[k] for job, k in zip(jobs, place, strict=True)]),
        converge_time_s=times_s,
        place=place,
        value=value,
        lower_bound=bound,
        method=method,
        gains=gains,
        next_job=_next_job(gains, scale, times_s, objective),
    )


def objective_s(jobs: Sequence[StaticJob], times_s: Iterable[float], objective: Objective) -> float:
    """Return the objective of given T_C, seconds (a ratio for worst_slowdown)."""
    terms = [weight * time_s for weight, time_s in zip(_scale(jobs, objective), times_s, strict=True)]
    return float(max(terms) if objective in ("makespan", "worst_slowdown") else sum(terms))


def _scale(jobs: Sequence[StaticJob], objective: Objective) -> list[float]:
    """Return the factor of each job's T_C in the objective, which is their sum or the largest of them."""
    if objective == "mean_time":
        return [1.0 / len(jobs)] * len(jobs)
    if objective == "weighted_time":
        total = sum(job.weight for job in jobs)
        return [job.weight / total for job in jobs]
    return [1.0 if objective == "makespan" else 1.0 / job.options.fastest_s for job in jobs]


def _menu(job: StaticJob, unit: int, learners: int, weight: float, *, longest_s: float = math.inf) -> Menu:
    """Return the options that can be best: within the learners that there are, the deadline and `longest_s`."""
    options, deadline_s = job.options, math.inf if job.deadline_s is None else job.deadline_s
    fits = options.learners <= learners
    if not fits.any():
        raise InfeasibleError(f"job {job.name!r} needs at least {int(options.learners[0])} learners, there are {learners}")
    limit_s = min(deadline_s, longest_s * (1.0 + 1e-12))
    allowed = np.flatnonzero(fits & (options.converge_time_s <= limit_s))
    if not len(allowed):
        fastest = int(np.argmin(np.where(fits, options.converge_time_s, np.inf)))
        raise InfeasibleError(
            f"job {job.name!r} cannot meet its deadline_s = {deadline_s:g}: alone, at its fastest (P = "
            f"{int(options.learners[fastest])}), it takes {options.converge_time_s[fastest]:.6g} s"
        )
    found = menu(options.learners[allowed] // unit, weight * options.converge_time_s[allowed])
    return Menu(size=found.size, cost=found.cost, place=allowed[found.place])


def _must_fit(jobs: Sequence[StaticJob], menus: Sequence[Menu], unit: int, learners: int) -> None:
    least = [int(one.size[0]) * unit for one in menus]
    if sum(least) > learners:
        most = int(np.argmax(least))
        raise InfeasibleError(
            f"{len(jobs)} jobs at the same time need at least {sum(least)} learners (job {jobs[most].name!r} alone "
            f"{least[most]}), there are {learners}: let jobs wait (give them arrival_s), drop deadlines, or use a smaller unit"
        )


def _least_ceiling(menus: Sequence[Menu], capacity: int) -> float:
    """Return the least cost that the most expensive job can have, by bisection over all costs that occur."""
    costs = np.unique(np.concatenate([one.cost for one in menus]))
    costs = costs[costs >= max(one.cost[-1] for one in menus)]

    def needed(ceiling: float) -> int:
        # of a menu with falling costs, the first that is low enough
        return sum(int(one.size[np.searchsorted(-one.cost, -ceiling)]) for one in menus)

    low, high = 0, len(costs) - 1  # needed(costs[high]) fits: it is what _must_fit checked
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if needed(float(costs[middle])) <= capacity else (middle + 1, high)
    return float(costs[low])


def further_gain(options: Options, place: int) -> Gain | None:
    """Return what more learners than those of option `place` would bring, at the best rate per learner; None: nothing."""
    more = options.learners[place + 1 :] - options.learners[place]
    saved_s = options.converge_time_s[place] - options.converge_time_s[place + 1 :]
    if not len(more) or saved_s.max() <= 0.0:
        return None
    best = int(np.argmax(saved_s / more))
    return Gain(learners=int(more[best]), gain_s_per_learner=float(saved_s[best] / more[best]))


def _next_job(gains: Sequence[Gain | None], scale: Sequence[float], times_s: FloatArray, objective: Objective) -> int | None:
    """Return the job at which the objective gains most for each further learner."""
    helped = [j for j, gain in enumerate(gains) if gain is not None]
    if objective in ("makespan", "worst_slowdown"):  # only the worst job counts
        worst = int(np.argmax(np.asarray(scale) * times_s))
        return worst if worst in helped else None

    def rate(j: int) -> float:
        gain = gains[j]
        assert gain is not None
        return scale[j] * gain.gain_s_per_learner

    return max(helped, key=rate, default=None)
