"""How fast is this network? The command network."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Parameter

from simulator.cli.flags import OutputFlags, ScenarioFlags, WholeNumber, whole_numbers
from simulator.errors import NoEffectWarning, SimulatorError

if TYPE_CHECKING:
    from simulator.network.cluster_network import CollectiveTime, FabricDelta

__all__ = ["network"]

NO_CHOICE, NO_OUTPUT = ScenarioFlags(), OutputFlags()
MOST_LINKS = 12
"""Lines of links that the text lists, busiest first; links alike share a line."""
MOST_HOSTS = 2**20  # as simulator.network.clusters.MOST_HOSTS, without importing it


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class NetworkFlags:
    """A network from flags instead of a scenario.

    Parameters
    ----------
    topology
        star, ring, xgft, fat_tree, leaf_spine, rails or graph.
    node
        Node profile that stands on it, or none: each host is a learner.
    hosts
        Hosts (accelerators); by default as many as there are learners.
    down
        Children of an xgft's switches by level, "16,4".
    up
        Parents by level, "1,8".
    switch
        Switch profile: ports of fat_tree, leaf_spine and rails.
    oversubscription
        Of a leaf's ports, down : up.
    host_link
        Network profile of a host's cable, or its bandwidth, "200 Gbit/s".
    upper_link
        The same between switches; by default like the hosts'.
    inner_link
        The same inside a node; by default from the node's profile.
    file
        Node-link JSON of a graph.
    collective
        ring, rd, rhd_near, rhd_far, tree, hierarchical, ps, psco, a2a, or auto: the fastest all-reduce.
    servers
        Of a parameter server.
    placement
        linear, strided, random or by_node.
    stride
        Of strided.
    sends
        rendezvous or eager.
    latency
        Of every link that is given as a bandwidth, "1 us".
    message_overhead
        Software's share of the latency of a message, "5 us".
    """

    topology: str | None = None
    node: str | None = None
    hosts: WholeNumber | None = None
    down: str | None = None
    up: str | None = None
    switch: str | None = None
    oversubscription: float | None = None
    host_link: str | None = None
    upper_link: str | None = None
    inner_link: str | None = None
    file: str | None = None
    collective: str | None = None
    servers: WholeNumber | None = None
    placement: str | None = None
    stride: WholeNumber | None = None
    sends: Literal["rendezvous", "eager"] | None = None
    latency: str | None = None
    message_overhead: str | None = None

    def given(self) -> dict[str, Any]:
        """Return the flags that were given."""
        import dataclasses

        return {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if getattr(self, field.name) is not None
        }

    def section(self) -> dict[str, Any]:
        """Return the flags as a [network] table; SimulatorError where one has another form."""
        table = {key: value for key, value in self.given().items() if key not in ("node", "hosts", "stride", "latency")}
        for key in ("down", "up"):
            if key in table:
                table[key] = whole_numbers(key, table[key], MOST_HOSTS)
        links = [key for key in ("host_link", "upper_link", "inner_link") if key in table]
        if self.latency is not None and not any(_is_bandwidth(table[key]) for key in links):
            raise SimulatorError("--latency belongs to links that are given as a bandwidth; a profile has its own")
        for key in links:
            if _is_bandwidth(table[key]):
                table[key] = {"bandwidth_bytes_per_s": _bare(table[key]), "latency_s": _bare(self.latency or "0")}
        if "placement" in table:
            table["placement"] = {"kind": table["placement"], **({"stride": self.stride} if self.stride is not None else {})}
        elif self.stride is not None:
            raise SimulatorError("--stride belongs to --placement strided")
        if "message_overhead" in table:
            table["message_overhead_s"] = _bare(table.pop("message_overhead"))
        return table


def _bare(text: str) -> float | str:
    """Return a number that has no unit as one, anything else as it is."""
    return float(text) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else text


def _is_bandwidth(text: str) -> bool:
    """Whether a link is given as a number, with or without a unit, instead of as the id of a profile."""
    return text[:1].isdigit() or (text[:1] in ("-", "+", ".") and text[1:2].isdigit())


NO_FLAGS = NetworkFlags()


def network(
    scenario: str | None = None,
    /,
    *,
    flags: NetworkFlags = NO_FLAGS,
    learners: WholeNumber | None = None,
    bytes: str | None = None,
    choice: ScenarioFlags = NO_CHOICE,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """How long does an all-reduce take on this network, and which link limits it?

    Parameters
    ----------
    scenario
        A scenario file with a [network], or the name of a shipped one, instead of flags.
    learners
        How many take part; by default all of the scenario's cluster.
    bytes
        What each accelerator has to combine, "97.5 MiB"; by default the scenario's gradient.
    figures
        Draw the network into the folder of --out too.
    """
    from simulator.cli.output import Output, collected_warnings, request_errors

    if learners is not None and not 1 <= learners <= MOST_HOSTS:
        raise SimulatorError(f"--learners must be from 1 to {MOST_HOSTS:,}, got {learners}")
    if scenario is not None and flags.given():
        twice = ", ".join(f"--{name.replace('_', '-')}" for name in flags.given())
        raise SimulatorError(f"a scenario and {twice} say the same thing twice: give one of them")
    with collected_warnings() as caught, request_errors():
        if scenario is not None:
            title, seed, loaded, delta, count = _of_scenario(scenario, choice, learners, bytes)
        else:
            title, seed, loaded = "", choice.seed, None
            delta, count = _of_flags(flags, learners, bytes, choice.seed)
        inputs = [repr(delta), count]
        out = Output.prepared("network", output, title=title, seed=seed, inputs=inputs, figures=figures)
        idle = delta.idle_nics()
        if idle is not None:
            warnings.warn(idle, NoEffectWarning, stacklevel=1)
        with request_errors(loaded.name if loaded is not None else None):
            found = delta.time(count) if count > 1 else None
    if found is None:
        raise SimulatorError("--learners must be at least 2: one learner has nobody to talk to")
    own = _keys(delta, count, found)
    out.emit(
        own,
        caught,
        scenario=loaded,
        text=lambda: _print(title, own),
        tables={"links.csv": own["rows"]},
        draw=lambda folder: [_draw(folder, found)],
    )


def _draw(folder: Path, found: CollectiveTime) -> Path:
    from simulator.topology_plots import save_topology

    limit = found.result.bottleneck
    return save_topology(
        folder / "figure_network.png",
        found.topology,
        found.result.utilisation,
        bottleneck=None if limit is None else limit.link,
    )


def _of_scenario(name: str, choice: ScenarioFlags, learners: int | None, size: str | None) -> tuple[Any, ...]:
    from dataclasses import replace

    from simulator.errors import Fault, ScenarioError
    from simulator.network.cluster_network import FabricDelta
    from simulator.scenarios import Case

    loaded = choice.load(name)
    if loaded.sections.network is None:
        raise ScenarioError([Fault(loaded.name, "network", "is missing: say which topology, or give flags instead of a file")])
    case = Case.of(loaded, workload=choice.workload)
    delta = case.model.reduce
    if not isinstance(delta, FabricDelta):
        raise ScenarioError([Fault(loaded.name, "reduce.kind", "must be 'fabric' for the network to be asked")])
    count = learners or case.learners_at_hand
    if count > case.learners_at_hand:
        raise SimulatorError(f"--learners must be <= the {case.learners_at_hand} learners of the cluster, got {count}")
    if size is not None:
        delta = replace(delta, gradient_bytes=_bytes(size))
    return loaded.sections.title or loaded.name, loaded.sections.seed, loaded, delta, count


def _of_flags(flags: NetworkFlags, learners: int | None, size: str | None, seed: int | None) -> tuple[FabricDelta, int]:
    from simulator.loading import structure
    from simulator.messages import did_you_mean
    from simulator.profiles import load_profile, names
    from simulator.scenarios.cluster_sections import NetworkSection
    from simulator.scenarios.fabrics import delta_of, network_of

    missing = [
        flag for flag, value in (("--topology", flags.topology), ("--learners", learners), ("--bytes", size)) if value is None
    ]
    if missing:
        raise SimulatorError(f"give a scenario, or the flags of a network; missing: {', '.join(missing)}")
    assert learners is not None
    assert size is not None
    section = structure(flags.section(), NetworkSection, file="flags")
    node = None
    if flags.node is not None:
        if flags.node not in names("nodes"):
            raise SimulatorError(
                f"--node must be the id of a node, got {flags.node!r}{did_you_mean(flags.node, names('nodes'))}"
            )
        node = load_profile("nodes", flags.node)[0]
    servers = flags.servers or (1 if flags.collective == "ps" else 0)
    hosts = flags.hosts if flags.hosts is not None else learners + servers
    if section.topology == "xgft" and flags.hosts is None:
        per_node = node.accelerators if node is not None else 1
        hosts = 1
        for level in section.down:
            hosts *= level
        hosts *= per_node
    if not 1 <= hosts <= MOST_HOSTS:
        raise SimulatorError(f"--hosts must be from 1 to {MOST_HOSTS:,}, got {hosts}")
    plan = network_of(section, file="flags", folder=Path(), node=node, accelerators=hosts, seed=seed)
    return delta_of(section, plan, gradient_bytes=_bytes(size), accelerators_per_learner=1, seed=seed), learners


def _bytes(text: str) -> float:
    from simulator.loading import quantity

    try:
        value = quantity("gradient_bytes", _bare(text))
    except ValueError as error:
        raise SimulatorError(f"--bytes {error}") from None
    if not 0 < value <= 1e18:
        raise SimulatorError(f"--bytes must be > 0, got {text!r}")
    return value


def _keys(delta: FabricDelta, learners: int, found: CollectiveTime) -> dict[str, Any]:
    """Return the answer's own keys."""
    import numpy as np

    result, topology = found.result, found.topology
    P, M = learners, delta.gradient_bytes
    used = np.flatnonzero(result.link_bytes > 0)
    order = used[np.lexsort((used, -result.utilisation[used], -result.full_share[used]))]
    limit = result.bottleneck
    return {
        "learners": P,
        "gradient_bytes": M,
        "topology": topology.name,
        "links": topology.links,
        "collective": found.collective,
        "tried_s": found.tried,
        "reduce_time_s": found.time_s,
        "closed_form_s": found.closed_form_s,
        "bus_bandwidth_bytes_per_s": M / found.time_s * 2.0 * (P - 1) / P if found.time_s > 0 else None,
        "bottleneck": None if limit is None else {"link": limit.name, "share": limit.share, "utilisation": limit.utilisation},
        "latency_s": result.latency_s,
        "bandwidth_s": result.transfer_s,
        "messages": result.messages,
        "path": result.path,
        "sends": delta.sends,
        "rows": [
            {
                "link": topology.names[i],
                "bandwidth_bytes_per_s": float(topology.bandwidth_bytes_per_s[i]),
                "latency_s": float(topology.latency_s[i]),
                "bytes": float(result.link_bytes[i]),
                "utilisation": float(result.utilisation[i]),
                "full_share": float(result.full_share[i]),
            }
            for i in order.tolist()
        ],
    }


PATH_WORDS = {
    "symmetry": "all ranks alike, no link shared",
    "recurrence": "no link shared: step by step over the ranks",
    "flows": "links are shared: message by message",
}


def _print(title: str, own: dict[str, Any]) -> None:
    from simulator.cli.output import print_lines, print_table
    from simulator.cli.words import aligned, figure_value, number, percent, seconds

    limit = own["bottleneck"]
    total = own["reduce_time_s"]
    rate = figure_value("bandwidth_bytes_per_s", own["bus_bandwidth_bytes_per_s"])
    lines = [title, ""] if title else []
    lines += [
        f"{seconds(total)} for {figure_value('gradient_bytes', own['gradient_bytes'])} among "
        f"{number(own['learners'])} learners; {own['collective']} on {own['topology']}",
        "",
    ]
    facts = [("bus bandwidth", rate)]
    if limit is not None:
        facts.append(("bottleneck", f"{limit['link']}, full {percent(limit['share'])} of the time"))
    facts += [
        ("of the time", f"latency {seconds(own['latency_s'])}, moving bytes {seconds(own['bandwidth_s'])}"),
        ("found by", f"{own['path']} ({PATH_WORDS[own['path']]}), {own['sends']} sends, {number(own['messages'])} messages"),
    ]
    if own["closed_form_s"] is not None:
        facts.append(
            ("closed form", f"{seconds(own['closed_form_s'])} if every path were the longest and every link the slowest")
        )
    if len(own["tried_s"]) > 1:
        listed = sorted(own["tried_s"].items(), key=lambda item: item[1])
        facts.append(("tried", ", ".join(f"{name} {seconds(value)}" for name, value in listed)))
    print_lines([*lines, *aligned(facts), "", *_why_nothing_changes(own), f"busiest of {number(len(own['rows']))} links used"])
    print_table(
        [
            {
                "link": row["link"] + (f" and {number(more)} more" if more else ""),
                "rate": figure_value("bandwidth_bytes_per_s", row["bandwidth_bytes_per_s"]),
                "bytes": figure_value("link_bytes", row["bytes"]),
                "used": percent(row["utilisation"]),
                "full": percent(row["full_share"]),
            }
            for row, more in _alike(own["rows"])[:MOST_LINKS]
        ],
        right=("rate", "bytes", "used", "full"),
    )


def _alike(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Gather neighbours whose figures agree: the first of them, and how many more there are."""
    gathered: list[tuple[dict[str, Any], int]] = []
    for row in rows:
        if gathered and all(
            math.isclose(row[key], gathered[-1][0][key], rel_tol=1e-6, abs_tol=1e-9) for key in row if key != "link"
        ):
            gathered[-1] = (gathered[-1][0], gathered[-1][1] + 1)
        else:
            gathered.append((row, 0))
    return gathered


def _why_nothing_changes(own: dict[str, Any]) -> list[str]:
    """Say which links have slack: making them faster (or slower, down to it) changes nothing."""
    between = [row for row in own["rows"] if " -> host" not in row["link"] and not row["link"].startswith("host ")]
    if not between or own["bottleneck"] is None:
        return []
    busiest = max(between, key=lambda row: row["full_share"])
    if busiest["full_share"] > 0 or busiest["utilisation"] >= own["bottleneck"]["utilisation"]:
        return []
    from simulator.cli.words import percent

    return [
        f"No link between switches is ever full (busiest: {percent(busiest['utilisation'])} of what it could carry): "
        "faster ones, or less oversubscription, change nothing here.",
        "",
    ]
