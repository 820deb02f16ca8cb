from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.errors import TopologyError
from simulator.network.cluster_topologies import fat_tree, leaf_spine, ring
from simulator.network.fat_tree_shapes import fat_tree_shape
from simulator.network.links import Link
from simulator.network.node_fabrics import nodes_on, rails
from simulator.network.routing import ListedRoutes
from simulator.network.topologies import Topology, star, xgft
from simulator.network.trunked_trees import hashed, trunked_tree

SLOW, FAST, INNER = (Link(bandwidth_bytes_per_s=b, latency_s=s) for b, s in ((1e9, 1e-6), (4e9, 2e-6), (50e9, 0.5e-6)))


def named(topology: Topology, source: int, destination: int) -> list[str]:
    return [topology.names[link] for link in topology.route(source, destination)]


def test_a_ring_goes_the_shorter_way_and_upwards_where_both_are_equal() -> None:
    cycle = ring(6, link=SLOW)
    assert named(cycle, 1, 3) == ["host 1 -> host 2", "host 2 -> host 3"]
    assert named(cycle, 1, 5) == ["host 1 -> host 0", "host 0 -> host 5"]
    assert named(cycle, 4, 1) == ["host 4 -> host 5", "host 5 -> host 0", "host 0 -> host 1"]
    assert cycle.links == 12
    assert cycle.path_latency_s(4, 1) == pytest.approx(3e-6, rel=1e-12)


def test_small_rings() -> None:
    assert ring(1, link=SLOW).links == 0
    assert ring(1, link=SLOW).route(0, 0) == []
    two = ring(2, link=SLOW)
    assert (two.links, named(two, 0, 1), named(two, 1, 0)) == (2, ["host 0 -> host 1"], ["host 1 -> host 0"])


def test_a_leaf_spine_is_an_xgft_where_nothing_is_missing_and_cables_are_single() -> None:
    ours = leaf_spine(12, hosts_per_leaf=4, spines=2, host_link=SLOW, upper_link=FAST)
    tree = xgft(
        [4, 3],
        [1, 2],
        host_bandwidth_bytes_per_s=1e9,
        upper_bandwidth_bytes_per_s=4e9,
        host_latency_s=1e-6,
        upper_latency_s=2e-6,
    )
    assert ours.levels == tree.levels
    pairs = np.array([(s, d) for s in range(12) for d in range(12)])
    np.testing.assert_array_equal(ours.routes(*pairs.T).link, tree.routes(*pairs.T).link)
    np.testing.assert_array_equal(ours.bandwidth_bytes_per_s, tree.bandwidth_bytes_per_s)
    np.testing.assert_array_equal(ours.latency_s, tree.latency_s)
    assert named(ours, 0, 11) == ["host 0 -> leaf 0", "leaf 0 -> spine 1", "spine 1 -> leaf 2", "leaf 2 -> host 11"]


def test_d_mod_k_uses_every_cable_of_a_trunk_and_a_destination_keeps_its_own() -> None:
    """Four hosts to a leaf, two spines with two cables each: destinations 4..7 of leaf 1 each have one of the four ports."""
    fabric = leaf_spine(8, hosts_per_leaf=4, spines=2, trunk=2, host_link=SLOW, upper_link=FAST)
    assert named(fabric, 0, 7) == [
        "host 0 -> leaf 0",
        "leaf 0 -> spine 1 cable 1",
        "spine 1 -> leaf 1 cable 1",
        "leaf 1 -> host 7",
    ]
    assert len({named(fabric, 0, d)[1] for d in range(4, 8)}) == 4
    assert len({named(fabric, s, 6)[1] for s in range(4)}) == 1
    assert fabric.name == "leaf-spine of 8 hosts, 2 leaves, 2 spines, 2 cables to each"
    assert len(set(fabric.names)) == fabric.links


def test_leaves_are_filled_one_after_another_and_missing_hosts_have_no_cable() -> None:
    fabric = leaf_spine(7, hosts_per_leaf=3, spines=2, host_link=SLOW, upper_link=FAST)
    assert fabric.links == 2 * (7 + 3 * 2)
    assert fabric.nodes == (*(f"host {i}" for i in range(7)), "leaf 0", "leaf 1", "leaf 2", "spine 0", "spine 1")
    assert named(fabric, 2, 6) == ["host 2 -> leaf 0", "leaf 0 -> spine 0", "spine 0 -> leaf 2", "leaf 2 -> host 6"]
    with pytest.raises(TopologyError, match=r"hosts must be from 0 to 6, got 7"):
        fabric.route(0, 7)


def test_shortest_path_takes_the_first_of_equals_and_a_hash_another_for_another_seed() -> None:
    keys: dict[str, Any] = {"hosts_per_leaf": 8, "spines": 8, "host_link": SLOW, "upper_link": FAST}
    first = leaf_spine(16, ways="shortest_path", **keys)
    assert {named(first, s, 8 + s)[1].split(" -> ")[1] for s in range(8)} == {"spine 0"}
    ways = [[leaf_spine(16, ways="hashed", seed=seed, **keys).route(s, 15) for s in range(8)] for seed in (1, 1, 2)]
    assert ways[0] == ways[1] != ways[2]


def test_the_hash_is_splitmix64() -> None:
    """Vigna's reference code gives e220a8397b1dcdaf first from seed 0; then Python's whole numbers against numpy's."""

    def scalar(*words: int) -> int:
        state = 0
        for word in words:
            state = (state + word + 0x9E3779B97F4A7C15) & (2**64 - 1)
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
            state ^= state >> 31
        return state

    assert scalar(0) == 0xE220A8397B1DCDAF
    rng = np.random.default_rng(2)
    source, destination = rng.integers(0, 10**6, 50), rng.integers(0, 10**6, 50)
    for seed, word in ((0, 0), (2**64 - 1, 3), (12345, 7)):
        found = hashed(source, destination, seed, word).tolist()
        assert found == [scalar(s, d, seed, word) >> 1 for s, d in zip(source.tolist(), destination.tolist(), strict=True)]


def test_a_fat_tree_of_one_switch_where_the_hosts_fit() -> None:
    one = fat_tree(5, radix=8, host_link=SLOW)
    assert (one.name, one.links, named(one, 0, 4)) == (
        "fat tree of 5 hosts, 1 switch",
        10,
        ["host 0 -> switch 0", "switch 0 -> host 4"],
    )


@pytest.mark.parametrize(
    ("hosts", "radix", "oversubscription", "down_up"),
    [
        (1000, 64, 1, (32, 32)),
        (1000, 64, 3, (48, 16)),
        (1000, 64, 2, (42, 21)),  # 42 : 21 of 64 ports, one stays free
        (1000, 40, 4, (32, 8)),
        (1000, 36, 1.5, (21, 14)),
        (20, 5, 1, (2, 2)),
    ],
)
def test_a_leaf_has_as_many_hosts_as_the_oversubscription_allows(
    hosts: int, radix: int, oversubscription: float, down_up: tuple[int, int]
) -> None:
    """By hand: the most hosts d for which ceil(d / o) ports are left; up cables that spread evenly may be more."""
    shape = fat_tree_shape(hosts, radix, oversubscription=oversubscription)
    assert shape.down[0] == down_up[0]
    assert down_up[1] <= shape.up[1] * shape.trunks[1] <= radix - down_up[0]
    assert shape.oversubscription <= oversubscription


def test_the_fewest_tiers_are_taken_and_more_can_be_asked_for() -> None:
    assert [fat_tree_shape(hosts, 8).tiers for hosts in (8, 9, 32, 33, 128)] == [1, 2, 2, 3, 3]
    assert fat_tree_shape(8, 8, tiers=3).tiers == 3
    assert fat_tree_shape(8, 8, tiers=2).switches == (2, 1)


def test_pods_are_even() -> None:
    """40 leaves of 64 ports do not fill two pods of 32: each has 20, and 32 spines with 20 cables up to one core."""
    shape = fat_tree_shape(40 * 32, 64, tiers=3)
    assert shape.down == (32, 20, 2)
    assert shape.switches == (40, 64, 32)


def test_every_message_of_fat_trees() -> None:
    with pytest.raises(
        TopologyError, match=r"hosts must be at most 128, what three tier\(s\) of 8-port switches hold at 1 : 1, got 129"
    ):
        fat_tree_shape(129, 8)
    with pytest.raises(
        TopologyError, match=r"hosts must be at most 32, what 2 tier\(s\) of 8-port switches hold at 1 : 1, got 33"
    ):
        fat_tree_shape(33, 8, tiers=2)
    with pytest.raises(ValueError, match=r"tiers must be 1, 2 or 3, got 4"):
        fat_tree_shape(3, 8, tiers=4)
    with pytest.raises(ValueError, match=r"oversubscription must be >= 1, got 0.5"):
        fat_tree_shape(3, 8, oversubscription=0.5)
    with pytest.raises(ValueError, match=r"radix must be a whole number >= 2, got 1"):
        fat_tree_shape(3, 1)
    with pytest.raises(ValueError, match=r"hosts must be a whole number >= 1, got 0"):
        fat_tree_shape(0, 8)


def test_every_message_of_trees() -> None:
    with pytest.raises(ValueError, match=r"down, up and trunks must have the same length, >= 1, got 2, 1 and 2"):
        trunked_tree([2, 2], [1], [1, 1], host_link=SLOW, upper_link=SLOW)
    with pytest.raises(ValueError, match=r"trunks must be a whole number >= 1, got 0"):
        trunked_tree([2, 2], [1, 1], [1, 0], host_link=SLOW, upper_link=SLOW)
    with pytest.raises(TopologyError, match=r"hosts must be at most 4, what down 2 2 holds, got 5"):
        trunked_tree([2, 2], [1, 1], [1, 1], host_link=SLOW, upper_link=SLOW, hosts=5)
    with pytest.raises(ValueError, match=r"upper_link must be one link, or 1, one for each stage above the hosts', got 0"):
        trunked_tree([2, 2], [1, 1], [1, 1], host_link=SLOW)
    with pytest.raises(ValueError, match=r"seed must be a whole number >= 0, got -1"):
        trunked_tree([2], [1], [1], host_link=SLOW, seed=-1)
    with pytest.raises(ValueError, match=r"ways must be one of d_mod_k, shortest_path, hashed, got 'best'"):
        trunked_tree([2], [1], [1], host_link=SLOW, ways="best")  # type: ignore[arg-type]
    for key in ("hosts", "hosts_per_leaf", "spines", "trunk"):
        keys: dict[str, Any] = {"hosts": 4, "hosts_per_leaf": 2, "spines": 1, "trunk": 1, key: 0}
        with pytest.raises(ValueError, match=rf"^{key} must be a whole number >= 1, got 0"):
            leaf_spine(keys.pop("hosts"), host_link=SLOW, upper_link=SLOW, **keys)
    with pytest.raises(ValueError, match=r"hosts must be a whole number >= 1, got 0"):
        ring(0, link=SLOW)


def test_messages_within_a_node_stay_inside() -> None:
    cluster = nodes_on(
        star(4, bandwidth_bytes_per_s=1e9, latency_s=1e-6), accelerators_per_node=4, nics_per_node=2, inner_link=INNER
    )
    assert (cluster.hosts, cluster.links) == (8, 2 * 8 + 2 * 4)
    assert named(cluster, 1, 2) == ["host 1 -> node 0", "node 0 -> host 2"]
    assert cluster.path_latency_s(1, 2) == pytest.approx(1e-6, rel=1e-12)
    assert cluster.route(3, 3) == []


def test_messages_across_nodes_take_the_nic_of_the_senders_position_at_both_ends() -> None:
    fabric = leaf_spine(6, hosts_per_leaf=2, spines=1, host_link=SLOW, upper_link=FAST)
    cluster = nodes_on(fabric, accelerators_per_node=3, nics_per_node=2, inner_link=INNER)
    assert named(cluster, 4, 8) == [  # node 1, position 1, NIC 1
        "host 4 -> node 1",
        "node 1 nic 1 -> leaf 1",
        "leaf 1 -> spine 0",
        "spine 0 -> leaf 2",
        "leaf 2 -> node 2 nic 1",
        "node 2 -> host 8",
    ]
    assert named(cluster, 5, 8)[1] == "node 1 nic 0 -> leaf 1"  # position 2 shares NIC 0
    assert cluster.path_latency_s(4, 8) == pytest.approx(2 * 0.5e-6 + 2 * 1e-6 + 2 * 2e-6, rel=1e-12)
    assert len(set(cluster.names)) == cluster.links == len(cluster.names)
    with pytest.raises(IndexError):
        cluster.names[cluster.links]


def test_rails_are_joined_by_the_nodes_alone() -> None:
    cluster = rails(
        [leaf_spine(4, hosts_per_leaf=2, spines=2, trunk=2, host_link=SLOW, upper_link=FAST)] * 2,
        accelerators_per_node=2,
        inner_link=INNER,
    )
    assert named(cluster, 1, 6) == [
        "host 1 -> node 0",
        "node 0 nic 1 -> rail 1 leaf 0",
        "rail 1 leaf 0 -> rail 1 spine 1 cable 1",
        "rail 1 spine 1 -> rail 1 leaf 1 cable 1",
        "rail 1 leaf 1 -> node 3 nic 1",
        "node 3 -> host 6",
    ]
    assert cluster.nodes[8:12] == ("node 0", "node 1", "node 2", "node 3")
    assert cluster.name == (
        "4 nodes with 2 accelerators and 2 NICs on 2 rails, each a leaf-spine of 4 hosts, 2 leaves, 2 spines, 2 cables to each"
    )


def test_every_message_of_nodes() -> None:
    with pytest.raises(
        TopologyError, match=r"nics_per_node must be at most accelerators_per_node, 2, got 4; .* sum of their bandwidths"
    ):
        nodes_on(star(4, bandwidth_bytes_per_s=1), accelerators_per_node=2, nics_per_node=4, inner_link=INNER)
    with pytest.raises(TopologyError, match=r"hosts of the network must be a multiple of nics_per_node, 2, got 5"):
        nodes_on(star(5, bandwidth_bytes_per_s=1), accelerators_per_node=2, nics_per_node=2, inner_link=INNER)
    with pytest.raises(TopologyError, match=r"rails must all have one host for each node, got \[2, 3\]"):
        rails([star(2, bandwidth_bytes_per_s=1), star(3, bandwidth_bytes_per_s=1)], accelerators_per_node=2, inner_link=INNER)
    with pytest.raises(TopologyError, match=r"rails must all have one host for each node, got \[\]"):
        rails([], accelerators_per_node=2, inner_link=INNER)
    one = np.ones(1)
    routing = ListedRoutes(listed={(0, 1): (0,)})
    listed = Topology(
        name="what was measured", hosts=2, bandwidth_bytes_per_s=one, latency_s=one, names=("a",), routing=routing
    )
    with pytest.raises(
        TopologyError, match=r"the network must say which nodes its links join, what was measured gives only routes"
    ):
        nodes_on(listed, accelerators_per_node=1, nics_per_node=1, inner_link=INNER)
    for key in ("accelerators_per_node", "nics_per_node"):
        keys: dict[str, Any] = {"accelerators_per_node": 2, "nics_per_node": 1, key: 0}
        with pytest.raises(ValueError, match=rf"{key} must be a whole number >= 1, got 0"):
            nodes_on(star(4, bandwidth_bytes_per_s=1), inner_link=INNER, **keys)
