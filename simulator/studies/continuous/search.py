"""The least of the largest of some smooth functions under smooth constraints and bounds, with the multipliers that prove it.

SLSQP from several starts finds the place; Newton's method on the conditions of optimality (all gradients balanced, active
constraints met exactly) then makes it exact, and gives the multipliers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from simulator.quantities import FloatArray

__all__ = ["Found", "Smooth", "least_largest"]

STARTS = (0.5, 0.2, 0.8)
"""Starts, as places between the bounds; besides two where every other coordinate is low, the rest high."""
AGREE = 1e-7
NEAR = 1e-6
"""Slack within which a constraint counts as active after the first search."""
NEWTON_STEPS = 40
NEWTON_DIFFERENCES = (1e-5, 1e-8)
"""Steps of central differences: the first is more accurate, the second sees one side of a corner of the gradient near by."""

LEAST_PULL = 1e-9
"""Slopes of a logarithm below this are noise."""


class Smooth(Protocol):
    """Functions of y with their gradients."""

    def objectives(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values (k,) and gradients (k, n): the largest is to be least."""

    def constraints(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values (m,) and gradients (m, n): all are to be <= 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A minimum.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Where.
    value : float
        The largest objective there.
    weights : ndarray, shape (k,)
        Multipliers of the objectives, >= 0, sum 1.
    multipliers : ndarray, shape (m,)
        Of the constraints, >= 0; 0 where one is slack.
    at_bound : ndarray of int, shape (n,)
        -1 at the lower bound, 1 at the upper one, 0 between.
    violation : float
        The largest constraint: > 0 where nothing meets all.
    """

    y: FloatArray
    value: float
    weights: FloatArray
    multipliers: FloatArray
    at_bound: FloatArray
    violation: float


def least_largest(functions: Smooth, bounds: FloatArray, near: FloatArray | None = None) -> Found:
    """Minimise the largest objective.

    Parameters
    ----------
    functions : Smooth
        Objectives and constraints, of order 1 in size.
    bounds : ndarray, shape (n, 2)
        Lower and upper bound of each coordinate; n may be 0.
    near : ndarray, shape (n,), optional
        Where to start first.

    Returns
    -------
    Found
        The best of the starts; the only minimum where all functions are convex. Where nothing meets all constraints, a
        place with a small `violation`.
    """
    found: list[Found] = []
    first = [] if near is None else [np.clip(near, bounds[:, 0], bounds[:, 1])]
    allowed: FloatArray | None = None
    for start in [*first, *_starts(bounds)]:
        one = _polished(functions, bounds, _sequential(functions, bounds, start))
        if one.violation > AGREE and len(bounds):  # SLSQP wanders where it begins far outside: begin where all is allowed
            if allowed is None:
                allowed, violation = _least_violation(functions, bounds, one.y, start)
                if violation > AGREE:
                    found.append(replace(one, y=allowed, violation=violation))
                    break
            one = _polished(functions, bounds, _sequential(functions, bounds, allowed))
        agrees = any(abs(one.value - other.value) < AGREE and max(one.violation, other.violation) < AGREE for other in found)
        found.append(one)
        if agrees or not len(bounds):
            break
    return min(found, key=lambda one: (max(one.violation - AGREE, 0.0), one.value))


@dataclass(frozen=True, slots=True)
class _Violation:
    """The constraints of other functions as objectives."""

    functions: Smooth

    def objectives(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the constraints."""
        return self.functions.constraints(y)

    def constraints(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return none."""
        return np.zeros(0), np.zeros((0, len(y)))


def _least_violation(functions: Smooth, bounds: FloatArray, *starts: FloatArray) -> tuple[FloatArray, float]:
    """Return the place of the least largest constraint, and that constraint."""
    places = [_sequential(_Violation(functions), bounds, start) for start in starts]
    found = [(float(functions.constraints(y)[0].max(initial=0.0)), y) for y in places]
    violation, y = min(found, key=lambda pair: pair[0])
    return y, violation


def _starts(bounds: FloatArray) -> list[FloatArray]:
    n = len(bounds)
    alternate = np.where(np.arange(n) % 2 == 0, 0.15, 0.85)
    places = [np.full(n, place) for place in STARTS] + [alternate, 1.0 - alternate]
    return [bounds[:, 0] + place * (bounds[:, 1] - bounds[:, 0]) for place in places]


def _sequential(functions: Smooth, bounds: FloatArray, start: FloatArray) -> FloatArray:
    """SLSQP: on a single objective itself; over (y, t), least t with every objective <= t, where there are several."""
    if not len(bounds):
        return start
    import warnings

    from scipy.optimize import minimize

    n, first = len(bounds), functions.objectives(start)[0]
    several = len(first) > 1
    last: tuple[bytes, FloatArray, FloatArray] | None = None

    def evaluated(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Objectives, then constraints, with slopes by z; SLSQP asks for each by itself, at the same place."""
        nonlocal last
        if last is None or last[0] != z.tobytes():
            (value, slopes), (wall, wall_slopes) = functions.objectives(z[:n]), functions.constraints(z[:n])
            values, gradients = np.append(value, wall), np.vstack([slopes, wall_slopes])
            if several:
                of_t = np.append(-np.ones(len(value)), np.zeros(len(wall)))
                values, gradients = values + of_t * z[n], np.column_stack([gradients, of_t])
            last = z.tobytes(), values, gradients
        return last[1], last[2]

    skip = 0 if several else 1
    towards = np.append(np.zeros(n), 1.0)
    ends: list[tuple[float | None, float | None]] = [(low, high) for low, high in bounds.tolist()]
    walls: Any = {"type": "ineq", "fun": lambda z: -evaluated(z)[0][skip:], "jac": lambda z: -evaluated(z)[1][skip:]}
    has_walls = len(first) > skip or len(functions.constraints(start)[0]) > 0
    objective: Any = (lambda z: z[n]) if several else (lambda z: evaluated(z)[0][0])
    slope: Any = (lambda _: towards) if several else (lambda z: evaluated(z)[1][0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # steps outside the bounds are clipped, which SLSQP warns about
        result = minimize(
            objective,
            np.append(start, first.max()) if several else start,
            jac=slope,
            bounds=[*ends, (None, None)] if several else ends,
            constraints=[walls] if has_walls else [],
            method="SLSQP",
            options={"ftol": 1e-11, "maxiter": 60},
        )
    y = np.asarray(result.x[:n], dtype=np.float64)
    return np.clip(np.where(np.isfinite(y), y, start), bounds[:, 0], bounds[:, 1])


def _multipliers(functions: Smooth, bounds: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the multipliers >= 0 of objectives, constraints and bounds that balance the gradients best."""
    from scipy.optimize import nnls

    value, slopes = functions.objectives(y)
    slack, walls = functions.constraints(y)
    active, tight = value >= value.max() - NEAR, slack >= -NEAR
    low, high = y <= bounds[:, 0] + NEAR, y >= bounds[:, 1] - NEAR
    side = np.diag(high.astype(np.float64)) - np.diag(low.astype(np.float64))  # gradients of the bounds
    columns = np.hstack([slopes.T * active, walls.T * tight, side])
    sums = np.concatenate([active.astype(np.float64), np.zeros(len(slack) + len(y))])
    heavy = 1e3
    solved, _ = nnls(np.vstack([columns, heavy * sums]), np.append(np.zeros(len(y)), heavy))
    k, m = len(value), len(slack)
    return solved[:k], solved[k : k + m], solved[k + m :] * np.diag(side)


def _polished(functions: Smooth, bounds: FloatArray, y: FloatArray) -> Found:
    """Newton on the conditions of optimality, with the active set of the first search; kept where it is no worse."""
    weights, multipliers, at_bound = _multipliers(functions, bounds, y)
    free = np.flatnonzero(at_bound == 0.0)
    y = np.where(at_bound < 0, bounds[:, 0], np.where(at_bound > 0, bounds[:, 1], y)) if len(y) else y
    active, tight = np.flatnonzero(weights > 1e-9), np.flatnonzero(multipliers > 1e-9)
    pull = np.abs(weights[active] @ functions.objectives(y)[1][active])[free]
    best = _Conditions(functions, y, free, active, tight, np.clip(pull, LEAST_PULL, None))
    z = np.concatenate([y[free], weights[active], multipliers[tight], [functions.objectives(y)[0].max()]])
    residual = best.residual(z)
    differences = list(NEWTON_DIFFERENCES)
    for _ in range(NEWTON_STEPS):
        if np.abs(residual).max(initial=0.0) < 1e-13:
            break
        step = np.linalg.lstsq(best.slopes(z, differences[0]), -residual, rcond=None)[0]
        moved, shorter = False, 1.0
        for _ in range(12):
            candidate = z + shorter * step
            if np.all(candidate[: len(free)] >= bounds[free, 0]) and np.all(candidate[: len(free)] <= bounds[free, 1]):
                trial = best.residual(candidate)
                if np.abs(trial).max() < np.abs(residual).max():
                    z, residual, moved = candidate, trial, True
                    break
            shorter *= 0.5
        if not moved and not differences[1:]:
            break
        differences = differences if moved else differences[1:]
    y = best.place(z)
    all_weights, all_multipliers = np.zeros(len(weights)), np.zeros(len(multipliers))
    all_weights[active] = z[len(free) : len(free) + len(active)]
    all_multipliers[tight] = z[len(free) + len(active) : -1]
    value, slack = functions.objectives(y)[0], functions.constraints(y)[0]
    return Found(
        y=y,
        value=float(value.max()),
        weights=all_weights,
        multipliers=all_multipliers,
        at_bound=np.sign(at_bound),
        violation=float(slack.max(initial=0.0)),
    )


@dataclass(frozen=True, slots=True)
class _Conditions:
    """Gradients balanced, relative to the pull on each coordinate; active objectives equal, constraints met, weights sum 1."""

    functions: Smooth
    y: FloatArray
    free: np.ndarray[tuple[int], np.dtype[np.intp]]
    active: np.ndarray[tuple[int], np.dtype[np.intp]]
    tight: np.ndarray[tuple[int], np.dtype[np.intp]]
    pull: FloatArray

    def place(self, z: FloatArray) -> FloatArray:
        """Return y of the unknowns."""
        y = self.y.copy()
        y[self.free] = z[: len(self.free)]
        return y

    def residual(self, z: FloatArray) -> FloatArray:
        """Return what is to be zero."""
        f, a = len(self.free), len(self.active)
        weights, multipliers, largest = z[f : f + a], z[f + a : -1], z[-1]
        y = self.place(z)
        value, slopes = self.functions.objectives(y)
        slack, walls = self.functions.constraints(y)
        balance = weights @ slopes[self.active] + multipliers @ walls[self.tight]
        return np.concatenate(
            [balance[self.free] / self.pull, value[self.active] - largest, slack[self.tight], [weights.sum() - 1.0]]
        )

    def slopes(self, z: FloatArray, difference: float) -> FloatArray:
        """Return the derivative of the residual, by central differences."""
        columns = []
        for i in range(len(z)):
            up, down = z.copy(), z.copy()
            up[i] += difference
            down[i] -= difference
            columns.append((self.residual(up) - self.residual(down)) / (2.0 * difference))
        return np.column_stack(columns)
