"""How measured step times depart from their law.

Log seconds are those of the law plus a departure: what each local batch has of its own (a kernel chosen for that size), a
smooth function of the local batch, and a level of the placement, all of which other placements share the less, the further
they are in learners and nodes; and noise. In the narrow shape of the departure the smooth part and the level are noise.
Neighbouring placements of one cluster miss a law together: a fit that takes them for independent trusts itself too much,
and lets many small placements outweigh the few large ones that count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.calibration.step_time_series import Places, StepPoint, StepTimeSeries, places_of
from simulator.quantities import FloatArray

__all__ = ["LOG_WEIGHTS", "SCALES", "SHAPES", "Departure", "Observed", "Reach", "observed", "whitening"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Sizes and reaches of a departure, at scale 1.

    Parameters
    ----------
    kind : str
        "narrow" or "wide".
    own, smooth, level, noise : float
        Standard deviations, relative: of a local batch's own, of the smooth function of the local batch, of the level of a
        placement, and of the noise of one measurement.
    """

    kind: str
    own: float
    smooth: float
    level: float
    noise: float

    def covariance(self, a: Places, b: Places) -> FloatArray:
        """Return the covariance of the departure at places `a` and `b`, noise left out, shape (a, b)."""
        apart = np.abs(np.log(a.local_samples)[:, None] - np.log(b.local_samples)[None, :])
        doublings = np.abs(np.log2(a.learners)[:, None] - np.log2(b.learners)[None, :])
        found = self.own**2 * (apart < 1e-9) * np.exp(-doublings / OWN_REACH)
        if self.smooth > 0.0 or self.level > 0.0:
            nodes = np.abs(np.log2(a.nodes)[:, None] - np.log2(b.nodes)[None, :])
            tier = np.where((a.nodes > 1)[:, None] == (b.nodes > 1)[None, :], 1.0, OTHER_TIER)
            z = np.sqrt(3.0) * apart
            matern = (1.0 + z) * np.exp(-z)
            reach = np.exp(-doublings / LEARNERS_REACH - nodes / NODES_REACH)
            found = found + tier * (self.smooth**2 * matern + self.level**2) * reach
        return np.asarray(found * (a.waits[:, None] == b.waits[None, :]), dtype=np.float64)

    @property
    def variance(self) -> float:
        """Variance of the departure at one place."""
        return self.own**2 + self.smooth**2 + self.level**2


OWN_REACH, LEARNERS_REACH, NODES_REACH = 6.0, 4.0, 3.0
"""Doublings of the learners, and of the nodes, over which a departure loses all but 1/e of its correlation."""
OTHER_TIER = 0.3
"""Correlation of departures inside a node and across nodes."""

SHAPES = (
    Departure(kind="narrow", own=0.05, smooth=0.0, level=0.0, noise=0.05),
    Departure(kind="wide", own=0.05, smooth=0.10, level=0.10, noise=0.05),
)
"""Typical of published clusters taken together; a series scales them, and no series has shapes of its own."""

SCALES: FloatArray = np.array([0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.2])
SCALE_MEDIAN, SCALE_LOG_SD = 0.8, 0.7
LOG_WEIGHTS: FloatArray = -0.5 * (np.log(SCALES / SCALE_MEDIAN) / SCALE_LOG_SD) ** 2
"""How large departures and noise of a series are beside `SHAPES`: log-normal, weighed by the evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A series as a fit sees it: where, log seconds, and how noisy each point is beside the others.

    Parameters
    ----------
    places : Places
        Of the points; those of computing alone, where exposed waits were measured, come after the others.
    log_time_s : ndarray, shape (n,)
        Log seconds.
    noise : ndarray, shape (n,)
        Factor of the noise variance: 1 for one measurement, down to 1/2 for the mean of many; larger for points far off.
    """

    places: Places
    log_time_s: FloatArray
    noise: FloatArray


def observed(series: StepTimeSeries, *, waits: bool, far: FloatArray | None = None) -> Observed:
    """Return a series as arrays.

    Parameters
    ----------
    series : StepTimeSeries
        The measurements.
    waits : bool
        Whether what exposed waits say of the computing is taken in: log (step time - wait) of points with several learners.
    far : ndarray, shape (points,), optional
        By how much to enlarge each point's noise variance, >= 1.
    """
    points = series.points
    factor = np.ones(len(points)) if far is None else far
    alone = _computing(series) if waits else []
    counts = np.array([point.count for point in [*points, *alone]], dtype=np.float64)
    return Observed(
        places=places_of([point.place for point in [*points, *alone]], [False] * len(points) + [True] * len(alone)),
        log_time_s=np.log([*(point.step_time_s for point in points), *(point.compute_time_s or 1.0 for point in alone)]),
        noise=np.concatenate([factor, np.ones(len(alone))]) * (0.5 + 0.5 / counts),
    )


def _computing(series: StepTimeSeries) -> list[StepPoint]:
    """Return what exposed waits leave of the steps, several placements of as many learners joined: Gamma knows no placement."""
    grouped: dict[tuple[float, int, int], list[StepPoint]] = {}
    for point in series.points:
        if point.compute_time_s is not None and point.place.learners > 1:
            at = point.place
            grouped.setdefault((at.local_samples, at.learners, at.micro_steps), []).append(point)
    return [
        replace(
            members[-1],
            compute_time_s=float(np.exp(np.mean(np.log([point.compute_time_s or 1.0 for point in members])))),
            count=sum(point.count for point in members),
        )
        for members in grouped.values()
    ]


def whitening(departure: Departure, data: Observed) -> FloatArray:
    """Return W with W K W' = 1, K the covariance of departure and noise at the points, shape (n, n)."""
    from scipy.linalg import solve_triangular

    K = departure.covariance(data.places, data.places) + np.diag(departure.noise**2 * data.noise)
    root = np.linalg.cholesky(K)
    return np.asarray(solve_triangular(root, np.eye(len(K)), lower=True), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the departure at the n points of a series says of that at x places, at scale 1; laws share it.

    Parameters
    ----------
    places : Places
        Where.
    whitener : ndarray, shape (n, n)
        See `whitening`.
    gain : ndarray, shape (x, n)
        From whitened residuals at the points to the departure at the places.
    left : ndarray, shape (x,)
        Variance of the departure at the places that the points leave.
    """

    places: Places
    whitener: FloatArray
    gain: FloatArray
    left: FloatArray

    @classmethod
    def of(cls, departure: Departure, data: Observed, places: Places, whitener: FloatArray | None = None) -> Reach:
        """Return it for a shape of the departure; `whitener` where it is known already."""
        known = whitening(departure, data) if whitener is None else whitener
        gain = departure.covariance(places, data.places) @ known.T
        left = np.maximum(departure.variance - np.sum(gain**2, axis=1), 0.0)
        return cls(places=places, whitener=known, gain=gain, left=left)
