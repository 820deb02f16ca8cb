"""What `fit updates` says in words: the law in numbers, its intervals, predictions and rivals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.calibration.updates import UpdatesFit
    from simulator.calibration.updates_laws import LawFit

__all__ = ["law_in_numbers", "print_fits", "two_digits"]

LAW_WORDS = {
    "inverse": "inverse law, N_inf + alpha/M",
    "sharp": "sharp corner, (N_inf^p + (alpha/M)^p)^(1/p)",
    "corner": "hard corner, max(N_inf, alpha/M)",
    "power": "power law, N_1 M^-e",
    "noise_floor": "noise floor of a constant learning rate",
}


def print_fits(fits: Sequence[UpdatesFit], keys: Sequence[dict[str, Any]], save: Path | None) -> None:
    """Print what each series says, and which file was written."""
    from simulator.cli.output import print_lines

    for fit, key in zip(fits, keys, strict=True):
        _print_fit(fit, key)
    if save is not None:
        print_lines(
            ["", f'wrote {save}: use it in a scenario as  [[workload]]  use = "{save if "/" in str(save) else f"./{save}"}"']
        )


def _print_fit(fit: UpdatesFit, key: dict[str, Any]) -> None:
    """Print what one series says."""
    from simulator.cli.output import print_lines, print_table
    from simulator.cli.words import aligned, number

    series = fit.series
    low, high = fit.batch_samples_range
    runs = sum(series.runs)
    lines = [
        *(f"CAUTION: {concern}" for concern in fit.concerns),
        *([""] if fit.concerns else []),
        f"{series.name}: {len(series.batch_samples)} batch sizes from {number(low)} to {number(high)} samples, {runs:,} runs",
        *(_unreached_in_words(fit)),
        "",
        f"{law_in_numbers(fit.best)}; the points lie {two_digits(key['rms_relative'])} off it (root mean square)",
    ]
    if "n_inf_updates" in key["unidentified"]:
        top = key["intervals90"]["n_inf_updates"][1]
        lines.append(f"no sign of the floor yet: N_inf {'is not known' if top is None else f'between 0 and {_short(top)}'}")
    lines.append("")
    has_floor = "n_inf_updates" in key["model"]["parameters"]
    if not has_floor:
        lines += ["as an inverse law these data would say:"]
    facts = []
    words = {
        "n_inf_updates": ("fewest updates, N_inf", "updates"),
        "alpha_samples": ("fewest samples, alpha", "samples"),
        "critical_batch_samples": ("critical batch, alpha/N_inf", "samples"),
    }
    for name, (what, unit) in words.items():
        facts.append((what, _estimate_in_words(_value(fit.best, name), key["intervals90"][name], unit)))
    assumed = "" if key["run_to_run_measured"] else " (assumed: the table says nothing of single runs)"
    facts += [
        ("single runs", f"{two_digits(key['run_to_run_relative'])} around their mean{assumed}"),
        ("a batch size around the law", two_digits(key["discrepancy_relative"])),
        (
            "measure next",
            f"batch {number(key['next_batch_samples'])} with {key['next_runs']} run{'s' if key['next_runs'] > 1 else ''}: "
            f"intervals {'asked for ' if key['predictions'] else ''}get {two_digits(key['next_narrows_by'])} "
            "narrower on average",
        ),
    ]
    print_lines([*lines, *aligned(facts), ""])
    if key["predictions"]:
        print_table(
            [
                {
                    "batch_samples": number(row["batch_samples"]),
                    "updates": number(_rounded(row["updates"])),
                    "90 % of runs": f"{number(_rounded(row['lo90']))} to {number(_rounded(row['hi90']))}",
                    "90 % for the mean": f"{number(_rounded(row['mean_lo90']))} to {number(_rounded(row['mean_hi90']))}",
                    "law alone": number(_rounded(row["law_updates"])),
                    "note": row["warning"] or "",
                }
                for row in key["predictions"]
            ],
            right=("batch_samples", "updates", "90 % of runs", "90 % for the mean", "law alone"),
        )
        print_lines([""])
    least = min((rival["criterion"] for rival in key["alternatives"] if rival["criterion"] is not None), default=None)
    print_table(
        [
            {
                "law": LAW_WORDS[rival["kind"]],
                "off by (rms)": two_digits(rival["rms_relative"]),
                "AICc above best": "-" if rival["criterion"] is None or least is None else f"{rival['criterion'] - least:.1f}",
                "parameters": ", ".join(f"{name} {value:.4g}" for name, value in rival["parameters"].items())
                + ("" if rival["valid"] else " (outside the law's range)"),
            }
            for rival in key["alternatives"]
        ],
        right=("off by (rms)", "AICc above best"),
        width=150,
    )
    floor = key["plain_inverse_law"]
    if floor is not None and floor["parameters"]["n_inf_updates"] <= 0:
        print_lines(
            [
                "",
                f"Plain least squares would put N_inf at {floor['parameters']['n_inf_updates']:.4g}: updates fall faster than "
                "1/M. The law above holds a floor; do not trust either beyond the data.",
            ]
        )


def _unreached_in_words(fit: UpdatesFit) -> list[str]:
    """Say what was censored, where anything was."""
    from simulator.cli.words import number

    lost = [f"more than {number(one.at_least_updates)} at {number(one.batch_samples)}" for one in fit.series.unreached]
    some = sum(fit.series.censored_runs)
    return [
        *([f"no run reached the target: {', '.join(lost)} samples"] if lost else []),
        *([f"{some} other run{'s' if some > 1 else ''} did not reach it and count as longer than they were"] if some else []),
    ]


def law_in_numbers(fit: LawFit) -> str:
    """Write a fitted law with its numbers."""
    value = fit.parameters()
    if fit.family.kind == "inverse":
        return f"N_Update(M) = {value['n_inf_updates']:.4g} + {value['alpha_samples']:.4g} / M"
    if fit.family.kind == "sharp":
        p = value["sharpness"]
        return f"N_Update(M) = ({value['n_inf_updates']:.4g}^p + ({value['alpha_samples']:.4g} / M)^p)^(1/p), p = {p:.3g}"
    shown = ", ".join(f"{name} {number:.4g}" for name, number in value.items())
    return f"{LAW_WORDS[fit.family.kind]}: {shown}"


def _value(fit: LawFit, name: str) -> float | None:
    """Return a parameter of the law, the critical batch among them; None where the law has none such."""
    value = fit.parameters()
    if name == "critical_batch_samples" and {"n_inf_updates", "alpha_samples"} <= set(value):
        return value["alpha_samples"] / value["n_inf_updates"]
    return value.get(name)


def _estimate_in_words(value: float | None, interval: Sequence[float | None], unit: str) -> str:
    low, high = interval
    estimate = "-" if value is None else f"{_short(value)} {unit}"
    if high is None:
        return f"{estimate}, at least {_short(low)} (90 %): not identified" if low else f"{estimate}: not identified"
    if not low:
        return f"{estimate}, 90 % between 0 and {_short(high)}: not identified"
    return f"{estimate}, 90 % between {_short(low)} and {_short(high)}"


def two_digits(fraction: float) -> str:
    """Write a fraction as a percentage with two digits, whole ones from 10 on."""
    return f"{100 * fraction:,.0f} %" if fraction >= 0.0995 else f"{100 * fraction:.2g} %"


def _short(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:.4g}" if value >= 1e7 else f"{_rounded(value):,.0f}"


def _rounded(value: float) -> float:
    """Round to four digits: updates are not known better."""
    return float(f"{value:.4g}")
