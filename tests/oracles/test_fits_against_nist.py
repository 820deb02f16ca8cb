"""The fitting engine against the certified values of NIST's Statistical Reference Datasets (StRD, nonlinear regression).

Data, models, starts and certified values (estimate, its standard deviation, residual sum of squares, to 11 digits) are
those of https://www.itl.nist.gov/div898/strd/nls (public domain). Starts are NIST's first, the one far from the solution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from simulator.calibration.least_squares import least_squares_fit


@dataclass(frozen=True)
class Certified:
    x: tuple[float, ...]
    y: tuple[float, ...]
    model: Callable[[Any, Any], Any]
    start: tuple[float, ...]
    estimates: tuple[float, ...]
    standard_errors: tuple[float, ...]
    squares: float


MISRA_X = (77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0)
MISRA_Y = (10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78)
PROBLEMS = {
    "Misra1a": Certified(
        MISRA_X, MISRA_Y, lambda b, x: b[0] * (1 - np.exp(-b[1] * x)), (500, 0.0001),
        (2.3894212918e02, 5.5015643181e-04), (2.7070075241e00, 7.2668688436e-06), 1.2455138894e-01,
    ),
    "DanWood": Certified(
        (1.309, 1.471, 1.490, 1.565, 1.611, 1.680), (2.138, 3.421, 3.597, 4.340, 4.882, 5.660),
        lambda b, x: b[0] * x ** b[1], (1, 5),
        (7.6886226176e-01, 3.8604055871e00), (1.8281973860e-02, 5.1726610913e-02), 4.3173084083e-03,
    ),
    "BoxBOD": Certified(
        (1, 2, 3, 5, 7, 10), (109, 149, 149, 191, 213, 224), lambda b, x: b[0] * (1 - np.exp(-b[1] * x)), (1, 1),
        (2.1380940889e02, 5.4723748542e-01), (1.2354515176e01, 1.0455993237e-01), 1.1680088766e03,
    ),
    "Rat42": Certified(
        (9, 14, 21, 28, 42, 57, 63, 70, 79), (8.930, 10.800, 18.590, 22.330, 39.350, 56.110, 61.730, 64.620, 67.080),
        lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)), (100, 1, 0.1),
        (7.2462237576e01, 2.6180768402e00, 6.7359200066e-02), (1.7340283401e00, 8.8295217536e-02, 3.4465663377e-03),
        8.0565229338e00,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_certified_values_are_reached(name: str) -> None:
    problem = PROBLEMS[name]
    x, y = np.asarray(problem.x, dtype=np.float64), np.asarray(problem.y, dtype=np.float64)
    found = least_squares_fit(lambda b: problem.model(b, x), y, problem.start)
    # Estimates of a least-squares search are known to about the square root of the rounding error: 8 digits at the most.
    np.testing.assert_allclose(found.estimates, problem.estimates, rtol=1e-7)
    np.testing.assert_allclose(found.standard_errors(), problem.standard_errors, rtol=1e-6)
    assert found.squares == pytest.approx(problem.squares, rel=1e-9)


def test_a_prior_is_one_more_observation() -> None:
    # y = b with ten points and a prior: the mean of eleven observations with their weights, worked by hand.
    y = np.arange(10.0)
    found = least_squares_fit(lambda b: np.full(10, b[0]), y, [1.0], sd=2.0, prior_mean=[20.0], prior_sd=[1.0])
    assert found.estimates[0] == pytest.approx((45.0 / 4 + 20.0) / (10 / 4 + 1), rel=1e-9)
    assert found.standard_errors(1.0)[0] == pytest.approx((10 / 4 + 1) ** -0.5, rel=1e-9)
