"""Figures of a simulation show what its tables hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from simulator.simulation_plots import SPAN_COLOURS, plot_runs, plot_timeline
from tests.support import SCENARIO, command, written

mpl.use("Agg")


@pytest.fixture
def axes() -> Iterator[Any]:
    import matplotlib.pyplot as plt

    yield plt.subplots()[1]
    plt.close("all")


def test_the_runs_are_steps_that_end_at_one(axes: Any) -> None:
    times = {"mean": 250.0, "lo": 240.0, "hi": 260.0, "p5": 210.0, "p95": 290.0}
    runs = pd.DataFrame({"converge_time_s": [300.0, 200.0, 250.0]})
    plot_runs(runs, {"converge_time_s": times, "closed_form_s": 180.0}, axes)
    steps, mean, closed = axes.get_lines()
    assert np.asarray(steps.get_xdata()).tolist() == pytest.approx([200 / 60, 200 / 60, 250 / 60, 300 / 60])  # minutes
    assert np.asarray(steps.get_ydata()).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert (mean.get_xdata()[0], closed.get_xdata()[0]) == (pytest.approx(250 / 60), pytest.approx(3.0))
    assert axes.get_xlabel() == "time to converge (min)"


def test_a_single_run_has_no_interval_of_the_mean(axes: Any) -> None:
    times = {"mean": 250.0, "lo": None, "hi": None, "p5": 250.0, "p95": 250.0}
    plot_runs(pd.DataFrame({"converge_time_s": [250.0]}), {"converge_time_s": times, "closed_form_s": 250.0}, axes)
    assert "mean, 90 %" not in [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_timeline_has_a_row_for_each_process_and_a_bar_for_each_span(axes: Any) -> None:
    spans = pd.DataFrame(
        [
            {"process": "learner 0", "name": "compute", "start_s": 10.0, "end_s": 11.0, "update": 1},
            {"process": "learner 0", "name": "compute", "start_s": 12.0, "end_s": 13.0, "update": 2},
            {"process": "network", "name": "reduce", "start_s": 11.0, "end_s": 12.0, "update": 1},
        ]
    )
    plot_timeline(spans, axes)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["learner 0", "network"]
    bars = [path.get_extents() for collection in axes.collections for path in collection.get_paths()]
    assert [(bar.x0, bar.x1, round(bar.y0 + 0.4)) for bar in bars] == [(0.0, 1.0, 0), (2.0, 3.0, 0), (1.0, 2.0, 1)]
    assert [text.get_text() for text in axes.texts] == ["update 1", "update 2"]
    assert len(set(SPAN_COLOURS.values())) == len(SPAN_COLOURS)


def test_jobs_have_panels_of_their_own_and_few_runs_no_distribution(tmp_path: Path) -> None:
    jobs = "".join(f'[[job]]\nname = "{name}"\nworkload = "demo"\nlearners = 4\n' for name in ("a", "b"))
    path = written(
        tmp_path, f'{SCENARIO}\n[simulate]\nreplications = 2\n[simulate.noise]\nkind = "lognormal"\nrelative_sd = 0.1\n{jobs}'
    )
    out = tmp_path / "out"
    assert command("simulate", path, "--out", out, "--figures").status == 0
    assert {found.name for found in out.glob("*.png")} == {"figure_timeline.png"}
    assert command("simulate", path, "--out", out, "--figures", "--force", "--replications", "3").status == 0
    assert {found.name for found in out.glob("*.png")} == {"figure_timeline.png", "figure_simulation.png"}


def test_a_folder_without_its_tables_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, SCENARIO)
    out = tmp_path / "out"
    assert command("simulate", path, "--out", out).status == 0
    (out / "replications.csv").unlink()
    found = command("plot", out)
    assert (found.status, found.lines) == (1, [f"{out / 'replications.csv'}: cannot be read: No such file or directory"])
    (out / "run.json").write_text('{"command": "simulate"}', encoding="utf-8")
    found = command("plot", out)
    assert (found.status, found.lines) == (1, [f"{out / 'run.json'}: must hold the rows of a simulation"])
