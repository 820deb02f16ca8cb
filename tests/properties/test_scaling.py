"""Strong, weak and optimal scaling meet where the paper says, and optimal is never beaten."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce, LinearReduce
from simulator.optimum import Limits, best_batch
from simulator.studies.scaling import ScalingTable, scaling
from simulator.time_to_converge import TimeToConverge
from tests.strategies import any_compute_law, any_overlap_law, any_reduce_law, any_updates_law, decades

SOME = settings(max_examples=60, deadline=None)
POWERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@st.composite
def papers_models(draw: st.DrawFn, *, server: bool = False) -> TimeToConverge:
    delta = draw(decades(1e-5, 10.0))
    return TimeToConverge(
        convergence=InverseLaw(n_inf_updates=draw(decades(1.0, 1e4)), alpha_samples=draw(decades(1e2, 1e7))),
        compute=KneeCompute(gamma_s_per_sample=draw(decades(1e-5, 1.0)), knee_samples=draw(decades(1.0, 200.0))),
        reduce=LinearReduce(delta_s=delta) if server else ConstantReduce(delta_s=delta),
    )


@st.composite
def any_models(draw: st.DrawFn) -> TimeToConverge:
    return TimeToConverge(
        convergence=draw(any_updates_law()),
        compute=draw(any_compute_law(extrapolate=True)),
        reduce=draw(any_reduce_law()),
        overlap=draw(any_overlap_law()),
        rounding=draw(st.sampled_from(("exact", "ceil", "whole"))),
    )


def times(table: ScalingTable, kind: str) -> dict[int, float]:
    return {row.learners: row.converge_time_s for row in table.rows if row.scaling == kind and row.converge_time_s is not None}


@given(
    model=any_models(),
    strong=st.one_of(st.none(), st.integers(1, 3000)),
    weak=st.one_of(st.none(), st.integers(1, 100)),
    data_set=st.integers(64, 5000),
)
@SOME
def test_optimal_scaling_is_never_slower(model: TimeToConverge, strong: int | None, weak: int | None, data_set: int) -> None:
    limits = Limits(data_set_samples=data_set)
    learners = (1, 2, 5, 32)
    try:
        table = scaling(model, limits, learners, strong_batch_samples=strong, weak_local_samples=weak)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            best_batch(model, limits, 1)
        return
    optimal = times(table, "optimal")
    for kind in ("strong", "weak"):
        for P, time_s in times(table, kind).items():
            assert optimal[P] <= time_s * (1 + 1e-9)  # the precision of the search in real numbers


@given(model=papers_models(), place=st.integers(0, len(POWERS) - 1))
@SOME
def test_strong_meets_optimal_at_the_learners_whose_best_batch_it_holds(model: TimeToConverge, place: int) -> None:
    P = POWERS[place]
    M = best_batch(model, Limits(), P).batch_samples
    table = scaling(model, Limits(), POWERS, strong_batch_samples=M)
    if M >= P:
        assert times(table, "strong")[P] == times(table, "optimal")[P]


@given(model=papers_models())
@SOME
def test_weak_is_optimal_from_the_threshold_on(model: TimeToConverge) -> None:
    compute: Any = model.compute
    table = scaling(model, Limits(), POWERS, weak_local_samples=compute.knee_samples)
    threshold = table.optimal_is_weak_from_learners
    assert threshold is not None
    weak, optimal = times(table, "weak"), times(table, "optimal")
    for P in POWERS:
        if threshold * (1 + 1e-9) <= P or P == 1:  # one learner has no Delta: Eqn 8
            assert weak[P] == pytest.approx(optimal[P], rel=1e-15)
        elif threshold * (1 - 1e-3) >= P:
            assert weak[P] > optimal[P]


@given(model=papers_models(server=True))
@SOME
def test_parameter_server_is_weak_always_or_never(model: TimeToConverge) -> None:
    compute: Any = model.compute
    law: Any = model.convergence
    reduce: Any = model.reduce
    table = scaling(model, Limits(), POWERS, weak_local_samples=compute.knee_samples)
    # alpha delta against N_inf gamma M_T^2
    noise, floor = law.alpha_samples * reduce.delta_s, law.n_inf_updates * compute.gamma_s_per_sample
    if math.isclose(noise, floor * compute.knee_samples**2, rel_tol=1e-9):
        return
    never = noise > floor * compute.knee_samples**2
    assert table.optimal_is_weak_from_learners == (None if never else 1.0)
    weak, optimal = times(table, "weak"), times(table, "optimal")
    for P in POWERS[1:]:
        assert (weak[P] == pytest.approx(optimal[P], rel=1e-14)) or never
        if never and noise > 1.1 * floor * compute.knee_samples**2:
            assert weak[P] > optimal[P]


@given(model=papers_models(), M=st.integers(1, 20_000))
@SOME
def test_strong_threshold_is_where_more_learners_stop_to_help(model: TimeToConverge, M: int) -> None:
    table = scaling(model, Limits(), [1, 2], strong_batch_samples=M)
    stops = table.strong_stops_at_learners
    assert stops is not None
    T = [float(model.converge_time_s(M, P)) for P in (2, max(2, stops), max(2, stops) * 2)]
    assert T[1] <= T[0]
    assert T[2] == pytest.approx(T[1], rel=1e-14)  # nothing is gained beyond
    if stops > 2.01:
        assert T[1] < float(model.converge_time_s(M, stops * 0.99))


@given(model=papers_models(server=True), M=st.integers(1, 20_000))
@SOME
def test_strong_threshold_of_a_server_is_its_fastest_size(model: TimeToConverge, M: int) -> None:
    stops = scaling(model, Limits(), [1, 2], strong_batch_samples=M).strong_stops_at_learners
    assert stops is not None
    if stops > 1.1:
        fastest = float(model.converge_time_s(M, stops))
        for factor in (0.95, 1.05):
            assert float(model.converge_time_s(M, stops * factor)) >= fastest * (1 - 1e-14)


@given(model=papers_models())
@SOME
def test_speedup_of_one_learner_at_its_best_is_one(model: TimeToConverge) -> None:
    table = scaling(model, Limits(), POWERS)
    one = next(row for row in table.rows if row.learners == 1 and row.scaling == "optimal")
    assert one.speedup == one.efficiency == 1.0
    assert one.batch_samples == model.compute.corners_samples[0]  # Eqn 8: the knee, here >= 1


@given(model=papers_models())
@SOME
def test_more_learners_never_lengthen_optimal_training_on_a_fat_tree(model: TimeToConverge) -> None:
    optimal = list(times(scaling(model, Limits(), POWERS[1:]), "optimal").values())
    assert all(later <= earlier * (1 + 1e-14) for earlier, later in pairwise(optimal))
