"""The laws of a step that fits vary: derivatives, and agreement with the laws that scenarios use."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from simulator.calibration.step_time_laws import COMPUTE_FORMS, REDUCE_FORMS, StepLaw, candidate_laws
from simulator.calibration.step_time_series import StepPlace, places_of
from simulator.compute import AffineCompute, KneeCompute
from simulator.network.laws import ConstantReduce, NodeLogReduce, TwoTierRingReduce
from simulator.overlap import PowerOverlap, SumOverlap

G = 4
GRID = [(m, P) for m in (4.0, 32.0, 90.0) for P in (1, 3, 4, 8, 10, 64)]
PLACES = places_of(StepPlace(local_samples=m, learners=P, nodes=-(-P // G), fullest_node=min(P, G)) for m, P in GRID)
M, P = PLACES.local_samples, PLACES.learners


def times(law: StepLaw, values: dict[str, float]) -> np.ndarray:
    logs = np.log([values[name] - (name == "overlap_exponent") for name in law.names])
    return np.exp(law.log_time(logs, PLACES, law.factors(PLACES))[0])


@pytest.mark.parametrize(
    "law", candidate_laws(tuple(COMPUTE_FORMS), PLACES), ids=lambda law: f"{law.compute}-{law.reduce}-{law.node}"
)
def test_derivatives_are_those_of_differences(law: StepLaw) -> None:
    places = dataclasses.replace(PLACES, micro_steps=PLACES.micro_steps + 1, waits=np.arange(len(GRID)) % 3 == 2)
    factors = law.factors(places)
    mean, sd = law.priors(places, np.full(len(GRID), -1.0))
    logs = mean + 0.3 * np.random.default_rng(2).normal(size=len(mean))
    J = law.log_time(logs, places, factors)[1]
    h = 1e-6
    up, down = ([law.log_time(logs + sign * h * e, places, factors)[0] for e in np.eye(len(logs))] for sign in (1, -1))
    # central differences of functions of size 1: truncation h^2, rounding 1e-16/h
    np.testing.assert_allclose(J, (np.array(up) - np.array(down)).T / (2 * h), atol=1e-7)
    assert np.all(sd > 0)


def test_a_sum_of_affine_and_node_log_is_that_of_scenarios() -> None:
    values = {"constant_s": 0.1, "gamma_s_per_sample": 0.01, "in_node_s": 0.02, "node_jump_s": 0.3, "per_doubling_s": 0.04}
    reduce = NodeLogReduce(in_node_s=0.02, node_jump_s=0.3, per_doubling_s=0.04, learners_per_node=G)
    gamma = AffineCompute(gamma_s_per_sample=0.01, constant_s=0.1).compute_time_s(M)
    joined = SumOverlap().joined_time_s(gamma, reduce.reduce_time_s(P))
    np.testing.assert_allclose(times(StepLaw(compute="affine", reduce="node_log", exponent=1.0), values), joined, rtol=1e-12)


@pytest.mark.parametrize("compute", ["knee", "knee_constant"])
def test_an_overlap_of_knee_and_two_tier_ring_is_that_of_scenarios(compute: str) -> None:
    constant_s = 0.1 if compute == "knee_constant" else 0.0
    values = {
        "constant_s": constant_s,
        "gamma_s_per_sample": 0.01,
        "knee_samples": 32.5,
        "in_node_s": 0.2,
        "across_nodes_s": 0.7,
    }
    gamma = KneeCompute(gamma_s_per_sample=0.01, knee_samples=32.5, constant_s=constant_s).compute_time_s(M)
    delta = TwoTierRingReduce(in_node_s=0.2, across_nodes_s=0.7, learners_per_node=G).reduce_time_s(P)
    law = StepLaw(compute=compute, reduce="two_tier_ring", node="fullest")
    joined = PowerOverlap(exponent=2.5).joined_time_s(gamma, delta)
    np.testing.assert_allclose(times(law, {**values, "overlap_exponent": 2.5}), joined, rtol=1e-12)


def test_a_constant_and_nothing_are_those_of_scenarios() -> None:
    gamma = AffineCompute(gamma_s_per_sample=0.01, constant_s=0.1).compute_time_s(M)
    values = {"constant_s": 0.1, "gamma_s_per_sample": 0.01, "in_node_s": 0.2, "node_jump_s": 1e-30}
    np.testing.assert_allclose(
        times(StepLaw(compute="affine", reduce="constant", exponent=1.0), values),
        gamma + ConstantReduce(delta_s=0.2).reduce_time_s(P),
        rtol=1e-12,
    )
    np.testing.assert_allclose(times(StepLaw(compute="affine", reduce="none"), values), gamma, rtol=1e-12)


def test_micro_steps_compute_several_times_and_reduce_once() -> None:
    law = StepLaw(compute="affine", reduce="constant", exponent=1.0)
    logs = np.log([0.1, 0.01, 0.2, 0.3])
    (place,) = [StepPlace.even(local_samples=10, learners=8, nodes=2, micro_steps=3)]
    (log_T,) = law.log_time(logs, places_of([place]), law.factors(places_of([place])))[0]
    assert np.exp(log_T) == pytest.approx(3 * (0.1 + 0.1) + 0.2 + 0.3)


def test_uneven_placements_bring_the_fullest_node_in() -> None:
    uneven = places_of([StepPlace(local_samples=8, learners=4, nodes=2, fullest_node=3)])
    even = places_of([StepPlace.even(local_samples=8, learners=4, nodes=2)])
    assert {law.node for law in candidate_laws(("affine",), even)} == {"mean"}
    assert len(candidate_laws(("affine",), uneven)) == len(REDUCE_FORMS) + 4
    law = StepLaw(compute="affine", reduce="two_tier_ring", node="fullest")
    assert law.factors(uneven)[0] == pytest.approx([2 / 3])
    assert dataclasses.replace(law, node="mean").factors(uneven)[0] == pytest.approx([1 / 2])
