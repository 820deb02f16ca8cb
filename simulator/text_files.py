"""The text of a user's file, or why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import Fault, ScenarioError

__all__ = ["read_text"]


def read_text(path: Path, *, called: str, most_bytes: int) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Parameters
    ----------
    path : Path
        The file.
    called : str
        How messages call it.
    most_bytes : int
        Bytes that it may have.

    Raises
    ------
    ScenarioError
        If it is missing, a folder, too large, not UTF-8 or cannot be read.
    """

    def refuse(rule: str) -> ScenarioError:
        return ScenarioError([Fault(called, "", rule)])

    try:
        if path.is_dir():
            raise refuse("must be a file, got a folder")
        size = path.stat().st_size
        if size > most_bytes:
            raise refuse(f"must be at most {most_bytes} bytes, got {size}")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise refuse("no such file") from None
    except UnicodeDecodeError as error:
        raise refuse(f"must be a UTF-8 text file, got byte 0x{error.object[error.start]:02x} at {error.start}") from None
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise refuse(f"cannot be read: {error}") from None
