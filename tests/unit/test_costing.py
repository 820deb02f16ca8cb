"""[cost] of a scenario: what run makes of purchase, ownership and cloud, and what it refuses or warns about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.profiles import load_profile, names
from simulator.scenarios.costing import fitting_networks, fitting_switches, misfit
from tests.support import SCENARIO, changed, command, written

FABRIC = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\n'
LIFE_S = 4 * 365.25 * 86400


def answer(folder: Path, cost: str, *, network: str = FABRIC, scenario: str = SCENARIO) -> Any:
    found = command("run", written(folder, f"{scenario}\n{network}\n[cost]\n{cost}\n"), "--json")
    assert found.status == 0, found.err
    return found.answer


def texts(found: Any, name: str) -> str:
    return " ".join(warning["text"] for warning in found["warnings"] if warning["class"] == name)


def test_a_purchase_is_paid_for_by_the_share_of_its_life(tmp_path: Path) -> None:
    # 2 x 300,000, a switch of 14,000 and 16 cables of 200: 617,200
    found = answer(tmp_path, 'kind = "purchase"')
    assert found["cluster_usd"] == 617_200
    assert found["cost_usd"] == pytest.approx(617_200 * found["converge_time_s"] / LIFE_S)
    assert found["cost_kind"] == "purchase"
    used = answer(tmp_path, 'kind = "purchase"\nlife_s = "1 year"\nutilisation = 0.5')
    assert used["cost_usd"] == pytest.approx(8 * found["cost_usd"])
    low, high = found["cost_usd_price_range"]
    assert low < found["cost_usd"] < high


def test_fewer_learners_pay_for_their_nodes_of_the_cluster(tmp_path: Path) -> None:
    found = answer(tmp_path, 'kind = "purchase"\n[run]\nlearners = 8')
    assert found["nodes"] == 1
    assert found["cost_usd"] == pytest.approx(0.5 * 617_200 * found["converge_time_s"] / LIFE_S)


def test_ownership_adds_facility_and_power(tmp_path: Path) -> None:
    cost = 'kind = "ownership"\nelectricity_usd_per_kwh = 0.1\npue = 1.2\nfacility_usd_per_node = 50_000'
    found = answer(tmp_path, cost)
    power = 13.253 * 1.2 * 0.1 * 4 * 8766  # 2 x 6,500 W and 253 W; a year has 8,766 hours
    assert found["cluster_usd"] == pytest.approx(617_200 + 100_000 + power)
    half = answer(tmp_path, cost + "\nutilisation = 0.5\nidle_power = 0.2")
    assert half["cluster_usd"] == pytest.approx(617_200 + 100_000 + 0.6 * power)


def test_a_cloud_is_priced_from_the_book(tmp_path: Path) -> None:
    cloud = changed(SCENARIO, ('node = "dgx-a100-640"', 'node = "aws-p4de.24xlarge"'))
    found = answer(tmp_path, 'kind = "cloud"', network="", scenario=cloud)
    assert found["cost_usd"] == pytest.approx(2 * found["converge_time_s"] / 3600 * 27.44705)
    assert found["cluster_usd"] is None
    reserved = answer(tmp_path, 'kind = "cloud"\nrent = "reserved"\nutilisation = 0.5', network="", scenario=cloud)
    # two prices of one day, 14.48 for 3 years and 24 for 1: the lower middle; paid for whether used or not
    assert reserved["cost_usd"] == pytest.approx(2 * reserved["converge_time_s"] / 3600 * 14.48 / 0.5)
    spot = answer(tmp_path, 'kind = "cloud"\nrent = "spot"', network="", scenario=cloud)
    assert spot["cost_usd"] < found["cost_usd"]


def test_a_node_that_nobody_rents_out_is_its_accelerators_by_the_hour(tmp_path: Path) -> None:
    found = answer(tmp_path, 'kind = "cloud"', network="")
    assert found["cost_usd"] == pytest.approx(2 * found["converge_time_s"] / 3600 * 8 * 2.06)
    bare = changed(
        SCENARIO, ('node = "dgx-a100-640"\nnodes = 2', 'accelerator = "a100-sxm-80"\naccelerators = 4'),
    )  # fmt: skip
    alone = answer(tmp_path, 'kind = "cloud"', network="", scenario=bare)
    assert alone["cost_usd"] == pytest.approx(4 * alone["converge_time_s"] / 3600 * 2.06)


def test_the_scenarios_own_hour_beats_the_book(tmp_path: Path) -> None:
    found = answer(tmp_path, 'kind = "cloud"\nusd_per_node_hour = { value = 30, low = 20, high = 60 }', network="")
    assert found["cost_usd"] == pytest.approx(2 * found["converge_time_s"] / 3600 * 30)
    assert found["cost_usd_price_range"] == pytest.approx([found["cost_usd"] / 1.5, found["cost_usd"] * 2])


def test_what_has_no_price_gives_no_cost_and_is_named(tmp_path: Path) -> None:
    for cost, network, says in (
        ('kind = "purchase"', "", "there is no [network]: switches and cables between the nodes are not known"),
        ('kind = "ownership"\nelectricity_usd_per_kwh = 0.1', changed(FABRIC, ("ib-hdr", "ib-edr")), ""),
        ('kind = "ownership"', FABRIC, "electricity_usd_per_kwh is not given: ownership pays for power"),
        ('kind = "purchase"', changed(FABRIC, ("qm8700", "sn3700")), "network.switch does not fit: sn3700 is a switch of"),
        (
            'kind = "purchase"',
            changed(FABRIC, ('host_link = "ib-hdr"', "host_link = { bandwidth_bytes_per_s = 25e9 }")),
            "without an id",
        ),
    ):
        found = answer(tmp_path, cost, network=network)
        assert (found["cost_usd"] is None) == bool(says), cost
        assert says in texts(found, "MissingPriceWarning")
    gone = changed(SCENARIO, ('node = "dgx-a100-640"', 'node = "aws-p4de.24xlarge"'))
    found = answer(tmp_path, 'kind = "purchase"', scenario=gone)
    assert found["cost_usd"] is None
    assert "aws-p4de.24xlarge has no node price in the price book (it has one per instance_hour)" in texts(
        found, "MissingPriceWarning"
    )


def test_a_missing_power_figure_is_not_zero_watts(tmp_path: Path) -> None:
    mi300x = changed(SCENARIO, ('"dgx-a100-640"', '"mi300x-8"'), ("compute.a100-sxm-80", "compute.mi300x"))
    network = changed(FABRIC, ("qm8700", "qm9700"), ("ib-hdr", "ib-ndr"))
    found = answer(tmp_path, 'kind = "ownership"\nelectricity_usd_per_kwh = 0.1', scenario=mi300x, network=network)
    assert found["cost_usd"] is None
    assert "mi300x-8 has no power_w in its profile" in texts(found, "MissingPriceWarning")


def test_the_network_of_a_law_based_run_is_used_by_its_bill(tmp_path: Path) -> None:
    found = answer(tmp_path, 'kind = "purchase"')  # [reduce] is a law here: Delta does not come from [network]
    assert "network" not in texts(found, "NoEffectWarning")
    cloud = answer(tmp_path, 'kind = "cloud"')
    assert "network had no effect" in texts(cloud, "NoEffectWarning")


def test_keys_of_another_kind_are_said_to_have_no_effect(tmp_path: Path) -> None:
    found = answer(tmp_path, 'kind = "cloud"\npue = 1.3\nlife_s = "3 year"', network="")
    assert "cost.pue" in texts(found, "NoEffectWarning")
    assert "cost.life_s" in texts(found, "NoEffectWarning")
    own = answer(tmp_path, 'kind = "ownership"\nelectricity_usd_per_kwh = 0.1\npue = 1.3\nlife_s = "3 year"')
    assert "cost." not in texts(own, "NoEffectWarning")


def test_explain_lists_prices_with_sources_and_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, f'{SCENARIO}\n{FABRIC}\n[cost]\nkind = "ownership"\nelectricity_usd_per_kwh = 0.1\n')
    rows = {row["key"]: row for row in command("explain", path, "--json").answer["rows"]}
    assert rows["price of node dgx-a100-640"]["value"] == 300_000
    assert rows["price of node dgx-a100-640"]["verified"] is True
    assert rows["price of node dgx-a100-640"]["source"].endswith("2021-06-30, street, OLD")
    assert rows["price of leaf switch qm8700"]["verified"] is False
    assert (rows["cost.pue"]["value"], rows["cost.life_s"]["source"]) == (1.58, "default")
    assert "Uptime Institute" in rows["cost.pue"]["source"]
    assert rows["purchase"]["value"] == 617_200
    assert rows["total over the life"]["value"] > rows["purchase"]["value"]
    missing = command("explain", written(tmp_path, f'{SCENARIO}\n[cost]\nkind = "purchase"\n'), "--json").answer["rows"]
    assert any(row["key"].startswith("no cost: there is no [network]") for row in missing)


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        ('kind = "purchase"\nutilisation = 0', "cost.utilisation: must be > 0 and at most 1, got 0"),
        ('kind = "purchase"\nutilisation = 70', "cost.utilisation: must be > 0 and at most 1, got 70"),
        ('kind = "ownership"\nidle_power = -0.1', "cost.idle_power: must be from 0 to 1"),
        (
            'kind = "cloud"\nrent = "spott"',
            "cost.rent: must be one of on_demand, reserved, spot, got 'spott'; did you mean 'spot'?",
        ),
        ('kind = "purchase"\nusd_per = { eur = 1.1 }', "cost.usd_per: must name currencies in three capital letters"),
        ('kind = "purchase"\nusd_per = { EUR = 0 }', "cost.usd_per: must hold rates > 0, got 0 for EUR"),
        ('kind = "purchase"\nusd_per = { EUR = "1.1 USD" }', "cost.usd_per.EUR"),
    ],
)
def test_faults_of_cost_are_named(tmp_path: Path, cost: str, says: str) -> None:
    path = written(tmp_path, f"{SCENARIO}\n[cost]\n{cost}\n")
    found = command("run", path)
    assert (found.status, found.out) == (1, "")
    assert any(line.startswith(f"{path}: {says}") for line in found.lines), found.err


def test_a_faulty_price_book_is_reported_with_line_and_column(tmp_path: Path) -> None:
    header = "item,scope,kind,currency,price,low,high,date,source,verified\n"
    written(tmp_path, header + "x,node,street,USD,-3,,,2025,me,yes\n", "mine.csv")
    path = written(tmp_path, f'{SCENARIO}\n{FABRIC}\n[cost]\nkind = "purchase"\nprices = "mine.csv"\n')
    found = command("run", path)
    assert (found.status, found.out) == (1, "")
    assert found.err == f"{tmp_path}/mine.csv: line 2, price: must be a number > 0, got '-3'\n"


def test_switches_and_networks_find_each_other_by_family_and_rate() -> None:
    def network(name: str) -> Any:
        return load_profile("networks", name)[0]

    assert [switch.name for switch in fitting_switches(network("ib-ndr"))] == ["fs-ndr64", "qm9700"]
    assert [switch.name for switch in fitting_switches(network("ib-fdr"))] == ["sx6036"]  # 56.25 and 56 Gbit/s
    assert fitting_switches(network("nvlink4")) == ()
    switch = load_profile("switches", "sn2700")[0]
    assert [found.name for found in fitting_networks(switch)] == ["roce100"]
    for name in names("networks"):
        for fits in fitting_switches(network(name)):
            assert misfit(network(name), fits) == ""
    assert misfit(network("roce400"), load_profile("switches", "sn5600")[0]) == ""  # faster ports run slower
