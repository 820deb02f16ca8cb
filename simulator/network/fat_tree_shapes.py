"""The shape of a fat tree for a wanted number of hosts from switches with so many ports: tiers, switches, cables.

Leaves are filled one after another, as they are bought. Only leaves are oversubscribed; above them nothing is. Every switch has
as many cables to each of its parents as to any other, and the upper tiers have as few switches as that allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from simulator.errors import TopologyError
from simulator.quantities import positive, whole

__all__ = ["MOST_TIERS", "FatTreeShape", "fat_tree_shape", "leaf_ports"]

MOST_TIERS = 3
SLACK = 1e-9
"""Relative slack of the oversubscription, so that 1/3 + 2/3 of the ports are not lost to rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FatTreeShape:
    """What a fat tree is made of.

    Parameters
    ----------
    hosts, radix : int
        Hosts that it holds, ports of a switch.
    down, up, trunks : tuple of int
        Children of a switch, parents of a node and cables to each parent, from the hosts upwards; one entry for each tier.
    """

    hosts: int
    radix: int
    down: tuple[int, ...]
    up: tuple[int, ...]
    trunks: tuple[int, ...]

    @property
    def tiers(self) -> int:
        """Tiers of switches."""
        return len(self.down)

    @property
    def switches(self) -> tuple[int, ...]:
        """Switches of each tier: leaves, spines, cores."""
        return tuple(
            -(-self.hosts // math.prod(self.down[:tier])) * math.prod(self.up[:tier]) for tier in range(1, self.tiers + 1)
        )

    @property
    def cables(self) -> tuple[int, ...]:
        """Cables of each stage: hosts to leaves, leaves to spines, spines to cores."""
        below = (self.hosts, *self.switches)
        return tuple(below[stage] * self.up[stage] * self.trunks[stage] for stage in range(self.tiers))

    @property
    def oversubscription(self) -> float:
        """Ports down over ports up of a full leaf; 1 where there is nothing above it."""
        return 1.0 if self.tiers == 1 else self.down[0] / (self.up[1] * self.trunks[1])


def fat_tree_shape(hosts: int, radix: int, *, oversubscription: float = 1.0, tiers: int | None = None) -> FatTreeShape:
    """Return the fat tree with the fewest tiers that holds the hosts.

    Parameters
    ----------
    hosts : int
        Wanted hosts (NICs), >= 1.
    radix : int
        Ports of a switch, >= 2.
    oversubscription : float
        o: of a leaf's ports, down : up is at most o : 1 (and as near to it as whole ports allow). >= 1.
    tiers : int, optional
        1, 2 or 3; by default the fewest.

    Raises
    ------
    TopologyError
        If so many hosts do not fit.

    Examples
    --------
    1,024 hosts on 64 ports: 32 leaves with 32 hosts each, two cables to each of 16 spines.

    >>> shape = fat_tree_shape(1024, 64)
    >>> shape.switches, shape.cables, shape.trunks
    ((32, 16), (1024, 1024), (1, 2))

    At 3 : 1 a leaf has 48 ports down and 16 up, and 16 cables spread evenly over 8 spines:

    >>> fat_tree_shape(1024, 64, oversubscription=3).switches
    (22, 8)
    """
    whole("hosts", hosts)
    whole("radix", radix, lowest=2)
    if positive("oversubscription", oversubscription) < 1.0:
        raise ValueError(f"oversubscription must be >= 1, got {oversubscription:g}")
    if tiers is not None and (whole("tiers", tiers) > MOST_TIERS):
        raise ValueError(f"tiers must be 1, 2 or 3, got {tiers}")
    hosts, radix = int(hosts), int(radix)
    down, up = leaf_ports(radix, oversubscription)
    leaves, half = -(-hosts // down), radix // 2
    holds = (radix, down * radix, down * half * radix)
    fewest = next((tier for tier, most in enumerate(holds, start=1) if hosts <= most), None)
    if fewest is None or (tiers is not None and tiers < fewest):
        most = holds[-1 if tiers is None else tiers - 1]
        rule = f"hosts must be at most {most}, what {'three' if tiers is None else tiers} tier(s) of {radix}-port switches hold"
        raise TopologyError(f"{rule} at {oversubscription:g} : 1, got {hosts}")
    tier = tiers or fewest
    if tier == 1:
        return FatTreeShape(hosts=hosts, radix=radix, down=(hosts,), up=(1,), trunks=(1,))
    if tier == 2:
        spines, trunk = _fewest_parents(up, leaves, radix - down, radix)
        return FatTreeShape(hosts=hosts, radix=radix, down=(down, leaves), up=(1, spines), trunks=(1, trunk))
    pods = -(-leaves // half)
    pod_leaves = -(-leaves // pods)  # even pods: one with few leaves would need as many spines as a full one
    pods = -(-leaves // pod_leaves)
    spines, trunk = _fewest_parents(up, pod_leaves, radix - down, half)
    spine_down = pod_leaves * trunk
    cores, core_trunk = _fewest_parents(spine_down, pods, radix - spine_down, radix)
    return FatTreeShape(
        hosts=hosts, radix=radix, down=(down, pod_leaves, pods), up=(1, spines, cores), trunks=(1, trunk, core_trunk)
    )


@lru_cache(maxsize=256)
def leaf_ports(radix: int, oversubscription: float) -> tuple[int, int]:
    """Return the ports of a leaf down and up: the most down with ceil(down / oversubscription) up within all ports."""
    down = max(d for d in range(1, radix) if d == 1 or d + _uplinks(d, oversubscription) <= radix)
    return down, _uplinks(down, oversubscription)


def _uplinks(down: int, oversubscription: float) -> int:
    return math.ceil(down / oversubscription * (1.0 - SLACK))


def _fewest_parents(wanted: int, children: int, free_ports: int, parent_ports: int) -> tuple[int, int]:
    """Return the fewest parents, and cables to each, that give a switch `wanted` cables up within all ports."""
    for parents in range(1, wanted + 1):
        trunk = -(-wanted // parents)
        if parents * trunk <= free_ports and trunk * children <= parent_ports:
            return parents, trunk
    raise AssertionError("one cable to each of `wanted` parents always fits")
