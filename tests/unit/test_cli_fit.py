"""The command fit updates: its answer, what it saves, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.support import SCENARIOS, assert_sound, command

RESNET = SCENARIOS / "measurements" / "mlperf_rcp_resnet_2.0.0.csv"
TABLE = "batch_samples,updates,updates_std,runs\n64,9000,300,5\n256,3000,90,5\n1024,1500,60,5\n4096,1120,40,5\n"


def table(folder: Path, text: str = TABLE, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_answer_is_a_law_with_errors_intervals_and_the_next_measurement() -> None:
    found = command("fit", "updates", RESNET, "--predict", "2500,131072", "--json")
    assert found.status == 0
    answer = found.answer
    assert answer["command"] == "fit updates"
    assert answer["model"]["kind"] == "inverse"
    # fit of these ten points by plain scipy in tests/oracles/derive_shipped_parameters.py: 977.3 (3.8 %), 4.446e7 (2.1 %);
    # the weak prior and the points' own errors move the estimates by less than a tenth of their standard errors
    assert answer["model"]["parameters"]["n_inf_updates"] == pytest.approx(977.3, abs=0.1 * 0.038 * 977.3)
    assert answer["model"]["parameters"]["alpha_samples"] == pytest.approx(4.446e7, abs=0.1 * 0.021 * 4.446e7)
    assert answer["plain_inverse_law"]["parameters"]["n_inf_updates"] == pytest.approx(977.3, rel=1e-4)
    assert answer["plain_inverse_law"]["correlation"] == pytest.approx(-0.60, abs=0.005)
    assert answer["unidentified"] == []
    low, high = answer["intervals90"]["critical_batch_samples"]
    assert low < 45_490 < high
    assert [row["batch_samples"] for row in answer["predictions"]] == [2500.0, 131072.0]
    for row in answer["predictions"]:
        assert row["lo90"] <= row["mean_lo90"] < row["updates"] < row["mean_hi90"] <= row["hi90"]
    assert answer["predictions"][0]["warning"] is None
    assert answer["predictions"][1]["warning"] == "1.93 times the largest batch size measured"
    assert answer["next_batch_samples"] > 67_840
    assert 0 < answer["next_narrows_by"] < 1
    assert {rival["kind"] for rival in answer["alternatives"]} == {"inverse", "sharp", "corner", "power", "noise_floor"}
    assert_sound({key: value for key, value in answer.items() if key not in ("alternatives", "fits", "plain_inverse_law")
                  and key not in ("model", "criterion")})  # fmt: skip


def test_the_text_says_it_in_words() -> None:
    found = command("fit", "updates", RESNET, "--predict", "2500")
    assert found.status == 0
    assert "10 batch sizes from 1,632 to 67,840 samples, 130 runs" in found.out
    assert "critical batch, alpha/N_inf" in found.out
    assert "measure next" in found.out
    assert "90 % for the" in found.out


def test_no_sign_of_the_floor_is_said_first(tmp_path: Path) -> None:
    steep = table(tmp_path, "batch_samples,updates\n2,10000\n4,4900\n8,2550\n16,1240\n")
    found = command("fit", "updates", steep)
    assert "no sign of the floor yet: N_inf between 0 and" in found.out
    answer = command("fit", "updates", steep, "--json").answer
    assert "n_inf_updates" in answer["unidentified"]
    assert answer["intervals90"]["critical_batch_samples"][1] is None


def test_batch_sizes_come_from_a_file(tmp_path: Path) -> None:
    asked = table(tmp_path, "batch_samples\n128\n512\n", "asked.csv")
    answer = command("fit", "updates", table(tmp_path), "--predict-file", asked, "--json").answer
    assert [row["batch_samples"] for row in answer["predictions"]] == [128.0, 512.0]


def test_several_series_are_fitted_each_by_itself(tmp_path: Path) -> None:
    both = table(tmp_path, "series,batch_samples,updates\na,64,900\na,256,300\nb,64,500\nb,256,200\n")
    answer = command("fit", "updates", both, "--json").answer
    assert [fit["series"] for fit in answer["fits"]] == ["a", "b"]
    assert answer["model"] is None
    assert answer["predictions"] is None
    alone = command("fit", "updates", both, "--series", "b", "--json").answer
    assert alone["model"] == answer["fits"][1]["model"]
    found = command("fit", "updates", both, "--series", "c")
    assert (found.status, found.err) == (1, "no series is named 'c'; known: a, b\n")


def test_the_law_is_saved_as_a_workload_that_scenarios_use(tmp_path: Path) -> None:
    saved = tmp_path / "mine.toml"
    answer = command("fit", "updates", table(tmp_path), "--save", saved, "--json").answer
    assert answer["saved"] == str(saved)
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(
        'schema = 1\n[[workload]]\nuse = "./mine.toml"\n[workload.compute.a100-sxm-80]\nkind = "knee"\n'
        'gamma_s_per_sample = "1 ms"\nknee_samples = 8\n[cluster]\nnode = "dgx-a100-640"\nnodes = 1\n'
        '[reduce]\nkind = "constant"\ndelta_s = "4 ms"\n',
        encoding="utf-8",
    )
    run = command("run", scenario, "--json")
    assert run.status == 0, run.err
    assert run.answer["converge_time_s_interval90"] is not None
    M = run.answer["batch_samples"]
    law = answer["model"]["parameters"]
    assert run.answer["updates"] == pytest.approx(law["n_inf_updates"] + law["alpha_samples"] / M, abs=1.0)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    saved = tmp_path / "mine.toml"
    saved.write_text("precious\n", encoding="utf-8")
    found = command("fit", "updates", table(tmp_path), "--save", saved)
    assert (found.status, found.out) == (1, "")
    assert found.err == f"{saved}: exists already; nothing was written: remove it or give another name\n"
    assert saved.read_text(encoding="utf-8") == "precious\n"


def test_tables_and_the_figure_go_to_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = command("fit", "updates", table(tmp_path), "--out", out, "--figures")
    assert found.status == 0, found.err
    assert {path.name for path in out.iterdir()} == {
        "run.json",
        "wall_clock.json",
        "predictions.csv",
        "points.csv",
        "curve.csv",
        "figure_updates.png",
    }
    again = tmp_path / "again"
    assert command("fit", "updates", table(tmp_path), "--out", again, "--figures").status == 0
    for name in ("run.json", "predictions.csv", "points.csv", "curve.csv", "figure_updates.png"):
        assert (out / name).read_bytes() == (again / name).read_bytes(), name
    (out / "figure_updates.png").unlink()
    assert command("plot", out).status == 0
    assert (out / "figure_updates.png").is_file()


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("batch_samples,updates\n64,100\n", (), "mine.csv: mine: must have at least two batch sizes to fit a law"),
        ("batch_samples,updates\n64,100\n64,110\n", (), "got one, 64, measured 2 times"),
        ("batch_samples,updates\n0,100\n64,110\n", (), "line 2, batch_samples: must be a number > 0"),
        ("batch_samples,updates\n8,-100\n64,110\n", (), "line 2, updates: must be a number >= 1"),
        (
            "batch_samples,updates,diverged\n8,100,yes\n64,110,no\n",
            (),
            "got one, 64, measured 1 times; at 1 others no run reached",
        ),
        (
            "batch_samples,updates,outcome\n8,100,lost\n64,110,ok\n",
            (),
            "line 2, outcome: must be finished, censored or diverged",
        ),
        ("batch_size,updates\n8,100\n64,110\n", (), "mine.csv: batch_samples: is missing; did you mean 'batch_size'?"),
        (TABLE, ("--predict", "1,x"), "--predict must be batch sizes > 0 like 4096,8192, got '1,x'"),
        (TABLE, ("--predict", "-4"), "--predict must be batch sizes > 0"),
        (TABLE, ("--predict", "1e99"), "--predict must be batch sizes > 0"),
        (TABLE, ("--predict", "4", "--predict-file", "x.csv"), "say the same thing twice"),
        (TABLE, ("--predict-file", "no.csv"), "no.csv: no such file"),
        ("batch_samples;updates\n8;100\n64;110\n", (), "mine.csv: line 1: must separate columns by commas"),
        ("series,batch_samples,updates\na\x1bb,8,100\na,64,50\n", (), "line 2, series: must be printable text"),
        (
            "batch_samples,updates\n" + "".join(f"{i},{1000 + i}\n" for i in range(1, 102)),
            (),
            "must have at most 100 batch sizes",
        ),
        (TABLE, ("--save", "we ird.toml"), "--save must be named by letters, digits, dots, dashes and underscores"),
        (TABLE, ("--save", "x.csv"), "--save must name a .toml file, got 'x.csv'"),
        (TABLE, ("--save", "no/where/x.toml"), "no/where/x.toml: there is no folder 'no/where'"),
        (TABLE, ("--figures",), "--figures needs --out DIR"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(
    tmp_path: Path, text: str, arguments: tuple[str, ...], message: str
) -> None:
    found = command("fit", "updates", table(tmp_path, text), *arguments)
    assert (found.status, found.out) == (1, "")
    assert message in found.err
    assert len(found.lines) == 1


def test_saving_needs_one_series(tmp_path: Path) -> None:
    both = table(tmp_path, "series,batch_samples,updates\na,64,900\na,256,300\nb,64,500\nb,256,200\n")
    found = command("fit", "updates", both, "--save", tmp_path / "x.toml")
    assert (found.status, found.err) == (1, "--save needs one series, the table has 2: choose it with --series NAME\n")


def test_an_unknown_law_is_a_usage_error(tmp_path: Path) -> None:
    assert command("fit", "updates", table(tmp_path), "--law", "cubic").status == 2


def test_updates_that_grow_and_extreme_sizes_still_get_finite_answers(tmp_path: Path) -> None:
    for text in (
        "batch_samples,updates\n1,1\n1e15,1\n",
        "batch_samples,updates\n1,10\n2,20\n4,40\n8,100\n",
        "batch_samples,updates\n1,1e15\n2,1\n3,1e15\n",
        "batch_samples,updates,updates_std,runs\n1,100,1e15,2\n2,50,0,9\n4,30,1e-9,1000000000\n",
        "batch_samples,updates\n1e-9,5\n1e-8,4\n1e-7,3\n",
    ):
        found = command("fit", "updates", table(tmp_path, text), "--json", "--predict", "1,1000,1e15")
        assert found.status in (0, 1), found.err
        if found.status == 0:
            for row in found.answer["predictions"]:
                assert 1 <= row["lo90"] <= row["updates"] <= row["hi90"] < 1e300
        else:
            assert len(found.lines) == 1


def test_what_speaks_against_a_fit_is_said_first_and_in_the_json(tmp_path: Path) -> None:
    rising = table(tmp_path, "batch_samples,updates\n64,1000\n128,2000\n256,4000\n512,8000\n")
    found = command("fit", "updates", rising)
    assert found.out.startswith("CAUTION: no law fits these points well")
    assert "CAUTION: updates do not fall with the batch size" in found.out
    warnings = command("fit", "updates", rising, "--json").answer["warnings"]
    assert {warning["class"] for warning in warnings} == {"PoorFitWarning"}
    assert any("updates do not fall" in warning["text"] for warning in warnings)


def test_a_noise_floor_asked_for_answers_above_its_smallest_batch_size_only(tmp_path: Path) -> None:
    # N = 1000 ln((10 - 30/M)/(1 - 30/M)), the law of a constant learning rate with F/eps = 30 samples
    rows = "".join(f"{M},{1000 * math.log((10 - 30 / M) / (1 - 30 / M))}\n" for M in (31, 33, 36, 45, 64, 128, 256, 1024))
    path = table(tmp_path, f"batch_samples,updates\n{rows}")
    found = command("fit", "updates", path, "--law", "noise_floor", "--json", "--out", tmp_path / "out", "--figures")
    assert found.status == 0, found.err
    assert all(row["batch_samples"] > 30 for row in found.answer["predictions"])
    below = command("fit", "updates", path, "--law", "noise_floor", "--predict", "8")
    assert (below.status, below.out) == (1, "")
    assert "batch_samples must be > 30" in below.err
