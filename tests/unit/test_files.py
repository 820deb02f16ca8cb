from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ScenarioError
from simulator.loading import Provenance, merge, read_toml, split_provenance
from simulator.loading.files import DEEPEST_NESTING, LARGEST_FILE_BYTES


def fault(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        read_toml(path, "x.toml")
    (only,) = caught.value.faults
    text = str(only)
    assert text.startswith("x.toml: ")
    assert "\n" not in text
    return text.removeprefix("x.toml: ")


def test_a_file_is_read_as_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("a = 1\n[b]\nc = [1.5]\n", encoding="utf-8")
    assert read_toml(path) == {"a": 1, "b": {"c": [1.5]}}


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert fault(tmp_path / "none.toml") == "no such file"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert fault(tmp_path) == "must be a file, got a folder"


def test_a_name_with_a_null_byte_is_refused() -> None:
    assert "cannot be read" in fault(Path("a\0b.toml"))


def test_a_name_that_is_too_long_is_refused() -> None:
    assert "cannot be read" in fault(Path("a" * 5000 + ".toml"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfea\0", "must be a UTF-8 text file, got byte 0xff at 0"),
        (b'a = "caf\xe9"\n', "must be a UTF-8 text file, got byte 0xe9 at 8"),
        (b"a = \n", "is not TOML: Invalid value (at line 1, column 5)"),
        (b"a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b"[a]\n[a]\n", "is not TOML: Cannot declare"),
        (b"a = 1\0\n", "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"a = " + b"9" * 5000 + b"\n", "is not TOML"),
        (b"x" * (LARGEST_FILE_BYTES + 1), f"must be at most {LARGEST_FILE_BYTES} bytes, got {LARGEST_FILE_BYTES + 1}"),
        (b"a" + b".a" * (DEEPEST_NESTING + 5) + b" = 1\n", f"must nest tables at most {DEEPEST_NESTING} deep"),
    ],
)
def test_what_is_no_toml_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    assert fault(path).startswith(says)


def test_a_number_with_provenance_becomes_the_number_and_its_record() -> None:
    tree = {
        "source": "the file",
        "date": "2022",
        "verified": True,
        "delta_s": {"value": "3 ms", "low": "2 ms", "high": 0.005, "source": "a paper", "verified": False},
        "gamma_s": 1.0,
        "inner": {"source": "the table", "x_s": 2.0},
    }
    plain, records, faults = split_provenance(tree, "f.toml")
    assert not faults
    assert plain["delta_s"] == "3 ms"
    assert records["delta_s"] == Provenance(file="f.toml", source="a paper", date="2022", verified=False, low=0.002, high=0.005)
    assert records["gamma_s"] == Provenance(file="f.toml", source="the file", date="2022", verified=True)
    assert records["inner.x_s"].source == "the table"
    assert records["inner.x_s"].verified is True


def test_provenance_reaches_tables_inside_lists() -> None:
    plain, records, faults = split_provenance({"workload": [{"a_s": {"value": 1, "source": "x"}}]}, "f")
    assert plain == {"workload": [{"a_s": 1}]}
    assert records["workload[0].a_s"].source == "x"
    assert not faults


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ({"value": 1, "low": 2}, "f: a_s: must have low <= value <= high, got low = 2, value = 1"),
        ({"value": 3, "high": 2}, "f: a_s: must have low <= value <= high, got value = 3, high = 2"),
        ({"value": 3, "low": 5, "high": 4}, "f: a_s: must have low <= value <= high"),
        ({"value": 1, "high": "2 GB"}, "f: a_s.high: unit 'GB' cannot become s, got '2 GB'"),
        ({"value": 1, "low": float("nan")}, "f: a_s.low: must be a finite number, got nan"),
        ({"value": 1, "source": 3}, "f: a_s.source: must be a text, got 3"),
        ({"value": 1, "verified": "no"}, "f: a_s.verified: must be true or false, got 'no'"),
        ({"value": 1, "date": 2022}, "f: a_s.date: must be a text, got 2022"),
        ({"value": 1, "sorce": "x"}, "f: a_s.sorce: unknown key; did you mean 'source'?"),
    ],
)
def test_faults_of_the_provenance_are_named(number: dict[str, object], says: str) -> None:
    _, _, faults = split_provenance({"a_s": number}, "f")
    assert len(faults) == 1
    assert str(faults[0]).startswith(says)


@pytest.mark.parametrize(("key", "value"), [("source", 3), ("date", 2022), ("verified", "no")])
def test_provenance_of_a_whole_table_is_checked_too(key: str, value: object) -> None:
    _, _, faults = split_provenance({"convergence": {key: value, "n_inf_updates": 1}}, "f")
    assert [fault.key for fault in faults] == [f"convergence.{key}"]


def test_a_key_named_value_at_the_top_is_no_number() -> None:
    plain, _, _ = split_provenance({"value": 1, "schema": 1}, "f")
    assert plain == {"value": 1, "schema": 1}


def test_laying_over_keeps_what_is_not_given() -> None:
    base = {"a": 1, "t": {"x": 1, "y": 2}, "l": [1, 2]}
    assert merge(base, {"t": {"y": 3}, "l": [9]}) == {"a": 1, "t": {"x": 1, "y": 3}, "l": [9]}
    assert base == {"a": 1, "t": {"x": 1, "y": 2}, "l": [1, 2]}


def test_another_kind_replaces_the_whole_table() -> None:
    base = {"reduce": {"kind": "linear", "delta_s": 1, "overlap": {"kind": "sum"}}}
    assert merge(base, {"reduce": {"kind": "ring", "latency_s": 2}}) == {"reduce": {"kind": "ring", "latency_s": 2}}
    kept = merge(base, {"reduce": {"kind": "linear", "delta_s": 2}})
    assert kept["reduce"] == {"kind": "linear", "delta_s": 2, "overlap": {"kind": "sum"}}
