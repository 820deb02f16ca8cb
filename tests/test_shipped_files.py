"""Every shipped file loads, says where each figure comes from, and answers."""

from __future__ import annotations

import csv
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from simulator.profiles import PROFILE_KINDS, load_profile
from simulator.scenarios import load_scenario
from simulator.scenarios.inheritance import load_workload
from tests.mutations import leaves
from tests.samples import RUN, SAMPLES
from tests.support import HARDWARE, ROOT, SCENARIOS, assert_sound, command, written

TOML_FILES = sorted([*SCENARIOS.rglob("*.toml"), *HARDWARE.rglob("*.toml")])
HARDWARE_FILES = sorted(HARDWARE.rglob("*.toml"))
WORKLOADS = sorted((SCENARIOS / "workloads").glob("*.toml"))
RUNS = sorted(SCENARIOS.glob("*.toml"))
WORDS = {"schema", "name", "title", "kind", "vendor", "released", "unit", "sample_unit", "fabric", "latency_kind", "notes"}
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", TOML_FILES, ids=ids(TOML_FILES))
def test_a_file_begins_with_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert tomllib.loads(text)["schema"] == 1
    assert text.endswith("\n")
    assert "\t" not in text
    assert "\r" not in text


@pytest.mark.parametrize("path", HARDWARE_FILES, ids=ids(HARDWARE_FILES))
def test_every_figure_of_a_hardware_profile_has_source_date_and_verified(path: Path) -> None:
    kind = path.parent.name
    assert kind in PROFILE_KINDS
    profile, records = load_profile(kind, path.stem)
    assert profile.name == path.stem
    figures = [key for key in records if key not in WORDS | {"source", "date", "verified"}]
    assert figures
    for key in figures:
        record = records[key]
        assert record.source, key
        assert record.date, key
        assert DATE.fullmatch(record.date), key
        assert isinstance(record.verified, bool), key


@pytest.mark.parametrize("path", HARDWARE_FILES, ids=ids(HARDWARE_FILES))
def test_what_comes_from_memory_is_not_called_checked(path: Path) -> None:
    _, records = load_profile(path.parent.name, path.stem)
    for key, record in records.items():
        if record.source and "from memory" in record.source:
            assert record.verified is False, key


@pytest.mark.parametrize("path", WORKLOADS, ids=ids(WORKLOADS))
def test_every_figure_of_a_workload_has_source_date_and_verified(path: Path) -> None:
    tree, records = load_workload(path.stem, ROOT, [])
    assert tree["name"] == path.stem
    for parts, value in leaves(tree):
        key = ".".join(map(str, parts))
        if isinstance(value, int | float | list) and not isinstance(value, bool) and parts[-1] != "schema":
            record = records[key]
            assert record.source, key
            assert record.date, key
            assert DATE.fullmatch(record.date), key
            assert isinstance(record.verified, bool), key


def test_a_node_holds_an_accelerator_that_is_shipped() -> None:
    for path in sorted((HARDWARE / "nodes").glob("*.toml")):
        node, _ = load_profile("nodes", path.stem)
        chip, _ = load_profile("accelerators", node.accelerator)
        assert chip.name == node.accelerator


def test_a_workload_is_timed_on_accelerators_that_are_shipped() -> None:
    for path in WORKLOADS:
        tree, _ = load_workload(path.stem, ROOT, [])
        for accelerator in tree["compute"]:
            if accelerator != "from_flops":
                load_profile("accelerators", accelerator)


@pytest.mark.parametrize("path", RUNS, ids=ids(RUNS))
@pytest.mark.parametrize("verb", ["run", "optimum", "scale", "explain"])
def test_a_scenario_answers(path: Path, verb: str) -> None:
    by_name, by_path = command(verb, path.stem, "--json"), command(verb, path, "--json")
    assert by_name.status == 0, by_name.err
    assert by_name.answer == by_path.answer
    if verb != "explain":
        assert_sound(by_name.answer)
    text = command(verb, path.stem)
    assert text.status == 0
    assert text.out


@pytest.mark.parametrize("path", RUNS, ids=ids(RUNS))
def test_every_option_of_a_scenario_answers(path: Path) -> None:
    for option in tomllib.loads(path.read_text(encoding="utf-8")).get("option", []):
        for verb in ("run", "optimum", "scale", "explain"):
            found = command(verb, path.stem, "--option", option["name"], "--json")
            assert found.status == 0, found.err


@pytest.mark.parametrize("path", RUNS, ids=ids(RUNS))
def test_every_number_of_a_scenario_that_was_measured_says_where(path: Path) -> None:
    scenario = load_scenario(path.stem)
    for key in scenario.own_keys:
        if key.startswith(("reduce.", "cost.")) and not key.endswith(".kind"):
            assert scenario.records[key].source, key
            assert scenario.records[key].date, key


@pytest.mark.parametrize("path", RUNS, ids=ids(RUNS))
def test_the_command_in_the_comment_is_right(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#   learnersim "):
            _, verb, named, *flags = shlex.split(line.removeprefix("#   "))
            assert (ROOT / named).resolve() == path
            assert command(verb, path, *flags).status == 0


@pytest.mark.parametrize(("verb", "text"), SAMPLES.items())
def test_a_file_of_a_later_verb_is_valid(tmp_path: Path, verb: str, text: str) -> None:
    path = written(tmp_path, text)
    assert load_scenario(str(path)).sections.schema == 1
    found = command(verb, path)
    assert (found.status, found.out) == (2, "")
    assert found.err == f"learnersim: {path} is valid, but '{verb}' is not in this version\n"


@pytest.mark.parametrize("text", [RUN, SAMPLES["sweep"]])
@pytest.mark.parametrize("verb", ["run", "optimum", "scale", "explain"])
def test_a_file_with_sections_of_other_verbs_answers_this_one(tmp_path: Path, verb: str, text: str) -> None:
    found = command(verb, written(tmp_path, text), "--json")
    assert found.status == 0, found.err


def test_a_file_of_the_format_may_hold_every_section(tmp_path: Path) -> None:
    found: dict[str, Any] = {}
    for text in SAMPLES.values():
        found |= tomllib.loads(text)
    assert set(found) >= {
        "simulate",
        "design",
        "compare",
        "allocate",
        "sweep",
        "option",
        "job",
        "network",
        "cost",
        "cross_validation",
    }


@pytest.mark.parametrize("path", sorted(SCENARIOS.rglob("*.csv")), ids=lambda path: path.name)
def test_measurements_have_a_source_and_a_licence_in_every_row(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert row["source"]
        assert row["licence"]
