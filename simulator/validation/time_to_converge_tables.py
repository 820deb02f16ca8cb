"""The tables of `validate time-to-converge`: published times to train, and the reference points of their laws of updates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.calibration.measurements import MeasuredUpdates, updates_series
from simulator.calibration.updates import UpdatesFit, UpdatesPrediction, fit_updates
from simulator.tables import Column, read_rows
from simulator.validation.updates import REFERENCE_POINTS

__all__ = ["BORROWED", "RULES", "TIMES_TO_TRAIN", "Laws", "System", "read_laws", "read_times_to_train"]

DATA = Path(__file__).parent / "data"
TIMES_TO_TRAIN = DATA / "time_to_train.csv"
"""The results that ship; README.md beside it says where they come from."""
RULES = DATA / "mlperf_rcp.csv"

BORROWED = "borrowed"
PASSES_UNKNOWN = 10.0
"""Passes over the data that the shortest run is taken for where no size of the data set is known: a scale only."""
BORROWED_VERSION = "1.0.0"
"""Results before 1.0 have no reference points of their own."""

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
    "steps_mean": Column(empty=True, above=0.0, most=1e15),
    "eval_minutes_mean": Column(empty=True, least=0.0, most=1e12),
}
"""Header of the results; further columns are left alone."""
POINTS = {**REFERENCE_POINTS, "dataset_train_samples": Column(needed=False, empty=True, above=0.0, most=1e18)}
"""Header of the reference points."""


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
    updates, evaluation_minutes : float or None
        Means over the runs.
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
    evaluation_minutes: float | None

    @property
    def series(self) -> str:
        """Name of its series."""
        return f"{self.version}/{self.submitter}/{self.family}/{self.benchmark}"

    @property
    def borrowed(self) -> bool:
        """Whether its version has no reference points of its own."""
        return _numbers(self.version)[:1] == (0,)


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
    train_samples : mapping of (str, str) to float
        (version, benchmark) to the samples of its data set, where known.
    """

    points: Mapping[tuple[str, str], Mapping[str, Sequence[MeasuredUpdates]]]
    train_samples: Mapping[tuple[str, str], float] = field(default_factory=dict)
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
        version = reference_version(system)
        found = self.points.get((version, system.benchmark), {})
        optimizer = system.optimizer if system.optimizer in found else (next(iter(found)) if len(found) == 1 else None)
        if optimizer is None or len({one.batch_samples for one in found[optimizer]}) < 2:
            return None
        key = (version, system.benchmark, optimizer)
        if key not in self._fits:
            self._fits[key] = fit_updates(updates_series("/".join(key), found[optimizer]))
        return self._fits[key]

    def task(self, system: System) -> str:
        """Return what is trained: a benchmark, told apart by its data set, since names outlive the task that they name."""
        samples = self.train_samples.get((reference_version(system), system.benchmark))
        return system.benchmark if samples is None else f"{system.benchmark} on {samples:.10g} samples"

    def pass_samples(self, system: System) -> float:
        """Return the samples of a pass over the data: of the data set, or else a part of the fewest to the target."""
        key = (reference_version(system), system.benchmark)
        if key in self.train_samples:
            return self.train_samples[key]
        points = [one for some in self.points.get(key, {}).values() for one in some]
        own = system.batch_samples * (system.updates or 1.0)
        return min((one.updates * one.batch_samples for one in points), default=own) / PASSES_UNKNOWN


def reference_version(system: System) -> str:
    """Return the version of the reference points of a system's version."""
    if system.borrowed:
        return BORROWED_VERSION
    return ".".join(str(part) for part in (*_numbers(system.version), 0, 0, 0)[:3])


def read_laws(path: Path, *, name: str | None = None) -> Laws:
    """Read the reference points (header of the shipped ones); ScenarioError with every fault."""
    points: dict[tuple[str, str], dict[str, list[MeasuredUpdates]]] = {}
    samples: dict[tuple[str, str], float] = {}
    for row in read_rows(path, POINTS, name=name or str(path)):
        if row["dataset_train_samples"] is not None:
            samples.setdefault((row["version"], row["benchmark"]), row["dataset_train_samples"])
        if row["updates_mean"] is None:
            continue
        measured = MeasuredUpdates(
            batch_samples=row["batch_size"],
            updates=row["updates_mean"],
            updates_std=row["updates_std"],
            runs=row["n_runs"],
        )
        points.setdefault((row["version"], row["benchmark"]), {}).setdefault(row["optimizer"] or "", []).append(measured)
    return Laws(points=points, train_samples=samples)


def _numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers; words count as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.removeprefix("v").split("."))
