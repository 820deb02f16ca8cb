"""A design of real numbers as JSON keys, tables and text: the optimum, what holds it, and what one per cent more would do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from simulator.cli.output import print_lines, print_table
from simulator.cli.words import BOUND_WORDS, aligned, figure_value, number, percent, seconds
from simulator.scenarios.continuous_problem import SPEED, lever_of
from simulator.studies.continuous.times import LEARNERS

if TYPE_CHECKING:
    from simulator.scenarios.continuous_section import ContinuousNetwork
    from simulator.scenarios.designing_continuous import ContinuousAnswer, ContinuousTrained
    from simulator.studies.continuous.design import ContinuousDesign

__all__ = ["continuous_keys", "continuous_tables", "print_continuous", "what_to_spend_on"]

OF_A_CATALOGUE = (
    *("cost_usd_interval90", "probability_within_budget", "runner_up", "probability_best", "expected_regret"),
    *("expected_regret_relative", "rivals", "importance", "decides", "measure_next", "flips", "cheaper", "frontier_ends"),
    *("settled", "order_changed", "proven", "not_computed", "compared", "beaten", "left_out", "why_not", "life_s", "cost_kind"),
    *("unchecked_keys", "default_keys", "certain_links", "break_even"),
)
"""Keys of `design` that only a catalogue has."""
ROUNDING = 1e-9
"""Differences below this are not printed: they depend on the machine."""
GROWTH_WORDS = {"constant": "", "linear": " times P", "log": " times log2 P"}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _values(answer: ContinuousAnswer, design: ContinuousDesign) -> dict[str, Any]:
    return {
        "learners": design.values[LEARNERS],
        "speed": design.values[SPEED],
        "networks": [
            {
                "name": one.name,
                "kind": one.kind,
                "delta_s": design.values.get(lever_of(one)) if one.delta_s is not None else None,
                "bandwidth_bytes_per_s": design.values.get(lever_of(one)) if one.delta_s is None else None,
            }
            for one in answer.section.network
        ],
        "alone": design.alone,
        "cost_usd": design.cost_usd,
        "time_s": design.time_s,
    }


def _trained_keys(one: ContinuousTrained) -> dict[str, Any]:
    M, P = one.best.batch_samples, one.best.learners
    interval = one.interval
    return {
        "workload": one.workload,
        "learners": P,
        "batch_samples": M,
        "local_samples": M / P,
        "updates": float(one.model.updates(M)),
        "update_time_s": float(one.model.update_time_s(M, P)),
        "compute_time_s": float(one.model.compute_time_s(M, P)),
        "reduce_time_s": float(one.model.reduce_time_s(P)),
        "converge_time_s": one.best.converge_time_s,
        "converge_time_s_interval90": None if interval is None else interval.one_run,
        "converge_time_s_mean_interval90": None if interval is None else interval.mean,
        "flat_range_samples": one.flat_range_samples,
        "branch": one.best.branch,
        "bound": one.bound,
        "estimated": one.case.estimated is not None,
    }


def continuous_keys(answer: ContinuousAnswer) -> dict[str, Any]:
    """Return the JSON keys of `design` with [design.continuous]; those that only a catalogue has are null."""
    found, problem, proof = answer.found, answer.problem, answer.found.certificate
    draws = any(component.power_w for component in problem.components)
    return {
        **dict.fromkeys(OF_A_CATALOGUE),
        "design": {
            **_values(answer, found),
            "power_w": found.power_w if draws else None,
            "busy_share": answer.busy_share,
            "workloads": [_trained_keys(one) for one in answer.trained],
        },
        "objective": problem.objective,
        "budget_usd": _finite(problem.budget_usd),
        "deadline_s": _finite(problem.deadline_s),
        "power_max_w": _finite(problem.power_max_w),
        "unverified_usd": answer.unverified_usd,
        "bill": [
            {
                "item": name,
                "usd": found.spent_usd[name],
                "share": found.spent_usd[name] / found.cost_usd,
                "verified": False if answer.unverified[name] else None,
            }
            for name, _ in answer.section.named
            if name in found.spent_usd
        ],
        "certificate": [
            {
                "lever": one.lever,
                "value": one.value,
                "components": list(one.components),
                "gain_s_per_usd": one.gain_s_per_usd,
                "usd_per_unit": one.usd_per_unit,
                "time_elasticity": one.elasticity,
                "cost_elasticity": one.cost_elasticity,
                "free": one.free,
                "reason": one.reason or "free: a dollar gains as much here as anywhere",
            }
            for one in proof.marginals
        ],
        "optimality": {
            "held_by": proof.held_by,
            "equal_within": proof.equal_within,
            "gain_s_per_usd": proof.gain_s_per_usd,
            "gain_s_per_w": proof.gain_s_per_w,
            "money_elasticity": proof.money_elasticity,
            "workload_shares": dict(proof.workload_weights),
        },
        "frontier": [
            {**_values(answer, design), "gain_s_per_usd": design.certificate.gain_s_per_usd, "time_s_interval90": None}
            for design in answer.frontier
        ],
    }


def continuous_tables(answer: ContinuousAnswer) -> dict[str, list[dict[str, Any]]]:
    """Return the tables that are saved."""
    from simulator.studies.curves import batch_curve

    keys = continuous_keys(answer)
    return {
        "bill.csv": keys["bill"],
        "certificate.csv": [{**row, "components": "; ".join(row["components"])} for row in keys["certificate"]],
        "frontier.csv": [_flat_networks(row) for row in keys["frontier"]],
        "workloads.csv": keys["design"]["workloads"],
        "batch.csv": [
            {"workload": one.workload, **row}
            for one in answer.trained
            for row in batch_curve(one.model, one.case.limits, one.best.learners)
        ],
    }


def _flat_networks(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the frontier with a column for each network."""
    flat = {key: value for key, value in row.items() if key != "networks"}
    for one in row["networks"]:
        key = "delta_s" if one["bandwidth_bytes_per_s"] is None else "bandwidth_bytes_per_s"
        flat[f"{one['name']}.{key}"] = one[key]
    return flat


def print_continuous(title: str, answer: ContinuousAnswer) -> None:
    """Print what to spend the money on, then why."""
    sentence, facts = what_to_spend_on(answer)
    found = answer.found
    print_lines([title, "", sentence, *aligned(facts), ""])
    print_lines(["Equal gains per dollar: what 1 % more of each would do", ""])
    print_table(
        [
            {
                "lever": one.lever,
                "is": _value(one.lever, one.value),
                "time": _per_cent(one.elasticity),
                "USD": _per_cent(one.cost_elasticity),
                "gained per 1,000 USD": "-" if one.gain_s_per_usd is None else _signed(1000.0 * one.gain_s_per_usd),
                "note": one.reason,
            }
            for one in found.certificate.marginals
        ],
        right=("is", "time", "USD", "gained per 1,000 USD"),
    )
    print_lines(["", "Where the money goes", ""])
    print_table(
        [
            {
                "component": row["item"],
                "USD": f"{row['usd']:,.0f}",
                "share": percent(row["share"]),
                "checked": "no" if row["verified"] is False else "",
            }
            for row in continuous_keys(answer)["bill"]
        ],
        right=("USD", "share"),
    )
    print_lines(["", "Time against dollars", ""])
    print_table([_frontier_cells(answer, design) for design in answer.frontier], right=_right(answer))


def _right(answer: ContinuousAnswer) -> tuple[str, ...]:
    return ("USD", "time", "gained per 1,000 USD", LEARNERS, SPEED, *(one.name for one in answer.section.network))


def _frontier_cells(answer: ContinuousAnswer, design: ContinuousDesign) -> dict[str, str]:
    same = math.isclose(design.cost_usd, answer.found.cost_usd, rel_tol=1e-6)
    cells = {
        "USD": f"{design.cost_usd:,.0f}",
        "time": seconds(design.time_s),
        "gained per 1,000 USD": _signed(1000.0 * design.certificate.gain_s_per_usd),
        LEARNERS: number(design.values[LEARNERS]),
        SPEED: number(design.values[SPEED]),
    }
    for one in answer.section.network:
        value = design.values.get(lever_of(one))
        cells[one.name] = "-" if value is None else figure_value(one.lever, value)
    return {**cells, "note": "<- this budget" if same else ""}


def what_to_spend_on(answer: ContinuousAnswer) -> tuple[str, list[tuple[str, str]]]:
    """Say what the buyer needs to know: the optimum, and the facts behind it."""
    found, problem, proof = answer.found, answer.problem, answer.found.certificate
    P, speed = found.values[LEARNERS], found.values[SPEED]
    joined = [words for one in answer.section.network if (words := _network_words(answer, one))]
    sentence = f"Buy {number(P)} {'learner' if P == 1 else 'learners'} of speed {number(speed)} x {answer.section.accelerator}"
    sentence += f", joined by {' and '.join(joined)}." if joined else ", without a network."
    shares = ", ".join(f"{name} {percent(usd / found.cost_usd)}" for name, usd in found.spent_usd.items())
    facts = [("price", f"{found.cost_usd:,.0f} USD: {shares}")]
    if answer.unverified_usd:
        facts.append(
            ("unverified", f"{percent(answer.unverified_usd / found.cost_usd)} of it rests on numbers that nobody checked")
        )
    if any(component.power_w for component in problem.components):
        facts.append(("power", figure_value("power_w", found.power_w)))
    for one in answer.trained:
        T, unit = one.best.converge_time_s, one.case.sample_unit
        text = seconds(T)
        if one.interval is not None:
            text += f", 90 % between {' and '.join(seconds(end, like=T) for end in one.interval.one_run)}"
        text += f"; mini-batch {number(one.best.batch_samples)} {unit}s"
        text += f", {number(one.best.batch_samples / one.best.learners)} per learner"
        text += f" on {number(one.best.learners)}" if one.best.learners < P * (1.0 - 1e-9) else ""
        text += f", limited by {BOUND_WORDS[one.bound]}" if one.bound else ""
        text += "; estimated, not measured" if one.case.estimated is not None else ""
        facts.append((one.workload, text))
    if len(answer.trained) > 1:
        words = {"mean_time": "the mean", "weighted_time": "the weighted mean"}.get(problem.objective, "the longest")
        facts.append(("time", f"{seconds(found.time_s)}, {words}"))
    facts.append(("held by", proof.held_by))
    if proof.gain_s_per_usd > 0:
        share = _per_cent(-proof.money_elasticity)
        facts.append(
            ("a further dollar", f"1 % more money: time {share}; 1,000 USD gain {seconds(1000 * proof.gain_s_per_usd)}")
        )
    if proof.gain_s_per_w > 0:
        facts.append(("a further watt", f"1 kW more gains {seconds(1000 * proof.gain_s_per_w)}"))
    free = sum(one.free for one in proof.marginals)
    if free > 1 and proof.gain_s_per_usd > 0:
        apart = max(proof.equal_within, ROUNDING)
        facts.append(("proof", f"{free} of {len(proof.marginals)} levers are free, gains per dollar equal within {apart:.0e}"))
    share_busy = answer.busy_share
    if share_busy is not None:
        facts.append(("runs of a year", f"take {percent(share_busy)} of it"))
    return sentence, facts


def _network_words(answer: ContinuousAnswer, one: ContinuousNetwork) -> str:
    value = answer.found.values.get(lever_of(one))
    if value is None:
        return ""
    words = figure_value(one.lever, value)
    return f"{one.name} at {words}" if one.delta_s is None else f"{one.name} of {words}{GROWTH_WORDS[one.kind]}"


def _value(lever: str, value: float) -> str:
    """Write the value of a lever with its unit: learners and speeds are numbers."""
    return figure_value(lever.rsplit(".", 1)[-1], value) if "." in lever else number(value)


def _per_cent(elasticity: float) -> str:
    return f"{elasticity:+.3f} %"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "-") + seconds(abs(value))
