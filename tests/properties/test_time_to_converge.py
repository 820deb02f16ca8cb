"""What holds for T_C whatever the laws."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.compute import CrossValidation
from simulator.errors import InfeasibleError
from simulator.network.laws import RingReduce
from simulator.optimum import Limits, best_batch, flat_range
from simulator.time_to_converge import TimeToConverge
from tests.strategies import (
    any_compute_law,
    any_overlap_law,
    any_reduce_law,
    any_updates_law,
    batches_of,
    cross_validations,
    decades,
)

SOME = settings(max_examples=80, deadline=None)
ROUNDING = 1e-12
ROUNDINGS = ("exact", "ceil", "whole")


@st.composite
def models(draw: st.DrawFn, given: dict[str, Any] | None = None) -> TimeToConverge:
    drawn: dict[str, Any] = {
        "convergence": draw(any_updates_law()),
        "compute": draw(any_compute_law(extrapolate=True)),
        "reduce": draw(any_reduce_law()),
        "overlap": draw(any_overlap_law()),
        "cross_validation": draw(st.one_of(st.none(), cross_validations())),
        "tuning_factor": draw(st.sampled_from((1.0, 1.7))),
        "input_samples_per_s": draw(st.one_of(st.just(math.inf), decades(1.0, 1e7))),
        "rounding": draw(st.sampled_from(ROUNDINGS)),
    }
    return TimeToConverge(**{**drawn, **(given or {})})


def slower(law: Any, factor: float) -> Any:
    """The same law with every time multiplied by `factor`."""
    if isinstance(law, RingReduce):
        return replace(law, latency_s=law.latency_s * factor, bandwidth_bytes_per_s=law.bandwidth_bytes_per_s / factor)
    changed: dict[str, Any] = {}
    for field in fields(law):
        if field.name.endswith(("_s", "_s_per_sample")):
            value = getattr(law, field.name)
            changed[field.name] = tuple(factor * item for item in value) if isinstance(value, tuple) else factor * value
    return replace(law, **changed)


@given(data=st.data(), model=models())
@SOME
def test_larger_mini_batches_never_need_more_updates(data: st.DataObject, model: TimeToConverge) -> None:
    M = np.sort([data.draw(batches_of(model.convergence)) for _ in range(20)])
    N = model.updates(M)
    # rounding up to whole updates forgives 1e-12, so that no rounding of N costs an update
    assert (np.diff(N) <= ROUNDING * N[1:]).all()
    if model.rounding == "whole":
        assert (np.floor(N) == N).all()


@given(data=st.data(), model=models(), factor=decades(1e-6, 1e6), P=st.sampled_from((1, 2, 7, 1000)))
@SOME
def test_rescaling_every_time_rescales_the_time_to_converge(
    data: st.DataObject, model: TimeToConverge, factor: float, P: int
) -> None:
    M = max(data.draw(batches_of(model.convergence)), model.convergence.batch_samples_range[0])
    rescaled = replace(
        model,
        compute=slower(model.compute, factor),
        reduce=slower(model.reduce, factor),
        input_samples_per_s=model.input_samples_per_s / factor,
    )
    assert rescaled.converge_time_s(M, P) == pytest.approx(factor * model.converge_time_s(M, P), rel=ROUNDING)


@given(data=st.data(), model=models(), P=st.sampled_from((1, 2, 7, 64)))
@SOME
def test_shares_add_up_to_one_and_none_is_negative(data: st.DataObject, model: TimeToConverge, P: int) -> None:
    M = data.draw(batches_of(model.convergence))
    lowest, highest = model.convergence.batch_samples_range
    if model.rounding == "whole" and lowest <= round(M) <= highest and round(M) >= 1:
        M = float(round(M))  # so that the learners differ
    shares = model.shares(M, P)
    parts = [getattr(shares, field.name) for field in fields(shares)]
    assert math.fsum(parts) == pytest.approx(1.0, abs=4e-15)
    assert min(parts) >= -4e-16  # a difference of two equal times, over a third: some roundings
    assert max(parts) <= 1 + 4e-16


@given(
    data=st.data(),
    model=models({"rounding": "exact", "cross_validation": None}),
    m=st.integers(1, 2000),
    P=st.sampled_from((1, 2, 7, 64)),
    validation=st.one_of(st.none(), st.integers(1, 100).map(float)),
    every=st.sampled_from((1, 10, 333)),
)
@SOME
def test_whole_run_takes_less_than_one_update_and_one_pass_longer(
    data: st.DataObject, model: TimeToConverge, m: int, P: int, validation: float | None, every: int
) -> None:
    M = float(m * P)
    lowest, highest = model.convergence.batch_samples_range
    assume(lowest <= M <= highest)
    if validation:  # evenly divided, as M is
        model = replace(model, cross_validation=CrossValidation(every_updates=every, samples=validation * P))
    exact_s = float(model.converge_time_s(M, P))
    whole_s = float(replace(model, rounding="whole").converge_time_s(M, P))
    pass_s, step_s = float(model.cross_validation_time_s(P)), float(model.step_time_s(M, P))
    slack = ROUNDING * exact_s
    assert whole_s > exact_s - pass_s - slack
    assert whole_s < exact_s + step_s + pass_s + slack


@given(data=st.data(), model=models(), accumulation=st.sampled_from((1, 1, 2)))
@SOME
def test_more_learners_never_lengthen_computing(data: st.DataObject, model: TimeToConverge, accumulation: int) -> None:
    M = data.draw(decades(200.0, 1e6))  # two samples at least for each of 100 learners
    P = np.unique(data.draw(st.lists(st.integers(1, 100), min_size=2, max_size=10)))
    computing = replace(model, accumulation=accumulation).compute_time_s(M, P)
    assert (np.diff(computing) <= ROUNDING * computing[:-1]).all()


@given(data=st.data(), model=models(), P=st.sampled_from((1, 2, 7)))
@SOME
def test_time_is_updates_times_update_time(data: st.DataObject, model: TimeToConverge, P: int) -> None:
    M = data.draw(batches_of(model.convergence))
    T = float(model.converge_time_s(M, P))
    assert pytest.approx(float(model.updates(M)) * float(model.update_time_s(M, P)), rel=1e-14) == T
    assert float(model.updates(M)) * float(model.compute_time_s(M, P)) * (1 - 1e-15) <= T
    assert 0 < T < math.inf


@given(data=st.data(), model=models(), P=st.sampled_from((2, 7, 64)))
@SOME
def test_grids_broadcast(data: st.DataObject, model: TimeToConverge, P: int) -> None:
    M = np.array([data.draw(batches_of(model.convergence)) for _ in range(3)])
    learners = np.array([1.0, P])
    grid = model.converge_time_s(M[:, None], learners[None, :])
    assert grid.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            assert model.converge_time_s(M[i], learners[j]) == pytest.approx(grid[i, j], rel=1e-14)


@given(model=models(), P=st.sampled_from((1, 2, 7, 16)), most=st.sampled_from((40.0, 1000.0)))
@SOME
def test_flat_range_holds_the_optimum_and_ends_five_per_cent_off(model: TimeToConverge, P: int, most: float) -> None:
    limits = Limits(data_set_samples=most)
    try:
        optimum = best_batch(model, limits, P)
    except InfeasibleError:
        return
    low, high = flat_range(model, limits, optimum)
    T, M = optimum.converge_time_s, optimum.batch_samples
    # ends of a bisection in log M: exp(log M) is off by some units in the last place
    assert low <= M * (1 + 1e-14)
    assert high >= M * (1 - 1e-14)
    for end in (low, high):
        inside = float(np.clip(end, *model.convergence.batch_samples_range))
        assert model.converge_time_s(inside, P) <= 1.05 * T * (1 + ROUNDING)
    lowest = max(model.convergence.batch_samples_range[0], P)
    highest = min(model.convergence.batch_samples_range[1], most)
    if model.rounding == "exact":
        below, above = low * (1 - 1e-9), high * (1 + 1e-9)
    else:  # the next mini-batches that divide evenly
        below, above = P * (math.ceil(low / P) - 1), P * (math.floor(high / P) + 1)
    if below >= lowest * (1 + 1e-9):
        assert model.converge_time_s(below, P) > 1.05 * T * (1 - ROUNDING)
    if above <= highest * (1 - 1e-9):
        assert model.converge_time_s(above, P) > 1.05 * T * (1 - ROUNDING)
