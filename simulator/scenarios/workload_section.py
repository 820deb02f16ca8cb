"""[[workload]]: what has to be learned, and what one sample costs on which accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from simulator.compute import AffineCompute, KneeCompute, TabulatedCompute
from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, SharpCornerLaw, TabulatedUpdates
from simulator.loading import CONVERTER, Table, structure_kind
from simulator.messages import TableFaults, shown
from simulator.quantities import fraction, positive, whole
from simulator.scenarios.checks import PROVENANCE_ENVELOPE, check
from simulator.scenarios.cluster_sections import MeasuredReduce
from simulator.theory import NoiseFloorLaw
from simulator.time_to_converge import ComputeModel, ConvergenceLaw
from simulator.uncertainty import FitRecord

__all__ = [
    "COMPUTE_KINDS",
    "CONVERGENCE_KINDS",
    "ComputeEntry",
    "ComputeTable",
    "ConvergenceSection",
    "FromFlops",
    "WorkloadSection",
    "in_papers_letters",
]


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
        return TabulatedUpdates(batch_samples=self.batch_samples, updates_at=self.updates, extrapolate=self.extrapolate)


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
    """[workload.compute.ACCELERATOR or from_flops]: Gamma of this workload there, and what it holds for.

    Parameters
    ----------
    law : ComputeModel or FromFlops
        Gamma of one learner.
    max_local_samples : float, optional
        The largest local mini-batch that its memory holds, or that ran. Samples, whole, >= 1.
    accelerators_per_learner : int, optional
        Accelerators of the learner that the law speaks of, >= 1. Where given, the cluster must have learners of that size.
    """

    law: ComputeModel | FromFlops
    max_local_samples: float | None = None
    accelerators_per_learner: int | None = None

    def __post_init__(self) -> None:
        check(self, max_local_samples=whole, accelerators_per_learner=whole)


ENTRY_KEYS = ("max_local_samples", "accelerators_per_learner")
"""Keys of a compute table besides those of its law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _EntryKeys:
    max_local_samples: float | None = None
    accelerators_per_learner: int | None = None


def structure_compute_entry(value: Any, accelerator: str) -> ComputeEntry:
    """Structure one entry of [workload.compute]; `from_flops` is its own kind."""
    envelope = (*ENTRY_KEYS, *PROVENANCE_ENVELOPE)
    kinds = {"from_flops": FromFlops} if accelerator == "from_flops" else COMPUTE_KINDS
    faults: list[tuple[str, str]] = []
    law = None
    try:
        law = structure_kind(value, kinds, envelope=envelope, default="from_flops" if len(kinds) == 1 else None)
        law = law.model() if hasattr(law, "model") else law
    except TableFaults as error:
        faults += error.faults
    given: dict[str, Any] = {}
    for key in ENTRY_KEYS:
        try:
            table = {key: value[key]} if isinstance(value, dict) and key in value else {}
            given[key] = getattr(CONVERTER.structure(table, _EntryKeys), key)
            ComputeEntry(law=FromFlops(utilisation=1, knee_samples=1), **{key: given[key]})
        except TableFaults as error:
            faults += error.faults
        except ValueError as error:
            faults.append((key, str(error).removeprefix(f"{key} ")))
    if faults:
        raise TableFaults(faults)
    assert law is not None
    return ComputeEntry(law=law, **given)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeTable:
    """[workload.compute]: entries by accelerator id."""

    entries: Mapping[str, ComputeEntry]


def _structure_compute_table(value: Any, _: Any) -> ComputeTable:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of accelerators, got {shown(value)}")
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
    reduce: MeasuredReduce | None = None
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
    borrowed: str | None = None
    source: str | None = None
    date: str | None = None
    verified: bool | None = None
    notes: str | None = None

    def __post_init__(self) -> None:
        check(
            self,
            weight=positive,
            runs_per_year=positive,
            data_set_samples=whole,
            gradient_bytes=positive,
            train_flop_per_sample=positive,
            input_samples_per_s=positive,
            tuning_factor=positive,
        )


CONVERTER.register_structure_hook(ConvergenceSection, _structure_convergence)
CONVERTER.register_structure_hook(ComputeTable, _structure_compute_table)
