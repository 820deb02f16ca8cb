"""Collectives as schedules, each with its latency-bandwidth closed form on an idle network.

In the closed forms every message takes ``a + bytes/b``: latency a in seconds, bandwidth b in bytes per second, and a host
shares its link among the messages that it sends, or is sent, at once. They are exact where all paths have one latency and no
other link is shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import CollectiveError
from simulator.messages import did_you_mean
from simulator.network.schedules import Schedule, Step, in_order, step
from simulator.quantities import non_negative, positive, whole

__all__ = [
    "COLLECTIVES",
    "Collective",
    "all_to_all",
    "collective",
    "halving_doubling",
    "hierarchical",
    "hierarchical_time_s",
    "in_network_time_s",
    "parameter_server",
    "parameter_server_time_s",
    "recursive_doubling",
    "ring",
    "sharded_parameter_server",
    "tree",
]


def _checked(ranks: int, gradient_bytes: float) -> tuple[int, float]:
    return int(whole("ranks", ranks)), float(non_negative("gradient_bytes", gradient_bytes))


def check_ranks(name: str, ranks: int) -> None:
    """Raise CollectiveError where a collective cannot have so many ranks."""
    if name in ("recursive_doubling", "halving_doubling_near", "halving_doubling_far"):
        _rounds(name, ranks)


def _rounds(name: str, ranks: int) -> int:
    """Return log2 P; CollectiveError where P is no power of two."""
    if ranks & (ranks - 1):
        below = 1 << (ranks.bit_length() - 1)
        raise CollectiveError(
            f"{name} needs a power of two of ranks, got {ranks}; take {below} or {2 * below} ranks, or ring, tree or "
            "sharded_parameter_server, which take any number"
        )
    return ranks.bit_length() - 1


def ring(ranks: int, gradient_bytes: float) -> Schedule:
    """Ring all-reduce: 2 (P - 1) steps, each sends M/P to the next rank. Any P; time ``2 (P-1) (a + M/(P b))``.

    Examples
    --------
    >>> schedule = ring(4, 80.0)
    >>> schedule.messages, schedule.sent_bytes
    (24, 480.0)
    """
    P, M = _checked(ranks, gradient_bytes)
    i = np.arange(P)
    steps = (step(i, (i + 1) % P, M / P),) if P > 1 else ()
    turns = 2 * (P - 1)
    return Schedule(
        name="ring", ranks=P, steps=steps, order=np.zeros(turns, dtype=np.int64), waits_for_sends=np.ones(turns, dtype=np.bool_)
    )


def _exchange(P: int, distance: int, size: float) -> Step:
    i = np.arange(P)
    return step(i, i ^ distance, size)


def recursive_doubling(ranks: int, gradient_bytes: float) -> Schedule:
    """Recursive doubling: exchange M with rank xor 1, 2, .. P/2. P a power of two; time ``log2(P) (a + M/b)``."""
    P, M = _checked(ranks, gradient_bytes)
    return in_order("recursive_doubling", P, [_exchange(P, 1 << k, M) for k in range(_rounds("recursive_doubling", P))])


def halving_doubling(ranks: int, gradient_bytes: float, *, near_first: bool = True) -> Schedule:
    """Halving-doubling: reduce-scatter M/2, M/4 .. M/P, then all-gather M/P .. M/2.

    P a power of two; time ``2 log2(P) a + 2 (P-1)/P M/b``. `near_first` exchanges M/2 with the neighbour (distance 1) and
    M/P with the farthest; otherwise the other way round.
    """
    P, M = _checked(ranks, gradient_bytes)
    name = f"halving_doubling_{'near' if near_first else 'far'}"
    rounds = _rounds(name, P)
    distances = [1 << k for k in range(rounds)]
    if not near_first:
        distances.reverse()
    halves = [_exchange(P, distance, M / (2 << k)) for k, distance in enumerate(distances)]
    order = np.array([*range(rounds), *reversed(range(rounds))], dtype=np.int64)
    return Schedule(name=name, ranks=P, steps=tuple(halves), order=order, waits_for_sends=np.ones(2 * rounds, dtype=np.bool_))


def tree(ranks: int, gradient_bytes: float) -> Schedule:
    """Binomial tree: reduce M to rank 0, then broadcast M. Any P; time ``2 log2(P) (a + M/b)`` for a power of two.

    For another P a rank whose child is missing sends early, and the messages into its parent share a link: the form with
    log2(P) rounded up is then an estimate.
    """
    P, M = _checked(ranks, gradient_bytes)
    reduce, broadcast = [], []
    for k in range((P - 1).bit_length()):
        d = 1 << k
        parents = np.arange(0, P - d, 2 * d)
        reduce.append(step(parents + d, parents, M))
        broadcast.append(step(parents, parents + d, M))
    return in_order("tree", P, [*reduce, *reversed(broadcast)])


def all_to_all(ranks: int, gradient_bytes: float) -> Schedule:
    """All-to-all: each rank sends M/P to each other one at once. Any P; time ``a + (P-1)/P M/b``."""
    P, M = _checked(ranks, gradient_bytes)
    return in_order("all_to_all", P, [_everyone(P, M)] if P > 1 else [])


def _everyone(P: int, M: float) -> Step:
    i = np.arange(P)
    source, offset = np.repeat(i, P - 1), np.tile(np.arange(1, P), P)
    return step(source, (source + offset) % P, M / P)


def parameter_server(ranks: int, gradient_bytes: float, *, servers: int = 1) -> Schedule:
    """Parameter server on S further ranks: a worker sends M/S to each server, a server that has all P answers M/S to each.

    Ranks P..P+S-1 are the servers. Any P and S; time ``2 (a + max(1, P/S) M/b)``.
    """
    P, M = _checked(ranks, gradient_bytes)
    S = int(whole("servers", servers))
    worker, server = np.repeat(np.arange(P), S), P + np.tile(np.arange(S), P)
    shards, answers = step(worker, server, M / S), step(server, worker, M / S)
    return in_order("parameter_server", P + S, [shards, answers], workers=P, running_on=[0])


def sharded_parameter_server(ranks: int, gradient_bytes: float) -> Schedule:
    """Parameter server whose shard i (M/P) lives with rank i. Any P; time ``2 (a + (P-1)/P M/b)``.

    A rank that has its P - 1 gradients sends its updated shard to the others, while its own first sends may still run.
    """
    P, M = _checked(ranks, gradient_bytes)
    steps = (_everyone(P, M),) if P > 1 else ()
    turns = 2 * len(steps)
    return Schedule(
        name="sharded_parameter_server",
        ranks=P,
        steps=steps,
        order=np.zeros(turns, dtype=np.int64),
        waits_for_sends=np.array([False, True])[:turns],
    )


def hierarchical(ranks: int, gradient_bytes: float, *, group: int, inner: str = "ring", outer: str = "ring") -> Schedule:
    """All-reduce in two tiers: within groups of g consecutive ranks, then across the P/g groups.

    Where `inner` scatters (ring, halving-doubling), the groups reduce-scatter, ranks of equal place all-reduce their M/g by
    `outer`, and the groups gather. Where `inner` is "tree", the groups reduce M to their first rank, the first ranks
    all-reduce M, and the groups broadcast. P must be a multiple of g.
    """
    P, M = _checked(ranks, gradient_bytes)
    g = int(whole("group", group))
    if P % g:
        raise CollectiveError(f"hierarchical needs a multiple of group = {g} ranks, got {P}")
    for name, word, among in (("inner", inner, INNER), ("outer", outer, ALL_REDUCES)):
        if word not in among:
            raise CollectiveError(f"{name} must be one of {', '.join(among)}, got {word!r}{did_you_mean(word, among)}")
    groups = P // g
    within = COLLECTIVES[inner].schedule(g, M)
    shard = M if inner == "tree" else M / g
    places = np.arange(1 if inner == "tree" else g)
    across = COLLECTIVES[outer].schedule(groups, shard)
    half = len(within.order) // 2
    inside = [_copied(one, np.arange(groups) * g, 1) for one in within.steps]
    between = [_copied(one, places, g) for one in across.steps]
    order = np.concatenate([within.order[:half], across.order + len(inside), within.order[half:]])
    return Schedule(
        name=f"hierarchical ({inner} within {g}, {outer} across {groups})",
        ranks=P,
        steps=(*inside, *between),
        order=order,
        waits_for_sends=np.concatenate([within.waits_for_sends[:half], across.waits_for_sends, within.waits_for_sends[half:]]),
    )


def _copied(one: Step, offsets: np.ndarray[tuple[int], np.dtype[np.int64]], stride: int) -> Step:
    """Return the step done once from each offset, its ranks `stride` apart."""
    source = (offsets[:, None] + stride * one.source[None, :]).ravel()
    destination = (offsets[:, None] + stride * one.destination[None, :]).ravel()
    return replace(one, source=source, destination=destination, bytes=np.tile(one.bytes, len(offsets)))


ClosedForm = Callable[[int, float, float, float], float]


def _log2_up(P: int) -> int:
    return (P - 1).bit_length()


def parameter_server_time_s(P: int, M: float, a: float, b: float, *, servers: int = 1) -> float:
    """Seconds of `parameter_server` on an idle network: the busier of a worker's and a server's link, twice."""
    return 2.0 * (a + max(1.0, P / servers) * M / b)


def hierarchical_time_s(
    ranks: int, gradient_bytes: float, *, group: int, inner: str, outer: str,
    inner_latency_s: float, inner_bandwidth_bytes_per_s: float, outer_latency_s: float, outer_bandwidth_bytes_per_s: float,
) -> float:  # fmt: skip
    """Seconds of `hierarchical` on an idle network, where each tier has links of its own."""
    shard = gradient_bytes if inner == "tree" else gradient_bytes / group
    return COLLECTIVES[inner].time_s(
        group, gradient_bytes, latency_s=inner_latency_s, bandwidth_bytes_per_s=inner_bandwidth_bytes_per_s
    ) + COLLECTIVES[outer].time_s(
        ranks // group, shard, latency_s=outer_latency_s, bandwidth_bytes_per_s=outer_bandwidth_bytes_per_s
    )


def in_network_time_s(gradient_bytes: float, *, latency_s: float, bandwidth_bytes_per_s: float) -> float:
    """Seconds of a reduction in the switches: up and down the tree, ``2 a + M/b``, all of it in one stream.

    `latency_s` is that of the way from a host to the top; switches reduce at line rate.
    """
    return 2.0 * float(non_negative("latency_s", latency_s)) + gradient_bytes / float(
        positive("bandwidth_bytes_per_s", bandwidth_bytes_per_s)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """A collective by name: its schedule and its closed form.

    Parameters
    ----------
    name : str
        As files and flags spell it.
    schedule : callable
        From (ranks, gradient_bytes) to the Schedule.
    form : callable
        From (P, M, a, b) to seconds on an idle network, P > 1.
    formula : str
        The closed form in letters.
    power_of_two : bool
        Whether P must be a power of two.
    """

    name: str
    schedule: Callable[[int, float], Schedule]
    form: ClosedForm
    formula: str
    power_of_two: bool = False

    def time_s(self, ranks: int, gradient_bytes: float, *, latency_s: float, bandwidth_bytes_per_s: float) -> float:
        """Seconds on an idle network whose paths have one latency, hosts' links the one bandwidth and others no limit."""
        P, M = _checked(ranks, gradient_bytes)
        a, b = float(non_negative("latency_s", latency_s)), float(positive("bandwidth_bytes_per_s", bandwidth_bytes_per_s))
        if self.power_of_two:
            _rounds(self.name, P)
        return self.form(P, M, a, b) if P > 1 or self.name == "parameter_server" else 0.0


COLLECTIVES: dict[str, Collective] = {
    found.name: found
    for found in (
        Collective(
            name="ring", schedule=ring, formula="2 (P-1) (a + M/(P b))", form=lambda P, M, a, b: 2 * (P - 1) * (a + M / (P * b))
        ),
        Collective(
            name="recursive_doubling", schedule=recursive_doubling, power_of_two=True, formula="log2(P) (a + M/b)",
            form=lambda P, M, a, b: math.log2(P) * (a + M / b),
        ),
        Collective(
            name="halving_doubling_near", schedule=halving_doubling, power_of_two=True,
            formula="2 log2(P) a + 2 (P-1)/P M/b", form=lambda P, M, a, b: 2 * math.log2(P) * a + 2 * (P - 1) / P * M / b,
        ),
        Collective(
            name="halving_doubling_far", schedule=lambda P, M: halving_doubling(P, M, near_first=False), power_of_two=True,
            formula="2 log2(P) a + 2 (P-1)/P M/b", form=lambda P, M, a, b: 2 * math.log2(P) * a + 2 * (P - 1) / P * M / b,
        ),
        Collective(
            name="tree", schedule=tree, formula="2 ceil(log2(P)) (a + M/b)",
            form=lambda P, M, a, b: 2 * _log2_up(P) * (a + M / b)
        ),
        Collective(
            name="all_to_all", schedule=all_to_all, formula="a + (P-1)/P M/b", form=lambda P, M, a, b: a + (P - 1) / P * M / b
        ),
        Collective(
            name="parameter_server", schedule=parameter_server, formula="2 (a + max(1, P/S) M/b), S = 1",
            form=parameter_server_time_s,
        ),
        Collective(
            name="sharded_parameter_server", schedule=sharded_parameter_server, formula="2 (a + (P-1)/P M/b)",
            form=lambda P, M, a, b: 2 * (a + (P - 1) / P * M / b),
        ),
    )
}  # fmt: skip
"""The collectives by name; `hierarchical` joins two of them."""

ALL_REDUCES = ("ring", "recursive_doubling", "halving_doubling_near", "halving_doubling_far", "tree")
INNER = ("ring", "halving_doubling_near", "halving_doubling_far", "tree")


def collective(name: str) -> Collective:
    """Return the collective of that name; CollectiveError, with the nearest name, where there is none."""
    if name not in COLLECTIVES:
        raise CollectiveError(
            f"collective must be one of {', '.join(COLLECTIVES)}, got {name!r}{did_you_mean(name, COLLECTIVES)}"
        )
    return COLLECTIVES[name]
