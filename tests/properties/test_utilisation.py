"""Laws of the estimate of utilisation, whatever was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.calibration.random_effects import RandomEffects
from simulator.calibration.utilisation import Cell, Estimate, fit_utilisation
from simulator.validation.gamma import Measured, validate_gamma

FEW = settings(max_examples=12, deadline=None)
"""A fit takes a tenth of a second."""

LOGS = st.lists(st.floats(-3.0, 0.3), min_size=12, max_size=12)


def table(logs: list[float]) -> list[Cell]:
    """Four workloads on three chips, alternately in fp32 and bf16."""
    names = [(f"w{i // 3}", f"a{i % 3}", ("fp32", "bf16")[i % 2]) for i in range(12)]
    return [
        Cell(workload=w, chip=a, precision=p, utilisations=(math.exp(log),)) for (w, a, p), log in zip(names, logs, strict=True)
    ]


def width(estimate: Estimate) -> float:
    return math.log(estimate.high / estimate.low)


@FEW
@given(LOGS)
def test_an_interval_holds_its_estimate(logs: list[float]) -> None:
    model = fit_utilisation(table(logs))
    for workload, accelerator in (("w0", "new"), ("new", "a0"), ("new", "new"), ("w0", "a1")):
        found = model.estimate(workload, accelerator, "bf16")
        assert 0 < found.low < found.utilisation < found.high


@FEW
@given(LOGS)
def test_what_is_known_of_the_workload_and_the_chip_narrows_the_interval(logs: list[float]) -> None:
    model = fit_utilisation(table(logs))
    neither = width(model.estimate("new", "new", "bf16"))
    assert width(model.estimate("w0", "new", "bf16")) < neither
    assert width(model.estimate("new", "a0", "bf16")) < neither


@FEW
@given(LOGS, st.sampled_from(["fp32", "bf16"]))
def test_measuring_the_same_workload_elsewhere_narrows_the_interval(logs: list[float], precision: str) -> None:
    # as it was expected: a surprise teaches that workloads or chips differ more than was thought, and may widen it
    cells = table(logs)
    model = fit_utilisation(cells)
    expected = model.estimate("w0", "elsewhere", precision).utilisation
    more = [*cells, Cell(workload="w0", chip="elsewhere", precision=precision, utilisations=(expected,))]
    before = model.estimate("w0", "new", precision)
    after = fit_utilisation(more).estimate("w0", "new", precision)
    assert width(after) < width(before)
    assert after.same_workload == before.same_workload + 1


@FEW
@given(LOGS, st.floats(-8.0, 8.0))
def test_a_factor_on_all_utilisations_is_a_factor_on_all_estimates(logs: list[float], log_factor: float) -> None:
    plain = fit_utilisation(table(logs)).estimate("w1", "new", "fp32")
    scaled = fit_utilisation(table([log + log_factor for log in logs])).estimate("w1", "new", "fp32")
    for name in ("utilisation", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(math.exp(log_factor) * getattr(plain, name), rel=1e-6)


@settings(max_examples=4, deadline=None)
@given(LOGS, st.floats(-5.0, 5.0))
def test_rescaling_gammas_and_flops_alike_changes_no_error(logs: list[float], log_factor: float) -> None:
    def measured(factor: float) -> list[Measured]:
        return [
            Measured(
                workload=cell.workload, accelerator=cell.chip, precision=cell.precision,
                train_flop_per_sample=1e9 * factor, gamma_s_per_sample=1e9 * factor / (1e14 * cell.utilisations[0]),
                peak_flop_per_s=1e14,
            )
            for cell in table(logs)
        ]  # fmt: skip

    factor = math.exp(log_factor)
    for plain, scaled in zip(
        validate_gamma(measured(1.0)).predictions, validate_gamma(measured(factor)).predictions, strict=True
    ):
        assert scaled.case == plain.case
        assert scaled.predicted / scaled.actual == pytest.approx(plain.predicted / plain.actual, rel=1e-6)
        assert scaled.predicted == pytest.approx(factor * plain.predicted, rel=1e-6)
        assert scaled.hi90 == pytest.approx(factor * (plain.hi90 or math.nan), rel=1e-6)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.0])
def test_shrinkage_goes_from_the_pooled_mean_to_the_own_one(ratio: float) -> None:
    # one effect, m measurements of the group at own mean 1 among others that sum up to a pooled mean: the prediction is
    # mu + m lambda^2/(1 + m lambda^2) (own - mu): with no data the pooled mean, with much the own one
    before = -1.0
    for m in (0, 1, 4, 64, 4096):
        groups = np.repeat(np.arange(1, 9), 2)
        y = np.concatenate([np.tile([-0.1, 0.1], 8), np.ones(min(m, 64))])
        groups = np.concatenate([groups, np.zeros(min(m, 64), dtype=int)])
        shared = (groups[:, None] == groups[None, :]).astype(float)[None]
        effects = RandomEffects(X=np.ones((len(y), 1)), y=y, shared=shared)
        lam = ratio * (math.sqrt(m / 64) if m > 64 else 1.0)  # 4096 measurements, as 64 with an eighth of the scatter
        found = effects.new(np.ones(1), (groups == 0).astype(float)[None], np.array([[lam]]), np.ones(1)).mean
        if m == 0:
            assert found == pytest.approx(0.0, abs=1e-12)
        assert found > before
        before = found
    assert before == pytest.approx(1.0, abs=0.01)
