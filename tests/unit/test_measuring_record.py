"""The record: kept whole whatever stops it, and refused where it belongs to something else."""

from __future__ import annotations

import resource
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
    with filled(path) as record:
        record.add("time/1", {"elapsed_s": 1.0})
    with Record(SUBJECT, {"numpy": "3"}, path) as record:
        pass
    assert [row["updates"] for row in record.of("run")] == [0, 10, 20, 30]
    assert record.elapsed_s == 3.0
    assert record.get("run/7") is None
    assert record.head["machine"] == machine()
    assert record.head["versions"] == {"numpy": "2"}  # those that measured


def test_a_stop_at_any_byte_loses_no_more_than_the_line_it_cut(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    filled(path).close()
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        record = Record(SUBJECT, {}, path)
        kept = content[:length].count(b"\n")
        assert len(record.rows) == max(0, kept - 1)
        record.add("run/after", {"updates": 1})
        record.close()
        with Record(SUBJECT, {}, path) as again:
            assert list(again.rows) == [*record.rows]


def test_a_row_measured_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    with filled(path) as record:
        record.add("run/1", {"updates": 11, "elapsed_s": 0.5})
    with Record(SUBJECT, {}, path) as again:
        pass
    assert again.elapsed_s == 2.5  # the time of both counts
    assert [row["updates"] for row in again.of("run")] == [0, 11, 20, 30]


def test_a_second_process_is_refused_as_long_as_the_first_is_there(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    with filled(path):
        content = path.read_bytes()
        for anew in (False, True):
            with pytest.raises(SimulatorError, match="another process is writing there"):
                Record(SUBJECT, {}, path, anew=anew)
        assert path.read_bytes() == content
    with Record(SUBJECT, {}, path, anew=True) as record:
        assert record.rows == {}
    assert path.read_bytes().count(b"\n") == 1


def test_what_failed_is_measured_again_where_the_files_of_the_problem_changed(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    with Record(SUBJECT, {}, path, files={"mine.py": "a"}) as record:
        record.add("run/0", {"outcome": "finished"})
        record.add("run/1", {"outcome": "failed"})
    with Record(SUBJECT, {}, path, files={"mine.py": "a"}) as record:
        assert record.changed == ()
        assert [row["key"] for row in record.of("run")] == ["run/0", "run/1"]
    for other in ("b", "a"):  # changed, and changed back
        with Record(SUBJECT, {}, path, files={"mine.py": other}) as record:
            assert record.changed == ("mine.py",)
            assert [row["key"] for row in record.of("run")] == ["run/0"]
    with Record(SUBJECT, {}, path, files={"mine.py": "a"}) as record:
        assert record.changed == ()
        record.add("run/1", {"outcome": "failed"})
    with Record(SUBJECT, {}, path, files={"mine.py": "a"}) as record:
        assert [row["key"] for row in record.of("run")] == ["run/0", "run/1"]


def test_a_disk_that_fills_up_is_said_and_what_was_written_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / "measured.jsonl"
    with filled(path) as record:
        whole = path.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)  # the system itself cuts a write short there
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, hard))
        try:
            with pytest.raises(SimulatorError, match=r"measured\.jsonl: cannot be written: File too large"):
                record.add("run/9", {"updates": 1})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(path.read_bytes()) == len(whole) + 10
    with Record(SUBJECT, {}, path) as again:
        assert [row["key"] for row in again.of("run")] == [f"run/{number}" for number in range(4)]
    assert path.read_bytes() == whole


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
    Record(SUBJECT, {}, path).close()
    path.write_bytes(path.read_bytes() + second)
    with pytest.raises(error, match=message):
        Record(SUBJECT, {}, path)


def test_another_measurement_is_refused_by_what_differs(tmp_path: Path) -> None:
    filled(tmp_path / "measured.jsonl").close()
    with pytest.raises(SimulatorError, match=r"holds another measurement \(other runs\); use --force or another folder"):
        Record({**SUBJECT, "runs": 4}, {}, tmp_path / "measured.jsonl")


def test_another_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "measured.jsonl").close()
    monkeypatch.setattr("simulator.measuring.record._processor", lambda: "another processor")
    with pytest.raises(SimulatorError, match=r"was measured on another machine .* its times would not belong"):
        Record(SUBJECT, {}, tmp_path / "measured.jsonl")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SimulatorError, match="cannot be written"):
        Record(SUBJECT, {}, tmp_path / "file" / "measured.jsonl")
