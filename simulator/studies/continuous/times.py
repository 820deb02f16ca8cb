"""T_C at M_opt as a smooth function of what money buys (learners, gamma, delta, or parts of them), with its exact gradient.

The minimum over the mini-batch is taken in closed form (Eqns 8 to 10, and the bounds of M), so its derivative is that of
T_C at a fixed M where M is free, and of T_C at a fixed M/P where M follows P (the knee, the memory of a learner).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, log, sqrt
from typing import Literal

from simulator.convergence import InverseLaw
from simulator.quantities import non_negative, positive

__all__ = ["LEARNERS", "BestTime", "Growth", "TrainingTime"]

Growth = Literal["constant", "linear", "log"]
"""Delta of P learners: delta (all-reduce, full fat tree), delta P (parameter server), delta max(log2 P, 1) (tree)."""

LEARNERS = "learners"
"""The lever that is the number of learners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestTime:
    """T_C at the best mini-batch, and how it moves.

    Parameters
    ----------
    converge_time_s : float
        Seconds.
    slopes : mapping of str to float
        dT_C / d lever, seconds per unit of the lever; levers that do not matter are left out.
    batch_samples, learners : float
        M_opt, and the learners used: fewer than there are where more would be slower.
    branch : {"interior", "knee", "bound"}
        Where M_opt lies.
    bound : str or None
        knee, memory, max_batch or law_end.
    """

    converge_time_s: float
    slopes: Mapping[str, float]
    batch_samples: float
    learners: float
    branch: Literal["interior", "knee", "bound"]
    bound: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTime:
    """T_C at M_opt of one workload, from levers: gamma and delta are sums of levers times (or over) factors of the workload.

    Parameters
    ----------
    convergence : InverseLaw
        N_Update(M). With N_inf <= 0 T_C falls up to the largest mini-batch, or to the law's end at N_Update = 1.
    knee_samples : float
        M_T, > 0.
    gamma, delta : mapping of str to float
        Lever: factor. A workload of other samples has another factor of the same gamma, one with more bytes another of delta.
    inverse : frozenset of str
        Levers that gamma or delta fall with, factor / lever: a speed, a bandwidth.
    constant_s, fixed_delta_s : float
        Seconds per update that no lever moves: of computing, and of combining gradients. >= 0.
    reduce : {"constant", "linear", "log"} or mapping of str to these
        How Delta grows with learners, of all levers of delta or of each. Delta(1) = 0.
    max_batch_samples, max_local_samples : float
        M, M/P <= these; infinite by default.
    name : str
        What it is called in results.
    weight : float
        In a weighted mean over workloads, > 0.

    Examples
    --------
    >>> time = TrainingTime(convergence=InverseLaw(n_inf_updates=1000, alpha_samples=64_000), knee_samples=8)
    >>> found = time.best({"learners": 64, "gamma_s_per_sample": 0.01, "delta_s": 0.5})
    >>> found.converge_time_s, found.batch_samples, found.branch  # (1000 + 64000/512) * (0.5 + 0.01 * 8)
    (652.5, 512, 'knee')
    >>> found.slopes["delta_s"]  # N_Update
    1125.0
    """

    convergence: InverseLaw
    knee_samples: float
    gamma: Mapping[str, float] = field(default_factory=lambda: {"gamma_s_per_sample": 1.0})
    delta: Mapping[str, float] = field(default_factory=lambda: {"delta_s": 1.0})
    inverse: frozenset[str] = frozenset()
    constant_s: float = 0.0
    fixed_delta_s: float = 0.0
    reduce: Growth | Mapping[str, Growth] = "constant"
    max_batch_samples: float = inf
    max_local_samples: float = inf
    name: str = "workload"
    weight: float = 1.0

    def __post_init__(self) -> None:
        positive("knee_samples", self.knee_samples)
        positive("weight", self.weight)
        for name in ("constant_s", "fixed_delta_s"):
            non_negative(name, getattr(self, name))
        for name in ("gamma", "delta"):
            for factor in getattr(self, name).values():
                positive(name, factor)
        if not self.gamma:
            raise ValueError("gamma must name at least one lever, got none")
        for name in ("max_batch_samples", "max_local_samples"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name):g}")

    @property
    def levers(self) -> tuple[str, ...]:
        """Levers that this time depends on."""
        return tuple(dict.fromkeys((LEARNERS, *self.gamma, *self.delta)))

    @property
    def kinks_learners(self) -> Mapping[float, str]:
        """Learners where the slope of T_C jumps, and why: the largest mini-batch meets the memory, or the knee, of all."""
        largest = min(self.max_batch_samples, self.convergence.batch_samples_range[1])
        kinks: dict[float, str] = {}
        if isfinite(largest):
            if self.knee_samples < self.max_local_samples < inf:
                kinks[largest / self.max_local_samples] = "on the largest mini-batch of {} fits into the memory of its learners"
            least = min(self.knee_samples, self.max_local_samples)
            kinks[largest / least] = "on the largest mini-batch of {} is below the knee of every learner"
        if any(self._growth(lever) == "log" for lever in self.delta):
            kinks[FIRST_STEP] = "on Delta of {} grows with learners"
            kinks[ONE_VALLEY] = "on all learners of {} are used unless more would be slower"
        return kinks

    def reduce_time_s(self, values: Mapping[str, float], learners: float, *, alone: bool = False) -> float:
        """Return Delta in seconds when `learners` of a design train."""
        constant, linear, log = (0.0, 0.0, 0.0) if alone else self._deltas(values)
        return constant + linear * learners + log * _doublings(learners)

    def _deltas(self, values: Mapping[str, float]) -> tuple[float, float, float]:
        """Return the parts of Delta: constant, times P, times log2 P."""
        parts: dict[Growth, float] = {"constant": self.fixed_delta_s, "linear": 0.0, "log": 0.0}
        for lever, factor in self.delta.items():
            parts[self._growth(lever)] += self._part(lever, factor, values)
        return parts["constant"], parts["linear"], parts["log"]

    def _growth(self, lever: str) -> Growth:
        return self.reduce if isinstance(self.reduce, str) else self.reduce.get(lever, "constant")

    def _part(self, lever: str, factor: float, values: Mapping[str, float]) -> float:
        return factor / values[lever] if lever in self.inverse else factor * values[lever]

    def best(self, values: Mapping[str, float], *, alone: bool = False) -> BestTime:
        """Return T_C at M_opt.

        Parameters
        ----------
        values : mapping of str to float
            Each lever, > 0; learners >= 1, real.
        alone : bool
            One learner without a network: Delta = 0.
        """
        gamma = sum(self._part(lever, factor, values) for lever, factor in self.gamma.items())
        constant, linear, log = (0.0, 0.0, 0.0) if alone else self._deltas(values)
        law = _Law(self, gamma, constant + self.constant_s, linear, log)
        P = 1.0 if alone else values[LEARNERS]
        found = law.at(P)
        if found[1] > 0.0 and P > 1.0:  # more learners are slower: use fewer
            P, found, per_learner = law.fewer(P)
        else:
            per_learner = found[1]
        T, _, per_gamma, per_delta, M, bound = found
        slopes: dict[str, float] = {}
        for lever, factor in self.gamma.items():
            slopes[lever] = per_gamma * self._slope(lever, factor, values)
        if not alone:
            times = {"constant": 1.0, "linear": P, "log": _doublings(P)}
            for lever, factor in self.delta.items():
                per_lever = per_delta * times[self._growth(lever)] * self._slope(lever, factor, values)
                slopes[lever] = slopes.get(lever, 0.0) + per_lever
            slopes[LEARNERS] = slopes.get(LEARNERS, 0.0) + per_learner
        branch: Literal["interior", "knee", "bound"] = "interior" if bound is None else "knee" if bound == "knee" else "bound"
        return BestTime(converge_time_s=T, slopes=slopes, batch_samples=M, learners=P, branch=branch, bound=bound)

    def _slope(self, lever: str, factor: float, values: Mapping[str, float]) -> float:
        return -factor / values[lever] ** 2 if lever in self.inverse else factor


FIRST_STEP = 2.0
"""Learners up to which a tree takes one step."""
ONE_VALLEY = 8.0
"""Learners from which on T_C has one valley at most, however Delta grows (from e^2 on, for that of a tree)."""
VALLEYS = 8
"""Places between FIRST_STEP and ONE_VALLEY among which valleys are looked for."""

BESIDE_KINK = 1e-12

At = tuple[float, float, float, float, float, str | None]


def _doublings(learners: float) -> float:
    return log(max(learners, FIRST_STEP)) / log(2.0)


class _Law:
    """T_C at M_opt over the learners, at given gamma and deltas: constant parts, those times P, those times log2 P."""

    __slots__ = ("alpha", "constant", "gamma", "highest", "kinks", "knee", "linear", "local", "log", "n_inf")

    def __init__(self, time: TrainingTime, gamma: float, constant: float, linear: float, log: float) -> None:
        self.gamma, self.constant, self.linear, self.log = gamma, constant, linear, log
        self.n_inf, self.alpha = time.convergence.n_inf_updates, time.convergence.alpha_samples
        self.knee, self.local = time.knee_samples, time.max_local_samples
        law_end = time.convergence.batch_samples_range[1]
        self.highest = (law_end, "law_end") if law_end < time.max_batch_samples else (time.max_batch_samples, "max_batch")
        self.kinks = sorted(self.highest[0] / local for local in {self.local, min(self.knee, self.local)})

    def at(self, P: float) -> At:
        """Return T_C, its derivatives by P, gamma and a constant delta, M_opt and its bound."""
        N, alpha, gamma, knee = self.n_inf, self.alpha, self.gamma, self.knee
        overhead, growth = self.constant + self.linear * P, self.linear
        if self.log:
            overhead += self.log * _doublings(P)
            growth += self.log / (P * log(2.0)) if P > FIRST_STEP else 0.0
        bound: str | None
        if N > 0:
            M, bound = sqrt(alpha * overhead * P / (N * gamma)), None
            if not knee * P < M:
                M, bound = knee * P, "knee"
        else:
            M, bound = inf, None
        if self.local * P < M:
            M, bound = self.local * P, "memory"
        if self.highest[0] < M:
            M, bound = self.highest
        updates, local = N + alpha / M, max(M / P, knee)
        update_s = overhead + gamma * local
        per_learner = updates * growth
        if bound in ("knee", "memory"):  # M follows P
            per_learner -= alpha / (M * P) * update_s
        elif knee * P < M:  # M stays, each learner has less of it
            per_learner -= updates * gamma * M / (P * P)
        return updates * update_s, per_learner, updates * local, updates, M, bound

    def fewer(self, P: float) -> tuple[float, At, float]:
        """Return the learners, fewer than P, that are fastest, T_C there, and its derivative by P, which is 0."""
        if not self.log:
            best = self._valley(1.0, P) if self.at(1.0)[1] < 0.0 else 1.0
            return best, self.at(best), 0.0
        if P <= FIRST_STEP:  # only what grows with P itself can be slower here
            best = self._valley(1.0, P) if self.at(1.0)[1] < 0.0 else 1.0
            return best, self.at(best), 0.0
        places = [FIRST_STEP]
        if P > ONE_VALLEY and self.at(ONE_VALLEY)[1] < 0.0:
            places.append(self._valley(ONE_VALLEY, P))
        last, ratio = FIRST_STEP * (1.0 + 1e-12), (min(P, ONE_VALLEY) / FIRST_STEP) ** (1.0 / VALLEYS)
        slope = self.at(last)[1]
        for step in range(1, VALLEYS + 1):
            place = FIRST_STEP * ratio**step
            after = self.at(place)[1]
            if slope < 0.0 <= after:
                places.append(self._valley(last, place))
            last, slope = place, after
        if self.linear and self.at(FIRST_STEP)[1] > 0.0:
            places.append(self._valley(1.0, FIRST_STEP) if self.at(1.0)[1] < 0.0 else 1.0)
        best = min(places, key=lambda at: self.at(at)[0])
        return best, self.at(best), 0.0

    def _valley(self, low: float, high: float) -> float:
        """Return the learners where T_C stops falling: it falls at `low` and rises at `high`, and may have a corner between."""
        from scipy.optimize import brentq

        for kink in self.kinks:
            if low < kink < high:
                if self.at(kink * (1.0 + BESIDE_KINK))[1] < 0.0:
                    low = kink * (1.0 + BESIDE_KINK)
                elif self.at(kink * (1.0 - BESIDE_KINK))[1] < 0.0:
                    return kink
                else:
                    high = kink * (1.0 - BESIDE_KINK)
        return float(brentq(lambda at: self.at(at)[1], low, high, xtol=1e-15 * low, rtol=1e-15))
