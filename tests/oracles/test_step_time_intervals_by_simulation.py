"""Do 90 % intervals of step times hold 90 %? Clusters drawn from the model itself; and a conditional normal by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.calibration.step_time import fit_step_time
from simulator.calibration.step_time_departure import SHAPES, Reach, observed, whitening
from simulator.calibration.step_time_fitted import fit_law
from simulator.calibration.step_time_laws import StepLaw
from simulator.calibration.step_time_next import filled
from simulator.calibration.step_time_series import StepPlace, StepPoint, StepTimeSeries, places_of

PLACES = [filled(m, P, 4) for m in (8.0, 16.0, 32.0, 64.0) for P in (1, 2, 4, 8, 16, 32)]
CLUSTERS = 15
KINDS = ("node_log", "two_tier_ring", "ring", "tree_across_nodes", "node_root")


def drawn(rng: np.random.Generator) -> list[StepPoint]:
    """Draw a cluster: a form of the law, its parameters (less widely than the priors), and a departure of half or full size."""
    law = StepLaw(compute="affine", reduce=str(rng.choice(KINDS)))
    at = places_of(PLACES)
    factors = law.factors(at)
    mean, sd = law.priors(at, np.zeros(len(PLACES)))
    log_T = law.log_time(mean + 0.4 * sd * rng.normal(size=len(mean)), at, factors)[0]
    shape, scale = SHAPES[rng.integers(2)], rng.choice([0.4, 1.0])
    K = shape.covariance(at, at) + shape.noise**2 * np.eye(len(PLACES))
    log_T = log_T + scale * np.linalg.cholesky(K) @ rng.normal(size=len(PLACES))
    return [StepPoint(place=place, step_time_s=float(np.exp(t))) for place, t in zip(PLACES, log_T, strict=True)]


@pytest.mark.slow
def test_intervals_cover_twice_the_learners() -> None:
    """The share covered, one figure a cluster since its cases err together, not below 90 % by more than four standard errors.

    It may be above: nodes beyond those measured widen the intervals, which these clusters have no need of.
    """
    rng = np.random.default_rng(17)
    shares = []
    for _ in range(CLUSTERS):
        points = drawn(rng)
        out = [point for point in points if point.place.learners == 32]
        fit = fit_step_time(StepTimeSeries.of("s", [point for point in points if point.place.learners < 32]))
        found = fit.predict([point.place for point in out])
        held = [one.interval90[0] <= p.step_time_s <= one.interval90[1] for p, one in zip(out, found, strict=True)]
        shares.append(float(np.mean(held)))
    error = float(np.std(shares, ddof=1)) / CLUSTERS**0.5
    assert float(np.mean(shares)) > 0.9 - 4.0 * error, (np.mean(shares), error)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
def test_the_prediction_is_the_conditional_normal_written_out(shape: object) -> None:
    """Kriging by the joint covariance of all places: parameters, departure and noise in one matrix, conditioned by hand."""
    departure = next(one for one in SHAPES if one is shape)
    points = drawn(np.random.default_rng(5))[:18]
    data = observed(StepTimeSeries.of("s", points), waits=False)
    law = StepLaw(compute="affine", reduce="node_log")
    fitted = fit_law(law, departure, data, whitening(departure, data))
    asked: list[StepPlace] = [filled(24.0, 64, 4), filled(64.0, 32, 4)]
    at = places_of(asked)
    scale = 1.0
    means, variances = fitted.predict(Reach.of(departure, data, at))

    known, J = fitted.log_time(data.places)
    there, J_at = fitted.log_time(at)
    shift = fitted.prior_mean - fitted.estimates
    A = np.diag(fitted.prior_sd**2)
    K = J @ A @ J.T + scale**2 * (departure.covariance(data.places, data.places) + np.diag(departure.noise**2 * data.noise))
    C = J_at @ A @ J.T + scale**2 * departure.covariance(at, data.places)
    D = J_at @ A @ J_at.T + scale**2 * (departure.covariance(at, at) + departure.noise**2 * np.eye(2))
    mean = there + J_at @ shift + C @ np.linalg.solve(K, data.log_time_s - known - J @ shift)
    variance = np.diag(D - C @ np.linalg.solve(K, C.T))
    i = 4  # scale 1
    np.testing.assert_allclose(means[i], mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(variances[i], variance, rtol=1e-5)
