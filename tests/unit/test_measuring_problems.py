"""Problems: what ships is what it says, and what is the user's own is found, checked and refused in a line."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import SimulatorError
from simulator.measuring.data_sets import Labelled, digits, split
from simulator.measuring.least_squares import LeastSquares
from simulator.measuring.numpy_problems import DigitsMlp, DigitsSoftmax
from simulator.measuring.problems import SHIPPED, Options, Setting, Sheet, built, cause, find_problem, needed, source_files
from tests.support import PROBLEM

MINE = f"""\
{PROBLEM}

class Faulty:
    data_set_samples = -3
    targets = (0.5, -1)
    max_updates = True
    about = 7


class Raises:
    def __init__(self):
        raise RuntimeError("no data")


class Properties(Problem):
    batch_samples = 8
    targets = None
    learning_rates = "0.5"

    @property
    def parameters(self):
        raise RuntimeError("not\\nyet")

    @property
    def max_updates(self):
        raise SystemExit


class NoLearner(Problem):
    def build(self, setting):
        return setting


ready = Problem()
number = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the current folder, with modules of a user's own in it."""
    (tmp_path / "my_problem.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "my_broken.py").write_text("x = 1\nimport nowhere_to_be_found\n", encoding="utf-8")
    (tmp_path / "my_slip.py").write_text("def f(:\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("my_problem", "my_broken", "my_slip"):
        sys.modules.pop(name, None)


def setting(M: int, seed: int = 1, rate: float = 0.1) -> Setting:
    return Setting(
        batch_samples=M,
        learning_rate=rate,
        weights_rng=np.random.default_rng([seed, 1]),
        samples_rng=np.random.default_rng([seed, 2]),
    )


@pytest.mark.parametrize("spec", ["my_problem:Problem", "my_problem:ready"])
def test_a_problem_of_the_users_own_is_found_as_a_class_or_an_object(here: Path, spec: str) -> None:
    sheet = Sheet.of(find_problem(spec, Options()), spec)
    assert (sheet.data_set_samples, sheet.evaluation_samples) == (100, 40)  # 0.4 of the data, both samples of 20 %
    assert (sheet.targets, sheet.learning_rates, sheet.parameters) == ((), (), None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my_problem:Nothing", "my_problem:Nothing: the module my_problem has no Nothing"),
        ("my_problem:number", "my_problem:number: must be a problem or return one, got int"),
        ("my_problem:Raises", r"my_problem:Raises: cannot be made: RuntimeError: no data \(my_problem.py, line 25\)"),
        ("my_broken:P", r"ModuleNotFoundError: No module named 'nowhere_to_be_found' \(my_broken.py, line 2\)"),
        ("my_slip:P", r"my_slip:P: cannot be imported: SyntaxError: .* \(my_slip.py, line 1\)"),
        ("my_missing:P", "my_missing:P: cannot be imported: ModuleNotFoundError: No module named 'my_missing'"),
        ("my_problem:", "must be given as module:attribute, got 'my_problem:'"),
        ("my_problem:a.b", "must be given as module:attribute"),
        ("digits-mpl", "no problem is named 'digits-mpl'; did you mean 'digits-mlp'"),
    ],
)  # fmt: skip
def test_what_is_no_problem_is_refused_in_one_line(here: Path, spec: str, message: str) -> None:
    with pytest.raises(SimulatorError, match=message) as caught:
        find_problem(spec, Options())
    assert "\n" not in str(caught.value)


def test_every_fault_of_a_problem_is_named(here: Path) -> None:
    with pytest.raises(SimulatorError) as caught:
        Sheet.of(find_problem("my_problem:Faulty", Options()), "Faulty")
    assert str(caught.value).splitlines() == [
        "Faulty: build is missing: a problem needs build(setting), which returns a learner",
        "Faulty: data_set_samples must be a whole number >= 1, got -3",
        "Faulty: targets must be numbers > 0, got (0.5, -1)",
        "Faulty: max_updates must be a whole number >= 1, got True",
        "Faulty: about must be printable text, got 7",
    ]


def test_a_property_that_raises_or_holds_something_else_is_a_fault_like_any_other(here: Path) -> None:
    with pytest.raises(SimulatorError) as caught:
        Sheet.of(find_problem("my_problem:Properties", Options()), "Mine")
    assert str(caught.value).splitlines() == [
        "Mine: parameters cannot be read: RuntimeError: not yet (my_problem.py, line 35)",
        "Mine: max_updates cannot be read: SystemExit (my_problem.py, line 39)",
        "Mine: targets must be numbers > 0, got None",
        "Mine: learning_rates must be numbers > 0, got '0.5'",
        "Mine: batch_samples must be the smallest and the largest mini-batch, like (1, 1024), got 8",
    ]


def test_what_build_returns_has_to_be_a_learner(here: Path) -> None:
    with pytest.raises(SimulatorError, match=r"build\(\) must return a learner with update\(\) and losses\(\), got Setting"):
        built(find_problem("my_problem:NoLearner", Options()), setting(4))
    assert callable(built(find_problem("my_problem:Problem", Options()), setting(4)).update)


def test_a_cause_names_the_line_of_the_users_own_code_and_not_of_a_library() -> None:
    def own() -> None:
        json.loads("{")

    with pytest.raises(ValueError, match="Expecting") as caught:
        own()
    assert cause(caught.value).endswith(f"(test_measuring_problems.py, line {own.__code__.co_firstlineno + 1})")


def test_what_a_measurement_is_made_of_is_known_by_its_digest(here: Path, tmp_path: Path) -> None:
    find_problem("my_problem:Problem", Options())
    digest = hashlib.sha256(MINE.encode()).hexdigest()
    assert source_files("my_problem:Problem", Options()) == {"my_problem.py": digest}
    assert source_files("digits-mlp", Options()) == {}
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"):
        (tmp_path / name).write_bytes(b"abc")
    # the test vector of FIPS 180-2
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert source_files("lenet-small", Options(data_dir=tmp_path)) == {
        "train-images-idx3-ubyte": abc,
        "train-labels-idx1-ubyte.gz": abc,
    }


@pytest.mark.parametrize("name", ["digits-mlp", "digits-softmax", "least-squares"])
def test_flags_of_the_lenets_are_refused_elsewhere(name: str) -> None:
    with pytest.raises(SimulatorError, match=f"{name} takes no --samples and no --optimizer: these are for the LeNets"):
        find_problem(name, Options(samples=5, optimizer="adam"))


def test_a_missing_library_is_said_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # as an import finds it where it is not installed
    with pytest.raises(SimulatorError, match=r"digits-mlp needs scikit-learn, .*: pip install 'learnersim\[measure\]'"):
        needed("sklearn.datasets", "measure", "digits-mlp")


def test_the_losses_are_taken_of_disjoint_fifths() -> None:
    data = Labelled(x=np.arange(1797.0)[:, None], labels=np.zeros(1797, dtype=np.int64))
    parts = split(data, np.random.default_rng(1))
    training, loss, cross = (set(part.x[:, 0]) for part in (parts.training, parts.training_loss, parts.cross_validation))
    assert (len(training), len(loss), len(cross)) == (1438, 359, 359)  # 0.2 * 1797 = 359.4
    assert loss <= training
    assert not cross & training
    assert parts.evaluation_samples == 718


def test_the_digits_are_the_digits() -> None:
    data = digits("digits")
    assert data.x.shape == (1797, 8, 8)
    assert (data.x.min(), data.x.max()) == (0.0, 1.0)
    assert np.bincount(data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as scikit-learn documents


@pytest.mark.parametrize("kind", [DigitsMlp, DigitsSoftmax])
def test_gradients_are_those_of_finite_differences(kind: type[DigitsMlp] | type[DigitsSoftmax]) -> None:
    problem = kind.made("digits", 1)
    learner = problem.build(setting(8))
    batch = problem.data.training.of(np.arange(5))
    gradients = learner.gradients(batch)
    assert sum(weights.size for weights in learner.weights) == problem.parameters
    rng = np.random.default_rng(3)
    for weights, gradient in zip(learner.weights, gradients, strict=True):
        for _ in range(6):
            place = tuple(int(rng.integers(length)) for length in weights.shape)
            step, kept = 1e-5, weights[place]
            weights[place] = kept + step
            above = learner.loss(batch)
            weights[place] = kept - step
            below = learner.loss(batch)
            weights[place] = kept
            # central differences: error of order step^2 and rounding of 1e-16/step
            assert (above - below) / (2 * step) == pytest.approx(gradient[place], abs=1e-8)


@pytest.mark.parametrize("name", ["digits-mlp", "digits-softmax", "least-squares"])
def test_the_same_seed_gives_the_same_run(name: str) -> None:
    def trained(seed: int) -> Mapping[str, float]:
        learner = find_problem(name, Options(seed=3)).build(setting(16, seed))
        for _ in range(20):
            learner.update()
        return learner.losses()

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)


def test_two_learners_with_combined_gradients_do_the_update_of_the_whole_mini_batch() -> None:
    problem = DigitsMlp.made("digits-mlp", 0)
    held: list[list[np.ndarray]] = []

    def learner(M: int, samples_seed: int, combine: object) -> object:
        return problem.build(
            Setting(
                batch_samples=M,
                learning_rate=0.5,
                weights_rng=np.random.default_rng(1),
                samples_rng=np.random.default_rng(samples_seed),
                combine=combine,  # type: ignore[arg-type]
            )
        )

    def keep(gradients: list[np.ndarray]) -> None:
        held.append([gradient.copy() for gradient in gradients])

    for seed in (5, 6):  # each learner's own gradient of its half
        learner(32, seed, keep).update()  # type: ignore[attr-defined]
    mean = [(a + b) / 2 for a, b in zip(*held, strict=True)]

    def joined(gradients: list[np.ndarray]) -> None:
        for gradient, whole in zip(gradients, mean, strict=True):
            gradient[:] = whole

    parallel = learner(32, 5, joined)
    parallel.update()  # type: ignore[attr-defined]
    serial = learner(32, 5, lambda _: None)
    chosen = np.concatenate([np.random.default_rng(seed).integers(0, problem.data_set_samples, 32) for seed in (5, 6)])
    gradients = serial.gradients(problem.data.training.of(chosen))  # type: ignore[attr-defined]
    for weights, start, gradient in zip(parallel.weights, serial.weights, gradients, strict=True):  # type: ignore[attr-defined]
        np.testing.assert_allclose(weights, start - 0.5 * gradient, rtol=0, atol=1e-14)


def test_the_quadratic_falls_as_its_recursion_says() -> None:
    # E f_(k+1) = (1 - eta lambda)^2 f_k + lambda eta^2 s^2 d/(2 M), the mean over many learners of one update
    problem = LeastSquares(dimensions=50, initial_loss=4.0, noise_sd=2.0)
    rate, M = 0.1, 4
    after = []
    for seed in range(4000):
        learner = problem.build(setting(M, seed, rate))
        learner.update()
        after.append(learner.losses()["training"])
    expected = (1 - rate) ** 2 * 4.0 + rate**2 * 4.0 * 50 / (2 * M)
    assert np.mean(after) == pytest.approx(expected, abs=4 * np.std(after) / len(after) ** 0.5)
    # and the floor is the recursion's fixed point at M = 1
    F = problem.floor_loss_samples(rate)
    assert (1 - rate) ** 2 * F + rate**2 * 4.0 * 50 / 2 == pytest.approx(F)


def test_every_shipped_problem_has_defaults_for_every_flag() -> None:
    for name in ("digits-mlp", "digits-softmax", "least-squares"):
        sheet = Sheet.of(find_problem(name, Options()), name)
        assert sheet.targets
        assert sheet.learning_rates
        assert len(sheet.batch_samples) == 2
    assert {"lenet-small", "lenet-medium", "lenet-large", "lenet-even-odd"} < set(SHIPPED)
