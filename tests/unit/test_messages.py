from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import Fault, ScenarioError
from simulator.messages import TableFaults, did_you_mean, join, shown


def test_keys_join_with_dots_and_indices_without() -> None:
    assert join("workload", "[0]", "use") == "workload[0].use"
    assert join("", "a") == "a"
    assert join("a", "") == "a"


def test_the_nearest_known_word_is_named() -> None:
    assert did_you_mean("batch_sample", ["batch_samples", "learners"]) == "; did you mean 'batch_samples'?"


def test_few_known_words_are_all_named_where_none_is_near() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("zzz", [f"word{i}" for i in range(100)]) == ""
    assert did_you_mean("zzz", []) == ""


@given(st.recursive(st.one_of(st.text(), st.integers(), st.floats(), st.binary()), st.lists, max_leaves=5))
def test_a_value_is_shown_in_one_short_line(value: Any) -> None:
    text = shown(value)
    assert len(text) <= 80
    assert text.isprintable()
    assert text.isascii()


def test_faults_of_a_table_move_under_its_key() -> None:
    assert TableFaults([("a", "x"), ("", "y")]).under("t") == [("t.a", "x"), ("t", "y")]


def test_a_fault_is_file_key_rule() -> None:
    assert str(Fault("f.toml", "a.b", "must be 1")) == "f.toml: a.b: must be 1"
    assert str(Fault("f.toml", "", "no such\nfile")) == "f.toml: no such file"


def test_an_error_of_a_file_has_a_line_for_each_fault() -> None:
    error = ScenarioError([Fault("f", "a", "x"), Fault("f", "b", "y")])
    assert str(error) == "f: a: x\nf: b: y"
    with pytest.raises(ScenarioError, match="f: a: x"):
        raise error


def test_a_value_is_escaped_once() -> None:
    assert shown("a\nb\\\x00\u202e") == r"'a\nb\\\x00\u202e'"
