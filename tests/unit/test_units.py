from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.loading import quantity, unit_of
from simulator.loading.units import LARGEST_NUMBER, SUFFIX_UNITS


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("delta_s", "3 ms", 3e-3),
        ("delta_s", "306.7 us", 306.7e-6),
        ("delta_s", "150 ns", 150e-9),
        ("deadline_s", "2 min", 120.0),
        ("deadline_s", "3 day", 3 * 86_400.0),
        ("deadline_s", "3 days", 3 * 86_400.0),
        ("life_s", "4 year", 4 * 365.25 * 86_400.0),
        ("deadline_s", "6 hour", 21_600.0),
        ("deadline_s", "6 h", 21_600.0),
        ("gradient_bytes", "97.5 MiB", 97.5 * 2**20),
        ("gradient_bytes", "80 MB", 80e6),
        ("gradient_bytes", "8 bit", 1.0),
        ("gradient_bytes", "1 KiB", 1024.0),
        ("gradient_bytes", "1 kB", 1000.0),
        ("gradient_bytes", "2 TiB", 2 * 2.0**40),
        ("bandwidth_bytes_per_s", "100 Gbit/s", 12.5e9),
        ("bandwidth_bytes_per_s", "2039 GB/s", 2.039e12),
        ("bandwidth_bytes_per_s", "1 GiB/s", 2.0**30),
        ("gamma_s_per_sample", "306 us", 306e-6),
        ("gamma_s_per_sample", "306 us/sample", 306e-6),
        ("gamma_s_per_sample", "18.33 ms / sample", 18.33e-3),
        ("data_set_samples", "1e6 samples", 1e6),
        ("n_inf_updates", "1000 updates", 1000.0),
        ("power_w", "400 kW", 4e5),
        ("budget_usd", "5e6 USD", 5e6),
        ("usd_per_node_hour", "24 USD/day", 1.0),
        ("electricity_usd_per_kwh", "129 USD/MWh", 0.129),
        ("bf16_flop_per_s", "312 TFLOP/s", 312e12),
        ("train_flop_per_sample", "24.5 GFLOP", 24.5e9),
        ("train_flop_per_sample", "24.5 GFLOP/sample", 24.5e9),
        ("input_samples_per_s", "1_000 samples/s", 1000.0),
        ("delta_s", " 3  ms ", 3e-3),
        ("delta_s", "+.5e1 s", 5.0),
    ],
)
def test_a_text_with_a_unit_becomes_the_unit_of_its_key(key: str, text: str, expected: float) -> None:
    assert quantity(key, text) == pytest.approx(expected, rel=1e-14)


def test_a_prefix_is_never_lost() -> None:
    values = [
        quantity("gradient_bytes", f"1 {prefix}B") for prefix in ("", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti", "P", "Pi")
    ]
    assert values == sorted(values)
    assert quantity("gradient_bytes", "1 GiB") == 2**30
    assert quantity("gradient_bytes", "1 Gbit") == 1e9 / 8


@pytest.mark.parametrize("value", [0, 3, -2, 0.5, 1e30])
def test_a_bare_number_is_in_the_unit_of_its_key(value: float) -> None:
    assert quantity("delta_s", value) == value


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "bandwidth_bytes_per_s",
            "400G",
            "unit 'G' is not known; write 'Gbit/s' or 'GB/s' for a rate, 'GB' for a size, got '400G'",
        ),
        ("bandwidth_bytes_per_s", "400 Gb/s", "write 'Gbit/s' or 'GB/s' for a rate"),
        ("bandwidth_bytes_per_s", "100 Gbps", "write 'Gbit/s' or 'GB/s' for a rate"),
        ("bandwidth_bytes_per_s", "100 Gbits/s", "unit 'Gbits' is not known; did you mean 'Gbit'?"),
        ("bandwidth_bytes_per_s", "100 gbit/s", "unit 'gbit' is not known; did you mean 'Gbit'?"),
        ("delta_s", "3 \N{MICRO SIGN}s", "'us'"),
        ("delta_s", "3 msec", "unit 'msec' is not known"),
        ("delta_s", "3 sec", "write 's', 'min' or 'hour'"),
        ("delta_s", "5 m", "write 's', 'min' or 'hour'"),
        ("delta_s", "3 GB", "unit 'GB' cannot become s, got '3 GB'"),
        ("bandwidth_bytes_per_s", "100 GB", "unit 'GB' cannot become B / s, got '100 GB'"),
        ("gradient_bytes", "100 GB/s", "cannot become B"),
        ("gamma_s_per_sample", "3 ms/update", "cannot become s / sample"),
        ("budget_usd", "5e6 EUR", "unit 'EUR' is not known"),
        ("delta_s", "3", "must be a bare number, or a string with a unit like '3 s', got '3'"),
        ("delta_s", "three ms", "must be a number with a unit like '1 s', got 'three ms'"),
        ("delta_s", "", "must be a number with a unit like '1 s', got ''"),
        ("delta_s", "3 ms^2", "is not understood; write it like 's', got '3 ms^2'"),
        ("delta_s", "3 s*s", "cannot become s, got '3 s*s'"),
        ("delta_s", "1 ms + 2 ms", "is not understood"),
        ("delta_s", "9" * 200 + " s", "must be a number with a unit"),
        ("delta_s", "1e999 s", "must be a finite number, got '1e999 s'"),
        ("delta_s", "nan", "must be a finite number, got 'nan'"),
        ("delta_s", "Infinity", "must be a finite number, got 'Infinity'"),
        ("delta_s", math.nan, "must be a finite number, got nan"),
        ("delta_s", -math.inf, "must be a finite number, got -inf"),
        ("delta_s", 10**400, "must be a finite number, got 1000"),
        ("delta_s", 1e31, "must be at most 1e+30 in size, got 1e+31"),
        ("delta_s", "1e31 s", "must be at most 1e+30 in size, got '1e31 s'"),
        ("delta_s", True, "must be a number in s or a string with a unit, got True"),
        ("delta_s", [1], r"must be a number in s or a string with a unit, got [1]"),
        ("delta_s", None, "got None"),
        ("nodes", "8", "must be a number, got '8'"),
        ("utilisation", "30 %", "must be a number, got '30 %'"),
        ("sharpness", {}, "must be a number, got {}"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_value_and_what_to_write(key: str, value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=r"must|unit") as caught:
        quantity(key, value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_suffix_names_a_unit_that_a_text_can_have() -> None:
    for suffix, unit in SUFFIX_UNITS.items():
        assert quantity(f"x{suffix}", f"2 {unit}") == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("bandwidth_bytes_per_s", "B/s"),
        ("samples", "sample"),
        ("batch_samples_range", "sample"),
        ("usd_per_node_hour", "USD/hour"),
        ("electricity_usd_per_kwh", "USD/kWh"),
        ("facility_usd_per_node", "USD"),
        ("train_flop_per_sample", "FLOP/sample"),
        ("per_doubling_s", "s"),
        ("nodes", None),
        ("utilisation", None),
        ("correlation", None),
    ],
)
def test_a_key_names_its_unit_by_how_it_ends(key: str, unit: str | None) -> None:
    assert unit_of(key) == unit


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_anything_is_a_finite_number_or_refused(value: Any) -> None:
    for key in ("delta_s", "bandwidth_bytes_per_s", "nodes"):
        with contextlib.suppress(ValueError):
            number = quantity(key, value)
            assert math.isfinite(number)
            assert abs(number) <= LARGEST_NUMBER


@given(st.floats(min_value=1e-6, max_value=1e9), st.sampled_from([("s", 1.0), ("ms", 1e-3), ("hour", 3600.0)]))
def test_units_scale(value: float, unit: tuple[str, float]) -> None:
    assert quantity("delta_s", f"{value!r} {unit[0]}") == pytest.approx(value * unit[1])
