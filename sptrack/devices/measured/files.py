"""Files of measured pulse responses: two columns of one cell, or one reading per row of many cells.

Columns are split by comma, semicolon, tab or blanks. Blank lines and lines that start with ``#`` are skipped;
a header is optional, and a unit in it is one in brackets: ``conductance (uS)``.

- Two columns: k-th reading of an up run, k-th reading of a down run, one pulse between readings.
- One reading per row: ``direction`` (up, down, +1, -1; 0: no pulse) and ``reading`` (or ``weight``,
  ``conductance``), and if need be ``cell``, ``run`` and ``pulses`` (number before this reading; default 1).
  Rows of a cell follow each other in time; where pulses are missing a new ``run`` begins. Without a header
  the columns are direction, reading; or cell, direction, reading; or cell, direction, pulses, reading.

Readings without a unit are weights. With one (or with a range) they are mapped to weights: low to -1, high to
+1, by default the lowest and highest states visited by any of the cells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sptrack.devices.measured.readings import PulseResponse, two_runs, visited_range
from sptrack.errors import ParameterError, nearest

__all__ = ["Measurement", "read_measurement"]

_COLUMNS = {
    "cell": ("cell", "device", "id"),
    "run": ("run", "sweep"),
    "direction": ("direction", "dir", "polarity", "sign"),
    "pulses": ("pulses", "count", "n"),
    "reading": ("reading", "weight", "conductance", "read", "value", "g", "w"),
}
_DIRECTIONS = {"up": 1, "+1": 1, "1": 1, "+": 1, "down": -1, "-1": -1, "-": -1, "0": 0, "none": 0}
_PLAIN = ("", "1", "weight", "weight unit", "weight units")
_NO_HEADER = {
    2: ("direction", "reading"),
    3: ("cell", "direction", "reading"),
    4: ("cell", "direction", "pulses", "reading"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """Responses of one or many cells, weight units.

    Attributes
    ----------
    cells : tuple of PulseResponse
        In the order of the file.
    unit : str
        Unit of the file; empty for weight units.
    low, high : float
        Readings, in that unit, that are the weights -1 and +1.
    name : str
        Name of the file.
    """

    cells: tuple[PulseResponse, ...]
    unit: str = ""
    low: float = -1.0
    high: float = 1.0
    name: str = "measured"


def read_measurement(path: str | Path, ends: tuple[float, float] | None = None) -> Measurement:
    """Read the pulse responses of a text file; its forms are those of `sptrack.devices.measured.files`.

    Parameters
    ----------
    path : str or Path
        File, UTF-8.
    ends : (float, float), optional
        Readings, in the unit of the file, that are to be the weights -1 and +1.

    Returns
    -------
    Measurement

    Raises
    ------
    ParameterError
        File that cannot be read; gap, word or number that is refused (file, row and value are named); too few
        readings; readings that move against the pulses; ends that are not rising.
    """
    if ends is not None and not (np.all(np.isfinite(ends)) and ends[0] < ends[1]):
        raise ParameterError(f"range {ends[0]:g} {ends[1]:g}: two finite numbers, the lower first, wanted")
    rows = _rows(Path(path))
    try:
        cells, unit = _cells(rows)
        mapped = _mapped(cells, unit, ends)
    except ParameterError as error:
        joint = ", " if str(error).startswith("row") else ": "
        raise ParameterError(f"{path}{joint}{error}") from error
    return replace(mapped, name=Path(path).name)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Numbers and fields of the rows that are neither blank nor comments."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        raise ParameterError(f"{path}: cannot be read ({reason})") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        text = re.sub(r"\s+(?=[(\[])", "", line.strip())
        if text and not text.startswith("#"):
            parts = re.split(r"[,;\t]", text) if re.search(r"[,;\t]", text) else text.split()
            rows.append((number, [part.strip() for part in parts]))
    if not rows:
        raise ParameterError(f"{path}: no readings")
    return rows


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _cells(rows: list[tuple[int, list[str]]]) -> tuple[list[PulseResponse], str]:
    """Responses as they stand in the file, and their unit."""
    number, first = rows[0]
    header = not any(_number(field) is not None or field.lower() in _DIRECTIONS for field in first)
    named = [re.fullmatch(r"(.*?)\s*[(\[](.*)[)\]]", field) for field in first]
    names = [
        (match[1] if match else field).strip().lower() for match, field in zip(named, first, strict=True)
    ]
    units = {match[2].strip() for match in named if match} if header else set()
    if header and set(names) == {"up", "down"} or not header and _is_pair(first):
        return _pairs(rows[header:], names if header else ["up", "down"]), _one_unit(units)
    header = header or {"up", "down"} == set(names)
    if header and "direction" not in map(_role, names):
        if len(first) == 2 and not any(map(_role, names)):
            return _pairs(rows[1:], ["up", "down"]), _one_unit(units)
        raise ParameterError(f"row {number}: columns {', '.join(first)!r}; direction and reading are needed")
    columns = [_column(name, number) for name in names] if header else _NO_HEADER.get(len(first))
    if columns is None:
        raise ParameterError(
            f"row {number}: {len(first)} column(s) in {', '.join(first)!r}; 2 to 4 are known"
        )
    for needed in ("direction", "reading"):
        if columns.count(needed) != 1:
            raise ParameterError(f"row {number}: columns {', '.join(first)!r}; one {needed} is needed")
    return _long(rows[header:], columns), _one_unit(units)


def _is_pair(fields: list[str]) -> bool:
    """Whether a row without header belongs to the two-column form: its first field is a reading."""
    return len(fields) <= 2 and fields[0].lower() not in ("up", "down", "none", "+", "-")


def _role(name: str) -> str:
    return next((role for role, words in _COLUMNS.items() if name in words), "")


def _column(name: str, number: int) -> str:
    role = _role(name)
    if not role:
        known = [word for words in _COLUMNS.values() for word in words]
        raise ParameterError(
            f"row {number}: unknown column {name!r}: {', '.join(_COLUMNS)} are known{nearest(name, known)}"
        )
    return role


def _one_unit(units: set[str]) -> str:
    known = {unit for unit in units if unit.lower() not in _PLAIN}
    if len(known) > 1:
        raise ParameterError(f"units {', '.join(sorted(known))} in the header: one is wanted")
    return known.pop() if known else ""


def _finite(text: str, place: str) -> float:
    value = _number(text)
    if value is None or not np.isfinite(value):
        gap = " (a gap)" if not text else ""
        raise ParameterError(f"{place}: {text!r} is not a finite number{gap}")
    return value


def _pairs(rows: list[tuple[int, list[str]]], names: list[str]) -> list[PulseResponse]:
    """The one response of a two-column file."""
    pairs = []
    for number, fields in rows:
        if len(fields) != 2:
            raise ParameterError(
                f"row {number}: {len(fields)} column(s) in {', '.join(fields)!r}; "
                f"two are needed: {', '.join(names)}"
            )
        pairs.append([_finite(field, f"row {number}") for field in fields])
    if not pairs:
        raise ParameterError("no readings; two columns of numbers are needed")
    columns = dict(zip(names, np.array(pairs).T, strict=True))
    response = two_runs(columns["up"], columns["down"])
    return [replace(response, rows=np.tile([number for number, _ in rows], 2))]


def _long(rows: list[tuple[int, list[str]]], columns: list[str] | tuple[str, ...]) -> list[PulseResponse]:
    """Responses of a file with one reading per row, by cell."""
    cells: dict[str, list[tuple[float, int, str, int]]] = {}
    for number, fields in rows:
        if len(fields) != len(columns):
            raise ParameterError(
                f"row {number}: {len(fields)} column(s) in {', '.join(fields)!r}; {len(columns)} are needed"
            )
        row = dict(zip(columns, fields, strict=True))
        reading = _finite(row["reading"], f"row {number}")
        entry = (reading, _signed(row, number), row.get("run", ""), number)
        cells.setdefault(row.get("cell", ""), []).append(entry)
    if not cells:
        raise ParameterError("no readings below the header")
    return [_response(name, entries) for name, entries in cells.items()]


def _signed(row: dict[str, str], number: int) -> int:
    """Signed pulses of a row."""
    word = row["direction"].lower()
    if word not in _DIRECTIONS:
        raise ParameterError(
            f"row {number}: direction {row['direction']!r}: up, down, +1, -1 or 0 wanted"
            f"{nearest(word, _DIRECTIONS)}"
        )
    sign = _DIRECTIONS[word]
    text = row.get("pulses", str(abs(sign)))
    count = _finite(text, f"row {number}")
    if count < 0 or count != int(count):
        raise ParameterError(f"row {number}: pulses {text!r}: a whole number >= 0 wanted")
    if sign == 0 and count > 0:
        raise ParameterError(f"row {number}: {text} pulses in direction {row['direction']}: 0 wanted")
    return sign * int(count)


def _response(name: str, entries: list[tuple[float, int, str, int]]) -> PulseResponse:
    readings, pulses, labels, rows = zip(*entries, strict=True)
    starts = [k > 0 and labels[k] != labels[k - 1] for k in range(len(labels))]
    return PulseResponse(
        readings=np.array(readings),
        pulses=np.array(pulses),
        runs=np.cumsum(starts),
        name=name,
        rows=np.array(rows),
    )


def _mapped(cells: list[PulseResponse], unit: str, ends: tuple[float, float] | None) -> Measurement:
    """Responses in weight units: readings from low to high become -1 to 1."""
    if ends is None and not unit:
        return Measurement(cells=tuple(cells))
    if ends is None:
        visited = np.array([visited_range(cell) for cell in cells])
        ends = float(visited[:, 0].min()), float(visited[:, 1].max())
    low, high = ends
    mapped = tuple(replace(c, readings=2.0 * (c.readings - low) / (high - low) - 1.0) for c in cells)
    return Measurement(cells=mapped, unit=unit, low=low, high=high)
