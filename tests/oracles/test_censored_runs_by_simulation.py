"""Censored runs against truths that are known: simulated series cut at a limit, likelihoods by brute force, integrals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from simulator.calibration.censoring import CensoredRuns, SizeRuns, log_probability, pseudo_point, tobit_means
from simulator.calibration.measurements import MeasuredUpdates, updates_series
from simulator.calibration.updates import fit_updates
from simulator.calibration.updates_laws import FAMILIES, RESIDUAL_SD, fit_family
from simulator.convergence import InverseLaw
from simulator.theory import NoiseFloorLaw

LAW = InverseLaw(n_inf_updates=100.0, alpha_samples=2000.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 1024.0)


def simulated(rng: np.random.Generator, limit: float, runs: int = 6, sd: float = 0.3) -> list[MeasuredUpdates]:
    """Runs of a law with log-normal spread around its mean, cut at a limit of updates."""
    rows = []
    for M in SIZES:
        drawn = LAW.updates(M) * np.exp(sd * rng.normal(size=runs) - 0.5 * sd * sd)
        rows += [MeasuredUpdates(batch_samples=M, updates=min(float(n), limit), censored=bool(n > limit)) for n in drawn]
    return rows


def fitted(rows: list[MeasuredUpdates]) -> tuple[float, float]:
    parameters = fit_updates(updates_series("s", rows), law="inverse").best.parameters()
    return np.log(parameters["n_inf_updates"]), np.log(parameters["alpha_samples"])


def test_censored_runs_give_the_law_where_leaving_them_out_does_not() -> None:
    """A limit of 1,100 updates cuts every run at M = 1 (2,100 on average) and half of those at M = 2 (1,100)."""
    rng = np.random.default_rng(11)
    kept, dropped = [], []
    for _ in range(40):
        rows = simulated(rng, 1100.0)
        kept.append(fitted(rows))
        dropped.append(fitted([row for row in rows if not row.censored]))
    truth = np.log([LAW.n_inf_updates, LAW.alpha_samples])
    error = np.std(kept, axis=0, ddof=1) / 40**0.5
    bias_kept, bias_dropped = np.mean(kept, axis=0) - truth, np.mean(dropped, axis=0) - truth
    assert abs(bias_kept[1]) < 3.0 * error[1]  # alpha within its simulation error
    assert abs(bias_kept[0]) < 3.0 * error[0] + 0.01  # the weak prior of N_inf moves it by less than 1 %
    assert bias_dropped[1] < -6.0 * error[1]  # what is left at M = 2 are its fastest runs
    assert abs(bias_kept[1]) < 0.3 * abs(bias_dropped[1])


def test_the_mean_and_spread_of_partly_censored_batch_sizes_are_those_of_the_likelihood() -> None:
    """One batch size of 400 runs cut at its mean: expectation-maximisation against scipy's optimizer on the same likelihood."""
    rng = np.random.default_rng(5)
    logs, limit = 6.0 + 0.3 * rng.normal(size=400), 6.0
    done = logs[logs <= limit]
    runs = CensoredRuns(batch_samples=1.0, at_least_updates=float(np.exp(limit)), runs=int(np.sum(logs > limit)))
    size = SizeRuns(
        mean_log=float(np.mean(done)),
        finished=len(done),
        squares=float(np.sum((done - np.mean(done)) ** 2)),
        degrees=float(len(done)),  # the optimizer's likelihood takes no degree of freedom off
        censored=(runs,),
    )
    (mean,), (error,), sd = tobit_means([size], 0.038)

    def minus_log_likelihood(t: np.ndarray) -> float:
        spread = float(np.exp(t[1]))
        return -float(np.sum(stats.norm.logpdf(done, t[0], spread)) + runs.runs * stats.norm.logsf(limit, t[0], spread))

    best = optimize.minimize(
        minus_log_likelihood, [6.0, np.log(0.3)], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10}
    )
    assert (mean, sd) == pytest.approx((best.x[0], np.exp(best.x[1])), abs=1e-5)
    assert mean == pytest.approx(6.0, abs=4 * error)
    assert np.mean(done) < 6.0 - 8 * error  # what leaving them out would say


def test_the_probability_of_runs_beyond_their_limit_is_the_integral_over_their_common_departure() -> None:
    runs = CensoredRuns(batch_samples=4.0, at_least_updates=1000.0, runs=3)
    for law in (6.5, 6.9, 7.2):

        def both(d: float, law: float = law) -> float:
            return float(stats.norm.pdf(d, scale=0.05) * stats.norm.sf((np.log(1000.0) - law - d) / 0.1) ** 3)

        exact = integrate.quad(both, -0.5, 0.5, epsabs=1e-14)[0]
        assert log_probability(np.array([law]), runs, 0.05, 0.1)[0] == pytest.approx(np.log(exact), abs=1e-6)


def test_the_normal_point_has_the_slope_and_curvature_of_the_censored_likelihood() -> None:
    # one run, no spread of its own: log Phi(x), x = (law - limit)/sd, has slope h/sd and curvature -h (h + x)/sd^2, h = phi/Phi
    runs = CensoredRuns(batch_samples=1.0, at_least_updates=float(np.exp(5.0)), runs=1)
    for x in (-3.0, -0.5, 0.0, 1.5):
        h = stats.norm.pdf(x) / stats.norm.cdf(x)
        value, sd = pseudo_point(5.0 + 0.2 * x, runs, 0.2, 0.0)
        assert sd == pytest.approx(0.2 / np.sqrt(h * (h + x)), rel=1e-4)
        assert value == pytest.approx(5.0 + 0.2 * x + 0.2 / (h + x), rel=1e-5)


def test_the_fit_ends_where_the_censored_likelihood_is_largest() -> None:
    """Least squares with normal points found anew, against scipy's optimizer on the posterior itself."""
    rows = [row for row in simulated(np.random.default_rng(2), 1e9, sd=0.02) if row.batch_samples > 1]
    rows += [MeasuredUpdates(batch_samples=1.0, updates=2150.0, censored=True)] * 2  # the law gives 2,100 there
    series = updates_series("s", rows)
    family = FAMILIES["inverse"]
    found = fit_family(family, series)
    log_M, log_N = np.log(series.batch_samples), np.log(series.updates)
    sd = np.sqrt(RESIDUAL_SD**2 + np.array(series.relative_errors) ** 2)
    mean, prior_sd = family.priors(log_M, log_N)
    (runs,) = series.unreached
    assert runs.runs == 2
    assert series.run_to_run_relative is not None

    def minus_log_posterior(t: np.ndarray) -> float:
        squares = np.sum(((log_N - family.log_updates(t, log_M)) / sd) ** 2) + np.sum(((t - mean) / prior_sd) ** 2)
        law = family.log_updates(t, np.array([0.0]))
        lost = log_probability(law, runs, RESIDUAL_SD, series.run_to_run_relative or 0.0)[0]
        return float(0.5 * squares - lost)

    best = optimize.minimize(
        minus_log_posterior, found.fit.estimates, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    assert found.fit.estimates == pytest.approx(best.x, abs=2e-5)
    free = fit_family(family, updates_series("s", [row for row in rows if not row.censored]))
    assert found.fit.estimates[1] > free.fit.estimates[1]  # the censored runs pull alpha up
    assert found.measured.tolist() == [False, *([True] * 7)]
    assert found.deviance > 0


CONSTANT_RATE = NoiseFloorLaw(initial_error=100.0, target_error=1.0, floor_error_samples=3.0, rate_per_update=0.04)


def constant_rate(sizes: tuple[float, ...], lost: tuple[float, ...]) -> list[MeasuredUpdates]:
    rows = [MeasuredUpdates(batch_samples=M, updates=float(CONSTANT_RATE.updates(M))) for M in sizes]
    return rows + [MeasuredUpdates(batch_samples=M, updates=5000.0, censored=True) for M in lost]


def test_batch_sizes_that_never_reach_the_target_are_said_with_the_smallest_usable_one() -> None:
    fit = fit_updates(updates_series("s", constant_rate((4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0), (1.0, 2.0))))
    assert [runs.batch_samples for runs in fit.unusable] == [1.0, 2.0]
    assert fit.smallest_batch_samples == 2.0
    first, second = fit.concerns[:2]
    assert first.startswith(
        "at batch sizes 1, 2 no run reached the target, 5,000 updates at 2 where the law of the larger ones"
    )
    assert "the smallest usable batch size measured is 4, and nothing is answered below it" in first
    assert "batch sizes of" in second
    assert "and less never reach the target" in second
    with pytest.raises(ValueError, match="batch_samples must be > 2, below which the target is never reached"):
        fit.predict([2.0])
    # the law is that of the batch sizes that reach it: as without the others
    alone = fit_updates(updates_series("s", constant_rate((4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0), ())))
    assert fit.best.parameters() == pytest.approx(alone.best.parameters())
    assert fit.next_batch().batch_samples > 2.0


def test_the_law_of_a_constant_rate_takes_them_in() -> None:
    rows = constant_rate((4.0, 8.0, 16.0, 32.0, 64.0, 256.0, 1024.0), (1.0, 2.0))
    forced = fit_updates(updates_series("s", rows), law="noise_floor")
    assert forced.unusable == ()
    assert 2.0 <= forced.smallest_batch_samples < 4.0  # the truth, F/eps, is 3


def test_runs_that_were_cut_short_of_the_law_are_no_contradiction() -> None:
    rows = [MeasuredUpdates(batch_samples=M, updates=float(LAW.updates(M))) for M in SIZES[1:]]
    rows += [MeasuredUpdates(batch_samples=1.0, updates=1500.0, censored=True)]  # the law gives 2,100
    fit = fit_updates(updates_series("s", rows))
    assert (fit.unusable, fit.smallest_batch_samples) == ((), 0.0)
    assert not fit.concerns
    assert fit.predict(1.0)[0].updates == pytest.approx(2100.0, rel=0.1)
