"""Fitting all-reduce times: what the fit says of laws that are known, and of data that say little; the command."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest

from simulator.calibration.reduce import ReduceFit, as_keys, fit_reduce
from simulator.calibration.reduce_laws import NAMES, REDUCE_LAWS, fit_reduce_law
from simulator.calibration.reduce_series import ReducePoint, ReduceSeries
from simulator.errors import FitError
from simulator.network.laws import RingReduce, TwoTierRingReduce
from tests.support import SCENARIO, assert_sound, changed, command, written

SIZES = tuple(4.0**i for i in range(5, 16))
PLACES = ((2, 1), (4, 1), (8, 1), (16, 2), (32, 4), (64, 8))
TRUTH = {
    "constant_in_node_s": 30e-6,
    "constant_across_nodes_s": 150e-6,
    "latency_s": 5e-6,
    "bandwidth_in_node_bytes_per_s": 200e9,
    "bandwidth_across_nodes_bytes_per_s": 40e9,
    "sharpness": 1.0,
}
LOGS = np.log([TRUTH[name] for name in NAMES])


def series_of(
    kind: str = "ring",
    places: tuple[tuple[int, int], ...] = PLACES,
    sizes: tuple[float, ...] = SIZES,
    noise: float = 0.0,
    logs: np.ndarray = LOGS,
) -> ReduceSeries:
    rng = np.random.default_rng(3)
    points = []
    for P, N in places:
        for size in sizes:
            (log_T,) = REDUCE_LAWS[kind].log_time(logs, *(np.array([float(x)]) for x in (size, P, N)))
            points.append(ReducePoint(size_bytes=size, devices=P, nodes=N, time_s=float(np.exp(log_T + noise * rng.normal()))))
    return ReduceSeries.of("s", points, in_switch=kind == "in_switch")


@pytest.mark.parametrize(
    ("kind", "place", "seconds"),
    [
        # by hand, 100 MB: 30 us + 14 steps of 5 us + 2*7/8*1e8/200e9 = 875 us
        ("ring", (8, 1), 30e-6 + 70e-6 + 875e-6),
        # 150 us + 62 steps of 5 us + 2*31/32*1e8/40e9 = 4843.75 us
        ("ring", (32, 4), 150e-6 + 310e-6 + 4843.75e-6),
        # inside a node the two rings are the same
        ("two_tier_ring", (8, 1), 30e-6 + 70e-6 + 875e-6),
        # 150 us + 2*(7+3) steps of 5 us + 875 us + 2*3/4*1e8/40e9 = 3750 us
        ("two_tier_ring", (32, 4), 150e-6 + 100e-6 + 875e-6 + 3750e-6),
        # the switch adds: 1e8/200e9 = 500 us, 1e8/40e9 = 2500 us, and no steps
        ("in_switch", (8, 1), 30e-6 + 500e-6),
        ("in_switch", (32, 4), 150e-6 + 2500e-6),
    ],
)
def test_the_laws_are_those_drawn_by_hand(kind: str, place: tuple[int, int], seconds: float) -> None:
    (log_T,) = REDUCE_LAWS[kind].log_time(LOGS, *(np.array([float(x)]) for x in (1e8, *place)))
    assert np.exp(log_T) == pytest.approx(seconds, rel=1e-12)


def test_a_sharp_corner_takes_the_larger_of_the_two_parts() -> None:
    logs = LOGS.copy()
    logs[-1] = np.log(2.0)  # Euclid: (3^2 + 4^2)^(1/2) = 5
    logs[[0, 2]] = np.log([3.0, 1e-30])
    logs[3] = np.log(1.0)
    (log_T,) = REDUCE_LAWS["ring"].log_time(logs, *(np.array([x]) for x in (4.0, 2.0, 1.0)))
    assert np.exp(log_T) == pytest.approx(5.0, rel=1e-12)


def test_the_ring_without_a_constant_is_that_of_scenarios() -> None:
    logs = LOGS.copy()
    logs[0] = np.log(1e-30)
    P = np.array([2.0, 3.0, 8.0])
    law = RingReduce(latency_s=5e-6, bandwidth_bytes_per_s=200e9, gradient_bytes=1e8)
    np.testing.assert_allclose(
        np.exp(REDUCE_LAWS["ring"].log_time(logs, np.full(3, 1e8), P, np.ones(3))), law.reduce_time_s(P), rtol=1e-12
    )


@pytest.mark.parametrize("kind", ["ring", "two_tier_ring"])
def test_an_exact_law_is_found_and_told_from_the_other(kind: str) -> None:
    fit = fit_reduce(series_of(kind))
    assert fit.best.law.kind == kind
    assert fit.weights[0] > 0.99
    # 66 exact points, weighed at 8 %, against priors a factor e^1.2 wide whose medians are up to 40 % off: below 2 % by far
    assert fit.best.parameters() == pytest.approx(TRUTH, rel=0.02)
    assert fit.unidentified() == ()
    assert fit.touched() == NAMES


def test_the_law_of_the_switch_is_found() -> None:
    fit = fit_reduce(series_of("in_switch"))
    assert [one.law.kind for one in fit.fits] == ["in_switch"]
    assert fit.best.parameters()["bandwidth_in_node_bytes_per_s"] == pytest.approx(200e9, rel=0.02)
    assert "latency_s" not in fit.touched()
    assert "latency_s" not in fit.unidentified()
    assert fit.predict([(1e8, 128, 16)])[0].time_s == pytest.approx(150e-6 + 2500e-6, rel=0.1)


def test_with_one_number_of_devices_latency_and_constant_cannot_be_told_apart() -> None:
    fit = fit_reduce(series_of(places=((8, 1),)))
    assert {"constant_in_node_s", "latency_s"} <= set(fit.unidentified())
    assert "bandwidth_in_node_bytes_per_s" not in fit.unidentified()
    parameters = fit.best.parameters()
    # their sum, 30 us + 14*5 us, is what the data give
    assert parameters["constant_in_node_s"] + 14 * parameters["latency_s"] == pytest.approx(100e-6, rel=0.03)


def test_a_tier_that_was_not_measured_is_not_identified() -> None:
    fit = fit_reduce(series_of(places=((2, 1), (4, 1), (8, 1))))
    assert {"constant_across_nodes_s", "bandwidth_across_nodes_bytes_per_s"} <= set(fit.unidentified())
    assert not {"constant_across_nodes_s", "bandwidth_across_nodes_bytes_per_s"} & set(fit.touched())
    inside, across = fit.predict([(1e8, 8, 1), (1e8, 16, 2)])
    assert across.interval90[1] / across.interval90[0] > 4 > 1.5 > inside.interval90[1] / inside.interval90[0]
    assert across.warning == "nothing was measured across nodes: a guess from other systems; 2 times the most devices measured"
    alone = fit_reduce(series_of(places=((16, 2), (32, 4)))).predict([(1e8, 8, 1)])
    assert alone[0].warning == "nothing was measured inside a node: a guess from other systems"


def test_with_one_number_of_nodes_both_rings_count() -> None:
    fit = fit_reduce(series_of(places=((8, 1), (16, 2))))
    assert min(fit.weights) > 0.2
    (one,) = fit.predict([(4.0**15, 128, 16)])
    flat, tiers = (
        fit_reduce(fit.series, laws=[kind]).predict([(4.0**15, 128, 16)])[0].time_s for kind in ("ring", "two_tier_ring")
    )
    assert min(flat, tiers) < one.time_s < max(flat, tiers)
    assert one.interval90[0] < min(flat, tiers) < max(flat, tiers) < one.interval90[1]


def test_predictions_outside_the_sizes_say_so() -> None:
    fit = fit_reduce(series_of())
    small, inside, large = fit.predict([(SIZES[0] / 4, 8, 1), (5e4, 8, 1), (2 * SIZES[-1], 8, 1)])
    assert small.warning == "1/4 of the smallest size measured"
    assert inside.warning is None
    assert large.warning == "2 times the largest size measured"
    # exact law: 30 us + 70 us + 14/8*5e4/200e9
    assert inside.time_s == pytest.approx(100e-6 + 0.4375e-6, rel=0.02)
    assert as_keys(inside)["bus_bandwidth_bytes_per_s"] == pytest.approx(1.75 * 5e4 / inside.time_s)


@pytest.mark.parametrize("target", [(0.0, 2, 1), (1.0, 1, 1), (1.0, 4, 5), (1.0, 4, 0), (float("inf"), 4, 1)])
def test_targets_that_are_none_are_refused(target: tuple[float, int, int]) -> None:
    with pytest.raises(ValueError, match="targets must have size_bytes > 0, devices >= 2 and nodes from 1 to devices, got"):
        fit_reduce(series_of(places=((8, 1),))).predict([target])


def test_no_targets_have_no_predictions() -> None:
    assert fit_reduce(series_of(places=((8, 1),))).predict([]) == ()


def test_many_targets_are_predicted_as_each_alone() -> None:
    fit = fit_reduce(series_of(places=((8, 1),)))
    targets = [(float(size), 8, 1) for size in np.geomspace(1e3, 1e9, 450)]
    many = fit.predict(targets)
    for i in (0, 199, 200, 449):
        assert many[i].time_s == pytest.approx(fit.predict([targets[i]])[0].time_s, rel=1e-9)


def test_one_broken_time_does_not_move_the_law() -> None:
    good = series_of(noise=0.01)
    broken = dataclasses.replace(
        good,
        points=tuple(
            dataclasses.replace(p, time_s=20.0 * p.time_s) if (p.devices, p.size_bytes) == (8, SIZES[5]) else p
            for p in good.points
        ),
    )
    one, other = (fit_reduce(series).best.parameters() for series in (good, broken))
    assert other["bandwidth_in_node_bytes_per_s"] == pytest.approx(one["bandwidth_in_node_bytes_per_s"], rel=0.05)
    assert other["latency_s"] == pytest.approx(one["latency_s"], rel=0.15)


def test_half_of_the_bandwidth_is_where_the_law_has_it() -> None:
    # T = a + bS has half of its last rate S_l/T(S_l) at S: S/(a + bS) = r/2; here a = 100 us, b = 1.75/200e9
    fit = fit_reduce(series_of(places=((8, 1),)))
    (one,) = fit.large_messages()
    a, b, last = 100e-6, 1.75 / 200e9, SIZES[-1]
    rate = last / (a + b * last)
    assert one.half_size_bytes == pytest.approx(a * rate / 2 / (1 - b * rate / 2), rel=0.05)
    assert one.bus_bandwidth_bytes_per_s == pytest.approx(1.75 * rate, rel=0.02)


def test_large_messages_alone_have_no_half() -> None:
    fit = fit_reduce(series_of(places=((2, 1), (4, 1)), sizes=(1e12,)))
    assert [one.half_size_bytes for one in fit.large_messages()] == [None]


def test_the_next_measurement_is_where_nothing_was_and_helps() -> None:
    fit = fit_reduce(series_of(places=((8, 1),), sizes=SIZES[:6], noise=0.02))
    following = fit.next_measurement([(1e9, 8, 1)])
    assert (following.devices, following.size_bytes) == (8, 1e9)
    assert 0.3 < following.narrows_by < 1.0
    added = ReducePoint(size_bytes=1e9, devices=8, nodes=1, time_s=fit.predict([(1e9, 8, 1)])[0].time_s)
    after = fit_reduce(ReduceSeries.of("s", [*fit.series.points, added]))

    def width(one: ReduceFit) -> float:
        low, high = one.predict([(1e9, 8, 1)])[0].interval90
        return float(np.log(high / low))

    assert width(after) < width(fit)


def test_many_targets_and_sizes_are_thinned_for_the_next_measurement() -> None:
    sizes = tuple(float(x) for x in np.geomspace(1e3, 1e9, 60).round())
    fit = fit_reduce(series_of(places=((8, 1),), sizes=sizes, noise=0.02))
    assert fit.next_measurement([(float(size), 8, 1) for size in np.geomspace(1e3, 1e9, 300)]).narrows_by >= 0.0


def test_default_targets_stop_at_16_gib() -> None:
    fit = fit_reduce(series_of(places=((8, 1),), sizes=(1e6, 2.0**34)))
    assert fit.default_targets() == [(round((1e6 * 2.0**34) ** 0.5), 8, 1), (2.0**34, 16, 2)]


def test_data_without_a_finite_fit_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise FitError("no")

    monkeypatch.setattr("simulator.calibration.reduce.fit_reduce_law", fails)
    with pytest.raises(FitError, match="s: no law of an all-reduce fits these times"):
        fit_reduce(series_of(places=((8, 1),)))


def test_residuals_are_summed_up_robustly_and_not() -> None:
    fit = fit_reduce_law(REDUCE_LAWS["ring"], series_of(noise=0.05))
    assert 0.0 < fit.median_relative < fit.rms_relative < 0.08
    correlation = fit.correlation()
    np.testing.assert_allclose(np.diag(correlation), 1.0)
    assert np.all(np.abs(correlation) <= 1.0 + 1e-9)


# The command.

TABLE = "source,device,n_gpus,n_nodes,size_bytes,time_us\n"


def table_of(series: ReduceSeries, name: str = "X") -> str:
    return "".join(f"s,{name},{p.devices},{p.nodes},{p.size_bytes:.0f},{1e6 * p.time_s!r}\n" for p in series.points)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path, TABLE + table_of(series_of(noise=0.02)), "mine.csv")


def test_the_answer_has_the_promised_keys(file: Path) -> None:
    done = command("fit", "reduce", file, "--json")
    assert done.status == 0, done.err
    answer = done.answer
    assert_sound({key: value for key, value in answer.items() if key not in ("model", "alternatives", "fits")})
    assert {"model", "predictions", "unidentified", "next", "skipped", "saved", "fits", "large_message"} <= set(answer)
    assert answer["command"] == "fit reduce"
    assert answer["model"]["kind"] == "ring"
    assert list(answer["model"]["parameters"]) == list(NAMES)
    assert set(answer["predictions"][0]) == {
        "size_bytes", "devices", "nodes", "time_s", "lo90", "hi90", "bus_bandwidth_bytes_per_s", "law_time_s", "warning",
    }  # fmt: skip
    assert answer["fits"][0]["series"] == answer["series"] == "s/X"


def test_text_answers_first(file: Path) -> None:
    done = command("fit", "reduce", file)
    assert done.status == 0, done.err
    first = done.out.splitlines()[0]
    assert first.startswith("s/X: a message of 1.074 GB gets a bus bandwidth of ")
    assert "inside a node (8 devices), half of it from " in first
    assert "of latency per step" in first
    assert "law: one ring through all devices" in done.out
    assert "measure next" in done.out


def test_what_is_not_identified_is_said(tmp_path: Path) -> None:
    text = TABLE + table_of(series_of(places=((8, 1),))) + "s,X,8,1,4,\n"
    done = command("fit", "reduce", written(tmp_path, text))
    assert "the latency per step is not identified by what was measured" in done.out.splitlines()[0]
    assert "not identified, mostly what other systems have" in done.out
    assert done.out.splitlines()[-1] == "  1 x no time (row)"
    parameters = command("fit", "reduce", tmp_path / "scenario.toml", "--json").answer["model"]["parameters"]
    assert parameters["bandwidth_across_nodes_bytes_per_s"] is None


def test_several_systems_are_answered_apart_and_one_can_be_chosen(tmp_path: Path) -> None:
    text = TABLE + table_of(series_of(places=((8, 1),))) + table_of(series_of(places=((4, 1),)), "Y")
    path = written(tmp_path, text, "two.csv")
    answer = command("fit", "reduce", path, "--json").answer
    assert answer["model"] is None
    assert [one["series"] for one in answer["fits"]] == ["s/X", "s/Y"]
    assert command("fit", "reduce", path, "--system", "s/Y", "--json").answer["series"] == "s/Y"
    assert command("fit", "reduce", path).out.count("gets a bus bandwidth of") == 2
    missed = command("fit", "reduce", path, "--system", "s/Z")
    assert (missed.status, missed.err) == (1, "no system is named 's/Z'; did you mean 's/Y'?\n")


def test_asked_sizes_are_predicted_and_written(file: Path, tmp_path: Path) -> None:
    targets = written(tmp_path, "size_bytes,n_gpus,n_nodes\n100000000,128,16\n", "targets.csv")
    out = tmp_path / "out"
    done = command("fit", "reduce", file, "--predict-file", targets, "--out", out, "--json")
    (row,) = done.answer["predictions"]
    # 150 us + 254*5 us + 2*127/128*1e8/40e9
    assert row["lo90"] < 150e-6 + 1270e-6 + 2 * 127 / 128 * 1e8 / 40e9 < row["hi90"]
    assert (out / "predictions.csv").read_text(encoding="utf-8").count("\n") == 2
    assert (out / "points.csv").read_text(encoding="utf-8").count("\n") == 1 + len(SIZES) * len(PLACES)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--save", "x.toml"], "--save needs --bytes: a [reduce] table is written for one size of the gradient"),
        (["--save", "x.csv", "--bytes", "1"], "--save must name a .toml file, got 'x.csv'"),
        (["--bytes", "many"], "--bytes must be a number with a unit like '1 B', got 'many'"),
        (["--bytes", "1 s"], "--bytes unit 's' cannot become B, got '1 s'"),
        (["--bytes", "0"], "--bytes must be > 0 and <= 1e15, got '0'"),
        (["--bytes", "nan"], "--bytes must be a finite number, got 'nan'"),
        (["--link-bandwidth", "-1"], "--link-bandwidth must be > 0 and <= 1e15, got '-1'"),
        (["--devices", "8"], "--devices and --nodes are for logs; this table says itself how many there were"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(file: Path, flags: list[str], message: str) -> None:
    done = command("fit", "reduce", file, *flags)
    assert done.status == 1
    assert message in done.err
    assert len(done.lines) == 1


def test_saving_needs_one_system(tmp_path: Path) -> None:
    text = TABLE + table_of(series_of(places=((8, 1),))) + table_of(series_of(places=((4, 1),)), "Y")
    done = command("fit", "reduce", written(tmp_path, text), "--bytes", "80 MB", "--save", tmp_path / "r.toml")
    assert done.err == "--save needs one series, the table has 2: choose it with --system NAME\n"


def test_too_many_targets_are_refused(file: Path, tmp_path: Path) -> None:
    targets = written(tmp_path, "size_bytes,n_gpus,n_nodes\n" + 10_001 * "8,2,1\n", "targets.csv")
    done = command("fit", "reduce", file, "--predict-file", targets)
    assert done.err == f"{targets}: must have at most 10000 rows, got 10001\n"


@pytest.mark.parametrize(
    ("places", "kind", "in_switch"),
    [
        (PLACES, "two_tier_ring", False),
        (((2, 1), (4, 1), (8, 1)), "ring", False),
        (((16, 2),), "ring", False),
        (((8, 1),), "constant", True),
    ],
)
def test_a_saved_table_agrees_with_the_prediction_and_runs(
    tmp_path: Path, places: tuple[tuple[int, int], ...], kind: str, in_switch: bool
) -> None:
    series = series_of("in_switch" if in_switch else "ring", places)
    source = written(tmp_path, TABLE + table_of(series, "NVLS" if in_switch else "X"), "mine.csv")
    saved = tmp_path / "reduce.toml"
    answer = command("fit", "reduce", source, "--bytes", "80 MB", "--save", saved, "--json").answer
    assert answer["saved"] == str(saved)
    table = tomllib.loads(saved.read_text(encoding="utf-8"))["reduce"]
    assert table.pop("kind") == kind
    value = {key: number["value"] for key, number in table.items()}
    assert all("mine.csv" in number["source"] for number in table.values())
    assert all(number["low"] < number["value"] < number["high"] for number in table.values() if "low" in number)
    assert any("low" in number for number in table.values())
    P, N = places[-1]
    (row,) = [r for r in answer["predictions"] if (r["size_bytes"], r["devices"], r["nodes"]) == (80e6, P, N)]
    if kind == "two_tier_ring":
        time_s = float(TwoTierRingReduce(**value, learners_per_node=P / N).reduce_time_s(P))
    elif kind == "ring":
        time_s = float(RingReduce(**value, gradient_bytes=80e6).reduce_time_s(P))
    else:
        time_s = value["delta_s"]
    assert time_s == pytest.approx(row["time_s"], rel=1e-5)  # the file has six digits
    pasted = changed(SCENARIO, ('[reduce]\nkind = "constant"\ndelta_s = "4 ms"\n', saved.read_text(encoding="utf-8")))
    done = command("run", written(tmp_path, pasted), "--json")
    assert done.status == 0, done.err
    if (P, N) == (16, 2):  # the scenario's own cluster
        assert done.answer["reduce_time_s"] == pytest.approx(row["time_s"], rel=1e-5)


def test_a_small_gradient_is_saved_with_its_range_on_the_latency(tmp_path: Path) -> None:
    source = written(tmp_path, TABLE + table_of(series_of(places=((2, 1), (8, 1)))), "mine.csv")
    saved = tmp_path / "reduce.toml"
    assert command("fit", "reduce", source, "--bytes", "1 kB", "--save", saved).out.endswith("into a scenario\n")
    table = tomllib.loads(saved.read_text(encoding="utf-8"))["reduce"]
    assert "low" in table["latency_s"]
    assert "low" not in table["bandwidth_bytes_per_s"]


def test_across_nodes_faster_than_inside_alone_is_saved_without_a_range(tmp_path: Path) -> None:
    # in-node time longer than the whole across nodes: B = 0, so that nothing negative is written
    rows = "".join(f"s,X,8,1,{size},9000\ns,X,16,2,{size},4000\n" for size in (1_000_000, 2_000_000))
    saved = tmp_path / "reduce.toml"
    assert command("fit", "reduce", written(tmp_path, TABLE + rows), "--bytes", "1 MB", "--save", saved).status == 0
    across = tomllib.loads(saved.read_text(encoding="utf-8"))["reduce"]["across_nodes_s"]
    assert (across["value"], "low" in across) == (0, False)


def test_a_file_that_cannot_be_written_is_said(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simulator.cli.profile_file.write_text", full)
    done = command("fit", "reduce", file, "--bytes", "1 MB", "--save", tmp_path / "r.toml")
    assert (done.status, done.err) == (1, f"{tmp_path / 'r.toml'}: cannot be written: No space left on device\n")
