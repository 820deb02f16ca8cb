from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simulator.errors import ScenarioError
from simulator.tables import COLUMNS, frame, label, plain, read_json, read_table, write_json, write_table

ROWS: list[dict[str, Any]] = [
    {"learners": 1, "converge_time_s": 0.1 + 0.2, "bound": None},
    {"learners": 2, "converge_time_s": 1e-300},
]


def test_labels_carry_their_unit() -> None:
    assert label("converge_time_s") == "time to converge (s)"
    assert label("learners") == "learners"
    assert label("nobody_knows") == "nobody_knows"


def test_units_of_columns_end_their_names() -> None:
    ends = {"s": "_s", "samples": "_samples", "USD": "_usd"}
    for column, (_, unit) in COLUMNS.items():
        if unit and column != "samples_processed":
            assert column.endswith(ends[unit])


def test_plain_turns_numpy_into_what_json_knows() -> None:
    value = {"a": np.float64(2.0), 3: np.array([[1, 2]]), "t": (np.bool_(True), None, "x"), "i": np.int64(4)}
    turned = plain(value)
    assert turned == {"a": 2.0, "3": [[1, 2]], "t": [True, None, "x"], "i": 4}
    assert json.dumps(turned) == '{"a": 2.0, "3": [[1, 2]], "t": [true, null, "x"], "i": 4}'


def test_frame_keeps_rows_and_the_order_of_columns() -> None:
    table = frame(ROWS)
    assert list(table.columns) == ["learners", "converge_time_s", "bound"]
    assert table["learners"].tolist() == [1, 2]


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"T": 0.1 + 0.2, "name": "größer", "none": None})
    assert read_json(path) == {"T": 0.30000000000000004, "name": "größer", "none": None}
    assert path.read_bytes().endswith(b"\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64(-np.inf)])
def test_json_refuses_what_is_not_finite_and_keeps_the_old_file(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"T": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"T": value})
    assert read_json(path) == {"T": 1.0}


def test_table_comes_back_with_all_its_digits(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, ROWS)
    assert path.read_text(encoding="utf-8") == "learners,converge_time_s,bound\n1,0.30000000000000004,\n2,1e-300,\n"
    table = read_table(path)
    assert isinstance(table, pd.DataFrame)
    assert table["converge_time_s"].tolist() == pytest.approx([0.30000000000000004, 1e-300], rel=1e-15)
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    write_table(first, ROWS)
    write_table(second, ROWS)
    assert first.read_bytes() == second.read_bytes()


def test_missing_or_broken_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(ScenarioError, match=r"run\.json: cannot be read: No such file"):
        read_json(path)
    for broken in (b"{", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(broken)
        with pytest.raises(ScenarioError, match=r"run\.json: must be a JSON file: "):
            read_json(path)


def test_missing_or_broken_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(ScenarioError, match=r"table\.csv: cannot be read: No such file"):
        read_table(path)
    for broken in (b"", b"a,b\n1,2,3\n4,5,6,7\n", b"a\n\xff\n"):
        path.write_bytes(broken)
        with pytest.raises(ScenarioError, match=r"table\.csv: must be a CSV table: "):
            read_table(path)
