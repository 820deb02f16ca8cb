"""The price book: what hardware and instance hours cost, each price with its currency, range, date and source."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import Fault, ScenarioError
from simulator.messages import did_you_mean, shown
from simulator.tables import Column, read_rows

__all__ = ["KINDS", "SCOPES", "Price", "first_day", "load_price_book", "outdated", "prices_for"]

BOUGHT, RENTED = ("list", "street"), ("on_demand", "reserved", "spot")
SCOPES = ("chip", "board", "node", "switch", "cable", "nic", "instance_hour")
"""What a price buys one of: an accelerator, a board of them, a whole server, a switch, a cable, a NIC, an hour."""
KINDS = (*BOUGHT, *RENTED)
"""How it is sold: the vendor's or a seller's list, a quote or estimate; by the hour: without, with commitment, or revocable."""
OLD_YEARS = 3.0
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """One price of the book.

    Parameters
    ----------
    item : str
        What is sold: the id of a hardware profile wherever there is one.
    scope : str
        What one `price` buys, one of SCOPES. An `instance_hour` of a node is the whole instance, of an accelerator one of them.
    kind : str
        How it is sold, one of KINDS: on_demand, reserved and spot are prices of an instance_hour, list and street of all else.
    currency : str
        Three letters (ISO 4217), such as USD; nothing is converted.
    price : float
        In `currency`, for one. > 0.
    low, high : float, optional
        Ends of the quotes for the same in a comparable period; both or neither. 0 < low <= price <= high.
    date : str
        Day, month or year of the quote: 2025-03-17, 2025-03 or 2025.
    source : str
        Where the quote stands.
    verified : bool
        Whether somebody checked it there.
    notes : str, optional
        What else to know: seller, region, term, what the range is that of.

    Raises
    ------
    ValueError
        With name, rule and value.
    """

    item: str
    scope: str
    kind: str
    currency: str
    price: float
    low: float | None = None
    high: float | None = None
    date: str
    source: str
    verified: bool
    notes: str | None = None

    def __post_init__(self) -> None:
        for name, rule in COLUMNS.items():
            value = getattr(self, name)
            if rule.kind == "flag":
                if not isinstance(value, bool):
                    raise TypeError(f"{name} must be True or False, got {value!r}")
            else:
                try:
                    rule.value("" if value is None else str(value))
                except ValueError as error:
                    raise ValueError(f"{name} {error}") from None
        for name, fault in _contradictions(self.scope, self.kind, self.price, self.low, self.high):
            raise ValueError(f"{name} {fault}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Date(Column):
    """A column of dates: a day, a month or a year."""

    def value(self, cell: str) -> str:
        text: str = Column.value(self, cell)
        first_day(text)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Currency(Column):
    """A column of currencies: three capital letters."""

    def value(self, cell: str) -> str:
        text: str = Column.value(self, cell)
        if not CURRENCY.fullmatch(text):
            raise ValueError(f"must be a currency in three capital letters, such as USD, got {shown(text)}")
        return text


COLUMNS: dict[str, Column] = {
    "item": Column(kind="text"),
    "scope": Column(kind="text", choices=SCOPES),
    "kind": Column(kind="text", choices=KINDS),
    "currency": _Currency(kind="text"),
    "price": Column(above=0.0),
    "low": Column(above=0.0, empty=True),
    "high": Column(above=0.0, empty=True),
    "date": _Date(kind="text"),
    "source": Column(kind="text"),
    "verified": Column(kind="flag"),
    "notes": Column(kind="text", needed=False, empty=True),
}
"""The columns of a price book; only the last may be missing."""


def first_day(date: str) -> datetime.date:
    """Return the first day of a date that gives a day, a month or a year.

    Raises
    ------
    ValueError
        If there is no such date.

    Examples
    --------
    >>> first_day("2025-03").isoformat()
    '2025-03-01'
    """
    if DATE.fullmatch(date):
        try:
            return datetime.date.fromisoformat(date + {4: "-01-01", 7: "-01", 10: ""}[len(date)])
        except ValueError:
            pass
    raise ValueError(f"must be a date such as 2025-03-17, 2025-03 or 2025, got {shown(date)}")


def _contradictions(scope: str, kind: str, price: float, low: float | None, high: float | None) -> list[tuple[str, str]]:
    """Return what the cells of one row say against each other: (column, rule, with the value)."""
    found = []
    allowed = RENTED if scope == "instance_hour" else BOUGHT
    if kind not in allowed:
        found.append(("kind", f"must be one of {', '.join(allowed)} for scope {scope}, got {shown(kind)}"))
    if (low is None) != (high is None):
        found.append(("high" if high is None else "low", "must not be empty where the other end of the range is given"))
    if low is not None and low > price:
        found.append(("low", f"must be at most the price, {price:.10g}, got {low:.10g}"))
    if high is not None and high < price:
        found.append(("high", f"must be at least the price, {price:.10g}, got {high:.10g}"))
    return found


def load_price_book(path: Path, *, name: str | None = None) -> tuple[Price, ...]:
    """Load a price book.

    Parameters
    ----------
    path : Path
        A CSV file with the columns item, scope, kind, currency, price, low, high, date, source, verified and, if wanted, notes.
    name : str, optional
        How messages call the file; the path by default.

    Returns
    -------
    tuple of Price
        In the order of the file.

    Raises
    ------
    ScenarioError
        With every fault: file, line and column, rule, value. What the cells of a row say against each other is looked at
        once every cell is sound.
    """
    called = name or str(path)
    book: list[Price] = []
    faults: list[Fault] = []
    seen: dict[tuple[Any, ...], int] = {}
    for row in read_rows(path, COLUMNS, name=called):
        line = row.pop("line")
        wrong = _contradictions(row["scope"], row["kind"], row["price"], row["low"], row["high"])
        faults += [Fault(called, f"line {line}, {column}", rule) for column, rule in wrong]
        key = tuple(row.values())
        if key in seen:
            faults.append(Fault(called, f"line {line}", f"must not repeat a row, got line {seen[key]} again"))
        seen.setdefault(key, line)
        if not wrong:
            book.append(Price(**row))
    if faults:
        raise ScenarioError(faults)
    return tuple(book)


def prices_for(book: Sequence[Price], item: str, scope: str | None = None, kind: str | None = None) -> tuple[Price, ...]:
    """Return the prices of an item, the newest first.

    Parameters
    ----------
    book : sequence of Price
        As loaded.
    item : str
        Id of a profile, or another item of the book; none of its prices is an empty answer, not an error.
    scope, kind : str, optional
        Only prices of this scope, of this kind.

    Raises
    ------
    ValueError
        If there is no such scope or kind.

    Examples
    --------
    >>> book = [
    ...     Price(item="t4", scope="chip", kind="list", currency="USD", price=1.0, date=date, source="-", verified=True)
    ...     for date in ("2018", "2025-03-17")
    ... ]
    >>> [found.date for found in prices_for(book, "t4", scope="chip")], prices_for(book, "t4", kind="street")
    (['2025-03-17', '2018'], ())
    """
    for name, value, known in (("scope", scope, SCOPES), ("kind", kind, KINDS)):
        if value is not None and value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {shown(value)}{_hint(value, known)}")
    found = [
        price
        for price in book
        if price.item == item and (scope is None or price.scope == scope) and (kind is None or price.kind == kind)
    ]
    return tuple(sorted(found, key=lambda price: first_day(price.date), reverse=True))


def _hint(word: str, known: Sequence[str]) -> str:
    hint = did_you_mean(word, known)
    return hint if "did you mean" in hint else ""


def outdated(book: Sequence[Price], years: float = OLD_YEARS) -> tuple[bool, ...]:
    """Say of every price whether it was more than so many years old when the newest of the book was quoted.

    Parameters
    ----------
    book : sequence of Price
        As loaded; a month or a year counts as its first day.
    years : float
        Of 365.25 days.

    Examples
    --------
    >>> book = [
    ...     Price(item="t4", scope="chip", kind="list", currency="USD", price=1.0, date=date, source="-", verified=True)
    ...     for date in ("2018", "2025-03-17")
    ... ]
    >>> outdated(book)
    (True, False)
    """
    days = [first_day(price.date) for price in book]
    newest = max(days, default=None)
    return tuple(newest is not None and (newest - day).days > years * 365.25 for day in days)
