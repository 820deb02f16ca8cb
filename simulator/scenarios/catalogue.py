"""From [design] to a catalogue in plain numbers, and back: the scenario of one design, which `run` answers too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from simulator.costs.bill_of_materials import ClusterPlan
from simulator.errors import Fault, ScenarioError
from simulator.loading import Table
from simulator.network.closed_deltas import CLOSED_COLLECTIVES, CLOSED_TOPOLOGIES
from simulator.network.cluster_network import FabricDelta
from simulator.profiles import Network, Node, Switch, load_profile
from simulator.scenarios.cases import Case
from simulator.scenarios.cluster_sections import FabricReduce
from simulator.scenarios.costing import cost_terms_of, fitting_switches, misfit, price_list_of, rent_of
from simulator.scenarios.resolve import Scenario, checked
from simulator.scenarios.verb_sections import ChooseSection, DesignSection
from simulator.studies.discrete.catalogue import Catalogue, Job, NodeKind, Option, RememberedPrices, Request
from simulator.time_to_converge import ReduceModel

__all__ = [
    "accelerators_per_learner",
    "catalogue_of",
    "network_table",
    "of_one_workload",
    "request_of",
    "scenario_of",
    "spelled",
]

NAME_ONE = ": name one in design.choose.switch"
NOT_OF_A_RUN = ("design", "option", "compare", "sweep", "allocate", "job", "simulate")
"""Sections that the scenario of one design does without."""


def request_of(scenario: Scenario, *, budget_usd: float | None = None, deadline_s: float | None = None) -> Request:
    """Return what [design] asks; a budget and a deadline given here stand instead of the file's.

    Raises
    ------
    ScenarioError
        If there is no [design], or no [cost].
    """
    design = _design(scenario)
    cost = scenario.sections.cost
    if cost is None:
        raise ScenarioError(
            [Fault(scenario.name, "cost", "is missing: design counts money; kind = purchase, cloud or ownership")]
        )
    terms = cost_terms_of(cost)
    if design.life_s is not None:
        terms = replace(terms, life_s=design.life_s)
    if design.objective == "cost" and design.deadline_s is None and deadline_s is None and terms.kind != "cloud":
        rule = "must be given where the cost is to be least: nothing else asks for more than the cheapest node"
        if not any(workload.runs_per_year for workload in scenario.sections.workload):
            raise ScenarioError([Fault(scenario.name, "design.deadline_s", rule)])
    limits = {
        "budget_usd": budget_usd if budget_usd is not None else design.budget_usd,
        "deadline_s": deadline_s if deadline_s is not None else design.deadline_s,
        "power_max_w": design.power_max_w,
    }
    return Request(
        objective=design.objective,
        nodes_min=_choose(scenario).nodes.min,
        nodes_max=_choose(scenario).nodes.max,
        terms=terms,
        **{name: value for name, value in limits.items() if value is not None},
    )


def catalogue_of(scenario: Scenario) -> Catalogue:
    """Return what [design.choose] names, joined in every way that fits.

    Raises
    ------
    ScenarioError
        With every fault: a topology or collective without a closed form; workloads that can run on no node of the catalogue.
        Nodes that others may stand in for are left out, and counted.
    """
    choose = _choose(scenario)
    _refuse_what_has_no_closed_form(scenario)
    left_out: Counter[str] = Counter()
    counts = choose.nodes.max - choose.nodes.min + 1
    options: list[Option] = []
    faults: list[Fault] = []
    book = price_list_of(scenario)
    prices = RememberedPrices(book=book.book, usd_per=book.usd_per)
    for i, name in enumerate(choose.node):
        try:
            node = _profile(scenario, "nodes", name, f"design.choose.node[{i}]")
            options += _options(scenario, node, left_out, counts)
        except ScenarioError as error:
            faults += error.faults
            left_out[f"{name}: {error.faults[0].key}: {error.faults[0].rule}"] += counts
    if not options and faults:
        raise ScenarioError(dict.fromkeys(faults))
    return Catalogue(options=tuple(options), prices=prices, left_out=left_out)


def _design(scenario: Scenario) -> DesignSection:
    found = scenario.sections.design
    if found is None:
        raise ScenarioError([Fault(scenario.name, "design", "is missing: say what may be bought, and for how much")])
    return found


def _choose(scenario: Scenario) -> ChooseSection:
    choose = _design(scenario).choose
    if choose is None:
        raise ScenarioError([Fault(scenario.name, "design.choose", "is missing: it is the catalogue that is searched")])
    return choose


def _profile(scenario: Scenario, kind: str, name: str, key: str) -> Any:
    try:
        return load_profile(kind, name, beside=scenario.folder, profile_folders=scenario.profile_folders)[0]
    except ValueError as error:
        raise ScenarioError([Fault(scenario.name, key, str(error))]) from None


def _is_fabric(scenario: Scenario) -> bool:
    reduce = scenario.sections.reduce
    return reduce is None or isinstance(reduce.law, FabricReduce)


def _refuse_what_has_no_closed_form(scenario: Scenario) -> None:
    choose, network = _choose(scenario), scenario.sections.network
    faults = []
    for i, topology in enumerate(choose.topology or ((network.topology,) if network and network.topology else ())):
        if topology not in CLOSED_TOPOLOGIES:
            rule = f"must be one of {', '.join(CLOSED_TOPOLOGIES)}, which are built for any number of nodes, got {topology!r}"
            faults.append(Fault(scenario.name, f"design.choose.topology[{i}]" if choose.topology else "network.topology", rule))
    if network is not None and network.collective not in (*CLOSED_COLLECTIVES, "auto"):
        rule = f"must be one of {', '.join((*CLOSED_COLLECTIVES, 'auto'))} in a design, got {network.collective!r}"
        faults.append(Fault(scenario.name, "network.collective", rule))
    if network is not None and network.placement.kind != "linear":
        rule = f"must be linear in a design, got {network.placement.kind!r}"
        faults.append(Fault(scenario.name, "network.placement.kind", rule))
    if not _is_fabric(scenario) and (choose.network or choose.topology):
        rule = "must be 'fabric' where networks are to be chosen: a law of P does not know them"
        faults.append(Fault(scenario.name, "reduce.kind", rule))
    if _is_fabric(scenario) and not choose.topology and (network is None or network.topology is None):
        faults.append(Fault(scenario.name, "design.choose.topology", "is missing, and [network] does not name one either"))
    if faults:
        raise ScenarioError(faults)


def accelerators_per_learner(scenario: Scenario, index: int, node: Node) -> int:
    """Return the accelerators of a learner of a workload on a node: of its compute table, of [cluster], or 1."""
    entries = scenario.sections.workload[index].compute.entries
    entry = entries.get(node.accelerator) or entries.get("from_flops")
    stated = entry.accelerators_per_learner if entry is not None else None
    cluster = scenario.sections.cluster
    return stated or (cluster.accelerators_per_learner if cluster is not None else 1)


def _options(scenario: Scenario, node: Node, left_out: Counter[str], counts: int) -> Iterator[Option]:
    """Yield a kind of node with every fabric that fits."""
    if not _is_fabric(scenario):
        plan = ClusterPlan(node=node)
        kind, laws = _kind(scenario, node, None)
        yield Option(kind=kind, network=None, switch=None, topology=None, oversubscription=1.0, plan=plan, deltas=laws)
        return
    choose, section = _choose(scenario), scenario.sections.network
    own = (section.topology,) if section is not None and section.topology is not None else ()
    first: NodeKind | None = None
    for link, switch in _links(scenario, left_out, counts):
        for topology in choose.topology or own:
            why_not = _why_not(node, link, switch, topology)
            if why_not:
                left_out[why_not] += counts
                continue
            names = (link.name if link is not None else None, switch.name if switch is not None else None)
            kind, laws = _kind(scenario, node, network_table(scenario, *names, topology, 1.0))
            first = first or kind
            for oversubscription in choose.oversubscription if topology != "star" else (1.0,):
                yield Option(
                    kind=first,
                    network=names[0],
                    switch=names[1],
                    topology=topology,
                    oversubscription=oversubscription,
                    plan=ClusterPlan(node=node, topology=_bought(topology), network=link, switch=switch),
                    deltas=tuple(
                        replace(law, network=replace(law.network, oversubscription=oversubscription))
                        for law in laws
                        if isinstance(law, FabricDelta)
                    ),
                )


def _bought(topology: str) -> Any:
    """Return a topology as a bill knows it: none of those without a closed form gets here."""
    return topology


def _why_not(node: Node, link: Network | None, switch: Switch | None, topology: str) -> str:
    """Say why a node, a network and a topology do not go together; empty where they do."""
    if switch is None:
        return f"no switch of the catalogue fits {link.name if link is not None else f'the NICs of {node.name}'}{NAME_ONE}"
    if topology == "rails" and node.accelerators == 1:
        return "rails need nodes with several accelerators"
    return ""


def _kind(scenario: Scenario, node: Node, network: Table | None) -> tuple[NodeKind, tuple[ReduceModel, ...]]:
    """Return a kind of node with its jobs, and Delta of each on a network."""
    jobs, laws = [], []
    for index, workload in enumerate(scenario.sections.workload):
        per_learner = accelerators_per_learner(scenario, index, node)
        if per_learner % node.accelerators and node.accelerators % per_learner:
            rule = (
                f"must divide the {node.accelerators} accelerators of {node.name}, or be a multiple of them, got {per_learner}"
            )
            raise ScenarioError([Fault(scenario.name, "cluster.accelerators_per_learner", rule)])
        nodes = max(1, per_learner // node.accelerators)
        one = scenario_of(scenario, index, node=node, nodes=nodes, network=network)
        case = Case.of(one, rounding="exact")
        jobs.append(
            Job(
                name=workload.name,
                model=case.model,
                limits=case.limits,
                accelerators_per_learner=per_learner,
                weight=workload.weight,
                runs_per_year=workload.runs_per_year or 0.0,
            )
        )
        laws.append(case.model.reduce)
    cost = scenario.sections.cost
    rent = None
    if cost is not None and cost.kind == "cloud":
        rent = rent_of(node, node.accelerator, price_list_of(scenario), cost.rent)[0]
    return NodeKind(name=node.name, accelerators=node.accelerators, jobs=tuple(jobs), rent=rent), tuple(laws)


def _links(scenario: Scenario, left_out: Counter[str], counts: int) -> Iterator[tuple[Network | None, Switch | None]]:
    """Yield networks with the switches that they can be plugged into."""
    choose, section = _choose(scenario), scenario.sections.network
    named = choose.network or ((section.host_link,) if section is not None and isinstance(section.host_link, str) else ())
    listed = choose.switch or ((section.switch,) if section is not None and section.switch is not None else ())
    switches = [_profile(scenario, "switches", name, f"design.choose.switch[{i}]") for i, name in enumerate(listed)]
    if not named:
        for switch in switches or (None,):
            yield None, switch
        return
    prices = price_list_of(scenario)
    for i, name in enumerate(named):
        link: Network = _profile(scenario, "networks", name, f"design.choose.network[{i}]")
        fitting = [switch for switch in switches if not misfit(link, switch)]
        if not switches:
            found = fitting_switches(link, scenario.profile_folders)
            fitting = [one for one in found if prices.to_buy(one.name, "switch") is not None] or list(found)
        elif not fitting:
            left_out[f"no switch of the catalogue fits {name}"] += counts
            continue
        for one in fitting or (None,):
            yield link, one


def network_table(scenario: Scenario, network: str | None, switch: str | None, topology: str, oversubscription: float) -> Table:
    """Return [network] of one design as a table: the file's, with what was chosen."""
    table = {**(scenario.tree.get("network") or {}), "topology": topology, "oversubscription": oversubscription}
    if network is not None:
        table["host_link"] = spelled(scenario, "network", network)
    if switch is not None:
        table["switch"] = spelled(scenario, "switch", switch)
    return table


def spelled(scenario: Scenario, key: str, name: str) -> str:
    """Return how the file names a profile: a path stays one."""
    design = scenario.sections.design
    listed = getattr(design.choose, key) if design is not None and design.choose is not None else ()
    return next((one for one in listed if one == name or one.rsplit("/", 1)[-1] == f"{name}.toml"), name)


def scenario_of(
    scenario: Scenario, index: int, *, node: Node, nodes: int, network: Table | None, learners: int | None = None
) -> Scenario:
    """Return the scenario of one workload on one design: what `run` would be asked.

    Parameters
    ----------
    scenario : Scenario
        With [design].
    index : int
        Which workload.
    node, nodes : Node, int
        The cluster.
    network : dict or None
        Its [network], as a table.
    learners : int, optional
        That train; all by default.

    Raises
    ------
    ScenarioError
        If it breaks a rule.
    """
    design = scenario.sections.design
    named = (
        next((name for name in design.choose.node if name == node.name or name.endswith(f"/{node.name}.toml")), node.name)
        if design is not None and design.choose is not None
        else node.name
    )
    per_learner = accelerators_per_learner(scenario, index, node)
    whole = max(1, per_learner // node.accelerators)  # nodes of a learner: what is left over stands idle
    cluster = {"node": named, "nodes": nodes - nodes % whole, "accelerators_per_learner": per_learner}
    run = None if learners is None else {**(scenario.tree.get("run") or {}), "learners": learners}
    return of_one_workload(scenario, index, cluster, network=network, run=run)


def of_one_workload(
    scenario: Scenario,
    index: int,
    cluster: Table,
    *,
    network: Table | None = None,
    run: Table | None = None,
    without: tuple[str, ...] = (),
) -> Scenario:
    """Return the scenario of one workload on a cluster, with nothing of other verbs, and not the sections `without`.

    Parameters
    ----------
    scenario : Scenario
        With any number of workloads.
    index : int
        Which workload.
    cluster, network, run : dict
        These sections; no [network], and the file's [run], where they are not given.
    without : tuple of str
        Sections to leave out.

    Raises
    ------
    ScenarioError
        If it breaks a rule.
    """
    prefix = f"workload[{index}]"
    tree = {key: value for key, value in scenario.tree.items() if key not in (*NOT_OF_A_RUN, *without, "network")}
    tree |= {"cluster": cluster, "workload": [scenario.tree["workload"][index]]}
    tree |= {key: table for key, table in (("network", network), ("run", run)) if table is not None}
    records = {
        (f"workload[0]{key.removeprefix(prefix)}" if key.startswith(f"{prefix}.") else key): record
        for key, record in scenario.records.items()
        if not key.startswith("workload[") or key.startswith(f"{prefix}.")
    }
    return checked(scenario.name, scenario.folder, tree, records, scenario.own_keys)
