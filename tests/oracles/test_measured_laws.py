"""Measured runs against laws that are known: least squares with its exact recursion, and the inverse law on a real problem."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.measuring.findings import Findings, findings
from simulator.measuring.least_squares import LeastSquares
from simulator.measuring.measurement import Measurement, Request
from simulator.measuring.problems import Options, Problem, Sheet, find_problem
from simulator.measuring.record import Record
from tests.support import command

RATE, TARGET = 0.02, 1.0
PROBLEM = LeastSquares()


def measured(problem: Problem, sizes: tuple[int, ...], runs: int, seed: int) -> Findings:
    """Run some batch sizes to convergence."""
    sheet = Sheet.of(problem, "least-squares")
    request = Request(
        spec="least-squares",
        options=Options(),
        batch_samples=sizes,
        planned=False,
        targets=(TARGET,),
        learning_rates=(RATE,),
        runs=runs,
        precision=1e-6,
        max_updates=3000,
        seed=seed,
    )
    record = Record(request.subject(), {})
    assert Measurement(problem, sheet, request, record).measure()
    return findings(record, request.targets)


def test_least_squares_has_the_critical_batch_size_of_its_formula() -> None:
    """alpha/N_inf = F (1/eps - 1/E_0)/ln(E_0/eps) with F = eta s^2 d/(2 (2 - eta lambda)), at M >= 10 F/eps.

    There the exact law differs from the inverse one by the second order of F/(eps M) <= 0.1: by at most 5 % of its slope.
    """
    eta, s, d, lam, E_0 = RATE, PROBLEM.noise_sd, PROBLEM.dimensions, PROBLEM.curvature, PROBLEM.initial_loss
    F = eta * s**2 * d / (2 * (2 - eta * lam))
    truth = F * (1 / TARGET - 1 / E_0) / np.log(E_0 / TARGET)
    assert PROBLEM.critical_batch_samples(eta, TARGET) == pytest.approx(truth)
    found = measured(PROBLEM, (26, 36, 52, 104, 208, 416, 832, 4096), 8, seed=3)  # 10 F/eps = 25.3
    fit = found.fit
    assert fit is not None
    for M, updates, runs in zip(fit.series.batch_samples, fit.series.updates, fit.series.runs, strict=True):
        exact = float(PROBLEM.law(eta, TARGET).updates(M))
        # whole updates lie up to 1 above; a run's loss lies sqrt(2/d) around its mean on the floor: less than one update here
        assert exact - 0.5 < updates < exact + 1.5
        assert runs == 8
    assert fit.plain is not None
    law, (sd_floor, sd_slope) = fit.plain.law, fit.plain.standard_errors
    relative = np.hypot(sd_floor / law.n_inf_updates, sd_slope / law.alpha_samples)
    assert law.alpha_samples / law.n_inf_updates == pytest.approx(truth, rel=0.05 + 3 * relative)
    interval = fit.profile_intervals90()["critical_batch_samples"]
    assert interval.low <= truth
    assert interval.high is None or truth <= interval.high


def test_batch_sizes_below_the_noise_floor_are_found_unreachable() -> None:
    """No run reaches eps at M <= F/eps = 2.525; the fit says so, and its smallest usable batch size lies above."""
    found = measured(PROBLEM, (1, 2, 4, 8, 16, 64, 256, 1024), 2, seed=1)
    fit = found.fit
    assert fit is not None
    assert [runs.batch_samples for runs in fit.unusable] == [1.0, 2.0]
    assert fit.series.batch_samples[0] == 4.0
    assert "at batch sizes 1, 2 no run reached the target" in fit.concerns[0]
    assert "the smallest usable batch size measured is 4" in fit.concerns[0]
    # steeper than 1/M just above the floor: that law is named, with its own smallest batch size, between 2 and 4
    (floor,) = [text for text in fit.concerns if "the law of a constant learning rate fits far better" in text]
    assert 2.0 <= float(floor.split("batch sizes of ")[1].split(" and less")[0]) < 4.0


@pytest.mark.slow
def test_the_digits_obey_the_inverse_law_where_rates_are_tuned() -> None:
    """Updates fall more than threefold; mean error at most 8 %, at most half that of a constant, and below a power law's."""
    sizes = ",".join(str(2**k) for k in range(11))
    found = command("measure", "digits-mlp", "--batch-samples", sizes, "--json")
    assert found.status == 0, found.err
    answer = found.answer
    (fit,) = [fit for fit in answer["fits"] if fit["series"] == "training 0.3"]
    error = fit["mean_abs_error"]
    assert error["inverse"] <= 0.08
    assert error["inverse"] <= 0.5 * error["constant"]
    assert error["inverse"] < error["power"]
    mine = [row for row in answer["rows"] if row["series"] == "training 0.3"]
    means = [np.mean([row["updates"] for row in mine if row["batch_samples"] == 2**k]) for k in range(11)]
    assert max(means) >= 3 * min(means)
    assert len(mine) == 33
    rates = {int(M): rate for M, rate in answer["rates"].items()}
    assert rates[1] < rates[1024]  # small mini-batches need small steps


def test_every_problem_that_ships_measures_something() -> None:
    problem = find_problem("digits-softmax", Options())
    sheet = Sheet.of(problem, "digits-softmax")
    assert sheet.parameters == 650  # 64 pixels and a bias for each of ten classes
    found = command(
        "measure", "digits-softmax", "--batch-samples", "4,256", "--learning-rates", "0.5,1", "--seeds", "2", "--json"
    )
    assert found.status == 0, found.err
    assert found.answer["batch_samples_best"] is not None
