"""Flags that several commands share, each written once: the choice in a scenario, the paper's numbers, where output goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, Token

from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.optimum import Limits
    from simulator.scenarios import Scenario
    from simulator.time_to_converge import Rounding, TimeToConverge

__all__ = ["ModelFlags", "OutputFlags", "RoundingFlags", "ScenarioFlags", "WorkerFlags", "learners_list", "one_learners"]

MOST_LEARNERS = 2**20
MOST_WORKERS = 1024


def _whole(_: type[int], tokens: Sequence[Token]) -> int:
    """Convert a flag to a whole number; 1.5 is none."""
    return int(tokens[0].value)


WholeNumber = Annotated[int, Parameter(converter=_whole)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ScenarioFlags:
    """What of a scenario file is asked.

    Parameters
    ----------
    workload
        Which [[workload]], where the file has several.
    option
        Lay this [[option]] of the file over the scenario.
    seed
        Instead of the scenario's seed.
    """

    workload: str | None = None
    option: str | None = None
    seed: WholeNumber | None = None

    def load(self, scenario: str, run: dict[str, Any] | None = None, simulate: dict[str, Any] | None = None) -> Scenario:
        """Load a scenario with its option, and `run`, `simulate` and the seed laid over it."""
        from simulator.scenarios import load_scenario

        overrides: dict[str, Any] = {"run": run} if run else {}
        if simulate:
            overrides["simulate"] = simulate
        if self.seed is not None:
            overrides["seed"] = self.seed
        return load_scenario(scenario, option=self.option, overrides=overrides or None)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OutputFlags:
    """Where the answer goes.

    Parameters
    ----------
    out
        Folder for run.json and the tables; nothing is written without it.
    force
        Replace an earlier run in that folder.
    resume
        Continue the same run in that folder.
    json
        Print one JSON object.
    """

    out: Path | None = None
    force: bool = False
    resume: bool = False
    json: bool = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WorkerFlags:
    """Where long work runs.

    Parameters
    ----------
    workers
        Processes of this machine; by default as many as it has processors, where the work lasts longer than a moment. The
        answer does not depend on it.
    """

    workers: WholeNumber | None = None

    def number(self) -> int | None:
        """Return the number of processes; SimulatorError where it makes no sense."""
        if self.workers is not None and not 1 <= self.workers <= MOST_WORKERS:
            raise SimulatorError(f"--workers must be from 1 to {MOST_WORKERS}, got {self.workers}")
        return self.workers


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RoundingFlags:
    """What is whole.

    Parameters
    ----------
    whole
        Whole samples, updates and passes, as a run has them; the paper's real numbers otherwise.
    local
        exact: M/P on each learner, as in the paper; ceil: the slowest learner has ceil(M/P).
    """

    whole: bool = False
    local: Literal["exact", "ceil"] = "exact"

    @property
    def rounding(self) -> Rounding:
        """The rounding of the model."""
        return "whole" if self.whole else self.local


NUMBERS = ("n_inf_updates", "alpha_samples", "gamma_s_per_sample", "knee_samples", "delta_s")
IN_THE_SCENARIO = (*NUMBERS, "reduce_law", "max_local_samples", "data_set_samples")
USER_BOUNDS = ("min_batch_samples", "max_batch_samples")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """The paper's model and its bounds, instead of a scenario.

    Parameters
    ----------
    n_inf_updates
        N_inf: the fewest updates.
    alpha_samples
        alpha: the fewest samples.
    gamma_s_per_sample
        gamma: seconds per sample on one learner.
    knee_samples
        M_T: samples per learner below which an update gets no faster.
    delta_s
        delta: seconds of communication per update (constant), or per update and learner (linear).
    reduce_law
        constant (the default): all-reduce on a full fat tree; linear: synchronous parameter server.
    min_batch_samples
        Smallest mini-batch allowed.
    max_batch_samples
        Largest mini-batch allowed.
    max_local_samples
        Samples that a learner's memory holds.
    data_set_samples
        Samples of the data set.
    """

    n_inf_updates: float | None = None
    alpha_samples: float | None = None
    gamma_s_per_sample: float | None = None
    knee_samples: float | None = None
    delta_s: float | None = None
    reduce_law: Literal["constant", "linear"] | None = None
    min_batch_samples: float | None = None
    max_batch_samples: float | None = None
    max_local_samples: float | None = None
    data_set_samples: float | None = None

    def given(self, names: tuple[str, ...] | None = None) -> dict[str, Any]:
        """Return the flags that were given, all or of `names`."""
        names = names or tuple(field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def model(self, rounding: Rounding) -> TimeToConverge:
        """Return the paper's model of the flags; SimulatorError names all that are missing."""
        import numpy as np

        from simulator.compute import KneeCompute
        from simulator.convergence import InverseLaw
        from simulator.network.laws import ConstantReduce, LinearReduce
        from simulator.time_to_converge import TimeToConverge

        given = self.given(NUMBERS)
        missing = [f"--{name.replace('_', '-')}" for name in NUMBERS if name not in given]
        if missing:
            raise SimulatorError(f"give a scenario, or all five numbers of the model; missing: {', '.join(missing)}")
        self._refuse_faulty_numbers()
        reduce = LinearReduce if self.reduce_law == "linear" else ConstantReduce
        return TimeToConverge(
            convergence=InverseLaw(n_inf_updates=given["n_inf_updates"], alpha_samples=given["alpha_samples"]),
            compute=KneeCompute(gamma_s_per_sample=given["gamma_s_per_sample"], knee_samples=given["knee_samples"]),
            reduce=reduce(delta_s=given["delta_s"]),
            max_local_samples=np.inf if self.max_local_samples is None else self.max_local_samples,
            rounding=rounding,
        )

    def _refuse_faulty_numbers(self) -> None:
        """Raise SimulatorError with a line for every flag whose value is not possible."""
        from simulator.quantities import finite, non_negative, positive

        lines = []
        for name, value in self.given().items():
            rule = {"n_inf_updates": finite, "delta_s": non_negative}.get(name, positive)
            if name != "reduce_law":
                try:
                    rule(name, value)
                    if value and not 1e-30 <= abs(value) <= 1e30:
                        raise ValueError(f"{name} must be 0 or from 1e-30 to 1e30 in size, got {value:g}")
                except ValueError as error:
                    lines.append(str(error))
        if lines:
            raise SimulatorError("\n".join(lines))

    def limits(self) -> Limits:
        """Return the bounds of the flags."""
        from simulator.optimum import Limits

        self._refuse_faulty_numbers()
        return Limits(**self.given((*USER_BOUNDS, "data_set_samples")))

    def over_a_scenario(self) -> dict[str, Any]:
        """Return what the flags lay over [run]; SimulatorError where one says again what a scenario says."""
        twice = [f"--{name.replace('_', '-')}" for name in self.given(IN_THE_SCENARIO)]
        if twice:
            raise SimulatorError(f"a scenario and {', '.join(twice)} say the same thing twice: give one of them")
        return self.given(USER_BOUNDS)


def learners_list(text: str | None) -> list[int] | None:
    """Return the numbers of `--learners 1,2,4`."""
    if text is None:
        return None
    listed = []
    for part in text.split(","):
        if not (part.strip().isascii() and part.strip().isdecimal() and 1 <= int(part[:20]) <= MOST_LEARNERS):
            raise SimulatorError(f"--learners must be whole numbers from 1 to {MOST_LEARNERS:,} like 1,2,4, got {text!r}")
        listed.append(int(part))
    return listed


def one_learners(text: str) -> int | Literal["best"]:
    """Return the number of `--learners 8`, or "best"."""
    if text == "best":
        return "best"
    listed = learners_list(text) or []
    if len(listed) != 1:
        raise SimulatorError(f'--learners must be one number or "best", got {text!r}')
    return listed[0]
