"""What a measurement warns of: everything that did not go as planned."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from simulator.errors import MeasurementWarning, PoorFitWarning, SimulatorError

if TYPE_CHECKING:
    from simulator.measuring.findings import Findings
    from simulator.measuring.measurement import Request
    from simulator.measuring.problems import Sheet
    from simulator.measuring.record import Record

__all__ = ["warn_of_measurement"]

MOST_EVALUATION = 0.5
"""Share of the time of runs that evaluating the losses may take before it is said."""
WORTH_SAYING_S = 1.0
"""Evaluations that took less altogether are nobody's concern."""


def warn_of_measurement(
    record: Record, found: Findings, request: Request, sheet: Sheet, *, in_time: bool, checked: int | None
) -> None:
    """Warn of what failed, diverged, was cut short, or cannot be fitted.

    Raises
    ------
    SimulatorError
        If everything failed: there is nothing to answer.
    """

    def warn(text: str) -> None:
        warnings.warn(text, MeasurementWarning, stacklevel=2)

    failures = [text if count == 1 else f"{text} ({count} times)" for text, count in _failures(record).items()]
    if failures and not found.times and not found.updates:
        raise SimulatorError("\n".join(["nothing could be measured:", *failures]))
    for text in failures:
        warn(text)
    if record.changed:
        names = ", ".join(record.changed)
        warn(
            f"{names} changed since the measurement began: what was measured before, unless it failed, is of the other one; "
            "--force measures all anew"
        )
    for text in _left_out(record, request):
        warn(text)
    if not in_time:
        warn("the budget ended before everything planned was measured; --resume with a larger --budget goes on")
    if checked is not None and checked < request.runs:
        warn(f"the budget ended after {checked} of {request.runs} runs of --check")
    for name, text in found.refusals.items():
        if name == found.main:
            warn(f"no law could be fitted: {text}")
    if found.fit is not None and found.fit.batch_samples_range[0] > sheet.data_set_samples:
        warn(
            f"no mini-batch measured is within the {sheet.data_set_samples:,} samples of the data: none of them can be the best"
        )
    evaluating_s, share = _evaluation(record)
    if share > MOST_EVALUATION:
        warn(
            f"evaluating the losses took {100 * share:.0f} % of the time of the runs, {evaluating_s:.3g} s a time: evaluate on "
            "fewer samples, or say a larger evaluation_samples, which makes it rarer"
        )
    for fit in found.fits.values():
        for concern in fit.concerns:
            if fit.series.name == found.main:
                warnings.warn(f"{fit.series.name}: {concern}", PoorFitWarning, stacklevel=1)


def _left_out(record: Record, request: Request) -> list[str]:
    """Say which targets and numbers of learners there is nothing of, and why."""
    said = []
    firsts = [row["first_losses"] for row in record.of("run") if row["first_losses"]]
    for loss in dict.fromkeys(name for first in firsts for name in first):
        lowest = min(first[loss] for first in firsts)
        above = [f"{target:g}" for target in request.targets if target >= lowest]
        if above:
            said.append(
                f"a target must lie below the loss before the first update, here {lowest:.4g} for the {loss} loss: left out "
                f"{', '.join(above)} where it does not"
            )
    low, high = min(request.batch_samples), max(request.batch_samples)
    said += [
        f"no update was timed on {learners} learners: that takes mini-batches from {learners * low:,} samples on, the largest "
        f"here is {high:,}"
        for learners in request.learners
        if learners * low > high
    ]
    cores, threads = record.head["machine"]["cores"], request.threads
    said += [
        f"{_counted(learners, 'learner')} of {_counted(threads, 'thread')} shared {_counted(cores, 'core')}: their updates "
        "take longer than on a core for each thread"
        for learners in request.learners
        if learners * threads > cores and any(row["learners"] == learners for row in record.of("time"))
    ]
    return said


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count > 1 else ''}"


def _evaluation(record: Record) -> tuple[float, float]:
    """Return the seconds of an evaluation, and the share of the runs' time that evaluating took; 0 where that was short."""
    rows = [row for kind in ("tuning", "run", "check") for row in record.of(kind)]
    evaluating_s = sum(row.get("evaluation_time_s", 0.0) for row in rows)
    training_s = sum(row["update_time_s"] * row["updates"] for row in rows)
    looks = sum(row.get("looks", 0) for row in rows)
    if evaluating_s < WORTH_SAYING_S:
        return 0.0, 0.0
    return evaluating_s / max(looks, 1), evaluating_s / (evaluating_s + training_s)


def _failures(record: Record) -> Mapping[str, int]:
    """Count runs that diverged or failed and timings that failed, by where; the first one's message speaks for them."""
    words: dict[str, str] = {}
    found: dict[str, int] = {}
    for kind, word in (("time", "timing"), ("run", "run"), ("check", "check")):
        for row in record.of(kind):
            if row["outcome"] in ("diverged", "failed"):
                where = f"{word} of {row['batch_samples']:,} samples"
                where += f" on {row['learners']} learners" if row.get("learners", 1) > 1 else ""
                where += f" at rate {row['learning_rate']:.4g}" if "learning_rate" in row else ""
                text = words.setdefault(f"{where} {row['outcome']}", f"{where} {row['outcome']}: {row['message']}")
                found[text] = found.get(text, 0) + 1
    return found
