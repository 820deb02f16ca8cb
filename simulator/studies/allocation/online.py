"""Jobs come and go: learners are given out anew at arrivals, departures and intervals, and a change costs a restart.

A job advances by 1/N_Update(M) with every update at mini-batch M, and ends when these add up to 1. That progress adds up over
mini-batches is an assumption: the laws are fitted to runs at one mini-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InfeasibleError, PolicyError
from simulator.quantities import FloatArray, whole
from simulator.studies.allocation.jobs import ActiveJobs, Job, Policy
from simulator.studies.allocation.options import Catalogue, IntArray, Options
from simulator.studies.allocation.records import Rules, Schedule

__all__ = ["schedule"]

MOST_INTERVALS = 10_000
"""Intervals in a row in which no job comes or goes and nothing is done: then the policy keeps all jobs from ending."""
LEAST_UPDATE = 1e-6
"""Less than this part of an update is no update still to do: rounding of the progress added up."""

SHORTEST = 1e-12
"""Of a job's T_C relative to the time at which it starts: with 16 digits, 2 parts in 10,000 of it are still told apart."""


def schedule(
    jobs: Sequence[Job], rules: Rules, policy: Policy, *, progress: Callable[[int, float], None] | None = None
) -> Schedule:
    """Run jobs through the data centre under a policy.

    Parameters
    ----------
    jobs : sequence of Job
        In any order; those that arrive at the same time are served in this one.
    rules : Rules
        Learners, restarts, intervals, checkpoints.
    policy : Policy
        Who gets how many. At one instant departures come first, then arrivals; then it is asked once.
    progress : callable, optional
        Told the number of jobs that have ended, and the simulated seconds, after each departure.

    Returns
    -------
    Schedule
        Rows by job in the order given.

    Raises
    ------
    InfeasibleError
        If a job needs more learners than there are, or takes less time than can be told apart when it starts.
    PolicyError
        If the policy gives a job a number that it cannot have, more than there are, or lets all wait for ever.
    """
    if not jobs:
        raise ValueError("jobs must hold at least one job, got none")
    run = _Run.of(jobs, rules, policy)
    now_s = 0.0
    while run.ended < len(jobs):
        now_s = run.next_event_s(now_s)
        departed, arrived = run.depart(now_s), run.arrive(now_s)
        run.idle_intervals = 0 if departed or arrived else run.idle_intervals + 1
        if run.idle_intervals > MOST_INTERVALS:
            run.must_have_advanced(now_s)
        if departed and progress is not None:
            progress(run.ended, now_s)
        if len(run.active):
            run.give_out(now_s)
    return run.result()


@dataclass(slots=True, kw_only=True, eq=False)
class _Run:
    """State of the data centre: arrays over all jobs, by place in order of arrival."""

    jobs: Sequence[Job]
    order: IntArray
    rules: Rules
    policy: Policy
    catalogue: Catalogue
    batch_samples: FloatArray
    kind: IntArray
    work: FloatArray
    weight: FloatArray
    arrival_s: FloatArray
    requested: IntArray
    # while a job runs: its option, since when it holds it, from when on it computes, and when it ends
    option: IntArray
    held: IntArray
    from_s: FloatArray
    computes_s: FloatArray
    end_s: FloatArray
    # over its life
    done: FloatArray
    start_s: FloatArray
    learner_s: FloatArray
    restarts: IntArray
    lost: FloatArray
    active: IntArray
    arrived: int
    ended: int
    idle_intervals: int
    done_before: float
    parts: list[tuple[NDArray[np.generic], ...]]

    @classmethod
    def of(cls, jobs: Sequence[Job], rules: Rules, policy: Policy) -> _Run:
        mini_batch = getattr(policy, "mini_batch", "best")
        order = np.argsort([job.arrival_s for job in jobs], kind="stable")
        possible: dict[Options, Options] = {}
        options = [_possible(jobs[j], jobs[j].options(mini_batch), rules.learners, possible) for j in order]
        tables = list(dict.fromkeys(options))
        kinds = {one: kind for kind, one in enumerate(tables)}
        n = len(jobs)
        return cls(
            jobs=jobs,
            order=order,
            rules=rules,
            policy=policy,
            catalogue=Catalogue.of(tables),
            batch_samples=np.concatenate(
                [np.zeros(len(one.learners)) if one.batch_samples is None else one.batch_samples for one in tables]
            ),
            kind=np.array([kinds[one] for one in options]),
            work=np.array([jobs[j].work for j in order]),
            weight=np.array([jobs[j].weight if rules.weighted else 1.0 for j in order]),
            arrival_s=np.array([jobs[j].arrival_s for j in order]),
            requested=np.array([jobs[j].request(one) for j, one in zip(order, options, strict=True)]),
            option=np.full(n, -1),
            held=np.zeros(n, dtype=np.int64),
            from_s=np.zeros(n),
            computes_s=np.zeros(n),
            end_s=np.full(n, np.inf),
            done=np.zeros(n),
            start_s=np.full(n, np.nan),
            learner_s=np.zeros(n),
            restarts=np.zeros(n, dtype=np.int64),
            lost=np.zeros(n),
            active=np.empty(0, dtype=np.int64),
            arrived=0,
            ended=0,
            idle_intervals=0,
            done_before=0.0,
            parts=[],
        )

    def next_event_s(self, now_s: float) -> float:
        """Return when, after now, the next job arrives or ends, or the next interval begins."""
        times_s = [self.arrival_s[self.arrived]] if self.arrived < len(self.arrival_s) else []
        if len(self.active):
            times_s.append(self.end_s[self.active].min())
            if self.rules.interval_s is not None:
                times_s.append((np.floor(now_s / self.rules.interval_s * (1 + 1e-12)) + 1.0) * self.rules.interval_s)
        return float(min(times_s))

    def depart(self, now_s: float) -> bool:
        """End the jobs whose time has come; whether there were any."""
        over = self.end_s[self.active] <= now_s
        if not over.any():
            return False
        ending = self.active[over]
        self._close(ending, now_s, ends=True)
        self.active = self.active[~over]
        self.ended += len(ending)
        return True

    def arrive(self, now_s: float) -> bool:
        """Let in the jobs whose time has come; whether there were any."""
        upto = int(np.searchsorted(self.arrival_s, now_s, side="right"))
        self.active = np.concatenate([self.active, np.arange(self.arrived, upto)])
        before, self.arrived = self.arrived, upto
        return upto > before

    def give_out(self, now_s: float) -> None:
        """Ask the policy, check what it says, and carry it out."""
        active = self.active
        running = self.held[active] > 0
        done = self.done[active].copy()
        updates, _ = self._updates(active[running], now_s)
        done[running] += updates / self._whole(active[running])
        started = ~np.isnan(self.start_s[active])
        seen = ActiveJobs(
            catalogue=self.catalogue,
            kind=self.kind[active],
            work=self.work[active],
            weight=self.weight[active],
            remaining=np.maximum(1.0 - done, 1e-12),
            held=self.held[active],
            requested=self.requested[active],
            restart_s=np.where(started, self.rules.restart_s, 0.0),
        )
        seen.lock()
        given, place = self._checked(self.policy(seen, self.rules.learners), seen)
        changed = given != seen.held
        stopped = active[changed & running]
        self._close(stopped, now_s, ends=False)
        self._open(active[changed & (given > 0)], given[changed & (given > 0)], place[changed & (given > 0)], now_s)
        if self.arrived == len(self.jobs) and not np.any(self.held[active] > 0):
            raise PolicyError(f"the policy lets the last {len(active)} jobs wait for ever")

    def must_have_advanced(self, now_s: float) -> None:
        """Raise PolicyError where nothing was done in many intervals; else count them anew."""
        running = self.active[self.held[self.active] > 0]
        done = float(self.done.sum() + (self._updates(running, now_s)[0] / self._whole(running)).sum())
        if done <= self.done_before:
            raise PolicyError(
                f"nothing was done in {MOST_INTERVALS} intervals: the policy keeps restarting the jobs, or "
                f"interval_s = {self.rules.interval_s:g} is too short for an update or a restart"
            )
        self.done_before, self.idle_intervals = done, 0

    def _checked(self, answer: Sequence[int] | IntArray, seen: ActiveJobs) -> tuple[IntArray, IntArray]:
        """Return what the policy gives each job and the option that it is; PolicyError where that cannot be."""
        try:
            given = whole("the policy's answer", answer, lowest=0).astype(np.int64)
        except (TypeError, ValueError) as error:
            raise PolicyError(str(error)) from None
        if given.shape != (len(seen),):
            raise PolicyError(f"the policy must answer one number for each of {len(seen)} jobs, got shape {given.shape}")
        too_many = given.max(initial=0)  # of one job; a sum of such numbers may leave the range of integers
        too_many = too_many if too_many > self.rules.learners else given.sum()
        if too_many > self.rules.learners:
            raise PolicyError(f"the policy must give out at most {self.rules.learners} learners, got {too_many}")
        place = self.catalogue.place(seen.kind, given)
        wrong = np.flatnonzero((given > 0) & (place < 0))
        if len(wrong):
            name = self.jobs[self.order[self.active[wrong[0]]]].name
            possible = seen.learners(int(wrong[0]))
            some = ", ".join(map(str, possible[:8])) + (", ..." if len(possible) > 8 else "")
            raise PolicyError(f"the policy must give job {name!r} 0 or one of {some} learners, got {given[wrong[0]]}")
        return given, place

    def _whole(self, running: IntArray) -> FloatArray:
        """N_Update of running jobs; 1 where progress is not made in updates."""
        updates: FloatArray = np.maximum(self.catalogue.updates[self.option[running]], 1.0)
        return updates

    def _update_s(self, running: IntArray) -> FloatArray:
        """Seconds of an update; of the whole where progress is not made in updates."""
        time_s: FloatArray = self.catalogue.converge_time_s[self.option[running]] * self.work[running] / self._whole(running)
        return time_s

    def _updates(self, running: IntArray, now_s: float) -> tuple[FloatArray, FloatArray]:
        """Return the updates of running jobs since they hold their learners: those that a change now keeps, and those done."""
        update_s = self._update_s(running)
        stepwise = self.catalogue.updates[self.option[running]] > 0
        ran_s = np.maximum(now_s - self.computes_s[running], 0.0)
        done = ran_s / update_s
        done = np.where(stepwise, np.floor(done * (1 + 1e-12)), done)
        if self.rules.checkpoint_every_s is None:
            return done, done
        every_s = self.rules.checkpoint_every_s
        kept = np.floor(ran_s / every_s * (1 + 1e-12)) * every_s / update_s
        return np.where(stepwise, np.floor(kept * (1 + 1e-12)), kept), done

    def _close(self, closing: IntArray, now_s: float, *, ends: bool) -> None:
        """Write down what running jobs did until now with the learners that they hold, and take these from them."""
        if not len(closing):
            return
        whole_run = self._whole(closing)
        if ends:
            kept = done = self._needed(closing)
            self.done[closing] = 1.0
        else:
            kept, done = self._updates(closing, now_s)
            self.done[closing] += kept / whole_run
        self.lost[closing] += done - kept
        self.learner_s[closing] += self.held[closing] * (now_s - self.from_s[closing])
        self.parts.append(
            (
                closing,
                self.from_s[closing],
                np.full(len(closing), now_s),
                self.held[closing],
                self.batch_samples[self.option[closing]],
                kept,
                kept / whole_run,
            )
        )
        self.held[closing] = 0
        if not ends:
            self.end_s[closing] = np.inf

    def _needed(self, running: IntArray) -> FloatArray:
        """Updates that are left of running jobs, from when they hold their learners on."""
        left = (1.0 - self.done[running]) * self._whole(running)
        stepwise = self.catalogue.updates[self.option[running]] > 0
        return np.where(stepwise, np.maximum(np.ceil(left - LEAST_UPDATE), 1.0), left)

    def _open(self, opening: IntArray, learners: IntArray, option: IntArray, now_s: float) -> None:
        """Give jobs learners, and say when they would end."""
        again = ~np.isnan(self.start_s[opening])
        self.start_s[opening] = np.where(again, self.start_s[opening], now_s)
        self.restarts[opening] += again
        self.held[opening], self.option[opening] = learners, option
        whole_s = self.catalogue.converge_time_s[option] * self.work[opening]
        if np.any(whole_s < SHORTEST * now_s):
            short = int(np.argmin(whole_s))
            raise InfeasibleError(
                f"job {self.jobs[self.order[opening[short]]].name!r} takes {whole_s[short]:.3g} s, which cannot be told apart "
                f"at {now_s:.3g} s: let arrival_s begin near 0"
            )
        self.from_s[opening] = now_s
        self.computes_s[opening] = now_s + np.where(again, self.rules.restart_s, 0.0)
        self.end_s[opening] = self.computes_s[opening] + self._needed(opening) * self._update_s(opening)

    def result(self) -> Schedule:
        """Return what happened, jobs in the order in which they were given."""
        back = np.empty(len(self.order), dtype=np.int64)
        back[self.order] = np.arange(len(self.order))
        columns = [np.concatenate(column) for column in zip(*self.parts, strict=True)]
        return Schedule(
            start_s=self.start_s[back],
            end_s=self.end_s[back],
            learner_s=self.learner_s[back],
            restarts=self.restarts[back],
            lost_updates=self.lost[back],
            part_job=self.order[columns[0]],
            part_from_s=columns[1],
            part_to_s=columns[2],
            part_learners=columns[3],
            part_batch_samples=columns[4],
            part_updates=columns[5],
            part_progress=columns[6],
        )


def _possible(job: Job, options: Options, learners: int, known: dict[Options, Options]) -> Options:
    """Return the options within the learners that there are; InfeasibleError where there is none."""
    if options not in known:
        fits = options.learners <= learners
        if not fits.any():
            raise InfeasibleError(f"job {job.name!r} needs at least {options.learners[0]} learners, there are {learners}")
        known[options] = options if fits.all() else options.at(fits)
    return known[options]
