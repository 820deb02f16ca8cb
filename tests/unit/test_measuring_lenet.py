"""The LeNets of Table 1 in torch, and learners that exchange gradients; skipped where torch is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import SimulatorError
from simulator.measuring.findings import findings
from simulator.measuring.lenet import LENETS, network
from simulator.measuring.problems import Options, Setting, Sheet, find_problem
from simulator.measuring.ranks import time_learners
from simulator.measuring.record import Record, machine
from tests.support import PROBLEM, command

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'learnersim[torch]')")

torch.set_num_threads(1)  # tests run side by side

FASHION = Path("/usr/share/datasets/fashion-mnist")
TABLE_1 = {"lenet-small": 43_158, "lenet-medium": 169_506, "lenet-even-odd": 169_506, "lenet-large": 671_802}
"""Parameters of the MNIST rows of the paper's Table 1."""


def setting(M: int = 8, rate: float = 0.05, seed: int = 1) -> Setting:
    return Setting(
        batch_samples=M,
        learning_rate=rate,
        weights_rng=np.random.default_rng([seed, 1]),
        samples_rng=np.random.default_rng([seed, 2]),
    )


@pytest.mark.parametrize("name", TABLE_1)
def test_a_network_has_the_parameters_of_the_table(name: str) -> None:
    sheet = Sheet.of(find_problem(name, Options()), name)
    assert sheet.parameters == TABLE_1[name]
    assert f"{TABLE_1[name]:,} parameters" in sheet.about


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_network_learns_and_the_same_seed_gives_the_same_run(optimizer: str) -> None:
    problem = find_problem("lenet-small", Options(optimizer=optimizer))
    rate = 0.1 if optimizer == "sgd" else 0.001

    def trained(seed: int, updates: int) -> list[float]:
        learner = problem.build(setting(16, rate, seed))
        losses = [learner.losses()["training"]]
        for _ in range(updates):
            learner.update()
        return [*losses, *learner.losses().values()]

    first, last, _ = trained(1, 40)
    assert first == pytest.approx(np.log(10), abs=0.1)  # fresh weights guess between ten classes
    assert last < 0.9 * first
    assert trained(1, 3) == trained(1, 3)
    assert trained(1, 3) != trained(2, 3)


def test_even_and_odd_are_two_classes_on_ten_outputs() -> None:
    problem = find_problem("lenet-even-odd", Options())
    assert sorted(set(problem.training.labels.tolist())) == [0, 1]  # type: ignore[attr-defined]
    assert problem.build(setting()).module(problem.training.x[:2]).shape == (2, 10)  # type: ignore[attr-defined]


def test_an_update_is_a_step_of_sgd_with_a_light_penalty() -> None:
    problem = find_problem("lenet-small", Options())
    learner = problem.build(setting(16, 0.1))
    twin = problem.build(setting(16, 0.1))
    learner.update()
    chosen = torch.from_numpy(np.random.default_rng([1, 2]).integers(0, problem.data_set_samples, 16))
    loss = torch.nn.functional.cross_entropy(
        twin.module(problem.training.x[chosen]),  # type: ignore[attr-defined]
        problem.training.labels[chosen],  # type: ignore[attr-defined]
    )
    loss.backward()
    for after, before in zip(learner.module.parameters(), twin.module.parameters(), strict=True):  # type: ignore[attr-defined]
        wanted = before - 0.1 * (before.grad + 1e-4 * before)  # d/dw of loss + 0.5e-4 |w|^2, as torch's weight_decay means it
        assert torch.allclose(after, wanted, atol=1e-6)


def test_the_network_is_that_with_tanh_before_pooling() -> None:
    from torch import nn

    ours = network(LENETS["lenet-small"])
    layers = list(ours.children())
    textbook = nn.Sequential(*(layers[place] for place in (0, 2, 1, 3, 5, 4, 6, 7, 8, 9)))  # the same in the other order
    assert [type(layer).__name__ for layer in list(textbook)[:6]] == ["Conv2d", "Tanh", "MaxPool2d"] * 2
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(7, 1, 32, 32)).astype(np.float32))
    grads = []
    for one in (ours, textbook):
        one.zero_grad(set_to_none=True)
        one(x).square().sum().backward()
        grads.append([parameter.grad for parameter in one.parameters()])
    torch.testing.assert_close(ours(x), textbook(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-5)  # sums of up to 700 products in float32


def test_digits_and_images_are_brought_to_32_by_32() -> None:
    digits = find_problem("lenet-small", Options())
    assert tuple(digits.training.x.shape[1:]) == (1, 32, 32)  # type: ignore[attr-defined]
    image = digits.training.x[0, 0]  # type: ignore[attr-defined]
    assert torch.equal(image[::4, ::4].repeat_interleave(4, 0).repeat_interleave(4, 1), image)


@pytest.mark.skipif(not FASHION.is_dir(), reason="Fashion-MNIST is not installed (Debian package dataset-fashion-mnist)")
def test_images_of_a_folder_are_taken_at_random_and_framed() -> None:
    problem = find_problem("lenet-small", Options(data_dir=FASHION, samples=500))
    x = problem.training.x  # type: ignore[attr-defined]
    assert (problem.data_set_samples, tuple(x.shape)) == (400, (400, 1, 32, 32))
    assert float(x[:, :, :2].abs().max()) == 0.0
    assert float(x[:, :, 2:30, 2:30].max()) == 1.0


@pytest.mark.parametrize("samples", [9, 1798])
def test_more_or_fewer_images_than_there_can_be_are_refused(samples: int) -> None:
    with pytest.raises(SimulatorError, match=f"--samples must be from 10 to 1797, the images there, got {samples}"):
        find_problem("lenet-small", Options(samples=samples))


def test_two_learners_on_this_machine_are_timed_for_real(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = command(
        "measure", "digits-softmax", "--batch-samples", "16,64", "--learning-rates", "0.5", "--seeds", "2",
        "--targets", "0.6", "--learners", "1,2", "--out", out, "--json",
    )  # fmt: skip
    assert found.status == 0, found.err
    answer = found.answer
    pairs = {(row["batch_samples"], row["learners"]): row["update_time_s"] for row in answer["times"]}
    assert set(pairs) == {(16, 1), (32, 1), (64, 1), (32, 2), (64, 2)}  # on two, those whose half was timed on one
    one, two = answer["by_learners"]
    assert (one["learners"], one["reduce_time_s"], two["learners"]) == (1, 0.0, 2)
    # median of T_Update(M, 2) - T_Update(M/2, 1)
    gaps = [pairs[M, 2] - pairs[M // 2, 1] for M in (32, 64)]
    assert two["reduce_time_s"] == pytest.approx(np.median(gaps))
    assert "accelerators = 2" in (out / "scenario.toml").read_text(encoding="utf-8")
    assert 'kind = "constant"' in (out / "scenario.toml").read_text(encoding="utf-8")
    run = command("run", out / "scenario.toml", "--json")
    assert run.status == 0, run.err
    assert run.answer["learners"] == 2


def test_learners_that_do_not_exchange_gradients_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_alone.py").write_text(PROBLEM, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SimulatorError, match=r"my_alone:Problem on 2 learners: update\(\) never called setting\.combine"):
        list(time_learners("my_alone:Problem", Options(), learners=2, batch_sizes=[4], learning_rate=0.1, threads=1, seed=0))


TROUBLE = """\
import os
import sys
import time

import numpy as np
import torch.distributed as distributed


class Learner:
    def __init__(self, setting, trouble):
        self.setting, self.trouble, self.updates = setting, trouble, 0

    def update(self):
        self.setting.combine([np.zeros(3)])
        self.updates += 1
        rank = distributed.get_rank() if distributed.is_initialized() else None
        if self.updates > 10 and rank is not None:
            self.trouble(rank)

    def losses(self):
        return {"training": 1.0 / (1 + self.updates)}


def leaves(rank):
    if rank == 0:
        sys.exit("enough of it")


def dies(rank):
    if rank == 0:
        os._exit(0)


def hangs(rank):
    if rank == 1:
        time.sleep(1e6)


def prints(rank):
    os.write(1, b"from a library in C\\n")


def problem(trouble):
    class Problem:
        data_set_samples = 100
        targets = (0.01,)
        learning_rates = (0.1,)

        def build(self, setting):
            return Learner(setting, trouble)

    return Problem


Leaves, Dies, Hangs, Prints = map(problem, (leaves, dies, hangs, prints))
"""


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the problems above the current folder's."""
    (tmp_path / "my_trouble.py").write_text(TROUBLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("my_trouble", None)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Leaves", r"my_trouble:Leaves on 2 learners: SystemExit: enough of it \(my_trouble.py, line LINE\)"),
        ("Dies", "my_trouble:Dies on 2 learners: learner 0 ended before it was done"),
    ],
)
@pytest.mark.usefixtures("trouble")
def test_a_learner_that_ends_says_why_and_the_others_are_ended(attribute: str, message: str) -> None:
    line = next(n for n, text in enumerate(TROUBLE.splitlines(), 1) if "enough of it" in text)
    found = time_learners(
        f"my_trouble:{attribute}", Options(), learners=2, batch_sizes=[4, 8], learning_rate=0.1, threads=1, seed=0
    )
    with pytest.raises(SimulatorError, match=message.replace("LINE", str(line))):
        list(found)


@pytest.mark.usefixtures("trouble")
def test_learners_may_print_and_more_of_them_than_cores_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine()
    monkeypatch.setattr("simulator.measuring.record.machine", lambda: {**here, "cores": 1})
    found = command("measure", "my_trouble:Prints", "--batch-samples", "4,8", "--learners", "1,2", "--seeds", "1", "--json")
    assert found.status == 0, found.err
    assert {row["batch_samples"] for row in found.answer["times"] if row["learners"] == 2} == {8}
    assert [one["text"] for one in found.answer["warnings"] if "shared" in one["text"]] == [
        "2 learners of 1 thread shared 1 core: their updates take longer than on a core for each thread"
    ]


@pytest.mark.usefixtures("trouble")
def test_learners_that_wait_for_ever_take_a_quarter_of_the_budget() -> None:
    found = command("measure", "my_trouble:Hangs", "--batch-samples", "4,8", "--learners", "1,2", "--budget", "12 s", "--json")
    assert found.status == 0, found.err
    assert {row["batch_samples"] for row in found.answer["rows"]} == {4, 8}
    assert {row["learners"] for row in found.answer["times"]} == {1}
    assert any("the budget ended before everything planned was measured" in one["text"] for one in found.answer["warnings"])


def test_the_time_of_several_learners_is_as_uncertain_as_their_exchange(tmp_path: Path) -> None:
    record = Record({}, {})
    for M in (4, 8, 16, 32):
        row = {
            "batch_samples": M,
            "threads": 1,
            "outcome": "finished",
            "low_s": 1.0,
            "high_s": 1.0,
            "repeats": 15,
            "updates": 1,
        }
        record.add(f"time/M={M},P=1", {**row, "learners": 1, "update_time_s": 1.0, "warm_up_updates": 3})
        if M > 4:  # Delta of 3, 1 and 4 s
            together_s = 1.0 + {8: 3.0, 16: 1.0, 32: 4.0}[M]
            record.add(f"time/M={M},P=2", {**row, "learners": 2, "update_time_s": together_s, "warm_up_updates": 3})
        for run in range(2):
            passage = {"loss": "training", "target": 0.5, "updates": 100 + 800 // M, "seen_updates": 1, "reached": True}
            record.add(
                f"run/M={M},run={run}",
                {"batch_samples": M, "run": run, "learning_rate": 0.1, "outcome": "finished", "update_time_s": 1.0,
                 "passages": [passage]},
            )  # fmt: skip
    found = findings(record, [0.5])
    alone, together = found.converge_time_s(16, 1), found.converge_time_s(16, 2)
    assert alone is not None
    assert together is not None
    assert together[0] == pytest.approx(4.0 * alone[0])  # 1 s of computing, 3 s of exchange, the median
    # from 1 + 1 to 1 + 4 s, by the exchange alone: at least log(5/2) wide in the logarithm
    assert np.log(together[1].one_run[1] / together[1].one_run[0]) > np.log(5.0 / 2.0)
    assert np.log(alone[1].one_run[1] / alone[1].one_run[0]) < np.log(5.0 / 2.0)
    assert together[1].contributions["exchange of gradients"] > 0.5


def test_learners_that_no_mini_batch_suits_are_said() -> None:
    found = command(
        "measure", "digits-softmax", "--batch-samples", "8,16", "--learning-rates", "0.5", "--seeds", "1", "--targets", "1.0",
        "--learners", "1,3", "--json",
    )  # fmt: skip
    assert found.status == 0, found.err
    assert [one["text"] for one in found.answer["warnings"] if "learners" in one["text"]] == [
        "no update was timed on 3 learners: that takes mini-batches from 24 samples on, the largest here is 16"
    ]
