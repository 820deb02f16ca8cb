"""The updates law against every published series that ships: errors of points left out, and how often intervals hold.

The bars are those the project set itself before the figures were known (errors of the plain law stand beside them).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.measurements import ASSUMED_RUN_TO_RUN
from simulator.errors import ScenarioError
from simulator.validation.rows import Validation
from simulator.validation.updates import SHIPPED_TABLES, read_published, validate_updates
from tests.support import assert_shipped

RCP, STEPS = SHIPPED_TABLES


@pytest.fixture(scope="module")
def shipped() -> Validation:
    return validate_updates([read_published(path) for path in SHIPPED_TABLES])


def test_every_row_of_the_shipped_tables_is_used_or_counted(shipped: Validation) -> None:
    # distinct series by brute force over the raw files
    series: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    with RCP.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["updates_mean"]:
                series.setdefault((row["version"], row["benchmark"], row["optimizer"]), set()).add(
                    (row["batch_size"], row["updates_mean"])
                )
    distinct = {frozenset(points) for points in series.values()}
    in_sample = {case.series for case in shipped.predictions if case.part == "mlperf"}
    assert len(in_sample) == len(distinct)
    assert shipped.skipped["identical to an earlier series (series)"] == len(series) - len(distinct)
    points = sum(len(points) for points in distinct)
    assert (
        len([c for c in shipped.predictions if c.group == "in_sample" and c.part == "mlperf" and c.quantity == "law"]) == points
    )


def test_an_identical_series_is_named_by_its_earliest_version(shipped: Validation) -> None:
    names = {case.series for case in shipped.predictions}
    assert "4.0.0/ssd/adam" in names  # 4.1.0 and retinanet 5.0.0 repeat it
    assert not {name for name in names if name.startswith("5.0.0/retinanet")}


def test_reference_points_meet_the_bars(shipped: Validation) -> None:
    found = shipped.summary()
    interior, largest = found["interior: mlperf"], found["largest: mlperf"]
    assert interior["median_abs_error"] <= 0.035
    assert interior["p90_abs_error"] <= 0.095
    assert largest["median_abs_error"] <= 0.053
    assert largest["p90_abs_error"] <= 0.16
    assert interior["median_ratio90"] <= 1.35
    assert largest["median_ratio90"] <= 1.7
    assert found["interior: mlperf (law)"]["median_abs_error"] > interior["median_abs_error"]


def test_published_tables_meet_the_bars(shipped: Validation) -> None:
    found = shipped.summary()
    assert found["interior: published"]["median_abs_error"] <= 0.06
    assert found["largest: published"]["median_abs_error"] <= 0.095
    assert found["interior: published"]["median_ratio90"] <= 1.35
    assert found["largest: published"]["median_ratio90"] <= 1.7


@pytest.mark.parametrize("group", ["interior", "largest", "interior: mlperf", "largest: mlperf", "interior: published"])
def test_intervals_hold_as_often_as_they_say(shipped: Validation, group: str) -> None:
    found = shipped.summary()[group]
    for counted in ("coverage90_binomial95", "coverage90_binomial95_cases"):
        low, high = found[counted]
        assert low <= found["coverage90"] <= high, counted


def test_series_that_obey_the_law_by_construction_are_reported_apart(shipped: Validation) -> None:
    apart = [case for case in shipped.predictions if case.series.endswith("/progress")]
    assert apart
    assert all("by construction" in case.group for case in apart)
    assert all(group in shipped.outside_all for group in {case.group for case in apart})


def test_relative_steps_are_flagged_and_counted(shipped: Validation) -> None:
    flagged = {case.series for case in shipped.predictions if "[relative steps]" in case.case}
    assert len(flagged) == 9
    assert shipped.skipped["steps relative to one batch size: kept, but absolute updates unknown (series)"] == 9


def test_a_prediction_does_not_see_the_point_it_predicts(tmp_path: Path) -> None:
    """Move the largest point of a series by a factor 3: what is predicted there must not move."""

    def predicted(factor: float) -> float:
        path = tmp_path / f"{factor}.csv"
        rows = ["source,series,batch_size,steps,steps_kind"]
        rows += [f"x,s,{M},{1000 + 64000 / M if M < 512 else factor * 1125},absolute" for M in (16, 32, 64, 128, 512)]
        path.write_text("\n".join(rows), encoding="utf-8")
        (case,) = [
            case
            for case in validate_updates([read_published(path)]).predictions
            if case.group == "largest" and case.quantity == "default"
        ]
        return case.predicted

    assert predicted(3.0) == predicted(1.0)


def test_series_do_not_help_each_other(tmp_path: Path) -> None:
    """A second series of the same benchmark, far off, changes no prediction of the first."""
    rows = ["version,benchmark,optimizer,batch_size,n_runs,updates_mean,updates_std"]
    first = [f"1.0.0,b,o,{M},5,{1000 + 64000 / M},10" for M in (16, 64, 256, 1024)]
    second = [f"2.0.0,b,o,{M},5,{9 * (1000 + 64000 / M)},10" for M in (16, 64, 256, 1024)]
    alone, both = tmp_path / "alone.csv", tmp_path / "both.csv"
    alone.write_text("\n".join(rows + first), encoding="utf-8")
    both.write_text("\n".join(rows + second + first), encoding="utf-8")

    def of_first(path: Path) -> list[float]:
        found = validate_updates([read_published(path)]).predictions
        return [case.predicted for case in found if case.series.startswith("1.0.0")]

    assert of_first(alone) == of_first(both)


def test_rows_are_json_with_the_documented_keys(shipped: Validation) -> None:
    row = json.loads(json.dumps(shipped.predictions[0].row()))
    assert {"case", "group", "quantity", "predicted", "actual", "error", "lo90", "hi90"} <= set(row)
    for case in shipped.predictions:
        if case.lo90 is not None and case.hi90 is not None:
            assert 0 < case.lo90 < case.predicted < case.hi90 < np.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "must have the columns version, benchmark"),
        ("source,series,batch_size,steps,steps_kind\nx,s,0,5,absolute\n", "line 2, batch_size: must be a number > 0"),
        (
            "source,series,batch_size,steps,steps_kind\nx,s,1,5,absolute\nx,s,2,3,relative\n",
            "steps_kind: must be one in a series, got several in s",
        ),
        (
            "version,benchmark,optimizer,batch_size,n_runs,updates_mean,updates_std\n1,b,o,x,5,100,1\n",
            "line 2, batch_size: must be a number > 0 and <= 1e+15, got 'x'",
        ),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        read_published(path)
    assert message in str(caught.value)


def test_short_series_are_in_sample_only_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "source,series,batch_size,steps,steps_kind\nx,one,1,5,absolute\nx,three,1,50,absolute\nx,three,2,30,absolute\n"
        "x,three,4,,absolute\nx,three,8,10,absolute\n",
        encoding="utf-8",
    )
    found = validate_updates([read_published(path)])
    assert {case.group for case in found.predictions} == {"in_sample"}
    assert found.skipped == {
        "row without steps (row)": 1,
        "fewer than two batch sizes (series)": 1,
        "fewer than 4 batch sizes: in sample only (series)": 1,
    }


def test_the_spread_of_runs_that_is_assumed_is_the_median_of_the_reference_points() -> None:
    spreads = {}
    with RCP.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["updates_mean"] and float(row["updates_std"] or 0.0) > 0:
                point = (row["benchmark"], row["batch_size"], row["updates_mean"])
                spreads[point] = float(row["updates_std"]) / float(row["updates_mean"])
    assert pytest.approx(float(np.median(list(spreads.values()))), abs=5e-4) == ASSUMED_RUN_TO_RUN


def test_the_errors_that_reports_show_are_these(shipped: Validation) -> None:
    assert_shipped("updates", shipped)
