"""The terms of a training time: by hand, and their derivatives by differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.calibration.cluster_time_terms import PARAMETERS, Conditions, log_seconds

# gamma 2 ms a sample, 10 ms an update, 5 ms across nodes, growth 1/3, 7 s of start-up, 3 s a pass, 40 learner-seconds of it
THETA = np.array([np.log(0.002), np.log(0.010), np.log(0.005), 1.0 / 3.0, np.log(7.0), np.log(3.0), np.log(40.0)])


def conditions(**changed: Any) -> Conditions:
    usual: dict[str, Any] = {
        "updates": 1000.0, "local_samples": 4.0, "learners": 64.0, "across": 1.0, "passes": 20.0, "evaluated": 1.0,
        "evaluation": False,
    }  # fmt: skip
    return Conditions(**{name: np.asarray(value) for name, value in (usual | changed).items()})


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [
        # (64/8)^(1/3) = 2: an update takes 4*2 + (10 + 5)*2 = 38 ms; 20 passes of 3 s, 7 s of start-up
        ({}, 38.0 + 60.0 + 7.0),
        ({"across": 0.0}, 28.0 + 60.0 + 7.0),
        ({"evaluated": 0.0}, 38.0 + 7.0),
        ({"learners": 8.0}, 23.0 + 60.0 + 7.0),
        ({"updates": 2000.0, "passes": 40.0}, 76.0 + 120.0 + 7.0),
        # the evaluations alone: 20 passes of 3 s and 40/64 s
        ({"evaluation": True}, 20.0 * (3.0 + 40.0 / 64.0)),
    ],
)
def test_seconds_are_those_of_a_sum_by_hand(changed: dict[str, Any], seconds: float) -> None:
    assert float(np.exp(log_seconds(THETA, conditions(**changed))[0])) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("late", [False, True])
def test_derivatives_are_those_of_central_differences(late: bool) -> None:
    at = conditions(evaluation=late)
    _, J = log_seconds(THETA, at)
    step = 1e-5
    for k in range(len(PARAMETERS)):
        move = np.zeros(len(PARAMETERS))
        move[k] = step
        slope = float(log_seconds(THETA + move, at)[0] - log_seconds(THETA - move, at)[0]) / (2 * step)
        assert float(J[k]) == pytest.approx(slope, abs=1e-9)  # third derivatives of order 1 times step^2


def test_parameters_and_conditions_broadcast() -> None:
    draws, sizes = np.tile(THETA, (5, 1, 1)), conditions(local_samples=np.array([1.0, 2.0, 4.0]))
    log_s, J = log_seconds(draws, sizes)
    assert log_s.shape == (5, 3)
    assert J.shape == (5, 3, 7)
    assert float(log_s[4, 2]) == float(log_seconds(THETA, conditions())[0])
