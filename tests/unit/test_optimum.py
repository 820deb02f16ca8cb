from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from simulator.compute import AffineCompute, CrossValidation, KneeCompute, TabulatedCompute
from simulator.convergence import InverseLaw, PowerLaw, TabulatedUpdates
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce, LinearReduce, NoReduce
from simulator.optimum import Limits, Optimum, admissible_batch_samples, best_batch, best_learners, flat_range
from simulator.overlap import MaxOverlap
from simulator.quantities import ArrayLike, FloatArray
from simulator.theory import NoiseFloorLaw
from simulator.time_to_converge import TimeToConverge


def model(**given: Any) -> TimeToConverge:
    """T_C = (1000 + 64000/M) * (max(M/P, 8)/128 + 0.5): M_opt = max(sqrt(4096 P), 8 P)."""
    laws: dict[str, Any] = {
        "convergence": InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
        "compute": KneeCompute(gamma_s_per_sample=1 / 128, knee_samples=8),
        "reduce": ConstantReduce(delta_s=0.5),
    }
    return TimeToConverge(**{**laws, **given})


TABLE = TabulatedCompute(local_samples=(4, 64), compute_time_at_s=(0.5, 1.0))


def test_optimum_is_equation_9_where_it_holds() -> None:
    # sqrt(64 * 0.5 * 4 * 128) = 128, and 8 * 100 at the knee
    assert best_batch(model(), Limits(), 4) == Optimum(
        learners=4.0, batch_samples=128.0, converge_time_s=1125.0, branch="interior", bound=None
    )
    at_knee = best_batch(model(), Limits(), 100)
    assert (at_knee.batch_samples, at_knee.branch, at_knee.bound) == (800.0, "knee", "knee")
    alone = best_batch(model(), Limits(), 1)
    assert (alone.batch_samples, alone.converge_time_s, alone.branch) == (8.0, 562.5, "knee")  # 9000 * 8/128


def test_optimal_batch_grows_with_learners() -> None:
    for rounding in ("exact", "ceil", "whole"):
        batches = [best_batch(model(rounding=rounding), Limits(), P).batch_samples for P in (1, 2, 4, 16, 64, 100, 128)]
        assert batches == sorted(batches)
        assert len(set(batches)) == len(batches)


@pytest.mark.parametrize("rounding", ["exact", "ceil", "whole"])
@pytest.mark.parametrize(
    ("limits", "laws", "batch", "bound"),
    [
        (Limits(data_set_samples=64), {}, 64, "data_set"),
        (Limits(largest_measured_samples=32), {}, 64, "largest_measured"),
        (Limits(max_batch_samples=64), {}, 64, "max_batch"),
        (Limits(min_batch_samples=400), {}, 400, "min_batch"),
        (Limits(), {"max_local_samples": 16}, 64, "memory"),
        (Limits(), {"max_local_samples": 2, "accumulation": 2}, 16, "memory"),
        (Limits(), {"convergence": TabulatedUpdates(batch_samples=(16, 64), updates_at=(5000, 2000))}, 64, "law_end"),
        (
            Limits(),
            {"compute": TabulatedCompute(local_samples=(4, 16), compute_time_at_s=(0.1, 0.125))},
            64,
            "law_end",
        ),
        (
            Limits(),
            {"compute": AffineCompute(gamma_s_per_sample=1.0), "reduce": ConstantReduce(delta_s=0)},
            4,
            "one_sample_per_learner",
        ),
    ],
)
def test_active_bound_is_named(limits: Limits, laws: dict[str, Any], batch: float, bound: str, rounding: Any) -> None:
    optimum = best_batch(model(**laws, rounding=rounding), limits, 4)
    assert (optimum.batch_samples, optimum.branch, optimum.bound) == (batch, "bound", bound)


@pytest.mark.parametrize("rounding", ["exact", "ceil", "whole"])
def test_memory_that_ends_at_the_knee_is_the_bound_where_more_would_be_faster(rounding: Any) -> None:
    # M_opt = 128 without the memory of 8 samples per learner, which is the knee as well
    optimum = best_batch(model(max_local_samples=8, rounding=rounding), Limits(), 4)
    assert (optimum.batch_samples, optimum.branch, optimum.bound) == (32.0, "bound", "memory")


def test_law_without_a_floor_has_its_optimum_where_it_ends() -> None:
    # -9 + 640/M = 1 at M = 64: Gamma + Delta = 16/128 + 0.5
    falling = InverseLaw(n_inf_updates=-9, alpha_samples=640)
    optimum = best_batch(model(convergence=falling), Limits(), 4)
    assert optimum.batch_samples == pytest.approx(64, rel=1e-12)
    assert optimum.bound == "law_end"
    assert optimum.converge_time_s == pytest.approx(0.625, rel=1e-8)


def test_cross_validation_is_overhead_that_the_closed_form_includes() -> None:
    # a pass of 512 samples on 4 learners every 4 updates adds (1/4) * 128/128 = 0.25 s: sqrt(64 * 0.75 * 4 * 128)
    validation = CrossValidation(every_updates=4, samples=512)
    optimum = best_batch(model(cross_validation=validation), Limits(), 4)
    assert optimum.batch_samples == pytest.approx(math.sqrt(64 * 0.75 * 512), rel=1e-14)


def test_search_finds_the_kink_of_a_maximum() -> None:
    # max(Gamma, Delta): N falls until Gamma = M/4/128 = 0.5 at M = 256, beyond (1000 + 64000/M) M rises
    optimum = best_batch(model(overlap=MaxOverlap()), Limits(), 4)
    assert optimum.batch_samples == pytest.approx(256, rel=1e-8)
    assert optimum.converge_time_s == pytest.approx(1250 * 0.5, rel=1e-9)


def test_admissible_range_names_both_ends() -> None:
    assert admissible_batch_samples(model(), Limits(), 4)[0] == (4.0, "one_sample_per_learner")
    assert admissible_batch_samples(model(), Limits(), 4)[1][0] == math.inf
    whole = model(rounding="whole", accumulation=3)
    assert admissible_batch_samples(whole, Limits(min_batch_samples=2.5, max_batch_samples=99.5), 4) == (
        (12.0, "one_sample_per_learner"),
        (99.0, "max_batch"),
    )


@pytest.mark.parametrize(
    ("laws", "limits", "message"),
    [
        (
            {},
            Limits(data_set_samples=3),
            "^no mini-batch is admissible for 4 learners: one sample per learner asks for at least 4 samples, the data set "
            r"\(data_set_samples\) allows at most 3; use fewer learners, or move data_set_samples$",
        ),
        (
            {"max_local_samples": 8},
            Limits(min_batch_samples=64),
            r"min_batch_samples asks for at least 64 samples, the memory \(max_local_samples = 8 per learner\) "
            "allows at most 32",
        ),
        (
            {"rounding": "whole", "accumulation": 2},
            Limits(max_batch_samples=5),
            "one sample per learner and micro-batch asks for at least 8 samples, max_batch_samples allows at most 5",
        ),
        ({}, Limits(largest_measured_samples=1), "2 times the largest measured mini-batch allows at most 2"),
        (
            {"convergence": InverseLaw(n_inf_updates=0, alpha_samples=3)},
            Limits(),
            "the range of the laws allows at most 3",
        ),
    ],
)
def test_contradicting_bounds_are_both_named(laws: dict[str, Any], limits: Limits, message: str) -> None:
    with pytest.raises(InfeasibleError, match=message):
        best_batch(model(**laws), limits, 4)


def test_endless_fall_is_refused() -> None:
    flat = TabulatedCompute(local_samples=(8, 64), compute_time_at_s=(1, 1), extrapolate=True)
    falling = model(convergence=PowerLaw(one_sample_updates=1e300, exponent=0.4), compute=flat)
    with pytest.raises(
        InfeasibleError, match=r"^T_C falls with the mini-batch without end: give max_batch_samples or another bound$"
    ):
        best_batch(falling, Limits(), 4)


@pytest.mark.parametrize("rounding", ["exact", "ceil", "whole"])
@pytest.mark.parametrize(
    "laws",
    [
        {"compute": TABLE, "accumulation": 4},
        {"compute": TABLE, "accumulation": "auto", "max_local_samples": 6},
        {"compute": TABLE, "accumulation": "auto", "max_local_samples": 200},
        {"compute": TabulatedCompute(local_samples=(1.5, 10.5), compute_time_at_s=(0.5, 0.6))},
        {"compute": TABLE, "cross_validation": CrossValidation(every_updates=10, samples=1000)},
    ],
    ids=["accumulating", "memory_splits", "memory_beyond_table", "fractional_table", "large_evaluation"],
)
def test_tables_are_not_asked_outside_their_range(laws: dict[str, Any], rounding: Any) -> None:
    try:
        optimum = best_batch(model(**laws, rounding=rounding), Limits(), 4)
    except InfeasibleError:
        return  # a refusal that says which bounds contradict each other
    except ValueError as error:  # or that says why memory cannot split the samples
        assert str(error).startswith("accumulation must be a number where compute times are measured from 4 samples")  # noqa: PT017
        return
    assert optimum.converge_time_s > 0


def test_memory_holds_whole_samples() -> None:
    slow = model(max_local_samples=10.5, reduce=ConstantReduce(delta_s=50), rounding="whole")
    optimum = best_batch(slow, Limits(), 4)
    assert slow.local_samples(optimum.batch_samples, 4) <= 10.5


def test_micro_batches_hold_no_more_than_the_memory() -> None:
    # 5 samples in a memory of 2.5 need three micro-batches of 2, 2 and 1, each at the knee of 8
    auto = model(max_local_samples=2.5, accumulation="auto", rounding="whole")
    assert auto.compute_time_s(20, 4) == 3 * 8 / 128


LIMITS = ("data_set_samples", "largest_measured_samples", "min_batch_samples", "max_batch_samples")


@pytest.mark.parametrize("name", LIMITS)
def test_limits_refuse_what_is_not_a_number(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*got nan$"):
        best_batch(model(), Limits(**{name: math.nan}), 4)


@pytest.mark.parametrize("name", [name for name in LIMITS if name != "min_batch_samples"])
@pytest.mark.parametrize("value", [0.0, -5.0])
def test_limits_leave_room_for_a_sample(name: str, value: float) -> None:
    with pytest.raises((ValueError, InfeasibleError)):
        best_batch(model(), Limits(**{name: value}), 4)


@pytest.mark.parametrize("learners", [0, -1, 0.5, math.nan])
def test_fewer_than_one_learner_is_refused(learners: float) -> None:
    with pytest.raises(ValueError, match=r"^learners must be "):
        best_batch(model(), Limits(), learners)


def test_one_learner_wins_where_communication_is_slow() -> None:
    optimum = best_learners(model(reduce=ConstantReduce(delta_s=60)), Limits(), 8)
    assert (optimum.learners, optimum.batch_samples) == (1.0, 8.0)


def test_all_learners_are_named_as_the_bound() -> None:
    fast = model(reduce=ConstantReduce(delta_s=0.25))
    optimum = best_learners(fast, Limits(), 16)
    assert (optimum.learners, optimum.branch, optimum.bound) == (16.0, "interior", "learners")
    assert best_learners(model(), Limits(), 1).bound == "knee"


def test_best_learners_looks_only_at_the_candidates() -> None:
    server = model(reduce=LinearReduce(delta_s=0.001))
    # sqrt(64 * 1/128 * 1000) = 22.4 is best: 16 and 32 are the neighbours in the list
    assert best_learners(server, Limits(), 64).learners == 22.0
    assert best_learners(server, Limits(), 64, candidates=[8, 16, 32, 64]).learners in {16.0, 32.0}


def test_best_learners_refuses_where_none_is_feasible() -> None:
    with pytest.raises(InfeasibleError, match=r"^no mini-batch is admissible for 1 learner: min_batch_samples asks"):
        best_learners(model(max_local_samples=4), Limits(min_batch_samples=64), 8)


@pytest.mark.parametrize("most", [0, -1])
def test_best_learners_needs_a_learner(most: int) -> None:
    with pytest.raises((ValueError, InfeasibleError), match="max_learners"):
        best_learners(model(), Limits(), most)


def test_best_learners_needs_a_candidate() -> None:
    with pytest.raises((ValueError, InfeasibleError), match="candidates"):
        best_learners(model(), Limits(), 8, candidates=[])


def test_flat_range_by_hand() -> None:
    # T(x) = 1000 (1 + 64/M)(M/512 + 0.5) = 1000 (0.625 + M/512 + 32/M) <= 1.05 * 1125:
    # M^2 - 512 * 0.55625 M + 16384 = 0
    middle = 512 * 0.55625 / 2
    half = math.sqrt(middle**2 - 16_384)
    low, high = flat_range(model(), Limits(), best_batch(model(), Limits(), 4))
    # T is linear across its 5 % ends, so that M is as exact as T: some roundings times 1 / 0.05
    assert (low, high) == pytest.approx((middle - half, middle + half), rel=1e-12)


def test_flat_range_of_whole_mini_batches_divides_evenly() -> None:
    whole = model(rounding="whole")
    low, high = flat_range(whole, Limits(), best_batch(whole, Limits(), 4))
    # between 80.0 and 204.8 by the quadratic above; T(80) = 1.05 * 1125 but for rounding, and T(204) = 1314 (51/128 + 0.5)
    assert low in {80.0, 84.0}
    assert high == 204.0


def test_flat_range_ends_at_the_bounds() -> None:
    limits = Limits(min_batch_samples=100, max_batch_samples=150)
    for rounding in ("exact", "whole"):
        m = model(rounding=rounding)
        assert flat_range(m, limits, best_batch(m, limits, 4)) == pytest.approx(
            (100, 148 if rounding == "whole" else 150), rel=1e-14
        )


def test_flat_range_of_a_single_mini_batch_is_that_one() -> None:
    limits = Limits(min_batch_samples=128, max_batch_samples=128)
    for rounding in ("exact", "ceil", "whole"):
        m = model(rounding=rounding)
        assert flat_range(m, limits, best_batch(m, limits, 4)) == (128.0, 128.0)


@dataclass(frozen=True)
class Watched:
    """A compute law that refuses to be asked for more than four million sizes at once."""

    law: KneeCompute

    @property
    def corners_samples(self) -> tuple[float, ...]:
        return self.law.corners_samples

    def compute_time_s(self, local_samples: ArrayLike) -> FloatArray:
        assert np.size(local_samples) <= 4_000_000, "the memory that a question needs must not grow with M"
        return self.law.compute_time_s(local_samples)


def test_wide_flat_range_takes_little_memory() -> None:
    # M_opt about 1e9 on two learners: hundreds of millions of whole local batches are within 5 %
    huge = model(
        convergence=InverseLaw(n_inf_updates=1000, alpha_samples=1e12),
        compute=Watched(KneeCompute(gamma_s_per_sample=1e-9, knee_samples=1)),
        reduce=ConstantReduce(delta_s=1.0),
        rounding="whole",
    )
    low, high = flat_range(huge, Limits(), best_batch(huge, Limits(), 2))
    assert low < 1e9 < high


def test_all_learners_bind_only_where_one_more_would_be_faster() -> None:
    # parameter server: fastest at sqrt(alpha gamma / (delta N_inf)) = sqrt(409600 * 0.01 / (0.01 * 100)) = 64 learners
    server = model(
        convergence=InverseLaw(n_inf_updates=100, alpha_samples=409_600),
        compute=KneeCompute(gamma_s_per_sample=0.01, knee_samples=1),
        reduce=LinearReduce(delta_s=0.01),
    )
    assert [best_learners(server, Limits(), most).learners for most in (63, 64, 65)] == [63, 64, 64]
    assert [best_learners(server, Limits(), most).bound for most in (63, 64, 65)] == ["learners", None, None]


def test_an_optimum_just_above_a_bound_that_is_a_corner_too_is_found() -> None:
    """N = 7.39*ln((482 - F/M)/(1 - F/M)) falls steeply just above its smallest M, so the best M lies 0.6 % above P = 7.

    Brute force: 100,001 points from 7 to 7.3 have their least at 7.0444. The corner of the knee, the lower bound and the
    first point of the grid are all 7.
    """
    steep = model(
        convergence=NoiseFloorLaw(
            initial_error=482, target_error=1, floor_error_samples=6.07807175428536, rate_per_update=math.exp(-2)
        ),
        compute=KneeCompute(gamma_s_per_sample=1, knee_samples=1, constant_s=0.3),
        reduce=NoReduce(),
    )
    grid = np.linspace(7.0, 7.3, 100_001)
    best = best_batch(steep, Limits(data_set_samples=5000), 7)
    assert best.converge_time_s <= float(np.min(steep.converge_time_s(grid, 7)))
    assert best.batch_samples == pytest.approx(float(grid[np.argmin(steep.converge_time_s(grid, 7))]), abs=1e-4)
