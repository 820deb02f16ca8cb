"""Logs of nccl-tests in: the out-of-place results of `all_reduce_perf`, and the ranks that it ran on."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.calibration.reduce_series import ReducePoint
from simulator.errors import Fault, ScenarioError
from simulator.messages import shown
from simulator.tables import LARGEST_TABLE_BYTES, MOST_FAULTS, Column

__all__ = ["BYTES", "MICROSECONDS", "NO_TIME", "ONE_DEVICE", "OTHER_COLLECTIVE", "log_lines", "points_of_log"]

LARGEST_BYTES = 1e15
BYTES = Column(above=0.0, most=LARGEST_BYTES)
MICROSECONDS = Column(empty=True, above=0.0, most=1e12)

NO_TIME = "no time (row)"
ONE_DEVICE = "one device has nothing to reduce (row)"
NO_BYTES = "no bytes (row)"
OTHER_COLLECTIVE = "not an all-reduce (row)"


PREFIX = re.compile(r"^\[\d+,\d+\]<std(?:out|err)>:\s?")
HEADER = re.compile(r"^#\s+size\s+count\s+type\b")
RESULT = re.compile(r"^\s*\d+\s+\d+\s+[a-z]\w*\s+\S+\s")
RANK = re.compile(r"^#\s+Rank\s+(\d+)\b.*?\bon\s+(\S+)\s+device\b")
COLUMNS_OF_LOG = ("size", "count", "type", "redop", "root", "time", "algbw", "busbw")


def log_lines(path: Path) -> list[str] | None:
    """Return the lines of a log of nccl-tests; None where the file is something else, or cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_TABLE_BYTES:
            return None
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError):  # the reader of tables says what is wrong
        return None
    lines = [PREFIX.sub("", line) for line in text.splitlines()]
    return lines if any(HEADER.match(line) or RESULT.match(line) for line in lines) else None


def points_of_log(
    lines: Sequence[str], called: str, devices: int | None, nodes: int | None
) -> tuple[list[ReducePoint], Counter[str]]:
    """Read the out-of-place column of a log, run by run: each run lists its ranks, then its results."""
    skipped: Counter[str] = Counter()
    points: list[ReducePoint] = []
    faults: list[Fault] = []
    columns: Sequence[str] = COLUMNS_OF_LOG
    ranks: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        if "Using devices" in line:
            ranks = {}
        elif rank := RANK.match(line):
            ranks[int(rank[1])] = rank[2]
        elif HEADER.match(line):
            columns = line.lstrip("# ").split()
        elif RESULT.match(line):
            try:
                P = _one_of("devices", devices, len(ranks) or None)
                N = _one_of("nodes", nodes, len(set(ranks.values())) or None)
                cells = list(zip(columns, line.split(), strict=False))
                out_of_place = dict(reversed(cells))  # a log names its columns twice: the first ones count
                _result(out_of_place, P, N, points, skipped)
            except ValueError as error:
                faults.append(Fault(called, f"line {number}", str(error)))
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], Fault(called, "", f"and {len(faults) - MOST_FAULTS} more faults")]
    if faults:
        raise ScenarioError(faults)
    return points, skipped


def _one_of(what: str, given: int | None, listed: int | None) -> int:
    if given is not None and listed is not None and given != listed:
        raise ValueError(f"--{what} must be what the log lists, {listed}, got {given}")
    if given is None and listed is None:
        raise ValueError(f"the log does not list its ranks: say how many {what} there were with --{what}")
    return int(given or listed or 0)


def _result(cells: Mapping[str, str], P: int, N: int, points: list[ReducePoint], skipped: Counter[str]) -> None:
    """Take one line of results; ValueError with the rule that it breaks."""
    if P < 1 or not 1 <= N <= P:
        raise ValueError(f"must be run on devices >= 1 and nodes from 1 to devices, got {P} and {N}")
    missing = [name for name in ("size", "time") if name not in cells]
    if missing:
        raise ValueError(f"must have the columns {', '.join(COLUMNS_OF_LOG)}, {missing[0]} is missing")
    size = BYTES.value(cells["size"]) if float(cells["size"]) else 0.0
    if cells.get("redop", "sum").lower() in ("none", "n/a"):
        skipped[OTHER_COLLECTIVE] += 1
        return
    if not size:
        skipped[NO_BYTES] += 1
        return
    if cells["time"].lower() in ("n/a", "-"):
        skipped[NO_TIME] += 1
        return
    if P == 1:
        skipped[ONE_DEVICE] += 1
        return
    time_us = Column(above=0.0, most=1e12).value(cells["time"])
    _must_be_an_all_reduce(cells, P)
    points.append(ReducePoint(size_bytes=size, devices=P, nodes=N, time_s=time_us / 1e6))


def _must_be_an_all_reduce(cells: Mapping[str, str], P: int) -> None:
    """Refuse results whose two bandwidths are not those of an all-reduce of P devices: bus/algorithm = 2 (P-1)/P.

    Both are printed with two decimals at least: only where that leaves 1 % of doubt is it said.
    """
    try:
        algorithm, bus = float(cells["algbw"]), float(cells["busbw"])
    except (KeyError, ValueError):
        return
    factor = 2.0 * (P - 1) / P
    if algorithm >= 1.0 and math.isfinite(bus) and abs(bus / algorithm - factor) > 0.02 * factor:
        found = f"busbw/algbw must be 2 (P-1)/P = {factor:.4g} for an all-reduce of {P} devices"
        raise ValueError(f"{found}, got {shown(f'{bus / algorithm:.4g}')}")
