from __future__ import annotations

from typing import Any

import pytest

from simulator.compute import AffineCompute, KneeCompute
from simulator.convergence import InverseLaw
from simulator.errors import InfeasibleError
from simulator.network.laws import ConstantReduce, LinearReduce, NodeLogReduce
from simulator.optimum import Limits
from simulator.studies.scaling import ScalingTable, scaling
from simulator.time_to_converge import TimeToConverge

POWERS = (1, 2, 4, 8, 16, 32, 64, 128)


def model(**given: Any) -> TimeToConverge:
    """M_opt = max(sqrt(4096 P), 8 P) for P > 1, optimal scaling is weak from P = 64; one learner takes 562.5 s."""
    laws: dict[str, Any] = {
        "convergence": InverseLaw(n_inf_updates=1000, alpha_samples=64_000),
        "compute": KneeCompute(gamma_s_per_sample=1 / 128, knee_samples=8),
        "reduce": ConstantReduce(delta_s=0.5),
    }
    return TimeToConverge(**{**laws, **given})


def column(table: ScalingTable, kind: str, name: str) -> list[Any]:
    return [getattr(row, name) for row in table.rows if row.scaling == kind]


def test_three_rows_for_each_number_of_learners() -> None:
    table = scaling(model(), Limits(), POWERS)
    assert [row.learners for row in table.rows] == [P for P in POWERS for _ in range(3)]
    assert [row.scaling for row in table.rows] == ["strong", "weak", "optimal"] * len(POWERS)


def test_rows_come_by_increasing_learners() -> None:
    assert [row.learners for row in scaling(model(), Limits(), [8, 2, 4]).rows[::3]] == [2, 4, 8]


def test_strong_keeps_m_weak_keeps_the_local_batch() -> None:
    table = scaling(model(), Limits(), POWERS, strong_batch_samples=128, weak_local_samples=16)
    assert column(table, "strong", "batch_samples") == [128.0] * 8
    assert column(table, "weak", "batch_samples") == [16.0 * P for P in POWERS]
    assert (table.strong_batch_samples, table.weak_local_samples) == (128, 16)
    # (1000 + 500)(128/128) alone, 1500 * (64/128 + 0.5) on two, flat from P = 16 on: 1500 * (8/128 + 0.5)
    assert column(table, "strong", "converge_time_s")[:2] == [1500.0, 1500.0]
    assert column(table, "strong", "converge_time_s")[4:] == [843.75] * 4


def test_defaults_meet_optimal_scaling() -> None:
    table = scaling(model(), Limits(), POWERS)
    assert table.weak_local_samples == 8.0  # the knee, at 128 learners
    assert table.strong_batch_samples == 256.0  # sqrt(4096 * 16)
    assert column(table, "weak", "converge_time_s")[-1] == column(table, "optimal", "converge_time_s")[-1]
    assert column(table, "strong", "converge_time_s")[4] == column(table, "optimal", "converge_time_s")[4]


def test_speedup_has_one_yardstick() -> None:
    table = scaling(model(), Limits(), POWERS)
    for row in table.rows:
        if row.converge_time_s is not None:
            assert row.speedup == pytest.approx(562.5 / row.converge_time_s, rel=1e-15)
            assert row.efficiency == pytest.approx(562.5 / row.converge_time_s / row.learners, rel=1e-15)
    without_one = scaling(model(), Limits(), [16, 32])
    assert without_one.rows[0].speedup == pytest.approx(562.5 / without_one.rows[0].converge_time_s, rel=1e-15)  # type: ignore[operator]


def test_mini_batch_that_does_not_fit_leaves_its_cells_empty() -> None:
    table = scaling(model(max_local_samples=16), Limits(), [1, 2, 64], strong_batch_samples=32, weak_local_samples=17)
    assert column(table, "strong", "converge_time_s")[0] is None  # 32 samples in a memory of 16
    assert column(table, "strong", "converge_time_s")[2] is None  # 64 learners, 32 samples
    assert column(table, "weak", "speedup") == [None, None, None]
    assert column(table, "strong", "batch_samples") == [32, 32, 32]


def test_learners_without_an_admissible_mini_batch_stay_in_the_table() -> None:
    table = scaling(model(), Limits(data_set_samples=20), [4, 16, 32])
    assert column(table, "optimal", "batch_samples")[2] is None
    assert column(table, "optimal", "efficiency")[2] is None


def test_thresholds_of_the_papers_model_are_real() -> None:
    table = scaling(model(), Limits(), POWERS, strong_batch_samples=100)
    # 64 * 0.5 * 128/64 = 64 and 100/8
    assert table.optimal_is_weak_from_learners == pytest.approx(64, rel=1e-14)
    assert table.strong_stops_at_learners == 12.5


def test_thresholds_of_other_models_are_searched_among_all_learners() -> None:
    logarithmic = NodeLogReduce(in_node_s=0.5, node_jump_s=0, per_doubling_s=0.0, learners_per_node=8)
    table = scaling(model(reduce=logarithmic), Limits(), POWERS, strong_batch_samples=100)
    assert table.optimal_is_weak_from_learners == 64.0
    # per update 100/128 = 0.78 s alone, 8/128 + 0.5 = 0.56 s once 100/P <= 8, on 13 or more; with a Delta of 1 s one is fastest
    assert table.strong_stops_at_learners == 13.0
    slow = NodeLogReduce(in_node_s=1.0, node_jump_s=0, per_doubling_s=0.0, learners_per_node=8)
    assert scaling(model(reduce=slow), Limits(), POWERS, strong_batch_samples=100).strong_stops_at_learners == 1.0


def test_thresholds_that_are_not_reached_are_none() -> None:
    affine = model(compute=AffineCompute(gamma_s_per_sample=1 / 128))
    table = scaling(affine, Limits(), POWERS)
    assert table.optimal_is_weak_from_learners is None
    assert table.strong_stops_at_learners is None
    server = model(reduce=LinearReduce(delta_s=1.1))
    assert scaling(server, Limits(), POWERS).optimal_is_weak_from_learners is None


def test_memory_below_the_knee_never_reaches_it() -> None:
    table = scaling(model(max_local_samples=4), Limits(), [1, 50, 100])
    assert column(table, "optimal", "batch_samples") == [4.0, 200.0, 400.0]
    # M_opt = 4 P: weak scaling, but not at the knee of 8 samples
    assert table.optimal_is_weak_from_learners is None


def test_nothing_feasible_is_refused() -> None:
    with pytest.raises(InfeasibleError, match=r"^no mini-batch is admissible for 2 learners"):
        scaling(model(max_local_samples=4), Limits(min_batch_samples=100), [1, 2])


def test_one_learner_need_not_be_feasible() -> None:
    # 64 samples at least, 32 in a memory: two learners and more can run, one cannot
    table = scaling(model(max_local_samples=32), Limits(min_batch_samples=64), [2, 4])
    assert column(table, "optimal", "converge_time_s")[0] is not None
    assert column(table, "optimal", "speedup") == [None, None]


def test_no_learners_at_all_are_refused() -> None:
    with pytest.raises((ValueError, InfeasibleError), match="learners"):
        scaling(model(), Limits(), [])


def test_whole_runs_have_whole_mini_batches() -> None:
    table = scaling(model(rounding="whole", reduce=ConstantReduce(delta_s=50)), Limits(max_batch_samples=100), [1, 3, 8])
    for row in table.rows:
        assert row.batch_samples == int(row.batch_samples or 0)


@pytest.mark.parametrize("name", ["weak_local_samples", "strong_batch_samples"])
@pytest.mark.parametrize("value", [0, -1])
def test_held_sizes_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        scaling(model(), Limits(), [1, 2], **{name: value})


def test_no_scaling_beats_optimal_within_the_same_bounds() -> None:
    # a floor on the mini-batch that one learner meets only above its best: weak scaling below it is not admissible either
    table = scaling(model(), Limits(min_batch_samples=256, max_batch_samples=4096), [1, 2, 64], weak_local_samples=64)
    times = {(row.learners, row.scaling): row.converge_time_s for row in table.rows}
    assert times[1, "weak"] is None
    for learners in (1, 2, 64):
        optimal = times[learners, "optimal"]
        assert optimal is not None
        for kind in ("strong", "weak"):
            other = times[learners, kind]
            assert other is None or other >= optimal * (1 - 1e-12)
