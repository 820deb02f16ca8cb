"""How good is the fit of all-reduce times? Published series predicted with sizes, and with the most devices, left out.

A fit sees its own series only. Series that reduce inside the switch are summed up apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from simulator.calibration.reduce import fit_reduce
from simulator.calibration.reduce_series import ReducePoint, ReduceSeries
from simulator.calibration.reduce_tables import ReduceTable, read_reduce
from simulator.validation.rows import Prediction, Validation

__all__ = ["MEDIAN_TOLERANCES", "SHIPPED_TABLES", "validate_reduce", "validate_reduce_tables"]

DATA = Path(__file__).parent / "data"
SHIPPED_TABLES = (DATA / "allreduce.csv", DATA / "nccl_allreduce.csv")

MEDIAN_TOLERANCES = {"every_second_size": 0.10, "largest_p": 0.20}
"""Median absolute errors that were asked for, by group."""

FEWEST_SIZES = 4
"""Sizes that a series needs before every second one is left out."""

UNSEEN = "largest_p_unseen_tier"
OUTSIDE_ALL = (UNSEEN, "in_switch_every_second_size", "in_switch_largest_p")


def validate_reduce(path: Path | None = None, *, link_bandwidth_bytes_per_s: float | None = None) -> Validation:
    """Predict every series of a table, or of the two that ship, from parts of itself.

    Parameters
    ----------
    path : Path, optional
        A table or log as `read_reduce` takes it.
    link_bandwidth_bytes_per_s : float, optional
        Bus bandwidths above it are of in-switch reduction.

    Returns
    -------
    Validation
        Groups every_second_size (parts: the second, fourth, ... sizes left out; the first, third, ...), largest_p (the most
        devices left out, where others of the same tier remain), largest_p_unseen_tier (where none do: nothing across nodes
        was seen, so the answer is a guess from other systems), and the first two of series that reduce in the switch,
        in_switch_.... The last three do not count in "all". Quantities: "default", what the tool answers, with its 90 %
        interval, and "law", the best law alone.
    """
    paths = SHIPPED_TABLES if path is None else (path,)
    return validate_reduce_tables(
        read_reduce(one, name=one.name if path is None else None, link_bandwidth_bytes_per_s=link_bandwidth_bytes_per_s)
        for one in paths
    )


def validate_reduce_tables(tables: Iterable[ReduceTable]) -> Validation:
    """Predict every series of some tables from parts of itself, see `validate_reduce`."""
    skipped: Counter[str] = Counter()
    predictions: list[Prediction] = []
    for table in tables:
        skipped.update(table.skipped)
        for series in table.series:
            before = len(predictions)
            predictions += _every_second_size(series, skipped)
            predictions += _most_devices(series, skipped)
            if len(predictions) == before:
                skipped["nothing can be left out (series)"] += 1
    return Validation(
        kind="reduce", predictions=tuple(predictions), skipped=dict(skipped), outside_all=OUTSIDE_ALL, primary="default"
    )


def _every_second_size(series: ReduceSeries, skipped: Counter[str]) -> list[Prediction]:
    if len(series.sizes) < FEWEST_SIZES:
        skipped[f"fewer than {FEWEST_SIZES} sizes: none left out (series)"] += 1
        return []
    found = []
    for start, part in ((1, "second, fourth, ... left out"), (0, "first, third, ... left out")):
        sizes = set(series.sizes[start::2])
        found += _left_out(series, [p for p in series.points if p.size_bytes in sizes], "every_second_size", part)
    return found


def _most_devices(series: ReduceSeries, skipped: Counter[str]) -> list[Prediction]:
    most = series.device_counts[-1]
    out = [p for p in series.points if p.devices == most]
    kept = [p for p in series.points if p.devices != most]
    if len(kept) < 2:
        skipped["one number of devices, or a single point besides: the most are not left out (series)"] += 1
        return []
    within, across = any(p.nodes == 1 for p in kept), any(p.nodes > 1 for p in kept)
    seen = [p for p in out if (across if p.nodes > 1 else within)]
    unseen = [p for p in out if p not in seen]
    return _left_out(series, seen, "largest_p", "", out) + _left_out(series, unseen, UNSEEN, "", out)


def _left_out(
    series: ReduceSeries, cases: Sequence[ReducePoint], group: str, part: str, out: Sequence[ReducePoint] | None = None
) -> list[Prediction]:
    """Predict `cases` from the series without them (and without all of `out`)."""
    if not cases:
        return []
    fit = fit_reduce(series.without(cases if out is None else out))
    found = []
    name = f"in_switch_{group}" if series.in_switch and group != UNSEEN else group
    for point, one in zip(cases, fit.predict([(p.size_bytes, p.devices, p.nodes) for p in cases]), strict=True):
        where = f"{series.name}, {point.size_bytes:.10g} bytes on {point.devices} devices of {point.nodes} nodes"
        for quantity, predicted, (low, high) in (
            ("default", one.time_s, one.interval90),
            ("law", one.law_time_s, (None, None)),
        ):
            found.append(
                Prediction(
                    case=where,
                    group=name,
                    series=series.name,
                    quantity=quantity,
                    part=part,
                    predicted=predicted,
                    actual=point.time_s,
                    lo90=low,
                    hi90=high,
                )
            )
    return found
