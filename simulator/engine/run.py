"""Simulate one run of a job, or of several that share a fabric: the same seed gives the same answer, bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import simpy

from simulator.engine.blocks import needs_no_clock, run_in_blocks
from simulator.engine.draws import CohortDraws, LearnerDraws, Rows, cohorts, slowed
from simulator.engine.exchange import exchange_of
from simulator.engine.fabric import SharedFabric
from simulator.engine.job import TrainingJob
from simulator.engine.ledger import Ledger, Seconds
from simulator.engine.nodes import Nodes, failing
from simulator.engine.processes import ComputeUnit, Meeting, ParameterServer, Run, drawn_steps, learner, train
from simulator.engine.split import compute_times_s, pass_times_s
from simulator.engine.trace import Recorder
from simulator.errors import DeadlockError
from simulator.network.fabric import Fabric
from simulator.network.laws import LinearReduce
from simulator.time_to_converge import Shares

__all__ = ["Replication", "prepare", "run_until_over", "simulate", "simulate_jobs", "start"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """One run of one job.

    Parameters
    ----------
    job : str
        Its name.
    converge_time_s : float
        From its start to the end of its last update and what belongs to it.
    updates : int
        Updates that it needed; those that it did again are not counted.
    seconds : Seconds
        Its time by cause, together `converge_time_s` but for rounding.
    failures, checkpoints, cross_validation_passes, redone_updates : int
        How many there were; a pass or checkpoint that was lost is not counted.
    """

    job: str
    converge_time_s: float
    updates: int
    seconds: Seconds
    failures: int
    checkpoints: int
    cross_validation_passes: int
    redone_updates: int

    @property
    def shares(self) -> Shares:
        """Fractions of its time by cause."""
        return self.seconds.shares()


def simulate(job: TrainingJob, *, rng: np.random.Generator, record: Recorder | None = None) -> Replication:
    """Simulate one run of a job that has its network to itself, or no `traffic`.

    Parameters
    ----------
    job : TrainingJob
        What runs.
    rng : Generator
        Split for this run.
    record : Recorder, optional
        Who is told of updates and spans.

    Raises
    ------
    SimulatorError
        If the job cannot go on; the text names who waits for what.

    Examples
    --------
    >>> from simulator import ConstantReduce, InverseLaw, KneeCompute, TimeToConverge
    >>> model = TimeToConverge(
    ...     convergence=InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
    ...     compute=KneeCompute(gamma_s_per_sample=0.01, knee_samples=8),
    ...     reduce=ConstantReduce(delta_s=0.5),
    ... )
    >>> job = TrainingJob(name="demo", model=model, batch_samples=64, learners=4)
    >>> run = simulate(job, rng=np.random.default_rng(1))
    >>> run.updates, round(run.converge_time_s, 6)  # (1000 + 64000/64) * (0.01 * 64/4 + 0.5)
    (2000, 1320.0)
    """
    return simulate_jobs([job], None, rng=rng, record=record)[0]


def simulate_jobs(
    jobs: Sequence[TrainingJob], fabric: Fabric | None, *, rng: np.random.Generator, record: Recorder | None = None
) -> list[Replication]:
    """Simulate one run of several jobs that share a fabric; return their runs in order.

    Parameters
    ----------
    jobs : sequence of TrainingJob
        What runs, names distinct; each may have `traffic` on the fabric.
    fabric : Fabric or None
        A new one; None where no job has traffic.
    rng : Generator
        Split once for each job, so that one more leaves the others' draws as they were.
    record : Recorder, optional
        Who is told of updates and spans.
    """
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise ValueError(f"jobs must have distinct names, got {', '.join(names)}")
    if fabric is None and any(job.traffic for job in jobs):
        raise ValueError("fabric must be given where a job has traffic")
    env = simpy.Environment()
    shared = None if fabric is None else SharedFabric(env, fabric)
    runs: list[Run | Replication] = []
    for job, stream in zip(jobs, rng.spawn(len(jobs)), strict=True):
        drawing, failing_rng, serving, computing, validating = stream.spawn(5)
        ledger = Ledger(job.name, job.updates(drawing), job.start_s, record)
        rows, passes = _rows(job, computing, validating)
        if needs_no_clock(job) and not (record is not None and record.span_updates):
            runs.append(_replication(job, ledger, run_in_blocks(job, ledger, rows, passes)))
            continue
        run = prepare(env, job, ledger, rows, passes, fabric=shared, serving=serving, record=record)
        start(run, failing_rng)
        runs.append(run)
    under_way = [run for run in runs if isinstance(run, Run)]
    run_until_over(env, under_way)
    return [run if isinstance(run, Replication) else _replication(run.job, run.ledger, run.end_s) for run in runs]


def prepare(
    env: simpy.Environment, job: TrainingJob, ledger: Ledger, rows: Rows, passes: Rows, *, fabric: SharedFabric | None,
    serving: np.random.Generator, record: Recorder | None = None,
) -> Run:  # fmt: skip
    """Set up the processes of a job on a clock.

    Parameters
    ----------
    env : Environment
        The clock.
    job, ledger, rows, passes, record
        As in `Run`.
    fabric : SharedFabric or None
        Who carries the job's traffic.
    serving : Generator
        Of the parameter server's draws.
    """
    meeting = Meeting(env, rows.draws.parties)
    units = [ComputeUnit(env) for _ in range(-(-len(meeting.parties) // job.learners_per_unit))]
    learners = [
        env.process(learner(number, meeting, units[number // job.learners_per_unit])) for number in range(len(meeting.parties))
    ]
    return Run(
        env=env,
        job=job,
        ledger=ledger,
        meeting=meeting,
        units=units,
        learners=learners,
        steps=drawn_steps(job, rows, float(job.model.reduce.reduce_time_s(job.learners))),
        passes=passes,
        exchange=exchange_of(job, fabric),
        server=None if job.server is None else ParameterServer(env, _service(job, serving)),
        nodes=None if job.failures is None else Nodes(env, job.failures),
        record=record,
    )


def start(run: Run, rng: np.random.Generator) -> None:
    """Start a job, and the failures of its nodes."""
    run.process = run.env.process(train(run))
    if run.nodes is not None:
        run.env.process(failing(run.env, run.nodes, run.process, run.job.start_s, rng=rng))


def run_until_over(env: simpy.Environment, runs: Sequence[Run]) -> None:
    """Let time pass until all jobs have ended; DeadlockError, naming who waits for what, where nothing can happen any more."""
    try:
        env.run(until=env.all_of([run.process for run in runs if run.process is not None]))
    except RuntimeError:
        if env.peek() < np.inf:
            raise
        raise DeadlockError("; ".join(run.stuck() for run in runs if run.end_s is None)) from None


def _service(job: TrainingJob, rng: np.random.Generator) -> Callable[[], float]:
    """Return the draws of a server's time for one gradient."""
    assert isinstance(job.model.reduce, LinearReduce)
    delta_s = job.model.reduce.delta_s
    if job.server == "fixed":
        return lambda: delta_s
    return lambda: delta_s * float(rng.standard_exponential())


def _rows(job: TrainingJob, computing: np.random.Generator, validating: np.random.Generator) -> tuple[Rows, Rows]:
    """Return the draws of updates, and those of cross-validation passes."""
    model, noise = job.closed_form, job.noise
    update_s = slowed(compute_times_s(model, job.batch_samples, job.learners), noise)
    pass_s = slowed(pass_times_s(model, job.learners), noise)
    if job.mode == "cohorts":
        (update_s, pass_s), count = cohorts(update_s, pass_s)
        return (
            Rows(CohortDraws(update_s, count, noise, rng=computing)),
            Rows(CohortDraws(pass_s, count, noise, rng=validating)),
        )
    shared = job.learners_per_unit
    return (
        Rows(LearnerDraws(update_s, noise, rng=computing, learners_per_unit=shared)),
        Rows(LearnerDraws(pass_s, noise, rng=validating, learners_per_unit=shared)),
    )


def _replication(job: TrainingJob, ledger: Ledger, end_s: float | None) -> Replication:
    assert end_s is not None
    ledger.tell()
    return Replication(
        job=job.name,
        converge_time_s=end_s - job.start_s,
        updates=ledger.updates,
        seconds=ledger.seconds(),
        failures=ledger.failures,
        checkpoints=ledger.now.checkpoints,
        cross_validation_passes=ledger.now.passes,
        redone_updates=ledger.redone_updates,
    )
