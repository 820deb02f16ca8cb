"""A bill pays for every part once, and for nothing at no price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from simulator.costs.bill_of_materials import BillOfMaterials, ClusterPlan, bill_of, cabling_item
from simulator.costs.price_book import Price
from simulator.costs.price_choice import PriceList
from simulator.errors import TopologyError


@dataclass(frozen=True)
class Box:
    name: str = "box"
    nics: int | None = 8
    nic_bandwidth_bytes_per_s: float | None = 50e9
    power_w: float | None = 10_000.0


@dataclass(frozen=True)
class Hub:
    name: str = "hub"
    radix: int = 16
    power_w: float | None = 500.0
    power_max_w: float | None = 900.0


@dataclass(frozen=True)
class Wire:
    name: str = "wire"
    bandwidth_bytes_per_s: float = 50e9


def price(item: str, scope: str, usd: float, **more: Any) -> Price:
    return Price(
        item=item, scope=scope, kind="street", currency="USD", price=usd, date="2025", source="-", **{"verified": True, **more}
    )


NODE, SWITCH = price("box", "node", 1000.0, low=900.0, high=1500.0), price("hub", "switch", 100.0)
PIECES = [price("wire", "cable", 3.0), price("wire-optic", "cable", 5.0, verified=False), price("wire-fibre", "cable", 1.0)]
NIC = price("wire", "nic", 7.0)
CABLING = [price(cabling_item("wire", tier), "cable", 10.0 * tier) for tier in (1, 2, 3)]
PLAN = ClusterPlan(node=Box(), topology="fat_tree", network=Wire(), switch=Hub())


def bill(*book: Price, plan: ClusterPlan = PLAN, nodes: Any = 4, **more: Any) -> BillOfMaterials:
    return bill_of(plan, nodes, PriceList(book=book), **more)


def counts(found: BillOfMaterials) -> dict[str, tuple[float, float]]:
    return {line.part: (float(line.count), float(line.paid)) for line in found.lines}


def test_pieces_are_paid_where_the_network_has_no_price_per_end_port() -> None:
    # 32 end ports on 16-port switches: 4 leaves of 8 down and 8 up, 2 spines; 32 uplinks
    found = bill(NODE, SWITCH, *PIECES, NIC)
    assert counts(found) == {
        "node": (4, 4), "leaf switch": (4, 4), "spine switch": (2, 2), "cable node-leaf": (32, 32),
        "cable leaf-spine": (32, 32), "transceiver": (64, 64), "nic": (32, 0),
    }  # fmt: skip
    assert found.purchase.usd == 4 * 1000 + 6 * 100 + 32 * 3 + 32 * 1 + 64 * 5
    assert (found.purchase.low_usd, found.purchase.high_usd) == (found.purchase.usd - 400, found.purchase.usd + 2000)
    assert found.unverified_usd == 64 * 5
    assert found.power_w == 4 * 10_000 + 6 * 500
    assert found.line("nic").paid_by == "node"


def test_a_price_per_end_port_pays_for_all_cabling_once() -> None:
    found = bill(NODE, SWITCH, *PIECES, *CABLING)
    assert found.purchase.usd == 4 * 1000 + 6 * 100 + 32 * 20
    assert counts(found)["cable node-leaf"] == (32, 0)
    assert found.line("cable leaf-spine").paid_by == "cabling per end port"
    assert "transceiver" not in counts(found)


def test_the_cabling_of_other_tiers_pays_for_nothing_here() -> None:
    found = bill(NODE, SWITCH, *PIECES, CABLING[0])  # one tier; the design has two
    assert found.purchase.usd == 4 * 1000 + 6 * 100 + 32 * 3 + 32 * 1 + 64 * 5
    many = bill(NODE, SWITCH, *PIECES, CABLING[0], nodes=np.array([2, 4]))
    assert many.purchase.usd.tolist() == [2 * 1000 + 100 + 16 * 10, found.purchase.usd]


def test_nics_are_bought_where_the_network_is_faster_than_those_of_the_node() -> None:
    for slow in (Box(nic_bandwidth_bytes_per_s=25e9), Box(nic_bandwidth_bytes_per_s=None)):
        plan = ClusterPlan(node=slow, topology="fat_tree", network=Wire(), switch=Hub())
        assert counts(bill(NODE, SWITCH, *CABLING, NIC, plan=plan))["nic"] == (32, 32)
    faster = ClusterPlan(node=Box(nic_bandwidth_bytes_per_s=100e9), topology="fat_tree", network=Wire(), switch=Hub())
    assert counts(bill(NODE, SWITCH, *CABLING, plan=faster))["nic"] == (32, 0)


def test_a_part_without_a_price_leaves_the_total_open_and_is_named() -> None:
    found = bill(NODE, *CABLING)
    assert np.isnan(found.purchase.usd)
    assert [line.part for line in found.unpriced] == ["leaf switch", "spine switch"]
    assert found.line("leaf switch").why_not == "hub has no switch price in the price book"
    assert found.power_w == 43_000  # what it draws is known all the same


def test_a_single_node_has_no_network() -> None:
    found = bill(NODE, nodes=1)
    assert counts(found) == {"node": (1, 1)}
    assert [found.purchase.usd, found.tiers, found.end_ports] == [1000, 0, 0]
    both = bill(NODE, SWITCH, *CABLING, nodes=np.array([1, 4]))
    assert both.purchase.usd.tolist() == [1000.0, 4 * 1000 + 6 * 100 + 32 * 20]


def test_without_a_topology_only_nodes_are_bought() -> None:
    assert bill(NODE, plan=ClusterPlan(node=Box()), nodes=3).purchase.usd == 3000


def test_designs_that_do_not_fit_have_no_price() -> None:
    found = bill(NODE, SWITCH, *CABLING, nodes=np.array([128, 129]))  # three tiers of 16 ports hold 1,024 end ports
    assert np.isfinite(found.purchase.usd[0])
    assert np.isnan(found.purchase.usd[1])
    assert np.isnan(found.power_w[1])


def test_rails_are_one_tree_for_each_nic() -> None:
    plan = ClusterPlan(node=Box(), topology="rails", network=Wire(), switch=Hub())
    found = bill(NODE, SWITCH, *CABLING, plan=plan, nodes=16)
    assert counts(found)["leaf switch"] == (8, 8)  # 16 nodes fill one 16-port switch of each of eight rails
    assert found.tiers == 1


def test_two_tiers_may_be_asked_for() -> None:
    plan = ClusterPlan(node=Box(nics=1), topology="leaf_spine", network=Wire(), switch=Hub())
    found = counts(bill(NODE, SWITCH, *CABLING, plan=plan, nodes=16))
    assert (found["leaf switch"], found["spine switch"]) == ((2, 2), (1, 1))
    star = ClusterPlan(node=Box(nics=1), topology="star", network=Wire(), switch=Hub())
    assert counts(bill(NODE, SWITCH, *CABLING, plan=star, nodes=16))["leaf switch"] == (1, 1)
    assert np.isnan(bill(NODE, SWITCH, *CABLING, plan=star, nodes=17).purchase.usd)


def test_a_ring_has_cables_alone() -> None:
    plan = ClusterPlan(node=Box(nics=1), topology="ring", network=Wire())
    assert counts(bill(NODE, *PIECES, plan=plan, nodes=5)) == {"node": (5, 5), "cable node-node": (5, 5), "nic": (5, 0)}
    assert counts(bill(NODE, *PIECES, plan=plan, nodes=2))["cable node-node"] == (1, 1)


def test_an_xgft_is_bought_as_it_is_written_out() -> None:
    # 8 hosts below each of 4 switches, each with a cable to all of 2: as simulator.network builds it
    plan = ClusterPlan(node=Box(), topology="xgft", network=Wire(), switch=Hub(), down=(8, 4), up=(1, 2))
    found = counts(bill(NODE, SWITCH, *PIECES, plan=plan, nodes=4))
    assert found["leaf switch"] == (4, 4)
    assert found["spine switch"] == (2, 2)
    assert (found["cable node-leaf"], found["cable leaf-spine"]) == ((32, 32), (8, 8))
    few = counts(bill(NODE, SWITCH, *PIECES, plan=plan, nodes=8))  # 32 hosts do not suffice for 64 NICs: one for each node
    assert few["cable node-leaf"] == (8, 8)
    assert np.isnan(bill(NODE, SWITCH, *PIECES, plan=plan, nodes=40).purchase.usd)
    big = ClusterPlan(node=Box(), topology="xgft", network=Wire(), switch=Hub(), down=(16, 4), up=(1, 2))
    with pytest.raises(TopologyError, match="switches of level 1 need 18 ports, hub has 16"):
        bill(NODE, SWITCH, plan=big, nodes=4)
    deep = ClusterPlan(node=Box(), topology="xgft", network=Wire(), switch=Hub(), down=(2,) * 4, up=(1,) * 4)
    with pytest.raises(TopologyError, match="at most 3 tiers of switches, got an xgft of 4"):
        bill(NODE, SWITCH, plan=deep, nodes=2)


def test_plans_say_what_they_miss() -> None:
    with pytest.raises(TopologyError, match="switch is missing: a bill of a fat_tree counts them"):
        ClusterPlan(node=Box(), topology="fat_tree", network=Wire())
    with pytest.raises(ValueError, match="down and up must be given for an xgft"):
        ClusterPlan(node=Box(), topology="xgft", network=Wire(), switch=Hub())
    with pytest.raises(KeyError):
        bill(NODE, nodes=1).line("core switch")


def test_the_highest_draw_stands_in_for_a_typical_one_that_nobody_gives() -> None:
    plan = ClusterPlan(node=Box(), topology="fat_tree", network=Wire(), switch=Hub(power_w=None))
    assert bill(NODE, SWITCH, *CABLING, plan=plan).power_w == 4 * 10_000 + 6 * 900
    unknown = ClusterPlan(node=Box(), topology="fat_tree", network=Wire(), switch=Hub(power_w=None, power_max_w=None))
    assert np.isnan(bill(NODE, SWITCH, *CABLING, plan=unknown).power_w)


def test_an_array_of_designs_is_what_each_of_them_is() -> None:
    nodes, over = np.arange(1, 60)[:, None], np.array([1.0, 2.0, 3.0])
    found = bill(NODE, SWITCH, *PIECES, CABLING[1], nodes=nodes, oversubscription=over)
    for i in range(0, 59, 7):
        for j in range(3):
            one = bill(NODE, SWITCH, *PIECES, CABLING[1], nodes=i + 1, oversubscription=float(over[j]))
            assert found.purchase.usd[i, j] == one.purchase.usd
            assert found.power_w[i, j] == one.power_w
