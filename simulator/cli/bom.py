"""What shall I buy? The command bom: the bill of materials of a cluster, its price, and whether renting is cheaper."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Parameter

from simulator.cli.flags import OutputFlags, ScenarioFlags, WholeNumber, whole_numbers
from simulator.errors import MissingPriceWarning, SimulatorError

if TYPE_CHECKING:
    from simulator.costs.model_cost import ModelCost
    from simulator.costs.price_choice import PriceList

__all__ = ["bom"]

NO_CHOICE, NO_OUTPUT = ScenarioFlags(), OutputFlags()
MOST_NODES = 2**20


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BomFlags:
    """A cluster from flags instead of a scenario.

    Parameters
    ----------
    node
        Node profile.
    nodes
        How many.
    topology
        fat_tree, leaf_spine, rails, star, ring or xgft; fat_tree by default.
    network
        Network profile, whose cables and NICs are bought.
    switch
        Switch profile; may be left out where one alone has ports of the network.
    oversubscription
        Of a leaf's ports, down : up.
    tiers
        Tiers of switches; by default the fewest that hold the nodes.
    down
        Children of an xgft's switches by level, "16,4".
    up
        Parents by level, "1,8".
    end_ports
        Count a fabric without prices: ports of all nodes on all rails or planes.
    radix
        Ports of its switches.
    rails
        Separate rails or planes that share its end ports.
    planes_per_cable
        Planes that one cable carries: 2 where a port of 800 Gbit/s is split into two planes of 400.
    prices
        A price book instead of the shipped one.
    rent
        Hours to compare with buying: on_demand (the default), reserved or spot.
    """

    node: str | None = None
    nodes: WholeNumber | None = None
    topology: Literal["star", "ring", "xgft", "fat_tree", "leaf_spine", "rails"] | None = None
    network: str | None = None
    switch: str | None = None
    oversubscription: float | None = None
    tiers: WholeNumber | None = None
    down: str | None = None
    up: str | None = None
    end_ports: WholeNumber | None = None
    radix: WholeNumber | None = None
    rails: WholeNumber | None = None
    planes_per_cable: WholeNumber | None = None
    prices: Path | None = None
    rent: Literal["on_demand", "reserved", "spot"] | None = None

    def given(self) -> dict[str, Any]:
        """Return the flags that were given."""
        import dataclasses

        return {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if getattr(self, field.name) is not None
        }


NO_FLAGS = BomFlags()


def bom(
    scenario: str | None = None,
    /,
    *,
    flags: BomFlags = NO_FLAGS,
    choice: ScenarioFlags = NO_CHOICE,
    output: OutputFlags = NO_OUTPUT,
) -> None:
    """What is this cluster made of, what does it cost, and is it cheaper to rent?

    Parameters
    ----------
    scenario
        A scenario file with a [cluster] and a [network], or the name of a shipped one, instead of flags.
    """
    from simulator.cli.bill_answer import bill_keys, print_bill
    from simulator.cli.output import Output, collected_warnings, request_errors

    if scenario is not None and flags.given():
        twice = ", ".join(f"--{name.replace('_', '-')}" for name in flags.given())
        raise SimulatorError(f"a scenario and {twice} say the same thing twice: give one of them")
    with collected_warnings() as caught, request_errors():
        loaded, title, seed = None, "", choice.seed
        if scenario is not None:
            from simulator.scenarios.costing import price_list_of

            loaded = choice.load(scenario)
            title, seed = loaded.sections.title or loaded.name, loaded.sections.seed
            inputs: Any = loaded.tree
            cost, built = _of_scenario(loaded)
            prices: PriceList | None = price_list_of(loaded)
        elif flags.end_ports is not None or flags.radix is not None:
            cost, prices, built, inputs = None, None, None, flags.given()
        else:
            cost, prices, built = _of_flags(flags)
            inputs = [flags.given(), [list(map(str, (p.item, p.kind, p.price, p.date))) for p in prices.book]]
        out = Output.prepared("bom", output, title=title, seed=seed, inputs=inputs)
        if cost is None:
            own = _counted(flags)
        else:
            assert prices is not None
            _warn(cost)
            own = bill_keys(cost, prices, built)
    out.emit(own, caught, scenario=loaded, text=lambda: print_bill(title, own, cost, prices), tables={"rows.csv": own["rows"]})


Built = tuple[int, int, int] | None
"""Leaves, spines and cores that the network model has; None where it has no such tree."""


def _of_scenario(loaded: Any) -> tuple[ModelCost, Built]:
    from simulator.costs.bill_of_materials import simulated_of
    from simulator.errors import Fault, ScenarioError
    from simulator.scenarios.cluster_sections import CostSection
    from simulator.scenarios.costing import model_cost_of, plan_of

    if loaded.sections.cluster is None:
        raise ScenarioError([Fault(loaded.name, "cluster", "is missing: bom lists the parts of one; design chooses one")])
    cost = model_cost_of(loaded, CostSection(kind="purchase"))
    assert cost is not None
    if cost.bill is None:
        key = "network" if loaded.node is not None else "cluster"
        raise ScenarioError([Fault(loaded.name, key, f"cannot be counted: {'; '.join(cost.why_not)}")])
    plan, network = plan_of(loaded), loaded.sections.network
    if isinstance(plan, str) or network is None or not cost.bill.tiers >= 0:
        return cost, None
    return cost, simulated_of(plan, cost.units, oversubscription=network.oversubscription)


def _of_flags(flags: BomFlags) -> tuple[ModelCost, PriceList, Built]:
    from simulator.costs.bill_of_materials import ClusterPlan, bill_of, simulated_of
    from simulator.costs.model_cost import ModelCost
    from simulator.costs.ownership import CostTerms
    from simulator.costs.price_book import load_price_book
    from simulator.costs.price_choice import PriceList
    from simulator.profiles import load_profile, shipped_folder
    from simulator.scenarios.costing import misfit, rent_of

    _refuse_unused(flags)
    missing = [f"--{name}" for name in ("node", "nodes") if getattr(flags, name) is None]
    if missing:
        raise SimulatorError(f"give a scenario, or the flags of a cluster; missing: {', '.join(missing)}")
    assert flags.node is not None
    assert flags.nodes is not None
    if not 1 <= flags.nodes <= MOST_NODES:
        raise SimulatorError(f"--nodes must be from 1 to {MOST_NODES:,}, got {flags.nodes}")
    book = load_price_book(flags.prices) if flags.prices is not None else None
    prices = PriceList(book=book or load_price_book(shipped_folder("hardware_profiles") / "prices.csv", name="prices.csv"))

    def profile(kind: str, flag: str, name: str) -> Any:
        try:
            return load_profile(kind, name)[0]
        except ValueError as error:
            raise SimulatorError(f"--{flag} {error}") from None

    node = profile("nodes", "node", flags.node)
    network = profile("networks", "network", flags.network) if flags.network is not None else None
    topology = flags.topology or "fat_tree"
    switch = profile("switches", "switch", flags.switch) if flags.switch is not None else _only_switch(network, topology, flags)
    if misfit(network, switch):
        raise SimulatorError(f"--switch does not fit: {misfit(network, switch)}")
    if flags.nodes > 1 and network is None:
        raise SimulatorError("--network is missing: whose cables and NICs join the nodes")
    try:
        plan = ClusterPlan(
            node=node,
            topology=topology if flags.nodes > 1 else None,
            network=network,
            switch=switch,
            down=tuple(whole_numbers("down", flags.down, MOST_NODES)) if flags.down is not None else (),
            up=tuple(whole_numbers("up", flags.up, MOST_NODES)) if flags.up is not None else (),
            tiers=flags.tiers,
        )
        o = 1.0 if flags.oversubscription is None else flags.oversubscription
        bill = bill_of(plan, flags.nodes, prices, oversubscription=o)
        built = simulated_of(plan, flags.nodes, oversubscription=o) if bill.tiers > 0 else None
    except ValueError as error:
        raise SimulatorError(f"--{str(error).replace('_', '-')}") from None
    rent, why_no_rent = rent_of(node, node.accelerator, prices, flags.rent or "on_demand")
    terms = CostTerms(committed=flags.rent == "reserved")
    return ModelCost(terms=terms, units=flags.nodes, bill=bill, rent=rent, why_no_rent=why_no_rent), prices, built


TREES = ("fat_tree", "rails")
USED_BY: dict[str, tuple[str, ...]] = {
    "tiers": TREES,
    "oversubscription": (*TREES, "leaf_spine"),
    "down": ("xgft",),
    "up": ("xgft",),
    "switch": (*TREES, "leaf_spine", "star", "xgft"),
}
"""Flags of a cluster that some topologies alone depend on."""


def _refuse_unused(flags: BomFlags) -> None:
    """Raise SimulatorError where a flag would change nothing: what was asked would not be what is answered."""
    odd = [f"--{name.replace('_', '-')}" for name in ("rails", "planes_per_cable") if getattr(flags, name) is not None]
    if odd:
        rule = "belongs to --end-ports and --radix; of nodes, --topology rails has a rail for each NIC"
        raise SimulatorError(f"{', '.join(odd)}: {rule}")
    topology = flags.topology or "fat_tree"
    odd = [f"--{name}" for name, users in USED_BY.items() if getattr(flags, name) is not None and topology not in users]
    if odd:
        raise SimulatorError(f"{', '.join(odd)}: a {topology} does not depend on it")


def _only_switch(network: Any, topology: str, flags: BomFlags) -> Any:
    """Return the only switch with ports of the network; SimulatorError where there are several or none."""
    from simulator.scenarios.costing import fitting_switches

    if topology == "ring" or network is None or flags.nodes == 1:
        return None
    fitting = fitting_switches(network)
    if len(fitting) != 1:
        known = (
            f"with ports of {network.name}: {', '.join(s.name for s in fitting)}"
            if fitting
            else f"none has ports of {network.name}"
        )
        raise SimulatorError(f"--switch is missing; {known}")
    return fitting[0]


def _counted(flags: BomFlags) -> dict[str, Any]:
    """Return the counts of a fabric that is given by its numbers alone."""
    from simulator.cli.bill_answer import counted_keys
    from simulator.costs.fat_tree_counts import fat_tree_counts, simulated_switches

    allowed = ("end_ports", "radix", "tiers", "rails", "planes_per_cable", "oversubscription")
    odd = [f"--{name.replace('_', '-')}" for name in flags.given() if name not in allowed]
    if odd:
        raise SimulatorError(f"--end-ports and --radix count a fabric without prices: leave out {', '.join(odd)}")
    if flags.end_ports is None or flags.radix is None:
        raise SimulatorError(f"--{'end-ports' if flags.end_ports is None else 'radix'} is missing: give both")
    rails, o = 1 if flags.rails is None else flags.rails, 1.0 if flags.oversubscription is None else flags.oversubscription
    try:
        found = fat_tree_counts(
            flags.end_ports,
            flags.radix,
            tiers=flags.tiers,
            rails=rails,
            planes_per_cable=1 if flags.planes_per_cable is None else flags.planes_per_cable,
            oversubscription=o,
        )
    except ValueError as error:
        name, rule = str(error).split(" ", 1)
        raise SimulatorError(f"--{name.replace('_', '-')} {rule}") from None
    if not found.fits:
        tiers = "three tiers" if flags.tiers is None else f"{flags.tiers} tier{'s' if flags.tiers > 1 else ''}"
        raise SimulatorError(f"--end-ports must fit {tiers} of {flags.radix}-port switches, got {flags.end_ports}")
    built = None
    if found.tiers > 0:
        built = simulated_switches(flags.end_ports, flags.radix, oversubscription=o, tiers=flags.tiers, rails=rails)
    return counted_keys(found, flags.end_ports, built)


def _warn(cost: ModelCost) -> None:
    """Warn about prices that are missing, unchecked or old; a bill is one of what is bought, however money is counted."""
    import dataclasses

    from simulator.scenarios.costing import warn_about_prices

    assert cost.bill is not None
    bought = dataclasses.replace(cost, terms=dataclasses.replace(cost.terms, kind="purchase"))
    if bought.missing:
        warnings.warn(f"there is no total: {'; '.join(bought.missing)}", MissingPriceWarning, stacklevel=2)
    else:
        warn_about_prices(bought)
        if cost.terms.kind == "ownership" and cost.missing:
            text = f"there is no total over its life: {'; '.join(cost.missing)}"
            warnings.warn(text, MissingPriceWarning, stacklevel=2)
