"""One shipped scenario through every command there is: T_C agrees between them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from simulator.cli import app, status
from simulator.cli.later import LATER
from simulator.scenarios import load_scenario

ROOT = Path(__file__).parents[1]
SCENARIO = "resnet50-a100"
HERE = {
    *("run", "optimum", "scale", "explain", "plot", "network", "bom", "start", "design", "compare", "fit", "validate"),
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


def test_the_cost_of_run_is_the_bills_share_of_its_time(on_a_fabric: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cost = '\n[cost]\nkind = "purchase"\nlife_s = "3 year"\nutilisation = 0.5\n'
    on_a_fabric.write_text(on_a_fabric.read_text(encoding="utf-8") + cost, encoding="utf-8")
    bill = answered(capsys, "bom", str(on_a_fabric))
    run = answered(capsys, "run", str(on_a_fabric))
    assert sum(row["usd"] for row in bill["rows"] if row["usd"] is not None) == pytest.approx(bill["total_usd"], rel=1e-12)
    life_s = 3 * 365.25 * 86400
    assert run["cost_usd"] == pytest.approx(bill["total_usd"] * run["converge_time_s"] / (life_s * 0.5), rel=1e-12)
    explained = {row["key"]: row["value"] for row in answered(capsys, "explain", str(on_a_fabric))["rows"]}
    assert explained["purchase"] == bill["total_usd"]
    flags = ("--node", "dgx-a100-640", "--nodes", "8", "--network", "ib-hdr", "--switch", "qm8700")
    assert answered(capsys, "bom", *flags)["rows"] == bill["rows"]


COMPARED_ALIKE = (
    *("learners", "batch_samples", "local_samples", "updates", "samples_processed", "update_time_s", "compute_time_s"),
    *("reduce_time_s", "converge_time_s", "converge_time_s_interval90", "converge_time_s_mean_interval90"),
    *("interval_contributions", "flat_range_samples", "best_batch_samples", "best_converge_time_s", "branch", "bound"),
    *("bottleneck", "shares", "cost_usd", "cost_usd_interval90", "cluster_usd", "nodes", "n_inf_updates", "alpha_samples"),
)


def test_one_option_that_changes_nothing_is_the_answer_of_run(
    run: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.toml"
    shipped = (ROOT / f"scenarios/{SCENARIO}.toml").read_text(encoding="utf-8")
    path.write_text(shipped + '\n[[option]]\nname = "as it is"\n', encoding="utf-8")
    found = answered(capsys, "compare", str(path))
    (row,) = found["rows"]
    assert {key: row[key] for key in COMPARED_ALIKE} == {key: run[key] for key in COMPARED_ALIKE}
    assert found["probability_best"] == {"as it is": 1.0}
    assert found["expected_regret_s"] == {"as it is": 0.0}
    assert found["warnings"] == run["warnings"]


def test_each_option_is_what_run_answers_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answered(capsys, "compare", "rent-or-buy")["rows"]
    assert [row["option"] for row in rows] == ["bought", "rented"]
    for row in rows:
        run = answered(capsys, "run", "rent-or-buy", "--option", row["option"])
        assert {key: row[key] for key in COMPARED_ALIKE} == {key: run[key] for key in COMPARED_ALIKE}


CANDIDATE = """
[cost]
kind = "purchase"

[design]
budget_usd = 1e9
[design.choose]
node = ["dgx-a100-640"]
nodes = { min = 8, max = 8 }
network = ["ib-hdr"]
switch = ["qm8700"]
topology = ["fat_tree"]
"""


def test_design_with_one_candidate_is_run_and_bom(on_a_fabric: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on_a_fabric.write_text(on_a_fabric.read_text(encoding="utf-8") + CANDIDATE, encoding="utf-8")
    run, bill = answered(capsys, "run", str(on_a_fabric)), answered(capsys, "bom", str(on_a_fabric))
    found = answered(capsys, "design", str(on_a_fabric))
    (trained,) = found["design"]["workloads"]
    for key in ("converge_time_s", "batch_samples", "learners", "updates", "reduce_time_s", "flat_range_samples", "bound"):
        assert trained[key] == run[key], key
    assert trained["converge_time_s_interval90"] == run["converge_time_s_interval90"]
    assert found["bill"] == bill["rows"]
    assert found["design"]["cost_usd"] == pytest.approx(bill["total_usd"], rel=1e-12)
    assert (found["compared"], found["runner_up"], found["probability_best"]) == (1, None, 1.0)


def test_compare_with_one_option_on_a_fabric_is_run(on_a_fabric: Path, capsys: pytest.CaptureFixture[str]) -> None:
    on_a_fabric.write_text(on_a_fabric.read_text(encoding="utf-8") + '\n[[option]]\nname = "as it is"\n', encoding="utf-8")
    run = answered(capsys, "run", str(on_a_fabric))
    (row,) = answered(capsys, "compare", str(on_a_fabric))["rows"]
    for key in ("converge_time_s", "batch_samples", "learners", "updates", "reduce_time_s", "bottleneck", "shares"):
        assert row[key] == run[key], key
    # by draws and by adding half-widths in squares: both 90 %, of the same sources; 4,096 draws know a quantile to 0.03 sd
    assert row["converge_time_s_drawn_interval90"] == pytest.approx(run["converge_time_s_mean_interval90"], rel=0.02)


def test_the_file_that_start_writes_is_one_that_design_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text('budget_usd = 5e6\njobs = ["resnet50-mlperf"]\nbuy_or_rent = "buy"\n', encoding="utf-8")
    found = answered(capsys, "start", str(tmp_path / "design.toml"), "--answers", str(answers))
    sections = load_scenario(found["path"]).sections
    assert sections.design is not None
    assert sections.design.budget_usd == 5e6
    bill = ("--node", sections.design.choose.node[0], "--nodes", "1")
    assert answered(capsys, "bom", *bill)["total_usd"] > 0


@pytest.mark.parametrize("kind", ["network", "reduce", "bill-of-materials"])
def test_what_validate_says_stands_in_the_document(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    everything = answered(capsys, "validate", kind)["summary"]["all"]
    document = (ROOT / "docs/validation.md").read_text(encoding="utf-8").split(f"\n## {kind}: ")[1].split("\n## ")[0]
    (line,) = [line for line in document.splitlines() if line.startswith("all ") and not line.startswith("all (")]
    assert line.split()[1:3] == [str(everything["cases"]), str(everything["series"])]


@pytest.mark.parametrize("verb", sorted(LATER))
def test_later_verbs_check_the_file_and_say_that_they_come_later(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status([verb, SCENARIO]) == 2
    assert f"'{verb}' is not in this version" in capsys.readouterr().err
