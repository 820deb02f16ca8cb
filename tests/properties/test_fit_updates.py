"""Laws of the fit itself: units, order of rows, scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.calibration.measurements import MeasuredUpdates, updates_series
from simulator.calibration.updates import fit_updates
from simulator.convergence import InverseLaw

POINTS = st.lists(st.tuples(st.integers(0, 16), st.floats(-0.1, 0.1)), min_size=3, max_size=8, unique_by=lambda point: point[0])


def rows(points: list[tuple[int, float]], *, samples: float = 1.0, updates: float = 1.0) -> list[MeasuredUpdates]:
    law = InverseLaw(n_inf_updates=500.0, alpha_samples=200_000.0)
    return [
        MeasuredUpdates(
            batch_samples=samples * 2.0**power, updates=updates * float(law.updates(2.0**power)) * float(np.exp(noise))
        )
        for power, noise in points
    ]


@settings(max_examples=25)
@given(POINTS)
def test_predictions_lie_inside_their_intervals_and_are_finite(points: list[tuple[int, float]]) -> None:
    fit = fit_updates(updates_series("s", rows(points)))
    for one in fit.predict(2.0 ** np.arange(-2, 24, 2)):
        assert 1.0 <= one.interval90[0] <= one.mean_interval90[0] <= one.updates
        assert one.updates <= one.mean_interval90[1] <= one.interval90[1] < np.inf


@settings(max_examples=15)
@given(POINTS, st.sampled_from([0.125, 8.0, 1024.0]), st.sampled_from([2.0, 100.0]))
def test_units_do_not_matter(points: list[tuple[int, float]], samples: float, updates: float) -> None:
    plain = fit_updates(updates_series("s", rows(points))).predict([64.0, 3000.0])
    scaled = fit_updates(updates_series("s", rows(points, samples=samples, updates=updates))).predict(
        [64.0 * samples, 3000.0 * samples]
    )
    for one, other in zip(plain, scaled, strict=True):
        assert other.updates == pytest.approx(updates * one.updates, rel=1e-5)
        assert other.mean_interval90[1] == pytest.approx(updates * one.mean_interval90[1], rel=1e-4)


@settings(max_examples=15)
@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(points: list[tuple[int, float]], random: object) -> None:
    listed = rows(points)
    shuffled = list(listed)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fit_updates(updates_series("s", listed)).predict(100.0) == fit_updates(updates_series("s", shuffled)).predict(100.0)


@settings(max_examples=10)
@given(POINTS)
def test_intervals_never_narrow_outwards(points: list[tuple[int, float]]) -> None:
    fit = fit_updates(updates_series("s", rows(points)))
    high = fit.batch_samples_range[1]
    widths = [np.log(one.mean_interval90[1] / one.mean_interval90[0]) for one in fit.predict(high * 2.0 ** np.arange(1, 6))]
    assert np.all(np.diff(widths) >= -1e-6) or min(one.updates for one in fit.predict(high * 32.0)) < 2.0
