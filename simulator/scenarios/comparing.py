"""The answer of `compare`: each option as `run` answers it, how sure the best one is, and where the choice would flip."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.errors import CollectiveError, Fault, InfeasibleError, ScenarioError, SimulatorError, SimulatorWarning
from simulator.loading import quantity, values_of
from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.network.links import Link
from simulator.optimum import best_batch
from simulator.quantities import ArrayLike, FloatArray
from simulator.scenarios.cases import Case
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.uncertain import TimeSpread, time_spread
from simulator.search import relaxed
from simulator.studies.answer import Answer, answer
from simulator.studies.chances import Chances, Normals, chances
from simulator.studies.crossovers import EQUAL, Crossover, crossovers_real, crossovers_whole

__all__ = ["Comparison", "OptionCase", "compared"]

LINKS = ("host_link", "upper_link", "inner_link")
REACH = 100.0
"""A variable is moved up to so many times its value, either way."""
GRID = 25
FEW_LEARNERS = 64
"""Up to so many learners each number is compared; beyond, powers of two and the numbers listed, closing in between."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OptionCase:
    """One option.

    Parameters
    ----------
    name : str
        Its name.
    scenario, case : Scenario, Case
        The scenario with the option laid over it.
    answer : Answer
        What `run` answers.
    by_learners : tuple of (int, Answer or None, str)
        The answer at each number of [compare] learners; None, with the reason, where there is none.
    """

    name: str
    scenario: Scenario
    case: Case
    answer: Answer
    by_learners: tuple[tuple[int, Answer | None, str], ...]

    def cost_usd(self, found: Answer) -> float | None:
        """Dollars of one trained model."""
        return self.case.cost_usd(found.learners, found.converge_time_s)

    @property
    def spread(self) -> TimeSpread:
        """T_C under draws."""
        return time_spread(
            self.scenario, self.case, lambda changed: _case(changed, self.case), self.answer.batch_samples, self.answer.learners
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Options side by side.

    Parameters
    ----------
    options : tuple of OptionCase
        In the order of the file.
    order : tuple of int
        Their places, fastest first.
    chances : Chances
        In that order.
    crossovers : tuple of Crossover
        Where the choice flips.
    without : tuple of str
        Variables asked for that flip nothing within a factor of a hundred.
    """

    options: tuple[OptionCase, ...]
    order: tuple[int, ...]
    chances: Chances
    crossovers: tuple[Crossover, ...]
    without: tuple[str, ...]

    @property
    def best(self) -> OptionCase:
        """The fastest option."""
        return self.options[self.order[0]]


def compared(
    scenarios: Sequence[tuple[str, Scenario, Case, Answer]], variables: Sequence[str], learners: Sequence[int],
    rng: np.random.Generator,
) -> Comparison:  # fmt: skip
    """Lay options side by side.

    Parameters
    ----------
    scenarios : sequence of (str, Scenario, Case, Answer)
        Each option with what `run` answers.
    variables : sequence of str
        Of [compare] crossovers.
    learners : sequence of int
        Of [compare] learners.
    rng : Generator
        For the draws.

    Raises
    ------
    ScenarioError
        If a variable is not a number of the scenario.
    """
    options = tuple(
        OptionCase(name=name, scenario=one, case=case, answer=found, by_learners=_by_learners(case, learners))
        for name, one, case, found in scenarios
    )
    order = sorted(range(len(options)), key=lambda i: (float(f"{options[i].answer.converge_time_s:.9g}"), _dollars(options[i])))
    normals = Normals.of(rng)
    sure = chances([options[i].spread.time_s(normals) for i in order])
    found, without = [], []
    for i, variable in enumerate(variables):
        flips = _crossovers(options, options[order[0]], variable, i, learners) if len(options) > 1 else []
        found += flips
        without += [] if flips else [variable]
    return Comparison(options=options, order=tuple(order), chances=sure, crossovers=tuple(found), without=tuple(without))


def _dollars(option: OptionCase) -> float:
    """Dollars of a model, for telling equally fast options apart; those without a price last."""
    usd = option.cost_usd(option.answer)
    return np.inf if usd is None else usd


def _case(changed: Scenario, like: Case) -> Case:
    """Return the case of a changed scenario, of the same workload."""
    return Case.of(changed, workload=like.workload)


def _by_learners(case: Case, learners: Sequence[int]) -> tuple[tuple[int, Answer | None, str], ...]:
    rows: list[tuple[int, Answer | None, str]] = []
    for P in learners:
        if case.learners_at_hand < P:
            rows.append((P, None, f"the cluster has {case.learners_at_hand:,} learners"))
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SimulatorWarning)
            try:
                rows.append((P, answer(case.model, case.limits, learners=P), ""))
            except (SimulatorError, ValueError) as error:
                rows.append((P, None, str(error)))
    return tuple(rows)


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
            return found.time_s
        return self.delta.reduce_time_s(learners)


def _quick(case: Case) -> Case:
    """Return the case with Delta as quick as it can be had, and real numbers, so that differences have roots."""
    law: Any = case.model.reduce
    return replace(
        case, model=replace(relaxed(case.model), reduce=_QuickDelta(delta=law) if isinstance(law, FabricDelta) else law)
    )


def _time_s(case: Case, learners: float) -> float:
    """T_C at the best mini-batch; NaN where there is none."""
    try:
        return best_batch(case.model, case.limits, learners).converge_time_s
    except (SimulatorError, ValueError):
        return float("nan")


def _crossovers(
    options: Sequence[OptionCase], best: OptionCase, variable: str, place: int, learners: Sequence[int]
) -> list[Crossover]:
    quick = {one.name: _quick(one.case) for one in options}
    if variable == "learners":
        most = max(one.case.learners_at_hand for one in options)
        grid = range(1, most + 1) if most <= FEW_LEARNERS else _numbers(most, learners)
        whole = {one.name: replace(quick[one.name], model=replace(quick[one.name].model, rounding="whole")) for one in options}

        def at_learners(P: float) -> dict[str, float]:
            return {name: _time_s(case, P) if case.learners_at_hand >= P else np.nan for name, case in whole.items()}

        return crossovers_whole(variable, at_learners, list(grid))
    if variable == "batch_samples":
        return crossovers_real(variable, lambda M: {one.name: _at_batch(quick[one.name], one, M) for one in options},
                               _batches(options))  # fmt: skip
    if variable == "price":
        return _price(options)
    link = variable.split(".")[0] in LINKS
    shared = not link and not any(variable in _own_keys(one) for one in options)
    measure = _cost_of if variable.startswith("cost.") else _time_of
    start, whole_number = _value_of(best, variable, place)
    moves = {one.name: _mover(one, variable, place, best) for one in options if shared or one is best}
    fixed = {one.name: measure(one, quick[one.name]) for one in options if one.name not in moves}
    if not shared:  # an option that is just as good would flip the choice at once: look for the next one that is not
        own = measure(best, quick[best.name])
        fixed = {name: value for name, value in fixed.items() if not np.isclose(value, own, rtol=EQUAL, atol=0.0)}

    def at(x: float) -> dict[str, float]:
        found = dict(fixed)
        for one in options:
            if one.name in moves:
                changed = moves[one.name](x)
                found[one.name] = np.nan if changed is None else measure(one, changed)
        return found

    if start <= 0:
        raise ScenarioError([_fault(best, place, f"must be a number above 0 in {best.name!r}, got {start:g}")])
    name = None if shared else best.name
    if whole_number:
        grid_ = sorted({max(1, round(start * factor)) for factor in np.geomspace(1 / REACH, REACH, GRID)})
        return [replace(one, option=name) for one in crossovers_whole(variable, at, grid_)]
    return crossovers_real(variable, at, (start * np.geomspace(1 / REACH, REACH, GRID)).tolist(), option=name)


def _fault(option: OptionCase, place: int, rule: str) -> Fault:
    return Fault(option.scenario.name, f"compare.crossovers[{place}]", rule)


def _numbers(most: int, learners: Sequence[int]) -> list[int]:
    listed = {P for P in learners if not most < P}
    return sorted({2**i for i in range(most.bit_length())} | {most} | listed)


def _at_batch(case: Case, option: OptionCase, M: float) -> float:
    try:
        return float("nan") if option.answer.learners > M else float(case.model.converge_time_s(M, option.answer.learners))
    except ValueError:
        return float("nan")


def _batches(options: Sequence[OptionCase]) -> list[float]:
    """Return mini-batches that every option has, evenly spread in the logarithm."""
    lows, highs = [], []
    for one in options:
        from simulator.limits import admissible_batch_samples

        try:
            (low, _), (high, _) = admissible_batch_samples(relaxed(one.case.model), one.case.limits, one.answer.learners)
        except InfeasibleError:
            continue
        lows.append(low)
        highs.append(min(high, REACH * one.answer.batch_samples))
    grid: list[float] = np.geomspace(max(lows), max(min(highs), max(lows) * (1 + 1e-9)), 4 * GRID).tolist()
    return grid


def _price(options: Sequence[OptionCase]) -> list[Crossover]:
    """The factor on all that the option with the cheapest model pays for at which another one's model is as cheap."""
    costs = {one.name: one.cost_usd(one.answer) for one in options}
    known = sorted((usd, name) for name, usd in costs.items() if usd is not None)
    if len(known) < 2 or known[0][0] <= 0:
        return []
    (cheapest, name), (next_, other) = known[:2]
    factor = next_ / cheapest
    return [Crossover(variable="price", at=factor, better_below=name, better_above=other, option=name)]


def _time_of(option: OptionCase, case: Case) -> float:
    return _time_s(case, option.answer.learners)


def _cost_of(option: OptionCase, case: Case) -> float:
    usd = case.cost_usd(option.answer.learners, _time_s(case, option.answer.learners))
    return float("nan") if usd is None else usd


def _own_keys(option: OptionCase) -> set[str]:
    """Dotted keys that the [[option]] itself gives."""
    listed = option.scenario.tree.get("option") or []
    return {path for item in listed for path, _ in values_of({key: value for key, value in item.items() if key != "name"})}


def _value_of(option: OptionCase, variable: str, place: int) -> tuple[float, bool]:
    """Return the value of a variable in an option, and whether it is a whole number by nature."""
    head, _, tail = variable.partition(".")
    if head in LINKS:
        law: Any = option.case.model.reduce
        link = getattr(getattr(law, "network", None), head, None)
        if link is None:
            raise ScenarioError([_fault(option, place, f"must be a link of the network of {option.name!r}, got {variable!r}")])
        return float(getattr(link, tail)), False
    found = next((value for path, value in values_of(option.scenario.tree) if path == variable), None)
    if isinstance(found, str):
        try:
            found = quantity(variable.rsplit(".", 1)[-1], found)
        except ValueError:
            found = None
    if found is None or isinstance(found, bool | list | dict):
        raise ScenarioError([_fault(option, place, f"must be a number that the file gives, got {variable!r}")])
    return float(found), isinstance(found, int)


def _mover(option: OptionCase, variable: str, place: int, best: OptionCase) -> Callable[[float], Case | None]:
    """Return a function from a value of the variable to the option's case with it; None where it breaks a rule."""
    head, _, tail = variable.partition(".")
    if head in LINKS:
        law: Any = option.case.model.reduce
        network = law.network

        def relinked(x: float) -> Case:
            link: Link = replace(getattr(network, head), **{tail: x})
            links: dict[str, Link] = {head: link}
            upper, host = network.upper_link, network.host_link
            alike = upper.bandwidth_bytes_per_s == host.bandwidth_bytes_per_s
            if head == "host_link" and tail == "bandwidth_bytes_per_s" and alike:  # upper links are as fast as those of hosts
                links["upper_link"] = replace(upper, bandwidth_bytes_per_s=x)
            delta = replace(law, network=replace(network, **links))
            return _quick(replace(option.case, model=replace(option.case.model, reduce=delta)))

        return relinked
    whole_number = _value_of(best, variable, place)[1]

    def changed(x: float) -> Case | None:
        try:
            return _quick(_case(option.scenario.with_value(variable, round(x) if whole_number else x), option.case))
        except (SimulatorError, ValueError):
            return None

    return changed
