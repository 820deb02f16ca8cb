"""What holds of a simulated run whatever the laws: without noise it is the closed form, and its seconds add up."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.engine.job import Failures, Hiccups, Mode, Noise, NoiseKind, TrainingJob
from simulator.engine.run import simulate
from simulator.engine.trace import MemoryRecorder
from simulator.errors import CheckpointWarning
from simulator.network.laws import LinearReduce
from simulator.overlap import BucketOverlap, SumOverlap
from simulator.time_to_converge import TimeToConverge
from tests.strategies import (
    any_compute_law,
    any_overlap_law,
    any_reduce_law,
    any_updates_law,
    batches_of,
    cross_validations,
    decades,
)

SOME = settings(max_examples=40, deadline=None)
CLOSE = 1e-9
MODES: tuple[Mode, ...] = ("cohorts", "every_learner")


@st.composite
def jobs(draw: st.DrawFn, *, whole_samples: bool) -> TrainingJob:
    """A job of a few hundred updates, without noise."""
    P = draw(st.sampled_from((1, 2, 3, 7, 48)))
    law = draw(any_updates_law())
    M = max(draw(batches_of(law, lowest=P, highest=1e5)), float(P))
    M = math.ceil(M) if whole_samples else M
    lowest, highest = law.batch_samples_range
    assume(lowest <= M <= highest)
    unscaled = float(law.updates(M))
    assume(unscaled > 0)
    model = TimeToConverge(
        convergence=law,
        compute=draw(any_compute_law(extrapolate=True)),
        reduce=draw(any_reduce_law()),
        overlap=draw(any_overlap_law()),
        cross_validation=draw(st.one_of(st.none(), cross_validations())),
        accumulation=draw(st.sampled_from((1, 1, 2, 3))) if M >= 3 * P else 1,
        input_samples_per_s=draw(st.one_of(st.just(math.inf), decades(1.0, 1e7))),
        tuning_factor=draw(st.floats(1.0, 400.0)) / unscaled,
    )
    return TrainingJob(
        name="job", model=model, batch_samples=M, learners=P, whole_samples=whole_samples, mode=draw(st.sampled_from(MODES))
    )


@given(job=jobs(whole_samples=True), spans=st.sampled_from((0, 2)))
@SOME
def test_without_noise_a_run_of_whole_samples_takes_what_the_closed_form_says(job: TrainingJob, spans: int) -> None:
    # spans make the cohorts run event by event
    run = simulate(job, rng=np.random.default_rng(1), record=MemoryRecorder(span_updates=spans))
    model = replace(job.model, rounding="whole")
    assert run.updates == model.updates(job.batch_samples)
    assert run.converge_time_s == pytest.approx(float(model.converge_time_s(job.batch_samples, job.learners)), rel=CLOSE)
    assert run.seconds.total_s == pytest.approx(run.converge_time_s, rel=CLOSE)
    assert run.cross_validation_passes == model.cross_validation_passes(run.updates)


@given(job=jobs(whole_samples=False))
@SOME
def test_without_noise_exact_shares_differ_from_the_paper_by_less_than_an_update_and_a_pass(job: TrainingJob) -> None:
    """Only updates are whole then; a run that stops at an evaluation may do as many more as lie between two."""
    run = simulate(job, rng=np.random.default_rng(1))
    M, P = job.batch_samples, job.learners
    paper = replace(job.model, rounding="exact")
    step_s, pass_s = float(paper.step_time_s(M, P)), float(paper.cross_validation_time_s(P))
    validation = job.model.cross_validation
    passes = 0 if validation is None else run.updates // int(validation.every_updates)
    assert run.converge_time_s == pytest.approx(run.updates * step_s + passes * pass_s, rel=CLOSE)
    more = validation.every_updates if validation is not None and validation.stops_run else 1
    apart_s = abs(run.converge_time_s - float(paper.converge_time_s(M, P)))
    assert apart_s < (more * step_s + pass_s) * (1 + 1e-6)


@given(job=jobs(whole_samples=True))
@SOME
def test_without_noise_shares_are_those_of_the_closed_form(job: TrainingJob) -> None:
    assume(job.model.accumulation == 1)
    found = simulate(job, rng=np.random.default_rng(1)).shares
    expected = replace(job.model, rounding="whole").shares(job.batch_samples, job.learners)
    for name in ("compute", "communication", "waiting", "cross_validation", "checkpoint", "lost"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-7, abs=1e-9), name


@given(job=jobs(whole_samples=True), data=st.data())
@SOME
def test_blocks_and_events_give_the_same_rows_to_the_last_bit(job: TrainingJob, data: st.DataObject) -> None:
    kind: NoiseKind = data.draw(st.sampled_from(get_args(NoiseKind)))
    hiccups = data.draw(st.one_of(st.none(), st.just(Hiccups(per_learner_hour=20.0, duration_s=0.1, tail=1.5))))
    noise = Noise(kind=kind, relative_sd=0.3, slow_learners={job.learners - 1: 1.5}, hiccups=hiccups)
    noisy = replace(job, noise=noise, mode="cohorts")
    blocks, events = MemoryRecorder(row_every_updates=3), MemoryRecorder(row_every_updates=3, span_updates=1)
    first = simulate(noisy, rng=np.random.default_rng(5), record=blocks)
    second = simulate(noisy, rng=np.random.default_rng(5), record=events)
    assert first == second
    for name in blocks.portions[0].columns():
        assert (blocks.column(name) == events.column(name)).all(), name


@given(job=jobs(whole_samples=True), data=st.data())
@SOME
def test_rows_are_a_gapless_account_of_the_run(job: TrainingJob, data: st.DataObject) -> None:
    noisy = replace(job, noise=Noise(kind="lognormal", relative_sd=data.draw(st.floats(0.0, 1.0))), start_s=5.0)
    record = MemoryRecorder()
    run = simulate(noisy, rng=np.random.default_rng(9), record=record)
    start_s, end_s = record.column("start_s"), record.column("end_s")
    assert start_s[0] == 5.0
    assert (start_s[1:] == end_s[:-1]).all()
    assert end_s[-1] - 5.0 == run.converge_time_s
    assert record.column("update").tolist() == list(range(1, run.updates + 1))
    causes = sum(
        record.column(name)
        for name in ("compute_s", "waiting_s", "communication_s", "cross_validation_s", "checkpoint_s")
    )  # fmt: skip
    assert causes == pytest.approx(end_s - start_s, rel=1e-6, abs=1e-12 * end_s[-1])
    for name in ("compute", "waiting", "communication", "cross_validation"):
        assert getattr(run.seconds, name) == pytest.approx(float(record.column(f"{name}_s").sum()), rel=1e-9, abs=1e-15)


@given(job=jobs(whole_samples=True), data=st.data())
@SOME
def test_failures_lose_time_but_no_update_pass_or_checkpoint(job: TrainingJob, data: st.DataObject) -> None:
    """With what was lost taken away a run is one without failures.

    Four nodes that each run for 4 segments or more and are away for 2 or fewer stand together often enough to get on.
    """
    step_s = float(job.closed_form.step_time_s(job.batch_samples, job.learners))
    pass_s = float(job.closed_form.cross_validation_time_s(job.learners))
    every = data.draw(st.integers(1, 10))
    segment_s = every * (step_s + pass_s) + 0.1 * step_s
    failures = Failures(
        node_mtbf_s=segment_s * data.draw(st.floats(1.0, 5.0)) * 4, nodes=4, checkpoint_every_updates=every,
        checkpoint_s=0.1 * step_s, restart_s=data.draw(st.floats(0.0, 1.0)) * segment_s,
        spare_nodes=data.draw(st.integers(0, 2)), repair_s=data.draw(st.floats(0.0, 2.0)) * segment_s,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)
        failing = replace(job, failures=failures)
    run = simulate(failing, rng=np.random.default_rng(data.draw(st.integers(0, 9))))
    assert run.seconds.total_s == pytest.approx(run.converge_time_s, rel=CLOSE)
    assert run.checkpoints == run.updates // every
    validation = job.model.cross_validation
    assert run.cross_validation_passes == (run.updates // int(validation.every_updates) if validation else 0)
    without = float(job.closed_form.converge_time_s(job.batch_samples, job.learners)) + run.checkpoints * 0.1 * step_s
    assert run.converge_time_s - run.seconds.lost == pytest.approx(without, rel=1e-7)


@given(job=jobs(whole_samples=True), together=st.sampled_from((2, 3, 5)))
@SOME
def test_learners_that_share_a_unit_take_turns(job: TrainingJob, together: int) -> None:
    """The fullest unit is the slowest: its learners' times one after the other."""
    assume(job.batch_samples % job.learners == 0)
    assume(job.model.cross_validation is None)
    shared = replace(job, mode="every_learner", learners_per_unit=together)
    run = simulate(shared, rng=np.random.default_rng(2))
    model = replace(job.model, rounding="whole")
    alone_s = float(model.compute_time_s(job.batch_samples, job.learners))
    slowest_s = min(together, job.learners) * alone_s
    step_s = max(
        float(model.overlap.joined_time_s(np.asarray(slowest_s), model.reduce_time_s(job.learners))),
        job.batch_samples / model.input_samples_per_s,
    )
    assert run.converge_time_s == pytest.approx(run.updates * step_s, rel=CLOSE)


@given(
    shares=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12), backward=st.floats(0.0, 1.0),
    compute_s=decades(1e-3, 1e3), reduce_s=st.one_of(st.just(0.0), decades(1e-3, 1e3)),
)  # fmt: skip
@SOME
def test_buckets_end_as_their_recurrence_does(shares: list[float], backward: float, compute_s: float, reduce_s: float) -> None:
    sizes = tuple((np.array(shares) / sum(shares)).tolist())
    overlap = BucketOverlap(buckets=len(sizes), backward_fraction=backward, bucket_shares=sizes)
    end_s = ready = 0.0
    for size in sizes:
        ready += size
        end_s = max((1.0 - backward + backward * ready) * compute_s, end_s) + size * reduce_s
    joined_s = float(overlap.joined_time_s(np.asarray(compute_s), np.asarray(reduce_s)))
    assert joined_s == pytest.approx(end_s, rel=1e-12)
    assert joined_s >= max(compute_s, reduce_s) * (1 - 1e-12)
    equal = BucketOverlap(buckets=len(sizes), backward_fraction=backward)
    spelled = replace(equal, bucket_shares=equal.shares())
    assert float(spelled.joined_time_s(np.asarray(compute_s), np.asarray(reduce_s))) == pytest.approx(
        float(equal.joined_time_s(np.asarray(compute_s), np.asarray(reduce_s))), rel=1e-12
    )


@given(job=jobs(whole_samples=True), shares=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=6))
@SOME
def test_the_processes_of_unequal_buckets_take_what_their_closed_form_says(job: TrainingJob, shares: list[float]) -> None:
    sizes = tuple((np.array(shares) / sum(shares)).tolist())
    overlap = BucketOverlap(buckets=len(sizes), backward_fraction=0.6, bucket_shares=sizes)
    bucketed = replace(job, mode="every_learner", model=replace(job.model, overlap=overlap))
    run = simulate(bucketed, rng=np.random.default_rng(1))
    expected_s = float(replace(bucketed.model, rounding="whole").converge_time_s(job.batch_samples, job.learners))
    assert run.converge_time_s == pytest.approx(expected_s, rel=CLOSE)


@given(job=jobs(whole_samples=True), delta_s=decades(1e-6, 10.0))
@SOME
def test_a_parameter_server_that_all_reach_at_once_is_the_linear_law(job: TrainingJob, delta_s: float) -> None:
    assume(job.batch_samples % job.learners == 0)
    model = replace(job.model, reduce=LinearReduce(delta_s=delta_s), overlap=SumOverlap())
    served = replace(job, mode="every_learner", model=model, server="fixed")
    run = simulate(served, rng=np.random.default_rng(1))
    expected_s = float(replace(model, rounding="whole").converge_time_s(job.batch_samples, job.learners))
    assert run.converge_time_s == pytest.approx(expected_s, rel=CLOSE)
