"""The event loop, compiled: ranks enter steps, messages wait out their latency, move their bytes at fair rates, and end."""

from __future__ import annotations

import numpy as np

from simulator.network.kernel_state import (
    ACTIVE,
    BEGIN,
    COMPUTED,
    DIRTY,
    EAGER,
    EARLY,
    EVENTS,
    FINISHED,
    FREE,
    FRESH,
    GATE,
    HOPS,
    INSIDE,
    LEAVING,
    NOW,
    OPEN,
    OVER,
    READY,
    TIE,
    WINDOW,
    State,
    compiled,
)
from simulator.network.sharing_kernel import pop_leaving, reshare

__all__ = ["GROW", "IDLE", "JOB_OVER", "REACHED", "push_early", "run"]

IDLE, REACHED, JOB_OVER, GROW = range(4)
"""Why the loop stopped: nothing happens any more, the next event is later, a job ended, there is no slot for a message."""


@compiled
def push_early(s: State, time: float, what: int) -> None:
    """Note an event that is never moved: slot `what` is through its latency, or rank -1 - `what` goes on."""
    at = s.number[EARLY]
    s.number[EARLY] = at + 1
    while at > 0:
        above = (at - 1) >> 1
        if s.early_time[above] <= time:
            break
        s.early_time[at] = s.early_time[above]
        s.early_id[at] = s.early_id[above]
        at = above
    s.early_time[at] = time
    s.early_id[at] = what


@compiled
def _pop_early(s: State) -> int:
    what = s.early_id[0]
    size = s.number[EARLY] - 1
    s.number[EARLY] = size
    time = s.early_time[size]
    last = s.early_id[size]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and s.early_time[below + 1] < s.early_time[below]:
            below += 1
        if time <= s.early_time[below]:
            break
        s.early_time[at] = s.early_time[below]
        s.early_id[at] = s.early_id[below]
        at = below
    s.early_time[at] = time
    s.early_id[at] = last
    return what


@compiled
def _get_ready(s: State, rank: int) -> None:
    s.ready[s.number[READY]] = rank
    s.number[READY] += 1


@compiled
def _release(s: State, slot: int) -> None:
    s.free[s.number[FREE]] = slot
    s.number[FREE] += 1


@compiled
def _settle(s: State, rank: int, time: float, latency: float, computed: float) -> None:
    """Let a rank leave its step if nothing holds it any more; the arguments say what happened last."""
    if s.stage[rank] != INSIDE or s.to_receive[rank] > 0:
        return
    job = s.rank_job[rank]
    if s.to_send[rank] > 0 and s.waits[s.job_order[job] + s.turn[rank]]:
        return
    s.time[rank] = time
    s.latency[rank] = latency
    s.computed[rank] = computed
    s.turn[rank] += 1
    s.stage[rank] = OPEN
    _get_ready(s, rank)


@compiled
def _has_posted(s: State, rank: int, position: int) -> bool:
    """Say whether a rank has entered the step at this position."""
    at = s.round[rank] * s.job_turns[s.rank_job[rank]] + s.turn[rank]
    return at > position or (at == position and s.stage[rank] == INSIDE)


@compiled
def _complete(s: State, slot: int, time: float) -> None:
    """Deliver a message: sender and receiver are done with it."""
    m = s.message[slot]
    latency = s.begin_latency[slot] + s.delay[m]
    computed = s.begin_computed[slot]
    sender = s.source[m]
    receiver = s.target[m]
    position = s.position[slot] + s.shift[m]
    s.to_send[sender] -= 1
    _settle(s, sender, time, latency, computed)
    if _has_posted(s, receiver, position):
        s.to_receive[receiver] -= 1
        _settle(s, receiver, time, latency, computed)
        _release(s, slot)
        return
    waiting = s.waiting[receiver]
    while waiting >= 0:  # messages that came early are counted by the step that they are for
        if s.position[waiting] + s.shift[s.message[waiting]] == position:
            s.left[waiting] += 1.0
            _release(s, slot)
            return
        waiting = s.following[waiting]
    s.left[slot] = 1.0
    s.following[slot] = s.waiting[receiver]
    s.waiting[receiver] = slot


@compiled
def _start(s: State, slot: int, rank: int) -> None:
    """Send a message off; `rank` is the one of the two that came last."""
    s.begin_latency[slot] = s.latency[rank]
    s.begin_computed[slot] = s.computed[rank]
    push_early(s, s.time[rank] + s.delay[s.message[slot]], slot)


@compiled
def _enter(s: State, rank: int, job: int) -> None:
    """Post the sends and receives of a step."""
    local = rank - s.job_rank[job]
    row = s.step_row[s.job_order[job] + s.turn[rank]] + local
    position = s.round[rank] * s.job_turns[job] + s.turn[rank]
    eager = s.number[EAGER] == 1
    s.stage[rank] = INSIDE
    s.to_receive[rank] += s.receive_count[row]
    first, last = s.send_first[row], s.send_first[row + 1]
    s.to_send[rank] += last - first
    before = -1
    slot = s.waiting[rank]
    while slot >= 0:
        after = s.following[slot]
        if s.position[slot] + s.shift[s.message[slot]] == position:
            if before < 0:
                s.waiting[rank] = after
            else:
                s.following[before] = after
            if eager:
                s.to_receive[rank] -= int(s.left[slot])
                _release(s, slot)
            else:
                _start(s, slot, rank)
        else:
            before = slot
        slot = after
    for m in range(first, last):
        s.number[FREE] -= 1
        slot = s.free[s.number[FREE]]
        s.message[slot] = m
        s.position[slot] = position
        receiver = s.target[m]
        if eager or _has_posted(s, receiver, position + s.shift[m]):
            _start(s, slot, rank)
        else:
            s.following[slot] = s.waiting[receiver]
            s.waiting[receiver] = slot
    _settle(s, rank, s.time[rank], s.latency[rank], s.computed[rank])


@compiled
def _proceed(s: State, rank: int) -> None:
    """Take a rank through what it does next: compute, meet at the barrier, enter a step, begin the next round, end."""
    job = s.rank_job[rank]
    local = rank - s.job_rank[job]
    workers = s.job_workers[job]
    if s.stage[rank] == BEGIN:
        s.stage[rank] = COMPUTED
        if s.job_compute[job] >= 0 and local < workers:
            compute_s = s.compute[s.job_compute[job] + s.round[rank] * workers + local]
            if compute_s > 0.0:
                s.computed[rank] += compute_s
                push_early(s, s.time[rank] + compute_s, -1 - rank)
                return
    if s.stage[rank] == COMPUTED:
        if s.job_barrier[job] == 1 and local < workers:
            s.stage[rank] = GATE
            s.job_waiting[job] += 1
            if s.job_waiting[job] == workers:
                s.job_waiting[job] = 0
                for other in range(s.job_rank[job], s.job_rank[job] + workers):
                    s.stage[other] = OPEN
                    s.time[other] = s.time[rank]
                    s.latency[other] = s.latency[rank]
                    s.computed[other] = s.computed[rank]
                    _get_ready(s, other)
            return
        s.stage[rank] = OPEN
    if s.turn[rank] < s.job_turns[job]:
        _enter(s, rank, job)
        return
    s.round[rank] += 1
    s.turn[rank] = 0
    if s.round[rank] < s.job_rounds[job]:
        s.stage[rank] = BEGIN
        _get_ready(s, rank)
        return
    s.stage[rank] = OVER
    s.job_left[job] -= 1
    if s.job_left[job] == 0:
        s.job_done[job] = 1
        s.number[FINISHED] += 1


@compiled
def _drain(s: State) -> bool:
    """Let all ranks that are ready proceed; False if a message finds no slot."""
    while s.number[READY] > 0:
        rank = s.ready[s.number[READY] - 1]
        job = s.rank_job[rank]
        if s.turn[rank] < s.job_turns[job] and s.stage[rank] <= OPEN:
            row = s.step_row[s.job_order[job] + s.turn[rank]] + rank - s.job_rank[job]
            if s.send_first[row + 1] - s.send_first[row] > s.number[FREE]:
                return False
        s.number[READY] -= 1
        _proceed(s, rank)
    return True


@compiled
def _arrive(s: State, slot: int, time: float) -> None:
    """Give a message that is through its latency its place on its links."""
    m = s.message[slot]
    hops = s.hop_count[m]
    if hops == 0 or s.size[m] <= 0.0:
        _complete(s, slot, time)
        return
    width = s.number[HOPS]
    first = s.hop_first[m]
    for h in range(hops):
        link = s.hop[first + h]
        node = slot * width + h
        after = s.head[link]
        s.node_next[node] = after
        s.node_previous[node] = -1
        if after >= 0:
            s.node_previous[after] = node
        s.head[link] = node
        s.count[link] += 1
    s.left[slot] = s.size[m]
    s.rate[slot] = 0.0
    s.since[slot] = time
    s.bottleneck[slot] = -1
    s.fresh[s.number[FRESH]] = slot
    s.number[FRESH] += 1
    s.number[ACTIVE] += 1


@compiled
def _leave(s: State, slot: int, time: float) -> None:
    """Take a message off its links: its last byte is delivered."""
    m = s.message[slot]
    width = s.number[HOPS]
    first = s.hop_first[m]
    s.bound[s.bottleneck[slot]] -= 1
    for h in range(s.hop_count[m]):
        link = s.hop[first + h]
        node = slot * width + h
        before, after = s.node_previous[node], s.node_next[node]
        if before >= 0:
            s.node_next[before] = after
        else:
            s.head[link] = after
        if after >= 0:
            s.node_previous[after] = before
        s.count[link] -= 1
        if s.is_dirty[link] == 0:
            s.is_dirty[link] = 1
            s.dirty[s.number[DIRTY]] = link
            s.number[DIRTY] += 1
    s.number[ACTIVE] -= 1
    _complete(s, slot, time)


@compiled
def run(s: State, to_s: float, stop_at_end: bool) -> int:
    """Run until nothing happens any more, the next event is after `to_s`, a job ends (if asked to), or slots run out."""
    while True:
        if not _drain(s):
            return GROW
        early = s.early_time[0] if s.number[EARLY] > 0 else np.inf
        leaving = s.ends[s.leaving[0]] if s.number[LEAVING] > 0 else np.inf
        time = min(early, leaving)
        if time <= s.clock[WINDOW]:
            s.clock[NOW] = max(time, s.clock[NOW])
            s.number[EVENTS] += 1
            if leaving <= early:
                slot = pop_leaving(s)
                _leave(s, slot, time)
            else:
                what = _pop_early(s)
                if what >= 0:
                    _arrive(s, what, time)
                else:
                    s.time[-1 - what] = time
                    _get_ready(s, -1 - what)
            continue
        if s.number[FRESH] > 0 or s.number[DIRTY] > 0:
            reshare(s, s.clock[NOW])
            continue
        if stop_at_end and s.number[FINISHED] > 0:
            return JOB_OVER
        if time == np.inf:
            return IDLE
        if time > to_s:
            return REACHED
        s.clock[WINDOW] = time + TIE * abs(time)
