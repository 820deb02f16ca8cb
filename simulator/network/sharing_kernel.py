"""Max-min fair rates, compiled and confined to the flows that an arrival or departure touches.

An allocation is max-min fair if and only if every flow has a bottleneck: a full link on which no flow is faster. So it is enough
to solve for the flows whose bottleneck was disturbed, with the others' rates held, and to look at the links that these flows
use: a held flow there that is faster than a flow that the link limits, or that lost its bottleneck, joins, and the solution is
repeated. What never joins still has its bottleneck, so the result is that of a solution of the whole.
"""

from __future__ import annotations

import numpy as np

from simulator.network.kernel_state import DIRTY, EPOCH, FRESH, HOPS, LEAVING, State, compiled

__all__ = ["change_leaving", "pop_leaving", "reshare"]

SLACK = 1e-13
"""Relative difference below which a link is full and two rates are equal; too small a value costs time, not accuracy."""
SAME_RATE = 1e-14
PATIENCE = 4
"""Repetitions after which all flows of the region join."""
FULL = 1e-9


@compiled
def _sift_up(s: State, at: int) -> None:
    slot = s.leaving[at]
    while at > 0:
        above = (at - 1) >> 1
        other = s.leaving[above]
        if s.ends[other] <= s.ends[slot]:
            break
        s.leaving[at] = other
        s.place[other] = at
        at = above
    s.leaving[at] = slot
    s.place[slot] = at


@compiled
def _sift_down(s: State, at: int) -> None:
    size = s.number[LEAVING]
    slot = s.leaving[at]
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and s.ends[s.leaving[below + 1]] < s.ends[s.leaving[below]]:
            below += 1
        other = s.leaving[below]
        if s.ends[slot] <= s.ends[other]:
            break
        s.leaving[at] = other
        s.place[other] = at
        at = below
    s.leaving[at] = slot
    s.place[slot] = at


@compiled
def change_leaving(s: State, slot: int, ends: float) -> None:
    """Set when a flow ends; it enters the heap of departures if it is not there."""
    before = s.ends[slot]
    s.ends[slot] = ends
    at = s.place[slot]
    if at < 0:
        at = s.number[LEAVING]
        s.number[LEAVING] = at + 1
        s.leaving[at] = slot
        s.place[slot] = at
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
    s.place[slot] = -1
    if size > 0:
        s.leaving[0] = s.leaving[size]
        s.place[s.leaving[0]] = 0
        _sift_down(s, 0)
    return slot


@compiled
def _push_link(s: State, size: int, key: float, link: int) -> None:
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if s.heap_key[above] <= key:
            break
        s.heap_key[at] = s.heap_key[above]
        s.heap_link[at] = s.heap_link[above]
        at = above
    s.heap_key[at] = key
    s.heap_link[at] = link


@compiled
def _sink_link(s: State, size: int, key: float, link: int) -> None:
    """Put (key, link) where the first entry of the heap was."""
    at = 0
    while True:
        below = 2 * at + 1
        if below >= size:
            break
        if below + 1 < size and s.heap_key[below + 1] < s.heap_key[below]:
            below += 1
        if key <= s.heap_key[below]:
            break
        s.heap_key[at] = s.heap_key[below]
        s.heap_link[at] = s.heap_link[below]
        at = below
    s.heap_key[at] = key
    s.heap_link[at] = link


@compiled
def _join(s: State, slot: int, epoch: int, flows: int, links: int) -> int:
    """Add a flow to those that are solved for, and its links to the region; return the new number of links."""
    s.mark[slot] = epoch
    s.touched[flows] = slot
    m = s.message[slot]
    first = s.hop_first[m]
    for h in range(first, first + s.hop_count[m]):
        link = s.hop[h]
        if s.link_mark[link] != epoch:
            s.link_mark[link] = epoch
            s.region[links] = link
            links += 1
    return links


@compiled
def _fill(s: State, epoch: int, links: int, pass_mark: int) -> None:
    """Raise the rates of the marked flows together, and stop each at the first link that is full."""
    width = s.number[HOPS]
    size = 0
    for i in range(links):
        link = s.region[i]
        room = s.capacity[link]
        loose = 0
        node = s.head[link]
        while node >= 0:
            slot = node // width
            if s.mark[slot] == epoch:
                loose += 1
            else:
                room -= s.rate[slot]
            node = s.node_next[node]
        s.room[link] = room
        s.loose[link] = loose
        s.level[link] = np.inf
        s.top[link] = 0.0
        if loose > 0:
            _push_link(s, size, max(room, 0.0) / loose, link)
            size += 1
    while size > 0:
        link = s.heap_link[0]
        key = s.heap_key[0]
        loose = s.loose[link]
        if loose > 0:
            share = max(s.room[link], 0.0) / loose
            if share > key:
                _sink_link(s, size, share, link)
                continue
        size -= 1
        if size > 0:
            _sink_link(s, size, s.heap_key[size], s.heap_link[size])
        if loose == 0:
            continue
        s.level[link] = share
        node = s.head[link]
        while node >= 0:
            slot = node // width
            if s.mark[slot] == epoch and s.frozen[slot] != pass_mark:
                s.frozen[slot] = pass_mark
                s.new_rate[slot] = share
                s.new_bottleneck[slot] = link
                m = s.message[slot]
                first = s.hop_first[m]
                for h in range(first, first + s.hop_count[m]):
                    other = s.hop[h]
                    s.room[other] -= share
                    s.loose[other] -= 1
                    s.top[other] = max(s.top[other], share)
            node = s.node_next[node]


@compiled
def reshare(s: State, now: float) -> None:
    """Set the rates anew after arrivals (fresh) and departures (dirty links)."""
    width = s.number[HOPS]
    epoch = s.number[EPOCH] + 1
    flows = 0
    links = 0
    for i in range(s.number[FRESH]):
        links = _join(s, s.fresh[i], epoch, flows, links)
        flows += 1
    for i in range(s.number[DIRTY]):
        link = s.dirty[i]
        s.is_dirty[link] = 0
        if s.bound[link] > 0:
            node = s.head[link]
            while node >= 0:
                slot = node // width
                if s.mark[slot] != epoch and s.bottleneck[slot] == link:
                    links = _join(s, slot, epoch, flows, links)
                    flows += 1
                node = s.node_next[node]
    pass_mark = epoch
    tries = 0
    while flows > 0:
        _fill(s, epoch, links, pass_mark)
        before, region = flows, links
        for i in range(region):
            link = s.region[i]
            limits = s.level[link] < np.inf
            slack = not limits and s.room[link] > SLACK * s.capacity[link]
            fastest = s.level[link] * (1.0 + SLACK)
            top = s.top[link] / (1.0 + SLACK)
            if not limits and s.bound[link] == 0 and tries < PATIENCE:
                continue  # no held flow of this link can be disturbed
            node = s.head[link]
            while node >= 0:
                slot = node // width
                if s.mark[slot] != epoch and (
                    (limits and s.rate[slot] > fastest)
                    or (s.bottleneck[slot] == link and (slack or top > s.rate[slot]))
                    or tries >= PATIENCE
                ):
                    links = _join(s, slot, epoch, flows, links)
                    flows += 1
                node = s.node_next[node]
        if flows == before:
            break
        tries += 1
        pass_mark += 1
    s.number[EPOCH] = pass_mark
    s.number[FRESH] = 0
    for i in range(flows):
        slot = s.touched[i]
        old = s.rate[slot]
        rate = s.new_rate[slot]
        link = s.new_bottleneck[slot]
        if s.bottleneck[slot] != link:
            if s.bottleneck[slot] >= 0:
                s.bound[s.bottleneck[slot]] -= 1
            s.bound[link] += 1
            s.bottleneck[slot] = link
        if abs(rate - old) > SAME_RATE * old or old == 0.0:
            s.left[slot] = max(s.left[slot] - old * (now - s.since[slot]), 0.0)
            s.since[slot] = now
            s.rate[slot] = rate
            change_leaving(s, slot, now + s.left[slot] / rate)
    for i in range(links):
        link = s.region[i]
        full = s.level[link] < np.inf or s.room[link] <= FULL * s.capacity[link]
        _note_full(s, link, full, now)
    for i in range(s.number[DIRTY]):
        link = s.dirty[i]
        if s.link_mark[link] < epoch and s.bound[link] == 0:
            _note_full(s, link, False, now)
    s.number[DIRTY] = 0


@compiled
def _note_full(s: State, link: int, full: bool, now: float) -> None:
    if full and s.is_full[link] == 0:
        s.is_full[link] = 1
        s.full_since[link] = now
    elif not full and s.is_full[link] == 1:
        s.is_full[link] = 0
        s.full_s[link] += now - s.full_since[link]
