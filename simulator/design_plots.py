"""Figures of a design: time against dollars, T_C against M, where the money goes, what matters most.

They draw what run.json and the tables of `design` hold, and compute nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.figures import STYLE, plain_text, save_figure
from simulator.tables import label, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_design", "plot_batches", "plot_frontier", "plot_importance", "plot_spending"]

CHOSEN, OTHER = "C3", "C0"
MOST_BARS = 9
ACROSS = 2


def _money(ax: Axes, *, x: bool = False, y: bool = False) -> None:
    """Write dollars on an axis as thousands or millions."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    def words(value: float, _: Any) -> str:
        return f"{value / 1e6:,.3g} M" if value >= 1e6 else f"{value / 1e3:,.3g} k" if value >= 1e3 else f"{value:,.3g}"

    for axis, wanted in ((ax.xaxis, x), (ax.yaxis, y)):
        if wanted:
            if axis.get_scale() == "log":
                low, high = axis.get_view_interval()
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1e3 else (1.0,), numticks=10))
                axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FuncFormatter(words))


def _plain(ax: Axes, *, x: bool = False, y: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, wanted in ((ax.xaxis, x), (ax.yaxis, y)):
        if wanted:
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1e3 else (1.0,), numticks=10))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
            axis.set_minor_formatter(NullFormatter())


def plot_frontier(run: Mapping[str, Any], ax: Axes) -> Axes:
    """Draw time against dollars: the frontier with its 90 % intervals, the design, the runner-up and the budget.

    Parameters
    ----------
    run : mapping
        Answer of `design`: frontier, design, runner_up, budget_usd.
    ax : Axes
        Where to draw.
    """
    rows = run["frontier"]
    unit_s, unit = time_unit(run["design"]["time_s"])
    cost = [row["cost_usd"] for row in rows]
    time = [row["time_s"] / unit_s for row in rows]
    spans = [row["time_s_interval90"] for row in rows]
    if all(span is not None for span in spans):
        low, high = ([span[end] / unit_s for span in spans] for end in (0, 1))
        ax.fill_between(cost, low, high, color=OTHER, alpha=0.18, lw=0, label="90 % of the mean over runs")
    ax.plot(cost, time, color=OTHER, marker="o", ms=4, label="fastest for the money")
    for key, colour, marker, words in (("runner_up", "C1", "s", "runner-up"), ("design", CHOSEN, "D", "design")):
        row = run[key]
        if row is not None:
            ranged = row.get("cost_usd_range") or [row["cost_usd"]] * 2  # a continuous design has no range
            named = f"{row['nodes']} x {row['node']}" if "node" in row else f"{row['learners']:,.4g} learners"
            sides = [[max(row["cost_usd"] - ranged[0], 0.0)], [max(ranged[1] - row["cost_usd"], 0.0)]]
            ax.errorbar(
                [row["cost_usd"]], [row["time_s"] / unit_s], xerr=sides, color=colour, marker=marker, ls="none", capsize=3,
                label=f"{words}: {named}", zorder=5,
            )  # fmt: skip
    if run["budget_usd"] is not None:
        ax.axvline(run["budget_usd"], color="0.4", ls="--", lw=1.2, label="budget")
    ax.set(xscale="log", yscale="log", xlabel="dollars over the life (USD)", ylabel=f"time to converge ({unit})")
    ax.set_title("What more money buys")
    _money(ax, x=True)
    _plain(ax, y=True)
    ax.legend()
    return ax


def plot_batches(rows: Sequence[Mapping[str, Any]], one: Mapping[str, Any], ax: Axes) -> Axes:
    """Draw T_C of one workload against the mini-batch, with the answer and its flat range.

    Parameters
    ----------
    rows : sequence of mapping
        batch_samples and converge_time_s of the curve.
    one : mapping
        Of the answer's workloads.
    ax : Axes
        Where to draw.
    """
    unit_s, unit = time_unit(one["converge_time_s"])
    ax.axvspan(*one["flat_range_samples"], color="C2", alpha=0.15, lw=0, label="within 5 % of the best")
    M, T = [row["batch_samples"] for row in rows], [row["converge_time_s"] / unit_s for row in rows]
    interval = one["converge_time_s_interval90"]
    if interval is not None:
        low, high = (end / one["converge_time_s"] for end in interval)
        ax.fill_between(
            M, [t * low for t in T], [t * high for t in T], color=OTHER, alpha=0.18, lw=0,
            label="90 % of runs (relative width at the answer)",
        )  # fmt: skip
    ax.plot(M, T, color=OTHER)
    words = f"{one['batch_samples']:,.0f} samples, {one['converge_time_s'] / unit_s:,.3g} {unit}"
    ax.plot(
        [one["batch_samples"]], [one["converge_time_s"] / unit_s], marker="D", color=CHOSEN, ls="none", label=words, zorder=5
    )
    ax.set(xscale="log", yscale="log", xlabel=label("batch_samples"), ylabel=f"time to converge ({unit})")
    ax.set_title(f"{plain_text(one['workload'])} on {one['learners']:,.6g} learners")
    _plain(ax, x=True, y=True)
    ax.legend()
    return ax


def plot_spending(run: Mapping[str, Any], left: Axes, right: Axes) -> None:
    """Draw where the money goes, and what a thousand dollars more (or less) would bring, by component.

    Parameters
    ----------
    run : mapping
        Answer of `design`: bill, certificate, design.
    left, right : Axes
        For dollars, and for gains.
    """
    parts = [(row["item"], row["usd"]) for row in run["bill"] if row["usd"]]
    rest = run["design"]["cost_usd"] - sum(usd for _, usd in parts)
    if rest > 1e-6 * run["design"]["cost_usd"]:
        parts.append(("rent" if run["cost_kind"] == "cloud" else "power and facility", rest))
    parts.sort(key=lambda part: part[1])
    left.barh([plain_text(name) for name, _ in parts], [usd for _, usd in parts], color=OTHER)
    left.set(xlabel="dollars (USD)", title="Where the money goes")
    left.locator_params(axis="x", nbins=4)
    _money(left, x=True)
    if run["optimality"] is not None:
        _plot_equal_gains(run, right)
        return
    steps = [step for step in run["certificate"] if step["gain_s_per_usd"] is not None and step["component"] != "node"]
    steps = steps[:MOST_BARS][::-1]
    if not steps:
        right.set_axis_off()
        right.text(0.5, 0.5, "no step beside the design\nwith these nodes is possible", ha="center", va="center", color="0.3")
        return
    gains = [1000.0 * step["gain_s_per_usd"] for step in steps]
    unit_s, unit = time_unit(max(abs(gain) for gain in gains) or 1.0)
    colours = ["C2" if step["delta_usd"] > 0 else "C1" for step in steps]
    right.barh(
        [f"{step['component']}: {step['to'].replace('_', ' ')}" for step in steps],
        [gain / unit_s for gain in gains],
        color=colours,
    )
    right.axvline(0.0, color="0.4", lw=1.0)
    right.set(xlabel=f"time gained per 1,000 USD ({unit})", title="One step beside the design")
    right.locator_params(axis="x", nbins=5)
    from matplotlib.patches import Patch

    right.legend(handles=[Patch(color="C2", label="spending more"), Patch(color="C1", label="saving")], loc="best")


def _plot_equal_gains(run: Mapping[str, Any], ax: Axes) -> None:
    """Draw what a thousand dollars more gain through each lever: as much for all that are free."""
    rows = [row for row in run["certificate"] if row["gain_s_per_usd"] is not None][::-1]
    if not rows:
        ax.set_axis_off()
        return
    gains = [1000.0 * row["gain_s_per_usd"] for row in rows]
    unit_s, unit = time_unit(max(abs(gain) for gain in gains) or 1.0)
    names = [row["lever"].rsplit("_bytes_per_s", 1)[0].removesuffix("_s").replace(".", "\n") for row in rows]
    ax.barh(names, [gain / unit_s for gain in gains], color=["C2" if row["free"] else "C1" for row in rows])
    last = 1000.0 * run["optimality"]["gain_s_per_usd"] / unit_s
    ax.axvline(last, color="0.4", ls="--", lw=1.2)
    ax.set(xlabel=f"time gained per 1,000 USD ({unit})", title="Through each lever")
    ax.locator_params(axis="x", nbins=5)
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    kinds = [("C2", "free", True), ("C1", "at a bound", False)]
    handles: list[Any] = [
        Patch(color=colour, label=words) for colour, words, free in kinds if any(row["free"] is free for row in rows)
    ]
    ax.legend(handles=[*handles, Line2D([], [], color="0.4", ls="--", label="the last dollar")], loc="best")


def plot_importance(run: Mapping[str, Any], ax: Axes) -> Axes:
    """Draw what the spread of the time comes from, and what the choice between the two best designs hangs on.

    Parameters
    ----------
    run : mapping
        Answer of `design`: importance, decides.
    ax : Axes
        Where to draw.
    """
    time = {row["group"]: row["share"] for row in run["importance"]}
    choice = {row["group"]: row["share"] for row in run["decides"]}
    names = sorted({*time, *choice}, key=lambda name: max(time.get(name, 0.0), choice.get(name, 0.0)))[-MOST_BARS:]
    at = range(len(names))
    height = 0.38
    ax.barh([i + height / 2 for i in at], [time.get(name, 0.0) for name in names], height, color=OTHER, label="of its time")
    if choice:
        bars = [choice.get(name, 0.0) for name in names]
        ax.barh([i - height / 2 for i in at], bars, height, color="C1", label="of the difference from the runner-up")
    ax.set_yticks(list(at), [plain_text(name.replace(": ", ":\n", 1) if len(name) > 34 else name) for name in names])
    ax.set(xlabel="share of the variance that knowing it would remove", xlim=(0.0, 1.0), title="What matters most")
    ax.legend(loc="lower right")
    return ax


def draw_design(folder: Path, run: Mapping[str, Any], curves: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Draw the four figures of a design into a folder and return their files.

    Parameters
    ----------
    folder : Path
        Where.
    run : mapping
        The answer, as run.json has it.
    curves : sequence of mapping
        Rows of batch.csv: workload, batch_samples, converge_time_s.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    written = []
    with plt.style.context(STYLE):
        figure, ax = plt.subplots()
        plot_frontier(run, ax)
        written.append(save_figure(figure, folder / "figure_frontier.png"))
        workloads = run["design"]["workloads"]
        across = min(ACROSS, len(workloads))
        down = -(-len(workloads) // across)
        figure, axes = plt.subplots(down, across, figsize=(7.2 * across, 4.6 * down), squeeze=False)
        for ax, one in zip(axes.flat, workloads, strict=False):
            plot_batches([row for row in curves if row["workload"] == one["workload"]], one, ax)
        for ax in axes.flat[len(workloads) :]:
            ax.set_axis_off()
        written.append(save_figure(figure, folder / "figure_batches.png"))
        figure, (left, right) = plt.subplots(1, 2, figsize=(12.0, 4.6))
        plot_spending(run, left, right)
        written.append(save_figure(figure, folder / "figure_spending.png"))
        if run["importance"]:
            figure, ax = plt.subplots(figsize=(8.6, 4.6))
            plot_importance(run, ax)
            written.append(save_figure(figure, folder / "figure_importance.png"))
    return written
