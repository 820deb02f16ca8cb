"""Trees whose switches may be joined by several cables, filled from the left: routes and construction.

A parallel-ports generalised fat tree (PGFT) [1]_ is an XGFT with p_l cables for each pair of a level-l node and its parent.

References
----------
.. [1] E. Zahavi, "D-Mod-K routing providing non-blocking traffic for shift permutations on real life fat trees",
   CCIT Report 776, Technion, 2010.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simulator.errors import TopologyError
from simulator.network.links import Link
from simulator.network.routing import IntArray, Routes
from simulator.network.topologies import Topology, xgft
from simulator.quantities import whole

__all__ = ["LinkNames", "TrunkedTreeRouting", "Ways", "hashed", "trunked_tree"]

Ways = Literal["d_mod_k", "shortest_path", "hashed"]
"""Which of the equally short ways: by the destination, always the first, or by a hash of (source, destination, seed)."""
TIER_WORDS = ("host", "leaf", "spine", "core")


def hashed(source: IntArray, destination: IntArray, seed: int, word: int) -> IntArray:
    """Return a hash from 0 to 2^63 - 1 of each pair, the same on every machine: splitmix64 [1]_ over the four words.

    References
    ----------
    .. [1] G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    state = np.zeros(len(source), dtype=np.uint64)
    for part in (source, destination, np.full(len(source), seed % 2**64, dtype=np.uint64), np.full(len(source), word)):
        state = state + part.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(1)).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkedTreeRouting:
    """Up to the first common ancestor, then down; the choice of parent and cable is `ways`.

    A node of level l is named by the host number divided by the hosts below it and by the parents b_1..b_l chosen on the way.
    By "d_mod_k" a message to d takes, from level l, port ``(d // (w_1 .. w_l)) % (w_(l+1) p_(l+1))``; port q is cable
    ``q // w_(l+1)`` to parent ``q % w_(l+1)``, and the way down takes the cable that the port of the way up names.

    Parameters
    ----------
    down, up, trunks : tuple of int
        m_1..m_h, children of a switch; w_1..w_h, parents of a node; p_1..p_h, cables to each parent.
    first_link, cables : tuple of int
        For each stage, the number of its first link and of its up links; as many down links follow.
    ways : {"d_mod_k", "shortest_path", "hashed"}
        How equals are told apart.
    seed : int
        Of the hash.
    """

    down: tuple[int, ...]
    up: tuple[int, ...]
    trunks: tuple[int, ...]
    first_link: tuple[int, ...]
    cables: tuple[int, ...]
    ways: Ways = "d_mod_k"
    seed: int = 0

    def _ports(self, source: IntArray, destination: IntArray, level: int, width: int) -> tuple[IntArray, IntArray, IntArray]:
        """Return the parent, the cable up to it and the cable down from it to the destination's side."""
        parents, trunk = self.up[level], self.trunks[level]
        if self.ways == "d_mod_k":
            port = (destination // width) % (parents * trunk)
            return port % parents, port // parents, port // parents
        if self.ways == "shortest_path":
            zero = np.zeros(len(source), dtype=np.int64)
            return zero, zero, zero
        port = hashed(source, destination, self.seed, 2 * level) % (parents * trunk)
        return port % parents, port // parents, hashed(source, destination, self.seed, 2 * level + 1) % trunk

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Return the routes of the pairs."""
        height = len(self.down)
        below = [math.prod(self.down[:level]) for level in range(height + 1)]
        turn = np.zeros(len(source), dtype=np.int64)  # level of the first common ancestor
        for level in range(height):
            turn[source // below[level] != destination // below[level]] = level + 1
        first = np.zeros(len(source) + 1, dtype=np.int64)
        np.cumsum(2 * turn, out=first[1:])
        link = np.empty(int(first[-1]), dtype=np.int32)
        chosen = np.zeros(len(source), dtype=np.int64)  # b_1..b_l as one number
        width = 1
        for level in range(height):
            climbs = np.flatnonzero(turn > level)
            if len(climbs) == 0:
                break
            parent, cable_up, cable_down = self._ports(source[climbs], destination[climbs], level, width)
            for ends, at, cable, offset in (
                (source, first[climbs] + level, cable_up, 0),
                (destination, first[climbs + 1] - 1 - level, cable_down, self.cables[level]),
            ):
                node = ends[climbs] // below[level] * width + chosen[climbs]
                link[at] = self.first_link[level] + offset + (node * self.up[level] + parent) * self.trunks[level] + cable
            chosen[climbs] = chosen[climbs] * self.up[level] + parent
            width *= self.up[level]
        return Routes(first=first, link=link)


class LinkNames(Sequence[str]):
    """Tail and head of each link, with the number of the cable where there are several; made when asked for."""

    __slots__ = ("_cable", "_ends", "_nodes")

    def __init__(self, ends: IntArray, nodes: Sequence[str], cable: IntArray | None = None) -> None:
        self._ends, self._nodes, self._cable = ends, nodes, cable

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, at: Any) -> Any:
        tail, head = self._ends[int(at)].tolist()
        number = "" if self._cable is None or self._cable[int(at)] < 0 else f" cable {int(self._cable[int(at)])}"
        return f"{self._nodes[tail]} -> {self._nodes[head]}{number}"


def tier_names(counts: Sequence[int]) -> tuple[str, ...]:
    """Names of nodes counted from the hosts upwards: host 0.., leaf 0.., spine 0.., core 0.."""
    words = [*TIER_WORDS, *(f"tier-{level} switch" for level in range(len(TIER_WORDS), len(counts)))]
    if len(counts) == 2:
        words[1] = "switch"
    return tuple(f"{word} {number}" for word, count in zip(words, counts, strict=False) for number in range(count))


def trunked_tree(
    down: Sequence[int],
    up: Sequence[int],
    trunks: Sequence[int],
    *,
    host_link: Link,
    upper_link: Link | Sequence[Link] | None = None,
    hosts: int | None = None,
    ways: Ways = "d_mod_k",
    seed: int = 0,
    name: str | None = None,
) -> Topology:
    """Build a tree with parallel cables; where all are single and no host is missing it is the XGFT.

    Parameters
    ----------
    down, up, trunks : sequence of int
        Children of a switch of level 1..h; parents of a node of level 0..h-1; cables to each parent. >= 1, equally many.
    host_link : Link
        Between hosts and level 1.
    upper_link : Link or sequence of Link
        Above, one for all or one for each stage from below. May be left out for a single level.
    hosts : int, optional
        The first so many hosts exist, with the switches above them; all by default.
    ways, seed : optional
        Which of the equally short ways a message takes; the seed of "hashed", >= 0.
    name : str, optional
        What it is, in words.

    Examples
    --------
    Two leaves of four hosts, each with two cables to either of two spines:

    >>> link = Link(bandwidth_bytes_per_s=1e9)
    >>> tree = trunked_tree([4, 2], [1, 2], [1, 2], host_link=link, upper_link=link)
    >>> [tree.names[link] for link in tree.route(0, 7)]
    ['host 0 -> leaf 0', 'leaf 0 -> spine 1 cable 1', 'spine 1 -> leaf 1 cable 1', 'leaf 1 -> host 7']
    """
    for label, values in (("down", down), ("up", up), ("trunks", trunks)):
        whole(label, np.asarray(values))
    if not len(down) == len(up) == len(trunks) or not down:
        raise ValueError(f"down, up and trunks must have the same length, >= 1, got {len(down)}, {len(up)} and {len(trunks)}")
    whole("seed", seed, lowest=0)
    if ways not in ("d_mod_k", "shortest_path", "hashed"):
        raise ValueError(f"ways must be one of d_mod_k, shortest_path, hashed, got {ways!r}")
    down, up, trunks = tuple(map(int, down)), tuple(map(int, up)), tuple(map(int, trunks))
    height, full = len(down), math.prod(down)
    links = [host_link, *_by_stage(upper_link, height)]
    hosts = full if hosts is None else int(whole("hosts", hosts))
    if hosts > full:
        raise TopologyError(f"hosts must be at most {full}, what down {' '.join(map(str, down))} holds, got {hosts}")
    below = [math.prod(down[:level]) for level in range(height + 1)]
    widths = [math.prod(up[:level]) for level in range(height + 1)]
    counts = [-(-hosts // below[level]) * widths[level] for level in range(height + 1)]
    first_node = [0, *np.cumsum(counts).tolist()]
    ends: list[IntArray] = []
    number: list[IntArray] = []
    first_link, cables = [], []
    for level in range(height):
        each = up[level] * trunks[level]
        cables.append(counts[level] * each)
        first_link.append(sum(len(part) for part in ends))
        node, port = np.divmod(np.arange(cables[level], dtype=np.int64), each)
        parent, cable = np.divmod(port, trunks[level])
        group, chosen = np.divmod(node, widths[level])
        head = (group // down[level]) * widths[level + 1] + chosen * up[level] + parent
        pair = np.stack([first_node[level] + node, first_node[level + 1] + head], axis=1)
        ends += [pair, pair[:, ::-1]]
        number += [cable if trunks[level] > 1 else np.full(len(cable), -1)] * 2
    joined, nodes = np.concatenate(ends), tier_names(counts)
    called = name or f"tree down {' '.join(map(str, down))}, up {' '.join(map(str, up))}, cables {' '.join(map(str, trunks))}"
    names = LinkNames(joined, nodes, np.concatenate(number))
    if ways == "d_mod_k" and hosts == full and set(trunks) == {1}:
        plain = xgft(
            down,
            up,
            host_bandwidth_bytes_per_s=host_link.bandwidth_bytes_per_s,
            upper_bandwidth_bytes_per_s=[link.bandwidth_bytes_per_s for link in links[1:]],
            host_latency_s=host_link.latency_s,
            upper_latency_s=[link.latency_s for link in links[1:]],
        )
        return dataclasses.replace(plain, name=called, names=names, nodes=nodes)
    per_stage = [2 * count for count in cables]
    return Topology(
        name=called,
        hosts=hosts,
        bandwidth_bytes_per_s=np.repeat([float(link.bandwidth_bytes_per_s) for link in links], per_stage),
        latency_s=np.repeat([float(link.latency_s) for link in links], per_stage),
        names=names,
        ends=joined,
        nodes=nodes,
        routing=TrunkedTreeRouting(
            down=down,
            up=up,
            trunks=trunks,
            first_link=tuple(first_link),
            cables=tuple(cables),
            ways=ways,
            seed=int(seed),
        ),
    )


def _by_stage(upper_link: Link | Sequence[Link] | None, height: int) -> list[Link]:
    if isinstance(upper_link, Link):
        return [upper_link] * (height - 1)
    given = list(upper_link or ())
    if len(given) != height - 1:
        raise ValueError(f"upper_link must be one link, or {height - 1}, one for each stage above the hosts', got {len(given)}")
    return given
