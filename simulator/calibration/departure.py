"""The smooth, shrunk departure of measured updates from their law, and how sure a prediction of both together is.

log N(M) = log law(M) + d(M) + e(M): d is smooth in log M and shrunk towards 0 (a Gaussian process), e is each batch size's
own (a learning rate tuned well or badly, the runs' noise). How large and how smooth d is, and how large e, is not known; a
grid of values is weighted by how well each explains the residuals, so that few points give wide tails.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.calibration.updates_laws import LawFit
from simulator.quantities import FloatArray

__all__ = ["Mixture", "departure_mixture", "joined", "variances_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogNormalGrid:
    """Values of a quantity that is known within a factor: a median, a spread of its logarithm, and the values tried."""

    median: float
    log_sd: float
    values: tuple[float, ...]

    def log_weight(self, value: float) -> float:
        return -0.5 * float(np.log(value / self.median) / self.log_sd) ** 2


DEPARTURE_SD = _LogNormalGrid(median=0.05, log_sd=0.7, values=(0.01, 0.03, 0.06, 0.12, 0.25, 0.6, 1.5))
DEPARTURE_LENGTH = _LogNormalGrid(median=1.0, log_sd=0.7, values=(0.35, 0.7, 1.5, 3.0))
OWN_SD = _LogNormalGrid(median=0.025, log_sd=0.7, values=(0.003, 0.01, 0.03, 0.06, 0.12, 0.3, 0.8))
"""Relative size of the departure, its length in ln M (1: a factor e in batch size), relative size of what is each point's own.
Medians after published series taken together (residuals of 3 to 10 %); no series has values of its own."""

GRID = tuple(itertools.product(DEPARTURE_SD.values, DEPARTURE_LENGTH.values, OWN_SD.values))
LOG_WEIGHTS = np.array([
    DEPARTURE_SD.log_weight(sd) + DEPARTURE_LENGTH.log_weight(length) + OWN_SD.log_weight(own) for sd, length, own in GRID
])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Normal components of log N at some batch sizes; c components, x batch sizes.

    Parameters
    ----------
    weights : ndarray, shape (c,)
        Add up to 1.
    means, variances : ndarray, shape (c, x)
        Of the logarithm of the mean over many runs at the measured recipe, what is each batch size's own included.
    """

    weights: FloatArray
    means: FloatArray
    variances: FloatArray

    def quantile(self, q: float, extra_variance: FloatArray | float = 0.0) -> FloatArray:
        """Return the quantile of log N at each batch size, shape (x,), with further variance added.

        Found by bisection of the distribution function to 1e-10 of the widest component.
        """
        from scipy.special import ndtr

        sd = np.sqrt(self.variances + extra_variance)
        low, high = np.min(self.means - 10.0 * sd, axis=0), np.max(self.means + 10.0 * sd, axis=0)
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = self.weights @ ndtr((middle - self.means) / sd) < q
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray(0.5 * (low + high), dtype=np.float64)


def joined(mixtures: Sequence[Mixture], weights: Sequence[float]) -> Mixture:
    """Join mixtures, each with a weight of its own."""
    share = np.asarray(weights, dtype=np.float64) / float(np.sum(weights))
    return Mixture(
        weights=np.concatenate([w * mixture.weights for w, mixture in zip(share, mixtures, strict=True)]),
        means=np.concatenate([mixture.means for mixture in mixtures]),
        variances=np.concatenate([mixture.variances for mixture in mixtures]),
    )


def correlations(log_a: FloatArray, log_b: FloatArray) -> FloatArray:
    """Matern-3/2 correlations of the departure, one for each length of the grid: shape (c, a, b)."""
    lengths = np.array([length for _, length, _ in GRID])
    distance = np.sqrt(3.0) * np.abs(log_a[:, None] - log_b[None, :])[None] / lengths[:, None, None]
    return np.asarray((1.0 + distance) * np.exp(-distance), dtype=np.float64)


def fading(log_at: FloatArray, log_M: FloatArray) -> FloatArray:
    """How much of the departure is left: 1 inside the data, falling to 0 at half the smallest and twice the largest."""
    outside = np.maximum(np.maximum(log_at - log_M[-1], log_M[0] - log_at), 0.0)
    return np.asarray(np.maximum(0.0, 1.0 - outside / np.log(2.0)), dtype=np.float64)


def departure_mixture(law: LawFit, log_M: FloatArray, errors: FloatArray, log_at: FloatArray) -> Mixture:
    """Predict log N at some batch sizes: the law plus the departure, for every value of the grid.

    Parameters
    ----------
    law : LawFit
        The law fitted to the points at `log_M`.
    log_M, errors : ndarray, shape (n,)
        Logarithms of the batch sizes measured, increasing, and the relative errors of their means.
    log_at : ndarray, shape (x,)
        Logarithms of the batch sizes asked for.

    Returns
    -------
    Mixture
        With the errors of the law's parameters (its priors counted as observations), of the departure, and of what is each
        batch size's own.

    Notes
    -----
    The prediction is linear in the points, y = a . log N: the law by least squares with equal regard to all points (B its
    pseudo-inverse), and the departure as the best linear prediction of the law's residuals. The variance of what it
    misses, for points of covariance K, is that of a linear prediction: k(x, x) + a K a' - 2 a k, and that of the parameters'
    priors where a J differs from J(x).
    """
    residuals, J = law.fit.residuals, law.fit.jacobian
    J_at = _jacobian(law, log_at)
    prior = np.diag(law.prior_sd**2)
    B = np.linalg.solve(law.fit.information, (J / law.sd[:, None] ** 2).T)
    unfitted = np.eye(len(log_M)) - J @ B

    sd = np.array([value for value, _, _ in GRID])
    own = np.array([value for _, _, value in GRID])
    K = sd[:, None, None] ** 2 * correlations(log_M, log_M)
    K[:, np.arange(len(log_M)), np.arange(len(log_M))] += errors**2 + own[:, None] ** 2
    k = sd[:, None, None] ** 2 * correlations(log_M, log_at) * fading(log_at, log_M)

    gains = np.linalg.solve(K, k)
    means = law.family.log_updates(law.fit.estimates, log_at) + np.einsum("cnx,n->cx", gains, residuals)
    a = (J_at @ B)[None] + np.einsum("cnx,nm->cxm", gains, unfitted)
    missed = J_at[None] - a @ J
    variances = (
        sd[:, None] ** 2
        + np.einsum("cxn,cnm,cxm->cx", a, K, a)
        - 2.0 * np.einsum("cxn,cnx->cx", a, k)
        + np.einsum("cxj,jk,cxk->cx", missed, prior, missed)
    )
    return Mixture(
        weights=_weights(law, K),
        means=means,
        variances=np.maximum(variances, 0.0) + own[:, None] ** 2,
    )


def _weights(law: LawFit, K: FloatArray) -> FloatArray:
    """Probability of each value of the grid, given how far the points lie from the law at its prior mean."""
    J = law.fit.jacobian
    gap = law.fit.residuals + J @ (law.fit.estimates - law.prior_mean)
    covariance = K + (J @ np.diag(law.prior_sd**2) @ J.T)[None]
    sign, log_determinant = np.linalg.slogdet(covariance)
    fit = np.einsum("n,cn->c", gap, np.linalg.solve(covariance, np.broadcast_to(gap, K.shape[:2])[..., None])[..., 0])
    log_evidence = np.where(sign > 0, LOG_WEIGHTS - 0.5 * (fit + log_determinant), -np.inf)
    weights = np.exp(log_evidence - np.max(log_evidence))
    return np.asarray(weights / np.sum(weights), dtype=np.float64)


def _jacobian(law: LawFit, log_at: FloatArray) -> FloatArray:
    """Derivatives of log N by the law's parameters at some batch sizes, shape (x, k); central differences."""
    columns = []
    for j in range(len(law.fit.estimates)):
        step = np.zeros_like(law.fit.estimates)
        step[j] = 1e-5
        up, down = (law.family.log_updates(law.fit.estimates + sign * step, log_at) for sign in (1.0, -1.0))
        columns.append((up - down) / 2e-5)
    return np.column_stack(columns)


def variances_after(
    law: LawFit, log_M: FloatArray, errors: FloatArray, log_at: FloatArray, log_next: FloatArray, next_error: float
) -> tuple[FloatArray, FloatArray]:
    """Variance of log N at some batch sizes now, and once one more batch size has been measured.

    Parameters
    ----------
    law, log_M, errors, log_at
        As in `departure_mixture`.
    log_next : ndarray, shape (m,)
        Logarithms of the batch sizes that could be measured next, each by itself.
    next_error : float
        Relative error that the mean measured there would have.

    Returns
    -------
    now, after : ndarray, shapes (x,) and (m, x)
        Averaged over the grid. A normal model's variances do not depend on what will be measured, so no guess of it is
        needed.
    """
    prior = np.diag(law.prior_sd**2)
    log_all = np.concatenate([log_M, log_at, log_next])
    J = np.vstack([law.fit.jacobian, _jacobian(law, log_at), _jacobian(law, log_next)])
    sd = np.array([value for value, _, _ in GRID])
    own = np.array([value for _, _, value in GRID])
    C = (J @ prior @ J.T)[None] + sd[:, None, None] ** 2 * correlations(log_all, log_all)
    n, x = len(log_M), len(log_at)
    V = C[:, :n, :n].copy()
    V[:, np.arange(n), np.arange(n)] += errors**2 + own[:, None] ** 2
    conditional = C[:, n:, n:] - C[:, n:, :n] @ np.linalg.solve(V, C[:, :n, n:])
    K = V - (law.fit.jacobian @ prior @ law.fit.jacobian.T)[None]
    weights = _weights(law, K)
    now = np.diagonal(conditional, axis1=1, axis2=2)[:, :x] + own[:, None] ** 2
    seen = np.diagonal(conditional, axis1=1, axis2=2)[:, x:] + own[:, None] ** 2 + next_error**2
    gained = conditional[:, x:, :x] ** 2 / seen[:, :, None]
    return weights @ now, np.einsum("c,cmx->mx", weights, np.maximum(now[:, None, :] - gained, own[:, None, None] ** 2))
