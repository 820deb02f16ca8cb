"""The command design with [design.continuous]: what it answers, what it refuses and why, what it draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.samples import SAMPLES
from tests.support import ONE_WORKLOAD, assert_sound, changed, command, written
from tests.unit.test_cli_design import KEYS

DESIGN = SAMPLES["continuous design"]
CHOOSE = '[design.choose]\nnode = ["dgx-h100"]\nnodes = { min = 1, max = 2 }\n'
OTHER = '[workload.compute.h100-sxm]\nkind = "knee"\n'
LOWEST = '"10 GB/s"\nbandwidth_min_bytes_per_s = "1e14 B/s"\n'
QUICK = f"""\
schema = 1
title = "quick"
{ONE_WORKLOAD}[design]
budget_usd = 1e6
[design.continuous]
accelerator = "a100-sxm-80"
learners_max = 10_000
[design.continuous.compute]
usd_per_learner = 10_000
w_per_learner = 500
[[design.continuous.network]]
bandwidth_bytes_per_s = "10 GB/s"
usd = 20_000
"""


def quick(folder: Path, *replacements: tuple[str, str]) -> Path:
    return written(folder, changed(QUICK, *replacements))


def refused(folder: Path, *replacements: tuple[str, str], flags: tuple[str, ...] = ()) -> list[str]:
    path = quick(folder, *replacements)
    found = command("design", path, *flags)
    assert (found.status, found.out) == (1, ""), found.out
    return [line.removeprefix(f"{path}: ") for line in found.lines]


def test_the_object_has_the_keys_of_every_design_and_adds_up(tmp_path: Path) -> None:
    answer = command("design", written(tmp_path, DESIGN), "--json").answer
    assert set(answer) == KEYS | {"schema", "command", "title", "seed", "versions", "warnings"}
    chosen = answer["design"]
    assert sum(row["usd"] for row in answer["bill"]) == pytest.approx(chosen["cost_usd"], rel=1e-12)
    assert sum(row["share"] for row in answer["bill"]) == pytest.approx(1.0)
    assert [row["item"] for row in answer["bill"]] == ["compute", "fabric", "steps", "storage"]
    assert chosen["cost_usd"] <= 5e6 * (1 + 1e-9)
    assert chosen["power_w"] <= 4e5 * (1 + 1e-9)
    times = [one["converge_time_s"] for one in chosen["workloads"]]
    assert chosen["time_s"] == pytest.approx((3 * times[0] + times[1]) / 4, rel=1e-12)
    for one in chosen["workloads"]:
        assert one["converge_time_s"] == pytest.approx(one["updates"] * one["update_time_s"], rel=1e-9)
        assert one["update_time_s"] == pytest.approx(one["compute_time_s"] + one["reduce_time_s"], rel=1e-12)
        low, high = one["converge_time_s_interval90"]
        assert low < one["converge_time_s"] < high
        assert one["flat_range_samples"][0] <= one["batch_samples"] <= one["flat_range_samples"][1]
    assert [row["lever"] for row in answer["certificate"]] == [
        "learners", "speed", "fabric.bandwidth_bytes_per_s", "steps.delta_s",
    ]  # fmt: skip
    for row in answer["certificate"]:
        if row["free"]:
            assert row["gain_s_per_usd"] == pytest.approx(answer["optimality"]["gain_s_per_usd"], rel=1e-6)
        assert row["reason"]
    costs, frontier = ([row[key] for row in answer["frontier"]] for key in ("cost_usd", "time_s"))
    assert costs == sorted(costs)
    assert frontier == sorted(frontier, reverse=True)
    assert answer["unverified_usd"] == answer["bill"][0]["usd"]  # only compute says that nobody checked it
    assert any("nobody checked design.continuous.compute.usd_per_learner" in one["text"] for one in answer["warnings"])
    signed = {"certificate", "warnings"}
    assert_sound({key: value for key, value in answer.items() if key not in signed})


def test_the_first_lines_say_what_to_spend_it_on(tmp_path: Path) -> None:
    found = command("design", written(tmp_path, DESIGN))
    assert found.status == 0, found.err
    lines = found.out.splitlines()
    assert lines[2].startswith("Buy ")
    assert "x a100-sxm-80, joined by fabric at " in lines[2]
    heads = [line.strip().split("  ")[0] for line in lines[3:13]]
    for words in ("price", "power", "resnet50-mlperf", "bert-mlperf", "time", "held by", "a further dollar", "proof"):
        assert words in heads, words
    for title in ("Equal gains per dollar", "Where the money goes", "Time against dollars"):
        assert title in found.out
    assert found.out.count("<- this budget") == 1


def test_flags_stand_instead_of_the_files_limits(tmp_path: Path) -> None:
    path = quick(tmp_path)
    one, two = (command("design", path, "--budget", budget, "--json").answer for budget in ("1e6", "2e6 USD"))
    assert (one["design"]["cost_usd"], two["design"]["cost_usd"]) == (pytest.approx(1e6), pytest.approx(2e6))
    assert two["design"]["time_s"] < one["design"]["time_s"]
    shorter = command(
        "design", quick(tmp_path, ("budget_usd = 1e6", 'objective = "cost"\ndeadline_s = 3000')), "--deadline", "10 min"
    )
    assert "held by           the deadline of one" in shorter.out


def test_a_lever_at_its_bound_says_so_in_the_files_own_key(tmp_path: Path) -> None:
    bound = ('"10 GB/s"\n', '"10 GB/s"\nbandwidth_max_bytes_per_s = "12 GB/s"\n')
    answer = command("design", quick(tmp_path, bound), "--json").answer
    (row,) = [row for row in answer["certificate"] if row["lever"] == "network.bandwidth_bytes_per_s"]
    assert (row["free"], row["value"]) == (False, pytest.approx(12e9))
    assert row["reason"] == "at its highest, 1.2e+10: it would take more money"
    assert row["gain_s_per_usd"] > answer["optimality"]["gain_s_per_usd"]


def test_one_learner_alone_has_no_network(tmp_path: Path) -> None:
    """(N + alpha/knee) gamma knee, Eqn 8."""
    dear = (("usd = 20_000", "usd = 1e12"), ("knee_samples = 1", "knee_samples = 8"))
    found = command("design", quick(tmp_path, *dear))
    assert "Buy 1 learner of speed 1 x a100-sxm-80, without a network." in found.out
    answer = command("design", quick(tmp_path, *dear), "--json").answer
    assert answer["design"]["alone"]
    assert answer["design"]["networks"][0]["bandwidth_bytes_per_s"] is None
    assert answer["design"]["time_s"] == pytest.approx((1000 + 6.4e6 / 8) * 0.08, rel=1e-12)
    assert [row["item"] for row in answer["bill"]] == ["compute"]


def test_what_bounds_the_mini_batch_has_its_name(tmp_path: Path) -> None:
    data = ('sample_unit = "image"', "data_set_samples = 200")
    memory = ("knee_samples = 1", "knee_samples = 1\nmax_local_samples = 2")
    for change, bound in ((data, "data_set"), (memory, "memory")):
        (trained,) = command("design", quick(tmp_path, change), "--json").answer["design"]["workloads"]
        assert (trained["branch"], trained["bound"]) == ("bound", bound)
    (given,) = command(
        "design", quick(tmp_path, ("[design]\n", "[run]\nmax_batch_samples = 150\n[design]\n")), "--json"
    ).answer["design"]["workloads"]
    assert (given["bound"], given["batch_samples"]) == ("max_batch", 150)


def test_runs_of_a_year_are_counted_and_said_where_they_do_not_fit(tmp_path: Path) -> None:
    found = command("design", quick(tmp_path, ('name = "one"', 'name = "one"\nruns_per_year = 1e5')), "--json")
    share = found.answer["design"]["busy_share"]
    assert share == pytest.approx(1e5 * found.answer["design"]["time_s"] / (365.25 * 86400))
    assert any("it does not limit a continuous design" in one["text"] for one in found.answer["warnings"])


def test_sections_that_say_nothing_here_are_named(tmp_path: Path) -> None:
    cost = ("[design]\n", '[cost]\nkind = "purchase"\n[reduce]\nkind = "constant"\ndelta_s = 1\n[design]\n')
    found = command("design", quick(tmp_path, cost))
    assert "no effect on a continuous design: reduce, cost; Delta and prices are those of [design.continuous]" in found.err


@pytest.mark.parametrize(
    ("replacements", "said"),
    [
        ([("budget_usd = 1e6", "budget_usd = 5000")], "no design meets 5,000 USD: the cheapest costs 10,000 USD and takes"),
        ([("budget_usd = 1e6", "budget_usd = -1")], "design.budget_usd: must be finite and > 0, got -1"),
        ([("budget_usd = 1e6", "budget_usd = 1e6\npower_max_w = 100")], "without the limit of power the cheapest draws 500 W"),
        (
            [("budget_usd = 1e6", "budget_usd = 1e6\npower_max_w = 100"), ("w_per_learner = 500\n", "")],
            "design.power_max_w: needs w or w_per_learner of something in [design.continuous], got 100",
        ),
        (
            [("budget_usd = 1e6", "deadline_s = 5")],
            "design.budget_usd: must be given where objective = 'mean_time'",
        ),
        (
            [("budget_usd = 1e6", 'budget_usd = 1e6\nobjective = "cost"')],
            "design.deadline_s: must be given where the cost is to be least",
        ),
        (
            [("budget_usd = 1e6", "budget_usd = 1e6\ndeadline_s = 5")],
            "deadline_s = 5 cannot be met by any number of learners: one needs 1000 updates however large the mini-batch, "
            "and the fastest update takes 0.01 s: 10 s together",
        ),
        ([("budget_usd = 1e6", "budget_usd = 1e6\nlife_s = 5")], "design.life_s: belongs to [design.choose]; here"),
        (
            [("[design.continuous]\n", CHOOSE + "[design.continuous]\n")],
            "design.continuous: must not be given beside [design.choose]: a catalogue, or real numbers",
        ),
        ([("_max = 10_000", "_max = 10_000\nlearners_min = 20_000")], "learners_max: must be >= learners_min = 20000"),
        ([("learners_max = 10_000", "learners_max = 10_000\nspeed_max = 0.5")], "speed_max: must be >= speed_min = 1, got 0.5"),
        (
            [('a100-sxm-80"\nlearners', 'a100-sxm"\nlearners')],
            "design.continuous.accelerator: must be the id of one of the accelerators, got 'a100-sxm'",
        ),
        (
            [('[workload.compute.a100-sxm-80]\nkind = "knee"\n', OTHER)],
            "workload[0].compute: nobody timed this workload on 'a100-sxm-80' (timed: h100-sxm)",
        ),
        ([('"10 GB/s"\n', '"10 GB/s"\ndelta_s = 1\n')], "bandwidth_bytes_per_s: must not be given beside delta_s"),
        ([('bandwidth_bytes_per_s = "10 GB/s"\n', "")], "network[0]: must have delta_s or bandwidth_bytes_per_s"),
        ([('"10 GB/s"\n', '"10 GB/s"\ndelta_max_s = 1\n')], "delta_max_s: must not be given beside bandwidth_bytes_per_s"),
        ([('"10 GB/s"\n', LOWEST)], "bandwidth_max_bytes_per_s: must be >= 1e+14, its lower end, got 1e+13"),
        ([("usd = 20_000\n", "")], "design.continuous.network[0]: must cost something: give usd, or usd_per_learner, or both"),
        ([("usd = 20_000", "usd = 20_000\nprice_exponent = 11")], "price_exponent: must be <= 10, got 11"),
        ([("usd = 20_000", 'usd = 20_000\nkind = "square"')], "kind: must be one of constant, linear, log, got 'square'"),
        ([("usd = 20_000", 'usd = 20_000\nname = "compute"')], "network: must have names of their own, got 'compute' again"),
        ([('gradient_bytes = "100 MB"\n', "")], "workload[0].gradient_bytes: is missing: a network with a"),
        (
            [('gradient_bytes = "100 MB"\n', 'gradient_bytes = "100 MB"\ninput_samples_per_s = 10\n')],
            "workload[0].input_samples_per_s: is not known to [design.continuous]: leave it out, got 10",
        ),
        (
            [('kind = "inverse"\n', 'kind = "sharp"\nsharpness = 2\n')],
            "workload[0].convergence.kind: must be inverse in a continuous design, which needs Eqns 8 to 10, got 'sharp'",
        ),
        (
            [('kind = "knee"\n', 'kind = "affine"\nconstant_s = 1\n'), ("knee_samples = 1\n", "")],
            "workload[0].compute.a100-sxm-80.kind: must be knee or knee_constant in a continuous design",
        ),
        (
            [("[design]\n", "[cross_validation]\nevery_updates = 10\nsamples = 10\n[design]\n")],
            "cross_validation: is not known to [design.continuous]: leave it out",
        ),
        (
            [("[design]\n", "[run]\nmin_batch_samples = 10\n[design]\n")],
            "run.min_batch_samples: is not known to [design.continuous]: leave it out, got 10",
        ),
        (
            [("knee_samples = 1\n", "knee_samples = 1\naccelerators_per_learner = 4\n")],
            "design.continuous.accelerators_per_learner: must be 4: workload[0].compute.a100-sxm-80 holds for",
        ),
    ],
)
def test_what_cannot_be_designed_is_refused_in_one_line(tmp_path: Path, replacements: list[tuple[str, str]], said: str) -> None:
    (line,) = refused(tmp_path, *replacements)
    assert said in line


def test_a_design_has_a_catalogue_or_real_numbers(tmp_path: Path) -> None:
    text = QUICK[: QUICK.index("[design.continuous]")]
    found = command("design", written(tmp_path, text))
    assert found.lines[0].endswith("design: must have [design.choose], a catalogue, or [design.continuous], real numbers")


@pytest.mark.parametrize(("flag", "value"), [("--why-not", "dgx-h100"), ("--report", "page.html")])
def test_flags_of_a_catalogue_are_refused(tmp_path: Path, flag: str, value: str) -> None:
    (line,) = refused(tmp_path, flags=(flag, value))
    assert line.startswith(f"{flag} needs a catalogue, [design.choose]: ")
    assert not (tmp_path / "page.html").exists()


def test_the_folder_holds_tables_and_three_figures_that_plot_draws_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = command("design", quick(tmp_path), "--out", out, "--figures")
    assert found.status == 0, found.err
    figures = {"figure_frontier.png", "figure_batches.png", "figure_spending.png"}
    tables = {"bill.csv", "certificate.csv", "frontier.csv", "workloads.csv", "batch.csv"}
    assert {path.name for path in out.iterdir()} == figures | tables | {"run.json", "wall_clock.json"}
    header = (out / "frontier.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "network.bandwidth_bytes_per_s" in header
    curve = np.genfromtxt(out / "batch.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    answer = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert curve["converge_time_s"].min() == pytest.approx(answer["design"]["time_s"], rel=1e-3)
    for name in figures:
        (out / name).unlink()
    assert command("plot", out).status == 0
    assert figures <= {path.name for path in out.iterdir()}


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (command("design", quick(tmp_path), "--json").out for _ in range(2))
    assert first == second
