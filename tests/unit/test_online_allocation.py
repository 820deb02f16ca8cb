"""Jobs that come and go: schedules worked out by hand, what policies may not do, summaries, the lower bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import InfeasibleError, PolicyError
from simulator.studies.allocation.jobs import ActiveJobs, Job, Policy
from simulator.studies.allocation.lower_bound import mean_completion_bound_s
from simulator.studies.allocation.marginal_gain import MarginalGain, MarginalGainFixedBatch
from simulator.studies.allocation.online import schedule
from simulator.studies.allocation.options import IntArray, Options
from simulator.studies.allocation.policies import EqualShare, FirstComeFirstServed, ShortestRemainingTime
from simulator.studies.allocation.records import Rules
from simulator.studies.allocation.summary import in_use, job_rows, part_columns, summary


def options(
    *times_s: float, updates: float | Sequence[float] = 100.0, batch_samples: float | Sequence[float] = 32.0
) -> Options:
    """T_C on 1, 2, 3, ... learners."""
    n = len(times_s)
    return Options(
        learners=np.arange(1, n + 1),
        converge_time_s=np.array(times_s),
        batch_samples=np.broadcast_to(np.asarray(batch_samples, dtype=np.float64), (n,)),
        updates=np.broadcast_to(np.asarray(updates, dtype=np.float64), (n,)),
    )


# Two jobs, two learners. a: 100 updates of 1 s on one learner, of 0.6 s on two. b: of 0.4 s, 0.3 s; arrives at 10 s.
A = Job(name="a", arrival_s=0.0, best=options(100.0, 60.0), requested_learners=2)
B = Job(name="b", arrival_s=10.0, best=options(40.0, 30.0), requested_learners=2)
TWO = Rules(learners=2, restart_s=5.0)


def ends(policy: Policy, jobs: Sequence[Job] = (A, B), rules: Rules = TWO) -> list[float]:
    return [round(float(end), 9) for end in schedule(jobs, rules, policy).end_s]


def test_first_come_first_served_by_hand() -> None:
    assert ends(FirstComeFirstServed()) == [60.0, 90.0]  # b waits for both learners
    one_each = [replace(A, requested_learners=1), replace(B, requested_learners=1)]
    assert ends(FirstComeFirstServed(), one_each) == [100.0, 50.0]


def test_the_first_in_line_holds_up_the_others() -> None:
    small = Job(name="small", arrival_s=1.0, best=options(1.0), requested_learners=1)
    found = schedule([replace(A, requested_learners=1), replace(B, arrival_s=0.5), small], TWO, FirstComeFirstServed())
    assert found.start_s.tolist() == [0.0, 100.0, 130.0]  # a learner stands idle while b waits for two


def test_equal_shares_by_hand() -> None:
    # a on two: 16 updates of 0.6 s by 10 s (the 17th is lost); then on one, from 15 s on, 35 updates by 50 s, when b ends
    # (10 + 40); then on two again, from 55 s on, the last 49: 55 + 49*0.6
    assert ends(EqualShare()) == [84.4, 50.0]
    found = schedule([A, B], TWO, EqualShare())
    assert found.part_updates.tolist() == [16.0, 100.0, 35.0, 49.0]
    assert found.part_job.tolist() == [0, 1, 0, 0]
    assert found.restarts.tolist() == [2, 0]
    assert found.learner_s == pytest.approx([2 * 10 + 40 + 2 * 34.4, 40])


def test_shortest_remaining_time_by_hand() -> None:
    # at 10 s a has 0.84*60 = 50.4 s left, b 30 s: b takes both until 40 s; a goes on from 45 s
    assert ends(ShortestRemainingTime()) == [95.4, 40.0]


def test_a_short_job_that_fits_runs_beside_the_shortest() -> None:
    jobs = [
        Job(name="wide", arrival_s=0.0, best=options(20.0, 15.0, 10.0), requested_learners=3),
        Job(name="first", arrival_s=0.0, best=options(5.0, 4.0), requested_learners=2),
        Job(name="narrow", arrival_s=0.0, best=options(30.0), requested_learners=1),
    ]
    found = schedule(jobs, Rules(learners=3), ShortestRemainingTime())
    assert found.start_s.tolist() == [4.0, 0.0, 0.0]  # first (4 s), then wide would come (10 s) but does not fit beside it


@pytest.mark.parametrize("policy", [MarginalGain(), MarginalGain("seconds")])
def test_marginal_gain_by_hand(policy: Policy) -> None:
    # both run on one learner until b ends at 50 s. Then a has 0.49 left: 49 s where it is, or 29.4 s and a restart on two
    # learners, which counts three times its 5 s: 44.4 s. It moves.
    assert ends(policy) == [84.4, 50.0]
    # with restarts of 10 s it has 0.54 left at 50 s: 54 s where it is, 32.4 + 30 s on two. It stays: 20 + 84 updates of 1 s
    assert ends(policy, rules=replace(TWO, restart_s=10.0)) == [104.0, 50.0]


def test_marginal_gain_gives_a_free_learner_to_the_larger_gain() -> None:
    # fractions: a gains 100/99, b 10/5; seconds: a 40 s, b 5 s
    a = Job(name="a", arrival_s=0.0, best=options(100.0, 60.0))
    b = Job(name="b", arrival_s=0.0, best=options(10.0, 5.0))
    for policy, first in ((MarginalGain(), [1, 2]), (MarginalGain("seconds"), [2, 1])):
        found = schedule([a, b], Rules(learners=3), policy)
        held = {int(j): int(P) for j, P in zip(found.part_job[::-1], found.part_learners[::-1], strict=True)}
        assert [held[0], held[1]] == first, policy


def test_marginal_gain_lets_the_jobs_with_least_left_run_where_not_all_can() -> None:
    jobs = [Job(name=str(T), arrival_s=0.0, best=options(T)) for T in (30.0, 10.0, 20.0)]
    found = schedule(jobs, Rules(learners=1), MarginalGain())
    assert found.start_s.tolist() == [30.0, 0.0, 10.0]
    heavy = [jobs[0], replace(jobs[1], weight=0.1), jobs[2]]  # 30, 100, 20 s for their weight
    assert schedule(heavy, Rules(learners=1, weighted=True), MarginalGain()).start_s.tolist() == [20.0, 50.0, 0.0]
    assert schedule(heavy, Rules(learners=1), MarginalGain()).start_s.tolist() == [30.0, 0.0, 10.0]


@pytest.mark.parametrize("weighted", [True, False])
def test_a_heavier_job_gets_more_where_weights_count(weighted: bool) -> None:
    even = options(*(100.0 / P for P in range(1, 9)))
    jobs = [Job(name="light", arrival_s=0.0, best=even), Job(name="heavy", arrival_s=0.0, best=even, weight=3.0)]
    found = schedule(jobs, Rules(learners=8, weighted=weighted), MarginalGain())
    held = dict(zip(found.part_job[::-1].tolist(), found.part_learners[::-1].tolist(), strict=True))
    assert (held[0], held[1]) == ((2, 6) if weighted else (4, 4))  # d log(1/P) = 1/P: equal gains at P in proportion to weight


def test_progress_is_kept_over_mini_batches_as_a_fraction() -> None:
    # two learners take M = 64 with 60 updates of 1 s, one takes M = 32 with 100 of 1 s. By 10 s a has done 10 of 60; what is
    # left of 100, 83.3, are 84 updates: from 15 s (restart) to 50 s 35 of them, and then what is left of 60
    a = replace(A, best=options(100.0, 60.0, updates=(100.0, 60.0), batch_samples=(32.0, 64.0)))
    found = schedule([a, B], TWO, EqualShare())
    mine = found.part_job == 0
    assert found.part_updates[mine].tolist() == [10.0, 35.0, 29.0]  # 60*(1 - 10/60 - 35/100)
    assert found.part_batch_samples[mine].tolist() == [64.0, 32.0, 64.0]
    assert found.end_s[0] == pytest.approx(55.0 + 29.0)


def test_what_was_done_since_the_last_checkpoint_is_lost() -> None:
    # checkpoints every 4 s: by 10 s, 8 s count, 13 updates of 0.6 s; 3 are lost
    found = schedule([A, B], replace(TWO, checkpoint_every_s=4.0), ShortestRemainingTime())
    assert found.part_updates[found.part_job == 0].tolist() == [13.0, 87.0]
    assert found.lost_updates.tolist() == [3.0, 0.0]
    assert found.end_s[0] == pytest.approx(40 + 5 + 87 * 0.6)


def test_a_job_that_restarts_has_nothing_to_lose_yet() -> None:
    # a restarts at 10 s until 15 s; at 12 s b2 arrives and takes its place: what a had done by 10 s stays
    jobs = [A, replace(B, best=options(40.0)), Job(name="b2", arrival_s=12.0, best=options(1.0))]
    found = schedule(jobs, TWO, MarginalGain())
    mine = found.part_job == 0
    assert found.part_updates[mine].tolist()[:2] == [16.0, 0.0]


def test_learners_are_given_out_anew_at_intervals() -> None:
    asked: list[float] = []

    def by_the_clock(jobs: ActiveJobs, learners: int, /) -> list[int]:
        asked.append(float(jobs.remaining[0]))
        return [1] + [0] * (len(jobs) - 1)

    schedule([replace(A, best=options(100.0))], Rules(learners=1, interval_s=30.0), by_the_clock)
    assert asked == pytest.approx([1.0, 0.7, 0.4, 0.1])


def test_work_without_updates_advances_with_time() -> None:
    curve = Options(learners=np.array([1, 2]), converge_time_s=np.array([1.0, 0.5]))
    jobs = [Job(name="a", arrival_s=0.0, best=curve, work=100.0), Job(name="b", arrival_s=12.25, best=curve, work=10.0)]
    # a on two: 24.5 of 100 by 12.25 s; on one until b ends at 22.25 s: 10 more; then 65.5/2 s
    found = schedule(jobs, Rules(learners=2), EqualShare())
    assert found.end_s.tolist() == [22.25 + 32.75, 22.25]
    assert found.part_progress[found.part_job == 0] == pytest.approx([0.245, 0.1, 0.655])


def test_a_policy_holds_the_jobs_own_mini_batch_or_takes_the_best() -> None:
    job = replace(A, own=options(200.0, 120.0, updates=200.0, batch_samples=16.0))
    for policy, batch, end in (
        (MarginalGain(), 32.0, 60.0),
        (MarginalGainFixedBatch(), 16.0, 120.0),
        (EqualShare(), 16.0, 120.0),
        (FirstComeFirstServed(), 16.0, 120.0),
        (ShortestRemainingTime(), 16.0, 120.0),
    ):
        found = schedule([job], TWO, policy)
        assert found.part_batch_samples.tolist() == [batch]
        assert found.end_s.tolist() == [end]


def test_who_asks_for_no_number_gets_as_many_as_are_half_used() -> None:
    job = Job(name="a", arrival_s=0.0, best=options(100.0, 55.0, 45.0, 49.0, 48.0))
    assert job.request(job.best) == 4  # 100/(4*49) = 0.51 of the efficiency of one, 100/(5*48) = 0.42
    assert replace(job, requested_learners=3).request(job.best) == 3
    assert replace(job, requested_learners=9).request(job.best) == 5
    nodes = Options(learners=np.array([4, 8]), converge_time_s=np.ones(2))
    assert replace(job, requested_learners=1).request(nodes) == 4


def test_equal_shares_leave_a_job_what_helps_it_and_the_rest_to_others() -> None:
    stuck = Job(name="stuck", arrival_s=0.0, best=options(10.0, 12.0, 15.0))
    scales = Job(name="scales", arrival_s=0.0, best=options(*(100.0 / P for P in range(1, 9))))
    found = schedule([stuck, scales], Rules(learners=8), EqualShare())
    assert dict(zip(found.part_job.tolist(), found.part_learners.tolist(), strict=True))[0] == 1
    assert found.part_learners[found.part_job == 1].tolist() == [7, 8]


def test_equal_shares_of_more_jobs_than_learners_go_to_the_first() -> None:
    jobs = [Job(name=str(j), arrival_s=float(j), best=options(10.0)) for j in range(3)]
    assert schedule(jobs, Rules(learners=2), EqualShare()).start_s.tolist() == [0.0, 1.0, 10.0]


def answering(*given: int) -> Policy:
    def policy(jobs: ActiveJobs, learners: int, /) -> Sequence[int]:
        return list(given)[: len(jobs)] if given else []

    return policy


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (answering(3), "the policy must give out at most 2 learners, got 3"),
        (answering(0), "the policy lets the last 1 jobs wait for ever"),
        (answering(), r"the policy must answer one number for each of 1 jobs, got shape \(0,\)"),
        (lambda jobs, learners: [0.5], "the policy's answer must be a whole number >= 0, got 0.5"),
        (lambda jobs, learners: [-1], "the policy's answer must be a whole number >= 0, got -1"),
        (lambda jobs, learners: [2**62] * len(jobs), "the policy must give out at most 2 learners, got 4611686018427387904"),
        (lambda jobs, learners: ["two"], "the policy's answer must be a number or an array of numbers"),
    ],
)
def test_what_a_policy_may_not_answer(policy: Policy, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        schedule([A], TWO, policy)


def test_a_policy_may_not_give_what_a_job_cannot_have() -> None:
    nodes = Job(name="n", arrival_s=0.0, best=Options(learners=np.array([4, 8]), converge_time_s=np.array([2.0, 1.0])))
    with pytest.raises(PolicyError, match=r"the policy must give job 'n' 0 or one of 4, 8 learners, got 5"):
        schedule([nodes], Rules(learners=8), answering(5))


def test_a_policy_that_lets_no_job_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.studies.allocation import online

    monkeypatch.setattr(online, "MOST_INTERVALS", 50)

    def restless(jobs: ActiveJobs, learners: int, /) -> list[int]:
        return [3 - int(jobs.held[0]) if jobs.held[0] else 1]

    with pytest.raises(PolicyError, match="nothing was done in 50 intervals: the policy keeps restarting the jobs"):
        schedule([A], Rules(learners=2, restart_s=60.0, interval_s=30.0), restless)
    # slowly is not never: 100 updates of 1 s, one in every other interval
    found = schedule([replace(A, best=options(100.0))], Rules(learners=1, interval_s=0.5), FirstComeFirstServed())
    assert found.end_s.tolist() == [100.0]


def test_four_answers_whose_sum_leaves_the_integers_are_too_many() -> None:
    four = [replace(A, name=name) for name in "abcd"]  # 4 * 2**62 = 2**64, which is 0 in 64 bits
    with pytest.raises(PolicyError, match="the policy must give out at most 2 learners, got 4611686018427387904"):
        schedule(four, TWO, lambda jobs, learners: [2**62] * len(jobs))


def test_a_policy_cannot_change_what_it_is_shown() -> None:
    def takes(jobs: ActiveJobs, learners: int, /) -> IntArray:
        jobs.held[0] = learners
        return jobs.held

    def widens(jobs: ActiveJobs, learners: int, /) -> list[int]:
        jobs.learners(0)[0] = 5
        return [5]

    for policy in (takes, widens):
        with pytest.raises(ValueError, match="read-only"):
            schedule([A], TWO, policy)
    assert ends(FirstComeFirstServed(), [A], TWO) == ends(EqualShare(), [A], TWO)


def test_an_interval_shorter_than_an_update_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.studies.allocation import online

    monkeypatch.setattr(online, "MOST_INTERVALS", 50)  # of 1 ms: less than an update of 1 s
    with pytest.raises(PolicyError, match=r"or interval_s = 0\.001 is too short for an update or a restart"):
        schedule([replace(A, best=options(100.0))], Rules(learners=1, interval_s=1e-3), FirstComeFirstServed())


def test_a_job_too_short_to_be_told_apart_from_its_start_is_refused() -> None:
    late = replace(A, name="late", arrival_s=1e15, best=options(100.0))  # 100 s are 1e-13 of it
    with pytest.raises(InfeasibleError, match=r"job 'late' takes 100 s, which cannot be told apart at 1e\+15 s: let arrival_s"):
        schedule([late], Rules(learners=1), FirstComeFirstServed())
    found = schedule([replace(late, arrival_s=1.5e9)], Rules(learners=1), FirstComeFirstServed())  # seconds since 1970 will do
    assert found.end_s.tolist() == [1.5e9 + 100.0]


def test_a_job_that_fits_nowhere_is_refused() -> None:
    job = Job(name="big", arrival_s=0.0, best=Options(learners=np.array([4]), converge_time_s=np.ones(1)))
    with pytest.raises(InfeasibleError, match="job 'big' needs at least 4 learners, there are 2"):
        schedule([job], TWO, EqualShare())
    with pytest.raises(ValueError, match="jobs must hold at least one job, got none"):
        schedule([], TWO, EqualShare())


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"arrival_s": -1.0}, "arrival_s must be finite and >= 0, got -1"),
        ({"work": 0.0}, "work must be finite and > 0, got 0"),
        ({"work": 2.0}, "work must be 1 for a job with updates, got 2"),
        ({"weight": -1.0}, "weight must be finite and > 0, got -1"),
        ({"requested_learners": 0}, "requested_learners must be a whole number >= 1, got 0"),
        ({"deadline_s": 0.0}, "deadline_s must be finite and > 0, got 0"),
    ],
)
def test_a_job_is_checked(keys: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(A, **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"learners": 0}, "learners must be a whole number >= 1, got 0"),
        ({"restart_s": -1.0}, "restart_s must be finite and >= 0, got -1"),
        ({"interval_s": 0.0}, "interval_s must be finite and > 0, got 0"),
        ({"checkpoint_every_s": 0.0}, "checkpoint_every_s must be finite and > 0, got 0"),
    ],
)
def test_rules_are_checked(keys: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(TWO, **keys)  # type: ignore[arg-type]


def test_the_summary_by_hand() -> None:
    jobs = [replace(A, weight=3.0, deadline_s=80.0), replace(B, deadline_s=40.0)]
    found = schedule(jobs, TWO, EqualShare())
    told = summary(jobs, found, 2)
    assert told.jobs == 2
    assert told.mean_completion_s == pytest.approx((84.4 + 40) / 2)
    assert told.median_completion_s == pytest.approx((84.4 + 40) / 2)
    assert told.p99_completion_s == pytest.approx(40 + 0.99 * 44.4)
    assert told.weighted_completion_s == pytest.approx((3 * 84.4 + 40) / 4)
    assert told.mean_wait_s == 0.0
    assert told.mean_slowdown == pytest.approx((84.4 / 60 + 40 / 30) / 2)
    assert told.worst_slowdown == pytest.approx(84.4 / 60)
    assert told.makespan_s == pytest.approx(84.4)
    assert told.utilisation == pytest.approx(1.0)  # both learners are held all the time, restarts included
    assert told.learner_hours == pytest.approx(2 * 84.4 / 3600)
    assert told.restarts == 2
    assert told.missed_deadlines == 1  # a after 84.4 s; b after 40 s meets its own


def test_rows_of_jobs_and_parts_by_hand() -> None:
    found = schedule([A, B], TWO, EqualShare())
    a, b = job_rows([A, B], found, 2)
    assert (a["learners_first"], a["learners_last"], a["restarts"]) == (2, 2, 2)
    assert a["updates"] == 100.0
    assert a["mean_learners"] == pytest.approx((2 * 10 + 40 + 2 * 34.4) / 84.4)
    assert (b["start_s"], b["end_s"], b["completion_s"]) == (10.0, 50.0, 40.0)
    assert b["slowdown"] == pytest.approx(40 / 30)
    parts = part_columns([A, B], found)
    assert parts["job"] == ["a", "b", "a", "a"]
    assert parts["from_s"] == [0.0, 10.0, 10.0, 50.0]
    assert parts["to_s"] == [10.0, 50.0, 50.0, pytest.approx(84.4)]
    assert parts["learners"] == [2, 1, 1, 2]
    assert parts["batch_samples"] == [32.0] * 4
    instants, used = in_use(found)
    assert instants.tolist() == pytest.approx([0.0, 10.0, 50.0, 84.4])
    assert used.tolist() == [2.0, 2.0, 2.0, 0.0]


def test_the_lower_bound_by_hand() -> None:
    # alone: (60 + 30)/2. On one machine as fast as two learners: a needs 100/2 s, b 40/2 s (one learner wastes least): b goes
    # first from 10 to 30 s, a ends at 70 s: (70 + 20)/2
    assert mean_completion_bound_s([A, B], 2) == pytest.approx(45.0)
    # ten such pairs at once: the machine counts. 20 s each for the b, one after the other, then 50 s each for the a
    crowd = [replace(job, arrival_s=0.0) for job in [A] * 10 + [B] * 10]
    ends_s = [20.0 * i for i in range(1, 11)] + [200 + 50.0 * i for i in range(1, 11)]
    assert mean_completion_bound_s(crowd, 2) == pytest.approx(np.mean(ends_s))


def test_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    schedule([A, B], TWO, EqualShare(), progress=lambda ended, now_s: told.append((ended, round(now_s, 9))))
    assert told == [(1, 50.0), (2, 84.4)]
