"""What several tests share: the command line run in this process, and small files to run it on."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.cli import status
from simulator.validation.published import error_rows, published_errors
from simulator.validation.rows import Validation

ROOT = Path(__file__).parents[1]
SCENARIOS = ROOT / "scenarios"
HARDWARE = ROOT / "hardware_profiles"

SCENARIO = """\
schema = 1
title = "small"
seed = 7

[[workload]]
name = "demo"
sample_unit = "image"
data_set_samples = 50_000
gradient_bytes = "80 MB"
[workload.convergence]
kind = "inverse"
n_inf_updates = 1000.0
alpha_samples = 1_024_000.0
[workload.compute.a100-sxm-80]
kind = "knee"
gamma_s_per_sample = "1 ms"
knee_samples = 8

[cluster]
node = "dgx-a100-640"
nodes = 2

[reduce]
kind = "constant"
delta_s = "4 ms"
"""
"""P = 16, T_C = (1000 + 1024000/M) * (0.001*max(M/16, 8) + 0.004): M_opt = sqrt(1024*0.004*16/0.001) = 256."""

ONE_WORKLOAD = """\
[[workload]]
name = "one"
sample_unit = "image"
gradient_bytes = "100 MB"
[workload.convergence]
kind = "inverse"
n_inf_updates = 1000
alpha_samples = 6.4e6
[workload.compute.a100-sxm-80]
kind = "knee"
gamma_s_per_sample = "10 ms"
knee_samples = 1
"""
"""What designs of real numbers are asked about: N_inf = 1000, alpha = 6.4e6, gamma = 0.01 s."""

PROBLEM = """\
class Learner:
    def update(self):
        pass

    def losses(self):
        return {"training": 1.0}


class Problem:
    data_set_samples = 100

    def build(self, setting):
        return Learner()
"""
"""The least that `measure` takes as a problem of the user's own."""

PAPER_FLAGS = (
    "--n-inf-updates", "1000", "--alpha-samples", "1024000", "--gamma-s-per-sample", "0.001", "--knee-samples", "8",
    "--delta-s", "0.004",
)  # fmt: skip
"""The same model as flags of optimum and scale."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind: exit status, stdout, stderr."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """The JSON object on stdout; NaN and infinity are not JSON and refused."""
        return json.loads(self.out, parse_constant=_refuse_constant)

    @property
    def lines(self) -> list[str]:
        """Lines on stderr."""
        return self.err.splitlines()


def _refuse_constant(name: str) -> None:
    raise AssertionError(f"JSON must hold finite numbers, got {name}")


def command(*arguments: object) -> Outcome:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = status([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


def written(folder: Path, text: str, name: str = "scenario.toml") -> Path:
    """Write a file into `folder` and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def changed(text: str, *replacements: tuple[str, str]) -> str:
    """Return `text` with each (old, new) replaced; every old must be there."""
    for old, new in replacements:
        assert old in text, f"{old!r} is not in the text"
        text = text.replace(old, new)
    return text


def numbers(item: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a JSON object with its path."""
    if isinstance(item, dict):
        for key, value in item.items():
            yield from numbers(value, f"{path}.{key}" if path else key)
    elif isinstance(item, list):
        for i, value in enumerate(item):
            yield from numbers(value, f"{path}[{i}]")
    elif isinstance(item, int | float) and not isinstance(item, bool):
        yield path, float(item)


def assert_sound(answer: Any) -> None:
    """Check that every number is finite and no time, size, count or cost is negative."""
    for path, value in numbers(answer):
        assert np.isfinite(value), f"{path} = {value}"
        if not path.endswith(("n_inf_updates", "correlation")) and "difference." not in path:
            assert value >= 0, f"{path} = {value}"


def assert_shipped(kind: str, validation: Validation) -> None:
    """Check that the errors which reports show are those of `validation`: the fits' rounding moves them in the third digit."""
    shipped = [row for row in published_errors() if row["kind"] == kind]
    computed = list(error_rows(kind, validation))
    assert [(row["group"], row["cases"], row["series"]) for row in shipped] == [
        (row["group"], row["cases"], row["series"]) for row in computed
    ]
    for one, other in zip(shipped, computed, strict=True):
        for name in ("median_abs_error", "p90_abs_error", "coverage90", "median_ratio90"):
            value = other[name]
            assert one[name] == (None if value is None else pytest.approx(value, rel=0.02, abs=1e-9)), (one["group"], name)
