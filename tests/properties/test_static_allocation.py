"""The static allocation against brute force: every combination of options of a few jobs, counted out."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InfeasibleError
from simulator.studies.allocation import choices
from simulator.studies.allocation.choices import Menu, least_cost, menu
from simulator.studies.allocation.options import Options
from simulator.studies.allocation.static import Objective, StaticJob, allocate, objective_s

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
times = st.floats(1.0, 1e4, allow_nan=False)
"""Seconds without structure: T_C(P) need not fall, nor be convex."""


@st.composite
def jobs_and_learners(draw: st.DrawFn) -> tuple[list[StaticJob], int]:
    learners = draw(st.integers(1, 12))
    jobs = []
    for j in range(draw(st.integers(1, 4))):
        P = sorted(draw(st.sets(st.integers(1, learners + 1), min_size=1, max_size=6)))
        T = draw(st.lists(times, min_size=len(P), max_size=len(P)))
        jobs.append(
            StaticJob(
                name=f"job {j}",
                options=Options(learners=np.array(P), converge_time_s=np.array(T)),
                weight=draw(st.floats(0.1, 10.0)),
                deadline_s=draw(st.none() | st.floats(100.0, 2e4)),
            )
        )
    return jobs, learners


def brute_force(jobs: list[StaticJob], learners: int, objective: Objective) -> float:
    """Least objective over every combination that fits and meets the deadlines; infinity where there is none."""
    best = math.inf
    for places in itertools.product(*(range(len(job.options.learners)) for job in jobs)):
        used = sum(int(job.options.learners[k]) for job, k in zip(jobs, places, strict=True))
        T = [float(job.options.converge_time_s[k]) for job, k in zip(jobs, places, strict=True)]
        late = any(job.deadline_s is not None and time > job.deadline_s for job, time in zip(jobs, T, strict=True))
        if used <= learners and not late:
            best = min(best, objective_s(jobs, T, objective))
    return best


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=60)
@given(jobs_and_learners())
def test_the_allocation_is_the_best_of_all(objective: Objective, problem: tuple[list[StaticJob], int]) -> None:
    jobs, learners = problem
    best = brute_force(jobs, learners, objective)
    if math.isinf(best):
        with pytest.raises(InfeasibleError):
            allocate(jobs, learners, objective=objective)
        return
    found = allocate(jobs, learners, objective=objective)
    assert found.value == pytest.approx(best, rel=1e-12)  # sums of at most four terms in another order
    assert found.gap == 0.0
    assert found.learners_used <= learners
    assert objective_s(jobs, found.converge_time_s, objective) == pytest.approx(found.value, rel=1e-12)
    for job, P, T in zip(jobs, found.learners, found.converge_time_s, strict=True):
        assert job.options.converge_time_s[list(job.options.learners).index(P)] == T
        assert job.deadline_s is None or job.deadline_s >= T


@settings(max_examples=60)
@given(jobs_and_learners())
def test_of_all_with_the_least_makespan_the_mean_is_least(problem: tuple[list[StaticJob], int]) -> None:
    jobs, learners = problem
    makespan = brute_force(jobs, learners, "makespan")
    if math.isinf(makespan):
        return
    within = [
        StaticJob(name=job.name, options=job.options, deadline_s=min(job.deadline_s or math.inf, makespan)) for job in jobs
    ]
    found = allocate(jobs, learners, objective="makespan")
    assert np.mean(found.converge_time_s) == pytest.approx(brute_force(within, learners, "mean_time"), rel=1e-12)


@st.composite
def menus_and_capacity(draw: st.DrawFn) -> tuple[list[Menu], int]:
    menus = []
    for _ in range(draw(st.integers(1, 6))):
        size = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=40)))
        cost = draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0]) | times, min_size=len(size), max_size=len(size)))
        menus.append(menu(np.array(size), np.array(cost)))
    return menus, draw(st.integers(0, 150))


@settings(max_examples=100)
@given(menus_and_capacity())
def test_bounds_and_branches_find_what_the_table_of_all_capacities_holds(problem: tuple[list[Menu], int]) -> None:
    menus, capacity = problem
    if sum(int(one.size[0]) for one in menus) > capacity:
        with pytest.raises(InfeasibleError):
            least_cost(menus, capacity)
        return
    place, cost = choices._tabulated(menus, capacity)
    found = choices._bounded(menus, capacity)
    assert found.cost == pytest.approx(cost, rel=1e-12)
    assert found.lower_bound == found.cost
    for chosen in (place, found.place):
        assert sum(int(one.size[k]) for one, k in zip(menus, chosen, strict=True)) <= capacity
        assert sum(one.cost[k] for one, k in zip(menus, chosen, strict=True)) == pytest.approx(cost, rel=1e-12)


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.floats(0.01, 100.0), min_size=0, max_size=45), min_size=1, max_size=6),
    st.integers(1, 3),
    st.integers(0, 200),
)
def test_marginal_gains_find_it_where_costs_are_convex(gains: list[list[float]], step: int, capacity: int) -> None:
    menus = []
    for one in gains:
        cost = 1e4 - np.concatenate([[0.0], np.cumsum(sorted(one, reverse=True))])
        menus.append(menu(step * np.arange(1, len(cost) + 1), cost))
    if step * len(menus) > capacity:
        return
    assert choices._equal_steps(menus)
    assert all(choices._is_convex(one) for one in menus)
    place = choices._by_gains(menus, capacity)
    assert sum(int(one.size[k]) for one, k in zip(menus, place, strict=True)) <= capacity
    cost = sum(one.cost[k] for one, k in zip(menus, place, strict=True))
    assert cost == pytest.approx(choices._tabulated(menus, capacity)[1], rel=1e-12)


@settings(max_examples=25)
@given(menus_and_capacity())
def test_an_answer_that_is_not_exact_says_how_far_it_may_be_off(problem: tuple[list[Menu], int]) -> None:
    """With no work allowed for exactness, the answer is within the bound that it prints, and exact where that is too wide."""
    menus, capacity = problem
    if sum(int(one.size[0]) for one in menus) > capacity:
        return
    _, least = choices._tabulated(menus, capacity)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(choices, "MOST_WORK", 0.0)
        found = choices._bounded(menus, capacity)
    slack = 1e-12 * found.cost
    assert found.lower_bound - slack <= least <= found.cost + slack
    assert found.cost - found.lower_bound <= choices.GAP * found.cost + slack


def test_what_is_given_out_by_gain_is_not_taken_for_the_best() -> None:
    # the first gains most for its size and leaves a unit that nobody can use: 0 + 10 + 10; the others together: 10 + 4 + 4.1
    first, second, third = (menu(np.array([0, size]), np.array([10.0, cost])) for size, cost in ((3, 0.0), (2, 4.0), (2, 4.1)))
    found = choices._bounded([first, second, third], 4)
    assert found.place.tolist() == [0, 1, 1]
    assert found.cost == found.lower_bound == pytest.approx(18.1)


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.floats(0.01, 100.0), min_size=33, max_size=40), min_size=1, max_size=4),
    st.integers(4, 120),
)
def test_falling_times_of_any_shape_are_not_taken_for_convex(gains: list[list[float]], capacity: int) -> None:
    menus = [menu(np.arange(1, len(one) + 2), 1e4 - np.concatenate([[0.0], np.cumsum(one)])) for one in gains]
    found = least_cost(menus, capacity)
    assert found.method in ("marginal gains", "branch and bound")  # too many options for the table
    assert found.cost == pytest.approx(choices._tabulated(menus, capacity)[1], rel=1e-12)
    assert found.lower_bound == found.cost
