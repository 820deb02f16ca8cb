"""T_Update(M, P) on one machine: P processes that combine gradients through torch.distributed (gloo), each a learner.

Each process is started by `python -m simulator.measuring.ranks`, finds its problem by the same name as the parent did, and
meets the others at a file. Learner 0 writes what it measured on its standard output, a line of JSON for each batch size.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from simulator.errors import SimulatorError
from simulator.measuring.problems import Options, Setting, built, cause, find_problem, needed
from simulator.measuring.timing import OutOfTime, Timing, pinned_threads, time_updates

__all__ = ["time_learners"]

LONGEST_S = 300.0
"""Learners that wait longer for each other are ended."""


def time_learners(
    spec: str,
    options: Options,
    *,
    learners: int,
    batch_sizes: Sequence[int],
    learning_rate: float,
    threads: int,
    seed: int,
    deadline_s: float = math.inf,
) -> Iterator[tuple[int, Timing]]:
    """Time the updates of P learners that share mini-batches evenly; each size is yielded as it is done.

    Parameters
    ----------
    spec, options
        The problem, as for `find_problem`.
    learners : int
        P, >= 2; a divisor of every batch size.
    batch_sizes : sequence of int
        M, all learners, samples.
    learning_rate : float
        Step size.
    threads : int
        Threads of each learner.
    seed : int
        Where weights and mini-batches are drawn from.
    deadline_s : float
        It is given up when `time.monotonic()` passes this.

    Raises
    ------
    OutOfTime
        If the deadline passed.
    SimulatorError
        If a learner fails: its message, in one line. The first size that was not yielded is the one it failed at.
    """
    needed("torch", "torch", f"{spec} on {learners} learners")
    with tempfile.TemporaryDirectory() as folder:
        options_as_text = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(options).items()}
        wanted = {
            "spec": spec,
            "options": options_as_text,
            "learners": learners,
            "batch_sizes": list(batch_sizes),
            "learning_rate": learning_rate,
            "threads": threads,
            "seed": seed,
            "meeting": str(Path(folder) / "meeting"),
        }
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])}
        processes = []
        try:
            for rank in range(learners):
                errors = (Path(folder) / f"errors-{rank}").open("w+", encoding="utf-8")
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "simulator.measuring.ranks", json.dumps({**wanted, "rank": rank})],
                        stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL,
                        stderr=errors,
                        stdin=subprocess.DEVNULL,
                        text=True,
                        env=environment,
                    )
                )
                errors.close()
            what = f"{spec} on {learners} learners"
            count = 0
            for found in _collected(processes, Path(folder), what, deadline_s):
                yield found
                count += 1
            if count < len(batch_sizes):
                raise SimulatorError(f"{what}: learner 0 ended before it was done")
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


def _collected(
    processes: Sequence[subprocess.Popen[str]], folder: Path, what: str, deadline_s: float
) -> Iterator[tuple[int, Timing]]:
    """Yield what learner 0 says, line by line; a learner that fails ends it, since the others wait for it."""
    first = processes[0].stdout
    assert first is not None
    with selectors.DefaultSelector() as ready:
        ready.register(first, selectors.EVENT_READ)
        waited_s = 0.0
        while True:
            if ready.select(timeout=0.2):
                line = first.readline()
                if not line:
                    break
                waited_s = 0.0
                said = json.loads(line)
                yield said.pop("batch_samples"), Timing(**said)
                continue
            waited_s += 0.2
            if time.monotonic() > deadline_s:
                raise OutOfTime
            if any(process.poll() not in (None, 0) for process in processes):
                break
            if waited_s > LONGEST_S:
                raise SimulatorError(f"{what}: nothing for {LONGEST_S:g} s")
    for process in processes[:1]:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5.0)
    failed = [rank for rank, process in enumerate(processes) if process.poll() not in (None, 0)]
    if failed:
        said = []
        for rank in failed:
            lines = (folder / f"errors-{rank}").read_text(encoding="utf-8", errors="replace").splitlines()
            said.append(next((line for line in reversed(lines) if line.strip()), "it ended without a word"))
        first_to_fail = min(said, key=lambda line: "gloo" in line)  # the others lose their connection to it
        raise SimulatorError(f"{what}: {' '.join(first_to_fail.split())[:400]}")


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


def _measure(wanted: dict[str, Any], say: TextIO) -> None:
    """Time every batch size with the other learners; learner 0 says a line for each."""
    import datetime

    import torch
    import torch.distributed as distributed

    options = wanted["options"]
    folder = Path(options["data_dir"]) if options["data_dir"] else None
    problem = find_problem(wanted["spec"], Options(**{**options, "data_dir": folder}))
    rank, learners = wanted["rank"], wanted["learners"]
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{wanted['meeting']}",
        rank=rank,
        world_size=learners,
        timeout=datetime.timedelta(seconds=LONGEST_S),
    )
    averages = _Averages(distributed, torch, learners)
    with pinned_threads(wanted["threads"]):
        for size in wanted["batch_sizes"]:
            setting = Setting(
                batch_samples=size // learners,
                learning_rate=wanted["learning_rate"],
                weights_rng=np.random.default_rng([wanted["seed"], 5, 1]),
                samples_rng=np.random.default_rng([wanted["seed"], 5, 2, size, rank]),
                combine=averages,
            )
            averages.calls = 0
            timing = time_updates(partial(built, problem, setting), agreed=averages.largest)
            if not averages.calls:
                raise SimulatorError("update() never called setting.combine: its learners do not exchange gradients")
            if rank == 0:
                say.write(json.dumps({"batch_samples": size, **asdict(timing)}) + "\n")
                say.flush()
    distributed.barrier()
    distributed.destroy_process_group()


def _end_with_the_parent() -> None:
    """End when the process that started this one has, even where an update never returns."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Be one learner."""
    _end_with_the_parent()
    say = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the problem prints, in whatever language, is not ours
    try:
        _measure(json.loads(sys.argv[1]), say)
    except (Exception, SystemExit) as error:
        sys.stderr.write(f"{error if isinstance(error, SimulatorError) else cause(error)}\n")
        sys.stderr.flush()
        os._exit(1)  # without waiting for the others, who wait for this one
    return 0


if __name__ == "__main__":
    sys.exit(main())
