from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection

from simulator.errors import TopologyError
from simulator.network.cluster_topologies import fat_tree, leaf_spine, ring
from simulator.network.layout import layout
from simulator.network.links import Link
from simulator.network.node_fabrics import rails
from simulator.network.routing import ListedRoutes
from simulator.network.topologies import Topology, k_ary_fat_tree, star
from simulator.plots import plot_topology

mpl.use("Agg")
LINK = Link(bandwidth_bytes_per_s=1e9)


@pytest.fixture
def axes() -> Iterator[Any]:
    import matplotlib.pyplot as plt

    yield plt.subplots()[1]
    plt.close("all")


def test_hosts_lie_at_the_bottom_and_switches_over_what_they_join() -> None:
    drawn = layout(leaf_spine(6, hosts_per_leaf=3, spines=1, host_link=LINK, upper_link=LINK))
    assert drawn.y.tolist() == [0] * 6 + [1, 1, 2]
    np.testing.assert_allclose(drawn.x, [*(np.arange(6) + 0.5) / 6, 0.25, 0.75, 0.5])
    assert sorted(map(tuple, drawn.line_ends.tolist())) == [(0, 6), (1, 6), (2, 6), (3, 7), (4, 7), (5, 7), (6, 8), (7, 8)]


def test_a_switch_with_fewer_hosts_lies_over_them() -> None:
    """Five hosts at 0.1, 0.3 .. 0.9; the leaves over the middle of three and of two."""
    drawn = layout(leaf_spine(5, hosts_per_leaf=3, spines=1, host_link=LINK, upper_link=LINK))
    np.testing.assert_allclose(drawn.x[5:], [0.3, 0.8, 0.55])


def test_few_parallel_cables_are_drawn_one_by_one_and_bend_apart() -> None:
    fabric = leaf_spine(2, hosts_per_leaf=1, spines=1, trunk=3, host_link=LINK, upper_link=LINK)
    drawn = layout(fabric)
    trunk = (drawn.line_ends == [2, 4]).all(axis=1)
    assert drawn.line_bow[trunk].tolist() == [-0.05, 0.0, 0.05]
    assert drawn.line_cables.tolist() == [1] * 8
    for line in range(8):  # one line for both directions of a cable
        way, back = (
            fabric.names[link].replace(" cable", " ->").split(" -> ")
            for link in np.flatnonzero(drawn.line_of_link == line).tolist()
        )
        assert [way[1], way[0], *way[2:]] == back


def test_a_ring_is_a_circle() -> None:
    drawn = layout(ring(12, link=LINK))
    assert drawn.round
    np.testing.assert_allclose(np.hypot(drawn.x - 0.5, drawn.y - 0.5), 0.5)
    assert len(drawn.line_ends) == 12


@pytest.mark.parametrize(
    ("topology", "row_sizes"),
    [
        (star(65, bandwidth_bytes_per_s=1), [[65], [1]]),
        (k_ary_fat_tree(8, bandwidth_bytes_per_s=1), [[4] * 32, [1] * 32, [1] * 32, [1] * 16]),
        # 16 pods of 64 hosts, 8 leaves, 8 spines; all 64 cores join all pods, and 1,024 lines are too many to read
        (k_ary_fat_tree(16, bandwidth_bytes_per_s=1), [[80] * 16, [64]]),
        (fat_tree(512, radix=64, host_link=LINK), [[32] * 16, [1] * 16, [1] * 8]),
        (
            rails([star(32, bandwidth_bytes_per_s=1)] * 4, accelerators_per_node=8, inner_link=LINK),
            [[8] * 32, [1] * 32, [1] * 4],
        ),
        (ring(200, link=LINK), [[4] * 50]),
    ],
)
def test_wide_rows_are_gathered(topology: Any, row_sizes: list[list[int]]) -> None:
    drawn = layout(topology)
    assert [[len(drawn.nodes[at]) for at in np.flatnonzero(drawn.row == r)] for r in range(len(row_sizes))] == row_sizes
    assert sorted(node for nodes in drawn.nodes for node in nodes) == list(range(len(topology.nodes)))
    inside = np.array([next(i for i, nodes in enumerate(drawn.nodes) if a in nodes) for a in range(len(topology.nodes))])
    np.testing.assert_array_equal(drawn.line_of_link < 0, inside[topology.ends[:, 0]] == inside[topology.ends[:, 1]])
    assert 2 * drawn.line_cables.sum() == (drawn.line_of_link >= 0).sum()


def test_a_cable_has_the_colour_of_its_busier_direction_and_the_busiest_is_named(axes: Any) -> None:
    network = star(3, bandwidth_bytes_per_s=1)
    drawn: Any = plot_topology(network, [0.1, 0.2, 0.3, 0.0, 0.9, 0.25], axes)
    assert drawn is axes
    (values,) = [c.get_array() for c in axes.collections if isinstance(c, LineCollection) and c.get_array() is not None]
    assert np.asarray(values).tolist() == [0.1, 0.3, 0.9]
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ["bottleneck: switch 1.0 -> host 1, 90 %"]
    bar = axes.figure.axes[-1]
    assert bar.get_ylabel() == "utilisation of the busier direction (0 to 1)"
    assert bar.get_ylim() == (0.0, 1.0)
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["0", "1", "2", "3 x host", "1.0", "1 x switch"]
    assert axes.get_title() == "star of 3 hosts"


def test_equally_busy_links_are_counted_and_one_inside_a_box_marks_the_box(axes: Any) -> None:
    network = k_ary_fat_tree(16, bandwidth_bytes_per_s=1)
    share = np.zeros(network.links)
    share[[0, 1, 2]] = 1.0 + 1e-12  # rounding
    plot_topology(network, share, axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["bottleneck: host 0 -> switch 1.0 and 2 more, 100 %"]
    marks = [c for c in axes.collections if not isinstance(c, LineCollection) and c.get_sizes().tolist() == [700.0]]
    np.testing.assert_allclose(marks[0].get_offsets(), [[0.5 / 16, 0.0]])
    assert axes.get_title().endswith("a line stands for up to 64 cables")
    assert "1024 x host\n256 x switch\n(16 boxes)" in [text.get_text() for text in axes.texts]


def test_another_link_can_be_named_the_bottleneck(axes: Any) -> None:
    plot_topology(star(2, bandwidth_bytes_per_s=1), [0.5, 0.9, 0.4, 0.5], axes, bottleneck=3)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["bottleneck: switch 1.0 -> host 1 and 1 more, 50 %"]
    with pytest.raises(ValueError, match=r"bottleneck must be a link from 0 to 3, got 4"):
        plot_topology(star(2, bandwidth_bytes_per_s=1), np.zeros(4), axes, bottleneck=4)


def test_without_utilisation_cables_are_grey_and_nothing_is_marked(axes: Any) -> None:
    plot_topology(star(3, bandwidth_bytes_per_s=1), ax=axes)
    assert axes.get_legend() is None
    assert len(axes.figure.axes) == 1
    plot_topology(star(3, bandwidth_bytes_per_s=1), np.zeros(6), axes)
    assert axes.get_legend() is None


@pytest.mark.parametrize("topology", [ring(3, link=LINK), star(1, bandwidth_bytes_per_s=1), ring(1, link=LINK)])
def test_it_makes_its_own_axes(topology: Any) -> None:
    import matplotlib.pyplot as plt

    drawn = plot_topology(topology, np.zeros(topology.links))
    drawn.figure.canvas.draw()
    plt.close("all")


def test_every_message() -> None:
    network = star(2, bandwidth_bytes_per_s=1)
    with pytest.raises(ValueError, match=r"utilisation must have one value for each of 4 links, got shape \(2,\)"):
        plot_topology(network, [0.1, 0.2])
    with pytest.raises(ValueError, match=r"utilisation must be from 0 to 1, got 1.5"):
        plot_topology(network, [0, 0, 0, 1.5])
    with pytest.raises(ValueError, match=r"utilisation must be from 0 to 1, got nan"):
        plot_topology(network, [0, 0, 0, np.nan])
    one = np.ones(1)
    routing = ListedRoutes(listed={(0, 1): (0,)})
    measured = Topology(name="measured", hosts=2, bandwidth_bytes_per_s=one, latency_s=one, names=("a",), routing=routing)
    with pytest.raises(TopologyError, match=r"measured is given by its routes: which nodes its links join is not known"):
        plot_topology(measured)
    with pytest.raises(ValueError, match=r"most_boxes must be a whole number >= 1, got 0"):
        layout(network, most_boxes=0)
