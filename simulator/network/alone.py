"""A job that has the network to itself: two short cuts that are exact, and the flow level where neither applies.

Symmetry: all ranks start a step together, their messages are alike and get the same rate, so all ranks end it together; a step
is one division. Recurrence: no two messages share a link, so each moves at the bandwidth of its narrowest link, and the ranks'
times follow from one another. Both are found from the schedule and its routes, not from its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.network.flows import FlowLevel, JobTimes, Protocol
from simulator.network.programs import Program
from simulator.quantities import FloatArray

__all__ = ["Outcome", "Path", "by_flows", "by_recurrence", "by_symmetry", "run_alone"]

Path = Literal["symmetry", "recurrence", "flows"]

FULL = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """Times of a job, how long links were full, and how that was found.

    Parameters
    ----------
    times : JobTimes
        Of all ranks.
    full_s : ndarray of float64
        How long each link moved all that it can, seconds.
    path : {"symmetry", "recurrence", "flows"}
        How it was found.
    """

    times: JobTimes
    full_s: FloatArray
    path: Path


def run_alone(program: Program, start_s: float | FloatArray, protocol: Protocol) -> Outcome:
    """Return the outcome of a job on an idle network by the shortest way that is exact."""
    return by_symmetry(program, start_s) or by_recurrence(program, start_s, protocol) or by_flows(program, start_s, protocol)


def by_flows(program: Program, start_s: float | FloatArray, protocol: Protocol) -> Outcome:
    """Return the outcome from the event loop."""
    level = FlowLevel(program.topology, protocol)
    job = level.add(program, start_s)
    level.run()
    return Outcome(times=level.times(job), full_s=level.full_s(), path="flows")


def by_symmetry(program: Program, start_s: float | FloatArray) -> Outcome | None:
    """Return the outcome where all ranks are alike in every step; None where they are not.

    Flows that start together, with equal delay and size, and with the same smallest share ``bandwidth / flows`` over their
    links, are served at that share: the link where it is smallest is full and no flow there is faster.
    """
    schedule, topology = program.schedule, program.topology
    starts = np.unique(np.asarray(start_s, dtype=np.float64))
    if len(starts) > 1 or not schedule.mirrored or schedule.workers < schedule.ranks:
        return None
    compute_s = np.zeros(schedule.rounds) if schedule.compute_s is None else schedule.compute_s.max(axis=1)
    if schedule.compute_s is not None and not schedule.barrier and np.any(schedule.compute_s != compute_s[:, None]):
        return None
    used = schedule.times_used
    delay_s, step_s = np.zeros(len(used)), np.zeros(len(used))
    full_s = np.zeros(topology.links)
    for q in np.flatnonzero(used).tolist():
        messages = slice(int(program.first_message[q]), int(program.first_message[q + 1]))
        alike = _alike(program, messages, q)
        if alike is None:
            return None
        delay_s[q], rate, flows = alike
        transfer_s = program.size[messages.start] / rate
        step_s[q] = delay_s[q] + transfer_s
        full_s[flows * rate >= topology.bandwidth_bytes_per_s * (1.0 - FULL)] += used[q] * transfer_s
    end_s = float(starts[0]) + float(compute_s.sum()) + float((used * step_s).sum())
    each = np.ones(schedule.ranks)
    times = JobTimes(
        rank_end_s=end_s * each,
        latency_s=float((used * delay_s).sum()) * each,
        compute_s=float(compute_s.sum()) * each,
    )
    return Outcome(times=times, full_s=full_s, path="symmetry")


def _alike(program: Program, messages: slice, q: int) -> tuple[float, float, FloatArray] | None:
    """Return delay and rate of all messages of a step, and the flows on each link; None where they differ."""
    schedule = program.schedule
    row = slice(q * (schedule.ranks + 1), (q + 1) * (schedule.ranks + 1) - 1)
    if messages.start == messages.stop or np.any(program.receive_count[row] == 0):
        return None  # a rank that receives nothing goes on at once
    delay, size = program.delay[messages], program.size[messages]
    hop_first = program.hop_first[messages.start : messages.stop + 1]
    if np.any(delay != delay[0]) or np.any(size != size[0]) or np.any(np.diff(hop_first) == 0):
        return None
    hop = program.hop[hop_first[0] : hop_first[-1]]
    flows = np.bincount(hop, minlength=program.topology.links).astype(np.float64)
    share = program.topology.bandwidth_bytes_per_s / np.maximum(flows, 1.0)
    rates = np.minimum.reduceat(share[hop], hop_first[:-1] - hop_first[0])
    return None if np.any(rates != rates[0]) else (float(delay[0]), float(rates[0]), flows)


def by_recurrence(program: Program, start_s: float | FloatArray, protocol: Protocol) -> Outcome | None:
    """Return the outcome where no two messages are on a link at once; None where some are.

    Where every link serves one sender, which waits for its sends, that is so whatever the times; elsewhere each message is
    checked against the one before it on each of its links.
    """
    schedule, topology = program.schedule, program.topology
    if not schedule.mirrored or not schedule.waits_for_sends.all():
        return None
    for q in range(len(schedule.steps)):
        hops = program.hop[program.hop_first[program.first_message[q]] : program.hop_first[program.first_message[q + 1]]]
        if len(hops) and np.bincount(hops).max() > 1:
            return None
    from simulator.network.recurrence_kernel import step_through

    sender = np.repeat(program.source, np.diff(program.hop_first))
    least, most = np.full(topology.links, schedule.ranks), np.full(topology.links, -1)
    np.minimum.at(least, program.hop, sender)
    np.maximum.at(most, program.hop, sender)
    watch = bool(np.any(most > least))
    transfer_s = program.size / program.narrowest
    first, last = program.first_message[schedule.order], program.first_message[schedule.order + 1]
    time = np.array(np.broadcast_to(np.asarray(start_s, dtype=np.float64), (schedule.ranks,)))
    latency, computed = np.zeros(schedule.ranks), np.zeros(schedule.ranks)
    idle_from = np.full(topology.links, -np.inf)
    scratch = [np.empty(schedule.ranks) for _ in range(3)]
    workers = slice(0, schedule.workers)
    for turn in range(schedule.rounds):
        if schedule.compute_s is not None:
            time[workers] += schedule.compute_s[turn]
            computed[workers] += schedule.compute_s[turn]
        if schedule.barrier:
            slowest = int(np.argmax(time[workers]))
            for values in (time, latency, computed):
                values[workers] = values[slowest]
        if not step_through(
            first, last, program.source, program.target, program.delay, transfer_s, protocol == "eager", watch,
            program.hop_first, program.hop, idle_from, time, latency, computed, *scratch,
        ):  # fmt: skip
            return None
    hops = np.diff(program.hop_first)
    narrow = topology.bandwidth_bytes_per_s[program.hop] <= np.repeat(program.narrowest, hops) * (1.0 + FULL)
    busy_s = np.repeat(transfer_s * program.times_sent(), hops) * narrow
    return Outcome(
        times=JobTimes(rank_end_s=time, latency_s=latency, compute_s=computed),
        full_s=np.bincount(program.hop, weights=busy_s, minlength=topology.links).astype(np.float64),
        path="recurrence",
    )
