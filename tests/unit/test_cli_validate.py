"""The command validate."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from simulator.cli.validate import KINDS, Kind
from simulator.validation.gamma import MEDIAN_TOLERANCE, SHIPPED
from simulator.validation.rows import Prediction, Validation
from tests.support import ROOT, Outcome, command, written

DOCUMENT = ROOT / "docs" / "validation.md"
HEADER = SHIPPED.read_text(encoding="utf-8").splitlines()[0]
H100 = next(line for line in SHIPPED.read_text(encoding="utf-8").splitlines() if line.startswith("resnet50,h100"))


@pytest.fixture(scope="module")
def gamma() -> Outcome:
    return command("validate", "gamma", "--json")


def test_the_object_has_the_promised_keys(gamma: Outcome) -> None:
    assert gamma.status == 0, gamma.err
    answer = gamma.answer
    assert list(answer) == [
        "schema", "command", "title", "seed", "versions", "warnings", "kind", "rows", "summary", "skipped",
    ]  # fmt: skip
    assert (answer["command"], answer["kind"], answer["seed"], answer["warnings"]) == ("validate", "gamma", None, [])
    row_keys = {"case", "group", "quantity", "predicted", "actual", "error", "lo90", "hi90"}
    assert all(row_keys <= set(row) for row in answer["rows"])
    assert all(row["error"] == pytest.approx(row["predicted"] / row["actual"] - 1) for row in answer["rows"])
    summary_keys = {
        "cases", "series", "median_abs_error", "mean_abs_error", "p90_abs_error", "median_signed_error", "coverage90",
        "coverage90_binomial95", "median_ratio90",
    }  # fmt: skip
    assert {"workload_known", "accelerator_known", "all", "all (one_utilisation)"} <= set(answer["summary"])
    assert all(summary_keys <= set(found) for found in answer["summary"].values())


def test_the_estimate_is_better_than_one_utilisation_and_covers(gamma: Outcome) -> None:
    summary = gamma.answer["summary"]
    mine, rival = summary["all"], summary["all (one_utilisation)"]
    assert mine["cases"] == rival["cases"] == 97
    assert mine["median_abs_error"] < MEDIAN_TOLERANCE < rival["median_abs_error"]
    assert mine["median_ratio90"] < rival["median_ratio90"] / 5
    low, high = mine["coverage90_binomial95"]
    assert low <= mine["coverage90"] <= high


def test_the_shipped_table_given_as_data_is_the_same(gamma: Outcome) -> None:
    again = command("validate", "gamma", "--json", "--data", SHIPPED)
    assert again.status == 0
    assert again.answer["rows"] == gamma.answer["rows"]
    assert again.answer["skipped"] == gamma.answer["skipped"]


def test_a_table_of_ones_own_is_predicted_from_what_ships(tmp_path: Path, gamma: Outcome) -> None:
    found = command("validate", "gamma", "--json", "--data", written(tmp_path, f"{HEADER}\n{H100}\n", "mine.csv"))
    assert found.status == 0
    row = found.answer["rows"][0]
    expected = next(r for r in gamma.answer["rows"] if r["case"] == "resnet50 on h100-sxm, bf16")
    for key, value in expected.items():  # which points of an integral are too unlikely to count depends on all cases
        assert row[key] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)


def test_the_text_has_summary_worst_cases_and_what_was_left_out_as_the_document_shows() -> None:
    found = command("validate", "gamma", "--strict")
    assert found.status == 0, found.err
    order = ["median", "workload_known", "all", "largest errors", "left out", "Each measured pair is predicted from the others"]
    positions = [found.out.index(word) for word in order]
    assert positions == sorted(positions)
    assert "Missed" not in found.out
    assert shown_in_the_document("seconds per sample") == [line.rstrip() for line in found.out.splitlines()]


def test_the_document_shows_what_validate_updates_says() -> None:
    found = command("validate", "updates", "--strict")
    assert found.status == 0, found.err
    assert shown_in_the_document("updates to converge") == [line.rstrip() for line in found.out.splitlines()]


def shown_in_the_document(beginning: str) -> list[str]:
    (shown,) = re.findall(rf"```text\n({beginning}.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line.rstrip() for line in shown.splitlines()]


def test_out_holds_the_answer_and_its_tables(tmp_path: Path) -> None:
    data = written(tmp_path, f"{HEADER}\n{H100}\n", "mine.csv")
    out = tmp_path / "out"
    found = command("validate", "gamma", "--json", "--data", data, "--out", out)
    assert found.status == 0, found.err
    assert {path.name for path in out.iterdir()} == {"run.json", "rows.csv", "summary.csv", "wall_clock.json"}
    saved = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert saved.pop("key")
    assert saved == found.answer
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        summary = list(csv.DictReader(file))
    assert {row["group"] for row in summary} == set(found.answer["summary"])
    assert "coverage90_binomial95.low" in summary[0]
    assert (
        command("validate", "gamma", "--data", data, "--out", out)
        .lines[0]
        .endswith("is not empty; give --force to replace its run or --resume to continue it")
    )
    assert command("validate", "gamma", "--data", data, "--out", out, "--resume").status == 0
    data.write_text(f"{HEADER}\n{H100.replace('0.00015721', '0.00016')}\n", encoding="utf-8")
    assert "holds another run" in command("validate", "gamma", "--data", data, "--out", out, "--resume").err


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (["r,a100-sxm-81,bf16,v,1e9,1e-3,1,1,f,s,l,d,yes"],
         ["line 2, accelerator: must be the id of one of the accelerators, got 'a100-sxm-81'; did you mean 'a100-sxm-80'?"]),
        (["r,p40,bf16,v,1e9,1e-3,1,1,f,s,l,d,yes", "r,p40,tf32,v,1e9,1e-3,1,1,f,s,l,d,yes"],
         ["line 2, precision: must be one of fp32, the peaks of p40, got bf16",
          "line 3, precision: must be one of fp32, the peaks of p40, got tf32"]),
        ([], ["must have at least one row"]),
    ],
)  # fmt: skip
def test_faults_of_the_data_are_one_line_each(tmp_path: Path, lines: list[str], faults: list[str]) -> None:
    path = written(tmp_path, "\n".join([HEADER, *lines]) + "\n", "mine.csv")
    found = command("validate", "gamma", "--data", path)
    assert found.status == 1
    assert found.lines == [f"{path}: {fault}" for fault in faults]


def test_updates_of_a_table_of_ones_own(tmp_path: Path) -> None:
    rows = [f"mine,s,{M},{1000 + 64000 / M},absolute" for M in (16, 32, 64, 128, 512)]
    path = written(tmp_path, "\n".join(["source,series,batch_size,steps,steps_kind", *rows]) + "\n", "mine.csv")
    found = command("validate", "updates", "--data", path, "--json", "--strict")
    assert found.status == 0, found.err
    summary = found.answer["summary"]
    assert {"in_sample", "interior", "largest", "all", "all (law)"} <= set(summary)
    assert summary["interior"]["cases"] == 3
    assert summary["all"]["median_abs_error"] < 0.01  # the points are an exact inverse law
    assert found.answer["skipped"] == {}


def test_updates_of_another_table_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n1,2\n", "mine.csv")
    found = command("validate", "updates", "--data", path)
    assert found.status == 1
    assert found.lines[0].startswith(f"{path}: must have the columns version, benchmark")


def test_a_missing_file_is_an_error_of_the_request(tmp_path: Path) -> None:
    found = command("validate", "gamma", "--data", tmp_path / "none.csv")
    assert (found.status, found.lines) == (1, [f"{tmp_path / 'none.csv'}: no such file"])


def test_unknown_kinds_say_what_there_is() -> None:
    found = command("validate", "gama")
    assert found.status == 2
    assert found.lines[0] == f"learnersim: KIND must be one of {', '.join(KINDS)}, got 'gama'; did you mean 'gamma'?"
    assert command("validate").status == 2


def case(predicted: float, name: str, *, wide: float = 1.1, quantity: str = "first") -> Prediction:
    return Prediction(
        case=name, group="g", series=name, quantity=quantity, predicted=predicted, actual=1.0, lo90=predicted / wide,
        hi90=predicted * wide,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("predictions", "missed"),
    [
        ([case(1.05, f"c{i}") for i in range(20)], []),
        # all twenty within 10 %, none within 1 %: exact intervals hold 15 to 20 of 20 (binomial, central 95 %)
        ([case(1.05, f"c{i}", wide=1.01) for i in range(20)],
         ["g: coverage90 is 0 %, 20 series of exact intervals have 75 to 100 %",
          "all: coverage90 is 0 %, 20 series of exact intervals have 75 to 100 %"]),
        ([case(1.5, f"c{i}", wide=2.0) for i in range(20)], ["all: median_abs_error is 50 %, must be at most 20 %"]),
        # what stands beside is not judged
        ([*(case(1.05, f"c{i}") for i in range(20)), *(case(9.0, f"c{i}", quantity="rival") for i in range(20))], []),
    ],
)  # fmt: skip
def test_strict_leaves_with_1_where_a_tolerance_is_missed(
    predictions: list[Prediction], missed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = Validation(kind="x", predictions=tuple(predictions), skipped={}, primary="first")
    kind = Kind(title="t", meaning="m", load=lambda _: validation, median_tolerance=0.2)
    monkeypatch.setitem(KINDS, "x", kind)
    plain, strict = command("validate", "x"), command("validate", "x", "--strict")
    assert plain.status == 0
    assert [line.removeprefix("Missed: ") for line in plain.out.splitlines() if line.startswith("Missed")] == missed
    assert strict.status == (1 if missed else 0)
    assert strict.lines == [f"validate x --strict: {line}" for line in missed]


def test_the_tolerance_is_the_one_that_is_justified() -> None:
    assert KINDS["gamma"].median_tolerance == MEDIAN_TOLERANCE
    assert KINDS["updates"].median_tolerance == 0.06  # the bar for interior points of published tables
