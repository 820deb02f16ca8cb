"""T_Update(M, P) on one machine: P processes that combine gradients through torch.distributed (gloo), each a learner.

Each process is started by `python -m simulator.measuring.ranks`, finds its problem by the same name as the parent did, and
meets the others at a file. Learner 0 writes what it measured, as JSON, on its standard output.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import SimulatorError
from simulator.measuring.problems import Options, Setting, cause, find_problem, needed
from simulator.measuring.timing import Timing, pinned_threads, time_updates

__all__ = ["time_learners"]

LONGEST_S = 600.0
"""Learners that take longer to be timed are ended."""


def time_learners(
    spec: str, options: Options, *, learners: int, batch_samples: int, learning_rate: float, threads: int, seed: int
) -> Timing:
    """Time the updates of P learners that share a mini-batch evenly.

    Parameters
    ----------
    spec, options
        The problem, as for `find_problem`.
    learners : int
        P, >= 2; a divisor of `batch_samples`.
    batch_samples : int
        M, all learners, samples.
    learning_rate : float
        Step size.
    threads : int
        Threads of each learner.
    seed : int
        Where weights and mini-batches are drawn from.

    Raises
    ------
    SimulatorError
        If a learner fails: its message, in one line.
    """
    needed("torch", "torch", f"{spec} on {learners} learners")
    with tempfile.TemporaryDirectory() as folder:
        wanted = {
            "spec": spec,
            "options": {
                key: str(value) if isinstance(value, Path) else value for key, value in dataclasses.asdict(options).items()
            },
            "learners": learners,
            "batch_samples": batch_samples,
            "learning_rate": learning_rate,
            "threads": threads,
            "seed": seed,
            "meeting": str(Path(folder) / "meeting"),
        }
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])}
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "simulator.measuring.ranks", json.dumps({**wanted, "rank": rank})],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
            for rank in range(learners)
        ]
        return _collected(processes, f"{spec} on {learners} learners")


def _collected(processes: Sequence[subprocess.Popen[str]], what: str) -> Timing:
    """Wait for all learners; the first that fails ends the others, who would wait for it."""
    said: list[tuple[str, str]] = []
    try:
        for process in processes:
            try:
                said.append(process.communicate(timeout=LONGEST_S))
            except subprocess.TimeoutExpired:
                raise SimulatorError(f"{what}: not timed within {LONGEST_S:g} s") from None
            if process.returncode != 0:
                lines = [line for line in said[-1][1].splitlines() if line.strip()] or ["it ended without a word"]
                raise SimulatorError(f"{what}: {' '.join(lines[-1].split())[:400]}")
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            with contextlib.suppress(ValueError):
                process.communicate()
    return Timing(**json.loads(said[0][0].splitlines()[-1]))


class _Averages:
    """Means over the learners, by gloo; counts how often it was asked."""

    def __init__(self, distributed: Any, torch: Any, learners: int) -> None:
        self.distributed, self.torch, self.learners, self.calls = distributed, torch, learners, 0

    def __call__(self, arrays: Sequence[Any]) -> None:
        self.calls += 1
        tensors = [self.torch.from_numpy(one) if isinstance(one, np.ndarray) else one for one in arrays]
        joined = self.torch.cat([one.reshape(-1) for one in tensors]) if len(tensors) > 1 else tensors[0].reshape(-1)
        self.distributed.all_reduce(joined)
        joined /= self.learners
        place = 0
        for one in tensors:
            one.copy_(joined[place : place + one.numel()].reshape(one.shape))
            place += one.numel()

    def largest(self, count: int) -> int:
        """Agree on the largest count of all learners."""
        tensor = self.torch.tensor([count])
        self.distributed.all_reduce(tensor, op=self.distributed.ReduceOp.MAX)
        return int(tensor.item())


def _measured(wanted: dict[str, Any]) -> Timing:
    import datetime

    import torch
    import torch.distributed as distributed

    options = wanted["options"]
    problem = find_problem(
        wanted["spec"], Options(**{**options, "data_dir": Path(options["data_dir"]) if options["data_dir"] else None})
    )
    rank, learners = wanted["rank"], wanted["learners"]
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{wanted['meeting']}",
        rank=rank,
        world_size=learners,
        timeout=datetime.timedelta(seconds=LONGEST_S),
    )
    averages = _Averages(distributed, torch, learners)
    setting = Setting(
        batch_samples=wanted["batch_samples"] // learners,
        learning_rate=wanted["learning_rate"],
        weights_rng=np.random.default_rng([wanted["seed"], 1]),
        samples_rng=np.random.default_rng([wanted["seed"], 2, rank]),
        combine=averages,
    )
    with pinned_threads(wanted["threads"]):
        timing = time_updates(lambda: problem.build(setting), agreed=averages.largest)
    if not averages.calls:
        raise ValueError("update() never called setting.combine: its learners do not exchange gradients")
    distributed.barrier()
    distributed.destroy_process_group()
    return timing


def main() -> int:
    """Be one learner."""
    wanted = json.loads(sys.argv[1])
    try:
        timing = _measured(wanted)
    except Exception as error:
        sys.stderr.write(f"{error if isinstance(error, SimulatorError) else cause(error)}\n")
        return 1
    if wanted["rank"] == 0:
        sys.stdout.write(json.dumps(dataclasses.asdict(timing)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
