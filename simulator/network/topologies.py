"""Topologies: hosts, directed links with bandwidth and latency, and one route for each pair of hosts.

Switches have no limit of their own; a cable is two links, one for each direction, that do not share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import TopologyError
from simulator.network.routing import IntArray, Routes, Routing, StarRouting, XgftRouting
from simulator.quantities import ArrayLike, FloatArray, non_negative, positive, whole

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["LinkNames", "NodeNames", "Topology", "k_ary_fat_tree", "star", "xgft"]


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
            raise ValueError(
                f"bandwidth_bytes_per_s, latency_s, names and ends must have the same length, got {sorted(lengths)}"
            )
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


class LinkNames(Sequence[str]):
    """Names of links from the names of their ends, made when asked for: a big tree has a hundred thousand."""

    __slots__ = ("_ends", "_nodes")

    def __init__(self, ends: IntArray, nodes: Sequence[str]) -> None:
        self._ends, self._nodes = ends, nodes

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, at: Any) -> Any:
        tail, head = self._ends[int(at)].tolist()
        return f"{self._nodes[tail]} -> {self._nodes[head]}"


class NodeNames(Sequence[str]):
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
    nodes = NodeNames([hosts, 1])
    return Topology(
        name=f"star of {hosts} hosts",
        hosts=hosts,
        bandwidth_bytes_per_s=np.full(2 * hosts, float(positive("bandwidth_bytes_per_s", bandwidth_bytes_per_s))),
        latency_s=np.full(2 * hosts, float(non_negative("latency_s", latency_s))),
        names=LinkNames(ends, nodes),
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
    first_link: list[int] = []
    ends: list[IntArray] = []
    bandwidth: list[FloatArray] = []
    latency: list[FloatArray] = []
    for level in range(height):
        cables = counts[level] * up[level]
        first_link.append(sum(len(part) for part in ends))
        node, parent = np.divmod(np.arange(cables), up[level])
        group, chosen = np.divmod(node, widths[level])
        head = (group // down[level]) * widths[level + 1] + chosen * up[level] + parent
        pair = np.stack([first_node[level] + node, first_node[level + 1] + head], axis=1)
        ends += [pair, pair[:, ::-1]]
        bandwidth.append(
            np.full(2 * cables, host_bandwidth_bytes_per_s if level == 0 else bandwidths[level - 1], dtype=np.float64)
        )
        latency.append(np.full(2 * cables, host_latency_s if level == 0 else latencies[level - 1], dtype=np.float64))
    joined = np.concatenate(ends)
    nodes = NodeNames(counts)
    return Topology(
        name=f"fat tree down {' '.join(map(str, down))}, up {' '.join(map(str, up))}",
        hosts=hosts,
        bandwidth_bytes_per_s=np.concatenate(bandwidth),
        latency_s=np.concatenate(latency),
        names=LinkNames(joined, nodes),
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
