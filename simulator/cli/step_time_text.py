"""What fit step-time prints: the law in words, its parameters, what is open, what to measure next, and the predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.cli.fit_text import two_digits

__all__ = ["print_fits"]

COMPUTE_WORDS = {"affine": "constant + gamma m", "knee": "gamma max(m, knee)", "knee_constant": "constant + gamma max(m, knee)"}
REDUCE_WORDS = {
    "none": "no communication",
    "constant": "a constant in a node, another across nodes",
    "linear": "node jump + b (P-1)",
    "node_log": "node jump + c log2 P",
    "node_log_across": "node jump + c log2 P across nodes",
    "node_root": "node jump + c sqrt(P-1)",
    "ring": "one ring with latency",
    "two_tier_ring": "two-tier ring",
    "hierarchical_ring": "two-tier ring with latency",
    "tree_across_nodes": "ring in a node, tree across nodes",
    "two_tier_ring_log": "two-tier ring + node jump + c log2 P",
}
UNITS = {"gamma_s_per_sample": "s_per_sample", "knee_samples": "samples", "overlap_exponent": ""}


def print_fits(keys: Sequence[dict[str, Any]], skipped: Mapping[str, int], saved: str | None) -> None:
    """Print what the series of a table say."""
    from simulator.cli.output import print_lines

    for i, key in enumerate(keys):
        if i:
            print_lines([""])
        _print_fit(key)
    if skipped:
        print_lines(["", "left out", *(f"  {count} x {reason}" for reason, count in skipped.items())])
    if saved is not None:
        print_lines(["", f"wrote {saved}: learnersim run {saved}"])


def _print_fit(key: dict[str, Any]) -> None:
    """Print what one series says: the law, its parameters, what is open, what to measure next, and the predictions."""
    from simulator.cli.output import print_lines, print_table
    from simulator.cli.words import aligned, number, seconds

    low, high = key["local_samples_range"]
    fewest, most = key["learners"][0], key["learners"][-1]
    model, held = key["model"], key["held_out"]
    forms = ", ".join(f"{REDUCE_WORDS[kind]} {100 * weight:.0f} %" for kind, weight in list(key["weights"].items())[:4])
    lines = [
        *(f"CAUTION: {concern}" for concern in key["concerns"]),
        *([""] if key["concerns"] else []),
        f"{key['series']}: {key['points']} steps with {number(low)} to {number(high)} samples a GPU, on {fewest} to {most} "
        f"GPUs of up to {key['most_nodes']} nodes",
        "",
        f"Gamma(m) = {COMPUTE_WORDS[model['compute_kind']]}; Delta(P): {REDUCE_WORDS[model['kind']]}; "
        f"half of the steps lie within {two_digits(key['median_relative'])} of this law",
        f"forms of Delta weighed in the predictions: {forms}",
    ]
    if held is not None:
        numbers = held["learners"]
        named = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        waits = "; exposed waits made that better and are used" if held["waits_used"] else ""
        lines.append(f"held out: {named} GPUs were predicted from fewer within {two_digits(held['error_relative'])}{waits}")
    facts = _parameters(key)
    following = key["next"]
    if following is not None:
        brings = f"intervals below get {two_digits(following['narrows_by'])} narrower on average"
        facts.append(("measure next", f"{_where(following)}: {brings}"))
    print_lines([*lines, "", *aligned(facts), ""])
    print_table(
        [
            {
                "per GPU": number(row["local_samples"]),
                "GPUs": number(row["learners"]),
                "nodes": number(row["nodes"]),
                "step": seconds(row["step_time_s"]),
                "90 %": f"{seconds(row['lo90'])} to {seconds(row['hi90'])}",
                "law": seconds(row["law_time_s"]),
                "note": row["warning"] or "",
            }
            for row in key["predictions"]
        ],
        right=("per GPU", "GPUs", "nodes", "step", "90 %", "law"),
    )


def _where(place: Mapping[str, Any]) -> str:
    nodes = f"{place['nodes']} node{'s' if place['nodes'] > 1 else ''}"
    return f"{place['local_samples']:g} samples a GPU on {place['learners']} GPUs, {nodes}"


def _parameters(key: dict[str, Any]) -> list[tuple[str, str]]:
    """Write each parameter that the data depend on with its 90 % range."""
    from math import exp

    facts = []
    for name, value in key["model"]["parameters"].items():
        if value is None:
            continue
        unit = UNITS.get(name, "s")
        floor = 1.0 if name == "overlap_exponent" else 0.0
        wide = 1.645 * key["model"]["standard_errors"][name] / (value - floor)
        low, middle, high = (
            _in_words(x, unit) for x in (floor + (value - floor) * exp(-wide), value, floor + (value - floor) * exp(wide))
        )
        said = ": not identified by these measurements" if name in key["unidentified"] else ""
        facts.append((name, f"{middle}, 90 % between {low} and {high}{said}"))
    return facts


def _in_words(value: float, unit: str) -> str:
    from simulator.cli.words import seconds

    if unit == "s":
        return seconds(value)
    if unit == "s_per_sample":
        return f"{seconds(value)} a sample"
    return f"{value:.3g} {unit}".strip()
