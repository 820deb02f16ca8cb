"""Numbers of a shipped TOML file as they are written: value in base units, and half a unit of the last digit."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["entry", "value", "written"]

SCENARIOS = Path(__file__).parents[2] / "scenarios"
UNITS = {"s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "Gbit/s": Decimal("1.25e8"), "TFLOP/s": Decimal("1e12")}


@cache
def shipped(file: str) -> dict[str, Any]:
    """Parse a file below scenarios/, its numbers as Decimal so that the digits written are known."""
    return tomllib.loads((SCENARIOS / f"{file}.toml").read_text(encoding="ascii"), parse_float=Decimal)


def entry(file: str, path: str) -> Any:
    """Return what stands at a path of keys, joined by slashes."""
    found: Any = shipped(file)
    for key in path.split("/"):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def written(file: str, path: str, part: str = "value") -> tuple[float, float]:
    """Return a shipped number in base units and half a unit of its last digit."""
    found = entry(file, path)
    if isinstance(found, dict):
        found = found[part]
    text, _, unit = str(found).partition(" ")
    number, scale = Decimal(text), UNITS[unit] if unit else Decimal(1)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return float(number * scale), float(Decimal(5).scaleb(exponent - 1) * scale)


def value(file: str, path: str) -> float:
    """Return a shipped number in base units."""
    return written(file, path)[0]
