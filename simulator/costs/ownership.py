"""What a cluster costs to own or to rent, what one trained model costs on it, and where renting and buying break even.

Bought: purchase; owned: purchase + facility + power for a life. A cluster trains for a share of its life, its utilisation, and
a model that takes T_C pays for its part of that: total * T_C/(life * utilisation). Rented by the hour: nodes * hours * price;
committed hours (reserved) are paid whether used or not, and so are divided by the utilisation too.

Power is nodes and switches at the draw of their profiles (of a node the most that it draws), times the power usage
effectiveness of the building, all the time that it trains, and the share `idle_power` of it for the rest of its life.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.costs.amounts import Amount
from simulator.quantities import HOUR_S, YEAR_S, ArrayLike, FloatArray, fraction, non_negative, positive

__all__ = [
    "DEFAULT_LIFE_S",
    "DEFAULT_PUE",
    "BreakEven",
    "CostTerms",
    "break_even",
    "owned",
    "rented",
    "usd_per_model",
]

DEFAULT_LIFE_S = 4 * YEAR_S
DEFAULT_PUE = 1.58
"""Average of a worldwide survey of data centres in 2023 (Uptime Institute, quoted by upsite.com)."""
KWH_J = 3.6e6


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTerms:
    """How money is counted.

    Parameters
    ----------
    kind : {"purchase", "cloud", "ownership"}
        What is bought, what is rented by the hour, or what is bought, housed and powered.
    life_s : float
        How long a cluster is used. Seconds, > 0.
    utilisation : float
        Share of its life that it trains. In (0, 1].
    electricity_usd_per_kwh : float, optional
        Tariff; ownership has no total without it. >= 0.
    pue : float
        Power of the building over that of the cluster, >= 1.
    facility_usd_per_node : float
        Room, racks, installation, operation of a node over its life. Dollars, >= 0; 0 where none is counted.
    idle_power : float
        Power of an idle cluster over that of a training one, in [0, 1].
    committed : bool
        Whether rented hours are paid also when they are not used.
    """

    kind: Literal["purchase", "cloud", "ownership"] = "purchase"
    life_s: float = DEFAULT_LIFE_S
    utilisation: float = 1.0
    electricity_usd_per_kwh: float | None = None
    pue: float = DEFAULT_PUE
    facility_usd_per_node: float = 0.0
    idle_power: float = 1.0
    committed: bool = False

    def __post_init__(self) -> None:
        positive("life_s", self.life_s)
        positive("utilisation", fraction("utilisation", self.utilisation))
        if self.electricity_usd_per_kwh is not None:
            non_negative("electricity_usd_per_kwh", self.electricity_usd_per_kwh)
        if positive("pue", self.pue) < 1:
            raise ValueError(f"pue must be >= 1, got {self.pue:g}")
        non_negative("facility_usd_per_node", self.facility_usd_per_node)
        fraction("idle_power", self.idle_power)

    def power_usd_per_hour(self, power_w: ArrayLike) -> FloatArray:
        """Dollars of an hour of training; NaN where the power or the tariff is not known."""
        tariff = np.nan if self.electricity_usd_per_kwh is None else self.electricity_usd_per_kwh
        usd: FloatArray = np.asarray(power_w, dtype=np.float64) * self.pue * HOUR_S / KWH_J * tariff
        return usd[()]

    def power_usd(self, power_w: ArrayLike) -> FloatArray:
        """Dollars of power over the life, at the utilisation."""
        share = self.utilisation + (1.0 - self.utilisation) * self.idle_power
        return self.power_usd_per_hour(power_w) * (self.life_s / HOUR_S * share)


def owned(purchase: Amount, nodes: ArrayLike, power_w: ArrayLike, terms: CostTerms) -> Amount:
    """Return what a cluster costs over its life: purchase, and with kind "ownership" facility and power.

    Parameters
    ----------
    purchase : Amount
        Of the bill of materials.
    nodes, power_w : array_like
        Of the cluster. Count, watts.
    terms : CostTerms
        How money is counted.

    Examples
    --------
    A server of 100,000 dollars and 10 kW, four years at 0.10 dollars a kWh: 10 kW * 35,064 h * 0.10 = 35,064.

    >>> terms = CostTerms(kind="ownership", electricity_usd_per_kwh=0.10, pue=1.0)
    >>> owned(Amount.certain(100_000), 1, 10_000, terms).usd.round(2)
    np.float64(135064.0)
    """
    if terms.kind != "ownership":
        return purchase
    facility = np.asarray(nodes, dtype=np.float64) * terms.facility_usd_per_node
    return purchase + Amount.certain(facility + terms.power_usd(power_w))


def usd_per_model(total: Amount, converge_time_s: ArrayLike, terms: CostTerms) -> Amount:
    """Return what one trained model pays of what a cluster costs over its life.

    Examples
    --------
    One day of four years that are used to one half: 1/730.5 of it.

    >>> usd_per_model(Amount.certain(730.5), 86400, CostTerms(utilisation=0.5)).usd
    np.float64(1.0)
    """
    time_s = non_negative("converge_time_s", converge_time_s)
    return total.times(time_s / (terms.life_s * terms.utilisation))


def rented(usd_per_node_hour: Amount, nodes: ArrayLike, time_s: ArrayLike, terms: CostTerms) -> Amount:
    """Return what so many nodes cost by the hour for a time.

    Examples
    --------
    >>> rented(Amount.certain(27.52), 64, 7200, CostTerms(kind="cloud")).usd
    np.float64(3522.56)
    """
    hours = non_negative("time_s", time_s) / HOUR_S / (terms.utilisation if terms.committed else 1.0)
    return usd_per_node_hour.times(np.asarray(nodes, dtype=np.float64) * hours)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BreakEven:
    """Where renting and buying cost the same; each with the ends that the price ranges give.

    Parameters
    ----------
    hours, low_hours, high_hours : float or ndarray
        Hours of training over the life from which on buying is cheaper; infinite where it never is: an hour of power alone
        costs as much as a rented one.
    utilisation, low_utilisation, high_utilisation : float or ndarray
        The same as a share of the life; above 1 renting is cheaper however much the cluster is used.
    usd_per_node_hour : float or ndarray
        Rent at which both cost the same at the utilisation of the terms.
    rent_is_cheaper : bool or ndarray
        At the utilisation of the terms.
    """

    hours: FloatArray
    low_hours: FloatArray
    high_hours: FloatArray
    utilisation: FloatArray
    low_utilisation: FloatArray
    high_utilisation: FloatArray
    usd_per_node_hour: FloatArray
    rent_is_cheaper: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def break_even(
    purchase: Amount, usd_per_node_hour: Amount, nodes: ArrayLike, power_w: ArrayLike, terms: CostTerms
) -> BreakEven:
    """Return where renting nodes by the hour and buying the cluster cost the same over its life.

    Buying costs F + v h + i (L - h) for h hours of training in a life of L hours: F purchase and facility, v power of an
    hour of training, i of an idle one; renting r h. They are equal at h = (F + i L)/(r - v + i). Committed hours are paid
    whether used or not: an hour of training then costs r divided by the utilisation, as in `rented`.

    Parameters
    ----------
    purchase : Amount
        Of the bill of materials.
    usd_per_node_hour : Amount
        Rent of a node; its network is in it.
    nodes, power_w : array_like
        Of the cluster. Power enters with kind "ownership" alone, as the facility does.
    terms : CostTerms
        How money is counted.

    Examples
    --------
    A node of 255,237 dollars against 27.52 an hour: 9,275 hours of use, 26 % of four years.

    >>> found = break_even(Amount.certain(255_237), Amount.certain(27.52), 1, 0.0, CostTerms())
    >>> round(float(found.hours)), round(float(found.utilisation), 3)
    (9275, 0.265)
    """
    N = positive("nodes", nodes)
    life_h = terms.life_s / HOUR_S
    full = terms.kind == "ownership"
    busy = terms.power_usd_per_hour(power_w) if full else np.zeros(np.shape(power_w))
    idle = busy * terms.idle_power
    facility = N * terms.facility_usd_per_node if full else 0.0
    paid = 1.0 / terms.utilisation if terms.committed else 1.0  # hours of rent for an hour of training

    def hours(bought: FloatArray, rent: FloatArray) -> FloatArray:
        saved = N * rent * paid - busy + idle
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (bought + facility + idle * life_h) / saved
        result: FloatArray = np.where(saved > 0, found, np.where(np.isnan(saved), np.nan, np.inf))[()]
        return result

    at = hours(purchase.usd, usd_per_node_hour.usd)
    low = hours(purchase.low_usd, usd_per_node_hour.high_usd)
    high = hours(purchase.high_usd, usd_per_node_hour.low_usd)
    used_h = life_h * terms.utilisation
    equal = (purchase.usd + facility + busy * used_h + idle * (life_h - used_h)) / (N * used_h * paid)
    return BreakEven(
        hours=at,
        low_hours=low,
        high_hours=high,
        utilisation=at / life_h,
        low_utilisation=low / life_h,
        high_utilisation=high / life_h,
        usd_per_node_hour=equal,
        rent_is_cheaper=at > used_h,
    )
