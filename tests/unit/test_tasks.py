"""Tasks on executors, and what a journal keeps of them when the process dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import Fault, ScenarioError, SimulatorError
from simulator.tasks import InThisProcess, Journal, in_order, local_processes, run_locally
from tests.support import ROOT


def square(i: int) -> dict[str, Any]:
    return {"i": i, "square": i * i, "third": i / 3}


def pid(i: int) -> int:
    return os.getpid()


def backwards(i: int) -> int:
    """Later tasks end earlier."""
    time.sleep(0.02 * (4 - i % 5))
    return i


def refuse(i: int) -> int:
    if i == 2:
        raise ScenarioError([Fault("file.toml", "a", "must be good"), Fault("file.toml", "b", "too")])
    return i


def die(i: int) -> int:
    if i == 1:
        os._exit(3)
    return i


def listed(**kwargs: Any) -> list[Any]:
    return list(in_order(kwargs.pop("task", square), kwargs.pop("count", 7), **kwargs))


def test_results_come_in_order_on_any_executor() -> None:
    expected = [square(i) for i in range(7)]
    assert listed(executor=InThisProcess()) == expected
    with ThreadPoolExecutor(3) as threads:
        assert listed(executor=threads, ahead=3) == expected
        assert listed(executor=threads, ahead=3, task=backwards, count=20) == list(range(20))
    with local_processes(2) as processes:
        assert listed(executor=processes, ahead=2) == expected
    with local_processes(1) as here:
        assert isinstance(here, InThisProcess)


def test_who_has_enough_stops_and_nothing_more_is_begun_in_this_process() -> None:
    begun: list[int] = []
    results = in_order(lambda i: begun.append(i) or i, 100, executor=InThisProcess(), ahead=4)  # type: ignore[func-returns-value]
    assert [next(results), next(results)] == [0, 1]
    results.close()
    assert begun == [0, 1]


def test_at_most_four_times_the_workers_run_ahead() -> None:
    begun: list[int] = []
    with ThreadPoolExecutor(2) as threads:
        results = in_order(lambda i: begun.append(i) or i, 100, executor=threads, ahead=2)  # type: ignore[func-returns-value]
        assert next(results) == 0
        results.close()
    assert max(begun) < 8


def test_an_error_of_a_task_arrives_whole_from_a_process() -> None:
    for workers in (1, 2):
        with (
            local_processes(workers) as executor,
            pytest.raises(ScenarioError, match=r"file.toml: a: must be good\nfile.toml: b: too") as caught,
        ):
            listed(task=refuse, executor=executor, ahead=workers)
        assert [fault.key for fault in caught.value.faults] == ["a", "b"]


def test_a_worker_that_dies_is_said_to_have_died() -> None:
    with local_processes(2) as executor, pytest.raises(SimulatorError, match=r"a worker process died .* --resume keeps"):
        listed(task=die, executor=executor, ahead=2)


def test_a_journal_gives_back_what_it_holds_and_only_the_rest_is_run(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "k1") as journal:
        first = in_order(square, 7, executor=InThisProcess(), journal=journal)
        assert [next(first) for _ in range(3)] == [square(i) for i in range(3)]
    begun: list[int] = []

    def again(i: int) -> dict[str, Any]:
        begun.append(i)
        return square(i)

    with Journal(path, "k1") as journal:
        assert listed(task=again, executor=InThisProcess(), journal=journal) == [square(i) for i in range(7)]
        assert begun == [3, 4, 5, 6]


def test_the_journal_of_a_run_that_is_over_is_the_same_whichever_order_it_was_written_in(tmp_path: Path) -> None:
    contents = []
    for order in ([0, 1, 2], [2, 0, 3, 1]):
        path = tmp_path / f"{len(order)}.jsonl"
        with Journal(path, "k1") as journal:
            for i in order:
                journal.append(i, square(i))
            journal.settle(3)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    with Journal(tmp_path / "4.jsonl", "k1") as journal:
        assert sorted(journal.results) == [0, 1, 2]


def test_where_nobody_says_how_many_workers_the_run_begins_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.tasks._processors", lambda: 2)
    assert list(run_locally(pid, 3)) == [os.getpid()] * 3
    monkeypatch.setattr("simulator.tasks.ALONE_S", 0.0)
    found = list(run_locally(pid, 4))
    assert found[0] == os.getpid()
    assert os.getpid() not in found[1:]
    assert os.getpid() not in list(run_locally(pid, 3, workers=2))
    assert list(run_locally(pid, 3, workers=1)) == [os.getpid()] * 3


def test_a_line_that_was_being_written_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "k1") as journal:
        journal.append(0, square(0))
        journal.append(1, square(1))
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole[:-cut])
        lines = whole[:-cut].count(b"\n")
        with Journal(path, "k1") as journal:
            assert sorted(journal.results) == list(range(max(0, lines - 1)))
            assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[: max(lines, 1)])


def test_a_journal_of_another_run_or_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, "k1").close()
    with pytest.raises(SimulatorError, match=r"holds another run .*use --force or another folder"):
        Journal(path, "k2")
    for content in (b"hello\n", b'{"key": "k1"}\n[1]\n', b'{"key": "k1"}\n{"task": "x", "result": 1}\n', b"[]\n"):
        path.write_bytes(content)
        with pytest.raises(SimulatorError, match=r"journal.jsonl: line \d: must be what an interrupted run left, got"):
            Journal(path, "k1")


def test_two_writers_do_not_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "k"), pytest.raises(SimulatorError, match="another process is writing there"):
        Journal(path, "k")
    Journal(path, "k").close()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SimulatorError, match=r"file/journal.jsonl: cannot be written: (Not a directory|File exists)"):
        Journal(tmp_path / "file" / "journal.jsonl", "k")


def test_numbers_that_json_cannot_hold_are_not_let_through() -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        listed(task=lambda i: float("nan"), executor=InThisProcess())


ORPHANS = """
import os, sys, time
from simulator.tasks import in_order, local_processes

def sleep(i):
    with open(sys.argv[1] + f"/{os.getpid()}", "w"):
        pass
    time.sleep(60)

if __name__ == "__main__":
    with local_processes(2) as executor:
        next(in_order(sleep, 4, executor=executor, ahead=2))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks processes up in /proc")
def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(ORPHANS, encoding="utf-8")
    pids = tmp_path / "pids"
    pids.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(pids)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as owner:
        _until(lambda: len(list(pids.iterdir())) == 2)
        owner.send_signal(signal.SIGKILL)
    _until(lambda: not any(_lives(int(path.name)) for path in pids.iterdir()))


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(true: Any, most_s: float = 60.0) -> None:
    end = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.05)


def test_an_error_of_a_file_survives_pickling() -> None:
    import pickle

    error = ScenarioError([Fault("f", "k", "r")])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.faults) == (str(error), error.faults)
    assert json.dumps(str(again)) == '"f: k: r"'
