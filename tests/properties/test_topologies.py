"""Laws that the routes of every network obey."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from simulator.network.cluster_topologies import fat_tree, leaf_spine, ring
from simulator.network.fat_tree_shapes import fat_tree_shape
from simulator.network.graph_files import graph_topology
from simulator.network.links import Link
from simulator.network.node_fabrics import nodes_on, rails
from simulator.network.topologies import Topology, star, xgft
from simulator.network.trunked_trees import Ways, trunked_tree

HOST, UPPER, INNER = (Link(bandwidth_bytes_per_s=b, latency_s=s) for b, s in ((1.0, 1e-6), (2.0, 3e-6), (8.0, 0.25e-6)))
WAYS: list[Ways] = ["d_mod_k", "shortest_path", "hashed"]
whole = st.integers


@st.composite
def rings(draw: st.DrawFn) -> Topology:
    return ring(draw(whole(1, 12)), link=HOST)


@st.composite
def leaf_spines(draw: st.DrawFn, hosts: int | None = None) -> Topology:
    return leaf_spine(
        hosts or draw(whole(1, 20)),
        hosts_per_leaf=draw(whole(1, 6)),
        spines=draw(whole(1, 4)),
        trunk=draw(whole(1, 3)),
        host_link=HOST,
        upper_link=UPPER,
        ways=draw(st.sampled_from(WAYS)),
        seed=draw(whole(0, 2**64 - 1)),
    )


@st.composite
def fat_trees(draw: st.DrawFn, hosts: int | None = None) -> Topology:
    radix = draw(whole(4, 8))
    return fat_tree(
        hosts or draw(whole(1, 2 * (radix // 2) ** 2)),
        radix=radix,
        host_link=HOST,
        upper_link=UPPER,
        oversubscription=draw(st.sampled_from([1.0, 1.5, 2.0, 3.0])),
        tiers=3 if draw(st.booleans()) else None,
        ways=draw(st.sampled_from(WAYS)),
    )


@st.composite
def tall_trees(draw: st.DrawFn) -> Topology:
    """Four levels, some hosts missing."""
    shape = [draw(st.tuples(*[whole(1, 3)] * 4)) for _ in range(3)]
    return trunked_tree(
        *shape,
        host_link=HOST,
        upper_link=[UPPER, HOST, INNER],
        hosts=draw(whole(1, int(np.prod(shape[0])))),
        ways=draw(st.sampled_from(WAYS)),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Topology:
    """A connected graph: a random tree and further cables, hosts anywhere in it."""
    count = draw(whole(2, 12))
    cables = {(draw(whole(0, i - 1)), i) for i in range(1, count)}
    cables |= {(min(p), max(p)) for p in draw(st.lists(st.tuples(*[whole(0, count - 1)] * 2), max_size=12)) if p[0] != p[1]}
    hosts = draw(st.sets(whole(0, count - 1), min_size=1))
    return graph_topology(
        {
            "nodes": [{"id": i, "host": i in hosts} for i in range(count)],
            "edges": [
                {"source": a, "target": b, "bandwidth_bytes_per_s": 1 + a, "latency_s": 1e-6 * b} for a, b in sorted(cables)
            ],
        },
        seed=draw(st.none() | whole(0, 100)),
    )


@st.composite
def railed(draw: st.DrawFn) -> Topology:
    nodes, nics = draw(whole(1, 8)), draw(whole(1, 3))
    trees = [draw(st.one_of(leaf_spines(nodes), fat_trees(nodes))) for _ in range(nics)]
    return rails(trees, accelerators_per_node=draw(whole(nics, 4)), inner_link=INNER)


@st.composite
def fabrics(draw: st.DrawFn) -> Topology:
    nodes, nics = draw(whole(1, 5)), draw(whole(1, 3))
    outer = draw(
        st.one_of(
            leaf_spines(nodes * nics),
            fat_trees(nodes * nics),
            st.just(star(nodes * nics, bandwidth_bytes_per_s=1.0, latency_s=1e-6)),
        )
    )
    return nodes_on(outer, accelerators_per_node=draw(whole(nics, 4)), nics_per_node=nics, inner_link=INNER)


SHORTEST = [rings(), leaf_spines(), fat_trees(), tall_trees(), graphs()]
ALL = [*SHORTEST, railed(), fabrics()]


def pairs(topology: Topology) -> tuple[Any, Any]:
    source, destination = np.divmod(np.arange(topology.hosts**2), topology.hosts)
    return source, destination


@given(topology=st.one_of(ALL))
@settings(max_examples=150)
def test_every_route_leads_from_its_source_to_its_destination_and_uses_no_link_twice(topology: Topology) -> None:
    assert topology.ends is not None
    source, destination = pairs(topology)
    routes = topology.routes(source, destination)
    for i in range(len(routes)):
        way = routes.link[routes.first[i] : routes.first[i + 1]]
        steps = topology.ends[way]
        assert [int(source[i]), *steps[:, 1].tolist()] == [*steps[:, 0].tolist(), int(destination[i])]
        assert len(set(way.tolist())) == len(way)


@given(topology=st.one_of(ALL), data=st.data())
def test_a_route_does_not_depend_on_the_pairs_asked_with_it_and_latencies_add(topology: Topology, data: st.DataObject) -> None:
    source, destination = pairs(topology)
    routes = topology.routes(source, destination)
    i = data.draw(whole(0, len(routes) - 1))
    alone = topology.route(int(source[i]), int(destination[i]))
    assert alone == routes.link[routes.first[i] : routes.first[i + 1]].tolist()
    added = sum(float(topology.latency_s[link]) for link in alone)
    assert topology.path_latency_s(int(source[i]), int(destination[i])) == pytest.approx(added, rel=1e-12, abs=0)


@given(topology=st.one_of(SHORTEST))
@settings(max_examples=100)
def test_no_path_of_networkx_is_shorter(topology: Topology) -> None:
    graph = topology.graph()
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    source, destination = pairs(topology)
    hops = topology.routes(source, destination).hops
    expected = [lengths[topology.nodes[s]][topology.nodes[d]] for s, d in zip(source, destination, strict=True)]
    np.testing.assert_array_equal(hops, expected)


@given(topology=st.one_of(railed(), fabrics()))
def test_messages_stay_inside_their_node_or_on_the_nic_of_the_senders_position(topology: Topology) -> None:
    routing: Any = topology.routing
    source, destination = pairs(topology)
    routes = topology.routes(source, destination)
    for i in range(len(routes)):
        names = [topology.names[link] for link in routes.link[routes.first[i] : routes.first[i + 1]]]
        s, d = int(source[i]), int(destination[i])
        nodes = (s // routing.per_node, d // routing.per_node)
        if s == d:
            assert names == []
        elif nodes[0] == nodes[1]:
            assert names == [f"host {s} -> node {nodes[0]}", f"node {nodes[0]} -> host {d}"]
        else:
            nic = s % routing.per_node % routing.nics
            assert (names[0], names[-1]) == (f"host {s} -> node {nodes[0]}", f"node {nodes[1]} -> host {d}")
            assert names[1].startswith(f"node {nodes[0]} nic {nic} -> ")
            assert f" -> node {nodes[1]} nic {nic}" in names[-2]
            if len(routing.outer) > 1:  # every switch on the way is of that rail
                assert all(name.count(f"rail {nic} ") == 2 for name in names[2:-2])


@given(leaves=whole(2, 5), per_leaf=whole(1, 5), spines=whole(1, 5), ways=st.sampled_from(WAYS))
def test_a_leaf_spine_with_single_cables_has_the_routes_of_the_xgft(
    leaves: int, per_leaf: int, spines: int, ways: Ways
) -> None:
    ours = leaf_spine(leaves * per_leaf, hosts_per_leaf=per_leaf, spines=spines, host_link=HOST, upper_link=UPPER, ways=ways)
    tree = xgft(
        [per_leaf, leaves],
        [1, spines],
        host_bandwidth_bytes_per_s=1.0,
        upper_bandwidth_bytes_per_s=2.0,
        host_latency_s=1e-6,
        upper_latency_s=3e-6,
    )
    assert ours.links == tree.links
    np.testing.assert_array_equal(ours.ends, tree.ends)
    np.testing.assert_array_equal(ours.routes(*pairs(ours)).hops, tree.routes(*pairs(tree)).hops)
    if ways == "d_mod_k":
        np.testing.assert_array_equal(ours.routes(*pairs(ours)).link, tree.routes(*pairs(tree)).link)


@given(hosts=whole(1, 3000), radix=whole(2, 64), oversubscription=st.floats(1, 8))
def test_no_switch_has_more_cables_than_ports_and_no_leaf_is_oversubscribed_further(
    hosts: int, radix: int, oversubscription: float
) -> None:
    down = max(d for d in range(1, radix) if d == 1 or d + np.ceil(d / oversubscription * (1 - 1e-9)) <= radix)
    if hosts > down * (radix // 2) * radix:
        return
    shape = fat_tree_shape(hosts, radix, oversubscription=oversubscription)
    assert np.prod(shape.down) >= hosts > 0
    assert shape.oversubscription <= oversubscription * (1 + 1e-6)
    up = [*(shape.up[level] * shape.trunks[level] for level in range(1, shape.tiers)), 0]
    ports_down = [shape.down[level] * shape.trunks[level] for level in range(shape.tiers)]
    assert all(below + above <= radix for below, above in zip(ports_down, up, strict=True))
    assert all(above >= below for below, above in zip(ports_down[1:-1], up[1:-1], strict=True))  # full above the leaves
    switches, cables = np.array(shape.switches), np.array(shape.cables)
    assert (cables[1:] <= switches[1:] * radix).all()
    tree = fat_tree(hosts, radix=radix, oversubscription=oversubscription, host_link=HOST) if hosts <= 300 else None
    if tree is not None:
        assert (tree.links, len(tree.nodes)) == (2 * cables.sum(), hosts + switches.sum())


@pytest.mark.parametrize(
    ("hosts", "radix", "oversubscription", "tiers"),
    [(16, 4, 1, None), (32, 8, 1, 2), (128, 8, 1, None), (64, 8, 1, 3), (24, 8, 3, None), (96, 8, 3, 3), (512, 64, 1, None)],
)
def test_the_bisection_of_a_fat_tree_is_half_its_hosts_over_the_oversubscription(
    hosts: int, radix: int, oversubscription: int, tiers: int | None
) -> None:
    """Networkx's maximum flow from the first half of the hosts to the second; both halves are whole leaves."""
    tree = fat_tree(hosts, radix=radix, oversubscription=oversubscription, tiers=tiers, host_link=HOST, upper_link=HOST)
    assert tree.ends is not None
    graph: Any = nx.DiGraph()
    for tail, head in tree.ends.tolist():
        before = graph.edges[tail, head]["capacity"] if graph.has_edge(tail, head) else 0
        graph.add_edge(tail, head, capacity=before + 1)
    for host in range(hosts):
        graph.add_edge(*(("from", host) if host < hosts // 2 else (host, "to")), capacity=hosts)
    assert nx.maximum_flow_value(graph, "from", "to") == hosts // 2 // oversubscription


@pytest.mark.parametrize(
    ("hosts", "radix", "tiers"),
    [(8, 8, None), (16, 4, None), (128, 8, None), (64, 8, 3), (32, 8, 3), (64, 16, None), (512, 64, None), (256, 16, 3)],
)
def test_d_mod_k_keeps_the_messages_of_a_shift_apart(hosts: int, radix: int, tiers: int | None) -> None:
    """Zahavi's theorem (CCIT 776, 2010): on a full tree with as many cables up as down, i to i + k never share a link."""
    tree = fat_tree(hosts, radix=radix, tiers=tiers, host_link=HOST)
    source = np.arange(hosts)
    for shift in range(1, hosts):
        link = tree.routes(source, (source + shift) % hosts).link
        assert len(np.unique(link)) == len(link)


def test_the_hash_spreads_over_equal_paths() -> None:
    """Eight spines with two cables each: 16 ways up, 2 cables down each; 64 * 63 pairs. Tail 0.001 on both sides."""
    fabric = leaf_spine(64, hosts_per_leaf=1, spines=8, trunk=2, host_link=HOST, upper_link=UPPER, ways="hashed", seed=11)
    again = leaf_spine(64, hosts_per_leaf=1, spines=8, trunk=2, host_link=HOST, upper_link=UPPER, ways="hashed", seed=11)
    away = np.not_equal(*pairs(fabric))
    source, destination = (end[away] for end in pairs(fabric))
    routes = fabric.routes(source, destination)
    np.testing.assert_array_equal(routes.link, again.routes(source, destination).link)
    link = routes.link.reshape(-1, 4)
    up = (link[:, 1] - 128) % 16
    down = (link[:, 2] - 128 - 64 * 16) % 2
    count = np.bincount(2 * up + down, minlength=32)
    expected = len(link) / 32
    statistic = float(((count - expected) ** 2 / expected).sum())
    assert chi2.ppf(0.001, 31) < statistic < chi2.ppf(0.999, 31)


def test_the_hash_spreads_over_equal_paths_of_a_graph() -> None:
    """Four switches between 40 hosts a side: 1,600 pairs in one direction over four ways, tail 0.001."""
    cable = {"bandwidth_bytes_per_s": 1.0}
    nodes = [{"id": i, "host": True} for i in range(80)] + [{"id": name} for name in ("l", "r", 0.5, 1.5, 2.5, 3.5)]
    edges = [{"source": i, "target": "l" if i < 40 else "r", **cable} for i in range(80)]
    edges += [{"source": side, "target": k + 0.5, **cable} for side in ("l", "r") for k in range(4)]
    graph = graph_topology({"nodes": nodes, "edges": edges}, seed=3)
    source, destination = np.divmod(np.arange(1600), 40)
    link = graph.routes(source, destination + 40).link.reshape(-1, 4)[:, 1]
    _, count = np.unique(link, return_counts=True)
    assert len(count) == 4
    assert float(((count - 400) ** 2 / 400).sum()) < chi2.ppf(0.999, 3)
