"""The recurrence of ranks that share no link, compiled: a rank enters a step when what it waits for has ended (max-plus)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.network.kernel_state import TIE, compiled
from simulator.quantities import FloatArray

__all__ = ["step_through"]


@compiled
def step_through(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    delay: FloatArray,
    transfer: FloatArray,
    eager: bool,
    watch: bool,
    hop_first: NDArray[np.int64],
    hop: NDArray[np.int32],
    idle_from: FloatArray,
    time: FloatArray,
    latency: FloatArray,
    computed: FloatArray,
    next_time: FloatArray,
    next_latency: FloatArray,
    next_computed: FloatArray,
) -> bool:
    """Do the steps whose messages are first[k]..last[k]-1, one after another; False if two messages share a link in time.

    `time`, `latency` and `computed` of the ranks are changed in place. `idle_from` says from when each link is idle; it is
    looked at only where `watch` is true. The last three are for scratch.
    """
    for k in range(len(first)):
        for r in range(len(time)):
            next_time[r] = time[r]
            next_latency[r] = latency[r]
            next_computed[r] = computed[r]
        for m in range(first[k], last[k]):
            a = source[m]
            b = target[m]
            late = a if eager or time[a] >= time[b] else b
            arrives = time[late] + delay[m]
            ends = arrives + transfer[m]
            if watch:
                for h in range(hop_first[m], hop_first[m + 1]):
                    if idle_from[hop[h]] > arrives + TIE * abs(arrives):
                        return False
                    idle_from[hop[h]] = ends
            if ends > next_time[a]:
                next_time[a] = ends
                next_latency[a] = latency[late] + delay[m]
                next_computed[a] = computed[late]
            if ends > next_time[b]:
                next_time[b] = ends
                next_latency[b] = latency[late] + delay[m]
                next_computed[b] = computed[late]
        for r in range(len(time)):
            time[r] = next_time[r]
            latency[r] = next_latency[r]
            computed[r] = next_computed[r]
    return True
