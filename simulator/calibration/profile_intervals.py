"""90 % profile intervals of N_inf, alpha and the critical batch size: what the data alone say, also where they say little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.calibration.least_squares import least_squares_fit
from simulator.calibration.measurements import UpdatesSeries, as_arrays
from simulator.calibration.updates_laws import RESIDUAL_DEGREES, LawFamily, fit_family
from simulator.quantities import FloatArray

__all__ = ["ProfileInterval", "profile_intervals90"]

REACH = np.log(1e6)
"""How far from the points a parameter is followed: a factor of a million; beyond, the end is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileInterval:
    """Values of a parameter that the data do not contradict at the 90 % level.

    Parameters
    ----------
    low : float
        Lower end; 0 where however small a value fits.
    high : float or None
        Upper end; None where however large a value fits.
    """

    low: float
    high: float | None


def profile_intervals90(family: LawFamily, series: UpdatesSeries) -> dict[str, ProfileInterval]:
    """Return the profile intervals of `n_inf_updates`, `alpha_samples` and `critical_batch_samples`, by name.

    Parameters
    ----------
    family : LawFamily
        A law whose first two parameters are ln N_inf and ln alpha.
    series : UpdatesSeries
        The measurements.

    Notes
    -----
    A parameter is held at a value, the others follow by least squares without priors. The value belongs to the interval
    while the sum of squares grows by at most t^2 times the variance of a residual, t being Student's 0.95 quantile; the
    variance counts what is known before as `RESIDUAL_DEGREES` observations.
    """
    from scipy.stats import t as student

    fitted = fit_family(family, series)  # batch sizes that no run finished at count as the points found there
    log_M, sd = fitted.log_batch, fitted.sd
    log_N = fitted.fit.residuals + family.log_updates(fitted.fit.estimates, log_M)
    start = family.starts(*as_arrays(series)[:2])[0]
    vague = np.full(len(start), 30.0)

    def squares(held: Callable[[FloatArray], FloatArray], begin: FloatArray) -> tuple[float, FloatArray]:
        fit = least_squares_fit(
            lambda rest: family.log_updates(held(rest), log_M),
            log_N,
            begin,
            sd=sd,
            prior_mean=begin,
            prior_sd=vague[: len(begin)],
        )
        return fit.squares, fit.estimates

    least, best = squares(lambda rest: rest, start)
    freedom = max(len(log_M) - len(start), 0) + RESIDUAL_DEGREES
    most = least + float(student.ppf(0.95, freedom)) ** 2 * (least + RESIDUAL_DEGREES) / freedom

    def n_inf(value: float) -> Callable[[FloatArray], FloatArray]:
        return lambda rest: np.concatenate([[value], rest])

    def alpha(value: float) -> Callable[[FloatArray], FloatArray]:
        return lambda rest: np.concatenate([rest[:1], [value], rest[1:]])

    def critical(value: float) -> Callable[[FloatArray], FloatArray]:
        return lambda rest: np.concatenate([rest[:1] - value, rest])

    found = {}
    for name, held, centre, begin, (lowest, highest) in (
        ("n_inf_updates", n_inf, best[0], best[1:], (np.min(log_N) - REACH, np.max(log_N) + 1.0)),
        ("alpha_samples", alpha, best[1], np.delete(best, 1), (np.min(log_N + log_M) - REACH, np.max(log_N + log_M) + 1.0)),
        ("critical_batch_samples", critical, best[1] - best[0], best[1:], (log_M[0] - REACH, log_M[-1] + REACH)),
    ):
        excess = _excess(squares, held, begin, most)
        inside = float(np.clip(centre, lowest, highest))
        low, high = _crossing(excess, inside, float(lowest)), _crossing(excess, inside, float(highest))
        found[name] = ProfileInterval(
            low=0.0 if low is None else float(np.exp(low)), high=None if high is None else float(np.exp(high))
        )
    return found


Held = Callable[[FloatArray], FloatArray]


def _excess(
    squares: Callable[[Held, FloatArray], tuple[float, FloatArray]],
    held: Callable[[float], Held],
    begin: FloatArray,
    most: float,
) -> Callable[[float], float]:
    """Return by how much the sum of squares passes what is allowed, as a function of the value held."""
    return lambda value: squares(held(value), begin)[0] - most


def _crossing(excess: Callable[[float], float], inside: float, end: float) -> float | None:
    """Return where `excess` turns positive between a value inside the interval and an end; None where it does not."""
    from scipy.optimize import brentq

    step = (end - inside) / 24.0
    if step == 0.0:
        return None
    before = inside
    for i in range(1, 25):
        at = inside + i * step
        if excess(at) > 0.0:
            return float(brentq(excess, before, at, xtol=1e-6)) if excess(before) < 0.0 else before
        before = at
    return None
