"""The laws of a step as a fit sees them: Gamma, Delta and their overlap, log seconds against local batch, learners and nodes.

T = (Gamma^q + Delta^q)^(1/q). Every parameter is positive and a fit varies its logarithm, with weak priors that decide where
the data say nothing. All forms of Delta are sums of positive parts, so that one derivative serves them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simulator.calibration.step_time_series import Places
from simulator.quantities import FloatArray

__all__ = ["COMPUTE_FORMS", "REDUCE_FORMS", "StepLaw", "candidate_laws"]

Shape = Callable[[FloatArray, FloatArray, FloatArray], Any]
"""From learners P, nodes N and learners per node g to the factor of one parameter."""

OVERLAP = "overlap_exponent"

COMPUTE_FORMS: Mapping[str, tuple[str, ...]] = {
    "affine": ("constant_s", "gamma_s_per_sample"),
    "knee": ("gamma_s_per_sample", "knee_samples"),
    "knee_constant": ("constant_s", "gamma_s_per_sample", "knee_samples"),
}
"""Gamma(m): constant + gamma * m; gamma * max(m, knee) (Eqn 4); gamma * max(m, knee) + constant."""

REDUCE_FORMS: Mapping[str, Mapping[str, Shape]] = {
    "none": {},
    "constant": {
        "in_node_s": lambda P, N, g: 1.0 * (P > 1),
        "node_jump_s": lambda P, N, g: 1.0 * (N > 1),
    },
    "linear": {
        "in_node_s": lambda P, N, g: 1.0 * (P > 1),
        "node_jump_s": lambda P, N, g: 1.0 * (N > 1),
        "per_learner_s": lambda P, N, g: P - 1.0,
    },
    "node_log": {
        "in_node_s": lambda P, N, g: 1.0 * (P > 1),
        "node_jump_s": lambda P, N, g: 1.0 * (N > 1),
        "per_doubling_s": lambda P, N, g: np.log2(P),
    },
    "node_log_across": {
        "in_node_s": lambda P, N, g: 1.0 * (P > 1),
        "node_jump_s": lambda P, N, g: 1.0 * (N > 1),
        "per_doubling_s": lambda P, N, g: np.log2(P) * (N > 1),
    },
    "node_root": {
        "in_node_s": lambda P, N, g: 1.0 * (P > 1),
        "node_jump_s": lambda P, N, g: 1.0 * (N > 1),
        "per_root_s": lambda P, N, g: np.sqrt(P - 1.0),
    },
    "ring": {
        "in_node_s": lambda P, N, g: (P - 1.0) / P * (N == 1),
        "across_nodes_s": lambda P, N, g: (P - 1.0) / P * (N > 1),
        "per_step_s": lambda P, N, g: P - 1.0,
    },
    "two_tier_ring": {
        "in_node_s": lambda P, N, g: (g - 1.0) / g,
        "across_nodes_s": lambda P, N, g: (N - 1.0) / N,
    },
    "hierarchical_ring": {
        "in_node_s": lambda P, N, g: (g - 1.0) / g,
        "across_nodes_s": lambda P, N, g: (N - 1.0) / N,
        "per_step_in_node_s": lambda P, N, g: g - 1.0,
        "per_step_across_nodes_s": lambda P, N, g: N - 1.0,
    },
    "tree_across_nodes": {
        "in_node_s": lambda P, N, g: (g - 1.0) / g,
        "node_jump_s": lambda P, N, g: 1.0 * (N > 1),
        "per_doubling_s": lambda P, N, g: np.log2(N),
    },
    "two_tier_ring_log": {
        "in_node_s": lambda P, N, g: (g - 1.0) / g,
        "across_nodes_s": lambda P, N, g: (N - 1.0) / N,
        "node_jump_s": lambda P, N, g: 1.0 * (N > 1),
        "per_doubling_s": lambda P, N, g: np.log2(P),
    },
}
"""Delta: what each parameter is multiplied by.

node_log and linear grow as published clusters do less and more than; node_root stands between them. ring, hierarchical_ring
and tree_across_nodes are what latency and bandwidth give on an idle network (alpha-beta): one ring through all learners,
a ring in each node and one across them, and a tree across nodes, with the seconds of the gradient's bytes and of a step in
place of bandwidth and latency, since the table of step times does not know the bytes. two_tier_ring_log holds
two_tier_ring and node_log, the two that extrapolate best on published clusters.
"""

BY_NODE = ("two_tier_ring", "hierarchical_ring", "tree_across_nodes", "two_tier_ring_log")
"""Forms that depend on g, which uneven placements have two of: the mean of the nodes, or the fullest node."""

COMPUTE_SHARE = 0.3
REDUCE_SHARE = 0.2
WIDE, SOME, KNEE = 2.0, 1.5, 1.0
"""Priors. The constant of Gamma is about 0.3 of the fewest learners' mean step and gamma * m the rest, within a factor e^1.5;
the knee half the mean local batch, within e; each part of Delta at its largest about a fifth of the mean step, within e^2:
between a hundredth and ten times it."""

EXPONENT = (2.0, 0.5)
"""The overlap exponent q: q - 1 is 1 within a factor e^0.5; published clusters lie about 2, the sum is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLaw:
    """One form of the law of a step.

    Parameters
    ----------
    compute : str
        A key of `COMPUTE_FORMS`.
    reduce : str
        A key of `REDUCE_FORMS`.
    node : {"mean", "fullest"}
        Which g a placement has.
    exponent : float or None
        Overlap exponent q where it is not fitted: 1 is the sum.
    """

    compute: str
    reduce: str
    node: Literal["mean", "fullest"] = "mean"
    exponent: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters; a fit varies their logarithms (of q - 1 for the exponent)."""
        parts = tuple(REDUCE_FORMS[self.reduce])
        return (*COMPUTE_FORMS[self.compute], *parts, *((OVERLAP,) if parts and self.exponent is None else ()))

    def values(self, logs: FloatArray) -> dict[str, float]:
        """Return the parameters by name."""
        found = {name: float(value) for name, value in zip(self.names, np.exp(logs), strict=True)}
        if OVERLAP in found:
            found[OVERLAP] += 1.0
        return found

    def factors(self, places: Places) -> list[FloatArray]:
        """Return what each part of Delta is multiplied by at some places."""
        P, N = places.learners, places.nodes
        g = P / N if self.node == "mean" else places.fullest_node
        return [np.asarray(shape(P, N, g), dtype=np.float64) for shape in REDUCE_FORMS[self.reduce].values()]

    def log_time(self, logs: FloatArray, places: Places, factors: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return log seconds at some places, shape (x,), and their derivatives by the log parameters, shape (x, k)."""
        k = len(COMPUTE_FORMS[self.compute])
        values = np.exp(np.clip(logs, -100.0, 100.0))
        J = np.zeros((len(places.learners), len(values)))
        log_gamma = self._log_compute(values, places, J)
        log_T = log_gamma
        if factors:
            parts = [value * factor for value, factor in zip(values[k:], factors, strict=False)]
            delta = np.maximum(np.sum(parts, axis=0), 1e-300)
            log_delta = np.log(delta)
            q = 1.0 + float(values[-1]) if self.exponent is None else self.exponent
            log_T = np.logaddexp(q * log_gamma, q * log_delta) / q
            share = np.exp(q * (log_gamma - log_T))  # of Gamma in T^q; Delta has the rest
            J[:, :k] *= share[:, None]
            for j, part in enumerate(parts):
                J[:, k + j] = (1.0 - share) * part / delta
            if self.exponent is None:
                mean = share * log_gamma + np.where(share < 1.0, (1.0 - share) * log_delta, 0.0)
                J[:, -1] = values[-1] * (mean - log_T) / q
        if places.waits.any():
            log_T = np.where(places.waits, log_gamma, log_T)
            alone = np.zeros_like(J)
            self._log_compute(values, places, alone)
            J = np.where(places.waits[:, None], alone, J)
        return log_T, J

    def _log_compute(self, values: FloatArray, places: Places, J: FloatArray) -> FloatArray:
        """Return log Gamma of all micro-steps and write its derivatives into the first columns of J."""
        m, s = places.local_samples, places.micro_steps
        if self.compute == "affine":
            parts = [values[0] + 0.0 * m, values[1] * m]
        else:
            knee = values[len(COMPUTE_FORMS[self.compute]) - 1]
            above = values[0 if self.compute == "knee" else 1] * np.maximum(m, knee)
            parts = ([] if self.compute == "knee" else [values[0] + 0.0 * m]) + [above, above * (m < knee)]
        gamma = parts[0] + parts[1] if self.compute != "knee" else parts[0]
        for j, part in enumerate(parts):
            J[:, j] = part / gamma
        return np.asarray(np.log(s * gamma), dtype=np.float64)

    def priors(self, places: Places, log_T: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means and standard deviations of the log parameters, given the measured places and log seconds."""
        fewest = places.learners == np.min(places.learners)
        step_s = np.exp(np.mean(log_T[fewest] - np.log(places.micro_steps[fewest])))
        samples = np.exp(np.mean(np.log(places.local_samples[fewest])))
        per_sample = np.log((1.0 - COMPUTE_SHARE) * step_s / samples)
        known = {
            "constant_s": (np.log(COMPUTE_SHARE * step_s), SOME),
            "gamma_s_per_sample": (per_sample, SOME),
            "knee_samples": (np.log(0.5 * samples), KNEE),
            OVERLAP: (np.log(EXPONENT[0] - 1.0), EXPONENT[1]),
        }
        whole_s = np.exp(np.mean(log_T))
        for name, factor in zip(REDUCE_FORMS[self.reduce], self.factors(places), strict=True):
            known[name] = (np.log(REDUCE_SHARE * whole_s / max(1.0, float(np.max(factor)))), WIDE)
        mean, sd = np.array([known[name] for name in self.names]).T
        return mean, sd


def candidate_laws(computes: tuple[str, ...], places: Places) -> tuple[StepLaw, ...]:
    """Return every form of Delta with each of some forms of Gamma; g of the fullest node too where placements are uneven."""
    uneven = bool(np.any(np.abs(places.fullest_node - places.learners / places.nodes) > 1e-9))
    return tuple(
        StepLaw(compute=compute, reduce=reduce, node=node)
        for compute in computes
        for reduce in REDUCE_FORMS
        for node in (("mean", "fullest") if uneven and reduce in BY_NODE else ("mean",))
    )
