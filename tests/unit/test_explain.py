from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import SCENARIO, changed, command, numbers, written

KEYS = {"key", "value", "unit", "source", "verified", "equation"}


def rows(scenario: object, *flags: str) -> dict[str, Any]:
    found = command("explain", scenario, "--json", *flags)
    assert found.status == 0, found.err
    listed = found.answer["rows"]
    assert all(set(row) >= KEYS for row in listed)
    named = {row["key"]: row for row in listed}
    assert len(named) == len(listed), "a key has two rows"
    return named


def test_every_number_has_unit_source_and_equation(tmp_path: Path) -> None:
    path = written(
        tmp_path, changed(SCENARIO, ('"4 ms"', '{ value = "4 ms", low = "3 ms", high = "5 ms", source = "us", date = "2024" }'))
    )
    found = rows(path)
    delta = found["reduce.delta_s"]
    assert (delta["value"], delta["unit"], delta["low"], delta["high"]) == (0.004, "s", 0.003, 0.005)
    assert delta["source"] == f"us, 2024 ({path})"
    assert delta["equation"] == "delta in Delta(P) (Eqn 3)"
    assert found["workload[0].convergence.alpha_samples"]["unit"] == "sample"
    assert found["workload[0].compute.a100-sxm-80.gamma_s_per_sample"]["value"] == 0.001
    assert found["cluster.nodes"]["unit"] is None


def test_defaults_are_printed_as_such(tmp_path: Path) -> None:
    found = rows(written(tmp_path, SCENARIO))
    for key, value in (
        ("run.batch_samples", "best"),
        ("run.learners", "all"),
        ("run.accumulation", 1),
        ("reduce.overlap", "sum"),
        ("cluster.accelerators_per_learner", 1),
    ):
        assert (found[key]["value"], found[key]["source"]) == (value, "default")


def test_what_follows_from_the_files_is_derived(tmp_path: Path) -> None:
    found = rows(written(tmp_path, changed(SCENARIO, ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 64"))))
    assert found["learners at hand"]["value"] == 16
    assert found["critical_batch_samples"]["value"] == 1024
    assert found["highest batch_samples at 16 learners"]["value"] == 1024
    assert found["highest batch_samples at 16 learners"]["source"] == "bound memory"
    assert found["lowest batch_samples at 16 learners"]["value"] == 16


def test_the_learner_that_a_table_holds_for_is_listed(tmp_path: Path) -> None:
    text = changed(
        SCENARIO,
        ("knee_samples = 8", "knee_samples = 8\naccelerators_per_learner = 4"),
        ("nodes = 2", "nodes = 2\naccelerators_per_learner = 4"),
    )
    found = rows(written(tmp_path, text))
    row = found["workload[0].compute.a100-sxm-80.accelerators_per_learner"]
    assert (row["value"], row["equation"]) == (4, "the learner that Gamma holds for")


def test_the_hardware_is_listed_with_its_sources() -> None:
    found = rows("resnet50-a100")
    assert found["node.accelerators"]["value"] == 8
    assert found["accelerator.bf16_flop_per_s"]["unit"] == "FLOP/s"
    assert "nodes/dgx-a100-640.toml" in found["node.accelerators"]["source"]


def test_only_the_compute_law_in_use_is_listed() -> None:
    found = rows("resnet50-a100")
    assert any(".compute.a100-sxm-80." in key for key in found)
    assert not any(".compute.k80-gpu." in key for key in found)


def test_a_gamma_from_flops_is_called_an_estimate(tmp_path: Path) -> None:
    text = (
        'schema = 1\n[[workload]]\nuse = "resnet50-mlperf"\n[cluster]\nnode = "dgx-h100"\nnodes = 1\n[reduce]\nkind = "none"\n'
    )
    found = rows(written(tmp_path, text))
    assert "estimated, not measured" in found["gamma_s_per_sample"]["source"]
    assert found["workload[0].compute.from_flops.utilisation"]["low"] == 0.16


def test_an_option_is_explained_as_laid_over() -> None:
    found = rows("resnet50-k80", "--option", "ring all-reduce")
    assert found["reduce.kind"]["value"] == "ring"
    assert found["reduce.latency_s"]["verified"] is False
    assert "reduce.delta_s" not in found


def test_a_floor_that_one_learner_cannot_hold_does_not_stop_the_explanation(tmp_path: Path) -> None:
    text = changed(SCENARIO, ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 64"))
    found = rows(written(tmp_path, text + "[run]\nmin_batch_samples = 200\n"))
    assert found["run.min_batch_samples"]["value"] == 200
    assert found["lowest batch_samples at 16 learners"]["value"] == 200


@pytest.mark.parametrize("scenario", ["resnet50-a100", "resnet50-k80"])
def test_the_text_names_every_key_and_numbers_its_sources(scenario: str) -> None:
    text = command("explain", scenario).out
    for key in rows(scenario):
        assert key in text
    sources = text.split("Sources")[1]
    listed = [line.split("]")[0].split("[")[1] for line in sources.splitlines() if line.startswith("  [")]
    assert listed == [str(i) for i in range(1, len(listed) + 1)]


def test_the_json_holds_finite_numbers() -> None:
    assert all(abs(value) < 1e30 for _, value in numbers(command("explain", "resnet50-k80", "--json").answer))


def test_learners_that_leave_no_host_for_the_servers_do_not_stop_the_explanation(tmp_path: Path) -> None:
    network = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\ncollective = "ps"\nservers = 8\n'
    text = changed(SCENARIO, ('kind = "constant"\ndelta_s = "4 ms"\n', f'kind = "fabric"\n{network}'))
    delta = rows(written(tmp_path, text))["Delta at 16 learners"]
    assert delta["value"] is None
    assert delta["source"] == "servers must be at most the 0 hosts that 16 learners leave free, got 8"


def test_the_utilisation_of_money_is_not_that_of_gamma() -> None:
    found = rows("h100-64-nodes")
    assert found["cost.utilisation"]["equation"] == "cost = total*T_C/(life*utilisation)"


def test_the_rates_of_network_profiles_are_listed_with_their_ranges() -> None:
    found = rows("resnet50-a100-compare", "--option", "100 GbE, all-reduce")
    rate = found["roce100.usable_bandwidth_bytes_per_s"]
    assert (rate["value"], rate["unit"], rate["verified"]) == (12e9, "B/s", False)
    assert (rate["low"], rate["high"]) == (pytest.approx(38.6e9 / 8), None)
    assert "issue trackers of nccl" in rate["source"]
    assert found["sn2700.radix"]["value"] == 32
