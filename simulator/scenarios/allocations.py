"""From a scenario to the data centre that `allocate` asks about: its jobs, day by day, with T_C(P) of each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from simulator.errors import Fault, InfeasibleError, RepairWarning, ScenarioError, UnverifiedWarning
from simulator.scenarios.cases import Case
from simulator.scenarios.job_traces import Trace, TracedJob, read_traces, trace_path
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.rules import learners_at_hand
from simulator.scenarios.verb_sections import AllocateSection, JobSection
from simulator.studies.allocation.jobs import Job
from simulator.studies.allocation.options import IntArray, Options, model_options, unit_learners
from simulator.studies.allocation.records import Rules
from simulator.studies.allocation.speedup import SpeedUp
from simulator.studies.replications import generator

__all__ = ["DataCentre", "Day", "data_centre"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Jobs that share the data centre: of [[job]], of one (source, subset) of a trace, or of one draw of arrivals.

    Parameters
    ----------
    name : str
        For tables.
    jobs : tuple of Job
        At least one.
    skipped : mapping of str to int
        Rows of the trace left out, by model.
    """

    name: str
    jobs: tuple[Job, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)

    def without_borrowed(self) -> Day | None:
        """Return the day without the jobs whose laws are borrowed; None where no other is left."""
        own = tuple(job for job in self.jobs if not job.borrowed)
        return replace(self, jobs=own) if own else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCentre:
    """What `allocate` asks about.

    Parameters
    ----------
    rules : Rules
        Learners, restarts, intervals, checkpoints.
    section : AllocateSection
        Objective, policy, unit.
    days : tuple of Day
        Each a problem of its own.
    accelerators_per_learner : int
        For accelerator-hours.
    borrowed : mapping of str to str
        Workloads of the jobs whose laws are borrowed, and what of them is.
    cases : mapping of str to Case
        The laws of each workload that has jobs.
    """

    rules: Rules
    section: AllocateSection
    days: tuple[Day, ...]
    accelerators_per_learner: int
    borrowed: Mapping[str, str]
    cases: Mapping[str, Case]

    @property
    def is_static(self) -> bool:
        """Whether there is one day, and all its jobs are there from the beginning."""
        return len(self.days) == 1 and all(job.arrival_s == 0.0 for job in self.days[0].jobs)


def data_centre(scenario: Scenario, *, learners: int | None = None) -> DataCentre:
    """Return the data centre of a scenario.

    Parameters
    ----------
    scenario : Scenario
        As resolved.
    learners : int, optional
        How many there are, of the cluster's; all of them by default. Where no job has laws it may be more.

    Raises
    ------
    ScenarioError
        If keys are missing or contradict each other, a trace is faulty, or a job can have no number of learners.
    """
    sections = scenario.sections
    section = sections.allocate or AllocateSection()
    at_hand = learners_at_hand(scenario)
    if at_hand is None or sections.cluster is None:
        raise ScenarioError([Fault(scenario.name, "cluster", "is missing: say which nodes and how many")])
    count = learners or at_hand
    if count > at_hand and sections.workload:  # of jobs without laws nothing depends on the cluster
        raise ScenarioError([Fault(scenario.name, "cluster", f"has {at_hand} learners, got --learners {count}")])
    builder = _Builder.of(scenario, section, count)
    days: tuple[Day, ...]
    if sections.job:
        days = (Day(name="jobs", jobs=tuple(builder.listed(i, job) for i, job in enumerate(sections.job))),)
    elif section.trace is not None:
        days = tuple(builder.traced(trace) for trace in builder.traces())
    elif section.arrivals is not None:
        days = tuple(builder.drawn(i) for i in range(section.arrivals.replications))
    else:
        rule = "has no jobs: write [[job]], [allocate.trace] or [allocate.arrivals]"
        raise ScenarioError([Fault(scenario.name, "allocate", rule)])
    builder.finish()
    return DataCentre(
        rules=Rules(
            learners=count,
            restart_s=section.restart_s,
            interval_s=section.interval_s,
            checkpoint_every_s=section.checkpoint_every_s,
            weighted=section.objective == "weighted_time",
        ),
        section=section,
        days=days,
        accelerators_per_learner=sections.cluster.accelerators_per_learner,
        borrowed={
            one.name: one.borrowed for one in sections.workload if one.borrowed is not None and one.name in builder.cases
        },
        cases=builder.cases,
    )


@dataclass(slots=True, kw_only=True, eq=False)
class _Builder:
    """Builds jobs; jobs alike share their options, faults and repairs are gathered."""

    scenario: Scenario
    section: AllocateSection
    learners: int
    unit: IntArray
    weights: Mapping[str, float]
    borrowed: frozenset[str]
    cases: dict[str, Case] = field(default_factory=dict)
    made: dict[tuple[Any, ...], Options] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    moved: int = 0
    moved_first: str = ""

    @classmethod
    def of(cls, scenario: Scenario, section: AllocateSection, learners: int) -> _Builder:
        cluster, node = scenario.sections.cluster, scenario.node
        assert cluster is not None
        if section.unit == "node" and node is None:
            rule = "'node' needs cluster.node, whose learners are given out together"
            raise ScenarioError([Fault(scenario.name, "allocate.unit", rule)])
        per_node = max(1, node.accelerators // cluster.accelerators_per_learner) if node is not None else None
        try:
            unit = unit_learners(section.unit, learners, learners_per_node=per_node)
        except ValueError as error:
            raise ScenarioError([Fault(scenario.name, "allocate.unit", str(error))]) from None
        return cls(
            scenario=scenario,
            section=section,
            learners=learners,
            unit=unit,
            weights={one.name: one.weight for one in scenario.sections.workload},
            borrowed=frozenset(one.name for one in scenario.sections.workload if one.borrowed is not None),
        )

    def options(
        self, workload: str, batch_samples: float | None = None, lowest: int = 1, highest: int | None = None
    ) -> Options:
        """Return T_C(P) of a workload on lowest to highest learners, the mini-batch held or re-optimised; made once."""
        key = (workload, batch_samples, lowest, highest)
        if key not in self.made:
            if workload not in self.cases:
                self.cases[workload] = Case.of(self.scenario, workload=workload)
            case = self.cases[workload]
            P = self.unit[(self.unit >= lowest) & (self.unit <= (highest or self.learners))]
            if not len(P):
                words = {"learner": "learners", "node": "whole nodes", "power_of_two": "powers of two"}[self.section.unit]
                raise InfeasibleError(f"no number of {words} lies from {lowest} to {highest or self.learners} learners")
            self.made[key] = model_options(case.model, case.limits, P, batch_samples=batch_samples)
        return self.made[key]

    def held(self, workload: str, best: Options, job: Job, lowest: int, highest: int | None) -> Options:
        """Return T_C(P) with the mini-batch held that is best for the learners that the job asks for."""
        assert best.batch_samples is not None
        at = int(np.searchsorted(best.learners, job.request(best)))
        return self.options(workload, float(best.batch_samples[at]), lowest, highest)

    def listed(self, index: int, job: JobSection) -> Job:
        """Return a job of [[job]]."""
        lowest, highest = (job.learners, job.learners) if job.learners is not None else (job.learners_min, job.learners_max)
        fixed = None if job.batch_samples == "best" else float(job.batch_samples)
        try:
            best = self.options(job.workload, fixed, lowest, highest)
            found = Job(
                name=job.name,
                arrival_s=job.arrival_s,
                best=best,
                requested_learners=job.learners or job.learners_max,
                weight=job.weight * self.weights[job.workload],
                deadline_s=job.deadline_s,
                workload=job.workload,
                borrowed=job.workload in self.borrowed,
            )
            return found if fixed is not None else replace(found, held=self.held(job.workload, best, found, lowest, highest))
        except InfeasibleError as error:
            self.faults.append(Fault(self.scenario.name, f"job[{index}]", f"{job.name!r}: {error}"))
            return _stand_in(job.name)

    def traces(self) -> list[Trace]:
        """Return the traces that the file names."""
        keys, scenario = self.section.trace, self.scenario
        assert keys is not None
        cluster = scenario.sections.cluster
        assert cluster is not None
        return read_traces(
            trace_path(keys.file, scenario.folder),
            name=keys.file,
            accelerators=self.learners * cluster.accelerators_per_learner,
            models=keys.models,
            source=keys.source,
            subset=keys.subset,
            unknown_models=keys.unknown_models,
        )

    def traced(self, trace: Trace) -> Day:
        """Return the jobs of a trace."""
        if trace.skipped:
            left_out = ", ".join(f"{count} of {model}" for model, count in sorted(trace.skipped.items()))
            text = f"{trace.source}, {trace.subset}: jobs left out, no workload stands for their model: {left_out}"
            warnings.warn(text, RepairWarning, stacklevel=2)
        jobs = tuple(self.of_row(job) for job in trace.jobs)
        without = sum(job.workload is None for job in trace.jobs)
        if without:
            curve = self.curve().kind
            text = (
                f"{trace.source}, {trace.subset}: {without} jobs carry no model; their work is duration_s on num_gpus, and the "
                f"speed-up {curve!r} that other numbers of learners bring is assumed"
            )
            warnings.warn(text, UnverifiedWarning, stacklevel=2)
        return Day(name=f"{trace.source}/{trace.subset}", jobs=jobs, skipped=trace.skipped)

    def curve(self) -> SpeedUp:
        """Return the speed-up of jobs without a model."""
        assert self.section.trace is not None
        return self.section.trace.speedup or SpeedUp()

    def of_row(self, row: TracedJob) -> Job:
        """Return a job of a trace."""
        cluster = self.scenario.sections.cluster
        assert cluster is not None
        assert self.section.trace is not None
        asked = -(-row.accelerators // cluster.accelerators_per_learner)
        where = f"line {row.line}"
        try:
            if row.workload is None:
                assert row.duration_s is not None
                best = self.curve().options(self.unit, ran_on=asked)
                if best is None:
                    raise InfeasibleError(f"{asked} learners cannot be had in this unit")
                work, own = self.curve().work(row.duration_s, ran_on=asked), None
            else:
                best, work = self.options(row.workload), 1.0
                own = self.options(row.workload, row.batch_samples) if row.batch_samples is not None else None
        except InfeasibleError as error:
            self.faults.append(Fault(self.section.trace.file, where, f"{row.name!r}: {error}"))
            return _stand_in(row.name)
        found = Job(
            name=row.name,
            arrival_s=row.arrival_s,
            best=best,
            own=own,
            work=work,
            requested_learners=asked,
            weight=self.weights.get(row.workload or "", 1.0),
            workload=row.workload or "",
            borrowed=row.workload in self.borrowed,
        )
        if asked not in (own or best).learners:
            self.moved += 1
            self.moved_first = self.moved_first or f"{row.name!r} ({where}) asks for {asked}, gets {found.request(own or best)}"
        if own is None and row.workload is not None:
            return replace(found, held=self.held(row.workload, best, found, 1, None))
        return found

    def drawn(self, replication: int) -> Day:
        """Return jobs that arrive at random: workloads drawn by their weights."""
        keys = self.section.arrivals
        assert keys is not None
        rng = generator(self.scenario.sections.seed, replication)
        arrival_s = np.cumsum(rng.exponential(3600.0 / keys.per_hour, keys.count))
        names = list(self.weights)
        share = np.array([self.weights[name] for name in names])
        chosen = rng.choice(len(names), size=keys.count, p=share / share.sum())
        kinds: dict[str, Job] = {}
        for index, name in enumerate(names):
            try:
                best = self.options(name)
                job = Job(name=name, arrival_s=0.0, best=best, workload=name, borrowed=name in self.borrowed)
                kinds[name] = replace(job, held=self.held(name, best, job, 1, None))
            except InfeasibleError as error:
                self.faults.append(Fault(self.scenario.name, f"workload[{index}]", f"{name!r}: {error}"))
                kinds[name] = _stand_in(name)
        jobs = tuple(
            replace(kinds[names[k]], name=f"{names[k]}-{i}", arrival_s=float(arrival))
            for i, (k, arrival) in enumerate(zip(chosen, arrival_s, strict=True))
        )
        return Day(name=f"draw {replication}", jobs=jobs)

    def finish(self) -> None:
        """Say what was wrong, or repaired; and what the laws rest on."""
        if self.faults:
            raise ScenarioError(list(dict.fromkeys(self.faults)))
        if self.moved:
            text = (
                f"{self.moved} jobs ask for a number of learners that their mini-batch or the unit does not admit; they get "
                f"the nearest below, or the fewest: {self.moved_first}{', and so on' if self.moved > 1 else ''}"
            )
            warnings.warn(text, RepairWarning, stacklevel=2)


def _stand_in(name: str) -> Job:
    """Return a job in place of a faulty one, so that the others can be checked."""
    return Job(name=name, arrival_s=0.0, best=Options(learners=np.array([1]), converge_time_s=np.ones(1)))
