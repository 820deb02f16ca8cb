"""A first design file from a few answers: which jobs, how much money or how soon, bought or rented, from whom."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from simulator.costs.ownership import DEFAULT_PUE
from simulator.costs.price_book import load_price_book
from simulator.costs.price_choice import PriceList, UnitPrice
from simulator.errors import Fault, ScenarioError
from simulator.loading import Table, read_toml, structure
from simulator.messages import did_you_mean, shown
from simulator.profiles import Network, Node, load_profile, names, shipped_folder
from simulator.quantities import non_negative, positive
from simulator.scenarios.checks import check
from simulator.scenarios.costing import FAMILIES, fitting_switches
from simulator.scenarios.inheritance import load_workload

__all__ = ["Answers", "answers_of", "design_text", "known_jobs", "known_vendors", "quoted", "read_answers"]

MOST_NODES = 8192
NODES_OF_A_DEADLINE = 1024
"""Most nodes that are bought where no budget bounds them."""
NODES_RENTED = 64
"""Most nodes that are rented: more are seldom to be had on demand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers behind a design file.

    Parameters
    ----------
    budget_usd, deadline_s : float, optional
        Dollars to spend; seconds within which each job is to be trained. One of them at least. > 0.
    jobs : tuple of str
        Ids of shipped workloads.
    runs_per_year : tuple of float
        How often each is trained; one for all of them, or one for each. Empty: not asked.
    buy_or_rent : {"buy", "rent"}
        Whether nodes are bought or rented by the hour.
    electricity_usd_per_kwh : float, optional
        Tariff; with it, what is bought is also housed and powered. >= 0.
    vendors : tuple of str
        Makers of accelerators that may be chosen; empty: any.
    """

    jobs: tuple[str, ...]
    buy_or_rent: Literal["buy", "rent"]
    budget_usd: float | None = None
    deadline_s: float | None = None
    runs_per_year: tuple[float, ...] = ()
    electricity_usd_per_kwh: float | None = None
    vendors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self, budget_usd=positive, deadline_s=positive, runs_per_year=positive, electricity_usd_per_kwh=non_negative)


@lru_cache(maxsize=1)
def _workload_trees() -> dict[str, Table]:
    return {name: load_workload(name, Path(), [])[0] for name in names("workloads")}


@lru_cache(maxsize=1)
def known_jobs() -> dict[str, str]:
    """Return the shipped workloads that a network can be chosen for, since their gradient is known: id to title."""
    return {name: str(tree.get("title", name)) for name, tree in _workload_trees().items() if "gradient_bytes" in tree}


def _untimed(jobs: Sequence[str], accelerator: str) -> list[str]:
    """Return the jobs that nobody timed on an accelerator and whose computing time cannot be estimated either."""
    tables = {job: _workload_trees()[job].get("compute", {}) for job in jobs}
    return [job for job, compute in tables.items() if not {accelerator, "from_flops"} & set(compute)]


@lru_cache(maxsize=1)
def known_vendors() -> list[str]:
    """Return the makers of the accelerators that shipped nodes hold."""
    held = {load_profile("nodes", name)[0].accelerator for name in names("nodes")}
    vendors = {load_profile("accelerators", name)[0].vendor for name in held}
    return sorted(vendor for vendor in vendors if vendor is not None)


def read_answers(path: Path) -> Answers:
    """Read answers from a TOML file whose keys are the fields of `Answers`.

    Raises
    ------
    ScenarioError
        With every fault of the file.
    """
    return answers_of(read_toml(path), str(path))


def answers_of(tree: dict[str, Any], file: str) -> Answers:
    """Return checked answers; ScenarioError with every fault, by file and key."""
    faults: list[Fault] = []
    found: Answers | None = None
    try:
        found = structure(tree, Answers, file=file)
    except ScenarioError as error:
        faults += error.faults
    faults += [Fault(file, key, rule) for key, rule in _contradictions(tree)]
    if faults or found is None:
        raise ScenarioError(faults)
    return found


def _contradictions(tree: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what answers say against each other or against what is shipped, also where one of them is no answer at all."""
    found = []
    jobs, vendors, runs = (tree.get(key) for key in ("jobs", "vendors", "runs_per_year"))
    if tree.get("budget_usd") is None and tree.get("deadline_s") is None:
        found.append(("budget_usd", "must be given, or deadline_s, or both"))
    if isinstance(jobs, list) and not jobs:
        found.append(("jobs", "must name at least one job"))
    found += [(f"jobs[{i}]", rule) for i, rule in _unknown(jobs, list(known_jobs()), "a shipped workload")]
    found += [(f"vendors[{i}]", rule) for i, rule in _unknown(vendors, known_vendors(), "a vendor of a shipped node")]
    if isinstance(jobs, list) and isinstance(runs, list) and len(runs) not in (0, 1, len(jobs)):
        found.append(("runs_per_year", f"must be one number, or one for each of the {len(jobs)} jobs, got {len(runs)}"))
    if tree.get("buy_or_rent") == "rent" and tree.get("electricity_usd_per_kwh") is not None:
        found.append(("electricity_usd_per_kwh", "belongs to what is bought: a rented hour has its power in it"))
    return found


def _unknown(given: Any, known: Sequence[str], what: str) -> list[tuple[int, str]]:
    found = []
    for i, name in enumerate(given if isinstance(given, list) else []):
        if not isinstance(name, str):
            continue  # said already: no text
        if name not in known and name in _workload_trees():
            found.append((i, f"must have gradient_bytes, which a network carries, got {shown(name)}"))
        elif name not in known:
            found.append((i, f"must be {what}, got {shown(name)}{did_you_mean(name, known)}"))
        elif name in given[:i]:
            found.append((i, f"must be unique, got {shown(name)} again"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A node that can be had, and what it costs."""

    node: Node
    price: UnitPrice


def design_text(answers: Answers, *, file: str = "design.toml") -> str:
    """Return a commented design file for the answers.

    Parameters
    ----------
    answers : Answers
        Checked.
    file : str
        Its name, for the command in its comment.

    Raises
    ------
    ScenarioError
        If no shipped node can be had from these vendors in this way.
    """
    prices = PriceList(book=load_price_book(shipped_folder("hardware_profiles") / "prices.csv", name="prices.csv"))
    offers, left_out = _offers(answers, prices)
    if not offers:
        way = "bought" if answers.buy_or_rent == "buy" else "rented"
        whose = ", ".join(answers.vendors) or "anybody"
        rule = f"no shipped node of {whose} can be {way}: {'; '.join(left_out) or 'nobody offers one'}"
        raise ScenarioError([Fault(file, "vendors" if answers.vendors else "jobs", rule)])
    return "\n".join(
        [
            "# What shall I buy? Written by learnersim start; every line is yours to change.",
            f"#   learnersim design {quoted(file)}",
            "# What the keys mean: docs/scenario.md. How money is counted: docs/costs.md.",
            "schema = 1",
            f'title = "{_title(answers)}"',
            "seed = 1",
            *_workloads(answers),
            *_design(answers),
            *_choose(answers, offers, left_out, prices),
            *_network(answers),
            *_cost(answers),
            "",
        ]
    )


def quoted(path: str) -> str:
    """Return a path as a shell takes it, in one line of a comment whatever is in its name."""
    return shlex.quote(path) if path.isprintable() else "DESIGN.toml"


def _title(answers: Answers) -> str:
    money = f"{answers.budget_usd:,.0f} USD" if answers.budget_usd is not None else ""
    soon = f"within {_time(answers.deadline_s)}" if answers.deadline_s is not None else ""
    return f"{' '.join(filter(None, (money, soon)))} for {', '.join(answers.jobs)}, {answers.buy_or_rent}"


def _time(seconds: float | None) -> str:
    """Write a time as a file takes it, in the largest unit that divides it."""
    assert seconds is not None
    for unit_s, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "min")):
        if seconds >= unit_s and (seconds / unit_s).is_integer():
            return f"{seconds / unit_s:g} {unit}"
    return f"{seconds:g} s"


def _workloads(answers: Answers) -> list[str]:
    titles = known_jobs()
    lines = []
    for i, job in enumerate(answers.jobs):
        lines += ["", f"[[workload]]                                    # {titles[job]}", f'use = "{job}"']
        if answers.runs_per_year:
            runs = answers.runs_per_year[min(i, len(answers.runs_per_year) - 1)]
            lines.append(f"runs_per_year = {runs:g}".ljust(48) + "# all runs of all jobs have to fit into a year")
    return lines


def _design(answers: Answers) -> list[str]:
    objective = "cost" if answers.budget_usd is None else "worst_time" if len(answers.jobs) > 1 else "mean_time"
    lines = ["", "[design]", f'objective = "{objective}"'.ljust(48) + "# mean_time, weighted_time, worst_time or cost"]
    given = answers.budget_usd is not None
    lines.append(f"budget_usd = {answers.budget_usd:.12g}" if given else '# budget_usd = "5e6 USD"')
    timed = answers.deadline_s is not None
    lines.append(
        (f'deadline_s = "{_time(answers.deadline_s)}"' if timed else '# deadline_s = "3 day"').ljust(48) + "# for each job"
    )
    return [*lines, 'life_s = "4 year"', '# power_max_w = "400 kW"                        # what the room can cool']


def _offers(answers: Answers, prices: PriceList) -> tuple[list[_Offer], list[str]]:
    """Return the nodes that can be had, cheapest first, and why the others of these vendors cannot."""
    offers, left_out = [], []
    cloud = tuple(f"{provider}-" for provider in ("aws", "azure", "gcp"))
    for name in names("nodes"):
        node = load_profile("nodes", name)[0]
        vendor = load_profile("accelerators", node.accelerator)[0].vendor
        rent = answers.buy_or_rent == "rent"
        if name.startswith(cloud) != rent or (answers.vendors and vendor not in answers.vendors):
            continue
        untimed = _untimed(answers.jobs, node.accelerator)
        if untimed:
            left_out.append(f"{name}, since nobody timed {', '.join(untimed)} on {node.accelerator}")
            continue
        price = prices.to_rent(name) if rent else prices.to_buy(name, "node")
        if price is None:
            left_out.append(prices.why_not(name, "instance_hour" if rent else "node"))
        elif price.old:
            left_out.append(f"{name} has only an old price, of {price.date}")
        elif answers.electricity_usd_per_kwh is not None and node.power_w is None:
            left_out.append(f"{name} has no power_w in its profile")
        else:
            offers.append(_Offer(node=node, price=price))
    return sorted(offers, key=lambda offer: (offer.price.usd, offer.node.name)), left_out


def _choose(answers: Answers, offers: Sequence[_Offer], left_out: Sequence[str], prices: PriceList) -> list[str]:
    rent = answers.buy_or_rent == "rent"
    each = "an hour" if rent else "each"
    nodes = []
    for offer in offers:
        checked = "" if offer.price.verified else ", nobody checked it"
        price = f"{offer.price.usd:,.2f}" if rent else f"{offer.price.usd:,.0f}"
        nodes.append(
            f'    "{offer.node.name}",'.ljust(32) + f"# {price} USD {each}, {offer.price.date}{checked}; {offer.node.title}"
        )
    most = NODES_RENTED if rent else NODES_OF_A_DEADLINE
    if answers.budget_usd is not None and not rent:
        most = max(1, min(MOST_NODES, int(answers.budget_usd // offers[0].price.usd)))
    lines = ["", "[design.choose]                                 # the catalogue that is searched", "node = ["]
    lines += [*nodes, "]", *(f"# left out: {reason}" for reason in left_out), f"nodes = {{ min = 1, max = {most} }}"]
    if rent:
        return [*lines, 'topology = ["fat_tree"]                         # full bisection between the NICs of the nodes']
    fabrics = _fabrics(prices, offers, powered=answers.electricity_usd_per_kwh is not None)
    lines.append("network = [")
    lines += [f'    "{network.name}",'.ljust(32) + f"# {network.title}; switches {switches}" for network, switches in fabrics]
    return [*lines, "]", 'topology = ["fat_tree", "rails"]', "oversubscription = [1, 2, 4]"]


def _fabrics(prices: PriceList, offers: Sequence[_Offer], *, powered: bool) -> list[tuple[Network, str]]:
    """Return the networks whose cables, switches and NICs can be paid for, fastest first, and these switches."""
    found = []
    fastest_nic = max((offer.node.nic_bandwidth_bytes_per_s or 0.0 for offer in offers), default=0.0)
    for name in names("networks"):
        network = load_profile("networks", name)[0]
        cabled = prices.to_buy(f"{name}-cabling-2-tiers", "cable") or all(
            prices.to_buy(item, "cable") for item in (name, f"{name}-optic", f"{name}-fibre")
        )
        switches = [
            switch.name
            for switch in fitting_switches(network)
            if prices.to_buy(switch.name, "switch") and not (powered and switch.power_w is None and switch.power_max_w is None)
        ]
        has_nics = fastest_nic >= network.bandwidth_bytes_per_s or prices.to_buy(name, "nic")
        if network.kind in FAMILIES and network.rdma and cabled and switches and has_nics:
            found.append((network, ", ".join(switches)))
    return sorted(found, key=lambda pair: (-pair[0].bandwidth_bytes_per_s, pair[0].name))


def _network(answers: Answers) -> list[str]:
    lines = [
        "",
        "[reduce]",
        'kind = "fabric"                                 # Delta from the network that is chosen',
        'overlap = { kind = "sum" }                      # nothing hides behind computing; kind = "power" hides a part',
        "",
        "[network]",
        'collective = "auto"                             # the fastest all-reduce',
        "# what an all-reduce gets of the links' rate, measured; without a range Delta of most networks is taken as certain:",
        "# achieved_share = { value = 0.8, low = 0.5, high = 0.95 }",
    ]
    if answers.buy_or_rent == "rent":
        lines.append(
            'switch = "qm9700"                               # ports and latency of the provider\'s, which nobody publishes'
        )
    return lines


def _cost(answers: Answers) -> list[str]:
    lines = ["", "[cost]"]
    if answers.buy_or_rent == "rent":
        return [*lines, 'kind = "cloud"'.ljust(48) + "# on demand", 'prices = "shipped"', '# rent = "reserved"']
    if answers.electricity_usd_per_kwh is None:
        return [
            *lines,
            'kind = "purchase"'.ljust(48) + '# neither power nor room: for both, kind = "ownership" and a tariff',
            'prices = "shipped"',
            "# utilisation = 0.6                             # share of its life that the cluster trains",
        ]
    return [
        *lines,
        'kind = "ownership"'.ljust(48) + "# purchase, power and room",
        'prices = "shipped"',
        f"electricity_usd_per_kwh = {answers.electricity_usd_per_kwh:g}",
        f"pue = {DEFAULT_PUE:g}".ljust(48) + "# average of a survey (Uptime Institute, 2023); yours?",
        "# facility_usd_per_node = 50_000                # room and operation over its life; not counted where it is left out",
        "# utilisation = 0.6                             # share of its life that the cluster trains",
    ]
