"""Weighted draws against posteriors whose moments are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simulator.calibration.importance import importance_draws
from simulator.quantities import FloatArray


def gaussian(points: FloatArray) -> FloatArray:
    return np.asarray(-0.5 * np.einsum("ci,ij,cj->c", points - MEAN, np.linalg.inv(COVARIANCE), points - MEAN))


MEAN = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])


def test_a_gaussian_has_its_mean_its_covariance_and_its_quantiles() -> None:
    found = importance_draws(gaussian, MEAN, COVARIANCE)
    assert found.effective > 1000  # of 2048: the proposal's tails are wider
    sd = np.sqrt(np.diag(COVARIANCE))
    # five standard errors of draws without order, though a Sobol sequence has less
    assert np.all(np.abs(found.weights @ found.points - MEAN) < 5 * sd / np.sqrt(found.effective))
    apart = found.points - MEAN
    assert (apart * found.weights[:, None]).T @ apart == pytest.approx(COVARIANCE, abs=5 * 2 / np.sqrt(1000))
    for q in (0.05, 0.5, 0.95):
        density = stats.norm.pdf(stats.norm.ppf(q))
        error = np.sqrt(q * (1 - q) / found.effective) / density
        assert abs(found.quantile(found.points[:, 0], q) - (1.0 + stats.norm.ppf(q))) < 5 * error


def test_a_wrong_first_guess_is_mended() -> None:
    """A proposal of a ninth of the variance, two standard deviations off: the later rounds find the posterior."""
    found = importance_draws(gaussian, MEAN + 2.0, COVARIANCE / 9.0)
    assert found.effective > 200
    assert np.all(np.abs(found.weights @ found.points - MEAN) < 5 * np.sqrt(2.0 / found.effective))


def test_a_skewed_posterior_has_its_mean() -> None:
    """The logarithm of a gamma variable of shape 0.7: its mode is 0.36 off its mean, and Laplace's approximation with it."""
    shape = 0.7

    def log_density(points: FloatArray) -> FloatArray:
        return np.asarray(shape * points[:, 0] - np.exp(points[:, 0]))

    found = importance_draws(log_density, np.array([np.log(shape)]), np.array([[1.0 / shape]]))
    mean, sd = stats.loggamma.stats(shape)[0], float(stats.loggamma.std(shape))
    assert abs(float(np.log(shape)) - float(mean)) > 0.3
    assert float(found.weights @ found.points[:, 0]) == pytest.approx(float(mean), abs=5 * sd / np.sqrt(found.effective))


def test_the_same_input_gives_the_same_bytes() -> None:
    one, other = (importance_draws(gaussian, MEAN, COVARIANCE) for _ in range(2))
    assert one.points.tobytes() == other.points.tobytes()
    assert one.weights.tobytes() == other.weights.tobytes()
