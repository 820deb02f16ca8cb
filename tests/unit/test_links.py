from __future__ import annotations

from typing import Any

import pytest

from simulator.network.cluster_topologies import fat_tree, leaf_spine
from simulator.network.links import Link, host_link, tier_link
from simulator.network.topologies import star


def test_a_path_counts_its_switches_cables_and_adapters_once() -> None:
    """Three tiers: five switches of 130 ns, 2 * 2 m + 4 * 20 m of cable at 5 ns/m, and the adapters' 600 ns."""
    link = host_link(24e9, switch_latency_s=130e-9, latency_s=600e-9, latency_kind="adapter, vendor's figure")
    tree = fat_tree(16, radix=4, host_link=link, upper_link=tier_link(24e9, switch_latency_s=130e-9))
    assert tree.path_latency_s(0, 15) == pytest.approx(5 * 130e-9 + (4 + 80) * 5e-9 + 600e-9, rel=1e-12)
    assert tree.path_latency_s(0, 1) == pytest.approx(130e-9 + 4 * 5e-9 + 600e-9, rel=1e-12)


def test_a_half_round_trip_is_one_path_through_one_switch() -> None:
    """It is measured through one switch: a star returns it, whatever switch and cables add; a tree adds two switches."""
    link = host_link(48e9, switch_latency_s=150e-9, cable_m=3, latency_s=1.15e-6, latency_kind="MPI half round trip")
    one = star(2, bandwidth_bytes_per_s=link.bandwidth_bytes_per_s, latency_s=link.latency_s)
    assert one.path_latency_s(0, 1) == pytest.approx(1.15e-6, rel=1e-12)
    upper = tier_link(48e9, switch_latency_s=150e-9, cable_m=10)
    two = leaf_spine(4, hosts_per_leaf=2, spines=1, host_link=link, upper_link=upper)
    assert two.path_latency_s(0, 3) == pytest.approx(1.15e-6 + 2 * (150e-9 + 50e-9), rel=1e-12)


def test_back_to_back_lacks_the_switch() -> None:
    kind = "MPI half round trip, two hosts back to back"
    link = host_link(4.6e9, switch_latency_s=300e-9, latency_s=1.93e-6, latency_kind=kind)
    assert 2 * link.latency_s == pytest.approx(1.93e-6 + 300e-9, rel=1e-12)


def test_without_figures_only_the_cable_counts() -> None:
    assert host_link(1e9).latency_s == pytest.approx(2 * 5e-9)
    assert tier_link(1e9).latency_s == pytest.approx(20 * 5e-9)
    assert host_link(1e9, cable_m=0) == Link(bandwidth_bytes_per_s=1e9)


def negative(key: str) -> Any:
    return {key: -1.0}


def test_every_message() -> None:
    with pytest.raises(ValueError, match=r"bandwidth_bytes_per_s must be finite and > 0, got 0"):
        Link(bandwidth_bytes_per_s=0)
    with pytest.raises(ValueError, match=r"latency_s must be finite and >= 0, got -1"):
        Link(bandwidth_bytes_per_s=1, latency_s=-1)
    with pytest.raises(ValueError, match=r"latency_kind must begin with 'adapter' or 'MPI half round trip', got 'ping'"):
        host_link(1e9, latency_kind="ping")
    for key in ("switch_latency_s", "cable_m", "latency_s"):
        with pytest.raises(ValueError, match=rf"{key} must be finite and >= 0, got -1"):
            host_link(1e9, **negative(key))
    for key in ("switch_latency_s", "cable_m"):
        with pytest.raises(ValueError, match=rf"{key} must be finite and >= 0, got -1"):
            tier_link(1e9, **negative(key))
