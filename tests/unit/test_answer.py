from __future__ import annotations

import math
import warnings
from typing import Any

import pytest

from simulator.compute import CrossValidation, KneeCompute, TabulatedCompute
from simulator.convergence import InverseLaw, TabulatedUpdates
from simulator.errors import InfeasibleError, SlowdownWarning
from simulator.network.laws import ConstantReduce
from simulator.optimum import Limits
from simulator.studies.answer import answer
from simulator.time_to_converge import TimeToConverge


def model(**given: Any) -> TimeToConverge:
    """T_C = (1000 + 64000/M) * (max(M/P, 8)/128 + 1/32): one learner takes 562.5 s at best, four 339.6."""
    laws: dict[str, Any] = {
        "convergence": InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
        "compute": KneeCompute(gamma_s_per_sample=1 / 128, knee_samples=8),
        "reduce": ConstantReduce(delta_s=1 / 32),
    }
    return TimeToConverge(**{**laws, **given})


def test_given_request_by_hand() -> None:
    # 2000 updates of 16/128 + 1/32 = 0.15625 s; M_opt = max(sqrt(64/32 * 4 * 128), 32) = 32
    found = answer(model(), Limits(), learners=4, batch_samples=64)
    assert (found.learners, found.batch_samples, found.local_samples) == (4.0, 64.0, 16.0)
    assert (found.updates, found.update_time_s, found.converge_time_s) == (2000.0, 0.15625, 312.5)
    assert (found.compute_time_s, found.reduce_time_s, found.samples_processed) == (0.125, 0.03125, 128_000.0)
    assert (found.branch, found.bound, found.bottleneck) == (None, None, "compute")
    # (1000 + 2000) * (8/128 + 1/32) = 281.25
    assert (found.best_batch_samples, found.best_converge_time_s) == (32.0, 281.25)
    assert found.flat_range_samples[0] <= 32 <= found.flat_range_samples[1]
    assert found.shares.compute == pytest.approx(0.8, rel=1e-15)


def test_best_mini_batch_is_its_own_yardstick() -> None:
    found = answer(model(), Limits(), learners=4)
    assert found.batch_samples == found.best_batch_samples == 32.0
    assert found.converge_time_s == found.best_converge_time_s == 281.25
    assert (found.branch, found.bound) == ("knee", "knee")


def test_best_learners_are_searched_up_to_those_at_hand() -> None:
    found = answer(model(), Limits(), learners="best", max_learners=16)
    assert found.learners == 16.0
    assert answer(model(), Limits(), learners="best", max_learners=1).learners == 1.0


def test_best_learners_at_a_given_mini_batch() -> None:
    # strong scaling of 64 samples: down to the knee at P = 8, flat beyond; the fewest of the fastest
    found = answer(model(), Limits(), learners="best", batch_samples=64, max_learners=100)
    assert (found.learners, found.batch_samples) == (8.0, 64.0)
    # two samples occupy two learners at most, and both are below the knee: one is faster
    assert answer(model(), Limits(), learners="best", batch_samples=2, max_learners=100).learners == 1.0


def test_best_learners_need_to_know_how_many_there_are() -> None:
    with pytest.raises(ValueError, match=r"^max_learners must be >= 1 where the best number of learners is asked, got None$"):
        answer(model(), Limits(), learners="best")


@pytest.mark.parametrize("batch", ["best", 64])
def test_no_learners_at_hand_is_refused(batch: Any) -> None:
    with pytest.raises((ValueError, InfeasibleError), match="max_learners"):
        answer(model(), Limits(), learners="best", batch_samples=batch, max_learners=0)


def test_slower_than_one_learner_is_a_warning() -> None:
    slow = model(reduce=ConstantReduce(delta_s=0.5))
    with pytest.warns(
        SlowdownWarning,
        match=r"^one learner alone would be faster: 562.5 s at batch_samples = 8, against 1125 s on 4 learners$",
    ):
        answer(slow, Limits(), learners=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer(slow, Limits(), learners=1, batch_samples=500)
        answer(slow, Limits(), learners="best", max_learners=4)
        # one learner cannot take part here
        answer(model(reduce=ConstantReduce(delta_s=0.5), max_local_samples=32), Limits(min_batch_samples=64), learners=4)


@pytest.mark.parametrize(
    ("laws", "limits", "batch", "message"),
    [
        ({}, Limits(), 3, r"^batch_samples must be >= 4 for 4 learners \(each learner needs a sample\), got 3$"),
        (
            {"max_local_samples": 8},
            Limits(),
            64,
            r"^batch_samples must be <= 32 for 4 learners \(max_local_samples = 8 per learner; accumulate gradients or add "
            r"learners\), got 64$",
        ),
        (
            {},
            Limits(data_set_samples=50),
            64,
            r"^batch_samples must be <= 50 for 4 learners \(data_set_samples: the data set has no more\), got 64$",
        ),
        (
            {"convergence": InverseLaw(n_inf_updates=0, alpha_samples=32)},
            Limits(),
            64,
            r"^batch_samples must be <= 32 for 4 learners \(there the law reaches one update and ends\), got 64$",
        ),
        (
            {"convergence": TabulatedUpdates(batch_samples=(32, 64), updates_at=(100, 50))},
            Limits(),
            16,
            r"^batch_samples must be >= 32 for 4 learners \(outside the range of the laws\), got 16$",
        ),
    ],
)
def test_given_mini_batch_that_cannot_run_is_refused(laws: dict[str, Any], limits: Limits, batch: float, message: str) -> None:
    with pytest.raises(InfeasibleError, match=message):
        answer(model(**laws), limits, learners=4, batch_samples=batch)


@pytest.mark.parametrize(
    "laws",
    [
        {"convergence": TabulatedUpdates(batch_samples=(16, 64), updates_at=(100, 50))},
        {"compute": TabulatedCompute(local_samples=(4, 16), compute_time_at_s=(0.5, 1.0))},
    ],
)
def test_end_of_a_table_is_not_called_the_last_update(laws: dict[str, Any]) -> None:
    with pytest.raises(InfeasibleError, match=r"^batch_samples must be <= 64 for 4 learners ") as refusal:
        answer(model(**laws), Limits(), learners=4, batch_samples=1000)
    assert "one update" not in str(refusal.value)


def test_too_few_samples_for_the_micro_batches_are_called_that() -> None:
    with pytest.raises(InfeasibleError, match=r"^batch_samples must be >= 16 for 4 learners .*micro-batch"):
        answer(model(accumulation=4, rounding="whole"), Limits(), learners=4, batch_samples=10)


@pytest.mark.parametrize(
    "limits",
    [Limits(max_batch_samples=32), Limits(largest_measured_samples=16), Limits(min_batch_samples=100)],
)
def test_bounds_of_the_search_do_not_bind_a_given_mini_batch(limits: Limits) -> None:
    assert answer(model(), limits, learners=4, batch_samples=64).converge_time_s == 312.5


@pytest.mark.parametrize("limits", [Limits(max_batch_samples=10), Limits(largest_measured_samples=10)])
def test_given_mini_batch_is_answered_where_the_search_has_no_room(limits: Limits) -> None:
    # 64 learners need 64 samples; the search may not go beyond 10 or 20, which does not bind a given 128
    found = answer(model(), limits, learners=64, batch_samples=128)
    assert found.converge_time_s == 1500 * (8 / 128 + 1 / 32)


def test_no_learner_can_hold_the_mini_batch() -> None:
    with pytest.raises(InfeasibleError, match=r"^batch_samples must be <= 16 for 4 learners"):
        answer(model(max_local_samples=4), Limits(), learners="best", batch_samples=64, max_learners=4)


@pytest.mark.parametrize("batch", [0.5, 0.0, -3.0])
def test_less_than_a_sample_is_refused(batch: float) -> None:
    with pytest.raises((ValueError, InfeasibleError), match=f"^batch_samples must be >= 1.*, got {batch:g}$"):
        answer(model(), Limits(), learners="best", batch_samples=batch, max_learners=4)
    with pytest.raises((ValueError, InfeasibleError), match=f"^batch_samples must be >= 1.*, got {batch:g}$"):
        answer(model(), Limits(), learners=1, batch_samples=batch)


def test_whole_runs_have_whole_mini_batches() -> None:
    with pytest.raises((ValueError, InfeasibleError), match=r"^batch_samples must be a whole number.*got 64.5$"):
        answer(model(rounding="whole"), Limits(), learners=4, batch_samples=64.5)


@pytest.mark.parametrize(
    ("laws", "batch", "bottleneck"),
    [
        ({}, 64, "compute"),
        ({"reduce": ConstantReduce(delta_s=0.2)}, 32, "communication"),
        ({"input_samples_per_s": 100.0}, 64, "input"),
        ({"rounding": "whole", "reduce": ConstantReduce(delta_s=0)}, 65, "compute"),
        ({"cross_validation": CrossValidation(every_updates=1, samples=10_000)}, 64, "cross_validation"),
    ],
)
@pytest.mark.filterwarnings("ignore::simulator.errors.SlowdownWarning")
def test_bottleneck_is_the_largest_share(laws: dict[str, Any], batch: float, bottleneck: str) -> None:
    assert answer(model(**laws), Limits(), learners=4, batch_samples=batch).bottleneck == bottleneck


@pytest.mark.filterwarnings("ignore::simulator.errors.SlowdownWarning")
def test_waiting_can_be_the_bottleneck() -> None:
    # 101 samples on 100 learners, no knee to speak of: one learner has two samples, 99 have one
    uneven = model(
        compute=KneeCompute(gamma_s_per_sample=1.0, knee_samples=0.01), reduce=ConstantReduce(delta_s=0), rounding="whole"
    )
    found = answer(uneven, Limits(), learners=100, batch_samples=101)
    assert found.shares.waiting == pytest.approx((2 - 1.01) / 2, rel=1e-12)
    assert found.bottleneck == "compute"  # 1.01 of 2


def test_infinite_or_missing_numbers_are_refused() -> None:
    for batch in (math.nan, math.inf):
        with pytest.raises((ValueError, InfeasibleError), match=r"^batch_samples must be "):
            answer(model(), Limits(), learners=4, batch_samples=batch)
