"""A fit of step times as one simple law that a scenario can hold: Gamma, Delta by kind, and the overlap exponent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.calibration.least_squares import LeastSquaresFit, least_squares_fit
from simulator.calibration.step_time import StepTimeFit
from simulator.calibration.step_time_laws import COMPUTE_FORMS, OVERLAP, REDUCE_FORMS, StepLaw
from simulator.calibration.step_time_next import filled
from simulator.calibration.step_time_series import Places, StepPlace, places_of
from simulator.quantities import FloatArray

__all__ = ["SimpleStepLaw", "simple_law"]

REDUCE_KINDS = ("node_log", "two_tier_ring")
"""Forms of Delta that a scenario's [reduce] has too, under the same names."""

MOST_SIZES = 6
FACTORS = (2, 4)
"""The law is matched to predictions on so many times the most learners measured, too."""

MATCH_SD = 0.03
"""Relative standard deviation of a prediction when the priors of the law are laid beside it: they hardly count."""

FARTHEST = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleStepLaw:
    """One law in place of a mixture.

    Parameters
    ----------
    law : StepLaw
        Its form.
    values : mapping of str to float
        Its parameters.
    learners_per_node : int
        Learners of a node that the law reckons with.
    places : tuple of StepPlace
        Where it was matched to the fit's predictions.
    gaps : ndarray
        Relative differences from them, shape (places,).
    uncertain : str
        The parameter that carries the uncertainty of the predictions.
    low, high : float
        Its ends: they take the step on twice the most learners measured to the ends of its 90 % interval.
    """

    law: StepLaw
    values: Mapping[str, float]
    learners_per_node: int
    places: tuple[StepPlace, ...]
    gaps: FloatArray
    uncertain: str
    low: float
    high: float


def simple_law(fit: StepTimeFit, *, learners_per_node: int) -> SimpleStepLaw:
    """Match a simple law to the predictions of a fit.

    Parameters
    ----------
    fit : StepTimeFit
        Whose predictions, at local batches measured and learners that fill one node after another.
    learners_per_node : int
        Learners of a node of the cluster that it is meant for.

    Returns
    -------
    SimpleStepLaw
        The form of Gamma and Delta that comes closest, by least squares of the logarithms.
    """
    series = fit.series
    sizes = np.array(series.local_samples)
    picked = sizes[np.unique(np.linspace(0, len(sizes) - 1, MOST_SIZES).astype(int))]
    most = series.learners[-1]
    numbers = sorted({*series.learners, *(factor * most for factor in FACTORS)})
    wanted = tuple(filled(float(size), number, learners_per_node) for number in numbers for size in picked)
    log_T = np.log([one.step_time_s for one in fit.predict(wanted)])
    at = places_of(wanted)
    reduces = REDUCE_KINDS if most > 1 else ("none",)
    tried = [
        (law, _matched(law, at, log_T))
        for law in (StepLaw(compute=compute, reduce=reduce, node="fullest") for compute in COMPUTE_FORMS for reduce in reduces)
    ]
    law, matched = min(tried, key=lambda one: one[1].squares)
    uncertain, low, high = _ends(law, matched.estimates, fit, learners_per_node)
    return SimpleStepLaw(
        law=law,
        values=law.values(matched.estimates),
        learners_per_node=learners_per_node,
        places=wanted,
        gaps=np.expm1(-matched.residuals),
        uncertain=uncertain,
        low=low,
        high=high,
    )


def _matched(law: StepLaw, at: Places, log_T: FloatArray) -> LeastSquaresFit:
    mean, sd = law.priors(at, log_T)
    factors = law.factors(at)
    starts = [mean, mean + (np.array(law.names) == "knee_samples")]
    ends = [
        least_squares_fit(
            lambda logs: law.log_time(logs, at, factors)[0],
            log_T,
            start,
            sd=MATCH_SD,
            prior_mean=mean,
            prior_sd=sd,
            derivatives=lambda logs: law.log_time(logs, at, factors)[1],
            tolerance=1e-9,
        )
        for start in starts
    ]
    return min(ends, key=lambda end: end.squares)


def _ends(law: StepLaw, logs: FloatArray, fit: StepTimeFit, per_node: int) -> tuple[str, float, float]:
    """Return the largest part of Delta (gamma where there is none) and the values that take a step to its interval's ends."""
    series = fit.series
    place = filled(series.local_samples[len(series.local_samples) // 2], 2 * series.learners[-1], per_node)
    (predicted,) = fit.predict([place])
    at = places_of([place])
    factors = law.factors(at)
    parts = {
        name: float(np.exp(logs[law.names.index(name)]) * factor[0])
        for name, factor in zip(REDUCE_FORMS[law.reduce], factors, strict=True)
    }
    name = max(parts, key=lambda part: parts[part]) if parts else "gamma_s_per_sample"
    assert name != OVERLAP
    j = law.names.index(name)
    own = float(law.log_time(logs, at, factors)[0][0])
    found = []
    for end in predicted.interval90:
        target = own + np.log(end / predicted.step_time_s)
        low, high = -np.log(FARTHEST), np.log(FARTHEST)
        for _ in range(60):
            middle = 0.5 * (low + high)
            moved = logs.copy()
            moved[j] += middle
            below = float(law.log_time(moved, at, factors)[0][0]) < target
            low, high = (middle, high) if below else (low, middle)
        found.append(float(np.exp(logs[j] + 0.5 * (low + high))))
    return name, found[0], found[1]
