"""Column names, their units and labels; results written and read as tidy tables with a run.json beside them."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import Fault, ScenarioError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "frame", "label", "plain", "read_json", "read_table", "time_unit", "write_json", "write_table"]

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


def _replace(path: Path, text: str) -> None:
    """Write `text` beside `path` and move it there in one step, so that no half-written file is ever seen."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, path)  # noqa: PTH105 - atomic on POSIX and Windows alike


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON with finite numbers, atomically; ValueError for NaN and infinity."""
    _replace(path, json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, atomically; numbers with all their digits, None as an empty field."""
    _replace(path, frame(rows).to_csv(index=False, lineterminator="\n"))


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
