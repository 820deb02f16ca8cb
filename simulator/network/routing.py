"""Routes: which links a message takes from host to host, for many pairs at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TopologyError

__all__ = ["IntArray", "ListedRoutes", "Routes", "Routing", "ShortestPaths", "StarRouting", "XgftRouting"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The routes of some pairs of hosts, in compressed rows.

    Parameters
    ----------
    first : ndarray of int64, one more than there are pairs
        Route i is ``link[first[i]:first[i + 1]]``.
    link : ndarray of int32
        Links in the order in which a message takes them.
    """

    first: IntArray
    link: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def hops(self) -> IntArray:
        """Number of links of each route."""
        return np.diff(self.first)


class Routing(Protocol):
    """What finds routes: one way for each pair of hosts."""

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Return the routes of the pairs; hosts are numbers that exist."""


def _filled(hops: IntArray) -> tuple[IntArray, NDArray[np.int32]]:
    first = np.zeros(len(hops) + 1, dtype=np.int64)
    np.cumsum(hops, out=first[1:])
    return first, np.empty(int(first[-1]), dtype=np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class StarRouting:
    """Every host has link i up to one switch and link hosts + i down from it.

    Parameters
    ----------
    hosts : int
        Number of hosts.
    """

    hosts: int

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Up, then down; nothing within a host."""
        away = source != destination
        first, link = _filled(np.where(away, 2, 0))
        link[0::2], link[1::2] = source[away], self.hosts + destination[away]
        return Routes(first=first, link=link)


@dataclass(frozen=True, slots=True, kw_only=True)
class XgftRouting:
    """D-mod-K on an extended generalised fat tree: the way up depends on the destination alone, the way down is the only one.

    A node of level l is named by the host number divided by the hosts below it, and by the parents chosen on the way,
    b_1..b_l; towards destination d the parent taken from level l is number ``(d // (w_1 .. w_l)) % w_(l+1)``.

    Parameters
    ----------
    down, up : tuple of int
        m_1..m_h, children of a switch by level; w_1..w_h, parents of a node by level.
    first_link : tuple of int
        Number of the first link of each stage (stage l joins levels l and l+1): its up links, then as many down links.
    """

    down: tuple[int, ...]
    up: tuple[int, ...]
    first_link: tuple[int, ...]

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Up to the first common ancestor, then down."""
        height = len(self.down)
        below = np.concatenate([[1], np.cumprod(self.down)])
        turn = np.zeros(len(source), dtype=np.int64)  # level of the first common ancestor
        for level in range(height):
            turn[source // below[level] != destination // below[level]] = level + 1
        first, link = _filled(2 * turn)
        chosen = np.zeros(len(source), dtype=np.int64)  # b_1..b_l as one number
        width = 1
        hosts = int(below[-1])
        for level in range(height):
            climbs = np.flatnonzero(turn > level)
            if len(climbs) == 0:
                break
            parent = (destination[climbs] // width) % self.up[level]
            cables = hosts // int(below[level]) * width * self.up[level]
            for ends, at, offset in (
                (source, first[climbs] + level, 0),
                (destination, first[climbs + 1] - 1 - level, cables),
            ):
                node = ends[climbs] // below[level] * width + chosen[climbs]
                link[at] = self.first_link[level] + offset + node * self.up[level] + parent
            chosen[climbs] = chosen[climbs] * self.up[level] + parent
            width *= self.up[level]
        return Routes(first=first, link=link)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRoutes:
    """Routes that are given one by one.

    Parameters
    ----------
    listed : mapping of (int, int) to tuple of int
        Links of each pair of hosts that has a route.
    """

    listed: Mapping[tuple[int, int], tuple[int, ...]]

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Look the pairs up; TopologyError where a pair has no route."""
        pairs = list(zip(source.tolist(), destination.tolist(), strict=True))
        missing = sorted({pair for pair in pairs if pair[0] != pair[1] and pair not in self.listed})
        if missing:
            raise TopologyError(unreachable(missing))
        rows = [self.listed.get(pair, ()) for pair in pairs]
        first, link = _filled(np.array([len(row) for row in rows], dtype=np.int64))
        link[:] = [hop for row in rows for hop in row]
        return Routes(first=first, link=link)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortestPaths:
    """Fewest links, ties broken in the same way on every machine.

    Parameters
    ----------
    host_node : tuple of int
        Node of each host.
    leaving : tuple of tuple of (int, int)
        For each node its links out, (link, node at the other end), in order: the first of equals is taken.
    seed : int or None
        None takes the first of equals; a number picks one by a hash of (source, destination, seed).
    """

    host_node: tuple[int, ...]
    leaving: tuple[tuple[tuple[int, int], ...], ...]
    seed: int | None = None

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Search backwards from each destination; TopologyError where a pair has no way."""
        rows: list[tuple[int, ...]] = [()] * len(source)
        missing: list[tuple[int, int]] = []
        entering: list[list[int]] = [[] for _ in self.leaving]
        for node, links in enumerate(self.leaving):
            for _, other in links:
                entering[other].append(node)
        order = np.argsort(destination, kind="stable")
        known: dict[tuple[int, int], tuple[int, ...]] = {}
        distance: list[int] = []
        last = -1
        for i in order.tolist():
            pair = (int(source[i]), int(destination[i]))
            if pair[1] != last:
                last, known = pair[1], {}
                distance = self._distances(self.host_node[last], entering)
            if pair not in known:
                if distance[self.host_node[pair[0]]] < 0:
                    missing.append(pair)
                known[pair] = self._way(pair, distance)
            rows[i] = known[pair]
        if missing:
            raise TopologyError(unreachable(sorted(set(missing))))
        first, link = _filled(np.array([len(row) for row in rows], dtype=np.int64))
        link[:] = [hop for row in rows for hop in row]
        return Routes(first=first, link=link)

    @staticmethod
    def _distances(target: int, entering: list[list[int]]) -> list[int]:
        distance = [-1] * len(entering)
        distance[target] = 0
        wave = [target]
        while wave:
            following = []
            for node in wave:
                for other in entering[node]:
                    if distance[other] < 0:
                        distance[other] = distance[node] + 1
                        following.append(other)
            wave = following
        return distance

    def _way(self, pair: tuple[int, int], distance: list[int]) -> tuple[int, ...]:
        node = self.host_node[pair[0]]
        way: list[int] = []
        while distance[node] > 0:
            equals = [(link, other) for link, other in self.leaving[node] if distance[other] == distance[node] - 1]
            pick = 0 if self.seed is None else _hash(pair[0], pair[1], self.seed, len(way)) % len(equals)
            link, node = equals[pick]
            way.append(link)
        return tuple(way)


def _hash(*words: int) -> int:
    """Return a hash of whole numbers that is the same everywhere (splitmix64's finaliser over the words)."""
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return state


def unreachable(pairs: list[tuple[int, int]]) -> str:
    """Say which pairs of hosts have no route."""
    named = ", ".join(f"{source} to {destination}" for source, destination in pairs[:5])
    more = f" and {len(pairs) - 5} more pairs" if len(pairs) > 5 else ""
    return f"hosts must be reachable, no route from {named}{more}"
