"""A design as JSON keys, tables and text: what to buy first, why and how sure after that."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from simulator.cli.bill_answer import bill_row
from simulator.cli.output import footnotes, print_footnotes, print_lines, print_table
from simulator.cli.words import BOUND_WORDS, aligned, number, percent, seconds
from simulator.quantities import YEAR_S

if TYPE_CHECKING:
    from simulator.scenarios.designing import DesignAnswer
    from simulator.scenarios.settled import Settled, Trained
    from simulator.studies.discrete.search import Design

__all__ = ["design_keys", "design_tables", "print_design", "what_to_buy"]

WORDS = {"rails": "on rails", "star": "on one switch", "fat_tree": "in a fat tree", "leaf_spine": "in a leaf-spine"}
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
        "bill": [bill_row(line) for line in chosen.bill.lines],
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
    """Return the quantity that the choice hangs on most; of the time, where nothing tells the two best designs apart."""
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


def print_design(title: str, answer: DesignAnswer) -> None:
    """Print what to buy, then why."""
    sentence, facts = what_to_buy(answer)
    print_lines([title, "", sentence, *aligned(facts), ""])
    print_lines(["One step beside it, and what it would gain per dollar", ""])
    print_table(
        [
            {
                "step": f"{step.component.replace('_', ' ')}: {step.to}",
                "USD more": "-" if step.delta_usd is None else f"{step.delta_usd:+,.0f}",
                "time": "-" if step.delta_s is None else _signed_seconds(step.delta_s),
                "gained per 1,000 USD": "-" if step.gain_s_per_usd is None else _signed_seconds(1000 * step.gain_s_per_usd),
                "note": step.reason,
            }
            for step in answer.certificate
        ],
        right=("USD more", "time", "gained per 1,000 USD"),
    )
    _print_bill(answer)
    print_lines(["", "Time against dollars", ""])
    print_table([_frontier_cells(answer, design) for design in answer.found.frontier], right=("USD", "time"))
    print_lines(["", "The best designs at flow level", ""])
    print_table(
        [
            {
                "design": str(one.design),
                "USD": f"{float(one.cost.usd):,.0f}",
                "time": seconds(one.time_s),
                "closed form": seconds(one.design.time_s, like=one.time_s),
                "difference": f"{100 * one.difference:+.2g} %",
                "Delta": ("as at flow level" if one.design.exact else "a lower bound") if one.simulated else "not simulated",
            }
            for one in answer.settled
        ],
        right=("USD", "time", "closed form", "difference"),
    )


def what_to_buy(answer: DesignAnswer) -> tuple[str, list[tuple[str, str]]]:
    """Say what the buyer needs to know: what to buy, and the facts behind it."""
    chosen, request, sure = answer.chosen, answer.request, answer.chances
    design, usd = chosen.design, float(chosen.cost.usd)
    option = design.option
    rent = request.terms.kind == "cloud"
    joined = ""
    if design.nodes > 1 and option.topology is not None:
        o = f", {option.oversubscription:g} : 1" if option.topology != "star" else ""
        joined = f", joined by {option.network or 'their own NICs'} {WORDS.get(option.topology, option.topology)}{o}"
        joined += f" of {option.switch} switches" if option.switch and not rent else ""
    sentence = f"{'Rent' if rent else 'Buy'} {design.nodes} x {option.kind.name}{joined}."
    low, high = answer.cost_interval90
    life = f"over {request.terms.life_s / YEAR_S:.3g} years" if request.terms.kind != "purchase" else "to buy"
    unchecked = unverified_usd(answer)
    price = f"{usd:,.0f} USD {life}"
    if high > low * (1 + 1e-9):
        price += f", 90 % between {low:,.0f} and {high:,.0f}"
    price += f"; {percent(unchecked / usd)} of it ({unchecked:,.0f} USD) rests on prices that nobody checked"
    facts = [("price", price)]
    for one in chosen.trained:
        found = one.answer
        text = seconds(found.converge_time_s)
        if one.interval is not None:
            text += f", 90 % between {' and '.join(seconds(end, like=found.converge_time_s) for end in one.interval.one_run)}"
        unit = one.case.sample_unit
        text += f"; mini-batch {number(found.batch_samples)} {unit}s, {number(found.local_samples)} per learner"
        text += f" on {number(found.learners)}"
        text += f", limited by {BOUND_WORDS[found.bound]}" if found.bound else ""
        text += "; estimated, not measured" if one.case.estimated is not None else ""
        facts.append((one.workload, text))
    facts.append(("runner-up", _runner_up_words(answer)))
    if len(sure.probability_best) > 1:
        facts.append(
            (
                "how sure",
                f"best of {len(sure.probability_best)} kinds with probability {sure.probability_best[0]:.2f}; expected regret "
                f"{_amount(answer, sure.expected_regret)} ({percent(sure.relative_regret)})",
            )
        )
    facts.append(("would flip it", _flip_words(answer)))
    facts.append(("measure next", measure_next(answer) or "nothing here is uncertain: give ranges, or a fit"))
    if answer.found.cheaper is not None:
        cheaper = answer.found.cheaper
        facts.append(
            (
                "nearly as good",
                f"{cheaper}: {percent(cheaper.time_s / chosen.time_s - 1)} longer, {usd - cheaper.cost_usd:,.0f} USD less",
            )
        )
    if answer.why_not is not None:
        facts.append((f"why not {answer.why_not.name}", _why_not_words(answer)))
    facts.append(("compared", _compared_words(answer)))
    return sentence, facts


def _amount(answer: DesignAnswer, value: float) -> str:
    return f"{value:,.0f} USD" if answer.request.objective == "cost" else seconds(value)


def _runner_up_words(answer: DesignAnswer) -> str:
    if answer.runner_up is None:
        return "none: nothing else in the catalogue meets the request"
    other, chosen = answer.runner_up, answer.chosen
    longer, dearer = other.time_s / chosen.time_s - 1.0, float(other.cost.usd) - float(chosen.cost.usd)
    time = "as fast" if abs(longer) < 5e-7 else f"{percent(abs(longer))} {'slower' if longer > 0 else 'faster'}"
    money = f"{abs(dearer):,.0f} USD {'dearer' if dearer > 0 else 'cheaper'}"
    return f"{other.design}: {time}, {money}; the choice is better with probability {answer.chances.beats[1]:.2f}"


def _flip_words(answer: DesignAnswer) -> str:
    if answer.runner_up is None:
        return "-"
    if not answer.flips:
        return "no price of its parts and no speed of its nodes within a factor of ten"
    words = []
    for one in answer.flips:
        at = f" ({one.at:,.0f} {one.unit})" if one.unit.startswith("USD") else ""
        words.append(f"{one.variable} {100 * (one.factor - 1):+.3g} %{at}")
    return "; ".join(words)


def _why_not_words(answer: DesignAnswer) -> str:
    assert answer.why_not is not None
    asked = answer.why_not
    if asked.design is None or asked.design is answer.chosen.design:
        return asked.text
    if asked.text.startswith("none"):
        return asked.text
    return f"the best with it is {asked.design}: {asked.text.removeprefix('it is ')}"


def _compared_words(answer: DesignAnswer) -> str:
    found = answer.found
    text = f"{found.compared:,} designs"
    left = sum(found.left_out.values())
    if left:
        text += f", of which {left:,} cannot be built, priced or run"
    text += f"; {len(answer.settled) - answer.not_computed} computed at flow level, differences up to "
    text += percent(max(abs(one.difference) for one in answer.settled))
    text += ", the order changed" if answer.order_changed else ", the same one best"
    text += f"; {answer.not_computed} of the best are too large for that" if answer.not_computed else ""
    text += "" if answer.proven else "; others not computed there may be better by less than their bounds say"
    return text


def _signed_seconds(value: float) -> str:
    return ("+" if value >= 0 else "-") + seconds(abs(value))


def _print_bill(answer: DesignAnswer) -> None:
    lines = list(answer.chosen.bill.lines)
    if answer.request.terms.kind == "cloud" or not lines:
        return
    rows = [bill_row(line) for line in lines]
    marks = footnotes(row["source"] for row in rows)
    print_lines(["", "Bill of materials", ""])
    print_table(
        [
            {
                "item": row["item"],
                "count": number(row["count"]),
                "USD each": "-" if row["unit_usd"] is None else f"{row['unit_usd']:,.0f}",
                "USD": "-" if row["usd"] is None else f"{row['usd']:,.0f}",
                "checked": "" if row["verified"] is None else "yes" if row["verified"] else "no",
                "source": marks.get(row["source"], "") if row["source"] else f"in the price of the {row['paid_by']}",
            }
            for row in rows
        ],
        right=("count", "USD each", "USD"),
    )
    more = float(answer.chosen.cost.usd) - float(answer.chosen.bill.purchase.usd)
    if more > 0.5:
        print_lines([f"  power and facility over the life: {more:,.0f} USD"])
    print_footnotes(marks)


def _frontier_cells(answer: DesignAnswer, design: Design) -> dict[str, str]:
    mark = (
        "<- this design" if design.option is answer.chosen.design.option and design.nodes == answer.chosen.design.nodes else ""
    )
    over = "over the budget" if design.cost_usd > answer.request.budget_usd else ""
    return {"USD": f"{design.cost_usd:,.0f}", "time": seconds(design.time_s), "design": str(design), "note": mark or over}
