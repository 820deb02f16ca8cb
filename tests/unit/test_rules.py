from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.errors import ScenarioError
from simulator.scenarios import load_scenario
from simulator.scenarios.rules import accelerators_at_hand, learners_at_hand
from tests.support import SCENARIO, changed, command, written

MEMORY = ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 64")
FIT = (
    "alpha_samples = 1_024_000.0",
    "alpha_samples = 1_024_000.0\nfit = { batch_samples_range = [64, 1024], discrepancy_relative = 0.03 }",
)
FABRIC = ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "fabric"')


def faults(folder: Path, extra: str = "", *replacements: tuple[str, str]) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(folder, extra, *replacements)
    return [str(fault).replace(f"{folder}/scenario.toml: ", "") for fault in caught.value.faults]


def load(folder: Path, extra: str = "", *replacements: tuple[str, str]) -> Any:
    return load_scenario(str(written(folder, changed(SCENARIO, *replacements) + extra)))


def test_learners_are_accelerators_over_accelerators_per_learner(tmp_path: Path) -> None:
    scenario = load(tmp_path, "", ("nodes = 2", "nodes = 2\naccelerators_per_learner = 4"))
    assert (accelerators_at_hand(scenario), learners_at_hand(scenario)) == (16, 4)
    counted = ('node = "dgx-a100-640"\nnodes = 2', 'accelerator = "a100-sxm-80"\naccelerators = 12')
    scenario = load(tmp_path, "", counted)
    assert (accelerators_at_hand(scenario), learners_at_hand(scenario)) == (12, 12)


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        ("nodes = 2", "cluster: must have either node or accelerator"),
        ('node = "dgx-a100-640"\naccelerator = "t4"\nnodes = 2', "cluster: must have either node or accelerator"),
        ('node = "dgx-a100-640"', "cluster: must have either nodes or accelerators"),
        ('node = "dgx-a100-640"\nnodes = 2\naccelerators = 16', "cluster: must have either nodes or accelerators"),
        ('accelerator = "t4"\nnodes = 2', "cluster.nodes: needs cluster.node; with cluster.accelerator give accelerators"),
        (
            'node = "dgx-a100-640"\nnodes = 2\naccelerators_per_learner = 3',
            "cluster.accelerators_per_learner: must divide the 16 accelerators, got 3",
        ),
        (
            'node = "dgx-a100-640"\nnodes = 2\naccelerators_per_learner = 32',
            "cluster.accelerators_per_learner: must divide the 16 accelerators, got 32",
        ),
        ('node = "dgx-a100-64"\nnodes = 2', "cluster.node: must be the id of one of the nodes, got 'dgx-a100-64'"),
        ('accelerator = "t5"\naccelerators = 2', "cluster.accelerator: must be the id of one of the accelerators, got 't5'"),
        ('node = "dgx-a100-640"\nnodes = 1_000_000_000_000_000_000_000', "cluster.nodes: must be"),
    ],
)
def test_rules_of_the_cluster(tmp_path: Path, cluster: str, says: str) -> None:
    found = faults(tmp_path, "", ('node = "dgx-a100-640"\nnodes = 2', cluster))
    assert any(line.startswith(says) for line in found), found


OF_32 = ("knee_samples = 8", "knee_samples = 8\naccelerators_per_learner = 32")


def test_a_table_of_groups_is_refused_on_learners_of_another_size(tmp_path: Path) -> None:
    says = (
        "cluster.accelerators_per_learner: must be 32: workload[0].compute.a100-sxm-80 holds for learners of that many "
        "accelerators (for others give their own table with its accelerators_per_learner), got "
    )
    assert faults(tmp_path, "", OF_32) == [says + "1"]
    eight = ("nodes = 2", "nodes = 4\naccelerators_per_learner = 8")
    assert faults(tmp_path, "", OF_32, eight) == [says + "8"]
    found = command("run", written(tmp_path, changed(SCENARIO, OF_32)))
    assert (found.status, found.out) == (1, "")
    assert load(tmp_path, "", OF_32, ("nodes = 2", "nodes = 8\naccelerators_per_learner = 32")) is not None


def test_the_estimate_from_flops_can_ask_for_groups_too(tmp_path: Path) -> None:
    flops = "[workload.compute.from_flops]\nutilisation = 0.5\nknee_samples = 8\naccelerators_per_learner = 16\n"
    own = ("[workload.compute.a100-sxm-80]\n", flops + "[workload.compute.a100-sxm-80]\n")
    assert load(tmp_path, "", own) is not None  # the measured table is used, and it speaks of any learner
    (found,) = faults(tmp_path, "", own, ("dgx-a100-640", "dgx-h100"))
    assert found.startswith("cluster.accelerators_per_learner: must be 16: workload[0].compute.from_flops holds for learners")


def test_no_table_for_the_accelerator_is_no_rule_about_its_learners(tmp_path: Path) -> None:
    assert load(tmp_path, "", OF_32, ("dgx-a100-640", "dgx-h100")) is not None  # the command then says that nobody timed it


@pytest.mark.parametrize("kind", ["node_log", "two_tier_ring"])
def test_laws_that_speak_of_nodes_need_a_node(tmp_path: Path, kind: str) -> None:
    law = {
        "node_log": 'kind = "node_log"\nin_node_s = 0\nnode_jump_s = 0\nper_doubling_s = 0',
        "two_tier_ring": 'kind = "two_tier_ring"\nin_node_s = 0\nacross_nodes_s = 0',
    }[kind]
    found = faults(
        tmp_path,
        "",
        ('kind = "constant"\ndelta_s = "4 ms"', law),
        ('node = "dgx-a100-640"\nnodes = 2', 'accelerator = "a100-sxm-80"\naccelerators = 12'),
    )
    assert found == [f"reduce.kind: {kind!r} needs cluster.node, whose boundary it speaks of"]


@pytest.mark.parametrize(
    ("run", "says"),
    [
        ("batch_samples = 15", "run.batch_samples: must be >= the 16 learners, each needs a sample, got 15"),
        ("batch_samples = 50_001", "run.batch_samples: must be <= data_set_samples = 50000, got 50001"),
        ("batch_samples = 1025", "run.batch_samples: must be <= 1024 = 16 learners x max_local_samples = 64, got 1025"),
        (
            "batch_samples = 4000\naccumulation = 2",
            "run.batch_samples: must be <= 2048 = 16 learners x max_local_samples = 64 x accumulation = 2, got 4000",
        ),
        ("batch_samples = 256.5", "run.batch_samples: must be a whole number of samples (or set whole_samples = false)"),
        ("batch_samples = [256, 15]", "run.batch_samples[1]: must be >= the 16 learners"),
        ("learners = 17", "run.learners: must be <= the 16 learners of the cluster, got 17"),
        ("learners = [1, 17]", "run.learners[1]: must be <= the 16 learners of the cluster, got 17"),
        ("learners = 4\nbatch_samples = 1024", "run.batch_samples: must be <= 256 = 4 learners"),
        (
            "min_batch_samples = 300\nmax_batch_samples = 200",
            "run.max_batch_samples: must be >= min_batch_samples = 300, got 200",
        ),
    ],
)
def test_rules_of_a_given_mini_batch(tmp_path: Path, run: str, says: str) -> None:
    found = faults(tmp_path, f"[run]\n{run}\n", MEMORY)
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize(
    "run", ["batch_samples = 256.5\nwhole_samples = false", "batch_samples = [16, 1024]", "learners = [1, 16]"]
)
def test_what_is_just_within_the_rules_is_fine(tmp_path: Path, run: str) -> None:
    load(tmp_path, f"[run]\n{run}\n", MEMORY)


def test_memory_bounds_the_best_mini_batch_and_is_no_fault(tmp_path: Path) -> None:
    path = written(tmp_path, changed(SCENARIO, ("knee_samples = 8", "knee_samples = 4\nmax_local_samples = 10")))
    answer = command("run", path, "--json").answer
    assert (answer["batch_samples"], answer["bound"], answer["branch"]) == (160.0, "memory", "bound")


def test_a_given_mini_batch_past_the_end_of_the_law_is_refused(tmp_path: Path) -> None:
    found = faults(tmp_path, "[run]\nbatch_samples = 1001\n", ("n_inf_updates = 1000.0", "n_inf_updates = -1023.0"))
    assert found == ["run.batch_samples: must be <= 1000, where N_Update reaches 1 and the law ends, got 1001"]


def test_a_given_mini_batch_below_the_table_is_refused(tmp_path: Path) -> None:
    table = 'kind = "tabulated"\nbatch_samples = [64, 128]\nupdates = [200, 150]'
    replacement = ('kind = "inverse"\nn_inf_updates = 1000.0\nalpha_samples = 1_024_000.0', table)
    assert faults(tmp_path, "[run]\nbatch_samples = 32\n", replacement) == [
        "run.batch_samples: must be >= 64, the smallest mini-batch of the law, got 32"
    ]


@pytest.mark.parametrize(("M", "outside"), [(64, False), (1024, False), (32, True), (1040, True)])
def test_a_mini_batch_outside_the_fit_is_a_warning(tmp_path: Path, M: int, outside: bool) -> None:
    path = written(tmp_path, changed(SCENARIO, FIT) + f"[run]\nbatch_samples = {M}\n")
    found = command("run", path, "--json")
    assert found.status == 0
    classes = [warning["class"] for warning in found.answer["warnings"]]
    assert ("ExtrapolationWarning" in classes) == outside


def test_the_best_mini_batch_is_at_most_twice_the_largest_measured(tmp_path: Path) -> None:
    fit = (FIT[0], FIT[1].replace("1024]", "96]"))
    answer = command("run", written(tmp_path, changed(SCENARIO, fit)), "--json").answer
    assert (answer["batch_samples"], answer["bound"]) == (192.0, "largest_measured")


def test_more_than_one_learner_needs_a_reduce_law(tmp_path: Path) -> None:
    found = command("run", written(tmp_path, SCENARIO.split("[reduce]")[0]))
    assert found.status == 1
    assert "reduce: is missing: 16 learners need it; write [reduce] with kind = one of none, constant, linear" in found.err


def test_one_learner_needs_none(tmp_path: Path) -> None:
    text = changed(
        SCENARIO.split("[reduce]")[0], ('node = "dgx-a100-640"\nnodes = 2', 'accelerator = "a100-sxm-80"\naccelerators = 1')
    )
    answer = command("run", written(tmp_path, text), "--json").answer
    assert (answer["learners"], answer["reduce_time_s"]) == (1, 0.0)


@pytest.mark.parametrize("reduce", ['[reduce]\nkind = "fabric"\n', ""])
def test_a_network_implies_the_fabric(tmp_path: Path, reduce: str) -> None:
    text = SCENARIO.split("[reduce]")[0] + reduce + '[network]\ntopology = "star"\nhost_link = "ib-hdr"\n'
    path = written(tmp_path, text)
    found = command("run", path, "--json")
    assert found.status == 0, found.err
    assert found.answer["reduce_time_s"] == command("network", path, "--json").answer["reduce_time_s"] > 0


def test_a_network_of_switches_needs_to_know_them(tmp_path: Path) -> None:
    text = SCENARIO.split("[reduce]")[0] + '[network]\ntopology = "fat_tree"\nhost_link = "ib-hdr"\n'
    found = command("run", written(tmp_path, text))
    assert found.status == 1
    assert "network.switch: is missing: fat_tree is built from switches with so many ports" in found.err


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ("", "reduce.kind: 'fabric' needs a [network]"),
        ('topology = "xgft"\ndown = [1]\nup = [1]', "network: must have a host for each learner: 16 learners, 8 hosts"),
        (
            'topology = "xgft"\ndown = [3]\nup = [1]\ncollective = "ps"\nservers = 9',
            "network.servers: must be <= the 8 hosts left, got 9",
        ),
        ('topology = "star"\ncollective = "ring"\nservers = 2', "network.servers: belongs to collective = 'ps', not to 'ring'"),
        ('topology = "star"\nhost_link = "ib-hd"', "network.host_link: must be the id of one of the networks, got 'ib-hd'"),
        ('topology = "star"\nswitch = "qm870"', "network.switch: must be the id of one of the switches, got 'qm870'"),
        ('topology = "graph"\nfile = "none.csv"', "network.file: must name a file beside the scenario, got 'none.csv'"),
        ('topology = "star"\ncollective = "hierarchical"\ninner = "ring"', "network: must give inner and outer together"),
        ('collective = "ring"', "network.topology: is missing"),
        ('topology = "xgft"', "network.down: must be given for topology = 'xgft'"),
    ],
)
def test_rules_of_the_network(tmp_path: Path, network: str, says: str) -> None:
    found = faults(tmp_path, f"[network]\n{network}\n" if network else "", FABRIC)
    assert any(line.startswith(says) for line in found), found
    if network:
        assert "reduce.kind: 'fabric' needs a [network]" not in found


def test_parameter_servers_may_fill_the_hosts_left(tmp_path: Path) -> None:
    load(tmp_path, '[network]\ntopology = "xgft"\ndown = [3]\nup = [1]\ncollective = "ps"\nservers = 8\n', FABRIC)


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        (
            'kind = "cloud"\nprices = "mine"',
            "cost.prices: must be 'shipped' or name a price book beside the scenario, got 'mine'",
        ),
        ('kind = "cloud"\nprices = "none.csv"', "cost.prices: must be 'shipped' or name a price book"),
        ('kind = "purchase"\nusd_per_node_hour = 3', "cost.usd_per_node_hour: belongs to kind = 'cloud', not to 'purchase'"),
        ('kind = "cloud"\nusd_per_node_hour = -3', "cost.usd_per_node_hour: must be finite and >= 0, got -3"),
    ],
)
def test_rules_of_cost(tmp_path: Path, cost: str, says: str) -> None:
    found = faults(tmp_path, f"[cost]\n{cost}\n")
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize(
    ("simulate", "says"),
    [
        ("batch_samples = 3", "simulate.batch_samples: must be >= the 16 learners"),
        ("learners = 99", "simulate.learners: must be <= the 16 learners of the cluster, got 99"),
        ("batch_samples = 99_999", "simulate.batch_samples: must be <= data_set_samples"),
        ("batch_samples = 16.5", "simulate.batch_samples: must be a whole number of samples"),
        (
            'noise = { kind = "none", slow_learners = [{ learner = 16, factor = 2 }] }',
            "simulate.noise.slow_learners[0].learner: must be a learner from 0 to 15, got 16",
        ),
        (
            'learners = 4\nnoise = { kind = "none", slow_learners = [{ learner = 4, factor = 2 }] }',
            "simulate.noise.slow_learners[0].learner: must be a learner from 0 to 3, got 4",
        ),
    ],
)
def test_rules_of_simulate(tmp_path: Path, simulate: str, says: str) -> None:
    found = faults(tmp_path, f"[simulate]\n{simulate}\n")
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ("cluster.nodes = 3", "sweep.cluster.nodes: must be a list of values, got 3"),
        ("cluster.nodes = []", "sweep.cluster.nodes: must be a list of values, got []"),
        ("clutser.nodes = [1]", "sweep.clutser.nodes: must begin with a section; did you mean 'cluster'?"),
        ("cluster.ndoes = [1, 2]", "sweep.cluster.ndoes: "),
        ("reduce.delta_s = ['1 GB']", "sweep.reduce.delta_s"),
    ],
)
def test_rules_of_sweep(tmp_path: Path, sweep: str, says: str) -> None:
    found = faults(tmp_path, f"[sweep]\n{sweep}\n")
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize("crossover", ["learnres", "host_link.speed", ""])
def test_a_crossover_must_be_a_known_variable(tmp_path: Path, crossover: str) -> None:
    found = faults(tmp_path, f'[compare]\ncrossovers = ["{crossover}"]\n')
    assert any(line.startswith("compare.crossovers[0]") for line in found), found


JOBS = """
[allocate]
[[job]]
name = "a"
workload = "demo"
[[job]]
name = "b"
workload = "demo"
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "b"', 'name = "a"', "job[1].name: must be unique, got 'a' again"),
        ('name = "b"\nworkload = "demo"', 'name = "b"\nworkload = "dem"', "job[1].workload: must name a workload of the file"),
        ("[allocate]", '[allocate.trace]\nfile = "x.csv"', "job: must not be given beside [allocate.trace]"),
    ],
)
def test_rules_of_jobs(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in JOBS
    found = faults(tmp_path, JOBS.replace(old, new))
    assert any(line.startswith(says) for line in found), found


def test_workloads_have_names_of_their_own(tmp_path: Path) -> None:
    again = "\n".join(SCENARIO.split("[[workload]]")[1].split("[cluster]")[:1])
    assert faults(tmp_path, f"[[workload]]{again}") == ["workload[1].name: must be unique, got 'demo' again"]


def test_all_rules_are_reported_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        '[run]\nbatch_samples = 15\nlearners = [17, 16]\n[cost]\nkind = "purchase"\nusd_per_node_hour = 3\n[sweep]\nx.y = [1]\n'
        + JOBS.replace('workload = "demo"', 'workload = "?"'),
    )
    starts = ("run.learners[0]", "run.batch_samples", "cost.usd_per_node_hour", "sweep.x.y", "job[0]", "job[1]")
    assert all(any(line.startswith(start) for line in found) for start in starts), found


def test_a_fault_of_one_section_hides_no_fault_of_another(tmp_path: Path) -> None:
    found = faults(tmp_path, "[run]\nlearners = 17\nminimum = 3\n", ("seed = 7", "seed = -7"))
    assert any(line.startswith("run.minimum: unknown key") for line in found)
    assert any(line.startswith("seed: ") for line in found)


def test_a_section_of_another_verb_is_checked_and_never_warned_about(tmp_path: Path) -> None:
    extra = '[simulate.failures]\nkind = "exponential"\nnode_mtbf_s = "2 day"\ncheckpoint_s = "10 day"\n'
    path = written(tmp_path, SCENARIO + extra)
    plain = command("run", written(tmp_path, SCENARIO, "plain.toml"), "--json").answer
    answer = command("run", path, "--json").answer
    assert answer["warnings"] == plain["warnings"]
    assert "CheckpointWarning" in [warning["class"] for warning in command("simulate", path, "--json").answer["warnings"]]
    assert command("run", written(tmp_path, extra.replace('"2 day"', '"2 GB"') + SCENARIO)).status == 1
