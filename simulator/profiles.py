"""Hardware profiles: hardware_profiles/{accelerators,nodes,networks,switches}/ID.toml, found by name and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from simulator.errors import Fault, ScenarioError
from simulator.loading import Provenance, Table, read_toml, split_provenance, structure
from simulator.messages import did_you_mean, shown
from simulator.quantities import fraction, non_negative, positive, whole

__all__ = [
    "PROFILE_KINDS",
    "Accelerator",
    "Network",
    "Node",
    "Profile",
    "Switch",
    "find",
    "is_file",
    "load_profile",
    "names",
    "peak_flop_per_s",
    "shipped_folder",
]

PRECISIONS = ("bf16", "fp32")
"""The peak that an estimate from FLOPs takes where none is named: the first of these that the chip has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What every hardware profile says of itself.

    Parameters
    ----------
    name : str
        Its id: the name of its file.
    title : str, optional
        What people call it.
    source, date, verified, notes : optional
        Where its figures come from, as of when, whether somebody checked them, and what else to know.
    """

    name: str
    title: str | None = None
    schema: Literal[1] = 1
    source: str | None = None
    date: str | None = None
    verified: bool | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator(Profile):
    """A GPU or like chip: dense peaks, memory, power.

    Parameters
    ----------
    memory_bytes, memory_bandwidth_bytes_per_s : float
        Of the unit that `unit` names (gpu, board, module, chip). Bytes, bytes/s, > 0.
    fp32_flop_per_s, tf32_flop_per_s, bf16_flop_per_s, fp8_flop_per_s : float, optional
        Dense peaks; bf16 also stands for fp16. FLOP/s, > 0.
    achievable_bf16_flop_per_s : float, optional
        The fastest matrix product that somebody measured in bf16: what no training exceeds. FLOP/s, > 0, at most the peak.
    power_w : float, optional
        The vendor's limit. W, > 0.
    """

    memory_bytes: float
    vendor: str | None = None
    released: str | None = None
    unit: str = "gpu"
    fp32_flop_per_s: float | None = None
    tf32_flop_per_s: float | None = None
    bf16_flop_per_s: float | None = None
    fp8_flop_per_s: float | None = None
    achievable_bf16_flop_per_s: float | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    power_w: float | None = None

    def __post_init__(self) -> None:
        for name in ("memory_bytes", "memory_bandwidth_bytes_per_s", "power_w", *_PEAKS, "achievable_bf16_flop_per_s"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        _at_most(self, "achievable_bf16_flop_per_s", "bf16_flop_per_s")


_PEAKS = ("fp32_flop_per_s", "tf32_flop_per_s", "bf16_flop_per_s", "fp8_flop_per_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Profile):
    """A server: accelerators and NICs in one box.

    Parameters
    ----------
    accelerator, accelerators : str, int
        Id and number of its accelerators.
    nics, nic_bandwidth_bytes_per_s : optional
        NICs that serve the accelerators, and the line rate of one of them. Count, bytes/s.
    inner_bandwidth_bytes_per_s, inner_latency_s : float, optional
        What one accelerator sends to the others of the node, one direction, and how long it takes. Bytes/s, seconds.
    power_w : float, optional
        The most that the box draws. W, > 0.
    """

    accelerator: str
    accelerators: int
    nics: int | None = None
    nic_bandwidth_bytes_per_s: float | None = None
    inner_bandwidth_bytes_per_s: float | None = None
    inner_latency_s: float | None = None
    power_w: float | None = None

    def __post_init__(self) -> None:
        whole("accelerators", self.accelerators)
        if self.nics is not None:
            whole("nics", self.nics, lowest=0)
        for name in ("nic_bandwidth_bytes_per_s", "inner_bandwidth_bytes_per_s", "power_w"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.inner_latency_s is not None:
            non_negative("inner_latency_s", self.inner_latency_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Profile):
    """A generation of links: line rate of a port, what of it transfers get, latency.

    Parameters
    ----------
    bandwidth_bytes_per_s : float
        Line rate of a port, one direction; of nvlink and pcie all that one accelerator has of them. Bytes/s, > 0.
    usable_bandwidth_bytes_per_s : float, optional
        What of it transfers get. Bytes/s, > 0, at most the line rate.
    latency_s, latency_kind : optional
        Seconds, >= 0, and what they are the latency of: an adapter, or a whole path with its software.
    rdma : bool, optional
        Whether an adapter writes to the memory of another without its processor.
    in_network_reduction : str, optional
        What its switches can reduce with, such as "SHARP v3"; a switch profile says whether that one does.
    """

    bandwidth_bytes_per_s: float
    kind: Literal["ethernet", "roce", "infiniband", "omni_path", "slingshot", "efa", "nvlink", "pcie", "custom"] = "custom"
    usable_bandwidth_bytes_per_s: float | None = None
    latency_s: float | None = None
    latency_kind: str | None = None
    rdma: bool | None = None
    in_network_reduction: str | None = None

    def __post_init__(self) -> None:
        positive("bandwidth_bytes_per_s", self.bandwidth_bytes_per_s)
        if self.usable_bandwidth_bytes_per_s is not None:
            share = positive("usable_bandwidth_bytes_per_s", self.usable_bandwidth_bytes_per_s)
            fraction("usable_bandwidth_bytes_per_s / bandwidth_bytes_per_s", share / self.bandwidth_bytes_per_s)
        if self.latency_s is not None:
            non_negative("latency_s", self.latency_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Profile):
    """A switch: ports, rate and latency.

    Parameters
    ----------
    radix, port_bandwidth_bytes_per_s : int, float
        Ports, and the rate of one of them, one direction. Count >= 2, bytes/s.
    latency_s : float, optional
        From port to port. Seconds, >= 0.
    power_w, power_max_w : float, optional
        What the box draws typically, and at most. W, > 0, typical at most highest.
    in_network_reduction : str, optional
        What it reduces gradients with on their way, such as "SHARP v3".
    """

    radix: int
    port_bandwidth_bytes_per_s: float
    vendor: str | None = None
    fabric: str | None = None
    latency_s: float | None = None
    power_w: float | None = None
    power_max_w: float | None = None
    in_network_reduction: str | None = None

    def __post_init__(self) -> None:
        whole("radix", self.radix, lowest=2)
        positive("port_bandwidth_bytes_per_s", self.port_bandwidth_bytes_per_s)
        if self.latency_s is not None:
            non_negative("latency_s", self.latency_s)
        for name in ("power_w", "power_max_w"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        _at_most(self, "power_w", "power_max_w")


def _at_most(profile: Profile, lower: str, upper: str) -> None:
    low, high = getattr(profile, lower), getattr(profile, upper)
    if low is not None and high is not None and low > high:
        raise ValueError(f"{lower} must be at most {upper}, {high:g}, got {low:g}")


PROFILE_KINDS: Mapping[str, type[Any]] = {
    "accelerators": Accelerator,
    "nodes": Node,
    "networks": Network,
    "switches": Switch,
}
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@lru_cache(maxsize=2)
def shipped_folder(name: str) -> Path:
    """Return the folder `hardware_profiles` or `scenarios`, in the installed package or in the checkout."""
    here = Path(__file__).resolve().parent
    inside = here / "_shipped" / name
    return inside if inside.is_dir() else here.parent / name


def names(kind: str, profile_folders: Iterable[Path] = ()) -> list[str]:
    """Return the ids of a kind of profile (a folder name, or "workloads", or "scenarios")."""
    return sorted({path.stem for folder in _folders(kind, profile_folders) for path in folder.glob("*.toml") if path.is_file()})


def _folders(kind: str, profile_folders: Iterable[Path]) -> list[Path]:
    own = [folder / kind if (folder / kind).is_dir() else folder for folder in profile_folders]
    if kind == "scenarios":
        return [shipped_folder("scenarios")]
    if kind == "workloads":
        return [*own, shipped_folder("scenarios") / "workloads"]
    return [*own, shipped_folder("hardware_profiles") / kind]


def is_path(name: str) -> bool:
    """Whether a name in a file is a path: it contains a slash or ends in .toml or .csv."""
    return "/" in name or "\\" in name or name.endswith((".toml", ".csv"))


def is_file(path: Path) -> bool:
    """Whether a path leads to a file; what no system can name does not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def find(kind: str, name: str, *, beside: Path | None = None, profile_folders: Iterable[Path] = ()) -> Path:
    """Return the file of a profile, workload or scenario.

    Parameters
    ----------
    kind : str
        accelerators, nodes, networks, switches, workloads or scenarios.
    name : str
        A path (relative to the folder `beside`), or an id, searched in `profile_folders` and then among the shipped ones.

    Raises
    ------
    ValueError
        If there is none; with the nearest id.
    """
    if is_path(name):
        path = (beside or Path()) / name
        if not is_file(path):
            raise ValueError(f"must name a file, no such file: {shown(str(path))}")
        return path
    folders = _folders(kind, profile_folders)
    if SAFE_NAME.fullmatch(name):
        for folder in folders:
            path = folder / f"{name}.toml"
            if is_file(path):
                return path
    known = names(kind, profile_folders)
    raise ValueError(f"must be the id of one of the {kind}, got {shown(name)}{did_you_mean(name[:99], known)}")


def load_profile(
    kind: str, name: str, *, beside: Path | None = None, profile_folders: Iterable[Path] = ()
) -> tuple[Any, dict[str, Provenance]]:
    """Load a hardware profile and the provenance of its figures.

    Raises
    ------
    ValueError
        If there is no such profile.
    ScenarioError
        With every fault of its file.
    """
    path = find(kind, name, beside=beside, profile_folders=profile_folders)
    profile, records = _loaded(kind, path, path.stat().st_mtime_ns)
    return profile, dict(records)


@lru_cache(maxsize=512)
def _loaded(kind: str, path: Path, stamp: int) -> tuple[Any, dict[str, Provenance]]:
    """Load a profile once; one that was written anew is read anew."""
    del stamp
    shown_name = f"{kind}/{path.name}" if shipped_folder("hardware_profiles") in path.parents else str(path)
    tree: Table = read_toml(path, shown_name)
    plain, records, faults = split_provenance(tree, shown_name)
    try:
        profile = structure(plain, PROFILE_KINDS[kind], file=shown_name)
    except ScenarioError as error:
        raise ScenarioError([*faults, *error.faults]) from None
    if profile.name != path.stem:
        faults.append(Fault(shown_name, "name", f"must be the name of the file, {path.stem!r}, got {profile.name!r}"))
    if faults:
        raise ScenarioError(faults)
    return profile, records


def peak_flop_per_s(accelerator: Accelerator, precision: str | None) -> tuple[float, str]:
    """Return the dense peak of an accelerator and its precision: the named one, else bf16 where the chip has it, else fp32.

    Raises
    ------
    ValueError
        If the profile has no such peak.
    """
    for name in (precision,) if precision else PRECISIONS:
        peak = getattr(accelerator, f"{name}_flop_per_s")
        if peak is not None:
            return peak, name
    has = [peak.split("_")[0] for peak in _PEAKS if getattr(accelerator, peak) is not None]
    raise ValueError(
        f"precision must be one of {', '.join(has) or 'none'}, the peaks of {accelerator.name}, got {precision or PRECISIONS}"
    )
