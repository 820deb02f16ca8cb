"""The T4 cluster whose step times were published: fitted up to some GPUs, the errors on more GPUs, beside three rivals.

The bars are what the project set out to reach on these measurements (mean error 7 %, no workload above 11.5 %, a bias within
3 % together and 8 % each, median hi/lo 1.5); AdaptDL's form, the paper's law and affine + two-tier ring were published with 15,
9 and 7.3 %. A limit of
8 GPUs is held to the same mean: nothing may depend on where the table is cut.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from simulator.calibration.step_time_tables import StepTimeTable, read_step_times
from simulator.validation.rows import Validation
from simulator.validation.step_time import STEP_TIMES, validate_step_times
from simulator.validation.step_time_rivals import RIVALS

WORKLOADS = ("bert", "cifar10", "deepspeech2", "yolov3")


@cache
def validated(fit_up_to: int) -> Validation:
    table = read_step_times(STEP_TIMES)
    cluster = StepTimeTable(series=tuple(one for one in table.series if one.name.startswith("pollux")), skipped={})
    return validate_step_times(cluster, fit_up_to=fit_up_to)


def errors(fit_up_to: int, quantity: str = "step_time_s") -> dict[str, np.ndarray]:
    cases = [case for case in validated(fit_up_to).predictions if case.quantity == quantity]
    return {name: np.array([case.error for case in cases if case.group.endswith(name)]) for name in WORKLOADS}


@pytest.mark.slow
def test_up_to_16_gpus_fitted_the_errors_above_are_small_and_centred() -> None:
    found = errors(16)
    assert {name: len(error) for name, error in found.items()} == {"bert": 100, "cifar10": 160, "deepspeech2": 90, "yolov3": 60}
    mean = {name: float(np.mean(np.abs(error))) for name, error in found.items()}
    assert np.mean(list(mean.values())) < 0.07
    assert max(mean.values()) < 0.115
    assert abs(float(np.mean([np.mean(error) for error in found.values()]))) < 0.03
    assert max(abs(float(np.mean(error))) for error in found.values()) < 0.08


@pytest.mark.slow
def test_intervals_hold_what_was_measured_and_are_narrow() -> None:
    summary = validated(16).summary()["all"]
    low, high = summary["coverage90_binomial95"]
    assert low <= summary["coverage90"] <= high
    assert summary["median_ratio90"] < 1.5


@pytest.mark.slow
def test_rivals_have_the_errors_that_were_published() -> None:
    published = {"adaptdl": 0.15, "knee_log": 0.09, "affine_ring": 0.073}
    for name, error in published.items():
        own = np.mean([np.mean(np.abs(found)) for found in errors(16, name).values()])
        assert own == pytest.approx(error, abs=0.003), name  # digits that were published


@pytest.mark.slow
def test_half_of_the_gpus_predict_as_well_and_better_than_any_rival() -> None:
    own = np.mean([np.mean(np.abs(found)) for found in errors(8).values()])
    assert own < 0.07
    assert own < min(np.mean([np.mean(np.abs(e)) for e in errors(8, name).values()]) for name in RIVALS)
