"""Fitting step times: what the fit says of laws that are known, and of data that say little; the command."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.calibration.step_time import StepTimeFit, fit_step_time
from simulator.calibration.step_time_fitted import fit_law
from simulator.calibration.step_time_laws import StepLaw
from simulator.calibration.step_time_next import default_places, filled, next_step_time
from simulator.calibration.step_time_saved import simple_law
from simulator.calibration.step_time_series import StepPlace, StepPoint, StepTimeSeries, places_of
from simulator.errors import FitError
from tests.support import assert_sound, command, written

NODE = 4
SIZES = (8.0, 16.0, 32.0, 64.0)
LEARNERS = (1, 2, 4, 8, 16)
TRUTH = StepLaw(compute="affine", reduce="node_log")
VALUES = {
    "constant_s": 0.05, "gamma_s_per_sample": 0.004, "in_node_s": 0.02, "node_jump_s": 0.15, "per_doubling_s": 0.03,
    "overlap_exponent": 2.0,
}  # fmt: skip


def true_time_s(place: StepPlace, law: StepLaw = TRUTH, values: dict[str, float] = VALUES) -> float:
    places = places_of([place])
    logs = np.log([values[name] - (name == "overlap_exponent") for name in law.names])
    return float(np.exp(law.log_time(logs, places, law.factors(places))[0][0]))


def series_of(
    sizes: tuple[float, ...] = SIZES, learners: tuple[int, ...] = LEARNERS, noise: float = 0.02, waits: bool = False
) -> StepTimeSeries:
    rng = np.random.default_rng(3)
    points = []
    for number in learners:
        for size in sizes:
            place = filled(size, number, NODE)
            gamma_s = 0.05 + 0.004 * size
            step_s = true_time_s(place) * float(np.exp(noise * rng.normal()))
            points.append(StepPoint(place=place, step_time_s=step_s, compute_time_s=gamma_s if waits else None))
    return StepTimeSeries.of("s", points)


@pytest.fixture(scope="module")
def fit() -> StepTimeFit:
    return fit_step_time(series_of())


def test_the_truth_lies_in_the_intervals_up_to_four_times_the_learners(fit: StepTimeFit) -> None:
    places = [filled(size, number, NODE) for size in SIZES for number in (32, 64)]
    for place, found in zip(places, fit.predict(places), strict=True):
        assert found.interval90[0] < true_time_s(place) < found.interval90[1], place
        # a law with 2 % of noise, extrapolated fourfold in a sum of several forms: the project asks for 7 % on real clusters
        assert found.step_time_s == pytest.approx(true_time_s(place), rel=0.07)


def test_intervals_widen_with_the_nodes_asked_for(fit: StepTimeFit) -> None:
    found = fit.predict([filled(32, number, NODE) for number in (16, 64, 256, 4096)])
    widths = [one.interval90[1] / one.interval90[0] for one in found]
    assert widths == sorted(widths)
    assert widths[-1] > 1.3 * widths[0]


def test_warnings_say_how_far_a_prediction_reaches(fit: StepTimeFit) -> None:
    inside, far, small = fit.predict([filled(16, 8, NODE), filled(128, 64, NODE), filled(4, 16, NODE)])
    assert inside.warning is None
    assert (
        far.warning
        == "4 times the most nodes measured; 4 times the most GPUs measured; 2 times the largest local batch measured"
    )
    assert small.warning == "1/2 of the smallest local batch measured"


def test_one_node_says_nothing_about_several() -> None:
    fit = fit_step_time(series_of(learners=(1, 2, 4)))
    (found,) = fit.predict([filled(16, 16, NODE)])
    assert found.warning is not None
    assert found.warning.startswith("nothing was measured across nodes: a guess")
    assert found.interval90[1] / found.interval90[0] > 2.0


def test_the_larger_half_is_held_out_and_weighs_the_forms(fit: StepTimeFit) -> None:
    assert fit.held_out is not None
    assert fit.held_out.learners == (16,)
    assert fit.held_out.error_relative < 0.1
    assert sum(fit.weights) == pytest.approx(1.0)
    assert list(fit.form_weights().values()) == sorted(fit.form_weights().values(), reverse=True)
    assert fit.best.law.reduce == next(iter(fit.form_weights()))
    # growth linear in P misses what was held out by more than growth with its logarithm does
    assert fit.form_weights()["node_log"] > fit.form_weights().get("linear", 0.0)


def test_two_numbers_of_learners_leave_nothing_to_hold_out() -> None:
    fit = fit_step_time(series_of(learners=(1, 8)))
    assert fit.held_out is None
    assert any("only 2 numbers of GPUs measured" in concern for concern in fit.concerns())


def test_one_local_batch_cannot_tell_intercept_and_slope_apart() -> None:
    fit = fit_step_time(series_of(sizes=(32.0,)))
    assert {"constant_s", "gamma_s_per_sample"} <= set(fit.unidentified())
    assert fit.best.law.compute == "affine"


def test_what_many_points_pin_down_is_identified() -> None:
    fit = fit_step_time(series_of(sizes=(4.0, 8.0, 16.0, 32.0, 64.0, 128.0), noise=0.005))
    assert "gamma_s_per_sample" not in fit.unidentified()
    value = fit.best.law.values(fit.best.estimates)["gamma_s_per_sample"]
    assert value == pytest.approx(0.004, rel=0.1)


def test_without_one_gpu_exposed_waits_tell_computing_apart() -> None:
    """Two numbers of GPUs, none of them one: the waits alone say what is Gamma (0.05 + 0.004 m)."""
    fit = fit_step_time(series_of(learners=(8, 16), waits=True))
    found = np.exp(fit.best.log_time(places_of([filled(32, 1, NODE)]))[0][0])
    assert found == pytest.approx(0.05 + 0.004 * 32, rel=0.1)
    blind = fit_step_time(series_of(learners=(8, 16), waits=True).without_waits())
    wide, narrow = (one.predict([filled(32, 1, NODE)])[0].interval90 for one in (blind, fit))
    assert narrow[1] / narrow[0] < wide[1] / wide[0]


def test_a_cluster_that_follows_no_law_is_said_to_from_its_own_residuals() -> None:
    series = series_of(learners=(1, 2, 4, 8, 16), noise=0.0)
    broken = [
        dataclasses.replace(point, step_time_s=point.step_time_s * (3.0 if point.place.learners == 16 else 1.0))
        for point in series.points
    ]
    (concern, *_) = fit_step_time(StepTimeSeries.of("s", broken)).concerns()
    assert concern.startswith("these times follow no law tried: those on 16 GPUs were missed by ")


def test_times_without_any_pattern_fit_no_law_well() -> None:
    rng = np.random.default_rng(5)
    points = [dataclasses.replace(p, step_time_s=float(np.exp(0.5 * rng.normal()))) for p in series_of().points]
    assert any(
        concern.startswith("no law fits these points well")
        for concern in fit_step_time(StepTimeSeries.of("s", points)).concerns()
    )


def test_a_broken_run_hardly_moves_the_prediction() -> None:
    series = series_of(sizes=(4.0, 8.0, 16.0, 32.0, 64.0, 128.0))
    slow = [dataclasses.replace(p, step_time_s=p.step_time_s * (5.0 if i == 13 else 1.0)) for i, p in enumerate(series.points)]
    place = filled(32, 64, NODE)
    good, broken = (fit_step_time(one).predict([place])[0].step_time_s for one in (series, StepTimeSeries.of("s", slow)))
    assert broken == pytest.approx(good, rel=0.06)  # about the fit's own error at four times the learners


def test_the_next_measurement_is_new_within_reach_and_narrows_what_was_asked(fit: StepTimeFit) -> None:
    wanted = [filled(32, 64, NODE)]
    found = next_step_time(fit, wanted)
    assert found is not None
    assert found.place not in {point.place for point in fit.series.points}
    assert found.place.learners <= 2 * 16
    assert 0.0 < found.narrows_by < 1.0
    added = StepPoint(place=found.place, step_time_s=true_time_s(found.place))
    after = fit_step_time(StepTimeSeries.of("s", [*fit.series.points, added]))
    before_width, after_width = (np.log(b / a) for one in (fit, after) for a, b in [one.predict(wanted)[0].interval90])
    assert after_width < before_width


def test_default_places_reach_twice_and_four_times_the_learners(fit: StepTimeFit) -> None:
    assert [(place.local_samples, place.learners, place.nodes) for place in default_places(fit)] == [
        (32.0, 32, 8), (32.0, 64, 16), (64.0, 32, 8), (64.0, 64, 16),
    ]  # fmt: skip


def test_a_fit_that_no_law_takes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:

    def fails(law: StepLaw, *others: Any) -> Any:
        if law.reduce != "two_tier_ring_log":
            raise FitError("no")
        return fit_law(law, *others)

    monkeypatch.setattr("simulator.calibration.step_time.fit_law", fails)
    kinds = fit_step_time(series_of(sizes=(32.0,))).form_weights()
    assert list(kinds) == ["two_tier_ring_log"]
    monkeypatch.setattr("simulator.calibration.step_time.candidate_laws", lambda computes, places: ())
    with pytest.raises(FitError, match="s: no law of a step fits these times"):
        fit_step_time(series_of(learners=(1, 2), sizes=(32.0,)))


def test_the_saved_law_agrees_with_the_predictions_it_stands_for(fit: StepTimeFit) -> None:
    simple = simple_law(fit, learners_per_node=NODE)
    assert simple.law.reduce in ("node_log", "two_tier_ring")
    assert float(np.max(np.abs(simple.gaps))) < 0.08  # both are forms of the truth, which the fit knows to some per cent
    assert simple.low < simple.values[simple.uncertain] < simple.high


def test_a_single_learner_is_saved_without_communication() -> None:
    fit = fit_step_time(series_of(learners=(1,)))
    assert simple_law(fit, learners_per_node=1).law.reduce == "none"


# The command.

TABLE = "source,workload,gpu,local_batch,n_gpus,n_nodes,step_time_s\n"


def table_of(series: StepTimeSeries, workload: str = "w", gpu: str = "T4") -> str:
    return "".join(
        f"s,{workload},{gpu},{p.place.local_samples:g},{p.place.learners},{p.place.nodes},{p.step_time_s!r}\n"
        for p in series.points
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, TABLE + table_of(series_of(sizes=(8.0, 32.0))), "mine.csv")


def test_the_answer_has_the_promised_keys(file: Path) -> None:
    done = command("fit", "step-time", file, "--json")
    assert done.status == 0, done.err
    answer = done.answer
    assert_sound({key: value for key, value in answer.items() if key not in ("model", "alternatives", "fits")})
    assert {"model", "predictions", "unidentified", "next", "skipped", "saved", "fits", "held_out", "weights"} <= set(answer)
    assert answer["command"] == "fit step-time"
    assert set(answer["predictions"][0]) == {
        "local_samples", "learners", "nodes", "accumulation", "step_time_s", "lo90", "hi90", "law_time_s", "warning",
    }  # fmt: skip
    assert set(answer["next"]) == {"local_samples", "learners", "nodes", "accumulation", "narrows_by"}
    assert answer["fits"][0]["series"] == answer["series"] == "s/w"
    assert answer["saved"] is None


def test_text_says_the_law_what_is_open_and_what_to_measure(file: Path) -> None:
    done = command("fit", "step-time", file)
    assert done.status == 0, done.err
    assert done.out.splitlines()[0] == "s/w: 10 steps with 8 to 32 samples a GPU, on 1 to 16 GPUs of up to 4 nodes"
    for word in (
        "Gamma(m) = ",
        "forms of Delta weighed in the predictions: ",
        "held out: 16 GPUs",
        "measure next",
        "note",
    ):
        assert word in done.out, word


def test_asked_places_are_predicted_and_written(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = command("fit", "step-time", file, "--predict", "32@64, 16@32/32", "--out", out, "--figures", "--json")
    assert done.status == 0, done.err
    assert [(row["local_samples"], row["learners"], row["nodes"]) for row in done.answer["predictions"]] == [
        (32, 64, 16),
        (16, 32, 32),
    ]
    truth = true_time_s(filled(32, 64, NODE))
    assert done.answer["predictions"][0]["lo90"] < truth < done.answer["predictions"][0]["hi90"]
    assert {path.name for path in out.iterdir()} == {
        "run.json", "wall_clock.json", "predictions.csv", "points.csv", "curve.csv", "figure_step_time.png",
    }  # fmt: skip
    assert (out / "figure_step_time.png").read_bytes().startswith(b"\x89PNG")
    targets = written(tmp_path, "local_batch,n_gpus,n_nodes\n32,64,16\n", "targets.csv")
    again = command("fit", "step-time", file, "--predict-file", targets, "--json").answer["predictions"]
    assert again[0] == pytest.approx(done.answer["predictions"][0])  # to rounding


def test_rows_on_more_gpus_can_be_left_out(file: Path) -> None:
    answer = command("fit", "step-time", file, "--fit-up-to", "8", "--json").answer
    assert answer["learners"] == [1, 2, 4, 8]
    assert answer["skipped"] == {"more than 8 GPUs (rows)": 2}


def test_several_series_are_answered_apart_and_one_can_be_chosen(tmp_path: Path) -> None:
    small = series_of(sizes=(8.0, 32.0), learners=(1, 4, 8))
    path = written(tmp_path, TABLE + table_of(small) + table_of(small, "x"), "two.csv")
    answer = command("fit", "step-time", path, "--json").answer
    assert answer["model"] is None
    assert [one["series"] for one in answer["fits"]] == ["s/w", "s/x"]
    assert command("fit", "step-time", path, "--series", "s/x", "--json").answer["series"] == "s/x"
    missed = command("fit", "step-time", path, "--series", "s/z")
    assert (missed.status, missed.err) == (1, "no series is named 's/z'; did you mean 's/x'?\n")
    unsaved = command("fit", "step-time", path, "--save", tmp_path / "s.toml")
    assert unsaved.err == "--save needs one series, the table has 2: choose it with --series NAME\n"


def test_a_concern_is_a_warning_too(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE + table_of(series_of(learners=(1, 8))), "t.csv")
    done = command("fit", "step-time", path)
    assert done.out.startswith("CAUTION: only 2 numbers of GPUs measured")
    assert "warning: s/w: only 2 numbers of GPUs measured" in done.err


@pytest.mark.parametrize("node", [None, "aws-g4dn.12xlarge"])
def test_a_saved_scenario_runs_with_the_step_that_was_predicted(file: Path, tmp_path: Path, node: str | None) -> None:
    saved = tmp_path / "saved.toml"
    flags = [] if node is None else ["--node", node]
    answer = command("fit", "step-time", file, "--predict", "32@16", "--save", saved, *flags, "--json").answer
    assert answer["saved"] == str(saved)
    held = tomllib.loads(saved.read_text(encoding="utf-8"))
    assert held["workload"][0]["compute"]["t4"]["max_local_samples"] == 32
    done = command("run", saved, "--json")
    assert done.status == 0, done.err
    run = done.answer
    assert (run["learners"], run["local_samples"], run["updates"]) == (16, 32, 1000)
    (row,) = answer["predictions"]
    # the head of the file says within how much it agrees with the predictions
    within = float(saved.read_text(encoding="utf-8").split("predictions within ")[1].split(" %")[0]) / 100
    assert within < 0.1
    assert run["update_time_s"] == pytest.approx(row["step_time_s"], rel=within + 0.01)
    assert run["converge_time_s_interval90"] is not None


def test_a_saved_scenario_takes_the_law_of_updates_of_a_workload(file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.toml"
    flags = ("--workload", "resnet50-mlperf", "--node", "aws-g4dn.12xlarge")
    assert command("fit", "step-time", file, "--save", saved, *flags).status == 0
    run = command("run", saved, "--json")
    assert run.status == 0, run.err
    assert run.answer["n_inf_updates"] == pytest.approx(977.3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--predict", "many"], "--predict must be local batch @ GPUs [/ nodes] like 64@128,32@256/32, got 'many'"),
        (["--predict", "8@4/8"], "--predict must be local batch @ GPUs [/ nodes] like 64@128,32@256/32, got '8@4/8'"),
        (["--predict", "0@4"], "--predict must be local batch @ GPUs [/ nodes] like 64@128,32@256/32, got '0@4'"),
        (["--predict", "1.2.3@4"], "--predict must be local batch @ GPUs [/ nodes] like 64@128,32@256/32, got '1.2.3@4'"),
        (["--predict", "8@4", "--predict-file", "x"], "--predict and --predict-file say the same thing twice"),
        (["--fit-up-to", "0"], "--fit-up-to must be >= 1, got 0"),
        (["--node", "dgx-h100"], "--node needs --save: it says what the saved scenario is of"),
        (["--save", "x.csv"], "--save must name a .toml file, got 'x.csv'"),
        (["--save", "x.toml", "--node", "dgx-h1000"], "--node: "),
        (["--save", "x.toml", "--accelerator", "t5"], "--accelerator: "),
        (["--save", "x.toml", "--workload", "nothing"], "--workload: "),
        (["--save", "x.toml", "--node", "dgx-h100", "--accelerator", "t4"],
         "--accelerator is t4, but the accelerators of dgx-h100 are h100-sxm"),
        (["--figures"], "--figures needs --out DIR"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_met_are_refused(file: Path, flags: list[str], message: str) -> None:
    done = command("fit", "step-time", file, *flags)
    assert (done.status, done.out) == (1, "")
    assert message in done.err
    assert len(done.lines) == 1
    assert not Path("x.toml").exists()


@pytest.mark.parametrize(
    ("gpu", "said"),
    [("K80 (EC2)", "no profile is named 'K80 (EC2)', the table's GPU"), ("", "the table does not say")],
)
def test_saving_needs_an_accelerator_that_is_known(tmp_path: Path, gpu: str, said: str) -> None:
    path = written(tmp_path, TABLE + table_of(series_of(sizes=(8.0,), learners=(1, 2)), gpu=gpu), "t.csv")
    done = command("fit", "step-time", path, "--save", tmp_path / "s.toml")
    assert done.status == 1
    assert done.err.startswith("--save needs --node or --accelerator: ")
    assert said in done.err


def test_too_many_targets_are_refused(file: Path, tmp_path: Path) -> None:
    targets = written(tmp_path, "local_batch,n_gpus,n_nodes\n" + 10_001 * "8,2,1\n", "targets.csv")
    done = command("fit", "step-time", file, "--predict-file", targets)
    assert done.err == f"{targets}: must have at most 10000 rows, got 10001\n"


def test_saving_needs_a_node_of_the_size_that_was_measured(tmp_path: Path) -> None:
    path = written(tmp_path, TABLE + table_of(series_of(sizes=(8.0,), learners=(1, 2)), gpu="T4"), "t.csv")
    done = command("fit", "step-time", path, "--save", tmp_path / "s.toml")
    rule = "--save needs --node: no shipped node holds 2 of t4, the most that the table has on one; "
    assert done.err == f"{rule}learnersim profiles nodes lists them\n"
