from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.loading import values_of
from simulator.scenarios import load_scenario
from tests.support import SCENARIO, changed, command, written

UNCERTAIN = (
    "alpha_samples = 1_024_000.0",
    "alpha_samples = 1_024_000.0\nfit = { batch_samples_range = [64, 1024], relative_standard_errors = [0.05, 0.03], "
    "correlation = -0.6, discrepancy_relative = 0.03, run_to_run_relative = 0.02 }",
)


def answer(folder: Path, *replacements: tuple[str, str], extra: str = "", verb: str = "run") -> Any:
    found = command(verb, written(folder, changed(SCENARIO, *replacements) + extra), "--json")
    assert found.status == 0, found.err
    return found.answer


def without_effect(found: Any) -> set[str]:
    texts = [warning["text"] for warning in found["warnings"] if warning["class"] == "NoEffectWarning"]
    return {text.split(" had no effect on this answer")[0] for text in texts}


def test_every_value_of_a_table_has_its_key() -> None:
    tree = {"a": 1, "b": {"c": [1, 2]}, "d": [{"e": "x"}, {"f": None}]}
    assert dict(values_of(tree)) == {"a": 1, "b.c": [1, 2], "d[0].e": "x", "d[1].f": None}


def test_keys_with_an_effect_are_not_warned_about(tmp_path: Path) -> None:
    used = ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "ring"\nlatency_s = "5 us"\nbandwidth_bytes_per_s = "10 GB/s"')
    assert without_effect(answer(tmp_path, used)) == set()


@pytest.mark.parametrize(
    ("replacements", "extra", "dead"),
    [
        ((), "", {"workload[0].gradient_bytes"}),
        ((('gradient_bytes = "80 MB"\n', ""),), "", set()),
        (
            (('gradient_bytes = "80 MB"\n', 'train_flop_per_sample = "24 GFLOP"\n'),),
            "",
            {"workload[0].train_flop_per_sample"},
        ),
        (
            (('gradient_bytes = "80 MB"\n', ""),),
            '[network]\ntopology = "star"\n',
            {"network"},
        ),
        (
            (('gradient_bytes = "80 MB"\n', "weight = 3.0\n"),),
            "",
            set(),  # it belongs to the verbs that compare workloads
        ),
        (
            (
                ('gradient_bytes = "80 MB"\n', ""),
                ("[workload.compute.a100-sxm-80]", '[workload.compute.t4]\nkind = "affine"\ngamma_s_per_sample = 1\n'
                 "[workload.compute.a100-sxm-80]"),
            ),
            "",
            {"workload[0].compute.t4"},
        ),
    ],
)  # fmt: skip
def test_a_key_that_changed_nothing_is_warned_about(
    tmp_path: Path, replacements: tuple[tuple[str, str], ...], extra: str, dead: set[str]
) -> None:
    assert without_effect(answer(tmp_path, *replacements, extra=extra)) == dead


def test_bounds_that_are_not_active_are_no_reason_for_a_warning(tmp_path: Path) -> None:
    found = answer(
        tmp_path,
        ('gradient_bytes = "80 MB"\n', "input_samples_per_s = 1e9\n"),
        ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 4096"),
        extra="[run]\nmin_batch_samples = 16\nmax_batch_samples = 40_000\n",
    )
    assert without_effect(found) == set()


def test_keys_of_a_profile_are_not_warned_about() -> None:
    assert without_effect(command("run", "resnet50-a100", "--json").answer) == set()


def test_prices_that_no_version_reads_yet_are_warned_about(tmp_path: Path) -> None:
    found = answer(
        tmp_path,
        ('gradient_bytes = "80 MB"\n', ""),
        extra='[cost]\nkind = "ownership"\nelectricity_usd_per_kwh = 0.13\npue = 1.5\nlife_s = "4 year"\n',
    )
    assert found["cost_usd"] is None
    assert {"cost.electricity_usd_per_kwh", "cost.pue", "cost.life_s"} <= without_effect(found)


def test_an_interval_holds_the_answer_and_the_mean_is_narrower(tmp_path: Path) -> None:
    found = answer(tmp_path, UNCERTAIN)
    low, high = found["converge_time_s_interval90"]
    mean_low, mean_high = found["converge_time_s_mean_interval90"]
    assert low < mean_low < found["converge_time_s"] < mean_high < high
    assert set(found["interval_contributions"]) == {
        "parameters of the updates law",
        "discrepancy of the updates law",
        "run to run",
    }


def test_a_range_of_a_number_moves_the_interval_as_far_as_the_answer_moves(tmp_path: Path) -> None:
    found = answer(tmp_path, ('delta_s = "4 ms"', 'delta_s = { value = "4 ms", low = "4 ms", high = "8 ms" }'))
    T = found["converge_time_s"]
    slower = T * (found["compute_time_s"] + 0.008) / (found["compute_time_s"] + 0.004)
    assert found["converge_time_s_interval90"] == pytest.approx([T, slower])
    assert list(found["interval_contributions"]) == ["reduce.delta_s"]
    assert found["interval_contributions"]["reduce.delta_s"] == pytest.approx(slower / T - 1)


def test_without_uncertainty_there_is_no_interval_and_a_warning(tmp_path: Path) -> None:
    found = answer(tmp_path)
    assert found["converge_time_s_interval90"] is None
    assert found["converge_time_s_mean_interval90"] is None
    assert found["interval_contributions"] is None
    assert "NoUncertaintyWarning" in {warning["class"] for warning in found["warnings"]}


def test_extrapolating_widens_the_interval(tmp_path: Path) -> None:
    def width(M: int) -> float:
        found = answer(tmp_path, UNCERTAIN, extra=f"[run]\nbatch_samples = {M}\n")
        low, high = found["converge_time_s_interval90"]
        return float(high / low)

    assert width(1024) < width(2048) < width(4096)


def test_an_unchecked_figure_behind_the_answer_is_warned_about(tmp_path: Path) -> None:
    found = answer(tmp_path, ('delta_s = "4 ms"', 'delta_s = { value = "4 ms", source = "a guess", verified = false }'))
    texts = [warning["text"] for warning in found["warnings"] if warning["class"] == "UnverifiedWarning"]
    assert texts == ["nobody checked reduce.delta_s: see explain for where it comes from"]


def test_an_unchecked_figure_of_another_accelerator_is_not(tmp_path: Path) -> None:
    other = (
        "[workload.compute.a100-sxm-80]",
        '[workload.compute.t4]\nkind = "affine"\ngamma_s_per_sample = 1\nverified = false\n[workload.compute.a100-sxm-80]',
    )
    found = answer(tmp_path, other)
    assert "UnverifiedWarning" not in {warning["class"] for warning in found["warnings"]}


def test_optimum_warns_about_unchecked_figures_too(tmp_path: Path) -> None:
    found = answer(
        tmp_path,
        ('delta_s = "4 ms"', 'delta_s = { value = "4 ms", source = "a guess", verified = false }'),
        verb="optimum",
    )
    assert "UnverifiedWarning" in {warning["class"] for warning in found["warnings"]}


def test_an_infinite_exponent_has_an_effect(tmp_path: Path) -> None:
    found = answer(tmp_path, ('delta_s = "4 ms"', 'delta_s = "4 ms"\noverlap = { kind = "power", exponent = inf }'))
    assert not any(key.startswith("reduce.overlap") for key in without_effect(found))


def test_ranges_and_sources_of_what_was_laid_over_are_forgotten() -> None:
    shipped = load_scenario("resnet50-k80")
    ring = load_scenario("resnet50-k80", option="ring all-reduce")
    assert "reduce.delta_s" in shipped.records
    assert "reduce.delta_s" not in ring.records
    assert all(key in dict(values_of(ring.tree)) for key in ring.records)
