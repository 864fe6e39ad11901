"""From tables to series: which columns hold readings, of which cell and run, under which pulses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sptrack.fitting.columns import Column, assign_columns
from sptrack.fitting.gaps import mark_sentinels
from sptrack.fitting.numbers import to_numbers
from sptrack.fitting.programs import directions_of_readings
from sptrack.fitting.reader import Reader, Understood
from sptrack.fitting.recipe import Recipe
from sptrack.fitting.tables import Table
from sptrack.fitting.texts import quoted
from sptrack.fitting.timing import (
    cell_labels,
    direction_columns,
    read_voltages,
    row_directions,
    row_pulses,
    row_runs,
    series_directions,
    voltage_in_name,
)
from sptrack.fitting.units import QUANTITIES, Unit, parse_unit
from sptrack.fitting.vocabulary import AFTER, BEFORE, meaning, named_sides, normal

__all__ = ["Series", "series_of_table", "turning_points"]

_RUN_WORDS = (
    "run",
    "ramp",
    "rmp",
    "cycle",
    "sweep",
    "zyklus",
    "rampe",
    "trace",
    "curve",
    "repeat",
    "messung",
    "pass",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Readings of one cell in the order of time, as they stand in a table.

    Attributes
    ----------
    cell, column : str
        Name of the cell (empty: the only one) and of the column.
    readings, voltages : array [N]
        Readings in the unit of the file, NaN: none; voltage of each read (NaN: unknown).
    directions : array [N] or None
        1 up, -1 down, 0 no pulse; None: not said.
    pulses : array [N]
        Pulses between the reading before and this one.
    runs, rows : array [N]
        Run of each reading, and its row in the file.
    """

    cell: str
    column: str
    readings: NDArray[np.float64]
    voltages: NDArray[np.float64]
    directions: NDArray[np.int64] | None
    pulses: NDArray[np.int64]
    runs: NDArray[np.int64]
    rows: NDArray[np.int64]


def series_of_table(table: Table, recipe: Recipe, about: Understood, file_direction: int = 0) -> list[Series]:
    """Series of a table.

    Parameters
    ----------
    table : Table
        The table.
    recipe : Recipe
        What the user says of it.
    about : Understood
        Takes what was found out.
    file_direction : {0, 1, -1}
        Direction that the name of the file says.

    Raises
    ------
    ParameterError
        A column, word or number that is not understood: file, row, column and the option that helps are
        named.
    """
    columns = assign_columns(table, recipe.columns, recipe.words)
    reader = Reader(table, recipe, columns, about, file_direction)
    chosen = _reading_columns(reader)
    reader.about.columns += [
        (table.name(c.place).strip("'"), "reading" if c in chosen else c.role or "not used", c.why)
        for c in columns
    ]
    by_name = _named_directions(reader, chosen)
    sources = direction_columns(reader, chosen) if by_name is None else [None] * len(chosen)
    by_source = {source: row_directions(reader, source) for source in set(sources)} if by_name is None else {}
    pulses = row_pulses(reader)
    labels, runs = cell_labels(reader), row_runs(reader)
    common = read_voltages(reader)
    made = []
    for column, source in zip(chosen, sources, strict=True):
        values, directions = reader.numbers(column, "a reading"), by_source.get(source)
        _count_gaps(reader, column, values)
        values, sentinels = mark_sentinels(values)
        for word, count in sentinels.items():
            about.gap(f"instrument sentinel {word}", count)
        told = parse_unit(column.unit) if column.unit else _unit_above(table.preamble, column.quantity)
        if column.unit and told is None:
            raise reader.refuse(
                f"unit {quoted(column.unit)} is not known; pass --unit, such as --unit uS", None, column.place
            )
        if told is not None and told.text:
            about.units.add(told.text)
        told_volts = voltage_in_name(table.header[column.place])
        voltages = common if told_volts is None else np.full(values.size, told_volts)
        rest, own, run_label = _place_in_table(reader, column, chosen, by_name)
        about.quantities |= {column.quantity or _quantity(rest)} - {""}
        side = by_name[column.place] if by_name else 0
        for name in labels[1]:
            part = np.flatnonzero(labels[0] == name) if name is not None else np.arange(values.size)
            part = _trimmed(values, part)
            if not part.size:
                continue
            between = np.full(part.size, abs(side), np.int64) if side else np.abs(pulses[part])
            made.append(
                Series(
                    cell=" ".join(filter(None, [str(name) if name is not None else "", own])),
                    column=column.name or str(column.place + 1),
                    readings=values[part],
                    voltages=voltages[part],
                    directions=series_directions(reader, directions, side, part),
                    pulses=between,
                    runs=runs[part] * 1000 + run_label,
                    rows=table.rows[part],
                )
            )
    if not made:
        raise reader.refuse("no readings: every field of the columns of readings is a gap")
    return made


def _unit_above(preamble: Sequence[str], quantity: str) -> Unit | None:
    """Unit of a quantity that a line above the table says, such as ``conductance in uS`` or ``unit: uS``."""
    for line in preamble:
        for match in re.finditer(r"(?i)(?:\bin\s+|[\[(]|\b(?:unit|einheit)s?\s*[:=]\s*)([^\s\])]+)", line):
            told = parse_unit(match[1])
            if told is not None and quantity and told.quantity == quantity:
                return told
    return None


def _trimmed(values: NDArray[np.float64], part: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows of a part without those at its ends that have no reading."""
    seen = np.flatnonzero(np.isfinite(values[part]))
    return part[seen[0] : seen[-1] + 1] if seen.size else part[:0]


def _count_gaps(reader: Reader, column: Column, values: NDArray[np.float64]) -> None:
    """Count the missing readings of a column; below its last one there are none."""
    missing = np.isnan(values)
    if missing.all():
        return
    last = int(np.flatnonzero(~missing)[-1])
    for k in np.flatnonzero(missing[:last]):
        text = str(reader.table.columns[column.place][k])
        reader.about.gap(f"missing value {quoted(text)}" if text else "empty field", 1)


# --- columns of readings


def _reading_columns(reader: Reader) -> list[Column]:
    """Columns that hold the readings."""
    named = _after_pulses(reader, reader.at("reading"))
    if any(column.why == "given" for column in named):
        return [column for column in named if column.why == "given"]
    free = [column for column in reader.at("") if _numeric(reader, column)]
    sides = named_sides([c.name for c in named + free])
    sided = [c for c, (sign, _) in zip(named + free, sides, strict=True) if sign]
    if named and not (len(sided) > 1 and len(sided) > len(named)):
        return _one_quantity(reader, named)
    if {sign for sign, _ in sides} >= {1, -1}:
        return sorted(sided, key=lambda c: c.place)
    headless = not any(reader.table.header)
    if headless and len(free) > 1 and (reader.at("direction") or reader.at("voltage")):
        fractional = [c for c in free if np.any(np.mod(_finite(reader, c), 1.0))]
        if len(fractional) == 1:
            _place_headless(reader, [c for c in free if c not in fractional])
            return fractional
    if not free:
        words = [reader.table.name(c.place) for c in reader.columns]
        raise reader.refuse(
            f"no column of readings among {quoted(', '.join(w.strip(chr(39)) for w in words))}; "
            "pass --column reading=NAME",
            int(reader.table.rows[0]),
        )
    return free


def _place_headless(reader: Reader, left: list[Column]) -> None:
    """Refuse whole numbers without a name: they may be cells, runs or pulses."""
    for column in left:
        if np.ptp(_finite(reader, column)) == 0.0:
            continue
        raise reader.refuse(
            f"whole numbers without a name; pass --column cell={column.place + 1} (or run, pulses, other)",
            int(reader.table.rows[0]),
            column.place,
        )


def _after_pulses(reader: Reader, named: list[Column]) -> list[Column]:
    """Columns of readings without those before the pulse of their row, if there are some after it."""
    words = [set(normal(column.name).split(" ")) for column in named]
    if not (any(BEFORE & one for one in words) and any(AFTER & one for one in words)):
        return named
    left = [column for column, one in zip(named, words, strict=True) if not BEFORE & one]
    reader.about.note(
        f"readings after the pulse taken, {', '.join(reader.table.name(c.place) for c in left)}"
    )
    return left


def _titles(reader: Reader, chosen: Sequence[Column]) -> list[str]:
    """Names of columns of readings with the titles over them; equal ones are numbered."""
    names, groups = [c.name for c in chosen], [c.group for c in chosen]
    if len(set(groups)) > 1:
        names = (
            groups if len(set(names)) == 1 else [" ".join(pair) for pair in zip(groups, names, strict=True)]
        )
    times = Counter(names)
    if not any(reader.table.header) or max(times.values()) == 1:
        return names
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(f"{name} {seen[name]}" if times[name] > 1 else name)
    return out


def _numeric(reader: Reader, column: Column) -> bool:
    values, words, _ = to_numbers(
        reader.table.columns[column.place][:2000], reader.table.dialect.decimal or "."
    )
    return bool(np.isfinite(values).sum() > words.sum())


def _finite(reader: Reader, column: Column) -> NDArray[np.float64]:
    values = to_numbers(reader.table.columns[column.place], reader.table.dialect.decimal or ".")[0]
    return values[np.isfinite(values)]


def _one_quantity(reader: Reader, named: list[Column]) -> list[Column]:
    """Columns of the quantity that says most: conductance before weight, resistance, current."""
    kinds = {column.quantity or "reading" for column in named}
    if len(kinds) == 1:
        return named
    order = ["conductance", "weight", "resistance", "current", "reading"]
    wanted = reader.recipe.quantity
    taken = wanted if wanted in kinds else min(kinds, key=order.index)
    chosen = [column for column in named if (column.quantity or "reading") == taken]
    others = [reader.table.name(column.place) for column in named if column not in chosen]
    reader.about.note(
        f"{taken} taken, not {', '.join(others)}; --quantity or --column reading=NAME says otherwise"
    )
    return chosen


def _named_directions(reader: Reader, chosen: list[Column]) -> dict[int, int] | None:
    """Direction of every column of readings by its name; None if the names say none."""
    if reader.at("direction") or reader.at("voltage") or reader.recipe.program is not None:
        return None
    sides = named_sides(_titles(reader, chosen))
    signs = {column.place: sign for column, (sign, _) in zip(chosen, sides, strict=True)}
    if set(signs.values()) == {1, -1}:
        return signs
    if len(chosen) == 2 and not any(reader.table.header):
        return _by_trend(reader, chosen)
    return None


def _by_trend(reader: Reader, chosen: list[Column]) -> dict[int, int] | None:
    """Directions of two columns without a name: the one that rises is up."""
    rises = {}
    for column in chosen:
        values = _finite(reader, column)
        quarter = max(values.size // 4, 1)
        noise = float(np.std(np.diff(values))) if values.size > 1 else 0.0
        rises[column.place] = float(values[-quarter:].mean() - values[:quarter].mean())
        if abs(rises[column.place]) < 2.0 * noise / np.sqrt(quarter):
            rises[column.place] = 0.0
    first, second = (rises[column.place] for column in chosen)
    swapped = first < 0.0 < second
    if first * second > 0.0:
        return None
    reader.about.note(
        "two columns without names: the second taken as up, the first as down, as they rise and fall"
        if swapped
        else "two columns without names: the first taken as up, the second as down"
    )
    return {chosen[0].place: -1 if swapped else 1, chosen[1].place: 1 if swapped else -1}


def _place_in_table(
    reader: Reader, column: Column, chosen: Sequence[Column], by_name: dict[int, int] | None
) -> tuple[str, str, int]:
    """Name without direction, cell, and number of the run that a column of readings stands for."""
    place, full = list(chosen).index(column), _titles(reader, chosen)
    if by_name and any(reader.table.header):
        full = [rest for _, rest in named_sides(full)]
    rest = full[place]
    if len(chosen) == 1:
        return rest, "", 0
    bare, rests = normal(rest), [normal(name) for name in full]
    if not any(reader.table.header) and by_name:
        return rest, "", place + 1
    if by_name and (len(set(full)) == 1 or all(not name or _quantity(name) for name in full)):
        return rest, "", place + 1
    if by_name and all(re.fullmatch(r"\W*\d*\W*", name) for name in full):
        return rest, "", place + 1
    if any(bare.split(" ")[0] == word for word in _RUN_WORDS) and len(set(rests)) <= 2:
        return rest, "", place + 1
    return rest, rest.strip(" _-") or str(place + 1), place + 1 if by_name else 0


def _quantity(name: str) -> str:
    """Quantity that a name, or a word of it, says."""
    kind = meaning(name)
    if kind in QUANTITIES:
        return kind
    words = [meaning(word) for word in normal(name).split(" ") if len(word) > 1]
    return next((word for word in words if word in QUANTITIES), "")


def turning_points(series: Series) -> NDArray[np.int64] | None:
    """Directions [N] of a series by the turning points of its readings, run by run; None: a run has none."""
    out = np.zeros(series.readings.size, np.int64)
    for run in np.unique(series.runs):
        part = np.flatnonzero(series.runs == run)
        found = directions_of_readings(series.readings[part])
        if found is None:
            return None
        out[part] = found
    return out
