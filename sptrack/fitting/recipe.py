"""Recipe of a file: what the user says of it, as options, or as a small TOML file kept beside a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from sptrack.devices.config import read_toml, toml_lines
from sptrack.errors import ParameterError, nearest
from sptrack.fitting.columns import ROLES
from sptrack.fitting.programs import parse_program
from sptrack.fitting.tables import Dialect
from sptrack.fitting.texts import quoted
from sptrack.fitting.units import QUANTITIES, parse_unit

__all__ = ["Recipe", "load_recipe", "recipe_to_toml"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Description of a file of readings; what is left out is inferred.

    Parameters
    ----------
    columns : mapping of str to str
        Role (reading, direction, pulses, cell, run, index, read_voltage, other) to name or number of the
        column; several names are split by commas; ``direction = "V_pulse:sign"`` takes the sign of a voltage
        (``:-sign``: positive pulses lower the reading).
    directions : mapping of str to str
        "up", "down", "none" to the words of the direction column, split by commas.
    program : str, optional
        Pulse program (see `sptrack.fitting.programs.parse_program`), the same for every cell.
    quantity : str, optional
        conductance, resistance, current or weight.
    unit : str, optional
        Unit of the readings.
    read_voltage : float, optional
        Voltage of the reads (V), by which currents become conductances.
    range : (float, float), optional
        Readings that are to be the weights -1 and 1, in the unit of the result.
    separator, decimal, sheet : str, optional
        As in `Dialect`.

    Raises
    ------
    ParameterError
        A value outside its choices.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, str] = field(default_factory=dict)
    program: str | None = None
    quantity: str | None = None
    unit: str | None = None
    read_voltage: float | None = None
    range: tuple[float, float] | None = None
    separator: str | None = None
    decimal: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ROLES:
                raise ParameterError(
                    f"column role must be one of {', '.join(ROLES)}, got {quoted(role)}{nearest(role, ROLES)}"
                )
        for word in self.directions:
            if word not in ("up", "down", "none"):
                raise ParameterError(f"direction must be up, down or none, got {quoted(word)}")
        if self.program is not None:
            parse_program(self.program)
        if self.quantity is not None and self.quantity not in QUANTITIES:
            raise ParameterError(
                f"quantity must be one of {', '.join(QUANTITIES)}, got {quoted(self.quantity)}"
                f"{nearest(self.quantity, QUANTITIES)}"
            )
        if self.unit is not None and parse_unit(self.unit) is None:
            raise ParameterError(f"unit must be one such as S, uS, kOhm, nA, got {quoted(self.unit)}")
        volts = self.read_voltage
        if volts is not None and not (np.isfinite(volts) and volts != 0.0):
            raise ParameterError(f"read voltage must be finite and not 0, got {volts:g}")
        if self.range is not None and not (np.all(np.isfinite(self.range)) and self.range[0] < self.range[1]):
            low, high = self.range
            raise ParameterError(f"range must be two finite numbers, the lower first, got {low:g} {high:g}")
        _ = self.dialect

    @property
    def dialect(self) -> Dialect:
        """Format of the file, as far as it is given."""
        return Dialect(separator=self.separator, decimal=self.decimal, sheet=self.sheet)

    @property
    def words(self) -> dict[str, int]:
        """Words of the direction column to 1, -1, 0."""
        signs = {"up": 1, "down": -1, "none": 0}
        return {
            word.strip().lower(): signs[side]
            for side, text in self.directions.items()
            for word in text.split(",")
        }


def load_recipe(path: str | Path) -> Recipe:
    """Recipe of a TOML file with the fields of `Recipe`.

    Raises
    ------
    ParameterError
        File that cannot be read, unknown key, value of a wrong type or outside its choices.
    """
    table = read_toml(path)
    known = [item.name for item in fields(Recipe)]
    given: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            raise ParameterError(
                f"{path}: unknown key {name!r}; known are {', '.join(known)}{nearest(name, known)}"
            )
        if name in ("columns", "directions"):
            if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
                raise ParameterError(f"{path}: {name} must be a table of texts, got {quoted(value)}")
        elif name == "range":
            numbers = isinstance(value, list) and len(value) == 2
            if not numbers or not all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
                raise ParameterError(f"{path}: range must be two numbers, got {quoted(value)}")
            value = tuple(map(float, value))
        elif name == "read_voltage":
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ParameterError(f"{path}: read_voltage must be a number, got {quoted(value)}")
        elif not isinstance(value, str):
            raise ParameterError(f"{path}: {name} must be a text, got {quoted(value)}")
        given[name] = value
    try:
        return Recipe(**given)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from error


def recipe_to_toml(recipe: Recipe) -> str:
    """TOML text of which `load_recipe` makes an equal recipe."""
    values = {item.name: getattr(recipe, item.name) for item in fields(Recipe)}
    kept = {
        name: list(value)
        if isinstance(value, tuple)
        else dict(value)
        if isinstance(value, Mapping)
        else value
        for name, value in values.items()
        if value is not None and value != {}
    }
    return "\n".join(toml_lines(kept, "")).lstrip() + "\n"
