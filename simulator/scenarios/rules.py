"""The rule table: what must hold between the keys of a scenario, whichever verb is asked."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.errors import Fault
from simulator.loading import values_of
from simulator.messages import did_you_mean
from simulator.network.laws import LinearReduce
from simulator.overlap import SumOverlap
from simulator.profiles import is_path
from simulator.scenarios.cluster_sections import FabricReduce, NetworkSection
from simulator.scenarios.job_traces import trace_path

if TYPE_CHECKING:
    from simulator.scenarios.resolve import Scenario
    from simulator.scenarios.workload_section import WorkloadSection

__all__ = ["accelerators_at_hand", "broken_rules", "learners_at_hand"]


def accelerators_at_hand(scenario: Scenario) -> int | None:
    """Return the accelerators of the cluster, or None where there is no cluster."""
    cluster = scenario.sections.cluster
    if cluster is None:
        return None
    if cluster.accelerators is not None:
        return cluster.accelerators
    if cluster.nodes is not None and scenario.node is not None:
        return cluster.nodes * scenario.node.accelerators
    return None


def learners_at_hand(scenario: Scenario) -> int | None:
    """Return the learners of the cluster: accelerators / accelerators_per_learner."""
    accelerators = accelerators_at_hand(scenario)
    if accelerators is None or scenario.sections.cluster is None:
        return None
    return accelerators // scenario.sections.cluster.accelerators_per_learner


def broken_rules(scenario: Scenario) -> list[Fault]:
    """Return a fault for each rule between keys that the scenario breaks."""
    found: list[tuple[str, str]] = []
    found += _cluster(scenario)
    found += _learner_sizes(scenario)
    found += _network(scenario)
    found += _cost(scenario)
    found += _run(scenario)
    found += _simulate(scenario)
    found += _design(scenario)
    found += _sweep(scenario)
    found += _crossovers(scenario)
    found += _jobs(scenario)
    return [Fault(scenario.name, key, rule) for key, rule in found]


def _cluster(scenario: Scenario) -> list[tuple[str, str]]:
    cluster = scenario.sections.cluster
    if cluster is None:
        return []
    faults = []
    if (cluster.node is None) == (cluster.accelerator is None):
        faults.append(("cluster", "must have either node or accelerator"))
    if (cluster.nodes is None) == (cluster.accelerators is None):
        faults.append(("cluster", "must have either nodes or accelerators, a number"))
    if cluster.nodes is not None and cluster.node is None and cluster.accelerator is not None:
        faults.append(("cluster.nodes", "needs cluster.node; with cluster.accelerator give accelerators"))
    accelerators = accelerators_at_hand(scenario)
    if accelerators is not None and accelerators % cluster.accelerators_per_learner:
        faults.append(
            (
                "cluster.accelerators_per_learner",
                f"must divide the {accelerators} accelerators, got {cluster.accelerators_per_learner}",
            )
        )
    kind = (scenario.tree.get("reduce") or {}).get("kind")
    if kind in ("node_log", "two_tier_ring") and cluster.node is None:
        faults.append(("reduce.kind", f"{kind!r} needs cluster.node, whose boundary it speaks of"))
    return faults


def _learner_sizes(scenario: Scenario) -> list[tuple[str, str]]:
    """Apply: the learners of the cluster are those that the compute tables used speak of."""
    cluster = scenario.sections.cluster
    if cluster is None or scenario.accelerator is None:
        return []
    faults = []
    for i, workload in enumerate(scenario.sections.workload):
        entries = workload.compute.entries
        name = scenario.accelerator.name if scenario.accelerator.name in entries else "from_flops"
        size = entries[name].accelerators_per_learner if name in entries else None
        if size is not None and size != cluster.accelerators_per_learner:
            rule = (
                f"must be {size}: workload[{i}].compute.{name} holds for learners of that many accelerators (for others give "
                f"their own table with its accelerators_per_learner), got {cluster.accelerators_per_learner}"
            )
            faults.append(("cluster.accelerators_per_learner", rule))
    return faults


def _network(scenario: Scenario) -> list[tuple[str, str]]:
    network, reduce = scenario.sections.network, scenario.sections.reduce
    faults = []
    if reduce is not None and isinstance(reduce.law, FabricReduce) and network is None and not scenario.sections.design:
        faults.append(("reduce.kind", "'fabric' needs a [network]"))
    if network is None:
        return faults
    design = scenario.sections.design
    chosen = design is not None and design.choose is not None and bool(design.choose.topology)
    if network.topology is None and not chosen:
        faults.append(("network.topology", "is missing (only [design.choose] may choose it)"))
    if network.collective == "hierarchical" and (network.inner is None) != (network.outer is None):
        faults.append(("network", "must give inner and outer together"))
    if network.servers is not None and network.collective != "ps":
        faults.append(("network.servers", f"belongs to collective = 'ps', not to {network.collective!r}"))
    learners = learners_at_hand(scenario)
    hosts = _hosts(scenario, network)
    if learners is not None and hosts is not None:
        if learners > hosts:
            faults.append(("network", f"must have a host for each learner: {learners} learners, {hosts} hosts"))
        elif network.servers is not None and network.servers > hosts - learners:
            faults.append(("network.servers", f"must be <= the {hosts - learners} hosts left, got {network.servers}"))
    return faults


def _hosts(scenario: Scenario, network: NetworkSection) -> int | None:
    """Return the hosts of a tree that is written out: product of `down`, each with the accelerators of a node."""
    if network.topology != "xgft" or scenario.node is None:
        return None
    hosts = 1
    for level in network.down:
        hosts *= level
    return hosts * scenario.node.accelerators


def _cost(scenario: Scenario) -> list[tuple[str, str]]:
    cost = scenario.sections.cost
    if cost is None:
        return []
    if cost.prices != "shipped" and not (is_path(cost.prices) and (scenario.folder / cost.prices).is_file()):
        return [("cost.prices", f"must be 'shipped' or name a price book beside the scenario, got {cost.prices!r}")]
    if cost.kind != "cloud" and cost.usd_per_node_hour is not None:
        return [("cost.usd_per_node_hour", f"belongs to kind = 'cloud', not to {cost.kind!r}")]
    return []


def _design(scenario: Scenario) -> list[tuple[str, str]]:
    design = scenario.sections.design
    if design is None:
        return []
    if design.choose is None and design.continuous is None:
        return [("design", "must have [design.choose], a catalogue, or [design.continuous], real numbers")]
    if design.choose is not None and design.continuous is not None:
        return [("design.continuous", "must not be given beside [design.choose]: a catalogue, or real numbers")]
    if design.continuous is not None and design.life_s is not None:
        return [("design.life_s", f"belongs to [design.choose]; here prices are for the whole life, got {design.life_s:g}")]
    return []


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def _run(scenario: Scenario) -> list[tuple[str, str]]:
    """Apply M <= data set, P <= learners at hand, P <= M, M/P <= memory, the law's end, for each pair that is given."""
    sections, faults = scenario.sections, []
    run = sections.run
    at_hand = learners_at_hand(scenario)
    lowest, highest = run.min_batch_samples, run.max_batch_samples
    if lowest is not None and highest is not None and lowest > highest:
        faults.append(("run.max_batch_samples", f"must be >= min_batch_samples = {lowest:g}, got {highest:g}"))
    learners = []
    for i, P in enumerate(_as_list(run.learners)):
        key = f"run.learners[{i}]" if isinstance(run.learners, tuple) else "run.learners"
        if isinstance(P, int):
            if at_hand is not None and at_hand < P:
                faults.append((key, f"must be <= the {at_hand} learners of the cluster, got {P}"))
            else:
                learners.append((key, P))
        elif P == "all" and at_hand is not None:
            learners.append((key, at_hand))
    whole = run.whole_samples is not False
    for i, M in enumerate(_as_list(run.batch_samples)):
        key = f"run.batch_samples[{i}]" if isinstance(run.batch_samples, tuple) else "run.batch_samples"
        if isinstance(M, float):
            faults += [(key, rule) for rule in _given_batch(scenario, sections.workload, M, learners, whole)]
    return faults


def _simulate(scenario: Scenario) -> list[tuple[str, str]]:
    """Apply the bounds of [run] to what [simulate] gives, and to each [[job]]; name slow learners that do not exist."""
    sections = scenario.sections
    simulate, faults = sections.simulate, _server(scenario)
    at_hand = learners_at_hand(scenario)
    if at_hand is None:
        return faults
    if simulate is not None:
        M, P = simulate.batch_samples, simulate.learners
        P = P if isinstance(P, int) else at_hand
        if at_hand < P:
            faults.append(("simulate.learners", f"must be <= the {at_hand} learners of the cluster, got {P}"))
        elif isinstance(M, float):
            rules = _given_batch(scenario, sections.workload, M, [("simulate", P)], whole=True)
            faults += [("simulate.batch_samples", rule) for rule in rules]
        highest = min(P, at_hand) if simulate.learners != "best" and not sections.job else at_hand
        for i, slow in enumerate(simulate.noise.slow_learners if simulate.noise is not None else ()):
            if slow.learner >= highest:
                rule = f"must be a learner from 0 to {highest - 1}, got {slow.learner}"
                faults.append((f"simulate.noise.slow_learners[{i}].learner", rule))
    for i, job in enumerate(sections.job):
        if job.learners is None:
            continue
        M = job.batch_samples
        workloads = [workload for workload in sections.workload if workload.name == job.workload]
        if isinstance(M, float):
            rules = _given_batch(scenario, workloads, M, [("job", job.learners)], whole=True)
            faults += [(f"job[{i}].batch_samples", rule) for rule in rules]
    return faults


def _server(scenario: Scenario) -> list[tuple[str, str]]:
    """Check that a parameter server with a queue knows what each gradient takes, and that nothing hides it."""
    simulate, reduce = scenario.sections.simulate, scenario.sections.reduce
    if simulate is None or simulate.server is None or reduce is None:
        return []
    faults = []
    if not isinstance(reduce.law, LinearReduce):
        faults.append(("simulate.server", "needs reduce.kind = 'linear', whose delta_s is the service of one gradient"))
    if not isinstance(reduce.overlap, SumOverlap):
        faults.append(("simulate.server", "needs reduce.overlap.kind = 'sum'"))
    return faults


def _given_batch(
    scenario: Scenario, workloads: Sequence[WorkloadSection], M: float, learners: list[tuple[str, int]], whole: bool
) -> list[str]:
    """Return the rules that a given mini-batch of these workloads breaks."""
    rules = []
    if whole and int(M) != M:
        rules.append(f"must be a whole number of samples (or set whole_samples = false), got {M:.12g}")
    most = max((P for _, P in learners), default=1)
    if most > M:
        rules.append(f"must be >= the {most} learners, each needs a sample, got {M:.12g}")
    fewest = min((P for _, P in learners), default=1)
    for workload in workloads:
        if workload.data_set_samples is not None and workload.data_set_samples < M:
            rules.append(f"must be <= data_set_samples = {workload.data_set_samples:.12g}, got {M:.12g}")
        entry = _entry(scenario, workload)
        limit = entry.max_local_samples if entry is not None else None
        accumulation = scenario.sections.run.accumulation
        most_local = limit * accumulation if limit is not None and isinstance(accumulation, int) else math.inf
        if learners and (math.ceil(M / fewest) if whole else M / fewest) > most_local:
            micro_batches = f" x accumulation = {accumulation}" if accumulation != 1 else ""
            rules.append(
                f"must be <= {most_local * fewest:.12g} = {fewest} learners x max_local_samples = {limit:.12g}{micro_batches}, "
                f"got {M:.12g}"
            )
        lowest, highest = workload.convergence.law.batch_samples_range
        if highest * (1 + 1e-12) < M:
            rules.append(f"must be <= {highest:.6g}, where N_Update reaches 1 and the law ends, got {M:.12g}")
        if lowest * (1 - 1e-12) > M:
            rules.append(f"must be >= {lowest:.6g}, the smallest mini-batch of the law, got {M:.12g}")
    return rules


def _entry(scenario: Scenario, workload: Any) -> Any:
    """Return the compute entry of a workload on the cluster's accelerator."""
    if scenario.accelerator is None:
        return None
    entries = workload.compute.entries
    return entries.get(scenario.accelerator.name) or entries.get("from_flops")


SWEEPABLE = (
    "workload", "cluster", "reduce", "network", "cost", "run", "cross_validation", "simulate", "design", "seed",
)  # fmt: skip


def _sweep(scenario: Scenario) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    for key, values in values_of(scenario.sections.sweep, into_lists=False):
        root = key.split(".")[0].split("[")[0]
        if not isinstance(values, list) or not values:
            faults.append((f"sweep.{key}", f"must be a list of values, got {values!r}"))
        if root not in SWEEPABLE:
            faults.append((f"sweep.{key}", f"must begin with a section{did_you_mean(root, SWEEPABLE)}"))
    return faults


LINK_VARIABLE = re.compile(r"(host|upper|inner)_link\.(bandwidth_bytes_per_s|latency_s)")


def _crossovers(scenario: Scenario) -> list[tuple[str, str]]:
    compare = scenario.sections.compare
    faults = []
    for i, name in enumerate(compare.crossovers if compare is not None else ()):
        known = (
            name in ("learners", "batch_samples", "price")
            or LINK_VARIABLE.fullmatch(name)
            or name.split(".")[0].split("[")[0] in SWEEPABLE[:-1]
        )
        if not known:
            words = ("learners", "batch_samples", "price", "host_link.bandwidth_bytes_per_s", "host_link.latency_s")
            rule = (
                f"must be learners, batch_samples, price, host_link.bandwidth_bytes_per_s or a key of a section, got {name!r}"
            )
            near = did_you_mean(name, words)
            faults.append((f"compare.crossovers[{i}]", rule + (near if "did you mean" in near else "")))
    return faults


def _jobs(scenario: Scenario) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    sections = scenario.sections
    known = [workload.name for workload in sections.workload]
    names = [job.name for job in sections.job]
    for first, second in itertools.combinations(range(len(known)), 2):
        if known[first] == known[second]:
            faults.append((f"workload[{second}].name", f"must be unique, got {known[second]!r} again"))
    for i, job in enumerate(sections.job):
        if job.workload not in known:
            rule = f"must name a workload of the file, got {job.workload!r}{did_you_mean(job.workload, known)}"
            faults.append((f"job[{i}].workload", rule))
        if job.name in names[:i]:
            faults.append((f"job[{i}].name", f"must be unique, got {job.name!r} again"))
    allocate = sections.allocate
    if allocate is None:
        return faults
    for name, given in (("trace", allocate.trace), ("arrivals", allocate.arrivals)):
        if sections.job and given is not None:
            faults.append(("job", f"must not be given beside [allocate.{name}]"))
    for model, workload in (allocate.trace.models if allocate.trace is not None else {}).items():
        if workload not in known:
            rule = f"must name a workload of the file, got {workload!r}{did_you_mean(workload, known)}"
            faults.append((f"allocate.trace.models.{model}", rule))
    if allocate.trace is not None:
        try:
            trace_path(allocate.trace.file, scenario.folder)
        except ValueError as error:
            faults.append(("allocate.trace.file", str(error)))
    return faults
