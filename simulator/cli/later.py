"""Verbs whose part is not in this version: the file is checked all the same, then the command says so and exits with 2."""

from __future__ import annotations

from collections.abc import Callable

from simulator.cli.flags import OutputFlags, ScenarioFlags
from simulator.errors import NotInThisVersionError

__all__ = ["LATER"]

NO_CHOICE, NO_OUTPUT = ScenarioFlags(), OutputFlags()


def _verb(name: str, does: str) -> Callable[..., None]:
    """Return a command that checks the scenario it is given and says that its answer is not in this version."""

    def command(scenario: str | None = None, /, *, choice: ScenarioFlags = NO_CHOICE, output: OutputFlags = NO_OUTPUT) -> None:
        checked = ""
        if scenario is not None:
            choice.load(scenario)
            checked = f"{scenario} is valid, but "
        raise NotInThisVersionError(f"learnersim: {checked}'{name}' is not in this version")

    command.__name__ = name
    command.__doc__ = f"""{does} (not in this version: the file is checked only).

    Parameters
    ----------
    scenario
        A scenario file, or the name of a shipped one.
    """
    return command


LATER: dict[str, tuple[str, Callable[..., None]]] = {
    "design": ("buy", _verb("design", "Find the best cluster within a budget or a deadline")),
    "compare": ("buy", _verb("compare", "Compare options side by side")),
    "bom": ("buy", _verb("bom", "List the bill of materials of a cluster")),
}
