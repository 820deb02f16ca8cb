"""How good is the fit of step times? Published clusters, predicted at more GPUs than the fit has seen.

A fit sees its own series only, up to a number of GPUs. Rivals are fitted to the same rows in the same run.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simulator.calibration.step_time import fit_step_time
from simulator.calibration.step_time_series import StepPoint
from simulator.calibration.step_time_tables import MeasuredSteps, StepTimeTable, read_step_times
from simulator.validation.rows import Prediction, Validation
from simulator.validation.step_time_rivals import RIVALS, fit_rival

__all__ = ["FIT_UP_TO", "PRIMARY", "STEP_TIMES", "validate_step_time", "validate_step_times"]

STEP_TIMES = Path(__file__).parent / "data" / "step_time.csv"
"""The step times that ship; README.md beside it says where they come from."""

FIT_UP_TO = 16
FEWEST_NUMBERS = 3
"""Numbers of GPUs that a series needs among those fitted."""

PRIMARY = "step_time_s"


def validate_step_time(path: Path | None = None, *, fit_up_to: int = FIT_UP_TO) -> Validation:
    """Predict the steps on more GPUs of every series of a table, or of the one that ships; see `validate_step_times`."""
    table = read_step_times(STEP_TIMES, name=STEP_TIMES.name) if path is None else read_step_times(path)
    return validate_step_times(table, fit_up_to=fit_up_to)


def validate_step_times(table: StepTimeTable, *, fit_up_to: int = FIT_UP_TO) -> Validation:
    """Predict the steps on more GPUs of every series of a table.

    Parameters
    ----------
    table : StepTimeTable
        The measurements.
    fit_up_to : int
        Rows with at most so many GPUs are fitted, those with more predicted.

    Returns
    -------
    Validation
        A case is a row, its group the series: SOURCE/WORKLOAD, with GPU and variant where the source has several. Quantities:
        "step_time_s", what the tool answers, with the 90 % interval of one measurement, and the rivals of `RIVALS`.

    Raises
    ------
    ValueError
        If `fit_up_to` is below 1.
    """
    if fit_up_to < 1:
        raise ValueError(f"fit_up_to must be >= 1, got {fit_up_to}")
    skipped: Counter[str] = Counter(table.skipped)
    predictions: list[Prediction] = []
    for one in table.series:
        fitted = [number for number in one.learners if number <= fit_up_to]
        if len(fitted) < FEWEST_NUMBERS:
            skipped[f"fewer than {FEWEST_NUMBERS} numbers of GPUs up to {fit_up_to} (series)"] += 1
        elif len(fitted) == len(one.learners):
            skipped[f"no more than {fit_up_to} GPUs (series)"] += 1
        else:
            predictions += _predicted(one, fit_up_to)
    return Validation(kind="step-time", predictions=tuple(predictions), skipped=dict(skipped), primary=PRIMARY)


def _predicted(one: MeasuredSteps, fit_up_to: int) -> list[Prediction]:
    inside = [point for point in one.points if point.place.learners <= fit_up_to]
    out = [point for point in one.points if point.place.learners > fit_up_to]
    found = []
    predicted = fit_step_time(one.series(fit_up_to)).predict([point.place for point in out])
    for point, answer in zip(out, predicted, strict=True):
        low, high = answer.interval90
        found.append(_case(one.name, point, PRIMARY, answer.step_time_s, low, high))
    for name, rival in RIVALS.items():
        times = fit_rival(rival, inside)(out)
        found += [_case(one.name, point, name, float(time_s)) for point, time_s in zip(out, times, strict=True)]
    return found


def _case(
    name: str, point: StepPoint, quantity: str, predicted: float, low: float | None = None, high: float | None = None
) -> Prediction:
    at = point.place
    steps = f", {at.micro_steps} micro-steps" if at.micro_steps > 1 else ""
    return Prediction(
        case=f"{name}, {at.local_samples:g} a GPU on {at.learners} GPUs, {at.nodes} nodes{steps}",
        group=name,
        series=name,
        quantity=quantity,
        predicted=predicted,
        actual=point.step_time_s,
        lo90=low,
        hi90=high,
    )
