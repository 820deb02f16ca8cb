"""Eqns 8 to 10 and the parameter server against an independent minimiser of the formula that they minimise."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from simulator.closed_forms import (
    best_server_learners,
    optimal_batch_samples,
    optimal_converge_time_s,
    strong_stops_at_learners,
    weak_from_learners,
)
from simulator.compute import AffineCompute, CrossValidation, KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce, LinearReduce
from simulator.optimum import Limits, best_batch
from simulator.time_to_converge import TimeToConverge
from tests.strategies import any_reduce_law, decades

CLOSE = 1e-9
"""A minimum found to 1e-10 in log M (1e-7 near a smooth one) is off by less than 1e-10 in T_C."""

N_INFS = st.one_of(decades(1e-3, 1e6), st.just(1e-12))
ALPHAS, GAMMAS, KNEES = decades(1.0, 1e9), decades(1e-9, 10.0), decades(1e-2, 1e4)
DELTAS = st.one_of(st.just(0.0), decades(1e-6, 1e3))
LEARNERS = st.one_of(st.just(1.0), decades(1.0, 1e6))


def lowest_over(time_s: Callable[[float], float], pieces: list[float]) -> tuple[float, float]:
    """Return (x, T) of the lowest T(x) between the first and last of `pieces`, convex in log x between neighbours."""
    best = min(((x, time_s(x)) for x in pieces), key=lambda point: point[1])
    for left, right in pairwise(pieces):
        if right > left:
            found = minimize_scalar(
                lambda log_x: time_s(math.exp(log_x)),
                bounds=(math.log(left), math.log(right)),
                method="bounded",
                options={"xatol": 1e-10, "maxiter": 500},
            )
            if found.fun < best[1]:
                best = math.exp(found.x), float(found.fun)
    return best


@given(n_inf=N_INFS, alpha=ALPHAS, gamma=GAMMAS, knee=KNEES, delta=DELTAS, P=LEARNERS, constant=DELTAS)
@settings(max_examples=250, deadline=None)
def test_equations_8_9_and_10_minimise_equation_5(
    n_inf: float, alpha: float, gamma: float, knee: float, delta: float, P: float, constant: float
) -> None:
    def time_s(M: float) -> float:
        return (n_inf + alpha / M) * (gamma * max(M / P, knee) + constant + delta)

    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha)
    compute = KneeCompute(gamma_s_per_sample=gamma, knee_samples=knee, constant_s=constant)
    M_opt = float(optimal_batch_samples(law, compute, delta, P))
    best_s = float(optimal_converge_time_s(law, compute, delta, P))
    _, brute_s = lowest_over(time_s, [1e-6 * knee * P, knee * P, 1e30 * knee * P])
    assert best_s == pytest.approx(brute_s, rel=CLOSE)
    assert time_s(M_opt) == pytest.approx(best_s, rel=1e-14)
    if delta == constant == 0.0:
        assert M_opt == knee * P  # Eqn 8


@given(n_inf=N_INFS, alpha=ALPHAS, gamma=GAMMAS, delta=DELTAS, P=LEARNERS, constant=decades(1e-6, 1e3))
@settings(max_examples=100, deadline=None)
def test_closed_form_minimises_with_an_affine_law(
    n_inf: float, alpha: float, gamma: float, delta: float, P: float, constant: float
) -> None:
    def time_s(M: float) -> float:
        return (n_inf + alpha / M) * (constant + gamma * M / P + delta)

    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha)
    compute = AffineCompute(gamma_s_per_sample=gamma, constant_s=constant)
    _, brute_s = lowest_over(time_s, [1e-20, 1e30])
    assert float(optimal_converge_time_s(law, compute, delta, P)) == pytest.approx(brute_s, rel=CLOSE)
    assert time_s(float(optimal_batch_samples(law, compute, delta, P))) == pytest.approx(brute_s, rel=CLOSE)


@given(n_inf=decades(1e-3, 1e5), alpha=ALPHAS, gamma=GAMMAS, knee=KNEES, P=LEARNERS, ulps=st.integers(-3, 3))
@settings(max_examples=100, deadline=None)
def test_both_branches_agree_at_their_border_within_rounding(
    n_inf: float, alpha: float, gamma: float, knee: float, P: float, ulps: int
) -> None:
    border_delta = gamma * knee**2 * n_inf * P / alpha
    delta = border_delta * (1 + ulps * 2.0**-52)
    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha)
    compute = KneeCompute(gamma_s_per_sample=gamma, knee_samples=knee)
    above = (math.sqrt(delta * n_inf) + math.sqrt(alpha * gamma / P)) ** 2
    at = (n_inf + alpha / (knee * P)) * (delta + gamma * knee)
    # the branches differ in second order of the distance to the border; the rest is rounding
    assert above == pytest.approx(at, rel=1e-14)
    assert float(optimal_converge_time_s(law, compute, delta, P)) == pytest.approx(at, rel=1e-14)
    assert float(optimal_batch_samples(law, compute, delta, P)) == pytest.approx(knee * P, rel=1e-14)


@given(n_inf=decades(1e-3, 1e5), alpha=ALPHAS, gamma=GAMMAS, knee=KNEES, delta=decades(1e-6, 1e3))
@settings(max_examples=60, deadline=None)
def test_parameter_server_has_its_own_best_size(n_inf: float, alpha: float, gamma: float, knee: float, delta: float) -> None:
    def best_time_s(P: float) -> float:
        """T_C at the best M, found by brute force over M for this P."""
        return lowest_over(
            lambda M: (n_inf + alpha / M) * (gamma * max(M / P, knee) + delta * P),
            [1e-3 * knee * P, knee * P, 1e12 * knee * P],
        )[1]

    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha)
    compute = KneeCompute(gamma_s_per_sample=gamma, knee_samples=knee)
    P = best_server_learners(law, compute, LinearReduce(delta_s=delta))
    best_s = best_time_s(P)
    assert float(optimal_converge_time_s(law, compute, delta * P, P)) == pytest.approx(best_s, rel=CLOSE)
    for factor in (0.1, 0.5, 0.9, 1.1, 2.0, 10.0):
        assert best_time_s(P * factor) >= best_s * (1 - CLOSE)
    if alpha * delta > n_inf * gamma * knee**2:  # above the knee
        assert float(optimal_batch_samples(law, compute, delta * P, P)) == pytest.approx(alpha / n_inf, rel=1e-13)
        assert best_s == pytest.approx(4 * math.sqrt(alpha * gamma * delta * n_inf), rel=CLOSE)


@given(
    n_inf=decades(1.0, 1e4),
    alpha=decades(1e2, 1e7),
    gamma=decades(1e-5, 1.0),
    knee=decades(0.5, 100.0),
    constant=st.sampled_from((0.0, 0.01)),
    delta=decades(1e-5, 10.0),
    server=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_weak_threshold_is_where_the_best_batch_reaches_the_knee(
    n_inf: float, alpha: float, gamma: float, knee: float, constant: float, delta: float, server: bool
) -> None:
    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha)
    compute = KneeCompute(gamma_s_per_sample=gamma, knee_samples=knee, constant_s=constant)
    reduce = LinearReduce(delta_s=delta) if server else ConstantReduce(delta_s=delta)
    threshold = weak_from_learners(law, compute, reduce)
    P = np.geomspace(1.0001, 1e9, 500)
    at_knee = np.sqrt(alpha * (reduce.reduce_time_s(P) + constant) * P / (n_inf * gamma)) <= knee * P
    expected = (threshold if threshold is not None else math.inf) <= P
    near = np.isclose(P, threshold or -1.0, rtol=1e-9)
    if server and math.isclose(alpha * delta, n_inf * gamma * knee**2, rel_tol=1e-6):
        return  # the terms of Eqn 9 are parallel
    assert (at_knee == expected)[~near].all()


@given(
    gamma=decades(1e-5, 1.0),
    knee=decades(0.5, 100.0),
    delta=decades(1e-6, 1.0),
    M=decades(1.0, 1e6),
    server=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_strong_threshold_is_the_fastest_number_of_learners(
    gamma: float, knee: float, delta: float, M: float, server: bool
) -> None:
    compute = KneeCompute(gamma_s_per_sample=gamma, knee_samples=knee)
    reduce = LinearReduce(delta_s=delta) if server else ConstantReduce(delta_s=delta)
    stops = strong_stops_at_learners(compute, reduce, M)
    assert stops is not None
    if stops <= 1.001:
        return

    def update_s(P: float) -> float:
        return gamma * max(M / P, knee) + delta * (P if server else 1.0)

    _, brute_s = lowest_over(update_s, [1.0, M / knee, max(10 * M / knee, 1e3)] if knee < M else [1.0, 1e3])
    assert update_s(stops) == pytest.approx(brute_s, rel=CLOSE)
    assert update_s(stops * 0.99) > update_s(stops)


@given(
    n_inf=N_INFS,
    alpha=decades(10.0, 1e8),
    gamma=GAMMAS,
    knee=KNEES,
    constant=DELTAS,
    affine=st.booleans(),
    reduce=any_reduce_law(),
    P=st.sampled_from((1, 2, 3, 8, 1000)),
    memory=st.one_of(st.just(math.inf), decades(1.0, 1e5)),
    data_set=decades(10.0, 1e8),
    validated=st.booleans(),
)
@settings(max_examples=150, deadline=None)
@example(  # no overhead at all: as small as admissible
    n_inf=1e3, alpha=1e5, gamma=1e-3, knee=1.0, constant=0.0, affine=True, reduce=ConstantReduce(delta_s=0.0), P=2,
    memory=math.inf, data_set=1e6, validated=False,
)  # fmt: skip
def test_best_batch_is_the_brute_force_one_within_its_bounds(
    n_inf: float, alpha: float, gamma: float, knee: float, constant: float, affine: bool, reduce: ConstantReduce,
    P: int, memory: float, data_set: float, validated: bool,
) -> None:  # fmt: skip
    compute = (
        AffineCompute(gamma_s_per_sample=gamma, constant_s=constant)
        if affine
        else KneeCompute(gamma_s_per_sample=gamma, knee_samples=knee, constant_s=constant)
    )
    M_T = 0.0 if affine else knee
    validation = CrossValidation(every_updates=10, samples=1000, cost_ratio=1 / 3)
    model = TimeToConverge(
        convergence=InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha),
        compute=compute,
        reduce=reduce,
        max_local_samples=memory,
        cross_validation=validation if validated else None,
    )
    law_end = alpha / (1 - n_inf) if n_inf < 1 else math.inf
    low, high = float(P), min(memory * P, data_set, law_end)
    if low > high:
        with pytest.raises(InfeasibleError, match=r"^no mini-batch is admissible for"):
            best_batch(model, Limits(data_set_samples=data_set), P)
        return
    delta = float(reduce.reduce_time_s(P))
    if validated:
        pieces = max(math.ceil(1000 / P / memory), 1)
        delta += pieces * (gamma * max(1000 / P / pieces, M_T) + constant) / 3 / 10

    def time_s(M: float) -> float:
        return (n_inf + alpha / M) * (gamma * max(M / P, M_T) + constant + delta)

    optimum = best_batch(model, Limits(data_set_samples=data_set), P)
    _, brute_s = lowest_over(time_s, sorted({low, min(max(M_T * P, low), high), high}))
    assert low <= optimum.batch_samples <= high
    assert optimum.converge_time_s == pytest.approx(brute_s, rel=CLOSE)
    assert time_s(optimum.batch_samples) == pytest.approx(brute_s, rel=CLOSE)
    assume(not validated)
    unbounded = float(optimal_batch_samples(model.convergence, compute, delta, P))  # type: ignore[arg-type]
    if low * 1.001 < unbounded < high / 1.001:
        assert optimum.batch_samples == pytest.approx(unbounded, rel=1e-12)
        assert optimum.branch == ("interior" if unbounded > M_T * P else "knee")
    elif unbounded > high * 1.001 and not math.isclose(high, M_T * P, rel_tol=1e-6):  # there two names fit
        assert optimum.batch_samples == high
        assert optimum.bound in {"memory", "data_set", "law_end"}
