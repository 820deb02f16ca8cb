"""Gamma(m): seconds that a learner computes per update on its m samples, with the knee; and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from simulator.quantities import (
    ArrayLike,
    FloatArray,
    check_table,
    fraction,
    interpolate_linearly,
    non_negative,
    positive,
)

__all__ = ["AffineCompute", "CrossValidation", "KneeCompute", "TabulatedCompute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KneeCompute:
    """Compute time with a knee, Gamma(m) = gamma * max(m, M_T) + constant (Eqn 4; the paper's law has constant = 0).

    Parameters
    ----------
    gamma_s_per_sample : float
        gamma: seconds per sample on one learner above the knee, > 0.
    knee_samples : float
        M_T: samples below which an update gets no faster. Samples per learner, > 0.
    constant_s : float
        Seconds per update that no mini-batch saves (launches, optimiser step), >= 0.

    Examples
    --------
    >>> KneeCompute(gamma_s_per_sample=0.01, knee_samples=32).compute_time_s([16, 32, 64])
    array([0.32, 0.32, 0.64])
    """

    gamma_s_per_sample: float
    knee_samples: float
    constant_s: float = 0.0

    def __post_init__(self) -> None:
        positive("gamma_s_per_sample", self.gamma_s_per_sample)
        positive("knee_samples", self.knee_samples)
        non_negative("constant_s", self.constant_s)

    @classmethod
    def from_flops(
        cls, *, train_flop_per_sample: float, peak_flop_per_s: float, utilisation: float, knee_samples: float
    ) -> Self:
        """Estimate gamma = train_flop_per_sample / (peak_flop_per_s * utilisation), for an accelerator nobody timed.

        Examples
        --------
        >>> KneeCompute.from_flops(
        ...     train_flop_per_sample=24e9, peak_flop_per_s=300e12, utilisation=0.4, knee_samples=32
        ... ).gamma_s_per_sample
        0.0002
        """
        positive("utilisation", fraction("utilisation", utilisation))
        positive("peak_flop_per_s", peak_flop_per_s)
        gamma = float(positive("train_flop_per_sample", train_flop_per_sample) / (peak_flop_per_s * utilisation))
        return cls(gamma_s_per_sample=gamma, knee_samples=knee_samples)

    @property
    def corners_samples(self) -> tuple[float, ...]:
        """Local samples where the law bends."""
        return (self.knee_samples,)

    def compute_time_s(self, local_samples: ArrayLike) -> FloatArray:
        """Gamma in seconds at `local_samples` on one learner (> 0, any shape)."""
        m = positive("local_samples", local_samples)
        return self.gamma_s_per_sample * np.maximum(m, self.knee_samples) + self.constant_s


@dataclass(frozen=True, slots=True, kw_only=True)
class AffineCompute:
    """Affine compute time, Gamma(m) = constant + gamma * m: a soft knee at m = constant / gamma.

    Parameters
    ----------
    gamma_s_per_sample : float
        gamma: seconds per further sample on one learner, > 0.
    constant_s : float
        Seconds per update at m to 0, >= 0.

    Examples
    --------
    >>> AffineCompute(gamma_s_per_sample=0.01, constant_s=0.1).compute_time_s([10, 20])
    array([0.2, 0.3])
    """

    gamma_s_per_sample: float
    constant_s: float = 0.0

    def __post_init__(self) -> None:
        positive("gamma_s_per_sample", self.gamma_s_per_sample)
        non_negative("constant_s", self.constant_s)

    @property
    def corners_samples(self) -> tuple[float, ...]:
        """Local samples where the law bends: none."""
        return ()

    def compute_time_s(self, local_samples: ArrayLike) -> FloatArray:
        """Gamma in seconds at `local_samples` on one learner (> 0, any shape)."""
        return self.constant_s + self.gamma_s_per_sample * positive("local_samples", local_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class TabulatedCompute:
    """Measured compute times, interpolated linearly in the local mini-batch.

    Parameters
    ----------
    local_samples : sequence of float
        Local mini-batches of the points, samples, > 0, increasing, at least two.
    compute_time_at_s : sequence of float
        Seconds per update at these local mini-batches, > 0, not decreasing.
    extrapolate : bool
        Below the table its first time, above it its last straight line; refused unless asked for.

    Examples
    --------
    >>> float(TabulatedCompute(local_samples=(32, 64), compute_time_at_s=(0.5, 1.0)).compute_time_s(48))
    0.75
    """

    local_samples: tuple[float, ...]
    compute_time_at_s: tuple[float, ...]
    extrapolate: bool = False

    def __post_init__(self) -> None:
        check_table("local_samples", self.local_samples, "compute_time_at_s", self.compute_time_at_s)
        if np.any(np.diff(self.compute_time_at_s) < 0):
            raise ValueError(f"compute_time_at_s must not decrease, got {list(self.compute_time_at_s)}")

    @property
    def corners_samples(self) -> tuple[float, ...]:
        """Local samples where the law bends."""
        return tuple(self.local_samples)

    @property
    def local_samples_range(self) -> tuple[float, float]:
        """Smallest and largest local mini-batch for which the table answers, samples."""
        return (0.0, np.inf) if self.extrapolate else (self.local_samples[0], self.local_samples[-1])

    def compute_time_s(self, local_samples: ArrayLike) -> FloatArray:
        """Gamma in seconds at `local_samples` (any shape); ValueError outside the table unless it extrapolates."""
        m = positive("local_samples", local_samples)
        lowest, highest = self.local_samples_range
        outside = (np.asarray(m) < lowest * (1 - 1e-12)) | (np.asarray(m) > highest * (1 + 1e-12))
        if outside.any():
            culprit = float(np.asarray(m)[outside].flat[0]) if outside.ndim else float(m)
            raise ValueError(f"local_samples must be from {lowest:g} to {highest:g}, the range of the table, got {culprit:g}")
        x, y = np.asarray(self.local_samples), np.asarray(self.compute_time_at_s)
        return interpolate_linearly(np.maximum(m, x[0]), x, y)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """Cross-validation passes (Eqn 6): every N updates M_CV samples are evaluated, split over the learners, without Delta.

    Parameters
    ----------
    every_updates : float
        N: updates between two passes, whole, >= 1.
    samples : float
        M_CV: samples of one pass, all learners, whole, >= 1.
    cost_ratio : float
        gamma_CV / gamma: time of evaluating a sample relative to training on it, > 0; a forward pass alone is about 1/3.
    stops_run : bool
        The run ends at an evaluation, so its updates are a multiple of `every_updates`.
    """

    every_updates: float
    samples: float
    cost_ratio: float = 1.0
    stops_run: bool = False

    def __post_init__(self) -> None:
        for name in ("every_updates", "samples"):
            value = positive(name, getattr(self, name))
            if value != np.floor(value):
                raise ValueError(f"{name} must be a whole number, got {value:g}")
        positive("cost_ratio", self.cost_ratio)
