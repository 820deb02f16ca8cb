"""The command network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import SCENARIO, command, written

STAR = ("--topology", "star", "--host-link", "10 GB/s", "--latency", "1 us", "--collective", "ring", "--bytes", "80 MB")
OWN_KEYS = {
    "reduce_time_s", "closed_form_s", "bus_bandwidth_bytes_per_s", "bottleneck", "latency_s", "bandwidth_s", "path", "rows",
    "learners", "gradient_bytes", "collective", "tried_s", "topology", "links", "messages", "sends",
}  # fmt: skip
NETWORK = '[network]\ntopology = "star"\nhost_link = "ib-hdr"\n'


def on_a_network(folder: Path, text: str = NETWORK) -> Path:
    return written(folder, SCENARIO.split("[reduce]")[0] + text)


def test_the_object_has_the_promised_keys() -> None:
    answer = command("network", *STAR, "--learners", "4", "--json").answer
    assert set(answer) >= OWN_KEYS | {"schema", "command", "title", "seed", "versions", "warnings"}
    assert answer["reduce_time_s"] == pytest.approx(6 * (2e-6 + 2e-3), rel=1e-12)  # the ring's closed form
    assert answer["closed_form_s"] == pytest.approx(answer["reduce_time_s"], rel=1e-12)
    assert answer["bus_bandwidth_bytes_per_s"] == pytest.approx(80e6 * 2 * 3 / 4 / answer["reduce_time_s"])
    assert answer["latency_s"] == pytest.approx(12e-6, rel=1e-9)
    assert answer["latency_s"] + answer["bandwidth_s"] == pytest.approx(answer["reduce_time_s"], rel=1e-12)
    assert (answer["path"], set(answer["bottleneck"])) == ("symmetry", {"link", "share", "utilisation"})
    assert len(answer["rows"]) == 8
    for row in answer["rows"]:
        assert set(row) == {"link", "bandwidth_bytes_per_s", "latency_s", "bytes", "utilisation", "full_share"}
        assert row["bytes"] == pytest.approx(6 * 20e6)


def test_the_text_says_what_binds_and_what_changes_nothing() -> None:
    tree = ("--topology", "xgft", "--down", "4,4", "--up", "1,2", *STAR[2:], "--learners", "16")
    found = command("network", *tree)
    assert found.status == 0, found.err
    assert "ring on fat tree down 4 4, up 1 2" in found.out
    assert "bottleneck     host 0 -> switch 1.0" in found.out
    assert "and 39 more" in found.out  # links alike share a line


def test_numbers_without_a_unit_are_taken() -> None:
    bare = ("--topology", "star", "--host-link", "10e9", "--latency", "1e-6", "--collective", "ring", "--bytes", "8e7")
    with_units = command("network", *STAR, "--learners", "4", "--json").answer
    assert command("network", *bare, "--learners", "4", "--json").answer["reduce_time_s"] == with_units["reduce_time_s"]


def test_files_and_the_figure_are_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = command("network", *STAR, "--learners", "4", "--out", out, "--figures")
    assert found.status == 0, found.err
    assert f"wrote {out / 'figure_network.png'}" in found.out
    assert (out / "figure_network.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["command"] == "network"
    assert len((out / "links.csv").read_text(encoding="utf-8").splitlines()) == 1 + 8


def test_a_scenario_gives_its_network_learners_and_bytes(tmp_path: Path) -> None:
    path = on_a_network(tmp_path)
    answer = command("network", path, "--json").answer
    assert (answer["title"], answer["learners"], answer["gradient_bytes"]) == ("small", 16, 80e6)
    fewer = command("network", path, "--learners", "8", "--bytes", "1 MB", "--json").answer
    assert (fewer["learners"], fewer["gradient_bytes"]) == (8, 1e6)


GRAPH = {"nodes": [{"id": "a", "host": 0}, {"id": 1}], "edges": [{"source": "a", "target": "q"}]}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("", "give a scenario, or the flags of a network; missing: --topology, --learners, --bytes"),
        ("--topology staar --learners 4 --bytes 1e6", "topology: must be one of star, ring, xgft, fat_tree"),
        ("--topology star --host-link ib-hdrr --learners 4 --bytes 1e6", "did you mean 'ib-hdr'?"),
        ("--topology fat_tree --host-link ib-hdr --switch qm87 --learners 4 --bytes 1e6", "did you mean 'qm8700'?"),
        ("--topology star --node dgx --learners 4 --bytes 1e6", "--node must be the id of a node, got 'dgx'"),
        ("--topology star --learners 4 --bytes 1e6", "network.host_link: is missing"),
        ("--topology star --host-link ib-hdr --learners 0 --bytes 1e6", "--learners must be from 1 to 1,048,576, got 0"),
        ("--topology star --host-link ib-hdr --learners 1 --bytes 1e6", "--learners must be at least 2"),
        ("--topology star --host-link ib-hdr --learners 4 --hosts 3 --bytes 1e6", "learners must be at most 3, what the"),
        ("--topology star --host-link ib-hdr --learners 4 --hosts 0 --bytes 1e6", "--hosts must be from 1 to 1,048,576, got 0"),
        ("--topology star --host-link ib-hdr --learners 48 --bytes 1e6 --collective rd", "power of two of ranks, got 48"),
        ("--topology star --host-link ib-hdr --learners 4 --bytes 12_bananas", "--bytes unit 'bananas' is not known"),
        ("--topology star --host-link ib-hdr --learners 4 --bytes 0", "--bytes must be > 0, got '0'"),
        ("--topology star --host-link ib-hdr --learners 4 --bytes -3", "--bytes must be"),
        ("--topology star --host-link 0 --learners 4 --bytes 1e6", "host_link.bandwidth_bytes_per_s: must be finite and > 0"),
        (
            "--topology star --host-link ib-hdr --learners 4 --bytes 1e6 --latency 1us",
            "--latency belongs to links that are given",
        ),
        ("--topology star --host-link -1 --learners 4 --bytes 1e6", "host_link.bandwidth_bytes_per_s: must be finite and > 0"),
        ("--topology star --host-link 1e9 --learners 4 --bytes 1e6 --stride 3", "--stride belongs to --placement strided"),
        ("--topology xgft --host-link 1e9 --learners 4 --bytes 1e6 --down 2,b --up 1,1", "--down must be whole numbers like"),
        ("--topology xgft --host-link 1e9 --learners 4 --bytes 1e6 --down 99999,99999 --up 1,1", "--hosts must be from 1 to"),
        ("--topology graph --file none.json --learners 4 --bytes 1e6", "none.json: no such file"),
        ("--topology star --host-link 1e9 --learners 4 --bytes 1e6 --figures", "--figures needs --out DIR"),
        ("none/such.toml", "none/such.toml: no such file"),
        ("resnet50-a100", "network: is missing: say which topology, or give flags instead of a file"),
        ("resnet50-a100 --topology star", "a scenario and --topology say the same thing twice"),
    ],
)
def test_bad_requests_are_one_clear_line(flags: str, says: str) -> None:
    found = command("network", *[word.replace("_bananas", " bananas") for word in flags.split()])
    assert (found.status, found.out) == (1, "")
    assert len(found.lines) == 1
    assert says in found.err


def test_a_graph_with_faults_says_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(GRAPH), encoding="utf-8")
    found = command("network", "--topology", "graph", "--file", file, "--learners", "2", "--bytes", "1e6")
    assert found.status == 1
    assert f"{file}: edges[0] (a -- q).target: must be the id of a node, got 'q'" in found.lines
    assert f"{file}: edges[0] (a -- q).bandwidth_bytes_per_s: must be given: bytes per second in one direction" in found.lines


def test_a_scenario_is_asked_for_what_it_has(tmp_path: Path) -> None:
    path = on_a_network(tmp_path)
    found = command("network", path, "--learners", "17")
    assert (found.status, found.err) == (1, "--learners must be <= the 16 learners of the cluster, got 17\n")
    law = on_a_network(tmp_path, '[reduce]\nkind = "constant"\ndelta_s = "4 ms"\n\n' + NETWORK)
    assert "reduce.kind: must be 'fabric' for the network to be asked" in command("network", law).err


@pytest.mark.parametrize("wrong", [("--sends", "foo"), ("--learners", "2.5"), ("--no-such-flag",)])
def test_usage_errors_exit_with_2(wrong: tuple[str, ...]) -> None:
    assert command("network", *STAR, *wrong).status == 2


def test_numbers_of_learners_that_the_collective_cannot_have_are_passed_over(tmp_path: Path) -> None:
    """16 accelerators, halving-doubling: the search and the thresholds see powers of two alone, a given 12 is refused."""
    path = on_a_network(tmp_path, NETWORK + 'collective = "rhd_near"\n')
    scaled = command("scale", path, "--json", "--learners", "1,8,16")
    assert scaled.status == 0, scaled.err
    found = command("optimum", path, "--json", "--learners", "best")
    assert found.status == 0, found.err
    assert found.answer["learners"] in (1, 2, 4, 8, 16)
    refused = command("optimum", path, "--learners", "12")
    assert refused.status == 1
    assert "halving_doubling_near needs a power of two of ranks, got 12" in refused.err


@pytest.mark.parametrize(("down", "idle"), [("2", True), ("16", False)])
def test_nics_that_stand_idle_are_warned_about(tmp_path: Path, down: str, idle: bool) -> None:
    """A DGX A100 has eight NICs for its accelerators: two nodes want an xgft of 16 hosts."""
    path = on_a_network(tmp_path, f'[network]\ntopology = "xgft"\ndown = [{down}]\nup = [1]\nhost_link = "ib-hdr"\n')
    for verb in ("network", "run"):
        texts = [warning["text"] for warning in command(verb, path, "--json").answer["warnings"]]
        assert any(text.startswith("7 of the 8 NICs of a node stand idle: the xgft has 2 hosts") for text in texts) == idle
