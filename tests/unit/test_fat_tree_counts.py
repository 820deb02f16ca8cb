"""Counts of switches and cables: examples by hand, arrays against single designs, every message."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.costs.fat_tree_counts import fat_tree_counts
from simulator.network.fat_tree_shapes import leaf_ports


def parts(**given: object) -> tuple[float, ...]:
    found = fat_tree_counts(**given)  # type: ignore[arg-type]
    return tuple(float(getattr(found, name)) for name in ("tiers", "leaf", "spine", "core"))


def test_the_fewest_tiers_that_hold_the_end_ports_are_taken() -> None:
    # 8 ports: one switch holds 8, two tiers 4*8 = 32, three 8^3/4 = 128
    assert parts(end_ports=8, radix=8) == (1, 1, 0, 0)
    assert parts(end_ports=9, radix=8) == (2, 3, 2, 0)
    assert parts(end_ports=32, radix=8) == (2, 8, 4, 0)
    assert parts(end_ports=33, radix=8) == (3, 9, 9, 5)
    assert parts(end_ports=128, radix=8) == (3, 32, 32, 16)


def test_what_does_not_fit_has_no_counts_at_all() -> None:
    found = fat_tree_counts([128, 129], 8)
    assert found.fits.tolist() == [True, False]
    for name in found.__dataclass_fields__:
        assert np.isfinite(getattr(found, name)[0])
        assert np.isnan(getattr(found, name)[1]), name
    assert not fat_tree_counts(9, 8, tiers=1).fits
    assert not fat_tree_counts(33, 8, tiers=2).fits


def test_more_tiers_than_needed_may_be_asked() -> None:
    assert parts(end_ports=8, radix=8, tiers=2) == (2, 2, 1, 0)  # two leaves of 4, one spine takes all 8 uplinks
    assert parts(end_ports=8, radix=8, tiers=3) == (3, 2, 2, 1)


def test_uplinks_spread_evenly() -> None:
    # radix 12: 6 up; 3 leaves have 18 uplinks, which two spines of 12 hold: 3 cables each. 5 leaves have 30: three spines
    assert parts(end_ports=18, radix=12) == (2, 3, 2, 0)
    assert parts(end_ports=30, radix=12) == (2, 5, 3, 0)
    # 9 leaves have 54 uplinks; five spines would hold them, but six uplinks spread evenly over 1, 2, 3 and 6 only
    assert parts(end_ports=54, radix=12) == (2, 9, 6, 0)


def test_only_leaves_are_oversubscribed() -> None:
    assert leaf_ports(64, 3.0) == (48, 16)
    # 96 ports down on two leaves of 48, 32 uplinks: one spine
    assert parts(end_ports=96, radix=64, oversubscription=3) == (2, 2, 1, 0)
    found = fat_tree_counts(4096, 64, oversubscription=3)  # 86 leaves, 1376 uplinks, 43 spines with 32 up, 22 cores
    assert [found.leaf, found.spine, found.core] == [86, 43, 22]
    assert [found.cables_node_leaf, found.cables_leaf_spine, found.cables_spine_core] == [4096, 86 * 16, 43 * 32]


def test_oversubscription_is_not_lost_to_rounding() -> None:
    assert leaf_ports(32, 3.0 * (1 - 1e-12)) == (24, 8)  # 24/3 = 8, though a rounding error below 3 makes it 8.00..1
    assert leaf_ports(10, 9.0) == (9, 1)


def test_rails_are_trees_of_their_own() -> None:
    one, eight = fat_tree_counts(128, 64), fat_tree_counts(1024, 64, rails=8)
    for name in one.__dataclass_fields__:
        factor = 1 if name == "tiers" else 8
        assert getattr(eight, name) == factor * getattr(one, name), name
    assert fat_tree_counts(1024, 64).switches == 48  # one tree over all needs as many here


def test_planes_share_cables() -> None:
    found = fat_tree_counts(1024, 128, rails=2, planes_per_cable=2)
    assert [found.leaf, found.spine, found.cables_node_leaf, found.cables_leaf_spine] == [16, 8, 512, 512]


def test_no_end_port_needs_no_switch() -> None:
    assert parts(end_ports=0, radix=64) == (0, 0, 0, 0)
    assert parts(end_ports=0, radix=64, tiers=2) == (0, 0, 0, 0)


def test_arrays_hold_what_each_design_has_by_itself() -> None:
    ends = np.arange(1, 300)[:, None, None]
    radix, over = np.array([6, 16, 36])[:, None], np.array([1.0, 1.5, 2.0, 5.0])
    found = fat_tree_counts(ends, radix, oversubscription=over)
    assert found.leaf.shape == (299, 3, 4)
    rng = np.random.default_rng(3)
    for _ in range(100):
        i, j, k = rng.integers(299), rng.integers(3), rng.integers(4)
        single = fat_tree_counts(int(ends[i, 0, 0]), int(radix[j, 0]), oversubscription=float(over[k]))
        for name in single.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(found, name)[i, j, k], getattr(single, name), err_msg=name)


def test_an_empty_array_of_designs_is_an_empty_answer() -> None:
    assert fat_tree_counts(np.array([], dtype=int), 8).leaf.shape == (0,)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"end_ports": -1}, "end_ports must be a whole number >= 0, got -1"),
        ({"end_ports": 2.5}, "end_ports must be a whole number >= 0, got 2.5"),
        ({"radix": 1}, "radix must be a whole number >= 2, got 1"),
        ({"tiers": 0}, "tiers must be a whole number >= 1, got 0"),
        ({"tiers": 4}, "tiers must be 1, 2 or 3, got 4"),
        ({"oversubscription": 0.5}, "oversubscription must be >= 1, got 0.5"),
        ({"oversubscription": np.nan}, "oversubscription must be finite and > 0, got nan"),
        ({"rails": 0}, "rails must be a whole number >= 1, got 0"),
        ({"rails": 3}, "end_ports must be a multiple of rails, 3, got 64"),
        ({"rails": 4, "planes_per_cable": 3}, "rails must be a multiple of planes_per_cable, 3, got 4"),
    ],
)
def test_arguments_are_checked(given: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        fat_tree_counts(**{"end_ports": 64, "radix": 8, **given})
