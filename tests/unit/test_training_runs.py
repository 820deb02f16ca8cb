"""Runs stacked in the order that does not depend on the order of the table; faults."""

from __future__ import annotations

import random
from typing import Any

import pytest

from simulator.calibration.cluster_time import fit_cluster_times
from simulator.calibration.training_runs import StackedRuns, TrainingRun
from simulator.errors import FitError


def run(series: str = "s", learners: int = 8, **changed: Any) -> TrainingRun:
    usual: dict[str, Any] = {
        "workload": "w", "family": "f", "owner": "o", "accelerator": "a", "nodes": 1, "batch_samples": 64.0, "updates": 1000.0,
        "time_s": 100.0, "pass_samples": 1000.0,
    }  # fmt: skip
    return TrainingRun(series=series, learners=learners, **(usual | changed))


RUNS = [
    run("t", 8, accelerator="b"), run("s", 16), run("s", 8, evaluation_s=5.0), run("s", 8, accelerator="b"),
    run("t", 4, accelerator="b", evaluation_s=2.0),
]  # fmt: skip


def test_rows_of_a_series_and_of_an_accelerator_lie_together_evaluations_last() -> None:
    rows = StackedRuns.of(RUNS)
    assert rows.series == ("s", "t")
    assert rows.series_of.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert rows.first_of_series.tolist() == [0, 4]
    assert rows.evaluation.tolist() == [False, False, False, True, False, False, True]
    assert rows.column("learners").tolist() == [8, 16, 8, 8, 4, 8, 4]
    assert rows.first_of_block.tolist() == [0, 2, 3, 4, 6]
    assert rows.evaluated.tolist() == [1.0, 1.0]


def test_the_order_of_the_table_does_not_matter() -> None:
    shuffled = random.Random(3).sample(RUNS, len(RUNS))
    assert StackedRuns.of(shuffled).runs == StackedRuns.of(RUNS).runs
    one, other = (fit_cluster_times(runs).population.modes for runs in (RUNS, shuffled))
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_samples": 4.0}, r"batch_samples must be >= learners, 8, got 4"),
        ({"time_s": 0.0}, r"time_s must be finite and > 0, got 0"),
        ({"updates": float("nan")}, r"updates must be finite and > 0, got nan"),
    ],
)
def test_impossible_runs_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(**changed)


def test_no_runs_are_refused() -> None:
    with pytest.raises(FitError, match="must have at least one run to fit times to train"):
        fit_cluster_times([])


def test_an_unknown_series_names_the_nearest() -> None:
    with pytest.raises(FitError, match="no series is named 'tt'; did you mean 't'"):
        fit_cluster_times([run("t"), run("somewhere else")]).series("tt")


def test_impossible_systems_are_refused() -> None:
    series = fit_cluster_times(RUNS).series("s")
    usual: dict[str, Any] = {"accelerator": "a", "nodes": 1, "law_updates": 100.0, "law_sd": 0.1}
    with pytest.raises(ValueError, match="batch_samples must be >= learners, 16, got 8"):
        series.predict(learners=16, batch_samples=8.0, **usual)
    with pytest.raises(ValueError, match="learners must be finite and > 0, got 0"):
        series.predict(learners=0, batch_samples=8.0, **usual)
