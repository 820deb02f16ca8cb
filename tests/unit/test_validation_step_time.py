"""`validate step-time`: what is predicted, what is skipped and counted, the rivals, and the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.step_time_series import StepPlace, StepPoint
from simulator.calibration.step_time_tables import read_step_times
from simulator.validation.step_time import STEP_TIMES, validate_step_time
from simulator.validation.step_time_rivals import RIVALS, fit_rival
from tests.support import ROOT, command, written

SHIPPED = STEP_TIMES.read_text(encoding="utf-8").splitlines()


def small(folder: Path) -> Path:
    """Return the shipped rows of four short series: one to predict, one too short, one without more GPUs, one with `single`."""
    kept = [
        line
        for line in SHIPPED
        if line.startswith(("tf-benchmarks-2017,ResNet-152,ResNet-152,synthetic,K80 (EC2", "batchai-horovod,resnet50,"))
        and ("V100" in line or "K80 (EC2" in line)
    ]
    return written(folder, "\n".join([SHIPPED[0], *kept, ""]), "small.csv")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("step_time"))


def test_series_are_predicted_or_skipped_and_counted(table: Path) -> None:
    found = validate_step_time(table)
    assert list(dict.fromkeys(case.group for case in found.predictions)) == [
        "tf-benchmarks-2017/ResNet-152/K80 (EC2 distributed)",
        "batchai-horovod/resnet50/IntelMPI",
        "batchai-horovod/resnet50/OpenMPI+NCCL",
    ]
    assert found.skipped == {"no more than 16 GPUs (series)": 1}
    predicted = [case for case in found.predictions if case.quantity == "step_time_s"]
    assert [case.case.split(" on ")[1] for case in predicted] == [
        "32 GPUs, 4 nodes",
        "64 GPUs, 8 nodes",
        *2 * ["32 GPUs, 8 nodes"],
    ]
    assert {case.quantity for case in found.predictions} == {"step_time_s", *RIVALS}
    assert all((case.lo90 is None) is (case.quantity != "step_time_s") for case in found.predictions)


def test_fewer_numbers_of_gpus_than_three_are_skipped(table: Path) -> None:
    found = validate_step_time(table, fit_up_to=2)
    # single + MPI: 1 and 2 GPUs; the two of TensorFlow: 1 (and 2)
    assert found.predictions == ()
    assert found.skipped == {"fewer than 3 numbers of GPUs up to 2 (series)": 4}


def test_a_limit_below_one_is_refused(table: Path) -> None:
    with pytest.raises(ValueError, match="fit_up_to must be >= 1, got 0"):
        validate_step_time(table, fit_up_to=0)


def test_what_is_predicted_never_enters_its_fit(table: Path, tmp_path: Path) -> None:
    header, *lines = table.read_text(encoding="utf-8").splitlines()
    columns = header.split(",")
    P, T = columns.index("n_gpus"), columns.index("step_time_s")
    changed = [header]
    for line in lines:
        cells = line.split(",")
        if int(cells[P]) > 16:
            cells[T] = str(10 * float(cells[T]))
        changed.append(",".join(cells))
    other = validate_step_time(written(tmp_path, "\n".join([*changed, ""]), "other.csv"))
    ours = validate_step_time(table)
    assert [case.predicted for case in other.predictions] == [case.predicted for case in ours.predictions]


def test_rivals_find_the_law_that_is_theirs() -> None:
    """Steps drawn from a rival without noise are predicted to the digits of the search, 1e-8 of the sum of squares."""
    values = {
        "adaptdl": [0.1, 0.01, 0.05, 0.002, 0.3, 0.004, 2.0],
        "knee_log": [0.1, 0.01, 20.0, 0.02, 0.3, 0.04],
        "affine_ring": [0.1, 0.01, 0.2, 0.5, 3.0],
    }
    places = [
        StepPlace.even(local_samples=m, learners=P, nodes=N)
        for m in (8.0, 16.0, 32.0, 64.0)
        for P, N in ((1, 1), (2, 1), (4, 1), (4, 2), (8, 2), (16, 4), (64, 16))
    ]
    for name, rival in RIVALS.items():
        m, P, N = np.array([(p.local_samples, p.learners, p.nodes) for p in places], dtype=float).T
        points = [
            StepPoint(place=place, step_time_s=float(t))
            for place, t in zip(places, rival.step_time_s(np.array(values[name]), m, P, N), strict=True)
        ]
        out = [point for point in points if point.place.learners == 64]
        predicted = fit_rival(rival, [point for point in points if point.place.learners < 64])(out)
        np.testing.assert_allclose(predicted, [point.step_time_s for point in out], rtol=2e-3, err_msg=name)


def test_micro_steps_multiply_what_a_rival_computes() -> None:
    places = [StepPlace.even(local_samples=m, learners=1, nodes=1, micro_steps=s) for m in (8.0, 32.0) for s in (1, 4)]
    points = [StepPoint(place=p, step_time_s=p.micro_steps * (0.1 + 0.01 * p.local_samples)) for p in places]
    predicted = fit_rival(RIVALS["affine_ring"], points)(points)
    np.testing.assert_allclose(predicted, [point.step_time_s for point in points], rtol=1e-3)


def test_the_shipped_copy_is_whole() -> None:
    table = read_step_times(STEP_TIMES)
    assert len(SHIPPED) == 1 + 4294
    assert table.skipped == {}
    assert "step_time.csv" in (ROOT / "NOTICE").read_text(encoding="utf-8")


def test_the_command_answers_with_rivals_in_the_same_table(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command("validate", "step-time", "--data", table, "--out", out, "--figures", "--json")
    assert done.status == 0, done.err
    summary = done.answer["summary"]
    assert {"all", *(f"all ({name})" for name in RIVALS)} <= set(summary)
    assert (out / "figure_validation.png").read_bytes().startswith(b"\x89PNG")
    text = command("validate", "step-time", "--data", table, "--fit-up-to", "8").out
    assert "all (adaptdl)" in text
    assert "batchai-horovod/resnet50/OpenMPI+NCCL (adaptdl)" not in text  # two cases: the JSON has them
    assert "fewer than 3 numbers of GPUs up to 8" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gamma", "--fit-up-to", "8"], "--fit-up-to is for validate step-time, got it with gamma"),
        (["updates", "--every-size"], "--every-size is for validate time-to-converge, got it with updates"),
        (["step-time", "--fit-up-to", "0"], "--fit-up-to must be >= 1, got 0"),
        (["step-time", "--figures"], "--figures needs --out DIR"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(arguments: list[str], message: str) -> None:
    done = command("validate", *arguments)
    assert (done.status, done.lines) == (1, [message])


def test_the_document_shows_what_the_command_says_of_the_small_part(table: Path) -> None:
    """The whole takes half a minute; the lines of two of its series are compared with the document instead."""
    document = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8").split("\n## step-time: ")[1].split("\n## ")[0]
    summary = validate_step_time(table).summary()
    for name, found in summary.items():
        if name.startswith("batchai") and "(" not in name:
            short = name.replace("resnet50/", "resnet50/V100/")  # the whole has several GPUs
            (line,) = [line for line in document.splitlines() if line.startswith(f"{short} ")]
            assert f"{100 * found['median_abs_error']:.1f} %" in line
            assert f"{found['median_ratio90']:.2f}" in line
