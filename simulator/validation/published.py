"""How far the predictions were off on published data, by kind and group: what `validate` computed, kept beside its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.tables import Column, read_rows
from simulator.validation.rows import Validation

__all__ = ["PUBLISHED_ERRORS", "error_rows", "published_errors"]

PUBLISHED_ERRORS = Path(__file__).parent / "data" / "published_errors.csv"
FIGURES = ("median_abs_error", "p90_abs_error", "coverage90", "median_ratio90")
COLUMNS = {
    "kind": Column(kind="text"),
    "group": Column(kind="text"),
    "cases": Column(kind="whole", least=1),
    "series": Column(kind="whole", least=1),
    **{name: Column(empty=True, least=0.0) for name in FIGURES},
}


def published_errors() -> list[dict[str, Any]]:
    """Return the errors that ship.

    Returns
    -------
    list of dict
        kind, group, cases, series, and relative: median_abs_error, p90_abs_error; coverage90 of the 90 % intervals and
        median_ratio90 (their upper over their lower end) where there are intervals.
    """
    return [{name: row[name] for name in COLUMNS} for row in read_rows(PUBLISHED_ERRORS, COLUMNS, name=PUBLISHED_ERRORS.name)]


def error_rows(kind: str, validation: Validation) -> Iterator[dict[str, Any]]:
    """Yield the rows of a kind for the table that ships: whole groups, four digits.

    Parameters
    ----------
    kind : str
        As `validate` calls it.
    validation : Validation
        Of the data that ship.
    """
    for group, found in validation.summary().items():
        if ": " in group or "by construction" in group:
            continue
        figures = {name: None if found[name] is None else float(f"{found[name]:.4g}") for name in FIGURES}
        yield {"kind": kind, "group": group, "cases": found["cases"], "series": found["series"], **figures}
