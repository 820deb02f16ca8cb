"""Times to train that were measured or published, as the model of cluster times takes them: one row a system and batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import FitError
from simulator.quantities import FloatArray, positive

__all__ = ["StackedRuns", "TrainingRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """One system at one batch size: how long it trained, with how many updates.

    Parameters
    ----------
    series : str
        Systems that differ in size only (and perhaps in the variant of the accelerator): step times of one predict another.
    workload, family, owner : str
        What was trained, on which family of accelerators, and who tuned it: series that share one resemble each other.
    accelerator : str
        The variant of the accelerator.
    learners, nodes : int
        P and the nodes that they are in, >= 1.
    batch_samples : float
        M, samples of all learners, >= P.
    updates : float
        Updates that the run did, mean over runs, > 0.
    time_s : float
        Seconds from the start to the target, start-up and evaluations included, mean over runs, > 0.
    evaluation_s : float or None
        Seconds spent on evaluations as logged, which may overlap with training; None where not logged.
    pass_samples : float
        Samples after which whatever costs time beside the updates comes round: the data set, > 0. A scale only.
    law_updates : float or None
        What the law of updates says at this batch size; None where there is none.
    law : str
        Which kind of law that is: laws of one kind deviate alike.
    """

    series: str
    workload: str
    family: str
    owner: str
    accelerator: str
    learners: int
    nodes: int
    batch_samples: float
    updates: float
    time_s: float
    evaluation_s: float | None = None
    pass_samples: float
    law_updates: float | None = None
    law: str = ""

    def __post_init__(self) -> None:
        for name in ("learners", "nodes", "batch_samples", "updates", "time_s", "pass_samples"):
            positive(name, getattr(self, name))
        if self.batch_samples < self.learners:
            raise ValueError(f"batch_samples must be >= learners, {self.learners}, got {self.batch_samples:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedRuns:
    """Runs as arrays, in the order of their series, with the logged evaluation times as rows of their own; n rows, s series.

    Parameters
    ----------
    runs : tuple of TrainingRun
        In the order of the rows that are whole times.
    log_s : ndarray, shape (n,)
        Logarithm of the seconds measured.
    evaluation : ndarray of bool, shape (n,)
        Whether a row is an evaluation time.
    run : ndarray of int, shape (n,)
        Position in `runs` of each row.
    series : tuple of str
        Names, sorted.
    series_of, first_of_series : ndarray of int, shapes (n,) and (s,)
        Which series a row is of, and where each begins.
    first_of_block : ndarray of int, shape (b,)
        Where the rows of one accelerator of one series begin.
    """

    runs: tuple[TrainingRun, ...]
    log_s: FloatArray
    evaluation: np.ndarray[tuple[int], np.dtype[np.bool_]]
    run: np.ndarray[tuple[int], np.dtype[np.intp]]
    series: tuple[str, ...]
    series_of: np.ndarray[tuple[int], np.dtype[np.intp]]
    first_of_series: np.ndarray[tuple[int], np.dtype[np.intp]]
    first_of_block: np.ndarray[tuple[int], np.dtype[np.intp]]

    @classmethod
    def of(cls, runs: Sequence[TrainingRun]) -> StackedRuns:
        """Stack runs, in any order; FitError where there are none."""
        if not runs:
            raise FitError("must have at least one run to fit times to train")
        ordered = sorted(runs, key=_order)
        rows = [(run.series, False, run.accelerator, i) for i, run in enumerate(ordered)]
        rows += [(run.series, True, run.accelerator, i) for i, run in enumerate(ordered) if run.evaluation_s]
        rows.sort()
        names = sorted({run.series for run in ordered})
        place = {name: i for i, name in enumerate(names)}
        blocks = [row[:3] for row in rows]
        starts = [i for i in range(len(rows)) if i == 0 or blocks[i] != blocks[i - 1]]
        series_of = np.array([place[row[0]] for row in rows], dtype=np.intp)
        return cls(
            runs=tuple(ordered),
            log_s=np.log([float((ordered[i].evaluation_s or 0.0) if late else ordered[i].time_s) for _, late, _, i in rows]),
            evaluation=np.array([row[1] for row in rows], dtype=np.bool_),
            run=np.array([row[3] for row in rows], dtype=np.intp),
            series=tuple(names),
            series_of=series_of,
            first_of_series=np.searchsorted(series_of, np.arange(len(names))),
            first_of_block=np.array(starts, dtype=np.intp),
        )

    def column(self, name: str) -> FloatArray:
        """Return a number of the run of each row, shape (n,)."""
        return np.array([float(getattr(self.runs[i], name)) for i in self.run])

    def groups(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Return which group each series is in, by a word of its first run, shape (s,)."""
        words = [getattr(self.runs[self.run[i]], name) for i in self.first_of_series]
        return np.asarray(np.unique(words, return_inverse=True)[1], dtype=np.intp)

    @property
    def evaluated(self) -> FloatArray:
        """1 for series whose evaluation times were logged, shape (s,)."""
        return np.asarray(np.maximum.reduceat(self.evaluation.astype(np.float64), self.first_of_series), dtype=np.float64)


def _order(run: TrainingRun) -> tuple[str, str, int, float, int, float, float, float]:
    """Everything that tells two runs apart, so that the order of a table does not matter, not even in the last digit."""
    return (
        *(run.series, run.accelerator, run.learners, run.batch_samples),
        *(run.nodes, run.time_s, run.updates, run.evaluation_s or 0.0),
    )
