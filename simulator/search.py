"""The search for the fastest mini-batch: Eqn 9 where it holds, grids that close in on the best point elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.closed_forms import optimal_batch_samples
from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.overlap import SumOverlap
from simulator.quantities import FloatArray, ceil_whole
from simulator.time_to_converge import TimeToConverge

__all__ = ["LARGEST_SEARCHED_SAMPLES", "fastest_real", "fastest_whole", "relaxed"]

LARGEST_SEARCHED_SAMPLES = 1e18
FIRST_GRID_POINTS = 513
ZOOM_POINTS = 17
ZOOM_ROUNDS = 10
CHUNK_LEARNERS = 512
"""Numbers of learners searched at once: bounds the memory."""
PLATEAUS = 2000
"""Numbers of updates on either side of the optimum whose smallest mini-batch is tried, where not all are."""
LARGEST_ENUMERATION = 200_000
"""Whole local batches are all tried up to this many; beyond, those around the real-valued optimum and a geometric grid."""


def relaxed(model: TimeToConverge) -> TimeToConverge:
    """Return the same model with real M/P and updates."""
    return replace(model, rounding="exact")


def fastest_real(model: TimeToConverge, learners: FloatArray, lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """Minimise T_C over real M for each number of learners.

    Parameters
    ----------
    model : TimeToConverge
        With rounding "exact".
    learners, lowest, highest : ndarray, shape (n,)
        P and the admissible M at each; `highest` may be infinite.

    Returns
    -------
    ndarray, shape (n,)
        M_opt. The global optimum where Eqn 9 holds (T_C then has one minimum, so the bound nearest to it is best); elsewhere
        the best point of a logarithmic grid with every corner of the laws, refined between its neighbours.

    Raises
    ------
    InfeasibleError
        If T_C falls with M without end.
    """
    closed = _closed_form(model, learners)
    if closed is not None:
        return np.clip(closed, lowest, highest)
    found = [
        _zoom(model, learners[i : i + CHUNK_LEARNERS], lowest[i : i + CHUNK_LEARNERS], highest[i : i + CHUNK_LEARNERS])
        for i in range(0, len(learners), CHUNK_LEARNERS)
    ]
    return np.concatenate(found)


def _closed_form(model: TimeToConverge, P: FloatArray) -> FloatArray | None:
    """Return Eqn 9, or None where it does not hold."""
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
    overhead_s = model.reduce.reduce_time_s(P)
    if model.cross_validation:
        overhead_s = overhead_s + model.cross_validation_time_s(P) / model.cross_validation.every_updates
    return optimal_batch_samples(law, compute, overhead_s, P)


def _corners(model: TimeToConverge, P: FloatArray) -> FloatArray:
    """Return the mini-batches where T_C may bend or jump, shape (n, corners)."""
    local = list(model.compute.corners_samples)
    if model.accumulation == "auto":
        local += [model.micro_batch_samples * s for s in range(1, 65)]
    elif model.accumulation != 1:
        local += [corner * model.accumulation for corner in model.compute.corners_samples]
    whole = [*getattr(model.convergence, "batch_samples", ()), getattr(model.convergence, "critical_batch_samples", np.inf)]
    return np.concatenate([P[:, None] * np.asarray(local), np.broadcast_to(whole, (len(P), len(whole)))], axis=1)


def _zoom(model: TimeToConverge, P: FloatArray, lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """Close in on the best M of each row, all rows at once."""
    endless = ~np.isfinite(highest)
    low, high = lowest[:, None], np.where(endless, LARGEST_SEARCHED_SAMPLES, highest)[:, None]
    steps = np.linspace(0.0, 1.0, FIRST_GRID_POINTS)[None, :]
    grid = np.concatenate([low * (high / low) ** steps, _corners(model, P), low, high], axis=1)
    grid = np.sort(np.clip(grid, low, high), axis=1)
    rows, column = np.arange(len(P)), P[:, None]
    times = np.asarray(model.converge_time_s(grid, column))
    best = np.argmin(times, axis=1)
    # an endless fall shows as a minimum that rounding alone tells from the grid point before it
    before = times[rows, np.maximum(best - 1, 0)]
    saturated = (best > 0) & (before <= times[rows, best] * (1.0 + 1e-10)) & (times[:, -1] <= before)
    if np.any(endless & (saturated | (grid[rows, best] >= high[:, 0]))):
        raise InfeasibleError("T_C falls with the mini-batch without end: give max_batch_samples or another bound")
    M: FloatArray = grid[rows, best]
    T: FloatArray = times[rows, best]
    steps = np.linspace(0.0, 1.0, ZOOM_POINTS)[None, :]
    for _ in range(ZOOM_ROUNDS):
        left, right = _neighbours(grid, grid[rows, best])
        grid = np.clip(left[:, None] + (right - left)[:, None] * steps, low, high)
        times = np.asarray(model.converge_time_s(grid, column))
        best = np.argmin(times, axis=1)
        better = times[rows, best] < T * (1.0 - 1e-15)
        M, T = np.where(better, grid[rows, best], M), np.where(better, times[rows, best], T)
    if model.accumulation != "auto":
        return M
    # Gamma jumps at every multiple of what the memory holds: try those around
    full = P * model.micro_batch_samples
    grid = full[:, None] * (np.round(M / full)[:, None] + np.arange(-64.0, 65.0))
    grid = np.clip(np.concatenate([M[:, None], grid], axis=1), low, high)
    times = np.asarray(model.converge_time_s(grid, column))
    found: FloatArray = grid[rows, np.argmin(times, axis=1)]
    return found


def _neighbours(grid: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the nearest other points of each row's grid: corners and bounds may stand in it more than once."""
    below, above = (
        np.where(grid < at[:, None], grid, -np.inf).max(axis=1),
        np.where(grid > at[:, None], grid, np.inf).min(axis=1),
    )
    return np.where(np.isfinite(below), below, at), np.where(np.isfinite(above), above, at)


def fastest_whole(model: TimeToConverge, P: float, lowest: float, highest: float) -> float:
    """Minimise T_C over whole local batches m: at a given m the largest mini-batch, m P, needs the fewest updates."""

    def real() -> float:
        ends = (np.asarray([value]) for value in (P, lowest, highest))
        return float(fastest_real(relaxed(model), *ends)[0])

    if not np.isfinite(highest):
        highest = max(lowest, min(LARGEST_SEARCHED_SAMPLES, 64.0 * real()))
    first, last = float(ceil_whole(lowest / P)), float(np.floor(highest / P * (1 + 1e-12)))
    if last - first <= LARGEST_ENUMERATION:
        local = np.arange(first, last + 1.0)
    else:
        centre, side = np.floor(real() / P), LARGEST_ENUMERATION // 4
        window = np.arange(max(first, centre - side), min(last, centre + side) + 1.0)
        local = np.concatenate([np.floor(np.geomspace(max(first, 1.0), last, 2000)), window])
    corners = np.concatenate([_corners(model, np.asarray([P]))[0], [lowest, highest]])
    corners = corners[np.isfinite(corners)]
    if model.rounding == "whole":
        corners = np.concatenate([np.floor(corners), ceil_whole(corners)])
    candidates = np.unique(np.concatenate([local * P, corners]))
    if np.isfinite(model.input_samples_per_s) or last - first > LARGEST_ENUMERATION:
        # a few samples more can save an update, or cost time without saving one
        middle = real()
        fewest = _smallest_for_their_updates(model, middle, lowest, highest)
        near = np.floor(middle) + np.arange(-200.0, 201.0)
        candidates = np.unique(np.concatenate([candidates, fewest, P * ceil_whole(fewest / P), near]))
    candidates = candidates[(candidates >= lowest) & (candidates <= highest)]
    return float(candidates[int(np.argmin(model.converge_time_s(candidates, P)))])


def _smallest_for_their_updates(model: TimeToConverge, around: float, lowest: float, highest: float) -> FloatArray:
    """Return the smallest M of each number of updates (those nearest to the ones at `around`), by bisection."""
    step = model.cross_validation.every_updates if model.cross_validation and model.cross_validation.stops_run else 1.0
    most, least, middle = (float(model.updates(M)) for M in (lowest, highest, around))
    first, last = max(least, middle - PLATEAUS * step), min(most, middle + PLATEAUS * step)
    wanted = np.arange(first, last + step / 2.0, step)
    unit = 1.0 if model.rounding == "whole" else 1e-9 * around
    low, high = np.full(wanted.shape, lowest), np.full(wanted.shape, highest)  # updates(high) <= wanted
    while np.any(high - low > unit):
        middle_M = low + (high - low) / 2.0
        middle_M = np.floor(middle_M) if model.rounding == "whole" else middle_M
        enough = np.asarray(model.updates(middle_M)) <= wanted
        low, high = np.where(enough, low, middle_M), np.where(enough, middle_M, high)
    return np.concatenate([high, low])
