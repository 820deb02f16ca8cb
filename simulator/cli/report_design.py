"""The answer of design as a page for `--report`: what to buy first, then everything that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.cli.report_sections import (
    Tables,
    assumptions,
    batch_words,
    bill_table,
    drawn,
    rent_table,
    reproduction,
    source_list,
    subtitle,
    trust,
    warning_items,
)
from simulator.cli.words import BOUND_WORDS, number, percent, seconds
from simulator.report import Block, Cell, Facts, Figure, Page, Section, Sources, Table, Text

if TYPE_CHECKING:
    from simulator.scenarios import Scenario
    from simulator.scenarios.designing import DesignAnswer

__all__ = ["design_page"]


def design_page(
    answer: Mapping[str, Any], scenario: Scenario, found: DesignAnswer, tables: Tables, asked: Sequence[object],
    flags: Mapping[str, Any],
) -> Page:  # fmt: skip
    """Return the page of `design`.

    Parameters
    ----------
    answer : mapping
        As run.json has it.
    scenario, found : Scenario, DesignAnswer
        What was asked, and the answer.
    tables : mapping of str to rows
        Those of `--out`.
    asked, flags : sequence, mapping
        Arguments and flags of the command.
    """
    from simulator.cli.design_text import what_to_buy

    sources = Sources()
    sentence, facts = what_to_buy(found)
    chosen = answer["design"]
    curves = "; ".join(f"{one['workload']}: {batch_words(one)}" for one in chosen["workloads"])
    ends = [f"{row['cost_usd']:,.0f} USD for {seconds(row['time_s'])}" for row in answer["frontier"]]
    figures = drawn(
        answer,
        tables,
        {
            "figure_frontier": (
                f"Time to converge against dollars, from {ends[0]} to {ends[-1]}; the design costs "
                f"{chosen['cost_usd']:,.0f} USD and takes {seconds(chosen['time_s'])}."
                if ends
                else "Time against dollars.",
                "What more money buys: the fastest design for the money, with 90 % intervals. A table below has the numbers.",
            ),
            "figure_batches": (
                f"Time to converge against the mini-batch. {curves}.",
                f"How much the mini-batch matters. {curves}.",
            ),
            "figure_spending": (
                "Bars of the dollars of each part, and of the time gained per 1,000 dollars by one step beside the design.",
                "Where the money goes, and what one step beside the design would gain. The tables below have the numbers.",
            ),
            "figure_importance": (
                "Shares of the variance: "
                + ("; ".join(f"{one['group']} {percent(one['share'])}" for one in answer["importance"]) or "none")
                + ".",
                "What the spread of the time comes from, and what the difference from the runner-up hangs on.",
            ),
        },
    )
    sections = [
        Section("What to buy", [Text(sentence, lead=True), Facts(facts)]),
        warning_items(answer),
        Section("What more money buys", [figures["figure_frontier"]]),
        Section("The price", _design_prices(answer, scenario, found, sources)),
        Section("Where the money goes, and one step beside it", [figures["figure_spending"], _certificate(answer)]),
        Section("The jobs", [figures["figure_batches"], _jobs(answer)]),
        Section("How sure", _rivals(answer, figures.get("figure_importance"))),
        Section("Time against dollars", [_frontier(answer)]),
        Section("The best designs at flow level", [_settled(answer)]),
        trust([one.case for one in found.chosen.trained], bills=found.request.terms.kind != "cloud"),
        assumptions([(one.workload, one.scenario, one.case) for one in found.chosen.trained], sources),
    ]
    sections += [source_list(sources), reproduction(answer, [("", scenario)], asked, flags)]
    title = answer["title"] or answer["command"]
    return Page(title=title, subtitle=subtitle(answer, "What shall I buy, and how sure is that?"), sections=sections)


def _design_prices(answer: Mapping[str, Any], scenario: Scenario, found: DesignAnswer, sources: Sources) -> list[Block]:
    chosen, bill = answer["design"], found.chosen.bill
    low, high = answer["cost_usd_interval90"]
    facts = [("in all", f"{chosen['cost_usd']:,.0f} USD, 90 % between {low:,.0f} and {high:,.0f}")]
    if answer["budget_usd"] is not None:
        chance = answer["probability_within_budget"]
        facts.append(("budget", f"{answer['budget_usd']:,.0f} USD, kept with probability {chance:.2f}"))
    facts.append(("of it at prices that nobody checked", f"{answer['unverified_usd']:,.0f} USD"))
    rent = found.chosen.design.option.kind.rent
    if answer["cost_kind"] == "cloud":
        return [Facts(facts), *([rent_table([rent], sources)] if rent is not None else [])]
    purchase = float(bill.purchase.usd)
    facts.append(("purchase", f"{purchase:,.0f} USD"))
    if answer["cost_kind"] == "ownership":
        unchecked = [
            key.removeprefix("cost.")
            for key, record in scenario.records.items()
            if key.startswith("cost.") and record.verified is False
        ]
        doubt = f"; of what it is counted from nobody checked {', '.join(unchecked)}" if unchecked else ""
        facts.append(("power and facility over the life", f"{chosen['cost_usd'] - purchase:,.0f} USD{doubt}"))
    if chosen["power_w"] is not None:
        facts.append(("power drawn while it trains", f"{chosen['power_w'] / 1000:,.4g} kW"))
    return [Facts(facts), bill_table(bill.lines, sources, "Bill of materials")]


def _certificate(answer: Mapping[str, Any]) -> Table:
    rows: list[dict[str, Cell]] = []
    for step in answer["certificate"]:
        gain = step["gain_s_per_usd"]
        rows.append(
            {
                "step": f"{step['component']}: {step['to']}".replace("_", " "),
                "USD more": "-" if step["delta_usd"] is None else f"{step['delta_usd']:+,.0f}",
                "time": "-" if step["delta_s"] is None else _signed(step["delta_s"]),
                "gained per 1,000 USD": "-" if gain is None else _signed(1000 * gain),
                "note": step["reason"],
            }
        )
    return Table(caption="One step beside the design", rows=rows, right=("USD more", "time", "gained per 1,000 USD"))


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "-") + seconds(abs(value))


def _jobs(answer: Mapping[str, Any]) -> Table:
    rows: list[dict[str, Cell]] = []
    for one in answer["design"]["workloads"]:
        time, interval = one["converge_time_s"], one["converge_time_s_interval90"]
        rows.append(
            {
                "job": one["workload"],
                "learners": number(one["learners"]),
                "mini-batch": number(one["batch_samples"]),
                "within 5 % of the best": " to ".join(number(end) for end in one["flat_range_samples"]),
                "updates": number(one["updates"]),
                "an update": seconds(one["update_time_s"]),
                "of it reducing": seconds(one["reduce_time_s"]),
                "time": seconds(time),
                "90 % of a run": "-" if interval is None else " to ".join(seconds(end, like=time) for end in interval),
                "computing time": "estimated, not measured" if one["estimated"] else "measured or given",
                "limited by": BOUND_WORDS[one["bound"]] if one["bound"] else "-",
            }
        )
    numbers = ("learners", "mini-batch", "updates", "an update", "of it reducing", "time")
    return Table(caption="Each job on the design", rows=rows, right=numbers)


def _rivals(answer: Mapping[str, Any], figure: Figure | None) -> list[Block]:
    regret = answer["expected_regret_relative"]
    text = (
        "Everything uncertain is drawn together for all of them, the same draws for each. Expected regret, what the choice "
        f"loses on average against the best of each draw: {percent(regret)}."
    )
    measure = answer["measure_next"] or "nothing here is uncertain: give ranges, or a fit"
    rows: list[dict[str, Cell]] = []
    for one in answer["rivals"]:
        low, high = one["time_interval90"]
        cost = answer["objective"] == "cost"
        ends = (
            f"{low:,.0f} to {high:,.0f} USD"
            if cost
            else f"{seconds(low, like=one['time_s'])} to {seconds(high, like=one['time_s'])}"
        )
        rows.append(
            {
                "design": _design_words(one),
                "USD": f"{one['cost_usd']:,.0f}",
                "time": seconds(one["time_s"]),
                f"90 % of its {'cost' if cost else 'time'}": ends,
                "best with probability": f"{one['probability_best']:.2f}",
            }
        )
    table = Table(
        caption="The design and the best of other nodes and networks",
        rows=rows, right=("USD", "time", "best with probability"), strong=[0],
    )  # fmt: skip
    facts = [("measure next", measure)]
    if answer["certain_links"]:
        links = ", ".join(answer["certain_links"])
        facts.append(("Delta taken as certain", f"{links}: nothing gives a range for what an all-reduce gets of their rate"))
    blocks: list[Block] = [Text(text), table, Facts(facts)]
    return [*blocks, figure] if figure is not None else blocks


def _design_words(row: Mapping[str, Any]) -> str:
    text = f"{row['nodes']} x {row['node']}"
    if row["topology"] is not None:
        text += f", {row['network'] or 'own NICs'} {row['topology'].replace('_', ' ')} {row['oversubscription']:g} : 1"
    return text + (f" ({row['switch']})" if row["switch"] else "")


def _frontier(answer: Mapping[str, Any]) -> Table:
    rows: list[dict[str, Cell]] = []
    strong = []
    chosen = answer["design"]
    for i, one in enumerate(answer["frontier"]):
        low, high = one["time_s_interval90"]
        mine = all(one[key] == chosen[key] for key in ("node", "nodes", "network", "switch", "topology", "oversubscription"))
        over = answer["budget_usd"] is not None and one["cost_usd"] > answer["budget_usd"]
        strong += [i] if mine else []
        rows.append(
            {
                "design": _design_words(one),
                "USD": f"{one['cost_usd']:,.0f}",
                "time": seconds(one["time_s"]),
                "90 % of the mean": f"{seconds(low, like=one['time_s'])} to {seconds(high, like=one['time_s'])}",
                "note": "this design" if mine else "over the budget" if over else "",
            }
        )
    return Table(caption="The fastest design for the money", rows=rows, right=("USD", "time"), strong=strong)


def _settled(answer: Mapping[str, Any]) -> Table:
    rows: list[dict[str, Cell]] = [
        {
            "design": _design_words(one),
            "USD": f"{one['cost_usd']:,.0f}",
            "time": seconds(one["time_s"]),
            "closed form": seconds(one["closed_form_s"], like=one["time_s"]),
            "difference": f"{100 * one['difference']:+.2g} %",
        }
        for one in answer["settled"]
    ]
    caption = "Flows simulated, whole samples and updates, beside the closed form of the search"
    return Table(caption=caption, rows=rows, right=("USD", "time", "closed form", "difference"), strong=[0])
