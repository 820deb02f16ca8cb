"""Bounds of the mini-batch: one sample per learner, memory, the data set, the measured range, the law's end, the user's own."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from simulator.errors import InfeasibleError
from simulator.quantities import FloatArray, ceil_whole, positive
from simulator.time_to_converge import TimeToConverge

__all__ = ["EXTRAPOLATION_FACTOR", "Limits", "admissible_batch_samples", "admissible_ranges"]

EXTRAPOLATION_FACTOR = 2.0
"""A search goes no further than this multiple of the largest mini-batch that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the mini-batch that belong to the request, not to a law. None: not limited by it.

    Parameters
    ----------
    data_set_samples : float, optional
        A mini-batch holds each sample once at most.
    largest_measured_samples : float, optional
        Largest mini-batch behind the fitted law; the search ends at twice this.
    min_batch_samples, max_batch_samples : float, optional
        The user's own bounds.
    """

    data_set_samples: float | None = None
    largest_measured_samples: float | None = None
    min_batch_samples: float | None = None
    max_batch_samples: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) is not None:
                positive(field.name, getattr(self, field.name))


def admissible_batch_samples(
    model: TimeToConverge, limits: Limits, learners: float
) -> tuple[tuple[float, str], tuple[float, str]]:
    """Return ((lowest M, its bound), (highest M, its bound)) at `learners`; the highest may be infinite.

    Raises
    ------
    InfeasibleError
        If no mini-batch meets all bounds, or the reduce model refuses so many learners (its `refusal`, where it has one).
    """
    P = float(positive("learners", learners))
    if P < 1.0:
        raise ValueError(f"learners must be >= 1, got {P:g}")
    refused = getattr(model.reduce, "refusal", None)
    reason = refused(int(P)) if refused is not None else None
    if reason is not None:
        raise InfeasibleError(reason)
    law_lowest, law_highest = model.convergence.batch_samples_range
    s = 1.0 if model.accumulation == "auto" else float(model.accumulation)
    # real micro-batches may be smaller than a sample, as in the paper; whole ones may not
    samples_per_learner = s if model.rounding != "exact" else 1.0
    local_lowest, local_highest = model.local_samples_range
    lows = [(P * samples_per_learner, "one_sample_per_learner"), (law_lowest, "law_end"), (P * s * local_lowest, "law_end")]
    if limits.min_batch_samples is not None:
        lows.append((limits.min_batch_samples, "min_batch"))
    highs = [(law_highest, "law_end")]
    if model.accumulation != "auto":
        memory = model.max_local_samples if model.rounding == "exact" else np.floor(model.max_local_samples)
        highs += [(P * s * local_highest, "law_end"), (P * s * float(memory), "memory")]
    if limits.data_set_samples is not None:
        highs.append((limits.data_set_samples, "data_set"))
    if limits.largest_measured_samples is not None:
        highs.append((EXTRAPOLATION_FACTOR * limits.largest_measured_samples, "largest_measured"))
    if limits.max_batch_samples is not None:
        highs.append((limits.max_batch_samples, "max_batch"))
    low = max(lows, key=lambda bound: bound[0])
    high = min(highs, key=lambda bound: bound[0])
    if model.rounding == "whole":
        low, high = (float(ceil_whole(low[0])), low[1]), (float(np.floor(high[0] * (1 + 1e-12))), high[1])
    if low[0] > high[0]:
        advice = f"move {_in_words(low[1], model)[0]} or {_in_words(high[1], model)[0]}"
        if high[1] == "memory":
            advice = "use more learners, accumulate gradients, or " + advice
        elif low[1] == "one_sample_per_learner" and P > 1:
            advice = f"use fewer learners, or move {_in_words(high[1], model)[0]}"
        raise InfeasibleError(
            f"no mini-batch is admissible for {P:g} learner{'' if P == 1 else 's'}: {_in_words(low[1], model)[1]} asks for at "
            f"least {low[0]:.12g} samples, {_in_words(high[1], model)[1]} allows at most {high[0]:.12g}; {advice}"
        )
    return low, high


def admissible_ranges(model: TimeToConverge, limits: Limits, learners: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the numbers of learners that have an admissible mini-batch, with its lowest and highest value at each.

    Raises
    ------
    InfeasibleError
        If none has: that of the first number.
    """
    found, refusal = [], None
    for P in learners:
        try:
            (lowest, _), (highest, _) = admissible_batch_samples(model, limits, float(P))
        except InfeasibleError as error:
            refusal = refusal or error
        else:
            found.append((float(P), lowest, highest))
    if refusal is not None and not found:
        raise refusal
    P_found, lows, highs = np.asarray(found).T
    return P_found, lows, highs


def _in_words(bound: str, model: TimeToConverge) -> tuple[str, str]:
    """Return the key behind a bound, and the bound in words."""
    micro_batch = " and micro-batch" if model.accumulation != 1 else ""
    return {
        "one_sample_per_learner": ("the learners", f"one sample per learner{micro_batch}"),
        "memory": ("max_local_samples", f"the memory (max_local_samples = {model.max_local_samples:g} per learner)"),
        "data_set": ("data_set_samples", "the data set (data_set_samples)"),
        "largest_measured": ("max_batch_samples", f"{EXTRAPOLATION_FACTOR:g} times the largest measured mini-batch"),
        "law_end": ("the laws", "the range of the laws"),
        "min_batch": ("min_batch_samples", "min_batch_samples"),
        "max_batch": ("max_batch_samples", "max_batch_samples"),
    }[bound]
