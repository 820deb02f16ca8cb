"""The file of a report: what is in its way, and that it is written in one step."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import SimulatorError
from simulator.tables import write_text

__all__ = ["refuse_report_in_the_way", "write_report"]


def refuse_report_in_the_way(report: Path, *, force: bool, resumed: str | None = None) -> None:
    """Refuse a report that could not be written, or that would overwrite a file; SimulatorError says why.

    With `force` any page is replaced, in one step; where the run with the key `resumed` goes on, its own page is.
    """
    if report.suffix.lower() not in (".html", ".htm"):
        raise SimulatorError(f"--report {report}: must be a file that ends in .html")
    if report.is_dir():
        raise SimulatorError(f"--report {report}: must be a file, got a folder")
    above = next((folder for folder in report.parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise SimulatorError(f"--report {report}: cannot be written: {above} is a file")
    if not report.exists() or force:
        return
    if resumed is None:
        raise SimulatorError(f"--report {report}: exists already; give --force to replace it")
    try:
        known = f'name="learnersim-run" content="{resumed}"' in report.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SimulatorError(f"--report {report}: cannot be read: {error.strerror or error}") from None
    if not known:
        raise SimulatorError(
            f"--report {report}: exists already, and is not a page of the run that --resume goes on with; name another file"
        )


def write_report(report: Path, text: str) -> None:
    """Write the page of an answer in one step."""
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        write_text(report, text)
    except OSError as error:
        raise SimulatorError(f"--report {report}: cannot be written: {error.strerror or error}") from None
