"""Print the ranges of network rates in hardware_profiles that published all-reduces allow (see docs/validation.md); seconds.

python -m tests.oracles.derive_network_ranges
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.network.clusters import ClusterNetwork
from simulator.network.links import Link
from simulator.profiles import load_profile, shipped_folder

DATA = Path(__file__).resolve().parents[2] / "simulator" / "validation" / "data"
LEAST_BYTES = 2**27
"""Gradients of at least so many bytes: below it latency, which is another figure of the profiles, takes a part of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An all-reduce as published: on nodes of so many accelerators and NICs, in so many seconds."""

    source: str
    nodes: int
    size_bytes: float
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Whose profile the figures are, and the nodes they were measured on."""

    node: str
    nic_bandwidth_bytes_per_s: float
    nics: int


NETWORKS = {
    "roce100": ("A100-80GB", Cluster(node="dgx-a100-640", nic_bandwidth_bytes_per_s=12.5e9, nics=8)),
    "efa-v1": ("A100-40GB (AWS p4d)", Cluster(node="aws-p4d.24xlarge", nic_bandwidth_bytes_per_s=12.5e9, nics=4)),
    "efa-v4": (
        "4x p6-b200 (8x B200, EFA v4 8x400)",
        Cluster(node="aws-p6-b200.48xlarge", nic_bandwidth_bytes_per_s=50e9, nics=8),
    ),
}
"""Profile of a network: the system of the data, and its nodes. The A100-80GB of the data are eight to a node, on NVLink 3."""
INSIDE = {
    "8x A100 SXM (NVLink 3)": ("a100-sxm-40", "a100-sxm-80"),
    "8x H200 SXM (NVLink 4, NVLink SHARP allowed)": ("h100-sxm", "h200-sxm"),
    "1x p6-b200 (8x B200, EFA v4 8x400)": ("b200-sxm",),
}
"""System of the data, all eight of a node with a switch: accelerators whose nodes have the same links."""


def published() -> dict[str, list[Published]]:
    """Return the all-reduces of at least `LEAST_BYTES`, by system."""
    found: dict[str, list[Published]] = {}
    with (DATA / "allreduce.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["device"], []).append(
                Published(source=row["source"], nodes=int(row["n_nodes"]), size_bytes=float(row["size_bytes"]),
                          time_s=1e-6 * float(row["time_us"]))
            )  # fmt: skip
    with (DATA / "nccl_allreduce.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["collective"] == "all-reduce" and row["time_us"]:
                found.setdefault(row["system"], []).append(
                    Published(source=row["source"], nodes=int(row["nodes"]), size_bytes=float(row["payload_bytes"]),
                              time_s=1e-6 * float(row["time_us"]))
                )  # fmt: skip
    return {name: [one for one in rows if one.size_bytes >= LEAST_BYTES] for name, rows in found.items()}


def share_between_nodes(one: Published, cluster: Cluster) -> float:
    """Return the share of the NICs' rate at which this model's all-reduce takes as long as the published one; at most 1.

    Links alone: latencies are nothing. By bisection, as Delta falls with the share.
    """
    node = load_profile("nodes", cluster.node)[0]
    link = Link(bandwidth_bytes_per_s=cluster.nic_bandwidth_bytes_per_s)
    network = ClusterNetwork(
        kind="star",
        nodes=one.nodes,
        accelerators_per_node=node.accelerators,
        nics_per_node=cluster.nics,
        host_link=link,
        upper_link=link,
        inner_link=Link(bandwidth_bytes_per_s=node.inner_bandwidth_bytes_per_s),
    )

    def delta_s(share: float) -> float:
        slow = Link(bandwidth_bytes_per_s=share * link.bandwidth_bytes_per_s)
        law = FabricDelta(network=replace(network, host_link=slow, upper_link=slow), gradient_bytes=one.size_bytes)
        return float(closed_delta(law, one.nodes, one.nodes * node.accelerators).time_s)

    if delta_s(1.0) >= one.time_s:
        return 1.0
    low, high = 1e-3, 1.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if delta_s(middle) > one.time_s else (low, middle)
    return high


def rate_in_a_node(one: Published, accelerators: int = 8) -> float:
    """Return the rate of an accelerator's link, bytes/s, at which a ring takes as long as the published all-reduce."""
    return 2 * (accelerators - 1) / accelerators * one.size_bytes / one.time_s


def network_shares() -> dict[str, list[float]]:
    """Return the shares of every published all-reduce, by profile of a network."""
    rows = published()
    return {
        name: [share_between_nodes(one, cluster) for one in rows[system] if one.nodes > 1]
        for name, (system, cluster) in NETWORKS.items()
    }


def inner_rates() -> dict[str, list[float]]:
    """Return the rates inside a node of every published all-reduce, bytes/s, by accelerator."""
    rows = published()
    return {
        accelerator: [rate_in_a_node(one) for one in rows[system] if one.nodes == 1]
        for system, accelerators in INSIDE.items()
        for accelerator in accelerators
    }


def nodes_with_a_switch() -> Iterator[tuple[Path, str]]:
    """Yield profiles of eight-accelerator nodes whose links are those of `INSIDE`, and the accelerator."""
    rated = inner_rates()
    for path in sorted((shipped_folder("hardware_profiles") / "nodes").glob("*.toml")):
        node = load_profile("nodes", path.stem)[0]
        if node.accelerator in rated and node.accelerators == 8 and node.inner_bandwidth_bytes_per_s is not None:
            yield path, node.accelerator


def rounded(value: float) -> float:
    """Three digits are what the data are good for."""
    return float(f"{value:.3g}")


if __name__ == "__main__":
    for name, shares in network_shares().items():
        sys.stdout.write(f"{name}: shares {[round(share, 3) for share in sorted(shares)]}\n")
    for accelerator, rates in inner_rates().items():
        sys.stdout.write(f"{accelerator}: GB/s {[round(rate / 1e9, 1) for rate in sorted(rates)]}\n")
    sys.stdout.write(f"nodes: {', '.join(path.stem for path, _ in nodes_with_a_switch())}\n")
