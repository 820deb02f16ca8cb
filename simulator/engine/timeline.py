"""A timeline in the Trace Event Format, which Perfetto and chrome://tracing open: written span by span as they are told.

A job is a process there, whoever does something in it a thread; times are microseconds.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from simulator.engine.trace import Span
from simulator.errors import SimulatorError

__all__ = ["Timeline"]


class Timeline:
    """A file of trace events; it appears under its name when it is complete.

    Parameters
    ----------
    path : Path
        The file, ending in .json as viewers want it.

    Raises
    ------
    SimulatorError
        If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._beside = path.with_name(f".{path.name}.part")
        self._processes: dict[str, int] = {}
        self._threads: dict[tuple[str, str], int] = {}
        self._separator = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._beside.open("w", encoding="utf-8", newline="\n")
            self._file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')
        except OSError as error:
            raise SimulatorError(f"{path}: cannot be written: {error.strerror or error}") from None

    def span(self, span: Span) -> None:
        """Write a span as a complete event ("X"), after the names of job and process where they are new."""
        pid, tid = self._numbers(span)
        start_us = span.start_s * 1e6
        self._event(
            {
                "name": span.name,
                "cat": span.name,
                "ph": "X",
                "ts": start_us,
                "dur": span.end_s * 1e6 - start_us,
                "pid": pid,
                "tid": tid,
                "args": dict(span.args),
            }
        )

    def _numbers(self, span: Span) -> tuple[int, int]:
        pid = self._processes.get(span.job)
        if pid is None:
            pid = self._processes[span.job] = len(self._processes) + 1
            self._name("process_name", span.job, pid, 0)
        thread = (span.job, span.process)
        tid = self._threads.get(thread)
        if tid is None:
            tid = self._threads[thread] = sum(job == span.job for job, _ in self._threads) + 1
            self._name("thread_name", span.process, pid, tid)
            self._event({"name": "thread_sort_index", "ph": "M", "pid": pid, "tid": tid, "args": {"sort_index": tid}})
        return pid, tid

    def _name(self, what: str, name: str, pid: int, tid: int) -> None:
        self._event({"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}})

    def _event(self, event: dict[str, Any]) -> None:
        try:
            self._file.write(self._separator + json.dumps(event, allow_nan=False, ensure_ascii=False))
        except OSError as error:
            raise SimulatorError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self._separator = ",\n"

    def close(self) -> None:
        """End the file and put it in its place."""
        try:
            self._file.write("\n]}\n")
            self._file.close()
            os.replace(self._beside, self.path)  # noqa: PTH105 - atomic on POSIX and Windows alike
        except OSError as error:
            raise SimulatorError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def __enter__(self) -> Timeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        self._file.close()
        self._beside.unlink(missing_ok=True)
