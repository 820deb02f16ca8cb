"""The answers of run and compare as pages for `--report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.cli.report_sections import (
    Tables,
    assumptions,
    batch_words,
    drawn,
    price_blocks,
    reproduction,
    source_list,
    subtitle,
    trust,
    warning_items,
)
from simulator.cli.words import number, seconds
from simulator.report import Block, Cell, Facts, Items, Page, Section, Sources, Table, Text

if TYPE_CHECKING:
    from simulator.costs.model_cost import ModelCost
    from simulator.scenarios import Scenario
    from simulator.scenarios.comparing import Comparison
    from simulator.scenarios.solving import Solved

__all__ = ["compare_page", "run_page"]


def run_page(
    answer: Mapping[str, Any], scenario: Scenario, found: Sequence[Solved], best: Solved, tables: Tables,
    asked: Sequence[object], flags: Mapping[str, Any],
) -> Page:  # fmt: skip
    """Return the page of `run`.

    Parameters
    ----------
    answer : mapping
        As run.json has it.
    scenario : Scenario
        That was asked.
    found, best : Solved
        All answers, and the fastest.
    tables : mapping of str to rows
        Those of `--out`.
    asked, flags : sequence, mapping
        Arguments and flags of the command.
    """
    from simulator.cli.answers import RUN_NUMBERS, run_cells, run_words

    sources = Sources()
    sentence, facts = run_words(best)
    curve = batch_words(answer)
    figures = drawn(
        answer,
        tables,
        {
            "figure_time_to_converge": (
                f"Time to converge against the mini-batch: {curve}.",
                f"Time to converge against the mini-batch: {curve}.",
            ),
            "figure_update": (
                "Updates to converge fall, and the time of an update rises, with the mini-batch.",
                "Its two factors: a larger mini-batch needs fewer updates, and each takes longer.",
            ),
        },
    )
    prices = price_blocks(best.case.cost, sources, f"What {answer['nodes'] or ''} nodes are made of".replace("  ", " "))
    sections = [
        Section("The answer", [Text(sentence, lead=True), Facts(facts)]),
        warning_items(answer),
        Section("Mini-batch", [figures["figure_time_to_converge"]]),
        Section(
            "Each case that was asked",
            [Table(caption="Mini-batch and time", rows=run_cells(found), right=RUN_NUMBERS)],
        ),
        Section("Where the time goes", [figures["figure_update"]]),
        Section("Prices", prices),
        trust([best.case], bills=_counts_parts([best.case.cost])),
        assumptions([("", scenario, best.case)], sources),
    ]
    sections += [source_list(sources), reproduction(answer, [("", scenario)], asked, flags)]
    title = answer["title"] or answer["command"]
    return Page(title=title, subtitle=subtitle(answer, "How long does it take, and what limits it?"), sections=sections)


def compare_page(
    answer: Mapping[str, Any], found: Comparison, rows: Sequence[Solved], tables: Tables, asked: Sequence[object],
    flags: Mapping[str, Any],
) -> Page:  # fmt: skip
    """Return the page of `compare`; parameters as of `run_page`, with the options as `run` answers them."""
    from simulator.cli.compare_answer import compare_cells, compare_facts, searched_lines

    sources = Sources()
    names = [option.name for option in found.options]
    times = "; ".join(f"{row['option']} {seconds(row['converge_time_s'])}" for row in answer["rows"])
    figures = drawn(
        answer,
        tables,
        {"figure_options": (f"Time to converge of each option: {times}.", "Time to converge of each option.")},
    )
    columns = names if len(names) > 1 else []
    chances = [
        {
            "option": name,
            "fastest with probability": f"{answer['probability_best'][name]:.2f}",
            "expected regret": seconds(answer["expected_regret_s"][name]),
            **{
                f"faster than {other}": "-" if other == name else f"{answer['probability_faster'][name][other]:.2f}"
                for other in columns
            },
        }
        for name in names
    ]
    cells = compare_cells(answer["rows"])
    best = next(i for i, row in enumerate(answer["rows"]) if row["option"] == answer["best"])
    cheapest = None if answer["cheapest"] is None else names.index(answer["cheapest"])
    prices: list[Block] = []
    for option in found.options:
        prices += price_blocks(option.case.cost, sources, option.name)
    cases = [(option.name, option.scenario, option.case) for option in found.options]
    sections = [
        Section("The answer", [Facts(compare_facts(found, rows, dict(answer)))]),
        warning_items(answer),
        Section(
            "Side by side",
            [*_side_by_side(cells, best, cheapest), *figures.values()],
        ),
        Section(
            "How sure", [Table(caption="On the same draws of everything uncertain", rows=chances, right=tuple(chances[0])[1:])]
        ),
        Section("By number of learners", _by_learners(answer["by_learners"])),
        Section("Where the choice flips", _flips(found, searched_lines)),
        Section("Prices", prices),
        trust([one.case for one in found.options], bills=_counts_parts([one.case.cost for one in found.options])),
        assumptions(cases, sources),
    ]
    sections += [
        source_list(sources),
        reproduction(answer, [(option.name, option.scenario) for option in found.options], asked, flags),
    ]
    title = answer["title"] or answer["command"]
    return Page(
        title=title, subtitle=subtitle(answer, "Which option is the best, and where would that flip?"), sections=sections
    )


def _counts_parts(costs: Sequence[ModelCost | None]) -> bool:
    """Whether the parts of a cluster were counted: not where it is rented."""
    return any(cost is not None and cost.bill is not None and cost.terms.kind != "cloud" for cost in costs)


MONEY = ("cluster USD", "USD a model", "unchecked", "cheapest")


def _side_by_side(cells: Sequence[Mapping[str, Cell]], best: int, cheapest: int | None) -> list[Block]:
    """Return the options as tables of time and, where it is counted, of money."""
    words = ("option", "bottleneck", "within 5 % of the best", "90 % of a run")
    times = [{name: cell for name, cell in row.items() if name not in MONEY} for row in cells]
    numbers = [name for name in times[0] if name not in words]
    caption = "Each option as run answers it; the fastest is marked. fastest: with which probability"
    blocks: list[Block] = [Table(caption=caption, rows=times, right=numbers, strong=[best])]
    if "cluster USD" in cells[0]:
        money = [{name: row[name] for name in ("option", *MONEY) if name in row} for row in cells]
        caption = "What it costs; the cheapest is marked. cheapest: with which probability; unchecked: by prices nobody checked"
        marked = [] if cheapest is None else [cheapest]
        blocks.append(Table(caption=caption, rows=money, right=tuple(money[0])[1:], strong=marked))
    return blocks


def _by_learners(rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    from simulator.cli.compare_answer import column_of

    if not rows:
        return []
    lines: dict[int, dict[str, Cell]] = {}
    for row in rows:
        line = lines.setdefault(row["learners"], {"learners": number(row["learners"])})
        time = row["converge_time_s"]
        line[column_of(row["option"])] = "-" if time is None else f"{seconds(time)} at {number(row['batch_samples'])}"
    listed = list(lines.values())
    table = Table(caption="Time, and the mini-batch that takes it", rows=listed, right=tuple(listed[0]))
    notes = dict.fromkeys(f"{row['option']}, {number(row['learners'])}: {row['why_not']}" for row in rows if row["why_not"])
    return [table, Items(list(notes))] if notes else [table]


def _flips(found: Comparison, words: Any) -> list[Block]:
    listed = []
    for one in found.searched:
        head, *flips = (line.strip() for line in words(found, one))
        listed.append(f"{head} {', '.join(flips)}" if flips else head)
    return [Items(listed)] if listed else []
