"""How long? The commands run, optimum, scale, explain and plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.flags import (
    MOST_LEARNERS,
    ModelFlags,
    OutputFlags,
    RoundingFlags,
    ScenarioFlags,
    WholeNumber,
    learners_list,
    one_learners,
)
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.report import Page
    from simulator.scenarios import Case, Scenario
    from simulator.studies.answer import Answer
    from simulator.studies.scaling import ScalingTable

__all__ = ["explain", "optimum", "plot", "run", "scale"]

NO_CHOICE, NO_MODEL, NO_OUTPUT, AS_IN_THE_PAPER = ScenarioFlags(), ModelFlags(), OutputFlags(), RoundingFlags()


def run(
    scenario: str, /, *, choice: ScenarioFlags = NO_CHOICE, output: OutputFlags = NO_OUTPUT, figures: bool = False,
    report: Path | None = None,
) -> None:  # fmt: skip
    """How long does this scenario take to converge, with which mini-batch, and what limits it?

    Parameters
    ----------
    scenario
        A scenario file, or the name of a shipped one (see: learnersim scenarios).
    figures
        Draw the figures into the folder of --out too.
    report
        Write one HTML page to mail and print: answer, figures, prices, assumptions and their sources.
    """
    from simulator.cli.answers import answer_keys, print_run, solved
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.studies.curves import batch_curve

    with collected_warnings() as caught, request_errors():
        loaded = choice.load(scenario)
        out = Output.prepared(
            "run", output, title=_title(loaded), seed=loaded.sections.seed, inputs=loaded.tree, figures=figures, report=report
        )
        with request_errors(loaded.name):
            found = solved(loaded, choice.workload)
        best = min(found, key=lambda row: row.answer.converge_time_s)
        rows = [answer_keys(row) for row in found]
        tables = {"rows.csv": rows}
        if out.saves:
            tables["batch.csv"] = batch_curve(best.case.model, best.case.limits, best.answer.learners)

    def page(answer: Mapping[str, Any]) -> Page:
        from simulator.cli.report_pages import run_page

        return run_page(answer, loaded, found, best, tables, [scenario], choice.given())

    out.emit(
        {**answer_keys(best), "rows": rows},
        caught,
        scenario=loaded,
        text=lambda: print_run(_title(loaded), best, found),
        tables=tables,
        page=page,
    )


def optimum(
    scenario: str | None = None,
    /,
    *,
    model: ModelFlags = NO_MODEL,
    learners: str | None = None,
    max_learners: WholeNumber | None = None,
    rounding: RoundingFlags = AS_IN_THE_PAPER,
    choice: ScenarioFlags = NO_CHOICE,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """Which mini-batch converges fastest? From the paper's five numbers, or from a scenario.

    Parameters
    ----------
    scenario
        A scenario file or the name of a shipped one, instead of the flags of the model.
    learners
        P: a number, or "best".
    max_learners
        The most learners that "best" may use (by default 1,048,576, or the scenario's cluster).
    figures
        Draw the figures into the folder of --out too.
    """
    from simulator.cli.answers import optimum_keys, print_optimum
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.studies.answer import answer
    from simulator.studies.curves import batch_curve

    if max_learners is not None and not 1 <= max_learners <= MOST_LEARNERS:
        raise SimulatorError(f"--max-learners must be from 1 to {MOST_LEARNERS:,}, got {max_learners}")
    wanted = one_learners(learners) if learners is not None else None

    def best_of(case: Case) -> Answer:
        P = wanted
        if P is None:
            P = case.learners_number(case.learners[0]) if len(case.learners) == 1 else "best"
        most = min(max_learners or case.learners_at_hand, case.learners_at_hand)
        _refuse_more_than(case.learners_at_hand, P)
        return answer(case.model, case.limits, learners=P, max_learners=most)

    with collected_warnings() as caught, request_errors():
        asked: list[Any] = [model.given(), wanted, max_learners, rounding.rounding]
        loaded = None
        if scenario is not None:
            from simulator.scenarios.effects import warn_about_unverified

            loaded = choice.load(scenario, model.over_a_scenario())
            case_of = _case_of(choice, rounding)
            case = case_of(loaded)
            title, laws, limits, seed = _title(loaded), case.model, case.limits, loaded.sections.seed
            inputs = [*asked, loaded.tree]
            out = Output.prepared("optimum", output, title=title, seed=seed, inputs=inputs, figures=figures)
            with request_errors(loaded.name):
                found = best_of(case)
            case.warn_about(found.batch_samples)
            warn_about_unverified(loaded, case)
            _warn_about_idle_keys(loaded, case_of, lambda changed: _essence(best_of(changed)))
        else:
            title, laws, limits = "", model.model(rounding.rounding), model.limits()
            if wanted is None:
                raise SimulatorError('--learners is missing: give a number, or "best"')
            out = Output.prepared("optimum", output, title="", seed=choice.seed, inputs=asked, figures=figures)
            found = answer(laws, limits, learners=wanted, max_learners=max_learners or MOST_LEARNERS)
    own = optimum_keys(laws, found)
    tables = {"rows.csv": [own]}
    if out.folder is not None:
        tables["batch.csv"] = batch_curve(laws, limits, found.learners)
    out.emit(own, caught, scenario=loaded, text=lambda: print_optimum(title, laws, found), tables=tables)


def scale(
    scenario: str | None = None,
    /,
    *,
    learners: str | None = None,
    weak_local_samples: float | None = None,
    strong_batch_samples: float | None = None,
    model: ModelFlags = NO_MODEL,
    rounding: RoundingFlags = AS_IN_THE_PAPER,
    choice: ScenarioFlags = NO_CHOICE,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """What do more learners bring? Strong, weak and optimal scaling side by side.

    Parameters
    ----------
    scenario
        A scenario file or the name of a shipped one, instead of the flags of the model.
    learners
        Numbers of learners, "1,2,4,8"; with a scenario by default the powers of two up to its cluster.
    weak_local_samples
        Samples per learner of weak scaling; by default the optimal ones of the most learners.
    strong_batch_samples
        Mini-batch of strong scaling; by default the optimal one of the middle number of learners.
    figures
        Draw the figure into the folder of --out too.
    """
    import dataclasses

    from simulator.cli.answers import print_scaling
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.studies.scaling import scaling

    for name, value in (("weak-local-samples", weak_local_samples), ("strong-batch-samples", strong_batch_samples)):
        if value is not None and not 0 < value < 1e30:
            raise SimulatorError(f"--{name} must be > 0, got {value:g}")
    listed = learners_list(learners)
    held = {"weak_local_samples": weak_local_samples, "strong_batch_samples": strong_batch_samples}

    def table_of(case: Case) -> ScalingTable:
        numbers = listed or _possible(case, _powers_of_two(case.learners_at_hand))
        _refuse_more_than(case.learners_at_hand, max(numbers))
        return scaling(case.model, case.limits, numbers, **held)

    with collected_warnings() as caught, request_errors():
        asked: list[Any] = [model.given(), listed, held, rounding.rounding]
        loaded = None
        if scenario is not None:
            from simulator.scenarios.effects import warn_about_unverified

            loaded = choice.load(scenario, model.over_a_scenario())
            case_of = _case_of(choice, rounding)
            title, seed = _title(loaded), loaded.sections.seed
            out = Output.prepared("scale", output, title=title, seed=seed, inputs=[*asked, loaded.tree], figures=figures)
            case = case_of(loaded)
            with request_errors(loaded.name):
                table = table_of(case)
            case.warn_about_range(row.batch_samples for row in table.rows if row.batch_samples and row.converge_time_s)
            warn_about_unverified(loaded, case)
            _warn_about_idle_keys(loaded, case_of, lambda changed: (table_of(changed),))
        else:
            title = ""
            laws, limits = model.model(rounding.rounding), model.limits()
            if listed is None:
                raise SimulatorError("--learners is missing: give the numbers of learners, like --learners 1,2,4,8")
            out = Output.prepared("scale", output, title=title, seed=choice.seed, inputs=asked, figures=figures)
            table = scaling(laws, limits, listed, **held)
    own = dataclasses.asdict(table)
    tables = {"scaling.csv": own["rows"]}
    out.emit(own, caught, scenario=loaded, text=lambda: print_scaling(table, title), tables=tables)


def explain(scenario: str, /, *, choice: ScenarioFlags = NO_CHOICE, output: OutputFlags = NO_OUTPUT) -> None:
    """Where does every number come from? Values, units, sources, defaults, equations.

    Parameters
    ----------
    scenario
        A scenario file, or the name of a shipped one.
    """
    from simulator.cli.answers import print_explanation
    from simulator.cli.output import Output, collected_warnings
    from simulator.scenarios import Case
    from simulator.scenarios.explain import explanation

    with collected_warnings() as caught:
        loaded = choice.load(scenario)
        out = Output.prepared("explain", output, title=_title(loaded), seed=loaded.sections.seed, inputs=loaded.tree)
        rows = explanation(loaded, Case.of(loaded, workload=choice.workload))
    own = {"rows": rows}
    out.emit(own, caught, scenario=loaded, text=lambda: print_explanation(_title(loaded), rows), tables={"rows.csv": rows})


def plot(run_dir: Path, /, *, json: bool = False) -> None:
    """Draw the figures of a saved run into its folder.

    Parameters
    ----------
    run_dir
        Folder that run, optimum or scale wrote with --out.
    json
        Print one JSON object.
    """
    from simulator.cli.output import Output, print_lines
    from simulator.plots import DRAWN, draw_run
    from simulator.tables import read_json

    found = read_json(run_dir / "run.json")
    if not isinstance(found, dict) or found.get("command") not in DRAWN:
        raise SimulatorError(f"{run_dir}: must hold the run.json of one of the commands {', '.join(DRAWN)}")
    written = [str(path) for path in draw_run(run_dir, found)]
    out = Output(command="plot", title=str(found.get("title", "")), seed=found.get("seed"), as_json=json)
    out.emit({"figures": written}, [], text=lambda: print_lines([f"wrote {path}" for path in written]))


def _case_of(choice: ScenarioFlags, rounding: RoundingFlags) -> Callable[[Scenario], Case]:
    """Return how a scenario becomes a case under these flags."""
    from simulator.scenarios import Case

    return lambda scenario: Case.of(scenario, workload=choice.workload, rounding=rounding.rounding)


def _essence(found: Answer) -> tuple[Any, ...]:
    """Return what of an answer tells whether a key had an effect."""
    return found.converge_time_s, found.batch_samples, found.learners, found.shares


def _warn_about_idle_keys(
    scenario: Scenario, case_of: Callable[[Scenario], Case], outcome: Callable[[Case], tuple[Any, ...]]
) -> None:
    from simulator.scenarios.effects import warn_about_keys_without_effect

    warn_about_keys_without_effect(scenario, case_of, outcome, untouched=("cost",))


def _title(scenario: Scenario) -> str:
    title = scenario.sections.title or scenario.name
    return f"{title} [{scenario.option}]" if scenario.option else title


def _refuse_more_than(at_hand: int, learners: Any) -> None:
    if isinstance(learners, int) and learners > at_hand:
        raise SimulatorError(f"--learners must be <= the {at_hand} learners of the cluster, got {learners}")


def _possible(case: Case, numbers: list[int]) -> list[int]:
    """Return those numbers of learners that the network takes (a parameter server needs hosts of its own)."""
    refusal = getattr(case.model.reduce, "refusal", None)
    return numbers if refusal is None else [P for P in numbers if refusal(P) is None] or numbers


def _powers_of_two(most: int) -> list[int]:
    powers = [2**i for i in range(most.bit_length()) if 2**i <= most]
    return powers if powers[-1] == most else [*powers, most]
