"""A scenario file with its profiles laid in and its option laid over: one table, checked as a whole, with provenance."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simulator.errors import Fault, ScenarioError
from simulator.loading import (
    Provenance,
    Table,
    merge,
    read_toml,
    split_provenance,
    structure,
    values_of,
)
from simulator.messages import did_you_mean, join, shown
from simulator.profiles import Accelerator, Node, find, is_file, is_path, shipped_folder
from simulator.scenarios.inheritance import (
    faults_of_choices,
    faults_of_network_names,
    hardware_of,
    profile_folders_of,
    with_workload_profiles,
)
from simulator.scenarios.rules import broken_rules
from simulator.scenarios.sections import ScenarioFile

__all__ = ["Scenario", "checked", "load_options", "load_scenario"]

MOST_FAULTS = 50
PATH_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario file as resolved: checked sections, and the table and provenance behind them.

    Parameters
    ----------
    name : str
        The file as the user named it.
    folder : Path
        Where it stands; paths inside it are relative to this.
    tree : dict
        The plain table that was checked: profiles laid in, option laid over.
    sections : ScenarioFile
        The checked sections.
    records : mapping of str to Provenance
        Source and range of each value of `tree`, by dotted key.
    own_keys : frozenset of str
        Dotted keys that the scenario file itself gives (not a profile).
    profile_folders : tuple of Path
        Folders of the file's own profiles.
    node, accelerator : optional
        Profiles of the cluster, where there is one, with `hardware_records`.
    option : str, optional
        Name of the option that was laid over.
    written, written_records
        `tree` and `records` before the profiles were laid in: the file, with the option and the flags.
    moved : mapping of (str, str, str) to float
        Figures of hardware profiles that stand instead of the profiles', by kind, id and key.
    """

    name: str
    folder: Path
    tree: Table
    sections: ScenarioFile
    records: Mapping[str, Provenance]
    own_keys: frozenset[str]
    node: Node | None = None
    accelerator: Accelerator | None = None
    hardware_records: Mapping[str, Provenance]
    option: str | None = None
    profile_folders: tuple[Path, ...] = ()
    written: Table = field(default_factory=dict)
    written_records: Mapping[str, Provenance] = field(default_factory=dict)
    moved: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

    def resolved(self) -> dict[str, Any]:
        """Return what the answer was computed from: the scenario with its profiles laid in, and the hardware."""
        hardware = {
            kind: dataclasses.asdict(profile)
            for kind, profile in (("node", self.node), ("accelerator", self.accelerator))
            if profile is not None
        }
        return {"scenario": {"sections": self.tree, "hardware": hardware}}

    def with_value(self, path: str, value: Any) -> Scenario:
        """Return the scenario with the value at a dotted key replaced; ScenarioError where it breaks a rule."""
        tree = _with_value(self.tree, path, value)
        sections = structure(tree, ScenarioFile, file=self.name)
        changed = replace(self, tree=tree, sections=sections)
        faults = broken_rules(changed)
        if faults:
            raise ScenarioError(faults)
        return changed

    def with_figure(self, kind: str, name: str, key: str, value: float) -> Scenario:
        """Return the scenario with another figure in a hardware profile; ValueError where the profile refuses it."""
        node = self.node
        if kind == "nodes" and node is not None and node.name == name:
            node = replace(node, **{key: value})  # type: ignore[arg-type]
        return replace(self, node=node, moved={**self.moved, (kind, name, key): value})

    def laid_over(self, values: Mapping[str, Any]) -> Scenario:
        """Return the scenario with values laid over it by dotted key, as an option is; ScenarioError with every fault.

        Names of profiles may change too; a table is merged into the one that is there.
        """
        tree = {name: value for name, value in self.written.items() if name not in ("option", "sweep")}
        for path, value in values.items():
            tree = _with_value(tree, path, value)
        scenario = checked(self.name, self.folder, tree, dict(self.written_records), self.own_keys)
        return replace(scenario, option=self.option)


def load_scenario(name: str, *, option: str | None = None, overrides: Table | None = None) -> Scenario:
    """Load a scenario, with every profile it names, and check all of it.

    Parameters
    ----------
    name : str
        A file, or the id of a shipped scenario.
    option : str, optional
        Name of an [[option]] whose tables are laid over the scenario.
    overrides : dict, optional
        Further tables laid over it, as from flags of the command line.

    Returns
    -------
    Scenario
        As resolved.

    Raises
    ------
    ScenarioError
        With every fault: file, key, rule, value, nearest known key.
    """
    read = _Read.of(name, overrides)
    tree, records, faults = read.tree, read.records, list(read.faults)
    if option is not None and isinstance(tree.get("option", []), list):
        try:
            tree, records = _lay_option(tree, records, option, read.file)
        except ScenarioError as error:
            faults += error.faults
        else:
            if not faults:
                one = checked(read.file, read.folder, tree, records, read.own_keys)
                return replace(one, option=option, written=tree, written_records=records)
    if faults or read.scenario is None:
        raise _gathered(faults)
    return replace(read.scenario, written=read.tree, written_records=read.records)


def load_options(name: str, *, overrides: Table | None = None) -> tuple[Scenario, ...]:
    """Load a scenario once with each of its [[option]]s laid over it, in the order of the file; none where it has none.

    Parameters
    ----------
    name, overrides
        As in `load_scenario`.

    Raises
    ------
    ScenarioError
        With every fault.
    """
    read = _Read.of(name, overrides)
    if read.faults or read.scenario is None:
        raise _gathered(list(read.faults))
    found = []
    for option in (str(item["name"]) for item in read.tree.get("option", [])):
        tree, records = _lay_option(read.tree, read.records, option, read.file)
        one = checked(read.file, read.folder, tree, records, read.own_keys)
        found.append(replace(one, option=option, written=tree, written_records=records))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file as read: the table before any profile or option, every fault of it, and the scenario without an option."""

    file: str
    folder: Path
    tree: Table
    records: dict[str, Provenance]
    own_keys: frozenset[str]
    faults: tuple[Fault, ...]
    scenario: Scenario | None

    @classmethod
    def of(cls, name: str, overrides: Table | None) -> _Read:
        try:
            path = Path(name) if is_path(name) or is_file(Path(name)) else find("scenarios", name)
        except ValueError as error:
            raise ScenarioError([Fault(name, "", str(error))]) from None
        file = f"scenarios/{path.name}" if path.parent == shipped_folder("scenarios") else str(path)
        tree, records, faults = split_provenance(read_toml(path, file), file)
        if overrides:
            flags, flag_records, flag_faults = split_provenance(overrides, "flags")
            tree, records, faults = merge(tree, flags), {**records, **flag_records}, faults + flag_faults
        own_keys = frozenset(key for key in records if not key.startswith("option[") and records[key].file == file)
        scenario: Scenario | None = None
        try:
            scenario = checked(file, path.parent, tree, records, own_keys)
        except ScenarioError as error:
            faults += error.faults
        faults += _option_faults(file, path.parent, tree, records, known=faults)
        faults += _sweep_faults(file, path.parent, tree, records, known=faults)
        return cls(
            file=file,
            folder=path.parent,
            tree=tree,
            records=records,
            own_keys=own_keys,
            faults=tuple(faults),
            scenario=scenario,
        )


def _gathered(faults: list[Fault]) -> ScenarioError:
    unique = list(dict.fromkeys(faults))
    if len(unique) > MOST_FAULTS:
        more = len(unique) - MOST_FAULTS
        unique = [*unique[:MOST_FAULTS], Fault(unique[0].file, "", f"and {more} more faults")]
    return ScenarioError(unique)


def checked(
    file: str, folder: Path, tree: Table, records: dict[str, Provenance], own_keys: frozenset[str], *, rules: bool = True
) -> Scenario:
    """Lay the profiles in, structure, and apply the rules between keys; ScenarioError with every fault."""
    folders, faults = profile_folders_of(tree, folder, file)
    tree, records, more = with_workload_profiles(tree, records, folder, folders, file)
    faults += more
    sections: ScenarioFile | None = None
    try:
        sections = structure(tree, ScenarioFile, file=file)
    except ScenarioError as error:
        faults += [Fault(_file_of(fault.key, records, file), fault.key, fault.rule) for fault in error.faults]
    node, accelerator, hardware_records, more = hardware_of(tree, folder, folders, file)
    faults += more + faults_of_network_names(tree, folder, folders, file) + faults_of_choices(tree, folder, folders, file)
    if sections is None:
        raise ScenarioError(faults)
    scenario = Scenario(
        name=file,
        folder=folder,
        tree=tree,
        sections=sections,
        records={key: records[key] for key, _ in values_of(tree) if key in records},  # not of what was laid over
        own_keys=own_keys,
        node=node,
        accelerator=accelerator,
        hardware_records=hardware_records,
        profile_folders=tuple(folders),
    )
    faults += broken_rules(scenario) if rules else []
    if faults:
        raise ScenarioError(faults)
    return scenario


def _file_of(key: str, records: Mapping[str, Provenance], default: str) -> str:
    """Return the file that gives the value at `key`."""
    return records[key].file if key in records else default


def _lay_option(tree: Table, records: dict[str, Provenance], option: str, file: str) -> tuple[Table, dict[str, Provenance]]:
    """Lay the tables of the named option over the scenario."""
    listed = [item for item in tree.get("option", []) if isinstance(item, dict)]
    found = [i for i, item in enumerate(listed) if item.get("name") == option]
    if not found:
        known = [str(item.get("name")) for item in listed]
        hint = did_you_mean(option, known) if known else "; the file has none"
        raise ScenarioError([Fault(file, "option", f"must have one named {option!r}{hint}")])
    over = {key: value for key, value in listed[found[0]].items() if key != "name"}
    prefix = f"option[{found[0]}]."
    merged = merge(tree, over)
    kept = dict(records)
    for key, record in records.items():
        if key.startswith(prefix):
            kept[key.removeprefix(prefix)] = record
    return merged, kept


def _option_faults(file: str, folder: Path, tree: Table, records: dict[str, Provenance], known: list[Fault]) -> list[Fault]:
    """Check every option as part of the scenario that it is laid over; faults of the scenario itself are `known`."""
    options = tree.get("option", [])
    faults: list[Fault] = []
    seen: list[str] = []
    already = {(fault.key, fault.rule) for fault in known}
    for i, item in enumerate(options if isinstance(options, list) else []):
        if not isinstance(item, dict):
            continue  # found when the file is structured
        name, where = item.get("name"), f"option[{i}]"
        if name is None:
            faults.append(Fault(file, f"{where}.name", "is missing"))
        elif not isinstance(name, str) or not name.strip():
            faults.append(Fault(file, f"{where}.name", f"must be a text, got {shown(name)}"))
        elif name in seen:
            faults.append(Fault(file, f"{where}.name", f"must be unique, got {shown(name)} again"))
        else:
            seen.append(name)
        over = {key: value for key, value in item.items() if key != "name"}
        if not over:
            continue
        laid = merge({key: value for key, value in tree.items() if key != "option"}, over)
        try:
            checked(file, folder, laid, records, frozenset())
        except ScenarioError as error:
            new = [fault for fault in error.faults if (fault.key, fault.rule) not in already]
            faults += [
                Fault(fault.file, join(where, fault.key) if fault.file == file else fault.key, fault.rule) for fault in new
            ]
    return faults


def _sweep_faults(file: str, folder: Path, tree: Table, records: dict[str, Provenance], known: list[Fault]) -> list[Fault]:
    """Check every value of [sweep] in its place, one at a time; what holds between keys, their combinations have to show."""
    sweep = tree.get("sweep")
    faults: list[Fault] = []
    already = {(fault.key, fault.rule) for fault in known}
    for key, values in values_of(sweep, into_lists=False) if isinstance(sweep, dict) else ():
        if any(fault.key == f"sweep.{key}" for fault in known) or not isinstance(values, list):
            continue
        base = {name: value for name, value in tree.items() if name not in ("option", "sweep")}
        for value in values:
            try:
                checked(file, folder, _with_value(base, key, value), records, frozenset(), rules=False)
            except ScenarioError as error:
                new = [fault for fault in error.faults if (fault.key, fault.rule) not in already]
                faults += [Fault(file, f"sweep.{key}", fault.rule) for fault in new]
            except IndexError:
                faults.append(Fault(file, f"sweep.{key}", "leads nowhere in this file"))
    return faults


def _with_value(tree: Any, path: str, value: Any) -> Any:
    """Return a copy of a nested table with the value at a dotted key replaced; a table is merged into the one there."""
    parts: list[Any] = [name or int(index) for name, index in PATH_PART.findall(path)]

    def changed(item: Any, at: int) -> Any:
        inside: Any = item
        if at == len(parts):
            return merge(item, value) if isinstance(item, dict) and isinstance(value, dict) else value
        part = parts[at]
        if not isinstance(item, list if isinstance(part, int) else dict) or (isinstance(part, int) and part >= len(item)):
            raise IndexError(path)
        if isinstance(part, int):
            return [changed(inner, at + 1) if i == part else inner for i, inner in enumerate(inside)]
        return {**inside, part: changed(inside.get(part, {}), at + 1)}

    return changed(tree, 0)
