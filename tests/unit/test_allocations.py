"""From scenario files to a data centre: jobs listed, of a trace, or drawn; a workload's own Delta; policies by name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import PolicyError, RepairWarning, ScenarioError, UnverifiedWarning
from simulator.scenarios import Case, load_scenario
from simulator.scenarios.allocations import DataCentre, data_centre
from simulator.scenarios.policies import PolicyShelf
from simulator.studies.allocation.marginal_gain import MarginalGain
from simulator.studies.allocation.speedup import SpeedUp
from tests.support import SCENARIO, changed, written

TWO = SCENARIO + '\n[[job]]\nname = "a"\nworkload = "demo"\n'
HEADER = "source,subset,job_id,arrival_s,duration_s,num_gpus,model,batch_size\n"


def centre(folder: Path, extra: str, base: str = SCENARIO, learners: int | None = None) -> DataCentre:
    return data_centre(load_scenario(str(written(folder, base + extra))), learners=learners)


def faults(folder: Path, extra: str, base: str = SCENARIO) -> str:
    with pytest.raises(ScenarioError) as caught:
        centre(folder, extra, base)
    return str(caught.value).replace(f"{folder}/", "")


def test_listed_jobs_have_options_in_the_unit_and_between_their_bounds(tmp_path: Path) -> None:
    extra = """
[allocate]
unit = "power_of_two"
restart_s = "1 min"
interval_s = "10 min"
checkpoint_every_s = "5 min"
[[job]]
name = "free"
workload = "demo"
[[job]]
name = "bounded"
workload = "demo"
learners_min = 3
learners_max = 9
deadline_s = "1 hour"
weight = 2
arrival_s = "1 min"
[[job]]
name = "rigid"
workload = "demo"
learners = 4
batch_samples = 128
"""
    found = centre(tmp_path, extra)
    assert (found.rules.learners, found.rules.restart_s, found.rules.interval_s, found.rules.checkpoint_every_s) == (
        16,
        60,
        600,
        300,
    )
    assert not found.is_static
    free, bounded, rigid = found.days[0].jobs
    assert free.best.learners.tolist() == [1, 2, 4, 8, 16]
    assert bounded.best.learners.tolist() == [4, 8]
    assert (bounded.arrival_s, bounded.weight, bounded.deadline_s) == (60.0, 2.0, 3600.0)
    assert bounded.request(bounded.best) == 8
    assert rigid.best.learners.tolist() == [4]
    assert rigid.best.batch_samples is not None
    assert rigid.best.batch_samples.tolist() == [128.0]
    assert rigid.held is None


def test_the_mini_batch_is_the_best_for_each_number_or_held_at_the_one_asked_for(tmp_path: Path) -> None:
    # M_opt = sqrt(1024*0.004*P/0.001) = 64 sqrt(P), on 4 and 16 learners 128 and 256 (tests.support says how)
    (job,) = centre(tmp_path, '\n[[job]]\nname = "a"\nworkload = "demo"\nlearners_max = 4\n').days[0].jobs
    assert job.best.batch_samples is not None
    assert job.best.batch_samples[-1] == pytest.approx(128, abs=4)
    assert job.held is not None
    assert job.held.batch_samples is not None
    assert set(job.held.batch_samples) == {job.best.batch_samples[-1]}
    assert len(job.held.learners) == 4


def test_jobs_alike_share_their_options(tmp_path: Path) -> None:
    a, b = centre(tmp_path, TWO.removeprefix(SCENARIO) + '[[job]]\nname = "b"\nworkload = "demo"\n').days[0].jobs
    assert a.best is b.best


def test_all_jobs_at_the_beginning_are_the_static_problem(tmp_path: Path) -> None:
    assert centre(tmp_path, TWO.removeprefix(SCENARIO)).is_static


def test_whole_nodes_are_those_of_the_cluster(tmp_path: Path) -> None:
    found = centre(tmp_path, '\n[allocate]\nunit = "node"\n' + TWO.removeprefix(SCENARIO))
    assert found.days[0].jobs[0].best.learners.tolist() == [8, 16]


def test_fewer_learners_than_the_cluster_has(tmp_path: Path) -> None:
    assert centre(tmp_path, TWO.removeprefix(SCENARIO), learners=3).days[0].jobs[0].best.learners.tolist() == [1, 2, 3]
    with pytest.raises(ScenarioError, match="cluster: has 16 learners, got --learners 17"):
        centre(tmp_path, TWO.removeprefix(SCENARIO), learners=17)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("\n[allocate]\n", "scenario.toml: allocate: has no jobs: write [[job]], [allocate.trace] or [allocate.arrivals]"),
        (
            '\n[[job]]\nname = "a"\nworkload = "demo"\nlearners_min = 17\n',
            "scenario.toml: job[0]: 'a': no number of learners lies from 17 to 16 learners",
        ),
        (
            '\n[[job]]\nname = "a"\nworkload = "demo"\nbatch_samples = 60_000\n',
            "scenario.toml: job[0]: 'a': batch_samples must be from 16 to 50000 (data_set) on 16 learners, got 60000",
        ),
        (
            '\n[[job]]\nname = "a"\nworkload = "demo"\n[allocate.arrivals]\nkind = "poisson"\nper_hour = 1\ncount = 1\n',
            "scenario.toml: job: must not be given beside [allocate.arrivals]",
        ),
        (
            '\n[allocate.trace]\nfile = "none.csv"\nmodels = { x = "dmo" }\n',
            "scenario.toml: allocate.trace.models.x: must name a workload of the file, got 'dmo'; did you mean 'demo'?\n"
            "scenario.toml: allocate.trace.file: must name a file beside the scenario, got 'none.csv'",
        ),
        (
            '\n[allocate.arrivals]\nkind = "poisson"\nper_hour = 1\ncount = 1_001\nreplications = 1_000\n',
            "scenario.toml: allocate.arrivals.count: must be <= 1,000,000 over all replications, got 1,001 in each of 1,000",
        ),
        ("\n[allocate]\ncheckpoint_every_s = 0\n", "scenario.toml: allocate.checkpoint_every_s: must be finite and > 0, got 0"),
        (
            '\n[allocate.trace]\nfile = "philly"\nspeedup = { kind = "power" }\n',
            "scenario.toml: allocate.trace.speedup.exponent: must be given for kind = 'power', and only there",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_key(tmp_path: Path, extra: str, says: str) -> None:
    assert faults(tmp_path, extra) == says


def test_whole_nodes_need_nodes(tmp_path: Path) -> None:
    base = changed(SCENARIO, ('node = "dgx-a100-640"\nnodes = 2', 'accelerator = "a100-sxm-80"\naccelerators = 16'))
    says = "scenario.toml: allocate.unit: 'node' needs cluster.node, whose learners are given out together"
    assert faults(tmp_path, '\n[allocate]\nunit = "node"\n' + TWO.removeprefix(SCENARIO), base) == says


TRACE = """
[allocate]
[allocate.trace]
file = "jobs.csv"
models = { net = "demo" }
"""


def test_jobs_of_a_trace_ask_for_gpus_and_a_mini_batch(tmp_path: Path) -> None:
    rows = "lab,monday,a,5,,4,net,128\nlab,monday,b,6,,2,net,\nlab,monday,c,7,120,8,,\n"
    (tmp_path / "jobs.csv").write_text(HEADER + rows, encoding="utf-8")
    with pytest.warns(UnverifiedWarning, match="lab, monday: 1 jobs carry no model; .* the speed-up 'linear'"):
        found = centre(tmp_path, TRACE)
    a, b, c = found.days[0].jobs
    assert found.days[0].name == "lab/monday"
    assert a.own is not None
    assert a.own.batch_samples is not None
    assert set(a.own.batch_samples) == {128.0}
    assert a.own.learners.tolist() == list(range(1, 17))
    assert (a.requested_learners, a.arrival_s, b.own) == (4, 5.0, None)
    assert b.held is not None
    # work of 120 s on 8 GPUs, linear: 960 s on one, 60 s on 16
    assert c.work * c.best.converge_time_s[0] == pytest.approx(960)
    assert c.fastest_s(16) == pytest.approx(60)
    assert c.least_learner_s(16) == pytest.approx(960)


def test_a_job_that_asks_for_what_cannot_be_had_is_given_the_nearest_below_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(HEADER + "lab,monday,a,5,,6,net,128\nlab,monday,b,5,,3,net,128\n", encoding="utf-8")
    with pytest.warns(
        RepairWarning, match=r"2 jobs ask for a number of learners .* 'a' \(line 2\) asks for 6, gets 4, and so on"
    ):
        found = centre(tmp_path, TRACE.replace("[allocate]\n", '[allocate]\nunit = "power_of_two"\n'))
    assert [job.request(job.options("own")) for job in found.days[0].jobs] == [4, 2]


def test_a_mini_batch_that_fits_nowhere_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(HEADER + "lab,monday,a,5,,4,net,60000\n", encoding="utf-8")
    says = "jobs.csv: line 2: 'a': batch_samples must be from 16 to 50000 (data_set) on 16 learners, got 60000"
    assert faults(tmp_path, TRACE) == says


def test_a_mini_batch_that_no_memory_holds_is_told_the_most_that_fits_on_all_learners(tmp_path: Path) -> None:
    base = changed(SCENARIO, ("knee_samples = 8", "knee_samples = 8\nmax_local_samples = 100"))
    (tmp_path / "jobs.csv").write_text(HEADER + "lab,monday,a,5,,4,net,1601\n", encoding="utf-8")  # 16 learners hold 1,600
    says = "jobs.csv: line 2: 'a': batch_samples must be from 16 to 1600 (memory) on 16 learners, got 1601"
    assert faults(tmp_path, TRACE, base) == says


def test_models_that_are_skipped_are_counted(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(HEADER + "lab,monday,a,5,,4,net,\nlab,monday,b,5,,4,gpt,\n", encoding="utf-8")
    with pytest.warns(RepairWarning, match="lab, monday: jobs left out, no workload stands for their model: 1 of gpt"):
        found = centre(tmp_path, TRACE + 'unknown_models = "skip"\n')
    assert (len(found.days[0].jobs), dict(found.days[0].skipped)) == (1, {"gpt": 1})


def test_rigid_jobs_run_on_what_they_ran_on(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text(HEADER + "lab,monday,a,5,100,3,,\n", encoding="utf-8")
    rigid = TRACE + 'speedup = { kind = "rigid" }\n'
    with warnings.catch_warnings(action="ignore"):
        (job,) = centre(tmp_path, rigid).days[0].jobs
        assert job.best.learners.tolist() == [3]
        assert job.fastest_s(16) == pytest.approx(100)
        says = "jobs.csv: line 2: 'a': 3 learners cannot be had in this unit"
        assert faults(tmp_path, rigid.replace("[allocate]\n", '[allocate]\nunit = "power_of_two"\n')) == says


def test_speed_ups_by_hand() -> None:
    assert SpeedUp().times([1, 4]).tolist() == [1.0, 4.0]
    assert SpeedUp(kind="power", exponent=0.5).times([1, 4]).tolist() == [1.0, 2.0]
    assert SpeedUp(kind="amdahl", serial_fraction=0.25).times(3) == pytest.approx(1 / (0.25 + 0.25))
    assert SpeedUp(kind="power", exponent=0.5).work(10.0, ran_on=4) == 20.0


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"kind": "quadratic"}, "kind must be one of linear, power, amdahl, rigid, got 'quadratic'"),
        ({"exponent": 0.5}, "exponent must be given for kind = 'power', and only there"),
        ({"kind": "amdahl"}, "serial_fraction must be given for kind = 'amdahl', and only there"),
        ({"kind": "power", "exponent": 1.5}, "exponent must be <= 1, got 1.5"),
        ({"kind": "amdahl", "serial_fraction": 2.0}, "serial_fraction must be from 0 to 1, got 2"),
    ],
)
def test_speed_ups_are_checked(keys: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SpeedUp(**keys)  # type: ignore[arg-type]


ARRIVALS = """
[allocate]
[allocate.arrivals]
kind = "poisson"
per_hour = 60
count = 4000
replications = 2
"""


def test_arrivals_are_poisson_and_drawn_from_the_seed(tmp_path: Path) -> None:
    base = changed(SCENARIO, ('name = "demo"', 'name = "demo"\nweight = 3'))
    workload = base[base.index("[[workload]]") : base.index("[cluster]")]
    base = base.replace(workload, workload + workload.replace('name = "demo"\nweight = 3', 'name = "other"'))
    found = centre(tmp_path, ARRIVALS, base)
    first, second = found.days
    gaps = np.diff([job.arrival_s for job in first.jobs])
    assert abs(gaps.mean() - 60) < 4 * 60 / np.sqrt(len(gaps))  # exponential: standard deviation equals the mean
    assert abs(gaps.std() - 60) < 4 * 60 * np.sqrt(8 / 4 / len(gaps))  # kurtosis 9: variance of s^2 is 8/n sigma^4
    share = np.mean([job.workload == "demo" for job in first.jobs])
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 4000)
    assert [job.arrival_s for job in first.jobs[:3]] != [job.arrival_s for job in second.jobs[:3]]
    again = centre(tmp_path, ARRIVALS, base)
    assert [job.arrival_s for job in again.days[1].jobs] == [job.arrival_s for job in second.jobs]
    assert len({job.name for job in first.jobs}) == 4000


OWN_DELTA = """
[workload.reduce]
node = "dgx-a100-640"
kind = "constant"
delta_s = "9 ms"
overlap = { kind = "max" }
source = "a test"
"""


def with_own_delta(text: str = OWN_DELTA) -> str:
    base = SCENARIO[: SCENARIO.index("[reduce]")]
    return base.replace("[cluster]", f"{text}\n[cluster]")


def test_a_workload_brings_its_own_delta_where_the_scenario_says_nothing(tmp_path: Path) -> None:
    own = Case.of(load_scenario(str(written(tmp_path, with_own_delta()))))
    assert float(own.model.reduce.reduce_time_s(16)) == pytest.approx(0.009)
    assert float(own.model.step_time_s(160, 16)) == pytest.approx(0.010)  # the larger of 10 ms and 9 ms
    over = with_own_delta() + '\n[reduce]\nkind = "constant"\ndelta_s = "4 ms"\n'
    assert float(Case.of(load_scenario(str(written(tmp_path, over)))).model.reduce.reduce_time_s(16)) == pytest.approx(0.004)


def test_on_other_nodes_a_workloads_own_delta_does_not_hold(tmp_path: Path) -> None:
    text = changed(with_own_delta(), ('\nnode = "dgx-a100-640"\nnodes', '\nnode = "dgx-h100"\nnodes'))
    text = changed(text, ("[workload.compute.a100-sxm-80]", "[workload.compute.h100-sxm]"))
    with pytest.raises(ScenarioError, match=r"reduce: is missing: .* was measured on nodes 'dgx-a100-640'\)"):
        Case.of(load_scenario(str(written(tmp_path, text))))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('node = "dgx-a100-640"\nkind', "kind", "workload[0].reduce.node: is missing"),
        ('node = "dgx-a100-640"\nkind', "node = 3\nkind", "workload[0].reduce.node: must be a name, got 3"),
        ('kind = "constant"\ndelta_s', 'kind = "fabric"\ndelta_s', "workload[0].reduce.kind: must be a law, got 'fabric'"),
        ('delta_s = "9 ms"', "delta_s = -1", "workload[0].reduce.delta_s: must be finite and >= 0, got -1"),
    ],
)
def test_a_workloads_own_delta_is_checked(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(str(written(tmp_path, with_own_delta(changed(OWN_DELTA, (old, new))))))
    assert says in str(caught.value)


def test_the_size_of_the_cluster_is_free_where_no_job_has_laws() -> None:
    with warnings.catch_warnings(action="ignore"):
        assert data_centre(load_scenario("philly")).rules.learners == 400
        for learners in (128, 1000):
            found = data_centre(load_scenario("philly"), learners=learners)
            assert found.rules.learners == learners
            assert found.days[0].jobs[0].best.learners[-1] == learners
        with pytest.raises(ScenarioError, match=r"num_gpus: must be <= the 127 accelerators of the cluster, got 128"):
            data_centre(load_scenario("philly"), learners=127)


def test_days_without_the_jobs_whose_laws_are_borrowed() -> None:
    with warnings.catch_warnings(action="ignore"):
        found = data_centre(load_scenario("pollux-tuned"))
    assert set(found.borrowed) == {"pollux-ncf", "pollux-imagenet"}
    own = found.days[0].without_borrowed()
    assert own is not None
    assert {job.workload for job in own.jobs}.isdisjoint(found.borrowed)
    # what the trace holds: 68 ncf and 4 imagenet of 160
    assert (len(found.days[0].jobs), len(own.jobs)) == (160, 160 - 68 - 4)


MODULE = """
class Lazy:
    mini_batch = "held"
    def __call__(self, jobs, learners):
        return [1] * len(jobs)

class Odd(Lazy):
    mini_batch = "odd"

class Needy:
    def __init__(self, what):
        pass

def one_each(jobs, learners):
    return [1] * len(jobs)

NUMBER = 3
"""


def test_policies_by_name(tmp_path: Path) -> None:
    (tmp_path / "my_policies.py").write_text(MODULE, encoding="utf-8")
    shelf = PolicyShelf(folder=tmp_path)
    assert shelf("marginal-gain") == MarginalGain()
    assert shelf("simulator.studies.allocation.marginal_gain:MarginalGain").policy == MarginalGain()  # type: ignore[attr-defined]
    assert type(shelf("my_policies:Lazy").policy).__name__ == "Lazy"  # type: ignore[attr-defined]
    assert shelf("my_policies:one_each")([], 3) == []  # type: ignore[arg-type]
    assert shelf.fingerprint("fcfs") == "fcfs"
    before = shelf.fingerprint("my_policies:Lazy")
    (tmp_path / "my_policies.py").write_text(MODULE + "\n", encoding="utf-8")
    assert shelf.fingerprint("my_policies:Lazy") != before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("marginal", "policy must be one of fcfs, .* or module:attribute, got 'marginal'; did you mean 'marginal-gain'"),
        ("broken_policies:x", "policy 'broken_policies:x': the module cannot be imported, ZeroDivisionError: division by zero"),
        ("leaving_policies:x", "policy 'leaving_policies:x': the module cannot be imported, SystemExit: 4"),
        ("no_such_module_here:x", "the module cannot be imported, ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("other_policies:Lazi", "the module has no 'Lazi'; did you mean 'Lazy'"),
        ("other_policies:NUMBER", "must be a function or a class of callables, got 3"),
        ("other_policies:Odd", "mini_batch must be one of best, own, held, got 'odd'"),
        ("other_policies:Needy", "cannot be made, TypeError"),
        (":x", "policy must be one of"),
    ],
)
def test_a_policy_that_cannot_be_loaded_is_said(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "other_policies.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "broken_policies.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "leaving_policies.py").write_text("raise SystemExit(4)\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=says):
        PolicyShelf(folder=tmp_path)(name)


def test_what_a_policy_raises_is_told_in_one_line_with_its_place(tmp_path: Path) -> None:
    text = "import math\n\ndef root(jobs, learners):\n    return math.sqrt(-1)\n"
    text += "def leave(jobs, learners):\n    raise SystemExit(3)\n"
    text += "def long(jobs, learners):\n    raise ValueError('one line\\nand another')\n"
    (tmp_path / "raising_policies.py").write_text(text, encoding="utf-8")
    shelf = PolicyShelf(folder=tmp_path)
    for name, says in (
        ("root", "the policy raises ValueError: math domain error (line 4 of raising_policies.py)"),
        ("leave", "the policy raises SystemExit: 3 (line 6 of raising_policies.py)"),
        ("long", "the policy raises ValueError: one line (line 8 of raising_policies.py)"),
    ):
        with pytest.raises(PolicyError) as caught:
            shelf(f"raising_policies:{name}")([], 3)  # type: ignore[arg-type]
        assert str(caught.value) == says
