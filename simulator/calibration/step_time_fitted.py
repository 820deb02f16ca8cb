"""A form of the law fitted to step times in view of their departure from it, and the predictions of several joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from simulator.calibration.departure import Mixture
from simulator.calibration.least_squares import least_squares_fit
from simulator.calibration.step_time_departure import LOG_WEIGHTS, SCALES, Departure, Observed, Reach, whitening
from simulator.calibration.step_time_laws import StepLaw
from simulator.calibration.step_time_series import Places, places_of
from simulator.quantities import FloatArray

__all__ = ["FittedLaw", "fit_law", "joined", "mixed"]

SEARCH_TOLERANCE = 1e-6
"""Of the sum of squares and the parameters, relative: a hundredth of a standard error of any parameter, or less."""

NEGLIGIBLE = 1e-5
"""Components of a mixture that weigh less than this beside the heaviest are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLaw:
    """A form of the law fitted to a series, given a shape of the departure.

    Parameters
    ----------
    law : StepLaw
        The form.
    departure : Departure
        The shape.
    data : Observed
        What was fitted.
    estimates : ndarray, shape (k,)
        Log parameters with the highest posterior at scale 1.
    prior_mean, prior_sd : ndarray, shape (k,)
        Of the log parameters.
    scale_weights : ndarray
        Posterior weight of each of `SCALES`.
    log_evidence : float
        Logarithm of the evidence, up to a constant that all fits to the same data share.
    """

    law: StepLaw
    departure: Departure
    data: Observed
    estimates: FloatArray
    prior_mean: FloatArray
    prior_sd: FloatArray
    scale_weights: FloatArray
    log_evidence: float

    @property
    def scale(self) -> float:
        """The scale with the largest weight."""
        return float(SCALES[int(np.argmax(self.scale_weights))])

    def residuals(self) -> FloatArray:
        """Log seconds measured minus those of the law alone, shape (n,)."""
        return np.asarray(self.data.log_time_s - self.log_time(self.data.places)[0], dtype=np.float64)

    def log_time(self, places: Places) -> tuple[FloatArray, FloatArray]:
        """Return log seconds of the law alone at some places and their derivatives by the log parameters."""
        return self.law.log_time(self.estimates, places, self.law.factors(places))

    def jacobian_alone(self) -> FloatArray:
        """Derivatives at the points, each in units of its own standard deviation at the likeliest scale, shape (n, k)."""
        whitener = whitening(self.departure, self.data)
        return np.asarray(whitener @ self.log_time(self.data.places)[1] / self.scale, dtype=np.float64)

    def covariance(self) -> FloatArray:
        """Posterior covariance of the log parameters at the likeliest scale, shape (k, k)."""
        J = self.jacobian_alone()
        return np.asarray(np.linalg.inv(J.T @ J + np.diag(1.0 / self.prior_sd**2)), dtype=np.float64)

    def predict(self, reach: Reach) -> tuple[FloatArray, FloatArray]:
        """Predict log seconds at some places for every scale: means and variances, shapes (scales, x).

        Parameters
        ----------
        reach : Reach
            The places, and what the departure at the points says of that there.

        Notes
        -----
        The variance holds the parameters' errors, the departure and the noise of one measurement.
        """
        joint = self.joint(reach)
        means, variances = [], []
        for scale in SCALES:
            solved, posterior = joint.at(scale)
            means.append(joint.base + joint.slopes @ solved + joint.gain @ (joint.gap - joint.derivatives @ solved))
            spread = np.einsum("xi,ij,xj->x", joint.reduced, posterior, joint.reduced)
            variances.append(scale**2 * (joint.left + self.departure.noise**2) + spread)
        return np.array(means), np.array(variances)

    def joint(self, reach: Reach) -> Joint:
        """Return the linear model around the estimates, at the points and at some places."""
        log_T, slopes = self.log_time(reach.places)
        fitted, J = self.log_time(self.data.places)
        white = reach.whitener @ J
        return Joint(
            base=log_T,
            slopes=slopes,
            derivatives=white,
            gap=reach.whitener @ (self.data.log_time_s - fitted),
            gain=reach.gain,
            reduced=slopes - reach.gain @ white,
            left=reach.left,
            prior_gap=self.prior_mean - self.estimates,
            prior_information=np.diag(1.0 / self.prior_sd**2),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A law made linear around its estimates, whitened by the departure at scale 1: n points, k parameters, x places.

    Parameters
    ----------
    base, slopes : ndarray, shapes (x,) and (x, k)
        The law at the places, and its derivatives.
    derivatives, gap : ndarray, shapes (n, k) and (n,)
        Whitened derivatives and residuals at the points.
    gain : ndarray, shape (x, n)
        From whitened residuals to the departure at the places.
    reduced : ndarray, shape (x, k)
        What the parameters do at the places once the points are accounted for.
    left : ndarray, shape (x,)
        Variance of the departure at the places that the points leave.
    prior_gap, prior_information : ndarray, shapes (k,) and (k, k)
        Prior mean minus estimates; inverse prior covariance.
    """

    base: FloatArray
    slopes: FloatArray
    derivatives: FloatArray
    gap: FloatArray
    gain: FloatArray
    reduced: FloatArray
    left: FloatArray
    prior_gap: FloatArray
    prior_information: FloatArray

    def at(self, scale: float) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean (from the estimates) and covariance of the parameters at a scale."""
        information = self.derivatives.T @ self.derivatives / scale**2 + self.prior_information
        posterior = np.linalg.inv(information)
        towards = self.derivatives.T @ self.gap / scale**2 + self.prior_information @ self.prior_gap
        return np.asarray(posterior @ towards), np.asarray(posterior, dtype=np.float64)

    def log_evidence(self, scale: float) -> float:
        """Logarithm of the probability of the points at a scale, without what all laws and scales share."""
        solved, posterior = self.at(scale)
        left, moved = self.gap - self.derivatives @ solved, solved - self.prior_gap
        misfit = left @ left / scale**2 + moved @ self.prior_information @ moved
        determinants = np.linalg.slogdet(posterior)[1] + np.linalg.slogdet(self.prior_information)[1]
        return float(-0.5 * (misfit - determinants) - len(self.gap) * np.log(scale))


def fit_law(law: StepLaw, departure: Departure, data: Observed, whitener: FloatArray) -> FittedLaw:
    """Fit one form of the law to a series by least squares of the whitened logarithms.

    Parameters
    ----------
    law, departure, data
        The form, the shape of the departure, and the points.
    whitener : ndarray, shape (n, n)
        See `whitening`; the forms share it.

    Raises
    ------
    FitError
        If no search ends at finite parameters.
    """
    mean, sd = law.priors(_steps(data.places), data.log_time_s[~data.places.waits])
    factors = law.factors(data.places)
    known: dict[bytes, tuple[FloatArray, FloatArray]] = {}

    def both(logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        key = logs.tobytes()
        if key not in known:
            known.clear()
            log_T, J = law.log_time(logs, data.places, factors)
            known[key] = (whitener @ log_T, whitener @ J)
        return known[key]

    starts = [mean]
    if "knee_samples" in law.names:
        starts.append(mean + (np.array(law.names) == "knee_samples"))
    fits = [
        least_squares_fit(
            lambda logs: both(logs)[0],
            whitener @ data.log_time_s,
            start,
            prior_mean=mean,
            prior_sd=sd,
            derivatives=lambda logs: both(logs)[1],
            tolerance=SEARCH_TOLERANCE,
        )
        for start in starts
    ]
    fit = min(fits, key=lambda one: one.squares + float(np.sum(((one.estimates - mean) / sd) ** 2)))
    fitted = FittedLaw(
        law=law,
        departure=departure,
        data=data,
        estimates=fit.estimates,
        prior_mean=mean,
        prior_sd=sd,
        scale_weights=np.ones(len(SCALES)) / len(SCALES),
        log_evidence=0.0,
    )
    joint = fitted.joint(Reach.of(departure, data, places_of(()), whitener))
    logs = LOG_WEIGHTS + [joint.log_evidence(scale) for scale in SCALES]
    weights = np.exp(logs - np.max(logs))
    determinant = float(np.sum(np.log(np.diag(whitener))))
    return replace(
        fitted,
        scale_weights=weights / np.sum(weights),
        log_evidence=float(np.max(logs) + np.log(np.sum(weights))) + determinant,
    )


def _steps(places: Places) -> Places:
    """Return the places of whole steps, those of computing alone left out."""
    kept = ~places.waits
    return Places(**{field.name: getattr(places, field.name)[kept] for field in fields(places)})


def mixed(fits: Sequence[FittedLaw], weights: Sequence[float], places: Places) -> Mixture:
    """Return the prediction of log seconds at some places by several fits, as a mixture of normals."""
    reaches = {fit.departure.kind: fit for fit in fits}
    reach = {kind: Reach.of(fit.departure, fit.data, places) for kind, fit in reaches.items()}
    return joined(fits, weights, [fit.predict(reach[fit.departure.kind]) for fit in fits])


def joined(fits: Sequence[FittedLaw], weights: Sequence[float], found: Sequence[tuple[FloatArray, FloatArray]]) -> Mixture:
    """Join the predictions of several fits, each with a weight of its own."""
    share = np.concatenate([weight * fit.scale_weights for fit, weight in zip(fits, weights, strict=True)])
    means, variances = (np.concatenate([pair[i] for pair in found]) for i in (0, 1))
    kept = share > NEGLIGIBLE * np.max(share)
    return Mixture(weights=share[kept] / np.sum(share[kept]), means=means[kept], variances=variances[kept])
