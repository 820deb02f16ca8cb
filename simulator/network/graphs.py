"""Topologies from a graph, or from links and routes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import TopologyError
from simulator.network.routing import ListedRoutes, Routing, ShortestPaths
from simulator.network.topologies import LinkNames, Topology

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["from_graph", "from_routes"]


def from_routes(
    hosts: int,
    links: Mapping[str, tuple[float, float]],
    routes: Mapping[tuple[int, int], Sequence[str]],
    *,
    name: str = "graph",
) -> Topology:
    """Build a network of which only links and routes are known.

    Parameters
    ----------
    hosts : int
        Number of hosts, >= 1.
    links : mapping of str to (float, float)
        (bandwidth_bytes_per_s, latency_s) of each directed link by name.
    routes : mapping of (int, int) to sequence of str
        Links of each pair of hosts that communicates.
    """
    number = {link: i for i, link in enumerate(links)}
    listed: dict[tuple[int, int], tuple[int, ...]] = {}
    for (source, destination), way in routes.items():
        unknown = [link for link in way if link not in number]
        if unknown:
            raise TopologyError(f"routes from {source} to {destination} must use links that exist, got {unknown[0]!r}")
        if not (0 <= source < hosts and 0 <= destination < hosts):
            raise TopologyError(f"routes must join hosts from 0 to {hosts - 1}, got {source} to {destination}")
        if len(set(way)) < len(way):
            raise TopologyError(f"routes must use a link once, got {', '.join(way)} from {source} to {destination}")
        listed[source, destination] = tuple(number[link] for link in way)
    values = np.array(list(links.values()), dtype=np.float64).reshape(-1, 2)
    return Topology(
        name=name,
        hosts=hosts,
        bandwidth_bytes_per_s=values[:, 0].copy(),
        latency_s=values[:, 1].copy(),
        names=tuple(links),
        routing=ListedRoutes(listed=listed),
    )


def from_graph(
    graph: nx.Graph[Any],
    hosts: Sequence[Any],
    *,
    routes: Mapping[tuple[int, int], Sequence[Any]] | None = None,
    seed: int | None = None,
    name: str = "graph",
) -> Topology:
    """Build a network from a graph; an undirected edge is a cable, one link for each direction.

    Parameters
    ----------
    graph : networkx graph, directed or not
        Edges carry bandwidth_bytes_per_s (> 0) and latency_s (>= 0, 0 where absent).
    hosts : sequence of node
        The node of each host, in order.
    routes : mapping of (int, int) to sequence of node, optional
        Nodes that the messages of a pair of hosts pass, both ends included; by default the fewest links.
    seed : int, optional
        Picks among equally short ways by a hash of (source, destination, seed); by default the first in the graph's order.
    """
    missing = [node for node in hosts if node not in graph]
    if missing or len(set(hosts)) < len(hosts) or not hosts:
        raise TopologyError(
            f"hosts must be distinct nodes of the graph, at least one, got {missing[0] if missing else list(hosts)[:8]!r}"
        )
    order = [*hosts, *(node for node in graph.nodes if node not in set(hosts))]
    number = {node: i for i, node in enumerate(order)}
    ends: list[tuple[int, int]] = []
    values: list[tuple[float, float]] = []
    for tail, head, data in graph.edges(data=True):
        if "bandwidth_bytes_per_s" not in data:
            raise TopologyError(f"edges must carry bandwidth_bytes_per_s, {tail} -> {head} has none")
        value = (float(data["bandwidth_bytes_per_s"]), float(data.get("latency_s", 0.0)))
        for pair in ((tail, head), (head, tail)) if not graph.is_directed() else ((tail, head),):
            ends.append((number[pair[0]], number[pair[1]]))
            values.append(value)
    leaving: list[list[tuple[int, int]]] = [[] for _ in order]
    for link, (a, b) in enumerate(ends):
        leaving[a].append((link, b))
    routing: Routing = ShortestPaths(
        host_node=tuple(range(len(hosts))), leaving=tuple(tuple(links) for links in leaving), seed=seed
    )
    if routes is not None:
        first = {pair: link for link, pair in reversed(list(enumerate(ends)))}
        listed = {}
        for pair, way in routes.items():
            steps = [(number.get(a, -1), number.get(b, -1)) for a, b in pairwise(way)]
            broken = next((step for step, hop in enumerate(steps) if hop not in first), None)
            if broken is not None or not way or (number.get(way[0]), number.get(way[-1])) != pair:
                raise TopologyError(f"routes from {pair[0]} to {pair[1]} must follow edges from host to host, got {list(way)}")
            listed[pair] = tuple(first[hop] for hop in steps)
        routing = ListedRoutes(listed=listed)
    table = np.array(values, dtype=np.float64).reshape(-1, 2)
    joined = np.array(ends, dtype=np.int64).reshape(-1, 2)
    nodes = tuple(str(node) for node in order)
    return Topology(
        name=name,
        hosts=len(hosts),
        bandwidth_bytes_per_s=table[:, 0].copy(),
        latency_s=table[:, 1].copy(),
        names=LinkNames(joined, nodes),
        ends=joined,
        nodes=nodes,
        routing=routing,
    )
