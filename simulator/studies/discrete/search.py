"""The best designs of a catalogue by exhaustive comparison in closed form; the frontier; what is left out, and why.

Nothing is sampled and nothing guessed: every option at every number of nodes is given its Delta, dollars and watts, all that
are not beaten outright their T_C at M_opt, and the least of what meets all limits is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from simulator.errors import CollectiveError, InfeasibleError
from simulator.quantities import FloatArray
from simulator.studies.discrete.catalogue import Catalogue, Option, Request
from simulator.studies.discrete.evaluate import LIMITS, Evaluated, Evaluator, left_out_reason

__all__ = ["BEST_KEPT", "Design", "Found", "Missed", "search"]

BEST_KEPT = 20
FRONTIER_POINTS = 24
"""Points of the frontier that are kept, evenly spread over the logarithm of the dollars; its ends always."""
ALMOST = 1.05
FRONTIER_BUDGETS = 3.0
"""The frontier reaches up to so many budgets."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """One design: an option with a number of nodes.

    Parameters
    ----------
    option : Option
        What it is built from.
    nodes : int
        How many.
    learners : tuple of int
        Of each workload.
    times_s, deltas_s : tuple of float
        T_C at M_opt (real) and Delta of each workload, seconds, in closed form.
    exact : bool
        Whether Delta is that of the flow level; a lower bound otherwise.
    cost_usd, low_usd, high_usd, power_w : float
        Dollars over the life with the ends of their range, watts (NaN where not known).
    busy_share : float
        Share of the available time that all runs of a year take.
    score, time_s : float
        What is least; the time of the objective.
    """

    option: Option
    nodes: int
    learners: tuple[int, ...]
    times_s: tuple[float, ...]
    deltas_s: tuple[float, ...]
    exact: bool
    cost_usd: float
    low_usd: float
    high_usd: float
    power_w: float
    busy_share: float
    score: float
    time_s: float

    def __str__(self) -> str:
        return f"{self.nodes} x {self.option}" if self.nodes > 1 else f"1 x {self.option.kind.name}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Missed:
    """The design that comes nearest to meeting the request but for one limit.

    Parameters
    ----------
    limit : str
        Which, of LIMITS.
    design : Design
        The least excess over it.
    """

    limit: str
    design: Design


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The answer of a search.

    Parameters
    ----------
    best : tuple of Design
        The best ones, best first; empty where nothing meets the request.
    runner_up : Design or None
        The best of another kind of node or network.
    cheaper : Design or None
        The cheapest within 5 % of the best time, where that saves money.
    frontier : tuple of Design
        Time against dollars of what can be built and bought, meets the power and the runs; from the cheapest to the fastest.
    by_network : tuple of Design
        The best of each node and network that has any, best first.
    compared, beaten : int
        Designs looked at; those that cost and draw no less than another of the same nodes and network, and reduce no faster.
    left_out : mapping of str to int
        Designs that cannot be built, priced or run, by reason.
    missed : tuple of Missed
        Where nothing meets the request: what would, but for one limit.
    """

    best: tuple[Design, ...]
    runner_up: Design | None
    cheaper: Design | None
    frontier: tuple[Design, ...]
    by_network: tuple[Design, ...]
    compared: int
    beaten: int
    left_out: Mapping[str, int]
    missed: tuple[Missed, ...]


def search(catalogue: Catalogue, request: Request, *, progress: Callable[[int, int], None] | None = None) -> Found:
    """Compare every design of a catalogue.

    Parameters
    ----------
    catalogue : Catalogue
        What can be bought.
    request : Request
        What is asked.
    progress : callable, optional
        Told how many options are done, of how many.

    Raises
    ------
    InfeasibleError
        If the catalogue is empty.
    """
    if not catalogue.options:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in catalogue.left_out.items())
        raise InfeasibleError(f"the catalogue is empty{f': {reasons}' if reasons else ''}")
    found = _compared(catalogue, request, FRONTIER_BUDGETS * request.budget_usd, progress)
    if not found.best and np.isfinite(request.budget_usd):  # what would meet the request may cost any amount
        return _compared(catalogue, request, np.inf, progress)
    return found


def _compared(catalogue: Catalogue, request: Request, most_usd: float, progress: Callable[[int, int], None] | None) -> Found:
    evaluator = Evaluator(catalogue=catalogue, request=request, most_usd=most_usd)
    left_out: Counter[str] = Counter()
    best: list[Design] = []
    ends: list[Design] = []
    by_network: list[Design] = []
    missed: dict[str, Design] = {}
    beaten = 0
    groups = _groups(catalogue.options)
    counts = request.nodes_max - request.nodes_min + 1
    for done, options in enumerate(groups, start=1):
        try:
            evaluated = evaluator.of(options)
        except CollectiveError as error:
            left_out[left_out_reason(error)] += counts * len(options)
            continue
        own: list[Design] = []
        for one in evaluated:
            left_out.update(one.reasons)
            beaten += one.beaten
            own += [design_at(one, i) for i in _least(one, one.within(), BEST_KEPT)]
            ends += [design_at(one, i) for i in _front(one)]
            if not best:
                for limit in LIMITS:
                    _note_missed(missed, one, limit)
        best = sorted([*best, *own], key=_order)[:BEST_KEPT]
        by_network += sorted(own, key=_order)[:1]
        if progress is not None:
            progress(done, len(groups))
    front = _pareto(ends)
    return Found(
        best=tuple(best),
        runner_up=_runner_up(best, by_network),
        cheaper=_cheaper(best, front, request),
        frontier=_thinned(front),
        by_network=tuple(sorted(by_network, key=_order)),
        compared=counts * len(catalogue.options),
        beaten=beaten,
        left_out={**catalogue.left_out, **left_out},
        missed=() if best else tuple(Missed(limit=limit, design=design) for limit, design in missed.items()),
    )


def _groups(options: tuple[Option, ...]) -> list[list[Option]]:
    """Return the options by node and network."""
    groups: dict[tuple[str, str | None], list[Option]] = {}
    for option in options:
        groups.setdefault((option.kind.name, option.network), []).append(option)
    return list(groups.values())


def design_at(one: Evaluated, i: int) -> Design:
    """Return the design with ``nodes[i]`` nodes."""
    return Design(
        option=one.option,
        nodes=int(one.nodes[i]),
        learners=tuple(int(P) for P in one.learners[:, i]),
        times_s=tuple(one.times_s[:, i].tolist()),
        deltas_s=tuple(one.deltas_s[:, i].tolist()),
        exact=bool(one.exact[i]),
        cost_usd=float(one.cost_usd[i]),
        low_usd=float(one.low_usd[i]),
        high_usd=float(one.high_usd[i]),
        power_w=float(one.power_w[i]),
        busy_share=float(one.busy_share[i]),
        score=float(one.score[i]),
        time_s=float(one.time_s[i]),
    )


def _order(design: Design) -> tuple[float, float, float, int]:
    """Least score first; of equals the cheaper, then the faster, then the one with fewer nodes."""
    return design.score, design.cost_usd, design.time_s, design.nodes


def _least(one: Evaluated, where: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], most: int) -> list[int]:
    at = np.flatnonzero(where)
    order = np.lexsort((one.nodes[at], one.time_s[at], one.cost_usd[at], one.score[at]))
    found: list[int] = at[order[:most]].tolist()
    return found


def _front(one: Evaluated) -> list[int]:
    """Designs that no cheaper one of the option beats in time, whatever budget and deadline."""
    at = np.flatnonzero(one.possible & one.holds["power_max_w"] & one.holds["runs_per_year"])
    at = at[np.lexsort((one.time_s[at], one.cost_usd[at]))]
    times = one.time_s[at]
    before: FloatArray = np.minimum.accumulate(np.append(np.inf, times))[:-1]
    found: list[int] = at[times < before].tolist()
    return found


def _pareto(designs: list[Design]) -> list[Design]:
    kept: list[Design] = []
    for design in sorted(designs, key=lambda one: (one.cost_usd, one.time_s, one.nodes)):
        if not kept or design.time_s < kept[-1].time_s * (1.0 - 1e-12):
            kept.append(design)
    return kept


def _thinned(front: list[Design]) -> tuple[Design, ...]:
    """Return the ends, and the last design before each of some budgets."""
    if len(front) <= FRONTIER_POINTS:
        return tuple(front)
    cost = np.array([design.cost_usd for design in front])
    wanted = np.geomspace(max(cost[0], 1e-9), cost[-1], FRONTIER_POINTS)
    places = np.unique(np.clip(np.searchsorted(cost, wanted * (1 + 1e-12), side="right") - 1, 0, len(front) - 1))
    return tuple(front[i] for i in np.union1d(places, [0, len(front) - 1]).tolist())


def _runner_up(best: list[Design], by_network: list[Design]) -> Design | None:
    """Return the best of another node or network; where there is only one of both, the best of another option."""
    if not best:
        return None
    first = best[0].option
    others = [one for one in by_network if (one.option.kind.name, one.option.network) != (first.kind.name, first.network)]
    return min(others or [one for one in best if one.option is not first], key=_order, default=None)


def _cheaper(best: list[Design], front: list[Design], request: Request) -> Design | None:
    """Return the cheapest design that takes at most 5 % longer than the best, if that is another one."""
    if not best or request.objective == "cost":
        return None
    enough = [
        one for one in front if one.time_s <= ALMOST * best[0].time_s and max(one.times_s) <= request.deadline_s
        and one.cost_usd < best[0].cost_usd
    ]  # fmt: skip
    return min(enough, key=_order_by_cost, default=None)


def _order_by_cost(design: Design) -> tuple[float, float]:
    return design.cost_usd, design.time_s


def _note_missed(missed: dict[str, Design], one: Evaluated, limit: str) -> None:
    """Remember the design that breaks this limit alone, and least."""
    excess = {
        "budget_usd": one.cost_usd,
        "deadline_s": one.times_s.max(axis=0),
        "power_max_w": one.power_w,
        "runs_per_year": one.busy_share,
    }[limit]
    at = np.flatnonzero(one.within(but=limit))
    if not len(at):
        return
    i = int(at[np.lexsort((one.cost_usd[at], excess[at]))[0]])
    candidate = design_at(one, i)
    known = missed.get(limit)
    if known is None or _excess(candidate, limit) < _excess(known, limit):
        missed[limit] = candidate


def _excess(design: Design, limit: str) -> float:
    return {
        "budget_usd": design.cost_usd,
        "deadline_s": max(design.times_s),
        "power_max_w": design.power_w,
        "runs_per_year": design.busy_share,
    }[limit]
