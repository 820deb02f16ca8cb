"""Data of the shipped problems: samples with labels, parted into what is trained on and what losses are taken of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.quantities import FloatArray

__all__ = ["Labelled", "Split", "digits", "split"]

EVALUATED_SHARE = 0.2
"""Share of the data that a loss is taken of, as in the paper: one sample for the training loss, a disjoint one for the
cross-validation loss, which is not trained on."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """Samples with their classes.

    Parameters
    ----------
    x : ndarray, shape (n, features) or (n, height, width)
        From 0 to 1.
    labels : ndarray of int, shape (n,)
        Classes, from 0.
    """

    x: FloatArray
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, chosen: NDArray[np.int64]) -> Labelled:
        """Return the samples at some places."""
        return Labelled(x=self.x[chosen], labels=self.labels[chosen])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Data parted for training and the two losses.

    Parameters
    ----------
    training : Labelled
        What mini-batches are drawn from: all but the cross-validation sample.
    training_loss : Labelled
        20 % of all data, out of `training`.
    cross_validation : Labelled
        20 % of all data, none of it in `training`.
    """

    training: Labelled
    training_loss: Labelled
    cross_validation: Labelled

    @property
    def evaluation_samples(self) -> int:
        """Samples of both losses together."""
        return len(self.training_loss) + len(self.cross_validation)


def split(data: Labelled, rng: np.random.Generator) -> Split:
    """Part the data at random: the same for all runs of a measurement."""
    order = rng.permutation(len(data))
    held = max(1, round(EVALUATED_SHARE * len(data)))
    return Split(
        cross_validation=data.of(order[:held]), training_loss=data.of(order[held : 2 * held]), training=data.of(order[held:])
    )


def digits(problem: str) -> Labelled:
    """Return scikit-learn's digits: 1,797 images of 8 x 8 pixels, ten classes (shape (1797, 8, 8))."""
    from simulator.measuring.problems import needed

    loaded = needed("sklearn.datasets", "measure", problem).load_digits()
    return Labelled(x=np.asarray(loaded.images, dtype=np.float64) / 16.0, labels=np.asarray(loaded.target, dtype=np.int64))
