"""validate gamma: the table, what is left out of a prediction, and how cases are counted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simulator.calibration.utilisation import chip
from simulator.errors import ScenarioError, UnverifiedWarning
from simulator.messages import TableFaults
from simulator.profiles import load_profile, peak_flop_per_s
from simulator.validation.gamma import (
    COLUMNS,
    MEDIAN_TOLERANCE,
    SHIPPED,
    Measured,
    model_of,
    read_measured,
    validate_gamma,
)  # fmt: skip
from tests.support import assert_shipped, written

HEADER = (
    "workload,accelerator,precision,train_flop_per_sample,gamma_s_per_sample,local_samples_min,local_samples_max,verified\n"
)


def peak(accelerator: str, precision: str) -> float:
    return peak_flop_per_s(load_profile("accelerators", accelerator)[0], precision)[0]


def fake_peak(accelerator: str, precision: str) -> float:
    if accelerator == "none":
        raise TableFaults([("accelerator", "must be one, got 'none'")])
    return 1e14


def row(workload: str, accelerator: str, utilisation: float, precision: str = "bf16", *, verified: bool = True) -> Measured:
    return Measured(
        workload=workload, accelerator=accelerator, precision=precision, train_flop_per_sample=1e9,
        gamma_s_per_sample=1e9 / (1e14 * utilisation), peak_flop_per_s=1e14, verified=verified,
    )  # fmt: skip


ROWS = [row(w, a, u) for w, a, u in (
    ("r", "a-16", 0.2), ("r", "b", 0.25), ("s", "a-16", 0.4), ("s", "b", 0.5), ("t", "b", 0.6), ("u", "c", 0.3),
)]  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> list[Measured]:
    return read_measured(SHIPPED, peak)


def test_the_shipped_table_has_every_column_and_row(shipped: list[Measured]) -> None:
    header = SHIPPED.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert set(COLUMNS) <= set(header)
    assert len(shipped) == 154
    # ResNet-50 on P100: 24.534e9 * 3.858/4.089 / (10.61e12 * 4.004 ms) = 0.545
    p100 = [r.utilisation for r in shipped if (r.workload, r.accelerator) == ("resnet50", "p100-sxm-16")]
    assert p100 == pytest.approx([0.545, 0.547], abs=0.002)


def test_the_rows_of_a_pair_are_not_in_its_own_prediction(shipped: list[Measured]) -> None:
    target = ("resnet50", "a100-sxm")
    found = {c.case: c for c in validate_gamma(shipped).predictions if c.quantity == "gamma_s_per_sample"}
    case = found["resnet50 on a100-sxm-80, bf16"]
    spoilt = [
        Measured(
            workload=r.workload, accelerator=r.accelerator, precision=r.precision,
            train_flop_per_sample=r.train_flop_per_sample, peak_flop_per_s=r.peak_flop_per_s,
            gamma_s_per_sample=r.gamma_s_per_sample * (3.0 + 0.1 * i if (r.workload, chip(r.accelerator)) == target else 1.0),
        )
        for i, r in enumerate(shipped)
    ]  # fmt: skip
    again = next(c for c in validate_gamma(spoilt).predictions if (c.case, c.quantity) == (case.case, "gamma_s_per_sample"))
    assert again.actual > 2 * case.actual
    assert again.predicted == pytest.approx(case.predicted, rel=1e-4)
    assert again.hi90 == pytest.approx(case.hi90, rel=1e-3)
    rest = [r for r in shipped if (r.workload, chip(r.accelerator)) != target]
    estimate = model_of(rest).estimate("resnet50", "a100-sxm-80", "bf16")
    assert case.predicted == pytest.approx(24.534e9 / (312e12 * estimate.utilisation), rel=1e-4)
    assert case.lo90 == pytest.approx(24.534e9 / (312e12 * estimate.high), rel=1e-3)


def test_siblings_in_memory_are_left_out_with_a_pair() -> None:
    rows = [*ROWS, row("r", "a-32", 0.21)]
    validation = validate_gamma(rows)
    cases = [c for c in validation.predictions if c.quantity == "gamma_s_per_sample"]
    (small,) = (c for c in cases if c.case == "r on a-16, bf16")
    (large,) = (c for c in cases if c.case == "r on a-32, bf16")
    assert small.predicted == large.predicted
    assert small.series == large.series == "r on a"


def test_groups_say_what_a_prediction_rests_on() -> None:
    found = {(c.case, c.quantity): c.group for c in validate_gamma(ROWS).predictions}
    plain = {case.split(",")[0]: group for (case, quantity), group in found.items() if quantity == "gamma_s_per_sample"}
    assert plain == {
        "r on a-16": "workload_known", "r on b": "workload_known", "s on a-16": "workload_known", "s on b": "workload_known",
        "t on b": "accelerator_known", "u on c": "neither",
    }  # fmt: skip
    assert found["r on b, bf16", "accelerator_left_out"] == "workload_known"
    assert found["r on b, bf16", "workload_left_out"] == "accelerator_known"
    assert ("r on b, bf16", "both_left_out") not in found  # only u on c would remain
    assert found["u on c, bf16", "both_left_out"] == "neither"
    assert found["t on b, bf16", "accelerator_left_out"] == "neither"


def test_the_rival_is_the_geometric_mean_of_all_others() -> None:
    (case,) = (c for c in validate_gamma(ROWS).predictions if (c.case, c.quantity) == ("u on c, bf16", "one_utilisation"))
    mean = (0.2 * 0.25 * 0.4 * 0.5 * 0.6) ** 0.2
    assert case.predicted == pytest.approx(1e9 / (1e14 * mean))
    # Student, 4 degrees of freedom, 95 %: 2.1318; sd of the five logs times sqrt(1 + 1/5)
    logs = [math.log(u) for u in (0.2, 0.25, 0.4, 0.5, 0.6)]
    sd = math.sqrt(sum((x - sum(logs) / 5) ** 2 for x in logs) / 4)
    assert case.hi90 == pytest.approx(case.predicted * math.exp(2.13185 * sd * math.sqrt(1.2)), rel=1e-4)


def test_variants_and_repeated_figures_count_once() -> None:
    plain = validate_gamma(ROWS)
    assert plain.skipped == {"too few other pairs, both_left_out": 2}  # of r and s on b only u on c remains
    more = validate_gamma([*ROWS, row("r", "b", 0.25), row("r", "b", 0.36)])
    assert more.skipped == {"the same figure again": 1, "another variant, in the mean of its pair": 1, **plain.skipped}
    (case,) = (c for c in more.predictions if (c.case, c.quantity) == ("r on b, bf16", "gamma_s_per_sample"))
    assert case.actual == pytest.approx(1e-5 / math.sqrt(0.25 * 0.36))
    assert len(more.predictions) == len(plain.predictions)


def test_rows_to_predict_are_predicted_from_the_others_given() -> None:
    alone = validate_gamma(ROWS[:1], ROWS)
    (case,) = (c for c in alone.predictions if c.quantity == "gamma_s_per_sample")
    (among,) = (c for c in validate_gamma(ROWS).predictions if (c.case, c.quantity) == (case.case, "gamma_s_per_sample"))
    assert case.predicted == pytest.approx(among.predicted, rel=1e-9)


def test_what_cannot_be_predicted_is_counted() -> None:
    assert validate_gamma([*ROWS, row("r", "b", 0.9, "fp32")]).skipped["no other pair at this precision"] == 1
    few = validate_gamma(ROWS[:3])
    assert few.skipped["too few other pairs"] == 3
    assert few.predictions == ()


def test_unchecked_rows_are_warned_about() -> None:
    with pytest.warns(UnverifiedWarning, match="1 of the 7 measured rows rest on figures that nobody checked"):
        validate_gamma([*ROWS, row("v", "c", 0.3, verified=False)])


def test_more_cells_than_time_allows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"different \(workload, chip, precision\).* must be at most 300, got 301"):
        validate_gamma([row(f"w{i}", "a", 0.3) for i in range(301)])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("r,none,bf16,1e9,1e-3,,,yes", "line 2, accelerator: must be one, got 'none'"),
        ("r,a,fp8,1e9,1e-3,,,yes", "line 2, precision: must be one of fp32, tf32, bf16, got 'fp8'"),
        ("r,a,bf16,1e9,1e-3,8,4,yes", "line 2, local_samples_min: must be <= local_samples_max, 4, got 8"),
        ("r,a,bf16,1e9,0,,,yes", "line 2, gamma_s_per_sample: must be a number > 0, got '0'"),
        # 1e9 / (4 * 1e14) = 2.5e-6
        ("r,a,bf16,1e9,2e-6,,,",
         "line 2, gamma_s_per_sample: must be >= 2.5e-06, a quarter of the time at the peak, got 2e-06"),
        ("r,a,bf16,1e9,1e-3,,,maybe", "line 2, verified: must be yes or no, got 'maybe'"),
        (",a,bf16,1e9,1e-3,,,", "line 2, workload: must not be empty"),
    ],
)  # fmt: skip
def test_a_fault_is_said_with_line_and_column(tmp_path: Path, line: str, fault: str) -> None:
    path = written(tmp_path, f"{HEADER}{line}\nr,a,bf16,1e9,1e-3,4,8,yes\n", "g.csv")
    with pytest.raises(ScenarioError) as caught:
        read_measured(path, fake_peak, name="g.csv")
    assert str(caught.value) == f"g.csv: {fault}"


def test_the_columns_of_sources_may_be_missing(tmp_path: Path) -> None:
    text = "workload,accelerator,precision,train_flop_per_sample,gamma_s_per_sample\nr,a,bf16,1e9,1e-4\n"
    (found,) = read_measured(written(tmp_path, text, "g.csv"), fake_peak)
    assert found.utilisation == pytest.approx(0.1)
    assert found.verified


def test_the_tolerance_is_that_of_guessing() -> None:
    # half the width, in logs, of the published range on either side of its middle: README of the scenario's utilisation
    assert pytest.approx((0.58 / 0.16) ** 0.25 - 1, abs=0.005) == MEDIAN_TOLERANCE


def test_the_errors_that_reports_show_are_these(shipped: list[Measured]) -> None:
    assert_shipped("gamma", validate_gamma(shipped))
