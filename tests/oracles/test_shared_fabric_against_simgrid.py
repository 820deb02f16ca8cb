"""Stragglers and competing jobs through SimPy's clock, against SimGrid (`simulator/validation/data/NETWORK_CASES.md`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simpy

from simulator.engine.draws import Rows
from simulator.engine.fabric import SharedFabric
from simulator.engine.job import TrainingJob
from simulator.engine.ledger import Ledger
from simulator.engine.run import prepare, run_until_over, start
from simulator.network.fabric import Fabric, Job
from simulator.network.flows import Protocol
from simulator.network.laws import NoReduce
from simulator.validation.network import NETWORK_CASES, NetworkCase, read_network_cases
from tests.simulated import Listed, laws

CASES = read_network_cases(NETWORK_CASES, name="network_cases.csv", keep=lambda row: row["group"] in ("d", "e"))


def ends_s(case: NetworkCase, protocol: Protocol) -> list[float]:
    """Ends of the case's jobs as training jobs: each round is an update, computing as listed, its traffic on one fabric."""
    env = simpy.Environment()
    shared = SharedFabric(env, Fabric(case.topology, protocol=protocol))
    runs = []
    for number, one in enumerate(case.jobs):
        rounds, workers = one.schedule.rounds, one.schedule.workers
        computing = np.zeros((rounds, workers)) if one.schedule.compute_s is None else one.schedule.compute_s
        alone = replace(one.schedule, rounds=1, compute_s=None, barrier=False)
        job = TrainingJob(
            name=f"job {number}",
            model=laws(rounds, reduce=NoReduce()),
            batch_samples=workers,
            learners=workers,
            mode="every_learner",
            traffic=(Job(schedule=alone, hosts=one.hosts),),
            barrier=one.schedule.barrier,
            start_s=float(np.asarray(one.start_s)),
        )
        ledger = Ledger(job.name, rounds, job.start_s, None)
        listed, rng = Rows(Listed(computing)), np.random.default_rng(0)
        run = prepare(env, job, ledger, listed, Rows(Listed(computing)), fabric=shared, serving=rng)
        start(run, rng)
        runs.append(run)
    run_until_over(env, runs)
    return [run.end_s or np.nan for run in runs]


def test_there_are_stragglers_and_competing_jobs() -> None:
    assert [sum(case.row["group"] == group for case in CASES) for group in "de"] == [16, 18]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.row["case_id"]))
def test_jobs_end_when_those_of_simgrid_do(case: NetworkCase) -> None:
    for column, protocol in case.protocols:
        found = ends_s(case, protocol)
        assert max(found) == pytest.approx(case.row[column], rel=case.row["tol_rel"])
        listed = case.results["job_end_eager_s" if protocol == "eager" else "job_end_rdv_s"]
        assert found == pytest.approx(listed, rel=case.row["tol_rel"])
