"""Delta of many clusters in closed form against the flow level, one cluster after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.errors import CollectiveError, TopologyError
from simulator.network.closed_deltas import CLOSED_COLLECTIVES, closed_delta
from simulator.network.cluster_network import FabricDelta, PlacedRanks
from simulator.network.clusters import ClusterNetwork
from simulator.network.links import Link
from tests.strategies import decades

ROUNDING = 1e-9
"""Sums of up to some thousand steps in another order: errors of a few 1e-13."""


def network(kind: Any = "fat_tree", *, nodes: int = 8, per_node: int = 8, nics: int = 8, **other: Any) -> ClusterNetwork:
    given_: dict[str, Any] = {
        "host_link": Link(bandwidth_bytes_per_s=25e9, latency_s=4e-7),
        "upper_link": Link(bandwidth_bytes_per_s=25e9, latency_s=2e-7),
        "inner_link": Link(bandwidth_bytes_per_s=250e9, latency_s=1e-6) if per_node > 1 else None,
        "radix": 40,
    }
    return ClusterNetwork(
        kind=kind, nodes=nodes, accelerators_per_node=per_node, nics_per_node=nics, **{**given_, **other}
    )  # fmt: skip


@st.composite
def deltas(draw: st.DrawFn) -> tuple[FabricDelta, int, int]:
    per_node = draw(st.sampled_from([1, 2, 4, 8]))
    kinds = ["star", "fat_tree", "leaf_spine", *(["rails"] if per_node > 1 else [])]
    rate = draw(decades(1e9, 1e11))
    each = draw(st.sampled_from([k for k in (1, 2, 4, 8, 16) if per_node % k == 0 or k % per_node == 0]))
    nodes = draw(st.integers(1, 40))
    assume(nodes * per_node >= each)
    fewer = draw(st.booleans()) and each < per_node
    learners = draw(st.integers(1, per_node // each)) if fewer else nodes * per_node // each
    built = network(
        draw(st.sampled_from(kinds)),
        nodes=nodes,
        per_node=per_node,
        nics=draw(st.sampled_from([n for n in (1, 2, 4, 8) if n <= per_node])),
        host_link=Link(bandwidth_bytes_per_s=rate, latency_s=draw(decades(1e-7, 1e-5))),
        upper_link=Link(
            bandwidth_bytes_per_s=rate * draw(st.sampled_from([0.5, 1.0, 2.0])), latency_s=draw(decades(1e-7, 1e-5))
        ),
        radix=draw(st.sampled_from([8, 12, 16, 40, 64])),
        oversubscription=draw(st.sampled_from([1.0, 1.5, 2.0, 4.0, 8.0])),
    )
    delta = FabricDelta(
        network=built,
        gradient_bytes=draw(decades(1e3, 1e9)),
        collective=draw(st.sampled_from([*CLOSED_COLLECTIVES, "auto"])),
        accelerators_per_learner=each,
        message_overhead_s=draw(st.sampled_from([0.0, 1e-5])),
    )
    return delta, nodes, learners


@given(case=deltas())
@settings(max_examples=150, deadline=None)
def test_closed_forms_are_the_flow_level_where_they_say_exact_and_a_lower_bound_elsewhere(
    case: tuple[FabricDelta, int, int],
) -> None:
    delta, nodes, learners = case
    closed = closed_delta(delta, nodes, learners)
    try:
        flow_s = float(delta.reduce_time_s(learners))
    except (CollectiveError, TopologyError):
        assert np.isnan(closed.time_s)
        return
    if closed.exact:
        assert float(closed.time_s) == pytest.approx(flow_s, rel=ROUNDING)
    else:
        assert 0 < float(closed.time_s) <= flow_s * (1 + ROUNDING)


@pytest.mark.parametrize("kind", ["fat_tree", "leaf_spine", "rails"])
@pytest.mark.parametrize("oversubscription", [1.0, 2.0, 4.0])
def test_rings_are_exact_on_every_usual_tree(kind: str, oversubscription: float) -> None:
    """Eight cables up for eight NICs, and a last node on one leaf (20, 26 or 32 hosts): nothing above the NICs is shared."""
    delta = FabricDelta(network=network(kind, oversubscription=oversubscription), gradient_bytes=1e8, collective="hierarchical")
    assert closed_delta(delta, [2, 5, 12, 64], [16, 40, 96, 512]).exact.all()


def test_an_array_of_clusters_is_each_of_them() -> None:
    delta = FabricDelta(network=network(oversubscription=2.0), gradient_bytes=1e8)
    nodes = np.array([1, 2, 3, 16, 64])
    together = closed_delta(delta, nodes, nodes * 8)
    alone = [float(closed_delta(delta, int(N), int(N) * 8).time_s) for N in nodes]
    assert together.time_s.tolist() == alone
    assert closed_delta(delta, nodes, 1).time_s.tolist() == [0.0] * 5


def test_what_does_not_fit_has_no_time() -> None:
    delta = FabricDelta(network=network("leaf_spine", radix=8), gradient_bytes=1e8, collective="rd")
    assert np.isnan(closed_delta(delta, [4, 5], [32, 40]).time_s).tolist() == [False, True]  # 4 * 8 = 32 hosts; 40 is no power


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"collective": "ps"}, "there is no closed form for ps on a fat_tree"),
        ({"network": network("ring")}, "there is no closed form for auto on a ring"),
        ({"inner": "tree"}, "there is no closed form for auto on a fat_tree"),
        ({"placement": PlacedRanks(kind="random")}, "there is no closed form for placement 'random': it must be linear"),
        (
            {"accelerators_per_learner": 3},
            "accelerators_per_learner must divide the 8 accelerators of a node, or be a multiple",
        ),
    ],
)
def test_what_has_no_closed_form_is_refused(changed: dict[str, Any], words: str) -> None:
    delta = FabricDelta(**{"network": network(), "gradient_bytes": 1e8, **changed})
    with pytest.raises(CollectiveError, match=words):
        closed_delta(delta, 2, 16)


def test_learners_of_part_of_a_second_node_are_refused() -> None:
    delta = FabricDelta(network=network(), gradient_bytes=1e8)
    with pytest.raises(ValueError, match="learners must fill one node or fewer, or whole nodes"):
        closed_delta(delta, 2, 9)
