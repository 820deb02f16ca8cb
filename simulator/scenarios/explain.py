"""Where every number of an answer comes from: key, value, unit, source, whether somebody checked it, and its equation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from simulator.errors import InfeasibleError
from simulator.limits import EXTRAPOLATION_FACTOR, admissible_batch_samples
from simulator.loading import Provenance, quantity, unit_of, values_of
from simulator.overlap import SumOverlap
from simulator.profiles import load_profile
from simulator.scenarios.cases import Case
from simulator.scenarios.explain_money import money_rows
from simulator.scenarios.resolve import Scenario

__all__ = ["explanation"]

EQUATIONS = {
    "n_inf_updates": "N_inf in N_Update = N_inf + alpha/M (Eqn 2)",
    "alpha_samples": "alpha in N_Update = N_inf + alpha/M (Eqn 2)",
    "sharpness": "p in N_Update = (N_inf^p + (alpha/M)^p)^(1/p)",
    "tuning_factor": "factor on N_Update",
    "gamma_s_per_sample": "gamma in Gamma = gamma*max(M/P, M_T) (Eqn 4)",
    "knee_samples": "M_T in Gamma = gamma*max(M/P, M_T) (Eqn 4)",
    "constant_s": "constant part of Gamma",
    "utilisation": "gamma = train_flop_per_sample/(peak*utilisation)",
    "train_flop_per_sample": "gamma = train_flop_per_sample/(peak*utilisation)",
    "delta_s": "delta in Delta(P) (Eqn 3)",
    "in_node_s": "Delta(P) inside a node (Eqn 3)",
    "node_jump_s": "Delta(P) once learners span nodes (Eqn 3)",
    "per_doubling_s": "c in Delta(P) = ... + c*log2(P) (Eqn 3)",
    "across_nodes_s": "B in Delta(P) = A(g-1)/g + B(N-1)/N (Eqn 3)",
    "latency_s": "Delta(P) = 2(P-1)(latency + bytes/(P*bandwidth)) (Eqn 3)",
    "bandwidth_bytes_per_s": "Delta(P) = 2(P-1)(latency + bytes/(P*bandwidth)) (Eqn 3)",
    "gradient_bytes": "bytes in Delta(P)",
    "max_local_samples": "bound M/P <= max_local_samples",
    "data_set_samples": "bound M <= data_set_samples",
    "input_samples_per_s": "T_Update >= M/rate",
    "every_updates": "N in the cross-validation term (Eqn 6)",
    "relative_sd": "scatter of Gamma from update to update",
    "factor": "Gamma of a slow learner",
    "node_mtbf_s": "Theta = node_mtbf_s/nodes",
    "checkpoint_s": "c in Theta e^(R/Theta) (e^((tau+c)/Theta) - 1) W/tau",
    "restart_s": "R in Theta e^(R/Theta) (e^((tau+c)/Theta) - 1) W/tau",
    "checkpoint_every_s": "tau in Theta e^(R/Theta) (e^((tau+c)/Theta) - 1) W/tau",
    "cost_ratio": "gamma_CV/gamma in the cross-validation term (Eqn 6)",
    "samples": "M_CV in the cross-validation term (Eqn 6)",
    "accelerators": "P = accelerators/accelerators_per_learner",
    "accelerators_per_learner": "P = accelerators/accelerators_per_learner",
    "nodes": "P = nodes*accelerators of a node/accelerators_per_learner",
    "usd_per_node_hour": "cost = nodes*T_C*price",
    "electricity_usd_per_kwh": "power over the life: power_w*pue*tariff",
    "pue": "power over the life: power_w*pue*tariff",
    "idle_power": "power over the life while nothing trains, of that while it does",
    "life_s": "cost = total*T_C/(life*utilisation)",
    "facility_usd_per_node": "total = purchase + facility + power",
    "run_to_run_relative": "90 % interval of one run",
    "discrepancy_relative": "90 % interval",
    "correlation": "90 % interval",
}
NETWORK_FIGURES = ("bandwidth_bytes_per_s", "usable_bandwidth_bytes_per_s", "radix", "port_bandwidth_bytes_per_s", "latency_s")
ENVELOPE = ("source", "date", "verified", "notes", "title", "name", "use", "schema")


def _row(key: str, value: Any, unit: str | None, record: Provenance | None, equation: str | None) -> dict[str, Any]:
    """Return a row for a number of a file."""
    source = None
    if record is not None:
        stated = record.source or "not stated"
        source = f"{stated} ({record.file})"
        if record.date:
            source = f"{stated}, {record.date} ({record.file})"
    return {
        "key": key,
        "value": value,
        "unit": unit,
        "source": source,
        "verified": record.verified if record is not None else None,
        "equation": equation,
        "low": record.low if record is not None else None,
        "high": record.high if record is not None else None,
    }


def _derived(key: str, value: Any, unit: str | None, how: str, equation: str | None = None) -> dict[str, Any]:
    return {**_row(key, value, unit, None, equation), "source": how}


def explanation(scenario: Scenario, case: Case) -> list[dict[str, Any]]:
    """Return a row for every number and default behind the answer of a case.

    Returns
    -------
    list of dict
        key, value, unit, source, verified, equation, low, high. Defaults say so; derived numbers say how.
    """
    rows = list(_given(scenario, case))
    given = {row["key"] for row in rows}
    for section, cls in (("run", scenario.sections.run),):
        for field in dataclasses.fields(cls):
            if f"{section}.{field.name}" not in given:
                value = getattr(cls, field.name)
                if field.name == "whole_samples" and value is None:
                    value = "true for run, false for optimum"
                rows.append(_derived(f"{section}.{field.name}", value, unit_of(field.name), "default"))
    if "overlap" not in (scenario.tree.get("reduce") or {}) and isinstance(case.model.overlap, SumOverlap):
        rows.append(_derived("reduce.overlap", "sum", None, "default", "T_Update = Gamma + Delta (Eqn 3)"))
    if "accelerators_per_learner" not in (scenario.tree.get("cluster") or {}):
        rows.append(_derived("cluster.accelerators_per_learner", 1, None, "default", EQUATIONS["accelerators_per_learner"]))
    rows += _consequences(case)
    if case.cost is not None:
        rows += money_rows(case.cost, {row["key"] for row in rows})
    return rows


def _given(scenario: Scenario, case: Case) -> Iterator[dict[str, Any]]:
    """Rows for what the files say: the case's workload and compute law, the shared sections, the hardware."""
    own = f"workload[{case.workload_index}]"
    network = ("network",) if hasattr(case.model.reduce, "network") else ()
    for path, value in values_of(scenario.tree):
        root = path.split(".")[0]
        key = path.rsplit(".", 1)[-1]
        sections = ("cluster", "reduce", "cross_validation", "cost", "run", "simulate", "seed", *network)
        if root not in (own, *sections) or key in ENVELOPE:
            continue
        if path.startswith(f"{own}.compute.") and not path.startswith(f"{case.compute_key}."):
            continue
        unit = unit_of(key) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
        if unit is not None and value not in ("best", "all", "auto", "mean", "drawn"):
            value = quantity(key, value)
        equation = EQUATIONS["life_s"] if path == "cost.utilisation" else EQUATIONS.get(key)
        if key == "accelerators_per_learner" and ".compute." in path:
            equation = "the learner that Gamma holds for"
        if key == "kind" or value in ("mean", "drawn"):
            unit = None
        value = "inf" if value == np.inf else value
        yield _row(path, value, unit, scenario.records.get(path), equation)
    for profile, name in ((scenario.node, "node"), (scenario.accelerator, "accelerator")):
        if profile is None:
            continue
        for field in dataclasses.fields(profile):
            value = getattr(profile, field.name)
            if value is None or field.name in (*ENVELOPE, "vendor", "released", "unit"):
                continue
            record = scenario.hardware_records.get(f"{name}.{field.name}")
            unit = unit_of(field.name) if isinstance(value, float) else None
            yield _row(f"{name}.{field.name}", value, unit, record, None)
    if hasattr(case.model.reduce, "network"):
        yield from _of_network_profiles(scenario)


def _of_network_profiles(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Rows for the rates and latencies of the profiles that [network] names, by profile."""
    section = scenario.sections.network
    assert section is not None
    seen: set[str] = set()
    for key in ("host_link", "upper_link", "inner_link", "switch"):
        name = getattr(section, key)
        if not isinstance(name, str) or name in seen:
            continue
        seen.add(name)
        kind = "switches" if key == "switch" else "networks"
        profile, records = load_profile(kind, name, beside=scenario.folder, profile_folders=scenario.profile_folders)
        for figure in NETWORK_FIGURES:
            value = getattr(profile, figure, None)
            if value is not None:
                yield _row(f"{profile.name}.{figure}", value, unit_of(figure), records.get(figure), None)


def _consequences(case: Case) -> list[dict[str, Any]]:
    """Rows for what follows from the files: learners, critical batch, gamma from FLOPs, context of Delta, bounds."""
    rows = [_derived("learners at hand", case.learners_at_hand, None, "accelerators / accelerators_per_learner")]
    critical = getattr(case.model.convergence, "critical_batch_samples", np.inf)
    if np.isfinite(critical):
        rows.append(_derived("critical_batch_samples", critical, "sample", "alpha / N_inf", "M_crit = alpha/N_inf"))
    if case.estimated is not None:
        gamma = getattr(case.model.compute, "gamma_s_per_sample", None)
        rows.append(_derived("gamma_s_per_sample", gamma, "s/sample", case.estimated, EQUATIONS["gamma_s_per_sample"]))
    for name in ("learners_per_node", "gradient_bytes"):
        if hasattr(case.model.reduce, name):
            value = getattr(case.model.reduce, name)
            rows.append(_derived(f"reduce.{name}", value, unit_of(name), "from the cluster and the workload"))
    if hasattr(case.model.reduce, "network"):
        rows += _of_the_network(case.model.reduce, _most_on_the_network(case))
    for P in sorted({1, case.learners_at_hand}):
        try:
            (lowest, low), (highest, high) = admissible_batch_samples(case.model, case.limits, P)
        except InfeasibleError as error:
            rows.append(_derived(f"batch_samples at {P} learners", None, "sample", str(error)))
            continue
        for end, value, bound in (("lowest", lowest, low), ("highest", highest, high)):
            how = f"bound {bound}"
            if bound == "largest_measured":
                how += f": {EXTRAPOLATION_FACTOR:g} times the largest mini-batch of the fit"
            finite = value if np.isfinite(value) else None
            rows.append(_derived(f"{end} batch_samples at {P} learners", finite, "sample", how))
    return rows


def _most_on_the_network(case: Case) -> int:
    """Return all learners at hand; where the network refuses them (servers need hosts too), the most asked that it takes."""
    law: Any = case.model.reduce
    asked = [P for P in case.learners if isinstance(P, int)]
    taken = [P for P in (case.learners_at_hand, *asked) if law.refusal(P) is None]
    return max(taken, default=case.learners_at_hand)


def _of_the_network(delta: Any, learners: int) -> list[dict[str, Any]]:
    """Rows for the links that the network is built of, and for what the collective takes on it."""
    rows = []
    network = delta.network
    for name in ("host_link", "upper_link", "inner_link") if network.kind != "graph" else ():
        link = getattr(network, name)
        if link is None or (name == "upper_link" and network.kind in ("star", "ring")):
            continue
        for key in ("bandwidth_bytes_per_s", "latency_s"):
            how = "from [network] and its profiles: a direction of one link"
            rows.append(_derived(f"network.{name} as built, {key}", getattr(link, key), unit_of(key), how))
    refused = delta.refusal(learners) if learners > 1 else None
    if refused is not None:
        rows.append(_derived(f"Delta at {learners} learners", None, "s", refused, "Delta(P) (Eqn 3)"))
    elif learners > 1:
        found = delta.time(learners)
        how = f"{found.collective} on {found.topology.name} ({found.result.path})"
        rows.append(_derived(f"Delta at {learners} learners", found.time_s, "s", how, "Delta(P) (Eqn 3)"))
    return rows
