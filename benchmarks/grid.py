"""Speed of T_C over a grid (M, P) on one core, beside the bare NumPy expression of the same formula in the same run.

Element-wise NumPy runs on one thread, so nothing has to be pinned.

Run with: python benchmarks/grid.py
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from simulator import ConstantReduce, InverseLaw, KneeCompute, TimeToConverge
from simulator.overlap import HiddenOverlap, MaxOverlap, PowerOverlap
from simulator.quantities import FloatArray

REPEATS = 7


def median_s(work: Callable[[], object]) -> float:
    """Median seconds of a few repetitions after one warm-up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def bare(M: FloatArray, P: FloatArray, exponent: float) -> FloatArray:
    """Return T_C by the bare expression, without checks or choices."""
    compute_s, reduce_s = 306.7e-6 * np.maximum(M / P, 20.0), np.where(P > 1, 4e-3, 0.0)
    joined_s = compute_s + reduce_s if exponent == 1.0 else (compute_s**exponent + reduce_s**exponent) ** (1.0 / exponent)
    return (977.3 + 4.446e7 / M) * joined_s


def main() -> None:
    """Print points per second and peak memory for grids of growing size."""
    base = TimeToConverge(
        convergence=InverseLaw(n_inf_updates=977.3, alpha_samples=4.446e7),
        compute=KneeCompute(gamma_s_per_sample=306.7e-6, knee_samples=20),
        reduce=ConstantReduce(delta_s=4e-3),
    )
    models = {
        "sum": (base, 1.0),
        "power q = 2.5": (replace(base, overlap=PowerOverlap(exponent=2.5)), 2.5),
        "power q = 2": (replace(base, overlap=PowerOverlap(exponent=2.0)), 2.0),
        "max": (replace(base, overlap=MaxOverlap()), 1.0),
        "hidden": (replace(base, overlap=HiddenOverlap(fraction=0.4)), 1.0),
        "sum, whole": (replace(base, rounding="whole"), 1.0),
    }
    print(f"{'points':>10}  {'overlap':<14}  {'million points/s':>16}  {'bare NumPy':>10}  {'ratio':>5}  {'peak MB':>8}")
    for side in (300, 1000, 3200):
        M, P = np.round(np.geomspace(64, 65536, side))[:, None], np.round(np.geomspace(1, 4096, side))[None, :]
        for name, (model, exponent) in list(models.items())[: 2 if side == 3200 else None]:
            ours_s = median_s(partial(model.converge_time_s, M, P))
            bare_s = median_s(partial(bare, M, P, exponent))
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            points = side * side
            print(
                f"{points:>10,}  {name:<14}  {points / ours_s / 1e6:>16.1f}  {points / bare_s / 1e6:>10.1f}  "
                f"{ours_s / bare_s:>5.2f}  {peak_mb:>8.0f}"
            )


if __name__ == "__main__":
    main()
