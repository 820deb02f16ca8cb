from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cli.words import BOUND_WORDS, number, percent, seconds

FACTORS = {
    "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0, "years": 365.25 * 86400.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (3.4e-5, "34.0 us"),
        (0.0341, "34.1 ms"),
        (1.0, "1.00 s"),
        (100.0, "100 s"),
        (119.0, "119 s"),
        (275.4, "4.59 min"),
        (7199.0, "120 min"),
        (18216.8, "5.06 h"),
        (3e6, "34.7 days"),
        (1e9, "31.7 years"),
    ],
)
def test_a_time_is_in_the_unit_a_person_would_use(value: float, text: str) -> None:
    assert seconds(value) == text


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_a_time_keeps_three_digits(value: float) -> None:
    digits, unit = seconds(value).split(" ")
    assert float(digits) * FACTORS[unit] == pytest.approx(value, rel=5.1e-3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(6272.0, "6,272"), (45490.4, "45,490"), (0.88, "0.88"), (None, "-"), (0, "0"), (-1000.0, "-1,000"), (1e15, "1e+15")],
)
def test_a_number_has_separators_or_four_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.71, "71 %"), (0.004, "0.4 %"), (0.0, "0 %"), (1.0, "100 %"), (1e-5, "< 0.1 %")])
def test_a_fraction_is_a_percentage(value: float, text: str) -> None:
    assert percent(value) == text


def test_every_bound_has_words() -> None:
    assert set(BOUND_WORDS) == {
        "knee", "one_sample_per_learner", "memory", "data_set", "largest_measured", "law_end", "min_batch", "max_batch",
        "learners",
    }  # fmt: skip
