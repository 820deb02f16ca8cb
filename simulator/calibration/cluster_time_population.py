"""What many series of training times have in common: a hierarchical model, its effects and their spreads, by empirical Bayes.

log seconds = log f(parameters of the series) + effect of the accelerator + what the accelerator is in this series + own error.
parameters of a series = typical + effect of the workload + of the family + of the owner + its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.calibration.cluster_time_terms import PARAMETERS, Conditions, log_seconds
from simulator.calibration.training_runs import StackedRuns
from simulator.quantities import FloatArray

__all__ = ["ACCELERATOR_SD", "OWN_DEGREES", "OWN_SD", "Population", "fit_population"]

TYPICAL = np.array([np.log(1e-3), np.log(1e-2), np.log(3e-3), 0.04, np.log(1.0), np.log(0.3), np.log(30.0)])
TYPICAL_SD = np.array([4.0, 1.5, 1.5, 0.04, 1.0, 2.0, 3.0])
SPREAD = np.array([0.5, 0.4, 0.6, 0.04, 0.4, 1.0, 1.0])
WORKLOAD_SPREAD = np.array([3.0, 0.8, 1.2, 0.08, 0.8, 2.0, 2.0])
"""What is thought before any series is seen, parameters in the order of `PARAMETERS`: the typical value (1 ms a sample, 10 ms
an update, 3 ms across nodes, growth 0.04, 1 s of start-up, 0.3 s a pass, 30 learner-seconds of evaluation), how wrong that may
be, how much series, families and owners differ, and how much workloads do. Orders of magnitude, the same whatever is trained;
the spreads are then learned, these counting as `PRIOR_COUNT` groups."""

PRIOR_COUNT = 8.0

OWN_SD = 0.035
"""Scale of a row's own relative error: Student's, with `OWN_DEGREES`, so that one odd system does not bend its series."""
OWN_DEGREES = 4.0
EVALUATION_SD = 0.3
"""Of logged evaluation times, which may overlap with training."""
ACCELERATOR_SD = 0.12
"""Of what a variant of the accelerator (cooling, power, host) is in one series: rows of another variant count less by that."""
VARIANT_SD = 0.2
"""Of what a variant is everywhere."""

ROUNDS, FIRST_STEPS, STEPS = 25, 10, 2
LONGEST_STEP = 1.0
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What the series have in common, and where each lies; s series, k parameters.

    Parameters
    ----------
    rows : StackedRuns
        What it was fitted to.
    modes : ndarray, shape (s, k)
        Parameters of each series, where most likely.
    means, variances : ndarray, shape (s, k)
        What each would be thought to be from the others, and how sure.
    weights : ndarray, shape (n,)
        What is left of each row's weight after its residual, up to (OWN_DEGREES + 1)/OWN_DEGREES.
    variants : dict of str to float
        Effect of each accelerator on the logarithm of the seconds.
    """

    rows: StackedRuns
    modes: FloatArray
    means: FloatArray
    variances: FloatArray
    weights: FloatArray
    variants: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Precision:
    """The inverse of the rows' covariance: own errors, and one error shared in each block of rows."""

    own: FloatArray
    starts: np.ndarray[tuple[int], np.dtype[np.intp]]
    shared: FloatArray

    def times(self, columns: FloatArray) -> FloatArray:
        """Multiply with columns, shape (n, ...)."""
        own = self.own.reshape(-1, *[1] * (columns.ndim - 1))
        weighted = own * columns
        share = self.shared / (1.0 + self.shared * np.add.reduceat(self.own, self.starts))
        sums = np.add.reduceat(weighted, self.starts, axis=0) * share.reshape(-1, *[1] * (columns.ndim - 1))
        counts = np.diff(np.append(self.starts, len(self.own)))
        return np.asarray(weighted - own * np.repeat(sums, counts, axis=0), dtype=np.float64)


def conditions_of(rows: StackedRuns) -> Conditions:
    """Return the conditions of every row, shape (n,)."""
    M, P, N = rows.column("batch_samples"), rows.column("learners"), rows.column("updates")
    return Conditions(
        updates=N,
        local_samples=M / P,
        learners=P,
        across=np.asarray(rows.column("nodes") > 1, dtype=np.float64),
        passes=N * M / rows.column("pass_samples"),
        evaluated=rows.evaluated[rows.series_of],
        evaluation=rows.evaluation,
    )


def fit_population(rows: StackedRuns) -> Population:
    """Fit what series have in common, and each series with it.

    Notes
    -----
    Laplace's approximation and expectation-maximisation ([1]_): Gauss-Newton steps to the most likely parameters of every
    series given the effects, least squares with priors for the effects given the parameters, the spreads from both and their
    errors; `ROUNDS` times, from a fixed start. Errors beyond the Gaussian's lose weight as Student's distribution has it
    ([2]_).

    References
    ----------
    .. [1] A. P. Dempster, D. B. Rubin, R. K. Tsutakawa, "Estimation in covariance components models", JASA 76 (1981).
    .. [2] K. L. Lange, R. J. A. Little, J. M. G. Taylor, "Robust statistical modeling using the t distribution", JASA 84
       (1989).
    """
    at, late, of, first = conditions_of(rows), rows.evaluation, rows.series_of, rows.first_of_series
    own = np.where(late, EVALUATION_SD**2, OWN_SD**2)
    shared = np.where(late[rows.first_of_block], 0.0, ACCELERATOR_SD**2)
    names, codes = np.unique([rows.runs[i].accelerator for i in rows.run], return_inverse=True)
    Z = np.where(late[:, None], 0.0, np.eye(len(names))[codes])
    effects = _Effects([rows.groups(name) for name in ("workload", "family", "owner")])
    modes = np.tile(TYPICAL, (len(rows.series), 1))
    rough = np.where(late, 0.0, rows.log_s - np.log(at.updates * at.local_samples))
    modes[:, 0] = np.add.reduceat(rough, first) / np.add.reduceat(np.where(late, 0.0, 1.0), first)
    weights, variants = np.ones(len(own)), np.zeros(len(names))
    for turn in range(ROUNDS):
        precision = _Precision(own=weights / own, starts=rows.first_of_block, shared=shared)
        prior, tau = effects.means, effects.own_sd
        for step in range(STEPS if turn else FIRST_STEPS):
            log_s, J = log_seconds(modes[of], at)
            gap = rows.log_s - log_s - Z @ variants
            QJ = precision.times(J)
            information = np.add.reduceat(QJ[:, :, None] * J[:, None, :], first, axis=0) + np.diag(1.0 / tau**2)
            slope = np.add.reduceat(QJ * gap[:, None], first, axis=0) + (prior - modes) / tau**2
            if turn and step == 0:  # the parameters follow in the same step
                JQZ = np.add.reduceat(QJ[:, :, None] * Z[:, None, :], first, axis=0)
                moved = _variants_step(precision.times(Z), Z, gap, JQZ, information, slope, variants)
                variants, slope = variants + moved, slope - JQZ @ moved
            move = np.linalg.solve(information, slope[..., None])[..., 0]
            modes = modes + np.clip(move, -LONGEST_STEP, LONGEST_STEP)
        covariance = np.linalg.inv(information)
        log_s, _ = log_seconds(modes[of], at)
        effects.update(modes, np.diagonal(covariance, axis1=1, axis2=2))
        gap = rows.log_s - log_s - Z @ variants
        scale = own + np.where(late, 0.0, 0.5 * ACCELERATOR_SD**2)
        weights = np.maximum((OWN_DEGREES + 1.0) / (OWN_DEGREES + gap**2 / scale), LEAST_WEIGHT)
    return Population(
        rows=rows,
        modes=modes,
        means=effects.means,
        variances=effects.own_sd**2 + effects.variances,
        weights=weights,
        variants=dict(zip(names.tolist(), variants.tolist(), strict=True)),
    )


def _variants_step(
    QZ: FloatArray,
    Z: FloatArray,
    gap: FloatArray,
    JQZ: FloatArray,
    information: FloatArray,
    slope: FloatArray,
    variants: FloatArray,
) -> FloatArray:
    """Gauss-Newton step of the accelerators' effects, with the parameters of every series taken out (Schur's complement)."""
    followed = np.linalg.solve(information, JQZ).reshape(-1, Z.shape[1])
    reduced = Z.T @ QZ - JQZ.reshape(-1, Z.shape[1]).T @ followed + np.eye(Z.shape[1]) / VARIANT_SD**2
    step = np.linalg.solve(reduced, QZ.T @ gap - followed.T @ slope.ravel() - variants / VARIANT_SD**2)
    return np.asarray(np.clip(step, -LONGEST_STEP, LONGEST_STEP), dtype=np.float64)


class _Effects:
    """Effects of the groups on each parameter, their spreads, and what they make each series' parameters be thought to be."""

    def __init__(self, groups: list[np.ndarray[tuple[int], np.dtype[np.intp]]]) -> None:
        columns = [np.ones((len(groups[0]), 1))] + [np.eye(int(codes.max()) + 1)[codes] for codes in groups]
        self.X = np.concatenate(columns, axis=1)
        self.kind = np.repeat(np.arange(len(columns)), [column.shape[1] for column in columns])
        self.typical_spread = np.tile(SPREAD, (len(columns), 1))
        self.typical_spread[1] = WORKLOAD_SPREAD
        self.spread = self.typical_spread.copy()
        self.spread[0] = TYPICAL_SD
        self.own_sd = SPREAD.copy()
        self.means = np.tile(TYPICAL, (len(groups[0]), 1))
        self.variances = np.zeros_like(self.means)

    def update(self, modes: FloatArray, variances: FloatArray) -> None:
        """Estimate effects and spreads from the series' parameters and the variances of these."""
        XtX, start = self.X.T @ self.X, np.where(self.kind == 0, 1.0, 0.0)
        for k in range(len(PARAMETERS)):
            prior = 1.0 / self.spread[self.kind, k] ** 2
            covariance = np.linalg.inv(XtX / self.own_sd[k] ** 2 + np.diag(prior))
            found = covariance @ (self.X.T @ modes[:, k] / self.own_sd[k] ** 2 + prior * start * TYPICAL[k])
            self.means[:, k] = self.X @ found
            self.variances[:, k] = np.sum((self.X @ covariance) * self.X, axis=1)
            squares = found**2 + np.diag(covariance)
            for kind in range(1, len(self.spread)):
                of = self.kind == kind
                thought = PRIOR_COUNT * self.typical_spread[kind, k] ** 2
                self.spread[kind, k] = np.sqrt((np.sum(squares[of]) + thought) / (np.sum(of) + PRIOR_COUNT))
            gaps = (modes[:, k] - self.means[:, k]) ** 2 + variances[:, k] + self.variances[:, k]
            self.own_sd[k] = np.sqrt((np.sum(gaps) + PRIOR_COUNT * SPREAD[k] ** 2) / (len(gaps) + PRIOR_COUNT))
