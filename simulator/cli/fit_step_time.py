"""Measure mine: fit measured step times. The command fit step-time."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.fit import refuse_save
from simulator.cli.flags import OutputFlags, WholeNumber
from simulator.cli.step_time_text import print_fits
from simulator.errors import PoorFitWarning, SimulatorError

if TYPE_CHECKING:
    from simulator.calibration.step_time import StepTimeFit
    from simulator.calibration.step_time_fitted import FittedLaw
    from simulator.calibration.step_time_series import StepPlace, StepTimeSeries
    from simulator.cli.step_time_profile import Target

__all__ = ["step_time"]

NO_OUTPUT = OutputFlags()
TARGET = re.compile(r"(?P<local>[0-9.eE+]+)@(?P<gpus>\d+)(/(?P<nodes>\d+))?")
MOST_TARGETS = 10_000
MOST_ALTERNATIVES = 12
CURVES, CURVE_REACH = 5, 4
"""Local batches that the figure draws, and how many times the most GPUs its curves reach."""


def step_time(
    file: Path,
    /,
    *,
    series: str | None = None,
    fit_up_to: WholeNumber | None = None,
    predict: str | None = None,
    predict_file: Path | None = None,
    save: Path | None = None,
    accelerator: str | None = None,
    node: str | None = None,
    workload: str | None = None,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """How long does a step take on more GPUs, or with another local batch, than I measured, and how sure is that?

    Parameters
    ----------
    file
        Table (CSV) with the columns local_batch, n_gpus, n_nodes or placement, step_time_s [, sync_time_s, accumulation,
        series, source, workload, gpu, variant]: seconds of a whole update at each batch of a GPU.
    series
        Which series of the table, where it has several; all of them by default.
    fit_up_to
        Fit the rows with at most so many GPUs, as if the others had not been measured.
    predict
        What to predict, "64@128,32@256/32": a local batch of 64 on 128 GPUs, 32 on 256 GPUs of 32 nodes.
    predict_file
        Table with the columns local_batch, n_gpus [, n_nodes, placement, accumulation] to predict.
    save
        Write a scenario (TOML) with the compute table of the accelerator, [cluster] and [reduce]; needs one series.
    accelerator
        Id of the accelerator's profile, for --save; the GPU of the table by default.
    node
        Id of the node's profile, for --save; a shipped one with as many of the accelerator by default.
    workload
        Workload whose law of updates the saved scenario uses; a stand-in of 1,000 updates by default.
    figures
        Draw the figure into the folder of --out too.
    """
    from simulator.cli.threads import one_blas_thread

    one_blas_thread()
    from simulator.calibration.measurements import chosen
    from simulator.calibration.step_time import fit_step_time
    from simulator.calibration.step_time_tables import fitted_series, read_step_times
    from simulator.cli.output import Output, collected_warnings, request_errors

    if predict is not None and predict_file is not None:
        raise SimulatorError("--predict and --predict-file say the same thing twice: give one of them")
    if fit_up_to is not None and fit_up_to < 1:
        raise SimulatorError(f"--fit-up-to must be >= 1, got {fit_up_to}")
    flags = {"--accelerator": accelerator, "--node": node, "--workload": workload}
    for flag, value in flags.items():
        if value is not None and save is None:
            raise SimulatorError(f"{flag} needs --save: it says what the saved scenario is of")
    with collected_warnings() as caught, request_errors():
        table = read_step_times(file)
        listed, skipped = fitted_series(table, fit_up_to, str(file))
        picked = chosen(listed, series)
        if save is not None:
            refuse_save(save, len(picked))
            gpu = next((one.gpu for one in table.series if one.name == picked[0].name), "")
            target, per_node = _target(picked[0], gpu, accelerator, node, workload, save)
        asked = {one.name: _asked(predict, predict_file, one) for one in picked}
        inputs = [[dataclasses.asdict(one) for one in picked], [dataclasses.asdict(p) for one in asked.values() for p in one]]
        out = Output.prepared("fit step-time", output, title=file.name, seed=None, inputs=inputs, figures=figures)
        fits = [fit_step_time(one) for one in picked]
        for fit in fits:
            for concern in fit.concerns():
                warnings.warn(f"{fit.series.name}: {concern}", PoorFitWarning, stacklevel=1)
        keys = [_keys(fit, asked[fit.series.name]) for fit in fits]
    alone: dict[str, Any] = keys[0] if len(keys) == 1 else dict.fromkeys(keys[0])
    saved = None
    if save is not None:
        from simulator.calibration.step_time_saved import simple_law
        from simulator.cli.step_time_profile import write_step_time

        write_step_time(save, fits[0], simple_law(fits[0], learners_per_node=per_node), target, source=file.name)
        saved = str(save)
    tables = {"predictions.csv": [{"series": key["series"], **row} for key in keys for row in key["predictions"]]}
    if out.folder is not None:
        tables["points.csv"] = [row for fit in fits for row in _points(fit)]
        tables["curve.csv"] = [row for fit in fits for row in _curve(fit)]
    out.emit(
        {**alone, "saved": saved, "skipped": skipped, "fits": keys},
        caught,
        text=lambda: print_fits(keys, skipped, saved),
        tables=tables,
    )


def _asked(predict: str | None, predict_file: Path | None, series: StepTimeSeries) -> list[StepPlace]:
    """Return the places that `--predict` or `--predict-file` ask for; none where neither is given."""
    from simulator.calibration.step_time_next import filled
    from simulator.calibration.step_time_series import StepPlace
    from simulator.calibration.step_time_tables import read_step_time_targets

    if predict_file is not None:
        places = list(read_step_time_targets(predict_file, node_size=series.node_size))
        if len(places) > MOST_TARGETS:
            raise SimulatorError(f"{predict_file}: must have at most {MOST_TARGETS} rows, got {len(places)}")
        return places
    found = []
    for part in predict.split(",") if predict is not None else ():
        match = TARGET.fullmatch(part.strip())
        try:
            local, gpus = (float(match["local"]), int(match["gpus"])) if match else (0.0, 0)
            nodes = int(match["nodes"]) if match and match["nodes"] else None
        except ValueError:
            local, gpus, nodes = 0.0, 0, None
        if not (0 < local <= 1e12 and 1 <= gpus <= 2**24 and (nodes is None or 1 <= nodes <= gpus)):
            raise SimulatorError(f"--predict must be local batch @ GPUs [/ nodes] like 64@128,32@256/32, got {part.strip()!r}")
        if nodes is None:
            found.append(filled(local, gpus, series.node_size))
        else:
            found.append(StepPlace.even(local_samples=local, learners=gpus, nodes=nodes))
    return found


def _target(
    series: StepTimeSeries, gpu: str, accelerator: str | None, node: str | None, workload: str | None, save: Path
) -> tuple[Target, int]:
    """Return what --save writes about, and the learners of a node; profiles that are named must be there."""
    from simulator.cli.step_time_profile import Target, accelerator_named, node_of
    from simulator.profiles import load_profile
    from simulator.scenarios.inheritance import load_workload

    if accelerator is not None:
        named = accelerator
        _found("--accelerator", lambda: load_profile("accelerators", named, beside=save.parent))
    if workload is not None:
        wanted = workload
        _found("--workload", lambda: load_workload(wanted, save.parent, []))
    if node is not None:
        profile = _found("--node", lambda: load_profile("nodes", node, beside=save.parent)[0])
        if accelerator not in (None, profile.accelerator):
            raise SimulatorError(f"--accelerator is {accelerator}, but the accelerators of {node} are {profile.accelerator}")
        return Target(accelerator=profile.accelerator, node=node, workload=workload), profile.accelerators
    chip = accelerator or accelerator_named(gpu)
    if chip is None:
        said = f"no profile is named {gpu!r}, the table's GPU" if gpu else "the table does not say which GPU it is of"
        raise SimulatorError(f"--save needs --node or --accelerator: {said}; learnersim profiles accelerators lists them")
    if series.learners[-1] == 1:
        return Target(accelerator=chip, node=None, workload=workload), 1
    held = node_of(chip, series.node_size)
    if held is None:
        said = f"no shipped node holds {series.node_size} of {chip}, the most that the table has on one"
        raise SimulatorError(f"--save needs --node: {said}; learnersim profiles nodes lists them")
    return Target(accelerator=chip, node=held, workload=workload), series.node_size


def _found(flag: str, load: Any) -> Any:
    try:
        return load()
    except ValueError as error:
        raise SimulatorError(f"{flag}: {error}") from None


def _keys(fit: StepTimeFit, asked: Sequence[StepPlace]) -> dict[str, Any]:
    """Return the answer's own keys for one series."""
    from simulator.calibration.step_time_next import default_places, next_step_time

    places = list(asked) or default_places(fit)
    following = next_step_time(fit, places)
    series, held = fit.series, fit.held_out
    return {
        "series": series.name,
        "model": _model(fit.best, fit.touched()),
        "rms_relative": fit.rms_relative,
        "median_relative": fit.median_relative,
        "weights": fit.form_weights(),
        "alternatives": [
            {**_model(one, one.law.names), "weight": weight} for one, weight in zip(fit.fits, fit.weights, strict=True)
        ][:MOST_ALTERNATIVES],
        "held_out": None
        if held is None
        else {"learners": list(held.learners), "error_relative": held.error_relative, "waits_used": held.waits_help},
        "unidentified": list(fit.unidentified()),
        "concerns": list(fit.concerns()),
        "points": len(series.points),
        "local_samples_range": [series.local_samples[0], series.local_samples[-1]],
        "learners": list(series.learners),
        "most_nodes": series.most_nodes,
        "predictions": [
            {
                **_place_keys(one.place),
                "step_time_s": one.step_time_s,
                "lo90": one.interval90[0],
                "hi90": one.interval90[1],
                "law_time_s": one.law_time_s,
                "warning": one.warning,
            }
            for one in fit.predict(places)
        ],
        "next": None if following is None else {**_place_keys(following.place), "narrows_by": following.narrows_by},
    }


def _place_keys(place: StepPlace) -> dict[str, Any]:
    return {
        "local_samples": place.local_samples,
        "learners": place.learners,
        "nodes": place.nodes,
        "accumulation": place.micro_steps,
    }


def _model(fit: FittedLaw, touched: Sequence[str]) -> dict[str, Any]:
    """Return a fitted law as the JSON has it; a parameter that no measurement depends on is null."""
    import numpy as np

    covariance = fit.covariance()
    sd = np.sqrt(np.diag(covariance))
    values = fit.law.values(fit.estimates)
    spread = {name: value - (name == "overlap_exponent") for name, value in values.items()}
    return {
        "kind": fit.law.reduce,
        "compute_kind": fit.law.compute,
        "node": fit.law.node,
        "parameters": {name: value if name in touched else None for name, value in values.items()},
        "standard_errors": {
            name: float(spread[name] * error) if name in touched else None for name, error in zip(values, sd, strict=True)
        },
        "correlation": (covariance / np.outer(sd, sd)).tolist(),
    }


def _points(fit: StepTimeFit) -> list[dict[str, Any]]:
    return [
        {
            "series": fit.series.name,
            **_place_keys(point.place),
            "fullest_node": point.place.fullest_node,
            "step_time_s": point.step_time_s,
            "measurements": point.count,
            "law_residual_relative": float(residual),
        }
        for point, residual in zip(fit.series.points, fit.residuals(), strict=True)
    ]


def _curve(fit: StepTimeFit) -> list[dict[str, Any]]:
    """Predict a few local batches on 1 to four times the most GPUs measured, nodes filled up, for the figure."""
    import numpy as np

    from simulator.calibration.step_time_next import filled

    series = fit.series
    sizes = np.array(series.local_samples)
    picked = sizes[np.unique(np.linspace(0, len(sizes) - 1, CURVES).astype(int))]
    most = CURVE_REACH * series.learners[-1]
    numbers = np.unique(np.concatenate([[1], np.rint(np.geomspace(1, most, 33)), np.array(series.learners)])).astype(int)
    places = [filled(float(size), int(number), series.node_size) for size in picked for number in numbers]
    return [
        {
            "series": series.name,
            **_place_keys(one.place),
            "step_time_s": one.step_time_s,
            "lo90": one.interval90[0],
            "hi90": one.interval90[1],
        }
        for one in fit.predict(places)
    ]
