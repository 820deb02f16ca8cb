"""What a job can be given: T_C(P) at every number of learners that it may have, its mini-batch re-optimised or held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InfeasibleError
from simulator.optimum import Limits, admissible_batch_samples, best_batch
from simulator.quantities import FloatArray, positive, whole
from simulator.studies.answer import hard_limits
from simulator.time_to_converge import TimeToConverge

__all__ = ["Catalogue", "IntArray", "Options", "Unit", "model_options", "unit_learners"]

IntArray = NDArray[np.int64]
Unit = Literal["learner", "node", "power_of_two"]
"""What learners are given out in: one by one, in whole nodes, or 1, 2, 4, 8, ..."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """T_C(P) of a job at each number of learners that it may have.

    Parameters
    ----------
    learners : ndarray of int, shape (n,)
        P, >= 1, increasing.
    converge_time_s : ndarray, shape (n,)
        T_C at each P, seconds, > 0.
    batch_samples : ndarray, shape (n,), optional
        M at each P, all learners, samples. None for work that no law describes.
    updates : ndarray, shape (n,), optional
        N_Update(M): an update advances the job by 1/N_Update(M). None: it advances with time, without updates.

    Examples
    --------
    >>> Options(learners=np.array([1, 2]), converge_time_s=np.array([10.0, 6.0])).fastest_s
    6.0
    """

    learners: IntArray
    converge_time_s: FloatArray
    batch_samples: FloatArray | None = None
    updates: FloatArray | None = None

    def __post_init__(self) -> None:
        if not len(self.learners):
            raise ValueError("learners must hold at least one number, got none")
        whole("learners", self.learners)
        if np.any(np.diff(self.learners) <= 0):
            raise ValueError(f"learners must increase, got {self.learners.tolist()}")
        for name in ("converge_time_s", "batch_samples", "updates"):
            value = getattr(self, name)
            if value is None:
                continue
            positive(name, value)
            if len(value) != len(self.learners):
                raise ValueError(f"{name} must have one value for each of {len(self.learners)} learners, got {len(value)}")

    @property
    def fastest_s(self) -> float:
        """Shortest T_C, seconds: that of the job alone."""
        return float(self.converge_time_s.min())

    def among(self, learners: Iterable[int], *, deadline_s: float | None = None) -> Options | None:
        """Return the options that are among `learners` and take `deadline_s` seconds at most; None where there is none."""
        kept = np.isin(self.learners, np.fromiter(learners, dtype=np.int64))
        if deadline_s is not None:
            kept &= self.converge_time_s <= deadline_s
        return self.at(kept) if kept.any() else None

    def longer(self, factor: float) -> Options:
        """Return the same options with every T_C times `factor`."""
        return self if factor == 1.0 else replace(self, converge_time_s=factor * self.converge_time_s)

    def at(self, kept: NDArray[np.bool_]) -> Options:
        """Return the options where `kept`, shape (n,), is true."""
        return Options(
            learners=self.learners[kept],
            converge_time_s=self.converge_time_s[kept],
            batch_samples=None if self.batch_samples is None else self.batch_samples[kept],
            updates=None if self.updates is None else self.updates[kept],
        )


KINDS_APART = 2**32
"""Above every number of learners: kind * this + P sorts options by kind, then by P."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Catalogue:
    """The options of several kinds of job, end to end, for work on many jobs at once.

    Parameters
    ----------
    tables : tuple of Options
        Of each kind.
    code : ndarray of int, shape (n,)
        kind * 2**32 + P of every option, increasing.
    learners : ndarray of int, shape (n,)
        P.
    converge_time_s : ndarray, shape (n,)
        T_C, seconds.
    updates : ndarray, shape (n,)
        N_Update; 0 where progress is not made in updates.
    first : ndarray of int, shape (kinds,)
        Place of each kind's fewest learners.
    """

    tables: tuple[Options, ...]
    code: IntArray
    learners: IntArray
    converge_time_s: FloatArray
    updates: FloatArray
    first: IntArray

    @classmethod
    def of(cls, tables: Sequence[Options]) -> Catalogue:
        """Lay the options of each kind end to end."""
        sizes = np.array([len(one.learners) for one in tables])
        learners = np.concatenate([one.learners for one in tables])
        kinds = np.repeat(np.arange(len(tables), dtype=np.int64), sizes)
        return cls(
            tables=tuple(tables),
            code=kinds * KINDS_APART + learners,
            learners=learners,
            converge_time_s=np.concatenate([one.converge_time_s for one in tables]),
            updates=np.concatenate([np.zeros(len(one.learners)) if one.updates is None else one.updates for one in tables]),
            first=np.cumsum(sizes) - sizes,
        )

    def place(self, kind: IntArray, learners: IntArray) -> IntArray:
        """Return where the option of each (kind, P) stands, shape (m,); -1 where there is none."""
        code = kind * KINDS_APART + learners
        place = np.searchsorted(self.code, code)
        there = self.code[np.minimum(place, len(self.code) - 1)] == code
        return np.where(there, place, -1)


def unit_learners(unit: Unit, learners: int, *, learners_per_node: int | None = None) -> IntArray:
    """Return the numbers of learners that a job may have of `learners`.

    Parameters
    ----------
    unit : {"learner", "node", "power_of_two"}
        What is given out.
    learners : int
        G, all there are, >= 1.
    learners_per_node : int, optional
        Of whole nodes; needed for "node".

    Raises
    ------
    ValueError
        If a node is not known, or holds more learners than there are.

    Examples
    --------
    >>> unit_learners("power_of_two", 12), unit_learners("node", 12, learners_per_node=4)
    (array([1, 2, 4, 8]), array([ 4,  8, 12]))
    """
    whole("learners", learners)
    if unit == "learner":
        return np.arange(1, learners + 1, dtype=np.int64)
    if unit == "power_of_two":
        return 2 ** np.arange(int(learners).bit_length(), dtype=np.int64)
    if unit != "node":
        raise ValueError(f"unit must be one of {', '.join(get_args(Unit))}, got {unit!r}")
    if learners_per_node is None:
        raise ValueError("unit = 'node' needs learners_per_node, got None")
    whole("learners_per_node", learners_per_node)
    if learners_per_node > learners:
        raise ValueError(f"learners_per_node must be <= the {learners} learners, got {learners_per_node}")
    return np.arange(learners_per_node, learners + 1, learners_per_node, dtype=np.int64)


def model_options(
    model: TimeToConverge, limits: Limits, learners: Sequence[int] | IntArray, *, batch_samples: float | None = None
) -> Options:
    """Return T_C(P) of a job by its laws, at those `learners` for which a mini-batch is admissible.

    Parameters
    ----------
    model, limits
        The laws and the bounds of the mini-batch.
    learners : sequence of int
        Numbers of learners to look at, increasing.
    batch_samples : float, optional
        M, held; None: re-optimised for each P.

    Returns
    -------
    Options
        With mini-batch and updates at each P. A given mini-batch may lie outside the measured range, a searched one not.

    Raises
    ------
    InfeasibleError
        If no number of learners is possible: the reason of the first; of a mini-batch too large for that one, of the last.
    """
    found: list[tuple[int, float]] = []
    refusal: InfeasibleError | None = None
    for P in learners:
        try:
            if batch_samples is None:
                found.append((int(P), best_batch(model, limits, int(P)).batch_samples))
            else:
                _refuse(model, limits, batch_samples, int(P))
                found.append((int(P), batch_samples))
        except TooLarge as error:
            refusal = error
        except InfeasibleError as error:
            refusal = refusal or error
    if not found:
        raise refusal or InfeasibleError("a job must have at least one number of learners to choose from, got none")
    P_found, M = np.asarray([P for P, _ in found], dtype=np.int64), np.asarray([M for _, M in found])
    return Options(
        learners=P_found,
        converge_time_s=np.asarray(model.converge_time_s(M, P_found.astype(np.float64))),
        batch_samples=M,
        updates=np.asarray(model.updates(M)),
    )


def _refuse(model: TimeToConverge, limits: Limits, M: float, P: int) -> None:
    """Raise InfeasibleError where the given mini-batch is not admissible at P."""
    (lowest, _), (highest, bound) = admissible_batch_samples(model, hard_limits(limits), P)
    if not lowest * (1 - 1e-12) <= M <= highest * (1 + 1e-12):
        kind = InfeasibleError if lowest > M else TooLarge
        on = f"{P} learner{'' if P == 1 else 's'}"
        raise kind(f"batch_samples must be from {lowest:.6g} to {highest:.6g} ({bound}) on {on}, got {M:g}")


class TooLarge(InfeasibleError):
    """A mini-batch that so many learners cannot take; more of them might."""
