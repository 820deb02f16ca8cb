"""The figure of a network: hosts at the bottom, switches in tiers, cables coloured by utilisation, the bottleneck marked."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.figures import STYLE, save_figure
from simulator.network.layout import Layout, layout
from simulator.network.routing import IntArray
from simulator.quantities import ArrayLike, FloatArray, fraction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simulator.network.topologies import Topology

__all__ = ["plot_topology", "save_topology"]

LABELLED, BIG = 32, 16
"""Boxes of a row up to which they are labelled, and are large."""
FEW_LINES = 120
"""Lines up to which they are thick."""
BOTTLENECK = "#D55E00"
"""Vermilion of Okabe and Ito: stands out against cividis with every kind of colour vision."""


def plot_topology(
    topology: Topology, utilisation: ArrayLike | None = None, ax: Axes | None = None, *, bottleneck: int | None = None
) -> Axes:
    """Draw a network: hosts at the bottom, switches in tiers above, cables coloured by the busier of their two directions.

    Parameters
    ----------
    topology : Topology
        Of which it is known which nodes its links join. Rows of more than 64 are gathered into boxes.
    utilisation : array_like, optional
        Share of its bandwidth that each link used, 0 to 1; without it the cables are grey.
    ax : Axes, optional
        Where to draw.
    bottleneck : int, optional
        The link that is marked and named; the one of the highest utilisation by default.

    Returns
    -------
    Axes
        With the drawing.

    Raises
    ------
    ValueError
        If utilisation is not one number from 0 to 1 for each link, or bottleneck not a link.
    TopologyError
        If only the routes of the network are known.
    """
    drawn = layout(topology)
    share: FloatArray | None = None
    if utilisation is not None:
        share = np.atleast_1d(np.asarray(utilisation, dtype=np.float64))
        if share.shape != (topology.links,):
            raise ValueError(f"utilisation must have one value for each of {topology.links} links, got shape {share.shape}")
        share = np.atleast_1d(fraction("utilisation", np.where((share > 1.0) & (share < 1.0 + 1e-9), 1.0, share)))  # rounding
        if bottleneck is None and share.max(initial=0.0) > 0:
            bottleneck = int(np.argmax(share))
        if bottleneck is not None and not 0 <= bottleneck < topology.links:
            raise ValueError(f"bottleneck must be a link from 0 to {topology.links - 1}, got {bottleneck}")
    if ax is None:
        import matplotlib.pyplot as plt

        wide = 0.22 * int(np.bincount(drawn.row).max()) + 1.6
        size = (5.6, 5.6) if drawn.round else (min(max(7.2, wide), 15.0), 1.6 + 1.25 * int(drawn.row.max() + 1))
        ax = plt.subplots(figsize=size)[1]
    _draw_cables(topology, drawn, share, bottleneck, ax)
    for level in range(int(drawn.row.max()) + 1):
        _draw_row(topology, drawn, np.flatnonzero(drawn.row == level), level, ax)
    most_cables = int(drawn.line_cables.max(initial=1))
    lines = f"\na line stands for up to {most_cables} cables" if most_cables > 1 else ""
    ax.set_title(textwrap.fill(topology.name, 78) + lines)
    ax.set_axis_off()
    ax.margins(x=0.04, y=0.12)
    if drawn.round:
        ax.set_aspect("equal")
    return ax


def save_topology(
    path: Path, topology: Topology, utilisation: ArrayLike | None = None, *, bottleneck: int | None = None
) -> Path:
    """Draw a network into a file and return it.

    Parameters
    ----------
    path : Path
        Where to write.
    topology, utilisation, bottleneck
        As in `plot_topology`.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with plt.style.context(STYLE):
        ax = plot_topology(topology, utilisation, bottleneck=bottleneck)
        return save_figure(ax.figure, path)


def _curves(drawn: Layout) -> list[FloatArray]:
    """Return the points of each line: two of a straight one, more of one that bends."""
    along = np.linspace(0.0, 1.0, 17)[:, None]
    curves = []
    for (a, b), bow in zip(drawn.line_ends.tolist(), drawn.line_bow.tolist(), strict=True):
        start, end = (np.array([drawn.x[at], drawn.y[at]]) for at in (a, b))
        aside = np.array([0.0, 4 * bow]) if drawn.y[a] == drawn.y[b] else np.array([2 * bow, 0.0])
        curves.append(start + along * (end - start) + aside * along * (1 - along) if bow else np.stack([start, end]))
    return curves


def _draw_cables(topology: Topology, drawn: Layout, share: FloatArray | None, bottleneck: int | None, ax: Axes) -> None:
    import matplotlib as mpl
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap

    curves = _curves(drawn)
    width = (0.7 if len(curves) > FEW_LINES else 1.4) + 0.5 * np.log2(drawn.line_cables)
    if share is None:
        ax.add_collection(LineCollection(curves, colors="0.6", linewidths=width, zorder=1))
        return
    busiest = np.zeros(len(curves))
    outside = drawn.line_of_link >= 0
    np.maximum.at(busiest, drawn.line_of_link[outside], share[outside])
    if bottleneck is not None:
        _mark_bottleneck(topology, drawn, share, bottleneck, curves, float(width.max(initial=1.0)) + 4.0, ax)
    order = np.argsort(busiest, kind="stable")  # the busy ones on top
    # cividis is made for every kind of colour vision; its palest end is left out, in which idle links would not be seen
    colours = ListedColormap(mpl.colormaps["cividis_r"](np.linspace(0.08, 1.0, 256)), name="utilisation")
    lines = LineCollection([curves[i] for i in order], cmap=colours, linewidths=width[order], zorder=1)
    lines.set_array(busiest[order])
    lines.set_clim(0.0, 1.0)
    ax.add_collection(lines)
    bar = ax.figure.colorbar(lines, ax=ax, fraction=0.03, pad=0.02)
    bar.set_label("utilisation of the busier direction (0 to 1)")


def _mark_bottleneck(
    topology: Topology, drawn: Layout, share: FloatArray, link: int, curves: list[FloatArray], width: float, ax: Axes
) -> None:
    """Underline a link, or the box in which it lies, and name it with the number of links that are as busy."""
    from matplotlib.collections import LineCollection

    line = int(drawn.line_of_link[link])
    equals = int(np.sum(np.isclose(share, share[link], rtol=1e-9, atol=0.0))) - 1
    more = f" and {equals} more" if equals else ""
    text = f"bottleneck: {topology.names[link]}{more}, {100 * share[link]:.3g} %"
    mark = [curves[line]] if line >= 0 else []
    ax.add_collection(LineCollection(mark, colors=BOTTLENECK, linewidths=width, alpha=0.8, zorder=0.9, label=text))
    if line < 0 and topology.ends is not None:
        at = next(i for i, nodes in enumerate(drawn.nodes) if int(topology.ends[link, 0]) in nodes)
        ax.scatter(drawn.x[at], drawn.y[at], s=700.0, marker="s", color=BOTTLENECK, alpha=0.8, zorder=2.5)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.02))


def _draw_row(topology: Topology, drawn: Layout, boxes: IntArray, level: int, ax: Axes) -> None:
    sizes = [len(drawn.nodes[at]) for at in boxes.tolist()]
    ax.scatter(
        drawn.x[boxes],
        drawn.y[boxes],
        s=330.0 if len(boxes) <= BIG else 190.0 if len(boxes) <= LABELLED else 30.0,
        marker="o" if level == 0 and max(sizes) == 1 else "s",
        facecolor="w" if level == 0 else "0.9",
        edgecolor="0.2",
        linewidth=0.9,
        zorder=3,
    )
    if len(boxes) <= LABELLED:
        for at, size in zip(boxes.tolist(), sizes, strict=True):
            short = _short(topology.nodes[drawn.nodes[at][0]])
            text = f"x{size}" if max(sizes) > 1 else short if len(boxes) <= BIG else short.split(".")[-1]
            place = (drawn.x[at], drawn.y[at])
            ax.annotate(text, place, ha="center", va="center", fontsize=8 if len(boxes) <= BIG else 6, zorder=4)
    if not drawn.round:
        text = _row_text(topology, drawn, boxes)
        across = ax.get_yaxis_transform()
        ax.annotate(text, (0.0, level), xycoords=across, annotation_clip=False, ha="right", va="center", fontsize=9)


def _short(name: str) -> str:
    words = name.split() or [name]
    text = f"{words[1]}/{words[-1].split('.')[-1]}" if words[0] == "rail" and len(words) > 2 else words[-1]
    return text if len(text) <= 6 else text[:5] + "."


def _row_text(topology: Topology, drawn: Layout, boxes: IntArray) -> str:
    """Say what stands in a row: how many, of what, and in how many boxes."""
    nodes = [node for at in boxes.tolist() for node in drawn.nodes[at]]
    kinds = Counter(_kind(topology, node) for node in nodes)
    text = "\n".join(f"{count} x {kind}" for kind, count in kinds.items())
    return text + (f"\n({len(boxes)} box{'es' if len(boxes) > 1 else ''})" if len(nodes) > len(boxes) else "")


def _kind(topology: Topology, node: int) -> str:
    """Return the word before the number of a node's name, where it has one: leaf of "rail 0 leaf 3"."""
    words = topology.nodes[node].split()
    if len(words) > 1 and words[-1].replace(".", "").isdigit():
        return words[-2]
    return "host" if node < topology.hosts else "switch"
