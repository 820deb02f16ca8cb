"""Cost of ownership and rent by hand, and break-even as the point where both are the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.costs.amounts import Amount
from simulator.costs.ownership import CostTerms, break_even, owned, rented, usd_per_model

HOUR_S, YEAR_S = 3600.0, 365.25 * 86400
OWN = CostTerms(
    kind="ownership", life_s=4 * YEAR_S, utilisation=0.5, electricity_usd_per_kwh=0.1, pue=1.5,
    facility_usd_per_node=50_000, idle_power=0.2,
)  # fmt: skip


def test_ownership_adds_facility_and_power() -> None:
    # 2 nodes, 20 kW, 35,064 h: half of the time full, half of it 0.2: 20*1.5*0.1*35064*0.6 = 63,115.2
    found = owned(Amount.between(500_000, 400_000, 600_000), 2, 20_000, OWN)
    assert found.usd == pytest.approx(500_000 + 100_000 + 63_115.2)
    assert found.low_usd == pytest.approx(400_000 + 163_115.2)
    assert found.high_usd == pytest.approx(600_000 + 163_115.2)


def test_a_purchase_is_the_purchase() -> None:
    terms = dataclasses.replace(OWN, kind="purchase")
    assert owned(Amount.certain(500_000), 2, 20_000, terms).usd == 500_000


def test_power_without_a_tariff_or_a_figure_is_not_free() -> None:
    assert np.isnan(owned(Amount.certain(1), 1, 1.0, dataclasses.replace(OWN, electricity_usd_per_kwh=None)).usd)
    assert np.isnan(owned(Amount.certain(1), 1, np.nan, OWN).usd)


def test_a_model_pays_for_its_time_of_the_life_that_is_used() -> None:
    # 36.525 days of 4 years at one half: 36.525/1461/0.5 = 5 %
    assert usd_per_model(Amount.certain(1_000), 36.525 * 86400, OWN).usd == pytest.approx(50.0)


def test_rent_is_paid_by_the_hour_and_when_committed_for_idle_hours_too() -> None:
    hour = Amount.between(10, 8, 12)
    found = rented(hour, 4, 7200, OWN)
    assert [found.usd, found.low_usd, found.high_usd] == [80, 64, 96]
    assert rented(hour, 4, 7200, dataclasses.replace(OWN, committed=True)).usd == 160


def test_arrays_of_designs_broadcast() -> None:
    nodes = np.array([1.0, 2.0, 4.0])
    found = owned(Amount.certain(1000 * nodes), nodes, 10_000 * nodes, OWN)
    assert found.usd.shape == (3,)
    for i, count in enumerate(nodes):
        assert found.usd[i] == pytest.approx(float(owned(Amount.certain(1000 * count), count, 10_000 * count, OWN).usd))
    equal = break_even(Amount.certain(1000 * nodes), Amount.certain([1.0, 2.0, 3.0]), nodes, 100 * nodes, OWN)
    assert equal.hours.shape == (3,)


@settings(max_examples=80)
@given(
    purchase=st.floats(1e3, 1e8), rent=st.floats(1.0, 500.0), nodes=st.integers(1, 500), kilowatts=st.floats(0.1, 15.0),
    idle=st.floats(0, 1), kind=st.sampled_from(["purchase", "ownership"]),
)  # fmt: skip
def test_at_the_break_even_both_cost_the_same(
    purchase: float, rent: float, nodes: int, kilowatts: float, idle: float, kind: Any
) -> None:
    """Independent of the formula: the cost of owning at that utilisation against so many hours of rent."""
    terms = dataclasses.replace(OWN, kind=kind, idle_power=idle)
    watts = 1000 * kilowatts * nodes
    found = break_even(Amount.certain(purchase), Amount.certain(rent), nodes, watts, terms)
    if np.isinf(found.hours):
        assert nodes * rent <= float(terms.power_usd_per_hour(watts)) * (1 - idle) * (1 + 1e-9)
        return
    life_h = terms.life_s / HOUR_S
    busy = min(1.0, float(found.utilisation))
    if busy == 1.0 or busy <= 0:
        return  # beyond the life: nothing to own at such a utilisation
    used = dataclasses.replace(terms, utilisation=busy)
    buy = float(owned(Amount.certain(purchase), nodes, watts, used).usd)
    hire = float(rented(Amount.certain(rent), nodes, busy * terms.life_s, used).usd)
    assert buy == pytest.approx(hire, rel=1e-9)
    assert float(found.hours) == pytest.approx(busy * life_h)


def test_the_equal_rent_makes_both_cost_the_same_at_the_utilisation_of_the_terms() -> None:
    found = break_even(Amount.certain(1e6), Amount.certain(30.0), 4, 40_000, OWN)
    rent = Amount.certain(found.usd_per_node_hour)
    hire = rented(rent, 4, OWN.utilisation * OWN.life_s, OWN)
    assert hire.usd == pytest.approx(float(owned(Amount.certain(1e6), 4, 40_000, OWN).usd))


def test_dear_rent_favours_buying_and_the_ends_of_the_prices_give_a_range() -> None:
    found = break_even(Amount.between(1e6, 8e5, 2e6), Amount.between(30, 20, 60), 4, 0.0, CostTerms())
    assert found.low_hours < found.hours < found.high_hours
    # 8e5/(4*60), 1e6/(4*30), 2e6/(4*20)
    assert [found.low_hours, found.hours, found.high_hours] == pytest.approx([8e5 / 240, 1e6 / 120, 2e6 / 80])
    assert not found.rent_is_cheaper
    seldom = break_even(Amount.certain(1e6), Amount.certain(30), 4, 0.0, CostTerms(utilisation=0.1))
    assert seldom.rent_is_cheaper  # 3,506 hours of use, equal at 8,333


def test_where_an_hour_of_power_costs_more_than_a_rented_one_buying_never_pays() -> None:
    terms = dataclasses.replace(OWN, idle_power=0.0, electricity_usd_per_kwh=10.0)
    found = break_even(Amount.certain(1.0), Amount.certain(1.0), 1, 10_000, terms)
    assert found.hours == np.inf
    assert found.rent_is_cheaper


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"life_s": 0}, "life_s must be finite and > 0, got 0"),
        ({"utilisation": 0}, "utilisation must be finite and > 0, got 0"),
        ({"utilisation": 1.5}, "utilisation must be from 0 to 1, got 1.5"),
        ({"electricity_usd_per_kwh": -1}, "electricity_usd_per_kwh must be finite and >= 0, got -1"),
        ({"pue": 0.9}, "pue must be >= 1, got 0.9"),
        ({"facility_usd_per_node": -5}, "facility_usd_per_node must be finite and >= 0, got -5"),
        ({"idle_power": 2}, "idle_power must be from 0 to 1, got 2"),
    ],
)
def test_terms_are_checked(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CostTerms(**given)


def test_committed_hours_count_in_full_where_renting_is_held_against_buying() -> None:
    # Four years at one half and 6 USD an hour, paid whether used or not: 35,064 h * 6 = 210,384 USD, above a price of 200,000.
    terms = CostTerms(utilisation=0.5, committed=True)
    found = break_even(Amount.certain(200_000), Amount.certain(6.0), 1, 0.0, terms)
    assert not found.rent_is_cheaper
    assert found.hours == pytest.approx(200_000 / (6.0 / 0.5))
    assert found.usd_per_node_hour == pytest.approx(200_000 / 35_064)
    hire = rented(Amount.certain(found.usd_per_node_hour), 1, terms.utilisation * terms.life_s, terms)
    assert hire.usd == pytest.approx(200_000)  # by the other function
    assert break_even(Amount.certain(200_000), Amount.certain(6.0), 1, 0.0, CostTerms(utilisation=0.5)).rent_is_cheaper
