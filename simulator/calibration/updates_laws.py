"""The laws of updates as a fit sees them: log N as a function of the logarithms of their parameters, with weak priors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.calibration.censoring import log_probability, pseudo_point
from simulator.calibration.least_squares import LeastSquaresFit, least_squares_fit
from simulator.calibration.measurements import ASSUMED_RUN_TO_RUN, UpdatesSeries, as_arrays
from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, SharpCornerLaw
from simulator.errors import FitError
from simulator.quantities import FloatArray
from simulator.theory import NoiseFloorLaw
from simulator.time_to_converge import ConvergenceLaw

__all__ = ["FAMILIES", "LawFamily", "LawFit", "fit_family", "fit_plain_inverse_law", "residual_variance"]

RESIDUAL_SD = 0.045
RESIDUAL_DEGREES = 2.0
"""What is known of the size of residuals before any are seen: published series lie 3 to 10 % off their law, mostly because
learning rates are tuned for each batch size; worth two observations."""

FLOOR_MEAN, FLOOR_SD = float(np.log(2.0 / 3.0)), 1.0
"""Weak prior of ln N_inf: two thirds of the fewest updates measured (as where the largest batch size is twice the critical
one), within a factor e. It decides only where no floor shows: plain least squares there would as soon have no floor at all,
while published series go on to show one (signed error of the largest batch size left out: -7 % by plain least squares)."""

SHARPNESS_SD = 0.1
"""Prior of ln p around 0 (the inverse law): fits to few points otherwise read noise as sharpness."""


CENSORED_ROUNDS = 60
INFINITE_LOG = 1e3
"""Log updates from which a law says "never": a batch size that did not reach the target is what it says then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFamily:
    """One law as the fitting engine sees it.

    Parameters
    ----------
    kind : str
        As in a scenario's [convergence].
    names : tuple of str
        What the fit varies: logarithms of these.
    log_updates : callable
        From (parameters, shape (k,); log M, shape (n,)) to log N, shape (n,).
    law : callable
        From parameters to the law; ValueError where it has none there.
    starts : callable
        From (log M, log N) to where searches begin; the best end counts.
    priors : callable
        From (log M, log N) to means and standard deviations of the parameters.
    """

    kind: str
    names: tuple[str, ...]
    log_updates: Callable[[FloatArray, FloatArray], FloatArray]
    law: Callable[[FloatArray], ConvergenceLaw]
    starts: Callable[[FloatArray, FloatArray], list[FloatArray]]
    priors: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """A law fitted to a series.

    Parameters
    ----------
    family : LawFamily
        The law.
    fit : LeastSquaresFit
        Estimates (logarithms) and residuals of log N.
    sd : ndarray, shape (n,)
        Standard deviation of each point that the weights used.
    prior_mean, prior_sd : ndarray, shape (k,)
        Priors of the estimates, in logarithms.
    law : ConvergenceLaw or None
        The law at the estimates; None where it does not exist there (a power steeper than 1/M).
    log_batch, errors : ndarray, shape (n,)
        Logarithms of the batch sizes, increasing, and relative errors of their means.
    measured : ndarray of bool, shape (n,)
        Where a run reached the target. The other points stand for batch sizes where none did: normal points with the slope
        and curvature of their likelihood.
    deviance : float
        -2 log of the probability of these.
    """

    family: LawFamily
    fit: LeastSquaresFit
    sd: FloatArray
    prior_mean: FloatArray
    prior_sd: FloatArray
    law: ConvergenceLaw | None
    log_batch: FloatArray
    errors: FloatArray
    measured: NDArray[np.bool_]
    deviance: float = 0.0

    @property
    def rms_relative(self) -> float:
        """Root mean square of the relative residuals."""
        return float(np.sqrt(np.mean(np.expm1(-self.fit.residuals[self.measured]) ** 2)))

    @property
    def variance(self) -> float:
        """Variance of a weighted residual, see `residual_variance`."""
        return residual_variance(self.fit)

    @property
    def criterion(self) -> float | None:
        """Akaike's information criterion with the small-sample term; None where the points are too few for it.

        Smaller is better. The size of the residuals counts as a parameter and starts from what is known of other series.
        """
        n, k = len(self.fit.residuals), len(self.fit.estimates) + 1
        if n - k - 1 <= 0:
            return None
        weighted = (self.fit.residuals / self.sd)[self.measured]
        squares = float(np.sum(weighted**2)) + self.deviance
        return float(n * np.log((squares + RESIDUAL_DEGREES) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1))

    def parameters(self) -> dict[str, float]:
        """Return the parameters by name, in their own units."""
        return {name: float(np.exp(value)) for name, value in zip(self.family.names, self.fit.estimates, strict=True)}

    def log_standard_errors(self) -> FloatArray:
        """Return the standard errors of the logarithms: relative standard errors of the parameters."""
        return self.fit.standard_errors(self.variance)

    def correlation(self) -> FloatArray:
        """Return the correlation of the estimates, shape (k, k)."""
        covariance = self.fit.covariance(self.variance)
        errors = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
        correlation: FloatArray = np.clip(covariance / np.outer(errors, errors), -1.0, 1.0)
        return correlation


def residual_variance(fit: LeastSquaresFit) -> float:
    """Return the variance of a weighted residual: what the residuals say, and what is known before, worth two of them."""
    freedom = max(len(fit.residuals) - len(fit.estimates), 0)
    return float((fit.squares + RESIDUAL_DEGREES) / (freedom + RESIDUAL_DEGREES))


def _corner_start(log_M: FloatArray, log_N: FloatArray) -> FloatArray:
    """N_inf and alpha of the hard corner with the least squares: every split of the points into slope and floor."""
    best, least = None, np.inf
    for split in range(1, len(log_M) + 1):
        alpha = np.mean(log_N[:split] + log_M[:split])
        floor = np.mean(log_N[split:]) if split < len(log_M) else log_N[-1] - 1.0
        squares = np.sum((log_N - np.maximum(floor, alpha - log_M)) ** 2)
        if squares < least:
            best, least = np.array([floor, alpha]), squares
    assert best is not None
    return best


def _inverse_start(log_M: FloatArray, log_N: FloatArray) -> FloatArray:
    """N_inf and alpha by linear least squares of relative errors; a floor that comes out too low starts at a thousandth."""
    scale = np.exp(np.mean(log_M))
    N = np.exp(log_N - np.mean(log_N))
    rows = np.column_stack([np.ones_like(N), scale / np.exp(log_M)]) / N[:, None]
    floor, slope = np.linalg.lstsq(rows, np.ones_like(N), rcond=None)[0]
    floor, slope = max(floor, 1e-3 * float(np.min(N))), max(slope, 1e-3 * float(np.min(N)))
    start: FloatArray = np.log([floor, slope * scale]) + np.mean(log_N)
    return start


def _floor_priors(log_M: FloatArray, log_N: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.array([np.min(log_N) + FLOOR_MEAN, np.mean(log_N + log_M)]), np.array([FLOOR_SD, 30.0])


def _sharp_log_updates(parameters: FloatArray, log_M: FloatArray) -> FloatArray:
    p = np.exp(np.clip(parameters[2], -2.3, 5.0))
    joined: FloatArray = np.logaddexp(p * parameters[0], p * (parameters[1] - log_M)) / p
    return joined


def _noise_floor_log_updates(parameters: FloatArray, log_M: FloatArray) -> FloatArray:
    """Log N of A*ln((R - F/M)/(1 - F/M)), parameters ln A, ln(R - 1), ln F; infinite at M <= F."""
    share = np.exp(np.minimum(parameters[2] - log_M, 50.0))
    above = np.where(share < 1.0, 1.0 - share, np.nan)
    log_updates: FloatArray = parameters[0] + np.log(np.log1p(np.exp(parameters[1]) / above))
    return np.where(np.isfinite(log_updates), log_updates, 1e6)


def _noise_floor_starts(log_M: FloatArray, log_N: FloatArray) -> list[FloatArray]:
    """From well below the smallest batch size upwards: at F itself the law is infinite, and a search that hits it stops."""
    starts = [np.array([0.0, np.log(9.0), log_M[0] + np.log(share)]) for share in (1e-3, 0.03, 0.3, 0.8)]
    for start in starts:
        start[0] = np.mean(log_N - _noise_floor_log_updates(start, log_M))
    return starts


INVERSE = LawFamily(
    kind="inverse",
    names=("n_inf_updates", "alpha_samples"),
    log_updates=lambda t, log_M: np.logaddexp(t[0], t[1] - log_M),
    law=lambda t: InverseLaw(n_inf_updates=float(np.exp(t[0])), alpha_samples=float(np.exp(t[1]))),
    starts=lambda log_M, log_N: [_inverse_start(log_M, log_N)],
    priors=_floor_priors,
)
SHARP = LawFamily(
    kind="sharp",
    names=("n_inf_updates", "alpha_samples", "sharpness"),
    log_updates=_sharp_log_updates,
    law=lambda t: SharpCornerLaw(
        n_inf_updates=float(np.exp(t[0])), alpha_samples=float(np.exp(t[1])), sharpness=float(np.exp(t[2]))
    ),
    starts=lambda log_M, log_N: [np.append(_inverse_start(log_M, log_N), 0.0)],
    priors=lambda log_M, log_N: (
        np.append(_floor_priors(log_M, log_N)[0], 0.0),
        np.append(_floor_priors(log_M, log_N)[1], SHARPNESS_SD),
    ),
)
CORNER = LawFamily(
    kind="corner",
    names=("n_inf_updates", "alpha_samples"),
    log_updates=lambda t, log_M: np.maximum(t[0], t[1] - log_M),
    law=lambda t: HardCornerLaw(n_inf_updates=float(np.exp(t[0])), alpha_samples=float(np.exp(t[1]))),
    starts=lambda log_M, log_N: [_corner_start(log_M, log_N)],
    priors=_floor_priors,
)
POWER = LawFamily(
    kind="power",
    names=("one_sample_updates", "exponent"),
    log_updates=lambda t, log_M: t[0] - np.exp(np.minimum(t[1], 3.0)) * log_M,
    law=lambda t: PowerLaw(one_sample_updates=float(np.exp(t[0])), exponent=float(np.exp(t[1]))),
    starts=lambda log_M, log_N: [np.array([np.mean(log_N + 0.7 * log_M), np.log(0.7)])],
    priors=lambda log_M, log_N: (np.array([np.mean(log_N + 0.7 * log_M), np.log(0.7)]), np.array([30.0, 3.0])),
)
NOISE_FLOOR = LawFamily(
    kind="noise_floor",
    names=("updates_per_fold", "initial_error_excess", "smallest_batch_samples"),
    log_updates=_noise_floor_log_updates,
    law=lambda t: NoiseFloorLaw(
        initial_error=1.0 + float(np.exp(t[1])),
        target_error=1.0,
        floor_error_samples=float(np.exp(t[2])),
        rate_per_update=float(np.exp(-t[0])),
    ),
    starts=_noise_floor_starts,
    priors=lambda log_M, log_N: (
        np.array([np.mean(log_N), np.log(9.0), log_M[0] + np.log(0.5)]),
        np.array([30.0, 1.5, 3.0]),
    ),
)
FAMILIES: Mapping[str, LawFamily] = {family.kind: family for family in (INVERSE, SHARP, CORNER, POWER, NOISE_FLOOR)}


def fit_family(family: LawFamily, series: UpdatesSeries) -> LawFit:
    """Fit one law to a series by least squares of log N with the family's weak priors.

    Batch sizes at which no run reached the target count with the probability that the law gives to that: Newton's method,
    with a normal point in place of each, found anew at every step.

    Raises
    ------
    FitError
        If no finite parameters fit.
    """
    log_M, log_N, errors = as_arrays(series)
    fit = _fit_to_points(family, log_M, log_N, errors, family.starts(log_M, log_N), family.priors(log_M, log_N))
    if not series.unreached:
        return fit
    run_sd = ASSUMED_RUN_TO_RUN if series.run_to_run_relative is None else series.run_to_run_relative
    lost_M = np.log([runs.batch_samples for runs in series.unreached])
    priors = family.priors(log_M, log_N)
    everything, order = np.concatenate([log_M, lost_M]), np.argsort(np.concatenate([log_M, lost_M]), kind="stable")
    before = np.full(len(priors[0]), np.inf)
    for _ in range(CENSORED_ROUNDS):
        says = family.log_updates(fit.fit.estimates, lost_M)
        points = np.array(
            [
                (float(law), INFINITE_LOG) if law >= INFINITE_LOG else pseudo_point(float(law), runs, RESIDUAL_SD, run_sd)
                for law, runs in zip(says, series.unreached, strict=True)
            ]
        )
        all_N = np.concatenate([log_N, points[:, 0]])
        all_errors = np.concatenate([errors, np.sqrt(np.maximum(points[:, 1] ** 2 - RESIDUAL_SD**2, 0.0))])
        starts = [fit.fit.estimates] if np.isfinite(before).all() else [fit.fit.estimates, *family.starts(log_M, log_N)]
        fit = _fit_to_points(family, everything[order], all_N[order], all_errors[order], starts, priors)
        if np.max(np.abs(fit.fit.estimates - before)) <= 1e-7:
            break
        before = fit.fit.estimates
    says = family.log_updates(fit.fit.estimates, lost_M)
    deviance = -2.0 * sum(
        float(log_probability(np.array([min(float(law), INFINITE_LOG)]), runs, RESIDUAL_SD, run_sd)[0])
        for law, runs in zip(says, series.unreached, strict=True)
    )
    return replace(fit, measured=(np.arange(len(order)) < len(log_M))[order], deviance=max(deviance, 0.0))


def _fit_to_points(
    family: LawFamily,
    log_M: FloatArray,
    log_N: FloatArray,
    errors: FloatArray,
    starts: Sequence[FloatArray],
    priors: tuple[FloatArray, FloatArray],
) -> LawFit:
    """Fit a law to normal points from several starts; the best end counts."""
    sd = np.sqrt(RESIDUAL_SD**2 + errors**2)
    prior_mean, prior_sd = priors
    ends = [
        least_squares_fit(lambda t: family.log_updates(t, log_M), log_N, start, sd=sd, prior_mean=prior_mean, prior_sd=prior_sd)
        for start in starts
    ]
    fit = min(ends, key=lambda end: end.squares)
    try:
        law: ConvergenceLaw | None = family.law(fit.estimates)
    except (ValueError, OverflowError):
        law = None
    return LawFit(
        family=family,
        fit=fit,
        sd=sd,
        prior_mean=prior_mean,
        prior_sd=prior_sd,
        law=law,
        log_batch=log_M,
        errors=errors,
        measured=np.ones(len(log_M), dtype=np.bool_),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainInverseFit:
    """The inverse law of the paper by plain least squares of relative errors: N_inf is free and may come out <= 0.

    Parameters
    ----------
    law : InverseLaw
        At the estimates.
    standard_errors : (float, float)
        Of N_inf (updates) and alpha (samples); infinite where two points leave no degree of freedom.
    correlation : float
        Of the two.
    rms_relative : float
        Root mean square of the relative residuals.
    """

    law: InverseLaw
    standard_errors: tuple[float, float]
    correlation: float
    rms_relative: float


def fit_plain_inverse_law(series: UpdatesSeries) -> PlainInverseFit:
    """Fit N_inf + alpha/M (Eqn 2) by least squares of log(law/point), every point alike, nothing else assumed.

    Raises
    ------
    FitError
        If no inverse law with alpha > 0 fits: updates grow with the mini-batch.
    """
    log_M, log_N, _ = as_arrays(series)
    scale, unit = np.exp(np.mean(log_M)), np.exp(np.mean(log_N))
    x, y = np.exp(log_M) / scale, log_N - np.log(unit)
    rows = np.column_stack([np.ones_like(x), 1.0 / x]) / np.exp(y)[:, None]
    floor, slope = np.linalg.lstsq(rows, np.ones_like(x), rcond=None)[0]
    if not (slope > 0 and np.all(floor + slope / x > 0)):
        floor, slope = 0.0, float(np.exp(np.mean(y + np.log(x))))

    def log_updates(t: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            values: FloatArray = np.log(t[0] + np.exp(t[1]) / x)
        return np.where(np.isfinite(values), values, 1e3)

    fit = least_squares_fit(log_updates, y, [floor, np.log(slope)])
    n_inf, log_alpha = float(fit.estimates[0]) * float(unit), float(fit.estimates[1]) + float(np.log(scale * unit))
    if log_alpha < -30 or not np.isfinite(n_inf):
        raise FitError(f"{series.name}: no inverse law fits, updates do not fall with the mini-batch")
    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=float(np.exp(log_alpha)))
    errors, correlation = (np.inf, np.inf), 0.0
    if fit.degrees_of_freedom > 0:
        covariance = fit.covariance()
        sd = np.sqrt(np.diag(covariance))
        errors = (float(sd[0] * unit), float(sd[1] * law.alpha_samples))
        correlation = float(covariance[0, 1] / (sd[0] * sd[1])) if np.all(sd > 0) else 0.0
    rms = float(np.sqrt(np.mean(np.expm1(-fit.residuals) ** 2)))
    return PlainInverseFit(law=law, standard_errors=errors, correlation=correlation, rms_relative=rms)
