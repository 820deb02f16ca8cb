"""Laws of comparisons: chances and crossovers against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simulator.studies.comparison import Crossovers, crossovers, standing

DRAWS = arrays(np.float64, st.tuples(st.integers(2, 5), st.just(60)), elements=st.integers(1, 9).map(float))
LINES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), min_size=2, max_size=5)


def best_at(found: Crossovers, x: float) -> int | None:
    """Return the best option at x by the crossovers alone."""
    now = found.first
    for flip in found.found:
        if flip.at <= x:
            now = flip.after
    return now


@settings(max_examples=40)
@given(draws=DRAWS)
def test_chances_add_up_and_two_options_share_them(draws: np.ndarray) -> None:
    found = standing(list(draws))
    np.testing.assert_allclose(sum(found.probability_best), 1.0)
    np.testing.assert_allclose(np.array(found.beats) + np.array(found.beats).T, 1.0)
    # brute force: the mean of what each draw would have spared, and no option is without regret unless always the best
    least = draws.min(axis=0)
    np.testing.assert_allclose(found.expected_regret, (draws - least).mean(axis=1))
    always = [bool(np.all(row == least)) for row in draws]
    assert always == [regret == 0 for regret in found.expected_regret]


@settings(max_examples=40)
@given(draws=DRAWS)
def test_an_option_worse_on_every_draw_is_never_the_best_and_changes_no_chance(draws: np.ndarray) -> None:
    alone = standing(list(draws))
    beside = standing([*draws, draws[0] * 1.5])
    assert beside.probability_best == (*alone.probability_best, 0.0)
    assert beside.beats[0][-1] == 1.0


@settings(max_examples=60)
@given(lines=LINES)
def test_whole_crossovers_give_a_best_option_at_every_number(lines: list[tuple[int, int]]) -> None:
    def values(x: float) -> np.ndarray:
        return np.array([1.0 + a + b * x for a, b in lines])

    found = crossovers(values, np.arange(1.0, 101.0), whole=True)
    assert found.every
    for x in range(1, 101):
        best = best_at(found, x)
        assert best is not None
        assert values(x)[best] == values(x).min()


@settings(max_examples=60)
@given(lines=LINES)
def test_real_crossovers_of_straight_lines_are_the_corners_of_their_lower_envelope(lines: list[tuple[int, int]]) -> None:
    """The least of straight lines is concave: between two points with the same best line no other is best."""

    def values(x: float) -> np.ndarray:
        return np.array([1.0 + a + b * x for a, b in lines])

    found = crossovers(values, np.array([0.01, 1.0, 100.0]))
    for flip in found.found:
        assert flip.before is not None
        assert flip.after is not None
        one, other = values(flip.at)[[flip.before, flip.after]]
        np.testing.assert_allclose(one, other, rtol=1e-7)
        np.testing.assert_allclose(one, values(flip.at).min(), rtol=1e-7)
    for x in np.geomspace(0.01, 100.0, 97):
        best = best_at(found, float(x))
        assert best is not None
        np.testing.assert_allclose(values(float(x))[best], values(float(x)).min(), rtol=1e-7)


def test_where_no_option_is_possible_the_choice_stays() -> None:
    """Nobody at 1; the first is possible from 2 to 5 only, the second from 8 on: at 6 and 7 nobody is better."""

    def values(x: float) -> np.ndarray:
        return np.array([1.0 if 2 <= x <= 5 else np.inf, 2.0 if x >= 8 else np.inf])

    found = crossovers(values, np.arange(1.0, 11.0), whole=True)
    assert (found.first, [(one.at, one.before, one.after) for one in found.found]) == (None, [(2.0, None, 0), (8.0, 0, 1)])


def test_a_third_option_between_two_points_is_found() -> None:
    """Least of x, 5 and 100/x: x up to 5, then 5, then 100/x from 20 on; at the ends of the grid 5 is not the best."""
    found = crossovers(lambda x: np.array([x, 5.0, 100.0 / x]), np.array([1.0, 100.0])).found
    assert [(one.before, one.after) for one in found] == [(0, 1), (1, 2)]
    np.testing.assert_allclose([one.at for one in found], [5.0, 20.0], rtol=1e-7)
