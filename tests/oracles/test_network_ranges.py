"""Ranges of rates in the hardware profiles against the published all-reduces that ship: each end from the data by the model."""

from __future__ import annotations

import pytest

from simulator.profiles import load_profile
from tests.oracles.derive_network_ranges import (
    NETWORKS,
    inner_rates,
    network_shares,
    nodes_with_a_switch,
    published,
    rate_in_a_node,
    rounded,
    share_between_nodes,
)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_range_of_a_network_reaches_from_the_slowest_published_all_reduce_to_the_fastest(name: str) -> None:
    network, records = load_profile("networks", name)
    record = records["usable_bandwidth_bytes_per_s"]
    ends = [rounded(share * network.bandwidth_bytes_per_s / 1e9) for share in network_shares()[name]]
    assert record.low is not None
    assert record.low / 1e9 == pytest.approx(min(ends), rel=5e-3)  # written to three digits, of GB/s or Gbit/s
    if max(ends) * 1e9 > network.usable_bandwidth_bytes_per_s:
        assert record.high is not None
        assert record.high / 1e9 == pytest.approx(max(ends), rel=5e-3)
    else:
        assert record.high is None  # no published one is faster than the value: it is the upper end


def test_every_node_with_the_links_of_a_published_one_has_its_range() -> None:
    rates, seen = inner_rates(), []
    for path, accelerator in nodes_with_a_switch():
        node, records = load_profile("nodes", path.stem)
        record = records["inner_bandwidth_bytes_per_s"]
        assert record.low is not None, path.stem
        assert record.low == pytest.approx(1e9 * rounded(min(rates[accelerator]) / 1e9)), path.stem
        fastest = max(rates[accelerator])
        if fastest > node.inner_bandwidth_bytes_per_s:
            assert record.high == pytest.approx(1e9 * rounded(fastest / 1e9)), path.stem
        else:
            assert record.high is None, path.stem
        seen.append(path.stem)
    assert len(seen) == 17


def test_a_share_by_hand() -> None:
    """1 GiB on two nodes of eight A100 in 20.1327 ms, of which 2 * 7/8 * 1 GiB at 300 GB/s inside take 6.2635 ms.

    Each of eight NICs carries an eighth of a GiB in what is left: 9.677 GB/s, 0.774 of 100 Gbit/s.
    """
    one = next(row for row in published()["A100-80GB"] if row.nodes == 2)
    inside_s = 2 * 7 / 8 * 2**30 / 300e9
    expected = 2**30 / 8 / (one.time_s - inside_s) / 12.5e9
    assert share_between_nodes(one, NETWORKS["roce100"][1]) == pytest.approx(expected, rel=1e-6)


def test_a_rate_in_a_node_is_the_published_bus_bandwidth() -> None:
    """234.89 GB/s is what the table prints for 16 GiB on eight A100."""
    one = max(published()["8x A100 SXM (NVLink 3)"], key=lambda row: row.size_bytes)
    assert rate_in_a_node(one) == pytest.approx(234.89e9, rel=1e-4)
