"""The answer of `design` where everything is a real number: from [design.continuous] to Eqns 11 and 12, and back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import Fault, InfeasibleError, NoEffectWarning, ScenarioError, SimulatorWarning, UnverifiedWarning
from simulator.limits import EXTRAPOLATION_FACTOR
from simulator.loading import Table
from simulator.network.laws import ConstantReduce
from simulator.optimum import Optimum, flat_range
from simulator.quantities import YEAR_S
from simulator.scenarios.cases import Case
from simulator.scenarios.catalogue import of_one_workload
from simulator.scenarios.continuous_section import Compute, ContinuousNetwork, ContinuousSection
from simulator.scenarios.effects import converge_interval90, warn_about_unverified
from simulator.scenarios.resolve import Scenario
from simulator.studies.continuous.design import ContinuousDesign, continuous_design, continuous_frontier
from simulator.studies.continuous.problem import Component, ContinuousProblem, Lever
from simulator.studies.continuous.times import LEARNERS, BestTime, Growth, TrainingTime
from simulator.time_to_converge import TimeToConverge
from simulator.uncertainty import Interval

__all__ = ["SPEED", "ContinuousAnswer", "ContinuousTrained", "continuous_answer", "lever_of", "warn_about_continuous"]

SPEED = "speed"
"""The lever that divides gamma."""
PASSES = 2.0
"""How often each byte of a gradient crosses the bandwidth of a learner: once to be summed, once to come back."""
FRONTIER = tuple(2.0 ** (step / 2.0) for step in range(-6, 7))
"""Budgets of the frontier, relative to what the design costs: from an eighth to eight times."""
SAME = 1e-6
NO_EFFECT = ("reduce", "network", "cost")
"""Shared sections that say nothing here: Delta and prices are those of [design.continuous]."""
MOST_LOG = 300.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContinuousTrained:
    """One workload on the best design.

    Parameters
    ----------
    workload : str
        Its name.
    case : Case
        Its laws on one learner of speed 1, and its bounds.
    scenario : Scenario
        The scenario with this workload alone.
    best : BestTime
        T_C, M_opt, the learners used.
    model : TimeToConverge
        Its laws at the speed and the Delta of the design: what `run` would add up.
    bound : str or None
        What holds M_opt, in the words of `run`.
    flat_range_samples : (float, float)
        Mini-batches within 5 % of the best.
    interval : Interval or None
        Of T_C at this (M, P), from the fit and ranges.
    runs_per_year : float
        0 where the file gives none.
    """

    workload: str
    case: Case
    scenario: Scenario
    best: BestTime
    model: TimeToConverge
    bound: str | None
    flat_range_samples: tuple[float, float]
    interval: Interval | None
    runs_per_year: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContinuousAnswer:
    """The best design of real numbers.

    Parameters
    ----------
    section : ContinuousSection
        What the file says.
    problem : ContinuousProblem
        As it was solved.
    found : ContinuousDesign
        The optimum, with its certificate.
    trained : tuple of ContinuousTrained
        By workload.
    frontier : tuple of ContinuousDesign
        The fastest for other budgets, cheapest first.
    unverified : mapping of str to list of str
        By component, keys of its price that are marked as checked by nobody.
    """

    section: ContinuousSection
    problem: ContinuousProblem
    found: ContinuousDesign
    trained: tuple[ContinuousTrained, ...]
    frontier: tuple[ContinuousDesign, ...]
    unverified: dict[str, list[str]]

    @property
    def busy_share(self) -> float | None:
        """Share of a year that all runs_per_year take; None where no workload gives them."""
        if not any(one.runs_per_year for one in self.trained):
            return None
        return sum(one.runs_per_year * one.best.converge_time_s for one in self.trained) / YEAR_S


def lever_of(network: ContinuousNetwork) -> str:
    """Return the name of the lever of a network: NAME.delta_s or NAME.bandwidth_bytes_per_s."""
    return f"{network.name}.{network.lever}"


def continuous_answer(
    scenario: Scenario, *, budget_usd: float | None = None, deadline_s: float | None = None
) -> ContinuousAnswer:
    """Find the best design of a scenario with [design.continuous].

    Parameters
    ----------
    scenario : Scenario
        As resolved.
    budget_usd, deadline_s : float, optional
        Instead of those of the file.

    Raises
    ------
    ScenarioError
        With every fault: laws that have no closed optimum, sections that it cannot count.
    InfeasibleError
        If nothing meets the limits; the text says what would.
    """
    design = scenario.sections.design
    section = design.continuous if design is not None else None
    if design is None or section is None:
        raise ScenarioError([Fault(scenario.name, "design.continuous", "is missing")])
    cases, faults = _cases(scenario, section)
    budget = budget_usd if budget_usd is not None else design.budget_usd
    deadline = deadline_s if deadline_s is not None else design.deadline_s
    if design.objective == "cost" and deadline is None:
        faults.append(Fault(scenario.name, "design.deadline_s", "must be given where the cost is to be least"))
    if design.objective != "cost" and budget is None and design.power_max_w is None:
        faults.append(Fault(scenario.name, "design.budget_usd", f"must be given where objective = {design.objective!r}"))
    components = list(_components(section))
    if design.power_max_w is not None and not any(one.power_w for one in components):
        rule = f"needs w or w_per_learner of something in [design.continuous], got {design.power_max_w:g}"
        faults.append(Fault(scenario.name, "design.power_max_w", rule))
    if faults:
        raise ScenarioError(faults)
    problem = ContinuousProblem(
        workloads=tuple(_time(scenario, section, index, case) for index, (_, case) in enumerate(cases)),
        levers=tuple(_levers(section)),
        components=tuple(components),
        objective=design.objective,
        budget_usd=budget if budget is not None else inf,
        deadline_s=deadline if deadline is not None else inf,
        power_max_w=design.power_max_w if design.power_max_w is not None else inf,
    )
    _refuse_what_no_update_is_fast_enough_for(problem, section)
    found = continuous_design(problem)
    return ContinuousAnswer(
        section=section,
        problem=problem,
        found=found,
        trained=tuple(_trained(scenario, section, found, index, one, case) for index, (one, case) in enumerate(cases)),
        frontier=tuple(_frontier(problem, found)),
        unverified={
            name: [
                key
                for key, record in scenario.records.items()
                if key.startswith(f"design.continuous.{place}.") and record.verified is False
            ]
            for name, place in section.named
        },
    )


def warn_about_continuous(scenario: Scenario, answer: ContinuousAnswer) -> None:
    """Warn about what the answer rests on, and about what the file says in vain."""
    for one in answer.trained:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SimulatorWarning)
            one.case.warn_about(one.best.batch_samples)
            warn_about_unverified(one.scenario, one.case)
        for warning in caught:  # the scenario of one workload has it alone
            text = str(warning.message).replace("workload[0]", one.workload)
            warnings.warn(text, warning.category, stacklevel=2)
    unchecked = [key for keys in answer.unverified.values() for key in keys]
    if unchecked:
        warnings.warn(f"nobody checked {', '.join(unchecked)}", UnverifiedWarning, stacklevel=2)
    in_vain = [name for name in NO_EFFECT if any(key.split(".")[0] == name for key in scenario.own_keys)]
    if in_vain:
        text = f"no effect on a continuous design: {', '.join(in_vain)}; Delta and prices are those of [design.continuous]"
        warnings.warn(text, NoEffectWarning, stacklevel=2)
    share = answer.busy_share
    if share is not None and share > 1.0:
        text = f"all runs_per_year take {100 * share:.4g} % of a year on this design: it does not limit a continuous design"
        warnings.warn(text, NoEffectWarning, stacklevel=2)


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


def _time(scenario: Scenario, section: ContinuousSection, index: int, case: Case) -> TrainingTime:
    workload, model = scenario.sections.workload[index], case.model
    assert isinstance(model.convergence, InverseLaw)
    assert isinstance(model.compute, KneeCompute)
    growth: dict[str, Growth] = {lever_of(one): one.kind for one in section.network}
    factors = {
        lever_of(one): 1.0 if one.delta_s is not None else PASSES * (workload.gradient_bytes or 0.0) for one in section.network
    }
    highest = min(_largest(case).values(), default=inf)
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


def _largest(case: Case) -> dict[str, float]:
    """Return the largest mini-batches that the case allows, by what bounds them."""
    limits = case.limits
    measured = limits.largest_measured_samples
    found = {
        "data_set": limits.data_set_samples,
        "largest_measured": None if measured is None else EXTRAPOLATION_FACTOR * measured,
        "max_batch": limits.max_batch_samples,
    }
    return {name: most for name, most in found.items() if most is not None}


def _trained(
    scenario: Scenario, section: ContinuousSection, found: ContinuousDesign, index: int, one: Scenario, case: Case
) -> ContinuousTrained:
    workload = scenario.sections.workload[index]
    best, speed = found.workloads[workload.name], found.values[SPEED]
    time = _time(scenario, section, index, case)
    delta_s = time.reduce_time_s(found.values, best.learners, alone=found.alone)

    def at_design(asked: Case) -> TimeToConverge:
        compute = asked.model.compute
        assert isinstance(compute, KneeCompute)
        faster = replace(compute, gamma_s_per_sample=compute.gamma_s_per_sample / speed)
        return replace(asked.model, compute=faster, reduce=ConstantReduce(delta_s=delta_s))

    def case_of(asked: Scenario) -> Case:
        again = Case.of(asked, rounding="exact")
        return replace(again, model=at_design(again))

    model = at_design(case)
    bounds = _largest(case)
    bound = min(bounds, key=lambda name: bounds[name]) if best.bound == "max_batch" else best.bound
    optimum = Optimum(
        learners=best.learners,
        batch_samples=best.batch_samples,
        converge_time_s=best.converge_time_s,
        branch=best.branch,
        bound=bound,
    )
    return ContinuousTrained(
        workload=workload.name,
        case=case,
        scenario=one,
        best=best,
        model=model,
        bound=bound,
        flat_range_samples=flat_range(model, case.limits, optimum),
        interval=converge_interval90(one, replace(case, model=model), case_of, best.batch_samples, best.learners),
        runs_per_year=workload.runs_per_year or 0.0,
    )


def _frontier(problem: ContinuousProblem, found: ContinuousDesign) -> Iterator[ContinuousDesign]:
    """Yield the fastest designs for a range of budgets around that of the design; what buys nothing more is left out."""
    last = 0.0
    for one in continuous_frontier(problem, [found.cost_usd * factor for factor in FRONTIER]):
        if one.cost_usd > last * (1.0 + SAME):
            yield one
        last = max(last, one.cost_usd)


def _refuse_what_no_update_is_fast_enough_for(problem: ContinuousProblem, section: ContinuousSection) -> None:
    """Raise InfeasibleError where a deadline is below N_inf times the fastest update, whatever the number of learners."""
    if not isfinite(problem.deadline_s):
        return
    for time in problem.workloads:
        assert isinstance(time, TrainingTime)
        fewest = max(time.convergence.n_inf_updates, 1.0)
        fastest_s = time.gamma[SPEED] / section.speed_max * min(time.knee_samples, time.max_local_samples) + time.constant_s
        if fewest * fastest_s > problem.deadline_s:
            raise InfeasibleError(
                f"deadline_s = {problem.deadline_s:g} cannot be met by any number of learners: {time.name} needs {fewest:.6g} "
                f"updates however large the mini-batch, and the fastest update takes {fastest_s:.4g} s: "
                f"{fewest * fastest_s:.6g} s together"
            )
