"""The public names, pinned; and what importing and asking costs in libraries."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import simulator
from tests.support import PAPER_FLAGS, ROOT

NAMES = [
    "AffineCompute",
    "ConstantReduce",
    "CrossValidation",
    "HardCornerLaw",
    "InfeasibleError",
    "InverseLaw",
    "KneeCompute",
    "Limits",
    "LinearReduce",
    "NodeLogReduce",
    "PowerLaw",
    "RingReduce",
    "ScenarioError",
    "SharpCornerLaw",
    "SimulatorError",
    "TabulatedCompute",
    "TabulatedUpdates",
    "TimeToConverge",
    "TwoTierRingReduce",
    "best_batch",
    "best_learners",
    "fit_updates",
    "load_scenario",
    "read_updates",
    "scaling",
]


def test_the_public_names_are_these() -> None:
    assert simulator.__all__ == NAMES
    assert set(NAMES) <= set(dir(simulator))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(simulator, name)
    assert found.__name__ == name
    assert inspect.getdoc(found)


def test_a_name_that_is_not_public_is_missed_by_name() -> None:
    with pytest.raises(AttributeError, match="module 'simulator' has no attribute 'simulate'"):
        simulator.simulate  # noqa: B018


def test_the_package_is_typed() -> None:
    assert (ROOT / "simulator" / "py.typed").is_file()


def imported_by(code: str) -> set[str]:
    """Top-level modules in sys.modules after `code` ran in a fresh interpreter."""
    program = f"import sys\n{code}\nsys.stderr.write('|'.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stderr.split("|"))


def test_importing_the_package_imports_no_library() -> None:
    loaded = imported_by("import simulator")
    assert "simulator" in loaded
    assert not loaded & {"numpy", "pandas", "pint", "scipy", "matplotlib", "cattrs", "cyclopts", "rich", "simpy", "networkx"}


@pytest.mark.parametrize("verb", ["optimum", "scale"])
def test_flags_alone_need_few_libraries(verb: str) -> None:
    arguments = [verb, *PAPER_FLAGS, "--learners", "8"]
    loaded = imported_by(f"from simulator.cli import status\nassert status({arguments!r}) == 0")
    assert "numpy" in loaded
    assert not loaded & {"pandas", "pint", "scipy", "cattrs", "matplotlib", "simpy", "networkx"}


def test_a_scenario_needs_no_figures() -> None:
    loaded = imported_by("from simulator.cli import status\nassert status(['run', 'resnet50-a100', '--json']) == 0")
    assert not loaded & {"pandas", "matplotlib", "simpy", "networkx"}  # scipy comes with pint, where it is installed


def test_a_law_needs_numpy_alone() -> None:
    loaded = imported_by("import simulator\nsimulator.InverseLaw(n_inf_updates=1, alpha_samples=1).updates(2)")
    assert not loaded & {"pandas", "pint", "scipy", "cattrs", "matplotlib", "cyclopts", "rich"}
