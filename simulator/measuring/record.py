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
from typing import Any

from simulator.errors import Fault, ScenarioError, SimulatorError
from simulator.tables import plain

__all__ = ["FILE_NAME", "Record", "machine"]

FILE_NAME = "measured.jsonl"


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

    Parameters
    ----------
    subject : mapping
        What is measured: a record of anything else is refused.
    versions : mapping
        Of the libraries; written down, not compared.
    path : Path or None
        The file; None keeps everything in memory.

    Raises
    ------
    SimulatorError
        If the file holds another measurement, or that of another machine, or cannot be read or written.
    """

    def __init__(self, subject: Mapping[str, Any], versions: Mapping[str, Any], path: Path | None = None) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        self.head = {"subject": plain(dict(subject)), "machine": machine(), "versions": plain(dict(versions))}
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size:
                self._read(path)
            else:
                self._append(self.head)
        except OSError as error:
            raise SimulatorError(f"{path}: cannot be written: {error.strerror or error}") from None

    def _read(self, path: Path) -> None:
        """Read the lines that are whole; what a stop left of the last one is cut off."""
        content = path.read_bytes()
        whole, end, rest = content.rpartition(b"\n")
        lines = whole.split(b"\n") if end else []
        if rest:
            with path.open("r+b") as file:
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
        self.head = found[0]
        for number, row in enumerate(found[1:], 2):
            if not isinstance(row.get("key"), str):
                raise ScenarioError([Fault(str(path), f"line {number}", "must have a key")])
            self.rows[row["key"]] = row

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
        if self.path is None:
            return
        line = json.dumps(plain(row), allow_nan=False, ensure_ascii=False) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def add(self, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a row under its key, with the time of day, and return it."""
        whole = {"key": key, **plain(dict(row)), "ended": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            self._append(whole)
        except OSError as error:
            raise SimulatorError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self.rows[key] = whole
        return whole

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the row of a key; None where it was not measured."""
        return self.rows.get(key)

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        """Rows of a kind (a key is KIND/...), in the order of their first arrival."""
        return (row for key, row in self.rows.items() if key.split("/", 1)[0] == kind)

    @property
    def elapsed_s(self) -> float:
        """Wall time of everything in it."""
        return sum(float(row.get("elapsed_s", 0.0)) for row in self.rows.values())
