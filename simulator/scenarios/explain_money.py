"""Where the dollars of an answer come from: defaults of [cost], the price of each part, and what they add up to."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.costs.model_cost import ModelCost
from simulator.costs.ownership import DEFAULT_PUE
from simulator.costs.price_choice import UnitPrice

__all__ = ["money_rows"]

PUE_SOURCE = "average of a survey of data centres: Uptime Institute, quoted by upsite.com, 2023"
READ_BY = {
    "purchase": ("life_s", "utilisation"),
    "ownership": ("life_s", "utilisation", "pue", "facility_usd_per_node", "idle_power"),
    "cloud": (),
}
"""Keys of [cost] that each kind reads and that have a default."""
UNITS = {"life_s": "s", "facility_usd_per_node": "USD"}


def _row(key: str, value: Any, unit: str | None, source: str, equation: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "key": key, "value": value, "unit": unit, "source": source, "verified": None, "equation": equation,
        "low": None, "high": None, **more,
    }  # fmt: skip


def money_rows(cost: ModelCost, given: set[str]) -> list[dict[str, Any]]:
    """Return the rows of `explain` for money.

    Parameters
    ----------
    cost : ModelCost
        Of the case.
    given : set of str
        Keys that have a row already: what the file gives.
    """
    rows = []
    for name in READ_BY[cost.terms.kind]:
        if f"cost.{name}" not in given:
            source = f"default: {PUE_SOURCE}" if name == "pue" and cost.terms.pue == DEFAULT_PUE else "default"
            rows.append(_row(f"cost.{name}", getattr(cost.terms, name), UNITS.get(name), source))
    rows += [_row(f"no cost: {reason}", None, None, "price book") for reason in cost.missing]
    if cost.terms.kind == "cloud":
        if cost.rent is not None and cost.rent.kind != "given":
            rows.append(_price_row(f"hour of {cost.rent.called}", cost.rent, "cost = nodes*T_C*price"))
        return rows
    if cost.bill is None:
        return rows
    for line in cost.bill.lines:
        name = f"{line.part} {line.item}"
        paid_by = f" (in the price of the {line.paid_by})" if line.paid_by and not np.any(line.paid) else ""
        rows.append(_row(f"count of {name}{paid_by}", float(line.count), None, "from the cluster and [network]"))
        if line.price is not None and np.any(line.paid):
            rows.append(_price_row(f"price of {name}", line.price, "purchase = sum of count*price"))
    for key, value, unit, how in (
        ("purchase", cost.bill.purchase.usd, "USD", "sum of count*price"),
        ("power", cost.bill.power_w, "W", "nodes and switches, as their profiles say"),
        ("total over the life", None if cost.total is None else cost.total.usd, "USD", "purchase + facility + power"),
    ):
        if value is not None and np.isfinite(value) and (key == "purchase" or cost.terms.kind == "ownership"):
            rows.append(_row(key, float(value), unit, how))
    return rows


def _price_row(key: str, price: UnitPrice, equation: str) -> dict[str, Any]:
    return _row(
        key,
        price.usd,
        "USD",
        f"{price.source}, {price.date}, {price.kind}" + (", OLD" if price.old else ""),
        equation,
        verified=price.verified,
        low=price.low_usd if price.has_range else None,
        high=price.high_usd if price.has_range else None,
    )
