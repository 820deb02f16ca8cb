"""A simulation study of `fit updates`: do its 90 % intervals hold the truth nine times in ten?

Laws with random parameters are measured at random batch sizes with what real measurements have: a departure of each batch
size from the law (log-normal, 4.5 %) and the noise of runs (5 % of single runs, 10 runs each). Counted: how often the 90 %
profile interval of a parameter holds the parameter, and how often the interval of the mean holds the true law at a batch
size that was not measured. Run: python benchmarks/fit_coverage.py [data sets per row]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from simulator.calibration.measurements import MeasuredUpdates, UpdatesSeries, updates_series
from simulator.calibration.updates import fit_updates
from simulator.convergence import InverseLaw
from simulator.validation.rows import binomial95

DISCREPANCY, RUN_TO_RUN, RUNS = 0.045, 0.05, 10


@dataclass(frozen=True)
class Design:
    """Where batch sizes lie, in units of the critical one."""

    name: str
    lowest: float
    highest: float
    points: int


DESIGNS = (
    Design("4 points, 1/16 to 4 M_crit", 1 / 16, 4.0, 4),
    Design("8 points, 1/16 to 4 M_crit", 1 / 16, 4.0, 8),
    Design("16 points, 1/64 to 16 M_crit", 1 / 64, 16.0, 16),
    Design("6 points, 1/64 to 1/4 M_crit (floor hardly seen)", 1 / 64, 1 / 4, 6),
    Design("5 points, 1 to 16 M_crit (slope hardly seen)", 1.0, 16.0, 5),
)


def simulated(design: Design, rng: np.random.Generator) -> tuple[InverseLaw, UpdatesSeries]:
    """Return a random law and a series measured from it."""
    law = InverseLaw(
        n_inf_updates=float(np.exp(rng.uniform(np.log(1e2), np.log(1e5)))),
        alpha_samples=float(np.exp(rng.uniform(np.log(1e5), np.log(1e9)))),
    )
    law = InverseLaw(n_inf_updates=max(law.n_inf_updates, 1.0), alpha_samples=law.alpha_samples)
    sizes = law.critical_batch_samples * np.geomspace(design.lowest, design.highest, design.points)
    rows = []
    for M in sizes:
        mean = float(law.updates(M)) * float(np.exp(DISCREPANCY * rng.normal()))
        runs = mean * np.exp(RUN_TO_RUN * rng.normal(size=RUNS))
        rows.append(
            MeasuredUpdates(
                batch_samples=float(M), updates=float(np.mean(runs)), updates_std=float(np.std(runs, ddof=1)), runs=RUNS
            )
        )
    return law, updates_series("simulated", rows)


def main(sets: int) -> None:
    """Print the table."""
    low, high = binomial95(sets)
    print(f"{sets} data sets a row; a 90 % interval holds in {low:.3f} to {high:.3f} of them (central 95 % of the binomial)")
    print("| batch sizes | N_inf | alpha | M_crit | inside | twice the largest | 4 times |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for number, design in enumerate(DESIGNS):
        rng = np.random.default_rng(20_260 + number)
        held = np.zeros(6)
        for _ in range(sets):
            law, series = simulated(design, rng)
            fit = fit_updates(series)
            truth = {
                "n_inf_updates": law.n_inf_updates,
                "alpha_samples": law.alpha_samples,
                "critical_batch_samples": law.critical_batch_samples,
            }
            intervals = fit.profile_intervals90()
            for i, (name, value) in enumerate(truth.items()):
                interval = intervals[name]
                held[i] += interval.low <= value <= (np.inf if interval.high is None else interval.high)
            largest = series.batch_samples[-1]
            inside = float(np.exp(rng.uniform(np.log(series.batch_samples[0]), np.log(largest))))
            for i, M in enumerate((inside, 2.0 * largest, 4.0 * largest)):
                actual = float(law.updates(M)) * float(np.exp(DISCREPANCY * rng.normal()))
                low90, high90 = fit.predict(M)[0].mean_interval90
                held[3 + i] += low90 <= actual <= high90
        print(f"| {design.name} | " + " | ".join(f"{count / sets:.3f}" for count in held) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
