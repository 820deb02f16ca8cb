"""The 90 % intervals of the shipped scenarios against published runs that entered no fit."""

from __future__ import annotations

import csv
import math
import warnings
from pathlib import Path

import pytest

from simulator.scenarios import Case, load_scenario
from simulator.scenarios.effects import converge_interval90

MEASUREMENTS = Path(__file__).parents[2] / "scenarios" / "measurements"
RUNS = MEASUREMENTS / "resnet50_a100_mlperf.csv"


def test_the_interval_holds_published_runs_but_for_two_known_ones() -> None:
    shipped = load_scenario("resnet50-a100")
    missed = []
    with RUNS.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["used_for"] == "check"]
    assert len(rows) == 9
    for row in rows:
        learners, batch, published_s = int(row["learners"]), float(row["batch_samples"]), float(row["converge_time_s"])
        scenario = shipped.with_value("cluster.nodes", math.ceil(learners / 8))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            interval = converge_interval90(scenario, Case.of(scenario), Case.of, batch, learners)
        assert interval is not None
        low, high = interval.one_run
        assert high / low < 1.5  # an interval that is wide enough to hold anything would prove nothing
        if not low <= published_s <= high:
            missed.append((row["submitter"], learners))
    # 7 of 9: a 90 % interval holds 7 or more of 9 with probability 0.95; what HPE's two runs waited for is not published
    assert sorted(missed) == [("HPE", 32), ("HPE", 64)]


PRESETS = {
    # BERT: 6 of 12. What misses: NVIDIA's own software of v1.0 (steps 12 % longer), and runs that took 7 to 36 % more updates
    # than the law says besides longer steps.
    "bert-a100": [("H3C", 16), ("HPE", 16), ("HPE", 32), ("HPE", 128), ("NVIDIA", 8), ("NVIDIA", 64)],
    # RetinaNet: 5 of 6, all of them too fast: v2.0, the first round with this model.
    "retinanet-a100": [("NVIDIA", 1280)],
    # GPT-3 and DLRM: 2 of 2 and 3 of 3, all of them too fast by the evaluation and start-up that the steps do not contain.
    "gpt3-h100": [],
    "dlrm-h100": [],
}


@pytest.mark.parametrize("name", PRESETS)
def test_the_interval_of_a_preset_and_the_published_runs_that_it_misses(name: str) -> None:
    shipped = load_scenario(name)
    missed = []
    with (MEASUREMENTS / f"{name.replace('-', '_')}_mlperf.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["used_for"] == "check"]
    for row in rows:
        learners, batch, published_s = int(row["learners"]), float(row["batch_samples"]), float(row["converge_time_s"])
        scenario = shipped.with_value("cluster.nodes", int(row["nodes"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            interval = converge_interval90(scenario, Case.of(scenario), Case.of, batch, learners)
        assert interval is not None
        low, high = interval.one_run
        assert high / low < 3.2  # the widest are RetinaNet's at one image a GPU, two thirds of an update the reduce law
        if not low <= published_s <= high:
            missed.append((row["submitter"], learners))
    assert sorted(missed) == PRESETS[name]
