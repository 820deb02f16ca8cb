"""The bill of materials of a cluster: what is bought, how many, at which price; one design, or an array of them at once.

Every part is paid once, by one price. A node's price pays for its accelerators and for the NICs of its profile. The price of a
network's cabling per end port (NETWORK-cabling-2-tiers, ...) pays for all cables and transceivers. Where a network has none,
each link between a node and a leaf is a copper cable, each link between switches two transceivers and a fibre. NICs are
bought where the network is faster than those of the node. A single node has no network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from simulator.costs.amounts import Amount
from simulator.costs.fat_tree_counts import FatTreeCounts, fat_tree_counts, simulated_switches
from simulator.costs.price_choice import PriceList, UnitPrice
from simulator.errors import TopologyError
from simulator.network.fat_tree_shapes import MOST_TIERS
from simulator.quantities import ArrayLike, FloatArray, whole

__all__ = ["BillLine", "BillOfMaterials", "BoughtNode", "BoughtSwitch", "ClusterPlan", "bill_of", "simulated_of"]


class BoughtNode(Protocol):
    """What a bill needs to know of a node; a node profile has it."""

    @property
    def name(self) -> str:
        """Id in the price book."""

    @property
    def nics(self) -> int | None:
        """NICs that serve its accelerators."""

    @property
    def nic_bandwidth_bytes_per_s(self) -> float | None:
        """Line rate of one of them."""

    @property
    def power_w(self) -> float | None:
        """The most that the box draws."""


class BoughtSwitch(Protocol):
    """What a bill needs to know of a switch; a switch profile has it."""

    @property
    def name(self) -> str:
        """Id in the price book."""

    @property
    def radix(self) -> int:
        """Ports."""

    @property
    def power_w(self) -> float | None:
        """What the box draws typically."""

    @property
    def power_max_w(self) -> float | None:
        """What the box draws at most."""


class BoughtNetwork(Protocol):
    """What a bill needs to know of a network; a network profile has it."""

    @property
    def name(self) -> str:
        """Id in the price book, of its cables and NICs."""

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Line rate of a port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """What a cluster is built from, but for how many nodes and how oversubscribed.

    Parameters
    ----------
    node : BoughtNode
        The server.
    topology : str or None
        Between the nodes; None: they are not joined.
    network : BoughtNetwork, optional
        Whose cables and NICs are bought. None: they have no id, and so no price.
    switch : BoughtSwitch, optional
        Needed by all topologies but ring.
    down, up : tuple of int
        Of an xgft.
    tiers : int, optional
        Of a fat tree or rails; by default the fewest that hold the end ports.
    """

    node: BoughtNode
    topology: Literal["star", "ring", "xgft", "fat_tree", "leaf_spine", "rails"] | None = None
    network: BoughtNetwork | None = None
    switch: BoughtSwitch | None = None
    down: tuple[int, ...] = ()
    up: tuple[int, ...] = ()
    tiers: int | None = None

    def __post_init__(self) -> None:
        if self.topology not in (None, "ring") and self.switch is None:
            raise TopologyError(f"switch is missing: a bill of a {self.topology} counts them")
        if self.topology == "xgft" and (not self.down or len(self.down) != len(self.up)):
            raise ValueError("down and up must be given for an xgft, one for each level")

    @property
    def nics(self) -> int:
        """NICs of a node, at least one."""
        return max(1, self.node.nics or 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BillLine:
    """One line of a bill.

    Parameters
    ----------
    part : str
        What it is: node, leaf switch, cable node-leaf, ...
    item, scope : str
        What the price book calls it.
    count : float or ndarray
        How many there are. >= 0; NaN where the design cannot be built.
    paid : float or ndarray
        How many of them this line pays for; the others are in the price of another part.
    price : UnitPrice or None
        Of one; None where the book has none.
    why_not : str
        Why there is no price; empty where there is one.
    paid_by : str
        What pays for those that this line does not; empty where it pays for all.
    power_w : float or None
        What one draws; 0 where it is in the figure of another part, None where nobody knows.
    """

    part: str
    item: str
    scope: str
    count: FloatArray
    paid: FloatArray
    price: UnitPrice | None = None
    why_not: str = ""
    paid_by: str = ""
    power_w: float | None = 0.0

    @property
    def amount(self) -> Amount:
        """Dollars of the line; NaN where something has to be paid and has no price."""
        if self.price is None:
            return Amount.certain(np.where(self.paid == 0, 0.0, np.nan))
        price = self.price
        return Amount(usd=price.usd * self.paid, low_usd=price.low_usd * self.paid, high_usd=price.high_usd * self.paid)

    @property
    def drawn_w(self) -> FloatArray:
        """Watts of the line; NaN where nobody knows them."""
        each = np.nan if self.power_w is None else self.power_w
        watts: FloatArray = np.where(self.count == 0, 0.0, each * self.count)[()]
        return watts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BillOfMaterials:
    """The lines of a bill; every figure has the shape of the designs that were asked.

    Parameters
    ----------
    lines : tuple of BillLine
        Parts that at least one of the designs has.
    tiers : float or ndarray
        Tiers of switches: 0 where there is no network, NaN where the end ports do not fit.
    end_ports : float or ndarray
        Ports of the nodes on the network.
    """

    lines: tuple[BillLine, ...]
    tiers: FloatArray
    end_ports: FloatArray

    @property
    def purchase(self) -> Amount:
        """Dollars of all parts, with the ends of their range; NaN where a part has no price or the design cannot be built."""
        total = Amount.certain(np.where(np.isnan(self.tiers), np.nan, 0.0))
        for line in self.lines:
            total = total + line.amount
        return total

    @property
    def power_w(self) -> FloatArray:
        """Watts of nodes and switches; NaN where the profile of one has no figure."""
        return self._sum(lambda line: line.drawn_w)

    @property
    def unverified_usd(self) -> FloatArray:
        """Dollars that rest on prices which nobody checked."""
        return self._sum(lambda line: line.amount.usd * (line.price is not None and not line.price.verified))

    @property
    def unpriced(self) -> tuple[BillLine, ...]:
        """Lines that some design has to pay and that have no price."""
        return tuple(line for line in self.lines if line.price is None and np.any(line.paid > 0))

    def line(self, part: str) -> BillLine:
        """Return the line of a part; KeyError where no design has it."""
        found = [line for line in self.lines if line.part == part]
        if not found:
            raise KeyError(part)
        return found[0]

    def _sum(self, of: Callable[[BillLine], FloatArray]) -> FloatArray:
        total: FloatArray = np.where(np.isnan(self.tiers), np.nan, 0.0)[()]
        for line in self.lines:
            total = total + of(line)
        return total


def bill_of(plan: ClusterPlan, nodes: ArrayLike, prices: PriceList, *, oversubscription: ArrayLike = 1.0) -> BillOfMaterials:
    """Return the bill of materials of a cluster, or of many of the same plan.

    Parameters
    ----------
    plan : ClusterPlan
        What it is built from.
    nodes : array_like of int
        How many nodes. >= 1.
    prices : PriceList
        What enters.
    oversubscription : array_like
        Of a leaf's ports, down : up, >= 1; broadcasts with `nodes`.

    Raises
    ------
    TopologyError
        If the switches of an xgft have too few ports. Designs whose end ports do not fit have NaN.
    """
    N, o = np.broadcast_arrays(whole("nodes", nodes), np.asarray(oversubscription, dtype=np.float64))
    counts, end_ports = _fabric(plan, N, o)
    lines = [_line(prices, "node", plan.node.name, "node", N.astype(np.float64), power_w=plan.node.power_w)]
    if plan.topology is not None:
        lines += _switch_lines(plan, counts, prices)
        lines += _cabling_lines(plan, counts, end_ports, prices)
        lines += _nic_line(plan, N, prices)
    kept = tuple(line for line in lines if np.any(line.count != 0))
    return BillOfMaterials(lines=kept, tiers=counts.tiers, end_ports=end_ports)


def simulated_of(plan: ClusterPlan, nodes: int, *, oversubscription: float = 1.0) -> tuple[int, int, int] | None:
    """Return leaves, spines and cores that the network model has for one design that fits; None but for fat trees and rails."""
    if plan.topology not in ("fat_tree", "rails") or plan.switch is None or nodes == 1:
        return None
    rails = plan.nics if plan.topology == "rails" else 1
    return simulated_switches(
        nodes * plan.nics, plan.switch.radix, tiers=plan.tiers, oversubscription=oversubscription, rails=rails
    )


def _line(
    prices: PriceList, part: str, item: str, scope: str, count: FloatArray, paid: FloatArray | None = None,
    *, paid_by: str = "", power_w: float | None = 0.0,
) -> BillLine:  # fmt: skip
    price = prices.to_buy(item, scope)
    return BillLine(
        part=part,
        item=item,
        scope=scope,
        count=count[()],
        paid=(count if paid is None else paid)[()],
        price=price,
        why_not="" if price is not None else prices.why_not(item, scope),
        paid_by=paid_by,
        power_w=power_w,
    )


def _fabric(plan: ClusterPlan, N: FloatArray, o: FloatArray) -> tuple[FatTreeCounts, FloatArray]:
    """Return switches and cables of the network between the nodes, and its end ports; none for a single node."""
    alone = N == 1
    joined = np.where(alone, 0.0, N * plan.nics)
    if plan.topology is None:
        joined = np.zeros(N.shape)
    if plan.topology in (None, "ring"):
        zero = np.zeros(N.shape)
        cables = np.where(joined == 2, 1.0, joined)
        counts = FatTreeCounts(
            tiers=zero, leaf=zero, spine=zero, core=zero,
            cables_node_leaf=cables, cables_leaf_spine=zero, cables_spine_core=zero,
        )  # fmt: skip
        return counts, joined
    assert plan.switch is not None
    if plan.topology == "xgft":
        return _xgft(plan, N, alone)
    tiers = {"star": 1, "leaf_spine": 2}.get(plan.topology, plan.tiers)
    rails = plan.nics if plan.topology == "rails" else 1
    return fat_tree_counts(joined, plan.switch.radix, tiers=tiers, oversubscription=o, rails=rails), joined


def _xgft(plan: ClusterPlan, N: FloatArray, alone: FloatArray) -> tuple[FatTreeCounts, FloatArray]:
    """Count the whole tree as it is written out, and cables for the nodes that are there."""
    assert plan.switch is not None
    levels = len(plan.down)
    if levels > MOST_TIERS:
        raise TopologyError(f"a bill has at most {MOST_TIERS} tiers of switches, got an xgft of {levels}")
    for level in range(levels):
        ports = plan.down[level] + (plan.up[level + 1] if level + 1 < levels else 0)
        if ports > plan.switch.radix:
            rule = f"switches of level {level + 1} need {ports} ports, {plan.switch.name} has {plan.switch.radix}"
            raise TopologyError(f"down and up do not fit the switch: {rule}")
    hosts = math.prod(plan.down)
    used = np.where((hosts < N * plan.nics) | (hosts % plan.nics != 0), 1.0, plan.nics)
    joined = np.where(alone, 0.0, N * used * plan.up[0])
    fits = N * used <= hosts
    widths = [math.prod(plan.up[: level + 1]) * math.prod(plan.down[level + 1 :]) for level in range(levels)]
    widths += [0] * (MOST_TIERS - levels)
    stages = [widths[level] * plan.up[level + 1] if level + 1 < levels else 0 for level in range(MOST_TIERS - 1)]

    def of(count: float) -> FloatArray:
        return np.where(alone, 0.0, np.where(fits, float(count), np.nan))

    counts = FatTreeCounts(
        tiers=of(levels), leaf=of(widths[0]), spine=of(widths[1]), core=of(widths[2]),
        cables_node_leaf=np.where(of(0) == 0, joined, np.nan), cables_leaf_spine=of(stages[0]),
        cables_spine_core=of(stages[1]),
    )  # fmt: skip
    return counts, joined


def _switch_lines(plan: ClusterPlan, counts: FatTreeCounts, prices: PriceList) -> list[BillLine]:
    if plan.switch is None:
        return []
    watts = plan.switch.power_w if plan.switch.power_w is not None else plan.switch.power_max_w
    return [
        _line(prices, f"{tier} switch", plan.switch.name, "switch", count, power_w=watts)
        for tier, count in (("leaf", counts.leaf), ("spine", counts.spine), ("core", counts.core))
    ]


def _cabling_lines(plan: ClusterPlan, counts: FatTreeCounts, end_ports: FloatArray, prices: PriceList) -> list[BillLine]:
    """Return cabling per end port where the network is priced so, else cables, transceivers and fibres."""
    name = plan.network.name if plan.network is not None else "the network without an id"
    lines = []
    covered = np.zeros(np.shape(counts.tiers), dtype=bool)
    for tier in range(1, MOST_TIERS + 1):
        here = counts.tiers == tier
        item = cabling_item(name, tier)
        if prices.to_buy(item, "cable") is not None:
            lines.append(
                _line(prices, f"cabling of {tier} tier{'s'[: tier > 1]}, per end port", item, "cable", end_ports * here)
            )
            covered = covered | here
    between = counts.cables_leaf_spine + counts.cables_spine_core
    by = "cabling per end port" if np.any(covered) else ""

    def paid(count: FloatArray) -> FloatArray:
        return np.where(covered, 0.0, count)

    physical = [("cable node-leaf" if plan.topology != "ring" else "cable node-node", name, counts.cables_node_leaf, 1.0)]
    physical += [("cable leaf-spine", f"{name}-fibre", counts.cables_leaf_spine, 1.0)]
    physical += [("cable spine-core", f"{name}-fibre", counts.cables_spine_core, 1.0)]
    if not np.all(covered | (between == 0)):
        physical += [("transceiver", f"{name}-optic", paid(between), 2.0)]
    lines += [
        _line(prices, part, item, "cable", factor * count, factor * paid(count), paid_by=by)
        for part, item, count, factor in physical
    ]
    return lines


def cabling_item(network: str, tiers: int) -> str:
    """Return the id of a network's cabling per end port in the price book."""
    return f"{network}-cabling-{tiers}-tier{'s' if tiers > 1 else ''}"


def _nic_line(plan: ClusterPlan, N: FloatArray, prices: PriceList) -> Sequence[BillLine]:
    """NICs: those of the node's profile are in its price; where the network is faster, its own are bought."""
    count = np.where(N == 1, 0.0, N * plan.nics)
    rate = plan.node.nic_bandwidth_bytes_per_s
    slow = plan.network is not None and (rate is None or rate < plan.network.bandwidth_bytes_per_s * (1 - 1e-9))
    name = plan.network.name if plan.network is not None else plan.node.name
    if not slow:
        return [_line(prices, "nic", name, "nic", count, np.zeros(N.shape), paid_by="node")]
    return [_line(prices, "nic", name, "nic", count)]
