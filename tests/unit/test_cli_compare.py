"""The command compare."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from tests.support import SCENARIO, assert_sound, changed, command, written

COMMON_KEYS = {"schema", "command", "title", "seed", "versions", "warnings"}
OWN_KEYS = {
    "best", "cheapest", "rows", "probability_best", "probability_cheapest", "probability_faster", "probability_cheaper",
    "importance", "measure_next", "certain_links", "expected_regret_s", "expected_regret_usd",
    "by_learners", "crossovers", "searched",
}  # fmt: skip
TWO = """
[[option]]
name = "server"
reduce = { kind = "linear", delta_s = "0.3 ms" }

[[option]]
name = "all-reduce"
"""
"""Delta = 0.3 ms * P against 4 ms: equal at P = 40/3."""
H100 = """
[workload.compute.h100-sxm]
kind = "knee"
gamma_s_per_sample = "1.5 ms"
knee_samples = 2

[cluster]"""
OTHER_NODE = '\n[[option]]\nname = "a100"\n\n[[option]]\nname = "h100"\ncluster = { node = "dgx-h100" }\n'
NO_FIT = "\n[compare]\ncrossovers = [{}]\n"


def compared(folder: Path, text: str) -> dict[str, Any]:
    found = command("compare", written(folder, text), "--json")
    assert found.status == 0, found.err
    answer: dict[str, Any] = found.answer
    assert set(answer) == COMMON_KEYS | OWN_KEYS
    assert_sound(answer)
    return answer


def flips(answer: dict[str, Any], measure: str = "converge_time_s") -> list[tuple[Any, str, str]]:
    return [(one["at"], one["from"], one["to"]) for one in answer["crossovers"] if one["measure"] == measure]


def crossing(*variables: str) -> str:
    return NO_FIT.format(", ".join(f'"{name}"' for name in variables))


def test_the_first_whole_number_of_learners_at_which_the_choice_flips(tmp_path: Path) -> None:
    """A server takes 0.3 ms * P, an all-reduce 4 ms: the server is the faster one up to 13 learners, not at 14."""
    answer = compared(tmp_path, SCENARIO + crossing("learners") + TWO)
    assert flips(answer) == [(14.0, "server", "all-reduce")]
    (searched,) = answer["searched"]
    assert (searched["low"], searched["high"], searched["every_whole_number"]) == (1, 16, True)
    assert answer["best"] == "all-reduce"


def test_the_range_is_that_of_the_learners_listed(tmp_path: Path) -> None:
    text = SCENARIO + '\n[compare]\nlearners = [2, 13]\ncrossovers = ["learners"]\n' + TWO
    answer = compared(tmp_path, text)
    assert answer["crossovers"] == []
    (searched,) = answer["searched"]
    assert (searched["low"], searched["high"], searched["best_at_low"], searched["crossovers"]) == (2, 13, "server", 0)
    assert (
        "learners (time), between 2 and 13; every number tried: none, server throughout"
        in command("compare", written(tmp_path, text)).out
    )


def test_the_mini_batch_at_which_the_choice_flips(tmp_path: Path) -> None:
    """Gamma is 8 ms below 8 samples on one, 1.5 ms * m on the other: equal at m = 16/3, M = 16 m = 256/3."""
    answer = compared(tmp_path, changed(SCENARIO, ("\n[cluster]", H100)) + crossing("batch_samples") + OTHER_NODE)
    assert flips(answer) == [(pytest.approx(256 / 3, rel=1e-8), "h100", "a100")]


STAR = """
[network]
topology = "star"
collective = "ring"
host_link = { bandwidth_bytes_per_s = "25 GB/s" }
"""
BARE = changed(
    SCENARIO,
    ('node = "dgx-a100-640"\nnodes = 2', 'accelerator = "a100-sxm-80"\naccelerators = 16'),
    ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "fabric"'),
)
LAW = '\n[[option]]\nname = "ring"\n\n[[option]]\nname = "law"\nreduce = { kind = "constant", delta_s = "4 ms" }\n'


def test_the_bandwidth_at_which_the_choice_flips(tmp_path: Path) -> None:
    """A ring of 16 moves 2 * 15/16 * 80 MB over each link: 4 ms at 150 MB / 4 ms = 37.5 GB/s."""
    answer = compared(tmp_path, BARE + STAR + crossing("host_link.bandwidth_bytes_per_s") + LAW)
    assert flips(answer) == [(pytest.approx(37.5e9, rel=1e-6), "law", "ring")]
    (searched,) = answer["searched"]
    assert (searched["low"], searched["high"]) == (pytest.approx(0.25e9), pytest.approx(2.5e12))


def test_a_key_of_a_law_moves_where_an_option_does_not_give_it(tmp_path: Path) -> None:
    """The server keeps its 0.3 ms * 16 = 4.8 ms; the all-reduce is faster as long as its Delta is below."""
    answer = compared(tmp_path, SCENARIO + crossing("reduce.delta_s") + TWO)
    assert flips(answer) == [(pytest.approx(4.8e-3, rel=1e-8), "all-reduce", "server")]


def test_the_utilisation_and_the_rent_at_which_renting_is_cheaper_are_those_of_bom(tmp_path: Path) -> None:
    """The break-even of the bill of materials is a closed form of its own; the rent moves in the option that pays it."""
    shipped = (Path(__file__).parents[2] / "scenarios/rent-or-buy.toml").read_text(encoding="utf-8")
    asked = changed(
        shipped,
        ('crossovers = ["learners", "cost.utilisation"]', 'crossovers = ["cost.utilisation", "cost.usd_per_node_hour"]'),
        ("learners = [8, 16, 32, 64]", "learners = [64]"),
    )
    answer = compared(tmp_path, asked)
    at_even = command("bom", "rent-or-buy", "--json").answer["break_even"]
    first, second = flips(answer, "cost_usd")
    assert first == (pytest.approx(at_even["utilisation"], rel=1e-6), "rented", "bought")
    assert second == (pytest.approx(at_even["usd_per_node_hour"], rel=1e-6), "rented", "bought")
    assert [one["option"] for one in answer["searched"]] == ["bought", "rented"]  # a rent has no utilisation
    assert answer["searched"][0]["high"] == 1  # a share: its rule ends the range
    assert answer["cheapest"] == "rented"
    # equally fast on every draw: the chance is shared
    assert answer["probability_best"] == {"bought": 0.5, "rented": 0.5}


RANGES = (
    ('gamma_s_per_sample = "1 ms"', "gamma_s_per_sample = { value = 1e-3, low = 8e-4, high = 1.25e-3 }"),
    ('gamma_s_per_sample = "1.5 ms"', "gamma_s_per_sample = { value = 1.1e-3, low = 1e-3, high = 1.21e-3 }"),
)


def test_chances_are_those_of_lognormal_times_on_common_random_numbers(tmp_path: Path) -> None:
    """T is proportional to gamma: lognormal, sd ln(1.25)/1.645 and ln(1.1)/1.645; what the shared law does moves both alike.

    P(a100 faster) = Phi(ln(1.1) / sqrt(sd1^2 + sd2^2)); of 4,096 draws four standard errors are 0.03. Were the law's 30 %
    drawn for each option apart, the chance would be near one half.
    """
    fit = "fit = { batch_samples_range = [64, 4096], discrepancy_relative = 0.3 }\n[workload.compute.a100-sxm-80]"
    text = changed(
        SCENARIO,
        ("[workload.compute.a100-sxm-80]", fit),
        ("\n[cluster]", H100),
        ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "none"'),
    )
    answer = compared(tmp_path, changed(text, *RANGES) + "\n[run]\nbatch_samples = 512\n" + OTHER_NODE)
    spread = np.hypot(np.log(1.25), np.log(1.1)) / norm.ppf(0.95)
    expected = norm.cdf(np.log(1.1) / spread)
    assert answer["probability_best"]["a100"] == pytest.approx(expected, abs=0.03)
    assert answer["probability_faster"]["a100"]["h100"] == pytest.approx(expected, abs=0.03)
    assert abs(norm.cdf(np.log(1.1) / np.hypot(spread, 0.3 * np.sqrt(2))) - expected) > 0.1  # the test can tell them apart
    # E[(X - Y)+] of lognormals: the regret of taking the first, by Margrabe's formula
    mean = [np.exp((np.log(ratio) / norm.ppf(0.95)) ** 2 / 2) for ratio in (1.25, 1.1)]
    T1, T2 = (row["converge_time_s"] * mu * np.exp(0.3**2 / 2) for row, mu in zip(answer["rows"], mean, strict=True))
    d1 = (np.log(T1 / T2) + spread**2 / 2) / spread
    regret = T1 * norm.cdf(d1) - T2 * norm.cdf(d1 - spread)
    assert answer["expected_regret_s"]["a100"] == pytest.approx(regret, rel=0.15)  # four standard errors of 4,096 draws


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(tmp_path: Path) -> None:
    text = changed(changed(SCENARIO, ("\n[cluster]", H100)), *RANGES) + OTHER_NODE
    path = written(tmp_path, text)
    first, again = (command("compare", path, "--json").out for _ in range(2))
    assert first == again
    other = command("compare", path, "--seed", "8", "--json").answer
    assert other["probability_best"] != json.loads(first)["probability_best"]


def test_an_option_that_cannot_have_so_many_learners_says_why_and_is_compared_where_it_can(tmp_path: Path) -> None:
    text = changed(SCENARIO, ('kind = "constant"\ndelta_s = "4 ms"', 'kind = "fabric"'))
    network = '\n[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\ncollective = "ring"\n'
    options = (
        '\n[compare]\nlearners = [8, 12, 16]\n\n[[option]]\nname = "ring"\n\n[[option]]\nname = "servers"\n'
        'network = { collective = "ps", servers = 2 }\n'
    )
    answer = compared(tmp_path, text + network + options)
    ring, servers = answer["rows"]
    assert (ring["learners"], servers["learners"]) == (16, 12)
    refused = answer["by_learners"][-1]
    assert refused["converge_time_s"] is None
    assert refused["why_not"] == "servers must be at most the 0 hosts that 16 learners leave free, got 2"
    assert refused["why_not"] in command("compare", tmp_path / "scenario.toml").out
    first = answer["by_learners"][:3]
    assert [row["converge_time_s"] for row in first[-1:]] == [ring["converge_time_s"]]


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ("", "option: is missing: compare lays [[option]] tables over the scenario"),
        (crossing("reduce.delta") + TWO, "number that the scenario gives, got 'reduce.delta'; did you mean 'reduce.delta_s'?"),
        (crossing("learner") + TWO, "got 'learner'; did you mean 'learners'?"),
        (
            crossing("host_link.bandwidth_bytes_per_s") + TWO,
            "no option depends on host_link.bandwidth_bytes_per_s: none has such a link in its [network]",
        ),
        (
            crossing("workload[0].gradient_bytes") + TWO,
            "no option depends on workload[0].gradient_bytes: T_C of each is the same from 800000 to 8e+09",
        ),
        (crossing("price") + TWO, "there is no cost of 'server' to compare: there is no [cost]"),
        (crossing("cost.utilisation") + TWO, "there is no cost of 'server' to compare: there is no [cost]"),
        ("\n[compare]\nlearners = [8, 17]\n" + TWO, "compare.learners[1]: must be <= the 16 learners of the cluster, got 17"),
        ("\n[run]\nmin_batch_samples = 100000\n" + TWO, "option 'server': "),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_said_in_one_line(tmp_path: Path, more: str, rule: str) -> None:
    found = command("compare", written(tmp_path, SCENARIO + more))
    assert (found.status, found.out) == (1, "")
    (line,) = found.lines
    assert rule in line


def test_each_wrong_variable_has_its_own_line(tmp_path: Path) -> None:
    found = command("compare", written(tmp_path, SCENARIO + crossing("price", "reduce.delta") + TWO))
    assert [line.split(": ")[1] for line in found.lines] == ["compare.crossovers[0]", "compare.crossovers[1]"]


def test_compare_takes_all_options(tmp_path: Path) -> None:
    found = command("compare", written(tmp_path, SCENARIO + TWO), "--option", "server")
    assert (found.status, found.err) == (1, "--option does not belong to compare: it compares all of them\n")


def test_the_folder_has_tidy_tables_and_the_figure_is_drawn_again_by_plot(tmp_path: Path) -> None:
    text = SCENARIO + '\n[compare]\nlearners = [4, 16]\ncrossovers = ["learners"]\n' + TWO
    out = tmp_path / "out"
    found = command("compare", written(tmp_path, text), "--out", out, "--figures")
    assert found.status == 0, found.err
    tables = {path.name: list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) for path in out.glob("*.csv")}
    assert {name: len(rows) for name, rows in tables.items()} == {
        "rows.csv": 2, "learners.csv": 4, "crossovers.csv": 1, "curve.csv": 2 * 13,
    }  # fmt: skip
    assert [row["option"] for row in tables["rows.csv"]] == ["server", "all-reduce"]
    figure = out / "figure_options.png"
    drawn = figure.read_bytes()
    figure.unlink()
    assert command("plot", out).status == 0
    assert figure.read_bytes() == drawn


def test_a_price_that_is_old_is_said_once_whatever_the_options(tmp_path: Path) -> None:
    """Three options on the same nodes, whose price is of 2021; one of them on other switches."""
    options = '\n[[option]]\nname = "a"\n[[option]]\nname = "b"\ncluster = { nodes = 4 }\n[[option]]\nname = "c"\n'
    options += 'network = { topology = "fat_tree", switch = "qm8700", host_link = "ib-hdr" }\nreduce = { kind = "fabric" }\n'
    text = SCENARIO + '\n[cost]\nkind = "purchase"\n[network]\ntopology = "fat_tree"\nswitch = "qm8700"\n'
    said = [one for one in compared(tmp_path, text + options)["warnings"] if one["class"] == "OldPriceWarning"]
    texts = [one["text"] for one in said]
    assert len(texts) == len(set(texts)) > 0
    (node,) = [one for one in texts if "dgx-a100-640" in one]
    assert node == (
        "the price of dgx-a100-640 per node is of 2021-06-30, more than three years older than the newest of the price book: "
        "ask for a quote"
    )
    assert not [one for one in texts if one.startswith(("a", "b", "c")) and ": the price" in one]


def test_what_all_options_say_is_said_once_and_the_rest_with_the_name_of_the_option(tmp_path: Path) -> None:
    text = changed(changed(SCENARIO, ("\n[cluster]", H100)), *RANGES[1:]) + OTHER_NODE
    said = [one["text"] for one in compared(tmp_path, text)["warnings"]]
    assert sorted(said) == [
        "a100: the scenario carries no uncertainty (no fit, no low and high): there is no interval around the answer",
        "workload[0].gradient_bytes had no effect on this answer: other values leave it the same",
    ]


FABRIC = '[network]\ntopology = "fat_tree"\nswitch = "qm8700"\nhost_link = "ib-hdr"\n'
PAID = '[[option]]\nname = "free"\n[[option]]\nname = "paid"\ncost = { kind = "purchase" }\n'


def table_of(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table whose header begins with a word, and that are two spaces apart."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(first))
    rows = [lines[start], *lines[start + 2 :]]
    end = next((i for i, line in enumerate(rows) if not line.strip()), len(rows))
    return [re.split(r"\s{2,}", line.strip()) for line in rows[:end]]


def test_columns_of_money_have_headers_where_some_options_count_none(tmp_path: Path) -> None:
    path = written(tmp_path, SCENARIO.split("[reduce]")[0] + FABRIC + PAID)
    found = command("compare", path)
    assert found.status == 0, found.err
    header, free, paid = table_of(found.out, "option")
    assert len(header) == len(free) == len(paid)
    assert (free[-2:], paid[-1] == "-") == (["-", "-"], False)
    assert "cheapest not known: there is no cost of free" in " ".join(found.out.split())
    rows = command("compare", path, "--json").answer["rows"]
    [share] = [row["cost_unverified_share"] for row in rows if row["option"] == "paid"]
    assert f"nobody checked {100 * share:.0f} % of the price of paid" in found.out


def test_options_that_are_called_like_a_column_have_a_column_of_their_own(tmp_path: Path) -> None:
    named = TWO.replace("server", "learners").replace("all-reduce", "option")
    found = command("compare", written(tmp_path, SCENARIO + "\n[compare]\nlearners = [2, 4]\n" + named))
    assert found.status == 0, found.err
    header, two, four = table_of(found.out.split("By number of learners")[1], "learners")
    assert header == ["learners", "learners", "option"]
    assert (two[0], four[0]) == ("2", "4")


def test_a_name_of_blanks_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, SCENARIO + TWO.replace('"server"', '"  "'))
    found = command("compare", path)
    assert (found.status, found.err) == (1, f"{path}: option[0].name: must be a text, got '  '\n")


def test_names_do_not_steer_the_terminal(tmp_path: Path) -> None:
    hostile = TWO.replace("server", "\\u001b[31mserver\\u202e").replace("all-reduce", "all\\u0007")
    found = command("compare", written(tmp_path, changed(SCENARIO, ('"small"', '"\\u001b]0;small\\u0007"')) + hostile))
    assert found.status == 0, found.err
    assert "\N{REPLACEMENT CHARACTER}[31mserver" in found.out
    assert not set("\x1b\x07\u202e") & set(found.out + found.err)
