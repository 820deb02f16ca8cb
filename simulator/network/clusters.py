"""The network of a cluster in plain numbers, and the topology that is built from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from simulator.errors import TopologyError
from simulator.network.links import Link
from simulator.network.topologies import Topology, star, xgft

__all__ = ["ClusterNetwork", "topology_of"]

MOST_HOSTS = 2**20
"""Accelerators and hosts of a tree up to which a network is built: memory grows with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNetwork:
    """The network of a cluster in plain numbers.

    Parameters
    ----------
    kind : {"star", "ring", "xgft", "fat_tree", "leaf_spine", "rails", "graph"}
        Topology between the nodes (between the accelerators, where there are no nodes).
    nodes, accelerators_per_node, nics_per_node : int
        What stands on it. With one accelerator per node there is no inner fabric.
    host_link, upper_link : Link
        Of a NIC, and between switches.
    inner_link : Link or None
        Of an accelerator inside its node; needed with several accelerators per node.
    down, up : tuple of int
        Levels of an xgft, whose hosts are nodes (or NICs, where there are enough).
    radix : int or None
        Ports of a switch; needed for fat_tree, leaf_spine and rails.
    oversubscription : float
        Of a leaf, down : up, >= 1.
    file : str or None
        Node-link JSON of a graph, whose hosts are the accelerators.
    hashed : bool
        Whether equally short ways are taken by a hash of (source, destination, seed) instead of in order.
    seed : int
        Of the hash.
    """

    kind: Literal["star", "ring", "xgft", "fat_tree", "leaf_spine", "rails", "graph"]
    nodes: int
    accelerators_per_node: int = 1
    nics_per_node: int = 1
    host_link: Link
    upper_link: Link
    inner_link: Link | None = None
    down: tuple[int, ...] = ()
    up: tuple[int, ...] = ()
    radix: int | None = None
    oversubscription: float = 1.0
    file: str | None = None
    hashed: bool = False
    seed: int = 0

    @property
    def nics_used(self) -> int:
        """NICs of a node that have a host link: all, but for an xgft whose hosts do not suffice for them."""
        nics = self.nics_per_node if self.accelerators_per_node > 1 else 1
        hosts = math.prod(self.down)
        return 1 if self.kind == "xgft" and (hosts < self.nodes * nics or hosts % nics) else nics

    def idle_nics(self) -> str | None:
        """Say which NICs stand idle, in words; None where none does."""
        idle = self.nics_per_node - self.nics_used if self.accelerators_per_node > 1 else 0
        if not idle:
            return None
        return (
            f"{idle} of the {self.nics_per_node} NICs of a node stand idle: the xgft has {math.prod(self.down):,} hosts, one "
            f"for each node; give down a host for each NIC, {self.nodes * self.nics_per_node:,} of them, to use all"
        )


@lru_cache(maxsize=16)
def topology_of(network: ClusterNetwork) -> Topology:
    """Build the topology; its hosts are the accelerators, node by node.

    Raises
    ------
    TopologyError, ScenarioError
        If it cannot be built: switches too small, links missing, a graph file with faults.
    """
    from simulator.network.cluster_topologies import fat_tree, ring
    from simulator.network.graph_files import read_graph
    from simulator.network.node_fabrics import nodes_on, rails

    if network.kind == "graph":
        assert network.file is not None
        return read_graph(Path(network.file), seed=network.seed if network.hashed else None)
    hosts = max(network.nodes * network.accelerators_per_node, math.prod(network.down), math.prod(network.up))
    if hosts > MOST_HOSTS:
        raise TopologyError(f"hosts must be at most {MOST_HOSTS:,}, got {hosts:,}")
    inner = network.accelerators_per_node > 1
    nics = network.nics_used
    ports, link = network.nodes * nics, network.host_link
    if network.kind in ("fat_tree", "leaf_spine", "rails") and network.radix is None:
        raise TopologyError(f"switch is missing: {network.kind} is built from switches with so many ports")

    def tree(hosts: int) -> Topology:
        assert network.radix is not None
        tiers = 2 if network.kind == "leaf_spine" else None
        return fat_tree(
            hosts,
            radix=network.radix,
            host_link=link,
            upper_link=network.upper_link,
            oversubscription=network.oversubscription,
            tiers=tiers,
            ways="hashed" if network.hashed else "d_mod_k",
            seed=network.seed,
        )

    if network.kind == "rails":
        if network.inner_link is None or not inner:
            raise TopologyError("rails need nodes with several accelerators and an inner_link")
        each = [tree(network.nodes)] * nics
        return rails(each, accelerators_per_node=network.accelerators_per_node, inner_link=network.inner_link)
    if network.kind == "star":
        outer = star(ports, bandwidth_bytes_per_s=link.bandwidth_bytes_per_s, latency_s=link.latency_s)
    elif network.kind == "ring":
        outer = ring(ports, link=link)
    elif network.kind == "xgft":
        outer = xgft(
            network.down,
            network.up,
            host_bandwidth_bytes_per_s=link.bandwidth_bytes_per_s,
            upper_bandwidth_bytes_per_s=network.upper_link.bandwidth_bytes_per_s,
            host_latency_s=link.latency_s,
            upper_latency_s=network.upper_link.latency_s,
        )
    else:
        outer = tree(ports)
    if not inner:
        return outer
    if network.inner_link is None:
        raise TopologyError(f"inner_link is missing: {network.accelerators_per_node} accelerators of a node talk over it")
    return nodes_on(
        outer, accelerators_per_node=network.accelerators_per_node, nics_per_node=nics, inner_link=network.inner_link
    )
