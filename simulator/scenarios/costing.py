"""From [cost], [cluster] and [network] to what a model costs: the price book, the terms, the plan of the cluster."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.costs.bill_of_materials import ClusterPlan, bill_of
from simulator.costs.model_cost import ModelCost
from simulator.costs.ownership import DEFAULT_LIFE_S, DEFAULT_PUE, CostTerms
from simulator.costs.price_book import load_price_book
from simulator.costs.price_choice import NOT_STATED, PriceList, RentKind, UnitPrice
from simulator.errors import (
    Fault,
    MissingPriceWarning,
    OldPriceWarning,
    ScenarioError,
    TopologyError,
    UnverifiedWarning,
)
from simulator.profiles import Network, Node, Switch, load_profile, names, shipped_folder
from simulator.scenarios.cluster_sections import CostSection
from simulator.scenarios.resolve import Scenario

__all__ = [
    "cost_terms_of",
    "fitting_networks",
    "fitting_switches",
    "misfit",
    "model_cost_of",
    "plan_of",
    "price_list_of",
    "rent_of",
    "warn_about_old_prices",
    "warn_about_prices",
]

SAME_RATE = 0.01
"""Relative difference up to which a port and a link have the same rate: 56 and 56.25 Gbit/s."""
FAMILIES = {
    "infiniband": "InfiniBand",
    "roce": "Ethernet",
    "ethernet": "Ethernet",
    "omni_path": "Omni-Path",
    "slingshot": "Slingshot",
}
"""Kind of a network profile: how the fabric of its switches begins."""


def price_list_of(scenario: Scenario) -> PriceList:
    """Return the prices of a scenario: its book, and its rates of other currencies.

    Raises
    ------
    ScenarioError
        With every fault of the book.
    """
    cost = scenario.sections.cost
    book = "shipped" if cost is None else cost.prices
    path = shipped_folder("hardware_profiles") / "prices.csv" if book == "shipped" else scenario.folder / book
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    rates = tuple(sorted(cost.usd_per.items())) if cost is not None else ()
    return _prices(path, "prices.csv" if book == "shipped" else str(path), stamp, rates)


@lru_cache(maxsize=4)
def _prices(path: Path, called: str, stamp: int, usd_per: tuple[tuple[str, float], ...]) -> PriceList:
    del stamp  # a book that was written anew is read anew
    return PriceList(book=load_price_book(path, name=called), usd_per=dict(usd_per))


def cost_terms_of(cost: CostSection) -> CostTerms:
    """Return how money is counted; what [cost] leaves out has its default."""
    return CostTerms(
        kind=cost.kind,
        life_s=cost.life_s if cost.life_s is not None else DEFAULT_LIFE_S,
        utilisation=cost.utilisation if cost.utilisation is not None else 1.0,
        electricity_usd_per_kwh=cost.electricity_usd_per_kwh,
        pue=cost.pue if cost.pue is not None else DEFAULT_PUE,
        facility_usd_per_node=cost.facility_usd_per_node or 0.0,
        idle_power=cost.idle_power if cost.idle_power is not None else 1.0,
        committed=cost.rent == "reserved",
    )


def _profiles(kind: str, profile_folders: Iterable[Path]) -> list[Any]:
    folders = list(profile_folders)
    return [load_profile(kind, name, profile_folders=folders)[0] for name in names(kind, folders)]


def _fit(network: Network, switch: Switch) -> bool:
    family = FAMILIES.get(network.kind)
    return (
        family is not None
        and (switch.fabric or "").startswith(family)
        and abs(switch.port_bandwidth_bytes_per_s / network.bandwidth_bytes_per_s - 1.0) <= SAME_RATE
    )


def misfit(network: Network | None, switch: Switch | None) -> str:
    """Say why links of this network cannot be plugged into this switch; empty where they can, or nobody knows."""
    if network is None or switch is None:
        return ""
    family = FAMILIES.get(network.kind)
    if family is not None and switch.fabric is not None and not switch.fabric.startswith(family):
        return f"{switch.name} is a switch of {switch.fabric}, {network.name} needs one of {family}"
    if switch.port_bandwidth_bytes_per_s < network.bandwidth_bytes_per_s * (1.0 - SAME_RATE):
        rates = (8e-9 * switch.port_bandwidth_bytes_per_s, 8e-9 * network.bandwidth_bytes_per_s)
        return f"{switch.name} has ports of {rates[0]:g} Gbit/s, {network.name} needs {rates[1]:g}"
    return ""


def fitting_switches(network: Network, profile_folders: Iterable[Path] = ()) -> tuple[Switch, ...]:
    """Return the switches whose ports are of this network: same family, same rate; by name."""
    return tuple(switch for switch in _profiles("switches", profile_folders) if _fit(network, switch))


def fitting_networks(switch: Switch, profile_folders: Iterable[Path] = ()) -> tuple[Network, ...]:
    """Return the networks that the ports of this switch are of, RDMA before the same without; by name."""
    found = [network for network in _profiles("networks", profile_folders) if _fit(network, switch)]
    return tuple(sorted(found, key=lambda network: not network.rdma))


def plan_of(scenario: Scenario) -> ClusterPlan | str:
    """Return what the cluster of a scenario is built from, or why nobody can tell."""
    node, cluster, network = scenario.node, scenario.sections.cluster, scenario.sections.network
    if node is None or cluster is None:
        return "cluster.accelerator has no server around it: name a node, whose price is known"
    if _nodes(scenario) == 1:
        return ClusterPlan(node=node)
    if network is None:
        return "there is no [network]: switches and cables between the nodes are not known"
    if network.topology is None or network.topology == "graph":
        return "a graph does not say which of its nodes are switches, and of which kind"

    def load(kind: str, name: str) -> Any:
        return load_profile(kind, name, beside=scenario.folder, profile_folders=scenario.profile_folders)[0]

    switch: Switch | None = load("switches", network.switch) if network.switch else None
    link: Network | None = None
    if isinstance(network.host_link, str):
        link = load("networks", network.host_link)
    elif network.host_link is None and switch is not None:
        link = next(iter(fitting_networks(switch, scenario.profile_folders)), None)
    wrong = misfit(link, switch)
    if wrong:
        return f"network.switch does not fit: {wrong}"
    try:
        return ClusterPlan(node=node, topology=network.topology, network=link, switch=switch, down=network.down, up=network.up)
    except TopologyError as error:
        return f"network.{error}"


def _nodes(scenario: Scenario) -> int | None:
    """Return the nodes of the cluster; None without a node profile."""
    cluster, node = scenario.sections.cluster, scenario.node
    if cluster is None or node is None:
        return None
    return cluster.nodes if cluster.nodes is not None else -(-(cluster.accelerators or 0) // node.accelerators)


def rent_of(
    node: Node | None, accelerator: str, prices: PriceList, kind: RentKind = "on_demand"
) -> tuple[UnitPrice | None, str]:
    """Return the price of an hour of a node (of an accelerator, where there is no node), or why there is none.

    A node that nobody rents out is as many of its accelerators in one instance.
    """
    name = accelerator if node is None else node.name
    found = prices.to_rent(name, kind)
    if found is None and node is not None:
        one = prices.to_rent(accelerator, kind)
        found = one.times(node.accelerators) if one is not None else None
    if found is not None:
        return found, ""
    reasons = dict.fromkeys(prices.why_not(item, "instance_hour", kind) for item in (name, accelerator))
    return None, "; ".join(reasons)


def model_cost_of(scenario: Scenario, cost: CostSection | None = None) -> ModelCost | None:
    """Return how the cost of a model follows from its time; None where the scenario does not count money.

    Parameters
    ----------
    scenario : Scenario
        As resolved.
    cost : CostSection, optional
        Counted where the scenario has no [cost].

    Raises
    ------
    ScenarioError
        With every fault of the price book, or of an xgft that its switches have too few ports for.
    """
    cost, cluster, accelerator = scenario.sections.cost or cost, scenario.sections.cluster, scenario.accelerator
    if cost is None or cluster is None or accelerator is None:
        return None
    prices, terms = price_list_of(scenario), cost_terms_of(cost)
    nodes = _nodes(scenario)
    rent, why_no_rent = _own_rent(scenario), ""
    if rent is None:
        rent, why_no_rent = rent_of(scenario.node, accelerator.name, prices, cost.rent)
    plan = plan_of(scenario)
    bill = None
    if isinstance(plan, ClusterPlan) and nodes is not None:
        network = scenario.sections.network
        try:
            bill = bill_of(plan, nodes, prices, oversubscription=network.oversubscription if network else 1.0)
        except TopologyError as error:
            raise ScenarioError([Fault(scenario.name, "network", str(error))]) from None
    return ModelCost(
        terms=terms,
        units=nodes if nodes is not None else cluster.accelerators or 1,
        bill=bill,
        rent=rent,
        why_not=(plan,) if isinstance(plan, str) else (),
        why_no_rent=why_no_rent,
    )


def _own_rent(scenario: Scenario) -> UnitPrice | None:
    """Return usd_per_node_hour of [cost] as a price, with what the file says of it."""
    cost = scenario.sections.cost
    if cost is None or cost.usd_per_node_hour is None or scenario.node is None:
        return None
    record = scenario.records.get("cost.usd_per_node_hour")
    value = cost.usd_per_node_hour
    return UnitPrice(
        item=scenario.node.name,
        scope="instance_hour",
        kind="given",
        usd=value,
        low_usd=min(value, record.low) if record is not None and record.low is not None else value,
        high_usd=max(value, record.high) if record is not None and record.high is not None else value,
        date=(record.date if record is not None else None) or NOT_STATED,
        source=(record.source if record is not None else None) or NOT_STATED,
        verified=record is not None and record.verified is not False,
    )


def warn_about_prices(cost: ModelCost | None) -> None:
    """Warn where there is no cost because a price is missing, and where it rests on prices that are unchecked or old."""
    if cost is None:
        return
    if cost.missing:
        text = "; ".join(cost.missing)
        warnings.warn(f"there is no cost of kind {cost.terms.kind!r}: {text}", MissingPriceWarning, stacklevel=2)
        return
    used = list(cost.prices())
    total = sum(usd for _, usd in used)
    unchecked = [(price, usd) for price, usd in used if not price.verified and price.kind != "given"]
    if unchecked:
        share = sum(usd for _, usd in unchecked) / total if total else 0.0
        listed = ", ".join(dict.fromkeys(price.item for price, _ in unchecked))
        warnings.warn(
            f"{100 * share:.3g} % of the price rests on prices that nobody checked: {listed}", UnverifiedWarning, stacklevel=2
        )
    warn_about_old_prices(price for price, _ in used)


def warn_about_old_prices(prices: Iterable[UnitPrice]) -> None:
    """Warn of each price that is old, once."""
    for item, scope, date in dict.fromkeys((price.item, price.scope, price.date) for price in prices if price.old):
        warnings.warn(
            f"the price of {item} per {scope.replace('_', ' ')} is of {date}, more than three years older than the newest of "
            "the price book: ask for a quote",
            OldPriceWarning,
            stacklevel=3,
        )
