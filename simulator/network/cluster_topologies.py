"""The networks that clusters are built with: ring, leaf-spine, fat trees for a wanted number of hosts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.network.fat_tree_shapes import fat_tree_shape
from simulator.network.links import Link
from simulator.network.routing import IntArray, Routes
from simulator.network.topologies import Topology
from simulator.network.trunked_trees import LinkNames, Ways, trunked_tree
from simulator.quantities import whole

__all__ = ["RingRouting", "fat_tree", "leaf_spine", "ring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RingRouting:
    """The shorter way round; upwards where both are equally long.

    Parameters
    ----------
    hosts : int
        Number of hosts: link i leads from host i to host i + 1, link hosts + i back (two hosts have link 0 and 1 alone).
    """

    hosts: int

    def routes(self, source: IntArray, destination: IntArray) -> Routes:
        """Return the routes of the pairs."""
        onward = (destination - source) % self.hosts
        back = (source - destination) % self.hosts
        upwards = onward <= back
        first = np.zeros(len(source) + 1, dtype=np.int64)
        np.cumsum(np.minimum(onward, back), out=first[1:])
        pair = np.repeat(np.arange(len(source)), np.diff(first))
        step = np.arange(int(first[-1])) - first[pair]
        up, down = (source[pair] + step) % self.hosts, (source[pair] - step - 1) % self.hosts
        return Routes(first=first, link=np.where(upwards[pair], up, self.hosts + down).astype(np.int32))


def ring(hosts: int, *, link: Link) -> Topology:
    """Hosts in a cycle, a cable to either neighbour; messages pass through the hosts between.

    Parameters
    ----------
    hosts : int
        Number of hosts, >= 1. Two have one cable.
    link : Link
        Of each direction of each cable.

    Examples
    --------
    >>> cycle = ring(5, link=Link(bandwidth_bytes_per_s=1e9))
    >>> [cycle.names[i] for i in cycle.route(1, 4)]
    ['host 1 -> host 0', 'host 0 -> host 4']
    """
    hosts = int(whole("hosts", hosts))
    i = np.arange(hosts, dtype=np.int64)
    onward = np.stack([i, (i + 1) % hosts], axis=1)
    ends = np.concatenate([onward, onward[:, ::-1]])[: {1: 0, 2: 2}.get(hosts, 2 * hosts)]
    nodes = tuple(f"host {number}" for number in range(hosts))
    return Topology(
        name=f"ring of {hosts} hosts",
        hosts=hosts,
        bandwidth_bytes_per_s=np.full(len(ends), float(link.bandwidth_bytes_per_s)),
        latency_s=np.full(len(ends), float(link.latency_s)),
        names=LinkNames(ends, nodes),
        ends=ends,
        nodes=nodes,
        routing=RingRouting(hosts=hosts),
    )


def leaf_spine(
    hosts: int,
    *,
    hosts_per_leaf: int,
    spines: int,
    host_link: Link,
    upper_link: Link,
    trunk: int = 1,
    ways: Ways = "d_mod_k",
    seed: int = 0,
) -> Topology:
    """Leaves with hosts, each joined to every spine by `trunk` cables.

    Parameters
    ----------
    hosts, hosts_per_leaf : int
        Number of hosts, and how many fill a leaf; leaves are filled one after another. >= 1.
    spines, trunk : int
        Number of spines, and cables from each leaf to each spine. >= 1.
    host_link, upper_link : Link
        Between hosts and leaves, between leaves and spines (one cable).
    ways, seed : optional
        Which of the equally short ways a message takes.

    Examples
    --------
    >>> link = Link(bandwidth_bytes_per_s=1e9)
    >>> fabric = leaf_spine(64, hosts_per_leaf=16, spines=2, trunk=4, host_link=link, upper_link=link)
    >>> fabric.links // 2, len(fabric.route(0, 15)), len(fabric.route(0, 16))  # 64 + 4 * 2 * 4 cables
    (96, 2, 4)
    """
    for label, value in (("hosts", hosts), ("hosts_per_leaf", hosts_per_leaf), ("spines", spines), ("trunk", trunk)):
        whole(label, value)
    leaves = -(-int(hosts) // int(hosts_per_leaf))
    cables = f", {trunk} cables to each" if trunk > 1 else ""
    return trunked_tree(
        [hosts_per_leaf, leaves],
        [1, spines],
        [1, trunk],
        host_link=host_link,
        upper_link=upper_link,
        hosts=hosts,
        ways=ways,
        seed=seed,
        name=f"leaf-spine of {hosts} hosts, {leaves} leaves, {spines} spines{cables}",
    )


def fat_tree(
    hosts: int,
    *,
    radix: int,
    host_link: Link,
    upper_link: Link | None = None,
    oversubscription: float = 1.0,
    tiers: int | None = None,
    ways: Ways = "d_mod_k",
    seed: int = 0,
) -> Topology:
    """Fat tree for a wanted number of hosts from switches with `radix` ports; `fat_tree_shape` counts its parts.

    Parameters
    ----------
    hosts, radix, oversubscription, tiers
        As for `fat_tree_shape`.
    host_link, upper_link : Link
        Between hosts and leaves, and above; the latter like the former where it is left out.
    ways, seed : optional
        Which of the equally short ways a message takes.

    Examples
    --------
    >>> tree = fat_tree(100, radix=16, host_link=Link(bandwidth_bytes_per_s=1e9))
    >>> tree.name, tree.hosts
    ('fat tree of 100 hosts, 13 leaves, 8 spines', 100)
    """
    shape = fat_tree_shape(hosts, radix, oversubscription=oversubscription, tiers=tiers)
    words = ("leaves", "spines", "cores") if shape.tiers > 1 else ("switch",)
    counted = ", ".join(f"{count} {word}" for count, word in zip(shape.switches, words, strict=False))
    return trunked_tree(
        shape.down,
        shape.up,
        shape.trunks,
        host_link=host_link,
        upper_link=upper_link or host_link,
        hosts=shape.hosts,
        ways=ways,
        seed=seed,
        name=f"fat tree of {hosts} hosts, {counted}" + (f", {oversubscription:g} : 1" if oversubscription > 1 else ""),
    )
