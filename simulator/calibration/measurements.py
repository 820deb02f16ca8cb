"""Tables of measurements in: updates to converge against the mini-batch size, runs at one size joined, faults named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from simulator.calibration.censoring import CensoredRuns, SizeRuns, tobit_means
from simulator.errors import Fault, FitError, ScenarioError
from simulator.messages import did_you_mean
from simulator.quantities import FloatArray
from simulator.tables import Column, read_header, read_rows

__all__ = ["MeasuredUpdates", "UpdatesSeries", "read_batch_samples", "read_updates", "updates_series"]

FINISHED_WORDS = ("finished", "converged", "success", "ok", "yes", "true", "1")
CENSORED_WORDS = ("censored", "diverged", "unfinished", "not reached", "limit", "timeout", "out_of_time")
"""Outcomes of runs that made so many updates without reaching the target; a run that diverged never will."""
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

ASSUMED_RUN_TO_RUN = 0.038
"""Relative standard deviation of single runs where the table says nothing of it: median over the MLPerf reference
points whose runs differ at all (quartiles of all points 1.4 and 6.6 %)."""

POOL_DEGREES = 4.0
"""Degrees of freedom that the pooled run-to-run spread lends to the spread of a single batch size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredUpdates:
    """One row of a table: the mean of some runs at one mini-batch size, or runs that did not reach the target.

    Parameters
    ----------
    batch_samples : float
        M, all learners, samples, > 0.
    updates : float
        Mean updates to converge, > 0; of censored runs, the updates that each made without reaching the target.
    updates_std : float or None
        Standard deviation of the runs around their mean, updates; None where not known.
    runs : int or None
        How many runs; None where not known (taken as one).
    censored : bool
        The runs ended before the target: they take more than `updates`.
    """

    batch_samples: float
    updates: float
    updates_std: float | None = None
    runs: int | None = None
    censored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesSeries:
    """Updates to converge at several mini-batch sizes, everything else held: what a law is fitted to.

    Parameters
    ----------
    name : str
        What it is called.
    batch_samples : tuple of float
        M, samples, increasing, at least two: those at which a run reached the target.
    updates : tuple of float
        Mean updates to converge, > 0.
    runs : tuple of int
        Finished runs behind each mean.
    relative_errors : tuple of float
        Standard error of each mean, relative to it; 0 where nothing is known.
    run_to_run_relative : float or None
        Relative standard deviation of single runs, pooled over the batch sizes; None where nothing is known.
    unreached : tuple of CensoredRuns
        Batch sizes at which no run reached the target, increasing.
    censored_runs : tuple of int
        For each of `batch_samples`, the runs that did not reach it; its mean counts them.
    """

    name: str
    batch_samples: tuple[float, ...]
    updates: tuple[float, ...]
    runs: tuple[int, ...]
    relative_errors: tuple[float, ...]
    run_to_run_relative: float | None
    unreached: tuple[CensoredRuns, ...] = ()
    censored_runs: tuple[int, ...] = ()

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
        In any order. Rows of one batch size count as further runs of it, finished or censored.

    Returns
    -------
    UpdatesSeries
        The spread of single runs is pooled over all batch sizes (relative, by degrees of freedom); each batch size's own
        spread is shrunk towards it, since a standard deviation of a few runs, or of runs that stop at whole evaluations, is
        a poor one. A standard deviation given without a number of runs is taken as the error of the row. Where some runs of a
        batch size finished and others were censored, its mean and error are those of all of them (`tobit_means`).

    Raises
    ------
    FitError
        If there are fewer than two batch sizes with a finished run.
    """
    by_size: dict[float, list[MeasuredUpdates]] = {}
    cut: dict[tuple[float, float], int] = {}
    for row in rows:
        if row.censored:
            cut[row.batch_samples, row.updates] = cut.get((row.batch_samples, row.updates), 0) + (row.runs or 1)
        else:
            by_size.setdefault(row.batch_samples, []).append(row)
    censored: dict[float, list[CensoredRuns]] = {}
    for (size, limit), count in sorted(cut.items()):
        censored.setdefault(size, []).append(CensoredRuns(batch_samples=size, at_least_updates=limit, runs=count))
    sizes = sorted(by_size)
    if len(sizes) < 2:
        found = f"one, {sizes[0]:g}, measured {len(by_size[sizes[0]])} times" if sizes else "none"
        lost = f"; at {len(set(censored) - set(sizes))} others no run reached the target" if set(censored) - set(sizes) else ""
        raise FitError(f"{name}: must have at least two batch sizes to fit a law of the batch size, got {found}{lost}")
    means, counts, squares, degrees = [], [], [], []
    for size in sizes:
        mean, count, total, freedom = _joined(by_size[size])
        means.append(mean)
        counts.append(count)
        squares.append(total / mean**2)
        degrees.append(freedom)
    pooled = None
    if sum(degrees) > 0 and sum(squares) > 0:
        pooled = float(np.sqrt(sum(squares) / sum(degrees)))
    errors = [0.0] * len(sizes)
    mixed = [size for size in sizes if size in censored]
    tobit_errors: dict[float, float] = {}
    if mixed:
        some = [
            SizeRuns(
                mean_log=_mean_log(by_size[size]), finished=counts[i], squares=squares[i], degrees=degrees[i],
                censored=tuple(censored.get(size, ())),
            )
            for i, size in enumerate(sizes)
        ]  # fmt: skip
        logs, log_errors, sd = tobit_means(some, pooled or ASSUMED_RUN_TO_RUN)
        pooled = sd if pooled is not None else None
        for i, size in enumerate(sizes):
            if size in censored:
                means[i], tobit_errors[size] = float(np.exp(logs[i] + 0.5 * sd * sd)), log_errors[i]
    if pooled is not None:
        errors = [
            float(np.sqrt((own + POOL_DEGREES * pooled**2) / (freedom + POOL_DEGREES) / count))
            for own, freedom, count in zip(squares, degrees, counts, strict=True)
        ]
    errors = [tobit_errors.get(size, error) for size, error in zip(sizes, errors, strict=True)]
    return UpdatesSeries(
        name=name,
        batch_samples=tuple(sizes),
        updates=tuple(means),
        runs=tuple(counts),
        relative_errors=tuple(errors),
        run_to_run_relative=pooled,
        unreached=tuple(runs for size in sorted(set(censored) - set(sizes)) for runs in censored[size]),
        censored_runs=tuple(sum(runs.runs for runs in censored.get(size, ())) for size in sizes),
    )


def _joined(rows: Sequence[MeasuredUpdates]) -> tuple[float, int, float, float]:
    """Join the finished rows of a batch size: mean, runs, sum of squared deviations, its degrees of freedom."""
    runs = np.array([row.runs or 1 for row in rows], dtype=np.float64)
    values = np.array([row.updates for row in rows])
    mean = float(np.average(values, weights=runs))
    within = [(row.runs - 1, row.updates_std) for row in rows if row.runs and row.runs > 1 and row.updates_std]
    lone = [row.updates_std for row in rows if not row.runs and row.updates_std]
    total = sum(n * sd * sd for n, sd in within) + float(np.sum(runs * (values - mean) ** 2)) + sum(sd * sd for sd in lone)
    freedom = sum(n for n, _ in within) + (len(values) - 1) + len(lone)
    return mean, int(runs.sum()), total, float(freedom)


def _mean_log(rows: Sequence[MeasuredUpdates]) -> float:
    """Mean of the logarithms of all runs; of a row of several runs from their mean and spread."""
    runs = [row.runs or 1 for row in rows]
    logs = [np.log(row.updates) - 0.5 * ((row.updates_std or 0.0) / row.updates) ** 2 * (row.runs is not None) for row in rows]
    return float(np.average(logs, weights=runs))


def read_updates(path: Path) -> tuple[UpdatesSeries, ...]:
    """Read a table with the columns batch_samples, updates [, updates_std, runs, series, outcome].

    Parameters
    ----------
    path : Path
        CSV. `series` parts the table into series (one, named after the file, without it). `outcome` (or a yes/no column
        finished, converged, censored or diverged) says whether the runs ended at the target; where they did not, `updates` is
        how many each made without.

    Returns
    -------
    tuple of UpdatesSeries
        In the order of the file.

    Raises
    ------
    ScenarioError
        With every fault of the table: file, line, column, rule, value; among them outcomes that say neither.
    FitError
        If a series has fewer than two batch sizes at which a run finished.
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
    faults = [fault for row in rows for fault in _unclear(str(path), row)]
    if faults:
        raise ScenarioError(faults)
    grouped: dict[str, list[MeasuredUpdates]] = {}
    for row in rows:
        numbers = {key: row[key] for key in ("batch_samples", "updates", "updates_std", "runs")}
        measured = MeasuredUpdates(**numbers, censored=_is_censored(row))
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


def _unclear(file: str, row: Mapping[str, Any]) -> list[Fault]:
    """Return a fault for a row whose outcome says neither that its runs reached the target nor that they did not."""
    known = (*FINISHED_WORDS, *CENSORED_WORDS)
    return [
        Fault(file, f"line {row['line']}, {column}", f"must be finished, censored or diverged, got {row[column]!r}")
        for column in ("outcome", "status")
        if row[column] is not None and row[column].lower() not in known
    ]


def _is_censored(row: Mapping[str, Any]) -> bool:
    """Whether a row says that its runs ended before the target."""
    words = [row[column].lower() for column in ("outcome", "status") if row[column] is not None]
    flags = [row[column] is False for column in ("finished", "converged")] + [row[c] is True for c in ("censored", "diverged")]
    return any(word in CENSORED_WORDS for word in words) or any(flags)


def read_batch_samples(path: Path) -> tuple[float, ...]:
    """Read the column batch_samples of a table: the batch sizes to predict."""
    return tuple(row["batch_samples"] for row in read_rows(path, {"batch_samples": UPDATES_COLUMNS["batch_samples"]}))


def half_width90(series: UpdatesSeries, batch_samples: float) -> float:
    """Relative half-width of the 90 % interval of the mean at a batch size, by Student's t with its own degrees of freedom.

    Infinite where it has one run, or nothing is known of the spread. Two runs that happen to agree are no precision: t is 6.3.
    """
    from scipy.stats import t

    place = series.batch_samples.index(batch_samples)
    runs, error = series.runs[place], series.relative_errors[place]
    return float(t.ppf(0.95, runs - 1)) * error if runs > 1 and error > 0 else float("inf")


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
