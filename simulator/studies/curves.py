"""T_C against the mini-batch at a fixed number of learners: the curve behind the answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.optimum import Limits, admissible_batch_samples, best_batch
from simulator.quantities import ceil_whole
from simulator.time_to_converge import TimeToConverge

__all__ = ["batch_curve"]

POINTS = 200


def batch_curve(model: TimeToConverge, limits: Limits, learners: float) -> list[dict[str, Any]]:
    """Evaluate the model on a logarithmic grid of admissible mini-batches (divided evenly where M is whole).

    Returns
    -------
    list of dict
        batch_samples, local_samples, updates, update_time_s, compute_time_s, reduce_time_s, converge_time_s.

    Raises
    ------
    InfeasibleError
        If no mini-batch is admissible.
    """
    (lowest, _), (highest, _) = admissible_batch_samples(model, limits, learners)
    if not np.isfinite(highest):
        highest = max(1e3 * lowest, 10.0 * best_batch(model, limits, learners).batch_samples)
    M = np.geomspace(lowest, highest, POINTS)
    if model.rounding != "exact":
        first, last = float(ceil_whole(lowest / learners)), float(np.floor(highest / learners * (1 + 1e-12)))
        M = (
            learners * np.unique(np.clip(np.round(M / learners), first, last))
            if first <= last
            else np.unique([lowest, highest])
        )
    columns = {
        "batch_samples": M,
        "local_samples": model.local_samples(M, learners),
        "updates": model.updates(M),
        "update_time_s": model.update_time_s(M, learners),
        "compute_time_s": model.compute_time_s(M, learners),
        "reduce_time_s": np.broadcast_to(model.reduce_time_s(learners), M.shape),
        "converge_time_s": model.converge_time_s(M, learners),
    }
    return [{name: float(values[i]) for name, values in columns.items()} for i in range(len(M))]
