"""What all figures share: style, new axes where none are given, plain ticks, files that are the same for the same run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.messages import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["STYLE", "axes_to_draw_in", "plain_text", "plain_ticks", "save_figure"]

LONGEST = 60
"""Characters of a name that a legend has room for."""
STYLE = Path(__file__).with_name("learnersim.mplstyle")


def axes_to_draw_in(ax: Axes | None) -> Axes:
    """Return the axes given, else new ones."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    axes: Axes = plt.subplots()[1]
    return axes


def plain_ticks(ax: Axes, *, x: bool = True, y: bool = True) -> None:
    """Write the ticks of logarithmic axes as plain numbers, a few in every decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, wanted in ((ax.xaxis, x), (ax.yaxis, y)):
        if not wanted:
            continue
        low, high = axis.get_view_interval()
        decades = max(high / low, 1.0)
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 1e3 else (1.0,), numticks=12))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())


def plain_text(name: str) -> str:
    r"""Return a name of the user's as a figure shows it as it stands: no formula between two $, never left out of a legend.

    Examples
    --------
    >>> plain_text("_between $5 and $6")
    ' _between \\$5 and \\$6'
    """
    text = printable(name) if len(name) <= LONGEST else printable(name[: LONGEST - 3]) + "..."
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def save_figure(figure: Figure | SubFigure, path: Path) -> Path:
    """Save a figure without dates or versions in it, so that the same run gives the same bytes, and close it."""
    import matplotlib.pyplot as plt

    whole = figure.get_figure(root=True)
    assert whole is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a user's own name in another script
        whole.savefig(path, metadata={"Software": None})
    plt.close(whole)
    return path
