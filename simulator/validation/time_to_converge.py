"""How good is the time to converge of the largest system, from smaller ones? MLPerf results, each predicted without itself.

A series is a (version, submitter, accelerator family, benchmark). Its updates follow the law of the reference points of that
benchmark and version; how long an update takes is learnt from its smaller systems, and from what other series say of start-up,
evaluations and communication: those of other benchmarks, and of the same benchmark with fewer accelerators than are predicted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from simulator.calibration.cluster_time import ClusterTimes, fit_cluster_times
from simulator.calibration.measurements import MeasuredUpdates, updates_series
from simulator.calibration.training_runs import TrainingRun
from simulator.calibration.updates import UpdatesFit, UpdatesPrediction, fit_updates
from simulator.quantities import MINUTE_S
from simulator.tables import Column, read_rows
from simulator.validation.rows import Prediction, Validation
from simulator.validation.updates import REFERENCE_POINTS

__all__ = ["TIMES_TO_TRAIN", "Laws", "System", "read_laws", "read_times_to_train", "validate_time_to_converge"]

DATA = Path(__file__).parent / "data"
TIMES_TO_TRAIN = DATA / "time_to_train.csv"
"""The results that ship; README.md beside it says where they come from."""
RULES = DATA / "mlperf_rcp.csv"

FEWEST_NUMBERS = 3
"""Numbers of accelerators that a series needs: two to learn from, one to predict."""
PRIMARY = "run_minutes_mean"
BORROWED = "borrowed"
BORROWED_VERSION = "1.0.0"
"""Results before 1.0 have no reference points of their own."""
CHANGED_TASK = {"ssd": (2, 0)}
"""Benchmarks that kept their name and changed model and data set, and since when (SSD on COCO; RetinaNet on OpenImages)."""

GRID_SIZES = 33
"""Batch sizes of a law among which the fastest is chosen."""
BEYOND_LAW = 2.0
"""Batch sizes are chosen up to this many times the largest reference point, as everywhere in this program."""
PASSES_UNKNOWN = 10.0
"""Passes over the data that the shortest run is taken for where epochs are not counted in passes: a scale only."""
NORMAL_90 = 3.2897072539029444
"""Width of a 90 % interval of the normal distribution in standard deviations."""

RESULTS = {
    "version": Column(kind="text"),
    "submitter": Column(kind="text"),
    "accelerator": Column(kind="text", empty=True),
    "accel_family": Column(kind="text"),
    "n_nodes": Column(kind="whole", least=0, most=1e9),
    "n_accelerators": Column(kind="whole", least=0, most=1e9),
    "benchmark": Column(kind="text"),
    "global_batch_size": Column(above=0.0, most=1e15),
    "optimizer": Column(kind="text", empty=True),
    "n_success": Column(kind="whole", least=0, most=1e9),
    "run_minutes_mean": Column(empty=True, above=0.0, most=1e12),
    "unit_of_epochs": Column(kind="text", empty=True),
    "epochs_mean": Column(empty=True, above=0.0, most=1e18),
    "steps_mean": Column(empty=True, above=0.0, most=1e15),
    "eval_minutes_mean": Column(empty=True, least=0.0, most=1e12),
}
"""Header of the results; further columns are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One published result: a system, its batch size, and how long it trained.

    Parameters
    ----------
    version, submitter, family, benchmark : str
        What makes a series.
    accelerator, optimizer : str
        Variant of the accelerator, and optimizer; empty where not given.
    learners, nodes : int
        Accelerators and nodes, >= 1.
    batch_samples : float
        M, samples, >= learners.
    minutes : float
        Mean of the successful runs, from start to target.
    updates, epochs, evaluation_minutes : float or None
        Means over the runs; epochs only where they are passes over the data.
    """

    version: str
    submitter: str
    family: str
    benchmark: str
    accelerator: str
    optimizer: str
    learners: int
    nodes: int
    batch_samples: float
    minutes: float
    updates: float | None
    epochs: float | None
    evaluation_minutes: float | None

    @property
    def series(self) -> str:
        """Name of its series."""
        return f"{self.version}/{self.submitter}/{self.family}/{self.benchmark}"

    @property
    def borrowed(self) -> bool:
        """Whether its version has no reference points of its own."""
        return _numbers(self.version)[:1] == (0,)

    @property
    def task(self) -> str:
        """The benchmark, told apart where it changed its task under the same name."""
        changed = CHANGED_TASK.get(self.benchmark)
        return f"{self.benchmark} anew" if changed is not None and _numbers(self.version) >= changed else self.benchmark


def read_times_to_train(path: Path, *, name: str | None = None) -> tuple[list[System], dict[str, int]]:
    """Read a table of results.

    Returns
    -------
    (list of System, dict of str to int)
        The results, and rows left out by reason.

    Raises
    ------
    ScenarioError
        With every fault: file, line, column, rule, value.
    """
    skipped: Counter[str] = Counter()
    systems = []
    for row in read_rows(path, RESULTS, name=name or str(path)):
        learners = row["n_accelerators"]
        if learners == 0:
            skipped["no accelerators (row)"] += 1
        elif row["n_success"] == 0 or row["run_minutes_mean"] is None:
            skipped["no run succeeded (row)"] += 1
        elif learners > row["global_batch_size"]:
            skipped["more accelerators than samples in a mini-batch (row)"] += 1
        else:
            systems.append(
                System(
                    **{one: row[one] for one in ("version", "submitter", "benchmark")},
                    family=row["accel_family"],
                    accelerator=row["accelerator"] or "",
                    optimizer=row["optimizer"] or "",
                    learners=learners,
                    nodes=max(1, row["n_nodes"]),
                    batch_samples=row["global_batch_size"],
                    minutes=row["run_minutes_mean"],
                    updates=row["steps_mean"],
                    epochs=row["epochs_mean"] if row["unit_of_epochs"] == "epochs" else None,
                    evaluation_minutes=row["eval_minutes_mean"] or None,
                )
            )
    return systems, dict(skipped)


@dataclass(slots=True, kw_only=True)
class Laws:
    """Updates laws of the reference points: of a benchmark, a version and an optimizer.

    Parameters
    ----------
    points : mapping of (str, str) to mapping of str to list of MeasuredUpdates
        (version, benchmark) to optimizer to its points.
    """

    points: Mapping[tuple[str, str], Mapping[str, Sequence[MeasuredUpdates]]]
    _fits: dict[tuple[str, str, str], UpdatesFit] = field(default_factory=dict)
    _answers: dict[tuple[str, float], UpdatesPrediction] = field(default_factory=dict)

    def at(self, law: UpdatesFit, batch_samples: float) -> UpdatesPrediction:
        """Return what a law answers at a batch size; each is computed once."""
        key = (law.series.name, batch_samples)
        if key not in self._answers:
            (self._answers[key],) = law.predict(batch_samples)
        return self._answers[key]

    def of(self, system: System) -> UpdatesFit | None:
        """Return the law of a system's benchmark and version, by its optimizer, else the only one; None without."""
        numbers = _numbers(system.version)
        version = BORROWED_VERSION if system.borrowed else ".".join(str(part) for part in (*numbers, 0, 0, 0)[:3])
        found = self.points.get((version, system.benchmark), {})
        optimizer = system.optimizer if system.optimizer in found else (next(iter(found)) if len(found) == 1 else None)
        if optimizer is None or len({one.batch_samples for one in found[optimizer]}) < 2:
            return None
        key = (version, system.benchmark, optimizer)
        if key not in self._fits:
            self._fits[key] = fit_updates(updates_series("/".join(key), found[optimizer]))
        return self._fits[key]


def read_laws(path: Path, *, name: str | None = None) -> Laws:
    """Read the reference points (header of the shipped ones); ScenarioError with every fault."""
    points: dict[tuple[str, str], dict[str, list[MeasuredUpdates]]] = {}
    for row in read_rows(path, REFERENCE_POINTS, name=name or str(path)):
        if row["updates_mean"] is None:
            continue
        measured = MeasuredUpdates(
            batch_samples=row["batch_size"],
            updates=row["updates_mean"],
            updates_std=row["updates_std"],
            runs=row["n_runs"],
        )
        points.setdefault((row["version"], row["benchmark"]), {}).setdefault(row["optimizer"] or "", []).append(measured)
    return Laws(points=points)


def validate_time_to_converge(data: Path | None = None, updates: Path | None = None) -> Validation:
    """Predict the largest system of every series of a table from what may be known before it ran.

    Parameters
    ----------
    data, updates : Path or None
        Results and reference points; those that ship where None. The results that ship help to predict a table of one's own,
        by the same rule as its own rows, but for those whose series it holds.

    Returns
    -------
    Validation
        A case is a row; groups are benchmarks, and "borrowed", outside "all"; rows of a series share one weight. Quantities:
        "run_minutes_mean", what the tool answers with the 90 % interval of the mean over runs, and "naive", a user's own fit.

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
    known: dict[tuple[str, int], ClusterTimes] = {}
    predictions: list[Prediction] = []
    for name, rows in sorted(grouped.items()):
        sizes = sorted({row.learners for row in rows})
        if len(sizes) < FEWEST_NUMBERS:
            skipped[f"fewer than {FEWEST_NUMBERS} numbers of accelerators (series)"] += 1
            continue
        smaller = [row for row in rows if row.learners < sizes[-1] and row.updates is not None]
        smaller.sort(key=lambda row: (row.learners, row.batch_samples, row.minutes))  # sums do not depend on the table's order
        if not smaller:
            skipped["smaller systems without steps (series)"] += 1
            continue
        largest = [row for row in rows if row.learners == sizes[-1]]
        with_law = [row for row in largest if laws.of(row) is not None]
        skipped["no law of updates for its benchmark, version and optimizer (row)"] += len(largest) - len(with_law)
        if not with_law:
            continue
        key = (rows[0].benchmark, sizes[-1])
        if key not in known:
            known[key] = fit_cluster_times(admissible_runs([*systems, *beside], laws, benchmark=key[0], below_learners=key[1]))
        predictions += _predicted(known[key], laws, name, smaller, with_law)
    return Validation(
        kind="time-to-converge",
        predictions=tuple(predictions),
        skipped={reason: count for reason, count in skipped.items() if count},
        outside_all=(BORROWED,),
        primary=PRIMARY,
    )


def admissible_runs(systems: Sequence[System], laws: Laws, *, benchmark: str, below_learners: int) -> list[TrainingRun]:
    """Return the results that may be known when systems of so many accelerators are predicted for a benchmark.

    Those of other benchmarks, and of this one with fewer accelerators: nothing of a row that is predicted, nor of its peers.
    """
    known = [
        row for row in systems if row.updates is not None and (row.benchmark != benchmark or row.learners < below_learners)
    ]
    passes: dict[str, float] = {}
    for task in {row.task for row in known}:
        samples = [(float(row.updates or 0.0) * row.batch_samples, row.epochs) for row in known if row.task == task]
        counted = [seen / epochs for seen, epochs in samples if epochs]
        passes[task] = float(np.median(counted)) if counted else min(seen for seen, _ in samples) / PASSES_UNKNOWN
    runs = []
    for row in known:
        law = laws.of(row)
        runs.append(
            TrainingRun(
                series=row.series,
                workload=row.task,
                family=row.family,
                owner=row.submitter.casefold(),
                accelerator=row.accelerator,
                learners=row.learners,
                nodes=row.nodes,
                batch_samples=row.batch_samples,
                updates=float(row.updates or 0.0),
                time_s=row.minutes * MINUTE_S,
                evaluation_s=row.evaluation_minutes * MINUTE_S if row.evaluation_minutes else None,
                pass_samples=passes[row.task],
                law_updates=None if law is None else laws.at(law, row.batch_samples).updates,
                law=BORROWED if row.borrowed else "own",
            )
        )
    return runs


def _predicted(
    times: ClusterTimes, laws: Laws, name: str, smaller: Sequence[System], largest: Sequence[System]
) -> list[Prediction]:
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
            "group": BORROWED if row.borrowed else row.benchmark,
            "series": name,
            "actual": row.minutes,
            "weight": 1.0 / len(largest),
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


def _numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers; words count as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.removeprefix("v").split("."))
