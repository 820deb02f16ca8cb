from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from simulator.errors import ScenarioError
from simulator.loading import structure, structure_kind
from simulator.messages import TableFaults
from simulator.quantities import positive, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    latency_s: float
    words: Literal["a", "bee"] = "a"

    def __post_init__(self) -> None:
        positive("latency_s", self.latency_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    name: str
    delta_s: float
    count: int = 1
    flag: bool = False
    batch_samples: float | tuple[float, ...] | Literal["best"] = "best"
    hosts: tuple[int, ...] = ()
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    link: str | Inner = "x"
    models: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        positive("delta_s", self.delta_s)
        whole("count", self.count)


def faults(tree: Any) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        structure(tree, Table, file="f")
    return [str(fault).removeprefix("f: ") for fault in caught.value.faults]


def test_a_table_becomes_its_dataclass() -> None:
    tree = {
        "name": "n",
        "delta_s": "3 ms",
        "count": 2.0,
        "flag": True,
        "batch_samples": [1, "2 samples"],
        "hosts": [1, 2],
        "inner": {"latency_s": 1},
        "inners": [{"latency_s": 2, "words": "bee"}],
        "link": {"latency_s": "1 us"},
        "models": {"a": "b"},
    }
    made = structure(tree, Table, file="f")
    assert made == Table(
        name="n",
        delta_s=0.003,
        count=2,
        flag=True,
        batch_samples=(1.0, 2.0),
        hosts=(1, 2),
        inner=Inner(latency_s=1.0),
        inners=(Inner(latency_s=2.0, words="bee"),),
        link=Inner(latency_s=1e-6),
        models={"a": "b"},
    )
    assert isinstance(made.count, int)


def test_words_and_defaults() -> None:
    assert structure({"name": "n", "delta_s": 1}, Table, file="f") == Table(name="n", delta_s=1.0)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("name", 3, "name: must be a text, got 3"),
        ("count", 2.5, "count: must be a whole number, got 2.5"),
        ("count", True, "count: must be a whole number, got True"),
        ("count", 10**40, "count: must be at most 1e+30 in size"),
        ("count", 0, "count: must be a whole number >= 1, got 0"),
        ("flag", 1, "flag: must be true or false, got 1"),
        ("flag", "true", "flag: must be true or false, got 'true'"),
        ("delta_s", [1], "delta_s: must be a number, got [1]"),
        ("delta_s", -1, "delta_s: must be finite and > 0, got -1"),
        ("batch_samples", "bets", "batch_samples: must be 'best' or a number with a unit like '1 sample', got 'bets'"),
        ("batch_samples", [1, "x"], "batch_samples[1]: must be a number with a unit like '1 sample', got 'x'"),
        ("hosts", 3, "hosts: must be a list, got 3"),
        ("hosts", [1, 2.5], "hosts[1]: must be a whole number, got 2.5"),
        ("inner", 3, "inner: must be a table, got 3"),
        ("inner", {}, "inner.latency_s: is missing"),
        ("inner", {"latency_s": 0}, "inner.latency_s: must be finite and > 0, got 0"),
        ("inners", {"latency_s": 1}, "inners: must be a list, got {'latency_s': 1}"),
        ("inners", [{"latency_s": 1}, 3], "inners[1]: must be a table, got 3"),
        ("inner", {"latency_s": 1, "words": "be"}, "inner.words: must be one of a, bee, got 'be'; did you mean 'bee'?"),
        ("link", 3, "link: must be a name or a table, got 3"),
        ("models", 3, "models: must be a table, got 3"),
        ("models", {"a": 3}, "models.a: must be a text, got 3"),
        ("cuont", 3, "cuont: unknown key; did you mean 'count'?"),
    ],
)
def test_a_fault_is_named_with_key_rule_and_value(key: str, value: Any, says: str) -> None:
    found = faults({"name": "n", "delta_s": 1.0, key: value})
    assert len(found) == 1
    assert found[0].startswith(says)


def test_a_missing_key_is_named() -> None:
    assert faults({"name": "n"}) == ["delta_s: is missing"]


def test_what_is_no_table_is_refused() -> None:
    assert faults([1]) == ["must be a table, got [1]"]


def test_all_faults_are_found_at_once() -> None:
    found = faults(
        {
            "delta_s": -1,
            "count": 0,
            "flag": "x",
            "hosts": ["a", 1, "b"],
            "inner": {"latency_s": "1 GB", "words": 3},
            "extra": 1,
        }
    )
    starts = ("extra", "name", "flag", "hosts[0]", "hosts[2]", "inner.latency_s", "inner.words", "delta_s", "count")
    assert sorted(text.split(":")[0] for text in found) == sorted(starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class A:
    x_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class B:
    y_s: float


KINDS: dict[str, Any] = {"alpha": A, "beta": B}


def test_kind_chooses_the_dataclass() -> None:
    assert structure_kind({"kind": "beta", "y_s": "1 ms"}, KINDS) == B(y_s=0.001)
    assert structure_kind({"x_s": 1, "note": 3}, KINDS, envelope=("note",), default="alpha") == A(x_s=1.0)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"x_s": 1}, "kind: is missing; one of alpha, beta"),
        ({"kind": "alfa", "x_s": 1}, "kind: must be one of alpha, beta, got 'alfa'; did you mean 'alpha'?"),
        ({"kind": 3}, "kind: must be one of alpha, beta, got 3"),
        ({"kind": "alpha", "x_s": 1, "y_s": 2}, "y_s: is a key of kind 'beta', not of 'alpha'"),
        ({"kind": "alpha", "x_s": 1, "xs": 2}, "xs: unknown key; did you mean 'x_s'?"),
        ({"kind": "alpha"}, "x_s: is missing"),
    ],
)
def test_faults_of_a_kind(tree: dict[str, Any], says: str) -> None:
    with pytest.raises(TableFaults) as caught:
        structure_kind(tree, KINDS)
    assert [": ".join(fault) for fault in caught.value.faults] == [says]


def test_a_misspelt_kind_key_is_named_beside_the_missing_kind() -> None:
    with pytest.raises(TableFaults) as caught:
        structure_kind({"kidn": "alpha", "x_s": 1}, KINDS)
    assert {key for key, _ in caught.value.faults} == {"kind", "kidn"}


def test_a_kind_that_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a table, got 'alpha'"):
        structure_kind("alpha", KINDS)
