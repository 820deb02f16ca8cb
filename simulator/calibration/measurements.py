"""Tables of measurements in: updates to converge against the mini-batch size, runs at one size joined, faults named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from simulator.errors import Fault, FitError, ScenarioError
from simulator.messages import did_you_mean
from simulator.quantities import FloatArray
from simulator.tables import Column, read_header, read_rows

__all__ = ["MeasuredUpdates", "UpdatesSeries", "read_batch_samples", "read_updates", "updates_series"]

FINISHED_WORDS = ("finished", "converged", "success", "ok", "yes", "true", "1")
OUTCOME = Column(kind="text", needed=False, empty=True)
UPDATES_COLUMNS = {
    "batch_samples": Column(above=0.0, most=1e15),
    "updates": Column(least=1.0, most=1e15),
    "updates_std": Column(needed=False, empty=True, least=0.0, most=1e15),
    "runs": Column(kind="whole", needed=False, empty=True, least=1, most=1e9),
    "series": Column(kind="text", needed=False, empty=True),
    "outcome": OUTCOME,
    "status": OUTCOME,
    "finished": Column(kind="flag", needed=False, empty=True),
    "converged": Column(kind="flag", needed=False, empty=True),
    "censored": Column(kind="flag", needed=False, empty=True),
    "diverged": Column(kind="flag", needed=False, empty=True),
}
OUTCOME_COLUMNS = ("outcome", "status", "finished", "converged", "censored", "diverged")
"""The table of `fit updates`; the last six say whether the runs of a row ended at the target."""

POOL_DEGREES = 4.0
"""Degrees of freedom that the pooled run-to-run spread lends to the spread of a single batch size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredUpdates:
    """One row of a table: the mean of some runs at one mini-batch size.

    Parameters
    ----------
    batch_samples : float
        M, all learners, samples, > 0.
    updates : float
        Mean updates to converge, > 0.
    updates_std : float or None
        Standard deviation of the runs around their mean, updates; None where not known.
    runs : int or None
        How many runs; None where not known (taken as one).
    """

    batch_samples: float
    updates: float
    updates_std: float | None = None
    runs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesSeries:
    """Updates to converge at several mini-batch sizes, everything else held: what a law is fitted to.

    Parameters
    ----------
    name : str
        What it is called.
    batch_samples : tuple of float
        M, samples, increasing, at least two.
    updates : tuple of float
        Mean updates to converge, > 0.
    runs : tuple of int
        Runs behind each mean.
    relative_errors : tuple of float
        Standard error of each mean, relative to it; 0 where nothing is known.
    run_to_run_relative : float or None
        Relative standard deviation of single runs, pooled over the batch sizes; None where nothing is known.
    """

    name: str
    batch_samples: tuple[float, ...]
    updates: tuple[float, ...]
    runs: tuple[int, ...]
    relative_errors: tuple[float, ...]
    run_to_run_relative: float | None

    def __post_init__(self) -> None:
        if len(self.batch_samples) < 2:
            raise FitError(f"{self.name}: must have at least two batch sizes, got {len(self.batch_samples)}")


def updates_series(name: str, rows: Iterable[MeasuredUpdates]) -> UpdatesSeries:
    """Join rows to a series: rows of the same batch size become one point, in increasing order.

    Parameters
    ----------
    name : str
        What the series is called.
    rows : iterable of MeasuredUpdates
        In any order. Rows of one batch size count as further runs of it.

    Returns
    -------
    UpdatesSeries
        The spread of single runs is pooled over all batch sizes (relative, by degrees of freedom); each batch size's own
        spread is shrunk towards it, since a standard deviation of a few runs, or of runs that stop at whole evaluations, is
        a poor one. A standard deviation given without a number of runs is taken as the error of the row.

    Raises
    ------
    FitError
        If there are fewer than two batch sizes.
    """
    by_size: dict[float, list[MeasuredUpdates]] = {}
    for row in rows:
        by_size.setdefault(row.batch_samples, []).append(row)
    sizes = sorted(by_size)
    if len(sizes) < 2:
        found = f"one, {sizes[0]:g}, measured {len(by_size[sizes[0]])} times" if sizes else "none"
        raise FitError(f"{name}: must have at least two batch sizes to fit a law of the batch size, got {found}")
    means, counts, squares, degrees = [], [], [], []
    for size in sizes:
        runs = np.array([row.runs or 1 for row in by_size[size]], dtype=np.float64)
        values = np.array([row.updates for row in by_size[size]])
        mean = float(np.average(values, weights=runs))
        within = [(row.runs - 1, row.updates_std) for row in by_size[size] if row.runs and row.runs > 1 and row.updates_std]
        lone = [row.updates_std for row in by_size[size] if not row.runs and row.updates_std]
        total = sum(n * sd * sd for n, sd in within) + float(np.sum(runs * (values - mean) ** 2)) + sum(sd * sd for sd in lone)
        freedom = sum(n for n, _ in within) + (len(values) - 1) + len(lone)
        means.append(mean)
        counts.append(int(runs.sum()))
        squares.append(total / mean**2)
        degrees.append(float(freedom))
    pooled = None
    if sum(degrees) > 0 and sum(squares) > 0:
        pooled = float(np.sqrt(sum(squares) / sum(degrees)))
    errors = [0.0] * len(sizes)
    if pooled is not None:
        errors = [
            float(np.sqrt((own + POOL_DEGREES * pooled**2) / (freedom + POOL_DEGREES) / count))
            for own, freedom, count in zip(squares, degrees, counts, strict=True)
        ]
    return UpdatesSeries(
        name=name,
        batch_samples=tuple(sizes),
        updates=tuple(means),
        runs=tuple(counts),
        relative_errors=tuple(errors),
        run_to_run_relative=pooled,
    )


def read_updates(path: Path) -> tuple[UpdatesSeries, ...]:
    """Read a table with the columns batch_samples, updates [, updates_std, runs, series, outcome].

    Parameters
    ----------
    path : Path
        CSV. `series` parts the table into series (one, named after the file, without it). `outcome` (or a yes/no column
        finished, converged, censored or diverged) says whether the runs ended at the target.

    Returns
    -------
    tuple of UpdatesSeries
        In the order of the file.

    Raises
    ------
    ScenarioError
        With every fault of the table: file, line, column, rule, value; among them rows that did not reach the target.
    FitError
        If a series has fewer than two batch sizes.
    """
    header = read_header(path)
    slips = [(name, get_close_matches(name.lower(), OUTCOME_COLUMNS, n=1, cutoff=0.8)) for name in header]
    misspelt = [
        Fault(str(path), name, f"unknown column; did you mean {near[0]!r}?")
        for name, near in slips
        if near and name not in near
    ]
    if misspelt:
        raise ScenarioError(misspelt)
    rows = read_rows(path, UPDATES_COLUMNS)
    faults = [fault for row in rows for fault in _unfinished(str(path), row)]
    if faults:
        raise ScenarioError(faults)
    grouped: dict[str, list[MeasuredUpdates]] = {}
    for row in rows:
        measured = MeasuredUpdates(**{key: row[key] for key in ("batch_samples", "updates", "updates_std", "runs")})
        grouped.setdefault(row["series"] or path.stem, []).append(measured)
    short = [str(_refusal(name, measured)) for name, measured in grouped.items() if _refusal(name, measured)]
    if short:
        raise FitError("\n".join(f"{path}: {text}" for text in short))
    return tuple(updates_series(name, measured) for name, measured in grouped.items())


def _refusal(name: str, rows: Sequence[MeasuredUpdates]) -> FitError | None:
    try:
        updates_series(name, rows)
    except FitError as error:
        return error
    return None


def _unfinished(file: str, row: Mapping[str, Any]) -> list[Fault]:
    """Return a fault for a row whose runs did not end at the target: its count of updates is not updates to converge."""
    why = "so its updates are not updates to converge: leave the row out"
    line = row["line"]
    for column in ("outcome", "status"):
        if row[column] is not None and row[column].lower() not in FINISHED_WORDS:
            return [Fault(file, f"line {line}, {column}", f"must be finished, got {row[column]!r}, {why}")]
    for column, good in (("finished", True), ("converged", True), ("censored", False), ("diverged", False)):
        if row[column] is not None and row[column] is not good:
            return [Fault(file, f"line {line}, {column}", f"must be {'yes' if good else 'no'}: the run did not end, {why}")]
    return []


def read_batch_samples(path: Path) -> tuple[float, ...]:
    """Read the column batch_samples of a table: the batch sizes to predict."""
    return tuple(row["batch_samples"] for row in read_rows(path, {"batch_samples": UPDATES_COLUMNS["batch_samples"]}))


class Named(Protocol):
    """A series with a name."""

    @property
    def name(self) -> str:
        """What it is called."""


SomeSeries = TypeVar("SomeSeries", bound=Named)


def chosen(series: Sequence[SomeSeries], name: str | None, *, called: str = "series") -> Sequence[SomeSeries]:
    """Return the series of that name, or all of them; FitError with the nearest name where there is none."""
    if name is None:
        return series
    found = [one for one in series if one.name == name]
    if not found:
        raise FitError(f"no {called} is named {name!r}{did_you_mean(name, [one.name for one in series])}")
    return found


def as_arrays(series: UpdatesSeries) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log M, log N and the relative errors of the means, each of shape (n,)."""
    return (
        np.log(np.asarray(series.batch_samples)),
        np.log(np.asarray(series.updates)),
        np.asarray(series.relative_errors, dtype=np.float64),
    )
