"""Traces of jobs: which rows are taken, and every fault with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ScenarioError
from simulator.scenarios.job_traces import read_traces, trace_path
from tests.support import SCENARIOS

HEADER = "source,subset,job_id,arrival_s,duration_s,num_gpus,model,batch_size,virtual_cluster"
GOOD = (
    "lab,monday,a,0,,2,cifar10,256,",
    "lab,monday,b,10.5,3600,4,,,vc1",
    "lab,tuesday,a,5,,1,bert,12,",
    "plant,monday,a,7,60,1,,,",
)


def read(folder: Path, *rows: str, **keys: Any) -> Any:
    path = folder / "jobs.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return read_traces(path, name="jobs.csv", **{"accelerators": 8, "models": {"cifar10": "vision", "bert": "words"}, **keys})


def faults(folder: Path, *rows: str, **keys: Any) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read(folder, *rows, **keys)
    return str(caught.value).splitlines()


def test_a_trace_is_one_source_and_subset(tmp_path: Path) -> None:
    found = read(tmp_path, *GOOD)
    assert [(one.source, one.subset, len(one.jobs)) for one in found] == [
        ("lab", "monday", 2),
        ("lab", "tuesday", 1),
        ("plant", "monday", 1),
    ]
    assert [one.subset for one in read(tmp_path, *GOOD, source="lab")] == ["monday", "tuesday"]
    (one,) = read(tmp_path, *GOOD, source="lab", subset="tuesday")
    assert one.jobs[0].name == "a"


def test_a_row_has_a_model_or_a_duration(tmp_path: Path) -> None:
    with_model, without = read(tmp_path, *GOOD, source="lab", subset="monday")[0].jobs
    assert (with_model.workload, with_model.duration_s) == ("vision", None)
    assert (with_model.batch_samples, with_model.accelerators) == (256.0, 2)
    assert (without.workload, without.duration_s, without.batch_samples, without.arrival_s) == (None, 3600.0, None, 10.5)
    assert (with_model.line, without.line) == (2, 3)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("lab,monday,c,-1,,1,bert,,", "jobs.csv: line 6, arrival_s: must be a number >= 0, got '-1'"),
        ("lab,monday,c,1,-60,1,,,", "jobs.csv: line 6, duration_s: must be a number > 0, got '-60'"),
        ("lab,monday,c,1,0,1,,,", "jobs.csv: line 6, duration_s: must be a number > 0, got '0'"),
        ("lab,monday,c,1,nan,1,,,", "jobs.csv: line 6, duration_s: must be a number > 0, got 'nan'"),
        ("lab,monday,c,1,,0,bert,,", "jobs.csv: line 6, num_gpus: must be a whole number >= 1, got '0'"),
        ("lab,monday,c,1,,1.5,bert,,", "jobs.csv: line 6, num_gpus: must be a whole number >= 1, got '1.5'"),
        ("lab,monday,c,1,,9,bert,,", "jobs.csv: line 6, num_gpus: must be <= the 8 accelerators of the cluster, got 9"),
        ("lab,monday,c,1,,1,bert,0.5,", "jobs.csv: line 6, batch_size: must be a whole number >= 1, got '0.5'"),
        ("lab,monday,a,1,,1,bert,,", "jobs.csv: line 6, job_id: must be unique in lab, monday, got 'a' again (line 2)"),
        ("lab,monday,c,1,,1,,,", "jobs.csv: line 6, duration_s: must be given where there is no model"),
        ("lab,monday,,1,,1,bert,,", "jobs.csv: line 6, job_id: must not be empty"),
        (
            "lab,monday,c,1,,1,cifar,,",
            "jobs.csv: line 6, model: no workload stands for 'cifar' in allocate.trace.models; did you mean 'cifar10'?",
        ),
        ("lab,monday,c,1,,1,bert", "jobs.csv: line 6: must have 9 cells, got 7"),
    ],
)
def test_a_bad_row_is_refused_with_line_and_reason(tmp_path: Path, row: str, says: str) -> None:
    assert faults(tmp_path, *GOOD, row) == [says]


def test_every_fault_is_reported(tmp_path: Path) -> None:
    found = faults(tmp_path, *GOOD, "lab,monday,a,1,,99,bart,,", "lab,monday,a,1,,1,,,")
    assert len(found) == 5
    mixed = faults(tmp_path, *GOOD, "lab,monday,c,-1,,1,bert,,", "lab,monday,a,1,,1,bert,,", "lab,monday,d,1,,99,bert,,")
    assert [one.split(":")[1] for one in mixed] == [" line 6, arrival_s", " line 7, job_id", " line 8, num_gpus"]
    many = faults(tmp_path, *[f"lab,monday,j{i},1,,99,bert,," for i in range(80)])
    assert len(many) == 51
    assert many[-1] == "jobs.csv: and 30 more faults"


def test_the_same_id_in_another_subset_is_no_fault(tmp_path: Path) -> None:
    assert len(read(tmp_path, *GOOD)) == 3


def test_unknown_models_are_counted_where_they_are_skipped(tmp_path: Path) -> None:
    rows = ("lab,monday,c,1,,1,gpt,,", "lab,monday,d,1,,1,gpt,,")
    (one,) = read(tmp_path, *GOOD, *rows, source="lab", subset="monday", unknown_models="skip")
    assert (len(one.jobs), dict(one.skipped)) == (2, {"gpt": 2})
    assert faults(tmp_path, *rows, unknown_models="skip") == [
        "jobs.csv: lab, monday has no job left: no workload stands for its models"
    ]


def test_a_source_or_subset_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert faults(tmp_path, *GOOD, source="lav") == [
        "jobs.csv: source: must be one of the file, got 'lav'; did you mean 'lab'?"
    ]
    found = faults(tmp_path, *GOOD, source="lab", subset="friday")
    assert found == ["jobs.csv: subset: must be one of the file, got 'friday'; known: monday, tuesday"]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("source,subset,id,arrival_s,num_gpus\nlab,monday,a,0,1\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"jobs\.csv: job_id: is missing"):
        read_traces(path, name="jobs.csv", accelerators=1, models={})


def test_a_trace_is_a_path_or_the_id_of_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "own.csv").touch()
    assert trace_path("own.csv", tmp_path) == tmp_path / "own.csv"
    assert trace_path("pollux", tmp_path) == SCENARIOS / "traces" / "pollux.csv"
    with pytest.raises(ValueError, match=r"must name a file beside the scenario, got 'other.csv'"):
        trace_path("other.csv", tmp_path)
    with pytest.raises(ValueError, match="must name a file, or the id of a shipped trace, got 'polux'; did you mean 'pollux'"):
        trace_path("polux", tmp_path)


@pytest.mark.parametrize(("name", "jobs", "days"), [("pollux", 960, 6), ("philly", 1511, 1)])
def test_the_shipped_traces_hold_what_their_readme_says(name: str, jobs: int, days: int) -> None:
    models = {model: model for model in ("cifar10", "deepspeech2", "yolov3", "bert", "ncf", "imagenet")}
    found = read_traces(SCENARIOS / "traces" / f"{name}.csv", name=name, accelerators=400, models=models)
    assert len(found) == days
    assert sum(len(one.jobs) for one in found) == jobs
    assert not any(one.skipped for one in found)
    text = (SCENARIOS / "traces" / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}.csv` | {jobs:,} |".replace(",", " ") in text


BAD = ("", "x", "-1", "0", "nan", "inf", "1e400", "1_000", "\x07", "9" * 40)


@pytest.mark.parametrize("column", ["source", "subset", "job_id", "arrival_s", "num_gpus", "model", "batch_size"])
@pytest.mark.parametrize("value", BAD)
def test_a_cell_of_the_shipped_trace_made_wrong_is_named_or_harmless(tmp_path: Path, column: str, value: str) -> None:
    lines = (SCENARIOS / "traces" / "pollux.csv").read_text(encoding="utf-8").splitlines()
    place, at = lines[0].split(",").index(column), 500
    cells = lines[at].split(",")
    cells[place] = value
    path = tmp_path / "jobs.csv"
    path.write_text("\n".join([*lines[:at], ",".join(cells), *lines[at + 1 :]]) + "\n", encoding="utf-8")
    models = {model: model for model in ("cifar10", "deepspeech2", "yolov3", "bert", "ncf", "imagenet")}
    refused, jobs = "", 0
    try:
        jobs = sum(len(one.jobs) for one in read_traces(path, name="jobs.csv", accelerators=64, models=models))
    except ScenarioError as error:
        refused = str(error)
    # words are words; no mini-batch is no fault; nothing else may pass
    harmless = (
        value not in ("", "\x07")
        if column in ("source", "subset", "job_id")
        else (column, value) in (("batch_size", ""), ("arrival_s", "0"))
    )
    assert (jobs == 960) == harmless
    assert harmless or (f"line {at + 1}" in refused and "\n" not in refused)
