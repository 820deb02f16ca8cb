"""Why to trust a fit of updates less: another law fits far better, none fits well, updates rise or stand still."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.calibration.measurements import UpdatesSeries
from simulator.calibration.updates_laws import FAMILIES, LawFit, PlainInverseFit, fit_family
from simulator.errors import FitError

__all__ = ["POOR_RMS", "STRONG_LEAD", "concerns", "strong_rivals"]

STRONG_LEAD = 6.0
"""By how much a rival's criterion has to be lower for it to join "auto": odds of 20 to 1. A mere lead is not enough: power laws
let in by it made the largest batch size left out of published series worse (90th percentile 23 instead of 16 %)."""

POOR_RMS = 0.15
"""Relative residuals from which no law is said to describe the points; published series reach 10 %, rarely 20."""

STEEPER_THAN_INVERSE = -1.05
"""Slope of ln N in ln M between neighbours from which a noise floor is looked for: no law with tuned rates falls so."""


def strong_rivals(series: UpdatesSeries, fits: Sequence[LawFit], plain: PlainInverseFit | None) -> list[LawFit]:
    """Return the other laws whose criterion is lower than every one of `fits` by `STRONG_LEAD`, best first."""
    least = min((fit.criterion for fit in fits if fit.criterion is not None), default=None)
    if least is None:
        return []
    kinds = ["power"]  # the hard corner is the sharp one at its end, and shrunk with it
    slopes = np.diff(np.log(series.updates)) / np.diff(np.log(series.batch_samples))
    if plain is None or plain.law.n_inf_updates <= 0 or np.any(slopes < STEEPER_THAN_INVERSE):
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


def concerns(series: UpdatesSeries, best: LawFit, rivals: Sequence[LawFit]) -> tuple[str, ...]:
    """Say why to trust a fit less."""
    found = []
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
