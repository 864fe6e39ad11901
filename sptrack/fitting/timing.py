"""Rows of a table in time: directions and numbers of pulses, cells, runs, voltages of the reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import nearest
from sptrack.fitting.columns import Column
from sptrack.fitting.numbers import to_numbers
from sptrack.fitting.reader import Reader
from sptrack.fitting.texts import is_gap, quoted
from sptrack.fitting.units import parse_unit, split_unit
from sptrack.fitting.vocabulary import KNOWN_DIRECTIONS, direction_sign

__all__ = [
    "cell_labels",
    "direction_columns",
    "read_voltages",
    "row_directions",
    "row_pulses",
    "row_runs",
    "series_directions",
    "voltage_in_name",
]

_COUNTING = 0.9
_FEWEST = 8
_NUMBER = r"([+-]?\d+(?:[.,]\d+)?(?:e[+-]?\d+)?)"


def direction_columns(reader: Reader, chosen: Sequence[Column]) -> list[Column | None]:
    """Column of directions, or of voltages of pulses, of each column of readings; None: there is none.

    Of several, each column of readings has its own if there are as many, or if titles over groups pair them;
    else the first whose words are all known serves for all.
    """
    for role in ("direction", "voltage"):
        columns = reader.at(role)
        if not columns:
            continue
        by_group = {column.group: column for column in columns if column.group}
        if len(by_group) == len(columns) > 1 and all(column.group in by_group for column in chosen):
            return [by_group[column.group] for column in chosen]
        if len(columns) == len(chosen) > 1:
            return list(columns)
        known = [c for c in columns if role == "voltage" or None not in _signs(reader, c).values()]
        return [(known or columns)[0]] * len(chosen)
    return [None] * len(chosen)


def _signs(reader: Reader, column: Column) -> dict[str, int | None]:
    """Direction of every word of a column; None of those that are not known."""
    words = {text.strip().lower() for text in reader.table.columns[column.place].tolist()}
    return {word: direction_sign(word, reader.recipe.words) for word in words}


def row_directions(reader: Reader, column: Column | None) -> NDArray[np.int64] | None:
    """Directions [N] of the rows by a column, pulse counts or the name of the file; None if nothing says."""
    if reader.recipe.program is not None:
        return None
    table = reader.table
    if column is not None and column.role == "direction":
        texts = np.array([text.strip().lower() for text in table.columns[column.place]], object)
        known = _signs(reader, column)
        for word, sign in known.items():
            if sign is None or not word:
                k = int(np.flatnonzero(texts == word)[0])
                raise reader.refuse(
                    f"direction {quoted(table.columns[column.place][k])} is not "
                    f"known{nearest(word, KNOWN_DIRECTIONS)}; pass --direction up=WORD "
                    "and --direction down=WORD, or --column for the columns",
                    int(table.rows[k]),
                    column.place,
                )
        signs = np.array([known[word] for word in texts.tolist()], np.int64)
        return _zero_is_down(reader, column, signs)
    if column is not None:
        values = reader.numbers(column, "a pulse voltage")
        if np.isnan(values).any():
            k = int(np.argmax(np.isnan(values)))
            raise reader.refuse("a pulse voltage is missing", int(table.rows[k]), column.place)
        reader.about.note(f"direction is the sign of {table.name(column.place)}")
        return np.asarray(np.sign(values).astype(np.int64) * column.sign)
    signed = reader.at("pulses")
    if signed:
        values = reader.numbers(signed[0], "pulses")
        if np.nanmin(values) < 0:
            return np.asarray(np.sign(np.nan_to_num(values)).astype(np.int64))
    if reader.file_direction:
        return np.full(table.rows.size, reader.file_direction, np.int64)
    return None


def _zero_is_down(reader: Reader, column: Column, signs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Directions with 0 read as down where 1 and 0 are the only ones and readings fall under 0."""
    if -1 in signs or not {0, 1} <= set(signs.tolist()) or reader.recipe.words:
        return signs
    readings = next((c for c in reader.columns if c.role == "reading"), None)
    if readings is None or min(np.sum(signs[1:] == 0), np.sum(signs[1:] == 1)) < _FEWEST:
        return signs
    values = to_numbers(reader.table.columns[readings.place], reader.table.dialect.decimal or ".")[0]
    change = np.diff(values)
    under = [float(np.nanmean(change[signs[1:] == s])) for s in (1, 0)]
    if under[0] * under[1] < 0.0 and abs(under[1]) > 0.1 * abs(under[0]):
        reader.about.note(
            f"in column {reader.table.name(column.place)} 0 taken as down: readings turn under it"
        )
        return np.where(signs == 0, -1, signs)
    return signs


def row_pulses(reader: Reader) -> NDArray[np.int64]:
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
        raise reader.refuse(
            f"pulses must be a whole number >= 0, got {text}", int(table.rows[k]), column.place
        )
    steps = np.diff(values)
    if (
        values.size > 5
        and np.mean(steps == 1) > _COUNTING
        or np.mean(steps >= 0) == 1
        and steps.max(initial=0) > 0
    ):
        k = min(2, values.size - 1)
        raise reader.refuse(
            f"pulses go {', '.join(f'{v:g}' for v in values[:3])}, ...: a running number, not the pulses "
            "between "
            f"two readings; pass --column index={table.header[column.place] or column.place + 1} if one "
            "pulse lies "
            "between readings",
            int(table.rows[k]),
            column.place,
        )
    return values.astype(np.int64)


def series_directions(
    reader: Reader, directions: NDArray[np.int64] | None, side: int, part: NDArray[np.intp]
) -> NDArray[np.int64] | None:
    """Directions of some rows: those of the column (``side``), or of the table; None if nothing says them."""
    if side:
        return np.full(part.size, side, np.int64)
    if directions is None:
        return None
    chosen = directions[part]
    counted = reader.at("pulses")
    if counted:
        pulses = row_pulses(reader)[part]
        bad = (chosen == 0) & (pulses != 0)
        if bad.any():
            k = int(np.argmax(bad))
            row = int(reader.table.rows[part[k]])
            raise reader.refuse(f"{pulses[k]} pulses without a direction: 0 is needed", row, counted[0].place)
    return chosen


def cell_labels(reader: Reader) -> tuple[NDArray[Any], list[Any]]:
    """Name of the cell of every row, and the names in order (None alone: one cell)."""
    columns = reader.at("cell")
    if not columns and not any(reader.table.header):
        columns = [
            c
            for c in reader.at("labels")
            if len(set(reader.table.columns[c.place])) < reader.table.rows.size / 2
        ]
    if not columns:
        return _labels_of_blocks(reader)
    parts = []
    for column in columns:
        texts = reader.table.columns[column.place].copy()
        empty = np.array([is_gap(text) and text != "-" for text in texts.tolist()])
        if empty.any() and not empty[0]:
            last = np.maximum.accumulate(np.where(empty, 0, np.arange(texts.size)))
            texts = texts[last]
            reader.about.note(f"empty fields of {reader.table.name(column.place)} taken as the cell above")
        parts.append(texts)
    joined = (
        parts[0] if len(parts) == 1 else np.array([" ".join(row) for row in zip(*parts, strict=True)], object)
    )
    return joined, list(dict.fromkeys(joined.tolist()))


def _labels_of_blocks(reader: Reader) -> tuple[NDArray[Any], list[Any]]:
    """Names of cells by the lines above the blocks; None alone unless each block has one."""
    labels = reader.table.labels
    if len(labels) < 2 or any(role != "cell" for role, _ in labels):
        return np.zeros(0), [None]
    reader.about.note("cells by the lines above their blocks")
    names = np.array([name for _, name in labels], object)
    return names[reader.table.blocks], list(dict.fromkeys(names.tolist()))


def row_runs(reader: Reader) -> NDArray[np.int64]:
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
            return np.asarray(code * (int(falls.sum()) + 1) + np.cumsum(falls))
        skips = int(np.sum(np.diff(values) > 1)) if np.all(np.diff(values) > 0) else 0
        if skips and np.diff(values).min(initial=1) == 1:
            reader.about.note(
                f"{table.name(column.place)} skips {skips} times; it is an index, one pulse per row is taken"
            )
        break
    return code


def read_voltages(reader: Reader) -> NDArray[np.float64]:
    """Read voltage [N] of the rows in volts; NaN where it is not said."""
    table = reader.table
    if reader.recipe.read_voltage is not None:
        return np.full(table.rows.size, reader.recipe.read_voltage)
    for column in reader.at("read_voltage"):
        told = parse_unit(split_unit(table.header[column.place])[1] or table.units[column.place] or "V")
        return reader.numbers(column, "a read voltage") * (told.factor if told is not None else 1.0)
    name = r"(?:v_?\s?read|read\w*\s*(?:voltage|bias)|lesespannung)"
    patterns = (
        rf"(?i){name}[^\w+-]*(?:\([^)]*\)[^\w+-]*)?{_NUMBER}\s*(m?)V?",
        rf"(?i)(?:read\w*|gelesen|lesen)\s+(?:at|bei|@)\s*{_NUMBER}\s*(m?)V\b",
    )
    for line in table.preamble:
        for pattern in patterns:
            match = re.search(pattern, line)
            if match is not None:
                return np.full(table.rows.size, _volts(match))
    return np.full(table.rows.size, np.nan)


def voltage_in_name(name: str) -> float | None:
    """Read voltage, V, that a name such as ``I@0.1V`` or ``I (0.1 V)`` says; None: none."""
    match = re.search(rf"(?i)(?:@|\(|\bat)\s*{_NUMBER}\s*(m?)V\b", name)
    return None if match is None else _volts(match)


def _volts(match: re.Match[str]) -> float:
    return float(match[1].replace(",", ".")) * (1e-3 if match[2] else 1.0)
