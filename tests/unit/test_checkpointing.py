"""Checkpoint intervals and expected times, against the published formulas, numerical minimisation and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from simulator.checkpointing import Checkpointing
from simulator.errors import InfeasibleError

DAY_S = 86_400.0


def dalys_total_s(job: Checkpointing, work_s: float, interval_s: float) -> float:
    """Daly 2006, typed from the paper: M exp(R/M) (exp((tau + delta)/M) - 1) Ts/tau."""
    M, R, delta = job.mtbf_s, job.restart_s, job.checkpoint_s
    return M * math.exp(R / M) * (math.exp((interval_s + delta) / M) - 1.0) * work_s / interval_s


@given(
    mtbf_s=st.floats(1.0, 1e7),
    checkpoint=st.floats(0.0, 3.0),
    restart=st.floats(0.0, 3.0),
    interval=st.floats(0.01, 5.0),
    segments=st.integers(1, 10_000),
)
@settings(max_examples=60)
def test_the_expected_time_is_the_published_formula_and_the_sum_of_its_parts(
    mtbf_s: float, checkpoint: float, restart: float, interval: float, segments: int
) -> None:
    job = Checkpointing(mtbf_s=mtbf_s, checkpoint_s=checkpoint * mtbf_s, restart_s=restart * mtbf_s)
    tau = interval * mtbf_s
    found = job.time(segments * tau, tau)
    assert float(found.total_s) == pytest.approx(dalys_total_s(job, segments * tau, tau), rel=1e-12)
    assert found.total_s == found.work_s + found.checkpoint_s + found.rework_s + found.restart_s
    assert min(found.rework_s, found.restart_s, found.checkpoint_s) >= -1e-12 * found.total_s
    assert 0 < found.checkpoint_share + found.lost_share < 1 or checkpoint + restart == 0


def test_the_expected_time_is_the_mean_of_runs_played_out_one_failure_after_another() -> None:
    """A segment is repeated until it gets through; a failure costs a restart, repeated itself until it gets through."""
    job = Checkpointing(mtbf_s=100.0, checkpoint_s=8.0, restart_s=15.0)
    rng, times, runs = np.random.default_rng(5), [], 4000
    for _ in range(runs):
        now, segments = 0.0, 4
        while segments:
            until_failure = rng.exponential(100.0)
            if until_failure >= 48.0:
                now, segments = now + 48.0, segments - 1
                continue
            now += until_failure
            while (until_failure := rng.exponential(100.0)) < 15.0:
                now += until_failure
            now += 15.0
        times.append(now)
    expected = job.time(160.0, 40.0)
    standard_error = np.std(times, ddof=1) / np.sqrt(runs)
    assert abs(np.mean(times) - expected.total_s) < 3 * standard_error
    assert standard_error < 0.02 * expected.total_s  # so that the line above says something


@given(mtbf_s=st.floats(1.0, 1e8), ratio=st.floats(1e-9, 30.0), restart_s=st.floats(0.0, 100.0))
@settings(max_examples=60)
def test_the_best_interval_solves_its_equation_and_beats_its_neighbours(mtbf_s: float, ratio: float, restart_s: float) -> None:
    job = Checkpointing(mtbf_s=mtbf_s, checkpoint_s=ratio * mtbf_s, restart_s=min(restart_s, mtbf_s))
    best_s = job.best_interval_s
    x = best_s / mtbf_s
    # dT/dtau = 0 is -log(1 - x) - x = c/Theta; near the root of 1 - x a rounding of x moves the left side by eps/(1 - x)
    if x < 1.0:
        assert -math.log1p(-x) - x == pytest.approx(ratio, rel=1e-11, abs=4e-16 * (1 / (1 - x) + 1))
    for factor in (0.99, 1.01):
        assert job.time(1.0, best_s).total_s <= job.time(1.0, factor * best_s).total_s


@pytest.mark.parametrize("ratio", [1e-4, 1e-3, 0.01, 0.1, 0.5, 2.0, 10.0])
def test_the_best_interval_is_the_one_that_numerical_minimisation_finds(ratio: float) -> None:
    job = Checkpointing(mtbf_s=3600.0, checkpoint_s=3600.0 * ratio, restart_s=60.0)
    found = minimize_scalar(
        lambda tau: math.log(dalys_total_s(job, 1.0, tau)), bounds=(1e-3, 2 * 3600.0), method="bounded", options={"xatol": 1e-6}
    )
    # a minimum of curvature f'' is found to about sqrt(eps f/f''): 1e-4 relative here
    assert job.best_interval_s == pytest.approx(found.x, rel=2e-4)


@pytest.mark.parametrize(
    ("ratio", "excess"),
    # T(Daly's interval)/T(best interval) - 1; Daly 2006 gives his estimate as within 0.2 % of the least time below c = Theta/2
    [(0.001, 2e-3), (0.01, 2e-3), (0.1, 2e-3), (0.5, 2e-3)],
)
def test_dalys_interval_costs_almost_nothing_against_the_best(ratio: float, excess: float) -> None:
    job = Checkpointing(mtbf_s=1.0, checkpoint_s=ratio)
    best_s = job.time(1.0, job.best_interval_s).total_s
    assert best_s <= job.time(1.0, job.daly_interval_s).total_s <= best_s * (1 + excess)
    assert job.time(1.0, job.young_interval_s).total_s >= best_s


def test_youngs_and_dalys_intervals_are_the_published_ones() -> None:
    # c = 5 min, Theta = 24 h: sqrt(2*300*86400) = 7200; c/(2 Theta) = 1/576, so Daly: 7200*(1 + 1/72 + 1/5184) - 300
    job = Checkpointing(mtbf_s=DAY_S, checkpoint_s=300.0)
    assert job.young_interval_s == pytest.approx(7200.0, rel=1e-15)
    assert job.daly_interval_s == pytest.approx(7200.0 * (1 + 1 / 72 + 1 / 5184) - 300.0, rel=1e-15)
    assert Checkpointing(mtbf_s=100.0, checkpoint_s=200.0).daly_interval_s == 100.0
    assert Checkpointing(mtbf_s=100.0, checkpoint_s=0.0).best_interval_s == 0.0


@pytest.mark.parametrize(("mtbf_s", "published_min"), [(24 * 3600.0, "117"), (6 * 3600.0, "57"), (15 * 60.0, "9.1")])
def test_the_intervals_are_those_under_the_figures_of_the_paper(mtbf_s: float, published_min: str) -> None:
    # captions of Figures 3 to 5 of Daly 2006: checkpoints of 5 min, M = 24 h, 6 h and 15 min; printed to so many digits
    job = Checkpointing(mtbf_s=mtbf_s, checkpoint_s=300.0, restart_s=600.0)
    digits = len(published_min.partition(".")[2])
    assert f"{job.daly_interval_s / 60.0:.{digits}f}" == published_min


def test_nodes_share_the_failures() -> None:
    # 419 interruptions of 2,048 nodes in 54 days: one in 3.09 h, so 264 days for a node
    job = Checkpointing.of_nodes(node_mtbf_s=2048 * 54 * DAY_S / 419, nodes=2048, checkpoint_s=40.0, restart_s=300.0)
    assert job.mtbf_s == pytest.approx(54 * DAY_S / 419, rel=1e-14)


def test_intervals_broadcast() -> None:
    job = Checkpointing(mtbf_s=1000.0, checkpoint_s=10.0, restart_s=20.0)
    table = job.time(np.array([[1e4], [2e4]]), np.array([50.0, 100.0, 200.0]))
    assert np.shape(table.total_s) == (2, 3)
    assert np.allclose(table.total_s[1], 2 * table.total_s[0], rtol=1e-14)
    assert float(table.total_s[0, 1]) == pytest.approx(dalys_total_s(job, 1e4, 100.0), rel=1e-14)


def test_a_job_that_never_ends_is_refused() -> None:
    job = Checkpointing(mtbf_s=1.0, checkpoint_s=10.0, restart_s=5.0)
    with pytest.raises(InfeasibleError, match="would never end: 1010 s from one checkpoint to the next and 5 s of a restart"):
        job.time(1e6, 1000.0)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [("mtbf_s", 0.0, "> 0, got 0"), ("checkpoint_s", -1.0, ">= 0, got -1"), ("restart_s", math.nan, ">= 0, got nan")],
)
def test_bad_arguments_are_named(key: str, value: float, rule: str) -> None:
    with pytest.raises(ValueError, match=f"{key} must be finite and {rule}"):
        Checkpointing(**{"mtbf_s": 10.0, "checkpoint_s": 1.0, "restart_s": 1.0, key: value})


def test_a_checkpointing_that_can_hardly_work_says_why_and_what_would() -> None:
    slow = Checkpointing(mtbf_s=50.0, checkpoint_s=60.0)
    assert "checkpoint_s = 60 is not below the 50 s between failures" in str(slow.concern(10.0))
    assert "Daly's interval is" in str(slow.concern(None))
    job = Checkpointing(mtbf_s=3600.0, checkpoint_s=20.0)
    assert "a checkpoint every 3600 s is not more often than the 3600 s between failures" in str(job.concern(3600.0))
    assert job.concern(600.0) is None
    assert job.concern(None) is None
