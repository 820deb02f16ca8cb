"""From a file to the jobs that are simulated: what each gets, what is refused, what is warned about."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.checkpointing import Checkpointing
from simulator.errors import CheckpointWarning, NoEffectWarning, NoUncertaintyWarning, ScenarioError
from simulator.network.cluster_network import FabricDelta
from simulator.scenarios import load_scenario
from simulator.scenarios.simulations import SimulatedScenario, simulated_scenario
from tests.support import SCENARIO, changed, written

TREE = ('[reduce]\nkind = "constant"\ndelta_s = "4 ms"\n', """
[reduce]
kind = "fabric"
[network]
topology = "xgft"
down = [8, 2]
up = [1, 2]
host_link = { bandwidth_bytes_per_s = "25 GB/s" }
collective = "ring"
""")  # fmt: skip
JOBS = """
[[job]]
name = "first"
workload = "demo"
learners = 6
[[job]]
name = "second"
workload = "demo"
learners = 4
batch_samples = 512
arrival_s = "30 s"
"""
FAILURES = """
[simulate.failures]
kind = "exponential"
node_mtbf_s = "2 day"
checkpoint_s = 30
restart_s = 60
"""


def simulated(folder: Path, extra: str = "", *replacements: tuple[str, str], workload: str | None = None) -> SimulatedScenario:
    scenario = load_scenario(str(written(folder, changed(SCENARIO, *replacements) + extra)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoUncertaintyWarning)
        return simulated_scenario(scenario, workload=workload)


def faults(folder: Path, extra: str, *replacements: tuple[str, str], **given: Any) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        simulated(folder, extra, *replacements, **given)
    prefix = f"{folder / 'scenario.toml'}: "
    assert all(line.startswith(prefix) for line in str(caught.value).splitlines())
    return [line.removeprefix(prefix) for line in str(caught.value).splitlines()]


def test_a_scenario_without_the_section_is_its_closed_form(tmp_path: Path) -> None:
    found = simulated(tmp_path)
    (one,) = found.jobs
    assert not found.simulation.is_random
    assert (one.job.learners, one.job.batch_samples, one.nodes) == (16, 256.0, 2)
    assert (one.job.noise, one.job.failures, one.job.traffic, one.checkpoints) == (None, None, (), None)
    assert float(one.job.closed_form.converge_time_s(256, 16)) == pytest.approx(100.0)  # 5000*(0.016 + 0.004)
    assert found.simulation.plan.most == 1


def test_every_key_of_the_sections_reaches_the_job(tmp_path: Path) -> None:
    extra = """
    [simulate]
    batch_samples = 512
    learners = 8
    mode = "every_learner"
    replications = { min = 3, max = 9, stop_relative_halfwidth = 0.1 }
    learners_per_unit = 2
    server = "exponential"
    [simulate.noise]
    kind = "exponential"
    relative_sd = 0.5
    slow_learners = [{ learner = 5, factor = 1.5 }]
    hiccups = { per_learner_hour = 2, duration_s = "3 s", tail = 2.5 }
    [simulate.failures]
    kind = "exponential"
    node_mtbf_s = "2 day"
    checkpoint_every_updates = 100
    checkpoint_s = 1
    restart_s = 2
    spare_nodes = 3
    repair_s = "1 hour"
    """
    found = simulated(tmp_path, extra, ('kind = "constant"', 'kind = "linear"'))
    plan, job = found.simulation.plan, found.jobs[0].job
    assert (plan.fewest, plan.most, plan.stop_relative_halfwidth) == (3, 9, 0.1)
    assert (job.batch_samples, job.learners, job.mode, job.server) == (512.0, 8, "every_learner", "exponential")
    assert (job.learners_per_unit, job.barrier) == (2, True)
    noise, failures = job.noise, job.failures
    assert noise is not None
    assert (noise.kind, noise.relative_sd, dict(noise.slow_learners)) == ("exponential", 0.5, {5: 1.5})
    assert noise.hiccups is not None
    assert (noise.hiccups.per_learner_hour, noise.hiccups.duration_s, noise.hiccups.tail) == (2.0, 3.0, 2.5)
    assert failures is not None
    assert (failures.node_mtbf_s, failures.nodes, failures.checkpoint_every_updates) == (172_800.0, 1, 100)
    assert (failures.checkpoint_s, failures.restart_s, failures.spare_nodes, failures.repair_s) == (1.0, 2.0, 3, 3600.0)


def test_the_number_of_updates_is_drawn_with_the_scatter_of_the_fit(tmp_path: Path) -> None:
    fit = "alpha_samples = 1_024_000.0\nfit = { batch_samples_range = [16, 4096], run_to_run_relative = 0.03 }"
    extra = '[simulate]\nupdates = "drawn"\n'
    found = simulated(tmp_path, extra, ("alpha_samples = 1_024_000.0", fit))
    assert found.jobs[0].job.run_to_run_relative == 0.03
    assert found.simulation.is_random
    (fault,) = faults(tmp_path, extra)
    assert fault == (
        "simulate.updates: 'drawn' needs to know how runs scatter: workload[0].convergence.fit.run_to_run_relative is missing "
        "or 0"
    )


def test_samples_are_whole_unless_run_says_otherwise(tmp_path: Path) -> None:
    assert simulated(tmp_path).jobs[0].job.whole_samples
    found = simulated(tmp_path, "[run]\nwhole_samples = false\n[simulate]\nbatch_samples = 250\n")
    assert not found.jobs[0].job.whole_samples
    assert found.jobs[0].job.closed_form.rounding == "exact"


def test_jobs_sit_side_by_side_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = simulated(tmp_path, JOBS, TREE)
    first, second = (one.job for one in found.jobs)
    assert [(job.name, job.learners, job.start_s) for job in (first, second)] == [("first", 6, 0.0), ("second", 4, 30.0)]
    assert second.batch_samples == 512.0
    hosts = [np.asarray(job.traffic[0].hosts).tolist() for job in (first, second)]
    assert hosts == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]
    assert [one.nodes for one in found.jobs] == [1, 2]
    assert found.simulation.contends
    # what Delta is alone is that of the hosts where the job sits: within one leaf, and across two
    deltas = [job.model.reduce for job in (first, second)]
    assert all(isinstance(delta, FabricDelta) for delta in deltas)
    assert [delta.placement.hosts for delta in deltas if isinstance(delta, FabricDelta)] == [tuple(row) for row in hosts]


def test_the_placement_of_the_network_deals_all_learners_out(tmp_path: Path) -> None:
    found = simulated(tmp_path, JOBS, TREE, ('collective = "ring"', 'collective = "ring"\nplacement = { kind = "by_node" }'))
    hosts = [np.asarray(one.job.traffic[0].hosts).tolist() for one in found.jobs]
    assert hosts == [[0, 8, 1, 9, 2, 10], [3, 11, 4, 12]]
    assert [one.nodes for one in found.jobs] == [2, 2]


def test_what_the_network_cannot_hold_is_a_fault_of_the_file(tmp_path: Path) -> None:
    ps = ('collective = "ring"', 'collective = "ps"\nservers = 5')
    (fault,) = faults(tmp_path, JOBS, TREE, ps)
    assert fault == "network: servers must be at most the 1 hosts that 4 learners leave free, got 5"


def test_the_best_batch_of_a_job_is_the_one_where_it_sits(tmp_path: Path) -> None:
    # six learners in one node, or dealt out over two: Delta differs, and with it the best mini-batch
    inside, across = (
        simulated(tmp_path, JOBS, TREE, ('collective = "ring"', f'collective = "ring"\nplacement = {{ kind = "{kind}" }}'))
        for kind in ("linear", "by_node")
    )
    for found in (inside, across):
        job = found.jobs[0].job
        times = [
            float(job.closed_form.converge_time_s(M, 6))
            for M in (job.batch_samples - 6, job.batch_samples, job.batch_samples + 6)
        ]
        assert min(times) == times[1]
    assert inside.jobs[0].answer.reduce_time_s < across.jobs[0].answer.reduce_time_s


def test_parameter_servers_of_several_jobs_have_hosts_of_their_own(tmp_path: Path) -> None:
    ps = ('collective = "ring"', 'collective = "ps"\nservers = 2')
    found = simulated(tmp_path, JOBS, TREE, ps)
    hosts = [np.asarray(one.job.traffic[0].hosts).tolist() for one in found.jobs]
    assert hosts == [[0, 1, 2, 3, 4, 5, 10, 11], [6, 7, 8, 9, 12, 13]]
    assert all(math.isfinite(one.answer.reduce_time_s) for one in found.jobs)


def test_slow_learners_are_counted_through_the_jobs(tmp_path: Path) -> None:
    noise = '[simulate.noise]\nkind = "none"\nslow_learners = [{ learner = 2, factor = 2 }, { learner = 7, factor = 3 }]\n'
    found = simulated(tmp_path, noise + JOBS)
    assert [dict(one.job.noise.slow_learners) for one in found.jobs if one.job.noise is not None] == [{2: 2.0}, {1: 3.0}]


def test_one_job_has_the_network_to_itself_unless_learners_start_when_they_are_ready(tmp_path: Path) -> None:
    assert simulated(tmp_path, "", TREE).jobs[0].job.traffic == ()
    ready = simulated(tmp_path, '[simulate]\nmode = "every_learner"\nbarrier = false\n', TREE).jobs[0].job
    assert ready.traffic[0].schedule.workers == 16


def test_what_the_job_cannot_play_out_is_a_fault_of_its_key(tmp_path: Path) -> None:
    """An update of 16 ms computing and 4e9 pauses an hour of it: 17,778 pauses a learner and update."""
    assert faults(tmp_path, '[simulate]\nmode = "every_learner"\nbarrier = false\n') == [
        "simulate.barrier: false needs a network ([network], or reduce.kind = 'fabric'): with a law of Delta(P) learners start "
        "together"
    ]
    often = '[simulate.noise]\nkind = "none"\nhiccups = { per_learner_hour = 4e9, duration_s = 1, tail = 3 }\n'
    assert faults(tmp_path, often) == [
        "simulate.noise.hiccups: must be at most 100 for a learner in an update or pass, got 1.778e+04; "
        "what comes so often is noise"
    ]


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (JOBS.replace("learners = 6", ""), "job[0].learners: is missing: say how many learners it has"),
        (JOBS.replace("learners = 6", "learners_min = 2\nlearners_max = 6"), "job[0].learners: is missing: say how many"),
        (
            JOBS.replace("learners = 6", "learners = 13"),
            "job: must have at most the 16 learners of the cluster together, got 17",
        ),
        ("[simulate]\nlearners = 4\n" + JOBS, "simulate.learners: must not be given beside [[job]], each of which has its own"),
        ("[simulate]\nbatch_samples = 64\n" + JOBS, "simulate.batch_samples: must not be given beside [[job]]"),
        (JOBS.replace("batch_samples = 512", "batch_samples = 3"), "job[1].batch_samples: must be >= the 4 learners"),
        (JOBS.replace("batch_samples = 512", "batch_samples = 99_999"), "job[1].batch_samples: must be <= data_set_samples"),
        (
            JOBS.replace("learners = 6", "learners = 6\nlearners_max = 8"),
            "job[0].learners: must not be given beside learners_min",
        ),
    ],
)
def test_jobs_that_cannot_be_are_refused(tmp_path: Path, extra: str, says: str) -> None:
    found = faults(tmp_path, extra)
    assert any(line.startswith(says) for line in found), found


def test_a_workload_is_chosen_by_flag_only_where_no_job_does(tmp_path: Path) -> None:
    assert faults(tmp_path, JOBS, workload="demo") == ["job: says which workloads run: give no --workload"]
    again = SCENARIO.split("[[workload]]")[1].split("[cluster]")[0].replace('"demo"', '"other"')
    two = f"[[workload]]{again}"
    assert faults(tmp_path, two) == ["workload: there are 2: say which, --workload NAME; known: demo, other"]
    assert simulated(tmp_path, two, workload="other").jobs[0].case.workload == "other"


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("spare_nodes = 2\ncheckpoint_every_s = 30\n", None),
        (
            "checkpoint_every_s = 90_000\n",
            "demo: a checkpoint every 9e+04 s is not more often than the 8.64e+04 s between failures",
        ),
        ("checkpoint_every_updates = 5_000_000\n", "demo: a checkpoint every 1e+05 s is not more often than the 8.64e+04 s"),
    ],
)
def test_checkpoints_rarer_than_failures_are_warned_about_once_with_better_intervals(
    tmp_path: Path, extra: str, says: str | None
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        simulated(tmp_path, FAILURES + extra)
    texts = [str(warning.message) for warning in caught if warning.category is CheckpointWarning]
    assert len(texts) == (says is not None)
    if says is not None:
        assert texts[0].startswith(says)
        assert "Daly's interval is 2.26e+03 s, the best 2.26e+03 s" in texts[0]  # sqrt(2*30*86400) = 2277


@pytest.mark.parametrize(("tail", "lacks"), [(0.9, "mean"), (1.5, "variance"), (2.5, None)])
def test_hiccups_with_a_tail_too_heavy_for_an_interval_are_warned_about(tmp_path: Path, tail: float, lacks: str | None) -> None:
    extra = f'[simulate.noise]\nkind = "none"\nhiccups = {{ per_learner_hour = 1, duration_s = 2, tail = {tail} }}\n'
    scenario = load_scenario(str(written(tmp_path, SCENARIO + "[simulate]\nreplications = 2\n" + extra)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        simulated_scenario(scenario)
    found = [str(warning.message) for warning in caught if warning.category is NoUncertaintyWarning]
    assert [text.split(":")[0] for text in found] == (
        [f"hiccups with tail = {tail:g} have no finite {lacks}"] if lacks is not None else []
    )


def test_checkpoints_that_take_longer_than_failures_are_apart_are_warned_about(tmp_path: Path) -> None:
    failures = FAILURES.replace('"2 day"', "50").replace("restart_s = 60", "restart_s = 1") + "checkpoint_every_s = 10\n"
    with pytest.warns(CheckpointWarning, match=r"demo: checkpoint_s = 30 is not below the 25 s .*; Daly's interval is 21.3 s"):
        simulated(tmp_path, failures)


def test_the_best_interval_is_the_one_of_theory_for_the_nodes_of_the_job(tmp_path: Path) -> None:
    found = simulated(tmp_path, FAILURES + 'checkpoint_every_s = "best"\n')
    theory = Checkpointing(mtbf_s=86_400.0, checkpoint_s=30.0, restart_s=60.0)  # 2 days over 2 nodes
    failures, advice = found.jobs[0].job.failures, found.jobs[0].checkpoints
    assert failures is not None
    assert advice is not None
    assert failures.checkpoint_every_s == advice.best_every_s == theory.best_interval_s
    assert (advice.young_every_s, advice.daly_every_s) == (theory.young_interval_s, theory.daly_interval_s)
    assert advice.between_failures_s == 86_400.0
    assert advice.every_s == pytest.approx(math.ceil(theory.best_interval_s / 0.02) * 0.02)  # whole updates of 20 ms
    # the job of 100 s is over before the first checkpoint
    assert float(advice.expected.checkpoint_s) == 0.0
    assert float(advice.expected.total_s) == pytest.approx(
        86_400.0 * math.exp(60 / 86_400) * math.expm1(100 / 86_400), rel=1e-9
    )


def test_checkpoints_that_cost_nothing_follow_each_update(tmp_path: Path) -> None:
    failures = FAILURES.replace("checkpoint_s = 30", "checkpoint_s = 0") + 'checkpoint_every_s = "best"\n'
    found = simulated(tmp_path, failures).jobs[0].job.failures
    assert found is not None
    assert (found.checkpoint_every_s, found.checkpoint_every_updates) == (None, 1)


def test_the_expected_time_is_that_of_whole_segments_and_a_rest(tmp_path: Path) -> None:
    failures = FAILURES.replace('"2 day"', "100") + "checkpoint_every_s = 30\n"
    advice = simulated(tmp_path, failures.replace("checkpoint_s = 30", "checkpoint_s = 3")).jobs[0].checkpoints
    assert advice is not None
    Theta, R, c, tau = 50.0, 60.0, 3.0, 30.0
    segment, rest = (Theta * math.exp(R / Theta) * math.expm1(s / Theta) for s in (tau + c, 10.0))
    assert float(advice.expected.total_s) == pytest.approx(3 * segment + rest, rel=1e-9)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (FAILURES.replace('"2 day"', "0.1"), "simulate.failures: the job would never end: 100 s from one checkpoint to"),
        # exp(60/4.5)*(exp(100/4.5) - 1) failures: none in 100 s, nor in 60 s of restart
        (FAILURES.replace('"2 day"', "9"), "simulate.failures: a run would fail 2.76e+15 times; save more often (4.5"),
    ],
)  # fmt: skip
def test_a_job_that_fails_for_ever_is_refused(tmp_path: Path, extra: str, says: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)
        (fault,) = faults(tmp_path, extra)
    assert fault.startswith(says), fault
    assert fault.endswith("s is best), or give nodes that fail less often")


def test_learners_that_do_not_fill_their_nodes_are_warned_about_on_a_network(tmp_path: Path) -> None:
    with pytest.warns(NoEffectWarning, match="11 learners do not fill their nodes: 5 of the 8 accelerators of one stand idle"):
        simulated(tmp_path, "[simulate]\nlearners = 11\n", TREE)
    simulated(tmp_path, "[simulate]\nlearners = 11\n")  # a law knows nothing of nodes
    simulated(tmp_path, "[simulate]\nlearners = 3\n", TREE)  # inside one node
