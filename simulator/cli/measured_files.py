"""What was measured as files that scenarios use: a workload profile, this machine as an accelerator, and a scenario."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.cli.profile_file import safe_text, write_workload, written
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.measuring.findings import Findings
    from simulator.measuring.measurement import Request
    from simulator.measuring.problems import Sheet
    from simulator.measuring.record import Record

__all__ = ["removed", "write_scenario"]

MACHINE = "this-machine"


def removed(path: Path) -> None:
    """Remove a file of an earlier measurement, where there is one; SimulatorError where that cannot be done."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SimulatorError(f"{path}: cannot be removed: {error.strerror or error}") from None


def write_scenario(folder: Path, found: Findings, record: Record, request: Request, sheet: Sheet) -> Path:
    """Write scenario.toml and the two profiles it names into a folder, and return its path.

    Raises
    ------
    SimulatorError
        If a file cannot be written.
    """
    assert found.fit is not None
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", request.spec).strip("-.") or "measured"
    profiles = folder / "profiles"
    source = f"measured by learnersim measure {request.spec}, {record.head['machine']['processor']}"
    sizes, _ = found.compute_times()
    model = found.model()
    assert model is not None
    table = [f"{value!r}" for value in model.compute.compute_time_s(sizes).tolist()]
    facts = [f"data_set_samples = {sheet.data_set_samples}"]
    if sheet.parameters is not None:
        facts.append(f"gradient_bytes = {4 * sheet.parameters}  # {sheet.parameters} parameters in four bytes each")
    write_workload(
        profiles / "workloads" / f"{name}.toml",
        found.fit,
        source=source,
        sample_unit=sheet.sample_unit,
        facts=facts,
        compute=[
            f"# Seconds of an update within a run, {request.threads} thread{'s' if request.threads > 1 else ''}; "
            f"runs differ by {100 * found.run_spread:.2g} % (standard deviation).",
            f"[compute.{MACHINE}]",
            'kind = "tabulated"',
            f"local_samples = [{', '.join(f'{size:.0f}' for size in sizes)}]",
            f"compute_time_s = [{', '.join(table)}]",
            f"max_local_samples = {sizes[-1]:.0f}",
            f'source = "{safe_text(source)}"',
        ],
    )
    memory = record.head["machine"]["memory_bytes"]
    written(
        profiles / "accelerators" / f"{MACHINE}.toml",
        "\n".join(
            [
                f"# One learner of the measurement: {request.threads} of {record.head['machine']['cores']} cores.",
                "schema = 1",
                f'name = "{MACHINE}"',
                f'title = "{safe_text(record.head["machine"]["processor"])}"',
                f"memory_bytes = {memory}",
                f'source = "{safe_text(source)}"',
                "",
            ]
        ),
    )
    learners = max([1, *found.reduce_time_s])
    least, most = found.limits(sheet.data_set_samples).min_batch_samples, found.fit.batch_samples_range[1]
    lines = [
        f"# {safe_text(sheet.about or request.spec)}: what was measured, ready for  learnersim run {folder.name}/scenario.toml",
        "schema = 1",
        f'title = "{safe_text(request.spec)}, measured"',
        f"seed = {request.seed}",
        'profiles = ["profiles"]',
        "",
        "[[workload]]",
        f'use = "{name}"',
        "",
        "[cluster]",
        f'accelerator = "{MACHINE}"',
        f"accelerators = {learners}",
        "",
    ]
    if learners > 1:
        middle, low, high = (max(value, 0.0) for value in found.reduce_time_s[learners])
        lines += [
            f"# T_Update(M, {learners}) - T_Update(M/{learners}, 1), median, smallest and largest over the mini-batches timed;",
            f"# of {learners} learners: other numbers take other times.",
            "[reduce]",
            'kind = "constant"',
            f'delta_s = {{ value = {middle!r}, low = {low!r}, high = {high!r}, source = "{safe_text(source)}" }}',
            "",
        ]
    lines += [
        "# Within the mini-batches measured, and above those that do not reach the target.",
        "[run]",
        'batch_samples = "best"',
        'learners = "all"',
        f"min_batch_samples = {least:.0f}",
        f"max_batch_samples = {most:.0f}",
        "",
    ]
    path = folder / "scenario.toml"
    written(path, "\n".join(lines))
    return path
