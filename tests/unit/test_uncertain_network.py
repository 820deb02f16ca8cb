"""What is uncertain about a network: ranges of its rates in Delta, in intervals and in chances, and what is taken as certain.

Delta of a ring of 8 hosts on a star is 2 * 7 * (latency + bytes/(8 * bandwidth)) by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from simulator.scenarios import load_scenario
from simulator.scenarios.cases import Case
from simulator.scenarios.uncertain_network import certain_link, delta_ranges
from tests.support import changed, command, written

NETWORK = """\
schema = 1
title = "eight hosts on a star"
seed = 5
profiles = ["own"]

[[workload]]
name = "vision"
gradient_bytes = 100e6
[workload.convergence]
kind = "inverse"
n_inf_updates = 1000.0
alpha_samples = 2e6
[workload.compute.a100-sxm-80]
kind = "knee"
gamma_s_per_sample = 1e-3
knee_samples = 1

[cluster]
accelerator = "a100-sxm-80"
accelerators = 8

[network]
topology = "star"
collective = "ring"
host_link = { bandwidth_bytes_per_s = 1e9 }
achieved_share = { value = 0.8, low = 0.5, high = 0.9 }

[run]
batch_samples = 8000
"""
SHARE = "achieved_share = { value = 0.8, low = 0.5, high = 0.9 }\n"
LINK = "host_link = { bandwidth_bytes_per_s = 1e9 }\n"
OWN = """\
schema = 1
name = "cable"
bandwidth_bytes_per_s = 1e9
usable_bandwidth_bytes_per_s = { value = 0.8e9, low = 0.5e9 }
latency_s = { value = 10e-6, low = 10e-6, high = 1e-3 }
latency_kind = "adapter"
"""
BYTES, HOSTS = 100e6, 8
UPDATES, GAMMA_S = 1000.0 + 2e6 / 8000, 1e-3 * 1000


def ring_s(bandwidth: float, latency_s: float = 0.0) -> float:
    return 2 * (HOSTS - 1) * (latency_s + BYTES / (HOSTS * bandwidth))


def scenario(folder: Path, *replacements: tuple[str, str], more: str = "") -> Path:
    (folder / "own" / "networks").mkdir(parents=True, exist_ok=True)
    (folder / "own" / "networks" / "cable.toml").write_text(OWN, encoding="utf-8")
    return written(folder, changed(NETWORK, *replacements) + more)


def ranges(path: Path) -> dict[str, tuple[float, float, float]]:
    loaded = load_scenario(str(path))
    return {one.name: (one.low_s, one.value_s, one.high_s) for one in delta_ranges(loaded, Case.of(loaded), HOSTS)}


def test_an_achieved_share_moves_delta_as_it_moves_the_rate(tmp_path: Path) -> None:
    (found,) = ranges(scenario(tmp_path)).items()
    assert found[0] == "achieved share of links of 1 GB/s"
    assert found[1] == pytest.approx(tuple(ring_s(share * 1e9) for share in (0.5, 0.8, 0.9)), rel=1e-12)


def test_the_interval_of_run_reaches_from_the_one_delta_to_the_other(tmp_path: Path) -> None:
    answer = command("run", scenario(tmp_path), "--json").answer
    expected = [UPDATES * (GAMMA_S + ring_s(share * 1e9)) for share in (0.9, 0.5)]
    assert answer["converge_time_s_interval90"] == pytest.approx(expected, rel=1e-12)
    assert answer["interval_contributions"] == {
        "network.achieved_share": pytest.approx(expected[1] / answer["converge_time_s"] - 1.0)
    }
    assert not [one for one in answer["warnings"] if "taken as certain" in one["text"]]


def test_a_profile_s_range_reaches_delta_and_an_achieved_share_stands_instead(tmp_path: Path) -> None:
    named = (LINK, 'host_link = "cable"\n')
    found = ranges(scenario(tmp_path, named, (SHARE, "")))
    switchless = 0.5 * 10e-6 + 2 * 5e-9  # half an adapter and two metres of cable on each of the two links of a path
    base = ring_s(0.8e9, 2 * switchless)
    assert set(found) == {"usable bandwidth of cable", "latency of cable"}
    assert found["usable bandwidth of cable"] == pytest.approx((ring_s(0.5e9, 2 * switchless), base, base), rel=1e-12)
    slow = ring_s(0.8e9, 1e-3 + 4 * 5e-9)
    assert found["latency of cable"] == pytest.approx((base, base, slow), rel=1e-12)
    instead = ranges(scenario(tmp_path, named))
    assert set(instead) == {"achieved share of cable", "latency of cable"}
    assert instead["achieved share of cable"][0] == pytest.approx(ring_s(0.5 * 1e9, 2 * switchless), rel=1e-12)


def test_the_overhead_of_messages_may_have_a_range(tmp_path: Path) -> None:
    over = "message_overhead_s = { value = 0.0, low = 0.0, high = 1e-3 }\n"
    found = ranges(scenario(tmp_path, (SHARE, over)))
    assert found == {"network.message_overhead_s": pytest.approx((ring_s(1e9), ring_s(1e9), ring_s(1e9, 1e-3)), rel=1e-12)}


def test_a_network_without_a_closed_form_is_run_at_both_ends(tmp_path: Path) -> None:
    """On a ring of hosts the ring collective has every link for itself: as on the star."""
    (found,) = ranges(scenario(tmp_path, ('"star"', '"ring"'))).values()
    assert found == pytest.approx(tuple(ring_s(share * 1e9) for share in (0.5, 0.8, 0.9)), rel=1e-9)


TWO_LINKS = """
[[option]]
name = "one"
[[option]]
name = "other"
network = { host_link = { bandwidth_bytes_per_s = 0.9e9 } }
"""


def test_links_of_two_kinds_have_shares_of_their_own_and_may_change_places(tmp_path: Path) -> None:
    """With ends at 1/1.25 and 1.25 times the share, log Delta is normal; so is the difference of two, by sqrt(2) wider."""
    symmetric = "achieved_share = { value = 0.64, low = 0.512, high = 0.8 }\n"
    answer = command("compare", scenario(tmp_path, (SHARE, symmetric), more=TWO_LINKS), "--json").answer
    sd = np.sqrt(2.0) * np.log(1.25) / norm.ppf(0.95)
    expected = float(norm.cdf(np.log(1.0 / 0.9) / sd))
    error = np.sqrt(expected * (1 - expected) / 4096)
    assert answer["probability_best"]["one"] == pytest.approx(expected, abs=4 * error)
    assert 0.6 < expected < 0.8  # the two may change places
    assert answer["measure_next"] in ("achieved share of links of 1 GB/s", "achieved share of links of 0.9 GB/s")
    assert answer["certain_links"] == []


def test_the_same_links_share_the_draw(tmp_path: Path) -> None:
    more = '\n[[option]]\nname = "ring"\n[[option]]\nname = "tree"\nnetwork = { collective = "tree" }\n'
    answer = command("compare", scenario(tmp_path, more=more), "--json").answer
    assert answer["probability_best"] == {"ring": 1.0, "tree": 0.0}  # slower on every draw


def test_what_nothing_gives_a_range_for_is_called_certain(tmp_path: Path) -> None:
    path = scenario(tmp_path, (SHARE, ""), more=TWO_LINKS)
    found = command("compare", path, "--json").answer
    assert found["certain_links"] == ["links of 1 GB/s", "links of 0.9 GB/s"]
    assert found["probability_best"]["one"] == 1.0
    (line,) = [line for line in command("compare", path).out.splitlines() if line.startswith("  how sure")]
    assert line.endswith("Delta taken as certain: links of 1 GB/s, links of 0.9 GB/s")
    answer = command("run", path, "--json").answer
    (text,) = [one["text"] for one in answer["warnings"] if one["text"].startswith("Delta is taken as certain")]
    assert text == (
        "Delta is taken as certain, links of 1 GB/s: nothing says how far an all-reduce falls short of what these links "
        "carry; [network] achieved_share = { value, low, high } does"
    )


def test_nodes_of_two_vendors_with_the_same_accelerators_share_what_is_inside(tmp_path: Path) -> None:
    timed = (("compute.a100-sxm-80", "compute.h100-sxm"), (LINK, ""), (SHARE, ""), ('"ring"', '"auto"'))
    cluster = 'accelerator = "a100-sxm-80"\naccelerators = 8'
    names = set()
    for node in ("hgx-h100-2025", "dgx-h100"):
        names |= set(ranges(scenario(tmp_path, (cluster, f'node = "{node}"\nnodes = 1'), *timed)))
    assert names == {"inner bandwidth of nodes with h100-sxm"}


def test_inside_a_node_it_is_the_inner_link_that_is_certain(tmp_path: Path) -> None:
    inside = ('accelerator = "a100-sxm-80"\naccelerators = 8', 'node = "a100-pcie-80-4"\nnodes = 2')
    inner = 'inner_link = { bandwidth_bytes_per_s = "20 GB/s" }\n'
    timed = ("compute.a100-sxm-80", "compute.a100-pcie-80")
    loaded = load_scenario(str(scenario(tmp_path, inside, timed, (SHARE, SHARE + inner))))
    case = Case.of(loaded)
    assert certain_link(loaded, case, 4) == "inside a100-pcie-80-4"
    assert certain_link(loaded, case, 8) is None  # the links between nodes have a share with a range
    ranged = inner.replace('"20 GB/s"', '{ value = "20 GB/s", low = "10 GB/s" }')
    loaded = load_scenario(str(scenario(tmp_path, inside, timed, (SHARE, ranged))))
    assert certain_link(loaded, Case.of(loaded), 4) is None
    assert certain_link(loaded, Case.of(loaded), 8) == "links of 1 GB/s"


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        ((SHARE, "achieved_share = 0\n"), "network.achieved_share: must be > 0 and at most 1, got 0"),
        ((SHARE, "achieved_share = 1.2\n"), "network.achieved_share: must be > 0 and at most 1, got 1.2"),
        (
            ('topology = "star"', 'topology = "graph"\nfile = "scenario.toml"'),
            "network.achieved_share: must not be given for topology = 'graph': its file says what its links carry",
        ),
    ],
)
def test_a_share_that_is_none_is_refused(tmp_path: Path, replacement: tuple[str, str], message: str) -> None:
    found = command("run", scenario(tmp_path, replacement))
    assert found.status == 1
    assert any(line.endswith(message) for line in found.lines), found.lines


DESIGN = """
[design]
budget_usd = 3e6
[design.choose]
node = ["hgx-h100-2025"]
nodes = { min = 4, max = 8 }
network = ["ib-ndr", "ib-hdr"]
topology = ["fat_tree"]
[cost]
kind = "purchase"
"""


def designed(folder: Path, share: str) -> Any:
    text = changed(NETWORK.partition("[run]")[0], ("compute.a100-sxm-80", "compute.h100-sxm"), (LINK, ""), (SHARE, share))
    text = changed(text, ('[cluster]\naccelerator = "a100-sxm-80"\naccelerators = 8\n', ""), ('topology = "star"\n', ""))
    text = text.replace("gamma_s_per_sample = 1e-3", "gamma_s_per_sample = 5e-6").replace('"ring"', '"auto"')
    found = command("design", scenario_of(folder, text), "--json")
    assert found.status == 0, found.err
    return found.answer


def scenario_of(folder: Path, text: str) -> Path:
    (folder / "own").mkdir(exist_ok=True)
    return written(folder, text + DESIGN)


def test_a_design_names_the_network_as_what_to_measure_and_its_chance_is_no_longer_one(tmp_path: Path) -> None:
    certain, ranged = designed(tmp_path, ""), designed(tmp_path, SHARE)
    links = {certain["design"]["network"], certain["runner_up"]["network"]}
    assert links == {"ib-ndr", "ib-hdr"}
    assert set(certain["certain_links"]) == links
    assert certain["measure_next"] == f"all-reduce on {certain['design']['network']}: its Delta is taken as certain here"
    assert f"Delta on {certain['design']['network']}" in [one["variable"] for one in certain["flips"]]
    assert ranged["certain_links"] == []
    assert 0.5 < ranged["probability_best"] < certain["probability_best"]
    assert ranged["measure_next"] in {f"achieved share of {link}" for link in links}
