"""What the inputs do to the answer: keys that had no effect, and the interval that follows from ranges and fits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from simulator.errors import (
    NoEffectWarning,
    NoUncertaintyWarning,
    ScenarioError,
    SimulatorError,
    UnverifiedWarning,
)
from simulator.loading import Provenance, quantity, values_of
from simulator.network.laws import ConstantReduce
from simulator.scenarios.cases import Case
from simulator.scenarios.cluster_sections import FabricReduce
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.uncertain_network import delta_ranges, has_network, is_of_delta
from simulator.uncertainty import Interval, extrapolation_sd, interval90, parameter_sd

__all__ = [
    "converge_interval90",
    "is_of",
    "keys_without_effect",
    "times_at_ends",
    "warn_about_keys_without_effect",
    "warn_about_unverified",
]

SHARED_SECTIONS = ("workload", "cluster", "reduce", "network", "cost", "cross_validation")
LIMIT_KEYS = (
    "max_local_samples",
    "data_set_samples",
    "min_batch_samples",
    "max_batch_samples",
    "input_samples_per_s",
    "knee_samples",
    "weight",
    "runs_per_year",
)
"""Keys that only ever bound the answer (not being the active bound is no reason for a warning), or speak of many runs."""

CaseOf = Callable[[Scenario], Case]
Asked = TypeVar("Asked")


def _number(path: str, value: Any) -> Any:
    """Return a value as a number where it is one, with or without a unit; otherwise as it is."""
    if isinstance(value, str):
        try:
            return quantity(path.rsplit(".", 1)[-1], value)
        except ValueError:
            return value
    return value


def _variants(value: Any) -> list[Any]:
    """Two values well apart from a number (whole numbers stay whole), or none for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    if value == math.inf:
        return [1.0, 2.0]
    if isinstance(value, int):
        return [2 * value, max(1, value // 2)] if value else [1]
    return [2.0 * value, 0.5 * value] if value else [1.0]


def keys_without_effect(
    scenario: Scenario,
    case_of: Callable[[Scenario], Asked],
    outcome: Callable[[Asked], tuple[Any, ...]],
    untouched: tuple[str, ...] = (),
) -> list[str]:
    """Return the dotted keys that the scenario file gives in the shared sections and that change nothing in the answer.

    Parameters
    ----------
    scenario : Scenario
        As resolved.
    case_of : callable
        Scenario to case, or to whatever a verb asks.
    outcome : callable
        That to what is compared: the answer's numbers.
    untouched : tuple of str
        Sections that the verb does not read, and so does not judge.

    Returns
    -------
    list of str
        A section as a whole where none of its keys had an effect. A number counts as without effect where doubling and halving
        it both leave the outcome as it was.
    """
    case = case_of(scenario)
    base = outcome(case)
    reduce = scenario.sections.reduce
    read = reduce is None or isinstance(reduce.law, FabricReduce)
    sections = [section for section in SHARED_SECTIONS if section not in untouched and (read or section != "network")]
    dead: list[str] = []
    cost = getattr(case, "cost", None) if "cost" in sections else None
    bought = cost is not None and cost.terms.kind != "cloud" and cost.bill is not None
    if scenario.tree.get("network") is not None and not read and not bought:
        dead.append("network")
    for path, value in values_of(scenario.tree):
        root = path.split(".")[0].split("[")[0]
        key = path.rsplit(".", 1)[-1]
        if path not in scenario.own_keys or root not in sections or key in LIMIT_KEYS:
            continue
        variants = _variants(_number(path, value))
        changes = [_changes(scenario, path, variant, case_of, outcome, base) for variant in variants]
        if any(change is False for change in changes) and not any(changes):
            dead.append(path)
    return _by_table(scenario, dead)


def _changes(
    scenario: Scenario,
    path: str,
    variant: Any,
    case_of: Callable[[Scenario], Asked],
    outcome: Callable[[Asked], tuple[Any, ...]],
    base: tuple[Any, ...],
) -> bool | None:
    """Whether a variant changes the outcome; None where it breaks a rule and so tells nothing."""
    try:
        changed = scenario.with_value(path, variant)
    except ScenarioError:
        return None
    try:
        return outcome(case_of(changed)) != base
    except (SimulatorError, ValueError):
        return True


def _by_table(scenario: Scenario, dead: list[str]) -> list[str]:
    """Name a table instead of its keys where all the numbers that the file gives in it are without effect."""
    shortened: list[str] = []
    for path in dead:
        table = path.rsplit(".", 1)[0] if "." in path else path
        numbers = [
            key for key, value in values_of(scenario.tree)
            if key.startswith(f"{table}.") and key in scenario.own_keys and _variants(value)
        ]  # fmt: skip
        whole = table.count(".") >= 1 and numbers and all(key in dead for key in numbers)
        name = table if whole else path
        if name not in shortened:
            shortened.append(name)
    return shortened


def warn_about_keys_without_effect(
    scenario: Scenario,
    case_of: Callable[[Scenario], Asked],
    outcome: Callable[[Asked], tuple[Any, ...]],
    untouched: tuple[str, ...] = (),
) -> None:
    """Warn about each key or table of the scenario file that changed nothing in this answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dead = keys_without_effect(scenario, case_of, outcome, untouched)
    reasons = {
        "network": "Delta comes from [reduce], whose kind is not 'fabric'",
    }
    for path in dead:
        reason = reasons.get(path, "other values leave it the same")
        warnings.warn(f"{path} had no effect on this answer: {reason}", NoEffectWarning, stacklevel=2)


def warn_about_unverified(scenario: Scenario, case: Case, also: tuple[str, ...] = ()) -> None:
    """Warn where the answer rests on figures that are marked as checked by nobody; of the sections `also`, too."""
    unchecked = [
        path
        for path, value in values_of(scenario.tree)
        if path in scenario.records
        and scenario.records[path].verified is False
        and _variants(_number(path, value))
        and (is_of(path, case) or path.split(".")[0] in also)
        and (".compute." not in path or path.startswith(f"{case.compute_key}."))
    ]
    if unchecked:
        warnings.warn(
            f"nobody checked {', '.join(unchecked)}: see explain for where {'they come' if unchecked[1:] else 'it comes'} from",
            UnverifiedWarning,
            stacklevel=2,
        )


def converge_interval90(
    scenario: Scenario, case: Case, case_of: CaseOf, batch_samples: float, learners: float
) -> Interval | None:
    """Return the 90 % interval of T_C at (M, P), or None (with a warning) where the scenario carries no uncertainty.

    Parameter errors of the updates law (its covariance), the law's own discrepancy, extrapolation and the run-to-run noise come
    from the fit; each number with a low and a high end is moved to both ends, one at a time, with M and P kept; so are the
    rates and latencies of a network, of the file and of the profiles. All are taken as independent.
    """
    value = float(case.model.converge_time_s(batch_samples, learners))
    spreads: dict[str, float] = {}
    run_to_run = 0.0
    if case.fit is not None and case.fit.has_uncertainty:
        spreads["parameters of the updates law"] = parameter_sd(case.model.convergence, case.fit, batch_samples)
        spreads["discrepancy of the updates law"] = case.fit.discrepancy_relative
        spreads["extrapolation in the mini-batch"] = extrapolation_sd(batch_samples, case.fit.batch_samples_range)
        run_to_run = case.fit.run_to_run_relative
    on_network = has_network(scenario)
    ranges = {
        path: times_at_ends(scenario, case, path, record, case_of, batch_samples, learners)
        for path, record in scenario.records.items()
        if (record.low is not None or record.high is not None)
        and is_of(path, case)
        and not (on_network and is_of_delta(path, case))
    }
    for one in delta_ranges(scenario, case, learners):
        low, high = (replace(case.model, reduce=ConstantReduce(delta_s=end)) for end in (one.low_s, one.high_s))
        ranges[one.key] = (
            float(low.converge_time_s(batch_samples, learners)),
            float(high.converge_time_s(batch_samples, learners)),
        )
    moved = {path: ends for path, ends in ranges.items() if min(ends) < value * (1 - 1e-12) or max(ends) > value * (1 + 1e-12)}
    if not any(spreads.values()) and not moved and not run_to_run:
        warnings.warn(
            "the scenario carries no uncertainty (no fit, no low and high): there is no interval around the answer",
            NoUncertaintyWarning,
            stacklevel=2,
        )
        return None
    return interval90(value, spreads=spreads, ranges=moved, run_to_run=run_to_run)


def is_of(path: str, case: Case) -> bool:
    """Whether a key can matter to the case: of its own workload, or of a shared section."""
    root = path.split(".")[0]
    return root == f"workload[{case.workload_index}]" or root in ("cluster", "reduce", "network", "cross_validation", "cost")


def times_at_ends(
    scenario: Scenario, case: Case, path: str, record: Provenance, case_of: CaseOf, M: float, P: float
) -> tuple[float, float]:
    """T_C at the low and at the high end of one number, on the case's own network; unchanged where an end breaks a rule."""
    value = float(case.model.converge_time_s(M, P))
    ends = [value, value]
    for i, end in enumerate((record.low, record.high)):
        if end is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = case_of(scenario.with_value(path, end)).model
                if has_network(scenario) and not path.startswith("cluster."):
                    model = replace(model, reduce=case.model.reduce)
                ends[i] = float(model.converge_time_s(M, P))
        except (SimulatorError, ValueError, KeyError):
            continue
    return ends[0], ends[1]
