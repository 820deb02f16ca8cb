"""A job as it is simulated: what is refused, what is warned of, how samples are split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.compute import CrossValidation, KneeCompute, TabulatedCompute
from simulator.engine.job import Failures, Hiccups, Noise
from simulator.engine.split import compute_times_s, pass_times_s
from simulator.errors import CheckpointWarning
from simulator.network.collectives import ring
from simulator.network.fabric import Job
from simulator.network.laws import LinearReduce
from simulator.overlap import BucketOverlap, MaxOverlap
from tests.simulated import laws, small_job


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "normal"}, "kind must be one of none, lognormal, gamma, exponential, got 'normal'"),
        ({"kind": "lognormal"}, "relative_sd must be given for kind = 'lognormal'"),
        ({"kind": "gamma"}, "relative_sd must be given for kind = 'gamma'"),
        ({"kind": "gamma", "relative_sd": -0.1}, "relative_sd must be finite and >= 0, got -0.1"),
        ({"kind": "exponential", "relative_sd": 1.5}, "relative_sd must be <= 1 for kind = 'exponential', got 1.5"),
        ({"slow_learners": {-1: 2.0}}, "slow_learners must be a whole number >= 0, got -1"),
        ({"slow_learners": {3: 0.0}}, r"slow_learners\[3\] must be finite and > 0, got 0"),
    ],
)
def test_noise_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Noise(**given)


@pytest.mark.parametrize("name", ["per_learner_hour", "duration_s", "tail"])
def test_hiccups_that_cannot_be_are_refused(name: str) -> None:
    given = {"per_learner_hour": 1.0, "duration_s": 1.0, "tail": 1.0, name: -1.0}
    with pytest.raises(ValueError, match=f"^{name} must be finite and >=? 0, got -1$"):
        Hiccups(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"node_mtbf_s": 0.0}, "node_mtbf_s must be finite and > 0, got 0"),
        ({"nodes": 0}, "nodes must be a whole number >= 1, got 0"),
        ({"checkpoint_every_s": 0.0}, "checkpoint_every_s must be finite and > 0, got 0"),
        ({"checkpoint_every_updates": 1.5}, "checkpoint_every_updates must be a whole number >= 1, got 1.5"),
        (
            {"checkpoint_every_updates": 5, "checkpoint_every_s": 5.0},
            "checkpoint_every_updates must not be given beside checkpoint_every_s",
        ),
        ({"checkpoint_s": -1.0}, "checkpoint_s must be finite and >= 0, got -1"),
        ({"restart_s": -1.0}, "restart_s must be finite and >= 0, got -1"),
        ({"spare_nodes": -1}, "spare_nodes must be a whole number >= 0, got -1"),
        ({"repair_s": -1.0}, "repair_s must be finite and >= 0, got -1"),
    ],
)
def test_failures_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Failures(**{"node_mtbf_s": 1e6, "nodes": 1, **given})


def test_checkpoints_rarer_than_failures_are_warned_of_with_a_better_interval() -> None:
    """Daly: sqrt(2 * 10 s * 1000 s) * (1 + sqrt(1/200)/3 + 1/1800) - 10 s = 135 s."""
    with pytest.warns(
        CheckpointWarning,
        match=r"^small: a checkpoint every 2000 s is not more often than the 1000 s between failures of the job "
        r"\(node_mtbf_s / nodes\); Daly's interval is 135 s, the best 135 s$",
    ):
        small_job(failures=Failures(node_mtbf_s=8000.0, nodes=8, checkpoint_every_s=2000.0, checkpoint_s=10.0))
    # 100 updates of 1.25 s
    failures = Failures(node_mtbf_s=100.0, nodes=1, checkpoint_every_updates=100)
    with pytest.warns(CheckpointWarning, match=r"^small: a checkpoint every 125 s is not more often than the 100 s between"):
        small_job(failures=failures)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_samples": 3}, "batch_samples must be >= learners = 4, a sample for each, got 3"),
        ({"batch_samples": 9.5}, "batch_samples must be a whole number where whole_samples, got 9.5"),
        ({"learners": 0, "batch_samples": 4}, "learners must be a whole number >= 1, got 0"),
        ({"mode": "all"}, "mode must be one of cohorts, every_learner, got 'all'"),
        ({"run_to_run_relative": -1.0}, "run_to_run_relative must be finite and >= 0, got -1"),
        ({"start_s": -1.0}, "start_s must be finite and >= 0, got -1"),
        ({"noise": Noise(slow_learners={4: 2.0})}, "slow_learners must be learners from 0 to 3, got 4"),
        (
            {"noise": Noise(hiccups=Hiccups(per_learner_hour=1e6, duration_s=1.0, tail=2.0))},
            "hiccups must be at most 100 for a learner in an update or pass, got 277.8; what comes so often is noise",
        ),
        ({"learners_per_unit": 2}, "learners_per_unit needs mode = 'every_learner', got 'cohorts'"),
        ({"server": "fixed"}, "server needs mode = 'every_learner', got 'cohorts'"),
        ({"server": "fast", "mode": "every_learner"}, "server must be one of fixed, exponential, got 'fast'"),
        (
            {"server": "fixed", "mode": "every_learner"},
            r"server needs reduce = LinearReduce, delta_s for each learner, got ConstantReduce\(delta_s=0.25\)",
        ),
        (
            {
                "server": "fixed", "mode": "every_learner",
                "model": laws(5, reduce=LinearReduce(delta_s=1.0), overlap=MaxOverlap()),
            },
            r"server needs overlap = SumOverlap, got MaxOverlap\(\)",
        ),
        (
            {
                "server": "fixed", "mode": "every_learner", "model": laws(5, reduce=LinearReduce(delta_s=1.0)),
                "traffic": (Job(schedule=ring(4, 1.0)),),
            },
            "server must not be given beside traffic",
        ),
        ({"traffic": (Job(schedule=ring(5, 1.0)),)}, "traffic must be that of 4 learners, got 5 workers"),
        ({"barrier": False}, "barrier = false needs mode = 'every_learner' and a compute unit for each learner"),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        small_job(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bucket_shares": (0.5, 0.5)}, "bucket_shares must be buckets = 3 numbers, got 2"),
        ({"bucket_shares": (0.5, 0.6, -0.1)}, "bucket_shares must be finite and > 0, got -0.1"),
        ({"bucket_shares": (0.5, 0.4, 0.2)}, "bucket_shares must add up to 1, got 1.1"),
    ],
)
def test_buckets_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        BucketOverlap(buckets=3, **given)


def test_samples_are_split_as_evenly_as_whole_ones_can_be() -> None:
    """10 samples on 4 learners: 3, 3, 2, 2; a pass of 5 samples at half the cost: 2, 1, 1, 1."""
    model = laws(
        10, gamma_s=0.5, rounding="whole", cross_validation=CrossValidation(every_updates=5, samples=5, cost_ratio=0.5)
    )
    assert compute_times_s(model, 10, 4).tolist() == [1.5, 1.5, 1.0, 1.0]
    assert pass_times_s(model, 4).tolist() == [0.5, 0.25, 0.25, 0.25]
    assert pass_times_s(model, 7).tolist() == [0.25] * 5 + [0.0] * 2
    exact = laws(10, gamma_s=0.5, rounding="exact")
    assert compute_times_s(exact, 10, 4).tolist() == [1.25] * 4
    assert pass_times_s(exact, 4).tolist() == [0.0] * 4


def test_a_learner_with_one_sample_less_has_fewer_micro_batches_where_it_must() -> None:
    """7 samples on 2 learners in 4 micro-batches: 1 + 1 + 1 + 1, and 1 + 1 + 1; each takes a second."""
    model = laws(10, rounding="whole", accumulation=4)
    assert compute_times_s(model, 7, 2).tolist() == [4.0, 3.0]


def test_a_learner_below_a_measured_table_takes_its_smallest_time() -> None:
    """7 samples on 2 learners: 4 and 3, measured from 4 on; with memory for 5 at once, 11 on 2 are 3 + 3 and 5."""
    table = TabulatedCompute(local_samples=(4.0, 8.0), compute_time_at_s=(1.0, 2.0))
    model = laws(10, rounding="whole")
    measured = type(model)(convergence=model.convergence, compute=table, reduce=model.reduce, rounding="whole")
    assert compute_times_s(measured, 7, 2).tolist() == [1.0, 1.0]
    knee = KneeCompute(gamma_s_per_sample=1.0, knee_samples=2)
    auto = type(model)(
        convergence=model.convergence, compute=knee, reduce=model.reduce, rounding="whole", max_local_samples=5,
        accumulation="auto",
    )  # fmt: skip
    assert compute_times_s(auto, 11, 2).tolist() == [6.0, 5.0]


def test_the_number_of_updates_is_whole_and_that_of_the_law() -> None:
    job = small_job(17)
    assert job.updates(np.random.default_rng(1)) == 17
    assert isinstance(job.updates(np.random.default_rng(1)), int)
