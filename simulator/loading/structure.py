"""Plain tables to frozen dataclasses: types, units, unknown and missing keys, every fault reported."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

from cattrs import Converter

from simulator.errors import Fault, ScenarioError
from simulator.loading.files import Table
from simulator.loading.units import LARGEST_NUMBER, quantity
from simulator.messages import TableFaults, did_you_mean, shown

__all__ = ["CONVERTER", "structure", "structure_kind"]


def _is_number_type(annotation: Any) -> bool:
    parts = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    return float in parts or any(typing.get_origin(part) is tuple and float in typing.get_args(part) for part in parts)


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _strict(kind: type, words: str) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"must be {words}, got {shown(value)}")
        return value

    return hook


def _whole_number(value: Any, _: Any) -> int:
    number = value
    if isinstance(value, float) and value.is_integer():
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"must be a whole number, got {shown(value)}")
    if abs(number) > LARGEST_NUMBER:
        raise ValueError(f"must be at most {LARGEST_NUMBER:g} in size, got {shown(value)}")
    return number


def _one_of(value: Any, annotation: Any) -> Any:
    choices = typing.get_args(annotation)
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    hint = did_you_mean(value, [str(choice) for choice in choices]) if isinstance(value, str) else ""
    hint = hint if "did you mean" in hint else ""
    raise ValueError(f"must be one of {', '.join(str(choice) for choice in choices)}, got {shown(value)}{hint}")


def _structure_union(value: Any, annotation: Any) -> Any:
    """Structure a union of simple things: words, a whole number, a list, a table."""
    parts = [part for part in typing.get_args(annotation) if part is not type(None)]
    if len(parts) == 1:
        return CONVERTER.structure(value, parts[0])
    words = [choice for part in parts if typing.get_origin(part) is Literal for choice in typing.get_args(part)]
    others = [part for part in parts if typing.get_origin(part) is not Literal]
    if value in words if isinstance(value, str) else False:
        return value
    for part in others:
        if part is str and isinstance(value, str):
            return value
        if typing.get_origin(part) is tuple and isinstance(value, list):
            return CONVERTER.structure(value, part)
        if part is int and isinstance(value, int | float) and not isinstance(value, bool):
            return _whole_number(value, int)
        if dataclasses.is_dataclass(part) and isinstance(value, dict):
            table: Any = part
            return CONVERTER.structure(value, table)
    kinds = [f"'{word}'" for word in words]
    kinds += ["a whole number" for part in others if part is int]
    kinds += ["a name" for part in others if part is str]
    kinds += ["a list" for part in others if typing.get_origin(part) is tuple]
    kinds += ["a table" for part in others if dataclasses.is_dataclass(part)]
    raise ValueError(f"must be {' or '.join(kinds)}, got {shown(value)}")


def _structure_tuple(value: Any, annotation: Any) -> Any:
    inner = typing.get_args(annotation)[0]
    if not isinstance(value, list):
        raise ValueError(f"must be a list, got {shown(value)}")
    return tuple(_each(value, lambda item: CONVERTER.structure(item, inner)))


def _each(values: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
    converted, faults = [], []
    for i, item in enumerate(values):
        try:
            converted.append(convert(item))
        except TableFaults as error:
            faults += error.under(f"[{i}]")
        except (ValueError, TypeError) as error:
            faults.append((f"[{i}]", str(error)))
    if faults:
        raise TableFaults(faults)
    return converted


def _structure_mapping(value: Any, annotation: Any) -> Any:
    inner = typing.get_args(annotation)[1]
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {shown(value)}")
    converted, faults = {}, []
    for key, item in value.items():
        try:
            converted[key] = item if inner is Any else CONVERTER.structure(item, inner)
        except TableFaults as error:
            faults += error.under(key)
        except (ValueError, TypeError) as error:
            faults.append((key, str(error)))
    if faults:
        raise TableFaults(faults)
    return converted


def _structure_number(key: str, annotation: Any, value: Any) -> Any:
    """Structure a key whose type holds float: a number with the key's unit, a list of them, or one of its words."""
    parts = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    words = [choice for part in parts if typing.get_origin(part) is Literal for choice in typing.get_args(part)]
    if isinstance(value, str) and value in words:
        return value
    if isinstance(value, list):
        if not any(typing.get_origin(part) is tuple for part in parts):
            raise ValueError(f"must be a number, got {shown(value)}")
        return tuple(_each(value, lambda item: quantity(key, item)))
    if float not in parts:
        raise ValueError(f"must be a list of numbers, got {shown(value)}")
    try:
        return quantity(key, value)
    except ValueError as error:
        near = "".join(f"'{word}' or " for word in words)
        raise ValueError(str(error).replace("must be ", f"must be {near}", 1)) from None


@lru_cache(maxsize=256)
def _hints(cls: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields; to resolve them again for every table takes most of the time."""
    return typing.get_type_hints(cls)


def _structure_dataclass(value: Any, cls: Any) -> Any:
    """Structure a table into the dataclass `cls`; unknown, missing and faulty keys are all reported."""
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {shown(value)}")
    hints = _hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    faults: list[tuple[str, str]] = []
    for key in value:
        if key not in fields:
            faults.append((key, f"unknown key{did_you_mean(key, fields)}"))
    known: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in value:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required:
                faults.append((name, "is missing"))
            continue
        try:
            if _is_number_type(hints[name]):
                known[name] = _structure_number(name, hints[name], value[name])
            else:
                known[name] = CONVERTER.structure(value[name], hints[name])
        except TableFaults as error:
            faults += error.under(name)
        except (ValueError, TypeError) as error:
            faults.append((name, str(error)))
    if faults:
        raise TableFaults(faults + _value_faults(cls, known, fields, already={key.split(".")[0] for key, _ in faults}))
    try:
        return cls(**known)
    except (ValueError, TypeError) as error:
        raise TableFaults(_value_faults(cls, known, fields, already=set()) or [("", str(error))]) from None


def _value_faults(cls: Any, known: Table, fields: Mapping[str, Any], already: set[str]) -> list[tuple[str, str]]:
    """Find every value that the constructor of `cls` refuses: each one found is replaced by a harmless one, then on.

    Its messages begin with the name of a field. What it says of fields that are faulty `already` is not repeated.
    """
    trial = {name: known.get(name, _harmless(field)) for name, field in fields.items()}
    faults: list[tuple[str, str]] = []
    for _ in fields:
        try:
            cls(**trial)
        except (ValueError, TypeError) as error:
            name = str(error).split(" ", 1)[0]
            if name not in trial or any(name == key for key, _ in faults):
                return faults if faults or already else [("", str(error))]
            if name not in already:
                faults.append((name, str(error).removeprefix(name).strip()))
            trial[name] = _harmless(fields[name])
        else:
            return faults
    return faults


def _harmless(field: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return 1.0


def structure_kind(value: Any, kinds: Mapping[str, Any], *, envelope: Iterable[str] = (), default: str | None = None) -> Any:
    """Structure a table by its `kind` into one of several dataclasses.

    Parameters
    ----------
    value : dict
        The table with its `kind`.
    kinds : mapping of str to dataclass
        The family.
    envelope : iterable of str
        Keys that belong to whoever calls, left out here but known.
    default : str, optional
        The kind where none is given.

    Raises
    ------
    TableFaults
        Unknown kind; keys that are unknown, missing, or belong to another kind.
    """
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, got {shown(value)}")
    kind = value.get("kind", default)
    if kind is None:
        keys = {"kind", *envelope} | {field.name for other in kinds.values() for field in dataclasses.fields(other)}
        strange = [(key, f"unknown key{did_you_mean(key, keys)}") for key in value if key not in keys]
        raise TableFaults([*strange, ("kind", f"is missing; one of {', '.join(kinds)}")])
    if not isinstance(kind, str) or kind not in kinds:
        near = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
        near = near if "did you mean" in near else ""
        raise TableFaults([("kind", f"must be one of {', '.join(kinds)}, got {shown(kind)}{near}")])
    cls = kinds[kind]
    own = {field.name for field in dataclasses.fields(cls)}
    outside = {"kind", *envelope}
    faults: list[tuple[str, str]] = []
    for key in value:
        if key not in own and key not in outside:
            others = [name for name, other in kinds.items() if key in {field.name for field in dataclasses.fields(other)}]
            hint = f" of kind {others[0]!r}, not of {kind!r}" if others else did_you_mean(key, own | outside)
            faults.append((key, f"is a key{hint}" if others else f"unknown key{hint}"))
    try:
        model = CONVERTER.structure({key: item for key, item in value.items() if key in own}, cls)
    except TableFaults as error:
        raise TableFaults(faults + error.faults) from None
    if faults:
        raise TableFaults(faults)
    return model


def structure(value: Any, annotation: Any, *, file: str, key: str = "") -> Any:
    """Structure a plain table into `annotation`.

    Raises
    ------
    ScenarioError
        With every fault, by file and key.
    """
    try:
        return CONVERTER.structure(value, annotation)
    except TableFaults as error:
        raise ScenarioError([Fault(file, path, rule) for path, rule in error.under(key)]) from None
    except (ValueError, TypeError) as error:
        raise ScenarioError([Fault(file, key, str(error))]) from None


def _origin(annotation: Any) -> Any:
    return typing.get_origin(annotation)


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(str, _strict(str, "a text"))
    converter.register_structure_hook(bool, _strict(bool, "true or false"))
    converter.register_structure_hook(int, _whole_number)
    converter.register_structure_hook_func(dataclasses.is_dataclass, _structure_dataclass)
    converter.register_structure_hook_func(lambda cls: _origin(cls) is Literal, _one_of)
    converter.register_structure_hook_func(_is_union, _structure_union)
    converter.register_structure_hook_func(lambda cls: _origin(cls) is tuple, _structure_tuple)
    converter.register_structure_hook_func(lambda cls: _origin(cls) is dict, _structure_mapping)
    return converter


CONVERTER = _make_converter()
