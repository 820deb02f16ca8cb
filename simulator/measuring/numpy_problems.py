"""Two classifiers of scikit-learn's digits in NumPy: softmax regression, and one hidden layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from simulator.measuring.data_sets import Labelled, Split, digits, split
from simulator.measuring.problems import Setting
from simulator.quantities import FloatArray

__all__ = ["DigitsMlp", "DigitsSoftmax"]

PIXELS, CLASSES = 64, 10


def cross_entropy(scores: FloatArray, labels: NDArray[np.int64]) -> tuple[float, FloatArray]:
    """Return the mean cross-entropy of softmax scores, shape (m, classes), and its derivative by the scores."""
    rows = np.arange(len(labels))
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    odds = np.exp(shifted)
    total = np.sum(odds, axis=1, keepdims=True)
    loss = float(np.mean(np.log(total[:, 0]) - shifted[rows, labels]))
    slope = odds / total
    slope[rows, labels] -= 1.0
    return loss, slope / len(labels)


@dataclass(slots=True, kw_only=True, eq=False)
class _Network:
    """Layers of weights, tanh between them, trained by plain SGD with mini-batches drawn with replacement."""

    weights: list[FloatArray]
    data: Split
    setting: Setting

    def outputs(self, x: FloatArray) -> list[FloatArray]:
        """Inputs of each layer, and the scores; the last column of a layer's input is 1, for its bias."""
        found = [x]
        for place, weights in enumerate(self.weights):
            scores = found[-1] @ weights[:-1] + weights[-1]
            found.append(np.tanh(scores) if place + 1 < len(self.weights) else scores)
        return found

    def gradients(self, batch: Labelled) -> list[FloatArray]:
        """Derivatives of the mean loss of a mini-batch by the weights."""
        outputs = self.outputs(batch.x)
        _, slope = cross_entropy(outputs[-1], batch.labels)
        found: list[FloatArray] = []
        for place in range(len(self.weights) - 1, -1, -1):
            found.append(np.vstack([outputs[place].T @ slope, np.sum(slope, axis=0)]))
            if place:
                slope = (slope @ self.weights[place][:-1].T) * (1.0 - outputs[place] ** 2)
        return found[::-1]

    def update(self) -> None:
        """Take one step against the gradient of a mini-batch."""
        setting, training = self.setting, self.data.training
        gradients = self.gradients(training.of(setting.samples_rng.integers(0, len(training), setting.batch_samples)))
        setting.combine(gradients)
        for weights, gradient in zip(self.weights, gradients, strict=True):
            weights -= setting.learning_rate * gradient

    def loss(self, data: Labelled) -> float:
        """Mean cross-entropy of some samples."""
        return cross_entropy(self.outputs(data.x)[-1], data.labels)[0]

    def losses(self) -> Mapping[str, float]:
        """Losses of the two samples of 20 % each."""
        return {"training": self.loss(self.data.training_loss), "cross_validation": self.loss(self.data.cross_validation)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Digits:
    data: Split
    widths: ClassVar[tuple[int, ...]]
    sample_unit: ClassVar[str] = "image"
    batch_samples: ClassVar[tuple[int, int]] = (1, 1024)

    @classmethod
    def made(cls, name: str, seed: int) -> Self:
        """Load the digits and part them by `seed`; the name says for which problem, where they are missing."""
        loaded = digits(name)
        flat = Labelled(x=loaded.x.reshape(len(loaded), PIXELS), labels=loaded.labels)
        return cls(data=split(flat, np.random.default_rng([seed, 0])))

    @property
    def data_set_samples(self) -> int:
        """Images that mini-batches are drawn from."""
        return len(self.data.training)

    @property
    def evaluation_samples(self) -> int:
        """Images behind both losses."""
        return self.data.evaluation_samples

    @property
    def parameters(self) -> int:
        """Weights of the network."""
        return sum((a + 1) * b for a, b in zip(self.widths, self.widths[1:], strict=False))

    def build(self, setting: Setting) -> _Network:
        """Draw weights from normal distributions of variance 1/inputs; biases start at 0."""
        weights = []
        for inputs, outputs in zip(self.widths, self.widths[1:], strict=False):
            layer = setting.weights_rng.normal(size=(inputs + 1, outputs)) / np.sqrt(inputs)
            layer[-1] = 0.0
            weights.append(layer)
        return _Network(weights=weights, data=self.data, setting=setting)


class DigitsMlp(_Digits):
    """64 pixels, 32 hidden units with tanh, 10 classes; the rate is tuned for each batch size up to 1, where SGD is stable."""

    __slots__ = ()
    widths: ClassVar[tuple[int, ...]] = (PIXELS, 32, CLASSES)
    targets: ClassVar[tuple[float, ...]] = (0.5, 0.4, 0.3)
    learning_rates: ClassVar[tuple[float, ...]] = tuple(2.0 ** (k / 2.0) for k in range(-10, 1))
    about: ClassVar[str] = "scikit-learn's digits, 64-32-10 network in NumPy, plain SGD"


class DigitsSoftmax(_Digits):
    """Softmax regression: convex, and with a best rate that hardly depends on the weights."""

    __slots__ = ()
    widths: ClassVar[tuple[int, ...]] = (PIXELS, CLASSES)
    targets: ClassVar[tuple[float, ...]] = (0.6, 0.5, 0.4)
    learning_rates: ClassVar[tuple[float, ...]] = tuple(2.0 ** (k / 2.0) for k in range(-10, 3))
    about: ClassVar[str] = "scikit-learn's digits, softmax regression in NumPy, plain SGD"
