"""How close are counted fat trees to published ones? Switches, cables and prices of each row of a table of clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simulator.costs.fat_tree_counts import FatTreeCounts, fat_tree_counts
from simulator.errors import Fault, ScenarioError
from simulator.tables import Column, read_rows
from simulator.validation.rows import Prediction, Validation

__all__ = ["FAT_TREE_BOM", "validate_bill_of_materials"]

FAT_TREE_BOM = Path(__file__).parent / "data" / "fat_tree_bom.csv"

COUNT = Column(empty=True, least=0)
COUNTS = (
    *("leaf", "spine", "core", "switches_total", "cables_node_leaf", "cables_leaf_spine", "cables_spine_core"),
    *("full_bisection_leaf", "full_bisection_spine", "full_bisection_core"),
)
PRICES = ("price_nodes_usd", "price_switches_usd", "price_cabling_usd", "price_total_usd")
COLUMNS = {
    "case": Column(kind="text"),
    "family": Column(kind="text", empty=True),
    "tiers": Column(kind="whole", least=0, most=3, empty=True),
    "switch_radix": Column(kind="whole", least=2),
    "nodes": Column(kind="whole", least=1, empty=True),
    "gpus": Column(least=0, empty=True),
    "end_ports": Column(kind="whole", least=1),
    "independent_rails": Column(kind="whole", least=1, empty=True),
    **dict.fromkeys((*COUNTS, *PRICES), COUNT),
}
PRICE_TOLERANCE = 0.01

SHEET = "H100 cluster cost sheet"
"""How the family of the rows begins whose unit prices follow: a public cost sheet of 2024-08."""
SWITCH_USD = 36_000.0
NODE_USD = 310_000.0
BESIDES_USD = 50_000.0
"""Facility and operation of a node over its life."""
CABLING_USD = {0: 810.0, 1: 1_320.0, 2: 2_560.0, 3: 3_800.0}
"""Cables and connectors per end port, by tiers of switches; 0: two nodes back to back."""
SLIP_USD = 300_000.0
"""What the sheet takes for a node in two of its rows, though it says 310,000."""


def validate_bill_of_materials(path: Path = FAT_TREE_BOM, *, name: str | None = None) -> Validation:
    """Count the fat tree of every row, price it, and lay both beside what was published.

    Parameters
    ----------
    path : Path
        A CSV with the header of the shipped table, which is the default.
    name : str, optional
        How messages call the file.

    Returns
    -------
    Validation
        Quantities are columns. Group counts must agree exactly; group prices within 1 %; rows whose nodes cost what the
        sheet's slip makes of them are a group of their own, outside "all". Cells that are empty are no case.

    Raises
    ------
    ScenarioError
        With every fault of the file.

    Notes
    -----
    Nothing is looked up by the name of a row: counts follow from tiers, radix, end ports and rails. One cable carries as
    many planes as there are end ports to a GPU, where that is a whole number that divides the planes. Prices are the
    cost sheet's unit prices times these counts; of another family, its own prices per published node, switch and end port.
    """
    called = name or str(path)
    predictions: list[Prediction] = []
    faults: list[Fault] = []
    empty = 0
    for row in read_rows(path, COLUMNS, name=called):
        try:
            counts = _counts(row)
        except ValueError as error:
            column, rule = str(error).split(" ", 1)
            faults.append(Fault(called, f"line {row['line']}, {NAMES.get(column, column)}", rule))
            continue
        for quantity, predicted, tolerance, group in (*_counted(counts), *_priced(row, counts)):
            if row[quantity] is None:
                empty += 1
                continue
            predictions.append(
                Prediction(
                    case=row["case"], group=group, series=row["case"], quantity=quantity, predicted=predicted,
                    actual=row[quantity], tolerance=tolerance,
                )
            )  # fmt: skip
    if faults:
        raise ScenarioError(faults)
    skipped = {"cell without a figure": empty} if empty else {}
    return Validation(
        kind="bill-of-materials", predictions=tuple(predictions), skipped=skipped, outside_all=("prices, slip of the sheet",)
    )


NAMES = {"rails": "independent_rails", "radix": "switch_radix"}


def _counts(row: Mapping[str, Any]) -> FatTreeCounts:
    """Count the fat tree of a row; ValueError with the column where it cannot be."""
    rails = row["independent_rails"] or 1
    if row["end_ports"] % rails:
        raise ValueError(f"end_ports must be a multiple of independent_rails, {rails}, got {row['end_ports']}")
    if row["tiers"] == 0:
        return fat_tree_counts(0, row["switch_radix"])
    planes = row["end_ports"] / row["gpus"] if row["gpus"] else 1.0
    shared = int(planes) if planes > 1 and planes.is_integer() and rails % planes == 0 else 1
    found = fat_tree_counts(row["end_ports"], row["switch_radix"], tiers=row["tiers"], rails=rails, planes_per_cable=shared)
    if not found.fits:
        words = f"{row['tiers']} tiers" if row["tiers"] else "three tiers"
        each = row["end_ports"] // rails
        raise ValueError(f"end_ports must fit {words} of {row['switch_radix']}-port switches, got {each} of one rail")
    return found


Case = tuple[str, float, float | None, str]
"""Column, prediction, tolerance and group."""


def _counted(counts: FatTreeCounts) -> Iterator[Case]:
    for column in COUNTS:
        name = {"switches_total": "switches"}.get(column, column.removeprefix("full_bisection_"))
        yield column, float(getattr(counts, name)), 0.0, "counts"


def _priced(row: Mapping[str, Any], counts: FatTreeCounts) -> Iterator[Case]:
    """Price a row: nodes, switches, cabling, and with what a node costs besides."""
    nodes = row["nodes"]
    if nodes is None or all(row[column] is None for column in PRICES):
        return
    ends, switches = row["end_ports"], float(counts.switches)
    of_the_sheet = (row["family"] or "").startswith(SHEET)
    if of_the_sheet:
        node, switch, besides, cabling = NODE_USD, SWITCH_USD, BESIDES_USD, CABLING_USD[int(counts.tiers)]
    else:
        paid = {column: row[column] or 0.0 for column in PRICES}
        node, cabling = paid["price_nodes_usd"] / nodes, paid["price_cabling_usd"] / ends
        switch = paid["price_switches_usd"] / (row["switches_total"] or switches or 1.0)
        besides = (paid["price_total_usd"] - sum(paid[column] for column in PRICES[:3])) / nodes
    paid_for_nodes = row["price_nodes_usd"]
    slip = of_the_sheet and paid_for_nodes is not None and np.isclose(paid_for_nodes, SLIP_USD * nodes, rtol=1e-6)
    apart: tuple[float | None, str] = (None, "prices, slip of the sheet") if slip else (PRICE_TOLERANCE, "prices")
    figures = (node * nodes, switch * switches, cabling * ends)
    yield "price_nodes_usd", figures[0], *apart
    yield "price_switches_usd", figures[1], PRICE_TOLERANCE, "prices"
    yield "price_cabling_usd", figures[2], PRICE_TOLERANCE, "prices"
    yield "price_total_usd", sum(figures) + besides * nodes, *apart
