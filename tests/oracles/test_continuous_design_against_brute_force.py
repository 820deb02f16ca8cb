"""Continuous designs (Eqns 11, 12) against the paper's ratios, global searches that know no gradient, and by hand."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, differential_evolution, minimize

from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.studies.continuous.design import ContinuousDesign, continuous_design, continuous_frontier
from simulator.studies.continuous.problem import Component, ContinuousProblem, Lever
from simulator.studies.continuous.times import TrainingTime
from tests.strategies import decades

EQUAL = 1e-6
"""What the gains per dollar have to agree to, and T_C with a brute force."""
P_USD, B_USD_S = 10_000.0, 5_000.0


def problem(
    *times: TrainingTime, gamma: float = 0.01, budget: float = 1e6, p: float = P_USD, b: float = B_USD_S, **limits: Any
) -> ContinuousProblem:
    """C_compute = p P, C_bandwidth = b/delta, gamma fixed: the problem of the spending ratios."""
    return ContinuousProblem(
        workloads=times,
        levers=(
            Lever(name="learners", lowest=1, highest=1e9),
            Lever(name="gamma_s_per_sample", lowest=gamma, highest=gamma),
            Lever(name="delta_s", lowest=1e-9, highest=1e4),
        ),
        components=(
            Component(name="compute", levers=("learners",), cost_usd=lambda P: p * P),
            Component(name="bandwidth", levers=("delta_s",), cost_usd=lambda delta: b / delta, network=True),
        ),
        budget_usd=budget,
        **limits,
    )


def law(n_inf: float = 1000.0, alpha: float = 6.4e6) -> InverseLaw:
    return InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha)


def brute_force(asked: ContinuousProblem) -> float:
    """Least objective time over a box by a global search on values alone, polished without gradients: no code shared."""
    free = [lever for lever in asked.levers if lever.lowest < lever.highest]
    low, high = np.log([lever.lowest for lever in free]), np.log([lever.highest for lever in free])
    weights = np.array([time.weight if asked.objective == "weighted_time" else 1.0 for time in asked.workloads])

    def penalised(y: Any) -> float:
        values = {lever.name: lever.lowest for lever in asked.levers}
        values |= {lever.name: exp(at) for lever, at in zip(free, np.clip(y, low, high), strict=True)}
        times = np.array([paper_time(time, values) for time in asked.workloads])  # type: ignore[arg-type]
        least = times.max() if asked.objective == "worst_time" else weights @ times / weights.sum()
        usd = sum(one.cost_usd(*[values[name] for name in one.levers]) for one in asked.components)
        watts = sum(one.power_w(*[values[name] for name in one.levers]) for one in asked.components if one.power_w)
        over = max(log(usd / asked.budget_usd), log(watts / asked.power_max_w) if isfinite(asked.power_max_w) else 0.0, 0.0)
        return float(log(least) + 100.0 * over)

    box: Any = list(zip(low, high, strict=True))
    search: Any = penalised
    found = differential_evolution(search, box, maxiter=200, popsize=12, tol=1e-12, seed=1, polish=False)
    options: Any = {"xatol": 1e-12, "fatol": 1e-14, "maxiter": 6000}
    polished = minimize(search, found.x, method="Nelder-Mead", options=options)
    return exp(min(found.fun, polished.fun))


def paper_time(time: TrainingTime, values: dict[str, float]) -> float:
    """Least T_C over M in one line of the paper, by trying M: golden section on log M of Eqn 5."""
    gamma = sum(factor * values[name] for name, factor in time.gamma.items())
    P = values["learners"]
    steps = {"constant": 1.0, "linear": P, "log": max(log(P) / log(2), 1.0)}
    delta = time.fixed_delta_s + time.constant_s
    for name, factor in time.delta.items():
        delta += factor * values[name] * steps[time.reduce if isinstance(time.reduce, str) else time.reduce[name]]
    N, alpha, knee = time.convergence.n_inf_updates, time.convergence.alpha_samples, time.knee_samples
    M = sqrt(alpha * delta * P / (N * gamma))  # Eqn 9 without the bound
    return min((N + alpha / x) * (gamma * max(x / P, knee) + delta) for x in (max(M, knee * P), knee * P))


def interior_gains(found: ContinuousDesign) -> list[float]:
    return [one.gain_s_per_usd for one in found.certificate.marginals if one.free and one.gain_s_per_usd is not None]


@given(n_inf=decades(1, 1e4), alpha=decades(1e5, 1e9), gamma=decades(1e-4, 1), p=decades(1e2, 1e5), b=decades(1, 1e5))
@settings(max_examples=40, deadline=None)
def test_first_branch_spends_on_compute_and_bandwidth_as_the_cube_root_says(
    n_inf: float, alpha: float, gamma: float, p: float, b: float
) -> None:
    """C_compute/C_bandwidth = (alpha gamma p/(b N_inf))^(1/3), derived from (sqrt(delta N) + sqrt(alpha gamma/P))^2."""
    ratio = (alpha * gamma * p / (b * n_inf)) ** (1 / 3)
    budget = 1e3 * p * (1 + 1 / ratio)  # 1,000 learners
    time = TrainingTime(convergence=law(n_inf, alpha), knee_samples=1e-12)
    found = continuous_design(problem(time, gamma=gamma, budget=budget, p=p, b=b))
    if found.alone:
        return
    assert found.workloads["workload"].branch == "interior"
    assert found.spent_usd["compute"] / found.spent_usd["bandwidth"] == pytest.approx(ratio, rel=EQUAL)
    assert found.certificate.equal_within < EQUAL
    assert found.cost_usd == pytest.approx(budget, rel=1e-9)


@given(n_inf=decades(1, 1e4), alpha=decades(1e5, 1e9), gamma=decades(1e-4, 1), p=decades(1e2, 1e5), b=decades(1, 1e5))
@settings(max_examples=40, deadline=None)
def test_second_branch_spends_as_the_root_of_its_quadratic_says(
    n_inf: float, alpha: float, gamma: float, p: float, b: float
) -> None:
    """alpha p gamma M_T C_b^2 + alpha p b C_b = b N_inf M_T C_c^2 + alpha p b C_c with C_c + C_b = C has one root."""
    budget, knee = 200.0 * p, 1e6  # so large a knee that every optimum is on it

    def balance(compute_usd: float) -> float:
        bandwidth_usd = budget - compute_usd
        left = alpha * p * gamma * knee * bandwidth_usd**2 + alpha * p * b * bandwidth_usd
        return left - b * n_inf * knee * compute_usd**2 - alpha * p * b * compute_usd

    expected = brentq(balance, 0.0, budget, xtol=1e-12 * budget, rtol=1e-14)
    time = TrainingTime(convergence=law(n_inf, alpha), knee_samples=knee)
    found = continuous_design(problem(time, gamma=gamma, budget=budget, p=p, b=b))
    if found.alone or found.values["learners"] < 1.0 + 1e-9 or found.workloads["workload"].branch != "knee":
        return
    assert found.spent_usd["compute"] == pytest.approx(expected, rel=EQUAL)
    assert found.certificate.equal_within < EQUAL


def test_at_the_border_of_the_branches_both_answers_are_the_same() -> None:
    """The knee for which the first branch's optimum has M_opt = M_T P is where both branches meet."""
    gamma, n_inf, alpha = 0.01, 1000.0, 6.4e6
    ratio = (alpha * gamma * P_USD / (B_USD_S * n_inf)) ** (1 / 3)
    learners, delta = 1e6 / (1 + 1 / ratio) / P_USD, B_USD_S / (1e6 / (1 + ratio))
    knee = sqrt(alpha * delta / (n_inf * gamma * learners))
    for factor, branch in ((1 - 1e-7, "interior"), (1.0, None), (1 + 1e-7, "knee")):
        time = TrainingTime(convergence=law(n_inf, alpha), knee_samples=knee * factor)
        found = continuous_design(problem(time))
        assert found.values["learners"] == pytest.approx(learners, rel=EQUAL)
        assert found.values["delta_s"] == pytest.approx(delta, rel=EQUAL)
        assert found.certificate.equal_within < EQUAL
        assert branch is None or found.workloads["workload"].branch == branch


@pytest.mark.parametrize("knee", [1.0, 20.0, 300.0])
@pytest.mark.parametrize("reduce", ["constant", "linear", "log"])
def test_designs_match_a_global_search(knee: float, reduce: Any) -> None:
    asked = problem(TrainingTime(convergence=law(), knee_samples=knee, reduce=reduce))
    found = continuous_design(asked)
    assert found.time_s == pytest.approx(brute_force(asked), rel=EQUAL)
    assert found.certificate.equal_within < EQUAL


def test_a_server_that_gets_slower_with_learners_leaves_money_unspent() -> None:
    """Delta = delta P with a fixed delta: P = sqrt(alpha gamma/(delta N_inf)) = 8, T_C = 4 sqrt(alpha gamma delta N_inf)."""
    time = TrainingTime(convergence=law(), knee_samples=1.0, reduce="linear")
    asked = problem(time)
    fixed = tuple(Lever(name=one.name, lowest=1.0, highest=1.0) if one.name == "delta_s" else one for one in asked.levers)
    found = continuous_design(ContinuousProblem(workloads=(time,), levers=fixed, components=asked.components, budget_usd=1e9))
    assert found.workloads["workload"].learners == pytest.approx(8.0, rel=1e-6)
    assert found.time_s == pytest.approx(4 * sqrt(6.4e6 * 0.01 * 1.0 * 1000), rel=1e-9)
    assert found.certificate.gain_s_per_usd == pytest.approx(0.0, abs=1e-12)
    assert "more would not help" in found.certificate.held_by


def three_components(*times: TrainingTime, **kw: Any) -> ContinuousProblem:
    """Learners of any speed, an inner and an outer network, power."""
    return ContinuousProblem(
        workloads=times,
        levers=(
            Lever(name="learners", lowest=1, highest=1e5),
            Lever(name="gamma_s_per_sample", lowest=1e-4, highest=1e-1),
            Lever(name="delta_s", lowest=1e-5, highest=1e2),
            Lever(name="inner_s", lowest=1e-6, highest=1e2),
        ),
        components=(
            Component(
                name="compute",
                levers=("learners", "gamma_s_per_sample"),
                cost_usd=lambda P, gamma: P * (2_000 + 8_000 * (0.01 / gamma) ** 1.5),
                power_w=lambda P, gamma: 300 * P * (0.01 / gamma) ** 0.7,
            ),
            Component(name="outer", levers=("delta_s", "learners"), cost_usd=lambda d, P: 5_000 / d + 50 * P, network=True),
            Component(name="inner", levers=("inner_s",), cost_usd=lambda d: 200 / d**0.7, network=True),
        ),
        **kw,
    )


BOTH: dict[str, float] = {"delta_s": 1.0, "inner_s": 1.0}


@pytest.mark.parametrize("objective", ["mean_time", "weighted_time", "worst_time"])
def test_three_components_and_two_workloads_match_a_global_search(objective: Any) -> None:
    asked = three_components(
        TrainingTime(name="images", convergence=law(), knee_samples=8.0, delta=BOTH, weight=3.0),
        TrainingTime(
            name="words", convergence=law(300.0, 9e5), knee_samples=2.0, gamma={"gamma_s_per_sample": 12.0},
            delta={"delta_s": 4.0, "inner_s": 4.0},
        ),
        objective=objective,
        budget_usd=2e6,
    )  # fmt: skip
    found = continuous_design(asked)
    assert found.time_s == pytest.approx(brute_force(asked), rel=EQUAL)
    assert len(interior_gains(found)) == 4
    assert found.certificate.equal_within < EQUAL
    if objective == "worst_time":  # multipliers: only the longest workloads carry weight, and they are equally long
        weights = found.certificate.workload_weights
        assert sum(weights.values()) == pytest.approx(1.0, rel=1e-9)
        longest = [found.workloads[name].converge_time_s for name, weight in weights.items() if weight > 1e-9]
        assert longest == pytest.approx([found.time_s] * len(longest), rel=1e-9)


def test_the_worst_of_two_times_is_balanced_by_multipliers_where_both_are_longest() -> None:
    """One workload wants learners, the other bandwidth; the least worst time makes both equally long."""
    asked = problem(
        TrainingTime(name="compute-bound", convergence=law(100.0, 4e7), knee_samples=1.0),
        TrainingTime(name="network-bound", convergence=law(60_000.0, 1e5), knee_samples=1.0),
        objective="worst_time",
        budget=3e6,
    )
    found = continuous_design(asked)
    times = [one.converge_time_s for one in found.workloads.values()]
    assert times[0] == pytest.approx(times[1], rel=1e-9)
    assert min(found.certificate.workload_weights.values()) > 0.01
    assert found.time_s == pytest.approx(brute_force(asked), rel=EQUAL)
    assert found.certificate.equal_within < EQUAL


def test_short_power_has_a_price_of_its_own() -> None:
    asked = three_components(
        TrainingTime(convergence=law(), knee_samples=8.0, delta=BOTH), budget_usd=2e6, power_max_w=20_000.0
    )
    found = continuous_design(asked)
    assert found.power_w == pytest.approx(20_000.0, rel=1e-7)
    assert found.time_s == pytest.approx(brute_force(asked), rel=EQUAL)
    assert found.certificate.gain_s_per_w > 0
    assert found.certificate.equal_within < EQUAL  # four levers, two prices: two independent checks
    assert found.certificate.held_by == "the budget, the power"


def test_shadow_prices_are_the_derivatives_of_the_best_time() -> None:
    """Envelope theorem: solved anew with a budget (power) larger by 1e-4, by central differences, error below 1e-7."""
    time = TrainingTime(convergence=law(), knee_samples=8.0, delta=BOTH)
    found = continuous_design(three_components(time, budget_usd=2e6, power_max_w=2e4))
    for name, at, price in (
        ("budget_usd", 2e6, found.certificate.gain_s_per_usd),
        ("power_max_w", 2e4, found.certificate.gain_s_per_w),
    ):
        limits = {"budget_usd": 2e6, "power_max_w": 2e4}
        up, down = (continuous_design(three_components(time, **{**limits, name: at * (1 + h)})).time_s for h in (1e-4, -1e-4))
        assert (down - up) / (2e-4 * at) == pytest.approx(price, rel=1e-5)


def test_the_cheapest_design_for_a_deadline_is_the_fastest_for_its_cost() -> None:
    time = TrainingTime(convergence=law(), knee_samples=8.0, delta=BOTH)
    cheapest = continuous_design(three_components(time, objective="cost", deadline_s=3000.0))
    fastest = continuous_design(three_components(time, budget_usd=cheapest.cost_usd))
    assert cheapest.time_s == pytest.approx(3000.0, rel=1e-9)
    assert fastest.time_s == pytest.approx(3000.0, rel=EQUAL)
    assert cheapest.certificate.equal_within < EQUAL
    assert cheapest.certificate.gain_s_per_usd == pytest.approx(fastest.certificate.gain_s_per_usd, rel=1e-5)
    assert cheapest.certificate.held_by == "the deadline of workload"


def test_a_lever_at_its_bound_says_which_way_money_would_go() -> None:
    asked = three_components(TrainingTime(convergence=law(), knee_samples=8.0, delta=BOTH), budget_usd=2e6)
    levers = tuple(
        Lever(name="gamma_s_per_sample", lowest=0.02, highest=0.1) if one.name == "gamma_s_per_sample" else one
        for one in asked.levers
    )
    found = continuous_design(
        ContinuousProblem(workloads=asked.workloads, levers=levers, components=asked.components, budget_usd=2e6)
    )
    (held,) = [one for one in found.certificate.marginals if one.lever == "gamma_s_per_sample"]
    assert not held.free
    assert held.reason == "at its lowest, 0.02: it would take more money"
    assert held.gain_s_per_usd is not None
    assert held.gain_s_per_usd > found.certificate.gain_s_per_usd
    assert found.certificate.equal_within < EQUAL  # of the others


def test_one_learner_alone_pays_for_no_network() -> None:
    """With bandwidth at a fortune, one learner without Delta beats any network: T_C = (N + alpha/M_T) gamma M_T (Eqn 8)."""
    time = TrainingTime(convergence=law(1000.0, 1e4), knee_samples=8.0)
    found = continuous_design(problem(time, b=1e9, budget=1e6))
    assert found.alone
    assert found.time_s == pytest.approx((1000 + 1e4 / 8) * 0.01 * 8, rel=1e-12)
    assert found.spent_usd == {"compute": P_USD}


def test_learners_end_where_the_largest_mini_batch_meets_the_knee() -> None:
    """M <= 2,000 and a knee of 20: from 100 learners on more of them do nothing; the rest goes into bandwidth."""
    time = TrainingTime(convergence=law(), knee_samples=20.0, max_batch_samples=2000.0)
    found = continuous_design(problem(time, budget=5e6))
    assert found.values["learners"] == pytest.approx(100.0, rel=1e-9)
    assert found.spent_usd["bandwidth"] == pytest.approx(4e6, rel=1e-6)
    (held,) = [one for one in found.certificate.marginals if one.lever == "learners"]
    assert held.reason == "from 100 learners on the largest mini-batch of workload is below the knee of every learner"


def test_learners_end_where_the_largest_mini_batch_fits_into_their_memory() -> None:
    """M <= 16,000 and 200 samples a learner: below 80 learners memory holds M down, beyond M stays: T_C bends there.

    It goes from (N + alpha/(200 P)) (delta + 200 gamma) to (N + alpha/M) (delta + gamma M/P); delta is dear, so 80 is the best.
    """
    time = TrainingTime(convergence=law(1000.0, 6.4e7), knee_samples=20.0, max_batch_samples=16_000.0, max_local_samples=200.0)
    asked = problem(time, budget=1.6e6, b=2e6)
    found = continuous_design(asked)
    assert found.values["learners"] == pytest.approx(80.0, rel=1e-9)
    (held,) = [one for one in found.certificate.marginals if one.lever == "learners"]
    assert held.reason == "from 80 learners on the largest mini-batch of workload fits into the memory of its learners"

    def one_dimension(P: float) -> float:
        delta = 2e6 / (1.6e6 - P_USD * P)
        M = min(200.0 * P, 16_000.0)
        return (1000.0 + 6.4e7 / M) * (delta + 0.01 * M / P)

    assert found.time_s == pytest.approx(min(one_dimension(P) for P in np.linspace(2, 150, 14_801)), rel=EQUAL)
    assert found.certificate.equal_within < EQUAL


def test_speeds_and_bandwidths_divide_and_each_lever_grows_in_its_own_way() -> None:
    """The same problem in gamma = 0.01/speed and delta = 4e8/bandwidth: the same optimum, elasticities with the other sign."""
    growth: Any = {"delta_s": "log", "inner_s": "constant"}
    time = TrainingTime(convergence=law(), knee_samples=8.0, delta=BOTH, reduce=growth)
    first = continuous_design(three_components(time, budget_usd=2e6))
    assert first.time_s == pytest.approx(brute_force(three_components(time, budget_usd=2e6)), rel=EQUAL)
    turned: Any = {"bandwidth": "log", "inner_s": "constant"}
    other = TrainingTime(
        convergence=law(), knee_samples=8.0, gamma={"speed": 0.01}, delta={"bandwidth": 4e8, "inner_s": 1.0}, reduce=turned,
        inverse=frozenset({"speed", "bandwidth"}),
    )  # fmt: skip
    asked = ContinuousProblem(
        workloads=(other,),
        levers=(
            Lever(name="learners", lowest=1, highest=1e5),
            Lever(name="speed", lowest=0.1, highest=100),
            Lever(name="bandwidth", lowest=4e6, highest=4e13),
            Lever(name="inner_s", lowest=1e-6, highest=1e2),
        ),
        components=(
            Component(name="compute", levers=("learners", "speed"), cost_usd=lambda P, v: P * (2_000 + 8_000 * v**1.5)),
            Component(
                name="outer", levers=("bandwidth", "learners"), cost_usd=lambda B, P: 5_000 * B / 4e8 + 50 * P, network=True
            ),
            Component(name="inner", levers=("inner_s",), cost_usd=lambda d: 200 / d**0.7, network=True),
        ),
        budget_usd=2e6,
    )
    second = continuous_design(asked)
    assert second.time_s == pytest.approx(first.time_s, rel=1e-9)
    assert second.values["speed"] == pytest.approx(0.01 / first.values["gamma_s_per_sample"], rel=EQUAL)
    assert second.values["bandwidth"] == pytest.approx(4e8 / first.values["delta_s"], rel=EQUAL)
    here, there = ({one.lever: one.elasticity for one in found.certificate.marginals} for found in (first, second))
    assert there["speed"] == pytest.approx(-here["gamma_s_per_sample"], rel=1e-5)
    assert second.certificate.equal_within < EQUAL


def test_learners_beyond_the_best_of_a_tree_are_left_idle() -> None:
    """Delta = log2 P seconds: T_C is flat from its valley on, which a fine grid finds too."""
    for alpha in (1e5, 1e6, 1e7, 1e8):
        time = TrainingTime(convergence=law(1000.0, alpha), knee_samples=1.0, reduce="log")
        values = {"gamma_s_per_sample": 0.01, "delta_s": 1.0}
        grid = [paper_time(time, {**values, "learners": P}) for P in np.geomspace(2, 1e5, 40_001)]
        found = time.best({**values, "learners": 1e5})
        assert found.converge_time_s == pytest.approx(min(grid), rel=1e-7)
        if found.learners < 1e5:
            assert found.slopes["learners"] == 0.0


def test_what_cannot_be_met_is_found_out_without_wandering() -> None:
    """Limits far out of reach on every piece: said at once, with what would be feasible."""
    times = tuple(
        TrainingTime(name=f"{i}", convergence=law(10.0**i, 6.4e6), knee_samples=8.0, delta=BOTH, max_batch_samples=1e4 * 2**i,
                     max_local_samples=100.0)
        for i in (1, 2, 3)
    )  # fmt: skip
    with pytest.raises(InfeasibleError, match=r"no design meets 1,500 USD and 1e\+09 s: the cheapest costs 2,\d\d\d USD"):
        continuous_design(three_components(*times, objective="worst_time", budget_usd=1_500, deadline_s=1e9))


def test_a_frontier_gets_faster_with_money_and_its_gains_fall() -> None:
    time = TrainingTime(convergence=law(), knee_samples=8.0, delta=BOTH)
    found = continuous_frontier(three_components(time, budget_usd=inf), np.geomspace(1e5, 1e7, 9).tolist())
    assert len(found) == 9
    assert np.all(np.diff([one.time_s for one in found]) < 0)
    assert np.all(np.diff([one.certificate.gain_s_per_usd for one in found]) < 0)


@dataclass(frozen=True)
class Refused:
    """A request, and what is said."""

    limits: dict[str, float]
    words: str


@pytest.mark.parametrize(
    "case",
    [
        Refused({"budget_usd": 1e3}, r"no design meets 1,000 USD: the cheapest costs 2,\d\d\d USD and takes"),
        Refused({"budget_usd": 1e5, "deadline_s": 400}, r"no design meets 100,000 USD and 400 s: the cheapest costs"),
        Refused({"budget_usd": 1e6, "deadline_s": 0.01}, r"no design converges within 0.01 s, whatever it costs: the fastest"),
        Refused({"budget_usd": 1e6, "power_max_w": 1}, r"no design meets 1,000,000 USD and 1 W: without the limit of power"),
    ],
)
def test_what_cannot_be_met_says_what_could(case: Refused) -> None:
    time = TrainingTime(convergence=law(), knee_samples=8.0, delta=BOTH)
    with pytest.raises(InfeasibleError, match=case.words):
        continuous_design(three_components(time, **case.limits))


def test_faulty_problems_are_refused() -> None:
    time = TrainingTime(convergence=law(), knee_samples=8.0)
    with pytest.raises(ValueError, match="budget_usd must be > 0, got -1"):
        problem(time, budget=-1.0)
    with pytest.raises(ValueError, match="deadline_s must be given where the cost is to be least"):
        problem(time, objective="cost")
    with pytest.raises(ValueError, match=r"levers must be those of the workloads and components, .* got \['learners'\]"):
        ContinuousProblem(
            workloads=(time,),
            levers=(Lever(name="learners", lowest=1, highest=2),),
            components=(Component(name="compute", levers=("learners",), cost_usd=lambda P: P),),
        )
    with pytest.raises(ValueError, match="components must have distinct names"):
        ContinuousProblem(workloads=(time,), levers=problem(time).levers, components=(problem(time).components[0],) * 2)
    with pytest.raises(ValueError, match="workloads and components must hold at least one each"):
        ContinuousProblem(workloads=(), levers=(), components=())
    with pytest.raises(ValueError, match=r"lowest must be >= 1 for learners, got 0\.5"):
        Lever(name="learners", lowest=0.5, highest=2)
    with pytest.raises(ValueError, match="highest must be >= lowest = 3 for delta_s, got 2"):
        Lever(name="delta_s", lowest=3, highest=2)
    with pytest.raises(ValueError, match=r"bandwidth must cost and draw a finite amount >= 0, got -.* at delta_s = "):
        continuous_design(problem(time, b=-5000.0))
    with pytest.raises(ValueError, match="gamma must name at least one lever"):
        TrainingTime(convergence=law(), knee_samples=8.0, gamma={})
    with pytest.raises(ValueError, match="max_batch_samples must be > 0, got -1"):
        TrainingTime(convergence=law(), knee_samples=8.0, max_batch_samples=-1.0)


@given(
    n_inf=st.one_of(decades(1, 1e4), st.just(-3.0)),
    alpha=decades(1e5, 1e9),
    gamma=decades(1e-4, 1),
    delta=decades(1e-5, 1),
    P=decades(1.01, 1e4),
    reduce=st.sampled_from(["constant", "linear", "log"]),
    most=st.sampled_from([inf, 500.0, 20_000.0]),
    local=st.sampled_from([inf, 4.0, 64.0]),
)
@settings(max_examples=100, deadline=None)
def test_slopes_are_the_derivatives_of_the_best_time(
    n_inf: float, alpha: float, gamma: float, delta: float, P: float, reduce: Any, most: float, local: float
) -> None:
    """Central differences of step 1e-6: truncation and rounding stay below 1e-8 of T_C but within a step of a corner (1e-6)."""
    time = TrainingTime(
        convergence=law(n_inf, alpha), knee_samples=8.0, reduce=reduce,
        max_batch_samples=most, max_local_samples=local,
    )  # fmt: skip
    values = {"learners": P, "gamma_s_per_sample": gamma, "delta_s": delta}
    if any(abs(P / kink - 1) < 1e-5 for kink in time.kinks_learners):
        return
    found = time.best(values)
    for name, value in values.items():
        up, down = (time.best({**values, name: value * (1 + h)}).converge_time_s for h in (1e-6, -1e-6))
        elasticity = found.slopes.get(name, 0.0) * value / found.converge_time_s
        assert elasticity == pytest.approx((up - down) / (2e-6 * found.converge_time_s), abs=2e-6)
