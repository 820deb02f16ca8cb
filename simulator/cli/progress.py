"""How far a long run is, on stderr: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simulator.cli.words import number, seconds

__all__ = ["shown_progress"]

EVERY_S = 30.0
"""Between lines where stderr is no terminal."""


@contextmanager
def shown_progress(things: str, most: int) -> Iterator[Callable[[int], None]]:
    """Show how many of at most `most` things are done; what is yielded is told the number."""
    if most < 2:
        yield lambda done: None
    elif sys.stderr.isatty():
        with _bar(things, most) as told:
            yield told
    else:
        yield _lines(things, most)


@contextmanager
def _bar(things: str, most: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        bar = progress.add_task(things, total=most)
        yield lambda done: progress.update(bar, completed=done)


def _lines(things: str, most: int) -> Callable[[int], None]:
    began = said = time.monotonic()

    def told(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= EVERY_S:
            said = now
            sys.stderr.write(f"learnersim: {number(done)} of at most {number(most)} {things} after {seconds(now - began)}\n")
            sys.stderr.flush()

    return told
