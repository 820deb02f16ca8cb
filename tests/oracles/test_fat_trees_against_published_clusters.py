"""Switches and cables of fat trees against published bills of materials.

DGX SuperPOD reference architectures (docs.nvidia.com/dgx-superpod/reference-architecture-scalable-infrastructure-b200 and
.../reference-architecture/scalable-infrastructure-b300, -b300-xdr, latest/dgx-superpod-architecture.html, 2025 and 2026:
switches and cables of the compute fabric), a public cost sheet of H100 clusters with eight separate rails
(docs.google.com/spreadsheets/d/1Ft3RbeZ-w43kYSiLfYc1vxO41mK5lmJpcPC9GOYHAWc, 2024-08; it gives all switches together), and the
k-ary fat trees of Al-Fares, Loukissas and Vahdat (SIGCOMM 2008): k^3/4 hosts, k^2/2 edge, k^2/2 aggregation, k^2/4 core.
"""

from __future__ import annotations

import pytest

from simulator.network.cluster_topologies import fat_tree
from simulator.network.fat_tree_shapes import fat_tree_shape
from simulator.network.links import Link

PUBLISHED = [
    # name, planes or rails, end ports of one, radix, switches of all, cables of one plane
    ("B200, 2 scalable units", 1, 512, 64, (16, 8), (512, 512)),
    ("B200, 4 scalable units", 1, 1024, 64, (32, 16), (1024, 1024)),
    ("B200, 16 scalable units", 1, 4096, 64, (128, 128, 64), (4096, 4096, 4096)),
    ("B200, 32 scalable units", 1, 8192, 64, (256, 256, 128), (8192, 8192, 8192)),
    # 800 Gbit/s ports split into two planes of 400: a published cable carries both
    ("B300 Ethernet, 1 scalable unit", 2, 512, 128, (16, 8), (512, 512)),
    ("B300 Ethernet, 4 scalable units", 2, 2048, 128, (64, 32), (2048, 2048)),
    ("B300 XDR, 1 scalable unit", 1, 576, 144, (8, 4), (576, 576)),
    ("B300 XDR, 2 scalable units", 1, 1152, 144, (16, 8), (1152, 1152)),
    ("B300 XDR, 4 scalable units", 1, 2304, 144, (32, 18), (2304, 2304)),  # 72 uplinks spread evenly over 18, not over 16
    ("k-ary, 4", 1, 16, 4, (8, 8, 4), (16, 16, 16)),
    ("k-ary, 8", 1, 128, 8, (32, 32, 16), (128, 128, 128)),
    ("k-ary, 16", 1, 1024, 16, (128, 128, 64), (1024, 1024, 1024)),
    ("k-ary, 24", 1, 3456, 24, (288, 288, 144), (3456, 3456, 3456)),
]
H100_SHEET = [(64, 8), (128, 48), (256, 96), (512, 192), (1024, 384), (4096, 2560)]
"""Nodes, and switches of all eight rails, 64 ports each."""


@pytest.mark.parametrize(
    ("name", "planes", "ends", "radix", "switches", "cables"), PUBLISHED, ids=[row[0] for row in PUBLISHED]
)
def test_switches_and_cables_are_the_published_ones(
    name: str, planes: int, ends: int, radix: int, switches: tuple[int, ...], cables: tuple[int, ...]
) -> None:
    shape = fat_tree_shape(ends, radix)
    assert tuple(planes * count for count in shape.switches) == switches
    assert shape.cables == cables
    assert shape.oversubscription == 1.0
    tree = fat_tree(ends, radix=radix, host_link=Link(bandwidth_bytes_per_s=1.0))
    assert (tree.links, len(tree.nodes)) == (2 * sum(cables), ends + sum(switches) // planes)


@pytest.mark.parametrize(("nodes", "switches"), H100_SHEET)
def test_eight_rails_have_the_switches_of_the_cost_sheet(nodes: int, switches: int) -> None:
    assert 8 * sum(fat_tree_shape(nodes, 64).switches) == switches


@pytest.mark.parametrize("k", [4, 8, 16, 24])
def test_two_levels_have_three_halves_of_the_radix_in_switches(k: int) -> None:
    """Arithmetic: k^2/2 hosts, k leaves, k/2 spines."""
    shape = fat_tree_shape(k * k // 2, k)
    assert shape.switches == (k, k // 2)
    assert shape.cables == (k * k // 2, k * k // 2)
