"""Topologies and their routes."""

from __future__ import annotations

import re

import networkx as nx
import numpy as np
import pytest

from simulator.errors import TopologyError
from simulator.network.graphs import from_graph, from_routes
from simulator.network.topologies import Topology, k_ary_fat_tree, star, xgft


def tree(down: list[int], up: list[int]) -> Topology:
    return xgft(
        down, up, host_bandwidth_bytes_per_s=1e9, upper_bandwidth_bytes_per_s=4e9, host_latency_s=1e-6, upper_latency_s=2e-6
    )


def by_definition(down: list[int], up: list[int], source: int, destination: int) -> list[tuple[str, str]]:
    """Walk D-mod-K node by node: a node is (level, host // (m_1..m_l), parents chosen so far)."""
    below = [int(np.prod(down[:level])) for level in range(len(down) + 1)]
    level = 0
    chosen: tuple[int, ...] = ()
    way: list[tuple[str, str]] = []

    def node(level: int, host: int, numbers: tuple[int, ...]) -> str:
        if level == 0:
            return f"host {host}"
        digits = 0
        for number, width in zip(numbers, up, strict=False):
            digits = digits * width + number
        return f"switch {level}.{host // below[level] * int(np.prod(up[:level])) + digits}"

    while source // below[level] != destination // below[level]:
        parent = (destination // int(np.prod(up[:level]))) % up[level]
        way.append((node(level, source, chosen), node(level + 1, source, (*chosen, parent))))
        level, chosen = level + 1, (*chosen, parent)
    while level > 0:
        way.append((node(level, destination, chosen), node(level - 1, destination, chosen[:-1])))
        level, chosen = level - 1, chosen[:-1]
    return way


@pytest.mark.parametrize(("down", "up"), [([4], [1]), ([4, 4], [1, 2]), ([2, 3, 4], [1, 2, 3]), ([3, 2, 2, 2], [1, 2, 1, 3])])
def test_a_fat_tree_routes_by_destination_as_defined(down: list[int], up: list[int]) -> None:
    found = tree(down, up)
    pairs = [(a, b) for a in range(found.hosts) for b in range(found.hosts)]
    routes = found.routes([a for a, _ in pairs], [b for _, b in pairs])
    for i, (a, b) in enumerate(pairs):
        links = routes.link[routes.first[i] : routes.first[i + 1]]
        assert [found.names[link] for link in links] == [" -> ".join(hop) for hop in by_definition(down, up, a, b)]


def test_a_k_ary_tree_has_the_published_size() -> None:
    # Al-Fares, Loukissas, Vahdat (SIGCOMM 2008): k^3/4 hosts, 5 k^2/4 switches, and as many cables on each stage as hosts.
    for k in (2, 4, 8):
        found = k_ary_fat_tree(k, bandwidth_bytes_per_s=1e9)
        graph = found.graph()
        assert (found.hosts, len(graph) - found.hosts) == (k**3 // 4, 5 * k * k // 4)
        assert found.links == 2 * 3 * found.hosts
        assert nx.is_strongly_connected(graph)


def test_paths_within_a_leaf_a_pod_and_across_pods_have_two_four_and_six_links() -> None:
    found = k_ary_fat_tree(8, bandwidth_bytes_per_s=1e9, latency_s=1e-6)
    assert [len(found.route(0, other)) for other in (0, 3, 4, 16)] == [0, 2, 4, 6]
    assert found.path_latency_s(0, 16) == pytest.approx(6e-6)


def test_host_and_upper_links_have_their_own_figures() -> None:
    found = tree([4, 4], [1, 2])
    graph = found.graph()
    assert graph.get_edge_data("host 5", "switch 1.1", 0)["bandwidth_bytes_per_s"] == 1e9
    assert {data["latency_s"] for _, head, data in graph.edges(data=True) if head.startswith("switch 2")} == {2e-6}
    stages = xgft(
        [2, 2, 2], [1, 1, 1], host_bandwidth_bytes_per_s=1.0, upper_bandwidth_bytes_per_s=[2.0, 3.0], upper_latency_s=[0.1, 0.2]
    )
    assert sorted(set(stages.bandwidth_bytes_per_s.tolist())) == [1.0, 2.0, 3.0]


def test_a_graph_of_cables_routes_by_fewest_links() -> None:
    graph: nx.Graph[str] = nx.Graph()
    for a, b in (("a", "s"), ("b", "s"), ("s", "t"), ("t", "c")):
        graph.add_edge(a, b, bandwidth_bytes_per_s=1e9, latency_s=1e-6)
    found = from_graph(graph, ["a", "b", "c"])
    assert [found.names[link] for link in found.route(0, 2)] == ["a -> s", "s -> t", "t -> c"]
    assert found.links == 8
    again = from_graph(found.graph(), ["a", "b", "c"])
    assert [again.names[link] for link in again.route(2, 1)] == ["c -> t", "t -> s", "s -> b"]


def two_ways() -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for middle in ("m0", "m1", "m2"):
        for a, b in (("a", middle), (middle, "b")):
            graph.add_edge(a, b, bandwidth_bytes_per_s=1e9)
    for i in range(20):
        graph.add_edge(f"h{i}", "a", bandwidth_bytes_per_s=1e9)
    return graph


def test_ties_go_to_the_first_or_by_a_hash_that_spreads() -> None:
    hosts = [*(f"h{i}" for i in range(20)), "b"]
    first = from_graph(two_ways(), hosts)
    assert {first.names[first.route(i, 20)[1]] for i in range(20)} == {"a -> m0"}
    spread = [from_graph(two_ways(), hosts, seed=seed) for seed in (7, 7, 8)]
    ways = [[one.names[one.route(i, 20)[1]] for i in range(20)] for one in spread]
    assert ways[0] == ways[1] != ways[2]
    assert set(ways[0]) == {"a -> m0", "a -> m1", "a -> m2"}


def test_routes_of_a_graph_may_be_listed() -> None:
    hosts = ["h0", "b"]
    found = from_graph(two_ways(), hosts, routes={(0, 1): ["h0", "a", "m2", "b"]})
    assert [found.names[link] for link in found.route(0, 1)] == ["h0 -> a", "a -> m2", "m2 -> b"]
    with pytest.raises(TopologyError, match="routes from 0 to 1 must follow edges from host to host, got \\['h0', 'b'\\]"):
        from_graph(two_ways(), hosts, routes={(0, 1): ["h0", "b"]})


def test_a_network_of_routes_alone_has_no_graph() -> None:
    found = from_routes(2, {"x": (1e9, 1e-6)}, {(0, 1): ["x"]})
    assert found.route(0, 1) == [0]
    with pytest.raises(TopologyError, match="graph is given by its routes: which nodes its links join is not known"):
        found.graph()


def edge(**data: float) -> nx.DiGraph[str]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edge("a", "b", **data)
    return graph


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: star(0, bandwidth_bytes_per_s=1), "hosts must be a whole number >= 1, got 0"),
        (lambda: star(2, bandwidth_bytes_per_s=0), "bandwidth_bytes_per_s must be finite and > 0, got 0"),
        (lambda: star(2, bandwidth_bytes_per_s=1, latency_s=-1), "latency_s must be finite and >= 0, got -1"),
        (lambda: k_ary_fat_tree(5, bandwidth_bytes_per_s=1), "k must be even, got 5"),
        (lambda: tree([4, 4], [1]), "down and up must have the same length, >= 1, got 2 and 1"),
        (lambda: tree([4, 0], [1, 1]), "down must be a whole number >= 1, got 0"),
        (
            lambda: xgft([2, 2], [1, 1], host_bandwidth_bytes_per_s=1, upper_bandwidth_bytes_per_s=[1, 2]),
            "upper_bandwidth_bytes_per_s must have 1 values, one for each stage above the hosts', got 2",
        ),
        (
            lambda: from_graph(edge(bandwidth_bytes_per_s=0.0), ["a", "b"]),
            "bandwidth_bytes_per_s of link 'a -> b' must be finite and > 0, got 0",
        ),
        (
            lambda: from_graph(edge(bandwidth_bytes_per_s=1.0, latency_s=-1.0), ["a"]),
            "latency_s of link 'a -> b' must be finite and >= 0, got -1",
        ),
        (lambda: from_graph(edge(), ["a", "b"]), "edges must carry bandwidth_bytes_per_s, a -> b has none"),
        (
            lambda: from_graph(edge(bandwidth_bytes_per_s=1.0), ["a", "z"]),
            "hosts must be distinct nodes of the graph, at least one, got 'z'",
        ),
        (
            lambda: from_graph(edge(bandwidth_bytes_per_s=1.0), ["a", "b"]).route(1, 0),
            "hosts must be reachable, no route from 1 to 0",
        ),
        (
            lambda: from_routes(3, {"x": (1, 0)}, {(0, 1): ["x"]}).routes([0, 0, 2], [1, 2, 1]),
            "hosts must be reachable, no route from 0 to 2, 2 to 1",
        ),
        (lambda: from_routes(2, {"x": (1, 0)}, {(0, 1): ["y"]}), "routes from 0 to 1 must use links that exist, got 'y'"),
        (lambda: from_routes(2, {"x": (1, 0)}, {(0, 2): ["x"]}), "routes must join hosts from 0 to 1, got 0 to 2"),
        (lambda: from_routes(2, {"x": (1, 0)}, {(0, 1): ["x", "x"]}), "routes must use a link once, got x, x from 0 to 1"),
        (lambda: star(2, bandwidth_bytes_per_s=1).route(0, 2), "hosts must be from 0 to 1, got 2"),
        (
            lambda: star(2, bandwidth_bytes_per_s=1).routes([0], [1, 0]),
            "source and destination must have the same length, got 1 and 2",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(build: object, message: str) -> None:
    with pytest.raises((TopologyError, ValueError), match=f"^{re.escape(message)}"):
        build()  # type: ignore[operator]
