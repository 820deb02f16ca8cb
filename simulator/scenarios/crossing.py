"""Where the choice between options flips: the variables of [compare] crossovers, moved through a stated range."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simulator.errors import CollectiveError, Fault, InfeasibleError, ScenarioError, SimulatorError, SimulatorWarning
from simulator.limits import admissible_batch_samples
from simulator.loading import quantity, values_of
from simulator.messages import did_you_mean
from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.network.links import Link
from simulator.optimum import best_batch
from simulator.quantities import ArrayLike, FloatArray
from simulator.scenarios.cases import Case
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.settled import fastest_collective
from simulator.search import relaxed
from simulator.studies.answer import answer
from simulator.studies.comparison import Crossovers, crossovers

__all__ = ["Option", "Searched", "searched"]

LINKS = ("host_link", "upper_link", "inner_link")
REACH = 100.0
"""A key is moved up to so many times its value, either way, as far as its rules let it."""
POINTS = 25
EVERY = 512
"""Up to so many numbers of learners each is tried; of more, those of a geometric grid, closing in between."""
SAME = 1e-9
"""Relative difference of values that is rounding."""

Measure = Literal["converge_time_s", "cost_usd"]
Mover = Callable[[float], Case | None]
"""From a value of the variable to an option's case with it; None where it breaks a rule."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Option:
    """What is compared: a scenario with an option laid over it, and the number of learners that it answers for."""

    name: str
    scenario: Scenario
    case: Case
    learners: int
    own_keys: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """A variable, how it was moved, and what was found.

    Parameters
    ----------
    variable : str
        As [compare] crossovers names it.
    measure : {"converge_time_s", "cost_usd"}
        What the best option has least of.
    option : str or None
        The only option in which it moves; None where it moves in all that have it from the scenario.
    found : Crossovers
        Options by their places.
    """

    variable: str
    measure: Measure
    option: str | None
    found: Crossovers


def searched(options: Sequence[Option], variable: str, place: int, listed: Sequence[int]) -> list[Searched]:
    """Look for every value of a variable at which another option becomes the best.

    Parameters
    ----------
    options : sequence of Option
        Two or more.
    variable : str
        learners, batch_samples, price, a link's key, or a dotted key.
    place : int
        Its place in [compare] crossovers, for messages.
    listed : sequence of int
        Of [compare] learners: with two or more, the range in which learners are looked for.

    Raises
    ------
    ScenarioError
        If the variable is not a number of the scenario, no option depends on it, or there is no cost to compare.
    """
    measures: list[Measure] = ["converge_time_s"]
    if all(one.case.cost_usd(one.learners, 1.0) is not None for one in options):
        measures.append("cost_usd")
    if variable == "learners":
        times: dict[float, list[float]] = {}
        return [_by_learners(options, measure, listed, times) for measure in measures]
    if variable == "batch_samples":
        return [_by_batch(options, measure, place) for measure in measures]
    measure: Measure = "cost_usd" if variable == "price" or variable.startswith("cost.") else "converge_time_s"
    if measure not in measures:
        without = next(one for one in options if one.case.cost_usd(one.learners, 1.0) is None)
        why = "; ".join(without.case.cost.missing) if without.case.cost is not None else "there is no [cost]"
        raise ScenarioError([_fault(options, place, f"there is no cost of {without.name!r} to compare: {why}")])
    if variable == "price":
        return [_by_price(options, one) for one in options]
    return _by_key(options, variable, place, measure)


def _fault(options: Sequence[Option], place: int, rule: str) -> Fault:
    return Fault(options[0].scenario.name, f"compare.crossovers[{place}]", rule)


def _time_s(case: Case, learners: float, batch_samples: float | None = None) -> float:
    """T_C at a mini-batch, or at those that [run] asks; infinite where there is none."""
    times = [np.inf]
    for M in case.batch_samples if batch_samples is None else (batch_samples,):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SimulatorWarning)
                if M == "best":
                    times.append(best_batch(case.model, case.limits, learners).converge_time_s)
                else:
                    found = answer(case.model, case.limits, learners=int(learners), batch_samples=M)
                    times.append(found.converge_time_s)
        except (SimulatorError, ValueError):
            continue
    return float(min(times))


def _value(measure: Measure, case: Case, learners: float, time_s: float) -> float:
    if measure == "converge_time_s" or not np.isfinite(time_s):
        return time_s
    usd = case.cost_usd(learners, time_s)
    return np.inf if usd is None else usd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _QuickDelta:
    """Delta in closed form where that is exact, at flow level elsewhere."""

    delta: FabricDelta

    def refusal(self, learners: int) -> str | None:
        """Say why there cannot be so many learners."""
        return self.delta.refusal(learners)

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Return Delta in seconds."""
        P = np.asarray(learners, dtype=np.float64)
        try:
            found = closed_delta(self.delta, self.delta.network.nodes, P)
        except (CollectiveError, ValueError):
            return self.delta.reduce_time_s(learners)
        if np.all(found.exact) and not np.any(np.isnan(found.time_s)):
            times: FloatArray = found.time_s
            return times
        if self.delta.collective == "auto" and P.ndim == 0 and not P < 2:
            return fastest_collective(self.delta, self.delta.network.nodes, int(P)).reduce_time_s(learners)
        return self.delta.reduce_time_s(learners)


def _quick(case: Case) -> Case:
    """Return the case with Delta as quick as it can be had."""
    law: Any = case.model.reduce
    return replace(case, model=replace(case.model, reduce=_QuickDelta(delta=law))) if isinstance(law, FabricDelta) else case


def _real(case: Case) -> Case:
    """Return the case in real numbers, so that differences have roots, with Delta as quick as it can be had."""
    quick = _quick(case)
    return replace(quick, model=relaxed(quick.model))


def _by_learners(
    options: Sequence[Option], measure: Measure, listed: Sequence[int], known: dict[float, list[float]]
) -> Searched:
    """Each option on 1 to all of its learners, or between the least and the most listed, each at its own mini-batch.

    Times that are `known` are not computed again.
    """
    low, high = (min(listed), max(listed)) if len(set(listed)) > 1 else (1, max(one.case.learners_at_hand for one in options))
    high = min(high, max(one.case.learners_at_hand for one in options))
    points: FloatArray = np.arange(low, high + 1.0)
    if len(points) > EVERY:
        powers = 2.0 ** np.arange(np.ceil(np.log2(low)), np.log2(high) + 1e-12)
        points = np.unique([*np.round(np.geomspace(low, high, EVERY // 4)), *powers, *(P for P in listed if not high < P)])
    cases = [_quick(one.case) for one in options]

    def values(P: float) -> FloatArray:
        if P not in known:
            known[P] = [np.inf if case.learners_at_hand < P else _time_s(case, P) for case in cases]
        return np.array([_value(measure, case, P, time_s) for case, time_s in zip(cases, known[P], strict=True)])

    return Searched(variable="learners", measure=measure, option=None, found=crossovers(values, points, whole=True))


def _by_batch(options: Sequence[Option], measure: Measure, place: int) -> Searched:
    """Each option at its own number of learners, on the mini-batches (real numbers) that all of them can have."""
    cases = [_real(one.case) for one in options]
    ends = [admissible_batch_samples(case.model, case.limits, one.learners) for case, one in zip(cases, options, strict=True)]
    low, high = max(end[0][0] for end in ends), min(end[1][0] for end in ends)
    high = min(high, REACH * max(best_batch(case.model, case.limits, one.learners).batch_samples
                                 for case, one in zip(cases, options, strict=True)))  # fmt: skip
    if not low < high:
        rule = f"no mini-batch belongs to all options: the least is {low:.6g} samples in one, the most {high:.6g} in another"
        raise ScenarioError([_fault(options, place, rule)])

    def values(M: float) -> FloatArray:
        times = [float(case.model.converge_time_s(M, one.learners)) for case, one in zip(cases, options, strict=True)]
        rows = zip(cases, options, times, strict=True)
        return np.array([_value(measure, case, one.learners, time_s) for case, one, time_s in rows])

    points: FloatArray = np.geomspace(low, high, 4 * POINTS)
    points[[0, -1]] = low, high  # not beside them by rounding: the law may end there
    return Searched(variable="batch_samples", measure=measure, option=None, found=crossovers(values, points))


def _by_price(options: Sequence[Option], moved: Option) -> Searched:
    """All that one option pays for, dearer or cheaper by a factor."""
    costs = np.array([_value("cost_usd", one.case, one.learners, _time_s(_quick(one.case), one.learners)) for one in options])

    def values(factor: float) -> FloatArray:
        return np.asarray(costs * [factor if one is moved else 1.0 for one in options], dtype=np.float64)

    points: FloatArray = np.geomspace(1 / REACH, REACH, POINTS)
    return Searched(variable="price", measure="cost_usd", option=moved.name, found=crossovers(values, points))


def _by_key(options: Sequence[Option], variable: str, place: int, measure: Measure) -> list[Searched]:
    """A key moves in all options that have it from the scenario; where each has its own, in one after the other."""
    starts = [_start(one, variable) for one in options]
    if all(start is None for start in starts):
        raise ScenarioError([_fault(options, place, _no_such_number(options, variable))])
    inherits = [i for i, one in enumerate(options) if starts[i] is not None and not _gives(one, variable)]
    groups = [inherits] if inherits else []
    groups += [[i] for i, start in enumerate(starts) if start is not None and i not in inherits]
    found: list[Searched] = []
    span: tuple[float, float] | None = None
    for movers in groups:
        if found and inherits and movers is not inherits:
            break  # options that give a key themselves keep it, where it moves in the others
        start = starts[movers[0]]
        assert start is not None
        if start <= 0:
            raise ScenarioError([_fault(options, place, f"{variable} must be > 0 to be moved by factors, got {start:g}")])
        one = _moved(options, variable, measure, movers, start)
        span = (one.found.low, one.found.high) if span is None else span
        if any(_varies(one.found, i) for i in movers):
            found.append(one)
    if not found:
        assert span is not None
        what = {"converge_time_s": "T_C", "cost_usd": "the cost"}[measure]
        rule = f"no option depends on {variable}: {what} of each is the same from {span[0]:.6g} to {span[1]:.6g}"
        raise ScenarioError([_fault(options, place, rule)])
    return found


def _varies(found: Crossovers, option: int) -> bool:
    values = np.array([row[option] for _, row in found.points])
    finite = values[np.isfinite(values)]
    return bool(len(finite) and (len(finite) < len(values) or np.ptp(finite) > SAME * finite.max()))


def _moved(options: Sequence[Option], variable: str, measure: Measure, movers: Sequence[int], start: float) -> Searched:
    movement = {i: _mover(options[i], variable) for i in movers}
    fixed = [_real(one.case) for one in options]
    still = [_value(measure, case, one.learners, _time_s(case, one.learners)) for case, one in zip(fixed, options, strict=True)]

    def possible(x: float) -> bool:
        return all(move(x) is not None for move in movement.values())

    def values(x: float) -> FloatArray:
        row = list(still)
        for i, move in movement.items():
            case = move(x)
            P = options[i].learners
            row[i] = np.inf if case is None else _value(measure, case, P, _time_s(case, P))
        return np.array(row)

    whole = not possible(start + 0.5) and not possible(start - 0.5 if start >= 1 else 0.5 * start)
    if whole:
        points = np.unique(np.maximum(1.0, np.round(start * np.geomspace(1 / REACH, REACH, POINTS))))
        points = np.unique([*points[[possible(x) for x in points.tolist()]], start])
    else:
        low, high = (_reach(possible, start, factor) for factor in (1 / REACH, REACH))
        points = np.unique([*np.geomspace(low, high, POINTS)[1:-1], low, start, high])
    found = crossovers(values, points, whole=whole)
    return Searched(
        variable=variable, measure=measure, option=options[movers[0]].name if len(movers) == 1 else None, found=found
    )


def _reach(possible: Callable[[float], bool], start: float, factor: float) -> float:
    """Return how far from `start` towards `factor` times it the rules let a number go."""
    far = start * factor
    if possible(far):
        return far
    near = start
    for _ in range(50):
        middle = float(np.sqrt(near * far))
        near, far = (middle, far) if possible(middle) else (near, middle)
    rounded = float(f"{near:.9g}")
    return rounded if possible(rounded) else near


def _gives(option: Option, variable: str) -> bool:
    """Whether the [[option]] itself gives the key, the table around it, or the name of a profile that brings it."""
    path = f"network.{variable}" if variable.split(".")[0] in LINKS else variable
    return any(path == key or path.startswith(f"{key}.") for key in option.own_keys)


def _start(option: Option, variable: str) -> float | None:
    """Return the value of a variable in an option; None where it has none."""
    head, _, tail = variable.partition(".")
    if head in LINKS:
        link = getattr(getattr(option.case.model.reduce, "network", None), head, None)
        return None if link is None else float(getattr(link, tail)) / _joint(option, head, tail)
    stated = next((value for path, value in values_of(option.scenario.tree) if path == variable), None)
    if isinstance(stated, str):
        try:
            stated = quantity(variable.rsplit(".", 1)[-1], stated)
        except ValueError:
            stated = None
    cost = option.case.cost
    if variable == "cost.usd_per_node_hour" and stated is None and cost is not None and cost.terms.kind == "cloud":
        stated = cost.rent.usd if cost.rent is not None else None  # of the price book
    return float(stated) if isinstance(stated, int | float) and not isinstance(stated, bool) else None


def _no_such_number(options: Sequence[Option], variable: str) -> str:
    if variable.split(".")[0] in LINKS:
        return f"no option depends on {variable}: none has such a link in its [network], or Delta does not come from it"
    known = {path for one in options for path, _ in values_of(one.scenario.tree) if _start(one, path) is not None}
    hint = did_you_mean(variable, known)
    return f"must be a number that the scenario gives, got {variable!r}{hint if 'did you mean' in hint else ''}"


def _joint(option: Option, head: str, tail: str) -> float:
    """Return of how many NICs the host link of an accelerator is the joint bandwidth."""
    node = option.scenario.node
    if (head, tail) != ("host_link", "bandwidth_bytes_per_s") or node is None:
        return 1.0
    law: Any = option.case.model.reduce
    return max(1.0, (node.nics or 1) / float(law.network.accelerators_per_node))


def _mover(option: Option, variable: str) -> Mover:
    """Return a function from a value of the variable to the option's case with it, in real numbers."""
    head, _, tail = variable.partition(".")
    if head not in LINKS:

        def changed(x: float) -> Case | None:
            try:
                value = int(x) if float(x).is_integer() else x
                return _real(Case.of(option.scenario.with_value(variable, value), workload=option.case.workload))
            except (SimulatorError, ValueError):
                return None

        return changed
    law: Any = option.case.model.reduce
    section = option.scenario.sections.network
    joint = _joint(option, head, tail)

    def relinked(x: float) -> Case | None:
        try:
            link: Link = replace(getattr(law.network, head), **{tail: x * joint})
            links: dict[str, Link] = {head: link}
            if (head, tail) == ("host_link", "bandwidth_bytes_per_s") and section is not None and section.upper_link is None:
                links["upper_link"] = replace(law.network.upper_link, bandwidth_bytes_per_s=x)  # as fast as host_link
            delta = replace(law, network=replace(law.network, **links))
            return _real(replace(option.case, model=replace(option.case.model, reduce=delta)))
        except (InfeasibleError, ValueError):
            return None

    return relinked
