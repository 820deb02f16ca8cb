"""Is it true? The command validate: predictions beside published measurements."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import CycloptsError

from simulator.cli.flags import OutputFlags, WholeNumber
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.validation.rows import Prediction, Validation

__all__ = ["KINDS", "Kind", "validate"]

NO_OUTPUT = OutputFlags()
WORST = 8
"""Cases with the largest errors that the text lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of validation.

    Parameters
    ----------
    title : str
        What is validated against what.
    meaning : str
        What the figures mean, in a line or two.
    load : callable
        From `--data` (None: the data that ship) to the validation; imports what it needs only when called.
    median_tolerance : float or None
        Median absolute error of "all" that `--strict` allows; coverage is checked in any case.
    rivals_from : int
        Cases from which on a group shows in the text what stands beside its first quantity; the JSON has all.
    every_row : callable, optional
        What the text says of every case before the worst: from a case to its cells, none where it is not listed.
    """

    title: str
    meaning: str
    load: Callable[[Path | None], Validation]
    median_tolerance: float | None = None
    rivals_from: int = 1
    every_row: Callable[[Prediction], dict[str, str]] | None = None


def _gamma(data: Path | None) -> Validation:
    from functools import cache

    from simulator.messages import TableFaults
    from simulator.profiles import Accelerator, load_profile, peak_flop_per_s
    from simulator.validation.gamma import SHIPPED, read_measured, validate_gamma

    @cache
    def profile(accelerator: str) -> Accelerator:
        found: Accelerator = load_profile("accelerators", accelerator)[0]
        return found

    def peak(accelerator: str, precision: str) -> float:
        try:
            chip = profile(accelerator)
        except ValueError as error:
            raise TableFaults([("accelerator", str(error))]) from None
        try:
            return peak_flop_per_s(chip, precision)[0]
        except ValueError as error:
            raise TableFaults([("precision", str(error).removeprefix("precision "))]) from None

    shipped = read_measured(SHIPPED, peak, name="gamma.csv")
    return validate_gamma(shipped) if data is None else validate_gamma(read_measured(data, peak), shipped)


def _updates(data: Path | None) -> Validation:
    from simulator.validation.updates import SHIPPED_TABLES, read_published, validate_updates

    if data is not None:
        return validate_updates([read_published(data)])
    return validate_updates([read_published(path, name=path.name) for path in SHIPPED_TABLES])


def _network(data: Path | None) -> Validation:
    from simulator.validation.network import NETWORK_CASES, validate_network

    return validate_network(data or NETWORK_CASES)


def _reduce(data: Path | None) -> Validation:
    from simulator.validation.reduce import validate_reduce

    return validate_reduce(data)


def _step_time(data: Path | None, fit_up_to: int = 16) -> Validation:
    from simulator.validation.step_time import validate_step_time

    return validate_step_time(data, fit_up_to=fit_up_to)


def _time_to_converge(data: Path | None, updates: Path | None = None, *, every_size: bool = False) -> Validation:
    from simulator.validation.time_to_converge import validate_time_to_converge

    return validate_time_to_converge(data, updates, every_size=every_size)


def _bill_of_materials(data: Path | None) -> Validation:
    from simulator.validation.bill_of_materials import FAT_TREE_BOM, validate_bill_of_materials

    return validate_bill_of_materials(data or FAT_TREE_BOM, name=None if data else FAT_TREE_BOM.name)


def _system_row(case: Prediction) -> dict[str, str]:
    if case.group == "not_largest":
        return {}
    about = case.about
    fitted = [str(P) for P in about["learners_fitted"]]
    return {
        "P fitted": ", ".join(fitted if len(fitted) <= 3 else [*fitted[:1], "...", *fitted[-1:]]),
        "P": str(about["learners"]),
        "case": case.case.replace(", NVIDIA ", ", "),
        "minutes": f"{case.predicted:.3g}",
        "90 %": "-" if case.lo90 is None or case.hi90 is None else f"{case.lo90:.3g} to {case.hi90:.3g}",
        "published": f"{case.actual:.3g}",
        "error": _percent(case.error, sign="+"),
        "best batch": f"{about['batch_samples_chosen']:g}",
        "gain": _percent(about["chosen_gain"]),
    }


KINDS: dict[str, Kind] = {
    "updates": Kind(
        title="updates to converge at batch sizes that the fit has not seen, from the other points of the same series",
        meaning=(
            "in_sample: points that the fit has seen; interior: each left out in turn; largest: the largest batch size left\n"
            "out. What the tool answers stands first, (law) is the inverse law by plain least squares. Series that obey the\n"
            "law by construction are apart. Identical series count once; no fit sees another series. hi/lo: width of the\n"
            "90 % interval for the mean of as many runs as were published, as a factor. all: interior and largest."
        ),
        load=_updates,
        median_tolerance=0.06,  # what the project asks of interior points of published tables, the noisiest
    ),
    "gamma": Kind(
        title="seconds per sample of a pair that nobody timed, from FLOPs and the utilisation of the others",
        meaning=(
            "Each measured pair is predicted from the others: nothing of the same workload on the same chip enters, in\n"
            "whatever precision or variant. Beside it: one_utilisation, a single one for all; ..._left_out, as if nothing\n"
            "of the accelerator, of the workload, or of both were known. hi/lo: width of the 90 % interval, as a factor."
        ),
        load=_gamma,
        median_tolerance=0.38,  # simulator.validation.gamma.MEDIAN_TOLERANCE, without importing it
    ),
    "network": Kind(
        title="seconds of flows and collectives on stars, graphs and fat trees, against SimGrid",
        meaning=(
            "t_eager_s, t_rdv_s: end of the case with eager and rendezvous sends; ends: its worst flow, job or rank. Groups:\n"
            "a flows on graphs, b flows on trees, c collectives, d stragglers, e two jobs, s speed. Each row has its tolerance."
        ),
        load=_network,
        median_tolerance=1e-9,
    ),
    "reduce": Kind(
        title="seconds of measured all-reduces, of sizes and numbers of devices that the fit has not seen",
        meaning=(
            "Every second size left out, and the largest number of devices left out, of published all-reduce times. Reduction\n"
            "inside the switch is apart. What fit reduce answers stands first, (law) without its departure."
        ),
        load=_reduce,
        median_tolerance=0.10,
    ),
    "step-time": Kind(
        title="seconds of a step on more GPUs than the fit has seen",
        meaning=(
            "Each series is fitted up to --fit-up-to GPUs (16) and predicts its rows with more. What fit step-time answers\n"
            "stands first; beside it rivals, fitted to the same rows by least squares of relative errors: (adaptdl) AdaptDL's\n"
            "form, (knee_log) knee + constant with node jump + c log2 P, summed, (affine_ring) affine + two-tier ring +\n"
            "overlap exponent. Rivals of groups with one or two cases: only in the JSON and under all."
        ),
        load=_step_time,
        median_tolerance=0.07,
        rivals_from=3,
    ),
    "time-to-converge": Kind(
        title="minutes to train of the largest system, from smaller systems of the same series",
        meaning=(
            "MLPerf Training results. A series is a (version, submitter, accelerator family, benchmark) with three numbers of\n"
            "accelerators or more: the rows at the largest are predicted from the smaller, the updates law of the reference\n"
            "points, and other series: those of other benchmarks, and of this one with fewer accelerators. Rows that share a\n"
            "series share its weight. borrowed: results before 1.0, with the law of 1.0.0, outside all. (naive): gamma m +\n"
            "constant + c log2 P, fitted to the wall-clock time per step of the smaller systems, times the law's updates.\n"
            "With --every-size too, outside all and not listed: not_largest, smaller systems from still smaller ones."
        ),
        load=_time_to_converge,
        median_tolerance=0.06,
        every_row=_system_row,
    ),
    "bill-of-materials": Kind(
        title="switches, cables and prices of published fat-tree clusters, counted from end ports, ports of a switch and tiers",
        meaning=(
            "Counts must agree exactly, prices within 1 %: unit prices of a public cost sheet times the counts. Two rows of\n"
            "that sheet take 300,000 USD for a node where it says 310,000: what hangs on it is a group of its own, outside all."
        ),
        load=_bill_of_materials,
        median_tolerance=0.01,
    ),
}
"""A new kind is one entry here."""


def validate(
    kind: str,
    /,
    *,
    data: Path | None = None,
    updates: Path | None = None,
    every_size: bool = False,
    fit_up_to: WholeNumber | None = None,
    strict: bool = False,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """How good are the predictions? Published measurements, each predicted without itself.

    Parameters
    ----------
    kind
        What to validate: updates (to converge, at batch sizes left out), gamma (seconds per sample of pairs that nobody timed),
        network (against SimGrid), reduce (measured all-reduces), step-time (measured steps, on more GPUs), time-to-converge
        (published times to train, of larger systems), bill-of-materials (published fat-tree clusters).
    data
        A table with the header of the one that ships, to predict instead of it.
    updates
        Of time-to-converge: a table of reference points with the header of the one that ships, instead of it.
    every_size
        Of time-to-converge: predict systems that are not the largest of their series too, from still smaller ones.
    fit_up_to
        Of step-time: fit the rows with at most so many GPUs (default 16), predict those with more.
    strict
        Leave with status 1 where the errors or the coverage miss the tolerance.
    figures
        Draw predicted against measured into the folder of --out too.
    """
    if kind in ("step-time", "time-to-converge"):
        from simulator.cli.threads import one_blas_thread

        one_blas_thread()
    from simulator.cli.output import Output, collected_warnings, request_errors

    chosen = _chosen(kind)
    if fit_up_to is not None:
        if kind != "step-time":
            raise SimulatorError(f"--fit-up-to is for validate step-time, got it with {kind}")
        if fit_up_to < 1:
            raise SimulatorError(f"--fit-up-to must be >= 1, got {fit_up_to}")
        chosen = replace(chosen, load=partial(_step_time, fit_up_to=fit_up_to))
    for flag, given in (("--updates", updates is not None), ("--every-size", every_size)):
        if given and kind != "time-to-converge":
            raise SimulatorError(f"{flag} is for validate time-to-converge, got it with {kind}")
    if kind == "time-to-converge":
        chosen = replace(chosen, load=partial(_time_to_converge, updates=updates, every_size=every_size))
    with collected_warnings() as caught:
        inputs = {
            "kind": kind,
            "data": _digest(data),
            **({} if updates is None else {"updates": _digest(updates)}),
            **({"every_size": True} if every_size else {}),
            **({} if fit_up_to is None else {"fit_up_to": fit_up_to}),
        }
        out = Output.prepared("validate", output, title=chosen.title, seed=None, inputs=inputs, figures=figures)
        with request_errors(str(data) if data is not None else None):
            validation = chosen.load(data)
    summary = validation.summary()
    rows = [case.row() for case in validation.predictions]
    timed = any(case.seconds is not None for case in validation.predictions)
    if timed and out.folder is None:  # what is saved holds no wall-clock figure
        rows = [{**row, "seconds": case.seconds} for row, case in zip(rows, validation.predictions, strict=True)]
    missed = _missed(chosen, validation, summary)
    out.emit(
        {"kind": kind, "rows": rows, "summary": summary, "skipped": validation.skipped},
        caught,
        text=lambda: _print(chosen, validation, summary, missed),
        tables={"rows.csv": rows, "summary.csv": [{"group": name, **found} for name, found in summary.items()]},
    )
    if strict and missed:
        raise SimulatorError("\n".join(f"validate {kind} --strict: {line}" for line in missed))


def _chosen(kind: str) -> Kind:
    from simulator.messages import did_you_mean, shown

    if kind in KINDS:
        return KINDS[kind]
    known = ", ".join(KINDS)
    raise CycloptsError(msg=f"KIND must be one of {known}, got {shown(kind)}{did_you_mean(kind[:99], KINDS)}")


def _digest(data: Path | None) -> str | None:
    try:
        return None if data is None else hashlib.sha256(data.read_bytes()).hexdigest()
    except (OSError, ValueError):  # the reader says what is wrong with it
        return None


def _missed(kind: Kind, validation: Validation, summary: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each tolerance that is missed: of whole groups, by what they are predicted with first."""
    lines = [] if validation.predictions else ["nothing could be predicted"]
    for name, found in summary.items():
        if ": " in name or " (" in name or name in validation.outside_all or found["coverage90"] is None:
            continue
        low, high = found["coverage90_binomial95"]
        if not low <= found["coverage90"] <= high:
            counted = f"{found['series']} series of exact intervals have {100 * low:.0f} to {100 * high:.0f} %"
            lines.append(f"{name}: coverage90 is {100 * found['coverage90']:.0f} %, {counted}")
    off = [case for case in validation.predictions if case.within is False and not case.part]
    lines += [
        f"{case.case}, {case.quantity}: off by {abs(case.error):.2g}, must be at most {case.tolerance:g}"
        for case in off[:WORST]
    ]
    error, most = summary.get("all", {}).get("median_abs_error"), kind.median_tolerance
    if error is not None and most is not None and error > most:
        lines.append(f"all: median_abs_error is {100 * error:.0f} %, must be at most {100 * most:.0f} %")
    return lines


def _print(kind: Kind, validation: Validation, summary: Mapping[str, Mapping[str, Any]], missed: Sequence[str]) -> None:
    from simulator.cli.output import print_lines, print_table

    print_lines([kind.title, ""])
    cells = [
        {
            "group": name,
            "cases": str(found["cases"]),
            "series": str(found["series"]),
            "median |error|": _percent(found["median_abs_error"]),
            "mean |error|": _percent(found["mean_abs_error"]),
            "90 % of |error|": _percent(found["p90_abs_error"]),
            "median error": _percent(found["median_signed_error"], sign="+"),
            "coverage of 90 %": _coverage(found),
            "hi/lo": "-" if found["median_ratio90"] is None else f"{found['median_ratio90']:.2f}",
        }
        for name, found in summary.items()
        if not (": " in name and " (" in name)  # parts of what stands beside: only in the JSON
        and not (" (" in name and found["cases"] < kind.rivals_from)
    ]
    print_table(cells, right=[name for name in cells[0] if name != "group"] if cells else [])
    if kind.every_row is not None:
        listed = (kind.every_row(case) for case in validation.predictions if case.quantity == validation.primary)
        rows = [row for row in listed if row]
        print_lines(["", "every case"])
        print_table(rows, right=[name for name in rows[0] if name != "case"] if rows else [])
    first = [case for case in validation.predictions if validation.primary in (None, case.quantity) and case.error]
    worst = sorted(first, key=_farthest)[:WORST]
    print_lines(["", "largest errors" if worst else "every case agrees to the last digit"])
    print_table(
        [
            {
                "case": case.case,
                "group": case.group,
                **({"quantity": case.quantity} if validation.primary is None else {}),
                "predicted": f"{case.predicted:.4g}",
                "90 %": "-" if case.lo90 is None or case.hi90 is None else f"{case.lo90:.3g} to {case.hi90:.3g}",
                "actual": f"{case.actual:.4g}",
                "error": _percent(case.error, sign="+") if case.tolerance is None else f"{case.error:+.1e}",
            }
            for case in worst
        ],
        right=("predicted", "90 %", "actual", "error"),
    )
    if validation.skipped:
        print_lines(["", "left out or flagged", *(f"  {count} x {reason}" for reason, count in validation.skipped.items())])
    print_lines(["", kind.meaning, *(f"Missed: {line}" for line in missed)])


def _farthest(case: Prediction) -> float:
    """Return what sorts the largest errors first: the ratio, either way; a count where there is none, or the reverse, leads."""
    return -abs(math.log(case.predicted / case.actual)) if case.predicted and case.actual else -math.inf


def _percent(fraction: float, sign: str = "") -> str:
    if 0 < abs(fraction) < 1e-5:
        return f"{fraction:{sign}.1e}"
    return f"{100 * fraction:{sign}.1f} %" if abs(fraction) < 0.1 else f"{100 * fraction:{sign}.0f} %"


def _coverage(found: Mapping[str, Any]) -> str:
    if found["coverage90"] is None:
        return "-"
    low, high = found["coverage90_binomial95"]
    return f"{100 * found['coverage90']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"
