"""Options side by side: how likely each is the best, what choosing it costs on average, and where the choice flips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.quantities import FloatArray
from simulator.studies.chances import chances

__all__ = ["Crossover", "Crossovers", "Standing", "crossovers", "standing"]

TIE = 1e-12
"""Relative difference up to which two options are as good as each other: rounding."""
BESIDE = 1e-9
"""How far beside a root, relative, it is asked who is the best there."""
MOST_FLIPS = 1000

Values = Callable[[float], FloatArray]
"""From the variable to the value of each option, the least the best; infinite where an option is not possible."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """How sure it is which of some options has the least value.

    Parameters
    ----------
    probability_best : tuple of float
        Of each option; options that are equally good on a draw share it. They add up to 1.
    beats : tuple of tuple of float
        beats[a][b]: the chance that a is better than b; equally good counts one half.
    expected_regret, relative_regret : tuple of float
        Of each option: mean over draws of its value minus the least of all, and as a share of its mean.
    intervals90 : tuple of (float, float)
        Of each value.
    """

    probability_best: tuple[float, ...]
    beats: tuple[tuple[float, ...], ...]
    expected_regret: tuple[float, ...]
    relative_regret: tuple[float, ...]
    intervals90: tuple[tuple[float, float], ...]


def standing(values: Sequence[FloatArray]) -> Standing:
    """Compare options on the same draws.

    Parameters
    ----------
    values : sequence of ndarray
        Of each option, its value for every draw, > 0. Draws belong together: draw i is the same world for all options.

    Examples
    --------
    >>> found = standing([np.array([1.0, 2.0, 3.0, 1.0]), np.array([2.0, 1.0, 4.0, 1.0])])
    >>> found.probability_best, found.beats, found.expected_regret
    ((0.625, 0.375), ((0.5, 0.625), (0.375, 0.5)), (0.25, 0.5))
    """
    each = [chances([one, *(other for j, other in enumerate(values) if j != i)]) for i, one in enumerate(values)]
    return Standing(
        probability_best=tuple(one.probability_best[0] for one in each),
        beats=tuple((*one.beats[1 : i + 1], 0.5, *one.beats[i + 1 :]) for i, one in enumerate(each)),
        expected_regret=tuple(one.expected_regret for one in each),
        relative_regret=tuple(one.relative_regret for one in each),
        intervals90=tuple(one.intervals90[0] for one in each),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """A value of a variable at which another option becomes the best.

    Parameters
    ----------
    at : float
        The value; of a whole variable, the first one at which the new option is the best.
    before, after : int or None
        The best option on either side; None before the first value at which any is possible.
    """

    at: float
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossovers:
    """Where the choice flips along a variable.

    Parameters
    ----------
    low, high : float
        Between which values it was looked for.
    points : tuple of (float, tuple of float)
        Values of the variable on the way, in order, with the values of all options there.
    every : bool
        Whether all whole numbers between low and high are among them.
    first : int or None
        The best option at `low`.
    tied : bool
        Whether all options are equally good at every point.
    found : tuple of Crossover
        In the order of the variable.
    """

    low: float
    high: float
    points: tuple[tuple[float, tuple[float, ...]], ...]
    every: bool
    first: int | None
    tied: bool
    found: tuple[Crossover, ...]


def crossovers(values: Values, points: FloatArray, *, whole: bool = False) -> Crossovers:
    """Find every value of a variable at which the best option changes, as far as the points show it.

    Parameters
    ----------
    values : callable
        Values of all options at a value of the variable.
    points : ndarray
        Values that are tried in any case, > 0, in rising order. Between two with the same best option none is looked for.
    whole : bool
        Whether the variable has whole values only; the flip is then known exactly, otherwise to 1e-9 of the value.

    Notes
    -----
    Between two points with different best options the root of log(value of the first one / least value of the others) is
    found by Brent's method in the logarithm of the variable (whole variables: by bisection), then the same is asked between
    the root and the second point, since a third option may be the best in between. As long as an option is as good as any it
    stays the choice.

    Examples
    --------
    A constant of 6 against x: equal at 6.

    >>> found = crossovers(lambda x: np.array([6.0, x]), np.array([1.0, 100.0])).found[0]
    >>> round(found.at, 9), found.before, found.after
    (6.0, 1, 0)
    >>> crossovers(lambda x: np.array([6.5, x]), np.array([1.0, 100.0]), whole=True).found[0].at
    7.0
    """
    known: dict[float, FloatArray] = {}

    def at(x: float) -> FloatArray:
        if x not in known:
            known[x] = np.asarray(values(x), dtype=np.float64)
        return known[x]

    first = now = _best(at(float(points[0])))
    found: list[Crossover] = []
    for left, right in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
        lower = left
        while not _is_best(now, at(right)) and len(found) < MOST_FLIPS:
            lower, beyond = (_whole_flip if whole else _real_flip)(at, now, lower, right)
            after = _best(at(beyond))
            found.append(Crossover(at=lower, before=now, after=after))
            now, lower = after, beyond
    tried = tuple((x, tuple(known[x].tolist())) for x in sorted(known))
    return Crossovers(
        low=float(points[0]),
        high=float(points[-1]),
        points=tried,
        every=whole and len(tried) == round(float(points[-1] - points[0])) + 1,
        first=first,
        tied=all(bool(np.all(np.array(row) <= min(row) * (1.0 + TIE))) for _, row in tried if np.all(np.isfinite(row))),
        found=tuple(found),
    )


def _best(row: FloatArray) -> int | None:
    """Return the first of the best options; None where none is possible."""
    if not np.isfinite(row).any():
        return None
    return int(np.argmax(row <= row.min() * (1.0 + TIE)))


def _is_best(option: int | None, row: FloatArray) -> bool:
    """Whether an option is as good as any, or none is possible: nobody is better then, and the choice stays."""
    if not np.isfinite(row).any():
        return True
    return option is not None and bool(np.isfinite(row[option]) and row[option] <= row.min() * (1.0 + TIE))


def _whole_flip(at: Values, now: int | None, low: float, high: float) -> tuple[float, float]:
    """Return the first whole value (twice) at which an option is no longer the best, by bisection."""
    while high - low > 1:
        middle = float(np.floor((low + high) / 2.0))
        low, high = (middle, high) if _is_best(now, at(middle)) else (low, middle)
    return high, high


def _rivals(now: int | None, low: FloatArray, high: FloatArray) -> list[int]:
    """Return the options that the choice is held against: all but those that are as good as it at both ends."""
    if now is None:
        return list(range(len(low)))
    return [
        i
        for i in range(len(low))
        if i != now and not (np.isclose(low[i], low[now], rtol=TIE, atol=0.0) and high[i] >= high[now] * (1.0 - TIE))
    ]


def _real_flip(at: Values, now: int | None, low: float, high: float) -> tuple[float, float]:
    """Return the root, and a value just beyond it at which the option is no longer the best."""
    from scipy.optimize import brentq

    rivals = _rivals(now, at(low), at(high))

    def worse(log_x: float) -> float:
        row = at(float(np.exp(log_x)))
        best = row[rivals].min(initial=np.inf)
        if now is not None and np.isfinite(row[now]) and np.isfinite(best):
            return float(np.log(row[now] / best))
        return -1.0 if _is_best(now, row) else 1.0

    left, right = float(np.log(low)), float(np.log(high))
    if worse(left) < 0 < worse(right):
        root = float(brentq(worse, left, right, xtol=1e-13, rtol=1e-13))
    else:  # as good as a rival at the lower end: nothing changes its sign there
        while right - left > 1e-12:
            middle = 0.5 * (left + right)
            left, right = (middle, right) if _is_best(now, at(float(np.exp(middle)))) else (left, middle)
        root = left
    x = float(np.exp(root))
    step = BESIDE
    while step < 1.0:
        beyond = min(x * (1.0 + step), high)
        if not _is_best(now, at(beyond)):
            return x, beyond
        step *= 8.0
    return x, high
