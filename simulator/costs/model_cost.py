"""What one trained model costs: on a cluster that is rented by the hour, bought, or bought, housed and powered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.costs.amounts import Amount
from simulator.costs.bill_of_materials import BillOfMaterials
from simulator.costs.ownership import BreakEven, CostTerms, break_even, owned, rented, usd_per_model
from simulator.costs.price_choice import UnitPrice
from simulator.quantities import ArrayLike

__all__ = ["ModelCost"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelCost:
    """How the cost of a model follows from the time that it trains.

    Parameters
    ----------
    terms : CostTerms
        How money is counted.
    units : int
        Nodes of the cluster (accelerators, where it has no nodes).
    bill : BillOfMaterials or None
        What is bought; None where it cannot be written.
    rent : UnitPrice or None
        Of an hour of a unit; None where it has none.
    why_not : tuple of str
        Why the bill cannot be written; a part without a price is named by the bill.
    why_no_rent : str
        Why there is no rent; empty where there is one.
    """

    terms: CostTerms
    units: int
    bill: BillOfMaterials | None = None
    rent: UnitPrice | None = None
    why_not: tuple[str, ...] = ()
    why_no_rent: str = ""

    @property
    def total(self) -> Amount | None:
        """Dollars of the whole cluster over its life; None where it is rented or something has no price."""
        if self.terms.kind == "cloud" or self.bill is None:
            return None
        amount = owned(self.bill.purchase, self.units, self.bill.power_w, self.terms)
        return amount if np.isfinite(amount.usd) else None

    def of_model(self, units: ArrayLike, converge_time_s: ArrayLike) -> Amount | None:
        """Return what a model costs that trains so long on so many units; None where something has no price."""
        if self.terms.kind == "cloud":
            if self.rent is None:
                return None
            return rented(self.rent.amount, units, converge_time_s, self.terms)
        total = self.total
        if total is None:
            return None
        return usd_per_model(total, converge_time_s, self.terms).times(np.asarray(units, dtype=np.float64) / self.units)

    @property
    def missing(self) -> tuple[str, ...]:
        """Why there is no cost; empty where there is one."""
        if self.terms.kind == "cloud":
            return () if self.rent is not None else (self.why_no_rent,)
        if self.bill is None or self.why_not:
            return self.why_not
        found = tuple(line.why_not for line in self.bill.unpriced)
        if not found and np.isnan(self.bill.purchase.usd):
            found = (f"{self.bill.end_ports:,.0f} end ports do not fit the switches",)
        if self.terms.kind == "ownership":
            powerless = dict.fromkeys(line.item for line in self.bill.lines if line.power_w is None)
            found += tuple(f"{item} has no power_w in its profile" for item in powerless)
            if self.terms.electricity_usd_per_kwh is None:
                found += ("electricity_usd_per_kwh is not given: ownership pays for power",)
        return tuple(dict.fromkeys(found))

    def prices(self) -> Iterator[tuple[UnitPrice, float]]:
        """Yield the prices that the cost rests on, each with the dollars that it contributes."""
        if self.terms.kind == "cloud":
            if self.rent is not None:
                yield self.rent, self.rent.usd * self.units
        elif self.bill is not None:
            for line in self.bill.lines:
                if line.price is not None and np.any(line.paid > 0):
                    yield line.price, float(line.amount.usd)

    def break_even(self) -> BreakEven | None:
        """Return where renting this cluster and buying it cost the same; None where one of them has no price."""
        if self.bill is None or self.rent is None or not np.isfinite(self.bill.purchase.usd):
            return None
        found = break_even(self.bill.purchase, self.rent.amount, self.units, self.bill.power_w, self.terms)
        return None if np.isnan(found.hours) else found
