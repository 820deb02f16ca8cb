"""Max-min fair sharing in NumPy: the definition in a few lines, the oracle of the compiled kernels."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence
from itertools import count

import numpy as np

from simulator.errors import DeadlockError
from simulator.network.flows import Protocol
from simulator.network.kernel_state import TIE
from simulator.network.routing import IntArray
from simulator.network.schedules import Schedule
from simulator.network.topologies import Topology
from simulator.quantities import FloatArray

__all__ = ["max_min_rates", "plain_times"]


def max_min_rates(capacity_bytes_per_s: FloatArray, first: IntArray, link: IntArray) -> FloatArray:
    """Return the max-min fair rates of flows, all of equal weight.

    All rates rise together; where a link is full, its flows stop, and the others rise on.

    Parameters
    ----------
    capacity_bytes_per_s : ndarray of float64
        Bandwidth of each link, > 0.
    first : ndarray of int64, one more than there are flows
        Flow i uses the links ``link[first[i]:first[i + 1]]``, at least one.
    link : ndarray of int64
        Links.

    Returns
    -------
    ndarray of float64
        Bytes per second of each flow.

    Examples
    --------
    >>> max_min_rates(np.array([1.0, 4.0]), np.array([0, 2, 3, 4]), np.array([0, 1, 0, 1]))  # a long flow beside two short ones
    array([0.5, 0.5, 3.5])
    """
    flows = len(first) - 1
    flow_of = np.repeat(np.arange(flows), np.diff(first))
    rates = np.zeros(flows)
    rising = np.ones(flows, dtype=np.bool_)
    room = np.array(capacity_bytes_per_s, dtype=np.float64)
    while rising.any():
        use = np.bincount(link[rising[flow_of]], minlength=len(room))
        share = np.where(use > 0, np.maximum(room, 0.0) / np.maximum(use, 1), np.inf)
        level = share.min()
        stops = np.zeros(flows, dtype=np.bool_)
        stops[flow_of[(share[link] <= level) & rising[flow_of]]] = True
        rates[stops] = level
        room -= np.bincount(link[stops[flow_of]], minlength=len(room)) * level
        rising &= ~stops
    return rates


class _Message:
    """One message of `plain_times`."""

    def __init__(self, source: int, target: int, size: float) -> None:
        self.source, self.target, self.left = source, target, size
        self.receiver_posted = self.delivered = False


def plain_times(
    topology: Topology,
    jobs: Sequence[tuple[Schedule, Sequence[int], float]],
    *,
    protocol: Protocol = "eager",
    message_overhead_s: float = 0.0,
) -> list[FloatArray]:
    """Return each rank's end for jobs (schedule, hosts, start_s), event by event in plain Python, all rates anew at each.

    Nothing here is shared with the compiled loop but the topology: messages meet their receives in queues of their pair.
    """
    serial = count()
    heap: list[tuple[float, int, str, object]] = []
    active: list[_Message] = []
    routes: dict[tuple[int, int, int], tuple[list[int], float]] = {}
    job_of: dict[int, int] = {}
    ends = [np.full(schedule.ranks, np.nan) for schedule, _, _ in jobs]
    turns = {(j, r): (0, 0) for j, (schedule, _, _) in enumerate(jobs) for r in range(schedule.ranks)}  # round, turn
    receives: defaultdict[tuple[int, int], int] = defaultdict(int)
    sends: defaultdict[tuple[int, int], int] = defaultdict(int)
    inside: defaultdict[tuple[int, int], bool] = defaultdict(bool)
    posted: defaultdict[tuple[int, int, int], deque[_Message]] = defaultdict(deque)  # sent, not yet met by a receive
    wanted: defaultdict[tuple[int, int, int], int] = defaultdict(int)  # receives without a send
    gathered: defaultdict[int, list[int]] = defaultdict(list)

    def route(j: int, message: _Message) -> tuple[list[int], float]:
        key = (j, message.source, message.target)
        if key not in routes:
            hosts = jobs[j][1]
            way = topology.route(hosts[message.source], hosts[message.target])
            routes[key] = (way, float(topology.latency_s[way].sum()) + message_overhead_s)
        return routes[key]

    def go(now: float, message: _Message) -> None:
        heapq.heappush(heap, (now + route(job_of[id(message)], message)[1], next(serial), "arrive", message))

    def enter(now: float, j: int, rank: int) -> None:
        schedule = jobs[j][0]
        round_, turn = turns[j, rank]
        if turn == len(schedule.order):
            turns[j, rank] = (round_ + 1, 0)
            if round_ + 1 == schedule.rounds:
                ends[j][rank] = now
            else:
                heapq.heappush(heap, (now, next(serial), "round", (j, rank)))
            return
        one = schedule.steps[schedule.order[turn]]
        receivers = one.destination if one.receiver is None else one.receiver
        senders = one.source if one.sender is None else one.sender
        inside[j, rank] = True
        for sender in senders[receivers == rank].tolist():
            channel = (j, sender, rank)
            if posted[channel]:
                message = posted[channel].popleft()
                message.receiver_posted = True
                receives[j, rank] += not message.delivered
                if protocol == "rendezvous":
                    go(now, message)
            else:
                wanted[channel] += 1
                receives[j, rank] += 1
        for m in np.flatnonzero(one.source == rank).tolist():
            message = _Message(rank, int(one.destination[m]), float(one.bytes[m]))
            job_of[id(message)] = j
            alive.append(message)
            sends[j, rank] += 1
            channel = (j, rank, message.target)
            if wanted[channel]:
                wanted[channel] -= 1
                message.receiver_posted = True
            else:
                posted[channel].append(message)
            if protocol == "eager" or message.receiver_posted:
                go(now, message)
        leave(now, j, rank)

    def leave(now: float, j: int, rank: int) -> None:
        schedule = jobs[j][0]
        round_, turn = turns[j, rank]
        if inside[j, rank] and receives[j, rank] == 0 and (sends[j, rank] == 0 or not schedule.waits_for_sends[turn]):
            inside[j, rank] = False
            turns[j, rank] = (round_, turn + 1)
            heapq.heappush(heap, (now, next(serial), "enter", (j, rank)))

    def deliver(now: float, message: _Message) -> None:
        j = job_of[id(message)]
        message.delivered = True
        sends[j, message.source] -= 1
        leave(now, j, message.source)
        if message.receiver_posted:
            receives[j, message.target] -= 1
            leave(now, j, message.target)

    def begin(now: float, j: int, rank: int) -> None:
        schedule = jobs[j][0]
        compute_s = 0.0
        if schedule.compute_s is not None and rank < schedule.workers:
            compute_s = float(schedule.compute_s[turns[j, rank][0], rank])
        heapq.heappush(heap, (now + compute_s, next(serial), "computed", (j, rank)))

    def meet(now: float, j: int, rank: int) -> None:
        schedule = jobs[j][0]
        if not schedule.barrier or rank >= schedule.workers:
            enter(now, j, rank)
            return
        gathered[j].append(rank)
        if len(gathered[j]) == schedule.workers:
            released, gathered[j] = gathered[j], []
            for other in released:
                enter(now, j, other)

    alive: list[_Message] = []
    for j, (schedule, _, start_s) in enumerate(jobs):
        for rank in range(schedule.ranks):
            heapq.heappush(heap, (start_s, next(serial), "round", (j, rank)))
    steps = {"round": begin, "computed": meet, "enter": enter}
    now, rates = 0.0, np.empty(0)
    while heap or active:
        left = np.array([message.left for message in active])
        leaving = float((now + left / rates).min()) if active else np.inf
        then = max(min(leaving, heap[0][0] if heap else np.inf), now)
        for message, rate in zip(active, rates.tolist(), strict=True):
            message.left -= rate * (then - now)
        limit = then + TIE * abs(then)
        over = [m for m, rate in zip(active, rates.tolist(), strict=True) if m.left <= rate * (limit - then)]
        now = then
        before = list(active)
        active = [message for message in active if message not in over]
        for message in over:
            deliver(now, message)
        while heap and heap[0][0] <= limit:
            _, _, what, of = heapq.heappop(heap)
            if isinstance(of, _Message):
                if route(job_of[id(of)], of)[0] and of.left > 0:
                    active.append(of)
                else:
                    deliver(now, of)
            elif isinstance(of, tuple):
                steps[what](now, *of)
        if active != before:
            ways = [route(job_of[id(message)], message)[0] for message in active]
            first = np.concatenate([[0], np.cumsum([len(way) for way in ways])]).astype(np.int64)
            link = np.array([hop for way in ways for hop in way], dtype=np.int64)
            rates = max_min_rates(topology.bandwidth_bytes_per_s, first, link)
    if any(np.isnan(end).any() for end in ends):
        raise DeadlockError("the schedule cannot end")
    return ends
