"""The answer of `design` where everything is a real number: from [design.continuous] to Eqns 11 and 12, and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite

from simulator.compute import KneeCompute
from simulator.errors import InfeasibleError, NoEffectWarning, SimulatorWarning, UnverifiedWarning
from simulator.network.laws import ConstantReduce
from simulator.optimum import Optimum, flat_range
from simulator.quantities import YEAR_S
from simulator.scenarios.cases import Case
from simulator.scenarios.continuous_problem import NO_EFFECT, SPEED, continuous_problem, largest_batches, training_time_of
from simulator.scenarios.continuous_section import ContinuousSection
from simulator.scenarios.effects import converge_interval90, warn_about_unverified
from simulator.scenarios.resolve import Scenario
from simulator.studies.continuous.design import ContinuousDesign, continuous_design, continuous_frontier
from simulator.studies.continuous.problem import ContinuousProblem
from simulator.studies.continuous.times import BestTime, TrainingTime
from simulator.time_to_converge import TimeToConverge
from simulator.uncertainty import Interval

__all__ = ["ContinuousAnswer", "ContinuousTrained", "continuous_answer", "warn_about_continuous"]

FRONTIER = tuple(2.0 ** (step / 2.0) for step in range(-6, 7))
"""Budgets of the frontier, relative to what the design costs: from an eighth to eight times."""
SAME = 1e-6


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
    def unverified_usd(self) -> float:
        """Dollars of the components of which a number is marked as checked by nobody."""
        return sum(self.found.spent_usd.get(name, 0.0) for name, keys in self.unverified.items() if keys)

    @property
    def busy_share(self) -> float | None:
        """Share of a year that all runs_per_year take; None where no workload gives them."""
        if not any(one.runs_per_year for one in self.trained):
            return None
        return sum(one.runs_per_year * one.best.converge_time_s for one in self.trained) / YEAR_S


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
    problem, cases = continuous_problem(scenario, budget_usd=budget_usd, deadline_s=deadline_s)
    design = scenario.sections.design
    assert design is not None
    section = design.continuous
    assert section is not None
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


def _trained(
    scenario: Scenario, section: ContinuousSection, found: ContinuousDesign, index: int, one: Scenario, case: Case
) -> ContinuousTrained:
    workload = scenario.sections.workload[index]
    best, speed = found.workloads[workload.name], found.values[SPEED]
    time = training_time_of(scenario, section, index, case)
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
    bounds = largest_batches(case)
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
