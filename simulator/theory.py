"""The paper's theory section: an upper bound on the updates that suffice, and the law of a constant learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.quantities import ArrayLike, FloatArray, positive

__all__ = ["NoiseFloorLaw", "sufficient_updates", "sufficient_updates_as_inverse_law"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloorLaw:
    """Updates at a constant learning rate, N_Update(M) = ln((E_0 - F/M) / (eps - F/M)) / rho for M > F/eps.

    With a constant rate the error falls geometrically onto a noise floor F/M, so a small enough mini-batch never reaches the
    target; with rates tuned for each M the clean 1/M of the inverse law appears instead [1]_.

    Parameters
    ----------
    initial_error : float
        E_0: the residual at the start, in the units of the loss, > `target_error`.
    target_error : float
        eps: the residual to be reached, > 0.
    floor_error_samples : float
        F: the residual where training stalls at M = 1; the floor at M is F/M. Loss times samples, > 0.
    rate_per_update : float
        rho: relative decrease of the distance to the floor per update, 0 < rho < 1. The law writes rho where the recursion has
        -ln(1 - rho): an upper bound, about rho/2 too high.

    References
    ----------
    .. [1] L. Bottou, F. Curtis, J. Nocedal, "Optimization methods for large-scale machine learning", SIAM Review 60 (2018).

    Examples
    --------
    >>> law = NoiseFloorLaw(initial_error=1.0, target_error=0.1, floor_error_samples=1.0, rate_per_update=0.01)
    >>> law.smallest_batch_samples
    10.0
    >>> round(float(law.updates(20)), 3)  # ln(0.95 / 0.05) / 0.01
    294.444
    """

    initial_error: float
    target_error: float
    floor_error_samples: float
    rate_per_update: float

    def __post_init__(self) -> None:
        for name in ("initial_error", "target_error", "floor_error_samples", "rate_per_update"):
            positive(name, getattr(self, name))
        if self.initial_error <= self.target_error:
            raise ValueError(f"initial_error must be > target_error = {self.target_error:g}, got {self.initial_error:g}")
        if np.log(self.initial_error / self.target_error) < self.rate_per_update:
            raise ValueError(
                "rate_per_update must leave at least one update, ln(initial_error / target_error) = "
                f"{np.log(self.initial_error / self.target_error):.6g}, got {self.rate_per_update:g}"
            )
        if self.rate_per_update >= 1.0:
            raise ValueError(f"rate_per_update must be < 1, got {self.rate_per_update:g}")

    @property
    def smallest_batch_samples(self) -> float:
        """F/eps: at and below this mini-batch the target is never reached. Samples."""
        return self.floor_error_samples / self.target_error

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest (exclusive: there N_Update is infinite) and largest M for which the law holds, samples."""
        return self.smallest_batch_samples * (1.0 + 1e-9), np.inf

    def updates(self, batch_samples: ArrayLike) -> FloatArray:
        """N_Update at mini-batches `batch_samples` (> F/eps, any shape)."""
        M = positive("batch_samples", batch_samples)
        too_small = np.asarray(M) <= self.smallest_batch_samples
        if too_small.any():
            raise ValueError(
                f"batch_samples must be > {self.smallest_batch_samples:g}, below which the target error is under the noise "
                f"floor, got {float(np.asarray(M)[too_small].flat[0] if too_small.ndim else M):g}"
            )
        floor = self.floor_error_samples / M
        above_floor = np.maximum(self.target_error - floor, 1e-12 * self.target_error)  # rounding just above the smallest M
        return np.log((self.initial_error - floor) / above_floor) / self.rate_per_update


def sufficient_updates(
    batch_samples: ArrayLike,
    *,
    rate_per_update: float,
    initial_error: float,
    target_error: float,
    noise_error2_samples: float,
    form: Literal["log", "taylor"] = "log",
) -> FloatArray:
    r"""Updates that suffice for convex SGD at a constant learning rate: the theory section's bound.

    Parameters
    ----------
    batch_samples : array_like
        M, samples, larger than theta/eps^2 (the bound exists only while eps > sigma).
    rate_per_update : float
        lambda: eta (1 - eta L/2) / \|w_0 - w*\|^2, per update and unit of loss, > 0.
    initial_error, target_error : float
        Delta_0 > eps > 0: residuals f - f* at the start and at the target.
    noise_error2_samples : float
        theta: sigma^2 = theta/M. Loss squared times samples, > 0.
    form : {"log", "taylor"}
        "log": the exact solution of the recursion; "taylor": its expansion for small sigma, an inverse law in M. Near the
        smallest M use "log".

    Returns
    -------
    float or ndarray
        Updates after which the expected residual is at most eps (an upper bound on N_Update).

    Raises
    ------
    ValueError
        Where M <= theta/eps^2, the smallest M of both forms.

    Notes
    -----
    log form: (ln((eps + s)/(eps - s)) + ln((D - s)/(D + s))) / ln(1 + 2 lambda s) with s = sqrt(theta/M), D = Delta_0.
    Taylor form: (1/lambda)(1/eps - 1/D)(1 + (s^2/3)(1/eps^2 + 1/D^2 + 1/(eps D))). The paper's last formula drops the 1/3 of
    the line before it; it is kept here. The derivation needs lambda (Delta_0 + sigma) <= 1. Both agree as M grows up to the
    factor 2 lambda s / ln(1 + 2 lambda s).

    Examples
    --------
    >>> two = dict(rate_per_update=0.001, initial_error=1.0, target_error=0.1, noise_error2_samples=1.0)
    >>> [round(float(sufficient_updates(1e8, form=form, **two))) for form in ("log", "taylor")]
    [9000, 9000]
    """
    M = positive("batch_samples", batch_samples)
    lam = float(positive("rate_per_update", rate_per_update))
    eps, start = float(positive("target_error", target_error)), float(positive("initial_error", initial_error))
    if start <= eps:
        raise ValueError(f"initial_error must be > target_error = {eps:g}, got {start:g}")
    smallest = positive("noise_error2_samples", noise_error2_samples) / eps**2
    if np.any(np.asarray(M) <= smallest):
        raise ValueError(
            f"batch_samples must be > theta/eps^2 = {smallest:g}, below which the bound does not exist, "
            f"got {float(np.min(M)):g}"
        )
    s = np.minimum(np.sqrt(noise_error2_samples / M), eps * (1.0 - 1e-16))  # M may be the smallest one up to rounding
    if form == "taylor":
        n_inf, alpha = sufficient_updates_as_inverse_law(
            rate_per_update=lam, initial_error=start, target_error=eps, noise_error2_samples=noise_error2_samples
        )
        return n_inf + alpha / M
    if form != "log":
        raise ValueError(f"form must be one of log, taylor, got {form!r}")
    return (2.0 * np.arctanh(s / eps) - 2.0 * np.arctanh(s / start)) / np.log1p(2.0 * lam * s)


def sufficient_updates_as_inverse_law(
    *, rate_per_update: float, initial_error: float, target_error: float, noise_error2_samples: float
) -> tuple[float, float]:
    """Return (n_inf_updates, alpha_samples) of the Taylor form of `sufficient_updates`.

    The critical batch size alpha/N_inf is theta/3 (1/eps^2 + 1/D^2 + 1/(eps D)): about a third of the smallest M.
    Arguments, units and checks are those of `sufficient_updates`.
    """
    positive("rate_per_update", rate_per_update)
    positive("noise_error2_samples", noise_error2_samples)
    if positive("initial_error", initial_error) <= positive("target_error", target_error):
        raise ValueError(f"initial_error must be > target_error = {target_error:g}, got {initial_error:g}")
    n_inf = (1.0 / target_error - 1.0 / initial_error) / rate_per_update
    spread = 1.0 / target_error**2 + 1.0 / initial_error**2 + 1.0 / (target_error * initial_error)
    return n_inf, n_inf * noise_error2_samples / 3.0 * spread
