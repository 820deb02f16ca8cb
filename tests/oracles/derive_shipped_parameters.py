"""Recompute every derived number of the shipped ResNet-50 files from the published measurements beside them.

It knows nothing of the package under test: numpy, scipy and the CSV files of scenarios/measurements only. Run it as a
script to print all the numbers.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls
from scipy.stats import t as student

FloatArray = NDArray[np.float64]
Interval = tuple[float, float]

MEASUREMENTS = Path(__file__).parents[2] / "scenarios" / "measurements"
RCP_CSV = MEASUREMENTS / "mlperf_rcp_resnet_2.0.0.csv"
A100_CSV = MEASUREMENTS / "resnet50_a100_mlperf.csv"
K80_CSV = MEASUREMENTS / "resnet50_k80_tensorflow.csv"
OTHERS_CSV = MEASUREMENTS / "resnet50_other_accelerators.csv"

TRAIN_FLOP_PER_SAMPLE = 24.534e9
GRADIENT_BYTES = 4 * 25_557_032
A100_BF16_FLOP_PER_S = 312e12
K80_FP32_FLOP_PER_S = 4.113e12
ACCELERATORS_PER_NODE = 8

COARSE_KNEES = np.arange(10.0, 30.01, 0.25)
FINE_KNEES = np.arange(10.0, 30.001, 0.05)
STARTUP_S = 2.0
"""Seconds of start-up taken out of every run in the test of the bias."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesFit:
    """Inverse law of updates, N_inf + alpha/M, with its uncertainty."""

    n_inf_updates: float
    alpha_samples: float
    relative_standard_errors: tuple[float, float]
    correlation: float
    discrepancy_relative: float
    run_to_run_relative: float
    batch_samples_range: tuple[int, int]
    signed_errors: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class A100Fit:
    """Knee compute law and node_log reduce law of the DGX A100 runs; intervals are 95 %."""

    gamma_s_per_sample: float
    knee_samples: float
    node_jump_s: float
    per_doubling_s: float
    gamma_interval_s: Interval
    knee_interval_samples: Interval
    node_jump_interval_s: Interval
    per_doubling_interval_s: Interval
    in_node_highest_s: float
    rms: float
    rms_without_knee: float
    signed_errors: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class K80Fit:
    """Affine compute law and parameter-server reduce law of the K80 steps."""

    constant_s: float
    gamma_s_per_sample: float
    constant_standard_error_s: float
    gamma_standard_error_s: float
    correlation: float
    compute_rms: float
    delta_s: float
    delta_standard_error_s: float
    delta_interval_s: Interval
    reduce_rms: float
    reduce_rms_constant: float
    reduce_rms_log2: float
    compute_signed_errors: tuple[float, ...]
    reduce_signed_errors: tuple[float, ...]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows: Sequence[Mapping[str, str]], name: str) -> FloatArray:
    """Return one column as floats."""
    return np.array([float(row[name]) for row in rows])


def root_mean_square(errors: FloatArray) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(errors**2)))


def fit_updates_law(path: Path = RCP_CSV) -> UpdatesFit:
    """Fit N_inf + alpha/M to the reference points by least squares on log(law/point), the relative error."""
    rows = read_rows(path)
    M, updates = column(rows, "batch_samples"), column(rows, "updates")
    spread, runs = column(rows, "updates_std") / updates, column(rows, "runs")

    def errors(parameters: FloatArray) -> FloatArray:
        law: FloatArray = np.log((parameters[0] + parameters[1] / M) / updates)
        return law

    start = np.array([updates.min(), M[0] * updates[0]])
    fit = least_squares(errors, start, x_scale=start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    n_inf_updates, alpha_samples = (float(value) for value in fit.x)
    residual = errors(np.array([n_inf_updates, alpha_samples]))
    slopes = np.column_stack([np.ones_like(M), 1.0 / M]) / (n_inf_updates + alpha_samples / M)[:, None]
    covariance = np.linalg.inv(slopes.T @ slopes) * np.sum(residual**2) / (len(M) - 2)
    deviations = np.sqrt(np.diag(covariance))
    return UpdatesFit(
        n_inf_updates=n_inf_updates,
        alpha_samples=alpha_samples,
        relative_standard_errors=(float(deviations[0] / n_inf_updates), float(deviations[1] / alpha_samples)),
        correlation=float(covariance[0, 1] / deviations.prod()),
        discrepancy_relative=root_mean_square(residual),
        run_to_run_relative=float(np.sqrt(np.sum((runs - 1) * spread**2) / np.sum(runs - 1))),
        batch_samples_range=(int(M.min()), int(M.max())),
        signed_errors=tuple(float(error) for error in np.expm1(residual)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFit:
    """One non-negative least-squares solution of the A100 step times."""

    knee_samples: float
    parameters: FloatArray
    errors: FloatArray

    @property
    def sum_of_squares(self) -> float:
        """Sum of the squared relative errors."""
        return float(np.sum(self.errors**2))


def a100_design(learners: FloatArray, local_samples: FloatArray, knee_samples: float) -> FloatArray:
    """Return the columns that multiply gamma, node_jump, per_doubling and in_node."""
    across = (learners > ACCELERATORS_PER_NODE).astype(np.float64)
    return np.column_stack([np.maximum(local_samples, knee_samples), across, np.log2(learners), np.ones_like(learners)])


def best_step_fit(
    learners: FloatArray,
    local_samples: FloatArray,
    step_s: FloatArray,
    knees: FloatArray,
    free: Sequence[int] = (0, 1, 2),
    fixed: Mapping[int, float] | None = None,
) -> StepFit:
    """Minimise the relative errors over the knees given and over non-negative `free` parameters.

    For one knee the law is linear, so non-negative least squares finds the global optimum.
    """
    held = dict(fixed or {})
    solved = [index for index in free if index not in held]
    best: StepFit | None = None
    for knee in knees:
        design = a100_design(learners, local_samples, float(knee)) / step_s[:, None]
        parameters = np.zeros(4)
        for index, value in held.items():
            parameters[index] = value
        solution, _ = nnls(design[:, solved], 1.0 - design @ parameters)
        parameters[solved] = solution
        candidate = StepFit(knee_samples=float(knee), parameters=parameters, errors=design @ parameters - 1.0)
        if best is None or candidate.sum_of_squares < best.sum_of_squares:
            best = candidate
    if best is None:
        raise ValueError("knees must not be empty")
    return best


def profile_interval(
    learners: FloatArray, local_samples: FloatArray, step_s: FloatArray, index: int, centre: float, limit: float
) -> Interval:
    """Return the values of one parameter at which the profiled sum of squares stays below `limit`."""

    def excess(value: float) -> float:
        held = best_step_fit(learners, local_samples, step_s, COARSE_KNEES, fixed={index: value})
        return held.sum_of_squares - limit

    def edge(inside: float, outside: float) -> float:
        for _ in range(14):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if excess(middle) < 0 else (inside, middle)
        return inside

    low = 0.0 if excess(0.0) < 0 else edge(centre, 0.0)
    return low, edge(centre, 4.0 * centre)


def fit_a100(path: Path = A100_CSV) -> A100Fit:
    """Fit gamma*max(m, knee) + node_jump*(P > 8) + per_doubling*log2(P) to wall seconds per update.

    in_node is held at 0: the error is the same when it replaces node_jump (`in_node_highest_s`), with a smaller gamma.
    The intervals come from the profile of the sum of squares (Student's t, rows minus parameters), widened to contain
    the best fits after evaluation, two seconds of start-up, or both are taken out of every run.
    """
    rows = [row for row in read_rows(path) if row["used_for"] == "fit"]
    learners, local_samples = column(rows, "learners"), column(rows, "local_samples")
    run_s, updates = column(rows, "converge_time_s"), column(rows, "updates")
    evaluation_s = column(rows, "evaluation_time_s")
    step_s = run_s / updates
    base = best_step_fit(learners, local_samples, step_s, FINE_KNEES)
    freedom = len(rows) - 4
    limit = base.sum_of_squares * (1.0 + float(student.ppf(0.975, freedom)) ** 2 / freedom)
    debiased = [
        best_step_fit(learners, local_samples, (run_s - evaluated - started) / updates, FINE_KNEES)
        for evaluated, started in ((evaluation_s, 0.0), (0.0 * evaluation_s, STARTUP_S), (evaluation_s, STARTUP_S))
    ]

    def widened(interval: Interval, estimates: Sequence[float]) -> Interval:
        return min(interval[0], *estimates), max(interval[1], *estimates)

    def parameter_interval(index: int) -> Interval:
        centre = float(base.parameters[index])
        profile = profile_interval(learners, local_samples, step_s, index, centre, limit)
        return widened(profile, [float(fit.parameters[index]) for fit in debiased])

    admitted = [
        knee for knee in FINE_KNEES if best_step_fit(learners, local_samples, step_s, np.array([knee])).sum_of_squares < limit
    ]
    no_knee = best_step_fit(learners, local_samples, step_s, np.array([1.0]))
    no_jump = best_step_fit(learners, local_samples, step_s, FINE_KNEES, free=(0, 2, 3))
    return A100Fit(
        gamma_s_per_sample=float(base.parameters[0]),
        knee_samples=base.knee_samples,
        node_jump_s=float(base.parameters[1]),
        per_doubling_s=float(base.parameters[2]),
        gamma_interval_s=parameter_interval(0),
        knee_interval_samples=widened((float(min(admitted)), float(max(admitted))), [fit.knee_samples for fit in debiased]),
        node_jump_interval_s=parameter_interval(1),
        per_doubling_interval_s=parameter_interval(2),
        in_node_highest_s=float(no_jump.parameters[3]),
        rms=root_mean_square(base.errors),
        rms_without_knee=root_mean_square(no_knee.errors),
        signed_errors=tuple(float(error) for error in base.errors),
    )


def linear_fit(design: FloatArray, observed: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return parameters, covariance and relative errors of a least-squares fit on relative errors."""
    scaled = design / observed[:, None]
    parameters = np.asarray(np.linalg.lstsq(scaled, np.ones(len(observed)), rcond=None)[0], dtype=np.float64)
    errors: FloatArray = scaled @ parameters - 1.0
    variance = float(np.sum(errors**2)) / (len(observed) - design.shape[1])
    covariance = np.asarray(np.linalg.inv(scaled.T @ scaled) * variance, dtype=np.float64)
    return parameters, covariance, errors


def fit_k80(path: Path = K80_CSV) -> K80Fit:
    """Fit constant + gamma*m to the single-GPU steps, then delta*P to the distributed steps, on relative errors."""
    rows = read_rows(path)
    single = [row for row in rows if row["used_for"] == "compute"]
    many = [row for row in rows if row["used_for"] == "reduce"]
    m, step_s = column(single, "local_samples"), column(single, "update_time_s")
    affine, covariance, compute_errors = linear_fit(np.column_stack([np.ones_like(m), m]), step_s)
    deviations = np.sqrt(np.diag(covariance))

    P, step_s = column(many, "learners"), column(many, "update_time_s")
    compute_s = affine[0] + affine[1] * column(many, "local_samples")

    def reduce_fit(shape: FloatArray) -> tuple[FloatArray, FloatArray]:
        scaled = shape / step_s[:, None]
        solution, _ = nnls(scaled, 1.0 - compute_s / step_s)
        errors: FloatArray = (compute_s + shape @ solution) / step_s - 1.0
        return solution, errors

    linear, errors = reduce_fit(P[:, None])
    delta_s = float(linear[0])
    freedom = len(P) - 1
    deviation_s = float(np.sqrt(np.sum(errors**2) / freedom / np.sum((P / step_s) ** 2)))
    half_width_s = float(student.ppf(0.975, freedom)) * deviation_s
    _, constant_errors = reduce_fit(np.ones((len(P), 1)))
    _, log2_errors = reduce_fit(np.column_stack([np.ones_like(P), np.log2(P)]))
    return K80Fit(
        constant_s=float(affine[0]),
        gamma_s_per_sample=float(affine[1]),
        constant_standard_error_s=float(deviations[0]),
        gamma_standard_error_s=float(deviations[1]),
        correlation=float(covariance[0, 1] / deviations.prod()),
        compute_rms=root_mean_square(compute_errors),
        delta_s=delta_s,
        delta_standard_error_s=deviation_s,
        delta_interval_s=(delta_s - half_width_s, delta_s + half_width_s),
        reduce_rms=root_mean_square(errors),
        reduce_rms_constant=root_mean_square(constant_errors),
        reduce_rms_log2=root_mean_square(log2_errors),
        compute_signed_errors=tuple(float(error) for error in compute_errors),
        reduce_signed_errors=tuple(float(error) for error in errors),
    )


def utilisation(gamma_s_per_sample: float, peak_flop_per_s: float) -> float:
    """Return the share of the peak that ResNet-50 training reaches at gamma seconds per sample."""
    return TRAIN_FLOP_PER_SAMPLE / (peak_flop_per_s * gamma_s_per_sample)


def measured_utilisations(a100: A100Fit, k80: K80Fit, path: Path = OTHERS_CSV) -> dict[str, float]:
    """Return the utilisation of every accelerator with a published ResNet-50 time.

    With two local batches gamma is the slope, with one it is the whole step over the samples: a lower bound.
    """
    shares = {
        "a100-sxm-80": utilisation(a100.gamma_s_per_sample, A100_BF16_FLOP_PER_S),
        "k80-gpu": utilisation(k80.gamma_s_per_sample, K80_FP32_FLOP_PER_S),
    }
    rows = read_rows(path)
    for name in dict.fromkeys(row["accelerator"] for row in rows):
        chosen = [row for row in rows if row["accelerator"] == name]
        m, step_s = column(chosen, "local_samples"), column(chosen, "update_time_s")
        if len(set(m.tolist())) > 1:
            gamma = float(linear_fit(np.column_stack([np.ones_like(m), m]), step_s)[0][1])
        else:
            gamma = float(np.mean(step_s / m))
        shares[name] = utilisation(gamma, float(chosen[0]["peak_flop_per_s"]))
    return shares


def ring_time_s(learners: float, latency_s: float, bandwidth_bytes_per_s: float) -> float:
    """Return the textbook time of a flat ring all-reduce of the ResNet-50 gradient."""
    steps = 2.0 * (learners - 1.0)
    return steps * latency_s + steps / learners * GRADIENT_BYTES / bandwidth_bytes_per_s


def derive_all() -> dict[str, object]:
    """Return every derived number."""
    a100, k80 = fit_a100(), fit_k80()
    ring = {str(P): ring_time_s(P, 15e-6, 1.25e9) for P in (8, 16, 32, 64)}
    return {
        "updates": asdict(fit_updates_law()),
        "a100": asdict(a100),
        "k80": asdict(k80),
        "utilisation": measured_utilisations(a100, k80),
        "ring_s": ring,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(derive_all(), indent=2) + "\n")
