"""The record: kept whole whatever stops it, and refused where it belongs to something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ScenarioError, SimulatorError
from simulator.measuring.record import Record, machine

SUBJECT = {"spec": "digits-mlp", "runs": 3}


def filled(path: Path) -> Record:
    record = Record(SUBJECT, {"numpy": "2"}, path)
    for number in range(4):
        record.add(f"run/{number}", {"updates": 10 * number, "elapsed_s": 0.5})
    return record


def test_what_was_added_is_read_back_with_where_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "new" / "measured.jsonl"
    filled(path).add("time/1", {"elapsed_s": 1.0})
    record = Record(SUBJECT, {"numpy": "3"}, path)
    assert [row["updates"] for row in record.of("run")] == [0, 10, 20, 30]
    assert record.elapsed_s == 3.0
    assert record.get("run/7") is None
    assert record.head["machine"] == machine()
    assert record.head["versions"] == {"numpy": "2"}  # those that measured


def test_a_stop_at_any_byte_loses_no_more_than_the_line_it_cut(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    filled(path)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        record = Record(SUBJECT, {}, path)
        kept = content[:length].count(b"\n")
        assert len(record.rows) == max(0, kept - 1)
        record.add("run/after", {"updates": 1})
        again = Record(SUBJECT, {}, path)
        assert list(again.rows) == [*record.rows]


def test_a_row_measured_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    record = filled(path)
    record.add("run/1", {"updates": 11, "elapsed_s": 0.5})
    again = Record(SUBJECT, {}, path)
    assert [row["updates"] for row in again.of("run")] == [0, 11, 20, 30]


def test_without_a_file_it_lives_in_memory() -> None:
    record = Record(SUBJECT, {})
    record.add("run/0", {"updates": 1})
    assert record.get("run/0") is not None
    assert record.path is None


@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        (b"[]\n", ScenarioError, r"line 2: must be a JSON object, got b'\[\]'"),
        (b"\xff\xfe\n", ScenarioError, "line 2: must be a JSON object"),
        (b'{"updates": 3}\n', ScenarioError, "line 2: must have a key"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path: Path, second: bytes, error: type[Exception], message: str) -> None:
    path = tmp_path / "measured.jsonl"
    Record(SUBJECT, {}, path)
    path.write_bytes(path.read_bytes() + second)
    with pytest.raises(error, match=message):
        Record(SUBJECT, {}, path)


def test_another_measurement_is_refused_by_what_differs(tmp_path: Path) -> None:
    filled(tmp_path / "measured.jsonl")
    with pytest.raises(SimulatorError, match=r"holds another measurement \(other runs\); use --force or another folder"):
        Record({**SUBJECT, "runs": 4}, {}, tmp_path / "measured.jsonl")


def test_another_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "measured.jsonl")
    monkeypatch.setattr("simulator.measuring.record._processor", lambda: "another processor")
    with pytest.raises(SimulatorError, match=r"was measured on another machine .* its times would not belong"):
        Record(SUBJECT, {}, tmp_path / "measured.jsonl")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SimulatorError, match="cannot be written"):
        Record(SUBJECT, {}, tmp_path / "file" / "measured.jsonl")
