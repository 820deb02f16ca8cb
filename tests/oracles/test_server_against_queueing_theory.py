"""The parameter server against queueing theory: Pollaczek-Khinchine, the finite source, and a round's order statistics."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import simpy

from simulator.engine.draws import LearnerDraws
from simulator.engine.job import Noise
from simulator.engine.processes import ComputeUnit, ParameterServer
from simulator.engine.run import simulate
from simulator.engine.trace import MemoryRecorder
from simulator.network.laws import LinearReduce
from tests.simulated import laws, mean_and_error, small_job


@pytest.mark.parametrize("load", [0.3, 0.8])
def test_a_server_fed_at_random_keeps_gradients_waiting_as_pollaczek_and_khinchine_say(load: float) -> None:
    """M/D/1: the mean wait is load * service / (2 (1 - load)); the wait and the service are 1 s together with it."""
    env = simpy.Environment()
    server = ParameterServer(env, lambda: 1.0)
    rng = np.random.default_rng(3)
    stays: list[float] = []

    def gradient(server: ParameterServer) -> Generator[Any, Any, None]:
        came_s = env.now
        yield server.push()
        stays.append(env.now - came_s)

    def source(count: int) -> Generator[Any, Any, None]:
        for gap_s in rng.exponential(1.0 / load, count):
            yield env.timeout(gap_s)
            env.process(gradient(server))

    env.process(source(30_000))
    env.run()
    mean, error = mean_and_error(np.array(stays))
    assert mean == pytest.approx(1.0 + load / (2 * (1 - load)), abs=3 * error)


@pytest.mark.parametrize(("learners", "service_s"), [(1, 0.5), (4, 0.3), (16, 0.1)])
def test_learners_that_do_not_meet_are_a_finite_source(learners: int, service_s: float) -> None:
    """M/M/1 with P sources that compute 1 s: p0 = 1 / sum of P!/(P - k)! s^k; the server takes in (1 - p0)/s a second."""
    env = simpy.Environment()
    rng = np.random.default_rng(4)
    server = ParameterServer(env, lambda: service_s * rng.standard_exponential())
    draws = LearnerDraws(np.ones(learners), Noise(kind="exponential"), rng=np.random.default_rng(5))
    done_s: list[float] = []

    def learner(number: int) -> Generator[Any, Any, None]:
        unit = ComputeUnit(env)
        while True:
            for seconds in blocks[number]:
                yield unit.compute(seconds)
                yield server.push()
                done_s.append(env.now)

    seconds = np.concatenate([draws.block().seconds for _ in range(200)])
    blocks = seconds.T.tolist()
    for number in range(learners):
        env.process(learner(number))
    env.run(until=20_000 / learners)
    weights = np.cumprod([1.0, *(service_s * (learners - k) for k in range(learners))])
    busy = 1.0 - 1.0 / weights.sum()
    gap, error = mean_and_error(np.diff(done_s[100:]))
    assert gap == pytest.approx(service_s / busy, abs=3 * error)


@pytest.mark.parametrize(("learners", "service_s"), [(4, 0.3), (32, 0.05), (32, 0.0)])
def test_a_synchronous_round_ends_with_the_last_in_the_queue(learners: int, service_s: float) -> None:
    """E max over i of X_(i) + (P - i + 1) s: whoever finds nobody before it in the queue starts the last busy period."""
    record = MemoryRecorder()
    model = laws(2000, reduce=LinearReduce(delta_s=service_s))
    job = small_job(
        learners=learners, model=model, mode="every_learner", server="fixed", noise=Noise(kind="exponential")
    )  # fmt: skip
    simulate(job, rng=np.random.default_rng(6), record=record)
    mean, error = mean_and_error(record.column("end_s") - record.column("start_s"))
    ordered = np.sort(np.random.default_rng(7).standard_exponential((100_000, learners)), axis=1)
    rounds = (ordered + service_s * np.arange(learners, 0, -1)).max(axis=1)
    assert mean == pytest.approx(rounds.mean(), abs=3 * np.hypot(error, rounds.std() / np.sqrt(len(rounds))))
