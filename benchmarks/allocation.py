"""Speed of allocations on one core (CPU seconds), and how policies compare on loads drawn at random.

Static: a thousand jobs on 16,384 learners. Online: 10,000 jobs on 4,096 learners, the laws of the shipped Pollux workloads on
1,024 nodes of four T4, at a load that the cluster just carries, one that keeps it full, and one beyond it. The tables of T_C(P)
are made first and timed apart. The last table is what `marginal_gain.MarginalGain` refers to.

Run with: python benchmarks/allocation.py
"""

from __future__ import annotations

import resource
import time

import numpy as np

from simulator.quantities import FloatArray
from simulator.scenarios import load_scenario
from simulator.scenarios.allocations import data_centre
from simulator.studies.allocation.jobs import Job, Policy
from simulator.studies.allocation.lower_bound import mean_completion_bound_s
from simulator.studies.allocation.marginal_gain import MarginalGain, MarginalGainFixedBatch
from simulator.studies.allocation.online import schedule
from simulator.studies.allocation.options import IntArray, Options
from simulator.studies.allocation.policies import EqualShare, FirstComeFirstServed, ShortestRemainingTime
from simulator.studies.allocation.records import Rules
from simulator.studies.allocation.static import Objective, StaticJob, allocate

POLICIES: dict[str, Policy] = {
    "marginal-gain": MarginalGain(),
    "marginal-gain-fixed-batch": MarginalGainFixedBatch(),
    "equal": EqualShare(),
    "srtf": ShortestRemainingTime(),
    "fcfs": FirstComeFirstServed(),
}


def peak_mb() -> float:
    """Peak memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def static(learners: IntArray, *, jump: bool) -> list[StaticJob]:
    """A thousand jobs: work over P, a logarithm of P, and a jump at the node boundary or none."""
    rng = np.random.default_rng(1)
    jobs = []
    for j in range(1000):
        work, doubling = 10 ** rng.uniform(2, 6), 10 ** rng.uniform(-2, 2)
        time_s = work / learners + doubling * np.log2(learners) + (5 * doubling * (learners > 8) if jump else 0.0)
        jobs.append(StaticJob(name=str(j), options=Options(learners=learners, converge_time_s=time_s)))
    return jobs


def print_static() -> None:
    """Print how long a thousand jobs on 16,384 learners take."""
    objectives: tuple[Objective, ...] = ("mean_time", "makespan")
    for name, learners in (
        ("powers of two", 2 ** np.arange(15)),
        ("whole nodes of 8", np.arange(8, 16_385, 8)),
        ("single learners", np.arange(1, 16_385)),
    ):
        for jump in (True, False):
            jobs = static(learners, jump=jump)
            for objective in objectives:
                begun = time.process_time()
                found = allocate(jobs, 16_384, objective=objective)
                took_s = time.process_time() - begun
                shape = "jump at 8" if jump else "convex"
                print(f"{name:18}{shape:12}{objective:11}{found.method:22}gap {found.gap:.0e}{took_s:8.2f} s")


SCENARIO = """
schema = 1
[[workload]]
use = "pollux-cifar10"
[[workload]]
use = "pollux-deepspeech2"
[[workload]]
use = "pollux-yolov3"
[[workload]]
use = "pollux-bert"
[cluster]
node = "aws-g4dn.12xlarge"
nodes = 1024
[run]
accumulation = "auto"
[allocate]
restart_s = 30
[allocate.arrivals]
kind = "poisson"
per_hour = 1000
count = 10000
"""


def print_online() -> None:
    """Print how long 10,000 jobs on 4,096 learners take."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scenario.toml"
        file.write_text(SCENARIO, encoding="utf-8")
        begun = time.process_time()
        centre = data_centre(load_scenario(str(file)))
        print(f"tables of T_C(P), P = 1 to 4,096, for four workloads: {time.process_time() - begun:.1f} s")
    (day,) = centre.days
    for pace in (0.5, 1.0, 2.0):
        jobs = [Job(**{**{name: getattr(job, name) for name in FIELDS}, "arrival_s": job.arrival_s / pace}) for job in day.jobs]
        bound_s = mean_completion_bound_s(jobs, centre.rules.learners)
        for name, policy in POLICIES.items():
            begun = time.process_time()
            found = schedule(jobs, centre.rules, policy)
            took_s = time.process_time() - begun
            mean_s = float(np.mean(found.end_s - np.array([job.arrival_s for job in jobs])))
            used = found.learner_s.sum() / centre.rules.learners / (found.end_s.max() - jobs[0].arrival_s)
            print(
                f"{1000 * pace:5.0f} jobs/h  {name:26}{took_s:7.1f} s  {peak_mb():5.0f} MB  mean {mean_s / 3600:7.2f} h, "
                f"{mean_s / bound_s:6.1f} x bound, {used:4.0%} in use, {int(found.restarts.sum()):7d} restarts"
            )


FIELDS = ("name", "best", "own", "held", "work", "requested_learners", "weight", "deadline_s", "workload", "borrowed")


def drawn(seed: int, load: float) -> list[Job]:
    """400 jobs of six kinds on 64 learners, so many that the least learner-seconds are `load` of what there is."""
    rng = np.random.default_rng(seed)
    P = np.arange(1, 65)

    def curve() -> Options:
        time_s: FloatArray = (
            10 ** rng.uniform(3, 5.5) / P + 10 ** rng.uniform(0, 2.5) * np.log2(P) + 10 ** rng.uniform(0, 1.5) * (P > 4)
        )
        return Options(learners=P, converge_time_s=time_s)

    kinds = [curve() for _ in range(6)]
    chosen = rng.integers(0, 6, 400)
    gap_s = np.mean([float((one.learners * one.converge_time_s).min()) for one in kinds]) / 64 / load
    arrival_s = np.cumsum(rng.exponential(gap_s, 400))
    return [Job(name=str(j), arrival_s=float(arrival_s[j]), best=kinds[k]) for j, k in enumerate(chosen)]


def print_measures() -> None:
    """Print mean completion times of marginal gain, measured as a fraction of T_C or in seconds, beside equal shares."""
    for load in (0.3, 0.6, 0.9):
        for restart_s in (0.0, 30.0):
            ratios = []
            for seed in range(12):
                jobs = drawn(seed, load)
                rules = Rules(learners=64, restart_s=restart_s)
                arrival_s = np.array([job.arrival_s for job in jobs])
                means = [
                    float((schedule(jobs, rules, policy).end_s - arrival_s).mean())
                    for policy in (MarginalGain(), MarginalGain("seconds"), EqualShare())
                ]
                ratios.append([mean / means[0] for mean in means[1:]])
            seconds, equal = np.exp(np.mean(np.log(ratios), axis=0))
            words = f"gains in seconds {seconds:.2f}, equal shares {equal:.2f} times as long"
            print(f"load {load:.1f}, restarts of {restart_s:2.0f} s: {words}")


if __name__ == "__main__":
    print_online()
    print_static()
    print_measures()
