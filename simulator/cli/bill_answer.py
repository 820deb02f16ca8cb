"""A bill of materials as JSON keys and as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from simulator.cli.money import book_age, break_even_words, usd
from simulator.cli.output import footnotes, print_footnotes, print_lines, print_table
from simulator.cli.words import aligned, figure_value, number, percent
from simulator.costs.price_choice import NOT_STATED
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.costs.bill_of_materials import BillLine
    from simulator.costs.fat_tree_counts import FatTreeCounts
    from simulator.costs.model_cost import ModelCost
    from simulator.costs.price_choice import PriceList

__all__ = ["bill_keys", "bill_row", "break_even_keys", "counted_keys", "dated", "print_bill"]

ROW_KEYS = (
    *("item", "count", "unit_usd", "usd", "source", "verified", "part", "id", "scope", "kind", "low_usd", "high_usd", "date"),
    *("currency", "old", "paid_by", "why_not", "power_w"),
)
KEYS = (
    *("rows", "total_usd", "total_usd_range", "nodes", "tiers", "end_ports", "power_w", "unverified_usd", "unverified_share"),
    *("unpriced", "price_dates", "price_book_newest", "over_life", "break_even", "simulated_switches"),
)
TIERS = ("leaf", "spine", "core")


def counted_keys(found: FatTreeCounts, end_ports: int, built: Sequence[int] | None) -> dict[str, Any]:
    """Return the keys of a fabric that is counted without prices; `built`: switches by tier of the simulated one."""
    parts = (
        ("leaf switch", found.leaf),
        ("spine switch", found.spine),
        ("core switch", found.core),
        ("cable node-leaf", found.cables_node_leaf),
        ("cable leaf-spine", found.cables_leaf_spine),
        ("cable spine-core", found.cables_spine_core),
    )
    nothing = dict.fromkeys(ROW_KEYS)
    rows = [{**nothing, "item": part, "part": part, "count": int(count)} for part, count in parts if count]
    own = {"rows": rows, "tiers": int(found.tiers), "end_ports": end_ports, "simulated_switches": _simulated(built)}
    return {**dict.fromkeys(KEYS), **own}


def _simulated(built: Sequence[int] | None) -> dict[str, int] | None:
    return None if built is None else dict(zip(TIERS, built, strict=True))


def _wiring(own: dict[str, Any]) -> list[tuple[str, str]]:
    """Say where the tree that the network model simulates has more switches than the bill; nothing where both agree."""
    built = own["simulated_switches"]
    bought = {row["part"].removesuffix(" switch"): row["count"] for row in own["rows"]}
    if built is None or all(built[tier] == bought.get(tier, 0) for tier in TIERS):
        return []
    more = sum(built[tier] - bought.get(tier, 0) for tier in TIERS)
    listed = ", ".join(f"{number(built[tier])} {tier}" for tier in TIERS if built[tier])
    return [
        ("simulated", f"network and run take a tree with {number(more)} more switches: {listed}; its wiring is regular,"),
        ("", "that of the bill, which has the fewest switches that carry the traffic, is not"),
    ]


def bill_row(line: BillLine) -> dict[str, Any]:
    """Return the keys of one line of a bill."""
    price, paid = line.price, float(line.paid) > 0
    entered = price if paid else None
    amount = line.amount
    return {
        "item": f"{line.part} {line.item}",
        "count": int(line.count),
        "unit_usd": entered.usd if entered else None,
        "usd": float(amount.usd) if entered else None,
        "source": entered.source if entered else None,
        "verified": entered.verified if entered else None,
        "part": line.part,
        "id": line.item,
        "scope": line.scope,
        "kind": entered.kind if entered else None,
        "low_usd": float(amount.low_usd) if entered else None,
        "high_usd": float(amount.high_usd) if entered else None,
        "date": entered.date if entered else None,
        "currency": entered.currency if entered else None,
        "old": entered.old if entered else None,
        "paid_by": None if paid else line.paid_by,
        "why_not": line.why_not if paid and price is None else None,
        "power_w": None if line.power_w is None else float(line.drawn_w) or None,
    }


def dated(row: dict[str, Any], old: str) -> str:
    """Write the date of a row's price, with its currency where that is not dollars, and the mark of an outdated one."""
    if not row["date"]:
        return ""
    currency = "" if row["currency"] == "USD" else f", in {row['currency']}"
    return f"{row['date']}{currency}{old if row['old'] else ''}"


def _finite(value: Any) -> float | None:
    """Return a number, or None where there is none."""
    return float(value) if math.isfinite(value) else None


def break_even_keys(cost: ModelCost) -> dict[str, Any] | None:
    """Return where renting a cluster and buying it cost the same; None where one of them has no price."""
    found = cost.break_even()
    if found is None or cost.rent is None:
        return None
    return {
        "hours": _finite(found.hours),
        "hours_range": [_finite(found.low_hours), _finite(found.high_hours)],
        "utilisation": _finite(found.utilisation),
        "usd_per_node_hour": _finite(found.usd_per_node_hour),
        "rent_usd_per_node_hour": cost.rent.usd,
        "rent_kind": cost.rent.kind,
        "rent_source": cost.rent.source,
        "rent_verified": cost.rent.verified,
        "cheaper": "rent" if found.rent_is_cheaper else "buy",
        "at_utilisation": cost.terms.utilisation,
        "life_s": cost.terms.life_s,
        "with_power_and_facility": cost.terms.kind == "ownership",
    }


def bill_keys(cost: ModelCost, prices: PriceList, built: Sequence[int] | None = None) -> dict[str, Any]:
    """Return the keys of a bill with its prices; `built`: switches by tier of the simulated fabric."""
    from simulator.costs.model_cost import unverified_share
    from simulator.costs.ownership import owned

    bill, terms = cost.bill, cost.terms
    assert bill is not None
    if not bill.end_ports == 0 and not bill.tiers >= 0:
        raise SimulatorError(
            f"{bill.end_ports:,.0f} end ports do not fit the switches: take more tiers, or switches with more ports"
        )
    total = bill.purchase
    used = [(line.price, float(line.amount.usd)) for line in bill.lines if line.price is not None and float(line.paid) > 0]
    dates = sorted(price.date for price, _ in used)
    life = None
    if terms.kind == "ownership":
        everything = owned(total, cost.units, bill.power_w, terms)
        life = {
            "life_s": terms.life_s,
            "utilisation": terms.utilisation,
            "facility_usd": terms.facility_usd_per_node * cost.units,
            "power_usd": _finite(terms.power_usd(bill.power_w)),
            "total_usd": _finite(everything.usd),
        }
    return {
        "rows": [bill_row(line) for line in bill.lines],
        "total_usd": _finite(total.usd),
        "total_usd_range": None if _finite(total.usd) is None else [float(total.low_usd), float(total.high_usd)],
        "nodes": cost.units,
        "tiers": int(bill.tiers),
        "end_ports": int(bill.end_ports),
        "power_w": _finite(bill.power_w),
        "unverified_usd": _finite(bill.unverified_usd),
        "unverified_share": unverified_share(used) if _finite(total.usd) is not None else None,
        "unpriced": [line.why_not for line in bill.unpriced],
        "price_dates": [dates[0], dates[-1]] if dates else None,
        "price_book_newest": prices.newest,
        "over_life": life,
        "break_even": break_even_keys(cost),
        "simulated_switches": _simulated(built),
    }


def print_bill(title: str, own: dict[str, Any], cost: ModelCost | None, prices: PriceList | None) -> None:
    """Print a bill: the total, the parts, what else it takes, where the prices stand."""
    rows = own["rows"]
    plural = "" if own["nodes"] == 1 else "s"
    tiers = {0: "no switches", 1: "one tier of switches"}.get(int(own["tiers"]), f"{own['tiers']:.0f} tiers of switches")
    what = (
        f"{number(own['nodes'])} node{plural}, {number(own['end_ports'])} end ports, {tiers}"
        if own["nodes"]
        else f"{number(own['end_ports'])} end ports, {tiers}"
    )
    head = "counts alone"
    if own["total_usd"] is not None:
        low, high = own["total_usd_range"]
        head = f"{usd(own['total_usd'])} USD"
        head += f" ({usd(low)} to {usd(high)} at the ends of the prices)" if low < high else ""
        head += f"; {percent(own['unverified_share'])} by prices nobody checked"
    elif cost is not None:
        head = "no total: a part has no price"
    print_lines([*([title, ""] if title else []), f"{head}; {what}", ""])
    renting = cost.rent.source if cost is not None and cost.rent is not None and own["break_even"] is not None else None
    marks = footnotes([*(row["source"] for row in rows), renting if renting != NOT_STATED else None])
    cells = []
    for row in rows:
        line = {"part": row["part"], "item": row["id"] or "", "count": number(row["count"])}
        if cost is not None:
            doubt = {True: "yes", False: "NOT", None: ""}[row["verified"]]
            nothing = f"in the {row['paid_by']}" if row["paid_by"] else "NO PRICE"
            line |= {
                "each (USD)": usd(row["unit_usd"]) if row["unit_usd"] is not None else nothing,
                "USD": usd(row["usd"]) if row["usd"] is not None else "-",
                "date": dated(row, " old"),
                "checked": doubt,
                "source": marks.get(row["source"], ""),
            }
        cells.append(line)
    print_table(cells, right=("count", "each (USD)", "USD"))
    facts = _wiring(own)
    if cost is None or prices is None:
        print_lines(["", *aligned(facts)] if facts else [])
        return
    power = own["power_w"]
    facts.append(("power", figure_value("power_w", power) if power is not None else "not known: a profile has no figure"))
    life = own["over_life"]
    if life is not None and life["total_usd"] is None:
        facts.append(("over its life", f"not known: {'; '.join(cost.missing)}"))
    elif life is not None:
        facts.append(
            (
                "over its life",
                f"{usd(life['total_usd'])} USD: with facility {usd(life['facility_usd'])} and power {usd(life['power_usd'])}",
            )
        )
    found = cost.break_even()
    if found is not None and cost.rent is not None:
        rent = cost.rent
        checked = "" if rent.verified else ", nobody checked it"
        facts += break_even_words(found, cost.terms)
        of = f", {rent.quoted}" if rent.date != NOT_STATED else ""
        together = f" ({rent.called})" if rent.together != 1.0 else ""
        mark = f" {marks[rent.source]}" if rent.source in marks else ""
        facts.append(("", f"against {usd(rent.usd)} USD{together}, {rent.kind.replace('_', ' ')}{of}{checked}{mark}"))
        if cost.terms.committed:
            facts.append(("", "reserved hours are paid whether used or not"))
        if cost.terms.kind != "ownership":
            facts.append(("", "power and facility are not in it: [cost] kind = 'ownership' has them"))
    elif cost.why_no_rent:
        facts.append(("rent or buy", f"no rent known: {cost.why_no_rent}"))
    facts.append(("prices", book_age(prices)))
    print_lines(["", *aligned(facts)])
    if marks:
        print_footnotes(marks)
