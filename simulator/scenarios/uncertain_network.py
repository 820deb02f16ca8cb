"""What is uncertain about Delta of a network: rates and latencies of links with a range; what is taken as certain."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.errors import CollectiveError, NoUncertaintyWarning, ScenarioError, SimulatorError
from simulator.loading import Provenance
from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.profiles import load_profile
from simulator.scenarios.cases import Case
from simulator.scenarios.cluster_sections import FabricReduce, LinkKeys
from simulator.scenarios.fabrics import fabric_law
from simulator.scenarios.resolve import Scenario

__all__ = ["DeltaRange", "certain_link", "delta_ranges", "is_of_delta", "warn_about_certain_network"]

SHARE = "network.achieved_share"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaRange:
    """A quantity that Delta of a network depends on.

    Parameters
    ----------
    name : str
        What it is called; two clusters with the same share it.
    key : str
        Dotted key of the file, or of the profile, that gives its range.
    value_s, low_s, high_s : float
        Delta as it is taken, and with the quantity at the low and at the high end of its 90 % range. Seconds.
    """

    name: str
    key: str
    value_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figure:
    """A figure of a hardware profile with a range."""

    kind: str
    profile: str
    key: str
    record: Provenance
    inner: bool
    of: str

    @property
    def name(self) -> str:
        words = self.key.removesuffix("_bytes_per_s").removesuffix("_s").replace("_", " ")
        return f"{words.replace('nic ', 'NIC ')} of {self.of}"


def is_of_delta(path: str, case: Case) -> bool:
    """Whether a key of the file enters Delta of a network, and nothing else of T_C."""
    return path.startswith("network.") or path == f"workload[{case.workload_index}].gradient_bytes"


def has_network(scenario: Scenario) -> bool:
    """Whether Delta comes from [network]."""
    sections = scenario.sections
    law: Any = sections.reduce.law if sections.reduce is not None else None
    return sections.network is not None and (law is None or isinstance(law, FabricReduce))


def delta_ranges(scenario: Scenario, case: Case, learners: float) -> tuple[DeltaRange, ...]:
    """Return what Delta of P learners on the scenario's network depends on and has a range; empty for Delta by law.

    A quantity moves Delta as it moves the closed form of the collective that is taken; where there is none, the network is
    simulated at both ends of the range. An end that breaks a rule leaves Delta as it is.

    Parameters
    ----------
    scenario, case : Scenario, Case
        The case may have another law of Delta than the scenario's network, such as a constant: its Delta is what moves.
    learners : float
        P, whole.
    """
    if not has_network(scenario) or learners < 2:
        return ()
    value_s = float(case.model.reduce.reduce_time_s(learners))
    base, own = _law(scenario, case), case.model.reduce
    if isinstance(own, FabricDelta):
        base = replace(base, collective=own.time(int(learners)).collective)
    found = []
    for name, key, ends in _moved(scenario, case):
        times = [value_s if end is None else _at(base, end, case, learners, value_s) for end in ends]
        if min(times) < value_s * (1 - 1e-12) or max(times) > value_s * (1 + 1e-12):
            found.append(DeltaRange(name=name, key=key, value_s=value_s, low_s=times[0], high_s=times[1]))
    return tuple(found)


def _law(scenario: Scenario, case: Case) -> FabricDelta:
    return fabric_law(
        scenario, case.workload_index, case.learners_at_hand * case.accelerators_per_learner, case.accelerators_per_learner
    )


def _moved(scenario: Scenario, case: Case) -> Iterator[tuple[str, str, list[Scenario | None]]]:
    """Yield each quantity with a range: its name, its key, the scenario at both ends."""
    for path, record in scenario.records.items():
        if _has_range(record) and is_of_delta(path, case):
            yield _named(path, scenario, case), path, [_with(scenario, path, end) for end in (record.low, record.high)]
    for figure in _figures(scenario):
        ends = (figure.record.low, figure.record.high)
        yield (
            figure.name,
            f"{figure.profile}.{figure.key}",
            [None if end is None else scenario.with_figure(figure.kind, figure.profile, figure.key, end) for end in ends],
        )


def _has_range(record: Provenance) -> bool:
    return record.low is not None or record.high is not None


def _with(scenario: Scenario, path: str, end: float | None) -> Scenario | None:
    try:
        return None if end is None else scenario.with_value(path, end)
    except ScenarioError:
        return None


def _at(base: FabricDelta, moved: Scenario, case: Case, learners: float, value_s: float) -> float:
    """Delta on a moved network: as the closed form moves, else at flow level; as it is where it cannot be had."""
    try:
        law = replace(_law(moved, case), collective=base.collective)
        try:
            ratio = float(_closed(law, learners) / _closed(base, learners))
        except (CollectiveError, ValueError):
            ratio = float(law.reduce_time_s(learners) / base.reduce_time_s(learners))
    except (SimulatorError, ValueError):
        return value_s
    return value_s * ratio if np.isfinite(ratio) else value_s


def _closed(law: FabricDelta, learners: float) -> Any:
    return closed_delta(law, law.network.nodes, learners).time_s


def _figures(scenario: Scenario) -> Iterator[_Figure]:
    """Yield the figures of profiles behind the network that have a range."""
    section, node = scenario.sections.network, scenario.node
    assert section is not None
    asked: list[tuple[str, str, tuple[str, ...], bool]] = []
    inner = node is not None and node.accelerators > 1
    for key in ("host_link", "upper_link", "inner_link"):
        name = getattr(section, key)
        if isinstance(name, str) and (inner or key != "inner_link"):
            rate = "bandwidth_bytes_per_s" if section.achieved_share and key != "inner_link" else "usable_bandwidth_bytes_per_s"
            asked.append(("networks", name, (rate, "latency_s") if key != "upper_link" else (rate,), key == "inner_link"))
    if section.switch is not None:
        asked.append(("switches", section.switch, ("latency_s",), False))
    seen: set[tuple[str, str, str]] = set()
    for kind, name, keys, within in asked:
        profile, records = load_profile(kind, name, beside=scenario.folder, profile_folders=scenario.profile_folders)
        for one in keys:
            key = one.removeprefix("usable_") if getattr(profile, one) is None else one
            if key in records and _has_range(records[key]) and (kind, profile.name, key) not in seen:
                seen.add((kind, profile.name, key))
                yield _Figure(kind=kind, profile=profile.name, key=key, record=records[key], inner=within, of=profile.name)
    if node is None or section.topology == "graph":
        return
    own: tuple[str, ...] = ("nic_bandwidth_bytes_per_s",) if section.host_link is None else ()
    own += ("inner_bandwidth_bytes_per_s", "inner_latency_s") if section.inner_link is None and inner else ()
    for key in own:
        record = scenario.hardware_records.get(f"node.{key}")
        if record is not None and _has_range(record):
            inside = key.startswith("inner")  # the links of an accelerator are the same in the box of another vendor
            of = f"nodes with {node.accelerator}" if inside else node.name
            yield _Figure(kind="nodes", profile=node.name, key=key, record=record, inner=inside, of=of)


def _named(path: str, scenario: Scenario, case: Case) -> str:
    """Return the name of a quantity of the file: links of another kind have a share, and a rate, of their own."""
    if path == SHARE:
        return f"achieved share of {_outer(scenario)}"
    if path.endswith(".gradient_bytes"):
        return f"{case.workload}: gradient_bytes"
    if "_link." in path:
        section: Any = scenario.sections.network
        key, field = path.removeprefix("network.").split(".")
        return f"{path} = {getattr(getattr(section, key), field):g}"
    return path


def _outer(scenario: Scenario) -> str:
    """Name the links between nodes."""
    section = scenario.sections.network
    assert section is not None
    if isinstance(section.host_link, LinkKeys):
        return f"links of {section.host_link.bandwidth_bytes_per_s / 1e9:g} GB/s"
    if section.host_link is not None:
        return section.host_link.rsplit("/", 1)[-1].removesuffix(".toml")
    return f"the NICs of {scenario.node.name}" if scenario.node is not None else "the links of the graph"


def certain_link(scenario: Scenario, case: Case, learners: float) -> str | None:
    """Name the links whose rate Delta takes as certain, because nothing gives a range for it; None where there is no such.

    Inside a node where all learners are in one, else between nodes.
    """
    if not has_network(scenario) or learners < 2:
        return None
    node = scenario.node
    inside = node is not None and learners * case.accelerators_per_learner <= node.accelerators
    stated = [
        (path, path.startswith("network.inner_link"))
        for path, record in scenario.records.items()
        if path.startswith("network.") and _has_range(record)
    ]
    stated += [(figure.key, figure.inner) for figure in _figures(scenario)]
    if any(key.endswith(("achieved_share", "bandwidth_bytes_per_s")) and within == inside for key, within in stated):
        return None
    return f"inside {node.name}" if inside and node is not None else _outer(scenario)


def warn_about_certain_network(scenario: Scenario, case: Case, learners: float) -> None:
    """Warn where Delta comes from a network whose rate nothing gives a range for: no interval or chance covers it."""
    link = certain_link(scenario, case, learners)
    if link is None:
        return
    remedy = "a range for inner_link" if link.startswith("inside ") else "[network] achieved_share = { value, low, high }"
    warnings.warn(
        f"Delta is taken as certain, {link}: nothing says how far an all-reduce falls short of what these links carry; "
        f"{remedy} does",
        NoUncertaintyWarning,
        stacklevel=2,
    )
