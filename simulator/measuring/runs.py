"""One run to convergence: updates until each loss target is first reached, at evaluations that do not dominate.

The loss is looked at before the first update and then at updates that are fixed beforehand: never closer than keeps evaluating
to half the work of training, and else every 1 % of the updates done. Where a target is passed between two looks, the update
is interpolated on the straight line of the loss's logarithm and rounded up; `seen_updates` is the look before. What was not
reached is censored: it takes more updates than were made.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from simulator.errors import SimulatorError
from simulator.measuring.problems import LOSSES, Learner, cause
from simulator.measuring.timing import Clock
from simulator.messages import shown

__all__ = ["Outcome", "Passage", "Run", "first_interval_updates", "run_to_targets"]

Outcome = Literal["finished", "censored", "diverged", "failed", "out_of_time"]
"""finished: every target of the training loss was reached; censored: the limit of updates came first; diverged: the loss grew
without bound or became NaN; failed: the problem's own code raised; out_of_time: the budget ended."""

LOOK_AT_CLOCK_EVERY_S = 0.1
"""Seconds between two looks at the clock while updates are made: a budget may end among updates that take long."""
EVALUATION_SHARE = 0.5
"""Most work of evaluations relative to that of the updates between them."""
FORWARD_SHARE = 1.0 / 3.0
"""Work of evaluating a sample relative to training on it."""
UPDATE_OVERHEAD_SAMPLES = 16
"""Work of an update beyond its samples, in samples: what small mini-batches cost besides."""
LOOK_EVERY = 0.01
"""Fraction of the updates done after which the loss is looked at again."""
DIVERGED_FACTOR = 100.0
"""A loss so many times the first one has diverged."""
CROSS_VALIDATION_PATIENCE = 2.0
"""A run goes on for targets of the cross-validation loss until so many times the updates of the last training target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """When one loss first reached one target.

    Parameters
    ----------
    loss : str
        training or cross_validation.
    target : float
        The value to be reached.
    updates : int
        First update at the target; where it was not reached, how many updates were made without.
    seen_updates : int
        The last look before, where the loss was still above.
    reached : bool
        Whether it was.
    """

    loss: str
    target: float
    updates: int
    seen_updates: int
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run found.

    Parameters
    ----------
    outcome : Outcome
        How it ended.
    message : str
        Why, where it did not finish.
    updates : int
        Updates made.
    passages : tuple of Passage
        One for each loss and target.
    first_interval_updates : int
        Updates between the first looks.
    first_losses, last_losses : mapping of str to float
        At the first and the last look.
    update_time_s : float
        Mean wall time of an update, evaluations not counted; 0 where none was made.
    looks : int
        Evaluations of the losses.
    evaluation_time_s : float
        All of them together.
    elapsed_s, cpu_s : float
        Wall and processor time of the whole run.
    """

    outcome: Outcome
    message: str
    updates: int
    passages: tuple[Passage, ...]
    first_interval_updates: int
    first_losses: Mapping[str, float]
    last_losses: Mapping[str, float]
    update_time_s: float
    looks: int
    evaluation_time_s: float
    elapsed_s: float
    cpu_s: float

    def passage(self, loss: str, target: float) -> Passage | None:
        """Return the passage of a loss through a target; None where the run did not get to look for it."""
        return next((one for one in self.passages if (one.loss, one.target) == (loss, target)), None)


def first_interval_updates(batch_samples: int, evaluation_samples: int) -> int:
    """Updates between two looks, at least.

    Examples
    --------
    >>> first_interval_updates(1, 718), first_interval_updates(1024, 718)
    (29, 1)
    """
    work = FORWARD_SHARE * evaluation_samples / EVALUATION_SHARE
    return max(1, math.ceil(work / (batch_samples + UPDATE_OVERHEAD_SAMPLES)))


class _Watch:
    """The losses of a run as they are looked at, and the targets they passed; one that the first loss is below says nothing."""

    def __init__(self, targets: Mapping[str, Sequence[float]], losses: Mapping[str, float]) -> None:
        self.first = dict(losses)
        self.last = dict(losses)
        self.at = 0
        self.left = {
            loss: sorted((value for value in values if value < losses[loss]), reverse=True)
            for loss, values in targets.items()
            if loss in losses
        }
        self.passed: list[Passage] = []

    def look(self, updates: int, losses: Mapping[str, float]) -> None:
        for loss, left in self.left.items():
            while left and losses[loss] <= left[0]:
                target = left.pop(0)
                share = _share(self.last[loss], losses[loss], target)
                reached = max(1, math.ceil(self.at + share * (updates - self.at) - 1e-9))
                self.passed.append(Passage(loss=loss, target=target, updates=reached, seen_updates=self.at, reached=True))
        self.last, self.at = dict(losses), updates

    def missing(self) -> list[Passage]:
        return [
            Passage(loss=loss, target=target, updates=self.at, seen_updates=self.at, reached=False)
            for loss, left in self.left.items()
            for target in left
        ]

    def done(self) -> bool:
        if self.left.get("training"):
            return False
        ends = [passage.updates for passage in self.passed if passage.loss == "training"]
        patience = CROSS_VALIDATION_PATIENCE * max(ends, default=0)
        return not self.left.get("cross_validation") or self.at >= patience


def _share(before: float, after: float, target: float) -> float:
    """Where between two looks a loss passed a target: on the line of its logarithm, or of the loss where one is <= 0."""
    if after > 0 and target > 0:
        before, after, target = math.log(before), math.log(after), math.log(target)
    return min(1.0, max(0.0, (before - target) / (before - after))) if before > after else 1.0


def _bad(losses: Mapping[str, float], first: Mapping[str, float] | None, updates: int) -> str | None:
    """Return why losses are no use: not numbers, or grown without bound."""
    for loss, value in losses.items():
        if not math.isfinite(value):
            return f"the {loss} loss is {value} after {updates} updates"
        if first is not None and value > DIVERGED_FACTOR * max(abs(first[loss]), 1e-300):
            return f"the {loss} loss grew from {first[loss]:.3g} to {value:.3g} in {updates} updates"
    return None


def _losses(learner: Learner) -> dict[str, float]:
    """Return the losses of a learner as numbers; SimulatorError where they are something else."""
    said = learner.losses()
    if not isinstance(said, Mapping):
        raise SimulatorError(f'losses() must return a mapping like {{"training": 0.5}}, got {type(said).__name__}')
    if "training" not in said or not set(said) <= set(LOSSES):
        raise SimulatorError(
            f"losses() must return training and may return cross_validation, got {shown(sorted(map(str, said)))}"
        )
    found = {}
    for name, value in said.items():
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            found[name] = float(value)
        except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
            raise SimulatorError(f"losses() must give a number for the {name} loss, got {shown(value)}") from None
    return found


def _advance(learner: Learner, updates: int, deadline_s: float) -> int:
    """Make updates, fewer where the deadline passes among them, and return how many."""
    made, at_once = 0, 1
    while made < updates:
        begun_s = time.monotonic()
        if begun_s > deadline_s:
            break
        count = min(at_once, updates - made)
        for _ in range(count):
            learner.update()
        made += count
        if time.monotonic() - begun_s < LOOK_AT_CLOCK_EVERY_S:
            at_once *= 2
        else:
            at_once = max(1, at_once // 2)
    return made


def run_to_targets(
    build: Callable[[], Learner],
    targets: Mapping[str, Sequence[float]],
    *,
    batch_samples: int,
    evaluation_samples: int,
    limit_updates: int,
    deadline_s: float = math.inf,
    clock: Clock = time.perf_counter,
    seen: Callable[[int, float], None] = lambda updates, loss: None,
) -> Run:
    """Train from fresh weights until every target is reached, or it is clear that they will not be.

    Parameters
    ----------
    build : callable
        Makes the learner.
    targets : mapping of str to sequence of float
        Values to be reached by each loss; a loss that the learner does not have is left out.
    batch_samples, evaluation_samples : int
        Samples of an update, and of one call of `losses`: what the looks are spaced by.
    limit_updates : int
        The run ends there.
    deadline_s : float
        So does it when `time.monotonic()` passes this.
    clock : callable
        What updates are timed by: wall time, or `time.process_time` on a machine that others use.
    seen : callable
        Is told the updates made and the training loss at every look.

    Returns
    -------
    Run
        Whatever happens: an exception of the problem's own code is an outcome, too.
    """
    begun_s, begun_cpu_s = time.monotonic(), time.process_time()
    training_s = evaluating_s = 0.0
    updates = looks = 0
    interval = first_interval_updates(batch_samples, evaluation_samples)
    watch: _Watch | None = None
    outcome, message = "censored", ""

    def looked() -> dict[str, float]:
        nonlocal evaluating_s, looks
        looks += 1
        start_s = clock()
        found = _losses(learner)
        evaluating_s += clock() - start_s
        return found

    try:
        learner = build()
        losses = looked()
        message = _bad(losses, None, 0) or ""
        if message:
            outcome = "diverged"
        else:
            lowest = min(targets["training"])
            if lowest >= losses["training"]:
                raise SimulatorError(
                    f"a target must lie below the loss before the first update, {losses['training']:.4g}, got {lowest:g} for "
                    "the training loss"
                )
            watch = _Watch(targets, losses)
        while watch is not None and updates < limit_updates:
            steps = min(max(interval, int(LOOK_EVERY * updates)), limit_updates - updates)
            start_s = clock()
            made = _advance(learner, steps, deadline_s)
            training_s += clock() - start_s
            updates += made
            if made < steps:
                outcome, message = "out_of_time", f"the budget ended after {updates} updates"
                break
            losses = looked()
            seen(updates, losses["training"])
            message = _bad(losses, watch.first, updates) or ""
            if message:
                outcome = "diverged"
                break
            watch.look(updates, losses)
            if watch.done():
                outcome = "finished"
                break
            if time.monotonic() > deadline_s:
                outcome, message = "out_of_time", f"the budget ended after {updates} updates"
                break
        else:
            if outcome == "censored":
                message = f"not reached in {updates} updates"
    except (Exception, SystemExit) as error:  # whatever it is, the measurement goes on
        outcome, message = "failed", str(error) if isinstance(error, SimulatorError) else cause(error)
    return Run(
        outcome=outcome,  # type: ignore[arg-type]  # one of the words above
        message=message,
        updates=updates,
        passages=() if watch is None else (*watch.passed, *watch.missing()),
        first_interval_updates=interval,
        first_losses={} if watch is None else watch.first,
        last_losses={} if watch is None else watch.last,
        update_time_s=training_s / updates if updates else 0.0,
        looks=looks,
        evaluation_time_s=evaluating_s,
        elapsed_s=time.monotonic() - begun_s,
        cpu_s=time.process_time() - begun_cpu_s,
    )
