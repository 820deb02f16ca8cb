"""Figures of a measurement: what is drawn is what was measured."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from simulator.measurement_plots import plot_measured_times, plot_measured_updates


@pytest.fixture
def axes() -> Iterator[Axes]:
    """Return axes that nobody shows."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_updates_are_points_and_a_curve_for_each_target_with_what_was_not_reached_apart(axes: Axes) -> None:
    points = pd.DataFrame(
        {
            "series": ["training 0.5"] * 3 + ["training 0.3"] * 3 + ["cross_validation 0.5"],
            "batch_samples": [1, 8, 64, 1, 8, 64, 8],
            "updates": [900, 200, 100, 5000, 400, 200, 1],
            "relative_error": [0.1] * 7,
            "reached": [True, True, True, False, True, True, True],
        }
    )
    grid = np.array([8.0, 64.0])
    curve = pd.concat(
        pd.DataFrame(
            {"series": name, "batch_samples": grid, "law_updates": law, "mean_lo90": 0.9 * law, "mean_hi90": 1.1 * law}
        )
        for name, law in (("training 0.5", 90 + 880 / grid), ("training 0.3", 170 + 1800 / grid))
    )
    plot_measured_updates(points, curve, axes, loss="training")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "training loss to reach"
    assert [text.get_text() for text in legend.get_texts()] == ["0.5", "0.3", "not reached by then"]
    drawn = [tuple(np.asarray(line.get_xydata()).T.tolist()) for line in axes.lines if len(np.asarray(line.get_xydata()))]
    assert ([1, 8, 64], [900, 200, 100]) in drawn
    assert ([8, 64], [400, 200]) in drawn  # of 0.3, those that reached it
    assert ([1], [5000]) in drawn  # and the one that did not
    assert ([8.0, 64.0], [200.0, 103.75]) in drawn  # 90 + 880/8, 90 + 880/64
    assert all(1 not in ys for _, ys in drawn)  # nothing of the other loss


def test_times_are_runs_beside_their_prediction_with_the_best_and_its_flat_range(axes: Axes) -> None:
    curve = pd.DataFrame(
        {
            "batch_samples": [1.0, 8.0, 64.0],
            "converge_time_s": [0.04, 0.02, 0.03],
            "lo90": [0.03, 0.01, 0.02],
            "hi90": [0.05, 0.03, 0.04],
        }
    )
    answer = {
        "batch_samples_best": 8.0,
        "converge_time_s": 0.02,
        "flat_range_samples": [6.0, 12.0],
        "converge_rows": [{"batch_samples": 1, "converge_time_s": 0.041}, {"batch_samples": 64, "converge_time_s": 0.028}],
        "check": {"batch_samples": 8, "runs": [{"converge_time_s": 0.019}, {"converge_time_s": None}]},
    }
    plot_measured_times(curve, answer, axes)
    assert axes.get_ylabel() == "time to converge (ms)"
    drawn = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}
    for label, points in (
        ("predicted", [(1, 40), (8, 20), (64, 30)]),
        ("runs", [(1, 41), (64, 28)]),
        ("check, not fitted", [(8, 19)]),  # the run that did not get there has no time
        ("best: 8 samples, 20 ms", [(8, 20)]),
    ):
        np.testing.assert_allclose(drawn[label], points)
