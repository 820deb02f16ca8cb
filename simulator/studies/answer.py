"""How long, and what limits it: one answer for a mini-batch and a number of learners, given or searched."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simulator.errors import InfeasibleError, SlowdownWarning
from simulator.optimum import (
    Branch,
    Limits,
    Optimum,
    admissible_batch_samples,
    best_batch,
    best_learners,
    flat_range,
)
from simulator.time_to_converge import Shares, TimeToConverge

__all__ = ["Answer", "answer", "hard_limits", "law_keys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Time to converge at one (M, P), and what limits it.

    Parameters
    ----------
    learners : int
        P.
    batch_samples, local_samples : float
        M (all learners) and the samples of the slowest learner.
    updates : float
        N_Update(M).
    update_time_s, compute_time_s, reduce_time_s : float
        T_Update (with its share of cross-validation), Gamma of the slowest learner, Delta. Seconds.
    converge_time_s : float
        T_C, seconds.
    samples_processed : float
        M * N_Update.
    best_batch_samples, best_converge_time_s : float
        M_opt(P) and its T_C: what the given mini-batch is measured against.
    flat_range_samples : (float, float)
        Mini-batches within 5 % of the best T_C.
    branch, bound : str or None
        Where M_opt lies and what bounds it; None where M was given.
    bottleneck : str
        compute, communication, input, waiting or cross_validation: the largest share of the time.
    shares : Shares
        Fractions of T_C.
    """

    learners: int
    batch_samples: float
    local_samples: float
    updates: float
    update_time_s: float
    compute_time_s: float
    reduce_time_s: float
    converge_time_s: float
    samples_processed: float
    best_batch_samples: float
    best_converge_time_s: float
    flat_range_samples: tuple[float, float]
    branch: Branch | None
    bound: str | None
    bottleneck: str
    shares: Shares


def answer(
    model: TimeToConverge,
    limits: Limits,
    *,
    learners: int | Literal["best"],
    batch_samples: float | Literal["best"] = "best",
    max_learners: int | None = None,
) -> Answer:
    """Answer for given or best learners and mini-batch.

    Parameters
    ----------
    model, limits
        The laws and the bounds.
    learners : int or "best"
        P; "best" searches 1 to `max_learners`.
    batch_samples : float or "best"
        M; "best" searches the admissible range.
    max_learners : int, optional
        Learners at hand; needed for "best".

    Returns
    -------
    Answer
        With a `SlowdownWarning` where one learner alone would be faster.

    Raises
    ------
    InfeasibleError
        If the request contradicts the bounds.
    """
    optimum: Optimum
    if learners == "best":
        if max_learners is None or max_learners < 1:
            raise ValueError(f"max_learners must be >= 1 where the best number of learners is asked, got {max_learners}")
        if batch_samples == "best":
            optimum = best_learners(model, limits, max_learners)
        else:
            optimum = _best_learners_at(model, limits, float(batch_samples), max_learners)
    elif batch_samples == "best":
        optimum = best_batch(model, limits, learners)
    else:
        optimum = _given(model, limits, float(batch_samples), learners)
    M, P = optimum.batch_samples, optimum.learners
    bounds = limits if batch_samples == "best" else _yardstick_limits(model, limits, P)
    best = optimum if batch_samples == "best" else best_batch(model, bounds, P)
    shares = model.shares(M, P)
    updates = float(model.updates(M))
    if learners != "best" and P > 1:
        _warn_if_one_learner_is_faster(model, limits, optimum)
    return Answer(
        learners=int(P),
        batch_samples=M,
        local_samples=float(model.local_samples(M, P)),
        updates=updates,
        update_time_s=float(model.update_time_s(M, P)),
        compute_time_s=float(model.compute_time_s(M, P)),
        reduce_time_s=float(model.reduce_time_s(P)),
        converge_time_s=optimum.converge_time_s,
        samples_processed=M * updates,
        best_batch_samples=best.batch_samples,
        best_converge_time_s=best.converge_time_s,
        flat_range_samples=flat_range(model, bounds, best),
        branch=optimum.branch if batch_samples == "best" else None,
        bound=optimum.bound if batch_samples == "best" else None,
        bottleneck=_bottleneck(model, shares, M, P),
        shares=shares,
    )


def hard_limits(limits: Limits) -> Limits:
    """Return the bounds that no request can move: the user's own and the measured range do not bind a given mini-batch."""
    return replace(limits, largest_measured_samples=None, min_batch_samples=None, max_batch_samples=None)


def _yardstick_limits(model: TimeToConverge, limits: Limits, P: float) -> Limits:
    """Return the bounds of the comparison with the best: all of them, or the hard ones where these leave no room."""
    try:
        admissible_batch_samples(model, limits, P)
    except InfeasibleError:
        return hard_limits(limits)
    return limits


def _given(model: TimeToConverge, limits: Limits, M: float, P: float) -> Optimum:
    """A given mini-batch, refused where it is not admissible."""
    if model.rounding == "whole" and float(M) != int(M):
        raise InfeasibleError(f"batch_samples must be a whole number of samples in a run, got {M:g}")
    (lowest, low), (highest, high) = admissible_batch_samples(model, hard_limits(limits), P)
    if lowest * (1 - 1e-12) > M:
        why = "outside the range of the laws"
        if low == "one_sample_per_learner":
            each = "each learner" if model.accumulation == 1 else "each micro-batch of a learner"
            why = f"{each} needs a sample"
        raise InfeasibleError(f"batch_samples must be >= {lowest:.6g} for {P:g} learners ({why}), got {M:g}")
    if highest * (1 + 1e-12) < M:
        law_end = model.convergence.batch_samples_range[1]
        is_table = hasattr(model.convergence, "updates_at") or law_end > highest * (1 + 1e-9)
        why = {
            "memory": f"max_local_samples = {model.max_local_samples:g} per learner; accumulate gradients or add learners",
            "data_set": "data_set_samples: the data set has no more",
        }.get(high, "the measured table ends there" if is_table else "there the law reaches one update and ends")
        raise InfeasibleError(f"batch_samples must be <= {highest:.6g} for {P:g} learners ({why}), got {M:g}")
    T = float(model.converge_time_s(M, P))
    return Optimum(learners=P, batch_samples=M, converge_time_s=T, branch="interior", bound=None)


def _best_learners_at(model: TimeToConverge, limits: Limits, M: float, max_learners: int) -> Optimum:
    """Fastest number of learners at a given mini-batch."""
    if M < 1:
        raise InfeasibleError(f"batch_samples must be >= 1, got {M:g}")
    P = np.arange(1.0, min(max_learners, int(M)) + 1.0)
    local = model.local_samples(M, P)
    s = 1.0 if model.accumulation == "auto" else float(model.accumulation)
    most_local = np.inf if model.accumulation == "auto" else s * model.micro_batch_samples
    least_local = s * max(model.local_samples_range[0], 0.0 if model.rounding == "exact" else 1.0)
    possible = P[(local <= most_local * (1 + 1e-12)) & (least_local * (1 - 1e-12) <= M / P)]
    if not len(possible):
        return _given(model, limits, M, P[-1])  # says why not
    return _given(model, limits, M, float(possible[int(np.argmin(model.converge_time_s(M, possible)))]))


def _warn_if_one_learner_is_faster(model: TimeToConverge, limits: Limits, optimum: Optimum) -> None:
    try:
        alone = best_batch(model, limits, 1)
    except InfeasibleError:
        return
    if alone.converge_time_s < optimum.converge_time_s:
        warnings.warn(
            f"one learner alone would be faster: {alone.converge_time_s:.4g} s at batch_samples = {alone.batch_samples:g}, "
            f"against {optimum.converge_time_s:.4g} s on {optimum.learners:g} learners",
            SlowdownWarning,
            stacklevel=3,
        )


def _bottleneck(model: TimeToConverge, shares: Shares, M: float, P: float) -> str:
    named = {name: getattr(shares, name) for name in ("compute", "communication", "waiting", "cross_validation")}
    largest = max(named, key=lambda name: named[name])
    computing_s = float(model.compute_time_s(M, P))
    if largest == "compute" and M / model.input_samples_per_s > computing_s:
        return "input"
    return largest


def law_keys(model: TimeToConverge) -> dict[str, Any]:
    """Return the paper's two parameters and the critical batch size of the updates law; None where it has no such thing."""
    law = model.convergence
    critical = getattr(law, "critical_batch_samples", None)
    return {
        "n_inf_updates": getattr(law, "n_inf_updates", None),
        "alpha_samples": getattr(law, "alpha_samples", None),
        "critical_batch_samples": critical if critical is not None and np.isfinite(critical) else None,
    }
