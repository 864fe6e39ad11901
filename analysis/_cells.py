"""Cells of a study: its loop over settings, computed here or by workers and kept until the study is done.

A study calls `each` with a function and the settings of the loop. While `produce` runs it, every result goes
to a file of the folder ``NAME.cells`` beside the figure, under a hash of the function's name, its arguments
and the sources of the study. What is there is not computed again, so that a study goes on after any
interrupt; nothing is taken over from other sources. The folder is removed when the figure is written.
A study that is called as a function loops in plain Python and keeps nothing.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sptrack.errors import ParameterError, SptrackError
from sptrack.files import sealed, unsealed, write_atomic
from sptrack.sweep.engines import Engine, Task

Cell = Callable[..., Any]
"""A function at the top of a module, whose result is numbers or a mapping of them."""
_WHOLE = "value"


@dataclass(frozen=True)
class _Sitting:
    """Where cells are kept, who computes them, and the hashes of the sources on which they depend."""

    folder: Path
    engine: Engine | None
    sources: Mapping[str, str]


_SITTING: ContextVar[_Sitting | None] = ContextVar("sitting", default=None)


@contextmanager
def cells_kept(folder: Path, sources: Mapping[str, str], engine: Engine | None = None) -> Iterator[None]:
    """Keep the cells of the study that runs inside the block; they are removed if it succeeds.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    sources : mapping
        Hashes of all sources that determine the results.
    engine : Engine or None
        Who computes; None: this process.
    """
    token = _SITTING.set(_Sitting(folder, engine, sources))
    try:
        yield
    finally:
        _SITTING.reset(token)
    shutil.rmtree(folder, ignore_errors=True)


def each(cell: Cell, points: Sequence[tuple[Any, ...]], **common: Any) -> list[Any]:
    """Results of a function for each of many settings, in their order.

    Parameters
    ----------
    cell : callable
        Called as ``cell(*point, **common)``.
    points : sequence of tuple
        Settings: plain values (numbers, texts, truth values, None, tuples of them).
    **common
        Plain values for all. ``threads`` changes no result; workers get 1.

    Returns
    -------
    list of ndarray or dict of ndarray

    Raises
    ------
    SptrackError
        A worker that died, or an error in one; what the function raises here otherwise.
    """
    sitting = _SITTING.get()
    if sitting is None:
        return [_arrays(cell(*point, **common)) for point in points]
    paths = [_path(sitting, cell, point, common) for point in points]
    missing = {path: point for path, point in zip(paths, points, strict=True) if _read(path) is None}
    if sitting.engine is None:
        for path, point in missing.items():
            compute(str(path), cell, point, common)
    else:
        alone = common | {"threads": 1} if "threads" in common else common
        tasks = [Task(path.stem, compute, (str(path), cell, point, alone)) for path, point in missing.items()]
        for over in sitting.engine.run(tasks, _nothing):
            if over.error:
                raise SptrackError(f"{cell.__module__}: a cell was not computed: {over.error}")
    return [_known(path) for path in paths]


def compute(path: str, cell: Cell, point: tuple[Any, ...], common: Mapping[str, Any]) -> None:
    """Compute a cell and write its result; what every engine calls, in whatever process."""
    found = _arrays(cell(*point, **common))
    buffer = io.BytesIO()
    np.savez(buffer, **(found if isinstance(found, dict) else {_WHOLE: found}))
    Path(path).parent.mkdir(exist_ok=True)
    write_atomic(path, sealed(buffer.getvalue()))


def _path(sitting: _Sitting, cell: Cell, point: tuple[Any, ...], common: Mapping[str, Any]) -> Path:
    """File of a cell, named by a hash of all that determines its result."""
    told = {name: value for name, value in common.items() if name != "threads"}
    content = [cell.__module__, cell.__qualname__, point, told, dict(sitting.sources)]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    return sitting.folder / f"{key}.npz"


def _read(path: Path) -> Any:
    """Result in a file; None if there is none, or one that was cut or changed."""
    try:
        content = unsealed(path.read_bytes(), str(path))
    except (OSError, ParameterError):
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        found = dict(archive)
    return found.get(_WHOLE, found)


def _known(path: Path) -> Any:
    found = _read(path)
    if found is None:
        raise SptrackError(f"{path}: the result of a cell is gone; run the same command again")
    return found


def _arrays(found: Any) -> Any:
    if isinstance(found, Mapping):
        return {name: np.asarray(value) for name, value in found.items()}
    return np.asarray(found)


def _nothing() -> None:
    """No warm-up: workers find the kernels in the cache, or compile them there once."""
