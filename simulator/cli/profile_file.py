"""A fitted law written as a workload profile that scenarios can use."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import SimulatorError
from simulator.tables import write_text

if TYPE_CHECKING:
    from simulator.calibration.updates import UpdatesFit

__all__ = ["write_workload"]


def write_workload(path: Path, fit: UpdatesFit, *, source: str) -> None:
    """Write the law of a fit, and what the fit knows about itself, as a workload profile.

    Parameters
    ----------
    path : Path
        A new .toml file; its name is the workload's.
    fit : UpdatesFit
        One series.
    source : str
        The file that was fitted.

    Raises
    ------
    SimulatorError
        If the file cannot be written.
    """
    kind, law, record = fit.best.family.kind, fit.law, fit.record()
    assert dataclasses.is_dataclass(law)
    numbers = [f"{field.name} = {getattr(law, field.name)!r}" for field in dataclasses.fields(law)]
    low, high = record.batch_samples_range
    first, second = record.relative_standard_errors
    text = "\n".join(
        [
            f"# A workload: updates to converge, fitted to {_safe(source)}.",
            "# Gamma, gradient_bytes and the data set are still to be filled in, here or beside `use` in a scenario.",
            "schema = 1",
            f'name = "{path.stem}"',
            f'title = "{_safe(fit.series.name)}"',
            'sample_unit = "sample"',
            f'source = "fitted to {_safe(source)} by learnersim fit updates"',
            "",
            "[convergence]",
            f'kind = "{kind}"',
            *numbers,
            "",
            "[convergence.fit]",
            f"batch_samples_range = [{low!r}, {high!r}]",
            f"relative_standard_errors = [{first!r}, {second!r}]  # of the law's first two parameters",
            f"correlation = {record.correlation!r}",
            f"discrepancy_relative = {record.discrepancy_relative!r}  # a batch size around the law",
            f"run_to_run_relative = {record.run_to_run_relative!r}",
            "",
            "# Seconds that a learner computes, for each accelerator it was timed on:",
            "#   [compute.a100-sxm-80]",
            '#   kind = "knee"',
            '#   gamma_s_per_sample = "300 us"',
            "#   knee_samples = 16",
            "[compute]",
            "",
        ]
    )
    try:
        write_text(path, text)
    except OSError as error:
        raise SimulatorError(f"{path}: cannot be written: {error.strerror or error}") from None


def _safe(text: str) -> str:
    """Return a text without what would end a TOML string or comment."""
    return re.sub(r"[^ -!#-\[\]-~]", "_", text)
