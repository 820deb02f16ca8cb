"""Reading a CSV table: every fault with its line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ScenarioError
from simulator.tables import Column, read_rows

COLUMNS = {
    "batch_samples": Column(above=0),
    "runs": Column(kind="whole", needed=False, empty=True, least=1),
    "series": Column(kind="text", needed=False, choices=("a", "b")),
    "checked": Column(kind="flag", needed=False),
}


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_cells_become_values_and_other_columns_are_left_out(tmp_path: Path) -> None:
    path = table(tmp_path, "\ufeffbatch_samples, runs,other,series,checked\n64,3,x,a,yes\n\n1e3,,y,b,0\n")
    assert read_rows(path, COLUMNS) == [
        {"line": 2, "batch_samples": 64.0, "runs": 3, "series": "a", "checked": True},
        {"line": 4, "batch_samples": 1000.0, "runs": None, "series": "b", "checked": False},
    ]


def test_an_absent_column_that_may_be_absent_holds_nothing(tmp_path: Path) -> None:
    assert read_rows(table(tmp_path, "batch_samples\n2\n"), {**COLUMNS})[0]["series"] is None


def test_every_fault_is_reported_with_line_and_column(tmp_path: Path) -> None:
    path = table(tmp_path, "batch_samples,runs,series,checked\n-3,1.5,c,maybe\nnan,0,,no\n1,2,a\n1_0,1e31,a,no\n")
    with pytest.raises(ScenarioError) as caught:
        read_rows(path, COLUMNS, name="t.csv")
    assert str(caught.value).splitlines() == [
        "t.csv: line 2, batch_samples: must be a number > 0, got '-3'",
        "t.csv: line 2, runs: must be a whole number >= 1, got '1.5'",
        "t.csv: line 2, series: must be one of a, b, got 'c'",
        "t.csv: line 2, checked: must be yes or no, got 'maybe'",
        "t.csv: line 3, batch_samples: must be a number > 0, got 'nan'",
        "t.csv: line 3, runs: must be a whole number >= 1, got '0'",
        "t.csv: line 3, series: must not be empty",
        "t.csv: line 4: must have 4 cells, got 3",
        "t.csv: line 5, batch_samples: must be a number > 0, got '1_0'",
        "t.csv: line 5, runs: must be a whole number >= 1, got '1e31'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_sample\n1\n", "t.csv: batch_samples: is missing; did you mean 'batch_sample'?"),
        ("batch_samples,batch_samples\n1,1\n", "t.csv: batch_samples: stands twice in the header"),
        ("batch_samples\n", "t.csv: must have at least one row"),
        ("\n \n", "t.csv: must have a header and at least one row, got nothing"),
        ("batch_samples\n1\0\n", "t.csv: must be a text file, got a zero byte"),
        (b"batch_samples\n\xff\n", "t.csv: must be a UTF-8 text file, got byte 0xff at 14"),
        ('batch_samples\n"1\n', "t.csv: line 2: is not CSV: unexpected end of data"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_rows(table(tmp_path, text), COLUMNS, name="t.csv")
    assert str(caught.value) == message


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"x\.csv: no such file"):
        read_rows(tmp_path / "x.csv", COLUMNS)
    with pytest.raises(ScenarioError, match="must be a file, got a folder"):
        read_rows(tmp_path, COLUMNS)


def test_many_faults_end_with_a_count(tmp_path: Path) -> None:
    path = table(tmp_path, "batch_samples\n" + "0\n" * 60)
    with pytest.raises(ScenarioError, match="and 10 more faults"):
        read_rows(path, COLUMNS)
