from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.closed_forms import (
    best_server_learners,
    optimal_batch_samples,
    optimal_converge_time_s,
    strong_stops_at_learners,
    weak_from_learners,
)
from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import InverseLaw
from simulator.network.laws import ConstantReduce, LinearReduce

LAW = InverseLaw(n_inf_updates=1000, alpha_samples=64_000)
KNEE = KneeCompute(gamma_s_per_sample=0.01, knee_samples=8)
CLOSE = 1e-14  # a root, a few products and quotients


def test_one_learner_has_its_optimum_at_the_knee() -> None:
    assert optimal_batch_samples(LAW, KNEE, 0.0, 1) == 8.0  # Eqn 8
    assert optimal_converge_time_s(LAW, KNEE, 0.0, 1) == pytest.approx((1000 + 8000) * 0.08, rel=CLOSE)  # Eqn 7


def test_optimal_batch_is_equation_9() -> None:
    # sqrt(64 * 0.5 * 16 / 0.01) = sqrt(51200); at P = 64 sqrt(204800) = 452.5 is less than 8 * 64
    assert optimal_batch_samples(LAW, KNEE, 0.5, [16, 64]) == pytest.approx([math.sqrt(51_200), 512], rel=CLOSE)


def test_optimal_time_is_equation_10() -> None:
    # (sqrt(0.5 * 1000) + sqrt(64000 * 0.01/16))^2 and (1000 + 64000/512) * (0.5 + 0.08)
    expected = [(math.sqrt(500) + math.sqrt(40)) ** 2, 652.5]
    assert optimal_converge_time_s(LAW, KNEE, 0.5, [16, 64]) == pytest.approx(expected, rel=CLOSE)


def test_optimal_batch_grows_with_learners() -> None:
    assert (np.diff(optimal_batch_samples(LAW, KNEE, 0.5, np.arange(1, 200))) > 0).all()


def test_optimal_time_is_continuous_across_its_border() -> None:
    # P = 64 * 0.5 / (0.01 * 64) = 50
    border = weak_from_learners(LAW, KNEE, ConstantReduce(delta_s=0.5))
    assert border == pytest.approx(50, rel=CLOSE)
    below, at, above = optimal_converge_time_s(LAW, KNEE, 0.5, 50 * (1 + np.array([-1e-9, 0.0, 1e-9])))
    # slope dT/dP = -alpha/(M_T P^2) (delta + gamma M_T) = -1.86 s per learner, times 5e-8 learners
    assert below - at == pytest.approx(at - above, rel=1e-3)
    assert below - at == pytest.approx(64_000 / (8 * 50**2) * 0.58 * 50e-9, rel=1e-3)


def test_constant_of_computing_is_overhead() -> None:
    with_constant = KneeCompute(gamma_s_per_sample=0.01, knee_samples=8, constant_s=0.3)
    assert optimal_batch_samples(LAW, with_constant, 0.2, 16) == pytest.approx(math.sqrt(51_200), rel=CLOSE)
    affine = AffineCompute(gamma_s_per_sample=0.01, constant_s=0.3)
    assert optimal_batch_samples(LAW, affine, 0.2, 64) == pytest.approx(math.sqrt(204_800), rel=CLOSE)
    assert optimal_converge_time_s(LAW, affine, 0.2, 64) == pytest.approx((math.sqrt(500) + math.sqrt(10)) ** 2, rel=CLOSE)


def test_closed_forms_broadcast() -> None:
    overheads, learners = np.array([0.1, 0.5, 2.0])[:, None], np.array([1.0, 16.0])[None, :]
    assert optimal_batch_samples(LAW, KNEE, overheads, learners).shape == (3, 2)
    assert optimal_converge_time_s(LAW, KNEE, overheads, learners).shape == (3, 2)
    assert np.shape(optimal_converge_time_s(LAW, KNEE, 0.5, 16)) == ()


@pytest.mark.parametrize("n_inf", [0.0, -5.0])
def test_closed_forms_need_a_floor(n_inf: float) -> None:
    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=64_000)
    message = rf"^n_inf_updates must be > 0 for a closed form \(T_C falls with M without end\), got {n_inf:g}$"
    with pytest.raises(ValueError, match=message):
        optimal_batch_samples(law, KNEE, 0.5, 16)
    with pytest.raises(ValueError, match=message):
        optimal_converge_time_s(law, KNEE, 0.5, 16)
    with pytest.raises(ValueError, match=message):
        weak_from_learners(law, KNEE, ConstantReduce(delta_s=0.5))
    with pytest.raises(ValueError, match=message):
        best_server_learners(law, KNEE, LinearReduce(delta_s=0.5))


def test_closed_forms_name_bad_arguments() -> None:
    for form in (optimal_batch_samples, optimal_converge_time_s):
        with pytest.raises(ValueError, match=r"^overhead_s must be finite and >= 0, got -1$"):
            form(LAW, KNEE, -1, 16)
        with pytest.raises(ValueError, match=r"^learners must be finite and > 0, got 0$"):
            form(LAW, KNEE, 0.5, 0)


def test_best_server_size_is_where_the_batch_is_critical() -> None:
    # sqrt(64000 * 0.01/(0.0064 * 1000)) = 10; there M = 64 and T_C = 4 sqrt(64000 * 0.01 * 0.0064 * 1000) = 256
    knee = KneeCompute(gamma_s_per_sample=0.01, knee_samples=1)
    reduce = LinearReduce(delta_s=0.0064)
    P = best_server_learners(LAW, knee, reduce)
    assert pytest.approx(10, rel=CLOSE) == P
    assert optimal_batch_samples(LAW, knee, reduce.delta_s * P, P) == pytest.approx(64, rel=CLOSE)
    assert optimal_converge_time_s(LAW, knee, reduce.delta_s * P, P) == pytest.approx(256, rel=CLOSE)


def test_best_server_size_needs_no_constant_and_some_delta() -> None:
    with pytest.raises(ValueError, match=r"^constant_s must be 0 for this closed form, got 0.1$"):
        best_server_learners(LAW, AffineCompute(gamma_s_per_sample=0.01, constant_s=0.1), LinearReduce(delta_s=1))
    with pytest.raises(ValueError, match=r"^delta_s must be finite and > 0, got 0$"):
        best_server_learners(LAW, KNEE, LinearReduce(delta_s=0))


def test_optimal_scaling_turns_weak_where_the_two_terms_of_equation_9_meet() -> None:
    # alpha delta/(gamma M_T^2 N_inf) = 64 * 0.5/(0.01 * 64) = 50; at least one learner
    assert weak_from_learners(LAW, KNEE, ConstantReduce(delta_s=0.5)) == pytest.approx(50, rel=CLOSE)
    assert weak_from_learners(LAW, KNEE, ConstantReduce(delta_s=0.001)) == 1.0
    assert weak_from_learners(LAW, KNEE, ConstantReduce(delta_s=0)) == 1.0
    assert weak_from_learners(LAW, AffineCompute(gamma_s_per_sample=0.01), ConstantReduce(delta_s=0.5)) is None


def test_parameter_server_is_always_weak_or_never() -> None:
    # the terms are 8 P and P sqrt(6400 delta): equal at delta = 0.01
    assert weak_from_learners(LAW, KNEE, LinearReduce(delta_s=0.009)) == 1.0
    assert weak_from_learners(LAW, KNEE, LinearReduce(delta_s=0.011)) is None
    # a constant of 0.005 s is half a learner's worth: P (1 - 0.9) = 0.5, and never at or above the border
    constant = KneeCompute(gamma_s_per_sample=0.01, knee_samples=8, constant_s=0.005)
    assert weak_from_learners(LAW, constant, LinearReduce(delta_s=0.009)) == pytest.approx(5, rel=1e-13)
    assert weak_from_learners(LAW, constant, LinearReduce(delta_s=0.011)) is None
    exact = KneeCompute(gamma_s_per_sample=1.0, knee_samples=8, constant_s=0.5)
    assert weak_from_learners(LAW, exact, LinearReduce(delta_s=1.0)) is None  # 64 * 1/(1 * 64) = 1 exactly
    no_constant = KneeCompute(gamma_s_per_sample=1.0, knee_samples=8)
    assert weak_from_learners(LAW, no_constant, LinearReduce(delta_s=1.0)) == 1.0


def test_strong_scaling_stops_at_the_knee() -> None:
    assert strong_stops_at_learners(KNEE, ConstantReduce(delta_s=0.5), 256) == 32.0  # M / M_T
    assert strong_stops_at_learners(KNEE, ConstantReduce(delta_s=0.5), 4) == 1.0
    assert strong_stops_at_learners(AffineCompute(gamma_s_per_sample=0.01), ConstantReduce(delta_s=0.5), 256) is None


def test_strong_scaling_on_a_parameter_server_stops_where_the_server_takes_over() -> None:
    # d/dP (gamma M/P + delta P) = 0 at sqrt(0.01 * 256/0.04) = 8, before the knee at 32
    assert strong_stops_at_learners(KNEE, LinearReduce(delta_s=0.04), 256) == pytest.approx(8, rel=CLOSE)
    assert strong_stops_at_learners(KNEE, LinearReduce(delta_s=1e-6), 256) == 32.0
    assert strong_stops_at_learners(KNEE, LinearReduce(delta_s=0), 256) == 32.0
    affine = AffineCompute(gamma_s_per_sample=0.01)
    assert strong_stops_at_learners(affine, LinearReduce(delta_s=0.04), 256) == pytest.approx(8, rel=CLOSE)
