"""Checkpoints: named arrays in one ``.npz`` file with a digest of all its bytes, and checks of each."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError, one_line
from sptrack.files import sealed, unsealed, write_atomic
from sptrack.values import integer_array

Array = NDArray[Any]


def write_state(path: str | Path, state: dict[str, Array]) -> None:
    """Write named arrays to a ``.npz`` file (temporary name, flushed, renamed), sealed by a digest."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **state)
    write_atomic(path, sealed(buffer.getbuffer()))


def read_state(path: str | Path) -> dict[str, Array]:
    """Named arrays of a file made by `write_state`.

    Raises
    ------
    ParameterError
        If the file is missing, cut short, changed, or of another kind.
    """
    try:
        content = unsealed(Path(path).read_bytes(), f"{path}: not a checkpoint")
    except OSError as error:
        raise ParameterError(f"{path}: not a checkpoint ({one_line(error)})") from error
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)


def entry(state: Mapping[str, Any], name: str, like: Array) -> Array:
    """Copy of a named array of a state, which must have the shape and type of another and be finite.

    Raises
    ------
    ParameterError
        It is missing or has not.
    """
    if name not in state:
        raise ParameterError(f"checkpoint without {name!r}: not made by `checkpoint` of the same kind")
    found = np.array(state[name], order="C")
    if found.shape != like.shape or found.dtype != like.dtype:
        raise ParameterError(
            f"checkpoint of another size, precision or method: {name} must be {like.dtype} "
            f"{list(like.shape)}, got {found.dtype} {list(found.shape)}"
        )
    if not np.isfinite(found).all():
        raise ParameterError(f"checkpoint: {name} must be finite")
    return found


def counts(state: Mapping[str, Any], name: str, shape: tuple[int | None, ...]) -> Array:
    """Whole numbers from 0 of a state, int64, of a shape in which None is any length.

    Raises
    ------
    ParameterError
        They are missing, or are anything else.
    """
    if name not in state:
        raise ParameterError(f"checkpoint without {name!r}: not made by `checkpoint` of the same kind")
    found = integer_array(state[name], f"checkpoint: {name}")
    fits = len(found.shape) == len(shape) and all(
        n in (None, m) for n, m in zip(shape, found.shape, strict=True)
    )
    if not fits or (found < 0).any():
        raise ParameterError(f"checkpoint: {name} must be numbers >= 0 of its shape, got {list(found.shape)}")
    return found.copy()
