from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw, TabulatedUpdates
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce
from simulator.optimum import Limits, best_batch
from simulator.studies.curves import batch_curve
from simulator.tables import COLUMNS
from simulator.time_to_converge import TimeToConverge


def model(**given: Any) -> TimeToConverge:
    laws: dict[str, Any] = {
        "convergence": InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
        "compute": KneeCompute(gamma_s_per_sample=1 / 128, knee_samples=8),
        "reduce": ConstantReduce(delta_s=0.5),
    }
    return TimeToConverge(**{**laws, **given})


def test_curve_runs_over_the_admissible_mini_batches() -> None:
    rows = batch_curve(model(), Limits(max_batch_samples=1000), 4)
    M = [row["batch_samples"] for row in rows]
    assert (M[0], M[-1], len(M)) == (4.0, 1000.0, 200)
    assert (np.diff(M) > 0).all()
    assert set(rows[0]) <= set(COLUMNS)


def test_rows_are_the_model_at_their_mini_batch() -> None:
    for row in batch_curve(model(), Limits(max_batch_samples=1000), 4)[::40]:
        M = row["batch_samples"]
        assert row["local_samples"] == M / 4
        assert row["converge_time_s"] == model().converge_time_s(M, 4)
        assert row["updates"] * row["update_time_s"] == pytest.approx(row["converge_time_s"], rel=1e-15)
        assert row["reduce_time_s"] == 0.5
        assert all(type(value) is float for value in row.values())


@pytest.mark.parametrize("rounding", ["ceil", "whole"])
def test_whole_curves_divide_evenly(rounding: Any) -> None:
    M = [row["batch_samples"] for row in batch_curve(model(rounding=rounding), Limits(max_batch_samples=1001), 4)]
    assert all(batch % 4 == 0 for batch in M)
    assert (M[0], M[-1]) == (4.0, 1000.0)
    assert (np.diff(M) > 0).all()


@pytest.mark.parametrize("rounding", ["exact", "ceil", "whole"])
@pytest.mark.parametrize(("lowest", "highest"), [(5, 7), (6, 6), (4, 4), (9, 30)])
def test_curve_stays_within_its_bounds(lowest: float, highest: float, rounding: Any) -> None:
    limits = Limits(min_batch_samples=lowest, max_batch_samples=highest)
    rows = batch_curve(model(rounding=rounding), limits, 4)
    assert rows
    assert all(lowest <= row["batch_samples"] <= highest for row in rows)


@pytest.mark.parametrize("rounding", ["exact", "whole"])
def test_curve_of_a_table_stays_within_the_table(rounding: Any) -> None:
    table = TabulatedUpdates(batch_samples=(5, 7), updates_at=(100, 90))
    rows = batch_curve(model(convergence=table, rounding=rounding), Limits(), 4)
    assert all(5 <= row["batch_samples"] <= 7 for row in rows)


@pytest.mark.parametrize("alpha", [1e4, 1e9])
def test_endless_curve_holds_the_optimum(alpha: float) -> None:
    endless = model(convergence=InverseLaw(n_inf_updates=10, alpha_samples=alpha))
    M = [row["batch_samples"] for row in batch_curve(endless, Limits(), 4)]
    assert M[0] < best_batch(endless, Limits(), 4).batch_samples < M[-1]


def test_curve_refuses_contradicting_bounds() -> None:
    with pytest.raises(InfeasibleError, match=r"^no mini-batch is admissible for 4 learners"):
        batch_curve(model(), Limits(max_batch_samples=2), 4)
