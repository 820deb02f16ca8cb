"""Delta(P) by law: seconds that P learners take to combine their gradients, closed forms. Delta(1) = 0 in all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.quantities import ArrayLike, FloatArray, non_negative, positive

__all__ = ["ConstantReduce", "LinearReduce", "NoReduce", "NodeLogReduce", "RingReduce", "TwoTierRingReduce"]


def _learners(learners: ArrayLike) -> FloatArray:
    """Return `learners` as float64, all >= 1 (closed forms may treat P as real)."""
    P: FloatArray = positive("learners", learners)
    if np.any(np.asarray(P) < 1.0):
        raise ValueError(f"learners must be >= 1, got {float(np.min(P)):g}")
    return P


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReduce:
    """No communication: Delta(P) = 0."""

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta in seconds for `learners` (>= 1, any shape)."""
        return 0.0 * _learners(learners)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantReduce:
    """All-reduce on a full fat tree, Delta(P) = delta for P > 1 (the paper's assumption).

    Parameters
    ----------
    delta_s : float
        delta, seconds, >= 0.

    Examples
    --------
    >>> ConstantReduce(delta_s=0.1).reduce_time_s([1, 2, 64])
    array([0. , 0.1, 0.1])
    """

    delta_s: float

    def __post_init__(self) -> None:
        non_negative("delta_s", self.delta_s)

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta in seconds for `learners` (>= 1, any shape)."""
        return np.where(_learners(learners) > 1.0, self.delta_s, 0.0)[()]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearReduce:
    """Synchronous parameter server, Delta(P) = delta * P for P > 1.

    Parameters
    ----------
    delta_s : float
        delta: seconds per learner, >= 0.

    Examples
    --------
    >>> LinearReduce(delta_s=0.1).reduce_time_s([1, 2, 64])
    array([0. , 0.2, 6.4])
    """

    delta_s: float

    def __post_init__(self) -> None:
        non_negative("delta_s", self.delta_s)

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta in seconds for `learners` (>= 1, any shape)."""
        P = _learners(learners)
        return np.where(P > 1.0, self.delta_s * P, 0.0)[()]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLogReduce:
    """Jump at the node boundary plus log2 P: Delta(P) = in_node + (jump if P > g) + c * log2(P) for P > 1.

    Parameters
    ----------
    in_node_s : float
        Seconds for two or more learners of one node, >= 0.
    node_jump_s : float
        Further seconds as soon as the learners span nodes, >= 0.
    per_doubling_s : float
        c: further seconds for each doubling of the learners, >= 0.
    learners_per_node : float
        g: learners of a node, >= 1 (1 also where a learner itself spans nodes).

    Examples
    --------
    >>> law = NodeLogReduce(in_node_s=3, node_jump_s=6, per_doubling_s=1, learners_per_node=8)
    >>> law.reduce_time_s([1, 2, 8, 16])
    array([ 0.,  4.,  6., 13.])
    """

    in_node_s: float
    node_jump_s: float
    per_doubling_s: float
    learners_per_node: float

    def __post_init__(self) -> None:
        for name in ("in_node_s", "node_jump_s", "per_doubling_s"):
            non_negative(name, getattr(self, name))
        _learners_per_node(self.learners_per_node)

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta in seconds for `learners` (>= 1, any shape)."""
        P = _learners(learners)
        time_s = self.in_node_s + np.where(self.learners_per_node < P, self.node_jump_s, 0.0)
        return np.where(P > 1.0, time_s + self.per_doubling_s * np.log2(P), 0.0)[()]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTierRingReduce:
    """Ring inside the nodes, ring across them: Delta(P) = A (g-1)/g + B (N-1)/N for g learners on each of N nodes.

    Parameters
    ----------
    in_node_s : float
        A: seconds that the ring inside a node approaches, >= 0.
    across_nodes_s : float
        B: seconds that the ring across nodes approaches, >= 0.
    learners_per_node : float
        Learners that fill a node, >= 1; nodes are filled one after another, N = ceil(P / learners_per_node).

    Examples
    --------
    >>> law = TwoTierRingReduce(in_node_s=8, across_nodes_s=16, learners_per_node=4)
    >>> law.reduce_time_s([1, 2, 4, 8, 16])
    array([ 0.,  4.,  6., 14., 18.])
    """

    in_node_s: float
    across_nodes_s: float
    learners_per_node: float

    def __post_init__(self) -> None:
        non_negative("in_node_s", self.in_node_s)
        non_negative("across_nodes_s", self.across_nodes_s)
        _learners_per_node(self.learners_per_node)

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta in seconds for `learners` (>= 1, any shape)."""
        P = _learners(learners)
        g = np.minimum(P, self.learners_per_node)
        N = np.ceil(P / self.learners_per_node)
        return self.in_node_s * (1.0 - 1.0 / g) + self.across_nodes_s * (1.0 - 1.0 / N)


@dataclass(frozen=True, slots=True, kw_only=True)
class RingReduce:
    """Flat ring all-reduce, Delta(P) = 2 (P-1) (latency + bytes / (P bandwidth)) [1]_.

    Parameters
    ----------
    latency_s : float
        Seconds per step: path latency and software, >= 0.
    bandwidth_bytes_per_s : float
        Bytes per second of the slowest link of the ring, one direction, > 0.
    gradient_bytes : float
        Bytes that each learner contributes (of one accelerator where a learner is a group), > 0.

    References
    ----------
    .. [1] P. Patarasuk, X. Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 69 (2009).

    Examples
    --------
    >>> RingReduce(latency_s=1, bandwidth_bytes_per_s=10, gradient_bytes=80).reduce_time_s([1, 2, 4])
    array([ 0., 10., 18.])
    """

    latency_s: float
    bandwidth_bytes_per_s: float
    gradient_bytes: float

    def __post_init__(self) -> None:
        non_negative("latency_s", self.latency_s)
        positive("bandwidth_bytes_per_s", self.bandwidth_bytes_per_s)
        positive("gradient_bytes", self.gradient_bytes)

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta in seconds for `learners` (>= 1, any shape)."""
        P = _learners(learners)
        return 2.0 * (P - 1.0) * (self.latency_s + self.gradient_bytes / (P * self.bandwidth_bytes_per_s))


def _learners_per_node(learners_per_node: float) -> None:
    if positive("learners_per_node", learners_per_node) < 1.0:
        raise ValueError(f"learners_per_node must be >= 1, got {learners_per_node:g}")
