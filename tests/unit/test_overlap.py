from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.overlap import BucketOverlap, HiddenOverlap, MaxOverlap, PowerOverlap, SumOverlap

GAMMA, DELTA = np.array([3.0, 4.0, 1.0]), np.array([4.0, 3.0, 0.0])


def test_sum_and_max_by_hand() -> None:
    assert SumOverlap().joined_time_s(GAMMA, DELTA).tolist() == [7.0, 7.0, 1.0]
    assert MaxOverlap().joined_time_s(GAMMA, DELTA).tolist() == [4.0, 4.0, 1.0]


def test_power_two_is_the_hypotenuse() -> None:
    assert PowerOverlap(exponent=2).joined_time_s(GAMMA, DELTA).tolist() == [5.0, 5.0, 1.0]


def test_power_runs_from_the_sum_to_the_maximum() -> None:
    np.testing.assert_array_equal(PowerOverlap(exponent=1).joined_time_s(GAMMA, DELTA), GAMMA + DELTA)
    np.testing.assert_array_equal(PowerOverlap(exponent=math.inf).joined_time_s(GAMMA, DELTA), [4.0, 4.0, 1.0])
    exponents = (1.0, 1.5, 2.0, 3.0, 40.0, math.inf)
    times = [PowerOverlap(exponent=q).joined_time_s(GAMMA, DELTA) for q in exponents]
    assert (np.diff(times, axis=0) <= 0).all()


def test_power_three_by_hand() -> None:
    # (27 + 64)^(1/3)
    assert PowerOverlap(exponent=3).joined_time_s(np.array(3.0), np.array(4.0)) == pytest.approx(91 ** (1 / 3), rel=1e-15)


def test_power_neither_overflows_nor_divides_by_zero() -> None:
    huge = PowerOverlap(exponent=3).joined_time_s(np.array([1e300, 0.0, 1e-300]), np.array([1e300, 0.0, 0.0]))
    np.testing.assert_allclose(huge, [2 ** (1 / 3) * 1e300, 0.0, 1e-300], rtol=1e-15)


@pytest.mark.parametrize("exponent", [0.5, 0.0, -1.0, math.nan])
def test_power_refuses_an_exponent_below_one(exponent: float) -> None:
    with pytest.raises(ValueError, match=rf"^exponent must be >= 1, got {exponent:g}$"):
        PowerOverlap(exponent=exponent)


def test_hidden_fraction_by_hand() -> None:
    # 3 + 4 - min(0.5 * 4, 3) = 5; no more is hidden than there is computing: 1 + 8 - min(4, 1) = 8
    assert HiddenOverlap(fraction=0.5).joined_time_s(np.array([3.0, 1.0]), np.array([4.0, 8.0])).tolist() == [5.0, 8.0]


def test_hidden_fraction_runs_from_the_sum_to_the_maximum() -> None:
    np.testing.assert_array_equal(HiddenOverlap(fraction=0).joined_time_s(GAMMA, DELTA), GAMMA + DELTA)
    np.testing.assert_array_equal(HiddenOverlap(fraction=1).joined_time_s(GAMMA, DELTA), np.maximum(GAMMA, DELTA))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_hidden_fraction_is_a_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match=rf"^fraction must be from 0 to 1, got {fraction:g}$"):
        HiddenOverlap(fraction=fraction)


def test_buckets_by_hand() -> None:
    # ten buckets, b = 1/2: the first is ready at 0.55 s and the last of ten reductions of 0.02 s ends 0.02 s after 1 s
    law = BucketOverlap(buckets=10, backward_fraction=0.5)
    assert law.joined_time_s(np.array(1.0), np.array(0.2)) == pytest.approx(1.02, rel=1e-15)
    # a slow network starts at 0.55 s and never waits again
    assert law.joined_time_s(np.array(1.0), np.array(5.0)) == pytest.approx(5.55, rel=1e-15)


def test_one_bucket_is_the_sum() -> None:
    np.testing.assert_allclose(BucketOverlap(buckets=1).joined_time_s(GAMMA, DELTA), GAMMA + DELTA, rtol=1e-15)


def test_buckets_name_their_fault() -> None:
    with pytest.raises(ValueError, match=r"^buckets must be a whole number >= 1, got 0$"):
        BucketOverlap(buckets=0)
    with pytest.raises(ValueError, match=r"^buckets must be a whole number >= 1, got 2.5$"):
        BucketOverlap(buckets=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^backward_fraction must be from 0 to 1, got 2$"):
        BucketOverlap(buckets=2, backward_fraction=2)
