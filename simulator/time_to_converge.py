"""T_C(M, P) = N_Update(M) * T_Update(M, P): the time to converge, from three laws (Eqns 1, 3, 5, 7).

This module also states what it needs of the laws (protocols), so that a new law joins by having the methods.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np

from simulator.compute import CrossValidation
from simulator.overlap import SumOverlap
from simulator.quantities import ArrayLike, FloatArray, ceil_whole, positive, whole

__all__ = ["ComputeModel", "ConvergenceLaw", "OverlapLaw", "ReduceModel", "Rounding", "Shares", "TimeToConverge"]

Rounding = Literal["exact", "ceil", "whole"]
"""exact: M/P and updates are real numbers, as in the paper. ceil: the slowest learner has ceil(M/P) samples. whole: what a
run does: besides, whole updates (a multiple of the evaluation interval where the run stops at one) and whole passes."""


class ConvergenceLaw(Protocol):
    """N_Update(M)."""

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest and largest mini-batch for which the law holds, samples."""

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """Updates to converge at mini-batch `batch_samples`; any shape."""


class ComputeModel(Protocol):
    """Gamma(m)."""

    @property
    def corners_samples(self) -> tuple[float, ...]:
        """Local samples where the law bends."""

    def compute_time_s(self, local_samples: ArrayLike) -> FloatArray:
        """Seconds per update on `local_samples` of one learner; any shape."""


class ReduceModel(Protocol):
    """Delta(P)."""

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Seconds to combine the gradients of `learners`; any shape; 0 for one learner."""


class OverlapLaw(Protocol):
    """How Gamma and Delta share an update."""

    def joined_time_s(self, compute_time_s: FloatArray, reduce_time_s: FloatArray) -> FloatArray:
        """Seconds of an update from Gamma and Delta in seconds; shapes broadcast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Where the time goes: fractions of T_C that add up to 1.

    Parameters
    ----------
    compute, communication, waiting, cross_validation, checkpoint, lost : float
        compute: the mean learner's computing; communication: exposed, T_Update minus what it would be at Delta = 0; waiting:
        slowest minus mean learner; the last two belong to simulated failures and are 0 here.
    """

    compute: float
    communication: float
    waiting: float
    cross_validation: float
    checkpoint: float = 0.0
    lost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeToConverge:
    """Time to converge of one workload on one kind of learner and network.

    Parameters
    ----------
    convergence : ConvergenceLaw
        N_Update(M).
    compute : ComputeModel
        Gamma(m) of one learner.
    reduce : ReduceModel
        Delta(P).
    overlap : OverlapLaw
        How Gamma and Delta join to T_Update; the paper's sum by default.
    cross_validation : CrossValidation, optional
        Evaluation passes (Eqn 6).
    accumulation : int or "auto"
        Micro-batches per update: Gamma = s * Gamma(m/s), one Delta. "auto": as few as the memory allows.
    max_local_samples : float
        Samples that a learner's memory holds at once; infinite by default.
    input_samples_per_s : float
        Samples that the input pipeline delivers to all learners: T_Update >= M / rate; infinite by default.
    tuning_factor : float
        Factor on N_Update for teams that tune less well than those whose runs were fitted, > 0.
    rounding : {"exact", "ceil", "whole"}
        What is whole; see `Rounding`.

    Examples
    --------
    >>> from simulator import ConstantReduce, InverseLaw, KneeCompute
    >>> model = TimeToConverge(
    ...     convergence=InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
    ...     compute=KneeCompute(gamma_s_per_sample=0.01, knee_samples=8),
    ...     reduce=ConstantReduce(delta_s=0.5),
    ... )
    >>> float(model.converge_time_s(64, 4))  # (1000 + 64000/64) * (0.01 * 64/4 + 0.5)
    1320.0
    """

    convergence: ConvergenceLaw
    compute: ComputeModel
    reduce: ReduceModel
    overlap: OverlapLaw = field(default_factory=SumOverlap)
    cross_validation: CrossValidation | None = None
    accumulation: int | Literal["auto"] = 1
    max_local_samples: float = np.inf
    input_samples_per_s: float = np.inf
    tuning_factor: float = 1.0
    rounding: Rounding = "exact"

    def __post_init__(self) -> None:
        if not self.max_local_samples >= 1:
            raise ValueError(f"max_local_samples must be >= 1, got {self.max_local_samples:g}")
        if not self.input_samples_per_s > 0:
            raise ValueError(f"input_samples_per_s must be > 0, got {self.input_samples_per_s:g}")
        positive("tuning_factor", self.tuning_factor)
        if self.rounding not in get_args(Rounding):
            raise ValueError(f"rounding must be one of {', '.join(get_args(Rounding))}, got {self.rounding!r}")
        if self.accumulation != "auto":
            whole("accumulation", self.accumulation)
            return
        if np.isinf(self.max_local_samples):
            raise ValueError("accumulation must be a number where max_local_samples is not given, got 'auto'")
        half = self.micro_batch_samples / 2.0 if self.rounding == "exact" else np.floor((self.micro_batch_samples + 1.0) / 2.0)
        if self.local_samples_range[0] > half:
            raise ValueError(
                f"accumulation must be a number where compute times are measured from {self.local_samples_range[0]:g} samples "
                f"on only: micro-batches of {half:g} can come up, got 'auto'"
            )

    @property
    def local_samples_range(self) -> tuple[float, float]:
        """Smallest and largest micro-batch of a learner for which Gamma is known, samples; whole ones unless "exact"."""
        lowest, highest = getattr(self.compute, "local_samples_range", (0.0, np.inf))
        if self.rounding == "exact":
            return lowest, highest
        return float(ceil_whole(lowest)), float(np.floor(highest * (1.0 + 1e-12)))

    @property
    def micro_batch_samples(self) -> float:
        """Most samples that a learner takes at once: what its memory holds and Gamma is known for."""
        memory = self.max_local_samples if self.rounding == "exact" else np.floor(self.max_local_samples)
        return float(min(memory, self.local_samples_range[1]))

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """Updates to converge, N_Update(M), at mini-batches `batch_samples` (all learners, samples)."""
        updates = np.maximum(self.tuning_factor * self.convergence.updates(batch_samples), 1.0)
        if self.rounding != "whole":
            return updates
        updates = ceil_whole(updates)
        if self.cross_validation and self.cross_validation.stops_run:
            interval = self.cross_validation.every_updates
            updates = interval * ceil_whole(updates / interval)
        return updates

    def local_samples(self, batch_samples: ArrayLike, learners: ArrayLike) -> FloatArray:
        """Samples per update of the slowest learner: M/P, or ceil(M/P)."""
        M, P = positive("batch_samples", batch_samples), positive("learners", learners)
        return M / P if self.rounding == "exact" else ceil_whole(M / P)

    def compute_time_s(self, batch_samples: ArrayLike, learners: ArrayLike) -> FloatArray:
        """Gamma of the slowest learner in seconds, its micro-batches added up."""
        return self._accumulated_s(self.local_samples(batch_samples, learners))

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta(P) in seconds."""
        return self.reduce.reduce_time_s(learners)

    def step_time_s(self, batch_samples: ArrayLike, learners: ArrayLike) -> FloatArray:
        """Seconds of one update without cross-validation: Gamma and Delta joined, and no faster than the input."""
        joined = self.overlap.joined_time_s(self.compute_time_s(batch_samples, learners), self.reduce.reduce_time_s(learners))
        return self._no_faster_than_input(joined, batch_samples)

    def cross_validation_time_s(self, learners: ArrayLike) -> FloatArray:
        """Seconds of one cross-validation pass, split over the learners; 0 without cross-validation.

        It goes through in micro-batches that the memory holds; fewer samples than the smallest one of a measured table take
        the time of that one.
        """
        if self.cross_validation is None:
            return 0.0 * positive("learners", learners)
        samples = self.local_samples(self.cross_validation.samples, learners)
        micro_batches = np.maximum(ceil_whole(samples / self.micro_batch_samples), 1.0)
        samples = np.maximum(samples, self.local_samples_range[0] * micro_batches)
        return self.cross_validation.cost_ratio * self._split_s(samples, micro_batches)

    def cross_validation_passes(self, updates: ArrayLike) -> FloatArray:
        """Passes within `updates`: one every N updates, whole ones where the rounding is "whole"."""
        if self.cross_validation is None:
            return 0.0 * np.asarray(updates)
        passes = np.asarray(updates) / self.cross_validation.every_updates
        return np.floor(passes * (1.0 + 1e-12))[()] if self.rounding == "whole" else passes[()]

    def update_time_s(self, batch_samples: ArrayLike, learners: ArrayLike) -> FloatArray:
        """T_Update(M, P) in seconds, with the update's share of the cross-validation passes."""
        step_s = self.step_time_s(batch_samples, learners)
        if self.cross_validation is None:
            return step_s
        updates = self.updates(batch_samples)
        return step_s + self.cross_validation_passes(updates) * self.cross_validation_time_s(learners) / updates

    def converge_time_s(self, batch_samples: ArrayLike, learners: ArrayLike) -> FloatArray:
        """T_C(M, P) in seconds.

        Parameters
        ----------
        batch_samples : array_like
            M: mini-batches of all learners together, samples, > 0.
        learners : array_like
            P: learners, >= 1. Broadcasts against `batch_samples`: M[:, None] and P[None, :] give a grid (M, P).

        Returns
        -------
        float or ndarray
            Seconds, of the broadcast shape.

        Raises
        ------
        ValueError
            Where a law does not hold: past its end, or outside its table.
        """
        updates = self.updates(batch_samples)
        time_s = updates * self.step_time_s(batch_samples, learners)
        if self.cross_validation is None:
            return time_s
        return time_s + self.cross_validation_passes(updates) * self.cross_validation_time_s(learners)

    def shares(self, batch_samples: float, learners: float) -> Shares:
        """Where the time of one run goes: fractions of T_C."""
        M, P = float(batch_samples), float(learners)
        step_s = float(self.step_time_s(M, P))
        slowest_s = self.compute_time_s(M, P)
        alone_s = float(self._no_faster_than_input(self.overlap.joined_time_s(slowest_s, 0.0 * slowest_s), M))
        waiting_s = min(max(float(slowest_s) - self._mean_compute_time_s(M, P), 0.0), alone_s)
        update_s = float(self.update_time_s(M, P))
        return Shares(
            compute=(alone_s - waiting_s) / update_s,
            communication=(step_s - alone_s) / update_s,
            waiting=waiting_s / update_s,
            cross_validation=(update_s - step_s) / update_s,
        )

    def _mean_compute_time_s(self, M: float, P: float) -> float:
        """Gamma averaged over the learners: M samples split as evenly as whole samples allow."""
        if self.rounding == "exact" or np.floor(P) != P or np.floor(M) != M:
            return float(self.compute_time_s(M, P))
        fewer, larger_count = divmod(M, P)
        more_s = float(self.compute_time_s(M, P))
        fewer_s = float(self._accumulated_s(np.asarray(fewer))) if fewer else 0.0
        return (larger_count * more_s + (P - larger_count) * fewer_s) / P if larger_count else more_s

    def _no_faster_than_input(self, time_s: FloatArray, batch_samples: ArrayLike) -> FloatArray:
        if np.isinf(self.input_samples_per_s):
            return time_s
        return np.maximum(time_s, np.asarray(batch_samples, dtype=np.float64) / self.input_samples_per_s)

    def _accumulated_s(self, local_samples: FloatArray) -> FloatArray:
        """Gamma of m local samples in as many micro-batches as asked for."""
        if self.accumulation == "auto":
            return self._split_s(local_samples, np.maximum(ceil_whole(local_samples / self.micro_batch_samples), 1.0))
        if self.accumulation == 1:
            return self.compute.compute_time_s(local_samples)
        return self._split_s(local_samples, np.asarray(float(self.accumulation)))

    def _split_s(self, local_samples: FloatArray, micro_batches: FloatArray) -> FloatArray:
        """S * Gamma(m/s); with whole samples the m mod s larger micro-batches have one sample more."""
        s = micro_batches
        if self.rounding == "exact":
            return s * self.compute.compute_time_s(local_samples / s)
        fewer = np.floor(local_samples / s)
        if np.any(fewer < 1):
            raise ValueError(
                f"accumulation must be <= the local samples, got {float(np.max(s)):g} micro-batches for "
                f"{float(np.min(local_samples)):g} samples"
            )
        larger_count = local_samples - s * fewer
        larger_s = self.compute.compute_time_s(np.where(larger_count > 0, fewer + 1.0, fewer))
        return larger_count * larger_s + (s - larger_count) * self.compute.compute_time_s(fewer)
