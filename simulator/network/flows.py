"""The flow level: messages of any number of jobs share the links of one network, event by event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DeadlockError
from simulator.network.kernel_state import BEGIN, EAGER, EPOCH, EVENTS, FINISHED, FREE, HOPS, INSIDE, NOW, OVER, State
from simulator.network.programs import NEVER, Program
from simulator.network.topologies import Topology
from simulator.quantities import FloatArray

__all__ = ["FlowLevel", "JobTimes", "Protocol"]

Protocol = Literal["eager", "rendezvous"]

GROW_SLOTS = 256

MESSAGES = ("source", "target", "size", "delay", "shift", "hop_first", "hop_count", "hop")
ROWS = ("send_first", "receive_count", "step_row", "waits")
JOBS = (
    "job_rank", "job_workers", "job_order", "job_turns", "job_rounds", "job_compute", "job_barrier",
    "job_left", "job_waiting", "job_done",
)  # fmt: skip
RANKS = ("rank_job", "stage", "round", "turn", "to_receive", "to_send", "time", "latency", "computed", "waiting", "ready")
SLOTS = (
    "message", "position", "left", "rate", "since", "ends", "begin_latency", "begin_computed", "bottleneck", "new_rate",
    "new_bottleneck", "mark", "frozen", "place", "following", "free", "fresh", "touched", "leaving",
)  # fmt: skip


def _dtype(name: str) -> type[np.generic]:
    """Return the type of an array of State, as its annotation says."""
    kind = str(State.__annotations__[name])
    return np.float64 if "Floats" in kind else np.int32 if "Shorts" in kind else np.bool_ if "bool" in kind else np.int64


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
        links = topology.links
        a: dict[str, NDArray[Any]] = {name: np.empty(0, dtype=_dtype(name)) for name in State._fields}
        a["capacity"] = np.ascontiguousarray(topology.bandwidth_bytes_per_s)
        for name in ("head", "dirty", "region", "heap_link"):
            a[name] = np.full(links, -1, dtype=np.int32)
        for name in ("count", "link_mark", "loose", "bound", "is_dirty", "is_full"):
            a[name] = np.zeros(links, dtype=np.int64)
        for name in ("room", "level", "top", "heap_key", "full_since", "full_s"):
            a[name] = np.zeros(links)
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
        for name in (*JOBS, *RANKS, *SLOTS, *LINKS, "node_next", "node_previous", "early_time", "early_id", "number", "clock"):
            other._arrays[name] = self._arrays[name].copy()
        return other

    def add(self, program: Program, start_s: float | FloatArray = 0.0) -> int:
        """Add a job whose ranks start at `start_s` (one time, or one for each rank); return its number."""
        from simulator.network.event_kernel import push_early

        a, schedule = self._arrays, program.schedule
        ranks, first_rank, first_message = schedule.ranks, len(a["rank_job"]), len(a["source"])
        job, rows, hops = len(self.programs), len(a["send_first"]), len(a["hop"])
        self._append("source", program.source + first_rank)
        self._append("target", program.target + first_rank)
        self._append("size", program.size)
        self._append("delay", program.delay)
        self._append("shift", program.shift)
        self._append("hop_first", program.hop_first[:-1] + hops)
        self._append("hop_count", np.diff(program.hop_first))
        self._append("hop", program.hop)
        self._append("send_first", program.send_first + first_message)
        self._append("receive_count", program.receive_count)
        for name, value in (
            ("job_rank", first_rank), ("job_workers", schedule.workers), ("job_order", len(a["step_row"])),
            ("job_turns", len(schedule.order)), ("job_rounds", schedule.rounds),
            ("job_compute", -1 if schedule.compute_s is None else len(a["compute"])), ("job_barrier", schedule.barrier),
            ("job_left", ranks), ("job_waiting", 0), ("job_done", 0),
        ):  # fmt: skip
            self._append(name, np.array([value]))
        if schedule.compute_s is not None:
            self._append("compute", schedule.compute_s.ravel())
        self._append("step_row", rows + schedule.order * (ranks + 1))
        self._append("waits", schedule.waits_for_sends)
        for name in RANKS:
            value = job if name == "rank_job" else -1 if name in ("waiting", "ready") else BEGIN if name == "stage" else 0
            self._append(name, np.full(ranks, value))
        self._widen(int(np.diff(program.hop_first).max(initial=1)))
        self._grow_early()
        starts = np.broadcast_to(np.asarray(start_s, dtype=np.float64), (ranks,))
        state = self.state
        for rank, start in enumerate(starts.tolist()):
            push_early(state, start, -1 - (first_rank + rank))
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
        before = a["job_done"].copy()
        a["number"][FINISHED] = 0
        while (why := run(self.state, to_s, stop_at_end)) == GROW:
            self._grow_slots()
        if why == IDLE and (a["job_left"] > 0).any():
            raise DeadlockError(self._who_waits())
        return np.flatnonzero(a["job_done"] > before).tolist()

    def times(self, job: int) -> JobTimes:
        """Return the ends of a job that is over."""
        first = int(self._arrays["job_rank"][job])
        rows = slice(first, first + self.programs[job].schedule.ranks)
        time, latency, computed = (self._arrays[name][rows].copy() for name in ("time", "latency", "computed"))
        return JobTimes(rank_end_s=time, latency_s=latency, compute_s=computed)

    def full_s(self) -> FloatArray:
        """Return how long each link was full so far, seconds."""
        a = self._arrays
        return a["full_s"] + np.where(a["is_full"] == 1, a["clock"][NOW] - a["full_since"], 0.0)

    def _append(self, name: str, values: NDArray[Any]) -> None:
        old = self._arrays[name]
        self._arrays[name] = np.concatenate([old, values.astype(old.dtype, copy=False)]) if len(old) else values.astype(old.dtype)

    def _widen(self, hops: int) -> None:
        """Make room for routes of so many links."""
        a = self._arrays
        old = int(a["number"][HOPS])
        if hops <= old:
            return
        slots = len(a["message"])
        for name in ("node_next", "node_previous"):
            nodes = a[name].reshape(slots, old)
            wide = np.full((slots, hops), -1, dtype=np.int32)
            wide[:, :old] = np.where(nodes >= 0, nodes // old * hops + nodes % old, -1)
            a[name] = wide.ravel()
        a["head"] = np.where(a["head"] >= 0, a["head"] // old * hops + a["head"] % old, -1).astype(np.int32)
        a["number"][HOPS] = hops

    def _grow_slots(self) -> None:
        """Double the number of messages that may be under way."""
        a = self._arrays
        old = len(a["message"])
        more = max(old, GROW_SLOTS)
        need = int(np.diff(a["send_first"]).max(initial=0))
        more = max(more, need)
        for name in SLOTS:
            self._append(name, np.full(more, -1 if name in ("bottleneck", "place", "following") else 0))
        for name in ("node_next", "node_previous"):
            self._append(name, np.full(more * int(a["number"][HOPS]), -1))
        free = int(a["number"][FREE])
        a["free"][free : free + more] = np.arange(old + more - 1, old - 1, -1)
        a["number"][FREE] = free + more
        self._grow_early()

    def _grow_early(self) -> None:
        a = self._arrays
        more = len(a["message"]) + len(a["rank_job"]) - len(a["early_time"])
        if more > 0:
            self._append("early_time", np.zeros(more))
            self._append("early_id", np.zeros(more))

    def _who_waits(self) -> str:
        """Name the ranks that wait and for whom."""
        found: list[str] = []
        a = self._arrays
        for job, one in enumerate(self.programs):
            first, turns = int(a["job_rank"][job]), len(one.schedule.order)
            at = (a["round"] * turns + a["turn"])[first : first + one.schedule.ranks]
            inside = a["stage"][first : first + one.schedule.ranks] == INSIDE
            over = a["stage"][first : first + one.schedule.ranks] == OVER
            for rank in np.flatnonzero(~over).tolist():
                found += self._rank_waits(one, rank, at, inside, over) if inside[rank] else []
        shown = found[:8]
        more = f"; and {len(found) - 8} more" if len(found) > 8 else ""
        return f"the schedule cannot end: {'; '.join(shown)}{more}"

    def _rank_waits(
        self, one: Program, rank: int, at: NDArray[Any], inside: NDArray[Any], over: NDArray[Any]
    ) -> list[str]:
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
                    found.append(f"rank {rank} waits in step {turn} for rank {receiver} to receive in its step {send_at + shift}")
        if expected > 0:
            senders = one.schedule.steps[q].sender
            names = "" if senders is None else ", ".join(str(s) for s in sorted(set(senders[one.schedule.steps[q].receiver == rank].tolist())))
            found.append(f"rank {rank} waits in step {turn} for rank {names}, which never sends it")
        return found


LINKS = ("head", "dirty", "region", "heap_link", "count", "link_mark", "loose", "bound", "is_dirty", "is_full", "room", "level",
         "top", "heap_key", "full_since", "full_s")  # fmt: skip
_ = (Callable, EPOCH)
