"""Time to converge of clusters that nobody timed, from the times of smaller ones: "I measured 8 to 64; what happens at 4,000?"

The published or measured time holds start-up and evaluations; other series of measurements say how these, and what an update
costs besides computing, behave (`cluster_time_population`); the smaller systems of the same series say how fast they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.calibration.cluster_time_population import (
    ACCELERATOR_SD,
    EVALUATION_SD,
    OWN_DEGREES,
    OWN_SD,
    Population,
    conditions_of,
    fit_population,
)
from simulator.calibration.cluster_time_terms import PARAMETERS, Conditions, log_seconds
from simulator.calibration.departure import Mixture
from simulator.calibration.importance import Draws, importance_draws
from simulator.calibration.training_runs import StackedRuns, TrainingRun
from simulator.errors import FitError
from simulator.messages import did_you_mean
from simulator.quantities import ArrayLike, FloatArray, positive

__all__ = ["ClusterTimes", "SeriesTimes", "TrainingTime", "fit_cluster_times"]

NEWTON_STEPS = 12
LARGEST_DEVIATION = 0.3
"""Relative deviations of updates from their law beyond this count as this much: a run that nearly failed is no pace."""
DEPARTURE_SD, DEPARTURE_LENGTH = 0.06, 1.4
"""What the terms miss in one series, relative, and how far it reaches in ln P and ln m: the nearest systems count most."""
DEVIATION_SD, DEVIATION_COUNT = 0.05, 4.0
"""Typical deviation of the updates of a series from the law, and of its rows from that; worth so many series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTime:
    """Predicted time to train of one system at one batch size.

    Parameters
    ----------
    time_s : float
        Seconds, for the mean over runs: the value whose relative error is expected to be least, a little below the median.
    interval90 : (float, float)
        Its 90 % interval.
    updates : float
        Updates to converge that it holds.
    """

    time_s: float
    interval90: tuple[float, float]
    updates: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The rows of a series that are whole times, and what its parameters leave of them.

    Parameters
    ----------
    accelerators : tuple of str
        Of each row.
    log_learners, log_local_samples : ndarray, shape (rows,)
        Logarithms of P and m.
    leftover : ndarray, shape (draws, rows)
        Q times (measured - predicted), for each draw.
    precision : ndarray, shape (rows, rows)
        Q, the inverse of their covariance.
    """

    accelerators: tuple[str, ...]
    log_learners: FloatArray
    log_local_samples: FloatArray
    leftover: FloatArray
    precision: FloatArray

    def shares(self, accelerator: str, learners: float, local_samples: FloatArray) -> FloatArray:
        """Return the covariance of each row's error with that of a system at some m, shape (rows, x)."""
        apart = np.hypot(
            np.log(learners) - self.log_learners[:, None], np.log(local_samples)[None, :] - self.log_local_samples[:, None]
        )
        same = np.array([one == accelerator for one in self.accelerators])
        return np.asarray(ACCELERATOR_SD**2 * same[:, None] + DEPARTURE_SD**2 * np.exp(-apart / DEPARTURE_LENGTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesTimes:
    """What is known of one series: draws of its parameters, and how its updates deviate from their law.

    Parameters
    ----------
    draws : Draws
        Of the parameters, in the order of `PARAMETERS`.
    own : _Own
        Its rows, and what the parameters leave of them.
    variants : dict of str to float
        Effects of accelerators everywhere.
    pass_samples : float
        As in the runs.
    evaluated : float
        1 where evaluation times were logged.
    pace : (float, float)
        Mean and variance of the logarithm of updates over what the law says.
    """

    draws: Draws
    own: _Own
    variants: dict[str, float]
    pass_samples: float
    evaluated: float
    pace: tuple[float, float]

    def medians(self) -> dict[str, float]:
        """Return the median of each parameter in its own unit, by name; growth is an exponent."""
        middle = np.array([self.draws.quantile(self.draws.points[:, k], 0.5) for k in range(len(PARAMETERS))])
        return {
            name: float(value if name == "growth" else np.exp(value)) for name, value in zip(PARAMETERS, middle, strict=True)
        }

    def log_times(
        self, accelerator: str, learners: float, nodes: float, batch_samples: FloatArray, law_updates: FloatArray
    ) -> FloatArray:
        """Return the logarithm of the seconds for every draw, shape (draws, x), at batch sizes and what the law says there."""
        M = np.atleast_1d(batch_samples)
        N = np.atleast_1d(law_updates) * np.exp(self.pace[0])
        at = Conditions(
            updates=N,
            local_samples=M / learners,
            learners=np.asarray(float(learners)),
            across=np.asarray(1.0 if nodes > 1 else 0.0),
            passes=N * M / self.pass_samples,
            evaluated=np.asarray(self.evaluated),
            evaluation=np.asarray(False),
        )
        found, _ = log_seconds(self.draws.points[:, None, :], at)
        shares = self.own.shares(accelerator, learners, M / learners)
        return np.asarray(found + self.variants.get(accelerator, 0.0) + self.own.leftover @ shares)

    def predict(
        self, *, accelerator: str, learners: int, nodes: int, batch_samples: float, law_updates: float, law_sd: float
    ) -> TrainingTime:
        """Predict the time to train of a system of this series.

        Parameters
        ----------
        accelerator : str
            Its variant of the accelerator.
        learners, nodes : int
            P and the nodes that they are in, >= 1.
        batch_samples : float
            M, samples, >= P.
        law_updates, law_sd : float
            Updates to converge by the law, and the standard deviation of their logarithm.
        """
        positive("learners", learners)
        positive("nodes", nodes)
        if positive("batch_samples", batch_samples) < learners:
            raise ValueError(f"batch_samples must be >= learners, {learners}, got {batch_samples:g}")
        log_s = self.log_times(accelerator, learners, nodes, np.array([batch_samples]), np.array([law_updates]))
        own = OWN_SD**2 * OWN_DEGREES / (OWN_DEGREES - 2.0)
        shares = self.own.shares(accelerator, learners, np.array([batch_samples / learners]))[:, 0]
        left = ACCELERATOR_SD**2 + DEPARTURE_SD**2 - float(shares @ self.own.precision @ shares)
        variance = own + max(0.0, left) + law_sd**2 + self.pace[1]
        mixture = Mixture(weights=self.draws.weights, means=log_s, variances=np.full_like(log_s, variance))
        low, high = (float(np.exp(mixture.quantile(q)[0])) for q in (0.05, 0.95))
        return TrainingTime(
            time_s=_least_relative_error(mixture), interval90=(low, high), updates=float(law_updates * np.exp(self.pace[0]))
        )

    def best_batch(
        self, *, accelerator: str, learners: int, nodes: int, batch_samples: ArrayLike, law_updates: ArrayLike
    ) -> tuple[int, FloatArray]:
        """Return which of some batch sizes trains fastest, and the median seconds at each, shape (x,).

        The batch sizes share the draws, so that their ratios are surer than their times.
        """
        M, N = positive("batch_samples", batch_samples), positive("law_updates", law_updates)
        times = np.exp(self.draws.weights @ self.log_times(accelerator, learners, nodes, M, N))
        return int(np.argmin(times)), times


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTimes:
    """Times to train of many systems, fitted together.

    Parameters
    ----------
    population : Population
        What their series have in common.
    """

    population: Population

    def series(self, name: str) -> SeriesTimes:
        """Return what is known of one series, by its own runs and what the others say of all; FitError for another name."""
        rows = self.population.rows
        if name not in rows.series:
            raise FitError(f"no series is named {name!r}{did_you_mean(name, rows.series)}")
        i = rows.series.index(name)
        own = np.flatnonzero(rows.series_of == i)
        late = rows.evaluation[own]
        names = [rows.runs[rows.run[j]].accelerator for j in own]
        variants = self.population.variants
        y = rows.log_s[own] - np.where(late, 0.0, [variants[accelerator] for accelerator in names])
        everything = conditions_of(rows)
        at = Conditions(**{field: getattr(everything, field)[own] for field in Conditions.__dataclass_fields__})
        same = np.array([[a == b for b in names] for a in names])
        own_variances = np.where(late, EVALUATION_SD**2, OWN_SD**2) / self.population.weights[own]
        log_P, log_m = np.log(at.learners), np.log(at.local_samples)
        apart = np.hypot(log_P[:, None] - log_P, log_m[:, None] - log_m)
        whole = ~late[:, None] & ~late[None, :]
        shared = ACCELERATOR_SD**2 * same + DEPARTURE_SD**2 * np.exp(-apart / DEPARTURE_LENGTH)
        Q = np.linalg.inv(np.diag(own_variances) + whole * shared)
        mean, variance = self.population.means[i], self.population.variances[i]

        mode = self.population.modes[i]
        for _ in range(NEWTON_STEPS):
            log_s, J = log_seconds(mode[None, :], at)
            information = J.T @ Q @ J + np.diag(1.0 / variance)
            step = np.linalg.solve(information, J.T @ Q @ (y - log_s) + (mean - mode) / variance)
            mode = mode + np.clip(step, -1.0, 1.0)

        def log_posterior(points: FloatArray) -> FloatArray:
            gaps = y - log_seconds(points[:, None, :], at)[0]
            return np.asarray(
                -0.5 * np.einsum("ci,ij,cj->c", gaps, Q, gaps) - 0.5 * np.sum((points - mean) ** 2 / variance, axis=1)
            )

        draws = importance_draws(log_posterior, mode, np.asarray(np.linalg.inv(information), dtype=np.float64))
        gaps = y - log_seconds(draws.points[:, None, :], at)[0]
        mine = ~late  # evaluation times share nothing with the others: Q has no entries between them
        return SeriesTimes(
            draws=draws,
            own=_Own(
                accelerators=tuple(name for name, kept in zip(names, mine, strict=True) if kept),
                log_learners=log_P[mine],
                log_local_samples=log_m[mine],
                leftover=(gaps @ Q)[:, mine],
                precision=Q[np.ix_(mine, mine)],
            ),
            variants=variants,
            pass_samples=rows.runs[rows.run[own[0]]].pass_samples,
            evaluated=float(rows.evaluated[i]),
            pace=_pace(rows.runs, name),
        )


def fit_cluster_times(runs: Sequence[TrainingRun]) -> ClusterTimes:
    """Fit times to train of systems of several sizes, and of several series where there are.

    Parameters
    ----------
    runs : sequence of TrainingRun
        In any order. A single series is enough; the others say how start-up, evaluations and communication behave.

    Returns
    -------
    ClusterTimes
        From which `series(name).predict(...)` answers.

    Raises
    ------
    FitError
        If there are no runs.
    """
    return ClusterTimes(population=fit_population(StackedRuns.of(runs)))


def _least_relative_error(mixture: Mixture) -> float:
    """Return the time t that makes the mean of |t/T - 1| least over the times T of a mixture: the median weighted by 1/T."""
    tilt = 0.5 * mixture.variances[:, 0] - mixture.means[:, 0]
    weights = mixture.weights * np.exp(tilt - np.max(tilt))
    tilted = Mixture(weights=weights / np.sum(weights), means=mixture.means - mixture.variances, variances=mixture.variances)
    return float(np.exp(tilted.quantile(0.5)[0]))


def _pace(runs: Sequence[TrainingRun], series: str) -> tuple[float, float]:
    """Return mean and variance of log(updates/law) of a series, shrunk towards 0 by what series with the same kind of law show.

    One-way random effects by moments: the variance within series, and that of series around the law.
    """
    gaps: dict[str, list[float]] = {}
    kind = next(run.law for run in runs if run.series == series)
    for run in runs:
        if run.law_updates is not None and run.law == kind:
            gap = float(np.clip(np.log(run.updates / run.law_updates), -LARGEST_DEVIATION, LARGEST_DEVIATION))
            gaps.setdefault(run.series, []).append(gap)
    thought = DEVIATION_COUNT * DEVIATION_SD**2
    counts = np.array([len(one) for one in gaps.values()])
    within = (sum(float(np.sum((np.array(one) - np.mean(one)) ** 2)) for one in gaps.values()) + thought) / (
        float(np.sum(counts - 1)) + DEVIATION_COUNT
    )
    above = [float(np.mean(one)) ** 2 - within / len(one) for one in gaps.values()]
    between = max(0.0, (sum(above) + thought) / (len(above) + DEVIATION_COUNT))
    own = gaps.get(series, [])
    if not own:
        return 0.0, between
    share = between / (between + within / len(own))
    return share * float(np.mean(own)), between * (1.0 - share)
