"""A comparison as JSON keys, as tables and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.cli.answers import shares_in_words
from simulator.cli.money import usd
from simulator.cli.output import print_lines, print_table
from simulator.cli.words import aligned, figure_value, number, percent, seconds
from simulator.scenarios.solving import Solved, answer_keys
from simulator.tables import COLUMNS

if TYPE_CHECKING:
    from simulator.scenarios.comparing import Comparison, OptionCase
    from simulator.scenarios.crossing import Searched
    from simulator.studies.answer import Answer

__all__ = ["column_of", "compare_cells", "compare_facts", "compare_keys", "compare_tables", "print_compare", "searched_lines"]

WIDE = 150
LEAST_SHARE = 0.01
"""Contributions below this share are not named."""
MOST_FLIPS = 4
"""Flips of one variable that the text lists; run.json has all of them."""
RIGHT = (
    *("learners", "batch_samples", "time", "communication", "bottleneck", "cluster USD", "USD a model", "fastest", "cheapest"),
)
MEASURE_WORDS = {"converge_time_s": "time", "cost_usd": "USD a model"}


def _collective(option: OptionCase, found: Answer) -> str | None:
    """Return which collective Delta is of; None where it comes from a law."""
    law: Any = option.case.model.reduce
    return law.time(found.learners).collective if hasattr(law, "network") and found.learners > 1 else None


def compare_keys(answer: Comparison, rows: Sequence[Solved]) -> dict[str, Any]:
    """Return the JSON keys of `compare`; `rows` are the options as `run` answers them."""
    names = [option.name for option in answer.options]
    fastest_s = answer.best.answer.converge_time_s
    costs = answer.costs
    cheapest = None
    if costs is not None:
        cheapest = min(rows, key=lambda row: row.cost_usd or 0.0)
    by_learners = []
    for option in answer.options:
        for P, found, reason in option.by_learners:
            by_learners.append({"option": option.name, "learners": P, **_short_row(option, found), "why_not": reason or None})
    found_flips = [
        {
            "variable": one.variable,
            "at": int(flip.at) if one.variable == "learners" else flip.at,
            "from": None if flip.before is None else names[flip.before],
            "to": None if flip.after is None else names[flip.after],
            "measure": one.measure,
            "option": one.option,
        }
        for one in answer.searched
        for flip in one.found.found
    ]
    return {
        "best": answer.best.name,
        "cheapest": None if cheapest is None else names[list(rows).index(cheapest)],
        "rows": [
            {
                "option": name,
                **answer_keys(row),
                "collective": _collective(option, row.answer),
                "slower_than_best": row.answer.converge_time_s / fastest_s - 1.0,
                "converge_time_s_drawn_interval90": answer.times.intervals90[i],
                "probability_best": answer.times.probability_best[i],
                "expected_regret_s": answer.times.expected_regret[i],
                "probability_cheapest": None if costs is None else costs.probability_best[i],
                "expected_regret_usd": None if costs is None else costs.expected_regret[i],
            }
            for i, (name, option, row) in enumerate(zip(names, answer.options, rows, strict=True))
        ],
        "importance": [{"group": one.group, "share": one.share} for one in answer.matters],
        "measure_next": _measure_next(answer),
        "certain_links": answer.certain_links,
        "probability_best": dict(zip(names, answer.times.probability_best, strict=True)),
        "probability_cheapest": None if costs is None else dict(zip(names, costs.probability_best, strict=True)),
        "probability_faster": _matrix(names, answer.times.beats),
        "probability_cheaper": None if costs is None else _matrix(names, costs.beats),
        "expected_regret_s": dict(zip(names, answer.times.expected_regret, strict=True)),
        "expected_regret_usd": None if costs is None else dict(zip(names, costs.expected_regret, strict=True)),
        "by_learners": by_learners,
        "crossovers": found_flips,
        "searched": [
            {
                "variable": one.variable,
                "measure": one.measure,
                "option": one.option,
                "low": one.found.low,
                "high": one.found.high,
                "every_whole_number": one.found.every,
                "best_at_low": None if one.found.first is None else names[one.found.first],
                "all_equal": one.found.tied,
                "crossovers": len(one.found.found),
            }
            for one in answer.searched
        ],
    }


def _measure_next(answer: Comparison) -> str | None:
    """Return what the order of the best two hangs on most, or else the best one's time."""
    return answer.matters[0].group if answer.matters and answer.matters[0].share > LEAST_SHARE else None


def _matrix(names: Sequence[str], beats: Sequence[Sequence[float]]) -> dict[str, dict[str, float]]:
    return {
        name: {other: chance for other, chance in zip(names, row, strict=True) if other != name}
        for name, row in zip(names, beats, strict=True)
    }


SHORT = (
    *("batch_samples", "local_samples", "updates", "update_time_s", "compute_time_s", "reduce_time_s", "converge_time_s"),
    *("flat_range_samples", "branch", "bound", "bottleneck"),
)


def _short_row(option: OptionCase, found: Answer | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys((*SHORT, "nodes", "communication", "collective", "cost_usd"))
    amount = option.cost_of(found)
    return {
        **{name: getattr(found, name) for name in SHORT},
        "nodes": option.case.nodes(found.learners),
        "communication": found.shares.communication,
        "collective": _collective(option, found),
        "cost_usd": None if amount is None else float(amount.usd),
    }


def compare_tables(answer: Comparison, keys: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the tables of a comparison; curve.csv has T_C of each option at every number of learners that was tried."""
    tables = {"rows.csv": keys["rows"], "curve.csv": _curve(answer, keys)}
    if keys["by_learners"]:
        tables["learners.csv"] = keys["by_learners"]
    if keys["crossovers"]:
        tables["crossovers.csv"] = keys["crossovers"]
    return tables


def _curve(answer: Comparison, keys: dict[str, Any]) -> list[dict[str, Any]]:
    for one in answer.searched:
        if (one.variable, one.measure) == ("learners", "converge_time_s"):
            return [
                {"option": option.name, "learners": int(P), "converge_time_s": row[i]}
                for i, option in enumerate(answer.options)
                for P, row in one.found.points
                if np.isfinite(row[i])
            ]
    listed = [row for row in keys["by_learners"] if row["converge_time_s"] is not None] or keys["rows"]
    return [{name: row[name] for name in ("option", "learners", "converge_time_s")} for row in listed]


def print_compare(title: str, answer: Comparison, rows: Sequence[Solved]) -> None:
    """Print the best option, all side by side, how sure that is, each number of learners, and where the choice flips."""
    keys = compare_keys(answer, rows)
    print_lines([title, "", *aligned(compare_facts(answer, rows, keys)), ""])
    cells = [{name: cell for name, cell in row.items() if name != "unchecked"} for row in compare_cells(keys["rows"])]
    print_table(cells, right=RIGHT, width=WIDE)
    if len(answer.options) > 2:
        print_lines(["", "Chance that the option of the row is faster than that of the column", ""])
        names = [option.name for option in answer.options]
        print_table(
            [
                {"option": name, **{column_of(other): "-" if other == name else _chance(keys["probability_faster"][name][other])
                                    for other in names}}
                for name in names
            ],
            right=[column_of(name) for name in names],
            width=WIDE,
        )  # fmt: skip
    if keys["by_learners"]:
        _print_by_learners(keys["by_learners"])
    if answer.searched:
        print_lines(["", "Where the choice flips", ""])
        print_lines([line for one in answer.searched for line in searched_lines(answer, one)])


def _chance(probability: float) -> str:
    return f"{probability:.2f}"


def compare_facts(answer: Comparison, rows: Sequence[Solved], keys: dict[str, Any]) -> list[tuple[str, str]]:
    """Say which option is the fastest, how sure that is, and which is the cheapest."""
    best, first = answer.best, answer.order[0]
    found, interval = best.answer, rows[first].interval
    text = f"{best.name}: {seconds(found.converge_time_s)}"
    if interval is not None:
        text += f", 90 % between {' and '.join(seconds(end, like=found.converge_time_s) for end in interval.one_run)}"
    facts = [("fastest", f"{text}; {shares_in_words(found)}")]
    if len(answer.options) > 1:
        second = answer.options[answer.order[1]]
        slower = second.answer.converge_time_s / found.converge_time_s - 1.0
        text = f"{second.name}: as fast" if slower < 5e-10 else f"{second.name}: {percent(slower)} slower"
        faster = answer.times.beats[first][answer.order[1]]
        facts.append(("next", f"{text}; {best.name} is faster with probability {_chance(faster)}"))
        regret = answer.times.expected_regret[first]
        text = f"fastest of {len(answer.options)} with probability {_chance(answer.times.probability_best[first])}; "
        text += f"expected regret {seconds(regret)} ({percent(answer.times.relative_regret[first])})"
        if answer.certain_links:
            text += f"; Delta taken as certain: {', '.join(answer.certain_links)}"
        facts.append(("how sure", text))
    if answer.matters:
        facts.append(("measure next", _measure_next(answer) or "nothing here is uncertain: give ranges, or a fit"))
    if keys["cheapest"] is not None:
        i = [option.name for option in answer.options].index(keys["cheapest"])
        assert answer.costs is not None
        text = f"{keys['cheapest']}: {usd(rows[i].cost_usd or 0.0)} USD a model"
        if len(answer.options) > 1:
            text += f"; cheapest with probability {_chance(answer.costs.probability_best[i])}, expected regret "
            text += f"{usd(answer.costs.expected_regret[i])} USD"
        facts.append(("cheapest", text))
    elif any(row["cost_usd"] is not None for row in keys["rows"]):
        without = ", ".join(row["option"] for row in keys["rows"] if row["cost_usd"] is None)
        facts.append(("cheapest", f"not known: there is no cost of {without}"))
    shares = {row["option"]: row["cost_unverified_share"] for row in keys["rows"]}
    doubtful = [name for name in dict.fromkeys((best.name, keys["cheapest"])) if name is not None and shares[name]]
    if doubtful:
        listed = ", ".join(f"{percent(shares[name])} of the price of {name}" for name in doubtful)
        facts.append(("prices", f"nobody checked {listed}"))
    return facts


def column_of(option: str) -> str:
    """Return the name of an option as that of a column, told apart from columns that hold something else."""
    return f"{option} " if option in ("option", *COLUMNS) else option


def compare_cells(rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return options in words, one cell a column; those of money where any of them counts it."""
    money = any(row["cost_kind"] is not None for row in rows)
    return [_cells(row, money=money) for row in rows]


def _cells(row: dict[str, Any], *, money: bool) -> dict[str, str]:
    time = row["converge_time_s"]
    interval = row["converge_time_s_interval90"]
    cells = {
        "option": row["option"],
        "learners": number(row["learners"]),
        "batch_samples": number(row["batch_samples"]),
        "within 5 % of the best": " to ".join(number(end) for end in row["flat_range_samples"]),
        "time": seconds(time),
        "90 % of a run": "-" if interval is None else " to ".join(seconds(end, like=time) for end in interval),
        "communication": percent(row["shares"]["communication"]),
        "bottleneck": row["bottleneck"].replace("_", " "),
        "fastest": _chance(row["probability_best"]),
    }
    if money:
        cells["cluster USD"] = "-" if row["cluster_usd"] is None else f"{row['cluster_usd']:,.0f}"
        cells["USD a model"] = "-" if row["cost_usd"] is None else usd(row["cost_usd"])
        share = row["cost_unverified_share"]
        cells["unchecked"] = "-" if share is None else percent(share)
    if row["probability_cheapest"] is not None:
        cells["cheapest"] = _chance(row["probability_cheapest"])
    return cells


def _print_by_learners(rows: Sequence[dict[str, Any]]) -> None:
    print_lines(["", "By number of learners: time, and the mini-batch that takes it", ""])
    cells: dict[int, dict[str, str]] = {}
    for row in rows:
        line = cells.setdefault(row["learners"], {"learners": number(row["learners"])})
        line[column_of(row["option"])] = (
            "-" if row["converge_time_s"] is None else f"{seconds(row['converge_time_s'])} at {number(row['batch_samples'])}"
        )
    print_table(list(cells.values()), right=tuple(next(iter(cells.values()))), width=WIDE)
    notes = [f"  {row['option']}, {number(row['learners'])}: {row['why_not']}" for row in rows if row["why_not"]]
    if notes:
        print_lines(["", *dict.fromkeys(notes)])


def searched_lines(answer: Comparison, one: Searched) -> list[str]:
    """Say where a variable flips the choice, and between which values that was looked for."""
    found = one.found
    name = one.variable + (f" of {one.option}" if one.option else "")
    low = f"{found.low:.4g}" if one.variable == "price" else _value(one.variable, found.low)
    ends = f"{low} and {_value(one.variable, found.high)}"
    how = "; every number tried" if found.every else ""
    head = f"  {name} ({MEASURE_WORDS[one.measure]}), between {ends}{how}: "

    def called(place: int | None) -> str:
        return "no option is possible" if place is None else answer.options[place].name

    if not found.found:
        if found.tied:
            return [f"{head}none, all are equal throughout"]
        return [f"{head}none, {called(found.first)} throughout"]
    lines = [f"{head}{called(found.first)} first, then"]
    lines += [
        f"    {called(flip.after)} {'from' if one.variable == 'learners' else 'above'} {_value(one.variable, flip.at)}"
        + (" on" if one.variable == "learners" else "")
        for flip in found.found[:MOST_FLIPS]
    ]
    if len(found.found) > MOST_FLIPS:
        last = found.found[-1]
        lines.append(
            f"    and {len(found.found) - MOST_FLIPS} more, the last at {_value(one.variable, last.at)} to {called(last.after)}"
        )
    return lines


def _value(variable: str, at: float) -> str:
    if variable == "price":
        return f"{at:.4g} times what it is"
    if variable == "learners":
        return number(round(at))
    if variable == "batch_samples":
        return f"{number(at)} samples"
    words = figure_value(variable, float(at))
    return number(at) if words == str(float(at)) else words
