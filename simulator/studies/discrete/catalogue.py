"""A catalogue in plain numbers: jobs on kinds of nodes, fabrics between them, what they cost, and what is asked of a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

import numpy as np

from simulator.costs.amounts import Amount
from simulator.costs.bill_of_materials import BillOfMaterials, ClusterPlan, bill_of
from simulator.costs.ownership import CostTerms, owned, rented
from simulator.costs.price_choice import PriceList, UnitPrice
from simulator.limits import Limits
from simulator.network.cluster_network import FabricDelta
from simulator.quantities import YEAR_S, ArrayLike, FloatArray
from simulator.time_to_converge import ReduceModel, TimeToConverge

__all__ = ["Catalogue", "Job", "NodeKind", "Option", "RememberedPrices", "Request"]

Objective = Literal["mean_time", "weighted_time", "worst_time", "cost"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """A workload on one kind of node.

    Parameters
    ----------
    name : str
        The workload's.
    model : TimeToConverge
        With rounding "exact"; Delta comes from the option.
    limits : Limits
        Bounds of the mini-batch.
    accelerators_per_learner : int
        Of its learners.
    weight : float
        In a weighted mean.
    runs_per_year : float
        Runs that have to fit into a year; 0 where none is asked.
    """

    name: str
    model: TimeToConverge
    limits: Limits
    accelerators_per_learner: int = 1
    weight: float = 1.0
    runs_per_year: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NodeKind:
    """A kind of node with the jobs on it.

    Parameters
    ----------
    name : str
        Id of its profile.
    accelerators : int
        In one node.
    jobs : tuple of Job
        Every workload, in the order of the request.
    rent : UnitPrice or None
        Of an hour of a node, where designs are rented.
    """

    name: str
    accelerators: int
    jobs: tuple[Job, ...]
    rent: UnitPrice | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Option:
    """A kind of node with a fabric: what is left open is how many.

    Parameters
    ----------
    kind : NodeKind
        The node.
    network, switch, topology : str or None
        Ids, and the topology; None where there is none to choose.
    oversubscription : float
        Of a leaf, down : up.
    plan : ClusterPlan
        What is bought.
    deltas : tuple of FabricDelta or ReduceModel
        Delta of each job: on the fabric, whatever the number of nodes, or a law of P alone.
    """

    kind: NodeKind
    network: str | None
    switch: str | None
    topology: str | None
    oversubscription: float
    plan: ClusterPlan
    deltas: tuple[FabricDelta | ReduceModel, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Words by which it can be asked for."""
        own = (self.kind.name, self.network, self.switch, self.topology, f"{self.oversubscription:g}:1")
        return tuple(name for name in own if name is not None)

    @property
    def links(self) -> str:
        """What joins the nodes, in words."""
        return self.network or f"the NICs of {self.kind.name}"

    def __str__(self) -> str:
        fabric = [self.network, self.topology and self.topology.replace("_", " ")]
        if self.topology not in (None, "star"):
            fabric.append(f"{self.oversubscription:g} : 1")
        text = " ".join(part for part in fabric if part)
        return self.kind.name + (f", {text}" if text else "") + (f" ({self.switch})" if self.switch else "")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request:
    """What is asked of a design.

    Parameters
    ----------
    objective : {"mean_time", "weighted_time", "worst_time", "cost"}
        What is least.
    nodes_min, nodes_max : int
        Counts that are tried.
    terms : CostTerms
        How money is counted.
    budget_usd, deadline_s, power_max_w : float
        Most dollars (over the life), most T_C of every workload, most watts; infinite where not given.
    """

    objective: Objective
    nodes_min: int
    nodes_max: int
    terms: CostTerms
    budget_usd: float = inf
    deadline_s: float = inf
    power_max_w: float = inf

    def score(self, weights: FloatArray, times_s: FloatArray, cost_usd: FloatArray) -> FloatArray:
        """Return what is to be least, from T_C of each workload (k, n) and dollars (n,)."""
        if self.objective == "cost":
            return cost_usd
        if self.objective == "worst_time":
            return np.asarray(times_s.max(axis=0))
        share = weights / weights.sum() if self.objective == "weighted_time" else np.full(len(weights), 1.0 / len(weights))
        return np.asarray(share @ times_s)

    def time_s(self, weights: FloatArray, times_s: FloatArray) -> FloatArray:
        """Return the time of the objective; where dollars are least, the longest."""
        if self.objective == "cost":
            return np.asarray(times_s.max(axis=0))
        return self.score(weights, times_s, np.zeros(times_s.shape[1:]))

    def busy_share(self, runs_per_year: FloatArray, times_s: FloatArray) -> FloatArray:
        """Return the share of the time available in a year that all runs take, one after another."""
        return np.asarray(runs_per_year @ times_s) / (YEAR_S * self.terms.utilisation)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RememberedPrices(PriceList):
    """A price list that looks each item up once: a search asks for the same few for every option."""

    _bought: dict[tuple[str, str], UnitPrice | None] = field(default_factory=dict)

    def to_buy(self, item: str, scope: str) -> UnitPrice | None:
        """Return the price of an item that is bought."""
        if (item, scope) not in self._bought:
            self._bought[item, scope] = PriceList.to_buy(self, item, scope)
        return self._bought[item, scope]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Catalogue:
    """What can be bought, and at which prices.

    Parameters
    ----------
    options : tuple of Option
        Those that fit together.
    prices : PriceList
        What enters.
    left_out : mapping of str to int
        Combinations that do not fit together, by reason.
    """

    options: tuple[Option, ...]
    prices: PriceList
    left_out: Mapping[str, int]

    def bill(self, option: Option, nodes: ArrayLike) -> BillOfMaterials:
        """Return the bills of an option for each number of nodes."""
        return bill_of(option.plan, nodes, self.prices, oversubscription=option.oversubscription)

    def cost(self, option: Option, nodes: FloatArray, bill: BillOfMaterials, times_s: FloatArray, terms: CostTerms) -> Amount:
        """Return the dollars of designs over their life; NaN where something has no price.

        Bought: the bill, with power and facility where it is owned. Rented: all runs of the life (one run of each workload,
        where no runs per year are asked).
        """
        if terms.kind != "cloud":
            return owned(bill.purchase, nodes, bill.power_w, terms)
        if option.kind.rent is None:
            return Amount.certain(np.full(nodes.shape, np.nan))
        runs = np.array([job.runs_per_year for job in option.kind.jobs])
        often = runs * terms.life_s / YEAR_S if runs.any() else np.ones(len(runs))
        return rented(option.kind.rent.amount, nodes, np.nan_to_num(often @ times_s, nan=0.0), terms).times(
            np.where(np.isnan(times_s).any(axis=0), np.nan, 1.0)
        )
