"""[design.continuous]: learners, their speed and networks as real numbers, with smooth prices written as data (Eqns 11, 12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from simulator.quantities import non_negative, positive, whole
from simulator.scenarios.checks import check

__all__ = ["Compute", "ContinuousNetwork", "ContinuousSection", "Part"]

MOST_EXPONENT = 10.0
"""Of prices and power: beyond it a per cent more of a thing costs ten per cent more."""
WIDE = 1e3
"""How far beside its reference a network reaches, either way, where the file does not say."""


def _exponents(section: Compute | ContinuousNetwork) -> None:
    for name in ("price_exponent", "power_exponent"):
        if non_negative(name, getattr(section, name)) > MOST_EXPONENT:
            raise ValueError(f"{name} must be <= {MOST_EXPONENT:g}, got {getattr(section, name):g}")


def _amounts(section: Compute | ContinuousNetwork) -> None:
    check(section, usd=non_negative, usd_per_learner=non_negative, w=non_negative, w_per_learner=non_negative)


def _costs_something(section: Compute | ContinuousNetwork) -> None:
    if section.usd == 0 and section.usd_per_learner == 0:
        raise ValueError("must cost something: give usd, or usd_per_learner, or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """[design.continuous.compute]: learners and their speed.

    (usd + usd_per_learner P) speed^price_exponent dollars, (w + w_per_learner P) speed^power_exponent watts.
    """

    usd: float = 0.0
    usd_per_learner: float = 0.0
    price_exponent: float = 0.0
    w: float = 0.0
    w_per_learner: float = 0.0
    power_exponent: float = 0.0

    def __post_init__(self) -> None:
        _amounts(self)
        _exponents(self)
        _costs_something(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Compute):
    """[[design.continuous.part]]: whatever else is paid for, in the same terms: storage, racks, cooling."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousNetwork:
    """[[design.continuous.network]]: a part of Delta, and its price.

    Either `delta_s` (seconds, of every workload) or `bandwidth_bytes_per_s` (of a learner: delta = 2 gradient_bytes/bandwidth)
    is the reference at which it costs usd + usd_per_learner P; r times as good, r^price_exponent times that.
    """

    name: str = "network"
    kind: Literal["constant", "linear", "log"] = "constant"
    delta_s: float | None = None
    delta_min_s: float | None = None
    delta_max_s: float | None = None
    bandwidth_bytes_per_s: float | None = None
    bandwidth_min_bytes_per_s: float | None = None
    bandwidth_max_bytes_per_s: float | None = None
    latency_s: float = 0.0
    usd: float = 0.0
    usd_per_learner: float = 0.0
    price_exponent: float = 1.0
    w: float = 0.0
    w_per_learner: float = 0.0
    power_exponent: float = 0.0

    def __post_init__(self) -> None:
        dimensioned = (*DELTA_KEYS, *BANDWIDTH_KEYS)
        check(self, latency_s=non_negative, **dict.fromkeys(dimensioned, positive))
        _amounts(self)
        _exponents(self)
        if self.delta_s is None and self.bandwidth_bytes_per_s is None:
            raise ValueError("must have delta_s or bandwidth_bytes_per_s, what it costs usd at, got neither")
        for name in BANDWIDTH_KEYS if self.delta_s is not None else DELTA_KEYS:
            if getattr(self, name) is not None:
                raise ValueError(f"{name} must not be given beside {self.lever}, got {getattr(self, name):g}")
        low, high = self.ends
        if low > high:
            name = "delta_max_s" if self.delta_s is not None else "bandwidth_max_bytes_per_s"
            raise ValueError(f"{name} must be >= {low:g}, its lower end, got {high:g}")
        _costs_something(self)

    @property
    def lever(self) -> str:
        """Return the key that says what money moves."""
        return "delta_s" if self.delta_s is not None else "bandwidth_bytes_per_s"

    @property
    def reference(self) -> float:
        """Return the value at which the price holds."""
        reference = self.delta_s if self.delta_s is not None else self.bandwidth_bytes_per_s
        assert reference is not None
        return reference

    @property
    def ends(self) -> tuple[float, float]:
        """Return what can be had, lowest and highest."""
        names = DELTA_KEYS if self.delta_s is not None else BANDWIDTH_KEYS
        low, high = (getattr(self, name) for name in names[1:])
        return low if low is not None else self.reference / WIDE, high if high is not None else self.reference * WIDE


DELTA_KEYS = ("delta_s", "delta_min_s", "delta_max_s")
BANDWIDTH_KEYS = ("bandwidth_bytes_per_s", "bandwidth_min_bytes_per_s", "bandwidth_max_bytes_per_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousSection:
    """[design.continuous]: everything is a real number, and prices are smooth."""

    accelerator: str
    compute: Compute
    network: tuple[ContinuousNetwork, ...]
    learners_max: int
    learners_min: int = 1
    speed_min: float = 1.0
    speed_max: float = 1.0
    accelerators_per_learner: int = 1
    part: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        check(
            self,
            learners_min=whole,
            learners_max=whole,
            speed_min=positive,
            speed_max=positive,
            accelerators_per_learner=whole,
        )
        if not self.network:
            raise ValueError("network must be given at least once, as [[design.continuous.network]]")
        for low, high in (("learners_min", "learners_max"), ("speed_min", "speed_max")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{high} must be >= {low} = {getattr(self, low):g}, got {getattr(self, high):g}")
        names = [name for name, _ in self.named]
        for i, name in enumerate(names):
            if name in names[:i]:
                key = "network" if i <= len(self.network) else "part"
                raise ValueError(f"{key} must have names of their own, got {name!r} again")

    @property
    def named(self) -> list[tuple[str, str]]:
        """Return the name of each thing that is paid for, and its key in the file."""
        return list(self._named())

    def _named(self) -> Iterator[tuple[str, str]]:
        yield "compute", "compute"
        yield from ((one.name, f"network[{i}]") for i, one in enumerate(self.network))
        yield from ((one.name, f"part[{i}]") for i, one in enumerate(self.part))
