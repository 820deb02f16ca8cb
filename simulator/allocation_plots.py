"""Figures of a data centre of jobs: who holds how many learners when, and how long jobs take under each policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.figures import axes_to_draw_in, plain_text, save_figure
from simulator.tables import read_table, time_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["draw_allocation", "layers_of", "plot_completion_times", "plot_learners_in_use"]

MOST_KINDS = 7
"""Layers that are told apart; the others are drawn as one."""
OTHERS = "others"
INSTANTS = 2000
"""Points in time at which the learners in use are drawn where there are more changes than that."""
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))


def layers_of(parts: pd.DataFrame) -> tuple[pd.Series[str], list[str]]:
    """Return the layer that each part is drawn in, and the layers from the bottom up: workloads, or jobs where one has all.

    Those that hold most learners for longest have their own, the rest is "others".
    """
    by = "workload" if parts["workload"].nunique(dropna=False) > 1 else "job"
    names = parts[by].fillna("without a model").astype(str)
    if "borrowed" in parts:
        names = names.where(~parts["borrowed"].astype(bool), names + " (borrowed)")
    held = (parts["learners"] * (parts["to_s"] - parts["from_s"])).groupby(names).sum()
    kinds = sorted(held.nlargest(MOST_KINDS).index)
    if len(held) > MOST_KINDS:
        kinds.append(OTHERS)
    return names.where(names.isin(kinds), OTHERS), kinds


def plot_learners_in_use(
    parts: pd.DataFrame, learners: int, ax: Axes | None = None, *, layers: tuple[pd.Series[str], list[str]] | None = None
) -> Axes:
    """Draw the learners that each workload holds (each job, where there is one workload), stacked, against time.

    Parameters
    ----------
    parts : DataFrame
        job, workload, from_s, to_s, learners of one schedule.
    learners : int
        All there are.
    ax : Axes, optional
        Where to draw.
    layers : (Series, list), optional
        As `layers_of` returns, so that several drawings have the same; of these parts by default.

    Returns
    -------
    Axes
        With the drawing.
    """
    import numpy as np

    ax = axes_to_draw_in(ax)
    names, kinds = layers if layers is not None else layers_of(parts)
    at = np.unique(np.concatenate([parts["from_s"], parts["to_s"]]))
    if len(at) > INSTANTS:
        at = np.linspace(at[0], at[-1], INSTANTS)
    unit_s, unit = time_unit(float(at[-1] - at[0]))
    heights = []
    for kind in kinds:
        own = parts[names.loc[parts.index] == kind]
        change = np.zeros(len(at))
        np.add.at(change, np.searchsorted(at, own["from_s"].clip(upper=at[-1])), own["learners"])
        np.add.at(change, np.searchsorted(at, own["to_s"].clip(upper=at[-1])), -own["learners"])
        heights.append(np.cumsum(change))
    colours = ["0.75" if kind == OTHERS else f"C{i}" for i, kind in enumerate(kinds)]
    ax.stackplot(at / unit_s, heights, labels=[plain_text(str(kind)) for kind in kinds], colors=colours, step="post", lw=0)
    ax.axhline(learners, color="0.3", lw=1.0, ls="--")
    ax.set(xlabel=f"time ({unit})", ylabel="learners in use", ylim=(0.0, 1.05 * learners))
    ax.margins(x=0.0)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, reverse=True)
    return ax


def plot_completion_times(rows: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw which part of the jobs has ended so long after its arrival, a line for each policy.

    Parameters
    ----------
    rows : DataFrame
        policy and completion_s of each job.
    ax : Axes, optional
        Where to draw.
    """
    ax = axes_to_draw_in(ax)
    unit_s, unit = time_unit(float(rows["completion_s"].median()))
    for i, (policy, own) in enumerate(rows.groupby("policy", sort=False)):
        times = own["completion_s"].sort_values().to_numpy() / unit_s
        over = [(k + 1) / len(times) for k in range(len(times))]
        ax.step(times, over, where="post", color=f"C{i}", ls=LINES[i % len(LINES)], label=str(policy))
        ax.plot([times.mean()], [0.0], marker="^", color=f"C{i}", clip_on=False, ls="none", zorder=5)
    ax.set(xlabel=f"completion time ({unit}); triangles: means", ylabel="part of the jobs that have ended", ylim=(0.0, 1.02))
    ax.set_xscale("log")
    ax.legend(loc="lower right" if len(rows) else "best")
    return ax


def draw_allocation(folder: Path, run: dict[str, Any]) -> list[Path]:
    """Draw the figures of a saved `allocate` into its folder and return their files.

    Parameters
    ----------
    folder : Path
        What `allocate` wrote.
    run : dict
        Its run.json: learners, policy.
    """
    import matplotlib.pyplot as plt

    rows = read_table(folder / "rows.csv", ("completion_s",))
    figure, ax = plt.subplots()
    plot_completion_times(rows[rows["borrowed_in"]], ax).set(title="How long jobs take")
    written = [save_figure(figure, folder / "figure_completion.png")]
    if not (folder / "parts.csv").is_file():
        return written
    parts = read_table(folder / "parts.csv", ("from_s", "to_s", "learners"))
    parts = parts[(parts["day"] == parts["day"].iloc[0]) & parts["borrowed_in"]]
    policies = list(dict.fromkeys(parts["policy"]))
    figure, axes = plt.subplots(
        len(policies), 1, sharex=True, figsize=(8.4, 1.4 + 2.2 * len(policies)), squeeze=False, layout="constrained"
    )
    layers = layers_of(parts)
    for policy, ax in zip(policies, axes[:, 0], strict=True):
        plot_learners_in_use(parts[parts["policy"] == policy], run["learners"], ax, layers=layers)
        ax.set(title=f"{policy}, {parts['day'].iloc[0]}")
        if policy != policies[-1]:
            ax.set(xlabel="")
        if policy != policies[0]:
            ax.get_legend().remove()
    written.append(save_figure(figure, folder / "figure_allocation.png"))
    return written
