"""The command compare against brute force and equations solved by hand: an all-reduce and a parameter server."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from scipy.optimize import brentq

from tests.support import assert_sound, changed, command, written

COMPARE = """\
schema = 1
title = "all-reduce against a parameter server"
seed = 4

[[workload]]
name = "vision"
gradient_bytes = "100 MB"
[workload.convergence]
kind = "inverse"
n_inf_updates = 1000.0
alpha_samples = 6.4e6
fit = { batch_samples_range = [64, 65536], relative_standard_errors = [0.05, 0.03], correlation = -0.5 }
[workload.compute.a100-sxm-80]
kind = "knee"
gamma_s_per_sample = "1 ms"
knee_samples = 8

[cluster]
accelerator = "a100-sxm-80"
accelerators = 64

[reduce]
kind = "constant"
delta_s = "20 ms"

[compare]
learners = [1, 4, 16, 64]
crossovers = ["learners", "batch_samples"]

[[option]]
name = "all-reduce"

[[option]]
name = "server"
reduce = { kind = "linear", delta_s = "1 ms" }
"""
SERVER = 'reduce = { kind = "linear", delta_s = "1 ms" }'
ASKED = '"learners", "batch_samples"'


def answer_of(folder: Path, *replacements: tuple[str, str]) -> Any:
    found = command("compare", written(folder, changed(COMPARE, *replacements)), "--json")
    assert found.status == 0, found.err
    return found.answer


def best_s(P: int, delta_s: float) -> float:
    """T_C at the best whole mini-batch of P learners, by trying every local batch up to 4,096: whole updates, Eqn 5."""
    delta_s = delta_s if P > 1 else 0.0
    return min(math.ceil(1000 + 6.4e6 / (P * m)) * (1e-3 * max(m, 8) + delta_s) for m in range(1, 4097))


def test_times_are_those_of_brute_force(tmp_path: Path) -> None:
    answer = answer_of(tmp_path)
    time = {row["option"]: row["converge_time_s"] for row in answer["rows"]}
    assert time == pytest.approx({"all-reduce": best_s(64, 0.02), "server": best_s(64, 0.064)}, rel=1e-12)
    assert answer["best"] == "all-reduce"
    for row in answer["by_learners"]:
        delta_s = 0.02 if row["option"] == "all-reduce" else 1e-3 * row["learners"]
        assert row["converge_time_s"] == pytest.approx(best_s(row["learners"], delta_s), rel=1e-12)
    assert sum(answer["probability_best"].values()) == pytest.approx(1.0)
    assert_sound(answer)


def test_learners_flip_where_the_server_becomes_the_slower_one(tmp_path: Path) -> None:
    """Delta = 1 ms P passes 20 ms at P = 20, where both are equal and the choice stays: from 2 to 20 the server."""
    flips = [one for one in answer_of(tmp_path)["crossovers"] if one["variable"] == "learners"]
    found = [(one["at"], one["from"], one["to"]) for one in flips]
    assert found == [(2, "all-reduce", "server"), (21, "server", "all-reduce")]


def test_a_real_variable_flips_where_both_times_are_equal(tmp_path: Path) -> None:
    """The best option's own delta against the other's 64 ms: T_C depends on P and delta alone, equal at 64 ms."""
    (flip,) = answer_of(tmp_path, (ASKED, '"reduce.delta_s"'))["crossovers"]
    assert (flip["option"], flip["from"], flip["to"]) == ("all-reduce", "all-reduce", "server")
    assert flip["at"] == pytest.approx(0.064, rel=1e-5)


def test_a_shared_variable_moves_in_all_options(tmp_path: Path) -> None:
    """N_inf, the same for both, whose Deltas are 20 and 64 ms whatever it is: nothing flips, and that is said."""
    answer = answer_of(tmp_path, (ASKED, '"workload[0].convergence.n_inf_updates"'))
    (one,) = answer["searched"]
    assert (answer["crossovers"], one["option"], one["best_at_low"]) == ([], None, "all-reduce")


def test_batch_samples_flip_where_the_curves_cross(tmp_path: Path) -> None:
    """Half of the learners against all: N + alpha/M cancels, gamma M/32 + 5 ms = gamma M/64 + 20 ms at M = 960."""
    other = 'reduce = { kind = "constant", delta_s = "5 ms" }\nrun = { learners = 32 }'
    answer = answer_of(tmp_path, (SERVER, other), (ASKED, '"batch_samples"'))
    (flip,) = answer["crossovers"]
    expected = brentq(lambda M: 1e-3 * max(M / 32, 8) + 5e-3 - 1e-3 * max(M / 64, 8) - 20e-3, 512, 4096)
    assert flip["at"] == pytest.approx(expected, rel=1e-5)
    assert (flip["from"], flip["to"]) == ("server", "all-reduce")


def test_a_price_flips_where_the_other_model_is_as_cheap(tmp_path: Path) -> None:
    rented = "[cluster]\nnode = 'dgx-a100-640'\nnodes = 8\n\n[cost]\nkind = 'cloud'\nusd_per_node_hour = 20.0\n"
    single = '[cluster]\naccelerator = "a100-sxm-80"\naccelerators = 64\n'
    answer = answer_of(tmp_path, (single, rented), (ASKED, '"price"'))
    cheap, dear = sorted(row["cost_usd"] for row in answer["rows"])
    found = {flip["option"]: flip["at"] for flip in answer["crossovers"]}
    assert found == pytest.approx({"all-reduce": dear / cheap, "server": cheap / dear}, rel=1e-8)


def test_options_that_are_equally_good_share_the_chance(tmp_path: Path) -> None:
    answer = answer_of(tmp_path, (SERVER, "seed = 5"))
    assert set(answer["probability_best"].values()) == {0.5}
    assert set(answer["expected_regret_s"].values()) == {0.0}


def test_what_options_share_is_drawn_once_for_all(tmp_path: Path) -> None:
    """Delta is 20 and 21 ms, each 30 % either way, by one key: one draw moves both, so their order never changes."""
    ranged = (
        ('delta_s = "20 ms"', 'delta_s = { value = "20 ms", low = "14 ms", high = "26 ms" }'),
        (SERVER, 'reduce = { delta_s = { value = "21 ms", low = "14.7 ms", high = "27.3 ms" } }'),
    )
    answer = answer_of(tmp_path, *ranged)
    assert answer["probability_best"] == {"all-reduce": 1.0, "server": 0.0}


def test_an_option_that_cannot_use_all_learners_is_compared_at_the_best_number_listed(tmp_path: Path) -> None:
    fabric = '[network]\ntopology = "star"\nhost_link = "ib-hdr"\n\n[reduce]\nkind = "fabric"\n'
    answer = answer_of(
        tmp_path,
        ('[reduce]\nkind = "constant"\ndelta_s = "20 ms"\n', fabric),
        (SERVER, 'network = { collective = "ps", servers = 8 }'),
        (ASKED, ""),
    )
    learners = {row["option"]: row["learners"] for row in answer["rows"]}
    assert learners == {"all-reduce": 64, "server": 16}
    (why,) = {row["why_not"] for row in answer["by_learners"] if row["converge_time_s"] is None}
    assert "servers must be at most the 0 hosts that 64 learners leave free" in why


def test_the_text_names_the_best_the_next_and_the_flips(tmp_path: Path) -> None:
    found = command("compare", written(tmp_path, COMPARE))
    assert found.status == 0, found.err
    lines = found.out.splitlines()
    assert lines[2].startswith("  fastest       all-reduce: ")
    assert "all-reduce is faster with probability 1.00" in lines[3]
    assert "fastest of 2 with probability 1.00" in lines[4]
    assert "all-reduce first, then\n    server from 2 on\n    all-reduce from 21 on\n" in found.out
    assert "  batch_samples (time), between 64 samples and " in found.out
    assert "none, all-reduce throughout" in found.out


def test_warnings_of_one_option_carry_its_name(tmp_path: Path) -> None:
    found = command("compare", written(tmp_path, changed(COMPARE, (SERVER, "run = { batch_samples = 100_000 }"))))
    beyond = [line for line in found.lines if "outside the mini-batches that the updates law was fitted to" in line]
    assert [line.startswith("warning: server: ") for line in beyond] == [True]


def test_it_draws_one_figure_and_plot_draws_it_again(tmp_path: Path) -> None:
    out, other = tmp_path / "run", tmp_path / "other"
    assert command("compare", written(tmp_path, COMPARE), "--out", out, "--figures").status == 0
    before = (out / "figure_options.png").read_bytes()
    assert command("plot", out).status == 0
    assert (out / "figure_options.png").read_bytes() == before
    assert {path.name for path in out.glob("*.csv")} == {"rows.csv", "learners.csv", "crossovers.csv", "curve.csv"}
    alone = changed(COMPARE, ("learners = [1, 4, 16, 64]\n", ""), (f"crossovers = [{ASKED}]", ""))
    assert command("compare", written(tmp_path, alone), "--out", other, "--figures").status == 0
    assert (other / "figure_options.png").is_file()


def test_one_option_is_no_choice(tmp_path: Path) -> None:
    text = COMPARE.split('[[option]]\nname = "server"')[0]
    answer = command("compare", written(tmp_path, text), "--json").answer
    assert (answer["probability_best"], answer["crossovers"]) == ({"all-reduce": 1.0}, [])


NO_NUMBER = "compare.crossovers[1]: must be a number that the scenario gives, got 'reduce.kind'"
NO_LINK = "compare.crossovers[1]: no option depends on host_link.latency_s: none has such a link in its [network]"


@pytest.mark.parametrize(
    ("replacement", "words"),
    [
        (('name = "server"', 'name = "all-reduce"'), "must be unique"),
        (('"batch_samples"]', '"reduce.kind"]'), NO_NUMBER),
        (('"batch_samples"]', '"host_link.latency_s"]'), NO_LINK),
        (('"batch_samples"]', '"batchsamples"]'), "did you mean 'batch_samples'?"),
        ((SERVER, "run = { max_batch_samples = 0.5 }"), "option 'server': "),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, replacement: tuple[str, str], words: str) -> None:
    found = command("compare", written(tmp_path, changed(COMPARE, replacement)))
    assert (found.status, found.out) == (1, "")
    assert words in found.err


def test_a_file_without_options_is_refused() -> None:
    found = command("compare", "resnet50-a100")
    assert found.status == 1
    assert "option: is missing: compare lays [[option]] tables over the scenario" in found.err
