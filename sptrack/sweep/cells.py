"""A cell of a sweep: its hash and seed, and its record in a file, written by whoever computed it."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sptrack.errors import MissingExtraError, ParameterError, SptrackError, one_line
from sptrack.results import write_atomic
from sptrack.sweep.commands import COMMANDS, Outcome, Parameters, prepare

_KEY = 32
_SEED_BITS = 48
"""Exact in JSON everywhere; two of a million cells share a seed with a probability of 0.2 %."""


class Cell(NamedTuple):
    """One run of a sweep.

    Parameters
    ----------
    key : str
        Hash of command, parameters, repeat and seed: 32 hexadecimal digits.
    seed : int
        Seed of the run.
    repeat : int
        Which repeat of its point it is.
    point : tuple
        Values of the axes.
    parameters : mapping
        All parameters of the command.
    """

    key: str
    seed: int
    repeat: int
    point: tuple[Any, ...]
    parameters: Parameters


class Record(NamedTuple):
    """Contents of a cell's file: quantities, or the reason for which the command refused the parameters."""

    quantities: Outcome
    refused: str


class Damaged(ParameterError):
    """A file of a cell that was cut or changed."""


def make_cell(
    command: str, parameters: Parameters, point: tuple[Any, ...], repeat: int, root: tuple[int, bool]
) -> Cell:
    """Cell with its hash and its seed.

    The seed is the child of the root seed whose spawn key is a hash of what the cell is (``paired``: of the
    number of the repeat alone), so that it depends on no other cell.

    Parameters
    ----------
    root : (int, bool)
        Root seed; whether repeats are paired.
    """
    content = {"command": command, "parameters": parameters, "repeat": repeat}
    seed_root, paired = root
    told = {"repeat": repeat} if paired else content
    words = np.frombuffer(hashlib.sha256(_text(told).encode()).digest(), "<u4")
    child = np.random.SeedSequence(seed_root, spawn_key=tuple(int(word) for word in words))
    seed = int(child.generate_state(1, np.uint64)[0]) >> (64 - _SEED_BITS)
    key = hashlib.sha256(_text(content | {"seed": seed}).encode()).hexdigest()[:_KEY]
    return Cell(key, seed, repeat, point, parameters)


def cell_path(folder: Path, key: str) -> Path:
    """File of a cell in the folder of its sweep."""
    return folder / "cells" / key[:2] / f"{key}.json"


def run_cell(folder: str, command: str, parameters: Parameters, seed: int, key: str) -> str:
    """Compute a cell and write its record; what every engine calls, in whatever process.

    Parameters
    ----------
    folder : str
        Folder of the sweep, absolute.
    command : str
        Name of the command.
    parameters : mapping
        Parameters of the cell.
    seed, key
        Seed and hash of the cell.

    Returns
    -------
    str
        Path of the record. That the command refuses the parameters is a result like others.

    Raises
    ------
    MissingExtraError
        A package is missing where the cell is computed: nothing is written.
    """
    path = cell_path(Path(folder), key)
    body: dict[str, Any] = {"cell": key, "command": command, "seed": seed}
    try:
        found = prepare(command, parameters)(seed)
        body["quantities"] = {name: [_stored(value), unit] for name, (value, unit) in found.items()}
    except MissingExtraError:
        raise
    except SptrackError as error:
        body["refused"] = one_line(error)
    digest = hashlib.sha256(_text(body).encode()).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, _text({"record": body, "sha256": digest}) + "\n", durable=False)
    return str(path)


def read_record(path: Path) -> Record:
    """Record of a cell.

    Raises
    ------
    Damaged
        If the file cannot be read, or was cut or changed.
    """
    try:
        told = json.loads(path.read_bytes())
        body = told["record"]
        if told["sha256"] != hashlib.sha256(_text(body).encode()).hexdigest() or body["cell"] != path.stem:
            raise ValueError("digest")
        quantities = {
            name: (_loaded(value), str(unit)) for name, (value, unit) in body.get("quantities", {}).items()
        }
        return Record(quantities, str(body.get("refused", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path}: damaged, not a whole record of a cell") from error


def warm_up(command: str, kinds: tuple[Parameters, ...]) -> None:
    """Compile what cells of these parameters need: run each kind once, made short, and forget the results."""
    for parameters in kinds:
        try:
            prepare(command, {**parameters, **COMMANDS[command].small})(0)
        except SptrackError:
            continue


def kinds(cells: Iterable[Cell]) -> tuple[Parameters, ...]:
    """Parameters of one cell of each kind: those of a kind differ in numbers alone."""
    found: dict[str, Parameters] = {}
    for cell in cells:
        found.setdefault(_text(_unnumbered(cell.parameters)), cell.parameters)
    return tuple(found.values())


def one_thread() -> AbstractContextManager[Any]:
    """Linear algebra in one thread from now on, or until the end of a ``with`` block.

    Sums are then taken in the same order everywhere, and each worker keeps to a processor. Without
    threadpoolctl, which the extra brings, only the variables of the process (`engines.THREADS`) see to that.
    """
    import scipy.linalg  # noqa: F401 - loads the library that is to be limited

    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


@cache
def stay_in_one_thread() -> None:
    """`one_thread` for the rest of this process."""
    one_thread()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _stored(value: float) -> float | str | None:
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def _loaded(value: Any) -> float:
    return math.nan if value is None else float(value)


def _unnumbered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unnumbered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unnumbered(item) for item in value]
    return 0 if isinstance(value, int | float) and not isinstance(value, bool) else value
