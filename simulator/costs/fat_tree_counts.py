"""How many switches and cables a fat tree has: leaves, spines, cores, for one design or for millions at once.

The counts are those of published bills of materials. Of each rail or plane with E end ports, from switches with k ports:

- one tier: one switch, E <= k;
- a leaf has m ports down and u = ceil(m/o) up, m the most with m + u <= k: with o = 1 and an even k, m = u = k/2 = d;
  leaf = ceil(E/m);
- two tiers: spine = the fewest s that take all uplinks spread evenly, t = ceil(u/s) cables from each leaf to each spine, with
  s t <= k - m ports of a leaf and leaf t <= k ports of a spine: with o = 1 the smallest s >= ceil(leaf d/k) that divides d;
- three tiers: spine = ceil(leaf u/h), h = floor(k/2) ports of a spine down and as many up (with o = 1 spine = leaf);
  core = ceil(spine h/k).

Only leaves are oversubscribed. Every uplink of a switch is cabled, also where a tree is not full. `simulator.network` builds
trees whose pairs of switches are all joined by equally many cables: of one and two tiers they have exactly these counts, of
three tiers exactly these where pods and cores are full, else more, since such regular wiring cannot use every port.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.network.fat_tree_shapes import MOST_TIERS, fat_tree_shape, leaf_ports
from simulator.quantities import ArrayLike, FloatArray, positive, whole

__all__ = ["FatTreeCounts", "fat_tree_counts", "simulated_switches"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FatTreeCounts:
    """What fat trees are made of, all rails or planes together; NaN where the end ports do not fit.

    Parameters
    ----------
    tiers : float or ndarray
        Tiers of switches, 1 to 3; 0 where there is no end port.
    leaf, spine, core : float or ndarray
        Switches of each tier. Counts, >= 0.
    cables_node_leaf, cables_leaf_spine, cables_spine_core : float or ndarray
        Cables of each stage. Counts, >= 0.
    """

    tiers: FloatArray
    leaf: FloatArray
    spine: FloatArray
    core: FloatArray
    cables_node_leaf: FloatArray
    cables_leaf_spine: FloatArray
    cables_spine_core: FloatArray

    @property
    def switches(self) -> FloatArray:
        """Switches of all tiers."""
        return self.leaf + self.spine + self.core

    @property
    def fits(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether three tiers, or as many as were asked, hold the end ports."""
        return ~np.isnan(self.tiers)


def fat_tree_counts(
    end_ports: ArrayLike,
    radix: ArrayLike,
    *,
    tiers: ArrayLike | None = None,
    oversubscription: ArrayLike = 1.0,
    rails: ArrayLike = 1,
    planes_per_cable: ArrayLike = 1,
) -> FatTreeCounts:
    """Count the switches and cables of fat trees.

    Parameters
    ----------
    end_ports : array_like of int
        Ports of nodes on all rails or planes: nodes x NICs x planes. >= 0, a multiple of `rails`; 0 needs no switch.
    radix : array_like of int
        Ports of a switch, >= 2.
    tiers : array_like of int, optional
        1, 2 or 3; by default the fewest that hold the end ports.
    oversubscription : array_like
        Of a leaf's ports, down : up is at most so much. >= 1.
    rails : array_like of int
        Separate trees that share the end ports evenly: rails or planes. >= 1.
    planes_per_cable : array_like of int
        Planes that one cable carries, a divisor of `rails`: 800 Gbit/s split into two planes of 400 take one cable. >= 1.

    Returns
    -------
    FatTreeCounts
        Of the broadcast shape.

    Raises
    ------
    ValueError
        If an argument breaks its rule.

    Examples
    --------
    A published cluster of 288 nodes with eight NICs on 144-port switches: 72 uplinks spread evenly only over 18 spines.

    >>> counts = fat_tree_counts(2304, 144)
    >>> counts.leaf, counts.spine, counts.cables_leaf_spine
    (np.float64(32.0), np.float64(18.0), np.float64(2304.0))

    Eight rails of 128 nodes each on 64-port switches; 4 : 1 needs fewer.

    >>> fat_tree_counts(1024, 64, rails=8, oversubscription=[1, 4]).switches
    array([48., 32.])
    """
    wanted = 0 if tiers is None else tiers
    E, k, rows, o, r, c = np.broadcast_arrays(
        whole("end_ports", end_ports, lowest=0),
        whole("radix", radix, lowest=2),
        whole("tiers", wanted, lowest=0 if tiers is None else 1),
        _at_least_one("oversubscription", oversubscription),
        whole("rails", rails),
        whole("planes_per_cable", planes_per_cable),
    )
    if np.any(rows > MOST_TIERS):
        raise ValueError(f"tiers must be 1, 2 or 3, got {rows.max():g}")
    for name, value, divisor, what in (("end_ports", E, r, "rails"), ("rails", r, c, "planes_per_cable")):
        odd = np.flatnonzero(np.mod(value, divisor))
        if len(odd):
            raise ValueError(f"{name} must be a multiple of {what}, {divisor.flat[odd[0]]:g}, got {value.flat[odd[0]]:g}")
    found = np.empty((7, *E.shape))
    for radix_, oversubscription_ in _pairs(k, o):
        chosen = (k == radix_) & (o == oversubscription_)
        found[:, chosen] = _of_one_tree(E[chosen] / r[chosen], rows[chosen], int(radix_), float(oversubscription_)) * np.where(
            np.arange(7)[:, None] == 0, 1.0, r[chosen]
        )
    found[4:] /= c
    return FatTreeCounts(**dict(zip(FatTreeCounts.__dataclass_fields__, (part[()] for part in found), strict=True)))


def simulated_switches(
    end_ports: int, radix: int, *, tiers: int | None = None, oversubscription: float = 1.0, rails: int = 1
) -> tuple[int, int, int]:
    """Return leaves, spines and cores of the trees that the network model simulates, all rails together.

    Of one and two tiers they are those that are bought. Of three tiers there may be more, in all never fewer: every
    pair of switches is joined by equally many cables, which cannot use every port.

    Parameters
    ----------
    end_ports, radix, tiers, oversubscription, rails
        As of `fat_tree_counts`, of one design whose end ports fit.

    Examples
    --------
    Bought are 65 leaves, 65 spines and 33 cores.

    >>> simulated_switches(2080, 64)
    (65, 96, 64)
    """
    shape = fat_tree_shape(end_ports // rails, radix, oversubscription=oversubscription, tiers=tiers)
    leaf, spine, core = (*shape.switches, 0, 0)[:MOST_TIERS]
    return leaf * rails, spine * rails, core * rails


def _pairs(k: FloatArray, o: FloatArray) -> list[tuple[float, float]]:
    """Return the distinct (radix, oversubscription): few, however many designs there are."""
    if not k.size:
        return []
    return [(a, b) for a in np.unique(k) for b in np.unique(o[k == a])]


def _of_one_tree(E: FloatArray, rows: FloatArray, radix: int, oversubscription: float) -> FloatArray:
    """Return tiers, leaves, spines, cores and the cables of three stages of single trees with E end ports."""
    down, up = leaf_ports(radix, oversubscription)
    half = radix // 2
    leaves = np.ceil(E / down)
    most = np.array([0.0, radix, down * radix, down * half * radix])
    fewest = np.searchsorted(most, E).astype(np.float64)  # 4: does not fit
    tier = np.where(rows == 0, fewest, np.where(E == 0, 0.0, np.maximum(rows, fewest)))
    tier[(fewest > MOST_TIERS) | ((rows > 0) & (fewest > rows))] = np.nan
    one, two, three = tier == 1, tier == 2, tier == 3
    leaf = np.where(one, 1.0, np.where(two | three, leaves, tier))  # 0 or NaN where there is none
    spine, core, leaf_spine, spine_core = (np.where(np.isnan(tier), np.nan, 0.0) for _ in range(4))
    parents, trunks, holds = _even_spines(radix, down, up)
    at = np.searchsorted(holds, leaves[two])
    spine[two] = parents[at]
    leaf_spine[two] = leaves[two] * parents[at] * trunks[at]
    spine[three] = np.ceil(leaves[three] * up / half)
    leaf_spine[three] = leaves[three] * up
    core[three] = np.ceil(spine[three] * half / radix)
    spine_core[three] = spine[three] * half
    node_leaf = np.where(np.isnan(tier), np.nan, E)
    return np.stack([tier, leaf, spine, core, node_leaf, leaf_spine, spine_core])


def _even_spines(radix: int, down: int, up: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return numbers of spines over which a leaf's uplinks spread evenly, cables to each, and the most leaves they hold."""
    parents = np.arange(1, up + 1)
    trunks = -(-up // parents)
    even = parents * trunks <= radix - down
    parents, trunks = parents[even], trunks[even]
    return parents.astype(np.float64), trunks.astype(np.float64), (radix // trunks).astype(np.float64)


def _at_least_one(name: str, value: ArrayLike) -> FloatArray:
    checked = positive(name, value)
    if np.any(checked < 1.0):
        raise ValueError(f"{name} must be >= 1, got {np.min(checked):g}")
    return checked
