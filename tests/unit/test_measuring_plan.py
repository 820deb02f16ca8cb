"""Planning: batch sizes from the ends inwards, rates uphill, and when enough is known."""

from __future__ import annotations

import math

import pytest

from simulator.calibration.measurements import MeasuredUpdates
from simulator.measuring.plan import enough_runs, from_the_ends, powers_between, rate_to_try

RATES = tuple(2.0**k for k in range(-6, 1))


def test_batch_sizes_come_from_the_ends_and_then_the_widest_gap() -> None:
    assert from_the_ends(powers_between(1, 256), planned=False) == (256, 1, 16, 4, 64, 2, 8, 32, 128)
    assert from_the_ends((3, 300), planned=True) == (300, 3, 32)
    assert from_the_ends((3, 4), planned=True) == (4, 3)


def climbed(updates_at: dict[float, float], tried: dict[tuple[int, float], float] | None = None) -> tuple[list[float], float]:
    """Climb on a known function of the rate; return the rates tried and the best."""
    found: dict[float, float] = {}
    while (rate := rate_to_try(RATES, found, tried or {}, 64)) is not None:
        best = min(found.values(), default=math.inf)
        found[rate] = updates_at[rate] if updates_at[rate] < best else math.inf  # what a limit of the best so far shows
    return list(found), min(found, key=lambda one: found[one])


@pytest.mark.parametrize("best", range(len(RATES)))
def test_the_climb_ends_at_the_best_rate_from_wherever_it_begins(best: int) -> None:
    updates = {rate: 100.0 + 10.0 * abs(i - best) for i, rate in enumerate(RATES)}
    for start in range(len(RATES)):
        tried, found = climbed(updates, {(32, RATES[start]): 50.0})
        assert found == RATES[best]
        assert tried[0] == RATES[start]
        assert len(tried) == len(set(tried))


def test_one_unlucky_rate_does_not_end_the_climb() -> None:
    updates = dict(zip(RATES, (900.0, 800.0, 700.0, 500.0, 600.0, 300.0, 400.0), strict=True))
    assert climbed(updates)[1] == RATES[5]


def test_where_nothing_reaches_the_target_smaller_rates_come_first_and_the_climb_still_ends() -> None:
    tried, _ = climbed(dict.fromkeys(RATES, math.inf))
    assert tried[:4] == [RATES[3], RATES[2], RATES[1], RATES[0]]
    assert sorted(tried) == list(RATES)


def rows(*at: tuple[float, float]) -> list[MeasuredUpdates]:
    return [MeasuredUpdates(batch_samples=M, updates=N) for M, N in at]


def test_two_runs_that_happen_to_agree_are_no_precision() -> None:
    # spread 1 % with one degree of freedom: t = 6.31, half-width of about 4.5 % for two runs
    assert not enough_runs(rows((8, 100), (8, 101.4), (64, 50)), 8, 0.02)


def test_runs_that_agree_well_enough_are_enough() -> None:
    same = rows((8, 1000), (8, 1001), (64, 500), (64, 500.5))
    assert enough_runs(same, 8, 0.02)
    assert not enough_runs(same, 8, 0.0001)


def test_two_runs_that_did_not_reach_the_target_are_enough() -> None:
    lost = [MeasuredUpdates(batch_samples=8, updates=900, censored=True)]
    assert not enough_runs(lost, 8, 0.02)
    assert enough_runs([*lost, *lost], 8, 0.02)
    assert not enough_runs([*lost, *lost, *rows((8, 800))], 8, 0.02)  # some do: the others tell how many
