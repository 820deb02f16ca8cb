"""Learners for jobs that run at the same time: options, messages, where the next learner should go, large problems."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce
from simulator.optimum import Limits, best_batch
from simulator.studies.allocation.options import Options, model_options, unit_learners
from simulator.studies.allocation.static import Gain, StaticJob, allocate, further_gain, objective_s
from simulator.time_to_converge import TimeToConverge


def options(*times_s: float, step: int = 1) -> Options:
    """T_C at step, 2 step, 3 step, ... learners."""
    return Options(learners=step * np.arange(1, len(times_s) + 1), converge_time_s=np.array(times_s))


def job(name: str, *times_s: float, deadline_s: float | None = None, weight: float = 1.0, step: int = 1) -> StaticJob:
    return StaticJob(name=name, options=options(*times_s, step=step), deadline_s=deadline_s, weight=weight)


LAWS = TimeToConverge(
    convergence=InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
    compute=KneeCompute(gamma_s_per_sample=0.01, knee_samples=8),
    reduce=ConstantReduce(delta_s=0.5),
    max_local_samples=64,
    rounding="whole",
)


def test_options_by_laws_are_those_of_the_search() -> None:
    found = model_options(LAWS, Limits(), range(1, 9))
    for P, T, M, N in zip(found.learners, found.converge_time_s, found.batch_samples, found.updates, strict=True):  # type: ignore[arg-type]
        best = best_batch(LAWS, Limits(), int(P))
        assert (best.converge_time_s, best.batch_samples) == (T, M)
        assert np.ceil(1000 + 64_000 / M) == N


def test_a_held_mini_batch_has_options_only_where_it_is_admissible() -> None:
    # 256 samples: 64 each on four learners, what the memory holds; no more than 256 learners
    found = model_options(LAWS, Limits(), [1, 2, 3, 4, 8, 256, 257], batch_samples=256)
    assert found.learners.tolist() == [4, 8, 256]
    # N = 1000 + 250; updates of 0.01*64 + 0.5, 0.01*32 + 0.5, 0.01*8 + 0.5 s
    assert found.converge_time_s == pytest.approx([1250 * 1.14, 1250 * 0.82, 1250 * 0.58], rel=1e-12)


def test_a_held_mini_batch_that_fits_nowhere_is_refused_with_what_all_learners_could_take() -> None:
    with pytest.raises(InfeasibleError, match=r"batch_samples must be from 2 to 128 \(memory\) on 2 learners, got 1000"):
        model_options(LAWS, Limits(), [1, 2], batch_samples=1000)
    with pytest.raises(InfeasibleError, match="a job must have at least one number of learners to choose from, got none"):
        model_options(LAWS, Limits(), [])


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="learners must hold at least one number, got none"):
        options()
    with pytest.raises(ValueError, match=r"learners must increase, got \[2, 1\]"):
        Options(learners=np.array([2, 1]), converge_time_s=np.ones(2))
    with pytest.raises(ValueError, match="converge_time_s must have one value for each of 2 learners, got 1"):
        Options(learners=np.array([1, 2]), converge_time_s=np.ones(1))
    with pytest.raises(ValueError, match="updates must be finite and > 0, got 0"):
        Options(learners=np.array([1]), converge_time_s=np.ones(1), updates=np.zeros(1))


def test_options_among_some_learners_and_before_a_deadline() -> None:
    among = options(9, 5, 4, 3).among([2, 4, 6])
    assert among is not None
    assert among.learners.tolist() == [2, 4]
    late = options(9, 5, 4, 3).among([1, 2, 4], deadline_s=4.0)
    assert late is not None
    assert late.converge_time_s.tolist() == [3.0]
    assert options(9, 5).among([1], deadline_s=8.0) is None
    assert options(9, 5).longer(2.0).converge_time_s.tolist() == [18.0, 10.0]
    assert options(9, 5, 4).fastest_s == 4.0


def test_units_are_learners_nodes_or_powers_of_two() -> None:
    assert unit_learners("learner", 3).tolist() == [1, 2, 3]
    assert unit_learners("node", 11, learners_per_node=4).tolist() == [4, 8]
    assert unit_learners("power_of_two", 16).tolist() == [1, 2, 4, 8, 16]
    with pytest.raises(ValueError, match="unit = 'node' needs learners_per_node, got None"):
        unit_learners("node", 8)
    with pytest.raises(ValueError, match="learners_per_node must be <= the 4 learners, got 8"):
        unit_learners("node", 4, learners_per_node=8)
    with pytest.raises(ValueError, match="unit must be one of learner, node, power_of_two, got 'rack'"):
        unit_learners("rack", 4)  # type: ignore[arg-type]


def test_a_jump_at_the_node_boundary_is_crossed_at_once_or_not_at_all() -> None:
    # one more learner than four helps nobody, eight halve the time: 8 + 4 beats 6 + 6 and 7 + 5
    times = (40.0, 20.0, 14.0, 10.0, 12.0, 11.0, 10.5, 5.0)
    found = allocate([job("a", *times), job("b", *times)], 12)
    assert sorted(found.learners.tolist()) == [4, 8]
    assert found.value == 7.5
    assert found.method == "dynamic programming"
    assert found.learners_used == 12


def test_learners_that_help_nobody_stay_free() -> None:
    found = allocate([job("a", 4.0, 5.0, 6.0)], 3)
    assert (found.learners.tolist(), found.learners_used) == ([1], 1)
    assert found.gains == (None,)
    assert found.next_job is None


def test_the_next_learners_go_where_each_saves_most() -> None:
    jobs = [job("a", 100, 60, 50), job("b", 30, 29, 10), job("c", 5.0)]
    found = allocate(jobs, 3)
    assert found.learners.tolist() == [1, 1, 1]
    assert found.gains == (Gain(learners=1, gain_s_per_learner=40.0), Gain(learners=2, gain_s_per_learner=10.0), None)
    assert found.next_job == 0
    weighted = allocate([job("a", 100, 60, 50), job("b", 30, 29, 10, weight=5.0)], 2, objective="weighted_time")
    assert weighted.next_job == 1  # 5*10 s against 40 s


def test_with_makespan_the_next_learners_go_to_the_last_job() -> None:
    found = allocate([job("a", 100, 99.5), job("b", 30, 10)], 2, objective="makespan")
    assert found.next_job == 0
    assert allocate([job("a", 100.0), job("b", 30, 10)], 2, objective="makespan").next_job is None


def test_further_gain_looks_beyond_options_that_do_not_help() -> None:
    assert further_gain(options(10, 11, 12, 4), 0) == Gain(learners=3, gain_s_per_learner=2.0)
    assert further_gain(options(10, 11, 12), 0) is None


def test_objectives() -> None:
    jobs = [job("a", 10, 5), job("b", 8, 4, weight=3.0)]
    T = [10.0, 4.0]
    assert objective_s(jobs, T, "mean_time") == 7.0
    assert objective_s(jobs, T, "weighted_time") == 5.5  # (10 + 3*4)/4
    assert objective_s(jobs, T, "makespan") == 10.0
    assert objective_s(jobs, T, "worst_slowdown") == 2.0  # 10/5


def test_whole_nodes_are_counted_in_nodes() -> None:
    found = allocate([job("a", 10, 6, step=8), job("b", 10, 9, step=8)], 30)
    assert found.learners.tolist() == [16, 8]


@pytest.mark.parametrize("objective", ["mean_time", "makespan"])
def test_a_deadline_that_cannot_be_met_is_said_with_the_fastest(objective: str) -> None:
    with pytest.raises(
        InfeasibleError, match=r"job 'b' cannot meet its deadline_s = 3: alone, at its fastest \(P = 2\), it takes 4 s"
    ):
        allocate([job("a", 1.0), job("b", 8, 4, 2, deadline_s=3.0)], 2, objective=objective)  # type: ignore[arg-type]


def test_jobs_that_do_not_fit_at_the_same_time_are_refused() -> None:
    with pytest.raises(
        InfeasibleError,
        match=r"2 jobs at the same time need at least 16 learners \(job 'a' alone 8\), there are 12: let jobs wait",
    ):
        allocate([job("a", 9.0, step=8), job("b", 9.0, step=8)], 12)
    with pytest.raises(InfeasibleError, match="job 'a' needs at least 8 learners, there are 4"):
        allocate([job("a", 9.0, step=8)], 4)
    with pytest.raises(ValueError, match="jobs must hold at least one job, got none"):
        allocate([], 4)
    with pytest.raises(ValueError, match="objective must be one of mean_time, weighted_time, makespan, worst_slowdown"):
        allocate([job("a", 9.0)], 4, objective="median")  # type: ignore[arg-type]


def many(count: int, learners: np.ndarray[tuple[int], np.dtype[np.int64]], *, jump: bool) -> list[StaticJob]:
    rng = np.random.default_rng(20191115)
    jobs = []
    for j in range(count):
        work, per_doubling = 10 ** rng.uniform(2, 5), 10 ** rng.uniform(-2, 1)
        time = work / learners + per_doubling * np.log2(learners) + (5 * per_doubling * (learners > 8) if jump else 0.0)
        jobs.append(StaticJob(name=str(j), options=Options(learners=learners, converge_time_s=time)))
    return jobs


@pytest.mark.parametrize(("jump", "method"), [(True, "branch and bound"), (False, "marginal gains")])
def test_with_many_options_the_method_follows_from_the_shape(jump: bool, method: str) -> None:
    jobs = many(60, np.arange(1, 401), jump=jump)
    found = allocate(jobs, 400)
    assert found.method == method
    assert found.gap == 0.0
    # every move of one learner, and of whole gains, between two jobs is no improvement
    T = [one.options.converge_time_s for one in jobs]
    for i, P in enumerate(found.learners):
        for j, Q in enumerate(found.learners):
            for moved in range(1, int(P)):
                if i != j and Q + moved <= 400:
                    change = T[i][P - moved - 1] + T[j][Q + moved - 1] - T[i][P - 1] - T[j][Q - 1]
                    assert change >= -1e-9
