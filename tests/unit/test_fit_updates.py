"""Fitting the updates law: what the fit says of laws that are known, and of data that say little."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.calibration.departure import departure_mixture, fading, joined
from simulator.calibration.measurements import MeasuredUpdates, UpdatesSeries, as_arrays, updates_series
from simulator.calibration.updates import LAWS, UpdatesFit, fit_updates
from simulator.calibration.updates_laws import FAMILIES, fit_family, fit_plain_inverse_law, residual_variance
from simulator.convergence import InverseLaw, PowerLaw, SharpCornerLaw
from simulator.errors import FitError
from simulator.theory import NoiseFloorLaw
from simulator.time_to_converge import ConvergenceLaw
from simulator.uncertainty import extrapolation_sd

SIZES = tuple(2.0**i for i in range(4, 14))
INVERSE = InverseLaw(n_inf_updates=1000.0, alpha_samples=512_000.0)


def measured(law: ConvergenceLaw, sizes: tuple[float, ...] = SIZES, noise: float = 0.0, seed: int = 1) -> UpdatesSeries:
    factor = np.exp(noise * np.random.default_rng(seed).normal(size=len(sizes)))
    return updates_series(
        "s",
        [
            MeasuredUpdates(batch_samples=M, updates=float(N))
            for M, N in zip(sizes, law.updates(np.array(sizes)) * factor, strict=True)
        ],
    )


def test_an_exact_inverse_law_is_found_by_plain_least_squares() -> None:
    plain = fit_plain_inverse_law(measured(INVERSE))
    assert plain.law.n_inf_updates == pytest.approx(1000.0, rel=1e-9)
    assert plain.law.alpha_samples == pytest.approx(512_000.0, rel=1e-9)
    assert plain.rms_relative < 1e-9


def test_the_floor_of_plain_least_squares_may_be_negative() -> None:
    # N = 10000/M - 5 at M below 2000: exact points of a law with N_inf = -5
    law = InverseLaw(n_inf_updates=-5.0, alpha_samples=10_000.0)
    assert fit_plain_inverse_law(measured(law, (100.0, 200.0, 400.0, 800.0))).law.n_inf_updates == pytest.approx(-5.0, rel=1e-6)


def test_two_points_give_the_law_through_them() -> None:
    plain = fit_plain_inverse_law(measured(INVERSE, (64.0, 4096.0)))
    assert plain.law.n_inf_updates == pytest.approx(1000.0, rel=1e-6)
    assert plain.standard_errors == (np.inf, np.inf)


def test_updates_that_grow_with_the_batch_size_have_no_inverse_law() -> None:
    rows = [MeasuredUpdates(batch_samples=M, updates=10.0 * M) for M in (1.0, 2.0, 4.0)]
    fit = fit_updates(updates_series("s", rows))
    assert fit.plain is None or fit.plain.law.alpha_samples > 0
    assert all(np.isfinite(one.updates) for one in fit.predict([1.0, 8.0]))


def test_parameters_are_found_where_the_data_show_them() -> None:
    fit = fit_updates(measured(INVERSE))
    assert fit.best.family.kind == "inverse"
    assert fit.best.parameters()["n_inf_updates"] == pytest.approx(1000.0, rel=0.002)  # the weak prior pulls by less
    assert fit.best.parameters()["alpha_samples"] == pytest.approx(512_000.0, rel=0.002)
    assert isinstance(fit.law, InverseLaw)


def test_a_sharp_corner_is_told_from_the_inverse_law_by_many_points() -> None:
    law = SharpCornerLaw(n_inf_updates=1000.0, alpha_samples=512_000.0, sharpness=2.0)
    fit = fit_updates(measured(law, tuple(2.0 ** (i / 2) for i in range(8, 30))))
    assert fit.best.family.kind == "sharp"
    assert 1.2 < fit.best.parameters()["sharpness"] <= 2.0  # shrunk towards 1
    assert fit.weights[0] > 0.9


def test_few_points_are_not_read_as_sharpness() -> None:
    law = SharpCornerLaw(n_inf_updates=1000.0, alpha_samples=512_000.0, sharpness=2.0)
    fit = fit_updates(measured(law, (64.0, 512.0, 4096.0)))
    assert [one.family.kind for one in fit.fits] == ["inverse"]


def test_a_noise_floor_is_recognised_and_its_smallest_batch_size_found() -> None:
    law = NoiseFloorLaw(initial_error=10.0, target_error=1.0, floor_error_samples=30.0, rate_per_update=0.001)
    fit = fit_updates(measured(law, (32.0, 36.0, 45.0, 64.0, 128.0, 256.0, 1024.0, 4096.0)))
    assert fit.alternatives()[0].family.kind == "noise_floor"
    assert fit.alternatives()[0].parameters()["smallest_batch_samples"] == pytest.approx(30.0, rel=0.02)


@pytest.mark.parametrize("law", [kind for kind in LAWS if kind != "auto"])
def test_every_law_can_be_asked_for_alone(law: str) -> None:
    fit = fit_updates(measured(INVERSE, noise=0.02), law=law)  # type: ignore[arg-type]
    assert [one.family.kind for one in fit.fits] == [law]
    for prediction in fit.predict([16.0, 300.0, 16_384.0]):
        assert prediction.mean_interval90[0] < prediction.updates < prediction.mean_interval90[1]


def test_a_law_that_does_not_hold_is_refused_by_name() -> None:
    steep = measured(InverseLaw(n_inf_updates=-5.0, alpha_samples=10_000.0), (100.0, 200.0, 400.0, 800.0, 1600.0))
    with pytest.raises(FitError, match=r"the law 'power' has no valid parameters where it fits best .* exponent 1"):
        fit_updates(steep, law="power")


def test_the_prediction_returns_to_the_law_at_twice_the_largest_batch_size() -> None:
    fit = fit_updates(measured(INVERSE, noise=0.1), law="inverse")
    edge, twice, far = fit.predict([SIZES[-1], 2.0 * SIZES[-1], 8.0 * SIZES[-1]])
    assert twice.updates == pytest.approx(twice.law_updates, rel=1e-6)
    assert far.updates == pytest.approx(far.law_updates, rel=1e-6)
    assert edge.updates != pytest.approx(edge.law_updates, rel=1e-3)


def test_the_departure_fades_over_one_doubling() -> None:
    log_M = np.log([10.0, 100.0])
    assert fading(np.log([5.0, 10.0, 50.0, 100.0, 100.0 * 2**0.5, 200.0, 400.0]), log_M) == pytest.approx(
        [0.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    )


def test_intervals_widen_with_the_distance_from_the_data() -> None:
    fit = fit_updates(measured(INVERSE, noise=0.03))
    inside, twice, far, farther = fit.predict([300.0, 2 * SIZES[-1], 4 * SIZES[-1], 32 * SIZES[-1]])

    def width(one: object) -> float:
        low, high = one.mean_interval90  # type: ignore[attr-defined]
        return float(np.log(high / low))

    assert width(inside) < width(twice) < width(far) < width(farther)
    assert inside.warning is None
    assert twice.warning == "2 times the largest batch size measured"
    assert far.warning == "4 times the largest batch size measured: no law is trusted that far"
    assert fit.predict(8.0)[0].warning == "1/2 of the smallest batch size measured"


def test_one_run_is_less_sure_than_the_mean_over_runs() -> None:
    rows = [
        MeasuredUpdates(
            batch_samples=M, updates=float(INVERSE.updates(M)), updates_std=0.2 * float(INVERSE.updates(M)), runs=20
        )
        for M in SIZES
    ]
    (one,) = fit_updates(updates_series("s", rows)).predict(300.0)
    assert one.interval90[0] < one.mean_interval90[0]
    assert one.interval90[1] > one.mean_interval90[1]
    # a run's log-normal spread of 20 % alone has hi/lo = exp(2*1.645*0.198)
    assert one.interval90[1] / one.interval90[0] > np.exp(2 * 1.645 * 0.198)


def test_the_mean_of_few_runs_lies_between() -> None:
    rows = [MeasuredUpdates(batch_samples=M, updates=float(INVERSE.updates(M)), updates_std=300.0, runs=4) for M in SIZES]
    fit = fit_updates(updates_series("s", rows))
    ((_, mean_high), (_, one_high)) = fit.predict(300.0)[0].mean_interval90, fit.predict(300.0)[0].interval90
    assert mean_high < fit.mean_of_runs_interval90(300.0, 5)[1] < one_high


def test_updates_below_one_are_the_end_of_the_law() -> None:
    law = InverseLaw(n_inf_updates=0.5, alpha_samples=1000.0)
    fit = fit_updates(measured(law, (16.0, 64.0, 256.0, 1024.0)))
    (far,) = fit.predict(1e6)
    assert far.updates == 1.0
    assert far.warning == "the law has ended: it asks for less than one update"
    assert far.interval90[0] >= 1.0


def test_no_sign_of_the_floor_is_said() -> None:
    intervals = fit_updates(measured(INVERSE, (2.0, 4.0, 8.0, 16.0))).profile_intervals90()  # M_crit is 512
    assert intervals["n_inf_updates"].low == 0.0
    assert intervals["n_inf_updates"].high is not None
    assert intervals["critical_batch_samples"].high is None
    assert intervals["alpha_samples"].low > 0


def test_no_sign_of_the_slope_is_said() -> None:
    intervals = fit_updates(measured(INVERSE, (2.0**16, 2.0**17, 2.0**18, 2.0**19))).profile_intervals90()
    assert intervals["alpha_samples"].low == 0.0
    assert intervals["critical_batch_samples"].low == 0.0
    assert intervals["n_inf_updates"].low > 900


def test_profile_intervals_hold_the_truth_and_narrow_with_points() -> None:
    few = fit_updates(measured(INVERSE, SIZES[::3], noise=0.03)).profile_intervals90()
    many = fit_updates(measured(INVERSE, tuple(np.geomspace(16, 8192, 60)), noise=0.03)).profile_intervals90()
    for name, truth in (("n_inf_updates", 1000.0), ("alpha_samples", 512_000.0), ("critical_batch_samples", 512.0)):
        a, b = few[name], many[name]
        assert a.high is not None
        assert b.high is not None
        assert a.low < truth < a.high
        assert b.low < truth < b.high
        assert b.high / b.low < a.high / a.low


def test_a_scenario_keeps_what_the_fit_knows() -> None:
    record = fit_updates(measured(INVERSE, noise=0.05)).record()
    assert record.batch_samples_range == (16.0, 8192.0)
    assert 0 < record.relative_standard_errors[0] < 0.2
    assert -1 < record.correlation < 0  # more floor, less slope
    assert 0.02 < record.discrepancy_relative < 0.1


def test_the_next_batch_size_is_a_new_one_and_helps() -> None:
    fit = fit_updates(measured(INVERSE, (16.0, 64.0, 256.0)))
    following = fit.next_batch([4096.0])
    assert following.batch_samples not in (16.0, 64.0, 256.0)
    assert following.batch_samples > 256.0  # what is asked lies beyond
    assert 0.3 < following.narrows_by < 1.0
    assert 0 <= fit_updates(measured(INVERSE)).next_batch([300.0]).narrows_by < following.narrows_by


def test_the_promised_narrowing_is_what_a_further_point_brings() -> None:
    # measured against the fit itself with that point added, on the law: within a third of the promise
    fit = fit_updates(measured(INVERSE, (16.0, 64.0, 256.0)))
    following = fit.next_batch([4096.0])
    richer = fit_updates(measured(INVERSE, (16.0, 64.0, 256.0, following.batch_samples)))

    def width(one: UpdatesFit) -> float:
        low, high = one.predict(4096.0)[0].mean_interval90
        return float(np.log(high / low))

    assert 1.0 - width(richer) / width(fit) == pytest.approx(following.narrows_by, rel=0.34)


def test_mixtures_join_by_weight_and_their_quantiles_are_those_of_draws() -> None:
    fit = fit_updates(measured(INVERSE, noise=0.05))
    mixture = fit.mixture(np.array([300.0, 20_000.0]))
    assert mixture.weights.sum() == pytest.approx(1.0)
    rng = np.random.default_rng(3)
    component = rng.choice(len(mixture.weights), size=200_000, p=mixture.weights)
    draws = rng.normal(mixture.means[component, 0], np.sqrt(mixture.variances[component, 0]))
    # standard error of a quantile of n draws: sqrt(q(1-q)/n)/density; density at the 5 % point of a normal is 0.103/sd
    error = np.sqrt(0.05 * 0.95 / 200_000) / 0.103 * float(np.std(draws))
    assert mixture.quantile(0.05)[0] == pytest.approx(float(np.quantile(draws, 0.05)), abs=4 * error)
    both = joined([mixture, mixture], [1.0, 3.0])
    assert both.quantile(0.5) == pytest.approx(mixture.quantile(0.5), abs=1e-8)


def test_residuals_start_from_what_is_known_before() -> None:
    exact = fit_family(FAMILIES["inverse"], measured(INVERSE))
    # eight degrees of freedom with next to no residual, two from before: (0 + 2)/(8 + 2)
    assert residual_variance(exact.fit) == pytest.approx(0.2, rel=1e-3)


def test_the_departure_vanishes_for_points_on_the_law() -> None:
    series = measured(INVERSE)
    log_M, _, errors = as_arrays(series)
    law = fit_family(FAMILIES["inverse"], series)
    at = np.log([20.0, 300.0, 5000.0])
    means = departure_mixture(law, log_M, errors, at).means
    # the weak prior of the floor moves ln N_inf by its variance (0.03^2) times ln(2/3 of the fewest updates/N_inf), -0.34
    np.testing.assert_allclose(means, np.broadcast_to(np.log(INVERSE.updates(np.exp(at))), means.shape), atol=6e-4)


def test_half_of_the_published_extrapolation_error_is_added() -> None:
    # 19 % at the 90th percentile at twice the range: sd 0.19/1.645, half of its variance
    assert extrapolation_sd(200.0, (10.0, 100.0)) == pytest.approx(0.19 / 1.6449 * 0.5**0.5, rel=1e-4)
    assert extrapolation_sd(50.0, (10.0, 100.0)) == 0.0


def test_a_power_law_that_fits_much_better_is_taken_and_said() -> None:
    law = PowerLaw(one_sample_updates=1e5, exponent=0.5)
    fit = fit_updates(measured(law, noise=0.01))
    assert fit.best.family.kind == "power"
    assert fit.concerns == ("the power law fits much better than the inverse law and is taken instead: it has no floor",)
    (far,) = fit.predict(2.0 * SIZES[-1])
    assert far.mean_interval90[0] < float(law.updates(2.0 * SIZES[-1])) < far.mean_interval90[1]


def test_updates_steeper_than_1_over_m_are_said_to_have_no_law() -> None:
    rows = [MeasuredUpdates(batch_samples=M, updates=1e7 * M**-1.3) for M in SIZES]
    concerns = fit_updates(updates_series("s", rows)).concerns
    assert "a power law steeper than 1/M fits better than any law with a floor: outside the data trust no answer" in concerns


def test_a_misfit_widens_the_interval_outside() -> None:
    wild = updates_series(
        "s", [MeasuredUpdates(batch_samples=M, updates=N) for M, N in ((16.0, 9e4), (64.0, 4e3), (256.0, 9e3), (1024.0, 400.0))]
    )
    fit = fit_updates(wild)
    assert any("no law fits these points well" in concern for concern in fit.concerns)
    low, high = fit.predict(4096.0)[0].mean_interval90
    assert high / low > (1.0 + fit.best.rms_relative) ** 2


def test_standing_still_looks_like_a_limit() -> None:
    rows = [MeasuredUpdates(batch_samples=M, updates=N) for M, N in ((1, 5000), (2, 5000), (4, 5000), (8, 2600), (16, 1400))]
    assert any(
        "3 batch sizes have the same updates as a neighbour" in one for one in fit_updates(updates_series("s", rows)).concerns
    )


def test_more_batch_sizes_than_anybody_measures_are_refused() -> None:
    with pytest.raises(FitError, match="s: must have at most 100 batch sizes, got 101"):
        fit_updates(measured(INVERSE, tuple(float(M) for M in range(1, 102))))


def test_a_noise_floor_is_said_with_its_smallest_batch_size_and_never_answers_below_it() -> None:
    law = NoiseFloorLaw(initial_error=10.0, target_error=1.0, floor_error_samples=30.0, rate_per_update=0.001)
    series = measured(law, (31.0, 33.0, 36.0, 45.0, 64.0, 128.0, 256.0, 1024.0))
    fit = fit_updates(series)
    assert fit.best.family.kind == "inverse"
    assert any("batch sizes of 30 and less never reach the target" in concern for concern in fit.concerns)
    forced = fit_updates(series, law="noise_floor")
    assert forced.smallest_batch_samples == pytest.approx(30.0, rel=0.01)
    with pytest.raises(ValueError, match=r"batch_samples must be > 30\.?\d*, below which the target is never reached, got 8"):
        forced.predict([8.0, 64.0])
    assert forced.next_batch([64.0]).batch_samples > 30.0
    assert forced.predict(40.0)[0].updates == pytest.approx(float(law.updates(40.0)), rel=0.01)
