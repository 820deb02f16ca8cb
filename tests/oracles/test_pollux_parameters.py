"""The shipped Pollux workloads are what the shipped measurements give, and how well they give them back."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.oracles.derive_pollux_parameters import (
    BORROWED,
    GRADIENT_BYTES,
    MEASURED,
    PARAMETERS,
    REDUCE,
    STEPS_CSV,
    bert_base_parameters,
    by_bytes,
    fit_law,
    fit_steps,
    one_gpu,
    resnet18_parameters,
    update_time_s,
    yolov3_parameters,
)
from tests.oracles.derive_shipped_parameters import column, read_rows
from tests.oracles.written import entry, value, written
from tests.support import SCENARIOS

Derived = list[tuple[str, str, str, float]]


def file_of(workload: str) -> str:
    return f"workloads/pollux-{workload}"


def law_numbers(workload: str) -> Derived:
    law, file, fit = fit_law(workload), file_of(workload), "convergence/fit"
    return [
        (file, "convergence/n_inf_updates", "value", law.n_inf_updates),
        (file, "convergence/alpha_samples", "value", law.alpha_samples),
        (file, f"{fit}/batch_samples_range/0", "value", law.batch_samples_range[0]),
        (file, f"{fit}/batch_samples_range/1", "value", law.batch_samples_range[1]),
        (file, f"{fit}/relative_standard_errors/0", "value", law.relative_standard_errors[0]),
        (file, f"{fit}/relative_standard_errors/1", "value", law.relative_standard_errors[1]),
        (file, f"{fit}/correlation", "value", law.correlation),
        (file, f"{fit}/discrepancy_relative", "value", law.discrepancy_relative),
    ]


def step_numbers(workload: str) -> Derived:
    fit, file = fit_steps(workload), file_of(workload)
    places = {name: f"reduce/{name}" if name in REDUCE else f"compute/t4/{name}" for name in PARAMETERS[:-1]}
    found: Derived = [(file, "reduce/overlap/exponent", "value", fit.exponent)]
    for name, path in places.items():
        low, high = fit.ranges[name]
        found += [(file, path, "value", getattr(fit, name)), (file, path, "low", low), (file, path, "high", high)]
    return found


def borrowed_numbers(workload: str) -> Derived:
    fit, file, line = by_bytes(workload), file_of(workload), one_gpu(workload)
    found: Derived = [(file, "reduce/overlap/exponent", "value", fit.exponent)]
    for name in REDUCE:
        low, high = fit.ranges[name]
        path = f"reduce/{name}"
        found += [(file, path, "value", getattr(fit, name)), (file, path, "low", low), (file, path, "high", high)]
    found += [(file, f"compute/t4/{name}", "value", float(line[name])) for name in ("constant_s", "gamma_s_per_sample")]
    return [*found, (file, "compute/t4/max_local_samples", "value", float(line["local_samples_max"]))]


def numbers() -> Derived:
    found: Derived = []
    for workload in (*MEASURED, "ncf"):
        found += law_numbers(workload)
    for workload in MEASURED:
        found += step_numbers(workload)
    for workload in BORROWED:
        found += borrowed_numbers(workload)
    found += [(file_of(workload), "gradient_bytes", "value", float(size)) for workload, size in GRADIENT_BYTES.items()]
    return found


@pytest.mark.parametrize("workload", [*MEASURED, *BORROWED])
def test_every_number_is_the_derived_one_to_its_last_digit(workload: str) -> None:
    mine = [(path, part, number) for file, path, part, number in numbers() if file == file_of(workload)]
    assert len(mine) > 10
    for path, part, number in mine:
        shipped, half_a_digit = written(file_of(workload), path, part)
        # and what the optimiser leaves open: it stops where the sum of squares changes by 1e-13, a parameter by about 3e-7
        assert abs(shipped - number) <= half_a_digit * (1 + 1e-9) + 1e-6 * abs(number), (path, part, shipped, number)


def test_imagenet_takes_its_updates_from_the_workload_that_it_names() -> None:
    for path in ("convergence/n_inf_updates", "convergence/alpha_samples", "convergence/fit/discrepancy_relative"):
        assert value(file_of("imagenet"), path) == value("workloads/resnet50-mlperf", path)


def test_sizes_of_models_are_those_that_are_known() -> None:
    # kuangliu/pytorch-cifar ResNet-18; bert-base-uncased without its pooler, with two outputs; YOLOv3 for COCO's 80 classes
    assert resnet18_parameters() == 11_173_962
    assert bert_base_parameters() == 108_893_186
    assert yolov3_parameters(80) == 61_949_149


@pytest.mark.parametrize("workload", MEASURED)
def test_what_the_files_say_of_the_fit_is_so(workload: str) -> None:
    text = " ".join((SCENARIOS / f"{file_of(workload)}.toml").read_text(encoding="utf-8").replace("\n# ", " ").split())
    fit = fit_steps(workload)
    assert f"to {fit.points} steps on 1 to 64 GPUs" in text
    assert f"rms {100 * fit.rms:.0f} %, half of the steps within {100 * fit.median:.1f} %" in text
    found = re.search(r"n_inf_updates = [0-9.]+ # standard error ([0-9.]+) %", text)
    assert found is not None
    assert float(found[1]) == pytest.approx(100 * fit_law(workload).relative_standard_errors[0], rel=0.05)


@pytest.mark.parametrize(
    ("workload", "median", "worst"),
    # measured with the shipped numbers: median error, and that of the number of GPUs that is off most
    [("cifar10", 0.063, 0.40), ("deepspeech2", 0.061, 0.15), ("yolov3", 0.085, 0.25), ("bert", 0.074, 0.41)],
)
def test_how_well_the_laws_give_the_steps_back(workload: str, median: float, worst: float) -> None:
    rows = [row for row in read_rows(STEPS_CSV) if row["workload"] == workload]
    m, P, N, T = (column(rows, name) for name in ("local_samples", "learners", "nodes", "update_time_s"))
    places = [f"compute/t4/{name}" for name in PARAMETERS[:2]] + [f"reduce/{name}" for name in REDUCE]
    logs = np.log(
        [*(value(file_of(workload), place) for place in places), value(file_of(workload), "reduce/overlap/exponent") - 1]
    )
    errors = np.log(update_time_s(logs, m, P, N) / T)
    assert float(np.median(np.abs(errors))) < median
    assert max(abs(float(np.median(errors[one == P]))) for one in np.unique(P)) < worst


def test_the_borrowed_ones_say_so() -> None:
    for path in sorted((SCENARIOS / "workloads").glob("pollux-*.toml")):
        borrowed = path.stem.removeprefix("pollux-") in BORROWED
        assert ("borrowed" in path.read_text(encoding="utf-8")) == borrowed, path
        assert entry(f"workloads/{path.stem}", "reduce/node") == "aws-g4dn.12xlarge"
