"""Measure mine: fit a law to measurements. The command fit updates."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simulator.cli.flags import OutputFlags
from simulator.errors import PoorFitWarning, SimulatorError

if TYPE_CHECKING:
    from simulator.calibration.profile_intervals import ProfileInterval
    from simulator.calibration.updates import UpdatesFit
    from simulator.calibration.updates_laws import LawFit

__all__ = ["model_keys", "points_of", "refuse_save", "unreached_keys", "updates"]

NO_OUTPUT = OutputFlags()
MOST_BATCHES = 10_000
SAFE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The name of a file that can be the name of a workload."""


def updates(
    file: Path,
    /,
    *,
    predict: str | None = None,
    predict_file: Path | None = None,
    law: Literal["auto", "inverse", "sharp", "corner", "power", "noise_floor"] = "auto",
    series: str | None = None,
    save: Path | None = None,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """How many updates at a batch size that I have not tried, and how sure is that?

    Parameters
    ----------
    file
        Table (CSV) with the columns batch_samples, updates [, updates_std, runs, series, outcome]: the mean updates to
        converge at each mini-batch size, the standard deviation of the runs around it, and how many runs there were. Where
        outcome is censored or diverged, the updates that the runs made without reaching the target.
    predict
        Batch sizes to predict, "4096,8192".
    predict_file
        Table with a column batch_samples to predict.
    law
        auto weighs the inverse law and the sharp corner; or one law alone.
    series
        Which series of the table, where it has several; all of them by default.
    save
        Write the law as a workload profile (TOML) that scenarios can use; needs one series.
    figures
        Draw the figure into the folder of --out too.
    """
    from simulator.calibration.measurements import chosen, read_batch_samples, read_updates
    from simulator.calibration.updates import fit_updates
    from simulator.cli.fit_text import print_fits
    from simulator.cli.output import Output, collected_warnings, request_errors

    if predict is not None and predict_file is not None:
        raise SimulatorError("--predict and --predict-file say the same thing twice: give one of them")
    with collected_warnings() as caught, request_errors():
        asked = _batch_sizes(predict) if predict is not None else None
        if predict_file is not None:
            asked = list(read_batch_samples(predict_file))
        tables = chosen(read_updates(file), series)
        if save is not None:
            refuse_save(save, len(tables))
        inputs = [[_inputs(table) for table in tables], asked, law]
        out = Output.prepared("fit updates", output, title=file.name, seed=None, inputs=inputs, figures=figures)
        fits = [fit_updates(table, law=law) for table in tables]
        for fit in fits:
            for concern in fit.concerns:
                warnings.warn(f"{fit.series.name}: {concern}", PoorFitWarning, stacklevel=1)
        keys = [_keys(fit, asked) for fit in fits]
    alone = keys[0] if len(keys) == 1 else dict.fromkeys(keys[0])
    if save is not None:
        from simulator.cli.profile_file import write_workload

        write_workload(save, fits[0], source=file.name)
        alone["saved"] = str(save)
    files: dict[str, Sequence[dict[str, Any]]] = {
        "predictions.csv": [{"series": key["series"], **row} for key in keys for row in key["predictions"]]
    }
    if out.folder is not None:
        files["points.csv"] = [row for fit in fits for row in points_of(fit.series.name, fit)]
        files["curve.csv"] = [row for fit in fits for row in _curve(fit, asked)]
    out.emit({**alone, "fits": keys}, caught, text=lambda: print_fits(fits, keys, save), tables=files)


def _batch_sizes(text: str) -> list[float]:
    """Return the batch sizes of `--predict 4096,8192`."""
    listed = []
    for part in text.split(","):
        try:
            number = float(part) if "_" not in part else float("nan")
        except ValueError:
            number = float("nan")
        if not 0 < number <= 1e15:
            raise SimulatorError(f"--predict must be batch sizes > 0 like 4096,8192, got {text!r}")
        listed.append(number)
    if len(listed) > MOST_BATCHES:
        raise SimulatorError(f"--predict must be at most {MOST_BATCHES} batch sizes, got {len(listed)}")
    return listed


def refuse_save(save: Path, series: int, flag: str = "--series") -> None:
    """Refuse, before anything is computed, a file that --save could not write: of several series, or over another file."""
    if series > 1:
        raise SimulatorError(f"--save needs one series, the table has {series}: choose it with {flag} NAME")
    if save.suffix == ".toml" and not SAFE_STEM.fullmatch(save.stem):
        raise SimulatorError(f"--save must be named by letters, digits, dots, dashes and underscores, got {str(save)!r}")
    if save.suffix != ".toml":
        raise SimulatorError(f"--save must name a .toml file, got {str(save)!r}")
    if save.exists():
        raise SimulatorError(f"{save}: exists already; nothing was written: remove it or give another name")
    if not save.parent.is_dir():
        raise SimulatorError(f"{save}: there is no folder {str(save.parent)!r}")


def _inputs(table: Any) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(table)


def _default_targets(fit: UpdatesFit) -> list[float]:
    """Half the smallest batch size measured, the middle of the widest gap, and twice the largest."""
    M = fit.series.batch_samples
    low, high = max(pairwise(M), key=lambda pair: pair[1] / pair[0])
    wanted = [M[0] / 2.0, (low * high) ** 0.5, 2.0 * M[-1]]
    if all(float(size).is_integer() for size in M):
        wanted = [float(max(1, round(size))) for size in wanted]
    return sorted(size for size in set(wanted) - set(M) if size > fit.smallest_batch_samples)


def _keys(fit: UpdatesFit, asked: list[float] | None) -> dict[str, Any]:
    """Return the answer's own keys for one series."""
    from simulator.calibration.updates import as_keys

    intervals = fit.profile_intervals90()
    following = fit.next_batch(asked)
    best = fit.best
    plain = fit.plain
    targets = asked if asked is not None else _default_targets(fit)
    return {
        "series": fit.series.name,
        "model": model_keys(best),
        "rms_relative": best.rms_relative,
        "criterion": best.criterion,
        "intervals90": {name: [interval.low, interval.high] for name, interval in intervals.items()},
        "unidentified": _unidentified(intervals),
        "plain_inverse_law": None
        if plain is None
        else {
            "parameters": {"n_inf_updates": plain.law.n_inf_updates, "alpha_samples": plain.law.alpha_samples},
            "standard_errors": dict(
                zip(
                    ("n_inf_updates", "alpha_samples"),
                    [error if error != float("inf") else None for error in plain.standard_errors],
                    strict=True,
                )
            ),
            "correlation": plain.correlation,
            "rms_relative": plain.rms_relative,
        },
        "alternatives": [
            {**model_keys(rival), "rms_relative": rival.rms_relative, "criterion": rival.criterion}
            for rival in fit.alternatives()
        ],
        "weights": {one.family.kind: weight for one, weight in zip(fit.fits, fit.weights, strict=True)},
        "batch_samples_range": list(fit.batch_samples_range),
        "batch_sizes": len(fit.series.batch_samples),
        "unreached": unreached_keys(fit),
        "smallest_batch_samples": fit.smallest_batch_samples,
        "run_to_run_relative": fit.run_to_run_relative,
        "run_to_run_measured": fit.series.run_to_run_relative is not None,
        "discrepancy_relative": fit.record().discrepancy_relative,
        "predictions": [as_keys(prediction) for prediction in fit.predict(targets)] if targets else [],
        "next_batch_samples": following.batch_samples,
        "next_runs": following.runs,
        "next_narrows_by": following.narrows_by,
        "saved": None,
    }


def model_keys(fit: LawFit) -> dict[str, Any]:
    """Return a fitted law as the JSON has it; parameters of a law that does not hold there are left out."""
    values, errors = fit.parameters(), fit.log_standard_errors()
    return {
        "kind": fit.family.kind,
        "parameters": values,
        "standard_errors": {
            name: float(value * min(error, 1e12)) for (name, value), error in zip(values.items(), errors, strict=True)
        },
        "correlation": fit.correlation().tolist(),
        "valid": fit.law is not None,
    }


def unreached_keys(fit: UpdatesFit) -> list[dict[str, Any]]:
    """Return the batch sizes at which no run reached the target."""
    return [
        {"batch_samples": runs.batch_samples, "at_least_updates": runs.at_least_updates, "runs": runs.runs}
        for runs in fit.series.unreached
    ]


def points_of(name: str, fit: UpdatesFit) -> list[dict[str, Any]]:
    """Return the points of a fit, those that no run reached the target at last: more updates than these."""
    series = fit.series
    return [
        {"series": name, "batch_samples": M, "updates": N, "runs": runs, "relative_error": error, "reached": True}
        for M, N, runs, error in zip(series.batch_samples, series.updates, series.runs, series.relative_errors, strict=True)
    ] + [
        {
            "series": name,
            "batch_samples": one.batch_samples,
            "updates": one.at_least_updates,
            "runs": one.runs,
            "relative_error": 0.0,
            "reached": False,
        }
        for one in series.unreached
    ]


def _unidentified(intervals: dict[str, ProfileInterval]) -> list[str]:
    """Return the parameters that the data leave open at an end."""
    return [name for name, interval in intervals.items() if interval.low == 0.0 or interval.high is None]


def _curve(fit: UpdatesFit, asked: list[float] | None) -> list[dict[str, Any]]:
    """Predict from half the smallest to twice the largest batch size measured (or asked for), for the figure."""
    import numpy as np

    from simulator.calibration.updates import as_keys

    low, high = fit.batch_samples_range
    reach = [max(low / 2.0, 1.001 * fit.smallest_batch_samples), 2.0 * high, *(asked or [])]
    return [
        {"series": fit.series.name, **as_keys(prediction)}
        for prediction in fit.predict(np.geomspace(min(reach), max(reach), 121))
    ]
