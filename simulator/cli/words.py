"""Numbers in people's units."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.tables import time_unit

__all__ = ["BOUND_WORDS", "aligned", "figure", "figure_name", "figure_value", "number", "percent", "seconds"]

BOUND_WORDS = {
    "knee": "the knee of the compute unit",
    "one_sample_per_learner": "one sample per learner",
    "memory": "memory",
    "data_set": "the data set",
    "largest_measured": "twice the largest mini-batch measured",
    "law_end": "the end of the updates law",
    "min_batch": "min_batch_samples",
    "max_batch": "max_batch_samples",
    "learners": "the number of learners",
}


def seconds(value: float, like: float | None = None) -> str:
    """Write a time in the unit a person would use, or in the unit of another time `like` it.

    Examples
    --------
    >>> seconds(0.0034), seconds(275.4), seconds(1e5), seconds(3e6)
    ('3.40 ms', '4.59 min', '27.8 h', '34.7 days')
    >>> seconds(100.0, like=275.4)
    '1.67 min'
    """
    if value == 0:
        return "0 s"
    unit_s, name = time_unit(value if like is None else like)
    return f"{value / unit_s:#.3g} {name}".replace(". ", " ")


def number(value: float | int | None) -> str:
    """Write a count or a quantity: whole numbers with separators, others with four digits.

    Examples
    --------
    >>> number(6272.0), number(45490.4), number(0.88), number(None)
    ('6,272', '45,490', '0.88', '-')
    """
    if value is None:
        return "-"
    if abs(value) >= 1e15:
        return f"{value:.4g}"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent(fraction: float) -> str:
    """Write a fraction as a percentage; one digit more below one percent.

    Examples
    --------
    >>> percent(0.71), percent(0.004), percent(0.0), percent(1e-5)
    ('71 %', '0.4 %', '0 %', '< 0.1 %')
    """
    if 0 < fraction < 0.001:
        return "< 0.1 %"
    return f"{100 * fraction:.1f} %" if 0 < fraction < 0.01 else f"{100 * fraction:.0f} %"


SUFFIXES = (
    ("_bytes_per_s", "B/s"),
    ("_flop_per_s", "FLOP/s"),
    ("_bytes", "B"),
    ("_updates", "updates"),
    ("_samples", "samples"),
    ("_w", "W"),
    ("_s", "s"),
)
COUNTED = ("updates", "samples")
PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def figure(key: str, value: object) -> str:
    """Write a figure of a profile with its name, prefix and unit.

    Examples
    --------
    >>> figure("nic_bandwidth_bytes_per_s", 2.5e10), figure("latency_s", 1.3e-6), figure("nics", 8)
    ('nic bandwidth 25 GB/s', 'latency 1.30 us', 'nics 8')
    """
    return f"{figure_name(key)} {figure_value(key, value)}"


def figure_name(key: str) -> str:
    """Write the name of a figure without its unit, which goes with the value; counts keep theirs.

    Examples
    --------
    >>> figure_name("nic_bandwidth_bytes_per_s"), figure_name("data_set_samples")
    ('nic bandwidth', 'data set samples')
    """
    suffix = next((suffix for suffix, unit in SUFFIXES if key.endswith(suffix) and unit not in COUNTED), "")
    return key.removesuffix(suffix).replace("_", " ")


def figure_value(key: str, value: object) -> str:
    """Write the value of a figure with prefix and unit.

    Examples
    --------
    >>> figure_value("power_w", 6500.0), figure_value("rdma", True), figure_value("fabric", "InfiniBand HDR")
    ('6.5 kW', 'yes', 'InfiniBand HDR')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        unit = next((unit for suffix, unit in SUFFIXES if key.endswith(suffix)), None)
        if unit == "s":
            return seconds(float(value))
        if unit in COUNTED:
            return f"{value:,.10g}"
        if unit is not None:
            factor, prefix = next((pair for pair in PREFIXES if value >= pair[0]), PREFIXES[-1])
            return f"{value / factor:.4g} {prefix}{unit}"
    return str(value)


def aligned(facts: Sequence[tuple[str, str]]) -> list[str]:
    """Write names and values as lines with the values below each other.

    Examples
    --------
    >>> aligned([("a", "1"), ("long name", "2")])
    ['  a          1', '  long name  2']
    """
    width = max(len(name) for name, _ in facts)
    return [f"  {name:<{width}}  {value}" for name, value in facts]
