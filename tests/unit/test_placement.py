from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import TopologyError
from simulator.network import placement

RNG = np.random.default_rng


def test_by_hand() -> None:
    assert placement.linear(4, 6).tolist() == [0, 1, 2, 3]
    assert placement.strided(6, 8, stride=3).tolist() == [0, 3, 6, 1, 4, 7]
    assert placement.by_node(6, 12, hosts_per_node=4).tolist() == [0, 4, 8, 1, 5, 9]
    assert placement.by_node(6, 6, hosts_per_node=4).tolist() == [0, 4, 1, 5, 2, 3]  # the last node has two hosts
    assert placement.listed(2, 9, places=[7, 3, 1]).tolist() == [7, 3]


def test_random_repeats_with_its_generator_and_keeps_the_ranks_that_are_there() -> None:
    first = placement.random(20, 50, rng=RNG(3))
    assert first.tolist() == placement.random(20, 50, rng=RNG(3)).tolist() != placement.random(20, 50, rng=RNG(4)).tolist()
    assert placement.random(10, 50, rng=RNG(3)).tolist() == first[:10].tolist()


def test_random_puts_every_rank_anywhere() -> None:
    """Rank 0 on each of 8 hosts: 4,000 draws, 500 expected each, sd sqrt(4000 * 1/8 * 7/8) = 21; five of them are 105."""
    rng = RNG(5)
    count = np.bincount([placement.random(3, 8, rng=rng)[0] for _ in range(4000)], minlength=8)
    assert (np.abs(count - 500) < 105).all()


@given(hosts=st.integers(1, 60), data=st.data())
def test_every_placement_gives_distinct_hosts(hosts: int, data: st.DataObject) -> None:
    ranks = data.draw(st.integers(1, hosts))
    stride = data.draw(st.integers(1, 2 * hosts).filter(lambda s: gcd(s, hosts) == 1))
    per_node = data.draw(st.integers(1, hosts))
    for places in (
        placement.linear(ranks, hosts),
        placement.strided(ranks, hosts, stride=stride),
        placement.random(ranks, hosts, rng=RNG(1)),
        placement.by_node(ranks, hosts, hosts_per_node=per_node),
        placement.listed(ranks, hosts, places=list(range(hosts))[::-1]),
    ):
        assert places.dtype == np.int64
        assert len(set(places.tolist())) == len(places) == ranks
        assert set(places.tolist()) <= set(range(hosts))


@given(hosts=st.integers(1, 40), ranks=st.integers(1, 40), stride=st.integers(1, 80))
def test_a_stride_is_refused_exactly_where_it_repeats(hosts: int, ranks: int, stride: int) -> None:
    walked = [r * stride % hosts for r in range(ranks)]
    if len(set(walked)) == ranks:
        assert placement.strided(ranks, hosts, stride=stride).tolist() == walked
    else:
        with pytest.raises(TopologyError, match=r"stride must reach|ranks must be at most"):
            placement.strided(ranks, hosts, stride=stride)


@pytest.mark.parametrize(
    "place",
    [
        placement.linear,
        lambda ranks, hosts: placement.strided(ranks, hosts, stride=1),
        lambda ranks, hosts: placement.random(ranks, hosts, rng=RNG(1)),
        lambda ranks, hosts: placement.by_node(ranks, hosts, hosts_per_node=2),
        lambda ranks, hosts: placement.listed(ranks, hosts, places=[0]),
    ],
)
def test_more_ranks_than_hosts_are_refused(place: Callable[[int, int], Any]) -> None:
    with pytest.raises(TopologyError, match=r"ranks must be at most the hosts, 4, got 5"):
        place(5, 4)
    with pytest.raises(ValueError, match=r"ranks must be a whole number >= 1, got 0"):
        place(0, 4)
    with pytest.raises(ValueError, match=r"hosts must be a whole number >= 1, got 0"):
        place(1, 0)


def test_every_other_message() -> None:
    with pytest.raises(TopologyError, match=r"stride must reach 5 of 16 hosts before it repeats one, got 4, which reaches 4"):
        placement.strided(5, 16, stride=4)
    with pytest.raises(ValueError, match=r"stride must be a whole number >= 1, got 0"):
        placement.strided(1, 4, stride=0)
    with pytest.raises(ValueError, match=r"hosts_per_node must be a whole number >= 1, got 0"):
        placement.by_node(1, 4, hosts_per_node=0)
    with pytest.raises(TopologyError, match=r"places must name a host for each of 3 ranks, got 2"):
        placement.listed(3, 4, places=[0, 1])
    with pytest.raises(TopologyError, match=r"places must be hosts from 0 to 3, got 4 for rank 1"):
        placement.listed(2, 4, places=[0, 4])
    with pytest.raises(TopologyError, match=r"places must be distinct, got host 1 for ranks \[0, 2\]"):
        placement.listed(3, 4, places=[1, 0, 1])
    with pytest.raises(ValueError, match=r"places must be a whole number >= 0, got -1"):
        placement.listed(1, 4, places=[-1])
    with pytest.raises(TypeError, match=r"places must be a number"):
        placement.listed(1, 4, places=["a"])  # type: ignore[list-item]
