"""Topologies: hosts, directed links with bandwidth and latency, and one route for each pair of hosts.

Switches have no limit of their own; a cable is two links, one for each direction, that do not share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import TopologyError
from simulator.network.routing import IntArray, ListedRoutes, Routes, Routing, ShortestPaths, StarRouting, XgftRouting
from simulator.quantities import ArrayLike, FloatArray, non_negative, positive, whole

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Topology", "from_graph", "from_routes", "k_ary_fat_tree", "star", "xgft"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Topology:
    """A network of hosts and directed links.

    Parameters
    ----------
    name : str
        What it is, in words.
    hosts : int
        Number of hosts, >= 1; they are 0..hosts-1.
    bandwidth_bytes_per_s, latency_s : ndarray of float64, one for each link
        > 0, and >= 0.
    names : tuple of str
        What the links are called, "tail -> head" where both ends are known.
    ends : ndarray of int64 of shape (links, 2), or None
        Nodes at the tail and head of each link (hosts first); None where only routes are known.
    nodes : tuple of str
        Names of the nodes that `ends` counts; empty without.
    routing : Routing
        What finds the routes.
    levels : tuple of tuple of int
        (down, up) of a fat tree, empty elsewhere.
    """

    name: str
    hosts: int
    bandwidth_bytes_per_s: FloatArray
    latency_s: FloatArray
    names: Sequence[str]
    routing: Routing
    ends: IntArray | None = None
    nodes: Sequence[str] = ()
    levels: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        whole("hosts", self.hosts)
        lengths = {len(self.bandwidth_bytes_per_s), len(self.latency_s), len(self.names)}
        if self.ends is not None:
            lengths.add(len(self.ends))
        if len(lengths) > 1:
            raise ValueError(f"bandwidth_bytes_per_s, latency_s, names and ends must have the same length, got {sorted(lengths)}")
        for name, values, strict in (
            ("bandwidth_bytes_per_s", self.bandwidth_bytes_per_s, True),
            ("latency_s", self.latency_s, False),
        ):
            bad = ~np.isfinite(values) | ((values <= 0) if strict else (values < 0))
            if bad.any():
                at = int(np.argmax(bad))
                rule = "finite and > 0" if strict else "finite and >= 0"
                raise TopologyError(f"{name} of link {self.names[at]!r} must be {rule}, got {values[at]:g}")

    @property
    def links(self) -> int:
        """Number of directed links."""
        return len(self.bandwidth_bytes_per_s)

    def routes(self, source: ArrayLike, destination: ArrayLike) -> Routes:
        """Return the routes of many pairs of hosts; a route within a host has no link.

        Raises
        ------
        TopologyError
            Where a host does not exist or cannot be reached.
        """
        ends = [np.atleast_1d(np.asarray(end, dtype=np.int64)) for end in (source, destination)]
        if len(ends[0]) != len(ends[1]):
            raise ValueError(f"source and destination must have the same length, got {len(ends[0])} and {len(ends[1])}")
        for end in ends:
            outside = (end < 0) | (end >= self.hosts)
            if outside.any():
                raise TopologyError(f"hosts must be from 0 to {self.hosts - 1}, got {int(end[outside][0])}")
        return self.routing.routes(ends[0], ends[1])

    def route(self, source: int, destination: int) -> list[int]:
        """Return the links from one host to another, in order."""
        return [int(link) for link in self.routes(source, destination).link]

    def path_latency_s(self, source: int, destination: int) -> float:
        """Sum of the latencies from one host to another, seconds."""
        return float(self.latency_s[self.route(source, destination)].sum())

    def graph(self) -> nx.MultiDiGraph[Any]:
        """Return the directed graph: edges carry bandwidth_bytes_per_s, latency_s and link, host nodes their number `host`."""
        import networkx as nx

        if self.ends is None:
            raise TopologyError(f"{self.name} is given by its routes: which nodes its links join is not known")
        graph: nx.MultiDiGraph[Any] = nx.MultiDiGraph(name=self.name)
        for number, name in enumerate(self.nodes):
            graph.add_node(name, **({"host": number} if number < self.hosts else {}))
        for link, (tail, head) in enumerate(self.ends.tolist()):
            graph.add_edge(
                self.nodes[tail],
                self.nodes[head],
                link=link,
                bandwidth_bytes_per_s=float(self.bandwidth_bytes_per_s[link]),
                latency_s=float(self.latency_s[link]),
            )
        return graph


class _LinkNames(Sequence[str]):
    """Names of links from the names of their ends, made when asked for: a big tree has a hundred thousand."""

    __slots__ = ("_ends", "_nodes")

    def __init__(self, ends: IntArray, nodes: Sequence[str]) -> None:
        self._ends, self._nodes = ends, nodes

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, at: Any) -> Any:
        tail, head = self._ends[int(at)].tolist()
        return f"{self._nodes[tail]} -> {self._nodes[head]}"


class _NodeNames(Sequence[str]):
    """host 0.., switch level.number, made when asked for."""

    __slots__ = ("_first",)

    def __init__(self, counts: Sequence[int]) -> None:
        self._first = [0, *np.cumsum(counts).tolist()]

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, at: Any) -> Any:
        if not 0 <= at < len(self):
            raise IndexError(at)
        level = int(np.searchsorted(self._first, at, side="right")) - 1
        number = at - self._first[level]
        return f"host {number}" if level == 0 else f"switch {level}.{number}"


def star(hosts: int, *, bandwidth_bytes_per_s: float, latency_s: float = 0.0) -> Topology:
    """Every host on one ideal switch.

    Parameters
    ----------
    hosts : int
        Number of hosts, >= 1.
    bandwidth_bytes_per_s : float
        Of each host's cable, one direction, > 0.
    latency_s : float
        Of each link, >= 0: a message passes two.

    Examples
    --------
    >>> star(4, bandwidth_bytes_per_s=1e9, latency_s=1e-6).route(0, 3)
    [0, 7]
    """
    whole("hosts", hosts)
    i = np.arange(hosts)
    ends = np.concatenate([np.stack([i, np.full(hosts, hosts)], axis=1), np.stack([np.full(hosts, hosts), i], axis=1)])
    nodes = _NodeNames([hosts, 1])
    return Topology(
        name=f"star of {hosts} hosts",
        hosts=hosts,
        bandwidth_bytes_per_s=np.full(2 * hosts, float(positive("bandwidth_bytes_per_s", bandwidth_bytes_per_s))),
        latency_s=np.full(2 * hosts, float(non_negative("latency_s", latency_s))),
        names=_LinkNames(ends, nodes),
        ends=ends,
        nodes=nodes,
        routing=StarRouting(hosts=hosts),
    )


def xgft(
    down: Sequence[int],
    up: Sequence[int],
    *,
    host_bandwidth_bytes_per_s: float,
    upper_bandwidth_bytes_per_s: float | Sequence[float],
    host_latency_s: float = 0.0,
    upper_latency_s: float | Sequence[float] = 0.0,
) -> Topology:
    """Extended generalised fat tree XGFT(h; m_1..m_h; w_1..w_h) [1]_, one cable for each pair, D-mod-K routing.

    Parameters
    ----------
    down : sequence of int
        m_1..m_h: children of a switch of level 1..h, >= 1 each; their product is the number of hosts.
    up : sequence of int
        w_1..w_h: parents of a node of level 0..h-1, >= 1 each, as many as `down`.
    host_bandwidth_bytes_per_s, host_latency_s : float
        Of the links between hosts and level 1; > 0, >= 0.
    upper_bandwidth_bytes_per_s, upper_latency_s : float or sequence of float
        Of the links above, one for all or one for each stage from below.

    References
    ----------
    .. [1] S. Oehring, M. Ibel, S. Das, M. Kumar, "On generalized fat trees", IPPS 1995.

    Examples
    --------
    >>> tree = xgft([4, 4], [1, 2], host_bandwidth_bytes_per_s=1e9, upper_bandwidth_bytes_per_s=1e9)
    >>> tree.hosts, tree.links, len(tree.route(0, 3)), len(tree.route(0, 4))
    (16, 48, 2, 4)
    """
    for name, values in (("down", down), ("up", up)):
        whole(name, np.asarray(values))
    if len(down) != len(up) or not down:
        raise ValueError(f"down and up must have the same length, >= 1, got {len(down)} and {len(up)}")
    down, up = tuple(int(m) for m in down), tuple(int(w) for w in up)
    height = len(down)
    bandwidths = _by_stage("upper_bandwidth_bytes_per_s", upper_bandwidth_bytes_per_s, height)
    latencies = _by_stage("upper_latency_s", upper_latency_s, height)
    positive("host_bandwidth_bytes_per_s", host_bandwidth_bytes_per_s)
    positive("upper_bandwidth_bytes_per_s", bandwidths)
    non_negative("host_latency_s", host_latency_s)
    non_negative("upper_latency_s", latencies)
    hosts = math.prod(down)
    groups = [hosts // math.prod(down[:level]) for level in range(height + 1)]
    widths = [math.prod(up[:level]) for level in range(height + 1)]
    counts = [groups[level] * widths[level] for level in range(height + 1)]
    first_node = [0, *np.cumsum(counts).tolist()]
    first_link, ends = [], []
    bandwidth, latency = [], []
    for level in range(height):
        cables = counts[level] * up[level]
        first_link.append(sum(len(part) for part in ends))
        node, parent = np.divmod(np.arange(cables), up[level])
        group, chosen = np.divmod(node, widths[level])
        head = (group // down[level]) * widths[level + 1] + chosen * up[level] + parent
        pair = np.stack([first_node[level] + node, first_node[level + 1] + head], axis=1)
        ends += [pair, pair[:, ::-1]]
        bandwidth.append(np.full(2 * cables, host_bandwidth_bytes_per_s if level == 0 else bandwidths[level - 1], dtype=np.float64))
        latency.append(np.full(2 * cables, host_latency_s if level == 0 else latencies[level - 1], dtype=np.float64))
    joined = np.concatenate(ends)
    nodes = _NodeNames(counts)
    return Topology(
        name=f"fat tree down {' '.join(map(str, down))}, up {' '.join(map(str, up))}",
        hosts=hosts,
        bandwidth_bytes_per_s=np.concatenate(bandwidth),
        latency_s=np.concatenate(latency),
        names=_LinkNames(joined, nodes),
        ends=joined,
        nodes=nodes,
        routing=XgftRouting(down=down, up=up, first_link=tuple(first_link)),
        levels=(down, up),
    )


def _by_stage(name: str, value: float | Sequence[float], height: int) -> list[float]:
    if isinstance(value, Sequence):
        if len(value) != height - 1:
            raise ValueError(f"{name} must have {height - 1} values, one for each stage above the hosts', got {len(value)}")
        return list(value)
    return [value] * (height - 1)


def k_ary_fat_tree(k: int, *, bandwidth_bytes_per_s: float, latency_s: float = 0.0) -> Topology:
    """Three-level fat tree of switches with k ports: k^3/4 hosts, no oversubscription.

    Parameters
    ----------
    k : int
        Ports of a switch, even, >= 2.
    bandwidth_bytes_per_s, latency_s : float
        Of every link, one direction; > 0, >= 0.

    Examples
    --------
    >>> k_ary_fat_tree(16, bandwidth_bytes_per_s=12.5e9).hosts
    1024
    """
    whole("k", k, lowest=2)
    if k % 2:
        raise ValueError(f"k must be even, got {k}")
    return xgft(
        [k // 2, k // 2, k],
        [1, k // 2, k // 2],
        host_bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        upper_bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        host_latency_s=latency_s,
        upper_latency_s=latency_s,
    )


def from_routes(
    hosts: int, links: Mapping[str, tuple[float, float]], routes: Mapping[tuple[int, int], Sequence[str]], *, name: str = "graph"
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
        raise TopologyError(f"hosts must be distinct nodes of the graph, at least one, got {missing[0] if missing else list(hosts)[:8]!r}")
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
        names=_LinkNames(joined, nodes),
        ends=joined,
        nodes=nodes,
        routing=routing,
    )
