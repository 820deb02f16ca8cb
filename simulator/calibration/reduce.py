"""Fit measured all-reduce times: what another size or number of devices takes, how sure that is, and what to measure next.

The prediction weighs two laws, one ring through all devices and a ring inside the nodes followed by one across them, by
how well they explain the points, and adds a smooth shrunk departure (reduce_departure). Reduction in the switch has a law
of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.calibration.departure import Mixture
from simulator.calibration.reduce_departure import Departure, departures, mixture, shares
from simulator.calibration.reduce_laws import NAMES, REDUCE_LAWS, Places, ReduceLawFit, fit_reduce_law
from simulator.calibration.reduce_series import ReduceSeries, as_arrays
from simulator.errors import FitError
from simulator.quantities import FloatArray

__all__ = ["LargeMessage", "NextReduce", "ReduceFit", "ReducePrediction", "fit_reduce"]

CANDIDATE_LAWS = ("ring", "two_tier_ring")

IDENTIFIED = 0.6
"""A parameter is identified where the data alone give its logarithm a standard error below this: 90 % within 2.7 times."""

UNTOUCHED = 1e-6

LARGEST_DEFAULT_BYTES = 2.0**34
HALF_REACH, HALF_POINTS = 16.0, 121
CHUNK, MOST_WANTED = 200, 100
MOST_CANDIDATE_SIZES, MOST_CANDIDATE_PLACEMENTS = 32, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducePrediction:
    """The time of one all-reduce.

    Parameters
    ----------
    size_bytes : float
        Bytes that each device contributes.
    devices, nodes : int
        P, and the nodes that they are spread over.
    time_s : float
        The prediction: a median, seconds.
    law_time_s : float
        The best law alone.
    interval90 : (float, float)
        90 % interval of the mean time of this size there.
    warning : str or None
        Why to trust it less.
    """

    size_bytes: float
    devices: int
    nodes: int
    time_s: float
    law_time_s: float
    interval90: tuple[float, float]
    warning: str | None

    @property
    def bus_bandwidth_bytes_per_s(self) -> float:
        """Bytes over time, times 2 (P-1)/P."""
        return self.size_bytes / self.time_s * 2.0 * (self.devices - 1) / self.devices


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeMessage:
    """What a large message gets.

    Parameters
    ----------
    size_bytes : float
        The largest size measured.
    devices, nodes : int
        The most devices measured in this tier.
    bus_bandwidth_bytes_per_s : float
        Predicted there.
    half_size_bytes : float or None
        From this size on at least half of that bandwidth; None where a sixteenth of the smallest size measured has it too.
    """

    size_bytes: float
    devices: int
    nodes: int
    bus_bandwidth_bytes_per_s: float
    half_size_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextReduce:
    """What to measure next.

    Parameters
    ----------
    size_bytes : float
        Size of the message, bytes.
    devices, nodes : int
        P and its nodes.
    narrows_by : float
        Fraction by which the 90 % intervals asked for would get narrower, on average; 0 to 1.
    """

    size_bytes: float
    devices: int
    nodes: int
    narrows_by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReduceFit:
    """What a series of measured all-reduces says.

    Parameters
    ----------
    series : ReduceSeries
        The measurements.
    fits : tuple of ReduceLawFit
        The laws, best first.
    weights : tuple of float
        Probability of each; adds up to 1.
    """

    series: ReduceSeries
    fits: tuple[ReduceLawFit, ...]
    weights: tuple[float, ...]

    @property
    def best(self) -> ReduceLawFit:
        """The law with the largest weight."""
        return self.fits[0]

    def mixture(self, targets: Sequence[tuple[float, int, int]]) -> Mixture:
        """Return the prediction of log seconds at (size_bytes, devices, nodes), as a mixture of normals."""
        return mixture(self._departures(targets))

    def _departures(self, targets: Sequence[tuple[float, int, int]]) -> list[Departure]:
        places, errors = _measured(self.series)
        return [one for fit in self.fits for one in departures(fit, places, errors, _places(targets))]

    def predict(self, targets: Sequence[tuple[float, int, int]]) -> tuple[ReducePrediction, ...]:
        """Predict the time of all-reduces.

        Parameters
        ----------
        targets : sequence of (float, int, int)
            Size in bytes, > 0; devices, >= 2; nodes, 1 to devices.

        Returns
        -------
        tuple of ReducePrediction
            The intervals count the errors of the parameters, which law holds, the departure, and what each size has of its own.

        Raises
        ------
        ValueError
            If a target is none.
        """
        for size_bytes, devices, nodes in targets:
            if not (0 < size_bytes < np.inf and devices >= 2 and 1 <= nodes <= devices):
                rule = "size_bytes > 0, devices >= 2 and nodes from 1 to devices"
                raise ValueError(f"targets must have {rule}, got {(size_bytes, devices, nodes)}")
        if not targets:
            return ()
        chunks = [self.mixture(targets[i : i + CHUNK]) for i in range(0, len(targets), CHUNK)]
        low, middle, high = (np.exp(np.concatenate([one.quantile(q) for one in chunks])) for q in (0.05, 0.5, 0.95))
        alone = np.exp(self.best.law.log_time(self.best.fit.estimates, *_places(targets)))
        return tuple(
            ReducePrediction(
                size_bytes=float(size_bytes),
                devices=int(devices),
                nodes=int(nodes),
                time_s=float(middle[i]),
                law_time_s=float(alone[i]),
                interval90=(float(low[i]), float(high[i])),
                warning=self._warning(float(size_bytes), devices, nodes),
            )
            for i, (size_bytes, devices, nodes) in enumerate(targets)
        )

    def _warning(self, size_bytes: float, devices: int, nodes: int) -> str | None:
        said = []
        within, across = self.series.tiers
        if nodes > 1 and not across:
            said.append("nothing was measured across nodes: a guess from other systems")
        elif nodes == 1 and not within:
            said.append("nothing was measured inside a node: a guess from other systems")
        most = max(point.devices for point in self.series.points)
        if devices > most:
            said.append(f"{devices / most:.3g} times the most devices measured")
        smallest, largest = self.series.sizes[0], self.series.sizes[-1]
        if size_bytes > largest * (1 + 1e-12):
            said.append(f"{size_bytes / largest:.3g} times the largest size measured")
        elif size_bytes < smallest * (1 - 1e-12):
            said.append(f"1/{smallest / size_bytes:.3g} of the smallest size measured")
        return "; ".join(said) or None

    def touched(self) -> tuple[str, ...]:
        """Return the parameters of the best law that the measurements depend on at all."""
        slopes = np.max(np.abs(self.best.fit.jacobian), axis=0)
        return tuple(name for name, slope in zip(NAMES, slopes, strict=True) if slope > UNTOUCHED)

    def unidentified(self) -> tuple[str, ...]:
        """Return the parameters of the best law that the measurements do not pin down.

        Their values are mostly what is known of other systems.
        """
        errors = self.best.data_alone_log_errors()
        return tuple(
            name
            for name, error in zip(NAMES, errors, strict=True)
            if not error < IDENTIFIED and not (self.series.in_switch and name == "latency_s")
        )

    def large_messages(self) -> tuple[LargeMessage, ...]:
        """Return what the largest size measured gets, at the most devices measured of each tier, and where half of it is."""
        found = []
        smallest, largest = self.series.sizes[0], self.series.sizes[-1]
        sizes = np.geomspace(smallest / HALF_REACH, largest, HALF_POINTS)
        for across in (False, True):
            placements = [place for place in self.series.placements if (place[1] > 1) is across]
            if not placements:
                continue
            devices, nodes = placements[-1]
            log_T = self.mixture([(float(size), devices, nodes) for size in sizes]).quantile(0.5)
            log_ratio = np.log(sizes) - log_T - (np.log(sizes[-1]) - log_T[-1]) - np.log(0.5)
            below = np.flatnonzero(log_ratio < 0.0)
            half = None
            if len(below):
                i = int(below[-1])  # from there on every size has more than half
                share = -log_ratio[i] / (log_ratio[i + 1] - log_ratio[i])
                half = float(sizes[i] * (sizes[i + 1] / sizes[i]) ** share)
            found.append(
                LargeMessage(
                    size_bytes=largest,
                    devices=devices,
                    nodes=nodes,
                    bus_bandwidth_bytes_per_s=float(largest / np.exp(log_T[-1]) * 2.0 * (devices - 1) / devices),
                    half_size_bytes=half,
                )
            )
        return tuple(found)

    def next_measurement(self, targets: Sequence[tuple[float, int, int]] | None = None) -> NextReduce:
        """Say what to measure next, and what that would bring.

        Parameters
        ----------
        targets : sequence of (float, int, int), optional
            Whose intervals should get narrower, a hundred evenly picked of more; by default `default_targets`.
        """
        wanted = list(targets) if targets else self.default_targets()
        if len(wanted) > MOST_WANTED:
            wanted = [wanted[i] for i in np.unique(np.linspace(0, len(wanted) - 1, MOST_WANTED).astype(int))]
        candidates = self._candidates(wanted)
        found = self._departures([*wanted, *candidates])
        t = len(wanted)
        now, after = np.zeros(t), np.zeros((len(candidates), t))
        for weight, one in zip(shares(found), found, strict=True):
            variances = np.maximum(np.diag(one.covariance), 0.0) + one.lone
            gained = one.covariance[t:, :t] ** 2 / variances[t:, None]
            now += weight * variances[:t]
            after += weight * np.maximum(variances[None, :t] - gained, one.lone)
        left = np.mean(np.sqrt(after / now), axis=1)
        best = int(np.argmin(left))
        size_bytes, devices, nodes = candidates[best]
        return NextReduce(size_bytes=size_bytes, devices=devices, nodes=nodes, narrows_by=max(0.0, 1.0 - float(left[best])))

    def default_targets(self) -> list[tuple[float, int, int]]:
        """Return what to predict where nothing is asked, all from the placement with the most devices.

        The middle of the widest gap, twice the largest size (up to 16 GiB), and the largest on twice the devices and nodes.
        """
        sizes, (devices, nodes) = self.series.sizes, self.series.placements[-1]
        targets = [(sizes[-1], 2 * devices, 2 * nodes)]
        if 2.0 * sizes[-1] <= LARGEST_DEFAULT_BYTES:
            targets.insert(0, (2.0 * sizes[-1], devices, nodes))
        if len(sizes) > 1:
            i = int(np.argmax(np.diff(np.log(sizes))))
            targets.insert(0, (float(round((sizes[i] * sizes[i + 1]) ** 0.5)), devices, nodes))
        return targets

    def _candidates(self, wanted: Sequence[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
        """Return what could be measured: sizes asked, measured and between, on placements measured and twice the largest."""
        sizes = self.series.sizes
        asked = {size for size, _, _ in wanted}
        powers = {4.0**i for i in range(7, 17) if 4.0**i <= max(*asked, sizes[-1])}
        listed = sorted({sizes[0] / 4.0, *sizes, *powers, *asked})
        if len(listed) > MOST_CANDIDATE_SIZES:
            picked = np.unique(np.linspace(0, len(listed) - 1, MOST_CANDIDATE_SIZES).astype(int))
            listed = [listed[i] for i in picked]
        placements = list(self.series.placements)[-MOST_CANDIDATE_PLACEMENTS:]
        devices, nodes = placements[-1]
        placements.append((2 * devices, 2 * nodes))
        measured = {(point.size_bytes, point.devices, point.nodes) for point in self.series.points}
        every = [(float(size), P, N) for P, N in placements for size in listed]
        return [one for one in every if one not in measured]


def _places(targets: Iterable[tuple[float, int, int]]) -> Places:
    S, P, N = np.array([[float(x) for x in target] for target in targets]).T
    return S, P, N


def _measured(series: ReduceSeries) -> tuple[Places, FloatArray]:
    return as_arrays(series.points), np.array([point.error_relative for point in series.points])


def fit_reduce(series: ReduceSeries, *, laws: Sequence[str] | None = None) -> ReduceFit:
    """Fit the laws of an all-reduce to a measured series.

    Parameters
    ----------
    series : ReduceSeries
        Two points or more.
    laws : sequence of str, optional
        Kinds of `REDUCE_LAWS` to weigh; by default the two rings, or the in-switch law for a series that is.

    Returns
    -------
    ReduceFit
        With predictions, intervals, what is unidentified and the next measurement.

    Raises
    ------
    FitError
        If no law fits these points.
    """
    kinds = tuple(laws) if laws is not None else ("in_switch",) if series.in_switch else CANDIDATE_LAWS
    places, errors = _measured(series)
    fits = []
    for kind in kinds:
        try:
            fits.append(fit_reduce_law(REDUCE_LAWS[kind], series))
        except FitError:
            continue
    if not fits:
        raise FitError(f"{series.name}: no law of an all-reduce fits these times")
    found = [departures(fit, places, errors, tuple(x[:1] for x in places)) for fit in fits]  # type: ignore[arg-type]
    each = shares([one for part in found for one in part]).reshape(len(fits), -1).sum(axis=1)
    order = np.argsort(-np.round(each, 6), kind="stable")
    return ReduceFit(series=series, fits=tuple(fits[i] for i in order), weights=tuple(float(each[i]) for i in order))


def as_keys(prediction: ReducePrediction) -> dict[str, Any]:
    """Return a prediction as a row."""
    return {
        "size_bytes": prediction.size_bytes,
        "devices": prediction.devices,
        "nodes": prediction.nodes,
        "time_s": prediction.time_s,
        "lo90": prediction.interval90[0],
        "hi90": prediction.interval90[1],
        "bus_bandwidth_bytes_per_s": prediction.bus_bandwidth_bytes_per_s,
        "law_time_s": prediction.law_time_s,
        "warning": prediction.warning,
    }
