"""Linear models with random effects whose variances are integrated over: predictions of what was not measured, and of what was.

y = X mu + sum_k Z_k b_k + e, b_k ~ N(0, (lambda_k s)^2), e ~ N(0, s^2).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from simulator.quantities import FloatArray

__all__ = ["RandomEffects", "Spread"]

RATIO_ENDS = (0.05, 50.0)
"""The ratios lambda that are looked at: smaller is no effect, larger is not shrunk any more."""

RATIO_POINTS = 10
"""Points of each ratio in the first round; those that matter are halved in the second."""

FIRST_ROUND, SECOND_ROUND = 15.0, 12.0
"""Points are dropped whose logarithm of the posterior lies further than this below the highest."""

MOST_NUMBERS = 500_000
"""Of one matrix for each point, at a time: keeps the working memory at some 20 MB."""

LEAST_SPREAD = 1e-6
"""No measurement is better than one part in a million: data without any scatter do not make a certainty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What is known of one number: a mixture of Student distributions, one for each point of the ratios.

    Parameters
    ----------
    weights, means, scales : ndarray
        Of the components, shape (points,); weights sum to 1.
    degrees : float
        Degrees of freedom, the same for all.
    """

    weights: FloatArray
    means: FloatArray
    scales: FloatArray
    degrees: float

    @property
    def mean(self) -> float:
        """The mean."""
        return float(self.weights @ self.means)

    def quantile(self, q: float) -> float:
        """Return the quantile at 0 < q < 1."""
        ends = self.means + self.scales * stdtrit(self.degrees, q)
        low, high = float(ends.min()), float(ends.max())
        if high - low <= 1e-12 * max(1.0, abs(high)):
            return 0.5 * (low + high)
        return float(brentq(lambda x: float(self.weights @ stdtr(self.degrees, (x - self.means) / self.scales)) - q, low, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomEffects:
    """Measured numbers, and which of them share which effects.

    Parameters
    ----------
    X : ndarray
        Design of the fixed effects, shape (n, p), of full rank; n > p.
    y : ndarray
        What was measured, shape (n,).
    shared : ndarray
        Z_k Z_k' of every random effect: 1 where two share it, shape (effects, n, n).

    Notes
    -----
    With V = I + sum_k lambda_k^2 Z_k Z_k', the fixed effects are those of generalised least squares, and the prediction of a
    new number with row x, covariance k with the measured ones and variance k_0 = 1 + sum_k lambda_k^2 (over s^2) is the best
    linear unbiased one ([1]_, [2]_)::

        mu  = (X' V^-1 X)^-1 X' V^-1 y
        E   = x' mu + k' V^-1 (y - X mu)
        var = s^2 [k_0 - k' V^-1 k + (x - X' V^-1 k)' (X' V^-1 X)^-1 (x - X' V^-1 k)]
        s^2 = (y - X mu)' V^-1 (y - X mu) / (n - p)

    Given the ratios it is Student with n - p degrees of freedom. The ratios are not fixed at their most likely values, as REML
    has them: a dozen groups say little of a variance, and an interval that ignores this is too short. They are integrated over
    with the restricted likelihood ([3]_)::

        L(lambda) = |V|^-1/2 |X' V^-1 X|^-1/2 (s^2)^(-(n - p)/2)

    and independent half-Cauchy priors of scale 1: an effect is as likely smaller than the residual as larger. The integral is a
    sum over a grid, even in log lambda, in two rounds: a coarse one, and one with half the step where the posterior is not
    negligible. Cost n^3 for each of about 1500 points.

    References
    ----------
    .. [1] C. R. Henderson, "Best linear unbiased estimation and prediction under a selection model", Biometrics 31 (1975).
    .. [2] G. K. Robinson, "That BLUP is a good thing: the estimation of random effects", Statistical Science 6 (1991).
    .. [3] H. D. Patterson and R. Thompson, "Recovery of inter-block information when block sizes are unequal", Biometrika 58
       (1971).
    """

    X: FloatArray
    y: FloatArray
    shared: FloatArray

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the residual, n - p."""
        return len(self.y) - int(self.X.shape[1])

    def ratios(self) -> tuple[FloatArray, FloatArray]:
        """Return the points of the ratios that matter, shape (points, effects), and their weights, shape (points,), sum 1."""
        log_ratios, log_posterior = self._points()
        kept = log_posterior >= log_posterior.max() - SECOND_ROUND
        return np.exp(log_ratios[kept]), _normalised(log_posterior[kept])

    def new(self, x: FloatArray, shares: FloatArray, ratios: FloatArray, weights: FloatArray, *, also: float = 0.0) -> Spread:
        """Predict a number that was not measured.

        Parameters
        ----------
        x : ndarray
            Its row of the design, shape (p,).
        shares : ndarray
            1 where it shares an effect with a measured one, shape (effects, n).
        ratios, weights : ndarray
            As from `ratios`.
        also : float
            Variance on top, not scaled by s^2. Finite, >= 0.
        """
        means, scales = [], []
        for squares, at in self._at(ratios):
            k = np.tensordot(squares, shares, axes=1)  # shape (points, n)
            v_k = np.einsum("rij,rj->ri", at.v_inverse, k)
            difference = x - v_k @ self.X
            solved = np.linalg.solve(at.information, difference[..., None])[..., 0]
            factor = 1.0 + squares.sum(axis=1) - np.sum(k * v_k, axis=1) + np.sum(difference * solved, axis=1)
            means.append(at.mu @ x + np.sum(k * at.qy, axis=1))  # Q y = V^-1 (y - X mu)
            scales.append(np.sqrt(at.scatter / self.degrees * factor + also))
        return Spread(weights=weights, means=np.concatenate(means), scales=np.concatenate(scales), degrees=float(self.degrees))

    def left_out(self, sets: Sequence[Sequence[int]], *, also: Sequence[float]) -> list[list[Spread]]:
        """Predict sets of measured numbers, each from those outside it.

        Parameters
        ----------
        sets : sequence of sequences of int
            Positions that are left out together; X must keep its rank, and n - p stay positive, without them.
        also : sequence of float
            Variance on top for each set.

        Notes
        -----
        With Q = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1 the errors of the predictions of the numbers I from the others are
        (Q_II)^-1 (Q y)_I, their covariance is s^2 (Q_II)^-1, and the sum of squares S = (n - p) s^2 and the likelihood without
        them follow from::

            S_-I = S - (Q y)_I' (Q_II)^-1 (Q y)_I
            |V_-I| |X_-I' V_-I^-1 X_-I| = |V| |X' V^-1 X| |Q_II|

        so that one inversion for each point of the ratios serves every set. The points are those that matter to any set.
        """
        coarse, halves = self._grid()
        matters = np.zeros(len(coarse), dtype=bool)
        for log_left, *_ in self._left_out_at(coarse, sets):
            matters |= log_left >= log_left.max() - FIRST_ROUND
        fine = (coarse[matters][:, None, :] + halves).reshape(-1, len(self.shared))
        found = []
        for positions, on_top, (log_left, errors, variances) in zip(
            sets, also, self._left_out_at(fine, sets, spreads=True), strict=True
        ):
            kept = log_left >= log_left.max() - SECOND_ROUND
            weights = _normalised(log_left[kept])
            means, scales = self.y[list(positions)] - errors[kept], np.sqrt(variances[kept] + on_top)
            degrees = float(self.degrees - len(positions))
            found.append(
                [
                    Spread(weights=weights, means=means[:, j], scales=scales[:, j], degrees=degrees)
                    for j in range(len(positions))
                ]
            )
        return found

    def _left_out_at(
        self, log_ratios: FloatArray, sets: Sequence[Sequence[int]], *, spreads: bool = False
    ) -> list[list[FloatArray]]:
        """Return the log posterior without each set, shape (points,); with `spreads` its errors and their variances too."""
        parts: list[list[list[FloatArray]]] = [[] for _ in sets]
        for squares, at in self._at(np.exp(log_ratios)):
            log_prior = _log_prior(squares)
            for positions, part in zip(sets, parts, strict=True):
                out = list(positions)
                degrees = self.degrees - len(out)
                block, qy = at.q[:, out][:, :, out], at.qy[:, out]
                errors = np.linalg.solve(block, qy[..., None])[..., 0]
                scatter = np.maximum(at.scatter - np.sum(qy * errors, axis=1), degrees * LEAST_SPREAD**2)
                determinant = at.log_determinant + np.linalg.slogdet(block)[1]
                found = [log_prior - 0.5 * determinant - 0.5 * degrees * np.log(scatter)]
                if spreads:
                    unscaled = np.diagonal(np.linalg.inv(block), axis1=1, axis2=2)
                    found += [errors, (scatter / degrees)[:, None] * unscaled]
                part.append(found)
        return [[np.concatenate(found) for found in zip(*part, strict=True)] for part in parts]

    def _points(self) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of the ratios, shape (points, effects), and of their posterior, shape (points,)."""
        coarse, halves = self._grid()
        first = self._log_posterior(coarse)
        fine = (coarse[first >= first.max() - FIRST_ROUND][:, None, :] + halves).reshape(-1, len(self.shared))
        return fine, self._log_posterior(fine)

    def _grid(self) -> tuple[FloatArray, FloatArray]:
        """Return the coarse points in log lambda, and what leads from one to the middles of its parts."""
        low, high = np.log(RATIO_ENDS)
        quarter = (high - low) / (RATIO_POINTS - 1) / 4.0
        coarse = np.array(list(itertools.product(np.linspace(low, high, RATIO_POINTS), repeat=len(self.shared))))
        return coarse, np.array(list(itertools.product((-quarter, quarter), repeat=len(self.shared))))

    def _log_posterior(self, log_ratios: FloatArray) -> FloatArray:
        """Return log(restricted likelihood * prior), up to a constant."""
        found = []
        for squares, at in self._at(np.exp(log_ratios)):
            found.append(_log_prior(squares) - 0.5 * at.log_determinant - 0.5 * self.degrees * np.log(at.scatter))
        return np.concatenate(found)

    def _at(self, ratios: FloatArray) -> Iterator[tuple[FloatArray, _Points]]:
        """Do the linear algebra, some points at a time; with the squares of their ratios."""
        n = len(self.y)
        some = max(1, MOST_NUMBERS // n**2)
        for start in range(0, len(ratios), some):
            squares = ratios[start : start + some] ** 2
            V = np.eye(n) + np.tensordot(squares, self.shared, axes=1)
            v_inverse: FloatArray = np.asarray(np.linalg.inv(V), dtype=np.float64)
            weighted = v_inverse @ self.X
            information = self.X.T @ weighted
            back = np.linalg.solve(information, np.swapaxes(weighted, 1, 2))
            q: FloatArray = np.asarray(v_inverse - weighted @ back, dtype=np.float64)
            qy = q @ self.y
            yield (
                squares,
                _Points(
                    v_inverse=v_inverse,
                    information=information,
                    mu=back @ self.y,
                    q=q,
                    qy=qy,
                    scatter=np.maximum(qy @ self.y, self.degrees * LEAST_SPREAD**2),
                    log_determinant=np.linalg.slogdet(V)[1] + np.linalg.slogdet(information)[1],
                ),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Points:
    """The linear algebra at points of the ratios, along the first axis; names as in the notes above, scatter is S."""

    v_inverse: FloatArray
    information: FloatArray
    mu: FloatArray
    q: FloatArray
    qy: FloatArray
    scatter: FloatArray
    log_determinant: FloatArray


def _log_prior(squares: FloatArray) -> FloatArray:
    """Return the logarithm of the half-Cauchy priors, per step of log lambda, up to a constant."""
    return np.asarray(np.sum(0.5 * np.log(squares) - np.log1p(squares), axis=1))


def _normalised(log_weights: FloatArray) -> FloatArray:
    weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())
