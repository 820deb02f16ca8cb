"""TOML files read as data: tables, the provenance of their numbers, and how one table is laid over another."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import Fault, ScenarioError
from simulator.loading.units import quantity
from simulator.messages import did_you_mean, join, shown
from simulator.text_files import read_text

__all__ = ["Provenance", "Table", "merge", "read_toml", "split_provenance", "values_of"]

LARGEST_FILE_BYTES = 4_000_000
DEEPEST_NESTING = 32

Table = dict[str, Any]


def read_toml(path: Path, name: str | None = None) -> Table:
    """Read a TOML file.

    Parameters
    ----------
    path : Path
        The file.
    name : str, optional
        How messages call it; the path by default.

    Raises
    ------
    ScenarioError
        If it is missing, too large, not text or not TOML.
    """
    called = name or str(path)

    def refuse(rule: str) -> ScenarioError:
        return ScenarioError([Fault(called, "", rule)])

    text = read_text(path, called=called, most_bytes=LARGEST_FILE_BYTES)
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(f"is not TOML: {shown(str(error))[1:-1]}") from None
    _refuse_deep_nesting(tree, refuse)
    return tree


def _refuse_deep_nesting(tree: Table, refuse: Callable[[str], ScenarioError]) -> None:
    level: list[Any] = [tree]
    for _ in range(DEEPEST_NESTING):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise refuse(f"must nest tables at most {DEEPEST_NESTING} deep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a number comes from and how sure it is.

    Parameters
    ----------
    file : str
        The file that gives it.
    source, date : str or None
        As stated beside the number or for the whole file.
    verified : bool or None
        Whether somebody checked it; None: not stated.
    low, high : float or None
        Ends of its 90 % range, in the unit of the key.
    """

    file: str
    source: str | None = None
    date: str | None = None
    verified: bool | None = None
    low: float | None = None
    high: float | None = None


PROVENANCE_KEYS = ("value", "low", "high", "source", "date", "verified")


def split_provenance(tree: Table, file: str) -> tuple[Table, dict[str, Provenance], list[Fault]]:
    """Replace every `{ value, low, high, source, date, verified }` by its value.

    Returns
    -------
    (dict, dict of str to Provenance, list of Fault)
        The plain table; the provenance of every scalar and list in it, by dotted key; faults of the provenance itself.
    """
    records: dict[str, Provenance] = {}
    faults: list[Fault] = []

    def inherit(table: Table, outer: Provenance) -> Provenance:
        source, date, verified = (table.get(key) for key in ("source", "date", "verified"))
        return dataclasses.replace(
            outer,
            source=source if isinstance(source, str) else outer.source,
            date=str(date) if isinstance(date, str) else outer.date,
            verified=verified if isinstance(verified, bool) else outer.verified,
        )

    def check_words(table: Table, path: str) -> None:
        for name, kind in (("source", str), ("date", str), ("verified", bool)):
            if name in table and not isinstance(table[name], kind):
                words = {str: "a text", bool: "true or false"}[kind]
                faults.append(Fault(file, join(path, name), f"must be {words}, got {shown(table[name])}"))

    def number(key: str, path: str, table: Table, outer: Provenance) -> Any:
        for unknown in [name for name in table if name not in PROVENANCE_KEYS]:
            hint = did_you_mean(unknown, PROVENANCE_KEYS)
            faults.append(Fault(file, join(path, unknown), f"unknown key{hint}"))
        check_words(table, path)
        ends: dict[str, float] = {}
        for name in ("low", "value", "high"):
            if name in table:
                try:
                    ends[name] = quantity(key, table[name])
                except ValueError as error:
                    if name != "value":  # a wrong value is found when the number itself is structured
                        faults.append(Fault(file, join(path, name), str(error)))
        if list(ends.values()) != sorted(ends.values()):
            found = ", ".join(f"{name} = {end:g}" for name, end in ends.items())
            faults.append(Fault(file, path, f"must have low <= value <= high, got {found}"))
            ends = {}
        records[path] = dataclasses.replace(inherit(table, outer), low=ends.get("low"), high=ends.get("high"))
        return table["value"]

    def walk(key: str, path: str, item: Any, outer: Provenance) -> Any:
        if isinstance(item, dict):
            if "value" in item and path:
                return number(key, path, item, outer)
            if path.endswith("convergence") or ".compute." in f".{path}":
                check_words(item, path)  # these tables hold a law and its provenance side by side
            inner = inherit(item, outer)
            return {name: walk(name, join(path, name), value, inner) for name, value in item.items()}
        if isinstance(item, list) and any(isinstance(part, dict) for part in item):
            return [walk(key, join(path, f"[{i}]"), part, outer) for i, part in enumerate(item)]
        records[path] = outer
        return item

    plain = walk("", "", tree, Provenance(file=file))
    return plain, records, faults


def merge(base: Table, over: Table) -> Table:
    """Lay the table `over` over `base`: its keys win, tables are merged, one of another `kind` replaces the whole table."""
    if "kind" in base and "kind" in over and base["kind"] != over["kind"]:
        return dict(over)
    merged = dict(base)
    for key, value in over.items():
        mine = merged.get(key)
        merged[key] = merge(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged


def values_of(item: Any, path: str = "", *, into_lists: bool = True) -> Iterator[tuple[str, Any]]:
    """Every value of a nested table with its dotted key; a list of tables is entered unless it counts as one value."""
    if isinstance(item, dict):
        for key, value in item.items():
            yield from values_of(value, join(path, key), into_lists=into_lists)
    elif into_lists and isinstance(item, list) and any(isinstance(part, dict) for part in item):
        for i, part in enumerate(item):
            yield from values_of(part, join(path, f"[{i}]"))
    else:
        yield path, item
