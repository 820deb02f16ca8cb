"""Strong, weak and optimal scaling: the paper's three ways to use more learners, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.closed_forms import strong_stops_at_learners, weak_from_learners
from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce, LinearReduce
from simulator.optimum import Limits, Optimum, admissible_batch_samples, best_batch
from simulator.overlap import SumOverlap
from simulator.quantities import positive, whole
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
        Learners from which on M_opt = M_T P; real in the paper's model, else the least listed one; None: not reached.
    strong_stops_at_learners : float or None
        Learners beyond which strong scaling gains nothing; None: not reached.
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
        optimal_is_weak_from_learners=_optimal_is_weak_from(model, optima),
        strong_stops_at_learners=_strong_stops_at(model, M_strong, rows),
    )


def _one_learner_s(model: TimeToConverge, limits: Limits) -> float | None:
    """Best T_C of a single learner, the yardstick of every speed-up; None where it cannot train at all."""
    try:
        return best_batch(model, limits, 1).converge_time_s
    except InfeasibleError:
        return None


def _admissible_time_s(model: TimeToConverge, limits: Limits, M: float, P: int) -> float | None:
    try:
        (lowest, _), (highest, _) = admissible_batch_samples(model, Limits(data_set_samples=limits.data_set_samples), P)
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


def _optimal_is_weak_from(model: TimeToConverge, optima: Mapping[int, Optimum]) -> float | None:
    if _is_papers_model(model):
        return weak_from_learners(model.convergence, model.compute, model.reduce)  # type: ignore[arg-type]
    from_learners: float | None = None
    for P, optimum in optima.items():
        at_knee = optimum.branch == "knee"
        from_learners = (from_learners or float(P)) if at_knee else None
    return from_learners


def _strong_stops_at(model: TimeToConverge, M: float, rows: list[ScalingRow]) -> float | None:
    if _is_papers_model(model):
        return strong_stops_at_learners(model.compute, model.reduce, M)  # type: ignore[arg-type]
    strong = [row for row in rows if row.scaling == "strong" and row.converge_time_s is not None]
    if not strong:
        return None
    fastest = min(strong, key=lambda row: row.converge_time_s or np.inf)
    return None if fastest is strong[-1] else float(fastest.learners)
