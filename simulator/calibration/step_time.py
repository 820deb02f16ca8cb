"""Fit measured step times: what more learners or another local batch take, how sure that is, and what to measure next.

Many forms of the law (Gamma, Delta, g of uneven nodes) times two shapes of the departure are weighed by how well they
predict the larger half of the measured learners from the smaller half; the prediction is their mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.calibration.departure import Mixture
from simulator.calibration.step_time_departure import SHAPES, Observed, Reach, observed, whitening
from simulator.calibration.step_time_fitted import FittedLaw, fit_law, joined, mixed
from simulator.calibration.step_time_laws import COMPUTE_FORMS, StepLaw, candidate_laws
from simulator.calibration.step_time_series import StepPlace, StepTimeSeries, places_of
from simulator.errors import FitError
from simulator.quantities import FloatArray

__all__ = ["HeldOut", "StepTimeFit", "StepTimePrediction", "fit_step_time"]

REFERENCE = StepLaw(compute="affine", reduce="two_tier_ring_log")
"""The richest form: far points are found by it, and forms of Gamma compared with it."""

COMPUTE_LEAD = 3.0
"""A form of Gamma whose log evidence is lower than the best one's by more than this (odds of 20 to 1) is left out."""

STUDENT_DEGREES, LEAST_SCALE = 4.0, 0.03
"""A point off the reference law by more than the others are (or than this) counts less, as with Student's distribution."""

PER_COUNT = 0.5
LEAST_ERROR, MOST_ERROR = 0.02, 0.5
"""Held-out errors count as if each number of learners held out brought half an independent error, since neighbours err
together; one below 2 % is no better than 2 %, and one above 50 % no worse."""

NODE_SD = 0.05
"""Relative standard deviation for each doubling of the nodes beyond those measured: what no law fitted to fewer has seen."""

CHUNK = 400
LEAST_WEIGHT = 1e-3
POOR_HELD_OUT, POOR_RESIDUAL = 0.20, 0.15
IDENTIFIED = 0.6
UNTOUCHED = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """How well the larger numbers of learners are predicted from the smaller ones, inside the measurements.

    Parameters
    ----------
    learners : tuple of int
        The numbers of learners held out.
    error_relative : float
        Mean absolute relative error of the mixture on them, larger numbers counting more.
    waits_help : bool
        Whether exposed waits make that error smaller; they are taken in where they do.
    """

    learners: tuple[int, ...]
    error_relative: float
    waits_help: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimePrediction:
    """The time of one step.

    Parameters
    ----------
    place : StepPlace
        Where.
    step_time_s : float
        The prediction: a median, seconds.
    law_time_s : float
        The best law alone.
    interval90 : (float, float)
        90 % interval of one measurement.
    warning : str or None
        Why to trust it less.
    """

    place: StepPlace
    step_time_s: float
    law_time_s: float
    interval90: tuple[float, float]
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimeFit:
    """What a series of measured step times says.

    Parameters
    ----------
    series : StepTimeSeries
        The measurements.
    fits : tuple of FittedLaw
        Forms of the law with shapes of the departure: those of the heaviest form of Delta first.
    weights : tuple of float
        Weight of each; adds up to 1.
    held_out : HeldOut or None
        None where too few numbers of learners were measured: forms then weigh by their evidence.
    """

    series: StepTimeSeries
    fits: tuple[FittedLaw, ...]
    weights: tuple[float, ...]
    held_out: HeldOut | None

    @property
    def best(self) -> FittedLaw:
        """The heaviest fit of the form of Delta with the largest weight."""
        return self.fits[0]

    def form_weights(self) -> dict[str, float]:
        """Return the weight of each form of Delta, largest first."""
        found: dict[str, float] = {}
        for fit, weight in zip(self.fits, self.weights, strict=True):
            found[fit.law.reduce] = found.get(fit.law.reduce, 0.0) + weight
        return dict(sorted(found.items(), key=lambda item: (-round(item[1], 9), item[0])))

    def mixture(self, places: Sequence[StepPlace]) -> Mixture:
        """Return the prediction of log seconds of one measurement at some places, as a mixture of normals."""
        found = mixed(self.fits, self.weights, places_of(places))
        return replace(found, variances=found.variances + self.beyond(places) ** 2)

    def beyond(self, places: Sequence[StepPlace]) -> FloatArray:
        """Relative standard deviation for nodes beyond those measured, at some places."""
        ratio = np.array([place.nodes for place in places]) / self.series.most_nodes
        return np.asarray(NODE_SD * np.maximum(np.log2(ratio), 0.0), dtype=np.float64)

    def predict(self, places: Sequence[StepPlace]) -> tuple[StepTimePrediction, ...]:
        """Predict the time of steps.

        Parameters
        ----------
        places : sequence of StepPlace
            Where.

        Returns
        -------
        tuple of StepTimePrediction
            The intervals are those of one measurement: they count the errors of the parameters, which law holds, the departure,
            nodes beyond those measured, and the noise.
        """
        found: list[StepTimePrediction] = []
        for i in range(0, len(places), CHUNK):
            part = places[i : i + CHUNK]
            mixture = self.mixture(part)
            low, middle, high = (np.exp(mixture.quantile(q)) for q in (0.05, 0.5, 0.95))
            alone = np.exp(self.best.log_time(places_of(part))[0])
            found += [
                StepTimePrediction(
                    place=place,
                    step_time_s=float(middle[j]),
                    law_time_s=float(alone[j]),
                    interval90=(float(low[j]), float(high[j])),
                    warning=self._warning(place),
                )
                for j, place in enumerate(part)
            ]
        return tuple(found)

    def _warning(self, place: StepPlace) -> str | None:
        said = []
        if place.nodes > 1 and self.series.most_nodes == 1:
            said.append("nothing was measured across nodes: a guess")
        elif place.nodes > self.series.most_nodes:
            said.append(f"{place.nodes / self.series.most_nodes:.3g} times the most nodes measured")
        if place.learners > self.series.learners[-1]:
            said.append(f"{place.learners / self.series.learners[-1]:.3g} times the most GPUs measured")
        smallest, largest = self.series.local_samples[0], self.series.local_samples[-1]
        if place.local_samples > largest * (1 + 1e-12):
            said.append(f"{place.local_samples / largest:.3g} times the largest local batch measured")
        elif place.local_samples < smallest * (1 - 1e-12):
            said.append(f"1/{smallest / place.local_samples:.3g} of the smallest local batch measured")
        return "; ".join(said) or None

    @property
    def rms_relative(self) -> float:
        """Root mean square of the log residuals of step times from the best law alone."""
        return float(np.sqrt(np.mean(self._residuals() ** 2)))

    @property
    def median_relative(self) -> float:
        """Median size of the log residuals of step times from the best law alone."""
        return float(np.median(np.abs(self._residuals())))

    def _residuals(self) -> FloatArray:
        return self.best.residuals()[: len(self.series.points)]

    def residuals(self) -> FloatArray:
        """Log residuals of the points from the best law alone, shape (points,)."""
        return self._residuals()

    def touched(self) -> tuple[str, ...]:
        """Return the parameters of the best law that the measurements depend on at all."""
        slopes = np.max(np.abs(self.best.log_time(self.best.data.places)[1]), axis=0)
        return tuple(name for name, slope in zip(self.best.law.names, slopes, strict=True) if slope > UNTOUCHED)

    def unidentified(self) -> tuple[str, ...]:
        """Return the parameters of the best law that the measurements do not pin down within a factor of 2.7 (90 %).

        Their values are mostly the priors'.
        """
        J = self.best.jacobian_alone()
        found = []
        for j, name in enumerate(self.best.law.names):
            others = np.delete(J, j, axis=1)
            rest = J[:, j] - others @ np.linalg.lstsq(others, J[:, j], rcond=1e-9)[0]
            if not float(np.linalg.norm(rest)) > 1.0 / IDENTIFIED:
                found.append(name)
        return tuple(found)

    def concerns(self) -> tuple[str, ...]:
        """Say why to trust the fit less, from its own residuals."""
        found = []
        if self.held_out is not None and self.held_out.error_relative > POOR_HELD_OUT:
            least, most = self.held_out.learners[0], self.held_out.learners[-1]
            named = f"{least} GPUs" if least == most else f"{least} to {most} GPUs"
            found.append(
                f"these times follow no law tried: those on {named} were missed by {100 * self.held_out.error_relative:.2g} % "
                "on average from those on fewer; look for a bad run or contention before trusting any extrapolation"
            )
        spread = 1.4826 * self.median_relative
        if spread > POOR_RESIDUAL:
            found.append(f"no law fits these points well: they lie {100 * spread:.2g} % off the best one")
        if len(self.series.learners) < 3:
            found.append(
                f"only {len(self.series.learners)} number{'s' * (len(self.series.learners) > 1)} of GPUs measured: what "
                "more of them do is mostly what other clusters did"
            )
        return tuple(found)


def fit_step_time(series: StepTimeSeries) -> StepTimeFit:
    """Fit the laws of a step to a measured series.

    Parameters
    ----------
    series : StepTimeSeries
        Two points or more.

    Returns
    -------
    StepTimeFit
        With predictions, intervals and what is unidentified.

    Raises
    ------
    FitError
        If no law fits these points.
    """
    far = _far(series)
    computes = _compute_forms(series, far)
    waits, scores, held_out = False, None, None
    kept = _smaller_half(series)
    if kept is None:
        waits = series.has_waits and series.learners[0] > 1  # nothing else tells computing and waiting apart
    else:
        tried = [(False, _held_out(series, kept, far, computes, waits=False))]
        if series.has_waits:
            tried.append((True, _held_out(series, kept, far, computes, waits=True)))
        waits, (scores, error, learners) = min(tried, key=lambda one: one[1][1])
        held_out = HeldOut(learners=learners, error_relative=error, waits_help=waits)
    data = observed(series, waits=waits, far=far)
    fits = _fitted(_laws(series, computes), data)
    logs = np.array([fit.log_evidence if scores is None else scores.get(_key(fit), -np.inf) for fit in fits])
    if not np.any(np.isfinite(logs)):
        raise FitError(f"{series.name}: no law of a step fits these times")
    shares = np.exp(logs - np.max(logs))
    shares = np.where(shares < LEAST_WEIGHT * np.max(shares), 0.0, shares)
    shares /= np.sum(shares)
    forms: dict[str, float] = {}
    for fit, share in zip(fits, shares, strict=True):
        forms[fit.law.reduce] = forms.get(fit.law.reduce, 0.0) + float(share)
    ranked = sorted(range(len(fits)), key=lambda i: (-round(forms[fits[i].law.reduce], 9), -round(float(shares[i]), 9)))
    order = [i for i in ranked if shares[i] > 0.0]
    return StepTimeFit(
        series=series,
        fits=tuple(fits[i] for i in order),
        weights=tuple(float(shares[i]) for i in order),
        held_out=held_out,
    )


def _laws(series: StepTimeSeries, computes: tuple[str, ...]) -> tuple[StepLaw, ...]:
    return candidate_laws(computes, places_of(point.place for point in series.points))


def _key(fit: FittedLaw) -> tuple[str, str, str, str]:
    return fit.law.compute, fit.law.reduce, fit.law.node, fit.departure.kind


def _fitted(laws: Sequence[StepLaw], data: Observed) -> list[FittedLaw]:
    found = []
    for departure in SHAPES:
        whitener = whitening(departure, data)
        for law in laws:
            try:
                found.append(fit_law(law, departure, data, whitener))
            except FitError:
                continue
    return found


def _far(series: StepTimeSeries) -> FloatArray:
    """By how much to enlarge the noise variance of each point, from the residuals of the reference law."""
    data = observed(series, waits=False)
    departure = SHAPES[0]
    residuals = fit_law(REFERENCE, departure, data, whitening(departure, data)).residuals()
    scale = max(LEAST_SCALE, 1.4826 * float(np.median(np.abs(residuals))))
    return np.maximum((STUDENT_DEGREES + (residuals / scale) ** 2) / (STUDENT_DEGREES + 1.0), 1.0)


def _compute_forms(series: StepTimeSeries, far: FloatArray) -> tuple[str, ...]:
    """Return the forms of Gamma that the measurements do not rule out: one where a single local batch was measured."""
    if len(series.local_samples) == 1:
        return (REFERENCE.compute,)
    data = observed(series, waits=False, far=far)
    departure = SHAPES[0]
    whitener = whitening(departure, data)
    evidence = {
        form: fit_law(replace(REFERENCE, compute=form), departure, data, whitener).log_evidence for form in COMPUTE_FORMS
    }
    best = max(evidence.values())
    return tuple(form for form, value in evidence.items() if value >= best - COMPUTE_LEAD)


def _smaller_half(series: StepTimeSeries) -> int | None:
    """Return the learners up to which a fit is held against the rest: half of the most, or all numbers but the largest."""
    numbers = series.learners
    half = [number for number in numbers if number <= numbers[-1] / 2.0]
    kept = half if len(half) >= 2 else list(numbers[:-1])
    return kept[-1] if len(kept) >= 2 else None


def _held_out(
    series: StepTimeSeries, kept: int, far: FloatArray, computes: tuple[str, ...], *, waits: bool
) -> tuple[dict[tuple[str, str, str, str], float], float, tuple[int, ...]]:
    """Fit the numbers of learners up to `kept`, predict the others.

    Returns
    -------
    scores : dict
        Log weight of each form and shape.
    error : float
        Mean absolute relative error of the mixture, weighted with the learners.
    learners : tuple of int
        What was held out.
    """
    inside = np.array([point.place.learners <= kept for point in series.points])
    out = [point for point, held in zip(series.points, inside, strict=True) if not held]
    data = observed(series.up_to(kept), waits=waits, far=far[inside])
    fits = _fitted(_laws(series, computes), data)
    places, log_T = places_of(point.place for point in out), np.log([point.step_time_s for point in out])
    weight = places.learners / np.sum(places.learners)
    learners = tuple(sorted({point.place.learners for point in out}))
    scores: dict[tuple[str, str, str, str], float] = {}
    reach = {departure.kind: Reach.of(departure, data, places) for departure in SHAPES}
    predicted = [fit.predict(reach[fit.departure.kind]) for fit in fits]
    for fit, (means, _) in zip(fits, predicted, strict=True):
        gaps = np.minimum(np.abs(fit.scale_weights @ means - log_T), MOST_ERROR)
        square = float(weight @ gaps**2) + LEAST_ERROR**2
        scores[_key(fit)] = -0.5 * PER_COUNT * len(learners) * float(np.log(square))
    logs = np.array([scores[_key(fit)] for fit in fits])
    shares = np.exp(logs - np.max(logs))
    middle = joined(fits, list(shares / np.sum(shares)), predicted).quantile(0.5)
    return scores, float(weight @ np.abs(np.expm1(middle - log_T))), learners
