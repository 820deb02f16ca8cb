"""What a published time to train is made of: computing, what an update costs besides, passes over the data, start-up.

seconds = N [gamma m + (fixed + jump [nodes > 1]) (P/8)^growth] + passes * pass + start, with m = M/P samples a learner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.quantities import FloatArray

__all__ = ["PARAMETERS", "Conditions", "log_seconds"]

PARAMETERS = ("gamma_s_per_sample", "fixed_s", "jump_s", "growth", "start_s", "pass_s", "spread_s")
"""Of one series, in the order of the last axis of parameters; all but growth enter as logarithms.

gamma, fixed: Gamma(m) = gamma m + fixed; jump: what leaving the node adds; growth: the exponent with which fixed and jump grow
with P (Delta's growth is not told apart from that of Gamma's constant); start: once a run; pass: once a pass over the data,
however many learners; spread: learner-seconds of a pass's evaluation, which the learners share (it is in gamma, and here only
tells what a logged evaluation time has of it).
"""

GAMMA, FIXED, JUMP, GROWTH, START, PASS, SPREAD = range(len(PARAMETERS))

REFERENCE_LEARNERS = 8.0
"""P at which `fixed_s` and `jump_s` are meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the seconds depend on; arrays that broadcast with each other and with the parameters (without their last axis).

    Parameters
    ----------
    updates : ndarray
        N, > 0.
    local_samples : ndarray
        m = M/P, > 0.
    learners : ndarray
        P, >= 1.
    across : ndarray
        1 where the learners are in several nodes, else 0.
    passes : ndarray
        N M over the samples of a pass, > 0.
    evaluated : ndarray
        1 where passes cost time of their own, else 0: without a logged evaluation time nothing tells them from growth.
    evaluation : ndarray of bool
        Whether the evaluation's seconds are meant, not the whole.
    """

    updates: FloatArray
    local_samples: FloatArray
    learners: FloatArray
    across: FloatArray
    passes: FloatArray
    evaluated: FloatArray
    evaluation: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def log_seconds(parameters: FloatArray, at: Conditions) -> tuple[FloatArray, FloatArray]:
    """Return the logarithm of the seconds, and its derivatives by the parameters.

    Parameters
    ----------
    parameters : ndarray, shape (..., 7)
        As in `PARAMETERS`.
    at : Conditions
        Of shape (...).

    Returns
    -------
    (ndarray, ndarray)
        Shapes (...) and (..., 7).
    """
    size = np.exp(parameters)
    log_growth = np.log(at.learners / REFERENCE_LEARNERS)
    times = at.updates * np.exp(parameters[..., GROWTH] * log_growth)
    compute = at.updates * size[..., GAMMA] * at.local_samples
    fixed = times * size[..., FIXED]
    jump = times * size[..., JUMP] * at.across
    per_pass = size[..., PASS] * at.passes
    start = np.broadcast_to(size[..., START], per_pass.shape)
    spread = size[..., SPREAD] * at.passes / at.learners
    late = at.evaluation
    seconds = np.where(late, per_pass + spread, compute + fixed + jump + start + per_pass * at.evaluated)
    parts = [
        np.where(late, 0.0, compute),
        np.where(late, 0.0, fixed),
        np.where(late, 0.0, jump),
        np.where(late, 0.0, (fixed + jump) * log_growth),
        np.where(late, 0.0, start),
        np.where(late, per_pass, per_pass * at.evaluated),
        np.where(late, spread, 0.0),
    ]
    stacked = np.stack([np.broadcast_to(part, seconds.shape) for part in parts], axis=-1)
    return np.log(seconds), stacked / seconds[..., None]
