from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.output import print_table, run_key
from tests.support import PAPER_FLAGS, SCENARIO, Outcome, changed, command, written

FILES = {
    "run": {"run.json", "rows.csv", "batch.csv", "wall_clock.json"},
    "optimum": {"run.json", "rows.csv", "batch.csv", "wall_clock.json"},
    "scale": {"run.json", "scaling.csv", "wall_clock.json"},
    "explain": {"run.json", "rows.csv", "wall_clock.json"},
}


def run(*arguments: object) -> Outcome:
    found = command("run", *arguments)
    assert found.status == 0, found.err
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "wall_clock.json"}


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    return written(tmp_path, SCENARIO)


def test_nothing_is_written_without_out(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scenario.parent)
    for verb in FILES:
        assert command(verb, scenario).status == 0
    assert [path.name for path in scenario.parent.iterdir()] == ["scenario.toml"]


@pytest.mark.parametrize("verb", FILES)
def test_out_holds_the_answer_and_its_tables(scenario: Path, tmp_path: Path, verb: str) -> None:
    out = tmp_path / "deep" / "out"
    found = command(verb, scenario, "--out", out, "--json")
    assert found.status == 0
    assert {path.name for path in out.iterdir()} == FILES[verb]
    saved = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert saved.pop("key")
    scenario_as_resolved = saved.pop("scenario", None)
    assert scenario_as_resolved is None or isinstance(scenario_as_resolved, dict)
    assert saved == found.answer
    for path in out.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert rows
        assert not any(cell in ("nan", "inf", "None") for row in rows for cell in row.values())


def test_the_run_holds_scenario_and_profiles_as_resolved(scenario: Path, tmp_path: Path) -> None:
    run(scenario, "--out", tmp_path / "out")
    text = (tmp_path / "out" / "run.json").read_text(encoding="utf-8")
    assert '"gamma_s_per_sample"' in text
    assert '"delta_s"' in text


@pytest.mark.parametrize("verb", FILES)
def test_the_same_run_writes_the_same_bytes(scenario: Path, tmp_path: Path, verb: str) -> None:
    for name in ("a", "b"):
        assert command(verb, scenario, "--out", tmp_path / name).status == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_figures_have_the_same_bytes_too(scenario: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(scenario, "--out", tmp_path / name, "--figures")
    assert {path.name for path in (tmp_path / "a").glob("*.png")} == {"figure_time_to_converge.png", "figure_update.png"}
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_is_another_run(scenario: Path, tmp_path: Path) -> None:
    run(scenario, "--out", tmp_path / "a", "--seed", 1)
    run(scenario, "--out", tmp_path / "b", "--seed", 2)
    first, second = (json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8")) for name in ("a", "b"))
    assert first["key"] != second["key"]


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    foreign = written(out, "mine", "notes.txt")
    found = command("run", scenario, "--out", out)
    assert (found.status, found.out) == (1, "")
    assert found.err == f"{out}: is not empty; give --force to replace its run or --resume to continue it\n"
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert foreign.read_text(encoding="utf-8") == "mine"


def test_an_empty_folder_is_taken(scenario: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    run(scenario, "--out", tmp_path / "out")


def test_force_replaces_the_run_and_keeps_foreign_files(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command("scale", scenario, "--out", out, "--figures").status == 0
    written(out, "mine", "notes.txt")
    written(out, "mine", "sub/rows.csv")
    run(scenario, "--out", out, "--force")
    assert {path.name for path in out.iterdir()} == FILES["run"] | {"notes.txt", "sub"}
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (out / "sub" / "rows.csv").read_text(encoding="utf-8") == "mine"
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["command"] == "run"


def test_force_keeps_a_figure_that_is_not_its_own(scenario: Path, tmp_path: Path) -> None:
    foreign = written(tmp_path / "out", "mine", "figure_of_mine.png")
    run(scenario, "--out", tmp_path / "out", "--force")
    assert foreign.read_text(encoding="utf-8") == "mine"


def test_a_failed_request_leaves_an_earlier_run_as_it_was(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(scenario, "--out", out)
    before = contents(out)
    bad = written(tmp_path, SCENARIO + "[run]\nmin_batch_samples = 1e9\n", "bad.toml")
    assert command("run", bad, "--out", out, "--force").status == 1
    assert contents(out) == before


def test_a_failed_request_leaves_no_folder_behind(tmp_path: Path) -> None:
    bad = written(tmp_path, SCENARIO + "[run]\nmin_batch_samples = 1e9\n", "bad.toml")
    assert command("run", bad, "--out", tmp_path / "out").status == 1
    assert not (tmp_path / "out" / "run.json").exists()
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_resume_continues_the_same_run_only(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(scenario, "--out", out)
    before = contents(out)
    run(scenario, "--out", out, "--resume")
    assert contents(out) == before
    other = written(tmp_path, changed(SCENARIO, ('"4 ms"', '"5 ms"')), "other.toml")
    found = command("run", other, "--out", out, "--resume")
    assert found.status == 1
    assert found.err == f"{out}: holds another run (other scenario, flags or seed); use --force or another folder\n"
    assert contents(out) == before
    assert command("optimum", scenario, "--out", out, "--resume").status == 1
    assert command("run", scenario, "--out", out, "--resume", "--seed", 8).status == 1


def test_resume_completes_a_run_that_was_cut_off(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(scenario, "--out", out)
    before = contents(out)
    (out / "run.json").unlink()
    (out / "rows.csv").write_text("half", encoding="utf-8")
    run(scenario, "--out", out, "--resume")
    assert contents(out) == before


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"key": null}', ""])
def test_resume_refuses_a_broken_run(scenario: Path, tmp_path: Path, text: str) -> None:
    written(tmp_path / "out", text, "run.json")
    found = command("run", scenario, "--out", tmp_path / "out", "--resume")
    assert found.status == 1
    assert found.err.startswith(str(tmp_path / "out"))
    assert len(found.lines) == 1


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--force",), "--force needs --out DIR"),
        (("--resume",), "--resume needs --out DIR"),
        (("--figures",), "--figures needs --out DIR"),
        (("--out", "{out}", "--force", "--resume"), "--force and --resume contradict each other: give one"),
        (("--out", "{file}"), "{file}: must be a folder, got a file"),
        (("--out", "{file}/below"), "{file}/below: cannot be written: "),
    ],
)
@pytest.mark.parametrize("verb", FILES)
def test_flags_that_contradict_are_refused(
    scenario: Path, tmp_path: Path, verb: str, flags: tuple[str, ...], says: str
) -> None:
    names = {"out": tmp_path / "out", "file": scenario}
    found = command(verb, scenario, *(flag.format(**names) for flag in flags))
    if verb == "explain" and flags == ("--figures",):
        assert found.status == 2  # a list of sources has no figure
        return
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(says.format(**names))
    assert not (tmp_path / "out").exists()


def test_no_half_written_file_is_left_when_the_disk_fails(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    found = command("run", scenario, "--out", tmp_path / "out")
    assert found.status == 1
    assert found.err == f"{tmp_path / 'out'}: cannot be written: No space left on device\n"
    assert not (tmp_path / "out" / "run.json").exists()


def test_flags_alone_can_be_saved(tmp_path: Path) -> None:
    for verb in ("optimum", "scale"):
        out = tmp_path / verb
        assert command(verb, *PAPER_FLAGS, "--learners", 4, "--out", out).status == 0
        assert {path.name for path in out.iterdir()} == FILES[verb]


def test_json_is_one_object_and_nothing_else(scenario: Path, tmp_path: Path) -> None:
    found = run(scenario, "--json", "--out", tmp_path / "out", "--figures")
    assert found.answer["command"] == "run"
    assert found.err == ""


def test_wall_clock_stands_apart(scenario: Path, tmp_path: Path) -> None:
    run(scenario, "--out", tmp_path / "out")
    clock = json.loads((tmp_path / "out" / "wall_clock.json").read_text(encoding="utf-8"))
    assert clock["elapsed_s"] >= 0
    assert "elapsed" not in (tmp_path / "out" / "run.json").read_text(encoding="utf-8")


def test_a_key_depends_on_the_inputs_and_not_on_their_order() -> None:
    assert run_key("run", {"a": 1, "b": [1, 2]}) == run_key("run", {"b": [1, 2], "a": 1})
    assert run_key("run", {"a": 1}) != run_key("optimum", {"a": 1})
    assert run_key("run", {"a": [1, 2]}) != run_key("run", {"a": [2, 1]})


@pytest.mark.parametrize("verb", FILES)
def test_the_text_has_no_ragged_headers(verb: str) -> None:
    for scenario in ("resnet50-a100", "resnet50-k80"):
        text = command(verb, scenario).out
        assert "communicatio" not in text.replace("communication", "")
        assert text.endswith("\n")


@pytest.mark.parametrize("width", [20, 80, 110])
def test_no_cell_of_a_table_is_ever_cut(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"learners": "131,072", "batch_samples": "1,281,167", "bound": "the data set", "cost_usd": "54,868.56"}]
    print_table(rows, right=("learners", "batch_samples", "cost_usd"), width=width)
    printed = capsys.readouterr().out
    for cell in ("131,072", "1,281,167", "54,868.56", "(USD)", "learners"):
        assert cell in printed, cell


def test_a_refused_request_leaves_no_empty_folder(scenario: Path, tmp_path: Path) -> None:
    text = scenario.read_text(encoding="utf-8") + "[run]\nmin_batch_samples = 1e9\n"
    assert command("run", written(tmp_path, text, "bad.toml"), "--out", tmp_path / "out").status == 1
    assert not (tmp_path / "out").exists()


def test_optimum_draws_its_figures(tmp_path: Path) -> None:
    assert command("optimum", *PAPER_FLAGS, "--learners", 4, "--out", tmp_path / "out", "--figures").status == 0
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"figure_time_to_converge.png", "figure_update.png"}
    assert command("plot", tmp_path / "out").status == 0


@pytest.mark.parametrize("verb", FILES)
def test_every_command_saves_the_scenario_as_resolved(scenario: Path, tmp_path: Path, verb: str) -> None:
    assert command(verb, scenario, "--out", tmp_path / "out").status == 0
    saved = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["scenario"]
    assert saved["sections"]["reduce"]["kind"] == "constant"
    assert saved["hardware"]["node"]["name"] == saved["sections"]["cluster"]["node"]
