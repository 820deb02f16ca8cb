"""Times, money and power of a design as functions of the logarithms of its free levers, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log

import numpy as np

from simulator.quantities import FloatArray
from simulator.studies.continuous.problem import Component, ContinuousProblem, Lever
from simulator.studies.continuous.times import BestTime

__all__ = ["System"]

LOG_STEP = 1e-3
"""Of the fourth-order central differences of costs: truncation and rounding both near 1e-12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The problem in y = log of the free levers; the others are fixed.

    Parameters
    ----------
    problem : ContinuousProblem
        What is to be designed.
    components : sequence of Component
        Those that are paid for.
    free : sequence of Lever
        Coordinates of y.
    fixed : mapping of str to float
        The other levers.
    alone : bool
        One learner without a network.
    """

    problem: ContinuousProblem
    components: Sequence[Component]
    free: Sequence[Lever]
    fixed: Mapping[str, float]
    alone: bool

    def values(self, y: FloatArray) -> dict[str, float]:
        """Return every lever."""
        return {**self.fixed, **{lever.name: exp(at) for lever, at in zip(self.free, y.tolist(), strict=True)}}

    def times(self, y: FloatArray) -> list[BestTime]:
        """Return T_C at M_opt of each workload."""
        values = self.values(y)
        return [time.best(values, alone=self.alone) for time in self.problem.workloads]

    def shares(self) -> FloatArray:
        """Return the weights of the workloads in a mean: equal, or their own."""
        weighted = self.problem.objective == "weighted_time"
        weights = np.array([time.weight if weighted else 1.0 for time in self.problem.workloads])
        return np.asarray(weights / weights.sum())

    def log_times(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log T_C of each workload and its gradient by y."""
        times, values = self.times(y), self.values(y)
        value = np.array([log(one.converge_time_s) for one in times])
        slopes = np.array(
            [
                [one.slopes.get(lever.name, 0.0) * values[lever.name] / one.converge_time_s for lever in self.free]
                for one in times
            ]
        ).reshape(len(times), len(self.free))
        return value, slopes

    def _sum(self, y: FloatArray, parts: Callable[[Component], Callable[..., float] | None]) -> tuple[FloatArray, FloatArray]:
        """Return the parts of a sum over components (k,), and their gradients by y (k, n)."""
        values = self.values(y)
        amounts, slopes = np.zeros(len(self.components)), np.zeros((len(self.components), len(self.free)))
        for k, component in enumerate(self.components):
            part = parts(component)
            if part is None:
                continue
            at = [values[name] for name in component.levers]
            amounts[k] = part(*at)
            if not (isfinite(amounts[k]) and amounts[k] >= 0.0):
                stated = ", ".join(f"{name} = {value:g}" for name, value in zip(component.levers, at, strict=True))
                raise ValueError(f"{component.name} must cost and draw a finite amount >= 0, got {amounts[k]:g} at {stated}")
            for i, lever in enumerate(self.free):
                if lever.name in component.levers:
                    place = component.levers.index(lever.name)
                    around = [part(*at[:place], at[place] * exp(step * LOG_STEP), *at[place + 1 :]) for step in (1, -1, 2, -2)]
                    slopes[k, i] = (8.0 * (around[0] - around[1]) - (around[2] - around[3])) / (12.0 * LOG_STEP)
        return amounts, slopes

    def costs(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return dollars by component and their gradients by y."""
        return self._sum(y, lambda component: component.cost_usd)

    def powers(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return watts by component and their gradients by y."""
        return self._sum(y, lambda component: component.power_w)

    def objectives(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the logarithm of what is to be least: of dollars, of the mean time, or of each time."""
        if self.problem.objective == "cost":
            return _log_of_sum(*self.costs(y))
        value, slopes = self.log_times(y)
        if self.problem.objective == "worst_time":
            return value, slopes
        share = self.shares() * np.exp(value)
        return np.array([log(share.sum())]), (share @ slopes / share.sum())[None, :]

    def constraints(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log of dollars, watts and each time over their limits, where there are such."""
        problem = self.problem
        values, slopes = [np.zeros(0)], [np.zeros((0, len(self.free)))]
        if isfinite(problem.budget_usd):
            value, slope = _log_of_sum(*self.costs(y))
            values.append(value - log(problem.budget_usd))
            slopes.append(slope)
        if isfinite(problem.power_max_w):
            value, slope = _log_of_sum(*self.powers(y))
            values.append(value - log(problem.power_max_w))
            slopes.append(slope)
        if isfinite(problem.deadline_s):
            value, slope = self.log_times(y)
            values.append(value - log(problem.deadline_s))
            slopes.append(slope)
        return np.concatenate(values), np.vstack(slopes)


def _log_of_sum(amounts: FloatArray, slopes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the logarithm of a sum, with its gradient, as one row."""
    total = max(float(amounts.sum()), 1e-300)
    return np.array([log(total)]), (slopes.sum(axis=0) / total)[None, :]
