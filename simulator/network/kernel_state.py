"""What the compiled event loop works on: flat arrays, and the compiler itself, imported when first needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEGIN", "TIE", "State", "compiled"]

F = TypeVar("F", bound=Callable[..., Any])

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Shorts = NDArray[np.int32]

TIE = 1e-13
"""Events this close, relative to the time, are one event: times that are equal in exact arithmetic differ by rounding."""


def compiled(function: F) -> F:
    """Compile a function with numba; the machine code is kept beside the module for the next process."""
    return cast(F, importlib.import_module("numba").njit(cache=True, error_model="numpy")(function))


# Places in State.number and State.clock.
READY, FREE, FRESH, DIRTY, EARLY, LEAVING, EPOCH, FINISHED, HOPS, EAGER, ACTIVE, EVENTS = range(12)
NOW, WINDOW = range(2)
BEGIN, COMPUTED, GATE, OPEN, INSIDE, OVER = range(6)
"""Stages of a rank: before computing, computed, at the barrier, past it, inside a step, at its end."""


class State(NamedTuple):
    """All arrays of the event loop; `slot` is a message under way, `row` a rank's entry of a step."""

    capacity: Floats  # of links
    source: Shorts  # of messages, ranks of all jobs counted through
    target: Shorts
    size: Floats
    delay: Floats
    shift: Shorts  # position of the receive less that of the send
    hop_first: Ints
    hop_count: Shorts
    hop: Shorts
    send_first: Ints  # by row; the next row ends it
    receive_count: Shorts
    step_row: Ints  # by position in the order: first row of the step
    waits: NDArray[np.bool_]
    job_rank: Ints
    job_workers: Ints
    job_order: Ints
    job_turns: Ints
    job_rounds: Ints
    job_compute: Ints  # -1 where nothing is computed
    job_barrier: Ints
    compute: Floats
    job_left: Ints
    job_waiting: Ints
    job_done: Ints
    rank_job: Shorts
    stage: Ints
    round: Ints
    turn: Ints
    to_receive: Ints
    to_send: Ints
    time: Floats
    latency: Floats  # latency and computing on the way that led to a rank's time
    computed: Floats
    waiting: Shorts  # first slot that waits for a rank
    ready: Shorts
    message: Shorts  # of slots
    position: Ints
    left: Floats
    rate: Floats
    since: Floats
    ends: Floats
    begin_latency: Floats
    begin_computed: Floats
    bottleneck: Shorts
    new_rate: Floats
    new_bottleneck: Shorts
    mark: Ints
    frozen: Ints
    place: Shorts  # in the heap of departures
    following: Shorts
    free: Shorts
    fresh: Shorts
    touched: Shorts
    leaving: Shorts
    node_next: Shorts
    node_previous: Shorts
    head: Shorts  # of links
    count: Ints
    link_mark: Ints
    room: Floats
    loose: Ints
    level: Floats
    top: Floats
    bound: Ints
    is_dirty: Ints
    dirty: Shorts
    region: Shorts
    heap_key: Floats
    heap_link: Shorts
    is_full: Ints
    full_since: Floats
    full_s: Floats
    early_time: Floats
    early_id: Ints
    number: Ints
    clock: Floats
