"""`design` with [design.continuous], as a user asks it, against the paper's ratios and grids over the file's own numbers."""

from __future__ import annotations

from math import log2, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from tests.support import ONE_WORKLOAD, changed, command, written

EQUAL = 1e-6
N_INF, ALPHA, GAMMA, P_USD, B_USD_S, BUDGET = 1000.0, 6.4e6, 0.01, 10_000.0, 5_000.0, 1e6
PAPER = f"""\
schema = 1
{ONE_WORKLOAD}[design]
budget_usd = 1e6
[design.continuous]
accelerator = "a100-sxm-80"
learners_max = 1_000_000
[design.continuous.compute]
usd_per_learner = 10_000
[[design.continuous.network]]
delta_s = "1 s"
delta_min_s = "1 us"
usd = 5_000
"""
"""C_compute = 10,000 P, C_bandwidth = 5,000/delta: the problem of the spending ratios."""


def answered(folder: Path, *replacements: tuple[str, str], text: str = PAPER) -> dict[str, Any]:
    found = command("design", written(folder, changed(text, *replacements)), "--json")
    assert found.status == 0, found.err
    return dict(found.answer)


def spent(answer: dict[str, Any]) -> dict[str, float]:
    return {row["item"]: row["usd"] for row in answer["bill"]}


def lever(answer: dict[str, Any], name: str) -> dict[str, Any]:
    (row,) = [row for row in answer["certificate"] if row["lever"] == name]
    return dict(row)


def paper_time(P: Any, delta: Any, knee: float, gamma: Any = GAMMA) -> Any:
    """Least T_C over M, Eqn 10."""
    M = np.maximum(np.sqrt(ALPHA * delta * P / (N_INF * gamma)), knee * P)
    return (N_INF + ALPHA / M) * (gamma * M / P + delta)


def test_first_branch_spends_as_the_cube_root_says(tmp_path: Path) -> None:
    """C_compute/C_bandwidth = (alpha gamma p/(b N_inf))^(1/3) where M_opt is above the knee."""
    answer = answered(tmp_path)
    (trained,) = answer["design"]["workloads"]
    assert trained["branch"] == "interior"
    money = spent(answer)
    ratio = (ALPHA * GAMMA * P_USD / (B_USD_S * N_INF)) ** (1 / 3)
    assert money["compute"] / money["network"] == pytest.approx(ratio, rel=EQUAL)
    assert sum(money.values()) == pytest.approx(BUDGET, rel=1e-9)
    gains = [row["gain_s_per_usd"] for row in answer["certificate"] if row["free"]]
    assert len(gains) == 2
    assert gains[0] == pytest.approx(gains[1], rel=EQUAL)
    assert answer["optimality"]["gain_s_per_usd"] == pytest.approx(gains[0], rel=EQUAL)
    assert trained["converge_time_s"] == pytest.approx(trained["updates"] * trained["update_time_s"], rel=1e-12)
    assert trained["reduce_time_s"] == pytest.approx(B_USD_S / money["network"], rel=1e-9)


def test_second_branch_spends_as_the_root_of_its_quadratic_says(tmp_path: Path) -> None:
    """alpha p gamma M_T C_b^2 + alpha p b C_b = b N_inf M_T C_c^2 + alpha p b C_c with C_c + C_b = C, M_opt on the knee."""
    knee = 300.0

    def balance(compute_usd: float) -> float:
        bandwidth_usd = BUDGET - compute_usd
        left = ALPHA * P_USD * GAMMA * knee * bandwidth_usd**2 + ALPHA * P_USD * B_USD_S * bandwidth_usd
        return left - B_USD_S * N_INF * knee * compute_usd**2 - ALPHA * P_USD * B_USD_S * compute_usd

    answer = answered(tmp_path, ("knee_samples = 1\n", f"knee_samples = {knee}\n"))
    (trained,) = answer["design"]["workloads"]
    assert (trained["branch"], trained["bound"]) == ("knee", "knee")
    assert spent(answer)["compute"] == pytest.approx(brentq(balance, 0, BUDGET, xtol=1e-9), rel=EQUAL)
    assert answer["optimality"]["equal_within"] < EQUAL


def test_at_the_border_both_branches_give_the_same_design(tmp_path: Path) -> None:
    ratio = (ALPHA * GAMMA * P_USD / (B_USD_S * N_INF)) ** (1 / 3)
    learners, delta = BUDGET / (1 + 1 / ratio) / P_USD, B_USD_S / (BUDGET / (1 + ratio))
    knee = sqrt(ALPHA * delta / (N_INF * GAMMA * learners))
    for factor, branch in ((1 - 1e-7, "interior"), (1 + 1e-7, "knee")):
        answer = answered(tmp_path, ("knee_samples = 1\n", f"knee_samples = {knee * factor!r}\n"))
        assert answer["design"]["workloads"][0]["branch"] == branch
        assert answer["design"]["learners"] == pytest.approx(learners, rel=EQUAL)
        assert lever(answer, "network.delta_s")["value"] == pytest.approx(delta, rel=EQUAL)


@pytest.mark.parametrize("knee", [1.0, 20.0, 300.0])
@pytest.mark.parametrize("kind", ["constant", "linear", "log"])
def test_the_optimum_is_that_of_a_fine_grid(tmp_path: Path, kind: str, knee: float) -> None:
    """All money is spent, so P says delta: 200,001 P, T_C of Eqn 10 with Delta = delta, delta P, delta log2 P."""
    answer = answered(
        tmp_path, ("knee_samples = 1\n", f"knee_samples = {knee}\n"), ("delta_s = ", f'kind = "{kind}"\ndelta_s = ')
    )
    P = np.geomspace(2, 99.99, 200_001)
    growth: dict[str, Any] = {"constant": 1.0, "linear": P, "log": np.log2(P)}
    delta = B_USD_S / (BUDGET - P_USD * P) * growth[kind]
    T = paper_time(P, delta, knee)
    alone_s = (N_INF + ALPHA / knee) * GAMMA * knee
    assert answer["design"]["time_s"] == pytest.approx(min(T.min(), alone_s), rel=EQUAL)
    assert answer["design"]["time_s"] <= T.min() * (1 + 1e-12)
    assert answer["design"]["learners"] == pytest.approx(P[T.argmin()], rel=1e-2)  # the optimum is flat
    assert answer["optimality"]["equal_within"] < EQUAL


RACKS = '[[design.continuous.part]]\nname = "racks"\nusd_per_learner = 2_000\n'
BANDWIDTH = (
    (
        'delta_s = "1 s"\ndelta_min_s = "1 us"\nusd = 5_000\n',
        'bandwidth_bytes_per_s = "10 GB/s"\nusd = 40_000\nprice_exponent = 0.8\n',
    ),
    ("learners_max = 1_000_000\n", "learners_max = 1_000_000\nspeed_min = 0.1\nspeed_max = 10\n"),
    ("usd_per_learner = 10_000\n", "usd_per_learner = 10_000\nprice_exponent = 1.7\n" + RACKS),
)
"""A price that grows as bandwidth^0.8, delta = 2 * 100 MB/bandwidth; learners at speed^1.7, in racks of 2,000 each."""


def test_speed_and_bandwidth_are_those_of_a_grid_of_both(tmp_path: Path) -> None:
    """(p v^1.7 + 2,000) P + 40,000 (B/10 GB/s)^0.8 = C: a grid of P and v, zoomed in; elasticities from moving it."""
    answer = answered(tmp_path, *BANDWIDTH)

    def least(budget: float) -> tuple[float, float, float, float]:
        low, high = np.log([2.0, 0.1]), np.log([1000.0, 10.0])
        best = (np.inf, 0.0, 0.0, 0.0)
        for _ in range(6):
            y = [np.linspace(low[i], high[i], 401) for i in (0, 1)]
            P, v = np.exp(y[0])[:, None], np.exp(y[1])[None, :]
            left = budget - (P_USD * v**1.7 + 2_000) * P
            B = 10e9 * (np.maximum(left, 1e-3) / 40_000) ** (1 / 0.8)
            T = np.where(left > 0, paper_time(P, 2e8 / B, 1.0, GAMMA / v), np.inf)
            i, j = np.unravel_index(T.argmin(), T.shape)
            best = (float(T[i, j]), float(P[i, 0]), float(v[0, j]), float(B[i, j]))
            step = [3 * (high[k] - low[k]) / 400 for k in (0, 1)]
            centre = [y[0][i], y[1][j]]
            low = np.array([centre[k] - step[k] for k in (0, 1)])
            high = np.array([centre[k] + step[k] for k in (0, 1)])
        return best

    T, P, v, B = least(BUDGET)
    assert answer["design"]["time_s"] == pytest.approx(T, rel=EQUAL)
    assert answer["design"]["learners"] == pytest.approx(P, rel=1e-3)
    assert answer["design"]["speed"] == pytest.approx(v, rel=1e-3)
    assert answer["design"]["networks"][0]["bandwidth_bytes_per_s"] == pytest.approx(B, rel=1e-3)
    for name, moved in (
        ("learners", paper_time(P * 1.01, 2e8 / B, 1.0, GAMMA / v)),
        ("speed", paper_time(P, 2e8 / B, 1.0, GAMMA / (1.01 * v))),
        ("network.bandwidth_bytes_per_s", paper_time(P, 2e8 / (1.01 * B), 1.0, GAMMA / v)),
    ):  # what 1 % more buys; second order: 1e-2 of it
        assert lever(answer, name)["time_elasticity"] == pytest.approx(100 * (moved / T - 1), rel=2e-2)
    more = least(BUDGET * 1.001)[0]  # the shadow price, from the grid's own optimum at more money
    assert answer["optimality"]["gain_s_per_usd"] == pytest.approx((T - more) / (1e-3 * BUDGET), rel=1e-2)


def test_the_cheapest_design_for_a_deadline_is_the_fastest_for_its_price(tmp_path: Path) -> None:
    fastest = answered(tmp_path, *BANDWIDTH)
    deadline = fastest["design"]["time_s"]
    asked = ("budget_usd = 1e6\n", f'objective = "cost"\ndeadline_s = {deadline!r}\n')
    cheapest = answered(tmp_path, asked, *BANDWIDTH)
    assert cheapest["design"]["cost_usd"] == pytest.approx(BUDGET, rel=EQUAL)
    assert cheapest["design"]["time_s"] == pytest.approx(deadline, rel=1e-9)
    assert cheapest["optimality"]["gain_s_per_usd"] == pytest.approx(fastest["optimality"]["gain_s_per_usd"], rel=1e-5)
    assert cheapest["optimality"]["held_by"] == "the deadline of one"


def test_two_workloads_and_three_components_are_those_of_a_grid(tmp_path: Path) -> None:
    """Mean of two times; network at 5,000/delta USD, an inner one at 200 USD s^0.7/delta^0.7, storage at 300 USD a learner."""
    second = PAPER[PAPER.index("[[workload]]") : PAPER.index("[design]")]
    second = changed(second, ('"one"', '"two"'), ("= 1000", "= 300"), ("6.4e6", "9e5"), ('"10 ms"', '"120 ms"'))
    inner = '[[design.continuous.network]]\nname = "inner"\ndelta_s = "1 s"\nusd = 200\nprice_exponent = 0.7\n'
    part = '[[design.continuous.part]]\nname = "storage"\nusd_per_learner = 300\n'
    text = PAPER.replace("[design]\n", second + "[design]\n") + inner + part
    answer = answered(tmp_path, text=text)
    low, high = np.log([2.0, 1e-5]), np.log([90.0, 1.0])
    least = np.inf
    for _ in range(6):
        y = [np.linspace(low[i], high[i], 401) for i in (0, 1)]
        P, inner_s = np.exp(y[0])[:, None], np.exp(y[1])[None, :]
        left = BUDGET - (P_USD + 300.0) * P - 200.0 / inner_s**0.7
        delta = B_USD_S / np.maximum(left, 1e-3) + inner_s
        times = [
            (np.sqrt(N * delta) + np.sqrt(alpha * gamma / P)) ** 2
            for N, alpha, gamma in ((1000, 6.4e6, 0.01), (300, 9e5, 0.12))
        ]
        T = np.where(left > 0, np.mean(times, axis=0), np.inf)
        i, j = np.unravel_index(T.argmin(), T.shape)
        least = float(T[i, j])
        step = [3 * (high[k] - low[k]) / 400 for k in (0, 1)]
        centre = [y[0][i], y[1][j]]
        low = np.array([centre[k] - step[k] for k in (0, 1)])
        high = np.array([centre[k] + step[k] for k in (0, 1)])
    assert {one["branch"] for one in answer["design"]["workloads"]} == {"interior"}  # as the grid's formula takes for granted
    assert answer["design"]["time_s"] == pytest.approx(least, rel=EQUAL)
    assert len([row for row in answer["certificate"] if row["free"]]) == 3
    assert answer["optimality"]["equal_within"] < EQUAL
    assert list(spent(answer)) == ["compute", "network", "inner", "storage"]


def test_latency_that_no_money_buys_is_added_to_delta(tmp_path: Path) -> None:
    answer = answered(tmp_path, ("delta_s = ", 'latency_s = "50 ms"\ndelta_s = '))
    P = np.geomspace(2, 99.99, 200_001)
    T = paper_time(P, B_USD_S / (BUDGET - P_USD * P) + 0.05, 1.0)
    assert answer["design"]["time_s"] == pytest.approx(T.min(), rel=EQUAL)


def test_learners_of_a_tree_take_a_step_for_each_doubling(tmp_path: Path) -> None:
    answer = answered(tmp_path, ("delta_s = ", 'kind = "log"\ndelta_s = '))
    (trained,) = answer["design"]["workloads"]
    delta = lever(answer, "network.delta_s")["value"]
    assert trained["reduce_time_s"] == pytest.approx(delta * log2(answer["design"]["learners"]), rel=1e-12)
