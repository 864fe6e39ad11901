"""Measurements: files of readings, as instruments and colleagues write them, to responses of cells.

`read_measurement` takes one file or several. What it finds out (or is told by a `Recipe`):

- the table: `sptrack.fitting.tables`; the meaning of its columns: `sptrack.fitting.columns`;
- the layout: one reading per row (with columns of cells and runs, if need be), a column per cell, per ramp or
  per direction, a file per direction or per cell;
- the directions: words, 1 and -1, the sign of a pulse voltage, names of columns or files, a program, or the
  turning
  points of the readings;
- the quantity: conductance, resistance, current (at a read voltage, if it is said) or weight;
- the gaps: empty fields, words and sentinels of instruments, converters at the end of their range.

An index (``pulse``, ``no``, ``index``) numbers the readings; it is never a count of pulses between them,
which is a column ``pulses``. Weights run from -1 at the lowest to 1 at the highest state visited by any of
the cells, unless a range is given or the readings are weights already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.fitting.gaps import plateau
from sptrack.fitting.layout import Series, series_of_table, turning_points
from sptrack.fitting.programs import describe_directions, parse_program
from sptrack.fitting.reader import Understood
from sptrack.fitting.readings import PulseResponse, visited_range
from sptrack.fitting.recipe import Recipe
from sptrack.fitting.tables import read_tables
from sptrack.fitting.texts import quoted
from sptrack.fitting.units import Unit, convenient, parse_unit
from sptrack.fitting.vocabulary import named_direction

__all__ = ["Measurement", "read_measurement"]

_NEAR_ZERO = 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """Responses of one or many cells, weight units.

    Attributes
    ----------
    cells : tuple of PulseResponse
        In the order of the file.
    unit : str
        Unit of ``low``, ``high`` and of results; empty for weight units and for numbers without a unit.
    low, high : float
        Readings, in that unit, that are the weights -1 and +1.
    name : str
        Name of the file.
    quantity : str
        Quantity in ``unit``: conductance, current, weight, or empty where it is not known.
    resistance : str
        Unit of resistance if the file holds resistances; else empty.
    columns : tuple of (str, str, str)
        Name of every column, its meaning, and how that was found.
    notes : tuple of str
        What was assumed or found out.
    gaps : mapping of str to int
        Kinds of missing readings and their numbers.
    recipe : Recipe
        What the user said.
    form : str
        How the file is written: encoding, separator, decimal sign.
    sha256 : str
        Digest of the bytes of the files.
    """

    cells: tuple[PulseResponse, ...]
    unit: str = ""
    low: float = -1.0
    high: float = 1.0
    name: str = "measured"
    quantity: str = "weight"
    resistance: str = ""
    columns: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    gaps: MappingProxyType[str, int] = field(default_factory=lambda: MappingProxyType({}))
    recipe: Recipe = field(default_factory=Recipe)
    form: str = ""
    sha256: str = ""

    @property
    def scale(self) -> float:
        """Units of the readings per weight unit."""
        return 0.5 * (self.high - self.low)

    def in_unit(self, weight: Any) -> Any:
        """Reading, in ``unit``, that is a weight."""
        return self.low + (weight + 1.0) * self.scale

    @property
    def in_weights(self) -> bool:
        """Whether readings are weights as they stand."""
        return (self.low, self.high) == (-1.0, 1.0) and not self.unit


def read_measurement(paths: str | Path | Sequence[str | Path], recipe: Recipe | None = None) -> Measurement:
    """Read the pulse responses of one or several files (see the text of `sptrack.fitting.files`).

    Parameters
    ----------
    paths : str, Path or sequence of them
        A file; or a file for each direction, or for each cell.
    recipe : Recipe, optional
        What is known of them.

    Returns
    -------
    Measurement

    Raises
    ------
    ParameterError
        A file that cannot be read or understood (file, row, column and the option that helps are named); too
        few readings; readings that move against the pulses.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    recipe, about = recipe or Recipe(), Understood()
    if not files:
        raise ParameterError("no file of readings given")
    tables = [table for path in files for table in read_tables(path, recipe.dialect)]
    labels = [table.dialect.sheet or table.path.name.split(".")[0] for table in tables]
    sides = [named_direction(label)[0] for label in labels]
    by_file = len(tables) > 1 and set(sides) == {1, -1}
    series: list[Series] = []
    for k, table in enumerate(tables):
        part = series_of_table(table, recipe, about, sides[k] if by_file else 0)
        series += [_of_file(one, k, labels[k], by_file) if len(tables) > 1 else one for one in part]
        form = f"{table.encoding}, {table.dialect.separator or 'sheet'}, decimal {table.dialect.decimal!r}"
    if by_file:
        about.note(f"directions by the names of the {'files' if len(files) > 1 else 'sheets'}")
    elif len(tables) > len(files):
        about.note(f"sheets taken as cells: {quoted(', '.join(labels))}; --sheet takes one")
    for table in tables:
        for sheet in table.other_sheets:
            about.note(f"sheet {quoted(sheet)} not read; --sheet says otherwise")
    name = files[0].name if len(files) == 1 else ", ".join(path.name for path in files)
    where = f"{files[0]}" if len(files) == 1 else f"{files[0].parent}/{{{name}}}"
    quantity, unit = _quantity_and_unit(where, series, recipe, about)
    series, working = _converted(where, series, (quantity, unit), about)
    cells = [_response(where, name, group, recipe, about) for name, group in _by_cell(series).items()]
    made = _mapped(where, cells, working, recipe, about)
    return replace(
        made,
        name=name,
        resistance=unit.text if unit is not None and quantity == "resistance" else "",
        columns=tuple(about.columns),
        notes=tuple(about.notes),
        gaps=MappingProxyType(dict(about.gaps)),
        recipe=recipe,
        form=form,
        sha256=hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest(),
    )


def _of_file(series: Series, k: int, label: str, by_file: bool) -> Series:
    """Series with runs, or the name of the cell, of its file or sheet."""
    if by_file:
        return replace(series, runs=series.runs + 10_000_000 * (k + 1))
    return replace(series, cell=" ".join(filter(None, [label, series.cell])))


def _by_cell(series: list[Series]) -> dict[str, list[Series]]:
    groups: dict[str, list[Series]] = {}
    for one in series:
        groups.setdefault(one.cell, []).append(one)
    return groups


# --- quantity and unit


def _quantity_and_unit(
    where: str, series: list[Series], recipe: Recipe, about: Understood
) -> tuple[str, Unit | None]:
    """Quantity of the readings (empty: not known), and their unit (None: none)."""
    units = {recipe.unit} if recipe.unit is not None else about.units
    if len(units) > 1:
        raise ParameterError(
            f"{where}: readings in {', '.join(sorted(units))}; pass --column reading=NAME for one of "
            "them, or --unit"
        )
    told = parse_unit(next(iter(units))) if units else None
    quantities = {recipe.quantity} if recipe.quantity is not None else about.quantities
    if not quantities and told is not None and told.quantity:
        quantities = {told.quantity}
    if len(quantities) > 1:
        raise ParameterError(
            f"{where}: readings are {', '.join(sorted(quantities))}; pass --quantity for one of them"
        )
    quantity = str(next(iter(quantities))) if quantities else ""
    if told is not None and told.quantity == "voltage" and not quantity:
        about.note("readings in volts: taken as they stand")
        return "", told
    if told is not None and told.quantity and quantity not in ("", "weight", told.quantity):
        if recipe.quantity is not None and recipe.unit is None:
            return quantity, None
        raise ParameterError(
            f"{where}: unit {told.text} is that of a {told.quantity}, not of a {quantity}; pass --unit "
            "or --quantity"
        )
    return quantity, told if told is not None and told.text else None


def _converted(
    where: str, series: list[Series], given: tuple[str, Unit | None], about: Understood
) -> tuple[list[Series], Unit]:
    """Series that rise with the conductance, and their unit."""
    quantity, unit = given
    if quantity == "resistance":
        for one in series:
            bad = np.flatnonzero(one.readings <= 0.0)
            if bad.size:
                raise ParameterError(
                    f"{where}, row {one.rows[bad[0]]}, column {quoted(one.column)}: resistance must be "
                    "> 0, got "
                    f"{one.readings[bad[0]]:g}"
                )
        factor = 1.0 if unit is None else unit.factor
        inverse = [replace(one, readings=1.0 / (one.readings * factor)) for one in series]
        about.note("resistances taken as conductances, 1/R")
        return (
            _scaled(inverse, "conductance") if unit is not None else (inverse, Unit("conductance", 1.0, ""))
        )
    if quantity == "current":
        return _from_currents(series, unit, about)
    if quantity == "conductance" and np.nanmax(np.concatenate([one.readings for one in series])) < 0.0:
        about.note("conductances are negative: their size is taken")
        series = [replace(one, readings=-one.readings) for one in series]
    return series, Unit(quantity, 1.0, "") if unit is None else unit._replace(
        quantity=quantity or unit.quantity
    )


def _from_currents(series: list[Series], unit: Unit | None, about: Understood) -> tuple[list[Series], Unit]:
    volts = np.concatenate([one.voltages for one in series])
    if unit is not None and np.isfinite(volts).all() and np.all(volts != 0.0):
        about.note(f"currents over the read voltage, {np.median(volts):g} V, are conductances")
        made = [replace(one, readings=one.readings * unit.factor / one.voltages) for one in series]
        return _scaled(made, "conductance")
    if np.nanmedian(np.concatenate([one.readings for one in series])) < 0.0:
        about.note("currents are negative: their size is taken")
        series = [replace(one, readings=-one.readings) for one in series]
    if unit is not None:
        about.note("no read voltage: results are currents; --read-voltage makes them conductances")
    return series, unit or Unit("current", 1.0, "")


def _scaled(series: list[Series], quantity: str) -> tuple[list[Series], Unit]:
    """Readings in SI units in a unit that gives them convenient sizes."""
    size = float(np.nanmedian(np.abs(np.concatenate([one.readings for one in series]))))
    unit = convenient(quantity, size)
    return [replace(one, readings=one.readings / unit.factor) for one in series], unit


# --- responses


def _response(where: str, name: str, group: list[Series], recipe: Recipe, about: Understood) -> PulseResponse:
    """Response of a cell, readings in their unit."""
    readings, rows, pulses, codes = (
        np.concatenate([getattr(one, key) for one in group]) for key in ("readings", "rows", "pulses", "runs")
    )
    codes = np.concatenate([one.runs * 64 + k for k, one in enumerate(group)]) if len(group) > 1 else codes
    runs = np.cumsum(np.r_[False, codes[1:] != codes[:-1]])
    label = f"cell {quoted(name)}: " if name else ""
    if recipe.program is not None:
        signs = _programmed(f"{where}: {label}", readings.size, recipe.program)
        pulses = np.ones(signs.size, np.int64)
    else:
        signs = np.concatenate([_known_directions(f"{where}: {label}", one, about) for one in group])
    readings = _without_plateaus(readings, about, name)
    try:
        return PulseResponse(readings=readings, pulses=signs * pulses, runs=runs, name=name, rows=rows)
    except ParameterError as error:
        raise ParameterError(f"{where}{', ' if str(error).startswith('row') else ': '}{error}") from error


def _programmed(where: str, count: int, text: str) -> NDArray[np.int64]:
    """Directions of a program for a number of readings, which may begin with one before any pulse."""
    signs = parse_program(text)
    if count == signs.size + 1:
        return np.concatenate([[0], signs])
    if count != signs.size:
        raise ParameterError(
            f"{where}--program {quoted(text)} has {signs.size} pulses, but there are {count} readings; "
            "one reading "
            "per pulse is needed (and one before the first, if there is)"
        )
    return signs


def _known_directions(where: str, one: Series, about: Understood) -> NDArray[np.int64]:
    """Directions of a series, by its turning points if nothing else says them."""
    if one.directions is not None:
        return one.directions
    found = turning_points(one)
    if found is None:
        raise ParameterError(
            f"{where}column {quoted(one.column)}, rows {one.rows[0]} to {one.rows[-1]}: no directions, "
            "and readings "
            'without turning points; pass --program, such as --program "up:200 down:200 x3", or '
            "--column direction=NAME"
        )
    about.note(f"no directions in the file: by turning points {describe_directions(found)}")
    return found


def _without_plateaus(readings: NDArray[np.float64], about: Understood, name: str) -> NDArray[np.float64]:
    """Readings without those that the end of a converter's range hides."""
    out = readings.copy()
    for side in (1, -1):
        found = plateau(out, side)
        if found is not None:
            value, hidden = found
            out[hidden] = np.nan
            about.gap(f"converter at its end, {value:g}", int(hidden.sum()))
    return out


def _mapped(
    where: str, cells: list[PulseResponse], unit: Unit, recipe: Recipe, about: Understood
) -> Measurement:
    """Responses in weight units: readings from low to high become -1 to 1."""
    visited = np.array([visited_range(cell) for cell in cells])
    lowest, highest = float(visited[:, 0].min()), float(visited[:, 1].max())
    plain = not unit.text and unit.quantity in ("", "weight")
    as_weights = (
        plain and lowest < 0.0 < highest and min(-lowest, highest) > _NEAR_ZERO * max(-lowest, highest)
    )
    if recipe.range is None and as_weights:
        return Measurement(cells=tuple(cells))
    if recipe.range is None and plain:
        about.note(f"readings have no unit and are no weights: {lowest:.4g} .. {highest:.4g} become -1 .. 1")
    low, high = recipe.range or (lowest, highest)
    mapped = tuple(replace(c, readings=2.0 * (c.readings - low) / (high - low) - 1.0) for c in cells)
    return Measurement(cells=mapped, unit=unit.text, low=low, high=high, quantity=unit.quantity)
