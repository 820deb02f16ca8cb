"""One HTML page from facts, tables and figures, to mail and to print: nothing is loaded, every text is escaped."""

from __future__ import annotations

import base64
import html
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.messages import printable
from simulator.tables import label, write_table

__all__ = [
    "Block",
    "Code",
    "Facts",
    "Figure",
    "Items",
    "Mark",
    "Page",
    "Section",
    "SourceList",
    "Sources",
    "Table",
    "Text",
    "drawn_figures",
    "page_html",
]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing but what stands in it."""
BREAKS = re.compile(r"(?<=[A-Za-z\])])([/._])(?=[A-Za-z(\[])")
"""Where a long key or path may go on in the next line: never inside of a number."""
LONG = re.compile(r"\S{32}(?=\S{8})")
"""Where a word is longer than a column of a table should be wide."""
STYLE = Path(__file__).with_name("report.css")


@dataclass(frozen=True, slots=True)
class Mark:
    """A number in the list of sources."""

    number: int


@dataclass(slots=True)
class Sources:
    """Sources in the order of their first mention.

    Examples
    --------
    >>> sources = Sources()
    >>> sources.mark("a data sheet"), sources.mark("a quote"), sources.mark("a data sheet"), sources.mark(None)
    (Mark(number=1), Mark(number=2), Mark(number=1), '')
    """

    listed: list[str] = field(default_factory=list)

    def mark(self, source: str | None) -> Mark | str:
        """Return the mark of a source; nothing where there is none."""
        if not source:
            return ""
        if source not in self.listed:
            self.listed.append(source)
        return Mark(self.listed.index(source) + 1)


Cell = str | Mark


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; a lead one is larger."""

    text: str
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values; a fact without a name goes on with the one above."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences; those that warn are set apart."""

    items: Sequence[str]
    warn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text or marks, headers by column name as in the tables of the command line.

    Parameters
    ----------
    caption : str
        What it shows.
    rows : sequence of mapping
        All with the same columns; the first column names the row.
    right : sequence of str
        Columns that hold numbers.
    strong : sequence of int
        Rows that are set apart: a total, the chosen one.
    doubt : str
        Cells that hold this alone are set apart: a price that nobody checked. Empty: none.
    """

    caption: str
    rows: Sequence[Mapping[str, Cell]]
    right: Sequence[str] = ()
    strong: Sequence[int] = ()
    doubt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture with what it shows in words, for whom cannot see it.

    Parameters
    ----------
    png : bytes
        The picture.
    alt, caption : str
        In words; below the picture.
    """

    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True, slots=True)
class Code:
    """Text as it is, in a fixed pitch."""

    text: str


@dataclass(frozen=True, slots=True)
class SourceList:
    """What the marks stand for."""

    sources: Sources


Block = Text | Facts | Items | Table | Figure | Code | SourceList


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks under a heading."""

    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the page holds.

    Parameters
    ----------
    title, subtitle : str
        At its head.
    sections : sequence of Section
        In order; those without blocks are left out.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]


def drawn_figures(answer: Mapping[str, Any], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, bytes]:
    """Draw the figures of an answer, as `plot` does of a saved one.

    Parameters
    ----------
    answer : mapping
        As run.json has it.
    tables : mapping of str to rows
        Those that the figures are drawn from, by file name.

    Returns
    -------
    dict of str to bytes
        PNG by name: "figure_frontier", ...
    """
    from simulator.plots import draw_run

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, rows in tables.items():
            write_table(folder / file, rows)
        return {path.stem: path.read_bytes() for path in draw_run(folder, dict(answer))}


def _escaped(text: str) -> str:
    """Return text that HTML shows as it is; control characters, which it has no place for, as the replacement character."""
    return html.escape(printable(text), quote=True)


def _broken(text: str) -> str:
    """Return escaped text that may be broken behind the marks inside of paths and keys, and in words wider than a column."""
    pieces = LONG.sub(lambda word: f"{word[0]}\n", text.replace("\n", " ")).split("\n")
    return "<wbr>".join(BREAKS.sub(r"\1<wbr>", _escaped(piece)) for piece in pieces)


def page_html(page: Page, *, run: str | None = None) -> str:
    """Write a page.

    Parameters
    ----------
    page : Page
        What it holds.
    run : str, optional
        Key of the run that it answers, by which it is known again.

    Returns
    -------
    str
        The HTML text: the same page gives the same text.
    """
    body = [f"<header><h1>{_escaped(page.title)}</h1><p>{_escaped(page.subtitle)}</p></header>", "<main>"]
    for i, section in enumerate((one for one in page.sections if one.blocks), 1):
        body.append(f'<section aria-labelledby="section-{i}">')
        body.append(f'<h2 id="section-{i}">{_escaped(section.heading)}</h2>')
        body += [_block(block) for block in section.blocks]
        body.append("</section>")
    body.append("</main>")
    style = STYLE.read_text(encoding="utf-8")
    head = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        *([f'<meta name="learnersim-run" content="{_escaped(run)}">'] if run is not None else []),
        f"<title>{_escaped(page.title)}</title>",
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
    ]
    return "\n".join([*head, *body, "</body>", "</html>"]) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text(text=text, lead=lead):
            kind = ' class="lead"' if lead else ""
            return f"<p{kind}>{_escaped(text)}</p>"
        case Facts(facts=facts):
            return _facts(facts)
        case Items(items=items, warn=warn):
            kind = ' class="warn"' if warn else ""
            return f"<ul{kind}>" + "".join(f"<li>{_broken(item)}</li>" for item in items) + "</ul>"
        case Table():
            return _table(block)
        case Figure(png=png, alt=alt, caption=caption):
            data = base64.b64encode(png).decode("ascii")
            picture = f'<img src="data:image/png;base64,{data}" alt="{_escaped(alt)}">'
            return f"<figure>{picture}<figcaption>{_escaped(caption)}</figcaption></figure>"
        case Code(text=text):
            return f"<pre>{_escaped(text)}</pre>"
        case SourceList(sources=sources):
            lines = [f'<li id="source-{i}">{_broken(source)}</li>' for i, source in enumerate(sources.listed, 1)]
            return '<ol class="sources">' + "\n".join(lines) + "</ol>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows: list[tuple[str, list[str]]] = []
    for name, value in facts:
        if name or not rows:
            rows.append((_escaped(name), []))
        rows[-1][1].append(_broken(value))
    lines = [f'<tr><th scope="row">{name}</th><td>{"<br>".join(values)}</td></tr>' for name, values in rows]
    return '<table class="facts">' + "\n".join(lines) + "</table>"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    names = list(table.rows[0])
    right = {name: ' class="number"' if name in table.right else "" for name in names}
    head = "".join(f'<th scope="col"{right[name]}>{_broken(label(name))}</th>' for name in names)
    lines = []
    for i, row in enumerate(table.rows):
        cells = [
            f'<th scope="row"{right[name]}>{_cell(row[name])}</th>'
            if j == 0
            else f"<td{right[name]}>{_doubted(row[name], table.doubt)}</td>"
            for j, name in enumerate(names)
        ]
        kind = ' class="strong"' if i in table.strong else ""
        lines.append(f"<tr{kind}>{''.join(cells)}</tr>")
    caption = _escaped(table.caption)
    body = "\n".join(lines)
    return (
        f'<div class="wide" role="region" aria-label="{caption}" tabindex="0"><table><caption>{caption}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _doubted(cell: Cell, doubt: str) -> str:
    return f'<b class="doubt">{_cell(cell)}</b>' if doubt and cell == doubt else _cell(cell)


def _cell(cell: Cell) -> str:
    if isinstance(cell, Mark):
        return f'<a href="#source-{cell.number}">[{cell.number}]</a>'
    return _broken(cell)
