"""What can be measured: a problem builds a learner, a learner makes one update and says its losses.

Whoever wants to measure a problem of their own writes these two classes; nothing has to be inherited or registered.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from simulator.errors import SimulatorError
from simulator.messages import did_you_mean

__all__ = [
    "LOSSES",
    "SHIPPED",
    "Learner",
    "Options",
    "Problem",
    "Setting",
    "Sheet",
    "alone",
    "built",
    "cause",
    "find_problem",
    "needed",
    "source_files",
]

LOSSES = ("training", "cross_validation")
"""The losses that a target can be set for; a problem may have the first alone."""

Combine = Callable[[Sequence[Any]], None]
"""Replaces each array (NumPy array or CPU tensor) by its mean over the learners, in place; every learner has to call it."""


def alone(arrays: Sequence[Any]) -> None:
    """Combine the gradients of one learner: nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a learner is built for.

    Parameters
    ----------
    batch_samples : int
        Samples of an update on this learner.
    learning_rate : float
        Step size, held for the whole run.
    weights_rng, samples_rng : Generator
        Where the initial weights (alike on all learners) and the mini-batches (each learner its own) are drawn from. The same
        generators have to give the same run.
    combine : callable
        Averages gradients over the learners; does nothing for one learner.
    """

    batch_samples: int
    learning_rate: float
    weights_rng: np.random.Generator
    samples_rng: np.random.Generator
    combine: Combine = alone


class Learner(Protocol):
    """One model in training."""

    def update(self) -> None:
        """Make one update: draw a mini-batch, compute its gradient, combine it with the other learners', take the step."""

    def losses(self) -> Mapping[str, float]:
        """Return the loss on a fixed sample of the training data and, where there is one, of the cross-validation data."""


class Problem(Protocol):
    """A model, its data and its optimiser.

    Beside what stands here it may have what `Sheet` lists: defaults of the command's flags, and facts for the profile.
    """

    @property
    def data_set_samples(self) -> int:
        """Samples that mini-batches are drawn from."""

    def build(self, setting: Setting) -> Learner:
        """Build a learner with fresh weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a problem says about itself; everything but `data_set_samples` has a default.

    Parameters
    ----------
    data_set_samples : int
        Samples that mini-batches are drawn from, >= 1.
    evaluation_samples : int
        Samples behind one call of `losses`, both losses together; by default 0.4 of the data. Looks are spaced by it.
    parameters : int or None
        Weights of the model: four bytes each make the gradient.
    targets : tuple of float
        Losses to be reached, decreasing; the last is the one that rates are tuned for.
    learning_rates : tuple of float
        One: held for all batch sizes; several: tuned for each batch size over these.
    batch_samples : tuple of int
        Smallest and largest batch size to measure.
    max_updates : int
        A run ends there, reached or not.
    sample_unit : str
        What a sample is.
    about : str
        One line for the answer.
    """

    data_set_samples: int
    evaluation_samples: int
    parameters: int | None = None
    targets: tuple[float, ...] = ()
    learning_rates: tuple[float, ...] = ()
    batch_samples: tuple[int, ...] = ()
    max_updates: int = 20_000
    sample_unit: str = "sample"
    about: str = ""

    @classmethod
    def of(cls, problem: Any, name: str) -> Sheet:
        """Read and check what a problem says; SimulatorError with a line for each fault."""
        faults: list[str] = []
        said: dict[str, Any] = {}
        for key in ("build", *_RULES):
            try:
                value = getattr(problem, key, _ABSENT)
            except (Exception, SystemExit) as error:  # a property is code of the user's own
                faults.append(f"{name}: {key} cannot be read: {cause(error)}")
                continue
            if value is not _ABSENT:
                said[key] = value
            elif key in _NEEDED:
                faults.append(f"{name}: {key} is missing: {_NEEDED[key]}")
        if "build" in said and not callable(said["build"]):
            faults.append(f"{name}: build must be callable, got {type(said['build']).__name__}")
        found: dict[str, Any] = {}
        for key, rule in _RULES.items():
            if key in said:
                try:
                    found[key] = rule(said[key])
                except (TypeError, ValueError) as error:
                    faults.append(f"{name}: {key} {error}")
        if faults:
            raise SimulatorError("\n".join(faults))
        found.setdefault("evaluation_samples", max(1, round(0.4 * found["data_set_samples"])))
        return cls(**found)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= 10**15:
        raise ValueError(f"must be a whole number >= 1, got {value!r}")
    return int(value)


def _listed(value: Any) -> list[Any]:
    """Return what a list, tuple or array holds; nothing where it is no such thing."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else []


def _numbers(value: Any) -> tuple[float, ...]:
    listed = [value] if isinstance(value, int | float | np.number) else _listed(value)
    if not listed or not all(isinstance(one, int | float | np.number) and np.isfinite(one) and one > 0 for one in listed):
        raise ValueError(f"must be numbers > 0, got {value!r}")
    return tuple(float(one) for one in listed)


def _ends(value: Any) -> tuple[int, ...]:
    sizes = sorted({_count(one) for one in _listed(value)})
    if len(sizes) < 2:
        raise ValueError(f"must be the smallest and the largest mini-batch, like (1, 1024), got {value!r}")
    return tuple(sizes)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"must be printable text, got {value!r}")
    return value


_ABSENT = object()
_NEEDED = {
    "build": "a problem needs build(setting), which returns a learner",
    "data_set_samples": "a problem needs the number of samples that mini-batches are drawn from",
}
_RULES: Mapping[str, Callable[[Any], Any]] = {
    "data_set_samples": _count,
    "evaluation_samples": _count,
    "parameters": _count,
    "targets": lambda value: tuple(sorted(_numbers(value), reverse=True)),
    "learning_rates": lambda value: tuple(sorted(_numbers(value))),
    "batch_samples": _ends,
    "max_updates": _count,
    "sample_unit": _word,
    "about": _word,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Flags for a problem that ships.

    Parameters
    ----------
    seed : int
        What the split of the data is drawn from.
    data_dir : Path or None
        Folder with files in MNIST's format, for the LeNets; scikit-learn's digits without it.
    samples : int or None
        Take so many of its images, drawn at random; all by default.
    optimizer : {"sgd", "adam"} or None
        Of the LeNets; sgd by default.
    """

    seed: int = 0
    data_dir: Path | None = None
    samples: int | None = None
    optimizer: str | None = None

    def refused(self, name: str, names: Sequence[str]) -> None:
        """SimulatorError where a flag among `names` was given, for a problem that has no use for it."""
        given = [f"--{key.replace('_', '-')}" for key in names if getattr(self, key) is not None]
        if given:
            raise SimulatorError(f"{name} takes no {' and no '.join(given)}: these are for the LeNets")


def needed(module: str, extra: str, problem: str) -> Any:
    """Return an optional library; SimulatorError that says how to install it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        distribution = {"sklearn": "scikit-learn"}.get(module.split(".")[0], module.split(".")[0])
        raise SimulatorError(
            f"{problem} needs {distribution}, which cannot be imported ({_one_line(error)}): pip install 'learnersim[{extra}]'"
        ) from None


def _digits(name: str, options: Options) -> Problem:
    from simulator.measuring.numpy_problems import DigitsMlp, DigitsSoftmax

    options.refused(name, ("data_dir", "samples", "optimizer"))
    return {"digits-mlp": DigitsMlp, "digits-softmax": DigitsSoftmax}[name].made(name, options.seed)


def _least_squares(name: str, options: Options) -> Problem:
    from simulator.measuring.least_squares import LeastSquares

    options.refused(name, ("data_dir", "samples", "optimizer"))
    return LeastSquares()


def _lenet(name: str, options: Options) -> Problem:
    from simulator.measuring.lenet import lenet_problem

    return lenet_problem(name, options)


SHIPPED: Mapping[str, Callable[[str, Options], Problem]] = {
    "digits-mlp": _digits,
    "digits-softmax": _digits,
    "least-squares": _least_squares,
    **dict.fromkeys(("lenet-small", "lenet-medium", "lenet-large", "lenet-even-odd"), _lenet),
}
"""Problems by name, each made on demand: its libraries are imported then."""


def find_problem(spec: str, options: Options) -> Problem:
    """Return a shipped problem by name, or the user's own by `module:attribute`.

    Parameters
    ----------
    spec : str
        "digits-mlp", or "mine:Problem": a module beside the caller or installed, and what in it is a problem, or returns one
        when called without arguments.
    options : Options
        Flags for the shipped ones; a problem of the user's own has none.

    Raises
    ------
    SimulatorError
        If there is no such problem, or it cannot be imported or made: one line with the file and line of the cause.
    """
    if spec in SHIPPED:
        return SHIPPED[spec](spec, options)
    module, colon, attribute = spec.partition(":")
    if not colon:
        raise SimulatorError(
            f"no problem is named {spec!r}{did_you_mean(spec, SHIPPED)}; a problem of your own is given as module:attribute"
        )
    if not module or not attribute.isidentifier():
        raise SimulatorError(f"a problem of your own must be given as module:attribute, got {spec!r}")
    options.refused(spec, ("data_dir", "samples", "optimizer"))
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        if traceback.extract_tb(error.__traceback__)[-1].filename == __file__:
            raise SimulatorError(f"{spec}: the module {module} has no {attribute}") from None
        raise SimulatorError(f"{spec}: cannot be imported: {cause(error)}") from None
    except (Exception, SystemExit) as error:
        raise SimulatorError(f"{spec}: cannot be imported: {cause(error)}") from None
    if isinstance(found, type) or not hasattr(found, "build"):
        if not callable(found):
            raise SimulatorError(f"{spec}: must be a problem or return one, got {type(found).__name__}")
        try:
            found = found()
        except (Exception, SystemExit) as error:
            raise SimulatorError(f"{spec}: cannot be made: {cause(error)}") from None
    return found  # type: ignore[no-any-return]  # checked by Sheet.of


def built(problem: Problem, setting: Setting) -> Learner:
    """Build a learner; SimulatorError where what comes back is none."""
    learner = problem.build(setting)
    if not all(callable(getattr(learner, name, None)) for name in ("update", "losses")):
        raise SimulatorError(f"build() must return a learner with update() and losses(), got {type(learner).__name__}")
    return learner


def source_files(spec: str, options: Options) -> dict[str, str]:
    """Return what a measurement is made of, by file: the module of a problem of the user's own, images of a folder.

    Returns
    -------
    dict of str to str
        SHA-256 of each file, by its name; modules that the user's own imports are not among them.
    """
    paths: list[Path] = []
    if spec not in SHIPPED:
        path = getattr(sys.modules.get(spec.partition(":")[0]), "__file__", None)
        paths = [Path(path)] if path else []
    elif options.data_dir is not None:
        from simulator.measuring.images import image_files

        paths = [path for path in image_files(options.data_dir) if path is not None]
    found = {}
    for path in paths:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


LONGEST_CAUSE = 400


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


PACKAGE = Path(__file__).parents[1]
LIBRARIES = tuple(str(Path(sysconfig.get_path(name))) for name in ("stdlib", "purelib", "platlib"))


def cause(error: BaseException) -> str:
    """Return what went wrong in a problem's own code as one line, with the file and line of the user's that it came from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    said = _one_line(error)
    text = type(error).__name__ + (f": {said}"[:LONGEST_CAUSE] if said != type(error).__name__ else "")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and PACKAGE not in Path(frame.filename).parents
    ]
    own = [frame for frame in frames if not frame.filename.startswith(LIBRARIES)] or frames[-1:]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else text
