"""The dollars of a design under draws: of every price with a range, of tariff, PUE, facility, and of times where rented."""

from __future__ import annotations

import numpy as np

from simulator.costs.bill_of_materials import BillOfMaterials
from simulator.costs.price_choice import UnitPrice
from simulator.profiles import load_profile
from simulator.quantities import FloatArray
from simulator.scenarios.catalogue import spelled
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.settled import Settled
from simulator.studies.chances import Normals, two_piece_factor
from simulator.studies.discrete.catalogue import Request

__all__ = ["bill_draws", "cost_draws", "cost_groups", "price_name", "running_cost_doubts"]

POWER_KEYS = ("electricity_usd_per_kwh", "pue")
"""Keys of [cost] that the dollars of power are proportional to."""
FACILITY_KEYS = ("facility_usd_per_node",)


def price_name(price: UnitPrice) -> str:
    """Return the name of a price as a quantity."""
    return f"price of {price.item} per {price.scope.replace('_', ' ')}"


def bill_draws(bill: BillOfMaterials, normals: Normals) -> FloatArray:
    """Return the dollars of a bill of one design for every draw of its prices."""
    total = np.zeros(normals.draws)
    for line in bill.lines:
        if line.price is not None and float(line.paid) > 0:
            total = total + float(line.paid) * line.price.usd * _price_factor(line.price, normals)
    return total


def cost_draws(scenario: Scenario, request: Request, one: Settled, normals: Normals) -> FloatArray:
    """Return the dollars of a design over its life for every draw.

    Parameters
    ----------
    scenario : Scenario
        Whose [cost] may give ranges.
    request, one : Request, Settled
        How money is counted, and the design.
    normals : Normals
        The draws.
    """
    usd = float(one.cost.usd)
    if request.terms.kind == "cloud":
        rent = one.design.option.kind.rent
        assert rent is not None
        times = np.stack([trained.spread.time_s(normals) for trained in one.trained])
        central = np.array([[trained.answer.converge_time_s] for trained in one.trained])
        runs = np.array([job.runs_per_year for job in one.design.option.kind.jobs])
        runs = runs if runs.any() else np.ones(len(runs))
        return usd * (runs @ times) / float((runs @ central)[0]) * _price_factor(rent, normals)
    total = bill_draws(one.bill, normals)
    if request.terms.kind == "ownership":
        power = float(request.terms.power_usd(one.bill.power_w))
        facility = request.terms.facility_usd_per_node * one.design.nodes
        total = total + power * _factor(scenario, POWER_KEYS, normals) + facility * _factor(scenario, FACILITY_KEYS, normals)
    return total


def cost_groups(scenario: Scenario, request: Request, one: Settled) -> dict[str, tuple[str, ...]]:
    """Return the quantities that the dollars of a design hang on, by group."""
    if request.terms.kind == "cloud":
        rent = one.design.option.kind.rent
        priced = [rent] if rent is not None else []
        groups = {group: names for trained in one.trained for group, names in trained.spread.groups.items()}
    else:
        priced = [line.price for line in one.bill.lines if line.price is not None and float(line.paid) > 0]
        groups = {}
    if request.terms.kind == "ownership":
        for key in (*POWER_KEYS, *FACILITY_KEYS):
            if _ends(scenario, key) is not None:
                groups[f"cost.{key}"] = (f"cost.{key}",)
    return groups | {price_name(price): (price_name(price),) for price in priced if price.has_range}


def running_cost_doubts(scenario: Scenario, request: Request, one: Settled) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the dollars of power and facility rest on that nobody checked, and what is a default; nothing unless owned.

    Tariff, PUE and facility of [cost], and the watts of the profiles of nodes and switches.
    """
    if request.terms.kind != "ownership":
        return (), ()
    keys = (*POWER_KEYS, *FACILITY_KEYS)
    unchecked = [key for key in keys if (record := scenario.records.get(f"cost.{key}")) and record.verified is False]
    option = one.design.option
    parts = [("nodes", "node", option.kind.name), ("switches", "switch", option.switch if one.design.nodes > 1 else None)]
    for kind, key, name in parts:
        if name is not None:
            spelling = spelled(scenario, key, name)
            records = load_profile(kind, spelling, beside=scenario.folder, profile_folders=scenario.profile_folders)[1]
            if "power_w" in records and records["power_w"].verified is False:
                unchecked.append(f"power_w of {name}")
    cost = scenario.sections.cost
    return tuple(unchecked), tuple(key for key in keys if getattr(cost, key, None) is None)


def _price_factor(price: UnitPrice, normals: Normals) -> FloatArray:
    return two_piece_factor(normals[price_name(price)], price.usd, price.low_usd, price.high_usd)


def _ends(scenario: Scenario, key: str) -> tuple[float, float, float] | None:
    """Return a number of [cost] with its range; None where it has none."""
    cost, record = scenario.sections.cost, scenario.records.get(f"cost.{key}")
    value = getattr(cost, key, None)
    if not value or record is None or (record.low is None and record.high is None):
        return None
    return value, record.low or value, record.high or value


def _factor(scenario: Scenario, keys: tuple[str, ...], normals: Normals) -> FloatArray:
    """Return what dollars are multiplied by for the draws of keys that they are proportional to."""
    factor = np.ones(normals.draws)
    for key in keys:
        ends = _ends(scenario, key)
        if ends is not None:
            factor = factor * two_piece_factor(normals[f"cost.{key}"], *ends)
    return factor
