"""The answer of `design`: the search, its best designs settled as `run` would, how sure that is, what would change it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import InfeasibleError, LooseBoundWarning, SimulatorWarning
from simulator.messages import did_you_mean
from simulator.quantities import FloatArray
from simulator.scenarios.catalogue import catalogue_of, request_of
from simulator.scenarios.costing import warn_about_old_prices
from simulator.scenarios.effects import warn_about_unverified
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.settled import Settled, settled, time_draws_of
from simulator.scenarios.uncertain_cost import cost_draws, cost_groups, running_cost_doubts
from simulator.scenarios.uncertain_network import certain_link, warn_about_certain_network
from simulator.studies.chances import Chances, Importance, Normals, chances, deciding, importance, interval90_of
from simulator.studies.discrete.catalogue import Catalogue, Request
from simulator.studies.discrete.margins import Flip, Step, certificate, flips, why_not
from simulator.studies.discrete.search import BEST_KEPT, Design, Found, search

__all__ = ["DesignAnswer", "WhyNot", "design_answer", "warn_about_design"]

LOOSE = 0.05
"""Relative difference between search and flow level that is warned about."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhyNot:
    """Why a named thing was not bought.

    Parameters
    ----------
    name : str
        What was asked.
    design : Design or None
        The best one with it; None where there is none.
    text : str
        Why not.
    """

    name: str
    design: Design | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DesignAnswer:
    """What to buy, and how sure that is.

    Parameters
    ----------
    catalogue, request : Catalogue, Request
        What there is, and what was asked.
    found : Found
        The search in closed form.
    chosen : Settled
        The best design as `run` computes it.
    settled : tuple of Settled
        The best ones, best first, with the runner-up and the ends of the frontier.
    runner_up : Settled or None
        The best of another node or network.
    frontier_ends : tuple of Settled
        The cheapest and the fastest design of the frontier.
    frontier_intervals90 : tuple of (float, float)
        Of the time of each point of the frontier.
    order_changed : bool
        Whether the flow level prefers another design than the search.
    proven : bool
        Whether no design left unsettled can be better: its lower bound is above the chosen one's time.
    not_computed : int
        Of the best designs, those too large to simulate.
    chances : Chances
        The chosen one against the best of each other node and network, in the order of `rivals`.
    rivals : tuple of Settled
        The chosen one, then the best of each other node and network that was settled.
    cost_interval90 : (float, float)
        Of the chosen one's dollars, from the ranges of prices, tariff, PUE and facility.
    probability_within_budget : float or None
        None without a budget.
    importance : tuple of Importance
        What the spread of its time comes from (of its dollars, where those are least).
    decides : tuple of Importance
        What the difference from the runner-up hangs on; empty without one, and where what is uncertain does not move it.
    certain_links : tuple of str
        Links of the chosen one and of the runner-up whose Delta is taken as certain: nothing gives a range for their rates.
    unchecked_keys, default_keys : tuple of str
        Of what the dollars of power and facility are counted from: what nobody checked, and what the file does not give.
    certificate : tuple of Step
        One step beside it in each direction.
    flips : tuple of Flip
        What would make the runner-up the better choice.
    why_not : WhyNot or None
        Where it was asked.
    """

    catalogue: Catalogue
    request: Request
    found: Found
    chosen: Settled
    settled: tuple[Settled, ...]
    runner_up: Settled | None
    frontier_ends: tuple[Settled, ...]
    frontier_intervals90: tuple[tuple[float, float], ...]
    order_changed: bool
    proven: bool
    not_computed: int
    chances: Chances
    rivals: tuple[Settled, ...]
    cost_interval90: tuple[float, float]
    probability_within_budget: float | None
    importance: tuple[Importance, ...]
    decides: tuple[Importance, ...]
    certain_links: tuple[str, ...]
    unchecked_keys: tuple[str, ...]
    default_keys: tuple[str, ...]
    certificate: tuple[Step, ...]
    flips: tuple[Flip, ...]
    why_not: WhyNot | None

    @property
    def loose(self) -> tuple[Settled, ...]:
        """Settled designs whose time differs from that of the search by more than 5 %."""
        return tuple(one for one in self.settled if abs(one.difference) > LOOSE)


MOST_RIVALS = 8
"""Best designs of other nodes and networks that are settled and compared on the same draws."""


def design_answer(
    scenario: Scenario,
    rng: np.random.Generator,
    *,
    budget_usd: float | None = None,
    deadline_s: float | None = None,
    asked_why_not: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DesignAnswer:
    """Find the best design of a scenario.

    Parameters
    ----------
    scenario : Scenario
        With [design] and [cost].
    rng : Generator
        For the draws.
    budget_usd, deadline_s : float, optional
        Instead of those of the file.
    asked_why_not : str, optional
        A node, network, switch, topology or oversubscription ("4:1") of the catalogue.
    progress : callable, optional
        Told how much of the search is done.

    Raises
    ------
    InfeasibleError
        If nothing meets the request; the text says what would, and its price.
    """
    request = request_of(scenario, budget_usd=budget_usd, deadline_s=deadline_s)
    catalogue = catalogue_of(scenario)
    words = _asked(catalogue, scenario, asked_why_not)
    _refuse_what_no_update_is_fast_enough_for(catalogue, request)
    found = search(catalogue, request, progress=progress)
    if not found.best:
        raise InfeasibleError(_what_would_be_feasible(request, found))
    others = [one for one in found.by_network if one.option is not found.best[0].option][:MOST_RIVALS]
    ends = [found.frontier[0], found.frontier[-1]] if len(found.frontier) > 1 else []
    listed = settled(scenario, catalogue, request, _distinct([*found.best, *others]))
    if not listed[0].holds:
        first = listed[0]
        raise InfeasibleError(
            f"of the {len(listed)} best designs none meets the deadline and the runs of a year at flow level: the nearest, "
            f"{first.design}, takes {max(one.answer.converge_time_s for one in first.trained):.6g} s; ask for a little less"
        )
    chosen = listed[0]
    rivals = _rivals(listed)
    runner_up = rivals[1] if len(rivals) > 1 else None
    normals = Normals.of(rng)
    money = request.objective == "cost"

    def value(one: Settled, z: Normals) -> FloatArray:
        return cost_draws(scenario, request, one, z) if money else _time_draws(request, one, z)

    def groups(one: Settled) -> dict[str, tuple[str, ...]]:
        return cost_groups(scenario, request, one) if money else _groups(one)

    cost = cost_draws(scenario, request, chosen, normals)
    unchecked, defaults = running_cost_doubts(scenario, request, chosen)
    return DesignAnswer(
        catalogue=catalogue,
        request=request,
        found=found,
        chosen=chosen,
        settled=tuple(listed),
        runner_up=runner_up,
        frontier_ends=tuple(settled(scenario, catalogue, request, ends, most_heavy=0)),
        frontier_intervals90=tuple(
            interval90_of(time_draws_of(scenario, request, design, normals)) for design in found.frontier
        ),
        order_changed=chosen.design is not found.best[0],
        proven=(len(found.best) < BEST_KEPT or found.best[-1].score >= chosen.score * (1.0 - 1e-9))
        and all(one.score >= chosen.score * (1.0 - 1e-9) for one in listed),
        not_computed=sum(not one.simulated for one in listed),
        chances=chances([value(one, normals) for one in rivals]),
        rivals=tuple(rivals),
        cost_interval90=interval90_of(cost),
        probability_within_budget=float(np.mean(cost <= request.budget_usd)) if np.isfinite(request.budget_usd) else None,
        importance=importance(lambda z: np.log(value(chosen, z)), groups(chosen), normals),
        decides=()
        if runner_up is None
        else deciding(
            lambda z: value(chosen, z), lambda z: value(runner_up, z), {**groups(chosen), **groups(runner_up)}, normals
        ),
        certain_links=()
        if money and request.terms.kind != "cloud"
        else _certain_links([one for one in (chosen, runner_up) if one is not None]),
        unchecked_keys=unchecked,
        default_keys=defaults,
        certificate=certificate(catalogue, request, chosen.design),
        flips=() if runner_up is None else flips(catalogue, request, chosen.design, runner_up.design),
        why_not=None if words is None else _why_not(catalogue, request, words, chosen.design),
    )


def _certain_links(designs: Sequence[Settled]) -> tuple[str, ...]:
    found = [
        certain_link(trained.scenario, trained.case, trained.answer.learners) for one in designs for trained in one.trained
    ]
    return tuple(dict.fromkeys(link for link in found if link is not None))


def _why_not(catalogue: Catalogue, request: Request, name: str, best: Design) -> WhyNot:
    if name in best.option.names:
        return WhyNot(name=name, design=best, text="it is in the design that was chosen")
    design, text = why_not(catalogue, request, name, best)
    return WhyNot(name=name, design=design, text=text)


def warn_about_design(answer: DesignAnswer) -> None:
    """Warn about what the answer rests on: estimates, unchecked and old prices, a loose bound, runs that leave no room."""
    for trained in answer.chosen.trained:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SimulatorWarning)
            trained.case.warn_about(trained.answer.batch_samples)
            warn_about_unverified(trained.scenario, trained.case)
            warn_about_certain_network(trained.scenario, trained.case, trained.answer.learners)
        for warning in caught:  # the scenario of one design has this workload alone
            text = str(warning.message).replace("workload[0]", trained.workload)
            warnings.warn(text, warning.category, stacklevel=2)
    used = [line.price for line in answer.chosen.bill.lines if line.price is not None and float(line.paid) > 0]
    if answer.request.terms.kind == "cloud":
        used = [rent for rent in (answer.chosen.design.option.kind.rent,) if rent is not None]
    warn_about_old_prices(used)
    for one in answer.loose:
        warnings.warn(
            f"{one.design} takes {100 * one.difference:+.3g} % longer at flow level than in closed form: its links are shared",
            LooseBoundWarning,
            stacklevel=2,
        )


def _asked(catalogue: Catalogue, scenario: Scenario, name: str | None) -> str | None:
    """Return the name asked for, without spaces; InfeasibleError with the nearest name where the catalogue has none."""
    if name is None:
        return None
    word = name.replace(" ", "")
    choose = scenario.sections.design.choose if scenario.sections.design is not None else None
    listed = (*choose.node, *choose.network, *choose.switch) if choose is not None else ()
    known = {one for option in catalogue.options for one in option.names} | set(listed)
    if word not in known:
        raise InfeasibleError(f"--why-not: nothing in the catalogue is called {name!r}{did_you_mean(word, known)}")
    return word


def _distinct(designs: Sequence[Design]) -> list[Design]:
    """Return each design once: a single node is the same one whatever would join it to others."""
    found: dict[tuple[object, int], Design] = {}
    for design in designs:
        found.setdefault((id(design.option) if design.nodes > 1 else design.option.kind.name, design.nodes), design)
    return list(found.values())


def _rivals(listed: Sequence[Settled]) -> list[Settled]:
    """Return the best of each node and network, the best of all first; of one alone, the best of each option."""

    def best_by(key: Callable[[Settled], object]) -> list[Settled]:
        found: dict[object, Settled] = {}
        for one in listed:
            if one.holds:
                found.setdefault(key(one), one)
        return list(found.values())[:MOST_RIVALS]

    by_network = best_by(lambda one: (one.design.option.kind.name, one.design.option.network if one.design.nodes > 1 else None))
    return by_network if len(by_network) > 1 else best_by(lambda one: id(one.design.option))


def _time_draws(request: Request, one: Settled, normals: Normals) -> FloatArray:
    times = np.stack([trained.spread.time_s(normals) for trained in one.trained])
    weights = np.array([job.weight for job in one.design.option.kind.jobs])
    return request.time_s(weights, times)


def _groups(one: Settled) -> dict[str, tuple[str, ...]]:
    return {group: names for trained in one.trained for group, names in trained.spread.groups.items()}


def _refuse_what_no_update_is_fast_enough_for(catalogue: Catalogue, request: Request) -> None:
    """Raise InfeasibleError where a deadline is below N_inf times the fastest update of every node."""
    if not np.isfinite(request.deadline_s) or not catalogue.options:
        return
    kinds = {id(option.kind): option.kind for option in catalogue.options}
    for j in range(len(catalogue.options[0].kind.jobs)):
        floors = []
        for kind in kinds.values():
            job = kind.jobs[j]
            fewest = job.model.tuning_factor * max(getattr(job.model.convergence, "n_inf_updates", 0.0), 1.0)
            smallest = max(job.model.local_samples_range[0], 1e-9)
            fastest_s = float(job.model.compute.compute_time_s(smallest))
            floors.append((fewest * fastest_s, fewest, fastest_s, kind.name, job.name))
        floor_s, fewest, fastest_s, node, workload = min(floors)
        if floor_s > request.deadline_s:
            raise InfeasibleError(
                f"deadline_s = {request.deadline_s:g} cannot be met by any number of nodes: {workload} needs {fewest:.6g} "
                f"updates however large the mini-batch, and the fastest update takes {fastest_s:.4g} s ({node}): "
                f"{floor_s:.6g} s together"
            )


def _what_would_be_feasible(request: Request, found: Found) -> str:
    """Say what would meet the request but for one limit."""
    limits = []
    if np.isfinite(request.budget_usd):
        limits.append(f"{request.budget_usd:,.0f} USD")
    if np.isfinite(request.deadline_s):
        limits.append(f"{request.deadline_s:g} s")
    if np.isfinite(request.power_max_w):
        limits.append(f"{request.power_max_w:g} W")
    asked = f"no design meets {' and '.join(limits)}" if limits else "no design meets the request"
    if not found.missed:
        reasons = [f"{reason} ({count:,})" for reason, count in sorted(found.left_out.items(), key=lambda pair: -pair[1])]
        return f"{asked}; of {found.compared:,} designs: {'; '.join(reasons) or 'every one breaks several limits at once'}"
    parts = []
    for missed in found.missed:
        design, longest = missed.design, max(missed.design.times_s)
        fastest = f"{design}{', as many nodes as the catalogue allows' if design.nodes == request.nodes_max else ''}"
        parts.append(
            {
                "budget_usd": f"the cheapest that meets all else costs {design.cost_usd:,.0f} USD ({design}, {longest:.4g} s)",
                "deadline_s": f"the fastest that meets all else takes {longest:.4g} s ({fastest}, {design.cost_usd:,.0f} USD)",
                "power_max_w": f"the most frugal that meets all else draws {design.power_w:,.0f} W "
                f"({design}, {design.cost_usd:,.0f} USD)",
                "runs_per_year": f"the runs of a year take {100 * design.busy_share:.4g} % of it on the fastest that meets "
                f"all else ({fastest}, {design.cost_usd:,.0f} USD)",
            }[missed.limit]
        )
    return f"{asked}: {'; '.join(parts)}"
