from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import PAPER_FLAGS, SCENARIO, assert_sound, changed, command, written

ROW = {"learners", "scaling", "batch_samples", "converge_time_s", "speedup", "efficiency"}
COMMON = {"schema", "command", "title", "seed", "versions", "warnings"}


def scale(*arguments: object) -> Any:
    found = command("scale", *arguments, "--json")
    assert found.status == 0, found.err
    answer = found.answer
    assert set(answer) >= COMMON | {"rows", "optimal_is_weak_from_learners", "strong_stops_at_learners"}
    assert all(set(row) == ROW for row in answer["rows"])
    assert_sound(answer)
    return answer


def times(answer: Any, scaling: str) -> list[float | None]:
    return [row["converge_time_s"] for row in answer["rows"] if row["scaling"] == scaling]


def test_three_rows_for_each_number_of_learners() -> None:
    answer = scale(*PAPER_FLAGS, "--learners", "1,2,4,8")
    assert [(row["learners"], row["scaling"]) for row in answer["rows"]] == [
        (P, scaling) for P in (1, 2, 4, 8) for scaling in ("strong", "weak", "optimal")
    ]


def test_optimal_scaling_is_never_slower() -> None:
    answer = scale(*PAPER_FLAGS, "--learners", "1,2,4,8,16,64,512,2048")
    for kind in ("strong", "weak"):
        for best, other in zip(times(answer, "optimal"), times(answer, kind), strict=True):
            assert best is not None
            assert other is None or other >= best * (1 - 1e-12)


def test_thresholds_are_the_papers() -> None:
    answer = scale(*PAPER_FLAGS, "--learners", "1,2,4")
    assert answer["optimal_is_weak_from_learners"] == pytest.approx(1_024_000 * 0.004 / (0.001 * 64 * 1000))


def test_what_is_held_constant_can_be_given() -> None:
    answer = scale(*PAPER_FLAGS, "--learners", "1,2,4", "--strong-batch-samples", 100, "--weak-local-samples", 50)
    strong = [row["batch_samples"] for row in answer["rows"] if row["scaling"] == "strong"]
    weak = [row["batch_samples"] for row in answer["rows"] if row["scaling"] == "weak"]
    assert (strong, weak) == ([100, 100, 100], [50, 100, 200])


def test_a_scenario_is_scaled_to_its_cluster(tmp_path: Path) -> None:
    answer = scale(written(tmp_path, changed(SCENARIO, ("nodes = 2", "nodes = 3"))))
    assert sorted({row["learners"] for row in answer["rows"]}) == [1, 2, 4, 8, 16, 24]
    assert [row["learners"] for row in scale("resnet50-a100", "--learners", "64,8")["rows"]][::3] == [8, 64]


def test_what_the_memory_does_not_hold_is_null() -> None:
    answer = scale("resnet50-a100", "--learners", "1,64")
    assert times(answer, "strong")[0] is None or times(answer, "strong")[1] is not None
    big = scale("resnet50-a100", "--weak-local-samples", "1e6")
    assert set(times(big, "weak")) == {None}


def test_speedup_is_over_one_learner_at_its_best() -> None:
    answer = scale(*PAPER_FLAGS, "--learners", "2,4")
    alone = command("optimum", *PAPER_FLAGS, "--learners", 1, "--json").answer["converge_time_s"]
    for row in answer["rows"]:
        assert row["speedup"] == pytest.approx(alone / row["converge_time_s"])
        assert row["efficiency"] == pytest.approx(row["speedup"] / row["learners"])


def test_a_floor_that_one_learner_cannot_hold_does_not_stop_the_table(tmp_path: Path) -> None:
    text = changed(SCENARIO, ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 64"))
    answer = scale(written(tmp_path, text + "[run]\nmin_batch_samples = 200\n"))
    assert times(answer, "optimal")[0] is None
    assert times(answer, "optimal")[-1] is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (PAPER_FLAGS, "--learners is missing: give the numbers of learners, like --learners 1,2,4,8"),
        ((*PAPER_FLAGS, "--learners", "1,2,x"), "--learners must be whole numbers from 1 to 1,048,576 like 1,2,4, got '1,2,x'"),
        ((*PAPER_FLAGS, "--learners", "1,,2"), "--learners must be whole numbers"),
        ((*PAPER_FLAGS, "--learners", "best"), "--learners must be whole numbers"),
        ((*PAPER_FLAGS, "--learners", "1", "--strong-batch-samples", "-4"), "--strong-batch-samples must be > 0, got -4"),
        ((*PAPER_FLAGS, "--learners", "1", "--weak-local-samples", "nan"), "--weak-local-samples must be > 0, got nan"),
        ((*PAPER_FLAGS, "--learners", "1", "--weak-local-samples", "inf"), "--weak-local-samples must be"),
        (("resnet50-a100", "--learners", "1,128"), "--learners must be <= the 64 learners of the cluster, got 128"),
        (("resnet50-a100", "--knee-samples", "1"), "a scenario and --knee-samples say the same thing twice"),
        ((), "give a scenario, or all five numbers of the model"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(arguments: tuple[str, ...], says: str) -> None:
    found = command("scale", *arguments)
    assert (found.status, found.out) == (1, "")
    assert says in found.err
    assert len(found.lines) == 1


def test_the_text_has_the_thresholds_and_a_line_for_each_number_of_learners() -> None:
    found = command("scale", "resnet50-k80")
    assert "optimal is weak scaling" in found.out
    assert "strong scaling stops" in found.out
    lines = [line.split() for line in found.out.splitlines()]
    assert [line[0] for line in lines if line and line[0].isdigit()] == ["1", "2", "4", "8", "16", "32", "64"]


def test_numbers_too_small_for_any_answer_are_refused() -> None:
    # 1e-300 updates would put the threshold of weak scaling beyond every number
    flags = ["--alpha-samples", "1e9", "--gamma-s-per-sample", "1e-9", "--knee-samples", "1", "--delta-s", "0.5"]
    found = command("scale", "--n-inf-updates", "1e-300", *flags, "--max-batch-samples", "100", "--learners", "1,2", "--json")
    assert (found.status, found.out) == (1, "")
    assert found.err == "n_inf_updates must be 0 or from 1e-30 to 1e30 in size, got 1e-300\n"
