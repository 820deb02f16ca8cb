"""The LeNets of the paper's Table 1 in torch, on files in MNIST's format or on scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import SimulatorError
from simulator.measuring.data_sets import Labelled, digits, split
from simulator.measuring.images import read_images
from simulator.measuring.problems import Options, Setting, needed

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

__all__ = ["LENETS", "LeNetProblem", "LeNetSize", "lenet_problem"]

SIDE = 32
"""Images are brought to 32 x 32: 28 x 28 by a border of two pixels, 8 x 8 by repeating each pixel."""
CLASSES = 10
KERNEL = 5
WEIGHT_DECAY = 1e-4
"""On the squared norm of the weights, as in the paper."""
EVALUATED_AT_ONCE = 64
"""Images in a pass of an evaluation: these fit into a processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeNetSize:
    """A network of Table 1: two convolutions of 5 x 5 and two layers of weights, four in all.

    Parameters
    ----------
    title : str
        As in the table.
    channels : (int, int)
        Of the two convolutions.
    hidden : int
        Units between them and the classes.
    parameters : int
        As in the table.
    learning_rates : tuple of float
        As in the table.
    even_odd : bool
        Classes are even and odd numbers; the ten outputs stay, as the table's parameters show.
    """

    title: str
    channels: tuple[int, int]
    hidden: int
    parameters: int
    learning_rates: tuple[float, ...]
    even_odd: bool = False


LENETS: Mapping[str, LeNetSize] = {
    "lenet-small": LeNetSize(title="Small - LeNet", channels=(16, 32), hidden=100, parameters=43_158, learning_rates=(0.01,)),
    "lenet-medium": LeNetSize(
        title="Medium - LeNet", channels=(32, 64), hidden=200, parameters=169_506, learning_rates=(0.01, 0.05)
    ),
    "lenet-even-odd": LeNetSize(
        title="Even/Odd - LeNet", channels=(32, 64), hidden=200, parameters=169_506, learning_rates=(0.05,), even_odd=True
    ),
    "lenet-large": LeNetSize(title="Large - LeNet", channels=(64, 128), hidden=400, parameters=671_802, learning_rates=(0.01,)),
}
"""The MNIST rows of Table 1. The table gives parameters and layers only; these widths give all of its counts."""


def network(size: LeNetSize) -> Module:
    """Build the network for images of 32 x 32; its weights are still to be drawn.

    Convolution 5 x 5, tanh, pooling 3 x 3 (32 to 28 to 10), convolution 5 x 5, tanh, pooling 2 x 2 (10 to 6 to 3), tanh layer,
    linear layer. The largest tanh is the tanh of the largest: it is taken after pooling, of a ninth and a quarter of the
    numbers; half of an evaluation was spent on it before.
    """
    from torch import nn

    first, second = size.channels
    return nn.Sequential(
        nn.Conv2d(1, first, KERNEL),
        nn.MaxPool2d(3, stride=3, padding=1),
        nn.Tanh(),
        nn.Conv2d(first, second, KERNEL),
        nn.MaxPool2d(2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(second * 9, size.hidden),
        nn.Tanh(),
        nn.Linear(size.hidden, CLASSES),
    )


def counted(module: Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in module.parameters())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Images:
    """Images and classes as tensors."""

    x: Tensor
    labels: Tensor

    @classmethod
    def of(cls, data: Labelled) -> _Images:
        import torch

        x = torch.from_numpy(data.x.astype(np.float32))[:, None]
        return cls(x=x.contiguous(memory_format=torch.channels_last), labels=torch.from_numpy(data.labels))


@dataclass(slots=True, kw_only=True, eq=False)
class _TorchLearner:
    """A network, its optimiser and its mini-batches, drawn with replacement."""

    module: Module
    optimizer: Any
    training: _Images
    evaluated: Mapping[str, _Images]
    setting: Setting

    def update(self) -> None:
        """Make one step of the optimiser."""
        import torch
        from torch.nn.functional import cross_entropy

        chosen = torch.from_numpy(self.setting.samples_rng.integers(0, len(self.training.labels), self.setting.batch_samples))
        self.optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(self.module(self.training.x[chosen]), self.training.labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        self.setting.combine([parameter.grad for parameter in self.module.parameters()])
        self.optimizer.step()

    def losses(self) -> Mapping[str, float]:
        """Mean cross-entropy of the two samples of 20 % each; the penalty on the weights is not counted."""
        import torch
        from torch.nn.functional import cross_entropy

        found = {}
        with torch.no_grad():
            for name, images in self.evaluated.items():
                total = 0.0
                for first in range(0, len(images.labels), EVALUATED_AT_ONCE):
                    x, labels = (part[first : first + EVALUATED_AT_ONCE] for part in (images.x, images.labels))
                    total += float(cross_entropy(self.module(x), labels, reduction="sum"))
                found[name] = total / len(images.labels)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeNetProblem:
    """A LeNet, its data and SGD or Adam.

    Parameters
    ----------
    size : LeNetSize
        Which.
    training : images
        What mini-batches are drawn from, 32 x 32.
    evaluated : mapping of str to images
        What each loss is taken of.
    optimizer : {"sgd", "adam"}
        Both with a light penalty on the squared weights.
    data_title : str
        What the images are.
    """

    size: LeNetSize
    training: _Images
    evaluated: Mapping[str, _Images]
    optimizer: str
    data_title: str
    sample_unit: str = "image"
    batch_samples: tuple[int, ...] = (1, 1024)
    max_updates: int = 20_000

    @property
    def data_set_samples(self) -> int:
        """Images that mini-batches are drawn from."""
        return len(self.training.labels)

    @property
    def evaluation_samples(self) -> int:
        """Images behind both losses."""
        return sum(len(images.labels) for images in self.evaluated.values())

    @property
    def parameters(self) -> int:
        """Weights, counted in the network itself."""
        return counted(network(self.size))

    @property
    def targets(self) -> tuple[float, ...]:
        """Losses to be reached: guessing between ten classes has 2.3, between two 0.69."""
        return (0.5, 0.4, 0.3) if self.size.even_odd else (1.0, 0.8, 0.7)

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The last rate of the table for SGD; 0.001 for Adam, whose step does not follow the size of the gradient."""
        return (0.001,) if self.optimizer == "adam" else self.size.learning_rates[-1:]

    @property
    def about(self) -> str:
        """One line for the answer."""
        return f"{self.size.title} of Table 1, {self.parameters:,} parameters, {self.optimizer} in torch, on {self.data_title}"

    def build(self, setting: Setting) -> _TorchLearner:
        """Draw weights and biases uniformly within 1/sqrt(inputs of a unit), torch's own default, from the run's generator."""
        import torch

        module = network(self.size).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast here
        with torch.no_grad():
            for layer in module:
                weight = getattr(layer, "weight", None)
                if weight is not None:
                    reach = 1.0 / np.sqrt(weight[0].numel())
                    for parameter in (weight, layer.bias):
                        drawn = setting.weights_rng.uniform(-reach, reach, size=tuple(parameter.shape))
                        parameter.copy_(torch.from_numpy(drawn.astype(np.float32)))
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.SGD
        return _TorchLearner(
            module=module,
            optimizer=kind(module.parameters(), lr=setting.learning_rate, weight_decay=WEIGHT_DECAY),
            training=self.training,
            evaluated=self.evaluated,
            setting=setting,
        )


def to_32(images: Labelled) -> Labelled:
    """Bring images of 28 x 28 or 8 x 8 to 32 x 32."""
    if images.x.shape[1] == 28:
        x = np.pad(images.x, ((0, 0), (2, 2), (2, 2)))
    else:
        x = np.repeat(np.repeat(images.x, SIDE // images.x.shape[1], axis=1), SIDE // images.x.shape[2], axis=2)
    return Labelled(x=x, labels=images.labels)


def lenet_problem(name: str, options: Options) -> LeNetProblem:
    """Return a LeNet with its data.

    Raises
    ------
    SimulatorError
        If torch or the data are missing, or fewer images than asked for are there.
    """
    needed("torch", "torch", name)
    size = LENETS[name]
    images = digits(name) if options.data_dir is None else read_images(options.data_dir)
    title = "scikit-learn's digits" if options.data_dir is None else f"the images of {options.data_dir}"
    if options.samples is not None:
        if not 10 <= options.samples <= len(images):
            raise SimulatorError(f"--samples must be from 10 to {len(images)}, the images there, got {options.samples}")
        chosen = np.sort(np.random.default_rng([options.seed, 3]).permutation(len(images))[: options.samples])
        images, title = images.of(chosen), f"{options.samples:,} of {title}"
    if size.even_odd:
        images = Labelled(x=images.x, labels=images.labels % 2)
    data = split(to_32(images), np.random.default_rng([options.seed, 0]))
    return LeNetProblem(
        size=size,
        training=_Images.of(data.training),
        evaluated={"training": _Images.of(data.training_loss), "cross_validation": _Images.of(data.cross_validation)},
        optimizer=options.optimizer or "sgd",
        data_title=title,
    )
