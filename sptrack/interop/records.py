"""Configurations of aihwkit as records: read from text or objects, written as text.

Text is what Python prints of a configuration, ``Name(key=value, ...)``, or JSON in which a record is
``{"Name": {"key": value, ...}}`` or a mapping with its name under "class". Objects are read by their
attributes, so that aihwkit need not be installed. Members of an enumeration become their names.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from sptrack.errors import ParameterError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))"
    r"|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<sign>[()\[\]{}<>,:=+-]))"
)
_WORDS = {"True": True, "False": False, "None": None, "inf": math.inf, "nan": math.nan}
_NAMED = ("class", "_class", "__class__")


@dataclass(frozen=True, slots=True)
class Record:
    """Name of a class with the values of its fields; values are plain, lists, or records."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """Member of an enumeration: written as ``Kind.NAME``."""

    kind: str
    name: str


def read_record(source: Any) -> Record:
    """Record of a configuration.

    Parameters
    ----------
    source : str, mapping or object
        Text as the module describes it, the mapping that JSON text holds, or an object.

    Raises
    ------
    ParameterError
        Text that is neither form, or something else than a record.
    """
    try:
        found = _of_text(source) if isinstance(source, str) else _of_object(source)
    except RecursionError as error:
        raise ParameterError("configuration is nested too deep") from error
    if not isinstance(found, Record):
        got = " ".join(str(source).split())[:60]
        raise ParameterError(f"configuration must be a record such as Name(key=value), got {got!r}")
    return found


def write_record(value: Any, indent: int = 0) -> str:
    """Text of a record, list, member or plain value, as Python evaluates it."""
    if isinstance(value, Record):
        if not value.values:
            return f"{value.name}()"
        inner = "    " * (indent + 1)
        parts = [f"{inner}{key}={write_record(one, indent + 1)},\n" for key, one in value.values.items()]
        return f"{value.name}(\n{''.join(parts)}{'    ' * indent})"
    if isinstance(value, Member):
        return f"{value.kind}.{value.name}"
    if isinstance(value, list):
        return f"[{', '.join(write_record(one, indent) for one in value)}]"
    return f'float("{value}")' if isinstance(value, float) and not math.isfinite(value) else repr(value)


def shown(value: Any) -> str:
    """Beginning of the text of a value, in one line."""
    return " ".join(write_record(value).split())[:60]


def _of_text(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return _of_object(json.loads(text, object_pairs_hook=_once))
        except ValueError as error:
            raise ParameterError(f"configuration must be JSON where it starts with {{ ({error})") from error
    parser = _Parser(text)
    value = parser.value()
    parser.end()
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Mapping of the members of a JSON object, none of which may come twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ParameterError(f"configuration must give {key} once, got it twice")
        found[key] = value
    return found


def _of_object(value: Any) -> Any:
    """Record of a mapping or an object; plain values as they are."""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float | str | Record):
        return value
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, list | tuple):
        return [_of_object(one) for one in value]
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if not (is_dataclass(value) or hasattr(value, "__dict__")):
        return str(value)
    names = [one.name for one in fields(value)] if is_dataclass(value) else list(vars(value))
    shown = {key: getattr(value, key) for key in names if not key.startswith("_")}
    return Record(type(value).__name__, {key: _of_object(one) for key, one in shown.items()})


def _of_mapping(value: Mapping[str, Any]) -> Record:
    entries = {key: _of_object(one) for key, one in value.items() if key not in _NAMED}
    for key in _NAMED:
        if key in value:
            return Record(str(value[key]), entries)
    if len(value) == 1:
        ((name, inner),) = value.items()
        if isinstance(inner, Mapping):
            return Record(name, {key: _of_object(one) for key, one in inner.items()})
    return Record("", entries)


class _Parser:
    """Recursive descent over the tokens of printed Python values."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._next = next(self._tokens)

    def _split(self) -> Iterator[tuple[str, str, int]]:
        place = 0
        while self._text[place:].strip():
            match = _TOKEN.match(self._text, place)
            if match is None:
                raise self._wrong(place)
            kind = str(match.lastgroup)
            yield kind, match[kind], match.start(kind)
            place = match.end()
        while True:
            yield "end", "", len(self._text)

    def _wrong(self, place: int) -> ParameterError:
        line = self._text.count("\n", 0, place) + 1
        near = self._text[place : place + 20].split("\n")[0].strip() or "its end"
        return ParameterError(f"configuration cannot be read in line {line}, at {near!r}")

    def _take(self, sign: str | None = None) -> str:
        _, text, place = self._next
        if sign is not None and text != sign:
            raise self._wrong(place)
        self._next = next(self._tokens)
        return text

    def _items(self, closing: str) -> Iterator[None]:
        """One turn for each item up to the sign ``closing``."""
        while self._next[1] != closing:
            yield
            if self._next[1] != closing:
                self._take(",")
        self._take(closing)

    def value(self) -> Any:
        """Value that starts at the next token."""
        kind, text, place = self._next
        if kind == "number":
            self._take()
            return float(text) if re.search(r"[.eE]", text) else int(text)
        if kind == "text":
            self._take()
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "name":
            return self._named()
        if text in "+-" and text:
            self._take()
            return -self.value() if text == "-" else self.value()
        if text in "[(" and text:
            self._take()
            return [self.value() for _ in self._items("]" if text == "[" else ")")]
        if text == "<":
            return self._member()
        raise self._wrong(place)

    def _named(self) -> Any:
        name = self._take()
        if self._next[1] != "(":
            return _WORDS[name] if name in _WORDS else name.rsplit(".", 1)[-1]
        self._take("(")
        if name == "float":
            value = float(self.value())
            self._take(")")
            return value
        values = {}
        for _ in self._items(")"):
            key = self._take()
            self._take("=")
            if key in values:
                raise ParameterError(f"configuration must give {key} of {name} once, got it twice")
            values[key] = self.value()
        return Record(name.rsplit(".", 1)[-1], values)

    def _member(self) -> Any:
        """Member as Python prints it, ``<Kind.NAME: value>``, or a class, ``<class 'name'>``."""
        self._take("<")
        name = self._take()
        if self._next[1] == ":":
            self._take(":")
        elif name != "class":
            raise self._wrong(self._next[2])
        shown = self.value()
        self._take(">")
        return str(shown) if name == "class" else name.rsplit(".", 1)[-1]

    def end(self) -> None:
        """Refuse what follows the value."""
        if self._next[0] != "end":
            raise self._wrong(self._next[2])


class Reader:
    """Fields of a record, taken one by one; what is left over at the end is named.

    Parameters
    ----------
    record : Record
        Record to read.
    path : str
        Name of the record in messages.
    missing : list of str
        Where settings without an equivalent are noted, "path.key = value".
    """

    def __init__(self, record: Record, path: str, missing: list[str]) -> None:
        self.name, self.path, self.missing = record.name, path, missing
        self._left = dict(record.values)

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def number(self, key: str, default: float | None = None) -> float:
        """Number at ``key``; without a default it must be given."""
        value = self.plain(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ParameterError(f"{self.path}.{key} must be a number, got {shown(value)}")
        return float(value)

    def whole(self, key: str, default: int) -> int:
        """Whole number at ``key``."""
        value = self.number(key, default)
        if not math.isfinite(value) or value != math.floor(value):
            raise ParameterError(f"{self.path}.{key} must be a whole number, got {value:g}")
        return int(value)

    def numbers(self, key: str, default: list[float]) -> tuple[float, ...]:
        """Numbers at ``key``."""
        value = self.plain(key, default)
        if not isinstance(value, list) or any(
            isinstance(v, bool) or not isinstance(v, int | float) for v in value
        ):
            raise ParameterError(f"{self.path}.{key} must be a list of numbers, got {shown(value)}")
        return tuple(float(v) for v in value)

    def flag(self, key: str, default: bool) -> bool:
        """Truth value at ``key``."""
        value = self.plain(key, default)
        if not isinstance(value, bool):
            raise ParameterError(f"{self.path}.{key} must be True or False, got {shown(value)}")
        return value

    def plain(self, key: str, default: Any = None) -> Any:
        """Value at ``key``; without a default it must be given."""
        value = self._left.pop(key, default)
        if value is None:
            raise ParameterError(f"{self.path}.{key} must be given")
        return value

    def choice(self, key: str, default: str) -> str:
        """Member of an enumeration at ``key``, in lower case without underscores."""
        return same_name(str(self.plain(key, default)))

    def record(self, key: str) -> "Reader | None":
        """Record at ``key``; None where there is none."""
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, Record):
            raise ParameterError(f"{self.path}.{key} must be a record, got {shown(value)}")
        return Reader(value, f"{self.path}.{key}", self.missing)

    def rest(self) -> dict[str, Any]:
        """Fields that were not taken yet."""
        return dict(self._left)

    def over(self, defaults: Mapping[str, Any]) -> "Reader":
        """The fields that were not taken yet, over others for those that are not given."""
        return Reader(Record(self.name, {**defaults, **self._left}), self.path, self.missing)

    def note(self, key: str, value: Any) -> None:
        """Name a setting without an equivalent."""
        self.missing.append(f"{self.path}.{key} = {' '.join(write_record(value).split())}")

    def close(self, neutral: Mapping[str, Any], companions: Mapping[str, str]) -> None:
        """Name all that is left, but neutral values and ``companions`` of a setting that is neutral."""
        off = {key for key, value in neutral.items() if _equal(self._left.get(key, value), value)}
        for key, value in self._left.items():
            if key not in off and companions.get(key, "") not in off:
                self.note(key, value)


def same_name(text: str) -> str:
    """Name of a member by which "ABS_MAX" and "AbsMax" are one."""
    return text.replace("_", "").lower()


def _equal(value: Any, neutral: Any) -> bool:
    if isinstance(value, str) and isinstance(neutral, str):
        return same_name(value) == same_name(neutral)
    return bool(value == neutral)
