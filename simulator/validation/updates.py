"""How good is the updates law? Every published series fitted and predicted: its own points, each one left out, the largest.

Two kinds of tables: MLPerf reference convergence points (updates against global batch size, by version and benchmark), and
steps to a target against batch size as published in papers. A fit sees its own series only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.calibration.measurements import MeasuredUpdates, updates_series
from simulator.calibration.updates import UpdatesFit, fit_updates
from simulator.errors import Fault, ScenarioError
from simulator.tables import Column, read_header, read_rows
from simulator.validation.rows import Prediction, Validation

__all__ = ["SHIPPED_TABLES", "PublishedSeries", "read_published", "validate_updates"]

DATA = Path(__file__).parent / "data"
SHIPPED_TABLES = (DATA / "mlperf_rcp.csv", DATA / "updates_vs_batch.csv")

REFERENCE_POINTS = {
    "version": Column(kind="text"),
    "benchmark": Column(kind="text"),
    "optimizer": Column(kind="text", empty=True),
    "batch_size": Column(above=0.0, most=1e15),
    "n_runs": Column(kind="whole", empty=True, least=1, most=1e9),
    "updates_mean": Column(empty=True, least=1e-9, most=1e15),
    "updates_std": Column(empty=True, least=0.0, most=1e15),
}
"""Header of the reference points; further columns are left alone."""

PUBLISHED_STEPS = {
    "source": Column(kind="text"),
    "series": Column(kind="text"),
    "batch_size": Column(above=0.0, most=1e15),
    "steps": Column(empty=True, least=1e-9, most=1e15),
    "steps_kind": Column(kind="text", empty=True),
}
"""Header of the published steps against batch size."""

FEWEST_LEFT_OUT = 4
"""Batch sizes that a series needs before points are left out."""

BY_CONSTRUCTION = "by construction"
RELATIVE_UNIT = 1e6
"""Steps given relative to one batch size are fitted as so many updates: a law has at least one update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSeries:
    """One series of a table of published measurements.

    Parameters
    ----------
    name, part : str
        What it is called, and the kind of table it is from.
    rows : tuple of MeasuredUpdates
        Its points.
    relative : bool
        Whether its updates are relative to one batch size: absolute ones are not known.
    by_construction : bool
        Whether the points were computed with an inverse law in the first place.
    """

    name: str
    part: str
    rows: tuple[MeasuredUpdates, ...]
    relative: bool = False
    by_construction: bool = False

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """Batch sizes and updates in order: what makes two series identical."""
        return tuple(sorted((row.batch_samples, row.updates) for row in self.rows))


def read_published(path: Path, *, name: str | None = None) -> tuple[list[PublishedSeries], dict[str, int]]:
    """Read a table with the header of the reference points or of the published steps.

    Returns
    -------
    (list of PublishedSeries, dict of str to int)
        The series, those of earlier versions first, and rows left out by reason.

    Raises
    ------
    ScenarioError
        With every fault: file, line, column, rule, value.
    """
    called = name or str(path)
    header = read_header(path, name=called)
    skipped: dict[str, int] = {}
    grouped: dict[tuple[str, ...], list[MeasuredUpdates]] = {}
    if "benchmark" in header and "updates_mean" in header:
        for row in read_rows(path, REFERENCE_POINTS, name=called):
            key = (row["version"], row["benchmark"], row["optimizer"] or "-")
            if row["updates_mean"] is None:
                _count(skipped, "reference point without updates (row)")
                continue
            measured = MeasuredUpdates(
                batch_samples=row["batch_size"],
                updates=row["updates_mean"],
                updates_std=row["updates_std"],
                runs=row["n_runs"],
            )
            grouped.setdefault(key, []).append(measured)
        ordered = sorted(grouped.items(), key=lambda item: _version(item[0][0]))
        return [PublishedSeries(name="/".join(key), part="mlperf", rows=tuple(rows)) for key, rows in ordered], skipped
    if "series" not in header or "steps" not in header:
        rule = (
            f"must have the columns {', '.join(REFERENCE_POINTS)} or {', '.join(PUBLISHED_STEPS)}, got {', '.join(header[:12])}"
        )
        raise ScenarioError([Fault(called, "", rule)])
    kinds: dict[tuple[str, ...], set[str]] = {}
    for row in read_rows(path, PUBLISHED_STEPS, name=called):
        if row["steps"] is None:
            _count(skipped, "row without steps (row)")
            continue
        kinds.setdefault((row["series"],), set()).add(row["steps_kind"] or "absolute")
        grouped.setdefault((row["series"],), []).append(MeasuredUpdates(batch_samples=row["batch_size"], updates=row["steps"]))
    mixed = [key[0] for key, found in kinds.items() if len(found) > 1]
    if mixed:
        raise ScenarioError([Fault(called, "steps_kind", f"must be one in a series, got several in {key}") for key in mixed])
    return [
        PublishedSeries(
            name=key[0],
            part="published",
            rows=tuple(rows),
            relative=kinds[key] != {"absolute"},
            by_construction=key[0].endswith("/progress"),
        )
        for key, rows in grouped.items()
    ], skipped


def _version(text: str) -> tuple[float, ...]:
    """Return a version as numbers, so that 1.10 comes after 1.9; words come last."""
    return tuple(float(part) if part.isdecimal() else float("inf") for part in text.removeprefix("v").split("."))


def _count(skipped: dict[str, int], reason: str) -> None:
    skipped[reason] = skipped.get(reason, 0) + 1


def validate_updates(tables: Iterable[tuple[Sequence[PublishedSeries], dict[str, int]]]) -> Validation:
    """Fit every series, and predict its points in sample, each interior one left out, and the largest left out.

    Parameters
    ----------
    tables : iterable of (sequence of PublishedSeries, dict of str to int)
        As `read_published` returns them.

    Returns
    -------
    Validation
        Groups in_sample, interior and largest, and the same of series that obey the law by construction; quantities
        "law", the inverse law by plain least squares, and "default", what the tool answers, with the 90 % interval of the
        mean of as many runs as were published.
    """
    skipped: dict[str, int] = {}
    predictions: list[Prediction] = []
    seen: set[Any] = set()
    for listed, left_out in tables:
        for reason, count in left_out.items():
            skipped[reason] = skipped.get(reason, 0) + count
        for published in listed:
            if published.points in seen:
                _count(skipped, "identical to an earlier series (series)")
                continue
            seen.add(published.points)
            sizes = {row.batch_samples for row in published.rows}
            if len(sizes) < 2:
                _count(skipped, "fewer than two batch sizes (series)")
                continue
            if len(sizes) < FEWEST_LEFT_OUT:
                _count(skipped, f"fewer than {FEWEST_LEFT_OUT} batch sizes: in sample only (series)")
            if published.relative:
                _count(skipped, "steps relative to one batch size: kept, but absolute updates unknown (series)")
            predictions += _predictions(published)
    return Validation(
        kind="updates",
        predictions=tuple(predictions),
        skipped=skipped,
        outside_all=("in_sample", *(f"{group}, {BY_CONSTRUCTION}" for group in ("in_sample", "interior", "largest"))),
        primary="default",
    )


def _predictions(published: PublishedSeries) -> list[Prediction]:
    """Return every prediction of one series."""
    unit = RELATIVE_UNIT if published.relative else 1.0
    rows = [
        MeasuredUpdates(batch_samples=row.batch_samples, updates=row.updates * unit, updates_std=row.updates_std, runs=row.runs)
        for row in published.rows
    ]
    whole = updates_series(published.name, rows)
    found: list[Prediction] = []

    def predict(group: str, fit: UpdatesFit, point: int) -> None:
        M, actual = whole.batch_samples[point], whole.updates[point]
        predicted = fit.predict(M)[0].updates
        low, high = fit.mean_of_runs_interval90(M, whole.runs[point])
        law = float(fit.plain.law.n_inf_updates + fit.plain.law.alpha_samples / M) if fit.plain is not None else 0.0
        flag = " [relative steps]" if published.relative else ""
        common: dict[str, Any] = {
            "case": f"{published.name} at {M:g}{flag}",
            "group": f"{group}, {BY_CONSTRUCTION}" if published.by_construction else group,
            "series": published.name,
            "part": "" if published.by_construction else published.part,
            "actual": actual / unit,
        }
        if law > 0:
            found.append(Prediction(quantity="law", predicted=law / unit, **common))
        found.append(Prediction(quantity="default", predicted=predicted / unit, lo90=low / unit, hi90=high / unit, **common))

    fit = fit_updates(whole)
    for point in range(len(whole.batch_samples)):
        predict("in_sample", fit, point)
    if len(whole.batch_samples) >= FEWEST_LEFT_OUT:
        for point in range(1, len(whole.batch_samples)):
            without = updates_series(published.name, [row for row in rows if row.batch_samples != whole.batch_samples[point]])
            group = "largest" if point == len(whole.batch_samples) - 1 else "interior"
            predict(group, fit_updates(without), point)
    return found
