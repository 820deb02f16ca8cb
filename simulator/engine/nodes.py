"""The cluster below a job: nodes that fail, spares that replace them, repairs that bring them back."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy
from simpy.events import Event

from simulator.engine.job import Failures

__all__ = ["Nodes", "failing"]


class Nodes:
    """Nodes of one job and its spares.

    Parameters
    ----------
    env : Environment
        The clock.
    failures : Failures
        How many there are, and how they come back.
    """

    def __init__(self, env: simpy.Environment, failures: Failures) -> None:
        self.env = env
        self.failures = failures
        self.spare = failures.spare_nodes
        self.missing = 0
        self.failed = 0
        self.complete = env.event()

    def fail(self) -> None:
        """Take a node away, put a spare in its place if there is one, and send it to repair."""
        self.failed += 1
        failures = self.failures
        if failures.repair_s is None and failures.spare_nodes == 0:
            return  # it comes back with the restart
        if self.spare:
            self.spare -= 1
        else:
            self.missing += 1
        if failures.repair_s is not None:
            self.env.process(self._repair(failures.repair_s))

    def _repair(self, repair_s: float) -> Generator[Event, Any, None]:
        yield self.env.timeout(repair_s)
        if not self.missing:
            self.spare += 1
            return
        self.missing -= 1
        if not self.missing:
            complete, self.complete = self.complete, self.env.event()
            complete.succeed()

    @property
    def is_lost(self) -> bool:
        """Whether a node is missing that never comes back."""
        return self.missing > 0 and self.failures.repair_s is None

    def wanted(self) -> str:
        """Say what is waited for."""
        node = f"{self.missing} of its {self.failures.nodes} nodes after {self.failed} failures"
        if self.is_lost:
            return (
                f"{node}: its {self.failures.spare_nodes} spare nodes are used up, and failed ones never come back unless "
                "repair_s is given"
            )
        return f"the repair of {node}"


def failing(env: simpy.Environment, nodes: Nodes, job: simpy.Process, start_s: float, *, rng: np.random.Generator) -> (
    Generator[Event, Any, None]
):  # fmt: skip
    """Failures: one of the job's nodes fails, on average every MTBF / nodes seconds; nodes that are away do not."""
    yield env.timeout(start_s)
    while not nodes.is_lost:
        yield env.timeout(nodes.failures.between_failures_s * rng.standard_exponential())
        if nodes.missing and rng.random() * nodes.failures.nodes < nodes.missing:
            continue
        nodes.fail()
        if not job.is_alive:
            return
        job.interrupt()
