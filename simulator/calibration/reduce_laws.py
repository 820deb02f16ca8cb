"""The laws of an all-reduce as a fit sees them: log seconds against size, devices and nodes, with weak priors.

All have the same six parameters: a constant and a bandwidth for each of two tiers (inside a node, across nodes), a latency
per step, and the sharpness of the corner between small and large messages. With a the time of an empty message and b that of
the bytes, the time is (a^p + b^p)^(1/p): p = 1 is the sum, and p < 1 what a library loses that must choose how finely to
cut a message of middling size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from simulator.calibration.least_squares import LeastSquaresFit, least_squares_fit
from simulator.calibration.reduce_series import ReduceSeries, as_arrays
from simulator.quantities import FloatArray

__all__ = ["NAMES", "REDUCE_LAWS", "Places", "ReduceLaw", "ReduceLawFit", "fit_reduce_law", "law_jacobian"]

NAMES = (
    "constant_in_node_s",
    "constant_across_nodes_s",
    "latency_s",
    "bandwidth_in_node_bytes_per_s",
    "bandwidth_across_nodes_bytes_per_s",
    "sharpness",
)
"""The parameters of every law; a fit varies their logarithms."""

RESIDUAL_SD = 0.08
"""Relative size of what a law misses: about what it is in published series; sets the weight of the priors."""

TIME_PRIORS = ((25e-6, 1.2), (100e-6, 1.2), (4e-6, 1.2))
"""Medians (seconds) and log standard deviations of the constants and of the latency per step: an all-reduce of a few bytes
takes 40 to 60 us inside a node and 120 to 400 us across nodes in published series. They decide where the data say nothing."""

BANDWIDTH_PRIOR_SD = 1.0
TIER_RATIO = 2.0
"""A bandwidth is within a factor e of the largest seen in its tier; where its tier was not measured, of half of what the
inside of a node gets (a quarter to two thirds in published series), or of twice what was seen across nodes."""

SHARPNESS_PRIOR_SD = 0.4

STUDENT_DEGREES = 4.0
LEAST_SCALE = 0.15
"""A point off its law by more than this (or than the others are) counts less, as with Student's distribution of so many
degrees of freedom: cold starts and broken algorithms are part of published tables."""
ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceLaw:
    """One form of the law.

    Parameters
    ----------
    kind : str
        "ring", "two_tier_ring" or "in_switch".
    shape : callable
        From devices and nodes to: steps that each cost a latency, and the shares of the bytes that pass the links inside a
        node and across nodes, relative to the bandwidths.
    """

    kind: str
    shape: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]]

    def parts_s(
        self, logs: FloatArray, size_bytes: FloatArray, devices: FloatArray, nodes: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the seconds of an empty message and of the bytes, each of shape (n,), at log parameters of shape (6,)."""
        constant_in, constant_across, latency, bandwidth_in, bandwidth_across, _ = np.exp(logs)
        steps, inside, across = self.shape(devices, nodes)
        empty_s = np.where(nodes > 1, constant_across, constant_in) + latency * steps
        return empty_s, size_bytes * (inside / bandwidth_in + across / bandwidth_across)

    def log_time(self, logs: FloatArray, size_bytes: FloatArray, devices: FloatArray, nodes: FloatArray) -> FloatArray:
        """Return the logarithm of the seconds, shape (n,)."""
        empty_s, bytes_s = self.parts_s(logs, size_bytes, devices, nodes)
        p = np.exp(logs[5])
        return np.asarray(np.logaddexp(p * np.log(empty_s), p * np.log(bytes_s)) / p, dtype=np.float64)


def _ring(P: FloatArray, N: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One ring through all devices: 2 (P-1) steps, 2 (P-1)/P of the bytes over its slowest link."""
    share, across = 2.0 * (P - 1.0) / P, N > 1
    return 2.0 * (P - 1.0), np.where(across, 0.0, share), np.where(across, share, 0.0)


def _two_tier_ring(P: FloatArray, N: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A ring in each node of g = P/N devices, then one across the N nodes."""
    g = P / N
    return 2.0 * (g - 1.0 + N - 1.0), 2.0 * (g - 1.0) / g, 2.0 * (N - 1.0) / N


def _in_switch(P: FloatArray, N: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The switch adds: every device sends its bytes once and gets the sum, however many there are; no latency by steps."""
    one = np.ones_like(P)
    return 0.0 * one, np.where(N > 1, 0.0, one), np.where(N > 1, one, 0.0)


REDUCE_LAWS: Mapping[str, ReduceLaw] = {
    "ring": ReduceLaw(kind="ring", shape=_ring),
    "two_tier_ring": ReduceLaw(kind="two_tier_ring", shape=_two_tier_ring),
    "in_switch": ReduceLaw(kind="in_switch", shape=_in_switch),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceLawFit:
    """A form of the law fitted to a series.

    Parameters
    ----------
    law : ReduceLaw
        The form.
    fit : LeastSquaresFit
        In the logarithms of the parameters.
    prior_mean, prior_sd : ndarray, shape (6,)
        Of the logarithms.
    sd : ndarray, shape (n,)
        Relative standard deviation that each point was weighted with; > RESIDUAL_SD where it lies far off.
    """

    law: ReduceLaw
    fit: LeastSquaresFit
    prior_mean: FloatArray
    prior_sd: FloatArray
    sd: FloatArray

    @property
    def median_relative(self) -> float:
        """Median size of the log residuals: half of the points lie within it."""
        return float(np.median(np.abs(self.fit.residuals)))

    @property
    def rms_relative(self) -> float:
        """Root mean square of the log residuals."""
        return float(np.sqrt(np.mean(self.fit.residuals**2)))

    def parameters(self) -> dict[str, float]:
        """Return the parameters by name."""
        return {name: float(value) for name, value in zip(NAMES, np.exp(self.fit.estimates), strict=True)}

    def log_standard_errors(self) -> FloatArray:
        """Standard errors of the log parameters, shape (6,), priors included; residuals larger than expected widen them."""
        freedom = max(len(self.fit.residuals) - len(NAMES), 1)
        return self.fit.standard_errors(variance=max(1.0, self.fit.squares / freedom))

    def correlation(self) -> FloatArray:
        """Correlation of the log parameters, shape (6, 6)."""
        covariance = self.fit.covariance(variance=1.0)
        sd = np.sqrt(np.diag(covariance))
        return np.asarray(covariance / np.outer(sd, sd), dtype=np.float64)

    def data_alone_log_errors(self) -> FloatArray:
        """Standard errors of the log parameters from the data without priors, shape (6,); infinite where they say nothing.

        What is known of the sharpness beforehand counts, as it is about libraries and not about this system.
        """
        weighted = self.fit.jacobian / self.sd[:, None]
        weighted = np.vstack([weighted, np.eye(len(NAMES))[-1:] / SHARPNESS_PRIOR_SD])
        freedom = max(len(self.fit.residuals) - len(NAMES), 1)
        scale = np.sqrt(max(1.0, self.fit.squares / freedom))
        errors = []
        for j in range(len(NAMES)):
            others = np.delete(weighted, j, axis=1)
            own = weighted[:, j]
            rest = own - others @ np.linalg.lstsq(others, own, rcond=1e-9)[0]
            length = float(np.linalg.norm(rest))
            errors.append(scale / length if length > 1e-6 else np.inf)
        return np.array(errors)


def _priors(law: ReduceLaw, series: ReduceSeries) -> tuple[FloatArray, FloatArray]:
    S, P, N = as_arrays(series.points)
    time_s = np.array([point.time_s for point in series.points])
    _, inside, across = law.shape(P, N)
    there = across > 0
    seen = S * np.where(there, across, inside) / time_s
    largest_in = float(np.max(seen[~there])) if not there.all() else TIER_RATIO * float(np.max(seen))
    largest_across = float(np.max(seen[there])) if there.any() else float(np.max(seen)) / TIER_RATIO
    means = [*(np.log(median) for median, _ in TIME_PRIORS), np.log(largest_in), np.log(largest_across), 0.0]
    sds = [*(sd for _, sd in TIME_PRIORS), BANDWIDTH_PRIOR_SD, BANDWIDTH_PRIOR_SD, SHARPNESS_PRIOR_SD]
    return np.array(means), np.array(sds)


def fit_reduce_law(law: ReduceLaw, series: ReduceSeries) -> ReduceLawFit:
    """Fit one form of the law to a series by least squares of the logarithms, far points counting less.

    Raises
    ------
    FitError
        If no search ends at finite parameters.
    """
    S, P, N = as_arrays(series.points)
    log_T = np.log([point.time_s for point in series.points])
    mean, prior_sd = _priors(law, series)
    sd, at = np.full(len(log_T), RESIDUAL_SD), mean
    for _ in range(ROUNDS):
        fit = least_squares_fit(lambda logs: law.log_time(logs, S, P, N), log_T, at, sd=sd, prior_mean=mean, prior_sd=prior_sd)
        at = fit.estimates
        scale = max(LEAST_SCALE, 1.4826 * float(np.median(np.abs(fit.residuals))))
        far = (STUDENT_DEGREES + (fit.residuals / scale) ** 2) / (STUDENT_DEGREES + 1.0)
        sd = RESIDUAL_SD * np.sqrt(np.maximum(far, 1.0))
    return ReduceLawFit(law=law, fit=fit, prior_mean=mean, prior_sd=prior_sd, sd=sd)


Places = tuple[FloatArray, FloatArray, FloatArray]
"""Sizes in bytes, devices and nodes, each of shape (x,)."""


def law_jacobian(fitted: ReduceLawFit, places: Places) -> FloatArray:
    """Derivatives of the log seconds by the log parameters at some places, shape (x, 6); central differences."""
    columns = []
    for j in range(len(NAMES)):
        step = np.zeros(len(NAMES))
        step[j] = 1e-5
        up, down = (fitted.law.log_time(fitted.fit.estimates + sign * step, *places) for sign in (1.0, -1.0))
        columns.append((up - down) / 2e-5)
    return np.column_stack(columns)
