"""Look-up tables of steps over conductance, with probabilities, to a device.

Two forms are read, each with a table for up and one for down pulses (named in the file: set, reset,
increasing, ...):

- one file: a row of conductances, a row of probabilities, then the step at each probability (row) and
  conductance
  (column), as CrossSim's tables;
- three files: the conductances, the steps, and the probability that a step is at most so large, a row per
  conductance, as XBTorch's tables.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from sptrack.devices.device import Asymmetry, CycleNoise, Device, Fit, ReadingScale, Source, Spread
from sptrack.devices.families import PiecewiseStep
from sptrack.errors import ParameterError
from sptrack.fitting.texts import quoted
from sptrack.fitting.units import convenient
from sptrack.fitting.vocabulary import named_direction

__all__ = ["StepTables", "is_lookup", "read_lookup", "table_device"]

_NODES = 65
_MAX_OFFSET = 100.0

Floats = NDArray[np.float64]


class _Sheet(NamedTuple):
    """Rows of numbers of a file."""

    path: Path
    rows: list[Floats]

    @property
    def vector(self) -> Floats | None:
        """The numbers of a file with one row or one column."""
        if len(self.rows) == 1:
            return self.rows[0]
        return np.concatenate(self.rows) if all(row.size == 1 for row in self.rows) else None

    @property
    def matrix(self) -> Floats | None:
        """The numbers of a file whose rows are equally long."""
        return (
            np.stack(self.rows) if len({row.size for row in self.rows}) == 1 and len(self.rows) > 1 else None
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepTables:
    """Mean and scatter of one up and one down pulse over the conductance.

    Attributes
    ----------
    name : str
        Names of the files.
    sha256 : str
        Digest of their bytes.
    conductance : array [n]
        Conductances, in ``unit``, rising: those that both tables hold.
    mean, deviation : array [2, n]
        Mean size of an up and of a down pulse (positive: up raises, down lowers), and its standard deviation.
    unit : str
        Unit of conductance.
    symmetric_point : float
        Conductance at which both mean steps are equal; NaN if there is none.
    notes : tuple of str
        What was assumed.
    """

    name: str
    sha256: str
    conductance: Floats
    mean: Floats
    deviation: Floats
    unit: str
    symmetric_point: float
    notes: tuple[str, ...] = ()


def _sheet(path: Path) -> _Sheet | None:
    """Numbers of a text file without a header; None if it is none, or has words."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    rows = []
    for k, line in enumerate(text.splitlines()):
        parts = [part for part in re.split(r"[,;\s]+", line.strip()) if part]
        if not parts:
            continue
        try:
            rows.append(np.array([float(part) for part in parts]))
        except ValueError:
            if k == 0 or line.lstrip().startswith("#"):
                continue
            return None
    return _Sheet(path, rows) if rows else None


def _rises(values: Floats) -> bool:
    return bool(values.size > 3 and np.all(np.diff(values) > 0.0))


def _is_probability(values: Floats, axis: int = -1) -> bool:
    inside = values.min() >= -1e-9 and values.max() <= 1.0 + 1e-9
    return bool(inside and np.all(np.diff(values, axis=axis) >= -1e-9) and values.max() > 0.5)


def _is_quantiles(sheet: _Sheet) -> bool:
    """Whether a file is a row of conductances, a row of probabilities, and steps."""
    if len(sheet.rows) < 5:
        return False
    bins, points, rest = sheet.rows[0], sheet.rows[1], sheet.rows[2:]
    shaped = len(rest) == points.size and all(row.size == bins.size for row in rest)
    return shaped and _rises(bins) and _is_probability(points)


def _is_cumulative(sheet: _Sheet) -> bool:
    matrix = sheet.matrix
    return matrix is not None and min(matrix.shape) > 3 and _is_probability(matrix, 1)


def _expanded(paths: Sequence[Path]) -> list[Path]:
    """Files, with those of folders in place of these."""
    out: list[Path] = []
    for path in paths:
        out += sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    return out


def is_lookup(paths: Sequence[Path]) -> bool:
    """Whether one of some files is a look-up table."""
    for path in _expanded(paths):
        if path.is_file() and path.stat().st_size < 50_000_000:
            sheet = _sheet(path)
            if sheet is not None and (_is_quantiles(sheet) or _is_cumulative(sheet)):
                return True
    return False


def read_lookup(paths: Sequence[Path]) -> StepTables:
    """Read look-up tables of up and down pulses.

    Parameters
    ----------
    paths : sequence of Path
        Files, or a folder of them.

    Returns
    -------
    StepTables

    Raises
    ------
    ParameterError
        A direction or an axis is missing, or the tables have no conductances in common.
    """
    files = _expanded(paths)
    sheets = [sheet for path in files if (sheet := _sheet(path)) is not None]
    names = ", ".join(path.name for path in files)
    sides: dict[int, tuple[Floats, Floats, Floats]] = {}
    used: list[Path] = []
    for sheet in sheets:
        if _is_quantiles(sheet):
            made, own = _from_quantiles(sheet), [sheet.path]
        elif _is_cumulative(sheet):
            made, own = _from_cumulative(sheet, sheets)
        else:
            continue
        side = named_direction(sheet.path.stem)[0] or (1 if made[1].mean() > 0 else -1)
        if side in sides:
            raise ParameterError(
                f"{sheet.path}: a second table for {'up' if side > 0 else 'down'} pulses; name the files "
                "by their "
                "directions (up, down, set, reset, increasing, decreasing)"
            )
        sides[side], used = made, used + own
    for side, word in ((1, "up"), (-1, "down")):
        if side not in sides:
            raise ParameterError(
                f"{quoted(names)}: no table of steps for {word} pulses; one direction does not tell a "
                "symmetric "
                "point; add its file"
            )
    return _joined(sides, used)


def _from_quantiles(sheet: _Sheet) -> tuple[Floats, Floats, Floats]:
    """Conductances, means and deviations from steps at given probabilities."""
    bins, points, steps = sheet.rows[0], sheet.rows[1], np.stack(sheet.rows[2:])
    mean = np.asarray(trapezoid(steps, points, axis=0))
    variance = np.asarray(trapezoid((steps - mean) ** 2, points, axis=0))
    return bins, mean, np.sqrt(np.maximum(variance, 0.0))


def _from_cumulative(sheet: _Sheet, sheets: list[_Sheet]) -> tuple[tuple[Floats, Floats, Floats], list[Path]]:
    """Conductances, means and deviations from probabilities and the files of both axes."""
    matrix = sheet.matrix
    assert matrix is not None
    stem = sheet.path.stem.lower()
    near = [other for other in sheets if other.vector is not None and _rises(other.vector)]
    words = set(re.findall(r"[a-z]+", stem)) - {"cdf", "txt"}
    near.sort(key=lambda other: -len(words & set(re.findall(r"[a-z]+", other.path.stem.lower()))))

    def axis(size: int, signed: bool) -> _Sheet:
        for other in near:
            values = other.vector
            if values is not None and values.size == size and (values[0] < 0.0 < values[-1]) == signed:
                return other
        kind = "steps" if signed else "conductances"
        raise ParameterError(
            f"{sheet.path}: no file with the {size} {kind} of this table; give it beside the others"
        )

    bins, steps = axis(matrix.shape[0], False), axis(matrix.shape[1], True)
    x = steps.vector
    assert x is not None
    assert bins.vector is not None
    weight = np.diff(matrix, axis=1, prepend=0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    middle = np.r_[x[0], 0.5 * (x[1:] + x[:-1])]
    mean = weight @ middle
    deviation = np.sqrt(np.maximum(weight @ middle**2 - mean**2, 0.0))
    return (bins.vector, mean, deviation), [sheet.path, bins.path, steps.path]


def _joined(sides: dict[int, tuple[Floats, Floats, Floats]], used: list[Path]) -> StepTables:
    """Both directions on the conductances that they have in common."""
    names = ", ".join(path.name for path in used)
    low = max(side[0][0] for side in sides.values())
    high = min(side[0][-1] for side in sides.values())
    if not low < high:
        raise ParameterError(
            f"{quoted(names)}: the tables of up and down pulses have no conductances in common"
        )
    grid = np.linspace(low, high, _NODES)
    unit = convenient("conductance", float(np.median(np.abs(grid))))
    notes = ["conductances taken as siemens"]
    mean, deviation = np.empty((2, _NODES)), np.empty((2, _NODES))
    for row, sign in enumerate((1, -1)):
        bins, means, deviations = sides[sign]
        if sign < 0 and np.median(means) > 0.0:
            means = -means
            notes.append("steps of the down table are positive: taken as sizes")
        size = sign * np.interp(grid, bins, means)
        if size.min() < 0.0:
            fraction = float(np.mean(size < 0.0))
            notes.append(
                f"{'up' if sign > 0 else 'down'} pulses move the wrong way on {fraction:.0%} of the range: "
                "0 there"
            )
        mean[row] = np.maximum(size, 0.0) / unit.factor
        deviation[row] = np.interp(grid, bins, deviations) / unit.factor
    return StepTables(
        name=names,
        sha256=hashlib.sha256(b"".join(path.read_bytes() for path in used)).hexdigest(),
        conductance=grid / unit.factor,
        mean=mean,
        deviation=deviation,
        unit=unit.text,
        symmetric_point=_crossing(grid / unit.factor, mean[0] - mean[1]),
        notes=tuple(notes),
    )


def _crossing(x: Floats, difference: Floats) -> float:
    """Where a difference falls through 0 for the first time, by interpolation; NaN if it does not."""
    falls = np.flatnonzero((difference[:-1] > 0.0) & (difference[1:] <= 0.0))
    if not falls.size:
        return float("nan")
    k = int(falls[0])
    fraction = difference[k] / (difference[k] - difference[k + 1])
    return float(x[k] + fraction * (x[k + 1] - x[k]))


def table_device(tables: StepTables) -> Device:
    """Device of look-up tables: interpolated mean steps, and a cycle noise that follows their deviations.

    The deviation is described as sigma (|step| + offset), both by least squares over the table. There is no
    reading noise in such tables, and no spread between cells.

    Parameters
    ----------
    tables : StepTables
        What `read_lookup` returns.

    Raises
    ------
    ParameterError
        Mean steps that vanish in the middle of the range.
    """
    low, high = float(tables.conductance[0]), float(tables.conductance[-1])
    half = 0.5 * (high - low)
    mean, deviation = tables.mean / half, tables.deviation / half
    dw_min = float(mean[:, _NODES // 2].mean())
    if not dw_min > 0.0:
        raise ParameterError(f"{quoted(tables.name)}: the mean steps vanish in the middle of the range")
    slope, level = np.polyfit(mean.ravel(), deviation.ravel(), 1)
    largest = _MAX_OFFSET * float(mean.max())
    offset = float(np.clip(level / slope, 0.0, largest)) if slope > 0.0 else largest
    sigma = float(deviation.mean() / (mean.mean() + offset))
    point = 2.0 * (tables.symmetric_point - low) / (high - low) - 1.0
    from sptrack import __version__

    up, down = (tuple((side / dw_min).tolist()) for side in mean)
    return Device(
        response=PiecewiseStep(w_max=1.0, w_min=-1.0, nodes_up=up, nodes_down=down),
        dw_min=dw_min,
        spread=Spread(asymmetry=Asymmetry()),
        cycle_noise=CycleNoise(std=sigma, offset=offset),
        scale=ReadingScale(low=low, high=high, unit=tables.unit, quantity="conductance"),
        fit=Fit(
            file=tables.name,
            sha256=tables.sha256,
            family="look-up table",
            symmetric_point=point if np.isfinite(point) else None,
            dw_min=dw_min,
            not_identified=("reading noise", "spread between cells"),
            version=__version__,
            created=datetime.now(UTC).date().isoformat(),
        ),
        source=Source(name=Path(tables.name.split(",")[0]).stem, note="; ".join(tables.notes)),
    )
