"""What a run's time was spent on: kept update by update, forgotten back to the last checkpoint when a node fails."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from simulator.engine.trace import Recorder, UpdateRows
from simulator.quantities import FloatArray
from simulator.time_to_converge import Shares

__all__ = ["Ledger", "Seconds", "Spent", "spent"]

PORTION = 1024
"""Rows that are told at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """Where the time of a run went, seconds by cause; together they are its time to converge.

    Parameters
    ----------
    compute, communication, waiting, cross_validation, checkpoint, lost : float
        compute: the mean learner's computing (and the input, where that is slower); waiting: slowest minus mean learner;
        communication: what an update takes beyond its slowest learner; lost: work that a failure undid, repair and restart.
    """

    compute: float
    communication: float
    waiting: float
    cross_validation: float
    checkpoint: float
    lost: float

    @property
    def total_s(self) -> float:
        """All of it, seconds."""
        return float(sum(getattr(self, field.name) for field in fields(self)))

    def shares(self) -> Shares:
        """Return the same as fractions of the whole."""
        total_s = self.total_s
        return Shares(**{field.name: getattr(self, field.name) / total_s for field in fields(self)})


@dataclass(frozen=True, slots=True, eq=False)
class Spent:
    """What updates take, seconds by cause; arrays of one length, or numbers."""

    compute_s: FloatArray
    waiting_s: FloatArray
    communication_s: FloatArray


def spent(slowest_s: FloatArray, mean_s: FloatArray, step_s: FloatArray, input_s: float) -> Spent:
    """Divide the time of steps by cause, as the closed form does.

    Parameters
    ----------
    slowest_s, mean_s, step_s : array_like
        Computing of slowest and mean learner, and the whole step, seconds.
    input_s : float
        What the input takes for a step.
    """
    alone_s = np.maximum(slowest_s, input_s)
    waiting_s = np.minimum(np.maximum(slowest_s - mean_s, 0.0), alone_s)
    return Spent(alone_s - waiting_s, waiting_s, np.maximum(step_s - alone_s, 0.0))


@dataclass(slots=True)
class _Totals:
    compute: float = 0.0
    waiting: float = 0.0
    communication: float = 0.0
    cross_validation: float = 0.0
    checkpoint: float = 0.0
    passes: int = 0
    checkpoints: int = 0

    def copy(self) -> Self:
        return type(self)(*(getattr(self, field.name) for field in fields(self)))


class Ledger:
    """Time of one job by cause, and its rows.

    Parameters
    ----------
    job : str
        Its name.
    updates : int
        How many it needs: the last one has a row whatever the thinning.
    start_s : float
        When it starts.
    record : Recorder or None
        Who wants rows.
    """

    def __init__(self, job: str, updates: int, start_s: float, record: Recorder | None) -> None:
        self.job, self.updates, self.start_s, self.record = job, updates, start_s, record
        self.every = record.row_every_updates if record is not None else 0
        self.now = _Totals()
        self.saved = _Totals()
        self.done = self.saved_done = 0
        self.saved_s = start_s
        self.lost_s = 0.0
        self.failures = self.redone_updates = 0
        self._rows: list[tuple[float, ...]] = []

    def add(
        self, start_s: float, end_s: float, compute_s: float, waiting_s: float, communication_s: float,
        cross_validation_s: float, checkpoint_s: float | None,
    ) -> None:  # fmt: skip
        """Enter the next update, with a checkpoint after it unless that is None."""
        totals = self.now
        totals.compute += compute_s
        totals.waiting += waiting_s
        totals.communication += communication_s
        totals.cross_validation += cross_validation_s
        self.done += 1
        if checkpoint_s is not None:
            totals.checkpoint += checkpoint_s
            totals.checkpoints += 1
        if self.every and (self.done % self.every == 0 or self.done == self.updates):
            self._rows.append(
                (self.done, start_s, end_s, compute_s, waiting_s, communication_s, cross_validation_s, checkpoint_s or 0.0,
                 self.failures)
            )  # fmt: skip
            if len(self._rows) == PORTION:
                self.tell()
        if checkpoint_s is not None:
            self.save(end_s)

    def add_block(self, start_s: FloatArray, end_s: FloatArray, causes: Spent, cross_validation_s: FloatArray) -> None:
        """Enter the next updates at once, without checkpoints."""
        totals = self.now
        for name, values in (
            ("compute", causes.compute_s), ("waiting", causes.waiting_s), ("communication", causes.communication_s),
            ("cross_validation", cross_validation_s),
        ):  # fmt: skip
            # one after the other, as `add` does: the same sum to the last bit
            setattr(totals, name, float(np.cumsum(np.concatenate([[getattr(totals, name)], values]))[-1]))
        number = self.done + 1 + np.arange(len(end_s))
        self.done += len(end_s)
        if not self.every or self.record is None:
            return
        wanted = np.flatnonzero((number % self.every == 0) | (number == self.updates))
        if len(wanted):
            columns = (
                start_s, end_s, causes.compute_s, causes.waiting_s, causes.communication_s, cross_validation_s, 0.0 * end_s,
                0.0 * end_s,
            )  # fmt: skip
            table = np.column_stack([number, *columns])[wanted]
            self._rows.extend(map(tuple, table.tolist()))
            if len(self._rows) >= PORTION:
                self.tell()

    def save(self, now_s: float) -> None:
        """Keep what is done: no failure undoes it."""
        self.saved, self.saved_done, self.saved_s = self.now.copy(), self.done, now_s

    def roll_back(self) -> None:
        """Forget what is done since the last checkpoint."""
        self.redone_updates += self.done - self.saved_done
        self.now, self.done = self.saved.copy(), self.saved_done

    def lose(self, now_s: float) -> None:
        """Count the time since the last checkpoint as lost, and go on from here."""
        self.lost_s += now_s - self.saved_s
        self.saved_s = now_s

    def tell(self) -> None:
        """Hand the rows that are waiting to the recorder."""
        if not self._rows or self.record is None:
            return
        portion = list(zip(*self._rows, strict=True))
        self._rows = []
        names = ("start_s", "end_s", "compute_s", "waiting_s", "communication_s", "cross_validation_s", "checkpoint_s")
        self.record.rows(
            UpdateRows(
                job=self.job,
                update=np.array(portion[0], dtype=np.int64),
                failures=np.array(portion[-1], dtype=np.int64),
                **{name: np.array(values) for name, values in zip(names, portion[1:-1], strict=True)},
            )
        )

    def seconds(self) -> Seconds:
        """Return the time by cause."""
        now = self.now
        return Seconds(
            compute=now.compute,
            communication=now.communication,
            waiting=now.waiting,
            cross_validation=now.cross_validation,
            checkpoint=now.checkpoint,
            lost=self.lost_s,
        )
