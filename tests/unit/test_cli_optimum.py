from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.support import PAPER_FLAGS, SCENARIO, assert_sound, changed, command, written

KEYS = {
    "learners", "batch_samples", "updates", "update_time_s", "converge_time_s", "flat_range_samples", "branch", "bound",
    "schema", "command", "title", "seed", "versions", "warnings",
}  # fmt: skip


def optimum(*arguments: object) -> Any:
    found = command("optimum", *arguments, "--json")
    assert found.status == 0, found.err
    assert set(found.answer) >= KEYS
    assert_sound(found.answer)
    return found.answer


@pytest.mark.parametrize("learners", [1, 2, 16, 1000])
def test_flags_give_equations_8_to_10(learners: int) -> None:
    found = optimum(*PAPER_FLAGS, "--learners", learners)
    interior = math.sqrt(1_024_000 * 0.004 * learners / (1000 * 0.001))
    M = max(interior, 8 * learners) if learners > 1 else 8
    delta = 0.004 if learners > 1 else 0.0
    assert found["batch_samples"] == pytest.approx(M)
    assert found["converge_time_s"] == pytest.approx((1000 + 1_024_000 / M) * (0.001 * max(M / learners, 8) + delta))
    assert found["branch"] == ("knee" if learners in (1, 1000) else "interior")
    assert found["bound"] == ("knee" if learners in (1, 1000) else None)


def test_a_parameter_server_has_a_best_number_of_learners() -> None:
    found = optimum(*PAPER_FLAGS, "--reduce-law", "linear", "--learners", "best")
    P = math.sqrt(1_024_000 * 0.001 / (0.004 * 1000))
    assert found["learners"] == pytest.approx(P, abs=1)
    assert found["batch_samples"] == pytest.approx(1024, rel=0.05)
    assert found["converge_time_s"] == pytest.approx(4 * math.sqrt(1_024_000 * 0.001 * 0.004 * 1000), rel=1e-3)


def test_the_best_number_of_learners_stays_within_what_is_at_hand(tmp_path: Path) -> None:
    assert optimum(*PAPER_FLAGS, "--learners", "best", "--max-learners", 4)["learners"] == 4
    assert optimum(written(tmp_path, SCENARIO), "--learners", "best")["learners"] == 16
    assert optimum(written(tmp_path, SCENARIO), "--learners", "best", "--max-learners", 3)["learners"] == 3


def test_a_scenario_and_its_flags_agree(tmp_path: Path) -> None:
    from_file = optimum(written(tmp_path, SCENARIO))
    from_flags = optimum(*PAPER_FLAGS, "--learners", 16)
    for key in ("batch_samples", "updates", "converge_time_s", "flat_range_samples", "branch", "bound"):
        assert from_file[key] == pytest.approx(from_flags[key]), key


def test_whole_numbers_are_those_of_run(tmp_path: Path) -> None:
    path = written(tmp_path, changed(SCENARIO, ("1_024_000.0", "1_111_111.0")))
    whole = optimum(path, "--whole")
    run = command("run", path, "--json").answer
    for key in ("batch_samples", "updates", "converge_time_s"):
        assert whole[key] == run[key]
    assert float(whole["batch_samples"]).is_integer()
    assert not float(optimum(path)["batch_samples"]).is_integer()


def test_local_ceil_rounds_the_local_samples_up(tmp_path: Path) -> None:
    path = written(tmp_path, changed(SCENARIO, ("1_024_000.0", "1_111_111.0")))
    ceil, exact = optimum(path, "--local", "ceil"), optimum(path, "--local", "exact")
    assert float(ceil["local_samples"]).is_integer()
    assert ceil["converge_time_s"] >= exact["converge_time_s"]
    assert optimum(path)["local_samples"] == exact["local_samples"]


@pytest.mark.parametrize(
    ("flags", "M", "bound"),
    [
        (("--min-batch-samples", "500"), 500, "min_batch"),
        (("--max-batch-samples", "100"), 100, "max_batch"),
        (("--max-local-samples", "10"), 160, "memory"),
        (("--data-set-samples", "200"), 200, "data_set"),
    ],
)
def test_bounds_bind_and_are_named(flags: tuple[str, ...], M: float, bound: str) -> None:
    found = optimum(*PAPER_FLAGS, "--learners", 16, *flags)
    assert (found["batch_samples"], found["branch"], found["bound"]) == (M, "bound", bound)


def test_bounds_can_be_laid_over_a_scenario(tmp_path: Path) -> None:
    assert optimum(written(tmp_path, SCENARIO), "--min-batch-samples", "500")["bound"] == "min_batch"


def test_a_law_without_a_floor_ends_where_one_update_is_left() -> None:
    flags = [flag if flag != "1000" else "-1000" for flag in PAPER_FLAGS]
    found = optimum(*flags, "--learners", 4)
    assert (found["bound"], found["updates"]) == ("law_end", pytest.approx(1.0))
    assert found["batch_samples"] == pytest.approx(1_024_000 / 1001)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give a scenario, or all five numbers of the model; missing: --n-inf-updates, --alpha-samples"),
        ((*PAPER_FLAGS[:8], "--learners", "4"), "missing: --delta-s"),
        (PAPER_FLAGS, '--learners is missing: give a number, or "best"'),
        ((*PAPER_FLAGS, "--learners", "0"), "--learners must be whole numbers from 1 to 1,048,576"),
        ((*PAPER_FLAGS, "--learners", "1,2"), '--learners must be one number or "best", got'),
        ((*PAPER_FLAGS, "--learners", "many"), "--learners must be"),
        ((*PAPER_FLAGS, "--learners", "1e9"), "--learners must be"),
        ((*PAPER_FLAGS, "--learners", "9" * 30), "--learners must be"),
        ((*PAPER_FLAGS, "--learners", "4", "--max-learners", "0"), "--max-learners must be from 1 to 1,048,576, got 0"),
        ((*PAPER_FLAGS, "--learners", "4", "--min-batch-samples", "-1"), "min_batch_samples must be finite and > 0, got -1"),
        ((*PAPER_FLAGS, "--learners", "4", "--data-set-samples", "nan"), "data_set_samples must be finite and > 0, got nan"),
        ((*PAPER_FLAGS, "--learners", "4", "--max-local-samples", "0"), "max_local_samples must be "),
        ((*PAPER_FLAGS, "--learners", "4", "--max-batch-samples", "2"), "no mini-batch is admissible for 4 learners"),
        (("resnet50-a100", "--delta-s", "1"), "a scenario and --delta-s say the same thing twice: give one of them"),
        (("resnet50-a100", "--learners", "65"), "--learners must be <= the 64 learners of the cluster, got 65"),
        (("resnet50-a100", "--data-set-samples", "9"), "a scenario and --data-set-samples say the same thing twice"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(arguments: tuple[str, ...], says: str) -> None:
    found = command("optimum", *arguments)
    assert (found.status, found.out) == (1, "")
    assert says in found.err
    assert len(found.lines) == 1


@pytest.mark.parametrize("name", ["n-inf-updates", "alpha-samples", "gamma-s-per-sample", "knee-samples", "delta-s"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "-1"])
def test_no_number_of_a_flag_gets_past_the_law(name: str, value: str) -> None:
    flags = list(PAPER_FLAGS)
    flags[flags.index(f"--{name}") + 1] = value
    found = command("optimum", *flags, "--learners", 4)
    if (name, value) == ("n-inf-updates", "-1"):
        assert found.status == 0
    else:
        assert (found.status, found.out) == (1, "")
        assert found.err.startswith(name.replace("-", "_")), found.err


def test_all_faulty_flags_are_named_at_once() -> None:
    flags = [{"0.001": "-1", "0.004": "nan"}.get(flag, flag) for flag in PAPER_FLAGS]
    found = command("optimum", *flags, "--learners", 4)
    assert found.status == 1
    assert "gamma_s_per_sample" in found.err
    assert "delta_s" in found.err


@pytest.mark.parametrize(
    "flags", [("--gamma-s-per-sample", "10ms"), ("--reduce-law", "quadratic"), ("--local", "floor"), ("--nonsense",)]
)
def test_what_is_no_flag_is_a_usage_error(flags: tuple[str, ...]) -> None:
    found = command("optimum", *flags)
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith("learnersim: ")
    assert found.err.endswith("Try 'learnersim --help'.\n")


def test_one_learner_faster_than_many_is_a_warning() -> None:
    flags = [flag if flag != "0.004" else "5" for flag in PAPER_FLAGS]
    assert [w["class"] for w in optimum(*flags, "--learners", 4)["warnings"]] == ["SlowdownWarning"]


def test_the_text_says_first_how_long(tmp_path: Path) -> None:
    found = command("optimum", *PAPER_FLAGS, "--learners", 16)
    assert found.out.startswith("100 s at batch (all learners) 256 on 16 learners; not limited by a bound; 80 % compute")
    assert found.err == ""


def test_a_title_stands_over_the_answer_of_a_scenario() -> None:
    assert command("optimum", "resnet50-a100").out.startswith("ResNet-50 on 8 DGX A100\n")
