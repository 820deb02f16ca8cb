"""T_C at M_opt for many (P, Delta) at once: Eqn 9 where it holds, sections of the interval where T_C has one minimum."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, SharpCornerLaw
from simulator.errors import InfeasibleError
from simulator.limits import Limits, admissible_batch_samples
from simulator.overlap import SumOverlap
from simulator.quantities import ArrayLike, FloatArray
from simulator.search import LARGEST_SEARCHED_SAMPLES, fastest_real
from simulator.time_to_converge import TimeToConverge

__all__ = ["batch_ends", "best_times_s"]

GOLDEN = (5.0**0.5 - 1.0) / 2.0
SECTIONS = 36
"""Golden sections of log M leave 3e-8 of the range: T_C, flat at its minimum, is off by less than 1e-14 of its curvature."""
CHUNK = 16_384
FEW = 512
"""Rows that `fastest_real` takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _GivenReduce:
    """Delta by row, whatever the learners."""

    delta_s: FloatArray

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Return the rows in the shape of the learners."""
        return self.delta_s.reshape(np.shape(learners))


def batch_ends(model: TimeToConverge, limits: Limits, learners: FloatArray) -> FloatArray:
    """Return the lowest and highest admissible M of each number of learners, shape (n, 2); NaN where there is none.

    Parameters
    ----------
    model, limits
        As in `best_times_s`.
    learners : ndarray, shape (n,)
        P; 0 has no mini-batch.
    """
    ends = np.full((len(learners), 2), np.nan)
    without = replace(model, reduce=_GivenReduce(delta_s=np.zeros(1)))
    for i, P in enumerate(learners.tolist()):
        if P >= 1:
            try:
                (low, _), (high, _) = admissible_batch_samples(without, limits, P)
            except InfeasibleError:
                continue
            ends[i] = low, high
    return ends


def best_times_s(model: TimeToConverge, learners: FloatArray, ends: FloatArray, delta_s: FloatArray) -> FloatArray:
    """Return T_C at the best admissible real mini-batch for each row.

    Parameters
    ----------
    model : TimeToConverge
        With rounding "exact"; its own law of Delta is not looked at.
    learners, delta_s : ndarray, shape (n,)
        P and Delta of each row; a NaN makes that row NaN.
    ends : ndarray, shape (n, 2)
        Of `batch_ends`.

    Returns
    -------
    ndarray, shape (n,)
        Seconds; NaN where no mini-batch is admissible.
    """
    found = np.full(learners.shape, np.nan)
    known = np.flatnonzero(np.isfinite(learners) & np.isfinite(delta_s) & np.isfinite(ends[:, 0]))
    sections = _one_minimum(model) and not _eqn_9(model)
    size = CHUNK if _one_minimum(model) else FEW
    for start in range(0, len(known), size):
        rows = known[start : start + size]
        one = replace(model, reduce=_GivenReduce(delta_s=delta_s[rows]))
        P, low, high = learners[rows], ends[rows, 0], ends[rows, 1]
        if sections:
            found[rows] = _by_sections(one, P, low, np.minimum(high, LARGEST_SEARCHED_SAMPLES))
        else:
            found[rows] = one.converge_time_s(fastest_real(one, P, low, high), P)
    return found


def _eqn_9(model: TimeToConverge) -> bool:
    """Whether Eqn 9 gives M_opt, as in `search.fastest_real`."""
    return (
        isinstance(model.convergence, InverseLaw)
        and isinstance(model.overlap, SumOverlap)
        and model.accumulation == 1
        and bool(np.isinf(model.input_samples_per_s))
    )


def _one_minimum(model: TimeToConverge) -> bool:
    """Whether T_C is convex in log M on log axes: sums, products, maxima and norms of powers of M."""
    law = model.convergence
    falls = isinstance(law, InverseLaw) and law.n_inf_updates <= 0
    return (
        isinstance(law, InverseLaw | SharpCornerLaw | HardCornerLaw | PowerLaw)
        and not falls
        and isinstance(model.compute, KneeCompute | AffineCompute)
        and model.accumulation != "auto"
    )


def _by_sections(model: TimeToConverge, P: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Golden sections of log M, all rows at once; the ends are candidates too."""

    def time_s(log_M: FloatArray) -> FloatArray:
        return np.asarray(model.converge_time_s(np.clip(np.exp(log_M), low, high), P))

    left, right = np.log(low), np.log(high)
    best = np.minimum(time_s(left), time_s(right))
    a, b = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
    at_a, at_b = time_s(a), time_s(b)
    for _ in range(SECTIONS):
        lower = at_a <= at_b
        right, left = np.where(lower, b, right), np.where(lower, left, a)
        kept, kept_at = np.where(lower, a, b), np.where(lower, at_a, at_b)
        new = np.where(lower, right - GOLDEN * (right - left), left + GOLDEN * (right - left))
        new_at = time_s(new)
        a, at_a = np.where(lower, new, kept), np.where(lower, new_at, kept_at)
        b, at_b = np.where(lower, kept, new), np.where(lower, kept_at, new_at)
    return np.minimum(best, np.minimum(at_a, at_b))
