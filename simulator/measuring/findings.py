"""What a record says: tables of updates and times, a fit for each target, T_C predicted and measured, the best mini-batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.calibration.measurements import MeasuredUpdates, updates_series
from simulator.calibration.update_times import tabulated_compute
from simulator.calibration.updates import UpdatesFit, fit_updates
from simulator.errors import FitError, InfeasibleError
from simulator.limits import Limits
from simulator.measuring.problems import LOSSES
from simulator.measuring.record import Record
from simulator.network.laws import ConstantReduce, NoReduce
from simulator.optimum import Optimum, best_batch, flat_range
from simulator.quantities import FloatArray
from simulator.time_to_converge import TimeToConverge
from simulator.uncertainty import Interval, interval90

__all__ = ["Findings", "findings", "main_series", "rows_of_runs", "rows_of_times", "series_name"]

LEAST_SPREAD = 0.02
"""Relative standard deviation of the time of an update between runs, at least: few runs on a quiet machine show less."""


def series_name(loss: str, target: float) -> str:
    """Name of the series of a loss and a target.

    Examples
    --------
    >>> series_name("cross_validation", 0.3)
    'cross_validation 0.3'
    >>> series_name("training", 0.3000001)
    'training 0.3000001'
    """
    return f"{loss} {target:.12g}"


def rows_of_runs(runs: Iterable[Mapping[str, Any]], targets: Sequence[float]) -> list[dict[str, Any]]:
    """Return the table of updates: one row for each run, loss and target, in the order of batch size and run; no times in it.

    A run that failed made no statement and has no rows; one that diverged is censored where it did.
    """
    rows = []
    for run in sorted(runs, key=lambda run: (run["batch_samples"], run["run"])):
        if run["outcome"] == "failed":
            continue
        passages = {(passage["loss"], passage["target"]): passage for passage in run["passages"]}
        for loss in LOSSES:
            for target in targets:
                passage = passages.get((loss, target))
                if passage is None or (not passage["reached"] and passage["updates"] < 1 and run["outcome"] != "diverged"):
                    continue
                rows.append(
                    {
                        "series": series_name(loss, target),
                        "batch_samples": run["batch_samples"],
                        "run": run["run"],
                        "learning_rate": run["learning_rate"],
                        "updates": max(1, passage["updates"]),
                        "seen_updates": passage["seen_updates"],
                        "outcome": "finished"
                        if passage["reached"]
                        else "diverged"
                        if run["outcome"] == "diverged"
                        else "censored",
                    }
                )
    return rows


def main_series(rows: Iterable[Mapping[str, Any]], targets: Sequence[float]) -> list[MeasuredUpdates]:
    """Return the runs of the series that counts, the training loss and the last target."""
    return measured(rows, series_name("training", targets[-1]))


def measured(rows: Iterable[Mapping[str, Any]], name: str) -> list[MeasuredUpdates]:
    """Return the runs of a series, as a fit takes them."""
    return [
        MeasuredUpdates(
            batch_samples=float(row["batch_samples"]), updates=float(row["updates"]), censored=row["outcome"] != "finished"
        )
        for row in rows
        if row["series"] == name
    ]


def rows_of_times(record: Record) -> list[dict[str, Any]]:
    """Return the table of times: one row for each batch size and number of learners that could be timed."""
    keys = ("batch_samples", "learners", "threads", "update_time_s", "low_s", "high_s", "repeats", "updates", "warm_up_updates")
    found = [{key: row[key] for key in keys} for row in record.of("time") if row["outcome"] == "finished"]
    return sorted(found, key=lambda row: (row["learners"], row["batch_samples"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What follows from a record.

    Parameters
    ----------
    updates, times : list of dict
        The two tables.
    fits : dict of str to UpdatesFit
        By series; those that could be fitted.
    refusals : dict of str to str
        Series that could not, and why.
    main : str
        The series that counts.
    run_factor, run_spread : float
        Time of an update within the runs over that of its timing (geometric mean), and the standard deviation of its log.
    reduce_time_s : dict of int to (float, float, float)
        Delta(P) measured: median, smallest and largest over the batch sizes; learners beyond one.
    """

    updates: list[dict[str, Any]]
    times: list[dict[str, Any]]
    fits: dict[str, UpdatesFit]
    refusals: dict[str, str]
    main: str
    run_factor: float
    run_spread: float
    reduce_time_s: dict[int, tuple[float, float, float]]

    @property
    def fit(self) -> UpdatesFit | None:
        """The fit of the series that counts."""
        return self.fits.get(self.main)

    def compute_times(self) -> tuple[FloatArray, FloatArray]:
        """Local batch sizes timed on one learner, and seconds of an update within a run there."""
        alone = [row for row in self.times if row["learners"] == 1]
        sizes = np.array([row["batch_samples"] for row in alone], dtype=np.float64)
        return sizes, self.run_factor * np.array([row["update_time_s"] for row in alone])

    def model(self, learners: int = 1) -> TimeToConverge | None:
        """Return T_C(M, P) from the law and the measured times; None where one of them is missing."""
        sizes, times_s = self.compute_times()
        if self.fit is None or len(sizes) < 2 or (learners > 1 and learners not in self.reduce_time_s):
            return None
        reduce = ConstantReduce(delta_s=max(self.reduce_time_s[learners][0], 0.0)) if learners > 1 else NoReduce()
        return TimeToConverge(
            convergence=self.fit.law, compute=tabulated_compute(sizes, times_s), reduce=reduce, rounding="whole"
        )

    def limits(self, data_set_samples: int) -> Limits:
        """Bounds of the best mini-batch: what was measured, and what reaches the target."""
        assert self.fit is not None
        lowest, highest = self.fit.batch_samples_range
        least = max(lowest, float(np.floor(self.fit.smallest_batch_samples)) + 1.0)
        return Limits(
            data_set_samples=float(data_set_samples),
            largest_measured_samples=highest,
            min_batch_samples=least,
            max_batch_samples=max(highest, least),
        )

    def best(self, data_set_samples: int, learners: int = 1) -> tuple[Optimum, tuple[float, float]] | None:
        """Return the fastest mini-batch among the measured ones and between them, and its flat range."""
        model = self.model(learners)
        if model is None:
            return None
        limits = self.limits(data_set_samples)
        try:
            optimum = best_batch(model, limits, learners)
        except InfeasibleError:  # no mini-batch was both timed and run
            return None
        return optimum, flat_range(model, limits, optimum)

    def converge_time_s(self, batch_samples: float, learners: int = 1) -> tuple[float, Interval] | None:
        """Predict T_C at a batch size, with 90 % intervals; None where nothing was timed, or the target is not reached."""
        model = self.model(learners)
        if model is None or self.fit is None:
            return None
        lowest, highest = model.local_samples_range
        if not (lowest <= batch_samples / learners <= highest and batch_samples > self.fit.smallest_batch_samples):
            return None
        (updates,) = self.fit.predict(batch_samples)
        T = updates.updates * float(model.update_time_s(batch_samples, learners))
        spreads = {"time of an update": self.run_spread}
        exchange: dict[str, tuple[float, ...]] = {}
        if learners > 1:
            middle, *ends_s = (max(delta_s, 0.0) for delta_s in self.reduce_time_s[learners])
            exchange["exchange of gradients"] = tuple(T + updates.updates * (end_s - middle) for end_s in ends_s)
        one, mean = (
            interval90(T, spreads=spreads, ranges={"updates": tuple(T * end / updates.updates for end in ends), **exchange})
            for ends in (updates.interval90, updates.mean_interval90)
        )
        return T, Interval(one_run=one.mean, mean=mean.mean, contributions=one.contributions)


def findings(record: Record, targets: Sequence[float]) -> Findings:
    """Fit everything that a record holds."""
    runs = list(record.of("run"))
    updates = rows_of_runs(runs, targets)
    fits: dict[str, UpdatesFit] = {}
    refusals: dict[str, str] = {}
    for loss in LOSSES:
        for target in targets:
            name = series_name(loss, target)
            rows = measured(updates, name)
            if not rows:
                continue
            try:
                fits[name] = fit_updates(updates_series(name, rows))
            except FitError as error:
                refusals[name] = str(error)
    times = rows_of_times(record)
    factor, spread = _within_runs(runs, times)
    return Findings(
        updates=updates,
        times=times,
        fits=fits,
        refusals=refusals,
        main=series_name("training", targets[-1]),
        run_factor=factor,
        run_spread=spread,
        reduce_time_s=_reduce_times(times),
    )


def _within_runs(runs: Sequence[Mapping[str, Any]], times: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """How much slower updates are within runs than when timed, and the spread of that between runs."""
    timed = {row["batch_samples"]: row["update_time_s"] for row in times if row["learners"] == 1}
    logs = np.array(
        [
            np.log(run["update_time_s"] / timed[run["batch_samples"]])
            for run in runs
            if run["update_time_s"] > 0 and run["batch_samples"] in timed
        ]
    )
    if len(logs) == 0:
        return 1.0, LEAST_SPREAD
    spread = float(np.std(logs, ddof=1)) if len(logs) > 1 else 0.0
    return float(np.exp(np.mean(logs))), max(LEAST_SPREAD, spread)


def _reduce_times(times: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, float, float]]:
    """Delta(P) = T_Update(M, P) - T_Update(M/P, 1), at every batch size where both were timed."""
    at = {(row["learners"], row["batch_samples"]): row["update_time_s"] for row in times}
    found: dict[int, tuple[float, float, float]] = {}
    for learners in sorted({P for P, _ in at if P > 1}):
        gaps = [time_s - at[1, M // P] for (P, M), time_s in at.items() if learners == P and (1, M // P) in at]
        if gaps:
            found[learners] = (float(np.median(gaps)), float(np.min(gaps)), float(np.max(gaps)))
    return found
