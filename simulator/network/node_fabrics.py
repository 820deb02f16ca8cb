"""Nodes with an inner fabric: accelerators behind an inner switch, and NICs that lead out to any network, or to rails.

Within a node a message goes from accelerator to inner switch to accelerator. Across nodes the accelerator at position i of its
node sends through NIC i mod n, the message arrives at the NIC of the same number of the other node, and its inner switch leads
it to the accelerator: it crosses the inner links of both. A NIC is the node's end of its cable, not a hop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import TopologyError
from simulator.network.links import Link
from simulator.network.routing import IntArray, Routes, Routing
from simulator.network.topologies import Topology
from simulator.quantities import whole

__all__ = ["NodeRouting", "nodes_on", "rails"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRouting:
    """Inside a node through its inner switch, across nodes through the NIC of the sender's position.

    Parameters
    ----------
    hosts : int
        Accelerators; link i leads from accelerator i to its inner switch, link hosts + i back.
    per_node, nics : int
        Accelerators and NICs of a node.
    outer : tuple of Routing
        One network whose hosts are all NICs, node by node; or one rail for each NIC, whose hosts are the nodes.
    first_link : tuple of int
        Number of the first link of each of them.
    """

    hosts: int
    per_node: int
    nics: int
    outer: tuple[Routing, ...]
    first_link: tuple[int, ...]

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Return the routes of the pairs."""
        nodes = (source // self.per_node, destination // self.per_node)
        nic = source % self.per_node % self.nics
        across = nodes[0] != nodes[1]
        railed = len(self.outer) > 1
        hops = np.where(source != destination, 2, 0).astype(np.int64)
        found: list[tuple[IntArray, Routes, int]] = []
        for rail, (routing, offset) in enumerate(zip(self.outer, self.first_link, strict=True)):
            pairs = np.flatnonzero(across & (nic == rail) if railed else across)
            ends = [end[pairs] if railed else end[pairs] * self.nics + nic[pairs] for end in nodes]
            routes = routing.routes(ends[0], ends[1])
            hops[pairs] += routes.hops
            found.append((pairs, routes, offset))
        first = np.zeros(len(source) + 1, dtype=np.int64)
        np.cumsum(hops, out=first[1:])
        link = np.empty(int(first[-1]), dtype=np.int32)
        away = source != destination
        link[first[:-1][away]] = source[away]
        link[first[1:][away] - 1] = self.hosts + destination[away]
        for pairs, routes, offset in found:
            row = np.repeat(np.arange(len(pairs)), routes.hops)
            step = np.arange(len(routes.link)) - routes.first[row]
            link[first[pairs[row]] + 1 + step] = offset + routes.link
        return Routes(first=first, link=link)


class _Names(Sequence[str]):
    """Names of the inner links, then those of the networks with their hosts called node and NIC; made when asked for."""

    __slots__ = ("_hosts", "_networks", "_nics", "_per_node", "_starts")

    def __init__(self, hosts: int, per_node: int, nics: int, networks: Sequence[Topology], starts: Sequence[int]) -> None:
        self._hosts, self._per_node, self._nics, self._networks, self._starts = hosts, per_node, nics, networks, starts

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, at: Any) -> Any:
        at = int(at)
        if not 0 <= at < len(self):
            raise IndexError(at)
        if at < 2 * self._hosts:
            host = at % self._hosts
            ends = (f"host {host}", f"node {host // self._per_node}")
            return " -> ".join(ends if at < self._hosts else ends[::-1])
        rail = int(np.searchsorted(self._starts, at, side="right")) - 1
        network, link = self._networks[rail], at - self._starts[rail]
        assert network.ends is not None
        tail, head = network.ends[link].tolist()
        name = network.names[link]
        cable = name.removeprefix(f"{network.nodes[tail]} -> {network.nodes[head]}")
        return f"{self._end(rail, tail)} -> {self._end(rail, head)}{cable}"

    def _end(self, rail: int, node: int) -> str:
        network, railed = self._networks[rail], len(self._networks) > 1
        if node >= network.hosts:
            return f"rail {rail} {network.nodes[node]}" if railed else network.nodes[node]
        at, nic = (node, rail) if railed else divmod(node, self._nics)
        return f"node {at} nic {nic}"


def nodes_on(network: Topology, *, accelerators_per_node: int, nics_per_node: int, inner_link: Link) -> Topology:
    """Put nodes on a network whose hosts are their NICs: NIC k of node a is its host ``a * nics_per_node + k``.

    Parameters
    ----------
    network : Topology
        Any network of which it is known which nodes its links join; its host links are the NICs' cables.
    accelerators_per_node, nics_per_node : int
        g, and n with 1 <= n <= g. Where a node has more NICs than accelerators, give g of the sum of their bandwidths.
    inner_link : Link
        Between an accelerator and the inner switch (NVLink, PCIe): what it sends, and half of the latency between two.

    Returns
    -------
    Topology
        Its hosts are the accelerators, node by node.

    Examples
    --------
    >>> from simulator.network.topologies import star
    >>> inner = Link(bandwidth_bytes_per_s=300e9, latency_s=1e-6)
    >>> cluster = nodes_on(star(4, bandwidth_bytes_per_s=25e9), accelerators_per_node=4, nics_per_node=2, inner_link=inner)
    >>> [cluster.names[link] for link in cluster.route(3, 4)]
    ['host 3 -> node 0', 'node 0 nic 1 -> switch 1.0', 'switch 1.0 -> node 1 nic 1', 'node 1 -> host 4']
    """
    return _joined((network,), accelerators_per_node, nics_per_node, inner_link)


def rails(networks: Sequence[Topology], *, accelerators_per_node: int, inner_link: Link) -> Topology:
    """Put nodes on independent rails: NIC k of every node is a host of network k, and nothing joins the networks but the nodes.

    Parameters
    ----------
    networks : sequence of Topology
        One for each NIC, all with one host for each node.
    accelerators_per_node, inner_link
        As for `nodes_on`.

    Examples
    --------
    >>> from simulator.network.topologies import star
    >>> inner = Link(bandwidth_bytes_per_s=300e9)
    >>> cluster = rails([star(2, bandwidth_bytes_per_s=25e9)] * 4, accelerators_per_node=8, inner_link=inner)
    >>> [cluster.names[link] for link in cluster.route(6, 9)]  # position 6 sends on rail 6 mod 4
    ['host 6 -> node 0', 'node 0 nic 2 -> rail 2 switch 1.0', 'rail 2 switch 1.0 -> node 1 nic 2', 'node 1 -> host 9']
    """
    networks = tuple(networks)
    if len({network.hosts for network in networks}) != 1:
        raise TopologyError(f"rails must all have one host for each node, got {[network.hosts for network in networks]}")
    return _joined(networks, accelerators_per_node, len(networks), inner_link)


def _joined(networks: tuple[Topology, ...], accelerators_per_node: int, nics_per_node: int, inner_link: Link) -> Topology:
    per_node, nics = int(whole("accelerators_per_node", accelerators_per_node)), int(whole("nics_per_node", nics_per_node))
    if nics > per_node:
        raise TopologyError(
            f"nics_per_node must be at most accelerators_per_node, {per_node}, got {nics}; a message takes one NIC: "
            "give each accelerator one of the sum of their bandwidths"
        )
    railed = len(networks) > 1
    nodes, left = divmod(networks[0].hosts, 1 if railed else nics)
    if left:
        raise TopologyError(f"hosts of the network must be a multiple of nics_per_node, {nics}, got {networks[0].hosts}")
    hosts = nodes * per_node
    i = np.arange(hosts, dtype=np.int64)
    up = np.stack([i, hosts + i // per_node], axis=1)
    ends, starts = [up, up[:, ::-1]], [2 * hosts]
    names = [*(f"host {host}" for host in range(hosts)), *(f"node {node}" for node in range(nodes))]
    for rail, network in enumerate(networks):
        if network.ends is None:
            raise TopologyError(f"the network must say which nodes its links join, {network.name} gives only routes")
        node = np.arange(len(network.nodes), dtype=np.int64)
        moved = np.where(node < network.hosts, hosts + node // (1 if railed else nics), len(names) + node - network.hosts)
        names += [f"rail {rail} {name}" if railed else name for name in list(network.nodes)[network.hosts :]]
        ends.append(moved[network.ends])
        starts.append(starts[-1] + network.links)
    inner = np.full(2 * hosts, 1.0)
    what = f"{nics} rails, each a {networks[0].name}" if railed else networks[0].name
    return Topology(
        name=f"{nodes} nodes with {per_node} accelerators and {nics} NICs on {what}",
        hosts=hosts,
        bandwidth_bytes_per_s=np.concatenate(
            [inner * inner_link.bandwidth_bytes_per_s, *(network.bandwidth_bytes_per_s for network in networks)]
        ),
        latency_s=np.concatenate([inner * inner_link.latency_s, *(network.latency_s for network in networks)]),
        names=_Names(hosts, per_node, nics, networks, starts),
        ends=np.concatenate(ends),
        nodes=tuple(names),
        routing=NodeRouting(
            hosts=hosts,
            per_node=per_node,
            nics=nics,
            outer=tuple(network.routing for network in networks),
            first_link=tuple(starts[:-1]),
        ),
    )
