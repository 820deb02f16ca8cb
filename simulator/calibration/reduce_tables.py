"""Files of measured all-reduce times in: two CSV headers, or a log of nccl-tests; rows joined to series, faults named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.calibration.nccl_logs import (
    BYTES,
    MICROSECONDS,
    NO_TIME,
    ONE_DEVICE,
    OTHER_COLLECTIVE,
    log_lines,
    points_of_log,
)
from simulator.calibration.reduce_series import ReducePoint, ReduceSeries
from simulator.errors import Fault, FitError, ScenarioError
from simulator.tables import Column, read_header, read_rows

__all__ = ["ReduceTable", "read_reduce", "read_reduce_targets"]

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
    if (lines := log_lines(path)) is not None:
        points, skipped = points_of_log(lines, called, devices, nodes)
        rows = [_Row(system=path.stem, fabric="", software="", point=point) for point in points]
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
