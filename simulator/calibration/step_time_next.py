"""Which step to time next: the one that narrows the intervals of the predictions asked for most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.calibration.step_time import StepTimeFit
from simulator.calibration.step_time_departure import Reach
from simulator.calibration.step_time_series import StepPlace, places_of
from simulator.quantities import FloatArray

__all__ = ["NextStepTime", "default_places", "next_step_time"]

MOST_WANTED, MOST_SIZES, MOST_PLACEMENTS = 50, 4, 8
REACH = 2
"""How many times the most GPUs measured may be asked for next: more of them were not at hand so far."""

ENOUGH_WEIGHT = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStepTime:
    """What to measure next.

    Parameters
    ----------
    place : StepPlace
        Where.
    narrows_by : float
        Fraction by which the 90 % intervals asked for would get narrower, on average; 0 to 1.
    """

    place: StepPlace
    narrows_by: float


def default_places(fit: StepTimeFit) -> list[StepPlace]:
    """Return what to predict where nothing is asked.

    The middle and the largest local batch, on twice and four times the most GPUs measured, nodes as full as the fullest.
    """
    series = fit.series
    sizes = dict.fromkeys((series.local_samples[len(series.local_samples) // 2], series.local_samples[-1]))
    return [filled(size, factor * series.learners[-1], series.node_size) for size in sizes for factor in (2, 4)]


def filled(local_samples: float, learners: int, node_size: int, micro_steps: int = 1) -> StepPlace:
    """Return the place on as few nodes as hold the learners."""
    nodes = -(-learners // node_size)
    return StepPlace.even(local_samples=local_samples, learners=learners, nodes=nodes, micro_steps=micro_steps)


def next_step_time(fit: StepTimeFit, wanted: Sequence[StepPlace]) -> NextStepTime | None:
    """Say what to measure next, and what that would bring.

    Parameters
    ----------
    fit : StepTimeFit
        What is known.
    wanted : sequence of StepPlace
        Whose intervals should get narrower, fifty evenly picked of more.

    Returns
    -------
    NextStepTime or None
        None where every candidate has been measured.

    Notes
    -----
    The mixture is taken for one normal distribution with its means and covariances: what laws disagree about counts as
    covariance, so that a measurement that tells laws apart narrows what they disagree about.
    """
    asked = list(wanted) or default_places(fit)
    if len(asked) > MOST_WANTED:
        asked = [asked[i] for i in np.unique(np.linspace(0, len(asked) - 1, MOST_WANTED).astype(int))]
    candidates = _candidates(fit, asked)
    if not candidates:
        return None
    covariance, noise = _covariance(fit, [*asked, *candidates])
    t = len(asked)
    seen = np.diag(covariance)
    beyond = fit.beyond(asked) ** 2
    now = seen[:t] + noise + beyond
    gained = covariance[t:, :t] ** 2 / (seen[t:, None] + noise)
    after = np.maximum(now[None, :] - gained, noise)
    left = np.mean(np.sqrt(after / now), axis=1)
    best = int(np.argmin(np.round(left, 9)))
    return NextStepTime(place=candidates[best], narrows_by=max(0.0, 1.0 - float(left[best])))


def _covariance(fit: StepTimeFit, places: Sequence[StepPlace]) -> tuple[FloatArray, float]:
    """Return the covariance of log seconds at some places without noise, shape (x, x), and the noise's variance."""
    at = places_of(places)
    total, kept = 0.0, []
    for one, weight in zip(fit.fits, fit.weights, strict=True):
        kept.append((one, weight))
        total += weight
        if total >= ENOUGH_WEIGHT:
            break
    reach = {one.departure.kind: Reach.of(one.departure, one.data, at) for one, _ in kept}
    means, covariance, noise = [], np.zeros((len(places), len(places))), 0.0
    for one, weight in kept:
        there, scale = reach[one.departure.kind], one.scale
        joint = one.joint(there)
        solved, posterior = joint.at(scale)
        means.append(joint.base + joint.slopes @ solved + joint.gain @ (joint.gap - joint.derivatives @ solved))
        departure = one.departure.covariance(at, at) - there.gain @ there.gain.T
        covariance += weight / total * (scale**2 * departure + joint.reduced @ posterior @ joint.reduced.T)
        noise += weight / total * (scale * one.departure.noise) ** 2
    shares = np.array([weight for _, weight in kept]) / total
    gaps = np.array(means) - shares @ np.array(means)
    return covariance + np.einsum("c,cx,cy->xy", shares, gaps, gaps), noise


def _candidates(fit: StepTimeFit, wanted: Sequence[StepPlace]) -> list[StepPlace]:
    """Return what could be measured: local batches measured or asked for within their range, up to twice the most GPUs."""
    series = fit.series
    measured = series.local_samples
    low, high = measured[0], measured[-1]
    sizes = sorted({*measured, *(place.local_samples for place in wanted if low <= place.local_samples <= high)})
    if len(sizes) > MOST_SIZES:
        sizes = [sizes[i] for i in np.unique(np.linspace(0, len(sizes) - 1, MOST_SIZES).astype(int))]
    if len(measured) == 1:
        sizes = [low / 2.0, *sizes, 2.0 * low]
    most, node = REACH * series.learners[-1], series.node_size
    numbers = sorted({1, *series.learners, *(place.learners for place in wanted), REACH * series.learners[-1]})
    numbers = [number for number in numbers if number <= most][-MOST_PLACEMENTS:]
    known = {point.place for point in series.points}
    every = [filled(size, number, node) for number in dict.fromkeys((1, *numbers)) for size in sizes]
    if series.node_size > 1 and series.most_nodes == 1:
        every += [StepPlace.even(local_samples=size, learners=2 * node, nodes=2) for size in sizes]
    return [place for place in dict.fromkeys(every) if place not in known]
