"""The answer of `compare`: each option as `run` answers it, how sure the best one is, and where the choice would flip."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.costs.amounts import Amount
from simulator.costs.model_cost import ModelCost
from simulator.errors import Fault, ScenarioError, SimulatorError, SimulatorWarning
from simulator.loading import values_of
from simulator.quantities import FloatArray
from simulator.scenarios.cases import Case
from simulator.scenarios.crossing import Option, Searched, searched
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.uncertain import TimeSpread, time_spread
from simulator.scenarios.uncertain_cost import bill_draws, price_name
from simulator.scenarios.uncertain_network import certain_link
from simulator.studies.answer import Answer, answer
from simulator.studies.chances import Importance, Normals, deciding, importance, two_piece_factor
from simulator.studies.comparison import Standing, standing

__all__ = ["Comparison", "OptionCase", "compared"]


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

    def cost_of(self, found: Answer) -> Amount | None:
        """Dollars of one trained model, with the range of the prices."""
        return self.case.cost_of(found.learners, found.converge_time_s)

    @property
    def own_keys(self) -> frozenset[str]:
        """Dotted keys that the [[option]] itself gives."""
        listed = self.scenario.tree.get("option") or []
        own = next(item for item in listed if item.get("name") == self.name)
        return frozenset(path for path, _ in values_of({key: value for key, value in own.items() if key != "name"}))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Options side by side.

    Parameters
    ----------
    options : tuple of OptionCase
        In the order of the file.
    times, costs : Standing, Standing or None
        How sure it is which is the fastest, which trains a model for the fewest dollars; None where one has no cost.
    order : tuple of int
        Places of the options, the best first: by time, where that is equal by dollars.
    matters : tuple of Importance
        What the difference in time of the best two hangs on; where nothing uncertain tells them apart, the best one's time.
    certain_links : tuple of str
        Links whose Delta is taken as certain in some option: nothing gives a range for their rates.
    searched : tuple of (Searched, ...)
        Of each variable of [compare] crossovers; empty for a single option.
    """

    options: tuple[OptionCase, ...]
    times: Standing
    costs: Standing | None
    order: tuple[int, ...]
    matters: tuple[Importance, ...]
    certain_links: tuple[str, ...]
    searched: tuple[Searched, ...]

    @property
    def best(self) -> OptionCase:
        """The fastest option."""
        return self.options[self.order[0]]


def compared(
    found: Sequence[tuple[Scenario, Case, Answer]], variables: Sequence[str], learners: Sequence[int], rng: np.random.Generator
) -> Comparison:
    """Lay options side by side.

    Parameters
    ----------
    found : sequence of (Scenario, Case, Answer)
        Each option with what `run` answers.
    variables : sequence of str
        Of [compare] crossovers.
    learners : sequence of int
        Of [compare] learners.
    rng : Generator
        For the draws, which all options share: what two of them have in common (a law, a price) moves both.

    Raises
    ------
    ScenarioError
        If learners are more than any option has, or a variable cannot be moved.
    """
    at_hand = max(case.learners_at_hand for _, case, _ in found)
    faults = [
        Fault(found[0][0].name, f"compare.learners[{i}]", f"must be <= the {at_hand} learners of the cluster, got {P}")
        for i, P in enumerate(learners)
        if at_hand < P
    ]
    if faults:
        raise ScenarioError(faults)
    options = tuple(
        OptionCase(name=one.option or "", scenario=one, case=case, answer=best, by_learners=_by_learners(case, learners))
        for one, case, best in found
    )
    normals = Normals.of(rng)
    spreads = [_spread(one) for one in options]
    times = [spread.time_s(normals) for spread in spreads]
    costs = [_cost_draws(one, time_s, normals) for one, time_s in zip(options, times, strict=True)]
    priced = [usd for usd in costs if usd is not None]
    flips: list[Searched] = []
    if len(options) > 1:
        asked = [
            Option(name=one.name, scenario=one.scenario, case=one.case, learners=one.answer.learners, own_keys=one.own_keys)
            for one in options
        ]
        wrong: list[Fault] = []
        for place, variable in enumerate(variables):
            try:
                flips += searched(asked, variable, place, learners)
            except ScenarioError as error:
                wrong += error.faults
        if wrong:
            raise ScenarioError(wrong)
    order = sorted(range(len(options)), key=lambda i: _rank(options[i]))
    links = [certain_link(one.scenario, one.case, one.answer.learners) for one in options]
    return Comparison(
        options=options,
        times=standing(times),
        costs=standing(priced) if len(priced) == len(options) else None,
        order=tuple(order),
        matters=_matters([spreads[i] for i in order[:2]], normals),
        certain_links=tuple(dict.fromkeys(link for link in links if link is not None)),
        searched=tuple(flips),
    )


def _matters(best: Sequence[TimeSpread], normals: Normals) -> tuple[Importance, ...]:
    """Return what tells the best two apart, else what the best one's time hangs on."""
    first, groups = best[0], {group: names for spread in best for group, names in spread.groups.items()}
    decides = deciding(first.time_s, best[1].time_s, groups, normals) if len(best) > 1 else ()
    return decides or importance(lambda z: np.log(first.time_s(z)), first.groups, normals)


def _rank(option: OptionCase) -> tuple[float, float]:
    """Seconds, but for rounding, then dollars; those without a price last."""
    amount = option.cost_of(option.answer)
    return float(f"{option.answer.converge_time_s:.9g}"), np.inf if amount is None else float(amount.usd)


def _case_of(like: Case) -> Callable[[Scenario], Case]:
    """Return what makes the case of a changed scenario, of the same workload."""
    return lambda changed: Case.of(changed, workload=like.workload)


def _by_learners(case: Case, learners: Sequence[int]) -> tuple[tuple[int, Answer | None, str], ...]:
    """Return the fastest answer at each number of learners, of the mini-batches that [run] asks."""
    rows: list[tuple[int, Answer | None, str]] = []
    for P in learners:
        if case.learners_at_hand < P:
            rows.append((P, None, f"the cluster has {case.learners_at_hand:,} learners"))
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SimulatorWarning)
            try:
                every = [answer(case.model, case.limits, learners=P, batch_samples=M) for M in case.batch_samples]
                rows.append((P, min(every, key=lambda one: one.converge_time_s), ""))
            except (SimulatorError, ValueError) as error:
                rows.append((P, None, str(error)))
    return tuple(rows)


def _spread(option: OptionCase) -> TimeSpread:
    """T_C of an option, the mean over runs, under draws."""
    at, case = option.answer, option.case
    return time_spread(option.scenario, case, _case_of(case), at.batch_samples, at.learners)


def _cost_draws(option: OptionCase, time_s: FloatArray, normals: Normals) -> FloatArray | None:
    """Dollars of a model for every draw of its time, of the prices, and of the ranges in [cost]; None where it has no cost."""
    amount, cost = option.cost_of(option.answer), option.case.cost
    if amount is None or cost is None:
        return None
    usd = float(amount.usd) * time_s / option.answer.converge_time_s
    for path, record in option.scenario.records.items():
        if path.startswith("cost.") and not (record.low is None and record.high is None):
            low, high = (_cost_at(option, path, end) for end in (record.low, record.high))
            usd = usd * two_piece_factor(normals[path], float(amount.usd), low, high)
    return usd * _price_factor(cost, normals)


def _cost_at(option: OptionCase, path: str, end: float | None) -> float:
    """Dollars of a model with one number of [cost] at an end of its range; as they are where there is no such end."""
    at, case = option.answer, option.case
    if end is not None:
        try:
            case = _case_of(case)(option.scenario.with_value(path, end))
        except (SimulatorError, ValueError):
            case = option.case
    usd = case.cost_usd(at.learners, at.converge_time_s)
    assert usd is not None
    return usd


def _price_factor(cost: ModelCost, normals: Normals) -> FloatArray:
    """Return what dollars are multiplied by for every draw of the prices."""
    rent, total = cost.rent, cost.total
    if cost.terms.kind == "cloud" and rent is not None:
        return two_piece_factor(normals[price_name(rent)], rent.usd, rent.low_usd, rent.high_usd)
    if cost.bill is None or total is None:
        return np.ones(normals.draws)
    whole = float(total.usd)
    return (whole - float(cost.bill.purchase.usd) + bill_draws(cost.bill, normals)) / whole
