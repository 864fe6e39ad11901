"""Columns of a table: what each of them means, by its name, by its values, or by what the user says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError, nearest
from sptrack.fitting.numbers import to_numbers
from sptrack.fitting.tables import Table
from sptrack.fitting.texts import is_gap, quoted
from sptrack.fitting.units import QUANTITIES, parse_unit, split_logarithm, split_unit
from sptrack.fitting.vocabulary import direction_sign, is_derived, meaning, normal

__all__ = ["ROLES", "Column", "assign_columns"]

ROLES = ("reading", "direction", "voltage", "pulses", "cell", "run", "index", "read_voltage", "time", "other")
"""Roles of a column; `voltage` is that of the pulse, whose sign is the direction."""


_MOSTLY = 0.9
_ONE_SIGN = "a voltage of one sign"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """A column and what it means.

    Attributes
    ----------
    place : int
        Number in the table, from 0.
    name : str
        Name without its unit; empty without a header.
    role : str
        One of `ROLES`.
    quantity : str
        Quantity of a reading that name or unit tell; else empty.
    unit : str
        Unit as written; else empty.
    sign : int
        -1 where the user says that positive voltages lower the reading.
    why : str
        How the meaning was found.
    group : str
        Title over the column; else empty.
    logarithm : float
        Base of the logarithm that the column holds; 0: none.
    """

    place: int
    name: str
    role: str
    quantity: str = ""
    unit: str = ""
    sign: int = 1
    why: str = "by name"
    group: str = ""
    logarithm: float = 0.0


@dataclass(slots=True)
class _Texts:
    """Columns of a table as texts and, on demand, as numbers; names that differ by their numbers only."""

    table: Table
    numbered: frozenset[str]
    numbers: dict[int, tuple[NDArray[np.float64], NDArray[np.bool_], str]] = field(default_factory=dict)

    def values(self, k: int) -> NDArray[np.float64]:
        if k not in self.numbers:
            decimal = self.table.dialect.decimal or "."
            self.numbers[k] = to_numbers(self.table.columns[k], decimal)
        return self.numbers[k][0]

    def is_numeric(self, k: int) -> bool:
        values = self.values(k)
        gaps = np.isnan(values) & ~self.numbers[k][1]
        return bool(np.sum(np.isfinite(values)) > 0.5 * max(int(np.sum(~gaps)), 1))


def assign_columns(table: Table, wanted: Mapping[str, str], words: Mapping[str, int]) -> list[Column]:
    """Meaning of every column of a table.

    Parameters
    ----------
    table : Table
        The table.
    wanted : mapping of str to str
        Role to name of its column (several: split by commas), as `Recipe.columns`; ``:sign`` and ``:-sign``
        behind the name of a direction make it a signed voltage.
    words : mapping of str to int
        Further words for directions.

    Raises
    ------
    ParameterError
        A role or column that does not exist.
    """
    bare = Counter(normal(split_unit(text)[0]) for text in table.header if re.search(r"\d", text))
    numbered = frozenset(name for name, times in bare.items() if times > 1)
    texts, said = _Texts(table, numbered), _said(table, wanted)
    columns: list[Column] = []
    bases: list[float] = []
    for k in range(table.width):
        plain, base = split_logarithm(table.header[k])
        bases.append(base)
        name, unit = split_unit(plain)
        unit = unit or table.units[k]
        if k in said:
            role, sign = said[k]
            told = parse_unit(unit)
            kind = meaning(name)
            quantity = kind if kind in QUANTITIES else told.quantity if told is not None else ""
            columns.append(
                Column(place=k, name=name, role=role, quantity=quantity, unit=unit, sign=sign, why="given")
            )
            continue
        columns.append(_meaning(texts, (k, name, unit), words, {role for role, _ in said.values()}))
    groups = table.groups or [""] * table.width
    columns = _with_read_voltages(columns)
    return [replace(column, group=groups[column.place], logarithm=bases[column.place]) for column in columns]


def _with_read_voltages(columns: list[Column]) -> list[Column]:
    """Columns, with the voltage at the terminal of a current (``SMU_V`` of ``SMU_I``) as its read voltage."""
    if any(column.role == "read_voltage" for column in columns):
        return columns
    pairs = (("I", "V"), ("i", "v"), ("Current", "Voltage"), ("current", "voltage"))
    wanted = {
        column.name[: match.start()] + voltage + column.name[match.end() :]
        for column in columns
        if column.role == "reading" and column.quantity == "current"
        for current, voltage in pairs
        for match in re.finditer(current, column.name)
        if len(column.name) > len(current) + 1
    }
    return [
        replace(column, role="read_voltage", why="the voltage of the same terminal as a current")
        if column.role == "other" and column.why == _ONE_SIGN and column.name in wanted
        else column
        for column in columns
    ]


def _said(table: Table, wanted: Mapping[str, str]) -> dict[int, tuple[str, int]]:
    """Place of a column to the role, and its sign, that the user gives it."""
    said = {}
    for role, text in wanted.items():
        if role not in ROLES:
            raise ParameterError(
                f"column role must be one of {', '.join(ROLES)}, got {quoted(role)}{nearest(role, ROLES)}"
            )
        for one in [text] if _find(table, text) is not None else text.split(","):
            match = re.fullmatch(r"(.*?):(-?)sign", one.strip())
            name = match[1] if match else one.strip()
            sign = -1 if match and match[2] else 1
            if role == "direction" and match and name.startswith("-") and _find(table, name) is None:
                name, sign = name[1:], -1
            place = _find(table, name)
            if place is None:
                known = [text or str(k + 1) for k, text in enumerate(table.header)]
                raise ParameterError(
                    f"--column {role}={name}: no such column{nearest(name, known)}; the file has "
                    f"{quoted(', '.join(known))}"
                )
            said[place] = ("voltage" if match else role, sign)
    return said


def _find(table: Table, name: str) -> int | None:
    """Place of a column by its name, with or without unit, or by its number from 1."""
    bare = [split_unit(text)[0] for text in table.header]
    lower = name.strip().lower()
    for names in (table.header, bare):
        found = [k for k, text in enumerate(names) if text and text.lower() == lower]
        if found:
            return found[0]
    if re.fullmatch(r"[1-9]\d*", lower) and int(lower) <= table.width:
        return int(lower) - 1
    return None


def _meaning(
    texts: _Texts, column: tuple[int, str, str], words: Mapping[str, int], taken: set[str]
) -> Column:
    """Meaning of a column that the user does not name."""
    k, name, unit = column
    told, role = parse_unit(unit) if unit else None, meaning(name)
    quantity = role if role in QUANTITIES else told.quantity if told is not None else ""
    if unit and told is None:
        told = _by_case(unit, quantity)
    numeric = texts.is_numeric(k)

    def made(role: str, why: str = "by name") -> Column:
        kind = quantity if role == "reading" and quantity in QUANTITIES else ""
        return Column(
            place=k, name=name, role=role if role not in taken else "other", quantity=kind, unit=unit, why=why
        )

    values = texts.values(k)
    finite = values[np.isfinite(values)]
    if quantity == "time" or role in ("time", "other", "read_voltage"):
        return made("other" if role == "other" else "read_voltage" if role == "read_voltage" else "time")
    if role in ("cell", "run") and numeric:
        if normal(name) in texts.numbered or np.any(finite != np.round(finite)):
            return made("", "")
        if _counts(finite):
            return made("index", "it counts 1, 2, 3, ...")
    if role in ("cell", "run"):
        return made(role)
    if not numeric:
        return _word_column(texts, made, role, words)
    if _are_signs(finite) and role in ("direction", "index", "voltage", "pulses", ""):
        return made("direction", "by its values 1 and -1")
    if role == "direction":
        signed = finite.size and finite.min() < 0.0 < finite.max() and not np.all(np.isin(finite, (-1, 0, 1)))
        return made("voltage" if signed else "direction", "by name and signs" if signed else "by name")
    if quantity == "voltage" or role == "voltage":
        if finite.size and finite.min() < 0.0 < finite.max() and role != "reading":
            return made("voltage", "voltages of both signs")
        return made("reading") if role == "reading" else made("other", _ONE_SIGN)
    if role == "index" and _signed_amplitude(finite):
        return made("voltage", "numbers of both signs")
    if role == "pulses" and "puls" not in normal(name) and _counts(finite):
        return made("index", "it counts 1, 2, 3, ...")
    if role in ("pulses", "index"):
        return made(role)
    if is_derived(name):
        return made("other", "a spread, limit or difference by its name")
    if role in (*QUANTITIES, "reading") or quantity in QUANTITIES:
        return made("reading", "by name" if role else "by unit")
    if not name and _counts(finite):
        return made("index", "it counts 1, 2, 3, ...")
    return made("", "")


def _word_column(texts: _Texts, made: Any, role: str, words: Mapping[str, int]) -> Column:
    """Column of words: directions if most of them are such."""
    unique = {str(text) for text in texts.table.columns[made("").place] if not is_gap(str(text))}
    signs = [direction_sign(word, words) for word in unique]
    if role == "direction" or (signs and len(unique) < 12 and None not in signs and {1, -1} <= set(signs)):
        column: Column = made("direction", "by name" if role == "direction" else "by its words")
        return column
    if role in (*QUANTITIES, "reading", "pulses", "voltage"):
        readings: Column = made("reading" if role in QUANTITIES else role)
        return readings
    labelled: Column = made("labels" if not role else "other", "words")
    return labelled


def _by_case(unit: str, quantity: str) -> Any:
    """Unit whose letters are in the wrong case, such as ``us`` for a conductance."""
    letter = {"conductance": "S", "resistance": "Ohm", "current": "A"}.get(quantity)
    return parse_unit(unit[:-1] + letter) if letter == "S" and unit[-1:] in "sS" else None


def _counts(values: NDArray[np.float64]) -> bool:
    """Whether numbers go up by one from row to row."""
    return bool(values.size > 5 and np.mean(np.diff(values) == 1.0) > _MOSTLY)


def _are_signs(values: NDArray[np.float64]) -> bool:
    return bool(
        values.size and np.all(np.isin(values, (-1.0, 0.0, 1.0))) and {1.0, -1.0} <= set(np.unique(values))
    )


def _signed_amplitude(values: NDArray[np.float64]) -> bool:
    """Whether numbers are a few sizes with both signs, as voltages of pulses are."""
    return bool(values.size > 5 and values.min() < 0.0 < values.max() and np.unique(values).size <= 20)
