"""One shipped scenario through every command there is: T_C agrees between them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from simulator.cli import app, status
from simulator.cli.later import LATER

ROOT = Path(__file__).parents[1]
SCENARIO = "resnet50-a100"
HERE = {
    *("run", "optimum", "scale", "simulate", "sweep", "explain", "plot", "network", "fit", "validate", "allocate"),
    *("scenarios", "profiles"),
}
"""Commands that the story goes through; the test below fails when one joins the program but not the story."""


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert status([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return answered(capsys, "run", SCENARIO)


def test_every_command_is_in_the_story_or_said_to_come_later() -> None:
    commands = {name for name in app if not name.startswith("-")}
    assert commands == HERE | set(LATER)


def test_optimum_gives_the_time_of_run(run: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    optimum = answered(capsys, "optimum", SCENARIO, "--whole")
    for key in (
        "converge_time_s",
        "batch_samples",
        "learners",
        "updates",
        "update_time_s",
        "flat_range_samples",
        "bound",
        "branch",
    ):
        assert optimum[key] == run[key], key


def test_the_papers_real_numbers_differ_by_less_than_one_update(
    run: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    # U = ceil(N_Update) rounds up by less than one update; M_opt real instead of a multiple of P can only be faster.
    exact = answered(capsys, "optimum", SCENARIO)
    assert exact["converge_time_s"] <= run["converge_time_s"]
    local = exact["local_samples"]
    one_update_s = run["update_time_s"]
    # whole samples per learner change T_C by at most its second-order term; bounded here by one sample's share of the time
    one_sample_s = exact["converge_time_s"] * (math.ceil(local) / local - 1.0)
    assert run["converge_time_s"] - exact["converge_time_s"] < one_update_s + one_sample_s


def test_scale_gives_the_time_of_run_at_all_learners(run: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    rows = answered(capsys, "scale", SCENARIO, "--whole", "--learners", "1,8,64")["rows"]
    (optimal,) = [row for row in rows if row["scaling"] == "optimal" and row["learners"] == 64]
    assert optimal["converge_time_s"] == run["converge_time_s"]
    assert optimal["batch_samples"] == run["batch_samples"]


@pytest.mark.parametrize("mode", ["cohorts", "every_learner"])
def test_simulate_without_noise_gives_the_time_of_run(
    mode: str, run: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shipped = (ROOT / "scenarios" / f"{SCENARIO}.toml").read_text(encoding="utf-8")
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(f'{shipped}\n[simulate]\nmode = "{mode}"\n', encoding="utf-8")
    simulated = answered(capsys, "simulate", str(scenario))
    # a sum of at most 1e4 updates: rounding stays below 1e4 * 2^-53
    assert simulated["converge_time_s"]["mean"] == pytest.approx(run["converge_time_s"], rel=1e-9)
    assert simulated["closed_form_s"] == pytest.approx(run["converge_time_s"], rel=1e-12)
    assert simulated["closed_form_s_interval90"] == pytest.approx(run["converge_time_s_interval90"], rel=1e-12)
    assert simulated["shares"] == pytest.approx(run["shares"], abs=1e-9)
    assert sum(abs(seconds) for seconds in simulated["difference"].values()) < 1e-9 * run["converge_time_s"]
    for key in ("learners", "batch_samples", "nodes", "workload"):
        assert simulated[key] == run[key], key


@pytest.mark.parametrize("by", ["closed_form", "simulation"])
def test_sweep_gives_the_time_of_run_for_the_value_of_run(
    by: str, run: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shipped = (ROOT / "scenarios" / f"{SCENARIO}.toml").read_text(encoding="utf-8")
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(f"{shipped}\n[sweep]\ncluster.nodes = [4, 8]\n", encoding="utf-8")
    rows = answered(capsys, "sweep", str(scenario), "--by", by)["rows"]
    (row,) = [row for row in rows if row["cluster.nodes"] == 8]
    assert row["converge_time_s"] == pytest.approx(run["converge_time_s"], rel=1e-9)
    assert (row["learners"], row["batch_samples"]) == (run["learners"], run["batch_samples"])


ONE_JOB = """
[allocate]
restart_s = "30 s"

[[job]]
name = "only"
workload = "resnet50-mlperf"
{learners}
"""


def with_one_job(folder: Path, learners: str) -> str:
    """The scenario as a data centre with one job."""
    shipped = (ROOT / "scenarios" / f"{SCENARIO}.toml").read_text(encoding="utf-8")
    scenario = folder / "one-job.toml"
    scenario.write_text(shipped + ONE_JOB.format(learners=learners), encoding="utf-8")
    return str(scenario)


def test_allocate_with_one_job_gives_the_time_of_run_and_of_simulate(
    run: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scenario = with_one_job(tmp_path, f"learners = {run['learners']}")
    found = answered(capsys, "allocate", scenario, "--compare")
    assert found["static"]["value"] == run["converge_time_s"]
    assert found["static"]["gap"] == 0.0
    assert len(found["rows"]) == 6  # static, and five policies
    for row in found["rows"]:
        assert row["completion_s"] == pytest.approx(run["converge_time_s"], rel=1e-12)
        assert row["learners_first"] == row["learners_last"] == run["learners"]
        assert (row["batch_samples_last"], row["updates"]) == (run["batch_samples"], run["updates"])
    # what the event-driven simulation of the same job takes without noise: a sum of at most 1e4 updates
    simulated = answered(capsys, "simulate", scenario)
    assert found["rows"][1]["completion_s"] == pytest.approx(simulated["converge_time_s"]["mean"], rel=1e-9)


def test_a_job_alone_gets_as_many_learners_as_make_it_fastest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    best = answered(capsys, "optimum", SCENARIO, "--whole", "--learners", "best")
    rows = answered(capsys, "allocate", with_one_job(tmp_path, ""))["rows"]
    assert [row["policy"] for row in rows] == ["static", "marginal-gain"]
    for row in rows:
        assert (row["learners_last"], row["completion_s"]) == (
            best["learners"],
            pytest.approx(best["converge_time_s"], rel=1e-12),
        )


def test_explain_lists_the_numbers_that_give_the_time_of_run(run: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    value = {row["key"].rsplit(".", 1)[-1]: row["value"] for row in answered(capsys, "explain", SCENARIO)["rows"]}
    M, P = run["batch_samples"], value["learners at hand"]
    updates = math.ceil(value["n_inf_updates"] + value["alpha_samples"] / M)  # Eqn 2
    compute_s = value["gamma_s_per_sample"] * max(math.ceil(M / P), value["knee_samples"])  # Eqn 4
    reduce_s = value["in_node_s"] + value["node_jump_s"] + value["per_doubling_s"] * math.log2(P)
    assert run["converge_time_s"] == pytest.approx(updates * (compute_s + reduce_s), rel=1e-12)


def test_a_saved_run_holds_the_same_answer_and_plots(
    run: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    saved = answered(capsys, "run", SCENARIO, "--out", str(tmp_path))
    assert saved["converge_time_s"] == run["converge_time_s"]
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["converge_time_s"] == run["converge_time_s"]
    figures = answered(capsys, "plot", str(tmp_path))["figures"]
    assert figures
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in figures)


def test_the_measured_gamma_lies_in_the_interval_that_validate_predicts_for_its_pair(
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = {row["key"].rsplit(".", 1)[-1]: row["value"] for row in answered(capsys, "explain", SCENARIO)["rows"]}
    (row,) = (
        row
        for row in answered(capsys, "validate", "gamma")["rows"]
        if row["case"] == "resnet50 on a100-sxm-80, bf16" and row["quantity"] == "gamma_s_per_sample"
    )
    assert row["lo90"] < value["gamma_s_per_sample"] < row["hi90"]  # from no ResNet-50 on any A100


def test_the_shelves_know_the_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert SCENARIO in [row["name"] for row in answered(capsys, "scenarios")["rows"]]
    assert "dgx-a100-640" in [row["name"] for row in answered(capsys, "profiles", "nodes")["rows"]]


def test_the_law_that_fit_saves_gives_the_time_of_run(
    run: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The scenario with its updates law fitted anew from the reference points that the shipped one was fitted to.

    The two fits differ by their weak prior and weights only: by less than a tenth of the parameters' standard errors (4 and
    2 %), so T_C, which takes about 15 % of its updates from the floor, agrees within 0.3 %.
    """
    law = tmp_path / "fitted.toml"
    answered(capsys, "fit", "updates", str(ROOT / "scenarios/measurements/mlperf_rcp_resnet_2.0.0.csv"), "--save", str(law))
    shipped = (ROOT / "scenarios/workloads/resnet50-mlperf.toml").read_text(encoding="utf-8")
    convergence = law.read_text(encoding="utf-8").split("[convergence]")[1].split("# Seconds")[0]
    start, rest = shipped.split("[convergence]")
    workload = start + "[convergence]" + convergence + "[compute." + rest.split("[compute.", 1)[1]
    (tmp_path / "resnet50-mlperf.toml").write_text(workload, encoding="utf-8")
    scenario = (ROOT / "scenarios/resnet50-a100.toml").read_text(encoding="utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(scenario.replace('use = "resnet50-mlperf"', 'use = "./resnet50-mlperf.toml"'), encoding="utf-8")
    assert answered(capsys, "run", str(mine))["converge_time_s"] == pytest.approx(run["converge_time_s"], rel=3e-3)


def test_validate_knows_the_points_of_the_law_of_run(run: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The law that run uses gives the in-sample values of the plain law for its series, to the digits that the file holds."""
    n_inf, alpha = run["n_inf_updates"], run["alpha_samples"]
    rows = [
        row
        for row in answered(capsys, "validate", "updates")["rows"]
        if row["series"] == "2.0.0/resnet/lars" and (row["group"], row["quantity"]) == ("in_sample", "law")
    ]
    assert len(rows) == 10
    for row in rows:
        M = float(row["case"].split(" at ")[1])
        assert row["predicted"] == pytest.approx(n_inf + alpha / M, rel=2e-4)


NETWORK = """\
[network]
topology = "fat_tree"
switch = "qm8700"
host_link = "ib-hdr"

"""


@pytest.fixture
def on_a_fabric(tmp_path: Path) -> Path:
    """Return the scenario with a fat tree instead of its reduce law."""
    text = (ROOT / "scenarios/resnet50-a100.toml").read_text(encoding="utf-8")
    path = tmp_path / "fabric.toml"
    path.write_text(text[: text.index("[reduce]")] + NETWORK + text[text.index("[run]") :], encoding="utf-8")
    return path


def test_every_command_takes_the_time_that_network_gives(on_a_fabric: Path, capsys: pytest.CaptureFixture[str]) -> None:
    delta_s = answered(capsys, "network", str(on_a_fabric))["reduce_time_s"]
    run = answered(capsys, "run", str(on_a_fabric))
    assert run["reduce_time_s"] == delta_s > 0
    assert run["update_time_s"] == pytest.approx(run["compute_time_s"] + delta_s, rel=1e-12)
    optimum = answered(capsys, "optimum", str(on_a_fabric), "--whole")
    assert (optimum["reduce_time_s"], optimum["converge_time_s"]) == (delta_s, run["converge_time_s"])
    rows = answered(capsys, "scale", str(on_a_fabric), "--whole", "--learners", "1,16,64")["rows"]
    (optimal,) = [row for row in rows if row["scaling"] == "optimal" and row["learners"] == 64]
    assert optimal["converge_time_s"] == run["converge_time_s"]
    explained = {row["key"]: row["value"] for row in answered(capsys, "explain", str(on_a_fabric))["rows"]}
    assert explained["network.switch"] == "qm8700"
    assert explained["Delta at 64 learners"] == delta_s


def test_the_network_of_the_flags_is_that_of_the_scenario(on_a_fabric: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = {row["key"].rsplit(".", 1)[-1]: row["value"] for row in answered(capsys, "explain", SCENARIO)["rows"]}
    size = value["gradient_bytes"]
    flags = ("--topology", "fat_tree", "--switch", "qm8700", "--host-link", "ib-hdr", "--node", "dgx-a100-640")
    found = answered(capsys, "network", *flags, "--learners", "64", "--bytes", str(size))
    assert found["rows"] == answered(capsys, "network", str(on_a_fabric))["rows"]


@pytest.mark.parametrize("kind", ["network", "reduce"])
def test_what_validate_says_stands_in_the_document(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    everything = answered(capsys, "validate", kind)["summary"]["all"]
    document = (ROOT / "docs/validation.md").read_text(encoding="utf-8").split(f"\n## {kind}: ")[1].split("\n## ")[0]
    (line,) = [line for line in document.splitlines() if line.startswith("all ") and not line.startswith("all (")]
    assert line.split()[1:3] == [str(everything["cases"]), str(everything["series"])]


@pytest.mark.parametrize("verb", sorted(LATER))
def test_later_verbs_check_the_file_and_say_that_they_come_later(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status([verb, SCENARIO]) == 2
    assert f"'{verb}' is not in this version" in capsys.readouterr().err
