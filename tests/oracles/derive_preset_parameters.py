"""Recompute every derived number of the BERT, RetinaNet, GPT-3 and DLRM-DCNv2 presets from the measurements beside them.

Like `derive_shipped_parameters.py`, whose fits of the updates law and of the node-log steps it uses, it knows nothing of the
package under test. `python -m tests.oracles.derive_preset_parameters` prints all the numbers.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.stats import t as student

from tests.oracles.derive_shipped_parameters import (
    MEASUREMENTS,
    STARTUP_S,
    FloatArray,
    Interval,
    StepFit,
    best_step_fit,
    column,
    fit_updates_law,
    linear_fit,
    read_rows,
    root_mean_square,
)

Rows = list[dict[str, str]]

RCP_CSVS = {
    "bert": MEASUREMENTS / "mlperf_rcp_bert_2.1.0.csv",
    "retinanet": MEASUREMENTS / "mlperf_rcp_retinanet_5.1.0.csv",
    "gpt3": MEASUREMENTS / "mlperf_rcp_gpt3_4.1.0.csv",
    "dlrm": MEASUREMENTS / "mlperf_rcp_dlrm_dcnv2_5.1.0.csv",
}
BERT_A100_CSV = MEASUREMENTS / "bert_a100_mlperf.csv"
BERT_H100_CSV = MEASUREMENTS / "bert_h100_mlperf.csv"
BERT_OTHERS_CSV = MEASUREMENTS / "bert_other_accelerators.csv"
RETINANET_A100_CSV = MEASUREMENTS / "retinanet_a100_mlperf.csv"
RETINANET_H100_CSV = MEASUREMENTS / "retinanet_h100_mlperf.csv"
RETINANET_OTHERS_CSV = MEASUREMENTS / "retinanet_other_accelerators.csv"
GPT3_H100_CSV = MEASUREMENTS / "gpt3_h100_mlperf.csv"
GPT3_OTHERS_CSV = MEASUREMENTS / "gpt3_other_systems.csv"
DLRM_H100_CSV = MEASUREMENTS / "dlrm_h100_mlperf.csv"

A100_BF16_FLOP_PER_S = 312e12
H100_BF16_FLOP_PER_S = 989e12
H100_FP8_FLOP_PER_S = 1979e12
GPT3_ACCELERATORS_PER_LEARNER = 32
BYTES_PER_PARAMETER = 4
"""fp32, as in the ResNet-50 file."""


# Sizes and FLOPs, from the published shapes of the models. A multiply-add is two FLOP; training is three forward passes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Parameters whose gradients are exchanged, and FLOPs of training on one sample."""

    parameters: int
    train_flop_per_sample: float

    @property
    def gradient_bytes(self) -> int:
        """Bytes of the gradient in fp32."""
        return BYTES_PER_PARAMETER * self.parameters


BERT_LAYERS, BERT_WIDTH, BERT_VOCABULARY, BERT_POSITIONS = 24, 1024, 30522, 512
BERT_MEAN_TOKENS = 256
"""Tokens that are no padding, on average: half of the 512 (Krell et al. 2021, arXiv 2107.02027)."""


def bert_size() -> Size:
    """BERT-large with its masked-token and next-sentence heads, the word embedding tied; FLOPs without padding.

    FLOPs: matrix products of the layers, and attention as if every sequence had the mean length (1 % too little at most).
    """
    h = BERT_WIDTH
    layer = 4 * (h * h + h) + (h * 4 * h + 4 * h) + (4 * h * h + h) + 2 * 2 * h
    embeddings = (BERT_VOCABULARY + BERT_POSITIONS + 2) * h + 2 * h
    heads = (h * h + h) + (h * h + h) + 2 * h + BERT_VOCABULARY + (2 * h + 2)  # pooler, transform, its norm, biases, sentence
    forward = BERT_LAYERS * (2 * 12 * h * h * BERT_MEAN_TOKENS + 2 * 2 * h * BERT_MEAN_TOKENS**2)
    return Size(parameters=BERT_LAYERS * layer + embeddings + heads, train_flop_per_sample=3.0 * forward)


RETINANET_CLASSES, RETINANET_ANCHORS, RETINANET_SIDE = 264, 9, 800
RESNEXT_STAGES = ((3, 128, 256), (4, 256, 512), (6, 512, 1024), (3, 1024, 2048))
"""Blocks, channels of the grouped convolution (32 groups), channels out: ResNeXt-50 32x4d."""


def resnext50(side: int) -> list[tuple[int, int]]:
    """Return weights of the convolutions and multiply-adds of the stem and the four stages, for images of `side` pixels."""
    side //= 2
    stem = 7 * 7 * 3 * 64
    parts = [(stem, stem * side * side)]
    side //= 2
    into = 64
    for stage, (blocks, width, out) in enumerate(RESNEXT_STAGES):
        weights = multiply_adds = 0
        for block in range(blocks):
            before = side
            if stage and not block:
                side //= 2
            convolutions = [(into * width, before), (9 * width * width // 32, side), (width * out, side)]
            if not block:
                convolutions.append((into * out, side))
            weights += sum(size for size, _ in convolutions)
            multiply_adds += sum(size * edge * edge for size, edge in convolutions)
            into = out
        parts.append((weights, multiply_adds))
    return parts


def retinanet_size() -> Size:
    """RetinaNet with a ResNeXt-50 32x4d backbone on 800 x 800 pixels, as MLPerf defines it.

    The stem and the first stage of the backbone are frozen and batch norms are fixed: they have no gradients, and the
    FLOPs of their backward pass are left out (they run forward only).
    """
    parts = resnext50(RETINANET_SIDE)
    frozen = parts[0][1] + parts[1][1]
    parameters, multiply_adds = (sum(part[i] for part in parts[2:]) for i in (0, 1))
    sides = [RETINANET_SIDE // 8, RETINANET_SIDE // 16, RETINANET_SIDE // 32, 13, 7]
    square = 9 * 256 * 256
    for channels, level in zip((512, 1024, 2048), sides[:3], strict=True):
        multiply_adds += (channels * 256 + square) * level**2
        parameters += channels * 256 + 256 + square + 256
    multiply_adds += square * (sides[3] ** 2 + sides[4] ** 2)
    parameters += 2 * (square + 256)
    outputs = RETINANET_ANCHORS * (RETINANET_CLASSES + 4)
    head = 2 * 4 * square + 9 * 256 * outputs
    multiply_adds += head * sum(level**2 for level in sides)
    parameters += head + 2 * 4 * 256 + outputs
    return Size(parameters=parameters, train_flop_per_sample=2.0 * (3 * multiply_adds + frozen))


GPT3_LAYERS, GPT3_WIDTH, GPT3_VOCABULARY, GPT3_TOKENS = 96, 12288, 50257, 2048


def gpt3_size() -> Size:
    """GPT-3 175B, sequences of 2048 tokens; causal attention counted once, output projection included."""
    h, s = GPT3_WIDTH, GPT3_TOKENS
    layer = 12 * h * h + 13 * h
    parameters = GPT3_LAYERS * layer + (GPT3_VOCABULARY + s) * h + 2 * h
    forward = GPT3_LAYERS * (2 * 12 * h * h * s + 2 * h * s * s) + 2 * h * GPT3_VOCABULARY * s
    return Size(parameters=parameters, train_flop_per_sample=3.0 * forward)


DLRM_DENSE, DLRM_TABLES, DLRM_EMBEDDING = 13, 26, 128
DLRM_ROWS = (
    40000000, 39060, 17295, 7424, 20265, 3, 7122, 1543, 63, 40000000, 3067956, 405282, 10, 2209, 11938, 155, 4, 976, 14,
    40000000, 40000000, 40000000, 590152, 12973, 108, 36,
)  # fmt: skip
DLRM_CROSS_LAYERS, DLRM_RANK = 3, 512


def dlrm_size() -> Size:
    """DLRM-DCNv2: the dense part only (bottom and top perceptrons, low-rank cross network); the tables are sharded.

    FLOPs: matrix products of the dense part; looking rows up and adding them costs memory bandwidth, not FLOPs.
    """
    wide = (DLRM_TABLES + 1) * DLRM_EMBEDDING
    weights = biases = 0
    for sizes in ((DLRM_DENSE, 512, 256, 128), (wide, 1024, 1024, 512, 256, 1)):
        weights += sum(a * b for a, b in itertools.pairwise(sizes))
        biases += sum(sizes[1:])
    weights += DLRM_CROSS_LAYERS * 2 * wide * DLRM_RANK
    biases += DLRM_CROSS_LAYERS * wide
    return Size(parameters=weights + biases, train_flop_per_sample=3.0 * 2 * weights)


def dlrm_table_bytes() -> int:
    """Bytes of the embedding tables in fp32."""
    return BYTES_PER_PARAMETER * DLRM_EMBEDDING * sum(DLRM_ROWS)


SIZES = {"bert": bert_size, "retinanet": retinanet_size, "gpt3": gpt3_size, "dlrm": dlrm_size}


# BERT and RetinaNet on A100: gamma*max(m, knee) + node_jump*(P > 8) + per_doubling*log2(P).


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLogFit:
    """Knee compute law and node_log reduce law of runs on DGX-like nodes; intervals are 95 %, widened by the tests of bias."""

    gamma_s_per_sample: float
    knee_samples: float
    node_jump_s: float
    per_doubling_s: float
    gamma_interval_s: Interval
    knee_interval_samples: Interval
    node_jump_interval_s: Interval
    per_doubling_interval_s: Interval
    rms: float
    rms_without_knee: float
    signed_errors: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Runs as arrays: learners, local mini-batch, seconds per update."""

    learners: FloatArray
    local_samples: FloatArray
    step_s: FloatArray

    def fit(self, knees: FloatArray, fixed: Mapping[int, float] | None = None) -> StepFit:
        """Least squares on relative errors, non-negative, over the knees given."""
        return best_step_fit(self.learners, self.local_samples, self.step_s, knees, fixed=fixed)


def steps_of(rows: Rows, *, startup_s: float = 0.0, without_evaluation: bool = False) -> Steps:
    """Return wall seconds per update, after start-up or evaluation is taken out of every run where that is asked."""
    run_s = column(rows, "converge_time_s") - startup_s
    if without_evaluation:
        run_s = run_s - column(rows, "evaluation_time_s")
    return Steps(
        learners=column(rows, "learners"),
        local_samples=column(rows, "local_samples"),
        step_s=run_s / column(rows, "updates"),
    )


def profiled(steps: Steps, knees: FloatArray, index: int, centre: float, limit: float) -> Interval:
    """Return the values of one parameter at which the profiled sum of squares stays below `limit`."""

    def excess(value: float) -> float:
        return steps.fit(knees, fixed={index: value}).sum_of_squares - limit

    def edge(inside: float, outside: float) -> float:
        for _ in range(30):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if excess(middle) < 0 else (inside, middle)
        return inside

    top = max(4.0 * centre, 1e-3)
    return (0.0 if excess(0.0) < 0 else edge(centre, 0.0)), edge(centre, top)


def fit_node_log(steps: Steps, variants: Sequence[Steps], knees: FloatArray, parameters: int) -> NodeLogFit:
    """Fit the steps; widen each interval to the best fits of the `variants` of the same runs."""
    base = steps.fit(knees)
    freedom = len(steps.step_s) - parameters
    limit = base.sum_of_squares * (1.0 + float(student.ppf(0.975, freedom)) ** 2 / freedom)
    coarse = knees[::5] if len(knees) > 5 else knees
    others = [variant.fit(knees) for variant in variants]
    admitted = [float(knee) for knee in knees if steps.fit(np.array([knee])).sum_of_squares < limit]

    def widened(interval: Interval, estimates: Sequence[float]) -> Interval:
        return min(interval[0], *estimates), max(interval[1], *estimates)

    def interval(index: int) -> Interval:
        found = profiled(steps, coarse, index, float(base.parameters[index]), limit)
        return widened(found, [float(fit.parameters[index]) for fit in others])

    return NodeLogFit(
        gamma_s_per_sample=float(base.parameters[0]),
        knee_samples=base.knee_samples,
        node_jump_s=float(base.parameters[1]),
        per_doubling_s=float(base.parameters[2]),
        gamma_interval_s=interval(0),
        knee_interval_samples=widened((min(admitted), max(admitted)), [fit.knee_samples for fit in others]),
        node_jump_interval_s=interval(1),
        per_doubling_interval_s=interval(2),
        rms=root_mean_square(base.errors),
        rms_without_knee=root_mean_square(steps.fit(np.array([1.0])).errors),
        signed_errors=tuple(float(error) for error in base.errors),
    )


def rows_for(path: Path, use: str) -> Rows:
    """Return the rows of a file with one use."""
    return [row for row in read_rows(path) if row["used_for"] == use]


BERT_KNEES = np.arange(1.0, 15.001, 0.05)


def fit_bert_a100() -> NodeLogFit:
    """Fit ten NVIDIA runs; the test of bias takes two seconds of start-up out of every run."""
    rows = rows_for(BERT_A100_CSV, "fit")
    return fit_node_log(steps_of(rows), [steps_of(rows, startup_s=STARTUP_S)], BERT_KNEES, parameters=4)


RETINANET_KNEES = np.arange(1.0, 6.001, 0.05)
"""Local mini-batches are 1 and more: a knee of 1 is no knee."""
LARGE_RUN = 1000


def fit_retinanet_a100() -> NodeLogFit:
    """Fit nine runs of v2.1; the tests of bias are start-up, and the seven smaller runs with and without their evaluation.

    In the two largest runs evaluation overlaps training and is half of the run, so it cannot be taken out of them.
    """
    rows = rows_for(RETINANET_A100_CSV, "fit")
    small = [row for row in rows if float(row["learners"]) < LARGE_RUN]
    variants = [steps_of(rows, startup_s=STARTUP_S), steps_of(small), steps_of(small, without_evaluation=True)]
    return fit_node_log(steps_of(rows), variants, RETINANET_KNEES, parameters=4)


def retinanet_without(submitter: str) -> tuple[float, ...]:
    """Return the signed errors of the rows of one submitter when the others alone are fitted."""
    rows = rows_for(RETINANET_A100_CSV, "fit")
    others = steps_of([row for row in rows if row["submitter"] != submitter]).fit(np.array([1.0]))
    theirs = steps_of([row for row in rows if row["submitter"] == submitter])
    gamma, node_jump_s, per_doubling_s, _ = (float(value) for value in others.parameters)
    across = np.where(theirs.learners > 8, node_jump_s, 0.0)
    predicted = gamma * theirs.local_samples + across + per_doubling_s * np.log2(theirs.learners)
    return tuple(float(error) for error in predicted / theirs.step_s - 1.0)


# H100, first results: one or two runs.


@dataclass(frozen=True, slots=True, kw_only=True)
class FewRuns:
    """gamma from one run on one node, with the range that the few other facts allow."""

    gamma_s_per_sample: float
    low_s_per_sample: float
    high_s_per_sample: float


def bert_h100() -> FewRuns:
    """One local mini-batch, 96. High: four nodes; low: less what NVIDIA's software gained from v1.1 to v2.1 on an A100."""
    one, four = (float(row["update_time_s"]) / float(row["local_samples"]) for row in read_rows(BERT_H100_CSV))
    node = {
        row["version"]: float(row["update_time_s"]) for row in rows_for(BERT_A100_CSV, "fit") if float(row["learners"]) == 8
    }
    return FewRuns(gamma_s_per_sample=one, low_s_per_sample=one * node["v2.1"] / node["v1.1"], high_s_per_sample=four)


def retinanet_h100() -> FewRuns:
    """32 images on one node, 8 on four. Low: one node without evaluation; high: four nodes, network included."""
    one, four = read_rows(RETINANET_H100_CSV)
    seconds = (float(one["converge_time_s"]) - float(one["evaluation_time_s"])) / float(one["updates"])
    return FewRuns(
        gamma_s_per_sample=float(one["update_time_s"]) / float(one["local_samples"]),
        low_s_per_sample=seconds / float(one["local_samples"]),
        high_s_per_sample=float(four["update_time_s"]) / float(four["local_samples"]),
    )


# GPT-3 on H100: constant + gamma*m of a learner of 32 accelerators.


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpt3Fit:
    """Affine compute law of a learner; ranges hold the 95 % intervals and the software of v3.0 and v4.0."""

    constant_s: float
    gamma_s_per_sample: float
    constant_range_s: Interval
    gamma_range_s: Interval
    per_doubling_high_s: float
    correlation: float
    rms: float
    earlier_constant_s: float
    earlier_gamma_s_per_sample: float
    later_gamma_s_per_sample: float
    signed_errors: tuple[float, ...]


def fit_gpt3() -> Gpt3Fit:
    """Fit six runs of v3.1 by least squares on relative errors; a term in log2(P) comes out at zero.

    per_doubling_high_s: the largest such term that a 95 % profile allows.
    """
    rows, earlier = rows_for(GPT3_H100_CSV, "fit"), rows_for(GPT3_H100_CSV, "range")
    m, step_s, P = column(rows, "local_samples"), column(rows, "update_time_s"), column(rows, "learners")
    design = np.column_stack([np.ones_like(m), m])
    parameters, covariance, errors = linear_fit(design, step_s)
    deviations = np.sqrt(np.diag(covariance))
    freedom = len(rows) - 2
    half = float(student.ppf(0.975, freedom)) * deviations
    with_log, _ = nnls(np.column_stack([design, np.log2(P)]) / step_s[:, None], np.ones_like(m))
    if with_log[2] > 1e-9:
        raise ValueError("the runs now show a time that grows with the learners: give it to the reduce law")
    limit = float(np.sum(errors**2)) * (1.0 + float(student.ppf(0.975, freedom - 1)) ** 2 / (freedom - 1))

    def excess(per_doubling_s: float) -> float:
        left = 1.0 - per_doubling_s * np.log2(P) / step_s
        solution, _ = nnls(design / step_s[:, None], left)
        return float(np.sum((design @ solution / step_s - left) ** 2)) - limit

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    before, _, _ = linear_fit(
        np.column_stack([np.ones(len(earlier)), column(earlier, "local_samples")]), column(earlier, "update_time_s")
    )
    v4 = read_rows(GPT3_OTHERS_CSV)[0]
    learners = float(v4["accelerators"]) / float(v4["accelerators_per_learner"])
    later = learners / float(v4["samples_per_s"])
    return Gpt3Fit(
        constant_s=float(parameters[0]),
        gamma_s_per_sample=float(parameters[1]),
        constant_range_s=(float(parameters[0] - half[0]), float(max(parameters[0] + half[0], before[0]))),
        gamma_range_s=(float(min(parameters[1] - half[1], later)), float(max(parameters[1] + half[1], before[1]))),
        per_doubling_high_s=low,
        correlation=float(covariance[0, 1] / deviations.prod()),
        rms=root_mean_square(errors),
        earlier_constant_s=float(before[0]),
        earlier_gamma_s_per_sample=float(before[1]),
        later_gamma_s_per_sample=later,
        signed_errors=tuple(float(error) for error in errors),
    )


# DLRM-DCNv2 on H100: gamma*m + node_jump*(P > 8).


@dataclass(frozen=True, slots=True, kw_only=True)
class DlrmFit:
    """Proportional compute law and a jump at the node boundary; ranges hold the 95 % intervals and the software of v3.0."""

    gamma_s_per_sample: float
    node_jump_s: float
    gamma_range_s: Interval
    node_jump_range_s: Interval
    correlation: float
    rms: float
    smallest_local_samples: float
    signed_errors: tuple[float, ...]


def fit_dlrm() -> DlrmFit:
    """Fit four runs of v3.1 and v4.0 by least squares on relative errors; a constant and a term in log2(P) come out at zero."""

    def design_of(rows: Rows) -> FloatArray:
        m, P = column(rows, "local_samples"), column(rows, "learners")
        return np.column_stack([m, (P > 8).astype(np.float64)])

    rows, earlier = rows_for(DLRM_H100_CSV, "fit"), rows_for(DLRM_H100_CSV, "range")
    design, step_s = design_of(rows), column(rows, "update_time_s")
    parameters, covariance, errors = linear_fit(design, step_s)
    deviations = np.sqrt(np.diag(covariance))
    half = float(student.ppf(0.975, len(rows) - 2)) * deviations
    more = np.column_stack([design, np.ones_like(step_s), np.log2(column(rows, "learners"))])
    solution, _ = nnls(more / step_s[:, None], np.ones_like(step_s))
    if max(solution[2:]) > 1e-9:
        raise ValueError("the runs now show a constant or a time that grows with the learners: give it to the laws")
    before, _, _ = linear_fit(design_of(earlier), column(earlier, "update_time_s"))
    return DlrmFit(
        gamma_s_per_sample=float(parameters[0]),
        node_jump_s=float(parameters[1]),
        gamma_range_s=(float(parameters[0] - half[0]), float(max(parameters[0] + half[0], before[0]))),
        node_jump_range_s=(float(parameters[1] - half[1]), float(max(parameters[1] + half[1], before[1]))),
        correlation=float(covariance[0, 1] / deviations.prod()),
        rms=root_mean_square(errors),
        smallest_local_samples=float(min(column(rows, "local_samples"))),
        signed_errors=tuple(float(error) for error in errors),
    )


# Shares of the peak.


def utilisations() -> dict[str, dict[str, float]]:
    """Return, by workload and system, the share of the peak that training reaches.

    From gamma where it was fitted, else from a whole step over its samples (a lower bound).
    """
    flop = {name: size().train_flop_per_sample for name, size in SIZES.items()}

    def share(name: str, peak_flop_per_s: float, s_per_sample: float) -> float:
        return flop[name] / (peak_flop_per_s * s_per_sample)

    def others(name: str, path: Path) -> dict[str, float]:
        return {
            row["accelerator"]: share(
                name, float(row["peak_flop_per_s"]), float(row["update_time_s"]) / float(row["local_samples"])
            )
            for row in read_rows(path)
        }

    gpt3 = {
        f"{row['accelerator']} {row['accelerators']}": flop["gpt3"]
        * float(row["samples_per_s"])
        / (float(row["accelerators"]) * float(row["peak_flop_per_s"]))
        for row in read_rows(GPT3_OTHERS_CSV)
    }
    return {
        "bert": {
            "a100-sxm-80": share("bert", A100_BF16_FLOP_PER_S, fit_bert_a100().gamma_s_per_sample),
            "h100-sxm": share("bert", H100_BF16_FLOP_PER_S, bert_h100().gamma_s_per_sample),
            **others("bert", BERT_OTHERS_CSV),
        },
        "retinanet": {
            "a100-sxm-80": share("retinanet", A100_BF16_FLOP_PER_S, fit_retinanet_a100().gamma_s_per_sample),
            "h100-sxm": share("retinanet", H100_BF16_FLOP_PER_S, retinanet_h100().gamma_s_per_sample),
            **others("retinanet", RETINANET_OTHERS_CSV),
        },
        "gpt3": {
            "h100-sxm": share("gpt3", H100_FP8_FLOP_PER_S * GPT3_ACCELERATORS_PER_LEARNER, fit_gpt3().gamma_s_per_sample),
            **gpt3,
        },
        "dlrm": {"h100-sxm": share("dlrm", H100_BF16_FLOP_PER_S, fit_dlrm().gamma_s_per_sample)},
    }


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def derive_all() -> dict[str, object]:
    """Return every derived number."""
    return {
        "updates": {name: asdict(fit_updates_law(path)) for name, path in RCP_CSVS.items()},
        "sizes": {name: {**asdict(size()), "gradient_bytes": size().gradient_bytes} for name, size in SIZES.items()},
        "dlrm_table_bytes": dlrm_table_bytes(),
        "bert_a100": asdict(fit_bert_a100()),
        "retinanet_a100": asdict(fit_retinanet_a100()),
        "retinanet_without_hpe": retinanet_without("HPE"),
        "bert_h100": asdict(bert_h100()),
        "retinanet_h100": asdict(retinanet_h100()),
        "gpt3": asdict(fit_gpt3()),
        "dlrm": asdict(fit_dlrm()),
        "utilisation": utilisations(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(derive_all(), indent=2) + "\n")
