"""The processes of a training job: learners on compute units, a parameter server, and the job that leads them.

One synchronous update reads: the job opens it, every learner computes its share and arrives, gradients are combined; every
N updates the learners evaluate, every so often the job saves its state; a node's failure throws it back to what it saved.

Events of one moment happen in the order in which they were scheduled; interrupts come first. A learner and update cost one
timeout; the barrier is a count, not an event for each.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import simpy
from simpy.events import Event

from simulator.engine.blocks import steps
from simulator.engine.draws import Rows
from simulator.engine.job import TrainingJob
from simulator.engine.ledger import Ledger
from simulator.engine.nodes import Nodes
from simulator.engine.trace import Recorder, Span
from simulator.errors import DeadlockError
from simulator.quantities import FloatArray

__all__ = ["ComputeUnit", "Exchange", "Meeting", "ParameterServer", "Run", "Step", "drawn_steps", "learner", "train"]

Process = Generator[Event, Any, Any]

MOST_NAMED = 8
MOST_FAILURES = 10_000
"""Failures without a checkpoint between them after which a job is taken to make no progress."""

DUE = 1.0 - 1e-9


class ComputeUnit:
    """Computes for its learners, one after the other."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self.free_s = 0.0

    def compute(self, seconds: float) -> Event:
        """Return the event that so many seconds of computing are over, after those asked for before."""
        now = self.env.now
        if self.free_s <= now:
            self.free_s = now + seconds
            return self.env.timeout(seconds)
        self.free_s += seconds
        return self.env.timeout(self.free_s - now)

    def reset(self) -> None:
        """Forget what is under way."""
        self.free_s = self.env.now


class ParameterServer(ComputeUnit):
    """Takes gradients in the order in which they come, one at a time.

    Parameters
    ----------
    env : Environment
        The clock.
    service_s : callable
        Draws the seconds that the next gradient takes.
    """

    def __init__(self, env: simpy.Environment, service_s: Callable[[], float]) -> None:
        super().__init__(env)
        self.service_s = service_s

    def push(self) -> Event:
        """Return the event that a gradient which comes now is taken in."""
        return self.compute(self.service_s())


class Meeting:
    """Where the parties of a job meet: it opens an update, and goes on when the last of them has arrived."""

    def __init__(self, env: simpy.Environment, parties: tuple[str, ...]) -> None:
        self.env = env
        self.parties = parties
        self.opens = env.event()
        self.complete = env.event()
        self.missing = 0
        self.here = bytearray(len(parties))
        self.arrived_s: dict[int, float] | None = None

    def open(self, seconds: list[float], server: ParameterServer | None) -> Event:
        """Tell the parties what each computes, and to whom it pushes; return the event that all have arrived."""
        self.missing = len(self.parties)
        self.here = bytearray(self.missing)
        self.complete = self.env.event()
        opened, self.opens = self.opens, self.env.event()
        opened.succeed((seconds, server))
        return self.complete

    def arrive(self, number: int) -> None:
        """Count a party in."""
        self.here[number] = 1
        if self.arrived_s is not None:
            self.arrived_s[number] = self.env.now
        self.missing -= 1
        if not self.missing:
            self.complete.succeed()

    def absent(self) -> str | None:
        """Name the parties that have not arrived; None where nobody is waited for."""
        if not self.missing:
            return None
        names = [self.parties[number] for number, here in enumerate(self.here) if not here]
        more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
        return ", ".join(names[:MOST_NAMED]) + more


def learner(number: int, meeting: Meeting, unit: ComputeUnit) -> Process:
    """A learner, or a cohort's slowest: computes its share of each update, pushes it where there is a server, and arrives.

    An interrupt makes it drop what it does and wait for the next opening.
    """
    while True:
        try:
            seconds, server = yield meeting.opens
            yield unit.compute(seconds[number])
            if server is not None:
                yield server.push()
            meeting.arrive(number)
        except simpy.Interrupt:
            continue


class Step(NamedTuple):
    """One update as drawn: computing of the parties, when each is through, and what the laws make of it."""

    seconds: FloatArray
    finish_s: FloatArray
    slowest_s: float
    mean_s: float
    exposed_s: float
    compute_s: float
    waiting_s: float
    communication_s: float


def drawn_steps(job: TrainingJob, rows: Rows, reduce_time_s: float) -> Iterator[Step]:
    """Draw one update after another."""
    while True:
        found = steps(job, rows.take(2**31), reduce_time_s)
        block, causes = found.block, found.causes
        columns = (
            block.slowest_s, block.mean_s, found.exposed_s, causes.compute_s, causes.waiting_s, causes.communication_s
        )  # fmt: skip
        for seconds, finish_s, *values in zip(
            block.seconds, block.finish_s, *(column.tolist() for column in columns), strict=True
        ):
            yield Step(seconds, finish_s, *values)


class Exchange(Protocol):
    """How gradients are combined once an update is open."""

    def __call__(self, run: Run, step: Step) -> Generator[Event, Any, tuple[float, float, float]]:
        """Let the learners compute and combine; return compute, waiting and communication seconds."""


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """One job under way.

    Parameters
    ----------
    env : Environment
        The clock.
    job : TrainingJob
        What runs.
    ledger : Ledger
        Time by cause.
    meeting : Meeting
        Where the parties meet.
    units : list of ComputeUnit
        On which they compute.
    learners : list of Process
        Their processes.
    steps : iterator of Step
        Updates as drawn.
    passes : Rows
        Computing of cross-validation passes.
    exchange : Exchange
        How gradients are combined.
    server : ParameterServer or None
        To whom gradients are pushed.
    nodes : Nodes or None
        What can fail.
    record : Recorder or None
        Who wants spans.
    process : Process or None
        `train`, once it is started.
    end_s : float or None
        When the job ended.
    waits_for : str
        What the job waits for, where it is not for its learners.
    """

    env: simpy.Environment
    job: TrainingJob
    ledger: Ledger
    meeting: Meeting
    units: list[ComputeUnit]
    learners: list[simpy.Process]
    steps: Iterator[Step]
    passes: Rows
    exchange: Exchange
    server: ParameterServer | None = None
    nodes: Nodes | None = None
    record: Recorder | None = None
    process: simpy.Process | None = None
    end_s: float | None = None
    waits_for: str = ""
    unsaved_failures: int = field(default=0, init=False)

    @property
    def number(self) -> int:
        """Number of the update under way."""
        return self.ledger.done + 1

    @property
    def tells(self) -> bool:
        """Whether spans of the update under way are wanted."""
        return self.record is not None and self.number <= self.record.span_updates

    def span(self, process: str, name: str, start_s: float, end_s: float, **args: int | float | str) -> None:
        """Tell a span, if it lasted."""
        if self.record is not None and self.record.span_updates and end_s > start_s:
            self.record.span(Span(job=self.job.name, process=process, name=name, start_s=start_s, end_s=end_s, args=dict(args)))

    def stuck(self) -> str:
        """Say what the job waits for."""
        absent = self.meeting.absent()
        what = self.waits_for or (f"{absent} to compute" if absent else "its next event")
        return f"job {self.job.name!r} waits for {what}, in update {self.number:,} of {self.ledger.updates:,}"


def train(run: Run) -> Process:
    """A job: one update after another, again from the last checkpoint after a failure, until they are done."""
    yield run.env.timeout(run.job.start_s)
    while run.ledger.done < run.ledger.updates:
        try:
            yield from update(run)
        except simpy.Interrupt:
            yield from recover(run)
    run.end_s = run.env.now


def update(run: Run) -> Process:
    """One update: compute and combine, evaluate if it is time, save if it is time."""
    env, ledger = run.env, run.ledger
    began_s = env.now
    step = next(run.steps)
    compute_s, waiting_s, communication_s = yield from run.exchange(run, step)
    pass_s = 0.0
    every = run.job.pass_every_updates
    if every and run.number % every == 0:
        pass_s = yield from cross_validation(run)
    checkpoint_s = None
    if _checkpoint_is_due(run):
        assert run.job.failures is not None
        checkpoint_s = run.job.failures.checkpoint_s
        at_s = env.now
        if checkpoint_s:
            yield env.timeout(checkpoint_s)
        run.span("job", "checkpoint", at_s, env.now, update=run.number)
        run.unsaved_failures = 0
    ledger.add(began_s, env.now, compute_s, waiting_s, communication_s, pass_s, checkpoint_s)


def cross_validation(run: Run) -> Process:
    """A pass: the learners evaluate their shares, and the slowest ends it."""
    block = run.passes.take(1)
    at_s = run.env.now
    yield run.meeting.open(block.seconds[0].tolist(), None)
    run.ledger.now.passes += 1
    if run.tells:
        run.span("job", "cross-validation", at_s, run.env.now, update=run.number)
    return float(block.slowest_s[0])


def _checkpoint_is_due(run: Run) -> bool:
    failures = run.job.failures
    if failures is None:
        return False
    if failures.checkpoint_every_updates is not None:
        return run.number % failures.checkpoint_every_updates == 0
    if failures.checkpoint_every_s is not None:
        return run.env.now - run.ledger.saved_s >= failures.checkpoint_every_s * DUE
    return False


def recover(run: Run) -> Process:
    """After a failure: drop everything, wait for all nodes, restart; another failure meanwhile begins it anew."""
    env, nodes, ledger = run.env, run.nodes, run.ledger
    assert nodes is not None
    assert run.job.failures is not None
    run.span("job", "lost", ledger.saved_s, env.now, update=run.number)
    ledger.roll_back()
    for unit in (*run.units, *([run.server] if run.server is not None else [])):
        unit.reset()
    run.meeting.missing = 0
    for process in run.learners:
        process.interrupt()
    restarted = False
    while not restarted:
        ledger.failures += 1
        run.unsaved_failures += 1
        if run.unsaved_failures > MOST_FAILURES:
            raise DeadlockError(
                f"job {run.job.name!r} makes no progress: {MOST_FAILURES:,} failures after update {ledger.done:,} and before "
                f"the next checkpoint; save more often than once in {run.job.failures.between_failures_s:.4g} s, the time "
                "between failures"
            )
        at_s = env.now
        try:
            while nodes.missing:
                run.waits_for = nodes.wanted()
                yield nodes.complete
            run.waits_for = ""
            run.span("job", "repair", at_s, env.now)
            at_s = env.now
            yield env.timeout(run.job.failures.restart_s)
            restarted = True
        except simpy.Interrupt:
            pass
        run.span("job", "restart", at_s, env.now)
    ledger.lose(env.now)
