"""Speed of the simulation on one core, in CPU seconds of this process: other processes on the machine hardly count.

Run with: python benchmarks/engine.py
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw
from simulator.engine.job import Failures, Hiccups, Noise, TrainingJob
from simulator.engine.run import Replication, simulate, simulate_jobs
from simulator.engine.trace import MemoryRecorder, Recorder
from simulator.network.cluster_network import FabricDelta, PlacedRanks
from simulator.network.clusters import ClusterNetwork, topology_of
from simulator.network.fabric import Fabric
from simulator.network.laws import ConstantReduce
from simulator.network.links import Link
from simulator.time_to_converge import ReduceModel, TimeToConverge

LINK = Link(bandwidth_bytes_per_s=12.5e9, latency_s=1e-6)
NOISE = Noise(kind="lognormal", relative_sd=0.02)


def job(learners: int, updates: int, reduce: ReduceModel) -> TrainingJob:
    """A job of so many updates, 32 samples of 1 ms for each learner."""
    model = TimeToConverge(
        convergence=InverseLaw(n_inf_updates=updates, alpha_samples=1e-15),
        compute=KneeCompute(gamma_s_per_sample=1e-3, knee_samples=8),
        reduce=reduce,
    )
    return TrainingJob(name="job", model=model, batch_samples=32 * learners, learners=learners, noise=NOISE)


def timed(what: str, run: Callable[[], Replication], learners: int, record: MemoryRecorder | None = None) -> None:
    """Time a run and print its line."""
    began = time.process_time()
    found = run()
    seconds = time.process_time() - began
    done = found.updates + found.redone_updates
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = sum(len(portion) for portion in record.portions) if record else 0
    rate = done / seconds
    print(f"{what:<66}  {seconds:>7.2f}  {rate:>11,.0f}  {rate * learners:>17,.0f}  {rows:>8,}  {peak_mb:>6.0f}", flush=True)


def main() -> None:
    """Print the table."""
    print(f"{'run':<66}  {'CPU s':>7}  {'updates/s':>11}  {'learner-updates/s':>17}  {'rows':>8}  {'MB':>6}")

    def seeded(one: TrainingJob, record: Recorder | None = None) -> Replication:
        return simulate(one, rng=np.random.default_rng(1), record=record)

    tree = ClusterNetwork(
        kind="xgft", nodes=16_384, host_link=LINK, upper_link=LINK, down=(16, 32, 32), up=(1, 16, 16)
    )  # fmt: skip

    def large() -> Replication:
        delta = FabricDelta(network=tree, gradient_bytes=100e6, collective="ring")
        return seeded(job(16_384, 100_000, delta))

    timed("16,384 learners, 100,000 updates, ring on three levels, cohorts", large, 16_384)
    law = ConstantReduce(delta_s=5e-3)
    alike = job(16_384, 100_000, law)
    timed("the same, Delta by a law", lambda: seeded(alike), 16_384)
    rows = MemoryRecorder()
    timed("the same, a row for each update", lambda: seeded(alike, rows), 16_384, rows)
    timed("the same, event by event", lambda: seeded(alike, MemoryRecorder(row_every_updates=0, span_updates=1)), 16_384)
    for kind in ("gamma", "exponential"):
        noisy = replace(alike, noise=Noise(kind=kind, relative_sd=0.5))
        timed(f"the same, {kind} noise", lambda noisy=noisy: seeded(noisy), 16_384)  # type: ignore[misc]
    struck = replace(alike, noise=replace(NOISE, hiccups=Hiccups(per_learner_hour=0.1, duration_s=2.0, tail=1.5)))
    timed("the same, hiccups", lambda: seeded(struck), 16_384)
    failures = Failures(node_mtbf_s=2e6, nodes=2048, checkpoint_every_s=60.0, checkpoint_s=1.0, restart_s=60.0)
    timed("the same, failures every 16 min", lambda: seeded(replace(alike, failures=failures)), 16_384)
    every = replace(job(1000, 1000, law), mode="every_learner")
    timed("1,000 learners, 1,000 updates, every learner", lambda: seeded(every), 1000)
    timed("the same, hiccups", lambda: seeded(replace(every, noise=struck.noise)), 1000)
    many = replace(job(16_384, 50, law), mode="every_learner")
    timed("16,384 learners, 50 updates, every learner", lambda: seeded(many), 16_384)

    small = ClusterNetwork(kind="xgft", nodes=64, host_link=LINK, upper_link=LINK, down=(8, 8), up=(1, 4))
    hosts = np.random.default_rng(2).permutation(64).tolist()

    def contending() -> Replication:
        jobs = []
        for name, places in (("a", hosts[:32]), ("b", hosts[32:])):
            placement = PlacedRanks(kind="listed", hosts=tuple(places))
            delta = FabricDelta(network=small, gradient_bytes=100e6, collective="ring", placement=placement)
            jobs.append(replace(job(32, 50, delta), name=name, traffic=delta.traffic(32)))
        return simulate_jobs(jobs, Fabric(topology_of(small)), rng=np.random.default_rng(1))[0]

    timed("two jobs of 32 learners, 50 updates each, shuffled over one 2:1 tree", contending, 64)


if __name__ == "__main__":
    main()
