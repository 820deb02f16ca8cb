"""sweep as a user meets it: every combination answered, streamed, resumed; bad keys named before anything runs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from simulator.scenarios.sweeps import Sweep
from tests.support import SCENARIO, assert_sound, command, written

SWEEP = """
[sweep]
"cluster.nodes" = [1, 2]
reduce.delta_s = ["1 ms", "4 ms", 0.008]
"""
NOISE = """
[simulate]
replications = 3
[simulate.noise]
kind = "lognormal"
relative_sd = 0.1
[sweep]
simulate.noise.relative_sd = [0.0, 0.1, 0.2]
"""


def swept(folder: Path, extra: str = SWEEP, *flags: object) -> Any:
    found = command("sweep", written(folder, SCENARIO + extra), *flags, "--json")
    assert found.status == 0, found.err
    return found.answer


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "wall_clock.json"}


def test_every_combination_is_answered_as_run_answers_it(tmp_path: Path) -> None:
    answer = swept(tmp_path)
    assert_sound(answer)
    assert (answer["by"], answer["keys"], answer["combinations"]) == ("closed_form", ["cluster.nodes", "reduce.delta_s"], 6)
    wanted = list(itertools.product([1, 2], ["1 ms", "4 ms", 0.008]))  # the last key changes fastest
    assert [(row["cluster.nodes"], row["reduce.delta_s"]) for row in answer["rows"]] == wanted
    for row in answer["rows"]:
        delta = row["reduce.delta_s"] if isinstance(row["reduce.delta_s"], float) else f'"{row["reduce.delta_s"]}"'
        text = SCENARIO.replace("nodes = 2", f"nodes = {row['cluster.nodes']}").replace(
            'delta_s = "4 ms"', f"delta_s = {delta}"
        )
        run = command("run", written(tmp_path, text, "one.toml"), "--json").answer
        for key in ("converge_time_s", "batch_samples", "learners", "updates", "bound", "shares"):
            assert row[key] == run[key], key
        assert row["fault"] is None
    fastest = min(answer["rows"], key=lambda row: row["converge_time_s"])
    assert answer["fastest"] == {key: value for key, value in fastest.items() if key != "fault"}


def test_a_scenario_with_a_simulation_is_simulated_unless_told_otherwise(tmp_path: Path) -> None:
    answer = swept(tmp_path, NOISE)
    assert answer["by"] == "simulation"
    times = [row["converge_time_s"] for row in answer["rows"]]
    assert times == sorted(times)
    assert times[0] == pytest.approx(answer["rows"][0]["closed_form_s"], rel=1e-9)
    one = command("simulate", tmp_path / "scenario.toml", "--json").answer  # relative_sd = 0.1, as the second row
    assert answer["rows"][1]["converge_time_s"] == one["converge_time_s"]["mean"]
    assert answer["rows"][1]["converge_time_s.p95"] == one["converge_time_s"]["p95"]
    assert swept(tmp_path, NOISE, "--by", "closed_form")["by"] == "closed_form"


def test_names_of_profiles_and_whole_tables_may_change(tmp_path: Path) -> None:
    extra = """
    [sweep]
    "cluster.node" = ["dgx-a100-640", "dgx-a100-320"]
    reduce = [{ kind = "none" }, { kind = "linear", delta_s = "1 ms" }, { delta_s = "8 ms" }]
    "workload[0].compute.a100-sxm-40" = [{ kind = "knee", gamma_s_per_sample = "2 ms", knee_samples = 8 }]
    """
    rows = swept(tmp_path, extra)["rows"]
    assert len(rows) == 6
    # no Delta: M = P*M_T = 128, (1000 + 1024000/128)*0.008 = 72 s; twice that on the other chip
    assert [rows[0]["converge_time_s"], rows[3]["converge_time_s"]] == [pytest.approx(72.0), pytest.approx(144.0)]
    assert rows[2]["reduce_time_s"] == 0.008  # laid over the constant of the file, as an option is


def test_combinations_that_contradict_themselves_are_told_and_do_not_stop_the_others(tmp_path: Path) -> None:
    extra = "[run]\nlearners = 4\nbatch_samples = 256\n[sweep]\nrun.batch_samples = [8, 256]\nrun.learners = [4, 16]\n"
    answer = swept(tmp_path, extra, "--out", tmp_path / "out")
    (refused,) = [row for row in answer["rows"] if row["fault"] is not None]
    assert refused["fault"] == "run.batch_samples: must be >= the 16 learners, each needs a sample, got 8"
    assert refused["converge_time_s"] is None
    (warning,) = [warning for warning in answer["warnings"] if warning["class"] == "InfeasibleWarning"]
    assert warning["text"].startswith(
        "1 of 4 combinations have no answer; the first, run.batch_samples = 8, run.learners = 16: "
    )
    lines = (tmp_path / "out" / "sweep.csv").read_text(encoding="utf-8").splitlines()
    assert len({line.count(",") for line in lines[:2]}) == 1
    assert len(lines) == 1 + 4


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("", 'sweep: is missing: write [sweep] with lists of values, like "cluster.nodes" = [1, 2, 4]'),
        ("[sweep]\ncluster.ndoes = [1, 2]", "sweep.cluster.ndoes: unknown key; did you mean 'nodes'?"),
        ("[sweep]\nclutser.nodes = [1, 2]", "sweep.clutser.nodes: must begin with a section; did you mean 'cluster'?"),
        ("[sweep]\ncluster.nodes = [1, 0]", "sweep.cluster.nodes: must be a whole number >= 1, got 0"),
        ('[sweep]\n"workload[1].data_set_samples" = [1e5]', "sweep.workload[1].data_set_samples: leads nowhere in this file"),
        ('[sweep]\n"seed.x" = [1]', "sweep.seed.x: leads nowhere in this file"),
        ("[sweep]\ncluster.nodes = 3", "sweep.cluster.nodes: must be a list of values, got 3"),
        (
            "[sweep]\n"
            + "\n".join(
                f"{key} = {list(range(1, 33))}" for key in ("seed", "cluster.nodes", "run.max_batch_samples", "reduce.delta_s")
            ),
            "sweep: must have at most 1,000,000 combinations, got 1,048,576",
        ),
        (
            "[run]\nbatch_samples = 12\nlearners = 8\n[sweep]\nrun.batch_samples = [13, 14]\nrun.learners = [15]",
            "no combination has an answer; the first: run.batch_samples: must be >= the 15 learners",
        ),
    ],
)
def test_bad_sweeps_are_refused_before_anything_runs(tmp_path: Path, extra: str, says: str) -> None:
    found = command("sweep", written(tmp_path, f"{SCENARIO}\n{extra}\n"), "--out", tmp_path / "out")
    assert (found.status, found.out) == (1, "")
    assert any(says in line for line in found.lines), found.err
    assert not (tmp_path / "out" / "sweep.csv").exists()


def test_workers_and_interruptions_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, SCENARIO + NOISE)
    for workers in (1, 2):
        assert command("sweep", path, "--out", tmp_path / f"{workers}", "--workers", workers).status == 0
    whole = contents(tmp_path / "1")
    assert contents(tmp_path / "2") == whole
    assert set(whole) == {"journal.jsonl", "run.json", "sweep.csv"}
    broken = tmp_path / "broken"
    plain = Sweep.row
    with monkeypatch.context() as patch:
        patch.setattr(Sweep, "row", lambda self, number: plain(self, number) if number < 2 else _interrupt())
        stopped = command("sweep", path, "--out", broken, "--workers", "1")
    assert (stopped.status, stopped.out) == (130, "")
    assert stopped.lines == ["learnersim: interrupted; what was done is kept, --resume goes on"]
    assert sorted(contents(broken)) == ["journal.jsonl"]
    made: list[int] = []

    def counted(self: Sweep, number: int) -> dict[str, Any]:
        made.append(number)
        return plain(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Sweep, "row", counted)
        assert command("sweep", path, "--out", broken, "--workers", "1", "--resume").status == 0
    assert made == [2]
    assert contents(broken) == whole


def _interrupt() -> Any:
    raise KeyboardInterrupt


def test_warnings_are_told_once_with_how_many_combinations_they_are_of(tmp_path: Path) -> None:
    fit = "alpha_samples = 1_024_000.0\nfit = { batch_samples_range = [300, 4096] }"
    text = SCENARIO.replace("alpha_samples = 1_024_000.0", fit)
    path = written(tmp_path, text + "[run]\nbatch_samples = 256\n[sweep]\nrun.batch_samples = [290, 280, 270, 260, 250, 400]\n")
    texts = [
        warning["text"]
        for warning in command("sweep", path, "--json").answer["warnings"]
        if warning["class"] == "ExtrapolationWarning"
    ]
    assert texts[0].endswith("(1 of 6 combinations)")
    assert texts[3] == "2 more warnings of this kind, which differ in their numbers"
    assert len(texts) == 4


def test_the_text_begins_with_the_best_and_the_worst(tmp_path: Path) -> None:
    text = command("sweep", written(tmp_path, SCENARIO + SWEEP)).out.splitlines()
    assert text[0] == "small"
    assert "at best, with cluster.nodes = 2, reduce.delta_s = 1 ms; " in text[2]
    assert text[2].endswith("6 combinations by the closed form")
