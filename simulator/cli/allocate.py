"""Who gets how many? The command allocate."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from simulator.cli.flags import MOST_LEARNERS, OutputFlags, ScenarioFlags, WholeNumber, WorkerFlags
from simulator.errors import InfeasibleError, InfeasibleWarning, RepairWarning, SimulatorError, UnverifiedWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.scenarios import Scenario
    from simulator.scenarios.allocations import DataCentre
    from simulator.studies.allocation.jobs import Job
    from simulator.studies.allocation.runs import OnDay, Runs
    from simulator.studies.allocation.static import Allocation, StaticJob
    from simulator.tasks import Journal

__all__ = ["allocate"]

NO_CHOICE, NO_OUTPUT, NO_WORKERS = ScenarioFlags(), OutputFlags(), WorkerFlags()
MOST_JSON_PARTS = 20_000
"""Parts that the JSON object holds; parts.csv has them all."""
STATIC = "static"
"""In the column `policy`: the allocation that is held to the end."""
BATCHES = ("batch_samples_first", "batch_samples_last")
NO_GAIN = {"next_learners": None, "gain_s_per_learner": None}
ADDITIVE = (
    "an update at mini-batch M advances a job by 1/N_Update(M), whatever mini-batches it had before (the laws are fitted to "
    "runs at one mini-batch)"
)
COMPACT = "a job's learners are taken to fill whole nodes, whichever are free, and other jobs' traffic does not slow it"


def allocate(
    scenario: str,
    /,
    *,
    policy: str | None = None,
    compare: bool = False,
    learners: WholeNumber | None = None,
    choice: ScenarioFlags = NO_CHOICE,
    workers: WorkerFlags = NO_WORKERS,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """How many learners to each job, and how long do jobs take?

    Parameters
    ----------
    scenario
        A scenario file, or the name of a shipped one (see: learnersim scenarios).
    policy
        Instead of that of the scenario: fcfs, equal, srtf, marginal-gain, marginal-gain-fixed-batch, or module:attribute of
        your own.
    compare
        Run the jobs under every policy.
    learners
        Use only so many of the cluster's learners (or any number where no job has laws).
    figures
        Draw the figures into the folder of --out too.
    """
    from simulator.cli.allocation_text import print_allocation
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.scenarios.allocations import data_centre
    from simulator.scenarios.policies import PolicyShelf
    from simulator.scenarios.verb_sections import POLICY_NAMES
    from simulator.studies.allocation.runs import Runs

    processes = workers.number()
    if learners is not None and not 1 <= learners <= MOST_LEARNERS:
        raise SimulatorError(f"--learners must be from 1 to {MOST_LEARNERS:,}, got {learners}")
    if choice.workload is not None:
        raise SimulatorError("--workload does not belong to allocate: each job names its workload")
    with collected_warnings() as caught, request_errors():
        loaded = choice.load(scenario)
        title = loaded.sections.title or loaded.name
        title = f"{title} [{loaded.option}]" if loaded.option else title
        with request_errors(loaded.name):
            centre = data_centre(loaded, learners=learners)
        asked = policy or centre.section.policy
        names = (asked, *(name for name in POLICY_NAMES if name != asked)) if compare else (asked,)
        shelf = PolicyShelf(folder=loaded.folder)
        inputs = [loaded.resolved(), _fingerprint(centre), [shelf.fingerprint(name) for name in names], learners]
        out = Output.prepared("allocate", output, title=title, seed=loaded.sections.seed, inputs=inputs, figures=figures)
        runs = Runs(days=_days(centre), policies=names, policy_of=shelf, rules=centre.rules)
        with out.journal() as journal:
            results = _made(runs, processes, journal)
            if journal is not None:
                journal.settle(len(results))
        static = _static(centre) if centre.is_static else None
        _warn(loaded, centre, results)
    own = _keys(centre, asked, compare, results, static)
    tables: dict[str, Any] = {"summary.csv": own["summary"], "rows.csv": own["rows"]}
    if own["comparison"] is not None:
        tables["comparison.csv"] = own["comparison"]
    parts = _part_rows(results)
    if parts:
        tables["parts.csv"] = parts
    out.emit(
        own,
        caught,
        scenario=loaded,
        text=lambda: print_allocation(title, centre, own),
        tables=tables,
    )


def _fingerprint(centre: DataCentre) -> list[Any]:
    """Return what the jobs are, wherever they come from: a trace may change beside a scenario that does not."""
    return [
        [
            day.name,
            [[job.name, job.arrival_s, job.workload, job.work, job.requested_learners, _own_batch(job)] for job in day.jobs],
        ]
        for day in centre.days
    ]


def _own_batch(job: Job) -> float | None:
    """Return the mini-batch that a job's owner asks for; None: any."""
    return float(job.own.batch_samples[0]) if job.own is not None and job.own.batch_samples is not None else None


def _days(centre: DataCentre) -> tuple[OnDay, ...]:
    """Return the days with all jobs and, where laws of some are borrowed, without those."""
    from simulator.studies.allocation.runs import OnDay

    found = [OnDay(day=day.name, borrowed_in=True, jobs=day.jobs) for day in centre.days]
    if any(job.borrowed for day in centre.days for job in day.jobs):
        own = [(day.name, day.without_borrowed()) for day in centre.days]
        found += [OnDay(day=name, borrowed_in=False, jobs=day.jobs) for name, day in own if day is not None]
    return tuple(found)


def _made(runs: Runs, processes: int | None, journal: Journal | None) -> list[Any]:
    """Make every schedule, and show how far that is: jobs of a single one, else schedules."""
    from simulator.cli.progress import shown_progress
    from simulator.tasks import run_locally

    results: list[Any] = []
    if len(runs) == 1:
        with shown_progress("jobs", len(runs.days[0].jobs)) as told:

            def alone(number: int) -> dict[str, Any]:
                return runs(number, progress=lambda ended, _: told(ended))

            return list(run_locally(alone, 1, workers=1, journal=journal))
    with shown_progress("schedules", len(runs)) as told:
        for result in run_locally(runs, len(runs), workers=processes, journal=journal):
            results.append(result)
            told(len(results))
    return results


def _static(centre: DataCentre) -> tuple[list[StaticJob], Allocation] | None:
    """Return the best allocation that is held to the end; a warning instead where there is none."""
    from simulator.studies.allocation.static import StaticJob, allocate

    jobs = [
        StaticJob(name=job.name, options=job.best.longer(job.work), weight=job.weight, deadline_s=job.deadline_s)
        for job in centre.days[0].jobs
    ]
    try:
        return jobs, allocate(jobs, centre.rules.learners, objective=centre.section.objective)
    except InfeasibleError as error:
        warnings.warn(f"no allocation can be held to the end: {error}", InfeasibleWarning, stacklevel=2)
        return None


def _warn(scenario: Scenario, centre: DataCentre, results: Sequence[Any]) -> None:
    """Warn of borrowed laws, figures that nobody checked, keys without effect, mini-batches far from those measured."""
    from simulator.optimum import best_batch
    from simulator.scenarios import Case
    from simulator.scenarios.effects import warn_about_keys_without_effect, warn_about_unverified

    for name, what in centre.borrowed.items():
        warnings.warn(
            f"the laws of {name} are borrowed: {what}; results without such jobs stand beside", UnverifiedWarning, stacklevel=2
        )
    for result in results:
        if result["parts"] is None:
            what = result["what"]
            text = (
                f"{what['day']} under {what['policy']}: its {result['part_count']:,} parts are left out, rows of jobs are not"
            )
            warnings.warn(text, RepairWarning, stacklevel=2)
    for name, case in centre.cases.items():
        warn_about_unverified(scenario, case)
        used = {row[key] for result in results for row in result["rows"] if row["workload"] == name for key in BATCHES}
        case.warn_about_range(used - {None}, of=name)

    def outcome(changed: Scenario) -> tuple[Any, ...]:
        found: list[Any] = []
        for name in centre.cases:
            case = Case.of(changed, workload=name)
            found.append(case.fit)
            for P in sorted({1, max(1, case.learners_at_hand // 2), case.learners_at_hand}):
                try:
                    best = best_batch(case.model, case.limits, P)
                    found += [best.converge_time_s, best.batch_samples]
                except InfeasibleError:
                    found.append(None)
        return tuple(found)

    if centre.cases:
        warn_about_keys_without_effect(scenario, lambda changed: changed, outcome)


def _keys(
    centre: DataCentre, asked: str, compared: bool, results: Sequence[Any], static: tuple[list[StaticJob], Allocation] | None
) -> dict[str, Any]:
    """Return the JSON keys of `allocate`."""
    from simulator.studies.allocation.runs import MEASURE, comparison

    per_learner, objective = centre.accelerators_per_learner, centre.section.objective
    summaries = [
        {**result["summary"], "accelerator_hours": per_learner * result["summary"]["learner_hours"]} for result in results
    ]
    rows = [
        {**row, "accelerator_hours": per_learner * row["learner_hours"], **NO_GAIN}
        for result in results
        for row in result["rows"]
    ]
    told = None
    if compared or len(centre.days) > 1:
        told = comparison(summaries, objective=objective, reference=asked)
    best = min((row for row in told or () if row["borrowed_in"]), key=lambda row: row[MEASURE[objective]]["mean"], default=None)
    parts = _part_rows(results) if sum(result["part_count"] for result in results) <= MOST_JSON_PARTS else []
    if static is not None:
        rows = _static_rows(centre, *static) + rows
    return {
        "policy": asked,
        "objective": objective,
        "unit": centre.section.unit,
        "learners": centre.rules.learners,
        "restart_s": centre.rules.restart_s,
        "interval_s": centre.rules.interval_s,
        "checkpoint_every_s": centre.rules.checkpoint_every_s,
        "jobs": sum(len(day.jobs) for day in centre.days),
        "days": [{"day": day.name, "jobs": len(day.jobs), "skipped": dict(day.skipped)} for day in centre.days],
        "borrowed": dict(centre.borrowed),
        "assumptions": [ADDITIVE, COMPACT],
        "static": _static_keys(centre, *static) if static is not None else None,
        "summary": summaries,
        "comparison": told,
        "best_policy": best["policy"] if best is not None and compared else None,
        "rows": rows,
        "parts": parts or None,
    }


def _static_keys(centre: DataCentre, jobs: Sequence[StaticJob], found: Allocation) -> dict[str, Any]:
    gain = found.gains[found.next_job] if found.next_job is not None else None
    return {
        "objective": centre.section.objective,
        "value": found.value,
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "method": found.method,
        "learners_used": found.learners_used,
        "next_job": jobs[found.next_job].name if found.next_job is not None else None,
        "next_learners": gain.learners if gain is not None else None,
        "next_gain_s_per_learner": gain.gain_s_per_learner if gain is not None else None,
    }


def _static_rows(centre: DataCentre, jobs: Sequence[StaticJob], found: Allocation) -> list[dict[str, Any]]:
    """Return the rows of the allocation that is held to the end, with what the next learners would bring each job."""
    from simulator.quantities import HOUR_S

    rows = []
    for job, one, k, P, T, gain in zip(
        centre.days[0].jobs, jobs, found.place, found.learners, found.converge_time_s, found.gains, strict=True
    ):
        table = one.options
        M = float(table.batch_samples[k]) if table.batch_samples is not None else None
        hours = float(P * T) / HOUR_S
        rows.append(
            {
                "policy": STATIC,
                "day": centre.days[0].name,
                "borrowed_in": True,
                "job": job.name,
                "workload": job.workload or None,
                "borrowed": job.borrowed,
                "arrival_s": 0.0,
                "start_s": 0.0,
                "end_s": float(T),
                "completion_s": float(T),
                "slowdown": float(T) / job.fastest_s(centre.rules.learners),
                "learners_first": int(P),
                "learners_last": int(P),
                "mean_learners": float(P),
                "batch_samples_first": M,
                "batch_samples_last": M,
                "updates": float(table.updates[k]) if table.updates is not None else None,
                "restarts": 0,
                "learner_hours": hours,
                "deadline_met": None if job.deadline_s is None else True,
                "accelerator_hours": centre.accelerators_per_learner * hours,
                "next_learners": gain.learners if gain is not None else None,
                "gain_s_per_learner": gain.gain_s_per_learner if gain is not None else None,
            }
        )
    return rows


def _part_rows(results: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a row for each time that a job held a number of learners."""
    return [
        {**result["what"], **dict(zip(result["parts"], values, strict=True))}
        for result in results
        if result["parts"] is not None
        for values in zip(*result["parts"].values(), strict=True)
    ]
