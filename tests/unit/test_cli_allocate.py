"""The command allocate: what it answers, in JSON, as text and in files; what it refuses; interruptions."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import SCENARIO, assert_sound, changed, command, written

THREE = """
[allocate]
restart_s = "5 s"

[[job]]
name = "a"
workload = "demo"
[[job]]
name = "b"
workload = "demo"
learners_max = 4
deadline_s = "1 hour"
[[job]]
name = "c"
workload = "demo"
batch_samples = 64
"""
DRAWN = """
[allocate]
restart_s = "5 s"
[allocate.arrivals]
kind = "poisson"
per_hour = 120
count = 20
replications = 2
"""
JOB = '[[job]]\nname = "j{}"\nworkload = "demo"\n'
KEYS = {
    *("schema", "command", "title", "seed", "versions", "warnings", "policy", "objective", "unit", "learners", "restart_s"),
    *("interval_s", "checkpoint_every_s", "jobs", "days", "borrowed", "assumptions", "static", "summary", "comparison"),
    *("best_policy", "rows", "parts"),
}


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return written(tmp_path, SCENARIO + THREE)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    return written(tmp_path, SCENARIO + DRAWN, "drawn.toml")


def answered(*arguments: object) -> Any:
    found = command("allocate", *arguments, "--json")
    assert found.status == 0, found.err
    assert_sound(found.answer)
    return found.answer


def test_every_key_is_there_and_every_row_alike(three: Path, drawn: Path) -> None:
    for path in (three, drawn):
        found = answered(path)
        assert set(found) == KEYS
        for name in ("rows", "summary"):
            assert len({tuple(row) for row in found[name]}) == 1
        assert len(found["assumptions"]) == 2


def test_jobs_that_are_all_there_get_the_best_static_allocation(three: Path) -> None:
    found = answered(three)
    static = found["static"]
    assert (static["gap"], static["value"]) == (0.0, static["lower_bound"])
    assert static["learners_used"] <= found["learners"] == 16
    rows = [row for row in found["rows"] if row["policy"] == "static"]
    assert [row["job"] for row in rows] == ["a", "b", "c"]
    assert sum(row["learners_last"] for row in rows) == static["learners_used"]
    assert sum(row["completion_s"] for row in rows) / 3 == pytest.approx(static["value"])
    by_gain = max((row for row in rows if row["gain_s_per_learner"]), key=lambda row: row["gain_s_per_learner"])
    assert (static["next_job"], static["next_learners"]) == (by_gain["job"], by_gain["next_learners"])
    assert rows[1]["learners_last"] <= 4
    assert rows[2]["batch_samples_last"] == 64
    # those that are re-allocated when others have gone are not slower on average
    assert found["summary"][0]["mean_completion_s"] <= static["value"] + 10


def test_policies_side_by_side(three: Path) -> None:
    found = answered(three, "--compare", "--policy", "equal")
    assert [row["policy"] for row in found["summary"]] == [
        "equal",
        "fcfs",
        "srtf",
        "marginal-gain",
        "marginal-gain-fixed-batch",
    ]
    ratios = {row["policy"]: row["ratio"]["mean"] for row in found["comparison"]}
    assert ratios["equal"] == 1.0
    means = {row["policy"]: row["mean_completion_s"] for row in found["summary"]}
    assert ratios["srtf"] == pytest.approx(means["srtf"] / means["equal"])
    assert found["best_policy"] == min(means, key=lambda name: means[name])


def test_the_objective_says_what_is_best_and_compared(tmp_path: Path) -> None:
    path = written(tmp_path, SCENARIO + changed(THREE, ("restart_s", 'objective = "makespan"\nrestart_s')))
    found = answered(path, "--compare")
    spans = {row["policy"]: row["makespan_s"] for row in found["summary"]}
    assert spans[found["best_policy"]] == min(spans.values())
    assert found["static"]["value"] == max(row["completion_s"] for row in found["rows"] if row["policy"] == "static")


def test_several_days_are_compared_with_intervals(drawn: Path) -> None:
    found = answered(drawn, "--compare", "--workers", "1")
    assert [day["day"] for day in found["days"]] == ["draw 0", "draw 1"]
    assert found["static"] is None
    assert len(found["summary"]) == 10
    for row in found["comparison"]:
        mean = row["mean_completion_s"]
        assert mean["lo"] <= mean["mean"] <= mean["hi"]
        assert row["over_lower_bound"]["mean"] >= 1.0


def test_the_answer_does_not_depend_on_the_workers_nor_on_when_it_was_made(drawn: Path) -> None:
    first, second = (command("allocate", drawn, "--compare", "--json", "--workers", n).out for n in (1, 2))
    assert first == second
    assert command("allocate", drawn, "--compare", "--json", "--workers", "1", "--seed", "8").out != first


def test_what_is_written_and_that_it_is_the_same_again(drawn: Path, tmp_path: Path) -> None:
    for name, figures in (("one", ["--figures"]), ("two", [])):
        assert command("allocate", drawn, "--compare", "--out", tmp_path / name, "--workers", "1", *figures).status == 0
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert names == {
        *("run.json", "wall_clock.json", "journal.jsonl", "rows.csv", "summary.csv", "comparison.csv", "parts.csv"),
        *("figure_allocation.png", "figure_completion.png"),
    }
    for name in names - {"wall_clock.json", "figure_allocation.png", "figure_completion.png"}:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    with (tmp_path / "one" / "parts.csv").open(encoding="utf-8") as file:
        parts = list(csv.DictReader(file))
    done: dict[tuple[str, str, str], float] = {}
    for part in parts:
        key = (part["policy"], part["day"], part["job"])
        done[key] = done.get(key, 0.0) + float(part["progress"])
    assert len(done) == 5 * 2 * 20
    assert all(1.0 - 1e-9 < progress < 1.01 for progress in done.values())


def test_an_interrupted_run_goes_on_where_it_was(drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command("allocate", drawn, "--compare", "--out", out, "--workers", "1").status == 0
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    lines = whole["journal.jsonl"].splitlines(keepends=True)
    assert len(lines) == 1 + 10
    for path in out.iterdir():
        path.unlink()
    marked = json.loads(lines[1])
    marked["result"]["summary"]["mean_wait_s"] = 12345.0  # so that it is seen that it was not computed again
    (out / "journal.jsonl").write_bytes(lines[0] + json.dumps(marked).encode() + b"\n" + b"".join(lines[2:7]) + lines[7][:20])
    found = command("allocate", drawn, "--compare", "--out", out, "--workers", "1", "--resume", "--json")
    assert found.status == 0, found.err
    assert found.answer["summary"][0]["mean_wait_s"] == 12345.0
    assert (out / "parts.csv").read_bytes() == whole["parts.csv"]
    again = command("allocate", drawn, "--out", out, "--resume")
    assert again.status == 1
    assert "holds another run" in again.err


def test_another_policy_module_is_another_run(three: Path, tmp_path: Path) -> None:
    (tmp_path / "mine_here.py").write_text("def one(jobs, learners):\n    return [1] * len(jobs)\n", encoding="utf-8")
    out = tmp_path / "out"
    arguments = ("allocate", three, "--policy", "mine_here:one", "--out", out)
    assert command(*arguments).status == 0
    assert command(*arguments, "--resume").status == 0
    (tmp_path / "mine_here.py").write_text("def one(jobs, learners):\n    return [1 for _ in jobs]\n", encoding="utf-8")
    assert "holds another run" in command(*arguments, "--resume").err
    shutil.rmtree(out)


def test_another_mini_batch_in_the_trace_is_another_run(tmp_path: Path) -> None:
    trace = '\n[allocate.trace]\nfile = "jobs.csv"\nmodels = { net = "demo" }\n'
    path, jobs = written(tmp_path, SCENARIO + "\n[allocate]\n" + trace), tmp_path / "jobs.csv"
    rows = "source,subset,job_id,arrival_s,num_gpus,model,batch_size\nlab,monday,a,0,4,net,64\n"
    jobs.write_text(rows, encoding="utf-8")
    arguments = ("allocate", path, "--policy", "fcfs", "--out", tmp_path / "out")
    assert command(*arguments).status == 0
    assert command(*arguments, "--resume").status == 0
    jobs.write_text(rows.replace("net,64", "net,128"), encoding="utf-8")
    assert "holds another run" in command(*arguments, "--resume").err


def test_a_policy_of_the_user(three: Path, tmp_path: Path) -> None:
    text = (
        "def two_each(jobs, learners):\n    return [2] * len(jobs)\ndef greedy(jobs, learners):\n    return [9] * len(jobs)\n"
    )
    (tmp_path / "users_policies.py").write_text(text, encoding="utf-8")
    found = answered(three, "--policy", "users_policies:two_each", "--compare")
    rows = [row for row in found["rows"] if row["policy"] == "users_policies:two_each"]
    assert {row["learners_last"] for row in rows} == {2}
    assert len(found["summary"]) == 6
    refused = command("allocate", three, "--policy", "users_policies:greedy")
    assert (refused.status, refused.out) == (1, "")
    assert refused.lines == ["policy 'users_policies:greedy': the policy must give out at most 16 learners, got 27"]
    (tmp_path / "raising_users_policies.py").write_text("def bad(jobs, learners):\n    return {}[3]\n", encoding="utf-8")
    refused = command("allocate", three, "--policy", "raising_users_policies:bad", "--compare")
    assert (refused.status, refused.out) == (1, "")
    assert refused.lines == [
        "policy 'raising_users_policies:bad': the policy raises KeyError: 3 (line 2 of raising_users_policies.py)"
    ]


def test_what_cannot_be_held_to_the_end_is_a_warning_beside_the_schedule(three: Path) -> None:
    found = answered(three, "--learners", "2")
    assert found["static"] is None
    (warning,) = [one["text"] for one in found["warnings"] if one["class"] == "InfeasibleWarning"]
    assert warning.startswith("no allocation can be held to the end: 3 jobs at the same time need at least 3 learners")
    assert found["summary"][0]["jobs"] == 3
    late = answered(written(three.parent, changed(three.read_text(encoding="utf-8"), ("1 hour", "3 s")), "late.toml"))
    assert any("job 'b' cannot meet its deadline_s = 3" in one["text"] for one in late["warnings"])
    assert late["summary"][0]["missed_deadlines"] == 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--learners", "17"), "cluster: has 16 learners, got --learners 17"),
        (("--learners", "0"), "--learners must be from 1 to 1,048,576, got 0"),
        (("--policy", "lottery"), "policy must be one of fcfs"),
        (("--workload", "demo"), "--workload does not belong to allocate: each job names its workload"),
        (("--figures",), "--figures needs --out DIR"),
        (("--workers", "0"), "--workers must be from 1"),
    ],
)
def test_requests_that_make_no_sense_are_refused(three: Path, flags: tuple[str, ...], says: str) -> None:
    found = command("allocate", three, *flags)
    assert (found.status, found.out) == (1, "")
    assert says in found.err
    assert len(found.lines) == 1


def test_parts_that_are_too_many_are_left_out_with_a_warning(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("simulator.studies.allocation.runs.MOST_PARTS", 10)
    found = command("allocate", drawn, "--json", "--workers", "1", "--out", tmp_path / "out")
    assert found.answer["parts"] is None
    texts = [one["text"] for one in found.answer["warnings"] if one["class"] == "RepairWarning"]
    assert len(texts) == 2
    assert "draw 0 under marginal-gain: its" in texts[0]
    assert not (tmp_path / "out" / "parts.csv").exists()
    assert command("plot", tmp_path / "out").status == 0


def test_a_scenario_without_jobs_is_refused() -> None:
    found = command("allocate", "resnet50-a100")
    assert (found.status, found.out) == (1, "")
    assert "allocate: has no jobs: write [[job]], [allocate.trace] or [allocate.arrivals]" in found.err


def test_a_scenario_without_workloads_has_nothing_for_run() -> None:
    found = command("run", "philly")
    assert found.status == 1
    assert found.lines == ["scenarios/philly.toml: workload: is missing: the scenario has no [[workload]] to ask about"]


def test_a_key_without_effect_is_said(tmp_path: Path) -> None:
    base = changed(SCENARIO, ("data_set_samples", "train_flop_per_sample = 1e9\ndata_set_samples"))
    found = answered(written(tmp_path, base + THREE))
    assert any("train_flop_per_sample" in one["text"] for one in found["warnings"] if one["class"] == "NoEffectWarning")


def test_mini_batches_beyond_those_measured_are_said_with_their_workload(tmp_path: Path) -> None:
    job = '[allocate]\n[[job]]\nname = "a"\nworkload = "pollux-cifar10"\nbatch_samples = {}\n'
    text = 'schema = 1\n[[workload]]\nuse = "pollux-cifar10"\n[cluster]\nnode = "aws-g4dn.12xlarge"\nnodes = 16\n' + job
    for M, said in ((4096, []), (4200, ["pollux-cifar10 takes mini-batches from 4200 to 4200, outside those that"])):
        found = answered(written(tmp_path, text.format(M)))  # its runs were at 128 to 4,096
        own = [one["text"] for one in found["warnings"] if one["class"] == "ExtrapolationWarning"]
        assert [one[: len(words)] for one, words in zip(own, said, strict=True)] == said


def test_the_text_says_it_in_words(three: Path, drawn: Path) -> None:
    text = command("allocate", three).out
    for words in (
        "All at the same time, held to the end: the mean time to converge is",
        "proved best (dynamic programming)",
        "The next learners should go to",
        "marginal-gain: 3 jobs take",
        "times what no policy can go below",
        "deadlines missed",
        "Assumed: an update at mini-batch M advances a job by 1/N_Update(M)",
    ):
        assert words in text, words
    many = changed(three.read_text(encoding="utf-8"), (THREE, "\n[allocate]\n" + "".join(JOB.format(i) for i in range(22))))
    many = changed(many, ("nodes = 2", "nodes = 4"))  # 32 learners, so that all can be held at the same time
    text = command("allocate", written(three.parent, many, "many.toml")).out
    assert "and 2 jobs more: --out DIR writes a row for each" in text
    assert "22 jobs are too many to list: --out DIR writes a row for each" in text
    text = command("allocate", drawn, "--compare", "--workers", "1").out
    for words in ("Shortest by mean_time:", "Geometric means over 2 days on 16 learners", "marginal-gain-fixed-batch"):
        assert words in text, words


def test_borrowed_workloads_are_marked_in_every_table(tmp_path: Path) -> None:
    base = changed(SCENARIO, ('name = "demo"', 'name = "demo"\nborrowed = "everything"'))
    own = base[base.index("[[workload]]") : base.index("[cluster]")].replace('borrowed = "everything"', "")
    base = base.replace("[cluster]", own.replace('name = "demo"', 'name = "own"') + "[cluster]")
    path = written(tmp_path, base + changed(THREE, ('name = "b"\nworkload = "demo"', 'name = "b"\nworkload = "own"')))
    found = answered(path)
    assert found["borrowed"] == {"demo": "everything"}
    assert {row["job"]: row["borrowed"] for row in found["rows"]} == {"a": True, "b": False, "c": True}
    assert [(row["borrowed_in"], row["jobs"]) for row in found["summary"]] == [(True, 3), (False, 1)]
    assert any("the laws of demo are borrowed: everything" in one["text"] for one in found["warnings"])
    assert {row["job"]: row["borrowed"] for row in found["parts"]} == {"a": True, "b": False, "c": True}
    text = command("allocate", path).out
    assert "demo (borrowed)" in text
    assert "Without the borrowed jobs: marginal-gain: 1 jobs" in text
    assert "Borrowed: demo, everything." in text
