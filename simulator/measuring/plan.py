"""What to measure next: batch sizes from the ends inwards, rates uphill, and when a batch size is known well enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from simulator.calibration.measurements import MeasuredUpdates, half_width90, updates_series
from simulator.errors import FitError

__all__ = ["HOPELESS_RUNS", "enough_runs", "from_the_ends", "powers_between", "rate_to_try"]

BEYOND = 2
"""Rates tried beyond the best one, on either side, before the climb is over: one worse rate may be bad luck."""
HOPELESS_RUNS = 2
"""Runs that did not reach the target after which a batch size without any that did is given up."""


def powers_between(low: int, high: int) -> tuple[int, ...]:
    """Powers of two from `low` to `high`, and the two themselves.

    Examples
    --------
    >>> powers_between(3, 20)
    (3, 4, 8, 16, 20)
    """
    powers = [2**k for k in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]
    return tuple(sorted({low, *powers, high}))


def from_the_ends(sizes: Sequence[int], *, planned: bool) -> tuple[int, ...]:
    """Order batch sizes: the largest (its runs are the shortest), the smallest, then always the middle of the widest gap.

    Parameters
    ----------
    sizes : sequence of int
        Batch sizes, samples.
    planned : bool
        Whether they are ends: the power of two nearest to their middle then comes third, and planning goes on from there.

    Examples
    --------
    >>> from_the_ends((1, 4, 16, 64, 256), planned=False)
    (256, 1, 16, 4, 64)
    >>> from_the_ends((1, 1024), planned=True)
    (1024, 1, 32)
    """
    ordered = sorted(set(sizes))
    if planned:
        low, high = ordered[0], ordered[-1]
        middle = 2 ** round(math.log2(low * high) / 2.0)
        return (high, low, middle) if low < middle < high else (high, low)[: len(ordered)]
    found = [ordered[-1], ordered[0]][: len(ordered)]
    while len(found) < len(ordered):
        left = [size for size in ordered if size not in found]
        found.append(max(left, key=lambda size: (min(abs(math.log(size / one)) for one in found), -size)))
    return tuple(found)


def rate_to_try(
    rates: Sequence[float],
    at_this: Mapping[float, float],
    tried: Mapping[tuple[int, float], float],
    batch_samples: int,
) -> float | None:
    """Return the next rate of the grid to try at a batch size; None where the climb is over.

    Parameters
    ----------
    rates : sequence of float
        The grid, increasing.
    at_this : mapping of float to float
        Updates at this batch size by rate; infinite where it is no better than the best.
    tried : mapping of (int, float) to float
        The same at all batch sizes: the climb begins at the best rate of the nearest one, else in the middle.
    batch_samples : int
        The batch size.
    """
    finite = {rate: updates for rate, updates in at_this.items() if math.isfinite(updates)}
    if not at_this:
        best_of: dict[int, tuple[float, float]] = {}
        for (size, rate), updates in tried.items():
            if math.isfinite(updates) and size != batch_samples:
                best_of[size] = min(best_of.get(size, (math.inf, rate)), (updates, rate))
        if not best_of:
            return rates[len(rates) // 2]
        nearest = min(best_of, key=lambda size: (abs(math.log(size / batch_samples)), size))
        return best_of[nearest][1]
    places = [rates.index(rate) for rate in at_this]
    if not finite:  # nothing reached the target yet: smaller rates first, they are the safe side
        below, above = min(places) - 1, max(places) + 1
        return rates[below] if below >= 0 else rates[above] if above < len(rates) else None
    best = rates.index(min(finite, key=lambda rate: (finite[rate], rate)))
    for step in range(1, BEYOND + 1):
        for place in (best + step, best - step):
            if 0 <= place < len(rates) and rates[place] not in at_this:
                return rates[place]
    return None


def enough_runs(rows: Sequence[MeasuredUpdates], batch_samples: float, precision: float) -> bool:
    """Whether a batch size needs no further run: its mean is known to `precision` (90 %), or nothing reaches the target.

    Parameters
    ----------
    rows : sequence of MeasuredUpdates
        Single runs at all batch sizes so far.
    batch_samples : float
        The batch size.
    precision : float
        Fraction of the mean.
    """
    mine = [row for row in rows if row.batch_samples == batch_samples]
    finished = [row for row in mine if not row.censored]
    if len(mine) >= HOPELESS_RUNS and not finished:
        return True
    if len(finished) < 2 or len(finished) < len(mine):
        return False
    try:
        series = updates_series("so far", rows)
    except FitError:
        return False
    return half_width90(series, batch_samples) <= precision
