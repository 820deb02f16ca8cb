"""What is there? The commands scenarios and profiles."""

from __future__ import annotations

from typing import Any

from simulator.errors import SimulatorError

__all__ = ["profiles", "scenarios", "show"]

UNSHOWN = ("vendor", "released", "fabric")
"""Words of a profile that --json has and the table leaves out."""
WORDS = ("kind", "latency_kind")
"""Words of a profile that are no figures: nobody has to check them."""
PRICE_OF = {
    "chip": "one accelerator",
    "board": "one board of accelerators; of a node: the board with all of its accelerators, without the host",
    "node": "one server",
    "switch": "one switch",
    "cable": "one cable, transceiver, or share of a fabric's cabling: see the notes",
    "nic": "one network adapter",
    "instance_hour": "one hour of a rented instance; of an accelerator: one of them",
}
"""What a price of each scope buys."""


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
        if sections.network is not None:
            verbs += ["network", *(["bom"] if sections.network.switch is not None else [])]
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
    """List the hardware profiles and workloads with figures and sources, or the prices; what nobody checked is marked.

    Parameters
    ----------
    kind
        accelerators, nodes, networks, switches, workloads or prices; all but the prices by default.
    json
        Print one JSON object.
    """
    from simulator.cli.output import Output, footnotes, print_footnotes, print_lines, print_table
    from simulator.messages import did_you_mean
    from simulator.profiles import PROFILE_KINDS, names

    known = [*PROFILE_KINDS, "workloads", "prices"]
    if kind is not None and kind not in known:
        raise SimulatorError(f"profiles must be one of {', '.join(known)}, got {kind!r}{did_you_mean(kind, known)}")
    if kind == "prices":
        _prices(json)
        return
    kinds = known[:-1] if kind is None else [kind]
    rows = [_workload_row(name) if each == "workloads" else _profile_row(each, name) for each in kinds for name in names(each)]

    def text() -> None:
        marks = footnotes(_source(row) for row in rows)
        for each in kinds:
            cells, right = _cells(each, [row for row in rows if row["kind"] == each], marks)
            print_lines([each])
            print_table(cells, right=right, width=170)
            print_lines([""])
        print_lines(["?  nobody checked this figure; notes and all fields: --json"])
        if kind is None:
            print_lines(["What it costs: learnersim profiles prices"])
        print_footnotes(marks)

    Output(command="profiles", title=kind or "", seed=None, as_json=json).emit({"rows": rows}, [], text=text)


def _profile_row(kind: str, name: str) -> dict[str, Any]:
    import dataclasses

    from simulator.profiles import Profile, load_profile

    profile, records = load_profile(kind, name)
    said = {field.name for field in dataclasses.fields(Profile)} | {"unit"}
    figures = {key: value for key, value in dataclasses.asdict(profile).items() if value is not None and key not in said}
    return {
        "kind": kind,
        "name": name,
        "title": profile.title or name,
        "figures": figures,
        "unverified": [key for key, record in records.items() if record.verified is False and key in figures],
        "source": profile.source,
        "date": profile.date,
        "notes": profile.notes,
    }


def _source(row: dict[str, Any]) -> str:
    return f"{row['source']}, {row['date']}"


def _cells(kind: str, rows: list[dict[str, Any]], marks: dict[str, str]) -> tuple[list[dict[str, str]], list[str]]:
    """Return a table with a column for every figure that one of the rows has, and which columns hold numbers."""
    import dataclasses

    from simulator.cli.words import figure, figure_name, figure_value
    from simulator.profiles import PROFILE_KINDS

    if kind == "workloads":
        return [
            {
                "name": row["name"],
                "title": row["title"],
                "figures": ", ".join(figure(key, value) for key, value in row["figures"].items()),
                "source": marks[_source(row)],
            }
            for row in rows
        ], []
    keys = [
        field.name
        for field in dataclasses.fields(PROFILE_KINDS[kind])
        if field.name not in UNSHOWN and any(field.name in row["figures"] for row in rows)
    ]
    cells = []
    for row in rows:
        line = {"name": row["name"], "title": row["title"]}
        for key in keys:
            doubt = " ?" if key in row["unverified"] and key not in WORDS else ""
            line[figure_name(key)] = figure_value(key, row["figures"][key]) + doubt if key in row["figures"] else "-"
        cells.append({**line, "source": marks[_source(row)]})
    right = [figure_name(key) for key in keys if all(isinstance(row["figures"].get(key, 0), int | float) for row in rows)]
    return cells, right


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


def _prices(as_json: bool) -> None:
    """List the shipped price book."""
    import dataclasses

    from simulator.cli.output import Output, footnotes, print_footnotes, print_lines, print_table
    from simulator.costs.price_book import SCOPES, first_day, load_price_book, outdated
    from simulator.profiles import shipped_folder

    book = load_price_book(shipped_folder("hardware_profiles") / "prices.csv", name="prices.csv")
    old = outdated(book)
    rows = [{**dataclasses.asdict(price), "outdated": aged} for price, aged in zip(book, old, strict=True)]

    def text() -> None:
        marks = footnotes(price.source for price in book)
        newest = max(first_day(price.date) for price in book).isoformat()
        for scope in SCOPES:
            cells = [
                {
                    "item": price.item,
                    "kind": price.kind,
                    "price": f"{_money(price.price)} {price.currency}",
                    "range": f"{_money(price.low)} to {_money(price.high)}" if price.low and price.high else "-",
                    "date": f"{price.date} old" if aged else price.date,
                    "checked": "yes" if price.verified else "NOT",
                    "source": marks[price.source],
                    "notes": (price.notes or "").split("; range: ")[0].removeprefix("range: "),
                }
                for price, aged in zip(book, old, strict=True)
                if price.scope == scope
            ]
            print_lines([f"{scope}: {PRICE_OF[scope]}"])
            print_table(cells, right=("price", "range"), width=150)
            print_lines([""])
        print_lines(
            [
                "Prices are as quoted, nothing is converted; a range holds the quotes for the same in a comparable period.",
                f"NOT  nobody checked this price. old  more than three years before the newest price here, {newest}.",
            ]
        )
        print_footnotes(marks)

    Output(command="profiles", title="prices", seed=None, as_json=as_json).emit({"rows": rows}, [], text=text)


def _money(amount: float) -> str:
    """Write an amount: whole units where they matter, else what was quoted."""
    return f"{amount:,.0f}" if amount >= 1000 else f"{amount:,.4g}"
