"""Speed of the network on one core, beside SimGrid's CPU seconds where it computed the same case.

A first call of each kind compiles the kernels (or loads their machine code) and is printed apart. SimGrid's seconds are
those of the shipped table; its C++ ran on another machine with two cores, so they are for orientation.

Run with: python benchmarks/network.py
"""

from __future__ import annotations

import resource
import time

import numpy as np

from simulator.network.alone import by_flows
from simulator.network.collectives import COLLECTIVES, halving_doubling, ring
from simulator.network.fabric import Job, collective_time, run_jobs
from simulator.network.programs import program
from simulator.network.schedules import Schedule
from simulator.network.topologies import Topology, k_ary_fat_tree, star, xgft
from simulator.validation.network import NETWORK_CASES, NetworkCase, read_network_cases, run_case

MIB = 2.0**20
M = 100 * MIB
B, A = 12.5e9, 1e-6


def tree(down: list[int], up: list[int]) -> Topology:
    """Fat tree with links of one kind."""
    return xgft(down, up, host_bandwidth_bytes_per_s=B, upper_bandwidth_bytes_per_s=B, host_latency_s=A, upper_latency_s=A)


def peak_mb() -> float:
    """Peak memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def line(name: str, path: str, seconds: float, messages: int, simgrid: float | None) -> None:
    """Print one row."""
    theirs = "-" if simgrid is None else f"{simgrid:.2f}"
    rate = f"{messages / seconds:,.0f}"
    print(f"{name:<58}  {path:<10}  {seconds:>8.3f}  {messages:>11,}  {rate:>15}  {theirs:>9}  {peak_mb():>7.0f}", flush=True)


def timed(name: str, topology: Topology, schedule: Schedule, simgrid: float | None = None, *, hosts: object = None) -> None:
    """Time a lone collective, program and routes included."""
    began = time.perf_counter()
    result = collective_time(topology, schedule, hosts=hosts)  # type: ignore[arg-type]
    line(name, result.path, time.perf_counter() - began, result.messages, simgrid)


def timed_case(case: NetworkCase) -> None:
    """Time a case of the table, eager."""
    began = time.perf_counter()
    results = run_case(case, "eager")
    line(case.row["case_id"], results[0].path, time.perf_counter() - began, case.row["messages"], case.row["cpu_s"])


def warm_up() -> None:
    """Compile everything, and say how long that took."""
    shuffled = np.random.default_rng(0).permutation(16)
    for name, topology, hosts in (("recurrence", tree([4, 4], [1, 4]), None), ("flows", tree([4, 4], [1, 2]), shuffled)):
        began = time.perf_counter()
        result = collective_time(topology, ring(16, M), hosts=hosts)
        assert result.path == name
        seconds = time.perf_counter() - began
        print(f"first call, {name}: {seconds:.2f} s (compiling, or loading what an earlier process compiled)")


def main() -> None:
    """Print the table."""
    warm_up()
    cases = {case.row["case_id"]: case for case in read_network_cases(NETWORK_CASES)}
    psco = COLLECTIVES["sharded_parameter_server"].schedule
    print(
        f"\n{'case':<58}  {'path':<10}  {'seconds':>8}  {'messages':>11}  {'messages/s':>15}  {'SimGrid s':>9}  {'peak MB':>7}"
    )
    star_1024, k16 = star(1024, bandwidth_bytes_per_s=B, latency_s=A), k_ary_fat_tree(16, bandwidth_bytes_per_s=B, latency_s=A)
    timed("ring, P = 1,024, star", star_1024, ring(1024, M))
    timed("ring, P = 1,024, k = 16 fat tree", k16, ring(1024, M), cases["s-k16-P1024-ring"].row["cpu_s"])
    for near_first in (True, False):
        schedule = halving_doubling(1024, M, near_first=near_first)
        timed(f"{schedule.name}, P = 1,024, k = 16 fat tree", k16, schedule)
    for name in ("s-ft1024x2-P1024-ring", "s-ft1024x2-P1024-rhd_near", "s-ft1024x2-P1024-rhd_far", "s-ft1024x2-P1024-tree"):
        timed_case(cases[name])
    print("drifting or sharing ranks")
    for name in (
        "s-ft256x2-P256-ring-shuffled", "s-ft256x2-P256-rhd_far-shuffled", "e-k8agg2-shuffled", "s-star-P256-psco",
        "s-k8-P128-psco", "s-k8-P128-a2a",
    ):  # fmt: skip
        timed_case(cases[name])
    rng = np.random.default_rng(1)
    ft256 = tree([16, 16], [1, 8])
    timed("psco, P = 256, 2:1, shuffled", ft256, psco(256, M), hosts=rng.permutation(256))
    late = psco(256, M).iterated(compute_s=rng.normal(0.1, 0.02, 256).clip(0))
    timed("psco, P = 256, 2:1, shuffled, stragglers", ft256, late, hosts=rng.permutation(256))
    timed("ring, P = 512, 2:1, shuffled", tree([32, 16], [1, 16]), ring(512, M), hosts=rng.permutation(512))
    timed("psco, P = 200 on 256 hosts, 4:1, shuffled", tree([16, 16], [1, 4]), psco(200, M), hosts=rng.permutation(256)[:200])
    # Nearly every message ends at a time of its own and moves thousands of others' rates: the hardest kind there is.
    timed("psco, P = 128 on 1,024 hosts, k = 16, shuffled", k16, psco(128, M), hosts=rng.permutation(1024)[:128])
    print("the event loop without its short cuts")
    for name, topology in (
        ("ring, P = 256, star", star(256, bandwidth_bytes_per_s=B, latency_s=A)),
        ("ring, P = 256, 2:1", ft256),
    ):
        began = time.perf_counter()
        found = program(topology, ring(256, M))
        by_flows(found, 0.0, "eager")
        line(name, "flows", time.perf_counter() - began, found.schedule.messages, None)
    two = [Job(schedule=ring(64, M), hosts=hosts) for hosts in np.split(np.random.default_rng(2).permutation(128), 2)]
    began = time.perf_counter()
    results = run_jobs(tree([4, 4, 8], [1, 4, 2]), two)
    line("two rings, P = 64 each, shuffled", "flows", time.perf_counter() - began, sum(r.messages for r in results), None)
    print("large")
    timed("ring, P = 16,384, three levels", tree([16, 32, 32], [1, 16, 16]), ring(16384, M))


if __name__ == "__main__":
    main()
