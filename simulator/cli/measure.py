"""Measure mine: real SGD on this machine, fitted, with the best mini-batch and a scenario. The command measure."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simulator.cli.flags import OutputFlags, WholeNumber, learners_list
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.measuring.measurement import Progress, Request
    from simulator.measuring.problems import Sheet

__all__ = ["measure", "progress_on"]

NO_OUTPUT = OutputFlags()
LARGEST_BATCH = 10**9
REDRAWN_EVERY_S = 0.1
PROGRESS_EVERY_S = 10.0
"""Where nobody watches a terminal, progress is a line at most so often."""


def measure(
    problem: str,
    /,
    *,
    batch_samples: str | None = None,
    min_batch_samples: WholeNumber | None = None,
    max_batch_samples: WholeNumber | None = None,
    targets: str | None = None,
    learning_rates: str | None = None,
    seeds: WholeNumber = 3,
    precision: float = 0.02,
    max_updates: WholeNumber | None = None,
    budget: str = "10 min",
    threads: WholeNumber = 1,
    learners: str = "1",
    seed: WholeNumber = 0,
    check: bool = False,
    data_dir: Path | None = None,
    samples: WholeNumber | None = None,
    optimizer: Literal["sgd", "adam"] | None = None,
    output: OutputFlags = NO_OUTPUT,
    figures: bool = False,
) -> None:
    """How many updates does my training need at which mini-batch, how long is one, and which mini-batch is fastest here?

    Parameters
    ----------
    problem
        digits-mlp, digits-softmax, least-squares, lenet-small, lenet-medium, lenet-large, lenet-even-odd; or module:attribute
        of your own.
    batch_samples
        Mini-batches to run to convergence, "1,8,64,512"; planned between the two ends without it.
    min_batch_samples
        Smallest mini-batch that planning may choose.
    max_batch_samples
        Largest mini-batch that planning may choose.
    targets
        Losses to be reached, "0.5,0.3"; the lowest is the one that counts.
    learning_rates
        One rate, "0.05", held for all mini-batches; or several, "0.05,0.1,0.2": each mini-batch gets its fastest.
    seeds
        Runs at each mini-batch.
    precision
        Fewer, but two, where the 90 % interval of their mean is within this fraction.
    max_updates
        A run that has not reached its targets by then is censored.
    budget
        Time for everything, "10 min", earlier sittings of the same measurement included.
    threads
        Threads of each learner.
    learners
        Learners whose updates are timed, "1,2": processes on this machine that exchange gradients.
    seed
        All random numbers follow from it.
    check
        Run the best mini-batch to convergence afresh, and say whether the time was predicted.
    data_dir
        Folder with images in MNIST's format, for the LeNets; scikit-learn's digits without it.
    samples
        Use so many of its images.
    optimizer
        Of the LeNets.
    figures
        Draw the figures into the folder of --out too.
    """
    from simulator.cli.measured_answer import answer_keys, print_findings, tables
    from simulator.cli.measured_files import removed, write_scenario
    from simulator.cli.measured_warnings import warn_of_measurement
    from simulator.cli.output import Output, collected_warnings, request_errors
    from simulator.measuring.findings import findings
    from simulator.measuring.measurement import Measurement
    from simulator.measuring.problems import Options, Sheet, find_problem, needed, source_files
    from simulator.measuring.record import FILE_NAME, Record

    with collected_warnings() as caught, request_errors():
        options = Options(seed=_whole("--seed", seed, 0), data_dir=data_dir, samples=samples, optimizer=optimizer)
        made = find_problem(problem, options)
        sheet = Sheet.of(made, problem)
        request = _request(
            problem,
            options,
            sheet,
            batch_samples=batch_samples,
            ends=(min_batch_samples, max_batch_samples),
            targets=targets,
            learning_rates=learning_rates,
            runs=_whole("--seeds", seeds, 1),
            precision=precision,
            max_updates=max_updates,
            budget=budget,
            threads=_whole("--threads", threads, 1),
            learners=learners,
            seed=seed,
        )
        needed("threadpoolctl", "measure", "measure")
        if max(request.learners) > 1:
            needed("torch", "torch", f"--learners {learners}")
        out = Output.prepared("measure", output, title=problem, seed=request.seed, inputs=request.subject(), figures=figures)
        path = None if out.folder is None else out.folder / FILE_NAME
        files = source_files(problem, options)
        say, silence = progress_on(sys.stderr)
        with Record(request.subject(), _versions(), path, files=files, anew=output.force) as record:
            if path is not None and output.force:
                removed(path.with_name("scenario.toml"))
            sitting = Measurement(made, sheet, request, record, say)
            with redirect_stdout(sys.stderr):  # what a problem prints is no part of the answer
                in_time = sitting.measure(check=check)
                found = findings(record, request.targets)
                best = found.best(sheet.data_set_samples)
                checked = sitting.check_runs(int(best[0].batch_samples)) if check and best is not None else []
        silence()
        warn_of_measurement(record, found, request, sheet, in_time=in_time, checked=len(checked) if check else None)
        keys = answer_keys(found, record, request, sheet, checked)
        if out.folder is not None and best is not None:
            keys["scenario_path"] = str(write_scenario(out.folder, found, record, request, sheet))
    out.emit(
        keys,
        caught,
        text=lambda: print_findings(found, keys, sheet),
        tables=tables(found, request, sheet) if out.folder is not None else None,
    )


def _request(
    problem: str,
    options: Any,
    sheet: Sheet,
    *,
    batch_samples: str | None,
    ends: tuple[int | None, int | None],
    targets: str | None,
    learning_rates: str | None,
    runs: int,
    precision: float,
    max_updates: int | None,
    budget: str,
    threads: int,
    learners: str,
    seed: int,
) -> Request:
    """Turn flags, and what the problem says where they are absent, into a request; a line for every fault."""
    from simulator.measuring.measurement import Request
    from simulator.measuring.record import machine

    faults: list[str] = []

    def read(flag: str, text: str | None, default: tuple[float, ...], says: str) -> tuple[float, ...]:
        if text is None:
            if not default:
                faults.append(f"{flag} is needed: {problem} does not say its {says}")
            return default
        try:
            found = _numbers(flag, text)
        except SimulatorError as error:
            faults.append(str(error))
            return default
        return found

    wanted = tuple(sorted(set(read("--targets", targets, sheet.targets, "targets")), reverse=True))
    rates = tuple(sorted(set(read("--learning-rates", learning_rates, sheet.learning_rates, "learning_rates"))))
    sizes: tuple[int, ...] = ()
    planned = batch_samples is None
    try:
        sizes = _sizes(batch_samples, ends, sheet, problem)
    except SimulatorError as error:
        faults.append(str(error))
    if not 0 < precision < 1:
        faults.append(f"--precision must be a fraction between 0 and 1, got {precision:g}")
    limit = sheet.max_updates if max_updates is None else max_updates
    if limit < 1:
        faults.append(f"--max-updates must be >= 1, got {limit}")
    cores = machine()["cores"]
    if threads > cores:
        faults.append(f"--threads must be <= {cores}, the cores that this process may use, got {threads}")
    budget_s = 0.0
    try:
        budget_s = _budget_s(budget)
    except SimulatorError as error:
        faults.append(str(error))
    if faults:
        raise SimulatorError("\n".join(faults))
    return Request(
        spec=problem,
        options=options,
        batch_samples=sizes,
        planned=planned,
        targets=wanted,
        learning_rates=rates,
        runs=runs,
        precision=precision,
        max_updates=limit,
        budget_s=budget_s,
        seed=seed,
        threads=threads,
        learners=tuple(sorted({1, *(learners_list(learners) or ())})),
    )


def _sizes(text: str | None, ends: tuple[int | None, int | None], sheet: Sheet, problem: str) -> tuple[int, ...]:
    """Return the batch sizes given, or the ends that planning chooses between."""
    if text is not None:
        if ends != (None, None):
            raise SimulatorError("--batch-samples and --min-batch-samples or --max-batch-samples contradict each other")
        sizes = _numbers("--batch-samples", text)
        if any(not size.is_integer() or size > LARGEST_BATCH for size in sizes) or len(set(sizes)) < 2:
            raise SimulatorError(f"--batch-samples must be two or more whole numbers like 1,8,64,512, got {text!r}")
        return tuple(sorted({int(size) for size in sizes}))
    low, high = (
        given if given is not None else (sheet.batch_samples[place] if sheet.batch_samples else None)
        for given, place in zip(ends, (0, -1), strict=True)
    )
    if low is None or high is None:
        raise SimulatorError(
            f"--batch-samples, or --min-batch-samples and --max-batch-samples, is needed: {problem} does not say its "
            "batch_samples"
        )
    if not 1 <= low < high <= LARGEST_BATCH:
        raise SimulatorError(f"--min-batch-samples must be >= 1 and less than --max-batch-samples, got {low} and {high}")
    return low, high


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    """Return the numbers > 0 of a list like 0.5,0.3."""
    found = []
    for part in text.split(","):
        try:
            number = float(part) if "_" not in part else float("nan")
        except ValueError:
            number = float("nan")
        if not 0 < number < 1e15:
            raise SimulatorError(f"{flag} must be numbers > 0, separated by commas, got {text!r}")
        found.append(number)
    return tuple(found)


def _budget_s(text: str) -> float:
    from simulator.loading.units import quantity

    try:
        number: float | str = float(text)
    except ValueError:
        number = text
    try:
        budget_s = quantity("budget_s", number)
    except ValueError as error:
        raise SimulatorError(f'--budget must be a time like "10 min": {error}') from None
    if not budget_s > 0:
        raise SimulatorError(f'--budget must be a time > 0 like "10 min", got {text!r}')
    return budget_s


def _whole(flag: str, value: int, least: int) -> int:
    if value < least:
        raise SimulatorError(f"{flag} must be a whole number >= {least}, got {value}")
    return value


def _versions() -> dict[str, str]:
    """Versions of what measures, where it is loaded."""
    from simulator.cli.version import versions

    found = versions()
    for module in ("scipy", "sklearn", "torch"):
        loaded = sys.modules.get(module)
        if loaded is not None and hasattr(loaded, "__version__"):
            found[module] = str(loaded.__version__)
    return found


def progress_on(stream: Any) -> tuple[Callable[[Progress], None], Callable[[], None]]:
    """Return what draws progress on a stream, and what ends it: one line on a terminal, else a line now and then."""
    from simulator.cli.words import seconds

    watched = bool(stream.isatty())
    last_s = [time.monotonic() - (REDRAWN_EVERY_S if watched else 0.0)]

    def say(progress: Progress) -> None:
        now_s = time.monotonic()
        if now_s - last_s[0] < (REDRAWN_EVERY_S if watched else PROGRESS_EVERY_S):
            return
        last_s[0] = now_s
        left = seconds(max(progress.budget_s - progress.elapsed_s, 0.0))
        text = f"{seconds(progress.elapsed_s)} of {seconds(progress.budget_s)}, at most {left} left: {progress.text}"
        stream.write(f"\r\x1b[K{text[:160]}" if watched else f"{text}\n")
        stream.flush()

    def silence() -> None:
        if watched:
            stream.write("\r\x1b[K")
            stream.flush()

    return say, silence
