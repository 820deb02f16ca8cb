"""Schedules: what each rank sends to whom, after which of its own steps.

A rank enters step k + 1 when all that it sends and receives in step k is complete; a step may let its sends run on
(`waits_for_sends` false): then the receives alone hold the rank, and the sends are waited for by the next step that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulator.network.routing import IntArray
from simulator.quantities import ArrayLike, FloatArray, non_negative, whole

__all__ = ["Schedule", "Step", "one_sided"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """The messages of one step: message i goes from source[i] to destination[i].

    Parameters
    ----------
    source, destination : ndarray of int64
        Ranks.
    bytes : ndarray of float64
        Size of each message, >= 0.
    receiver, sender : ndarray of int64, optional
        Who receives in this step, and from whom, where that is not the mirror image of the sends: the k-th send of one
        rank to another meets the k-th receive.
    """

    source: IntArray
    destination: IntArray
    bytes: FloatArray
    receiver: IntArray | None = None
    sender: IntArray | None = None

    def __post_init__(self) -> None:
        if not len(self.source) == len(self.destination) == len(self.bytes):
            got = f"{len(self.source)}, {len(self.destination)} and {len(self.bytes)}"
            raise ValueError(f"source, destination and bytes must have the same length, got {got}")
        if (self.receiver is None) != (self.sender is None) or (
            self.receiver is not None and self.sender is not None and len(self.receiver) != len(self.sender)
        ):
            raise ValueError("receiver and sender must be given together and have the same length")
        non_negative("bytes", self.bytes)
        if np.any(self.source == self.destination):
            raise ValueError(
                f"destination must be another rank than source, got {int(self.source[self.source == self.destination][0])}"
            )


def step(source: ArrayLike, destination: ArrayLike, bytes_: ArrayLike) -> Step:
    """Return a step whose receives mirror its sends; one size serves all where a single one is given."""
    sources = np.asarray(source, dtype=np.int64)
    return Step(
        source=sources,
        destination=np.asarray(destination, dtype=np.int64),
        bytes=np.broadcast_to(np.asarray(bytes_, dtype=np.float64), sources.shape).copy(),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """What some ranks do, round by round: compute, wait for one another if there is a barrier, communicate.

    Distinct steps are stored once and named by `order`, so that a ring of 16,384 ranks with its 32,766 steps takes little
    memory.

    Parameters
    ----------
    name : str
        What it is.
    ranks : int
        Ranks that take part, >= 1.
    steps : tuple of Step
        The distinct steps.
    order : ndarray of int64
        Which step comes when, in each round.
    waits_for_sends : ndarray of bool, as long as `order`
        Whether a rank stays in the step until its sends are complete; true in the last one.
    workers : int, optional
        Ranks 0..workers-1 compute, meet at the barrier, and their last end is the end of the schedule; the rest serve.
        All ranks by default.
    rounds : int
        How often all of this is done (iterations), >= 1.
    compute_s : ndarray of float64 of shape (rounds, workers), optional
        Seconds that each worker computes before it communicates, >= 0; none by default.
    barrier : bool
        Whether the workers wait for one another between computing and communicating.
    """

    name: str
    ranks: int
    steps: tuple[Step, ...]
    order: IntArray
    waits_for_sends: NDArray[np.bool_]
    workers: int = 0
    rounds: int = 1
    compute_s: FloatArray | None = None
    barrier: bool = False

    def __post_init__(self) -> None:
        whole("ranks", self.ranks)
        whole("rounds", self.rounds)
        whole("workers", self.workers, lowest=0)
        if self.workers == 0:
            object.__setattr__(self, "workers", self.ranks)
        if self.workers > self.ranks:
            raise ValueError(f"workers must be at most ranks = {self.ranks}, got {self.workers}")
        if len(self.order) != len(self.waits_for_sends):
            raise ValueError(
                f"order and waits_for_sends must have the same length, got {len(self.order)} and {len(self.waits_for_sends)}"
            )
        if len(self.order) and not self.waits_for_sends[-1]:
            raise ValueError("waits_for_sends must be true in the last step")
        if len(self.order) and (int(self.order.min()) < 0 or int(self.order.max()) >= len(self.steps)):
            raise ValueError(f"order must name steps from 0 to {len(self.steps) - 1}, got {self.order.tolist()[:8]}")
        for one in self.steps:
            for name in ("source", "destination", "receiver", "sender"):
                ranks = getattr(one, name)
                if ranks is not None and len(ranks) and (int(ranks.min()) < 0 or int(ranks.max()) >= self.ranks):
                    raise ValueError(
                        f"{name} must be ranks from 0 to {self.ranks - 1}, got {int(ranks.min())} to {int(ranks.max())}"
                    )
        if self.compute_s is not None:
            if self.compute_s.shape != (self.rounds, self.workers):
                shape = (self.rounds, self.workers)
                raise ValueError(f"compute_s must have the shape (rounds, workers) = {shape}, got {self.compute_s.shape}")
            non_negative("compute_s", self.compute_s)

    @property
    def mirrored(self) -> bool:
        """Whether every receive stands in the same step as its send."""
        return all(one.receiver is None for one in self.steps)

    @property
    def times_used(self) -> IntArray:
        """How often each of `steps` is done in all rounds."""
        return self.rounds * np.bincount(self.order, minlength=len(self.steps)).astype(np.int64)

    @property
    def messages(self) -> int:
        """Messages sent in all rounds."""
        return int(sum(len(one.source) * int(times) for one, times in zip(self.steps, self.times_used, strict=True)))

    @property
    def sent_bytes(self) -> float:
        """Bytes sent in all rounds."""
        return float(sum(one.bytes.sum() * int(times) for one, times in zip(self.steps, self.times_used, strict=True)))

    def iterated(self, *, rounds: int = 1, compute_s: ArrayLike | None = None, barrier: bool = False) -> Self:
        """Return the schedule with rounds, computing before each (rounds x workers, any shape) and a barrier between."""
        table = None
        if compute_s is not None:
            values = np.asarray(compute_s, dtype=np.float64)
            if values.size != rounds * self.workers:
                raise ValueError(f"compute_s must have {rounds * self.workers} values (rounds x workers), got {values.size}")
            table = values.reshape(rounds, self.workers)
        return replace(self, rounds=rounds, compute_s=table, barrier=barrier)

    def scaled(self, factor: float) -> Self:
        """Return the schedule with every message `factor` times as big."""
        return replace(self, steps=tuple(replace(one, bytes=one.bytes * factor) for one in self.steps))


def in_order(name: str, ranks: int, steps: Sequence[Step], *, workers: int = 0, running_on: Sequence[int] = ()) -> Schedule:
    """Return the schedule that does `steps` one after another; sends of the steps named in `running_on` are not waited for."""
    waits = np.ones(len(steps), dtype=np.bool_)
    waits[list(running_on)] = False
    return Schedule(
        name=name, ranks=ranks, steps=tuple(steps), order=np.arange(len(steps)), waits_for_sends=waits, workers=workers
    )


def one_sided(bytes_: ArrayLike) -> Schedule:
    """Return messages that start when the sender does and need no receiver: message i goes from rank i to rank n + i.

    Give its ranks the hosts of the sources, then those of the destinations; the end of rank n + i is that of message i.
    """
    size = np.atleast_1d(np.asarray(bytes_, dtype=np.float64))
    i = np.arange(len(size))
    return in_order("messages", 2 * len(size), [step(i, len(size) + i, size)])
