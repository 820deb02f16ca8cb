"""Imports point downwards, and each library stays in its home: the contracts of pyproject.toml, as an ordinary test."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from tests.support import ROOT

SOURCES = sorted((ROOT / "simulator").rglob("*.py"))
LARGEST_MODULE_LINES = 400


def test_imports_keep_the_contracts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)
    assert status == os.EX_OK, capsys.readouterr().out


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is_and_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) <= LARGEST_MODULE_LINES


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.parent.name != "cli"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_library_never_prints(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "input", "eval", "exec", "breakpoint"), f"line {node.lineno}"
