"""Arrays, time constants and the argument checks that every model shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DAY_S",
    "HOUR_S",
    "MINUTE_S",
    "YEAR_S",
    "ArrayLike",
    "FloatArray",
    "ceil_whole",
    "check_table",
    "finite",
    "fraction",
    "interpolate_linearly",
    "non_negative",
    "positive",
    "whole",
]

FloatArray = NDArray[np.float64]

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86_400.0
YEAR_S = 365.25 * DAY_S

MOST_WHOLE = 2.0**64
ROUNDING_SLACK = 1e-12
"""Relative slack of `ceil_whole`: a few rounding errors above a whole number do not cost a whole unit."""


def _checked(name: str, value: ArrayLike, rule: str, *, lowest: float = -np.inf, strict: bool = False) -> FloatArray:
    """Return `value` as float64, or raise ValueError with name, rule and value."""
    try:
        raw = np.asarray(value)
    except ValueError:
        raw = np.asarray(None)
    if raw.dtype.kind == "O" and raw.size and all(type(one) is int for one in raw.flat):  # beyond 64 bits
        try:
            raw = raw.astype(np.float64)
        except OverflowError:
            raise ValueError(f"{name} must be {rule}, got a whole number beyond 1e308") from None
    if raw.dtype.kind not in "iufb":
        raise TypeError(f"{name} must be a number or an array of numbers, got {value!r}")
    array = raw.astype(np.float64)
    good = np.isfinite(array)
    if lowest > -np.inf:
        good &= (array > lowest) if strict else (array >= lowest)
    if not good.all():
        culprit = float(array[~good].flat[0]) if array.ndim else float(array)
        raise ValueError(f"{name} must be {rule}, got {culprit:g}")
    checked: FloatArray = array[()]
    return checked


def finite(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64 and refuse NaN and infinity."""
    return _checked(name, value, "finite")


def positive(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64 and refuse whatever is not finite and > 0."""
    return _checked(name, value, "finite and > 0", lowest=0.0, strict=True)


def non_negative(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64 and refuse whatever is not finite and >= 0."""
    return _checked(name, value, "finite and >= 0", lowest=0.0)


def fraction(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as float64 and refuse whatever lies outside [0, 1]."""
    array = _checked(name, value, "from 0 to 1", lowest=0.0)
    if np.any(np.asarray(array) > 1.0):
        raise ValueError(f"{name} must be from 0 to 1, got {float(np.max(array)):g}")
    return array


def whole(name: str, value: ArrayLike, *, lowest: int = 1) -> FloatArray:
    """Return `value` as float64 and refuse whatever is not a whole number >= `lowest`, or needs more than 64 bits."""
    array = _checked(name, value, f"a whole number >= {lowest}", lowest=float(lowest))
    if np.any(np.asarray(array) > MOST_WHOLE):  # 2**64 - 1 rounds to it
        raise ValueError(f"{name} must be a whole number >= {lowest} and <= 2**64, got {np.max(array):g}")
    if np.any(np.asarray(array) != np.floor(array)):
        culprit = np.asarray(array)[np.asarray(array) != np.floor(array)].flat[0]
        raise ValueError(f"{name} must be a whole number >= {lowest}, got {culprit:g}")
    return array


def ceil_whole(value: ArrayLike) -> FloatArray:
    """Round up to a whole number, forgiving a relative excess of 1e-12 (rounding errors of the value).

    Parameters
    ----------
    value : array_like
        Finite, >= 0.

    Returns
    -------
    float or ndarray
        Whole numbers, same shape.

    Examples
    --------
    >>> ceil_whole([3.2, 4.0, 4.000000000000001])
    array([4., 4., 4.])
    """
    array = np.asarray(value, dtype=np.float64)
    rounded: FloatArray = np.ceil(array * (1.0 - ROUNDING_SLACK))[()]
    return rounded


def check_table(x_name: str, x: tuple[float, ...], y_name: str, y: tuple[float, ...]) -> None:
    """Check that `x` (> 0) increases, that `y` is > 0 and as long, and that there are two points at least."""
    if len(x) != len(y):
        raise ValueError(f"{x_name} and {y_name} must have the same length, got {len(x)} and {len(y)}")
    if len(x) < 2:
        raise ValueError(f"{x_name} must have at least two points, got {len(x)}")
    positive(x_name, x)
    positive(y_name, y)
    if np.any(np.diff(x) <= 0):
        raise ValueError(f"{x_name} must increase, got {list(x)}")


def interpolate_linearly(at: ArrayLike, x: FloatArray, y: FloatArray) -> FloatArray:
    """Interpolate the points (x increasing, y) linearly at `at`; outside, continue the outermost straight lines."""
    at = np.asarray(at, dtype=np.float64)
    right = np.clip(np.searchsorted(x, at), 1, len(x) - 1)
    weight = (at - x[right - 1]) / (x[right] - x[right - 1])
    return (y[right - 1] + weight * (y[right] - y[right - 1]))[()]  # a flat line stays flat, however far it is continued
