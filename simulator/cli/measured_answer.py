"""The answer of measure: its keys, its tables, and what it says in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from simulator.measuring.findings import Findings
    from simulator.measuring.measurement import Request
    from simulator.measuring.problems import Sheet
    from simulator.measuring.record import Record

__all__ = ["answer_keys", "print_findings", "tables"]

CURVE_POINTS = 81


def answer_keys(
    found: Findings, record: Record, request: Request, sheet: Sheet, checked: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the keys of the JSON object."""
    from simulator.cli.fit import model_keys, unreached_keys

    fit = found.fit
    best = found.best(sheet.data_set_samples)
    predicted = None if best is None else found.converge_time_s(best[0].batch_samples)
    following = None if fit is None else fit.next_batch(within=(1.0, float(sheet.data_set_samples)))
    if following is not None and following.batch_samples > sheet.data_set_samples:
        following = None
    return {
        "problem": request.spec,
        "about": sheet.about or None,
        "parameters": sheet.parameters,
        "data_set_samples": sheet.data_set_samples,
        "targets": list(request.targets),
        "learning_rates": list(request.learning_rates),
        "rates": {str(M): rate for M, rate in _rates(found.updates).items()},
        "main_series": found.main,
        "model": None if fit is None else model_keys(fit.best),
        "rms_relative": None if fit is None else fit.best.rms_relative,
        "smallest_batch_samples": None if fit is None else fit.series.batch_samples[0],
        "fits": [
            {
                "series": name,
                "model": model_keys(one.best),
                "rms_relative": one.best.rms_relative,
                "mean_abs_error": mean_abs_errors(one),
                "batch_samples_range": list(one.batch_samples_range),
                "unreached": unreached_keys(one),
            }
            for name, one in found.fits.items()
        ],
        "batch_samples_best": None if best is None else best[0].batch_samples,
        "bound": None if best is None else best[0].bound,
        "flat_range_samples": None if best is None else list(best[1]),
        "converge_time_s": None if predicted is None else predicted[0],
        "converge_time_s_interval90": None if predicted is None else list(predicted[1].one_run),
        "converge_time_s_mean_interval90": None if predicted is None else list(predicted[1].mean),
        "by_learners": [row for row in (_at(found, sheet, P) for P in request.learners) if row is not None],
        "rows": found.updates,
        "times": found.times,
        "run_factor": found.run_factor,
        "run_spread": found.run_spread,
        "converge_rows": converge_rows(found, record, request, "run"),
        "check": _check(found, checked, request),
        "next_batch_samples": None if following is None else following.batch_samples,
        "next_narrows_by": None if following is None else following.narrows_by,
        "threads": request.threads,
        "machine": record.head["machine"],
        "elapsed_s": record.elapsed_s,
        "scenario_path": None,
    }


def mean_abs_errors(fit: Any) -> dict[str, float]:
    """Mean of the absolute relative errors of each law, and of the best constant, at the batch sizes measured."""
    found = {
        rival.family.kind: float(np.mean(np.abs(np.expm1(-rival.fit.residuals[rival.measured]))))
        for rival in fit.alternatives()
    }
    updates = np.asarray(fit.series.updates)
    # the mean of |c/N - 1| is convex and piecewise linear in c: its least value is at one of the points
    found["constant"] = float(min(np.mean(np.abs(c / updates - 1.0)) for c in updates))
    return found


def _at(found: Findings, sheet: Sheet, learners: int) -> dict[str, Any] | None:
    """Best mini-batch for a number of learners, where their updates were timed."""
    best = found.best(sheet.data_set_samples, learners)
    if best is None:
        return None
    predicted = found.converge_time_s(best[0].batch_samples, learners)
    assert predicted is not None
    gaps = found.reduce_time_s.get(learners)
    return {
        "learners": learners,
        "batch_samples_best": best[0].batch_samples,
        "flat_range_samples": list(best[1]),
        "bound": best[0].bound,
        "converge_time_s": predicted[0],
        "converge_time_s_interval90": list(predicted[1].one_run),
        "reduce_time_s": 0.0 if gaps is None else gaps[0],
        "reduce_time_s_range": None if gaps is None else [gaps[1], gaps[2]],
    }


def _rates(rows: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    return {row["batch_samples"]: row["learning_rate"] for row in rows}


def converge_rows(found: Findings, record: Record, request: Request, kind: str) -> list[dict[str, Any]]:
    """Return T_C of every run that reached the target that counts, beside its prediction."""
    rows = []
    for run in sorted(record.of(kind), key=lambda run: (run["batch_samples"], run["run"])):
        for passage in run["passages"]:
            if (passage["loss"], passage["target"], passage["reached"]) == ("training", request.targets[-1], True):
                M = run["batch_samples"]
                predicted = found.converge_time_s(M)
                rows.append(
                    {
                        "batch_samples": M,
                        "run": run["run"],
                        "updates": passage["updates"],
                        "update_time_s": run["update_time_s"],
                        "converge_time_s": passage["updates"] * run["update_time_s"],
                        "predicted_s": None if predicted is None else predicted[0],
                        "lo90": None if predicted is None else predicted[1].one_run[0],
                        "hi90": None if predicted is None else predicted[1].one_run[1],
                    }
                )
    return rows


def _check(found: Findings, checked: Sequence[Mapping[str, Any]], request: Request) -> dict[str, Any] | None:
    """Return what --check found: T_C measured by each fresh run, and how many lie inside the interval predicted before."""
    if not checked:
        return None
    M = checked[0]["batch_samples"]
    predicted = found.converge_time_s(M)
    assert predicted is not None
    low, high = predicted[1].one_run
    rows = []
    for run in checked:
        reached = [
            passage["updates"]
            for passage in run["passages"]
            if (passage["loss"], passage["target"], passage["reached"]) == ("training", request.targets[-1], True)
        ]
        T = reached[0] * run["update_time_s"] if reached else None
        rows.append(
            {
                "run": run["run"],
                "outcome": run["outcome"],
                "updates": reached[0] if reached else None,
                "update_time_s": run["update_time_s"],
                "converge_time_s": T,
                "inside": None if T is None else bool(low <= T <= high),
            }
        )
    return {
        "batch_samples": M,
        "learning_rate": checked[0]["learning_rate"],
        "predicted_s": predicted[0],
        "interval90": [low, high],
        "runs": rows,
        "inside": sum(row["inside"] is True for row in rows),
    }


def tables(found: Findings, request: Request, sheet: Sheet) -> dict[str, Sequence[dict[str, Any]]]:
    """Return the tables by file name: updates.csv without times in it, so that the same seed gives the same bytes."""
    from simulator.cli.fit import points_of

    made: dict[str, Sequence[dict[str, Any]]] = {}
    if found.updates:
        made["updates.csv"] = found.updates
    if found.times:
        made["times.csv"] = found.times
    curves = [row for name, fit in found.fits.items() for row in _curve(name, fit)]
    if curves:
        made["curve.csv"] = curves
        made["points.csv"] = [row for name, fit in found.fits.items() for row in points_of(name, fit)]
    if found.fit is not None and found.model() is not None:
        rows = []
        for M in _grid(found.fit):
            predicted = found.converge_time_s(float(M))
            if predicted is not None:
                low, high = predicted[1].one_run
                rows.append({"batch_samples": float(M), "converge_time_s": predicted[0], "lo90": low, "hi90": high})
        if rows:
            made["converge.csv"] = rows
    return made


def _grid(fit: Any) -> Any:
    low, high = fit.batch_samples_range
    sizes = np.unique(np.round(np.geomspace(low, high, CURVE_POINTS)))
    return sizes[sizes > fit.smallest_batch_samples]


def _curve(name: str, fit: Any) -> list[dict[str, Any]]:
    from simulator.calibration.updates import as_keys

    return [{"series": name, **as_keys(prediction)} for prediction in fit.predict(_grid(fit))]


def print_findings(found: Findings, keys: Mapping[str, Any], sheet: Sheet) -> None:
    """Say what was found: cautions, the best mini-batch, the law, every batch size, what to measure next."""
    from simulator.cli.fit_text import law_in_numbers, two_digits
    from simulator.cli.output import print_lines, print_table
    from simulator.cli.words import BOUND_WORDS, aligned, number, seconds

    fit = found.fit
    lines = [f"CAUTION: {concern}" for concern in (fit.concerns if fit is not None else ())]
    lines += [""] if lines else []
    title = keys["about"] or keys["problem"]
    if keys["batch_samples_best"] is not None:
        low, high = keys["converge_time_s_interval90"]
        bound = f"; limited by {BOUND_WORDS.get(keys['bound'], keys['bound'])}" if keys["bound"] else ""
        lines.append(
            f"{number(keys['batch_samples_best'])} {sheet.sample_unit}s an update converge fastest: in "
            f"{seconds(keys['converge_time_s'])}, 90 % of runs between {seconds(low, keys['converge_time_s'])} and "
            f"{seconds(high, keys['converge_time_s'])}{bound}"
        )
    else:
        lines.append(f"{'no law and no' if fit is None else 'no'} best mini-batch: see the warnings")
    facts = [("measured", title)]
    if fit is not None:
        facts.append(("updates", f"{law_in_numbers(fit.best)}; the points lie {two_digits(fit.best.rms_relative)} off it"))
    if keys["flat_range_samples"] is not None:
        low, high = keys["flat_range_samples"]
        facts.append(("within 5 % of the best", f"{number(low)} to {number(high)} {sheet.sample_unit}s"))
    rates = keys["learning_rates"]
    facts.append(
        (
            "learning rate",
            f"{rates[0]:g} for all mini-batches"
            if len(rates) == 1
            else f"tuned for each mini-batch, {rates[0]:.4g} to {rates[-1]:.4g}",
        )
    )
    for row in keys["by_learners"]:
        if row["learners"] > 1:
            facts.append(
                (
                    f"on {row['learners']} learners",
                    f"{seconds(row['converge_time_s'])} at {number(row['batch_samples_best'])}; exchanging gradients takes "
                    f"{seconds(row['reduce_time_s'])}",
                )
            )
    if keys["next_batch_samples"] is not None:
        facts.append(
            (
                "measure next",
                f"batch {number(keys['next_batch_samples'])}: intervals narrower by {two_digits(keys['next_narrows_by'])}",
            )
        )
    facts.append(
        ("time measured", f"{seconds(keys['elapsed_s'])}, {keys['threads']} thread{'s' if keys['threads'] > 1 else ''}")
    )
    print_lines([*lines, "", *aligned(facts), ""])
    print_table(
        _sizes(found, keys), right=("batch_samples", "rate", "runs", "updates", "law", "update_time_s", "measured", "predicted")
    )
    if keys["check"] is not None:
        print_lines(["", *_check_in_words(keys["check"])])
    if keys["scenario_path"] is not None:
        print_lines(["", f"wrote {keys['scenario_path']}: learnersim run {quote(keys['scenario_path'])}"])


def _sizes(found: Findings, keys: Mapping[str, Any]) -> list[dict[str, str]]:
    """One row of text for each batch size that was run or timed."""
    from simulator.cli.words import number, seconds

    times = {row["batch_samples"]: row["update_time_s"] for row in found.times if row["learners"] == 1}
    mine = [row for row in found.updates if row["series"] == found.main]
    rows = []
    for M in sorted({row["batch_samples"] for row in mine}):
        here = [row for row in mine if row["batch_samples"] == M]
        finished = [row["updates"] for row in here if row["outcome"] == "finished"]
        lost = [row["updates"] for row in here if row["outcome"] != "finished"]
        runs = [row for row in keys["converge_rows"] if row["batch_samples"] == M]
        law = ""
        if found.fit is not None and found.fit.smallest_batch_samples < M:
            law = number(round(found.fit.predict(M)[0].law_updates))
        rows.append(
            {
                "batch_samples": number(M),
                "rate": f"{here[0]['learning_rate']:.4g}",
                "runs": f"{len(here)}" if not lost else f"{len(finished)} of {len(here)}",
                "updates": number(round(float(np.mean(finished)))) if finished else f"> {number(max(lost))}",
                "law": law or "-",
                "update_time_s": seconds(found.run_factor * times[M]) if M in times else "-",
                "measured": seconds(float(np.mean([row["converge_time_s"] for row in runs]))) if runs else "-",
                "predicted": seconds(runs[0]["predicted_s"]) if runs and runs[0]["predicted_s"] is not None else "-",
            }
        )
    return rows


def _check_in_words(check: Mapping[str, Any]) -> list[str]:
    from simulator.cli.words import number, seconds

    low, high = check["interval90"]
    like = check["predicted_s"]
    found = [
        "not reached" if row["converge_time_s"] is None else seconds(row["converge_time_s"], like) for row in check["runs"]
    ]
    return [
        f"check at {number(check['batch_samples'])} samples: predicted {seconds(like)} (90 % of runs between "
        f"{seconds(low, like)} and {seconds(high, like)}), measured "
        f"{', '.join(found)}: {check['inside']} of {len(found)} inside"
    ]
