"""The shipped BERT, RetinaNet, GPT-3 and DLRM parameters are what the shipped measurements give, and how well they predict.

The closed forms are written out here once more, so the test does not lean on the package.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls

from tests.oracles.derive_preset_parameters import (
    BERT_A100_CSV,
    BERT_H100_CSV,
    DLRM_H100_CSV,
    GPT3_ACCELERATORS_PER_LEARNER,
    GPT3_H100_CSV,
    RCP_CSVS,
    RESNEXT_STAGES,
    RETINANET_A100_CSV,
    RETINANET_H100_CSV,
    SIZES,
    Size,
    bert_h100,
    dlrm_table_bytes,
    fit_bert_a100,
    fit_dlrm,
    fit_gpt3,
    fit_retinanet_a100,
    geometric_mean,
    resnext50,
    retinanet_h100,
    retinanet_without,
    rows_for,
    steps_of,
    utilisations,
)
from tests.oracles.derive_shipped_parameters import FloatArray, UpdatesFit, fit_updates_law, read_rows
from tests.oracles.written import entry, value, written

Derived = list[tuple[str, str, str, float]]
WORKLOADS = {name: f"workloads/{name}-mlperf" for name in SIZES}


@cache
def law_of(name: str) -> UpdatesFit:
    return fit_updates_law(RCP_CSVS[name])


def law_numbers(name: str) -> Derived:
    law, file = law_of(name), WORKLOADS[name]
    return [
        (file, "convergence/n_inf_updates", "value", law.n_inf_updates),
        (file, "convergence/alpha_samples", "value", law.alpha_samples),
        (file, "convergence/fit/batch_samples_range/0", "value", law.batch_samples_range[0]),
        (file, "convergence/fit/batch_samples_range/1", "value", law.batch_samples_range[1]),
        (file, "convergence/fit/relative_standard_errors/0", "value", law.relative_standard_errors[0]),
        (file, "convergence/fit/relative_standard_errors/1", "value", law.relative_standard_errors[1]),
        (file, "convergence/fit/correlation", "value", law.correlation),
        (file, "convergence/fit/discrepancy_relative", "value", law.discrepancy_relative),
        (file, "convergence/fit/run_to_run_relative", "value", law.run_to_run_relative),
    ]


def a100_numbers() -> Derived:
    found: Derived = []
    for name, fit in (("bert", fit_bert_a100()), ("retinanet", fit_retinanet_a100())):
        file, table = WORKLOADS[name], "compute/a100-sxm-80"
        for path, number, interval in (
            (f"{table}/gamma_s_per_sample", fit.gamma_s_per_sample, fit.gamma_interval_s),
            (f"{table}/knee_samples", fit.knee_samples, fit.knee_interval_samples),
        ):
            found += [(file, path, part, x) for part, x in zip(("value", "low", "high"), (number, *interval), strict=True)]
        for path, number, interval in (
            ("reduce/node_jump_s", fit.node_jump_s, fit.node_jump_interval_s),
            ("reduce/per_doubling_s", fit.per_doubling_s, fit.per_doubling_interval_s),
        ):
            scenario = f"{name}-a100"
            found += [(scenario, path, part, x) for part, x in zip(("value", "low", "high"), (number, *interval), strict=True)]
        for table in ("compute/h100-sxm", "compute/from_flops"):
            found += [
                (file, f"{table}/knee_samples", part, x)
                for part, x in zip(("value", "low", "high"), (fit.knee_samples, *fit.knee_interval_samples), strict=True)
            ]
    return found


def h100_numbers() -> Derived:
    found: Derived = []
    for name, few in (("bert", bert_h100()), ("retinanet", retinanet_h100())):
        path = "compute/h100-sxm/gamma_s_per_sample"
        numbers = (few.gamma_s_per_sample, few.low_s_per_sample, few.high_s_per_sample)
        found += [(WORKLOADS[name], path, part, x) for part, x in zip(("value", "low", "high"), numbers, strict=True)]
    gpt3, dlrm = fit_gpt3(), fit_dlrm()
    for file, path, number, interval in (
        (WORKLOADS["gpt3"], "compute/h100-sxm/constant_s", gpt3.constant_s, gpt3.constant_range_s),
        (WORKLOADS["gpt3"], "compute/h100-sxm/gamma_s_per_sample", gpt3.gamma_s_per_sample, gpt3.gamma_range_s),
        ("gpt3-h100", "reduce/per_doubling_s", 0.0, (0.0, gpt3.per_doubling_high_s)),
        (WORKLOADS["dlrm"], "compute/h100-sxm/gamma_s_per_sample", dlrm.gamma_s_per_sample, dlrm.gamma_range_s),
        ("dlrm-h100", "reduce/node_jump_s", dlrm.node_jump_s, dlrm.node_jump_range_s),
    ):
        found += [(file, path, part, x) for part, x in zip(("value", "low", "high"), (number, *interval), strict=True)]
    return found


def utilisation_numbers() -> Derived:
    shares, path = utilisations(), "compute/from_flops/utilisation"
    found: Derived = []
    for name in ("bert", "retinanet"):
        own = shares[name]
        numbers = (geometric_mean([own["a100-sxm-80"], own["h100-sxm"]]), min(own.values()), max(own.values()))
        found += [(WORKLOADS[name], path, part, x) for part, x in zip(("value", "low", "high"), numbers, strict=True)]
    runs = [shares["gpt3"][key] for key in ("h100-sxm", "a100-sxm-80 1024", "a100-sxm-80 12288")]
    numbers = (geometric_mean(runs), min(runs), max(runs))
    found += [(WORKLOADS["gpt3"], path, part, x) for part, x in zip(("value", "low", "high"), numbers, strict=True)]
    found.append((WORKLOADS["dlrm"], path, "value", shares["dlrm"]["h100-sxm"]))
    return found


def test_shipped_numbers_are_the_derived_ones_to_the_digits_written() -> None:
    numbers = [number for name in SIZES for number in law_numbers(name)]
    numbers += a100_numbers() + h100_numbers() + utilisation_numbers()
    numbers += [
        (WORKLOADS[name], "train_flop_per_sample", "value", size().train_flop_per_sample) for name, size in SIZES.items()
    ]
    assert len(numbers) > 80
    wrong = []
    for file, path, part, derived in numbers:
        number, half_unit = written(file, path, part)
        if abs(number - derived) > half_unit * 1.001:
            wrong.append(f"{file}: {path} {part}: written {number:g}, derived {derived:g}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", SIZES)
def test_gradients_are_those_of_the_published_shapes(name: str) -> None:
    assert entry(WORKLOADS[name], "gradient_bytes") == SIZES[name]().gradient_bytes


def test_published_counts_of_parameters_and_flop() -> None:
    # docs.pytorch.org/vision/stable/models, ResNeXt50_32X4D_Weights: 25 028 904 parameters, 4.23 GFLOPS (multiply-adds)
    parts = resnext50(224)
    norms = 64 + sum(blocks * (2 * width + out) + out for blocks, width, out in RESNEXT_STAGES)
    head = 2048 * 1000
    assert sum(weights for weights, _ in parts) + 2 * norms + head + 1000 == 25_028_904
    assert sum(multiply_adds for _, multiply_adds in parts) + head == pytest.approx(4.23e9, rel=0.002)
    # Devlin et al. 2018: 340 M; Brown et al. 2020: 175.0 B and 3.14e23 FLOP for 300 B tokens, a rule of 6 FLOP per parameter
    assert SIZES["bert"]().parameters == pytest.approx(340e6, rel=0.015)
    gpt3: Size = SIZES["gpt3"]()
    assert gpt3.parameters == pytest.approx(175e9, rel=0.005)
    assert gpt3.train_flop_per_sample / 2048 * 300e9 == pytest.approx(3.14e23, rel=0.05)
    # the dense part of DLRM-DCNv2 is a thousandth of what its tables hold
    assert dlrm_table_bytes() / 1e9 == pytest.approx(104.5, abs=0.05)
    assert SIZES["dlrm"]().gradient_bytes / dlrm_table_bytes() < 1e-3


def test_learners_of_gpt3_are_groups_of_32() -> None:
    assert {row["accelerators_per_learner"] for row in read_rows(GPT3_H100_CSV)} == {str(GPT3_ACCELERATORS_PER_LEARNER)}
    for row in read_rows(GPT3_H100_CSV):
        assert int(row["nodes"]) * 8 == int(row["learners"]) * GPT3_ACCELERATORS_PER_LEARNER
    for table in ("h100-sxm", "from_flops"):
        assert entry(WORKLOADS["gpt3"], f"compute/{table}/accelerators_per_learner") == GPT3_ACCELERATORS_PER_LEARNER
    assert entry("gpt3-h100", "cluster/accelerators_per_learner") == GPT3_ACCELERATORS_PER_LEARNER


@pytest.mark.parametrize(
    ("name", "table", "path", "use"),
    [
        ("bert", "a100-sxm-80", BERT_A100_CSV, "fit"),
        ("bert", "h100-sxm", BERT_H100_CSV, "range"),
        ("retinanet", "a100-sxm-80", RETINANET_A100_CSV, "fit"),
        ("retinanet", "h100-sxm", RETINANET_H100_CSV, "range"),
        ("dlrm", "h100-sxm", DLRM_H100_CSV, "fit"),
    ],
)
def test_largest_local_batches_are_those_of_the_rows(name: str, table: str, path: Path, use: str) -> None:
    largest = max(float(row["local_samples"]) for row in rows_for(path, use))
    assert value(WORKLOADS[name], f"compute/{table}/max_local_samples") == largest


def test_the_knee_of_dlrm_is_the_smallest_local_batch_that_ran() -> None:
    for table in ("h100-sxm", "from_flops"):
        assert value(WORKLOADS["dlrm"], f"compute/{table}/knee_samples") == fit_dlrm().smallest_local_samples


def test_fit_errors_and_correlations_named_in_the_comments() -> None:
    bert, retinanet, gpt3, dlrm = fit_bert_a100(), fit_retinanet_a100(), fit_gpt3(), fit_dlrm()
    assert (bert.rms, bert.rms_without_knee) == pytest.approx((0.017, 0.039), abs=0.0005)
    assert retinanet.rms == pytest.approx(0.018, abs=0.0005)
    assert (gpt3.rms, gpt3.correlation) == pytest.approx((0.0055, -0.85), abs=0.005)
    assert (dlrm.rms, dlrm.correlation) == pytest.approx((0.025, -0.48), abs=0.005)
    assert gpt3.earlier_constant_s == pytest.approx(0.434, abs=0.0005)
    assert gpt3.earlier_gamma_s_per_sample == pytest.approx(0.0924, abs=0.00005)
    assert gpt3.later_gamma_s_per_sample == pytest.approx(0.0757, abs=0.00005)


def test_utilisations_named_in_the_comments() -> None:
    shares = utilisations()
    assert shares["bert"] == pytest.approx(
        {"a100-sxm-80": 0.46, "h100-sxm": 0.41, "v100-sxm-16": 0.18, "a100-pcie-80": 0.34, "gaudi2": 0.37}, abs=0.006
    )
    assert shares["retinanet"] == pytest.approx({"a100-sxm-80": 0.45, "h100-sxm": 0.30, "a100-pcie-80": 0.41}, abs=0.006)
    # of fp8 on the H100, of bf16 on the A100
    assert shares["gpt3"]["h100-sxm"] == pytest.approx(0.41, abs=0.006)
    assert shares["dlrm"]["h100-sxm"] == pytest.approx(0.19, abs=0.005)


def test_what_the_bert_runs_say_of_other_shapes() -> None:
    steps = steps_of(rows_for(BERT_A100_CSV, "fit"))
    P, m, step_s = steps.learners, steps.local_samples, steps.step_s
    one, across, doublings = np.ones_like(m), (P > 8).astype(float), np.log2(P)

    def rms(*columns: FloatArray) -> tuple[float, FloatArray]:
        design = np.column_stack(columns) / step_s[:, None]
        solution, _ = nnls(design, one)
        return float(np.sqrt(np.mean((design @ solution - 1.0) ** 2))), solution

    error, solution = rms(m, one, across, doublings)  # a constant in place of the knee
    assert (error, solution[1]) == pytest.approx((0.032, 0.017), abs=0.0005)
    in_node = min(rms(np.maximum(m, knee), one, doublings)[0] for knee in np.arange(1.0, 15.0, 0.05))
    assert in_node == pytest.approx(0.021, abs=0.0005)


def test_retinanet_law_beyond_2560_images() -> None:
    law = law_of("retinanet")
    rows = {int(row["batch_samples"]): float(row["updates"]) for row in read_rows(RCP_CSVS["retinanet"])}
    assert (rows[2560], rows[4096]) == pytest.approx((3946, 4328), abs=0.5)
    assert law.n_inf_updates + law.alpha_samples / 4096 == pytest.approx(3830, abs=1)
    assert max(map(abs, law.signed_errors)) == pytest.approx(0.12, abs=0.005)


def test_retinanet_runs_of_hpe_from_those_of_the_others() -> None:
    errors = [100 * error for error in retinanet_without("HPE")]
    assert errors == pytest.approx([-0.7, -1.3, -3.5, -3.4, -4.7], abs=0.1)


@pytest.mark.parametrize(("path", "low", "high"), [(GPT3_H100_CSV, 1.09, 1.14), (DLRM_H100_CSV, 1.11, 1.22)])
def test_what_evaluation_and_start_up_add_to_the_training_steps(path: Path, low: float, high: float) -> None:
    added = [float(row["converge_time_s"]) / (float(row["updates"]) * float(row["update_time_s"])) for row in read_rows(path)]
    assert low < min(added) < max(added) < high


# Predictions by the shipped numbers, written out.


def node_log(scenario: str, learners: float, learners_per_node: int) -> float:
    """Return Delta(P) = in_node + node_jump*(P > g) + per_doubling*log2(P)."""
    if learners == 1:
        return 0.0
    across = value(scenario, "reduce/node_jump_s") if learners > learners_per_node else 0.0
    per_doubling_s = value(scenario, "reduce/per_doubling_s")
    return value(scenario, "reduce/in_node_s") + across + per_doubling_s * math.log2(learners)


def update_time_s(scenario: str, learners: float, local_samples: float) -> float:
    """Return T_Update by the shipped numbers."""
    name, chip = scenario.split("-")
    file, table = WORKLOADS[name], "compute/a100-sxm-80" if chip == "a100" else "compute/h100-sxm"
    gamma = value(file, f"{table}/gamma_s_per_sample")
    if name == "gpt3":
        compute_s = value(file, f"{table}/constant_s") + gamma * local_samples
    else:
        compute_s = gamma * max(local_samples, value(file, f"{table}/knee_samples"))
    return compute_s + node_log(scenario, learners, 1 if name == "gpt3" else 8)


def updates(name: str, batch_samples: float) -> float:
    """Return N_Update by the shipped numbers."""
    file = WORKLOADS[name]
    return value(file, "convergence/n_inf_updates") + value(file, "convergence/alpha_samples") / batch_samples


FILES = {
    "bert-a100": BERT_A100_CSV,
    "retinanet-a100": RETINANET_A100_CSV,
    "gpt3-h100": GPT3_H100_CSV,
    "dlrm-h100": DLRM_H100_CSV,
}


def errors(scenario: str, use: str) -> tuple[list[float], list[float]]:
    """Return predicted/published - 1 of the update and of the run, in per cent, row by row."""
    of_update, of_run = [], []
    for row in rows_for(FILES[scenario], use):
        step_s = update_time_s(scenario, float(row["learners"]), float(row["local_samples"]))
        of_update.append(100 * (step_s / float(row["update_time_s"]) - 1))
        run_s = step_s * updates(scenario.split("-")[0], float(row["batch_samples"]))
        of_run.append(100 * (run_s / float(row["converge_time_s"]) - 1))
    return of_update, of_run


# Signed errors in per cent, predicted over published, measured with the shipped numbers, in the order of the files.
UPDATE_ERRORS = {
    ("bert-a100", "fit"): [-2.9, 0.9, 1.9, -2.5, 1.3, 1.1, 1.2, -1.2, 1.4, -1.4],
    ("bert-a100", "check"): [-10.7, -14.8, -8.8, -3.3, -11.3, -6.1, -5.4, 2.8, -7.5, -8.8, -17.0, -19.5],
    ("retinanet-a100", "fit"): [0.7, -0.2, -0.1, -1.3, -0.6, 2.6, -1.5, 3.2, -2.9],
    ("retinanet-a100", "check"): [-1.7, -8.2, -6.2, -16.4, -9.5, -42.9],
    ("gpt3-h100", "fit"): [0.5, 0.2, -0.3, -1.0, 0.6, 0.0],
    ("gpt3-h100", "check"): [0.2, -3.5],
    ("gpt3-h100", "range"): [-8.2, -8.5, -10.0, -11.9, -12.6],
    ("dlrm-h100", "fit"): [0.4, -2.0, -2.4, 3.8],
    ("dlrm-h100", "check"): [-2.2, -2.9, 0.5],
    ("dlrm-h100", "range"): [-6.9, -6.8, -17.3, -35.8],
}
RUN_ERRORS = {
    ("bert-a100", "fit"): [-15.5, -7.7, 0.2, -11.3, -8.5, 7.2, 3.3, 9.3, -1.2, 0.2],
    ("bert-a100", "check"): [-21.3, -20.7, -16.6, -28.9, -20.3, -13.3, -12.7, 8.3, -13.1, -20.2, -12.0, -17.1],
    ("retinanet-a100", "fit"): [1.1, -4.6, -7.2, -0.9, -0.1, 3.0, -1.1, -3.9, 4.5],
    ("retinanet-a100", "check"): [-1.2, -7.8, -5.7, -16.0, -9.1, -48.4],
    ("gpt3-h100", "fit"): [-10.3, -10.6, -10.5, -12.8, -9.8, -10.0],
    ("gpt3-h100", "check"): [-9.6, -12.1],
    ("dlrm-h100", "fit"): [-15.4, -7.9, -9.7, -10.9],
    ("dlrm-h100", "check"): [-11.6, -14.6, -12.8],
}


@pytest.mark.parametrize(("scenario", "use"), UPDATE_ERRORS)
def test_errors_of_the_updates(scenario: str, use: str) -> None:
    assert errors(scenario, use)[0] == pytest.approx(UPDATE_ERRORS[scenario, use], abs=0.1)


@pytest.mark.parametrize(("scenario", "use"), RUN_ERRORS)
def test_errors_of_the_runs(scenario: str, use: str) -> None:
    assert errors(scenario, use)[1] == pytest.approx(RUN_ERRORS[scenario, use], abs=0.1)


@pytest.mark.parametrize("scenario", FILES)
def test_the_errors_in_the_documentation_are_these(scenario: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "shipped_scenarios.md").read_text(encoding="utf-8")
    section = text.split(f"## {scenario}:")[1].split("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if re.match(r"\| [\d,]+ \|", line)]
    group = GPT3_ACCELERATORS_PER_LEARNER if scenario == "gpt3-h100" else 1
    expected = []
    for use in ("fit", "check", "range"):
        for row, of_update, of_run in zip(rows_for(FILES[scenario], use), *errors(scenario, use), strict=True):
            words = [f"{int(row['learners']) * group:,}", f"{row['version']} {row['submitter']}", use]
            words += [f"{float(row['batch_samples']):,.0f}", f"{float(row['local_samples']):,.0f}"]
            expected.append([*words, f"{of_update:+.1f} %", f"{of_run:+.1f} %"])
    assert [line[:7] for line in lines] == expected
