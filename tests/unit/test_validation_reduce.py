"""How good the fit of all-reduce times is on published series: the bars, the groups, what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import FitError
from simulator.validation.reduce import MEDIAN_TOLERANCES, SHIPPED_TABLES, validate_reduce
from simulator.validation.rows import Validation
from tests.support import assert_shipped, written

DEVICE = "source,device,n_gpus,n_nodes,size_bytes,time_us\n"


@pytest.fixture(scope="module")
def shipped() -> Validation:
    return validate_reduce()


def test_the_bars_hold(shipped: Validation) -> None:
    summary = shipped.summary()
    assert {"every_second_size", "largest_p"} == set(MEDIAN_TOLERANCES)
    for group, most in MEDIAN_TOLERANCES.items():
        assert summary[group]["median_abs_error"] <= most
    for part in ("second, fourth, ... left out", "first, third, ... left out"):
        assert summary[f"every_second_size: {part}"]["median_abs_error"] <= MEDIAN_TOLERANCES["every_second_size"]


def test_the_prediction_is_better_than_the_law_alone(shipped: Validation) -> None:
    summary = shipped.summary()
    for group in ("every_second_size", "largest_p"):
        assert summary[group]["median_abs_error"] < summary[f"{group} (law)"]["median_abs_error"]


def test_coverage_is_within_what_so_many_series_allow(shipped: Validation) -> None:
    for group, found in shipped.summary().items():
        if "(law)" not in group:
            low, high = found["coverage90_binomial95"]
            assert low <= found["coverage90"] <= high, group


def test_groups_are_counted_from_the_tables(shipped: Validation) -> None:
    """By hand: five DeepBench systems have 7 sizes on 5 numbers of devices (P100: 4), and others as the tables list them.

    Left out with the even sizes: 3 of 7 on 24 placements, 15 of 31 of the a3-mega, 10 of 20 of the A100 and of both p6-b200;
    with the odd ones 4 on 24, 16, 10 and 20. Most devices: 4*7 of DeepBench, one each of p4d and RoCE. Across nodes unseen
    without them: P100 (7) and p6-b200 (20). In the switch: 20 sizes of the H200.
    """
    cases = {name: found["cases"] for name, found in shipped.summary().items() if "(law)" not in name}
    assert cases["every_second_size: second, fourth, ... left out"] == 3 * 24 + 15 + 10 + 20
    assert cases["every_second_size: first, third, ... left out"] == 4 * 24 + 16 + 10 + 20
    assert cases["largest_p"] == 4 * 7 + 2
    assert cases["largest_p_unseen_tier"] == 7 + 20
    assert cases["in_switch_every_second_size"] == 20
    assert cases["all"] == cases["every_second_size"] + cases["largest_p"]
    assert shipped.skipped["no time (row)"] == 22


def test_no_prediction_has_seen_its_own_point(tmp_path: Path) -> None:
    """Halving the left-out times leaves what is predicted for them as it was."""
    rows = [(P, N, 4**i, 20.0 * P + 4**i / 1e4) for P, N in ((2, 1), (4, 1), (8, 1)) for i in range(5, 14)]

    def table(changed: int | None) -> Path:
        text = "".join(f"s,X,{P},{N},{S},{t / (2.0 if changed == P else 1.0)}\n" for P, N, S, t in rows)
        return written(tmp_path, DEVICE + text, "t.csv")

    found = [
        [case.predicted for case in validate_reduce(table(halved)).predictions if case.group == "largest_p"]
        for halved in (None, 8)
    ]
    assert found[0] == found[1]


def test_small_series_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = "s,X,2,1,1000,10\ns,X,2,1,2000,12\ns,Y,2,1,1000,10\ns,Y,4,1,1000,12\n"
    found = validate_reduce(written(tmp_path, DEVICE + rows))
    assert found.predictions == ()
    assert found.skipped == {
        "fewer than 4 sizes: none left out (series)": 2,
        "one number of devices, or a single point besides: the most are not left out (series)": 2,
        "nothing can be left out (series)": 2,
    }


def test_a_bandwidth_above_the_link_puts_a_series_apart(tmp_path: Path) -> None:
    rows = "".join(f"s,X,8,1,{4**i},{20 + 4**i / 1e5}\n" for i in range(8, 16))
    path = written(tmp_path, DEVICE + rows)
    assert "every_second_size" in validate_reduce(path).summary()
    # 1.75 * 1e5 bytes/us = 175 GB/s
    assert "in_switch_every_second_size" in validate_reduce(path, link_bandwidth_bytes_per_s=150e9).summary()


def test_a_table_without_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="must have a system with at least two measured all-reduces"):
        validate_reduce(written(tmp_path, DEVICE + "s,X,2,1,1000,10\n"))


def test_the_shipped_tables_say_where_each_row_is_from() -> None:
    assert all("source" in path.read_text(encoding="utf-8").splitlines()[0].split(",") for path in SHIPPED_TABLES)


def test_the_errors_that_reports_show_are_these(shipped: Validation) -> None:
    assert_shipped("reduce", shipped)
