"""The time and the dollars of one workload on one cluster under draws of everything that is uncertain about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.convergence import InverseLaw
from simulator.loading import Provenance, values_of
from simulator.network.laws import ConstantReduce
from simulator.quantities import FloatArray
from simulator.scenarios.cases import Case
from simulator.scenarios.effects import is_of, times_at_ends
from simulator.scenarios.resolve import Scenario
from simulator.scenarios.uncertain_network import DeltaRange, delta_ranges, has_network, is_of_delta
from simulator.studies.chances import Normals, two_piece_factor
from simulator.uncertainty import NORMAL_95, extrapolation_sd, parameter_sd

__all__ = ["TimeSpread", "time_spread"]

Factor = Callable[[Normals], FloatArray]
SMALLEST = 1e-3
"""A drawn N_inf or alpha is no less than this share of its value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeSpread:
    """T_C at a given (M, P) as a function of draws.

    Parameters
    ----------
    converge_time_s : float
        Without any error.
    groups : mapping of str to tuple of str
        Quantities that matter, by what they belong to.
    factors : tuple of callable
        What the time is multiplied by, from draws.
    """

    converge_time_s: float
    groups: Mapping[str, tuple[str, ...]]
    factors: tuple[Factor, ...]

    def time_s(self, normals: Normals) -> FloatArray:
        """Return T_C, the mean over runs, for every draw."""
        time_s = np.full(normals.draws, self.converge_time_s)
        for factor in self.factors:
            time_s = time_s * factor(normals)
        return time_s


def time_spread(
    scenario: Scenario, case: Case, case_of: Callable[[Scenario], Case], batch_samples: float, learners: float
) -> TimeSpread:
    """Return how T_C at (M, P) spreads: the law of updates with its covariance, discrepancy, extrapolation, and all ranges.

    Quantities are named so that two clusters share what is the same: the law of a workload, Gamma on an accelerator, the rate
    of a kind of link, a key of the file. An estimate from FLOPs has a utilisation of its own on each accelerator.
    """
    groups: dict[str, tuple[str, ...]] = {}
    factors: list[Factor] = []
    _law(case, batch_samples, groups, factors)
    model = case.model
    base = float(model.converge_time_s(batch_samples, learners))
    step_s = float(model.step_time_s(batch_samples, learners))
    exact: dict[str, dict[str, _Ranged]] = {"compute": {}, "reduce": {}}
    on_network = has_network(scenario)
    for path, record in scenario.records.items():
        if (record.low is None and record.high is None) or not _matters(path, case) or (on_network and is_of_delta(path, case)):
            continue
        name = _named(path, case, scenario)
        part, field = _part(path, case)
        if part is not None and hasattr(getattr(model, part), field):
            exact[part][field] = _Ranged.of(name, path, record, float(getattr(getattr(model, part), field)), scenario)
            groups[name] = (name,)
            continue
        ends = times_at_ends(scenario, case, path, record, case_of, batch_samples, learners)
        if min(ends) < base * (1 - 1e-12) or max(ends) > base * (1 + 1e-12):
            groups[name] = (name,)
            factors.append(_by_ends(name, base, *ends))
    deltas = delta_ranges(scenario, case, learners)
    groups |= {one.name: (one.name,) for one in deltas}
    if any(exact.values()) or deltas:
        factors.append(_by_model(case, exact, deltas, step_s, batch_samples, learners))
    return TimeSpread(converge_time_s=base, groups=groups, factors=tuple(factors))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranged:
    """A parameter of a law with the ends of its range."""

    name: str
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, path: str, record: Provenance, value: float, scenario: Scenario) -> _Ranged:
        """Take the range of a key; of a utilisation, gamma = constant/utilisation has the inverse one."""
        if path.endswith(".utilisation"):
            stated = next(number for key, number in values_of(scenario.tree) if key == path)
            low = stated if record.low is None else record.low
            high = stated if record.high is None else record.high
            return cls(name=name, value=value, low=value * stated / high, high=value * stated / low)
        return cls(
            name=name,
            value=value,
            low=value if record.low is None else record.low,
            high=value if record.high is None else record.high,
        )

    def drawn(self, normals: Normals) -> FloatArray:
        """Return the parameter for every draw."""
        if self.low <= 0 or self.value <= 0:  # a constant that may be nothing: straight lines instead of logarithms
            z = normals[self.name] / NORMAL_95
            side = np.where(z > 0, self.high - self.value, self.value - self.low)
            return np.asarray(np.maximum(self.value + z * side, 0.0))
        return self.value * two_piece_factor(normals[self.name], self.value, self.low, self.high)


def _law(case: Case, M: float, groups: dict[str, tuple[str, ...]], factors: list[Factor]) -> None:
    """Add what the fit of the updates law knows about itself."""
    fit, law, who = case.fit, case.model.convergence, case.workload
    if fit is None:
        return
    if any(fit.relative_standard_errors):
        name = f"updates law of {who}"
        if isinstance(law, InverseLaw):
            first, second = f"{name}: n_inf_updates", f"{name}: alpha_samples"
            groups[name] = (first, second)
            errors, rho = fit.relative_standard_errors, fit.correlation
            N, alpha = law.n_inf_updates, law.alpha_samples
            updates = float(law.updates(M))

            def drawn(z: Normals) -> FloatArray:
                a, b = z[first], z[second]
                moved_N = N + abs(N) * np.maximum(errors[0] * a, SMALLEST - 1.0)
                moved_alpha = alpha * np.maximum(1.0 + errors[1] * (rho * a + np.sqrt(1.0 - rho * rho) * b), SMALLEST)
                return np.asarray(np.maximum(moved_N + moved_alpha / M, 1.0) / updates)

            factors.append(drawn)
        else:
            groups[name] = (name,)
            factors.append(_lognormal(name, parameter_sd(law, fit, M)))
    if fit.discrepancy_relative:
        name = f"discrepancy of the updates law of {who}"
        groups[name] = (name,)
        factors.append(_lognormal(name, fit.discrepancy_relative))
    beyond = extrapolation_sd(M, fit.batch_samples_range)
    if beyond:
        name = f"extrapolation of the updates law of {who}"
        groups[name] = (name,)
        factors.append(_lognormal(name, beyond))


def _lognormal(name: str, sd: float) -> Factor:
    return lambda z: np.asarray(np.exp(sd * z[name]))


def _by_ends(name: str, base: float, low_s: float, high_s: float) -> Factor:
    """Two pieces, straight in the logarithm, through the times at the ends of a range."""
    up, down = np.log(high_s / base), -np.log(low_s / base)
    return lambda z: np.asarray(np.exp(np.where(z[name] > 0, up, down) * z[name] / NORMAL_95))


def _by_model(
    case: Case,
    exact: Mapping[str, Mapping[str, _Ranged]],
    deltas: Sequence[DeltaRange],
    step_s: float,
    M: float,
    P: float,
) -> Factor:
    """The time of an update from the laws themselves, with their parameters drawn, and with Delta of a network."""

    def drawn(z: Normals) -> FloatArray:
        model: Any = case.model
        if deltas:
            delta_s = np.full(z.draws, deltas[0].value_s)
            for one in deltas:
                delta_s = delta_s * two_piece_factor(z[one.name], one.value_s, one.low_s, one.high_s)
            model = replace(model, reduce=ConstantReduce(delta_s=delta_s))  # type: ignore[arg-type]
        for part, fields in exact.items():
            if fields:
                values = {field: ranged.drawn(z) for field, ranged in fields.items()}
                model = replace(model, **{part: replace(getattr(model, part), **values)})
        return np.asarray(model.step_time_s(M, P)) / step_s

    return drawn


def _part(path: str, case: Case) -> tuple[str | None, str]:
    """Return the part of the model, and its field, that a key of the file is; None where it is none by itself."""
    if path.startswith(f"{case.compute_key}."):
        field = path.removeprefix(f"{case.compute_key}.")
        return "compute", "gamma_s_per_sample" if field == "utilisation" else field
    if path.startswith("reduce.") and dataclasses.is_dataclass(case.model.reduce) and not hasattr(case.model.reduce, "network"):
        return "reduce", path.removeprefix("reduce.")
    return None, ""


def _named(path: str, case: Case, scenario: Scenario) -> str:
    """Return the name of a quantity: that of its key, with the workload's; of an estimate, with the accelerator's."""
    accelerator = scenario.accelerator.name if scenario.accelerator is not None else ""
    own = f"workload[{case.workload_index}]."
    if path == f"{case.compute_key}.utilisation":
        return f"utilisation of {case.workload} on {accelerator}"
    if path.startswith(f"{case.compute_key}.") and ".from_flops." in path:
        return f"{path.rsplit('.', 1)[-1]} of {case.workload} on {accelerator}"
    if path.startswith(own):
        return f"{case.workload}: {path.removeprefix(own)}"
    return path


def _matters(path: str, case: Case) -> bool:
    """Whether a key can matter to the time: of a compute table, only those of the one used."""
    if path.startswith(f"workload[{case.workload_index}].compute."):
        return path.startswith(f"{case.compute_key}.")
    return is_of(path, case) and not path.startswith("cost")
