from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from simulator.theory import NoiseFloorLaw, sufficient_updates, sufficient_updates_as_inverse_law

BOUND: dict[str, Any] = {
    "rate_per_update": 0.001,
    "initial_error": 1.0,
    "target_error": 0.1,
    "noise_error2_samples": 1.0,
}
FLOOR: dict[str, Any] = {
    "initial_error": 1.0,
    "target_error": 0.1,
    "floor_error_samples": 1.0,
    "rate_per_update": 0.01,
}


def test_noise_floor_law_by_hand() -> None:
    law = NoiseFloorLaw(**FLOOR)
    assert law.smallest_batch_samples == 10.0
    # ln((1 - 1/20) / (0.1 - 1/20)) / 0.01 = 100 ln 19
    assert law.updates(20) == pytest.approx(100 * math.log(19), rel=1e-13)
    assert law.updates([20, 1e12])[1] == pytest.approx(100 * math.log(10), rel=1e-9)  # the floor 1e-12 is 1e-11 of eps


def test_noise_floor_law_begins_above_its_smallest_batch() -> None:
    law = NoiseFloorLaw(**FLOOR)
    lowest, highest = law.batch_samples_range
    assert lowest > 10.0
    assert highest == math.inf
    for M in (10.0, 9.0, [20.0, 9.0]):
        with pytest.raises(
            ValueError, match=r"^batch_samples must be > 10, below which the target error is under the noise floor, got "
        ):
            law.updates(M)


@pytest.mark.parametrize("initial", [0.5, 1.0, 100.0, 1e6])
def test_noise_floor_law_is_finite_at_the_lower_end_of_its_range(initial: float) -> None:
    law = NoiseFloorLaw(initial_error=initial, target_error=0.1, floor_error_samples=1.0, rate_per_update=0.01)
    assert math.isfinite(law.updates(law.batch_samples_range[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial_error": 0.1}, "^initial_error must be > target_error = 0.1, got 0.1$"),
        ({"target_error": 0}, "^target_error must be finite and > 0, got 0$"),
        ({"floor_error_samples": -1}, "^floor_error_samples must be finite and > 0, got -1$"),
        ({"rate_per_update": math.inf}, "^rate_per_update must be finite and > 0, got inf$"),
        (
            {"rate_per_update": 3},
            r"^rate_per_update must leave at least one update, ln\(initial_error / target_error\) = 2.30259, got 3$",
        ),
    ],
)
def test_noise_floor_law_names_its_fault(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoiseFloorLaw(**{**FLOOR, **change})


def test_log_form_by_hand() -> None:
    # s = 0.05 at M = 400: (ln(0.15/0.05) + ln(0.95/1.05)) / ln(1.0001)
    expected = (math.log(3) + math.log(0.95 / 1.05)) / math.log(1.0001)
    # log(1.0001) written naively loses 12 digits of 16: relative error 1e-12
    assert sufficient_updates(400, **BOUND) == pytest.approx(expected, rel=1e-11)


def test_taylor_form_keeps_the_third_of_the_line_before_the_last() -> None:
    # (1/0.001)(10 - 1)(1 + (1/(3 M))(100 + 1 + 10)) = 9000 (1 + 37/M)
    assert sufficient_updates(1000, form="taylor", **BOUND) == pytest.approx(9000 * 1.037, rel=1e-13)
    n_inf, alpha = sufficient_updates_as_inverse_law(**BOUND)
    assert (n_inf, alpha) == pytest.approx((9000, 9000 * 37), rel=1e-13)


def test_critical_batch_of_the_bound_is_a_third_of_its_smallest_batch() -> None:
    n_inf, alpha = sufficient_updates_as_inverse_law(**{**BOUND, "initial_error": 1e6})
    assert alpha / n_inf == pytest.approx((1 / 0.1**2) / 3, rel=1e-6)  # eps / Delta_0 = 1e-7 is left out


@pytest.mark.parametrize("form", ["log", "taylor"])
def test_bound_takes_arrays_and_falls_with_the_mini_batch(form: Any) -> None:
    grid = sufficient_updates(np.geomspace(101, 1e9, 20).reshape(4, 5), form=form, **BOUND)
    assert grid.shape == (4, 5)
    assert (np.diff(grid.ravel()) < 0).all()
    assert isinstance(sufficient_updates(200, form=form, **BOUND), np.float64)


@pytest.mark.parametrize("form", ["log", "taylor"])
def test_bound_exists_only_above_its_smallest_batch(form: Any) -> None:
    # theta / eps^2 = 1 / 0.5^2 = 4, exact in binary
    half = {**BOUND, "target_error": 0.5}
    with pytest.raises(
        ValueError, match=r"^batch_samples must be > theta/eps\^2 = 4, below which the bound does not exist, got 3$"
    ):
        sufficient_updates([5, 3], form=form, **half)
    with pytest.raises(ValueError, match=r"below which the bound does not exist, got 4$"):
        sufficient_updates(4, form=form, **half)


@pytest.mark.parametrize("target", [0.1, 0.3, 0.5])
def test_bound_is_finite_just_above_its_smallest_batch(target: float) -> None:
    bound = {**BOUND, "target_error": target}
    assert math.isfinite(sufficient_updates(np.nextafter(1.0 / target**2, np.inf), **bound))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial_error": 0.05}, "^initial_error must be > target_error = 0.1, got 0.05$"),
        ({"rate_per_update": 0}, "^rate_per_update must be finite and > 0, got 0$"),
        ({"target_error": -1}, "^target_error must be finite and > 0, got -1$"),
        ({"noise_error2_samples": 0}, "^noise_error2_samples must be finite and > 0, got 0$"),
        ({"form": "exact"}, "^form must be one of log, taylor, got 'exact'$"),
    ],
)
def test_bound_names_its_fault(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sufficient_updates(1000, **{**BOUND, **change})


@pytest.mark.parametrize("name", list(BOUND))
def test_inverse_law_of_the_bound_checks_its_arguments(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be finite and > 0, got 0$"):
        sufficient_updates_as_inverse_law(**{**BOUND, name: 0.0})
