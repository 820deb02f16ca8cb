"""Figures from tables: data as points, models as lines, the optimum marked. A plot computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.allocation_plots import draw_allocation
from simulator.comparison_plots import draw_comparison
from simulator.design_plots import draw_design
from simulator.errors import Fault, ScenarioError
from simulator.figures import STYLE, axes_to_draw_in, plain_text, plain_ticks, save_figure
from simulator.measurement_plots import draw_measurement
from simulator.simulation_plots import draw_simulation
from simulator.step_time_plots import draw_step_time, draw_validation
from simulator.tables import label, read_table, time_unit
from simulator.topology_plots import plot_topology

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["DRAWN", "draw_run", "plot_scaling", "plot_time_to_converge", "plot_topology", "plot_update", "plot_updates_fit"]

DRAWN = (
    "run",
    "optimum",
    "scale",
    "simulate",
    "fit updates",
    "fit step-time",
    "validate",
    "measure",
    "allocate",
    "design",
    "compare",
)
"""Commands whose saved runs have figures."""
BATCH_COLUMNS = ("batch_samples", "updates", "update_time_s", "reduce_time_s", "converge_time_s")
CURVE_COLUMNS = ("batch_samples", "updates", "law_updates", "lo90", "hi90", "mean_lo90", "mean_hi90")
MOST_PANELS = 8
"""Series of one fit that are drawn; the others stand in the tables."""
SCALING_LINES = {"strong": ("C0", "o", "--"), "weak": ("C1", "s", "-."), "optimal": ("C2", "D", "-")}


def plot_time_to_converge(table: pd.DataFrame, answer: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw T_C against the mini-batch with the answer, its interval and the flat range.

    Parameters
    ----------
    table : DataFrame
        batch_samples and converge_time_s of the curve.
    answer : dict
        The answer: batch_samples, converge_time_s, flat_range_samples, converge_time_s_interval90, learners.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        With the drawing.
    """
    ax = axes_to_draw_in(ax)
    M, T = answer["batch_samples"], answer["converge_time_s"]
    unit_s, unit = time_unit(T)
    curve = table["converge_time_s"] / unit_s
    low, high = answer["flat_range_samples"]
    ax.axvspan(low, high, color="C2", alpha=0.15, lw=0, label="within 5 % of the best")
    interval = answer.get("converge_time_s_interval90")
    if interval is not None:
        ax.fill_between(
            table["batch_samples"],
            curve * interval[0] / T,
            curve * interval[1] / T,
            color="C0",
            alpha=0.18,
            lw=0,
            label="90 % of runs (relative width at the answer)",
        )
    ax.plot(table["batch_samples"], curve, color="C0", label="model")
    ax.plot(
        [M],
        [T / unit_s],
        marker="D",
        color="C3",
        ls="none",
        label=f"answer: {M:,.6g} samples, {T / unit_s:,.3g} {unit}",
        zorder=5,
    )
    ax.set(xscale="log", yscale="log", xlabel=label("batch_samples"), ylabel=f"time to converge ({unit})")
    ax.set_title(f"Time to converge on {answer['learners']:,.0f} learners")
    ax.legend(frameon=True, framealpha=0.9, edgecolor="none")
    plain_ticks(ax)
    return ax


def plot_update(table: pd.DataFrame, answer: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the two factors of T_C against the mini-batch: updates (left axis) and time per update (right axis)."""
    ax = axes_to_draw_in(ax)
    right = ax.twinx()
    (updates,) = ax.plot(table["batch_samples"], table["updates"], color="C0", label=label("updates"))
    (update,) = right.plot(table["batch_samples"], table["update_time_s"], color="C1", ls="--", label=label("update_time_s"))
    (reduce,) = right.plot(table["batch_samples"], table["reduce_time_s"], color="C2", ls=":", label=label("reduce_time_s"))
    marker = ax.axvline(answer["batch_samples"], color="C3", lw=1.0, label="answer")
    ax.set(xscale="log", yscale="log", xlabel=label("batch_samples"), ylabel=label("updates"))
    right.set(yscale="log", ylabel="seconds per update")
    right.grid(visible=False)
    ax.set_title("Fewer updates against longer updates")
    ax.legend(handles=[updates, update, reduce, marker], loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    plain_ticks(ax)
    plain_ticks(right, x=False)
    return ax


def plot_scaling(table: pd.DataFrame, column: str = "converge_time_s", ax: Axes | None = None) -> Axes:
    """Draw a column against the learners for strong, weak and optimal scaling.

    Parameters
    ----------
    table : DataFrame
        learners, scaling and the column.
    column : str
        converge_time_s (logarithmic) or efficiency (linear).
    ax : Axes, optional
        Where to draw.
    """
    ax = axes_to_draw_in(ax)
    unit_s, unit = time_unit(float(table[column].median())) if column == "converge_time_s" else (1.0, "")
    for scaling, (color, marker, line) in SCALING_LINES.items():
        rows = table[table["scaling"] == scaling].dropna(subset=[column])
        hollow: dict[str, Any] = (
            {"markerfacecolor": "none", "markersize": 10} if scaling == "weak" else {}
        )  # seen where it equals optimal
        ax.plot(rows["learners"], rows[column] / unit_s, color=color, marker=marker, ls=line, label=scaling, **hollow)
    ax.set(xlabel=label("learners"), ylabel=f"time to converge ({unit})" if unit else label(column))
    ax.set_xscale("log", base=2)
    if column == "efficiency":
        ax.set_ylim(bottom=0.0)
    else:
        ax.set_yscale("log")
        plain_ticks(ax, x=False)
    learners = sorted(table["learners"].unique())
    ax.set_xticks(learners[:: -(-len(learners) // 12)], [f"{P:,.0f}" for P in learners[:: -(-len(learners) // 12)]])
    ax.minorticks_off()
    return ax


def plot_updates_fit(points: pd.DataFrame, curve: pd.DataFrame, ax: Axes | None = None, *, color: str = "C0") -> Axes:
    """Draw measured updates against the mini-batch, the prediction with its intervals, and the law alone (Figures 1, 2).

    Parameters
    ----------
    points : DataFrame
        batch_samples, updates and relative_error (standard error of the mean, relative) of one series; where it has `reached`
        and that is False, no run reached the target in these updates.
    curve : DataFrame
        batch_samples, updates, law_updates, lo90, hi90, mean_lo90, mean_hi90 on a grid.
    ax : Axes, optional
        Where to draw.
    color : str
        Colour of the series.
    """
    ax = axes_to_draw_in(ax)
    M = curve["batch_samples"]
    ax.fill_between(M, curve["lo90"], curve["hi90"], color=color, alpha=0.12, lw=0, label="90 % of runs")
    ax.fill_between(M, curve["mean_lo90"], curve["mean_hi90"], color=color, alpha=0.22, lw=0, label="90 % for the mean")
    ax.plot(M, curve["law_updates"], color="C7", lw=1.0, ls="--", label="law alone")
    ax.plot(M, curve["updates"], color=color, label="prediction")
    lost = points["reached"].astype(str).str.lower() == "false" if "reached" in points else points["updates"] < 0
    points, unreached = points[~lost], points[lost]
    if len(unreached):
        ax.plot(
            unreached["batch_samples"],
            unreached["updates"],
            color="C3",
            marker="^",
            mfc="none",
            ms=8,
            ls="none",
            label="not reached by then",
        )
    ax.errorbar(
        points["batch_samples"],
        points["updates"],
        yerr=1.645 * points["relative_error"] * points["updates"],
        color="C3",
        fmt="o",
        ms=5,
        lw=1.0,
        label="measured mean (90 % of its error)",
        zorder=5,
    )
    ax.set(xscale="log", yscale="log", xlabel=label("batch_samples"), ylabel=label("updates"))
    ax.legend()
    plain_ticks(ax)
    return ax


def draw_run(folder: Path, run: dict[str, Any]) -> list[Path]:
    """Draw the figures of a saved run into its folder and return their files.

    Parameters
    ----------
    folder : Path
        What `run` or `scale` wrote.
    run : dict
        Its run.json.
    """
    if run["command"] == "design":
        curves = read_table(folder / "batch.csv", ("batch_samples", "converge_time_s"))
        return draw_design(folder, run, curves.to_dict("records"))  # type: ignore[arg-type]
    if run["command"] == "compare":
        return draw_comparison(folder, run)
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    if run["command"] == "fit step-time":
        return draw_step_time(folder)
    if run["command"] == "validate":
        return draw_validation(folder, run)
    if run["command"] == "measure":
        return draw_measurement(folder, run)
    written = []
    with plt.style.context(STYLE):
        if run["command"] == "fit updates":
            points = read_table(folder / "points.csv", ("batch_samples", "updates", "relative_error"))
            curve = read_table(folder / "curve.csv", CURVE_COLUMNS)
            names = list(points["series"].unique())[:MOST_PANELS]
            across = min(2, len(names))
            figure, axes = plt.subplots(
                -(-len(names) // across), across, figsize=(7.2 * across, 4.6 * -(-len(names) // across)), squeeze=False
            )
            for ax, name in zip(axes.flat, names, strict=False):
                plot_updates_fit(points[points["series"] == name], curve[curve["series"] == name], ax).set(
                    title=plain_text(str(name))
                )
            for ax in axes.flat[len(names) :]:
                ax.set_axis_off()
            written.append(save_figure(figure, folder / "figure_updates.png"))
        elif run["command"] == "simulate":
            written += draw_simulation(folder, run)
        elif run["command"] == "allocate":
            written += draw_allocation(folder, run)
        elif run["command"] == "scale":
            table = read_table(folder / "scaling.csv", ("learners", "converge_time_s", "efficiency"))
            figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(7.2, 6.6), height_ratios=(3, 2))
            plot_scaling(table, "converge_time_s", above).set(xlabel="", title="Strong, weak and optimal scaling")
            plot_scaling(table, "efficiency", below)
            above.legend()
            written.append(save_figure(figure, folder / "figure_scaling.png"))
        else:
            table = read_table(
                folder / "batch.csv", ("batch_samples", "updates", "update_time_s", "reduce_time_s", "converge_time_s")
            )
            _refuse_other_keys(folder, run)
            figure, ax = plt.subplots()
            plot_time_to_converge(table, run, ax)
            written.append(save_figure(figure, folder / "figure_time_to_converge.png"))
            figure, ax = plt.subplots()
            plot_update(table, run, ax)
            written.append(save_figure(figure, folder / "figure_update.png"))
    return written


def _refuse_other_keys(folder: Path, run: dict[str, Any]) -> None:
    """Check that a run.json holds the numbers that the figures mark."""
    low_high = run.get("flat_range_samples")
    numbers = [run.get("batch_samples"), run.get("converge_time_s"), run.get("learners")]
    numbers += low_high if isinstance(low_high, list) and len(low_high) == 2 else [None]
    if not all(isinstance(number, int | float) for number in numbers):
        rule = "must hold numbers for batch_samples, converge_time_s, learners and flat_range_samples"
        raise ScenarioError([Fault(str(folder / "run.json"), "", rule)])
