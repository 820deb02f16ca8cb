"""The best design where all that money buys is a real number: Eqns 11 and 12, any smooth costs, any number of components.

Time and money are minimised over the logarithms of the levers (learners, gamma, delta, ...). There T_C at M_opt is convex, and
so is money that is a sum of powers: the optimum found is then the only one. The certificate is what the paper asks of it: a
further dollar gains the same time wherever it is spent, but where a bound holds, which is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite, log

import numpy as np

from simulator.errors import InfeasibleError
from simulator.quantities import FloatArray
from simulator.studies.continuous.certificate import Certificate, certificate
from simulator.studies.continuous.problem import ContinuousProblem
from simulator.studies.continuous.search import Found, least_largest
from simulator.studies.continuous.system import System
from simulator.studies.continuous.times import LEARNERS, BestTime

__all__ = ["ContinuousDesign", "continuous_design", "continuous_frontier"]

BESIDE = 1e-12
"""How far beside a kink, in log learners, a smooth piece begins: the slope there is that of its own side."""
SLACK = 1e-7
"""Relative excess over a limit that counts as rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousDesign:
    """The best design, and why no dollar is better spent.

    Parameters
    ----------
    values : mapping of str to float
        Of each lever. Where one learner alone is best, those of the network are left out.
    time_s : float
        Mean or weighted mean of T_C, or the longest (also where dollars are least).
    cost_usd, power_w : float
        Of the whole.
    spent_usd : mapping of str to float
        By component.
    workloads : mapping of str to BestTime
        T_C, M_opt and branch of each.
    certificate : Certificate
        Gain per dollar by lever, shadow prices, elasticities.
    alone : bool
        Whether it is one learner without a network.
    """

    values: Mapping[str, float]
    time_s: float
    cost_usd: float
    power_w: float
    spent_usd: Mapping[str, float]
    workloads: Mapping[str, BestTime]
    certificate: Certificate
    alone: bool


def continuous_design(problem: ContinuousProblem) -> ContinuousDesign:
    """Find the best design of real numbers.

    Parameters
    ----------
    problem : ContinuousProblem
        With a budget, a deadline, or both.

    Returns
    -------
    ContinuousDesign
        The better of the best with a network and the best of one learner alone, which has no Delta and pays for no network.

    Raises
    ------
    InfeasibleError
        If nothing meets the budget, the deadline and the power; the text says what would.

    Examples
    --------
    Learners at 10,000 USD, delta at 5,000 USD s: compute against bandwidth as (alpha gamma p / (b N_inf))^(1/3).

    >>> from simulator.convergence import InverseLaw
    >>> from simulator.studies.continuous.problem import Component, Lever
    >>> from simulator.studies.continuous.times import TrainingTime
    >>> time = TrainingTime(convergence=InverseLaw(n_inf_updates=1000, alpha_samples=6.4e6), knee_samples=1)
    >>> found = continuous_design(
    ...     ContinuousProblem(
    ...         workloads=(time,),
    ...         levers=(
    ...             Lever(name="learners", lowest=1, highest=1e6),
    ...             Lever(name="gamma_s_per_sample", lowest=0.01, highest=0.01),
    ...             Lever(name="delta_s", lowest=1e-6, highest=1e3),
    ...         ),
    ...         components=(
    ...             Component(name="compute", levers=("learners",), cost_usd=lambda P: 10_000 * P),
    ...             Component(name="bandwidth", levers=("delta_s",), cost_usd=lambda delta: 5_000 / delta, network=True),
    ...         ),
    ...         budget_usd=1e6,
    ...     )
    ... )
    >>> round(found.spent_usd["compute"] / found.spent_usd["bandwidth"], 6)  # (6.4e6 * 0.01 * 10000 / (5000 * 1000))^(1/3)
    5.039684
    """
    found = []
    for alone in (False, True):
        one = _best(problem, alone)
        if one is not None:
            found.append(one)
    if not found:
        raise InfeasibleError(_what_would_be_feasible(problem))
    return min(found, key=lambda design: design.cost_usd if problem.objective == "cost" else design.time_s)


def continuous_frontier(problem: ContinuousProblem, budgets_usd: Sequence[float]) -> list[ContinuousDesign]:
    """Return the design of least time for each budget that affords one, in increasing order; the deadline is left aside."""
    objective = "worst_time" if problem.objective == "cost" else problem.objective
    found = []
    for budget in sorted(budgets_usd):
        request = replace(problem, objective=objective, budget_usd=budget, deadline_s=inf)
        ways = [one for one in (_best(request, alone) for alone in (False, True)) if one is not None]
        if ways:
            found.append(min(ways, key=lambda design: design.time_s))
    return found


def _best(problem: ContinuousProblem, alone: bool) -> ContinuousDesign | None:
    """Return the best design with a network, or of one learner without; None where nothing meets the limits."""
    learners = next((lever for lever in problem.levers if lever.name == LEARNERS), None)
    if alone and (learners is None or learners.lowest > 1.0):
        return None
    components = [one for one in problem.components if not (alone and one.network)]
    needed = {name for one in components for name in one.levers}
    if alone:
        lowest = {one.name: one.lowest for one in problem.levers}
        needed |= {name for time in problem.workloads for name in time.best(lowest, alone=True).slopes}
    levers = [lever for lever in problem.levers if not alone or lever.name in needed]
    fixed = {lever.name: lever.lowest for lever in levers if lever.lowest == lever.highest}
    if alone:
        fixed[LEARNERS] = 1.0
    free = [lever for lever in levers if lever.name not in fixed]
    system = System(problem=problem, components=components, free=free, fixed=fixed, alone=alone)
    best: tuple[Found, FloatArray] | None = None
    for bounds in _smooth_pieces(system):
        found = least_largest(system, bounds, None if best is None else best[0].y)
        if found.violation <= SLACK and (best is None or found.value < best[0].value - 1e-12):
            best = found, bounds
    return None if best is None else _described(system, *best)


def _smooth_pieces(system: System) -> list[FloatArray]:
    """Return the bounds of y between the learners where a time has a kink."""
    bounds = np.array([[log(lever.lowest), log(lever.highest)] for lever in system.free]).reshape(-1, 2)
    place = next((i for i, lever in enumerate(system.free) if lever.name == LEARNERS), None)
    if place is None:
        return [bounds]
    low, high = bounds[place]
    kinks = {log(P) for time in system.problem.workloads for P in time.kinks_learners if P > 1.0}
    pieces = []
    for ends in pairwise([low, *sorted(kink for kink in kinks if low < kink < high), high]):
        piece = bounds.copy()
        piece[place] = ends[0] + BESIDE * (ends[0] > low), ends[1] - BESIDE * (ends[1] < high)
        pieces.append(piece)
    return pieces


def _described(system: System, found: Found, bounds: FloatArray) -> ContinuousDesign:
    times, costs = system.times(found.y), system.costs(found.y)[0]
    T = np.array([one.converge_time_s for one in times])
    is_mean = system.problem.objective in ("mean_time", "weighted_time")
    return ContinuousDesign(
        values=system.values(found.y),
        time_s=float(system.shares() @ T) if is_mean else float(T.max()),
        cost_usd=float(costs.sum()),
        power_w=float(system.powers(found.y)[0].sum()),
        spent_usd={one.name: float(usd) for one, usd in zip(system.components, costs, strict=True)},
        workloads={time.name: one for time, one in zip(system.problem.workloads, times, strict=True)},
        certificate=certificate(system, found, bounds),
        alone=system.alone,
    )


def _what_would_be_feasible(problem: ContinuousProblem) -> str:
    """Say which limits contradict each other, and what would meet them."""

    def least(request: ContinuousProblem) -> list[ContinuousDesign]:
        return [one for one in (_best(request, alone) for alone in (False, True)) if one is not None]

    unlimited = replace(problem, objective="worst_time", budget_usd=inf, deadline_s=inf, power_max_w=inf)
    fastest = min(least(unlimited), key=lambda one: one.time_s)
    if problem.deadline_s < fastest.time_s:
        slowest = max(problem.workloads, key=lambda time: fastest.workloads[time.name].converge_time_s)
        return (
            f"no design converges within {problem.deadline_s:g} s, whatever it costs: the fastest within the bounds of the "
            f"levers takes {fastest.time_s:.6g} s ({slowest.name}) for {fastest.cost_usd:,.0f} USD"
        )
    limits = [f"{problem.budget_usd:,.0f} USD"] if isfinite(problem.budget_usd) else []
    limits += [f"{problem.power_max_w:g} W"] if isfinite(problem.power_max_w) else []
    limits += [f"{problem.deadline_s:g} s"] if isfinite(problem.deadline_s) else []
    deadline_s = problem.deadline_s if isfinite(problem.deadline_s) else 1e9 * fastest.time_s
    cheapest = least(replace(problem, objective="cost", deadline_s=deadline_s, budget_usd=inf))
    if not cheapest:
        frugal = least(replace(problem, objective="cost", deadline_s=deadline_s, budget_usd=inf, power_max_w=inf))
        one = min(frugal, key=lambda design: design.cost_usd)
        return f"no design meets {' and '.join(limits)}: without the limit of power the cheapest draws {one.power_w:,.0f} W"
    one = min(cheapest, key=lambda design: design.cost_usd)
    return f"no design meets {' and '.join(limits)}: the cheapest costs {one.cost_usd:,.0f} USD and takes {one.time_s:.6g} s"
