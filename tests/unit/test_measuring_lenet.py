"""The LeNets of Table 1 in torch, and learners that exchange gradients; skipped where torch is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.errors import SimulatorError
from simulator.measuring.problems import Options, Setting, Sheet, find_problem
from tests.support import command

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


ALONE = """\
class Learner:
    def update(self):
        pass

    def losses(self):
        return {"training": 1.0}


class Problem:
    data_set_samples = 100

    def build(self, setting):
        return Learner()
"""


def test_learners_that_do_not_exchange_gradients_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.measuring.ranks import time_learners

    (tmp_path / "my_alone.py").write_text(ALONE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SimulatorError, match=r"my_alone:Problem on 2 learners: update\(\) never called setting\.combine"):
        list(time_learners("my_alone:Problem", Options(), learners=2, batch_sizes=[4], learning_rate=0.1, threads=1, seed=0))
