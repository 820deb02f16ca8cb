"""Traces of jobs that arrive: a table with a row for each job, checked row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulator.errors import Fault, ScenarioError
from simulator.messages import did_you_mean, shown
from simulator.profiles import is_file, is_path, shipped_folder
from simulator.tables import Column, read_rows

__all__ = ["COLUMNS", "Trace", "TracedJob", "read_traces", "trace_path"]

MOST_FAULTS = 50

COLUMNS = {
    "source": Column(kind="text"),
    "subset": Column(kind="text"),
    "job_id": Column(kind="text"),
    "arrival_s": Column(least=0.0),
    "duration_s": Column(empty=True, above=0.0, needed=False),
    "num_gpus": Column(kind="whole", least=1.0),
    "model": Column(kind="text", empty=True, needed=False),
    "batch_size": Column(kind="whole", empty=True, least=1.0, needed=False),
}
"""Columns of a trace; others (virtual_cluster) are left out. A row has a model, or the duration that it took on num_gpus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedJob:
    """A row of a trace.

    Parameters
    ----------
    line : int
        Of the file, for messages.
    name : str
        job_id.
    arrival_s : float
        Seconds, >= 0.
    accelerators : int
        num_gpus: what it asked for.
    workload : str or None
        Workload of the scenario that its model is; None: fixed work.
    duration_s : float or None
        What it took on those accelerators, where no workload says.
    batch_samples : float or None
        batch_size: what it asked for, all learners.
    """

    line: int
    name: str
    arrival_s: float
    accelerators: int
    workload: str | None
    duration_s: float | None
    batch_samples: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The jobs of one (source, subset).

    Parameters
    ----------
    source, subset : str
        Which.
    jobs : tuple of TracedJob
        In the order of the file.
    skipped : mapping of str to int
        Rows left out, by the model that no workload stands for.
    """

    source: str
    subset: str
    jobs: tuple[TracedJob, ...]
    skipped: Mapping[str, int]


def trace_path(name: str, folder: Path) -> Path:
    """Return the file of a trace: a path relative to `folder`, or the id of a shipped one; ValueError where there is none."""
    if is_path(name):
        path = folder / name
        if not is_file(path):
            raise ValueError(f"must name a file beside the scenario, got {shown(name)}")
        return path
    shipped = {path.stem: path for path in sorted((shipped_folder("scenarios") / "traces").glob("*.csv"))}
    if name not in shipped:
        raise ValueError(f"must name a file, or the id of a shipped trace, got {shown(name)}{did_you_mean(name[:99], shipped)}")
    return shipped[name]


def read_traces(
    path: Path,
    *,
    name: str,
    accelerators: int,
    models: Mapping[str, str],
    source: str | None = None,
    subset: str | None = None,
    unknown_models: Literal["skip", "refuse"] = "refuse",
) -> list[Trace]:
    """Read the traces of a file that are asked for.

    Parameters
    ----------
    path : Path
        A CSV table with `COLUMNS`.
    name : str
        How messages call it.
    accelerators : int
        All there are; no job may ask for more.
    models : mapping of str to str
        Workload that stands for each model.
    source, subset : str, optional
        Which; None: each of the file.
    unknown_models : {"skip", "refuse"}
        What becomes of rows whose model is not in `models`.

    Raises
    ------
    ScenarioError
        With every fault, by line: cells, ids that repeat, more GPUs than there are, unknown models, neither model nor duration.
    """
    faults: list[Fault] = []
    rows = read_rows(path, COLUMNS, name=name, bad_rows=faults)
    for column, wanted in (("source", source), ("subset", subset)):
        known = list(dict.fromkeys(row[column] for row in rows if column == "source" or source in (None, row["source"])))
        if wanted is not None and wanted not in known and not faults:
            raise ScenarioError(
                [Fault(name, column, f"must be one of the file, got {shown(wanted)}{did_you_mean(wanted, known)}")]
            )
    chosen = [row for row in rows if source in (None, row["source"]) and subset in (None, row["subset"])]
    traces: dict[tuple[str, str], list[TracedJob]] = {}
    skipped: dict[tuple[str, str], dict[str, int]] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for row in chosen:
        which, line = (row["source"], row["subset"]), row["line"]

        def fault(column: str, rule: str, line: int = line) -> None:
            faults.append(Fault(name, f"line {line}, {column}", rule))

        jobs, left_out = traces.setdefault(which, []), skipped.setdefault(which, {})
        first = seen.setdefault((*which, row["job_id"]), line)
        if first != line:
            fault("job_id", f"must be unique in {which[0]}, {which[1]}, got {shown(row['job_id'])} again (line {first})")
        if row["num_gpus"] > accelerators:
            fault("num_gpus", f"must be <= the {accelerators} accelerators of the cluster, got {row['num_gpus']}")
        model = row["model"]
        if model is not None and model not in models:
            if unknown_models == "refuse":
                fault("model", f"no workload stands for {shown(model)} in allocate.trace.models{did_you_mean(model, models)}")
            left_out[model] = left_out.get(model, 0) + 1
            continue
        if model is None and row["duration_s"] is None:
            fault("duration_s", "must be given where there is no model")
        jobs.append(
            TracedJob(
                line=line,
                name=row["job_id"],
                arrival_s=row["arrival_s"],
                accelerators=row["num_gpus"],
                workload=models[model] if model is not None else None,
                duration_s=row["duration_s"] if model is None else None,
                batch_samples=float(row["batch_size"]) if model is not None and row["batch_size"] is not None else None,
            )
        )
    for which, jobs in traces.items():
        if not jobs and not faults:
            faults.append(Fault(name, "", f"{which[0]}, {which[1]} has no job left: no workload stands for its models"))
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], Fault(name, "", f"and {len(faults) - MOST_FAULTS} more faults")]
    if faults:
        raise ScenarioError(faults)
    return [Trace(source=which[0], subset=which[1], jobs=tuple(jobs), skipped=skipped[which]) for which, jobs in traces.items()]
