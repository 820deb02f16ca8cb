from __future__ import annotations

import math
import re

import numpy as np
import pytest

from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, SharpCornerLaw, TabulatedUpdates

TABLE = TabulatedUpdates(batch_samples=(64, 256), updates_at=(2000, 1250))


def test_inverse_law_is_equation_2() -> None:
    # Eqn 2: 1000 + 64000/64 and 1000 + 64000/128
    law = InverseLaw(n_inf_updates=1000, alpha_samples=64_000)
    assert law.updates([64, 128]).tolist() == [2000.0, 1500.0]
    assert law.critical_batch_samples == 64.0
    assert law.batch_samples_range == (0.0, math.inf)


def test_critical_batch_needs_twice_the_fewest_updates_and_samples() -> None:
    law = InverseLaw(n_inf_updates=500, alpha_samples=20_000)
    M = law.critical_batch_samples
    assert law.updates(M) == 2 * 500
    assert M * law.updates(M) == 2 * 20_000


def test_inverse_law_can_be_built_from_other_names() -> None:
    law = InverseLaw(n_inf_updates=1000, alpha_samples=64_000)
    assert InverseLaw.from_fewest(s_min_updates=1000, e_min_samples=64_000) == law
    assert InverseLaw.from_critical_batch(n_inf_updates=1000, critical_batch_samples=64) == law


@pytest.mark.parametrize(("n_inf", "end"), [(0.0, 100.0), (-1.0, 50.0), (0.5, 200.0), (-99.0, 1.0)])
def test_inverse_law_with_no_floor_ends_at_one_update(n_inf: float, end: float) -> None:
    # 1 = N_inf + 100/M by hand
    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=100)
    assert law.batch_samples_range == (0.0, end)
    assert law.updates(end) == 1.0
    assert law.updates(end * (1 + 1e-12)) == 1.0
    with pytest.raises(ValueError, match=rf"^batch_samples must be <= {end:g}, where the law reaches one update and ends"):
        law.updates([1.0, end * 1.01])


def test_a_law_with_no_floor_has_no_critical_batch() -> None:
    assert InverseLaw(n_inf_updates=-5, alpha_samples=10).critical_batch_samples == math.inf


def test_the_message_past_the_end_names_the_culprit() -> None:
    with pytest.raises(ValueError, match=r"got 150$"):
        InverseLaw(n_inf_updates=0, alpha_samples=100).updates([[50, 150], [200, 1]])


def test_sharp_corner_of_sharpness_one_is_the_inverse_law() -> None:
    M = np.geomspace(1, 1e6, 13)
    sharp = SharpCornerLaw(n_inf_updates=30, alpha_samples=4000, sharpness=1).updates(M)
    # one division, one sum and one product each: a few units in the last place
    np.testing.assert_allclose(sharp, InverseLaw(n_inf_updates=30, alpha_samples=4000).updates(M), rtol=1e-14)


def test_sharp_corner_by_hand() -> None:
    # (3^2 + (400/100)^2)^(1/2) = 5
    law = SharpCornerLaw(n_inf_updates=3, alpha_samples=400, sharpness=2)
    assert law.updates(100) == 5.0
    assert law.critical_batch_samples == 400 / 3
    assert law.batch_samples_range == (0.0, math.inf)


def test_very_sharp_corner_is_the_hard_corner() -> None:
    M = np.array([1.0, 10.0, 100.0, 1000.0])
    sharp = SharpCornerLaw(n_inf_updates=50, alpha_samples=1000, sharpness=5000).updates(M)
    hard = HardCornerLaw(n_inf_updates=50, alpha_samples=1000).updates(M)
    np.testing.assert_allclose(sharp, hard, rtol=math.log(2) / 5000 * 1.01)  # 2^(1/p) at the corner


def test_sharp_corner_with_less_than_one_update_at_most_ends() -> None:
    # 0.6^2 + (8/M)^2 = 1 at M = 10
    law = SharpCornerLaw(n_inf_updates=0.6, alpha_samples=8, sharpness=2)
    assert law.batch_samples_range[1] == pytest.approx(10, rel=1e-14)
    with pytest.raises(ValueError, match=r"^batch_samples must be <= 10, where the law reaches one update and ends, got 11$"):
        law.updates(11)


@pytest.mark.parametrize("sharpness", [1e-3, 5e-3])
@pytest.mark.parametrize("n_inf", [0.5, 50.0])
def test_a_very_blunt_corner_is_refused_or_answers(sharpness: float, n_inf: float) -> None:
    try:
        law = SharpCornerLaw(n_inf_updates=n_inf, alpha_samples=1000, sharpness=sharpness)
    except ValueError:
        return  # a rule on sharpness would be as good
    law.batch_samples_range  # noqa: B018 - must not raise
    assert law.updates(10.0) > 0


def test_hard_corner_by_hand() -> None:
    law = HardCornerLaw(n_inf_updates=1000, alpha_samples=64_000)
    assert law.updates([32, 64, 128]).tolist() == [2000.0, 1000.0, 1000.0]
    assert law.critical_batch_samples == 64.0
    assert law.batch_samples_range == (0.0, math.inf)
    ending = HardCornerLaw(n_inf_updates=0.5, alpha_samples=100)
    assert ending.batch_samples_range == (0.0, 100.0)
    with pytest.raises(ValueError, match="must be <= 100, where the law reaches one update and ends, got 101"):
        ending.updates(101)


def test_power_law_by_hand() -> None:
    # 64000 / sqrt(64) = 8000; one update at M = 100 where 10 M^-0.5 = 1
    assert PowerLaw(one_sample_updates=64_000, exponent=0.5).updates([1, 64]).tolist() == [64_000.0, 8000.0]
    law = PowerLaw(one_sample_updates=10, exponent=0.5)
    assert law.batch_samples_range[1] == pytest.approx(100, rel=1e-14)
    assert law.updates(law.batch_samples_range[1]) == 1.0
    with pytest.raises(ValueError, match="must be <= 100, where the law reaches one update and ends, got 101"):
        law.updates(101)


def test_power_law_may_end_beyond_all_numbers() -> None:
    assert PowerLaw(one_sample_updates=1e9, exponent=0.01).batch_samples_range == (0.0, math.inf)


def test_table_is_linear_in_one_over_m() -> None:
    # alpha = (2000 - 1250) / (1/64 - 1/256) = 64000, N_inf = 1000: N(128) = 1500
    assert TABLE.updates(128) == 1500.0
    assert TABLE.updates([64, 256]).tolist() == [2000.0, 1250.0]
    assert TABLE.batch_samples_range == (64, 256)


@pytest.mark.parametrize("M", [63.9, 257, 1e9, 1e-9])
def test_table_refuses_to_extrapolate_unless_asked_for(M: float) -> None:
    message = re.escape(f"batch_samples must be from 64 to 256, the range of the table, got {M:g}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        TABLE.updates([100.0, M])
    with pytest.raises(ValueError, match="the range of the table"):
        TABLE.updates(M)


def test_table_extrapolates_the_inverse_law_through_its_outermost_points() -> None:
    table = TabulatedUpdates(batch_samples=(64, 256), updates_at=(2000, 1250), extrapolate=True)
    # 1000 + 64000/M by the slopes above
    np.testing.assert_allclose(table.updates([16, 1024]), [5000.0, 1062.5], rtol=1e-13)
    assert table.batch_samples_range == (0.0, math.inf)


def test_extrapolated_table_ends_at_one_update() -> None:
    # 100/M through both points: one update at M = 100
    table = TabulatedUpdates(batch_samples=(10, 20), updates_at=(10, 5), extrapolate=True)
    assert table.batch_samples_range[1] == pytest.approx(100, rel=1e-13)
    assert table.updates(table.batch_samples_range[1]) == pytest.approx(1.0, rel=1e-13)
    with pytest.raises(ValueError, match="batch_samples must be from 0 to 100, the range of the table, got 101"):
        table.updates(101)


def test_table_that_rises_at_its_start_does_not_extrapolate_downwards() -> None:
    table = TabulatedUpdates(batch_samples=(10, 20, 40), updates_at=(80, 100, 60), extrapolate=True)
    assert table.batch_samples_range[0] == 10
    with pytest.raises(ValueError, match="batch_samples must be from 10 to "):
        table.updates(9)


@pytest.mark.parametrize(
    ("batches", "updates", "message"),
    [
        ((64, 256), (2000,), "^batch_samples and updates_at must have the same length, got 2 and 1$"),
        ((64,), (2000,), "^batch_samples must have at least two points, got 1$"),
        ((256, 64), (2000, 1250), r"^batch_samples must increase, got \[256, 64\]$"),
        ((64, 256), (2000, 0.5), "^updates_at must be >= 1, got 0.5$"),
        ((0, 256), (2000, 5), "^batch_samples must be finite and > 0, got 0$"),
        ((64, 256), (math.nan, 5), "^updates_at must be finite and > 0, got nan$"),
    ],
)
def test_table_names_its_fault(batches: tuple[float, ...], updates: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabulatedUpdates(batch_samples=batches, updates_at=updates)


def test_laws_refuse_bad_parameters() -> None:
    with pytest.raises(ValueError, match=r"^n_inf_updates must be finite, got nan$"):
        InverseLaw(n_inf_updates=math.nan, alpha_samples=1)
    with pytest.raises(ValueError, match=r"^alpha_samples must be finite and > 0, got 0$"):
        InverseLaw(n_inf_updates=1, alpha_samples=0)
    with pytest.raises(ValueError, match=r"^n_inf_updates must be finite and > 0, got -1$"):
        InverseLaw.from_critical_batch(n_inf_updates=-1, critical_batch_samples=64)
    with pytest.raises(ValueError, match=r"^critical_batch_samples must be finite and > 0, got 0$"):
        InverseLaw.from_critical_batch(n_inf_updates=1, critical_batch_samples=0)
    for law in (SharpCornerLaw, HardCornerLaw):
        more = {"sharpness": 1.0} if law is SharpCornerLaw else {}
        with pytest.raises(ValueError, match=r"^n_inf_updates must be finite and > 0, got 0$"):
            law(n_inf_updates=0, alpha_samples=1, **more)
        with pytest.raises(ValueError, match=r"^alpha_samples must be finite and > 0, got -1$"):
            law(n_inf_updates=1, alpha_samples=-1, **more)
    with pytest.raises(ValueError, match=r"^sharpness must be finite and > 0, got 0$"):
        SharpCornerLaw(n_inf_updates=1, alpha_samples=1, sharpness=0)
    with pytest.raises(ValueError, match=r"^one_sample_updates must be >= 1, got 0.5$"):
        PowerLaw(one_sample_updates=0.5, exponent=0.5)
    with pytest.raises(ValueError, match=r"^exponent must be <= 1 \(larger mini-batches never save samples\), got 1.1$"):
        PowerLaw(one_sample_updates=5, exponent=1.1)
    with pytest.raises(ValueError, match=r"^exponent must be finite and > 0, got 0$"):
        PowerLaw(one_sample_updates=5, exponent=0)


@pytest.mark.parametrize(
    "law",
    [
        InverseLaw(n_inf_updates=10, alpha_samples=100),
        SharpCornerLaw(n_inf_updates=10, alpha_samples=100, sharpness=2),
        HardCornerLaw(n_inf_updates=10, alpha_samples=100),
        PowerLaw(one_sample_updates=100, exponent=0.5),
        TABLE,
    ],
)
@pytest.mark.parametrize("M", [0.0, -5.0, math.nan, math.inf])
def test_laws_refuse_bad_mini_batches(law: InverseLaw, M: float) -> None:
    with pytest.raises(ValueError, match=f"^batch_samples must be finite and > 0, got {M:g}$"):
        law.updates(M)
