"""The flow level: messages of any number of jobs share the links of one network, event by event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DeadlockError
from simulator.network.kernel_state import (
    BEGIN,
    EAGER,
    EVENT,
    EVENTS,
    FINISHED,
    FREE,
    HOPS,
    INSIDE,
    JOB,
    LINK,
    MESSAGE,
    NODE,
    NOW,
    RANK,
    SLOT,
    State,
    empty_arrays,
)
from simulator.network.programs import NEVER, Program
from simulator.network.topologies import Topology
from simulator.quantities import FloatArray

__all__ = ["FlowLevel", "JobTimes", "Protocol"]

Protocol = Literal["eager", "rendezvous"]

GROW_SLOTS = 256
MOST_NAMED = 8
"""Waits that a deadlock report names before it counts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobTimes:
    """When the ranks of a job ended, and what led there.

    Parameters
    ----------
    rank_end_s : ndarray of float64
        End of each rank, servers included.
    latency_s, compute_s : ndarray of float64
        Latency and computing on the chain of steps that led to each rank's end.
    """

    rank_end_s: FloatArray
    latency_s: FloatArray
    compute_s: FloatArray


class FlowLevel:
    """The event loop with its state; jobs may be added while it runs.

    Parameters
    ----------
    topology : Topology
        The network.
    protocol : {"eager", "rendezvous"}
        Whether a message starts when the sender posts it, or when both ends have.
    """

    def __init__(self, topology: Topology, protocol: Protocol = "eager") -> None:
        self.topology = topology
        self.programs: list[Program] = []
        a = empty_arrays()
        a["links"] = np.zeros(topology.links, dtype=LINK)
        a["links"]["capacity"] = topology.bandwidth_bytes_per_s
        a["links"]["head"] = a["links"]["bound_head"] = -1
        for name in ("dirty", "region", "heap"):
            a[name] = np.zeros(topology.links, dtype=a[name].dtype)
        a["number"] = np.zeros(16, dtype=np.int64)
        a["number"][EAGER] = protocol == "eager"
        a["number"][HOPS] = 1
        a["clock"] = np.array([0.0, -np.inf])
        self._arrays = a

    @property
    def state(self) -> State:
        """The arrays, by name."""
        return State(**cast(dict[str, Any], self._arrays))

    @property
    def now_s(self) -> float:
        """Time of the last event."""
        return float(self._arrays["clock"][NOW])

    @property
    def events(self) -> int:
        """Events so far."""
        return int(self._arrays["number"][EVENTS])

    def copy(self) -> FlowLevel:
        """Return an independent copy, to look ahead with."""
        other = object.__new__(FlowLevel)
        other.topology, other.programs = self.topology, list(self.programs)
        other._arrays = dict(self._arrays)
        for name in CHANGING:
            other._arrays[name] = self._arrays[name].copy()
        return other

    def add(self, program: Program, start_s: float | FloatArray = 0.0, *, reuse: bool = False) -> int:
        """Add a job whose ranks start at `start_s` (one time, or one for each rank); return its number.

        With `reuse`, a job of the same program that is over gives its number and its arrays, so that a long run of alike jobs
        takes no more memory than one; its times are then gone.
        """
        from simulator.network.event_kernel import push_early

        schedule = program.schedule
        over = [job for job, known in enumerate(self.programs) if known is program and self.is_over(job)] if reuse else []
        job = over[0] if over else self._append_job(program)
        record = self._arrays["jobs"][job]
        first_rank = int(record["first_rank"])
        record["left"], record["waiting"], record["done"] = schedule.ranks, 0, 0
        ranks = self._arrays["ranks"][first_rank : first_rank + schedule.ranks]
        ranks[:] = np.zeros(1, dtype=RANK)
        ranks["job"], ranks["waiting"], ranks["stage"] = job, -1, BEGIN
        state = self.state
        starts = np.broadcast_to(np.asarray(start_s, dtype=np.float64), (schedule.ranks,))
        for rank, start in enumerate(starts.tolist()):
            push_early(state, start, -1 - (first_rank + rank))
        return job

    def is_over(self, job: int) -> bool:
        """Whether all ranks of a job have ended."""
        return bool(self._arrays["jobs"]["done"][job])

    def _append_job(self, program: Program) -> int:
        a, schedule = self._arrays, program.schedule
        ranks, first_rank, first_message = schedule.ranks, len(a["ranks"]), len(a["messages"])
        job, rows = len(self.programs), len(a["send_first"])
        messages = np.zeros(len(program.source), dtype=MESSAGE)
        messages["source"], messages["target"] = program.source + first_rank, program.target + first_rank
        messages["size"], messages["delay"], messages["shift"] = program.size, program.delay, program.shift
        messages["hop_first"], messages["hop_count"] = program.hop_first[:-1] + len(a["hop"]), np.diff(program.hop_first)
        self._append("messages", messages)
        self._append("hop", program.hop)
        self._append("send_first", program.send_first + first_message)
        self._append("receive_count", program.receive_count)
        computes = -1 if schedule.compute_s is None else len(a["compute"])
        self._append(
            "jobs",
            np.array(
                [(first_rank, schedule.workers, len(a["step_row"]), len(schedule.order), schedule.rounds, computes,
                  schedule.barrier, ranks, 0, 0)],
                dtype=JOB,
            ),
        )  # fmt: skip
        if schedule.compute_s is not None:
            self._append("compute", schedule.compute_s.ravel())
        self._append("step_row", rows + schedule.order * (ranks + 1))
        self._append("waits", schedule.waits_for_sends)
        self._append("ranks", np.zeros(ranks, dtype=RANK))
        self._append("ready", np.zeros(ranks, dtype=np.int32))
        self._widen(int(np.diff(program.hop_first).max(initial=1)))
        self._grow_early()
        self.programs.append(program)
        return job

    def run(self, to_s: float = np.inf, *, stop_at_end: bool = False) -> list[int]:
        """Run to a time, or until a job ends; return the jobs that ended.

        Raises
        ------
        DeadlockError
            Where nothing happens any more and a job has not ended.
        """
        from simulator.network.event_kernel import GROW, IDLE, run

        a = self._arrays
        before = a["jobs"]["done"].copy()
        a["number"][FINISHED] = 0
        while (why := run(self.state, to_s, stop_at_end)) == GROW:
            self._grow_slots()
        if why == IDLE and (a["jobs"]["left"] > 0).any():
            raise DeadlockError(self._who_waits())
        return np.flatnonzero(a["jobs"]["done"] > before).tolist()

    def times(self, job: int) -> JobTimes:
        """Return the ends of a job that is over."""
        first = int(self._arrays["jobs"]["first_rank"][job])
        rows = self._arrays["ranks"][first : first + self.programs[job].schedule.ranks]
        return JobTimes(rank_end_s=rows["time"].copy(), latency_s=rows["latency"].copy(), compute_s=rows["computed"].copy())

    def full_s(self) -> FloatArray:
        """Return how long each link was full so far, seconds."""
        links, now = self._arrays["links"], self._arrays["clock"][NOW]
        full: FloatArray = links["full_s"] + np.where(links["is_full"] == 1, now - links["full_since"], 0.0)
        return full

    def _append(self, name: str, values: NDArray[Any]) -> None:
        old = self._arrays[name]
        self._arrays[name] = np.concatenate([old, values.astype(old.dtype, copy=False)])

    def _widen(self, hops: int) -> None:
        """Make room for routes of so many links."""
        a = self._arrays
        old = int(a["number"][HOPS])
        if hops <= old:
            return
        wide = np.full((len(a["slots"]), hops), -1, dtype=NODE)
        nodes = a["nodes"].reshape(len(a["slots"]), old)
        for name in ("next", "previous"):
            wide[name][:, :old] = _renumbered(nodes[name], old, hops)
        a["nodes"] = wide.ravel()
        a["members"] = np.zeros(len(a["nodes"]), dtype=np.int32)
        a["links"]["head"] = _renumbered(a["links"]["head"], old, hops)
        a["number"][HOPS] = hops

    def _grow_slots(self) -> None:
        """Double the number of messages that may be under way."""
        a = self._arrays
        old = len(a["slots"])
        more = max(old, GROW_SLOTS, int(np.diff(a["send_first"]).max(initial=0)))
        slots = np.zeros(more, dtype=SLOT)
        for name in ("bottleneck", "place", "following"):
            slots[name] = -1
        self._append("slots", slots)
        self._append("nodes", np.full(more * int(a["number"][HOPS]), -1, dtype=NODE))
        self._append("members", np.zeros(more * int(a["number"][HOPS]), dtype=np.int32))
        for name in ("free", "fresh", "touched", "leaving"):
            self._append(name, np.zeros(more, dtype=np.int32))
        free = int(a["number"][FREE])
        a["free"][free : free + more] = np.arange(old + more - 1, old - 1, -1)
        a["number"][FREE] = free + more
        self._grow_early()

    def _grow_early(self) -> None:
        a = self._arrays
        more = len(a["slots"]) + len(a["ranks"]) - len(a["early"])
        if more > 0:
            self._append("early", np.zeros(more, dtype=EVENT))

    def _who_waits(self) -> str:
        """Name the ranks that wait and for whom."""
        found: list[str] = []
        more = 0
        for job, one in enumerate(self.programs):
            first, turns = int(self._arrays["jobs"]["first_rank"][job]), len(one.schedule.order)
            ranks = self._arrays["ranks"][first : first + one.schedule.ranks]
            at, inside = ranks["round"] * turns + ranks["turn"], ranks["stage"] == INSIDE
            for rank in np.flatnonzero(inside).tolist():
                if len(found) < MOST_NAMED:
                    found += self._rank_waits(one, rank, at, inside)
                else:
                    more += 1
        rest = f"; and {more} more ranks wait" if more else ""
        return f"the schedule cannot end: {'; '.join(found)}{rest}"

    def _rank_waits(self, one: Program, rank: int, at: NDArray[Any], inside: NDArray[Any]) -> list[str]:
        turns = len(one.schedule.order)
        base, turn = divmod(int(at[rank]), turns)
        q = int(one.schedule.order[turn])
        posted = np.where(inside, at, at - 1)
        found = []
        messages = np.flatnonzero((one.source == rank) | (one.target == rank))
        position_of = np.repeat(np.arange(len(one.schedule.steps)), np.diff(one.first_message))
        expected = one.receive_count[q * (one.schedule.ranks + 1) + rank]
        for m in messages.tolist():
            send_at = turn if one.schedule.mirrored else int(position_of[m])
            if one.schedule.mirrored and position_of[m] != q:
                continue
            sender, receiver, shift = int(one.source[m]), int(one.target[m]), int(one.shift[m])
            expected -= receiver == rank and send_at + shift == turn
            if receiver == rank and send_at + shift == turn and posted[sender] < base * turns + send_at:
                found.append(f"rank {rank} waits in step {turn} for what rank {sender} sends in its step {send_at}")
            elif sender == rank and send_at == turn and self._arrays["number"][EAGER] == 0:
                if shift == NEVER:
                    found.append(f"rank {rank} waits in step {turn} for rank {receiver}, which never receives it")
                elif posted[receiver] < base * turns + send_at + shift:
                    found.append(
                        f"rank {rank} waits in step {turn} for rank {receiver} to receive in its step {send_at + shift}"
                    )
        if expected > 0:
            senders = one.schedule.steps[q].sender
            names = (
                ""
                if senders is None
                else ", ".join(str(s) for s in sorted(set(senders[one.schedule.steps[q].receiver == rank].tolist())))
            )
            found.append(f"rank {rank} waits in step {turn} for rank {names}, which never sends it")
        return found


def _renumbered(nodes: NDArray[np.int32], old: int, new: int) -> NDArray[np.int32]:
    """Return the same nodes where a slot has `new` of them instead of `old`."""
    return np.where(nodes >= 0, nodes // old * new + nodes % old, -1).astype(np.int32)


CHANGING = (
    "jobs",
    "ranks",
    "slots",
    "nodes",
    "links",
    "ready",
    "free",
    "fresh",
    "leaving",
    "dirty",
    "early",
    "number",
    "clock",
)
"""Arrays of State that the event loop writes, scratch apart."""
