from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.costs.price_book import COLUMNS, KINDS, SCOPES, Price, first_day, load_price_book, outdated, prices_for
from simulator.errors import ScenarioError
from tests.support import written

HEADER = "item,scope,kind,currency,price,low,high,date,source,verified,notes"
ROW = "t4,chip,street,USD,1500,1200,1800,2024-03-21,a shop,yes,used"
GOOD: dict[str, Any] = {
    "item": "t4",
    "scope": "chip",
    "kind": "street",
    "currency": "USD",
    "price": 1500.0,
    "low": 1200.0,
    "high": 1800.0,
    "date": "2024-03-21",
    "source": "a shop",
    "verified": True,
    "notes": "used",
}


def book_of(tmp_path: Path, *rows: str, header: str = HEADER) -> tuple[Price, ...]:
    return load_price_book(written(tmp_path, "\n".join([header, *rows, ""]), "book.csv"), name="book.csv")


def faults(tmp_path: Path, *rows: str, header: str = HEADER) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        book_of(tmp_path, *rows, header=header)
    return [str(fault) for fault in caught.value.faults]


def test_a_row_becomes_a_price(tmp_path: Path) -> None:
    assert book_of(tmp_path, ROW) == (Price(**GOOD),)


def test_range_and_notes_may_be_empty_and_notes_missing(tmp_path: Path) -> None:
    bare = Price(**{**GOOD, "low": None, "high": None, "notes": None})
    assert book_of(tmp_path, "t4,chip,street,USD,1500,,,2024-03-21,a shop,yes,") == (bare,)
    short = "t4,chip,street,USD,1500,,,2024-03-21,a shop,yes"
    assert book_of(tmp_path, short, header=HEADER.removesuffix(",notes")) == (bare,)


def test_the_columns_of_a_book_are_the_fields_of_a_price() -> None:
    assert list(COLUMNS) == HEADER.split(",") == list(Price.__slots__)


FAULTS = [
    ("t4,chip", ",chip", "item", "must not be empty"),
    ("chip", "gpu", "scope", "must be one of chip, board, node, switch, cable, nic, instance_hour, got 'gpu'"),
    ("street", "msrp", "kind", "must be one of list, street, on_demand, reserved, spot, got 'msrp'"),
    ("street", "spot", "kind", "must be one of list, street for scope chip, got 'spot'"),
    ("chip", "instance_hour", "kind", "must be one of on_demand, reserved, spot for scope instance_hour, got 'street'"),
    ("USD", "usd", "currency", "must be a currency in three capital letters, such as USD, got 'usd'"),
    ("USD", "", "currency", "must not be empty"),
    (",1500,", ",0,", "price", "must be a number > 0, got '0'"),
    (",1500,", ",-3,", "price", "must be a number > 0, got '-3'"),
    (",1500,", ",nan,", "price", "must be a number > 0, got 'nan'"),
    (",1500,", ",$1500,", "price", "must be a number > 0, got '$1500'"),
    (",1500,", ",,", "price", "must not be empty"),
    (",1200,", ",0,", "low", "must be a number > 0, got '0'"),
    (",1800,", ",x,", "high", "must be a number > 0, got 'x'"),
    (",1200,", ",1501,", "low", "must be at most the price, 1500, got 1501"),
    (",1800,", ",1499.5,", "high", "must be at least the price, 1500, got 1499.5"),
    (",1200,", ",,", "low", "must not be empty where the other end of the range is given"),
    (",1800,", ",,", "high", "must not be empty where the other end of the range is given"),
    ("2024-03-21", "21.3.2024", "date", "must be a date such as 2025-03-17, 2025-03 or 2025, got '21.3.2024'"),
    ("2024-03-21", "2024-02-30", "date", "must be a date such as 2025-03-17, 2025-03 or 2025, got '2024-02-30'"),
    ("2024-03-21", "2024-13", "date", "must be a date such as 2025-03-17, 2025-03 or 2025, got '2024-13'"),
    ("2024-03-21", "", "date", "must not be empty"),
    ("a shop", "", "source", "must not be empty"),
    (",yes,", ",maybe,", "verified", "must be yes or no, got 'maybe'"),
    (",yes,", ",,", "verified", "must not be empty"),
]


@pytest.mark.parametrize(("old", "new", "column", "rule"), FAULTS)
def test_a_fault_is_named_with_line_and_column(tmp_path: Path, old: str, new: str, column: str, rule: str) -> None:
    assert ROW.count(old) == 1
    assert faults(tmp_path, ROW, ROW.replace(old, new)) == [f"book.csv: line 3, {column}: {rule}"]


def test_faults_of_all_rows_are_found_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, ROW.replace("USD", "$"), ROW.replace("1500", "0").replace("2024-03-21", "soon"))
    assert [fault.split(": ")[1] for fault in found] == ["line 2, currency", "line 3, price", "line 3, date"]
    both = faults(tmp_path, ROW.replace("1500", "1900"), ROW.replace("1500", "1100").replace("street", "reserved"))
    assert [fault.split(": ")[1] for fault in both] == ["line 2, high", "line 3, kind", "line 3, low"]


def test_a_row_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    assert faults(tmp_path, ROW, ROW) == ["book.csv: line 3: must not repeat a row, got line 2 again"]


@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "notes"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    header = HEADER.replace(column, f"{column}_x")
    assert faults(tmp_path, ROW, header=header) == [f"book.csv: {column}: is missing; did you mean '{column}_x'?"]


def test_a_book_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.csv: no such file"):
        load_price_book(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"item": ""}, "item must not be empty"),
        ({"scope": "gpu"}, "scope must be one of chip, board, node"),
        ({"kind": "on_demand"}, "kind must be one of list, street for scope chip, got 'on_demand'"),
        ({"currency": "Dollar"}, "currency must be a currency in three capital letters, such as USD, got 'Dollar'"),
        ({"price": 0.0}, r"price must be a number > 0, got '0\.0'"),
        ({"price": float("inf")}, "price must be a number > 0, got 'inf'"),
        ({"low": -1.0}, r"low must be a number > 0, got '-1\.0'"),
        ({"low": 1501.0}, "low must be at most the price, 1500, got 1501"),
        ({"high": 1499.0}, "high must be at least the price, 1500, got 1499"),
        ({"high": None}, "high must not be empty where the other end of the range is given"),
        ({"date": "yesterday"}, "date must be a date such as 2025-03-17, 2025-03 or 2025, got 'yesterday'"),
        ({"source": ""}, "source must not be empty"),
    ],
)
def test_a_price_is_checked_wherever_it_is_made(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        Price(**{**GOOD, **change})


def test_verified_is_yes_or_no_and_nothing_else() -> None:
    with pytest.raises(TypeError, match="verified must be True or False, got 'no'"):
        Price(**{**GOOD, "verified": "no"})


def test_prices_of_an_item_come_newest_first(tmp_path: Path) -> None:
    book = book_of(
        tmp_path,
        *(ROW.replace("2024-03-21", date) for date in ("2023", "2024-03", "2024-02-29")),
        ROW.replace("chip", "instance_hour").replace("street", "spot"),
        ROW.replace("t4", "a10g"),
    )
    assert [price.date for price in prices_for(book, "t4")] == ["2024-03-21", "2024-03", "2024-02-29", "2023"]
    assert [price.kind for price in prices_for(book, "t4", scope="instance_hour")] == ["spot"]
    assert len(prices_for(book, "t4", scope="chip", kind="street")) == 3
    assert prices_for(book, "t4", kind="reserved") == ()
    assert prices_for(book, "none") == ()


def test_an_unknown_scope_or_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scope must be one of chip, .*, got 'chips'; did you mean 'chip'"):
        prices_for([], "t4", scope="chips")
    with pytest.raises(ValueError, match=r"kind must be one of list, street, on_demand, reserved, spot, got 'x'$"):
        prices_for([], "t4", kind="x")


def test_a_price_is_outdated_three_years_before_the_newest() -> None:
    dates = ["2026-08-06", "2023-08-07", "2023-08-06", "2023-08", "2020"]
    book = [Price(**{**GOOD, "date": date}) for date in dates]  # three years are 1095.75 days
    assert outdated(book) == (False, False, True, True, True)
    assert outdated(book, years=2.9) == (False, True, True, True, True)
    assert outdated([]) == ()


def test_a_date_without_day_or_month_is_its_first_day() -> None:
    assert [first_day(date) for date in ("2024", "2024-02", "2024-02-29")] == [
        datetime.date(2024, 1, 1),
        datetime.date(2024, 2, 1),
        datetime.date(2024, 2, 29),
    ]


amounts = st.floats(min_value=1e-3, max_value=1e9)


@given(st.lists(amounts, min_size=3, max_size=3).map(sorted), st.sampled_from(SCOPES), st.sampled_from(KINDS), st.booleans())
def test_a_sound_price_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, ends: list[float], scope: str, kind: str, verified: bool
) -> None:
    if (scope == "instance_hour") != (kind in ("on_demand", "reserved", "spot")):
        return
    price = Price(
        **{**GOOD, "scope": scope, "kind": kind, "low": ends[0], "price": ends[1], "high": ends[2], "verified": verified}
    )
    cells = [getattr(price, name) for name in COLUMNS]
    row = ",".join("yes" if cell is True else "no" if cell is False else str(cell) for cell in cells)
    assert book_of(tmp_path_factory.mktemp("book"), row) == (price,)
