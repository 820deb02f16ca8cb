"""Laws of jobs that come and go, under every policy: learners, progress, samples, the lower bound, repeatability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.studies.allocation.jobs import ActiveJobs, Job, Policy
from simulator.studies.allocation.lower_bound import mean_completion_bound_s
from simulator.studies.allocation.marginal_gain import MarginalGain, MarginalGainFixedBatch
from simulator.studies.allocation.online import schedule
from simulator.studies.allocation.options import IntArray, Options
from simulator.studies.allocation.policies import EqualShare, FirstComeFirstServed, ShortestRemainingTime
from simulator.studies.allocation.records import Rules, Schedule
from simulator.studies.allocation.summary import in_use, summary


@dataclass(frozen=True)
class AtRandom:
    """Gives each job in turn any number that it may have: what a policy can do at worst. The first job always runs."""

    seed: int = 0
    mini_batch: str = "best"

    def __call__(self, jobs: ActiveJobs, learners: int, /) -> IntArray:
        rng = np.random.default_rng([self.seed, len(jobs), int(jobs.held.sum())])
        given, left = np.zeros(len(jobs), dtype=np.int64), learners
        for job in range(len(jobs)):
            fits = [0, *jobs.learners(job)[jobs.learners(job) <= left]]
            given[job] = int(rng.choice(fits)) if job else int(fits[-1])
            left -= int(given[job])
        return given


POLICIES = [
    FirstComeFirstServed(),
    EqualShare(),
    ShortestRemainingTime(),
    MarginalGain(),
    MarginalGain("seconds"),
    MarginalGainFixedBatch(),
    AtRandom(),
]


@st.composite
def options(draw: st.DrawFn, learners: int, *, stepwise: bool) -> Options:
    P = np.array(sorted(draw(st.sets(st.integers(1, learners), min_size=1, max_size=5))))
    T = np.array(draw(st.lists(st.floats(1.0, 500.0), min_size=len(P), max_size=len(P))))
    if not stepwise:
        return Options(learners=P, converge_time_s=T)
    M = np.array(draw(st.lists(st.sampled_from([8.0, 16.0, 32.0]), min_size=len(P), max_size=len(P))))
    return Options(learners=P, converge_time_s=T, batch_samples=M, updates=np.ceil(5.0 + 300.0 / M))


@st.composite
def days(draw: st.DrawFn) -> tuple[list[Job], Rules]:
    learners = draw(st.integers(1, 8))
    kinds = []
    for _ in range(draw(st.integers(1, 3))):
        stepwise = draw(st.booleans())
        best = draw(options(learners, stepwise=stepwise))
        own = None
        if stepwise and draw(st.booleans()):
            own = draw(options(learners, stepwise=True))
            own = Options(
                learners=own.learners,
                converge_time_s=own.converge_time_s,
                batch_samples=np.full(len(own.learners), 24.0),
                updates=np.full(len(own.learners), 18.0),
            )
        kinds.append((best, own))
    jobs = []
    for j in range(draw(st.integers(1, 8))):
        best, own = draw(st.sampled_from(kinds))
        jobs.append(
            Job(
                name=f"job {j}",
                arrival_s=float(draw(st.integers(0, 300))),
                best=best,
                own=own,
                work=1.0 if best.updates is not None else draw(st.floats(0.1, 5.0)),
                requested_learners=draw(st.none() | st.integers(1, 8)),
                weight=draw(st.sampled_from([1.0, 3.0])),
            )
        )
    rules = Rules(
        learners=learners,
        restart_s=draw(st.sampled_from([0.0, 7.0])),
        interval_s=draw(st.sampled_from([None, 60.0])),
        checkpoint_every_s=draw(st.sampled_from([None, 10.0])),
        weighted=draw(st.booleans()),
    )
    return jobs, rules


def parts_of(found: Schedule, job: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(found.part_job == job)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{type(policy).__name__}-{getattr(policy, 'measure', '')}")
@settings(max_examples=40)
@given(day=days())
def test_every_schedule_keeps_the_laws(policy: Policy, day: tuple[list[Job], Rules]) -> None:
    jobs, rules = day
    found = schedule(jobs, rules, policy)
    # never more learners in use than exist
    _, used = in_use(found)
    assert used.max() <= rules.learners
    assert used[-1] == 0
    for j, job in enumerate(jobs):
        table = job.options(getattr(policy, "mini_batch", "best"))
        parts = parts_of(found, j)
        place = np.searchsorted(table.learners, found.part_learners[parts])
        assert table.learners[place].tolist() == found.part_learners[parts].tolist()
        from_s, to_s = found.part_from_s[parts], found.part_to_s[parts]
        assert from_s[0] == found.start_s[j] >= job.arrival_s
        assert to_s[-1] == found.end_s[j]
        assert np.all(to_s[:-1] <= from_s[1:])  # one number of learners at a time
        assert found.restarts[j] == len(parts) - 1
        assert found.learner_s[j] == pytest.approx(float((found.part_learners[parts] * (to_s - from_s)).sum()))
        updates, progress = found.part_updates[parts], found.part_progress[parts]
        pauses_s = np.where(np.arange(len(parts)) > 0, rules.restart_s, 0.0)
        if table.updates is None or table.batch_samples is None:
            assert progress.sum() == pytest.approx(1.0, rel=1e-9)
            T = job.work * table.converge_time_s[place]
            assert np.all(progress * T <= to_s - from_s + 1e-9)
            continue
        # sum of updates / N_Update(M) is 1 within one update
        N = table.updates[place]
        assert np.array_equal(updates, np.floor(updates))
        assert progress == pytest.approx(updates / N)
        assert 1.0 - 1e-9 <= progress.sum() < 1.0 + 1.0 / N[-1]
        # an update takes T_C / N_Update, after the restart
        update_s = table.converge_time_s[place] / N
        assert np.all(updates * update_s <= np.maximum(to_s - from_s - pauses_s, 0.0) + 1e-9)
        assert (updates[-1] * update_s[-1]) == pytest.approx(to_s[-1] - from_s[-1] - pauses_s[-1])
        # with one mini-batch: samples = M * updates, as many updates as the law says
        if len(set(found.part_batch_samples[parts])) == 1:
            assert updates.sum() == N[0]
            assert (found.part_batch_samples[parts] * updates).sum() == table.batch_samples[place[0]] * N[0]
    # no policy beats the lower bound
    assert summary(jobs, found, rules.learners).mean_completion_s >= mean_completion_bound_s(jobs, rules.learners) * (1 - 1e-12)
    # and the same again
    again = schedule(jobs, rules, policy)
    for name in ("end_s", "part_job", "part_from_s", "part_learners", "part_updates"):
        assert np.array_equal(getattr(found, name), getattr(again, name)), name


@settings(max_examples=30)
@given(day=days())
def test_first_come_first_served_never_restarts_and_starts_in_order(day: tuple[list[Job], Rules]) -> None:
    jobs, rules = day
    found = schedule(jobs, rules, FirstComeFirstServed())
    assert not found.restarts.any()
    order = np.argsort([job.arrival_s for job in jobs], kind="stable")
    assert np.all(np.diff(found.start_s[order]) >= 0)


@settings(max_examples=30)
@given(day=days(), job=st.integers(0, 7))
def test_one_job_alone_takes_its_converge_time(day: tuple[list[Job], Rules], job: int) -> None:
    jobs, rules = day
    alone = jobs[job % len(jobs)]
    for policy in (EqualShare(), MarginalGain(), MarginalGain("seconds"), MarginalGainFixedBatch()):
        found = schedule([alone], rules, policy)
        expected = alone.work * alone.options(policy.mini_batch).fastest_s
        assert found.end_s[0] - alone.arrival_s == pytest.approx(expected, rel=1e-12)
    found = schedule([alone], rules, FirstComeFirstServed())
    table = alone.options("own")
    at = np.searchsorted(table.learners, alone.request(table))
    assert found.end_s[0] - alone.arrival_s == pytest.approx(alone.work * table.converge_time_s[at], rel=1e-12)
