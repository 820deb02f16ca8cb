"""Where do I begin? The command start: a few questions, and a design file to go on from."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.scenarios.start_file import Answers

__all__ = ["start"]

STAND_INS: dict[str, Any] = {"budget_usd": 1.0, "jobs": ["resnet50-mlperf"], "buy_or_rent": "buy"}
"""Answers in place of those that are still to be asked, so that one can be checked by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of the dialogue.

    Parameters
    ----------
    key : str
        Field of the answers.
    asks : str
        What is asked.
    read : callable
        From the text typed to the value of the field; None where it is left open.
    """

    key: str
    asks: str
    read: Callable[[str], Any]


def _text(typed: str) -> str | None:
    return typed or None


def _amount(typed: str) -> float | str | None:
    """Return a number, with the commas of thousands; anything else as it was typed, with its unit."""
    bare = typed.replace(",", "").removeprefix("$").strip()
    try:
        return float(bare) if bare and "_" not in bare else (typed or None)
    except ValueError:
        return bare or None


def _list(typed: str) -> list[str] | None:
    return [part.strip() for part in typed.split(",") if part.strip()] or None


def _amounts(typed: str) -> list[Any] | None:
    return [_amount(part) for part in typed.replace(";", ",").split(",") if part.strip()] or None


def _questions() -> list[Question]:
    from simulator.scenarios.start_file import known_jobs, known_vendors

    width = max(map(len, known_jobs()))
    jobs = "\n".join(f"    {name:<{width}}  {title}" for name, title in known_jobs().items())
    return [
        Question(key="budget_usd", asks="How much may it cost, in USD? (5e6; nothing: no limit)", read=_amount),
        Question(key="deadline_s", asks="How soon must each job be trained? (3 day, 6 hour; nothing: no limit)", read=_text),
        Question(key="jobs", asks=f"Which jobs? Names with commas:\n{jobs}\n ", read=_list),
        Question(
            key="runs_per_year",
            asks="How often a year? One number, or one for each job (nothing: it does not matter)",
            read=_amounts,
        ),
        Question(key="buy_or_rent", asks="Buy or rent?", read=lambda typed: typed.lower() or None),
        Question(
            key="electricity_usd_per_kwh",
            asks="What does a kWh cost, in USD? (0.13; nothing: count the purchase alone, or rent)",
            read=_amount,
        ),
        Question(key="vendors", asks=f"Whose accelerators? {', '.join(known_vendors())} (nothing: any)", read=_list),
    ]


def start(path: Path = Path("design.toml"), /, *, answers: Path | None = None, force: bool = False, json: bool = False) -> None:
    """Where do I begin? A few questions, and a commented design file for: learnersim design.

    Parameters
    ----------
    path
        The file to write, design.toml by default.
    answers
        A TOML file with the answers instead of the dialogue: budget_usd, deadline_s, jobs, runs_per_year, buy_or_rent,
        electricity_usd_per_kwh, vendors.
    force
        Replace the file.
    json
        Print one JSON object.
    """
    from simulator.cli.output import Output, print_lines
    from simulator.scenarios.start_file import design_text, quoted, read_answers
    from simulator.tables import write_text

    if path.suffix != ".toml":
        raise SimulatorError(f"{path}: must end in .toml")
    if not force and path.exists():
        raise SimulatorError(f"{path}: exists; give --force to replace it, or another name")
    found = read_answers(answers) if answers is not None else _asked()
    text = design_text(found, file=path.name)
    _check(text)
    try:
        write_text(path, text)
    except OSError as error:
        raise SimulatorError(f"{path}: cannot be written: {error.strerror or error}") from None
    import dataclasses

    own = {"path": str(path), "answers": dataclasses.asdict(found)}
    out = Output(command="start", title=str(path), seed=None, as_json=json)
    out.emit(own, [], text=lambda: print_lines([f"wrote {path}", f"Next: learnersim design {quoted(str(path))}"]))


def _check(text: str) -> None:
    """Load the file as `design` would before it is written where the user wants it."""
    from simulator.scenarios import load_scenario

    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "design.toml"
        draft.write_text(text, encoding="utf-8")
        load_scenario(str(draft))


def _asked() -> Answers:
    """Ask on stderr, read from stdin; a question is asked again until its answer is possible."""
    from simulator.errors import ScenarioError
    from simulator.scenarios.start_file import answers_of, design_text

    given: dict[str, Any] = {}
    to_ask = _questions()[::-1]
    money, time = to_ask[-1], to_ask[-2]
    while to_ask:
        question = to_ask.pop()
        if question.key == "electricity_usd_per_kwh" and given.get("buy_or_rent") == "rent":
            continue
        while True:
            value = question.read(_typed(question))
            trial = {**given, **({question.key: value} if value is not None else {})}
            try:
                answers_of({**STAND_INS, **trial}, "")
            except ScenarioError as error:
                mine = [fault for fault in error.faults if fault.key.split("[")[0] == question.key]
                if mine:
                    _say("\n".join(f"  {fault.rule}" for fault in mine))
                    continue
            if value is None and question.key in ("jobs", "buy_or_rent"):
                _say("  must be answered")
                continue
            if question.key == "vendors" and value is not None:
                try:
                    design_text(answers_of(trial, ""))
                except ScenarioError as error:
                    _say("\n".join(f"  {fault.rule}" for fault in error.faults))
                    continue
            if question.key == "deadline_s" and not trial.keys() & {"budget_usd", "deadline_s"}:
                _say("  a budget or a deadline must be given, or both")
                to_ask += [time, money]
            given = trial
            break
    return answers_of(given, "answers")


def _typed(question: Question) -> str:
    _say(question.asks, end=" ")
    line = sys.stdin.readline()
    if not line:
        raise SimulatorError(f"the answers end before {question.key}: nothing is written")
    return line.strip()


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()
