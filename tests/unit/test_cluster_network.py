"""Delta(P) from a network: what topology, placement and collective of a cluster give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.errors import CollectiveError, SimulatorError, TopologyError
from simulator.network.cluster_network import AUTO, FabricDelta, PlacedRanks
from simulator.network.clusters import ClusterNetwork, topology_of
from simulator.network.links import Link

LINK = Link(bandwidth_bytes_per_s=10e9, latency_s=1e-6)
INNER = Link(bandwidth_bytes_per_s=200e9, latency_s=0.5e-6)
BYTES = 80e6


def network(**changes: Any) -> ClusterNetwork:
    keys: dict[str, Any] = {"kind": "star", "nodes": 16, "host_link": LINK, "upper_link": LINK}
    return ClusterNetwork(**{**keys, **changes})


def nodes(kind: str = "star", **changes: Any) -> ClusterNetwork:
    """Four nodes of four accelerators and two NICs."""
    inside = {"nodes": 4, "accelerators_per_node": 4, "nics_per_node": 2, "inner_link": INNER}
    return network(**{"kind": kind, **inside, **changes})


def delta(on: ClusterNetwork, collective: str = "ring", **changes: Any) -> FabricDelta:
    return FabricDelta(network=on, gradient_bytes=BYTES, collective=collective, **changes)


@pytest.mark.parametrize("learners", [2, 3, 8, 16])
def test_a_ring_on_a_star_takes_its_closed_form(learners: int) -> None:
    found = delta(network()).time(learners)
    expected = 2 * (learners - 1) * (2e-6 + BYTES / learners / 10e9)  # two links in a row; a P-th of the bytes a step
    assert found.time_s == pytest.approx(expected, rel=1e-12)
    assert found.closed_form_s == pytest.approx(expected, rel=1e-12)


def test_overhead_is_added_to_each_message() -> None:
    slow = delta(network(), message_overhead_s=3e-6).time(16).time_s
    assert slow - delta(network()).time(16).time_s == pytest.approx(2 * 15 * 3e-6, rel=1e-9)


def test_one_learner_takes_nothing_and_arrays_keep_their_shape() -> None:
    law = delta(network())
    assert law.reduce_time_s(1) == 0.0
    times = law.reduce_time_s([[1, 2], [16, 2]])
    assert times.shape == (2, 2)
    assert times[0, 0] == 0.0
    assert times[0, 1] == times[1, 1] == law.time(2).time_s
    with pytest.raises(ValueError, match="learners must be"):
        law.reduce_time_s(2.5)


@pytest.mark.parametrize("learners", [12, 16])
@pytest.mark.parametrize("on", [network(), nodes(), network(kind="xgft", down=(4, 4), up=(1, 1))])
def test_auto_takes_the_least_of_those_that_can(on: ClusterNetwork, learners: int) -> None:
    found = delta(on, "auto").time(learners)
    alone = {}
    for name in AUTO:
        try:
            alone[name] = delta(on, name).time(learners).time_s
        except CollectiveError:
            continue
    assert found.tried == alone
    assert found.time_s == min(alone.values()) == alone[found.collective]
    assert ("rd" in alone) == (learners == 16)  # a power of two
    assert ("hierarchical" in alone) == (on.accelerators_per_node == 4)


def test_the_accelerators_of_a_learner_combine_their_shares_at_the_same_time() -> None:
    """Four accelerators a learner share two NICs: two messages a NIC at once, so each takes twice as long."""
    together = delta(nodes(), accelerators_per_learner=4).time(4)
    alone = delta(nodes(accelerators_per_node=2, nics_per_node=2), accelerators_per_learner=2).time(4)
    latency_s = 6 * (2 * 0.5e-6 + 2e-6)
    assert alone.time_s == pytest.approx(latency_s + 6 * BYTES / 4 / 10e9, rel=1e-9)
    assert together.time_s == pytest.approx(latency_s + 2 * 6 * BYTES / 4 / 10e9, rel=1e-9)


def test_a_placement_that_jumps_between_nodes_is_slower() -> None:
    linear = delta(nodes()).time(16).time_s
    jumping = delta(nodes(), placement=PlacedRanks(kind="by_node")).time(16).time_s
    assert jumping > 1.5 * linear


def test_placements_are_those_of_the_file() -> None:
    def places(**keys: Any) -> list[int]:
        return [int(slot) for slot in PlacedRanks(**keys).places(4, 8, 2)]

    assert places() == [0, 1, 2, 3]
    assert places(kind="strided", stride=2) == [0, 2, 4, 6]
    assert places(kind="by_node") == [0, 2, 4, 6]
    assert places(kind="listed", hosts=(7, 5, 3, 1)) == [7, 5, 3, 1]
    shuffled = places(kind="random", seed=3)
    assert shuffled == places(kind="random", seed=3)
    assert sorted(set(shuffled)) == sorted(shuffled)


def test_a_parameter_server_sits_beside_the_learners() -> None:
    found = delta(network(nodes=10), "ps", servers=2).time(8)
    # each of two servers takes a half from 8 workers one way and gives it back: 8 * 40 MB over 10 GB/s, twice
    assert found.time_s == pytest.approx(2 * (2e-6 + 8 * BYTES / 2 / 10e9), rel=1e-9)
    with pytest.raises(TopologyError, match="servers must be at most the 1 hosts that 8 learners leave free, got 2"):
        delta(network(nodes=9), "ps", servers=2).time(8)


@pytest.mark.parametrize("kind", ["star", "ring", "fat_tree", "leaf_spine", "rails"])
def test_each_kind_holds_its_accelerators(kind: str) -> None:
    on = nodes(kind, radix=8)
    assert topology_of(on).hosts == 16
    assert np.isfinite(delta(on).time(16).time_s)


@pytest.mark.parametrize(
    ("law", "learners", "says"),
    [
        (delta(network()), 17, "learners must be at most 16, what the star of 16 hosts holds, got 17"),
        (delta(network(), "rd"), 12, "recursive_doubling needs a power of two of ranks, got 12"),
        (delta(network(), "double_tree"), 8, "collective 'double_tree' is not in this version; there are ring, rd"),
        (delta(network(), "hierarchical"), 8, "hierarchical needs whole nodes of several learners: 8 learners, 1 in a node"),
        (delta(nodes(), "hierarchical"), 6, "hierarchical needs whole nodes of several learners: 6 learners, 4 in a node"),
        (delta(network(kind="fat_tree")), 8, "switch is missing: fat_tree is built from switches with so many ports"),
        (delta(network(kind="rails", radix=8)), 8, "rails need nodes with several accelerators and an inner_link"),
        (delta(nodes(inner_link=None)), 8, "inner_link is missing: 4 accelerators of a node talk over it"),
        (delta(network(kind="xgft", down=(10**5, 10**5), up=(1, 1))), 8, "hosts must be at most 1,048,576, got 10,000,000,000"),
        (delta(network(), placement=PlacedRanks(kind="listed", hosts=(1, 1))), 2, "places"),
    ],
)
def test_what_cannot_be_is_said_by_name(law: FabricDelta, learners: int, says: str) -> None:
    with pytest.raises(SimulatorError) as caught:
        law.time(learners)
    assert says in str(caught.value)


@pytest.mark.parametrize("collective", ["ring", "rd", "rhd_near", "tree", "hierarchical", "ps", "psco", "a2a", "auto"])
def test_a_refusal_is_what_the_simulation_would_say(collective: str) -> None:
    law = delta(nodes(), collective, servers=2, inner="rhd_near")
    for learners in range(1, 19):
        refused = law.refusal(learners)
        if learners == 1:
            assert refused is None
        elif refused is None:
            assert law.time(learners).time_s > 0
        else:
            with pytest.raises(SimulatorError) as caught:
                law.time(learners)
            assert str(caught.value) == refused
