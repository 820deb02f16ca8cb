"""From [network], [cluster] and hardware profiles to the network model that gives Delta(P)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from simulator.errors import Fault, ScenarioError
from simulator.network.cluster_network import FabricDelta, PlacedRanks
from simulator.network.clusters import ClusterNetwork
from simulator.network.links import Link, host_link, tier_link
from simulator.profiles import Network, Node, Switch, load_profile
from simulator.scenarios.cluster_sections import LinkKeys, NetworkSection
from simulator.scenarios.resolve import Scenario

__all__ = ["delta_of", "fabric_law", "network_of", "placed_ranks"]

NOTHING_MOVED: Mapping[tuple[str, str, str], float] = MappingProxyType({})
SWITCHED = ("fat_tree", "leaf_spine", "rails")


def network_of(
    section: NetworkSection,
    *,
    file: str,
    folder: Path,
    profile_folders: Iterable[Path] = (),
    node: Node | None,
    accelerators: int,
    seed: int | None,
    moved: Mapping[tuple[str, str, str], float] = NOTHING_MOVED,
) -> ClusterNetwork:
    """Return the cluster's network in plain numbers.

    Parameters
    ----------
    section : NetworkSection
        [network], checked.
    file, folder, profile_folders
        How messages call the scenario, where its paths begin, where profiles are sought.
    node : Node or None
        What stands on the network; None: each accelerator by itself.
    accelerators : int
        How many.
    seed : int or None
        Of the scenario, for hashed ways.
    moved : mapping of (str, str, str) to float
        Figures that stand instead of those of the profiles of networks and switches, by kind, id and key.

    Raises
    ------
    ScenarioError
        With every number that is missing.
    """
    faults: list[Fault] = []

    def profile(kind: str, name: str, key: str) -> Any:
        try:
            found = load_profile(kind, name, beside=folder, profile_folders=profile_folders)[0]
            other = {key: value for (of, called, key), value in moved.items() if (of, called) == (kind, found.name)}
            return replace(found, **other) if other else found
        except ValueError as error:
            faults.append(Fault(file, f"network.{key}", str(error)))
        except ScenarioError as error:
            faults.extend(error.faults)
        return None

    switch: Switch | None = profile("switches", section.switch, "switch") if section.switch is not None else None
    hop_s = (switch.latency_s or 0.0) if switch is not None else 0.0
    if section.topology in SWITCHED and section.switch is None:
        faults.append(
            Fault(file, "network.switch", f"is missing: {section.topology} is built from switches with so many ports")
        )

    share = section.achieved_share

    def link(value: str | LinkKeys | None, key: str, *, tier: bool) -> Link | None:
        part = 1.0 if share is None or key == "inner_link" else share
        if isinstance(value, LinkKeys):
            return Link(bandwidth_bytes_per_s=part * value.bandwidth_bytes_per_s, latency_s=value.latency_s)
        if value is None:
            return None
        found: Network | None = profile("networks", value, key)
        if found is None:
            return None
        rate = found.usable_bandwidth_bytes_per_s or found.bandwidth_bytes_per_s
        if share is not None and key != "inner_link":
            rate = share * found.bandwidth_bytes_per_s
        if tier:
            return tier_link(rate, switch_latency_s=hop_s)
        try:
            return host_link(
                rate, switch_latency_s=hop_s, latency_s=found.latency_s or 0.0, latency_kind=found.latency_kind or "adapter"
            )
        except ValueError as error:
            faults.append(Fault(file, f"network.{key}", str(error)))
            return None

    host = link(section.host_link, "host_link", tier=False)
    if section.host_link is None:
        if node is not None and node.nic_bandwidth_bytes_per_s is not None:
            host = host_link((1.0 if share is None else share) * node.nic_bandwidth_bytes_per_s, switch_latency_s=hop_s)
        elif section.topology != "graph":
            faults.append(
                Fault(
                    file, "network.host_link", "is missing, and the node's profile gives no NIC: name a network or a bandwidth"
                )
            )
    upper = link(section.upper_link, "upper_link", tier=True)
    if section.upper_link is None and isinstance(section.host_link, LinkKeys):
        upper = link(section.host_link, "upper_link", tier=True)
    if upper is None and host is not None:
        upper = tier_link(host.bandwidth_bytes_per_s, switch_latency_s=hop_s)
    per_node = node.accelerators if node is not None and section.topology != "graph" else 1
    inner = link(section.inner_link, "inner_link", tier=True)
    if section.inner_link is None and per_node > 1 and node is not None:
        if node.inner_bandwidth_bytes_per_s is not None:
            inner = Link(bandwidth_bytes_per_s=node.inner_bandwidth_bytes_per_s, latency_s=(node.inner_latency_s or 0.0) / 2)
        else:
            faults.append(
                Fault(file, "network.inner_link", f"is missing, and {node.name} does not give the bandwidth inside a node")
            )
    if faults:
        raise ScenarioError(faults)
    if host is None or upper is None:  # a graph brings its own links
        host = upper = Link(bandwidth_bytes_per_s=1.0)
    nics = max(1, (node.nics if node is not None else None) or 1)
    if nics > per_node:  # a message takes one NIC: the sum of their bandwidths, spread over the accelerators
        host = Link(bandwidth_bytes_per_s=host.bandwidth_bytes_per_s * nics / per_node, latency_s=host.latency_s)
        nics = per_node
    assert section.topology is not None
    return ClusterNetwork(
        kind=section.topology,
        nodes=math.ceil(accelerators / per_node),
        accelerators_per_node=per_node,
        nics_per_node=nics,
        host_link=host,
        upper_link=upper,
        inner_link=inner,
        down=section.down,
        up=section.up,
        radix=switch.radix if switch is not None else None,
        oversubscription=section.oversubscription,
        file=str(folder / section.file) if section.file is not None else None,
        hashed=section.routing == "hashed",
        seed=seed or 0,
    )


def placed_ranks(section: NetworkSection, seed: int | None) -> PlacedRanks:
    """Return where learners sit; "random" takes the scenario's seed where it has none of its own."""
    placement = section.placement
    own = placement.seed if placement.seed is not None else seed
    return PlacedRanks(kind=placement.kind, stride=placement.stride or 1, seed=own or 0, hosts=placement.hosts)


def delta_of(
    section: NetworkSection, network: ClusterNetwork, *, gradient_bytes: float, accelerators_per_learner: int, seed: int | None
) -> FabricDelta:
    """Return Delta(P) of [network]: what its collective takes for so many bytes of each accelerator."""
    return FabricDelta(
        network=network,
        gradient_bytes=gradient_bytes,
        collective=section.collective,
        servers=section.servers or 1,
        inner=section.inner or "ring",
        outer=section.outer or "ring",
        accelerators_per_learner=accelerators_per_learner,
        placement=placed_ranks(section, seed),
        sends=section.sends,
        message_overhead_s=section.message_overhead_s,
    )


def fabric_law(scenario: Scenario, index: int, accelerators: int, accelerators_per_learner: int) -> FabricDelta:
    """Return Delta(P) of a scenario with [network] for one of its workloads; nothing is built yet.

    Parameters
    ----------
    scenario : Scenario
        As resolved.
    index : int
        Which workload.
    accelerators, accelerators_per_learner : int
        Of the cluster, and of a learner.

    Raises
    ------
    ScenarioError
        With every number that is missing.
    """
    section, seed = scenario.sections.network, scenario.sections.seed
    assert section is not None
    gradient_bytes = scenario.sections.workload[index].gradient_bytes
    if gradient_bytes is None:
        raise ScenarioError([Fault(scenario.name, f"workload[{index}].gradient_bytes", "is missing: [network] carries them")])
    network = network_of(
        section,
        file=scenario.name,
        folder=scenario.folder,
        profile_folders=scenario.profile_folders,
        node=scenario.node,
        accelerators=accelerators,
        seed=seed,
        moved=scenario.moved,
    )
    return delta_of(
        section,
        network,
        gradient_bytes=gradient_bytes / accelerators_per_learner,
        accelerators_per_learner=accelerators_per_learner,
        seed=seed,
    )
