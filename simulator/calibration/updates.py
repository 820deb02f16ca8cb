"""Fit the updates law: what N_Update is at a batch size that nobody tried, how sure that is, and what to measure next.

The default prediction is a law (inverse, with the sharpness of its corner shrunk towards it, weighted by an information
criterion) plus, inside the data, a smooth shrunk departure from it that returns to the law outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simulator.calibration.censoring import CensoredRuns
from simulator.calibration.concerns import POOR_RMS, concerns, strong_rivals, unusable_sizes
from simulator.calibration.departure import Mixture, departure_mixture, joined, variances_after
from simulator.calibration.measurements import ASSUMED_RUN_TO_RUN, UpdatesSeries
from simulator.calibration.profile_intervals import ProfileInterval, profile_intervals90
from simulator.calibration.updates_laws import (
    FAMILIES,
    RESIDUAL_SD,
    LawFit,
    PlainInverseFit,
    fit_family,
    fit_plain_inverse_law,
)
from simulator.errors import FitError
from simulator.quantities import ArrayLike, FloatArray, positive
from simulator.time_to_converge import ConvergenceLaw
from simulator.uncertainty import FitRecord, extrapolation_sd

__all__ = ["LAWS", "NextBatch", "UpdatesFit", "UpdatesPrediction", "fit_updates"]

LAWS = ("auto", *FAMILIES)
"""What --law takes: "auto" weighs the inverse law and the sharp corner."""

AUTO = ("inverse", "sharp")

FEWEST_FOR_SHARPNESS = 4

MOST_BATCH_SIZES = 100
"""More are refused: nobody measures so many, and the work grows with their cube."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesPrediction:
    """Updates to converge at one batch size.

    Parameters
    ----------
    batch_samples : float
        M, all learners, samples.
    updates : float
        The default prediction: median for the mean over runs; at least 1.
    law_updates : float
        The law alone.
    interval90, mean_interval90 : (float, float)
        90 % interval of one run, and of the mean over many runs.
    warning : str or None
        Why to trust it less.
    """

    batch_samples: float
    updates: float
    law_updates: float
    interval90: tuple[float, float]
    mean_interval90: tuple[float, float]
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextBatch:
    """The batch size to measure next.

    Parameters
    ----------
    batch_samples : float
        M, samples.
    runs : int
        Runs there that the figure assumes: as many as at the median batch size measured.
    narrows_by : float
        Fraction by which the 90 % intervals asked for would get narrower, on average; 0 to 1.
    """

    batch_samples: float
    runs: int
    narrows_by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesFit:
    """What a series of measured updates says.

    Parameters
    ----------
    series : UpdatesSeries
        The measurements.
    fits : tuple of LawFit
        The laws of the default prediction, best first.
    weights : tuple of float
        Weight of each, from the information criterion; adds up to 1.
    plain : PlainInverseFit or None
        The inverse law by plain least squares, floor free; None where none fits.
    concerns : tuple of str
        Why to trust the fit less: no law fits well, another fits better, updates do not fall, or stand still.
    unusable : tuple of CensoredRuns
        Small batch sizes whose runs did not reach the target in far more updates than the law gives: they are left out of the
        laws, and nothing is answered at and below them.
    """

    series: UpdatesSeries
    fits: tuple[LawFit, ...]
    weights: tuple[float, ...]
    plain: PlainInverseFit | None
    concerns: tuple[str, ...] = ()
    unusable: tuple[CensoredRuns, ...] = ()

    @property
    def best(self) -> LawFit:
        """The law with the best criterion."""
        return self.fits[0]

    @property
    def law(self) -> ConvergenceLaw:
        """The law to use in scenarios."""
        assert self.best.law is not None
        return self.best.law

    @property
    def batch_samples_range(self) -> tuple[float, float]:
        """Smallest and largest batch size measured, samples."""
        return self.series.batch_samples[0], self.series.batch_samples[-1]

    @property
    def smallest_batch_samples(self) -> float:
        """Batch size at and below which the target is not reached, by the law or as measured, samples; mostly 0."""
        return max((self.law.batch_samples_range[0], *(runs.batch_samples for runs in self.unusable)))

    @property
    def run_to_run_relative(self) -> float:
        """Relative standard deviation of single runs: measured, or assumed where the table says nothing of it."""
        measured = self.series.run_to_run_relative
        return ASSUMED_RUN_TO_RUN if measured is None else measured

    def mixture(self, batch_samples: FloatArray) -> Mixture:
        """Return the prediction of log N at some batch sizes, shape (x,), as a mixture of normals."""
        mixtures = [departure_mixture(fit, fit.log_batch, fit.errors, np.log(batch_samples)) for fit in self.fits]
        return joined(mixtures, self.weights)

    def predict(self, batch_samples: ArrayLike) -> tuple[UpdatesPrediction, ...]:
        """Predict updates to converge at batch sizes `batch_samples` (samples, > 0, scalar or one-dimensional).

        Returns
        -------
        tuple of UpdatesPrediction
            The intervals count run-to-run noise (of one run only), errors of the parameters, of the departure, what is each
            batch size's own, and outside the data what published series show beyond that (`extrapolation_sd`).
        """
        M = np.atleast_1d(positive("batch_samples", batch_samples))
        if np.any(self.smallest_batch_samples >= M):
            least = self.smallest_batch_samples
            raise ValueError(f"batch_samples must be > {least:.4g}, below which the target is never reached, got {M.min():g}")
        mixture = self.mixture(M)
        outside = np.array([self._outside_variance(float(one)) for one in M])
        runs = outside + np.log1p(self.run_to_run_relative**2)
        middle = mixture.quantile(0.5, outside)
        mean = [mixture.quantile(q, outside) for q in (0.05, 0.95)]
        one_run = [mixture.quantile(q, runs) for q in (0.05, 0.95)]
        law = np.exp(self.best.family.log_updates(self.best.fit.estimates, np.log(M)))

        def at_least_one(log_updates: float) -> float:
            return max(1.0, float(np.exp(log_updates)))

        return tuple(
            UpdatesPrediction(
                batch_samples=float(M[i]),
                updates=at_least_one(middle[i]),
                law_updates=max(1.0, float(law[i])),
                interval90=(at_least_one(one_run[0][i]), at_least_one(one_run[1][i])),
                mean_interval90=(at_least_one(mean[0][i]), at_least_one(mean[1][i])),
                warning=self._warning(float(M[i]), float(np.exp(middle[i]))),
            )
            for i in range(len(M))
        )

    def mean_of_runs_interval90(self, batch_samples: float, runs: int) -> tuple[float, float]:
        """90 % interval of the mean of `runs` runs at one batch size, updates: what a published mean is held against.

        Where the series says nothing of the spread of runs, nothing is added for it.
        """
        M = np.array([float(positive("batch_samples", batch_samples))])
        extra = self._outside_variance(float(M[0]))
        extra += (self.series.run_to_run_relative or 0.0) ** 2 / runs
        mixture = self.mixture(M)
        low, high = (float(np.exp(mixture.quantile(q, extra)[0])) for q in (0.05, 0.95))
        return low, high

    def _outside_variance(self, M: float) -> float:
        """Variance of log N beyond what the components state: that of published series, and the misfit seen, per doubling."""
        low, high = self.batch_samples_range
        doublings = float(np.log2(max(M / high, low / M, 1.0)))
        misfit = max(0.0, self.best.rms_relative**2 - POOR_RMS**2)
        return extrapolation_sd(M, self.batch_samples_range) ** 2 + min(misfit, 4.0) * doublings

    def _warning(self, M: float, updates: float) -> str | None:
        low, high = self.batch_samples_range
        if updates < 1.0:
            return "the law has ended: it asks for less than one update"
        if high * (1 + 1e-12) < M:
            text = f"{M / high:.3g} times the largest batch size measured"
            return text + (": no law is trusted that far" if 2.0 * high < M else "")
        if low * (1 - 1e-12) > M:
            text = f"1/{low / M:.3g} of the smallest batch size measured"
            return text + (": no law is trusted that far" if low / M > 2.0 * (1 + 1e-12) else "")
        return None

    def record(self) -> FitRecord:
        """Return what a scenario keeps of this fit, for its intervals."""
        errors = self.best.log_standard_errors()
        return FitRecord(
            batch_samples_range=self.batch_samples_range,
            relative_standard_errors=(min(10.0, float(errors[0])), min(10.0, float(errors[1]))),
            correlation=float(self.best.correlation()[0, 1]),
            discrepancy_relative=min(10.0, float(RESIDUAL_SD * np.sqrt(self.best.variance))),
            run_to_run_relative=min(10.0, self.run_to_run_relative),
        )

    def profile_intervals90(self) -> dict[str, ProfileInterval]:
        """Return 90 % profile intervals of N_inf, alpha and the critical batch size from the data alone, by name."""
        return profile_intervals90(FAMILIES["inverse"], self.series)

    def alternatives(self) -> tuple[LawFit, ...]:
        """Return every law fitted to the usable batch sizes, best criterion first; laws that do not fit at all are left out."""
        found = []
        usable = without(self.series, self.unusable)
        for family in FAMILIES.values():
            try:
                found.append(fit_family(family, usable))
            except FitError:
                continue
        return tuple(sorted(found, key=lambda fit: (fit.criterion is None, fit.criterion or 0.0)))

    def next_batch(self, targets: Sequence[float] | None = None, *, within: tuple[float, float] | None = None) -> NextBatch:
        """Say which batch size to measure next, and what that would bring.

        Parameters
        ----------
        targets : sequence of float, optional
            Batch sizes whose intervals should get narrower; by default from the smallest measured to twice the largest.
        within : (float, float), optional
            Propose none outside these, where there is one inside.

        Returns
        -------
        NextBatch
            The best of the powers of two (and halves between) from half the smallest measured to twice the largest of the
            measured and asked ones.
        """
        log_M, errors = self.best.log_batch, self.best.errors
        low, high = self.batch_samples_range
        at = np.geomspace(low, 2.0 * high, 9) if targets is None else np.asarray(targets, dtype=np.float64)
        candidates = _candidates(self.series.batch_samples, float(np.max(at)), self.smallest_batch_samples)
        if within is not None:
            inside = candidates[(candidates >= within[0]) & (candidates <= within[1])]
            candidates = inside if len(inside) else candidates
        runs = int(np.median(self.series.runs))
        error = self.run_to_run_relative / np.sqrt(runs)
        now, after = variances_after(self.best, log_M, errors, np.log(at), np.log(candidates), float(error))

        def outside(reach: tuple[float, float]) -> FloatArray:
            return np.array([extrapolation_sd(float(one), reach) ** 2 for one in at])

        width = np.sqrt(now + outside((low, high)))
        left = [
            float(np.mean(np.sqrt(after[i] + outside((min(low, candidate), max(high, candidate)))) / width))
            for i, candidate in enumerate(candidates)
        ]
        best = int(np.argmin(left))
        return NextBatch(batch_samples=float(candidates[best]), runs=runs, narrows_by=max(0.0, 1.0 - left[best]))


def _candidates(measured: Sequence[float], farthest: float, smallest: float) -> FloatArray:
    """Powers of two and the halves between, whole where the data are, not within a tenth of a measured one."""
    lowest, highest = max(1.0, measured[0] / 2.0, smallest * 1.05), max(2.0 * measured[-1], farthest)
    powers = 2.0 ** np.arange(np.floor(np.log2(lowest)), np.ceil(np.log2(highest)) + 1)
    sizes = np.unique(np.concatenate([powers, 1.5 * powers, [2.0 * measured[-1]]]))
    whole = all(float(M).is_integer() for M in measured)
    if whole:
        sizes = sizes[sizes == np.floor(sizes)]
    near = np.min(np.abs(np.log(sizes[:, None] / np.asarray(measured)[None, :])), axis=1) < np.log(1.1)
    kept = sizes[(sizes >= lowest) & (sizes <= highest) & ~near]
    return kept if len(kept) else np.array([2.0 * measured[-1]])


def fit_updates(
    series: UpdatesSeries, *, law: Literal["auto", "inverse", "sharp", "corner", "power", "noise_floor"] = "auto"
) -> UpdatesFit:
    """Fit the law of updates to a measured series.

    Parameters
    ----------
    series : UpdatesSeries
        Two batch sizes or more.
    law : {"auto", "inverse", "sharp", "corner", "power", "noise_floor"}
        "auto" weighs the inverse law and the sharp corner by Akaike's criterion; anything else is that law alone.

    Returns
    -------
    UpdatesFit
        With predictions, intervals, rivals and the next measurement.

    Raises
    ------
    FitError
        If the law does not fit these points.
    """
    if len(series.batch_samples) > MOST_BATCH_SIZES:
        raise FitError(f"{series.name}: must have at most {MOST_BATCH_SIZES} batch sizes, got {len(series.batch_samples)}")
    kinds: tuple[str, ...] = AUTO if law == "auto" else (law,)
    if law == "auto" and len(series.batch_samples) < FEWEST_FOR_SHARPNESS:
        kinds = AUTO[:1]
    unusable = unusable_sizes(series) if law != "noise_floor" else ()
    usable = without(series, unusable)
    fits = [fit_family(FAMILIES[kind], usable) for kind in kinds]
    if law != "auto" and fits[0].law is None:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in fits[0].parameters().items())
        raise FitError(f"{series.name}: the law {law!r} has no valid parameters where it fits best ({shown}); use auto")
    try:
        plain: PlainInverseFit | None = fit_plain_inverse_law(series)
    except FitError:
        plain = None
    against = [fit_family(FAMILIES[kind], series) for kind in kinds] if unusable else fits
    rivals = strong_rivals(series, against, plain) if law == "auto" else []
    joining = [rival for rival in rivals if rival.family.kind != "noise_floor"]  # which has no answer below its smallest M
    if unusable:
        joining = [fit_family(rival.family, usable) for rival in joining]
    fits = [fit for fit in (*fits, *joining) if fit.law is not None]
    criteria = np.array([fit.criterion if fit.criterion is not None else np.inf for fit in fits])
    if not np.isfinite(criteria).any():  # too few points for a criterion: the paper's law
        fits, weights = fits[:1], np.ones(1)
    else:
        weights = np.exp(-0.5 * (criteria - np.min(criteria)))
        weights = weights / np.sum(weights)
    order = np.argsort(-weights, kind="stable")
    kept = [i for i in order if weights[i] > 0]
    return UpdatesFit(
        series=series,
        fits=tuple(fits[i] for i in kept),
        weights=tuple(float(weights[i]) for i in kept),
        plain=plain,
        concerns=concerns(series, fits[kept[0]], rivals, unusable),
        unusable=unusable,
    )


def without(series: UpdatesSeries, unusable: Sequence[CensoredRuns]) -> UpdatesSeries:
    """Return the series without batch sizes that no law is fitted to."""
    return replace(series, unreached=tuple(runs for runs in series.unreached if runs not in unusable))


def as_keys(prediction: UpdatesPrediction) -> dict[str, Any]:
    """Return a prediction as a row: the interval of one run as lo90, hi90, that of the mean as mean_lo90, mean_hi90."""
    return {
        "batch_samples": prediction.batch_samples,
        "updates": prediction.updates,
        "lo90": prediction.interval90[0],
        "hi90": prediction.interval90[1],
        "mean_lo90": prediction.mean_interval90[0],
        "mean_hi90": prediction.mean_interval90[1],
        "law_updates": prediction.law_updates,
        "warning": prediction.warning,
    }
