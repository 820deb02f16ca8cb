"""Shipped figures against arithmetic on what else is published of the same part: cores, clocks, pins, lanes.

Cores, clocks, memory buses and pin rates are those of the vendors' data sheets and white papers (NVIDIA: GK210, GP100, GP102,
GV100, TU104, GA100, GA102, AD102, GH100; AMD: CDNA 2 and 3; Google: TPU v3 to v5p), lanes and rates those of the standards.
They were written down from memory of those documents: where both agree to the rounding of a data sheet, neither is a slip.
"""

from __future__ import annotations

import pytest

from simulator.profiles import load_profile

GHZ, GBIT = 1e9, 1e9 / 8

FP32 = {  # cores, boost clock; a core multiplies and adds once a clock
    "k80-gpu": (2496, 0.824),
    "p100-pcie-16": (3584, 1.329),
    "p100-sxm-16": (3584, 1.480),
    "p40": (3840, 1.531),
    "v100-pcie-16": (5120, 1.380),
    "v100-sxm-16": (5120, 1.530),
    "v100-sxm-32": (5120, 1.530),
    "t4": (2560, 1.590),
    "a10g": (9216, 1.710),
    "a100-sxm-40": (6912, 1.410),
    "a100-sxm-80": (6912, 1.410),
    "a100-pcie-80": (6912, 1.410),
    "l40s": (18176, 2.520),
    "h100-pcie": (14592, 1.755),
    "h100-sxm": (16896, 1.980),
    "mi250x": (220 * 64, 1.700),
    "mi300x": (304 * 64 * 2, 2.100),  # issues two a clock
}
MATRIX = {  # multipliers that add, of all matrix units together, and their clock
    "v100-pcie-16": (640 * 64, 1.380),
    "v100-sxm-16": (640 * 64, 1.530),
    "t4": (320 * 64, 1.590),
    "a100-sxm-80": (432 * 256, 1.410),
    "h100-sxm": (528 * 512, 1.830),
    "mi250x": (220 * 512, 1.700),
    "mi300x": (304 * 1024, 2.100),
    "tpu-v3": (2 * 2 * 128**2, 0.940),
    "tpu-v4": (2 * 4 * 128**2, 1.050),
    "tpu-v5e": (4 * 128**2, 1.500),
    "tpu-v5p": (2 * 4 * 128**2, 1.750),
}
MEMORY = {  # pins, Gbit/s a pin
    "k80-gpu": (384, 5.012),
    "p100-pcie-16": (4096, 1.430),
    "p100-sxm-16": (4096, 1.430),
    "p40": (384, 7.23),
    "v100-sxm-16": (4096, 1.752),
    "v100-sxm-32": (4096, 1.752),
    "t4": (256, 10.0),
    "a10g": (384, 12.5),
    "a100-sxm-40": (5120, 2.430),
    "a100-sxm-80": (5120, 3.186),
    "a100-pcie-80": (5120, 3.024),
    "l40s": (384, 18.0),
    "h100-pcie": (5120, 3.186),
    "h100-sxm": (5120, 5.230),
    "h200-sxm": (6144, 6.250),
    "mi250x": (8192, 3.2),
    "mi300x": (8192, 5.2),
}
LINKS = {  # lanes in one direction, Gbit/s a lane, share that coding leaves
    "ib-fdr": (4, 14.0625, 1.0),
    "ib-edr": (4, 25.78125, 64 / 66),
    "ib-hdr": (4, 50, 1.0),
    "ib-ndr": (4, 100, 1.0),
    "ib-xdr": (4, 200, 1.0),
    "nvlink1": (4 * 8, 20, 1.0),
    "nvlink2": (6 * 8, 25, 1.0),
    "nvlink3": (12 * 4, 50, 1.0),
    "nvlink4": (18 * 2, 100, 1.0),
    "nvlink5": (18 * 2, 200, 1.0),
    "pcie3": (16, 8, 128 / 130),
    "pcie4": (16, 16, 128 / 130),
    "pcie5": (16, 32, 128 / 130),
}


@pytest.mark.parametrize("name", FP32)
def test_fp32_is_cores_times_clock_times_two(name: str) -> None:
    cores, clock = FP32[name]
    assert load_profile("accelerators", name)[0].fp32_flop_per_s == pytest.approx(2 * cores * clock * GHZ, rel=0.005)


@pytest.mark.parametrize("name", MATRIX)
def test_the_dense_matrix_rate_is_multipliers_times_clock_times_two(name: str) -> None:
    """A sparse figure in its place would be twice as high."""
    multipliers, clock = MATRIX[name]
    expected = 2 * multipliers * clock * GHZ
    assert load_profile("accelerators", name)[0].bf16_flop_per_s == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", MEMORY)
def test_memory_bandwidth_is_pins_times_their_rate(name: str) -> None:
    pins, rate = MEMORY[name]
    bandwidth = load_profile("accelerators", name)[0].memory_bandwidth_bytes_per_s
    assert bandwidth == pytest.approx(pins * rate * GBIT, rel=0.006)


@pytest.mark.parametrize("name", LINKS)
def test_a_link_is_lanes_times_their_rate(name: str) -> None:
    """PCIe 4.0 is written as 31 GB/s in its source, 1.6 % below 31.5."""
    lanes, rate, coding = LINKS[name]
    bandwidth = load_profile("networks", name)[0].bandwidth_bytes_per_s
    assert bandwidth == pytest.approx(lanes * rate * coding * GBIT, rel=0.017 if name == "pcie4" else 0.001)


NVLINK = {"p100": "nvlink1", "v100": "nvlink2", "a100": "nvlink3", "h100": "nvlink4", "h200": "nvlink4", "b200": "nvlink5"}


@pytest.mark.parametrize(
    "name", ["dgx1-p100", "dgx1-v100", "dgx-a100-640", "dgx-h100", "hgx-h200", "dgx-b200", "aws-p5.48xlarge"]
)
def test_the_inner_link_of_a_node_is_that_of_its_accelerator(name: str) -> None:
    node, _ = load_profile("nodes", name)
    link, _ = load_profile("networks", NVLINK[node.accelerator.split("-")[0]])
    assert node.inner_bandwidth_bytes_per_s == link.bandwidth_bytes_per_s


@pytest.mark.parametrize(
    ("name", "node_gbit_per_s"),
    [
        ("aws-p4d.24xlarge", 400),  # the vendors' headlines of the whole instance
        ("aws-p5.48xlarge", 3200),
        ("aws-p5en.48xlarge", 3200),
        ("aws-p6-b200.48xlarge", 3200),
        ("azure-nd96asr-v4", 1600),
        ("azure-nd96isr-h100-v5", 3200),
        ("gcp-a3-mega", 1600),
        ("gaudi2-8", 2400),
    ],
)
def test_the_nics_of_a_node_make_its_headline(name: str, node_gbit_per_s: float) -> None:
    node, _ = load_profile("nodes", name)
    assert node.nics * node.nic_bandwidth_bytes_per_s == pytest.approx(node_gbit_per_s * GBIT)
