"""The figure of a comparison: T_C of each option against the learners, with the numbers at which the choice flips.

It draws what run.json and curve.csv of `compare` hold, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.figures import STYLE, plain_text, save_figure
from simulator.tables import label, read_table, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_comparison", "plot_comparison"]

LINES, MARKERS = ("-", "--", "-.", ":"), "osD^v"
MOST_MARKED = 6
"""Crossovers that are named in the figure; further ones are lines alone."""
MOST_MARKERS = 16
"""Points of a curve up to which each is marked; of more, the numbers of [compare] learners."""


def plot_comparison(run: Mapping[str, Any], curve: Sequence[Mapping[str, Any]], ax: Axes) -> Axes:
    """Draw T_C of each option against the learners; where there is one number of them, side by side with its interval.

    Parameters
    ----------
    run : mapping
        Answer of `compare`: rows, by_learners, crossovers.
    curve : sequence of mapping
        option, learners, converge_time_s.
    ax : Axes
        Where to draw.

    Returns
    -------
    Axes
        With the drawing.
    """
    unit_s, unit = time_unit(min(row["converge_time_s"] for row in run["rows"]))
    if len({row["learners"] for row in curve}) < 2:
        return _side_by_side(run["rows"], unit_s, unit, ax)
    for i, row in enumerate(run["rows"]):
        own = [one for one in curve if one["option"] == row["option"]]
        listed = {one["learners"] for one in run["by_learners"]}
        marked = [one for one in own if one["learners"] in listed or len(own) <= MOST_MARKERS]
        color = f"C{i % 8}"
        if len(marked) < len(own):  # every number tried: thin, since those that fill no node make it jump
            ax.plot(*_points(own, unit_s), color=color, lw=0.7, alpha=0.45, zorder=2)
        if marked:
            ax.plot(
                *_points(marked, unit_s),
                color=color,
                ls=LINES[i % 4],
                marker=MARKERS[i % 5],
                label=plain_text(row["option"]),
                zorder=3,
            )
        else:
            ax.plot([], [], color=color, label=plain_text(row["option"]))
        ax.plot(row["learners"], row["converge_time_s"] / unit_s, "*", ms=13, color=f"C{i % 8}", mec="w", mew=0.6, zorder=6)
    ax.plot([], [], "*", ms=11, color="0.3", ls="none", label="the answer of each option")
    flips = [one for one in run["crossovers"] if (one["variable"], one["measure"]) == ("learners", "converge_time_s")]
    for i, flip in enumerate(flips):
        ax.axvline(flip["at"], color="0.55", ls=":", lw=1.0, label="the choice flips" if i == 0 else None, zorder=1)
        if i < MOST_MARKED:
            ax.annotate(
                f"{flip['at']:,.0f}", (flip["at"], 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2 + 11 * (i % 2)),
                textcoords="offset points", ha="center", va="bottom", fontsize=8, color="0.3",
            )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel=label("learners"), ylabel=f"time to converge ({unit})")
    _plain_ticks(ax)
    ax.legend()
    ax.set_title("Options side by side", pad=26 if flips else None)
    return ax


def _points(rows: Sequence[Mapping[str, Any]], unit_s: float) -> tuple[list[float], list[float]]:
    return [row["learners"] for row in rows], [row["converge_time_s"] / unit_s for row in rows]


def _plain_ticks(ax: Axes) -> None:
    """Write plain numbers on logarithmic axes: 1, 2, 5 where few decades are shown."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1e4 else (1.0,), numticks=14))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.5g}"))
        axis.set_minor_formatter(NullFormatter())


def _side_by_side(rows: Sequence[Mapping[str, Any]], unit_s: float, unit: str, ax: Axes) -> Axes:
    backwards = list(rows)[::-1]
    times = [row["converge_time_s"] / unit_s for row in backwards]
    spans = [row["converge_time_s_interval90"] or [row["converge_time_s"]] * 2 for row in backwards]
    sides = [
        [max(0.0, time - span[0] / unit_s) for time, span in zip(times, spans, strict=True)],
        [max(0.0, span[1] / unit_s - time) for time, span in zip(times, spans, strict=True)],
    ]
    ax.errorbar(times, [plain_text(row["option"]) for row in backwards], xerr=sides, marker="D", ls="none", capsize=3)
    ax.set(xlabel=f"time to converge ({unit}), 90 % of one run", title="Options side by side")
    ax.margins(y=0.3)
    return ax


def draw_comparison(folder: Path, run: Mapping[str, Any]) -> list[Path]:
    """Draw the figure of a saved comparison into its folder and return its file.

    Parameters
    ----------
    folder : Path
        What `compare` wrote.
    run : mapping
        Its run.json.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    curve: Any = read_table(folder / "curve.csv", ("learners", "converge_time_s")).to_dict("records")
    with plt.style.context(STYLE):
        figure, ax = plt.subplots()
        plot_comparison(run, curve, ax)
        return [save_figure(figure, folder / "figure_options.png")]
