"""Random laws, models and bounds that the property and oracle tests share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from simulator.compute import AffineCompute, CrossValidation, KneeCompute, TabulatedCompute
from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, SharpCornerLaw, TabulatedUpdates
from simulator.network.laws import (
    ConstantReduce,
    LinearReduce,
    NodeLogReduce,
    NoReduce,
    RingReduce,
    TwoTierRingReduce,
)
from simulator.overlap import BucketOverlap, HiddenOverlap, MaxOverlap, PowerOverlap, SumOverlap
from simulator.theory import NoiseFloorLaw
from simulator.time_to_converge import ComputeModel, ConvergenceLaw, OverlapLaw, ReduceModel

UPDATES_KINDS = ("inverse", "sharp_corner", "hard_corner", "power", "table", "noise_floor")
COMPUTE_KINDS = ("knee", "affine", "table")
REDUCE_KINDS = ("none", "constant", "linear", "node_log", "two_tier_ring", "ring")
OVERLAP_KINDS = ("sum", "max", "power", "hidden", "buckets")


def decades(lowest: float, highest: float) -> st.SearchStrategy[float]:
    """Numbers spread evenly over the decades from `lowest` to `highest`."""
    return st.floats(math.log(lowest), math.log(highest)).map(math.exp)


def increasing(lowest: float, highest: float) -> st.SearchStrategy[list[float]]:
    """Two to six increasing whole numbers, so far apart that a line through neighbours is well conditioned."""
    exponents = st.lists(st.integers(0, 20), min_size=2, max_size=6, unique=True).map(sorted)
    ratio = (highest / lowest) ** (1 / 20)
    return exponents.map(lambda powers: sorted({float(round(lowest * ratio**power)) for power in powers})).filter(
        lambda points: len(points) > 1
    )


@st.composite
def updates_tables(draw: st.DrawFn, lowest: float = 2.0, highest: float = 4096.0) -> TabulatedUpdates:
    batches = draw(increasing(lowest, highest))
    counts = sorted(draw(st.lists(decades(1.0, 1e5), min_size=len(batches), max_size=len(batches))), reverse=True)
    return TabulatedUpdates(
        batch_samples=tuple(batches),
        updates_at=tuple(max(1.0, count) for count in counts),
        extrapolate=draw(st.booleans()),
    )


@st.composite
def compute_tables(draw: st.DrawFn, *, extrapolate: bool | None = None) -> TabulatedCompute:
    points = draw(increasing(1.0, 512.0))
    times = sorted(
        float(f"{time:.6g}") for time in draw(st.lists(decades(1e-3, 10.0), min_size=len(points), max_size=len(points)))
    )
    # six digits, as measured: two times that differ by a rounding error have no slope that could be continued
    return TabulatedCompute(
        local_samples=tuple(points),
        compute_time_at_s=tuple(times),
        extrapolate=draw(st.booleans()) if extrapolate is None else extrapolate,
    )


@st.composite
def updates_laws(draw: st.DrawFn, kind: str) -> ConvergenceLaw:
    alpha = draw(decades(1e2, 1e7))
    n_inf = draw(decades(1e-2, 1e4))
    match kind:
        case "inverse":
            return InverseLaw(n_inf_updates=draw(st.sampled_from((n_inf, 0.0, -n_inf / 10))), alpha_samples=alpha)
        case "sharp_corner":
            return SharpCornerLaw(n_inf_updates=n_inf, alpha_samples=alpha, sharpness=draw(st.floats(0.3, 8.0)))
        case "hard_corner":
            return HardCornerLaw(n_inf_updates=n_inf, alpha_samples=alpha)
        case "power":
            return PowerLaw(one_sample_updates=draw(decades(1e2, 1e7)), exponent=draw(st.floats(0.1, 1.0)))
        case "table":
            return draw(updates_tables())
        case "noise_floor":
            target = draw(decades(1e-3, 1.0))
            return NoiseFloorLaw(
                initial_error=target * draw(st.floats(1.5, 1e3)),
                target_error=target,
                floor_error_samples=target * draw(decades(0.1, 100.0)),
                rate_per_update=draw(decades(1e-5, 0.3)),
            )
    raise AssertionError(kind)


@st.composite
def compute_laws(draw: st.DrawFn, kind: str, *, extrapolate: bool | None = None) -> ComputeModel:
    gamma = draw(decades(1e-6, 1.0))
    constant = draw(st.sampled_from((0.0, 0.3, 20.0))) * gamma
    match kind:
        case "knee":
            return KneeCompute(gamma_s_per_sample=gamma, knee_samples=draw(decades(0.5, 200.0)), constant_s=constant)
        case "affine":
            return AffineCompute(gamma_s_per_sample=gamma, constant_s=constant)
        case "table":
            return draw(compute_tables(extrapolate=extrapolate))
    raise AssertionError(kind)


@st.composite
def reduce_laws(draw: st.DrawFn, kind: str) -> ReduceModel:
    seconds = st.one_of(st.just(0.0), decades(1e-6, 10.0))
    per_node = float(draw(st.integers(1, 16)))
    match kind:
        case "none":
            return NoReduce()
        case "constant":
            return ConstantReduce(delta_s=draw(seconds))
        case "linear":
            return LinearReduce(delta_s=draw(seconds))
        case "node_log":
            return NodeLogReduce(
                in_node_s=draw(seconds),
                node_jump_s=draw(seconds),
                per_doubling_s=draw(seconds),
                learners_per_node=per_node,
            )
        case "two_tier_ring":
            return TwoTierRingReduce(in_node_s=draw(seconds), across_nodes_s=draw(seconds), learners_per_node=per_node)
        case "ring":
            return RingReduce(
                latency_s=draw(seconds),
                bandwidth_bytes_per_s=draw(decades(1e6, 1e12)),
                gradient_bytes=draw(decades(1e3, 1e11)),
            )
    raise AssertionError(kind)


@st.composite
def overlap_laws(draw: st.DrawFn, kind: str) -> OverlapLaw:
    match kind:
        case "sum":
            return SumOverlap()
        case "max":
            return MaxOverlap()
        case "power":
            return PowerOverlap(exponent=draw(st.one_of(st.sampled_from((1.0, 2.0, math.inf)), st.floats(1.0, 50.0))))
        case "hidden":
            return HiddenOverlap(fraction=draw(st.floats(0.0, 1.0)))
        case "buckets":
            shares = draw(st.one_of(st.just([]), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12)))
            return BucketOverlap(
                buckets=len(shares) or draw(st.integers(1, 40)),
                backward_fraction=draw(st.floats(0.0, 1.0)),
                bucket_shares=tuple(share / sum(shares) for share in shares),
            )
    raise AssertionError(kind)


def any_updates_law() -> st.SearchStrategy[ConvergenceLaw]:
    return st.sampled_from(UPDATES_KINDS).flatmap(updates_laws)


def any_compute_law(*, extrapolate: bool | None = None) -> st.SearchStrategy[ComputeModel]:
    return st.sampled_from(COMPUTE_KINDS).flatmap(lambda kind: compute_laws(kind, extrapolate=extrapolate))


def any_reduce_law() -> st.SearchStrategy[ReduceModel]:
    return st.sampled_from(REDUCE_KINDS).flatmap(reduce_laws)


def any_overlap_law() -> st.SearchStrategy[OverlapLaw]:
    return st.sampled_from(OVERLAP_KINDS).flatmap(overlap_laws)


@st.composite
def cross_validations(draw: st.DrawFn) -> CrossValidation:
    return CrossValidation(
        every_updates=draw(st.sampled_from((1, 3, 20, 100))),
        samples=draw(st.sampled_from((1, 7, 240, 5000))),
        cost_ratio=draw(st.sampled_from((1.0, 1 / 3))),
        stops_run=draw(st.booleans()),
    )


@st.composite
def batches_of(draw: st.DrawFn, law: Any, lowest: float = 0.5, highest: float = 1e8) -> float:
    """Return a mini-batch for which `law` holds."""
    first, last = law.batch_samples_range
    low, high = max(first, min(lowest, last / 10)), min(last, max(highest, 10 * first))
    place = draw(st.floats(0.0, 1.0))
    return float(np.clip(low * (high / low) ** place, low, high))
