"""Policies by name: those that are shipped, and module:attribute of the user's own."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast, get_args

from simulator.errors import PolicyError
from simulator.messages import did_you_mean, shown
from simulator.scenarios.verb_sections import POLICY_NAMES
from simulator.studies.allocation.jobs import ActiveJobs, MiniBatch, Policy
from simulator.studies.allocation.marginal_gain import MarginalGain, MarginalGainFixedBatch
from simulator.studies.allocation.policies import EqualShare, FirstComeFirstServed, ShortestRemainingTime

__all__ = ["PolicyShelf"]

SHIPPED: dict[str, Policy] = {
    "fcfs": FirstComeFirstServed(),
    "equal": EqualShare(),
    "srtf": ShortestRemainingTime(),
    "marginal-gain": MarginalGain(),
    "marginal-gain-fixed-batch": MarginalGainFixedBatch(),
}
assert tuple(SHIPPED) == POLICY_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyShelf:
    """Finds policies by name.

    Parameters
    ----------
    folder : Path
        Of the scenario: modules of the user are looked for there too.
    """

    folder: Path

    def __call__(self, name: str) -> Policy:
        """Return the policy of a name: of a class, an instance of it.

        Raises
        ------
        PolicyError
            If there is none, or it cannot be called.
        """
        if name in SHIPPED:
            return SHIPPED[name]
        return self._of_the_user(name)

    def fingerprint(self, name: str) -> str:
        """Return what tells a policy from another: its name, and of the user's own the source of its module."""
        if name in SHIPPED:
            return name
        self._of_the_user(name)
        file = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
        source = Path(file).read_bytes() if file is not None and Path(file).is_file() else b""
        return f"{name} {hashlib.sha256(source).hexdigest()}"

    def _of_the_user(self, name: str) -> Policy:
        module_name, colon, attribute = name.partition(":")
        if not colon or not module_name or not attribute:
            rule = f"policy must be one of {', '.join(SHIPPED)} or module:attribute, got {shown(name)}"
            near = did_you_mean(name, SHIPPED)
            raise PolicyError(rule + (near if "did you mean" in near else ""))
        here = str(self.folder.resolve())
        sys.path.insert(0, here)
        try:
            found = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:  # whatever the user's module does
            raise PolicyError(f"policy {shown(name)}: the module cannot be imported, {_told(error)}") from None
        finally:
            sys.path.remove(here)
        if not hasattr(found, attribute):
            names = [one for one in vars(found) if not one.startswith("_")]
            raise PolicyError(f"policy {shown(name)}: the module has no {attribute!r}{did_you_mean(attribute, names)}")
        policy = getattr(found, attribute)
        if isinstance(policy, type):
            try:
                policy = policy()
            except (Exception, SystemExit) as error:
                raise PolicyError(f"policy {shown(name)}: cannot be made, {_told(error)}") from None
        if not callable(policy):
            raise PolicyError(f"policy {shown(name)}: must be a function or a class of callables, got {shown(policy)}")
        mini_batch: MiniBatch = getattr(policy, "mini_batch", "best")
        if mini_batch not in get_args(MiniBatch):
            known = ", ".join(get_args(MiniBatch))
            raise PolicyError(f"policy {shown(name)}: mini_batch must be one of {known}, got {shown(mini_batch)}")
        return _OfTheUser(policy=cast(Policy, policy), module=found, mini_batch=mini_batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfTheUser:
    """A policy of the user: what it raises is told in one line, with the line of its module."""

    policy: Policy
    module: ModuleType
    mini_batch: MiniBatch

    def __call__(self, jobs: ActiveJobs, learners: int, /) -> Any:
        try:
            return self.policy(jobs, learners)
        except (Exception, SystemExit) as error:  # whatever it does
            own = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == self.module.__file__]
            where = f" (line {own[-1]} of {Path(str(self.module.__file__)).name})" if own else ""
            raise PolicyError(f"the policy raises {_told(error)}{where}") from error


def _told(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    return ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
