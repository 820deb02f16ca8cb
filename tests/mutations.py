"""Malformed files, made from good ones: a seeded generator that knows which key it broke and how.

A `Mutation` has the bytes of the file, the keys that are at fault (dotted, as a message has to name them) and how the value is
quoted; `sure` says whether the file is known to be wrong (True), known to be harmless (False), or not known (None).
"""

from __future__ import annotations

import copy
import datetime
import math
import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tomli_w

Parts = tuple[str | int, ...]

ANY_SIGN = {"n_inf_updates", "correlation"}
ZERO_IS_FINE = {
    "in_node_s", "node_jump_s", "per_doubling_s", "across_nodes_s", "delta_s", "latency_s", "constant_s", "usd_per_node_hour",
    "seed", "n_inf_updates", "correlation", "discrepancy_relative", "run_to_run_relative", "relative_sd", "checkpoint_s",
    "restart_s", "spare_nodes", "arrival_s", "electricity_usd_per_kwh", "facility_usd_per_node", "per_learner_hour",
    "duration_s", "nics", "inner_latency_s", "learner", "fraction", "backward_fraction", "price_exponent", "power_exponent",
    "usd", "usd_per_learner", "w", "w_per_learner",
}  # fmt: skip
WHOLE = {
    "seed", "nodes", "accelerators", "accelerators_per_learner", "data_set_samples", "max_local_samples", "buckets", "schema",
    "radix", "nics", "count", "servers", "spare_nodes", "learners_min", "learners_max",
}  # fmt: skip
"""Keys that take no fraction."""
LISTS = {"batch_samples", "learners", "oversubscription"}
"""Number keys where a list is no fault, or a fault of its entries."""
TEXTS = {"title", "sample_unit", "source", "date", "notes", "vendor", "released", "unit", "latency_kind"}
FREE = {"source", "date", "verified", "notes"}
"""Keys of provenance; inside `{ value, ... }` they belong to the number."""
ENDINGS = ("_bytes_per_s", "_s_per_sample", "_samples", "_updates", "_bytes", "_usd", "_s", "_w")


@dataclass(frozen=True, slots=True)
class Mutation:
    """One malformed (or, where `sure` is False, harmless) file."""

    name: str
    content: bytes
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    sure: bool | None = True


def dotted(parts: Parts) -> str:
    """Write a path as messages do: `workload[0].use`."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def leaves(item: Any, parts: Parts = ()) -> Iterator[tuple[Parts, Any]]:
    """Every value of a tree with its path; `{ value = ... }` is one leaf, and a list without tables too."""
    if isinstance(item, dict) and "value" not in item:
        for key, inner in item.items():
            yield from leaves(inner, (*parts, key))
    elif isinstance(item, list) and any(isinstance(inner, dict) for inner in item):
        for i, inner in enumerate(item):
            yield from leaves(inner, (*parts, i))
    else:
        yield parts, item


def tables(item: Any, parts: Parts = ()) -> Iterator[Parts]:
    """Path of every table of a tree that is not a number with provenance."""
    if isinstance(item, dict) and "value" not in item:
        if parts:
            yield parts
        for key, inner in item.items():
            yield from tables(inner, (*parts, key))
    elif isinstance(item, list):
        for i, inner in enumerate(item):
            yield from tables(inner, (*parts, i))


def replaced(tree: Any, parts: Parts, value: Any) -> Any:
    """Return a deep copy of `tree` with the value at `parts` replaced."""
    result = copy.deepcopy(tree)
    holder = result
    for part in parts[:-1]:
        holder = holder[part]
    holder[parts[-1]] = value
    return result


def without(tree: Any, parts: Parts) -> Any:
    """Return a deep copy of `tree` without the key at `parts`."""
    result = copy.deepcopy(tree)
    holder = result
    for part in parts[:-1]:
        holder = holder[part]
    del holder[parts[-1]]
    return result


def plain_value(leaf: Any) -> Any:
    """The value of a leaf, taken out of its provenance."""
    return leaf["value"] if isinstance(leaf, dict) else leaf


def is_number(key: str, leaf: Any) -> bool:
    """Whether a leaf is a number, bare or with its unit."""
    value = plain_value(leaf)
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (isinstance(value, str) and key.endswith(ENDINGS) and value[:1].isdigit())


def bad_numbers(key: str) -> list[tuple[str, Any, str]]:
    """(name, value, how a message shows it) of values that a number key must refuse."""
    bad: list[tuple[str, Any, str]] = [
        ("bool", True, "True"),
        ("empty text", "", "''"),
        ("text", "three", "'three'"),
        ("table", {"speed": 1}, "{"),
        ("empty table", {}, "{}"),
        ("date", datetime.date(2022, 6, 29), "datetime.date(2022, 6, 29)"),
        ("nan", math.nan, "nan"),
        ("inf", math.inf, "inf"),
        ("minus inf", -math.inf, "-inf"),
        ("nan in provenance", {"value": math.nan}, "nan"),
        ("1e300", 1e300, "1e+300"),
        ("10**400", 10**400, "1000000"),
        ("text 1e999 s", "1e999 s", "'1e999 s'"),
        ("wrong unit", "5 parsec", "'5 parsec'"),
    ]
    if not key.endswith("_s_per_sample"):
        bad.append(("wrong dimension", "5 kWh", "'5 kWh'"))
    if key not in LISTS:
        bad += [("empty list", [], "[]"), ("list", [1.0, 2.0], "[1.0, 2.0]"), ("nested list", [[1]], "[[1]]")]
    if key not in ANY_SIGN:
        bad += [("negative", -3, "-3"), ("minus one half", -0.5, "-0.5")]
    if key not in ZERO_IS_FINE:
        bad += [("zero", 0, "0")]
    if key == "exponent":  # of an overlap: infinity is the maximum
        bad = [(name, value, text) for name, value, text in bad if name != "inf"]
    if key in WHOLE:
        bad += [("fraction", 2.5, "2.5")]
    return bad


def slipped(key: str) -> str:
    """A typing slip: the last two letters change places (or one is added)."""
    return key[:-2] + key[-1] + key[-2] if len(key) > 3 and key[-1] != key[-2] else key + "x"


def number_mutations(tree: Any) -> Iterator[Mutation]:
    """Every number of a file with every value that it must refuse."""
    for parts, leaf in leaves(tree):
        key = str(parts[-1])
        if not is_number(key, leaf):
            continue
        for name, value, shown in bad_numbers(key):
            changed = replaced(tree, parts, value)
            yield Mutation(f"{dotted(parts)}: {name}", written(changed), (dotted(parts),), (shown,))
        if isinstance(leaf, dict):
            value = plain_value(leaf)
            changed = replaced(tree, (*parts, "low"), 1e29)
            yield Mutation(f"{dotted(parts)}: low > value", written(changed), (dotted(parts),), ("1e+29",))
            changed = replaced(tree, (*parts, "sourc"), "x")
            yield Mutation(f"{dotted(parts)}: sourc", written(changed), (f"{dotted(parts)}.sourc",), ("'source'",))
            changed = replaced(tree, (*parts, "verified"), "yes")
            yield Mutation(f"{dotted(parts)}: verified", written(changed), (f"{dotted(parts)}.verified",), ("'yes'",))


def text_mutations(tree: Any) -> Iterator[Mutation]:
    """Every text of a file replaced by what is no text, or no known word."""
    for parts, leaf in leaves(tree):
        key = str(parts[-1])
        if is_number(key, leaf) or not isinstance(leaf, str):
            continue
        wrong: list[tuple[str, Any]] = [("number", 3), ("bool", False), ("list", ["x"]), ("table", {"a": 1})]
        for name, value in wrong:
            if key in LISTS and name in ("number", "list"):
                continue
            shown = "" if name == "table" else repr(value)
            yield Mutation(f"{dotted(parts)}: {name}", written(replaced(tree, parts, value)), (dotted(parts),), (shown,))
        if key in ("name", "prices"):
            continue
        for name, word in (("unknown word", "qqzzx"), ("null byte", "a\0b"), ("empty text", "")):
            sure = None if key in TEXTS else True
            yield Mutation(f"{dotted(parts)}: {name}", written(replaced(tree, parts, word)), (dotted(parts),), ("",), sure)


def key_mutations(tree: Any) -> Iterator[Mutation]:
    """Every key misspelt, and left out."""
    for parts, _ in leaves(tree):
        if not isinstance(parts[-1], str):
            continue
        wrong = (*parts[:-1], slipped(parts[-1]))
        value = tree
        for part in parts:
            value = value[part]
        free = "compute" in parts[:-1] and parts[-2:-1] == ("compute",)
        misspelt = replaced(without(tree, parts), wrong, value)
        yield Mutation(f"{dotted(parts)}: misspelt", written(misspelt), (dotted(wrong),), ("",), None if free else True)
        yield Mutation(f"{dotted(parts)}: left out", written(without(tree, parts)), (), (), None)


def table_mutations(tree: Any) -> Iterator[Mutation]:
    """Every table replaced by something else, emptied, left out, or given a stranger."""
    for parts in tables(tree):
        for name, value in (("number", 4.5), ("text", "x"), ("list", [1]), ("bool", True), ("date", datetime.date(2022, 1, 2))):
            yield Mutation(
                f"{dotted(parts)}: {name}", written(replaced(tree, parts, value)), (dotted(parts),), (repr(value)[:8],)
            )
        yield Mutation(f"{dotted(parts)}: empty", written(replaced(tree, parts, {})), (dotted(parts),), (), None)
        yield Mutation(f"{dotted(parts)}: left out", written(without(tree, parts)), (), (), None)
        stranger = (*parts, "quux")
        yield Mutation(f"{dotted(parts)}: stranger", written(replaced(tree, stranger, 1)), (dotted(stranger),), ("",))
        nested: Any = 1
        for _ in range(200):
            nested = {"a": nested}
        if "compute" not in parts[-1:]:
            yield Mutation(f"{dotted(parts)}: nested", written(replaced(tree, (*parts, "deep"), nested)), (), (), True)


def several_at_once(tree: Any, rng: random.Random, count: int, many: int) -> Iterator[Mutation]:
    """Files with `many` numbers broken at once, each in a table of its own: every fault must be reported."""
    numbers = [(parts, leaf) for parts, leaf in leaves(tree) if is_number(str(parts[-1]), leaf)]
    for number in range(count):
        chosen: dict[Parts, Parts] = {}
        for parts, _ in rng.sample(numbers, len(numbers)):
            chosen.setdefault(parts[:-1], parts)
        broken = list(chosen.values())[:many]
        result, keys, values = tree, [], []
        for parts in broken:
            _, value, shown = rng.choice(bad_numbers(str(parts[-1])))
            result = replaced(result, parts, value)
            keys.append(dotted(parts))
            values.append(shown)
        name = f"{number}: {', '.join(keys)}"
        yield Mutation(name, written(result), tuple(keys), tuple(values))


def file_mutations(text: str, rng: random.Random) -> Iterator[Mutation]:
    """The file as a whole: empty, cut, with a key twice, in another encoding, of random bytes, far too large."""
    content = text.encode()
    yield Mutation("empty file", b"")
    yield Mutation("blank file", b"\n \n")
    yield Mutation("null bytes", b"\0" * 100)
    yield Mutation("random bytes", rng.randbytes(2000))
    yield Mutation("UTF-16", text.encode("utf-16"))
    yield Mutation("Latin-1", b'title2 = "caf\xe9"\n' + content)
    yield Mutation("key twice", b"schema = 1\n" + content)
    yield Mutation("not TOML", b"schema: 1\n")
    yield Mutation("JSON", b'{"schema": 1}\n')
    yield Mutation("ten megabytes", b"# " + b"x" * 10_000_000 + b"\n" + content)
    yield Mutation("a million brackets", b"a = " + b"[" * 100_000 + b"]" * 100_000 + b"\n" + content)
    yield Mutation("huge digits", b"a = " + b"9" * 10_000 + b"\n" + content, ())
    yield Mutation("byte order mark", b"\xef\xbb\xbf" + content, (), (), None)
    yield Mutation("Windows lines", text.replace("\n", "\r\n").encode(), (), (), False)
    yield Mutation("a comment more", content + b"\n# the end\n", (), (), False)
    for i in range(12):
        cut = rng.randrange(1, len(content))
        yield Mutation(f"cut at {cut} ({i})", content[:cut], (), (), None)
    for i in range(12):
        at, byte = rng.randrange(len(content)), rng.randrange(256)
        yield Mutation(f"byte {at} = {byte} ({i})", content[:at] + bytes([byte]) + content[at + 1 :], (), (), None)


def written(tree: Any) -> bytes:
    """Write a tree as TOML."""
    return tomli_w.dumps(tree).encode()


def mutations(text: str, seed: int) -> list[Mutation]:
    """Return every mutation of one file, in a fixed order."""
    tree, rng = tomllib.loads(text), random.Random(seed)
    return [
        *number_mutations(tree),
        *text_mutations(tree),
        *key_mutations(tree),
        *table_mutations(tree),
        *several_at_once(tree, rng, 40, 3),
        *file_mutations(text, rng),
    ]
