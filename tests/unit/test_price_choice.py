"""Which price enters, and with which range."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from simulator.costs.price_book import Price
from simulator.costs.price_choice import PriceList


def price(usd: float, date: str = "2025-03", **more: Any) -> Price:
    given: dict[str, Any] = {
        "item": "x",
        "scope": "node",
        "kind": "street",
        "currency": "USD",
        "source": f"{usd}",
        "verified": True,
    }
    return Price(**{**given, "price": usd, "date": date, **more})


def hour(usd: float, kind: str, date: str = "2025-03") -> Price:
    return price(usd, date, scope="instance_hour", kind=kind)


def chosen(*book: Price, **more: Any) -> float | None:
    found = PriceList(book=book, **more).to_buy("x", "node")
    return None if found is None else found.usd


def test_the_newest_price_enters() -> None:
    assert chosen(price(3, "2024-01"), price(1, "2025-02-28"), price(2, "2025-02")) == 1


def test_a_checked_price_beats_a_newer_one_that_nobody_checked() -> None:
    assert chosen(price(3, "2025-06", verified=False), price(1, "2025-01")) == 1


def test_an_outdated_price_loses_to_one_that_nobody_checked() -> None:
    assert chosen(price(3, "2020"), price(1, "2025-01", verified=False)) == 1
    assert chosen(price(3, "2020")) == 3
    found = PriceList(book=[price(3, "2020"), price(1, "2025", item="y")]).to_buy("x", "node")
    assert found is not None
    assert found.old


def test_on_one_day_a_street_price_beats_a_list_price_and_the_middle_one_its_like() -> None:
    assert chosen(price(9, kind="list"), price(5), price(7), price(6)) == 6
    assert chosen(price(5), price(7)) == 5  # of an even number the lower middle
    assert chosen(price(9, kind="list"), price(20)) == 20


def test_the_range_reaches_over_the_quotes_and_the_other_kind_of_comparable_time() -> None:
    book = [price(10, "2025-03", low=9, high=12), price(15, "2024-06", kind="list"), price(99, "2020-01", kind="list")]
    found = PriceList(book=book).to_buy("x", "node")
    assert found is not None
    assert (found.usd, found.low_usd, found.high_usd) == (10, 9, 15)
    assert found.has_range
    alone = PriceList(book=[price(10)]).to_buy("x", "node")
    assert alone is not None
    assert (alone.low_usd, alone.high_usd, alone.has_range) == (10, 10, False)


def test_a_scope_is_not_another() -> None:
    book = [price(10, scope="chip"), price(70, scope="board")]
    prices = PriceList(book=book)
    assert prices.to_buy("x", "node") is None
    assert prices.why_not("x", "node") == "x has no node price in the price book (it has one per board, chip)"
    assert prices.why_not("y", "node") == "y has no node price in the price book"


def test_what_is_sold_has_no_rent_and_what_is_rented_is_not_sold() -> None:
    assert PriceList(book=[price(10)]).to_rent("x") is None
    assert PriceList(book=[hour(10, "on_demand")]).to_buy("x", "node") is None


def test_spot_enters_only_when_asked_for() -> None:
    prices = PriceList(book=[hour(1, "spot"), hour(2, "reserved")])
    assert prices.to_rent("x") is None
    assert prices.why_not("x", "instance_hour") == "x has reserved, spot prices of an hour only, none on_demand"
    for kind, usd in (("spot", 1), ("reserved", 2)):
        found = prices.to_rent("x", kind)  # type: ignore[arg-type]
        assert found is not None
        assert found.usd == usd
    both = PriceList(book=[hour(1, "spot", "2026"), hour(5, "on_demand", "2025")]).to_rent("x")
    assert both is not None
    assert both.usd == 5


def test_another_currency_needs_a_rate() -> None:
    book = [price(100, currency="EUR", low=90, high=110)]
    assert chosen(*book) is None
    assert PriceList(book=book).why_not("x", "node") == "x has a node price in EUR only: give cost.usd_per.EUR"
    found = PriceList(book=book, usd_per={"EUR": 1.5}).to_buy("x", "node")
    assert found is not None
    assert (found.usd, found.low_usd, found.high_usd) == (150, 135, 165)
    with pytest.raises(ValueError, match=r"usd_per.EUR must be finite and > 0, got 0"):
        PriceList(book=book, usd_per={"EUR": 0.0})


def test_so_many_together_cost_so_many_times_as_much() -> None:
    found = PriceList(book=[price(10, low=8, high=16)]).to_buy("x", "node")
    assert found is not None
    assert (found.times(8).usd, found.times(8).low_usd, found.times(8).high_usd) == (80, 64, 128)
    assert found.amount.high_usd == 16


def test_the_age_of_a_book_is_that_of_its_newest_price() -> None:
    assert PriceList(book=[price(1, "2024"), price(1, "2025-03")]).newest == datetime.date(2025, 3, 1)
    assert PriceList(book=[]).newest is None
