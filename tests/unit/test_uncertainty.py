from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, TabulatedUpdates
from simulator.uncertainty import NORMAL_95, FitRecord, extrapolation_sd, interval90, parameter_sd

LAW = InverseLaw(n_inf_updates=1000, alpha_samples=64_000)


def record(**given: Any) -> FitRecord:
    return FitRecord(**{"batch_samples_range": (16, 1024), **given})


def test_a_record_knows_whether_it_widens_anything() -> None:
    assert not record().has_uncertainty
    assert not record(correlation=0.5).has_uncertainty
    assert record(relative_standard_errors=(0.0, 0.1)).has_uncertainty
    assert record(discrepancy_relative=0.1).has_uncertainty
    assert record(run_to_run_relative=0.1).has_uncertainty


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_samples_range": (16,)}, "^batch_samples_range and relative_standard_errors must have two numbers each$"),
        ({"relative_standard_errors": (0.1, 0.1, 0.1)}, "must have two numbers each$"),
        ({"batch_samples_range": (0, 16)}, "^batch_samples_range must be finite and > 0, got 0$"),
        ({"batch_samples_range": (64, 16)}, r"^batch_samples_range must be \[smallest, largest\], got \[64, 16\]$"),
        ({"relative_standard_errors": (0.1, -1)}, "^relative_standard_errors must be from 0 to 10, got -1$"),
        ({"relative_standard_errors": (11, 0)}, "^relative_standard_errors must be from 0 to 10, got 11$"),
        ({"correlation": 1.5}, "^correlation must be from -1 to 1, got 1.5$"),
        ({"correlation": math.nan}, "^correlation must be from -1 to 1, got nan$"),
        ({"discrepancy_relative": -0.1}, "^discrepancy_relative must be from 0 to 10, got -0.1$"),
        ({"run_to_run_relative": math.inf}, "^run_to_run_relative must be from 0 to 10, got inf$"),
    ],
)
def test_a_record_names_its_fault(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record(**given)


@pytest.mark.parametrize(
    ("M", "p90"),
    # the table of the docstring, on both sides of 16 to 1024; log2(1.5) of the way from 1 to 2 times
    [
        (16, 0),
        (100, 0),
        (1024, 0),
        (2048, 0.19),
        (4096, 0.27),
        (16_384, 0.51),
        (65_536, 0.64),
        (1e9, 0.64),
        (8, 0.19),
        (1536, 0.19 * math.log2(1.5)),
        (1, 0.51),
    ],
)
def test_extrapolation_widens_by_the_ratio_to_the_measured_range(M: float, p90: float) -> None:
    # half of that variance is stated by the fits themselves
    assert extrapolation_sd(M, (16, 1024)) == pytest.approx(p90 / 1.6448536269514722 / math.sqrt(2.0), rel=1e-12)


def test_parameter_errors_propagate_by_hand() -> None:
    # N = 1000 + 64000/64 = 2000; dN_1 = 1 * 100, dN_2 = 6400/64 = 100: independent sqrt(2) 100/2000, and so on
    fit = {"relative_standard_errors": (0.1, 0.1)}
    # the law is linear in both parameters, so the finite difference errs by its cancellation: 2e-16 * 2000 / 0.1 = 4e-12
    for correlation, expected in ((0.0, math.sqrt(2) * 0.05), (1.0, 0.1), (0.5, math.sqrt(3) * 0.05)):
        assert parameter_sd(LAW, record(**fit, correlation=correlation), 64) == pytest.approx(expected, rel=1e-10)
    assert parameter_sd(LAW, record(**fit, correlation=-1.0), 64) == pytest.approx(0.0, abs=1e-6)
    assert parameter_sd(LAW, record(relative_standard_errors=(0.1, 0.0)), 64) == pytest.approx(0.05, rel=1e-10)


def test_parameter_errors_of_other_laws() -> None:
    fit = record(relative_standard_errors=(0.1, 0.2))
    # beyond the corner only N_inf counts, before it only alpha
    hard = HardCornerLaw(n_inf_updates=1000, alpha_samples=64_000)
    assert parameter_sd(hard, fit, 1000) == pytest.approx(0.1, rel=1e-9)
    assert parameter_sd(hard, fit, 10) == pytest.approx(0.2, rel=1e-9)
    # d ln N / d ln N_1 = 1 and d ln N / d e = -ln M: exponent 1 +- 0.2, whose upper side does not exist
    power = PowerLaw(one_sample_updates=1e6, exponent=1.0)
    expected = math.hypot(0.1, 0.2 * math.log(64))
    assert parameter_sd(power, fit, 64) == pytest.approx(expected, rel=1e-3)  # the step is 1e-3 of the error, one-sided


def test_negative_floor_has_an_error_of_its_size() -> None:
    # N = -100 + 64000/64 = 900: |N_inf| 0.5 / 900
    law = InverseLaw(n_inf_updates=-100, alpha_samples=64_000)
    assert parameter_sd(law, record(relative_standard_errors=(0.5, 0.0)), 64) == pytest.approx(50 / 900, rel=1e-9)


def test_no_parameter_errors_no_spread() -> None:
    assert parameter_sd(LAW, record(), 64) == 0.0
    table = TabulatedUpdates(batch_samples=(16, 64), updates_at=(100, 50))
    assert parameter_sd(table, record(relative_standard_errors=(0.1, 0.1)), 32) == 0.0


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
def test_parameter_errors_count_for_numpy_numbers_too(kind: type) -> None:
    law = InverseLaw(n_inf_updates=kind(1000), alpha_samples=kind(64_000))
    assert parameter_sd(law, record(relative_standard_errors=(0.1, 0.1)), 64) == pytest.approx(
        math.sqrt(2) * 0.05,
        rel=1e-3,  # the step is 1e-4 of the parameter: 6e-4 of it in float32
    )


def test_interval_by_hand() -> None:
    # sd 0.1 and 0.2 add in squares; a run adds 0.3
    interval = interval90(100.0, spreads={"a": 0.1, "b": 0.2, "none": 0.0}, ranges={}, run_to_run=0.3)
    width = NORMAL_95 * math.sqrt(0.05)
    assert interval.mean == pytest.approx((100 * math.exp(-width), 100 * math.exp(width)))
    width = NORMAL_95 * math.sqrt(0.14)
    assert interval.one_run == pytest.approx((100 * math.exp(-width), 100 * math.exp(width)))
    assert list(interval.contributions) == ["run to run", "b", "a"]
    assert interval.contributions["a"] == pytest.approx(math.exp(NORMAL_95 * 0.1) - 1)


def test_range_of_an_input_widens_each_side_by_itself() -> None:
    interval = interval90(100.0, spreads={}, ranges={"delta_s": (90.0, 140.0), "idle": (100.0, 100.0)})
    assert interval.mean == pytest.approx((90.0, 140.0), rel=1e-14)
    assert interval.one_run == interval.mean
    assert interval.contributions == {"delta_s": pytest.approx(0.4)}  # the larger side


def test_range_on_one_side_leaves_the_other_alone() -> None:
    interval = interval90(100.0, spreads={}, ranges={"delta_s": (110.0, 140.0)})
    assert interval.mean == pytest.approx((100.0, 140.0), rel=1e-14)


def test_nothing_uncertain_gives_a_point() -> None:
    interval = interval90(7.0, spreads={}, ranges={})
    assert interval.mean == interval.one_run == (7.0, 7.0)
    assert interval.contributions == {}


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_interval_needs_a_positive_value(value: float) -> None:
    with pytest.raises(ValueError, match=f"^value must be finite and > 0, got {value:g}$"):
        interval90(value, spreads={}, ranges={})
