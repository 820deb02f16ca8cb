"""One battery for all members of each family of laws: a new law joins by its line in `tests.strategies`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    COMPUTE_KINDS,
    OVERLAP_KINDS,
    REDUCE_KINDS,
    UPDATES_KINDS,
    batches_of,
    compute_laws,
    decades,
    overlap_laws,
    reduce_laws,
    updates_laws,
)

FEW = settings(max_examples=40, deadline=None)
ROUNDING = 1e-12  # a dozen operations of 1.1e-16 each, times the conditioning of interpolation between close points


@pytest.mark.parametrize("kind", UPDATES_KINDS)
@given(data=st.data())
@FEW
def test_updates_laws_take_scalars_and_arrays(kind: str, data: st.DataObject) -> None:
    law = data.draw(updates_laws(kind))
    batches = [data.draw(batches_of(law)) for _ in range(6)]
    table = law.updates(np.reshape(batches, (2, 3)))
    assert table.shape == (2, 3)
    assert np.isfinite(table).all()
    assert (table >= 1.0).all()
    for M, N in zip(batches, table.ravel(), strict=True):
        assert law.updates(M) == pytest.approx(N, rel=1e-15)  # a power may be vectorised differently
        assert np.shape(law.updates(M)) == ()


@pytest.mark.parametrize("kind", UPDATES_KINDS)
@given(data=st.data())
@FEW
def test_updates_never_grow_with_the_mini_batch(kind: str, data: st.DataObject) -> None:
    law = data.draw(updates_laws(kind))
    M = np.sort([data.draw(batches_of(law)) for _ in range(20)])
    N = law.updates(M)
    assert (np.diff(N) <= ROUNDING * N[1:]).all()


@pytest.mark.parametrize("kind", UPDATES_KINDS)
@given(data=st.data())
@FEW
def test_updates_laws_hold_up_to_both_ends_of_their_range(kind: str, data: st.DataObject) -> None:
    law = data.draw(updates_laws(kind))
    lowest, highest = law.batch_samples_range
    assert 0 <= lowest < highest
    for end in (lowest, highest):
        if 0 < end < math.inf:
            assert 1.0 <= law.updates(end) < math.inf
    almost_endless = 1 - 1e-8 < getattr(law, "n_inf_updates", 0.0) < 1  # the end forgives 1e-9 of an update
    if highest < math.inf and not almost_endless:
        with pytest.raises(ValueError, match=r"^batch_samples must be "):
            law.updates(highest * 1.001 + 1e-6)
    if lowest > 0:
        with pytest.raises(ValueError, match=r"^batch_samples must be "):
            law.updates(lowest * 0.999)


@pytest.mark.parametrize("kind", [kind for kind in UPDATES_KINDS if kind != "table"])
@given(data=st.data())
@FEW
def test_samples_processed_never_fall_with_the_mini_batch(kind: str, data: st.DataObject) -> None:
    law = data.draw(updates_laws(kind))
    if kind == "noise_floor" or getattr(law, "n_inf_updates", 0.0) < 0:
        return  # near its floor a larger mini-batch saves samples; with N_inf < 0 it always does
    M = np.sort([data.draw(batches_of(law)) for _ in range(20)])
    E = M * law.updates(M)
    assert (np.diff(E) >= -ROUNDING * E[1:]).all()


@pytest.mark.parametrize("kind", COMPUTE_KINDS)
@given(data=st.data())
@FEW
def test_compute_laws_take_scalars_and_arrays_and_never_fall(kind: str, data: st.DataObject) -> None:
    law = data.draw(compute_laws(kind))
    lowest, highest = getattr(law, "local_samples_range", (0.0, math.inf))
    m = np.sort(data.draw(st.lists(decades(max(lowest, 1e-3), min(highest, 1e6)), min_size=6, max_size=6)))
    m = np.clip(m, lowest, highest)
    table = law.compute_time_s(m.reshape(3, 2))
    assert table.shape == (3, 2)
    assert np.isfinite(table).all()
    assert (table > 0).all()
    assert (np.diff(table.ravel()) >= -ROUNDING * table.ravel()[1:]).all()
    for local, seconds in zip(m, table.ravel(), strict=True):
        assert law.compute_time_s(local) == seconds
        assert np.shape(law.compute_time_s(local)) == ()
    assert all(corner > 0 for corner in law.corners_samples)


@pytest.mark.parametrize("kind", COMPUTE_KINDS)
@given(data=st.data())
@FEW
def test_compute_laws_bend_only_at_their_corners(kind: str, data: st.DataObject) -> None:
    law = data.draw(compute_laws(kind, extrapolate=True))
    corners = np.array([0.01, *law.corners_samples, 1e5])
    piece = data.draw(st.integers(0, len(corners) - 2))
    left, right = corners[piece], corners[piece + 1]
    place = data.draw(st.floats(0.0, 1.0))
    on_chord = (1 - place) * law.compute_time_s(left) + place * law.compute_time_s(right)
    assert law.compute_time_s((1 - place) * left + place * right) == pytest.approx(on_chord, rel=1e-10)


@pytest.mark.parametrize("kind", REDUCE_KINDS)
@given(data=st.data())
@FEW
def test_reduce_laws_take_scalars_and_arrays_and_never_fall(kind: str, data: st.DataObject) -> None:
    law = data.draw(reduce_laws(kind))
    P = np.sort(data.draw(st.lists(st.integers(1, 100_000), min_size=6, max_size=6)))
    table = law.reduce_time_s(P.reshape(2, 3))
    assert table.shape == (2, 3)
    assert np.isfinite(table).all()
    assert (table >= 0).all()
    assert (np.diff(table.ravel()) >= -ROUNDING * table.ravel()[1:]).all()
    for learners, seconds in zip(P, table.ravel(), strict=True):
        assert law.reduce_time_s(int(learners)) == pytest.approx(seconds, rel=1e-15)
        assert np.shape(law.reduce_time_s(int(learners))) == ()


@pytest.mark.parametrize("kind", REDUCE_KINDS)
@given(data=st.data())
@FEW
def test_one_learner_reduces_in_no_time(kind: str, data: st.DataObject) -> None:
    law = data.draw(reduce_laws(kind))
    assert law.reduce_time_s(1) == 0.0
    assert law.reduce_time_s([1, 1.0]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", OVERLAP_KINDS)
@given(data=st.data(), gamma=decades(1e-9, 1e6), delta=st.one_of(st.just(0.0), decades(1e-9, 1e6)))
@FEW
def test_joined_time_lies_between_the_longer_part_and_the_sum(
    kind: str, data: st.DataObject, gamma: float, delta: float
) -> None:
    law = data.draw(overlap_laws(kind))
    joined = float(law.joined_time_s(np.asarray(gamma), np.asarray(delta)))
    longer, both = max(gamma, delta), gamma + delta
    assert longer - 4e-16 * both <= joined <= both * (1 + 1e-15)


@pytest.mark.parametrize("kind", OVERLAP_KINDS)
@given(data=st.data(), gamma=decades(1e-9, 1e6))
@FEW
def test_without_communication_an_update_is_its_computing(kind: str, data: st.DataObject, gamma: float) -> None:
    law = data.draw(overlap_laws(kind))
    # the bucket law weighs Gamma with 1 - b + b/n, which may round to just above 1 for one bucket
    assert law.joined_time_s(np.asarray(gamma), np.asarray(0.0)) == pytest.approx(gamma, rel=4e-16)


@pytest.mark.parametrize("kind", OVERLAP_KINDS)
@given(data=st.data(), delta=decades(1e-6, 1e3))
@FEW
def test_overlap_laws_broadcast_and_never_fall_with_either_part(kind: str, data: st.DataObject, delta: float) -> None:
    law = data.draw(overlap_laws(kind))
    gamma = np.sort(data.draw(st.lists(decades(1e-6, 1e3), min_size=4, max_size=4)))[:, None]
    deltas = np.array([0.0, delta / 3, delta])[None, :]
    table = law.joined_time_s(gamma, deltas)
    assert table.shape == (4, 3)
    slack = 4e-16 * (gamma + deltas)  # sums and differences of the two parts
    assert (np.diff(table, axis=0) >= -slack[1:]).all()
    assert (np.diff(table, axis=1) >= -slack[:, 1:]).all()


@pytest.mark.parametrize("kind", OVERLAP_KINDS)
@given(data=st.data(), gamma=decades(1e-6, 1e3), delta=decades(1e-6, 1e3), factor=decades(1e-3, 1e3))
@FEW
def test_overlap_laws_scale_with_the_unit_of_time(
    kind: str, data: st.DataObject, gamma: float, delta: float, factor: float
) -> None:
    law = data.draw(overlap_laws(kind))
    once = law.joined_time_s(np.asarray(gamma), np.asarray(delta))
    rescaled = law.joined_time_s(np.asarray(factor * gamma), np.asarray(factor * delta))
    assert rescaled == pytest.approx(factor * once, rel=1e-14)
