"""Figures of a data centre: what is drawn is what the tables hold."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from simulator.allocation_plots import OTHERS, layers_of, plot_completion_times, plot_learners_in_use

PARTS = pd.DataFrame(
    {
        "job": ["a", "b", "a"],
        "workload": ["x", "y", "x"],
        "from_s": [0.0, 10.0, 30.0],
        "to_s": [30.0, 40.0, 50.0],
        "learners": [4, 2, 6],
    }
)


def tops(ax: Axes) -> dict[str, float]:
    """Highest point of each layer."""
    return {str(layer.get_label()): float(layer.get_paths()[0].vertices[:, 1].max()) for layer in ax.collections}  # type: ignore[index, union-attr]


def test_layers_are_workloads_or_the_jobs_of_a_single_one() -> None:
    names, kinds = layers_of(PARTS)
    assert kinds == ["x", "y"]
    assert names.tolist() == ["x", "y", "x"]
    assert layers_of(PARTS.assign(workload=None))[1] == ["a", "b"]
    assert layers_of(PARTS.assign(borrowed=[False, True, False]))[1] == ["x", "y (borrowed)"]
    many = pd.DataFrame(
        {"job": [f"j{i}" for i in range(20)], "workload": "x", "from_s": 0.0, "to_s": 1.0, "learners": range(1, 21)}
    )
    names, kinds = layers_of(many)
    assert kinds == [*sorted(f"j{i}" for i in range(13, 20)), OTHERS]
    assert (names == OTHERS).sum() == 13


def test_the_learners_in_use_are_stacked() -> None:
    plt.close("all")
    ax = plot_learners_in_use(PARTS, 8)
    assert [layer.get_label() for layer in ax.collections] == ["x", "y"]
    assert ax.get_ylim()[1] == pytest.approx(8.4)
    assert ax.get_xlabel() == "time (s)"
    assert tops(ax) == {"x": 6.0, "y": 8.0}  # from 30 s on six of x, and two of y until 40 s


def test_colours_are_the_same_for_the_same_layers() -> None:
    plt.close("all")
    layers = layers_of(PARTS)
    both = plot_learners_in_use(PARTS, 8, layers=layers)
    plt.figure()
    one = plot_learners_in_use(PARTS[PARTS["workload"] == "y"], 8, layers=layers)
    first, second = ([np.asarray(layer.get_facecolor()).tolist() for layer in ax.collections] for ax in (both, one))
    assert first == second


def test_the_completion_times_are_drawn_as_a_distribution() -> None:
    plt.close("all")
    rows = pd.DataFrame({"policy": ["p", "p", "q", "q"], "completion_s": [10.0, 30.0, 20.0, 60.0]})
    ax = plot_completion_times(rows)
    lines = {line.get_label(): line for line in ax.get_lines() if not str(line.get_label()).startswith("_")}
    assert np.asarray(lines["p"].get_xdata()).tolist() == [10.0, 30.0]
    assert np.asarray(lines["q"].get_ydata()).tolist() == [0.5, 1.0]
    triangles = [float(np.asarray(line.get_xdata())[0]) for line in ax.get_lines() if line.get_marker() == "^"]
    assert triangles == [20.0, 40.0]
    plt.close("all")
