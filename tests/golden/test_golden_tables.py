"""Small tables from the shipped scenarios, kept as CSV and read as a diff: what changed, not what is right.

Regenerate on purpose: `python -m pytest tests/golden --force-regen`.
"""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
from pytest_regressions.dataframe_regression import DataFrameRegressionFixture

from simulator.scenarios import Case, load_scenario
from simulator.studies.answer import answer
from simulator.studies.scaling import scaling

CASES = [
    ("resnet50-a100", None), ("resnet50-k80", None), ("resnet50-k80", "ring all-reduce"), ("bert-a100", None),
    ("retinanet-a100", None), ("gpt3-h100", None), ("dlrm-h100", None),
    ("resnet50-a100-fat-tree", None),
]  # fmt: skip
LEARNERS = [1, 2, 8, 16, 64]
# The last digits may differ between releases of NumPy: a golden number is compared to ten.
TOLERANCE = {"rtol": 1e-10, "atol": 0.0}


def stem(scenario: str, option: str | None) -> str:
    return "_".join([scenario, *(option or "").split()]).replace("-", "_")


@pytest.mark.parametrize(("scenario", "option"), CASES)
def test_run_answers_as_before(scenario: str, option: str | None, dataframe_regression: DataFrameRegressionFixture) -> None:
    case = Case.of(load_scenario(scenario, option=option))
    rows = []
    for learners in LEARNERS:
        found = dataclasses.asdict(answer(case.model, case.limits, learners=learners))
        low, high = found.pop("flat_range_samples")
        shares = {f"share_{name}": value for name, value in found.pop("shares").items()}
        words = {name: str(found[name]) for name in ("bound", "branch", "bottleneck")}
        rows.append({**found, **words, "flat_low_samples": low, "flat_high_samples": high, **shares})
    table = pd.DataFrame(rows).astype(dict.fromkeys(words, object))
    dataframe_regression.check(table, basename=f"run_{stem(scenario, option)}", default_tolerance=TOLERANCE)


@pytest.mark.parametrize(("scenario", "option"), CASES)
def test_scale_answers_as_before(scenario: str, option: str | None, dataframe_regression: DataFrameRegressionFixture) -> None:
    case = Case.of(load_scenario(scenario, option=option), rounding="exact")
    table = pd.DataFrame([dataclasses.asdict(row) for row in scaling(case.model, case.limits, LEARNERS).rows])
    dataframe_regression.check(table, basename=f"scale_{stem(scenario, option)}", default_tolerance=TOLERANCE)
