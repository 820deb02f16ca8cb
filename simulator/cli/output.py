"""What every command shares: the object that it answers, its warnings, JSON, tables on the screen, and the output folder."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from simulator.cli.flags import OutputFlags
from simulator.cli.report_file import refuse_report_in_the_way, write_report
from simulator.cli.version import versions
from simulator.errors import InfeasibleError, SimulatorError, SimulatorWarning
from simulator.messages import printable
from simulator.tables import label, plain, write_json, write_table

if TYPE_CHECKING:
    from simulator.report import Page
    from simulator.scenarios import Scenario
    from simulator.tasks import Journal

__all__ = [
    "Output",
    "collected_warnings",
    "footnotes",
    "print_footnotes",
    "print_lines",
    "print_table",
    "request_errors",
    "run_key",
]

WIDTH = 110
JOURNAL = "journal.jsonl"
OWN_FILES = (
    *("run.json", "wall_clock.json", "rows.csv", "batch.csv", "scaling.csv", "summary.csv"),
    *("predictions.csv", "points.csv", "curve.csv"),
    *("parts.csv", "comparison.csv", "figure_allocation.png", "figure_completion.png"),
    *("replications.csv", "updates.csv", "spans.csv", "sweep.csv", JOURNAL),
    *("times.csv", "converge.csv", "figure_measured_updates.png", "figure_measured_times.png"),
    *(
        "figure_simulation.png",
        "figure_timeline.png",
        "figure_time_to_converge.png",
        "figure_update.png",
        "figure_scaling.png",
        "figure_updates.png",
        "figure_step_time.png",
        "figure_validation.png",
        "figure_network.png",
        "links.csv",
    ),
    *("bill.csv", "certificate.csv", "frontier.csv", "settled.csv", "workloads.csv", "importance.csv"),
    *("learners.csv", "crossovers.csv"),
    *("figure_frontier.png", "figure_batches.png", "figure_spending.png", "figure_importance.png", "figure_options.png"),
)


@dataclass(slots=True, kw_only=True)
class Output:
    """One command's answer on its way out.

    Parameters
    ----------
    command, title : str
        As in the JSON object.
    seed : int or None
        Seed of the scenario.
    as_json : bool
        One JSON object on stdout instead of text.
    folder : Path or None
        Where to write run.json and the tables; nothing is written without it.
    figures, force, journaled : bool
        Whether figures are drawn, an earlier run is replaced, a journal of this one is kept.
    key : str
        Hash of the resolved inputs.
    report : Path or None
        Where to write the page of the answer.
    """

    command: str
    title: str
    seed: int | None
    as_json: bool
    folder: Path | None = None
    figures: bool = False
    force: bool = False
    journaled: bool = False
    report: Path | None = None
    key: str | None = None
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def prepared(
        cls, command: str, flags: OutputFlags, *, title: str, seed: int | None, inputs: Any, figures: bool = False,
        report: Path | None = None,
    ) -> Output:  # fmt: skip
        """Make an output ready before the work begins: a folder or a report in the way is refused now.

        Parameters
        ----------
        inputs : object
            The resolved inputs of the run, whose hash is its key.
        """
        key = run_key(command, inputs)
        if figures and flags.out is None:
            raise SimulatorError("--figures needs --out DIR")
        if report is None or flags.out is not None or flags.resume:
            folder = prepared_folder(flags.out, force=flags.force, resume=flags.resume, key=key)
        else:
            folder = None
        if report is not None:
            refuse_report_in_the_way(report, force=flags.force, resumed=key if flags.resume else None)
        return cls(
            command=command,
            title=title,
            seed=seed,
            as_json=flags.json,
            folder=folder,
            figures=figures,
            force=flags.force,
            report=report,
            key=key,
        )

    def journal(self) -> AbstractContextManager[Journal | None]:
        """Return the journal of the folder, which keeps the results of a long run as they come; None without a folder."""
        if self.folder is None:
            return nullcontext()
        from simulator.tasks import Journal

        path = self.folder / JOURNAL
        if self.force:
            path.unlink(missing_ok=True)
        self.journaled = True
        return Journal(path, f"{self.key} {'; '.join(f'{name} {version}' for name, version in versions().items())}")

    @property
    def saves(self) -> bool:
        """Whether tables are needed: for the folder, or for the figures of the report."""
        return self.folder is not None or self.report is not None

    def emit(
        self,
        own: Mapping[str, Any],
        caught: Sequence[warnings.WarningMessage],
        *,
        text: Callable[[], None],
        scenario: Scenario | None = None,
        tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        draw: Callable[[Path], list[Path]] | None = None,
        page: Callable[[Mapping[str, Any]], Page] | None = None,
    ) -> None:
        """Write the folder and the report, print the JSON object or the text, and draw the figures of the folder."""
        said = _texts(caught)
        answer = plain(
            {
                "schema": 1,
                "command": self.command,
                "title": self.title,
                "seed": self.seed,
                "versions": versions(),
                "warnings": said,
                **own,
            }
        )
        report = self._report_text(answer, page)
        if self.folder is not None:
            resolved = _without_infinity(plain(scenario.resolved())) if scenario is not None else {}
            self._save({**answer, "key": self.key, **resolved}, tables or {})
        if self.report is not None:
            write_report(self.report, report)
        if self.as_json:
            sys.stdout.write(json.dumps(answer, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
        else:
            text()
            sys.stdout.flush()
            for warning in said:
                sys.stderr.write(f"warning: {printable(warning['text'])}\n")
        if self.figures and self.folder is not None:
            if draw is None:
                from simulator.plots import draw_run

                figures = draw_run(self.folder, answer)
            else:
                figures = draw(self.folder)
            for path in figures:
                if not self.as_json:
                    sys.stdout.write(f"wrote {path}\n")
        if self.report is not None and not self.as_json:
            print_lines([f"wrote {self.report}"])

    def _report_text(self, answer: Mapping[str, Any], page: Callable[[Mapping[str, Any]], Page] | None) -> str:
        """Return the page of the answer before anything is written, so that a fault of it leaves nothing half done."""
        if self.report is None or page is None:
            return ""
        from simulator.report import page_html

        return page_html(page(answer), run=self.key)

    def _save(self, answer: Any, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        assert self.folder is not None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in OWN_FILES:  # of an earlier run; whatever else lies there is not ours
                if not (self.journaled and name == JOURNAL):
                    (self.folder / name).unlink(missing_ok=True)
            for name, rows in tables.items():
                write_table(self.folder / name, [_flat(row) for row in rows])
            elapsed = time.monotonic() - self.started
            write_json(self.folder / "wall_clock.json", {"elapsed_s": round(elapsed, 3), "ended_unix_s": int(time.time())})
            write_json(self.folder / "run.json", answer)  # last: its presence says that the rest is complete
        except OSError as error:
            raise SimulatorError(f"{self.folder}: cannot be written: {error.strerror or error}") from None


def _without_infinity(value: Any) -> Any:
    """Write the one number of a file that may be infinite, the exponent of an overlap, as the word "inf"."""
    if isinstance(value, dict):
        return {key: _without_infinity(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_infinity(item) for item in value]
    return "inf" if isinstance(value, float) and value == float("inf") else value


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Spread the tables and pairs of a row over columns of their own, for CSV; longer lists stay in run.json."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{name}": inner for name, inner in value.items()})
        elif isinstance(value, list | tuple) and len(value) == 2:
            flat[f"{key}.low"], flat[f"{key}.high"] = value
        elif not isinstance(value, list):
            flat[key] = value
    return flat


def run_key(*parts: Any) -> str:
    """Return the key of a run: a hash of its resolved inputs.

    Examples
    --------
    >>> run_key({"b": 1, "a": 2}) == run_key({"a": 2, "b": 1})
    True
    """
    text = json.dumps(plain(list(parts)), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prepared_folder(out: Path | None, *, force: bool, resume: bool, key: str) -> Path | None:
    """Make the output folder ready, or refuse.

    A folder that is not empty needs `force` (files of an earlier run in it are replaced, others stay) or `resume` (it must
    hold the same run).

    Raises
    ------
    SimulatorError
        If the folder is in the way.
    """
    if out is None:
        if force or resume:
            raise SimulatorError(f"--{'force' if force else 'resume'} needs --out DIR")
        return None
    if force and resume:
        raise SimulatorError("--force and --resume contradict each other: give one")
    try:
        if out.exists() and not out.is_dir():
            raise SimulatorError(f"{out}: must be a folder, got a file")
        present = out.is_dir() and any(out.iterdir())
        if present and not (force or resume):
            raise SimulatorError(f"{out}: is not empty; give --force to replace its run or --resume to continue it")
        if present and resume:
            _must_hold(out, key)
    except OSError as error:
        raise SimulatorError(f"{out}: cannot be written: {error.strerror or error}") from None
    return out


def _must_hold(out: Path, key: str) -> None:
    from simulator.tables import read_json

    run = out / "run.json"
    if not run.is_file():
        return
    found = read_json(run)
    if not isinstance(found, dict) or found.get("key") != key:
        raise SimulatorError(f"{out}: holds another run (other scenario, flags or seed); use --force or another folder")


def _texts(caught: Sequence[warnings.WarningMessage]) -> list[dict[str, str]]:
    unique: dict[tuple[str, str], None] = {}
    for warning in caught:
        if issubclass(warning.category, SimulatorWarning):
            unique[(warning.category.__name__, str(warning.message))] = None
    return [{"class": name, "text": text} for name, text in unique]


@contextmanager
def collected_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of an answer, so that they go out with it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SimulatorWarning)
        yield caught


@contextmanager
def request_errors(file: str | None = None) -> Iterator[None]:
    """Turn a value that a law refuses into an error of the request, and say of which file: exit status 1, no traceback."""
    try:
        yield
    except (ValueError, InfeasibleError) as error:
        raise SimulatorError(f"{file}: {error}" if file is not None else str(error)) from None


def footnotes(sources: Iterable[str | None]) -> dict[str, str]:
    """Number sources in the order of their first mention: source to mark."""
    return {source: f"[{i}]" for i, source in enumerate(dict.fromkeys(filter(None, sources)), 1)}


def print_footnotes(marks: Mapping[str, str]) -> None:
    """Print what the marks stand for."""
    print_lines(["", "Sources", *(f"  {mark} {source}" for source, mark in marks.items())])


def print_lines(lines: Sequence[str]) -> None:
    """Print lines of text as they are, but for characters that would steer the terminal."""
    sys.stdout.write(printable("\n".join(lines)) + "\n")


def print_table(rows: Sequence[Mapping[str, str]], *, right: Sequence[str] = (), width: int = WIDTH) -> None:
    """Print rows of text as a table, headers by column name; `right` names the columns that hold numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    if not rows:
        return
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else width, highlight=False, markup=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in rows[0]:
        whole = name in right or name in (
            "key",
            "name",
            "policy",
        )  # such a cell is never broken, and a header only between words
        header = printable(label(name))
        needed = max((len(word) for word in header.split()), default=1)
        if whole:
            needed = max(needed, *(len(row[name]) for row in rows))
        table.add_column(
            "\n".join(wrap(header, needed, break_long_words=False)) if whole else header,
            justify="right" if name in right else "left",
            overflow="fold",
            no_wrap=whole,
            min_width=needed,
        )
    for row in rows:
        table.add_row(*map(printable, row.values()))
    narrowest = Measurement.get(console, console.options.update(max_width=10_000), table).minimum
    console.width = max(console.width, narrowest)  # a number is never cut: a narrow terminal wraps the line instead
    console.print(table)
