"""How many replications are made, and what they say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from simulator.studies.replications import Plan, Spread, generator, repeat
from simulator.tasks import Journal, local_processes


def draw(i: int) -> dict[str, Any]:
    """Mean 10, standard deviation 1."""
    return {"value": float(generator(42, i).normal(10.0, 1.0))}


def value(result: Any) -> list[float]:
    return [result["value"]]


def test_a_replication_draws_from_its_own_child_of_the_seed() -> None:
    children = np.random.SeedSequence(42).spawn(5)
    for i, child in enumerate(children):
        assert generator(42, i).random() == np.random.default_rng(child).random()


def test_the_mean_has_students_interval_and_quantiles_are_numpys() -> None:
    values = np.random.default_rng(3).lognormal(size=37)
    found = Spread.of(values)
    lo, hi = stats.t.interval(0.9, 36, loc=values.mean(), scale=stats.sem(values))
    assert (found.lo, found.hi) == pytest.approx((lo, hi), rel=1e-12)
    assert (found.p5, found.p50, found.p95) == pytest.approx(tuple(np.quantile(values, (0.05, 0.5, 0.95))), rel=1e-15)
    assert found.mean == values.mean()


def test_one_replication_has_no_interval() -> None:
    found = Spread.of([3.0])
    assert (found.mean, found.lo, found.hi, found.p5, found.p95) == (3.0, None, None, 3.0, 3.0)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng, runs = np.random.default_rng(1), 2000
    held = 0
    for _ in range(runs):
        found = Spread.of(rng.normal(10.0, 2.0, size=5))
        assert found.lo is not None
        assert found.hi is not None
        held += found.lo <= 10.0 <= found.hi
    # binomial standard error sqrt(0.9*0.1/2000) = 0.0067
    assert abs(held / runs - 0.9) < 3 * 0.0067


def test_it_stops_when_the_interval_is_narrow_enough_and_not_before() -> None:
    plan = Plan(fewest=4, most=500, stop_relative_halfwidth=0.02)
    results = repeat(draw, plan, value)
    values = [result["value"] for result in results]
    widths = [stats.t.ppf(0.95, n - 1) * stats.sem(values[:n]) / np.mean(values[:n]) for n in range(4, len(values) + 1)]
    assert widths[-1] <= 0.02
    assert all(width > 0.02 for width in widths[:-1])
    assert 4 < len(values) < 500


@pytest.mark.parametrize(("plan", "made"), [(Plan(), 1), (Plan(fewest=3, most=3), 3), (Plan(fewest=2, most=6), 6)])
def test_without_a_width_all_are_made(plan: Plan, made: int) -> None:
    assert len(repeat(draw, plan, value)) == made


def test_every_quantity_has_to_be_known_well_enough() -> None:
    plan = Plan(fewest=2, most=100, stop_relative_halfwidth=0.1)
    assert plan.is_enough([[1.0, 1.0], [1.0, 1.0]])
    assert not plan.is_enough([[1.0, 1.0], [1.0, 9.0]])
    assert not plan.is_enough([[1.0, 1.0]])
    assert plan.is_enough([[0.0], [0.0]])


def test_workers_executors_and_interruptions_change_nothing(tmp_path: Path) -> None:
    plan = Plan(fewest=4, most=500, stop_relative_halfwidth=0.02)
    expected = repeat(draw, plan, value)
    with local_processes(2) as processes:
        assert repeat(draw, plan, value, executor=processes, workers=2) == expected
    with ThreadPoolExecutor(5) as threads:
        assert repeat(draw, plan, value, executor=threads, workers=5) == expected
    with Journal(tmp_path / "journal", "k") as journal:  # interrupted: only some, out of order, are there
        for i in (0, 3, 17):
            journal.append(i, draw(i))
    seen: list[int] = []
    with Journal(tmp_path / "journal", "k") as journal:
        assert repeat(draw, plan, value, journal=journal, progress=seen.append) == expected
    assert seen == list(range(1, len(expected) + 1))


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"fewest": 0}, "fewest must be a whole number >= 1, got 0"),
        ({"fewest": 3, "most": 2}, "most must be >= fewest = 3, got 2"),
        ({"stop_relative_halfwidth": 0.0}, "stop_relative_halfwidth must be finite and > 0, got 0"),
    ],
)
def test_a_bad_plan_is_named(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Plan(**wrong)
