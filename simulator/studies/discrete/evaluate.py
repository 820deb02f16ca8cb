"""Every number of nodes of one option at once: learners, Delta, T_C at M_opt of each job, dollars, watts, and which limits hold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simulator.errors import CollectiveError
from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.quantities import FloatArray
from simulator.studies.discrete.best_times import batch_ends, best_times_s
from simulator.studies.discrete.catalogue import Catalogue, Job, NodeKind, Option, Request

__all__ = ["LIMITS", "Evaluated", "Evaluator"]

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

LIMITS = ("budget_usd", "deadline_s", "power_max_w", "runs_per_year")
"""What a design may break that can be built, has prices and a mini-batch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """One option at 1 to the most nodes; arrays by number of nodes, of jobs first.

    Parameters
    ----------
    option : Option
        Which.
    nodes : ndarray
        1, 2, ...
    learners, times_s, deltas_s : ndarray, shape (jobs, n)
        Learners that each job uses, its T_C at M_opt and its Delta; NaN where it cannot run.
    exact : ndarray of bool
        Whether all Deltas are those of the flow level; else they are lower bounds.
    cost_usd, low_usd, high_usd, power_w, busy_share : ndarray
        Dollars over the life and their range, watts, share of the available time that all runs of a year take.
    score, time_s : ndarray
        What is to be least; the time of the objective.
    asked : ndarray of bool
        Counts within the request.
    possible : ndarray of bool
        Asked, can be built, has prices, and every job has a mini-batch.
    holds : mapping of str to ndarray of bool
        Which limits hold, by name in LIMITS.
    reasons : mapping of str to int
        Asked designs that are not possible, by reason.
    """

    option: Option
    nodes: FloatArray
    learners: FloatArray
    times_s: FloatArray
    deltas_s: FloatArray
    exact: BoolArray
    cost_usd: FloatArray
    low_usd: FloatArray
    high_usd: FloatArray
    power_w: FloatArray
    busy_share: FloatArray
    score: FloatArray
    time_s: FloatArray
    asked: BoolArray
    possible: BoolArray
    holds: dict[str, BoolArray]
    reasons: dict[str, int]

    @property
    def feasible(self) -> BoolArray:
        """Possible, and within all limits."""
        return np.logical_and.reduce([self.possible, *self.holds.values()])

    def all_but(self, limit: str) -> BoolArray:
        """Possible, and within all limits but one."""
        return np.logical_and.reduce([self.possible, *(held for name, held in self.holds.items() if name != limit)])


@dataclass(slots=True, kw_only=True)
class Evaluator:
    """Evaluates options of a catalogue; the bounds of the mini-batch on a kind of node are found once.

    Parameters
    ----------
    catalogue, request
        What there is, and what is asked.
    """

    catalogue: Catalogue
    request: Request
    _ends: dict[tuple[int, int], FloatArray] = field(default_factory=dict)

    def of(self, option: Option) -> Evaluated:
        """Evaluate every number of nodes."""
        request, jobs = self.request, option.kind.jobs
        nodes = np.arange(1.0, request.nodes_max + 1.0)
        rows = [self._job(option, j, nodes) for j in range(len(jobs))]
        learners, times_s, deltas_s = (np.stack([row[i] for row in rows]) for i in range(3))
        exact = np.logical_and.reduce([row[3] for row in rows])
        bill = self.catalogue.bill(option, nodes)
        cost = self.catalogue.cost(option, nodes, bill, times_s, request.terms)
        usd, low, high, power_w = (
            np.broadcast_to(values, nodes.shape) for values in (cost.usd, cost.low_usd, cost.high_usd, bill.power_w)
        )
        fits = ~np.isnan(np.broadcast_to(bill.tiers, nodes.shape)) | (request.terms.kind == "cloud")
        weights = np.array([job.weight for job in jobs])
        busy = request.busy_share(np.array([job.runs_per_year for job in jobs]), times_s)
        asked = nodes >= request.nodes_min
        runs, priced = ~np.isnan(times_s).any(axis=0), np.isfinite(usd)
        known = np.isfinite(power_w) | np.isinf(request.power_max_w)
        reasons = {
            "does not fit the switches": asked & ~fits,
            "no mini-batch is admissible": asked & fits & ~runs,
            **self._unpriced(option, asked & fits & runs & ~priced),
            "the power of a part is not known": asked & fits & runs & priced & ~known,
        }
        with np.errstate(invalid="ignore"):
            return Evaluated(
                option=option,
                nodes=nodes,
                learners=learners,
                times_s=times_s,
                deltas_s=deltas_s,
                exact=exact,
                cost_usd=usd,
                low_usd=low,
                high_usd=high,
                power_w=power_w,
                busy_share=busy,
                score=request.score(weights, times_s, usd),
                time_s=request.time_s(weights, times_s),
                asked=asked,
                possible=asked & fits & runs & priced & known,
                holds={
                    "budget_usd": usd <= request.budget_usd,
                    "deadline_s": (times_s <= request.deadline_s).all(axis=0),
                    "power_max_w": ~(power_w > request.power_max_w),
                    "runs_per_year": busy <= 1.0,
                },
                reasons={reason: int(np.count_nonzero(where)) for reason, where in reasons.items() if np.any(where)},
            )

    def _unpriced(self, option: Option, where: BoolArray) -> dict[str, BoolArray]:
        """Name what has no price, by number of nodes."""
        if not where.any():
            return {}
        if self.request.terms.kind == "cloud":
            return {f"{option.kind.name} has no price of an hour": where}
        lines = self.catalogue.bill(option, np.arange(1.0, self.request.nodes_max + 1.0)).unpriced
        if not lines:
            return {"the power of a part is not known, and ownership pays for it": where}
        return {"; ".join(dict.fromkeys(line.why_not for line in lines)): where}

    def _job(self, option: Option, j: int, nodes: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """Return learners, T_C, Delta and whether that is exact, with as many learners as is fastest.

        Those of all nodes; of one node, or some of its accelerators; or of 2, 4, 8, ... nodes of the cluster.
        """
        kind, job = option.kind, option.kind.jobs[j]
        per_learner = job.accelerators_per_learner / kind.accelerators  # nodes of a learner
        everyone = np.floor(nodes / per_learner + 1e-9)
        P, T, delta_s, exact = self._timed(option, j, nodes, everyone)
        if per_learner <= 1:
            few = np.arange(1.0, round(1 / per_learner) + 1.0)
            inside = self._timed(option, j, np.ones(len(few)), few)
            best = int(np.argmin(np.where(np.isnan(inside[1]), np.inf, inside[1])))
            P, T, delta_s, exact = _faster((P, T, delta_s, exact), tuple(np.full(nodes.shape, one[best]) for one in inside))
        least = np.fmin.accumulate(T)
        with np.errstate(invalid="ignore"):
            slower = np.flatnonzero(
                np.isnan(T) | (T > least * (1.0 + 1e-12))
            )  # a smaller cluster is faster: use a part of this one
        size = 2.0
        while len(slower) and size < nodes[-1]:
            rows = slower[nodes[slower] > size]
            part = np.full(len(rows), np.floor(size / per_learner + 1e-9))
            found = self._timed(option, j, nodes[rows], part)
            merged = _faster((P[rows], T[rows], delta_s[rows], exact[rows]), found)
            P[rows], T[rows], delta_s[rows], exact[rows] = merged
            size *= 2.0
        return P, T, delta_s, exact

    def _timed(
        self, option: Option, j: int, nodes: FloatArray, learners: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
        """Return learners, T_C at M_opt, Delta and whether it is exact."""
        job, law = option.kind.jobs[j], option.deltas[j]
        there = learners >= 1
        delta_s, exact = np.full(learners.shape, np.nan), np.ones(learners.shape, dtype=np.bool_)
        if isinstance(law, FabricDelta):
            found = closed_delta(law, nodes[there], learners[there])
            delta_s[there], exact[there] = found.time_s, found.exact
        else:
            delta_s[there] = law.reduce_time_s(learners[there])
        T = best_times_s(job.model, learners, self._ends_of(option.kind, job, learners), delta_s)
        return np.where(there, learners, np.nan), T, delta_s, exact

    def _ends_of(self, kind: NodeKind, job: Job, learners: FloatArray) -> FloatArray:
        """Return the bounds of the mini-batch, from a table of all numbers of learners that this kind can have."""
        key = id(kind), id(job)
        if key not in self._ends:
            most = int(self.request.nodes_max * kind.accelerators / job.accelerators_per_learner)
            self._ends[key] = np.full((most + 1, 2), np.inf)  # inf: not looked at yet
        table = self._ends[key]
        wanted = np.unique(learners.astype(np.int64))
        new = wanted[np.isinf(table[wanted, 0])]
        table[new] = batch_ends(job.model, job.limits, new.astype(np.float64))
        return table[learners.astype(np.int64)]


Row = tuple[FloatArray, FloatArray, FloatArray, BoolArray]


def _faster(one: Row, other: tuple[FloatArray, ...]) -> Row:
    """Return the faster of two, element by element; the first where both are equal."""
    with np.errstate(invalid="ignore"):
        second = (other[1] < one[1] * (1.0 - 1e-12)) | np.isnan(one[1])
    P, T, delta_s, exact = (np.where(second, b, a) for a, b in zip(one, other, strict=True))
    return P, T, delta_s, np.asarray(exact, dtype=np.bool_)


def left_out_reason(error: CollectiveError) -> str:
    """Return why an option has no closed form, in a few words."""
    return str(error).split(":", 1)[0]
