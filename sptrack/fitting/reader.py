"""A table with the meaning of its columns, and what was found out about it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.fitting.columns import Column
from sptrack.fitting.numbers import to_numbers
from sptrack.fitting.recipe import Recipe
from sptrack.fitting.tables import Table
from sptrack.fitting.texts import quoted

__all__ = ["Reader", "Understood"]


@dataclass(slots=True, kw_only=True)
class Understood:
    """Inferences about the tables, for the user to check.

    Attributes
    ----------
    columns : list of (str, str, str)
        Name, meaning and how it was found.
    notes : list of str
        What was assumed or found.
    gaps : dict of str to int
        Kind of missing readings to their number.
    quantities, units : set of str
        Quantities and units of the columns of readings.
    """

    columns: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    gaps: dict[str, int] = field(default_factory=dict)
    quantities: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)

    def gap(self, kind: str, count: int) -> None:
        """Count missing readings."""
        if count:
            self.gaps[kind] = self.gaps.get(kind, 0) + count


@dataclass(frozen=True, slots=True)
class Reader:
    """A table with the meaning of its columns, while series are made of it."""

    table: Table
    recipe: Recipe
    columns: list[Column]
    about: Understood
    file_direction: int

    def at(self, role: str) -> list[Column]:
        """Columns of a role."""
        return [column for column in self.columns if column.role == role]

    def refuse(self, text: str, row: int | None = None, place: int | None = None) -> ParameterError:
        """Refusal that names file, row and column."""
        where = str(self.table.path)
        where += "" if row is None else f", row {row}"
        where += "" if place is None else f", column {self.table.name(place)}"
        return ParameterError(f"{where}: {text}")

    def numbers(self, column: Column, what: str) -> NDArray[np.float64]:
        """Numbers of a column, NaN for gaps; any other word is refused."""
        values, words, unit = to_numbers(self.table.columns[column.place], self.table.dialect.decimal or ".")
        if words.any():
            k = int(np.argmax(words))
            text = quoted(self.table.columns[column.place][k])
            hint = "; pass --column for the columns of numbers" if words.mean() > 0.5 else ""
            raise self.refuse(
                f"{what} must be a number, got {text}{hint}", int(self.table.rows[k]), column.place
            )
        if unit and what == "a reading":
            self.about.units.add(unit)
        if column.logarithm and what == "a reading":
            base = "e" if column.logarithm < 10.0 else "10"
            self.about.note(
                f"{self.table.name(column.place)} is a logarithm to base {base}: powers are taken"
            )
            with np.errstate(over="ignore"):
                values = column.logarithm**values
        return values
