"""A schedule on the hosts of a network, as flat arrays: every message with its route, every rank with its sends by step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TopologyError
from simulator.network.routing import IntArray
from simulator.network.schedules import Schedule, Step
from simulator.network.topologies import Topology
from simulator.quantities import ArrayLike, FloatArray, non_negative

__all__ = ["NEVER", "Program", "placed", "program"]

NEVER = 1 << 30
"""Shift of a message that nobody receives."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """A schedule whose ranks have hosts.

    Messages are counted step by step, and within a step by their sender; `row` r of step q is ``q * (ranks + 1) + r``.

    Parameters
    ----------
    topology, schedule : Topology, Schedule
        What it was made of; receives of the schedule are mirrored, or the steps stand one by one.
    hosts : ndarray of int64
        Host of each rank.
    first_message : ndarray of int64
        First message of each step; one more than there are steps.
    source, target : ndarray of int32
        Ranks of each message.
    size, delay : ndarray of float64
        Bytes, and seconds before the first of them moves.
    shift : ndarray of int32
        Position of the receive in the order less that of the send; NEVER where nobody receives.
    hop_first : ndarray of int64
        Route of message i is ``hop[hop_first[i]:hop_first[i + 1]]``.
    hop : ndarray of int32
        Links.
    send_first : ndarray of int64
        By row: the rank's first message of the step; the next row has the end.
    receive_count : ndarray of int32
        By row: how many messages the rank receives in the step.
    """

    topology: Topology
    schedule: Schedule
    hosts: IntArray
    first_message: IntArray
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    size: FloatArray
    delay: FloatArray
    shift: NDArray[np.int32]
    hop_first: IntArray
    hop: NDArray[np.int32]
    send_first: IntArray
    receive_count: NDArray[np.int32]

    @cached_property
    def narrowest(self) -> FloatArray:
        """Smallest bandwidth on the route of each message, bytes per second; infinite within a host."""
        found = np.full(len(self.source), np.inf)
        away = np.flatnonzero(np.diff(self.hop_first))
        if len(away):
            bandwidths = self.topology.bandwidth_bytes_per_s[self.hop]
            found[away] = np.minimum.reduceat(bandwidths, self.hop_first[away])
        return found

    def times_sent(self) -> IntArray:
        """How often each message is sent, in all rounds."""
        return np.repeat(self.schedule.times_used, np.diff(self.first_message))

    def link_bytes(self) -> FloatArray:
        """Bytes that each link carries in all rounds: those of the messages whose routes use it."""
        weights = np.repeat(self.size * self.times_sent(), np.diff(self.hop_first))
        return np.bincount(self.hop, weights=weights, minlength=self.topology.links).astype(np.float64)


def placed(topology: Topology, schedule: Schedule, hosts: ArrayLike | None) -> IntArray:
    """Return the host of each rank: rank r on host r, or as listed.

    Raises
    ------
    TopologyError
        With more ranks than hosts, or a host that does not exist.
    ValueError
        Where the list has another length than there are ranks.
    """
    if hosts is None:
        if schedule.ranks > topology.hosts:
            raise TopologyError(
                f"{schedule.name} needs {schedule.ranks} hosts, one for each rank, and the {topology.name} has {topology.hosts}"
            )
        return np.arange(schedule.ranks)
    listed = np.asarray(hosts, dtype=np.int64)
    if listed.shape != (schedule.ranks,):
        raise ValueError(f"hosts must name one host for each of {schedule.ranks} ranks, got {listed.size}")
    outside = (listed < 0) | (listed >= topology.hosts)
    if outside.any():
        raise TopologyError(f"hosts must be from 0 to {topology.hosts - 1}, got {int(listed[outside][0])}")
    return listed


def program(
    topology: Topology, schedule: Schedule, *, hosts: ArrayLike | None = None, message_overhead_s: float = 0.0
) -> Program:
    """Find the routes of a schedule's messages and put them in order.

    Parameters
    ----------
    topology : Topology
        The network.
    schedule : Schedule
        Who sends what to whom.
    hosts : array_like of int, optional
        Host of each rank; rank r sits on host r by default. Messages between ranks of one host take no time.
    message_overhead_s : float
        Added to the latency of every message, >= 0.
    """
    overhead_s = float(non_negative("message_overhead_s", message_overhead_s))
    places = placed(topology, schedule, hosts)
    if not schedule.mirrored:
        schedule = replace(
            schedule, steps=tuple(schedule.steps[q] for q in schedule.order.tolist()), order=np.arange(len(schedule.order))
        )
    steps = schedule.steps
    ranks = schedule.ranks
    first_message = np.zeros(len(steps) + 1, dtype=np.int64)
    np.cumsum([len(one.source) for one in steps], out=first_message[1:])
    send_first = np.zeros(len(steps) * (ranks + 1), dtype=np.int64)
    receive_count = np.zeros(len(steps) * (ranks + 1), dtype=np.int32)
    orders = []
    for q, one in enumerate(steps):
        row = slice(q * (ranks + 1), (q + 1) * (ranks + 1))
        orders.append(np.argsort(one.source, kind="stable"))
        send_first[row] = first_message[q] + np.searchsorted(one.source[orders[q]], np.arange(ranks + 1))
        receivers = one.destination if one.receiver is None else one.receiver
        receive_count[row] = np.bincount(receivers, minlength=ranks + 1)
    source = _joined([one.source[order] for one, order in zip(steps, orders, strict=True)])
    target = _joined([one.destination[order] for one, order in zip(steps, orders, strict=True)])
    size = np.concatenate([np.empty(0), *(one.bytes[order] for one, order in zip(steps, orders, strict=True))])
    routes = topology.routes(places[source], places[target])
    hop_latencies = np.concatenate([topology.latency_s[routes.link], [0.0]])
    latency = np.add.reduceat(hop_latencies, routes.first[:-1]) if len(source) else np.empty(0)
    return Program(
        topology=topology,
        schedule=schedule,
        hosts=places,
        first_message=first_message,
        source=source,
        target=target,
        size=size,
        delay=np.where(routes.hops > 0, latency, 0.0) + overhead_s,
        shift=np.zeros(len(source), dtype=np.int32) if schedule.mirrored else _shifts(steps, source, target, first_message),
        hop_first=routes.first,
        hop=routes.link,
        send_first=send_first,
        receive_count=receive_count,
    )


def _joined(parts: list[IntArray]) -> NDArray[np.int32]:
    return np.concatenate([np.empty(0, dtype=np.int32), *parts]).astype(np.int32)


def _shifts(
    steps: Sequence[Step], source: NDArray[np.int32], target: NDArray[np.int32], first_message: IntArray
) -> NDArray[np.int32]:
    """Match the k-th send of a pair of ranks with its k-th receive, within a round."""
    expected: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for position, one in enumerate(steps):
        receivers = one.destination if one.receiver is None else one.receiver
        senders = one.source if one.sender is None else one.sender
        for receiver, sender in zip(receivers.tolist(), senders.tolist(), strict=True):
            expected[sender, receiver].append(position)
    taken: defaultdict[tuple[int, int], int] = defaultdict(int)
    shifts = np.full(len(source), NEVER, dtype=np.int32)
    for position in range(len(steps)):
        for m in range(int(first_message[position]), int(first_message[position + 1])):
            pair = (int(source[m]), int(target[m]))
            if taken[pair] < len(expected[pair]):
                shifts[m] = expected[pair][taken[pair]] - position
            taken[pair] += 1
    return shifts
