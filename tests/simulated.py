"""What the tests of the simulation share: a small job, computing from a list, and means with their standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw
from simulator.engine.draws import Block
from simulator.engine.job import TrainingJob
from simulator.network.laws import ConstantReduce
from simulator.quantities import FloatArray
from simulator.time_to_converge import ReduceModel, TimeToConverge

BATCHES = 30


def laws(updates: int, *, gamma_s: float = 1.0, reduce: ReduceModel | None = None, **given: Any) -> TimeToConverge:
    """So many updates whatever the mini-batch, gamma_s for each sample, Delta = 0.25 s unless given."""
    return TimeToConverge(
        convergence=InverseLaw(n_inf_updates=updates, alpha_samples=1e-15),
        compute=KneeCompute(gamma_s_per_sample=gamma_s, knee_samples=1e-3),
        reduce=ConstantReduce(delta_s=0.25) if reduce is None else reduce,
        **given,
    )


def small_job(updates: int = 100, learners: int = 4, *, model: TimeToConverge | None = None, **given: Any) -> TrainingJob:
    """A sample of one second for each learner."""
    drawn = {"name": "small", "model": model or laws(updates), "batch_samples": learners, "learners": learners, **given}
    return TrainingJob(**drawn)


@dataclass(frozen=True, slots=True)
class Listed:
    """Computing as listed, update by update, for each learner."""

    seconds: FloatArray

    @property
    def parties(self) -> tuple[str, ...]:
        """Names of the learners."""
        return tuple(f"learner {i}" for i in range(self.seconds.shape[1]))

    def block(self) -> Block:
        """All that is listed."""
        return Block(self.seconds, self.seconds, self.seconds.max(axis=1), self.seconds.mean(axis=1))


def mean_and_error(values: FloatArray) -> tuple[float, float]:
    """Return mean and standard error, from the means of batches of consecutive values, which may depend on each other."""
    size = len(values) // BATCHES
    batches = np.asarray(values[: size * BATCHES]).reshape(BATCHES, size).mean(axis=1)
    return float(batches.mean()), float(batches.std(ddof=1) / np.sqrt(BATCHES))
