from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from simulator.plots import draw_run, plot_scaling, plot_time_to_converge, plot_update
from simulator.tables import label, read_table
from tests.support import SCENARIO, command, written

mpl.use("Agg")


@pytest.fixture
def axes() -> Iterator[Any]:
    import matplotlib.pyplot as plt

    yield plt.subplots()[1]
    plt.close("all")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plots")
    scenario = written(folder, SCENARIO)
    for verb in ("run", "scale"):
        assert command(verb, scenario, "--out", folder / verb).status == 0
    return folder


def run_of(folder: Path) -> Any:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_the_curve_is_the_table_and_the_answer_lies_on_it(saved: Path, axes: Any) -> None:
    table, answer = read_table(saved / "run" / "batch.csv"), run_of(saved / "run")
    drawn: Any = plot_time_to_converge(table, answer, axes)
    assert drawn is axes
    curve, marker = ((np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.get_lines())
    np.testing.assert_array_equal(curve[0], table["batch_samples"])
    np.testing.assert_array_equal(curve[1], table["converge_time_s"])
    assert (marker[0][0], marker[1][0]) == (256.0, answer["converge_time_s"])
    assert curve[1].min() >= answer["converge_time_s"] * (1 - 1e-9)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_xlabel() == label("batch_samples") == "batch (all learners), samples"
    assert axes.get_ylabel() == label("converge_time_s") == "time to converge (s)"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["within 5 % of the best", "model", "answer: 256 samples, 100 s"]
    assert "16 learners" in axes.get_title()


def test_the_flat_range_and_the_interval_are_drawn(saved: Path, axes: Any) -> None:
    table, answer = read_table(saved / "run" / "batch.csv"), run_of(saved / "run")
    answer["converge_time_s_interval90"] = [90.0, 120.0]
    plot_time_to_converge(table, answer, axes)
    low, high = answer["flat_range_samples"]
    (span,) = axes.patches
    corners = span.get_extents().transformed(axes.transData.inverted())
    assert (corners.x0, corners.x1) == (pytest.approx(low), pytest.approx(high))
    (band,) = axes.collections
    drawn = band.get_paths()[0].vertices
    assert drawn[:, 1].min() == pytest.approx(table["converge_time_s"].min() * 0.9)
    assert drawn[:, 1].max() == pytest.approx(table["converge_time_s"].max() * 1.2)


def test_updates_fall_and_update_time_grows(saved: Path, axes: Any) -> None:
    table, answer = read_table(saved / "run" / "batch.csv"), run_of(saved / "run")
    plot_update(table, answer, axes)
    (right,) = [other for other in axes.figure.axes if other is not axes]
    updates, marker = axes.get_lines()
    update, reduce = right.get_lines()
    np.testing.assert_array_equal(updates.get_ydata(), table["updates"])
    np.testing.assert_array_equal(update.get_ydata(), table["update_time_s"])
    np.testing.assert_array_equal(reduce.get_ydata(), table["reduce_time_s"])
    assert marker.get_xdata()[0] == 256.0
    assert axes.get_ylabel() == "updates to converge"
    assert right.get_ylabel() == "seconds per update"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["updates to converge", "time per update (s)", "reducing per update (s)", "answer"]


@pytest.mark.parametrize(
    ("column", "y_label", "scale"),
    [("converge_time_s", "time to converge (min)", "log"), ("efficiency", "efficiency", "linear")],
)
def test_the_three_scalings_are_three_lines(saved: Path, axes: Any, column: str, y_label: str, scale: str) -> None:
    table = read_table(saved / "scale" / "scaling.csv")
    plot_scaling(table, column, axes)
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == ["strong", "weak", "optimal"]
    for kind, line in lines.items():
        rows = table[(table["scaling"] == kind) & table[column].notna()]
        np.testing.assert_array_equal(line.get_xdata(), rows["learners"])
        np.testing.assert_array_equal(line.get_ydata(), rows[column] / (60.0 if column == "converge_time_s" else 1.0))
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("learners", y_label, scale)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "8", "16"]


def test_a_missing_time_is_a_gap(axes: Any) -> None:
    table = pd.DataFrame(
        {
            "learners": [1, 2, 4] * 3,
            "scaling": ["strong"] * 3 + ["weak"] * 3 + ["optimal"] * 3,
            "converge_time_s": [None, 5.0, 4.0, 9.0, 6.0, 5.0, 9.0, 5.0, 3.0],
        }
    )
    plot_scaling(table, "converge_time_s", axes)
    assert list(axes.get_lines()[0].get_xdata()) == [2, 4]


def test_a_plot_makes_its_own_axes_where_none_are_given(saved: Path) -> None:
    import matplotlib.pyplot as plt

    ax = plot_scaling(read_table(saved / "scale" / "scaling.csv"))
    assert ax.get_lines()
    plt.close("all")


@pytest.mark.parametrize(
    ("verb", "figures"),
    [("run", ["figure_time_to_converge.png", "figure_update.png"]), ("scale", ["figure_scaling.png"])],
)
def test_a_saved_run_is_drawn_into_its_folder(saved: Path, verb: str, figures: list[str]) -> None:
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    written_files = draw_run(saved / verb, run_of(saved / verb))
    assert [path.name for path in written_files] == figures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written_files)
    assert not plt.get_fignums()
    assert dict(mpl.rcParams) == before
    found = command("plot", saved / verb, "--json")
    assert found.status == 0
    assert found.answer["figures"] == [str(path) for path in written_files]


@pytest.mark.parametrize("text", ["", "batch_samples\n1\n", "\0", "batch_samples,converge_time_s\nx,y\n"])
def test_a_broken_table_is_an_error_of_the_file(saved: Path, tmp_path: Path, text: str) -> None:
    written(tmp_path, (saved / "run" / "run.json").read_text(encoding="utf-8"), "run.json")
    written(tmp_path, text, "batch.csv")
    found = command("plot", tmp_path)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(str(tmp_path / "batch.csv"))


def test_names_stand_in_a_figure_as_they_are_written() -> None:
    """What matplotlib draws is asked of its own objects: the formula parser off, the entry in the legend, no warning."""
    import matplotlib.pyplot as plt
    from matplotlib.text import Text

    from simulator.figures import plain_text

    for name in ("from $5_a$ to $6^b$", "_hidden", "an odd $ sign", "\u6f22\u5b57"):
        figure, ax = plt.subplots()
        ax.plot([1, 2], [1, 2], label=plain_text(name))
        [entry] = ax.legend().get_texts()
        drawn, is_formula = Text()._preprocess_math(entry.get_text())  # type: ignore[attr-defined]  # as the renderer sees it
        assert (drawn.strip(), is_formula) == (name, False)
        plt.close(figure)


def test_a_name_in_a_script_that_the_font_lacks_is_drawn_without_a_warning(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    from simulator.figures import save_figure

    figure, ax = plt.subplots()
    ax.set_title("\u6f22\u5b57")
    assert save_figure(figure, tmp_path / "a.png").is_file()  # warnings are errors here
