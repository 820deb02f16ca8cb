"""Which price of the book enters an answer, in dollars, with its range: one rule for everything that is bought or rented.

Of the prices of an item with the wanted scope and kind of sale, in a currency with a known rate, the one that enters is

1. not outdated (more than three years before the newest price of the book) where there is such a one,
2. then checked by somebody, where there is such a one,
3. then the newest; of several of that day a street price before a list price, then the middle one.

What is bought is priced by list and street prices, what is rented by one kind of hour: on_demand unless another is asked for.
A spot price never enters unless it is asked for by name. What has no such price has none: it is never taken as free.

The range reaches over the price's own low and high and, of what is bought, over the newest price of the other kind within two
years. A price without either has no range: both ends are the price.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from simulator.costs.amounts import Amount
from simulator.costs.price_book import BOUGHT, Price, first_day, outdated, prices_for
from simulator.quantities import positive

__all__ = ["NOT_STATED", "PriceList", "RentKind", "UnitPrice"]

RentKind = Literal["on_demand", "reserved", "spot"]
NOT_STATED = "not stated"
"""Date or source of a price of which the file says none."""
COMPARABLE_DAYS = 2 * 365.25
"""List and street prices of hardware that are further apart do not speak of the same market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrice:
    """What one of something costs, in dollars.

    Parameters
    ----------
    item, scope, kind : str
        As in the price book.
    usd, low_usd, high_usd : float
        Dollars for one, and the ends of its range. > 0, low <= usd <= high.
    date, source : str
        Of the quote.
    verified : bool
        Whether somebody checked it.
    old : bool
        Whether it is outdated: more than three years before the newest of the book.
    notes : str, optional
        Of the book.
    currency : str
        In which it was quoted; the dollars are those of the rate that was given.
    together : float
        How many of the item the dollars are for: of a rented node that has no price of its own, its accelerators.
    """

    item: str
    scope: str
    kind: str
    usd: float
    low_usd: float
    high_usd: float
    date: str
    source: str
    verified: bool
    old: bool = False
    notes: str | None = None
    currency: str = "USD"
    together: float = 1.0

    @property
    def called(self) -> str:
        """What the dollars are for: "h100-sxm", "8 x h100-sxm"."""
        return self.item if self.together == 1.0 else f"{self.together:g} x {self.item}"

    @property
    def quoted(self) -> str:
        """When it was quoted, and in which currency where that is another one than dollars."""
        return self.date if self.currency == "USD" else f"{self.date}, in {self.currency}"

    @property
    def has_range(self) -> bool:
        """Whether anything is known of how prices differ."""
        return self.low_usd < self.high_usd

    @property
    def amount(self) -> Amount:
        """The price with its range."""
        return Amount.between(self.usd, self.low_usd, self.high_usd)

    def times(self, count: float) -> UnitPrice:
        """Return the price of so many together, as of eight accelerators of one instance."""
        ends = {name: getattr(self, name) * count for name in ("usd", "low_usd", "high_usd", "together")}
        return dataclasses.replace(self, **ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """The price book as an answer uses it.

    Parameters
    ----------
    book : sequence of Price
        As loaded.
    usd_per : mapping of str to float
        Dollars for one of another currency; prices in currencies that are not in it do not enter.
    """

    book: Sequence[Price]
    usd_per: Mapping[str, float] = field(default_factory=dict)
    _quotes: Mapping[str, Sequence[tuple[Price, bool]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for currency, rate in self.usd_per.items():
            positive(f"usd_per.{currency}", rate)
        quotes: dict[str, list[tuple[Price, bool]]] = {}  # by item, each with whether it is outdated
        for price, old in zip(self.book, outdated(self.book), strict=True):
            quotes.setdefault(price.item, []).append((price, old))
        object.__setattr__(self, "_quotes", quotes)

    @property
    def newest(self) -> datetime.date | None:
        """Date of the newest price."""
        return max((first_day(price.date) for price in self.book), default=None)

    def to_buy(self, item: str, scope: str) -> UnitPrice | None:
        """Return the price of an item that is bought, or None where it has none that may enter.

        Examples
        --------
        >>> t4 = Price(item="t4", scope="chip", kind="list", currency="USD", price=2299, date="2018", source="-", verified=True)
        >>> prices = PriceList(book=[t4])
        >>> prices.to_buy("t4", "chip").usd, prices.to_buy("t4", "node")
        (2299.0, None)
        """
        return self._chosen(item, scope, BOUGHT)

    def to_rent(self, item: str, kind: RentKind = "on_demand") -> UnitPrice | None:
        """Return the price of an hour of an item, or None where it has none of this kind."""
        return self._chosen(item, "instance_hour", (kind,))

    def why_not(self, item: str, scope: str, kind: RentKind = "on_demand") -> str:
        """Say why an item has no price that may enter."""
        kinds = (kind,) if scope == "instance_hour" else BOUGHT
        words = "hour" if scope == "instance_hour" else scope
        there = prices_for(self.book, item, scope=scope)
        of_kind = [price for price in there if price.kind in kinds]
        if of_kind:
            foreign = sorted({price.currency for price in of_kind} - {"USD", *self.usd_per})
            return f"{item} has a {words} price in {', '.join(foreign)} only: give cost.usd_per.{foreign[0]}"
        if there:
            return f"{item} has {', '.join(sorted({price.kind for price in there}))} prices of an hour only, none {kind}"
        others = sorted({price.scope for price in prices_for(self.book, item)})
        beside = f" (it has one per {', '.join(others)})" if others else ""
        return f"{item} has no {words} price in the price book{beside}"

    def _rate(self, price: Price) -> float | None:
        return 1.0 if price.currency == "USD" else self.usd_per.get(price.currency)

    def _chosen(self, item: str, scope: str, kinds: Sequence[str]) -> UnitPrice | None:
        usable = [
            (price, old)
            for price, old in self._quotes.get(item, ())
            if price.scope == scope and price.kind in kinds and self._rate(price)
        ]
        if not usable:
            return None

        def rank(quote: tuple[Price, bool]) -> tuple[bool, bool, int, bool]:
            price, old = quote
            return old, not price.verified, -first_day(price.date).toordinal(), price.kind == "list"

        best = min(map(rank, usable))
        equals = sorted((quote for quote in usable if rank(quote) == best), key=lambda quote: self._usd(quote[0]))
        chosen, aged = equals[(len(equals) - 1) // 2]
        others = self._other_kind(chosen, [price for price, _ in usable])
        low, high = self._range([*(price for price, _ in equals), *others])
        return UnitPrice(
            item=item,
            scope=scope,
            kind=chosen.kind,
            usd=self._usd(chosen),
            low_usd=low,
            high_usd=high,
            date=chosen.date,
            source=chosen.source,
            verified=chosen.verified,
            old=aged,
            notes=chosen.notes,
            currency=chosen.currency,
        )

    def _usd(self, price: Price) -> float:
        return price.price * (self._rate(price) or 1.0)

    def _other_kind(self, chosen: Price, usable: Sequence[Price]) -> list[Price]:
        """Return the newest price of each other kind, where it is of a comparable time."""
        day = first_day(chosen.date)
        near = [price for price in usable if abs((first_day(price.date) - day).days) <= COMPARABLE_DAYS]
        newest = {}
        for price in sorted(near, key=lambda price: first_day(price.date)):
            newest[price.kind] = price
        return [price for kind, price in newest.items() if kind != chosen.kind]

    def _range(self, quotes: Sequence[Price]) -> tuple[float, float]:
        ends = [end * (self._rate(price) or 1.0) for price in quotes for end in (price.price, price.low, price.high) if end]
        return min(ends), max(ends)
