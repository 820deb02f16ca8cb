"""Failures and checkpoints in closed form: how long a job takes that fails now and then, and how often to save its state.

Failures come at exponential times, Theta apart on average, also while a checkpoint is written or a restart runs. The job saves
its state (c seconds) after every tau seconds of work; a failure costs the work since then, and a restart (R seconds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from simulator.errors import InfeasibleError
from simulator.quantities import ArrayLike, FloatArray, non_negative, positive, whole

__all__ = ["Checkpointing", "TimeWithFailures"]

SERIES_BELOW = 0.5
"""Below this y + exp(-y) - 1 is summed as a series: the plain expression would cancel."""
SERIES_TERMS = 16
MOST_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWithFailures:
    """Expected seconds of a job with failures, and what they are spent on.

    Parameters
    ----------
    total_s : float or ndarray
        All of it: the sum of the four below.
    work_s, checkpoint_s, rework_s, restart_s : float or ndarray
        Work that counts, checkpoints that count, work and checkpoints that a failure cut short or undid, restarts.
    failures : float or ndarray
        Expected number of failures: total_s / Theta.
    """

    total_s: FloatArray
    work_s: FloatArray
    checkpoint_s: FloatArray
    rework_s: FloatArray
    restart_s: FloatArray
    failures: FloatArray

    @property
    def checkpoint_share(self) -> FloatArray:
        """Fraction of the time that goes into checkpoints."""
        return self.checkpoint_s / self.total_s

    @property
    def lost_share(self) -> FloatArray:
        """Fraction of the time that failures cost: work done again and restarts."""
        return (self.rework_s + self.restart_s) / self.total_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointing:
    """Failures, checkpoints and restarts of one job (Daly 2006, [1]_).

    Parameters
    ----------
    mtbf_s : float
        Theta: mean time between failures of the whole job, seconds, > 0. Any of its nodes stops it: node MTBF / nodes.
    checkpoint_s : float
        c: seconds that the job stands still to save its state, >= 0.
    restart_s : float
        R: seconds from a failure until work goes on, >= 0.

    References
    ----------
    .. [1] J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future Generation
       Computer Systems 22 (2006) 303-312.
    .. [2] J. W. Young, "A first order approximation to the optimum checkpoint interval", Communications of the ACM 17 (1974)
       530-531.

    Examples
    --------
    >>> job = Checkpointing(mtbf_s=24 * 3600.0, checkpoint_s=300.0, restart_s=600.0)
    >>> round(job.young_interval_s), round(job.daly_interval_s), round(job.best_interval_s)
    (7200, 7001, 7001)
    """

    mtbf_s: float
    checkpoint_s: float
    restart_s: float = 0.0

    def __post_init__(self) -> None:
        positive("mtbf_s", self.mtbf_s)
        non_negative("checkpoint_s", self.checkpoint_s)
        non_negative("restart_s", self.restart_s)

    @classmethod
    def of_nodes(cls, *, node_mtbf_s: float, nodes: int, checkpoint_s: float, restart_s: float = 0.0) -> Self:
        """Return the checkpointing of a job on `nodes` nodes that fail independently: Theta = node_mtbf_s / nodes."""
        mtbf_s = float(positive("node_mtbf_s", node_mtbf_s) / whole("nodes", nodes))
        return cls(mtbf_s=mtbf_s, checkpoint_s=checkpoint_s, restart_s=restart_s)

    def time(self, work_s: ArrayLike, interval_s: ArrayLike) -> TimeWithFailures:
        """Return the expected time of `work_s` seconds of work with a checkpoint after every `interval_s` of them.

        Parameters
        ----------
        work_s : array_like
            W: seconds of work without any failure, > 0; a whole multiple of the interval (else the expectation of a whole
            number of segments is scaled).
        interval_s : array_like
            tau: seconds of work between the end of a checkpoint and the begin of the next, > 0. Broadcasts.

        Returns
        -------
        TimeWithFailures
            In total Theta exp(R/Theta) (exp((tau + c)/Theta) - 1) W/tau, Daly's complete model.

        Raises
        ------
        InfeasibleError
            If a segment is so much longer than the time between failures that the job would never end.
        """
        W, tau = positive("work_s", work_s), positive("interval_s", interval_s)
        segment = (tau + self.checkpoint_s) / self.mtbf_s
        if np.any(segment + self.restart_s / self.mtbf_s > 500.0):
            raise InfeasibleError(
                f"the job would never end: {float(np.max(tau)) + self.checkpoint_s:g} s from one checkpoint to the next and "
                f"{self.restart_s:g} s of a restart, but {self.mtbf_s:g} s between failures"
            )
        segments = W / tau
        failures_in_segments = segments * np.expm1(segment)
        one_restart_s = self.mtbf_s * np.expm1(self.restart_s / self.mtbf_s)  # failures hit restarts too
        checkpoint_s = segments * self.checkpoint_s
        rework_s = self.mtbf_s * failures_in_segments - (W + checkpoint_s)
        restart_s = failures_in_segments * one_restart_s
        total_s = W + checkpoint_s + rework_s + restart_s
        return TimeWithFailures(
            total_s=total_s,
            work_s=W + 0.0 * total_s,
            checkpoint_s=checkpoint_s,
            rework_s=rework_s,
            restart_s=restart_s,
            failures=total_s / self.mtbf_s,
        )

    @property
    def best_interval_s(self) -> float:
        """The interval (seconds of work, tau) of the least expected time, exactly; 0 where checkpoints cost nothing.

        tau = Theta (1 + W_0(-exp(-1 - c/Theta))), with Lambert's W; whatever the restart costs. It stays below Theta.
        """
        # tau/Theta = x solves -log(1 - x) - x = c/Theta; with x = 1 - exp(-y): y + exp(-y) - 1 = c/Theta, convex in y.
        s = self.checkpoint_s / self.mtbf_s
        if s == 0.0:
            return 0.0
        y = s + min(1.0, float(np.sqrt(2.0 * s)))  # right of the root, from where Newton's steps only go left
        for _ in range(MOST_STEPS):
            step = (_excess(y) - s) / -float(np.expm1(-y))
            y -= step
            if abs(step) <= 4e-16 * y:
                break
        return self.mtbf_s * -float(np.expm1(-y))

    @property
    def young_interval_s(self) -> float:
        """Young's first-order interval, sqrt(2 c Theta)."""
        return float(np.sqrt(2.0 * self.checkpoint_s * self.mtbf_s))

    @property
    def daly_interval_s(self) -> float:
        """Daly's higher-order interval: sqrt(2 c Theta) (1 + sqrt(h)/3 + h/9) - c with h = c/(2 Theta); Theta if h >= 1."""
        half = self.checkpoint_s / (2.0 * self.mtbf_s)
        if half >= 1.0:
            return self.mtbf_s
        return self.young_interval_s * (1.0 + float(np.sqrt(half)) / 3.0 + half / 9.0) - self.checkpoint_s

    def concern(self, interval_s: float | None) -> str | None:
        """Say why this checkpointing can hardly work, and what would; None where nothing speaks against it.

        Parameters
        ----------
        interval_s : float or None
            tau, seconds; None: no checkpoints at all.
        """
        advice = f"Daly's interval is {self.daly_interval_s:.3g} s, the best {self.best_interval_s:.3g} s"
        between = f"the {self.mtbf_s:.4g} s between failures of the job (node_mtbf_s / nodes)"
        if self.checkpoint_s >= self.mtbf_s:
            return f"checkpoint_s = {self.checkpoint_s:g} is not below {between}: most checkpoints are never finished; {advice}"
        if interval_s is not None and interval_s >= self.mtbf_s:
            return f"a checkpoint every {interval_s:.4g} s is not more often than {between}; {advice}"
        return None


def _excess(y: float) -> float:
    """Return y + exp(-y) - 1 without cancellation, y >= 0."""
    if y >= SERIES_BELOW:
        return y + float(np.expm1(-y))
    total = 1.0
    for k in range(SERIES_TERMS, 2, -1):
        total = 1.0 - y / k * total
    return 0.5 * y * y * total
