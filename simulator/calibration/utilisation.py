"""Utilisation of an accelerator's peak in training, estimated for a (workload, accelerator) pair that nobody timed.

gamma = train_flop_per_sample / (peak_flop_per_s * utilisation). The logarithm of the utilisation is a mean of the precision
plus effects of the workload, of the workload at this precision, and of the accelerator; the effects are shrunk towards zero as
far as the measured pairs say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.calibration.random_effects import RandomEffects, Spread
from simulator.quantities import FloatArray, positive

__all__ = [
    "Cell",
    "Estimate",
    "UtilisationModel",
    "between_implementations",
    "chip",
    "fit_utilisation",
    "left_out",
]

EFFECTS: Mapping[str, Callable[[Cell], object]] = {
    "workload": lambda cell: cell.workload,
    "workload at this precision": lambda cell: (cell.workload, cell.precision),
    "accelerator": lambda cell: cell.chip,
}
"""Random effects: cells with the same key share one."""


def chip(accelerator: str) -> str:
    """Return the chip of an accelerator: its id without the size of the memory. Siblings share their effect.

    Examples
    --------
    >>> chip("a100-sxm-80"), chip("a100-sxm-40"), chip("t4")
    ('a100-sxm', 'a100-sxm', 't4')
    """
    return re.sub(r"-\d+$", "", accelerator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One measured (workload, chip, precision), by however many implementations.

    Parameters
    ----------
    workload, chip, precision : str
        Names; see `chip`.
    utilisations : tuple of float
        FLOP per sample over (gamma times peak), one for each implementation that was timed. Ratios, > 0; more than 1 where a
        library saves multiplications (Winograd's convolutions).
    """

    workload: str
    chip: str
    precision: str
    utilisations: tuple[float, ...]

    def __post_init__(self) -> None:
        positive("utilisations", self.utilisations)
        if not self.utilisations:
            raise ValueError("utilisations must hold at least one, got none")

    @property
    def log_mean(self) -> float:
        """Mean of the logarithms."""
        return float(np.mean(np.log(self.utilisations)))

    @property
    def log_scatter(self) -> float:
        """Sum of the squared deviations of the logarithms from their mean."""
        return float(np.sum((np.log(self.utilisations) - self.log_mean) ** 2))


def between_implementations(cells: Iterable[Cell]) -> float:
    """Return the variance of the log utilisation between implementations of the same (workload, chip, precision).

    Pooled over the cells that several timed; 0 where there is none.

    Examples
    --------
    >>> one = Cell(workload="r", chip="a100-sxm", precision="bf16", utilisations=(0.2, 0.2 * math.exp(0.2)))
    >>> round(between_implementations([one]), 3)
    0.02
    """
    several = [cell for cell in cells if len(cell.utilisations) > 1]
    degrees = sum(len(cell.utilisations) - 1 for cell in several)
    return sum(cell.log_scatter for cell in several) / degrees if degrees else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A utilisation that nobody measured.

    Parameters
    ----------
    utilisation, low, high : float
        exp of the mean of the logarithm, and the ends of the 90 % interval. Ratios, > 0.
    same_workload, same_accelerator, cells : int
        What it rests on: measured cells that share the workload, that share the chip, and all.
    """

    utilisation: float
    low: float
    high: float
    same_workload: int
    same_accelerator: int
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilisationModel:
    """Estimates of utilisation from the pairs that were measured.

    Parameters
    ----------
    cells : tuple of Cell
        What was measured.
    ratios : ndarray
        Ratios lambda of the standard deviation of each effect to that of the residual, shape (points, 3), in the order of
        `EFFECTS`.
    weights : ndarray
        Posterior weight of each point, shape (points,), sum 1.
    implementation_variance : float
        Of the log utilisation between implementations of one cell; see `between_implementations`.

    Notes
    -----
    For cell i of workload w, precision p, chip a, u_i the geometric mean over its implementations::

        log u_i = mu_p + b_w + c_wp + d_a + e_i
        b ~ N(0, (lambda_1 s)^2), c ~ N(0, (lambda_2 s)^2), d ~ N(0, (lambda_3 s)^2), e ~ N(0, s^2)

    `RandomEffects` has the estimates. To the variance of a prediction comes the one between implementations: much of what was
    measured on several chips comes from one suite that timed them all, so that its implementation is in b and c and hardly in
    e, while an estimate is asked for whoever's. A workload's c is what the matrix units of a precision make of it.
    """

    cells: tuple[Cell, ...]
    ratios: FloatArray
    weights: FloatArray
    implementation_variance: float

    @property
    def precisions(self) -> list[str]:
        """The precisions that were measured: no other can be estimated."""
        return sorted({cell.precision for cell in self.cells})

    def estimate(self, workload: str, accelerator: str, precision: str) -> Estimate:
        """Estimate the utilisation of a pair, measured or not.

        Parameters
        ----------
        workload, accelerator : str
            Names; unknown ones are new, and their effect is drawn from all.
        precision : str
            One of `precisions`.

        Raises
        ------
        ValueError
            If no pair was measured at this precision.
        """
        if precision not in self.precisions:
            raise ValueError(f"precision must be one of {', '.join(self.precisions)}, those measured, got {precision!r}")
        new = Cell(workload=workload, chip=chip(accelerator), precision=precision, utilisations=(1.0,))
        spread = _effects(self.cells).new(
            np.array([float(name == precision) for name in self.precisions]),
            np.array([[float(key(cell) == key(new)) for cell in self.cells] for key in EFFECTS.values()]),
            self.ratios,
            self.weights,
            also=self.implementation_variance,
        )
        return Estimate(
            utilisation=math.exp(spread.mean),
            low=math.exp(spread.quantile(0.05)),
            high=math.exp(spread.quantile(0.95)),
            same_workload=sum(cell.workload == workload for cell in self.cells),
            same_accelerator=sum(cell.chip == new.chip for cell in self.cells),
            cells=len(self.cells),
        )


def fit_utilisation(cells: Iterable[Cell]) -> UtilisationModel:
    """Fit the model to measured cells.

    Raises
    ------
    ValueError
        If there are fewer than two more cells than precisions, or two for one (workload, chip, precision).

    Examples
    --------
    >>> measured = [
    ...     Cell(workload=w, chip=a, precision="bf16", utilisations=(u,))
    ...     for w, a, u in [("r", "v100", 0.25), ("r", "a100", 0.20), ("s", "v100", 0.35), ("s", "a100", 0.28)]
    ... ]
    >>> round(fit_utilisation(measured).estimate("r", "h100", "bf16").utilisation, 2)
    0.23
    """
    cells = tuple(cells)
    _check(cells)
    ratios, weights = _effects(cells).ratios()
    return UtilisationModel(cells=cells, ratios=ratios, weights=weights, implementation_variance=between_implementations(cells))


def left_out(cells: Sequence[Cell], sets: Sequence[Sequence[int]]) -> list[dict[int, Spread]]:
    """Predict sets of cells, each from the cells outside it, as `fit_utilisation` without them would.

    Parameters
    ----------
    cells : sequence of Cell
        All that was measured.
    sets : sequence of sequences of int
        Positions of the cells that are left out together.

    Returns
    -------
    list of dict of int to Spread
        For each set: position of a cell to the prediction of its log utilisation. Cells whose precision nobody else has are
        missing, and all are where fewer than two more cells than precisions remain.
    """
    cells = tuple(cells)
    found: dict[frozenset[int], dict[int, Spread]] = {frozenset(positions): {} for positions in sets}
    alike: dict[frozenset[str], list[frozenset[int]]] = {}  # by the precisions that remain: one that goes had never been
    for positions in found:
        rest = frozenset(cell.precision for i, cell in enumerate(cells) if i not in positions)
        if len(cells) - len(positions) >= len(rest) + 2:
            alike.setdefault(rest, []).append(positions)
    for rest, together in alike.items():
        stay = [i for i, cell in enumerate(cells) if cell.precision in rest]
        place = {i: j for j, i in enumerate(stay)}
        inside = [sorted(positions & set(stay)) for positions in together]
        also = [between_implementations(cell for i, cell in enumerate(cells) if i not in positions) for positions in together]
        spreads = _effects([cells[i] for i in stay]).left_out([[place[i] for i in out] for out in inside], also=also)
        for positions, out, of_set in zip(together, inside, spreads, strict=True):
            found[positions] = dict(zip(out, of_set, strict=True))
    return [found[frozenset(positions)] for positions in sets]


def _effects(cells: Sequence[Cell]) -> RandomEffects:
    precisions = sorted({cell.precision for cell in cells})
    return RandomEffects(
        X=np.array([[float(cell.precision == name) for name in precisions] for cell in cells]),
        y=np.array([cell.log_mean for cell in cells]),
        shared=np.array([[[float(key(a) == key(b)) for b in cells] for a in cells] for key in EFFECTS.values()]),
    )


def _check(cells: Sequence[Cell]) -> None:
    least = len({cell.precision for cell in cells}) + 2
    if len(cells) < least:
        raise ValueError(f"measured cells must be at least {least}, two more than there are precisions, got {len(cells)}")
    seen: set[tuple[str, str, str]] = set()
    for cell in cells:
        key = (cell.workload, cell.chip, cell.precision)
        if key in seen:
            raise ValueError(f"measured cells must differ in workload, chip or precision, got {' '.join(key)} twice")
        seen.add(key)
