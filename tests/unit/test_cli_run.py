from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import SCENARIO, assert_sound, changed, command, written

COMMON = {"schema", "command", "title", "seed", "versions", "warnings"}
OWN = {
    "learners", "batch_samples", "local_samples", "updates", "update_time_s", "compute_time_s", "reduce_time_s",
    "converge_time_s", "converge_time_s_interval90", "converge_time_s_mean_interval90", "flat_range_samples", "bound", "branch",
    "bottleneck", "shares", "cost_usd",
}  # fmt: skip
SHARES = {"compute", "communication", "waiting", "cross_validation", "checkpoint", "lost"}


def answer(folder: Path, *replacements: tuple[str, str], extra: str = "", flags: tuple[str, ...] = ()) -> Any:
    found = command("run", written(folder, changed(SCENARIO, *replacements) + extra), "--json", *flags)
    assert found.status == 0, found.err
    assert found.err == ""
    assert_sound(found.answer)
    return found.answer


def test_the_answer_is_the_papers(tmp_path: Path) -> None:
    found = answer(tmp_path)
    assert (found["learners"], found["batch_samples"], found["local_samples"]) == (16, 256.0, 16.0)
    assert (found["updates"], found["update_time_s"]) == (5000.0, pytest.approx(0.020))
    assert found["converge_time_s"] == pytest.approx(100.0)
    assert (found["compute_time_s"], found["reduce_time_s"]) == (pytest.approx(0.016), 0.004)
    assert (found["branch"], found["bound"], found["bottleneck"]) == ("interior", None, "compute")
    assert found["shares"]["communication"] == pytest.approx(0.2)


@pytest.mark.parametrize("scenario", ["resnet50-a100", "resnet50-k80"])
def test_every_key_is_present_and_every_number_finite(scenario: str) -> None:
    found = command("run", scenario, "--json").answer
    assert set(found) >= COMMON | OWN
    assert set(found["shares"]) == SHARES
    assert math.fsum(found["shares"].values()) == pytest.approx(1.0)
    assert all(set(row) >= OWN for row in found["rows"])
    assert_sound(found)
    low, high = found["flat_range_samples"]
    assert low <= found["batch_samples"] <= high
    assert found["converge_time_s"] == pytest.approx(found["updates"] * found["update_time_s"])
    assert (found["schema"], found["command"]) == (1, "run")
    assert set(found["versions"]) == {"learnersim", "python", "numpy"}


def test_what_does_not_apply_is_null(tmp_path: Path) -> None:
    found = answer(tmp_path)
    for key in ("bound", "converge_time_s_interval90", "converge_time_s_mean_interval90", "cost_usd"):
        assert key in found
        assert found[key] is None


def test_one_learner_communicates_nothing(tmp_path: Path) -> None:
    found = answer(tmp_path, extra="[run]\nlearners = 1\n")
    assert (found["learners"], found["reduce_time_s"], found["shares"]["communication"]) == (1, 0.0, 0.0)
    assert found["batch_samples"] == 8.0
    assert found["branch"] == "knee"


def test_a_list_gives_a_row_for_each_pair_and_answers_with_the_fastest(tmp_path: Path) -> None:
    found = answer(tmp_path, extra="[run]\nlearners = [4, 16]\nbatch_samples = [64, 256]\n")
    assert [(row["learners"], row["batch_samples"]) for row in found["rows"]] == [(4, 64), (4, 256), (16, 64), (16, 256)]
    assert found["converge_time_s"] == min(row["converge_time_s"] for row in found["rows"])


def test_words_and_numbers_may_stand_beside_each_other_in_rows(tmp_path: Path) -> None:
    given = answer(tmp_path, extra="[run]\nbatch_samples = 512\n")
    assert given["branch"] is None
    assert given["best_batch_samples"] == 256
    assert given["best_converge_time_s"] <= given["converge_time_s"]


def test_the_best_number_of_learners_is_found(tmp_path: Path) -> None:
    linear = ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "linear"\ndelta_s = "8 ms"')
    found = answer(tmp_path, linear, extra='[run]\nlearners = "best"\n')
    listed = answer(tmp_path, linear, extra=f"[run]\nlearners = [{', '.join(map(str, range(1, 17)))}]\n")
    assert found["converge_time_s"] == min(row["converge_time_s"] for row in listed["rows"])
    assert found["learners"] == listed["learners"]
    assert found["learners"] < 16


def test_a_slow_network_is_warned_about(tmp_path: Path) -> None:
    found = answer(tmp_path, ('"4 ms"', '"900 ms"'))
    assert "SlowdownWarning" in {warning["class"] for warning in found["warnings"]}


def test_whole_samples_make_the_slowest_learner_wait_for(tmp_path: Path) -> None:
    found = answer(tmp_path, extra="[run]\nbatch_samples = 257\n")
    assert found["local_samples"] == 17
    assert found["updates"] == math.ceil(1000 + 1_024_000 / 257)
    assert found["shares"]["waiting"] > 0
    real = answer(tmp_path, extra="[run]\nbatch_samples = 257\nwhole_samples = false\n")
    assert real["local_samples"] == 257 / 16
    assert real["shares"]["waiting"] == 0


def test_the_input_can_be_the_bottleneck(tmp_path: Path) -> None:
    found = answer(tmp_path, ('sample_unit = "image"', 'sample_unit = "image"\ninput_samples_per_s = 1000'))
    assert found["bottleneck"] == "input"
    assert found["update_time_s"] >= found["batch_samples"] / 1000


def test_teams_that_tune_less_well_need_more_updates(tmp_path: Path) -> None:
    tuned = answer(tmp_path, extra="[run]\nbatch_samples = 256\n")
    other = answer(
        tmp_path, ('sample_unit = "image"', 'sample_unit = "image"\ntuning_factor = 1.5'), extra="[run]\nbatch_samples = 256\n"
    )
    assert other["updates"] == 1.5 * tuned["updates"]


def test_accumulation_makes_larger_mini_batches_possible(tmp_path: Path) -> None:
    memory = ("knee_samples = 8", "knee_samples = 4\nmax_local_samples = 8")
    assert answer(tmp_path, memory)["batch_samples"] == 128
    twice = answer(tmp_path, memory, extra="[run]\naccumulation = 2\n")
    assert twice["batch_samples"] == 256
    assert answer(tmp_path, memory, extra='[run]\naccumulation = "auto"\n')["converge_time_s"] <= twice["converge_time_s"]


def test_cross_validation_takes_its_share(tmp_path: Path) -> None:
    extra = "[cross_validation]\nevery_updates = 100\nsamples = 5000\ncost_ratio = 0.5\n"
    found = answer(tmp_path, extra=extra + "[run]\nbatch_samples = 256\n")
    assert found["converge_time_s"] == pytest.approx(100 + 50 * 0.5 * math.ceil(5000 / 16) * 1e-3)
    assert found["shares"]["cross_validation"] == pytest.approx(1 - 100 / found["converge_time_s"])
    assert answer(tmp_path, extra=extra.replace("0.5", "100"))["bottleneck"] == "cross_validation"


def test_cross_validation_beyond_a_measured_table_is_no_crash(tmp_path: Path) -> None:
    table = 'kind = "tabulated"\nlocal_samples = [1, 32, 256]\ncompute_time_s = ["10 ms", "12 ms", "90 ms"]'
    text = changed(SCENARIO, ('kind = "knee"\ngamma_s_per_sample = "1 ms"\nknee_samples = 8', table))
    path = written(tmp_path, text + "[cross_validation]\nevery_updates = 100\nsamples = 50_000\n")
    for verb in ("run", "optimum", "scale", "explain"):
        found = command(verb, path, "--json")
        if found.status == 0:
            assert_sound(found.answer)
        else:
            assert found.status == 1
            assert str(path) in found.err


@pytest.mark.parametrize("sharpness", [1e-300, 1e-30, 1e-3, 0.01, 1e29])
def test_no_sharpness_makes_a_time_infinite(tmp_path: Path, sharpness: float) -> None:
    law = f'kind = "sharp"\nsharpness = {sharpness!r}'
    path = written(tmp_path, changed(SCENARIO, ('kind = "inverse"', law)))
    for verb in ("run", "optimum", "scale"):
        found = command(verb, path, "--json")
        assert found.status in (0, 1)
        if found.status == 0:
            assert_sound(found.answer)


def test_cost_is_for_the_nodes_in_use(tmp_path: Path) -> None:
    cost = '[cost]\nkind = "cloud"\nusd_per_node_hour = 36\n'
    found = answer(tmp_path, extra=cost)
    assert (found["nodes"], found["cost_usd"]) == (2, pytest.approx(2 * 100 / 3600 * 36))
    one = answer(tmp_path, extra=cost + "[run]\nlearners = 8\n")
    assert one["nodes"] == 1
    assert one["cost_usd"] == pytest.approx(one["converge_time_s"] / 3600 * 36)


def test_a_cost_that_cannot_be_counted_is_not_silently_null(tmp_path: Path) -> None:
    found = answer(tmp_path, extra='[cost]\nkind = "purchase"\n')
    assert found["cost_usd"] is None
    assert any("cost" in warning["text"] for warning in found["warnings"])


def test_the_workload_is_chosen_by_flag(tmp_path: Path) -> None:
    second = SCENARIO.split("[[workload]]")[1].split("[cluster]")[0].replace("demo", "second").replace("1000.0", "2000.0")
    path = written(tmp_path, SCENARIO + f"[[workload]]{second}")
    assert command("run", path).status == 1
    assert command("run", path, "--workload", "second", "--json").answer["workload"] == "second"
    first, later = (command("run", path, "--workload", name, "--json").answer for name in ("demo", "second"))
    assert first["converge_time_s"] < later["converge_time_s"]


def test_the_option_is_chosen_by_flag() -> None:
    plain = command("run", "resnet50-k80", "--json").answer
    ring = command("run", "resnet50-k80", "--option", "ring all-reduce", "--json").answer
    assert ring["reduce_time_s"] < plain["reduce_time_s"]
    assert ring["title"] == f"{plain['title']} [ring all-reduce]"


def test_the_seed_is_that_of_the_flag(tmp_path: Path) -> None:
    assert answer(tmp_path)["seed"] == 7
    assert answer(tmp_path, flags=("--seed", "3"))["seed"] == 3


def test_the_text_says_first_how_long_and_what_limits_it() -> None:
    found = command("run", "resnet50-k80")
    lines = found.out.splitlines()
    assert lines[0] == "ResNet-50 on 8 AWS p2.8xlarge, parameter server against ring"
    assert lines[2].startswith("5.06 h, 90 % between 4.57 h and 5.59 h; limited by memory: 64 images per learner")
    assert "4,096 images, 64 per learner" in found.out
    assert "64 on 8 nodes" in found.out
    assert "291.47 USD" in found.out
    assert found.err == ""


def test_warnings_of_the_text_go_to_stderr() -> None:
    found = command("run", "resnet50-a100")
    assert found.err == "warning: nobody checked reduce.in_node_s: see explain for where it comes from\n"
    assert "warning" not in found.out


@settings(max_examples=25, deadline=None)
@given(
    n_inf=st.floats(-100, 1e6).filter(lambda value: value == 0 or abs(value) >= 1e-30),
    alpha=st.floats(1, 1e12),
    gamma=st.floats(1e-9, 1e3),
    knee=st.floats(1e-3, 1e4),
    delta=st.just(0.0) | st.floats(1e-30, 1e3),
    learners=st.integers(1, 16),
)
def test_any_legal_numbers_give_a_sound_answer(
    tmp_path_factory: pytest.TempPathFactory, n_inf: float, alpha: float, gamma: float, knee: float, delta: float, learners: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    replacements = (
        ("n_inf_updates = 1000.0", f"n_inf_updates = {n_inf!r}"),
        ("alpha_samples = 1_024_000.0", f"alpha_samples = {alpha!r}"),
        ('gamma_s_per_sample = "1 ms"', f"gamma_s_per_sample = {gamma!r}"),
        ("knee_samples = 8", f"knee_samples = {knee!r}"),
        ('delta_s = "4 ms"', f"delta_s = {delta!r}"),
    )
    text = changed(SCENARIO, *replacements) + f"[run]\nlearners = {learners}\n"
    found = command("run", written(folder, text), "--json")
    if found.status == 0:
        assert_sound(found.answer)
        assert found.answer["updates"] >= 1
        assert math.fsum(found.answer["shares"].values()) == pytest.approx(1.0)
    else:
        assert found.status == 1
        assert "no mini-batch is admissible" in found.err
