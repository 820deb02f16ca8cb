"""How good is gamma = train_flop_per_sample / (peak * utilisation) where nobody timed the pair?

Every measured pair is predicted from the others.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from simulator.calibration.random_effects import Spread
from simulator.calibration.utilisation import Cell, UtilisationModel, chip, fit_utilisation, left_out
from simulator.errors import Fault, ScenarioError, UnverifiedWarning
from simulator.messages import TableFaults
from simulator.tables import Column, read_rows
from simulator.validation.rows import Prediction, Validation

__all__ = ["COLUMNS", "MEDIAN_TOLERANCE", "SHIPPED", "Measured", "model_of", "read_measured", "validate_gamma"]

SHIPPED = Path(__file__).resolve().parent / "data" / "gamma.csv"
"""The measured pairs that ship; README.md beside it says where they come from."""

PRECISIONS = ("fp32", "tf32", "bf16")

COLUMNS = {
    "workload": Column(kind="text"),
    "accelerator": Column(kind="text"),
    "precision": Column(kind="text", choices=PRECISIONS),
    "variant": Column(kind="text", needed=False, empty=True),
    "train_flop_per_sample": Column(above=0.0),
    "gamma_s_per_sample": Column(above=0.0),
    "local_samples_min": Column(above=0.0, needed=False, empty=True),
    "local_samples_max": Column(above=0.0, needed=False, empty=True),
    "verified": Column(kind="flag", needed=False, empty=True),
}
"""What is read of a table; the columns of sources are for people."""

PRIMARY = "gamma_s_per_sample"
RIVAL = "one_utilisation"

MOST_UTILISATION = 4.0
"""Winograd's F(4x4, 3x3) needs a quarter of the multiplications: more than four times the peak is a slip of units."""

MOST_CELLS = 300
"""Cells that are predicted from: time grows with their cube (about a minute)."""

MEDIAN_TOLERANCE = 0.38
"""Median absolute error that `--strict` allows: that of guessing.

The published utilisations of ResNet-50 in training go from 0.16 to 0.58 (scenarios/workloads/resnet50-mlperf.toml), a factor
of 1.9 either way of their geometric mean. Whoever knows no more guesses that mean; if the truth is anywhere in the range alike
(in its logarithm), half of the guesses are within a factor of sqrt(1.9) = 1.38. An estimate has to be better than that.
"""

Peak = Callable[[str, str], float]
"""(accelerator, precision) to its dense peak, FLOP/s; TableFaults of `accelerator` or `precision` where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measured gamma.

    Parameters
    ----------
    workload, accelerator, precision : str
        What was timed.
    train_flop_per_sample : float
        Multiply and add counted separately, training three times the forward pass. FLOP, > 0.
    gamma_s_per_sample : float
        Seconds per sample, > 0.
    peak_flop_per_s : float
        Dense peak of the accelerator at the precision, FLOP/s, > 0.
    verified : bool
        Whether somebody checked the row.
    """

    workload: str
    accelerator: str
    precision: str
    train_flop_per_sample: float
    gamma_s_per_sample: float
    peak_flop_per_s: float
    verified: bool = True

    @property
    def utilisation(self) -> float:
        """Share of the peak: train_flop_per_sample / (gamma_s_per_sample * peak_flop_per_s)."""
        return self.train_flop_per_sample / (self.gamma_s_per_sample * self.peak_flop_per_s)

    @property
    def cell(self) -> tuple[str, str, str]:
        """(workload, chip, precision): what counts as the same measurement."""
        return self.workload, chip(self.accelerator), self.precision


def read_measured(path: Path, peak: Peak, *, name: str | None = None) -> list[Measured]:
    """Read a table of measured pairs.

    Parameters
    ----------
    path : Path
        CSV with the columns of `COLUMNS`.
    peak : callable
        See `Peak`.
    name : str, optional
        How messages call the file; the path by default.

    Raises
    ------
    ScenarioError
        With every fault.
    """
    called = name or str(path)
    faults: list[Fault] = []
    found: list[Measured] = []
    for row in read_rows(path, COLUMNS, name=called):
        line = f"line {row['line']}"
        low, high = row["local_samples_min"], row["local_samples_max"]
        if low is not None and high is not None and low > high:
            faults.append(Fault(called, f"{line}, local_samples_min", f"must be <= local_samples_max, {high:g}, got {low:g}"))
        try:
            at_most = peak(row["accelerator"], row["precision"])
        except TableFaults as error:
            faults += [Fault(called, f"{line}, {key}", rule) for key, rule in error.faults]
            continue
        measured = Measured(
            workload=row["workload"],
            accelerator=row["accelerator"],
            precision=row["precision"],
            train_flop_per_sample=row["train_flop_per_sample"],
            gamma_s_per_sample=row["gamma_s_per_sample"],
            peak_flop_per_s=at_most,
            verified=row["verified"] is not False,
        )
        if measured.utilisation > MOST_UTILISATION:
            least = measured.train_flop_per_sample / (MOST_UTILISATION * at_most)
            rule = f"must be >= {least:.3g}, a quarter of the time at the peak, got {measured.gamma_s_per_sample:g}"
            faults.append(Fault(called, f"{line}, gamma_s_per_sample", rule))
        found.append(measured)
    if faults:
        raise ScenarioError(faults)
    return found


def model_of(measured: Iterable[Measured]) -> UtilisationModel:
    """Fit the model of utilisation to all that was measured; ValueError as `fit_utilisation` has it."""
    return fit_utilisation(_cells(_once(measured)))


def validate_gamma(measured: Sequence[Measured], others: Sequence[Measured] = ()) -> Validation:
    """Predict every measured pair from the others.

    Parameters
    ----------
    measured : sequence of Measured
        The pairs to predict.
    others : sequence of Measured
        More pairs to predict from. Rows of the predicted pair among them are left out like its own.

    Returns
    -------
    Validation
        A case is a workload on an accelerator at a precision, its gamma the geometric mean over the variants. A pair is left
        out with all its precisions and variants, and with the siblings of the chip that differ in memory only. Quantities:
        "gamma_s_per_sample", the pair left out; "one_utilisation", its rival, the geometric mean of all other cells;
        "accelerator_left_out", "workload_left_out" and "both_left_out", harder trials: from the cells of other chips only,
        of other workloads only, and of both other. Groups say what the prediction rests on: workload_known (the workload on
        another chip), accelerator_known (the chip only), neither.

    Raises
    ------
    ValueError
        If there are more than `MOST_CELLS` cells to predict from.
    """
    rows = _once(measured)
    skipped: Counter[str] = Counter()
    skipped["the same figure again"] += len(measured) - len(rows)
    known = _once([*rows, *others])
    unchecked = sum(not row.verified for row in known)
    if unchecked:
        text = f"{unchecked} of the {len(known)} measured rows rest on figures that nobody checked"
        warnings.warn(text, UnverifiedWarning, stacklevel=2)
    cells = _cells(known)
    if len(cells) > MOST_CELLS:
        counted = "different (workload, chip, precision), with those that ship,"
        raise ValueError(f"{counted} must be at most {MOST_CELLS}, got {len(cells)}")
    position = {(cell.workload, cell.chip, cell.precision): i for i, cell in enumerate(cells)}
    cases: dict[tuple[str, str, str], list[Measured]] = {}
    for row in rows:
        cases.setdefault((row.workload, row.accelerator, row.precision), []).append(row)
    skipped["another variant, in the mean of its pair"] += len(rows) - len(cases)

    pairs = list(dict.fromkeys((row.workload, chip(row.accelerator)) for row in rows))
    trials = [(quantity, workload, of) for quantity in TRIALS for workload, of in pairs]
    sets = [[i for i, cell in enumerate(cells) if TRIALS[quantity](cell, workload, of)] for quantity, workload, of in trials]
    predictions: list[Prediction] = []
    for (quantity, workload, of), out, spreads in zip(trials, sets, left_out(cells, sets), strict=True):
        rest = [cell for i, cell in enumerate(cells) if i not in out]
        for key, variants in cases.items():
            if (key[0], chip(key[1])) != (workload, of):
                continue
            spread = spreads.get(position[variants[0].cell])
            if spread is None:
                few = len(rest) < len({cell.precision for cell in rest}) + 2
                reason = "too few other pairs" if few else "no other pair at this precision"
                skipped[reason if quantity == PRIMARY else f"{reason}, {quantity}"] += 1
                continue
            predictions.append(_prediction(key, variants, rest, quantity, spread))
            if quantity == PRIMARY:
                predictions.append(_prediction(key, variants, rest, RIVAL, _pooled(rest)))
    order = [PRIMARY, RIVAL, *TRIALS]
    groups = ["workload_known", "accelerator_known", "neither"]
    return Validation(
        kind="gamma",
        predictions=tuple(sorted(predictions, key=lambda case: (order.index(case.quantity), groups.index(case.group)))),
        skipped={reason: count for reason, count in skipped.items() if count},
        primary=PRIMARY,
    )


TRIALS: dict[str, Callable[[Cell, str, str], bool]] = {
    PRIMARY: lambda cell, workload, of: cell.workload == workload and cell.chip == of,
    "accelerator_left_out": lambda cell, workload, of: cell.chip == of,
    "workload_left_out": lambda cell, workload, of: cell.workload == workload,
    "both_left_out": lambda cell, workload, of: cell.workload == workload or cell.chip == of,
}
"""Quantity: whether a cell is left out when a workload on a chip is predicted."""


def _once(measured: Iterable[Measured]) -> list[Measured]:
    """Leave out figures that stand there again, whatever their variant is called."""
    seen: dict[tuple[str, str, str, float, float], Measured] = {}
    for row in measured:
        key = (row.workload, row.accelerator, row.precision, row.train_flop_per_sample, row.gamma_s_per_sample)
        seen.setdefault(key, row)
    return list(seen.values())


def _cells(measured: Iterable[Measured]) -> list[Cell]:
    grouped: dict[tuple[str, str, str], list[float]] = {}
    for row in measured:
        grouped.setdefault(row.cell, []).append(row.utilisation)
    return [
        Cell(workload=workload, chip=of, precision=precision, utilisations=tuple(found))
        for (workload, of, precision), found in sorted(grouped.items())
    ]


def _pooled(cells: Sequence[Cell]) -> Spread:
    """Return what a single utilisation for all says of one more: Student, n - 1 degrees of freedom."""
    logs = np.array([cell.log_mean for cell in cells])
    scale = float(np.std(logs, ddof=1)) * math.sqrt(1.0 + 1.0 / len(logs))
    return Spread(weights=np.ones(1), means=np.array([logs.mean()]), scales=np.array([scale]), degrees=float(len(logs) - 1))


def _prediction(
    key: tuple[str, str, str], variants: Sequence[Measured], rest: Sequence[Cell], quantity: str, spread: Spread
) -> Prediction:
    workload, accelerator, precision = key
    at_peak_s = stats.gmean([row.train_flop_per_sample / row.peak_flop_per_s for row in variants])
    if any(cell.workload == workload for cell in rest):
        group = "workload_known"
    else:
        group = "accelerator_known" if any(cell.chip == chip(accelerator) for cell in rest) else "neither"
    return Prediction(
        case=f"{workload} on {accelerator}, {precision}",
        group=group,
        series=f"{workload} on {chip(accelerator)}",
        quantity=quantity,
        part=precision,
        predicted=float(at_peak_s * math.exp(-spread.mean)),
        actual=float(stats.gmean([row.gamma_s_per_sample for row in variants])),
        lo90=float(at_peak_s * math.exp(-spread.quantile(0.95))),
        hi90=float(at_peak_s * math.exp(-spread.quantile(0.05))),
    )
