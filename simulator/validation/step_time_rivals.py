"""What others fit to step times: the rivals that stand beside the predictions of `validate step-time`.

Each is fitted to the rows of one series by plain least squares of log(model/measured), and nothing else is known to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.calibration.step_time_series import StepPoint, places_of
from simulator.overlap import PowerOverlap
from simulator.quantities import FloatArray

__all__ = ["RIVALS", "Rival", "fit_rival"]

MOST_EXPONENT = 10.0
STARTS = (0.3, 1.0, 3.0)
FAR = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A form of the law of a step.

    Parameters
    ----------
    title : str
        In words.
    compute_s : callable
        From its parameters and the local batch m to Gamma, seconds.
    reduce_s : callable
        From its parameters, the learners P and the nodes N to Delta, seconds.
    compute, reduce : int
        How many parameters each has.
    exponent : bool
        Whether the overlap exponent is fitted, from 1 to 10; else Gamma and Delta add up.
    """

    title: str
    compute_s: Callable[[FloatArray, FloatArray], FloatArray]
    reduce_s: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    compute: int
    reduce: int
    exponent: bool

    def step_time_s(self, values: FloatArray, m: FloatArray, P: FloatArray, N: FloatArray) -> FloatArray:
        """Return the seconds of a step: parameters of Gamma, of Delta, and the exponent."""
        gamma = self.compute_s(values[: self.compute], m)
        delta = self.reduce_s(values[self.compute : self.compute + self.reduce], P, N)
        q = float(values[-1]) if self.exponent else 1.0
        return PowerOverlap(exponent=q).joined_time_s(gamma, delta)


def _adaptdl(t: FloatArray, P: FloatArray, N: FloatArray) -> FloatArray:
    more = np.maximum(P - 2.0, 0.0)
    return np.where(P > 1, np.where(N > 1, t[2] + t[3] * more, t[0] + t[1] * more), 0.0)


RIVALS: Mapping[str, Rival] = {
    "adaptdl": Rival(
        title="AdaptDL's: affine Gamma; a + b*max(P-2, 0) inside and across nodes; overlap exponent 1 to 10",
        compute_s=lambda t, m: t[0] + t[1] * m,
        reduce_s=_adaptdl,
        compute=2,
        reduce=4,
        exponent=True,
    ),
    "knee_log": Rival(
        title="the paper's: knee + constant; node jump + c*log2(P); sum",
        compute_s=lambda t, m: t[0] + t[1] * np.maximum(m, t[2]),
        reduce_s=lambda t, P, N: np.where(P > 1, t[0] + t[1] * (N > 1) + t[2] * np.log2(P), 0.0),
        compute=3,
        reduce=3,
        exponent=False,
    ),
    "affine_ring": Rival(
        title="affine Gamma; two-tier ring; overlap exponent 1 to 10",
        compute_s=lambda t, m: t[0] + t[1] * m,
        reduce_s=lambda t, P, N: t[0] * (P / N - 1.0) / (P / N) + t[1] * (N - 1.0) / N,
        compute=2,
        reduce=2,
        exponent=True,
    ),
}
"""AdaptDL: Qiao et al., "Pollux", OSDI 2021, section 3.2."""


def fit_rival(rival: Rival, points: Sequence[StepPoint]) -> Callable[[Sequence[StepPoint]], FloatArray]:
    """Fit a rival to some rows; returns what predicts the seconds of others.

    Notes
    -----
    `scipy.optimize.least_squares` within bounds (parameters >= 0) from three starts, the best end.
    """
    from scipy import optimize

    at = places_of(point.place for point in points)
    m, P, N, s = at.local_samples, at.learners, at.nodes, at.micro_steps
    log_T = np.log([point.step_time_s for point in points])
    step_s = float(np.mean(np.exp(log_T[np.min(P) == P])))
    gamma = [0.3 * step_s, 0.7 * step_s / float(np.mean(m))] + ([0.25 * float(np.mean(m))] if rival.compute == 3 else [])
    delta = [0.2 * step_s, 0.02 * step_s] * 2 if rival.reduce == 4 else [0.2 * step_s] * rival.reduce
    bounded = rival.compute + rival.reduce
    low = np.array([0.0] * bounded + ([1.0] if rival.exponent else []))
    high = np.array([np.inf] * bounded + ([MOST_EXPONENT] if rival.exponent else []))

    def gaps(t: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            found = np.log(s * rival.step_time_s(t, m, P, N)) - log_T
        return np.asarray(np.nan_to_num(found, nan=FAR, posinf=FAR, neginf=-FAR), dtype=np.float64)

    ends = []
    for start in STARTS:
        values = np.array([*gamma, *(start * part for part in delta), *([2.0] if rival.exponent else [])])
        ends.append(optimize.least_squares(gaps, values, bounds=(low, high), x_scale=values))
    best = min(ends, key=lambda end: float(end.cost)).x

    def predict(others: Sequence[StepPoint]) -> FloatArray:
        there = places_of(point.place for point in others)
        return there.micro_steps * rival.step_time_s(best, there.local_samples, there.learners, there.nodes)

    return predict
