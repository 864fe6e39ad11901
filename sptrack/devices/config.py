"""Device descriptions as plain mappings and TOML text.

Keys are the field names of `Device` and of the descriptions it holds. The ``response`` table names its class
by ``family``, the ``asymmetry`` table by ``kind``. A key that is left out takes the default of its class, a
table that is left out that of the default device.
"""

import json
import math
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from sptrack.devices.device import Asymmetry, Device, OneSidedAsymmetry, SymmetricPoints
from sptrack.devices.families import FAMILIES
from sptrack.errors import ParameterError, nearest, one_line
from sptrack.values import plain_item

KINDS: dict[str, type] = {
    "two-sided": Asymmetry,
    "one-sided": OneSidedAsymmetry,
    "symmetric-point": SymmetricPoints,
}
"""Kinds of asymmetry that a file can name."""

_CHOICES: dict[str, tuple[str, Mapping[str, type]]] = {
    "response": ("family", FAMILIES),
    "asymmetry": ("kind", KINDS),
}
_DEEPEST = 50
"""Levels of tables and lists that a file may have, many times as deep as any that we write."""
_WANTED = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}


def device_from_mapping(mapping: Mapping[str, Any], where: str = "device") -> Device:
    """Device described by nested mappings, such as a TOML file holds.

    Parameters
    ----------
    mapping : mapping
        Field names of `Device` to numbers, texts, truth values, lists of numbers or nested mappings.
    where : str
        What error texts call the mapping: the name of the file.

    Returns
    -------
    Device

    Raises
    ------
    ParameterError
        Unknown key, family or kind (with the nearest valid one), value of a wrong type, or outside its range.
    """
    device: Device = build_described(Device, mapping, "", where)
    return device


def device_to_mapping(device: Device) -> dict[str, Any]:
    """Nested plain mapping of every field: `device_from_mapping` makes an equal device of it.

    Raises
    ------
    ParameterError
        If the response is made of a user's own functions: it has no form as data.
    """
    return plain_mapping(device)


def device_to_toml(device: Device) -> str:
    """TOML text of every field, of which `load_device` makes an equal device.

    Raises
    ------
    ParameterError
        As in `device_to_mapping`.
    """
    return "\n".join(toml_lines(device_to_mapping(device), "")) + "\n"


def load_device(path: str | os.PathLike[str]) -> Device:
    """Device described by the TOML file at ``path``.

    Raises
    ------
    ParameterError
        If the file cannot be read, is not TOML, or does not describe a device (see `device_from_mapping`).
    """
    return device_from_mapping(read_toml(path), os.fspath(path))


def device_named(name: str | os.PathLike[str], folder: Path = Path()) -> Device:
    """Device of a name: a preset, or a TOML file.

    A file has the keys of a device, or a table ``device`` with them, as the files of `sptrack design` do.

    Parameters
    ----------
    name : str or path
        Name of a preset, or a path: anything that ends on .toml or holds a separator of folders.
    folder : Path
        Folder in which a relative path begins.

    Raises
    ------
    ParameterError
        No preset of that name (the nearest one is named), or as in `load_device`.
    """
    from sptrack.devices.presets import preset

    text = os.fspath(name)
    if (
        isinstance(name, str)
        and not text.lower().endswith(".toml")
        and "/" not in text
        and os.sep not in text
    ):
        try:
            return preset(text)
        except ParameterError as error:
            raise ParameterError(f"{error}; or a TOML file, its name ending on .toml") from error
    path = folder / text
    table = read_toml(path)
    inner = table.get("device")
    if isinstance(inner, str):
        return device_named(inner, path.parent)
    if isinstance(inner, Mapping):
        return device_from_mapping(inner, f"{path}: device")
    return device_from_mapping(table, os.fspath(path))


def save_device(device: Device, path: str | os.PathLike[str]) -> None:
    """Write a device as TOML under a temporary name, and rename it.

    Raises
    ------
    ParameterError
        As in `device_to_mapping`, or a path that cannot hold a file.
    """
    text, target = device_to_toml(device), Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ParameterError(f"{target}: cannot be written ({error.strerror})") from error


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tables of the TOML file at ``path``.

    Raises
    ------
    ParameterError
        If the file cannot be read, is not TOML, or nests tables and lists more than 50 deep.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ParameterError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{os.fspath(path)}: not a TOML file ({one_line(error)})") from error
    depth = _depth(tables)
    if depth > _DEEPEST:
        raise ParameterError(f"{os.fspath(path)}: must nest tables at most {_DEEPEST} deep, got {depth}")
    return tables


def _depth(value: Any) -> int:
    """Levels of mappings and lists in a value, without recursion."""
    level, depth = [value], 0
    while level:
        inner = [each for one in level for each in (one.values() if isinstance(one, dict) else one)]
        level = [one for one in inner if isinstance(one, dict | list)]
        depth += 1
    return depth


def build_described(kind: type, mapping: Any, prefix: str, where: str) -> Any:
    """Instance of dataclass ``kind`` from ``mapping``; error texts put ``prefix`` before its keys.

    Raises
    ------
    ParameterError
        As in `device_from_mapping`, with ``where`` in front.
    """
    hints = get_type_hints(kind)
    refuse_unknown(mapping, [field.name for field in _given(kind)], prefix, where)
    values = {key: _value(hints[key], key, value, f"{prefix}{key}", where) for key, value in mapping.items()}
    try:
        return kind(**values)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error


def refuse_unknown(keys: Iterable[Any], known: Sequence[str], prefix: str, where: str) -> None:
    """Refuse keys that are not known (ParameterError with the nearest one), ``prefix`` put before them."""
    for key in keys:
        if key not in known:
            raise ParameterError(
                f"{where}: unknown key '{prefix}{key}'; choose from {', '.join(known)}"
                + nearest(str(key), known)
            )


def _value(hint: Any, key: str, value: Any, name: str, where: str) -> Any:
    """``value`` as the type ``hint`` wants it, or a refusal that calls it ``name``."""
    first = get_args(hint)[0] if isinstance(hint, UnionType) else hint
    if isinstance(first, type) and is_dataclass(first):
        if not isinstance(value, Mapping):
            raise ParameterError(f"{where}: {name} must be a table, got {value!r}")
        if key in _CHOICES:
            return _build_chosen(key, value, name, where)
        return build_described(first, value, f"{name}.", where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            kind = "texts" if str in get_args(hint) else "numbers"
            raise ParameterError(f"{where}: {name} must be a list of {kind}, got {value!r}")
        return tuple(
            _value(get_args(hint)[0], key, item, f"{name}[{k}]", where) for k, item in enumerate(value)
        )
    return described_scalar(first, value, name, where)


def _build_chosen(key: str, mapping: Mapping[str, Any], name: str, where: str) -> Any:
    tag, classes = _CHOICES[key]
    chosen = mapping.get(tag)
    if not isinstance(chosen, str) or chosen not in classes:
        raise ParameterError(
            f"{where}: {name}.{tag} must be one of {', '.join(classes)}, got {chosen!r}"
            + nearest(str(chosen), classes)
        )
    return build_described(classes[chosen], {k: v for k, v in mapping.items() if k != tag}, f"{name}.", where)


def described_scalar(kind: type, value: Any, name: str, where: str) -> Any:
    """``value`` if it is of the type ``kind``, whole numbers as floats where those are required."""
    value = value.item() if isinstance(value, np.generic) else value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) <= sys.float_info.max else math.inf
    wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise ParameterError(f"{where}: {name} must be {_WANTED[kind]}, got {value!r}")
    return value


def _given(kind: type) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.init]


def plain_mapping(described: Any) -> dict[str, Any]:
    """Fields of a dataclass, nested ones as mappings with their tag first; None is left out."""
    plain: dict[str, Any] = {}
    for field in _given(type(described)):
        value = getattr(described, field.name)
        if value is None:
            continue
        if is_dataclass(value):
            plain[field.name] = _tag(field.name, value) | plain_mapping(value)
        else:
            plain[field.name] = list(value) if isinstance(value, tuple) else value
    return plain


def _tag(name: str, value: Any) -> dict[str, str]:
    """``family`` or ``kind`` of a description that has a choice of classes, else nothing."""
    if name not in _CHOICES:
        return {}
    tag, classes = _CHOICES[name]
    for label, kind in classes.items():
        if type(value) is kind:
            return {tag: label}
    raise ParameterError(
        f"{name} of type {type(value).__name__}: only {', '.join(classes)} can be written to a file"
    )


def toml_lines(mapping: Mapping[str, Any], name: str) -> list[str]:
    """TOML lines of a mapping: its plain values, then its tables under their dotted names."""
    lines = [f"{key} = {_literal(value)}" for key, value in mapping.items() if not isinstance(value, Mapping)]
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{name}{key}]", *toml_lines(value, f"{name}{key}.")]
    return lines


def _literal(value: Any) -> str:
    """TOML literal: JSON's, in which TOML wants the delete character escaped; floats keep every digit."""
    if isinstance(value, float):
        return repr(float(value))
    return json.dumps(value, ensure_ascii=False, default=plain_item).replace("\x7f", "\\u007f")
