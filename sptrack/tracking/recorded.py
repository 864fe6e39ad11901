"""Recorded gradients: files of what a training asked of its cells, as a drive."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.fitting.numbers import to_numbers
from sptrack.fitting.tables import read_table
from sptrack.fitting.texts import quoted
from sptrack.values import real_array

__all__ = ["RecordedGradient", "recorded_gradient"]

MAX_CORRELATION = 0.1
"""Correlation of successive steps above which predictions carry a warning."""

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedGradient:
    """A recorded gradient before the chopper.

    Parameters
    ----------
    values : array [steps, columns]
        Gradient of each step, a column for each cell or one for all; dimensionless, as the loss gives it.
    name : str
        Name of the file.

    Raises
    ------
    ParameterError
        Fewer than 2 steps, no columns, values that are not finite (the step is named) or all 0.
    """

    values: Array
    name: str = "recording"

    def __post_init__(self) -> None:
        values = np.array(real_array(self.values, f"{self.name}: gradients"))
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) < 2 or values.shape[1] < 1:
            raise ParameterError(
                f"{self.name}: at least 2 steps (rows) and 1 cell (column) are needed, "
                f"got shape {values.shape}"
            )
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            step, column = bad[0].tolist()
            raise ParameterError(
                f"{self.name}: gradients must be finite, got {values[step, column]} in step {step + 1}, "
                f"column {column + 1}"
            )
        if not values.any():
            raise ParameterError(f"{self.name}: gradients are all 0: without pulses nothing can be tracked")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def drive(self, steps: int, cells: int, *, first: int = 0) -> Array:
        """Gradient [steps, cells] (float32) from step ``first`` on.

        The recording is repeated in time; its columns are dealt out to the cells in turn.
        """
        row, column = np.arange(first, first + steps) % len(self.values), self._columns(cells)
        return np.asarray(self.values[row][:, column], np.float32)

    def over(self, cells: int) -> tuple[Array, Array]:
        """Mean and std [cells] of the gradient of each cell."""
        column = self._columns(cells)
        return self.values.mean(axis=0)[column], self.values.std(axis=0)[column]

    def _columns(self, cells: int) -> Array:
        return np.asarray(np.arange(cells) % self.values.shape[1])

    @property
    def correlation(self) -> float:
        """Mean correlation of successive steps."""
        x = self.values - self.values.mean(axis=0)
        power = (x**2).sum(axis=0)
        live = power > 0
        if not live.any():
            return 0.0
        return float(np.mean((x[1:] * x[:-1]).sum(axis=0)[live] / power[live]))

    def warnings_over(self, cells: int) -> tuple[str, ...]:
        """`warnings`, and one where several cells get the same column: intervals over cells are too short."""
        columns = self.values.shape[1]
        shared = f"{columns} recorded columns drive {cells} cells: intervals over the cells are too short"
        return (*self.warnings, *((shared,) if columns < cells else ()))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentence on successive steps that are not independent, as predictions take them to be."""
        if abs(self.correlation) <= MAX_CORRELATION:
            return ()
        return (
            f"recorded gradients follow each other (correlation {self.correlation:.2f}): the prediction "
            "takes them as independent, the simulation plays them as recorded",
        )


def recorded_gradient(path: str | os.PathLike[str]) -> RecordedGradient:
    """Recorded gradient of a file.

    Either .npy [steps] or [steps, cells], or a table with a row for each step and a column for each cell.

    Tables may have a header and any of the forms of `sptrack.fitting.tables`; columns that are named step,
    index or time are left out.

    Raises
    ------
    ParameterError
        A file that cannot be read; a field that is not a finite number (row and column are named).
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        try:
            return RecordedGradient(values=np.load(path, allow_pickle=False), name=os.fspath(path))
        except (OSError, ValueError, EOFError, TypeError) as error:
            reason = getattr(error, "strerror", None) or "not a .npy file of numbers"
            raise ParameterError(f"{path}: cannot be read ({reason})") from error
    table = read_table(path)
    columns = []
    for k in range(table.width):
        if table.header[k].strip().lower() in ("step", "steps", "index", "time", "t", "n"):
            continue
        values = to_numbers(table.columns[k], table.dialect.decimal or ".")[0]
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise ParameterError(
                f"{path}, row {table.rows[bad[0]]}, column {table.name(k)}: a gradient must be finite, "
                f"got {quoted(table.columns[k][bad[0]])}"
            )
        columns.append(values)
    if not columns:
        raise ParameterError(f"{path}: no column of gradients")
    return RecordedGradient(values=np.stack(columns, axis=1), name=os.fspath(path))
