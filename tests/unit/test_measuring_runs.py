"""One run to convergence: when targets are said to be reached, and what becomes of runs that end otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from simulator.measuring.runs import first_interval_updates, run_to_targets


@dataclass
class Falling:
    """A learner whose losses are a function of the updates made."""

    loss: Callable[[int], Mapping[str, float]]
    updates: int = 0
    looks: int = 0

    def update(self) -> None:
        self.updates += 1

    def losses(self) -> Mapping[str, float]:
        self.looks += 1
        return self.loss(self.updates)


def geometric(rate: float = 0.01) -> Callable[[int], Mapping[str, float]]:
    return lambda n: {"training": 10.0 * math.exp(-rate * n)}


BOTH = {"training": (5.0, 1.0), "cross_validation": (5.0, 1.0)}


def test_a_geometric_loss_passes_each_target_at_its_update() -> None:
    # 10 exp(-n/100) <= 5 at n = 100 ln 2 = 69.3, <= 1 at n = 100 ln 10 = 230.3: rounded up; interpolation of ln loss is exact
    run = run_to_targets(lambda: Falling(geometric()), BOTH, batch_samples=1, evaluation_samples=600, limit_updates=10_000)
    assert run.outcome == "finished"
    assert [(one.target, one.updates, one.reached) for one in run.passages] == [(5.0, 70, True), (1.0, 231, True)]
    # 600/3 samples' work at most half of 24 updates' (1 + 16) each: 200/(0.5*17) = 23.5
    assert run.first_interval_updates == 24
    for one in run.passages:
        assert 0 < one.updates - one.seen_updates <= 24


def test_a_loss_is_looked_at_every_hundredth_of_the_updates_done_where_that_is_rarer() -> None:
    learner = Falling(geometric(1e-4))
    run = run_to_targets(lambda: learner, {"training": (1.0,)}, batch_samples=1000, evaluation_samples=1, limit_updates=100_000)
    assert run.passages[0].updates == 23_026  # 1e4 ln 10 = 23,025.9
    # one at the start, 100 at 1 to 100, then 100/k looks between 100 k and 100 (k + 1), k up to 230
    assert learner.looks == pytest.approx(1 + 100 + sum(100 / k for k in range(1, 231)), rel=0.01)


def test_evaluating_never_takes_more_than_half_the_work_of_training() -> None:
    for M in (1, 7, 64, 1000):
        for samples in (1, 100, 4000):
            interval = first_interval_updates(M, samples)
            assert samples / 3 <= 0.5 * interval * (M + 16)
            assert interval == 1 or samples / 3 > 0.5 * (interval - 1) * (M + 16)


def test_what_was_not_reached_is_censored_with_the_updates_made() -> None:
    run = run_to_targets(lambda: Falling(geometric()), BOTH, batch_samples=9, evaluation_samples=1, limit_updates=100)
    assert (run.outcome, run.message, run.updates) == ("censored", "not reached in 100 updates", 100)
    reached, lost = run.passages
    assert (reached.target, reached.reached) == (5.0, True)
    assert (lost.target, lost.reached, lost.updates) == (1.0, False, 100)


def test_a_run_waits_twice_as_long_for_the_cross_validation_loss_and_no_longer() -> None:
    def losses(n: int) -> Mapping[str, float]:
        return {"training": 10.0 * math.exp(-0.01 * n), "cross_validation": max(10.0 * math.exp(-0.01 * n), 2.0)}

    run = run_to_targets(lambda: Falling(losses), BOTH, batch_samples=1, evaluation_samples=1, limit_updates=10_000)
    assert run.outcome == "finished"
    assert run.updates == pytest.approx(2 * 231, rel=0.02)
    lost = run.passage("cross_validation", 1.0)
    assert lost is not None
    assert not lost.reached


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda n: {"training": math.nan if n > 7 else 10.0}, "the training loss is nan after 8 updates"),
        (lambda n: {"training": math.inf if n > 7 else 10.0}, "the training loss is inf after 8 updates"),
        (lambda n: {"training": 10.0 * 1.5**n}, "the training loss grew from 10 to 1.3e+03 in 12 updates"),  # 1.5^12 = 129.7
        (lambda n: {"training": 10.0, "cross_validation": math.nan}, "the cross_validation loss is nan after 0 updates"),
    ],
)
def test_a_diverging_run_is_ended_and_says_why(loss: Callable[[int], Mapping[str, float]], message: str) -> None:
    run = run_to_targets(lambda: Falling(loss), BOTH, batch_samples=1, evaluation_samples=1, limit_updates=10_000)
    assert run.outcome == "diverged"
    assert run.message == message


def test_an_exception_of_the_problem_is_an_outcome_with_its_line() -> None:
    def broken() -> Falling:
        raise MemoryError("no room\nfor it")

    run = run_to_targets(broken, BOTH, batch_samples=1, evaluation_samples=1, limit_updates=10)
    assert run.outcome == "failed"
    assert run.message.startswith("MemoryError: no room for it (test_measuring_runs.py, line ")
    assert run.passages == ()


@pytest.mark.parametrize(
    ("losses", "targets", "message"),
    [
        (
            {"training": 1.0},
            {"training": (2.0, 1.0)},
            "a target must lie below the loss before the first update, 1, got 1 for the training loss",
        ),
        ({"loss": 1.0}, {"training": (0.5,)}, "losses() must return training and may return cross_validation, got ['loss']"),
        (1.0, {"training": (0.5,)}, 'losses() must return a mapping like {"training": 0.5}, got float'),
        ({"training": "1"}, {"training": (0.5,)}, "losses() must give a number for the training loss, got '1'"),
        ({"training": [1.0, 2.0]}, {"training": (0.5,)}, "losses() must give a number for the training loss, got [1.0, 2.0]"),
        ({"training": None}, {"training": (0.5,)}, "losses() must give a number for the training loss, got None"),
    ],
)
def test_losses_and_targets_that_make_no_sense_are_refused(
    losses: Any, targets: dict[str, tuple[float, ...]], message: str
) -> None:
    run = run_to_targets(lambda: Falling(lambda _: losses), targets, batch_samples=1, evaluation_samples=1, limit_updates=10)
    assert run.outcome == "failed"
    assert message in run.message


def test_a_target_above_the_first_loss_says_nothing_and_the_others_are_measured() -> None:
    targets = {"training": (20.0, 5.0), "cross_validation": (5.0, 3.0)}

    def losses(n: int) -> Mapping[str, float]:
        return {"training": 10.0 * math.exp(-0.01 * n), "cross_validation": 4.0 * math.exp(-0.01 * n)}

    run = run_to_targets(lambda: Falling(losses), targets, batch_samples=9, evaluation_samples=1, limit_updates=1000)
    assert run.outcome == "finished"
    # 100 ln(10/5) = 69.3, 100 ln(4/3) = 28.8
    assert {(one.loss, one.target): one.updates for one in run.passages} == {
        ("training", 5.0): 70,
        ("cross_validation", 3.0): 29,
    }


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("enough"), RecursionError("too deep")])
def test_a_problem_that_leaves_or_raises_ends_its_run_alone(error: BaseException) -> None:
    class Leaving(Falling):
        def update(self) -> None:
            super().update()
            if self.updates > 5:
                raise error

    run = run_to_targets(lambda: Leaving(geometric()), BOTH, batch_samples=9, evaluation_samples=1, limit_updates=1000)
    assert run.outcome == "failed"
    assert run.message.startswith(f"{type(error).__name__}: {error} (test_measuring_runs.py, line ")


def test_the_end_of_the_budget_ends_a_run() -> None:
    run = run_to_targets(
        lambda: Falling(lambda _: {"training": 10.0}),
        BOTH,
        batch_samples=1,
        evaluation_samples=1,
        limit_updates=10**9,
        deadline_s=time.monotonic() - 1.0,
    )
    assert (run.outcome, run.updates) == ("out_of_time", 0)


def test_the_budget_ends_among_updates_that_take_long() -> None:
    class Slow(Falling):
        def update(self) -> None:
            super().update()
            time.sleep(0.05)

    # the first look would be after 10,000/1.5/17 = 393 updates, 20 s
    run = run_to_targets(
        lambda: Slow(geometric()),
        BOTH,
        batch_samples=1,
        evaluation_samples=10_000,
        limit_updates=10_000,
        deadline_s=time.monotonic() + 0.3,
    )
    assert run.outcome == "out_of_time"
    assert run.message == f"the budget ended after {run.updates} updates"
    assert 1 <= run.updates <= 12  # 6 of 50 ms, and no more than are made between two looks at the clock
    assert run.update_time_s >= 0.05  # of those made


def test_a_run_says_what_it_sees_and_how_long_it_looked() -> None:
    told: list[tuple[int, float]] = []

    class Looking(Falling):
        def losses(self) -> Mapping[str, float]:
            time.sleep(0.002)
            return super().losses()

    run = run_to_targets(
        lambda: Looking(geometric()),
        {"training": (5.0,)},
        batch_samples=9,
        evaluation_samples=1,
        limit_updates=1000,
        seen=lambda updates, loss: told.append((updates, loss)),
    )
    assert [updates for updates, _ in told] == list(range(1, run.updates + 1))
    assert told[-1][1] <= 5.0 < told[-2][1]
    assert run.looks == len(told) + 1  # and the one before the first update
    assert run.evaluation_time_s >= 0.002 * run.looks
