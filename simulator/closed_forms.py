"""Optima in closed form: Eqns 8 to 10 of the paper, and the synchronous parameter server.

They hold for the inverse law with N_inf > 0, Gamma(m) = gamma * max(m, M_T) + constant, the sum of Gamma and Delta, and M and P
real. For a given P, Delta(P) and the constant are one overhead per update that does not depend on M, so (9) and (10) hold for
every law of Delta with delta replaced by that overhead.
"""

from __future__ import annotations

import numpy as np

from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import InverseLaw
from simulator.network.laws import ConstantReduce, LinearReduce
from simulator.quantities import ArrayLike, FloatArray, non_negative, positive

__all__ = [
    "best_server_learners",
    "optimal_batch_samples",
    "optimal_converge_time_s",
    "strong_stops_at_learners",
    "weak_from_learners",
]


def _parameters(law: InverseLaw, compute: KneeCompute | AffineCompute) -> tuple[float, float, float, float]:
    """Return N_inf, alpha, gamma and M_T (0 for an affine law), or raise ValueError for N_inf <= 0."""
    if law.n_inf_updates <= 0:
        raise ValueError(
            f"n_inf_updates must be > 0 for a closed form (T_C falls with M without end), got {law.n_inf_updates:g}"
        )
    knee = compute.knee_samples if isinstance(compute, KneeCompute) else 0.0
    return law.n_inf_updates, law.alpha_samples, compute.gamma_s_per_sample, knee


def optimal_batch_samples(
    law: InverseLaw, compute: KneeCompute | AffineCompute, overhead_s: ArrayLike, learners: ArrayLike
) -> FloatArray:
    """M_opt(P) = max(sqrt(alpha delta P / (N_inf gamma)), M_T P) (Eqns 8 and 9).

    Parameters
    ----------
    law : InverseLaw
        N_Update, N_inf > 0.
    compute : KneeCompute or AffineCompute
        Gamma; its own constant is added to the overhead.
    overhead_s : array_like
        delta: seconds per update that do not depend on M, Delta(P) first of all; 0 at P = 1 in the paper. >= 0.
    learners : array_like
        P, >= 1; broadcasts against `overhead_s`.

    Returns
    -------
    float or ndarray
        Samples, all learners. 0 for an affine law without overhead: the smaller, the faster.

    Examples
    --------
    >>> law = InverseLaw(n_inf_updates=1000, alpha_samples=64_000)
    >>> compute = KneeCompute(gamma_s_per_sample=0.01, knee_samples=8)
    >>> optimal_batch_samples(law, compute, [0.0, 0.5, 0.5], [1, 16, 64])
    array([  8.        , 226.27416998, 512.        ])
    """
    N_inf, alpha, gamma, M_T = _parameters(law, compute)
    P = positive("learners", learners)
    delta = non_negative("overhead_s", overhead_s) + compute.constant_s
    return np.maximum(np.sqrt(alpha * delta * P / (N_inf * gamma)), M_T * P)


def optimal_converge_time_s(
    law: InverseLaw, compute: KneeCompute | AffineCompute, overhead_s: ArrayLike, learners: ArrayLike
) -> FloatArray:
    """T_C(P) at M_opt(P) in seconds (Eqn 10); parameters as in `optimal_batch_samples`.

    Examples
    --------
    >>> law = InverseLaw(n_inf_updates=1000, alpha_samples=64_000)
    >>> compute = KneeCompute(gamma_s_per_sample=0.01, knee_samples=8)
    >>> float(optimal_converge_time_s(law, compute, 0.5, 64))  # (1000 + 64000/512) * (0.5 + 0.08)
    652.5
    """
    N_inf, alpha, gamma, M_T = _parameters(law, compute)
    P = positive("learners", learners)
    delta = non_negative("overhead_s", overhead_s) + compute.constant_s
    above_knee = (np.sqrt(delta * N_inf) + np.sqrt(alpha * gamma / P)) ** 2
    if M_T == 0.0:
        return above_knee
    at_knee = (N_inf + alpha / (M_T * P)) * (delta + gamma * M_T)
    return np.where(alpha * delta > gamma * M_T**2 * N_inf * P, above_knee, at_knee)[()]


def best_server_learners(law: InverseLaw, compute: KneeCompute | AffineCompute, reduce: LinearReduce) -> float:
    """P = sqrt(alpha gamma / (delta N_inf)): learners of a parameter server beyond which training gets slower.

    Real, the same above and below the knee. Above it M = alpha/N_inf there and T_C = 4 sqrt(alpha gamma delta N_inf).
    Holds where `compute` has no constant; compare with P = 1, which has no Delta.

    Examples
    --------
    >>> law = InverseLaw(n_inf_updates=1000, alpha_samples=64_000)
    >>> compute = KneeCompute(gamma_s_per_sample=0.01, knee_samples=1)
    >>> best_server_learners(law, compute, LinearReduce(delta_s=0.0064))
    10.0
    """
    N_inf, alpha, gamma, _ = _parameters(law, compute)
    if compute.constant_s:
        raise ValueError(f"constant_s must be 0 for this closed form, got {compute.constant_s:g}")
    return float(np.sqrt(alpha * gamma / (positive("delta_s", reduce.delta_s) * N_inf)))


def weak_from_learners(
    law: InverseLaw, compute: KneeCompute | AffineCompute, reduce: ConstantReduce | LinearReduce
) -> float | None:
    """Learners from which on optimal scaling is weak scaling at the knee, M_opt = M_T P; None: never.

    Constant Delta: P = alpha delta / (gamma M_T^2 N_inf), real, at least 1. Parameter server: always (1) or never, since both
    terms of (9) are proportional to P.
    """
    N_inf, alpha, gamma, M_T = _parameters(law, compute)
    if M_T == 0.0:
        return None
    at_constant_s = alpha * compute.constant_s / (gamma * M_T**2 * N_inf)
    at_delta_s = alpha * reduce.delta_s / (gamma * M_T**2 * N_inf)
    if isinstance(reduce, LinearReduce):
        if at_delta_s > 1.0 or (at_delta_s == 1.0 and at_constant_s > 0.0):
            return None
        return 1.0 if not at_constant_s else max(1.0, at_constant_s / (1.0 - at_delta_s))
    return max(1.0, at_delta_s + at_constant_s)


def strong_stops_at_learners(
    compute: KneeCompute | AffineCompute, reduce: ConstantReduce | LinearReduce, batch_samples: float
) -> float | None:
    """Learners beyond which more of them do not shorten training at a fixed mini-batch M; real; None: they always do.

    Constant Delta: P = M / M_T, where each learner is down to the knee. Parameter server: sqrt(gamma M / delta) where that is
    less. Comparing with P = 1, which has no Delta, is left to the caller.
    """
    M_T = compute.knee_samples if isinstance(compute, KneeCompute) else 0.0
    stops = batch_samples / M_T if M_T else np.inf
    if isinstance(reduce, LinearReduce) and reduce.delta_s > 0.0:
        stops = min(stops, float(np.sqrt(compute.gamma_s_per_sample * batch_samples / reduce.delta_s)))
    return max(1.0, stops) if np.isfinite(stops) else None
