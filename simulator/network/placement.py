"""Placement: on which host each rank sits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.errors import TopologyError
from simulator.network.routing import IntArray
from simulator.quantities import whole

__all__ = ["by_node", "linear", "listed", "random", "strided"]


def _fits(ranks: int, hosts: int) -> tuple[int, int]:
    ranks, hosts = int(whole("ranks", ranks)), int(whole("hosts", hosts))
    if ranks > hosts:
        raise TopologyError(f"ranks must be at most the hosts, {hosts}, got {ranks}")
    return ranks, hosts


def linear(ranks: int, hosts: int) -> IntArray:
    """Rank r on host r.

    Examples
    --------
    >>> linear(3, 8)
    array([0, 1, 2])
    """
    return np.arange(_fits(ranks, hosts)[0], dtype=np.int64)


def strided(ranks: int, hosts: int, *, stride: int) -> IntArray:
    """Rank r on host ``r * stride % hosts``.

    Raises
    ------
    TopologyError
        If that comes back to a host before every rank has one.

    Examples
    --------
    >>> strided(4, 16, stride=5)
    array([ 0,  5, 10, 15])
    """
    ranks, hosts = _fits(ranks, hosts)
    stride = int(whole("stride", stride))
    distinct = hosts // int(np.gcd(stride, hosts))
    if ranks > distinct:
        raise TopologyError(
            f"stride must reach {ranks} of {hosts} hosts before it repeats one, got {stride}, which reaches {distinct}"
        )
    return np.arange(ranks, dtype=np.int64) * (stride % hosts) % hosts


def random(ranks: int, hosts: int, *, rng: np.random.Generator) -> IntArray:
    """Ranks on distinct hosts, all orders equally likely; fewer ranks take the first of the same order of hosts."""
    ranks, hosts = _fits(ranks, hosts)
    return rng.permutation(hosts)[:ranks].astype(np.int64)


def by_node(ranks: int, hosts: int, *, hosts_per_node: int) -> IntArray:
    """Ranks round robin over the nodes: one on each node, then a second on each. The last node may be smaller.

    Examples
    --------
    >>> by_node(5, 8, hosts_per_node=4)
    array([0, 4, 1, 5, 2])
    """
    ranks, hosts = _fits(ranks, hosts)
    per_node = int(whole("hosts_per_node", hosts_per_node))
    host = np.arange(hosts, dtype=np.int64)
    return np.lexsort((host // per_node, host % per_node))[:ranks].astype(np.int64)


def listed(ranks: int, hosts: int, *, places: Sequence[int]) -> IntArray:
    """Rank r on host ``places[r]``; further places stay empty.

    Raises
    ------
    TopologyError
        If places are too few, repeated, or not hosts.
    """
    ranks, hosts = _fits(ranks, hosts)
    whole("places", np.asarray(places), lowest=0)
    found = np.asarray(places, dtype=np.int64)
    if len(found) < ranks:
        raise TopologyError(f"places must name a host for each of {ranks} ranks, got {len(found)}")
    found = found[:ranks]
    outside = np.flatnonzero(found >= hosts)
    if len(outside):
        raise TopologyError(f"places must be hosts from 0 to {hosts - 1}, got {found[outside[0]]} for rank {outside[0]}")
    host, count = np.unique(found, return_counts=True)
    if (count > 1).any():
        again = int(host[np.argmax(count > 1)])
        raise TopologyError(
            f"places must be distinct, got host {again} for ranks {np.flatnonzero(found == again).tolist()[:8]}"
        )
    return found
