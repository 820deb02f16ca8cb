from __future__ import annotations

import tomllib
from typing import Any

import pytest

from simulator.compute import AffineCompute, KneeCompute, TabulatedCompute
from simulator.convergence import HardCornerLaw, InverseLaw, SharpCornerLaw, TabulatedUpdates
from simulator.errors import ScenarioError
from simulator.loading import structure
from simulator.network.laws import (
    ConstantReduce,
    LinearReduce,
    NodeLogReduce,
    NoReduce,
    RingReduce,
    TwoTierRingReduce,
)
from simulator.overlap import BucketOverlap, HiddenOverlap, MaxOverlap, PowerOverlap, SumOverlap
from simulator.scenarios.cluster_sections import FabricReduce
from simulator.scenarios.sections import ScenarioFile
from simulator.scenarios.workload_section import FromFlops

WORKLOAD = """
schema = 1
[[workload]]
name = "w"
[workload.convergence]
kind = "inverse"
n_inf_updates = 10
alpha_samples = 1000
[workload.compute.t4]
kind = "knee"
gamma_s_per_sample = 1
knee_samples = 2
"""


def sections(text: str, base: str = WORKLOAD) -> ScenarioFile:
    found: ScenarioFile = structure(tomllib.loads(base + text), ScenarioFile, file="f")
    return found


def faults(text: str, base: str = WORKLOAD) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        sections(text, base)
    return [str(fault).removeprefix("f: ") for fault in caught.value.faults]


def workload(convergence: str = "", compute: str = "") -> str:
    convergence = convergence or 'kind = "inverse"\nn_inf_updates = 10\nalpha_samples = 1000'
    compute = compute or '[workload.compute.t4]\nkind = "knee"\ngamma_s_per_sample = 1\nknee_samples = 2'
    return f'schema = 1\n[[workload]]\nname = "w"\n[workload.convergence]\n{convergence}\n{compute}\n'


def law(convergence: str) -> Any:
    return sections("", workload(convergence)).workload[0].convergence.law


def test_defaults_are_those_of_the_format() -> None:
    found = sections("")
    assert (found.seed, found.title, found.reduce, found.network, found.cost) == (0, "", None, None, None)
    run = found.run
    assert (run.batch_samples, run.learners, run.accumulation, run.whole_samples) == ("best", "all", 1, None)
    assert found.workload[0].tuning_factor == 1.0


@pytest.mark.parametrize(
    "text",
    [
        'kind = "inverse"\nn_inf_updates = 20\nalpha_samples = 1000',
        'kind = "inverse"\ns_min_updates = 20\ne_min_samples = "1000 samples"',
        'kind = "inverse"\nn_inf_updates = 20\ncritical_batch_samples = 50',
    ],
)
def test_the_inverse_law_has_three_spellings(text: str) -> None:
    assert law(text) == InverseLaw(n_inf_updates=20.0, alpha_samples=1000.0)


def test_the_spellings_do_not_mix() -> None:
    found = faults("", workload('kind = "inverse"\nn_inf_updates = 20\ne_min_samples = 1000'))
    assert found[0].startswith("workload[0].convergence: must give one of n_inf_updates + alpha_samples or s_min_updates")
    assert found[0].endswith("got e_min_samples, n_inf_updates")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("n_inf_updates = 20", "alpha_samples"),
        ("s_min_updates = 20", "e_min_samples"),
        ("critical_batch_samples = 50", "n_inf_updates"),
    ],
)
def test_half_a_spelling_names_the_other_half(text: str, key: str) -> None:
    found = faults("", workload(f'kind = "inverse"\n{text}'))
    assert found == [f"workload[0].convergence.{key}: is missing"]


@pytest.mark.parametrize("n_inf", ["0", "-5"])
def test_a_critical_batch_needs_a_floor_above_zero(n_inf: str) -> None:
    found = faults("", workload(f'kind = "inverse"\nn_inf_updates = {n_inf}\ncritical_batch_samples = 50'))
    assert found == [f"workload[0].convergence.n_inf_updates: must be finite and > 0, got {n_inf}"]


def test_every_kind_of_convergence() -> None:
    assert law('kind = "inverse"\nn_inf_updates = -3\nalpha_samples = 10') == InverseLaw(n_inf_updates=-3, alpha_samples=10)
    sharp = law('kind = "sharp"\nn_inf_updates = 3\nalpha_samples = 10\nsharpness = 1.3')
    assert sharp == SharpCornerLaw(n_inf_updates=3, alpha_samples=10, sharpness=1.3)
    assert law('kind = "corner"\nn_inf_updates = 3\nalpha_samples = 10') == HardCornerLaw(n_inf_updates=3, alpha_samples=10)
    table = law('kind = "tabulated"\nbatch_samples = [16, 32]\nupdates = [100, 60]')
    assert table == TabulatedUpdates(batch_samples=(16.0, 32.0), updates_at=(100.0, 60.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('kind = "invers"', "kind: must be one of inverse, sharp, power, corner, noise_floor, tabulated, got 'invers'"),
        ("n_inf_updates = 1", "kind: is missing"),
        ('kind = "sharp"\nn_inf_updates = 3\nalpha_samples = 10', "sharpness: is missing"),
        (
            'kind = "inverse"\nn_inf_updates = 3\nalpha_samples = 10\nsharpness = 2',
            "sharpness: is a key of kind 'sharp', not of 'inverse'",
        ),
        ('kind = "corner"\nn_inf_updates = 0\nalpha_samples = 10', "n_inf_updates: must be finite and > 0, got 0"),
        ('kind = "tabulated"\nbatch_samples = [16]\nupdates = [100]', "must have at least two points, got 1"),
        ('kind = "tabulated"\nbatch_samples = [32, 16]\nupdates = [1, 2]', "must increase, got [32.0, 16.0]"),
        ('kind = "tabulated"\nbatch_samples = [16, 32]\nupdates = [1]', "must have the same length, got 2 and 1"),
        ('kind = "tabulated"\nbatch_samples = 16\nupdates = [1]', "batch_samples: must be a list of numbers, got 16"),
        (
            'kind = "inverse"\nn_inf_updates = 3\nalpha_samples = 10\nfit = { batch_samples_range = [8] }',
            "must have two numbers each",
        ),
        (
            'kind = "inverse"\nn_inf_updates = 3\nalpha_samples = 10\nfit = { batch_samples_range = [8, 4] }',
            "fit.batch_samples_range: must be [smallest, largest], got [8.0, 4.0]",
        ),
        (
            'kind = "inverse"\nn_inf_updates = 3\nalpha_samples = 10\nfit = { batch_samples_range = [4, 8], correlation = 2 }',
            "fit.correlation: must be from -1 to 1, got 2",
        ),
        ('kind = "inverse"\nn_inf_updates = 3\nalpha_samples = 10\nfit = 3', "fit: must be a table, got 3"),
    ],
)
def test_faults_of_the_convergence_law(text: str, says: str) -> None:
    found = faults("", workload(text))
    assert any(line.startswith("workload[0].convergence") and says in line for line in found), found


def test_every_kind_of_compute() -> None:
    def compute(text: str, chip: str = "t4") -> Any:
        found = sections("", workload(compute=f"[workload.compute.{chip}]\n{text}")).workload[0].compute.entries
        return found[chip]

    knee = compute('kind = "knee"\ngamma_s_per_sample = "1 ms"\nknee_samples = 4\nmax_local_samples = 64')
    assert knee.law == KneeCompute(gamma_s_per_sample=1e-3, knee_samples=4.0)
    assert knee.max_local_samples == 64
    constant = compute('kind = "knee_constant"\ngamma_s_per_sample = 1\nknee_samples = 4\nconstant_s = "2 s"')
    assert constant.law == KneeCompute(gamma_s_per_sample=1, knee_samples=4, constant_s=2)
    assert compute('kind = "affine"\ngamma_s_per_sample = 1').law == AffineCompute(gamma_s_per_sample=1)
    table = compute('kind = "tabulated"\nlocal_samples = [1, 2]\ncompute_time_s = ["10 ms", "15 ms"]')
    assert table.law == TabulatedCompute(local_samples=(1, 2), compute_time_at_s=(0.01, 0.015))
    flops = compute("utilisation = 0.3\nknee_samples = 8", "from_flops")
    assert flops.law == FromFlops(utilisation=0.3, knee_samples=8)


@pytest.mark.parametrize(
    ("chip", "text", "says"),
    [
        ("t4", 'kind = "knee"\ngamma_s_per_sample = 1\nknee_samples = 4\nconstant_s = 1', "constant_s: is a key of kind"),
        ("t4", 'kind = "knee"\ngamma_s_per_sample = 1', "knee_samples: is missing"),
        ("t4", "gamma_s_per_sample = 1", "kind: is missing"),
        ("t4", 'kind = "affine"\ngamma_s_per_sample = 1\nmax_local_samples = 0', "max_local_samples: must be a whole"),
        ("t4", 'kind = "affine"\ngamma_s_per_sample = 1\nmax_local_samples = 2.5', "max_local_samples: must be a whole"),
        ("t4", 'kind = "affine"\ngamma_s_per_sample = 1\naccelerators_per_learner = 0', "accelerators_per_learner: must be"),
        ("t4", 'kind = "affine"\ngamma_s_per_sample = 1\naccelerators_per_learner = 1.5', "accelerators_per_learner: must be"),
        ("t4", 'kind = "tabulated"\nlocal_samples = [1, 2]\ncompute_time_s = [2, 1]', "must not decrease"),
        ("from_flops", "utilisation = 30\nknee_samples = 4", "utilisation: must be from 0 to 1, got 30"),
        ("from_flops", "utilisation = 0\nknee_samples = 4", "utilisation: must be finite and > 0, got 0"),
        ("from_flops", "utilisation = 0.3", "knee_samples: is missing"),
        ("from_flops", 'utilisation = 0.3\nknee_samples = 4\nprecision = "fp64"', "precision: must be one of fp32"),
    ],
)
def test_faults_of_the_compute_law(chip: str, text: str, says: str) -> None:
    found = faults("", workload(compute=f"[workload.compute.{chip}]\n{text}"))
    assert any(line.startswith(f"workload[0].compute.{chip}.{says.split(':')[0]}") or says in line for line in found), found


def test_compute_that_is_no_table_is_refused() -> None:
    assert faults("", WORKLOAD.replace("[workload.compute.t4]", "[workload.comput.t4]"))
    found = faults("", 'schema = 1\n[[workload]]\nname = "w"\ncompute = 3\nconvergence = 4\n')
    assert set(found) == {
        "workload[0].convergence: must be a table, got 4",
        "workload[0].compute: must be a table of accelerators, got 3",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind = "none"', NoReduce()),
        ('kind = "constant"\ndelta_s = "3 ms"', ConstantReduce(delta_s=0.003)),
        ('kind = "linear"\ndelta_s = 1', LinearReduce(delta_s=1)),
        (
            'kind = "node_log"\nin_node_s = 1\nnode_jump_s = 2\nper_doubling_s = 3',
            NodeLogReduce(in_node_s=1, node_jump_s=2, per_doubling_s=3, learners_per_node=1),
        ),
        (
            'kind = "two_tier_ring"\nin_node_s = 1\nacross_nodes_s = 2',
            TwoTierRingReduce(in_node_s=1, across_nodes_s=2, learners_per_node=1),
        ),
        (
            'kind = "ring"\nlatency_s = 1\nbandwidth_bytes_per_s = 2',
            RingReduce(latency_s=1, bandwidth_bytes_per_s=2, gradient_bytes=1),
        ),
        ('kind = "fabric"', FabricReduce()),
    ],
)
def test_every_kind_of_reduce(text: str, expected: Any) -> None:
    found = sections(f"[reduce]\n{text}")
    assert found.reduce is not None
    assert found.reduce.law == expected
    assert found.reduce.overlap == SumOverlap()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind = "sum"', SumOverlap()),
        ('kind = "power", exponent = 2', PowerOverlap(exponent=2)),
        ('kind = "max"', MaxOverlap()),
        ('kind = "hidden", fraction = 0.4', HiddenOverlap(fraction=0.4)),
        ('kind = "buckets", buckets = 25, backward_fraction = 0.67', BucketOverlap(buckets=25, backward_fraction=0.67)),
    ],
)
def test_every_kind_of_overlap(text: str, expected: Any) -> None:
    found = sections(f'[reduce]\nkind = "none"\noverlap = {{ {text} }}')
    assert found.reduce is not None
    assert found.reduce.overlap == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("delta_s = 1", "reduce.kind: is missing; one of none, constant"),
        ('kind = "contsant"\ndelta_s = 1', "reduce.kind: must be one of none, constant"),
        ('kind = "constant"', "reduce.delta_s: is missing"),
        ('kind = "constant"\ndelta_s = -1', "reduce.delta_s: must be finite and >= 0, got -1"),
        ('kind = "constant"\ndelta_s = 1\nper_doubling_s = 1', "reduce.per_doubling_s: is a key of kind 'node_log'"),
        ('kind = "ring"\nlatency_s = 1\nbandwidth_bytes_per_s = 0', "reduce.bandwidth_bytes_per_s: must be finite and > 0"),
        (
            'kind = "ring"\nlatency_s = 1\nbandwidth_bytes_per_s = 1\ngradient_bytes = 1',
            "reduce.gradient_bytes: unknown key; it comes from the workload",
        ),
        (
            'kind = "node_log"\nin_node_s = 1\nnode_jump_s = 2\nper_doubling_s = 3\nlearners_per_node = 8',
            "reduce.learners_per_node: unknown key; it comes from [cluster]",
        ),
        ('kind = "none"\noverlap = "sum"', "reduce.overlap: must be a table, got 'sum'"),
        ('kind = "none"\noverlap = { kind = "power", exponent = 0.5 }', "reduce.overlap.exponent: must be >= 1, got 0.5"),
        ('kind = "none"\noverlap = { kind = "hidden", fraction = 2 }', "reduce.overlap.fraction: must be from 0 to 1, got 2"),
        ('kind = "none"\noverlap = { kind = "buckets", buckets = 0 }', "reduce.overlap.buckets: must be a whole number >= 1"),
    ],
)
def test_faults_of_the_reduce_law(text: str, says: str) -> None:
    found = faults(f"[reduce]\n{text}")
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[cluster]\nnodes = 0", "cluster.nodes: must be a whole number >= 1, got 0"),
        ("[cluster]\nndoes = 1", "cluster.ndoes: unknown key; did you mean 'nodes'?"),
        ("[run]\nbatch_samples = []", "run.batch_samples: must not be an empty list"),
        ("[run]\nlearners = []", "run.learners: must not be an empty list"),
        ("[run]\nlearners = 0", "run.learners: must be a whole number >= 1, got 0"),
        ('[run]\nlearners = "al"', "run.learners: must be 'best' or 'all' or a whole number"),
        ("[run]\nwhole_samples = 1", "run.whole_samples: must be true or false, got 1"),
        ("[run]\naccumulation = 0", "run.accumulation: must be a whole number >= 1, got 0"),
        ('[cost]\nkind = "gift"', "cost.kind: must be one of purchase, cloud, ownership, got 'gift'"),
        ('[cost]\nkind = "ownership"\npue = 0.9', "cost.pue: must be >= 1, got 0.9"),
        ('[cost]\nkind = "cloud"\nusd_per_node_hour = "7 EUR/hour"', "cost.usd_per_node_hour: unit 'EUR' is not known"),
        ("[cross_validation]\nevery_updates = 10", "cross_validation.samples: is missing"),
        ("[cross_validation]\nevery_updates = 1.5\nsamples = 1", "cross_validation.every_updates: must be a whole number"),
        ('[network]\ntopology = "tree"', "network.topology: must be one of star, ring, xgft"),
        ('[network]\ntopology = "xgft"', "network.down: must be given for topology = 'xgft'"),
        ('[network]\ntopology = "xgft"\ndown = [4]\nup = [1, 1]', "network.up: must have as many levels as down"),
        ('[network]\ntopology = "graph"', "network.file: must be given for topology = 'graph'"),
        ('[network]\ntopology = "star"\noversubscription = 0.5', "network.oversubscription: must be >= 1, got 0.5"),
        ('[network]\ntopology = "star"\nplacement = { kind = "listed" }', "network.placement.hosts: must be given"),
        ('[network]\ntopology = "star"\nhost_link = { latency_s = 1 }', "network.host_link.bandwidth_bytes_per_s: is missing"),
        ('[simulate.noise]\nkind = "lognormal"', "simulate.noise.relative_sd: must be given for kind = 'lognormal'"),
        (
            '[simulate.noise]\nkind = "lognormal"\nrelative_sd = -0.1',
            "simulate.noise.relative_sd: must be finite and >= 0, got -0.1",
        ),
        (
            '[simulate.noise]\nkind = "exponential"\nrelative_sd = 1.5',
            "simulate.noise.relative_sd: must be <= 1 for kind = 'exponential', got 1.5",
        ),
        (
            '[simulate.noise]\nkind = "none"\nrelative_sd = 0.1',
            "simulate.noise.relative_sd: must not be given for kind = 'none'",
        ),
        (
            '[simulate.noise]\nkind = "none"\nslow_learners = [{ learner = 3, factor = 2 }, { learner = 3, factor = 1.5 }]',
            "simulate.noise.slow_learners: must name each learner once, got 3 again",
        ),
        ("[simulate]\nbarrier = false", "simulate.barrier: needs mode = 'every_learner', got 'cohorts'"),
        ('[simulate]\nserver = "fixed"', "simulate.server: needs mode = 'every_learner', got 'cohorts'"),
        ("[simulate]\nlearners_per_unit = 2", "simulate.learners_per_unit: needs mode = 'every_learner', got 'cohorts'"),
        ("[simulate]\nreplications = 0", "simulate.replications: must be a whole number >= 1, got 0"),
        ("[simulate]\nreplications = { min = 10 }", "simulate.replications.max: is missing"),
        (
            '[simulate]\nmode = "every_learner"\nbarrier = false\nlearners_per_unit = 2',
            "simulate.barrier: needs a compute unit for each learner, got learners_per_unit = 2",
        ),
        ("[simulate]\nreplications = { min = 3, max = 2 }", "simulate.replications.max: must be >= min = 3, got 2"),
        ("[simulate]\nreplications = 1_000_001", "simulate.replications: must be <= 1,000,000, got 1,000,001"),
        ("[simulate]\nreplications = { max = 1_000_001 }", "simulate.replications.max: must be <= 1,000,000, got 1,000,001"),
        (
            '[simulate.noise]\nkind = "gamma"\nrelative_sd = 11',
            "simulate.noise.relative_sd: must be <= 10: what scatters more is a hiccup, got 11",
        ),
        ('[simulate.failures]\nkind = "exponential"', "simulate.failures.node_mtbf_s: is missing"),
        (
            '[simulate.failures]\nkind = "exponential"\nnode_mtbf_s = 1\ncheckpoint_every_s = 1\ncheckpoint_every_updates = 2',
            "simulate.failures.checkpoint_every_updates: must not be given beside checkpoint_every_s",
        ),
        (
            '[design.choose]\nnode = ["t4"]\nnodes = { min = 1, max = 2 }',
            "design.budget_usd: must be given, or deadline_s, or both",
        ),
        (
            "[design]\nbudget_usd = 1\n[design.choose]\nnode = []\nnodes = { min = 3, max = 2 }",
            "design.choose.nodes.max: must be >= min = 3, got 2",
        ),
        ("[compare]\nlearners = [0]", "compare.learners"),
        ('[allocate]\npolicy = "lottery"', "allocate.policy: must be one of fcfs, equal"),
        (
            '[[job]]\nname = "a"\nworkload = "w"\nlearners_min = 4\nlearners_max = 2',
            "job[0].learners_max: must be >= learners_min",
        ),
        (
            '[allocate.arrivals]\nkind = "poisson"\nper_hour = 0\ncount = 3',
            "allocate.arrivals.per_hour: must be finite and > 0",
        ),
        ("[sweeep]\na = [1]", "sweeep: unknown key; did you mean 'sweep'?"),
    ],
)
def test_faults_of_the_other_sections(text: str, says: str) -> None:
    found = faults(text)
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "schema: is missing"),
        ("schema = 2", "schema: must be"),
        ('schema = "1"', "schema: must be"),
        ("schema = true", "schema: must be"),
        ("schema = 1.0", "schema: must be"),
        ("schema = 1", "workload: is missing"),
        ("schema = 1\nworkload = []", "workload: must be given at least once, as [[workload]]"),
        ("schema = 1\n[workload]\nname = 'a'", "workload: must be a list"),
    ],
)
def test_faults_of_the_file_as_a_whole(text: str, says: str) -> None:
    found = faults("", text)
    assert any(line.startswith(says) for line in found), found
