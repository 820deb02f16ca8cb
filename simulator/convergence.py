"""N_Update(M): updates to converge as a function of the mini-batch size, the inverse law and its rivals.

Every law has `updates(batch_samples)` and the property `batch_samples_range`: the mini-batches for which it holds. Inside
that range it never asks for less than one update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from simulator.quantities import ArrayLike, FloatArray, check_table, finite, interpolate_linearly, positive

__all__ = [
    "HardCornerLaw",
    "InverseLaw",
    "PowerLaw",
    "SharpCornerLaw",
    "TabulatedUpdates",
]

LAST_UPDATE_SLACK = 1e-9
"""Relative slack at the law's end, so that the end itself (N_Update = 1 up to rounding) is admissible."""


def at_least_one_update(updates: FloatArray, batch_samples: ArrayLike, law_end_samples: float) -> FloatArray:
    """Return `updates`, at least 1, or raise ValueError where the law has ended (N_Update < 1).

    Parameters
    ----------
    updates, batch_samples : array_like
        N_Update and the M that it belongs to.
    law_end_samples : float
        The M where N_Update is 1, for the message.

    Returns
    -------
    float or ndarray
        `updates`, with rounding errors just below 1 lifted to 1.

    Raises
    ------
    ValueError
        Where `updates` is below 1.
    """
    ended = np.asarray(updates) < 1.0 - LAST_UPDATE_SLACK
    if ended.any():
        culprit = float(np.broadcast_to(batch_samples, ended.shape)[ended].flat[0])
        raise ValueError(
            f"batch_samples must be <= {law_end_samples:.6g}, where the law reaches one update and ends, got {culprit:g}"
        )
    return np.maximum(updates, 1.0)[()]


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseLaw:
    """Inverse law of updates, N_Update(M) = N_inf + alpha / M (Eqn 2 of the paper [1]_).

    Parameters
    ----------
    n_inf_updates : float
        N_inf, the fewest updates: what is needed however large the mini-batch. Updates, finite. Fits may give <= 0 (the
        paper saw it with Adam): the law then ends where N_Update = 1.
    alpha_samples : float
        alpha, the fewest samples: what is processed in the limit of small mini-batches. Samples, > 0.

    References
    ----------
    .. [1] M. P. Perrone et al., "Optimal Mini-Batch Size Selection for Fast Gradient Descent", Eqn 2.

    Examples
    --------
    >>> InverseLaw(n_inf_updates=1000, alpha_samples=64_000).updates([64, 128])
    array([2000., 1500.])
    """

    n_inf_updates: float
    alpha_samples: float

    def __post_init__(self) -> None:
        finite("n_inf_updates", self.n_inf_updates)
        positive("alpha_samples", self.alpha_samples)

    @classmethod
    def from_fewest(cls, *, s_min_updates: float, e_min_samples: float) -> Self:
        """Build the law from S_min (fewest updates) and E_min (fewest samples), the names of McCandlish et al. 2018."""
        return cls(n_inf_updates=s_min_updates, alpha_samples=e_min_samples)

    @classmethod
    def from_critical_batch(cls, *, n_inf_updates: float, critical_batch_samples: float) -> Self:
        """Build the law from N_inf (> 0) and the critical batch size M_crit = alpha / N_inf."""
        positive("critical_batch_samples", critical_batch_samples)
        return cls(
            n_inf_updates=n_inf_updates,
            alpha_samples=float(positive("n_inf_updates", n_inf_updates)) * critical_batch_samples,
        )

    @property
    def critical_batch_samples(self) -> float:
        """M_crit = alpha / N_inf: twice the fewest updates and twice the fewest samples. Infinite for N_inf <= 0."""
        return self.alpha_samples / self.n_inf_updates if self.n_inf_updates > 0 else np.inf

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest and largest M for which the law holds, samples; the largest is where N_Update = 1."""
        end = self.alpha_samples / (1.0 - self.n_inf_updates) if self.n_inf_updates < 1 else np.inf
        return 0.0, end

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """N_Update at mini-batches `batch_samples` (all learners; > 0, any shape); ValueError past the law's end."""
        M = positive("batch_samples", batch_samples)
        return at_least_one_update(self.n_inf_updates + self.alpha_samples / M, M, self.batch_samples_range[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class SharpCornerLaw:
    """Corner of adjustable sharpness, N_Update(M) = (N_inf^p + (alpha/M)^p)^(1/p).

    p = 1 is the inverse law, p to infinity the hard corner. Both asymptotes, N_inf and alpha/M, keep their meaning.

    Parameters
    ----------
    n_inf_updates : float
        N_inf, the fewest updates. Updates, > 0.
    alpha_samples : float
        alpha, the fewest samples. Samples, > 0.
    sharpness : float
        p, >= 0.1; fits of published series mostly give 0.8 to 1.5.

    Examples
    --------
    >>> SharpCornerLaw(n_inf_updates=3, alpha_samples=400, sharpness=2).updates(100)
    np.float64(5.0)
    """

    n_inf_updates: float
    alpha_samples: float
    sharpness: float

    def __post_init__(self) -> None:
        positive("n_inf_updates", self.n_inf_updates)
        positive("alpha_samples", self.alpha_samples)
        if positive("sharpness", self.sharpness) < 0.1:
            raise ValueError(f"sharpness must be >= 0.1, got {self.sharpness:g}")

    @property
    def critical_batch_samples(self) -> float:
        """M_crit = alpha / N_inf, where the two asymptotes cross."""
        return self.alpha_samples / self.n_inf_updates

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest and largest M for which the law holds, samples; the largest is where N_Update = 1."""
        if self.n_inf_updates >= 1:
            return 0.0, np.inf
        p = self.sharpness
        log_end = np.log(self.alpha_samples) - np.log1p(-(self.n_inf_updates**p)) / p
        return 0.0, float(np.exp(log_end)) if log_end < 700.0 else np.inf

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """N_Update at mini-batches `batch_samples` (all learners; > 0, any shape); ValueError past the law's end."""
        M = positive("batch_samples", batch_samples)
        noise = self.alpha_samples / M
        largest = np.maximum(self.n_inf_updates, noise)  # factored out, so that no power overflows
        smallest = np.minimum(self.n_inf_updates, noise)
        p = self.sharpness
        return at_least_one_update(largest * (1.0 + (smallest / largest) ** p) ** (1.0 / p), M, self.batch_samples_range[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class HardCornerLaw:
    """Hard corner, N_Update(M) = max(N_inf, alpha / M): perfect scaling up to the critical batch size, none beyond.

    Parameters
    ----------
    n_inf_updates : float
        N_inf, the fewest updates. Updates, > 0.
    alpha_samples : float
        alpha, the fewest samples. Samples, > 0.

    Examples
    --------
    >>> HardCornerLaw(n_inf_updates=1000, alpha_samples=64_000).updates([32, 128])
    array([2000., 1000.])
    """

    n_inf_updates: float
    alpha_samples: float

    def __post_init__(self) -> None:
        positive("n_inf_updates", self.n_inf_updates)
        positive("alpha_samples", self.alpha_samples)

    @property
    def critical_batch_samples(self) -> float:
        """M_crit = alpha / N_inf: the corner."""
        return self.alpha_samples / self.n_inf_updates

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest and largest M for which the law holds, samples; the largest is where N_Update = 1."""
        return 0.0, np.inf if self.n_inf_updates >= 1 else self.alpha_samples

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """N_Update at mini-batches `batch_samples` (all learners; > 0, any shape); ValueError past the law's end."""
        M = positive("batch_samples", batch_samples)
        return at_least_one_update(np.maximum(self.n_inf_updates, self.alpha_samples / M), M, self.batch_samples_range[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """Power law, N_Update(M) = N_1 * M^-e: a rival without a floor, which most measured series reject.

    Parameters
    ----------
    one_sample_updates : float
        N_1: updates at M = 1. Updates, >= 1.
    exponent : float
        e, > 0 and <= 1; 1 is perfect scaling.

    Examples
    --------
    >>> PowerLaw(one_sample_updates=64_000, exponent=0.5).updates([1, 64])
    array([64000.,  8000.])
    """

    one_sample_updates: float
    exponent: float

    def __post_init__(self) -> None:
        if positive("one_sample_updates", self.one_sample_updates) < 1.0:
            raise ValueError(f"one_sample_updates must be >= 1, got {self.one_sample_updates:g}")
        if positive("exponent", self.exponent) > 1.0:
            raise ValueError(f"exponent must be <= 1 (larger mini-batches never save samples), got {self.exponent:g}")

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest and largest M for which the law holds, samples; the largest is where N_Update = 1."""
        log_end = np.log(self.one_sample_updates) / self.exponent
        return 0.0, float(np.exp(log_end)) if log_end < 700.0 else np.inf

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """N_Update at mini-batches `batch_samples` (all learners; > 0, any shape); ValueError past the law's end."""
        M = positive("batch_samples", batch_samples)
        return at_least_one_update(self.one_sample_updates * M**-self.exponent, M, self.batch_samples_range[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class TabulatedUpdates:
    """Measured updates, interpolated: straight lines between the points in (1/M, N), exact for an inverse law.

    Parameters
    ----------
    batch_samples : sequence of float
        Mini-batches of the points, samples, > 0, increasing, at least two.
    updates_at : sequence of float
        Updates to converge at these mini-batches, >= 1.
    extrapolate : bool
        Continue with the inverse law through the two outermost points; refused unless asked for.

    Examples
    --------
    >>> table = TabulatedUpdates(batch_samples=(64, 256), updates_at=(2000, 1250))
    >>> float(table.updates(128))
    1500.0
    """

    batch_samples: tuple[float, ...]
    updates_at: tuple[float, ...]
    extrapolate: bool = False

    def __post_init__(self) -> None:
        check_table("batch_samples", self.batch_samples, "updates_at", self.updates_at)
        if min(self.updates_at) < 1:
            raise ValueError(f"updates_at must be >= 1, got {min(self.updates_at):g}")

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest and largest M for which the table answers, samples."""
        if not self.extrapolate:
            return self.batch_samples[0], self.batch_samples[-1]
        (M_1, M_2), (N_1, N_2) = self.batch_samples[-2:], self.updates_at[-2:]
        alpha = (N_1 - N_2) / (1.0 / M_1 - 1.0 / M_2)
        n_inf = N_2 - alpha / M_2
        start = 0.0 if self.updates_at[0] >= self.updates_at[1] else self.batch_samples[0]
        return start, alpha / (1.0 - n_inf) if n_inf < 1 and alpha > 0 else np.inf

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """N_Update at mini-batches `batch_samples` (any shape); ValueError outside the table unless it extrapolates."""
        M = positive("batch_samples", batch_samples)
        lowest, highest = self.batch_samples_range
        outside = (np.asarray(M) < lowest * (1 - 1e-12)) | (np.asarray(M) > highest * (1 + 1e-12))
        if outside.any():
            culprit = float(np.asarray(M)[outside].flat[0]) if outside.ndim else float(M)
            raise ValueError(f"batch_samples must be from {lowest:g} to {highest:g}, the range of the table, got {culprit:g}")
        x = 1.0 / np.asarray(self.batch_samples)[::-1]
        y = np.asarray(self.updates_at, dtype=np.float64)[::-1]
        return at_least_one_update(interpolate_linearly(1.0 / M, x, y), M, highest)
