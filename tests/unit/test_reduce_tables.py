"""Tables and logs of measured all-reduces: rows joined to series, faults named, what cannot be used counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simulator.calibration.measurements import chosen
from simulator.calibration.reduce_series import MOST_POINTS, ReducePoint, ReduceSeries
from simulator.calibration.reduce_tables import read_reduce, read_reduce_targets
from simulator.errors import FitError, ScenarioError
from tests.support import written

DEVICE = "source,device,n_gpus,n_nodes,size_bytes,time_us,std_us,algorithm,fabric\n"
SYSTEM = "system,gpus,nodes,collective,algo,payload_bytes,time_us\n"

LOG = """\
# nThread 1 nGpus 1 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 0
#
# Using devices
#  Rank  0 Group  0 Pid  100 on    node-a device  0 [0x07] NVIDIA A100-SXM4-40GB
#  Rank  1 Group  0 Pid  101 on    node-a device  1 [0x0b] NVIDIA A100-SXM4-40GB
#  Rank  2 Group  0 Pid  102 on    node-b device  0 [0x07] NVIDIA A100-SXM4-40GB
#  Rank  3 Group  0 Pid  103 on    node-b device  1 [0x0b] NVIDIA A100-SXM4-40GB
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
           0             0     float     sum      -1     9.99    0.00    0.00      0     9.98    0.00    0.00      0
     1048576        262144     float     sum      -1    125.0    8.39   12.58      0    999.0    1.05    1.57      0
     8388608       2097152     float     sum      -1   1000.0    8.39   12.58      0   1500.0    5.59    8.39      0
    16777216       4194304     float     sum      -1      N/A     N/A     N/A    N/A   1500.0    5.59    8.39      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 12.58
"""


def refused(folder: Path, text: str, name: str = "mine.csv") -> list[str]:
    path = written(folder, text, name)
    with pytest.raises(ScenarioError) as caught:
        read_reduce(path, name=name)
    return str(caught.value).splitlines()


def test_the_table_by_device_is_read(tmp_path: Path) -> None:
    rows = "s,A,2,1,1000,10,1,X,f\ns,A,4,2,1000,20,,Y,f\ns,A,2,1,2000,,,X,f\ns,A,1,1,2000,3,,X,f\n"
    table = read_reduce(written(tmp_path, DEVICE + rows, "t.csv"))
    (series,) = table.series
    assert (series.name, series.in_switch) == ("s/A", False)
    assert series.points == (
        ReducePoint(size_bytes=1000.0, devices=2, nodes=1, time_s=1e-5, error_relative=0.1),
        ReducePoint(size_bytes=1000.0, devices=4, nodes=2, time_s=2e-5),
    )
    assert table.skipped == {"no time (row)": 1, "one device has nothing to reduce (row)": 1}
    assert (series.tiers, series.placements, series.device_counts) == ((True, True), ((2, 1), (4, 2)), (2, 4))


def test_bus_bandwidth_is_that_of_nccl_tests() -> None:
    # 1 GiB on 8 devices in 8203.9 us: 229.04 GB/s as printed by nccl-tests for eight A100 (nccl_allreduce.csv, row of 1 GiB)
    point = ReducePoint(size_bytes=1073741824.0, devices=8, nodes=1, time_s=8203.9e-6)
    assert point.bus_bandwidth_bytes_per_s == pytest.approx(229.04e9, rel=1e-4)


def test_the_same_system_on_more_nodes_is_one_series(tmp_path: Path) -> None:
    rows = "1x box,8,1,all-reduce,,1000,10\n4x box,32,4,AllReduce,,1000,20\n8x H,8,1,all-reduce,,1,1\n8x H,8,1,,,2,1\n"
    rows += "8x H,8,1,all-gather,,4,1\n"
    table = read_reduce(written(tmp_path, SYSTEM + rows))
    assert [series.name for series in table.series] == ["box", "8x H"]
    assert table.series[0].placements == ((8, 1), (32, 4))
    assert table.skipped == {"not an all-reduce (row)": 1}


def test_algorithms_are_joined_unless_two_compete_at_one_point(tmp_path: Path) -> None:
    best = "s,A,2,1,1000,10,,X,\ns,A,2,1,2000,10,,Y,\n"
    assert [series.name for series in read_reduce(written(tmp_path, DEVICE + best)).series] == ["s/A"]
    both = best + "s,A,2,1,1000,12,,Y,\ns,A,2,1,2000,9,,X,\n"
    assert [series.name for series in read_reduce(written(tmp_path, DEVICE + both)).series] == ["s/A, X", "s/A, Y"]


def test_fabrics_are_kept_apart(tmp_path: Path) -> None:
    rows = "s,A,2,1,1,1,,,IB\ns,A,2,1,2,1,,,IB\n,A,2,1,1,1,,,\ns,A,2,1,1,1,,,eth\ns,A,2,1,2,1,,,eth\n"
    table = read_reduce(written(tmp_path, DEVICE + rows))
    assert [series.name for series in table.series] == ["s/A, IB", "s/A, eth"]
    assert table.skipped == {"fewer than two measured (size, devices, nodes) (series)": 1}


@pytest.mark.parametrize(
    ("system", "algo", "in_switch"),
    [
        ("H200", "NVLS", True),
        ("H200", "NVLSTree", True),
        ("H200", "CollnetDirect", True),
        ("H200 (NVLink SHARP allowed)", "auto", True),
        ("H200", "Ring (NVLS off)", False),
        ("H200", "Ring", False),
    ],
)
def test_reduction_in_the_switch_is_known_by_name(tmp_path: Path, system: str, algo: str, in_switch: bool) -> None:
    rows = "".join(f"{system},8,1,all-reduce,{algo},{size},10\n" for size in (1, 2))
    assert [series.in_switch for series in read_reduce(written(tmp_path, SYSTEM + rows)).series] == [in_switch]


def test_reduction_in_the_switch_is_known_by_a_bandwidth_above_the_link(tmp_path: Path) -> None:
    # 1 MB in 10 us on 8 devices: 100 GB/s * 7/4 = 175 GB/s
    path = written(tmp_path, SYSTEM + "X,8,1,,,1000000,10\nX,8,1,,,1000,10\n")
    assert not read_reduce(path, link_bandwidth_bytes_per_s=176e9).series[0].in_switch
    assert read_reduce(path, link_bandwidth_bytes_per_s=174e9).series[0].in_switch


def test_repeated_measurements_are_joined_to_their_mean(tmp_path: Path) -> None:
    (series,) = read_reduce(written(tmp_path, SYSTEM + "X,2,1,,,8,10\nX,2,1,,,8,30\nX,2,1,,,4,1\n")).series
    assert [point.time_s for point in series.points] == pytest.approx([1e-6, 2e-5])
    # sd of 10 and 30 is 14.14, its error of the mean 10: half of 20
    assert series.points[1].error_relative == pytest.approx(0.5)


def test_every_fault_of_a_table_is_named(tmp_path: Path) -> None:
    text = DEVICE + "s,A,2,1,0,10,,,\ns,A,2,1,8,-1,,,\ns,A,2,1,8,0,,,\ns,,2.5,1,x,1,-1,,\n"
    assert refused(tmp_path, text) == [
        "mine.csv: line 2, size_bytes: must be a number > 0 and <= 1e+15, got '0'",
        "mine.csv: line 3, time_us: must be a number > 0 and <= 1e+12, got '-1'",
        "mine.csv: line 4, time_us: must be a number > 0 and <= 1e+12, got '0'",
        "mine.csv: line 5, device: must not be empty",
        "mine.csv: line 5, n_gpus: must be a whole number >= 1 and <= 1.67772e+07, got '2.5'",
        "mine.csv: line 5, size_bytes: must be a number > 0 and <= 1e+15, got 'x'",
        "mine.csv: line 5, std_us: must be a number >= 0 and <= 1e+12, got '-1'",
    ]


def test_more_nodes_than_devices_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, DEVICE + "s,A,2,3,8,10,,,\n") == ["mine.csv: line 2, n_nodes: must be at most n_gpus, 2, got 3"]
    assert refused(tmp_path, SYSTEM + "A,2,3,,,8,10\n") == ["mine.csv: line 2, nodes: must be at most gpus, 2, got 3"]


def test_another_header_is_refused(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, "a,b\n1,2\n")
    assert line.startswith("mine.csv: must have the columns source, device, n_gpus, n_nodes, size_bytes, time_us")
    assert line.endswith("or be a log of nccl-tests, got a, b")
    assert refused(tmp_path, DEVICE.replace("time_us", "t_us") + "s,A,2,1,8,10,,,\n") == [
        "mine.csv: time_us: is missing; did you mean 't_us'?"
    ]


@pytest.mark.parametrize("text", ["", "\0"])
def test_what_is_no_table_is_refused_by_the_reader_of_tables(tmp_path: Path, text: str) -> None:
    assert len(refused(tmp_path, text)) == 1


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no such file"):
        read_reduce(tmp_path / "none.csv")
    with pytest.raises(ScenarioError, match="must be a file, got a folder"):
        read_reduce(tmp_path)


def test_a_table_without_a_usable_series_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, SYSTEM + "X,8,1,,,8,\nX,8,1,,,4,1\n", "x.csv")
    said = "must have a system with at least two measured all-reduces; left out: 1 x no time (row); 1 x fewer than two"
    with pytest.raises(FitError, match=re.escape(said)):
        read_reduce(path)


def test_a_table_says_itself_how_many_devices_there_were(tmp_path: Path) -> None:
    path = written(tmp_path, SYSTEM + "X,8,1,,,8,1\nX,8,1,,,4,1\n")
    with pytest.raises(FitError, match="--devices and --nodes are for logs; this table says itself"):
        read_reduce(path, devices=8)


def test_a_series_has_two_points_and_not_too_many() -> None:
    points = [ReducePoint(size_bytes=1.0 + i, devices=2, nodes=1, time_s=1.0) for i in range(MOST_POINTS + 1)]
    with pytest.raises(FitError, match=r"s: must have at least two measured \(size, devices, nodes\), got 1"):
        ReduceSeries.of("s", points[:1])
    with pytest.raises(FitError, match=r"s: must have at most 1000 different \(size, devices, nodes\), got 1001"):
        ReduceSeries.of("s", points)


def test_a_log_is_read_out_of_place(tmp_path: Path) -> None:
    table = read_reduce(written(tmp_path, LOG, "run.log"))
    (series,) = table.series
    assert series.name == "run"
    assert series.points == (
        ReducePoint(size_bytes=1048576.0, devices=4, nodes=2, time_s=125e-6),
        ReducePoint(size_bytes=8388608.0, devices=4, nodes=2, time_s=1e-3),
    )
    assert table.skipped == {"no bytes (row)": 1, "no time (row)": 1}


def test_a_log_may_come_through_mpirun_and_hold_several_runs(tmp_path: Path) -> None:
    second = LOG.replace("#  Rank  2", "# no").replace("#  Rank  3", "# no").replace("   12.58", "    8.39")
    text = "".join(f"[1,0]<stdout>:{line}\n" for line in (LOG + second).splitlines())
    (series,) = read_reduce(written(tmp_path, text, "run.txt")).series
    assert series.placements == ((2, 1), (4, 2))


def test_an_older_log_has_no_column_root(tmp_path: Path) -> None:
    line = "     {}  262144   float     sum    125.0    8.39   12.58  0e+00    130.0    8.07   12.10  0e+00\n"
    head = "#       size  count  type  redop  time  algbw  busbw  error  time  algbw  busbw  error\n"
    path = written(tmp_path, head + line.format(1048576) + line.format(1048577), "old.log")
    (series,) = read_reduce(path, devices=4, nodes=2).series
    assert [point.time_s for point in series.points] == pytest.approx([125e-6, 125e-6])


def test_a_log_without_ranks_needs_flags(tmp_path: Path) -> None:
    text = "\n".join(line for line in LOG.splitlines() if "Rank" not in line)
    message = "the log does not list its ranks: say how many devices there were with --devices"
    lines = refused(tmp_path, text, "x.log")
    assert lines[0] == f"x.log: line 8: {message}"
    with pytest.raises(ScenarioError, match="say how many nodes there were with --nodes"):
        read_reduce(written(tmp_path, text), devices=4)
    assert read_reduce(written(tmp_path, text), devices=4, nodes=2).series[0].placements == ((4, 2),)
    with pytest.raises(ScenarioError, match="must be run on devices >= 1 and nodes from 1 to devices, got 4 and 5"):
        read_reduce(written(tmp_path, text), devices=4, nodes=5)


def test_flags_that_contradict_a_log_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="--devices must be what the log lists, 4, got 8"):
        read_reduce(written(tmp_path, LOG), devices=8)


def test_a_log_of_another_collective_is_refused_or_skipped(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, LOG.replace("1000.0    8.39   12.58", "1000.0    8.39    6.29"), "x.log")
    assert line == "x.log: line 14: busbw/algbw must be 2 (P-1)/P = 1.5 for an all-reduce of 4 devices, got '0.7497'"
    with pytest.raises(FitError, match=r"left out: 4 x not an all-reduce \(row\)"):
        read_reduce(written(tmp_path, LOG.replace("     sum ", "    none ")))


def test_broken_times_of_a_log_are_refused(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, LOG.replace("125.0", "-5.00"), "x.log")
    assert line == "x.log: line 13: must be a number > 0 and <= 1e+12, got '-5.00'"
    (line,) = refused(tmp_path, LOG.replace("125.0", "  nan"), "x.log")
    assert line == "x.log: line 13: must be a number > 0 and <= 1e+12, got 'nan'"


def test_a_log_that_breaks_off_in_a_line_is_refused(tmp_path: Path) -> None:
    (line,) = refused(tmp_path, LOG.split("     8388608")[0] + "  8388608  2097152  float  sum  -1", "x.log")
    assert line.startswith("x.log: line 14: must have the columns size, count, type, redop, root, time, algbw, busbw, time is")


def test_one_device_in_a_log_has_nothing_to_reduce(tmp_path: Path) -> None:
    text = "\n".join(line for line in LOG.splitlines() if not re.search(r"Rank  [123]", line))
    with pytest.raises(FitError, match=r"2 x one device has nothing to reduce \(row\)"):
        read_reduce(written(tmp_path, text))


def test_many_faults_are_cut_short(tmp_path: Path) -> None:
    result = "     1048576        262144     float     sum      -1      nan    0.00    0.00      0\n"
    lines = refused(tmp_path, LOG.split("           0 ")[0] + 60 * result, "x.log")
    assert len(lines) == 51
    assert lines[-1] == "x.log: and 10 more faults"


@pytest.mark.parametrize("header", ["size_bytes,n_gpus,n_nodes", "payload_bytes,gpus,nodes", "size_bytes,devices,nodes"])
def test_targets_take_the_names_of_either_table(tmp_path: Path, header: str) -> None:
    assert read_reduce_targets(written(tmp_path, f"{header}\n1000,8,2\n")) == ((1000.0, 8, 2),)


def test_faults_of_targets_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "size_bytes,n_gpus,n_nodes\n1000,1,1\n1000,4,8\n")
    with pytest.raises(ScenarioError) as caught:
        read_reduce_targets(path)
    assert str(caught.value).splitlines() == [
        f"{path}: line 2, n_gpus: must be a whole number >= 2, got 1",
        f"{path}: line 3, n_nodes: must be at most n_gpus, 4, got 8",
    ]
    with pytest.raises(ScenarioError, match=r"size_bytes: is missing"):
        read_reduce_targets(written(tmp_path, "bytes,n_gpus,n_nodes\n1,2,1\n"))


def test_a_system_is_chosen_by_name() -> None:
    points = [ReducePoint(size_bytes=size, devices=2, nodes=1, time_s=1.0) for size in (1.0, 2.0)]
    series = [ReduceSeries.of(name, points) for name in ("alpha", "beta")]
    assert list(chosen(series, None, called="system")) == series
    assert list(chosen(series, "beta", called="system")) == series[1:]
    with pytest.raises(FitError, match=re.escape("no system is named 'alpa'; did you mean 'alpha'?")):
        chosen(series, "alpa", called="system")


def test_points_can_be_left_out() -> None:
    points = [ReducePoint(size_bytes=size, devices=2, nodes=1, time_s=1.0) for size in (1.0, 2.0, 4.0)]
    assert ReduceSeries.of("s", points).without(points[1:2]).sizes == (1.0, 4.0)
