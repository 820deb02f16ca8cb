"""Checks that the sections of a scenario share."""

from __future__ import annotations

from typing import Any, Literal

from simulator.quantities import positive, whole

__all__ = ["PROVENANCE_ENVELOPE", "Best", "at_least_one", "check", "share", "whole_from_zero"]

PROVENANCE_ENVELOPE = ("source", "date", "verified", "notes")
"""Keys of a table that say where its numbers come from."""

Best = Literal["best"]
"""The word in place of a number that is to be searched."""


def check(section: Any, **rules: Any) -> None:
    """Apply a check of `quantities` to each named field that is a number."""
    for name, rule in rules.items():
        value = getattr(section, name)
        if value is not None and not isinstance(value, str):
            rule(name, value)


def whole_from_zero(name: str, value: Any) -> None:
    """Check that `value` is a whole number >= 0."""
    whole(name, value, lowest=0)


def at_least_one(name: str, value: Any) -> None:
    """Check that every number of `value` is >= 1."""
    if positive(name, value).min() < 1:
        raise ValueError(f"{name} must be >= 1, got {float(positive(name, value).min()):g}")


def share(name: str, value: Any) -> None:
    """Check that `value` is a share of something that happens at all: > 0 and at most 1."""
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be > 0 and at most 1, got {value:g}")
