"""How computing scatters: factors with mean 1, the largest of many, and the mean of those below the largest.

The largest of n draws has the distribution function F^n: it is ``isf(-expm1(log(U)/n))`` of a uniform U, which keeps its
digits however large n is; -log(U) is drawn as an exponential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.engine.job import Noise
from simulator.quantities import ArrayLike, FloatArray

__all__ = ["ExponentialScatter", "GammaScatter", "LogNormalScatter", "NoScatter", "Scatter", "largest", "scatter_of"]

LEAST_SD = 1e-7
"""Relative standard deviation below which a law cannot be told from its mean any more in floating point."""


class Scatter(Protocol):
    """A law of factors, > 0, with mean 1."""

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Draw `size` factors."""

    def isf(self, survival: FloatArray) -> FloatArray:
        """Factor that is exceeded with probability `survival`."""

    def mean_below(self, highest: FloatArray) -> FloatArray:
        """Mean of the factors that do not exceed `highest`."""


@dataclass(frozen=True, slots=True)
class NoScatter:
    """Every factor is 1."""

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Return ones."""
        return np.ones(size)

    def isf(self, survival: FloatArray) -> FloatArray:
        """Return ones."""
        return np.ones_like(survival)

    def mean_below(self, highest: FloatArray) -> FloatArray:
        """Return ones."""
        return np.ones_like(highest)


@dataclass(frozen=True, slots=True)
class LogNormalScatter:
    """exp(sigma Z - sigma^2 / 2) with Z normal.

    Examples
    --------
    >>> float(LogNormalScatter(0.5).mean_below(np.array(1e9)))  # of all: the mean
    1.0
    """

    relative_sd: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return float(np.sqrt(np.log1p(self.relative_sd**2)))

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Draw `size` factors."""
        return np.exp(self.sigma * rng.standard_normal(size) - self.sigma**2 / 2.0)

    def isf(self, survival: FloatArray) -> FloatArray:
        """Factor that is exceeded with probability `survival`."""
        from scipy.special import ndtri

        return np.asarray(np.exp(-self.sigma * ndtri(survival) - self.sigma**2 / 2.0), dtype=np.float64)

    def mean_below(self, highest: FloatArray) -> FloatArray:
        """Mean of the factors that do not exceed `highest`: Phi(z - sigma) / Phi(z)."""
        from scipy.special import log_ndtr

        z = np.log(highest) / self.sigma + self.sigma / 2.0
        return np.asarray(np.exp(log_ndtr(z - self.sigma) - log_ndtr(z)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class GammaScatter:
    """Gamma law of shape 1 / sd^2 and mean 1."""

    relative_sd: float

    @property
    def shape(self) -> float:
        """Shape of the law."""
        return 1.0 / self.relative_sd**2

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Draw `size` factors."""
        return rng.standard_gamma(self.shape, size) / self.shape

    def isf(self, survival: FloatArray) -> FloatArray:
        """Factor that is exceeded with probability `survival`."""
        from scipy.special import gammainccinv

        return np.asarray(gammainccinv(self.shape, survival) / self.shape, dtype=np.float64)

    def mean_below(self, highest: FloatArray) -> FloatArray:
        """Mean of the factors that do not exceed `highest`."""
        from scipy.special import gammainc

        k, x = self.shape, np.asarray(highest) * self.shape
        below = gammainc(k, x)
        # Far below its mean the density is that of x^(k - 1).
        found: FloatArray = np.where(below > 0, gammainc(k + 1.0, x) / np.where(below > 0, below, 1.0), highest * k / (k + 1.0))
        return found


@dataclass(frozen=True, slots=True)
class ExponentialScatter:
    """1 - sd + sd E with E exponential of mean 1."""

    relative_sd: float

    def sample(self, rng: np.random.Generator, size: int) -> FloatArray:
        """Draw `size` factors."""
        return 1.0 + self.relative_sd * (rng.standard_exponential(size) - 1.0)

    def isf(self, survival: FloatArray) -> FloatArray:
        """Factor that is exceeded with probability `survival`."""
        return 1.0 + self.relative_sd * (-np.log(survival) - 1.0)

    def mean_below(self, highest: FloatArray) -> FloatArray:
        """Mean of the factors that do not exceed `highest`: of E below y it is 1 - y / (e^y - 1)."""
        y = (np.asarray(highest) - 1.0) / self.relative_sd + 1.0
        safe = np.clip(y, 1e-8, 700.0)
        mean = np.where(y < 1e-8, np.maximum(y, 0.0) / 2.0, 1.0 - safe / np.expm1(safe))
        return np.asarray(1.0 + self.relative_sd * (mean - 1.0), dtype=np.float64)


def scatter_of(noise: Noise | None) -> Scatter:
    """Return the law of a job's noise."""
    if noise is None or noise.kind == "none" or (noise.relative_sd is not None and noise.relative_sd < LEAST_SD):
        return NoScatter()
    if noise.kind == "exponential":
        return ExponentialScatter(1.0 if noise.relative_sd is None else noise.relative_sd)
    assert noise.relative_sd is not None
    return LogNormalScatter(noise.relative_sd) if noise.kind == "lognormal" else GammaScatter(noise.relative_sd)


def largest(scatter: Scatter, rng: np.random.Generator, count: ArrayLike, size: int) -> FloatArray:
    """Draw the largest of `count` factors (>= 1, one number or one for each), `size` times."""
    if isinstance(scatter, NoScatter):
        return np.ones(size)
    of = np.broadcast_to(np.asarray(count, dtype=np.float64), (size,))
    tiny = np.finfo(np.float64).tiny
    survival = np.maximum(-np.expm1(-rng.standard_exponential(size) / of), tiny)
    return scatter.isf(survival)
