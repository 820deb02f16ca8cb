"""Runs that did not reach the target: they took more updates than they made, and that is what the fit uses of them.

Leaving them out would make a batch size look better than it is, since what is left are its fastest runs. The logarithm of a
run's updates is taken as normal around that of its batch size (Tobin's model): a finished run counts with its density, a
censored one with the probability of lying above its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.quantities import FloatArray

__all__ = ["CensoredRuns", "SizeRuns", "pseudo_point", "tobit_means"]

MOST_STEPS = 200
LONGEST_SD = 30.0
"""Standard deviation of a log from which a point says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CensoredRuns:
    """Runs at a batch size that did not reach the target.

    Parameters
    ----------
    batch_samples : float
        M, samples.
    at_least_updates : float
        Updates that each made without reaching it, >= 1.
    runs : int
        How many.
    """

    batch_samples: float
    at_least_updates: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRuns:
    """All runs at one batch size, some of which finished.

    Parameters
    ----------
    mean_log : float
        Mean of the logarithms of the finished runs.
    finished : int
        How many finished.
    squares, degrees : float
        Sum of squared deviations of their logarithms from that mean, and its degrees of freedom.
    censored : tuple of CensoredRuns
        The others.
    """

    mean_log: float
    finished: int
    squares: float
    degrees: float
    censored: tuple[CensoredRuns, ...] = ()


def _hazard(z: FloatArray) -> FloatArray:
    """Density of the standard normal over the probability of exceeding z."""
    from scipy.special import log_ndtr

    return np.asarray(np.exp(-0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - log_ndtr(-z)), dtype=np.float64)


def tobit_means(sizes: Sequence[SizeRuns], start_sd: float) -> tuple[list[float], list[float], float]:
    """Estimate the mean log updates of each batch size, and the spread of single runs that they share.

    Parameters
    ----------
    sizes : sequence of SizeRuns
        Each with a finished run at least.
    start_sd : float
        Standard deviation of the log of a run to start from; kept where no batch size has two runs.

    Returns
    -------
    means, errors : list of float
        Of the logarithms; the errors from the curvature of the likelihood.
    sd : float
        Of single runs, by expectation-maximisation, its degrees of freedom lessened by one a batch size.
    """
    freedom = sum(size.degrees + sum(runs.runs for runs in size.censored) for size in sizes)
    sd = start_sd
    means = [size.mean_log for size in sizes]
    errors = [0.0] * len(sizes)
    for _ in range(MOST_STEPS):
        total = 0.0
        for i, size in enumerate(sizes):
            limits = np.log([runs.at_least_updates for runs in size.censored])
            counts = np.array([runs.runs for runs in size.censored], dtype=np.float64)
            means[i], errors[i] = _mean(size, limits, counts, sd, means[i])
            z = (limits - means[i]) / sd
            total += size.squares + size.finished * (size.mean_log - means[i]) ** 2
            total += float(np.sum(counts * sd**2 * (1.0 + z * _hazard(z))))
        if not freedom or total <= 0.0:
            break
        before, sd = sd, float(np.sqrt(total / freedom))
        if abs(sd - before) <= 1e-10 * sd:
            break
    return means, errors, sd


def _mean(size: SizeRuns, limits: FloatArray, counts: FloatArray, sd: float, start: float) -> tuple[float, float]:
    """Most likely mean log of a batch size at a given spread, and its error: Newton's method on a log-concave likelihood."""
    mean = max(start, size.mean_log)
    curvature = size.finished / sd**2
    for _ in range(MOST_STEPS):
        z = (limits - mean) / sd
        hazard = _hazard(z)
        slope = size.finished * (size.mean_log - mean) / sd**2 + float(np.sum(counts * hazard)) / sd
        curvature = (size.finished + float(np.sum(counts * hazard * (hazard - z)))) / sd**2
        step = slope / curvature
        mean += float(np.clip(step, -5.0 * sd, 5.0 * sd))
        if abs(step) <= 1e-12 * max(1.0, abs(mean)):
            break
    return mean, float(curvature**-0.5)


def log_probability(mean_log: FloatArray, runs: CensoredRuns, size_sd: float, run_sd: float) -> FloatArray:
    """Log of the probability that all runs of a batch size exceed their limit.

    Parameters
    ----------
    mean_log : ndarray
        Log updates that a law gives for the batch size, any shape.
    runs : CensoredRuns
        The runs.
    size_sd : float
        Standard deviation of the batch size's own departure from the law, which its runs share, > 0.
    run_sd : float
        That of single runs around it.

    Notes
    -----
    An integral over the departure, by Gauss-Hermite quadrature with 40 points.
    """
    from scipy.special import log_ndtr, logsumexp

    limit = np.log(runs.at_least_updates)
    x = np.asarray(mean_log, dtype=np.float64)
    if run_sd <= 0.05 * size_sd:  # hardly any spread of runs: the departure alone decides
        return np.asarray(log_ndtr((x - limit) / size_sd), dtype=np.float64)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    inside = runs.runs * log_ndtr((x[..., None] + size_sd * nodes - limit) / run_sd)
    return np.asarray(logsumexp(inside, b=weights / np.sum(weights), axis=-1), dtype=np.float64)


def pseudo_point(mean_log: float, runs: CensoredRuns, size_sd: float, run_sd: float) -> tuple[float, float]:
    """Return the normal point, (log updates, sd), whose likelihood has slope and curvature of the censored one at `mean_log`.

    Least squares with such points, found anew until nothing moves, ends where the censored likelihood is largest (Newton's
    method), and what takes normal points takes them.
    """
    step = 1e-3 * size_sd
    before, here, after = log_probability(np.array([mean_log - step, mean_log, mean_log + step]), runs, size_sd, run_sd)
    slope = max((after - before) / (2.0 * step), 0.0)
    curvature = max(-(after - 2.0 * here + before) / step**2, LONGEST_SD**-2)
    return mean_log + slope / curvature, float(curvature**-0.5)
