"""Jobs without laws: work that was measured on some learners, and a named curve of how more of them speed it up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from simulator.quantities import ArrayLike, FloatArray, fraction, positive
from simulator.studies.allocation.options import IntArray, Options

__all__ = ["Curve", "SpeedUp"]

Curve = Literal["linear", "power", "amdahl", "rigid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """How many times faster P learners are than one, s(P).

    Parameters
    ----------
    kind : {"linear", "power", "amdahl", "rigid"}
        P; P^exponent; 1/(f + (1 - f)/P); rigid: the job runs on the number that it ran on, and on no other.
    exponent : float, optional
        Of power, > 0 and <= 1.
    serial_fraction : float, optional
        f of amdahl, 0 to 1.

    Examples
    --------
    >>> SpeedUp(kind="amdahl", serial_fraction=0.5).times([1, 2, 4])
    array([1.        , 1.33333333, 1.6       ])
    """

    kind: Curve = "linear"
    exponent: float | None = None
    serial_fraction: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Curve):
            raise ValueError(f"kind must be one of {', '.join(get_args(Curve))}, got {self.kind!r}")
        for name, kind in (("exponent", "power"), ("serial_fraction", "amdahl")):
            if (getattr(self, name) is not None) != (self.kind == kind):
                raise ValueError(f"{name} must be given for kind = {kind!r}, and only there")
        if self.exponent is not None and positive("exponent", self.exponent) > 1.0:
            raise ValueError(f"exponent must be <= 1, got {self.exponent:g}")
        if self.serial_fraction is not None:
            fraction("serial_fraction", self.serial_fraction)

    def times(self, learners: ArrayLike) -> FloatArray:
        """Return s(P) at `learners` (>= 1, any shape)."""
        P = positive("learners", learners)
        if self.kind == "power":
            assert self.exponent is not None
            return P**self.exponent
        if self.kind == "amdahl":
            assert self.serial_fraction is not None
            return 1.0 / (self.serial_fraction + (1.0 - self.serial_fraction) / P)
        return P

    def options(self, learners: IntArray, *, ran_on: int) -> Options | None:
        """Return T(P) = 1/s(P) on `learners` for a job of work 1; rigid: on `ran_on` only, None if it is not among them."""
        if self.kind != "rigid":
            return _options(self, tuple(learners.tolist()))
        return _options(self, (ran_on,)) if ran_on in learners else None

    def work(self, duration_s: float, *, ran_on: int) -> float:
        """Return the work of a job that took `duration_s` seconds on `ran_on` learners: seconds on one."""
        return duration_s * float(self.times(ran_on))


@lru_cache(maxsize=256)
def _options(curve: SpeedUp, learners: tuple[int, ...]) -> Options:
    P = np.array(learners, dtype=np.int64)
    return Options(learners=P, converge_time_s=1.0 / np.asarray(curve.times(P)))
