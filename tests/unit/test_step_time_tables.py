"""Tables of step times: series, placements, waits, and every message about a table that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.calibration.step_time_series import StepPlace, StepPoint, StepTimeSeries
from simulator.calibration.step_time_tables import fitted_series, read_step_time_targets, read_step_times
from simulator.errors import FitError, ScenarioError
from simulator.validation.step_time import STEP_TIMES
from tests.support import written

HEADER = "source,workload,variant,gpu,n_nodes,n_gpus,placement,local_batch,accumulation,step_time_s,sync_time_s\n"


def faults_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read_step_times(written(tmp_path, text, "t.csv"))
    return [f"{fault.key}: {fault.rule}" for fault in caught.value.faults]


def test_the_shipped_table_has_the_series_that_its_sources_timed() -> None:
    # 4 workloads on the T4 cluster; 17 pairs of a network and a GPU, each with two MPIs
    names = [one.name for one in read_step_times(STEP_TIMES).series]
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("pollux")] == [
        f"pollux/sia-aws/{workload}" for workload in ("bert", "cifar10", "yolov3", "deepspeech2")
    ]
    assert len([name for name in names if name.startswith("batchai-horovod")]) == 34


def test_placements_and_scalability_are_one_series_and_single_joins_every_variant(tmp_path: Path) -> None:
    text = HEADER + (
        "p,w,placements,T4,1,2,2,8,1,0.5,\n"
        "p,w,scalability,T4,2,4,,8,1,0.6,\n"
        "b,w,single,V100,1,1,,8,1,0.3,\n"
        "b,w,IntelMPI,V100,1,2,IntelMPI,8,1,0.4,\n"
        "b,w,NCCL,V100,2,4,NCCL,8,1,0.5,\n"
    )
    found = {one.name: one.learners for one in read_step_times(written(tmp_path, text, "t.csv")).series}
    assert found == {"p/w": (2, 4), "b/w/IntelMPI": (1, 2), "b/w/NCCL": (1, 4)}


def test_a_series_is_named_by_its_column_or_after_the_file(tmp_path: Path) -> None:
    text = "local_batch,n_gpus,n_nodes,step_time_s,series\n8,1,1,0.5,a\n8,2,1,0.5,\n"
    assert [one.name for one in read_step_times(written(tmp_path, text, "mine.csv")).series] == ["mine", "a"]


def test_digits_of_a_placement_say_how_full_the_nodes_are(tmp_path: Path) -> None:
    text = "local_batch,n_gpus,placement,step_time_s\n8,4,31,0.5\n"
    ((point,),) = [one.points for one in read_step_times(written(tmp_path, text, "t.csv")).series]
    assert (point.place.nodes, point.place.fullest_node) == (2, 3)


def test_without_digits_nodes_are_filled_evenly(tmp_path: Path) -> None:
    text = HEADER + "s,w,v,T4,4,10,somewhere,8,1,0.5,\n"
    ((point,),) = [one.points for one in read_step_times(written(tmp_path, text, "t.csv")).series]
    assert (point.place.nodes, point.place.fullest_node) == (4, 3)


def test_what_a_wait_leaves_is_computing_and_a_wait_as_long_as_the_step_says_nothing(tmp_path: Path) -> None:
    text = HEADER + "s,w,v,T4,1,2,2,8,2,0.5,0.2\ns,w,v,T4,1,2,2,9,1,0.5,0.5\n"
    table = read_step_times(written(tmp_path, text, "t.csv"))
    first, second = table.series[0].points
    assert first.compute_time_s == pytest.approx(0.3)
    assert first.place.micro_steps == 2
    assert second.compute_time_s is None
    assert table.skipped == {"exposed wait not below the step time: the wait left out (rows)": 1}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "local_batch,n_gpus,step_time_s\n8,1,0.5\n",
            "n_nodes: is missing, and so is placement: one of them must say how GPUs",
        ),
        (HEADER + "s,w,v,T4,3,2,,8,1,0.5,\n", "line 2, n_nodes: must be at most n_gpus, 2, got 3"),
        (HEADER + "s,w,v,T4,,2,,8,1,0.5,\n", "line 2, n_nodes: must not be empty where placement is"),
        (HEADER + "s,w,v,T4,,2,31,8,1,0.5,\n", "line 2, placement: must have one digit for each node, adding up to n_gpus, 2"),
        (HEADER + "s,w,v,T4,1,2,,0,1,0.5,\n", "line 2, local_batch: must be a number > 0 and <= 1e+12, got '0'"),
        (HEADER + "s,w,v,T4,1,2,,8,1,-1,\n", "line 2, step_time_s: must be a number > 0 and <= 1e+09, got '-1'"),
        (HEADER + "s,w,v,T4,1,2,,8,1,,\n", "line 2, step_time_s: must not be empty"),
        (HEADER + "s,w,v,T4,1,2,,8,1,0.5,-0.1\n", "line 2, sync_time_s: must be a number >= 0 and <= 1e+09, got '-0.1'"),
        (HEADER + "s,w,v,T4,1,2,,8,0,0.5,\n", "line 2, accumulation: must be a whole number >= 1 and <= 1e+06, got '0'"),
        (HEADER + "s,w,v,T4,1,2.5,,8,1,0.5,\n", "line 2, n_gpus: must be a whole number >= 1"),
    ],
)
def test_faults_name_line_and_column(tmp_path: Path, text: str, fault: str) -> None:
    assert any(found.startswith(fault) for found in faults_of(tmp_path, text)), faults_of(tmp_path, text)


def test_every_fault_of_a_table_is_reported(tmp_path: Path) -> None:
    assert len(faults_of(tmp_path, HEADER + "s,w,v,T4,3,2,,8,1,0.5,\ns,w,v,T4,4,2,,8,1,0.5,\n")) == 2


def test_a_table_without_two_steps_of_one_series_cannot_be_fitted(tmp_path: Path) -> None:
    table = read_step_times(written(tmp_path, HEADER + "s,w,v,T4,1,2,,8,1,0.5,\ns,x,v,T4,1,2,,8,1,0.5,\n", "t.csv"))
    rule = r"t.csv: must have a series with at least two measured steps; left out: 2 x fewer than two measured"
    with pytest.raises(FitError, match=rule):
        fitted_series(table, None, "t.csv")


def test_rows_on_more_gpus_are_left_out_and_counted(tmp_path: Path) -> None:
    text = HEADER + "".join(f"s,w,v,T4,1,{P},,8,1,0.5,\n" for P in (1, 2, 4))
    (series,), skipped = fitted_series(read_step_times(written(tmp_path, text, "t.csv")), 2, "t.csv")
    assert series.learners == (1, 2)
    assert skipped == {"more than 2 GPUs (rows)": 1}


def test_targets_fill_nodes_where_they_do_not_say(tmp_path: Path) -> None:
    text = "local_batch,n_gpus,n_nodes,placement,accumulation\n8,10,,,\n8,4,,31,2\n8,4,4,,\n"
    found = read_step_time_targets(written(tmp_path, text, "t.csv"), node_size=4)
    assert [(one.nodes, one.fullest_node, one.micro_steps) for one in found] == [(3, 4, 1), (2, 3, 2), (4, 1, 1)]


def test_targets_with_faults_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "local_batch,n_gpus,n_nodes\n8,2,3\n", "t.csv")
    with pytest.raises(ScenarioError, match="line 2, n_nodes: must be at most n_gpus, 2, got 3"):
        read_step_time_targets(path, node_size=4)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"local_samples": 0.0}, "local_samples > 0, learners >= 1 and micro_steps >= 1, got 0, 4, 1"),
        ({"nodes": 5}, "nodes must be from 1 to the learners, 4, got 5"),
        ({"fullest_node": 1}, "fullest_node must hold from 4/2 to 4 learners, got 1"),
    ],
)
def test_a_place_that_cannot_be_is_refused(given: dict[str, float], rule: str) -> None:
    usual = {"local_samples": 8.0, "learners": 4, "nodes": 2, "fullest_node": 2}
    with pytest.raises(ValueError, match=rule):
        StepPlace(**{**usual, **given})  # type: ignore[arg-type]


def test_repeated_steps_are_joined_to_their_geometric_mean() -> None:
    place = StepPlace.even(local_samples=8, learners=2, nodes=1)
    other = StepPlace.even(local_samples=8, learners=4, nodes=1)
    points = [StepPoint(place=place, step_time_s=t, compute_time_s=t / 2) for t in (0.1, 0.4)]
    series = StepTimeSeries.of("s", [*points, StepPoint(place=other, step_time_s=1.0)])
    assert series.points[0].step_time_s == pytest.approx(0.2)  # sqrt(0.1 * 0.4)
    assert series.points[0].compute_time_s == pytest.approx(0.1)
    assert series.points[0].count == 2


def test_a_series_needs_two_places_and_not_too_many() -> None:
    place = StepPlace.even(local_samples=8, learners=2, nodes=1)
    with pytest.raises(FitError, match=r"s: must have at least two measured \(local_batch, n_gpus, placement\), got 1"):
        StepTimeSeries.of("s", [StepPoint(place=place, step_time_s=0.1)] * 3)
    many = [StepPlace.even(local_samples=float(m), learners=1, nodes=1) for m in range(1, 2002)]
    with pytest.raises(FitError, match=r"s: must have at most 2000 different .*, got 2001"):
        StepTimeSeries.of("s", [StepPoint(place=one, step_time_s=0.1) for one in many])
