"""Files made wrong by construction: each fault is named with file, key and value; nothing crashes; no time is absurd."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ScenarioError
from simulator.scenarios import load_scenario
from tests.mutations import Mutation, mutations
from tests.samples import RUN, SAMPLES
from tests.support import HARDWARE, ROOT, SCENARIOS, Outcome, assert_sound, command, written

SHIPPED = {
    name: (SCENARIOS / f"{name}.toml").read_text(encoding="utf-8") for name in ("resnet50-a100", "resnet50-k80", "gpt3-h100")
}
PROFILES = {
    "workloads/resnet50-mlperf": SCENARIOS / "workloads" / "resnet50-mlperf.toml",
    "nodes/dgx-a100-640": HARDWARE / "nodes" / "dgx-a100-640.toml",
    "nodes/aws-p2.8xlarge": HARDWARE / "nodes" / "aws-p2.8xlarge.toml",
    "accelerators/a100-sxm-80": HARDWARE / "accelerators" / "a100-sxm-80.toml",
    "accelerators/k80-gpu": HARDWARE / "accelerators" / "k80-gpu.toml",
}
USING = """\
schema = 1
profiles = ["own"]
[[workload]]
use = "resnet50-mlperf"
[cluster]
{cluster}
[reduce]
kind = "constant"
delta_s = "4 ms"
"""


def cases(texts: dict[str, str], seed: int, most: int | None = None) -> list[Any]:
    """Parameters (name, mutation) with ids; a seeded choice of `most` for each text."""
    found = []
    for name, text in texts.items():
        made = mutations(text, seed)
        if most is not None and len(made) > most:
            made = random.Random(seed).sample(made, most)
        found += [pytest.param(name, mutation, id=f"{name}-{mutation.name}"[:90]) for mutation in made]
    return found


def check(outcome: Outcome, mutation: Mutation, folder: Path, answered: int = 0) -> None:
    """Check what a command said about a mutated file below `folder`; `answered` is the status for a valid one."""
    assert "Traceback" not in outcome.err
    if outcome.status == answered:
        assert mutation.sure is not True, f"a faulty file was accepted: {mutation.keys}"
        if answered == 0:
            assert_sound(outcome.answer)
        return
    assert outcome.status == 1, outcome.err
    assert mutation.sure is not False, f"a harmless file was refused: {outcome.err}"
    assert outcome.out == ""
    assert outcome.lines
    for line in outcome.lines:
        assert line.startswith((f"{folder}/", "nodes/", "accelerators/", "scenarios/")), line
        assert len(line) < 1000
    values = mutation.values or ("",) * len(mutation.keys)
    for key, value in zip(mutation.keys, values, strict=True):
        assert any(f": {key}" in line and value in line for line in outcome.lines), (key, value, outcome.err)


def test_there_are_more_than_two_hundred_malformed_files() -> None:
    made = [mutation for text in SHIPPED.values() for mutation in mutations(text, 1)]
    assert len([mutation for mutation in made if mutation.sure]) > 200
    assert len({mutation.content for mutation in made}) > 200


def test_the_generator_is_seeded() -> None:
    assert mutations(RUN, 5) == mutations(RUN, 5)
    assert mutations(RUN, 5) != mutations(RUN, 6)


@pytest.mark.parametrize(("name", "mutation"), cases({**SHIPPED, "every key of run": RUN}, seed=1))
def test_a_malformed_scenario_is_refused_with_every_fault(tmp_path: Path, name: str, mutation: Mutation) -> None:
    path = tmp_path / "scenario.toml"
    path.write_bytes(mutation.content)
    check(command("run", path, "--json"), mutation, tmp_path)


@pytest.mark.parametrize(("name", "mutation"), cases(SAMPLES, seed=2, most=120))
def test_sections_of_other_verbs_are_checked_as_closely(tmp_path: Path, name: str, mutation: Mutation) -> None:
    if mutation.name in ("simulate.replications: number", "sweep.reduce: list"):
        pytest.skip("this is another way to say it, not a wrong one")
    path = tmp_path / "scenario.toml"
    path.write_bytes(mutation.content)
    if name in ("simulate", "sweep", "allocate"):
        check(command(name, path, "--json", "--workers", "1"), mutation, tmp_path)
        return
    try:  # what these commands do first; an answer to each valid file would take minutes
        load_scenario(str(path))
        outcome = Outcome(2, "", "")
    except ScenarioError as error:
        outcome = Outcome(1, "", f"{error}\n")
    check(outcome, mutation, tmp_path, answered=2)


@pytest.mark.parametrize(
    ("name", "mutation"), cases({name: path.read_text(encoding="utf-8") for name, path in PROFILES.items()}, seed=3, most=130)
)
def test_a_malformed_profile_is_refused_with_every_fault(tmp_path: Path, name: str, mutation: Mutation) -> None:
    kind, profile = name.split("/")
    cluster = {
        "workloads": 'node = "dgx-a100-640"\nnodes = 2',
        "nodes": f'node = "{profile}"\nnodes = 2',
        "accelerators": f'accelerator = "{profile}"\naccelerators = 4',
    }[kind]
    (tmp_path / "own" / kind).mkdir(parents=True)
    (tmp_path / "own" / f"{name}.toml").write_bytes(mutation.content)
    check(command("run", written(tmp_path, USING.format(cluster=cluster)), "--json"), mutation, tmp_path)


@pytest.mark.parametrize("verb", ["run", "optimum", "scale", "explain", "simulate", "design"])
def test_what_is_no_file_is_refused(tmp_path: Path, verb: str) -> None:
    (tmp_path / "folder.toml").mkdir()
    for name, says in (
        ("folder.toml", "must be a file, got a folder"),
        ("none.toml", "no such file"),
        ("none/none.toml", "no such file"),
        ("a\0b.toml", "cannot be read"),
        ("x" * 300 + ".toml", "cannot be read"),
    ):
        found = command(verb, tmp_path / name)
        assert (found.status, found.out) == (1, "")
        assert len(found.lines) == 1
        assert says in found.err


@pytest.mark.parametrize(
    "use", ["../../../../etc/passwd", "/etc/passwd", "../resnet50-mlperf", "..", ".", "/", "\\u0000", "~", "-x", "x" * 300]
)
@pytest.mark.parametrize("key", ["use", "node"])
def test_no_name_leads_anywhere_else(tmp_path: Path, use: str, key: str) -> None:
    text = USING.format(cluster='node = "dgx-a100-640"\nnodes = 2').replace('profiles = ["own"]\n', "")
    old = "resnet50-mlperf" if key == "use" else "dgx-a100-640"
    path = written(tmp_path, text.replace(f'"{old}"', f'"{use}"'))
    found = command("run", path)
    assert (found.status, found.out) == (1, "")
    assert any(f".{key}: " in line or "is not TOML" in line for line in found.lines), found.err
    assert "root:" not in found.err


def test_the_shipped_files_are_left_as_they_are() -> None:
    assert (ROOT / "scenarios" / "resnet50-a100.toml").read_text(encoding="utf-8") == SHIPPED["resnet50-a100"]


STEPS = """\
source,workload,gpu,n_nodes,n_gpus,placement,local_batch,accumulation,step_time_s,sync_time_s
s,w,T4,1,2,2,8,1,0.5,0.1
"""
WRONG_CELLS = {
    "n_nodes": ("0", "2.5", "x", "9", "-1", "nan", "1e99"),
    "n_gpus": ("0", "1.5", "", "x", "1e12", "inf"),
    "local_batch": ("0", "-8", "", "x", "nan", "1_000"),
    "accumulation": ("0", "0.5", "x", "-1"),
    "step_time_s": ("0", "-1", "", "x", "nan", "inf", "1e40"),
    "sync_time_s": ("-0.1", "x", "nan"),
}


@pytest.mark.parametrize(("column", "cell"), [(column, cell) for column, cells in WRONG_CELLS.items() for cell in cells])
@pytest.mark.parametrize(
    "command_line", [("fit", "step-time"), ("validate", "step-time", "--data")], ids=lambda words: words[0]
)
def test_a_malformed_table_of_steps_is_refused_by_line_and_column(
    tmp_path: Path, command_line: tuple[str, ...], column: str, cell: str
) -> None:
    header, row = STEPS.splitlines()
    cells = row.split(",")
    cells[header.split(",").index(column)] = cell
    path = written(tmp_path, "\n".join([header, row, ",".join(cells), ""]), "steps.csv")
    done = command(*command_line, path)
    assert (done.status, done.out) == (1, "")
    assert [line for line in done.lines if line.startswith(f"{path}: line 3, {column}: must ")] == done.lines
    assert done.lines


TIMES_HEADER = (
    "version,submitter,accelerator,accel_family,n_nodes,n_accelerators,benchmark,global_batch_size,optimizer,n_success,"
    "run_minutes_mean,steps_mean,eval_minutes_mean"
)
TIMES_ROW = "v2.0,Me,a,A100,1,8,bert,448,,5,10,1000,1"
WRONG_TIMES = {
    "version": ("", "\x07"),
    "accel_family": ("",),
    "n_nodes": ("-1", "2.5", "x", "nan"),
    "n_accelerators": ("-8", "1.5", "", "x", "1e12", "inf"),
    "benchmark": ("",),
    "global_batch_size": ("0", "-8", "", "x", "nan", "1_000"),
    "n_success": ("-1", "0.5", "", "x"),
    "run_minutes_mean": ("0", "-1", "x", "nan", "inf", "1e40"),
    "steps_mean": ("0", "-1", "x", "nan"),
    "eval_minutes_mean": ("-0.1", "x", "nan"),
}


@pytest.mark.parametrize(("column", "cell"), [(column, cell) for column, cells in WRONG_TIMES.items() for cell in cells])
def test_a_malformed_table_of_times_to_train_is_refused_by_line_and_column(tmp_path: Path, column: str, cell: str) -> None:
    cells = TIMES_ROW.split(",")
    cells[TIMES_HEADER.split(",").index(column)] = cell
    path = written(tmp_path, "\n".join([TIMES_HEADER, TIMES_ROW, ",".join(cells), ""]), "times.csv")
    done = command("validate", "time-to-converge", "--data", path)
    assert (done.status, done.out) == (1, "")
    assert [line for line in done.lines if line.startswith(f"{path}: line 3, {column}: must ")] == done.lines
    assert done.lines


@pytest.mark.parametrize(
    ("column", "cell"),
    [("batch_size", "0"), ("batch_size", "x"), ("updates_mean", "-1"), ("n_runs", "2.5"), ("dataset_train_samples", "0")],
)
def test_malformed_reference_points_are_refused_by_line_and_column(tmp_path: Path, column: str, cell: str) -> None:
    header = "version,benchmark,optimizer,batch_size,n_runs,updates_mean,updates_std,dataset_train_samples"
    cells = ["1.0.0", "one", "sgd", "64", "5", "1000", "10", "6400"]
    cells[header.split(",").index(column)] = cell
    path = written(tmp_path, "\n".join([header, ",".join(cells), ""]), "points.csv")
    done = command("validate", "time-to-converge", "--updates", path)
    assert (done.status, done.out) == (1, "")
    assert done.lines == [line for line in done.lines if line.startswith(f"{path}: line 2, {column}: must ")]
    assert done.lines
