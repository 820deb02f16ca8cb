"""The timeline file: valid trace events, as its format says and viewers need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.engine.job import Failures, Noise
from simulator.engine.run import simulate
from simulator.engine.timeline import Timeline
from simulator.engine.trace import Span
from simulator.errors import SimulatorError
from simulator.studies.simulation import Watch
from tests.simulated import small_job


def events(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert set(found) == {"displayTimeUnit", "traceEvents"}
    listed: list[dict[str, Any]] = found["traceEvents"]
    return listed


def written(path: Path, *spans: Span) -> list[dict[str, Any]]:
    with Timeline(path) as timeline:
        for span in spans:
            timeline.span(span)
    return events(path)


def test_a_span_is_a_complete_event_in_microseconds_of_a_named_process_and_thread(tmp_path: Path) -> None:
    found = written(
        tmp_path / "trace.json",
        Span(job="a", process="learner 0", name="compute", start_s=1.5, end_s=2.0, args={"update": 1}),
        Span(job="b", process="learner 0", name="compute", start_s=0.25, end_s=0.5),
        Span(job="a", process="network", name="reduce", start_s=2.0, end_s=2.25),
    )
    complete = [event for event in found if event["ph"] == "X"]
    assert [(event["pid"], event["tid"], event["ts"], event["dur"]) for event in complete] == [
        (1, 1, 1.5e6, 0.5e6), (2, 1, 0.25e6, 0.25e6), (1, 2, 2.0e6, 0.25e6),
    ]  # fmt: skip
    assert complete[0]["args"] == {"update": 1}
    names = {
        (event["name"], event["pid"], event["tid"]): event["args"]["name"]
        for event in found
        if event["ph"] == "M" and "name" in event["args"]
    }
    assert names == {
        ("process_name", 1, 0): "a", ("process_name", 2, 0): "b",
        ("thread_name", 1, 1): "learner 0", ("thread_name", 2, 1): "learner 0", ("thread_name", 1, 2): "network",
    }  # fmt: skip


def test_a_whole_run_is_a_valid_trace_whose_spans_of_a_thread_do_not_cross(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    job = small_job(
        mode="every_learner",
        noise=Noise(kind="lognormal", relative_sd=0.3),
        failures=Failures(node_mtbf_s=200.0, nodes=4, checkpoint_every_updates=10, checkpoint_s=1.0, restart_s=2.0),
    )
    with Timeline(path) as timeline:
        run = simulate(
            job,
            rng=np.random.default_rng(2),
            record=Watch(row_every_updates=0, span_updates=1000, timeline=timeline, timeline_updates=1000),
        )
    found = events(path)
    assert run.failures > 0
    assert {event["name"] for event in found if event["ph"] == "X"} >= {
        "compute",
        "wait",
        "reduce",
        "checkpoint",
        "lost",
        "restart",
    }
    named = {(event["pid"], event["tid"]) for event in found if event["name"] == "thread_name"}
    threads: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in found:
        assert {"name", "ph", "pid", "tid", "args"} <= set(event)
        if event["ph"] == "X":
            assert event["dur"] > 0
            assert event["ts"] >= 0
            assert (event["pid"], event["tid"]) in named
            threads.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for spans in threads.values():
        # viewers stack the spans of a thread: two must lie beside or inside each other
        open_until: list[float] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            slack = 1e-9 * end
            while open_until and open_until[-1] <= start + slack:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + slack
            open_until.append(end)


def test_names_that_need_escaping_are_escaped(tmp_path: Path) -> None:
    found = written(tmp_path / "trace.json", Span(job='a "b"\n', process="é\\", name="x", start_s=0.0, end_s=1.0))
    assert [event["args"]["name"] for event in found if event["name"] in ("process_name", "thread_name")] == ['a "b"\n', "é\\"]


def test_a_run_that_breaks_leaves_no_half_a_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Timeline(tmp_path / "trace.json"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SimulatorError, match=r"file/trace.json: cannot be written: (Not a directory|File exists)"):
        Timeline(tmp_path / "file" / "trace.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SimulatorError, match=r"folder: cannot be written: Is a directory"), Timeline(tmp_path / "folder"):
        pass
