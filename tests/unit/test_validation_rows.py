"""What the rows of a validation sum up to."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.validation.rows import Prediction, Validation, binomial95, quantile, summary


def case(predicted: float, *, group: str = "g", quantity: str = "default", series: str = "s", part: str = "") -> Prediction:
    return Prediction(
        case=f"{group}/{predicted}", group=group, series=series, quantity=quantity, predicted=predicted, actual=100.0,
        lo90=predicted * 0.9, hi90=predicted * 1.1, part=part,
    )  # fmt: skip


def test_errors_are_signed_and_relative() -> None:
    assert case(110.0).error == pytest.approx(0.1)
    assert case(90.0).error == pytest.approx(-0.1)
    assert case(105.0).covered
    assert not case(150.0).covered


def test_a_summary_counts_cases_series_and_covered_intervals() -> None:
    found = summary([case(90.0, series="a"), case(100.0, series="a"), case(130.0, series="b")])
    assert (found["cases"], found["series"]) == (3, 2)
    assert found["median_abs_error"] == pytest.approx(0.1)
    assert found["mean_abs_error"] == pytest.approx(0.4 / 3)
    assert found["median_signed_error"] == pytest.approx(0.0)
    assert found["coverage90"] == pytest.approx(1 / 3)  # 81 to 99 and 117 to 143 miss 100
    assert found["median_ratio90"] == pytest.approx(1.1 / 0.9)


def test_weights_let_a_series_count_once() -> None:
    cases = [case(150.0, series="a"), case(150.0, series="a"), case(100.0, series="b")]
    assert summary(cases, [0.5, 0.5, 1.0])["mean_abs_error"] == pytest.approx(0.25)


def test_without_intervals_there_is_no_coverage() -> None:
    found = summary([Prediction(case="c", group="g", series="s", quantity="q", predicted=1, actual=1)])
    assert found["coverage90"] is None
    assert found["median_ratio90"] is None


def test_groups_are_summed_up_by_part_and_quantity_and_all_last() -> None:
    validation = Validation(
        kind="updates",
        predictions=(
            case(90.0, group="in", quantity="law"),
            case(90.0, group="out", quantity="law", part="x"),
            case(110.0, group="out", part="x"),
        ),
        skipped={},
        outside_all=("in",),
        primary="default",
    )
    assert {name: len(cases) for name, cases in validation.groups().items()} == {
        "out": 1,
        "out: x": 1,
        "in (law)": 1,
        "out (law)": 1,
        "out: x (law)": 1,
        "all (law)": 1,
        "all": 1,
    }


def test_slices_sum_up_parts_of_all_across_groups() -> None:
    def sliced(predicted: float, group: str, version: str, weight: float = 1.0) -> Prediction:
        return Prediction(
            case="c", group=group, series=group + version, quantity="default", predicted=predicted, actual=100.0,
            slices=(version, "A100"), weight=weight,
        )  # fmt: skip

    validation = Validation(
        kind="x",
        predictions=(
            sliced(110.0, "a", "v1", 0.5),
            sliced(130.0, "a", "v1", 0.5),
            sliced(100.0, "b", "v2"),
            sliced(300.0, "apart", "v1"),
        ),
        skipped={},
        outside_all=("apart",),
        primary="default",
    )  # fmt: skip
    found = validation.summary()
    assert list(found) == ["a", "b", "apart", "all", "all: v1", "all: v2", "all: A100"]
    assert found["all: v1"]["mean_abs_error"] == pytest.approx((0.1 + 0.3) / 2)
    assert found["all"]["mean_abs_error"] == pytest.approx((0.5 * 0.1 + 0.5 * 0.3 + 0.0) / 2)  # two rows of one half each
    assert found["all: A100"] == found["all"]


def test_the_binomial_range_holds_95_percent_of_draws() -> None:
    # brute force: the number of hits among 40 intervals that hold with probability 0.9
    low, high = binomial95(40)
    hits = np.random.default_rng(1).binomial(40, 0.9, size=200_000) / 40
    assert np.mean(hits < low) < 0.025
    assert np.mean(hits > high) < 0.025
    assert np.mean((hits >= low) & (hits <= high)) > 0.95


def test_equal_weights_give_the_usual_quantile() -> None:
    values = np.random.default_rng(2).normal(size=37)
    assert quantile(values, np.full(37, 0.2), 0.9) == np.quantile(values, 0.9)


def test_a_heavy_value_draws_the_quantile_to_itself() -> None:
    values, weights = np.array([1.0, 2.0, 3.0]), np.array([1.0, 100.0, 1.0])
    assert quantile(values, weights, 0.5) == pytest.approx(2.0)  # its middle lies at 51 of 102
    assert quantile(values, np.ones(3), 0.25) == pytest.approx(1.5)
