"""Filters and choppers as text and as tables of a file.

A text is a name and settings, ``name:key=value,key=value``; filters in a row are joined by ``+``::

    ema:eta=0.01                     telegraph:p=0.1,seed=3
    ema:eta=0.02,stages=2            periodic:half_period=50
    cic:length=64+boxcar:length=10   mls:register=7
    sos:file=butterworth.json        none

A table has the name under ``kind`` and the same keys; a list of tables is a row of filters. Keys are the
fields of the block. Coefficients are lists of numbers (``sos``: rows of six, ``taps``) or come from ``file``:
JSON, ``.npy``, or ``.npz`` with one array. The chopper ``none`` never flips.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from sptrack.blocks.block import Block
from sptrack.blocks.chain import Chain
from sptrack.blocks.choppers import Chopper, MaximumLengthChopper, PeriodicChopper, SignSource
from sptrack.blocks.filters import CIC, EMA, FIR, SOS, Boxcar, CorrectedEMA, SteadyKalman
from sptrack.errors import ParameterError, nearest, one_line

FILTERS: dict[str, type[Block]] = {
    "ema": EMA,
    "corrected-ema": CorrectedEMA,
    "boxcar": Boxcar,
    "cic": CIC,
    "kalman": SteadyKalman,
    "sos": SOS,
    "fir": FIR,
}
"""Filters by name."""
CHOPPERS: dict[str, type[SignSource]] = {
    "telegraph": Chopper,
    "periodic": PeriodicChopper,
    "mls": MaximumLengthChopper,
}
"""Choppers by name, besides ``none``."""
_FROM_FILE: dict[type[Block], str] = {SOS: "sos", FIR: "taps"}
_NEVER = Chopper(p=0.0)


def filter_from(spec: Any, where: str = "filter") -> Block:
    """Filter, or `Chain` of filters, that a text, a table or a list of tables describes (module text).

    Parameters
    ----------
    spec : str, mapping, or list of them
        Description.
    where : str
        What error texts call it.

    Raises
    ------
    ParameterError
        Unknown name or key (with the nearest valid one), missing key, value of a wrong type or outside its
        range, file that cannot be read.
    """
    parts = re.split(r"\+(?=\s*[A-Za-z])", spec) if isinstance(spec, str) else spec
    parts = parts if isinstance(parts, list) else [parts]
    if not parts:
        raise ParameterError(f"{where}: a filter wanted, such as {_examples(FILTERS)}")
    blocks = [_build(_table(part, where), FILTERS, where) for part in parts]
    return blocks[0] if len(blocks) == 1 else Chain(*blocks)


def chopper_from(spec: Any, where: str = "chopper") -> SignSource:
    """Chopper that a text or a table describes (module text); arguments and errors as in `filter_from`."""
    table = _table(spec, where)
    if table.get("kind") == "none" and len(table) == 1:
        return _NEVER
    made = _build(table, CHOPPERS, where, ("none",))
    if not isinstance(made, SignSource):
        raise ParameterError(f"{where}: {made} is not a chopper")
    return made


def spec_text(block: Block) -> str:
    """Text of a filter, a chain of filters or a chopper, of which an equal one is made.

    Settings at their defaults are left out.

    Raises
    ------
    ParameterError
        A block that has no name here.
    """
    if isinstance(block, Chain):
        return "+".join(spec_text(part) for part in block.blocks)
    if block == _NEVER:
        return "none"
    for name, kind in (FILTERS | CHOPPERS).items():
        if type(block) is kind:
            settings = [f"{key}={_text(value)}" for key, value in _settings(block)]
            return name + (":" if settings else "") + ",".join(settings)
    raise ParameterError(f"{block}: one of {', '.join(FILTERS | CHOPPERS)} wanted")


def _table(spec: Any, where: str) -> dict[str, Any]:
    """Table of a text; a table as it is."""
    if isinstance(spec, Mapping):
        return dict(spec)
    if not isinstance(spec, str):
        raise ParameterError(f"{where} = {spec!r}: a text or a table wanted")
    name, _, rest = spec.partition(":")
    table: dict[str, Any] = {"kind": name.strip()}
    for part in re.split(r",(?=\s*\w+\s*=)", rest) if rest.strip() else []:
        key, sign, value = (word.strip() for word in part.partition("="))
        if not (key and sign and value):
            raise ParameterError(f"{where}: {one_line(part)!r}: key=value wanted, in {one_line(spec)!r}")
        if key in table:
            raise ParameterError(f"{where}: {key} is given twice, in {one_line(spec)!r}")
        table[key] = _value(value)
    return table


def _value(text: str) -> Any:
    """Number or list that a text writes in JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _build(
    table: dict[str, Any], kinds: Mapping[str, type[Block]], where: str, others: tuple[str, ...] = ()
) -> Block:
    names = (*kinds, *others)
    name = table.pop("kind", None)
    if not isinstance(name, str) or name not in kinds:
        raise ParameterError(
            f"{where}: kind {name!r}: one of {', '.join(names)} wanted{nearest(str(name), names)}"
        )
    kind, where = kinds[name], f"{where}: {name}"
    coefficients = _FROM_FILE.get(kind)
    if coefficients and "file" in table and coefficients not in table:
        table[coefficients] = _read(table.pop("file"), where)
    _refuse_keys(kind, table, where, coefficients)
    values = {key: _checked(kind, key, value, where) for key, value in table.items()}
    try:
        return kind(**values)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error


def _refuse_keys(kind: type[Block], table: Mapping[str, Any], where: str, coefficients: str | None) -> None:
    """Refuse unknown and missing keys."""
    known = [item.name for item in _own(kind)]
    for key in table:
        if key not in known:
            names = [*known, *(["file"] if coefficients else [])]
            raise ParameterError(
                f"{where}: unknown key '{key}': one of {', '.join(names)} wanted{nearest(key, names)}"
            )
    for item in _own(kind):
        if item.default is MISSING and item.name not in table:
            wanted = f"{item.name} or file" if coefficients else item.name
            raise ParameterError(f"{where}: {wanted} wanted")


def _checked(kind: type[Block], key: str, value: Any, where: str) -> Any:
    """``value`` if it is of the type of the field; its range is the block's to check."""
    hint = get_type_hints(kind)[key]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    wrong = (hint is float and not number) or (hint is str and not isinstance(value, str))
    if wrong:
        raise ParameterError(f"{where}: {key} = {value!r}: a {'number' if hint is float else 'text'} wanted")
    return float(value) if hint is float else value


def _read(name: Any, where: str) -> Any:
    """Array in a JSON, .npy or .npz file."""
    path = Path(name) if isinstance(name, str | os.PathLike) else None
    if path is None or path.suffix not in (".json", ".npy", ".npz"):
        raise ParameterError(f"{where}: file = {name!r}: a name ending on .json, .npy or .npz wanted")
    try:
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            if len(found.files) != 1:
                raise ParameterError(f"{where}: {path} holds {len(found.files)} arrays: one wanted")
            return found[found.files[0]]
    except OSError as error:
        raise ParameterError(
            f"{where}: {path}: cannot be read ({error.strerror or one_line(error)})"
        ) from error
    except ValueError as error:
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(f"{where}: {path}: no numbers in it ({one_line(error)})") from error


def _own(kind: type[Block]) -> list[Field[Any]]:
    return [item for item in fields(kind) if item.init]


def _settings(block: Block) -> list[tuple[str, Any]]:
    """Fields that differ from their defaults, those without one first."""
    found = [(item, getattr(block, item.name)) for item in _own(type(block))]
    told = [(item, value) for item, value in found if item.default is MISSING or value != item.default]
    told.sort(key=lambda pair: pair[0].default is not MISSING)
    return [(item.name, value) for item, value in told]


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist())
    return value if isinstance(value, str) else repr(value)


def _examples(kinds: Mapping[str, type[Block]]) -> str:
    return " or ".join(f"'{name}:...'" for name in list(kinds)[:2])
