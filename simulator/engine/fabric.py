"""The fabric under SimPy's clock: processes post schedules and are woken when these end, whoever else's traffic they met."""

from __future__ import annotations

from functools import partial

import numpy as np
import simpy
from simpy.events import Event

from simulator.network.fabric import Fabric
from simulator.network.fabric import Job as PlacedSchedule
from simulator.quantities import FloatArray

__all__ = ["SharedFabric"]


class SharedFabric:
    """Lets processes carry schedules over one fabric.

    It sleeps until the next schedule would end if nothing else were posted; a post in between makes it look again.

    Parameters
    ----------
    env : Environment
        The clock.
    fabric : Fabric
        A new one, whose time is the clock's.
    """

    def __init__(self, env: simpy.Environment, fabric: Fabric) -> None:
        if fabric.now_s > -np.inf or fabric.next_event_s() < np.inf:
            raise ValueError("fabric must be a new one, got one whose time has begun")
        self.env = env
        self.fabric = fabric
        self._waiting: dict[int, Event] = {}
        self._looks = 0

    def carry(self, placed: PlacedSchedule, start_s: FloatArray | None = None) -> Event:
        """Post a schedule, for now or for each rank's start; return the event of its end, whose value is the NetworkResult."""
        self._deliver(self.env.now)
        now_s = self.fabric.now_s
        starts = now_s if start_s is None else np.maximum(start_s, now_s)
        handle = self.fabric.post(placed.schedule, hosts=placed.hosts, start_s=starts)
        self._waiting[handle] = self.env.event()
        self._look_again()
        return self._waiting[handle]

    def _look_again(self) -> None:
        """Look ahead when everything of this moment is posted; what was seen before is void."""
        self._looks += 1
        self._call(0.0, partial(self._look, self._looks))

    def _look(self, look: int, _: Event) -> None:
        if look == self._looks and (next_s := self.fabric.next_event_s()) < np.inf:
            self._call(max(next_s - self.env.now, 0.0), partial(self._wake, look, next_s))

    def _wake(self, look: int, at_s: float, _: Event) -> None:
        if look == self._looks:
            self._deliver(at_s)
            self._look_again()

    def _deliver(self, to_s: float) -> None:
        """Let the fabric's time pass, and wake whose schedules have ended."""
        # the clock adds up intervals: it may be a rounding error before the end that it was set to
        for finished in self.fabric.advance(max(to_s, self.env.now, self.fabric.now_s)):
            self._waiting.pop(finished.handle).succeed(finished.result)

    def _call(self, delay_s: float, callback: partial[None]) -> None:
        timeout = self.env.timeout(delay_s)
        assert timeout.callbacks is not None
        timeout.callbacks.append(callback)
