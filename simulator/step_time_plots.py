"""Figures of measured and predicted times: a fit of step times, and what `validate` found. A plot computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import Fault, ScenarioError
from simulator.figures import STYLE, plain_ticks, save_figure
from simulator.tables import read_table, time_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["draw_step_time", "draw_validation", "plot_step_time", "plot_validation"]

MOST_PANELS = 8
"""Series of one fit that are drawn; the others stand in the tables."""
CURVE = ("local_samples", "learners", "step_time_s", "lo90", "hi90")
POINTS = ("local_samples", "learners", "nodes", "step_time_s")
ROWS = ("predicted", "actual", "lo90", "hi90")
MOST_KINDS = 6
"""Groups that have a colour of their own; the smallest share one."""
REST = "others"


def plot_step_time(points: pd.DataFrame, curve: pd.DataFrame, ax: Axes) -> Axes:
    """Draw measured step times against the learners, and predictions with 90 % intervals, one colour for each local batch.

    Parameters
    ----------
    points : DataFrame
        local_samples, learners, step_time_s of one series, in every placement.
    curve : DataFrame
        local_samples, learners, step_time_s, lo90, hi90 for a few local batches, nodes filled up.
    ax : Axes
        Where to draw.
    """
    unit_s, unit = time_unit(float(curve["step_time_s"].median()))
    for i, (size, drawn) in enumerate(curve.groupby("local_samples")):
        color = f"C{i}"
        ax.fill_between(drawn["learners"], drawn["lo90"] / unit_s, drawn["hi90"] / unit_s, color=color, alpha=0.15, lw=0)
        ax.plot(drawn["learners"], drawn["step_time_s"] / unit_s, color=color, label=f"{size:g} a GPU")
        own = points[points["local_samples"] == size]
        ax.plot(own["learners"], own["step_time_s"] / unit_s, color=color, marker="o", ms=3.5, ls="none", alpha=0.7)
    ax.axvline(points["learners"].max(), color="C7", lw=1.0, ls=":", label="most measured")
    ax.set(yscale="log", xlabel="GPUs", ylabel=f"time of a step ({unit})")
    ax.set_xscale("log", base=2)
    plain_ticks(ax, x=False)
    numbers = [2**k for k in range(40) if 2**k <= curve["learners"].max()]
    ax.set_xticks(numbers[:: -(-len(numbers) // 10)], [f"{P:,}" for P in numbers[:: -(-len(numbers) // 10)]])
    ax.minorticks_off()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=6, columnspacing=1.2)
    return ax


def plot_validation(table: pd.DataFrame, ax: Axes, *, title: str) -> Axes:
    """Draw predicted against measured with 90 % intervals, both axes logarithmic, and the line where they agree.

    Parameters
    ----------
    table : DataFrame
        group, predicted, actual, lo90, hi90; the groups with the most cases have a colour of their own.
    ax : Axes
        Where to draw.
    title : str
        Above it.
    """
    counts = table["group"].value_counts()
    own = list(counts.index if len(counts) <= MOST_KINDS else counts.index[: MOST_KINDS - 1])
    kinds = table["group"].where(table["group"].isin(own), REST)
    for i, kind in enumerate(dict.fromkeys([*own, *kinds])):
        rows = table[kinds == kind]
        given = rows.dropna(subset=["lo90", "hi90"])
        ax.vlines(given["actual"], given["lo90"], given["hi90"], color=f"C{i}", lw=0.8, alpha=0.35)
        said = kind if kind != REST else f"{counts.size - len(own)} other groups"
        ax.plot(rows["actual"], rows["predicted"], color=f"C{i}", marker="o", ms=3, ls="none", alpha=0.8, label=said)
    ends = [table[["actual", "predicted"]].min().min() / 1.2, table[["actual", "predicted"]].max().max() * 1.2]
    ax.plot(ends, ends, color="black", lw=0.8)
    ax.set(xscale="log", yscale="log", xlabel="measured", ylabel="predicted, with 90 % intervals", title=title)
    ax.legend()
    plain_ticks(ax)
    return ax


def draw_step_time(folder: Path) -> list[Path]:
    """Draw the figure of a saved `fit step-time` into its folder and return its file."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    points, curve = read_table(folder / "points.csv", POINTS), read_table(folder / "curve.csv", CURVE)
    names = list(points["series"].unique())[:MOST_PANELS]
    across = min(2, len(names))
    down = -(-len(names) // across)
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(down, across, figsize=(7.2 * across, 4.6 * down), squeeze=False)
        for ax, name in zip(axes.flat, names, strict=False):
            plot_step_time(points[points["series"] == name], curve[curve["series"] == name], ax).set(title=str(name))
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        return [save_figure(figure, folder / "figure_step_time.png")]


def draw_validation(folder: Path, run: dict[str, Any]) -> list[Path]:
    """Draw the figure of a saved `validate` into its folder and return its file: of its first quantity."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    path = folder / "rows.csv"
    table = read_table(path, ROWS[:2])
    if not {"group", "quantity", *ROWS} <= set(table):
        raise ScenarioError([Fault(str(path), "", "must have the columns group, quantity, predicted, actual, lo90, hi90")])
    first = table[(table["quantity"] == table["quantity"].iloc[0]) & (table["actual"] > 0) & (table["predicted"] > 0)]
    with plt.style.context(STYLE):
        figure, ax = plt.subplots(figsize=(7.2, 6.2))
        plot_validation(first, ax, title=str(run.get("title", "")))
        return [save_figure(figure, folder / "figure_validation.png")]
