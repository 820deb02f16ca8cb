"""How far a long run is, on stderr."""

from __future__ import annotations

import io

import pytest

from simulator.cli.progress import shown_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress("replications", 8) as told:
        told(3)
    assert "replications" in screen.getvalue()
    assert "/8" in screen.getvalue()


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, 29.0, 31.0, 45.0, 62.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with shown_progress("combinations", 2000) as told:
        for done in (500, 1000, 1500, 2000):
            told(done)
    assert capsys.readouterr().err.splitlines() == [
        "learnersim: 1,000 of at most 2,000 combinations after 31.0 s",
        "learnersim: 2,000 of at most 2,000 combinations after 62.0 s",
    ]


def test_one_thing_has_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with shown_progress("replications", 1) as told:
        told(1)
    assert screen.getvalue() == ""
