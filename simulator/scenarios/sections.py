"""The sections of a scenario file, one frozen dataclass each; every verb's sections are parsed, whichever verb is asked.

A field is a key of the file; its name ends in its unit. The laws themselves (kinds of [workload.convergence], [reduce], overlap)
are the models of the layers below, structured directly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.compute import AffineCompute, CrossValidation, KneeCompute, TabulatedCompute
from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, SharpCornerLaw, TabulatedUpdates
from simulator.loading import CONVERTER, Table, TableFaults, structure_kind
from simulator.network.laws import (
    ConstantReduce,
    LinearReduce,
    NodeLogReduce,
    NoReduce,
    RingReduce,
    TwoTierRingReduce,
)
from simulator.overlap import BucketOverlap, HiddenOverlap, MaxOverlap, PowerOverlap, SumOverlap
from simulator.quantities import fraction, non_negative, positive, whole
from simulator.theory import NoiseFloorLaw
from simulator.time_to_converge import ComputeModel, ConvergenceLaw, OverlapLaw, ReduceModel
from simulator.uncertainty import FitRecord

__all__ = ["CONTEXT_KEYS", "ComputeEntry", "ScenarioFile", "WorkloadSection"]

Words = Literal["best"]


def _check(section: Any, **rules: Any) -> None:
    """Apply a check of `quantities` to each named field that is a number."""
    for name, rule in rules.items():
        value = getattr(section, name)
        if value is not None and not isinstance(value, str):
            rule(name, value)


def _whole_from_zero(name: str, value: Any) -> None:
    whole(name, value, lowest=0)


def _at_least_one(name: str, value: Any) -> None:
    if positive(name, value).min() < 1:
        raise ValueError(f"{name} must be >= 1, got {float(positive(name, value).min()):g}")


# --------------------------------------------------------------------------------------------------------------- workload


@dataclass(frozen=True, slots=True, kw_only=True)
class TabulatedUpdatesKeys:
    """Keys of kind "tabulated": the columns of a measured table."""

    batch_samples: tuple[float, ...]
    updates: tuple[float, ...]
    extrapolate: bool = False

    def __post_init__(self) -> None:
        self.model()

    def model(self) -> TabulatedUpdates:
        """Return the law."""
        return TabulatedUpdates(
            batch_samples=self.batch_samples, updates_at=self.updates, extrapolate=self.extrapolate
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TabulatedComputeKeys:
    """Keys of kind "tabulated": the columns of a measured table."""

    local_samples: tuple[float, ...]
    compute_time_s: tuple[float, ...]
    extrapolate: bool = False

    def __post_init__(self) -> None:
        self.model()

    def model(self) -> TabulatedCompute:
        """Return the law."""
        return TabulatedCompute(
            local_samples=self.local_samples, compute_time_at_s=self.compute_time_s, extrapolate=self.extrapolate
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KneeKeys:
    """Keys of kind "knee": the paper's law without a constant."""

    gamma_s_per_sample: float
    knee_samples: float

    def __post_init__(self) -> None:
        self.model()

    def model(self) -> KneeCompute:
        """Return the law."""
        return KneeCompute(gamma_s_per_sample=self.gamma_s_per_sample, knee_samples=self.knee_samples)


CONVERGENCE_KINDS: dict[str, Any] = {
    "inverse": InverseLaw,
    "sharp": SharpCornerLaw,
    "power": PowerLaw,
    "corner": HardCornerLaw,
    "noise_floor": NoiseFloorLaw,
    "tabulated": TabulatedUpdatesKeys,
}
COMPUTE_KINDS: dict[str, Any] = {
    "knee": KneeKeys,
    "knee_constant": KneeCompute,
    "affine": AffineCompute,
    "tabulated": TabulatedComputeKeys,
}
PROVENANCE_ENVELOPE = ("source", "date", "verified", "notes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvergenceSection:
    """[workload.convergence]: the N_Update law and what its fit knows about itself."""

    law: ConvergenceLaw
    fit: FitRecord | None = None


INVERSE_SPELLINGS = (
    ("n_inf_updates", "alpha_samples"),
    ("s_min_updates", "e_min_samples"),
    ("n_inf_updates", "critical_batch_samples"),
)
"""The three ways to give the inverse law; exactly one of them."""


def in_papers_letters(table: Table) -> Table:
    """Return a [convergence] table with the other names of the same two parameters turned into N_inf and alpha.

    Raises
    ------
    TableFaults
        If keys of two of the three ways are mixed.
    """
    given = {key for pair in INVERSE_SPELLINGS for key in pair if key in table}
    if not given & {"s_min_updates", "e_min_samples", "critical_batch_samples"}:
        return table
    fitting = [pair for pair in INVERSE_SPELLINGS if given <= set(pair)]
    if not fitting:
        ways = " or ".join(" + ".join(pair) for pair in INVERSE_SPELLINGS)
        raise TableFaults([("", f"must give one of {ways}, got {', '.join(sorted(given))}")])
    missing = [key for key in fitting[0] if key not in given]
    if missing:
        raise TableFaults([(key, "is missing") for key in missing])
    renamed = {"s_min_updates": "n_inf_updates", "e_min_samples": "alpha_samples"}
    table = {renamed.get(key, key): value for key, value in table.items()}
    if "critical_batch_samples" in table:
        try:
            law = InverseLaw.from_critical_batch(
                n_inf_updates=CONVERTER.structure({"n_inf_updates": table["n_inf_updates"]}, _NInf).n_inf_updates,
                critical_batch_samples=CONVERTER.structure(
                    {"critical_batch_samples": table.pop("critical_batch_samples")}, _Critical
                ).critical_batch_samples,
            )
        except ValueError as error:
            name = str(error).split(" ", 1)[0]
            raise TableFaults([(name, str(error).removeprefix(name).strip())]) from None
        table["alpha_samples"] = law.alpha_samples
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _NInf:
    n_inf_updates: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Critical:
    critical_batch_samples: float


def _structure_convergence(value: Any, _: Any) -> ConvergenceSection:
    if isinstance(value, dict) and value.get("kind") in ("inverse", "sharp", "corner"):
        value = in_papers_letters(value)
    faults: list[tuple[str, str]] = []
    law = fit = None
    try:
        law = structure_kind(value, CONVERGENCE_KINDS, envelope=("fit", *PROVENANCE_ENVELOPE))
        law = law.model() if isinstance(law, TabulatedUpdatesKeys) else law
    except TableFaults as error:
        faults += error.faults
    if isinstance(value, dict) and "fit" in value:
        try:
            fit = CONVERTER.structure(value["fit"], FitRecord)
        except TableFaults as error:
            faults += error.under("fit")
        except ValueError as error:
            faults.append(("fit", str(error)))
    if faults:
        raise TableFaults(faults)
    assert law is not None
    return ConvergenceSection(law=law, fit=fit)


Precision = Literal["fp32", "tf32", "bf16", "fp8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FromFlops:
    """[workload.compute.from_flops]: gamma = train_flop_per_sample / (peak * utilisation)."""

    utilisation: float
    knee_samples: float
    precision: Precision | None = None

    def __post_init__(self) -> None:
        positive("utilisation", fraction("utilisation", self.utilisation))
        positive("knee_samples", self.knee_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeEntry:
    """[workload.compute.ACCELERATOR or from_flops]: Gamma of this workload there, and what its memory holds."""

    law: ComputeModel | FromFlops
    max_local_samples: float | None = None

    def __post_init__(self) -> None:
        if self.max_local_samples is not None:
            whole("max_local_samples", self.max_local_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    max_local_samples: float | None = None


def structure_compute_entry(value: Any, accelerator: str) -> ComputeEntry:
    """Structure one entry of [workload.compute]; `from_flops` is its own kind."""
    envelope = ("max_local_samples", *PROVENANCE_ENVELOPE)
    kinds = {"from_flops": FromFlops} if accelerator == "from_flops" else COMPUTE_KINDS
    faults: list[tuple[str, str]] = []
    law = None
    try:
        law = structure_kind(value, kinds, envelope=envelope, default="from_flops" if len(kinds) == 1 else None)
        law = law.model() if hasattr(law, "model") else law
    except TableFaults as error:
        faults += error.faults
    limit = None
    try:
        limit = CONVERTER.structure(
            {key: item for key, item in value.items() if key == "max_local_samples"} if isinstance(value, dict) else {},
            _Memory,
        ).max_local_samples
        ComputeEntry(law=FromFlops(utilisation=1, knee_samples=1), max_local_samples=limit)
    except TableFaults as error:
        faults += error.faults
    except ValueError as error:
        faults.append(("max_local_samples", str(error).removeprefix("max_local_samples ")))
    if faults:
        raise TableFaults(faults)
    assert law is not None
    return ComputeEntry(law=law, max_local_samples=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeTable:
    """[workload.compute]: entries by accelerator id."""

    entries: Mapping[str, ComputeEntry]


def _structure_compute_table(value: Any, _: Any) -> ComputeTable:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of accelerators, got {value!r}")
    entries, faults = {}, []
    for accelerator, item in value.items():
        try:
            entries[accelerator] = structure_compute_entry(item, accelerator)
        except TableFaults as error:
            faults += error.under(accelerator)
        except ValueError as error:
            faults.append((accelerator, str(error)))
    if faults:
        raise TableFaults(faults)
    return ComputeTable(entries=entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSection:
    """[[workload]]: what has to be learned, and what one sample costs on which accelerator."""

    convergence: ConvergenceSection
    compute: ComputeTable
    name: str
    schema: Literal[1] = 1
    use: str | None = None
    title: str | None = None
    weight: float = 1.0
    runs_per_year: float | None = None
    sample_unit: str = "sample"
    data_set_samples: float | None = None
    gradient_bytes: float | None = None
    train_flop_per_sample: float | None = None
    input_samples_per_s: float | None = None
    tuning_factor: float = 1.0
    source: str | None = None
    date: str | None = None
    verified: bool | None = None
    notes: str | None = None

    def __post_init__(self) -> None:
        _check(
            self,
            weight=positive,
            runs_per_year=positive,
            data_set_samples=whole,
            gradient_bytes=positive,
            train_flop_per_sample=positive,
            input_samples_per_s=positive,
            tuning_factor=positive,
        )


# ----------------------------------------------------------------------------------------------------- cluster and network


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSection:
    """[cluster]: which accelerators, how many."""

    node: str | None = None
    nodes: int | None = None
    accelerator: str | None = None
    accelerators: int | None = None
    accelerators_per_learner: int = 1

    def __post_init__(self) -> None:
        _check(self, nodes=whole, accelerators=whole, accelerators_per_learner=whole)


REDUCE_KINDS: dict[str, Any] = {
    "none": NoReduce,
    "constant": ConstantReduce,
    "linear": LinearReduce,
    "node_log": NodeLogReduce,
    "two_tier_ring": TwoTierRingReduce,
    "ring": RingReduce,
}
OVERLAP_KINDS: dict[str, Any] = {
    "sum": SumOverlap,
    "power": PowerOverlap,
    "max": MaxOverlap,
    "hidden": HiddenOverlap,
    "buckets": BucketOverlap,
}
CONTEXT_KEYS = ("learners_per_node", "gradient_bytes")
"""Fields of the reduce laws that come from the cluster and the workload, never from [reduce]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricReduce:
    """kind = "fabric": Delta comes from [network]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceSection:
    """[reduce]: Delta(P) by law, or from [network], and its overlap with computing."""

    law: ReduceModel | FabricReduce
    overlap: OverlapLaw = field(default_factory=SumOverlap)


def _structure_reduce(value: Any, _: Any) -> ReduceSection:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {value!r}")
    faults: list[tuple[str, str]] = []
    overlap: Any = SumOverlap()
    if "overlap" in value:
        try:
            overlap = structure_kind(value["overlap"], OVERLAP_KINDS)
        except TableFaults as error:
            faults += error.under("overlap")
        except ValueError as error:
            faults.append(("overlap", str(error)))
    kinds = {**REDUCE_KINDS, "fabric": FabricReduce}
    table = {key: item for key, item in value.items() if key != "overlap"}
    cls = kinds.get(table["kind"]) if isinstance(table.get("kind"), str) else None
    law = None
    try:
        context = {} if cls is None else {f.name: 1.0 for f in dataclasses.fields(cls) if f.name in CONTEXT_KEYS}
        taken = [key for key in CONTEXT_KEYS if key in table]
        origin = {"learners_per_node": "[cluster]", "gradient_bytes": "the workload"}
        faults += [(key, f"unknown key; it comes from {origin[key]}") for key in taken]
        law = structure_kind({**{key: item for key, item in table.items() if key not in taken}, **context}, kinds)
    except TableFaults as error:
        faults += error.faults
    if faults:
        raise TableFaults(faults)
    assert law is not None
    return ReduceSection(law=law, overlap=overlap)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKeys:
    """A link written out instead of named."""

    bandwidth_bytes_per_s: float
    latency_s: float = 0.0

    def __post_init__(self) -> None:
        _check(self, bandwidth_bytes_per_s=positive, latency_s=non_negative)


Collective = Literal[
    "ring", "rd", "rhd_near", "rhd_far", "tree", "double_tree", "hierarchical", "ps", "psco", "a2a", "auto"
]
Topology = Literal["star", "ring", "xgft", "fat_tree", "leaf_spine", "rails", "graph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementKeys:
    """[network] placement: which rank sits on which host."""

    kind: Literal["linear", "strided", "random", "by_node", "listed"]
    stride: int | None = None
    seed: int | None = None
    hosts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check(self, stride=whole, seed=_whole_from_zero)
        if (self.kind == "listed") != bool(self.hosts):
            raise ValueError("hosts must be given where kind = 'listed', and only there")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSection:
    """[network]: topology, collective and placement behind reduce.kind = "fabric"."""

    topology: Topology
    down: tuple[int, ...] = ()
    up: tuple[int, ...] = ()
    switch: str | None = None
    oversubscription: float = 1.0
    host_link: str | LinkKeys | None = None
    upper_link: str | LinkKeys | None = None
    inner_link: str | LinkKeys | None = None
    file: str | None = None
    collective: Collective = "auto"
    servers: int | None = None
    inner: Collective | None = None
    outer: Collective | None = None
    placement: PlacementKeys = field(default_factory=lambda: PlacementKeys(kind="linear"))
    sends: Literal["rendezvous", "eager"] = "rendezvous"
    routing: Literal["d_mod_k", "shortest_path", "hashed"] | None = None

    def __post_init__(self) -> None:
        _check(self, down=whole, up=whole, oversubscription=_at_least_one, servers=whole)
        if len(self.down) != len(self.up):
            raise ValueError(f"up must have as many levels as down, got {len(self.up)} and {len(self.down)}")
        if self.topology == "xgft" and not self.down:
            raise ValueError("down must be given for topology = 'xgft', with up")
        if self.topology == "graph" and not self.file:
            raise ValueError("file must be given for topology = 'graph'")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSection:
    """[cost]: how money is counted."""

    kind: Literal["purchase", "cloud", "ownership"]
    prices: str = "shipped"
    usd_per_node_hour: float | None = None
    electricity_usd_per_kwh: float | None = None
    pue: float | None = None
    life_s: float | None = None
    facility_usd_per_node: float | None = None

    def __post_init__(self) -> None:
        _check(
            self,
            usd_per_node_hour=non_negative,
            electricity_usd_per_kwh=non_negative,
            pue=_at_least_one,
            life_s=positive,
            facility_usd_per_node=non_negative,
        )


# ------------------------------------------------------------------------------------------------------------ run and simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSection:
    """[run]: the question of run, optimum, scale and explain."""

    batch_samples: float | tuple[float, ...] | Words = "best"
    learners: int | tuple[int, ...] | Literal["best", "all"] = "all"
    accumulation: int | Literal["auto"] = 1
    whole_samples: bool | None = None
    min_batch_samples: float | None = None
    max_batch_samples: float | None = None

    def __post_init__(self) -> None:
        _check(
            self,
            batch_samples=positive,
            learners=whole,
            accumulation=whole,
            min_batch_samples=positive,
            max_batch_samples=positive,
        )
        for name in ("batch_samples", "learners"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} must not be an empty list")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowLearner:
    """A learner that is always slower by a factor."""

    learner: int
    factor: float

    def __post_init__(self) -> None:
        _check(self, learner=_whole_from_zero, factor=positive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hiccups:
    """Rare pauses with a heavy tail."""

    per_learner_hour: float
    duration_s: float
    tail: float

    def __post_init__(self) -> None:
        _check(self, per_learner_hour=non_negative, duration_s=non_negative, tail=positive)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSection:
    """[simulate.noise]: how a learner's compute time scatters."""

    kind: Literal["none", "lognormal", "gamma", "exponential"]
    relative_sd: float | None = None
    slow_learners: tuple[SlowLearner, ...] = ()
    hiccups: Hiccups | None = None

    def __post_init__(self) -> None:
        _check(self, relative_sd=non_negative)
        if self.kind in ("lognormal", "gamma") and self.relative_sd is None:
            raise ValueError(f"relative_sd must be given for kind = {self.kind!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresSection:
    """[simulate.failures]: failures, checkpoints and what a restart costs."""

    kind: Literal["exponential"]
    node_mtbf_s: float
    checkpoint_every_s: float | Words | None = None
    checkpoint_every_updates: float | None = None
    checkpoint_s: float = 0.0
    restart_s: float = 0.0
    spare_nodes: int = 0
    repair_s: float | None = None

    def __post_init__(self) -> None:
        _check(
            self,
            node_mtbf_s=positive,
            checkpoint_every_s=positive,
            checkpoint_every_updates=whole,
            checkpoint_s=non_negative,
            restart_s=non_negative,
            spare_nodes=_whole_from_zero,
            repair_s=non_negative,
        )
        if self.checkpoint_every_s is not None and self.checkpoint_every_updates is not None:
            raise ValueError("checkpoint_every_updates must not be given beside checkpoint_every_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replications:
    """How often a simulation is repeated, and when to stop."""

    min: int = 1
    max: int = 1
    stop_relative_halfwidth: float | None = None

    def __post_init__(self) -> None:
        _check(self, min=whole, max=whole, stop_relative_halfwidth=positive)
        if self.min > self.max:
            raise ValueError(f"max must be >= min = {self.min}, got {self.max}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateSection:
    """[simulate]: the discrete-event simulation."""

    batch_samples: float | Words = "best"
    learners: int | Literal["best", "all"] = "all"
    mode: Literal["cohorts", "every_learner"] = "cohorts"
    replications: int | Replications = 1
    updates: Literal["mean", "drawn"] = "mean"
    noise: NoiseSection | None = None
    failures: FailuresSection | None = None

    def __post_init__(self) -> None:
        _check(self, batch_samples=positive, learners=whole)
        if isinstance(self.replications, int):
            whole("replications", self.replications)


# ---------------------------------------------------------------------------------------------------------- design, compare


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Whole numbers from min to max."""

    min: int
    max: int

    def __post_init__(self) -> None:
        _check(self, min=whole, max=whole)
        if self.min > self.max:
            raise ValueError(f"max must be >= min = {self.min}, got {self.max}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseSection:
    """[design.choose]: the catalogue that is searched."""

    node: tuple[str, ...]
    nodes: Range
    network: tuple[str, ...] = ()
    topology: tuple[Topology, ...] = ()
    oversubscription: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.node:
            raise ValueError("node must name at least one node type")
        _check(self, oversubscription=_at_least_one)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSection:
    """[design]: what to buy."""

    choose: ChooseSection
    objective: Literal["mean_time", "weighted_time", "worst_time", "cost"] = "mean_time"
    budget_usd: float | None = None
    deadline_s: float | None = None
    power_max_w: float | None = None
    life_s: float | None = None

    def __post_init__(self) -> None:
        _check(self, budget_usd=positive, deadline_s=positive, power_max_w=positive, life_s=positive)
        if self.budget_usd is None and self.deadline_s is None:
            raise ValueError("budget_usd must be given, or deadline_s, or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSection:
    """[compare]: options side by side."""

    learners: tuple[int, ...] = ()
    crossovers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self, learners=whole)


# ------------------------------------------------------------------------------------------------------------------- allocate


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceKeys:
    """[allocate.trace]: jobs from a file."""

    file: str
    source: str | None = None
    subset: str | None = None
    models: dict[str, str] = field(default_factory=dict)
    unknown_models: Literal["skip", "refuse"] = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalsKeys:
    """[allocate.arrivals]: jobs that arrive at random."""

    kind: Literal["poisson"]
    per_hour: float
    count: int

    def __post_init__(self) -> None:
        _check(self, per_hour=positive, count=whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateSection:
    """[allocate]: who gets how many learners."""

    objective: Literal["mean_time", "weighted_time", "makespan", "worst_slowdown"] = "mean_time"
    policy: str = "marginal-gain"
    unit: Literal["learner", "node", "power_of_two"] = "learner"
    restart_s: float = 0.0
    interval_s: float | None = None
    trace: TraceKeys | None = None
    arrivals: ArrivalsKeys | None = None

    def __post_init__(self) -> None:
        _check(self, restart_s=non_negative, interval_s=positive)
        known = ("fcfs", "equal", "srtf", "marginal-gain", "marginal-gain-fixed-batch")
        if self.policy not in known and ":" not in self.policy:
            raise ValueError(f"policy must be one of {', '.join(known)} or module:attribute, got {self.policy!r}")
        if self.trace is not None and self.arrivals is not None:
            raise ValueError("arrivals must not be given beside trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSection:
    """[[job]]: one job of an allocation."""

    name: str
    workload: str
    arrival_s: float = 0.0
    weight: float = 1.0
    deadline_s: float | None = None
    learners_min: int = 1
    learners_max: int | None = None
    batch_samples: float | Words = "best"

    def __post_init__(self) -> None:
        _check(
            self,
            arrival_s=non_negative,
            weight=positive,
            deadline_s=positive,
            learners_min=whole,
            learners_max=whole,
            batch_samples=positive,
        )
        if self.learners_max is not None and self.learners_max < self.learners_min:
            raise ValueError(f"learners_max must be >= learners_min = {self.learners_min}, got {self.learners_max}")


# ------------------------------------------------------------------------------------------------------------------ the file


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioFile:
    """A whole scenario file. `option` stays as tables: each is laid over the file and checked as part of it."""

    schema: Literal[1]
    workload: tuple[WorkloadSection, ...]
    title: str = ""
    seed: int = 0
    profiles: tuple[str, ...] = ()
    source: str | None = None
    date: str | None = None
    verified: bool | None = None
    cluster: ClusterSection | None = None
    reduce: ReduceSection | None = None
    network: NetworkSection | None = None
    cost: CostSection | None = None
    run: RunSection = field(default_factory=RunSection)
    cross_validation: CrossValidation | None = None
    simulate: SimulateSection | None = None
    sweep: dict[str, Any] = field(default_factory=dict)
    design: DesignSection | None = None
    compare: CompareSection | None = None
    option: tuple[dict[str, Any], ...] = ()
    allocate: AllocateSection | None = None
    job: tuple[JobSection, ...] = ()

    def __post_init__(self) -> None:
        whole("seed", self.seed, lowest=0)
        if not self.workload:
            raise ValueError("workload must be given at least once, as [[workload]]")


CONVERTER.register_structure_hook(ConvergenceSection, _structure_convergence)
CONVERTER.register_structure_hook(ComputeTable, _structure_compute_table)
CONVERTER.register_structure_hook(ReduceSection, _structure_reduce)
