"""Times to train of larger systems: what is read, what is left out, what may be known, and what is predicted."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.validation.rows import Validation, summary
from simulator.validation.time_to_converge import NOT_LARGEST, admissible_runs, validate_time_to_converge
from simulator.validation.time_to_converge_tables import (
    RESULTS,
    RULES,
    TIMES_TO_TRAIN,
    read_laws,
    read_times_to_train,
)

Row = dict[str, str]
KEPT = ("HPE", "Dell")
"""Submitters of the small table that most tests predict: three series of 2.1 and what 2.0 has of them."""


def rows_of(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(path: Path, rows: list[Row]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def small() -> list[Row]:
    return [
        {name: row[name] for name in RESULTS}
        for row in rows_of(TIMES_TO_TRAIN)
        if row["version"] in ("v2.0", "v2.1") and row["submitter"] in KEPT
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def found(small: list[Row], folder: Path) -> Validation:
    return validate_time_to_converge(written(folder / "small.csv", small), every_size=True)


def answers(validation: Validation) -> dict[tuple[str, str], tuple[float, float | None, float | None]]:
    return {(case.case, case.quantity): (case.predicted, case.lo90, case.hi90) for case in validation.predictions}


def test_the_largest_system_of_every_series_is_predicted(found: Validation, small: list[Row]) -> None:
    """By hand from the table: which series have three numbers of accelerators, and which is the largest."""
    expected = set()
    for key in {(row["version"], row["submitter"], row["accel_family"], row["benchmark"]) for row in small}:
        mine = [row for row in small if (row["version"], row["submitter"], row["accel_family"], row["benchmark"]) == key]
        valid = [row for row in mine if 0 < int(row["n_accelerators"]) <= float(row["global_batch_size"])]
        sizes = sorted({int(row["n_accelerators"]) for row in valid if row["run_minutes_mean"]})
        if len(sizes) >= 3:
            expected.add(("/".join(key), sizes[-1]))
    largest = [case for case in found.predictions if case.group != NOT_LARGEST]
    assert {(case.series, case.about["learners"]) for case in largest} == expected
    assert all(max(case.about["learners_fitted"]) < case.about["learners"] for case in found.predictions)


def test_rows_of_a_series_share_its_weight(found: Validation) -> None:
    first = [case for case in found.predictions if case.quantity == found.primary]
    for size in {(case.series, case.about["learners"]) for case in first}:
        mine = [case.weight for case in first if (case.series, case.about["learners"]) == size]
        assert sum(mine) == pytest.approx(1.0, rel=1e-12)


def test_nothing_of_a_predicted_row_enters_its_prediction(small: list[Row], folder: Path) -> None:
    """Other minutes, steps, epochs, evaluation times of the largest systems of a benchmark leave every prediction as it was."""
    rows = [row for row in small if row["benchmark"] == "bert"]
    most = max(int(row["n_accelerators"]) for row in rows)
    others = ("run_minutes_mean", "steps_mean", "eval_minutes_mean")
    changed = [
        {**row, **{key: str(float(row[key]) * 1.7) for key in others if row[key]}}
        if int(row["n_accelerators"]) == most
        else row
        for row in rows
    ]
    first = validate_time_to_converge(written(folder / "bert.csv", rows))
    again = validate_time_to_converge(written(folder / "changed.csv", changed))
    assert answers(again) == answers(first)
    assert [case.actual for case in again.predictions] != [case.actual for case in first.predictions]


def test_what_may_be_known_is_other_benchmarks_and_smaller_systems(small: list[Row], folder: Path) -> None:
    systems, _ = read_times_to_train(written(folder / "small.csv", small))
    laws = read_laws(RULES)
    known = admissible_runs(systems, laws, benchmark="bert", below_learners=64)
    assert {run.learners for run in known if run.workload == "bert"} == {
        row.learners for row in systems if row.benchmark == "bert" and row.learners < 64
    }
    assert {run.workload for run in known} >= {"bert", "resnet on 1281167 samples"}
    larger = [row for row in systems if row.benchmark == "bert" and row.learners >= 64]
    others = [replace(row, minutes=9.0, updates=9.0) if row in larger else row for row in systems]
    assert admissible_runs(others, laws, benchmark="bert", below_learners=64) == known


def test_other_sizes_are_predicted_only_when_asked(found: Validation, small: list[Row], folder: Path) -> None:
    largest = validate_time_to_converge(folder / "small.csv")
    assert any(case.group == NOT_LARGEST for case in found.predictions)
    assert [case for case in found.predictions if case.group != NOT_LARGEST] == list(largest.predictions)


def test_a_prediction_is_the_same_in_any_order_of_the_table(found: Validation, small: list[Row], folder: Path) -> None:
    again = validate_time_to_converge(written(folder / "reversed.csv", small[::-1]), every_size=True)
    assert answers(again) == answers(found)


def test_rows_that_are_no_answer_are_left_out_and_counted(small: list[Row], folder: Path) -> None:
    """The next valid size is predicted instead."""
    mine = [row for row in small if (row["version"], row["submitter"], row["benchmark"]) == ("v2.1", "HPE", "bert")]
    most = max(int(row["n_accelerators"]) for row in mine)
    for change, reason in (
        ({"n_success": "0", "run_minutes_mean": ""}, "no run succeeded (row)"),
        ({"n_accelerators": "0"}, "no accelerators (row)"),
        ({"n_accelerators": "100000"}, "more accelerators than samples in a mini-batch (row)"),
    ):
        found = validate_time_to_converge(
            written(folder / "broken.csv", [{**row, **change} if int(row["n_accelerators"]) == most else row for row in mine])
        )
        assert found.skipped[reason] >= 1
        assert {case.about["learners"] for case in found.predictions if case.group == "bert"} == {64}


def test_a_benchmark_without_reference_points_is_counted(small: list[Row], folder: Path) -> None:
    other = [{**row, "benchmark": "chess"} if row["benchmark"] == "bert" else row for row in small]
    found = validate_time_to_converge(written(folder / "chess.csv", other))
    assert found.skipped["no law of updates for its benchmark, version and optimizer (row)"] >= 1
    assert not [case for case in found.predictions if case.group == "chess"]


def test_the_law_is_that_of_the_version_and_borrowed_before_1_0() -> None:
    systems, _ = read_times_to_train(TIMES_TO_TRAIN)
    laws = read_laws(RULES)
    first = {row.version: row for row in systems if row.benchmark == "resnet"}
    for version, name in (("v0.6", "1.0.0"), ("v0.7", "1.0.0"), ("v1.1", "1.1.0"), ("v2.1", "2.1.0")):
        law = laws.of(first[version])
        assert law is not None
        assert law.series.name.startswith(f"{name}/resnet")


def test_a_naive_fit_is_exact_where_its_law_is(folder: Path, small: list[Row]) -> None:
    """Minutes made by gamma m + constant + c log2 P and the table's steps: the rival returns them for the law's updates."""
    made = []
    for row in small:
        P, M = int(row["n_accelerators"]), float(row["global_batch_size"])
        if P == 0 or not row["steps_mean"]:
            continue
        step_s = 1e-3 * M / P + 0.02 + 0.003 * np.log2(P)
        made.append({**row, "run_minutes_mean": str(step_s * float(row["steps_mean"]) / 60.0)})
    systems, _ = read_times_to_train(written(folder / "made.csv", made))
    laws = read_laws(RULES)
    found = validate_time_to_converge(folder / "made.csv")
    naive = [case for case in found.predictions if case.quantity == "naive" and len(case.about["learners_fitted"]) >= 3]
    assert naive
    for case in naive:
        P, M = case.about["learners"], case.about["batch_samples"]
        system = next(one for one in systems if one.series == case.series and one.learners == P and one.batch_samples == M)
        law = laws.of(system)
        assert law is not None
        step_s = 1e-3 * M / P + 0.02 + 0.003 * np.log2(P)
        assert case.predicted == pytest.approx(law.predict(M)[0].updates * step_s / 60.0, rel=1e-6)


def test_every_fault_of_the_table_is_said(small: list[Row], folder: Path) -> None:
    bad = [dict(row) for row in small[:3]]
    bad[0]["n_accelerators"] = "-1"
    bad[2]["run_minutes_mean"] = "soon"
    with pytest.raises(ScenarioError) as caught:
        read_times_to_train(written(folder / "bad.csv", bad))
    text = str(caught.value)
    assert "line 2, n_accelerators: must be a whole number >= 0" in text
    assert "line 4, run_minutes_mean: must be a number" in text


@pytest.fixture(scope="module")
def shipped() -> Validation:
    return validate_time_to_converge(every_size=True)


def test_the_bars_hold_on_the_results_that_ship(shipped: Validation) -> None:
    """Of resnet, bert, ssd, maskrcnn from v1.0 on: median 6 %, nine of ten 22 %, the worst 60 %, signed 4 %, hi/lo 1.8."""
    named = ("resnet", "bert", "ssd", "maskrcnn")
    cases = [case for case in shipped.predictions if case.group in named and case.quantity == shipped.primary]
    found = summary(cases, [case.weight for case in cases])
    assert found["series"] == 39
    assert found["median_abs_error"] <= 0.06
    assert found["p90_abs_error"] <= 0.22
    assert max(abs(case.error) for case in cases) <= 0.60
    assert abs(found["median_signed_error"]) <= 0.04
    assert found["median_ratio90"] <= 1.8
    everything = shipped.summary()
    for one in (found, everything["all"], everything[NOT_LARGEST]):
        low, high = one["coverage90_binomial95"]
        assert low <= one["coverage90"] <= high


def test_the_naive_fit_is_worse_on_the_whole(shipped: Validation) -> None:
    found = shipped.summary()
    for group in ("all", NOT_LARGEST, "borrowed"):
        for key in ("median_abs_error", "mean_abs_error", "p90_abs_error"):
            assert found[group][key] < found[f"{group} (naive)"][key], (group, key)


def test_versions_and_families_are_summed_up_too(shipped: Validation) -> None:
    found = shipped.summary()
    versions = [found[f"all: {version}"]["cases"] for version in ("v1.0", "v1.1", "v2.0", "v2.1")]
    families = [found[f"all: {family}"]["cases"] for family in ("A100", "TPU-v4", "IPU", "Gaudi", "IPU-Bow")]
    assert sum(versions) == sum(families) == found["all"]["cases"]
    assert "all: v0.7" not in found


def test_results_that_ship_help_to_predict_others(shipped: Validation, small: list[Row], folder: Path) -> None:
    """The shipped rows of one submitter, given as a table: its own series count once, so that the answers are the same."""
    mine = [row for row in small if row["submitter"] == "HPE"]
    found = validate_time_to_converge(written(folder / "hpe.csv", mine), every_size=True)
    theirs = answers(shipped)
    assert len(answers(found)) >= 6
    assert {key: theirs[key] for key in answers(found)} == answers(found)


def test_benchmarks_are_told_apart_by_their_data_sets_not_by_name() -> None:
    """ssd was trained on 117,266 images up to v1.1, and on 1,170,301 from v2.0 on; bert names no size."""
    systems, _ = read_times_to_train(TIMES_TO_TRAIN)
    laws = read_laws(RULES)
    tasks = {(row.version, laws.task(row)) for row in systems if row.benchmark in ("ssd", "bert")}
    early, late = "ssd on 117266 samples", "ssd on 1170301 samples"
    assert {task for version, task in tasks if version in ("v0.6", "v0.7", "v1.0", "v1.1")} == {early, "bert"}
    assert {task for version, task in tasks if version in ("v2.0", "v2.1")} == {late, "bert"}


@cache
def alone() -> Validation:
    """Predict one series: 8 to 64 accelerators, and 128."""
    rows = [{name: row[name] for name in RESULTS} for row in rows_of(TIMES_TO_TRAIN)
            if (row["version"], row["submitter"], row["benchmark"]) == ("v2.1", "HPE", "bert")]  # fmt: skip
    with TemporaryDirectory() as folder:
        return validate_time_to_converge(written(Path(folder) / "alone.csv", rows))


@given(factor=st.floats(min_value=0.05, max_value=20.0), learners=st.integers(min_value=128, max_value=100_000))
@settings(max_examples=3, deadline=None)
def test_rows_of_the_benchmark_that_are_as_large_change_no_digit(factor: float, learners: int) -> None:
    """Another submitter's system of as many accelerators or more, however fast: the prediction for 128 stays as it is."""
    everything = rows_of(TIMES_TO_TRAIN)
    rows = [{name: row[name] for name in RESULTS} for row in everything
            if (row["version"], row["submitter"], row["benchmark"]) == ("v2.1", "HPE", "bert")]  # fmt: skip
    other = {**rows[-1], "submitter": "Another", "n_accelerators": str(learners), "global_batch_size": str(8 * learners)}
    minutes = {"run_minutes_mean": str(factor * float(rows[-1]["run_minutes_mean"])), "steps_mean": str(2000.0 * factor)}
    with TemporaryDirectory() as folder:
        found = validate_time_to_converge(written(Path(folder) / "mine.csv", [*rows, {**other, **minutes}]))

    def largest(validation: Validation) -> list[tuple[float, float | None, float | None, float]]:
        return [(case.predicted, case.lo90, case.hi90, case.about["batch_samples_chosen"])
                for case in validation.predictions if case.group == "bert"]  # fmt: skip

    assert largest(found) == largest(alone()) != []
