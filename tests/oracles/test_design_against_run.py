"""The command design against asking `run` about every design of its catalogue, one after another."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.costs.bill_of_materials import ClusterPlan, bill_of
from simulator.costs.price_book import load_price_book
from simulator.costs.price_choice import PriceList
from simulator.profiles import load_profile
from tests.support import HARDWARE, command, written

WORKLOADS = """\
[[workload]]
name = "small"
gradient_bytes = "400 MB"
[workload.convergence]
kind = "inverse"
n_inf_updates = 800.0
alpha_samples = 3e6
[workload.compute.from_flops]
utilisation = 0.3
knee_samples = 4
max_local_samples = 64
"""
RUN = """\
schema = 1
{workload}train_flop_per_sample = {flop}

[cluster]
node = "{node}"
nodes = {nodes}
{network}
[reduce]
kind = "fabric"
overlap = {{ kind = "power", exponent = 2.0 }}
"""
NODES = ("hgx-h100-2025", "hgx-a100-640")
SWITCHES = {"ib-ndr": "qm9700", "roce200": "sn3700"}
TOPOLOGIES, OVERSUBSCRIPTIONS, MOST = ("fat_tree", "rails"), (1, 8), 3
FLOP = 4e11


@dataclass(frozen=True)
class One:
    """A design and what `run` says of it."""

    node: str
    nodes: int
    network: str
    topology: str
    oversubscription: int

    def time_s(self, folder: Path) -> float:
        table = (
            f'[network]\ntopology = "{self.topology}"\nhost_link = "{self.network}"\nswitch = "{SWITCHES[self.network]}"\n'
            f"oversubscription = {self.oversubscription}\n"
        )
        workload = WORKLOADS.replace("gradient_bytes", f"train_flop_per_sample = {FLOP:g}\ngradient_bytes")
        text = RUN.format(workload=workload, flop="", node=self.node, nodes=self.nodes, network=table)
        text = text.replace("train_flop_per_sample = \n", "")
        found = command("run", written(folder, text, "run.toml"), "--json")
        assert found.status == 0, found.err
        return float(found.answer["converge_time_s"])

    def usd(self, prices: PriceList) -> float:
        node, network, switch = (
            load_profile(kind, name)[0]
            for kind, name in (("nodes", self.node), ("networks", self.network), ("switches", SWITCHES[self.network]))
        )
        plan = ClusterPlan(node=node, topology=self.topology, network=network, switch=switch)  # type: ignore[arg-type]
        return float(bill_of(plan, self.nodes, prices, oversubscription=self.oversubscription).purchase.usd)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[One, float, float]]:
    """Each design of the catalogue with T_C as `run` has it, and its dollars."""
    folder = tmp_path_factory.mktemp("runs")
    prices = PriceList(book=load_price_book(HARDWARE / "prices.csv"))
    grid = itertools.product(NODES, range(1, MOST + 1), SWITCHES, TOPOLOGIES, OVERSUBSCRIPTIONS)
    found = []
    for one in itertools.starmap(One, grid):
        if one.nodes > 1 or (one.topology, one.oversubscription) == ("fat_tree", 1):  # one node has no network
            found.append((one, one.time_s(folder), one.usd(prices)))
    return found


@pytest.mark.parametrize("budget", [4e5, 8e5])
def test_the_design_is_the_fastest_that_run_knows_within_the_budget(
    everything: list[tuple[One, float, float]], budget: float, tmp_path: Path
) -> None:
    workload = WORKLOADS.replace("gradient_bytes", f"train_flop_per_sample = {FLOP:g}\ngradient_bytes")
    text = f"""\
schema = 1
{workload}
[design]
budget_usd = {budget}
[design.choose]
node = {json.dumps(NODES)}
nodes = {{ min = 1, max = {MOST} }}
network = {json.dumps(list(SWITCHES))}
switch = {json.dumps(list(SWITCHES.values()))}
topology = {json.dumps(TOPOLOGIES)}
oversubscription = {json.dumps(OVERSUBSCRIPTIONS)}

[reduce]
kind = "fabric"
overlap = {{ kind = "power", exponent = 2.0 }}

[cost]
kind = "purchase"
"""
    found = command("design", written(tmp_path, text), "--json")
    assert found.status == 0, found.err
    answer = found.answer
    affordable = [(time_s, usd) for _, time_s, usd in everything if usd <= budget]
    fastest = min(time_s for time_s, _ in affordable)
    assert answer["design"]["time_s"] == fastest
    assert answer["proven"]
    for row in answer["settled"]:
        same = [
            time_s for one, time_s, _ in everything
            if (one.node, one.nodes) == (row["node"], row["nodes"])
            and (one.nodes == 1 or (one.network, one.topology, one.oversubscription)
                 == (row["network"], row["topology"], row["oversubscription"]))
        ]  # fmt: skip
        assert row["time_s"] in same
        assert row["closed_form_s"] <= row["time_s"] * (1 + 1e-9)  # real M and a lower bound of Delta
