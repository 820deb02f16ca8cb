"""The prediction's mean and variance against a textbook: kriging of residuals, worked by simulation and by dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.calibration import departure
from simulator.calibration.departure import GRID, departure_mixture
from simulator.calibration.measurements import MeasuredUpdates, UpdatesSeries, updates_series
from simulator.calibration.updates_laws import FAMILIES, fit_family
from simulator.convergence import InverseLaw
from simulator.quantities import FloatArray

LAW = InverseLaw(n_inf_updates=1000.0, alpha_samples=512_000.0)
SIZES = np.array([16.0, 50.0, 128.0, 400.0, 1500.0, 4000.0])


def series(log_factor: FloatArray) -> UpdatesSeries:
    N = LAW.updates(SIZES) * np.exp(log_factor)
    return updates_series(
        "s", [MeasuredUpdates(batch_samples=float(M), updates=float(n)) for M, n in zip(SIZES, N, strict=True)]
    )


def covariance(a: FloatArray, b: FloatArray, sd: float, length: float) -> FloatArray:
    """Matern-3/2 as in Rasmussen and Williams, "Gaussian Processes for Machine Learning", Eqn 4.17."""
    distance = np.sqrt(3.0) * np.abs(a[:, None] - b[None, :]) / length
    return np.asarray(sd**2 * (1.0 + distance) * np.exp(-distance), dtype=np.float64)


def test_stated_variances_are_those_of_simulated_errors() -> None:
    """Draw departures from a component's own model, predict, and compare the spread of the errors with the statement.

    400 draws: the relative standard error of a variance is sqrt(2/400) = 7 %; three of them are allowed.
    """
    rng = np.random.default_rng(8)
    log_M, at = np.log(SIZES), np.log(np.array([90.0, 900.0]))
    both = np.concatenate([log_M, at])
    for index in (GRID.index((0.03, 0.7, 0.01)), GRID.index((0.06, 1.5, 0.03))):
        sd, length, own = GRID[index]
        C = covariance(both, both, sd, length) + own**2 * np.eye(len(both))
        draws = rng.multivariate_normal(np.zeros(len(both)), C, size=400)
        gaps, stated = [], None
        for draw in draws:
            fit = fit_family(FAMILIES["inverse"], series(draw[: len(SIZES)]))
            mixture = departure_mixture(fit, log_M, np.zeros(len(SIZES)), at)
            gaps.append(np.log(LAW.updates(np.exp(at))) + draw[len(SIZES) :] - mixture.means[index])
            stated = mixture.variances[index]
        assert stated is not None
        np.testing.assert_allclose(np.mean(np.square(gaps), axis=0), stated, rtol=0.21)


def test_without_errors_of_parameters_it_is_kriging_of_residuals() -> None:
    """With a law whose parameters are held by tight priors, mean and variance are the simple kriging formulas."""
    draw = np.array([0.05, -0.02, 0.03, 0.0, -0.04, 0.06])
    found = fit_family(FAMILIES["inverse"], series(draw))
    log_M, at = np.log(SIZES), np.log(np.array([90.0, 900.0]))
    mixture = departure_mixture(found, log_M, np.full(len(SIZES), 0.01), at)
    index = GRID.index((0.12, 0.7, 0.01))
    sd, length, own = GRID[index]
    K = covariance(log_M, log_M, sd, length) + (own**2 + 0.01**2) * np.eye(len(SIZES))
    k = covariance(log_M, at, sd, length)
    law_at = found.family.log_updates(found.fit.estimates, at)
    np.testing.assert_allclose(mixture.means[index], law_at + k.T @ np.linalg.solve(K, found.fit.residuals), rtol=1e-10)
    simple = sd**2 - np.sum(k * np.linalg.solve(K, k), axis=0) + own**2
    # the errors of the law's two parameters come on top: never less than simple kriging
    assert np.all(mixture.variances[index] >= simple * (1 - 1e-9))


def test_the_grid_is_weighed_towards_what_made_the_residuals() -> None:
    rng = np.random.default_rng(4)
    sizes = np.geomspace(10, 1e5, 40)
    log_M = np.log(sizes)

    def typical_sd(sd: float) -> float:
        draw = rng.multivariate_normal(np.zeros(40), covariance(log_M, log_M, sd, 0.7) + 0.01**2 * np.eye(40))
        N = LAW.updates(sizes) * np.exp(draw)
        many = updates_series(
            "s", [MeasuredUpdates(batch_samples=float(M), updates=float(n)) for M, n in zip(sizes, N, strict=True)]
        )
        mixture = departure_mixture(fit_family(FAMILIES["inverse"], many), log_M, np.zeros(40), log_M[:1])
        return float(np.exp(mixture.weights @ np.log([one[0] for one in GRID])))

    assert typical_sd(0.01) < 0.03 < typical_sd(0.12)
    assert departure.DEPARTURE_SD.median == pytest.approx(0.05)
