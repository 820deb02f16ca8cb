"""Random effects against the textbook: Henderson's mixed model equations, error contrasts, refits, and simulated worlds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import null_space

from simulator.calibration.random_effects import RandomEffects
from simulator.calibration.utilisation import Cell, between_implementations, fit_utilisation, left_out

PRECISIONS = ("fp32", "bf16")


def world(rng: np.random.Generator, *, workloads: int = 5, chips: int = 4, kept: float = 0.8) -> list[Cell]:
    """Cells drawn from the model: sd 0.5 of workloads, 0.2 of workloads in a precision, 0.3 of chips, 0.15 of the rest."""
    of_workload, of_chip = 0.5 * rng.standard_normal(workloads), 0.3 * rng.standard_normal(chips)
    cells = []
    for w in range(workloads):
        for precision in PRECISIONS:
            inner = 0.2 * rng.standard_normal()
            for a in range(chips):
                log = -1.0 + (precision == "fp32") + of_workload[w] + inner + of_chip[a] + 0.15 * rng.standard_normal()
                if rng.random() < kept:
                    cells.append(Cell(workload=f"w{w}", chip=f"a{a}", precision=precision, utilisations=(math.exp(log),)))
    return cells


Key = Callable[[Cell], object]
KEYS: tuple[Key, ...] = (lambda c: c.workload, lambda c: (c.workload, c.precision), lambda c: c.chip)


def levels(key: Key, cells: list[Cell]) -> list[object]:
    return list(dict.fromkeys(key(cell) for cell in cells))


def indicators(cells: list[Cell]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """X, y, the Z of each effect with a column for every workload, (workload, precision) and chip, and Z Z'."""
    X = np.array([[float(cell.precision == name) for name in sorted(PRECISIONS)] for cell in cells])
    y = np.array([math.log(cell.utilisations[0]) for cell in cells])
    Z = [np.array([[float(key(cell) == level) for level in levels(key, cells)] for cell in cells]) for key in KEYS]
    return X, y, Z, np.array([[[float(key(a) == key(b)) for b in cells] for a in cells] for key in KEYS])


@pytest.mark.parametrize("seed", range(3))
def test_estimates_are_those_of_the_mixed_model_equations(seed: int) -> None:
    # Robinson (1991), eqns 1.2 and 5.1: [X'X X'Z; Z'X Z'Z + D^-1] [mu; b] = [X'y; Z'y]; its inverse times s^2 is the covariance
    # of (mu^ - mu, b^ - b), so the variance of the error of x'mu + z'b is s^2 (x, z)' C^-1 (x, z); a new number adds s^2.
    rng = np.random.default_rng(seed)
    cells = world(rng)
    new = cells.pop()
    X, y, Z, shared = indicators(cells)
    ratios = np.exp(rng.uniform(-1.5, 1.5, 3))
    together = np.hstack(Z)
    D = np.concatenate([np.full(z.shape[1], r**2) for z, r in zip(Z, ratios, strict=True)])
    C = np.block([[X.T @ X, X.T @ together], [together.T @ X, together.T @ together + np.diag(1 / D)]])
    solved = np.linalg.solve(C, np.concatenate([X.T @ y, together.T @ y]))
    z = np.concatenate([[float(key(new) == level) for level in levels(key, cells)] for key in KEYS])
    missing = [r**2 for key, r in zip(KEYS, ratios, strict=True) if key(new) not in levels(key, cells)]
    x = np.array([float(new.precision == name) for name in sorted(PRECISIONS)])
    at = np.concatenate([x, z])
    residual = y - X @ solved[:2] - together @ solved[2:]
    s2 = y @ residual / (len(y) - 2)  # y'(y - X mu - Z b) = y' V^-1 (y - X mu), Searle, Casella and McCulloch
    variance = s2 * (1.0 + sum(missing) + at @ np.linalg.inv(C) @ at)

    shares = np.array([[float(key(cell) == key(new)) for cell in cells] for key in KEYS])
    spread = RandomEffects(X=X, y=y, shared=shared).new(x, shares, ratios[None, :], np.ones(1), also=0.01)
    assert spread.mean == pytest.approx(at @ solved, rel=1e-9)
    assert spread.scales[0] == pytest.approx(math.sqrt(variance + 0.01), rel=1e-9)
    assert spread.degrees == len(y) - 2


def test_ratios_are_weighed_by_the_density_of_the_error_contrasts() -> None:
    # REML is the likelihood of A'y with A'X = 0 (Patterson and Thompson 1971); s^2 is integrated over with 1/s^2.
    cells = world(np.random.default_rng(7))
    X, y, _, shared = indicators(cells)
    ratios, weights = RandomEffects(X=X, y=y, shared=shared).ratios()
    A = null_space(X.T)

    def log_posterior(lam: np.ndarray) -> float:
        V = A.T @ (np.eye(len(y)) + sum(r**2 * K for r, K in zip(lam, shared, strict=True))) @ A
        u = A.T @ y
        prior = sum(math.log(r / (1 + r**2)) for r in lam)  # density 2/pi/(1 + r^2), per step of log r
        return float(prior - 0.5 * np.linalg.slogdet(V)[1] - 0.5 * len(u) * math.log(u @ np.linalg.solve(V, u)))

    expected = np.array([log_posterior(lam) for lam in ratios])
    assert np.log(weights) - np.log(weights).max() == pytest.approx(expected - expected.max(), abs=1e-7)
    assert weights.sum() == pytest.approx(1.0)


def test_leaving_out_is_fitting_again_without() -> None:
    cells = world(np.random.default_rng(11))
    cells[0] = Cell(workload=cells[0].workload, chip=cells[0].chip, precision=cells[0].precision, utilisations=(0.2, 0.3))
    cells[9] = Cell(workload=cells[9].workload, chip=cells[9].chip, precision=cells[9].precision, utilisations=(0.1, 0.12, 0.2))
    sets = [
        [0],
        [i for i, cell in enumerate(cells) if (cell.workload, cell.chip) == ("w1", "a1")],
        [i for i, cell in enumerate(cells) if cell.chip == "a0"],
        [i for i, cell in enumerate(cells) if cell.workload == "w2" or cell.chip == "a3"],
    ]
    for positions, spreads in zip(sets, left_out(cells, sets), strict=True):
        rest = [cell for i, cell in enumerate(cells) if i not in positions]
        model = fit_utilisation(rest)
        assert set(spreads) == set(positions)
        for i, spread in spreads.items():
            again = model.estimate(cells[i].workload, cells[i].chip, cells[i].precision)
            # points of the ratios below e^-12 of the likeliest are dropped
            assert spread.mean == pytest.approx(math.log(again.utilisation), abs=1e-4)
            assert spread.quantile(0.05) == pytest.approx(math.log(again.low), abs=5e-4)
            assert spread.quantile(0.95) == pytest.approx(math.log(again.high), abs=5e-4)


def test_a_precision_that_goes_with_the_set_is_as_if_it_had_never_been() -> None:
    cells = [cell for cell in world(np.random.default_rng(5)) if cell.precision == "bf16" or cell.chip == "a0"]
    out = [i for i, cell in enumerate(cells) if cell.chip == "a0"]
    (found,) = left_out(cells, [out])
    assert set(found) == {i for i in out if cells[i].precision == "bf16"}
    model = fit_utilisation([cell for i, cell in enumerate(cells) if i not in out])
    for i, spread in found.items():
        again = model.estimate(cells[i].workload, "a0", "bf16")
        assert spread.mean == pytest.approx(math.log(again.utilisation), abs=1e-4)


def test_intervals_hold_nine_of_ten_in_simulated_worlds() -> None:
    # Each pair is predicted from the others: the share of them between the 5 % and the 95 % point. Cells of one world are not
    # independent, so the standard error is taken between the worlds.
    held = []
    for seed in range(20):
        cells = world(np.random.default_rng(1000 + seed))
        pairs: dict[tuple[str, str], list[int]] = {}
        for i, cell in enumerate(cells):
            pairs.setdefault((cell.workload, cell.chip), []).append(i)
        below = [
            float(spread.weights @ stats.t.cdf((cells[i].log_mean - spread.means) / spread.scales, spread.degrees))
            for spreads in left_out(cells, list(pairs.values()))
            for i, spread in spreads.items()
        ]
        held.append(np.mean([0.05 <= share <= 0.95 for share in below]))
    standard_error = np.std(held, ddof=1) / math.sqrt(len(held))
    assert standard_error < 0.02
    assert np.mean(held) == pytest.approx(0.90, abs=3 * standard_error)


def test_the_variance_between_implementations_is_pooled_as_in_an_analysis_of_variance() -> None:
    # within-groups mean square by hand: groups log u = (0, 0.2), (1, 1.3, 1.6): (0.02 + 0.18) / (1 + 2)
    cells = [
        Cell(workload="a", chip="x", precision="bf16", utilisations=tuple(np.exp([0.0, 0.2]))),
        Cell(workload="b", chip="x", precision="bf16", utilisations=tuple(np.exp([1.0, 1.3, 1.6]))),
        Cell(workload="c", chip="x", precision="bf16", utilisations=(0.3,)),
    ]
    assert between_implementations(cells) == pytest.approx(0.2 / 3)
    assert between_implementations(cells[2:]) == 0.0
