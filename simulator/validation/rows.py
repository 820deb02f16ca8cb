"""The rows of `validate`, prediction beside measurement, and what they sum up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from simulator.quantities import non_negative

__all__ = ["Prediction", "Validation", "summary"]

LEVEL = 0.90
"""The level of the intervals that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One prediction beside what was measured.

    Parameters
    ----------
    case : str
        What was predicted, in words that find it again in the data.
    group, series : str
        Group of the summary, and the series of data that the case belongs to: cases of one series are not independent.
    quantity : str
        What was predicted, or by what, e.g. "law" and "default".
    part : str
        Part of a group that is summed up by itself too, e.g. where the data come from; none where empty.
    predicted, actual : float
        >= 0, in the unit of the quantity; 0 is for counts.
    lo90, hi90 : float or None
        Ends of the 90 % interval of the prediction; None where none was given.
    tolerance : float or None
        Relative error that the case allows; None where it names none.
    seconds : float or None
        What computing the prediction took; it differs from run to run and stays out of the table.
    weight : float
        What the case counts in its groups, > 0.
    about : mapping of str to value
        Further columns of the row.
    slices : tuple of str
        Parts of "all" that are summed up by themselves too, across groups.
    """

    case: str
    group: str
    series: str
    quantity: str
    predicted: float
    actual: float
    lo90: float | None = None
    hi90: float | None = None
    part: str = ""
    tolerance: float | None = None
    seconds: float | None = None
    weight: float = 1.0
    about: Mapping[str, Any] = field(default_factory=dict)
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        non_negative("predicted", self.predicted)
        non_negative("actual", self.actual)

    @property
    def error(self) -> float:
        """Signed relative error: predicted/actual - 1; where nothing was there, what was predicted."""
        return self.predicted / self.actual - 1.0 if self.actual else self.predicted

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds what was measured; None without an interval."""
        return None if self.lo90 is None or self.hi90 is None else self.lo90 <= self.actual <= self.hi90

    @property
    def within(self) -> bool | None:
        """Whether the error is within the tolerance; None without one."""
        return None if self.tolerance is None else abs(self.error) <= self.tolerance

    def row(self) -> dict[str, Any]:
        """Return the row of the table; the tolerance is in it where the case names one."""
        judged = {} if self.tolerance is None else {"tol": self.tolerance, "within": self.within}
        return {
            "case": self.case,
            "group": self.group,
            "quantity": self.quantity,
            "predicted": self.predicted,
            "actual": self.actual,
            "error": self.error,
            "lo90": self.lo90,
            "hi90": self.hi90,
            "series": self.series,
            "part": self.part or None,
            **judged,
            **self.about,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What `validate KIND` found.

    Parameters
    ----------
    kind : str
        What was validated.
    predictions : tuple of Prediction
        Every case.
    skipped : mapping of str to int
        How many series or rows were left out, by reason.
    outside_all : tuple of str
        Groups that do not count in "all".
    primary : str, optional
        The quantity that a group stands for where cases have several; the others are summed up beside it.
    """

    kind: str
    predictions: tuple[Prediction, ...]
    skipped: Mapping[str, int]
    outside_all: tuple[str, ...] = ()
    primary: str | None = None

    def groups(self) -> dict[str, list[Prediction]]:
        """Return the cases by what they are summed up in: "group", "group: part", "group (quantity)"; "all" comes last."""
        grouped: dict[str, list[Prediction]] = {}
        for case in sorted(self.predictions, key=lambda case: case.quantity != self.primary):  # stable
            beside = "" if self.primary in (None, case.quantity) else f" ({case.quantity})"
            grouped.setdefault(f"{case.group}{beside}", []).append(case)
            if case.part:
                grouped.setdefault(f"{case.group}: {case.part}{beside}", []).append(case)
        for case in self.predictions:
            if case.group not in self.outside_all:
                beside = "" if self.primary in (None, case.quantity) else f" ({case.quantity})"
                grouped.setdefault(f"all{beside}", []).append(case)
        for place in range(max((len(case.slices) for case in self.predictions), default=0)):
            for case in sorted(self.predictions, key=lambda case: case.quantity != self.primary):
                if case.group not in self.outside_all and place < len(case.slices):
                    beside = "" if self.primary in (None, case.quantity) else f" ({case.quantity})"
                    grouped.setdefault(f"all: {case.slices[place]}{beside}", []).append(case)
        return grouped

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the summary of each group, see `summary`."""
        return {name: summary(cases, [case.weight for case in cases]) for name, cases in self.groups().items()}


def summary(cases: Sequence[Prediction], weights: Iterable[float] | None = None) -> dict[str, Any]:
    """Sum up the errors of some cases.

    Parameters
    ----------
    cases : sequence of Prediction
        At least one.
    weights : iterable of float, optional
        Weight of each case; all alike by default.

    Returns
    -------
    dict
        cases, series; median, mean and 90th percentile of the absolute relative error and the median signed one;
        coverage90, the share of intervals that hold what was measured, and the central 95 % range of that share for an
        exact 90 % interval: counted in series (cases of one are not independent), and in cases; median_ratio90, the
        median of hi/lo.
    """
    errors = np.array([case.error for case in cases])
    weight = np.ones(len(cases)) if weights is None else np.array(list(weights), dtype=np.float64)
    series = len({case.series for case in cases})
    judged = [(case, w) for case, w in zip(cases, weight, strict=True) if case.covered is not None]
    found: dict[str, Any] = {
        "cases": len(cases),
        "series": series,
        "median_abs_error": quantile(np.abs(errors), weight, 0.5),
        "mean_abs_error": float(np.average(np.abs(errors), weights=weight)),
        "p90_abs_error": quantile(np.abs(errors), weight, 0.9),
        "median_signed_error": quantile(errors, weight, 0.5),
        "coverage90": None,
        "coverage90_binomial95": None,
        "coverage90_binomial95_cases": None,
        "median_ratio90": None,
    }
    if judged:
        held = np.array([bool(case.covered) for case, _ in judged], dtype=np.float64)
        ratios = np.array([float(case.hi90 or 0.0) / float(case.lo90 or 1.0) for case, _ in judged])
        w = np.array([w for _, w in judged])
        found["coverage90"] = float(np.average(held, weights=w))
        found["coverage90_binomial95"] = binomial95(len({case.series for case, _ in judged}))
        found["coverage90_binomial95_cases"] = binomial95(len(judged))
        found["median_ratio90"] = quantile(ratios, w, 0.5)
    return found


def binomial95(count: int) -> tuple[float, float]:
    """Return the central 95 % range of the share of `count` independent 90 % intervals that hold.

    Examples
    --------
    >>> binomial95(20)
    (0.75, 1.0)
    """
    low, high = (float(stats.binom.ppf(q, count, LEVEL)) for q in (0.025, 0.975))
    return low / count, high / count


def quantile(values: np.ndarray[Any, np.dtype[np.float64]], weights: np.ndarray[Any, np.dtype[np.float64]], q: float) -> float:
    """Return a quantile; of weighted values by linear interpolation of the cumulated weight at the values' middles.

    With equal weights it is the usual one (`numpy.quantile`).

    Examples
    --------
    >>> quantile(np.array([1.0, 2.0, 4.0]), np.ones(3), 0.5)
    2.0
    """
    if np.ptp(weights) == 0.0:
        return float(np.quantile(values, q))
    order = np.argsort(values, kind="stable")
    w = weights[order]
    middles = (np.cumsum(w) - 0.5 * w) / np.sum(w)
    return float(np.interp(q, middles, values[order]))
