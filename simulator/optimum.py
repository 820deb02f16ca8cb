"""M_opt and the best number of learners: the fastest admissible mini-batch for any combination of laws, its bound named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InfeasibleError
from simulator.limits import Limits, admissible_batch_samples, admissible_ranges
from simulator.quantities import FloatArray, ceil_whole
from simulator.search import LARGEST_SEARCHED_SAMPLES, fastest_real, fastest_whole, relaxed
from simulator.time_to_converge import TimeToConverge

__all__ = [
    "LARGEST_TRIED_LEARNERS",
    "Branch",
    "Limits",
    "Optimum",
    "admissible_batch_samples",
    "best_batch",
    "best_learners",
    "flat_range",
]

Branch = Literal["interior", "knee", "bound"]

FLAT_FACTOR = 1.05
"""The flat range holds the mini-batches within 5 % of the best T_C."""
LARGEST_TRIED_LEARNERS = 4096
"""Up to this many learners, each number is tried; beyond, a geometric grid that closes in."""
FEW_LEARNERS = 64
SEARCH_MARGIN = 1.01
"""Of more than a few numbers of learners, those are searched for whole mini-batches whose real-valued T_C is within 1 %: where
T_C(M) has several minima (measured tables, memory that splits the samples) the real-valued search may end beside the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The fastest admissible mini-batch for a number of learners.

    Parameters
    ----------
    learners : float
        P.
    batch_samples : float
        M_opt, all learners.
    converge_time_s : float
        T_C(M_opt, P).
    branch : {"interior", "knee", "bound"}
        Where the optimum lies: T_C is flat there; at the knee of Gamma; at a bound.
    bound : str or None
        The bound that limits the answer: knee, one_sample_per_learner, memory, data_set, largest_measured, law_end, min_batch,
        max_batch, learners; None in the interior.
    """

    learners: float
    batch_samples: float
    converge_time_s: float
    branch: Branch
    bound: str | None


def best_batch(model: TimeToConverge, limits: Limits, learners: float) -> Optimum:
    """Find the fastest admissible mini-batch at `learners`.

    Parameters
    ----------
    model : TimeToConverge
        Any combination of laws; its `rounding` says whether M is real or whole.
    limits : Limits
        Bounds of the request.
    learners : float
        P, >= 1.

    Returns
    -------
    Optimum
        The global optimum of the closed form where one holds, else of the search.

    Raises
    ------
    InfeasibleError
        If no mini-batch is admissible, or T_C falls with M without end.
    """
    low, high = admissible_batch_samples(model, limits, learners)
    if model.rounding == "exact":
        M = float(fastest_real(model, *(np.asarray([float(value)]) for value in (learners, low[0], high[0])))[0])
    else:
        M = fastest_whole(model, float(learners), low[0], high[0])
    return _labelled(model, float(learners), M, low, high)


def _labelled(model: TimeToConverge, P: float, M: float, low: tuple[float, str], high: tuple[float, str]) -> Optimum:
    """Say whether M lies in the interior, at the knee or at a bound."""
    T = float(model.converge_time_s(M, P))
    local = float(model.local_samples(M, P))
    per_micro_batch = local / model.accumulation if model.accumulation != "auto" else local
    knee = getattr(model.compute, "knee_samples", 0.0)
    at_knee = bool(knee) and abs(per_micro_batch - knee) <= (1e-9 * knee if model.rounding == "exact" else 0.999)
    branch: Branch = "interior"
    bound: str | None = None
    at_highest = high[0] * (1 - 1e-9) <= M or (model.rounding != "exact" and high[0] < M + P)
    at_lowest = low[0] * (1 + 1e-9) >= M or (model.rounding != "exact" and low[0] > M - P)
    if at_knee and not (at_highest and _falls_beyond(model, M, P)):
        branch, bound = "knee", "knee"
    elif at_highest:
        branch, bound = "bound", high[1]
    elif at_lowest:
        branch, bound = "bound", low[1]
    return Optimum(learners=P, batch_samples=M, converge_time_s=T, branch=branch, bound=bound)


def _falls_beyond(model: TimeToConverge, M: float, P: float) -> bool:
    """Whether the real-valued T_C falls on with the mini-batch at M, were it not for the bound there."""
    real = relaxed(model)
    try:
        return float(real.converge_time_s(M * (1.0 + 1e-6), P)) < float(real.converge_time_s(M, P))
    except ValueError:  # the law itself ends here
        return True


def best_learners(
    model: TimeToConverge, limits: Limits, max_learners: int, *, candidates: Iterable[int] | None = None
) -> Optimum:
    """Find the fastest number of learners up to `max_learners`, each at its own best mini-batch; P = 1 is a candidate.

    Parameters
    ----------
    model, limits
        As in `best_batch`.
    max_learners : int
        Learners at hand, >= 1.
    candidates : iterable of int, optional
        Learners to compare instead of all from 1 to `max_learners`.

    Returns
    -------
    Optimum
        `bound` is "learners" where all of them are used, one more would be faster, and no bound limits the mini-batch.

    Notes
    -----
    Up to 4,096 learners each P is tried; beyond, all of a geometric grid, then every P between the neighbours of the best one,
    ever finer. Where T_C(P) has several minima above 4,096 learners the grid's best one is found.
    """
    if max_learners < 1:
        raise ValueError(f"max_learners must be >= 1, got {max_learners}")
    if candidates is not None:
        grid = np.unique(np.asarray(list(candidates), dtype=np.float64))
        if not len(grid):
            raise ValueError("candidates must hold at least one number of learners, got none")
    elif max_learners <= LARGEST_TRIED_LEARNERS:
        grid = np.arange(1.0, max_learners + 1.0)
    else:
        grid = np.unique(np.concatenate([np.arange(1.0, 65.0), np.round(np.geomspace(1.0, max_learners, 800))]))
    best, place = _fastest(model, limits, grid)
    while candidates is None and max_learners > LARGEST_TRIED_LEARNERS:
        left, right = float(grid[max(place - 1, 0)]), float(grid[min(place + 1, len(grid) - 1)])
        finer: FloatArray = np.unique(np.round(np.linspace(left, right, 65)))
        if len(finer) <= 3 or np.array_equal(finer, grid):
            break
        grid = finer
        best, place = _fastest(model, limits, grid)
    if candidates is None and best.branch != "bound" and best.learners == max_learners:
        try:
            one_more = best_batch(model, limits, max_learners + 1)
        except InfeasibleError:
            return best
        if one_more.converge_time_s < best.converge_time_s:
            return replace(best, bound="learners")
    return best


def _fastest(model: TimeToConverge, limits: Limits, grid: FloatArray) -> tuple[Optimum, int]:
    """Return the best of the learners in `grid` and its place; numbers without an admissible mini-batch are left out."""
    real = relaxed(model)
    P_tried, lows, highs = admissible_ranges(real, limits, grid)
    places = np.searchsorted(grid, P_tried)
    batches = fastest_real(real, P_tried, lows, highs)
    times_s = np.asarray(real.converge_time_s(batches, P_tried))
    order = np.argsort(times_s, kind="stable")
    if model.rounding == "exact":
        return best_batch(model, limits, float(P_tried[order[0]])), int(places[order[0]])
    best: tuple[Optimum, int] | None = None
    refusal: InfeasibleError | None = None
    for i in order:  # the real-valued T_C is a lower bound of the whole one, but for an evaluation pass and the search's margin
        P = float(P_tried[i])
        floor_s = (times_s[i] - float(real.cross_validation_time_s(P))) / SEARCH_MARGIN
        if best is not None and len(order) > FEW_LEARNERS and floor_s >= best[0].converge_time_s:
            break
        try:
            whole = best_batch(model, limits, P)
        except InfeasibleError as error:
            refusal = error
            continue
        if best is None or whole.converge_time_s < best[0].converge_time_s:
            best = whole, int(places[i])
    if best is None:
        assert refusal is not None
        raise refusal
    return best


def flat_range(model: TimeToConverge, limits: Limits, optimum: Optimum) -> tuple[float, float]:
    """Return the lowest and highest M of the connected piece around the optimum whose T_C is within 5 % of its T_C.

    Real M where the rounding is "exact"; otherwise mini-batches that divide evenly (whole samples on every learner), and the
    optimum itself.
    """
    P, M, ceiling_s = optimum.learners, optimum.batch_samples, FLAT_FACTOR * optimum.converge_time_s
    (lowest, _), (highest, _) = admissible_batch_samples(model, limits, P)
    highest = min(highest, LARGEST_SEARCHED_SAMPLES)
    if model.rounding == "exact":
        return (
            _edge(model, P, np.geomspace(M, lowest, 257), ceiling_s) if lowest < M else M,
            _edge(model, P, np.geomspace(M, highest, 257), ceiling_s) if highest > M else M,
        )
    m = np.floor(M / P * (1 + 1e-12))
    down = _last_within(model, P, M, m, float(ceil_whole(lowest / P)), -1.0, ceiling_s)
    up = _last_within(model, P, M, float(ceil_whole(M / P)), float(np.floor(highest / P * (1 + 1e-12))), 1.0, ceiling_s)
    return min(down, M), max(up, M)


def _edge(model: TimeToConverge, P: float, path: FloatArray, ceiling_s: float) -> float:
    """Last M along `path` (from the optimum outwards) with T_C <= `ceiling_s`, by bisection in log M."""
    within = np.asarray(model.converge_time_s(path, P)) <= ceiling_s
    if within.all():
        return float(path[-1])
    outside = int(np.argmin(within))
    inner, outer = np.log(path[outside - 1]), np.log(path[outside])
    for _ in range(60):
        middle = 0.5 * (inner + outer)
        if float(model.converge_time_s(np.exp(middle), P)) <= ceiling_s:
            inner = middle
        else:
            outer = middle
    return float(np.exp(inner))


def _last_within(model: TimeToConverge, P: float, M: float, start: float, stop: float, step: float, ceiling_s: float) -> float:
    """Last evenly divided mini-batch m P, m from `start` towards `stop`, before T_C exceeds `ceiling_s`.

    The first 65,536 local batches are tried one by one, those beyond on a geometric grid with bisection.
    """

    def within(local: Any) -> NDArray[np.bool_]:
        return np.asarray(model.converge_time_s(np.asarray(local, dtype=np.float64) * P, P)) <= ceiling_s

    if (stop - start) * step < 0 or stop < 1.0:
        return M
    near = start + step * np.arange(min(abs(stop - start) + 1.0, 65_536.0))
    good = within(near)
    if not good.all():
        first_out = int(np.argmin(good))
        return float(near[first_out - 1] * P) if first_out else M
    far = np.unique(np.round(np.geomspace(near[-1], stop, 4097)))[:: int(step)]
    good = within(far)
    if good.all():
        return float(far[-1] * P)
    first_out = int(np.argmin(good))
    inner, outer = float(far[first_out - 1]), float(far[first_out])
    while abs(outer - inner) > 1.0:
        middle = np.floor((inner + outer) / 2.0)
        if bool(within(np.asarray(middle))):
            inner = float(middle)
        else:
            outer = float(middle)
    return inner * P
