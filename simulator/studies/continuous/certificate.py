"""Why no dollar is better spent: the time that a further dollar gains through each lever (Eqn 12), and what holds others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.quantities import FloatArray
from simulator.studies.continuous.search import Found
from simulator.studies.continuous.system import System
from simulator.studies.continuous.times import LEARNERS

__all__ = ["Certificate", "Marginal", "certificate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """What a lever does for time and money at the optimum.

    Parameters
    ----------
    lever : str
        Its name.
    value : float
        Where it stands.
    components : tuple of str
        Those whose price depends on it.
    usd_per_unit : float
        d cost / d lever.
    gain_s_per_usd : float or None
        -dT/dC: seconds that a dollar more gains, spent through this lever; after the price of the watts that it draws,
        where power is short. Equal for all free levers. None for a lever that costs nothing.
    elasticity : float
        Per cent that the time moves by if the lever moves up by one per cent.
    cost_elasticity : float
        Per cent that the dollars move by then.
    free : bool
        Whether it lies between its bounds.
    reason : str
        What holds it, where it is not free.
    """

    lever: str
    value: float
    components: tuple[str, ...]
    usd_per_unit: float
    gain_s_per_usd: float | None
    elasticity: float
    cost_elasticity: float
    free: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The conditions of optimality at a design.

    Parameters
    ----------
    marginals : tuple of Marginal
        By lever.
    gain_s_per_usd : float
        Seconds that the last dollar gains: the shadow price of the budget (of the deadline, inverted). 0 where more money
        would not help.
    gain_s_per_w : float
        Seconds that one more watt would gain; 0 where power is not short.
    equal_within : float
        Largest relative difference between a free lever's gain per dollar and `gain_s_per_usd` (relative to the price of its
        watts, where that is more); 0 with no free lever.
    money_elasticity : float
        Per cent of the time that one per cent more money gains.
    workload_weights : mapping of str to float
        Share of each workload in the time that the gains speak of: of a mean its weights, of the worst time its multipliers
        (only the longest have any), besides what a deadline adds.
    held_by : str
        What keeps the design from being faster (or cheaper, where the cost is least).
    """

    marginals: tuple[Marginal, ...]
    gain_s_per_usd: float
    gain_s_per_w: float
    equal_within: float
    money_elasticity: float
    workload_weights: Mapping[str, float]
    held_by: str


def certificate(system: System, found: Found, bounds: FloatArray) -> Certificate:
    """Return the certificate of a minimum; `bounds` are those that it was searched within."""
    problem, y = system.problem, found.y
    times, values = system.times(y), system.values(y)
    costs, cost_slopes = system.costs(y)
    watts, watt_slopes = system.powers(y)
    T = np.array([one.converge_time_s for one in times])
    budget, power, deadlines = _multipliers(system, found)
    if problem.objective == "cost":  # log C + sum kappa log T: dollars are traded for the times at the deadline
        kappa = float(deadlines.sum())
        omega = deadlines / kappa if kappa > 0 else system.shares()
        time_s = float(omega @ T)
        per_log_usd = time_s / kappa if kappa > 0 else 0.0  # seconds for a relative change of dollars
        per_log_w = power * per_log_usd
    else:
        share = system.shares()
        time_s = float(share @ T) if problem.objective != "worst_time" else float(T.max())
        omega = (share if problem.objective != "worst_time" else found.weights) + deadlines * time_s / T
        per_log_usd, per_log_w = budget * time_s, power * time_s
    log_slopes = system.log_times(y)[1]
    seconds = omega @ (T[:, None] * log_slopes)  # dT / dy
    usd, total_usd, total_w = cost_slopes.sum(axis=0), float(costs.sum()), float(watts.sum())
    seconds_of_watts = per_log_w / total_w * watt_slopes.sum(axis=0) if total_w > 0 else 0.0 * usd
    gain = per_log_usd / total_usd
    marginals, differences = [], [0.0]
    for i, lever in enumerate(system.free):
        per_usd = -(seconds[i] + seconds_of_watts[i]) / usd[i] if usd[i] else None
        is_free = found.at_bound[i] == 0
        if is_free and per_usd is not None and gain > 0:
            watts_s = float(np.broadcast_to(seconds_of_watts, usd.shape)[i])
            largest = max(abs(gain * usd[i]), abs(watts_s))  # where watts are dear, what they leave for dollars is a difference
            differences.append(abs((per_usd - gain) * usd[i]) / largest)
        value = values[lever.name]
        marginals.append(
            Marginal(
                lever=lever.name,
                value=value,
                components=tuple(one.name for one in system.components if lever.name in one.levers),
                usd_per_unit=float(usd[i]) / value,
                gain_s_per_usd=None if per_usd is None else float(per_usd),
                elasticity=float(seconds[i]) / time_s,
                cost_elasticity=float(usd[i]) / total_usd,
                free=bool(is_free),
                reason="" if is_free else _reason(system, lever.name, float(found.at_bound[i]), float(usd[i]), bounds[i]),
            )
        )
    marginals += [
        Marginal(
            lever=name, value=value, components=tuple(one.name for one in system.components if name in one.levers),
            usd_per_unit=0.0, gain_s_per_usd=None, elasticity=0.0, cost_elasticity=0.0, free=False,
            reason="one learner without a network" if system.alone and name == LEARNERS else "fixed: nothing else can be had",
        )
        for name, value in system.fixed.items()
    ]  # fmt: skip
    return Certificate(
        marginals=tuple(marginals),
        gain_s_per_usd=gain,
        gain_s_per_w=per_log_w / total_w if total_w > 0 else 0.0,
        equal_within=max(differences),
        money_elasticity=per_log_usd / time_s,
        workload_weights={time.name: float(part) for time, part in zip(problem.workloads, omega, strict=True)},
        held_by=_held_by(system, budget, power, deadlines, total_usd),
    )


def _multipliers(system: System, found: Found) -> tuple[float, float, FloatArray]:
    """Return the multipliers of budget, power and deadlines: 0 for those that there are not."""
    left = found.multipliers.tolist()
    problem = system.problem
    budget = left.pop(0) if np.isfinite(problem.budget_usd) else 0.0
    power = left.pop(0) if np.isfinite(problem.power_max_w) else 0.0
    return budget, power, np.asarray(left) if left else np.zeros(len(problem.workloads))


def _reason(system: System, lever: str, side: float, usd: float, bounds: FloatArray) -> str:
    """Say what holds a lever at a bound, and which way money would move it."""
    end = "highest" if side > 0 else "lowest"
    own = next(one for one in system.free if one.name == lever)
    at = float(np.exp(bounds[1] if side > 0 else bounds[0]))
    if lever == LEARNERS and own.lowest * (1 + 1e-12) < at < own.highest * (1 - 1e-12):
        words: dict[str, list[str]] = {}
        for time in system.problem.workloads:
            for P, why in time.kinks_learners.items():
                if abs(P / at - 1) < 1e-9:
                    words.setdefault(why, []).append(time.name)
        return f"from {at:.6g} learners " + ", ".join(why.format(", ".join(names)) for why, names in words.items())
    takes = usd * side > 0
    return f"at its {end}, {at:.6g}: " + ("it would take more money" if takes else "no money is to be saved by less of it")


def _held_by(system: System, budget: float, power: float, deadlines: FloatArray, cost_usd: float) -> str:
    """Say what keeps the design from being better."""
    held = []
    if budget > 0:
        held.append("the budget")
    if power > 0:
        held.append("the power")
    for time, multiplier in zip(system.problem.workloads, deadlines.tolist(), strict=True):
        if multiplier > 0:
            held.append(f"the deadline of {time.name}")
    if not held:
        left = system.problem.budget_usd - cost_usd
        spare = f", {left:,.0f} USD are left" if np.isfinite(left) else ""
        return f"nothing that money buys: more would not help{spare}"
    return ", ".join(held)
