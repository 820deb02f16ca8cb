"""T_Update: warm-up, repeats, median and spread, with threads pinned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from simulator.measuring.problems import Learner, needed

__all__ = ["Clock", "OutOfTime", "Timing", "pinned_threads", "time_updates"]

Clock = Callable[[], float]
"""Seconds since some moment, as `time.perf_counter`."""

REPEATS = 15
BLOCK_S = 0.02
"""Updates are timed in blocks of about so long, each block one repeat: shorter ones would time the clock."""
WARM_UP_S = 0.05
MOST_S = 20.0
"""No batch size is timed for longer, but for three repeats."""
FEWEST_REPEATS = 3


class OutOfTime(Exception):
    """The budget has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time of an update.

    Parameters
    ----------
    update_time_s : float
        Median over the repeats of the mean of each.
    low_s, high_s : float
        Quantiles 0.05 and 0.95 of the repeats.
    repeats, updates : int
        How many repeats, of how many updates each.
    warm_up_updates : int
        Updates made before, not counted.
    elapsed_s : float
        All of it.
    """

    update_time_s: float
    low_s: float
    high_s: float
    repeats: int
    updates: int
    warm_up_updates: int
    elapsed_s: float


@contextmanager
def pinned_threads(threads: int) -> Iterator[None]:
    """Hold NumPy's and torch's (where it is loaded) threads at a number: a time is of that number, whatever the machine has."""
    import sys

    limits = needed("threadpoolctl", "measure", "measure").threadpool_limits(limits=threads)
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    if torch is not None:
        torch.set_num_threads(threads)
    try:
        with limits:
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)


def time_updates(
    build: Callable[[], Learner],
    *,
    agreed: Callable[[int], int] = lambda count: count,
    clock: Clock = time.perf_counter,
    most_s: float = MOST_S,
    deadline_s: float = math.inf,
) -> Timing:
    """Time the updates of a fresh learner.

    Parameters
    ----------
    build : callable
        Makes the learner.
    agreed : callable
        Turns a number of updates into the one that all learners make, since each waits for the others in every update.
    clock : callable
        What updates are timed by.
    most_s : float
        The repeats take no longer, but for three.
    deadline_s : float
        It is given up when `time.monotonic()` passes this.

    Returns
    -------
    Timing
        Of `REPEATS` blocks of about 20 ms; fewer, but three, where updates take long.

    Raises
    ------
    OutOfTime
        If the deadline passed before all repeats were made.
    """
    begun_s = time.monotonic()
    learner = build()

    def block_s(updates: int) -> float:
        start_s = clock()
        for _ in range(updates):
            learner.update()
        found_s = (clock() - start_s) / updates
        if time.monotonic() > deadline_s:
            raise OutOfTime
        return found_s

    warm_up = FEWEST_REPEATS
    each_s = min([block_s(1) for _ in range(warm_up)])
    more = agreed(max(1, int(WARM_UP_S / max(each_s, 1e-9))))
    each_s = block_s(more)
    updates = agreed(max(1, int(np.ceil(BLOCK_S / max(each_s, 1e-9)))))
    repeats = agreed(int(np.clip(most_s / max(each_s * updates, 1e-9), FEWEST_REPEATS, REPEATS)))
    times_s = [block_s(updates) for _ in range(repeats)]
    low, middle, high = np.quantile(times_s, (0.05, 0.5, 0.95))
    return Timing(
        update_time_s=float(middle),
        low_s=float(low),
        high_s=float(high),
        repeats=repeats,
        updates=updates,
        warm_up_updates=warm_up + more,
        elapsed_s=time.monotonic() - begun_s,
    )
