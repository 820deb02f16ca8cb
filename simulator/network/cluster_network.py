"""Delta(P) from a network: placement and collective of learners, and what the collective takes on the cluster's network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulator.errors import CollectiveError, TopologyError
from simulator.network.clusters import ClusterNetwork, topology_of
from simulator.network.results import NetworkResult
from simulator.network.routing import IntArray
from simulator.network.schedules import Schedule
from simulator.network.topologies import Topology
from simulator.quantities import ArrayLike, FloatArray, whole

if TYPE_CHECKING:
    from simulator.network.fabric import Job

__all__ = ["COLLECTIVE_NAMES", "CollectiveTime", "FabricDelta", "PlacedRanks"]

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

AUTO = ("ring", "rd", "rhd_near", "rhd_far", "tree", "hierarchical")
"""The all-reduces that "auto" tries."""


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

    def places(self, ranks: int, slots: int, per_node: int) -> IntArray:
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
    server_slots : tuple of int
        Where parameter servers sit; on the first free slots by default.
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
    server_slots: tuple[int, ...] = ()

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

    def idle_nics(self) -> str | None:
        """Say which NICs stand idle, in words; None where none does."""
        return self.network.idle_nics()

    def time(self, learners: int) -> CollectiveTime:
        """Return what the collective takes among `learners`, with its reasons; answers are remembered."""
        return _time(self, learners)

    def traffic(self, learners: int) -> tuple[Job, ...]:
        """Return what an update of `learners` sends over the network: schedules with hosts; nothing for one learner."""
        if learners == 1:
            return ()
        name = self.time(learners).collective if self.collective == "auto" else self.collective
        return _jobs(self, name, learners)

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

    @property
    def slots(self) -> int:
        """Learners that the network holds."""
        return topology_of(self.network).hosts // self.accelerators_per_learner

    def places(self, learners: int) -> IntArray:
        """Return the slot of each learner; TopologyError where they do not fit."""
        if learners > self.slots:
            name = topology_of(self.network).name
            raise TopologyError(f"learners must be at most {self.slots}, what the {name} holds, got {learners}")
        per_node = max(1, self.network.accelerators_per_node // self.accelerators_per_learner)
        return self.placement.places(learners, self.slots, per_node)

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


def _jobs(delta: FabricDelta, name: str, learners: int) -> tuple[Job, ...]:
    """Return what an update sends: a schedule for the j-th accelerators of all learners, for each j, with their hosts."""
    from simulator.network.fabric import Job

    places = delta.places(learners)
    if name == "ps":
        free = np.setdiff1d(np.array(delta.server_slots) if delta.server_slots else np.arange(delta.slots), places)
        if len(free) < delta.servers:
            raise TopologyError(
                f"servers must be at most the {len(free)} hosts that {learners} learners leave free, got {delta.servers}"
            )
        places = np.concatenate([places, free[: delta.servers]])
    each = delta.accelerators_per_learner
    schedule = delta.schedule(name, learners)
    return tuple(Job(schedule=schedule, hosts=places * each + j) for j in range(each))


def _alone(delta: FabricDelta, topology: Topology, name: str, learners: int) -> CollectiveTime:
    from simulator.network.fabric import run_jobs

    jobs = _jobs(delta, name, learners)
    results = run_jobs(topology, jobs, protocol=delta.sends, message_overhead_s=delta.message_overhead_s)
    last = max(results, key=lambda result: result.end_s)
    return CollectiveTime(
        time_s=last.end_s,
        collective=name,
        tried={name: last.end_s},
        closed_form_s=_closed_form_s(delta, topology, name, learners, np.asarray(jobs[0].hosts)[:learners], last),
        result=last,
        topology=topology,
    )


def _closed_form_s(
    delta: FabricDelta,
    topology: Topology,
    name: str,
    learners: int,
    hosts: IntArray,
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
