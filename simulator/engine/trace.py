"""What a simulation tells while it runs: a row per update, and spans of time for a timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.quantities import FloatArray

__all__ = ["MemoryRecorder", "Recorder", "Span", "UpdateRows"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpdateRows:
    """Updates of one job in order of time, a value for each.

    Parameters
    ----------
    job : str
        Name of the job.
    update : ndarray of int64
        Number of the update, from 1; one that was lost to a failure comes again.
    start_s, end_s : ndarray of float64
        When it began, and when all that belongs to it was over, a cross-validation pass and a checkpoint after it included.
    compute_s, waiting_s, communication_s, cross_validation_s, checkpoint_s : ndarray of float64
        What its time was spent on, as in `Seconds`; they add up to end_s - start_s.
    failures : ndarray of int64
        Failures of the job before the end of the update.
    """

    job: str
    update: NDArray[np.int64]
    start_s: FloatArray
    end_s: FloatArray
    compute_s: FloatArray
    waiting_s: FloatArray
    communication_s: FloatArray
    cross_validation_s: FloatArray
    checkpoint_s: FloatArray
    failures: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.update)

    def columns(self) -> dict[str, NDArray[np.int64] | FloatArray]:
        """Return the columns by name, all but the job's."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "job"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that went on for a while.

    Parameters
    ----------
    job : str
        Name of the job.
    process : str
        Who did it: "learner 3", "network", "job" ...
    name : str
        What: "compute", "wait", "reduce", "cross-validation", "checkpoint", "lost", "repair", "restart".
    start_s, end_s : float
        When.
    args : mapping of str to int, float or str
        What else is known, such as the number of the update.
    """

    job: str
    process: str
    name: str
    start_s: float
    end_s: float
    args: Mapping[str, int | float | str] = field(default_factory=dict)


class Recorder(Protocol):
    """Who listens.

    `row_every_updates`: rows are wanted of the updates whose number is a multiple, and of the last; 0: of none.
    `span_updates`: spans are wanted of so many first updates, and of all failures; 0: none at all.
    """

    @property
    def row_every_updates(self) -> int:
        """Thinning of the rows."""

    @property
    def span_updates(self) -> int:
        """Updates whose spans are wanted."""

    def rows(self, rows: UpdateRows) -> None:
        """Take the next rows of a job; they come in portions."""

    def span(self, span: Span) -> None:
        """Take a span, told when it is over."""


@dataclass(slots=True, kw_only=True)
class MemoryRecorder:
    """Keep everything in lists.

    Parameters
    ----------
    row_every_updates, span_updates : int
        As in `Recorder`.
    portions : list of UpdateRows
        What came.
    spans : list of Span
        What came.
    """

    row_every_updates: int = 1
    span_updates: int = 0
    portions: list[UpdateRows] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def rows(self, rows: UpdateRows) -> None:
        """Keep rows."""
        self.portions.append(rows)

    def span(self, span: Span) -> None:
        """Keep a span."""
        self.spans.append(span)

    def column(self, name: str, *, job: str | None = None) -> FloatArray:
        """Return a column of all rows as numbers, of one job or of all."""
        kept = [np.asarray(rows.columns()[name], dtype=np.float64) for rows in self.portions if job in (None, rows.job)]
        return np.concatenate(kept) if kept else np.empty(0)
