"""How sure a law is: what its fit knows about itself, and the spread of log T_C that follows from it.

All spreads are standard deviations of a logarithm ("relative"): a 90 % interval is the value times exp(+-1.645 sd).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.quantities import positive

__all__ = ["NORMAL_95", "FitRecord", "Interval", "extrapolation_sd", "interval90", "parameter_sd"]

NORMAL_95 = 1.6448536269514722
"""Quantile 0.95 of the standard normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRecord:
    """What a fit knows about its law: range of the data and where the law's error comes from.

    Parameters
    ----------
    batch_samples_range : (float, float)
        Smallest and largest mini-batch that was measured, samples.
    relative_standard_errors : (float, float)
        Standard errors of N_inf and alpha, relative to their values, >= 0.
    correlation : float
        Correlation of the two estimates, from -1 to 1.
    discrepancy_relative : float
        Standard deviation of the law's own relative error (the law is not exact), >= 0.
    run_to_run_relative : float
        Relative standard deviation of single runs around their mean, >= 0.
    """

    batch_samples_range: tuple[float, float]
    relative_standard_errors: tuple[float, float] = (0.0, 0.0)
    correlation: float = 0.0
    discrepancy_relative: float = 0.0
    run_to_run_relative: float = 0.0

    def __post_init__(self) -> None:
        if len(self.batch_samples_range) != 2 or len(self.relative_standard_errors) != 2:
            raise ValueError("batch_samples_range and relative_standard_errors must have two numbers each")
        lowest, highest = positive("batch_samples_range", self.batch_samples_range)
        if lowest > highest:
            raise ValueError(f"batch_samples_range must be [smallest, largest], got {list(self.batch_samples_range)}")
        for error in self.relative_standard_errors:
            if not 0 <= error <= 10:
                raise ValueError(f"relative_standard_errors must be from 0 to 10, got {error:g}")
        if not -1 <= self.correlation <= 1:
            raise ValueError(f"correlation must be from -1 to 1, got {self.correlation:g}")
        for name in ("discrepancy_relative", "run_to_run_relative"):
            if not 0 <= getattr(self, name) <= 10:
                raise ValueError(f"{name} must be from 0 to 10, got {getattr(self, name):g}")

    @property
    def has_uncertainty(self) -> bool:
        """Whether anything here widens an interval."""
        return any((*self.relative_standard_errors, self.discrepancy_relative, self.run_to_run_relative))


EXTRAPOLATION_RATIOS = (1.0, 2.0, 4.0, 16.0, 64.0)
EXTRAPOLATION_P90 = (0.0, 0.19, 0.27, 0.51, 0.64)
"""90th percentile of the relative error of published series, by the ratio of the asked M to the measured range."""
SHARE_NOT_STATED = 0.5
"""Share of that error's variance which the fits' own statements (parameters, discrepancy) do not cover already."""


def extrapolation_sd(batch_samples: float, batch_samples_range: tuple[float, float]) -> float:
    """Return the extra relative standard deviation of N_Update outside the measured range; 0 inside.

    It grows with the ratio of the asked mini-batch to the nearest measured one, through the 90th percentiles of the errors
    of fits to published series: 19 % at twice the range, 27 % at 4 times, 51 % at 16 times, 64 % from 64 times on. Half of
    that variance is stated by the fits themselves, as errors of parameters and discrepancy; the other half is added here.
    """
    lowest, highest = batch_samples_range
    ratio = max(batch_samples / highest, lowest / batch_samples, 1.0)
    p90 = float(np.interp(np.log2(ratio), np.log2(EXTRAPOLATION_RATIOS), EXTRAPOLATION_P90))
    return float(p90 / NORMAL_95 * SHARE_NOT_STATED**0.5)


PARAMETERS = (("n_inf_updates", "alpha_samples"), ("one_sample_updates", "exponent"))
"""The two parameters of a law that `relative_standard_errors` speaks of."""


def parameter_sd(law: Any, fit: FitRecord, batch_samples: float) -> float:
    """Return the relative standard deviation of N_Update at `batch_samples` due to the errors of the law's parameters.

    First-order propagation of the covariance of N_inf and alpha (of N_1 and the exponent for a power law); 0 for a law without
    such parameters.
    """
    names = next((pair for pair in PARAMETERS if all(hasattr(law, name) for name in pair)), ())
    errors = [
        abs(float(getattr(law, name))) * relative for name, relative in zip(names, fit.relative_standard_errors, strict=False)
    ]
    if not any(errors):
        return 0.0
    updates = float(law.updates(batch_samples))
    slopes = []
    for name, error in zip(names, errors, strict=True):
        step = max(error, 1e-12 * abs(getattr(law, name))) * 1e-3
        if not step:
            slopes.append(0.0)
            continue
        try:
            moved = float(replace(law, **{name: getattr(law, name) + step}).updates(batch_samples))
            slopes.append((moved - updates) / step)
        except ValueError:  # at the law's end: the other side exists
            moved = float(replace(law, **{name: getattr(law, name) - step}).updates(batch_samples))
            slopes.append((updates - moved) / step)
    a, b = (slope * error for slope, error in zip(slopes, errors, strict=True))
    return float(np.sqrt(max(a * a + b * b + 2.0 * fit.correlation * a * b, 0.0))) / updates


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 90 % interval around a value: of one run, and of the mean over runs.

    Parameters
    ----------
    one_run, mean : (float, float)
        Lower and upper end, in the unit of the value.
    contributions : mapping of str to float
        Relative half-width (larger side) that each source would give alone, largest first.
    """

    one_run: tuple[float, float]
    mean: tuple[float, float]
    contributions: Mapping[str, float]


def interval90(
    value: float,
    *,
    spreads: Mapping[str, float],
    ranges: Mapping[str, Sequence[float]],
    run_to_run: float = 0.0,
) -> Interval:
    """Combine independent sources of error into a 90 % interval around `value`.

    Parameters
    ----------
    value : float
        Central value, > 0.
    spreads : mapping of str to float
        Relative standard deviation from each source that is symmetric in the logarithm.
    ranges : mapping of str to (float, float)
        The value with one input at the low and at the high end of its own 90 % range.
    run_to_run : float
        Relative standard deviation of single runs; widens `one_run` only.

    Returns
    -------
    Interval
        Half-widths of independent sources add in squares, on each side of the logarithm by itself.
    """
    positive("value", value)
    down = [NORMAL_95 * sd for sd in spreads.values()]
    up = list(down)
    contributions = {name: float(np.expm1(NORMAL_95 * sd)) for name, sd in spreads.items() if sd > 0}
    for name, moved in ranges.items():
        logs = np.log(np.asarray(moved, dtype=np.float64) / value)
        down.append(max(0.0, -float(logs.min())))
        up.append(max(0.0, float(logs.max())))
        if max(up[-1], down[-1]) > 0:
            contributions[name] = float(np.expm1(max(up[-1], down[-1])))
    if run_to_run > 0:
        contributions["run to run"] = float(np.expm1(NORMAL_95 * run_to_run))

    def ends(extra: float) -> tuple[float, float]:
        low = np.sqrt(sum(width * width for width in down) + extra * extra)
        high = np.sqrt(sum(width * width for width in up) + extra * extra)
        return value * float(np.exp(-low)), value * float(np.exp(high))

    ordered = dict(sorted(contributions.items(), key=lambda item: -item[1]))
    return Interval(one_run=ends(NORMAL_95 * run_to_run), mean=ends(0.0), contributions=ordered)
