"""A user's own network: node-link JSON as networkx writes it, read as data, with every fault by the name of its edge.

    {"directed": false, "multigraph": false,
     "nodes": [{"id": "gpu a", "host": 0}, {"id": "gpu b", "host": 1}, {"id": "tor"}],
     "edges": [{"source": "gpu a", "target": "tor", "bandwidth_bytes_per_s": 25e9, "latency_s": 1e-6}, ...]}

An undirected edge is a cable, one link for each direction. `host` numbers the hosts from 0, or is true and they are numbered in
the order of the file. `edges` may be called `links`, as networkx did before 3.4. Attributes that mean nothing here are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import Fault, ScenarioError
from simulator.messages import TableFaults, shown
from simulator.network.routing import IntArray, ShortestPaths
from simulator.network.topologies import Topology
from simulator.network.trunked_trees import LinkNames
from simulator.quantities import non_negative, positive, whole
from simulator.text_files import read_text

__all__ = ["graph_topology", "read_graph"]

LARGEST_FILE_BYTES = 64_000_000
MOST_NAMED = 5
QUANTITIES = {"bandwidth_bytes_per_s": positive, "latency_s": non_negative}


def read_graph(path: Path, *, name: str | None = None, seed: int | None = None) -> Topology:
    """Read a network from a file.

    Parameters
    ----------
    path : Path
        Node-link JSON.
    name : str, optional
        How messages call the file; the path by default.
    seed : int, optional
        As for `graph_topology`.

    Raises
    ------
    ScenarioError
        With every fault of the file.
    """
    called = name or str(path)
    text = read_text(path, called=called, most_bytes=LARGEST_FILE_BYTES)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScenarioError([Fault(called, "", f"is not JSON: {shown(str(error))[1:-1]}")]) from None
    try:
        return graph_topology(data, name=path.stem, seed=seed)
    except TableFaults as error:
        raise ScenarioError([Fault(called, key, rule) for key, rule in error.faults]) from None


def graph_topology(data: Any, *, name: str = "graph", seed: int | None = None) -> Topology:
    """Build a network from node-link data; messages take the fewest links.

    Parameters
    ----------
    data : mapping
        What `networkx.node_link_data` returns and JSON keeps.
    name : str
        What to call it.
    seed : int, optional
        Picks among equally short ways by a hash of (source, destination, seed); by default the first in the order of the file.

    Raises
    ------
    TableFaults
        With every fault: (key, rule).

    Examples
    --------
    >>> cable = {"bandwidth_bytes_per_s": 1e9, "latency_s": 1e-6}
    >>> data = {
    ...     "nodes": [{"id": "a", "host": True}, {"id": "b", "host": True}, {"id": "tor"}],
    ...     "edges": [{"source": "a", "target": "tor", **cable}, {"source": "tor", "target": "b", **cable}],
    ... }
    >>> two = graph_topology(data)
    >>> [two.names[link] for link in two.route(1, 0)]
    ['b -> tor', 'tor -> a']
    """
    if not isinstance(data, Mapping):
        raise TableFaults([("", f"must be an object with nodes and edges, got {shown(data)}")])
    if seed is not None:
        whole("seed", seed, lowest=0)
    faults: list[tuple[str, str]] = []
    directed = _flag(data, "directed", False, faults)
    several = _flag(data, "multigraph", True, faults)
    nodes, hosts = _nodes(data, faults)
    ends, values = _edges(data, nodes, directed=directed, several=several, faults=faults)
    if faults:
        raise TableFaults(faults)
    order = [*hosts, *(node for node in nodes if node not in set(hosts))]
    number = {node: i for i, node in enumerate(order)}
    joined = np.array([[number[tail], number[head]] for tail, head in ends], dtype=np.int64).reshape(-1, 2)
    leaving: list[list[tuple[int, int]]] = [[] for _ in order]
    for link, (tail, head) in enumerate(joined.tolist()):
        leaving[tail].append((link, head))
    _refuse_unreachable(len(hosts), joined, len(order), [str(node) for node in order])
    table = np.array(values, dtype=np.float64).reshape(-1, 2)
    words = tuple(str(node) for node in order)
    return Topology(
        name=f"{name}, a graph of {len(hosts)} hosts, {len(order) - len(hosts)} switches and {len(joined)} links",
        hosts=len(hosts),
        bandwidth_bytes_per_s=table[:, 0].copy(),
        latency_s=table[:, 1].copy(),
        names=LinkNames(joined, words, _cable_numbers(joined)),
        ends=joined,
        nodes=words,
        routing=ShortestPaths(host_node=tuple(range(len(hosts))), leaving=tuple(map(tuple, leaving)), seed=seed),
    )


def _flag(data: Mapping[str, Any], key: str, default: bool, faults: list[tuple[str, str]]) -> bool:
    value = data.get(key, default)
    if not isinstance(value, bool):
        faults.append((key, f"must be true or false, got {shown(value)}"))
        return default
    return value


def _named(value: Any) -> Any:
    """Return what names a node, or None: text, a number, or a list of them (JSON's spelling of a tuple)."""
    if isinstance(value, list):
        parts = tuple(_named(part) for part in value)
        return None if not parts or None in parts else parts
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _rows(data: Mapping[str, Any], keys: tuple[str, ...], faults: list[tuple[str, str]]) -> list[tuple[str, Mapping[str, Any]]]:
    given = [key for key in keys if key in data]
    if len(given) != 1:
        faults.append((keys[0], f"must be given once{', or as ' + keys[1] if len(keys) > 1 else ''}, got {len(given)}"))
        return []
    if not isinstance(data[given[0]], list):
        faults.append((given[0], f"must be a list, got {shown(data[given[0]])}"))
        return []
    rows = []
    for at, row in enumerate(data[given[0]]):
        if isinstance(row, Mapping):
            rows.append((f"{given[0]}[{at}]", row))
        else:
            faults.append((f"{given[0]}[{at}]", f"must be an object, got {shown(row)}"))
    return rows


def _nodes(data: Mapping[str, Any], faults: list[tuple[str, str]]) -> tuple[dict[Any, str], list[Any]]:
    """Return the nodes in the order of the file, and those that are hosts in theirs."""
    before = len(faults)
    nodes: dict[Any, str] = {}
    numbered: dict[int, Any] = {}
    flagged: list[Any] = []
    for place, row in _rows(data, ("nodes",), faults):
        node = _named(row.get("id"))
        if node is None:
            faults.append((f"{place}.id", f"must be text or a number, got {shown(row.get('id'))}"))
            continue
        if node in nodes:
            faults.append((f"{place} ({node})", f"must be a node of its own, {nodes[node]} has the same id"))
            continue
        nodes[node] = place
        host = row.get("host")
        if isinstance(host, bool) or host is None:
            flagged += [node] if host else []
        elif not isinstance(host, int) or host < 0:
            faults.append((f"{place} ({node}).host", f"must be true, false or a number >= 0, got {shown(host)}"))
        elif host in numbered:
            faults.append((f"{place} ({node}).host", f"must be a number of its own, got {host} like node {numbered[host]}"))
        else:
            numbered[host] = node
    if numbered and flagged:
        faults.append(
            ("nodes", f"must number all hosts or none, got a number for {_first(numbered)} and true for {flagged[0]}")
        )
    missing = next((i for i in range(len(numbered)) if i not in numbered), None)
    if missing is not None and len(faults) == before:
        faults.append(("nodes", f"must number the hosts from 0 to {len(numbered) - 1}, nobody has {missing}"))
    if not numbered and not flagged and len(faults) == before:
        faults.append(("nodes", "must have a host at least: a number or true as host, got none"))
    return nodes, [numbered[i] for i in sorted(numbered)] if numbered else flagged


def _first(numbered: Mapping[int, Any]) -> Any:
    return next(iter(numbered.values()))


def _edges(
    data: Mapping[str, Any], nodes: Mapping[Any, str], *, directed: bool, several: bool, faults: list[tuple[str, str]]
) -> tuple[list[tuple[Any, Any]], list[tuple[float, float]]]:
    ends: list[tuple[Any, Any]] = []
    values: list[tuple[float, float]] = []
    seen: dict[Any, str] = {}
    for place, row in _rows(data, ("edges", "links"), faults):
        tail, head = _named(row.get("source")), _named(row.get("target"))
        edge = f"{place} ({_word(row.get('source'))} {'->' if directed else '--'} {_word(row.get('target'))})"
        strange = [
            (key, row.get(key)) for key, node in (("source", tail), ("target", head)) if node is None or node not in nodes
        ]
        faults += [(f"{edge}.{key}", f"must be the id of a node, got {shown(value)}") for key, value in strange]
        if not strange and tail == head:
            faults.append((edge, "must join two nodes, got a loop"))
        elif not strange and not several:
            pair = (tail, head) if directed else frozenset((tail, head))
            if pair in seen:
                faults.append((edge, f"must be given once, {seen[pair]} is the same; parallel cables need multigraph = true"))
            seen.setdefault(pair, place)
        found = tuple(_quantity(row, key, edge, faults) for key in QUANTITIES)
        faults += [
            (f"{edge}.{key}", "is no key of an edge; the keys are bandwidth_bytes_per_s and latency_s")
            for key in row
            if key not in QUANTITIES and str(key).startswith(("bandwidth", "latency"))
        ]
        for way in ((tail, head),) if directed else ((tail, head), (head, tail)):
            ends.append(way)
            values.append((found[0], found[1]))
    return ends, values


def _word(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 40 else shown(value)


def _quantity(row: Mapping[str, Any], key: str, edge: str, faults: list[tuple[str, str]]) -> float:
    """Return a number of an edge, 0 where it is wrong; only the latency may be left out, and is 0 then."""
    if key not in row:
        if key == "bandwidth_bytes_per_s":
            faults.append((f"{edge}.{key}", "must be given: bytes per second in one direction"))
        return 0.0
    value = row[key]
    rule = "finite and > 0" if QUANTITIES[key] is positive else "finite and >= 0"
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.append((f"{edge}.{key}", f"must be a number, {rule}, got {shown(value)}"))
        return 0.0
    try:
        return float(QUANTITIES[key](key, float(value)))
    except (ValueError, OverflowError):
        faults.append((f"{edge}.{key}", f"must be {rule}, got {shown(value)}"))
        return 0.0


def _refuse_unreachable(hosts: int, ends: IntArray, nodes: int, words: list[str]) -> None:
    """Check that every host reaches the first, and is reached from it: then every pair has a way."""
    faults = []
    for rule, tails, heads in (("from host 0", ends[:, 0], ends[:, 1]), ("to host 0", ends[:, 1], ends[:, 0])):
        reached = np.zeros(nodes, dtype=bool)
        reached[0] = True
        count = 0
        while count < reached.sum():
            count = int(reached.sum())
            reached[heads[reached[tails]]] = True
        lost = np.flatnonzero(~reached[:hosts])
        if len(lost):
            more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
            named = ", ".join(f"host {host} ({words[host]})" for host in lost[:MOST_NAMED].tolist())
            faults.append(("edges", f"must leave a way {rule} ({words[0]}), none for {named}{more}"))
    if faults:
        raise TableFaults(faults)


def _cable_numbers(ends: IntArray) -> IntArray:
    """Number parallel links from 0; -1 where a link is alone."""
    _, inverse, count = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    pair = inverse.reshape(-1)
    order = np.argsort(pair, kind="stable")
    number = np.empty(len(ends), dtype=np.int64)
    number[order] = np.arange(len(ends)) - np.concatenate([[0], np.cumsum(count)])[pair[order]]
    return np.where(count[pair] > 1, number, -1)
