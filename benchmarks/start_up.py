"""Seconds from typing a command to its answer: medians of five, beside the bare start of Python in the same run.

Run with: python benchmarks/start_up.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": (None, [sys.executable, "-c", "pass"]),
    "learnersim --help": (0.3, [sys.executable, "-m", "simulator", "--help"]),
    "learnersim optimum (flags)": (
        0.7,
        [
            *(sys.executable, "-m", "simulator", "optimum", "--n-inf-updates", "1000", "--alpha-samples", "64000"),
            *("--gamma-s-per-sample", "0.01", "--knee-samples", "8", "--delta-s", "0.5", "--learners", "16"),
        ],
    ),
    "learnersim run resnet50-a100": (1.5, [sys.executable, "-m", "simulator", "run", "resnet50-a100"]),
    "learnersim run resnet50-k80": (1.5, [sys.executable, "-m", "simulator", "run", "resnet50-k80"]),
    "learnersim scale resnet50-a100": (None, [sys.executable, "-m", "simulator", "scale", "resnet50-a100"]),
}


def main() -> None:
    """Print the median seconds of each command and the bar it should stay under."""
    print(f"{'command':<32}  {'median s':>8}  {'bar s':>6}")
    for name, (bar, command) in COMMANDS.items():
        times = []
        for _ in range(6):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        print(f"{name:<32}  {statistics.median(times[1:]):>8.3f}  {bar if bar is not None else '-':>6}")


if __name__ == "__main__":
    main()
