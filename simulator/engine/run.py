"""Simulate one run of a job, or of several that share a fabric: the same seed gives the same answer, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.blocks import needs_no_clock, run_in_blocks
from simulator.engine.draws import CohortDraws, LearnerDraws, Rows, slowed
from simulator.engine.job import TrainingJob
from simulator.engine.ledger import Ledger, Seconds
from simulator.engine.split import compute_times_s, pass_times_s
from simulator.engine.trace import Recorder
from simulator.network.fabric import Fabric
from simulator.quantities import FloatArray
from simulator.time_to_converge import Shares

__all__ = ["Replication", "simulate", "simulate_jobs"]


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
    found = []
    for job, stream in zip(jobs, rng.spawn(len(jobs)), strict=True):
        drawing, _failing, _serving, computing, validating = stream.spawn(5)
        updates = job.updates(drawing)
        ledger = Ledger(job.name, updates, job.start_s, record)
        model = job.closed_form
        rows = _rows(job, compute_times_s(model, job.batch_samples, job.learners), computing)
        passes = _rows(job, pass_times_s(model, job.learners), validating)
        assert needs_no_clock(job)
        end_s = run_in_blocks(job, ledger, rows, passes)
        ledger.tell()
        found.append(_replication(job, ledger, end_s))
    return found


def _rows(job: TrainingJob, times_s: FloatArray, rng: np.random.Generator) -> Rows:
    times_s = slowed(times_s, job.noise)
    if job.mode == "cohorts":
        return Rows(CohortDraws(times_s, job.noise, rng=rng))
    return Rows(LearnerDraws(times_s, job.noise, rng=rng, learners_per_unit=job.learners_per_unit))


def _replication(job: TrainingJob, ledger: Ledger, end_s: float) -> Replication:
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
