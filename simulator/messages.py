"""The words of a fault: where it stands, what was found, and the nearest thing that would have been right."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from typing import Any

__all__ = ["TableFaults", "did_you_mean", "join", "printable", "shown"]


class TableFaults(Exception):
    """Faults of one table, as (key, rule) pairs with the key relative to the table."""

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = list(faults)
        super().__init__("; ".join(f"{key}: {rule}" for key, rule in self.faults))

    def under(self, key: str) -> list[tuple[str, str]]:
        """Return the same faults as seen from the table that holds this one under `key`."""
        return [(join(key, inner), rule) for inner, rule in self.faults]


def join(*parts: str) -> str:
    """Join key parts with dots; an index like `[0]` attaches without one."""
    path = ""
    for part in parts:
        path += part if not path or not part or part.startswith("[") else f".{part}"
    return path


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" with the nearest known word, or the known words where none is near."""
    words = sorted(known)
    near = [known_word for known_word in words if word and known_word.startswith(word)][:1]
    near = near or difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(words)}" if words and len(words) <= 24 else ""


def shown(value: Any) -> str:
    """Return `value` as it is quoted in a message: one short line."""
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def printable(text: str) -> str:
    r"""Return text whose control and direction characters, which would steer a terminal or a page, are replaced by U+FFFD.

    Examples
    --------
    >>> printable("two\nlines, \x1b[31mno red") == "two\nlines, \ufffd[31mno red"
    True
    """
    if text.isprintable():
        return text
    kept = (
        c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return "".join(kept)
