"""Speed of T_C over a grid (M, P) on one core, beside the bare NumPy expression of the same formula in the same run.

Run with: python benchmarks/grid.py
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from simulator import ConstantReduce, InverseLaw, KneeCompute, TimeToConverge
from simulator.overlap import HiddenOverlap, MaxOverlap, PowerOverlap

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


def main() -> None:
    """Print points per second and peak memory for grids of growing size."""
    law = InverseLaw(n_inf_updates=977.3, alpha_samples=4.446e7)
    compute = KneeCompute(gamma_s_per_sample=306.7e-6, knee_samples=20)
    base = TimeToConverge(convergence=law, compute=compute, reduce=ConstantReduce(delta_s=4e-3))
    models = {
        "sum": base,
        "power q = 2": replace(base, overlap=PowerOverlap(exponent=2.0)),
        "power q = 2.5": replace(base, overlap=PowerOverlap(exponent=2.5)),
        "max": replace(base, overlap=MaxOverlap()),
        "hidden": replace(base, overlap=HiddenOverlap(fraction=0.4)),
        "sum, whole": replace(base, rounding="whole"),
    }
    print(f"{'points':>10}  {'overlap':<14}  {'million points/s':>16}  {'bare NumPy':>10}  {'ratio':>5}  {'peak MB':>8}")
    for side in (300, 1000, 3200):
        M, P = np.geomspace(64, 65536, side)[:, None], np.geomspace(1, 4096, side)[None, :]
        if side == 3200:
            models = {name: models[name] for name in ("sum", "power q = 2.5")}

        def bare_sum(M: np.ndarray = M, P: np.ndarray = P) -> object:
            return (977.3 + 4.446e7 / M) * (306.7e-6 * np.maximum(M / P, 20.0) + np.where(P > 1, 4e-3, 0.0))

        def bare_power(M: np.ndarray = M, P: np.ndarray = P, q: float = 2.5) -> object:
            compute_s, reduce_s = 306.7e-6 * np.maximum(M / P, 20.0), np.where(P > 1, 4e-3, 0.0)
            return (977.3 + 4.446e7 / M) * (compute_s**q + reduce_s**q) ** (1 / q)

        for name, model in models.items():
            ours_s = median_s(lambda model=model: model.converge_time_s(np.round(M), np.round(P)))  # type: ignore[misc]
            bare_s = median_s(bare_power if name == "power q = 2.5" else bare_sum)
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rate = side * side / ours_s / 1e6
            print(
                f"{side * side:>10,}  {name:<14}  {rate:>16.1f}  {side * side / bare_s / 1e6:>10.1f}  "
                f"{ours_s / bare_s:>5.2f}  {peak_mb:>8.0f}"
            )


if __name__ == "__main__":
    main()
