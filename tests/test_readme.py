"""The commands of the README and of the pages on design and comparison print what is shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from simulator.cli import status

ROOT = Path(__file__).parents[1]


def blocks(document: str) -> list[tuple[str, str]]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"```console\n\$ learnersim (.*?)\n(.*?)```", text, flags=re.DOTALL)


BLOCKS = [*blocks("README.md"), *blocks("docs/design.md"), *blocks("docs/compare.md")]


def test_the_readme_shows_two_commands() -> None:
    assert len(blocks("README.md")) >= 2


@pytest.mark.parametrize(("command", "shown"), BLOCKS)
def test_readme_shows_the_real_output(command: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(shlex.split(command)) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == [line.rstrip() for line in shown.splitlines()]
