"""The command bom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import SCENARIO, assert_sound, changed, command, written

FLAGS = ("--node", "hgx-h100-2025", "--nodes", "64", "--network", "ib-ndr", "--switch", "qm9700")
TWO = ("--node", "dgx-h100", "--nodes", "2")
OWN_KEYS = {
    "rows", "total_usd", "total_usd_range", "nodes", "tiers", "end_ports", "power_w", "unverified_usd", "unverified_share",
    "unpriced", "price_dates", "price_book_newest", "over_life", "break_even", "simulated_switches",
}  # fmt: skip
ROW_KEYS = {
    "item", "count", "unit_usd", "usd", "source", "verified", "part", "id", "scope", "kind", "low_usd", "high_usd", "date",
    "currency", "old", "paid_by", "why_not", "power_w",
}  # fmt: skip
FABRIC = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\n'


def on_a_network(folder: Path, more: str = "", network: str = FABRIC) -> Path:
    return written(folder, SCENARIO.split("[reduce]")[0] + network + more)


def test_the_object_has_the_promised_keys_and_adds_up() -> None:
    answer = command("bom", *FLAGS, "--json").answer
    assert set(answer) == OWN_KEYS | {"schema", "command", "title", "seed", "versions", "warnings"}
    assert all(set(row) == ROW_KEYS for row in answer["rows"])
    count = {row["part"]: row["count"] for row in answer["rows"]}
    # 512 end ports, 32 down and 32 up: 16 leaves, 8 spines, as a published cluster of that size has
    assert (count["leaf switch"], count["spine switch"], count["cable leaf-spine"]) == (16, 8, 512)
    for row in answer["rows"]:
        if row["usd"] is not None:
            assert row["usd"] == pytest.approx(row["count"] * row["unit_usd"])
            assert row["source"]
        else:
            assert row["paid_by"]
    assert answer["total_usd"] == pytest.approx(sum(row["usd"] or 0.0 for row in answer["rows"]))
    low, high = answer["total_usd_range"]
    assert low <= answer["total_usd"] <= high
    assert (answer["unpriced"], answer["tiers"], answer["end_ports"]) == ([], 2, 512)
    assert_sound(answer)


def test_the_text_says_total_share_nobody_checked_and_age_of_the_book() -> None:
    found = command("bom", *FLAGS)
    assert found.status == 0, found.err
    first = found.out.splitlines()[0]
    assert first.endswith("64 nodes, 512 end ports, 2 tiers of switches")
    assert "0 % by prices nobody checked" in first
    assert "in the cabling per end port" in found.out
    assert "the newest price of the book is of 20" in found.out
    assert "buy, where it trains 100 % of the time" in found.out
    assert "days ago" in found.out or "years ago" in found.out


def test_prices_that_nobody_checked_or_that_are_old_are_warned_about() -> None:
    found = command("bom", "--node", "dgx-a100-640", "--nodes", "32", "--network", "ib-hdr", "--json").answer
    said = [(warning["class"], warning["text"]) for warning in found["warnings"]]
    assert any("of the price rests on prices that nobody checked: qm8700" in text for name, text in said if name[0] == "U")
    old = [text for name, text in said if name == "OldPriceWarning"]
    assert len(set(old)) == len(old)
    assert any("the price of dgx-a100-640 per node is of 2021-06-30, more than three years older" in text for text in old)
    assert 0 < found["unverified_share"] < 1
    assert found["unverified_usd"] == pytest.approx(found["unverified_share"] * found["total_usd"])


def test_the_switch_may_be_left_out_where_one_alone_fits() -> None:
    flags = ("--node", "dgx-a100-640", "--nodes", "32", "--network", "ib-hdr")
    assert (
        command("bom", *flags, "--json").answer["rows"] == command("bom", *flags, "--switch", "qm8700", "--json").answer["rows"]
    )
    found = command("bom", *FLAGS[:6])
    assert (found.status, found.err) == (1, "--switch is missing; with ports of ib-ndr: fs-ndr64, qm9700\n")


def test_a_missing_price_leaves_no_total() -> None:
    found = command("bom", "--node", "gb200-nvl72", "--nodes", "2", "--network", "ib-ndr", "--switch", "qm9700")
    assert found.status == 0, found.err
    assert found.out.startswith("no total: a part has no price; 2 nodes")
    assert "NO PRICE" in found.out
    assert "gb200-nvl72 has no node price in the price book" in found.err
    answer = command(
        "bom", "--node", "gb200-nvl72", "--nodes", "2", "--network", "ib-ndr", "--switch", "qm9700", "--json"
    ).answer
    assert (answer["total_usd"], answer["total_usd_range"], answer["unverified_share"]) == (None, None, None)
    assert answer["unpriced"] == ["gb200-nvl72 has no node price in the price book"]
    (row,) = (row for row in answer["rows"] if row["part"] == "node")
    assert (row["unit_usd"], row["usd"], row["paid_by"]) == (None, None, None)
    assert row["why_not"] == "gb200-nvl72 has no node price in the price book"


def test_a_fabric_is_counted_without_prices() -> None:
    found = command("bom", "--end-ports", "2304", "--radix", "144", "--json").answer
    assert {row["item"]: row["count"] for row in found["rows"]} == {
        "leaf switch": 32, "spine switch": 18, "cable node-leaf": 2304, "cable leaf-spine": 2304,
    }  # fmt: skip
    assert (found["total_usd"], found["tiers"], found["end_ports"]) == (None, 2, 2304)
    assert "counts alone; 2,304 end ports, 2 tiers" in command("bom", "--end-ports", "2304", "--radix", "144").out


def test_a_scenario_is_listed_and_its_ownership_added(tmp_path: Path) -> None:
    cost = '[cost]\nkind = "ownership"\nelectricity_usd_per_kwh = 0.1\npue = 1.5\n'
    cost += 'life_s = "2 year"\nfacility_usd_per_node = 1000\n'
    found = command("bom", on_a_network(tmp_path, cost), "--json").answer
    # 2 nodes of 6,500 W on one 40-port switch of 253 W; 2 years have 17,532 hours
    assert found["power_w"] == 13_253
    assert found["over_life"]["power_usd"] == pytest.approx(13.253 * 1.5 * 0.1 * 17_532)
    assert found["over_life"]["facility_usd"] == 2000
    assert found["over_life"]["total_usd"] == pytest.approx(
        found["total_usd"] + 2000 + found["over_life"]["power_usd"], rel=1e-12
    )
    assert found["break_even"]["with_power_and_facility"]
    text = command("bom", on_a_network(tmp_path, cost)).out
    assert "over its life" in text


def test_without_a_cost_section_a_scenario_has_a_bill(tmp_path: Path) -> None:
    found = command("bom", on_a_network(tmp_path), "--json").answer
    assert found["total_usd"] > 0
    assert found["over_life"] is None


def test_rent_or_buy_is_answered_with_its_range() -> None:
    found = command("bom", *FLAGS, "--json").answer["break_even"]
    low, high = found["hours_range"]
    assert low < found["hours"] < high
    assert found["utilisation"] == pytest.approx(found["hours"] * 3600 / found["life_s"])
    assert (found["cheaper"], found["rent_kind"]) == ("buy", "on_demand")
    spot = command("bom", *FLAGS[:-2], "--switch", "qm9700", "--rent", "spot")
    assert "no rent known: hgx-h100-2025 has no hour price" in spot.out


def test_files_are_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert command("bom", *FLAGS, "--out", out).status == 0
    assert (out / "rows.csv").read_text(encoding="utf-8").startswith("item,count,unit_usd,usd,source,verified")
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["command"] == "bom"


def test_an_own_price_book_is_taken(tmp_path: Path) -> None:
    book = written(
        tmp_path,
        "item,scope,kind,currency,price,low,high,date,source,verified\n"
        "hgx-h100-2025,node,street,EUR,100,,,2025,me,yes\nqm9700,switch,list,USD,10,,,2025,me,yes\n"
        "ib-ndr-cabling-2-tiers,cable,list,USD,1,,,2025,me,yes\n",
        "mine.csv",
    )
    found = command("bom", *FLAGS, "--prices", book, "--json").answer
    assert found["unpriced"] == ["hgx-h100-2025 has a node price in EUR only: give cost.usd_per.EUR"]
    network = changed(FABRIC, ("qm8700", "qm9700"), ("ib-hdr", "ib-ndr"))
    cost = '[cost]\nkind = "purchase"\nprices = "mine.csv"\nusd_per = { EUR = 1.1 }\n'
    text = (
        changed(SCENARIO.split("[reduce]")[0], ("dgx-a100-640", "hgx-h100-2025"), ("nodes = 2", "nodes = 64")) + network + cost
    )
    total = command("bom", written(tmp_path, text), "--json").answer["total_usd"]
    assert total == pytest.approx(64 * 110 + 24 * 10 + 512)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "give a scenario, or the flags of a cluster; missing: --node, --nodes"),
        (("--node", "dgx-h100"), "give a scenario, or the flags of a cluster; missing: --nodes"),
        (("--node", "dgx-h100", "--nodes", "0"), "--nodes must be from 1 to 1,048,576, got 0"),
        (("--node", "dgx-h10", "--nodes", "2"), "--node must be the id of one of the nodes, got 'dgx-h10'; did you mean"),
        ((*TWO, "--network", "ib"), "--network must be the id of one of the networks, got 'ib'"),
        ((*TWO, "--switch", "qm9700"), "--network is missing: whose cables and NICs join the nodes"),
        ((*FLAGS[:-1], "qm97"), "--switch must be the id of one of the switches, got 'qm97'; did you mean 'qm9700'?"),
        ((*FLAGS[:-1], "qm8700"), "--switch does not fit: qm8700 has ports of 200 Gbit/s, ib-ndr needs 400"),
        ((*FLAGS[:-1], "sn4700"), "--switch does not fit: sn4700 is a switch of Ethernet 400G, ib-ndr needs one of InfiniBand"),
        ((*FLAGS, "--oversubscription", "0.5"), "--oversubscription must be >= 1, got 0.5"),
        ((*FLAGS, "--tiers", "4"), "--tiers must be 1, 2 or 3, got 4"),
        ((*FLAGS, "--tiers", "1"), "512 end ports do not fit the switches: take more tiers, or switches with more ports"),
        ((*FLAGS, "--topology", "xgft"), "--down and up must be given for an xgft, one for each level"),
        ((*FLAGS, "--topology", "xgft", "--down", "a", "--up", "1"), "--down must be whole numbers like 16,4, got 'a'"),
        (("--end-ports", "8"), "--radix is missing: give both"),
        (("--radix", "8"), "--end-ports is missing: give both"),
        ((*TWO, "--end-ports", "8"), "--end-ports and --radix count a fabric without prices: leave out --node, --nodes"),
        (("--end-ports", "9", "--radix", "8", "--rails", "2"), "--end-ports must be a multiple of rails, 2, got 9"),
        (("--end-ports", "129", "--radix", "8"), "--end-ports must fit three tiers of 8-port switches, got 129"),
        (("--end-ports", "33", "--radix", "8", "--tiers", "2"), "--end-ports must fit 2 tiers of 8-port switches, got 33"),
        ((*FLAGS, "--prices", "none.csv"), "none.csv: no such file"),
        (("resnet50-a100", *FLAGS[:4]), "a scenario and --node, --nodes say the same thing twice: give one of them"),
        (("resnet50-a100",), "scenarios/resnet50-a100.toml: network: cannot be counted: there is no [network]: switches and"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_met_are_refused(flags: tuple[str, ...], says: str) -> None:
    found = command("bom", *flags)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(says), found.err
    assert len(found.lines) == 1


def test_a_scenario_that_cannot_be_counted_says_why(tmp_path: Path) -> None:
    cases = [
        (SCENARIO.split("[cluster]")[0], "cluster: is missing: bom lists the parts of one; design chooses one"),
        (
            SCENARIO.split("[cluster]")[0] + '[cluster]\naccelerator = "t4"\naccelerators = 4\n' + FABRIC,
            "cluster: cannot be counted: cluster.accelerator has no server around it: name a node, whose price is known",
        ),
        (
            SCENARIO.split("[reduce]")[0] + changed(FABRIC, ("qm8700", "sn3700")),
            "network: cannot be counted: network.switch does not fit: sn3700 is a switch of Ethernet 200G",
        ),
        (
            SCENARIO.split("[reduce]")[0] + '[network]\ntopology = "star"\nhost_link = "ib-hdr"\n',
            "network: cannot be counted: network.switch is missing: a bill of a star counts them",
        ),
        (
            SCENARIO.split("[reduce]")[0] + changed(FABRIC, ('"fat_tree"', '"xgft"\ndown = [40, 2]\nup = [1, 1]')),
            "network: down and up do not fit the switch: switches of level 1 need 41 ports, qm8700 has 40",
        ),
    ]
    for text, says in cases:
        path = written(tmp_path, text)
        found = command("bom", path)
        assert (found.status, found.out) == (1, ""), text
        assert found.err.startswith(f"{path}: {says}"), found.err


def test_flags_that_would_change_nothing_are_refused() -> None:
    for more, says in (
        (("--rails", "8"), "--rails: belongs to --end-ports and --radix; of nodes, --topology rails has a rail for each NIC"),
        (("--topology", "star", "--tiers", "2"), "--tiers: a star does not depend on it"),
        (("--down", "16,4", "--up", "1,8"), "--down, --up: a fat_tree does not depend on it"),
        (("--topology", "ring", "--oversubscription", "2"), "--oversubscription, --switch: a ring does not depend on it"),
    ):
        found = command("bom", *FLAGS, *more)
        assert (found.status, found.out, found.err) == (1, "", says + "\n")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((*FLAGS, "--oversubscription", "0"), "--oversubscription must be finite and > 0, got 0"),
        (("--end-ports", "100", "--radix", "33", "--rails", "0"), "--rails must be a whole number >= 1, got 0"),
        (("--end-ports", "9" * 20, "--radix", "64"), "--end-ports must be a whole number >= 0 and <= 2**64, got 1e+20"),
        (
            ("--end-ports", "9" * 400, "--radix", "64"),
            "--end-ports must be a whole number >= 0, got a whole number beyond 1e308",
        ),
        ((*FLAGS, "--tiers", "9" * 20), "--tiers must be a whole number >= 1 and <= 2**64, got 1e+20"),
        (
            ("--end-ports", "64", "--radix", "64", "--planes-per-cable", "2"),
            "--rails must be a multiple of planes_per_cable, 2, got 1",
        ),
    ],
)  # fmt: skip
def test_nought_and_numbers_beyond_64_bits_are_refused(flags: tuple[str, ...], says: str) -> None:
    found = command("bom", *flags)
    assert (found.status, found.out, found.err) == (1, "", says + "\n")


def test_a_cable_may_carry_two_planes() -> None:
    # 1,024 ports of 800 Gbit/s, each split into two planes of 400: cables of one plane, switches of both
    rows = command("bom", "--end-ports", "2048", "--radix", "64", "--rails", "2", "--planes-per-cable", "2", "--json").answer[
        "rows"
    ]
    count = {row["part"]: row["count"] for row in rows}
    assert (count["leaf switch"], count["spine switch"]) == (2 * 32, 2 * 16)
    assert (count["cable node-leaf"], count["cable leaf-spine"]) == (1024, 1024)


@pytest.mark.parametrize("topology", ["fat_tree", "rails"])
def test_a_simulated_tree_with_more_switches_than_the_bill_is_told(topology: str) -> None:
    """The count of switches is that of the nodes of the graph that `network` routes on."""
    from simulator.network.cluster_topologies import fat_tree
    from simulator.network.links import Link

    nodes, rails = (260, 1) if topology == "fat_tree" else (2080, 8)
    flags = (*FLAGS[:2], "--nodes", str(nodes), *FLAGS[4:], "--topology", topology)
    answer = command("bom", *flags, "--json").answer
    graph = fat_tree(8 * nodes // rails, radix=64, host_link=Link(bandwidth_bytes_per_s=1e9))
    simulated = answer["simulated_switches"]
    assert sum(simulated.values()) == rails * (len(graph.nodes) - graph.hosts)
    bought = {row["part"]: row["count"] for row in answer["rows"]}
    assert (bought["leaf switch"], bought["spine switch"], bought["core switch"]) == (65 * rails, 65 * rails, 33 * rails)
    assert simulated == {"leaf": 65 * rails, "spine": 96 * rails, "core": 64 * rails}
    assert f"a tree with {62 * rails} more switches: {65 * rails} leaf, " in command("bom", *flags).out


def test_a_simulated_tree_like_the_bill_is_not_spoken_of() -> None:
    assert command("bom", *FLAGS, "--json").answer["simulated_switches"] == {"leaf": 16, "spine": 8, "core": 0}
    assert "simulated" not in command("bom", *FLAGS).out
    assert "62 more switches: 65 leaf, 96 spine, 64 core" in command("bom", "--end-ports", "2080", "--radix", "64").out
    assert command("bom", *FLAGS[:2], "--nodes", "1", "--json").answer["simulated_switches"] is None


def test_a_scenario_tells_of_the_simulated_tree_too(tmp_path: Path) -> None:
    scenario = changed(SCENARIO.split("[reduce]")[0] + FABRIC, ("nodes = 2\n", "nodes = 125\n"))
    found = command("bom", written(tmp_path, scenario), "--json").answer
    # 1,000 end ports, 20 down: 50 leaves; pods of 17 leaves at 20 ports of a spine down would be uneven
    bought = {row["part"].removesuffix(" switch"): row["count"] for row in found["rows"] if row["part"].endswith("switch")}
    assert bought == {"leaf": 50, "spine": 50, "core": 25}
    assert sum(found["simulated_switches"].values()) > sum(bought.values())


def test_what_ownership_lacks_is_said(tmp_path: Path) -> None:
    found = command("bom", on_a_network(tmp_path, '[cost]\nkind = "ownership"\n'))
    reason = "electricity_usd_per_kwh is not given: ownership pays for power"
    assert f"over its life  not known: {reason}" in found.out
    assert f"warning: there is no total over its life: {reason}\n" in found.err


def test_the_source_of_the_rent_is_listed() -> None:
    found = command("bom", *FLAGS)
    assert "on demand, 2026-03-16 [3]" in found.out
    assert "  [3] github.com/alpha-one-index/ai-infra-index" in found.out


def test_a_price_in_another_currency_says_so(tmp_path: Path) -> None:
    book = "item,scope,kind,currency,price,low,high,date,source,verified,notes\ndgx-h100,node,list,EUR,200000,,,2025,s,yes,\n"
    written(tmp_path, book, "book.csv")
    cost = '[cost]\nkind = "purchase"\nprices = "./book.csv"\nusd_per = { EUR = 1.1 }\n'
    scenario = 'schema = 1\n[[workload]]\nuse = "resnet50-mlperf"\n[cluster]\nnode = "dgx-h100"\nnodes = 1\n' + cost
    path = written(tmp_path, scenario)
    assert "220,000   2025, in EUR" in command("bom", path).out
    [row] = command("bom", path, "--json").answer["rows"]
    assert (row["usd"], row["currency"]) == (pytest.approx(220_000), "EUR")


def test_an_hour_of_several_accelerators_says_of_how_many() -> None:
    # nobody rents out an hgx-h100-2025 as such: eight times the hour of its accelerator, as the price book has it
    book = [row for row in command("profiles", "prices", "--json").answer["rows"] if row["item"] == "h100-sxm"]
    answer = command("bom", *FLAGS, "--json").answer["break_even"]
    assert answer["rent_usd_per_node_hour"] / 8 in [pytest.approx(row["price"]) for row in book if row["kind"] == "on_demand"]
    assert "against 27.52 USD (8 x h100-sxm), on demand" in command("bom", *FLAGS).out
