"""The question of [run] answered: every (learners, batch_samples) that it asks, with interval and cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from simulator.costs.amounts import Amount
from simulator.costs.model_cost import money_keys
from simulator.scenarios.cases import Case
from simulator.scenarios.costing import warn_about_prices
from simulator.scenarios.effects import converge_interval90, warn_about_keys_without_effect, warn_about_unverified
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.uncertain_network import warn_about_certain_network
from simulator.studies.answer import Answer, answer, law_keys
from simulator.uncertainty import Interval

__all__ = ["Solved", "answer_keys", "answered", "solved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """An answer with its case, cost and interval."""

    case: Case
    answer: Answer
    interval: Interval | None
    cost: Amount | None

    @property
    def cost_usd(self) -> float | None:
        """Dollars of one training."""
        return None if self.cost is None else float(self.cost.usd)


def solved(scenario: Scenario, workload: str | None) -> list[Solved]:
    """Answer each (learners, batch_samples) that [run] asks, with interval and cost, and warn as the answers need."""

    def case_of(changed: Scenario) -> Case:
        return Case.of(changed, workload=workload)

    def outcome(changed: Case) -> tuple[Any, ...]:
        results: list[Any] = []
        for found in _answers(changed):
            results += [found.converge_time_s, found.batch_samples, found.learners, found.shares]
            results.append(changed.cost_usd(found.learners, found.converge_time_s))
        return (*results, changed.fit)

    rows = answered(scenario, workload)
    warn_about_unverified(scenario, rows[0].case)
    warn_about_certain_network(scenario, rows[0].case, max(row.answer.learners for row in rows))
    warn_about_prices(rows[0].case.cost)
    warn_about_keys_without_effect(scenario, case_of, outcome)
    return rows


def answered(scenario: Scenario, workload: str | None) -> list[Solved]:
    """Answer as `solved` does, without judging what the file's keys did to the answer."""

    def case_of(changed: Scenario) -> Case:
        return Case.of(changed, workload=workload)

    case = case_of(scenario)
    rows = []
    for found in _answers(case):
        case.warn_about(found.batch_samples, found.learners)
        rows.append(
            Solved(
                case=case,
                answer=found,
                interval=converge_interval90(scenario, case, case_of, found.batch_samples, found.learners),
                cost=case.cost_of(found.learners, found.converge_time_s),
            )
        )
    return rows


def _answers(case: Case) -> list[Answer]:
    return [
        answer(
            case.model,
            case.limits,
            learners=case.learners_number(P),
            batch_samples=M,
            max_learners=case.learners_at_hand,
        )
        for P in case.learners
        for M in case.batch_samples
    ]


def answer_keys(row: Solved) -> dict[str, Any]:
    """Return the JSON keys of `run` for one answer."""
    keys = dataclasses.asdict(row.answer)
    interval = row.interval
    cost = row.cost_usd
    per_second = cost / row.answer.converge_time_s if cost is not None else None
    one_run = interval.one_run if interval is not None else None
    keys["converge_time_s_interval90"] = one_run
    keys["converge_time_s_mean_interval90"] = interval.mean if interval is not None else None
    keys["cost_usd"] = cost
    keys["cost_usd_interval90"] = [end * per_second for end in one_run] if one_run and per_second is not None else None
    keys |= money_keys(row.case.cost, row.cost)
    keys["interval_contributions"] = dict(interval.contributions) if interval is not None else None
    keys["nodes"] = row.case.nodes(row.answer.learners)
    keys["workload"] = row.case.workload
    return {**keys, **law_keys(row.case.model)}
