"""Why to trust a fit of updates less: another law fits far better, none fits well, updates rise or stand still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.calibration.censoring import CensoredRuns, log_probability
from simulator.calibration.measurements import ASSUMED_RUN_TO_RUN, UpdatesSeries
from simulator.calibration.updates_laws import FAMILIES, RESIDUAL_SD, LawFit, PlainInverseFit, fit_family
from simulator.errors import FitError
from simulator.uncertainty import extrapolation_sd

__all__ = ["POOR_RMS", "STRONG_LEAD", "concerns", "strong_rivals", "unusable_sizes"]

STRONG_LEAD = 6.0
"""By how much a rival's criterion has to be lower for it to join "auto": odds of 20 to 1. A mere lead is not enough: power laws
let in by it made the largest batch size left out of published series worse (90th percentile 23 instead of 16 %)."""

POOR_RMS = 0.15
"""Relative residuals from which no law is said to describe the points; published series reach 10 %, rarely 20."""

CONTRADICTED = 1e-3
"""Probability below which runs that did not reach the target contradict a law."""

STEEPER_THAN_INVERSE = -1.05
"""Slope of ln N in ln M between neighbours from which a noise floor is looked for: no law with tuned rates falls so."""


def strong_rivals(series: UpdatesSeries, fits: Sequence[LawFit], plain: PlainInverseFit | None) -> list[LawFit]:
    """Return the other laws whose criterion is lower than every one of `fits` by `STRONG_LEAD`, best first."""
    least = min((fit.criterion for fit in fits if fit.criterion is not None), default=None)
    if least is None:
        return []
    kinds = ["power"]  # the hard corner is the sharp one at its end, and shrunk with it
    slopes = np.diff(np.log(series.updates)) / np.diff(np.log(series.batch_samples))
    if plain is None or plain.law.n_inf_updates <= 0 or np.any(slopes < STEEPER_THAN_INVERSE) or series.unreached:
        kinds.append("noise_floor")
    found = []
    for kind in kinds:
        try:
            rival = fit_family(FAMILIES[kind], series)
        except FitError:
            continue
        if rival.criterion is not None and rival.criterion <= least - STRONG_LEAD:
            found.append(rival)
    return sorted(found, key=lambda rival: rival.criterion or 0.0)


def unusable_sizes(series: UpdatesSeries) -> tuple[CensoredRuns, ...]:
    """Return the batch sizes below all that reached the target whose runs did not, against what the inverse law of these gives.

    "Against" is a probability below `CONTRADICTED`, with the errors of the law's parameters and what published series
    show outside the data. Such a batch size is no point of an inverse law: at a constant rate it never reaches the target.
    """
    smallest = series.batch_samples[0]
    below = [runs for runs in series.unreached if runs.batch_samples < smallest]
    if not below:
        return ()
    fit = fit_family(FAMILIES["inverse"], replace(series, unreached=()))
    run_sd = ASSUMED_RUN_TO_RUN if series.run_to_run_relative is None else series.run_to_run_relative
    errors, correlation = fit.log_standard_errors(), float(fit.correlation()[0, 1])
    n_inf, alpha = np.exp(fit.fit.estimates)
    found = []
    for runs in below:
        share = alpha / runs.batch_samples / (n_inf + alpha / runs.batch_samples)
        a, b = (1.0 - share) * errors[0], share * errors[1]
        variance = RESIDUAL_SD**2 + a * a + b * b + 2.0 * correlation * a * b
        variance += extrapolation_sd(runs.batch_samples, (smallest, series.batch_samples[-1])) ** 2
        law = fit.family.log_updates(fit.fit.estimates, np.log([runs.batch_samples]))
        if float(log_probability(law, runs, float(np.sqrt(variance)), run_sd)[0]) < np.log(CONTRADICTED):
            found.append(runs)
    return tuple(found)


def concerns(
    series: UpdatesSeries, best: LawFit, rivals: Sequence[LawFit], unusable: Sequence[CensoredRuns] = ()
) -> tuple[str, ...]:
    """Say why to trust a fit less."""
    found = []
    if unusable:
        largest = unusable[-1]
        law = float(np.exp(best.family.log_updates(best.fit.estimates, np.log([largest.batch_samples]))[0]))
        sizes = ", ".join(f"{size:g}" for size in sorted({runs.batch_samples for runs in unusable}))
        one = len({runs.batch_samples for runs in unusable}) == 1
        found.append(
            f"at batch size{'' if one else 's'} {sizes} no run reached the target, {largest.at_least_updates:,.0f} updates at "
            f"{largest.batch_samples:g} where the law of the larger ones gives {law:,.0f}: the smallest usable batch size "
            f"measured is {series.batch_samples[0]:g}, and nothing is answered below it"
        )
    if best.rms_relative > POOR_RMS:
        found.append(
            f"no law fits these points well: they lie {100 * best.rms_relative:.3g} % off the best one; outside the measured "
            "batch sizes any answer is a guess"
        )
    for rival in rivals:
        if rival.family.kind == "noise_floor":
            smallest = rival.parameters()["smallest_batch_samples"]
            found.append(
                f"the law of a constant learning rate fits far better: batch sizes of {smallest:.3g} and less never reach the "
                "target; this answer keeps to the inverse law (law noise_floor takes the other)"
            )
        elif rival.law is None:
            found.append("a power law steeper than 1/M fits better than any law with a floor: outside the data trust no answer")
        elif rival is not best:
            found.append("the power law fits better than the inverse law and enters the prediction")
        else:
            found.append("the power law fits much better than the inverse law and is taken instead: it has no floor")
    N = np.asarray(series.updates)
    if np.all(np.diff(N) >= 0):
        found.append("updates do not fall with the batch size: check the table, laws of updates do")
    same = [i for i in range(1, len(N)) if N[i] == N[i - 1]]
    if len(same) >= 2:
        found.append(
            f"{len(same) + 1} batch sizes have the same updates as a neighbour: runs stopped at a limit are not finished runs"
        )
    return tuple(found)
