"""How computing (Gamma) and communicating (Delta) share an update: from one after the other to fully at once.

Every law has `joined_time_s(compute_time_s, reduce_time_s)`, which is Gamma when Delta = 0, and never less than either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.quantities import FloatArray, fraction, whole

__all__ = ["BucketOverlap", "HiddenOverlap", "MaxOverlap", "PowerOverlap", "SumOverlap"]


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

    The forward pass takes (1 - b) Gamma; then one of n equal buckets is ready every b Gamma / n; the network takes Delta / n
    for each, in order. The last one ends after max((1 - b) Gamma + b Gamma / n + Delta, Gamma + Delta / n).

    Parameters
    ----------
    buckets : int
        n, whole, >= 1; 1 is the sum.
    backward_fraction : float
        b: share of Gamma that the backward pass takes, 0 to 1; about 2/3.

    Examples
    --------
    >>> BucketOverlap(buckets=10, backward_fraction=0.5).joined_time_s(1.0, 0.2)
    np.float64(1.02)
    """

    buckets: int
    backward_fraction: float = 2.0 / 3.0

    def __post_init__(self) -> None:
        whole("buckets", self.buckets)
        fraction("backward_fraction", self.backward_fraction)

    def joined_time_s(self, compute_time_s: FloatArray, reduce_time_s: FloatArray) -> FloatArray:
        """T_Update in seconds from Gamma and Delta in seconds; shapes broadcast."""
        n, b = self.buckets, self.backward_fraction
        network_bound = (1.0 - b + b / n) * compute_time_s + reduce_time_s
        return np.maximum(network_bound, compute_time_s + reduce_time_s / n)
