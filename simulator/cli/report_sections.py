"""What the reports share: prices, assumptions with their sources, how good the laws are, how to reproduce."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.cli.bill_answer import bill_row, dated
from simulator.cli.money import usd
from simulator.cli.words import number, percent, seconds
from simulator.report import Block, Cell, Code, Facts, Figure, Items, Section, SourceList, Sources, Table, Text
from simulator.tables import plain

if TYPE_CHECKING:
    from simulator.costs.bill_of_materials import BillLine
    from simulator.costs.model_cost import ModelCost
    from simulator.costs.price_choice import UnitPrice
    from simulator.scenarios import Case, Scenario

__all__ = [
    "CHECKED",
    "Tables",
    "assumptions",
    "batch_words",
    "bill_table",
    "drawn",
    "price_blocks",
    "rent_table",
    "reproduction",
    "source_list",
    "subtitle",
    "trust",
    "warning_items",
]

Tables = Mapping[str, Sequence[Mapping[str, Any]]]

CHECKED = {True: "yes", False: "NO", None: ""}

NOT_IN_IT = (
    "Data parallelism only: parallelism inside a learner is part of its computing time as measured.",
    "The updates law holds for the training recipe that was measured, with learning rates tuned for every mini-batch. It says "
    "nothing of another recipe, of generalisation, or of the effort of tuning.",
    "A network is simulated as flows that share links, without packets, losses or a library's protocols: a real library can be "
    "faster or slower, and the intervals do not cover that.",
    "Other jobs' traffic, stragglers and failures are not in an answer, nor are storage, start-up and evaluation unless given, "
    "lead times, staff, or discounts.",
    "Prices are quotes of their day. The intervals treat their sources as independent, and do not cover a law that is wrong in "
    "kind.",
)
"""What no answer contains, and a reader of figures might take for granted."""

GROUPS = {
    "updates": {
        "interior": "updates to converge: a batch size between measured ones",
        "largest": "updates to converge: a batch size beyond all measured ones",
    },
    "gamma": {
        "workload_known": "seconds per sample, nobody timed the pair: workload and accelerator both timed with others",
        "workload_known (accelerator_left_out)": "seconds per sample: an accelerator on which nothing was timed",
        "accelerator_known (workload_left_out)": "seconds per sample: a workload that nobody timed anywhere",
    },
    "reduce": {
        "every_second_size": "seconds of an all-reduce: a size between measured ones",
        "largest_p": "seconds of an all-reduce: more devices than measured",
        "largest_p_unseen_tier": "seconds of an all-reduce: the first step across nodes, never measured",
    },
    "network": {"all": "seconds of flows and collectives, against another simulator (SimGrid), not against clusters"},
    "bill-of-materials": {
        "counts": "switches and cables of published clusters",
        "prices": "prices of published clusters, from the unit prices of their sheet",
    },
}
"""Kinds of `validate`: their groups that a report shows, in words."""


def warning_items(answer: Mapping[str, Any]) -> Section:
    """Return the warnings of an answer."""
    said = [warning["text"] for warning in answer["warnings"]]
    return Section("Warnings", [Items(said, warn=True)] if said else [])


def drawn(answer: Mapping[str, Any], tables: Tables, words: Mapping[str, tuple[str, str]]) -> dict[str, Figure]:
    """Draw the figures of an answer.

    Parameters
    ----------
    answer : mapping
        As run.json has it.
    tables : mapping of str to rows
        Those of `--out`.
    words : mapping of str to (str, str)
        What a figure shows in words, and its caption, by name.
    """
    from simulator.report import drawn_figures

    needed = {name: rows for name, rows in tables.items() if name in ("batch.csv", "curve.csv")}
    figures = drawn_figures(answer, needed)
    return {name: Figure(png=png, alt=words[name][0], caption=words[name][1]) for name, png in figures.items() if name in words}


def bill_table(lines: Iterable[BillLine], sources: Sources, caption: str) -> Table:
    """Return a bill with the price of every part: ends, kind, date, source, and whether somebody checked it; the sum last."""
    rows: list[dict[str, Cell]] = []
    total, doubtful, unpriced = 0.0, 0.0, False
    for line in lines:
        row = bill_row(line)
        priced = row["unit_usd"] is not None
        nothing = f"in the price of the {row['paid_by']}" if row["paid_by"] else f"NO PRICE: {row['why_not']}"
        unpriced |= row["why_not"] is not None
        total += row["usd"] or 0.0
        doubtful += 0.0 if row["verified"] else row["usd"] or 0.0
        ranged = priced and row["low_usd"] < row["high_usd"]
        rows.append(
            {
                "part": f"{row['part']} {row['id'] or ''}".strip(),
                "count": number(row["count"]),
                "USD each": usd(row["unit_usd"]) if priced else "",
                "USD": f"{row['usd']:,.0f}" if priced else "",
                "lowest to highest USD": f"{row['low_usd']:,.0f} to {row['high_usd']:,.0f}" if ranged else "",
                "price": row["kind"].replace("_", " ") if priced else nothing,
                "of": dated(row, ", OLD"),
                "checked": CHECKED[row["verified"]],
                "source": sources.mark(row["source"]),
            }
        )
    if not rows:
        return Table(caption=caption, rows=[])
    strong = [len(rows)]
    whole = {"USD": "-", "price": "no total: a part has no price"} if unpriced else {"USD": f"{total:,.0f}"}
    rows.append({**dict.fromkeys(rows[0], ""), "part": "purchase", **whole})
    if doubtful:
        share = "" if unpriced else f"{percent(doubtful / total)} of the purchase"
        part = "of it at prices that nobody checked"
        rows.append(
            {**dict.fromkeys(rows[0], ""), "part": part, "USD": f"{doubtful:,.0f}", "price": share, "checked": CHECKED[False]}
        )
    return Table(caption=caption, rows=rows, right=("count", "USD each", "USD"), strong=strong, doubt=CHECKED[False])


def rent_table(rents: Sequence[UnitPrice], sources: Sources) -> Table:
    """Return the price of an hour of each thing that is rented."""
    rows: list[dict[str, Cell]] = [
        {
            "rented": rent.called,
            "USD an hour": usd(rent.usd),
            "lowest to highest": f"{usd(rent.low_usd)} to {usd(rent.high_usd)}" if rent.has_range else "",
            "price": rent.kind.replace("_", " "),
            "of": f"{rent.quoted}{', OLD' if rent.old else ''}",
            "checked": CHECKED[rent.verified],
            "source": sources.mark(rent.source),
        }
        for rent in rents
    ]
    return Table(caption="Rent", rows=rows, right=("USD an hour",), doubt=CHECKED[False])


def subtitle(answer: Mapping[str, Any], question: str) -> str:
    """Return the line below the title."""
    seed = f", seed {answer['seed']}" if answer["seed"] is not None else ""
    return f"{question} Answered by learnersim {answer['versions']['learnersim']} {answer['command']}{seed}."


def batch_words(row: Mapping[str, Any]) -> str:
    """Say how the time of a case depends on its mini-batch."""
    low, high = row["flat_range_samples"]
    return (
        f"{number(row['learners'])} learners take {seconds(row['converge_time_s'])} at a mini-batch of "
        f"{number(row['batch_samples'])} samples; from {number(low)} to {number(high)} samples at most 5 % longer"
    )


def price_blocks(cost: ModelCost | None, sources: Sources, caption: str) -> list[Block]:
    """Return the prices that a cost rests on: of parts, or of an hour."""
    if cost is None:
        return []
    if cost.terms.kind == "cloud":
        return [] if cost.rent is None else [rent_table([cost.rent], sources)]
    if cost.bill is None:
        return []
    return [bill_table(cost.bill.lines, sources, caption), *_over_life(cost)]


def _over_life(cost: ModelCost) -> list[Block]:
    """Return what a cluster that is housed and powered costs besides its purchase; nothing where that is not counted."""
    terms, total, bill = cost.terms, cost.total, cost.bill
    if terms.kind != "ownership" or total is None or bill is None:
        return []
    power = f"{usd(float(terms.power_usd(bill.power_w)))} USD, {float(bill.power_w) / 1e3:,.4g} kW at "
    power += f"{terms.electricity_usd_per_kwh:g} USD a kWh and a PUE of {terms.pue:g}"
    facility = terms.facility_usd_per_node * cost.units
    return [
        Facts(
            [
                ("power over the life", power),
                ("facility over the life", f"{usd(facility)} USD" if facility else "not counted"),
                ("in all, over the life", f"{usd(float(total.usd))} USD"),
            ]
        )
    ]


def assumptions(cases: Sequence[tuple[str, Scenario, Case]], sources: Sources) -> Section:
    """Return every number behind an answer, as `explain` lists them; what several cases share stands once."""
    from simulator.scenarios.explain import explanation

    found: dict[tuple[str, str, str], tuple[dict[str, Any], list[str]]] = {}
    for name, scenario, case in cases:
        for row in explanation(scenario, case):
            key = row["key"].replace(f"workload[{case.workload_index}]", case.workload)
            entry = found.setdefault((key, _value(row), row["source"] or ""), (row, []))
            entry[1].append(name)
    rows: list[dict[str, Cell]] = []
    for (key, value, source), (row, names) in found.items():
        stated = row["verified"] is not None or source.endswith((".toml)", ".csv)"))
        cells: dict[str, Cell] = {"number": key}
        if len(cases) > 1:
            cells["for"] = "all" if len(names) == len(cases) else ", ".join(dict.fromkeys(names))
        cells |= {
            "value": value,
            "checked": CHECKED[row["verified"]],
            "source": sources.mark(source) if stated else source,
            "used in": row["equation"] or "",
        }
        rows.append(cells)
    text = "Every number behind the answer, with its range where one is known. NO: nobody has checked it against its source."
    table = Table(caption="Numbers, defaults and what follows from them", rows=rows, doubt=CHECKED[False])
    return Section("Assumptions", [Text(text), table])


def _value(row: Mapping[str, Any]) -> str:
    value = row["value"]
    if row["key"] == "seed":  # a name rather than a quantity
        return str(value)
    text = f"{value:,.10g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    text = "-" if value is None else text
    if row["low"] is not None and row["high"] is not None:
        text += f" ({row['low']:,.6g} to {row['high']:,.6g})"
    return f"{text} {row['unit']}" if row["unit"] and value is not None else text


def trust(cases: Sequence[Case], *, bills: bool) -> Section:
    """Return how far the laws of an answer were off on published data, and what is in no answer.

    Parameters
    ----------
    cases : sequence of Case
        Whose laws are used.
    bills : bool
        Whether parts of a cluster were counted.
    """
    from simulator.validation.published import published_errors

    kinds, notes = ["updates"], []
    measured = [case.workload for case in cases if case.estimated is None]
    if len(measured) < len(cases):
        kinds.append("gamma")
    if measured:
        names = ", ".join(dict.fromkeys(measured))
        notes.append(f"The computing time of {names} was measured on this accelerator or is given, not predicted.")
    laws = {type(case.model.reduce).__name__: case.model.reduce for case in cases}
    if any(hasattr(law, "network") for law in laws.values()):
        kinds.append("network")
    if any(not hasattr(law, "network") and name not in ("NoReduce",) for name, law in laws.items()):
        kinds.append("reduce")
    if bills:
        kinds.append("bill-of-materials")
    errors = {(row["kind"], row["group"]): row for row in published_errors()}
    rows = [
        _error_cells(words, errors[(kind, group)])
        for kind in kinds
        for group, words in GROUPS[kind].items()
        if (kind, group) in errors
    ]
    table = Table(
        caption="Errors on published data that the prediction had not seen",
        rows=rows,
        right=(
            "cases",
            "half of the errors are below",
            "nine of ten are below",
            "inside the 90 % interval",
            "upper / lower end",
        ),
    )
    anew = f"Computed anew by learnersim validate {', '.join(kinds)}; the data and their sources come with it."
    blocks: list[Block] = [table, Text(anew)]
    blocks.append(Items([*notes, *NOT_IN_IT]))
    return Section("How far to trust the laws", blocks)


def _error_cells(words: str, row: Mapping[str, Any]) -> dict[str, Cell]:
    ratio = row["median_ratio90"]
    return {
        "prediction of": words,
        "cases": number(row["cases"]),
        "half of the errors are below": _error(row["median_abs_error"]),
        "nine of ten are below": _error(row["p90_abs_error"]),
        "inside the 90 % interval": "-" if row["coverage90"] is None else percent(row["coverage90"]),
        "upper / lower end": "-" if ratio is None else f"{ratio:.3g}",
    }


def _error(fraction: float) -> str:
    return f"{fraction:.0e}" if 0 < fraction < 1e-5 else percent(fraction)


def source_list(sources: Sources) -> Section:
    """Return what the marks of the page stand for."""
    return Section("Sources", [SourceList(sources)] if sources.listed else [])


def _differing(one: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of nested tables differs from those of another scenario; what is gone is null."""
    found: dict[str, Any] = {key: None for key in first if key not in one}
    for key, value in one.items():
        other = first.get(key)
        if value != other:
            found[key] = _differing(value, other) if isinstance(value, dict) and isinstance(other, dict) else value
    return found


def reproduction(
    answer: Mapping[str, Any], scenarios: Sequence[tuple[str, Scenario]], arguments: Sequence[object], flags: Mapping[str, Any]
) -> Section:
    """Return how to get the same answer: the command, the versions, the seed, and the scenario as resolved.

    Parameters
    ----------
    answer : mapping
        As run.json has it.
    scenarios : sequence of (str, Scenario)
        What the answer was computed from, each with what it is called.
    arguments : sequence
        What the command was given.
    flags : mapping of str to object
        Flags by name; those that are None were not given.
    """
    words = ["learnersim", answer["command"], *map(str, arguments)]
    for name, value in flags.items():
        words += [f"--{name}", str(value)] if value is not None else []
    facts = [
        ("command", shlex.join(words)),
        ("seed", str(answer["seed"]) if answer["seed"] is not None else "-"),
        ("versions", ", ".join(f"{name} {version}" for name, version in answer["versions"].items())),
    ]
    blocks: list[Block] = [Facts(facts)]
    text = "What it was computed from, profiles laid in (ranges and sources stand under Assumptions)"
    first: dict[str, Any] = {}
    for name, scenario in scenarios:
        resolved = plain(scenario.resolved()["scenario"])
        if not first:
            first = resolved
            blocks.append(Text(f"{text}{f': {name}' if name else ''}."))
        else:
            resolved = _differing(resolved, first)
            blocks.append(Text(f"Of {name}, where it differs:"))
        blocks.append(Code(json.dumps(resolved, indent=1, ensure_ascii=False, default=str)))
    return Section("How to reproduce this page", blocks)
