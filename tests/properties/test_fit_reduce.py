"""Laws of the fit of all-reduce times: units, order of rows, intervals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.calibration.reduce import fit_reduce
from simulator.calibration.reduce_series import ReducePoint, ReduceSeries

PLACES = ((2, 1), (4, 1), (8, 1), (16, 2), (32, 4))
POINTS = st.lists(
    st.tuples(st.integers(10, 32), st.sampled_from(PLACES), st.floats(-0.3, 0.3)),
    min_size=2,
    max_size=14,
    unique_by=lambda point: point[:2],
)
TARGETS = ((3e4, 4, 1), (5e8, 8, 1), (1e6, 32, 4), (1e10, 128, 16))


def measured(points: list[tuple[int, tuple[int, int], float]]) -> list[ReducePoint]:
    found = []
    for power, (P, N), noise in points:
        size = 2.0**power
        seconds = 50e-6 * N**0.5 + 3e-6 * P + 2 * (P - 1) / P * size / (100e9 if N == 1 else 30e9)
        found.append(ReducePoint(size_bytes=size, devices=P, nodes=N, time_s=float(seconds * np.exp(noise))))
    return found


@settings(max_examples=20, deadline=None)
@given(POINTS)
def test_predictions_lie_inside_their_intervals_and_are_finite(points: list[tuple[int, tuple[int, int], float]]) -> None:
    for one in fit_reduce(ReduceSeries.of("s", measured(points))).predict(TARGETS):
        assert 0 < one.interval90[0] < one.time_s < one.interval90[1] < np.inf


@settings(max_examples=12, deadline=None)
@given(POINTS, st.sampled_from([1e-3, 8.0, 1024.0]))
def test_the_unit_of_bytes_does_not_matter(points: list[tuple[int, tuple[int, int], float]], unit: float) -> None:
    """Bytes and bandwidths times a number: the same times, since nothing is known of bandwidths beforehand but their ratios."""
    rows = measured(points)
    plain = fit_reduce(ReduceSeries.of("s", rows))
    scaled = fit_reduce(ReduceSeries.of("s", [dataclasses.replace(row, size_bytes=unit * row.size_bytes) for row in rows]))
    for one, other in zip(plain.predict(TARGETS), scaled.predict([(unit * S, P, N) for S, P, N in TARGETS]), strict=True):
        assert other.time_s == pytest.approx(one.time_s, rel=1e-4)
        assert other.interval90[1] == pytest.approx(one.interval90[1], rel=1e-3)
    for name, value in plain.best.parameters().items():
        if plain.best.law.kind == scaled.best.law.kind:
            factor = unit if name.endswith("bytes_per_s") else 1.0
            assert scaled.best.parameters()[name] == pytest.approx(factor * value, rel=1e-3)


@settings(max_examples=10, deadline=None)
@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(points: list[tuple[int, tuple[int, int], float]], random: object) -> None:
    rows = measured(points)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (fit_reduce(ReduceSeries.of("s", listed)).predict(TARGETS) for listed in (rows, shuffled))
    assert one == other


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.2))
def test_intervals_widen_with_the_number_of_devices(seed: int, noise: float) -> None:
    """Where a series determines its parameters, each doubling of devices and nodes beyond it is less sure than the last.

    Not so with a handful of points: there a mixture of two parts, each hardly known, is better known than either part.
    """
    normal = np.random.default_rng(seed).normal(size=(10, len(PLACES)))
    points = [(10 + 2 * i, place, noise * float(normal[i, j])) for i in range(10) for j, place in enumerate(PLACES)]
    series = ReduceSeries.of("s", measured(points))
    found = fit_reduce(series).predict([(series.sizes[-1], 2**i, 2 ** (i - 3)) for i in range(5, 10)])
    widths = np.array([np.log(one.interval90[1] / one.interval90[0]) for one in found])
    assert np.all(np.diff(widths) > 0.0)
