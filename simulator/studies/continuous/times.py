"""T_C at M_opt as a smooth function of what money buys (learners, gamma, delta, or parts of them), with its exact gradient.

The minimum over the mini-batch is taken in closed form (Eqns 8 to 10, and the bounds of M), so its derivative is that of
T_C at a fixed M where M is free, and of T_C at a fixed M/P where M follows P (the knee, the memory of a learner).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isinf, sqrt
from typing import Literal

from simulator.convergence import InverseLaw
from simulator.quantities import non_negative, positive

__all__ = ["LEARNERS", "BestTime", "TrainingTime"]

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
    """T_C at M_opt of one workload, from levers: gamma and delta are sums of levers times factors of the workload.

    Parameters
    ----------
    convergence : InverseLaw
        N_Update(M). With N_inf <= 0 T_C falls up to the largest mini-batch, or to the law's end at N_Update = 1.
    knee_samples : float
        M_T, > 0.
    gamma, delta : mapping of str to float
        Lever: factor. A workload of other samples has another factor of the same gamma, one with more bytes another of delta.
    constant_s, fixed_delta_s : float
        Seconds per update that no lever moves: of computing, and of combining gradients. >= 0.
    reduce : {"constant", "linear"}
        All-reduce on a full fat tree, Delta = delta; synchronous parameter server, Delta = delta P. Delta(1) = 0.
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
    constant_s: float = 0.0
    fixed_delta_s: float = 0.0
    reduce: Literal["constant", "linear"] = "constant"
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
    def kinks_learners(self) -> tuple[float, ...]:
        """Learners where T_C bends: from there on the largest mini-batch is less than the knee of every learner."""
        largest = min(self.max_batch_samples, self.convergence.batch_samples_range[1])
        return () if isinf(largest) else (largest / min(self.knee_samples, self.max_local_samples),)

    def best(self, values: Mapping[str, float], *, alone: bool = False) -> BestTime:
        """Return T_C at M_opt.

        Parameters
        ----------
        values : mapping of str to float
            Each lever, > 0; learners >= 1, real.
        alone : bool
            One learner without a network: Delta = 0.
        """
        gamma = sum(factor * values[lever] for lever, factor in self.gamma.items())
        delta = 0.0 if alone else sum(factor * values[lever] for lever, factor in self.delta.items())
        fixed = self.constant_s + (0.0 if alone else self.fixed_delta_s)
        P = 1.0 if alone else values[LEARNERS]
        found = self._at(gamma, delta, fixed, P)
        if found[1] > 0.0 and P > 1.0:  # a server that more learners slow down: use fewer
            low, high = 1.0, P
            while high - low > 1e-14 * high:
                middle = 0.5 * (low + high)
                low, high = (middle, high) if self._at(gamma, delta, fixed, middle)[1] < 0.0 else (low, middle)
            P = high
            found = self._at(gamma, delta, fixed, P)
            per_learner = 0.0
        else:
            per_learner = found[1]
        T, _, per_gamma, per_delta, M, bound = found
        slopes = {lever: per_gamma * factor for lever, factor in self.gamma.items()}
        if not alone:
            for lever, factor in self.delta.items():
                slopes[lever] = slopes.get(lever, 0.0) + per_delta * factor
            slopes[LEARNERS] = slopes.get(LEARNERS, 0.0) + per_learner
        branch: Literal["interior", "knee", "bound"] = "interior" if bound is None else "knee" if bound == "knee" else "bound"
        return BestTime(converge_time_s=T, slopes=slopes, batch_samples=M, learners=P, branch=branch, bound=bound)

    def _at(self, gamma: float, delta: float, fixed: float, P: float) -> tuple[float, float, float, float, float, str | None]:
        """Return T_C, its derivatives by P, gamma and delta, M_opt and its bound."""
        N, alpha, knee = self.convergence.n_inf_updates, self.convergence.alpha_samples, self.knee_samples
        server = self.reduce == "linear"
        overhead = (delta * P if server else delta) + fixed
        free = sqrt(alpha * overhead * P / (N * gamma)) if N > 0 else inf
        M, bound = (free, None) if free > knee * P else (knee * P, "knee")
        if N <= 0:
            M, bound = inf, None
        bounds = (
            (self.max_local_samples * P, "memory"),
            (self.max_batch_samples, "max_batch"),
            (self.convergence.batch_samples_range[1], "law_end"),
        )
        for most, name in bounds:
            if most < M:
                M, bound = most, name
        updates, local = N + alpha / M, max(M / P, knee)
        update_s = overhead + gamma * local
        per_learner = updates * (delta if server else 0.0)
        if bound in ("knee", "memory"):  # M follows P
            per_learner -= alpha / (M * P) * update_s
        elif knee * P < M:  # M stays, each learner has less of it
            per_learner -= updates * gamma * M / (P * P)
        return updates * update_s, per_learner, updates * local, updates * (P if server else 1.0), M, bound
