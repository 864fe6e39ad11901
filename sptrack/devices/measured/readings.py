"""Readings of a pulse response: the data and its text file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sptrack.devices.measured.laws import Floats
from sptrack.errors import ParameterError

__all__ = ["FEWEST_READINGS", "PulseResponse", "read_pulse_response"]

FEWEST_READINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PulseResponse:
    """Consecutive readings of one cell under up pulses and under down pulses, one reading per pulse.

    Attributes
    ----------
    up : array [n]
        Readings during the up run, weight units; copied, read-only.
    down : array [m]
        Readings during the down run, weight units; copied, read-only.

    Raises
    ------
    ParameterError
        A run that is not one-dimensional, shorter than 20 readings, constant, or not finite.
    """

    up: Floats
    down: Floats

    def __post_init__(self) -> None:
        """Check and freeze both runs."""
        for name in ("up", "down"):
            object.__setattr__(self, name, _checked_run(name, getattr(self, name)))


def _checked_run(name: str, values: Floats) -> Floats:
    """Read-only float64 copy of one run."""
    run = np.array(values, dtype=np.float64)
    if run.ndim != 1:
        raise ParameterError(f"{name} readings have shape {run.shape}: one dimension is needed")
    if run.size < FEWEST_READINGS:
        raise ParameterError(f"{run.size} {name} readings: at least {FEWEST_READINGS} are needed")
    bad = np.flatnonzero(~np.isfinite(run))
    if bad.size:
        raise ParameterError(f"{name} reading {bad[0] + 1} is {run[bad[0]]}: readings must be finite")
    if np.ptp(run) == 0.0:
        raise ParameterError(f"all {name} readings are {run[0]:g}: a response must change")
    run.flags.writeable = False
    return run


def read_pulse_response(path: str | Path) -> PulseResponse:
    """Read a text file with two columns: k-th up reading, k-th down reading.

    Columns are split by comma, semicolon, tab or blanks. Blank lines and lines that start with ``#`` are
    skipped, a first row without a number is taken for a header.

    Parameters
    ----------
    path : str or Path
        File in weight units, UTF-8.

    Returns
    -------
    PulseResponse
        As many up as down readings.

    Raises
    ------
    ParameterError
        File that cannot be read; a row without two finite numbers (file, row and value are named); too few
        rows; constant readings.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        raise ParameterError(f"{path}: cannot be read ({reason})") from error
    rows: list[tuple[float, float]] = []
    header_allowed = True
    for number, line in enumerate(lines, start=1):
        fields = re.split(r"\s*[,;\t]\s*|\s+", line.strip())
        if fields[0].startswith("#") or fields == [""]:
            continue
        if header_allowed and not any(map(_is_number, fields)):
            header_allowed = False
            continue
        header_allowed = False
        rows.append(_row(fields, f"{path}, row {number}"))
    if not rows:
        raise ParameterError(f"{path}: no readings; two columns of numbers are needed")
    up, down = np.array(rows).T
    try:
        return PulseResponse(up=up, down=down)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from error


def _is_number(text: str) -> bool:
    """Whether a field is a number (NaN and infinity included)."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _row(fields: list[str], place: str) -> tuple[float, float]:
    """Two finite numbers from the fields of one row."""
    if len(fields) != 2:
        raise ParameterError(
            f"{place}: {len(fields)} column(s) in {', '.join(fields)!r}; two are needed: up, down"
        )
    for field in fields:
        if not _is_number(field) or not np.isfinite(float(field)):
            raise ParameterError(f"{place}: {field!r} is not a finite number")
    return float(fields[0]), float(fields[1])
