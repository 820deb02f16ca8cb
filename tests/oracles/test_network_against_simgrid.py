"""The network against 320 times of SimGrid 3.32 (`simulator/validation/data/NETWORK_CASES.md`)."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.network.alone import by_flows
from simulator.network.fabric import movement
from simulator.network.programs import program
from simulator.network.sharing import plain_times
from simulator.validation.network import NETWORK_CASES, NetworkCase, compared, read_network_cases, run_case

CASES = read_network_cases(NETWORK_CASES, name="network_cases.csv")
SMALL = [case for case in CASES if not case.messages_only and case.row["messages"] <= 300]
LONE = [case for case in CASES if len(case.jobs) == 1 and not case.messages_only and case.row["messages"] <= 9000]


def named(case: NetworkCase) -> str:
    return str(case.row["case_id"])


def test_all_cases_are_shipped() -> None:
    assert len(CASES) == 320
    assert {case.row["group"] for case in CASES} == set("abcdes")


@pytest.mark.parametrize("case", CASES, ids=named)
def test_times_and_all_ends_are_those_of_simgrid(case: NetworkCase) -> None:
    for _, protocol in case.protocols:
        for what, ours, theirs, tolerance in compared(case, protocol, run_case(case, protocol)):
            assert ours == pytest.approx(theirs, rel=tolerance), f"{protocol}, {what}"


@pytest.mark.parametrize("case", LONE, ids=named)
def test_the_event_loop_alone_finds_the_same(case: NetworkCase) -> None:
    """Short cuts are short cuts: the event loop needs none of them to agree."""
    job = case.jobs[0]
    for column, protocol in case.protocols:
        outcome = by_flows(program(case.topology, job.schedule, hosts=job.hosts), float(np.asarray(job.start_s)), protocol)
        end = outcome.times.rank_end_s[: job.schedule.workers].max()
        assert end == pytest.approx(case.row[column], rel=case.row["tol_rel"])


@pytest.mark.parametrize("case", SMALL, ids=named)
def test_the_plain_event_loop_finds_the_same(case: NetworkCase) -> None:
    jobs = [(job.schedule, np.asarray(job.hosts).tolist(), float(np.asarray(job.start_s))) for job in case.jobs]
    for column, protocol in case.protocols:
        ends = plain_times(case.topology, jobs, protocol=protocol)
        last = max(end[: job.schedule.workers].max() for end, job in zip(ends, case.jobs, strict=True))
        assert last == pytest.approx(case.row[column], rel=case.row["tol_rel"])


def test_cases_with_wide_tolerances_hang_on_ties() -> None:
    wide = [case for case in CASES if case.row["tol_rel"] > 1e-6]
    assert len(wide) == 3
    for case in wide:
        assert max(movement(case.topology, case.jobs, protocol=protocol) for _, protocol in case.protocols) > 1e-6
