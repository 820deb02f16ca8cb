"""Many independent tasks: on any concurrent.futures executor, each result kept on disk as soon as it is there, resumable.

Results come back in the order of the tasks, whichever order they end in, so that what is made of them depends neither on the
number of workers nor on an interruption.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from simulator.errors import SimulatorError
from simulator.messages import shown
from simulator.tables import plain, write_text

__all__ = ["InThisProcess", "Journal", "in_order", "local_processes", "refuse_a_second_writer", "run_locally"]

ALONE_S = 2.0
"""Seconds that a run goes on in one process before others are started, where nobody says how many."""


class InThisProcess(Executor):
    """An executor of one worker that is the caller itself: a task runs when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a task and return its finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # an interrupt of the user goes through
            future.set_exception(error)
        return future


@contextmanager
def local_processes(workers: int) -> Iterator[Executor]:
    """An executor of `workers` processes of this machine; of one, this process itself.

    Processes are spawned, not forked: the same on every system, and safe beside threads. They end with this process, even if it
    is killed.
    """
    if workers == 1:
        yield InThisProcess()
        return
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_the_parent)
    try:
        yield pool
    finally:  # whoever has what he wants, or was interrupted, does not wait for what was begun beyond it
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        pool.shutdown(wait=True)


def _end_with_the_parent() -> None:
    """Leave interrupts to the process that started this one, and end with it: a pool whose owner was killed waits for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_locally(
    task: Callable[[int], Any], count: int, *, workers: int | None = None, journal: Journal | None = None
) -> Generator[Any, None, None]:
    """Run tasks as `in_order` does, on `workers` processes of this machine.

    Without a number this process works alone for two seconds, which is the end of most runs; then as many processes are
    started as there are processors.
    """
    begun, first = time.monotonic(), 0
    if workers is None:
        workers = _processors()
        alone = in_order(task, count, executor=InThisProcess(), journal=journal)
        for result in alone:
            yield result
            first += 1
            if workers > 1 and time.monotonic() - begun > ALONE_S:
                break
    if first < count:
        workers = min(workers, count - first)
        with local_processes(workers) as executor:
            yield from in_order(task, count, first=first, executor=executor, ahead=workers, journal=journal)


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    task: Callable[[int], Any],
    count: int,
    *,
    executor: Executor,
    ahead: int = 1,
    first: int = 0,
    journal: Journal | None = None,
) -> Generator[Any, None, None]:
    """Run task(first), task(first + 1), ..., task(count - 1) and yield their results in this order.

    Parameters
    ----------
    task : callable
        Returns what JSON can hold. Picklable where the executor needs it.
    count : int
        How many there are; a caller that has enough closes the generator, and what has not begun is cancelled.
    executor : Executor
        Where they run.
    ahead : int
        Tasks handed out at a time, >= 1: as many as the executor has workers. At most four times as many run beyond the one
        that is to be yielded next.
    journal : Journal, optional
        Results that it holds are taken from it; new ones are written to it at once, in whichever order they come.

    Raises
    ------
    SimulatorError
        What a task raised; or that a worker died.
    """
    done: dict[int, Any] = {}
    running: dict[Future[Any], int] = {}
    known = dict(journal.results) if journal is not None else {}
    next_task = first
    try:
        for wanted in range(first, count):
            last = min(count, wanted + (1 if isinstance(executor, InThisProcess) else 4 * ahead))
            while True:
                while len(running) < ahead and next_task < last:
                    if next_task in known:
                        done[next_task] = known[next_task]
                    else:
                        running[executor.submit(task, next_task)] = next_task
                    next_task += 1
                if wanted in done:
                    break
                _collect(running, done, journal)
            yield done.pop(wanted)
    except BrokenProcessPool:
        raise SimulatorError(
            "a worker process died (killed, or out of memory); fewer --workers need less, and --resume keeps what was done"
        ) from None
    finally:
        for future in running:
            future.cancel()


def _collect(running: dict[Future[Any], int], done: dict[int, Any], journal: Journal | None) -> None:
    """Wait until at least one of the running tasks has ended, and take every one that has."""
    from concurrent.futures import FIRST_COMPLETED, wait

    for future in wait(running, return_when=FIRST_COMPLETED).done:
        number = running.pop(future)
        result = json.loads(json.dumps(plain(future.result()), allow_nan=False))  # as it would come out of the journal
        if journal is not None:
            journal.append(number, result)
        done[number] = result


class Journal:
    """Results of tasks on disk, one line each, appended and flushed to the disk as they come.

    A line that was being written when the process was killed is dropped at the next opening; the result it held is computed
    again. One process writes at a time.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.
    key : str
        Of the run: a hash of all its inputs. A file of another run is refused.

    Attributes
    ----------
    results : mapping of int to object
        What is known, by the number of the task.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self._results: dict[int, Any] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b")
            try:
                refuse_a_second_writer(self._file, path)
                self._read()
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise SimulatorError(f"{path}: cannot be written: {error.strerror or error}") from None

    @property
    def results(self) -> Mapping[int, Any]:
        """What is known, by the number of the task."""
        return self._results

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        lines = whole.splitlines()
        if not lines:
            self._write({"key": self.key})
            return
        for number, line in enumerate(lines, 1):
            try:
                found = json.loads(line)
                if number == 1:
                    held = str(found["key"])
                else:
                    self._results[int(found["task"])] = found["result"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise SimulatorError(
                    f"{self.path}: line {number}: must be what an interrupted run left, got {shown(line[:60])}; "
                    "use --force or another folder"
                ) from None
        if held != self.key:
            what = "another run (other scenario, flags, seed or versions)"
            raise SimulatorError(f"{self.path.parent}: holds {what}; use --force or another folder")

    def append(self, task: int, result: Any) -> None:
        """Keep the result of a task; it is on the disk when this returns."""
        try:
            self._write({"task": task, "result": result})
        except OSError as error:
            raise SimulatorError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        self._results[task] = result

    def _write(self, item: Any) -> None:
        self._file.write(self._line(item))
        self._file.flush()
        os.fsync(self._file.fileno())

    @staticmethod
    def _line(item: Any) -> bytes:
        return json.dumps(item, allow_nan=False, separators=(",", ":")).encode() + b"\n"

    def close(self) -> None:
        """Close the file and leave it."""
        self._file.close()

    def settle(self, count: int) -> None:
        """Keep the results of the first `count` tasks alone, in order: the file of a run that is over is always the same."""
        lines = [self._line({"key": self.key})]
        lines += [self._line({"task": task, "result": self._results[task]}) for task in range(count)]
        try:
            self._file.seek(0)
            if self._file.read() != b"".join(lines):
                write_text(self.path, b"".join(lines).decode())
        except OSError as error:
            raise SimulatorError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            error.add_note("what was done is kept, --resume goes on")
        self.close()


def refuse_a_second_writer(file: IO[bytes], path: Path) -> None:
    """Lock the file as long as this process lives; the lock of a killed process is gone with it."""
    try:
        import fcntl
    except ImportError:  # not on this system: nothing watches over it
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SimulatorError(f"{path.parent}: another process is writing there") from None
