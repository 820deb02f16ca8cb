"""How the samples of an update, and of a cross-validation pass, are split over the learners, and how long each computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.quantities import FloatArray, ceil_whole
from simulator.time_to_converge import TimeToConverge

__all__ = ["compute_times_s", "pass_times_s"]


def compute_times_s(model: TimeToConverge, batch_samples: float, learners: int) -> FloatArray:
    """Return Gamma of each learner, seconds, shape (learners,).

    Where the model's samples are whole, the first M mod P learners have one more than the others.

    Examples
    --------
    >>> from simulator import ConstantReduce, InverseLaw, KneeCompute
    >>> model = TimeToConverge(
    ...     convergence=InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
    ...     compute=KneeCompute(gamma_s_per_sample=0.5, knee_samples=1),
    ...     reduce=ConstantReduce(delta_s=0.5),
    ...     rounding="whole",
    ... )
    >>> compute_times_s(model, 10, 4)
    array([1.5, 1.5, 1. , 1. ])
    """
    slowest_s = float(model.compute_time_s(batch_samples, learners))
    if model.rounding == "exact":
        return np.full(learners, slowest_s)
    fewer, more = divmod(int(batch_samples), learners)
    times_s = np.full(learners, slowest_s)
    if more:
        times_s[more:] = _update_s(model, fewer)
    return times_s


def pass_times_s(model: TimeToConverge, learners: int) -> FloatArray:
    """Return what a cross-validation pass takes each learner, seconds, shape (learners,); 0 without cross-validation."""
    times_s = np.full(learners, float(model.cross_validation_time_s(learners)))
    validation = model.cross_validation
    if validation is None or model.rounding == "exact":
        return times_s
    fewer, more = divmod(int(validation.samples), learners)
    if more:
        alone = replace(model, cross_validation=replace(validation, samples=fewer)) if fewer else None
        times_s[more:] = float(alone.cross_validation_time_s(1)) if alone is not None else 0.0
    return times_s


def _update_s(model: TimeToConverge, samples: int) -> float:
    """Return Gamma of a learner with one sample less than the slowest.

    Where that is less than one for each micro-batch, it has fewer of these; where it is less than a measured table begins
    with, it takes the time of the smallest measured ones.
    """
    if model.accumulation == "auto":
        micro_batches = max(1, int(ceil_whole(samples / model.micro_batch_samples)))
        least = model.local_samples_range[0] * micro_batches
        return float(model.compute_time_s(max(samples, least), 1))
    micro_batches = max(1, min(model.accumulation, samples))
    least = model.local_samples_range[0] * micro_batches
    return float(replace(model, accumulation=micro_batches).compute_time_s(max(samples, least), 1))
