"""Strong, weak and optimal scaling: the paper's three ways to use more learners, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.closed_forms import strong_stops_at_learners, weak_from_learners
from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.limits import admissible_ranges
from simulator.network.laws import ConstantReduce, LinearReduce
from simulator.optimum import LARGEST_TRIED_LEARNERS, Limits, admissible_batch_samples, best_batch
from simulator.overlap import SumOverlap
from simulator.quantities import FloatArray, positive, whole
from simulator.search import fastest_real, relaxed
from simulator.time_to_converge import TimeToConverge

__all__ = ["ScalingRow", "ScalingTable", "scaling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRow:
    """One way of scaling at one number of learners.

    Parameters
    ----------
    learners : int
        P.
    scaling : {"strong", "weak", "optimal"}
        M fixed; M = m P; M = M_opt(P).
    batch_samples : float or None
        M; None where no mini-batch is admissible.
    converge_time_s : float or None
        T_C; None where M is not admissible at P (a learner without samples, or more than the memory holds).
    speedup : float or None
        T_C of one learner at its own best mini-batch, divided by `converge_time_s`: the same yardstick for all three. None
        where one learner cannot train.
    efficiency : float or None
        `speedup` / `learners`.
    """

    learners: int
    scaling: Literal["strong", "weak", "optimal"]
    batch_samples: float | None
    converge_time_s: float | None
    speedup: float | None
    efficiency: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingTable:
    """The three scalings over a list of learners.

    Parameters
    ----------
    rows : tuple of ScalingRow
        Three for each number of learners: strong, weak, optimal.
    weak_local_samples, strong_batch_samples : float
        m and M that were held constant.
    optimal_is_weak_from_learners : float or None
        Learners from which on M_opt = M_T P; real in the paper's model, else whole and at most the most listed; None: not
        reached.
    strong_stops_at_learners : float or None
        Learners beyond which strong scaling gains nothing, likewise; None: not reached.
    """

    rows: tuple[ScalingRow, ...]
    weak_local_samples: float
    strong_batch_samples: float
    optimal_is_weak_from_learners: float | None
    strong_stops_at_learners: float | None


def scaling(
    model: TimeToConverge,
    limits: Limits,
    learners: Sequence[int],
    *,
    weak_local_samples: float | None = None,
    strong_batch_samples: float | None = None,
) -> ScalingTable:
    """Compare strong, weak and optimal scaling.

    Parameters
    ----------
    model : TimeToConverge
        Any combination of laws.
    limits : Limits
        Bounds of the mini-batch.
    learners : sequence of int
        Numbers of learners, >= 1.
    weak_local_samples : float, optional
        m of weak scaling, samples per learner; by default the optimal one of the most learners, where weak and optimal meet.
    strong_batch_samples : float, optional
        M of strong scaling, samples; by default the optimal one of the middle entry of `learners`, where strong and optimal
        meet.

    Returns
    -------
    ScalingTable
        Rows by increasing learners, each number once.

    Raises
    ------
    InfeasibleError
        If no mini-batch is admissible at any number of learners.
    ValueError
        If there are no learners, or a size held constant is not > 0, or not whole in a whole run.
    """
    listed = sorted(set(learners))
    if not listed:
        raise ValueError("learners must hold at least one number, got none")
    for name, value in (("weak_local_samples", weak_local_samples), ("strong_batch_samples", strong_batch_samples)):
        if value is not None:
            whole(name, value) if model.rounding == "whole" else positive(name, value)
    optima, refusal = {}, None
    for P in listed:
        try:
            optima[P] = best_batch(model, limits, P)
        except InfeasibleError as error:
            refusal = error
    if not optima:
        assert refusal is not None
        raise refusal
    feasible = list(optima)
    m = weak_local_samples or optima[feasible[-1]].batch_samples / feasible[-1]
    if model.rounding == "whole":
        m = max(1.0, float(np.floor(m)))
    M_strong = strong_batch_samples or optima[feasible[len(feasible) // 2]].batch_samples
    one_learner_s = _one_learner_s(model, limits)

    rows = []
    for P in listed:
        for kind, M in (("strong", M_strong), ("weak", m * P), ("optimal", None)):
            if kind == "optimal":
                M = optima[P].batch_samples if P in optima else None
            time_s = _admissible_time_s(model, limits, M, P) if M is not None else None
            speedup = one_learner_s / time_s if time_s and one_learner_s else None
            rows.append(
                ScalingRow(
                    learners=P,
                    scaling=kind,  # type: ignore[arg-type]
                    batch_samples=M,
                    converge_time_s=time_s,
                    speedup=speedup,
                    efficiency=speedup / P if speedup else None,
                )
            )
    return ScalingTable(
        rows=tuple(rows),
        weak_local_samples=m,
        strong_batch_samples=M_strong,
        optimal_is_weak_from_learners=_optimal_is_weak_from(model, limits, listed[-1]),
        strong_stops_at_learners=_strong_stops_at(model, limits, M_strong, listed[-1]),
    )


def _one_learner_s(model: TimeToConverge, limits: Limits) -> float | None:
    """Best T_C of a single learner, the yardstick of every speed-up; None where it cannot train at all."""
    try:
        return best_batch(model, limits, 1).converge_time_s
    except InfeasibleError:
        return None


def _admissible_time_s(model: TimeToConverge, limits: Limits, M: float, P: float) -> float | None:
    try:
        (lowest, _), (highest, _) = admissible_batch_samples(model, limits, P)
    except InfeasibleError:
        return None
    if not lowest * (1 - 1e-12) <= M <= highest * (1 + 1e-12):
        return None
    return float(model.converge_time_s(M, P))


def _is_papers_model(model: TimeToConverge) -> bool:
    """Whether the closed forms of the thresholds hold: Eqn 5 with a constant Delta or a parameter server."""
    return (
        isinstance(model.convergence, InverseLaw)
        and model.convergence.n_inf_updates > 0
        and isinstance(model.compute, KneeCompute | AffineCompute)
        and isinstance(model.reduce, ConstantReduce | LinearReduce)
        and isinstance(model.overlap, SumOverlap)
        and model.cross_validation is None
        and model.accumulation == 1
        and model.rounding == "exact"
        and model.max_local_samples >= getattr(model.compute, "knee_samples", 0.0)
        and bool(np.isinf(model.input_samples_per_s))
    )


def _all_learners(most: int) -> FloatArray:
    """Numbers of learners up to `most` among which a threshold is looked for: each one, or a fine geometric grid."""
    if most <= LARGEST_TRIED_LEARNERS:
        return np.arange(1.0, most + 1.0)
    return np.unique(np.round(np.geomspace(1.0, most, LARGEST_TRIED_LEARNERS)))


def _optimal_is_weak_from(model: TimeToConverge, limits: Limits, most: int) -> float | None:
    """Return the P from which on M_opt = M_T P, by Eqn 10 where it holds, else among the numbers up to `most`."""
    if _is_papers_model(model):
        return weak_from_learners(model.convergence, model.compute, model.reduce)  # type: ignore[arg-type]
    knee = getattr(model.compute, "knee_samples", None)
    if knee is None:
        return None
    real = relaxed(model)
    P_tried, lows, highs = admissible_ranges(real, limits, _all_learners(most))
    local = fastest_real(real, P_tried, lows, highs) / P_tried
    elsewhere = np.flatnonzero(np.abs(local - knee) > 1e-6 * knee)
    if not len(elsewhere):
        return float(P_tried[0])
    return float(P_tried[elsewhere[-1] + 1]) if elsewhere[-1] + 1 < len(P_tried) else None


def _strong_stops_at(model: TimeToConverge, limits: Limits, M: float, most: int) -> float | None:
    """Return the P with the shortest T_C at a fixed M, in closed form where it holds, else among the numbers up to `most`."""
    if _is_papers_model(model):
        return strong_stops_at_learners(model.compute, model.reduce, M)  # type: ignore[arg-type]
    times = {P: _admissible_time_s(model, limits, M, P) for P in _all_learners(most)}
    known = {P: time_s for P, time_s in times.items() if time_s is not None}
    if not known:
        return None
    fastest = min(known, key=lambda P: (known[P], P))
    return None if fastest == max(known) and fastest == most else float(fastest)
