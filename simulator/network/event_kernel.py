"""The event loop, compiled: ranks enter steps, messages wait out their latency, move their bytes at fair rates, and end."""

from __future__ import annotations

import numpy as np

from simulator.network.kernel_state import (
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
from simulator.network.sharing_kernel import pop_leaving, reshare, unbind

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
        if s.early[above].time <= time:
            break
        s.early[at].time = s.early[above].time
        s.early[at].what = s.early[above].what
        at = above
    s.early[at].time = time
    s.early[at].what = what


@compiled
def _pop_early(s: State) -> int:
    what = s.early[0].what
    size = s.number[EARLY] - 1
    s.number[EARLY] = size
    time = s.early[size].time
    last = s.early[size].what
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and s.early[below + 1].time < s.early[below].time:
            below += 1
        if time <= s.early[below].time:
            break
        s.early[at].time = s.early[below].time
        s.early[at].what = s.early[below].what
        at = below
    s.early[at].time = time
    s.early[at].what = last
    return int(what)


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
    if s.ranks[rank].stage != INSIDE or s.ranks[rank].to_receive > 0:
        return
    job = s.ranks[rank].job
    if s.ranks[rank].to_send > 0 and s.waits[s.jobs[job].order + s.ranks[rank].turn]:
        return
    s.ranks[rank].time = time
    s.ranks[rank].latency = latency
    s.ranks[rank].computed = computed
    s.ranks[rank].turn += 1
    s.ranks[rank].stage = OPEN
    _get_ready(s, rank)


@compiled
def _has_posted(s: State, rank: int, position: int) -> bool:
    """Say whether a rank has entered the step at this position."""
    at = s.ranks[rank].round * s.jobs[s.ranks[rank].job].turns + s.ranks[rank].turn
    return bool(at > position or (at == position and s.ranks[rank].stage == INSIDE))


@compiled
def _complete(s: State, slot: int, time: float) -> None:
    """Deliver a message: sender and receiver are done with it."""
    m = s.slots[slot].message
    latency = s.slots[slot].begin_latency + s.messages[m].delay
    computed = s.slots[slot].begin_computed
    sender = int(s.messages[m].source)
    receiver = int(s.messages[m].target)
    position = s.slots[slot].position + s.messages[m].shift
    s.ranks[sender].to_send -= 1
    _settle(s, sender, time, latency, computed)
    if _has_posted(s, receiver, position):
        s.ranks[receiver].to_receive -= 1
        _settle(s, receiver, time, latency, computed)
        _release(s, slot)
        return
    waiting = s.ranks[receiver].waiting
    while waiting >= 0:  # messages that came early are counted by the step that they are for
        if s.slots[waiting].position + s.messages[s.slots[waiting].message].shift == position:
            s.slots[waiting].left += 1.0
            _release(s, slot)
            return
        waiting = s.slots[waiting].following
    s.slots[slot].left = 1.0
    s.slots[slot].following = s.ranks[receiver].waiting
    s.ranks[receiver].waiting = slot


@compiled
def _start(s: State, slot: int, rank: int) -> None:
    """Send a message off; `rank` is the one of the two that came last."""
    s.slots[slot].begin_latency = s.ranks[rank].latency
    s.slots[slot].begin_computed = s.ranks[rank].computed
    push_early(s, s.ranks[rank].time + s.messages[s.slots[slot].message].delay, slot)


@compiled
def _enter(s: State, rank: int, job: int) -> None:
    """Post the sends and receives of a step."""
    local = rank - s.jobs[job].first_rank
    row = s.step_row[s.jobs[job].order + s.ranks[rank].turn] + local
    position = s.ranks[rank].round * s.jobs[job].turns + s.ranks[rank].turn
    eager = s.number[EAGER] == 1
    s.ranks[rank].stage = INSIDE
    s.ranks[rank].to_receive += s.receive_count[row]
    first, last = s.send_first[row], s.send_first[row + 1]
    s.ranks[rank].to_send += last - first
    before = -1
    slot = int(s.ranks[rank].waiting)
    while slot >= 0:
        after = int(s.slots[slot].following)
        if s.slots[slot].position + s.messages[s.slots[slot].message].shift == position:
            if before < 0:
                s.ranks[rank].waiting = after
            else:
                s.slots[before].following = after
            if eager:
                s.ranks[rank].to_receive -= int(s.slots[slot].left)
                _release(s, slot)
            else:
                _start(s, slot, rank)
        else:
            before = slot
        slot = after
    for m in range(first, last):
        s.number[FREE] -= 1
        slot = int(s.free[s.number[FREE]])
        s.slots[slot].message = m
        s.slots[slot].position = position
        receiver = int(s.messages[m].target)
        if eager or _has_posted(s, receiver, position + s.messages[m].shift):
            _start(s, slot, rank)
        else:
            s.slots[slot].following = s.ranks[receiver].waiting
            s.ranks[receiver].waiting = slot
    _settle(s, rank, s.ranks[rank].time, s.ranks[rank].latency, s.ranks[rank].computed)


@compiled
def _proceed(s: State, rank: int) -> None:
    """Take a rank through what it does next: compute, meet at the barrier, enter a step, begin the next round, end."""
    job = s.ranks[rank].job
    local = rank - s.jobs[job].first_rank
    workers = s.jobs[job].workers
    if s.ranks[rank].stage == BEGIN:
        s.ranks[rank].stage = COMPUTED
        if s.jobs[job].compute >= 0 and local < workers:
            compute_s = s.compute[s.jobs[job].compute + s.ranks[rank].round * workers + local]
            if compute_s > 0.0:
                s.ranks[rank].computed += compute_s
                push_early(s, s.ranks[rank].time + compute_s, -1 - rank)
                return
    if s.ranks[rank].stage == COMPUTED:
        if s.jobs[job].barrier == 1 and local < workers:
            s.ranks[rank].stage = GATE
            s.jobs[job].waiting += 1
            if s.jobs[job].waiting == workers:
                s.jobs[job].waiting = 0
                for other in range(s.jobs[job].first_rank, s.jobs[job].first_rank + workers):
                    s.ranks[other].stage = OPEN
                    s.ranks[other].time = s.ranks[rank].time
                    s.ranks[other].latency = s.ranks[rank].latency
                    s.ranks[other].computed = s.ranks[rank].computed
                    _get_ready(s, other)
            return
        s.ranks[rank].stage = OPEN
    if s.ranks[rank].turn < s.jobs[job].turns:
        _enter(s, rank, job)
        return
    s.ranks[rank].round += 1
    s.ranks[rank].turn = 0
    if s.ranks[rank].round < s.jobs[job].rounds:
        s.ranks[rank].stage = BEGIN
        _get_ready(s, rank)
        return
    s.ranks[rank].stage = OVER
    s.jobs[job].left -= 1
    if s.jobs[job].left == 0:
        s.jobs[job].done = 1
        s.number[FINISHED] += 1


@compiled
def _drain(s: State) -> bool:
    """Let all ranks that are ready proceed; False if a message finds no slot."""
    while s.number[READY] > 0:
        rank = int(s.ready[s.number[READY] - 1])
        job = s.ranks[rank].job
        if s.ranks[rank].turn < s.jobs[job].turns and s.ranks[rank].stage <= OPEN:
            row = s.step_row[s.jobs[job].order + s.ranks[rank].turn] + rank - s.jobs[job].first_rank
            if s.send_first[row + 1] - s.send_first[row] > s.number[FREE]:
                return False
        s.number[READY] -= 1
        _proceed(s, rank)
    return True


@compiled
def _arrive(s: State, slot: int, time: float) -> None:
    """Give a message that is through its latency its place on its links."""
    m = s.slots[slot].message
    hops = s.messages[m].hop_count
    if hops == 0 or s.messages[m].size <= 0.0:
        _complete(s, slot, time)
        return
    width = s.number[HOPS]
    first = s.messages[m].hop_first
    for h in range(hops):
        link = s.hop[first + h]
        node = slot * width + h
        after = s.links[link].head
        s.nodes[node].next = after
        s.nodes[node].previous = -1
        if after >= 0:
            s.nodes[after].previous = node
        s.links[link].head = node
        s.links[link].count += 1
    s.slots[slot].left = s.messages[m].size
    s.slots[slot].rate = 0.0
    s.slots[slot].since = time
    s.slots[slot].bottleneck = -1
    s.fresh[s.number[FRESH]] = slot
    s.number[FRESH] += 1


@compiled
def _leave(s: State, slot: int, time: float) -> None:
    """Take a message off its links: its last byte is delivered."""
    m = s.slots[slot].message
    width = s.number[HOPS]
    first = s.messages[m].hop_first
    unbind(s, slot)
    rate = s.slots[slot].rate
    for h in range(s.messages[m].hop_count):
        link = s.hop[first + h]
        node = slot * width + h
        before, after = s.nodes[node].previous, s.nodes[node].next
        if before >= 0:
            s.nodes[before].next = after
        else:
            s.links[link].head = after
        if after >= 0:
            s.nodes[after].previous = before
        s.links[link].count -= 1
        s.links[link].load = s.links[link].load - rate if s.links[link].count > 0 else 0.0
        if s.links[link].is_dirty == 0:
            s.links[link].is_dirty = 1
            s.dirty[s.number[DIRTY]] = link
            s.number[DIRTY] += 1
    _complete(s, slot, time)


@compiled
def run(s: State, to_s: float, stop_at_end: bool) -> int:
    """Run until nothing happens any more, the next event is after `to_s`, a job ends (if asked to), or slots run out."""
    while True:
        if not _drain(s):
            return GROW
        early = s.early[0].time if s.number[EARLY] > 0 else np.inf
        leaving = s.slots[s.leaving[0]].ends if s.number[LEAVING] > 0 else np.inf
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
                    s.ranks[-1 - what].time = time
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
