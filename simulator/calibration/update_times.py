"""Measured times of an update made a table: more samples never take less time, but for the noise of the clock."""

from __future__ import annotations

import numpy as np

from simulator.compute import TabulatedCompute
from simulator.quantities import ArrayLike, check_table

__all__ = ["tabulated_compute"]


def tabulated_compute(local_samples: ArrayLike, update_time_s: ArrayLike) -> TabulatedCompute:
    """Return the table nearest to measured times that does not fall: isotonic least squares of the logarithms.

    Parameters
    ----------
    local_samples : array_like, shape (n,)
        Samples of an update on one learner, increasing, at least two.
    update_time_s : array_like, shape (n,)
        Seconds of an update there, > 0.

    Examples
    --------
    >>> tabulated_compute([1, 2, 4], [0.010, 0.0064, 0.03]).compute_time_at_s  # 8 ms is the geometric mean of the first two
    (0.008, 0.008, 0.03)
    """
    from scipy.optimize import isotonic_regression

    x = tuple(float(value) for value in np.atleast_1d(np.asarray(local_samples, dtype=np.float64)))
    y = tuple(float(value) for value in np.atleast_1d(np.asarray(update_time_s, dtype=np.float64)))
    check_table("local_samples", x, "update_time_s", y)
    times = np.exp(isotonic_regression(np.log(y)).x)
    return TabulatedCompute(local_samples=x, compute_time_at_s=tuple(float(f"{value:.12g}") for value in times))
