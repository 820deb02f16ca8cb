"""The fabric: paths, several jobs, callers with a clock, schedules that cannot end, and what a result says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import DeadlockError, TopologyError
from simulator.network.alone import by_flows, by_recurrence, by_symmetry
from simulator.network.collectives import COLLECTIVES, halving_doubling, parameter_server, ring
from simulator.network.fabric import Fabric, Job, collective_time, movement, run_jobs
from simulator.network.flows import FlowLevel, Protocol
from simulator.network.graphs import from_routes
from simulator.network.programs import program
from simulator.network.schedules import Schedule, Step, in_order, one_sided, step
from simulator.network.topologies import Topology, k_ary_fat_tree, star, xgft

PROTOCOLS: tuple[Protocol, ...] = ("eager", "rendezvous")
M = 1e8


def network(hosts: int = 16) -> Topology:
    return star(hosts, bandwidth_bytes_per_s=1e9, latency_s=1e-6)


def oversubscribed() -> Topology:
    return xgft(
        [4, 4],
        [1, 2],
        host_bandwidth_bytes_per_s=1e9,
        upper_bandwidth_bytes_per_s=1e9,
        host_latency_s=1e-6,
        upper_latency_s=1e-6,
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", [name for name in COLLECTIVES if name not in ("parameter_server", "tree")])
def test_symmetry_and_recurrence_answer_as_the_event_loop_does(name: str, protocol: Protocol) -> None:
    found = program(network(), COLLECTIVES[name].schedule(16, M))
    slow = by_flows(found, 2.0, protocol)
    for fast in (by_symmetry(found, 2.0), by_recurrence(found, 2.0, protocol)):
        if fast is None:
            assert name in ("all_to_all", "sharded_parameter_server")  # share links within a step: no recurrence
            continue
        for field in ("rank_end_s", "latency_s", "compute_s"):
            assert getattr(fast.times, field) == pytest.approx(getattr(slow.times, field), rel=1e-12, abs=1e-15)
        assert fast.full_s == pytest.approx(slow.full_s, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ranks_that_drift_without_sharing_are_a_recurrence(protocol: Protocol) -> None:
    rng = np.random.default_rng(1)
    for schedule in (ring(16, M), halving_doubling(16, M), COLLECTIVES["tree"].schedule(13, M)):
        late = schedule.iterated(rounds=2, compute_s=rng.uniform(0, 1, 2 * schedule.ranks), barrier=schedule.ranks == 13)
        found = program(k_ary_fat_tree(4, bandwidth_bytes_per_s=1e9, latency_s=1e-6), late, message_overhead_s=1e-5)
        assert by_symmetry(found, 0.0) is None
        fast, slow = by_recurrence(found, 0.0, protocol), by_flows(found, 0.0, protocol)
        if fast is not None:
            assert fast.times.rank_end_s == pytest.approx(slow.times.rank_end_s, rel=1e-12)
            assert fast.times.latency_s == pytest.approx(slow.times.latency_s, rel=1e-9)
            assert fast.times.compute_s == pytest.approx(slow.times.compute_s, rel=1e-9)
            assert fast.full_s == pytest.approx(slow.full_s, rel=1e-9)
    assert by_recurrence(program(network(), ring(16, M)), 0.0, protocol) is not None


def test_messages_that_meet_on_a_link_are_not_taken_for_a_recurrence() -> None:
    # Two senders to one receiver, in different steps, but at the same time: 0 -> 2 in step 0, 1 -> 2 in step 1.
    schedule = in_order("meet", 3, [step([0], [2], M), step([1], [2], M)])
    assert by_recurrence(program(network(3), schedule), 0.0, "eager") is None
    result = collective_time(network(3), schedule)
    assert result.path == "flows"
    assert result.time_s == pytest.approx(2e-6 + 2 * M / 1e9)
    # With rendezvous the second waits until rank 2 is through the first: no meeting.
    patient = collective_time(network(3), schedule, protocol="rendezvous")
    assert patient.path == "recurrence"
    assert patient.time_s == pytest.approx(2 * (2e-6 + M / 1e9))


def test_a_lone_collective_says_which_way_it_was_found() -> None:
    assert collective_time(network(), ring(16, M)).path == "symmetry"
    assert collective_time(k_ary_fat_tree(4, bandwidth_bytes_per_s=1e9, latency_s=1e-6), ring(16, M)).path == "recurrence"
    shuffled = [3, 14, 9, 1, 11, 6, 0, 13, 5, 8, 2, 15, 7, 10, 4, 12]
    assert collective_time(oversubscribed(), ring(16, M), hosts=shuffled).path == "flows"


def test_the_bottleneck_is_named_with_the_time_that_it_binds() -> None:
    # Four workers on two leaves, one server: its link down carries 4 M, then its link up 4 M, of a time of 8 M / b + 8 hops.
    tree = xgft([4, 2], [1, 4], host_bandwidth_bytes_per_s=1e9, upper_bandwidth_bytes_per_s=1e9)
    result = collective_time(tree, parameter_server(4, M), hosts=[0, 1, 4, 5, 2])
    assert result.bottleneck is not None
    assert result.bottleneck.name == "host 2 -> switch 1.0"
    assert result.bottleneck.share == pytest.approx(0.5)
    assert result.bottleneck.utilisation == pytest.approx(0.5)
    assert result.link_bytes[result.bottleneck.link] == pytest.approx(4 * M)
    assert result.time_s == pytest.approx(8 * M / 1e9)
    assert result.row()["bottleneck"] == "host 2 -> switch 1.0"


def test_a_result_splits_its_time_into_latency_transfer_and_computing() -> None:
    result = collective_time(
        network(4), ring(4, M).iterated(compute_s=[0.1, 0.2, 0.3, 0.4]), start_s=5.0, message_overhead_s=1e-3
    )
    # The slowest rank's computing, six steps of two links, one overhead and M/4 each.
    assert result.compute_s == pytest.approx(0.4)
    assert result.latency_s == pytest.approx(6 * (2e-6 + 1e-3))
    assert result.transfer_s == pytest.approx(6 * M / 4 / 1e9)
    assert result.start_s == 5.0
    assert result.time_s == pytest.approx(0.4 + 6 * (2e-6 + 1e-3) + 6 * M / 4e9)


def test_nothing_to_send_takes_no_time() -> None:
    result = collective_time(network(), ring(1, M))
    assert (result.time_s, result.bottleneck, result.messages) == (0.0, None, 0)
    assert collective_time(network(), ring(16, 0.0)).time_s == pytest.approx(30 * 2e-6)
    same_host = collective_time(network(), ring(2, M), hosts=[3, 3])
    assert same_host.time_s == 0.0


def test_two_messages_share_and_the_first_to_leave_frees_the_link() -> None:
    # 1e9 bytes/s shared by 1 GB from time 0 and 1 GB from 0.5: half rate from 0.5; ends 1.5 and 2.0.
    line = from_routes(2, {"x": (1e9, 0.0)}, {(0, 1): ["x"]})
    found = collective_time(line, one_sided([1e9, 1e9]), hosts=[0, 0, 1, 1], start_s=[0.0, 0.5, 0.0, 0.5])
    assert found.rank_end_s[2:] == pytest.approx([1.5, 2.0])


def posts(fabric: Fabric, jobs: Sequence[Job], clock: Sequence[float]) -> list[float]:
    """Post the jobs when they start while the clock visits all of `clock` besides; return their ends."""
    ends: dict[int, float] = {}
    at = sorted({*(float(np.min(job.start_s)) for job in jobs), *clock})
    pending = list(jobs)
    handles: dict[int, int] = {}
    for time in at:
        fabric.next_event_s()  # looks ahead, and must not matter
        ends |= {ended.handle: ended.result.end_s for ended in fabric.advance(time)}
        for job in [job for job in pending if float(np.min(job.start_s)) == time]:
            handles[fabric.post(job.schedule, hosts=job.hosts, start_s=job.start_s)] = jobs.index(job)
            pending.remove(job)
    ends |= {ended.handle: ended.result.end_s for ended in fabric.run()}
    return [ends[handle] for handle, _ in sorted(handles.items(), key=lambda item: item[1])]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_answer_does_not_depend_on_how_the_fabric_is_called(protocol: Protocol) -> None:
    rng = np.random.default_rng(3)
    places = [rng.permutation(16)[:8] for _ in range(4)]
    jobs = [
        Job(schedule=ring(8, M), hosts=places[0], start_s=0.0),
        Job(schedule=halving_doubling(8, M), hosts=places[1], start_s=0.05),
        Job(schedule=COLLECTIVES["sharded_parameter_server"].schedule(8, M), hosts=places[2], start_s=0.3),
        Job(schedule=ring(8, M), hosts=places[3], start_s=5.0),
    ]
    at_once = [result.end_s for result in run_jobs(oversubscribed(), jobs, protocol=protocol)]
    one_level = FlowLevel(oversubscribed(), protocol)
    for job in jobs:
        one_level.add(program(oversubscribed(), job.schedule, hosts=job.hosts), float(np.asarray(job.start_s)))
    one_level.run()
    assert at_once == pytest.approx([float(one_level.times(j).rank_end_s.max()) for j in range(4)], rel=1e-12)
    for clock in ([], [0.01, 0.06, 0.2], np.linspace(0, 6, 50).tolist()):
        fabric = Fabric(oversubscribed(), protocol=protocol)
        assert posts(fabric, jobs, clock) == pytest.approx(at_once, rel=1e-12)


def test_jobs_that_share_no_link_or_no_time_do_not_see_each_other() -> None:
    alone = collective_time(network(), ring(8, M))
    apart = run_jobs(
        network(),
        [
            Job(schedule=ring(8, M), hosts=np.arange(8)),
            Job(schedule=ring(8, M), hosts=np.arange(8, 16)),
            Job(schedule=ring(8, M), hosts=np.arange(4, 12), start_s=2 * alone.time_s),
        ],
    )
    assert [result.path for result in apart] == ["symmetry"] * 3
    assert [result.time_s for result in apart] == pytest.approx([alone.time_s] * 3, rel=1e-12)


def test_jobs_on_the_same_hosts_slow_each_other_down() -> None:
    alone = collective_time(network(), ring(8, M))
    both = run_jobs(network(), [Job(schedule=ring(8, M)), Job(schedule=ring(8, M))])
    assert [result.path for result in both] == ["flows", "flows"]
    for result in both:
        assert result.transfer_s == pytest.approx(2 * alone.transfer_s, rel=1e-9)


def test_a_long_run_of_alike_jobs_takes_the_memory_of_a_few() -> None:
    fabric = Fabric(network())
    schedule = ring(8, M)
    ended, started, most = 0, 0, 0
    for _ in range(2):
        fabric.post(schedule, start_s=started * 0.05)
        started += 1
    while ended < 40:
        now = fabric.next_event_s()
        most = max([most, *(len(group.level.programs) for group in fabric._groups if group.level is not None)])
        for _ in fabric.advance(now):
            ended += 1
            if started < 40:
                fabric.post(schedule, start_s=now)
                started += 1
    assert 2 <= most <= 4
    assert fabric.next_event_s() == np.inf


def test_a_job_is_carried_by_the_arrays_of_an_equal_one_that_is_over() -> None:
    level = FlowLevel(network(), "eager")
    one = program(network(), ring(8, M))
    first = level.add(one)
    level.run()
    end = level.times(first).rank_end_s.max()
    assert level.add(one, 10.0, reuse=True) == first
    level.run()
    assert level.times(first).rank_end_s.max() == pytest.approx(10.0 + end)


def crossing(*, receives_first: bool) -> Schedule:
    """Return two ranks that each send to the other and receive in the other order, one thing a step."""
    nobody = np.array([], dtype=np.int64)
    sends = Step(source=np.array([0, 1]), destination=np.array([1, 0]), bytes=np.full(2, M), receiver=nobody, sender=nobody)
    receives = Step(source=nobody, destination=nobody, bytes=np.empty(0), receiver=np.array([0, 1]), sender=np.array([1, 0]))
    return in_order("crossing", 2, [receives, sends] if receives_first else [sends, receives])


def test_sends_that_wait_for_each_other_are_named() -> None:
    eager = collective_time(network(2), crossing(receives_first=False))
    assert eager.time_s == pytest.approx(2e-6 + M / 1e9)
    message = (
        "the schedule cannot end: rank 0 waits in step 0 for rank 1 to receive in its step 1; "
        "rank 1 waits in step 0 for rank 0 to receive in its step 1"
    )
    with pytest.raises(DeadlockError, match=re.escape(message)):
        collective_time(network(2), crossing(receives_first=False), protocol="rendezvous")
    with pytest.raises(DeadlockError, match="rank 0 waits in step 0 for what rank 1 sends in its step 1; rank 1 waits"):
        collective_time(network(2), crossing(receives_first=True))


def test_messages_that_nobody_sends_or_receives_are_named() -> None:
    lonely = step([0], [1], M)
    nobody = np.array([], dtype=np.int64)
    unsent = in_order("unsent", 2, [replace(lonely, receiver=np.array([1, 1]), sender=np.array([0, 0]))])
    with pytest.raises(DeadlockError, match="rank 1 waits in step 0 for rank 0, which never sends it"):
        collective_time(network(2), unsent)
    unreceived = in_order("unreceived", 2, [replace(lonely, receiver=nobody, sender=nobody)])
    assert collective_time(network(2), unreceived).time_s == pytest.approx(2e-6 + M / 1e9)
    with pytest.raises(DeadlockError, match="rank 0 waits in step 0 for rank 1, which never receives it"):
        collective_time(network(2), unreceived, protocol="rendezvous")


def test_a_long_list_of_who_waits_is_cut() -> None:
    i = np.arange(12)
    nobody = np.array([], dtype=np.int64)
    waiting = Step(source=nobody, destination=nobody, bytes=np.empty(0), receiver=i, sender=(i + 1) % 12)
    with pytest.raises(DeadlockError, match=r"rank 7 waits in step 0 for rank 8, which never sends it; and 4 more ranks wait$"):
        collective_time(network(), in_order("waiting", 12, [waiting]))


def test_an_answer_that_hangs_on_a_tie_moves_and_others_do_not() -> None:
    assert movement(network(), [Job(schedule=ring(16, M))]) < 1e-11


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: collective_time(network(4), ring(5, M)),
            "ring needs 5 hosts, one for each rank, and the star of 4 hosts has 4",
        ),
        (lambda: collective_time(network(4), ring(2, M), hosts=[0, 4]), "hosts must be from 0 to 3, got 4"),
        (lambda: collective_time(network(4), ring(2, M), hosts=[0]), "hosts must name one host for each of 2 ranks, got 1"),
        (lambda: collective_time(network(4), ring(2, M), start_s=[0.0] * 3), "start_s must be one time or one for each of 2"),
        (lambda: collective_time(network(4), ring(2, M), start_s=float("nan")), "start_s must be finite, got nan"),
        (
            lambda: collective_time(network(4), ring(2, M), message_overhead_s=-1.0),
            "message_overhead_s must be finite and >= 0, got -1",
        ),
        (
            lambda: Fabric(network(4), protocol="eagre"),  # type: ignore[arg-type]
            "protocol must be one of eager, rendezvous, got 'eagre'",
        ),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_name(call: object, message: str) -> None:
    with pytest.raises((ValueError, TopologyError), match=f"^{re.escape(message)}"):
        call()  # type: ignore[operator]


def test_a_schedule_starts_now_unless_told_otherwise() -> None:
    fabric = Fabric(network())
    fabric.post(ring(4, M))
    first = fabric.run()[0].result
    fabric.post(ring(4, M))
    second = fabric.run()[0].result
    assert (first.start_s, second.start_s) == (0.0, first.end_s)
    assert second.time_s == pytest.approx(first.time_s, rel=1e-12)


def test_time_does_not_run_backwards() -> None:
    fabric = Fabric(network())
    fabric.advance(2.0)
    with pytest.raises(ValueError, match="start_s must be >= 2, the time reached, got 1"):
        fabric.post(ring(4, M), start_s=1.0)
    with pytest.raises(ValueError, match="to_s must be >= 2, the time reached, got 1"):
        fabric.advance(1.0)
