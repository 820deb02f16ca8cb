"""How good is the time to converge of the largest system, from smaller ones? MLPerf results, each predicted without itself.

A series is a (version, submitter, accelerator family, benchmark). Its updates follow the law of the reference points of that
benchmark and version; how long an update takes is learnt from its smaller systems, and from what other series say of start-up,
evaluations and communication: those of other benchmarks, and of the same benchmark with fewer accelerators than are predicted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from simulator.calibration.cluster_time import ClusterTimes, fit_cluster_times
from simulator.calibration.training_runs import TrainingRun
from simulator.quantities import MINUTE_S
from simulator.validation.rows import Prediction, Validation
from simulator.validation.time_to_converge_tables import (
    BORROWED,
    RULES,
    TIMES_TO_TRAIN,
    Laws,
    System,
    read_laws,
    read_times_to_train,
)

__all__ = ["admissible_runs", "validate_time_to_converge"]

FEWEST_NUMBERS = 3
"""Numbers of accelerators that a series needs: two to learn from, one to predict."""
PRIMARY = "run_minutes_mean"
NOT_LARGEST = "not_largest"
"""Systems that are not the largest of their series, predicted from at least two smaller sizes."""
GRID_SIZES = 33
"""Batch sizes of a law among which the fastest is chosen."""
BEYOND_LAW = 2.0
"""Batch sizes are chosen up to this many times the largest reference point, as everywhere in this program."""
NORMAL_90 = 3.2897072539029444
"""Width of a 90 % interval of the normal distribution in standard deviations."""


def validate_time_to_converge(data: Path | None = None, updates: Path | None = None, *, every_size: bool = False) -> Validation:
    """Predict the largest system of every series of a table from what may be known before it ran.

    Parameters
    ----------
    data, updates : Path or None
        Results and reference points; those that ship where None. Results that ship help to predict others, unless their series
        is among these.
    every_size : bool
        Predict every system that has at least two smaller sizes, not only the largest.

    Returns
    -------
    Validation
        A case is a row; groups are benchmarks, and outside "all" "borrowed" and "not_largest"; rows of a series share one
        weight. Quantities: "run_minutes_mean", what the tool answers with the 90 % interval of the mean over runs, and "naive",
        a user's own fit.

    Raises
    ------
    ScenarioError
        With every fault of the tables.
    """
    systems, left_out = read_times_to_train(data or TIMES_TO_TRAIN, name=None if data else TIMES_TO_TRAIN.name)
    laws = read_laws(updates or RULES, name=None if updates else RULES.name)
    skipped = Counter(left_out)
    grouped: dict[str, list[System]] = {}
    for system in systems:
        grouped.setdefault(system.series, []).append(system)
    beside: list[System] = []
    if data is not None:
        shipped, _ = read_times_to_train(TIMES_TO_TRAIN, name=TIMES_TO_TRAIN.name)
        beside = [system for system in shipped if system.series not in grouped]
    others = laws if updates is None else read_laws(RULES, name=RULES.name)
    known: dict[tuple[str, int], ClusterTimes] = {}
    predictions: list[Prediction] = []
    for group, smaller, rows in _tasks(grouped, laws, skipped, every_size=every_size):
        key = (rows[0].benchmark, rows[0].learners)
        if key not in known:
            runs = admissible_runs(systems, laws, benchmark=key[0], below_learners=key[1])
            known[key] = fit_cluster_times([*runs, *admissible_runs(beside, others, benchmark=key[0], below_learners=key[1])])
        predictions += _predicted(known[key], laws, group, smaller, rows)
    return Validation(
        kind="time-to-converge",
        predictions=tuple(predictions),
        skipped={reason: count for reason, count in skipped.items() if count},
        outside_all=(BORROWED, NOT_LARGEST),
        primary=PRIMARY,
    )


def _tasks(
    grouped: Mapping[str, Sequence[System]], laws: Laws, skipped: Counter[str], *, every_size: bool
) -> Iterator[tuple[str, list[System], list[System]]]:
    """Yield the group, the smaller systems of the series and those of one size to predict; the largest sizes first of all."""
    later = []
    for _, rows in sorted(grouped.items()):
        sizes = sorted({row.learners for row in rows})
        if len(sizes) < FEWEST_NUMBERS:
            skipped[f"fewer than {FEWEST_NUMBERS} numbers of accelerators (series)"] += 1
            continue
        for size in reversed(sizes[FEWEST_NUMBERS - 1 if every_size else -1 :]):
            smaller = [row for row in rows if row.learners < size and row.updates is not None]
            smaller.sort(key=lambda row: (row.learners, row.batch_samples, row.minutes))  # sums do not depend on the order
            asked = [row for row in rows if row.learners == size]
            with_law = [row for row in asked if laws.of(row) is not None]
            if size == sizes[-1]:
                skipped["smaller systems without steps (series)"] += not smaller
                skipped["no law of updates for its benchmark, version and optimizer (row)"] += len(asked) - len(with_law)
            if not smaller or not with_law:
                continue
            if size == sizes[-1]:
                yield BORROWED if rows[0].borrowed else rows[0].benchmark, smaller, with_law
            elif not rows[0].borrowed:
                later.append((NOT_LARGEST, smaller, with_law))
    yield from later


def admissible_runs(systems: Sequence[System], laws: Laws, *, benchmark: str, below_learners: int) -> list[TrainingRun]:
    """Return the results that may be known when systems of so many accelerators are predicted for a benchmark.

    Those of other benchmarks, and of this one with fewer accelerators: nothing of a row that is predicted, nor of its peers.
    """
    known = [
        row for row in systems if row.updates is not None and (row.benchmark != benchmark or row.learners < below_learners)
    ]
    runs = []
    for row in known:
        law = laws.of(row)
        runs.append(
            TrainingRun(
                series=row.series,
                workload=laws.task(row),
                family=row.family,
                owner=row.submitter.casefold(),
                accelerator=row.accelerator,
                learners=row.learners,
                nodes=row.nodes,
                batch_samples=row.batch_samples,
                updates=float(row.updates or 0.0),
                time_s=row.minutes * MINUTE_S,
                evaluation_s=row.evaluation_minutes * MINUTE_S if row.evaluation_minutes else None,
                pass_samples=laws.pass_samples(row),
                law_updates=None if law is None else laws.at(law, row.batch_samples).updates,
                law=BORROWED if row.borrowed else "own",
            )
        )
    return runs


def _predicted(
    times: ClusterTimes, laws: Laws, group: str, smaller: Sequence[System], largest: Sequence[System]
) -> list[Prediction]:
    name = largest[0].series
    series = times.series(name)
    naive = _naive_step(smaller)
    most_local = max(row.batch_samples / row.learners for row in smaller)
    found = []
    for row in largest:
        law = laws.of(row)
        assert law is not None
        at = laws.at(law, row.batch_samples)
        low, high = at.mean_interval90
        place: dict[str, Any] = {"accelerator": row.accelerator, "learners": row.learners, "nodes": row.nodes}
        answer = series.predict(
            **place, batch_samples=row.batch_samples, law_updates=at.updates, law_sd=float(np.log(high / low)) / NORMAL_90
        )
        least = float(row.learners)
        most = most_local * row.learners
        smallest, largest_size = float(law.series.batch_samples[0]), float(law.series.batch_samples[-1])
        grid = np.round(np.geomspace(smallest, BEYOND_LAW * largest_size, GRID_SIZES))
        sizes = np.unique(np.append(grid[(grid >= least) & (grid <= most)], row.batch_samples))
        chosen, seconds = series.best_batch(
            **place, batch_samples=sizes, law_updates=np.array([laws.at(law, float(M)).updates for M in sizes])
        )
        own = float(seconds[np.searchsorted(sizes, row.batch_samples)])
        common: dict[str, Any] = {
            "case": f"{name}, {row.accelerator or row.family}, batch {row.batch_samples:g}",
            "group": group,
            "series": name,
            "actual": row.minutes,
            "weight": 1.0 / len(largest),
            "slices": (row.version, row.family),
        }
        about = {
            "learners_fitted": sorted({one.learners for one in smaller}),
            "learners": row.learners,
            "batch_samples": row.batch_samples,
            "batch_samples_chosen": float(sizes[chosen]),
            "chosen_gain": 1.0 - float(seconds[chosen]) / own,
        }
        ends = [end / MINUTE_S for end in answer.interval90]
        predicted = answer.time_s / MINUTE_S
        found.append(Prediction(quantity=PRIMARY, predicted=predicted, lo90=ends[0], hi90=ends[1], about=about, **common))
        step_s = naive(row)
        found.append(Prediction(quantity="naive", predicted=at.updates * step_s / MINUTE_S, about=about, **common))
    return found


def _naive_step(rows: Sequence[System]) -> Any:
    """Fit gamma m + constant + c log2 P >= 0 to wall-clock seconds per step, by least squares of relative errors."""

    def terms(some: Sequence[System]) -> Any:
        return np.array([[row.batch_samples / row.learners, 1.0, np.log2(row.learners)] for row in some])

    seconds = np.array([row.minutes * MINUTE_S / float(row.updates or 1.0) for row in rows])
    coefficients, _ = nnls(terms(rows) / seconds[:, None], np.ones(len(rows)))
    return lambda row: float(terms([row])[0] @ coefficients)
