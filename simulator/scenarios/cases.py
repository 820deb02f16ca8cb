"""From checked sections to the model that a verb asks: one workload on one cluster, with its bounds."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simulator.compute import KneeCompute
from simulator.costs.amounts import Amount
from simulator.costs.model_cost import ModelCost
from simulator.errors import (
    ExtrapolationWarning,
    Fault,
    NoEffectWarning,
    ScenarioError,
    TopologyError,
    UnverifiedWarning,
)
from simulator.messages import did_you_mean
from simulator.network.laws import NoReduce
from simulator.optimum import Limits
from simulator.overlap import SumOverlap
from simulator.profiles import peak_flop_per_s
from simulator.scenarios.cluster_sections import CONTEXT_KEYS, FabricReduce, ReduceSection
from simulator.scenarios.costing import model_cost_of
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.rules import learners_at_hand
from simulator.scenarios.workload_section import FromFlops, WorkloadSection
from simulator.time_to_converge import ComputeModel, OverlapLaw, ReduceModel, Rounding, TimeToConverge
from simulator.uncertainty import FitRecord

__all__ = ["Case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One workload on one cluster: the model, its bounds and the question of [run].

    Parameters
    ----------
    model : TimeToConverge
        The laws joined.
    limits : Limits
        Bounds of the mini-batch.
    workload : str
        Name of the workload; `workload_index` is its place in the file.
    compute_key : str
        Dotted key of the compute law that was taken.
    fit : FitRecord or None
        What the fit of the updates law knows about itself.
    estimated : str or None
        Why Gamma is an estimate; None where it was measured.
    memory_source : str or None
        Where the memory limit comes from, where the file says so beside the number.
    learners_at_hand : int
        All learners of the cluster.
    learners, batch_samples : tuple
        The question: numbers, "best" or "all".
    accelerators_per_learner, accelerators_per_node : int or None
        For counting nodes.
    learner_size_stated : bool
        Whether the compute table says for learners of which size it holds (the rules have compared it with the cluster's).
    cost : ModelCost or None
        How the cost of a model follows from its time, where the scenario counts money.
    """

    model: TimeToConverge
    limits: Limits
    workload: str
    workload_index: int
    compute_key: str
    sample_unit: str
    fit: FitRecord | None
    estimated: str | None
    memory_source: str | None
    learners_at_hand: int
    learners: tuple[int | Literal["best", "all"], ...]
    batch_samples: tuple[float | Literal["best"], ...]
    accelerators_per_learner: int
    learner_size_stated: bool
    accelerators_per_node: int | None
    cost: ModelCost | None

    @classmethod
    def of(cls, scenario: Scenario, *, workload: str | None = None, rounding: Rounding | None = None) -> Case:
        """Build the case of a scenario.

        Parameters
        ----------
        scenario : Scenario
            As resolved.
        workload : str, optional
            Which workload, where the file has several.
        rounding : {"exact", "ceil", "whole"}, optional
            Instead of what [run] whole_samples says.

        Raises
        ------
        ScenarioError
            If a section that every verb needs is missing.
        """
        sections = scenario.sections
        index, chosen = _workload(scenario, workload)
        prefix = f"workload[{index}]"
        at_hand = learners_at_hand(scenario)
        if at_hand is None or sections.cluster is None or scenario.accelerator is None:
            raise ScenarioError([Fault(scenario.name, "cluster", "is missing: say which nodes and how many")])
        compute, compute_key, limit, estimated = _compute(scenario, chosen, prefix)
        entry = chosen.compute.entries[compute_key.removeprefix(f"{prefix}.compute.")]
        per_learner = sections.cluster.accelerators_per_learner
        per_node = scenario.node.accelerators if scenario.node is not None else None
        run = sections.run
        rounding = rounding or ("exact" if run.whole_samples is False else "whole")
        try:
            model = TimeToConverge(
                convergence=chosen.convergence.law,
                compute=compute,
                reduce=_reduce(scenario, index, at_hand, per_learner, per_node),
                overlap=_overlap(scenario, chosen),
                cross_validation=sections.cross_validation,
                accumulation=run.accumulation,
                max_local_samples=limit if limit is not None else np.inf,
                input_samples_per_s=chosen.input_samples_per_s or np.inf,
                tuning_factor=chosen.tuning_factor,
                rounding=rounding,
            )
        except ValueError as error:
            raise ScenarioError([Fault(scenario.name, "run", str(error))]) from None
        fit = chosen.convergence.fit
        limits = Limits(
            data_set_samples=chosen.data_set_samples,
            largest_measured_samples=fit.batch_samples_range[1] if fit is not None else None,
            min_batch_samples=run.min_batch_samples,
            max_batch_samples=run.max_batch_samples,
        )
        return cls(
            model=model,
            limits=limits,
            workload=chosen.name,
            workload_index=index,
            compute_key=compute_key,
            sample_unit=chosen.sample_unit,
            fit=fit,
            estimated=estimated,
            memory_source=_own_source(scenario, compute_key, "max_local_samples"),
            learners_at_hand=at_hand,
            learners=run.learners if isinstance(run.learners, tuple) else (run.learners,),
            batch_samples=run.batch_samples if isinstance(run.batch_samples, tuple) else (run.batch_samples,),
            accelerators_per_learner=per_learner,
            learner_size_stated=entry.accelerators_per_learner is not None,
            accelerators_per_node=per_node,
            cost=model_cost_of(scenario),
        )

    def learners_number(self, learners: int | Literal["best", "all"]) -> int | Literal["best"]:
        """Return P as a number, or "best"."""
        return self.learners_at_hand if learners == "all" else learners

    def nodes(self, learners: float) -> int | None:
        """Nodes that `learners` occupy; None without a node."""
        if self.accelerators_per_node is None:
            return None
        return math.ceil(learners * self.accelerators_per_learner / self.accelerators_per_node)

    def cost_of(self, learners: float, converge_time_s: float) -> Amount | None:
        """Dollars for one training, with the range of the prices; None where money is not counted or a price is missing."""
        if self.cost is None:
            return None
        nodes = self.nodes(learners)
        units = nodes if nodes is not None else math.ceil(learners * self.accelerators_per_learner)
        return self.cost.of_model(units, converge_time_s)

    def cost_usd(self, learners: float, converge_time_s: float) -> float | None:
        """Dollars for one training; None where money is not counted or a price is missing."""
        amount = self.cost_of(learners, converge_time_s)
        return None if amount is None else float(amount.usd)

    def warn_about_range(self, batch_samples: Iterable[float], *, of: str = "") -> None:
        """Warn where some of these mini-batches (of workload `of`) lie outside those that its updates law was fitted to."""
        if self.fit is None:
            return
        lowest, highest = self.fit.batch_samples_range
        outside = [M for M in batch_samples if not lowest * (1 - 1e-12) <= M <= highest * (1 + 1e-12)]
        if outside:
            rows = f"{of} takes" if of else f"{len(outside)} rows have"
            warnings.warn(
                f"{rows} mini-batches from {min(outside):.6g} to {max(outside):.6g}, outside those that the updates law "
                f"was fitted to, {lowest:g} to {highest:g}: trust them less",
                ExtrapolationWarning,
                stacklevel=2,
            )

    def warn_about(self, batch_samples: float, learners: int = 1) -> None:
        """Warn where the answer at (M, P) rests on an extrapolation or an estimate, or leaves hardware idle."""
        idle_nics = getattr(self.model.reduce, "idle_nics", None)  # of a network
        idle = idle_nics() if idle_nics is not None else None
        if idle is not None:
            warnings.warn(idle, NoEffectWarning, stacklevel=2)
        used, per_node = learners * self.accelerators_per_learner, self.accelerators_per_node or 1
        if idle_nics is not None and used > per_node and used % per_node:
            warnings.warn(
                f"{learners} learners do not fill their nodes: {per_node - used % per_node} of the {per_node} accelerators of "
                "one stand idle, and the others share its NICs and links unevenly",
                NoEffectWarning,
                stacklevel=2,
            )
        if self.fit is not None:
            lowest, highest = self.fit.batch_samples_range
            if not lowest * (1 - 1e-12) <= batch_samples <= highest * (1 + 1e-12):
                warnings.warn(
                    f"batch_samples = {batch_samples:.6g} lies outside the mini-batches that the updates law was fitted to, "
                    f"{lowest:g} to {highest:g}; intervals are widened for it",
                    ExtrapolationWarning,
                    stacklevel=2,
                )
        if self.estimated is not None:
            warnings.warn(self.estimated, UnverifiedWarning, stacklevel=2)
        if self.accelerators_per_learner > 1 and self.estimated is None and not self.learner_size_stated:
            warnings.warn(
                f"{self.compute_key} is taken as measured on a learner of {self.accelerators_per_learner} accelerators: if "
                "it was timed on one, give that group's own compute times",
                UnverifiedWarning,
                stacklevel=2,
            )
        if self.estimated is not None and np.isinf(self.model.max_local_samples):
            warnings.warn(
                f"nothing says how many {self.sample_unit}s the memory holds: check that a mini-batch of {batch_samples:.6g} "
                f"fits, or give max_local_samples in {self.compute_key}",
                UnverifiedWarning,
                stacklevel=2,
            )


def _own_source(scenario: Scenario, table: str, key: str) -> str | None:
    """Return the source that stands beside a number itself, not the one of its table."""
    record, other = scenario.records.get(f"{table}.{key}"), scenario.records.get(f"{table}.kind")
    if record is None or (other is not None and record.source == other.source):
        return None
    return record.source


def _workload(scenario: Scenario, name: str | None) -> tuple[int, WorkloadSection]:
    listed = scenario.sections.workload
    known = [workload.name for workload in listed]
    if not listed:
        raise ScenarioError([Fault(scenario.name, "workload", "is missing: the scenario has no [[workload]] to ask about")])
    if name is None:
        if len(listed) > 1:
            rule = f"there are {len(listed)}: say which, --workload NAME; known: {', '.join(known)}"
            raise ScenarioError([Fault(scenario.name, "workload", rule)])
        return 0, listed[0]
    if name not in known:
        rule = f"none is named {name!r}{did_you_mean(name, known)}"
        raise ScenarioError([Fault(scenario.name, "workload", rule)])
    return known.index(name), listed[known.index(name)]


def _compute(scenario: Scenario, workload: WorkloadSection, prefix: str) -> tuple[ComputeModel, str, float | None, str | None]:
    """Return Gamma on the cluster's accelerator, its key, the memory limit, and why it is an estimate (or None)."""
    accelerator = scenario.accelerator
    assert accelerator is not None
    entries = workload.compute.entries
    if accelerator.name in entries:
        entry = entries[accelerator.name]
        assert not isinstance(entry.law, FromFlops)
        return entry.law, f"{prefix}.compute.{accelerator.name}", entry.max_local_samples, None
    if "from_flops" not in entries:
        timed = ", ".join(entries) or "none"
        rule = f"nobody timed this workload on {accelerator.name!r} (timed: {timed}); add that table or from_flops"
        raise ScenarioError([Fault(scenario.name, f"{prefix}.compute", rule)])
    entry = entries["from_flops"]
    assert isinstance(entry.law, FromFlops)
    key = f"{prefix}.compute.from_flops"
    if workload.train_flop_per_sample is None:
        rule = "is missing: compute.from_flops needs it"
        raise ScenarioError([Fault(scenario.name, f"{prefix}.train_flop_per_sample", rule)])
    try:
        peak, precision = peak_flop_per_s(accelerator, entry.law.precision)
    except ValueError as error:
        raise ScenarioError([Fault(scenario.name, f"{key}.precision", str(error).removeprefix("precision "))]) from None
    per_learner = scenario.sections.cluster.accelerators_per_learner if scenario.sections.cluster else 1
    law = KneeCompute.from_flops(
        train_flop_per_sample=workload.train_flop_per_sample,
        peak_flop_per_s=peak * per_learner,
        utilisation=entry.law.utilisation,
        knee_samples=entry.law.knee_samples,
    )
    text = (
        f"compute time on {accelerator.name} is estimated, not measured: {entry.law.utilisation:.0%} of the {precision} "
        f"peak gives {law.gamma_s_per_sample:.4g} s per {workload.sample_unit}"
    )
    return law, key, entry.max_local_samples, text


def _reduce_section(scenario: Scenario, workload: WorkloadSection) -> ReduceSection | None:
    """Return [reduce]; where the scenario says nothing of it the workload's own, if these are the nodes it was measured on."""
    sections = scenario.sections
    if sections.reduce is not None or sections.network is not None or workload.reduce is None:
        return sections.reduce
    measured_here = sections.cluster is not None and sections.cluster.node == workload.reduce.node
    return workload.reduce.section if measured_here else None


def _overlap(scenario: Scenario, workload: WorkloadSection) -> OverlapLaw:
    section = _reduce_section(scenario, workload)
    return section.overlap if section is not None else SumOverlap()


def _reduce(scenario: Scenario, index: int, at_hand: int, per_learner: int, per_node: int | None) -> ReduceModel:
    """Return Delta(P) with what it takes from the cluster and the workload filled in."""
    sections = scenario.sections
    workload = sections.workload[index]
    section = _reduce_section(scenario, workload)
    if section is None:
        if sections.network is not None:
            return _fabric(scenario, index, at_hand, per_learner)
        if at_hand > 1:
            kinds = "none, constant, linear, node_log, two_tier_ring, ring, fabric"
            rule = f"is missing: {at_hand} learners need it; write [reduce] with kind = one of {kinds}"
            if workload.reduce is not None:
                rule += f" (that of workload[{index}] was measured on nodes {workload.reduce.node!r})"
            raise ScenarioError([Fault(scenario.name, "reduce", rule)])
        return NoReduce()
    law: Any = section.law
    if isinstance(law, FabricReduce):
        return _fabric(scenario, index, at_hand, per_learner)
    own = {field.name for field in dataclasses.fields(law)}
    context: dict[str, float] = {}
    if "gradient_bytes" in own:
        if workload.gradient_bytes is None:
            rule = "is missing: this kind of [reduce] needs it"
            raise ScenarioError([Fault(scenario.name, f"workload[{index}].gradient_bytes", rule)])
        context["gradient_bytes"] = workload.gradient_bytes / per_learner
    if "learners_per_node" in own and per_node is not None:
        context["learners_per_node"] = float(max(1, per_node // per_learner))
    assert set(context) <= set(CONTEXT_KEYS)
    result: ReduceModel = replace(law, **context)
    return result


def _fabric(scenario: Scenario, index: int, at_hand: int, per_learner: int) -> ReduceModel:
    """Return Delta(P) from [network]; the topology is built now, so that what it cannot hold is said before anything is run."""
    from simulator.network.clusters import topology_of
    from simulator.scenarios.fabrics import fabric_law

    delta = fabric_law(scenario, index, at_hand * per_learner, per_learner)
    try:
        slots = topology_of(delta.network).hosts // per_learner
    except (TopologyError, ValueError) as error:
        raise ScenarioError([Fault(scenario.name, "network", str(error))]) from None
    if at_hand > slots:
        rule = f"must have a host for each learner: {at_hand} learners, {slots} hosts"
        raise ScenarioError([Fault(scenario.name, "network", rule)])
    return delta
