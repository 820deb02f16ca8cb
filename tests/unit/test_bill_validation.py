"""A table of published clusters: what is wrong with it is said by line and column; what is off is said by --strict."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from simulator.validation.bill_of_materials import FAT_TREE_BOM, validate_bill_of_materials
from tests.support import command, written

HEADER = next(csv.reader(io.StringIO(FAT_TREE_BOM.read_text(encoding="utf-8"))))
ROW = {
    "case": "mine", "family": "a tree", "tiers": "2", "switch_radix": "64", "nodes": "128", "end_ports": "1024",
    "independent_rails": "1", "leaf": "32", "spine": "16",
}  # fmt: skip


def table(folder: Path, *rows: dict[str, str]) -> Path:
    lines = [",".join(HEADER), *(",".join(f'"{row.get(name, "")}"' for name in HEADER) for row in rows)]
    return written(folder, "\n".join(lines) + "\n", "mine.csv")


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"case": ""}, "case: must not be empty"),
        ({"tiers": "4"}, "tiers: must be a whole number >= 0 and <= 3, got '4'"),
        ({"switch_radix": "1"}, "switch_radix: must be a whole number >= 2, got '1'"),
        ({"end_ports": "0"}, "end_ports: must be a whole number >= 1, got '0'"),
        ({"end_ports": "many"}, "end_ports: must be a whole number >= 1, got 'many'"),
        ({"leaf": "-1"}, "leaf: must be a number >= 0, got '-1'"),
        ({"price_nodes_usd": "nan"}, "price_nodes_usd: must be a number >= 0, got 'nan'"),
        ({"independent_rails": "3"}, "end_ports: must be a multiple of independent_rails, 3, got 1024"),
        ({"end_ports": "4096"}, "end_ports: must fit 2 tiers of 64-port switches, got 4096 of one rail"),
    ],
)
def test_a_fault_is_named_with_line_and_column(tmp_path: Path, over: dict[str, str], says: str) -> None:
    path = table(tmp_path, ROW, {**ROW, **over})
    found = command("validate", "bill-of-materials", "--data", path)
    assert (found.status, found.out) == (1, "")
    assert found.err == f"{path}: line 3, {says}\n"


def test_every_fault_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, {**ROW, "independent_rails": "3"}, ROW, {**ROW, "end_ports": "4096"})
    assert [line.split(": ")[1] for line in command("validate", "bill-of-materials", "--data", path).lines] == [
        "line 2, end_ports", "line 4, end_ports",
    ]  # fmt: skip


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "case,tiers\na,1\n", "mine.csv")
    found = command("validate", "bill-of-materials", "--data", path)
    assert found.status == 1
    assert f"{path}: end_ports: is missing" in found.err


def test_a_count_that_is_off_by_one_misses_strict(tmp_path: Path) -> None:
    path = table(tmp_path, ROW, {**ROW, "case": "off", "spine": "17"}, {**ROW, "case": "none", "core": "3"})
    found = command("validate", "bill-of-materials", "--data", path, "--strict")
    assert found.status == 1
    assert "off, spine: off by 0.059, must be at most 0" in found.err
    assert "none, core: off by 1, must be at most 0" in found.err  # three were published, none counted
    assert command("validate", "bill-of-materials", "--data", path).status == 0


def test_a_count_where_nothing_was_published_is_an_error_of_that_size(tmp_path: Path) -> None:
    (case,) = (
        c for c in validate_bill_of_materials(table(tmp_path, {**ROW, "spine": "0"})).predictions if c.quantity == "spine"
    )
    assert (case.predicted, case.actual, case.error, case.within) == (16, 0, 16, False)


def test_a_price_may_be_off_by_one_percent(tmp_path: Path) -> None:
    sheet = {**ROW, "family": "H100 cluster cost sheet", "independent_rails": "8"}
    near = {**sheet, "case": "near", "price_nodes_usd": str(128 * 312_000)}
    far = {**sheet, "case": "far", "price_nodes_usd": str(128 * 320_000)}
    found = command("validate", "bill-of-materials", "--data", table(tmp_path, near, far), "--strict")
    assert found.status == 1
    assert "far, price_nodes_usd: off by 0.031, must be at most 0.01" in found.err
    assert "near" not in found.err


def test_prices_of_another_family_come_from_its_own_units(tmp_path: Path) -> None:
    """Their own price of a published switch times the switches counted: what remains to be wrong is the count."""
    row = {**ROW, "switches_total": "50", "price_switches_usd": "5000"}
    cases = {case.quantity: case for case in validate_bill_of_materials(table(tmp_path, row)).predictions}
    assert cases["price_switches_usd"].predicted == 48 * 100
    assert cases["switches_total"].error == pytest.approx(48 / 50 - 1)


def test_tiers_may_be_left_out_and_planes_share_cables_only_where_they_divide(tmp_path: Path) -> None:
    planes = {
        "case": "planes", "switch_radix": "128", "gpus": "512", "independent_rails": "2", "cables_node_leaf": "512",
        "leaf": "16", "spine": "8",
    }  # fmt: skip
    rows = [
        {**ROW, "tiers": ""},
        {**ROW, **planes},
        {**ROW, "case": "typo", "gpus": "910", "cables_node_leaf": "1024"},
        {**ROW, "case": "two NICs a GPU", "gpus": "512", "cables_node_leaf": "1024"},
    ]  # fmt: skip
    found = validate_bill_of_materials(table(tmp_path, *rows))
    assert all(case.within for case in found.predictions)
    assert len(found.predictions) == 2 + 3 + 3 + 3


def test_a_node_of_300_000_dollars_is_a_slip_of_the_sheet_alone(tmp_path: Path) -> None:
    # 128 nodes at exactly what the sheet's slip takes; in another table that is a price like any other, held to 1 %
    paid = {"price_nodes_usd": str(128 * 300_000)}
    groups = {case.group for case in validate_bill_of_materials(table(tmp_path, {**ROW, **paid})).predictions}
    assert groups == {"counts", "prices"}
    sheet = {**ROW, **paid, "family": "H100 cluster cost sheet"}
    groups = {case.group for case in validate_bill_of_materials(table(tmp_path, sheet)).predictions}
    assert groups == {"counts", "prices, slip of the sheet"}
