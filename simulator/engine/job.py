"""A training job as it is simulated: the closed form's laws, and what they leave out (noise, failures, the others' traffic)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from simulator.checkpointing import Checkpointing
from simulator.errors import CheckpointWarning
from simulator.network.fabric import Job as PlacedSchedule
from simulator.network.laws import LinearReduce
from simulator.overlap import SumOverlap
from simulator.quantities import HOUR_S, ceil_whole, finite, non_negative, positive, whole
from simulator.time_to_converge import TimeToConverge

__all__ = ["Failures", "Hiccups", "Mode", "Noise", "NoiseKind", "TrainingJob"]

Mode = Literal["cohorts", "every_learner"]
NoiseKind = Literal["none", "lognormal", "gamma", "exponential"]

MOST_HICCUPS = 100.0
"""Hiccups of a learner in an update beyond which nobody would call them rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hiccups:
    """Rare pauses with a heavy tail, that strike a learner while it computes.

    Parameters
    ----------
    per_learner_hour : float
        Pauses per hour that a learner computes, >= 0 (a Poisson process).
    duration_s : float
        Shortest pause, seconds, >= 0.
    tail : float
        Pareto exponent: a pause is longer than t with probability ``(duration_s / t) ** tail``, > 0. The mean is infinite up
        to 1, the variance up to 2.
    """

    per_learner_hour: float
    duration_s: float
    tail: float

    def __post_init__(self) -> None:
        non_negative("per_learner_hour", self.per_learner_hour)
        non_negative("duration_s", self.duration_s)
        positive("tail", self.tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How the computing of learners scatters: ``time = Gamma * slow factor * scatter + hiccups``, scatter of mean 1.

    Parameters
    ----------
    kind : {"none", "lognormal", "gamma", "exponential"}
        Law of the scatter, drawn anew for each learner and update. "exponential" scatters the share `relative_sd` of the
        time, ``1 - sd + sd * E`` with E exponential: all of it by default.
    relative_sd : float, optional
        Standard deviation of the scatter, >= 0; at most 1 for "exponential", whose default is 1; needed for "lognormal" and
        "gamma".
    slow_learners : mapping of int to float
        Learners (from 0) that are always slower, and by which factor, > 0.
    hiccups : Hiccups, optional
        Rare pauses.
    """

    kind: NoiseKind = "none"
    relative_sd: float | None = None
    slow_learners: Mapping[int, float] = field(default_factory=dict)
    hiccups: Hiccups | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(NoiseKind):
            raise ValueError(f"kind must be one of {', '.join(get_args(NoiseKind))}, got {self.kind!r}")
        if self.relative_sd is None:
            if self.kind in ("lognormal", "gamma"):
                raise ValueError(f"relative_sd must be given for kind = {self.kind!r}")
        else:
            non_negative("relative_sd", self.relative_sd)
            if self.kind == "exponential" and self.relative_sd > 1.0:
                raise ValueError(f"relative_sd must be <= 1 for kind = 'exponential', got {self.relative_sd:g}")
        for learner, factor in self.slow_learners.items():
            whole("slow_learners", learner, lowest=0)
            positive(f"slow_learners[{learner}]", factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Nodes that fail, checkpoints that limit what is lost, and what it takes to go on.

    A failure of any node stops the job; what it did since the last checkpoint is lost. It goes on `restart_s` after it has
    all its nodes again. Nodes fail at any time, also during checkpoints and restarts. Idle spare nodes do not fail.

    Parameters
    ----------
    node_mtbf_s : float
        Mean time between failures of one node, seconds, > 0; times between failures are exponential.
    nodes : int
        Nodes of the job, whole, >= 1.
    checkpoint_every_s : float, optional
        A checkpoint follows the first update that ends so many seconds after the last checkpoint or restart, > 0.
    checkpoint_every_updates : int, optional
        A checkpoint follows every so many updates, whole, >= 1. Give one of the two, or none: then a failure loses all.
    checkpoint_s : float
        Seconds that a checkpoint takes, >= 0; the job pauses.
    restart_s : float
        Seconds from having all nodes to going on, >= 0.
    spare_nodes : int
        Nodes that replace failed ones, whole, >= 0.
    repair_s : float, optional
        Seconds after which a failed node is back, as a spare where none is missing, >= 0. Without it a failed node is back at
        once if there are no spare nodes, and never if there are.
    """

    node_mtbf_s: float
    nodes: int
    checkpoint_every_s: float | None = None
    checkpoint_every_updates: int | None = None
    checkpoint_s: float = 0.0
    restart_s: float = 0.0
    spare_nodes: int = 0
    repair_s: float | None = None

    def __post_init__(self) -> None:
        positive("node_mtbf_s", self.node_mtbf_s)
        whole("nodes", self.nodes)
        if self.checkpoint_every_s is not None:
            positive("checkpoint_every_s", self.checkpoint_every_s)
            if self.checkpoint_every_updates is not None:
                raise ValueError("checkpoint_every_updates must not be given beside checkpoint_every_s")
        if self.checkpoint_every_updates is not None:
            whole("checkpoint_every_updates", self.checkpoint_every_updates)
        non_negative("checkpoint_s", self.checkpoint_s)
        non_negative("restart_s", self.restart_s)
        whole("spare_nodes", self.spare_nodes, lowest=0)
        if self.repair_s is not None:
            non_negative("repair_s", self.repair_s)

    @property
    def between_failures_s(self) -> float:
        """Theta: mean time between failures of the job, seconds."""
        return self.node_mtbf_s / self.nodes

    @property
    def theory(self) -> Checkpointing:
        """The closed form of the same failures, whose spares never run out and take no time."""
        return Checkpointing(mtbf_s=self.between_failures_s, checkpoint_s=self.checkpoint_s, restart_s=self.restart_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training job: as many updates as its law asks for, each computed by all learners and then combined.

    Parameters
    ----------
    name : str
        How answers and messages call it.
    model : TimeToConverge
        The closed form's laws; its `rounding` is not used.
    batch_samples : float
        M: samples of all learners together per update, >= learners; whole where `whole_samples`.
    learners : int
        P, whole, >= 1.
    whole_samples : bool
        Whether samples are whole: some learners then have ceil(M/P), the others floor(M/P). Otherwise all have M/P.
    mode : {"cohorts", "every_learner"}
        "cohorts": learners of equal expected time are one process, whose slowest is drawn; the cost of an update does not
        grow with P. "every_learner": a process and a stream of draws for each.
    run_to_run_relative : float
        Relative standard deviation of the number of updates between runs (log-normal around the law), >= 0; 0 takes the
        law's number.
    noise : Noise, optional
        Scatter of computing; none by default.
    failures : Failures, optional
        None: nothing fails, and there are no checkpoints.
    traffic : tuple of simulator.network.fabric.Job
        What an update sends over a fabric that other jobs use too: schedules with hosts, posted at once (their start_s is not
        used). The model's `reduce` then says what they take alone. Empty: Delta is the model's `reduce`.
    barrier : bool
        Whether learners wait for one another before their traffic starts, or each starts its part when it is ready. It matters
        with `traffic` alone: laws know the slowest learner only.
    server : {"fixed", "exponential"}, optional
        Learners do not meet but push their gradients to a parameter server, which takes one after the other as they come, for
        `delta_s` seconds of the model's LinearReduce each: exactly, or on average. Needs mode "every_learner".
    learners_per_unit : int
        Learners that share one compute unit, one after the other; whole, >= 1. More than 1 needs mode "every_learner".
    start_s : float
        When the job starts, seconds, >= 0.

    Warns
    -----
    CheckpointWarning
        Where checkpoints can hardly help: rarer than failures, or longer than the time between them.
    """

    name: str
    model: TimeToConverge
    batch_samples: float
    learners: int
    whole_samples: bool = True
    mode: Mode = "cohorts"
    run_to_run_relative: float = 0.0
    noise: Noise | None = None
    failures: Failures | None = None
    traffic: tuple[PlacedSchedule, ...] = ()
    barrier: bool = True
    server: Literal["fixed", "exponential"] | None = None
    learners_per_unit: int = 1
    start_s: float = 0.0

    def __post_init__(self) -> None:
        M, P = positive("batch_samples", self.batch_samples), whole("learners", self.learners)
        if M < P:
            raise ValueError(f"batch_samples must be >= learners = {P:g}, a sample for each, got {M:g}")
        if self.whole_samples and np.floor(M) != M:
            raise ValueError(f"batch_samples must be a whole number where whole_samples, got {M:g}")
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}, got {self.mode!r}")
        non_negative("run_to_run_relative", self.run_to_run_relative)
        non_negative("start_s", self.start_s)
        slow = max(self.noise.slow_learners, default=0) if self.noise is not None else 0
        if slow >= P:
            raise ValueError(f"slow_learners must be learners from 0 to {P - 1:g}, got {slow}")
        self._check_hiccups()
        whole("learners_per_unit", self.learners_per_unit)
        for name, given in (("learners_per_unit", self.learners_per_unit > 1), ("server", self.server is not None)):
            if given and self.mode != "every_learner":
                raise ValueError(f"{name} needs mode = 'every_learner', got 'cohorts'")
        if self.server is not None:
            self._check_server()
        for schedule in self.traffic:
            if schedule.schedule.workers != self.learners:
                raise ValueError(f"traffic must be that of {P:g} learners, got {schedule.schedule.workers} workers")
        if not self.barrier and (self.mode != "every_learner" or self.learners_per_unit > 1):
            raise ValueError("barrier = false needs mode = 'every_learner' and a compute unit for each learner")
        concern = self.failures.theory.concern(self.checkpoint_interval_s) if self.failures is not None else None
        if concern is not None:
            warnings.warn(f"{self.name}: {concern}", CheckpointWarning, stacklevel=3)

    def _check_hiccups(self) -> None:
        if self.noise is None or self.noise.hiccups is None:
            return
        model = self.closed_form
        longest_s = max(
            float(model.compute_time_s(self.batch_samples, self.learners)), float(model.cross_validation_time_s(self.learners))
        )
        hiccups = self.noise.hiccups.per_learner_hour * longest_s / HOUR_S
        if hiccups > MOST_HICCUPS:
            raise ValueError(
                f"hiccups must be at most {MOST_HICCUPS:g} for a learner in an update or pass, got {hiccups:.4g}; "
                "what comes so often is noise"
            )

    def _check_server(self) -> None:
        if self.server not in ("fixed", "exponential"):
            raise ValueError(f"server must be one of fixed, exponential, got {self.server!r}")
        if not isinstance(self.model.reduce, LinearReduce):
            raise ValueError(f"server needs reduce = LinearReduce, delta_s for each learner, got {self.model.reduce}")
        if not isinstance(self.model.overlap, SumOverlap):
            raise ValueError(f"server needs overlap = SumOverlap, got {self.model.overlap}")
        if self.traffic:
            raise ValueError("server must not be given beside traffic")

    @property
    def checkpoint_interval_s(self) -> float | None:
        """Seconds of work between two checkpoints by the closed form: whole updates; None: there are no checkpoints."""
        failures = self.failures
        if failures is None or (failures.checkpoint_every_s is None and failures.checkpoint_every_updates is None):
            return None
        update_s = float(self.closed_form.update_time_s(self.batch_samples, self.learners))
        if failures.checkpoint_every_updates is not None:
            return failures.checkpoint_every_updates * update_s
        assert failures.checkpoint_every_s is not None
        return float(ceil_whole(failures.checkpoint_every_s / update_s)) * update_s

    @property
    def closed_form(self) -> TimeToConverge:
        """The laws with samples split as here: the closed form that this job is measured by."""
        return replace(self.model, rounding="whole" if self.whole_samples else "exact")

    @property
    def input_s(self) -> float:
        """What the input pipeline takes for an update, seconds."""
        return float(self.batch_samples / self.model.input_samples_per_s)

    @property
    def pass_every_updates(self) -> int:
        """Updates between two cross-validation passes; 0: there are none."""
        return 0 if self.model.cross_validation is None else int(self.model.cross_validation.every_updates)

    def updates(self, rng: np.random.Generator) -> int:
        """Return the number of updates of a run: whole, that of the law or drawn around it."""
        model = replace(self.model, rounding="whole")
        if self.run_to_run_relative > 0:
            sigma = np.sqrt(np.log1p(self.run_to_run_relative**2))
            factor = float(np.exp(sigma * rng.standard_normal() - sigma**2 / 2.0))
            model = replace(model, tuning_factor=model.tuning_factor * factor)
        return int(finite("updates", model.updates(self.batch_samples)))
