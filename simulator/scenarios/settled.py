"""Designs of a search computed again as `run` would: whole samples and updates, and Delta from the network at flow level."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.costs.amounts import Amount
from simulator.costs.bill_of_materials import BillOfMaterials
from simulator.errors import SimulatorWarning
from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.network.laws import ConstantReduce
from simulator.optimum import best_batch
from simulator.profiles import load_profile
from simulator.quantities import FloatArray
from simulator.scenarios.cases import Case
from simulator.scenarios.catalogue import network_table, scenario_of, spelled
from simulator.scenarios.effects import converge_interval90
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.uncertain import TimeSpread, time_spread
from simulator.search import relaxed
from simulator.studies.answer import Answer, answer
from simulator.studies.chances import Normals
from simulator.studies.discrete.catalogue import Catalogue, Request
from simulator.studies.discrete.search import Design
from simulator.uncertainty import Interval

__all__ = ["Settled", "Trained", "fastest_collective", "settled", "time_draws_of"]


MOST_SIMULATED_LEARNERS = 2048
"""Learners up to which a collective on shared links is simulated for every design: some seconds each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """One workload on one design.

    Parameters
    ----------
    workload : str
        Its name.
    scenario, case : Scenario, Case
        What `run` would be asked.
    answer : Answer
        What it answers.
    closed_s : float
        T_C of the search: real mini-batch, Delta in closed form.
    """

    workload: str
    scenario: Scenario
    case: Case
    answer: Answer
    closed_s: float

    @property
    def difference(self) -> float:
        """How much longer it takes than the search thought, relative."""
        return self.answer.converge_time_s / self.closed_s - 1.0

    @cached_property
    def interval(self) -> Interval | None:
        """90 % interval of T_C, as `run` has it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SimulatorWarning)
            return converge_interval90(self.scenario, self.case, Case.of, self.answer.batch_samples, self.answer.learners)

    @cached_property
    def spread(self) -> TimeSpread:
        """T_C under draws."""
        return time_spread(self.scenario, self.case, Case.of, self.answer.batch_samples, self.answer.learners)


@dataclass(frozen=True, kw_only=True, eq=False)
class Settled:
    """A design with what `run` answers for each workload.

    Parameters
    ----------
    design : Design
        Of the search.
    trained : tuple of Trained
        Each workload.
    bill : BillOfMaterials
        What is bought.
    cost : Amount
        Dollars over the life.
    score, time_s, busy_share : float
        What is least, the time of the objective, the share of the available time that all runs of a year take.
    holds : bool
        Whether it still meets deadline and runs.
    simulated : bool
        Whether Delta is that of the flow level; else the lower bound of the search.
    """

    design: Design
    trained: tuple[Trained, ...]
    bill: BillOfMaterials
    cost: Amount
    score: float
    time_s: float
    busy_share: float
    holds: bool
    simulated: bool

    @property
    def difference(self) -> float:
        """Largest relative difference of a workload's time from that of the search, signed."""
        return max((one.difference for one in self.trained), key=abs)


def settled(
    scenario: Scenario, catalogue: Catalogue, request: Request, designs: Sequence[Design], *, most_heavy: int = 1
) -> list[Settled]:
    """Compute designs as `run` would; the best first.

    Of those with so many learners on links that they share that one takes minutes, only the first `most_heavy` are simulated;
    the others have Delta of the search, a lower bound, and stand behind all that are.
    """
    found: list[Settled] = []
    heavy = 0
    for design in designs:
        is_heavy = not design.exact and max(design.learners) > MOST_SIMULATED_LEARNERS
        heavy += is_heavy
        found.append(_settled(scenario, catalogue, request, design, simulated=not is_heavy or heavy <= most_heavy))
    return sorted(found, key=lambda one: (not one.simulated, not one.holds, one.score, float(one.cost.usd), one.design.nodes))


def _settled(scenario: Scenario, catalogue: Catalogue, request: Request, design: Design, *, simulated: bool) -> Settled:
    option = design.option
    trained = tuple(_trained(scenario, design, j, simulated=simulated) for j in range(len(option.kind.jobs)))
    times_s = np.array([[one.answer.converge_time_s] for one in trained])
    nodes: FloatArray = np.array([float(design.nodes)])
    bill = catalogue.bill(option, nodes)
    cost = catalogue.cost(option, nodes, bill, times_s, request.terms)
    usd, low, high = (float(np.ravel(end)[0]) for end in (cost.usd, cost.low_usd, cost.high_usd))
    weights = np.array([job.weight for job in option.kind.jobs])
    busy = float(request.busy_share(np.array([job.runs_per_year for job in option.kind.jobs]), times_s)[0])
    return Settled(
        design=design,
        trained=trained,
        bill=catalogue.bill(option, design.nodes),
        cost=Amount.between(usd, low, high),
        score=float(request.score(weights, times_s, np.array([usd]))[0]),
        time_s=float(request.time_s(weights, times_s)[0]),
        busy_share=busy,
        holds=bool(times_s.max() <= request.deadline_s and busy <= 1.0 + 1e-12 and usd <= request.budget_usd),
        simulated=simulated,
    )


def time_draws_of(scenario: Scenario, request: Request, design: Design, normals: Normals) -> FloatArray:
    """Return the objective's time of a design for every draw, with Delta of the search: quick, and for intervals alone."""
    times = []
    for j in range(len(design.option.kind.jobs)):
        one, case = _case(scenario, design, j)
        law = ConstantReduce(delta_s=design.deltas_s[j])
        case = replace(case, model=replace(relaxed(case.model), reduce=law))
        best = best_batch(case.model, case.limits, design.learners[j])
        spread = time_spread(one, case, Case.of, best.batch_samples, design.learners[j])
        times.append(spread.time_s(normals) * design.times_s[j] / spread.converge_time_s)
    return request.time_s(np.array([job.weight for job in design.option.kind.jobs]), np.stack(times))


def _case(scenario: Scenario, design: Design, j: int) -> tuple[Scenario, Case]:
    """Return the scenario and the case of a workload on a design."""
    option = design.option
    name = spelled(scenario, "node", option.kind.name)
    node = load_profile("nodes", name, beside=scenario.folder, profile_folders=scenario.profile_folders)[0]
    table = None
    if option.topology is not None:
        table = network_table(scenario, option.network, option.switch, option.topology, option.oversubscription)
    learners, job = design.learners[j], option.kind.jobs[j]
    everyone = design.nodes * option.kind.accelerators // job.accelerators_per_learner
    part = None if learners == everyone else learners
    one = scenario_of(scenario, j, node=node, nodes=design.nodes, network=table, learners=part)
    return one, Case.of(one)


def _trained(scenario: Scenario, design: Design, j: int, *, simulated: bool) -> Trained:
    one, case = _case(scenario, design, j)
    learners = design.learners[j]
    law: Any = case.model.reduce
    if isinstance(law, FabricDelta) and not simulated:
        case = replace(case, model=replace(case.model, reduce=ConstantReduce(delta_s=design.deltas_s[j])))
    elif isinstance(law, FabricDelta) and law.collective == "auto" and learners > 1:
        case = replace(case, model=replace(case.model, reduce=fastest_collective(law, design.nodes, learners)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulatorWarning)
        found = answer(case.model, case.limits, learners=learners)
    return Trained(workload=design.option.kind.jobs[j].name, scenario=one, case=case, answer=found, closed_s=design.times_s[j])


def fastest_collective(law: FabricDelta, nodes: int, learners: int) -> FabricDelta:
    """Return the law with the collective that "auto" takes: those whose lower bound another one beats are not simulated."""
    bounds = {name: float(time_s) for name, time_s in closed_delta(law, nodes, learners).by_collective.items()}
    best: tuple[float, FabricDelta] | None = None
    for name, bound in sorted((pair for pair in bounds.items() if np.isfinite(pair[1])), key=lambda pair: pair[1]):
        if best is not None and bound > best[0] * (1.0 + 1e-12):
            break
        one = replace(law, collective=name)
        time_s = one.time(learners).time_s
        if best is None or time_s < best[0]:
            best = time_s, one
    assert best is not None
    return best[1]
