"""Schedules against a second replay of the same rules: plain Python, one job after another, no arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from simulator.studies.allocation.jobs import ActiveJobs, Job
from simulator.studies.allocation.online import schedule
from simulator.studies.allocation.options import Options
from simulator.studies.allocation.records import Rules

Deciding = Callable[[int, Sequence[Options], int], list[int]]


@dataclass(slots=True)
class Told:
    """A job of the replay."""

    job: Job
    held: int = 0
    done: float = 0.0
    started: bool = False
    place: int = 0
    since_s: float = 0.0
    computes_s: float = 0.0
    end_s: float = math.inf
    learner_s: float = 0.0
    lost: float = 0.0

    @property
    def stepwise(self) -> bool:
        return self.job.best.updates is not None

    @property
    def whole(self) -> float:
        return float(self.job.best.updates[self.place]) if self.job.best.updates is not None else 1.0

    @property
    def update_s(self) -> float:
        return float(self.job.best.converge_time_s[self.place]) * self.job.work / self.whole

    def would_end_s(self) -> float:
        left = (1.0 - self.done) * self.whole
        return self.computes_s + (max(math.ceil(left - 1e-6), 1) if self.stepwise else left) * self.update_s

    def updates_by(self, length_s: float) -> float:
        return float(math.floor(length_s / self.update_s * (1 + 1e-12))) if self.stepwise else length_s / self.update_s

    def stop(self, now_s: float, rules: Rules) -> None:
        ran_s = max(now_s - self.computes_s, 0.0)
        every_s = rules.checkpoint_every_s
        kept = self.updates_by(ran_s if every_s is None else math.floor(ran_s / every_s * (1 + 1e-12)) * every_s)
        self.lost += self.updates_by(ran_s) - kept
        self.done += kept / self.whole
        self.leave(now_s)

    def leave(self, now_s: float) -> None:
        self.learner_s += self.held * (now_s - self.since_s)
        self.held = 0

    def take(self, learners: int, now_s: float, rules: Rules) -> None:
        self.held, self.place, self.since_s = learners, self.job.best.learners.tolist().index(learners), now_s
        self.computes_s = now_s + (rules.restart_s if self.started else 0.0)
        self.started = True


def replayed(jobs: Sequence[Job], rules: Rules, decide: Deciding) -> list[Told]:
    every = sorted([Told(job) for job in jobs], key=lambda one: one.job.arrival_s)
    now_s, calls = -1.0, 0
    while any(one.end_s == math.inf for one in every):
        here = [one for one in every if one.job.arrival_s <= now_s and one.end_s == math.inf]
        times_s = [one.job.arrival_s for one in every if one.job.arrival_s > now_s]
        times_s += [one.would_end_s() for one in here if one.held]
        if here and rules.interval_s is not None:
            times_s.append((math.floor(now_s / rules.interval_s * (1 + 1e-12)) + 1) * rules.interval_s)
        now_s = min(times_s)
        for one in here:
            if one.held and one.would_end_s() <= now_s:
                one.end_s = now_s
                one.leave(now_s)
        here = [one for one in every if one.job.arrival_s <= now_s and one.end_s == math.inf]
        if not here:
            continue
        for one, learners in zip(here, decide(calls, [one.job.best for one in here], rules.learners), strict=True):
            if learners != one.held:
                if one.held:
                    one.stop(now_s, rules)
                if learners:
                    one.take(learners, now_s, rules)
        assert sum(one.held for one in every) <= rules.learners
        calls += 1
    return sorted(every, key=lambda one: jobs.index(one.job))


def drawn_jobs(rng: np.random.Generator, most: int) -> list[Job]:
    """Some that arrive together, some later; with and without updates; each with numbers of learners of its own."""
    jobs = []
    for j in range(int(rng.integers(1, 7))):
        P = np.sort(rng.choice(np.arange(1, most + 1), size=rng.integers(1, most + 1), replace=False))
        stepwise = bool(rng.random() < 0.7)
        best = Options(
            learners=P,
            converge_time_s=rng.uniform(5, 50) / P + (P > 1) * rng.uniform(0, 10),
            batch_samples=np.full(len(P), 8.0) if stepwise else None,
            updates=rng.uniform(3, 40, len(P)) if stepwise else None,
        )
        arrival_s = float(rng.choice([0.0, 0.0, 10.0, 20.0, rng.uniform(0, 40)]))
        jobs.append(Job(name=str(j), arrival_s=arrival_s, best=best, work=1.0 if stepwise else float(rng.uniform(0.5, 2))))
    return jobs


@pytest.mark.parametrize("seed", range(60))
def test_a_schedule_is_that_of_the_second_replay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    most = int(rng.integers(1, 9))
    jobs = drawn_jobs(rng, most)
    rules = Rules(
        learners=most,
        restart_s=(0.0, 1.5, 7.0)[rng.integers(3)],
        interval_s=(None, 4.0, 10.0)[rng.integers(3)],
        checkpoint_every_s=(None, 2.0)[rng.integers(2)],
    )

    def decide(call: int, options: Sequence[Options], learners: int) -> list[int]:
        """Anything that is allowed, the same for three calls in a row where the same jobs are there."""
        own = np.random.default_rng([seed, call // 3])
        given: list[int] = []
        for one in options:
            possible = [0, *one.learners[one.learners + sum(given) <= learners].tolist()]
            given.append(possible[-1] if own.random() < 0.5 else int(own.choice(possible)))
        return given if any(given) else [int(options[0].learners[0]), *given[1:]]

    calls = iter(range(10**6))

    def policy(seen: ActiveJobs, learners: int, /) -> list[int]:
        return decide(next(calls), [seen.catalogue.tables[kind] for kind in seen.kind.tolist()], learners)

    found, told = schedule(jobs, rules, policy), replayed(jobs, rules, decide)
    assert found.end_s == pytest.approx([one.end_s for one in told], rel=1e-9)  # the same sums, in another order
    assert found.learner_s == pytest.approx([one.learner_s for one in told], rel=1e-9)
    assert found.lost_updates == pytest.approx([one.lost for one in told], abs=1e-6)
