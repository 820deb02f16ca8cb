"""From [design.continuous] to a problem of Eqns 11 and 12: levers, components, and T_C at M_opt of each workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import exp, inf, log

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import Fault, ScenarioError
from simulator.limits import EXTRAPOLATION_FACTOR
from simulator.loading import Table
from simulator.scenarios.cases import Case
from simulator.scenarios.catalogue import of_one_workload
from simulator.scenarios.continuous_section import Compute, ContinuousNetwork, ContinuousSection
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.verb_sections import DesignSection
from simulator.studies.continuous.problem import Component, ContinuousProblem, Lever
from simulator.studies.continuous.times import LEARNERS, Growth, TrainingTime

__all__ = ["NO_EFFECT", "SPEED", "continuous_problem", "largest_batches", "lever_of", "training_time_of"]

SPEED = "speed"
"""The lever that divides gamma."""
PASSES = 2.0
"""How often each byte of a gradient crosses the bandwidth of a learner: once to be summed, once to come back."""
NO_EFFECT = ("reduce", "network", "cost")
"""Shared sections that say nothing here: Delta and prices are those of [design.continuous]."""
MOST_LOG = 300.0
"""Of a ratio of prices: beyond it they are no numbers."""


def lever_of(network: ContinuousNetwork) -> str:
    """Return the name of the lever of a network: NAME.delta_s or NAME.bandwidth_bytes_per_s."""
    return f"{network.name}.{network.lever}"


def continuous_problem(
    scenario: Scenario, *, budget_usd: float | None = None, deadline_s: float | None = None
) -> tuple[ContinuousProblem, list[tuple[Scenario, Case]]]:
    """Return the problem that [design] and [design.continuous] state, and each workload on one learner of speed 1.

    Parameters
    ----------
    scenario : Scenario
        As resolved.
    budget_usd, deadline_s : float, optional
        Instead of those of the file.

    Raises
    ------
    ScenarioError
        With every fault: laws that have no closed optimum, sections that it cannot count, limits that are missing.
    """
    design, section = _design(scenario)
    cases, faults = _cases(scenario, section)
    budget = budget_usd if budget_usd is not None else design.budget_usd
    deadline = deadline_s if deadline_s is not None else design.deadline_s
    if design.objective == "cost" and deadline is None:
        faults.append(Fault(scenario.name, "design.deadline_s", "must be given where the cost is to be least"))
    if design.objective != "cost" and budget is None and design.power_max_w is None:
        faults.append(Fault(scenario.name, "design.budget_usd", f"must be given where objective = {design.objective!r}"))
    components = tuple(_components(section))
    if design.power_max_w is not None and not any(one.power_w for one in components):
        rule = f"needs w or w_per_learner of something in [design.continuous], got {design.power_max_w:g}"
        faults.append(Fault(scenario.name, "design.power_max_w", rule))
    if faults:
        raise ScenarioError(faults)
    problem = ContinuousProblem(
        workloads=tuple(training_time_of(scenario, section, index, case) for index, (_, case) in enumerate(cases)),
        levers=tuple(_levers(section)),
        components=components,
        objective=design.objective,
        budget_usd=budget if budget is not None else inf,
        deadline_s=deadline if deadline is not None else inf,
        power_max_w=design.power_max_w if design.power_max_w is not None else inf,
    )
    return problem, cases


def _design(scenario: Scenario) -> tuple[DesignSection, ContinuousSection]:
    design = scenario.sections.design
    if design is None or design.continuous is None:
        raise ScenarioError([Fault(scenario.name, "design.continuous", "is missing")])
    return design, design.continuous


def _cases(scenario: Scenario, section: ContinuousSection) -> tuple[list[tuple[Scenario, Case]], list[Fault]]:
    """Return each workload on one learner of speed 1, and the fault of each that the closed form does not cover."""
    accelerators = section.accelerators_per_learner
    cluster: Table = {
        "accelerator": section.accelerator,
        "accelerators": accelerators,
        "accelerators_per_learner": accelerators,
    }
    run = scenario.sections.run
    cases: list[tuple[Scenario, Case]] = []
    faults: list[Fault] = []
    if scenario.sections.cross_validation is not None:
        faults.append(Fault(scenario.name, "cross_validation", "is not known to [design.continuous]: leave it out"))
    if run.min_batch_samples is not None:
        rule = f"is not known to [design.continuous]: leave it out, got {run.min_batch_samples:g}"
        faults.append(Fault(scenario.name, "run.min_batch_samples", rule))
    for index, workload in enumerate(scenario.sections.workload):
        if workload.input_samples_per_s is not None:
            rule = f"is not known to [design.continuous]: leave it out, got {workload.input_samples_per_s:g}"
            faults.append(Fault(scenario.name, f"workload[{index}].input_samples_per_s", rule))
        if workload.gradient_bytes is None and any(one.delta_s is None for one in section.network):
            rule = "is missing: a network with a bandwidth carries it"
            faults.append(Fault(scenario.name, f"workload[{index}].gradient_bytes", rule))
        bounds = {} if run.max_batch_samples is None else {"max_batch_samples": run.max_batch_samples}
        try:
            one = of_one_workload(scenario, index, cluster, without=(*NO_EFFECT, "cross_validation"), run=bounds)
            case = Case.of(one, rounding="exact")
        except ScenarioError as error:
            faults += [_renamed(fault, index) for fault in error.faults]
            continue
        if not isinstance(case.model.convergence, InverseLaw):
            kind = scenario.tree["workload"][index]["convergence"].get("kind")
            rule = f"must be inverse in a continuous design, which needs Eqns 8 to 10, got {kind!r}"
            faults.append(Fault(scenario.name, f"workload[{index}].convergence.kind", rule))
        if not isinstance(case.model.compute, KneeCompute):
            key = case.compute_key.replace("workload[0]", f"workload[{index}]")
            faults.append(Fault(scenario.name, f"{key}.kind", "must be knee or knee_constant in a continuous design"))
        cases.append((one, case))
    return cases, faults


def _renamed(fault: Fault, index: int) -> Fault:
    """Return a fault of the scenario of one workload on one learner with the key of the file."""
    key = fault.key.replace("workload[0]", f"workload[{index}]")
    return replace(fault, key=f"design.continuous{key.removeprefix('cluster')}" if key.startswith("cluster") else key)


def _levers(section: ContinuousSection) -> Iterator[Lever]:
    yield Lever(name=LEARNERS, lowest=section.learners_min, highest=section.learners_max)
    yield Lever(name=SPEED, lowest=section.speed_min, highest=section.speed_max)
    for network in section.network:
        lowest, highest = network.ends
        yield Lever(name=lever_of(network), lowest=lowest, highest=highest)


def _components(section: ContinuousSection) -> Iterator[Component]:
    for name, part in (("compute", section.compute), *((part.name, part) for part in section.part)):
        yield _component(name, part, SPEED, 1.0, 1.0, network=False)
    for one in section.network:
        sign = -1.0 if one.delta_s is not None else 1.0
        yield _component(one.name, one, lever_of(one), sign, one.reference, network=True)


def _component(
    name: str, priced: Compute | ContinuousNetwork, lever: str, sign: float, reference: float, *, network: bool
) -> Component:
    """Return what costs and draws (once + per learner P) (lever/reference)^(sign exponent): sums of powers, convex in logs."""
    moved = [LEARNERS] if priced.usd_per_learner or priced.w_per_learner else []
    moved += [lever] if priced.price_exponent or (priced.power_exponent and (priced.w or priced.w_per_learner)) else []

    def law(once: float, per_learner: float, exponent: float) -> Callable[..., float]:
        def amount(*values: float) -> float:
            at = dict(zip(moved, values, strict=True))
            ratio = log(at.get(lever, reference) / reference)
            return (once + per_learner * at.get(LEARNERS, 0.0)) * exp(min(sign * exponent * ratio, MOST_LOG))

        return amount

    draws = bool(priced.w or priced.w_per_learner)
    return Component(
        name=name,
        levers=tuple(moved),
        cost_usd=law(priced.usd, priced.usd_per_learner, priced.price_exponent),
        power_w=law(priced.w, priced.w_per_learner, priced.power_exponent) if draws else None,
        network=network,
    )


def training_time_of(scenario: Scenario, section: ContinuousSection, index: int, case: Case) -> TrainingTime:
    """Return T_C at M_opt of a workload over the levers of the section."""
    workload, model = scenario.sections.workload[index], case.model
    assert isinstance(model.convergence, InverseLaw)
    assert isinstance(model.compute, KneeCompute)
    growth: dict[str, Growth] = {lever_of(one): one.kind for one in section.network}
    factors = {
        lever_of(one): 1.0 if one.delta_s is not None else PASSES * (workload.gradient_bytes or 0.0) for one in section.network
    }
    highest = min(largest_batches(case).values(), default=inf)
    return TrainingTime(
        name=workload.name,
        weight=workload.weight,
        convergence=InverseLaw(
            n_inf_updates=model.convergence.n_inf_updates * model.tuning_factor,
            alpha_samples=model.convergence.alpha_samples * model.tuning_factor,
        ),
        knee_samples=model.compute.knee_samples,
        gamma={SPEED: model.compute.gamma_s_per_sample},
        delta=factors,
        inverse=frozenset({SPEED, *(lever_of(one) for one in section.network if one.delta_s is None)}),
        constant_s=model.compute.constant_s,
        fixed_delta_s=sum(one.latency_s for one in section.network),
        reduce=growth,
        max_batch_samples=highest,
        max_local_samples=model.max_local_samples,
    )


def largest_batches(case: Case) -> dict[str, float]:
    """Return the largest mini-batches that the case allows, by what bounds them."""
    limits = case.limits
    measured = limits.largest_measured_samples
    found = {
        "data_set": limits.data_set_samples,
        "largest_measured": None if measured is None else EXTRAPOLATION_FACTOR * measured,
        "max_batch": limits.max_batch_samples,
    }
    return {name: most for name, most in found.items() if most is not None}
