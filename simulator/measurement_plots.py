"""Figures of a measurement: updates against the mini-batch for several targets, and the time to converge with its best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.figures import STYLE, plain_ticks, save_figure
from simulator.tables import label, read_table, time_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["draw_measurement", "plot_measured_times", "plot_measured_updates"]

MARKERS = "osD^vP"
NOT_REACHED = "not reached by then"
LOSS_WORDS = {"training": "training loss", "cross_validation": "cross-validation loss"}


def plot_measured_updates(points: pd.DataFrame, curve: pd.DataFrame, ax: Axes, *, loss: str) -> Axes:
    """Draw updates to several targets of one loss against the mini-batch: points, and the fitted law (the paper's Figure 1).

    Parameters
    ----------
    points : DataFrame
        series ("training 0.3"), batch_samples, updates, relative_error, reached (False: more updates than these).
    curve : DataFrame
        series, batch_samples, law_updates, mean_lo90, mean_hi90 on a grid.
    ax : Axes
        Where to draw.
    loss : str
        training or cross_validation: the series of this loss.
    """
    names = [name for name in points["series"].unique() if str(name).startswith(f"{loss} ")]
    lost = False
    for place, name in enumerate(names):
        color, marker = f"C{place}", MARKERS[place % len(MARKERS)]
        mine, law = points[points["series"] == name], curve[curve["series"] == name]
        reached = mine["reached"].astype(str).str.lower() == "true"
        there, gone = mine[reached], mine[~reached]
        ax.fill_between(law["batch_samples"], law["mean_lo90"], law["mean_hi90"], color=color, alpha=0.15, lw=0)
        ax.plot(law["batch_samples"], law["law_updates"], color=color, lw=1.2)
        ax.errorbar(
            there["batch_samples"],
            there["updates"],
            yerr=1.645 * there["relative_error"] * there["updates"],
            color=color,
            fmt=marker,
            ms=5,
            lw=1.0,
            label=f"{str(name).split()[-1]}",
        )
        if len(gone):
            lost = True
            ax.plot(gone["batch_samples"], gone["updates"], color=color, marker="^", mfc="none", ls="none", ms=8)
    if lost:
        ax.plot([], [], color="C7", marker="^", mfc="none", ls="none", ms=8, label=NOT_REACHED)
    ax.set(xscale="log", yscale="log", xlabel=label("batch_samples"), ylabel=label("updates"))
    ax.set_title("Updates to converge")
    if names:
        entries = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=lambda entry: entry[1] == NOT_REACHED)
        ax.legend(*zip(*entries, strict=True), title=f"{LOSS_WORDS[loss]} to reach", loc="upper right")
    plain_ticks(ax)
    return ax


def plot_measured_times(curve: pd.DataFrame, answer: dict[str, Any], ax: Axes) -> Axes:
    """Draw the time to converge predicted against the mini-batch, that of every run, the best mini-batch and its flat range.

    Parameters
    ----------
    curve : DataFrame
        batch_samples, converge_time_s, lo90, hi90 on a grid.
    answer : dict
        The answer of measure: converge_rows, check, batch_samples_best, flat_range_samples, converge_time_s.
    ax : Axes
        Where to draw.
    """
    best, T = answer["batch_samples_best"], answer["converge_time_s"]
    unit_s, unit = time_unit(T)
    low, high = answer["flat_range_samples"]
    ax.axvspan(low, high, color="C2", alpha=0.15, lw=0, label="within 5 % of the best")
    ax.fill_between(
        curve["batch_samples"],
        curve["lo90"] / unit_s,
        curve["hi90"] / unit_s,
        color="C0",
        alpha=0.18,
        lw=0,
        label="90 % of runs",
    )
    ax.plot(curve["batch_samples"], curve["converge_time_s"] / unit_s, color="C0", label="predicted")
    rows = answer["converge_rows"]
    ax.plot(
        [row["batch_samples"] for row in rows],
        [row["converge_time_s"] / unit_s for row in rows],
        color="C1",
        marker="o",
        ms=4,
        ls="none",
        label="runs",
    )
    check = answer.get("check")
    if check:
        reached = [row["converge_time_s"] / unit_s for row in check["runs"] if row["converge_time_s"] is not None]
        ax.plot(
            [check["batch_samples"]] * len(reached), reached, color="C3", marker="x", ms=7, ls="none", label="check, not fitted"
        )
    ax.plot(
        [best],
        [T / unit_s],
        color="C3",
        marker="D",
        ls="none",
        zorder=5,
        label=f"best: {best:,.6g} samples, {T / unit_s:,.3g} {unit}",
    )
    ax.set(xscale="log", yscale="log", xlabel=label("batch_samples"), ylabel=f"time to converge ({unit})")
    ax.set_title("Time to converge on this machine")
    ax.legend()
    plain_ticks(ax)
    return ax


def draw_measurement(folder: Path, answer: dict[str, Any]) -> list[Path]:
    """Draw the figures of a saved measurement into its folder and return their files; none where nothing was fitted."""
    import matplotlib.pyplot as plt

    written: list[Path] = []
    with plt.style.context(STYLE):
        if (folder / "points.csv").is_file():
            points = read_table(folder / "points.csv", ("batch_samples", "updates", "relative_error"))
            curve = read_table(folder / "curve.csv", ("batch_samples", "law_updates", "mean_lo90", "mean_hi90"))
            losses = [loss for loss in LOSS_WORDS if points["series"].astype(str).str.startswith(f"{loss} ").any()]
            figure, axes = plt.subplots(1, len(losses), figsize=(6.4 * len(losses), 4.8), squeeze=False, sharey=True)
            for ax, loss in zip(axes.flat, losses, strict=True):
                plot_measured_updates(points, curve, ax, loss=loss)
            for ax in axes.flat[1:]:
                ax.set_ylabel("")
            written.append(save_figure(figure, folder / "figure_measured_updates.png"))
        if answer.get("batch_samples_best") is not None and (folder / "converge.csv").is_file():
            table = read_table(folder / "converge.csv", ("batch_samples", "converge_time_s", "lo90", "hi90"))
            figure, ax = plt.subplots()
            plot_measured_times(table, answer, ax)
            written.append(save_figure(figure, folder / "figure_measured_times.png"))
    return written
