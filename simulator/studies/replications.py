"""How often a simulation is repeated, and what the repetitions say: mean, its interval, and the spread of single runs.

Replication i draws from child i of the seed, and whether there are enough is decided in the order of their numbers: the answer
does not depend on which worker ends first, or on an interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.quantities import ArrayLike, FloatArray, positive, whole
from simulator.tasks import Journal, in_order, run_locally

__all__ = ["Plan", "Spread", "generator", "repeat"]

CONFIDENCE = 0.9
"""Of the interval of the mean; as all intervals of this program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many replications.

    Parameters
    ----------
    fewest, most : int
        At least and at most, >= 1.
    stop_relative_halfwidth : float, optional
        Between them, stop as soon as the 90 % interval of the mean is this narrow: half of its width relative to the mean,
        > 0. Without it all of `most` are made.
    """

    fewest: int = 1
    most: int = 1
    stop_relative_halfwidth: float | None = None

    def __post_init__(self) -> None:
        whole("fewest", self.fewest)
        whole("most", self.most)
        if self.fewest > self.most:
            raise ValueError(f"most must be >= fewest = {self.fewest}, got {self.most}")
        if self.stop_relative_halfwidth is not None:
            positive("stop_relative_halfwidth", self.stop_relative_halfwidth)

    def is_enough(self, values: ArrayLike) -> bool:
        """Whether these replications, in their order, are all that is needed.

        Parameters
        ----------
        values : array_like
            Shape (replications,) or (replications, quantities): every quantity has to be known well enough.
        """
        table = np.asarray(values, dtype=np.float64)
        n = len(table)
        if n >= self.most:
            return True
        if n < max(self.fewest, 2) or self.stop_relative_halfwidth is None:
            return False
        columns = table.reshape(n, -1).T
        return all(_halfwidth(column) <= self.stop_relative_halfwidth * abs(float(column.mean())) for column in columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What replications say of one quantity, >= 0.

    Parameters
    ----------
    mean : float
        Their mean.
    lo, hi : float or None
        90 % interval of the mean, Student's t, cut off at 0; None of a single replication.
    p5, p50, p95 : float
        Quantiles of single replications, interpolated between the nearest two.
    """

    mean: float
    lo: float | None
    hi: float | None
    p5: float
    p50: float
    p95: float

    @classmethod
    def of(cls, values: ArrayLike) -> Spread:
        """Summarise replications (shape (n,), n >= 1).

        Examples
        --------
        >>> found = Spread.of([9.0, 10.0, 11.0, 12.0, 13.0])  # t(0.95, 4 degrees of freedom) = 2.132, sd = sqrt(2.5)
        >>> found.mean, round(found.hi - found.mean, 4)
        (11.0, 1.5074)
        """
        x = np.asarray(values, dtype=np.float64)
        mean = float(x.mean())
        half = _halfwidth(x) if len(x) > 1 else None
        p5, p50, p95 = (float(value) for value in np.quantile(x, (0.05, 0.5, 0.95)))
        lo, hi = (None, None) if half is None else (min(mean, max(mean - half, 0.0)), mean + half)
        return cls(mean=mean, lo=lo, hi=hi, p5=p5, p50=p50, p95=p95)


def _halfwidth(values: FloatArray) -> float:
    """Half the width of the 90 % interval of the mean of at least two values."""
    from scipy.special import stdtrit

    n = len(values)
    return float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2.0) * values.std(ddof=1) / np.sqrt(n))


def generator(seed: int, replication: int) -> np.random.Generator:
    """Return the generator of a replication: child `replication` of the seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(replication,)))


def repeat(
    replication: Callable[[int], Mapping[str, Any]],
    plan: Plan,
    quantities: Callable[[Mapping[str, Any]], Sequence[float]],
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    journal: Journal | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Mapping[str, Any]]:
    """Make as many replications as the plan wants.

    Parameters
    ----------
    replication : callable
        Number of the replication to its result, which JSON can hold. Picklable where the executor needs it.
    plan : Plan
        When it is enough.
    quantities : callable
        Result to the numbers that the plan looks at.
    executor : Executor, optional
        Where they run; processes of this machine by default.
    workers : int, optional
        How many the executor runs at a time, 1 by default; of this machine as many as it has processors by default, where it
        takes longer than a moment.
    journal : Journal, optional
        Keeps what is done.
    progress : callable, optional
        Told how many are done, after each.

    Returns
    -------
    list
        The results, in order.
    """
    results: list[Mapping[str, Any]] = []
    values: list[Sequence[float]] = []
    if executor is None:
        stream = run_locally(replication, plan.most, workers=workers, journal=journal)
    else:
        stream = in_order(replication, plan.most, executor=executor, ahead=workers or 1, journal=journal)
    try:
        for result in stream:
            results.append(result)
            values.append(quantities(result))
            if progress is not None:
                progress(len(results))
            if plan.is_enough(values):
                break
    finally:
        stream.close()
    return results
