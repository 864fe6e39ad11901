"""Filters, choppers, estimators and observers as text and as tables of a file.

A text is a name and settings, ``name:key=value,key=value``; filters in a row are joined by ``+``::

    ema:eta=0.01                     telegraph:p=0.1,scope=column
    ema:eta=0.02,order=3             periodic:half_period=50,duty=0.4
    cic:length=64+boxcar:length=10   mls:register=7
    sos:file=elliptic.json           none
    fir:file=taps.csv                observer:form=block,forgetting=2e-4
    loop:bandwidth=0.01,damping=0.7

A table has the name under ``kind`` and the same keys; a list of tables is a row of filters. Keys are the
fields of the block. Coefficients are lists of numbers (``sos``: rows of six, ``taps``, ``b`` and ``a``) or
come from ``file``: JSON, CSV, ``.npy``, or ``.npz`` (arrays of those names, or a single one). The chopper
``none`` never flips.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, cast, get_type_hints

import numpy as np

from sptrack.blocks.averages import EMA, CorrectedEMA, LastSample, SteadyKalman
from sptrack.blocks.block import Block
from sptrack.blocks.boxcars import CIC, Boxcar, GrowingBoxcar
from sptrack.blocks.chain import Chain
from sptrack.blocks.choppers import Chopper, MaximumLengthChopper, PeriodicChopper, SignSource
from sptrack.blocks.coefficients import FIR, SOS
from sptrack.blocks.estimators import Fixed, Kalman, PeriodMean
from sptrack.blocks.loop import TrackingLoop
from sptrack.blocks.settings import ObserverSettings
from sptrack.errors import ParameterError, nearest, one_line
from sptrack.values import plain_item

Described = Block | ObserverSettings

FILTERS: dict[str, type[Any]] = {
    "ema": EMA,
    "corrected-ema": CorrectedEMA,
    "boxcar": Boxcar,
    "growing-boxcar": GrowingBoxcar,
    "cic": CIC,
    "kalman": SteadyKalman,
    "kalman-random-walk": Kalman,
    "sos": SOS,
    "ba": SOS,
    "fir": FIR,
    "loop": TrackingLoop,
    "last": LastSample,
    "period-mean": PeriodMean,
    "fixed": Fixed,
}
"""Filters and estimators by name; ``ba`` becomes sections."""
OBSERVERS = {
    "observer": "block",
    "adaptive-observer": "adaptive",
    "direction-observer": "direction",
    "scalar-observer": "scalar",
    "predictor-observer": "predictor",
}
"""Names of observers and the forms that they stand for (``observer`` takes a ``form`` as well)."""
CHOPPERS: dict[str, type[SignSource]] = {
    "telegraph": Chopper,
    "periodic": PeriodicChopper,
    "mls": MaximumLengthChopper,
}
"""Choppers by name, besides ``none``."""
_FROM_FILE: dict[str, tuple[str, ...]] = {"sos": ("sos",), "fir": ("taps",), "ba": ("b", "a")}
"""Coefficients that can stand in a file, by name."""
_SPELLINGS = {"ema": {"stages": "order"}}
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
        raise ParameterError(f"{where} must name a filter, such as {_examples(FILTERS)}")
    blocks = [_build(_table(part, where), FILTERS, where) for part in parts]
    return blocks[0] if len(blocks) == 1 else Chain(*blocks)


def reference_from(spec: Any, where: str = "reference") -> Described:
    """Filter, estimator or observer that a text or a table describes; as `filter_from`."""
    table = _table(spec, where) if isinstance(spec, str | Mapping) else None
    if table is None or table.get("kind") not in OBSERVERS:
        return filter_from(spec, where)
    name = str(table.pop("kind"))
    found = _build_one(ObserverSettings, {"form": OBSERVERS[name], **table}, f"{where}: {name}", ())
    return cast("ObserverSettings", found)


def chopper_from(spec: Any, where: str = "chopper") -> SignSource:
    """Chopper that a text or a table describes (module text); arguments and errors as in `filter_from`."""
    table = _table(spec, where)
    if table.get("kind") == "none" and len(table) == 1:
        return _NEVER
    made = _build(table, CHOPPERS, where, ("none",))
    if not isinstance(made, SignSource):
        raise ParameterError(f"{where}: {made} is not a chopper")
    return made


def spec_text(block: Described) -> str:
    """Text of a filter, a chain of filters, a chopper or an observer, of which an equal one is made.

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
    kinds: dict[str, type[Any]] = FILTERS | CHOPPERS | {"observer": ObserverSettings}
    for name, kind in kinds.items():
        if type(block) is kind:
            settings = [f"{key}={_text(value)}" for key, value in _settings(block)]
            return name + (":" if settings else "") + ",".join(settings)
    raise ParameterError(f"{block} has no form as text: it must be one of {', '.join(kinds)}")


def _table(spec: Any, where: str) -> dict[str, Any]:
    """Table of a text; a table as it is."""
    if isinstance(spec, Mapping):
        return dict(spec)
    if not isinstance(spec, str):
        raise ParameterError(f"{where} must be a text or a table, got {spec!r}")
    name, _, rest = spec.partition(":")
    table: dict[str, Any] = {"kind": name.strip()}
    for part in re.split(r",(?=\s*\w+\s*=)", rest) if rest.strip() else []:
        key, sign, value = (word.strip() for word in part.partition("="))
        if not (key and sign and value):
            raise ParameterError(f"{where}: {one_line(part)!r} must be key=value, in {one_line(spec)!r}")
        if key in table:
            raise ParameterError(f"{where}: {key} is given twice, in {one_line(spec)!r}")
        table[key] = _value(value)
    return table


def _value(text: str) -> Any:
    """Number or list that a text writes in JSON, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        try:
            return float(text)
        except ValueError:
            return text


def _build(
    table: dict[str, Any], kinds: Mapping[str, type[Any]], where: str, others: tuple[str, ...] = ()
) -> Block:
    names = (*kinds, *others)
    name = table.pop("kind", None)
    if not isinstance(name, str) or name not in kinds:
        raise ParameterError(
            f"{where}: kind must be one of {', '.join(names)}, got {name!r}{nearest(str(name), names)}"
        )
    where = f"{where}: {name}"
    for old, new in _SPELLINGS.get(name, {}).items():
        if old in table and new in table:
            raise ParameterError(f"{where}: {old} means {new}: give one of them")
        if old in table:
            table[new] = table.pop(old)
    coefficients = _FROM_FILE.get(name, ())
    if coefficients and "file" in table and not set(coefficients) & set(table):
        table |= _read(table.pop("file"), coefficients, where)
    if name == "ba":
        return _transfer_function(table, where)
    if name == "sos" and _is_row(table.get("sos")):
        table["sos"] = [table["sos"]]
    return cast("Block", _build_one(kinds[name], table, where, coefficients))


def _build_one(kind: type[Any], table: dict[str, Any], where: str, coefficients: tuple[str, ...]) -> Any:
    _refuse_keys(kind, table, where, coefficients)
    values = {key: _checked(kind, key, value, where) for key, value in table.items()}
    try:
        return kind(**values)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error


def _transfer_function(table: dict[str, Any], where: str) -> SOS:
    """Sections of ``b`` and ``a``."""
    if set(table) != {"b", "a"}:
        raise ParameterError(f"{where}: needs b and a, or file, got {', '.join(table) or 'neither'}")
    try:
        return SOS.from_ba(table["b"], table["a"])
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error


def _refuse_keys(
    kind: type[Any], table: Mapping[str, Any], where: str, coefficients: tuple[str, ...]
) -> None:
    """Refuse unknown and missing keys."""
    known = [item.name for item in _own(kind)]
    for key in table:
        if key not in known:
            names = [*known, *(["file"] if coefficients else [])]
            raise ParameterError(
                f"{where}: unknown key '{key}'; choose from {', '.join(names)}{nearest(key, names)}"
            )
    for item in _own(kind):
        if item.default is MISSING and item.default_factory is MISSING and item.name not in table:
            needed = f"{item.name} or file" if coefficients else item.name
            raise ParameterError(f"{where}: {needed} is missing")


def _checked(kind: type[Any], key: str, value: Any, where: str) -> Any:
    """``value`` if it is of the type of the field; its range is the block's to check."""
    hint = get_type_hints(kind)[key]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = {float: number, str: isinstance(value, str), bool: isinstance(value, bool)}.get(hint, True)
    if not fits:
        names = {float: "a number", str: "a text", bool: "true or false"}
        raise ParameterError(f"{where}: {key} must be {names[hint]}, got {value!r}")
    return float(value) if hint is float else value


def _read(name: Any, wanted: tuple[str, ...], where: str) -> dict[str, Any]:
    """Coefficients ``wanted`` in a JSON, CSV, .npy or .npz file."""
    path = Path(name) if isinstance(name, str | os.PathLike) else None
    if path is None or path.suffix not in (".json", ".csv", ".npy", ".npz"):
        raise ParameterError(f"{where}: file must end on .json, .csv, .npy or .npz, got {name!r}")
    try:
        found = _contents(path)
    except OSError as error:
        raise ParameterError(f"{where}: cannot read {path} ({error.strerror or one_line(error)})") from error
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{where}: {path} holds no numbers ({one_line(error)})") from error
    if isinstance(found, Mapping):
        if len(found) == 1 and len(wanted) == 1:
            return {wanted[0]: next(iter(found.values()))}
        missing = [key for key in wanted if key not in found]
        if missing:
            got = ", ".join(map(str, found)) or "nothing"
            raise ParameterError(f"{where}: {path} must hold {' and '.join(wanted)}, got {got}")
        return {key: found[key] for key in wanted}
    rows = list(found) if len(wanted) > 1 and isinstance(found, list | np.ndarray) else [found]
    if len(rows) != len(wanted):
        raise ParameterError(f"{where}: {path} must hold the rows {' and '.join(wanted)}, got {len(rows)}")
    return dict(zip(wanted, rows, strict=True))


def _is_row(found: Any) -> bool:
    """Whether these are the numbers of a single section."""
    return isinstance(found, list | np.ndarray) and len(found) > 0 and all(np.isscalar(one) for one in found)


def _contents(path: Path) -> Any:
    """Contents of a file: numbers, rows of them, or a mapping of names to them (ValueError for none)."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8-sig"))
    if path.suffix == ".csv":
        rows = _rows(path.read_text(encoding="utf-8-sig"))
        return rows if len(rows) > 1 and any(len(row) > 1 for row in rows) else sum(rows, [])
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found
    with found:
        return {key: found[key] for key in found.files}


def _rows(text: str) -> list[list[float]]:
    """Rows of numbers of a CSV text; a file that has semicolons may have decimal commas."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if any(";" in line for line in lines):
        lines = [line.replace(",", ".") for line in lines]
    words = (re.split(r"[,;\s]+", line.strip(" \t,;")) for line in lines)
    return [[float(word) for word in row] for row in words]


def _own(kind: type[Any]) -> list[Field[Any]]:
    return [item for item in fields(kind) if item.init]


def _settings(block: Described) -> list[tuple[str, Any]]:
    """Fields that differ from their defaults, those without one first."""
    found = [(item, getattr(block, item.name)) for item in _own(type(block))]
    told = [(item, value) for item, value in found if item.default is MISSING or value != item.default]
    told.sort(key=lambda pair: pair[0].default is not MISSING)
    return [(item.name, value) for item, value in told]


def _text(value: Any) -> str:
    plain = isinstance(value, str) and _value(value) == value
    return value if plain else json.dumps(value, default=plain_item)


def _examples(kinds: Mapping[str, type[Block]]) -> str:
    return " or ".join(f"'{name}:...'" for name in list(kinds)[:2])
