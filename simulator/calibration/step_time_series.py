"""Measured step times: a point, where it was measured, and the series of one workload on one cluster to fit laws to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import FitError
from simulator.quantities import FloatArray

__all__ = ["Places", "StepPlace", "StepPoint", "StepTimeSeries", "places_of"]

MOST_POINTS = 2_000
"""Different places of a series: the fit inverts matrices of that size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlace:
    """Where a step is timed, or asked for.

    Parameters
    ----------
    local_samples : float
        Samples of one learner in one micro-step, > 0.
    learners, nodes : int
        P, and the nodes that they are spread over, 1 to P.
    fullest_node : int
        Learners on the node that has most of them, P/nodes to P.
    micro_steps : int
        Micro-steps whose gradients are added up before the one all-reduce of an update, >= 1.
    """

    local_samples: float
    learners: int
    nodes: int
    fullest_node: int
    micro_steps: int = 1

    def __post_init__(self) -> None:
        if not (0.0 < self.local_samples < np.inf and self.learners >= 1 and self.micro_steps >= 1):
            rule = "local_samples > 0, learners >= 1 and micro_steps >= 1"
            raise ValueError(f"a place must have {rule}, got {self.local_samples:g}, {self.learners}, {self.micro_steps}")
        if not 1 <= self.nodes <= self.learners:
            raise ValueError(f"nodes must be from 1 to the learners, {self.learners}, got {self.nodes}")
        if not self.learners <= self.fullest_node * self.nodes <= self.learners * self.nodes:
            rule = f"fullest_node must hold from {self.learners}/{self.nodes} to {self.learners} learners"
            raise ValueError(f"{rule}, got {self.fullest_node}")

    @classmethod
    def even(cls, *, local_samples: float, learners: int, nodes: int, micro_steps: int = 1) -> StepPlace:
        """Return the place whose nodes hold the same number of learners, or one more or less.

        Examples
        --------
        >>> StepPlace.even(local_samples=32, learners=10, nodes=4).fullest_node
        3
        """
        fullest = -(-learners // max(nodes, 1))
        return cls(local_samples=local_samples, learners=learners, nodes=nodes, fullest_node=fullest, micro_steps=micro_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPoint:
    """One measured step time, or the geometric mean of several at the same place.

    Parameters
    ----------
    place : StepPlace
        Where.
    step_time_s : float
        Seconds of a whole update, > 0.
    compute_time_s : float or None
        Step time minus the measured exposed wait: what the learner computed, micro-steps added up. Seconds; None where
        no wait was measured.
    count : int
        Measurements behind it.
    """

    place: StepPlace
    step_time_s: float
    compute_time_s: float | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimeSeries:
    """Step times of one workload on one cluster: local batches, learners and placements vary, nothing else.

    Parameters
    ----------
    name : str
        What it is called.
    points : tuple of StepPoint
        By learners, nodes, fullest node, micro-steps, local samples; each place once.
    """

    name: str
    points: tuple[StepPoint, ...]

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise FitError(
                f"{self.name}: must have at least two measured (local_batch, n_gpus, placement), got {len(self.points)}"
            )
        if len(self.points) > MOST_POINTS:
            raise FitError(
                f"{self.name}: must have at most {MOST_POINTS} different (local_batch, n_gpus, placement), "
                f"got {len(self.points)}"
            )

    @classmethod
    def of(cls, name: str, points: Iterable[StepPoint]) -> StepTimeSeries:
        """Sort points and join those of the same place to their geometric mean."""
        grouped: dict[tuple[float, ...], list[StepPoint]] = {}
        for point in points:
            at = point.place
            key = (at.learners, at.nodes, at.fullest_node, at.micro_steps, at.local_samples)
            grouped.setdefault(key, []).append(point)
        return cls(name=name, points=tuple(_joined(grouped[key]) for key in sorted(grouped)))

    def up_to(self, learners: int) -> StepTimeSeries:
        """Return the series as if nothing had been measured on more learners.

        Raises
        ------
        FitError
            If fewer than two points are left.
        """
        kept = tuple(point for point in self.points if point.place.learners <= learners)
        return StepTimeSeries(name=self.name, points=kept)

    def without_waits(self) -> StepTimeSeries:
        """Return the series as if no exposed wait had been measured."""
        return replace(self, points=tuple(replace(point, compute_time_s=None) for point in self.points))

    @property
    def has_waits(self) -> bool:
        """Whether an exposed wait was measured with more than one learner."""
        return any(point.compute_time_s is not None and point.place.learners > 1 for point in self.points)

    @property
    def learners(self) -> tuple[int, ...]:
        """The numbers of learners measured, increasing."""
        return tuple(sorted({point.place.learners for point in self.points}))

    @property
    def most_nodes(self) -> int:
        """The most nodes measured."""
        return max(point.place.nodes for point in self.points)

    @property
    def node_size(self) -> int:
        """Learners on the fullest node measured: as many as a node is known to hold."""
        return max(point.place.fullest_node for point in self.points)

    @property
    def local_samples(self) -> tuple[float, ...]:
        """The local batches measured, samples, increasing."""
        return tuple(sorted({point.place.local_samples for point in self.points}))


def _joined(points: Sequence[StepPoint]) -> StepPoint:
    """Join repeated measurements of a place to their geometric means."""
    first = points[0]
    if len(points) == 1:
        return first
    computed = [point.compute_time_s for point in points if point.compute_time_s is not None]
    return StepPoint(
        place=first.place,
        step_time_s=float(np.exp(np.mean(np.log([point.step_time_s for point in points])))),
        compute_time_s=float(np.exp(np.mean(np.log(computed)))) if computed else None,
        count=sum(point.count for point in points),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Places as arrays, each of shape (x,).

    Parameters
    ----------
    local_samples, learners, nodes, fullest_node, micro_steps : ndarray
        As in `StepPlace`.
    waits : ndarray of bool
        True where not the step time is meant but the computing in it: step time minus exposed wait.
    """

    local_samples: FloatArray
    learners: FloatArray
    nodes: FloatArray
    fullest_node: FloatArray
    micro_steps: FloatArray
    waits: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def places_of(places: Iterable[StepPlace], waits: Sequence[bool] | None = None) -> Places:
    """Return places as arrays; `waits` says where computing alone is meant, nowhere by default."""
    listed = list(places)
    columns = np.array(
        [(one.local_samples, one.learners, one.nodes, one.fullest_node, one.micro_steps) for one in listed], dtype=np.float64
    ).reshape(len(listed), 5)
    m, P, N, g, s = columns.T
    only = np.zeros(len(listed), dtype=bool) if waits is None else np.array(waits, dtype=bool)
    return Places(local_samples=m, learners=P, nodes=N, fullest_node=g, micro_steps=s, waits=only)
