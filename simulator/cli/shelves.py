"""What is there? The commands scenarios and profiles."""

from __future__ import annotations

from typing import Any

from simulator.errors import SimulatorError

__all__ = ["profiles", "scenarios", "show"]

UNSHOWN = ("vendor", "released", "fabric")
"""Words of a profile that --json has and the table leaves out."""


def scenarios(*, json: bool = False) -> None:
    """List the shipped scenarios.

    Parameters
    ----------
    json
        Print one JSON object.
    """
    from simulator.cli.output import Output, print_table
    from simulator.profiles import names, shipped_folder
    from simulator.scenarios import load_scenario

    rows = []
    for name in names("scenarios"):
        sections = load_scenario(name).sections
        verbs = ["run", "optimum", "scale", "explain"]
        options = [str(option["name"]) for option in sections.option]
        rows.append({"name": name, "title": sections.title, "answers": ", ".join(verbs), "options": ", ".join(options)})
    output = Output(command="scenarios", title=str(shipped_folder("scenarios").name), seed=None, as_json=json)
    output.emit({"rows": rows}, [], text=lambda: print_table(rows))


def show(name: str, /) -> None:
    """Print a shipped scenario (or workload) with its comments: a copy to start from.

    Parameters
    ----------
    name
        Its name, as listed by: learnersim scenarios.
    """
    import sys

    from simulator.profiles import find, names

    for kind in ("scenarios", "workloads"):
        if name in names(kind):
            sys.stdout.write(find(kind, name).read_text(encoding="utf-8"))
            return
    known = ", ".join([*names("scenarios"), *names("workloads")])
    raise SimulatorError(f"no shipped scenario or workload is named {name!r}; known: {known}")


def profiles(kind: str | None = None, /, *, json: bool = False) -> None:
    """List the hardware profiles and workloads, with their figures, sources and what nobody checked.

    Parameters
    ----------
    kind
        accelerators, nodes, networks, switches or workloads; all of them by default.
    json
        Print one JSON object.
    """
    import dataclasses

    from simulator.cli.output import Output, footnotes, print_footnotes, print_lines, print_table
    from simulator.cli.words import figure
    from simulator.messages import did_you_mean
    from simulator.profiles import PROFILE_KINDS, load_profile, names

    known = [*PROFILE_KINDS, "workloads"]
    if kind is not None and kind not in known:
        raise SimulatorError(f"profiles must be one of {', '.join(known)}, got {kind!r}{did_you_mean(kind, known)}")
    rows: list[dict[str, Any]] = []
    for each in known if kind is None else [kind]:
        for name in names(each):
            if each == "workloads":
                rows.append(_workload_row(name))
                continue
            profile, records = load_profile(each, name)
            figures = {key: value for key, value in dataclasses.asdict(profile).items() if value is not None}
            unchecked = [key for key, record in records.items() if record.verified is False and key in figures]
            skip = ("schema", "name", "title", "source", "date", "verified", "notes", "unit")
            rows.append(
                {
                    "kind": each,
                    "name": name,
                    "title": profile.title or name,
                    "figures": {key: value for key, value in figures.items() if key not in skip},
                    "unverified": [key for key in unchecked if key not in skip],
                    "source": profile.source,
                    "date": profile.date,
                }
            )

    def text() -> None:
        marks = footnotes(f"{row['source']}, {row['date']}" for row in rows)
        for each in dict.fromkeys(row["kind"] for row in rows):
            cells = [
                {
                    "name": row["name"],
                    "title": row["title"],
                    "figures": ", ".join(figure(key, value) for key, value in row["figures"].items() if key not in UNSHOWN),
                    "nobody checked": ", ".join(row["unverified"]),
                    "source": marks[f"{row['source']}, {row['date']}"],
                }
                for row in rows
                if row["kind"] == each
            ]
            print_lines([each])
            print_table(cells, width=150)
            print_lines([""])
        print_footnotes(marks)

    Output(command="profiles", title=kind or "", seed=None, as_json=json).emit({"rows": rows}, [], text=text)


def _workload_row(name: str) -> dict[str, Any]:
    from pathlib import Path

    from simulator.scenarios.inheritance import load_workload

    tree, _ = load_workload(name, Path(), [])
    law = tree["convergence"]
    figures = {key: law[key] for key in law if isinstance(law[key], int | float) and not isinstance(law[key], bool)}
    return {
        "kind": "workloads",
        "name": name,
        "title": tree.get("title", name),
        "figures": {**figures, "timed on": ", ".join(key for key in tree["compute"] if key != "from_flops")},
        "unverified": [],
        "source": law.get("source", tree.get("source")),
        "date": law.get("date", tree.get("date")),
    }
