from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simulator import quantities
from simulator.quantities import (
    ceil_whole,
    check_table,
    finite,
    fraction,
    interpolate_linearly,
    non_negative,
    positive,
    whole,
)

CHECKS: list[tuple[Callable[..., Any], str]] = [
    (finite, "finite"),
    (positive, "finite and > 0"),
    (non_negative, "finite and >= 0"),
    (fraction, "from 0 to 1"),
    (whole, "a whole number >= 1"),
]


def test_time_constants_are_in_seconds() -> None:
    # 60, 60 * 60, 24 * 60 * 60 and a Julian year of 365.25 days
    assert (quantities.MINUTE_S, quantities.HOUR_S, quantities.DAY_S) == (60.0, 3600.0, 86_400.0)
    assert quantities.YEAR_S == 31_557_600.0


@pytest.mark.parametrize(("check", "rule"), CHECKS)
def test_checks_return_float64_of_the_same_shape(check: Callable[..., Any], rule: str) -> None:
    scalar = check("x", 1)
    assert isinstance(scalar, np.float64)
    table = check("x", [[1, 1], [1, 1]])
    assert table.dtype == np.float64
    assert table.shape == (2, 2)


@pytest.mark.parametrize(("check", "rule"), CHECKS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_checks_refuse_what_is_not_finite(check: Callable[..., Any], rule: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^x must be {rule}, got {value:g}$"):
        check("x", value)


@pytest.mark.parametrize(("check", "rule"), CHECKS)
@pytest.mark.parametrize("value", ["many", None, "3", [1, "x"], {}, [[1], [1, 2]]])
def test_checks_refuse_what_is_not_a_number(check: Callable[..., Any], rule: str, value: Any) -> None:
    with pytest.raises(TypeError, match=r"^x must be a number or an array of numbers, got "):
        check("x", value)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (positive, 0, "x must be finite and > 0, got 0"),
        (positive, -3, "x must be finite and > 0, got -3"),
        (positive, [2, -1.5, -2], "x must be finite and > 0, got -1.5"),  # the first culprit
        (non_negative, -1e-300, "x must be finite and >= 0, got -1e-300"),
        (fraction, 1.5, "x must be from 0 to 1, got 1.5"),
        (fraction, [0.5, 2, 3], "x must be from 0 to 1, got "),
        (fraction, -0.1, "x must be from 0 to 1, got -0.1"),
        (whole, 2.5, "x must be a whole number >= 1, got 2.5"),
        (whole, [1, 2.25], "x must be a whole number >= 1, got 2.25"),
        (whole, 0, "x must be a whole number >= 1, got 0"),
    ],
)
def test_checks_name_the_rule_and_the_culprit(check: Callable[..., Any], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        check("x", value)


def test_checks_accept_their_ends() -> None:
    assert positive("x", 5e-324) == 5e-324  # the smallest positive number
    assert non_negative("x", 0) == 0
    assert (fraction("x", [0, 1]) == [0, 1]).all()
    assert whole("x", 0, lowest=0) == 0
    assert finite("x", -1e300) == -1e300


def test_whole_names_its_own_lowest_number() -> None:
    with pytest.raises(ValueError, match=r"^x must be a whole number >= 2, got 1$"):
        whole("x", 1, lowest=2)


def test_rounding_up_forgives_rounding_errors_only() -> None:
    # 0.1 * 3 / 0.1 = 3.0000000000000004 is three; 3 (1 + 1e-11) lies ten times outside the slack of 1e-12
    assert ceil_whole(0.1 * 3 / 0.1) == 3.0
    assert ceil_whole(3 * (1 + 1e-11)) == 4.0
    assert ceil_whole([0.0, 1e-300, 1.0, 2.5]).tolist() == [0.0, 1.0, 1.0, 3.0]
    assert isinstance(ceil_whole(2.5), np.float64)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((1, 2), (1, 2, 3), "^x and y must have the same length, got 2 and 3$"),
        ((1,), (1,), "^x must have at least two points, got 1$"),
        ((), (), "^x must have at least two points, got 0$"),
        ((0, 1), (1, 1), "^x must be finite and > 0, got 0$"),
        ((1, 2), (1, -1), "^y must be finite and > 0, got -1$"),
        ((1, 1), (1, 2), r"^x must increase, got \[1, 1\]$"),
        ((2, 1), (1, 2), r"^x must increase, got \[2, 1\]$"),
    ],
)
def test_tables_name_their_fault(x: tuple[float, ...], y: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_table("x", x, "y", y)


def test_interpolation_is_linear_and_goes_on_outside() -> None:
    # through (1, 10), (2, 20), (4, 0): slopes 10 and -10 by hand
    x, y = np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 0.0])
    assert interpolate_linearly([0, 1, 1.5, 2, 3, 4, 5], x, y).tolist() == [0.0, 10.0, 15.0, 20.0, 10.0, 0.0, -10.0]
    assert isinstance(interpolate_linearly(1.5, x, y), np.float64)


def test_whole_numbers_beyond_64_bits_are_numbers() -> None:
    assert whole("x", 2**64 - 1) == 2.0**64
    with pytest.raises(ValueError, match=r"^x must be a whole number >= 1 and <= 2\*\*64, got 1e\+20$"):
        whole("x", 10**20)
    assert positive("x", [1, 10**20])[1] == 1e20
    with pytest.raises(ValueError, match=r"^x must be finite and > 0, got a whole number beyond 1e308$"):
        positive("x", 10**400)
