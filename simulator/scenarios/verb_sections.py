"""The sections of single verbs: [run], [simulate], [design], [compare], [allocate] and [[job]]."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from simulator.quantities import non_negative, positive, whole
from simulator.scenarios.checks import Best, at_least_one, check, whole_from_zero
from simulator.scenarios.cluster_sections import Topology
from simulator.scenarios.continuous_section import ContinuousSection
from simulator.studies.allocation.options import Unit
from simulator.studies.allocation.speedup import SpeedUp
from simulator.studies.allocation.static import Objective

__all__ = [
    "POLICY_NAMES",
    "AllocateSection",
    "ChooseSection",
    "CompareSection",
    "DesignSection",
    "JobSection",
    "RunSection",
    "SimulateSection",
]

MOST_REPLICATIONS = 1_000_000
MOST_DRAWN = 1_000_000
MOST_RELATIVE_SD = 10.0
"""Beyond this nearly every draw is close to 0, and the mean rests on draws too rare for any run to meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSection:
    """[run]: the question of run, optimum, scale and explain."""

    batch_samples: float | tuple[float, ...] | Best = "best"
    learners: int | tuple[int, ...] | Literal["best", "all"] = "all"
    accumulation: int | Literal["auto"] = 1
    whole_samples: bool | None = None
    min_batch_samples: float | None = None
    max_batch_samples: float | None = None

    def __post_init__(self) -> None:
        check(
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
        check(self, learner=whole_from_zero, factor=positive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hiccups:
    """Rare pauses with a heavy tail."""

    per_learner_hour: float
    duration_s: float
    tail: float

    def __post_init__(self) -> None:
        check(self, per_learner_hour=non_negative, duration_s=non_negative, tail=positive)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSection:
    """[simulate.noise]: how a learner's compute time scatters."""

    kind: Literal["none", "lognormal", "gamma", "exponential"]
    relative_sd: float | None = None
    slow_learners: tuple[SlowLearner, ...] = ()
    hiccups: Hiccups | None = None

    def __post_init__(self) -> None:
        check(self, relative_sd=non_negative)
        if self.relative_sd is not None and self.relative_sd > MOST_RELATIVE_SD:
            rule = f"must be <= {MOST_RELATIVE_SD:g}: what scatters more is a hiccup"
            raise ValueError(f"relative_sd {rule}, got {self.relative_sd:g}")
        if self.kind in ("lognormal", "gamma") and self.relative_sd is None:
            raise ValueError(f"relative_sd must be given for kind = {self.kind!r}")
        if self.kind == "exponential" and self.relative_sd is not None and self.relative_sd > 1:
            raise ValueError(f"relative_sd must be <= 1 for kind = 'exponential', got {self.relative_sd:g}")
        if self.kind == "none" and self.relative_sd:
            raise ValueError(f"relative_sd must not be given for kind = 'none', got {self.relative_sd:g}")
        named = [slow.learner for slow in self.slow_learners]
        if len(set(named)) < len(named):
            again = next(learner for learner in named if named.count(learner) > 1)
            raise ValueError(f"slow_learners must name each learner once, got {again} again")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresSection:
    """[simulate.failures]: failures, checkpoints and what a restart costs."""

    kind: Literal["exponential"]
    node_mtbf_s: float
    checkpoint_every_s: float | Best | None = None
    checkpoint_every_updates: float | None = None
    checkpoint_s: float = 0.0
    restart_s: float = 0.0
    spare_nodes: int = 0
    repair_s: float | None = None

    def __post_init__(self) -> None:
        check(
            self,
            node_mtbf_s=positive,
            checkpoint_every_s=positive,
            checkpoint_every_updates=whole,
            checkpoint_s=non_negative,
            restart_s=non_negative,
            spare_nodes=whole_from_zero,
            repair_s=non_negative,
        )
        if self.checkpoint_every_s is not None and self.checkpoint_every_updates is not None:
            raise ValueError("checkpoint_every_updates must not be given beside checkpoint_every_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replications:
    """How often a simulation is repeated, and when to stop."""

    min: int = 1
    max: int
    stop_relative_halfwidth: float | None = None

    def __post_init__(self) -> None:
        check(self, min=whole, max=whole, stop_relative_halfwidth=positive)
        if self.min > self.max:
            raise ValueError(f"max must be >= min = {self.min}, got {self.max}")
        if self.max > MOST_REPLICATIONS:
            raise ValueError(f"max must be <= {MOST_REPLICATIONS:,}, got {self.max:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateSection:
    """[simulate]: the discrete-event simulation."""

    batch_samples: float | Best = "best"
    learners: int | Literal["best", "all"] = "all"
    mode: Literal["cohorts", "every_learner"] = "cohorts"
    replications: int | Replications = 1
    updates: Literal["mean", "drawn"] = "mean"
    barrier: bool = True
    server: Literal["fixed", "exponential"] | None = None
    learners_per_unit: int = 1
    noise: NoiseSection | None = None
    failures: FailuresSection | None = None

    def __post_init__(self) -> None:
        check(self, batch_samples=positive, learners=whole, learners_per_unit=whole)
        for name, given in (
            ("barrier", not self.barrier),
            ("server", self.server is not None),
            ("learners_per_unit", self.learners_per_unit > 1),
        ):
            if given and self.mode != "every_learner":
                raise ValueError(f"{name} needs mode = 'every_learner', got {self.mode!r}")
        if not self.barrier and self.learners_per_unit > 1:
            raise ValueError(f"barrier needs a compute unit for each learner, got learners_per_unit = {self.learners_per_unit}")
        if isinstance(self.replications, int):
            whole("replications", self.replications)
            if self.replications > MOST_REPLICATIONS:
                raise ValueError(f"replications must be <= {MOST_REPLICATIONS:,}, got {self.replications:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Whole numbers from min to max."""

    min: int
    max: int

    def __post_init__(self) -> None:
        check(self, min=whole, max=whole)
        if self.min > self.max:
            raise ValueError(f"max must be >= min = {self.min}, got {self.max}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseSection:
    """[design.choose]: the catalogue that is searched."""

    node: tuple[str, ...]
    nodes: Range
    network: tuple[str, ...] = ()
    switch: tuple[str, ...] = ()
    topology: tuple[Topology, ...] = ()
    oversubscription: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.node:
            raise ValueError("node must name at least one node type")
        check(self, oversubscription=at_least_one)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSection:
    """[design]: what to buy."""

    choose: ChooseSection | None = None
    continuous: ContinuousSection | None = None
    objective: Literal["mean_time", "weighted_time", "worst_time", "cost"] = "mean_time"
    budget_usd: float | None = None
    deadline_s: float | None = None
    power_max_w: float | None = None
    life_s: float | None = None

    def __post_init__(self) -> None:
        check(self, budget_usd=positive, deadline_s=positive, power_max_w=positive, life_s=positive)
        if self.budget_usd is None and self.deadline_s is None:
            raise ValueError("budget_usd must be given, or deadline_s, or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSection:
    """[compare]: options side by side."""

    learners: tuple[int, ...] = ()
    crossovers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self, learners=whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceKeys:
    """[allocate.trace]: jobs from a file. `speedup` is that of jobs without a model."""

    file: str
    source: str | None = None
    subset: str | None = None
    models: dict[str, str] = field(default_factory=dict)
    unknown_models: Literal["skip", "refuse"] = "refuse"
    speedup: SpeedUp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalsKeys:
    """[allocate.arrivals]: jobs that arrive at random."""

    kind: Literal["poisson"]
    per_hour: float
    count: int
    replications: int = 1

    def __post_init__(self) -> None:
        check(self, per_hour=positive, count=whole, replications=whole)
        if self.count * self.replications > MOST_DRAWN:
            got = f"{self.count:,} in each of {self.replications:,}"
            raise ValueError(f"count must be <= {MOST_DRAWN:,} over all replications, got {got}")


POLICY_NAMES = ("fcfs", "equal", "srtf", "marginal-gain", "marginal-gain-fixed-batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateSection:
    """[allocate]: who gets how many learners."""

    objective: Objective = "mean_time"
    policy: str = "marginal-gain"
    unit: Unit = "learner"
    restart_s: float = 0.0
    interval_s: float | None = None
    checkpoint_every_s: float | None = None
    trace: TraceKeys | None = None
    arrivals: ArrivalsKeys | None = None

    def __post_init__(self) -> None:
        check(self, restart_s=non_negative, interval_s=positive, checkpoint_every_s=positive)
        if self.policy not in POLICY_NAMES and ":" not in self.policy:
            raise ValueError(f"policy must be one of {', '.join(POLICY_NAMES)} or module:attribute, got {self.policy!r}")
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
    learners: int | None = None
    learners_min: int = 1
    learners_max: int | None = None
    batch_samples: float | Best = "best"

    def __post_init__(self) -> None:
        check(
            self,
            learners=whole,
            arrival_s=non_negative,
            weight=positive,
            deadline_s=positive,
            learners_min=whole,
            learners_max=whole,
            batch_samples=positive,
        )
        if self.learners_max is not None and self.learners_max < self.learners_min:
            raise ValueError(f"learners_max must be >= learners_min = {self.learners_min}, got {self.learners_max}")
        if self.learners is not None and (self.learners_min != 1 or self.learners_max is not None):
            raise ValueError(f"learners must not be given beside learners_min or learners_max, got {self.learners}")
