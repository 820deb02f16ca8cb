"""The command design: what it answers, what it refuses and why, what it draws."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support import assert_sound, changed, command, written

DESIGN = """\
schema = 1
title = "a small catalogue"
seed = 3

[[workload]]
name = "vision"
sample_unit = "image"
gradient_bytes = "100 MB"
train_flop_per_sample = 25e9
runs_per_year = 20
[workload.convergence]
kind = "inverse"
n_inf_updates = 1000.0
alpha_samples = 4e7
fit = { batch_samples_range = [256, 65536], relative_standard_errors = [0.05, 0.03], correlation = -0.5 }
[workload.compute.h100-sxm]
kind = "knee"
gamma_s_per_sample = { value = "150 us", low = "140 us", high = "170 us" }
knee_samples = 16
[workload.compute.from_flops]
utilisation = { value = 0.3, low = 0.2, high = 0.4 }
knee_samples = 16

[design]
objective = "mean_time"
budget_usd = "3e6 USD"

[design.choose]
node = ["hgx-h100-2025", "dgx-a100-640"]
nodes = { min = 1, max = 12 }
network = ["ib-ndr", "roce400"]
topology = ["fat_tree"]
oversubscription = [1, 4]

[reduce]
kind = "fabric"

[cost]
kind = "purchase"
"""
KEYS = {
    "design", "objective", "budget_usd", "deadline_s", "power_max_w", "life_s", "cost_kind", "cost_usd_interval90",
    "probability_within_budget", "unverified_usd", "unchecked_keys", "default_keys", "certain_links",
    "bill", "break_even", "certificate", "optimality", "runner_up", "probability_best", "expected_regret",
    "expected_regret_relative", "rivals", "importance", "decides", "measure_next", "flips", "cheaper", "frontier",
    "frontier_ends", "settled",
    "order_changed", "proven", "not_computed", "compared", "beaten", "left_out", "why_not",
}  # fmt: skip


def design(folder: Path, *replacements: tuple[str, str]) -> Path:
    return written(folder, changed(DESIGN, *replacements))


def test_the_object_has_the_promised_keys_and_adds_up(tmp_path: Path) -> None:
    found = command("design", design(tmp_path), "--json")
    assert found.status == 0, found.err
    answer = found.answer
    assert set(answer) == KEYS | {"schema", "command", "title", "seed", "versions", "warnings"}
    chosen = answer["design"]
    switches = {"ib-ndr": 2, "roce400": 2}  # with a price: qm9700 and fs-ndr64, sn4700 and sn5400; two nodes, 1 and 4 : 1
    assert answer["compared"] == 2 * sum(switches.values()) * 2 * 12
    assert sum(row["usd"] or 0.0 for row in answer["bill"]) == pytest.approx(chosen["cost_usd"], rel=1e-12)
    assert chosen["cost_usd"] <= 3e6
    assert chosen["time_s"] == chosen["workloads"][0]["converge_time_s"]
    low, high = answer["cost_usd_interval90"]
    assert low <= chosen["cost_usd"] <= high
    assert answer["unverified_usd"] == pytest.approx(
        sum(row["usd"] for row in answer["bill"] if row["usd"] and not row["verified"]), abs=0.01
    )
    assert sum(row["probability_best"] for row in answer["rivals"]) == pytest.approx(1.0)
    costs, times = ([row[key] for row in answer["frontier"]] for key in ("cost_usd", "time_s"))
    assert costs == sorted(costs)
    assert times == sorted(times, reverse=True)
    assert max(abs(one["difference"]) for one in answer["settled"]) < 0.05
    signed = {"certificate", "settled", "frontier_ends", "warnings"}
    for part in (chosen, chosen["workloads"][0], answer["runner_up"], *answer["runner_up"]["workloads"]):
        part.pop("difference")
    assert_sound({key: value for key, value in answer.items() if key not in signed})


def test_the_first_lines_answer_the_buyer(tmp_path: Path) -> None:
    found = command("design", design(tmp_path), "--why-not", "dgx-a100-640")
    assert found.status == 0, found.err
    lines = found.out.splitlines()
    assert lines[2].startswith("Buy ")
    heads = [line.strip().split("  ")[0] for line in lines[3:12]]
    assert heads[:5] == ["price", "unverified", "vision", "runner-up", "how sure"]
    assert {"would flip it", "measure next", "why not dgx-a100-640"} <= set(heads)
    first = "\n".join(lines[:12])
    assert "rest on prices that nobody checked; power, facility and operation are not in it" in first
    assert "within the 3,000,000 USD of the budget with probability 0." in first
    assert "Delta taken as certain: ib-ndr" in first
    assert "90 % between" in first
    assert "the choice is better with probability" in first
    for title in ("One step beside it", "Bill of materials", "Time against dollars", "The best designs at flow level"):
        assert title in found.out


def test_no_step_beside_the_design_that_meets_the_request_is_better(tmp_path: Path) -> None:
    answer = command("design", design(tmp_path), "--json").answer
    steps = answer["certificate"]
    assert {step["component"] for step in steps} >= {"nodes", "network", "oversubscription"}
    for step in steps:
        if step["feasible"]:
            assert step["delta_s"] >= -1e-9 * answer["design"]["time_s"], step
        if step["gain_s_per_usd"] is not None:
            assert step["gain_s_per_usd"] == pytest.approx(-step["delta_s"] / step["delta_usd"])
        assert step["reason"]
    (more,) = [step for step in steps if step["component"] == "nodes" and step["delta_usd"] and step["delta_usd"] > 0]
    assert more["reason"] == "over the budget"


def test_a_flip_of_the_price_is_where_the_runner_up_takes_over(tmp_path: Path) -> None:
    """Asked anew with the price of the design's nodes just below and just above, the design and the runner-up are chosen."""
    choices = (
        ('node = ["hgx-h100-2025", "dgx-a100-640"]', 'node = ["dgx-a100-640", "hgx-a100-640"]'),
        ('network = ["ib-ndr", "roce400"]', 'network = ["ib-ndr"]'),
    )
    path = design(tmp_path, *choices)
    answer = command("design", path, "--json").answer
    (flip,) = [one for one in answer["flips"] if one["variable"].startswith("price of the node")]
    node, other = answer["design"]["node"], answer["runner_up"]["node"]
    for factor, expected in ((0.99, node), (1.01, other)):
        book = tmp_path / f"book_{factor}.csv"
        rows = (Path(__file__).parents[2] / "hardware_profiles/prices.csv").read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if not row.startswith(f"{node},node,")]
        kept.append(f"{node},node,street,USD,{flip['at'] * factor:.2f},,,2026-01-01,made up,yes,")
        book.write_text("\n".join(kept) + "\n", encoding="utf-8")
        text = changed(DESIGN, *choices, ('kind = "purchase"', f'kind = "purchase"\nprices = "./{book.name}"'))
        again = command("design", written(tmp_path, text, f"again_{factor}.toml"), "--json").answer
        assert again["design"]["node"] == expected, factor


def test_budget_and_deadline_of_the_command_stand_instead_of_the_files(tmp_path: Path) -> None:
    path = design(tmp_path)
    small = command("design", path, "--budget", "1e6 USD", "--json").answer
    assert small["budget_usd"] == 1e6
    assert small["design"]["cost_usd"] <= 1e6
    cheapest = command("design", design(tmp_path, ('"mean_time"', '"cost"')), "--deadline", "20 min", "--json").answer
    assert cheapest["deadline_s"] == 1200.0
    assert cheapest["design"]["workloads"][0]["converge_time_s"] <= 1200.0


def test_one_learner_is_a_candidate(tmp_path: Path) -> None:
    """A network so slow, and samples so few, that no second learner pays: P = 1 on one node (Eqn 8), all else idle."""
    slow = (
        ("alpha_samples = 4e7", "alpha_samples = 1e3"),
        ('gradient_bytes = "100 MB"', 'gradient_bytes = "900 GB"'),
        ("fit = {", "# fit = {"),
    )
    answer = command("design", design(tmp_path, *slow), "--json").answer
    (one,) = answer["design"]["workloads"]
    assert (one["learners"], answer["design"]["nodes"], one["reduce_time_s"]) == (1, 1, 0.0)


def test_a_rented_design_costs_its_runs(tmp_path: Path) -> None:
    """Dollars of four years: 20 runs a year, on so many nodes at 8 x the hour of an H100 (a node nobody rents as such)."""
    path = design(
        tmp_path,
        ('kind = "purchase"', 'kind = "cloud"'),
        ('node = ["hgx-h100-2025", "dgx-a100-640"]', 'node = ["aws-p5.48xlarge"]'),
    )
    answer = command("design", path, "--json").answer
    chosen = answer["design"]
    hours = 4 * 20 * chosen["workloads"][0]["converge_time_s"] / 3600
    price = chosen["cost_usd"] / (hours * chosen["nodes"])
    rows = (Path(__file__).parents[2] / "hardware_profiles/prices.csv").read_text(encoding="utf-8").splitlines()
    rents = [float(row.split(",")[4]) for row in rows if row.startswith("aws-p5.48xlarge,instance_hour,on_demand,USD")]
    assert any(price == pytest.approx(rent, rel=1e-9) for rent in rents)
    assert answer["cost_kind"] == "cloud"


def test_the_folder_holds_the_answer_its_tables_and_four_figures(tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = command("design", design(tmp_path), "--out", out, "--figures", "--json")
    assert found.status == 0, found.err
    saved = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert saved["design"] == found.answer["design"]
    figures = sorted(path.name for path in out.glob("*.png"))
    assert figures == ["figure_batches.png", "figure_frontier.png", "figure_importance.png", "figure_spending.png"]
    before = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert command("plot", out).status == 0
    assert {path.name: path.read_bytes() for path in out.glob("*.png")} == before
    for table in ("bill", "certificate", "frontier", "settled", "workloads", "batch", "importance"):
        assert (out / f"{table}.csv").is_file(), table


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    path = design(tmp_path)
    first, second, other = (command("design", path, "--seed", seed, "--json").out for seed in (5, 5, 6))
    assert first == second
    assert json.loads(first)["importance"] != json.loads(other)["importance"]


@dataclass(frozen=True)
class Refused:
    """A file or flags, and what is said of them."""

    words: str
    replacements: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()


NODES = 'node = ["hgx-h100-2025", "dgx-a100-640"]'
NETWORKS = 'network = ["ib-ndr", "roce400"]'
BUDGET = 'budget_usd = "3e6 USD"'


def network(table: str) -> tuple[tuple[str, str], ...]:
    return (("[cost]", f"[network]\n{table}\n\n[cost]"),)


REFUSED = [
    Refused("--budget must be > 0, got -5", flags=("--budget", "-5")),
    Refused("--budget unit 'kW' cannot become USD, got '5 kW'", flags=("--budget", "5 kW")),
    Refused("design.budget_usd: must be finite and > 0, got -3", ((BUDGET, "budget_usd = -3"),)),
    Refused("design.choose.node: must name at least one node type", ((NODES, "node = []"),)),
    Refused("node[0]: must be the id of one of the nodes, got 'hgx-h100'", ((NODES, 'node = ["hgx-h100"]'),)),
    Refused("did you mean 'ib-ndr'?", ((NETWORKS, 'network = ["ib-ndrr"]'),)),
    Refused("switch[0]: must be the id of one of the switches, got 'qm'", ((NETWORKS, f'switch = ["qm"]\n{NETWORKS}'),)),
    Refused(
        "the catalogue is empty: no switch of the catalogue fits eth40: name one in design.choose.switch (24)",
        ((NETWORKS, 'network = ["eth40"]'),),
    ),
    Refused("topology[0]: must be one of star, fat_tree, leaf_spine, rails", (('"fat_tree"', '"graph"'),)),
    Refused("choose.topology: is missing, and [network] does not name one", (('topology = ["fat_tree"]\n', ""),)),
    Refused("network.collective: must be one of ring, rd", network('collective = "ps"')),
    Refused("network.placement.kind: must be linear in a design", network('placement = { kind = "random" }')),
    Refused("reduce.kind: must be 'fabric' where networks are to be", (('kind = "fabric"', 'kind = "constant"\ndelta_s = 1'),)),
    Refused("cost: is missing: design counts money; kind = purchase", (('[cost]\nkind = "purchase"\n', ""),)),
    Refused("deadline_s = 0.5 cannot be met by any number of nodes: vision needs", flags=("--deadline", "0.5")),
    Refused("the fastest that meets all else takes", flags=("--deadline", "3 s", "--budget", "3e6")),
    Refused("the cheapest that meets all else costs 255,237 USD (1 x hgx-h100-2025", flags=("--budget", "5e4")),
    Refused("the most frugal that meets all else draws 6,500 W", ((BUDGET, f"{BUDGET}\npower_max_w = 100"),)),
    Refused("the runs of a year take", (("runs_per_year = 20", "runs_per_year = 2e6"),)),
    Refused("gb200-nvl72 has no node price in the price book", ((NODES, 'node = ["gb200-nvl72"]'),)),
    Refused("is called 'ib-ndx'; did you mean 'ib-ndr'?", flags=("--why-not", "ib-ndx")),
    Refused("--workload does not belong to design", flags=("--workload", "vision")),
    Refused("workload[0].gradient_bytes: is missing", (('gradient_bytes = "100 MB"\n', ""),)),
    Refused("network.inner_link: is missing, and aws-p2.8xlarge does not", ((NODES, 'node = ["aws-p2.8xlarge"]'),)),
    Refused("design.deadline_s: must be given", (('"mean_time"', '"cost"'), ("runs_per_year = 20\n", ""))),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.words[:40])
def test_what_cannot_be_is_refused_with_its_reason(tmp_path: Path, case: Refused) -> None:
    found = command("design", design(tmp_path, *case.replacements), *case.flags)
    assert (found.status, found.out) == (1, "")
    assert case.words in found.err


def test_a_file_without_design_is_refused(tmp_path: Path) -> None:
    found = command("design", "resnet50-a100")
    assert found.status == 1
    assert "design: is missing: say what may be bought, and for how much" in found.err


def test_a_node_that_a_workload_cannot_run_on_is_left_out_and_counted(tmp_path: Path) -> None:
    """No table for the A100 and no estimate: 12 counts of one node are left out, the others are searched."""
    text = changed(
        DESIGN, ("[workload.compute.from_flops]\nutilisation = { value = 0.3, low = 0.2, high = 0.4 }\nknee_samples = 16\n", "")
    )
    answer = command("design", written(tmp_path, text), "--json").answer
    assert answer["design"]["node"] == "hgx-h100-2025"
    (reason,) = [reason for reason in answer["left_out"] if reason.startswith("dgx-a100-640")]
    assert "nobody timed this workload on 'a100-sxm-80'" in reason


def test_estimated_times_are_called_so(tmp_path: Path) -> None:
    path = design(tmp_path, ('node = ["hgx-h100-2025", "dgx-a100-640"]', 'node = ["dgx-a100-640"]'))
    found = command("design", path, "--json")
    assert found.answer["design"]["workloads"][0]["estimated"] is True
    assert found.answer["measure_next"] == "utilisation of vision on a100-sxm-80"
    assert "estimated, not measured" in command("design", path).out


def test_intervals_are_those_that_the_ranges_give(tmp_path: Path) -> None:
    """Utilisation alone, 0.2 to 0.4 around 0.3, all of an update computing: 90 % of T is from 0.75 to 1.5 times itself."""
    only = (
        ('node = ["hgx-h100-2025", "dgx-a100-640"]', 'node = ["dgx-a100-640"]'),
        ("fit = {", "# fit = {"),
        ('gradient_bytes = "100 MB"', 'gradient_bytes = "1 kB"'),
    )
    answer = command("design", design(tmp_path, *only), "--json").answer
    low, high = answer["rivals"][0]["time_interval90"]
    T = answer["design"]["time_s"]
    # quantiles of 4,096 draws: standard error of the 5 % quantile of log T about 0.02 of a spread of 0.2
    assert np.log([low / T, high / T]) == pytest.approx(np.log([0.3 / 0.4, 0.3 / 0.2]), abs=0.03)


def test_a_single_node_is_one_design_whatever_would_join_it(tmp_path: Path) -> None:
    one = (("nodes = { min = 1, max = 12 }", "nodes = { min = 1, max = 1 }"), (NODES, 'node = ["hgx-h100-2025"]'))
    answer = command("design", design(tmp_path, *one), "--json").answer
    assert answer["runner_up"] is None
    assert len(answer["settled"]) == 1
    assert answer["flips"] == []
    assert [step["component"] for step in answer["certificate"]] == ["nodes"]  # one more, which is not allowed
    assert answer["probability_best"] == 1.0


def test_what_was_left_out_is_listed_with_its_reason(tmp_path: Path) -> None:
    found = command("design", design(tmp_path, (NODES, 'node = ["hgx-h100-2025", "gaudi3-8"]')))
    assert found.status == 0, found.err
    assert "\nLeft out\n\n  96 designs: gaudi3-8 has no node price in the price book" in found.out
    assert "192 designs, of which 96 cannot be built, priced or run" in found.out


def test_a_step_to_a_network_takes_the_switch_that_can_be_bought(tmp_path: Path) -> None:
    """Owned, the 400 Gbit/s networks come with two switches each, of one of which nobody knows the power."""
    owned = (('kind = "purchase"', 'kind = "ownership"\nelectricity_usd_per_kwh = 0.1'), ("3e6 USD", "4e6 USD"))
    answer = command("design", design(tmp_path, *owned), "--json").answer
    (step,) = [step for step in answer["certificate"] if step["component"] == "network"]
    assert step["delta_usd"] is not None
    reasons = list(answer["left_out"])
    assert "ownership pays for power, and the power of fs-ndr64 is not known" in reasons
    assert "ownership pays for power, and the power of sn5400 is not known" in reasons


def test_power_tariff_and_facility_are_said_to_be_unchecked_or_by_default(tmp_path: Path) -> None:
    tariff = "electricity_usd_per_kwh = { value = 0.1, low = 0.08, high = 0.15, verified = false }"
    path = design(tmp_path, ('kind = "purchase"', f'kind = "ownership"\n{tariff}'))
    (line,) = [line for line in command("design", path).out.splitlines() if line.startswith("  unverified")]
    answer = command("design", path, "--json").answer
    chosen = answer["design"]
    watts = [f"power_w of {chosen[key]}" for key in ("node", "switch")]
    assert answer["unchecked_keys"] == ["electricity_usd_per_kwh", *watts]  # both profiles say: from memory
    assert answer["default_keys"] == ["pue", "facility_usd_per_node"]
    assert (
        f"; nobody checked electricity_usd_per_kwh, {', '.join(watts)}; by default pue = 1.58; the facility is not in it"
        in line
    )
    without = path.read_text(encoding="utf-8").replace(tariff + "\n", "")
    refused = command("design", written(tmp_path, without))
    assert refused.status == 1
    assert "ownership pays for power, and there is no tariff: give [cost] electricity_usd_per_kwh" in refused.err


def test_spot_says_what_is_not_in_it_and_single_runs_are_not_called_years(tmp_path: Path) -> None:
    rented = (
        (NODES, 'node = ["aws-p4d.24xlarge"]'), (NETWORKS, 'switch = ["qm8700"]'), ("runs_per_year = 20\n", ""),
        ('kind = "purchase"', 'kind = "cloud"\nrent = "spot"'),
    )  # fmt: skip
    lines = command("design", design(tmp_path, *rented)).out.splitlines()
    assert "USD for one run of each workload at " in lines[3]
    assert " a node and hour (spot)" in lines[3]
    assert lines[4].endswith("spot: nodes can be taken away, and what that costs is not in it")


def test_as_many_nodes_as_the_catalogue_allows_are_said_to_be_so(tmp_path: Path) -> None:
    found = command("design", design(tmp_path, ('budget_usd = "3e6 USD"', 'deadline_s = "2.5 s"')))
    assert found.status == 1
    assert ", as many nodes as the catalogue allows, " in found.err


def test_why_not_a_network_speaks_of_nodes_that_it_joins(tmp_path: Path) -> None:
    """Nothing says what power the switches of 100 Gbit/s draw: owned, no two nodes can be joined by them."""
    owned = ('kind = "purchase"', 'kind = "ownership"\nelectricity_usd_per_kwh = 0.1')
    path = design(tmp_path, owned, (NETWORKS, 'network = ["ib-ndr", "roce100"]'))
    asked = command("design", path, "--why-not", "roce100", "--json").answer["why_not"]
    assert asked["design"] is None
    assert asked["text"] == "ownership pays for power, and the power of sn2700 is not known"
    alone = design(tmp_path, ("nodes = { min = 1, max = 12 }", "nodes = { min = 1, max = 1 }"))
    text = command("design", alone, "--why-not", "roce400", "--json").answer["why_not"]["text"]
    assert text == "a single node, the most that the catalogue allows, is joined by nothing"
