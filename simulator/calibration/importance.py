"""Weighted draws from a posterior that is known up to a constant: importance sampling with a proposal that adapts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv, ndtri
from scipy.stats import qmc

from simulator.quantities import FloatArray

__all__ = ["Draws", "importance_draws"]

LOG2_DRAWS = 11
ROUNDS = 4
DEGREES = 6.0
"""Of the Student distributions that propose: their tails are wider than the posterior's."""
KEPT_SHAPE = 0.1
"""Share of the first proposal's covariance in the later ones, so that a few lucky draws do not narrow them to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Weighted draws of k parameters.

    Parameters
    ----------
    points : ndarray, shape (draws, k)
        The parameters.
    weights : ndarray, shape (draws,)
        Add up to 1.
    """

    points: FloatArray
    weights: FloatArray

    @property
    def effective(self) -> float:
        """How many equally weighted draws they are worth."""
        return float(1.0 / np.sum(self.weights**2))

    def quantile(self, values: FloatArray, q: float) -> float:
        """Return a quantile of a number computed from each draw, shape (draws,)."""
        order = np.argsort(values, kind="stable")
        w = self.weights[order]
        return float(np.interp(q, np.cumsum(w) - 0.5 * w, values[order]))


def importance_draws(log_posterior: Callable[[FloatArray], FloatArray], mode: FloatArray, covariance: FloatArray) -> Draws:
    """Draw from a posterior.

    Parameters
    ----------
    log_posterior : callable
        From points, shape (draws, k), to the logarithm of the density there, up to a constant, shape (draws,).
    mode, covariance : ndarray, shapes (k,) and (k, k)
        Where it is highest, and the inverse of its curvature there.

    Returns
    -------
    Draws
        2048 of them, from a Sobol sequence: no chance is involved, the same input gives the same bytes.

    Notes
    -----
    The first proposal is Student's around the mode; each later one has mean and covariance of the weighted draws before
    ("population Monte Carlo", [1]_). The round with the most effective draws is kept.

    References
    ----------
    .. [1] O. Cappe, A. Guillin, J. M. Marin, C. P. Robert, "Population Monte Carlo", J. Comput. Graph. Stat. 13 (2004).
    """
    k = len(mode)
    uniform = qmc.Sobol(k + 1, scramble=False).random_base2(LOG2_DRAWS) + 0.5 / 2**LOG2_DRAWS
    normal = ndtri(uniform[:, :k])
    stretch = np.sqrt(DEGREES / (2.0 * gammaincinv(DEGREES / 2.0, uniform[:, k])))
    z = normal * stretch[:, None]
    log_z = -0.5 * (DEGREES + k) * np.log1p(np.sum(z**2, axis=1) / DEGREES)
    centre, shape = mode, covariance
    best: Draws | None = None
    for _ in range(ROUNDS):
        root = np.linalg.cholesky(shape)
        points = centre + z @ root.T
        log_weights = log_posterior(points) - log_z
        weights = np.exp(log_weights - np.max(log_weights))
        found = Draws(points=points, weights=weights / np.sum(weights))
        if best is None or found.effective > best.effective:
            best = found
        centre = found.weights @ points
        apart = points - centre
        shape = (1.0 - KEPT_SHAPE) * (apart * found.weights[:, None]).T @ apart + KEPT_SHAPE * covariance
    assert best is not None
    return best
