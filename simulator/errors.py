"""What can go wrong, by name: the exceptions and warnings that a caller may want to handle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "CheckpointWarning",
    "CollectiveError",
    "DeadlockError",
    "ExtrapolationWarning",
    "Fault",
    "FitError",
    "InfeasibleError",
    "InfeasibleWarning",
    "LooseBoundWarning",
    "MeasurementWarning",
    "MissingPriceWarning",
    "NoEffectWarning",
    "NoUncertaintyWarning",
    "OldPriceWarning",
    "PolicyError",
    "PoorFitWarning",
    "RepairWarning",
    "ScenarioError",
    "SimulatorError",
    "SimulatorWarning",
    "SlowdownWarning",
    "TopologyError",
    "UnverifiedWarning",
]


class SimulatorError(Exception):
    """Base of every error that the user's files or request can cause; its text says what to do next."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a file: where it stands, which rule it breaks and the value found.

    Parameters
    ----------
    file : str
        The file as the user named it.
    key : str
        Dotted path of the key inside the file; empty for the file as a whole.
    rule : str
        What must hold, with the value found and the nearest known key where there is one.
    """

    file: str
    key: str
    rule: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.rule) if part).replace("\n", " ")


class ScenarioError(SimulatorError):
    """A file that cannot be used, with every fault found in it.

    Parameters
    ----------
    faults : iterable of Fault
        All faults, in the order of the file.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[tuple[Fault, ...]]]:  # from a worker process whole
        return type(self), (self.faults,)


class FitError(SimulatorError):
    """Measurements that a law cannot be fitted to; the text says which rule they break."""


class InfeasibleError(SimulatorError):
    """No answer meets the request; the text says which limits contradict each other."""


class TopologyError(SimulatorError):
    """A network that cannot carry what is asked of it: a missing route, a link without bandwidth, too few hosts."""


class CollectiveError(SimulatorError):
    """A collective that does not exist for this number of ranks; the text says which numbers it exists for."""


class DeadlockError(SimulatorError):
    """A schedule or a simulation that cannot go on; the text names who waits for whom."""


class PolicyError(SimulatorError):
    """A policy that cannot be loaded, or that gives jobs learners that they cannot have; the text says which."""


class SimulatorWarning(UserWarning):
    """Base of every warning that goes with an answer."""


class CheckpointWarning(SimulatorWarning):
    """Checkpoints are so rare that a failure is likely before the next one."""


class ExtrapolationWarning(SimulatorWarning):
    """The answer lies outside the data that its law was fitted to."""


class InfeasibleWarning(SimulatorWarning):
    """Some of the combinations asked for contradict themselves and have no answer."""


class LooseBoundWarning(SimulatorWarning):
    """A lower bound that a search went by is more than a few per cent below what was computed afterwards."""


class MissingPriceWarning(SimulatorWarning):
    """Something has no price that may enter, and so the answer has no cost: the text says what."""


class MeasurementWarning(SimulatorWarning):
    """Something of a measurement did not go as planned: a run failed or diverged, or the budget ended."""


class NoEffectWarning(SimulatorWarning):
    """A key of the scenario changed nothing in this answer."""


class NoUncertaintyWarning(SimulatorWarning):
    """The scenario carries nothing that an interval could be computed from."""


class OldPriceWarning(SimulatorWarning):
    """The answer rests on prices that are much older than the newest ones of the price book."""


class PoorFitWarning(SimulatorWarning):
    """No law describes the measurements well, or another one does so better: the text says which and by how much."""


class RepairWarning(SimulatorWarning):
    """Part of a file could not be taken as it stands: the text says what was left out or changed instead."""


class SlowdownWarning(SimulatorWarning):
    """Fewer learners, or a single one, would have been faster."""


class UnverifiedWarning(SimulatorWarning):
    """The answer rests on a figure that nobody checked."""
