"""A quadratic with additive gradient noise at a constant rate: the one problem whose law is known exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.measuring.problems import Setting
from simulator.quantities import FloatArray
from simulator.theory import NoiseFloorLaw

__all__ = ["LeastSquares"]


@dataclass(slots=True, kw_only=True, eq=False)
class _Point:
    """Weights on a quadratic."""

    weights: FloatArray
    curvature: float
    noise_sd: float
    setting: Setting

    def update(self) -> None:
        """Take one step against the gradient, whose noise has variance s^2/M per coordinate: that of a mean of M samples."""
        noise = self.setting.samples_rng.normal(size=len(self.weights)) * (self.noise_sd / np.sqrt(self.setting.batch_samples))
        gradient = self.curvature * self.weights + noise
        self.setting.combine([gradient])
        self.weights -= self.setting.learning_rate * gradient

    def losses(self) -> Mapping[str, float]:
        """Return f itself: there is nothing to cross-validate."""
        return {"training": 0.5 * self.curvature * float(self.weights @ self.weights)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastSquares:
    r"""Minimise f(w) = (lambda/2) \|w\|^2 by SGD at a constant rate, gradients lambda w + s xi/sqrt(M), xi standard normal.

    Parameters
    ----------
    dimensions : int
        d, >= 1.
    curvature : float
        lambda, > 0.
    noise_sd : float
        s: standard deviation of a sample's gradient in each coordinate, > 0.
    initial_loss : float
        E_0: f at the start, the same for every run; its direction is random.
    targets, learning_rates, batch_samples
        Defaults of the flags: eps, eta, and the ends of the batch sizes.

    Notes
    -----
    E f_(k+1) = (1 - eta lambda)^2 E f_k + lambda eta^2 s^2 d/(2 M): the loss falls geometrically onto the floor F/M with
    F = eta s^2 d/(2 (2 - eta lambda)), so that

        N(M) = ln((E_0 - F/M)/(eps - F/M)) / (-2 ln(1 - eta lambda))    for M > F/eps,

    and no run reaches eps at M <= F/eps. For M well above F/eps that is the inverse law with
    alpha/N_inf = F (1/eps - 1/E_0)/ln(E_0/eps). The loss of one run lies around its mean by sqrt(2/d): with 2,000 dimensions by
    3 % on the floor. The noise of a mini-batch is drawn as one vector, so the time of an update does not depend on M.
    """

    dimensions: int = 2000
    curvature: float = 1.0
    noise_sd: float = 0.5
    initial_loss: float = 100.0
    targets: tuple[float, ...] = (1.0,)
    learning_rates: tuple[float, ...] = (0.02,)
    batch_samples: tuple[int, ...] = (1, 1024)
    max_updates: int = 5_000
    evaluation_samples: int = 1
    data_set_samples: int = 1_000_000
    about: str = "a quadratic with additive gradient noise at a constant rate: the law is known"

    @property
    def parameters(self) -> int:
        """Weights."""
        return self.dimensions

    def floor_loss_samples(self, learning_rate: float) -> float:
        """F: the loss where training stalls at M = 1. Loss times samples."""
        eta, lam = learning_rate, self.curvature
        return eta * self.noise_sd**2 * self.dimensions / (2.0 * (2.0 - eta * lam))

    def law(self, learning_rate: float, target: float) -> NoiseFloorLaw:
        """Return the law of the mean loss: its updates at M, and the batch size below which there are none."""
        return NoiseFloorLaw(
            initial_error=self.initial_loss,
            target_error=target,
            floor_error_samples=self.floor_loss_samples(learning_rate),
            rate_per_update=float(-2.0 * np.log1p(-learning_rate * self.curvature)),
        )

    def critical_batch_samples(self, learning_rate: float, target: float) -> float:
        """alpha/N_inf of the inverse law that the exact law becomes at large M. Samples."""
        F = self.floor_loss_samples(learning_rate)
        return F * (1.0 / target - 1.0 / self.initial_loss) / float(np.log(self.initial_loss / target))

    def build(self, setting: Setting) -> _Point:
        """Start in a random direction at the initial loss."""
        direction = setting.weights_rng.normal(size=self.dimensions)
        weights = direction * np.sqrt(2.0 * self.initial_loss / self.curvature / float(direction @ direction))
        return _Point(weights=weights, curvature=self.curvature, noise_sd=self.noise_sd, setting=setting)
