"""From a scenario to the jobs that are simulated: one of [simulate], or several of [[job]] on one cluster."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from simulator.checkpointing import Checkpointing, TimeWithFailures
from simulator.engine.job import Failures, Hiccups, Noise, TrainingJob
from simulator.errors import CollectiveError, Fault, InfeasibleError, NoUncertaintyWarning, ScenarioError, TopologyError
from simulator.network.cluster_network import FabricDelta, PlacedRanks
from simulator.scenarios.cases import Case
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.rules import learners_at_hand
from simulator.scenarios.verb_sections import FailuresSection, JobSection, Replications, SimulateSection
from simulator.studies.answer import Answer, answer
from simulator.studies.replications import Plan
from simulator.studies.simulation import SharedNetwork, Simulation
from simulator.time_to_converge import Rounding

__all__ = ["CheckpointAdvice", "SimulatedJob", "SimulatedScenario", "simulated_scenario"]

MOST_FAILURES = 1e5
"""Expected failures of one run beyond which nothing is simulated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointAdvice:
    """How often a job saves its state, how often it should, and what that is expected to take.

    Parameters
    ----------
    every_s : float or None
        Seconds of work between checkpoints, a whole number of updates; None: none are made.
    best_every_s, young_every_s, daly_every_s : float
        The best interval, and the published estimates of it.
    between_failures_s : float
        Theta: mean time between failures of the job.
    expected : TimeWithFailures
        Closed form with failures, at `every_s`, repair and spare nodes left out.
    expected_at_best_s : float
        Its total at the best interval.
    """

    every_s: float | None
    best_every_s: float
    young_every_s: float
    daly_every_s: float
    between_failures_s: float
    expected: TimeWithFailures
    expected_at_best_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedJob:
    """A job with the case and the closed-form answer behind it, and the nodes that it touches (None without a node)."""

    job: TrainingJob
    case: Case
    answer: Answer
    nodes: int | None
    checkpoints: CheckpointAdvice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedScenario:
    """What `simulate` runs, and what it is compared with."""

    simulation: Simulation
    jobs: tuple[SimulatedJob, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One job as the file asks for it."""

    name: str
    workload: str | None
    learners: int | Literal["best", "all"]
    batch_samples: float | Literal["best"]
    start_s: float = 0.0


def simulated_scenario(scenario: Scenario, *, workload: str | None = None) -> SimulatedScenario:
    """Return the jobs of a scenario, ready to be simulated.

    Parameters
    ----------
    scenario : Scenario
        As resolved.
    workload : str, optional
        Which workload, where the file has several and no [[job]].

    Raises
    ------
    ScenarioError
        If keys are missing or contradict each other.
    InfeasibleError
        If the request contradicts the bounds of a law.
    """
    section = scenario.sections.simulate or SimulateSection()
    requests = _requests(scenario, section, workload)
    rounding: Rounding = "exact" if scenario.sections.run.whole_samples is False else "whole"
    cases = [Case.of(scenario, workload=request.workload, rounding=rounding) for request in requests]
    try:
        if scenario.sections.job:
            cases = _placed(cases, [int(request.learners) for request in requests])
        jobs: list[SimulatedJob] = []
        for request, case in zip(requests, cases, strict=True):
            before = sum(one.job.learners for one in jobs)
            jobs.append(_job(scenario, section, request, case, before, shares=len(requests) > 1 or not section.barrier))
    except (TopologyError, CollectiveError) as error:
        raise ScenarioError([Fault(scenario.name, "network", str(error))]) from None
    networks = [one.case.model.reduce for one in jobs if isinstance(one.case.model.reduce, FabricDelta)]
    shared = None
    if networks:
        one = networks[0]
        shared = SharedNetwork(network=one.network, sends=one.sends, message_overhead_s=one.message_overhead_s)
    simulation = Simulation(
        jobs=tuple(one.job for one in jobs), network=shared, seed=scenario.sections.seed, plan=_plan(section)
    )
    _warn_about_chance(section, simulation)
    return SimulatedScenario(simulation=simulation, jobs=tuple(jobs))


def _job(
    scenario: Scenario, section: SimulateSection, request: _Request, case: Case, before: int, *, shares: bool
) -> SimulatedJob:
    """Return one job; `before` learners belong to jobs before it, `shares`: its traffic goes over a network with others."""
    found = answer(
        case.model,
        case.limits,
        learners=case.learners_number(request.learners),
        batch_samples=request.batch_samples,
        max_learners=case.learners_at_hand,
    )
    case.warn_about(found.batch_samples, found.learners)
    delta = case.model.reduce
    if not section.barrier and not isinstance(delta, FabricDelta):
        rule = "false needs a network ([network], or reduce.kind = 'fabric'): with a law of Delta(P) learners start together"
        raise ScenarioError([Fault(scenario.name, "simulate.barrier", rule)])
    nodes = _nodes(case, delta, found.learners)
    try:
        job = TrainingJob(
            name=request.name,
            model=case.model,
            batch_samples=found.batch_samples,
            learners=found.learners,
            whole_samples=case.model.rounding == "whole",
            mode=section.mode,
            run_to_run_relative=_run_to_run(scenario, section, case),
            noise=_noise(section, before, found.learners),
            failures=_failures(section.failures, case, found.learners, nodes),
            traffic=delta.traffic(found.learners) if isinstance(delta, FabricDelta) and shares else (),
            barrier=section.barrier,
            server=section.server,
            learners_per_unit=section.learners_per_unit,
            start_s=request.start_s,
        )
    except ValueError as error:
        if not str(error).startswith("hiccups "):
            raise
        rule = str(error).removeprefix("hiccups ")
        raise ScenarioError([Fault(scenario.name, "simulate.noise.hiccups", rule)]) from None
    return SimulatedJob(job=job, case=case, answer=found, nodes=nodes, checkpoints=_advice(scenario, job, found))


def _warn_about_chance(section: SimulateSection, simulation: Simulation) -> None:
    """Warn where the interval of the mean says less than it seems to."""
    hiccups = section.noise.hiccups if section.noise is not None else None
    if hiccups is not None and hiccups.per_learner_hour > 0 and hiccups.duration_s > 0 and hiccups.tail <= 2:
        lacks = "mean" if hiccups.tail <= 1 else "variance"
        warnings.warn(
            f"hiccups with tail = {hiccups.tail:g} have no finite {lacks}: rare long ones decide, the interval of the mean is "
            "too narrow, and more replications hardly help",
            NoUncertaintyWarning,
            stacklevel=3,
        )
    if simulation.is_random and simulation.plan.most == 1:
        warnings.warn(
            "a single replication says nothing about how runs differ: give simulate.replications, or --replications",
            NoUncertaintyWarning,
            stacklevel=3,
        )


def _requests(scenario: Scenario, section: SimulateSection, workload: str | None) -> list[_Request]:
    listed = scenario.sections.job
    if not listed:
        known = [one.name for one in scenario.sections.workload]
        name = workload or (known[0] if len(known) == 1 else None)
        return [
            _Request(
                name=name or "job",
                workload=name,
                learners=section.learners,
                batch_samples=section.batch_samples,
            )
        ]
    faults = []
    if workload is not None:
        faults.append(Fault(scenario.name, "job", "says which workloads run: give no --workload"))
    given = scenario.tree.get("simulate") or {}
    faults += [
        Fault(scenario.name, f"simulate.{key}", "must not be given beside [[job]], each of which has its own")
        for key in ("batch_samples", "learners")
        if key in given
    ]
    for i, job in enumerate(listed):
        if _learners_of(job) is None:
            faults.append(Fault(scenario.name, f"job[{i}].learners", "is missing: say how many learners it has"))
    together, at_hand = sum(_learners_of(job) or 0 for job in listed), learners_at_hand(scenario)
    if at_hand is not None and together > at_hand:
        rule = f"must have at most the {at_hand} learners of the cluster together, got {together}"
        faults.append(Fault(scenario.name, "job", rule))
    if faults:
        raise ScenarioError(faults)
    return [
        _Request(
            name=job.name,
            workload=job.workload,
            learners=_learners_of(job) or 1,
            batch_samples=job.batch_samples,
            start_s=job.arrival_s,
        )
        for job in listed
    ]


def _learners_of(job: JobSection) -> int | None:
    """Return the learners of a job; None where it says a range, as for an allocation."""
    if job.learners is not None:
        return job.learners
    return job.learners_min if job.learners_min == job.learners_max else None


def _placed(cases: list[Case], learners: list[int]) -> list[Case]:
    """Return the cases with Delta of where each job sits.

    Jobs sit side by side in the order of the file, on the places that [network] deals out to all their learners; the servers of
    each have free places of their own.
    """
    networks = [case.model.reduce for case in cases if isinstance(case.model.reduce, FabricDelta)]
    if not networks:
        return cases
    places = networks[0].places(sum(learners))
    free = np.setdiff1d(np.arange(networks[0].slots), places)
    found = []
    first = servers = 0
    for case, P in zip(cases, learners, strict=True):
        delta = case.model.reduce
        assert isinstance(delta, FabricDelta)  # of all cases or of none: there is one [reduce]
        own = PlacedRanks(kind="listed", hosts=tuple(places[first : first + P].tolist()))
        serving = tuple(free[servers : servers + delta.servers].tolist()) if delta.collective == "ps" else ()
        first, servers = first + P, servers + len(serving)
        placed = replace(delta, placement=own, server_slots=serving)
        found.append(replace(case, model=replace(case.model, reduce=placed)))
    return found


def _nodes(case: Case, delta: Any, learners: int) -> int | None:
    """Return how many nodes a job touches: as few as hold it, or those that [network] places it on."""
    if case.accelerators_per_node is None or not isinstance(delta, FabricDelta):
        return case.nodes(learners)
    each = case.accelerators_per_learner
    accelerators = delta.places(learners)[:, None] * each + np.arange(each)
    return len(np.unique(accelerators // case.accelerators_per_node))


def _noise(section: SimulateSection, first: int, learners: int) -> Noise | None:
    """Return the noise of a job whose learners have the numbers from `first` on among those of all jobs."""
    noise = section.noise
    if noise is None:
        return None
    hiccups = noise.hiccups
    return Noise(
        kind=noise.kind,
        relative_sd=noise.relative_sd,
        slow_learners={
            slow.learner - first: slow.factor for slow in noise.slow_learners if first <= slow.learner < first + learners
        },
        hiccups=None
        if hiccups is None
        else Hiccups(per_learner_hour=hiccups.per_learner_hour, duration_s=hiccups.duration_s, tail=hiccups.tail),
    )


def _run_to_run(scenario: Scenario, section: SimulateSection, case: Case) -> float:
    if section.updates == "mean":
        return 0.0
    spread = case.fit.run_to_run_relative if case.fit is not None else 0.0
    if not spread:
        rule = (
            f"'drawn' needs to know how runs scatter: workload[{case.workload_index}].convergence.fit.run_to_run_relative "
            "is missing or 0"
        )
        raise ScenarioError([Fault(scenario.name, "simulate.updates", rule)])
    return spread


def _failures(section: FailuresSection | None, case: Case, learners: int, on_nodes: int | None) -> Failures | None:
    """Return what fails: the nodes of a job, or each accelerator where the cluster says nothing of nodes."""
    if section is None:
        return None
    failures = Failures(
        node_mtbf_s=section.node_mtbf_s,
        nodes=on_nodes or learners * case.accelerators_per_learner,
        checkpoint_every_updates=None if section.checkpoint_every_updates is None else int(section.checkpoint_every_updates),
        checkpoint_s=section.checkpoint_s,
        restart_s=section.restart_s,
        spare_nodes=section.spare_nodes,
        repair_s=section.repair_s,
    )
    every_s = section.checkpoint_every_s
    if every_s == "best":
        every_s = failures.theory.best_interval_s
        if not every_s:  # checkpoints cost nothing
            return replace(failures, checkpoint_every_updates=1)
    return replace(failures, checkpoint_every_s=every_s)


def _advice(scenario: Scenario, job: TrainingJob, found: Answer) -> CheckpointAdvice | None:
    """Return how often the job saves and should save its state; ScenarioError where it would hardly ever end."""
    if job.failures is None:
        return None
    theory, interval_s, work_s = job.failures.theory, job.checkpoint_interval_s, found.converge_time_s
    try:
        expected = _expected(theory, work_s, interval_s)
        if float(expected.failures) > MOST_FAILURES:
            raise InfeasibleError(f"a run would fail {float(expected.failures):.3g} times")
    except InfeasibleError as error:
        best = theory.best_interval_s
        rule = f"{error}; save more often ({best:.3g} s is best), or give nodes that fail less often"
        raise ScenarioError([Fault(scenario.name, "simulate.failures", rule)]) from None
    return CheckpointAdvice(
        every_s=interval_s,
        best_every_s=theory.best_interval_s,
        young_every_s=theory.young_interval_s,
        daly_every_s=theory.daly_interval_s,
        between_failures_s=theory.mtbf_s,
        expected=expected,
        expected_at_best_s=float(_expected(theory, work_s, max(theory.best_interval_s, found.update_time_s)).total_s),
    )


def _expected(theory: Checkpointing, work_s: float, interval_s: float | None) -> TimeWithFailures:
    """Return the expected time of a run: whole segments, and what is left after the last checkpoint."""
    segments = 0.0 if interval_s is None else float(np.floor(work_s / interval_s * (1.0 + 1e-9)))
    saved_s = segments * (interval_s or 0.0)
    parts = []
    if segments:
        parts.append(theory.time(saved_s, interval_s or 0.0))
    if work_s > saved_s * (1.0 + 1e-9):
        rest_s = work_s - saved_s
        parts.append(replace(theory, checkpoint_s=0.0).time(rest_s, rest_s))
    totals = {field.name: sum(getattr(part, field.name) for part in parts) for field in fields(TimeWithFailures)}
    return TimeWithFailures(**totals)


def _plan(section: SimulateSection) -> Plan:
    asked = section.replications
    if isinstance(asked, Replications):
        return Plan(fewest=asked.min, most=asked.max, stop_relative_halfwidth=asked.stop_relative_halfwidth)
    return Plan(fewest=asked, most=asked)
