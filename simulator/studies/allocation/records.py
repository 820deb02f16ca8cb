"""What a data centre is, and what happened in it: its rules, and a schedule."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.quantities import FloatArray, non_negative, positive, whole
from simulator.studies.allocation.options import IntArray

__all__ = ["Rules", "Schedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the data centre is, and what changes cost.

    Parameters
    ----------
    learners : int
        G, >= 1.
    restart_s : float
        Seconds that a job stands still, holding its new learners, when their number changes or it runs again; its first start
        costs nothing.
    interval_s : float, optional
        Learners are given out anew at every multiple of this too; None: at arrivals and departures only.
    checkpoint_every_s : float, optional
        A running job saves its state every so many seconds, and a change falls back to the last time; None: it is saved at the
        change, and only the update under way is lost.
    weighted : bool
        Whether policies see the jobs' weights; otherwise all weigh the same.
    """

    learners: int
    restart_s: float = 0.0
    interval_s: float | None = None
    checkpoint_every_s: float | None = None
    weighted: bool = False

    def __post_init__(self) -> None:
        whole("learners", self.learners)
        non_negative("restart_s", self.restart_s)
        for name in ("interval_s", "checkpoint_every_s"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """What happened.

    Parameters
    ----------
    start_s, end_s : ndarray, shape (jobs,)
        When each job first held learners, and when it ended. Seconds.
    learner_s : ndarray, shape (jobs,)
        Learner-seconds that it held, restarts included.
    restarts : ndarray of int, shape (jobs,)
        How often it had to start again.
    lost_updates : ndarray, shape (jobs,)
        Updates that were done and lost (for work without updates: the fraction of it).
    part_job : ndarray of int, shape (parts,)
        One row for each time that a job held a number of learners, in order of its end: the job's place,
    part_from_s, part_to_s : ndarray, shape (parts,)
        from when to when, seconds,
    part_learners : ndarray of int, shape (parts,)
        how many,
    part_batch_samples : ndarray, shape (parts,)
        at which mini-batch (0 without one),
    part_updates : ndarray, shape (parts,)
        how many updates of it count (of work without updates: the fraction of the whole), and
    part_progress : ndarray, shape (parts,)
        by how much they advanced the job, updates / N_Update(M).
    """

    start_s: FloatArray
    end_s: FloatArray
    learner_s: FloatArray
    restarts: IntArray
    lost_updates: FloatArray
    part_job: IntArray
    part_from_s: FloatArray
    part_to_s: FloatArray
    part_learners: IntArray
    part_batch_samples: FloatArray
    part_updates: FloatArray
    part_progress: FloatArray
