"""A design as JSON keys and as tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from simulator.cli.bill_answer import bill_row, break_even_keys

if TYPE_CHECKING:
    from simulator.scenarios.designing import DesignAnswer
    from simulator.scenarios.settled import Settled, Trained
    from simulator.studies.discrete.search import Design

__all__ = ["design_keys", "design_tables", "measure_next", "unverified_usd"]

PLAUSIBLE = 2.6
"""Published all-reduces took up to 2.6 times as long as the rate of the links allows (docs/validation.md)."""
LEAST_SPREAD = 1e-3
"""Difference from the runner-up below which it does not matter which of the two is bought."""
LEAST_SHARE = 0.01
"""Contributions below this share are not printed."""


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _option_keys(design: Design) -> dict[str, Any]:
    option = design.option
    joined = design.nodes > 1
    return {
        "node": option.kind.name,
        "nodes": design.nodes,
        "accelerators": design.nodes * option.kind.accelerators,
        "network": option.network if joined else None,
        "switch": option.switch if joined else None,
        "topology": option.topology if joined else None,
        "oversubscription": option.oversubscription if joined and option.topology is not None else None,
        "cost_usd": design.cost_usd,
        "cost_usd_range": [design.low_usd, design.high_usd],
        "power_w": _finite(design.power_w),
        "time_s": design.time_s,
    }


def _trained_keys(one: Trained) -> dict[str, Any]:
    found, interval = one.answer, one.interval
    return {
        "workload": one.workload,
        "learners": found.learners,
        "batch_samples": found.batch_samples,
        "local_samples": found.local_samples,
        "updates": found.updates,
        "update_time_s": found.update_time_s,
        "compute_time_s": found.compute_time_s,
        "reduce_time_s": found.reduce_time_s,
        "converge_time_s": found.converge_time_s,
        "converge_time_s_interval90": None if interval is None else interval.one_run,
        "converge_time_s_mean_interval90": None if interval is None else interval.mean,
        "flat_range_samples": found.flat_range_samples,
        "branch": found.branch,
        "bound": found.bound,
        "bottleneck": found.bottleneck,
        "estimated": one.case.estimated is not None,
        "closed_form_s": one.closed_s,
        "difference": one.difference,
    }


def _settled_keys(one: Settled) -> dict[str, Any]:
    return {**_figures(one), "workloads": [_trained_keys(trained) for trained in one.trained]}


def _figures(one: Settled) -> dict[str, Any]:
    return {
        **_option_keys(one.design),
        "cost_usd": float(one.cost.usd),
        "cost_usd_range": [float(one.cost.low_usd), float(one.cost.high_usd)],
        "time_s": one.time_s,
        "closed_form_s": one.design.time_s,
        "difference": one.difference,
        "busy_share": one.busy_share,
        "simulated": one.simulated,
    }


def design_keys(answer: DesignAnswer) -> dict[str, Any]:
    """Return the JSON keys of `design`."""
    chosen, request, found, sure = answer.chosen, answer.request, answer.found, answer.chances
    runner_up = None
    if answer.runner_up is not None:
        runner_up = {**_settled_keys(answer.runner_up), "probability_chosen_is_better": sure.beats[1]}
    return {
        "design": _settled_keys(chosen),
        "objective": request.objective,
        "budget_usd": _finite(request.budget_usd),
        "deadline_s": _finite(request.deadline_s),
        "power_max_w": _finite(request.power_max_w),
        "life_s": request.terms.life_s,
        "cost_kind": request.terms.kind,
        "cost_usd_interval90": answer.cost_interval90,
        "probability_within_budget": answer.probability_within_budget,
        "unverified_usd": unverified_usd(answer),
        "unchecked_keys": answer.unchecked_keys,
        "default_keys": answer.default_keys,
        "bill": [bill_row(line) for line in chosen.bill.lines],
        "break_even": None if (cost := answer.chosen.trained[0].case.cost) is None else break_even_keys(cost),
        "certificate": [_step_keys(step) for step in answer.certificate],
        "optimality": None,
        "runner_up": runner_up,
        "probability_best": sure.probability_best[0],
        "expected_regret": sure.expected_regret,
        "expected_regret_relative": sure.relative_regret,
        "rivals": [
            {**_option_keys(one.design), "time_s": one.time_s, "time_interval90": interval, "probability_best": chance}
            for one, interval, chance in zip(answer.rivals, sure.intervals90, sure.probability_best, strict=True)
        ],
        "importance": [{"group": one.group, "share": one.share} for one in answer.importance],
        "decides": [{"group": one.group, "share": one.share} for one in answer.decides],
        "measure_next": measure_next(answer),
        "certain_links": answer.certain_links,
        "flips": [{"variable": one.variable, "factor": one.factor, "at": one.at, "unit": one.unit} for one in answer.flips],
        "cheaper": None if found.cheaper is None else _option_keys(found.cheaper),
        "frontier": [
            {**_option_keys(design), "time_s_interval90": interval}
            for design, interval in zip(found.frontier, answer.frontier_intervals90, strict=True)
        ],
        "frontier_ends": [_figures(one) for one in answer.frontier_ends],
        "settled": [_figures(one) for one in answer.settled],
        "order_changed": answer.order_changed,
        "proven": answer.proven,
        "not_computed": answer.not_computed,
        "compared": found.compared,
        "beaten": found.beaten,
        "left_out": dict(found.left_out),
        "why_not": None
        if answer.why_not is None
        else {
            "name": answer.why_not.name,
            "text": answer.why_not.text,
            "design": None if answer.why_not.design is None else _option_keys(answer.why_not.design),
        },
    }


def _step_keys(step: Any) -> dict[str, Any]:
    return {
        "component": step.component,
        "to": step.to,
        "delta_usd": step.delta_usd,
        "delta_s": step.delta_s,
        "gain_s_per_usd": step.gain_s_per_usd,
        "feasible": step.feasible,
        "reason": step.reason,
    }


def unverified_usd(answer: DesignAnswer) -> float:
    """Return the dollars that rest on prices which nobody checked."""
    if answer.request.terms.kind == "cloud":
        rent = answer.chosen.design.option.kind.rent
        return 0.0 if rent is None or rent.verified else float(answer.chosen.cost.usd)
    return float(answer.chosen.bill.unverified_usd)


def measure_next(answer: DesignAnswer) -> str | None:
    """Return the quantity that the choice hangs on most; of the time, where nothing tells the two best designs apart.

    Where a longer Delta on the design's links would flip the choice, and nothing says how sure Delta is, that comes first.
    """
    flipping = any(one.variable.startswith("Delta on ") and one.factor <= PLAUSIBLE for one in answer.flips)
    behind = answer.runner_up is not None and answer.runner_up.time_s > answer.chosen.time_s * (1.0 + LEAST_SPREAD)
    if flipping and behind and answer.chosen.design.option.links in answer.certain_links:
        return f"all-reduce on {answer.chosen.design.option.links}: its Delta is taken as certain here"
    for listed in (answer.decides, answer.importance):
        if listed and listed[0].share > LEAST_SHARE:
            return listed[0].group
    return None


def design_tables(answer: DesignAnswer) -> dict[str, list[dict[str, Any]]]:
    """Return the tables that are saved."""
    from simulator.studies.curves import batch_curve

    keys = design_keys(answer)
    return {
        "bill.csv": keys["bill"],
        "certificate.csv": keys["certificate"],
        "frontier.csv": keys["frontier"],
        "settled.csv": keys["settled"],
        "workloads.csv": keys["design"]["workloads"],
        "batch.csv": [
            {"workload": one.workload, **row}
            for one in answer.chosen.trained
            for row in batch_curve(one.case.model, one.case.limits, one.answer.learners)
        ],
        **({"importance.csv": keys["importance"]} if keys["importance"] else {}),
    }
