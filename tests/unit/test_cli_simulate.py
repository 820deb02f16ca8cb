"""simulate as a user meets it: its answer, its files, its interruptions, its refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.cli.simulate import DIFFERENCE_WORDS
from tests.support import ROOT, SCENARIO, assert_sound, changed, command, written

NOISE = """
[simulate]
replications = { min = 4, max = 12, stop_relative_halfwidth = 0.002 }
[simulate.noise]
kind = "lognormal"
relative_sd = 0.1
"""
FAILURES = """
[simulate.failures]
kind = "exponential"
node_mtbf_s = 100
checkpoint_every_s = {every}
checkpoint_s = 2
restart_s = 5
"""
LONG = """
[simulate]
mode = "every_learner"
replications = 12
updates = "drawn"
[simulate.noise]
kind = "gamma"
relative_sd = 0.2
"""
FIT = (
    "alpha_samples = 1_024_000.0",
    "alpha_samples = 1_024_000.0\nfit = { batch_samples_range = [16, 4096], run_to_run_relative = 0.02 }",
)
KEYS = {
    *("job", "workload", "learners", "nodes", "batch_samples", "local_samples", "converge_time_s", "replications"),
    *("closed_form_s", "closed_form_s_interval90", "difference", "shares", "updates", "failures", "redone_updates"),
    *("checkpoints", "cost_usd"),
}
COMMON = {"schema", "command", "title", "seed", "versions", "warnings"}


def noisy(folder: Path, extra: str = NOISE, *replacements: tuple[str, str]) -> Path:
    return written(folder, changed(SCENARIO, *replacements) + extra)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but the one that may differ."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "wall_clock.json"}


def test_the_answer_has_the_documented_keys_and_adds_up(tmp_path: Path) -> None:
    answer = command("simulate", noisy(tmp_path), "--json").answer
    assert set(answer) == COMMON | KEYS | {"rows"}
    assert set(answer["rows"][0]) == KEYS
    assert_sound(answer)
    times = answer["converge_time_s"]
    assert set(times) == {"mean", "lo", "hi", "p5", "p50", "p95"}
    assert times["lo"] < times["mean"] < times["hi"]
    assert times["hi"] - times["lo"] <= 2 * 0.002 * times["mean"]
    assert 4 <= answer["replications"] <= 12
    assert set(answer["difference"]) == set(DIFFERENCE_WORDS)
    assert sum(answer["difference"].values()) == pytest.approx(times["mean"] - answer["closed_form_s"], rel=1e-9)
    assert sum(answer["shares"].values()) == pytest.approx(1.0, abs=1e-12)
    # T_C = 5000 updates of (0.016 s + 0.004 s); P = 16, M = 256
    assert (answer["closed_form_s"], answer["learners"], answer["batch_samples"]) == (pytest.approx(100.0), 16, 256.0)
    # the largest of 16 log-normal draws of 10 % is 1.18 times the mean (normal scores: 1.766 sd of the logarithm)
    assert answer["difference"]["waiting"] == pytest.approx(5000 * 0.016 * 0.18, rel=0.05)


def test_the_text_says_how_long_how_sure_and_what_costs_the_time(tmp_path: Path) -> None:
    path = noisy(tmp_path, NOISE + FAILURES.format(every='"best"'))
    text = command("simulate", path).out.splitlines()
    assert text[0] == "small"
    sentence = text[2]
    for words in (
        " on average, 90 % sure ",
        "nine of ten runs ",
        " longer than the closed form: ",
        "waiting for the slowest +",
    ):
        assert words in sentence, sentence
    text_of = "\n".join(text)
    # Theta = 100 s / 2 nodes: Young sqrt(2*2*50) = 14.1, Daly 14.1*(1 + sqrt(1/50)/3 + 1/450) - 2 = 12.8
    assert "best: every 12.8 s (Daly's estimate 12.8 s, Young's 14.1 s)" in text_of
    assert "lost to failures" in text_of


def test_without_noise_the_text_says_that_all_runs_are_alike(tmp_path: Path) -> None:
    text = command("simulate", written(tmp_path, SCENARIO)).out
    assert "100 s, the same in every run; as the closed form says" in text


def test_one_replication_of_what_is_random_is_warned_about(tmp_path: Path) -> None:
    path = noisy(tmp_path)
    found = command("simulate", path, "--replications", "1", "--json").answer
    assert "NoUncertaintyWarning" in [warning["class"] for warning in found["warnings"]]
    assert found["converge_time_s"]["lo"] is None
    assert found["replications"] == 1
    assert " in the one run that was simulated" in command("simulate", path, "--replications", "1").out


def test_flags_replace_what_the_file_says(tmp_path: Path) -> None:
    path = noisy(tmp_path)
    seven = command("simulate", path, "--replications", "7", "--json").answer
    assert seven["replications"] == 7
    other = command("simulate", path, "--replications", "7", "--seed", "8", "--json").answer
    assert other["seed"] == 8
    assert other["converge_time_s"] != seven["converge_time_s"]
    assert command("simulate", path, "--replications", "7", "--json").answer == seven


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--replications 0", "--replications must be from 1 to 1,000,000, got 0"),
        ("--trace-updates 0", "--trace-updates must be from 1 to 1,000,000, got 0"),
        ("--workers 0", "--workers must be from 1 to 1024, got 0"),
        ("--figures", "--figures needs --out DIR"),
        ("--resume", "--resume needs --out DIR"),
        ("--workload other", "none is named 'other'; known: demo"),
        ("--trace {tmp}/file/t.json", "cannot be written"),
    ],
)
def test_bad_requests_are_one_clear_line(tmp_path: Path, flags: str, says: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = command("simulate", noisy(tmp_path), *flags.format(tmp=tmp_path).split())
    assert (found.status, found.out) == (1, "")
    assert len(found.lines) == 1
    assert says in found.err


def test_the_folder_holds_rows_for_updates_and_replications_and_plots(tmp_path: Path) -> None:
    import pandas as pd

    out = tmp_path / "out"
    answer = command("simulate", noisy(tmp_path), "--out", out, "--figures", "--json").answer
    runs = pd.read_csv(out / "replications.csv")
    assert len(runs) == answer["replications"]
    assert runs["converge_time_s"].mean() == pytest.approx(answer["converge_time_s"]["mean"], rel=1e-12)
    causes = ["compute_s", "communication_s", "waiting_s", "cross_validation_s", "checkpoint_s", "lost_s"]
    assert np.allclose(runs[causes].sum(axis=1), runs["converge_time_s"], rtol=1e-9)
    updates = pd.read_csv(out / "updates.csv")
    assert updates["update"].tolist() == list(range(5, 5001, 5))  # 5,000 updates, about a thousand rows
    assert updates["end_s"].iloc[-1] == pytest.approx(runs["converge_time_s"][0], rel=1e-12)
    spans = pd.read_csv(out / "spans.csv")
    assert spans["update"].max() == 4
    assert {path.name for path in out.glob("*.png")} == {"figure_simulation.png", "figure_timeline.png"}
    saved = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert saved["converge_time_s"] == answer["converge_time_s"]
    assert len(command("plot", out, "--json").answer["figures"]) == 2


def test_same_seed_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    path = noisy(tmp_path)
    for workers in (1, 2):
        found = command(
            "simulate", path, "--out", tmp_path / f"{workers}", "--workers", workers, "--trace", tmp_path / f"{workers}.json"
        )
        assert found.status == 0, found.err
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert set(contents(tmp_path / "1")) == {"journal.jsonl", "replications.csv", "run.json", "spans.csv", "updates.csv"}
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_a_run_that_was_killed_goes_on_and_ends_with_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    path = noisy(tmp_path, LONG, FIT)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert command("simulate", path, "--out", whole, "--workers", "1").status == 0
    journal = killed / "journal.jsonl"
    arguments = [sys.executable, "-m", "simulator", "simulate", str(path), "--out", str(killed), "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        end = time.monotonic() + 120
        while not journal.is_file() or journal.read_bytes().count(b"\n") < 4:  # its head and three replications
            assert running.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end, "took too long"
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
    kept = journal.read_bytes().splitlines(keepends=True)
    assert not (killed / "run.json").exists()
    journal.write_bytes(b"".join(kept) + b'{"task":11,"result":{"jo')  # as if it had been killed while it wrote
    again = command("simulate", path, "--out", killed)
    assert (again.status, again.lines) == (
        1,
        [f"{killed}: is not empty; give --force to replace its run or --resume to continue it"],
    )
    counted = count_replications(command, "simulate", path, "--out", killed, "--resume", "--workers", "1")
    assert counted <= 12 - 3
    assert contents(killed) == contents(whole)


def count_replications(run: Any, *arguments: object) -> int:
    """Run a command and count the replications that it made."""
    from simulator.studies.simulation import Simulation

    made = []
    plain = Simulation.replication

    def counted(self: Simulation, number: int, watch: Any = None) -> dict[str, Any]:
        made.append(number)
        return plain(self, number, watch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Simulation, "replication", counted)
        found = run(*arguments)
    assert found.status == 0, found.err
    return len(made)


def test_a_run_that_is_over_is_not_made_again_by_resume_but_by_force(tmp_path: Path) -> None:
    path = noisy(tmp_path)
    out = tmp_path / "out"
    made = count_replications(command, "simulate", path, "--out", out)
    before = contents(out)
    assert count_replications(command, "simulate", path, "--out", out, "--resume") == 0
    assert contents(out) == before
    assert count_replications(command, "simulate", path, "--out", out, "--force") == made
    # a timeline that is asked for later needs the first replication only
    assert count_replications(command, "simulate", path, "--out", out, "--resume", "--trace", tmp_path / "t.json") == 1
    assert json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["traceEvents"]


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = noisy(tmp_path)
    assert command("simulate", path, "--out", out).status == 0
    (out / "run.json").unlink()  # as if it had been killed
    found = command("simulate", path, "--out", out, "--resume", "--seed", "9")
    assert (found.status, found.out) == (1, "")
    assert found.lines == [f"{out}: holds another run (other scenario, flags, seed or versions); use --force or another folder"]
    (out / "journal.jsonl").write_text("no journal\n", encoding="utf-8")
    found = command("simulate", path, "--out", out, "--resume")
    assert "journal.jsonl: line 1: must be what an interrupted run left, got" in found.err


def test_a_long_run_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.cli.progress.EVERY_S", 0.0)
    found = command("simulate", noisy(tmp_path), "--replications", "3", "--json")
    assert [line.split(" after ")[0] for line in found.lines] == [
        f"learnersim: {done} of at most 3 replications" for done in (1, 2, 3)
    ]


def test_a_simulation_that_cannot_go_on_names_who_waits_for_what(tmp_path: Path) -> None:
    path = noisy(tmp_path, FAILURES.format(every=5).replace("= 100\n", "= 30\n") + "spare_nodes = 1\n")
    found = command("simulate", path)
    assert (found.status, found.out) == (1, "")
    assert len(found.lines) == 1
    assert "'demo' waits for 1 of its 2 nodes" in found.err
    assert "its 1 spare nodes are used up" in found.err


def test_a_job_that_fails_for_ever_is_refused_before_it_runs(tmp_path: Path) -> None:
    found = command("simulate", noisy(tmp_path, FAILURES.format(every=10).replace("= 100\n", "= 0.01\n")))
    assert (found.status, found.out) == (1, "")
    assert "simulate.failures: the job would never end: " in found.err
    assert "save more often" in found.err
