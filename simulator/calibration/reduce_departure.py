"""What measured all-reduces do beyond their law: libraries switch algorithms and protocols with the size of the message.

The departure from a law is Gaussian in log seconds, with three parts: a level, a smooth function of log bytes, and what is
peculiar to one size. All carry over from one number of devices to another, the less the further apart they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.calibration.departure import Mixture
from simulator.calibration.reduce_laws import RESIDUAL_SD, Places, ReduceLawFit, law_jacobian
from simulator.quantities import FloatArray

__all__ = ["GRID", "Departure", "departures", "mixture", "prior_covariance"]

LEVEL_SD = (0.08, 0.16, 0.32)
SMOOTH_SD = (0.03, 0.1, 0.3)
SMOOTH_LENGTH = (0.7, 2.0, 5.0)
OWN_SD = (0.01, 0.04, 0.12)
GRID = tuple(itertools.product(LEVEL_SD, SMOOTH_SD, SMOOTH_LENGTH, OWN_SD))
"""Relative sizes of the level and of the smooth part, its length in ln bytes, relative size of what is a size's own."""

MEDIANS = ((1, 0.1), (2, 2.0), (3, 0.04))
LOG_WEIGHTS = np.array([sum(-0.5 * (np.log(point[i] / median) / 0.8) ** 2 for i, median in MEDIANS) for point in GRID])
"""Log-normal weights around medians chosen after the published series taken together; no series has values of its own."""

LEVEL_REACH = 2.0
SHAPE_REACH = 3.0
"""Doublings of the devices over which a level, and the shape in log bytes, lose all but 1/e of their correlation."""
OTHER_TIER = 0.3
"""Correlation of departures inside a node and across nodes."""
SHARED_OWN = 0.7
"""Share of the variance of a size's own that other numbers of devices have too, since libraries switch at sizes."""
MEASUREMENT_SD = 0.005


def prior_covariance(point: tuple[float, float, float, float], a: Places, b: Places) -> FloatArray:
    """Return the covariance of the departure at places `a` and `b`, shape (a, b), but for what no other place has."""
    level, smooth, length, own = point
    apart = np.abs(np.log(a[0])[:, None] - np.log(b[0])[None, :])
    doublings = np.abs(np.log2(a[1])[:, None] - np.log2(b[1])[None, :])
    tier = np.where((a[2] > 1)[:, None] == (b[2] > 1)[None, :], 1.0, OTHER_TIER)
    distance = np.sqrt(3.0) * apart / length
    shape = smooth**2 * (1.0 + distance) * np.exp(-distance) + SHARED_OWN * own**2 * (apart < 1e-9)
    return np.asarray(
        tier * (level**2 * np.exp(-doublings / LEVEL_REACH) + shape * np.exp(-doublings / SHAPE_REACH)), dtype=np.float64
    )


def lone_variance(point: tuple[float, float, float, float]) -> float:
    """Variance of what a place shares with no other."""
    return (1.0 - SHARED_OWN) * point[3] ** 2 + MEASUREMENT_SD**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Normal distribution of the log seconds at some places, given one law and one point of the grid.

    Parameters
    ----------
    log_weight : float
        Logarithm of the evidence.
    mean : ndarray, shape (x,)
        Log seconds.
    covariance : ndarray, shape (x, x)
        Without the lone variance of each place.
    lone : float
        That variance.
    """

    log_weight: float
    mean: FloatArray
    covariance: FloatArray
    lone: float


def departures(fitted: ReduceLawFit, places: Places, errors: FloatArray, at: Places) -> list[Departure]:
    """Predict log seconds at places `at`: the law plus the departure, for every point of the grid.

    Parameters
    ----------
    fitted : ReduceLawFit
        The law fitted to the points at `places`.
    places, errors : arrays of shape (n,)
        Where it was measured, and the relative errors of the measurements.
    at : arrays of shape (x,)
        Where to predict.

    Notes
    -----
    The law is linear around its estimates; its parameters and the departure are then jointly normal, and the prediction is the
    conditional distribution given the points. Points that the law's fit gave less weight have more noise here too.
    """
    J, J_at = fitted.fit.jacobian, law_jacobian(fitted, at)
    A = np.diag(fitted.prior_sd**2)
    shift = fitted.prior_mean - fitted.fit.estimates
    gap = fitted.fit.residuals - J @ shift
    base = fitted.law.log_time(fitted.fit.estimates, *at) + J_at @ shift
    noise = errors**2 + fitted.sd**2 - RESIDUAL_SD**2
    by_law = (J @ A @ J.T, J_at @ A @ J.T, J_at @ A @ J_at.T)
    found = []
    for point, log_weight in zip(GRID, LOG_WEIGHTS, strict=True):
        lone = lone_variance(point)
        K = by_law[0] + prior_covariance(point, places, places) + np.diag(noise + lone)
        C = by_law[1] + prior_covariance(point, at, places)
        solved = np.linalg.solve(K, np.column_stack([gap, C.T]))
        found.append(
            Departure(
                log_weight=float(log_weight - 0.5 * (gap @ solved[:, 0] + np.linalg.slogdet(K)[1])),
                mean=base + C @ solved[:, 0],
                covariance=by_law[2] + prior_covariance(point, at, at) - C @ solved[:, 1:],
                lone=lone,
            )
        )
    return found


def shares(found: Sequence[Departure]) -> FloatArray:
    """Return the probability of each, from the evidence; adds up to 1."""
    logs = np.array([one.log_weight for one in found])
    weights = np.exp(logs - np.max(logs))
    return np.asarray(weights / np.sum(weights), dtype=np.float64)


def mixture(found: Sequence[Departure]) -> Mixture:
    """Return the predictions of all laws and points of the grid, weighed by their evidence."""
    return Mixture(
        weights=shares(found),
        means=np.array([one.mean for one in found]),
        variances=np.array([np.maximum(np.diag(one.covariance), 0.0) + one.lone for one in found]),
    )
