"""T_Update: what is timed, how often, and with how many threads."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping

import numpy as np
import pytest

from simulator.calibration.update_times import tabulated_compute
from simulator.cli.measure import progress_on
from simulator.measuring.measurement import Progress
from simulator.measuring.problems import needed
from simulator.measuring.timing import OutOfTime, pinned_threads, time_updates


class Sleeper:
    """A learner whose updates take a known time at least."""

    def __init__(self, update_time_s: float) -> None:
        self.update_time_s, self.updates = update_time_s, 0

    def update(self) -> None:
        self.updates += 1
        time.sleep(self.update_time_s)

    def losses(self) -> Mapping[str, float]:
        return {"training": 1.0}


def test_an_update_takes_the_time_it_takes() -> None:
    learner = Sleeper(0.004)
    timing = time_updates(lambda: learner)
    assert timing.low_s <= timing.update_time_s <= timing.high_s
    assert timing.low_s >= 0.004  # sleeping is never shorter
    assert timing.repeats == 15
    assert 1 <= timing.updates <= 5  # blocks of 20 ms
    assert learner.updates == timing.warm_up_updates + timing.repeats * timing.updates
    assert timing.warm_up_updates >= 3


def test_several_learners_make_as_many_updates_as_they_agree_on() -> None:
    asked: list[int] = []

    def agreed(count: int) -> int:
        asked.append(count)
        return 4

    learner = Sleeper(0.001)
    timing = time_updates(lambda: learner, agreed=agreed)
    assert len(asked) == 3  # of the warm-up, of a block, of the blocks
    assert (timing.updates, timing.repeats, timing.warm_up_updates) == (4, 4, 3 + 4)


def test_timing_is_given_up_when_the_budget_ends_and_shorter_where_little_is_left() -> None:
    learner = Sleeper(0.02)
    with pytest.raises(OutOfTime):
        time_updates(lambda: learner, deadline_s=time.monotonic() + 0.03)
    assert learner.updates <= 3
    timing = time_updates(lambda: Sleeper(0.02), most_s=0.05)
    assert timing.repeats == 3


def test_threads_are_held_at_a_number_and_given_back() -> None:
    def threads() -> set[int]:
        pools = needed("threadpoolctl", "measure", "test").threadpool_info()
        return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}

    before = threads()
    with pinned_threads(1):
        assert threads() == {1}
    assert threads() == before


def test_times_that_fall_with_the_samples_are_joined() -> None:
    table = tabulated_compute([1, 2, 4, 8], [3e-3, 1e-3, 1.5e-3, 8e-3])
    # adjacent violators are pooled: 3 and 1 ms have the geometric mean 1.73 ms, above 1.5: all three have 4.5^(1/3) = 1.65 ms
    assert table.compute_time_at_s == pytest.approx((*[1e-3 * 4.5 ** (1 / 3)] * 3, 8e-3))
    with pytest.raises(ValueError, match="update_time_s must be finite and > 0, got 0"):
        tabulated_compute([1, 2], [1e-3, 0.0])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal_with_the_time_left() -> None:
    screen = Terminal()
    say, silence = progress_on(screen)
    say(Progress(text="8 samples an update, rate 0.5, run 1", elapsed_s=90.0, budget_s=600.0))
    assert screen.getvalue() == "\r\x1b[K90.0 s of 10.0 min, at most 8.50 min left: 8 samples an update, rate 0.5, run 1"
    silence()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_progress_is_a_line_now_and_then_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(np.arange(0.0, 100.0, 4.0).tolist())
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    paper = io.StringIO()
    say, silence = progress_on(paper)
    for _ in range(6):
        say(Progress(text="x", elapsed_s=1.0, budget_s=60.0))
    silence()
    assert 1 <= len(paper.getvalue().splitlines()) <= 3  # of six, 4 s apart or more: one every 10 s
