"""Options of one node and network, every number of nodes at once: learners, Delta, T_C at M_opt, dollars, watts, limits.

Of designs with the same number of the same nodes on the same network (other switches, topologies, oversubscriptions) those that
cost and draw no less than another one, and whose Deltas are no shorter, are beaten: T_C grows with Delta. They get no T_C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.quantities import FloatArray
from simulator.studies.discrete.best_times import batch_ends, best_times_s
from simulator.studies.discrete.catalogue import Catalogue, Job, NodeKind, Option, Request

__all__ = ["LIMITS", "Evaluated", "Evaluator"]

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

LIMITS = ("budget_usd", "deadline_s", "power_max_w", "runs_per_year")
"""What a design may break that can be built, has prices and a mini-batch."""
SAME = 1e-12
"""Relative difference of times that is rounding."""


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
        Learners that each job uses, its T_C at M_opt and its Delta; NaN where it cannot run, or was beaten.
    exact : ndarray of bool
        Whether all Deltas are those of the flow level; else they are lower bounds.
    cost_usd, low_usd, high_usd, power_w, busy_share : ndarray
        Dollars over the life and their range, watts, share of the available time that all runs of a year take.
    score, time_s : ndarray
        What is to be least; the time of the objective.
    possible : ndarray of bool
        Asked, can be built, has prices, every job has a mini-batch, and not beaten.
    holds : mapping of str to ndarray of bool
        Which limits hold, by name in LIMITS.
    reasons : mapping of str to int
        Asked designs that are not possible, by reason.
    beaten : int
        Asked designs that another one of the group beats.
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
    possible: BoolArray
    holds: dict[str, BoolArray]
    reasons: dict[str, int]
    beaten: int

    def within(self, *, but: str = "") -> BoolArray:
        """Return which are possible and within all limits, but for one that is named."""
        good = self.possible.copy()
        for name, held in self.holds.items():
            if name != but:
                good &= held
        return good


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Draft:
    """An option before its times: Delta of all its learners, and what can be bought."""

    option: Option
    everyone: FloatArray
    deltas_s: FloatArray
    exact: BoolArray
    cost_usd: FloatArray
    power_w: FloatArray
    fits: BoolArray
    buyable: BoolArray


Row = tuple[FloatArray, FloatArray, FloatArray, BoolArray]
"""Of each job: learners, T_C, Delta, and whether that is exact."""


@dataclass(slots=True, kw_only=True)
class Evaluator:
    """Evaluates options of a catalogue; what belongs to a kind of node alone is found once.

    Parameters
    ----------
    catalogue, request
        What there is, and what is asked.
    most_usd : float
        Bought designs that cost more are left aside.
    """

    catalogue: Catalogue
    request: Request
    most_usd: float = inf
    _ends: dict[tuple[int, int], FloatArray] = field(default_factory=dict)
    _inside: dict[tuple[int, int], tuple[FloatArray, ...]] = field(default_factory=dict)

    def of(self, options: Sequence[Option]) -> list[Evaluated]:
        """Evaluate options of one kind of node and one network together.

        Raises
        ------
        CollectiveError
            If Delta has no closed form on one of them.
        """
        nodes = np.arange(1.0, self.request.nodes_max + 1.0)
        drafts = [self._draft(option, nodes) for option in options]
        beaten = self._beaten(drafts)
        jobs = options[0].kind.jobs
        timed = [self._timed_all(draft, nodes, draft.buyable & (by < 0)) for draft, by in zip(drafts, beaten, strict=True)]
        with np.errstate(invalid="ignore"):
            least = np.fmin.accumulate(np.fmin.reduce([times for _, times, _, _ in timed]), axis=1)
            if self._parts_may_help(jobs):
                for at, draft in enumerate(drafts):
                    mine = self._with_parts(draft, nodes, timed[at], least)
                    timed[at] = mine
                for at, draft in enumerate(drafts):
                    unsure = self._unsure(beaten[at], timed, least)
                    if unsure.any():
                        again = self._timed_all(draft, nodes, unsure)
                        again = self._with_parts(draft, nodes, again, least)
                        timed[at] = _either(unsure, again, timed[at])
                        beaten[at] = np.where(unsure, -1, beaten[at])
        return [self._complete(draft, nodes, row, by >= 0) for draft, row, by in zip(drafts, timed, beaten, strict=True)]

    def _draft(self, option: Option, nodes: FloatArray) -> _Draft:
        request, kind = self.request, option.kind
        bill = self.catalogue.bill(option, nodes)
        cloud = request.terms.kind == "cloud"
        none = np.zeros((len(kind.jobs), len(nodes)))
        cost = np.broadcast_to(self.catalogue.cost(option, nodes, bill, none, request.terms).usd, nodes.shape)
        power_w = np.broadcast_to(bill.power_w, nodes.shape)
        fits = ~np.isnan(np.broadcast_to(bill.tiers, nodes.shape)) | cloud
        with np.errstate(invalid="ignore"):
            buyable = fits & np.isfinite(cost) & (cost <= self.most_usd)
        buyable &= np.isfinite(power_w) | np.isinf(request.power_max_w)
        everyone, deltas_s, exact = none.copy(), np.full(none.shape, np.nan), np.ones(none.shape, dtype=np.bool_)
        for j, job in enumerate(kind.jobs):
            everyone[j] = np.floor(nodes * kind.accelerators / job.accelerators_per_learner + 1e-9)
            deltas_s[j], exact[j] = _delta(option, j, nodes, everyone[j])
        return _Draft(
            option=option, everyone=everyone, deltas_s=deltas_s, exact=exact, cost_usd=cost, power_w=power_w, fits=fits,
            buyable=buyable,
        )  # fmt: skip

    def _beaten(self, drafts: Sequence[_Draft]) -> list[FloatArray]:
        """Return, for each option and number of nodes, which other one beats it; -1 where none does."""
        figures = []
        for draft in drafts:
            cost = np.where(draft.buyable, draft.cost_usd, np.inf)
            power = np.nan_to_num(draft.power_w, nan=np.inf)
            figures.append(np.vstack([cost, power, np.nan_to_num(draft.deltas_s, nan=np.inf)]))
        found = []
        for at, mine in enumerate(figures):
            by = np.full(mine.shape[1], -1.0)
            for other, theirs in enumerate(figures):
                if other != at:
                    no_worse = (theirs <= mine).all(axis=0)
                    better = no_worse if other < at else no_worse & (theirs < mine).any(axis=0)
                    by[better & (by < 0) & drafts[other].buyable] = other
            found.append(by)
        return found

    def _timed_all(self, draft: _Draft, nodes: FloatArray, where: BoolArray) -> Row:
        """Return learners, T_C, Delta and whether it is exact, of all learners or those within one node."""
        kind = draft.option.kind
        rows = np.flatnonzero(where)
        P, T, D = (np.full(draft.everyone.shape, np.nan) for _ in range(3))
        exact = np.ones(draft.everyone.shape, dtype=np.bool_)
        for j, job in enumerate(kind.jobs):
            P[j, rows], D[j, rows], exact[j, rows] = draft.everyone[j, rows], draft.deltas_s[j, rows], draft.exact[j, rows]
            T[j, rows] = best_times_s(job.model, P[j, rows], self._ends_of(kind, job, P[j, rows]), D[j, rows])
            if job.accelerators_per_learner <= kind.accelerators:
                inside = self._in_a_node(draft.option, j)
                with np.errstate(invalid="ignore"):
                    better = where & ((inside[1] < T[j] * (1.0 - SAME)) | np.isnan(T[j]))
                P[j], T[j], D[j] = (np.where(better, one, own) for one, own in zip(inside[:3], (P[j], T[j], D[j]), strict=True))
                exact[j] |= better
        return P, T, D, exact

    def _parts_may_help(self, jobs: Sequence[Job]) -> bool:
        """Whether a part of a cluster may have to be used: alone, a job would be given the smaller cluster instead."""
        return len(jobs) > 1 or self.request.nodes_min > 1

    def _with_parts(self, draft: _Draft, nodes: FloatArray, timed: Row, least: FloatArray) -> Row:
        """Give jobs that a smaller cluster trains faster 2, 4, 8, ... nodes, where that is faster."""
        P, T, D, exact = timed[0].copy(), timed[1].copy(), timed[2].copy(), timed[3].copy()
        for j, job in enumerate(draft.option.kind.jobs):
            with np.errstate(invalid="ignore"):
                slower = np.flatnonzero(T[j] > least[j] * (1.0 + SAME))
            size = 2.0
            while len(slower) and size < nodes[-1]:
                rows = slower[nodes[slower] > size]
                part = np.full(len(rows), np.floor(size * draft.option.kind.accelerators / job.accelerators_per_learner + 1e-9))
                delta_s, sure = _delta(draft.option, j, nodes[rows], part)
                time_s = best_times_s(job.model, part, self._ends_of(draft.option.kind, job, part), delta_s)
                with np.errstate(invalid="ignore"):
                    better = time_s < T[j, rows] * (1.0 - SAME)
                at = rows[better]
                P[j, at], T[j, at], D[j, at], exact[j, at] = part[better], time_s[better], delta_s[better], sure[better]
                size *= 2.0
        return P, T, D, exact

    def _unsure(self, by: FloatArray, timed: Sequence[Row], least: FloatArray) -> BoolArray:
        """Return where a beaten design might yet be faster than what beats it, by using a part of its cluster."""
        unsure = np.zeros(by.shape, dtype=np.bool_)
        for other, row in enumerate(timed):
            unsure |= (by == other) & (row[1] > least * (1.0 + SAME)).any(axis=0)
        return unsure

    def _complete(self, draft: _Draft, nodes: FloatArray, timed: Row, beaten: BoolArray) -> Evaluated:
        request, option = self.request, draft.option
        jobs = option.kind.jobs
        learners, times_s, deltas_s, exact = timed
        bill = self.catalogue.bill(option, nodes)
        cost = self.catalogue.cost(option, nodes, bill, times_s, request.terms)
        usd, low, high = (np.broadcast_to(values, nodes.shape) for values in (cost.usd, cost.low_usd, cost.high_usd))
        weights = np.array([job.weight for job in jobs])
        busy = request.busy_share(np.array([job.runs_per_year for job in jobs]), times_s)
        asked = nodes >= request.nodes_min
        runs = ~np.isnan(times_s).any(axis=0)
        affordable = ~(draft.cost_usd > self.most_usd)
        with np.errstate(invalid="ignore"):
            holds = {
                "budget_usd": usd <= request.budget_usd,
                "deadline_s": np.all(times_s <= request.deadline_s, axis=0),
                "power_max_w": ~(draft.power_w > request.power_max_w),
                "runs_per_year": busy <= 1.0 + SAME,
            }
        priced = np.isfinite(draft.cost_usd)
        reasons = {
            "does not fit the switches": asked & ~draft.fits,
            **self._unpriced(draft, nodes, asked & draft.fits & ~priced),
            self._powerless(draft): asked & draft.fits & priced & affordable & ~draft.buyable,
            "no mini-batch is admissible": asked & draft.buyable & ~beaten & ~runs,
        }
        return Evaluated(
            option=option,
            nodes=nodes,
            learners=learners,
            times_s=times_s,
            deltas_s=deltas_s,
            exact=np.asarray(exact.all(axis=0)),
            cost_usd=usd,
            low_usd=low,
            high_usd=high,
            power_w=draft.power_w,
            busy_share=busy,
            score=request.score(weights, times_s, usd),
            time_s=request.time_s(weights, times_s),
            possible=asked & draft.buyable & runs & ~beaten,
            holds={name: np.asarray(held) for name, held in holds.items()},
            reasons={reason: int(np.count_nonzero(where)) for reason, where in reasons.items() if np.any(where)},
            beaten=int(np.count_nonzero(asked & beaten & draft.buyable)),
        )

    def _unpriced(self, draft: _Draft, nodes: FloatArray, where: BoolArray) -> dict[str, BoolArray]:
        """Name what has no price."""
        if not where.any():
            return {}
        if self.request.terms.kind == "cloud":
            return {f"{draft.option.kind.name} has no price of an hour": where}
        lines = self.catalogue.bill(draft.option, nodes).unpriced
        if not lines and self.request.terms.electricity_usd_per_kwh is None:
            return {"ownership pays for power, and there is no tariff: give [cost] electricity_usd_per_kwh": where}
        if not lines:
            return {f"ownership pays for power, and {self._powerless(draft)}": where}
        return {"; ".join(dict.fromkeys(line.why_not for line in lines)): where}

    def _powerless(self, draft: _Draft) -> str:
        """Say of which parts nobody knows the power."""
        plan = draft.option.plan
        parts = [plan.node.name] if plan.node.power_w is None else []
        if plan.switch is not None and plan.switch.power_w is None and plan.switch.power_max_w is None:
            parts.append(plan.switch.name)
        return f"the power of {' and '.join(parts) or 'a part'} is not known"

    def _in_a_node(self, option: Option, j: int) -> tuple[FloatArray, ...]:
        """Return learners, T_C and Delta of the fastest learners within one node; the same whatever joins the nodes."""
        kind, job = option.kind, option.kind.jobs[j]
        key = id(kind), id(job)
        if key not in self._inside:
            few = np.arange(1.0, kind.accelerators // job.accelerators_per_learner + 1.0)
            delta_s, _ = _delta(option, j, np.ones(len(few)), few)
            time_s = best_times_s(job.model, few, self._ends_of(kind, job, few), delta_s)
            best = int(np.argmin(np.where(np.isnan(time_s), np.inf, time_s)))
            self._inside[key] = few[best], time_s[best], delta_s[best]
        return self._inside[key]

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


def _delta(option: Option, j: int, nodes: FloatArray, learners: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return Delta of a job, and whether it is that of the flow level; NaN without learners."""
    law = option.deltas[j]
    there = learners >= 1
    delta_s, exact = np.full(learners.shape, np.nan), np.ones(learners.shape, dtype=np.bool_)
    if isinstance(law, FabricDelta):
        found = closed_delta(law, nodes[there], learners[there])
        delta_s[there], exact[there] = found.time_s, found.exact
    else:
        delta_s[there] = law.reduce_time_s(learners[there])
    return delta_s, exact


def _either(where: BoolArray, one: Row, other: Row) -> Row:
    """Return the columns of one where asked, else of the other."""
    P, T, D = (np.where(where, a, b) for a, b in zip(one[:3], other[:3], strict=True))
    return P, T, D, np.where(where, one[3], other[3])


def left_out_reason(error: Exception) -> str:
    """Return why an option has no closed form, in a few words."""
    return str(error).split(":", 1)[0]
