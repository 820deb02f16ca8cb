"""Laws in closed form against the step-by-step processes that they sum up, written out here once more."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.convergence import InverseLaw, TabulatedUpdates
from simulator.overlap import BucketOverlap
from simulator.theory import NoiseFloorLaw, sufficient_updates
from tests.strategies import decades, increasing


def bucket_by_bucket_s(gamma: float, delta: float, buckets: int, backward: float) -> float:
    """The network takes the buckets in order, each as soon as it is ready and the one before is done."""
    network_free = 0.0
    for bucket in range(1, buckets + 1):
        ready = (1.0 - backward) * gamma + backward * gamma * bucket / buckets
        network_free = max(ready, network_free) + delta / buckets
    return network_free


@given(
    gamma=decades(1e-4, 1e3),
    delta=st.one_of(st.just(0.0), decades(1e-4, 1e3)),
    buckets=st.integers(1, 60),
    backward=st.floats(0.0, 1.0),
)
@settings(max_examples=200, deadline=None)
def test_bucket_overlap_is_the_recurrence_over_buckets(gamma: float, delta: float, buckets: int, backward: float) -> None:
    law = BucketOverlap(buckets=buckets, backward_fraction=backward)
    joined = float(law.joined_time_s(np.asarray(gamma), np.asarray(delta)))
    # at most 60 sums of 1.1e-16 each
    assert joined == pytest.approx(bucket_by_bucket_s(gamma, delta, buckets, backward), rel=1e-14)


@given(n_inf=decades(1.0, 1e5), alpha=decades(1.0, 1e7), points=increasing(1.0, 1e5), place=st.floats(-1.0, 2.0))
@settings(max_examples=100, deadline=None)
def test_a_table_of_an_inverse_law_is_that_law(n_inf: float, alpha: float, points: list[float], place: float) -> None:
    law = InverseLaw(n_inf_updates=n_inf, alpha_samples=alpha)
    table = TabulatedUpdates(batch_samples=tuple(points), updates_at=tuple(law.updates(points).tolist()), extrapolate=True)
    M = points[0] * (points[-1] / points[0]) ** place
    lowest, highest = table.batch_samples_range
    M = float(np.clip(M, max(lowest, 1e-3), highest))
    # A slope from two values of N off by 2.2e-16 N is off by 2.2e-16 (N_1 + N_2) / |x_1 - x_2|, times the distance in
    # x = 1/M to the nearer point; inside it is less.
    x = 1.0 / np.asarray(points)
    right = int(np.clip(np.searchsorted(points, M), 1, len(points) - 1))
    reach = 1.0 + abs(1.0 / M - x[right]) / abs(x[right - 1] - x[right])
    slack = 1e-15 * reach * (float(law.updates(points[right - 1])) + float(law.updates(points[right])))
    assert abs(table.updates(M) - law.updates(M)) <= slack + 1e-14 * float(law.updates(M))


def recursion_steps(rate: float, start: float, target: float, sigma: float, at_most: int) -> int:
    """Updates until Delta_{k+1} = Delta_k - lambda Delta_k^2 + lambda sigma^2 is at the target."""
    residual, steps = start, 0
    while residual > target and steps < at_most:
        residual += rate * (sigma * sigma - residual * residual)
        steps += 1
    return steps


@given(
    start=st.floats(0.5, 20.0),
    ratio=st.floats(1.2, 30.0),
    slowness=st.floats(0.005, 0.5),
    closeness=st.floats(0.01, 0.99),
)
@settings(max_examples=60, deadline=None)
def test_log_form_suffices_and_is_not_much_more_than_needed(
    start: float, ratio: float, slowness: float, closeness: float
) -> None:
    target = start / ratio
    sigma = closeness * target
    rate = slowness / (start + sigma)  # 1 - lambda (Delta + sigma) stays > 0, as the derivation asks
    theta = 64 * sigma**2  # sigma^2 = theta / M at M = 64
    bound = float(
        sufficient_updates(64, rate_per_update=rate, initial_error=start, target_error=target, noise_error2_samples=theta)
    )
    enough = math.ceil(bound * (1 + 1e-9))  # the last step may end on the target but for rounding
    needed = recursion_steps(rate, start, target * (1 + 1e-12), sigma, enough + 1)
    assert needed <= enough
    # each step of 1/(Delta - sigma) is bounded by 1/(1 - x) >= 1 + x with x <= `slowness`: short by a factor 1 - x^2 at most
    # in the logarithm's argument, 1/(1 - x) in the count; one step for rounding up
    assert bound * (1 - slowness) <= needed + 1


@given(start=st.floats(1.0, 10.0), ratio=st.floats(1.5, 30.0), rate=decades(1e-4, 0.3), theta=decades(1e-3, 1e3))
@settings(max_examples=100, deadline=None)
def test_log_form_becomes_the_taylor_form_as_the_mini_batch_grows(
    start: float, ratio: float, rate: float, theta: float
) -> None:
    target = start / ratio
    given = {
        "rate_per_update": rate,
        "initial_error": start,
        "target_error": target,
        "noise_error2_samples": theta,
    }
    smallest = theta / target**2
    for more in (1e2, 1e4, 1e6, 1e8):
        s = math.sqrt(theta / (more * smallest))
        log_form = float(sufficient_updates(more * smallest, form="log", **given))
        taylor = float(sufficient_updates(more * smallest, form="taylor", **given))
        factor = 2 * rate * s / math.log1p(2 * rate * s)
        # next term of the series: (1/5)(s/eps)^4 and its like with Delta_0, at most 5/5 of it and a geometric remainder
        assert log_form / factor == pytest.approx(taylor, rel=1.1 / more**2 + 1e-11)


@given(
    target=decades(1e-3, 1.0),
    ratio=st.floats(1.5, 1e3),
    rate=decades(1e-4, 0.3),
    above=st.floats(1.05, 100.0),
)
@settings(max_examples=60, deadline=None)
def test_noise_floor_law_suffices_for_its_geometric_recursion(target: float, ratio: float, rate: float, above: float) -> None:
    if math.log(ratio) < rate:
        return
    law = NoiseFloorLaw(initial_error=ratio * target, target_error=target, floor_error_samples=8 * target, rate_per_update=rate)
    M = above * law.smallest_batch_samples
    floor = law.floor_error_samples / M
    bound = float(law.updates(M))
    error, steps = law.initial_error, 0
    while error > target * (1 + 1e-12) and steps <= bound + 1:
        error, steps = floor + (1.0 - rate) * (error - floor), steps + 1
    assert steps <= math.ceil(bound)
    # (1 - rho)^k = exp(-k (rho + rho^2/2 + ...)): the law asks for -ln(1 - rho)/rho times what the recursion needs
    exact = bound * rate / -math.log1p(-rate)
    assert steps == pytest.approx(exact, abs=1 + 1e-6 * exact)
