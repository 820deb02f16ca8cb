"""The fabric: schedules are posted to it and end, alone by a short cut, in competition message by message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.network.alone import Outcome, run_alone
from simulator.network.flows import FlowLevel, JobTimes, Protocol
from simulator.network.programs import Program, program
from simulator.network.results import NetworkResult, result_of
from simulator.network.schedules import Schedule
from simulator.network.topologies import Topology
from simulator.quantities import ArrayLike, FloatArray, finite, non_negative

__all__ = ["Fabric", "Finished", "Job", "collective_time", "movement", "run_jobs"]

REMEMBERED = 64
"""Programs, and their times alone, that a fabric remembers: an engine posts the same few schedules over and over."""

NUDGE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """A schedule with its place and start.

    Parameters
    ----------
    schedule : Schedule
        What its ranks do.
    hosts : array_like of int, optional
        Host of each rank; rank r on host r by default.
    start_s : float or array_like
        When its ranks start: one time, or one for each.
    """

    schedule: Schedule
    hosts: ArrayLike | None = None
    start_s: ArrayLike = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finished:
    """A posted schedule that ended.

    Parameters
    ----------
    handle : int
        What `Fabric.post` returned for it.
    result : NetworkResult
        What it took.
    """

    handle: int
    result: NetworkResult


@dataclass(slots=True, kw_only=True, eq=False)
class _Posted:
    handle: int
    program: Program
    start_s: FloatArray
    number: int = -1  # in its group's flow level
    full_before_s: FloatArray = field(default_factory=lambda: np.empty(0))


@dataclass(slots=True, kw_only=True, eq=False)
class _Group:
    """Jobs that share links while they run: one alone with its outcome, or several on a flow level.

    `level` has run up to some time that is past for all; `ahead` is a copy that ran on to the next end.
    """

    jobs: list[_Posted]
    links: np.ndarray[tuple[int], np.dtype[np.bool_]]
    alone: Outcome | None = None
    level: FlowLevel | None = None
    ahead: FlowLevel | None = None
    ended: list[int] = field(default_factory=list)


class Fabric:
    """A network that carries schedules, for a caller with a clock.

    Schedules that share no link, or not at the same time, do not see each other and each takes the short cut of its own; others
    are carried on one flow level from the start of the first. The answer does not depend on how far the caller looks ahead.

    Parameters
    ----------
    topology : Topology
        The network.
    protocol : {"eager", "rendezvous"}
        Whether a message starts when the sender posts it, or when both ends have.
    message_overhead_s : float
        Added to the latency of every message, >= 0.

    Examples
    --------
    >>> from simulator.network.collectives import ring
    >>> from simulator.network.topologies import star
    >>> fabric = Fabric(star(4, bandwidth_bytes_per_s=1e9))
    >>> handle = fabric.post(ring(4, 4e9), start_s=1.0)
    >>> fabric.next_event_s()  # 6 steps of 1e9 bytes after the start
    7.0
    >>> [ended.result.time_s for ended in fabric.advance(7.0)]
    [6.0]
    """

    def __init__(self, topology: Topology, *, protocol: Protocol = "eager", message_overhead_s: float = 0.0) -> None:
        if protocol not in ("eager", "rendezvous"):
            raise ValueError(f"protocol must be one of eager, rendezvous, got {protocol!r}")
        self.topology = topology
        self.protocol: Protocol = protocol
        self.message_overhead_s = float(non_negative("message_overhead_s", message_overhead_s))
        self.now_s = -np.inf
        self._posted = 0
        self._groups: list[_Group] = []
        self._programs: dict[tuple[int, bytes], tuple[Schedule, Program]] = {}
        self._alone: dict[int, tuple[Program, Outcome]] = {}

    def post(self, schedule: Schedule, *, hosts: ArrayLike | None = None, start_s: ArrayLike | None = None) -> int:
        """Post a schedule; return its handle.

        Parameters
        ----------
        schedule : Schedule
            Who sends what to whom.
        hosts : array_like of int, optional
            Host of each rank; rank r on host r by default.
        start_s : float or array_like, optional
            When its ranks start, not before the time that `advance` reached, which is the default (0 at first); one time, or
            one for each rank.
        """
        if start_s is None:
            start_s = max(self.now_s, 0.0)
        starts = np.atleast_1d(np.asarray(finite("start_s", start_s), dtype=np.float64))
        if starts.shape not in ((1,), (schedule.ranks,)):
            raise ValueError(f"start_s must be one time or one for each of {schedule.ranks} ranks, got {starts.size}")
        if starts.min() < self.now_s:
            raise ValueError(f"start_s must be >= {self.now_s:g}, the time reached, got {starts.min():g}")
        posted = _Posted(handle=self._posted, program=self._program(schedule, hosts), start_s=starts)
        self._posted += 1
        links = np.zeros(self.topology.links, dtype=np.bool_)
        links[posted.program.hop] = True
        start = float(starts.min())
        rivals = [group for group in self._groups if np.any(group.links & links) and _ends_after(group, start)]
        if not rivals:
            self._groups.append(_Group(jobs=[posted], links=links, alone=self._run_alone(posted)))
            return posted.handle
        self._groups = [group for group in self._groups if all(group is not rival for rival in rivals)]
        self._groups.append(self._joined(rivals, posted, links))
        return posted.handle

    def next_event_s(self) -> float:
        """Return when the next schedule ends if nothing else is posted; infinity where none is under way."""
        return min((self._next_end_s(group) for group in self._groups), default=float("inf"))

    def advance(self, to_s: float) -> list[Finished]:
        """Let time pass up to `to_s`; return what ended, in order of time."""
        if to_s < self.now_s:
            raise ValueError(f"to_s must be >= {self.now_s:g}, the time reached, got {to_s:g}")
        found: list[Finished] = []
        kept: list[_Group] = []
        for group in self._groups:
            while group.jobs and self._next_end_s(group) <= to_s:
                found += self._finish(group)
            if group.jobs:
                kept.append(group)
        self._groups = kept
        self.now_s = float(to_s)
        return sorted(found, key=lambda ended: (ended.result.end_s, ended.handle))

    def run(self) -> list[Finished]:
        """Let everything that is posted end; return it in order of time."""
        found: list[Finished] = []
        while (next_s := self.next_event_s()) < np.inf:
            found += self.advance(next_s)
        return found

    def _program(self, schedule: Schedule, hosts: ArrayLike | None) -> Program:
        key = (id(schedule), b"" if hosts is None else np.asarray(hosts, dtype=np.int64).tobytes())
        known = self._programs.get(key)
        if known is not None and known[0] is schedule:
            return known[1]
        made = program(self.topology, schedule, hosts=hosts, message_overhead_s=self.message_overhead_s)
        if len(self._programs) >= REMEMBERED:
            self._programs.pop(next(iter(self._programs)))
        self._programs[key] = (schedule, made)
        return made

    def _run_alone(self, posted: _Posted) -> Outcome:
        """Return the outcome of a job alone; that of a common start is remembered, and moved in time."""
        if len(posted.start_s) > 1 and np.ptp(posted.start_s) > 0:
            return run_alone(posted.program, posted.start_s, self.protocol)
        key = id(posted.program)
        if key not in self._alone or self._alone[key][0] is not posted.program:
            if len(self._alone) >= REMEMBERED:
                self._alone.pop(next(iter(self._alone)))
            self._alone[key] = (posted.program, run_alone(posted.program, 0.0, self.protocol))
        known = self._alone[key][1]
        times = JobTimes(
            rank_end_s=known.times.rank_end_s + posted.start_s[0],
            latency_s=known.times.latency_s,
            compute_s=known.times.compute_s,
        )
        return Outcome(times=times, full_s=known.full_s, path=known.path)

    def _joined(self, rivals: Sequence[_Group], posted: _Posted, links: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> _Group:
        """Return one group of all; jobs that ran alone are run again, event by event, up to now."""
        if len(rivals) == 1 and rivals[0].level is not None:
            group = rivals[0]
            assert group.level is not None
            if self.now_s > -np.inf:
                group.level.run(self.now_s)
            group.ahead = None
        else:
            group = _Group(jobs=[], links=np.zeros_like(links), level=FlowLevel(self.topology, self.protocol))
            for job in sorted((job for rival in rivals for job in rival.jobs), key=lambda job: job.handle):
                _add(group, job)
            for rival in rivals:
                group.links |= rival.links
            if group.level is not None and self.now_s > -np.inf:
                group.level.run(self.now_s)
        _add(group, posted)
        group.links |= links
        return group

    def _next_end_s(self, group: _Group) -> float:
        if group.alone is not None:
            return float(group.alone.times.rank_end_s.max())
        if group.ahead is None:
            assert group.level is not None
            # A job may have ended in the very moment up to which the level ran.
            group.ahead = group.level.copy()
            group.ended = [job.number for job in group.jobs if group.level.is_over(job.number)]
            group.ended = group.ended or group.ahead.run(stop_at_end=True)
        ahead = group.ahead
        return max(float(ahead.times(number).rank_end_s.max()) for number in group.ended)

    def _finish(self, group: _Group) -> list[Finished]:
        """Take the jobs that end next out of their group."""
        if group.alone is not None:
            job = group.jobs.pop()
            return [Finished(handle=job.handle, result=result_of(job.program, group.alone, job.start_s))]
        assert group.ahead is not None
        group.level, group.ahead = group.ahead, None
        full_s = group.level.full_s()
        found = []
        for job in [job for job in group.jobs if job.number in group.ended]:
            outcome = Outcome(times=group.level.times(job.number), full_s=full_s - job.full_before_s, path="flows")
            found.append(Finished(handle=job.handle, result=result_of(job.program, outcome, job.start_s)))
        group.jobs = [job for job in group.jobs if job.number not in group.ended]
        return found


def _ends_after(group: _Group, start_s: float) -> bool:
    return group.alone is None or float(group.alone.times.rank_end_s.max()) > start_s


def _add(group: _Group, job: _Posted) -> None:
    assert group.level is not None
    job.full_before_s = group.level.full_s()
    job.number = group.level.add(job.program, job.start_s, reuse=True)
    group.jobs.append(job)


def collective_time(
    topology: Topology,
    schedule: Schedule,
    *,
    hosts: ArrayLike | None = None,
    start_s: ArrayLike = 0.0,
    protocol: Protocol = "eager",
    message_overhead_s: float = 0.0,
) -> NetworkResult:
    """Return what one schedule takes on a network that carries nothing else.

    Examples
    --------
    >>> from simulator.network.collectives import ring
    >>> from simulator.network.topologies import star
    >>> result = collective_time(star(8, bandwidth_bytes_per_s=1e9, latency_s=1e-3), ring(8, 8e9))
    >>> result.path, round(result.time_s, 6), round(result.latency_s, 6)  # 14 steps of 2 ms and 1 s
    ('symmetry', 14.028, 0.028)
    """
    job = Job(schedule=schedule, hosts=hosts, start_s=start_s)
    return run_jobs(topology, [job], protocol=protocol, message_overhead_s=message_overhead_s)[0]


def run_jobs(
    topology: Topology, jobs: Sequence[Job], *, protocol: Protocol = "eager", message_overhead_s: float = 0.0
) -> list[NetworkResult]:
    """Return what each of several jobs takes on one network, in their order."""
    fabric = Fabric(topology, protocol=protocol, message_overhead_s=message_overhead_s)
    for job in jobs:
        fabric.post(job.schedule, hosts=job.hosts, start_s=job.start_s)
    return [ended.result for ended in sorted(fabric.run(), key=lambda ended: ended.handle)]


def movement(
    topology: Topology, jobs: Sequence[Job], *, protocol: Protocol = "eager", message_overhead_s: float = 0.0
) -> float:
    """Return by how much, relatively, the end of a rank moves when all bytes change by 1e-12: is the answer well defined?

    Exact ties are broken by rounding; where the answer hangs on one, it moves by far more than its cause (a bifurcation), and
    no simulator's figure is better than this movement.
    """
    ends = []
    for factor in (1.0, 1.0 - NUDGE, 1.0 + NUDGE):
        scaled = [Job(schedule=job.schedule.scaled(factor), hosts=job.hosts, start_s=job.start_s) for job in jobs]
        results = run_jobs(topology, scaled, protocol=protocol, message_overhead_s=message_overhead_s)
        ends.append(np.concatenate([result.rank_end_s for result in results]))
    table = np.array(ends)
    late = table[0] > 0
    return float((np.ptp(table, axis=0)[late] / table[0][late]).max(initial=0.0))
