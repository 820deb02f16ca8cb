"""What a job on a network took, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulator.network.alone import Outcome, Path
from simulator.network.programs import Program
from simulator.quantities import FloatArray

__all__ = ["Bottleneck", "NetworkResult", "result_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """The link that was full for longest.

    Parameters
    ----------
    link : int
        Its number.
    name : str
        "tail -> head".
    share : float
        Share of the job's time during which it moved all that it can.
    utilisation : float
        Bytes that the job moved over it, as a share of those that it could have moved in the job's time.
    """

    link: int
    name: str
    share: float
    utilisation: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkResult:
    """What a job took.

    Parameters
    ----------
    start_s, end_s : float
        First start of a rank, and end of the last worker.
    time_s : float
        end_s - start_s.
    rank_end_s : ndarray of float64
        End of each rank, servers included.
    path : {"symmetry", "recurrence", "flows"}
        How it was found: all ranks alike, no link shared, or event by event.
    latency_s, transfer_s, compute_s : float
        What the chain of steps that led to the last end is made of: latency (and overhead) of its messages, computing,
        and the rest: moving bytes, alone or shared.
    messages : int
        Messages sent.
    link_bytes, utilisation : ndarray of float64
        Bytes that the job moved over each link; as a share of what the link could have moved in `time_s`.
    full_share : ndarray of float64
        Share of `time_s` during which each link moved all that it can (for other jobs too, where there are any).
    bottleneck : Bottleneck or None
        The link that was full for longest; None where no link carried anything.
    """

    start_s: float
    end_s: float
    rank_end_s: FloatArray
    path: Path
    latency_s: float
    transfer_s: float
    compute_s: float
    messages: int
    link_bytes: FloatArray = field(repr=False)
    utilisation: FloatArray = field(repr=False)
    full_share: FloatArray = field(repr=False)
    bottleneck: Bottleneck | None

    @property
    def time_s(self) -> float:
        """Seconds from the first start to the last end."""
        return self.end_s - self.start_s

    def row(self) -> dict[str, Any]:
        """Return what a table says of it."""
        return {
            "time_s": self.time_s,
            "path": self.path,
            "latency_s": self.latency_s,
            "transfer_s": self.transfer_s,
            "compute_s": self.compute_s,
            "messages": self.messages,
            "bottleneck": self.bottleneck.name if self.bottleneck else None,
            "bottleneck_share": self.bottleneck.share if self.bottleneck else None,
        }


def result_of(program: Program, outcome: Outcome, start_s: float | FloatArray) -> NetworkResult:
    """Return the result of a job from its times."""
    topology, workers = program.topology, program.schedule.workers
    ends = outcome.times.rank_end_s
    last = int(np.argmax(ends[:workers]))
    start, end = float(np.min(start_s)), float(ends[last])
    own_start = float(np.broadcast_to(np.asarray(start_s, dtype=np.float64), ends.shape)[last])
    span = end - start
    carried = program.link_bytes()
    utilisation = carried / (topology.bandwidth_bytes_per_s * span) if span > 0 else np.zeros(topology.links)
    full = np.minimum(outcome.full_s / span, 1.0) if span > 0 else np.zeros(topology.links)
    bottleneck = None
    if carried.any():
        # Of links that are full equally long (but for rounding) the busiest is named, and of these the first.
        candidates = np.flatnonzero((full >= full[carried > 0].max() * (1.0 - 1e-9)) & (carried > 0))
        busiest = utilisation[candidates]
        link = int(candidates[np.flatnonzero(busiest >= busiest.max() * (1.0 - 1e-9))[0]])
        bottleneck = Bottleneck(
            link=link, name=topology.names[link], share=float(full[link]), utilisation=float(utilisation[link])
        )
    latency_s, compute_s = float(outcome.times.latency_s[last]), float(outcome.times.compute_s[last])
    return NetworkResult(
        start_s=start,
        end_s=end,
        rank_end_s=ends,
        path=outcome.path,
        latency_s=latency_s,
        transfer_s=max(end - own_start - latency_s - compute_s, 0.0),
        compute_s=compute_s,
        messages=program.schedule.messages,
        link_bytes=carried,
        utilisation=utilisation,
        full_share=full,
        bottleneck=bottleneck,
    )
