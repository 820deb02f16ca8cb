"""Delta(P) of many clusters of one kind at once, in closed form: star, fat tree, leaf-spine and rails, oversubscribed or not.

Learners fill the nodes one after another. Exact, that is equal to the flow level, where no link above the NICs is shared: for
the ring and the hierarchical ring on trees whose leaves have at least as many cables up as a node has NICs (but where the
last node straddles two leaves), and for any collective on one switch. Elsewhere a lower bound, from what a rank's own links,
and a leaf's cables up, have to carry.

A step of a ring waits for its slowest hop; of hops there are three kinds, inside a node, between nodes, and over the top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import CollectiveError
from simulator.network.cluster_network import FabricDelta
from simulator.network.clusters import MOST_HOSTS, ClusterNetwork
from simulator.network.fat_tree_shapes import MOST_TIERS, leaf_ports
from simulator.network.routing import IntArray
from simulator.quantities import ArrayLike, FloatArray, whole

__all__ = ["CLOSED_COLLECTIVES", "CLOSED_TOPOLOGIES", "ClosedDelta", "closed_delta"]

CLOSED_TOPOLOGIES = ("star", "fat_tree", "leaf_spine", "rails")
CLOSED_COLLECTIVES = ("ring", "rd", "rhd_near", "rhd_far", "tree", "hierarchical")

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClosedDelta:
    """Seconds of the fastest all-reduce on each cluster.

    Parameters
    ----------
    time_s : ndarray
        Seconds; NaN where the fabric cannot have so many hosts, or no collective so many learners.
    exact : ndarray of bool
        Whether the flow level takes just as long; a lower bound elsewhere.
    by_collective : mapping of str to ndarray
        Seconds of each collective that was compared; NaN where it cannot have so many learners.
    """

    time_s: FloatArray
    exact: BoolArray
    by_collective: dict[str, FloatArray]


def closed_delta(delta: FabricDelta, nodes: ArrayLike, learners: ArrayLike) -> ClosedDelta:
    """Return the closed form of Delta on clusters that differ in their number of nodes.

    Parameters
    ----------
    delta : FabricDelta
        Network, bytes and collective; its own number of nodes is not looked at. Learners are placed linearly.
    nodes : array_like of int
        Nodes of each cluster, >= 1.
    learners : array_like of int
        Learners of each, >= 1: those of one node or fewer, or whole nodes. Broadcasts with `nodes`.

    Returns
    -------
    ClosedDelta
        Of the broadcast shape; 0 for one learner.

    Raises
    ------
    CollectiveError
        If there is no closed form for this topology, collective or placement.
    """
    network = delta.network
    names = CLOSED_COLLECTIVES if delta.collective == "auto" else (delta.collective,)
    inner_outer = delta.inner == delta.outer == "ring" or "hierarchical" not in names
    if network.kind not in CLOSED_TOPOLOGIES or set(names) - set(CLOSED_COLLECTIVES) or not inner_outer:
        raise CollectiveError(
            f"there is no closed form for {delta.collective} on a {network.kind}: topologies {', '.join(CLOSED_TOPOLOGIES)}; "
            f"collectives {', '.join(CLOSED_COLLECTIVES)} (rings within rings) and auto"
        )
    if delta.placement.kind != "linear":
        raise CollectiveError(f"there is no closed form for placement {delta.placement.kind!r}: it must be linear")
    each, per_node = delta.accelerators_per_learner, network.accelerators_per_node
    if each % per_node and per_node % each:
        raise CollectiveError(
            f"accelerators_per_learner must divide the {per_node} accelerators of a node, or be a multiple of them, got {each}"
        )
    N, P = np.broadcast_arrays(whole("nodes", nodes), whole("learners", learners))
    used = P * each / per_node
    if np.any((used > 1) & (used != np.floor(used))):
        raise ValueError("learners must fill one node or fewer, or whole nodes")
    ways = _Ways.of(delta, N, np.maximum(used, 1.0), P)
    found: dict[str, FloatArray] = {}
    sure: dict[str, BoolArray] = {}
    for name in names:
        time_s, exact = FORMS[name](ways)
        found[name] = np.where(P == 1, 0.0, np.where(ways.fits, time_s, np.nan))[()]
        sure[name] = np.where(P == 1, True, exact)
    times = np.stack([np.where(np.isnan(found[name]), np.inf, found[name]) for name in names])
    best = np.argmin(times, axis=0)
    least = np.take_along_axis(times, best[None], axis=0)[0]
    exact = np.take_along_axis(np.stack([sure[name] for name in names]), best[None], axis=0)[0]
    return ClosedDelta(time_s=np.where(np.isinf(least), np.nan, least)[()], exact=exact, by_collective=found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ways:
    """What messages meet on clusters of one kind: latencies, shares of links, ports.

    Parameters
    ----------
    P, used : ndarray
        Learners, and nodes that they fill (1 where they share one).
    M, each : float, int
        Bytes, accelerators of a learner.
    per_node, nics : int
        Accelerators and NICs of a node.
    in_s, in_b : float
        Latency and bandwidth between two accelerators of a node.
    out_s, out_b : float
        Latency of a message between two nodes on one switch; bandwidth of a NIC.
    tier_s, tier_b : float
        Latency of a tier more; bandwidth of a cable between switches.
    down, up, up_most : float
        Ports of a leaf: down, up at least, and up at most (ports that whole numbers of spines leave over may be cabled too).
    tiers, pod : ndarray
        Tiers of the fabric, and hosts below a switch of the second one.
    rail : bool
        Whether each NIC has a network of its own.
    hashed : bool
        Whether ways are taken by a hash.
    fits : ndarray of bool
        Whether the fabric holds so many.
    """

    P: FloatArray
    used: FloatArray
    M: float
    each: int
    per_node: int
    nics: int
    in_s: float
    in_b: float
    out_s: float
    out_b: float
    tier_s: float
    tier_b: float
    down: float
    up: float
    up_most: float
    tiers: FloatArray
    pod: FloatArray
    rail: bool
    hashed: bool
    fits: BoolArray

    @classmethod
    def of(cls, delta: FabricDelta, N: FloatArray, used: FloatArray, P: FloatArray) -> _Ways:
        """Describe the clusters."""
        network: ClusterNetwork = delta.network
        per_node, over = network.accelerators_per_node, delta.message_overhead_s
        nics = network.nics_used
        inner = network.inner_link
        in_s = 2.0 * inner.latency_s if inner is not None and per_node > 1 else 0.0
        in_b = inner.bandwidth_bytes_per_s if inner is not None and per_node > 1 else np.inf
        rail = network.kind == "rails"
        E = N * (1 if rail else nics)
        down, up, up_most, tiers, pod = _shape(network, E)
        return cls(
            P=P,
            used=used,
            M=delta.gradient_bytes,
            each=delta.accelerators_per_learner,
            per_node=per_node,
            nics=nics,
            in_s=in_s + over,
            in_b=in_b,
            out_s=in_s + 2.0 * network.host_link.latency_s + over,
            out_b=network.host_link.bandwidth_bytes_per_s,
            tier_s=2.0 * network.upper_link.latency_s,
            tier_b=network.upper_link.bandwidth_bytes_per_s,
            down=down,
            up=up,
            up_most=up_most,
            tiers=tiers,
            pod=pod,
            rail=rail,
            hashed=network.hashed,
            fits=~np.isnan(tiers)
            & (used <= N)
            & (N * per_node <= MOST_HOSTS)
            & (P * delta.accelerators_per_learner <= N * per_node),
        )

    @property
    def hosts_per_node(self) -> int:
        """Hosts of one tree that a node has: its NICs, or one on each rail."""
        return 1 if self.rail else self.nics

    @property
    def flows_per_nic(self) -> float:
        """Messages on a NIC where all accelerators of a node send to other nodes."""
        return float(-(-self.per_node // self.nics))

    @property
    def top(self) -> FloatArray:
        """Tiers that the longest ways climb: over all nodes used where they are more than those of a learner, 1 on one switch.

        A message between nodes keeps to NICs of one number, so nodes that straddle leaves need no way over the top themselves.
        """
        last, own = self.used * self.hosts_per_node - 1.0, self.hosts_per_node - 1.0
        if self.each > self.per_node:
            own = 0.0
        climbed = 1.0 + (np.floor(last / self.down) > np.floor(own / self.down))
        tiers: FloatArray = np.minimum(climbed + (np.floor(last / self.pod) > np.floor(own / self.pod)), self.tiers)
        return tiers

    def turn(self, nodes_apart: float) -> FloatArray:
        """Tiers between rank 0, on the first NIC of node 0, and the rank in its place so many nodes on."""
        host = nodes_apart * self.hosts_per_node
        tiers: FloatArray = np.minimum(1.0 + (np.floor(host / self.down) > 0) + (np.floor(host / self.pod) > 0), self.tiers)
        return tiers

    def latency_s(self, turn: FloatArray) -> FloatArray:
        """Latency between nodes whose ways climb so many tiers."""
        return self.out_s + self.tier_s * (turn - 1.0)

    def rate(self, turn: FloatArray, per_nic: float, per_cable: FloatArray | float = 1.0) -> FloatArray:
        """Bandwidth of a message between nodes: so many on a NIC, NICs' worth of so many on a cable up."""
        over_the_top = np.where(turn > 1, self.tier_b / (per_nic * per_cable), np.inf)
        return np.minimum(min(self.in_b, self.out_b / per_nic), over_the_top)


def _shape(network: ClusterNetwork, E: FloatArray) -> tuple[float, float, float, FloatArray, FloatArray]:
    """Return the ports of a leaf, tiers and hosts of a pod of trees with E hosts; NaN tiers where they do not fit."""
    if network.kind == "star" or network.radix is None:
        return np.inf, np.inf, np.inf, np.ones(E.shape), np.full(E.shape, np.inf)
    radix = network.radix
    down, up = leaf_ports(radix, network.oversubscription)
    half = radix // 2
    fewest = np.searchsorted([radix, down * radix, down * half * radix], E) + 1.0
    tiers = np.where(fewest > MOST_TIERS, np.nan, fewest)
    if network.kind == "leaf_spine":
        tiers = np.where(fewest > 2, np.nan, 2.0)
    leaves = np.ceil(E / down)
    pods = np.ceil(leaves / max(half, 1))
    pod = np.where(tiers == 3, down * np.ceil(leaves / pods), np.inf)
    return float(down), float(up), float(radix - down), tiers, pod


Form = Callable[[_Ways], tuple[FloatArray, BoolArray]]


def _crossing(ways: _Ways, nics: int, spread: int) -> tuple[FloatArray, BoolArray]:
    """Return the NICs at least that share a leaf's busiest cable up in a ring, and whether it is certainly one.

    `nics` of each node send `spread` nodes on. Messages out of a leaf go to neighbouring hosts, which take different cables: as
    many on the busiest as the whole number allows. A last node that straddles two leaves, or learners of several nodes, spoil
    that where the ring closes.
    """
    if spread == 1:
        sending = min(nics, ways.hosts_per_node, ways.down)
        load = max(1.0, float(np.ceil(sending / ways.up_most)))
        first, last = (ways.used - 1.0) * ways.hosts_per_node, ways.used * ways.hosts_per_node - 1.0
        straddles = np.floor(first / ways.down) < np.floor(last / ways.down)
        if 1 < sending < ways.hosts_per_node and np.isfinite(ways.down):  # then any node that straddles spoils it
            straddles = straddles | (ways.down % ways.hosts_per_node != 0)
        return np.full(ways.P.shape, load), ~straddles & (sending <= ways.up and not ways.hashed)
    hosts = spread * ways.hosts_per_node
    whole_leaf = ways.used * ways.hosts_per_node >= ways.down + hosts
    return np.where(whole_leaf, max(1.0, min(hosts, ways.down) / ways.up_most), 1.0), np.zeros(ways.P.shape, dtype=np.bool_)


def _ring(ways: _Ways) -> tuple[FloatArray, BoolArray]:
    """2 (P - 1) steps of the slowest hop, M/P each."""
    P, piece = ways.P, ways.M / ways.P
    spread = max(1, ways.each // ways.per_node)  # nodes of a learner
    inside = ways.in_s + piece / ways.in_b
    sends = min(ways.each, ways.per_node)  # accelerators of a node that send to another
    per_nic = float(-(-sends // ways.nics))
    turn = ways.top
    load, free = _crossing(ways, sends, spread)
    across = ways.latency_s(turn) + piece / ways.rate(turn, per_nic, load)
    hops_inside = ways.each < ways.per_node
    slowest = np.where(ways.used > 1, np.maximum(across, inside if hops_inside else 0.0), inside)
    exact = (turn == 1) | (ways.used == 1) | free
    return 2.0 * (P - 1.0) * slowest, exact


def _hierarchical(ways: _Ways) -> tuple[FloatArray, BoolArray]:
    """A ring inside the nodes, rings across them of learners of one place, M/g each, and the first one's second half."""
    g = np.minimum(float(ways.per_node // ways.each), ways.P)
    if ways.per_node // ways.each < 2:
        return np.full(ways.P.shape, np.nan), np.zeros(ways.P.shape, dtype=np.bool_)
    N = ways.P / g
    turn = ways.top
    load, free = _crossing(ways, ways.nics, 1)
    inside = 2.0 * (g - 1.0) * (ways.in_s + ways.M / g / ways.in_b)
    piece = ways.M / (g * N)
    across = 2.0 * (N - 1.0) * (ways.latency_s(turn) + piece / ways.rate(turn, ways.flows_per_nic, load))
    exact = (turn == 1) | (ways.used == 1) | free
    return inside + np.where(N > 1, across, 0.0), exact


def _exchanges(
    ways: _Ways, sizes: Callable[[int, IntArray], FloatArray | float], *, both_ways: bool, in_the_middle: bool
) -> tuple[FloatArray, BoolArray]:
    """Recursive doubling and halving-doubling: what rank 0 needs for its partners, and a leaf's cables for all that crosses.

    `sizes(step, rounds)` is the share of M that is exchanged at distance 2^step. Where the farthest exchanges are together, in
    the middle or at the end, what crosses a leaf starts after the nearer ones before and ends before those after.
    """
    P = ways.P
    rounds = np.round(np.log2(P)).astype(np.int64)
    power = (2.0**rounds == P) & (P > 1)
    one = replace(ways, **{name: getattr(ways, name)[power] for name in ("P", "used", "tiers", "pod", "fits")})
    steps = rounds[power]
    spent, crossing, climbing = np.zeros(steps.shape), np.zeros(steps.shape), np.zeros(steps.shape)
    times = 2.0 if both_ways else 1.0
    for k in range(int(steps.max(initial=0))):
        there = times * (steps > k)
        size = sizes(k, steps) * ways.M
        apart = 2.0**k * ways.each / ways.per_node
        if apart < 1:
            step = one.in_s + size / one.in_b + np.zeros(steps.shape)
        else:
            turn = one.turn(apart)
            step = one.latency_s(turn) + size / one.rate(turn, one.flows_per_nic)
            hosts = apart * one.hosts_per_node
            inside_leaf = np.maximum(np.minimum(one.down, one.used * one.hosts_per_node - hosts), 0.0)
            crossed = np.where((turn > 1) & (hosts >= one.down), inside_leaf, 0.0)
            crossing += there * size * one.flows_per_nic * crossed / (one.up_most * one.tier_b)
            climbing += there * np.where(crossed > 0, step, 0.0)
        spent += there * step
    longest = spent - climbing + np.maximum(climbing, crossing) if in_the_middle else np.maximum(spent, crossing)
    time_s = np.full(P.shape, np.nan)
    time_s[power] = longest
    exact = ((ways.top == 1) | (ways.used == 1)) & (ways.per_node % ways.nics == 0)
    return time_s, exact


def _recursive_doubling(ways: _Ways) -> tuple[FloatArray, BoolArray]:
    return _exchanges(ways, lambda k, rounds: 1.0, both_ways=False, in_the_middle=True)


def _near_first(ways: _Ways) -> tuple[FloatArray, BoolArray]:
    return _exchanges(ways, lambda k, rounds: 0.5 ** (k + 1), both_ways=True, in_the_middle=True)


def _far_first(ways: _Ways) -> tuple[FloatArray, BoolArray]:
    return _exchanges(ways, lambda k, rounds: np.exp2(-1.0 * (rounds - k)), both_ways=True, in_the_middle=False)


def _tree(ways: _Ways) -> tuple[FloatArray, BoolArray]:
    """Binomial tree: what rank 0 receives, one message after another where P is a power of two, and sends again."""
    P = ways.P
    rounds = np.ceil(np.log2(np.maximum(P, 1.0)) - 1e-12).astype(np.int64)
    power = 2.0**rounds == P
    in_turn, chain_s, inner_bytes_s, outer_bytes_s = (np.zeros(P.shape) for _ in range(4))
    sends = min(ways.each, ways.per_node)
    per_nic = float(-(-sends // ways.nics))
    for k in range(int(rounds.max(initial=0))):
        there = rounds > k
        apart = 2.0**k * ways.each / ways.per_node
        if apart < 1:
            message_s = ways.in_s + ways.M / ways.in_b + np.zeros(P.shape)
        else:
            turn = ways.turn(apart)
            message_s = ways.latency_s(turn) + ways.M / ways.rate(turn, per_nic)
            outer_bytes_s = outer_bytes_s + np.where(there, ways.M * per_nic / ways.out_b, 0.0)
        in_turn = in_turn + np.where(there, message_s, 0.0)
        chain_s = chain_s + np.where(rounds > k + 1, message_s, 0.0)  # rank 2^(rounds-1) - 1 is there in any case
        inner_bytes_s = inner_bytes_s + np.where(there, ways.M / ways.in_b, 0.0)
    least = np.where(power, in_turn, np.maximum(chain_s, np.maximum(inner_bytes_s, outer_bytes_s)))
    exact = power & ((ways.top == 1) | (ways.used == 1)) & (ways.each == 1)
    return 2.0 * least, exact


FORMS: dict[str, Form] = {
    "ring": _ring,
    "rd": _recursive_doubling,
    "rhd_near": _near_first,
    "rhd_far": _far_first,
    "tree": _tree,
    "hierarchical": _hierarchical,
}
