from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.compute import KneeCompute
from simulator.errors import ScenarioError
from simulator.network.laws import NodeLogReduce, NoReduce, RingReduce
from simulator.overlap import PowerOverlap, SumOverlap
from simulator.scenarios import Case, load_scenario
from tests.support import SCENARIO, changed, written


def case(folder: Path, *replacements: tuple[str, str], extra: str = "", **choice: Any) -> Case:
    scenario = load_scenario(str(written(folder, changed(SCENARIO, *replacements) + extra)))
    return Case.of(scenario, **choice)


def test_a_case_has_the_laws_of_the_file(tmp_path: Path) -> None:
    found = case(tmp_path)
    model = found.model
    assert (found.workload, found.workload_index, found.compute_key) == ("demo", 0, "workload[0].compute.a100-sxm-80")
    assert float(model.converge_time_s(256, 16)) == pytest.approx(5000 * (0.016 + 0.004))
    assert model.rounding == "whole"
    assert model.overlap == SumOverlap()
    assert (found.learners_at_hand, found.learners, found.batch_samples) == (16, ("all",), ("best",))
    assert found.learners_number("all") == 16
    assert found.learners_number(3) == 3
    assert found.learners_number("best") == "best"


@pytest.mark.parametrize(
    ("extra", "asked", "expected"),
    [
        ("", None, "whole"),
        ("[run]\nwhole_samples = true\n", None, "whole"),
        ("[run]\nwhole_samples = false\n", None, "exact"),
        ("[run]\nwhole_samples = false\n", "ceil", "ceil"),
    ],
)
def test_what_is_whole(tmp_path: Path, extra: str, asked: Any, expected: str) -> None:
    assert case(tmp_path, extra=extra, rounding=asked).model.rounding == expected


def test_learners_of_several_accelerators_share_the_gradient_and_the_node(tmp_path: Path) -> None:
    ring = 'kind = "ring"\nlatency_s = "5 us"\nbandwidth_bytes_per_s = "10 GB/s"'
    found = case(
        tmp_path,
        ("nodes = 2", "nodes = 2\naccelerators_per_learner = 4"),
        ('kind = "constant"\ndelta_s = "4 ms"', ring),
    )
    law = found.model.reduce
    assert isinstance(law, RingReduce)
    assert law.gradient_bytes == 80e6 / 4
    assert found.learners_at_hand == 4
    assert [found.nodes(P) for P in (1, 2, 3, 4)] == [1, 1, 2, 2]
    logarithmic = 'kind = "node_log"\nin_node_s = 0\nnode_jump_s = 1\nper_doubling_s = 0'
    found = case(
        tmp_path,
        ("nodes = 2", "nodes = 2\naccelerators_per_learner = 4"),
        ('kind = "constant"\ndelta_s = "4 ms"', logarithmic),
    )
    assert isinstance(found.model.reduce, NodeLogReduce)
    assert found.model.reduce.learners_per_node == 2


def test_a_ring_needs_the_size_of_the_gradient(tmp_path: Path) -> None:
    ring = 'kind = "ring"\nlatency_s = "5 us"\nbandwidth_bytes_per_s = "10 GB/s"'
    with pytest.raises(ScenarioError, match=r"workload\[0\].gradient_bytes: is missing: this kind of \[reduce\] needs it"):
        case(tmp_path, ('gradient_bytes = "80 MB"\n', ""), ('kind = "constant"\ndelta_s = "4 ms"', ring))


def test_a_table_that_says_its_learner_needs_no_warning(tmp_path: Path) -> None:
    four = ("nodes = 2", "nodes = 2\naccelerators_per_learner = 4")
    with pytest.warns(UserWarning, match="is taken as measured on a learner of 4 accelerators"):
        case(tmp_path, four).warn_about(256)
    stated = case(tmp_path, four, ("knee_samples = 8", "knee_samples = 8\naccelerators_per_learner = 4"))
    assert stated.learner_size_stated
    stated.warn_about(256)  # warnings are errors in these tests


FLOPS = """\
[workload.compute.from_flops]
utilisation = 0.5
knee_samples = 8
"""


def test_gamma_is_estimated_from_flops_where_nobody_timed_it(tmp_path: Path) -> None:
    found = case(
        tmp_path,
        ("[workload.compute.a100-sxm-80]\n", FLOPS + "[workload.compute.a100-sxm-80]\n"),
        ('sample_unit = "image"', 'sample_unit = "image"\ntrain_flop_per_sample = "24 GFLOP"'),
        ("dgx-a100-640", "dgx-h100"),
    )
    assert isinstance(found.model.compute, KneeCompute)
    assert found.model.compute.gamma_s_per_sample == pytest.approx(24e9 / (989e12 * 0.5))
    assert found.model.compute.knee_samples == 8
    assert found.estimated == (
        "compute time on h100-sxm is estimated, not measured: 50% of the bf16 peak gives 4.853e-05 s per image"
    )
    with (
        pytest.warns(UserWarning, match="nothing says how many images the memory holds"),
        pytest.warns(UserWarning, match="estimated, not measured"),
    ):
        found.warn_about(256)


def test_a_learner_of_four_chips_has_four_times_the_peak(tmp_path: Path) -> None:
    def gamma(per_learner: int) -> float:
        law = case(
            tmp_path,
            ("[workload.compute.a100-sxm-80]\n", FLOPS + "[workload.compute.a100-sxm-80]\n"),
            ('sample_unit = "image"', 'sample_unit = "image"\ntrain_flop_per_sample = "24 GFLOP"'),
            ("dgx-a100-640", "dgx-h100"),
            ("nodes = 2", f"nodes = 2\naccelerators_per_learner = {per_learner}"),
        ).model.compute
        assert isinstance(law, KneeCompute)
        return law.gamma_s_per_sample

    assert gamma(4) == pytest.approx(gamma(1) / 4)


@pytest.mark.parametrize(
    ("replacements", "says"),
    [
        (
            (("dgx-a100-640", "dgx-h100"),),
            r"workload\[0\].compute: nobody timed this workload on 'h100-sxm' \(timed: a100-sxm-80\)",
        ),
        (
            (("dgx-a100-640", "dgx-h100"), ("[workload.compute.a100-sxm-80]\n", FLOPS + "[workload.compute.a100-sxm-80]\n")),
            r"workload\[0\].train_flop_per_sample: is missing: compute.from_flops needs it",
        ),
        ((('[cluster]\nnode = "dgx-a100-640"\nnodes = 2\n', ""),), "cluster: is missing: say which nodes and how many"),
    ],
)
def test_what_a_case_lacks_is_named(tmp_path: Path, replacements: tuple[tuple[str, str], ...], says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        case(tmp_path, *replacements)


def test_a_precision_that_the_chip_has_not_is_refused(tmp_path: Path) -> None:
    text = FLOPS.replace("knee_samples", 'precision = "fp8"\nknee_samples')
    with pytest.raises(
        ScenarioError, match=r"compute.from_flops.precision: must be one of fp32, bf16, the peaks of t4, got fp8"
    ):
        case(
            tmp_path,
            ("[workload.compute.a100-sxm-80]\n", text + "[workload.compute.a100-sxm-80]\n"),
            ('sample_unit = "image"', 'sample_unit = "image"\ntrain_flop_per_sample = "24 GFLOP"'),
            ("dgx-a100-640", "aws-g4dn.12xlarge"),
        )


SECOND = """
[[workload]]
name = "second"
[workload.convergence]
kind = "corner"
n_inf_updates = 10
alpha_samples = 1000
[workload.compute.a100-sxm-80]
kind = "affine"
gamma_s_per_sample = "2 ms"
"""


def test_one_of_several_workloads_is_chosen_by_name(tmp_path: Path) -> None:
    found = case(tmp_path, extra=SECOND, workload="second")
    assert (found.workload, found.workload_index, found.sample_unit) == ("second", 1, "sample")
    assert found.compute_key == "workload[1].compute.a100-sxm-80"
    with pytest.raises(ScenarioError, match="workload: there are 2: say which, --workload NAME; known: demo, second"):
        case(tmp_path, extra=SECOND)
    with pytest.raises(ScenarioError, match=r"workload: none is named 'secnod'; did you mean 'second'\?"):
        case(tmp_path, extra=SECOND, workload="secnod")


def test_bounds_come_from_the_file(tmp_path: Path) -> None:
    fit = "alpha_samples = 1_024_000.0\nfit = { batch_samples_range = [64, 1024] }"
    found = case(
        tmp_path,
        ("alpha_samples = 1_024_000.0", fit),
        ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 100"),
        extra="[run]\nmin_batch_samples = 32\nmax_batch_samples = 512\n",
    )
    limits = found.limits
    assert (limits.data_set_samples, limits.largest_measured_samples) == (50_000, 1024)
    assert (limits.min_batch_samples, limits.max_batch_samples) == (32, 512)
    assert found.model.max_local_samples == 100
    assert np.isinf(case(tmp_path).model.max_local_samples)


def test_cloud_cost_is_nodes_times_hours_times_price(tmp_path: Path) -> None:
    found = case(tmp_path, extra='[cost]\nkind = "cloud"\nusd_per_node_hour = 10\n')
    assert found.cost_usd(16, 7200.0) == 2 * 2 * 10
    assert found.cost_usd(3, 3600.0) == 1 * 1 * 10
    assert case(tmp_path).cost_usd(16, 7200.0) is None
    chips = ('node = "dgx-a100-640"\nnodes = 2', 'accelerator = "a100-sxm-80"\naccelerators = 12')
    assert case(tmp_path, chips).nodes(12) is None


def test_the_fabric_is_asked_for_delta(tmp_path: Path) -> None:
    fabric = ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "fabric"')
    link = 'host_link = { bandwidth_bytes_per_s = 10e9, latency_s = "1 us" }'
    extra = f'[network]\ntopology = "graph"\nfile = "g.json"\ncollective = "ring"\n{link}\n'
    hosts = [{"id": f"h{i}", "host": i} for i in range(16)]
    cable = {"bandwidth_bytes_per_s": 10e9, "latency_s": 1e-6}
    edges = [{"source": f"h{i}", "target": "switch", **cable} for i in range(16)]
    graph = {"directed": False, "multigraph": False, "graph": {}, "nodes": [*hosts, {"id": "switch"}], "edges": edges}
    (tmp_path / "g.json").write_text(json.dumps(graph), encoding="utf-8")
    reduce = case(tmp_path, fabric, extra=extra).model.reduce
    # the ring's closed form: 2 (P-1) steps of two links' latency and a P-th of 80 MB
    expected = [2 * (P - 1) * (2e-6 + 80e6 / P / 10e9) for P in (1, 2, 16)]
    assert reduce.reduce_time_s([1, 2, 16]) == pytest.approx(expected, rel=1e-12)


def test_overlap_and_accumulation_reach_the_model(tmp_path: Path) -> None:
    found = case(
        tmp_path,
        ('delta_s = "4 ms"', 'delta_s = "4 ms"\noverlap = { kind = "power", exponent = 2.0 }'),
        ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 64"),
        extra='[run]\naccumulation = "auto"\n[cross_validation]\nevery_updates = 10\nsamples = 1000\n',
    )
    assert found.model.overlap == PowerOverlap(exponent=2.0)
    assert found.model.accumulation == "auto"
    assert found.model.cross_validation is not None


def test_automatic_accumulation_needs_to_know_the_memory(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="accumulation must be a number where max_local_samples is not given"):
        case(tmp_path, extra='[run]\naccumulation = "auto"\n')


def test_reduce_of_kind_none_is_no_communication(tmp_path: Path) -> None:
    assert case(tmp_path, ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "none"')).model.reduce == NoReduce()
