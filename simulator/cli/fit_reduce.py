"""Measure mine: fit measured all-reduce times. The command fit reduce."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.cli.fit import refuse_save
from simulator.cli.fit_text import two_digits
from simulator.cli.flags import OutputFlags, WholeNumber
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.calibration.reduce import ReduceFit
    from simulator.calibration.reduce_laws import ReduceLawFit

__all__ = ["reduce"]

NO_OUTPUT = OutputFlags()
LAW_WORDS = {
    "ring": "one ring through all devices",
    "two_tier_ring": "a ring in each node, then one across nodes",
    "in_switch": "reduction inside the switch",
}
PARAMETER_WORDS = {
    "constant_in_node_s": ("constant inside a node", "s"),
    "constant_across_nodes_s": ("constant across nodes", "s"),
    "latency_s": ("latency per step", "s"),
    "bandwidth_in_node_bytes_per_s": ("bandwidth inside a node", "bytes_per_s"),
    "bandwidth_across_nodes_bytes_per_s": ("bandwidth across nodes", "bytes_per_s"),
    "sharpness": ("sharpness of the corner", ""),
}
MOST_TARGETS = 10_000


def reduce(
    file: Path,
    /,
    *,
    predict_file: Path | None = None,
    system: str | None = None,
    devices: WholeNumber | None = None,
    nodes: WholeNumber | None = None,
    link_bandwidth: str | None = None,
    bytes: str | None = None,
    save: Path | None = None,
    output: OutputFlags = NO_OUTPUT,
) -> None:
    """How long does an all-reduce of another size, or of more devices, take on the network that I measured?

    Parameters
    ----------
    file
        Table (CSV) with the columns source, device, n_gpus, n_nodes, size_bytes, time_us [, std_us, algorithm, fabric] or
        system, gpus, nodes, payload_bytes, time_us [, collective, algo]; or what all_reduce_perf of nccl-tests printed.
    predict_file
        Table with the columns size_bytes, n_gpus, n_nodes to predict.
    system
        Which system of the table, where it has several; all of them by default.
    devices, nodes
        How many ran, for a log that does not list its ranks.
    link_bandwidth
        Bandwidth of a device's link, one direction, "450 GB/s": a system whose bus bandwidth is above it reduces in the switch.
    bytes
        Size of the gradient, "97.5 MiB": predict it too, and what --save is written for.
    save
        Write a [reduce] table (TOML) to paste into a scenario; needs one system and --bytes.
    """
    from simulator.calibration.measurements import chosen
    from simulator.calibration.reduce import fit_reduce
    from simulator.calibration.reduce_tables import read_reduce, read_reduce_targets
    from simulator.cli.output import Output, collected_warnings, request_errors

    link = _quantity("--link-bandwidth", "bandwidth_bytes_per_s", link_bandwidth)
    gradient_bytes = _quantity("--bytes", "gradient_bytes", bytes)
    with collected_warnings() as caught, request_errors():
        table = read_reduce(file, devices=devices, nodes=nodes, link_bandwidth_bytes_per_s=link)
        asked = list(read_reduce_targets(predict_file)) if predict_file is not None else None
        if asked is not None and len(asked) > MOST_TARGETS:
            raise SimulatorError(f"{predict_file}: must have at most {MOST_TARGETS} rows, got {len(asked)}")
        systems = chosen(table.series, system, called="system")
        if save is not None:
            refuse_save(save, len(systems), "--system")
            if gradient_bytes is None:
                raise SimulatorError("--save needs --bytes: a [reduce] table is written for one size of the gradient")
        inputs = [[dataclasses.asdict(series) for series in systems], asked, gradient_bytes]
        out = Output.prepared("fit reduce", output, title=file.name, seed=None, inputs=inputs)
        fits = [fit_reduce(series) for series in systems]
        keys = [_keys(fit, asked, gradient_bytes) for fit in fits]
    alone: dict[str, Any] = keys[0] if len(keys) == 1 else dict.fromkeys(keys[0])
    saved = None
    if save is not None and gradient_bytes is not None:
        from simulator.cli.profile_file import write_reduce

        write_reduce(save, fits[0], gradient_bytes=gradient_bytes, source=file.name)
        saved = str(save)
    tables = {"predictions.csv": [{"series": key["series"], **row} for key in keys for row in key["predictions"]]}
    if out.folder is not None:
        tables["points.csv"] = [row for fit in fits for row in _points(fit)]
    out.emit(
        {**alone, "saved": saved, "skipped": table.skipped, "fits": keys},
        caught,
        text=lambda: _print(fits, keys, table.skipped, saved),
        tables=tables,
    )


def _quantity(flag: str, key: str, text: str | None) -> float | None:
    """Return the number of a flag that takes "97.5 MiB" or a bare number in its unit."""
    from simulator.loading.units import quantity

    if text is None:
        return None
    try:
        try:
            value = quantity(key, float(text))
        except ValueError:
            value = quantity(key, text)
    except ValueError as error:
        raise SimulatorError(f"{flag} {error}") from None
    if not 0 < value <= 1e15:
        raise SimulatorError(f"{flag} must be > 0 and <= 1e15, got {text!r}")
    return value


def _keys(fit: ReduceFit, asked: Sequence[tuple[float, int, int]] | None, gradient_bytes: float | None) -> dict[str, Any]:
    """Return the answer's own keys for one system."""
    from simulator.calibration.reduce import as_keys

    targets = list(asked) if asked is not None else fit.default_targets()
    if gradient_bytes is not None:
        targets += [(gradient_bytes, *place) for place in fit.series.placements if (gradient_bytes, *place) not in targets]
    following = fit.next_measurement(targets)
    points = fit.series.points
    return {
        "series": fit.series.name,
        "in_switch": fit.series.in_switch,
        "model": _model(fit.best, fit.touched()),
        "rms_relative": fit.best.rms_relative,
        "median_relative": fit.best.median_relative,
        "alternatives": [
            {**_model(one, fit.touched()), "rms_relative": one.rms_relative, "weight": weight}
            for one, weight in zip(fit.fits, fit.weights, strict=True)
        ],
        "unidentified": list(fit.unidentified()),
        "large_message": [dataclasses.asdict(one) for one in fit.large_messages()],
        "points": len(points),
        "size_bytes_range": [fit.series.sizes[0], fit.series.sizes[-1]],
        "placements": [{"devices": devices, "nodes": nodes} for devices, nodes in fit.series.placements],
        "predictions": [as_keys(one) for one in fit.predict(targets)],
        "next": {
            "size_bytes": following.size_bytes,
            "devices": following.devices,
            "nodes": following.nodes,
            "narrows_by": following.narrows_by,
        },
    }


def _model(fit: ReduceLawFit, touched: Sequence[str]) -> dict[str, Any]:
    """Return a fitted law as the JSON has it; a parameter that no measurement depends on is null."""
    errors = fit.log_standard_errors()
    values = fit.parameters()
    return {
        "kind": fit.law.kind,
        "parameters": {name: value if name in touched else None for name, value in values.items()},
        "standard_errors": {
            name: float(value * error) if name in touched else None
            for (name, value), error in zip(values.items(), errors, strict=True)
        },
        "correlation": fit.correlation().tolist(),
    }


def _points(fit: ReduceFit) -> list[dict[str, Any]]:
    return [
        {
            "series": fit.series.name,
            "size_bytes": point.size_bytes,
            "devices": point.devices,
            "nodes": point.nodes,
            "time_s": point.time_s,
            "bus_bandwidth_bytes_per_s": point.bus_bandwidth_bytes_per_s,
            "law_residual_relative": float(residual),
        }
        for point, residual in zip(fit.series.points, fit.best.fit.residuals, strict=True)
    ]


def _print(fits: Sequence[ReduceFit], keys: Sequence[dict[str, Any]], skipped: Mapping[str, int], saved: str | None) -> None:
    from simulator.cli.output import print_lines

    for i, (fit, key) in enumerate(zip(fits, keys, strict=True)):
        if i:
            print_lines([""])
        _print_fit(fit, key)
    if skipped:
        print_lines(["", "left out", *(f"  {count} x {reason}" for reason, count in skipped.items())])
    if saved is not None:
        print_lines(["", f"wrote {saved}: paste its [reduce] into a scenario"])


def _print_fit(fit: ReduceFit, key: dict[str, Any]) -> None:
    """Print what one system says: the answer in words, the parameters, predictions, what is open and what to measure next."""
    from simulator.cli.output import print_lines, print_table
    from simulator.cli.words import aligned, figure_value, number, seconds

    places = ", ".join(f"{devices} on {nodes}" for devices, nodes in fit.series.placements)
    smallest, largest = (figure_value("size_bytes", size) for size in key["size_bytes_range"])
    off = f"half of the points lie within {two_digits(key['median_relative'])} of it"
    print_lines(
        [
            f"{key['series']}: {_answer(key)}",
            "",
            f"{key['points']} times of {smallest} to {largest}; devices on nodes: {places}",
            f"law: {LAW_WORDS[key['model']['kind']]}{_weight(fit)}; {off}",
            "",
        ]
    )
    following = key["next"]
    where = f"{following['devices']} devices, {following['nodes']} node{'s' if following['nodes'] > 1 else ''}"
    brings = f"intervals below get {two_digits(following['narrows_by'])} narrower on average"
    facts = [*_parameters(key), ("measure next", f"{figure_value('size_bytes', following['size_bytes'])} on {where}: {brings}")]
    print_lines([*aligned(facts), ""])
    print_table(
        [
            {
                "size": figure_value("size_bytes", row["size_bytes"]),
                "devices": number(row["devices"]),
                "nodes": number(row["nodes"]),
                "time": seconds(row["time_s"]),
                "90 %": f"{seconds(row['lo90'])} to {seconds(row['hi90'])}",
                "bus bandwidth": figure_value("x_bytes_per_s", row["bus_bandwidth_bytes_per_s"]),
                "note": row["warning"] or "",
            }
            for row in key["predictions"]
        ],
        right=("size", "devices", "nodes", "time", "90 %", "bus bandwidth"),
    )


def _answer(key: dict[str, Any]) -> str:
    """Say what a large message gets in each tier, the latency per step, and where half of the bandwidth is reached."""
    from simulator.cli.words import figure_value, seconds

    said = []
    for one in key["large_message"]:
        where = "inside a node" if one["nodes"] == 1 else f"across {one['nodes']} nodes"
        gets = f"{figure_value('x_bytes_per_s', one['bus_bandwidth_bytes_per_s'])} {where} ({one['devices']} devices)"
        half = one["half_size_bytes"]
        said.append(gets if half is None else f"{gets}, half of it from {figure_value('x_bytes', half)}")
    size = figure_value("x_bytes", key["size_bytes_range"][1])
    answer = f"a message of {size} gets a bus bandwidth of {'; '.join(said)}"
    latency_s = key["model"]["parameters"]["latency_s"]
    if latency_s is None:
        return answer
    if "latency_s" in key["unidentified"]:
        return f"{answer}; the latency per step is not identified by what was measured"
    return f"{answer}; {seconds(latency_s)} of latency per step"


def _parameters(key: dict[str, Any]) -> list[tuple[str, str]]:
    """Write each parameter that the data depend on with its 90 % range, and whether the data or other systems gave it."""
    from math import exp

    from simulator.cli.words import figure_value

    facts = []
    for name, value in key["model"]["parameters"].items():
        if value is None:
            continue
        words, unit = PARAMETER_WORDS[name]
        wide = 1.645 * key["model"]["standard_errors"][name] / value
        low, middle, high = (
            figure_value(f"x_{unit}", x) if unit else f"{x:.2g}" for x in (value * exp(-wide), value, value * exp(wide))
        )
        said = ": not identified, mostly what other systems have" if name in key["unidentified"] else ""
        facts.append((words, f"{middle}, 90 % between {low} and {high}{said}"))
    return facts


def _weight(fit: ReduceFit) -> str:
    if len(fit.fits) < 2 or not fit.series.tiers[1]:
        return ""
    return f" ({100 * fit.weights[0]:.0f} %; {LAW_WORDS[fit.fits[1].law.kind]} {100 * fit.weights[1]:.0f} %)"
