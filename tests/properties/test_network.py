"""Laws of the flow level on random graphs, flows and schedules, against a textbook solver that is written here."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.network.collectives import COLLECTIVES
from simulator.network.fabric import Fabric, Job, collective_time, run_jobs
from simulator.network.flows import FlowLevel, Protocol
from simulator.network.graphs import from_routes
from simulator.network.kernel_state import EARLY, LEAVING, NOW, WINDOW
from simulator.network.programs import program
from simulator.network.schedules import one_sided
from simulator.network.sharing import max_min_rates, plain_times
from simulator.network.topologies import Topology, xgft


@dataclass(frozen=True)
class Flows:
    """Flows on links, each with its own pair of hosts."""

    capacities: tuple[int, ...]
    latencies: tuple[int, ...]
    ways: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    starts: tuple[int, ...]

    def topology(self) -> Topology:
        n = len(self.ways)
        links = {f"l{i}": (c * 1e8, t * 1e-6) for i, (c, t) in enumerate(zip(self.capacities, self.latencies, strict=True))}
        return from_routes(2 * n, links, {(i, n + i): [f"l{link}" for link in way] for i, way in enumerate(self.ways)})


@st.composite
def flow_sets(draw: st.DrawFn) -> Flows:
    links = draw(st.integers(1, 8))
    flows = draw(st.integers(1, 14))
    ways = [tuple(draw(st.lists(st.integers(0, links - 1), min_size=1, max_size=4, unique=True))) for _ in range(flows)]
    whole = st.integers(1, 12)
    return Flows(
        capacities=tuple(draw(st.lists(whole, min_size=links, max_size=links))),
        latencies=tuple(draw(st.lists(st.integers(0, 9), min_size=links, max_size=links))),
        ways=tuple(ways),
        sizes=tuple(draw(st.lists(whole, min_size=flows, max_size=flows))),
        starts=tuple(draw(st.lists(st.integers(0, 5), min_size=flows, max_size=flows))),
    )


def textbook_rates(capacities: list[Fraction], ways: list[tuple[int, ...]]) -> list[Fraction]:
    """Progressive filling as in Bertsekas and Gallager, Data Networks, section 6.5.2, in fractions: no rounding."""
    rates = [Fraction(0)] * len(ways)
    rising = set(range(len(ways)))
    while rising:
        used = {link: [f for f in rising if link in ways[f]] for link in range(len(capacities))}
        spare = {
            link: capacities[link] - sum((rates[f] for f in range(len(ways)) if link in ways[f]), Fraction(0)) for link in used
        }
        step = min(spare[link] / len(flows) for link, flows in used.items() if flows)
        for f in rising:
            rates[f] += step
        full = {link for link, flows in used.items() if flows and spare[link] == step * len(flows)}
        rising -= {f for f in rising if full & set(ways[f])}
    return rates


def textbook_ends(flows: Flows) -> list[float]:
    """Ends of the flows, exactly: fractions all the way."""
    capacities = [Fraction(c) * 10**8 for c in flows.capacities]
    starts = [
        Fraction(s, 10) + sum((Fraction(flows.latencies[link], 10**6) for link in way), Fraction(0))
        for s, way in zip(flows.starts, flows.ways, strict=True)
    ]
    left = [Fraction(size) * 10**7 for size in flows.sizes]
    ends: list[Fraction | None] = [None] * len(left)
    now = Fraction(0)
    while None in ends:
        active = [i for i in range(len(left)) if ends[i] is None and starts[i] <= now]
        rates = dict(zip(active, textbook_rates(capacities, [flows.ways[i] for i in active]), strict=True))
        nexts = [starts[i] for i in range(len(left)) if starts[i] > now] + [now + left[i] / rates[i] for i in active]
        then = min(nexts)
        for i in active:
            left[i] -= rates[i] * (then - now)
            if left[i] == 0:
                ends[i] = then
        now = then
    return [float(end) for end in ends if end is not None]


@given(flow_sets())
@settings(max_examples=150)
def test_rates_are_those_of_progressive_filling_in_fractions(flows: Flows) -> None:
    hops = np.array([link for way in flows.ways for link in way])
    first = np.concatenate([[0], np.cumsum([len(way) for way in flows.ways])])
    found = max_min_rates(np.array(flows.capacities, dtype=np.float64), first, hops)
    expected = textbook_rates([Fraction(c) for c in flows.capacities], list(flows.ways))
    assert found == pytest.approx([float(rate) for rate in expected], rel=1e-12)


@given(flow_sets())
@settings(max_examples=150)
def test_flows_end_as_the_textbook_says(flows: Flows) -> None:
    n = len(flows.ways)
    starts = np.array(flows.starts * 2) / 10
    schedule = one_sided(np.array(flows.sizes) * 1e7)
    found = collective_time(flows.topology(), schedule, start_s=starts).rank_end_s[n:]
    assert found == pytest.approx(textbook_ends(flows), rel=1e-10)


@given(flow_sets())
@settings(max_examples=100)
def test_at_every_event_rates_are_max_min_fair_within_capacity_and_bytes_are_conserved(flows: Flows) -> None:
    topology = flows.topology()
    n = len(flows.ways)
    level = FlowLevel(topology, "eager")
    level.add(program(topology, one_sided(np.array(flows.sizes) * 1e7)), np.array(flows.starts * 2) / 10)
    moved = np.zeros(n)
    before, rates = 0.0, np.zeros(n)
    for _ in range(20 * n):
        a = level._arrays
        early = a["early"]["time"][: a["number"][EARLY]]
        leaving = a["slots"]["ends"][a["leaving"][: a["number"][LEAVING]]]
        upcoming = [*early.tolist(), *leaving.tolist()]
        if not upcoming:
            break
        level.run(min(upcoming))
        a = level._arrays
        now = a["clock"][NOW]
        assert a["clock"][WINDOW] >= now
        moved += rates * (now - before)
        slots = a["leaving"][: a["number"][LEAVING]]
        message = a["slots"]["message"][slots]
        rates = np.zeros(n)
        rates[message] = a["slots"]["rate"][slots]
        before = now
        ways = [flows.ways[m] for m in message.tolist()]
        load = np.zeros(topology.links)
        for m in message.tolist():
            load[list(flows.ways[m])] += rates[m]
        assert np.all(load <= topology.bandwidth_bytes_per_s * (1 + 1e-12))
        for m, way in zip(message.tolist(), ways, strict=True):  # each has a full link on which none is faster
            assert any(
                load[link] >= topology.bandwidth_bytes_per_s[link] * (1 - 1e-12)
                and rates[m] >= max(rates[other] for other in message.tolist() if link in flows.ways[other]) * (1 - 1e-12)
                for link in way
            )
    assert moved == pytest.approx(np.array(flows.sizes) * 1e7, rel=1e-9)


@st.composite
def jobs_on_a_tree(draw: st.DrawFn) -> tuple[Topology, list[Job], Protocol]:
    levels = draw(
        st.sampled_from([((4, 4), (1, 2)), ((4, 4), (1, 1)), ((2, 2, 4), (1, 2, 1)), ((3, 5), (1, 2)), ((16,), (1,))])
    )
    topology = xgft(
        *levels,
        host_bandwidth_bytes_per_s=1e9,
        upper_bandwidth_bytes_per_s=draw(st.sampled_from([1e9, 2e9, 0.7e9])),
        host_latency_s=draw(st.sampled_from([0.0, 1e-6])),
        upper_latency_s=draw(st.sampled_from([0.0, 3e-6])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    jobs = []
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(COLLECTIVES)))
        ranks = draw(st.sampled_from([2, 4, 8])) if COLLECTIVES[name].power_of_two else draw(st.integers(2, 12))
        rounds = draw(st.integers(1, 2))
        # Sizes and computing times are drawn from a continuum: exact ties, where rounding decides, have no one answer.
        schedule = COLLECTIVES[name].schedule(ranks, float(rng.uniform(1e5, 1e8)))
        compute_s = rng.uniform(0, 0.1, rounds * schedule.workers) if draw(st.booleans()) else None
        schedule = schedule.iterated(rounds=rounds, compute_s=compute_s, barrier=draw(st.booleans()))
        hosts = rng.permutation(topology.hosts)[: schedule.ranks]
        jobs.append(Job(schedule=schedule, hosts=hosts, start_s=float(rng.uniform(0, 0.05))))
    return topology, jobs, draw(st.sampled_from(["eager", "rendezvous"]))


@given(jobs_on_a_tree())
@settings(max_examples=60)
def test_jobs_end_as_in_the_plain_event_loop(drawn: tuple[Topology, list[Job], Protocol]) -> None:
    topology, jobs, protocol = drawn
    plain = plain_times(
        topology,
        [(job.schedule, np.asarray(job.hosts).tolist(), float(np.asarray(job.start_s))) for job in jobs],
        protocol=protocol,
    )
    for result, ends, job in zip(run_jobs(topology, jobs, protocol=protocol), plain, jobs, strict=True):
        workers = job.schedule.workers
        assert result.rank_end_s[:workers].max() == pytest.approx(ends[:workers].max(), rel=1e-9)
        assert result.rank_end_s == pytest.approx(ends, rel=1e-9)
        assert result.link_bytes.sum() == pytest.approx(
            sum(
                float(one.bytes[m]) * int(times) * len(topology.route(np.asarray(job.hosts)[a], np.asarray(job.hosts)[b]))
                for one, times in zip(job.schedule.steps, job.schedule.times_used, strict=True)
                for m, (a, b) in enumerate(zip(one.source.tolist(), one.destination.tolist(), strict=True))
            )
        )
        assert np.all(result.full_share <= 1.0)
        if len(jobs) == 1:
            assert np.all(result.utilisation <= 1.0 + 1e-9)


@given(jobs_on_a_tree(), st.lists(st.floats(0.0, 0.5), max_size=5))
@settings(max_examples=40)
def test_looking_and_waiting_changes_nothing(drawn: tuple[Topology, list[Job], Protocol], looks: list[float]) -> None:
    topology, jobs, protocol = drawn
    at_once = [result.end_s for result in run_jobs(topology, jobs, protocol=protocol)]
    fabric = Fabric(topology, protocol=protocol)
    ends: dict[int, float] = {}
    for job in sorted(jobs, key=lambda job: float(np.asarray(job.start_s))):
        for look in sorted(look for look in looks if fabric.now_s <= look <= float(np.asarray(job.start_s))):
            ends |= {ended.handle: ended.result.end_s for ended in fabric.advance(look)}
            fabric.next_event_s()
        ends |= {ended.handle: ended.result.end_s for ended in fabric.advance(float(np.asarray(job.start_s)))}
        fabric.post(job.schedule, hosts=job.hosts, start_s=job.start_s)
    ends |= {ended.handle: ended.result.end_s for ended in fabric.run()}
    assert sorted(ends.values()) == pytest.approx(sorted(at_once), rel=1e-9)
