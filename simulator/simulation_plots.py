"""Figures of a simulation: how long single runs take, and who does what during its first updates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import Fault, ScenarioError
from simulator.figures import axes_to_draw_in, plain_text, save_figure
from simulator.tables import read_table, time_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["draw_simulation", "plot_runs", "plot_timeline"]

FEWEST_RUNS = 3
"""Replications below which there is no distribution to draw."""
MOST_JOBS = 6
"""Jobs of one simulation that are drawn; the others stand in the tables."""
SPAN_COLOURS = {
    "compute": "C0",
    "wait": "#d9d9d9",
    "push": "C5",
    "reduce": "C1",
    "cross-validation": "C2",
    "checkpoint": "C4",
    "lost": "C3",
    "repair": "C7",
    "restart": "C6",
}


def plot_runs(runs: pd.DataFrame, answer: dict[str, Any], ax: Axes | None = None) -> Axes:
    """Draw how many of the runs are over by when, with their mean, its interval, and the closed form.

    Parameters
    ----------
    runs : DataFrame
        converge_time_s of each run of one job.
    answer : dict
        The job's converge_time_s (mean, lo, hi, p5, p95) and closed_form_s.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        With the drawing.
    """
    ax = axes_to_draw_in(ax)
    times = answer["converge_time_s"]
    unit_s, unit = time_unit(times["mean"])
    ordered = runs["converge_time_s"].sort_values().to_numpy() / unit_s
    over = [(i + 1) / len(ordered) for i in range(len(ordered))]
    ax.axvspan(times["p5"] / unit_s, times["p95"] / unit_s, color="C0", alpha=0.1, lw=0, label="5 to 95 % of runs")
    if times["lo"] is not None:
        ax.axvspan(times["lo"] / unit_s, times["hi"] / unit_s, color="C3", alpha=0.25, lw=0, label="mean, 90 %")
    ax.step([ordered[0], *ordered], [0.0, *over], where="post", color="C0", label=f"{len(ordered):,} runs")
    ax.axvline(times["mean"] / unit_s, color="C3", lw=1.2)
    closed = answer["closed_form_s"] / unit_s
    ax.axvline(closed, color="C7", ls="--", lw=1.5, label=f"closed form, {closed:,.3g} {unit}")
    ax.set(xlabel=f"time to converge ({unit})", ylabel="share of runs that are over", ylim=(0.0, 1.02))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)
    return ax


def plot_timeline(spans: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw who does what when: a row for each process, a bar for each span, in the order in which they were told.

    Parameters
    ----------
    spans : DataFrame
        process, name, start_s and end_s of one job.
    ax : Axes, optional
        Where to draw.
    """
    ax = axes_to_draw_in(ax)
    began_s = float(spans["start_s"].min())
    unit_s, unit = time_unit(float(spans["end_s"].max()) - began_s)
    processes = list(dict.fromkeys(spans["process"]))
    for row, process in enumerate(processes):
        own = spans[spans["process"] == process]
        for name, part in own.groupby("name", sort=False):
            bars = list(zip((part["start_s"] - began_s) / unit_s, (part["end_s"] - part["start_s"]) / unit_s, strict=True))
            ax.broken_barh(
                bars, (row - 0.4, 0.8), facecolors=SPAN_COLOURS.get(str(name), "C7"), edgecolor="white", linewidth=0.4
            )
    for update, part in spans.groupby("update"):
        end = (float(part["end_s"].max()) - began_s) / unit_s
        ax.axvline(end, color="0.3", lw=0.6, ls=":")
        ax.annotate(
            f"update {update:,.0f}",
            (end, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8,
        )
    ax.set_yticks(range(len(processes)), processes)
    ax.set(xlabel=f"time ({unit})", ylim=(len(processes) - 0.4, -0.6), xlim=(0.0, None))
    ax.grid(visible=False, axis="y")
    handles = [_swatch(SPAN_COLOURS.get(name, "C7"), name) for name in dict.fromkeys(spans["name"])]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    ax.set_axisbelow(True)
    return ax


def _swatch(colour: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, label=label)


def draw_simulation(folder: Path, run: dict[str, Any]) -> list[Path]:
    """Draw the figures of a saved simulation into its folder and return their files.

    Parameters
    ----------
    folder : Path
        What `simulate` wrote.
    run : dict
        Its run.json.
    """
    import matplotlib.pyplot as plt

    written = []
    try:
        jobs = {str(row["job"]): row for row in run["rows"][:MOST_JOBS]}
        many = run["replications"] >= FEWEST_RUNS
    except (KeyError, TypeError):
        raise ScenarioError([Fault(str(folder / "run.json"), "", "must hold the rows of a simulation")]) from None
    runs = read_table(folder / "replications.csv", ("converge_time_s",))
    if many:
        figure, axes = plt.subplots(len(jobs), 1, figsize=(7.2, 4.2 * len(jobs)), squeeze=False)
        for ax, (name, row) in zip(axes.flat, jobs.items(), strict=True):
            plot_runs(runs[runs["job"] == name], row, ax).set(title=plain_text(str(name)))
        written.append(save_figure(figure, folder / "figure_simulation.png"))
    if (folder / "spans.csv").is_file():
        spans = read_table(folder / "spans.csv", ("start_s", "end_s", "update"))
        drawn = {name: spans[spans["job"] == name] for name in jobs if (spans["job"] == name).any()}
        rows = [part["process"].nunique() for part in drawn.values()]
        heights = [1.6 + 0.24 * count for count in rows]
        figure, axes = plt.subplots(len(drawn), 1, figsize=(9.0, sum(heights)), height_ratios=heights, squeeze=False)
        for ax, (name, part) in zip(axes.flat, drawn.items(), strict=True):
            plot_timeline(part, ax).set_title(f"First updates of {plain_text(str(name))}", pad=18)
        written.append(save_figure(figure, folder / "figure_timeline.png"))
    return written
