"""A fitted law written as a file that scenarios can use: a workload profile, or a table [reduce]."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import SimulatorError
from simulator.tables import write_text

if TYPE_CHECKING:
    from simulator.calibration.reduce import ReduceFit, ReducePrediction
    from simulator.calibration.updates import UpdatesFit

__all__ = ["safe_text", "write_reduce", "write_workload", "written"]

LEAST_FACTOR = 0.05


FACTS_TO_BE_FILLED_IN = (
    "# Gamma, gradient_bytes and the data set are still to be filled in, here or beside `use` in a scenario."
)
TO_BE_FILLED_IN = (
    "# Seconds that a learner computes, for each accelerator it was timed on:",
    "#   [compute.a100-sxm-80]",
    '#   kind = "knee"',
    '#   gamma_s_per_sample = "300 us"',
    "#   knee_samples = 16",
    "[compute]",
)


def write_workload(
    path: Path,
    fit: UpdatesFit,
    *,
    source: str,
    sample_unit: str = "sample",
    facts: Sequence[str] = (),
    compute: Sequence[str] = TO_BE_FILLED_IN,
) -> None:
    """Write the law of a fit, and what the fit knows about itself, as a workload profile.

    Parameters
    ----------
    path : Path
        A new .toml file; its name is the workload's.
    fit : UpdatesFit
        One series.
    source : str
        What was fitted: a file, or a measurement.
    sample_unit : str
        What a sample is.
    facts : sequence of str
        Lines of the workload's own table: data set, gradient.
    compute : sequence of str
        Lines of its compute tables; by default a comment that says how to fill them in.

    Raises
    ------
    SimulatorError
        If the file cannot be written.
    """
    kind, law, record = fit.best.family.kind, fit.law, fit.record()
    assert dataclasses.is_dataclass(law)
    said = safe_text(source) if facts else f"fitted to {safe_text(source)} by learnersim fit updates"
    numbers = [f"{field.name} = {getattr(law, field.name)!r}" for field in dataclasses.fields(law)]
    low, high = record.batch_samples_range
    first, second = record.relative_standard_errors
    text = "\n".join(
        [
            f"# A workload: updates to converge, {'' if facts else 'fitted to '}{safe_text(source)}.",
            *([] if facts else [FACTS_TO_BE_FILLED_IN]),
            "schema = 1",
            f'name = "{path.stem}"',
            f'title = "{safe_text(fit.series.name)}"',
            f'sample_unit = "{safe_text(sample_unit)}"',
            *facts,
            f'source = "{said}"',
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
            *compute,
            "",
        ]
    )
    written(path, text)


def write_reduce(path: Path, fit: ReduceFit, *, gradient_bytes: float, source: str) -> None:
    """Write the fit of all-reduce times as a table [reduce] that a scenario can paste.

    Parameters
    ----------
    path : Path
        A new .toml file.
    fit : ReduceFit
        One system.
    gradient_bytes : float
        Bytes of the gradient. The laws of [reduce] are simpler than the fit: they are written to agree with its predictions at
        this size, on the most devices measured of each tier.
    source : str
        The file that was fitted.

    Raises
    ------
    SimulatorError
        If the file cannot be written.

    Notes
    -----
    Where one tier was measured: kind "ring", with the bandwidth that the largest size measured gets and the latency per step
    that gives the predicted time. Both tiers: "two_tier_ring", A from the predicted time inside a node and B from that
    across nodes. In-switch reduction: "constant". The number that carries most of a time has the range that gives the time
    its 90 % interval.
    """
    large = fit.large_messages()
    predicted = fit.predict([(gradient_bytes, one.devices, one.nodes) for one in large])
    said = safe_text(f"fitted to {source}, {fit.series.name}, by learnersim fit reduce")

    def number(key: str, value: float, ends: tuple[float, float] | None = None) -> str:
        span = "" if ends is None else f"low = {ends[0]:.6g}, high = {ends[1]:.6g}, "
        return f'{key} = {{ value = {value:.6g}, {span}source = "{said}" }}'

    def ends_of(part_s: float, whole: ReducePrediction) -> tuple[float, float]:
        """Factors of a part of a time that take the whole to the ends of its interval."""
        low, high = (1.0 + (end - whole.time_s) / part_s for end in whole.interval90)
        return max(low, LEAST_FACTOR), high

    last, T = large[-1], predicted[-1].time_s
    if fit.series.in_switch:
        lines = ['kind = "constant"', number("delta_s", T, predicted[-1].interval90)]
    elif len(large) == 2:
        devices, g = large[0].devices, last.devices / last.nodes
        A = predicted[0].time_s * devices / (devices - 1)
        rest_s = T - A * (g - 1) / g
        B = max(rest_s, 0.0) * last.nodes / (last.nodes - 1)
        low, high = ends_of(predicted[0].time_s, predicted[0])
        lines = ['kind = "two_tier_ring"', number("in_node_s", A, (A * low, A * high))]
        if B > 0.0:
            low, high = ends_of(rest_s, predicted[-1])
        lines.append(number("across_nodes_s", B, (B * low, B * high) if B > 0.0 else None))
    else:
        steps = 2.0 * (last.devices - 1)
        bytes_s = min(T, steps / last.devices * gradient_bytes / last.bus_bandwidth_bytes_per_s)
        bandwidth, latency_s = steps / last.devices * gradient_bytes / bytes_s, (T - bytes_s) / steps
        by_latency = bytes_s < 0.5 * T
        low, high = ends_of(T - bytes_s if by_latency else bytes_s, predicted[-1])
        lines = [
            'kind = "ring"',
            number("latency_s", latency_s, (latency_s * low, latency_s * high) if by_latency else None),
            number("bandwidth_bytes_per_s", bandwidth, None if by_latency else (bandwidth / high, bandwidth / low)),
        ]
    where = " and ".join(f"{one.devices} devices on {one.nodes} node{'s' if one.nodes > 1 else ''}" for one in large)
    head = [
        f"# Delta(P) of {safe_text(fit.series.name)}, for a gradient of {gradient_bytes:.10g} bytes: agrees with the fit",
        f"# there, on {where}. Paste it into a scenario; another gradient needs another table.",
        "[reduce]",
    ]
    written(path, "\n".join([*head, *lines, ""]))


def written(path: Path, text: str) -> None:
    """Write a text file into a folder that is made where it is missing; SimulatorError where it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise SimulatorError(f"{path}: cannot be written: {error.strerror or error}") from None


def safe_text(text: str) -> str:
    """Return a text without what would end a TOML string or comment."""
    return re.sub(r"[^ -!#-\[\]-~]", "_", text)
