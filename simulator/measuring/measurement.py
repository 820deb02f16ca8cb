"""Measure a problem within a budget: time updates, tune rates, run to convergence at the batch sizes that tell most.

What comes next is a function of what was found so far, never of how long it took, and everything found is in the record: a
measurement that was stopped goes on where it was, and ends with the same table of updates as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simulator.calibration.measurements import updates_series
from simulator.calibration.updates import fit_updates
from simulator.errors import FitError, SimulatorError
from simulator.measuring.findings import main_series, rows_of_runs
from simulator.measuring.plan import HOPELESS_RUNS, enough_runs, from_the_ends, powers_between, rate_to_try
from simulator.measuring.problems import Options, Problem, Setting, Sheet, built, cause
from simulator.measuring.record import Record
from simulator.measuring.runs import run_to_targets
from simulator.measuring.timing import MOST_S, Clock, OutOfTime, Timing, pinned_threads, time_updates

__all__ = ["Measurement", "Progress", "Request"]

PILOT_RUNS = 2
"""Runs behind the choice of a rate; the worse of the two counts, since a rate that is good only sometimes is not good."""
FIRST_PILOT_SEED = 1_000_000
CHECK_SEED = 2_000_000
TIMING_SHARE = 0.25
"""Most of the budget that repeats of timings take, where three of each suffice; and most that several learners take."""
CHECK_SHARE = 0.25
"""Share of the budget that is kept for --check."""
MOST_SIZES = 11
"""Batch sizes that planning chooses by itself."""
WORTH = 0.05
"""Planning ends when the next batch size would narrow the intervals by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is measured, how closely, and for how long.

    Parameters
    ----------
    spec : str
        The problem, as for `find_problem`.
    options : Options
        Flags of the shipped problems.
    batch_samples : tuple of int
        Batch sizes to measure, all of them; two with `planned` are the ends between which planning chooses.
    planned : bool
        Whether planning chooses.
    targets : tuple of float
        Losses to be reached, decreasing; the last is the one that counts.
    learning_rates : tuple of float
        One, or those that the rate is tuned over at each batch size.
    runs : int
        Most runs at a batch size.
    precision : float
        A batch size is done when the 90 % interval of its mean is within this fraction.
    max_updates : int
        A run ends there.
    budget_s : float
        Wall time, all sittings at the record together.
    seed : int
        All random numbers follow from it.
    threads : int
        Threads of NumPy and torch.
    learners : tuple of int
        Numbers of learners whose updates are timed.
    """

    spec: str
    options: Options
    batch_samples: tuple[int, ...]
    planned: bool
    targets: tuple[float, ...]
    learning_rates: tuple[float, ...]
    runs: int = 3
    precision: float = 0.02
    max_updates: int = 20_000
    budget_s: float = math.inf
    seed: int = 0
    threads: int = 1
    learners: tuple[int, ...] = (1,)

    def subject(self) -> dict[str, Any]:
        """Return what a record has to agree on to be continued: everything but the budget."""
        found = asdict(self)
        del found["budget_s"]
        found["options"]["data_dir"] = None if self.options.data_dir is None else str(self.options.data_dir.resolve())
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a measurement is.

    Parameters
    ----------
    text : str
        What is measured now.
    elapsed_s, budget_s : float
        Time used, and all there is.
    """

    text: str
    elapsed_s: float
    budget_s: float


def _time_key(batch_samples: int, learners: int) -> str:
    return f"time/M={batch_samples},P={learners}"


class Measurement:
    """One sitting at a measurement.

    Parameters
    ----------
    problem, sheet
        What is measured, and what it says about itself.
    request : Request
        How.
    record : Record
        Holds what was measured before, takes what is measured now.
    say : callable
        Is told the progress.
    clock : callable
        What updates of one learner are timed by; wall time by default.
    """

    def __init__(
        self,
        problem: Problem,
        sheet: Sheet,
        request: Request,
        record: Record,
        say: Callable[[Progress], None] = lambda _: None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.clock = clock
        self.problem, self.sheet, self.request, self.record, self.say = problem, sheet, request, record, say
        self.before_s = record.elapsed_s
        self.begun_s = time.monotonic()
        self.budget_s = request.budget_s
        self.most_s = MOST_S
        self.learners_in_time = True
        self.runs: list[dict[str, Any]] = []
        self.tried: dict[tuple[int, float], float] = {}
        """What this sitting has come to, from the record or anew: all that planning looks at, so that it repeats itself."""

    @property
    def elapsed_s(self) -> float:
        """Time used, earlier sittings included."""
        return self.before_s + time.monotonic() - self.begun_s

    def measure(self, *, check: bool = False) -> bool:
        """Measure as planned, and return whether the budget sufficed.

        Parameters
        ----------
        check : bool
            Keep a share of the budget for `check_runs`.
        """
        self.budget_s = self.request.budget_s * (1.0 - CHECK_SHARE if check else 1.0)
        try:
            with pinned_threads(self.request.threads):
                self._time_all()
                for size in from_the_ends(self.request.batch_samples, planned=self.request.planned):
                    self._runs_at(size)
                while self.request.planned:
                    following = self._next_size()
                    if following is None:
                        break
                    self._runs_at(following)
        except OutOfTime:
            return False
        finally:
            self.budget_s = self.request.budget_s
        return self.learners_in_time

    def check_runs(self, batch_samples: int) -> list[dict[str, Any]]:
        """Run a batch size to convergence afresh, with seeds that no fit has seen; fewer runs where the budget ends."""
        rows: list[dict[str, Any]] = []
        try:
            with pinned_threads(self.request.threads):
                rate = self._rate(batch_samples)
                rows.extend(
                    self._run("check", batch_samples, rate, CHECK_SEED + number, self.request.max_updates)
                    for number in range(self.request.runs)
                )
        except OutOfTime:
            pass
        return rows

    @property
    def deadline_s(self) -> float:
        """When the budget ends, by `time.monotonic`."""
        return self.begun_s + self.budget_s - self.before_s

    def _start(self, text: str) -> None:
        """Say what comes, or stop where the budget has ended."""
        if self.elapsed_s >= self.budget_s:
            raise OutOfTime
        self._say(text)

    def _say(self, text: str) -> None:
        self.say(Progress(text=text, elapsed_s=self.elapsed_s, budget_s=self.request.budget_s))

    def _time_all(self) -> None:
        sizes = powers_between(min(self.request.batch_samples), max(self.request.batch_samples))
        sizes = tuple(sorted({*sizes, *self.request.batch_samples}))
        self.most_s = min(MOST_S, TIMING_SHARE * self.budget_s / len(sizes))
        for size in sizes:
            self._time_alone(size)
        for learners in self.request.learners:
            if learners > 1:  # mini-batches whose share was timed on one learner
                self._time_together(learners, [learners * size for size in sizes if learners * size <= sizes[-1]])

    def _timed(self, batch_samples: int, learners: int, found: Timing | BaseException, elapsed_s: float) -> None:
        """Keep a timing, or why there is none."""
        row: dict[str, Any] = {"batch_samples": batch_samples, "learners": learners, "threads": self.request.threads}
        if isinstance(found, BaseException):
            message = str(found) if isinstance(found, SimulatorError) else cause(found)
            row |= {"outcome": "failed", "message": message}
        else:
            row |= {"outcome": "finished", "message": "", **asdict(found)}
        self.record.add(_time_key(batch_samples, learners), {**row, "elapsed_s": elapsed_s})

    def _time_alone(self, batch_samples: int) -> None:
        if self.record.get(_time_key(batch_samples, 1)) is not None:
            return
        self._start(f"timing updates of {batch_samples:,} samples")
        start_s = time.monotonic()
        setting = self._setting(batch_samples, min(self.request.learning_rates), seeds=(5,))
        found: Timing | BaseException
        try:
            found = time_updates(
                lambda: built(self.problem, setting), clock=self.clock, most_s=self.most_s, deadline_s=self.deadline_s
            )
        except OutOfTime:
            raise
        except (Exception, SystemExit) as error:
            found = error
        self._timed(batch_samples, 1, found, time.monotonic() - start_s)

    def _time_together(self, learners: int, sizes: Sequence[int]) -> None:
        """Time updates of several learners; where one fails, the others start anew with the next batch size."""
        from simulator.measuring.ranks import time_learners

        ends_s = min(self.deadline_s, time.monotonic() + TIMING_SHARE * self.budget_s)
        left = [size for size in sizes if self.record.get(_time_key(size, learners)) is None]
        while left:
            self._start(f"timing updates of {left[0]:,} to {left[-1]:,} samples on {learners} learners")
            start_s = time.monotonic()
            try:
                for size, timing in time_learners(
                    self.request.spec,
                    self.request.options,
                    learners=learners,
                    batch_sizes=left,
                    learning_rate=min(self.request.learning_rates),
                    threads=self.request.threads,
                    seed=self.request.seed,
                    deadline_s=ends_s,
                ):
                    self._timed(size, learners, timing, time.monotonic() - start_s)
                    left = left[1:]
                    start_s = time.monotonic()
                    self._start(f"timing updates on {learners} learners, {size:,} samples done")
            except OutOfTime:
                if self.elapsed_s >= self.budget_s:
                    raise
                self.learners_in_time = False  # perhaps they wait for each other for ever: the rest is measured all the same
                return
            except SimulatorError as error:
                self._timed(left[0], learners, error, time.monotonic() - start_s)
                left = left[1:]

    def _setting(self, batch_samples: int, rate: float, seeds: Sequence[int]) -> Setting:
        """Two generators of their own for a run."""
        weights, samples = (np.random.default_rng([self.request.seed, *seeds, stream]) for stream in (1, 2))
        return Setting(batch_samples=batch_samples, learning_rate=rate, weights_rng=weights, samples_rng=samples)

    def _run(self, kind: str, batch_samples: int, rate: float, number: int, limit_updates: int) -> dict[str, Any]:
        """Return a run, made now unless it is in the record; one that the budget cut short is made again."""
        limit = "" if limit_updates == self.request.max_updates else f",limit={limit_updates}"
        key = f"{kind}/M={batch_samples},rate={rate:.12g},run={number}{limit}"
        found = self.record.get(key)
        if found is not None and found["outcome"] != "out_of_time":
            return found
        words = {"tuning": "tuning the rate, ", "check": "checking, ", "run": ""}[kind]
        words += f"{batch_samples:,} samples an update, rate {rate:.4g}, run {number % FIRST_PILOT_SEED + 1}"
        self._start(words)
        targets = {"training": self.request.targets, "cross_validation": self.request.targets}
        if kind == "tuning":
            targets = {"training": self.request.targets[-1:]}
        run = run_to_targets(
            lambda: built(self.problem, self._setting(batch_samples, rate, (7, batch_samples, number))),
            targets,
            batch_samples=batch_samples,
            evaluation_samples=self.sheet.evaluation_samples,
            limit_updates=limit_updates,
            deadline_s=self.deadline_s,
            clock=self.clock,
            seen=lambda updates, loss: self._say(f"{words}, {updates:,} updates, loss {loss:.3g}"),
        )
        row = asdict(run)
        about = {"batch_samples": batch_samples, "learning_rate": rate, "run": number, "limit_updates": limit_updates}
        row = self.record.add(key, {**about, **row})
        if run.outcome == "out_of_time":
            raise OutOfTime
        return row

    def _runs_at(self, batch_samples: int) -> None:
        """Run a batch size to convergence until it is known well enough."""
        self._time_alone(batch_samples)
        rate = self._rate(batch_samples)
        failed = 0
        for number in range(self.request.runs):
            rows = rows_of_runs(self.runs, self.request.targets)
            if enough_runs(main_series(rows, self.request.targets), batch_samples, self.request.precision):
                return
            row = self._run("run", batch_samples, rate, number, self.request.max_updates)
            self.runs.append(row)
            failed += row["outcome"] == "failed"
            if failed >= HOPELESS_RUNS:
                return

    def _rate(self, batch_samples: int) -> float:
        """Return the learning rate of a batch size: the one given, or the fastest of the grid by climbing on pilot runs."""
        rates = self.request.learning_rates
        if len(rates) == 1:
            return rates[0]
        at_this = {rate: updates for (size, rate), updates in self.tried.items() if size == batch_samples}
        while True:
            rate = rate_to_try(rates, at_this, self.tried, batch_samples)
            if rate is None:
                reached = {one: updates for one, updates in at_this.items() if math.isfinite(updates)}
                if reached:
                    return min(reached, key=lambda one: (reached[one], one))
                return self._lowest_loss(batch_samples)
            at_this[rate] = self._pilots(batch_samples, rate, min(at_this.values(), default=math.inf))
            self.tried[batch_samples, rate] = at_this[rate]

    def _pilots(self, batch_samples: int, rate: float, best: float) -> float:
        """Updates of the slower of two pilot runs; infinite where one of them is no faster than the best rate so far."""
        limit = int(min(best, self.request.max_updates))
        slowest = 0.0
        for number in range(PILOT_RUNS):
            row = self._run("tuning", batch_samples, rate, FIRST_PILOT_SEED + number, limit)
            if row["outcome"] != "finished":
                return math.inf
            slowest = max(slowest, float(row["passages"][0]["updates"]))
        return slowest

    def _lowest_loss(self, batch_samples: int) -> float:
        """Return the rate that came nearest to the target at a batch size where none reached it."""
        rows = [
            row
            for row in self.record.of("tuning")
            if row["batch_samples"] == batch_samples and row["outcome"] == "censored" and row["last_losses"]
        ]
        if not rows:
            return min(self.request.learning_rates)
        return float(min(rows, key=lambda row: (row["last_losses"]["training"], row["learning_rate"]))["learning_rate"])

    def _next_size(self) -> int | None:
        """Return the batch size within the ends that would tell most; None where planning is done."""
        rows = rows_of_runs(self.runs, self.request.targets)
        done = {run["batch_samples"] for run in self.runs}
        low, high = min(self.request.batch_samples), max(self.request.batch_samples)
        if len(done) >= MOST_SIZES:
            return None
        try:
            fit = fit_updates(updates_series("so far", main_series(rows, self.request.targets)))
            if fit.unusable:  # how small a batch size may be is asked before anything else
                gap = fit.smallest_batch_samples, fit.batch_samples_range[0]
                middle = int(2 ** round(math.log2(gap[0] * gap[1]) / 2.0))
                if gap[0] < middle < gap[1] and middle not in done:
                    return middle
            reach = np.geomspace(max(low, fit.batch_samples_range[0]), high, 9).tolist()
            following = fit.next_batch(reach, within=(low, high))
        except (FitError, ValueError):
            left = [size for size in from_the_ends(powers_between(low, high), planned=False) if size not in done]
            return left[0] if left and len(done) < MOST_SIZES else None
        size = round(following.batch_samples)
        return None if following.narrows_by < WORTH or size in done or not low <= size <= high else size
