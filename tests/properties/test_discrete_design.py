"""The discrete search against enumeration: every design of small catalogues by itself, with the ordinary search for M."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.compute import KneeCompute
from simulator.convergence import InverseLaw
from simulator.costs.bill_of_materials import ClusterPlan, bill_of
from simulator.costs.ownership import CostTerms
from simulator.costs.price_book import Price
from simulator.errors import InfeasibleError
from simulator.limits import Limits
from simulator.network.closed_deltas import closed_delta
from simulator.network.cluster_network import FabricDelta
from simulator.network.clusters import ClusterNetwork
from simulator.network.laws import ConstantReduce, NoReduce
from simulator.network.links import Link
from simulator.optimum import best_batch
from simulator.overlap import MaxOverlap, PowerOverlap, SumOverlap
from simulator.quantities import YEAR_S
from simulator.studies.discrete.catalogue import Catalogue, Job, NodeKind, Option, RememberedPrices, Request
from simulator.studies.discrete.search import Found, search
from simulator.time_to_converge import TimeToConverge
from tests.strategies import decades

CLOSE = 1e-7
"""M found by other steps: T_C is flat there, so both agree far better than the searches' steps in M."""


@dataclass(frozen=True)
class Node:
    name: str
    nics: int = 2
    nic_bandwidth_bytes_per_s: float = 25e9
    power_w: float = 1000.0


@dataclass(frozen=True)
class Switch:
    name: str
    radix: int
    power_w: float = 100.0
    power_max_w: float | None = None


@dataclass(frozen=True)
class Network:
    name: str
    bandwidth_bytes_per_s: float


def price(item: str, scope: str, usd: float) -> Price:
    return Price(item=item, scope=scope, kind="list", currency="USD", price=usd, date="2025", source="made up", verified=True)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Catalogue, Request]:
    jobs_n = draw(st.integers(1, 2))
    overlap: Any = draw(st.sampled_from([SumOverlap(), PowerOverlap(exponent=2.0), MaxOverlap()]))
    laws = [InverseLaw(n_inf_updates=draw(decades(10, 3000)), alpha_samples=draw(decades(1e4, 1e7))) for _ in range(jobs_n)]
    sizes = [draw(st.sampled_from([1, 2, 8])) for _ in range(jobs_n)]
    bytes_ = [draw(decades(1e6, 1e10)) for _ in range(jobs_n)]
    runs = [draw(st.sampled_from([0.0, 100.0])) for _ in range(jobs_n)]
    book = [price("fibre", "cable", draw(decades(10, 1000)))]
    options = []
    for k in range(draw(st.integers(1, 2))):
        jobs = tuple(
            Job(
                name=f"job {j}",
                model=TimeToConverge(
                    convergence=laws[j],
                    compute=KneeCompute(gamma_s_per_sample=draw(decades(1e-5, 1e-2)), knee_samples=draw(decades(1, 50))),
                    reduce=NoReduce(),
                    overlap=overlap,
                    max_local_samples=draw(st.sampled_from([inf, 64.0])),
                ),
                limits=Limits(data_set_samples=draw(st.sampled_from([None, 3000.0]))),
                accelerators_per_learner=sizes[j],
                weight=draw(st.sampled_from([1.0, 3.0])),
                runs_per_year=runs[j],
            )
            for j in range(jobs_n)
        )
        kind = NodeKind(name=f"node {k}", accelerators=4, jobs=jobs)
        if draw(st.integers(0, 5)):
            book.append(price(kind.name, "node", draw(decades(1e4, 1e6))))
        for i in range(draw(st.integers(1, 2))):
            network = Network(f"net {i}", draw(st.sampled_from([10e9, 50e9])))
            switch = Switch(f"switch {i}", draw(st.sampled_from([8, 16])))
            for oversubscription in (1.0, 3.0):
                topology: Any = draw(st.sampled_from(["fat_tree", "rails", "leaf_spine"]))
                link = Link(bandwidth_bytes_per_s=network.bandwidth_bytes_per_s, latency_s=1e-6)
                fabric = ClusterNetwork(
                    kind=topology, nodes=1, accelerators_per_node=4, nics_per_node=2, host_link=link, upper_link=link,
                    inner_link=Link(bandwidth_bytes_per_s=100e9, latency_s=1e-6), radix=switch.radix,
                    oversubscription=oversubscription,
                )  # fmt: skip
                options.append(
                    Option(
                        kind=kind, network=network.name, switch=switch.name, topology=topology,
                        oversubscription=oversubscription,
                        plan=ClusterPlan(node=Node(kind.name), topology=topology, network=network, switch=switch),
                        deltas=tuple(
                            FabricDelta(network=fabric, gradient_bytes=size, accelerators_per_learner=each)
                            for size, each in zip(bytes_, sizes, strict=True)
                        ),
                    )
                )  # fmt: skip
    for i in range(2):
        book += [price(f"switch {i}", "switch", draw(decades(1e3, 1e5))), price(f"net {i}", "cable", 100.0)]
        book += [price(f"net {i}-optic", "cable", 300.0), price(f"net {i}", "nic", 500.0)]
    low = draw(st.integers(1, 3))
    request = Request(
        objective=draw(st.sampled_from(["mean_time", "weighted_time", "worst_time", "cost"])),
        nodes_min=low,
        nodes_max=low + draw(st.integers(0, 6)),
        terms=CostTerms(utilisation=draw(st.sampled_from([1.0, 0.1]))),
        budget_usd=draw(st.one_of(st.just(inf), decades(1e5, 1e7))),
        deadline_s=draw(st.one_of(st.just(inf), decades(1, 1e5))),
        power_max_w=draw(st.sampled_from([inf, 5000.0])),
    )
    return Catalogue(options=tuple(options), prices=RememberedPrices(book=book), left_out={}), request


def candidates(job: Job, nodes: int) -> list[int]:
    """Numbers of learners that a job may use: all, those of one node, of 2, 4, 8, ... nodes."""
    each = job.accelerators_per_learner
    parts = [4 * 2**i // each for i in range(1, 10) if 2**i < nodes]
    return sorted({*range(1, 4 // each + 1), *parts, 4 * nodes // each} - {0})


def time_of(option: Option, j: int, nodes: int) -> float:
    job, law = option.kind.jobs[j], option.deltas[j]
    assert isinstance(law, FabricDelta)
    best = inf
    for P in candidates(job, nodes):
        delta_s = float(closed_delta(law, nodes, P).time_s)
        if np.isnan(delta_s):
            continue
        try:
            model = replace(job.model, reduce=ConstantReduce(delta_s=delta_s))
            best = min(best, best_batch(model, job.limits, P).converge_time_s)
        except InfeasibleError:
            continue
    return best


def enumerated(catalogue: Catalogue, request: Request) -> list[tuple[float, float, str]]:
    """Return (score, dollars, name) of every design that meets the request."""
    found = []
    for option in catalogue.options:
        for nodes in range(request.nodes_min, request.nodes_max + 1):
            bill = bill_of(option.plan, nodes, catalogue.prices, oversubscription=option.oversubscription)
            usd, watts = float(bill.purchase.usd), float(bill.power_w)
            times = np.array([time_of(option, j, nodes) for j in range(len(option.kind.jobs))])
            if not np.all(np.isfinite(times)):
                continue
            busy = sum(job.runs_per_year * T for job, T in zip(option.kind.jobs, times, strict=True))
            if (
                np.isfinite(usd) and np.all(np.isfinite(times)) and usd <= request.budget_usd and watts <= request.power_max_w
                and times.max() <= request.deadline_s and busy <= YEAR_S * request.terms.utilisation
            ):  # fmt: skip
                weights = np.array([job.weight for job in option.kind.jobs])
                score = {
                    "mean_time": times.mean(), "worst_time": times.max(), "cost": usd,
                    "weighted_time": float(weights @ times / weights.sum()),
                }[request.objective]  # fmt: skip
                found.append((float(score), usd, f"{nodes} x {option}"))
    return sorted(found)


@given(problem=problems())
@settings(max_examples=60, deadline=None)
def test_the_search_finds_the_best_design_of_all(problem: tuple[Catalogue, Request]) -> None:
    catalogue, request = problem
    found: Found = search(catalogue, request)
    expected = enumerated(catalogue, request)
    assert found.compared == len(catalogue.options) * (request.nodes_max - request.nodes_min + 1)
    assert bool(found.best) == bool(expected)
    if not expected:
        return
    best = found.best[0]
    assert best.score == pytest.approx(expected[0][0], rel=CLOSE)
    equal = [usd for score, usd, _ in expected if score <= expected[0][0] * (1 + 1e-13)]
    assert best.cost_usd <= min(equal) * (1 + 1e-9) or best.score < expected[0][0] * (1 - 1e-13)
    assert [one.score for one in found.best] == sorted(one.score for one in found.best)


@given(problem=problems())
@settings(max_examples=30, deadline=None)
def test_no_design_is_cheaper_and_faster_than_one_of_the_frontier(problem: tuple[Catalogue, Request]) -> None:
    catalogue, request = problem
    free = replace(request, objective="worst_time", budget_usd=inf, deadline_s=inf)
    found = search(catalogue, free)
    designs = enumerated(catalogue, free)
    for point in found.frontier:
        assert not any(usd < point.cost_usd * (1 - 1e-9) and score < point.time_s * (1 - CLOSE) for score, usd, _ in designs)
    assert [one.cost_usd for one in found.frontier] == sorted(one.cost_usd for one in found.frontier)
    if designs:
        assert found.frontier[-1].time_s == pytest.approx(min(score for score, _, _ in designs), rel=CLOSE)
        assert found.frontier[0].cost_usd == pytest.approx(min(usd for _, usd, _ in designs), rel=1e-9)


def test_an_empty_catalogue_is_refused_with_its_reasons() -> None:
    request: Any = Request(objective="mean_time", nodes_min=1, nodes_max=4, terms=CostTerms())
    empty = Catalogue(options=(), prices=RememberedPrices(book=[]), left_out={"no switch of the catalogue fits x": 4})
    with pytest.raises(InfeasibleError, match=r"the catalogue is empty: no switch of the catalogue fits x \(4\)"):
        search(empty, request)
