"""How computing (Gamma) and communicating (Delta) share an update: from one after the other to fully at once.

Every law has `joined_time_s(compute_time_s, reduce_time_s)`, which is Gamma when Delta = 0, and never less than either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.quantities import FloatArray, fraction, positive, whole

__all__ = ["BucketOverlap", "HiddenOverlap", "MaxOverlap", "PowerOverlap", "SumOverlap"]

SHARES_SLACK = 1e-6
"""By how much shares written with a few digits may miss 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumOverlap:
    """No overlap, T_Update = Gamma + Delta (Eqn 3)."""

    def joined_time_s(self, compute_time_s: FloatArray, reduce_time_s: FloatArray) -> FloatArray:
        """T_Update in seconds from Gamma and Delta in seconds; shapes broadcast."""
        return compute_time_s + reduce_time_s


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxOverlap:
    """Perfect overlap, T_Update = max(Gamma, Delta)."""

    def joined_time_s(self, compute_time_s: FloatArray, reduce_time_s: FloatArray) -> FloatArray:
        """T_Update in seconds from Gamma and Delta in seconds; shapes broadcast."""
        return np.maximum(compute_time_s, reduce_time_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerOverlap:
    """Partial overlap, T_Update = (Gamma^q + Delta^q)^(1/q): q = 1 is the sum, q to infinity the maximum.

    Parameters
    ----------
    exponent : float
        q, >= 1, infinity allowed; about 2 fits published clusters best.

    Examples
    --------
    >>> PowerOverlap(exponent=2).joined_time_s(3.0, 4.0)
    np.float64(5.0)
    """

    exponent: float

    def __post_init__(self) -> None:
        if not self.exponent >= 1.0:
            raise ValueError(f"exponent must be >= 1, got {self.exponent:g}")

    def joined_time_s(self, compute_time_s: FloatArray, reduce_time_s: FloatArray) -> FloatArray:
        """T_Update in seconds from Gamma and Delta in seconds; shapes broadcast."""
        q = self.exponent
        if q == 1.0:
            return compute_time_s + reduce_time_s
        if q == 2.0:
            return np.hypot(compute_time_s, reduce_time_s)
        longest = np.maximum(compute_time_s, reduce_time_s)
        if np.isinf(q):
            return longest
        ratio = np.minimum(compute_time_s, reduce_time_s) / np.where(longest > 0, longest, 1.0)
        return longest * (1.0 + ratio**q) ** (1.0 / q)


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenOverlap:
    """A fixed fraction f of the communication is hidden behind computing, T_Update = Gamma + Delta - min(f Delta, Gamma).

    Parameters
    ----------
    fraction : float
        f, 0 to 1: share of Delta that can run while the learner computes; no more is hidden than there is computing.

    Examples
    --------
    >>> HiddenOverlap(fraction=0.5).joined_time_s(1.0, 0.4)
    np.float64(1.2)
    """

    fraction: float

    def __post_init__(self) -> None:
        fraction("fraction", self.fraction)

    def joined_time_s(self, compute_time_s: FloatArray, reduce_time_s: FloatArray) -> FloatArray:
        """T_Update in seconds from Gamma and Delta in seconds; shapes broadcast."""
        return compute_time_s + reduce_time_s - np.minimum(self.fraction * reduce_time_s, compute_time_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketOverlap:
    """Gradient buckets, reduced one after another as the backward pass produces them.

    The forward pass takes (1 - b) Gamma; the backward pass produces the gradient at an even rate, so that bucket i is ready at
    r_i = (1 - b + b (s_1 + .. + s_i)) Gamma. The network takes s_i Delta for it, after the one before:
    e_i = max(r_i, e_(i-1)) + s_i Delta, hence T_Update = e_n = max over i of r_i + (s_i + .. + s_n) Delta. With n equal buckets
    that is the larger of its ends, max((1 - b) Gamma + b Gamma / n + Delta, Gamma + Delta / n).

    Parameters
    ----------
    buckets : int
        n, whole, >= 1; 1 is the sum.
    backward_fraction : float
        b: share of Gamma that the backward pass takes, 0 to 1; about 2/3.
    bucket_shares : tuple of float
        s: share of the gradient in each bucket, > 0, in the order in which they are ready, together 1; equal by default.

    Examples
    --------
    >>> BucketOverlap(buckets=10, backward_fraction=0.5).joined_time_s(1.0, 0.2)
    np.float64(1.02)
    >>> BucketOverlap(buckets=2, backward_fraction=0.5, bucket_shares=(0.75, 0.25)).joined_time_s(1.0, 0.4)  # 0.875 + 0.4
    np.float64(1.275)
    """

    buckets: int
    backward_fraction: float = 2.0 / 3.0
    bucket_shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        whole("buckets", self.buckets)
        fraction("backward_fraction", self.backward_fraction)
        if not self.bucket_shares:
            return
        if len(self.bucket_shares) != self.buckets:
            raise ValueError(f"bucket_shares must be buckets = {self.buckets} numbers, got {len(self.bucket_shares)}")
        total = float(np.sum(positive("bucket_shares", self.bucket_shares)))
        if abs(total - 1.0) > SHARES_SLACK:
            raise ValueError(f"bucket_shares must add up to 1, got {total:g}")

    def shares(self) -> tuple[float, ...]:
        """Share of the gradient in each bucket."""
        return self.bucket_shares or (1.0 / self.buckets,) * self.buckets

    def ready_fractions(self) -> tuple[float, ...]:
        """When each bucket is ready, as a share of Gamma; exactly 1 for the last."""
        b = self.backward_fraction
        return (*(1.0 - b + b * np.cumsum(self.shares())[:-1]).tolist(), 1.0)

    def joined_time_s(self, compute_time_s: FloatArray, reduce_time_s: FloatArray) -> FloatArray:
        """T_Update in seconds from Gamma and Delta in seconds; shapes broadcast."""
        n, b = self.buckets, self.backward_fraction
        if not self.bucket_shares:
            network_bound = (1.0 - b + b / n) * compute_time_s + reduce_time_s
            return np.maximum(network_bound, compute_time_s + reduce_time_s / n)
        left = np.cumsum(self.bucket_shares[::-1])[::-1]
        joined = np.asarray(compute_time_s + left[-1] * reduce_time_s)
        for ready, share in zip(self.ready_fractions()[:-1], left[:-1].tolist(), strict=True):
            joined = np.maximum(joined, ready * compute_time_s + share * reduce_time_s)
        return np.asarray(joined, dtype=np.float64)[()]
