"""The record of a measurement: one line of JSON for everything measured, appended as it arrives, read back after a stop.

The first line says what is measured, on which machine and with which versions; a record of something else is refused. Every
further line is one run or one timing under a key, and whoever asks for a key that is there gets it back instead of measuring.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from simulator.errors import Fault, ScenarioError, SimulatorError
from simulator.tables import plain
from simulator.tasks import refuse_a_second_writer

__all__ = ["FILE_NAME", "Record", "machine"]

FILE_NAME = "measured.jsonl"
_FILES = "files/"
"""Key of a row that says which files the problem is made of from there on."""


def machine() -> dict[str, Any]:
    """Return what this machine is: processor, cores, memory, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": cores,
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.processor() or platform.machine() or "unknown"


def _memory_bytes() -> int:
    """Memory of the machine; SimulatorError where the system does not tell (it does on Linux and macOS)."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        raise SimulatorError("this system does not tell how much memory it has: measure on Linux or macOS") from None


class Record:
    """What was measured so far, by key; in memory, or in a file that a stop at any moment leaves usable.

    The file is this process's alone until `close`, or the end of a `with`.

    Parameters
    ----------
    subject : mapping
        What is measured: a record of anything else is refused.
    versions : mapping
        Of the libraries; written down, not compared.
    path : Path or None
        The file; None keeps everything in memory.
    files : mapping of str to str
        Digests of the files that the problem is made of. Those that were others when something was measured are in `changed`,
        and what failed then is measured again.
    anew : bool
        Whether what the file holds is thrown away.

    Raises
    ------
    SimulatorError
        If the file holds another measurement, or that of another machine, cannot be read or written, or is another process's.
    """

    def __init__(
        self,
        subject: Mapping[str, Any],
        versions: Mapping[str, Any],
        path: Path | None = None,
        *,
        files: Mapping[str, str] | None = None,
        anew: bool = False,
    ) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        self.changed: tuple[str, ...] = ()
        self.elapsed_s = 0.0
        """Wall time of everything in it, of what was measured a second time twice."""
        self.head = {
            "subject": plain(dict(subject)),
            "machine": machine(),
            "versions": plain(dict(versions)),
            "files": plain(dict(files or {})),
        }
        self._file: IO[bytes] | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)  # a disk that is full leaves nothing behind for later
            try:
                refuse_a_second_writer(self._file, path)
                if anew:
                    self._file.truncate(0)
                self._read(path, self._file)
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise SimulatorError(f"{path}: cannot be written: {error.strerror or error}") from None

    def close(self) -> None:
        """Leave the file to others."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt) and self.path is not None:
            error.add_note("what was measured is kept, --resume goes on")
        self.close()

    def _read(self, path: Path, file: IO[bytes]) -> None:
        """Read the lines that are whole; what a stop left of the last one is cut off."""
        file.seek(0)
        content = file.read()
        whole, end, rest = content.rpartition(b"\n")
        lines = whole.split(b"\n") if end else []
        if rest:
            file.truncate(len(whole) + len(end))
        if not lines:
            self._append(self.head)
            return
        found = [self._line(path, number, line) for number, line in enumerate(lines, 1)]
        if found[0].get("subject") != self.head["subject"]:
            ours, theirs = self.head["subject"], found[0].get("subject")
            differing = [key for key in ours if not isinstance(theirs, dict) or theirs.get(key) != ours[key]]
            raise SimulatorError(
                f"{path}: holds another measurement (other {', '.join(differing) or 'subject'}); use --force or another folder"
            )
        here, there = self.head["machine"], found[0].get("machine") or {}
        if (there.get("processor"), there.get("cores")) != (here["processor"], here["cores"]):
            raise SimulatorError(
                f"{path}: was measured on another machine ({there.get('processor')}, {there.get('cores')} cores): its times "
                "would not belong together; use --force or another folder"
            )
        ours, theirs = self.head["files"], found[0].get("files") or {}
        self.head = found[0]
        for number, row in enumerate(found[1:], 2):
            if not isinstance(row.get("key"), str):
                raise ScenarioError([Fault(str(path), f"line {number}", "must have a key")])
            self._take(row)
            if row["key"].startswith(_FILES):
                theirs = row.get("files") or {}
        self.changed = tuple(sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)))
        if self.changed:
            self.add(f"{_FILES}{len(found)}", {"files": ours})

    def _take(self, row: dict[str, Any]) -> None:
        """Hold a row; what failed before the problem's files changed is to be measured again."""
        self.rows[row["key"]] = row
        self.elapsed_s += float(row.get("elapsed_s", 0.0))
        if row["key"].startswith(_FILES):
            self.rows = {key: one for key, one in self.rows.items() if one.get("outcome") != "failed"}

    @staticmethod
    def _line(path: Path, number: int, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ScenarioError([Fault(str(path), f"line {number}", f"must be a JSON object, got {line[:40]!r}")])
        return row

    def _append(self, row: Mapping[str, Any]) -> None:
        """Write one line and see it onto the disk before going on."""
        if self._file is None:
            return
        line = (json.dumps(plain(row), allow_nan=False, ensure_ascii=False) + "\n").encode()
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())

    def add(self, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a row under its key, with the time of day, and return it."""
        whole = {"key": key, **plain(dict(row)), "ended": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            self._append(whole)
        except OSError as error:
            raise SimulatorError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self._take(whole)
        return whole

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the row of a key; None where it was not measured."""
        return self.rows.get(key)

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Rows of a kind (a key is KIND/...), in the order of their first arrival."""
        return (row for key, row in self.rows.items() if key.split("/", 1)[0] == kind)
