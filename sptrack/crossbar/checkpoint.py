"""Checkpoints on disk: named arrays in one ``.npz`` file."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError, one_line
from sptrack.results import write_atomic

Array = NDArray[Any]


def write_state(path: str | Path, state: dict[str, Array]) -> None:
    """Write named arrays to a ``.npz`` file (temporary name, flushed, renamed)."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **state)
    write_atomic(path, buffer.getvalue())


def read_state(path: str | Path) -> dict[str, Array]:
    """Named arrays of a file made by `write_state`.

    Raises
    ------
    ParameterError
        If the file is missing, cut short, or of another kind.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ParameterError(f"{path}: not a checkpoint ({one_line(error)})") from error
