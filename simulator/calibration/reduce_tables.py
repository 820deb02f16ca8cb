"""Tables of measured all-reduce times in: two CSV headers and the logs of nccl-tests; rows joined to series, faults named."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import Fault, FitError, ScenarioError
from simulator.messages import did_you_mean, shown
from simulator.quantities import FloatArray
from simulator.tables import LARGEST_TABLE_BYTES, MOST_FAULTS, Column, read_header, read_rows

__all__ = ["ReducePoint", "ReduceSeries", "ReduceTable", "chosen_system", "read_reduce", "read_reduce_targets"]

MOST_POINTS = 1_000
"""Different (size, devices, nodes) of a series: the fit inverts matrices of that size."""

LARGEST_BYTES = 1e15
BYTES = Column(above=0.0, most=LARGEST_BYTES)
MICROSECONDS = Column(empty=True, above=0.0, most=1e12)
DEVICES = Column(kind="whole", least=1, most=2**24)
WORDS = Column(kind="text", empty=True)
SOME_WORDS = Column(kind="text", needed=False, empty=True)

BY_DEVICE = {
    "source": WORDS,
    "device": Column(kind="text"),
    "n_gpus": DEVICES,
    "n_nodes": DEVICES,
    "size_bytes": BYTES,
    "time_us": MICROSECONDS,
    "std_us": Column(needed=False, empty=True, least=0.0, most=1e12),
    "algorithm": SOME_WORDS,
    "fabric": SOME_WORDS,
}
BY_SYSTEM = {
    "system": Column(kind="text"),
    "gpus": DEVICES,
    "nodes": DEVICES,
    "collective": SOME_WORDS,
    "algo": SOME_WORDS,
    "payload_bytes": BYTES,
    "time_us": MICROSECONDS,
}
"""The two headers; further columns are left alone."""

TARGETS = (
    {"size_bytes": BYTES, "n_gpus": DEVICES, "n_nodes": DEVICES},
    {"payload_bytes": BYTES, "gpus": DEVICES, "nodes": DEVICES},
    {"size_bytes": BYTES, "devices": DEVICES, "nodes": DEVICES},
)
"""Headers of a table of sizes and devices to predict."""

IN_SWITCH = re.compile(r"\b(nvls\w*|sharp|collnet\w*|in-switch)\b", re.IGNORECASE)
SWITCHED_OFF = re.compile(r"\b(off|disabled|no|without)\b", re.IGNORECASE)

NO_TIME = "no time (row)"
ONE_DEVICE = "one device has nothing to reduce (row)"
NO_BYTES = "no bytes (row)"
OTHER_COLLECTIVE = "not an all-reduce (row)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducePoint:
    """One measured all-reduce.

    Parameters
    ----------
    size_bytes : float
        Bytes that each device contributes, > 0.
    devices, nodes : int
        P >= 2 and the nodes that they are spread over, 1 to P.
    time_s : float
        Seconds, > 0.
    error_relative : float
        Standard error of the time, relative to it; 0 where nothing is known.
    """

    size_bytes: float
    devices: int
    nodes: int
    time_s: float
    error_relative: float = 0.0

    @property
    def bus_bandwidth_bytes_per_s(self) -> float:
        """Bytes over time, times 2 (P-1)/P: what a ring sends over each link."""
        return self.size_bytes / self.time_s * 2.0 * (self.devices - 1) / self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceSeries:
    """All-reduce times of one system: same devices, fabric and software, several sizes or numbers of devices.

    Parameters
    ----------
    name : str
        What it is called.
    points : tuple of ReducePoint
        In the order of nodes, devices, size; each combination once.
    in_switch : bool
        Whether the switch adds up the contributions: every device sends them once instead of 2 (P-1)/P times.
    """

    name: str
    points: tuple[ReducePoint, ...]
    in_switch: bool = False

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise FitError(f"{self.name}: must have at least two measured (size, devices, nodes), got {len(self.points)}")
        if len(self.points) > MOST_POINTS:
            raise FitError(
                f"{self.name}: must have at most {MOST_POINTS} different (size, devices, nodes), got {len(self.points)}"
            )

    @classmethod
    def of(cls, name: str, points: Iterable[ReducePoint], *, in_switch: bool = False) -> ReduceSeries:
        """Sort points and join those of the same size, devices and nodes to their mean."""
        grouped: dict[tuple[int, int, float], list[ReducePoint]] = {}
        for point in points:
            grouped.setdefault((point.nodes, point.devices, point.size_bytes), []).append(point)
        return cls(name=name, points=tuple(_joined(grouped[key]) for key in sorted(grouped)), in_switch=in_switch)

    def without(self, points: Iterable[ReducePoint]) -> ReduceSeries:
        """Return the series without some of its points, as if they had never been measured."""
        left_out = set(points)
        return ReduceSeries(name=self.name, points=tuple(p for p in self.points if p not in left_out), in_switch=self.in_switch)

    @property
    def sizes(self) -> tuple[float, ...]:
        """The sizes measured, bytes, increasing."""
        return tuple(sorted({point.size_bytes for point in self.points}))

    @property
    def device_counts(self) -> tuple[int, ...]:
        """The numbers of devices measured, increasing."""
        return tuple(sorted({point.devices for point in self.points}))

    @property
    def placements(self) -> tuple[tuple[int, int], ...]:
        """The (devices, nodes) measured, increasing."""
        return tuple(sorted({(point.devices, point.nodes) for point in self.points}))

    @property
    def tiers(self) -> tuple[bool, bool]:
        """Whether anything was measured inside a node, and across nodes."""
        return any(point.nodes == 1 for point in self.points), any(point.nodes > 1 for point in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceTable:
    """What a file of measurements holds.

    Parameters
    ----------
    series : tuple of ReduceSeries
        In the order of the file.
    skipped : mapping of str to int
        Rows and series left out, by reason.
    """

    series: tuple[ReduceSeries, ...]
    skipped: Mapping[str, int]


def _joined(points: Sequence[ReducePoint]) -> ReducePoint:
    """Join repeated measurements to their mean time."""
    first = points[0]
    if len(points) == 1:
        return first
    times = np.array([point.time_s for point in points])
    mean = float(times.mean())
    spread = float(times.std(ddof=1)) / mean / math.sqrt(len(points))
    own = float(np.sqrt(np.mean([point.error_relative**2 for point in points]) / len(points)))
    return ReducePoint(
        size_bytes=first.size_bytes,
        devices=first.devices,
        nodes=first.nodes,
        time_s=mean,
        error_relative=max(spread, own),
    )


def as_arrays(points: Sequence[ReducePoint]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sizes in bytes, devices and nodes, each of shape (n,)."""
    return (
        np.array([point.size_bytes for point in points], dtype=np.float64),
        np.array([point.devices for point in points], dtype=np.float64),
        np.array([point.nodes for point in points], dtype=np.float64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row of any of the three kinds of file: what the series is named after, its software, and the measurement."""

    system: str
    fabric: str
    software: str
    point: ReducePoint


def read_reduce(
    path: Path,
    *,
    name: str | None = None,
    devices: int | None = None,
    nodes: int | None = None,
    link_bandwidth_bytes_per_s: float | None = None,
) -> ReduceTable:
    """Read measured all-reduce times.

    Parameters
    ----------
    path : Path
        CSV with the columns source, device, n_gpus, n_nodes, size_bytes, time_us [, std_us, algorithm, fabric], or system,
        gpus, nodes, payload_bytes, time_us [, collective, algo]; or the text that `all_reduce_perf` of nccl-tests prints.
    name : str, optional
        How messages call the file; the path by default.
    devices, nodes : int, optional
        P and its nodes, for a log that does not list its ranks.
    link_bandwidth_bytes_per_s : float, optional
        Bytes per second of a device's link, one direction: a series with a bus bandwidth above it reduces in the switch.

    Returns
    -------
    ReduceTable
        A series for each system and fabric. Algorithms are joined, since a library (or whoever made the table) picks the
        fastest, unless two were timed at the same size and devices. Rows without a time, of other collectives, or of one
        device are skipped and counted.

    Raises
    ------
    ScenarioError
        With every fault of the table: file, line, column, rule, value.
    FitError
        If no series is left.
    """
    called = name or str(path)
    if (lines := _log_lines(path)) is not None:
        rows, skipped = _rows_of_log(lines, called, path.stem, devices, nodes)
    else:
        if devices is not None or nodes is not None:
            raise FitError(f"{called}: --devices and --nodes are for logs; this table says itself how many there were")
        rows, skipped = _rows_of_table(path, called)
    series = []
    for label, in_switch, points in _grouped(rows, link_bandwidth_bytes_per_s):
        if len({(point.size_bytes, point.devices, point.nodes) for point in points}) < 2:
            skipped["fewer than two measured (size, devices, nodes) (series)"] += 1
            continue
        series.append(ReduceSeries.of(label, points, in_switch=in_switch))
    if not series:
        left_out = "; ".join(f"{count} x {reason}" for reason, count in skipped.items())
        raise FitError(
            f"{called}: must have a system with at least two measured all-reduces; left out: {left_out or 'nothing'}"
        )
    return ReduceTable(series=tuple(series), skipped=dict(skipped))


def _rows_of_table(path: Path, called: str) -> tuple[list[_Row], Counter[str]]:
    header = read_header(path, name=called)
    if "size_bytes" in header and "device" in header:
        return _checked(read_rows(path, BY_DEVICE, name=called), called, _row_by_device, ("n_gpus", "n_nodes"))
    if "payload_bytes" in header and "system" in header:
        return _checked(read_rows(path, BY_SYSTEM, name=called), called, _row_by_system, ("gpus", "nodes"))
    rule = f"must have the columns {', '.join(BY_DEVICE)}, or {', '.join(BY_SYSTEM)}, or be a log of nccl-tests"
    raise ScenarioError([Fault(called, "", f"{rule}, got {', '.join(header[:12])}")])


def _checked(
    table: Sequence[Mapping[str, Any]], called: str, as_row: Any, places: tuple[str, str]
) -> tuple[list[_Row], Counter[str]]:
    skipped: Counter[str] = Counter()
    rows, faults = [], []
    for row in table:
        devices, nodes = row[places[0]], row[places[1]]
        collective = (row.get("collective") or "all-reduce").lower().replace("_", "-").replace(" ", "-")
        if nodes > devices:
            rule = f"must be at most {places[0]}, {devices}, got {nodes}"
            faults.append(Fault(called, f"line {row['line']}, {places[1]}", rule))
        elif row["time_us"] is None:
            skipped[NO_TIME] += 1
        elif collective not in ("all-reduce", "allreduce"):
            skipped[OTHER_COLLECTIVE] += 1
        elif devices == 1:
            skipped[ONE_DEVICE] += 1
        else:
            rows.append(as_row(row))
    if faults:
        raise ScenarioError(faults)
    return rows, skipped


def _row_by_device(row: Mapping[str, Any]) -> _Row:
    return _Row(
        system=f"{row['source']}/{row['device']}" if row["source"] else row["device"],
        fabric=row["fabric"] or "",
        software=row["algorithm"] or "",
        point=ReducePoint(
            size_bytes=row["size_bytes"],
            devices=row["n_gpus"],
            nodes=row["n_nodes"],
            time_s=row["time_us"] / 1e6,
            error_relative=(row["std_us"] or 0.0) / row["time_us"],
        ),
    )


def _row_by_system(row: Mapping[str, Any]) -> _Row:
    # "4x p6-b200" on 4 nodes and "1x p6-b200" on one are the same system; the 8 of "8x H200" on one node are its devices
    return _Row(
        system=row["system"].removeprefix(f"{row['nodes']}x "),
        fabric="",
        software=row["algo"] or "",
        point=ReducePoint(
            size_bytes=row["payload_bytes"], devices=row["gpus"], nodes=row["nodes"], time_s=row["time_us"] / 1e6
        ),
    )


def _grouped(rows: Sequence[_Row], link: float | None) -> list[tuple[str, bool, list[ReducePoint]]]:
    """Part rows into series: by system, by fabric where it has several, by software where two compete at one point."""
    by_system: dict[str, dict[str, list[_Row]]] = {}
    for row in rows:
        by_system.setdefault(row.system, {}).setdefault(row.fabric, []).append(row)
    found = []
    for system, fabrics in by_system.items():
        for fabric, members in fabrics.items():
            label = f"{system}, {fabric}" if len(fabrics) > 1 else system
            softwares: dict[tuple[float, int, int], set[str]] = {}
            for row in members:
                key = (row.point.size_bytes, row.point.devices, row.point.nodes)
                softwares.setdefault(key, set()).add(row.software)
            compete = any(len(names) > 1 for names in softwares.values())
            parts: dict[str, list[_Row]] = {}
            for row in members:
                parts.setdefault(row.software if compete else "", []).append(row)
            for software, part in parts.items():
                points = [row.point for row in part]
                said = f"{system} {' '.join(dict.fromkeys(row.software for row in part))}"
                fast = link is not None and any(point.bus_bandwidth_bytes_per_s > link for point in points)
                named = bool(IN_SWITCH.search(said)) and not SWITCHED_OFF.search(said)
                found.append((f"{label}, {software}" if software else label, fast or named, points))
    return found


PREFIX = re.compile(r"^\[\d+,\d+\]<std(?:out|err)>:\s?")
HEADER = re.compile(r"^#\s+size\s+count\s+type\b")
RESULT = re.compile(r"^\s*\d+\s+\d+\s+[a-z]\w*\s+\S+\s")
RANK = re.compile(r"^#\s+Rank\s+(\d+)\b.*?\bon\s+(\S+)\s+device\b")
COLUMNS_OF_LOG = ("size", "count", "type", "redop", "root", "time", "algbw", "busbw")


def _log_lines(path: Path) -> list[str] | None:
    """Return the lines of a log of nccl-tests; None where the file is something else, or cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_TABLE_BYTES:
            return None
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError):  # the reader of tables says what is wrong
        return None
    lines = [PREFIX.sub("", line) for line in text.splitlines()]
    return lines if any(HEADER.match(line) or RESULT.match(line) for line in lines) else None


def _rows_of_log(
    lines: Sequence[str], called: str, system: str, devices: int | None, nodes: int | None
) -> tuple[list[_Row], Counter[str]]:
    """Read the out-of-place column of a log, run by run: each run lists its ranks, then its results."""
    skipped: Counter[str] = Counter()
    rows: list[_Row] = []
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
                _result(out_of_place, P, N, system, rows, skipped)
            except ValueError as error:
                faults.append(Fault(called, f"line {number}", str(error)))
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], Fault(called, "", f"and {len(faults) - MOST_FAULTS} more faults")]
    if faults:
        raise ScenarioError(faults)
    return rows, skipped


def _one_of(what: str, given: int | None, listed: int | None) -> int:
    if given is not None and listed is not None and given != listed:
        raise ValueError(f"--{what} must be what the log lists, {listed}, got {given}")
    if given is None and listed is None:
        raise ValueError(f"the log does not list its ranks: say how many {what} there were with --{what}")
    return int(given or listed or 0)


def _result(cells: Mapping[str, str], P: int, N: int, system: str, rows: list[_Row], skipped: Counter[str]) -> None:
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
    point = ReducePoint(size_bytes=size, devices=P, nodes=N, time_s=time_us / 1e6)
    rows.append(_Row(system=system, fabric="", software="", point=point))


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


def read_reduce_targets(path: Path) -> tuple[tuple[float, int, int], ...]:
    """Read (size_bytes, devices, nodes) to predict: columns size_bytes, n_gpus, n_nodes, or names as in either table."""
    header = read_header(path)
    columns = next((names for names in TARGETS if set(names) <= set(header)), TARGETS[0])
    rows = read_rows(path, columns)
    size, devices, nodes = columns
    faults = [
        Fault(str(path), f"line {row['line']}, {column}", rule)
        for row in rows
        for column, rule in (
            (devices, f"must be a whole number >= 2, got {row[devices]}" if row[devices] < 2 else ""),
            (nodes, f"must be at most {devices}, {row[devices]}, got {row[nodes]}" if row[nodes] > row[devices] else ""),
        )
        if rule
    ]
    if faults:
        raise ScenarioError(faults)
    return tuple((row[size], row[devices], row[nodes]) for row in rows)


def chosen_system(series: Sequence[ReduceSeries], name: str | None) -> Sequence[ReduceSeries]:
    """Return the series of that name, or all of them; FitError with the nearest name where there is none."""
    if name is None:
        return series
    found = [one for one in series if one.name == name]
    if not found:
        raise FitError(f"no system is named {name!r}{did_you_mean(name, [one.name for one in series])}")
    return found
