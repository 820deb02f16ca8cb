"""Training times simulated with known parameters: a system 16 times as large as the largest fitted is predicted as stated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from simulator.calibration.cluster_time import TrainingTime, fit_cluster_times
from simulator.calibration.training_runs import TrainingRun

WORKLOADS, SERIES = 5, 6
SIZES = ((8, 1), (16, 2), (64, 8))
TARGET = (1024, 128)
OWN_SD = 0.04


def drawn(rng: np.random.Generator) -> tuple[list[TrainingRun], dict[str, tuple[float, float, float]]]:
    """Return runs of 30 series on 8 to 64 learners, and of each M, the law's N and the seconds on 1,024 learners.

    seconds = N (gamma m + fixed + jump [nodes > 1]) (1 + 4 % a doubling beyond 8 on what is fixed) + start, each relative
    error lognormal: written down here, not taken from the model, whose growth is a power of P.
    """
    runs, targets = [], {}
    for w in range(WORKLOADS):
        gamma, fixed, jump = np.exp(rng.normal(np.log([1e-3, 1e-2, 4e-3]), [1.5, 0.6, 0.6]))
        for s in range(SERIES):
            own = np.exp(rng.normal(0.0, 0.2, 3)) * (gamma, fixed, jump)
            start, growth, name = float(np.exp(rng.normal(0.0, 0.5))), rng.uniform(0.0, 0.08), f"w{w}s{s}"

            def seconds(M: float, P: int, nodes: int, N: float, own=own, start=start, growth=growth) -> float:  # type: ignore[no-untyped-def]
                still = (own[1] + own[2] * (nodes > 1)) * (1.0 + growth * np.log2(P / 8))
                return float((N * (own[0] * M / P + still) + start) * np.exp(rng.normal(0.0, OWN_SD)))

            for P, nodes in SIZES:
                M = float(P * rng.choice([16, 32, 64]))
                N = 500.0 + 2e6 / M
                runs.append(
                    TrainingRun(
                        series=name, workload=f"w{w}", family=f"f{s % 2}", owner=f"o{s}", accelerator="a", learners=P,
                        nodes=nodes, batch_samples=M, updates=N, time_s=seconds(M, P, nodes, N), pass_samples=1e6,
                        law_updates=N,
                    )
                )  # fmt: skip
            M = float(TARGET[0] * rng.choice([4, 16]))
            N = 500.0 + 2e6 / M
            targets[name] = (M, N, seconds(M, *TARGET, N))
    return runs, targets


@pytest.fixture(scope="module")
def predicted() -> list[tuple[TrainingTime, float]]:
    found = []
    for seed in range(4):
        runs, targets = drawn(np.random.default_rng(seed))
        fit = fit_cluster_times(runs)
        for name, (M, N, seconds) in targets.items():
            guess = fit.series(name).predict(
                accelerator="a", learners=TARGET[0], nodes=TARGET[1], batch_samples=M, law_updates=N, law_sd=0.0
            )
            found.append((guess, seconds))
    return found


def test_intervals_hold_as_often_as_they_say(predicted: list[tuple[TrainingTime, float]]) -> None:
    """At least as often as 99 % of binomial draws with 0.9: the model allows for more than this simulation has."""
    held = sum(one.interval90[0] <= seconds <= one.interval90[1] for one, seconds in predicted)
    assert held >= stats.binom.ppf(0.01, len(predicted), 0.9)


def test_predictions_are_near_and_without_bias(predicted: list[tuple[TrainingTime, float]]) -> None:
    errors = np.array([one.time_s / seconds - 1.0 for one, seconds in predicted])
    widths = np.array([np.log(one.interval90[1] / one.interval90[0]) for one, _ in predicted])
    assert np.median(np.abs(errors)) < 0.15
    # the median of n errors of the stated spread is off by at most 1.25 sd/sqrt(n), three times that allowed, and by the
    # distance of the stated point from the median, half the variance at most
    sd = float(np.median(widths)) / 3.29
    assert abs(np.median(errors)) < 3 * 1.25 * sd / np.sqrt(len(errors)) + sd**2


def test_a_single_series_is_predicted_too() -> None:
    """Without any other series, 8 to 64 learners measured, 128 asked: two doublings of nothing unusual."""
    runs, _ = drawn(np.random.default_rng(11))
    alone = [run for run in runs if run.series == "w0s0"]
    one = fit_cluster_times(alone).series("w0s0")
    largest = alone[-1]
    again = one.predict(
        accelerator="a", learners=64, nodes=8, batch_samples=largest.batch_samples, law_updates=largest.updates, law_sd=0.0
    )
    assert again.interval90[0] < largest.time_s < again.interval90[1]  # what it was fitted to
    assert again.time_s == pytest.approx(largest.time_s, rel=0.1)
    beyond = one.predict(accelerator="a", learners=1024, nodes=128, batch_samples=16384.0, law_updates=600.0, law_sd=0.0)
    assert np.log(beyond.interval90[1] / beyond.interval90[0]) > np.log(again.interval90[1] / again.interval90[0])
    other = one.predict(accelerator="b", learners=64, nodes=8, batch_samples=largest.batch_samples,
                        law_updates=largest.updates, law_sd=0.0)  # fmt: skip
    assert other.interval90[1] / other.interval90[0] > again.interval90[1] / again.interval90[0]
    assert set(one.medians()) == {
        "gamma_s_per_sample", "fixed_s", "jump_s", "growth", "start_s", "pass_s", "spread_s",
    }  # fmt: skip


def test_slower_convergence_of_a_series_than_the_law_says_is_carried_on() -> None:
    """Every run of one series did 20 % more updates than its law: shrunk by what others show, part of it is expected again."""
    runs, _ = drawn(np.random.default_rng(5))
    slow = [
        TrainingRun(**{
            **{name: getattr(run, name) for name in TrainingRun.__dataclass_fields__},
            "law_updates": run.updates / (1.2 if run.series == "w0s0" else 1.0),
        })
        for run in runs
    ]  # fmt: skip
    ask = {"accelerator": "a", "learners": 128, "nodes": 16, "batch_samples": 2048.0, "law_updates": 1000.0, "law_sd": 0.0}
    fit = fit_cluster_times(slow)
    expected = [fit.series(name).predict(**ask).updates for name in ("w0s0", "w0s1")]  # type: ignore[arg-type]
    assert 1050.0 < expected[0] < 1200.0
    assert expected[1] == pytest.approx(1000.0, rel=0.01)
