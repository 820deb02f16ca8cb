"""Times to train of larger systems: what is read, what is left out, what may be known, and what is predicted."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.cluster_time import fit_cluster_times
from simulator.errors import ScenarioError
from simulator.validation.rows import Validation
from simulator.validation.time_to_converge import (
    RESULTS,
    RULES,
    TIMES_TO_TRAIN,
    admissible_runs,
    read_laws,
    read_times_to_train,
    validate_time_to_converge,
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
    return validate_time_to_converge(written(folder / "small.csv", small))


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
    assert {(case.series, case.about["learners"]) for case in found.predictions} == expected
    assert all(max(case.about["learners_fitted"]) < case.about["learners"] for case in found.predictions)


def test_rows_of_a_series_share_its_weight(found: Validation) -> None:
    for name in {case.series for case in found.predictions}:
        mine = [case.weight for case in found.predictions if case.series == name and case.quantity == found.primary]
        assert sum(mine) == pytest.approx(1.0, rel=1e-12)


def test_nothing_of_a_predicted_row_enters_its_prediction(small: list[Row], folder: Path) -> None:
    """Other minutes, steps, epochs, evaluation times of the largest systems of a benchmark leave every prediction as it was."""
    rows = [row for row in small if row["benchmark"] == "bert"]
    most = max(int(row["n_accelerators"]) for row in rows)
    others = ("run_minutes_mean", "steps_mean", "epochs_mean", "eval_minutes_mean")
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
    assert {run.workload for run in known} >= {"bert", "resnet"}
    larger = [row for row in systems if row.benchmark == "bert" and row.learners >= 64]
    others = [replace(row, minutes=9.0, updates=9.0, epochs=9.0) if row in larger else row for row in systems]
    assert admissible_runs(others, laws, benchmark="bert", below_learners=64) == known


def test_shipped_results_help_a_table_of_ones_own_by_the_same_rule(small: list[Row], folder: Path) -> None:
    """One series alone in a table is predicted as from everything that ships: the same rows are known."""
    mine = [row for row in small if (row["version"], row["submitter"], row["benchmark"]) == ("v2.1", "HPE", "bert")]
    found = validate_time_to_converge(written(folder / "mine.csv", mine))
    everything, _ = read_times_to_train(TIMES_TO_TRAIN)
    laws = read_laws(RULES)
    fit = fit_cluster_times(admissible_runs(everything, laws, benchmark="bert", below_learners=128))
    (case,) = (case for case in found.predictions if case.quantity == found.primary)
    (row,) = (one for one in everything if one.series == case.series and one.learners == 128)
    law = laws.of(row)
    assert law is not None
    (at,) = law.predict(row.batch_samples)
    low, high = at.mean_interval90
    expected = fit.series(row.series).predict(
        accelerator=row.accelerator,
        learners=128,
        nodes=row.nodes,
        batch_samples=row.batch_samples,
        law_updates=at.updates,
        law_sd=np.log(high / low) / 3.2897072539029444,
    )
    assert case.predicted == pytest.approx(expected.time_s / 60.0, rel=1e-9)


def test_a_prediction_is_the_same_in_any_order_of_the_table(found: Validation, small: list[Row], folder: Path) -> None:
    again = validate_time_to_converge(written(folder / "reversed.csv", small[::-1]))
    assert answers(again) == answers(found)


def test_rows_that_are_no_answer_are_left_out_and_counted(small: list[Row], folder: Path) -> None:
    """The next valid size is predicted instead."""
    largest = {"version": "v2.1", "submitter": "HPE", "benchmark": "bert"}

    def broken(change: Row) -> list[Row]:
        mine = [row for row in small if all(row[key] == value for key, value in largest.items())]
        most = max(int(row["n_accelerators"]) for row in mine)
        return [{**row, **change} if row in mine and int(row["n_accelerators"]) == most else row for row in small]

    for change, reason in (
        ({"n_success": "0", "run_minutes_mean": ""}, "no run succeeded (row)"),
        ({"n_accelerators": "0"}, "no accelerators (row)"),
        ({"n_accelerators": "100000"}, "more accelerators than samples in a mini-batch (row)"),
    ):
        found = validate_time_to_converge(written(folder / "broken.csv", broken(change)))
        assert found.skipped[reason] >= 1
        sizes = {case.about["learners"] for case in found.predictions if case.series == "v2.1/HPE/A100/bert"}
        assert sizes == {64}


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
    naive = [case for case in found.predictions if case.quantity == "naive"]
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
