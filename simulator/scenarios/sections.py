"""A whole scenario file as one frozen dataclass; every verb's sections are parsed, whichever verb is asked.

A field is a key of the file; its name ends in its unit. The laws themselves (kinds of [workload.convergence], [reduce],
overlap) are the models of the layers below, structured directly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.compute import CrossValidation
from simulator.quantities import whole
from simulator.scenarios.cluster_sections import ClusterSection, CostSection, NetworkSection, ReduceSection
from simulator.scenarios.verb_sections import (
    AllocateSection,
    CompareSection,
    DesignSection,
    JobSection,
    RunSection,
    SimulateSection,
)
from simulator.scenarios.workload_section import WorkloadSection

__all__ = ["ScenarioFile"]


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
        of_a_trace = self.allocate is not None and self.allocate.trace is not None  # whose jobs may be without laws
        if not self.workload and not of_a_trace:
            raise ValueError("workload must be given at least once, as [[workload]]")
