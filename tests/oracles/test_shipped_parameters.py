"""The shipped ResNet-50 parameters are what the shipped measurements give, and they predict the published rows.

The closed form is written out here once more, so the test does not lean on the package.
"""

from __future__ import annotations

import math
import tomllib
from functools import cache

import pytest

from tests.oracles.derive_shipped_parameters import (
    A100_CSV,
    ACCELERATORS_PER_NODE,
    GRADIENT_BYTES,
    K80_CSV,
    TRAIN_FLOP_PER_SAMPLE,
    A100Fit,
    K80Fit,
    UpdatesFit,
    fit_a100,
    fit_k80,
    fit_updates_law,
    measured_utilisations,
    read_rows,
    ring_time_s,
    utilisation,
)
from tests.oracles.written import UNITS, entry, value, written
from tests.support import ROOT

FILES = {"workload": "workloads/resnet50-mlperf", "a100": "resnet50-a100", "k80": "resnet50-k80"}


@cache
def updates_fit() -> UpdatesFit:
    return fit_updates_law()


@cache
def a100_fit() -> A100Fit:
    return fit_a100()


@cache
def k80_fit() -> K80Fit:
    return fit_k80()


def derived_numbers() -> list[tuple[str, str, str, float]]:
    """List file, path, part and derived number of every figure that comes out of a fit."""
    law, a100, k80 = updates_fit(), a100_fit(), k80_fit()
    shares = measured_utilisations(a100, k80)
    gpu, half_board = "compute/a100-sxm-80", "compute/k80-gpu"
    two_sided_95 = 2.306  # Student's t, ten rows less two parameters
    k80_half_widths = (two_sided_95 * k80.constant_standard_error_s, two_sided_95 * k80.gamma_standard_error_s)
    return [
        ("workload", "convergence/n_inf_updates", "value", law.n_inf_updates),
        ("workload", "convergence/alpha_samples", "value", law.alpha_samples),
        ("workload", "convergence/fit/batch_samples_range/0", "value", law.batch_samples_range[0]),
        ("workload", "convergence/fit/batch_samples_range/1", "value", law.batch_samples_range[1]),
        ("workload", "convergence/fit/relative_standard_errors/0", "value", law.relative_standard_errors[0]),
        ("workload", "convergence/fit/relative_standard_errors/1", "value", law.relative_standard_errors[1]),
        ("workload", "convergence/fit/correlation", "value", law.correlation),
        ("workload", "convergence/fit/discrepancy_relative", "value", law.discrepancy_relative),
        ("workload", "convergence/fit/run_to_run_relative", "value", law.run_to_run_relative),
        ("workload", f"{gpu}/gamma_s_per_sample", "value", a100.gamma_s_per_sample),
        ("workload", f"{gpu}/gamma_s_per_sample", "low", a100.gamma_interval_s[0]),
        ("workload", f"{gpu}/gamma_s_per_sample", "high", a100.gamma_interval_s[1]),
        ("workload", f"{gpu}/knee_samples", "value", a100.knee_samples),
        ("workload", f"{gpu}/knee_samples", "low", a100.knee_interval_samples[0]),
        ("workload", f"{gpu}/knee_samples", "high", a100.knee_interval_samples[1]),
        ("workload", f"{half_board}/constant_s", "value", k80.constant_s),
        ("workload", f"{half_board}/constant_s", "low", k80.constant_s - k80_half_widths[0]),
        ("workload", f"{half_board}/constant_s", "high", k80.constant_s + k80_half_widths[0]),
        ("workload", f"{half_board}/gamma_s_per_sample", "value", k80.gamma_s_per_sample),
        ("workload", f"{half_board}/gamma_s_per_sample", "low", k80.gamma_s_per_sample - k80_half_widths[1]),
        ("workload", f"{half_board}/gamma_s_per_sample", "high", k80.gamma_s_per_sample + k80_half_widths[1]),
        ("workload", "compute/from_flops/utilisation", "value", math.sqrt(shares["a100-sxm-80"] * shares["k80-gpu"])),
        ("workload", "compute/from_flops/utilisation", "low", min(shares.values())),
        ("workload", "compute/from_flops/utilisation", "high", max(shares.values())),
        ("workload", "compute/from_flops/knee_samples", "value", a100.knee_samples),
        ("a100", "reduce/node_jump_s", "value", a100.node_jump_s),
        ("a100", "reduce/node_jump_s", "low", a100.node_jump_interval_s[0]),
        ("a100", "reduce/node_jump_s", "high", a100.node_jump_interval_s[1]),
        ("a100", "reduce/per_doubling_s", "value", a100.per_doubling_s),
        ("a100", "reduce/per_doubling_s", "low", a100.per_doubling_interval_s[0]),
        ("a100", "reduce/per_doubling_s", "high", a100.per_doubling_interval_s[1]),
        ("k80", "reduce/delta_s", "value", k80.delta_s),
        ("k80", "reduce/delta_s", "low", k80.delta_interval_s[0]),
        ("k80", "reduce/delta_s", "high", k80.delta_interval_s[1]),
    ]


def test_shipped_numbers_are_the_derived_ones_to_the_digits_written() -> None:
    wrong = []
    for file, path, part, derived in derived_numbers():
        number, half_unit = written(FILES[file], path, part)
        if abs(number - derived) > half_unit * 1.001:
            wrong.append(f"{file}: {path} {part}: written {number:g}, derived {derived:g}")
    assert not wrong, "\n".join(wrong)


def test_largest_local_batches_are_those_of_the_rows_fitted() -> None:
    for csv_file, used_for, accelerator in ((A100_CSV, "fit", "a100-sxm-80"), (K80_CSV, "compute", "k80-gpu")):
        largest = max(float(row["local_samples"]) for row in read_rows(csv_file) if row["used_for"] == used_for)
        assert value(FILES["workload"], f"compute/{accelerator}/max_local_samples") == largest


def test_sizes_are_those_the_derivation_uses() -> None:
    assert entry(FILES["workload"], "gradient_bytes") == GRADIENT_BYTES
    assert value(FILES["workload"], "train_flop_per_sample") == TRAIN_FLOP_PER_SAMPLE


def test_utilisations_named_in_the_comment() -> None:
    shares = measured_utilisations(a100_fit(), k80_fit())
    expected = {"a100-sxm-80": 0.256, "k80-gpu": 0.325, "v100-sxm-16": 0.27, "h100-sxm": 0.16, "p100-sxm2": 0.58}
    assert shares == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("accelerator", "peak", "share"), [("a100-sxm-80", "bf16", 0.256), ("k80-gpu", "fp32", 0.325)])
def test_peaks_are_those_of_the_accelerator_profiles(accelerator: str, peak: str, share: float) -> None:
    profile = tomllib.loads((ROOT / "hardware_profiles" / "accelerators" / f"{accelerator}.toml").read_text("ascii"))
    number, _, unit = str(profile[f"{peak}_flop_per_s"]).partition(" ")
    gamma = value(FILES["workload"], f"compute/{accelerator}/gamma_s_per_sample")
    assert utilisation(gamma, float(number) * float(UNITS[unit])) == pytest.approx(share, abs=0.0005)


def test_fit_errors_named_in_the_comments() -> None:
    assert a100_fit().rms == pytest.approx(0.015, abs=0.0005)
    assert a100_fit().rms_without_knee == pytest.approx(0.031, abs=0.0005)
    assert k80_fit().compute_rms == pytest.approx(0.008, abs=0.0005)
    assert k80_fit().reduce_rms == pytest.approx(0.065, abs=0.0005)
    assert k80_fit().reduce_rms_constant == pytest.approx(0.056, abs=0.0005)
    assert k80_fit().reduce_rms_log2 == pytest.approx(0.025, abs=0.0005)


def test_ring_estimate_named_in_the_comment() -> None:
    latency_s = value(FILES["k80"], "option/1/reduce/latency_s")
    bandwidth = value(FILES["k80"], "option/1/reduce/bandwidth_bytes_per_s")
    times_s = [ring_time_s(P, latency_s, bandwidth) for P in (8, 16, 32, 64)]
    assert times_s == pytest.approx([0.14, 0.15, 0.16, 0.16], abs=0.005)


def a100_update_time_s(learners: float, local_samples: float) -> float:
    """Return T_Update by the shipped numbers: gamma*max(m, knee) + Delta(P)."""
    knee = value(FILES["workload"], "compute/a100-sxm-80/knee_samples")
    compute_s = value(FILES["workload"], "compute/a100-sxm-80/gamma_s_per_sample") * max(local_samples, knee)
    across = learners > ACCELERATORS_PER_NODE
    reduce_s = value(FILES["a100"], "reduce/in_node_s") + value(FILES["a100"], "reduce/per_doubling_s") * math.log2(learners)
    return compute_s + reduce_s + (value(FILES["a100"], "reduce/node_jump_s") if across else 0.0)


def updates(batch_samples: float) -> float:
    """Return N_Update by the shipped numbers."""
    return (
        value(FILES["workload"], "convergence/n_inf_updates")
        + value(FILES["workload"], "convergence/alpha_samples") / batch_samples
    )


def a100_errors(used_for: str, *, whole_run: bool) -> list[float]:
    """Return predicted/published - 1 of the run or of the update, in per cent, row by row."""
    errors = []
    for row in read_rows(A100_CSV):
        if row["used_for"] != used_for:
            continue
        predicted = a100_update_time_s(float(row["learners"]), float(row["local_samples"]))
        published = float(row["converge_time_s"]) / float(row["updates"])
        if whole_run:
            predicted *= updates(float(row["batch_samples"]))
            published = float(row["converge_time_s"])
        errors.append(100 * (predicted / published - 1))
    return errors


# Signed errors in per cent, predicted over published, measured with the shipped numbers.
A100_UPDATE_ERRORS = [-0.8, 0.8, -0.3, 0.3, -0.8, 0.8, 2.3, -3.0]
A100_RUN_ERRORS = [5.4, 7.2, 5.9, 6.6, 4.0, 7.0, 2.5, -4.0]
K80_SINGLE_ERRORS = [0.9, 0.5, -0.1, 0.1, -1.3, 0.5, -0.9, -0.3, -0.7, 1.4]
K80_DISTRIBUTED_ERRORS = [-10.3, -5.2, -7.5, 7.7, -5.8, -3.6, -5.8, 3.1]
# Rows that entered no fit, in the order of the file.
A100_CHECK_ERRORS = {
    ("NVIDIA", 8): 0.5,
    ("H3C", 16): -2.1,
    ("HPE", 16): -4.4,
    ("HPE", 32): -37.5,
    ("NVIDIA", 64): -0.1,
    ("Azure v1.1", 64): -1.5,
    ("Azure v2.0", 64): -1.5,
    ("HPE", 64): -23.4,
    ("HPE", 128): -4.9,
}


def test_a100_updates_of_the_rows_fitted() -> None:
    errors = a100_errors("fit", whole_run=False)
    assert errors == pytest.approx(A100_UPDATE_ERRORS, abs=0.1)
    # Within 3 %: the rows of v1.1 and v2.0 at one number of GPUs, which a law cannot tell apart, differ by up to 1.7 %
    # themselves, and the two largest runs (15 and 16 images per GPU) are of different sizes and versions.
    assert max(map(abs, errors)) < 3.1


def test_a100_runs_of_the_rows_fitted() -> None:
    errors = a100_errors("fit", whole_run=True)
    assert errors == pytest.approx(A100_RUN_ERRORS, abs=0.1)
    # Within 7.2 %, seven of eight too slow: of that the law of updates is +6.3 % at M = 3264, +4.8 and +6.2 % at 35840,
    # -1.0 % at 64800 and +0.2 % at 67456 against the updates of these very runs (its discrepancy is 3.3 % rms).
    assert max(map(abs, errors)) < 7.3


def test_a100_updates_of_rows_that_entered_no_fit() -> None:
    errors = a100_errors("check", whole_run=False)
    assert errors == pytest.approx(list(A100_CHECK_ERRORS.values()), abs=0.1)
    # Without HPE within 2.2 %, at local batches and numbers of nodes that the fit did not see. HPE's are not explained:
    # four NICs a node, but so has H3C; and 128 of their GPUs are 5 % off, 64 are 23 %, 32 are 38 %.
    assert max(abs(error) for (name, _), error in A100_CHECK_ERRORS.items() if name != "HPE") < 2.2


def k80_errors(used_for: str) -> list[float]:
    """Return predicted/published - 1 of the K80 steps, in per cent, row by row."""
    constant_s = value(FILES["workload"], "compute/k80-gpu/constant_s")
    gamma = value(FILES["workload"], "compute/k80-gpu/gamma_s_per_sample")
    delta_s = value(FILES["k80"], "reduce/delta_s")
    errors = []
    for row in read_rows(K80_CSV):
        if row["used_for"] == used_for:
            learners = float(row["learners"])
            reduce_s = delta_s * learners if learners > 1 else 0.0
            predicted = constant_s + gamma * float(row["local_samples"]) + reduce_s
            errors.append(100 * (predicted / float(row["update_time_s"]) - 1))
    return errors


def test_k80_steps_of_one_gpu() -> None:
    errors = k80_errors("compute")
    assert errors == pytest.approx(K80_SINGLE_ERRORS, abs=0.1)
    # Within 1.5 %: three machines, synthetic and real images, and rates printed with three digits.
    assert max(map(abs, errors)) < 1.5


def test_k80_distributed_steps() -> None:
    errors = k80_errors("reduce")
    assert errors == pytest.approx(K80_DISTRIBUTED_ERRORS, abs=0.1)
    # Within 10.5 %, short at 8 to 32 GPUs and long at 64: delta*P has the wrong shape for runs whose servers grew with
    # the learners. Kept as the paper's law of a parameter server; the scenario's comment says so.
    assert max(map(abs, errors)) < 10.5
