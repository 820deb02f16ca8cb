"""One option for each job within a capacity, least total cost: dynamic programming, marginal gains, or bounds and branches.

The problem is the multiple-choice knapsack. Sizes are whole; of two options the larger one matters only if it costs less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.errors import InfeasibleError
from simulator.quantities import FloatArray
from simulator.studies.allocation.options import IntArray

__all__ = ["FEW_OPTIONS", "Choices", "Menu", "Method", "least_cost", "menu"]

Method = Literal["dynamic programming", "marginal gains", "branch and bound", "bisection"]

FEW_OPTIONS = 32
"""Up to this many options for each job, every capacity is tabulated."""
MOST_WORK = 2e9
"""Additions that an exact table may take; a few seconds for each 1e9. Beyond, an answer within `GAP` is taken as it is."""
MOST_TABLE = 400_000_000
"""Bytes of the choices that the table remembers."""
GAP = 1e-3
"""Proved relative distance from the least cost that is good enough where exactness takes more than `MOST_WORK`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Menu:
    """Options of a job that can be best in some allocation: larger ones cost less.

    Parameters
    ----------
    size : ndarray of int, shape (n,)
        Increasing.
    cost : ndarray, shape (n,)
        Decreasing.
    place : ndarray of int, shape (n,)
        Place of each in the list that the menu was made of.
    """

    size: IntArray
    cost: FloatArray
    place: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """The option chosen for each job.

    Parameters
    ----------
    place : ndarray of int, shape (jobs,)
        Place of the chosen option in each job's menu.
    cost, lower_bound : float
        Total cost, and what no choice can cost less than.
    method : str
        How it was found.
    """

    place: IntArray
    cost: float
    lower_bound: float
    method: Method


def menu(size: IntArray, cost: FloatArray) -> Menu:
    """Leave out options that a smaller one beats.

    Examples
    --------
    >>> menu(np.array([1, 2, 3, 4]), np.array([9.0, 5.0, 5.0, 4.0])).place
    array([0, 1, 3])
    """
    before = np.concatenate([[np.inf], np.minimum.accumulate(cost)[:-1]])
    place = np.flatnonzero(cost < before)
    return Menu(size=size[place], cost=cost[place], place=place)


def least_cost(menus: Sequence[Menu], capacity: int) -> Choices:
    """Choose one option from each menu, sizes within the capacity, at least total cost.

    Parameters
    ----------
    menus : sequence of Menu
        One for each job, at least one.
    capacity : int
        Total size that there is, >= 0.

    Returns
    -------
    Choices
        `cost` equals `lower_bound` where the answer is exact: always by dynamic programming (at most 32 options each) and by
        marginal gains (costs convex, sizes in equal steps); otherwise unless exactness takes more than 2e9 additions, and
        then within 0.1 %.

    Raises
    ------
    InfeasibleError
        If the smallest options do not fit.
    """
    least = sum(int(one.size[0]) for one in menus)
    if least > capacity:
        raise InfeasibleError(f"the smallest options of {len(menus)} jobs take {least} together, there are {capacity}")
    most = max(len(one.size) for one in menus)
    work = capacity * float(sum(len(one.size) for one in menus))
    if most <= FEW_OPTIONS and work <= MOST_WORK and len(menus) * (capacity + 1) <= MOST_TABLE:
        place, cost = _tabulated(menus, capacity)
        return Choices(place=place, cost=cost, lower_bound=cost, method="dynamic programming")
    if _equal_steps(menus) and all(_is_convex(one) for one in menus):
        place = _by_gains(menus, capacity)
        cost = _total(menus, place)
        return Choices(place=place, cost=cost, lower_bound=cost, method="marginal gains")
    return _bounded(menus, capacity)


def _total(menus: Sequence[Menu], place: IntArray) -> float:
    return float(sum(one.cost[k] for one, k in zip(menus, place, strict=True)))


def _tabulated(menus: Sequence[Menu], capacity: int) -> tuple[IntArray, float]:
    """Tabulate the least cost of the first jobs within every capacity, one job after another."""
    best = np.zeros(capacity + 1)
    taken = np.zeros((len(menus), capacity + 1), dtype=np.uint8 if max(len(one.size) for one in menus) <= 256 else np.int32)
    for j, one in enumerate(menus):
        after = np.full(capacity + 1, np.inf)
        for k, (size, cost) in enumerate(zip(one.size.tolist(), one.cost.tolist(), strict=True)):
            if size > capacity:
                break
            with_it = best[: capacity + 1 - size] + cost
            better = with_it < after[size:]
            np.copyto(after[size:], with_it, where=better)
            taken[j, size:][better] = k
        best = after
    place = np.empty(len(menus), dtype=np.int64)
    left = int(np.argmin(best))  # the smallest capacity with the least cost
    cost = float(best[left])
    for j in range(len(menus) - 1, -1, -1):
        place[j] = taken[j, left]
        left -= int(menus[j].size[place[j]])
    return place, cost


def _equal_steps(menus: Sequence[Menu]) -> bool:
    """Whether every option is as much larger than the one before as in all other menus."""
    steps = np.concatenate([np.diff(one.size) for one in menus])
    return bool(len(steps) == 0 or np.all(steps == steps[0]))


def _is_convex(one: Menu) -> bool:
    """Whether the gain of a further option never grows, beyond rounding."""
    gains = -np.diff(one.cost)
    return bool(np.all(np.diff(gains) <= 1e-12 * one.cost[0]))


def _by_gains(menus: Sequence[Menu], capacity: int) -> IntArray:
    """Give every job its smallest option, then each further step to the job that gains most by it."""
    left = capacity - sum(int(one.size[0]) for one in menus)
    gains = np.concatenate([np.minimum.accumulate(-np.diff(one.cost)) for one in menus])
    job = np.repeat(np.arange(len(menus)), [len(one.size) - 1 for one in menus])
    steps = np.concatenate([np.diff(one.size) for one in menus])
    step = int(steps[0]) if len(steps) else 1
    first = np.argsort(-gains, kind="stable")[: left // step]
    return np.bincount(job[first], minlength=len(menus)).astype(np.int64)


def _bounded(menus: Sequence[Menu], capacity: int) -> Choices:
    """Bound the cost by pricing the capacity (the hull of every menu), rule out options by it, tabulate what remains.

    With a price p per unit of size, sum of min(cost + p size) - p capacity is a lower bound L of every choice. An option whose
    cost + p size lies more than U - L above its menu's least one, U the cost of a choice at hand, is in no better choice.
    """
    width = max(len(one.size) for one in menus)
    size, cost = np.zeros((len(menus), width)), np.full((len(menus), width), np.inf)
    for j, one in enumerate(menus):
        size[j, : len(one.size)], cost[j, : len(one.size)] = one.size, one.cost
    price, too_low, bound = _best_price(size, cost, capacity)
    place = _feasible(size, cost, price, too_low, capacity)
    found = _total(menus, place)
    priced = cost + price * size
    spare = max(found - bound, 0.0) * (1.0 + 1e-9) + 1e-12 * abs(found)
    kept = [np.flatnonzero(row <= row.min() + spare) for row in priced]
    fewer = [Menu(size=one.size[k], cost=one.cost[k], place=k) for one, k in zip(menus, kept, strict=True)]
    base = np.array([one.size[0] for one in fewer])
    left = capacity - int(base.sum())
    open_jobs = [j for j, one in enumerate(fewer) if len(one.size) > 1]
    work = left * float(sum(len(fewer[j].size) for j in open_jobs))
    affordable = work <= MOST_WORK and len(open_jobs) * (left + 1) * (1 if width <= 256 else 4) <= MOST_TABLE
    if open_jobs and left >= 0 and (affordable or found - bound > GAP * found):
        above = [Menu(size=fewer[j].size - base[j], cost=fewer[j].cost, place=fewer[j].place) for j in open_jobs]
        chosen, _ = _tabulated(above, left)
        other = np.array([one.place[0] for one in fewer])
        other[open_jobs] = [one.place[k] for one, k in zip(above, chosen, strict=True)]
        if _total(menus, other) < found:
            place, found = other, _total(menus, other)
        bound = found
    elif not open_jobs or left < 0:
        bound = found
    return Choices(place=place, cost=found, lower_bound=min(bound, found), method="branch and bound")


def _best_price(size: FloatArray, cost: FloatArray, capacity: int) -> tuple[float, float, float]:
    """Return the price of a unit of size at which the lower bound is highest, one next below it, and that bound.

    The choice at the price fits, the one below it does not (unless both are 0).
    """
    rows = np.arange(len(size))

    def at(price: float) -> tuple[float, float]:
        priced = cost + price * size
        chosen = np.argmin(priced, axis=1)
        return float(size[rows, chosen].sum()), float(priced[rows, chosen].sum()) - price * capacity

    used, best = at(0.0)
    if used <= capacity:
        return 0.0, 0.0, best
    least = np.where(np.isfinite(cost), cost, np.inf).min(axis=1)
    low, high = 0.0, 2.0 * float(np.max(cost[:, 0] - least))  # no gain is larger, and no step smaller than one unit
    while high - low > 1e-14 * high:
        price = 0.5 * (low + high)
        used, bound = at(price)
        best = max(best, bound)
        low, high = (price, high) if used > capacity else (low, price)
    return high, low, max(best, at(high)[1])


MOST_FILLS = 64
"""Single steps by which what is left is given out; the tables find what more there is to gain."""


def _feasible(size: FloatArray, cost: FloatArray, price: float, too_low: float, capacity: int) -> IntArray:
    """Return the choice at the price, and what it leaves free given out: to jobs that are indifferent there, then by gain."""
    rows = np.arange(len(size))
    place = np.argmin(cost + price * size, axis=1)
    larger = np.argmin(cost + too_low * size, axis=1)
    left = capacity - size[rows, place].sum()
    more = size[rows, larger] - size[rows, place]
    taken = (more > 0) & (np.cumsum(np.maximum(more, 0.0)) <= left)
    place = np.where(taken, larger, place)
    left -= more[taken].sum()
    for _ in range(MOST_FILLS):
        further = size - size[rows, place][:, None]
        gain = cost[rows, place][:, None] - cost
        possible = (further > 0) & (further <= left) & (gain > 0)
        if not possible.any():
            break
        rate = np.where(possible, gain / np.where(further > 0, further, 1.0), -1.0)
        job, k = np.unravel_index(int(np.argmax(rate)), rate.shape)
        left -= further[job, k]
        place[job] = k
    chosen: IntArray = place.astype(np.int64)
    return chosen
