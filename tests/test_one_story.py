"""One shipped scenario through every command there is: T_C agrees between them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from simulator.cli import app, status
from simulator.scenarios import load_scenario

ROOT = Path(__file__).parents[1]
SCENARIO = "resnet50-a100"
HERE = {
    *("run", "optimum", "scale", "simulate", "sweep", "explain", "plot", "network", "bom", "start", "design", "compare"),
    *("fit", "validate", "measure", "allocate"),
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


def test_every_command_is_in_the_story() -> None:
    commands = {name for name in app if not name.startswith("-")}
    assert commands == HERE


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


def test_what_was_measured_here_goes_through_the_same_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "mine"
    flags = ("--batch-samples", "8,64,512", "--learning-rates", "0.5", "--targets", "0.8", "--seeds", "2")
    measured = answered(capsys, "measure", "digits-mlp", *flags, "--out", str(out))
    fitted = answered(capsys, "fit", "updates", str(out / "updates.csv"), "--series", "training 0.8")
    assert fitted["model"] == measured["model"]
    run = answered(capsys, "run", measured["scenario_path"])
    assert run["batch_samples"] == measured["batch_samples_best"]
    assert run["flat_range_samples"] == measured["flat_range_samples"]
    law = measured["model"]["parameters"]
    assert run["updates"] == math.ceil(law["n_inf_updates"] + law["alpha_samples"] / run["batch_samples"])  # Eqn 2
    optimum = answered(capsys, "optimum", measured["scenario_path"], "--whole")
    assert optimum["converge_time_s"] == run["converge_time_s"]
    value = {
        row["key"].rsplit(".", 1)[-1]: row["value"] for row in answered(capsys, "explain", measured["scenario_path"])["rows"]
    }
    assert value["n_inf_updates"] == law["n_inf_updates"]
    assert answered(capsys, "plot", str(out))["figures"]


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
    assert sections.design.choose is not None
    assert sections.design.budget_usd == 5e6
    bill = ("--node", sections.design.choose.node[0], "--nodes", "1")
    assert answered(capsys, "bom", *bill)["total_usd"] > 0


def test_the_scenario_that_fit_step_time_saves_gives_the_time_of_run(
    run: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Steps of the scenario's own laws, timed on paper on 1 to 64 GPUs, fitted and saved: T_C at the same batch agrees."""
    value = {row["key"].rsplit(".", 1)[-1]: row["value"] for row in answered(capsys, "explain", SCENARIO)["rows"]}
    lines = ["local_batch,n_gpus,n_nodes,step_time_s"]
    for P in (1, 2, 4, 8, 16, 32, 64):
        reduce_s = (
            value["in_node_s"] + value["node_jump_s"] * (P > 8) + value["per_doubling_s"] * math.log2(P) if P > 1 else 0.0
        )
        for m in (16, 32, 64, 98, 128, 256):
            compute_s = value["gamma_s_per_sample"] * max(m, value["knee_samples"])  # Eqn 4
            lines.append(f"{m},{P},{-(-P // 8)},{compute_s + reduce_s}")
    (tmp_path / "steps.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    saved = tmp_path / "mine.toml"
    flags = ("--node", "dgx-a100-640", "--workload", "resnet50-mlperf", "--predict", "98@64", "--save", str(saved))
    fitted = answered(capsys, "fit", "step-time", str(tmp_path / "steps.csv"), *flags)
    (step,) = fitted["predictions"]
    assert step["lo90"] < run["update_time_s"] < step["hi90"]
    saved.write_text(saved.read_text(encoding="utf-8").replace("[run]", "[run]\nbatch_samples = 6272"), encoding="utf-8")
    mine = answered(capsys, "run", str(saved))
    assert run["batch_samples"] == 6272
    # one overlap exponent stands for the sum here, and the head of the file says how far the law is off the fit's predictions
    assert mine["converge_time_s"] == pytest.approx(run["converge_time_s"], rel=0.05)


@pytest.mark.parametrize("kind", ["network", "reduce", "time-to-converge", "bill-of-materials"])
def test_what_validate_says_stands_in_the_document(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    everything = answered(capsys, "validate", kind)["summary"]["all"]
    document = (ROOT / "docs/validation.md").read_text(encoding="utf-8").split(f"\n## {kind}: ")[1].split("\n## ")[0]
    (line,) = [line for line in document.splitlines() if line.startswith("all ") and not line.startswith("all (")]
    assert line.split()[1:3] == [str(everything["cases"]), str(everything["series"])]
