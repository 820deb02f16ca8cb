"""What one step beside a design would bring per dollar, and what would flip the choice: Eqn 12 where things come in pieces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from simulator.compute import AffineCompute, KneeCompute
from simulator.errors import CollectiveError
from simulator.quantities import FloatArray
from simulator.studies.discrete.best_times import batch_ends, best_times_s
from simulator.studies.discrete.catalogue import Catalogue, Option, Request
from simulator.studies.discrete.evaluate import Evaluated, Evaluator
from simulator.studies.discrete.search import Design, design_at

__all__ = ["Flip", "Step", "certificate", "flips", "why_not"]

Component = Literal["nodes", "network", "switch", "topology", "oversubscription", "node"]
TAKEN = "times what it is taken to be"
MOST_FACTOR = 10.0
"""Factors up to which a flip is looked for."""
LIMIT_WORDS = {
    "budget_usd": "over the budget",
    "deadline_s": "misses the deadline",
    "power_max_w": "draws too much power",
    "runs_per_year": "the runs of a year do not fit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step beside a design.

    Parameters
    ----------
    component : {"nodes", "network", "switch", "topology", "oversubscription", "node"}
        What changes.
    to : str
        To what.
    delta_usd, delta_s : float or None
        Dollars and seconds (of the objective's time) more than the design's; None where it is not possible.
    gain_s_per_usd : float or None
        Seconds gained per dollar more, or lost per dollar saved; None where no dollar moves.
    feasible : bool
        Whether it meets the request.
    reason : str
        Why it is not taken.
    """

    component: Component
    to: str
    delta_usd: float | None
    delta_s: float | None
    gain_s_per_usd: float | None
    feasible: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A change that would make the runner-up the better choice.

    Parameters
    ----------
    variable : str
        What changes.
    factor : float
        By how much it is multiplied where the choice flips.
    at : float
        Its value there.
    unit : str
        Of that value.
    """

    variable: str
    factor: float
    at: float
    unit: str


def certificate(catalogue: Catalogue, request: Request, design: Design) -> tuple[Step, ...]:
    """Return one step in each direction from a design: a node more or less, and each alternative of its fabric and node.

    No step that meets the request is better: that is what "best" means. The gains per dollar say how unequal they are, and the
    reasons what holds.
    """
    evaluator = Evaluator(catalogue=catalogue, request=request)
    known: dict[int, Evaluated | None] = {}

    def at(option: Option, nodes: int) -> tuple[Evaluated, int] | None:
        if id(option) not in known:
            try:
                known[id(option)] = evaluator.of([option])[0]
            except CollectiveError:
                known[id(option)] = None
        found = known[id(option)]
        return None if found is None or not 1 <= nodes <= request.nodes_max else (found, nodes - 1)

    own, n = design.option, design.nodes
    steps = [
        _step("nodes", f"{count} nodes", request, design, at(own, count), _outside(request, count))
        for count in (n + 1, n - 1)
        if count >= 1
    ]
    components: tuple[Component, ...] = ("oversubscription", "topology", "switch", "network", "node")
    for component in components if n > 1 else ("node",):  # nothing joins a single node
        for name, options in _alternatives(catalogue, own, component).items():
            tried = [_step(component, name, request, design, at(option, n), "") for option in options]
            steps.append(min(tried, key=_last))
    return tuple(steps)


def _last(step: Step) -> tuple[bool, bool, float, float]:
    """Order steps of one name, which leave a switch or a fabric open: possible ones first, then by time and money."""
    if step.delta_s is None or step.delta_usd is None:
        return True, True, np.inf, np.inf
    return False, not step.feasible, step.delta_s, step.delta_usd


def _outside(request: Request, nodes: int) -> str:
    if nodes > request.nodes_max:
        return f"more than the {request.nodes_max} that the catalogue allows"
    return f"fewer than the {request.nodes_min} that the catalogue allows" if nodes < request.nodes_min else ""


def _alternatives(catalogue: Catalogue, own: Option, component: str) -> dict[str, list[Option]]:
    """Return the options that differ in this component, by its name; what it decides may follow (a network its switch)."""
    follows = {"network": ("switch",), "node": ("network", "switch", "topology", "oversubscription")}.get(component, ())

    def figure(option: Option, name: str) -> Any:
        return option.kind.name if name == "node" else getattr(option, name)

    names = ("node", "network", "switch", "topology", "oversubscription")
    found: dict[str, list[Option]] = {}
    for option in catalogue.options:
        value = figure(option, component)
        same = all(figure(option, name) == figure(own, name) for name in names if name != component and name not in follows)
        if value != figure(own, component) and same and (component != "node" or _alike(option, own)):
            found.setdefault(f"{value:g} : 1" if component == "oversubscription" else str(value), []).append(option)
    return found


def _alike(option: Option, own: Option) -> bool:
    return (option.network, option.topology, option.oversubscription) == (own.network, own.topology, own.oversubscription)


def _step(
    component: Component,
    to: str, request: Request, design: Design, found: tuple[Evaluated, int] | None, outside: str,
) -> Step:  # fmt: skip
    nothing = Step(
        component=component, to=to, delta_usd=None, delta_s=None, gain_s_per_usd=None, feasible=False, reason=outside
    )
    if found is None:
        return nothing if outside else replace(nothing, reason="cannot be built")
    one, i = found
    buildable = np.isfinite(one.cost_usd[i]) and np.isfinite(one.time_s[i])
    if not buildable:
        return replace(nothing, reason=next(iter(one.reasons), "has no price, or cannot be built"))
    delta_usd, delta_s = float(one.cost_usd[i]) - design.cost_usd, float(one.time_s[i]) - design.time_s
    broken = [words for name, words in LIMIT_WORDS.items() if not one.holds[name][i]]
    reason = outside or ", ".join(broken) or _worse(request, design, delta_usd, delta_s)
    moved = abs(delta_usd) > 1e-9 * design.cost_usd
    return Step(
        component=component, to=to, delta_usd=delta_usd, delta_s=delta_s,
        gain_s_per_usd=-delta_s / delta_usd if moved else None, feasible=not (outside or broken), reason=reason,
    )  # fmt: skip


def _worse(request: Request, design: Design, delta_usd: float, delta_s: float) -> str:
    if request.objective == "cost":
        return "dearer" if delta_usd > 0 else "no cheaper" if delta_usd == 0 else "cheaper"
    if abs(delta_s) <= 1e-9 * design.time_s:
        return "as fast" + (", and dearer" if delta_usd > 0 else ", and cheaper" if delta_usd < 0 else "")
    return "slower" if delta_s > 0 else "faster"


def flips(catalogue: Catalogue, request: Request, design: Design, runner_up: Design) -> tuple[Flip, ...]:
    """Return what would flip the choice: the price of the design's nodes, of its network, its speed, its Delta.

    Prices: with the design's nodes (its switches and cables) dearer by a factor, the best count of its option is no better than
    the runner-up's best. Speed: computing slower by a factor, at the same counts; Delta, where the runner-up has another
    network. Those that do not flip within a factor of ten are left out.
    """
    evaluator = Evaluator(catalogue=catalogue, request=request)
    mine, theirs = evaluator.of([design.option])[0], evaluator.of([runner_up.option])[0]
    found = []
    if request.terms.kind != "cloud":
        for part, unit in (("node", "USD a node"), ("network", "times its price")):
            own = _part_usd(catalogue, design.option, mine.nodes, part)
            same = part == "node" and design.option.kind.name == runner_up.option.kind.name
            other = _part_usd(catalogue, runner_up.option, theirs.nodes, part) if same else np.zeros(theirs.nodes.shape)
            factor = _first_factor(partial(_dearer_loses, request, (mine, own), (theirs, other)))
            if factor is not None:
                each = float(own[design.nodes - 1]) / design.nodes if part == "node" else 1.0
                name = design.option.kind.name if part == "node" else design.option.network
                found.append(Flip(variable=f"price of the {part} ({name})", factor=factor, at=factor * each, unit=unit))
    alike = [
        one.model.compute == other.model.compute
        for one, other in zip(design.option.kind.jobs, runner_up.option.kind.jobs, strict=True)
    ]
    if request.objective != "cost" and not all(alike):  # on the same accelerators both would be slower
        factor = _first_factor(lambda f: _slower(request, design, f) > runner_up.time_s)
        if factor is not None:
            variable = f"computing time on {design.option.kind.name}"
            found.append(Flip(variable=variable, factor=factor, at=factor, unit=TAKEN))
    joined_otherwise = design.nodes > 1 and (design.option.links != runner_up.option.links or runner_up.nodes == 1)
    if request.objective != "cost" and joined_otherwise and any(design.deltas_s):  # on the same network both would take longer
        factor = _first_factor(lambda f: _slower(request, design, 1.0, f) > runner_up.time_s)
        if factor is not None:
            found.append(Flip(variable=f"Delta on {design.option.links}", factor=factor, at=factor, unit=TAKEN))
    return tuple(found)


def _dearer_loses(
    request: Request, mine: tuple[Evaluated, FloatArray], theirs: tuple[Evaluated, FloatArray], factor: float
) -> bool:
    """Whether an option is the worse of two with a part of both dearer by a factor."""
    one, other = (_best_score(request, which, (factor - 1.0) * part_usd) for which, part_usd in (mine, theirs))
    if np.isclose(one[0], other[0], rtol=1e-9, atol=0.0):  # as good: the cheaper one is taken
        return one[1] > other[1]
    return one[0] > other[0]


def _part_usd(catalogue: Catalogue, option: Option, nodes: FloatArray, part: str) -> FloatArray:
    """Dollars of the nodes, or of all else that is bought."""
    bill = catalogue.bill(option, nodes)
    total = np.zeros(nodes.shape)
    for line in bill.lines:
        if (line.part == "node") == (part == "node"):
            total = total + np.nan_to_num(np.broadcast_to(line.amount.usd, nodes.shape))
    return total


def _best_score(request: Request, one: Evaluated, more_usd: FloatArray) -> tuple[float, float]:
    """Return the least score of an option with its dollars moved, and the dollars of it."""
    cost = one.cost_usd + more_usd
    with np.errstate(invalid="ignore"):
        good = np.flatnonzero(one.within(but="budget_usd") & (cost <= request.budget_usd))
    if not len(good):
        return np.inf, np.inf
    score = cost if request.objective == "cost" else one.score
    best = good[np.lexsort((cost[good], score[good]))[0]]
    return float(score[best]), float(cost[best])


def _first_factor(flipped: Callable[[float], bool]) -> float | None:
    """Return the least factor above 1 at which something has flipped, by bisection; None where it has not up to ten."""
    if not flipped(MOST_FACTOR):
        return None
    low, high = 1.0, MOST_FACTOR
    while high / low > 1.0 + 1e-6:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if flipped(middle) else (middle, high)
    return high


def _slower(request: Request, design: Design, factor: float, delta_factor: float = 1.0) -> float:
    """Time of the objective with computing slower by a factor, and Delta longer by another."""
    times = []
    for job, P, delta_s in zip(design.option.kind.jobs, design.learners, design.deltas_s, strict=True):
        compute: Any = job.model.compute
        if factor != 1.0:
            if not isinstance(compute, KneeCompute | AffineCompute):
                return -np.inf
            gamma, constant = factor * compute.gamma_s_per_sample, factor * compute.constant_s
            compute = replace(compute, gamma_s_per_sample=gamma, constant_s=constant)
        model = replace(job.model, compute=compute)
        learners: FloatArray = np.array([float(P)])
        ends = batch_ends(model, job.limits, learners)
        times.append(best_times_s(model, learners, ends, np.array([delta_factor * delta_s])))
    weights = np.array([job.weight for job in design.option.kind.jobs])
    return float(request.time_s(weights, np.stack(times))[0])


def why_not(catalogue: Catalogue, request: Request, name: str, best: Design) -> tuple[Design | None, str]:
    """Return the best design with a named node, network, switch, topology or oversubscription, and why it is not taken.

    Returns
    -------
    (Design or None, str)
        None where none can be built and bought at all. The text starts with what it lacks.
    """
    options = [option for option in catalogue.options if name in option.names]
    evaluator = Evaluator(catalogue=catalogue, request=request)
    good: list[Design] = []
    near: list[tuple[str, Design]] = []
    reasons: dict[str, None] = {}
    for option in options:
        try:
            one = evaluator.of([option])[0]
        except CollectiveError as error:
            reasons[str(error)] = None
            continue
        reasons |= dict.fromkeys(one.reasons)
        with_it = (one.nodes > 1) | (name == option.kind.name)  # nothing joins a single node
        at = np.flatnonzero(one.within() & with_it)
        if len(at):
            good.append(design_at(one, int(at[np.lexsort((one.cost_usd[at], one.score[at]))[0]])))
        elif (one.possible & with_it).any():
            at = np.flatnonzero(one.possible & with_it)
            i = int(at[np.lexsort((one.cost_usd[at],))[0]])
            near.append(
                (", ".join(words for limit, words in LIMIT_WORDS.items() if not one.holds[limit][i]), design_at(one, i))
            )
    if good:
        design = min(good, key=lambda one: (one.score, one.cost_usd))
        return design, _compared_with(request, design, best)
    if near:
        words, design = min(near, key=lambda pair: pair[1].cost_usd)
        return (
            design,
            f"none meets the request; the cheapest ({design}, {design.cost_usd:,.0f} USD) {words or 'meets no count'}",
        )
    if options and request.nodes_max == 1:
        return None, "a single node, the most that the catalogue allows, is joined by nothing"
    return None, "; ".join(reasons) or f"nothing in the catalogue has it: it was left out ({', '.join(catalogue.left_out)})"


def _compared_with(request: Request, design: Design, best: Design) -> str:
    dearer = design.cost_usd - best.cost_usd
    money = f"{abs(dearer):,.0f} USD {'dearer' if dearer > 0 else 'cheaper'}" if abs(dearer) >= 0.5 else "as dear"
    if request.objective == "cost":
        return f"it is {money}"
    slower = design.time_s / best.time_s - 1.0
    time = "as fast" if abs(slower) < 5e-7 else f"{100 * abs(slower):.3g} % {'slower' if slower > 0 else 'faster'}"
    return f"it is {time} and {money}"
