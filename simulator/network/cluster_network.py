"""Delta(P) from a network: topology, placement and collective of a cluster, and what the collective takes on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from simulator.errors import CollectiveError, TopologyError
from simulator.network.links import Link
from simulator.network.results import NetworkResult
from simulator.network.schedules import Schedule
from simulator.network.topologies import Topology, star, xgft
from simulator.quantities import ArrayLike, FloatArray, whole

__all__ = ["COLLECTIVE_NAMES", "ClusterNetwork", "CollectiveTime", "FabricDelta", "PlacedRanks", "topology_of"]

COLLECTIVE_NAMES = {
    "ring": "ring",
    "rd": "recursive_doubling",
    "rhd_near": "halving_doubling_near",
    "rhd_far": "halving_doubling_far",
    "tree": "tree",
    "ps": "parameter_server",
    "psco": "sharded_parameter_server",
    "a2a": "all_to_all",
}
"""What files and flags call a collective, and its name in `collectives`; `hierarchical` joins two of them."""

MOST_HOSTS = 2**20
"""Accelerators and hosts of a tree up to which a network is built: memory grows with them."""

AUTO = ("ring", "rd", "rhd_near", "rhd_far", "tree", "hierarchical")
"""The all-reduces that "auto" tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNetwork:
    """The network of a cluster in plain numbers.

    Parameters
    ----------
    kind : {"star", "ring", "xgft", "fat_tree", "leaf_spine", "rails", "graph"}
        Topology between the nodes (between the accelerators, where there are no nodes).
    nodes, accelerators_per_node, nics_per_node : int
        What stands on it. With one accelerator per node there is no inner fabric.
    host_link, upper_link : Link
        Of a NIC, and between switches.
    inner_link : Link or None
        Of an accelerator inside its node; needed with several accelerators per node.
    down, up : tuple of int
        Levels of an xgft, whose hosts are nodes (or NICs, where there are enough).
    radix : int or None
        Ports of a switch; needed for fat_tree, leaf_spine and rails.
    oversubscription : float
        Of a leaf, down : up, >= 1.
    file : str or None
        Node-link JSON of a graph, whose hosts are the accelerators.
    hashed : bool
        Whether equally short ways are taken by a hash of (source, destination, seed) instead of in order.
    seed : int
        Of the hash.
    """

    kind: Literal["star", "ring", "xgft", "fat_tree", "leaf_spine", "rails", "graph"]
    nodes: int
    accelerators_per_node: int = 1
    nics_per_node: int = 1
    host_link: Link
    upper_link: Link
    inner_link: Link | None = None
    down: tuple[int, ...] = ()
    up: tuple[int, ...] = ()
    radix: int | None = None
    oversubscription: float = 1.0
    file: str | None = None
    hashed: bool = False
    seed: int = 0


@lru_cache(maxsize=16)
def topology_of(network: ClusterNetwork) -> Topology:
    """Build the topology; its hosts are the accelerators, node by node.

    Raises
    ------
    TopologyError, ScenarioError
        If it cannot be built: switches too small, links missing, a graph file with faults.
    """
    from simulator.network.cluster_topologies import fat_tree, ring
    from simulator.network.graph_files import read_graph
    from simulator.network.node_fabrics import nodes_on, rails

    if network.kind == "graph":
        assert network.file is not None
        return read_graph(Path(network.file), seed=network.seed if network.hashed else None)
    hosts = max(network.nodes * network.accelerators_per_node, math.prod(network.down), math.prod(network.up))
    if hosts > MOST_HOSTS:
        raise TopologyError(f"hosts must be at most {MOST_HOSTS:,}, got {hosts:,}")
    inner = network.accelerators_per_node > 1
    nics = network.nics_per_node if inner else 1
    if network.kind == "xgft" and math.prod(network.down) < network.nodes * nics:
        nics = 1  # its hosts are nodes
    ports, link = network.nodes * nics, network.host_link
    if network.kind in ("fat_tree", "leaf_spine", "rails") and network.radix is None:
        raise TopologyError(f"switch is missing: {network.kind} is built from switches with so many ports")

    def tree(hosts: int) -> Topology:
        assert network.radix is not None
        tiers = 2 if network.kind == "leaf_spine" else None
        return fat_tree(
            hosts,
            radix=network.radix,
            host_link=link,
            upper_link=network.upper_link,
            oversubscription=network.oversubscription,
            tiers=tiers,
            ways="hashed" if network.hashed else "d_mod_k",
            seed=network.seed,
        )

    if network.kind == "rails":
        if network.inner_link is None or not inner:
            raise TopologyError("rails need nodes with several accelerators and an inner_link")
        each = [tree(network.nodes)] * nics
        return rails(each, accelerators_per_node=network.accelerators_per_node, inner_link=network.inner_link)
    if network.kind == "star":
        outer = star(ports, bandwidth_bytes_per_s=link.bandwidth_bytes_per_s, latency_s=link.latency_s)
    elif network.kind == "ring":
        outer = ring(ports, link=link)
    elif network.kind == "xgft":
        if math.prod(network.down) % nics:
            nics = 1
        outer = xgft(
            network.down,
            network.up,
            host_bandwidth_bytes_per_s=link.bandwidth_bytes_per_s,
            upper_bandwidth_bytes_per_s=network.upper_link.bandwidth_bytes_per_s,
            host_latency_s=link.latency_s,
            upper_latency_s=network.upper_link.latency_s,
        )
    else:
        outer = tree(ports)
    if not inner:
        return outer
    if network.inner_link is None:
        raise TopologyError(f"inner_link is missing: {network.accelerators_per_node} accelerators of a node talk over it")
    return nodes_on(
        outer, accelerators_per_node=network.accelerators_per_node, nics_per_node=nics, inner_link=network.inner_link
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRanks:
    """Which learner sits where.

    Parameters
    ----------
    kind : {"linear", "strided", "random", "by_node", "listed"}
        As in `placement`.
    stride, seed : int, optional
        Of strided, of random.
    hosts : tuple of int
        Of listed.
    """

    kind: Literal["linear", "strided", "random", "by_node", "listed"] = "linear"
    stride: int = 1
    seed: int = 0
    hosts: tuple[int, ...] = ()

    def places(self, ranks: int, slots: int, per_node: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the slot of each rank; TopologyError where they do not fit."""
        from simulator.network import placement

        if self.kind == "strided":
            return placement.strided(ranks, slots, stride=self.stride)
        if self.kind == "random":
            return placement.random(ranks, slots, rng=np.random.default_rng(self.seed))
        if self.kind == "by_node":
            return placement.by_node(ranks, slots, hosts_per_node=per_node)
        if self.kind == "listed":
            return placement.listed(ranks, slots, places=self.hosts)
        return placement.linear(ranks, slots)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CollectiveTime:
    """What a collective takes among P learners.

    Parameters
    ----------
    time_s : float
        Seconds until the last accelerator of the last learner has the sum.
    collective : str
        Which one, as files spell it.
    tried : mapping of str to float
        Seconds of each one that "auto" compared; of the one otherwise.
    closed_form_s : float or None
        Its latency-bandwidth form on an idle network whose paths all are like the longest, whose links all are like the
        slowest that it uses; None where it has none.
    result : NetworkResult
        Of the group of accelerators that ended last.
    topology : Topology
        The network.
    """

    time_s: float
    collective: str
    tried: dict[str, float]
    closed_form_s: float | None
    result: NetworkResult
    topology: Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricDelta:
    """Delta(P): seconds of one uncontended collective on the cluster's network.

    Parameters
    ----------
    network : ClusterNetwork
        What it runs on.
    gradient_bytes : float
        Bytes that each accelerator has to combine, > 0.
    collective : str
        A key of `COLLECTIVE_NAMES`, "hierarchical" or "auto".
    servers : int
        Of a parameter server, >= 1.
    inner, outer : str
        Of "hierarchical".
    accelerators_per_learner : int
        Accelerators that hold one replica: accelerator j of every learner combines its share with the j-th of the others, all
        at the same time.
    placement : PlacedRanks
        Where learners sit.
    sends : {"eager", "rendezvous"}
        Whether a message waits for its receiver.
    message_overhead_s : float
        Software's share of the latency of each message, >= 0.
    """

    network: ClusterNetwork
    gradient_bytes: float
    collective: str = "auto"
    servers: int = 1
    inner: str = "ring"
    outer: str = "ring"
    accelerators_per_learner: int = 1
    placement: PlacedRanks = PlacedRanks()
    sends: Literal["eager", "rendezvous"] = "rendezvous"
    message_overhead_s: float = 0.0

    def reduce_time_s(self, learners: ArrayLike) -> FloatArray:
        """Delta in seconds for `learners` (whole numbers >= 1, any shape); 0 for one.

        Raises
        ------
        ValueError
            Where learners are not whole.
        SimulatorError
            Where they do not fit on the network, or the collective cannot have so many.
        """
        P = whole("learners", learners)
        distinct, back = np.unique(np.asarray(P), return_inverse=True)
        times = np.array([0.0 if one == 1 else self.time(int(one)).time_s for one in distinct])
        return np.asarray(times[back].reshape(np.shape(P)), dtype=np.float64)[()]

    def time(self, learners: int) -> CollectiveTime:
        """Return what the collective takes among `learners`, with its reasons; answers are remembered."""
        return _time(self, learners)

    def refusal(self, learners: int) -> str | None:
        """Return why there cannot be so many learners (hosts, or what the collective asks for), or None; simulates nothing."""
        from simulator.network import collectives

        slots = topology_of(self.network).hosts // self.accelerators_per_learner
        if learners > slots:
            return f"learners must be at most {slots}, what the {topology_of(self.network).name} holds, got {learners}"
        if learners == 1 or self.collective == "auto":
            return None
        try:
            if self.collective == "hierarchical":
                group = self.group(learners)
                for name, ranks in ((self.inner, group), (self.outer, learners // group)):
                    collectives.check_ranks(COLLECTIVE_NAMES.get(name, name), ranks)
            else:
                collectives.check_ranks(COLLECTIVE_NAMES.get(self.collective, self.collective), learners)
        except CollectiveError as error:
            return str(error)
        if self.collective == "ps" and self.servers > slots - learners:
            return (
                f"servers must be at most the {slots - learners} hosts that {learners} learners leave free, got {self.servers}"
            )
        return None

    def schedule(self, name: str, learners: int) -> Schedule:
        """Return the schedule of a collective; CollectiveError where it cannot have so many ranks."""
        from simulator.network import collectives

        P, M = learners, self.gradient_bytes
        if name == "hierarchical":
            group = self.group(learners)
            inner, outer = (COLLECTIVE_NAMES.get(one, one) for one in (self.inner, self.outer))
            return collectives.hierarchical(P, M, group=group, inner=inner, outer=outer)
        if name == "ps":
            return collectives.parameter_server(P, M, servers=self.servers)
        if name not in COLLECTIVE_NAMES:
            there = ", ".join([*COLLECTIVE_NAMES, "hierarchical", "auto"])
            raise CollectiveError(f"collective {name!r} is not in this version; there are {there}")
        return collectives.collective(COLLECTIVE_NAMES[name]).schedule(P, M)

    def group(self, learners: int) -> int:
        """Return how many learners the inner groups of "hierarchical" have: those of a node."""
        per_node = self.network.accelerators_per_node // self.accelerators_per_learner
        if per_node < 2 or learners % min(per_node, learners):
            raise CollectiveError(
                f"hierarchical needs whole nodes of several learners: {learners} learners, {max(per_node, 1)} in a node"
            )
        return min(per_node, learners)


@lru_cache(maxsize=4096)
def _time(delta: FabricDelta, learners: int) -> CollectiveTime:
    topology = topology_of(delta.network)
    names = AUTO if delta.collective == "auto" else (delta.collective,)
    tried: dict[str, CollectiveTime] = {}
    for name in names:
        try:
            tried[name] = _alone(delta, topology, name, learners)
        except CollectiveError:
            if delta.collective != "auto":
                raise
    best = min(tried, key=lambda name: tried[name].time_s)
    return replace(tried[best], tried={name: one.time_s for name, one in tried.items()})


def _alone(delta: FabricDelta, topology: Topology, name: str, learners: int) -> CollectiveTime:
    from simulator.network.fabric import Job, run_jobs

    each = delta.accelerators_per_learner
    slots = topology.hosts // each
    per_node = max(1, delta.network.accelerators_per_node // each)
    if learners > slots:
        raise TopologyError(f"learners must be at most {slots}, what the {topology.name} holds, got {learners}")
    places = delta.placement.places(learners, slots, per_node)
    if name == "ps":
        free = np.setdiff1d(np.arange(slots), places)
        if len(free) < delta.servers:
            raise TopologyError(
                f"servers must be at most the {len(free)} hosts that {learners} learners leave free, got {delta.servers}"
            )
        places = np.concatenate([places, free[: delta.servers]])
    schedule = delta.schedule(name, learners)
    jobs = [Job(schedule=schedule, hosts=places * each + j) for j in range(each)]
    results = run_jobs(topology, jobs, protocol=delta.sends, message_overhead_s=delta.message_overhead_s)
    last = max(results, key=lambda result: result.end_s)
    return CollectiveTime(
        time_s=last.end_s,
        collective=name,
        tried={name: last.end_s},
        closed_form_s=_closed_form_s(delta, topology, name, learners, places[:learners] * each, last),
        result=last,
        topology=topology,
    )


def _closed_form_s(
    delta: FabricDelta,
    topology: Topology,
    name: str,
    learners: int,
    hosts: np.ndarray[tuple[int], np.dtype[np.int64]],
    result: NetworkResult,
) -> float | None:
    """Return the latency-bandwidth form with the longest path and the slowest link that the collective uses."""
    from simulator.network import collectives

    used = np.flatnonzero(result.link_bytes > 0)
    if name == "hierarchical" or not len(used):
        return None
    slowest = float(topology.bandwidth_bytes_per_s[used].min())
    routes = topology.routes(hosts, np.roll(hosts, -1))
    latency = np.add.reduceat(topology.latency_s[routes.link], routes.first[:-1]) if len(routes.link) else np.zeros(1)
    longest = float(latency.max()) + delta.message_overhead_s
    if name == "ps":
        return collectives.parameter_server_time_s(learners, delta.gradient_bytes, longest, slowest, servers=delta.servers)
    form = collectives.collective(COLLECTIVE_NAMES[name])
    return form.time_s(learners, delta.gradient_bytes, latency_s=longest, bandwidth_bytes_per_s=slowest)
