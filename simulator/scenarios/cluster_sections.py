"""[cluster], [reduce], [network], [cost]: what the learners run on and what it costs."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.loading import CONVERTER, structure_kind
from simulator.messages import TableFaults, shown
from simulator.network.laws import (
    ConstantReduce,
    LinearReduce,
    NodeLogReduce,
    NoReduce,
    RingReduce,
    TwoTierRingReduce,
)
from simulator.overlap import BucketOverlap, HiddenOverlap, MaxOverlap, PowerOverlap, SumOverlap
from simulator.quantities import fraction, non_negative, positive, whole
from simulator.scenarios.checks import PROVENANCE_ENVELOPE, at_least_one, check, share, whole_from_zero
from simulator.time_to_converge import OverlapLaw, ReduceModel

__all__ = [
    "CONTEXT_KEYS",
    "ClusterSection",
    "CostSection",
    "FabricReduce",
    "MeasuredReduce",
    "NetworkSection",
    "ReduceSection",
    "Topology",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSection:
    """[cluster]: which accelerators, how many."""

    node: str | None = None
    nodes: int | None = None
    accelerator: str | None = None
    accelerators: int | None = None
    accelerators_per_learner: int = 1

    def __post_init__(self) -> None:
        check(self, nodes=whole, accelerators=whole, accelerators_per_learner=whole)


REDUCE_KINDS: dict[str, Any] = {
    "none": NoReduce,
    "constant": ConstantReduce,
    "linear": LinearReduce,
    "node_log": NodeLogReduce,
    "two_tier_ring": TwoTierRingReduce,
    "ring": RingReduce,
}
OVERLAP_KINDS: dict[str, Any] = {
    "sum": SumOverlap,
    "power": PowerOverlap,
    "max": MaxOverlap,
    "hidden": HiddenOverlap,
    "buckets": BucketOverlap,
}
CONTEXT_KEYS = ("learners_per_node", "gradient_bytes")
"""Fields of the reduce laws that come from the cluster and the workload, never from [reduce]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricReduce:
    """kind = "fabric": Delta comes from [network]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceSection:
    """[reduce]: Delta(P) by law, or from [network], and its overlap with computing."""

    law: ReduceModel | FabricReduce
    overlap: OverlapLaw = field(default_factory=SumOverlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredReduce:
    """[workload.reduce]: Delta(P) of a workload as measured on nodes of a kind, for scenarios that say nothing else of it."""

    node: str
    section: ReduceSection


def _structure_measured_reduce(value: Any, _: Any) -> MeasuredReduce:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {shown(value)}")
    faults: list[tuple[str, str]] = []
    node = value.get("node")
    if not isinstance(node, str) or not node:
        faults.append(("node", "is missing" if node is None else f"must be a name, got {shown(node)}"))
    if value.get("kind") == "fabric":
        faults.append(("kind", "must be a law, got 'fabric', which belongs to a scenario"))
        raise TableFaults(faults)
    section = None
    try:
        section = _structure_reduce(
            {key: item for key, item in value.items() if key not in ("node", *PROVENANCE_ENVELOPE)}, None
        )
    except TableFaults as error:
        faults += error.faults
    if faults:
        raise TableFaults(faults)
    assert section is not None
    assert isinstance(node, str)
    return MeasuredReduce(node=node, section=section)


def _structure_reduce(value: Any, _: Any) -> ReduceSection:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {shown(value)}")
    faults: list[tuple[str, str]] = []
    overlap: Any = SumOverlap()
    if "overlap" in value:
        try:
            overlap = structure_kind(value["overlap"], OVERLAP_KINDS)
        except TableFaults as error:
            faults += error.under("overlap")
        except ValueError as error:
            faults.append(("overlap", str(error)))
    kinds = {**REDUCE_KINDS, "fabric": FabricReduce}
    table = {key: item for key, item in value.items() if key != "overlap"}
    cls = kinds.get(table["kind"]) if isinstance(table.get("kind"), str) else None
    law = None
    try:
        context = {} if cls is None else {f.name: 1.0 for f in dataclasses.fields(cls) if f.name in CONTEXT_KEYS}
        taken = [key for key in CONTEXT_KEYS if key in table]
        origin = {"learners_per_node": "[cluster]", "gradient_bytes": "the workload"}
        faults += [(key, f"unknown key; it comes from {origin[key]}") for key in taken]
        law = structure_kind({**{key: item for key, item in table.items() if key not in taken}, **context}, kinds)
    except TableFaults as error:
        faults += error.faults
    if faults:
        raise TableFaults(faults)
    assert law is not None
    return ReduceSection(law=law, overlap=overlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKeys:
    """A link written out instead of named."""

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0

    def __post_init__(self) -> None:
        check(self, bandwidth_bytes_per_s=positive, latency_s=non_negative)


Collective = Literal["ring", "rd", "rhd_near", "rhd_far", "tree", "double_tree", "hierarchical", "ps", "psco", "a2a", "auto"]
Topology = Literal["star", "ring", "xgft", "fat_tree", "leaf_spine", "rails", "graph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementKeys:
    """[network] placement: which rank sits on which host."""

    kind: Literal["linear", "strided", "random", "by_node", "listed"]
    stride: int | None = None
    seed: int | None = None
    hosts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(self, stride=whole, seed=whole_from_zero)
        if (self.kind == "listed") != bool(self.hosts):
            raise ValueError("hosts must be given where kind = 'listed', and only there")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSection:
    """[network]: topology, collective and placement behind reduce.kind = "fabric"."""

    topology: Topology | None = None
    down: tuple[int, ...] = ()
    up: tuple[int, ...] = ()
    switch: str | None = None
    oversubscription: float = 1.0
    host_link: str | LinkKeys | None = None
    upper_link: str | LinkKeys | None = None
    inner_link: str | LinkKeys | None = None
    achieved_share: float | None = None
    file: str | None = None
    collective: Collective = "auto"
    servers: int | None = None
    inner: Collective | None = None
    outer: Collective | None = None
    placement: PlacementKeys = field(default_factory=lambda: PlacementKeys(kind="linear"))
    sends: Literal["rendezvous", "eager"] = "rendezvous"
    message_overhead_s: float = 0.0
    routing: Literal["d_mod_k", "shortest_path", "hashed"] | None = None

    def __post_init__(self) -> None:
        check(self, down=whole, up=whole, oversubscription=at_least_one, servers=whole, message_overhead_s=non_negative)
        check(self, achieved_share=share)
        if self.achieved_share is not None and self.topology == "graph":
            raise ValueError("achieved_share must not be given for topology = 'graph': its file says what its links carry")
        if len(self.down) != len(self.up):
            raise ValueError(f"up must have as many levels as down, got {len(self.up)} and {len(self.down)}")
        if self.topology == "xgft" and not self.down:
            raise ValueError("down must be given for topology = 'xgft', with up")
        if self.topology == "graph" and not self.file:
            raise ValueError("file must be given for topology = 'graph'")


CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSection:
    """[cost]: how money is counted."""

    kind: Literal["purchase", "cloud", "ownership"]
    prices: str = "shipped"
    usd_per_node_hour: float | None = None
    electricity_usd_per_kwh: float | None = None
    pue: float | None = None
    life_s: float | None = None
    facility_usd_per_node: float | None = None
    utilisation: float | None = None
    idle_power: float | None = None
    rent: Literal["on_demand", "reserved", "spot"] = "on_demand"
    usd_per: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(
            self,
            usd_per_node_hour=non_negative,
            electricity_usd_per_kwh=non_negative,
            pue=at_least_one,
            life_s=positive,
            facility_usd_per_node=non_negative,
            utilisation=share,
            idle_power=fraction,
        )
        for currency, rate in self.usd_per.items():
            if not CURRENCY.fullmatch(currency):
                raise ValueError(f"usd_per must name currencies in three capital letters, such as EUR, got {currency!r}")
            if rate <= 0:
                raise ValueError(f"usd_per must hold rates > 0, got {rate:g} for {currency}")


CONVERTER.register_structure_hook(ReduceSection, _structure_reduce)
CONVERTER.register_structure_hook(MeasuredReduce, _structure_measured_reduce)
