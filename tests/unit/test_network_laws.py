from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simulator.network.laws import (
    ConstantReduce,
    LinearReduce,
    NodeLogReduce,
    NoReduce,
    RingReduce,
    TwoTierRingReduce,
)
from simulator.time_to_converge import ReduceModel

RING: dict[str, Any] = {"latency_s": 1, "bandwidth_bytes_per_s": 10, "gradient_bytes": 80}
NODES: dict[str, Any] = {"in_node_s": 3, "node_jump_s": 6, "per_doubling_s": 1, "learners_per_node": 8}
TIERS: dict[str, Any] = {"in_node_s": 8, "across_nodes_s": 16, "learners_per_node": 4}

MEMBERS: list[ReduceModel] = [
    NoReduce(),
    ConstantReduce(delta_s=1),
    LinearReduce(delta_s=1),
    NodeLogReduce(**NODES),
    TwoTierRingReduce(**TIERS),
    RingReduce(**RING),
]


def test_no_reduce_takes_no_time() -> None:
    assert NoReduce().reduce_time_s([1, 2, 1000]).tolist() == [0.0, 0.0, 0.0]


def test_fat_tree_takes_delta_however_many_learners() -> None:
    assert ConstantReduce(delta_s=0.125).reduce_time_s([1, 2, 64]).tolist() == [0.0, 0.125, 0.125]


def test_parameter_server_takes_delta_per_learner() -> None:
    assert LinearReduce(delta_s=0.125).reduce_time_s([1, 2, 64]).tolist() == [0.0, 0.25, 8.0]


def test_node_log_by_hand() -> None:
    # 3 + log2(2); 3 + log2(8); 3 + 6 + log2(16)
    assert NodeLogReduce(**NODES).reduce_time_s([1, 2, 8, 16]).tolist() == [0.0, 4.0, 6.0, 13.0]


def test_node_log_with_one_learner_per_node_always_spans_nodes() -> None:
    assert NodeLogReduce(**{**NODES, "learners_per_node": 1}).reduce_time_s([1, 2]).tolist() == [0.0, 10.0]


def test_two_tiers_by_hand() -> None:
    # 8 * 1/2; 8 * 3/4; 6 + 16 * 1/2; 6 + 16 * 3/4; five learners take a second node: 6 + 8
    law = TwoTierRingReduce(**TIERS)
    assert law.reduce_time_s([1, 2, 4, 8, 16, 5]).tolist() == [0.0, 4.0, 6.0, 14.0, 18.0, 14.0]


def test_ring_by_hand() -> None:
    # 2 (P - 1) steps of 1 s + 80/(10 P) s: 2 * (1 + 4); 6 * (1 + 2)
    assert RingReduce(**RING).reduce_time_s([1, 2, 4]).tolist() == [0.0, 10.0, 18.0]


@pytest.mark.parametrize("law", MEMBERS, ids=lambda law: type(law).__name__)
def test_fewer_than_one_learner_is_refused(law: ReduceModel) -> None:
    with pytest.raises(ValueError, match=r"^learners must be >= 1, got 0.5$"):
        law.reduce_time_s([2, 0.5])
    with pytest.raises(ValueError, match=r"^learners must be finite and > 0, got 0$"):
        law.reduce_time_s(0)
    with pytest.raises(ValueError, match=r"^learners must be finite and > 0, got nan$"):
        law.reduce_time_s(math.nan)


@pytest.mark.parametrize(
    ("law", "given", "name"),
    [
        (ConstantReduce, {"delta_s": 1}, "delta_s"),
        (LinearReduce, {"delta_s": 1}, "delta_s"),
        (NodeLogReduce, NODES, "in_node_s"),
        (NodeLogReduce, NODES, "node_jump_s"),
        (NodeLogReduce, NODES, "per_doubling_s"),
        (TwoTierRingReduce, TIERS, "in_node_s"),
        (TwoTierRingReduce, TIERS, "across_nodes_s"),
        (RingReduce, RING, "latency_s"),
    ],
)
def test_seconds_must_not_be_negative(law: Callable[..., Any], given: dict[str, Any], name: str) -> None:
    law(**{**given, name: 0})
    with pytest.raises(ValueError, match=rf"^{name} must be finite and >= 0, got -1$"):
        law(**{**given, name: -1})


@pytest.mark.parametrize("name", ["bandwidth_bytes_per_s", "gradient_bytes"])
def test_bytes_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be finite and > 0, got 0$"):
        RingReduce(**{**RING, name: 0})


@pytest.mark.parametrize(("law", "given"), [(NodeLogReduce, NODES), (TwoTierRingReduce, TIERS)])
def test_a_node_has_a_learner_at_least(law: Callable[..., Any], given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^learners_per_node must be >= 1, got 0.5$"):
        law(**{**given, "learners_per_node": 0.5})
    with pytest.raises(ValueError, match=r"^learners_per_node must be finite and > 0, got 0$"):
        law(**{**given, "learners_per_node": 0})


def test_ring_approaches_twice_the_wire_time() -> None:
    law = RingReduce(**{**RING, "latency_s": 0})
    assert law.reduce_time_s(np.array(1e9)) == pytest.approx(2 * 80 / 10, rel=1.1e-9)  # (P - 1) / P
