"""What a scenario takes from profiles: workloads that it uses and overrides, the hardware of its cluster and network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.errors import Fault, ScenarioError
from simulator.loading import Provenance, Table, merge, read_toml, split_provenance, structure
from simulator.messages import TableFaults, join, shown
from simulator.profiles import Accelerator, Node, find, is_file, load_profile, shipped_folder
from simulator.scenarios.workload_section import WorkloadSection, in_papers_letters

__all__ = [
    "faults_of_choices",
    "faults_of_network_names",
    "hardware_of",
    "load_workload",
    "profile_folders_of",
    "with_workload_profiles",
]


def profile_folders_of(tree: Table, folder: Path, file: str) -> tuple[list[Path], list[Fault]]:
    """Return the folders of further profiles that the scenario names."""
    folders, faults = [], []
    listed = tree.get("profiles", [])
    for i, name in enumerate(listed if isinstance(listed, list) else []):
        if isinstance(name, str):
            try:
                present = (folder / name).is_dir()
            except (OSError, ValueError):
                present = False
            if present:
                folders.append(folder / name)
            else:
                faults.append(Fault(file, f"profiles[{i}]", f"must be a folder beside the file, got {shown(name)}"))
    return folders, faults


def with_workload_profiles(
    tree: Table, records: dict[str, Provenance], folder: Path, folders: list[Path], file: str
) -> tuple[Table, dict[str, Provenance], list[Fault]]:
    """Lay each [[workload]] over the profile that it uses. Jobs of a trace may be without laws: it needs none."""
    allocate = tree.get("allocate")
    if "workload" not in tree and isinstance(allocate, dict) and isinstance(allocate.get("trace"), dict):
        return {**tree, "workload": []}, records, []
    listed = tree.get("workload")
    if not isinstance(listed, list):
        return tree, records, []
    laid, faults, records = [], [], dict(records)
    for i, own in enumerate(listed):
        use = own.get("use") if isinstance(own, dict) else None
        if not isinstance(use, str):
            laid.append(own)
            continue
        prefix = f"workload[{i}]"
        try:
            profile, profile_records = load_workload(use, folder, folders)
        except ValueError as error:
            faults.append(Fault(file, f"{prefix}.use", str(error)))
            laid.append(merge(_stand_in(i), own))
            continue
        except ScenarioError as error:
            faults += error.faults
            laid.append(merge(_stand_in(i), own))
            continue
        for key, record in profile_records.items():
            records.setdefault(join(prefix, key), record)
        laid.append(_lay_workload(profile, own))
    return {**tree, "workload": laid}, records, faults


def _stand_in(i: int) -> Table:
    """Return a workload in place of one whose profile is faulty, so that the rest of the file can be checked."""
    law = {"kind": "inverse", "n_inf_updates": 1.0, "alpha_samples": 1.0}
    return {"name": f"workload[{i}]", "convergence": law, "compute": {}}


def load_workload(name: str, folder: Path, folders: list[Path]) -> tuple[Table, dict[str, Provenance]]:
    """Load and check a workload profile; return its plain table and provenance.

    Raises
    ------
    ValueError
        If there is no such workload.
    ScenarioError
        With every fault of its file.
    """
    path = find("workloads", name, beside=folder, profile_folders=folders)
    shipped = shipped_folder("scenarios") / "workloads"
    file = f"scenarios/workloads/{path.name}" if path.parent == shipped else str(path)
    plain, records, faults = split_provenance(read_toml(path, file), file)
    try:
        structure(plain, WorkloadSection, file=file)
    except ScenarioError as error:
        raise ScenarioError([*faults, *error.faults]) from None
    if faults:
        raise ScenarioError(faults)
    return plain, records


def _lay_workload(profile: Table, own: Table) -> Table:
    base, over = profile.get("convergence"), own.get("convergence")
    if isinstance(base, dict) and isinstance(over, dict):
        try:
            base = in_papers_letters(base)
        except TableFaults:
            return merge(profile, own)
        base, over = dict(base), dict(over)
        if set(over) - {"fit", "source", "date", "verified", "notes", "kind"}:
            base.pop("fit", None)  # what the profile's fit knows belongs to the profile's law
        if "alpha_samples" not in over and "n_inf_updates" not in over:
            for theirs, ours in (("s_min_updates", "n_inf_updates"), ("e_min_samples", "alpha_samples")):
                if theirs in over:
                    over[ours] = over.pop(theirs)
        if "critical_batch_samples" in over and over.get("kind", base.get("kind")) == base.get("kind"):
            base.pop("alpha_samples", None)
        return merge({**profile, "convergence": base}, {**own, "convergence": over})
    return merge(profile, own)


def hardware_of(
    tree: Table, folder: Path, folders: list[Path], file: str
) -> tuple[Node | None, Accelerator | None, dict[str, Provenance], list[Fault]]:
    """Load the profiles that [cluster] names."""
    cluster = tree.get("cluster")
    if not isinstance(cluster, dict):
        return None, None, {}, []
    node: Node | None = None
    accelerator: Accelerator | None = None
    records: dict[str, Provenance] = {}
    faults: list[Fault] = []

    def load(kind: str, name: str, where: Fault) -> Any:
        """Load a profile, or add to the faults at `where` it is named."""
        try:
            profile, provenance = load_profile(kind, name, beside=folder, profile_folders=folders)
        except ValueError as error:
            faults.append(replace(where, rule=str(error)))
        except ScenarioError as error:
            faults.extend(error.faults)
        else:
            singular = "node" if kind == "nodes" else "accelerator"
            records.update({join(singular, key): record for key, record in provenance.items()})
            return profile
        return None

    if isinstance(cluster.get("node"), str):
        node = load("nodes", cluster["node"], Fault(file, "cluster.node", ""))
    if isinstance(cluster.get("accelerator"), str):
        accelerator = load("accelerators", cluster["accelerator"], Fault(file, "cluster.accelerator", ""))
    elif node is not None:
        accelerator = load("accelerators", node.accelerator, Fault(records["node.accelerator"].file, "accelerator", ""))
    return node, accelerator, records, faults


def faults_of_network_names(tree: Table, folder: Path, folders: list[Path], file: str) -> list[Fault]:
    """Check that the profiles and the file that [network] names exist."""
    network = tree.get("network")
    if not isinstance(network, dict):
        return []
    faults = []
    for key in ("host_link", "upper_link", "inner_link", "switch"):
        name = network.get(key)
        if isinstance(name, str):
            try:
                kind = "switches" if key == "switch" else "networks"
                find(kind, name, beside=folder, profile_folders=folders)
            except ValueError as error:
                faults.append(Fault(file, f"network.{key}", str(error)))
    name = network.get("file")
    if isinstance(name, str) and not is_file(folder / name):
        faults.append(Fault(file, "network.file", f"must name a file beside the scenario, got {shown(name)}"))
    return faults


def faults_of_choices(tree: Table, folder: Path, folders: list[Path], file: str) -> list[Fault]:
    """Check that the profiles that [design.choose] and [design.continuous] name exist."""
    design = tree.get("design")
    choose, continuous = (design.get(key) if isinstance(design, dict) else None for key in ("choose", "continuous"))
    faults = []
    accelerator = continuous.get("accelerator") if isinstance(continuous, dict) else None
    if isinstance(accelerator, str):
        try:
            find("accelerators", accelerator, beside=folder, profile_folders=folders)
        except ValueError as error:
            faults.append(Fault(file, "design.continuous.accelerator", str(error)))
    if not isinstance(choose, dict):
        return faults
    for key, kind in (("node", "nodes"), ("network", "networks"), ("switch", "switches")):
        listed = choose.get(key)
        for i, name in enumerate(listed if isinstance(listed, list) else []):
            if isinstance(name, str):
                try:
                    find(kind, name, beside=folder, profile_folders=folders)
                except ValueError as error:
                    faults.append(Fault(file, f"design.choose.{key}[{i}]", str(error)))
    return faults
