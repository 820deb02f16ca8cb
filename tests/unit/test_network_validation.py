"""Reading tables of network cases, and what their validation says."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ScenarioError
from simulator.validation.network import NETWORK_CASES, read_network_cases, validate_network
from simulator.validation.rows import Prediction


def shipped() -> list[dict[str, str]]:
    with NETWORK_CASES.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


ROWS = {row["case_id"]: row for row in shipped()}


def written(tmp_path: Path, *rows: dict[str, str]) -> Path:
    path = tmp_path / "cases.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def changed(
    case: str, spec: dict[str, Any] | None = None, results: dict[str, Any] | None = None, **columns: str
) -> dict[str, str]:
    row = {**ROWS[case], **columns}
    for column, keys in (("spec", spec), ("results", results)):
        if keys is not None:
            row[column] = json.dumps({**json.loads(row[column]), **keys})
    return row


def job(case: str, **keys: Any) -> dict[str, Any]:
    return {"jobs": [{**json.loads(ROWS[case]["spec"])["jobs"][0], **keys}]}


def test_a_small_table_is_validated_with_times_ends_tolerances_and_groups(tmp_path: Path) -> None:
    path = written(tmp_path, ROWS["a-share2"], ROWS["d-star16-tree-s1"], ROWS["d-star17-ps-s1"])
    found = validate_network(path)
    assert [(p.case, p.quantity, p.group) for p in found.predictions] == [
        ("a-share2", "t_eager_s", "a"),
        ("a-share2, message 0", "ends", "a"),
        ("d-star16-tree-s1", "t_eager_s", "d"),
        ("d-star16-tree-s1", "t_rdv_s", "d"),
        ("d-star16-tree-s1, job 0", "ends", "d"),
        ("d-star17-ps-s1", "t_eager_s", "d"),
        ("d-star17-ps-s1", "t_rdv_s", "d"),
        ("d-star17-ps-s1, job 0", "ends", "d"),
    ]
    assert all(p.within and p.tolerance == 1e-9 for p in found.predictions)
    assert all(p.seconds is not None for p in found.predictions if p.quantity != "ends")
    assert found.predictions[0].row()["within"] is True
    assert found.summary()["all"]["cases"] == 3


def test_a_time_that_is_off_is_seen(tmp_path: Path) -> None:
    found = validate_network(written(tmp_path, changed("a-share2", t_eager_s="0.0065")))
    assert [p.within for p in found.predictions] == [False, True]
    assert found.predictions[0].error == pytest.approx(0.006411 / 0.0065 - 1)
    assert not found.predictions[0].part  # the answer does not hang on a tie: it is wrong


def test_a_prediction_without_a_tolerance_is_not_judged() -> None:
    plain = Prediction(case="c", group="g", series="s", quantity="q", predicted=1.0, actual=2.0)
    assert plain.within is None
    assert "tolerance" not in plain.row()


def test_cases_may_be_chosen() -> None:
    assert len(read_network_cases(NETWORK_CASES, keep=lambda row: row["group"] == "e")) == 18


RING = "d-star16-ring-s1"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (changed("a-share2", topology="torus"), "line 2, topology: must be one of star, graph, fattree, got 'torus'"),
        (changed("a-share2", t_eager_s="-1"), "line 2, t_eager_s: must be a number > 0, got '-1'"),
        ({**ROWS["a-share2"], "spec": "{"}, "line 2, spec: must be JSON: Expecting property name"),
        ({**ROWS["a-share2"], "results": "[1]"}, "line 2, results: must be a JSON object, got [1]"),
        ({**ROWS["a-share2"], "spec": "{}"}, "line 2, spec: must have the key flows_start_src_dst_bytes or jobs, got none"),
        (changed("a-share2", {"links": 3}), "line 2, spec: links must be an object of [bandwidth, latency], got 3"),
        (changed("a-share2", {"routes": [[0, 1]]}), "line 2, spec: routes must be a list of [source, destination, links]"),
        (
            changed("a-share2", {"flows_start_src_dst_bytes": [[0, 0, 1]]}),
            "line 2, spec: flows_start_src_dst_bytes must be a list of rows of 4 numbers, got [[0, 0, 1]]",
        ),
        (
            changed("a-share2", {"flows_start_src_dst_bytes": []}),
            "line 2, spec: flows_start_src_dst_bytes must be a list of rows of 4 numbers, got []",
        ),
        (changed("a-share2", None, {"flow_end_s": [1.0]}), "line 2, results: flow_end_s must have 2 values, got 1"),
        (changed(RING, host_bw_Bps=""), "line 2, host_bw_Bps: must not be empty for a star"),
        (changed("b-ft16x1-shift", down="4 x"), "line 2, down: must be whole numbers with blanks between, got '4 x'"),
        (changed("b-ft16x1-shift", hosts="17"), "line 2, hosts: must be the product of down, 16, got 17"),
        (changed(RING, {"jobs": [3]}), "line 2, spec: jobs must be a list of objects, got 3"),
        (changed(RING, {"jobs": [{"algo": "ring"}]}), "line 2, spec: jobs must have the key P, got algo"),
        (changed(RING, job(RING, algo="rong")), "line 2, spec: algo must be one of ring, rd"),
        (changed(RING, job(RING, P=-4)), "line 2: ranks must be a whole number >= 1, got -4"),
        (changed(RING, job(RING, compute=["x"])), "line 2, spec: compute must be a list of numbers, got ['x']"),
        (changed(RING, job(RING, compute=[1.0])), "line 2: compute_s must have 16 values (rounds x workers), got 1"),
        (changed(RING, job(RING, place=4)), "line 2, spec: place and serve must be lists of hosts"),
        (changed("d-star17-ps-s1", job("d-star17-ps-s1", serve=[])), "line 2, spec: place and serve must be lists of hosts"),
        (changed(RING, job(RING, place=[*range(15), 99])), "line 2: hosts must be from 0 to 15, got 99"),
        (
            changed("a-share2", {"flows_start_src_dst_bytes": [[0, 0, 1, 5], [0, 0, 2, 5]]}),
            "line 2: hosts must be reachable, no route from 0 to 1",
        ),
        (changed(RING, None, {"job_end_eager_s": [1.0, 2.0]}), "line 2, results: job_end_eager_s must have 1 values, got 2"),
        (
            changed(RING, None, {"rank_end_eager_s": [[1.0, 2.0]]}),
            "line 2, results: rank_end_eager_s must have 1 or 16 values, got 2",
        ),
        (changed(RING, None, {"rank_end_eager_s": 4}), "line 2, results: rank_end_eager_s must have 1 lists, got 4"),
    ],
)
def test_faults_are_named_by_line(tmp_path: Path, row: dict[str, str], fault: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read_network_cases(written(tmp_path, row), name="cases.csv")
    assert str(raised.value).startswith(f"cases.csv: {fault}")
    assert len(str(raised.value).splitlines()) == 1


def test_every_faulty_line_is_reported(tmp_path: Path) -> None:
    path = written(tmp_path, {**ROWS["a-share2"], "spec": "{"}, ROWS["a-share2"], {**ROWS["a-share2"], "results": "3"})
    with pytest.raises(ScenarioError) as raised:
        validate_network(path)
    assert [str(fault).split(", ")[0][-6:] for fault in raised.value.faults] == ["line 2", "line 4"]
