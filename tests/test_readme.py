"""The README's commands print what the README shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from simulator.cli import status

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```console\n\$ learnersim (.*?)\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_readme_shows_two_commands() -> None:
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize(("command", "shown"), BLOCKS)
def test_readme_shows_the_real_output(command: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(shlex.split(command)) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == [line.rstrip() for line in shown.splitlines()]
