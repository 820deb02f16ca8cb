"""The fitting engine: weighted least squares of a nonlinear model, with standard errors and priors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import FitError
from simulator.quantities import FloatArray

__all__ = ["LeastSquaresFit", "least_squares_fit"]

Predict = Callable[[FloatArray], FloatArray]
"""From the parameters to what the model predicts at every point."""

Derivatives = Callable[[FloatArray], FloatArray]
"""From the parameters to the derivatives of the prediction, shape (n, k)."""

POLISHED_FROM = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastSquaresFit:
    """A fit of `k` parameters to `n` points.

    Parameters
    ----------
    estimates : ndarray, shape (k,)
        Parameters at the least sum of squares.
    residuals : ndarray, shape (n,)
        Measured minus predicted, in the unit of the points.
    jacobian : ndarray, shape (n, k)
        Derivatives of the prediction at the estimates.
    information : ndarray, shape (k, k)
        J' W J plus the information of the priors: the inverse of the covariance at unit variance of a weighted residual.
    squares : float
        Sum of squared weighted residuals, priors not counted.
    """

    estimates: FloatArray
    residuals: FloatArray
    jacobian: FloatArray
    information: FloatArray
    squares: float

    @property
    def degrees_of_freedom(self) -> int:
        """Points minus parameters; may be 0 or less where priors help."""
        return len(self.residuals) - len(self.estimates)

    def covariance(self, variance: float | None = None) -> FloatArray:
        """Return the covariance of the estimates, shape (k, k).

        Parameters
        ----------
        variance : float, optional
            Variance of a weighted residual; by default squares / degrees of freedom, as in NIST's certified values.
        """
        if variance is None:
            variance = self.squares / self.degrees_of_freedom
        return np.asarray(variance * np.linalg.pinv(self.information, hermitian=True), dtype=np.float64)

    def standard_errors(self, variance: float | None = None) -> FloatArray:
        """Return the standard errors of the estimates, shape (k,), see `covariance`."""
        errors: FloatArray = np.sqrt(np.maximum(np.diag(self.covariance(variance)), 0.0))
        return errors


def least_squares_fit(
    predict: Predict,
    measured: FloatArray,
    start: Sequence[float] | FloatArray,
    *,
    sd: FloatArray | float = 1.0,
    prior_mean: Sequence[float] | FloatArray | None = None,
    prior_sd: Sequence[float] | FloatArray | None = None,
    derivatives: Derivatives | None = None,
    tolerance: float = 1e-15,
) -> LeastSquaresFit:
    """Fit a model by weighted least squares.

    Parameters
    ----------
    predict : callable
        From parameters, shape (k,), to predictions, shape (n,).
    measured : ndarray, shape (n,)
        The points.
    start : sequence of float, length k
        Where the search begins.
    sd : float or ndarray, shape (n,)
        Standard deviation of each point up to a common factor: its weight is 1/sd**2.
    prior_mean, prior_sd : sequence of float, length k, optional
        Normal priors of the parameters, in units of a weighted residual; infinite where there is none.
    derivatives : callable, optional
        Derivatives of `predict`; central differences by default.
    tolerance : float
        Relative change of the sum of squares and of the parameters at which the search ends, > 0; more digits are polished
        off only where it is the smallest, the default.

    Returns
    -------
    LeastSquaresFit
        At the best of the searches that converged.

    Raises
    ------
    FitError
        If no search ends at finite parameters.

    Notes
    -----
    `scipy.optimize.least_squares` (trust region, central differences), then Gauss-Newton steps while they help: a sum of
    squares is flat to rounding at half the digits of the parameters, its gradient is not. NIST's certified values are
    reached to 8 digits.
    """
    from scipy import optimize

    start = np.asarray(start, dtype=np.float64)
    weight = 1.0 / np.broadcast_to(np.asarray(sd, dtype=np.float64), measured.shape)
    mean = start if prior_mean is None else np.asarray(prior_mean, dtype=np.float64)
    root = np.zeros(len(start)) if prior_sd is None else 1.0 / np.asarray(prior_sd, dtype=np.float64)

    def weighted(parameters: FloatArray) -> FloatArray:
        residuals = weight * (measured - predict(parameters))
        together = np.concatenate([residuals, root * (parameters - mean)]) if root.any() else residuals
        return np.where(np.isfinite(together), together, 1e150)

    def weighted_derivatives(parameters: FloatArray) -> FloatArray:
        assert derivatives is not None
        rows = -weight[:, None] * derivatives(parameters)
        return np.vstack([rows, np.diag(root)]) if root.any() else rows

    jacobian: Any = weighted_derivatives if derivatives is not None else "3-point"
    try:
        with np.errstate(all="ignore"):
            search = optimize.least_squares(
                weighted, start, jac=jacobian, x_scale="jac", ftol=tolerance, xtol=tolerance, gtol=tolerance
            )
    except ValueError as error:
        raise FitError(f"the fit did not converge: {error}") from None
    found = search.x
    if not np.all(np.isfinite(found)) or search.cost >= 1e100:
        raise FitError("the fit did not converge: no finite parameters fit the points")
    if tolerance <= POLISHED_FROM:
        found = _polished(predict, measured, found, weight, root, mean)
    residuals = measured - predict(found)
    slopes = _jacobian(predict, found) if derivatives is None else derivatives(found)
    weighted_slopes = weight[:, None] * slopes
    return LeastSquaresFit(
        estimates=found,
        residuals=residuals,
        jacobian=slopes,
        information=weighted_slopes.T @ weighted_slopes + np.diag(root**2),
        squares=float(np.sum((weight * residuals) ** 2)),
    )


def _polished(
    predict: Predict, measured: FloatArray, found: FloatArray, weight: FloatArray, root: FloatArray, mean: FloatArray
) -> FloatArray:
    """Gauss-Newton from the end of a search, as long as the steps get shorter and the sum of squares does not grow."""

    def cost(parameters: FloatArray) -> float:
        return float(np.sum((weight * (measured - predict(parameters))) ** 2) + np.sum((root * (parameters - mean)) ** 2))

    lowest, last = cost(found), np.inf
    for _ in range(8):
        rows = np.vstack([weight[:, None] * _jacobian(predict, found), np.diag(root)])
        gap = np.concatenate([weight * (measured - predict(found)), -root * (found - mean)])
        step = np.linalg.lstsq(rows, gap, rcond=1e-14)[0]
        length = float(np.max(np.abs(step) / np.maximum(np.abs(found), 1e-12)))
        with np.errstate(all="ignore"):
            reached = cost(found + step)
        if not (length < min(last, 1e-2) and reached <= lowest * (1.0 + 1e-12)):
            break
        found, last, lowest = found + step, length, min(lowest, reached)
    return found


def _jacobian(predict: Predict, at: FloatArray) -> FloatArray:
    """Central differences, step 1e-6 of each parameter's size: errors of order 1e-11."""
    columns = []
    for j, value in enumerate(at):
        step = 1e-6 * max(abs(value), 1e-300) if abs(value) > 1e-3 else 1e-6 * max(abs(value), 1e-6)
        up, down = at.copy(), at.copy()
        up[j] += step
        down[j] -= step
        columns.append((predict(up) - predict(down)) / (up[j] - down[j]))
    return np.column_stack(columns)
