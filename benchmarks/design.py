"""Speed of a design: a catalogue of 12 nodes, 8 networks, 8 oversubscriptions and every count up to 8,192; a continuous design.

Seconds are of one core (CPU time of this process). Run with: OMP_NUM_THREADS=1 python benchmarks/design.py
"""

from __future__ import annotations

import tempfile
import time
from math import inf
from pathlib import Path

import numpy as np

from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.scenarios import load_scenario
from simulator.scenarios.catalogue import catalogue_of, request_of
from simulator.studies.continuous.design import continuous_design
from simulator.studies.continuous.problem import Component, ContinuousProblem, Lever, Objective
from simulator.studies.continuous.times import Growth, TrainingTime
from simulator.studies.discrete.search import search

SCENARIO = """\
schema = 1
title = "12 nodes, 8 networks, 8 oversubscriptions, 8,192 counts"
[[workload]]
use = "resnet50-mlperf"
[design]
budget_usd = 1e8
[design.choose]
node = ["hgx-h100-2025", "dgx-h100", "hgx-h200", "dgx-b200", "mi300x-8", "hgx-a100-640", "dgx-a100-640", "dgx-a100-320",
        "dgx1-v100", "dgx1-v100-32", "dgx1-p100", "gaudi3-8"]
nodes = { min = 1, max = 8192 }
network = ["ib-ndr", "ib-hdr", "ib-edr", "ib-fdr", "roce400", "roce200", "roce100", "opa100"]
switch = ["qm9700", "qm8700", "sb7800", "sx6036", "sn5400", "sn3700", "sn2700", "opa-edge48"]
topology = ["fat_tree"]
oversubscription = [1, 1.5, 2, 3, 4, 5, 6, 8]
[network]
inner_link = { bandwidth_bytes_per_s = "100 GB/s", latency_s = "2 us" }
[reduce]
kind = "fabric"
OVERLAP
[cost]
kind = "purchase"
"""


def catalogue_search(overlap: str) -> None:
    """Time the search with one kind of overlap."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "design.toml"
        path.write_text(SCENARIO.replace("OVERLAP", overlap), encoding="utf-8")
        scenario = load_scenario(str(path))
        start = time.process_time()
        catalogue, request = catalogue_of(scenario), request_of(scenario)
        built = time.process_time()
        found = search(catalogue, request)
        ended = time.process_time()
    print(
        f"{overlap or 'sum'}: {found.compared:,} designs, {len(catalogue.options):,} options; catalogue {built - start:.1f} s, "
        f"search {ended - built:.1f} s; best {found.best[0]}"
    )


def continuous() -> None:
    """Time a continuous design of two workloads and three components, and the paper's own of one workload and two."""
    times = tuple(
        TrainingTime(name=f"job {i}", convergence=InverseLaw(n_inf_updates=10.0**n, alpha_samples=6.4e6), knee_samples=8.0,
                     delta={"delta_s": 1.0, "inner_s": 1.0})
        for i, n in enumerate((2, 3))
    )  # fmt: skip
    levers = tuple(
        Lever(name=name, lowest=low, highest=high)
        for name, low, high in (
            ("learners", 1, 1e5), ("gamma_s_per_sample", 1e-4, 0.1), ("delta_s", 1e-5, 1e2), ("inner_s", 1e-6, 1e2),
        )
    )  # fmt: skip
    components = (
        Component(
            name="compute", levers=("learners", "gamma_s_per_sample"),
            cost_usd=lambda P, gamma: P * (2_000 + 8_000 * (0.01 / gamma) ** 1.5),
        ),
        Component(name="outer", levers=("delta_s",), cost_usd=lambda delta: 5_000 / delta, network=True),
        Component(name="inner", levers=("inner_s",), cost_usd=lambda delta: 200 / delta**0.7, network=True),
    )  # fmt: skip
    problem = ContinuousProblem(workloads=times, levers=levers, components=components, objective="worst_time", budget_usd=2e6)
    for label in ("first, with imports", "again"):
        start = time.process_time()
        found = continuous_design(problem)
        seconds = time.process_time() - start
        print(f"continuous design, {label}: {seconds:.3f} s, gains equal within {found.certificate.equal_within:.1e}")


def random_problem(rng: np.random.Generator) -> ContinuousProblem:
    """Draw a problem: one to three workloads, three or four levers, every objective, limits of all kinds, all bounds of M."""

    def decades(low: float, high: float) -> float:
        return float(10.0 ** rng.uniform(low, high))

    growths: tuple[Growth, ...] = ("constant", "linear", "log")
    inner = bool(rng.random() < 0.6)
    times = tuple(
        TrainingTime(
            name=f"job {i}",
            convergence=InverseLaw(n_inf_updates=decades(1, 5), alpha_samples=decades(4, 9)),
            knee_samples=decades(0, 2.5),
            gamma={"gamma_s_per_sample": decades(-1, 1)},
            delta={"delta_s": decades(-1, 1), **({"inner_s": 1.0} if inner else {})},
            reduce=growths[rng.integers(3)],
            max_batch_samples=decades(3, 6) if rng.random() < 0.3 else inf,
            max_local_samples=decades(2, 4) if rng.random() < 0.3 else inf,
            weight=float(rng.uniform(0.2, 3)),
        )
        for i in range(rng.integers(1, 4))
    )
    lowest, highest = (1e-4, 0.1) if rng.random() < 0.7 else (0.01, 0.01)
    levers = [
        Lever(name="learners", lowest=1, highest=decades(1.5, 5)),
        Lever(name="gamma_s_per_sample", lowest=lowest, highest=highest),
        Lever(name="delta_s", lowest=1e-5, highest=1e2),
    ]
    p, base, e, b, k = decades(2.5, 4.5), rng.integers(2) * 1e3, rng.uniform(0.5, 2.2), decades(2, 5), rng.uniform(0.5, 1.5)
    components = [
        Component(
            name="compute", levers=("learners", "gamma_s_per_sample"),
            cost_usd=lambda P, gamma: P * (base + p * (0.01 / gamma) ** e),
            power_w=lambda P, gamma: 700 * P * (0.01 / gamma) ** 0.5,
        ),
        Component(name="outer", levers=("delta_s",), cost_usd=lambda delta: b / delta**k, network=True),
    ]  # fmt: skip
    if inner:
        levers.append(Lever(name="inner_s", lowest=1e-6, highest=1e2))
        components.append(Component(name="inner", levers=("inner_s",), cost_usd=lambda delta: 200 / delta**0.7, network=True))
    objectives: tuple[Objective, ...] = ("mean_time", "weighted_time", "worst_time", "cost")
    objective = objectives[rng.integers(4)]
    return ContinuousProblem(
        workloads=times, levers=tuple(levers), components=tuple(components), objective=objective,
        budget_usd=decades(4.5, 8) if objective != "cost" else inf,
        deadline_s=decades(3, 8) if objective == "cost" or rng.random() < 0.2 else inf,
        power_max_w=decades(4, 7) if rng.random() < 0.4 else inf,
    )  # fmt: skip


def many_continuous(count: int) -> None:
    """Time random continuous designs: the middle, the slowest, and how nearly their gains are equal."""
    seconds, equal, infeasible = [], [], 0
    for seed in range(count):
        problem = random_problem(np.random.default_rng(seed))
        start = time.process_time()
        try:
            equal.append(continuous_design(problem).certificate.equal_within)
        except InfeasibleError:
            infeasible += 1
        seconds.append(time.process_time() - start)
    print(
        f"{count:,} random continuous designs, {infeasible} infeasible: median {np.median(seconds):.4f} s, 99 % below "
        f"{np.quantile(seconds, 0.99):.3f} s, slowest {max(seconds):.3f} s; gains equal within {max(equal):.1e}"
    )


if __name__ == "__main__":
    continuous()
    many_continuous(2_000)
    for overlap in ("", 'overlap = { kind = "power", exponent = 2.0 }'):
        catalogue_search(overlap)
