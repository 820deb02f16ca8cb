"""How measured step times depart from their law, and the fit of a law in view of that.

Log seconds are those of the law plus a departure: what each local batch has of its own (a kernel chosen for that size), a smooth
function of the local batch, and a level of the placement, all of which other placements share the less, the further they are in learners and
nodes; and noise. In the narrow shape of the departure the smooth part and the level are noise. Neighbouring placements
of one cluster miss a law together: a fit that takes them for independent trusts itself too much, and lets many small
placements outweigh the few large ones that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from simulator.calibration.departure import Mixture
from simulator.calibration.least_squares import least_squares_fit
from simulator.calibration.step_time_laws import StepLaw
from simulator.calibration.step_time_series import Places, StepTimeSeries, places_of
from simulator.quantities import FloatArray

__all__ = ["SCALES", "SHAPES", "Departure", "FittedLaw", "Observed", "Reach", "fit_law", "joined", "mixed", "observed", "whitening"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Sizes and reaches of a departure, at scale 1.

    Parameters
    ----------
    kind : str
        "narrow" or "wide".
    own, smooth, level, noise : float
        Standard deviations, relative: of a local batch's own, of the smooth function of the local batch, of the level of a placement,
        and of the noise of a mean of many measurements (times sqrt(2): of one).
    """

    kind: str
    own: float
    smooth: float
    level: float
    noise: float

    def covariance(self, a: Places, b: Places) -> FloatArray:
        """Return the covariance of the departure at places `a` and `b`, noise left out, shape (a, b)."""
        apart = np.abs(np.log(a.local_samples)[:, None] - np.log(b.local_samples)[None, :])
        doublings = np.abs(np.log2(a.learners)[:, None] - np.log2(b.learners)[None, :])
        found = self.own**2 * (apart < 1e-9) * np.exp(-doublings / OWN_REACH)
        if self.smooth > 0.0 or self.level > 0.0:
            nodes = np.abs(np.log2(a.nodes)[:, None] - np.log2(b.nodes)[None, :])
            tier = np.where((a.nodes > 1)[:, None] == (b.nodes > 1)[None, :], 1.0, OTHER_TIER)
            z = np.sqrt(3.0) * apart
            matern = (1.0 + z) * np.exp(-z)
            reach = np.exp(-doublings / LEARNERS_REACH - nodes / NODES_REACH)
            found = found + tier * (self.smooth**2 * matern + self.level**2) * reach
        return np.asarray(found * (a.waits[:, None] == b.waits[None, :]), dtype=np.float64)

    @property
    def variance(self) -> float:
        """Variance of the departure at one place."""
        return self.own**2 + self.smooth**2 + self.level**2


OWN_REACH, LEARNERS_REACH, NODES_REACH = 6.0, 4.0, 3.0
"""Doublings of the learners, and of the nodes, over which a departure loses all but 1/e of its correlation."""
OTHER_TIER = 0.3
"""Correlation of departures inside a node and across nodes."""

SHAPES = (
    Departure(kind="narrow", own=0.05, smooth=0.0, level=0.0, noise=0.05),
    Departure(kind="wide", own=0.05, smooth=0.10, level=0.10, noise=0.05),
)
"""Typical of published clusters taken together; a series scales them, and no series has shapes of its own."""

SCALES: FloatArray = np.array([0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.2])
SCALE_MEDIAN, SCALE_LOG_SD = 0.8, 0.7
LOG_WEIGHTS: FloatArray = -0.5 * (np.log(SCALES / SCALE_MEDIAN) / SCALE_LOG_SD) ** 2
"""How large departures and noise of a series are beside `SHAPES`: log-normal, weighed by the evidence."""

SEARCH_TOLERANCE = 1e-6
"""Of the sum of squares and the parameters, relative: a hundredth of a standard error of any parameter, or less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A series as a fit sees it: where, log seconds, and how noisy each point is beside the others.

    Parameters
    ----------
    places : Places
        Of the points; those of computing alone, where exposed waits were measured, come after the others.
    log_T : ndarray, shape (n,)
        Log seconds.
    noise : ndarray, shape (n,)
        Factor of the noise variance of one measurement's, 0.5 or more; larger for points that lie far off.
    """

    places: Places
    log_T: FloatArray
    noise: FloatArray


def observed(series: StepTimeSeries, *, waits: bool, far: FloatArray | None = None) -> Observed:
    """Return a series as arrays.

    Parameters
    ----------
    series : StepTimeSeries
        The measurements.
    waits : bool
        Whether what exposed waits say of the computing is taken in: log (step time - wait) of every point with several learners.
    far : ndarray, shape (points,), optional
        By how much to enlarge each point's noise variance, >= 1.
    """
    points = series.points
    alone = [i for i, point in enumerate(points) if point.compute_time_s is not None and point.place.learners > 1]
    picked = [*range(len(points)), *(alone if waits else [])]
    only = [False] * len(points) + [True] * (len(picked) - len(points))
    seconds = [points[i].compute_time_s if wait else points[i].step_time_s for i, wait in zip(picked, only, strict=True)]
    factor = np.ones(len(points)) if far is None else far
    counts = np.array([points[i].count for i in picked])
    return Observed(
        places=places_of((points[i].place for i in picked), only),
        log_T=np.log(np.array(seconds, dtype=np.float64)),
        noise=factor[picked] * (0.5 + 0.5 / counts),
    )


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
        return np.asarray(self.data.log_T - self.log_time(self.data.places)[0], dtype=np.float64)

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
            means.append(joint.base + joint.slopes @ solved + joint.gain @ (joint.gap - joint.J @ solved))
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
            J=white,
            gap=reach.whitener @ (self.data.log_T - fitted),
            gain=reach.gain,
            reduced=slopes - reach.gain @ white,
            left=reach.left,
            prior_gap=self.prior_mean - self.estimates,
            prior_information=np.diag(1.0 / self.prior_sd**2),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the departure at the n points of a series says of that at x places, at scale 1; laws share it.

    Parameters
    ----------
    places : Places
        Where.
    whitener : ndarray, shape (n, n)
        See `whitening`.
    gain : ndarray, shape (x, n)
        From whitened residuals at the points to the departure at the places.
    left : ndarray, shape (x,)
        Variance of the departure at the places that the points leave.
    """

    places: Places
    whitener: FloatArray
    gain: FloatArray
    left: FloatArray

    @classmethod
    def of(cls, departure: Departure, data: Observed, places: Places, whitener: FloatArray | None = None) -> Reach:
        """Return it for a shape of the departure; `whitener` where it is known already."""
        known = whitening(departure, data) if whitener is None else whitener
        gain = departure.covariance(places, data.places) @ known.T
        left = np.maximum(departure.variance - np.sum(gain**2, axis=1), 0.0)
        return cls(places=places, whitener=known, gain=gain, left=left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A law made linear around its estimates, whitened by the departure at scale 1: n points, k parameters, x places.

    Parameters
    ----------
    base, slopes : ndarray, shapes (x,) and (x, k)
        The law at the places, and its derivatives.
    J, gap : ndarray, shapes (n, k) and (n,)
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
    J: FloatArray
    gap: FloatArray
    gain: FloatArray
    reduced: FloatArray
    left: FloatArray
    prior_gap: FloatArray
    prior_information: FloatArray

    def at(self, scale: float) -> tuple[FloatArray, FloatArray]:
        """Return the posterior mean (from the estimates) and covariance of the parameters at a scale."""
        information = self.J.T @ self.J / scale**2 + self.prior_information
        posterior = np.linalg.inv(information)
        towards = self.J.T @ self.gap / scale**2 + self.prior_information @ self.prior_gap
        return posterior @ towards, posterior

    def log_evidence(self, scale: float) -> float:
        """Logarithm of the probability of the points at a scale, without what all laws and scales share."""
        solved, posterior = self.at(scale)
        left, moved = self.gap - self.J @ solved, solved - self.prior_gap
        misfit = left @ left / scale**2 + moved @ self.prior_information @ moved
        determinants = np.linalg.slogdet(posterior)[1] + np.linalg.slogdet(self.prior_information)[1]
        return float(-0.5 * (misfit - determinants) - len(self.gap) * np.log(scale))


def whitening(departure: Departure, data: Observed) -> FloatArray:
    """Return W with W K W' = 1, K the covariance of departure and noise at the points, shape (n, n)."""
    from scipy.linalg import solve_triangular

    K = departure.covariance(data.places, data.places) + np.diag(departure.noise**2 * data.noise)
    root = np.linalg.cholesky(K)
    return np.asarray(solve_triangular(root, np.eye(len(K)), lower=True), dtype=np.float64)


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
    mean, sd = law.priors(_steps(data.places), data.log_T[~data.places.waits])
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
            whitener @ data.log_T,
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
    return Mixture(
        weights=share[kept] / np.sum(share[kept]), means=means[kept], variances=variances[kept]
    )


NEGLIGIBLE = 1e-5
