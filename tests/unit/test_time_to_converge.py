from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from simulator.compute import AffineCompute, CrossValidation, KneeCompute, TabulatedCompute
from simulator.convergence import InverseLaw
from simulator.network.laws import ConstantReduce
from simulator.overlap import HiddenOverlap, MaxOverlap
from simulator.time_to_converge import TimeToConverge


def model(**given: Any) -> TimeToConverge:
    """T_C = (1000 + 64000/M) * (max(M/P, 8)/128 + 0.5); binary fractions, so that sums by hand are exact."""
    laws: dict[str, Any] = {
        "convergence": InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
        "compute": KneeCompute(gamma_s_per_sample=1 / 128, knee_samples=8),
        "reduce": ConstantReduce(delta_s=0.5),
    }
    return TimeToConverge(**{**laws, **given})


def test_converge_time_is_equation_5() -> None:
    # (1000 + 1000) * (16/128 + 0.5); at P = 16 below the knee: 2000 * (8/128 + 0.5); at P = 1 no Delta: 2000 * 64/128
    assert model().converge_time_s(64, [4, 16, 1]).tolist() == [1250.0, 1125.0, 1000.0]


def test_parts_multiply_to_the_whole() -> None:
    m = model()
    assert m.updates(64) == 2000.0
    assert m.local_samples(64, 4) == 16.0
    assert m.compute_time_s(64, 4) == 0.125
    assert m.reduce_time_s(4) == 0.5
    assert m.step_time_s(64, 4) == m.update_time_s(64, 4) == 0.625
    assert m.cross_validation_time_s(4) == 0.0
    assert m.cross_validation_passes(2000.0) == 0.0


def test_grid_of_mini_batches_and_learners() -> None:
    M, P = np.array([16.0, 64.0, 256.0]), np.array([1.0, 2.0, 4.0, 8.0])
    grid = model().converge_time_s(M[:, None], P[None, :])
    assert grid.shape == (3, 4)
    for i, batch in enumerate(M):
        for j, learners in enumerate(P):
            assert grid[i, j] == model().converge_time_s(batch, learners)


def test_scalar_in_scalar_out() -> None:
    for rounding in ("exact", "ceil", "whole"):
        m = model(rounding=rounding, cross_validation=CrossValidation(every_updates=10, samples=64))
        for value in (m.converge_time_s(64, 4), m.update_time_s(64, 4), m.updates(64), m.local_samples(64, 4)):
            assert np.shape(value) == ()
            assert isinstance(value, float)


def test_slowest_learner_has_the_rounded_up_share() -> None:
    # ceil(65/4) = 17 samples
    assert model(rounding="ceil").local_samples(65, 4) == 17
    assert model(rounding="ceil").compute_time_s(65, 4) == 17 / 128
    assert model().local_samples(65, 4) == 16.25


def test_whole_runs_do_whole_updates() -> None:
    # 1000 + 64000/100 = 1640; 1000 + 64000/99 = 1646.46...
    assert model(rounding="whole").updates([100, 99]).tolist() == [1640.0, 1647.0]
    assert model(rounding="ceil").updates(99) == 1000 + 64_000 / 99


def test_run_that_stops_at_an_evaluation_does_a_multiple_of_its_interval() -> None:
    validation = CrossValidation(every_updates=50, samples=64, stops_run=True)
    assert model(rounding="whole", cross_validation=validation).updates([64, 99]).tolist() == [2000.0, 1650.0]
    assert model(cross_validation=validation).updates(99) == 1000 + 64_000 / 99


def test_cross_validation_adds_passes_over_n_per_update() -> None:
    # Eqn 6 per update: 0.625 + (1/10) * (1/4) * (128/4)/128; 128 samples split over four learners are 32 each
    m = model(cross_validation=CrossValidation(every_updates=10, samples=128, cost_ratio=0.25))
    assert m.cross_validation_time_s(4) == 0.0625
    assert m.cross_validation_passes(2000.0) == 200.0
    assert m.converge_time_s(64, 4) == 1250 + 200 * 0.0625
    assert m.update_time_s(64, 4) * 2000 == pytest.approx(m.converge_time_s(64, 4), rel=1e-15)


def test_whole_runs_count_whole_passes() -> None:
    # 1647 updates hold 16 passes of every 100; 100 samples over 8 learners are 13 for the slowest
    m = model(rounding="whole", cross_validation=CrossValidation(every_updates=100, samples=100))
    assert m.cross_validation_passes(m.updates(99)) == 16
    assert m.cross_validation_time_s(8) == 13 / 128
    assert m.converge_time_s(99, 8) == 1647 * (13 / 128 + 0.5) + 16 * 13 / 128


def test_cross_validation_larger_than_the_memory_goes_in_micro_batches() -> None:
    # 100 samples through a memory of 32: four micro-batches of 25 samples cost 100 gamma, above the knee
    m = model(max_local_samples=32, cross_validation=CrossValidation(every_updates=1, samples=100))
    assert m.cross_validation_time_s(1) == 100 / 128
    # and in whole samples, below a knee of 30: 4 * 30 gamma
    knee = KneeCompute(gamma_s_per_sample=1 / 128, knee_samples=30)
    whole = model(
        compute=knee,
        rounding="whole",
        max_local_samples=32,
        cross_validation=CrossValidation(every_updates=1, samples=99),
    )
    assert whole.cross_validation_time_s(1) == 120 / 128


def test_accumulation_pays_the_knee_in_each_micro_batch_and_one_delta() -> None:
    # four micro-batches of 4 samples at a knee of 8: 4 * 8/128 = 0.25
    assert model(accumulation=4).compute_time_s(64, 4) == 0.25
    assert model(accumulation=4).step_time_s(64, 4) == 0.75
    # 10 samples in 4 micro-batches: two of 3 and two of 2, affine: 4 * 0.5 + 10
    affine = AffineCompute(gamma_s_per_sample=1.0, constant_s=0.5)
    assert model(accumulation=4, compute=affine, rounding="whole").compute_time_s(40, 4) == 12.0


def test_automatic_accumulation_takes_as_few_micro_batches_as_the_memory_allows() -> None:
    affine = AffineCompute(gamma_s_per_sample=1.0, constant_s=0.5)
    m = model(accumulation="auto", max_local_samples=8, compute=affine)
    # 8 samples fit, 8.5 and 16 take two, 17 three
    assert m.compute_time_s([8, 8.5, 16, 17], 1).tolist() == [8.5, 9.5, 17.0, 18.5]


def test_whole_micro_batches_need_a_sample_each() -> None:
    with pytest.raises(ValueError, match=r"^accumulation must be <= the local samples, got 4 micro-batches for 3 samples$"):
        model(accumulation=4, rounding="whole").converge_time_s(12, 4)


def test_update_is_no_faster_than_the_input() -> None:
    # 64 samples at 64 samples/s take 1 s, longer than 0.625 s
    assert model(input_samples_per_s=64).step_time_s([64, 32], 4).tolist() == [1.0, 0.5625]


def test_tuning_factor_multiplies_the_updates() -> None:
    assert model(tuning_factor=1.5).updates(64) == 3000.0
    assert model(tuning_factor=1.5).converge_time_s(64, 4) == 1.5 * 1250


def test_shares_by_hand() -> None:
    # 0.125 of 0.625 s compute
    shares = model().shares(64, 4)
    assert (shares.compute, shares.communication, shares.waiting, shares.cross_validation) == (0.2, 0.8, 0.0, 0.0)
    assert (shares.checkpoint, shares.lost) == (0.0, 0.0)


def test_waiting_is_the_slowest_minus_the_mean_learner() -> None:
    # 66 samples on 4 learners: 17, 17, 16, 16, mean 16.5; half a sample waits
    shares = model(rounding="whole").shares(66, 4)
    step = 17 / 128 + 0.5
    assert shares.waiting == pytest.approx(0.5 / 128 / step, rel=1e-13)
    assert shares.compute == pytest.approx(16.5 / 128 / step, rel=1e-13)
    assert shares.communication == pytest.approx(0.5 / step, rel=1e-13)


def test_learners_without_samples_wait_all_the_time() -> None:
    # 3 samples on 4 learners: mean 3/4 of 8/128 s
    shares = model(rounding="whole").shares(3, 4)
    assert shares.waiting == pytest.approx(0.25 * 0.0625 / 0.5625, rel=1e-13)


def test_share_of_communication_is_what_is_exposed() -> None:
    shares = model(overlap=MaxOverlap()).shares(64, 4)
    assert (shares.compute, shares.communication) == (0.25, 0.75)  # 0.125 and 0.375 of 0.5 s
    hidden = model(overlap=HiddenOverlap(fraction=0.25)).shares(64, 4)
    assert (hidden.compute, hidden.communication) == (0.25, 0.75)  # 0.125 hidden of 0.5


def test_cross_validation_has_its_share() -> None:
    m = model(cross_validation=CrossValidation(every_updates=10, samples=128, cost_ratio=0.25))
    assert m.shares(64, 4).cross_validation == pytest.approx(0.00625 / 0.63125, rel=1e-13)


def test_input_bound_update_counts_as_computing() -> None:
    # 1 s of input against 0.125 s of computing and 0.5 s of reducing: nothing of the reducing is exposed
    shares = model(input_samples_per_s=64).shares(64, 4)
    assert (shares.compute, shares.communication) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_local_samples": 0}, "^max_local_samples must be >= 1, got 0$"),
        ({"max_local_samples": math.nan}, "^max_local_samples must be >= 1, got nan$"),
        ({"input_samples_per_s": -1}, "^input_samples_per_s must be > 0, got -1$"),
        ({"tuning_factor": 0}, "^tuning_factor must be finite and > 0, got 0$"),
        ({"accumulation": 0}, "^accumulation must be a whole number >= 1, got 0$"),
        ({"accumulation": 1.5}, "^accumulation must be a whole number >= 1, got 1.5$"),
        (
            {"accumulation": "auto"},
            "^accumulation must be a number where max_local_samples is not given, got 'auto'$",
        ),
        ({"rounding": "floor"}, "^rounding must be one of exact, ceil, whole, got 'floor'$"),
    ],
)
def test_model_names_its_fault(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**given)


@pytest.mark.parametrize(
    ("M", "P", "message"),
    [
        (0, 4, "^batch_samples must be finite and > 0, got 0$"),
        (64, 0, "^learners must be finite and > 0, got 0$"),
        (64, 0.5, "^learners must be >= 1, got 0.5$"),
        (math.inf, 4, "^batch_samples must be finite and > 0, got inf$"),
    ],
)
def test_converge_time_names_its_fault(M: float, P: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model().converge_time_s(M, P)


def test_laws_refuse_what_lies_outside_them() -> None:
    table = TabulatedCompute(local_samples=(4, 16), compute_time_at_s=(1, 2))
    with pytest.raises(ValueError, match=r"^local_samples must be from 4 to 16, the range of the table, got 32$"):
        model(compute=table).converge_time_s(128, 4)
    ending = InverseLaw(n_inf_updates=0, alpha_samples=100)
    with pytest.raises(ValueError, match=r"^batch_samples must be <= 100, where the law reaches one update and ends"):
        model(convergence=ending).converge_time_s(128, 4)
