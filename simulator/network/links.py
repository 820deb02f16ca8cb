"""A link: its bandwidth and its latency, and how the latency follows from switches, cables and adapters.

A path of n links passes n - 1 switches and two adapters. The port-to-port latency of a switch is therefore split between the
two links that meet in it, and an adapter's figure between the two ends of the path, so that the sum over the links of a path is
right: a host link carries half a switch and half an adapter's figure, a link between two switches a whole switch.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.quantities import non_negative, positive

__all__ = ["CABLE_S_PER_M", "HOST_CABLE_M", "TIER_CABLE_M", "Link", "host_link", "tier_link"]

CABLE_S_PER_M = 5e-9
"""Seconds per metre of cable: light in glass takes 4.9 ns (refractive index 1.47), signals in copper 4 to 5 ns."""
HOST_CABLE_M = 2.0
"""Metres from a host to its switch, where nobody says: the switch stands in the same rack."""
TIER_CABLE_M = 20.0
"""Metres from switch to switch, where nobody says: a row of racks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What one direction of a cable does.

    Parameters
    ----------
    bandwidth_bytes_per_s : float
        Bytes per second, one direction, > 0.
    latency_s : float
        Seconds before the first byte arrives, >= 0.
    """

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0

    def __post_init__(self) -> None:
        positive("bandwidth_bytes_per_s", self.bandwidth_bytes_per_s)
        non_negative("latency_s", self.latency_s)


def host_link(
    bandwidth_bytes_per_s: float,
    *,
    switch_latency_s: float = 0.0,
    cable_m: float = HOST_CABLE_M,
    latency_s: float = 0.0,
    latency_kind: str = "adapter",
) -> Link:
    """Return the link between a host and its switch.

    Parameters
    ----------
    bandwidth_bytes_per_s : float
        What transfers get of it, > 0.
    switch_latency_s : float
        From port to port of the switch, >= 0.
    cable_m : float
        Metres, >= 0.
    latency_s : float
        What is known of the adapter or of a path, seconds, >= 0; 0 where nothing is.
    latency_kind : str
        What `latency_s` is the latency of, by its first words. "adapter": from host to host but for switches and cables.
        "MPI half round trip": a whole path through one switch, cables, adapters and software; each of the two host links is
        half of it, and nothing is added. With "back to back" in it: the same without a switch, so the switch's half is added.

    Examples
    --------
    Two such links are a path through one switch: 0.6 us of the adapters, 0.13 us of the switch, two cables of 10 ns.

    >>> link = host_link(24.4e9, switch_latency_s=130e-9, latency_s=0.6e-6, latency_kind="adapter, vendor's figure")
    >>> round(2 * link.latency_s * 1e9)
    750
    >>> link = host_link(24.4e9, switch_latency_s=130e-9, latency_s=1e-6, latency_kind="MPI half round trip")
    >>> round(2 * link.latency_s * 1e9)
    1000
    """
    non_negative("switch_latency_s", switch_latency_s)
    non_negative("cable_m", cable_m)
    non_negative("latency_s", latency_s)
    on_the_way_s = switch_latency_s / 2 + CABLE_S_PER_M * cable_m
    if latency_kind.startswith("adapter"):
        return Link(bandwidth_bytes_per_s=bandwidth_bytes_per_s, latency_s=latency_s / 2 + on_the_way_s)
    if not latency_kind.startswith("MPI half round trip"):
        raise ValueError(f"latency_kind must begin with 'adapter' or 'MPI half round trip', got {latency_kind!r}")
    extra_s = switch_latency_s / 2 if "back to back" in latency_kind else 0.0
    return Link(bandwidth_bytes_per_s=bandwidth_bytes_per_s, latency_s=latency_s / 2 + extra_s)


def tier_link(bandwidth_bytes_per_s: float, *, switch_latency_s: float = 0.0, cable_m: float = TIER_CABLE_M) -> Link:
    """Return the link between two switches: half of each and the cable.

    Parameters
    ----------
    bandwidth_bytes_per_s : float
        What transfers get of it, > 0.
    switch_latency_s : float
        From port to port; the mean of the two where they differ. Seconds, >= 0.
    cable_m : float
        Metres, >= 0.

    Examples
    --------
    >>> round(tier_link(50e9, switch_latency_s=150e-9).latency_s * 1e9)
    250
    """
    non_negative("switch_latency_s", switch_latency_s)
    non_negative("cable_m", cable_m)
    return Link(bandwidth_bytes_per_s=bandwidth_bytes_per_s, latency_s=switch_latency_s + CABLE_S_PER_M * cable_m)
