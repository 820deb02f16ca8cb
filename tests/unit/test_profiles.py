from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ScenarioError
from simulator.profiles import PROFILE_KINDS, find, load_profile, names, peak_flop_per_s, shipped_folder
from tests.support import written

CHIP = """\
schema = 1
name = "chip"
title = "A chip"
memory_bytes = "16 GB"
fp32_flop_per_s = "10 TFLOP/s"
bf16_flop_per_s = { value = "100 TFLOP/s", source = "data sheet", date = "2024", verified = true }
source = "the vendor"
date = "2023"
verified = false
"""
NODE = """\
schema = 1
name = "box"
title = "A box"
accelerator = "chip"
accelerators = 4
nics = 0
inner_latency_s = 0
"""
NETWORK = """\
schema = 1
name = "wire"
title = "A wire"
bandwidth_bytes_per_s = "100 Gbit/s"
usable_bandwidth_bytes_per_s = "96 Gbit/s"
"""
SWITCH = """\
schema = 1
name = "hub"
title = "A hub"
radix = 36
port_bandwidth_bytes_per_s = "100 Gbit/s"
"""
TEXTS = {"accelerators": CHIP, "nodes": NODE, "networks": NETWORK, "switches": SWITCH}


def test_the_shipped_folders_are_there() -> None:
    assert (shipped_folder("scenarios") / "workloads").is_dir()
    assert {path.name for path in shipped_folder("hardware_profiles").iterdir() if path.is_dir()} == set(PROFILE_KINDS)


def test_ids_are_listed_in_order_with_own_ones(tmp_path: Path) -> None:
    assert "a100-sxm-80" in names("accelerators")
    written(tmp_path, CHIP, "accelerators/chip.toml")
    listed = names("accelerators", [tmp_path])
    assert "chip" in listed
    assert listed == sorted(listed)


@pytest.mark.parametrize("kind", PROFILE_KINDS)
def test_an_own_folder_holds_profiles_with_and_without_a_folder_of_their_kind(tmp_path: Path, kind: str) -> None:
    name = TEXTS[kind].split('name = "')[1].split('"')[0]
    for path in (f"sorted/{kind}/{name}.toml", f"flat/{name}.toml"):
        written(tmp_path, TEXTS[kind], path)
    for folder in ("sorted", "flat"):
        profile, _ = load_profile(kind, name, profile_folders=[tmp_path / folder])
        assert profile.name == name


def test_an_own_profile_comes_before_a_shipped_one(tmp_path: Path) -> None:
    own = CHIP.replace('"chip"', '"t4"')
    path = written(tmp_path, own, "accelerators/t4.toml")
    assert find("accelerators", "t4", profile_folders=[tmp_path]) == path


def test_figures_have_their_unit_and_provenance(tmp_path: Path) -> None:
    written(tmp_path, CHIP, "chip.toml")
    chip, records = load_profile("accelerators", "chip", profile_folders=[tmp_path])
    assert (chip.memory_bytes, chip.bf16_flop_per_s, chip.power_w) == (16e9, 100e12, None)
    assert (records["bf16_flop_per_s"].source, records["bf16_flop_per_s"].date) == ("data sheet", "2024")
    assert records["bf16_flop_per_s"].verified is True
    assert (records["memory_bytes"].source, records["memory_bytes"].verified) == ("the vendor", False)


def test_a_path_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    path = written(tmp_path, CHIP, "deep/chip.toml")
    assert find("accelerators", "deep/chip.toml", beside=tmp_path) == path
    assert find("accelerators", "chip.toml", beside=tmp_path / "deep") == path
    with pytest.raises(ValueError, match="must name a file, no such file"):
        find("accelerators", "deep/none.toml", beside=tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a100-sxm-8", "must be the id of one of the accelerators, got 'a100-sxm-8'; did you mean 'a100-sxm-80'?"),
        ("", "must be the id of one of the accelerators, got ''"),
        ("a\0b", "must be the id of one of the accelerators"),
        (".hidden", "must be the id"),
        ("-rf", "must be the id"),
        ("a" * 1000, "must be the id"),
    ],
)
def test_an_unknown_id_is_refused_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        find("accelerators", name)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["../t4", "nodes/../t4", "..\\t4", "../none.toml", "/none/t4"])
def test_a_name_with_a_slash_is_no_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="must name a file, no such file"):
        find("accelerators", name, beside=tmp_path)


def test_a_path_to_what_is_no_profile_tells_nothing_of_its_content(tmp_path: Path) -> None:
    written(tmp_path, "root:secret:0:0\n", "passwd")
    (tmp_path / "sub").mkdir()
    with pytest.raises(ScenarioError) as caught:
        load_profile("accelerators", "sub/../passwd", beside=tmp_path)
    assert "is not TOML" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "old", "new", "says"),
    [
        ("accelerators", '"16 GB"', '"16 GB/s"', "memory_bytes: unit 'GB/s' cannot become B"),
        ("accelerators", '"16 GB"', "-1", "memory_bytes: must be finite and > 0, got -1"),
        ("accelerators", "fp32_flop_per_s", "fp32_flops", "fp32_flops: unknown key; did you mean 'fp32_flop_per_s'?"),
        ("accelerators", "schema = 1", "schema = 2", "schema: must be one of 1, got 2"),
        ("accelerators", 'name = "chip"', 'name = "chop"', "name: must be the name of the file, 'chip', got 'chop'"),
        ("nodes", "accelerators = 4", "accelerators = 0", "accelerators: must be a whole number >= 1, got 0"),
        ("nodes", "nics = 0", "nics = -1", "nics: must be a whole number >= 0, got -1"),
        ("nodes", 'accelerator = "chip"\n', "", "accelerator: is missing"),
        ("nodes", "inner_latency_s = 0", "inner_latency_s = -1", "inner_latency_s: must be finite and >= 0, got -1"),
        ("networks", '"96 Gbit/s"', '"101 Gbit/s"', "usable_bandwidth_bytes_per_s"),
        ("networks", 'title = "A wire"', 'kind = "token ring"\ntitle = "x"', "kind: must be one of ethernet, roce"),
        ("switches", "radix = 36", "radix = 1", "radix: must be a whole number >= 2, got 1"),
        ("switches", "radix = 36", "radix = 36\nlatency_s = -1", "latency_s: must be finite and >= 0, got -1"),
        ("switches", "radix = 36", 'radix = 36\npower_w = "0 W"', "power_w: must be finite and > 0, got 0"),
        ("switches", "radix = 36", "radix = 36\npower_max_w = 0", "power_max_w: must be finite and > 0, got 0"),
        (
            "switches",
            "radix = 36",
            "radix = 36\npower_w = 200\npower_max_w = 150",
            "power_w: must be at most power_max_w, 150, got 200",
        ),
        ("switches", "radix = 36", "radix = 36\nin_network_reduction = true", "in_network_reduction: must be a text, got True"),
        ("networks", 'title = "A wire"', "rdma = 1", "rdma: must be true or false, got 1"),
        ("networks", 'title = "A wire"', "in_network_reduction = 3", "in_network_reduction: must be a text, got 3"),
        (
            "accelerators",
            'title = "A chip"',
            "achievable_bf16_flop_per_s = 0",
            "achievable_bf16_flop_per_s: must be finite and > 0",
        ),
        (
            "accelerators",
            'title = "A chip"',
            'achievable_bf16_flop_per_s = "101 TFLOP/s"',
            "achievable_bf16_flop_per_s: must be at most bf16_flop_per_s, 1e+14, got 1.01e+14",
        ),
    ],
)
def test_a_fault_of_a_profile_is_named_with_its_file(tmp_path: Path, kind: str, old: str, new: str, says: str) -> None:
    name = TEXTS[kind].split('name = "')[1].split('"')[0]
    assert old in TEXTS[kind]
    path = written(tmp_path, TEXTS[kind].replace(old, new), f"{name}.toml")
    with pytest.raises(ScenarioError) as caught:
        load_profile(kind, name, profile_folders=[tmp_path])
    assert str(caught.value).startswith(f"{path}: {says}")


def test_all_faults_of_a_profile_are_found_at_once(tmp_path: Path) -> None:
    text = CHIP.replace('"16 GB"', "-1").replace("verified = true", 'verified = "yes"').replace("title", "titel")
    written(tmp_path, text, "chip.toml")
    with pytest.raises(ScenarioError) as caught:
        load_profile("accelerators", "chip", profile_folders=[tmp_path])
    assert {fault.key for fault in caught.value.faults} == {"titel", "memory_bytes", "bf16_flop_per_s.verified"}


def test_the_peak_is_the_named_one_or_bf16_or_fp32(tmp_path: Path) -> None:
    written(tmp_path, CHIP, "chip.toml")
    chip, _ = load_profile("accelerators", "chip", profile_folders=[tmp_path])
    assert peak_flop_per_s(chip, None) == (100e12, "bf16")
    assert peak_flop_per_s(chip, "fp32") == (10e12, "fp32")
    k80, _ = load_profile("accelerators", "k80-gpu")
    peak, precision = peak_flop_per_s(k80, None)
    assert peak == pytest.approx(4.113e12)
    assert precision == "fp32"
    with pytest.raises(ValueError, match=r"precision must be one of fp32, bf16, the peaks of chip, got fp8"):
        peak_flop_per_s(chip, "fp8")


def test_a_chip_without_any_peak_says_so(tmp_path: Path) -> None:
    lines = [line for line in CHIP.splitlines() if "_flop_per_s" not in line]
    written(tmp_path, "\n".join(lines), "chip.toml")
    chip, _ = load_profile("accelerators", "chip", profile_folders=[tmp_path])
    with pytest.raises(ValueError, match="none, the peaks of chip"):
        peak_flop_per_s(chip, None)
