"""How the gradients of an update are combined: by a law, at a parameter server, in buckets, over a fabric with others."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from simpy.events import Event

from simulator.engine.fabric import SharedFabric
from simulator.engine.job import TrainingJob
from simulator.engine.ledger import spent
from simulator.engine.processes import Exchange, Run, Step
from simulator.network.fabric import Job as PlacedSchedule
from simulator.overlap import BucketOverlap
from simulator.quantities import FloatArray

__all__ = ["AtServer", "ByBuckets", "ByLaw", "OverFabric", "exchange_of"]

Combining = Generator[Event, Any, tuple[float, float, float]]


class ByLaw:
    """Learners meet; then comes what the overlap law leaves of Delta beside the slowest of them."""

    def __call__(self, run: Run, step: Step) -> Combining:
        """Let the learners compute, and combine."""
        began_s = run.env.now
        yield run.meeting.open(step.seconds.tolist(), None)
        met_s = run.env.now
        if step.exposed_s:
            yield run.env.timeout(step.exposed_s)
        if run.tells:
            tell_learners(run, began_s, step, met_s)
            run.span("network", "reduce", met_s, run.env.now, update=run.number)
        return step.compute_s, step.waiting_s, step.communication_s


class AtServer:
    """Learners push to the parameter server as soon as each has computed; the update ends with the last push."""

    def __call__(self, run: Run, step: Step) -> Combining:
        """Let the learners compute and push."""
        began_s = run.env.now
        run.meeting.arrived_s = {} if run.tells else None
        yield run.meeting.open(step.seconds.tolist(), run.server)
        if run.tells:
            tell_learners(run, began_s, step, run.env.now)
        yield from wait_for_input(run, began_s)
        return measured(run, began_s, step.slowest_s, step.mean_s)


@dataclass(frozen=True, slots=True)
class ByBuckets:
    """Buckets are reduced one after another, each as soon as the slowest learner has it; Delta is shared out by their sizes.

    Parameters
    ----------
    overlap : BucketOverlap
        The buckets.
    reduce_time_s : float
        Delta.
    """

    overlap: BucketOverlap
    reduce_time_s: float

    def __call__(self, run: Run, step: Step) -> Combining:
        """Let the learners compute, and combine bucket after bucket."""
        env, began_s = run.env, run.env.now
        met = run.meeting.open(step.seconds.tolist(), None)
        for bucket, (share, ready) in enumerate(zip(self.overlap.shares(), self.overlap.ready_fractions(), strict=True)):
            ready_s = began_s + ready * step.slowest_s
            if env.now < ready_s:
                yield env.timeout(ready_s - env.now)
            at_s = env.now
            if self.reduce_time_s:
                yield env.timeout(share * self.reduce_time_s)
            if run.tells:
                run.span("network", "reduce", at_s, env.now, update=run.number, bucket=bucket)
        if not met.processed:
            yield met
        yield from wait_for_input(run, began_s)
        if run.tells:
            tell_learners(run, began_s, step, began_s + step.slowest_s)
        return measured(run, began_s, step.slowest_s, step.mean_s)


class OverFabric:
    """The job's schedules are carried by a fabric, in competition with other jobs.

    An overlap law says when they start: so early that without competition the update takes what the law says. Buckets start
    when they are ready and the one before is through. With a barrier they start when the last learner is as far, without one
    each learner's part when that learner is; but no learner enters a collective before the last one is over for all.
    Where every learner is simulated, each computes on as soon as its own part has ended.

    Parameters
    ----------
    job : TrainingJob
        With traffic.
    fabric : SharedFabric
        Who carries it.
    """

    def __init__(self, job: TrainingJob, fabric: SharedFabric) -> None:
        self.job = job
        self.fabric = fabric
        self.alone_s = float(job.model.reduce.reduce_time_s(job.learners))
        self.buckets: list[tuple[float | None, list[PlacedSchedule]]] = [(None, list(job.traffic))]
        overlap = job.model.overlap
        if isinstance(overlap, BucketOverlap):
            scaled: dict[float, list[PlacedSchedule]] = {}
            for share in overlap.shares():
                if share not in scaled:
                    scaled[share] = [
                        PlacedSchedule(schedule=one.schedule.scaled(share), hosts=one.hosts) for one in job.traffic
                    ]
            self.buckets = [
                (ready, scaled[share]) for share, ready in zip(overlap.shares(), overlap.ready_fractions(), strict=True)
            ]
        self.drifts = job.mode == "every_learner" and job.learners_per_unit == 1
        self.lead_s: FloatArray = np.zeros(1)
        """For how long each learner computes already when the update is opened."""
        self.leads_at_s = -1.0

    def __call__(self, run: Run, step: Step) -> Combining:
        """Let the learners compute, and carry their traffic."""
        env, began_s = run.env, run.env.now
        if self.leads_at_s != began_s:  # a pass or a checkpoint came between, and all waited for it
            self.lead_s = np.zeros(1)
        if self.lead_s.any():
            finish_s = np.maximum(step.finish_s - self.lead_s, 0.0)
            step = step._replace(
                seconds=finish_s, finish_s=finish_s, slowest_s=float(finish_s.max()), mean_s=float(finish_s.mean())
            )
        met = run.meeting.open(step.seconds.tolist(), None)
        run.waits_for = "its traffic to be carried"
        ends_s: FloatArray = np.full(self.job.learners, began_s)
        for bucket, (ready, schedules) in enumerate(self.buckets):
            ready_s = began_s - self.lead_s + self._offset_s(ready, step.finish_s + self.lead_s)
            starts = None if self.job.barrier else ready_s
            if self.job.barrier and env.now < ready_s.max():
                yield env.timeout(float(ready_s.max()) - env.now)
            at_s = env.now
            under_way = [self.fabric.carry(one, _for_ranks(starts, one)) for one in schedules]
            for event in under_way:
                result = yield event
                ends_s = np.maximum(ends_s, result.rank_end_s[: self.job.learners])
            if run.tells:
                run.span("network", "reduce", at_s, env.now, update=run.number, bucket=bucket)
        run.waits_for = ""
        if not met.processed:
            yield met
        yield from wait_for_input(run, began_s)
        if run.tells:
            tell_learners(run, began_s, step, began_s + step.slowest_s)
        if self.drifts:
            self.lead_s, self.leads_at_s = np.maximum(env.now - ends_s, 0.0), env.now
        return measured(run, began_s, step.slowest_s, step.mean_s)

    def _offset_s(self, ready: float | None, compute_s: FloatArray) -> FloatArray:
        """Return how long after a learner begins its traffic may start."""
        if ready is not None:
            return ready * compute_s
        joined = self.job.model.overlap.joined_time_s(compute_s, np.full_like(compute_s, self.alone_s))
        return np.maximum(joined - self.alone_s, 0.0)


def _for_ranks(starts: FloatArray | None, placed: PlacedSchedule) -> FloatArray | None:
    """Return a start for each rank: servers are ready before the first learner."""
    if starts is None:
        return None
    servers = placed.schedule.ranks - placed.schedule.workers
    return np.concatenate([starts, np.full(servers, starts.min())])


def wait_for_input(run: Run, began_s: float) -> Generator[Event, Any, None]:
    """Wait until the input pipeline has delivered the update's samples."""
    left_s = began_s + run.job.input_s - run.env.now
    if left_s > 0:
        yield run.env.timeout(left_s)


def measured(run: Run, began_s: float, slowest_s: float, mean_s: float) -> tuple[float, float, float]:
    """Return the time of the step that ends now by cause."""
    step_s = run.env.now - began_s
    causes = spent(np.asarray(slowest_s), np.asarray(mean_s), np.asarray(step_s), run.job.input_s)
    return float(causes.compute_s), float(causes.waiting_s), float(causes.communication_s)


def tell_learners(run: Run, began_s: float, step: Step, met_s: float) -> None:
    """Tell what each party did in a step until all had met: compute, push, wait."""
    shared = run.job.learners_per_unit
    arrived_s = run.meeting.arrived_s or {}
    for number, (party, seconds, finish_s) in enumerate(
        zip(run.meeting.parties, step.seconds.tolist(), step.finish_s.tolist(), strict=True)
    ):
        through_s = began_s + finish_s
        begins_s = through_s - seconds if shared > 1 else began_s
        pushed_s = arrived_s.get(number, through_s)
        run.span(party, "compute", begins_s, through_s, update=run.number)
        run.span(party, "push", through_s, pushed_s, update=run.number)
        run.span(party, "wait", pushed_s, met_s, update=run.number)


def exchange_of(job: TrainingJob, fabric: SharedFabric | None) -> Exchange:
    """Return how a job combines gradients."""
    if job.server is not None and job.learners > 1:
        return AtServer()
    if job.traffic:
        assert fabric is not None
        return OverFabric(job, fabric)
    # In cohorts the recurrence of the buckets is as good as their events.
    if isinstance(job.model.overlap, BucketOverlap) and job.mode == "every_learner":
        return ByBuckets(job.model.overlap, float(job.model.reduce.reduce_time_s(job.learners)))
    return ByLaw()
