"""A simulated run: seeds and streams, rows and spans, failures on the way, jobs that cannot go on."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import simpy

from simulator.compute import CrossValidation
from simulator.engine.draws import LearnerDraws, Rows
from simulator.engine.job import Failures, Hiccups, Mode, Noise
from simulator.engine.ledger import Ledger
from simulator.engine.processes import ComputeUnit, Meeting, learner
from simulator.engine.run import prepare, run_until_over, simulate, simulate_jobs, start
from simulator.engine.trace import MemoryRecorder
from simulator.errors import DeadlockError, SimulatorError
from simulator.network.laws import ConstantReduce, LinearReduce
from simulator.overlap import BucketOverlap
from tests.simulated import Listed, laws, small_job
from tests.support import ROOT

NOISE = Noise(kind="lognormal", relative_sd=0.3, hiccups=Hiccups(per_learner_hour=200.0, duration_s=0.5, tail=1.5))

RUN = """
import numpy as np
from simulator.engine.job import Failures
from simulator.engine.run import simulate
from simulator.engine.trace import MemoryRecorder
from tests.simulated import small_job
from tests.unit.test_engine_run import NOISE
for mode in ("cohorts", "every_learner"):
    record = MemoryRecorder(span_updates=3)
    failures = Failures(node_mtbf_s=50.0, nodes=2, checkpoint_every_s=5.0, checkpoint_s=0.1, restart_s=1.0)
    job = small_job(100, 5, noise=NOISE, mode=mode, failures=failures, run_to_run_relative=0.1)
    print(simulate(job, rng=np.random.default_rng(4), record=record), record.spans)
    print([float(x).hex() for x in record.column("end_s")])
"""


def test_the_same_seed_gives_the_same_bytes_in_any_process() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", RUN], capture_output=True, text=True, check=True, cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 1000


def test_another_seed_gives_another_run() -> None:
    job = small_job(noise=NOISE)
    assert simulate(job, rng=np.random.default_rng(1)) != simulate(job, rng=np.random.default_rng(2))


def test_one_more_learner_leaves_the_draws_of_the_others_as_they_were() -> None:
    few, many = (LearnerDraws(np.ones(P), NOISE, rng=np.random.default_rng(3)) for P in (5, 6))
    for _ in range(3):
        assert (few.block().seconds == many.block().seconds[:, :5]).all()


def test_one_more_job_leaves_the_others_as_they_were() -> None:
    first, second, third = (small_job(name=name, noise=NOISE) for name in ("a", "b", "c"))
    two = simulate_jobs([first, second], None, rng=np.random.default_rng(7))
    three = simulate_jobs([first, second, third], None, rng=np.random.default_rng(7))
    assert two == three[:2]
    assert simulate(first, rng=np.random.default_rng(7)) == two[0]


def test_jobs_need_distinct_names() -> None:
    with pytest.raises(ValueError, match=r"^jobs must have distinct names, got small, small$"):
        simulate_jobs([small_job(), small_job()], None, rng=np.random.default_rng(1))


def test_rows_can_be_thinned_and_keep_the_last() -> None:
    record = MemoryRecorder(row_every_updates=40)
    simulate(small_job(100), rng=np.random.default_rng(1), record=record)
    assert record.column("update").tolist() == [40, 80, 100]
    assert record.column("end_s").tolist() == [50.0, 100.0, 125.0]
    silent = MemoryRecorder(row_every_updates=0)
    simulate(small_job(100), rng=np.random.default_rng(1), record=silent)
    assert len(silent.column("update")) == 0


def test_rows_come_in_portions_whatever_the_length_of_the_run() -> None:
    for spans in (0, 1):
        record = MemoryRecorder(span_updates=spans)
        simulate(small_job(5000), rng=np.random.default_rng(1), record=record)
        assert [len(portion) for portion in record.portions] == [1024] * 4 + [904]


def spans_of(record: MemoryRecorder) -> list[tuple[str, str, float, float]]:
    return [(span.process, span.name, round(span.start_s, 9), round(span.end_s, 9)) for span in record.spans]


def test_spans_tell_who_did_what_when() -> None:
    """Two learners with 2 s and 1 s, Delta 0.25 s, a pass of 2 s and 1 s after the update."""
    model = laws(3, cross_validation=CrossValidation(every_updates=1, samples=3))
    record = MemoryRecorder(span_updates=1)
    job = small_job(learners=2, batch_samples=3, model=model, mode="every_learner")
    run = simulate(job, rng=np.random.default_rng(1), record=record)
    assert spans_of(record) == [
        ("learner 0", "compute", 0.0, 2.0),
        ("learner 1", "compute", 0.0, 1.0),
        ("learner 1", "wait", 1.0, 2.0),
        ("network", "reduce", 2.0, 2.25),
        ("job", "cross-validation", 2.25, 4.25),
    ]
    assert record.spans[0].args == {"update": 1}
    assert record.spans[0].job == "small"
    assert run.seconds.waiting == pytest.approx(3 * 0.5)
    assert run.seconds.compute == pytest.approx(3 * 1.5)


def test_spans_of_buckets_a_server_and_a_shared_unit() -> None:
    """Forward 0.5 s; halves ready at 0.75 s and 1 s, 0.4 s each: the second waits for the first."""
    buckets = laws(1, reduce=ConstantReduce(delta_s=0.8), overlap=BucketOverlap(buckets=2, backward_fraction=0.5))
    record = MemoryRecorder(span_updates=1)
    simulate(small_job(learners=2, model=buckets, mode="every_learner"), rng=np.random.default_rng(1), record=record)
    assert spans_of(record)[:2] == [("network", "reduce", 0.75, 1.15), ("network", "reduce", 1.15, 1.55)]

    record = MemoryRecorder(span_updates=1)
    served = small_job(
        learners=2, model=laws(1, reduce=LinearReduce(delta_s=0.5)), mode="every_learner", server="fixed"
    )  # fmt: skip
    simulate(served, rng=np.random.default_rng(1), record=record)
    assert spans_of(record) == [
        ("learner 0", "compute", 0.0, 1.0),
        ("learner 0", "push", 1.0, 1.5),
        ("learner 0", "wait", 1.5, 2.0),
        ("learner 1", "compute", 0.0, 1.0),
        ("learner 1", "push", 1.0, 2.0),
    ]

    record = MemoryRecorder(span_updates=1)
    shared = small_job(1, 3, mode="every_learner", learners_per_unit=2)
    simulate(shared, rng=np.random.default_rng(1), record=record)
    assert spans_of(record) == [
        ("learner 0", "compute", 0.0, 1.0),
        ("learner 0", "wait", 1.0, 2.0),
        ("learner 1", "compute", 1.0, 2.0),
        ("learner 2", "compute", 0.0, 1.0),
        ("learner 2", "wait", 1.0, 2.0),
        ("network", "reduce", 2.0, 2.25),
    ]


def test_a_single_learner_has_no_server_to_push_to() -> None:
    served = small_job(10, 1, model=laws(10, reduce=LinearReduce(delta_s=0.5)), mode="every_learner", server="exponential")
    assert simulate(served, rng=np.random.default_rng(1)).converge_time_s == 10.0


def test_a_failure_is_told_and_what_it_undid_is_lost() -> None:
    failures = Failures(
        node_mtbf_s=60.0, nodes=2, checkpoint_every_updates=10, checkpoint_s=1.0, restart_s=2.0, repair_s=5.0
    )  # fmt: skip
    record = MemoryRecorder(span_updates=1)
    run = simulate(small_job(60, failures=failures), rng=np.random.default_rng(3), record=record)
    assert run.failures > 1
    spans = [span for span in record.spans if span.process == "job"]
    assert {span.name for span in spans} == {"lost", "repair", "restart", "checkpoint"}
    undone = sum(span.end_s - span.start_s for span in spans if span.name != "checkpoint")
    assert run.seconds.lost == pytest.approx(undone)
    assert run.converge_time_s == pytest.approx(60 * 1.25 + 6 * 1.0 + run.seconds.lost)
    rows = record.column("update").tolist()
    assert len(rows) == 60 + run.redone_updates
    assert rows != sorted(rows)
    assert record.column("failures")[-1] == run.failures
    assert run.shares.lost == pytest.approx(run.seconds.lost / run.converge_time_s)


def test_a_job_without_nodes_names_what_it_waits_for() -> None:
    failures = Failures(node_mtbf_s=100.0, nodes=4, checkpoint_every_updates=5, spare_nodes=2)
    with pytest.raises(
        DeadlockError,
        match=r"^job 'small' waits for 1 of its 4 nodes after 3 failures: its 2 spare nodes are used up, and failed ones never "
        r"come back unless repair_s is given, in update \d+ of 1,000$",
    ):
        simulate(small_job(1000, failures=failures), rng=np.random.default_rng(1))


def test_a_job_that_never_reaches_a_checkpoint_says_so() -> None:
    failures = Failures(node_mtbf_s=2.0, nodes=1)
    with pytest.raises(
        DeadlockError,
        match=r"^job 'small' makes no progress: 10,000 failures after update 0 and before the next checkpoint; save more often "
        r"than once in 2 s, the time between failures$",
    ):
        simulate(small_job(100, failures=failures), rng=np.random.default_rng(1))


@pytest.mark.parametrize("mode", ["cohorts", "every_learner"])
def test_pauses_beyond_all_numbers_are_refused(mode: Mode) -> None:
    noise = Noise(hiccups=Hiccups(per_learner_hour=3600.0, duration_s=1.0, tail=0.001))
    with pytest.raises(
        SimulatorError,
        match=r"^a hiccup lasts longer than any number: hiccups with tail = 0.001 have no mean, give more than 1$",
    ):
        simulate(small_job(100, noise=noise, mode=mode), rng=np.random.default_rng(1))


def test_learners_that_never_arrive_are_named() -> None:
    env = simpy.Environment()
    job = small_job(3, 12, mode="every_learner")
    rows = Rows(Listed(np.ones((3, 12))))
    run = prepare(env, job, Ledger("small", 3, 0.0, None), rows, rows, fabric=None, serving=np.random.default_rng(0))
    run.meeting.parties += tuple(f"ghost {number}" for number in range(10))
    start(run, np.random.default_rng(0))
    with pytest.raises(
        DeadlockError,
        match=r"^job 'small' waits for ghost 0, ghost 1, .*, ghost 7 and 2 more to compute, in update 1 of 3$",
    ):
        run_until_over(env, [run])


def test_a_meeting_counts_its_parties_and_names_the_absent() -> None:
    env = simpy.Environment()
    meeting = Meeting(env, ("a", "b"))
    env.process(learner(0, meeting, ComputeUnit(env)))
    env.run(until=1.0)
    assert meeting.absent() is None
    complete = meeting.open([2.0, 3.0], None)
    env.run()
    assert env.now == 3.0
    assert not complete.triggered
    assert meeting.absent() == "b"


def test_a_run_can_start_later() -> None:
    run = simulate(replace(small_job(4), start_s=100.0, mode="every_learner"), rng=np.random.default_rng(1))
    assert run.converge_time_s == 5.0
