"""M_opt and the best number of learners: the fastest admissible mini-batch for any combination of laws.

Closed forms where Eqns 8 to 10 hold, a bracketed search elsewhere; both within the bounds of the request, the active one named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from simulator.closed_forms import optimal_batch_samples
from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.overlap import SumOverlap
from simulator.quantities import FloatArray, ceil_whole
from simulator.time_to_converge import TimeToConverge

__all__ = ["Branch", "Limits", "Optimum", "admissible_batch_samples", "best_batch", "best_learners", "flat_range"]

Branch = Literal["interior", "knee", "bound"]

EXTRAPOLATION_FACTOR = 2.0
"""A search goes no further than this multiple of the largest mini-batch that was measured."""
FLAT_FACTOR = 1.05
"""The flat range holds the mini-batches within 5 % of the best T_C."""
LARGEST_SEARCHED_SAMPLES = 1e18
FIRST_GRID_POINTS = 513
ZOOM_POINTS = 17
ZOOM_ROUNDS = 10
LARGEST_ENUMERATION = 20_000
"""Whole local batches are all tried up to this many; beyond, those around the real-valued optimum and a geometric grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the mini-batch that belong to the request, not to a law. None: not limited by it.

    Parameters
    ----------
    data_set_samples : float, optional
        A mini-batch holds each sample once at most.
    largest_measured_samples : float, optional
        Largest mini-batch behind the fitted law; the search ends at twice this.
    min_batch_samples, max_batch_samples : float, optional
        The user's own bounds.
    """

    data_set_samples: float | None = None
    largest_measured_samples: float | None = None
    min_batch_samples: float | None = None
    max_batch_samples: float | None = None


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


def admissible_batch_samples(
    model: TimeToConverge, limits: Limits, learners: float
) -> tuple[tuple[float, str], tuple[float, str]]:
    """Return ((lowest M, its bound), (highest M, its bound)) at `learners`; the highest may be infinite.

    Raises
    ------
    InfeasibleError
        If no mini-batch meets all bounds.
    """
    P = float(learners)
    law_lowest, law_highest = model.convergence.batch_samples_range
    lows = [(max(P, 1.0), "one_sample_per_learner"), (law_lowest, "law_end")]
    if limits.min_batch_samples is not None:
        lows.append((limits.min_batch_samples, "min_batch"))
    local_lowest, local_highest = getattr(model.compute, "local_samples_range", (0.0, np.inf))
    lows.append((local_lowest * P, "law_end"))
    if model.accumulation != "auto":
        lows[0] = (max(P * model.accumulation, 1.0), "one_sample_per_learner") if model.rounding != "exact" else lows[0]
        local_highest *= model.accumulation
    highs = [(law_highest, "law_end"), (local_highest * P, "law_end")]
    if model.accumulation != "auto":
        highs.append((P * model.max_local_samples * model.accumulation, "memory"))
    if limits.data_set_samples is not None:
        highs.append((limits.data_set_samples, "data_set"))
    if limits.largest_measured_samples is not None:
        highs.append((EXTRAPOLATION_FACTOR * limits.largest_measured_samples, "largest_measured"))
    if limits.max_batch_samples is not None:
        highs.append((limits.max_batch_samples, "max_batch"))
    low = max(lows, key=lambda bound: bound[0])
    high = min(highs, key=lambda bound: bound[0])
    if model.rounding == "whole":
        low, high = (float(ceil_whole(low[0])), low[1]), (float(np.floor(high[0] * (1 + 1e-12))), high[1])
    if low[0] > high[0]:
        raise InfeasibleError(
            f"no mini-batch is admissible for {P:g} learners: {_in_words(low[1], model)} asks for at least {low[0]:.6g} "
            f"samples, {_in_words(high[1], model)} allows at most {high[0]:.6g}; use fewer learners or move one of the two"
        )
    return low, high


def _in_words(bound: str, model: TimeToConverge) -> str:
    return {
        "one_sample_per_learner": "one sample per learner" + (" and micro-batch" if model.accumulation != 1 else ""),
        "memory": f"the memory ({model.max_local_samples:g} samples per learner)",
        "data_set": "the data set",
        "largest_measured": f"{EXTRAPOLATION_FACTOR:g} times the largest measured mini-batch",
        "law_end": "the range of the laws",
        "min_batch": "min_batch_samples",
        "max_batch": "max_batch_samples",
    }[bound]


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
        M = _closed_form(model, learners, low[0], high[0])
        if M is None:
            M = _search(model, learners, low[0], high[0])
    else:
        M = _search_whole(model, learners, low[0], high[0])
    return _labelled(model, float(learners), M, low, high)


def _closed_form(model: TimeToConverge, P: float, lowest: float, highest: float) -> float | None:
    """Eqn 9 within the bounds (T_C has one minimum, so the bound nearest to it is best), or None where it does not hold."""
    law, compute = model.convergence, model.compute
    if not (
        isinstance(law, InverseLaw)
        and law.n_inf_updates > 0
        and isinstance(compute, KneeCompute | AffineCompute)
        and isinstance(model.overlap, SumOverlap)
        and model.accumulation == 1
        and np.isinf(model.input_samples_per_s)
    ):
        return None
    overhead_s = float(model.reduce.reduce_time_s(P))
    if model.cross_validation:
        overhead_s += float(model.cross_validation_time_s(P)) / model.cross_validation.every_updates
    return float(np.clip(optimal_batch_samples(law, compute, overhead_s, P), lowest, highest))


def _corners(model: TimeToConverge, P: float, lowest: float, highest: float) -> FloatArray:
    """Mini-batches within the bounds where T_C may bend or jump."""
    corners = [P * corner for corner in model.compute.corners_samples]
    corners += list(getattr(model.convergence, "batch_samples", ()))
    corners += [getattr(model.convergence, "critical_batch_samples", np.inf)]
    if model.accumulation == "auto":
        corners += [P * model.max_local_samples * s for s in range(1, 65)]
    elif model.accumulation != 1:
        corners += [P * corner * model.accumulation for corner in model.compute.corners_samples]
    inside = np.asarray([corner for corner in corners if lowest < corner < highest], dtype=np.float64)
    return np.unique(np.concatenate([[lowest], inside, [highest]]))


def _search(model: TimeToConverge, P: float, lowest: float, highest: float) -> float:
    """Minimise T_C over real M: a logarithmic grid with the corners, then ever finer grids around its best point."""
    endless = not np.isfinite(highest)
    highest = LARGEST_SEARCHED_SAMPLES if endless else highest
    grid = np.geomspace(lowest, highest, FIRST_GRID_POINTS) if highest > lowest else np.asarray([lowest])
    grid = np.unique(np.clip(np.concatenate([grid, _corners(model, P, lowest, highest)]), lowest, highest))
    times = np.asarray(model.converge_time_s(grid, P))
    best = int(np.argmin(times))
    if endless and best >= len(grid) - 2:
        raise InfeasibleError("T_C falls with the mini-batch without end: give max_batch_samples or another bound")
    M, T = float(grid[best]), float(times[best])
    left, right = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    for _ in range(ZOOM_ROUNDS):
        grid = np.linspace(left, right, ZOOM_POINTS)
        times = np.asarray(model.converge_time_s(grid, P))
        best = int(np.argmin(times))
        if times[best] < T * (1.0 - 1e-15):
            M, T = float(grid[best]), float(times[best])
        left, right = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    return M


def _search_whole(model: TimeToConverge, P: float, lowest: float, highest: float) -> float:
    """Minimise T_C over whole local batches m: at a given m the largest mini-batch, m P, needs the fewest updates."""
    if not np.isfinite(highest):
        highest = max(lowest, min(LARGEST_SEARCHED_SAMPLES, 64.0 * _search(_relaxed(model), P, lowest, highest)))
    first, last = float(ceil_whole(lowest / P)), float(np.floor(highest / P * (1 + 1e-12)))
    if last - first <= LARGEST_ENUMERATION:
        local = np.arange(first, last + 1.0)
    else:
        centre = np.floor(_search(_relaxed(model), P, lowest, highest) / P)
        window = np.arange(max(first, centre - LARGEST_ENUMERATION // 4), min(last, centre + LARGEST_ENUMERATION // 4) + 1.0)
        local = np.concatenate([np.floor(np.geomspace(max(first, 1.0), last, 2000)), window])
    corners = _corners(model, P, lowest, highest)
    if model.rounding == "whole":
        corners = np.concatenate([np.floor(corners), ceil_whole(corners)])
    candidates = np.unique(np.concatenate([local * P, corners]))
    candidates = candidates[(candidates >= lowest) & (candidates <= highest)]
    if np.isfinite(model.input_samples_per_s):  # then fewer samples at the same whole updates can be faster
        real = _search(_relaxed(model), P, lowest, highest)
        near = np.clip(np.floor(real) + np.arange(-200.0, 201.0), lowest, highest)
        candidates = np.unique(np.concatenate([candidates, near]))
    return float(candidates[int(np.argmin(model.converge_time_s(candidates, P)))])


def _relaxed(model: TimeToConverge) -> TimeToConverge:
    """The same model with real M/P and updates."""
    return replace(model, rounding="exact")


def _labelled(model: TimeToConverge, P: float, M: float, low: tuple[float, str], high: tuple[float, str]) -> Optimum:
    """Say whether M lies in the interior, at the knee or at a bound."""
    T = float(model.converge_time_s(M, P))
    local = float(model.local_samples(M, P))
    per_micro_batch = local / model.accumulation if model.accumulation != "auto" else local
    knee = getattr(model.compute, "knee_samples", 0.0)
    at_knee = bool(knee) and abs(per_micro_batch - knee) <= (1e-9 * knee if model.rounding == "exact" else 0.999)
    branch: Branch = "interior"
    bound: str | None = None
    if at_knee:
        branch, bound = "knee", "knee"
    elif high[0] * (1 - 1e-9) <= M or (model.rounding != "exact" and high[0] < M + P):
        branch, bound = "bound", high[1]
    elif low[0] * (1 + 1e-9) >= M or (model.rounding != "exact" and low[0] > M - P):
        branch, bound = "bound", low[1]
    return Optimum(learners=P, batch_samples=M, converge_time_s=T, branch=branch, bound=bound)


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
        `bound` is "learners" where the mini-batch itself is in the interior and all learners are used.

    Notes
    -----
    Up to 2,048 learners each P is tried; beyond, all of a geometric grid, then every P between the neighbours of the best one,
    ever finer. Where T_C(P) has several minima above 2,048 learners the grid's best one is found.
    """
    if candidates is not None:
        grid = np.unique(np.asarray(list(candidates), dtype=np.float64))
    elif max_learners <= 2048:
        grid = np.arange(1.0, max_learners + 1.0)
    else:
        spread = np.round(np.geomspace(1.0, max_learners, 400))
        grid = np.unique(np.concatenate([np.arange(1.0, 65.0), spread]))
    relaxed = _relaxed(model)
    best, place = _fastest(model, relaxed, limits, grid)
    while candidates is None and max_learners > 2048:
        left, right = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
        finer: FloatArray = np.unique(np.round(np.linspace(float(left), float(right), 65)))
        if len(finer) <= 3 or np.array_equal(finer, grid):
            break
        grid = finer
        best, place = _fastest(model, relaxed, limits, grid)
    if best.branch == "interior" and best.learners == max_learners and max_learners > 1:
        return replace(best, bound="learners")
    return best


def _fastest(model: TimeToConverge, relaxed: TimeToConverge, limits: Limits, grid: FloatArray) -> tuple[Optimum, int]:
    """Return the best of the learners in `grid` and its place; numbers without an admissible mini-batch are left out."""
    found: dict[int, Optimum] = {}
    refusal: InfeasibleError | None = None
    for place, P in enumerate(grid):
        try:
            found[place] = best_batch(relaxed, limits, float(P))
        except InfeasibleError as error:
            refusal = refusal or error
    if not found:
        assert refusal is not None
        raise refusal
    order = sorted(found, key=lambda place: found[place].converge_time_s)
    if model.rounding == "exact":
        return found[order[0]], order[0]
    best: tuple[Optimum, int] | None = None
    for place in order:  # the real-valued T_C is a lower bound of the whole one, but for at most one evaluation pass
        P = found[place].learners
        slack_s = float(relaxed.cross_validation_time_s(P))
        if best is not None and found[place].converge_time_s - slack_s >= best[0].converge_time_s:
            break
        try:
            whole = best_batch(model, limits, P)
        except InfeasibleError as error:
            refusal = error
            continue
        if best is None or whole.converge_time_s < best[0].converge_time_s:
            best = whole, place
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
    """Last evenly divided mini-batch m P, m from `start` to `stop`, before T_C exceeds `ceiling_s`."""
    last, block = M, 1024.0
    m = start
    while (m <= stop) if step > 0 else (m >= stop and m >= 1.0):
        edge = min(m + block, stop) if step > 0 else max(m - block, stop, 1.0)
        local = np.arange(m, edge + step / 2, step)
        within = np.asarray(model.converge_time_s(local * P, P)) <= ceiling_s
        if not within.all():
            first_out = int(np.argmin(within))
            return float(local[first_out - 1] * P) if first_out else last
        last, m, block = float(local[-1] * P), edge + step, block * 4
    return last
