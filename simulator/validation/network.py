"""How close is the network to an independent simulator? Every case of a table of SimGrid's times, run and laid beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from simulator.errors import Fault, ScenarioError, SimulatorError
from simulator.messages import shown
from simulator.network.collectives import COLLECTIVES, parameter_server
from simulator.network.fabric import Job, movement, run_jobs
from simulator.network.flows import Protocol
from simulator.network.graphs import from_routes
from simulator.network.programs import placed
from simulator.network.results import NetworkResult
from simulator.network.schedules import Schedule, one_sided
from simulator.network.topologies import Topology, star, xgft
from simulator.quantities import FloatArray
from simulator.tables import Column, read_rows
from simulator.validation.rows import Prediction, Validation

__all__ = ["NETWORK_CASES", "NetworkCase", "case_topology", "read_network_cases", "run_case", "validate_network"]

NETWORK_CASES = Path(__file__).parent / "data" / "network_cases.csv"

COLUMNS = {
    "case_id": Column(kind="text"),
    "group": Column(kind="text"),
    "topology": Column(kind="text", choices=("star", "graph", "fattree")),
    "hosts": Column(kind="whole", least=1),
    "down": Column(kind="text", empty=True),
    "up": Column(kind="text", empty=True),
    "host_bw_Bps": Column(empty=True, above=0),
    "upper_bw_Bps": Column(empty=True, above=0),
    "host_lat_s": Column(empty=True, least=0),
    "upper_lat_s": Column(empty=True, least=0),
    "t_eager_s": Column(above=0),
    "t_rdv_s": Column(empty=True, above=0),
    "tol_rel": Column(above=0),
    "tol_rank": Column(above=0),
    "messages": Column(kind="whole", least=0),
    "cpu_s": Column(empty=True, least=0),
    "spec": Column(kind="text"),
    "results": Column(kind="text"),
}

ALGORITHMS = {
    "ring": "ring",
    "rd": "recursive_doubling",
    "rhd_near": "halving_doubling_near",
    "rhd_far": "halving_doubling_far",
    "tree": "tree",
    "a2a": "all_to_all",
    "psco": "sharded_parameter_server",
}
"""Collectives by the names of the table; "ps" has servers beside."""

ROUNDING = 1e-9
"""Relative error above which an answer differs by more than rounding, and movement above which it hangs on a tie."""

ILL_CONDITIONED = "ill-conditioned"

PROTOCOLS: tuple[tuple[str, Protocol], ...] = (("t_eager_s", "eager"), ("t_rdv_s", "rendezvous"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkCase:
    """One row of the table.

    Parameters
    ----------
    row : mapping of str to object
        Its plain columns.
    topology : Topology
        The network.
    jobs : tuple of Job
        What runs on it.
    messages_only : bool
        Whether it is a list of messages instead of jobs.
    results : mapping of str to object
        Ends of messages, or of jobs and ranks.
    """

    row: Mapping[str, Any]
    topology: Topology
    jobs: tuple[Job, ...]
    messages_only: bool
    results: Mapping[str, Any]

    @property
    def protocols(self) -> tuple[tuple[str, Protocol], ...]:
        """Columns of times that the case has, each with its protocol."""
        return tuple((column, protocol) for column, protocol in PROTOCOLS if self.row[column] is not None)


class _Broken(ValueError):
    """A rule that the JSON of a row breaks."""


def read_network_cases(
    path: Path, *, name: str | None = None, keep: Callable[[Mapping[str, Any]], bool] | None = None
) -> list[NetworkCase]:
    """Read a table of cases.

    Parameters
    ----------
    path : Path
        CSV with the header of the shipped table.
    name : str, optional
        How messages call the file.
    keep : callable, optional
        Says of a row's plain columns whether the case is wanted; all by default.

    Raises
    ------
    ScenarioError
        With every fault: file, line, column, rule, value.
    """
    called = name or str(path)
    faults: list[Fault] = []
    cases: list[NetworkCase] = []
    for row in read_rows(path, COLUMNS, name=called):
        if keep is not None and not keep(row):
            continue
        try:
            cases.append(_case(row))
        except _Broken as error:
            faults.append(Fault(called, f"line {row['line']}, {error.args[0]}", error.args[1]))
        except (SimulatorError, ValueError, TypeError, OverflowError) as error:
            faults.append(Fault(called, f"line {row['line']}", str(error)))
    if faults:
        raise ScenarioError(faults)
    return cases


def _case(row: Mapping[str, Any]) -> NetworkCase:
    spec, results = _json(row, "spec"), _json(row, "results")
    messages = "flows_start_src_dst_bytes" in spec
    if not messages and "jobs" not in spec:
        raise _Broken("spec", f"must have the key flows_start_src_dst_bytes or jobs, got {', '.join(spec) or 'none'}")
    topology = case_topology(row, spec)
    if messages:
        table = _numbers("spec", "flows_start_src_dst_bytes", spec["flows_start_src_dst_bytes"], 4)
        hosts = np.concatenate([table[:, 1], table[:, 2]]).astype(np.int64)
        jobs: tuple[Job, ...] = (
            Job(schedule=one_sided(table[:, 3]), hosts=hosts, start_s=np.concatenate([table[:, 0], table[:, 0]])),
        )
    else:
        jobs = tuple(_job(job) for job in _list("spec", "jobs", spec["jobs"]))
    for job in jobs:
        placed(topology, job.schedule, job.hosts)
    if messages:
        topology.routes(table[:, 1], table[:, 2])
    _check_results(results, jobs, messages)
    return NetworkCase(row=row, topology=topology, jobs=jobs, messages_only=messages, results=results)


def _json(row: Mapping[str, Any], column: str) -> Mapping[str, Any]:
    try:
        found = json.loads(row[column])
    except (ValueError, RecursionError) as error:
        raise _Broken(column, f"must be JSON: {error}") from None
    if not isinstance(found, dict):
        raise _Broken(column, f"must be a JSON object, got {shown(found)}")
    return found


def _list(column: str, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _Broken(column, f"{key} must be a list, not empty, got {shown(value)}")
    return value


def _numbers(column: str, key: str, value: Any, width: int = 0) -> FloatArray:
    """Return a list of numbers, or of rows of `width` numbers."""
    try:
        found = np.array(_list(column, key, value), dtype=np.float64)
    except (ValueError, TypeError):
        found = np.empty((0, 0, 0))
    if found.ndim != (2 if width else 1) or (width and found.shape[1] != width) or not np.isfinite(found).all():
        raise _Broken(column, f"{key} must be a list of {f'rows of {width} ' if width else ''}numbers, got {shown(value)}")
    return found


def case_topology(row: Mapping[str, Any], spec: Mapping[str, Any]) -> Topology:
    """Return the network of a row of the table."""
    kind, hosts = row["topology"], row["hosts"]
    if kind == "graph":
        links, routes = spec.get("links"), spec.get("routes")
        if not isinstance(links, dict) or not all(isinstance(v, list) and len(v) == 2 for v in links.values()):
            raise _Broken("spec", f"links must be an object of [bandwidth, latency], got {shown(links)}")
        if not isinstance(routes, list) or not all(isinstance(way, list) and len(way) == 3 for way in routes):
            raise _Broken("spec", f"routes must be a list of [source, destination, links], got {shown(routes)}")
        return from_routes(
            hosts,
            {link: (float(bandwidth), float(latency)) for link, (bandwidth, latency) in links.items()},
            {(int(source), int(destination)): tuple(way) for source, destination, way in routes},
        )
    needed = ("host_bw_Bps", "host_lat_s", *(("upper_bw_Bps", "upper_lat_s", "down", "up") if kind == "fattree" else ()))
    for column in needed:
        if row[column] is None:
            raise _Broken(column, f"must not be empty for a {kind}")
    if kind == "star":
        return star(hosts, bandwidth_bytes_per_s=row["host_bw_Bps"], latency_s=row["host_lat_s"])
    levels = []
    for column in ("down", "up"):
        try:
            levels.append([int(word) for word in row[column].split()])
        except ValueError:
            raise _Broken(column, f"must be whole numbers with blanks between, got {shown(row[column])}") from None
    found = xgft(
        levels[0],
        levels[1],
        host_bandwidth_bytes_per_s=row["host_bw_Bps"],
        upper_bandwidth_bytes_per_s=row["upper_bw_Bps"],
        host_latency_s=row["host_lat_s"],
        upper_latency_s=row["upper_lat_s"],
    )
    if found.hosts != hosts:
        raise _Broken("hosts", f"must be the product of down, {found.hosts}, got {hosts}")
    return found


def _job(spec: Any) -> Job:
    if not isinstance(spec, dict):
        raise _Broken("spec", f"jobs must be a list of objects, got {shown(spec)}")
    missing = [key for key in ("algo", "P", "bytes") if key not in spec]
    if missing:
        raise _Broken("spec", f"jobs must have the key {missing[0]}, got {', '.join(spec)}")
    algorithm, ranks, size = spec["algo"], spec["P"], spec["bytes"]
    servers = spec.get("nserv", 0)
    if algorithm == "ps":
        schedule: Schedule = parameter_server(ranks, size, servers=servers)
    elif algorithm in ALGORITHMS:
        schedule = COLLECTIVES[ALGORITHMS[algorithm]].schedule(ranks, size)
    else:
        raise _Broken("spec", f"algo must be one of {', '.join(ALGORITHMS)}, ps, got {shown(algorithm)}")
    compute = spec.get("compute")
    schedule = schedule.iterated(
        rounds=int(spec.get("iters", 1)),
        compute_s=None if compute is None else _numbers("spec", "compute", compute),
        barrier=bool(spec.get("barrier", 0)),
    )
    place, serve = spec.get("place", list(range(int(ranks)))), spec.get("serve", [])
    if not isinstance(place, list) or not isinstance(serve, list) or len(serve) < schedule.ranks - schedule.workers:
        raise _Broken("spec", f"place and serve must be lists of hosts, one for each rank and server, got {shown(serve)}")
    return Job(
        schedule=schedule, hosts=[*place, *serve[: schedule.ranks - schedule.workers]], start_s=float(spec.get("start", 0.0))
    )


def _check_results(results: Mapping[str, Any], jobs: Sequence[Job], messages: bool) -> None:
    """Check that the results that are compared have the lengths of what is compared."""
    wanted = (
        {"flow_end_s": jobs[0].schedule.ranks // 2} if messages else {"job_end_eager_s": len(jobs), "job_end_rdv_s": len(jobs)}
    )
    for key, length in wanted.items():
        if key in results and len(_numbers("results", key, results[key])) != length:
            raise _Broken("results", f"{key} must have {length} values, got {len(results[key])}")
    ranks = results.get("rank_end_eager_s") or []
    if not isinstance(ranks, list) or len(ranks) not in (0, len(jobs)):
        raise _Broken("results", f"rank_end_eager_s must have {len(jobs)} lists, got {shown(ranks)}")
    for ends, job in zip(ranks, jobs, strict=False):
        if ends and len(_numbers("results", "rank_end_eager_s", ends)) not in (1, job.schedule.workers):
            raise _Broken("results", f"rank_end_eager_s must have 1 or {job.schedule.workers} values, got {len(ends)}")


def run_case(case: NetworkCase, protocol: Protocol) -> list[NetworkResult]:
    """Run a case and return what each of its jobs took."""
    return run_jobs(case.topology, case.jobs, protocol=protocol)


def compared(case: NetworkCase, protocol: Protocol, found: Sequence[NetworkResult]) -> list[tuple[str, float, float, float]]:
    """Return (what, ours, theirs, tolerance) of everything that the table holds of a case."""
    row, results = case.row, case.results
    tolerance = row["tol_rel"]
    rows = [
        ("last end", max(result.end_s for result in found), row["t_eager_s" if protocol == "eager" else "t_rdv_s"], tolerance)
    ]
    if case.messages_only:
        ends = found[0].rank_end_s
        ours = ends[len(ends) // 2 :].tolist()
        theirs = results.get("flow_end_s", [])
        rows += [(f"message {i}", *pair, tolerance) for i, pair in enumerate(zip(ours, theirs, strict=False))]
        return rows
    theirs = results.get("job_end_eager_s" if protocol == "eager" else "job_end_rdv_s", [])
    rows += [(f"job {i}", result.end_s, end, tolerance) for i, (result, end) in enumerate(zip(found, theirs, strict=False))]
    if protocol == "eager":
        for job, (result, ends) in enumerate(zip(found, results.get("rank_end_eager_s") or [], strict=False)):
            if ends:
                workers = case.jobs[job].schedule.workers
                listed = np.broadcast_to(np.array(ends, dtype=np.float64), (workers,)).tolist()
                pairs = zip(result.rank_end_s[:workers].tolist(), listed, strict=True)
                rows += [(f"rank {rank} of job {job}", *pair, row["tol_rank"]) for rank, pair in enumerate(pairs)]
    return rows


def validate_network(
    path: Path = NETWORK_CASES, *, name: str | None = None, cases: Iterable[NetworkCase] | None = None
) -> Validation:
    """Run every case of a table and lay its times beside those of the table.

    Parameters
    ----------
    path : Path
        A CSV with the header of the shipped table, which is the default.
    name : str, optional
        How messages call the file.
    cases : iterable of NetworkCase, optional
        Cases that were read already.

    Returns
    -------
    Validation
        Quantities t_eager_s and t_rdv_s, the last worker's end, and ends: of all messages, jobs and ranks of the case the one
        that is farthest off, measured by its tolerance. Groups are the letters of the table; cases that are off by more than
        rounding are run again with their bytes changed by 1e-12, and those that move as far are the part "ill-conditioned".

    Raises
    ------
    ScenarioError
        With every fault of the file.
    """
    predictions: list[Prediction] = []
    for case in read_network_cases(path, name=name) if cases is None else cases:
        row = case.row
        worst: tuple[float, tuple[str, float, float, float]] | None = None
        for column, protocol in case.protocols:
            began = time.perf_counter()
            found = run_case(case, protocol)
            seconds = time.perf_counter() - began
            pairs = compared(case, protocol, found)
            hangs = _hangs_on_a_tie(case, protocol, pairs)
            common: dict[str, Any] = {"group": row["group"], "series": row["case_id"], "part": ILL_CONDITIONED if hangs else ""}
            _, ours, theirs, tolerance = pairs[0]
            predictions.append(
                Prediction(
                    case=row["case_id"], quantity=cast(Literal["t_eager_s", "t_rdv_s"], column), predicted=ours, actual=theirs,
                    tolerance=tolerance, seconds=seconds, **common,
                )
            )  # fmt: skip
            for pair in pairs[1:]:
                off = abs(pair[1] / pair[2] - 1.0) / pair[3] if pair[2] > 0 else np.inf
                worst = (off, pair) if worst is None or off > worst[0] else worst
        if worst is not None:
            what, ours, theirs, tolerance = worst[1]
            predictions.append(
                Prediction(
                    case=f"{row['case_id']}, {what}",
                    quantity="ends",
                    predicted=ours,
                    actual=theirs,
                    tolerance=tolerance,
                    **common,
                )
            )
    return Validation(kind="network", predictions=tuple(predictions), skipped={}, primary="t_eager_s")


def _hangs_on_a_tie(case: NetworkCase, protocol: Protocol, pairs: Sequence[tuple[str, float, float, float]]) -> bool:
    """Say whether a case that is off is so because its answer hangs on an exact tie."""
    off = max(abs(ours / theirs - 1.0) if theirs > 0 else 0.0 for _, ours, theirs, _ in pairs)
    return off > ROUNDING and movement(case.topology, case.jobs, protocol=protocol) > ROUNDING
