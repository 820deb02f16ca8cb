"""Conservation: every cable has a port at both ends, no switch has more than its ports, every leaf reaches every spine."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.costs.fat_tree_counts import fat_tree_counts
from simulator.network.fat_tree_shapes import fat_tree_shape, leaf_ports

RADIX = st.sampled_from([4, 6, 8, 10, 16, 20, 36, 40, 64, 128, 144])
OVER = st.sampled_from([1.0, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 7.0, 8.0])


@st.composite
def trees(draw: st.DrawFn) -> tuple[int, int, float]:
    k, o = draw(RADIX), draw(OVER)
    down, _ = leaf_ports(k, o)
    return draw(st.integers(1, down * (k // 2) * k)), k, o


def least_even_spines(leaf: int, down: int, up: int, k: int) -> int:
    """The first number of spines that takes the uplinks evenly within all ports: by trying them one after another."""
    for spines in range(1, up + 1):
        cables = math.ceil(up / spines)
        if spines * cables <= k - down and leaf * cables <= k:
            return spines
    raise AssertionError


@settings(max_examples=150)
@given(tree=trees())
def test_ports_suffice_and_no_switch_could_be_left_out(tree: tuple[int, int, float]) -> None:
    E, k, o = tree
    found = fat_tree_counts(E, k, oversubscription=o)
    down, up = leaf_ports(k, o)
    assert down + up <= k
    assert up * o >= down * (1 - 1e-9)  # no more oversubscribed than asked
    assert found.cables_node_leaf == E
    tiers, leaf, spine, core = (int(x) for x in (found.tiers, found.leaf, found.spine, found.core))
    if tiers == 1:
        assert k >= E
        assert (leaf, spine, core) == (1, 0, 0)
        return
    assert leaf == math.ceil(E / down)
    if tiers == 2:
        assert core == 0
        assert spine == least_even_spines(leaf, down, up, k)
        each = found.cables_leaf_spine / (leaf * spine)
        assert each >= 1  # every leaf reaches every spine, by equally many cables
        assert each == int(each)
        assert down + spine * each <= k
        assert leaf * each <= k
        return
    half = k // 2
    assert found.cables_leaf_spine == leaf * up
    assert (spine - 1) * half < leaf * up <= spine * half
    assert found.cables_spine_core == spine * half
    assert (core - 1) * k < spine * half <= core * k


@settings(max_examples=100)
@given(k=RADIX.filter(lambda k: k % 2 == 0), data=st.data())
def test_full_bisection_gives_the_published_formulas(k: int, data: st.DataObject) -> None:
    """leaf = ceil(E/d); spine = the least s >= ceil(leaf d/k) that divides d; of three tiers leaf, core = ceil(leaf d/k)."""
    d = k // 2
    E = data.draw(st.integers(k + 1, k**3 // 4))
    found = fat_tree_counts(E, k)
    leaf = math.ceil(E / d)
    assert found.leaf == leaf
    if found.tiers == 2:
        assert found.spine == min(s for s in range(1, d + 1) if d % s == 0 and s >= math.ceil(leaf * d / k))
        assert found.cables_leaf_spine == leaf * d
    else:
        assert found.spine == leaf
        assert found.core == math.ceil(leaf * d / k)


@settings(max_examples=200)
@given(tree=trees())
def test_the_network_that_is_simulated_has_these_counts_or_more_where_its_wiring_is_regular(
    tree: tuple[int, int, float],
) -> None:
    """One and two tiers agree. Of three, the simulated tree joins all pairs by equally many cables: never fewer switches."""
    E, k, o = tree
    found, shape = fat_tree_counts(E, k, oversubscription=o), fat_tree_shape(E, k, oversubscription=o)
    assert found.tiers == shape.tiers
    ours = (found.leaf, found.spine, found.core)[: shape.tiers]
    if shape.tiers < 3:
        assert ours == shape.switches
        assert (found.cables_node_leaf, found.cables_leaf_spine)[: shape.tiers] == shape.cables
    else:
        assert all(mine <= theirs for mine, theirs in zip(ours, shape.switches, strict=True))


@settings(max_examples=60)
@given(k=RADIX, tier=st.sampled_from([1, 2, 3]))
def test_full_trees_of_three_tiers_agree_too(k: int, tier: int) -> None:
    """Whole pods of k/2 leaves, and as many as cores take evenly: 1, 2, 4, ... up to all k."""
    half = k // 2
    for pods in {2**i for i in range(1, 8) if 2**i <= k and half % max(1, 2**i * half // k) == 0} | {k}:
        E = pods * half * half
        shape, found = fat_tree_shape(E, k), fat_tree_counts(E, k)
        if shape.tiers == 3:
            assert [found.leaf, found.spine] == list(shape.switches[:2])
            if (pods * half) % k == 0 and half % (pods * half // k) == 0:
                assert found.core == shape.switches[2]


@settings(max_examples=100)
@given(k=RADIX, ends=st.lists(st.integers(1, 2000), min_size=2, max_size=40))
def test_more_end_ports_never_need_fewer_leaves(k: int, ends: list[int]) -> None:
    leaf = fat_tree_counts(np.sort(ends), k, tiers=3).leaf
    kept = leaf[np.isfinite(leaf)]
    assert np.all(np.diff(kept) >= 0)
