"""Tables of measured updates: rows joined to series, runs that did not finish counted as longer than they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.censoring import CensoredRuns
from simulator.calibration.measurements import MeasuredUpdates, chosen, read_batch_samples, read_updates, updates_series
from simulator.errors import FitError, ScenarioError


def row(M: float, N: float, std: float | None = None, runs: int | None = None) -> MeasuredUpdates:
    return MeasuredUpdates(batch_samples=M, updates=N, updates_std=std, runs=runs)


def table(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_sorted_and_runs_of_one_batch_size_are_joined() -> None:
    series = updates_series("s", [row(64, 200.0), row(32, 300.0), row(64, 220.0)])
    assert series.batch_samples == (32.0, 64.0)
    assert series.updates == (300.0, 210.0)
    assert series.runs == (1, 2)
    # 200 and 220 around 210: variance 2*100/1, relative sd sqrt(200)/210, one degree of freedom, pooled over one batch size
    assert series.run_to_run_relative == pytest.approx(np.sqrt(200.0) / 210.0)


def test_means_of_several_rows_are_weighted_by_their_runs() -> None:
    assert updates_series("s", [row(1, 100, runs=3), row(1, 200, runs=1), row(2, 50)]).updates[0] == 125.0


def test_the_spread_of_runs_is_pooled_by_degrees_of_freedom() -> None:
    series = updates_series("s", [row(1, 100, std=10, runs=5), row(2, 50, std=2.5, runs=9)])
    pooled = np.sqrt((4 * 0.1**2 + 8 * 0.05**2) / 12)
    assert series.run_to_run_relative == pytest.approx(pooled)
    # each mean's error: its own variance and the pooled one (worth four degrees of freedom), over the runs
    assert series.relative_errors[0] == pytest.approx(np.sqrt((4 * 0.1**2 + 4 * pooled**2) / 8 / 5))


def test_a_deviation_of_zero_is_not_precision() -> None:
    series = updates_series("s", [row(1, 100, std=0.0, runs=10), row(2, 50, std=5, runs=10)])
    assert series.relative_errors[0] > 0.01


def test_a_deviation_without_runs_is_the_error_of_its_row() -> None:
    series = updates_series("s", [row(1, 100, std=10), row(2, 50, std=5)])
    assert series.relative_errors == pytest.approx((0.1, 0.1))


def test_nothing_is_claimed_where_nothing_is_known_of_the_runs() -> None:
    series = updates_series("s", [row(1, 100), row(2, 50)])
    assert series.run_to_run_relative is None
    assert series.relative_errors == (0.0, 0.0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [row(64, 200.0)],
            "s: must have at least two batch sizes to fit a law of the .* got one, 64, measured 1 times",
        ),
        ([row(64, 2.0)] * 5, "got one, 64, measured 5 times"),
        ([], "got none"),
    ],
)
def test_a_law_of_the_batch_size_needs_two(rows: list[MeasuredUpdates], message: str) -> None:
    with pytest.raises(FitError, match=message):
        updates_series("s", rows)


def test_a_table_is_parted_into_its_series(tmp_path: Path) -> None:
    path = table(tmp_path, "series,batch_samples,updates\na,1,100\nb,2,50\na,2,60\nb,4,30\n")
    found = read_updates(path)
    assert [one.name for one in found] == ["a", "b"]
    assert chosen(found, "b")[0].updates == (50.0, 30.0)
    with pytest.raises(FitError, match="no series is named 'aa'; did you mean 'a'"):
        chosen(found, "aa")


def test_without_series_the_table_is_one_named_after_its_file(tmp_path: Path) -> None:
    assert [one.name for one in read_updates(table(tmp_path, "batch_samples,updates\n1,100\n2,60\n"))] == ["mine"]


def test_every_short_series_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "series,batch_samples,updates\na,1,100\nb,2,50\nc,2,60\nc,4,30\n")
    with pytest.raises(FitError) as caught:
        read_updates(path)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("outcome", "diverged"),
        ("status", "Censored"),
        ("finished", "no"),
        ("converged", "0"),
        ("censored", "yes"),
        ("diverged", "true"),
    ],
)
def test_runs_that_did_not_reach_the_target_count_as_longer_than_they_were(tmp_path: Path, header: str, cell: str) -> None:
    good = {"outcome": "finished", "status": "ok", "finished": "yes", "converged": "1", "censored": "no", "diverged": "false"}[
        header
    ]
    path = table(
        tmp_path, f"batch_samples,updates,{header}\n1,100,{good}\n2,60,{cell}\n4,40,{good}\n8,30,{good}\n8,50,{cell}\n"
    )
    (series,) = read_updates(path)
    assert series.batch_samples == (1.0, 4.0, 8.0)
    assert series.unreached == (CensoredRuns(batch_samples=2.0, at_least_updates=60.0, runs=1),)
    assert (series.runs, series.censored_runs) == ((1, 1, 1), (0, 0, 1))
    assert series.updates[2] > 30.0  # one run of 30, and one that took more than 50


def test_an_outcome_that_says_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="line 3, outcome: must be finished, censored or diverged, got 'maybe'"):
        read_updates(table(tmp_path, "batch_samples,updates,outcome\n1,100,ok\n2,60,maybe\n"))


def test_batch_sizes_that_no_run_finished_at_are_not_enough_for_a_law(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="got one, 1, measured 1 times; at 2 others no run reached the target"):
        read_updates(table(tmp_path, "batch_samples,updates,censored\n1,100,no\n2,60,yes\n4,60,yes\n"))


@pytest.mark.parametrize("cell", ["-5", "0", "0.5", "nan", "inf", "diverged", ""])
def test_updates_must_be_positive_numbers(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ScenarioError, match=r"line 2, updates: must (be a number >= 1|not be empty)"):
        read_updates(table(tmp_path, f"batch_samples,updates\n1,{cell}\n2,60\n"))


def test_batch_sizes_to_predict_are_read_from_a_table(tmp_path: Path) -> None:
    assert read_batch_samples(table(tmp_path, "name,batch_samples\nx,16\ny,32\n")) == (16.0, 32.0)


def test_a_misspelt_outcome_column_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"mine\.csv: diverge: unknown column; did you mean 'diverged'\?"):
        read_updates(table(tmp_path, "batch_samples,updates,diverge\n1,100,no\n2,60,yes\n"))


def test_a_status_says_whether_runs_ended(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="line 3, status: must be finished, censored or diverged, got 'Lost'"):
        read_updates(table(tmp_path, "batch_samples,updates,status\n1,100,ok\n2,60,Lost\n"))
