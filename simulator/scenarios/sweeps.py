"""Every combination of the values in [sweep], each laid over the scenario as an option is and answered by itself."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simulator.errors import Fault, InfeasibleError, ScenarioError, SimulatorError, SimulatorWarning
from simulator.loading import values_of
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.solving import answer_keys, answered

__all__ = ["MOST_COMBINATIONS", "Sweep", "SweepBy"]

MOST_COMBINATIONS = 1_000_000
SweepBy = Literal["closed_form", "simulation"]
CLOSED_FORM_KEYS = (
    "learners", "batch_samples", "local_samples", "updates", "update_time_s", "compute_time_s", "reduce_time_s",
    "converge_time_s", "converge_time_s_interval90", "branch", "bound", "bottleneck", "shares", "cost_usd", "nodes", "workload",
)  # fmt: skip
"""Of the keys of `run`, those that a row of the closed form has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A scenario, the keys that change, and the values that they take: the last key changes fastest.

    Parameters
    ----------
    scenario : Scenario
        With its [sweep].
    by : {"closed_form", "simulation"}
        What answers each combination: as `run` does, or as `simulate`.
    workload : str, optional
        Which one, where the file has several.

    Raises
    ------
    ScenarioError
        If there is nothing to sweep, or more than a million combinations.
    """

    scenario: Scenario
    by: SweepBy
    workload: str | None = None

    def __post_init__(self) -> None:
        if not self.axes:
            rule = 'is missing: write [sweep] with lists of values, like "cluster.nodes" = [1, 2, 4]'
            raise ScenarioError([Fault(self.scenario.name, "sweep", rule)])
        if len(self) > MOST_COMBINATIONS:
            rule = f"must have at most {MOST_COMBINATIONS:,} combinations, got {len(self):,}"
            raise ScenarioError([Fault(self.scenario.name, "sweep", rule)])

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The values of each key, in the order of the file."""
        return dict(values_of(self.scenario.sections.sweep, into_lists=False))

    def __len__(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    def combination(self, number: int) -> dict[str, Any]:
        """Return the values of a combination by key; `number` is from 0."""
        axes = self.axes
        places = np.unravel_index(number, [len(values) for values in axes.values()])
        return {key: values[int(place)] for (key, values), place in zip(axes.items(), places, strict=True)}

    def row(self, number: int) -> dict[str, Any]:
        """Answer one combination.

        Returns
        -------
        dict
            `values` by key; `answer`, or None where the combination contradicts itself, with `fault` in words; `warnings` as
            (class, text).
        """
        values = self.combination(number)
        answer: Mapping[str, Any] | None = None
        fault = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SimulatorWarning)
            try:
                answer = self._answer(self.scenario.laid_over(values))
            except (ScenarioError, InfeasibleError, SimulatorError, ValueError) as error:
                fault = _in_one_line(error, self.scenario.name)
        said = [(w.category.__name__, str(w.message)) for w in caught if issubclass(w.category, SimulatorWarning)]
        return {"values": values, "answer": answer, "fault": fault, "warnings": list(dict.fromkeys(said))}

    def _answer(self, scenario: Scenario) -> Mapping[str, Any]:
        if self.by == "simulation":
            return _simulated(scenario, self.workload)
        rows = answered(scenario, self.workload)
        best = min(rows, key=lambda row: row.answer.converge_time_s)
        keys = answer_keys(best)
        return {key: keys[key] for key in CLOSED_FORM_KEYS}


def _simulated(scenario: Scenario, workload: str | None) -> dict[str, Any]:
    """Return the keys of a row that is simulated; of the job that ends last, where there are several."""
    from simulator.scenarios.simulations import simulated_scenario
    from simulator.studies.simulation import Watched, answers, simulated

    found = simulated_scenario(scenario, workload=workload)
    summaries = answers(found.simulation, simulated(Watched(simulation=found.simulation), workers=1))
    ends_s = [one.job.start_s + summary.converge_time_s.mean for one, summary in zip(found.jobs, summaries, strict=True)]
    last = int(np.argmax(ends_s))
    job, summary = found.jobs[last], summaries[last]
    times = dataclasses.asdict(summary.converge_time_s)
    return {
        "job": summary.job,
        "learners": job.job.learners,
        "batch_samples": job.job.batch_samples,
        "updates": summary.updates.mean,
        "converge_time_s": times["mean"],
        **{f"converge_time_s.{name}": value for name, value in times.items() if name != "mean"},
        "replications": summary.replications,
        "closed_form_s": summary.closed_form_s,
        "difference": dict(summary.difference),
        "shares": dataclasses.asdict(summary.shares),
        "failures": summary.failures,
        "cost_usd": job.case.cost_usd(job.job.learners, times["mean"]),
        "nodes": job.case.nodes(job.job.learners),
        "workload": job.case.workload,
    }


def _in_one_line(error: Exception, file: str) -> str:
    """Return an error's lines joined, the name of the file, which is the same for all, left out."""
    return "; ".join(line.removeprefix(f"{file}: ") for line in str(error).splitlines())
