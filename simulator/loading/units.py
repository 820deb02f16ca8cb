"""Numbers with units: what a data sheet says becomes seconds, bytes, samples, dollars or watts, once, here."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from simulator.messages import did_you_mean, shown

__all__ = ["quantity", "unit_of"]

LARGEST_NUMBER = 1e30
"""Beyond this no quantity of this field lies; refusing it keeps every product finite."""
SMALLEST_NUMBER = 1e-30
"""Below this, but for 0, none lies either; refusing it keeps every quotient finite."""

DECIMAL = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
COUNTS = ("sample", "update")
"""Counting units: they may be left out of a string, "306 us" for "306 us/sample"."""

SUFFIX_UNITS = {
    "_usd_per_node_hour": "USD/hour",
    "_usd_per_kwh": "USD/kWh",
    "_usd_per_node": "USD",
    "_usd_per_learner": "USD",
    "_w_per_learner": "W",
    "_bytes_per_s": "B/s",
    "_samples_per_s": "sample/s",
    "_flop_per_s": "FLOP/s",
    "_flop_per_sample": "FLOP/sample",
    "_s_per_sample": "s/sample",
    "_samples_range": "sample",
    "_samples": "sample",
    "_updates": "update",
    "_bytes": "B",
    "_usd": "USD",
    "_flop": "FLOP",
    "_doubling_s": "s",
    "_w": "W",
    "_s": "s",
}
"""The unit that a key names by how it ends; the longest ending that fits counts."""


def unit_of(key: str) -> str | None:
    """Return the unit that a key of a file names, or None for a count or a pure ratio.

    Examples
    --------
    >>> unit_of("bandwidth_bytes_per_s"), unit_of("samples"), unit_of("nodes")
    ('B/s', 'sample', None)
    """
    name = f"_{key}"
    return next((unit for suffix, unit in SUFFIX_UNITS.items() if name.endswith(suffix)), None)


def _definitions() -> list[str]:
    """Unit definitions of the small registry: nothing else is understood, so a slip is never read as something else."""
    lines = [
        "s = [time]",
        "ms = 1e-3 s",
        "us = 1e-6 s",
        "ns = 1e-9 s",
        "min = 60 s",
        "hour = 3600 s",
        "day = 86400 s",
        "year = 365.25 day",
        "bit = [information]",
        "B = 8 bit",
        "sample = [sample]",
        "update = [update]",
        "FLOP = [operation]",
        "W = [power]",
        "kWh = 3.6e6 W * s",
        "MWh = 3.6e9 W * s",
        "USD = [money]",
    ]
    for prefix, factor in DECIMAL.items():
        lines += [f"{prefix}{unit} = {factor} {unit}" for unit in ("B", "bit", "FLOP")]
    lines += [f"{prefix}W = {DECIMAL[prefix]} W" for prefix in ("k", "M", "G")]
    for prefix, binary_factor in BINARY.items():
        lines += [f"{prefix}{unit} = {binary_factor} {unit}" for unit in ("B", "bit")]
    return lines


ALIASES = {
    "byte": "B",
    "bytes": "B",
    "bits": "bit",
    "seconds": "s",
    "second": "s",
    "minute": "min",
    "minutes": "min",
    "h": "hour",
    "hours": "hour",
    "d": "day",
    "days": "day",
    "years": "year",
    "samples": "sample",
    "updates": "update",
    "FLOPs": "FLOP",
}
QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s].*)?\s*")
UNIT = re.compile(r"[A-Za-z]+(?:\s*[/*]\s*[A-Za-z]+)*")


@lru_cache(maxsize=1)
def _registry() -> Any:
    """Return the unit registry: an own small one of pint, without pint's default units."""
    import pint

    registry: Any = pint.UnitRegistry(None, cache_folder=None)
    for line in _definitions():
        registry.define(line)
    return registry


@lru_cache(maxsize=1)
def _known_units() -> frozenset[str]:
    return frozenset(line.split(" = ")[0] for line in _definitions()) | set(ALIASES)


@lru_cache(maxsize=512)
def _factor(text: str, unit: str) -> float:
    """Return what one `text` (a unit as written) is in `unit`; ValueError with what to write instead."""
    if re.fullmatch(r"[\u00b5\u03bc]s", text.strip()):
        raise ValueError(f"unit {text.strip()!r} is not known; write 'us'")
    if not UNIT.fullmatch(text.strip()):
        raise ValueError(f"unit {text.strip()!r} is not understood; write it like {unit!r}")
    words = re.findall(r"[A-Za-z]+", text)
    for word in words:
        if word not in _known_units():
            alike = sorted(unit for unit in _known_units() if unit.lower() in (word.lower(), word.lower().removesuffix("s")))
            near = f"; did you mean {alike[0]!r}?" if alike else did_you_mean(word, _known_units()) if len(word) > 1 else ""
            if re.fullmatch(r"[kMGT]b(ps)?", word) or word in {"G", "Gb", "T", "M"}:
                big = word[0] if word[0] != "b" else ""
                near = f"; write '{big}bit/s' or '{big}B/s' for a rate, '{big}B' for a size"
            elif word in {"m", "sec", "secs", "hr", "hrs"}:
                near = "; write 's', 'min' or 'hour'"
            raise ValueError(f"unit {word!r} is not known{near or f'; write it like {unit!r}'}")
    for word in set(words) & set(ALIASES):
        text = re.sub(rf"\b{word}\b", ALIASES[word], text)
    registry = _registry()
    given, wanted = registry.parse_units(text), registry.parse_units(unit)
    for counted in _without_counts(unit):
        target = registry.parse_units(counted)
        if given.dimensionality == target.dimensionality:
            return float(registry.Quantity(1.0, given).to(target).magnitude)
    raise ValueError(f"unit {text.strip()!r} cannot become {wanted:~}")


def _without_counts(unit: str) -> list[str]:
    """Return the unit and, where it is per sample or per update, what remains without these."""
    numerator, _, denominator = unit.partition("/")
    return [unit, numerator] if denominator in COUNTS else [unit]


def quantity(key: str, value: Any) -> float:
    """Return the number that a file gives for `key`, in the unit that the key names.

    Parameters
    ----------
    key : str
        Name of the key; how it ends says the unit.
    value : int, float or str
        A bare number in that unit, or a string with a unit, "100 Gbit/s".

    Returns
    -------
    float
        Finite, in seconds, bytes, bytes/s, samples, dollars or watts.

    Raises
    ------
    ValueError
        For anything else; the text has the rule and the value.

    Examples
    --------
    >>> quantity("bandwidth_bytes_per_s", "100 Gbit/s")
    12500000000.0
    """
    unit = unit_of(key)
    if isinstance(value, str) and value.lower() in {"inf", "infinity", "nan"}:
        raise ValueError(f"must be a finite number, got {shown(value)}")
    if isinstance(value, str):
        if unit is None:
            raise ValueError(f"must be a number, got {shown(value)}")
        match = QUANTITY.fullmatch(value) if len(value) <= 100 else None
        if match is None:
            raise ValueError(f"must be a number with a unit like '1 {unit}', got {shown(value)}")
        number, text = float(match[1].replace("_", "")), match[2]
        if text is None:
            raise ValueError(f"must be a bare number, or a string with a unit like '{match[1]} {unit}', got {shown(value)}")
        try:
            number *= _factor(text, unit)
        except ValueError as error:
            raise ValueError(f"{error}, got {shown(value)}") from None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        wanted = f"a number in {unit} or a string with a unit" if unit else "a number"
        raise ValueError(f"must be {wanted}, got {shown(value)}")
    else:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if key == "exponent" and isinstance(value, float) and value == math.inf:
        return number  # the one number that may be infinite: the exponent of an overlap
    if not math.isfinite(number):
        raise ValueError(f"must be a finite number, got {shown(value)}")
    if 0.0 < abs(number) < SMALLEST_NUMBER:
        raise ValueError(f"must be 0 or at least {SMALLEST_NUMBER:g} in size, got {shown(value)}")
    if abs(number) > LARGEST_NUMBER:
        raise ValueError(f"must be at most {LARGEST_NUMBER:g} in size, got {shown(value)}")
    return number
