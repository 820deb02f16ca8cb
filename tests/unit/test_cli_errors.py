from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.cli import main
from tests.support import SCENARIO, changed, command, written

VERBS = ("run", "optimum", "scale", "explain", "simulate")
OTHERS = ("sweep", "design", "compare", "bom", "allocate")


@pytest.mark.parametrize("verb", VERBS)
def test_an_answer_exits_with_0(verb: str) -> None:
    assert command(verb, "resnet50-a100").status == 0


def test_warnings_do_not_change_the_status() -> None:
    found = command("run", "resnet50-a100", "--json")
    assert found.answer["warnings"]
    assert found.status == 0


@pytest.mark.parametrize("verb", [*VERBS, *OTHERS])
def test_a_faulty_file_exits_with_1_whichever_verb(tmp_path: Path, verb: str) -> None:
    path = written(tmp_path, changed(SCENARIO, ("nodes = 2", "ndoes = 2"), ("seed = 7", "seed = -7")))
    found = command(verb, path)
    assert (found.status, found.out) == (1, "")
    assert set(found.lines) == {
        f"{path}: cluster.ndoes: unknown key; did you mean 'nodes'?",
        f"{path}: seed: must be a whole number >= 0, got -7",
    }


@pytest.mark.parametrize("verb", [*VERBS, *OTHERS])
def test_a_missing_file_exits_with_1(verb: str) -> None:
    found = command(verb, "none/such.toml")
    assert (found.status, found.err) == (1, "none/such.toml: no such file\n")
    found = command(verb, "resnet50-a10")
    assert found.status == 1
    assert "did you mean 'resnet50-a100'?" in found.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("walk",),
        ("run",),
        ("run", "resnet50-a100", "resnet50-k80"),
        ("run", "resnet50-a100", "--fast"),
        ("run", "resnet50-a100", "--seed", "x"),
        ("run", "resnet50-a100", "--seed", "1.5"),
        ("run", "resnet50-a100", "--out"),
        ("explain",),
        ("plot",),
    ],
)
def test_a_usage_error_exits_with_2(arguments: tuple[str, ...]) -> None:
    found = command(*arguments)
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith("learnersim: ")
    assert found.lines[-1] == "Try 'learnersim --help'."
    assert len(found.lines) == 2


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("flags", [("--option", "x"), ("--workload", "x")])
def test_an_unknown_choice_names_file_and_what_there_is(verb: str, flags: tuple[str, ...]) -> None:
    found = command(verb, "resnet50-k80", *flags)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(f"scenarios/resnet50-k80.toml: {flags[0].strip('-')}: ")
    assert "known: " in found.err


@pytest.mark.parametrize("seed", ["-1", "1" + "0" * 40])
def test_a_seed_out_of_range_is_an_error_of_the_flag(seed: str) -> None:
    found = command("run", "resnet50-a100", "--seed", seed)
    assert found.status == 1
    assert found.err.startswith("--seed must be") or found.err.startswith("flags: seed: must be")


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("min_batch_samples = 1e9", "min_batch_samples"),
        ('learners = "best"\nbatch_samples = 60_000', "data_set_samples"),
        ('learners = "best"\nbatch_samples = 40_000', "max_local_samples"),
        ("max_batch_samples = 3", "max_batch_samples"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "optimum"])
def test_a_request_without_an_answer_names_the_file_and_both_limits(tmp_path: Path, run: str, says: str, verb: str) -> None:
    text = changed(SCENARIO, ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 64"))
    path = written(tmp_path, f"{text}[run]\n{run}\n")
    found = command(verb, path)
    if verb == "optimum" and "40_000" in run:
        assert found.status == 0  # it searches the mini-batch whatever [run] says
        return
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(f"{path}: ")
    assert says in found.err
    assert len(found.lines) == 1


def test_the_advice_of_an_impossible_request_helps(tmp_path: Path) -> None:
    text = changed(SCENARIO, ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 64"))
    found = command("run", written(tmp_path, text + "[run]\nmin_batch_samples = 1100\n"))
    assert found.status == 1
    assert "use fewer learners" not in found.err  # 18 learners would hold 1100 samples, fewer hold less
    assert "more learners" in found.err


def test_main_leaves_with_the_status() -> None:
    with pytest.raises(SystemExit) as left:
        main(["run", "none.toml"])
    assert left.value.code == 1


@pytest.mark.parametrize(
    "arguments", [("--help",), ("run", "--help"), ("optimum", "--help"), ("scenarios", "--help"), ("--version",)]
)
def test_help_and_version_exit_with_0(arguments: tuple[str, ...]) -> None:
    found = command(*arguments)
    assert found.status == 0
    assert found.out


def test_help_is_grouped_by_question() -> None:
    text = command("--help").out
    questions = ["How long?", "How fast is this network?", "What shall I buy?", "Who gets how many?", "What is there?"]
    places = [text.index(question) for question in questions]
    assert places == sorted(places)
    for verb in (*VERBS, *OTHERS, "network", "plot", "scenarios", "profiles"):
        assert f" {verb} " in text


def test_what_is_shipped_is_listed() -> None:
    rows = {row["name"]: row for row in command("scenarios", "--json").answer["rows"]}
    assert {"resnet50-a100", "resnet50-k80"} <= set(rows)
    assert rows["resnet50-k80"]["options"] == "parameter server, ring all-reduce"
    assert "resnet50-k80" in command("scenarios").out
    assert command("scenarios", "show", "resnet50-k80").out.startswith("# ResNet-50 on eight AWS p2.8xlarge")
    assert command("scenarios", "show", "resnet50-mlperf").out.startswith("# A workload")
    found = command("scenarios", "show", "none")
    assert (found.status, found.out) == (1, "")
    known = found.err.strip().split("known: ")[1].split(", ")
    assert {*rows, "resnet50-mlperf", "gpt3-mlperf"} <= set(known)


@pytest.mark.parametrize("kind", ["accelerators", "nodes", "networks", "switches", "workloads"])
def test_profiles_are_listed_by_kind(kind: str) -> None:
    rows = command("profiles", kind, "--json").answer["rows"]
    assert {row["kind"] for row in rows} == {kind}
    text = command("profiles", kind).out
    assert all(row["name"] in text for row in rows)


def test_all_shelves_are_listed_at_once_with_a_pointer_to_the_prices() -> None:
    text = command("profiles").out
    for shelf in ("accelerators", "nodes", "networks", "switches", "workloads"):
        assert f"\n{shelf}\n" in f"\n{text}"
    assert "learnersim profiles prices" in text
    assert {row["kind"] for row in command("profiles", "--json").answer["rows"]} >= {"accelerators", "workloads"}


def test_a_figure_that_nobody_checked_is_marked_in_the_list() -> None:
    lines = {line.split()[0]: line for line in command("profiles", "switches").out.splitlines() if line.strip()}
    assert "747 W ?" in lines["qm9700"]  # the typical power is from memory, radix and rate are not
    assert " 64 " in lines["qm9700"]
    assert lines["?"] == "?  nobody checked this figure; notes and all fields: --json"


HEADER = ("item", "scope", "kind", "currency", "price", "low", "high", "date", "source", "verified", "notes")


def test_prices_are_listed_with_all_their_fields() -> None:
    found = command("profiles", "prices", "--json")
    rows = found.answer["rows"]
    fields = [*HEADER, "outdated"]
    assert all(list(row) == fields for row in rows)
    text = command("profiles", "prices").out
    assert all(row["item"] in text for row in rows)
    one = next(row for row in rows if (row["item"], row["scope"], row["date"]) == ("h100-sxm", "chip", "2025-03-03"))
    assert (one["price"], one["currency"], one["verified"], one["outdated"]) == (31250.0, "USD", True, False)
    assert re.search(r"h100-sxm +street +31,250 USD +- +2025-03-03 +yes +\[\d+\]", text)


def test_prices_that_are_old_or_that_nobody_checked_are_marked() -> None:
    rows = command("profiles", "prices", "--json").answer["rows"]
    text = command("profiles", "prices").out
    assert len(re.findall(r"^\S+ .* NOT ", text, re.MULTILINE)) == sum(not row["verified"] for row in rows) > 0
    assert len(re.findall(r"\d old +(?:yes|NOT) ", text)) == sum(row["outdated"] for row in rows) > 0
    newest = max(row["date"] for row in rows)
    assert f"more than three years before the newest price here, {newest}." in text
    assert {row["date"] < f"{int(newest[:4]) - 3}{newest[4:]}" for row in rows if row["outdated"]} == {True}


def test_an_unknown_kind_of_profile_names_the_nearest() -> None:
    found = command("profiles", "acelerators")
    assert (found.status, found.out) == (1, "")
    assert "did you mean 'accelerators'?" in found.err


@pytest.mark.parametrize("content", [None, "{", '{"command": "optimum"}', "[]", '{"command": "run"}'])
def test_plot_needs_a_run_that_has_figures(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        written(tmp_path, content, "run.json")
    found = command("plot", tmp_path)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(str(tmp_path))
    assert len(found.lines) == 1
    assert "Errno" not in found.err
