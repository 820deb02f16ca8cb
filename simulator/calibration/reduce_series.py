"""Measured all-reduces: a point, and the series of one system that a law is fitted to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import FitError
from simulator.quantities import FloatArray

__all__ = ["ReducePoint", "ReduceSeries", "as_arrays"]

MOST_POINTS = 1_000
"""Different (size, devices, nodes) of a series: the fit inverts matrices of that size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducePoint:
    """One measured all-reduce.

    Parameters
    ----------
    size_bytes : float
        Bytes that each device contributes, > 0.
    devices, nodes : int
        P >= 2 and the nodes that they are spread over, 1 to P.
    time_s : float
        Seconds, > 0.
    error_relative : float
        Standard error of the time, relative to it; 0 where nothing is known.
    """

    size_bytes: float
    devices: int
    nodes: int
    time_s: float
    error_relative: float = 0.0

    @property
    def bus_bandwidth_bytes_per_s(self) -> float:
        """Bytes over time, times 2 (P-1)/P: what a ring sends over each link."""
        return self.size_bytes / self.time_s * 2.0 * (self.devices - 1) / self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceSeries:
    """All-reduce times of one system: same devices, fabric and software, several sizes or numbers of devices.

    Parameters
    ----------
    name : str
        What it is called.
    points : tuple of ReducePoint
        In the order of nodes, devices, size; each combination once.
    in_switch : bool
        Whether the switch adds up the contributions: every device sends them once instead of 2 (P-1)/P times.
    """

    name: str
    points: tuple[ReducePoint, ...]
    in_switch: bool = False

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise FitError(f"{self.name}: must have at least two measured (size, devices, nodes), got {len(self.points)}")
        if len(self.points) > MOST_POINTS:
            raise FitError(
                f"{self.name}: must have at most {MOST_POINTS} different (size, devices, nodes), got {len(self.points)}"
            )

    @classmethod
    def of(cls, name: str, points: Iterable[ReducePoint], *, in_switch: bool = False) -> ReduceSeries:
        """Sort points and join those of the same size, devices and nodes to their mean."""
        grouped: dict[tuple[int, int, float], list[ReducePoint]] = {}
        for point in points:
            grouped.setdefault((point.nodes, point.devices, point.size_bytes), []).append(point)
        return cls(name=name, points=tuple(_joined(grouped[key]) for key in sorted(grouped)), in_switch=in_switch)

    def without(self, points: Iterable[ReducePoint]) -> ReduceSeries:
        """Return the series without some of its points, as if they had never been measured."""
        left_out = set(points)
        return ReduceSeries(name=self.name, points=tuple(p for p in self.points if p not in left_out), in_switch=self.in_switch)

    @property
    def sizes(self) -> tuple[float, ...]:
        """The sizes measured, bytes, increasing."""
        return tuple(sorted({point.size_bytes for point in self.points}))

    @property
    def device_counts(self) -> tuple[int, ...]:
        """The numbers of devices measured, increasing."""
        return tuple(sorted({point.devices for point in self.points}))

    @property
    def placements(self) -> tuple[tuple[int, int], ...]:
        """The (devices, nodes) measured, increasing."""
        return tuple(sorted({(point.devices, point.nodes) for point in self.points}))

    @property
    def tiers(self) -> tuple[bool, bool]:
        """Whether anything was measured inside a node, and across nodes."""
        return any(point.nodes == 1 for point in self.points), any(point.nodes > 1 for point in self.points)


def _joined(points: Sequence[ReducePoint]) -> ReducePoint:
    """Join repeated measurements to their mean time."""
    first = points[0]
    if len(points) == 1:
        return first
    times = np.array([point.time_s for point in points])
    mean = float(times.mean())
    spread = float(times.std(ddof=1)) / mean / math.sqrt(len(points))
    own = float(np.sqrt(np.mean([point.error_relative**2 for point in points]) / len(points)))
    return ReducePoint(
        size_bytes=first.size_bytes,
        devices=first.devices,
        nodes=first.nodes,
        time_s=mean,
        error_relative=max(spread, own),
    )


def as_arrays(points: Sequence[ReducePoint]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sizes in bytes, devices and nodes, each of shape (n,)."""
    return (
        np.array([point.size_bytes for point in points], dtype=np.float64),
        np.array([point.devices for point in points], dtype=np.float64),
        np.array([point.nodes for point in points], dtype=np.float64),
    )
