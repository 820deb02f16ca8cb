"""Where the best of several options changes as a number moves: brackets on a grid, then bisection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["EQUAL", "Crossover", "crossovers_real", "crossovers_whole", "winner"]

EQUAL = 1e-9
"""Relative difference of values that is rounding."""
RELATIVE = 1e-6
"""How closely a real crossover is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """A value at which the choice flips.

    Parameters
    ----------
    variable : str
        What moves.
    at : float
        Where: a real value, or the first whole number at which the second option is the better one.
    better_below, better_above : str
        The best option on either side.
    option : str or None
        The only option in which the variable moves; None where it moves in all.
    """

    variable: str
    at: float
    better_below: str
    better_above: str
    option: str | None = None


Values = Callable[[float], Mapping[str, float]]
"""From a value of the variable to what is to be least, by option; NaN where an option does not exist there."""


def winner(values: Mapping[str, float]) -> str | None:
    """Return the option with the least value, the first of those that rounding alone tells apart; None where none has one."""
    there = {name: value for name, value in values.items() if np.isfinite(value)}
    if not there:
        return None
    least = min(there.values())
    return next(name for name, value in there.items() if value <= least * (1.0 + EQUAL))


def crossovers_real(variable: str, values: Values, grid: Sequence[float], option: str | None = None) -> list[Crossover]:
    """Return the crossovers between the neighbours of a grid (> 0, increasing), to 1e-6.

    Examples
    --------
    >>> found = crossovers_real("x", lambda x: {"a": x, "b": 3.0}, [1, 2, 4, 8])
    >>> [(round(one.at, 4), one.better_below, one.better_above) for one in found]
    [(3.0, 'a', 'b')]
    """
    found = []
    known = [(x, winner(values(x))) for x in grid]
    for (low, below), (high, above) in pairwise(known):
        if below is None or above is None:
            continue
        while below != above:  # a third option may lie between the two: go on from where it ends
            left, right, first, next_ = low, high, below, above
            while right / left > 1.0 + RELATIVE:
                middle = float(np.sqrt(left * right))
                at = winner(values(middle))
                if at == first or at is None:
                    left = middle
                else:
                    right, next_ = middle, at
            found.append(Crossover(variable=variable, at=right, better_below=first, better_above=next_, option=option))
            low, below = right, next_
    return found


def crossovers_whole(variable: str, values: Values, grid: Sequence[int]) -> list[Crossover]:
    """Return the crossovers between neighbours of a grid of whole numbers: `at` is the first number of the second option.

    Numbers at which an option does not exist are compared without it. Between two numbers of the grid with the same best option
    no others are looked for.

    Examples
    --------
    >>> found = crossovers_whole("P", lambda P: {"a": P, "b": 50.5}, [1, 10, 100])
    >>> [(one.at, one.better_below, one.better_above) for one in found]
    [(51, 'a', 'b')]
    """
    found = []
    remembered: dict[int, str | None] = {}

    def best(P: int) -> str | None:
        if P not in remembered:
            remembered[P] = winner(values(P))
        return remembered[P]

    there = [P for P in grid if best(P) is not None]
    for low, high in pairwise(there):
        below, above = best(low), best(high)
        while below != above:
            left, right = low, high
            while right - left > 1:
                middle = (left + right) // 2
                if best(middle) in (below, None):
                    left = middle
                else:
                    right = middle
            next_ = best(right)
            assert below is not None
            assert next_ is not None
            found.append(Crossover(variable=variable, at=right, better_below=below, better_above=next_))
            low, below = right, next_
    return found
