"""Simulated stragglers against the expectation of the largest of P draws: harmonic numbers, and numerical integration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from simulator.compute import CrossValidation
from simulator.engine.draws import CohortDraws, LearnerDraws
from simulator.engine.job import Hiccups, Mode, Noise, NoiseKind
from simulator.engine.run import simulate
from simulator.engine.scatter import scatter_of
from simulator.engine.trace import MemoryRecorder
from tests.simulated import laws, mean_and_error, small_job

MODES: tuple[Mode, ...] = ("cohorts", "every_learner")

LAWS = {
    "lognormal": lambda sd: stats.lognorm(s=np.sqrt(np.log1p(sd**2)), scale=1.0 / np.sqrt(1.0 + sd**2)),
    "gamma": lambda sd: stats.gamma(a=1.0 / sd**2, scale=sd**2),
    "exponential": lambda sd: stats.expon(loc=1.0 - sd, scale=sd),
}
"""The laws of mean 1 as scipy.stats writes them."""


def expected_largest(kind: str, sd: float, count: int) -> float:
    """E max = integral of 1 - F^n from the lowest value on."""
    law = LAWS[kind](sd)
    lowest, highest = law.support()[0], law.isf(1e-15 / count)
    middle = np.linspace(law.ppf(0.5), highest, 20)[1:-1]
    found, error = integrate.quad(
        lambda x: -np.expm1(count * law.logcdf(x)), lowest, highest, points=middle, limit=500, epsabs=1e-10
    )
    assert error < 1e-7
    return float(lowest + found)


def slowest_s(mode: Mode, noise: Noise, learners: int, updates: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    record = MemoryRecorder()
    job = small_job(updates, learners, mode=mode, noise=noise)
    simulate(job, rng=np.random.default_rng(11), record=record)
    return record.column("end_s") - record.column("start_s")


@pytest.mark.parametrize(
    ("mode", "learners", "updates"),
    [
        ("cohorts", 1, 30_000), ("cohorts", 8, 30_000), ("cohorts", 128, 30_000), ("cohorts", 1024, 30_000),
        ("every_learner", 1, 3000), ("every_learner", 8, 3000), ("every_learner", 128, 600), ("every_learner", 1024, 150),
    ],
)  # fmt: skip
def test_exponential_computing_takes_the_harmonic_number_of_learners(mode: Mode, learners: int, updates: int) -> None:
    """E max of P exponentials of mean Gamma is Gamma * H_P; Gamma = 1 s, Delta = 0.25 s."""
    mean, error = mean_and_error(slowest_s(mode, Noise(kind="exponential"), learners, updates))
    delta = 0.25 if learners > 1 else 0.0
    assert mean == pytest.approx(sum(1 / k for k in range(1, learners + 1)) + delta, abs=3 * error)


@pytest.mark.parametrize("learners", [2, 64, 1024])
@pytest.mark.parametrize(
    ("kind", "sd"), [("lognormal", 0.05), ("lognormal", 1.0), ("gamma", 0.3), ("gamma", 2.0), ("exponential", 0.4)]
)
def test_the_slowest_learner_takes_the_expectation_of_the_largest(kind: NoiseKind, sd: float, learners: int) -> None:
    expected = expected_largest(kind, sd, learners) + 0.25
    for mode, updates in zip(MODES, (20_000, 20_000 // learners + 120), strict=True):
        mean, error = mean_and_error(slowest_s(mode, Noise(kind=kind, relative_sd=sd), learners, updates))
        assert mean == pytest.approx(expected, abs=3 * error), mode


@pytest.mark.parametrize("kind", ["lognormal", "gamma", "exponential"])
@pytest.mark.parametrize("sd", [0.02, 0.5, 1.0])
def test_quantiles_and_partial_means_are_those_of_the_law(kind: NoiseKind, sd: float) -> None:
    law, scatter = LAWS[kind](sd), scatter_of(Noise(kind=kind, relative_sd=sd))
    survival = np.array([1e-300, 1e-20, 1e-5, 0.3, 0.9, 0.999])
    assert scatter.isf(survival) == pytest.approx(law.isf(survival), rel=1e-9)
    for highest in law.ppf([1e-6, 0.01, 0.5, 0.99]).tolist():
        # in u = F(x) the mean below is the mean quantile
        expected = integrate.quad(lambda u: law.ppf(u * law.cdf(highest)), 0.0, 1.0, limit=200)[0]  # noqa: B023
        assert float(scatter.mean_below(np.array(highest))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["none", "lognormal", "gamma", "exponential"])
def test_the_mean_learner_computes_what_its_law_says(kind: NoiseKind) -> None:
    """Whatever the slowest does: the mean of all is Gamma = 1 s, with hiccups 1 s + rate * mean pause."""
    hiccups = Hiccups(per_learner_hour=36.0, duration_s=2.0, tail=3.0)  # 0.01 in an update, 3 s on average
    noise = Noise(kind=kind, relative_sd=0.5, hiccups=hiccups)
    for draws in (
        CohortDraws(np.ones(1), np.array([500]), noise, rng=np.random.default_rng(3)),
        LearnerDraws(np.ones(500), noise, rng=np.random.default_rng(4)),
    ):
        mean, error = mean_and_error(np.concatenate([draws.block().mean_s for _ in range(20)]))
        assert mean == pytest.approx(1.0 + 0.01 * 3.0, abs=3 * error)


@pytest.mark.parametrize("kind", ["none", "lognormal", "gamma", "exponential"])
@pytest.mark.parametrize("per_learner_hour", [0.0, 30.0, 3000.0])
def test_cohorts_are_distributed_as_every_learner_is(kind: NoiseKind, per_learner_hour: float) -> None:
    """Kolmogorov-Smirnov on updates and passes: uneven shares, two slow learners, rare, frequent or no hiccups."""
    hiccups = Hiccups(per_learner_hour=per_learner_hour, duration_s=0.3, tail=1.3) if per_learner_hour else None
    noise = Noise(kind=kind, relative_sd=0.2, slow_learners={3: 1.2, 40: 1.1}, hiccups=hiccups)
    model = laws(1500, cross_validation=CrossValidation(every_updates=2, samples=70))
    updates_s, passes_s, waits_s = [], [], []
    for mode in MODES:
        record = MemoryRecorder()
        job = small_job(model=model, learners=50, batch_samples=120, mode=mode, noise=noise)
        simulate(job, rng=np.random.default_rng(21), record=record)
        passes = record.column("cross_validation_s")
        updates_s.append(record.column("end_s") - record.column("start_s") - passes)
        passes_s.append(passes[passes > 0])
        waits_s.append(np.minimum(record.column("waiting_s"), 10.0))
    for first, second in (updates_s, passes_s):
        if kind == "none" and hiccups is None:
            assert first == pytest.approx(second[0])
            assert second == pytest.approx(second[0])
        else:
            assert float(stats.ks_2samp(first, second).pvalue) > 0.01
    # of the mean learner cohorts know the expectation alone
    (mean, error), (other, other_error) = (mean_and_error(one) for one in waits_s)
    assert mean == pytest.approx(other, abs=3 * np.hypot(error, other_error) + 1e-9)


def test_a_cohort_of_16384_has_the_slowest_of_as_many_learners() -> None:
    noise = Noise(kind="lognormal", relative_sd=0.02)
    cohort = CohortDraws(np.ones(1), np.array([16_384]), noise, rng=np.random.default_rng(1)).block()
    learners = LearnerDraws(np.ones(16_384), noise, rng=np.random.default_rng(2))
    single = [learners.block() for _ in range(5)]
    slowest_s, mean_s = (np.concatenate([getattr(block, name) for block in single]) for name in ("slowest_s", "mean_s"))
    assert float(stats.ks_2samp(cohort.slowest_s, slowest_s).pvalue) > 0.01
    assert cohort.mean_s.mean() == pytest.approx(mean_s.mean(), abs=3 * mean_s.std() / len(mean_s) ** 0.5)


def test_the_number_of_updates_scatters_around_the_law() -> None:
    """Log-normal of relative sd 0.1 and mean 10,000 updates; whole numbers add half an update."""
    job = small_job(10_000, run_to_run_relative=0.1)
    updates = np.array([job.updates(np.random.default_rng(seed)) for seed in range(3000)], dtype=np.float64)
    assert updates.mean() == pytest.approx(10_000, abs=3 * updates.std() / np.sqrt(len(updates)))
    assert updates.std(ddof=1) == pytest.approx(1000, rel=3 / np.sqrt(2 * len(updates)))
    assert stats.kstest(np.log(updates), "norm", args=(np.log(10_000) - np.log(1.01) / 2, np.sqrt(np.log(1.01)))).pvalue > 0.01
    assert simulate(replace(job, run_to_run_relative=0.0), rng=np.random.default_rng(1)).updates == 10_000
