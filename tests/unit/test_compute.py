from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.compute import AffineCompute, CrossValidation, KneeCompute, TabulatedCompute

TABLE = TabulatedCompute(local_samples=(32, 64), compute_time_at_s=(0.5, 1.0))


def test_knee_is_equation_4() -> None:
    # gamma max(m, M_T): 0.01 * 32, 0.01 * 32, 0.01 * 64
    law = KneeCompute(gamma_s_per_sample=0.01, knee_samples=32)
    np.testing.assert_allclose(law.compute_time_s([16, 32, 64]), [0.32, 0.32, 0.64], rtol=1e-15)
    assert law.corners_samples == (32,)


def test_time_is_flat_below_the_knee_and_proportional_above() -> None:
    law = KneeCompute(gamma_s_per_sample=0.25, knee_samples=8)
    assert (law.compute_time_s(np.linspace(0.1, 8, 20)) == 2.0).all()
    assert law.compute_time_s(32) == 4 * law.compute_time_s(8)


def test_knee_adds_its_constant() -> None:
    assert KneeCompute(gamma_s_per_sample=0.25, knee_samples=8, constant_s=1.5).compute_time_s([1, 16]).tolist() == [
        3.5,
        5.5,
    ]


def test_gamma_follows_from_flops() -> None:
    # 24e9 / (300e12 * 0.4) = 2e-4 s
    law = KneeCompute.from_flops(train_flop_per_sample=24e9, peak_flop_per_s=300e12, utilisation=0.4, knee_samples=32)
    assert law.gamma_s_per_sample == pytest.approx(2e-4, rel=1e-15)
    assert law.knee_samples == 32


@pytest.mark.parametrize(
    ("flop", "peak", "utilisation", "message"),
    [
        (0, 1, 0.5, "^train_flop_per_sample must be finite and > 0, got 0$"),
        (1, -1, 0.5, "^peak_flop_per_s must be finite and > 0, got -1$"),
        (1, 1, 1.5, "^utilisation must be from 0 to 1, got 1.5$"),
        (1, 1, 0, "^utilisation must be finite and > 0, got 0$"),
    ],
)
def test_flops_name_their_fault(flop: float, peak: float, utilisation: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KneeCompute.from_flops(train_flop_per_sample=flop, peak_flop_per_s=peak, utilisation=utilisation, knee_samples=1)


def test_affine_by_hand() -> None:
    law = AffineCompute(gamma_s_per_sample=0.25, constant_s=0.5)
    assert law.compute_time_s([2, 4]).tolist() == [1.0, 1.5]
    assert law.corners_samples == ()


def test_table_is_linear_between_its_points() -> None:
    assert TABLE.compute_time_s([32, 48, 64]).tolist() == [0.5, 0.75, 1.0]
    assert TABLE.corners_samples == (32, 64)
    assert TABLE.local_samples_range == (32, 64)


@pytest.mark.parametrize("m", [31.9, 65.0])
def test_table_refuses_to_extrapolate_unless_asked_for(m: float) -> None:
    for local in (m, [48.0, m]):
        with pytest.raises(ValueError, match=rf"^local_samples must be from 32 to 64, the range of the table, got {m:g}$"):
            TABLE.compute_time_s(local)


def test_table_extrapolates_flat_below_and_straight_above() -> None:
    table = TabulatedCompute(local_samples=(32, 64), compute_time_at_s=(0.5, 1.0), extrapolate=True)
    assert table.compute_time_s([1, 128]).tolist() == [0.5, 2.0]  # 1/64 s per sample above
    assert table.local_samples_range == (0.0, math.inf)


@pytest.mark.parametrize(
    ("points", "times", "message"),
    [
        ((32, 64), (1.0, 0.5), r"^compute_time_at_s must not decrease, got \[1.0, 0.5\]$"),
        ((64, 32), (1, 2), r"^local_samples must increase, got \[64, 32\]$"),
        ((32,), (1,), "^local_samples must have at least two points, got 1$"),
        ((32, 64), (1,), "^local_samples and compute_time_at_s must have the same length, got 2 and 1$"),
        ((32, 64), (0, 1), "^compute_time_at_s must be finite and > 0, got 0$"),
    ],
)
def test_table_names_its_fault(points: tuple[float, ...], times: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabulatedCompute(local_samples=points, compute_time_at_s=times)


def test_laws_refuse_bad_parameters() -> None:
    with pytest.raises(ValueError, match=r"^gamma_s_per_sample must be finite and > 0, got 0$"):
        KneeCompute(gamma_s_per_sample=0, knee_samples=1)
    with pytest.raises(ValueError, match=r"^knee_samples must be finite and > 0, got -3$"):
        KneeCompute(gamma_s_per_sample=1, knee_samples=-3)
    with pytest.raises(ValueError, match=r"^constant_s must be finite and >= 0, got -1$"):
        KneeCompute(gamma_s_per_sample=1, knee_samples=1, constant_s=-1)
    with pytest.raises(ValueError, match=r"^gamma_s_per_sample must be finite and > 0, got nan$"):
        AffineCompute(gamma_s_per_sample=math.nan)
    with pytest.raises(ValueError, match=r"^constant_s must be finite and >= 0, got -1$"):
        AffineCompute(gamma_s_per_sample=1, constant_s=-1)


@pytest.mark.parametrize("law", [KneeCompute(gamma_s_per_sample=1, knee_samples=1), AffineCompute(gamma_s_per_sample=1), TABLE])
def test_laws_refuse_bad_local_samples(law: KneeCompute) -> None:
    with pytest.raises(ValueError, match=r"^local_samples must be finite and > 0, got 0$"):
        law.compute_time_s([32, 0])


@pytest.mark.parametrize(
    ("every", "samples", "ratio", "message"),
    [
        (1.5, 10, 1, "^every_updates must be a whole number, got 1.5$"),
        (10, 1.5, 1, "^samples must be a whole number, got 1.5$"),
        (0, 1, 1, "^every_updates must be finite and > 0, got 0$"),
        (1, -1, 1, "^samples must be finite and > 0, got -1$"),
        (1, 1, 0, "^cost_ratio must be finite and > 0, got 0$"),
    ],
)
def test_cross_validation_names_its_fault(every: float, samples: float, ratio: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossValidation(every_updates=every, samples=samples, cost_ratio=ratio)
