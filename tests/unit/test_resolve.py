from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.convergence import InverseLaw, SharpCornerLaw
from simulator.errors import ScenarioError
from simulator.scenarios import load_scenario
from tests.support import SCENARIO, changed, written

USING = """\
schema = 1
profiles = ["own"]
[[workload]]
use = "mine"
{over}
[cluster]
node = "dgx-a100-640"
nodes = 2
[reduce]
kind = "constant"
delta_s = "4 ms"
"""
MINE = """\
schema = 1
name = "mine"
data_set_samples = 50_000
gradient_bytes = "80 MB"
source = "the profile"
[convergence]
kind = "inverse"
n_inf_updates = { value = 1000, low = 900, high = 1100, source = "a fit" }
alpha_samples = 1_024_000
[compute.a100-sxm-80]
kind = "knee"
gamma_s_per_sample = "1 ms"
knee_samples = 8
max_local_samples = 64
"""


def loaded(folder: Path, over: str = "", mine: str = MINE) -> Any:
    written(folder, mine, "own/mine.toml")
    return load_scenario(str(written(folder, USING.format(over=over))))


def faults(path: Path, **choice: Any) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(path), **choice)
    return [str(fault).replace(f"{path.parent}/", "") for fault in caught.value.faults]


def using_faults(folder: Path, over: str = "", mine: str = MINE) -> list[str]:
    written(folder, mine, "own/mine.toml")
    return faults(written(folder, USING.format(over=over)))


def test_a_shipped_scenario_is_found_by_its_name_and_by_its_path() -> None:
    by_name = load_scenario("resnet50-a100")
    assert by_name.name == "scenarios/resnet50-a100.toml"
    assert load_scenario(str(by_name.folder / "resnet50-a100.toml")).sections == by_name.sections


def test_an_unknown_scenario_names_the_nearest() -> None:
    with pytest.raises(
        ScenarioError, match=r"resnet50-a10: must be the id of one of the scenarios.*did you mean 'resnet50-a100'"
    ):
        load_scenario("resnet50-a10")


def test_a_profile_is_laid_in_with_its_provenance(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    (workload,) = scenario.sections.workload
    assert workload.name == "mine"
    assert workload.convergence.law == InverseLaw(n_inf_updates=1000, alpha_samples=1_024_000)
    record = scenario.records["workload[0].convergence.n_inf_updates"]
    assert (record.source, record.low, record.high) == ("a fit", 900.0, 1100.0)
    assert record.file.endswith("mine.toml")
    assert scenario.records["workload[0].gradient_bytes"].source == "the profile"
    assert scenario.records["cluster.nodes"].file.endswith("scenario.toml")


def test_keys_beside_use_override_one_by_one(tmp_path: Path) -> None:
    over = 'name = "other"\n[workload.convergence]\nalpha_samples = 5000\n[workload.compute.a100-sxm-80]\nknee_samples = 4'
    scenario = loaded(tmp_path, over)
    (workload,) = scenario.sections.workload
    assert workload.name == "other"
    assert workload.convergence.law == InverseLaw(n_inf_updates=1000, alpha_samples=5000)
    entry = workload.compute.entries["a100-sxm-80"]
    assert (entry.law.knee_samples, entry.law.gamma_s_per_sample, entry.max_local_samples) == (4.0, 0.001, 64.0)
    assert scenario.records["workload[0].convergence.alpha_samples"].file.endswith("scenario.toml")
    assert "workload[0].convergence.alpha_samples" in scenario.own_keys
    assert "workload[0].convergence.n_inf_updates" not in scenario.own_keys


@pytest.mark.parametrize(
    ("over", "law"),
    [
        ("n_inf_updates = 500", InverseLaw(n_inf_updates=500, alpha_samples=1_024_000)),
        ("s_min_updates = 500", InverseLaw(n_inf_updates=500, alpha_samples=1_024_000)),
        ("e_min_samples = 5000", InverseLaw(n_inf_updates=1000, alpha_samples=5000)),
        ("s_min_updates = 500\ne_min_samples = 5000", InverseLaw(n_inf_updates=500, alpha_samples=5000)),
        ("critical_batch_samples = 2000", InverseLaw(n_inf_updates=1000, alpha_samples=2_000_000)),
        ("n_inf_updates = 500\ncritical_batch_samples = 2000", InverseLaw(n_inf_updates=500, alpha_samples=1_000_000)),
        ("n_inf_updates = 500\nalpha_samples = 5000", InverseLaw(n_inf_updates=500, alpha_samples=5000)),
        (
            'kind = "sharp"\nn_inf_updates = 5\nalpha_samples = 7\nsharpness = 2',
            SharpCornerLaw(n_inf_updates=5, alpha_samples=7, sharpness=2),
        ),
    ],
)
@pytest.mark.parametrize("spelling", ["n_inf + alpha", "s_min + e_min", "n_inf + critical"])
def test_every_spelling_of_the_law_overrides_every_other(tmp_path: Path, over: str, law: Any, spelling: str) -> None:
    theirs = {
        "n_inf + alpha": MINE,
        "s_min + e_min": changed(MINE, ("n_inf_updates", "s_min_updates"), ("alpha_samples", "e_min_samples")),
        "n_inf + critical": changed(MINE, ("alpha_samples = 1_024_000", "critical_batch_samples = 1024")),
    }[spelling]
    scenario = loaded(tmp_path, f"[workload.convergence]\n{over}", theirs)
    assert scenario.sections.workload[0].convergence.law == law


def test_another_kind_of_law_brings_all_its_own_keys(tmp_path: Path) -> None:
    found = using_faults(tmp_path, '[workload.convergence]\nkind = "sharp"\nsharpness = 2')
    assert {line.split(": ")[1] for line in found} == {
        "workload[0].convergence.n_inf_updates",
        "workload[0].convergence.alpha_samples",
    }


def test_a_faulty_profile_is_reported_with_its_own_file_alone(tmp_path: Path) -> None:
    mine = changed(MINE, ('"1 ms"', '"1 GB"'), ("knee_samples = 8", "knee_samples = -8"))
    assert using_faults(tmp_path, mine=mine) == [
        "own/mine.toml: compute.a100-sxm-80.gamma_s_per_sample: unit 'GB' cannot become s / sample, got '1 GB'",
        "own/mine.toml: compute.a100-sxm-80.knee_samples: must be finite and > 0, got -8",
    ]


def test_an_unknown_profile_brings_no_second_fault(tmp_path: Path) -> None:
    path = written(tmp_path, changed(USING.format(over=""), ('["own"]', "[]"), ('"mine"', '"resnet50-mlper"')))
    assert faults(path) == [
        "scenario.toml: workload[0].use: must be the id of one of the workloads, got 'resnet50-mlper'; "
        "did you mean 'resnet50-mlperf'?"
    ]


def test_faults_of_the_second_workload_are_named_as_such(tmp_path: Path) -> None:
    text = 'schema = 1\n[[workload]]\nuse = "none"\n[[workload]]\nuse = "resnet50-mlperf"\nweight = -1\n'
    found = faults(written(tmp_path, text))
    assert any(line.startswith("scenario.toml: workload[0].use: ") for line in found)
    assert "scenario.toml: workload[1].weight: must be finite and > 0, got -1" in found


@pytest.mark.parametrize("use", ["other/mine.toml", "./other/mine.toml", "other/../other/mine.toml"])
def test_a_path_in_use_is_relative_to_the_scenario(tmp_path: Path, use: str) -> None:
    written(tmp_path, MINE, "other/mine.toml")
    text = changed(USING.format(over=""), ('"mine"', f'"{use}"'), ('profiles = ["own"]\n', ""))
    assert load_scenario(str(written(tmp_path, text))).sections.workload[0].name == "mine"


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("other/none.toml", "must name a file, no such file"),
        ("../../../etc/passwd", "must name a file, no such file"),
        ("none.toml", "must name a file, no such file"),
        ("other/", "must name a file, no such file"),
        ("", "must be the id of one of the workloads, got ''"),
        ("a\\u0000b", "must be the id of one of the workloads"),
        ("a/\\u0000b", "must"),
        ("x" * 300, "must be the id of one of the workloads"),
        ("x/" * 3000, "must"),
    ],
)
@pytest.mark.parametrize("key", ["workload[0].use", "cluster.node"])
def test_a_name_that_leads_nowhere_is_a_fault(tmp_path: Path, use: str, says: str, key: str) -> None:
    text = USING.format(over="").replace('profiles = ["own"]\n', "")
    if key == "cluster.node":
        text = changed(text, ('use = "mine"', 'use = "resnet50-mlperf"'), ('"dgx-a100-640"', f'"{use}"'))
    else:
        text = changed(text, ('"mine"', f'"{use}"'))
    found = faults(written(tmp_path, text))
    assert any(key in line and says.replace("workloads", "").split("of the")[0] in line for line in found), found
    assert all(len(line) < 1000 for line in found)


def test_a_folder_of_profiles_must_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, changed(SCENARIO, ("seed = 7", 'seed = 7\nprofiles = ["none", "."]')))
    assert faults(path) == ["scenario.toml: profiles[0]: must be a folder beside the file, got 'none'"]


def test_profiles_must_be_a_list_of_names(tmp_path: Path) -> None:
    path = written(tmp_path, changed(SCENARIO, ("seed = 7", 'seed = 7\nprofiles = "own"')))
    assert faults(path) == ["scenario.toml: profiles: must be a list, got 'own'"]
    path = written(tmp_path, changed(SCENARIO, ("seed = 7", "seed = 7\nprofiles = [3]")))
    assert faults(path) == ["scenario.toml: profiles[0]: must be a text, got 3"]


OPTIONS = (
    SCENARIO
    + """
[[option]]
name = "plain"
[[option]]
name = "slow"
reduce = { delta_s = "8 ms" }
[[option]]
name = "other kind"
title = "with a ring"
[option.reduce]
kind = "ring"
latency_s = { value = "5 us", source = "memory", verified = false }
bandwidth_bytes_per_s = "10 GB/s"
"""
)


def test_an_option_is_laid_over_the_scenario(tmp_path: Path) -> None:
    path = str(written(tmp_path, OPTIONS))
    assert load_scenario(path).sections.reduce.law.delta_s == 0.004  # type: ignore[union-attr]
    assert load_scenario(path, option="plain").tree == load_scenario(path).tree
    slow = load_scenario(path, option="slow")
    assert slow.option == "slow"
    assert slow.sections.reduce.law.delta_s == 0.008  # type: ignore[union-attr]
    ring = load_scenario(path, option="other kind")
    assert ring.tree["reduce"] == {"kind": "ring", "latency_s": "5 us", "bandwidth_bytes_per_s": "10 GB/s"}
    assert ring.sections.title == "with a ring"
    assert ring.records["reduce.latency_s"].verified is False


@pytest.mark.parametrize(("asked", "says"), [("slo", "did you mean 'slow'?"), ("zzz", "known: other kind, plain, slow")])
def test_an_unknown_option_names_the_nearest(tmp_path: Path, asked: str, says: str) -> None:
    (found,) = faults(written(tmp_path, OPTIONS), option=asked)
    assert found == f"scenario.toml: option: must have one named {asked!r}; {says}"


def test_an_option_of_a_file_without_any_says_so(tmp_path: Path) -> None:
    assert faults(written(tmp_path, SCENARIO), option="x") == [
        "scenario.toml: option: must have one named 'x'; the file has none"
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('reduce = { delta_s = "8 GB" }', "option[0].reduce.delta_s: unit 'GB' cannot become s, got '8 GB'"),
        ("reduce = { delta = 1 }", "option[0].reduce.delta: unknown key"),
        ("cluster = { nodes = 0 }", "option[0].cluster.nodes: must be a whole number >= 1, got 0"),
        ('cluster = { node = "dgx" }', "option[0].cluster.node: must be the id of one of the nodes, got 'dgx'"),
        ("run = { batch_samples = 3 }", "option[0].run.batch_samples: must be >= the 16 learners"),
        ("speed = 3", "option[0].speed: unknown key"),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_every_option_is_checked_whichever_is_asked(tmp_path: Path, text: str, says: str, elsewhere: bool) -> None:
    base = changed(SCENARIO, ("seed = 7", "seed = -7")) if elsewhere else SCENARIO
    found = faults(written(tmp_path, f'{base}\n[[option]]\nname = "a"\n{text}\n'))
    if elsewhere and "batch_samples" in text:
        return  # rules between keys are applied once every key by itself is right
    assert any(line.startswith(f"scenario.toml: {says}") for line in found), found
    assert ("scenario.toml: seed: must be a whole number >= 0, got -7" in found) == elsewhere


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[option]]\nseed = 1", "option[0].name: is missing"),
        ("[[option]]\nname = 3", "option[0].name: must be a text, got 3"),
        ('[[option]]\nname = ""', "option[0].name: must"),
        ('[[option]]\nname = "a"\n[[option]]\nname = "a"', "option[1].name: must be unique, got 'a' again"),
        ("option = 3", "option: must be a list, got 3"),
        ("option = [3]", "option[0]: must be a table, got 3"),
        ("[option]\nname = 'a'", "option: must be a list"),
    ],
)
def test_faults_of_the_list_of_options(tmp_path: Path, text: str, says: str) -> None:
    at_top = text.startswith("option")
    found = faults(written(tmp_path, f"{text}\n{SCENARIO}" if at_top else f"{SCENARIO}\n{text}\n"))
    assert any(line.startswith(f"scenario.toml: {says}") for line in found), found


@pytest.mark.parametrize("text", ["option = 3", "option = [3]", "[option]\nname = 'a'"])
def test_asking_for_an_option_of_a_faulty_list_is_a_fault(tmp_path: Path, text: str) -> None:
    at_top = text.startswith("option")
    assert faults(written(tmp_path, f"{text}\n{SCENARIO}" if at_top else f"{SCENARIO}\n{text}\n"), option="a")


def test_a_value_can_be_replaced_by_its_key(tmp_path: Path) -> None:
    scenario = load_scenario(str(written(tmp_path, SCENARIO)))
    moved = scenario.with_value("workload[0].convergence.n_inf_updates", 2000.0)
    assert moved.sections.workload[0].convergence.law == InverseLaw(n_inf_updates=2000, alpha_samples=1_024_000)
    assert scenario.sections.workload[0].convergence.law == InverseLaw(n_inf_updates=1000, alpha_samples=1_024_000)
    with pytest.raises(ScenarioError, match=r"cluster.nodes: must be a whole number >= 1, got 0"):
        scenario.with_value("cluster.nodes", 0)


def test_flags_laid_over_are_named_as_flags(tmp_path: Path) -> None:
    found = faults(written(tmp_path, SCENARIO), overrides={"seed": -1})
    assert found == ["flags: seed: must be a whole number >= 0, got -1"]


def test_more_than_fifty_faults_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "\n".join(f"key{i} = 1" for i in range(200)) + f"\n{SCENARIO}")
    found = faults(path)
    assert len(found) == 51
    assert found[-1] == "scenario.toml: and 150 more faults"


def test_a_top_level_key_named_value_is_unknown(tmp_path: Path) -> None:
    found = faults(written(tmp_path, f"value = 1\n{SCENARIO}"))
    assert len(found) == 1
    assert found[0].startswith("scenario.toml: value: unknown key")


@pytest.mark.parametrize(("key", "value"), [("source", "3"), ("date", "2022-06-29"), ("verified", '"no"')])
@pytest.mark.parametrize("table", ["convergence", "compute.a100-sxm-80"])
def test_provenance_that_is_not_understood_is_a_fault_everywhere(tmp_path: Path, key: str, value: str, table: str) -> None:
    text = changed(SCENARIO, (f"[workload.{table}]\n", f"[workload.{table}]\n{key} = {value}\n"))
    found = faults(written(tmp_path, text))
    assert len(found) == 1
    assert found[0].startswith(f"scenario.toml: workload[0].{table}.{key}: must be")
