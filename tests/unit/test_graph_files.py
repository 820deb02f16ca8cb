from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from simulator.errors import ScenarioError
from simulator.messages import TableFaults
from simulator.network.graph_files import graph_topology, read_graph

CABLE = {"bandwidth_bytes_per_s": 1e9, "latency_s": 1e-6}


def data(**changes: Any) -> dict[str, Any]:
    plain = {
        "directed": False,
        "multigraph": False,
        "graph": {},
        "nodes": [{"id": "a", "host": 1}, {"id": "b", "host": 0}, {"id": "tor"}],
        "edges": [{"source": "a", "target": "tor", **CABLE}, {"source": "tor", "target": "b", **CABLE}],
    }
    return {**plain, **changes}


def faults(**changes: Any) -> list[str]:
    with pytest.raises(TableFaults) as caught:
        graph_topology(data(**changes))
    return [f"{key}: {rule}" for key, rule in caught.value.faults]


def edge(**keys: Any) -> list[dict[str, Any]]:
    """The cables of `data`, and one more with these keys."""
    return [*data()["edges"], {"source": "a", "target": "b", **CABLE, **keys}]


def test_what_networkx_writes_is_read(tmp_path: Path) -> None:
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_node("left", host=True)
    graph.add_node((1, 2), host=True, colour="red")
    graph.add_edge("left", 7, bandwidth_bytes_per_s=2e9, latency_s=1e-6, weight=3)
    graph.add_edge(7, (1, 2), bandwidth_bytes_per_s=1e9, latency_s=2e-6)
    for key in ("edges", "links"):
        file = tmp_path / f"{key}.json"
        file.write_text(json.dumps(nx.node_link_data(graph, edges=key)), encoding="utf-8")
        network = read_graph(file)
        assert network.name == f"{key}, a graph of 2 hosts, 1 switches and 4 links"
        assert [network.names[link] for link in network.route(0, 1)] == ["left -> 7", "7 -> (1, 2)"]
        assert network.path_latency_s(1, 0) == pytest.approx(3e-6, rel=1e-12)
        assert network.bandwidth_bytes_per_s[network.route(0, 1)].tolist() == [2e9, 1e9]


def test_host_numbers_count_and_a_latency_may_be_left_out() -> None:
    network = graph_topology(
        data(edges=[{"source": "a", "target": "b", "bandwidth_bytes_per_s": 5}], nodes=data()["nodes"][:2])
    )
    assert network.nodes == ("b", "a")
    assert network.latency_s.tolist() == [0.0, 0.0]


def test_directed_links_are_one_way_and_parallel_cables_are_told_apart() -> None:
    ring = [{"source": a, "target": b, **CABLE} for a, b in (("a", "tor"), ("tor", "b"), ("b", "a"))]
    network = graph_topology(data(directed=True, multigraph=True, edges=[*ring, {**ring[0], "key": 1}]))
    assert list(network.names) == ["a -> tor cable 0", "tor -> b", "b -> a", "a -> tor cable 1"]
    assert (network.route(1, 0), network.route(0, 1)) == ([0, 1], [2])
    taken = {
        tuple(graph_topology(data(directed=True, multigraph=True, edges=[*ring, ring[0]]), seed=s).route(1, 0))
        for s in range(9)
    }
    assert taken == {(0, 1), (3, 1)}


def test_every_fault_names_its_edge_or_node() -> None:
    assert faults(directed="no") == ["directed: must be true or false, got 'no'"]
    assert faults(multigraph=1) == ["multigraph: must be true or false, got 1"]
    assert faults(nodes=3)[0] == "nodes: must be a list, got 3"
    assert faults(nodes=[*data()["nodes"], 4]) == ["nodes[3]: must be an object, got 4"]
    assert faults(nodes=[*data()["nodes"], {}]) == ["nodes[3].id: must be text or a number, got None"]
    assert faults(nodes=[*data()["nodes"], {"id": True}]) == ["nodes[3].id: must be text or a number, got True"]
    assert faults(nodes=[*data()["nodes"], {"id": "a"}]) == [
        "nodes[3] (a): must be a node of its own, nodes[0] has the same id"
    ]
    for host in (-1, 1.5, "x"):
        assert faults(nodes=[*data()["nodes"], {"id": "c", "host": host}]) == [
            f"nodes[3] (c).host: must be true, false or a number >= 0, got {host!r}"
        ]
    assert faults(nodes=[*data()["nodes"], {"id": "c", "host": 1}]) == [
        "nodes[3] (c).host: must be a number of its own, got 1 like node a"
    ]
    assert faults(nodes=[*data()["nodes"], {"id": "c", "host": True}]) == [
        "nodes: must number all hosts or none, got a number for a and true for c"
    ]
    assert faults(nodes=[*data()["nodes"], {"id": "c", "host": 3}]) == [
        "nodes: must number the hosts from 0 to 2, nobody has 2"
    ]
    bare = [{"id": node["id"]} for node in data()["nodes"]]
    assert faults(nodes=bare) == ["nodes: must have a host at least: a number or true as host, got none"]
    assert faults(links=[]) == ["edges: must be given once, or as links, got 2"]
    assert faults(edges=edge(target="c")) == ["edges[2] (a -- c).target: must be the id of a node, got 'c'"]
    assert faults(edges=edge(source=None)) == ["edges[2] (None -- b).source: must be the id of a node, got None"]
    assert faults(edges=edge(target="a")) == ["edges[2] (a -- a): must join two nodes, got a loop"]
    assert faults(edges=[*edge(), {"source": "b", "target": "a", **CABLE}]) == [
        "edges[3] (b -- a): must be given once, edges[2] is the same; parallel cables need multigraph = true"
    ]
    assert faults(edges=edge(latency_s=-1)) == ["edges[2] (a -- b).latency_s: must be finite and >= 0, got -1"]
    for value in (0, -5.0, float("nan"), float("inf"), 10**400):
        (found,) = faults(edges=edge(bandwidth_bytes_per_s=value))
        assert found.startswith("edges[2] (a -- b).bandwidth_bytes_per_s: must be finite and > 0, got ")
    for other in ("100 Gbit/s", True, None):
        assert faults(edges=edge(bandwidth_bytes_per_s=other)) == [
            f"edges[2] (a -- b).bandwidth_bytes_per_s: must be a number, finite and > 0, got {other!r}"
        ]
    assert faults(edges=edge(latency_us=1)) == [
        "edges[2] (a -- b).latency_us: is no key of an edge; the keys are bandwidth_bytes_per_s and latency_s"
    ]
    assert faults(edges=[*data()["edges"], {"source": "a", "target": "b", "bandwidth": 1}]) == [
        "edges[2] (a -- b).bandwidth_bytes_per_s: must be given: bytes per second in one direction",
        "edges[2] (a -- b).bandwidth: is no key of an edge; the keys are bandwidth_bytes_per_s and latency_s",
    ]


def test_hosts_without_a_way_are_named_in_both_directions() -> None:
    assert faults(edges=data()["edges"][:1]) == [
        "edges: must leave a way from host 0 (b), none for host 1 (a)",
        "edges: must leave a way to host 0 (b), none for host 1 (a)",
    ]
    assert faults(directed=True) == ["edges: must leave a way from host 0 (b), none for host 1 (a)"]
    many = [{"id": i, "host": i} for i in range(9)]
    assert faults(nodes=many, edges=[])[0].endswith(
        "none for host 1 (1), host 2 (2), host 3 (3), host 4 (4), host 5 (5) and 3 more"
    )


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(data(edges=[{"source": "a", "target": "x", "bandwidth_bytes_per_s": 0}, 5])), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        read_graph(file, name="mine.json")
    assert str(caught.value).splitlines() == [
        "mine.json: edges[1]: must be an object, got 5",
        "mine.json: edges[0] (a -- x).target: must be the id of a node, got 'x'",
        "mine.json: edges[0] (a -- x).bandwidth_bytes_per_s: must be finite and > 0, got 0",
    ]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"{", r"is not JSON: Expecting property name"),
        (b"[" * 100_000, r"is not JSON: "),
        (b"1" * 5000, r"is not JSON: Exceeds the limit"),
        (b"\xff", r"must be a UTF-8 text file, got byte 0xff at 0"),
        (b"[1]", r"must be an object with nodes and edges, got \[1\]"),
        (b"{}", r"nodes: must be given once, got 0"),
    ],
)
def test_a_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path, content: bytes, rule: str) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(content)
    with pytest.raises(ScenarioError, match=rf"^mine.json: {rule}"):
        read_graph(file, name="mine.json")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScenarioError, match=r"absent.json: no such file"):
        read_graph(tmp_path / "absent.json")
    with pytest.raises(ScenarioError, match=r"must be a file, got a folder"):
        read_graph(tmp_path)
    file = tmp_path / "mine.json"
    file.write_text("{}", encoding="utf-8")
    monkeypatch.setattr("simulator.network.graph_files.LARGEST_FILE_BYTES", 1)
    with pytest.raises(ScenarioError, match=r"must be at most 1 bytes, got 2"):
        read_graph(file)

    def broken(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("simulator.network.graph_files.LARGEST_FILE_BYTES", 10)
    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(ScenarioError, match=r"cannot be read: Permission denied"):
        read_graph(file)
    with pytest.raises(ValueError, match=r"seed must be a whole number >= 0, got -1"):
        graph_topology(data(), seed=-1)
