"""The short cut: where nothing that a job does depends on the clock, its updates are computed in blocks instead of events.

The events would be the same: every time is the sum of the same numbers in the same order.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.draws import Block, Rows
from simulator.engine.job import TrainingJob
from simulator.engine.ledger import Ledger, Spent, spent
from simulator.quantities import FloatArray

__all__ = ["Steps", "needs_no_clock", "run_in_blocks", "steps"]


class Steps:
    """Steps of so many updates by the laws of a job: computing, what comes after it, and the causes.

    Parameters
    ----------
    block : Block
        Computing.
    exposed_s : ndarray
        What each step takes beyond its slowest learner.
    causes : Spent
        The steps' time by cause.
    """

    __slots__ = ("block", "causes", "exposed_s")

    def __init__(self, block: Block, exposed_s: FloatArray, causes: Spent) -> None:
        self.block, self.exposed_s, self.causes = block, exposed_s, causes


def steps(job: TrainingJob, block: Block, reduce_time_s: float) -> Steps:
    """Join computing and Delta by the overlap law, update for update; no step is faster than the input."""
    input_s = job.input_s
    joined = job.model.overlap.joined_time_s(block.slowest_s, np.full(len(block), reduce_time_s))
    step_s = np.maximum(joined, input_s)
    return Steps(block, np.maximum(step_s - block.slowest_s, 0.0), spent(block.slowest_s, block.mean_s, step_s, input_s))


def needs_no_clock(job: TrainingJob) -> bool:
    """Say whether the time of an update hangs on nothing but its own draws."""
    return job.mode == "cohorts" and job.failures is None and not job.traffic and job.server is None


def run_in_blocks(job: TrainingJob, ledger: Ledger, rows: Rows, passes: Rows) -> float:
    """Run a job, and return when it ends.

    Parameters
    ----------
    job : TrainingJob
        One that needs no clock.
    ledger : Ledger
        Takes time and rows.
    rows, passes : Rows
        Computing of updates, and of cross-validation passes.
    """
    reduce_time_s = float(job.model.reduce.reduce_time_s(job.learners))
    every = job.pass_every_updates
    now_s = job.start_s
    while ledger.done < ledger.updates:
        found = steps(job, rows.take(ledger.updates - ledger.done), reduce_time_s)
        size = len(found.block)
        number = ledger.done + 1 + np.arange(size)
        pass_s = np.zeros(size)
        due = np.flatnonzero(number % every == 0) if every else np.empty(0, dtype=np.int64)
        while len(due):
            drawn = passes.take(len(due)).slowest_s
            pass_s[due[: len(drawn)]] = drawn
            ledger.now.passes += len(drawn)
            due = due[len(drawn) :]
        parts = np.column_stack([found.block.slowest_s, found.exposed_s, pass_s])
        ends = np.cumsum(np.concatenate([[now_s], parts.ravel()]))
        ledger.add_block(ends[0:-1:3], ends[3::3], found.causes, pass_s)
        now_s = float(ends[-1])
    return now_s
