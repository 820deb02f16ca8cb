"""Collectives: their messages by hand, their closed forms on an idle network, and the schedules that they are made of."""

from __future__ import annotations

import re

import numpy as np
import pytest

from simulator.errors import CollectiveError
from simulator.network.collectives import (
    COLLECTIVES,
    collective,
    halving_doubling,
    hierarchical,
    hierarchical_time_s,
    in_network_time_s,
    parameter_server,
    parameter_server_time_s,
    recursive_doubling,
    ring,
    tree,
)
from simulator.network.fabric import collective_time
from simulator.network.schedules import Schedule, Step, in_order, one_sided, step
from simulator.network.topologies import star, xgft

M = 8e6
LATENCY_S, BANDWIDTH = 3e-6, 2e9


def messages(schedule: Schedule, at: int) -> list[tuple[int, int, float]]:
    one = schedule.steps[schedule.order[at]]
    return list(zip(one.source.tolist(), one.destination.tolist(), one.bytes.tolist(), strict=True))


def test_a_tree_reduces_to_rank_zero_and_mirrors_it() -> None:
    schedule = tree(6, 5.0)
    assert [messages(schedule, k) for k in range(6)] == [
        [(1, 0, 5.0), (3, 2, 5.0), (5, 4, 5.0)],
        [(2, 0, 5.0)],
        [(4, 0, 5.0)],
        [(0, 4, 5.0)],
        [(0, 2, 5.0)],
        [(0, 1, 5.0), (2, 3, 5.0), (4, 5, 5.0)],
    ]


def test_halving_doubling_halves_and_doubles_near_or_far_first() -> None:
    near, far = halving_doubling(8, 8.0), halving_doubling(8, 8.0, near_first=False)
    sizes_and_distances = [
        [(messages(schedule, k)[0][2], messages(schedule, k)[0][1]) for k in range(6)] for schedule in (near, far)
    ]
    assert sizes_and_distances[0] == [(4, 1), (2, 2), (1, 4), (1, 4), (2, 2), (4, 1)]
    assert sizes_and_distances[1] == [(4, 4), (2, 2), (1, 1), (1, 1), (2, 2), (4, 4)]


# Bytes that the definition of each collective moves in all, counted by hand for P ranks and M bytes.
TOTALS = {
    "ring": lambda P: 2 * (P - 1) * M,
    "recursive_doubling": lambda P: P * np.log2(P) * M,
    "halving_doubling_near": lambda P: 2 * (P - 1) * M,
    "halving_doubling_far": lambda P: 2 * (P - 1) * M,
    "tree": lambda P: 2 * (P - 1) * M,
    "all_to_all": lambda P: (P - 1) * M,
    "parameter_server": lambda P: 2 * P * M,
    "sharded_parameter_server": lambda P: 2 * (P - 1) * M,
}


@pytest.mark.parametrize("name", list(COLLECTIVES))
@pytest.mark.parametrize("P", [1, 2, 4, 16, 64])
def test_every_collective_moves_its_bytes_in_the_time_of_its_closed_form(name: str, P: int) -> None:
    schedule = COLLECTIVES[name].schedule(P, M)
    assert schedule.sent_bytes == pytest.approx(TOTALS[name](P) if P > 1 or name == "parameter_server" else 0.0)
    result = collective_time(star(schedule.ranks, bandwidth_bytes_per_s=BANDWIDTH, latency_s=LATENCY_S / 2), schedule)
    expected = COLLECTIVES[name].time_s(P, M, latency_s=LATENCY_S, bandwidth_bytes_per_s=BANDWIDTH)
    assert result.time_s == pytest.approx(expected, rel=1e-12)
    assert result.latency_s + result.transfer_s + result.compute_s == pytest.approx(result.time_s, rel=1e-12)


@pytest.mark.parametrize("name", ["ring", "all_to_all", "sharded_parameter_server", "parameter_server"])
@pytest.mark.parametrize("P", [3, 7, 12])
def test_collectives_for_any_number_of_ranks_keep_their_closed_form(name: str, P: int) -> None:
    schedule = COLLECTIVES[name].schedule(P, M)
    result = collective_time(star(schedule.ranks, bandwidth_bytes_per_s=BANDWIDTH, latency_s=LATENCY_S / 2), schedule)
    expected = COLLECTIVES[name].time_s(P, M, latency_s=LATENCY_S, bandwidth_bytes_per_s=BANDWIDTH)
    assert result.time_s == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("servers", [1, 2, 5, 16])
def test_servers_share_the_work_until_the_workers_links_bind(servers: int) -> None:
    network = star(8 + servers, bandwidth_bytes_per_s=BANDWIDTH, latency_s=LATENCY_S / 2)
    result = collective_time(network, parameter_server(8, M, servers=servers))
    expected = parameter_server_time_s(8, M, LATENCY_S, BANDWIDTH, servers=servers)
    assert result.time_s == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("inner", ["ring", "halving_doubling_near", "halving_doubling_far", "tree"])
@pytest.mark.parametrize("outer", ["ring", "recursive_doubling", "halving_doubling_far", "tree"])
@pytest.mark.parametrize(("P", "g"), [(16, 4), (8, 8), (8, 1), (32, 2)])
def test_two_tiers_take_the_sum_of_their_closed_forms(inner: str, outer: str, P: int, g: int) -> None:
    # One leaf per group and as many top switches as hosts of a leaf: no link is shared; a path across has twice the latency.
    network = xgft(
        [g, P // g], [1, g], host_bandwidth_bytes_per_s=BANDWIDTH, upper_bandwidth_bytes_per_s=BANDWIDTH,
        host_latency_s=LATENCY_S / 2, upper_latency_s=LATENCY_S / 2,
    )  # fmt: skip
    result = collective_time(network, hierarchical(P, M, group=g, inner=inner, outer=outer))
    expected = hierarchical_time_s(
        P, M, group=g, inner=inner, outer=outer, inner_latency_s=LATENCY_S, inner_bandwidth_bytes_per_s=BANDWIDTH,
        outer_latency_s=2 * LATENCY_S, outer_bandwidth_bytes_per_s=BANDWIDTH,
    )  # fmt: skip
    assert result.time_s == pytest.approx(expected, rel=1e-12)


def test_switches_that_reduce_take_one_stream() -> None:
    assert in_network_time_s(2e9, latency_s=1e-6, bandwidth_bytes_per_s=1e9) == pytest.approx(2.000002)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: recursive_doubling(6, M),
            "recursive_doubling needs a power of two of ranks, got 6; take 4 or 8 ranks, or ring, tree or",
        ),
        (lambda: halving_doubling(12, M), "halving_doubling_near needs a power of two of ranks, got 12; take 8 or 16 ranks"),
        (
            lambda: COLLECTIVES["recursive_doubling"].time_s(3, M, latency_s=0, bandwidth_bytes_per_s=1),
            "recursive_doubling needs",
        ),
        (lambda: ring(0, M), "ranks must be a whole number >= 1, got 0"),
        (lambda: ring(4, -1), "gradient_bytes must be finite and >= 0, got -1"),
        (lambda: parameter_server(4, M, servers=0), "servers must be a whole number >= 1, got 0"),
        (lambda: hierarchical(10, M, group=4), "hierarchical needs a multiple of group = 4 ranks, got 10"),
        (
            lambda: hierarchical(8, M, group=4, inner="rings"),
            "inner must be one of ring, halving_doubling_near, halving_doubling_far, tree, got 'rings'; did you mean 'ring'?",
        ),
        (lambda: hierarchical(8, M, group=4, outer="x"), "outer must be one of ring, recursive_doubling"),
        (lambda: collective("rign"), "collective must be one of ring, recursive_doubling"),
    ],
)
def test_collectives_that_do_not_exist_are_refused_by_name(build: object, message: str) -> None:
    with pytest.raises((CollectiveError, ValueError), match=f"^{re.escape(message)}"):
        build()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: step([0, 1], [1], 1.0), "source, destination and bytes must have the same length, got 2, 1 and 2"),
        (lambda: step([0], [0], 1.0), "destination must be another rank than source, got 0"),
        (lambda: step([0], [1], -1.0), "bytes must be finite and >= 0, got -1"),
        (
            lambda: Step(source=np.array([0]), destination=np.array([1]), bytes=np.ones(1), receiver=np.array([1])),
            "receiver and sender must be given together and have the same length",
        ),
        (lambda: in_order("x", 2, [step([0], [2], 1.0)]), "destination must be ranks from 0 to 1, got 2 to 2"),
        (lambda: in_order("x", 2, [step([0], [1], 1.0)], running_on=[0]), "waits_for_sends must be true in the last step"),
        (lambda: in_order("x", 2, [], workers=3), "workers must be at most ranks = 2, got 3"),
        (lambda: in_order("x", 0, []), "ranks must be a whole number >= 1, got 0"),
        (lambda: ring(4, M).iterated(rounds=0), "rounds must be a whole number >= 1, got 0"),
        (lambda: ring(4, M).iterated(rounds=2, compute_s=[1.0] * 4), "compute_s must have 8 values (rounds x workers), got 4"),
        (lambda: ring(4, M).iterated(compute_s=[-1.0] * 4), "compute_s must be finite and >= 0, got -1"),
        (
            lambda: Schedule(
                name="x", ranks=2, steps=(), order=np.array([0]), waits_for_sends=np.array([True])
            ),
            "order must name steps from 0 to -1, got [0]",
        ),
        (
            lambda: Schedule(name="x", ranks=2, steps=(), order=np.array([0]), waits_for_sends=np.array([], dtype=bool)),
            "order and waits_for_sends must have the same length, got 1 and 0",
        ),
        (
            lambda: Schedule(
                name="x", ranks=2, steps=(), order=np.array([], dtype=int), waits_for_sends=np.array([], dtype=bool),
                compute_s=np.ones((1, 3)),
            ),
            "compute_s must have the shape (rounds, workers) = (1, 2), got (1, 3)",
        ),
    ],
)  # fmt: skip
def test_schedules_that_make_no_sense_are_refused_by_name(build: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        build()  # type: ignore[operator]


def test_scaling_bytes_scales_every_message() -> None:
    assert ring(4, M).scaled(0.5).sent_bytes == pytest.approx(0.5 * ring(4, M).sent_bytes)
    assert one_sided([1.0, 2.0]).ranks == 4
