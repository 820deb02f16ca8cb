"""The fabric under SimPy's clock: alone it is the closed form, in competition it is what the network says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simpy

from simulator.engine.draws import Rows
from simulator.engine.fabric import SharedFabric
from simulator.engine.job import Failures, Noise, TrainingJob
from simulator.engine.ledger import Ledger
from simulator.engine.run import prepare, run_until_over, simulate, simulate_jobs, start
from simulator.engine.trace import MemoryRecorder
from simulator.errors import TopologyError
from simulator.network.cluster_network import FabricDelta, PlacedRanks
from simulator.network.clusters import ClusterNetwork, topology_of
from simulator.network.collectives import parameter_server, ring
from simulator.network.fabric import Fabric, Job, collective_time, run_jobs
from simulator.network.links import Link
from simulator.overlap import BucketOverlap, HiddenOverlap, MaxOverlap, PowerOverlap, SumOverlap
from simulator.time_to_converge import OverlapLaw
from tests.simulated import Listed, laws, small_job

LINK = Link(bandwidth_bytes_per_s=1e9, latency_s=1e-5)
NETWORK = ClusterNetwork(kind="xgft", nodes=16, host_link=LINK, upper_link=LINK, down=(4, 4), up=(1, 2))
TOPOLOGY = topology_of(NETWORK)
BYTES = 4e8


def placed(hosts: tuple[int, ...]) -> tuple[Job, ...]:
    """Traffic of learners on the listed hosts."""
    listed = PlacedRanks(kind="listed", hosts=hosts)
    return FabricDelta(network=NETWORK, gradient_bytes=BYTES, collective="ring", placement=listed).traffic(len(hosts))


def on_network(updates: int = 20, learners: int = 8, *, overlap: OverlapLaw | None = None, **given: Any) -> TrainingJob:
    delta = FabricDelta(network=NETWORK, gradient_bytes=BYTES, collective="ring")
    model = laws(updates, reduce=delta, overlap=overlap or SumOverlap())
    return small_job(learners=learners, model=model, traffic=delta.traffic(learners), **given)


@pytest.mark.parametrize(
    "overlap",
    [SumOverlap(), MaxOverlap(), PowerOverlap(exponent=3.0), HiddenOverlap(fraction=0.7), BucketOverlap(buckets=1)],
    ids=lambda law: type(law).__name__,
)
@pytest.mark.parametrize("mode", ["cohorts", "every_learner"])
def test_alone_on_its_fabric_a_job_takes_what_the_closed_form_says(overlap: OverlapLaw, mode: str) -> None:
    job = on_network(overlap=overlap, mode=mode)
    run = simulate_jobs([job], Fabric(TOPOLOGY, protocol="rendezvous"), rng=np.random.default_rng(1))[0]
    expected_s = float(replace(job.model, rounding="whole").converge_time_s(8, 8))
    assert run.converge_time_s == pytest.approx(expected_s, rel=1e-9)
    assert run.seconds.total_s == pytest.approx(run.converge_time_s, rel=1e-9)


@pytest.mark.parametrize("barrier", [True, False])
def test_each_bucket_on_a_fabric_pays_the_latency_of_its_own_collective(barrier: bool) -> None:
    overlap = BucketOverlap(buckets=3, backward_fraction=0.5, bucket_shares=(0.5, 0.3, 0.2))
    job = on_network(1, overlap=overlap, mode="every_learner", barrier=barrier)
    run = simulate_jobs([job], Fabric(TOPOLOGY, protocol="rendezvous"), rng=np.random.default_rng(1))[0]
    end_s = 0.0
    for share, ready_s in zip((0.5, 0.3, 0.2), (0.75, 0.9, 1.0), strict=True):
        alone_s = collective_time(TOPOLOGY, ring(8, BYTES * share), protocol="rendezvous").time_s
        end_s = max(end_s, ready_s) + alone_s
    assert run.converge_time_s == pytest.approx(end_s, rel=1e-9)


@pytest.mark.parametrize("barrier", [True, False])
@pytest.mark.parametrize("protocol", ["eager", "rendezvous"])
def test_competing_jobs_take_what_the_network_says_of_their_whole_schedules(barrier: bool, protocol: str) -> None:
    """The other way: all updates of both jobs as two schedules with rounds, which the network runs without any clock."""
    rng = np.random.default_rng(2)
    hosts = rng.permutation(16)
    computing = [rng.uniform(0.8, 1.2, (6, 8)), rng.uniform(0.7, 1.1, (5, 6))]
    schedules = [ring(8, BYTES), parameter_server(6, BYTES / 4, servers=2)]
    places = [hosts[:8], hosts[8:]]
    whole = [
        Job(schedule=one.iterated(rounds=len(times), compute_s=times, barrier=barrier), hosts=at, start_s=start_s)
        for one, times, at, start_s in zip(schedules, computing, places, (0.0, 0.3), strict=True)
    ]
    expected = [result.end_s for result in run_jobs(TOPOLOGY, whole, protocol=protocol)]  # type: ignore[arg-type]
    env = simpy.Environment()
    shared = SharedFabric(env, Fabric(TOPOLOGY, protocol=protocol))  # type: ignore[arg-type]
    runs = []
    for number, (one, times, at, start_s) in enumerate(zip(schedules, computing, places, (0.0, 0.3), strict=True)):
        model = laws(len(times))
        job = small_job(
            name=f"job {number}", learners=times.shape[1], model=replace(model, reduce=laws(1).reduce), mode="every_learner",
            traffic=(Job(schedule=one, hosts=at),), barrier=barrier, start_s=start_s,
        )  # fmt: skip
        ledger = Ledger(job.name, len(times), start_s, None)
        run = prepare(env, job, ledger, Rows(Listed(times)), Rows(Listed(times)), fabric=shared, serving=rng)
        start(run, rng)
        runs.append(run)
    run_until_over(env, runs)
    assert [run.end_s for run in runs] == pytest.approx(expected, rel=1e-9)


def test_competition_costs_time_and_is_communication() -> None:
    first = on_network(name="first", noise=Noise(kind="lognormal", relative_sd=0.01))
    apart = replace(first, name="apart", traffic=placed(tuple(range(8, 16))))
    meeting = [
        replace(first, name=name, traffic=placed(hosts))
        for name, hosts in (("x", (0, 4, 8, 12, 1, 5, 9, 13)), ("y", (2, 6, 10, 14, 3, 7, 11, 15)))
    ]

    def times(jobs: list[TrainingJob]) -> list[float]:
        runs = simulate_jobs(jobs, Fabric(TOPOLOGY, protocol="rendezvous"), rng=np.random.default_rng(5))
        assert all(run.seconds.total_s == pytest.approx(run.converge_time_s) for run in runs)
        return [run.seconds.communication for run in runs]

    alone = times([first])[0]
    assert times([first, apart]) == pytest.approx([alone, alone], rel=1e-9)  # blocks of hosts share no link
    across_alone = times(meeting[:1])[0]
    assert min(times(meeting)) > 1.3 * across_alone


def test_a_job_that_fails_on_a_fabric_goes_on() -> None:
    failures = Failures(node_mtbf_s=80.0, nodes=8, checkpoint_every_updates=5, checkpoint_s=0.5, restart_s=1.0)
    for mode, barrier in (("cohorts", True), ("every_learner", False)):
        job = on_network(40, mode=mode, barrier=barrier, failures=failures, noise=Noise(kind="exponential", relative_sd=0.2))
        run = simulate_jobs([job], Fabric(TOPOLOGY), rng=np.random.default_rng(5))[0]
        assert run.failures > 0
        assert run.seconds.total_s == pytest.approx(run.converge_time_s, rel=1e-9)


def test_traffic_has_spans() -> None:
    record = MemoryRecorder(span_updates=1)
    job = on_network(2, overlap=BucketOverlap(buckets=2, backward_fraction=0.5))
    simulate_jobs([job], Fabric(TOPOLOGY), rng=np.random.default_rng(1), record=record)
    network = [span for span in record.spans if span.process == "network"]
    assert [span.args for span in network] == [{"update": 1, "bucket": 0}, {"update": 1, "bucket": 1}]
    assert network[0].start_s == pytest.approx(0.75)
    assert network[1].start_s == pytest.approx(max(1.0, network[0].end_s))


def test_accelerators_of_a_learner_send_at_the_same_time() -> None:
    delta = FabricDelta(network=NETWORK, gradient_bytes=BYTES, collective="auto", accelerators_per_learner=2)
    job = small_job(learners=8, model=laws(5, reduce=delta), traffic=delta.traffic(8))
    assert len(job.traffic) == 2
    run = simulate_jobs([job], Fabric(TOPOLOGY, protocol="rendezvous"), rng=np.random.default_rng(1))[0]
    assert run.converge_time_s == pytest.approx(float(replace(job.model, rounding="whole").converge_time_s(8, 8)), rel=1e-9)
    assert delta.traffic(1) == ()


def test_more_learners_than_hosts_are_refused() -> None:
    delta = FabricDelta(network=NETWORK, gradient_bytes=BYTES, collective="ring")
    with pytest.raises(TopologyError, match=r"^learners must be at most 16, what the .* holds, got 17$"):
        delta.traffic(17)
    job = small_job(learners=17, model=laws(5), traffic=(Job(schedule=ring(17, BYTES)),))
    with pytest.raises(TopologyError, match=r"^ring needs 17 hosts, one for each rank, and the .* has 16$"):
        simulate_jobs([job], Fabric(TOPOLOGY), rng=np.random.default_rng(1))


def test_traffic_needs_a_fabric_and_a_new_one() -> None:
    job = on_network()
    with pytest.raises(ValueError, match=r"^fabric must be given where a job has traffic$"):
        simulate(job, rng=np.random.default_rng(1))
    used = Fabric(TOPOLOGY)
    used.advance(1.0)
    with pytest.raises(ValueError, match=r"^fabric must be a new one, got one whose time has begun$"):
        simulate_jobs([job], used, rng=np.random.default_rng(1))
