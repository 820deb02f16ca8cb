"""Simulated failures against the expected time of work that is saved in segments and done again after a failure.

A segment of L seconds that has to go through without failure takes Theta (exp(L/Theta) - 1) on average, plus what each of its
exp(L/Theta) - 1 failures costs; a restart that can fail itself is such a segment too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.engine.job import Failures, Noise
from simulator.engine.run import simulate
from tests.simulated import mean_and_error, small_job

RUNS = 300


def simulated(updates: int, failures: Failures, **given: Any) -> tuple[float, float, float]:
    """Mean time and its standard error over independent runs, and mean number of failures."""
    job = small_job(updates, 2, failures=failures, **given)
    runs = [simulate(job, rng=rng) for rng in np.random.default_rng(5).spawn(RUNS)]
    for run in runs:
        assert run.seconds.total_s == pytest.approx(run.converge_time_s, rel=1e-9)
        assert (run.failures > 0) == (run.seconds.lost > 0)
    mean, error = mean_and_error(np.array([run.converge_time_s for run in runs]))
    return mean, error, float(np.mean([run.failures for run in runs]))


@pytest.mark.parametrize(
    ("mtbf_s", "nodes", "every", "checkpoint_s", "restart_s"),
    [(800.0, 8, 16, 2.0, 5.0), (60.0, 2, 16, 5.0, 10.0), (300.0, 1, 32, 0.0, 40.0), (1e5, 5, 8, 1.0, 0.0)],
)
@pytest.mark.parametrize("by_time", [False, True])
def test_checkpointed_work_takes_the_expected_time(
    mtbf_s: float, nodes: int, every: int, checkpoint_s: float, restart_s: float, by_time: bool
) -> None:
    """Theta exp(R/Theta) (exp((tau + c)/Theta) - 1) W/tau; updates take 1.25 s, W is a whole number of segments."""
    tau, W = 1.25 * every, 1.25 * 64
    given: dict[str, Any] = {"checkpoint_every_s": tau} if by_time else {"checkpoint_every_updates": every}
    failures = Failures(node_mtbf_s=mtbf_s, nodes=nodes, checkpoint_s=checkpoint_s, restart_s=restart_s, **given)
    theta = mtbf_s / nodes
    expected_s = theta * np.exp(restart_s / theta) * np.expm1((tau + checkpoint_s) / theta) * W / tau
    mean, error, _ = simulated(64, failures)
    assert mean == pytest.approx(expected_s, abs=3 * error)


def test_every_learner_loses_as_much() -> None:
    failures = Failures(node_mtbf_s=60.0, nodes=2, checkpoint_every_updates=8, checkpoint_s=1.0, restart_s=3.0)
    expected_s = 30.0 * np.exp(3 / 30) * np.expm1(11 / 30) * 80 / 10
    mean, error, _ = simulated(64, failures, mode="every_learner")
    assert mean == pytest.approx(expected_s, abs=3 * error)


def test_without_checkpoints_a_failure_loses_all() -> None:
    """One segment of 20 s with Theta = 25 s: 25 (exp(20/25) - 1), and exp(20/25) - 1 failures."""
    mean, error, count = simulated(16, Failures(node_mtbf_s=25.0, nodes=1))
    assert mean == pytest.approx(25 * np.expm1(20 / 25), abs=3 * error)
    assert count == pytest.approx(np.expm1(20 / 25), rel=0.15)


def test_repairs_without_spares_are_waited_for() -> None:
    """One node, so that nothing fails while it is repaired: a recovery takes r + (Theta + r)(exp(R/Theta) - 1)."""
    theta, r, R, L = 100.0, 30.0, 10.0, 22.0
    failures = Failures(
        node_mtbf_s=theta, nodes=1, checkpoint_every_updates=16, checkpoint_s=2.0, restart_s=R, repair_s=r
    )  # fmt: skip
    recovery_s = r + (theta + r) * np.expm1(R / theta)
    mean, error, _ = simulated(64, failures)
    assert mean == pytest.approx((theta + recovery_s) * np.expm1(L / theta) * 4, abs=3 * error)


def test_enough_spares_hide_the_repair() -> None:
    spared = Failures(
        node_mtbf_s=400.0, nodes=4, checkpoint_every_updates=16, checkpoint_s=2.0, restart_s=10.0, spare_nodes=50,
        repair_s=500.0,
    )  # fmt: skip
    mean, error, _ = simulated(64, spared)
    assert mean == pytest.approx(100 * np.exp(10 / 100) * np.expm1(22 / 100) * 4, abs=3 * error)


def test_nodes_that_are_away_do_not_fail() -> None:
    """Two nodes, repair 40 s each, work of 12.5 s in one piece, restart at once: played with two plain clocks."""
    mtbf_s, repair_s, work_s = 50.0, 40.0, 12.5
    rng = np.random.default_rng(8)

    def played_s() -> float:
        now_s = 0.0
        while (fails_s := rng.exponential(mtbf_s / 2)) < work_s:
            now_s += fails_s
            back_s = [now_s + repair_s]
            while back_s:
                other_s = now_s + rng.exponential(mtbf_s) if len(back_s) == 1 else np.inf
                if other_s < back_s[0]:  # the other one follows, and then nothing is left that can fail
                    now_s = other_s
                    back_s.append(now_s + repair_s)
                else:
                    now_s = back_s.pop(0)
        return now_s + work_s

    plain = np.array([played_s() for _ in range(20_000)])
    mean, error, _ = simulated(10, Failures(node_mtbf_s=mtbf_s, nodes=2, repair_s=repair_s))
    assert mean == pytest.approx(plain.mean(), abs=3 * np.hypot(error, plain.std() / np.sqrt(len(plain))))


def test_lost_work_is_computed_with_new_noise() -> None:
    failures = Failures(node_mtbf_s=30.0, nodes=1, checkpoint_every_updates=8, checkpoint_s=1.0, restart_s=3.0)
    run = simulate(
        small_job(64, 2, failures=failures, noise=Noise(kind="lognormal", relative_sd=0.3)), rng=np.random.default_rng(2)
    )
    assert run.failures > 0
    assert run.redone_updates > 0
    assert run.checkpoints == 8
    assert run.seconds.checkpoint == pytest.approx(8.0)
