"""The command measure: its answer and files, going on after a stop, and what it says where things go wrong."""

from __future__ import annotations

import csv
import fcntl
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT, Outcome, assert_sound, command

SMALL = ("--batch-samples", "8,64,512", "--learning-rates", "0.5", "--targets", "0.8,0.5")
"""A measurement of a second or two: one rate, easy targets."""


def measured(*arguments: object) -> Outcome:
    return command("measure", *arguments)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "measured.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    """Return the answer and the folder of a small measurement with its check and figures."""
    folder = tmp_path_factory.mktemp("digits") / "out"
    found = measured("digits-mlp", *SMALL, "--check", "--out", folder, "--figures", "--json")
    assert found.status == 0, found.err
    return found, folder


def test_the_answer_is_a_law_times_the_best_mini_batch_and_a_scenario(digits: tuple[Outcome, Path]) -> None:
    found, folder = digits
    answer = found.answer
    assert answer["model"]["kind"] == "inverse"
    assert answer["parameters"] == 64 * 32 + 32 + 32 * 10 + 10
    assert [row["series"] for row in answer["fits"]] == [
        "training 0.8", "training 0.5", "cross_validation 0.8", "cross_validation 0.5",
    ]  # fmt: skip
    assert answer["main_series"] == "training 0.5"
    assert {row["batch_samples"] for row in answer["rows"]} == {8, 64, 512}
    assert len(answer["rows"]) == 3 * 3 * 2 * 2  # batch sizes, runs, losses, targets
    assert {row["outcome"] for row in answer["rows"]} == {"finished"}
    assert {row["batch_samples"] for row in answer["times"]} == {8, 16, 32, 64, 128, 256, 512}
    assert answer["times"][0]["low_s"] <= answer["times"][0]["update_time_s"] <= answer["times"][0]["high_s"]
    low, high = answer["flat_range_samples"]
    assert 8 <= low <= answer["batch_samples_best"] <= high <= 512
    assert answer["scenario_path"] == str(folder / "scenario.toml")
    assert answer["machine"]["cores"] >= 1
    assert_sound({key: value for key, value in answer.items() if key not in ("fits", "model")})


def test_predicted_times_are_updates_times_the_time_of_an_update(digits: tuple[Outcome, Path]) -> None:
    answer = digits[0].answer
    times = {row["batch_samples"]: row["update_time_s"] for row in answer["times"]}
    for row in answer["converge_rows"]:
        assert row["converge_time_s"] == pytest.approx(row["updates"] * row["update_time_s"])
        assert row["lo90"] < row["predicted_s"] < row["hi90"]
    # the factor between runs and timings is the geometric mean of their ratios
    ratios = [row["update_time_s"] / times[row["batch_samples"]] for row in answer["converge_rows"]]
    assert answer["run_factor"] == pytest.approx(np.exp(np.mean(np.log(ratios))))


def test_the_check_runs_the_best_mini_batch_afresh(digits: tuple[Outcome, Path]) -> None:
    found, folder = digits
    check = found.answer["check"]
    assert check["batch_samples"] == found.answer["batch_samples_best"]
    assert len(check["runs"]) == 3
    low, high = check["interval90"]
    for row in check["runs"]:
        assert row["inside"] == (low <= row["converge_time_s"] <= high)
    assert check["inside"] == sum(row["inside"] for row in check["runs"])
    kinds = {str(row["key"]).split("/")[0] for row in lines(folder)[1:]}
    assert kinds == {"time", "run", "check"}


def test_the_scenario_runs_and_gives_the_time_predicted(digits: tuple[Outcome, Path]) -> None:
    found, folder = digits
    run = command("run", folder / "scenario.toml", "--json")
    assert run.status == 0, run.err
    assert run.answer["batch_samples"] == found.answer["batch_samples_best"]
    assert run.answer["flat_range_samples"] == found.answer["flat_range_samples"]
    # the law alone, whole updates, against the default prediction with its departure: 5 % of each other here
    assert run.answer["converge_time_s"] == pytest.approx(found.answer["converge_time_s"], rel=0.15)
    assert run.answer["converge_time_s_interval90"] is not None
    explained = command("explain", folder / "scenario.toml", "--json")
    assert explained.status == 0
    assert any("measured by learnersim measure digits-mlp" in str(row["source"]) for row in explained.answer["rows"])


def test_the_table_of_updates_is_one_that_fit_takes(digits: tuple[Outcome, Path]) -> None:
    found, folder = digits
    fit = command("fit", "updates", folder / "updates.csv", "--series", "training 0.5", "--json")
    assert fit.status == 0, fit.err
    assert fit.answer["model"] == found.answer["model"]


def test_figures_are_drawn_and_drawn_again(digits: tuple[Outcome, Path]) -> None:
    _, folder = digits
    for name in ("figure_measured_updates.png", "figure_measured_times.png"):
        first = (folder / name).read_bytes()
        assert first.startswith(b"\x89PNG")
    assert command("plot", folder).status == 0


def test_the_same_seed_gives_the_same_table_of_updates(digits: tuple[Outcome, Path], tmp_path: Path) -> None:
    _, folder = digits
    assert measured("digits-mlp", *SMALL, "--out", tmp_path / "again", "--json").status == 0
    assert (tmp_path / "again" / "updates.csv").read_bytes() == (folder / "updates.csv").read_bytes()
    assert measured("digits-mlp", *SMALL, "--seed", "1", "--out", tmp_path / "other", "--json").status == 0
    assert (tmp_path / "other" / "updates.csv").read_bytes() != (folder / "updates.csv").read_bytes()


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = measured("least-squares", "--batch-samples", "64,1024", "--json")
    assert found.status == 0
    assert found.answer["scenario_path"] is None
    assert list(tmp_path.iterdir()) == []


TUNED = ("digits-mlp", "--batch-samples", "8,64,512", "--targets", "0.8,0.5", "--learning-rates", "0.25,0.5,1", "--seeds", "2")


def killed_at(folder: Path, count: int) -> None:
    """Start the command on a folder and kill it, without warning, once its record has so many lines."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "measure", *TUNED, "--out", str(folder), "--resume", "--json"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    record = folder / "measured.jsonl"
    until = time.monotonic() + 120.0
    while process.poll() is None and time.monotonic() < until:
        if record.is_file() and record.read_bytes().count(b"\n") >= count:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.wait()


def test_a_measurement_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert measured(*TUNED, "--out", whole, "--json").status == 0
    keys = [row["key"] for row in lines(whole)[1:]]
    for count in (6, 16):
        killed_at(cut, count)
        assert count <= len(lines(cut)) < len(keys) + 1, "killed too late to show anything"
    with (cut / "measured.jsonl").open("ab") as file:  # as a stop in the middle of a line leaves it
        file.write(b'{"key": "run/M=8,ra')
    assert measured(*TUNED, "--out", cut, "--resume", "--json").status == 0
    assert [row["key"] for row in lines(cut)[1:]] == keys  # nothing lost, nothing repeated
    assert (cut / "updates.csv").read_bytes() == (whole / "updates.csv").read_bytes()

    def without_times(folder: Path) -> list[dict[str, object]]:
        timed = ("update_time_s", "evaluation_time_s", "elapsed_s", "cpu_s", "ended", "low_s", "high_s", "repeats")
        rows = [row for row in lines(folder)[1:] if str(row["key"]).startswith(("run/", "tuning/"))]
        return [{key: value for key, value in row.items() if key not in timed} for row in rows]

    assert without_times(cut) == without_times(whole)


def test_a_finished_measurement_repeats_its_answer_without_measuring(digits: tuple[Outcome, Path]) -> None:
    found, folder = digits
    before = (folder / "measured.jsonl").read_bytes()
    again = measured("digits-mlp", *SMALL, "--check", "--out", folder, "--resume", "--figures", "--json")
    assert again.status == 0, again.err
    assert (folder / "measured.jsonl").read_bytes() == before
    assert again.answer["rows"] == found.answer["rows"]
    assert again.answer["converge_time_s"] == found.answer["converge_time_s"]


def test_a_folder_of_another_measurement_is_refused(digits: tuple[Outcome, Path]) -> None:
    _, folder = digits
    for extra, says in (
        (("--seed", "5"), "holds another run"),
        ((), "is not empty; give --force to replace its run or --resume"),
    ):
        resume = ("--resume",) if extra else ()
        found = measured("digits-mlp", *SMALL, *extra, *resume, "--out", folder)
        assert (found.status, found.out) == (1, "")
        assert says in found.err


def test_a_record_of_another_measurement_is_refused_by_what_differs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert measured("least-squares", "--batch-samples", "64,1024", "--out", out, "--json").status == 0
    (out / "run.json").unlink()  # as after a stop
    found = measured("least-squares", "--batch-samples", "64,1024", "--seeds", "2", "--out", out, "--resume")
    assert (found.status, found.out) == (1, "")
    assert "measured.jsonl: holds another measurement (other runs); use --force or another folder" in found.err
    (out / "measured.jsonl").write_text('{"subject": {}}\nnonsense\n', encoding="utf-8")
    found = measured("least-squares", "--batch-samples", "64,1024", "--out", out, "--resume")
    assert "measured.jsonl: line 2: must be a JSON object, got b'nonsense'" in found.err
    assert measured("least-squares", "--batch-samples", "64,1024", "--out", out, "--force", "--json").status == 0


MINE = """\
import time

import numpy as np


class Learner:
    def __init__(self, setting):
        self.setting, self.updates = setting, 0
        self.weights = setting.weights_rng.normal(size=50) + 3.0

    def update(self):
        M = self.setting.batch_samples
        self.updates += 1
        print("noise on stdout")
        if M == 4:
            raise MemoryError("no room for 4")
        noise = self.setting.samples_rng.normal(size=50) / M**0.5
        self.weights = self.weights - self.setting.learning_rate * (self.weights + noise)
        if M == 8 and self.updates > 5:
            self.weights[0] = np.nan
        if M == 16:
            self.weights = self.weights * 1.3

    def losses(self):
        return {"training": float(self.weights @ self.weights)}


class Problem:
    data_set_samples = 1000
    targets = (20.0, 10.0)
    learning_rates = (0.05,)
    batch_samples = (2, 64)

    def build(self, setting):
        return Learner(setting)


class Broken(Problem):
    def build(self, setting):
        setting.batch_samples = 1  # frozen
        return Learner(setting)


class Watched(Problem):
    def build(self, setting):
        learner = Learner(setting)
        learner.losses = lambda: time.sleep(0.2) or {"training": float(learner.weights @ learner.weights)}
        return learner

    evaluation_samples = 1


class Bare:
    data_set_samples = 1000

    def build(self, setting):
        return Learner(setting)
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "my_measured.py").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_measured", None)


def test_what_goes_wrong_at_some_batch_sizes_is_said_and_the_rest_is_measured(mine: Path) -> None:
    found = measured("my_measured:Problem", "--batch-samples", "2,4,8,16,32,64", "--out", mine / "out", "--json")
    assert found.status == 0, found.err
    answer = found.answer
    texts = [warning["text"] for warning in answer["warnings"] if warning["class"] == "MeasurementWarning"]
    assert "timing of 4 samples failed: MemoryError: no room for 4 (my_measured.py, line 16)" in texts
    assert "run of 4 samples at rate 0.05 failed: MemoryError: no room for 4 (my_measured.py, line 16) (2 times)" in texts
    assert any(text.startswith("run of 8 samples at rate 0.05 diverged: the training loss is nan after ") for text in texts)
    assert any(text.startswith("run of 16 samples at rate 0.05 diverged: the training loss grew from ") for text in texts)
    # the loss falls by (1 - 0.05)^2 an update from about 500: to 10 in ln(50)/0.1026 = 38 updates
    law = answer["model"]["parameters"]
    assert law["n_inf_updates"] + law["alpha_samples"] / 64 == pytest.approx(38, rel=0.1)
    outcomes = {row["batch_samples"]: row["outcome"] for row in answer["rows"] if row["series"] == answer["main_series"]}
    assert outcomes == {2: "finished", 8: "diverged", 16: "diverged", 32: "finished", 64: "finished"}
    assert command("run", mine / "out" / "scenario.toml", "--json").status == 0


def test_a_target_that_nothing_reaches_leaves_a_table_and_a_warning(mine: Path) -> None:
    found = measured(
        "my_measured:Problem", "--batch-samples", "2,32,64", "--targets", "1e-9", "--max-updates", "200", "--json",
        "--out", mine / "out", "--figures",
    )  # fmt: skip
    assert found.status == 0, found.err
    assert found.answer["model"] is None
    assert found.answer["batch_samples_best"] is None
    assert {row["outcome"] for row in found.answer["rows"]} == {"censored"}
    assert any("no law could be fitted: training 1e-09" in one["text"] for one in found.answer["warnings"])
    assert not (mine / "out" / "scenario.toml").exists()
    text = measured("my_measured:Problem", "--batch-samples", "2,32", "--targets", "1e-9", "--max-updates", "50")
    assert "no law and no best mini-batch: see the warnings" in text.out
    assert "> 50" in text.out


def test_where_everything_fails_there_is_no_answer(mine: Path) -> None:
    found = measured("my_measured:Broken", "--batch-samples", "2,64", "--json")
    assert (found.status, found.out) == (1, "")
    line = next(n for n, text in enumerate(MINE.splitlines(), 1) if "# frozen" in text)
    what = f"FrozenInstanceError: cannot assign to field 'batch_samples' (my_measured.py, line {line})"
    assert found.lines == [
        "nothing could be measured:",
        f"timing of 2 samples failed: {what}",
        *(f"timing of {M} samples failed: {what}" for M in (4, 8, 16, 32, 64)),
        f"run of 64 samples at rate 0.05 failed: {what} (2 times)",
        f"run of 2 samples at rate 0.05 failed: {what} (2 times)",
    ]


def test_what_failed_is_measured_again_once_the_problem_is_mended(mine: Path) -> None:
    arguments = ("my_measured:Problem", "--batch-samples", "2,4,64", "--out", mine / "out", "--json")
    assert measured(*arguments).status == 0
    again = measured(*arguments, "--resume")
    assert any("no room for 4" in one["text"] for one in again.answer["warnings"])
    before = [row for row in lines(mine / "out")[1:] if row["outcome"] != "failed"]
    (mine / "my_measured.py").write_text(MINE.replace("if M == 4:", "if M == 5:"), encoding="utf-8")
    sys.modules.pop("my_measured")
    importlib.invalidate_caches()
    mended = measured(*arguments, "--resume")
    assert mended.status == 0, mended.err
    assert {row["batch_samples"] for row in mended.answer["rows"]} == {2, 4, 64}
    texts = [one["text"] for one in mended.answer["warnings"]]
    assert not any("no room for 4" in text for text in texts)
    assert any(
        text.startswith("my_measured.py changed since the measurement began: what was measured before") for text in texts
    )
    after = lines(mine / "out")[1:]
    assert [row for row in after if row.get("outcome") != "failed"][: len(before)] == before


def test_a_second_process_at_the_same_folder_is_refused(mine: Path) -> None:
    out = mine / "out"
    arguments = ("my_measured:Problem", "--batch-samples", "2,64", "--out", out, "--json")
    assert measured(*arguments).status == 0
    content = (out / "measured.jsonl").read_bytes()
    with (out / "measured.jsonl").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for flag in ("--resume", "--force"):
            found = measured(*arguments, flag)
            assert (found.status, found.out) == (1, "")
            assert found.lines == [f"{out}: another process is writing there"]
    assert (out / "measured.jsonl").read_bytes() == content


def test_evaluations_that_dominate_are_said(mine: Path) -> None:
    found = measured("my_measured:Watched", "--batch-samples", "2,64", "--seeds", "1", "--max-updates", "4", "--json")
    (text,) = (one["text"] for one in found.answer["warnings"] if "evaluating" in one["text"])
    assert text.startswith("evaluating the losses took ")
    assert " % of the time of the runs, 0.2" in text  # each sleeps for 0.2 s
    assert text.endswith("evaluate on fewer samples, or say a larger evaluation_samples, which makes it rarer")


def test_mini_batches_beyond_the_data_are_never_the_best_and_are_not_proposed(mine: Path) -> None:
    found = measured("my_measured:Problem", "--batch-samples", "2000,4000")  # of 1,000 samples
    assert found.status == 0
    assert "no best mini-batch: see the warnings" in found.out
    assert "measure next" not in found.out
    assert "no mini-batch measured is within the 1,000 samples of the data: none of them can be the best" in found.err


def test_targets_that_differ_little_are_series_of_their_own(mine: Path) -> None:
    found = measured("my_measured:Problem", "--batch-samples", "2,64", "--targets", "10,10.00001", "--seeds", "1", "--json")
    assert [fit["series"] for fit in found.answer["fits"]] == ["training 10.00001", "training 10"]
    assert len(found.answer["rows"]) == 2 * 2


def test_the_command_that_follows_can_be_pasted(mine: Path) -> None:
    found = measured("my_measured:Problem", "--batch-samples", "2,64", "--seeds", "1", "--out", mine / "my runs")
    (line,) = (line for line in found.out.splitlines() if line.startswith("wrote"))
    assert line.endswith(f"learnersim run '{mine}/my runs/scenario.toml'")


def test_targets_above_the_first_loss_are_left_out_and_said(mine: Path) -> None:
    found = measured("my_measured:Problem", "--batch-samples", "2,64", "--targets", "1e6,10", "--json")
    assert found.status == 0
    assert {row["series"] for row in found.answer["rows"]} == {"training 10"}
    assert found.answer["model"] is not None
    (text,) = (one["text"] for one in found.answer["warnings"] if "target" in one["text"])
    assert text.startswith("a target must lie below the loss before the first update, here ")
    assert text.endswith(" for the training loss: left out 1e+06 where it does not")


def test_a_problem_that_says_nothing_is_told_what_is_missing(mine: Path) -> None:
    found = measured("my_measured:Bare")
    assert (found.status, found.out) == (1, "")
    assert found.lines == [
        "--targets is needed: my_measured:Bare does not say its targets",
        "--learning-rates is needed: my_measured:Bare does not say its learning_rates",
        "--batch-samples, or --min-batch-samples and --max-batch-samples, is needed: my_measured:Bare does not say its "
        "batch_samples",
    ]


def test_planning_begins_at_the_ends_and_finds_the_smallest_usable_batch_size(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = measured("least-squares", "--out", out, "--json")
    assert found.status == 0, found.err
    order = list(dict.fromkeys(int(str(row["batch_samples"])) for row in lines(out)[1:] if str(row["key"]).startswith("run/")))
    assert order[:3] == [1024, 1, 32]
    # F/eps = 0.02 * 0.25 * 2000 / (2 * 1.98) = 2.525: no run reaches the target at 2, and those at 4 do
    assert found.answer["smallest_batch_samples"] == 4.0
    assert {M for M in order if M < 4} <= {1, 2, 3}
    assert any("the smallest usable batch size measured is 4" in warning["text"] for warning in found.answer["warnings"])
    run = command("run", out / "scenario.toml", "--json")
    assert run.answer["batch_samples"] >= 4


def test_the_budget_is_kept_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = measured("digits-mlp", *SMALL, "--budget", "0.4 s", "--out", out, "--json")
    assert first.status == 0, first.err
    assert any("the budget ended before everything planned was measured" in one["text"] for one in first.answer["warnings"])
    before = len(lines(out))
    again = measured("digits-mlp", *SMALL, "--budget", "5 min", "--out", out, "--resume", "--json")
    assert again.status == 0, again.err
    assert len(lines(out)) > before
    assert not any("budget" in one["text"] for one in again.answer["warnings"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch-samples", "1,x"), "--batch-samples must be numbers > 0, separated by commas, got '1,x'"),
        (("--batch-samples", "8"), "--batch-samples must be two or more whole numbers like 1,8,64,512, got '8'"),
        (("--batch-samples", "8,1.5"), "--batch-samples must be two or more whole numbers"),
        (
            ("--batch-samples", "8,64", "--max-batch-samples", "4"),
            "--batch-samples and --min-batch-samples or --max-batch-samples",
        ),
        (("--min-batch-samples", "64", "--max-batch-samples", "8"), "--min-batch-samples must be >= 1 and less than"),
        (("--targets", "0"), "--targets must be numbers > 0"),
        (("--learning-rates", "-1"), "--learning-rates must be numbers > 0"),
        (("--seeds", "0"), "--seeds must be a whole number >= 1, got 0"),
        (("--seed", "-1"), "--seed must be a whole number >= 0, got -1"),
        (("--threads", "0"), "--threads must be a whole number >= 1, got 0"),
        (("--threads", "100000"), "the cores that this process may use, got 100000"),
        (("--precision", "1.5"), "--precision must be a fraction between 0 and 1, got 1.5"),
        (("--max-updates", "0"), "--max-updates must be >= 1, got 0"),
        (("--budget", "0"), "--budget must be a time > 0"),
        (("--budget", "10 lightyears"), "--budget must be a time like \"10 min\": unit 'lightyears' is not known"),
        (("--learners", "0"), "--learners must be whole numbers from 1"),
        (("--figures",), "--figures needs --out DIR"),
        (("--samples", "9"), "digits-mlp takes no --samples: these are for the LeNets"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_in_a_line(arguments: tuple[str, ...], message: str) -> None:
    found = measured("digits-mlp", *arguments)
    assert (found.status, found.out) == (1, "")
    assert message in found.err
    assert len(found.lines) == 1


def test_a_missing_library_is_said_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as an import finds it where it is not installed
    found = measured("lenet-small", "--out", tmp_path / "out")
    assert (found.status, found.out) == (1, "")
    assert "lenet-small needs torch, which cannot be imported" in found.err
    assert "pip install 'learnersim[torch]'" in found.err
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    found = measured("least-squares", "--out", tmp_path / "out")
    assert (found.status, found.out) == (1, "")
    assert "measure needs threadpoolctl, which cannot be imported" in found.err
    assert not (tmp_path / "out").exists()
    monkeypatch.delitem(sys.modules, "threadpoolctl")
    found = measured("least-squares", "--learners", "1,2", "--out", tmp_path / "out")
    assert (found.status, found.out) == (1, "")
    assert "--learners 1,2 needs torch, which cannot be imported" in found.err


def test_the_text_says_it_in_words(digits: tuple[Outcome, Path]) -> None:
    _, folder = digits
    found = measured("digits-mlp", *SMALL, "--check", "--out", folder, "--resume")
    assert found.status == 0
    assert "images an update converge fastest: in" in found.out
    assert "within 5 % of the best" in found.out
    assert "learning rate           0.5 for all mini-batches" in found.out
    assert "check at" in found.out
    assert f"learnersim run {folder}/scenario.toml" in found.out


def test_rows_of_the_table_name_the_look_before(digits: tuple[Outcome, Path]) -> None:
    _, folder = digits
    with (folder / "updates.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["series", "batch_samples", "run", "learning_rate", "updates", "seen_updates", "outcome"]
    assert all(int(row["seen_updates"]) < int(row["updates"]) for row in rows)
