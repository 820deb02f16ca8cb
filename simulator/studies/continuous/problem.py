"""What is to be designed: levers that money moves, components that cost money, workloads, and their limits (Eqn 11)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal, Protocol

from simulator.quantities import positive
from simulator.studies.continuous.times import LEARNERS, BestTime

__all__ = ["Component", "ContinuousProblem", "Lever", "Objective", "TimeAtBest"]

Objective = Literal["mean_time", "weighted_time", "worst_time", "cost"]


class TimeAtBest(Protocol):
    """T_C at M_opt of one workload as a function of levers; `TrainingTime` is one."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def weight(self) -> float:
        """Its weight in a weighted mean."""

    @property
    def levers(self) -> tuple[str, ...]:
        """Levers that it depends on."""

    @property
    def kinks_learners(self) -> Mapping[float, str]:
        """Numbers of learners where its slope jumps, and what is so from there on, with {} for its name."""

    def best(self, values: Mapping[str, float], *, alone: bool = False) -> BestTime:
        """Return T_C, its slopes and M_opt; `alone`: one learner without a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """A real number that money moves.

    Parameters
    ----------
    name : str
        "learners", or whatever the times and costs call it.
    lowest, highest : float
        What can be had, 0 < lowest <= highest. Learners are at least 1.
    """

    name: str
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        low, high = positive("lowest", self.lowest), positive("highest", self.highest)
        if low > high:
            raise ValueError(f"highest must be >= lowest = {low:g} for {self.name}, got {high:g}")
        if self.name == LEARNERS and low < 1.0:
            raise ValueError(f"lowest must be >= 1 for learners, got {low:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """What is paid for, by the levers that its price depends on: C_Compute(P, gamma), C_Bandwidth(delta), ...

    Parameters
    ----------
    name : str
        What it is called.
    levers : tuple of str
        Whose values `cost_usd` and `power_w` take, in this order.
    cost_usd : callable
        Dollars, smooth, > 0; it is asked up to half a per cent outside the bounds of the levers.
    power_w : callable, optional
        Watts, smooth, >= 0; nothing by default.
    network : bool
        Whether one learner alone does without it.
    """

    name: str
    levers: tuple[str, ...]
    cost_usd: Callable[..., float]
    power_w: Callable[..., float] | None = None
    network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousProblem:
    """What is to be designed.

    Parameters
    ----------
    workloads : tuple of TimeAtBest
        They use the design one after another.
    levers : tuple of Lever
        Each that a time or a cost depends on, once. The most learners are the highest value of theirs.
    components : tuple of Component
        What is paid for.
    objective : {"mean_time", "weighted_time", "worst_time", "cost"}
        What is least: the mean of T_C over the workloads, weighted or not, the longest, or dollars.
    budget_usd, deadline_s, power_max_w : float
        Most dollars, most T_C of every workload, most watts; infinite by default.
    """

    workloads: tuple[TimeAtBest, ...]
    levers: tuple[Lever, ...]
    components: tuple[Component, ...]
    objective: Objective = "mean_time"
    budget_usd: float = inf
    deadline_s: float = inf
    power_max_w: float = inf

    def __post_init__(self) -> None:
        if not self.workloads or not self.components:
            raise ValueError("workloads and components must hold at least one each")
        for name in ("budget_usd", "deadline_s", "power_max_w"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name):g}")
        called = {
            "levers": [lever.name for lever in self.levers],
            "components": [component.name for component in self.components],
            "workloads": [workload.name for workload in self.workloads],
        }
        for name, words in called.items():
            if len(set(words)) < len(words):
                raise ValueError(f"{name} must have distinct names, got {words}")
        used = {name for workload in self.workloads for name in workload.levers}
        used |= {name for component in self.components for name in component.levers}
        named = set(called["levers"])
        if used != named:
            raise ValueError(f"levers must be those of the workloads and components, {sorted(used)}, got {sorted(named)}")
        if self.objective == "cost" and not isfinite(self.deadline_s):
            raise ValueError("deadline_s must be given where the cost is to be least")
