"""Draws, chances, regret and importance against what can be computed by hand."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from simulator.studies.chances import Normals, chances, importance, interval90_of, two_piece_factor

N = 4096
NORMALS = Normals.of(np.random.default_rng(11))
STANDARD_ERROR = 1 / sqrt(N)


def test_draws_belong_to_a_name_and_a_seed_alone() -> None:
    again = Normals.of(np.random.default_rng(11))
    assert np.array_equal(NORMALS["gamma"], again["gamma"])
    assert not np.array_equal(NORMALS["gamma"], NORMALS["delta"])
    assert not np.array_equal(NORMALS["gamma"], Normals.of(np.random.default_rng(12))["gamma"])
    assert abs(np.corrcoef(NORMALS["gamma"], NORMALS["delta"])[0, 1]) < 4 * STANDARD_ERROR


def test_a_range_has_its_ends_at_5_and_95_per_cent() -> None:
    """Quantiles of 4,096 draws: standard error sqrt(0.05*0.95/n)/density, 0.033 of z, 2 % of log(2)/1.645 here: below 0.03."""
    low, high = interval90_of(10.0 * two_piece_factor(NORMALS["x"], 10.0, 5.0, 13.0))
    assert np.log([low, high]) == pytest.approx(np.log([5.0, 13.0]), abs=0.06)


def test_the_chance_of_two_normal_times_is_that_of_their_difference() -> None:
    """A = 30 + x + s, B = 31 + y + s: P(A < B) = Phi(1/sqrt 2), z; the regret of A is sqrt 2 (phi(z) - z (1 - Phi(z)))."""
    shared = 5.0 * NORMALS["s"]
    found = chances([30 + NORMALS["x"] + shared, 31 + NORMALS["y"] + shared])
    z, normal = 1 / sqrt(2), NormalDist()
    assert found.probability_best[0] == pytest.approx(normal.cdf(z), abs=4 * 0.43 * STANDARD_ERROR)
    assert found.beats[1] == found.probability_best[0]
    regret = sqrt(2) * (normal.pdf(z) - z * (1 - normal.cdf(z)))
    assert found.expected_regret == pytest.approx(regret, abs=4 * 0.6 * STANDARD_ERROR)


def test_what_is_equal_shares_the_chance() -> None:
    x = 1 + NORMALS["x"] ** 2
    found = chances([x, x * (1 + 1e-12), x + 1])
    assert (found.probability_best, found.expected_regret) == ((0.5, 0.5, 0.0), 0.0)
    assert found.beats == (0.5, 0.5, 1.0)


def test_importance_is_the_share_of_the_variance() -> None:
    """3x + y + 2u v of independent standard normals: variances 9, 1 and 4; the last belongs to u or v alone by nothing."""
    groups = {"x": ["x"], "y": ["y"], "u": ["u"], "uv": ["u", "v"], "nothing": ["w"]}
    found = {one.group: one.share for one in importance(lambda z: 3 * z["x"] + z["y"] + 2 * z["u"] * z["v"], groups, NORMALS)}
    expected = {"x": 9 / 14, "y": 1 / 14, "u": 0.0, "uv": 4 / 14, "nothing": 0.0}
    assert found == pytest.approx(expected, abs=6 * STANDARD_ERROR)


def test_importance_without_any_spread_is_nothing() -> None:
    (one,) = importance(lambda z: 0 * z["x"], {"x": ["x"]}, NORMALS)
    assert one.share == 0.0
