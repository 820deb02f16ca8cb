"""The data centre as queues whose mean times are known: several servers, processor sharing, shortest remaining time first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from simulator.quantities import FloatArray
from simulator.studies.allocation.jobs import Job, Policy
from simulator.studies.allocation.lower_bound import shortest_remaining_time_s
from simulator.studies.allocation.marginal_gain import MarginalGain
from simulator.studies.allocation.online import schedule
from simulator.studies.allocation.options import Options
from simulator.studies.allocation.policies import EqualShare, FirstComeFirstServed
from simulator.studies.allocation.records import Rules

WARM_UP = 100
"""Jobs left out at the beginning of each day, when the queue is empty; a few times the queue's memory at these loads."""


def mean_times_s(policy: Policy, curve: Options, learners: int, load: float, *, days: int, jobs: int) -> FloatArray:
    """Mean completion time of each of some days of Poisson arrivals and exponential work of mean 1 on all learners."""
    rng = np.random.default_rng(3)
    means = []
    for _ in range(days):
        arrival = np.cumsum(rng.exponential(1.0 / load, jobs))
        work = rng.exponential(1.0, jobs)
        listed = [
            Job(name=str(j), arrival_s=float(arrival[j]), best=curve, work=float(work[j]), requested_learners=1)
            for j in range(jobs)
        ]
        found = schedule(listed, Rules(learners=learners), policy)
        means.append(float((found.end_s - arrival)[WARM_UP:].mean()))
    return np.array(means)


def test_jobs_of_one_learner_are_the_queue_with_several_servers() -> None:
    """M/M/c, first come first served: Erlang's C gives the mean wait."""
    c, load = 2, 0.6
    one = Options(learners=np.array([1]), converge_time_s=np.array([float(c)]))  # mean c s of one learner: load is per learner
    found = mean_times_s(FirstComeFirstServed(), one, c, load, days=6, jobs=500)
    a = c * load
    waits = a**c / math.factorial(c) / (1 - load)
    waits /= sum(a**k / math.factorial(k) for k in range(c)) + waits
    expected = c + waits * c / (c * (1 - load))
    assert abs(found.mean() - expected) < 4 * found.std(ddof=1) / math.sqrt(len(found))


@pytest.mark.parametrize("policy", [EqualShare(), MarginalGain()])
def test_equal_shares_of_work_that_scales_are_processor_sharing(policy: Policy) -> None:
    """M/M/1 with processor sharing: mean 1/(1 - load). Shares of 240 learners are whole, which costs about a per mille.

    With T_C = work/P every job gains the same fraction by the same factor of learners: marginal gain shares equally too.
    """
    G, load = 240, 0.5
    P = np.arange(1, G + 1)
    found = mean_times_s(policy, Options(learners=P, converge_time_s=G / P), G, load, days=6, jobs=300)
    assert abs(found.mean() - 1 / (1 - load)) < 4 * found.std(ddof=1) / math.sqrt(len(found))


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_the_machine_of_the_lower_bound_is_the_queue_with_shortest_remaining_time_first(load: float) -> None:
    """M/M/1 with shortest remaining time first: the mean is an integral of Schrage and Miller (1966)."""

    def mean_of(x: float) -> float:
        part = load * (1 - math.exp(-x) * (1 + x))  # load of jobs shorter than x
        second = load * (2 - math.exp(-x) * (x * x + 2 * x + 2) + x * x * math.exp(-x))
        waits = second / (2 * (1 - part) ** 2)
        serves = quad(lambda t: 1 / (1 - load * (1 - math.exp(-t) * (1 + t))), 0, x)[0]
        return waits + serves

    expected = quad(lambda x: mean_of(x) * math.exp(-x), 0, 60, limit=200)[0]
    rng = np.random.default_rng(5)
    means = []
    for _ in range(12):
        arrival = np.cumsum(rng.exponential(1 / load, 8000))
        end = shortest_remaining_time_s(arrival, rng.exponential(1.0, 8000))
        means.append((end - arrival)[WARM_UP:].mean())
    assert abs(np.mean(means) - expected) < 4 * np.std(means, ddof=1) / math.sqrt(len(means))
