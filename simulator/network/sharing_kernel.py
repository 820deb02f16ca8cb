"""Max-min fair rates, compiled and confined to the flows that an arrival or departure touches.

An allocation is max-min fair if and only if every flow has a bottleneck: a full link on which no flow is faster. So it is
enough to solve for the flows whose bottleneck was disturbed, with the others' rates held, and to look at the links that
these flows use: a held flow there that is faster than a flow that the link limits, or that lost its bottleneck, joins, and
the solution is repeated. What never joins still has its bottleneck, so the result is that of a solution of the whole.
"""

from __future__ import annotations

import numpy as np

from simulator.network.kernel_state import DIRTY, EPOCH, FLOWS, FRESH, HOPS, LEAVING, LINKS, SHARES, State, compiled

__all__ = ["pop_leaving", "reshare", "unbind"]

SLACK = 1e-13
"""Relative difference below which a link is full and two rates are equal; too small a value costs time, not accuracy."""
SAME_RATE = 1e-14
PATIENCE = 4
"""Repetitions after which all flows of the region join."""
FULL = 1e-9
FRESHNESS = 64
"""Updates of a link's load after which it is summed anew."""


@compiled
def _sift_up(s: State, at: int) -> None:
    slot = s.leaving[at]
    while at > 0:
        above = (at - 1) >> 1
        other = s.leaving[above]
        if s.slots[other].ends <= s.slots[slot].ends:
            break
        s.leaving[at] = other
        s.slots[other].place = at
        at = above
    s.leaving[at] = slot
    s.slots[slot].place = at


@compiled
def _sift_down(s: State, at: int) -> None:
    size = s.number[LEAVING]
    slot = s.leaving[at]
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and s.slots[s.leaving[below + 1]].ends < s.slots[s.leaving[below]].ends:
            below += 1
        other = s.leaving[below]
        if s.slots[slot].ends <= s.slots[other].ends:
            break
        s.leaving[at] = other
        s.slots[other].place = at
        at = below
    s.leaving[at] = slot
    s.slots[slot].place = at


@compiled
def _change_leaving(s: State, slot: int, ends: float) -> None:
    """Set when a flow ends; it enters the heap of departures if it is not there."""
    before = s.slots[slot].ends
    s.slots[slot].ends = ends
    at = int(s.slots[slot].place)
    if at < 0:
        at = int(s.number[LEAVING])
        s.number[LEAVING] = at + 1
        s.leaving[at] = slot
        s.slots[slot].place = at
        _sift_up(s, at)
    elif ends < before:
        _sift_up(s, at)
    else:
        _sift_down(s, at)


@compiled
def pop_leaving(s: State) -> int:
    """Take the flow that ends first out of the heap."""
    slot = s.leaving[0]
    size = s.number[LEAVING] - 1
    s.number[LEAVING] = size
    s.slots[slot].place = -1
    if size > 0:
        s.leaving[0] = s.leaving[size]
        s.slots[s.leaving[0]].place = 0
        _sift_down(s, int(s.slots[s.leaving[0]].place))
    return int(slot)


@compiled
def _push_link(s: State, key: float, link: int) -> None:
    at = s.number[SHARES]
    s.number[SHARES] = at + 1
    while at > 0:
        above = (at - 1) >> 1
        if s.heap[above].key <= key:
            break
        s.heap[at].key = s.heap[above].key
        s.heap[at].link = s.heap[above].link
        at = above
    s.heap[at].key = key
    s.heap[at].link = link


@compiled
def _sink_link(s: State, key: float, link: int) -> None:
    """Put (key, link) where the first entry of the heap was."""
    size = s.number[SHARES]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and s.heap[below + 1].key < s.heap[below].key:
            below += 1
        if key <= s.heap[below].key:
            break
        s.heap[at].key = s.heap[below].key
        s.heap[at].link = s.heap[below].link
        at = below
    s.heap[at].key = key
    s.heap[at].link = link


@compiled
def unbind(s: State, slot: int) -> None:
    """Take a flow out of the list of those that its bottleneck limits."""
    before, after = s.slots[slot].bound_previous, s.slots[slot].bound_next
    if before >= 0:
        s.slots[before].bound_next = after
    else:
        s.links[s.slots[slot].bottleneck].bound_head = after
    if after >= 0:
        s.slots[after].bound_previous = before
    s.slots[slot].bottleneck = -1


@compiled
def _bind(s: State, slot: int, link: int) -> None:
    after = s.links[link].bound_head
    s.slots[slot].bottleneck = link
    s.slots[slot].bound_previous = -1
    s.slots[slot].bound_next = after
    if after >= 0:
        s.slots[after].bound_previous = slot
    s.links[link].bound_head = slot


@compiled
def _sum_anew(s: State, link: int) -> None:
    """Sum the rates on a link, so that rounding errors do not gather in its load."""
    width = s.number[HOPS]
    load = 0.0
    node = s.links[link].head
    while node >= 0:
        load += s.slots[node // width].rate
        node = s.nodes[node].next
    s.links[link].load = load
    s.links[link].age = 0


@compiled
def _join(s: State, slot: int, epoch: int) -> None:
    """Add a flow to those that are solved for, and its links to the region; nothing if it is there."""
    if s.slots[slot].mark == epoch:
        return
    s.slots[slot].mark = epoch
    s.touched[s.number[FLOWS]] = slot
    s.number[FLOWS] += 1
    rate = s.slots[slot].rate
    m = s.slots[slot].message
    first = s.messages[m].hop_first
    for h in range(first, first + s.messages[m].hop_count):
        link = s.hop[h]
        if s.links[link].mark != epoch:
            s.links[link].mark = epoch
            s.region[s.number[LINKS]] = link
            s.number[LINKS] += 1
            s.links[link].age += 1
            if s.links[link].age > FRESHNESS:
                _sum_anew(s, int(link))
            s.links[link].spare = s.links[link].capacity - s.links[link].load
            s.links[link].mine = 0
        s.links[link].spare += rate
        s.links[link].mine += 1


@compiled
def _fill(s: State, pass_mark: int) -> None:
    """Raise the rates of the flows that are solved for together, and stop each at the first link that is full."""
    s.number[SHARES] = 0
    at = 0
    for i in range(s.number[LINKS]):
        link = int(s.region[i])
        mine = s.links[link].mine
        s.links[link].first = at
        s.links[link].last = at
        at += mine
        if mine == s.links[link].count:
            s.links[link].spare = s.links[link].capacity
        s.links[link].room = s.links[link].spare
        s.links[link].loose = mine
        s.links[link].level = np.inf
        s.links[link].top = 0.0
        _push_link(s, max(s.links[link].spare, 0.0) / mine, link)
    for i in range(s.number[FLOWS]):
        slot = s.touched[i]
        m = s.slots[slot].message
        first = s.messages[m].hop_first
        for h in range(first, first + s.messages[m].hop_count):
            link = s.hop[h]
            s.members[s.links[link].last] = slot
            s.links[link].last += 1
    while s.number[SHARES] > 0:
        link = s.heap[0].link
        loose = s.links[link].loose
        share = 0.0
        if loose > 0:
            share = max(s.links[link].room, 0.0) / loose
            if share > s.heap[0].key:
                _sink_link(s, share, link)
                continue
        size = s.number[SHARES] - 1
        s.number[SHARES] = size
        if size > 0:
            _sink_link(s, s.heap[size].key, s.heap[size].link)
        if loose == 0:
            continue
        s.links[link].level = share
        for i in range(s.links[link].first, s.links[link].last):
            slot = s.members[i]
            if s.slots[slot].frozen != pass_mark:
                s.slots[slot].frozen = pass_mark
                s.slots[slot].new_rate = share
                s.slots[slot].new_bottleneck = link
                m = s.slots[slot].message
                first = s.messages[m].hop_first
                for h in range(first, first + s.messages[m].hop_count):
                    other = s.hop[h]
                    s.links[other].room -= share
                    s.links[other].loose -= 1
                    s.links[other].top = share  # levels only rise


@compiled
def _join_disturbed(s: State, link: int, epoch: int, everyone: bool) -> None:
    """Add the held flows of a link that the solution disturbs, or all of them."""
    width = s.number[HOPS]
    limits = s.links[link].level < np.inf
    fastest = s.links[link].level * (1.0 + SLACK)
    slot = int(s.links[link].bound_head)
    if slot >= 0:  # those that the link limited so far have one rate
        slack = not limits and s.links[link].room > SLACK * s.links[link].capacity
        rate = s.slots[slot].rate
        if slack or rate > fastest or s.links[link].top > rate * (1.0 + SLACK):
            while slot >= 0:
                _join(s, slot, epoch)
                slot = int(s.slots[slot].bound_next)
    if everyone or (limits and s.links[link].most > fastest):
        most = 0.0
        node = s.links[link].head
        while node >= 0:
            slot = node // width
            if s.slots[slot].mark != epoch:
                if everyone or s.slots[slot].rate > fastest:
                    _join(s, slot, epoch)
                else:
                    most = max(most, s.slots[slot].rate)
            node = s.nodes[node].next
        s.links[link].most = most


@compiled
def reshare(s: State, now: float) -> None:
    """Set the rates anew after arrivals (fresh) and departures (dirty links)."""
    epoch = s.number[EPOCH] + 1
    s.number[FLOWS] = 0
    s.number[LINKS] = 0
    for i in range(s.number[FRESH]):
        _join(s, int(s.fresh[i]), epoch)
    for i in range(s.number[DIRTY]):
        link = int(s.dirty[i])
        s.links[link].is_dirty = 0
        slot = int(s.links[link].bound_head)
        while slot >= 0:
            _join(s, slot, epoch)
            slot = int(s.slots[slot].bound_next)
    pass_mark = epoch
    while s.number[FLOWS] > 0:
        _fill(s, pass_mark)
        before = s.number[FLOWS]
        for i in range(s.number[LINKS]):
            _join_disturbed(s, int(s.region[i]), epoch, pass_mark - epoch >= PATIENCE)
        if s.number[FLOWS] == before:
            break
        pass_mark += 1
    s.number[EPOCH] = pass_mark
    s.number[FRESH] = 0
    for i in range(s.number[LINKS]):
        link = int(s.region[i])
        limits = s.links[link].level < np.inf
        s.links[link].load = s.links[link].capacity - s.links[link].room
        s.links[link].most = s.links[link].level * (1.0 + SLACK) if limits else max(s.links[link].most, s.links[link].top)
        _note_full(s, link, limits or s.links[link].room <= FULL * s.links[link].capacity, now)
    for i in range(s.number[DIRTY]):
        link = int(s.dirty[i])
        if s.links[link].mark < epoch:
            _note_full(s, link, s.links[link].bound_head >= 0, now)  # it limits none, or its flows would be in the region
    s.number[DIRTY] = 0
    for i in range(s.number[FLOWS]):
        _set_rate(s, int(s.touched[i]), now)


@compiled
def _set_rate(s: State, slot: int, now: float) -> None:
    """Give a flow its new rate and bottleneck, and the end that follows."""
    old = s.slots[slot].rate
    rate = s.slots[slot].new_rate
    link = s.slots[slot].new_bottleneck
    if s.slots[slot].bottleneck != link:
        if s.slots[slot].bottleneck >= 0:
            unbind(s, slot)
        _bind(s, slot, link)
    if abs(rate - old) > SAME_RATE * old or old == 0.0:
        s.slots[slot].left = max(s.slots[slot].left - old * (now - s.slots[slot].since), 0.0)
        s.slots[slot].since = now
        s.slots[slot].rate = rate
        _change_leaving(s, slot, now + s.slots[slot].left / rate)


@compiled
def _note_full(s: State, link: int, full: bool, now: float) -> None:
    if full and s.links[link].is_full == 0:
        s.links[link].is_full = 1
        s.links[link].full_since = now
    elif not full and s.links[link].is_full == 1:
        s.links[link].is_full = 0
        s.links[link].full_s += now - s.links[link].full_since
