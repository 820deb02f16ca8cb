"""Tables of measured step times in: rows parted into series, placements read, faults named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.calibration.step_time_series import StepPlace, StepPoint, StepTimeSeries
from simulator.errors import Fault, FitError, ScenarioError
from simulator.tables import Column, read_header, read_rows

__all__ = ["MeasuredSteps", "StepTimeTable", "fitted_series", "read_step_time_targets", "read_step_times"]

MOST_GPUS = 2**24
WORDS = Column(kind="text", needed=False, empty=True)
PLACE = {
    "local_batch": Column(above=0.0, most=1e12),
    "n_gpus": Column(kind="whole", least=1, most=MOST_GPUS),
    "n_nodes": Column(kind="whole", needed=False, empty=True, least=1, most=MOST_GPUS),
    "placement": WORDS,
    "accumulation": Column(kind="whole", needed=False, empty=True, least=1, most=1e6),
}
COLUMNS = {
    **PLACE,
    "step_time_s": Column(above=0.0, most=1e9),
    "sync_time_s": Column(needed=False, empty=True, least=0.0, most=1e9),
    "series": WORDS,
    "source": WORDS,
    "workload": WORDS,
    "gpu": WORDS,
    "variant": WORDS,
}
"""What is read of a table; further columns are left alone."""

MANY_PLACEMENTS = ("placements", "scalability")
"""Variants that are one series: the same system timed at few nodes in every placement, and at many nodes."""

ONE_GPU = "single"
"""Variant of one GPU that belongs to every other variant of the same source, workload and GPU."""

WAIT_TOO_LONG = "exposed wait not below the step time: the wait left out (rows)"
TOO_FEW = "fewer than two measured (local_batch, n_gpus, placement) (series)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSteps:
    """The rows of one series.

    Parameters
    ----------
    name : str
        What it is called: source/workload, with GPU and variant where the source has several.
    gpu : str
        The GPU as the table has it; empty where it does not say.
    points : tuple of StepPoint
        One for each row.
    """

    name: str
    gpu: str
    points: tuple[StepPoint, ...]

    @property
    def learners(self) -> tuple[int, ...]:
        """The numbers of GPUs measured, increasing."""
        return tuple(sorted({point.place.learners for point in self.points}))

    def series(self, most_learners: int | None = None) -> StepTimeSeries:
        """Return the series to fit, rows of one place joined, up to a number of GPUs; FitError where too little is left."""
        kept = [p for p in self.points if most_learners is None or p.place.learners <= most_learners]
        return StepTimeSeries.of(self.name, kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimeTable:
    """What a file of step times holds.

    Parameters
    ----------
    series : tuple of MeasuredSteps
        In the order of the file.
    skipped : mapping of str to int
        What was left out, by reason.
    """

    series: tuple[MeasuredSteps, ...]
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    source: str
    workload: str
    gpu: str
    variant: str
    point: StepPoint


def read_step_times(path: Path, *, name: str | None = None) -> StepTimeTable:
    """Read measured step times.

    Parameters
    ----------
    path : Path
        CSV with the columns local_batch, n_gpus, n_nodes or placement, step_time_s [, sync_time_s, accumulation, series,
        source, workload, gpu, variant]. `placement` has one digit for each node, the GPUs used on it; what is none is left
        alone where n_nodes says how many nodes there were.
    name : str, optional
        How messages call the file; the path by default.

    Returns
    -------
    StepTimeTable
        A series for each name in `series`, else for each (source, workload, gpu, variant): the variants "placements" and
        "scalability" are one, and rows of the variant "single" belong to every other variant of their source, workload and GPU.

    Raises
    ------
    ScenarioError
        With every fault of the table: file, line, column, rule, value.
    """
    called = name or str(path)
    header = read_header(path, name=called)
    skipped: Counter[str] = Counter()
    faults: list[Fault] = []
    if "n_nodes" not in header and "placement" not in header:
        faults.append(Fault(called, "n_nodes", "is missing, and so is placement: one of them must say how GPUs are spread"))
    table = read_rows(path, COLUMNS, name=called) if not faults else []
    named: dict[str, list[_Row]] = {}
    rows: list[_Row] = []
    for row in table:
        try:
            place = _place(row)
        except _PlaceError as error:
            faults.append(Fault(called, f"line {row['line']}, {error.column}", error.rule))
            continue
        wait, step_s = row["sync_time_s"], row["step_time_s"]
        if wait is not None and wait >= step_s:
            skipped[WAIT_TOO_LONG] += 1
            wait = None
        point = StepPoint(place=place, step_time_s=step_s, compute_time_s=None if wait is None else step_s - wait)
        found = _Row(**{key: row[key] or "" for key in ("source", "workload", "gpu", "variant")}, point=point)
        if row["series"]:
            named.setdefault(row["series"], []).append(found)
        else:
            rows.append(found)
    if faults:
        raise ScenarioError(faults)
    series = [*_grouped(rows, path.stem), *(_measured(key, members) for key, members in named.items())]
    return StepTimeTable(series=tuple(series), skipped=dict(skipped))


class _PlaceError(Exception):
    """A row whose placement cannot be."""

    def __init__(self, column: str, rule: str) -> None:
        self.column, self.rule = column, rule
        super().__init__(f"{column}: {rule}")


def _place(row: Mapping[str, Any]) -> StepPlace:
    """Return where a row was measured."""
    P, N, said = row["n_gpus"], row["n_nodes"], row["placement"]
    if N is not None and N > P:
        raise _PlaceError("n_nodes", f"must be at most n_gpus, {P}, got {N}")
    digits = [int(digit) for digit in said] if said is not None and said.isascii() and said.isdigit() else []
    listed = bool(digits) and min(digits) > 0 and sum(digits) == P and N in (None, len(digits))
    if N is None and not listed:
        if said is None:
            raise _PlaceError("n_nodes", "must not be empty where placement is")
        raise _PlaceError("placement", f"must have one digit for each node, adding up to n_gpus, {P}, got {said!r}")
    at = {"local_samples": row["local_batch"], "learners": P, "micro_steps": row["accumulation"] or 1}
    if listed:
        return StepPlace(**at, nodes=len(digits), fullest_node=max(digits))
    return StepPlace.even(**at, nodes=N)


def _measured(name: str, rows: Sequence[_Row]) -> MeasuredSteps:
    return MeasuredSteps(name=name, gpu=rows[0].gpu, points=tuple(row.point for row in rows))


def _grouped(rows: Sequence[_Row], stem: str) -> list[MeasuredSteps]:
    """Part rows into series by source, workload, GPU and variant."""
    lone: dict[tuple[str, str, str], list[_Row]] = {}
    parts: dict[tuple[str, str, str, str], list[_Row]] = {}
    for row in rows:
        of = (row.source, row.workload, row.gpu)
        if row.variant == ONE_GPU and row.point.place.learners == 1:
            lone.setdefault(of, []).append(row)
        else:
            variant = MANY_PLACEMENTS[0] if row.variant in MANY_PLACEMENTS else row.variant
            parts.setdefault((*of, variant), []).append(row)
    for of, members in lone.items():
        joined = [key for key in parts if key[:3] == of]
        for key in joined or [(*of, ONE_GPU)]:
            parts.setdefault(key, []).extend(members)
    several = {source: [{key[i] for key in parts if key[0] == source} for i in (2, 3)] for source, *_ in parts}
    found = []
    for (source, workload, gpu, variant), members in parts.items():
        telling = [word for word, all_of in zip((gpu, variant), several[source], strict=True) if len(all_of) > 1]
        words = [source, workload, *telling]
        found.append(_measured("/".join(filter(None, words)) or stem, members))
    return found


def read_step_time_targets(path: Path, *, node_size: int) -> tuple[StepPlace, ...]:
    """Read places to predict: columns local_batch, n_gpus [, n_nodes, placement, accumulation].

    Parameters
    ----------
    path : Path
        CSV.
    node_size : int
        GPUs of a node, where a row says neither n_nodes nor placement: nodes are then filled up.

    Raises
    ------
    ScenarioError
        With every fault.
    """
    faults, found = [], []
    for row in read_rows(path, PLACE):
        if row["n_nodes"] is None and row["placement"] is None:
            row["n_nodes"] = -(-row["n_gpus"] // node_size)
        try:
            found.append(_place(row))
        except _PlaceError as error:
            faults.append(Fault(str(path), f"line {row['line']}, {error.column}", error.rule))
    if faults:
        raise ScenarioError(faults)
    return tuple(found)


def fitted_series(table: StepTimeTable, most_learners: int | None, called: str) -> tuple[list[StepTimeSeries], dict[str, int]]:
    """Return the series of a table that can be fitted, up to a number of GPUs, and what was left out by reason.

    Raises
    ------
    FitError
        If none is left.
    """
    skipped: Counter[str] = Counter(table.skipped)
    found = []
    for one in table.series:
        kept = [p for p in one.points if most_learners is None or p.place.learners <= most_learners]
        if most_learners is not None:
            skipped[f"more than {most_learners} GPUs (rows)"] += len(one.points) - len(kept)
        if len({point.place for point in kept}) < 2:
            skipped[TOO_FEW] += 1
            continue
        found.append(one.series(most_learners))
    if not found:
        left_out = "; ".join(f"{count} x {reason}" for reason, count in skipped.items() if count)
        raise FitError(f"{called}: must have a series with at least two measured steps; left out: {left_out}")
    return found, {reason: count for reason, count in skipped.items() if count}
