"""Optima in whole numbers against trying every mini-batch, timed by an account of the run that is written out here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.compute import AffineCompute, CrossValidation, KneeCompute, TabulatedCompute
from simulator.convergence import HardCornerLaw, InverseLaw, TabulatedUpdates
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce, LinearReduce
from simulator.optimum import Limits, Optimum, best_batch, best_learners
from simulator.theory import NoiseFloorLaw
from simulator.time_to_converge import TimeToConverge
from tests.strategies import (
    any_compute_law,
    any_overlap_law,
    any_reduce_law,
    any_updates_law,
    cross_validations,
    decades,
)

SAME = 1e-12
"""Same operations in another order: some tens of roundings."""


def split(total: int, parts: int) -> list[int]:
    """Whole numbers as equal as can be, the larger ones first."""
    fewer, more = divmod(total, parts)
    return [fewer + 1] * more + [fewer] * (parts - more)


def micro_batches(model: TimeToConverge, local: int, *, evaluating: bool = False) -> list[int]:
    if evaluating or model.accumulation == "auto":
        return split(local, max(1, math.ceil(local / model.max_local_samples)))
    return split(local, int(model.accumulation))


def run_s(model: TimeToConverge, M: int, P: int) -> float:
    """Seconds of one run, learner by learner and micro-batch by micro-batch."""
    real = model.tuning_factor * float(model.convergence.updates(M))
    updates = math.ceil(real * (1 - 1e-12)) if model.rounding == "whole" else real
    validation = model.cross_validation
    if validation and validation.stops_run and model.rounding == "whole":
        updates = math.ceil(updates / validation.every_updates) * int(validation.every_updates)
    slowest = split(M, P)[0]
    computing = sum(float(model.compute.compute_time_s(m)) for m in micro_batches(model, slowest))
    step = float(model.overlap.joined_time_s(np.asarray(computing), model.reduce.reduce_time_s(P)))
    total = updates * max(step, M / model.input_samples_per_s)
    if validation:
        passes = updates / validation.every_updates
        share = split(int(validation.samples), P)[0]
        one_pass = sum(float(model.compute.compute_time_s(m)) for m in micro_batches(model, share, evaluating=True))
        total += (math.floor(passes + 1e-9) if model.rounding == "whole" else passes) * one_pass * validation.cost_ratio
    return total


def admissible(model: TimeToConverge, limits: Limits, M: int, P: int) -> bool:
    """Whether every learner has its samples, every micro-batch fits, and each law and limit allows M."""
    low, high = model.convergence.batch_samples_range
    if not low <= M <= high * (1 + 1e-12) or split(M, P)[-1] < 1 or (limits.min_batch_samples or 1) > M:
        return False
    if limits.max_batch_samples is not None and limits.max_batch_samples < M:
        return False
    if limits.data_set_samples is not None and limits.data_set_samples < M:
        return False
    if limits.largest_measured_samples is not None and 2 * limits.largest_measured_samples < M:
        return False
    if model.accumulation != "auto" and split(M, P)[-1] < model.accumulation:
        return False
    pieces = [m for local in {*split(M, P)} for m in micro_batches(model, local)]
    lowest, highest = getattr(model.compute, "local_samples_range", (0.0, math.inf))
    return max(pieces) <= min(model.max_local_samples, highest) and min(pieces) >= max(lowest, 1)


def every_time_s(model: TimeToConverge, limits: Limits, P: int, largest: int) -> dict[int, float]:
    return {M: run_s(model, M, P) for M in range(P, largest + 1) if admissible(model, limits, M, P)}


@st.composite
def models(draw: st.DrawFn, *, rounding: Any) -> TimeToConverge:
    compute = draw(any_compute_law(extrapolate=True))
    memory = draw(st.sampled_from((math.inf, 1.0, 4.0, 13.0, 100.0)))
    accumulation: Any = draw(st.sampled_from((1, 1, 3, "auto")))
    return TimeToConverge(
        convergence=draw(any_updates_law()),
        compute=compute,
        reduce=draw(any_reduce_law()),
        overlap=draw(any_overlap_law()),
        cross_validation=draw(st.one_of(st.none(), cross_validations())),
        accumulation=1 if accumulation == "auto" and math.isinf(memory) else accumulation,
        max_local_samples=memory,
        tuning_factor=draw(st.sampled_from((1.0, 1.0, 1.3))),
        rounding=rounding,
    )


@dataclass(frozen=True)
class Found:
    optimum: Optimum
    times: dict[int, float]


def found(model: TimeToConverge, limits: Limits, P: int, largest: int) -> Found | None:
    """Both answers; None where both say that there is none."""
    times = every_time_s(model, limits, P, largest)
    try:
        optimum = best_batch(model, limits, P)
    except InfeasibleError:
        assert not times, f"{min(times)} to {max(times)} samples are admissible"
        return None
    assert times, f"found {optimum}, but no mini-batch is admissible"
    return Found(optimum, times)


LIMITS = st.builds(
    Limits,
    data_set_samples=st.integers(1, 400).map(float),
    largest_measured_samples=st.one_of(st.none(), st.sampled_from((16.0, 100.0, 150.0))),
    min_batch_samples=st.one_of(st.none(), st.sampled_from((1.0, 10.0, 65.0))),
    max_batch_samples=st.one_of(st.none(), st.sampled_from((33.0, 128.0, 300.0))),
)


@given(model=models(rounding="whole"), limits=LIMITS, P=st.sampled_from((1, 2, 3, 4, 7, 16)))
@settings(max_examples=250, deadline=None)
def test_whole_optimum_is_the_best_of_all_whole_mini_batches(model: TimeToConverge, limits: Limits, P: int) -> None:
    both = found(model, limits, P, 400)
    if both is None:
        return
    M = both.optimum.batch_samples
    assert int(M) == M
    assert int(M) in both.times
    assert both.optimum.converge_time_s == pytest.approx(both.times[int(M)], rel=SAME)
    assert both.optimum.converge_time_s <= min(both.times.values()) * (1 + SAME)


@given(model=models(rounding="ceil"), limits=LIMITS, P=st.sampled_from((1, 2, 3, 4, 7, 16)))
@settings(max_examples=150, deadline=None)
def test_optimum_with_whole_local_batches_is_the_best_of_all_whole_mini_batches(
    model: TimeToConverge, limits: Limits, P: int
) -> None:
    law_end = model.convergence.batch_samples_range[1]
    assume(not (law_end < 400 and law_end != int(law_end)))  # a real M may then lie between whole ones
    both = found(model, limits, P, 400)
    if both is None:
        return
    assert both.optimum.converge_time_s <= min(both.times.values()) * (1 + SAME)
    if both.optimum.batch_samples == int(both.optimum.batch_samples):
        assert both.optimum.converge_time_s == pytest.approx(both.times[int(both.optimum.batch_samples)], rel=SAME)


@given(
    model=models(rounding="whole"),
    rate=decades(1.0, 1e7),
    data_set=st.integers(10, 1500),
    P=st.sampled_from((1, 3, 8)),
)
@settings(max_examples=60, deadline=None)
def test_whole_optimum_is_the_best_with_a_slow_input_too(model: TimeToConverge, rate: float, data_set: int, P: int) -> None:
    both = found(replace(model, input_samples_per_s=rate), Limits(data_set_samples=data_set), P, data_set)
    if both is not None:
        assert both.optimum.converge_time_s <= min(both.times.values()) * (1 + SAME)


def test_slow_input_and_few_evaluations_leave_one_best_mini_batch_far_from_the_real_one() -> None:
    # Real M: 0.5 s of reducing hide the input up to M = 5000, where 10 + 475000/5000 = 105 updates take 52.5 s. A run does
    # 200 of them there, but only 100 from M = 475000/90 = 5277.8 on: 5278 is best, 52.78 s.
    model = TimeToConverge(
        convergence=InverseLaw(n_inf_updates=10, alpha_samples=475_000),
        compute=KneeCompute(gamma_s_per_sample=1e-6, knee_samples=1),
        reduce=ConstantReduce(delta_s=0.5),
        cross_validation=CrossValidation(every_updates=100, samples=1, cost_ratio=1e-6, stops_run=True),
        input_samples_per_s=10_000.0,
        rounding="whole",
    )
    both = found(model, Limits(data_set_samples=8000), 1000, 8000)
    assert both is not None
    assert min(both.times, key=lambda M: both.times[M]) == 5278
    assert both.optimum.converge_time_s <= min(both.times.values()) * (1 + SAME)


@pytest.mark.parametrize("rounding", ["whole", "ceil", "exact"])
@pytest.mark.parametrize("learners", [1, 2, 5])
def test_law_with_an_open_lower_end_is_searched_above_it(rounding: Any, learners: int) -> None:
    # the floor F/eps = 10 itself is not admissible
    model = TimeToConverge(
        convergence=NoiseFloorLaw(initial_error=1.0, target_error=0.5, floor_error_samples=5.0, rate_per_update=0.01),
        compute=AffineCompute(gamma_s_per_sample=1.0),
        reduce=ConstantReduce(delta_s=0.5),
        rounding=rounding,
    )
    limits = Limits(data_set_samples=100)
    times = every_time_s(model, limits, learners, 100) if rounding != "exact" else {}
    assert best_batch(model, limits, learners).converge_time_s <= min(times.values(), default=math.inf) * (1 + SAME)


@pytest.mark.parametrize("rounding", ["whole", "ceil"])
def test_measured_updates_that_rise_in_between_are_searched_too(rounding: Any) -> None:
    # from 33 to 48 samples the slowest of 16 learners has 3; N rises from 33 on, so 33 beats 48
    model = TimeToConverge(
        convergence=TabulatedUpdates(batch_samples=(16, 33, 64), updates_at=(10_000, 100, 5000)),
        compute=AffineCompute(gamma_s_per_sample=0.001, constant_s=1.0),
        reduce=ConstantReduce(delta_s=1.0),
        rounding=rounding,
    )
    both = found(model, Limits(), 16, 64)
    assert both is not None
    assert both.optimum.converge_time_s <= min(both.times.values()) * (1 + SAME)
    falling_and_rising = TabulatedUpdates(batch_samples=(16, 30, 64), updates_at=(1000, 100, 5000))
    both = found(replace(model, convergence=falling_and_rising), Limits(min_batch_samples=34), 16, 64)
    assert both is not None
    assert both.optimum.converge_time_s <= min(both.times.values()) * (1 + SAME)


@given(model=models(rounding="exact"), P=st.sampled_from((1, 2, 7)), rate=st.one_of(st.just(math.inf), decades(1.0, 1e6)))
@settings(max_examples=120, deadline=None)
def test_real_optimum_is_no_worse_than_a_fine_grid(model: TimeToConverge, P: int, rate: float) -> None:
    model = replace(model, input_samples_per_s=rate)
    limits = Limits(data_set_samples=5000.0)
    try:
        optimum = best_batch(model, limits, P)
    except InfeasibleError:
        return
    low, high = model.convergence.batch_samples_range
    low, high = max(low, P), min(high, 5000.0)
    if model.accumulation != "auto":
        high = min(high, P * model.max_local_samples * model.accumulation)
    grid = np.unique(np.clip(np.append(np.geomspace(low, high, 20_011), np.arange(P, 5001)), low, high))
    # the search ends with steps of 1e-9 of its first interval of 4 % in M: T_C is off by less than the slope times that
    assert optimum.converge_time_s <= float(np.min(model.converge_time_s(grid, P))) * (1 + 1e-9)


@pytest.mark.parametrize("accumulation", [3, "auto"])
@pytest.mark.parametrize("rounding", ["exact", "ceil", "whole"])
def test_many_micro_batches_are_searched_to_the_jump(accumulation: Any, rounding: Any) -> None:
    # the optimum sqrt(1e6 * 1000/(10 * 0.01)) = 1e5 lies thousands of micro-batches of 4 samples up
    model = TimeToConverge(
        convergence=InverseLaw(n_inf_updates=10, alpha_samples=1e6),
        compute=AffineCompute(gamma_s_per_sample=0.01, constant_s=0.5),
        reduce=ConstantReduce(delta_s=60.0),
        accumulation=accumulation,
        max_local_samples=4.0 if accumulation == "auto" else math.inf,
        rounding=rounding,
    )
    limits = Limits(max_batch_samples=40_000)
    optimum = best_batch(model, limits, 2)
    every = np.arange(8.0, 40_001.0)
    assert optimum.converge_time_s <= float(np.min(model.converge_time_s(every, 2))) * (1 + 1e-9)


@given(model=models(rounding="whole"), limits=LIMITS, most=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_best_learners_is_the_best_of_every_number_of_learners(model: TimeToConverge, limits: Limits, most: int) -> None:
    limits = replace(limits, data_set_samples=min(150.0, limits.data_set_samples or 150.0))
    fastest = math.inf
    for P in range(1, most + 1):
        fastest = min([fastest, *every_time_s(model, limits, P, 150).values()])
    try:
        optimum = best_learners(model, limits, most)
    except InfeasibleError:
        assert fastest == math.inf
        return
    assert 1 <= optimum.learners <= most
    assert optimum.converge_time_s == pytest.approx(fastest, rel=SAME)


@given(model=models(rounding="exact"), most=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_best_real_learners_are_no_worse_than_any_other_number(model: TimeToConverge, most: int) -> None:
    limits = Limits(data_set_samples=5000)
    times = []
    for P in range(1, most + 1):
        try:
            times.append(best_batch(model, limits, P).converge_time_s)
        except InfeasibleError:
            times.append(math.inf)
    if min(times) == math.inf:
        with pytest.raises(InfeasibleError):
            best_learners(model, limits, most)
        return
    optimum = best_learners(model, limits, most)
    assert optimum.converge_time_s == min(times)
    assert times[int(optimum.learners) - 1] == optimum.converge_time_s


@pytest.mark.parametrize("rounding", ["exact", "whole"])
def test_thousands_of_learners_are_searched_to_the_last_one(rounding: Any) -> None:
    # a parameter server: one minimum over P, at sqrt(alpha gamma/(delta N_inf)) = 4358.9 where P is real
    model = TimeToConverge(
        convergence=InverseLaw(n_inf_updates=1000, alpha_samples=1.9e8),
        compute=KneeCompute(gamma_s_per_sample=0.01, knee_samples=1),
        reduce=LinearReduce(delta_s=1e-4),
        rounding=rounding,
    )
    optimum = best_learners(model, Limits(), 10_000)
    for P in (optimum.learners - 1, optimum.learners + 1, 4358, 4359, 1):
        assert optimum.converge_time_s <= best_batch(model, Limits(), P).converge_time_s * (1 + SAME)


def test_endless_optima_are_refused() -> None:
    # flat computing above the table's end: T_C falls with M without end
    flat = TabulatedCompute(local_samples=(8, 64), compute_time_at_s=(1.0, 1.0), extrapolate=True)
    for alpha in (10.0, 1e6, 1e12):
        model = TimeToConverge(
            convergence=InverseLaw(n_inf_updates=1000, alpha_samples=alpha),
            compute=flat,
            reduce=ConstantReduce(delta_s=0.1),
        )
        with pytest.raises(InfeasibleError, match=r"^T_C falls with the mini-batch without end: give max_batch_samples"):
            best_batch(model, Limits(), 4)


def test_hard_corner_without_growing_computing_has_its_optimum_at_the_corner() -> None:
    flat = TabulatedCompute(local_samples=(8, 64), compute_time_at_s=(1.0, 1.0), extrapolate=True)
    model = TimeToConverge(
        convergence=HardCornerLaw(n_inf_updates=100, alpha_samples=6400), compute=flat, reduce=ConstantReduce(delta_s=1)
    )
    assert best_batch(model, Limits(), 4).converge_time_s == 200.0  # 100 (1 + 1)
