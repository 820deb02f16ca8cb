"""How sure a choice is: draws of everything uncertain, the same for all options; chances, regret, and what matters most.

Common random numbers: one standard normal per quantity and draw, whatever the options, so that what two options share (a law, a
price) moves both. A quantity's numbers depend on its name and the seed alone: a further option leaves the others' draws alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from simulator.quantities import ArrayLike, FloatArray
from simulator.uncertainty import NORMAL_95

__all__ = [
    "DRAWS",
    "Chances",
    "Importance",
    "Normals",
    "chances",
    "deciding",
    "importance",
    "interval90_of",
    "two_piece_factor",
]

EQUAL = 1e-9
"""Relative difference of values that is rounding."""
DRAWS = 4096
"""Draws: a chance of one half is known to 0.8 %."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normals:
    """Standard normal draws by the name of a quantity.

    Parameters
    ----------
    base : int
        What the draws depend on besides the names.
    draws : int
        How many.
    swapped : frozenset of str
        Names whose draws are of the second, independent set.
    """

    base: int
    draws: int = DRAWS
    swapped: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rng: np.random.Generator, draws: int = DRAWS) -> Normals:
        """Take a base from a generator."""
        return cls(base=int(rng.integers(2**62)), draws=draws)

    def __getitem__(self, name: str) -> FloatArray:
        generator = np.random.default_rng([self.base, crc32(name.encode()), int(name in self.swapped)])
        return generator.standard_normal(self.draws)


def two_piece_factor(normal: ArrayLike, value: float, low: float, high: float) -> FloatArray:
    """Return what a quantity is multiplied by: its 5 % and 95 % quantiles lie at low and high, its median at the value.

    Examples
    --------
    >>> two_piece_factor([-1.6448536, 0.0, 1.6448536], 2.0, 1.0, 3.0).round(6)
    array([0.5, 1. , 1.5])
    """
    z = np.asarray(normal, dtype=np.float64) / NORMAL_95
    return np.asarray(np.exp(np.where(z > 0, z * np.log(high / value), -z * np.log(low / value))))


def interval90_of(values: FloatArray) -> tuple[float, float]:
    """Return the 5 % and 95 % quantiles of draws."""
    low, high = np.quantile(values, [0.05, 0.95])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chances:
    """How sure it is that the first of some options is the best.

    Parameters
    ----------
    probability_best : tuple of float
        Of each option, that it has the least value; they add up to 1.
    expected_regret, relative_regret : float
        Mean over draws of the first option's value minus the least of all, and as a share of the first one's mean.
    beats : tuple of float
        Of each option, the chance that the first one is better than it; equally good counts one half.
    intervals90 : tuple of (float, float)
        Of each value.
    """

    probability_best: tuple[float, ...]
    expected_regret: float
    relative_regret: float
    beats: tuple[float, ...]
    intervals90: tuple[tuple[float, float], ...]


def chances(values: Sequence[FloatArray]) -> Chances:
    """Compare options on the same draws; those that are equally good (to 1e-9) share the chance.

    Examples
    --------
    >>> found = chances([np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 4.0])])
    >>> [round(chance, 3) for chance in found.probability_best], round(found.expected_regret, 3)
    ([0.667, 0.333], 0.333)
    """
    table = np.stack(values)
    best = table <= table.min(axis=0) * (1.0 + EQUAL)
    chance = best / best.sum(axis=0)
    regret = float((table[0] - table.min(axis=0)).mean())
    return Chances(
        probability_best=tuple(float(np.mean(row)) for row in chance),
        expected_regret=regret,
        relative_regret=regret / float(table[0].mean()),
        beats=tuple(float(np.mean((table[0] < row * (1.0 - EQUAL)) + 0.5 * _equal(table[0], row))) for row in table),
        intervals90=tuple(interval90_of(row) for row in table),
    )


def _equal(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.isclose(one, other, rtol=EQUAL, atol=0.0).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What a group of quantities contributes to a spread.

    Parameters
    ----------
    group : str
        Its name.
    share : float
        First-order Sobol index: the share of the variance that knowing the group would remove. 0 to 1 up to sampling noise.
    """

    group: str
    share: float


LEAST_SPREAD = 1e-3
"""Standard deviation of log(one/other) below which nothing uncertain tells two options apart."""


def deciding(
    one: Callable[[Normals], FloatArray],
    other: Callable[[Normals], FloatArray],
    groups: Mapping[str, Iterable[str]],
    normals: Normals,
) -> tuple[Importance, ...]:
    """Return what the ratio of two options hangs on, largest first; nothing where what is uncertain hardly moves it.

    Examples
    --------
    What both share does not tell them apart:

    >>> shared, own = (lambda z: np.exp(z["x"])), (lambda z: np.exp(z["x"] + 0.1 * z["y"]))
    >>> deciding(shared, own, {"x": ["x"], "y": ["y"]}, Normals(base=1))[0].group
    'y'
    >>> deciding(shared, shared, {"x": ["x"]}, Normals(base=1))
    ()
    """

    def apart(z: Normals) -> FloatArray:
        return np.asarray(np.log(one(z) / other(z)))

    return importance(apart, groups, normals) if float(np.std(apart(normals))) > LEAST_SPREAD else ()


def importance(
    outcome: Callable[[Normals], FloatArray], groups: Mapping[str, Iterable[str]], normals: Normals
) -> tuple[Importance, ...]:
    """Return the first-order Sobol index of each group, largest first.

    Parameters
    ----------
    outcome : callable
        From draws to the value whose variance is explained.
    groups : mapping of str to iterable of str
        Quantities by group.
    normals : Normals
        The draws.

    Notes
    -----
    The estimator of Saltelli et al. [1]_: mean of A * (B with the group's columns of A - B), over the variance. Its error is
    about 1/sqrt(draws).

    References
    ----------
    .. [1] A. Saltelli et al., "Variance based sensitivity analysis of model output", Computer Physics Communications 181
       (2010).

    Examples
    --------
    Of 3 x + y the variance is 9 + 1:

    >>> found = importance(lambda z: 3 * z["x"] + z["y"], {"x": ["x"], "y": ["y"]}, Normals(base=1))
    >>> [(one.group, round(one.share, 1)) for one in found]
    [('x', 0.9), ('y', 0.1)]
    """
    everything = frozenset(name for names in groups.values() for name in names)
    own = outcome(normals)
    other = outcome(Normals(base=normals.base, draws=normals.draws, swapped=everything))
    centre, variance = float(np.mean(np.append(own, other))), float(np.var(np.append(own, other)))
    if variance <= 1e-24:
        return tuple(Importance(group=group, share=0.0) for group in groups)
    found = []
    for group, names in groups.items():
        mixed = outcome(Normals(base=normals.base, draws=normals.draws, swapped=everything - frozenset(names)))
        share = float(np.mean((own - centre) * (mixed - other))) / variance
        found.append(Importance(group=group, share=min(max(share, 0.0), 1.0)))
    return tuple(sorted(found, key=lambda one: -one.share))
