"""learnersim: how long data-parallel SGD takes to converge, on which cluster, with which mini-batch, for how much money.

The names below are the public interface. They are imported on first use, so that `import simulator` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.calibration.measurements import read_updates
    from simulator.calibration.updates import fit_updates
    from simulator.compute import AffineCompute, CrossValidation, KneeCompute, TabulatedCompute
    from simulator.convergence import HardCornerLaw, InverseLaw, PowerLaw, SharpCornerLaw, TabulatedUpdates
    from simulator.errors import InfeasibleError, ScenarioError, SimulatorError
    from simulator.network.laws import ConstantReduce, LinearReduce, NodeLogReduce, RingReduce, TwoTierRingReduce
    from simulator.optimum import Limits, best_batch, best_learners
    from simulator.scenarios import load_scenario
    from simulator.studies.scaling import scaling
    from simulator.time_to_converge import TimeToConverge

_HOMES = {
    "AffineCompute": "compute",
    "ConstantReduce": "network.laws",
    "CrossValidation": "compute",
    "HardCornerLaw": "convergence",
    "InfeasibleError": "errors",
    "InverseLaw": "convergence",
    "KneeCompute": "compute",
    "Limits": "optimum",
    "LinearReduce": "network.laws",
    "NodeLogReduce": "network.laws",
    "PowerLaw": "convergence",
    "RingReduce": "network.laws",
    "ScenarioError": "errors",
    "SharpCornerLaw": "convergence",
    "SimulatorError": "errors",
    "TabulatedCompute": "compute",
    "TabulatedUpdates": "convergence",
    "TimeToConverge": "time_to_converge",
    "TwoTierRingReduce": "network.laws",
    "best_batch": "optimum",
    "best_learners": "optimum",
    "fit_updates": "calibration.updates",
    "load_scenario": "scenarios",
    "read_updates": "calibration.measurements",
    "scaling": "studies.scaling",
}

__all__ = [
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


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'simulator' has no attribute {name!r}") from None
    return getattr(import_module(f"simulator.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
