"""A fit of step times written as a scenario: Gamma of the workload on its accelerator, the cluster, Delta and the overlap."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.cli.profile_file import safe_text, written

if TYPE_CHECKING:
    from simulator.calibration.step_time import StepTimeFit
    from simulator.calibration.step_time_saved import SimpleStepLaw

__all__ = ["Target", "accelerator_named", "node_of", "write_step_time"]

STAND_IN_UPDATES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a saved scenario is of.

    Parameters
    ----------
    accelerator : str
        Id of the accelerator's profile.
    node : str or None
        Id of the node's profile; None where a single learner was measured.
    workload : str or None
        Workload profile whose law of updates is used; without it a stand-in of 1,000 updates whatever the batch.
    """

    accelerator: str
    node: str | None
    workload: str | None


def accelerator_named(gpu: str) -> str | None:
    """Return the id of the shipped accelerator that a table calls `gpu`, None where there is none.

    Examples
    --------
    >>> accelerator_named("T4"), accelerator_named("K80 (EC2)")
    ('t4', None)
    """
    from simulator.profiles import shipped_folder

    slug = re.sub(r"[^a-z0-9.]+", "-", gpu.lower()).strip("-")
    known = shipped_folder("hardware_profiles") / "accelerators" / f"{slug}.toml"
    return slug if slug and known.is_file() else None


def node_of(accelerator: str, accelerators: int) -> str | None:
    """Return the id of the first shipped node that holds so many of an accelerator, None where there is none.

    Examples
    --------
    >>> node_of("t4", 4)
    'aws-g4dn.12xlarge'
    """
    from simulator.profiles import load_profile, shipped_folder

    for path in sorted((shipped_folder("hardware_profiles") / "nodes").glob("*.toml")):
        profile = load_profile("nodes", path.stem)[0]
        if (profile.accelerator, profile.accelerators) == (accelerator, accelerators):
            return path.stem
    return None


def write_step_time(path: Path, fit: StepTimeFit, simple: SimpleStepLaw, target: Target, *, source: str) -> None:
    """Write a fit of step times as a scenario that runs, to take its tables from or to go on with.

    Parameters
    ----------
    path : Path
        A new .toml file.
    fit : StepTimeFit
        One series.
    simple : SimpleStepLaw
        The law that is written.
    target : Target
        The accelerator, node and workload it is of.
    source : str
        The file that was fitted.

    Raises
    ------
    SimulatorError
        If the file cannot be written.
    """
    series, values, law = fit.series, simple.values, simple.law
    said = safe_text(f"fitted to {source}, {series.name}, by learnersim fit step-time")
    most = series.learners[-1]
    local = series.local_samples[len(series.local_samples) // 2]

    def number(key: str) -> str:
        span = f"low = {simple.low:.6g}, high = {simple.high:.6g}, " if key == simple.uncertain else ""
        return f'{key} = {{ value = {values[key]:.6g}, {span}source = "{said}" }}'

    if target.workload is None:
        workload = [
            "[[workload]]",
            f'name = "{path.stem}"',
            f"# A stand-in: {STAND_IN_UPDATES:,} updates whatever the batch. Put your own law here, or use = a profile's.",
            f'convergence = {{ kind = "inverse", n_inf_updates = {STAND_IN_UPDATES - 1}, alpha_samples = 1e-3 }}  # rounded up',
        ]
        run = ["[run]", f"batch_samples = {round(local) * most}", f"learners = {most}"]
    else:
        workload = ["[[workload]]", f'use = "{target.workload}"']
        run = ["[run]", f"learners = {most}"]
    if target.node is None:
        cluster = [f'accelerator = "{target.accelerator}"', f"accelerators = {4 * most}"]
    else:
        cluster = [f'node = "{target.node}"', f"nodes = {max(1, -(-4 * most // simple.learners_per_node))}"]
    compute = [name for name in law.names if name in ("constant_s", "gamma_s_per_sample", "knee_samples")]
    reduce = [name for name in law.names if name not in compute and name != "overlap_exponent"]
    overlap = values.get("overlap_exponent")
    lines = [
        f"# {safe_text(series.name)}: what learnersim fit step-time makes of {safe_text(source)}, as one simple law.",
        f"# It agrees with the fit's predictions within {100 * float(abs(simple.gaps).max()):.2g} % at local batches of",
        f"# {series.local_samples[0]:g} to {series.local_samples[-1]:g} and up to {4 * most} GPUs ({most} were measured).",
        "schema = 1",
        f'title = "{safe_text(series.name)}"',
        "",
        *workload,
        "",
        f"[workload.compute.{target.accelerator}]",
        f'kind = "{law.compute}"',
        *(number(name) for name in compute),
        f"max_local_samples = {int(series.local_samples[-1])}  # the largest that was timed",
        "",
        "[cluster]",
        *cluster,
        "",
        "[reduce]",
        f'kind = "{law.reduce}"',
        *(number(name) for name in reduce),
        *([f'overlap = {{ kind = "power", exponent = {overlap:.6g} }}'] if overlap is not None else []),
        "",
        *run,
        "",
    ]
    written(path, "\n".join(lines))
