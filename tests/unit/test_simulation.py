"""Replications of jobs beside the closed form: causes that add up, what the others cost, what is kept of the first run."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.compute import CrossValidation
from simulator.engine.job import Failures, Noise, TrainingJob
from simulator.network.cluster_network import FabricDelta, PlacedRanks
from simulator.network.clusters import ClusterNetwork
from simulator.network.links import Link
from simulator.overlap import PowerOverlap
from simulator.studies.replications import Plan, generator
from simulator.studies.simulation import SharedNetwork, Simulation, Watched, answers, simulated
from tests.simulated import laws, small_job

LINK = Link(bandwidth_bytes_per_s=1e9)
TREE = ClusterNetwork(
    kind="xgft", nodes=8, accelerators_per_node=1, nics_per_node=1, host_link=LINK, upper_link=LINK, inner_link=None,
    down=(4, 2), up=(1, 1), radix=None, oversubscription=1.0, file=None, hashed=False, seed=0,
)  # fmt: skip
"""Eight hosts under two leaves, one cable from each leaf upwards."""


def noisy(**given: Any) -> TrainingJob:
    """100 updates, four learners, everything that a run can spend time on."""
    model = laws(
        100, overlap=PowerOverlap(exponent=2.0), cross_validation=CrossValidation(every_updates=10, samples=4, cost_ratio=0.5)
    )
    return small_job(
        model=model,
        noise=Noise(kind="lognormal", relative_sd=0.2, slow_learners={1: 1.5}),
        failures=Failures(node_mtbf_s=4000.0, nodes=4, checkpoint_every_s=30.0, checkpoint_s=1.0, restart_s=5.0),
        run_to_run_relative=0.1,
        **given,
    )


def across(name: str, hosts: tuple[int, ...], **given: Any) -> TrainingJob:
    """Two learners that send 0.5 GB through both leaves, 1 s alone; they compute for 1 s."""
    delta = FabricDelta(network=TREE, gradient_bytes=1e9, collective="ring", placement=PlacedRanks(kind="listed", hosts=hosts))
    return TrainingJob(name=name, model=laws(20, reduce=delta), batch_samples=2, learners=2, traffic=delta.traffic(2), **given)


def test_causes_add_up_to_what_the_mean_lies_above_the_closed_form() -> None:
    simulation = Simulation(jobs=(noisy(),), seed=3, plan=Plan(fewest=20, most=20))
    results = simulated(Watched(simulation=simulation))
    (found,) = answers(simulation, results)
    assert found.replications == 20
    assert found.converge_time_s.mean == pytest.approx(np.mean([row["jobs"][0]["converge_time_s"] for row in results]))
    more_s = found.converge_time_s.mean - found.closed_form_s
    assert sum(found.difference.values()) == pytest.approx(more_s, rel=1e-9)
    shares = found.shares
    total = shares.compute + shares.communication + shares.waiting + shares.cross_validation + shares.checkpoint + shares.lost
    assert total == pytest.approx(1.0, abs=1e-12)
    assert found.difference["waiting"] > 0.3 * 100  # the slow learner alone: 1.5 s against a mean of 1.125 s
    assert found.difference["compute"] == pytest.approx(12.5, rel=0.1)  # 100 updates of a mean of 1.125 s, not 1 s
    assert found.difference["checkpoint"] > 0
    assert found.difference["lost"] > 0
    assert found.difference["contention"] == 0.0
    assert found.failures > 0


def test_without_noise_there_is_no_difference_and_one_replication_is_like_another() -> None:
    simulation = Simulation(jobs=(small_job(),), plan=Plan(fewest=2, most=3))
    assert not simulation.is_random
    results = simulated(Watched(simulation=simulation))
    assert results[0] == results[1] == results[2]
    (found,) = answers(simulation, results)
    assert found.converge_time_s.mean == pytest.approx(found.closed_form_s, rel=1e-12)
    assert found.converge_time_s.lo == found.converge_time_s.hi == found.converge_time_s.mean


def test_more_updates_than_the_law_are_a_cause_of_their_own() -> None:
    simulation = Simulation(jobs=(small_job(run_to_run_relative=0.3),), seed=1, plan=Plan(fewest=40, most=40))
    (found,) = answers(simulation, simulated(Watched(simulation=simulation)))
    # nothing but the number of updates differs: each takes 1.25 s
    assert found.difference["updates"] == pytest.approx(1.25 * (found.updates.mean - 100.0), rel=1e-9)
    assert sum(map(abs, found.difference.values())) == pytest.approx(abs(found.difference["updates"]), rel=1e-9)


def test_contention_is_what_the_others_cost_with_the_same_draws() -> None:
    noise = Noise(kind="gamma", relative_sd=0.2)
    jobs = (across("a", (0, 4), noise=noise), across("b", (1, 5), noise=noise))
    network = SharedNetwork(network=TREE)
    both = Simulation(jobs=jobs, network=network, seed=5, plan=Plan(fewest=3, most=3))
    assert both.contends
    results = simulated(Watched(simulation=both))
    found = answers(both, results)
    for k, name in enumerate(("a", "b")):
        for number, row in enumerate(results):
            assert row["jobs"][k]["job"] == row["alone"][k]["job"] == name
            assert row["alone"][k]["seconds"]["compute"] == pytest.approx(row["jobs"][k]["seconds"]["compute"], rel=1e-12)
            assert row["alone"][k]["converge_time_s"] < row["jobs"][k]["converge_time_s"]
            if k == 0:  # the first job of several draws as the only one does
                alone = Simulation(jobs=jobs[:1], network=network, seed=5).replication(number)
                assert alone["jobs"][0] == row["alone"][0]
                assert alone["alone"] is None
        more_s = np.mean([row["jobs"][k]["converge_time_s"] - row["alone"][k]["converge_time_s"] for row in results])
        assert found[k].difference["contention"] == pytest.approx(more_s, rel=1e-9)
        # two rings of 2 that always met on the upper cables would need 2 s instead of 1 s for each of 20 updates
        assert 0 < more_s <= 20.0
        assert found[k].difference["overlap"] == pytest.approx(0.0, abs=1e-9)


def test_jobs_on_leaves_of_their_own_do_not_meet() -> None:
    jobs = (across("a", (0, 1)), across("b", (2, 3)))
    simulation = Simulation(jobs=jobs, network=SharedNetwork(network=TREE))
    for one in answers(simulation, simulated(Watched(simulation=simulation))):
        assert one.difference["contention"] == pytest.approx(0.0, abs=1e-9)
        assert one.converge_time_s.mean == pytest.approx(one.closed_form_s, rel=1e-9)


def test_the_first_replication_is_watched_and_not_changed_by_that(tmp_path: Path) -> None:
    simulation = Simulation(jobs=(noisy(mode="every_learner"),), seed=3)
    plain = Watched(simulation=simulation)(0)
    task = Watched(simulation=simulation, watches=True, trace=tmp_path / "trace.json", trace_updates=3)
    found = task(0)
    assert {key: found[key] for key in plain} == plain
    assert found["rows"][-1]["update"] == found["jobs"][0]["updates"]
    kept = found["spans"]
    assert {span["name"] for span in kept} >= {"compute", "wait"}
    assert max(span["update"] for span in kept) == 4
    events = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    learners = [event for event in events if event["ph"] == "X" and event["name"] == "compute"]
    assert max(event["args"]["update"] for event in learners) == 3
    assert "rows" not in task(1)
    assert json.loads(json.dumps(found)) == found


def test_rows_are_thinned_to_about_a_thousand() -> None:
    simulation = Simulation(jobs=(small_job(updates=12_345),))
    task = Watched(simulation=simulation, watches=True)
    assert task.thinning == 13
    updates = [row["update"] for row in task(0)["rows"]]
    assert updates == [*range(13, 12_345, 13), 12_345]


def test_a_simulation_goes_to_other_processes_whole() -> None:
    jobs = (across("a", (0, 4)), across("b", (1, 5)))
    task = Watched(simulation=Simulation(jobs=jobs, network=SharedNetwork(network=TREE), seed=5))
    again = pickle.loads(pickle.dumps(task))
    assert again(0) == task(0)


def test_any_executor_makes_the_replications() -> None:
    task = Watched(simulation=Simulation(jobs=(noisy(),), seed=3, plan=Plan(fewest=5, most=5)))
    with ThreadPoolExecutor(3) as threads:
        assert simulated(task, executor=threads, workers=3) == simulated(task, workers=1)


def test_one_more_replication_leaves_the_others_as_they_were() -> None:
    few = Simulation(jobs=(noisy(),), seed=3, plan=Plan(fewest=2, most=2))
    more = replace(few, plan=Plan(fewest=4, most=4))
    assert simulated(Watched(simulation=more))[:2] == simulated(Watched(simulation=few))
    other = replace(few, seed=4)
    assert simulated(Watched(simulation=other)) != simulated(Watched(simulation=few))
    assert generator(3, 0).random() != generator(3, 1).random()
