"""A design as text: what to buy first, why and how sure after that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.cli.bill_answer import bill_row
from simulator.cli.design_answer import measure_next, unverified_usd
from simulator.cli.money import usd as dollars
from simulator.cli.output import footnotes, print_footnotes, print_lines, print_table
from simulator.cli.words import BOUND_WORDS, aligned, number, percent, seconds
from simulator.quantities import YEAR_S

if TYPE_CHECKING:
    from simulator.scenarios.designing import DesignAnswer
    from simulator.studies.discrete.search import Design

__all__ = ["print_design", "what_to_buy"]

WORDS = {"rails": "on rails", "star": "on one switch", "fat_tree": "in a fat tree", "leaf_spine": "in a leaf-spine"}


def print_design(title: str, answer: DesignAnswer) -> None:
    """Print what to buy, then why."""
    sentence, facts = what_to_buy(answer)
    print_lines([title, "", sentence, *aligned(facts), ""])
    print_lines(["One step beside it, and what it would gain per dollar", ""])
    print_table(
        [
            {
                "step": f"{step.component.replace('_', ' ')}: {step.to}",
                "USD more": "-"
                if step.delta_usd is None
                else ("+" if step.delta_usd >= 0 else "-") + dollars(abs(step.delta_usd)),
                "time": "-" if step.delta_s is None else _signed_seconds(step.delta_s),
                "gained per 1,000 USD": "-" if step.gain_s_per_usd is None else _signed_seconds(1000 * step.gain_s_per_usd),
                "note": step.reason,
            }
            for step in answer.certificate
        ],
        right=("USD more", "time", "gained per 1,000 USD"),
    )
    _print_bill(answer)
    if answer.found.left_out:
        listed = sorted(answer.found.left_out.items(), key=lambda pair: (-pair[1], pair[0]))
        print_lines(["", "Left out", "", *(f"  {count:,} designs: {reason}" for reason, count in listed)])
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
    price = f"{dollars(usd)} USD {_paid_for(answer)}"
    if high > low * (1 + 1e-9):
        price += f", 90 % between {dollars(low)} and {dollars(high)}"
        if answer.probability_within_budget is not None:
            price += f"; within the {request.budget_usd:,.0f} USD of the budget with probability "
            price += f"{answer.probability_within_budget:.2f}"
    facts = [("price", price), ("unverified", _unverified_words(answer, usd))]
    if instead := _instead_words(answer):
        facts.append(("instead", instead))
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
        words = f"best of {len(sure.probability_best)} kinds with probability {sure.probability_best[0]:.2f}; expected regret "
        words += f"{_amount(answer, sure.expected_regret)} ({percent(sure.relative_regret)})"
        if answer.certain_links:
            words += f"; Delta taken as certain: {', '.join(answer.certain_links)}"
        facts.append(("how sure", words))
    facts.append(("would flip it", _flip_words(answer)))
    facts.append(("measure next", measure_next(answer) or "nothing here is uncertain: give ranges, or a fit"))
    if answer.found.cheaper is not None:
        cheaper = answer.found.cheaper
        facts.append(
            (
                "nearly as good",
                f"{cheaper}: {_longer(cheaper.time_s / design.time_s - 1)}, {dollars(usd - cheaper.cost_usd)} USD less",
            )
        )
    if answer.why_not is not None:
        facts.append((f"why not {answer.why_not.name}", _why_not_words(answer)))
    facts.append(("compared", _compared_words(answer)))
    return sentence, facts


def _longer(share: float) -> str:
    return "as fast" if share < 5e-7 else f"{percent(share)} longer"


def _paid_for(answer: DesignAnswer) -> str:
    """Say what the dollars are for."""
    request, kind = answer.request, answer.chosen.design.option.kind
    life = f"over {request.terms.life_s / YEAR_S:.3g} years"
    if request.terms.kind != "cloud" or kind.rent is None:
        return "to buy" if request.terms.kind == "purchase" else life
    runs = life if any(job.runs_per_year for job in kind.jobs) else "for one run of each workload"
    return f"{runs} at {kind.rent.usd:,.2f} a node and hour ({kind.rent.kind.replace('_', ' ')})"


def _unverified_words(answer: DesignAnswer, usd: float) -> str:
    """Say which of the dollars nobody checked, in one line."""
    unchecked = unverified_usd(answer)
    parts = [f"{dollars(unchecked)} USD ({percent(unchecked / usd)}) rest on prices that nobody checked"]
    kind = answer.request.terms.kind
    if kind == "purchase":
        parts.append("power, facility and operation are not in it")
    rent = answer.chosen.design.option.kind.rent
    if kind == "cloud" and rent is not None and rent.kind == "spot":
        parts.append("spot: nodes can be taken away, and what that costs is not in it")
    if answer.unchecked_keys:
        parts.append(f"nobody checked {', '.join(answer.unchecked_keys)}")
    defaults = [key for key in answer.default_keys if key != "facility_usd_per_node"]
    if defaults:
        parts.append(f"by default {', '.join(f'{key} = {getattr(answer.request.terms, key):g}' for key in defaults)}")
    if "facility_usd_per_node" in answer.default_keys:
        parts.append("the facility is not in it")
    return "; ".join(parts)


def _instead_words(answer: DesignAnswer) -> str:
    """Say that the other of renting and buying is cheaper; nothing where this one is, or where one has no price."""
    cost = answer.chosen.trained[0].case.cost
    found = cost.break_even() if cost is not None else None
    if cost is None or cost.rent is None or found is None or found.rent_is_cheaper == (cost.terms.kind == "cloud"):
        return ""
    words = (
        f"{'renting' if found.rent_is_cheaper else 'buying'} is cheaper at a rent of {dollars(cost.rent.usd)} USD a node and "
    )
    words += f"hour ({cost.rent.kind.replace('_', ' ')}), where it trains {percent(cost.terms.utilisation)} of the time"
    return words + (f"; both cost the same at {percent(float(found.utilisation))}" if found.utilisation < float("inf") else "")


def _amount(answer: DesignAnswer, value: float) -> str:
    return f"{dollars(value)} USD" if answer.request.objective == "cost" else seconds(value)


def _runner_up_words(answer: DesignAnswer) -> str:
    if answer.runner_up is None:
        return "none: nothing else in the catalogue meets the request"
    other, chosen = answer.runner_up, answer.chosen
    longer, dearer = other.time_s / chosen.time_s - 1.0, float(other.cost.usd) - float(chosen.cost.usd)
    time = "as fast" if abs(longer) < 5e-7 else f"{percent(abs(longer))} {'slower' if longer > 0 else 'faster'}"
    money = f"{dollars(abs(dearer))} USD {'dearer' if dearer > 0 else 'cheaper'}"
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
    text = f"{found.compared + sum(answer.catalogue.left_out.values()):,} designs"
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
