"""The estimate of utilisation: what it refuses, and what it rests on."""

from __future__ import annotations

import pytest

from simulator.calibration.utilisation import Cell, chip, fit_utilisation, left_out


def cell(workload: str, of: str, precision: str, *utilisations: float) -> Cell:
    return Cell(workload=workload, chip=of, precision=precision, utilisations=utilisations)


CELLS = [
    cell("r", "a", "bf16", 0.2),
    cell("r", "b", "bf16", 0.3),
    cell("s", "a", "bf16", 0.4, 0.5),
    cell("s", "b", "fp32", 0.6),
    cell("t", "b", "fp32", 0.7),
]


def test_siblings_of_a_chip_differ_in_their_memory_only() -> None:
    assert chip("v100-sxm-16") == chip("v100-sxm-32") == "v100-sxm"
    assert chip("a100-pcie-80") != chip("a100-sxm-80")
    assert chip("mi300x") == "mi300x"


def test_an_estimate_says_what_it_rests_on() -> None:
    model = fit_utilisation(CELLS)
    found = model.estimate("s", "b-80", "bf16")  # chip b
    assert (found.same_workload, found.same_accelerator, found.cells) == (2, 3, 5)
    new = model.estimate("u", "c", "bf16")
    assert (new.same_workload, new.same_accelerator) == (0, 0)
    assert model.precisions == ["bf16", "fp32"]
    assert model.implementation_variance == pytest.approx(0.02490, rel=1e-3)  # log(0.5/0.4)^2 / 2


def test_identical_measurements_are_no_certainty_but_nearly() -> None:
    cells = [cell(w, a, "bf16", 0.25) for w in "rst" for a in "abc"]
    found = fit_utilisation(cells).estimate("r", "d", "bf16")
    assert found.utilisation == pytest.approx(0.25, rel=1e-9)
    assert 1.0 < found.high / found.low < 1.001


def test_a_precision_that_nobody_measured_is_refused() -> None:
    with pytest.raises(ValueError, match=r"precision must be one of bf16, fp32, those measured, got 'tf32'"):
        fit_utilisation(CELLS).estimate("r", "a", "tf32")


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="measured cells must be at least 3, two more than there are precisions, got 2"):
        fit_utilisation(CELLS[:2])
    assert len(fit_utilisation(CELLS[:3]).cells) == 3


def test_a_cell_stands_once() -> None:
    with pytest.raises(ValueError, match="must differ in workload, chip or precision, got r a bf16 twice"):
        fit_utilisation([*CELLS, CELLS[0]])


def test_a_cell_has_a_positive_utilisation() -> None:
    with pytest.raises(ValueError, match="utilisations must be finite and > 0, got 0"):
        cell("r", "a", "bf16", 0.2, 0.0)
    with pytest.raises(ValueError, match="utilisations must hold at least one, got none"):
        cell("r", "a", "bf16")


def test_what_cannot_be_predicted_is_missing() -> None:
    few, precision = left_out(CELLS, [[0, 1, 2], [3, 4]])
    assert few == {}  # two remain
    assert precision == {}  # nobody else has fp32
    (one,) = left_out(CELLS, [[0]])
    assert set(one) == {0}
