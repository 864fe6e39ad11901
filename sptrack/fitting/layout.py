"""From tables to series: which columns hold readings, of which cell and run, under which pulses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.fitting.columns import Column, assign_columns, direction_sign, meaning, named_direction, normal
from sptrack.fitting.gaps import mark_sentinels
from sptrack.fitting.programs import directions_of_readings
from sptrack.fitting.recipe import Recipe
from sptrack.fitting.tables import Table, is_gap, quoted, to_numbers
from sptrack.fitting.units import QUANTITIES, parse_unit, split_unit

__all__ = ["Series", "Understood", "series_of_table"]

_RUN_WORDS = ("run", "ramp", "rmp", "cycle", "sweep", "zyklus", "rampe", "trace", "curve", "repeat", "messung", "pass")
_COUNTING = 0.9
_FEWEST = 8


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


@dataclass(slots=True, kw_only=True)
class Understood:
    """What was found out about tables, for the user to check.

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
class _Reader:
    """A table with the meaning of its columns, while series are made of it."""

    table: Table
    recipe: Recipe
    columns: list[Column]
    about: Understood
    file_direction: int

    def at(self, role: str) -> list[Column]:
        return [column for column in self.columns if column.role == role]

    def refuse(self, text: str, row: int | None = None, place: int | None = None) -> ParameterError:
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
            raise self.refuse(f"{what} must be a number, got {text}{hint}", int(self.table.rows[k]), column.place)
        if unit and what == "a reading":
            self.about.units.add(unit)
        return values


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
        A column, word or number that is not understood: file, row, column and the option that helps are named.
    """
    columns = assign_columns(table, recipe.columns, recipe.words)
    reader = _Reader(table, recipe, columns, about, file_direction)
    chosen = _reading_columns(reader)
    reader.about.columns += [
        (table.name(c.place).strip("'"), "reading" if c in chosen else c.role or "not used", c.why) for c in columns
    ]
    by_name = _named_directions(reader, chosen)
    directions, pulses = _directions(reader, by_name is not None), _pulses(reader)
    labels, runs = _labels(reader), _runs(reader)
    voltages = _voltages(reader)
    made = []
    for column in chosen:
        values = reader.numbers(column, "a reading")
        _count_gaps(reader, column, values)
        values, sentinels = mark_sentinels(values)
        for word, count in sentinels.items():
            about.gap(f"instrument sentinel {word}", count)
        told = parse_unit(column.unit)
        if column.unit and told is None:
            raise reader.refuse(
                f"unit {quoted(column.unit)} is not known; pass --unit, such as --unit uS", None, column.place
            )
        if told is not None and told.text:
            about.units.add(told.text)
        rest, own, run_label = _place_in_table(reader, column, chosen, by_name)
        about.quantities |= {column.quantity or _quantity(rest)} - {""}
        side = by_name[column.place] if by_name else 0
        for name in labels[1]:
            part = np.flatnonzero(labels[0] == name) if name is not None else np.arange(values.size)
            part = _trimmed(values, part)
            if not part.size:
                continue
            count = np.full(part.size, abs(side), np.int64) if side else np.abs(pulses[part])
            made.append(
                Series(
                    cell=" ".join(filter(None, [str(name) if name is not None else "", own])),
                    column=column.name or str(column.place + 1),
                    readings=values[part],
                    voltages=voltages[part],
                    directions=_series_directions(reader, directions, side, part),
                    pulses=count,
                    runs=runs[part] * 1000 + run_label,
                    rows=table.rows[part],
                )
            )
    if not made:
        raise reader.refuse("no readings: every field of the columns of readings is a gap")
    return made


def _trimmed(values: NDArray[np.float64], part: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows of a part without those at its ends that have no reading."""
    seen = np.flatnonzero(np.isfinite(values[part]))
    return part[seen[0] : seen[-1] + 1] if seen.size else part[:0]


def _count_gaps(reader: _Reader, column: Column, values: NDArray[np.float64]) -> None:
    """Count the missing readings of a column, those below its last one left out (columns of unequal length)."""
    missing = np.isnan(values)
    if missing.all():
        return
    last = int(np.flatnonzero(~missing)[-1])
    for k in np.flatnonzero(missing[:last]):
        text = str(reader.table.columns[column.place][k])
        reader.about.gap(f"missing value {quoted(text)}" if text else "empty field", 1)


# --- columns of readings


def _reading_columns(reader: _Reader) -> list[Column]:
    """Columns that hold the readings."""
    named = reader.at("reading")
    if any(column.why == "given" for column in named):
        return [column for column in named if column.why == "given"]
    free = [column for column in reader.at("") if _numeric(reader, column)]
    sided = [c for c in named + free if named_direction(c.name)[0]]
    if named and not (len(sided) > 1 and len(sided) > len(named)):
        return _one_quantity(reader, named)
    if sided and {named_direction(c.name)[0] for c in sided} == {1, -1}:
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


def _place_headless(reader: _Reader, left: list[Column]) -> None:
    """Refuse whole numbers without a name: they may be cells, runs or pulses."""
    for column in left:
        if np.ptp(_finite(reader, column)) == 0.0:
            continue
        raise reader.refuse(
            f"whole numbers without a name; pass --column cell={column.place + 1} (or run, pulses, other)",
            int(reader.table.rows[0]),
            column.place,
        )


def _numeric(reader: _Reader, column: Column) -> bool:
    values, words, _ = to_numbers(reader.table.columns[column.place][:2000], reader.table.dialect.decimal or ".")
    return bool(np.isfinite(values).sum() > words.sum())


def _finite(reader: _Reader, column: Column) -> NDArray[np.float64]:
    values = to_numbers(reader.table.columns[column.place], reader.table.dialect.decimal or ".")[0]
    return values[np.isfinite(values)]


def _one_quantity(reader: _Reader, named: list[Column]) -> list[Column]:
    """Columns of the quantity that says most: conductance before weight, resistance, current."""
    kinds = {column.quantity or "reading" for column in named}
    if len(kinds) == 1:
        return named
    order = ["conductance", "weight", "resistance", "current", "reading"]
    wanted = reader.recipe.quantity
    taken = wanted if wanted in kinds else min(kinds, key=order.index)
    chosen = [column for column in named if (column.quantity or "reading") == taken]
    others = [reader.table.name(column.place) for column in named if column not in chosen]
    reader.about.note(f"{taken} taken, not {', '.join(others)}; --quantity or --column reading=NAME says otherwise")
    return chosen


def _named_directions(reader: _Reader, chosen: list[Column]) -> dict[int, int] | None:
    """Direction of every column of readings by its name; None if the names say none."""
    if reader.at("direction") or reader.at("voltage") or reader.recipe.program is not None:
        return None
    signs = {column.place: named_direction(column.name)[0] for column in chosen}
    if set(signs.values()) == {1, -1}:
        return signs
    if len(chosen) == 2 and not any(reader.table.header):
        return _by_trend(reader, chosen)
    return None


def _by_trend(reader: _Reader, chosen: list[Column]) -> dict[int, int] | None:
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
    reader: _Reader, column: Column, chosen: Sequence[Column], by_name: dict[int, int] | None
) -> tuple[str, str, int]:
    """Name without direction, cell, and number of the run that a column of readings stands for."""
    rest = named_direction(column.name)[1] if by_name and any(reader.table.header) else column.name
    if len(chosen) == 1:
        return rest, "", 0
    place = list(chosen).index(column)
    bare = normal(rest)
    rests = [normal(named_direction(c.name)[1] if by_name else c.name) for c in chosen]
    full = [named_direction(c.name)[1] if by_name else c.name for c in chosen]
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


# --- pulses


def _directions(reader: _Reader, sided: bool) -> NDArray[np.int64] | None:
    """Directions [N] of the rows; None if no column says them."""
    if reader.recipe.program is not None or sided:
        return None
    table, columns = reader.table, reader.at("direction")
    if columns:
        column = columns[0]
        texts = np.array([text.strip().lower() for text in table.columns[column.place]], object)
        known = {word: direction_sign(word, reader.recipe.words) for word in set(texts.tolist())}
        for word, sign in known.items():
            if sign is None or not word:
                k = int(np.flatnonzero(texts == word)[0])
                raise reader.refuse(
                    f"direction {quoted(table.columns[column.place][k])} is not known; pass --direction up=WORD "
                    "and --direction down=WORD, or --column for the columns",
                    int(table.rows[k]),
                    column.place,
                )
        signs = np.array([known[word] for word in texts.tolist()], np.int64)
        return _zero_is_down(reader, column, signs)
    columns = reader.at("voltage")
    if columns:
        values = reader.numbers(columns[0], "a pulse voltage")
        if np.isnan(values).any():
            k = int(np.argmax(np.isnan(values)))
            raise reader.refuse("a pulse voltage is missing", int(table.rows[k]), columns[0].place)
        reader.about.note(f"direction is the sign of {table.name(columns[0].place)}")
        return np.asarray(np.sign(values).astype(np.int64) * columns[0].sign)
    signed = reader.at("pulses")
    if signed:
        values = reader.numbers(signed[0], "pulses")
        if np.nanmin(values) < 0:
            return np.asarray(np.sign(np.nan_to_num(values)).astype(np.int64))
    if reader.file_direction:
        return np.full(table.rows.size, reader.file_direction, np.int64)
    return None


def _zero_is_down(reader: _Reader, column: Column, signs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Directions with 0 read as down where 1 and 0 are the only ones and readings fall under 0."""
    if -1 in signs or not {0, 1} <= set(signs.tolist()) or reader.recipe.words:
        return signs
    readings = next((c for c in reader.columns if c.role == "reading"), None)
    if readings is None or np.sum(signs == 0) < _FEWEST:
        return signs
    values = to_numbers(reader.table.columns[readings.place], reader.table.dialect.decimal or ".")[0]
    change = np.diff(values)
    under = [float(np.nanmean(change[signs[1:] == s])) for s in (1, 0)]
    if under[0] * under[1] < 0.0 and abs(under[1]) > 0.1 * abs(under[0]):
        reader.about.note(f"in column {reader.table.name(column.place)} 0 taken as down: readings turn under it")
        return np.where(signs == 0, -1, signs)
    return signs


def _pulses(reader: _Reader) -> NDArray[np.int64]:
    """Pulses [N] before each reading: one, or what a column of pulses says."""
    columns = reader.at("pulses")
    if not columns:
        return np.ones(reader.table.rows.size, np.int64)
    column, table = columns[0], reader.table
    values = reader.numbers(column, "pulses")
    bad = ~(np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 1e9))
    if bad.any():
        k = int(np.argmax(bad))
        text = quoted(table.columns[column.place][k])
        raise reader.refuse(f"pulses must be a whole number >= 0, got {text}", int(table.rows[k]), column.place)
    steps = np.diff(values)
    if values.size > 5 and np.mean(steps == 1) > _COUNTING or np.mean(steps >= 0) == 1 and steps.max(initial=0) > 0:
        k = min(2, values.size - 1)
        raise reader.refuse(
            f"pulses go {', '.join(f'{v:g}' for v in values[:3])}, ...: a running number, not the pulses between "
            f"two readings; pass --column index={table.header[column.place] or column.place + 1} if one pulse lies "
            "between readings",
            int(table.rows[k]),
            column.place,
        )
    return values.astype(np.int64)


def _series_directions(
    reader: _Reader, directions: NDArray[np.int64] | None, side: int, part: NDArray[np.intp]
) -> NDArray[np.int64] | None:
    if side:
        return np.full(part.size, side, np.int64)
    if directions is None:
        return None
    chosen = directions[part]
    counted = reader.at("pulses")
    if counted:
        pulses = _pulses(reader)[part]
        bad = (chosen == 0) & (pulses != 0)
        if bad.any():
            k = int(np.argmax(bad))
            row = int(reader.table.rows[part[k]])
            raise reader.refuse(f"{pulses[k]} pulses without a direction: 0 is needed", row, counted[0].place)
    return chosen


# --- cells, runs, read voltages


def _labels(reader: _Reader) -> tuple[NDArray[Any], list[Any]]:
    """Name of the cell of every row, and the names in order (None alone: one cell)."""
    columns = reader.at("cell")
    if not columns and not any(reader.table.header):
        columns = [c for c in reader.at("labels") if len(set(reader.table.columns[c.place])) < reader.table.rows.size / 2]
    if not columns:
        return np.zeros(0), [None]
    parts = []
    for column in columns:
        texts = reader.table.columns[column.place].copy()
        empty = np.array([is_gap(text) and text != "-" for text in texts.tolist()])
        if empty.any() and not empty[0]:
            last = np.maximum.accumulate(np.where(empty, 0, np.arange(texts.size)))
            texts = texts[last]
            reader.about.note(f"empty fields of {reader.table.name(column.place)} taken as the cell above")
        parts.append(texts)
    joined = parts[0] if len(parts) == 1 else np.array([" ".join(row) for row in zip(*parts, strict=True)], object)
    return joined, list(dict.fromkeys(joined.tolist()))


def _runs(reader: _Reader) -> NDArray[np.int64]:
    """Run of every row: by a column of runs, by the blocks of the file, or where an index starts again."""
    table = reader.table
    code = table.blocks.copy()
    columns = reader.at("run")
    if columns:
        for column in columns:
            texts = table.columns[column.place]
            new = np.r_[False, texts[1:] != texts[:-1]]
            code = code * (int(new.sum()) + 1) + np.cumsum(new)
        return code
    if table.blocks[-1]:
        reader.about.note(f"{table.blocks[-1] + 1} blocks in the file: each taken as a run of its own")
    for column in reader.at("index"):
        values = to_numbers(table.columns[column.place], table.dialect.decimal or ".")[0]
        falls = np.r_[False, np.diff(values) < 0]
        if 0 < falls.sum() < 0.1 * values.size and not reader.at("cell"):
            reader.about.note(f"{table.name(column.place)} starts again {int(falls.sum())} times: new runs")
            return code * (int(falls.sum()) + 1) + np.cumsum(falls)
        skips = int(np.sum(np.diff(values) > 1)) if np.all(np.diff(values) > 0) else 0
        if skips and np.diff(values).min(initial=1) == 1:
            reader.about.note(f"{table.name(column.place)} skips {skips} times; it is an index, one pulse per row is taken")
        break
    return code


def _voltages(reader: _Reader) -> NDArray[np.float64]:
    """Read voltage [N] of the rows in volts; NaN where it is not said."""
    table = reader.table
    if reader.recipe.read_voltage is not None:
        return np.full(table.rows.size, reader.recipe.read_voltage)
    for column in reader.at("read_voltage"):
        told = parse_unit(split_unit(table.header[column.place])[1] or table.units[column.place] or "V")
        return reader.numbers(column, "a read voltage") * (told.factor if told is not None else 1.0)
    pattern = r"(?i)(?:v_?\s?read|read\w*\s*(?:voltage|bias)|lesespannung)\W*([+-]?\d+(?:[.,]\d+)?(?:e[+-]?\d+)?)\s*(m?)V?"
    for line in table.preamble:
        match = re.search(pattern, line)
        if match is not None:
            return np.full(table.rows.size, float(match[1].replace(",", ".")) * (1e-3 if match[2] else 1.0))
    return np.full(table.rows.size, np.nan)


def turning_points(series: Series) -> NDArray[np.int64] | None:
    """Directions [N] of a series by the turning points of its readings, run by run; None if a run shows none."""
    out = np.zeros(series.readings.size, np.int64)
    for run in np.unique(series.runs):
        part = np.flatnonzero(series.runs == run)
        found = directions_of_readings(series.readings[part])
        if found is None:
            return None
        out[part] = found
    return out
