"""What the compiled event loop works on: arrays of records, and the compiler itself, imported when first needed."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["JOB", "LINK", "MESSAGE", "RANK", "SLOT", "TIE", "State", "compiled"]

F = TypeVar("F", bound=Callable[..., Any])

TIE = 1e-13
"""Events this close, relative to the time, are one event: times that are equal in exact arithmetic differ by rounding."""


def compiled(function: F) -> F:
    """Compile a function with numba; the machine code is kept for the next process where a folder can be written.

    Compiled functions must not make arrays: they are compiled without counting references, which would take most of the time.
    """
    njit = importlib.import_module("numba").njit
    options: dict[str, Any] = {"error_model": "numpy"}
    if hasattr(importlib.import_module("numba.core.options").DefaultOptions, "_nrt"):
        options["_nrt"] = False  # the callers hold the arrays
    try:
        made = njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user's cache can be written
        return cast(F, njit(**options)(function))
    # numba looks at the file of the function alone; ours call each other across files, so all of them count.
    file = made._cache._cache_file
    file._source_stamp = (*file._source_stamp, _kernel_stamp())
    return cast(F, made)


@cache
def _kernel_stamp() -> str:
    """Return a digest of the sources of all kernels."""
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*_kernel.py")), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


# Places in State.number and State.clock.
READY, FREE, FRESH, DIRTY, EARLY, LEAVING, EPOCH, FINISHED, HOPS, EAGER, EVENTS, FLOWS, LINKS, SHARES = range(14)
NOW, WINDOW = range(2)
BEGIN, COMPUTED, GATE, OPEN, INSIDE, OVER = range(6)
"""Stages of a rank: before computing, computed, at the barrier, past it, inside a step, at its end."""

MESSAGE = np.dtype(
    [
        ("size", "f8"),
        ("delay", "f8"),
        ("hop_first", "i8"),
        ("hop_count", "i4"),
        ("source", "i4"),
        ("target", "i4"),
        ("shift", "i4"),
    ]
)
"""Ranks are counted through all jobs; shift: position of the receive less that of the send."""

JOB = np.dtype(
    [
        (name, "i8")
        for name in ("first_rank", "workers", "order", "turns", "rounds", "compute", "barrier", "left", "waiting", "done")
    ]
)
"""order: its first place in State.step_row; compute: its first place in State.compute, -1 where nothing is computed."""

RANK = np.dtype(
    [("time", "f8"), ("latency", "f8"), ("computed", "f8"), ("round", "i8"), ("turn", "i8"), ("job", "i4"), ("stage", "i4"),
     ("to_receive", "i4"), ("to_send", "i4"), ("waiting", "i4")],
    align=True,
)  # fmt: skip
"""latency and computed: what the chain of steps that led to `time` contains of them; waiting: first slot that waits."""

SLOT = np.dtype(
    [("left", "f8"), ("rate", "f8"), ("since", "f8"), ("ends", "f8"), ("new_rate", "f8"), ("begin_latency", "f8"),
     ("begin_computed", "f8"), ("position", "i8"), ("mark", "i8"), ("frozen", "i8"), ("message", "i4"), ("bottleneck", "i4"),
     ("new_bottleneck", "i4"), ("place", "i4"), ("following", "i4"), ("bound_next", "i4"), ("bound_previous", "i4")],
    align=True,
)  # fmt: skip
"""A message under way; place: in the heap of departures; following: the next slot that waits for the same rank; bound_next:
the next flow that the same link limits."""

LINK = np.dtype(
    [("capacity", "f8"), ("load", "f8"), ("most", "f8"), ("spare", "f8"), ("room", "f8"), ("level", "f8"), ("top", "f8"),
     ("full_since", "f8"), ("full_s", "f8"), ("mark", "i8"), ("first", "i8"), ("last", "i8"), ("head", "i4"), ("count", "i4"),
     ("bound_head", "i4"), ("mine", "i4"), ("loose", "i4"), ("age", "i4"), ("is_dirty", "i4"), ("is_full", "i4")],
    align=True,
)  # fmt: skip
"""head, count: its flows; bound_head: first flow that it limits; load: sum of their rates, summed anew after `age` updates;
most: no flow on it is faster; the rest is scratch of a solution (spare: what the flows solved for may use, mine: how many)."""

NODE = np.dtype([("next", "i4"), ("previous", "i4")])
"""Node ``slot * HOPS + h`` stands for the h-th link of a slot's route in the list of that link."""

EVENT = np.dtype([("time", "f8"), ("what", "i8")])
SHARE = np.dtype([("key", "f8"), ("link", "i8")])

Records = NDArray[np.void]
Shorts = NDArray[np.int32]


class State(NamedTuple):
    """All arrays of the event loop; `row` is a rank's entry of a step."""

    messages: Records
    hop: Shorts
    send_first: NDArray[np.int64]  # by row; the next row ends it
    receive_count: Shorts
    step_row: NDArray[np.int64]  # by position in the order: first row of the step
    waits: NDArray[np.bool_]
    compute: NDArray[np.float64]
    jobs: Records
    ranks: Records
    slots: Records
    nodes: Records
    links: Records
    ready: Shorts
    free: Shorts
    fresh: Shorts
    touched: Shorts
    members: Shorts  # flows solved for, link by link
    leaving: Shorts
    dirty: Shorts
    region: Shorts
    heap: Records
    early: Records
    number: NDArray[np.int64]
    clock: NDArray[np.float64]


DTYPES: dict[str, np.dtype[Any]] = {
    "messages": MESSAGE, "jobs": JOB, "ranks": RANK, "slots": SLOT, "nodes": NODE, "links": LINK, "heap": SHARE, "early": EVENT,
    "send_first": np.dtype("i8"), "step_row": np.dtype("i8"), "number": np.dtype("i8"), "waits": np.dtype("?"),
    "compute": np.dtype("f8"), "clock": np.dtype("f8"),
}  # fmt: skip


def empty_arrays() -> dict[str, NDArray[Any]]:
    """Return every array of State, empty, by name."""
    return {name: np.empty(0, dtype=DTYPES.get(name, np.dtype("i4"))) for name in State._fields}
