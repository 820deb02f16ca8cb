"""Recompute every derived number of the Pollux workloads from the measurements beside them.

Like `derive_shipped_parameters.py`, whose reading of tables it uses, it knows nothing of the package under test. `python -m
tests.oracles.derive_pollux_parameters` prints all the numbers.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from scipy.optimize import least_squares

from tests.oracles.derive_shipped_parameters import MEASUREMENTS, FloatArray, column, read_rows, root_mean_square

STEPS_CSV = MEASUREMENTS / "pollux_step_time.csv"
UPDATES_CSV = MEASUREMENTS / "pollux_updates.csv"
ONE_GPU_CSV = MEASUREMENTS / "pollux_one_gpu.csv"

MEASURED = ("cifar10", "deepspeech2", "yolov3", "bert")
BORROWED = ("ncf", "imagenet")


def convolution(into: int, out: int, side: int = 1) -> int:
    """Parameters of a convolution without bias and its batch norm."""
    return side * side * into * out + 2 * out


def resnet18_parameters(classes: int = 10) -> int:
    """ResNet-18 as used on 32 x 32 pixels: a first convolution of 3 x 3, four stages of two blocks."""
    total, into = convolution(3, 64, 3), 64
    for width in (64, 128, 256, 512):
        total += convolution(into, width, 3) + 3 * convolution(width, width, 3)
        total += convolution(into, width) if into != width else 0
        into = width
    return total + 512 * classes + classes


def bert_base_parameters() -> int:
    """BERT-base with the two outputs of question answering; no pooler."""
    h, vocabulary, positions = 768, 30522, 512
    layer = 4 * (h * h + h) + (h * 4 * h + 4 * h) + (4 * h * h + h) + 2 * 2 * h
    return (vocabulary + positions + 2) * h + 2 * h + 12 * layer + 2 * h + 2


def yolov3_parameters(classes: int = 20) -> int:
    """YOLOv3: Darknet-53 without its last layer, three heads of three anchors."""
    total = convolution(3, 32, 3)
    for out, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        total += convolution(out // 2, out, 3) + blocks * (convolution(out, out // 2) + convolution(out // 2, out, 3))
    for width, into in ((512, 1024), (256, 768), (128, 384)):
        total += convolution(2 * width, width) if width < 512 else 0  # from the head before
        total += convolution(into, width) + 2 * convolution(2 * width, width) + 3 * convolution(width, 2 * width, 3)
        outputs = 3 * (classes + 5)
        total += 2 * width * outputs + outputs
    return total


def neumf_parameters(users: int = 6040, items: int = 3706, factors: int = 32, layers: int = 3) -> int:
    """Neural matrix factorisation: two embeddings of users and items each, a tower of layers, one output."""
    width = factors << (layers - 1)
    sizes = [factors << (layers - i) for i in range(layers)]
    tower = [size * (size // 2) + size // 2 for size in sizes]
    return (users + items) * (factors + width) + sum(tower) + 2 * factors + 1


GRADIENT_BYTES = {
    "cifar10": 4 * resnet18_parameters(),
    "bert": 4 * bert_base_parameters(),
    "yolov3": 4 * yolov3_parameters(),
    "imagenet": 4 * 25_557_032,  # ResNet-50, as in the workload of MLPerf
    "ncf": 4 * neumf_parameters(),
}
"""Bytes of the gradient in fp32. That of DeepSpeech 2 is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """N_inf + alpha/M through single runs; errors relative."""

    n_inf_updates: float
    alpha_samples: float
    relative_standard_errors: tuple[float, float]
    correlation: float
    discrepancy_relative: float
    batch_samples_range: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFit:
    """T = ((constant + gamma m)^q + (in_node + jump [N > 1] + per_doubling log2 P)^q)^(1/q), the second term from P = 2 on.

    Ranges are 90 %: 1.645 standard errors, residuals of one number of GPUs taken as dependent.
    """

    constant_s: float
    gamma_s_per_sample: float
    in_node_s: float
    node_jump_s: float
    per_doubling_s: float
    exponent: float
    ranges: dict[str, tuple[float, float]]
    rms: float
    median: float
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ByBytes:
    """Delta of a workload that was timed on one GPU only: that of the measured ones per byte of gradient, times its bytes."""

    in_node_s: float
    node_jump_s: float
    per_doubling_s: float
    ranges: dict[str, tuple[float, float]]
    exponent: float


@cache
def fit_law(workload: str) -> LawFit:
    """Fit N_inf + alpha/M, both >= 0, by least squares on log(law/run)."""
    rows = [row for row in read_rows(UPDATES_CSV) if row["workload"] == workload]
    M, updates = column(rows, "batch_samples"), column(rows, "updates")

    def errors(logs: FloatArray) -> FloatArray:
        law: FloatArray = np.log((np.exp(logs[0]) + np.exp(logs[1]) / M) / updates)
        return law

    start = np.log([0.5 * updates.min(), M[0] * updates[0]])
    fit = least_squares(errors, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    residual = errors(fit.x)
    slopes = np.asarray(fit.jac)
    covariance = np.linalg.inv(slopes.T @ slopes) * np.sum(residual**2) / (len(M) - 2)
    deviations = np.sqrt(np.diag(covariance))
    return LawFit(
        n_inf_updates=float(np.exp(fit.x[0])),
        alpha_samples=float(np.exp(fit.x[1])),
        relative_standard_errors=(float(deviations[0]), float(deviations[1])),
        correlation=float(covariance[0, 1] / deviations.prod()),
        discrepancy_relative=root_mean_square(residual),
        batch_samples_range=(int(M.min()), int(M.max())),
    )


PARAMETERS = ("constant_s", "gamma_s_per_sample", "in_node_s", "node_jump_s", "per_doubling_s", "exponent")
REDUCE = PARAMETERS[2:5]
SOFT = 0.1


def update_time_s(logs: FloatArray, m: FloatArray, P: FloatArray, N: FloatArray) -> FloatArray:
    """T of the six parameters, as logarithms; the last is q - 1."""
    constant, gamma, in_node, jump, per_doubling, over_one = np.exp(logs)
    compute = constant + gamma * m
    reduce = np.where(P > 1, in_node + jump * (N > 1) + per_doubling * np.log2(P), 0.0)
    longest = np.maximum(compute, reduce)
    q = 1.0 + over_one
    time: FloatArray = longest * (1.0 + (np.minimum(compute, reduce) / longest) ** q) ** (1.0 / q)
    return time


@cache
def fit_steps(workload: str) -> StepFit:
    """Fit Gamma, Delta and their overlap to log T on GPUs that fill nodes, far points counting less (soft L1 beyond 10 %)."""
    rows = [row for row in read_rows(STEPS_CSV) if row["workload"] == workload]
    m, P, N, T = (column(rows, name) for name in ("local_samples", "learners", "nodes", "update_time_s"))

    def errors(logs: FloatArray) -> FloatArray:
        return np.asarray(np.log(update_time_s(logs, m, P, N) / T))

    first = [np.log(T.min() / 2), np.log(np.median(T / m) / 2), np.log(0.05), np.log(0.2)]
    fits = [
        least_squares(
            errors,
            [*first, doubling, over],
            bounds=([-12.0] * 6, [5.0] * 6),
            loss="soft_l1",
            f_scale=SOFT,
            max_nfev=2000,
            xtol=1e-13,
            ftol=1e-13,
            gtol=1e-13,
        )
        for over in (-3.0, 0.0, 1.0)
        for doubling in (-5.0, -3.0)
    ]
    logs = min(fits, key=lambda fit: fit.cost).x
    residual = errors(logs)
    steps = 1e-6 * np.eye(len(logs))
    slopes = np.column_stack([(errors(logs + one) - errors(logs - one)) / 2e-6 for one in steps])
    weight = 1.0 / np.sqrt(1.0 + (residual / SOFT) ** 2)
    bread = np.linalg.pinv(slopes.T @ (weight[:, None] * slopes))
    scores = np.array([((weight * residual)[one == P] @ slopes[one == P]) for one in np.unique(P)])
    deviations = np.sqrt(np.diag(bread @ (scores.T @ scores) @ bread))
    shift = np.array([0.0] * 5 + [1.0])
    value = np.exp(logs) + shift
    low, high = (np.exp(logs) * np.maximum(1.0 + sign * 1.645 * deviations, 0.0) + shift for sign in (-1.0, 1.0))
    return StepFit(
        **{name: float(one) for name, one in zip(PARAMETERS, value, strict=True)},
        ranges={name: (float(a), float(b)) for name, a, b in zip(PARAMETERS, low, high, strict=True)},
        rms=root_mean_square(residual),
        median=float(np.median(np.abs(residual))),
        points=len(T),
    )


def by_bytes(workload: str) -> ByBytes:
    """Delta by gradient bytes: geometric means of each term per byte over the measured workloads whose size is known."""
    known = [name for name in MEASURED if name in GRADIENT_BYTES]
    terms = {
        name: np.array([getattr(fit_steps(one), name) / GRADIENT_BYTES[one] for one in known]) * GRADIENT_BYTES[workload]
        for name in REDUCE
    }
    return ByBytes(
        **{name: float(np.exp(np.log(term).mean())) for name, term in terms.items()},
        ranges={name: (float(term.min()), float(term.max())) for name, term in terms.items()},
        exponent=float(np.median([fit_steps(one).exponent for one in known])),
    )


def one_gpu(workload: str) -> dict[str, str]:
    """Return the published line through the steps on one GPU."""
    (row,) = (row for row in read_rows(ONE_GPU_CSV) if row["workload"] == workload)
    return row


if __name__ == "__main__":
    told = {
        "laws": {name: asdict(fit_law(name)) for name in (*MEASURED, "ncf")},
        "steps": {name: asdict(fit_steps(name)) for name in MEASURED},
        "by_bytes": {name: asdict(by_bytes(name)) for name in BORROWED},
        "gradient_bytes": GRADIENT_BYTES,
    }
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
