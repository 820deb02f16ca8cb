"""Where the nodes of a topology are drawn: hosts in the bottom row, switches in rows by their distance from them.

Wide rows are gathered into boxes, so that a tree of thousands of hosts remains readable: hosts of the same switches first, then
whole subtrees, then switches that join the same boxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simulator.errors import TopologyError
from simulator.network.routing import IntArray
from simulator.network.topologies import Topology
from simulator.quantities import FloatArray, whole

__all__ = ["Layout", "layout"]

MOST_BOXES = 64
"""Boxes of a row before its nodes are gathered."""
MOST_PARALLEL = 4
"""Parallel cables between two nodes that are drawn one by one, where the picture has few lines."""
MANY_LINES, MANY_ALIKE = 400, 16
"""More pairs of joined boxes than this, and switches that join the same boxes are gathered in rows that are wider than that."""
FEW_LINES = 160


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Boxes and the lines between them.

    Parameters
    ----------
    nodes : tuple of tuple of int
        Nodes of each box.
    row : ndarray of int64
        Row of each box from the bottom.
    x, y : ndarray of float64
        Its place: rows at y = 0, 1, 2..., x from 0 to 1. In a circle where there are only hosts.
    line_ends : ndarray of int64 of shape (lines, 2)
        Boxes that each line joins.
    line_cables : ndarray of int64
        Cables that it stands for.
    line_bow : ndarray of float64
        How far it bends away from the straight line, so that parallel ones and those along a row are seen.
    line_of_link : ndarray of int64
        Line of each link, -1 within a box.
    """

    nodes: tuple[tuple[int, ...], ...]
    row: IntArray
    x: FloatArray
    y: FloatArray
    line_ends: IntArray
    line_cables: IntArray
    line_bow: FloatArray
    line_of_link: IntArray

    @property
    def round(self) -> bool:
        """Whether it is a circle of hosts."""
        return not self.row.any()


def layout(topology: Topology, *, most_boxes: int = MOST_BOXES) -> Layout:
    """Place the nodes of a topology.

    Parameters
    ----------
    topology : Topology
        Of which it is known which nodes its links join.
    most_boxes : int
        Boxes of a row before its nodes are gathered, >= 1.

    Examples
    --------
    >>> from simulator.network.topologies import star
    >>> drawn = layout(star(4, bandwidth_bytes_per_s=1e9))
    >>> drawn.x.tolist(), drawn.y.tolist(), drawn.line_cables.tolist()
    ([0.125, 0.375, 0.625, 0.875, 0.5], [0.0, 0.0, 0.0, 0.0, 1.0], [1, 1, 1, 1])
    """
    if topology.ends is None:
        raise TopologyError(f"{topology.name} is given by its routes: which nodes its links join is not known")
    most = int(whole("most_boxes", most_boxes))
    ends, count = topology.ends, len(topology.nodes)
    tier = _tiers(topology.hosts, count, ends)
    box = _gathered(tier, ends, most)
    members: dict[int, list[int]] = defaultdict(list)
    for node, label in enumerate(box.tolist()):
        members[label].append(node)
    nodes = tuple(tuple(group) for group in members.values())
    index = {label: i for i, label in enumerate(members)}
    box = np.array([index[label] for label in box.tolist()], dtype=np.int64)
    lowest = np.array([tier[list(group)].min() for group in nodes], dtype=np.int64)
    row = np.searchsorted(np.unique(lowest), lowest).astype(np.int64)
    pairs = box[ends]
    if row.any():
        x, y = _rows(row, pairs), row.astype(np.float64)
    else:
        angle = np.pi / 2 - 2 * np.pi * np.arange(len(nodes)) / len(nodes)
        x, y = 0.5 + 0.5 * np.cos(angle), 0.5 + 0.5 * np.sin(angle)
    line_ends, line_cables, line_bow, line_of_link = _lines(pairs, nodes, row)
    return Layout(
        nodes=nodes,
        row=row,
        x=x,
        y=y,
        line_ends=line_ends,
        line_cables=line_cables,
        line_bow=line_bow,
        line_of_link=line_of_link,
    )


def _tiers(hosts: int, nodes: int, ends: IntArray) -> IntArray:
    """Return the distance of each node from the nearest host; what no host reaches stands on top."""
    tier = np.full(nodes, -1, dtype=np.int64)
    tier[:hosts] = 0
    for distance in range(1, nodes):
        edge = np.concatenate([ends, ends[:, ::-1]])
        found = edge[(tier[edge[:, 0]] == distance - 1) & (tier[edge[:, 1]] < 0), 1]
        if len(found) == 0:
            break
        tier[found] = distance
    tier[tier < 0] = tier.max() + 1
    return tier


def _gathered(tier: IntArray, ends: IntArray, most: int) -> IntArray:
    """Return a label for each node; nodes of one label share a box."""
    box = np.arange(len(tier), dtype=np.int64)
    top = int(tier.max())

    def width(level: int) -> int:
        return len(np.unique(box[tier == level]))

    if width(0) > most and top > 0:
        _merge_alike(box, np.flatnonzero(tier == 0), ends)
    if width(0) > most:
        for level in range(1, top):
            labels = _components(tier <= level, ends)
            if level == top - 1 or len(np.unique(labels[tier <= level])) <= most:
                box[tier <= level] = labels[tier <= level]
                break
    if width(0) > most:
        _merge_blocks(box, np.flatnonzero(tier == 0), most)
    for level in range(1, top + 1):
        if width(level) > most:
            _merge_alike(box, np.flatnonzero(tier == level), ends)
        if width(level) > most:
            _merge_blocks(box, np.flatnonzero(tier == level), most)
    for level in range(top, 0, -1):
        if len(_joined(box[ends])) > MANY_LINES and width(level) > MANY_ALIKE:
            _merge_alike(box, np.flatnonzero(tier == level), ends)
    return box


def _joined(pairs: IntArray) -> IntArray:
    """Return the distinct pairs of boxes that links join."""
    distinct: IntArray = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return distinct


def _merge_alike(box: IntArray, nodes: IntArray, ends: IntArray) -> None:
    """Give nodes the label of the first that joins the same boxes."""
    joins: dict[int, set[int]] = {int(node): set() for node in nodes}
    for tail, head in ends.tolist():
        for node, other in ((tail, head), (head, tail)):
            if node in joins:
                joins[node].add(int(box[other]))
    first: dict[frozenset[int], int] = {}
    for node, others in joins.items():
        box[node] = first.setdefault(frozenset(others), int(box[node]))


def _merge_blocks(box: IntArray, nodes: IntArray, most: int) -> None:
    """Gather boxes that follow each other into `most` of about the same size."""
    labels = np.array(list(dict.fromkeys(box[nodes].tolist())), dtype=np.int64)
    size = -(-len(labels) // most)
    for at in range(0, len(labels), size):
        box[np.isin(box, labels[at : at + size])] = labels[at]


def _components(inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], ends: IntArray) -> IntArray:
    """Return for each node the smallest node of its component among the nodes inside."""
    label = np.arange(len(inside), dtype=np.int64)
    kept = ends[inside[ends[:, 0]] & inside[ends[:, 1]]]
    while True:
        before = label.copy()
        np.minimum.at(label, kept[:, 0], label[kept[:, 1]])
        np.minimum.at(label, kept[:, 1], label[kept[:, 0]])
        label = label[label]
        if (label == before).all():
            return label


def _rows(row: IntArray, pairs: IntArray) -> FloatArray:
    """Place the boxes of each row over the middle of what they join below, evenly where that would not separate them."""
    x = np.zeros(len(row))
    for level in range(int(row.max()) + 1):
        boxes = np.flatnonzero(row == level)
        even = (np.arange(len(boxes)) + 0.5) / len(boxes)
        if level == 0:
            x[boxes] = even
            continue
        below: dict[int, list[float]] = {int(at): [] for at in boxes}
        for tail, head in _joined(pairs).tolist():
            for upper, lower in ((tail, head), (head, tail)):
                if upper in below and row[lower] < level:
                    below[upper].append(float(x[lower]))
        middle = np.array([np.mean(below[int(at)]) if below[int(at)] else 0.5 for at in boxes])
        order = np.argsort(np.round(middle, 9), kind="stable")
        apart = np.diff(middle[order]).min(initial=1.0) >= 0.5 / len(boxes)
        x[boxes[order]] = middle[order] if apart else even
    return x


def _lines(pairs: IntArray, nodes: Iterable[tuple[int, ...]], row: IntArray) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    """Join the two directions of a cable, and draw a few parallel cables one by one, many or those of whole boxes as one."""
    sizes = [len(group) for group in nodes]
    bundles: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    for link, (tail, head) in enumerate(pairs.tolist()):
        if tail != head:
            bundle = bundles.setdefault((min(tail, head), max(tail, head)), ([], []))
            bundle[tail > head].append(link)
    single = sum(max(map(len, ways)) for ways in bundles.values()) <= FEW_LINES
    line_of_link = np.full(len(pairs), -1, dtype=np.int64)
    ends: list[tuple[int, int]] = []
    cables: list[int] = []
    bows: list[float] = []
    for (low, high), ways in bundles.items():
        count = max(len(way) for way in ways)
        lines = count if single and count <= MOST_PARALLEL and sizes[low] == sizes[high] == 1 else 1
        for way in ways:
            for i, link in enumerate(way):
                line_of_link[link] = len(ends) + min(i, lines - 1)
        level = 0.25 if row.any() and row[low] == row[high] else 0.0
        for i in range(lines):
            ends.append((low, high))
            cables.append(count if lines == 1 else 1)
            bows.append(level + 0.05 * (i - (lines - 1) / 2))
    return np.array(ends, dtype=np.int64).reshape(-1, 2), np.array(cables, dtype=np.int64), np.array(bows), line_of_link
