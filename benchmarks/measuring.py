"""What measuring has to hold, measured: python benchmarks/measuring.py digits | coverage | lenet [FOLDER].

digits    digits-mlp from 1 to 1,024 samples, three runs each, for some seeds: wall and processor time, by how much updates
          fall, mean error of the inverse law beside that of the best constant and of the power law. Limits: 5 minutes, 8 %.
coverage  ten measurements of digits-mlp with other seeds, each asked for T_C at a mini-batch that it did not run, and then run
          there: how many times lie inside the 90 % interval. At least 8 of 10. Updates are timed by the processor's clock, so
          that others on the machine matter less; `coverage wall` takes wall time, as the command does.
lenet     LeNet-small on 10,000 images of Fashion-MNIST (a folder with files in MNIST's format), three mini-batches, one run
          each: fitted and drawn within 10 minutes.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from simulator.cli import status
from simulator.cli.words import seconds
from simulator.measuring.timing import Clock

SEEDS = 6
REPETITIONS = 10
LEFT_OUT = 32
FASHION = Path("/usr/share/datasets/fashion-mnist")


def answered(*arguments: object) -> tuple[dict[str, Any], float, float]:
    """Return the JSON answer of a command with its wall and processor time."""
    out, said = io.StringIO(), io.StringIO()
    start_s, start_cpu_s = time.monotonic(), _cpu_s()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        code = status([*map(str, arguments), "--json"])
    if code != 0:
        sys.exit(said.getvalue())
    found: dict[str, Any] = json.loads(out.getvalue())
    return found, time.monotonic() - start_s, _cpu_s() - start_cpu_s


def _cpu_s() -> float:
    return sum(
        resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def main_fit(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the fit of the series that counts."""
    (fit,) = (fit for fit in answer["fits"] if fit["series"] == answer["main_series"])
    return dict(fit)


def digits() -> None:
    """Print a row for each seed."""
    sizes = ",".join(str(2**k) for k in range(11))
    print("| seed | wall | processor | updates fall | inverse law | best constant | power law | N_inf | alpha |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in range(SEEDS):
        answer, wall_s, cpu_s = answered("measure", "digits-mlp", "--batch-samples", sizes, "--seed", seed)
        fit = main_fit(answer)
        error = fit["mean_abs_error"]
        mine = [row for row in answer["rows"] if row["series"] == answer["main_series"]]
        at: dict[int, list[int]] = {}
        for row in mine:
            at.setdefault(row["batch_samples"], []).append(row["updates"])
        means = [sum(updates) / len(updates) for updates in at.values()]
        law = answer["model"]["parameters"]
        shares = " | ".join(f"{100 * error[kind]:.2g} %" for kind in ("inverse", "constant", "power"))
        fall = max(means) / min(means)
        print(
            f"| {seed} | {seconds(wall_s)} | {seconds(cpu_s)} | {fall:.1f} times | {shares} | {law['n_inf_updates']:.1f} "
            f"| {law['alpha_samples']:.0f} |",
            flush=True,
        )


def coverage(clock: Clock) -> None:
    """Print a row for each repetition: T_C predicted and measured at a mini-batch that was not fitted."""
    sizes = "1,4,16,64,256,1024"
    inside = 0
    print(f"| seed | predicted at {LEFT_OUT} | 90 % of runs | measured | inside |")
    print("| --- | --- | --- | --- | --- |")
    for seed in range(100, 100 + REPETITIONS):
        predicted, measured = repeated(sizes, seed, clock)
        held = predicted["lo90"] <= measured <= predicted["hi90"]
        inside += held
        like = predicted["converge_time_s"]
        print(
            f"| {seed} | {seconds(like)} | {seconds(predicted['lo90'], like)} to {seconds(predicted['hi90'], like)} "
            f"| {seconds(measured, like)} | {'yes' if held else 'no'} |",
            flush=True,
        )
    print(f"{inside} of {REPETITIONS} inside")


def repeated(sizes: str, seed: int, clock: Clock) -> tuple[dict[str, float], float]:
    """Measure without a mini-batch, predict T_C there, then run it once, its rate tuned like the others."""
    from simulator.measuring.findings import findings
    from simulator.measuring.measurement import Measurement, Request
    from simulator.measuring.problems import Options, Sheet, find_problem
    from simulator.measuring.record import Record

    options = Options(seed=seed)
    problem = find_problem("digits-mlp", options)
    sheet = Sheet.of(problem, "digits-mlp")
    request = Request(
        spec="digits-mlp",
        options=options,
        batch_samples=tuple(int(size) for size in sizes.split(",")),
        planned=False,
        targets=sheet.targets,
        learning_rates=sheet.learning_rates,
        seed=seed,
        runs=3,
    )
    record = Record(request.subject(), {})
    sitting = Measurement(problem, sheet, request, record, clock=clock)
    assert sitting.measure()
    found = findings(record, request.targets)
    predicted = found.converge_time_s(LEFT_OUT)
    assert predicted is not None
    (run, *_) = sitting.check_runs(LEFT_OUT)
    (reached,) = (
        passage["updates"]
        for passage in run["passages"]
        if (passage["loss"], passage["target"], passage["reached"]) == ("training", request.targets[-1], True)
    )
    low, high = predicted[1].one_run
    return {"converge_time_s": predicted[0], "lo90": low, "hi90": high}, reached * run["update_time_s"]


def lenet(folder: Path) -> None:
    """Print what was measured, how long that took, and where the figure is."""
    out = Path(tempfile.mkdtemp(prefix="lenet-")) / "out"
    answer, wall_s, cpu_s = answered(
        "measure", "lenet-small", "--data-dir", folder, "--samples", "10000", "--batch-samples", "4,16,64",
        "--learning-rates", "0.05", "--targets", "1.0,0.8,0.7", "--seeds", "1", "--budget", "10 min", "--out", out, "--figures",
    )  # fmt: skip
    print(f"wall {seconds(wall_s)}, processor {seconds(cpu_s)}; figures in {out}")
    for row in answer["converge_rows"]:
        print(
            f"{row['batch_samples']:>5} samples: {row['updates']:>5} updates of {seconds(row['update_time_s'])}, "
            f"{seconds(row['converge_time_s'])} to {answer['main_series']}; predicted {seconds(row['predicted_s'])}"
        )
    for fit in answer["fits"]:
        print(f"{fit['series']}: {fit['model']['parameters']}, off by {100 * fit['rms_relative']:.2g} %")
    print(f"best: {answer['batch_samples_best']} samples, within 5 %: {answer['flat_range_samples']}")
    for warning in answer["warnings"]:
        print(f"warning: {warning['text']}")


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "digits"
    if what == "digits":
        digits()
    elif what == "coverage":
        coverage(time.perf_counter if sys.argv[2:] == ["wall"] else time.process_time)
    elif what == "lenet":
        lenet(Path(sys.argv[2]) if len(sys.argv) > 2 else FASHION)
    else:
        sys.exit("give one of digits, coverage, lenet")
