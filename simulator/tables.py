"""Column names, their units and labels; results written and read as tidy tables with a run.json beside them."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from simulator.errors import Fault, ScenarioError
from simulator.messages import did_you_mean, shown
from simulator.text_files import read_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "Column",
    "frame",
    "label",
    "plain",
    "read_header",
    "read_json",
    "read_rows",
    "read_table",
    "time_unit",
    "write_json",
    "write_table",
    "write_text",
]

COLUMNS: dict[str, tuple[str, str]] = {
    "batch_samples": ("batch (all learners)", "samples"),
    "learners": ("learners", ""),
    "local_samples": ("batch per learner", "samples"),
    "updates": ("updates to converge", ""),
    "update_time_s": ("time per update", "s"),
    "compute_time_s": ("computing per update", "s"),
    "reduce_time_s": ("reducing per update", "s"),
    "converge_time_s": ("time to converge", "s"),
    "samples_processed": ("samples processed", "samples"),
    "best_batch_samples": ("best batch (all learners)", "samples"),
    "best_converge_time_s": ("best time to converge", "s"),
    "cost_usd": ("cost", "USD"),
    "scaling": ("scaling", ""),
    "speedup": ("speed-up over one learner", ""),
    "efficiency": ("efficiency", ""),
    "bound": ("limited by", ""),
    "branch": ("branch", ""),
    "bottleneck": ("bottleneck", ""),
}
"""Column: (label, unit). One name everywhere: parameter, key of a file, column, flag and axis."""


def label(column: str) -> str:
    """Axis label or header of a column, with its unit.

    Examples
    --------
    >>> label("converge_time_s"), label("batch_samples")
    ('time to converge (s)', 'batch (all learners), samples')
    """
    words, unit = COLUMNS.get(column, (column, ""))
    if not unit:
        return words
    return f"{words}, {unit}" if words.endswith(")") else f"{words} ({unit})"


TIME_UNITS = (
    (1e-6, 1e-9, "ns"),
    (1e-3, 1e-6, "us"),
    (1.0, 1e-3, "ms"),
    (120.0, 1.0, "s"),
    (120 * 60.0, 60.0, "min"),
    (72 * 3600.0, 3600.0, "h"),
    (730 * 86400.0, 86400.0, "days"),
    (float("inf"), 365.25 * 86400.0, "years"),
)
"""Times below (seconds) are written in a unit of (seconds), called (name)."""


def time_unit(time_s: float) -> tuple[float, str]:
    """Return the unit that a person would write a time in: its seconds and its name.

    Examples
    --------
    >>> time_unit(275.4)
    (60.0, 'min')
    """
    return next((unit_s, name) for limit_s, unit_s, name in TIME_UNITS if time_s < limit_s)


def plain(value: Any) -> Any:
    """Turn NumPy values, tuples and dataclass-free containers into what JSON knows; whole floats stay floats."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a pandas table, columns in the order of the first row."""
    import pandas as pd

    return pd.DataFrame([plain(row) for row in rows])


def write_text(path: Path, text: str) -> None:
    """Write `text` beside `path` and move it there in one step, so that no half-written file is ever seen."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, path)  # noqa: PTH105 - atomic on POSIX and Windows alike


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with finite numbers, atomically; ValueError for NaN and infinity."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, atomically; numbers with all their digits, None as an empty field."""
    write_text(path, frame(rows).to_csv(index=False, lineterminator="\n"))


def read_json(path: Path) -> Any:
    """Read a JSON file; ScenarioError where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError([Fault(str(path), "", f"cannot be read: {error.strerror or error}")]) from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError([Fault(str(path), "", f"must be a JSON file: {error}")]) from None


def read_table(path: Path, numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV table; ScenarioError where it is missing or broken, or a column of `numbers` is not one of numbers."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise ScenarioError([Fault(str(path), "", f"cannot be read: {error.strerror or error}")]) from None
    except ValueError as error:
        raise ScenarioError([Fault(str(path), "", f"must be a CSV table: {error}")]) from None
    faults = [
        Fault(str(path), name, "is missing" if name not in table else "must be a column of numbers")
        for name in numbers
        if name not in table or not pd.api.types.is_numeric_dtype(table[name])
    ]
    if faults:
        raise ScenarioError(faults)
    return table


LARGEST_TABLE_BYTES = 64_000_000
MOST_FAULTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What a column of a CSV table must hold.

    Parameters
    ----------
    kind : {"number", "whole", "text", "flag"}
        number: finite; whole: a whole number; flag: yes or no (also true, false, 1, 0).
    needed : bool
        Whether the table must have the column.
    empty : bool
        Whether its cells may be empty (they then hold None).
    above, least, most : float, optional
        Numbers must be > above, >= least, <= most.
    choices : tuple of str
        The words that a text may be; any where there are none.
    """

    kind: Literal["number", "whole", "text", "flag"] = "number"
    needed: bool = True
    empty: bool = False
    above: float | None = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    def value(self, cell: str) -> Any:
        """Return the value of a cell; ValueError with the rule that it breaks."""
        text = cell.strip()
        if not text:
            if self.empty:
                return None
            raise ValueError("must not be empty")
        if self.kind == "text":
            if not text.isprintable():
                raise ValueError(f"must be printable text, got {shown(text)}")
            if self.choices and text not in self.choices:
                raise ValueError(f"must be one of {', '.join(self.choices)}, got {shown(text)}")
            return text
        if self.kind == "flag":
            words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
            if text.lower() not in words:
                raise ValueError(f"must be yes or no, got {shown(text)}")
            return words[text.lower()]
        return self._number(text)

    def _number(self, text: str) -> float | int:
        word = "a whole number" if self.kind == "whole" else "a number"
        try:
            number = float(text) if "_" not in text else math.nan
        except ValueError:
            number = math.nan
        bounds = [
            f" {sign} {bound:g}"
            for sign, bound in ((">", self.above), (">=", self.least), ("<=", self.most))
            if bound is not None
        ]
        good = (
            math.isfinite(number)
            and abs(number) <= 1e30
            and (self.kind == "number" or number.is_integer())
            and (self.above is None or number > self.above)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
        )
        if not good:
            raise ValueError(f"must be {word}{' and'.join(bounds)}, got {shown(text)}")
        return int(number) if self.kind == "whole" else number


def read_rows(
    path: Path, columns: Mapping[str, Column], *, name: str | None = None, bad_rows: list[Fault] | None = None
) -> list[dict[str, Any]]:
    """Read a CSV table and check every cell of the columns that matter; others are left out.

    Parameters
    ----------
    path : Path
        The file: UTF-8, comma-separated, a header line, at least one row.
    columns : mapping of str to Column
        What is wanted of it, by name of the column.
    name : str, optional
        How messages call the file; the path by default.
    bad_rows : list of Fault, optional
        Takes the faults of rows, which are then left out: for who finds more faults in the others, and raises them together.

    Returns
    -------
    list of dict
        One for each row, in order: every name of `columns` (None where the column is absent or the cell empty), and
        `line`, the line of the file where the row ends, for messages.

    Raises
    ------
    ScenarioError
        With every fault: file, line and column, rule, value.
    """
    called = name or str(path)
    header, lines = _csv_lines(path, called)
    faults = [
        Fault(called, column, f"is missing{did_you_mean(column, header)}")
        for column, rule in columns.items()
        if rule.needed and column not in header
    ]
    faults += [Fault(called, column, "stands twice in the header") for column in columns if header.count(column) > 1]
    if not faults and not lines:
        faults.append(Fault(called, "", "must have at least one row"))
    of_the_header = bool(faults)
    rows: list[dict[str, Any]] = []
    for number, cells in lines if not of_the_header else ():
        before = len(faults)
        if len(cells) != len(header):
            faults.append(Fault(called, f"line {number}", f"must have {len(header)} cells, got {len(cells)}"))
            continue
        found = dict(zip(header, cells, strict=True))
        row: dict[str, Any] = {"line": number}
        for column, rule in columns.items():
            row[column] = None
            if column in found:
                try:
                    row[column] = rule.value(found[column])
                except ValueError as error:
                    faults.append(Fault(called, f"line {number}, {column}", str(error)))
        if bad_rows is None or len(faults) == before:
            rows.append(row)
    if bad_rows is not None and not of_the_header:
        bad_rows += faults
        return rows
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], Fault(called, "", f"and {len(faults) - MOST_FAULTS} more faults")]
    if faults:
        raise ScenarioError(faults)
    return rows


def read_header(path: Path, *, name: str | None = None) -> list[str]:
    """Return the names of the columns of a CSV table; ScenarioError where it is missing or broken."""
    return _csv_lines(path, name or str(path))[0]


def _csv_lines(path: Path, called: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and the numbered rows of a CSV file, blank lines left out."""
    text = read_text(path, called=called, most_bytes=LARGEST_TABLE_BYTES)
    if "\0" in text:
        raise ScenarioError([Fault(called, "", "must be a text file, got a zero byte")])
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ScenarioError([Fault(called, f"line {reader.line_num}", f"is not CSV: {error}")]) from None
    if not lines:
        raise ScenarioError([Fault(called, "", "must have a header and at least one row, got nothing")])
    header = [cell.strip() for cell in lines[0][1]]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise ScenarioError([Fault(called, "line 1", f"must separate columns by commas, got {shown(header[0])}")])
    return header, lines[1:]
