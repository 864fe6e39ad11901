"""Pulse programs for a bench: written per cell, and read back with the bench's answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError
from sptrack.fitting.files import Measurement, read_measurement
from sptrack.fitting.programs import parse_program
from sptrack.fitting.recipe import Recipe
from sptrack.results import write_atomic

__all__ = ["read_answers", "write_program"]

_HEADER = "pulse,cell,direction,reading"
_WORDS = {1: "up", -1: "down", 0: "none"}


def write_program(
    program: str | ArrayLike, path: str | os.PathLike[str], *, shape: tuple[int, int] = (1, 1)
) -> None:
    """Write a pulse program for every cell of an array, to be sent by a bench.

    Parameters
    ----------
    program : str or array
        Text as `parse_program` takes it, or directions 1, -1, 0: [count] for all cells, or [count, R, C].
    path : str or path
        ``.npy``: directions int8 [count, R, C]. ``.csv``: a row for each pulse and cell (pulse, cell,
        direction, and an empty reading, which the bench fills in after the pulse).
    shape : (int, int)
        Rows and columns of the array; not used for a program [count, R, C].

    Raises
    ------
    ParameterError
        Directions that are none, or a path that ends on neither.
    """
    table = np.asarray(parse_program(program) if isinstance(program, str) else program)
    if table.ndim == 1:
        table = np.broadcast_to(table[:, None, None], (table.size, *shape))
    if table.ndim != 3 or not np.isin(table, (-1, 0, 1)).all():
        raise ParameterError(
            f"a program must be directions 1, -1 or 0, [count] or [count, R, C], got shape {table.shape}"
        )
    directions = np.ascontiguousarray(table, np.int8)
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        import io

        buffer = io.BytesIO()
        np.save(buffer, directions)
        write_atomic(path, buffer.getvalue())
    elif suffix == ".csv":
        lines = [_HEADER]
        for row in range(directions.shape[1]):
            for column in range(directions.shape[2]):
                one = directions[:, row, column].tolist()
                lines += [f"{k},{row} {column},{_WORDS[sign]}," for k, sign in enumerate(one, start=1)]
        write_atomic(path, "\n".join(lines) + "\n")
    else:
        raise ParameterError(f"{path}: a program is written as .csv or .npy")


def read_answers(
    program: str | os.PathLike[str],
    answers: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
) -> Measurement:
    """Read a program with the readings of the bench.

    Parameters
    ----------
    program : str or path
        ``.csv`` of `write_program` with its readings filled in; or ``.npy`` of it, with ``answers``.
    answers : str or path, optional
        ``.npy`` with a reading [count, R, C] after each pulse (NaN: none).
    recipe : Recipe, optional
        Unit and range of the readings.

    Raises
    ------
    ParameterError
        As in `read_measurement`; answers whose shape is not that of the program.
    """
    if answers is None:
        return read_measurement(Path(program), recipe)
    directions, readings = (_array(path) for path in (program, answers))
    if directions.shape != readings.shape or directions.ndim != 3:
        raise ParameterError(
            f"{answers}: readings must have the shape of the program, {directions.shape}, "
            f"got {readings.shape}"
        )
    return _through_table(directions, readings, recipe, Path(answers))


def _array(path: str | os.PathLike[str]) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise ParameterError(f"{os.fspath(path)}: cannot be read as .npy") from error


def _through_table(
    directions: NDArray[Any], readings: NDArray[Any], recipe: Recipe | None, near: Path
) -> Measurement:
    """Measurement of arrays, by way of the table that a bench would have filled in."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{near.stem}.csv"
        lines = [_HEADER]
        cells: Sequence[tuple[int, int]] = list(np.ndindex(directions.shape[1:]))
        for row, column in cells:
            pairs = zip(directions[:, row, column].tolist(), readings[:, row, column].tolist(), strict=True)
            lines += [
                f"{k},{row} {column},{_WORDS[int(sign)]},{value!r}"
                for k, (sign, value) in enumerate(pairs, 1)
            ]
        path.write_text("\n".join(lines) + "\n")
        return read_measurement(path, recipe)
