"""How long, with stragglers, contention and failures? The command simulate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.flags import OutputFlags, ScenarioFlags, WholeNumber, WorkerFlags
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.scenarios import Scenario
    from simulator.scenarios.simulations import SimulatedJob, SimulatedScenario
    from simulator.studies.simulation import JobAnswer

__all__ = ["simulate", "simulation_keys"]

NO_CHOICE, NO_OUTPUT, NO_WORKERS = ScenarioFlags(), OutputFlags(), WorkerFlags()
MOST_REPLICATIONS = 1_000_000
MOST_TRACE_UPDATES = 1_000_000


def simulate(
    scenario: str,
    /,
    *,
    replications: WholeNumber | None = None,
    trace: Path | None = None,
    trace_updates: WholeNumber = 50,
    choice: ScenarioFlags = NO_CHOICE,
    workers: WorkerFlags = NO_WORKERS,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """How long with stragglers, failures and other jobs on the network, and how much does that differ from run to run?

    Parameters
    ----------
    scenario
        A scenario file, or the name of a shipped one (see: learnersim scenarios).
    replications
        How often it is simulated, instead of what [simulate] says.
    trace
        Write a timeline of the first replication, for ui.perfetto.dev.
    trace_updates
        Updates that the timeline holds.
    figures
        Draw the figures into the folder of --out too.
    """
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.cli.progress import shown_progress
    from simulator.scenarios.simulations import simulated_scenario
    from simulator.studies.simulation import Watched, answers, simulated

    processes = workers.number()
    for name, value, most in (
        ("replications", replications, MOST_REPLICATIONS),
        ("trace-updates", trace_updates, MOST_TRACE_UPDATES),
    ):
        if value is not None and not 1 <= value <= most:
            raise SimulatorError(f"--{name} must be from 1 to {most:,}, got {value}")
    with collected_warnings() as caught, request_errors():
        overrides = {"replications": replications} if replications is not None else None
        loaded = choice.load(scenario, simulate=overrides)
        title = _title(loaded)
        with request_errors(loaded.name):
            found = simulated_scenario(loaded, workload=choice.workload)
        inputs = [loaded.resolved(), [repr(job.model) for job in found.simulation.jobs]]
        out = Output.prepared("simulate", output, title=title, seed=loaded.sections.seed, inputs=inputs, figures=figures)
        _warn(loaded, found, choice.workload)
        task = Watched(simulation=found.simulation, watches=out.folder is not None, trace=trace, trace_updates=trace_updates)
        with out.journal() as journal, shown_progress("replications", found.simulation.plan.most) as told:
            held = journal is not None and 0 in journal.results
            results = simulated(task, workers=processes, journal=journal, progress=told)
            if journal is not None:
                journal.settle(len(results))
        if trace is not None and held:
            task(0)  # that replication came from the journal: its timeline has still to be written
    summaries = answers(found.simulation, results)
    own = simulation_keys(loaded, found, summaries)
    tables: dict[str, Any] = {"replications.csv": _replication_rows(results)}
    if results[0].get("rows"):
        tables["updates.csv"] = results[0]["rows"]
    if results[0].get("spans"):
        tables["spans.csv"] = results[0]["spans"]
    out.emit(
        own,
        caught,
        scenario=loaded,
        text=lambda: _print(title, found, summaries, own, trace),
        tables=tables,
    )


def _title(scenario: Scenario) -> str:
    title = scenario.sections.title or scenario.name
    return f"{title} [{scenario.option}]" if scenario.option else title


def _warn(scenario: Scenario, found: SimulatedScenario, workload: str | None) -> None:
    """Warn about figures that nobody checked, and about shared keys that the closed form of no job notices."""
    from simulator.scenarios.effects import warn_about_keys_without_effect, warn_about_unverified
    from simulator.scenarios.simulations import simulated_scenario

    for one in {one.case.workload_index: one for one in found.jobs}.values():
        warn_about_unverified(scenario, one.case, also=("simulate",))

    def outcome(changed: SimulatedScenario) -> tuple[Any, ...]:
        results: list[Any] = []
        for one in changed.jobs:
            results += [one.job.batch_samples, one.job.learners, one.answer.shares, one.case.fit]
            results.append(float(one.job.closed_form.converge_time_s(one.job.batch_samples, one.job.learners)))
            results += [one.case.nodes(one.job.learners), one.case.cost_usd(one.job.learners, 1.0)]
        return tuple(results)

    warn_about_keys_without_effect(scenario, lambda changed: simulated_scenario(changed, workload=workload), outcome)


def simulation_keys(scenario: Scenario, found: SimulatedScenario, summaries: Sequence[JobAnswer]) -> dict[str, Any]:
    """Return the JSON keys of `simulate`: of the job, or None where there are several, and `rows` for each."""
    rows = [_job_keys(scenario, one, summary) for one, summary in zip(found.jobs, summaries, strict=True)]
    top = rows[0] if len(rows) == 1 else dict.fromkeys(rows[0])
    return {**top, "replications": summaries[0].replications, "rows": rows}


def _job_keys(scenario: Scenario, one: SimulatedJob, summary: JobAnswer) -> dict[str, Any]:
    import warnings

    from simulator.errors import NoUncertaintyWarning
    from simulator.scenarios import Case
    from simulator.scenarios.effects import converge_interval90

    job, case = one.job, one.case
    rounding = "whole" if job.whole_samples else "exact"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoUncertaintyWarning)
        interval = converge_interval90(
            scenario,
            case,
            lambda changed: Case.of(changed, workload=case.workload, rounding=rounding),  # type: ignore[arg-type]
            job.batch_samples,
            job.learners,
        )
    mean_s = summary.converge_time_s.mean
    advice = one.checkpoints
    return {
        "job": job.name,
        "workload": case.workload,
        "learners": job.learners,
        "nodes": one.nodes,
        "batch_samples": job.batch_samples,
        "local_samples": one.answer.local_samples,
        "converge_time_s": dataclasses.asdict(summary.converge_time_s),
        "replications": summary.replications,
        "closed_form_s": summary.closed_form_s,
        "closed_form_s_interval90": interval.one_run if interval is not None else None,
        "difference": dict(summary.difference),
        "shares": dataclasses.asdict(summary.shares),
        "updates": dataclasses.asdict(summary.updates),
        "failures": summary.failures,
        "redone_updates": summary.redone_updates,
        "checkpoints": None
        if advice is None
        else {
            "every_s": advice.every_s,
            "best_every_s": advice.best_every_s,
            "daly_every_s": advice.daly_every_s,
            "young_every_s": advice.young_every_s,
            "between_failures_s": advice.between_failures_s,
            "expected_s": float(advice.expected.total_s),
            "expected_at_best_s": advice.expected_at_best_s,
        },
        "cost_usd": case.cost_usd(job.learners, mean_s),
    }


def _replication_rows(results: Sequence[Any]) -> list[dict[str, Any]]:
    """Return a row for each replication and job: T_C, its seconds by cause, counts."""
    rows = []
    for number, result in enumerate(results):
        for run in result["jobs"]:
            plain = {key: value for key, value in run.items() if key not in ("job", "seconds")}
            causes = {f"{cause}_s": value for cause, value in run["seconds"].items()}
            rows.append({"replication": number, "job": run["job"], **plain, **causes})
    return rows


def _print(
    title: str, found: SimulatedScenario, summaries: Sequence[JobAnswer], own: dict[str, Any], trace: Path | None
) -> None:
    from simulator.cli.output import print_lines, print_table

    lines = [title]
    for one, summary, keys in zip(found.jobs, summaries, own["rows"], strict=True):
        name = "" if len(found.jobs) == 1 else f"{one.job.name}: "
        lines += ["", name + _sentence(summary, found.simulation.is_random), "", *_facts(one, summary, keys)]
    print_lines([*lines, ""])
    print_table(
        [row for summary in summaries for row in _cause_rows(summary, with_job=len(summaries) > 1)],
        right=("time", "share", "more than closed form"),
    )
    if trace is not None:
        print_lines([f"wrote {trace}: open it at https://ui.perfetto.dev"])


def _cause_rows(summary: JobAnswer, *, with_job: bool) -> list[dict[str, str]]:
    """Return where the time goes, and what of it the closed form does not have: a row for each cause that there is."""
    from simulator.cli.words import percent, seconds

    mean_s, difference = summary.converge_time_s.mean, summary.difference
    communication_s = difference["overlap"] + difference["contention"]
    more_s = {**difference, "communication": communication_s}
    job = {"job": summary.job} if with_job else {}
    rows = []
    for cause, words in SHARE_WORDS.items():
        share = getattr(summary.shares, cause)
        if share or abs(more_s[cause]) >= LEAST_SHARE * mean_s:
            time = {"time": seconds(share * mean_s), "share": percent(share)}
            rows.append({**job, "where the time goes": words, **time, "more than closed form": _signed(more_s[cause], mean_s)})
    for cause in ("contention", "updates"):
        if abs(difference[cause]) >= LEAST_SHARE * mean_s:
            words = "of communication: " if cause == "contention" else ""
            row = {**job, "where the time goes": words + DIFFERENCE_WORDS[cause], "time": "", "share": ""}
            rows.append({**row, "more than closed form": _signed(difference[cause], mean_s)})
    return rows


def _signed(value_s: float, mean_s: float) -> str:
    from simulator.cli.words import seconds

    return seconds(0.0) if abs(value_s) <= 1e-9 * mean_s else f"{'+' if value_s > 0 else '-'}{seconds(abs(value_s))}"


LEAST_WIDTH = 1e-3
LEAST_SHARE = 5e-4
"""Differences that are a smaller part of the time are not told in words."""
SHARE_WORDS = {
    "compute": "computing (mean learner)",
    "waiting": "waiting for the slowest",
    "communication": "communication",
    "cross_validation": "cross-validation",
    "checkpoint": "checkpoints",
    "lost": "lost to failures",
}
DIFFERENCE_WORDS = {
    "updates": "updates to converge",
    "compute": "slower learners",
    "waiting": "waiting for the slowest",
    "overlap": "overlap of the drawn times",
    "contention": "contention with other jobs",
    "cross_validation": "cross-validation",
    "checkpoint": "checkpoints",
    "lost": "failures",
}


def _sentence(summary: JobAnswer, is_random: bool) -> str:
    """Say how long, how sure, and how far that is from the closed form."""
    from simulator.cli.words import percent, seconds

    times = summary.converge_time_s
    text = seconds(times.mean)
    if not is_random:
        text += ", the same in every run"
    elif times.lo is not None and times.hi is not None:
        sure, runs = _between(times.lo, times.hi, times.mean), _between(times.p5, times.p95, times.mean)
        text += f" on average, 90 % sure {sure}; nine of ten runs {runs}"
    else:
        text += " in the one run that was simulated"
    more = times.mean / summary.closed_form_s - 1.0
    if abs(more) < 1e-9:
        return f"{text}; as the closed form says"
    causes = sorted(summary.difference.items(), key=lambda item: -abs(item[1]))
    told = [
        f"{DIFFERENCE_WORDS[cause]} {'+' if value > 0 else '-'}{percent(abs(value) / summary.closed_form_s)}"
        for cause, value in causes
        if abs(value) >= LEAST_SHARE * summary.closed_form_s
    ]
    longer = f"{percent(abs(more))} {'longer' if more > 0 else 'shorter'} than the closed form"
    if more > 1.0:
        longer = f"{more + 1.0:.3g} times as long as the closed form"
    return f"{text}; {longer}" + (f": {', '.join(told)}" if told else "")


def _between(low: float, high: float, mean: float) -> str:
    """Say an interval by its ends, or by its width where their digits are the same."""
    from simulator.cli.words import percent, seconds

    ends = [seconds(end, like=mean) for end in (low, high)]
    if ends[0] == ends[1]:
        return f"to within {percent(max((mean - low) / mean, (high - mean) / mean, LEAST_WIDTH))}"
    return f"between {ends[0]} and {ends[1]}"


def _facts(one: SimulatedJob, summary: JobAnswer, keys: dict[str, Any]) -> list[str]:
    from simulator.cli.words import aligned, number, percent, seconds

    unit = one.case.sample_unit
    nodes = f" on {number(keys['nodes'])} nodes" if keys["nodes"] else ""
    facts = [
        ("batch (all learners)", f"{number(one.job.batch_samples)} {unit}s on {number(one.job.learners)} learners{nodes}"),
        ("closed form", seconds(summary.closed_form_s)),
        ("replications", number(summary.replications)),
    ]
    ends = keys["closed_form_s_interval90"]
    if ends is not None:
        low, high = (seconds(end, like=summary.closed_form_s) for end in ends)
        facts[1] = ("closed form", f"{facts[1][1]}, 90 % between {low} and {high} given what is known of its parameters")
    if keys["cost_usd"] is not None:
        facts.append(("cost", f"{keys['cost_usd']:,.2f} USD on average"))
    advice = one.checkpoints
    if advice is not None:
        every = "never" if advice.every_s is None else f"every {seconds(advice.every_s)} of work"
        facts += [
            ("failures", f"{number(round(summary.failures, 3))} in a run, {seconds(advice.between_failures_s)} apart"),
            ("checkpoints", f"{every}; best: every {seconds(advice.best_every_s)} (Daly's estimate "
             f"{seconds(advice.daly_every_s)}, Young's {seconds(advice.young_every_s)})"),
            ("expected", f"{seconds(float(advice.expected.total_s))}, {percent(float(advice.expected.checkpoint_share))} "
             f"checkpoints and {percent(float(advice.expected.lost_share))} lost, by the closed form with failures; "
             f"{seconds(advice.expected_at_best_s)} with the best interval"),
        ]  # fmt: skip
    return aligned(facts)
