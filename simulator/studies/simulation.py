"""How long by simulation: replications of jobs on one cluster, beside the closed form, and what makes the difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simulator.engine.job import TrainingJob
from simulator.engine.run import Replication, simulate_jobs
from simulator.engine.timeline import Timeline
from simulator.engine.trace import Span, UpdateRows
from simulator.network.clusters import ClusterNetwork, topology_of
from simulator.network.fabric import Fabric
from simulator.studies.replications import Plan, Spread, generator, repeat
from simulator.tasks import Journal
from simulator.time_to_converge import Shares

__all__ = ["JobAnswer", "SharedNetwork", "Simulation", "Watched", "answers", "simulated"]

CAUSES = ("compute", "waiting", "communication", "cross_validation", "checkpoint", "lost")
MOST_ROWS = 1000
"""Updates of the first replication that are kept: every so-manieth, so that no job has more, but for those done again."""
DRAWN_UPDATES = 4
DRAWN_PROCESSES = 24
"""Updates, and processes of a job, whose spans are kept for a figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNetwork:
    """The network that jobs contend for.

    Parameters
    ----------
    network : ClusterNetwork
        What it is.
    sends : {"eager", "rendezvous"}
        Whether a message waits for its receiver.
    message_overhead_s : float
        Software's share of the latency of each message, >= 0.
    """

    network: ClusterNetwork
    sends: Literal["eager", "rendezvous"] = "rendezvous"
    message_overhead_s: float = 0.0

    def fabric(self) -> Fabric:
        """Return an idle fabric."""
        return Fabric(topology_of(self.network), protocol=self.sends, message_overhead_s=self.message_overhead_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Jobs on one cluster, and how often they are simulated.

    Parameters
    ----------
    jobs : tuple of TrainingJob
        What runs; those with traffic contend for the network.
    network : SharedNetwork, optional
        Needed where a job has traffic.
    seed : int
        Of everything drawn.
    plan : Plan
        How many replications.
    """

    jobs: tuple[TrainingJob, ...]
    network: SharedNetwork | None = None
    seed: int = 0
    plan: Plan = field(default_factory=Plan)

    @property
    def is_random(self) -> bool:
        """Whether replications differ from one another."""
        return any(_is_random(job) for job in self.jobs)

    @property
    def contends(self) -> bool:
        """Whether several jobs use the network."""
        return sum(bool(job.traffic) for job in self.jobs) > 1

    def replication(self, number: int, watch: Watch | None = None) -> dict[str, Any]:
        """Make one replication.

        Returns
        -------
        dict
            `jobs`: each one's `Replication` as a table; `alone`: the same of each job without the others, with the same
            draws, where several contend for the network, else None.
        """
        together = self._run(self.jobs, generator(self.seed, number), watch)
        alone = None
        if self.contends:
            # the job of number k draws from child k: here the only one, as there
            alone = [self._run((job,), _from_child(self.seed, number, k), None)[0] for k, job in enumerate(self.jobs)]
        return {
            "jobs": [dataclasses.asdict(run) for run in together],
            "alone": None if alone is None else [dataclasses.asdict(run) for run in alone],
        }

    def _run(self, jobs: Sequence[TrainingJob], rng: np.random.Generator, watch: Watch | None) -> list[Replication]:
        needs_network = any(job.traffic for job in jobs)
        fabric = self.network.fabric() if self.network is not None and needs_network else None
        return simulate_jobs(jobs, fabric, rng=rng, record=watch)


def _from_child(seed: int, replication: int, job: int) -> np.random.Generator:
    """Return a replication's generator whose first split is its split number `job`."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(replication,), n_children_spawned=job))


def _is_random(job: TrainingJob) -> bool:
    noise = job.noise
    scatters = noise is not None and (
        (noise.kind != "none" and noise.relative_sd != 0) or (noise.hiccups is not None and noise.hiccups.per_learner_hour > 0)
    )
    return scatters or job.failures is not None or job.run_to_run_relative > 0 or job.server == "exponential"


@dataclass(slots=True, kw_only=True)
class Watch:
    """Who listens to the first replication: keeps thinned rows, the spans of a few updates, and writes a timeline."""

    row_every_updates: int
    span_updates: int
    timeline: Timeline | None = None
    timeline_updates: int = 0
    rows_kept: list[dict[str, Any]] = field(default_factory=list)
    spans_kept: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[str, set[str]] = field(default_factory=dict)

    def rows(self, rows: UpdateRows) -> None:
        """Keep rows."""
        columns = {name: values.tolist() for name, values in rows.columns().items()}
        for values in zip(*columns.values(), strict=True):
            self.rows_kept.append({"job": rows.job, **dict(zip(columns, values, strict=True))})

    def span(self, span: Span) -> None:
        """Write a span to the timeline; keep it where it is one of the few."""
        update = span.args.get("update")
        late = isinstance(update, int) and update > self.timeline_updates
        if self.timeline is not None and (not late or span.process == "job"):  # failures and checkpoints, whenever they were
            self.timeline.span(span)
        if not isinstance(update, int) or update > DRAWN_UPDATES:
            return
        seen = self.seen.setdefault(span.job, set())
        if span.process in seen or len(seen) < DRAWN_PROCESSES:
            seen.add(span.process)
            self.spans_kept.append(
                {"job": span.job, "process": span.process, "name": span.name, "start_s": span.start_s, "end_s": span.end_s,
                 "update": update}
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The task of one replication; the first is watched while it runs.

    Parameters
    ----------
    simulation : Simulation
        What is repeated.
    watches : bool
        Whether rows and spans of the first replication are kept.
    trace : Path, optional
        Where its timeline is written.
    trace_updates : int
        How many updates the timeline holds.
    """

    simulation: Simulation
    watches: bool = False
    trace: Path | None = None
    trace_updates: int = 50

    def __call__(self, number: int) -> dict[str, Any]:
        """Make a replication; that of number 0 has `rows` and `spans` besides, where they are wanted."""
        if number or not (self.watches or self.trace):
            return self.simulation.replication(number)
        with nullcontext() if self.trace is None else Timeline(self.trace) as timeline:
            watch = Watch(
                row_every_updates=self.thinning if self.watches else 0,
                span_updates=max(DRAWN_UPDATES if self.watches else 0, self.trace_updates if self.trace else 0),
                timeline=timeline,
                timeline_updates=self.trace_updates,
            )
            found = self.simulation.replication(number, watch)
        return {**found, "rows": watch.rows_kept, "spans": watch.spans_kept} if self.watches else found

    @property
    def thinning(self) -> int:
        """Updates from one row to the next."""
        most = max(float(job.closed_form.updates(job.batch_samples)) for job in self.simulation.jobs)
        return max(1, int(np.ceil(most / MOST_ROWS)))


def simulated(
    task: Watched,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    journal: Journal | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Mapping[str, Any]]:
    """Make the replications of a simulation, as many as its plan wants; the arguments are those of `repeat`."""
    return repeat(
        task,
        task.simulation.plan,
        lambda row: [job["converge_time_s"] for job in row["jobs"]],
        executor=executor,
        workers=workers,
        journal=journal,
        progress=progress,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnswer:
    """One job over all replications, beside its closed form.

    Parameters
    ----------
    job : str
        Its name.
    converge_time_s, updates : Spread
        T_C in seconds; updates that it needed.
    replications : int
        How many there were.
    closed_form_s : float
        T_C without noise, failures and other jobs.
    difference : mapping of str to float
        Seconds that the mean lies above the closed form, by cause; they add up. updates: runs that need more or fewer of them;
        compute: learners slower on average; waiting: for the slowest learner; overlap: what the overlap law makes of the
        drawn times; contention: what other jobs on the network cost; cross_validation, checkpoint, lost.
    shares : Shares
        Fractions of the mean T_C.
    failures, redone_updates : float
        Mean number in a run.
    """

    job: str
    converge_time_s: Spread
    updates: Spread
    replications: int
    closed_form_s: float
    difference: Mapping[str, float]
    shares: Shares
    failures: float
    redone_updates: float


def answers(simulation: Simulation, results: Sequence[Mapping[str, Any]]) -> list[JobAnswer]:
    """Summarise the replications of each job."""
    return [_answer(job, k, results) for k, job in enumerate(simulation.jobs)]


def _answer(job: TrainingJob, k: int, results: Sequence[Mapping[str, Any]]) -> JobAnswer:
    runs = [result["jobs"][k] for result in results]
    times = Spread.of([run["converge_time_s"] for run in runs])
    updates = Spread.of([run["updates"] for run in runs])
    mean_s = {cause: _mean(run["seconds"][cause] for run in runs) for cause in CAUSES}
    model, M, P = job.closed_form, job.batch_samples, job.learners
    closed_s = float(model.converge_time_s(M, P))
    closed_shares = model.shares(M, P)
    more_updates = updates.mean / float(model.updates(M)) - 1.0
    difference = {"updates": more_updates * closed_s}
    for cause in CAUSES:
        difference[cause] = mean_s[cause] - getattr(closed_shares, cause) * closed_s * (1.0 + more_updates)
    alone = [result["alone"][k] for result in results] if results[0]["alone"] is not None else runs
    contention_s = mean_s["communication"] - _mean(run["seconds"]["communication"] for run in alone)
    overlap_s = difference.pop("communication") - contention_s
    total_s = sum(mean_s.values())
    return JobAnswer(
        job=job.name,
        converge_time_s=times,
        updates=updates,
        replications=len(runs),
        closed_form_s=closed_s,
        difference={
            "updates": difference.pop("updates"),
            "compute": difference.pop("compute"),
            "waiting": difference.pop("waiting"),
            "overlap": overlap_s,
            "contention": contention_s,
            **difference,
        },
        shares=Shares(**{cause: seconds / total_s for cause, seconds in mean_s.items()}),
        failures=_mean(run["failures"] for run in runs),
        redone_updates=_mean(run["redone_updates"] for run in runs),
    )


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
