"""Results as data: labelled arrays with units and provenance, and the only ways in which files are written.

A dataset file is netCDF 4 followed by a line ``sha256:<digest of all bytes before it>``. Readers of netCDF
ignore the line; `load` verifies it. A file appears under its final name complete or not at all.
"""

import hashlib
import io
import json
import math
import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from sptrack import __version__
from sptrack.errors import ParameterError, one_line

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "dataset",
    "json_text",
    "load",
    "output_folder",
    "provenance",
    "read_provenance",
    "save",
    "write_atomic",
]

_SEAL = b"\nsha256:"
_SEAL_SIZE = len(_SEAL) + 64
_FILE_LIST = ".sptrack"


def provenance(*, seed: int | None, parameters: Any) -> dict[str, Any]:
    """Describe how a result was made.

    Parameters
    ----------
    seed
        Root seed of the run, or None when nothing random was drawn.
    parameters
        Everything else that fixed the result: mappings, dataclasses, arrays, plain values.

    Returns
    -------
    dict
        Plain JSON values: versions, ``seed``, ``parameters``, ``machine`` and ``created`` (UTC, ISO 8601).
    """
    from llvmlite.binding import get_host_cpu_name

    return {
        "sptrack": __version__,
        "seed": seed,
        "parameters": _plain(parameters),
        "machine": f"{platform.system()} {platform.machine()} {get_host_cpu_name()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "numba": version("numba"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def dataset(
    variables: Mapping[str, tuple[Any, Any, Mapping[str, Any]]],
    coordinates: Mapping[str, tuple[Any, Any, Mapping[str, Any]]],
    origin: Mapping[str, Any],
) -> "xr.Dataset":
    """Build a labelled dataset with units and provenance.

    Parameters
    ----------
    variables, coordinates
        Name to ``(dimensions, values, attributes)``. The attributes hold ``units`` ("weight units", "pulses",
        "1" for a pure number); a coordinate of strings may do without.
    origin
        What `provenance` returned; kept as the attribute ``provenance`` in JSON.

    Returns
    -------
    xarray.Dataset
        Named dimensions such as ``pulses``, ``row``, ``column``, ``seed``, ``setting``.

    Raises
    ------
    ParameterError
        If a unit is missing or a shape does not fit its dimensions.
    """
    import xarray as xr

    try:
        made = xr.Dataset(dict(variables), dict(coordinates), {"provenance": json_text(origin)})
    except ValueError as error:
        raise ParameterError(f"dataset: {one_line(error)}") from error
    _require_units(made)
    return made


def save(result: "xr.Dataset", path: str | os.PathLike[str]) -> None:
    """Write the dataset ``result`` as netCDF, sealed with its SHA-256 checksum.

    A file at ``path`` is replaced at once when the new one is complete.

    Raises
    ------
    ParameterError
        If units or provenance are missing, or the path cannot hold a file.
    """
    _require_units(result)
    read_provenance(result)
    content = result.to_netcdf(engine="h5netcdf")
    write_atomic(path, b"".join((content, _seal(content))))


def load(path: str | os.PathLike[str]) -> "xr.Dataset":
    """Read a dataset that `save` wrote to ``path`` into memory, after verifying its checksum.

    Raises
    ------
    ParameterError
        If the file is missing, was not written by `save`, or was cut or changed since.
    """
    import xarray as xr

    try:
        sealed = Path(path).read_bytes()
    except OSError as error:
        raise ParameterError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from error
    content, seal = sealed[:-_SEAL_SIZE], sealed[-_SEAL_SIZE:]
    if not seal.startswith(_SEAL):
        raise ParameterError(f"{os.fspath(path)}: not a complete sptrack dataset (no checksum at its end)")
    if seal != _seal(content):
        raise ParameterError(f"{os.fspath(path)}: damaged, its content does not match its SHA-256 checksum")
    return xr.load_dataset(io.BytesIO(content), engine="h5netcdf")


def read_provenance(result: "xr.Dataset") -> dict[str, Any]:
    """Return the provenance kept in a dataset: what `provenance` returned when the result was made.

    Raises
    ------
    ParameterError
        If the dataset holds none.
    """
    try:
        found = json.loads(result.attrs["provenance"])
    except (KeyError, TypeError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ParameterError("dataset: attribute 'provenance' is missing or not a JSON object")
    return found


def json_text(value: Any) -> str:
    """Return a value as strict JSON text, indented, with a final newline.

    Mappings, sequences, arrays, dataclasses, paths, plain values nest at will; NaN and infinity become null.

    Raises
    ------
    ParameterError
        If some value has no JSON form.
    """
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file under a temporary name, flush it to disk and rename it.

    A file of that name is replaced; text is written as UTF-8.

    Raises
    ------
    ParameterError
        If the folder does not exist or the path is a folder.
    OSError
        If the disk refuses; the target is then as it was.
    """
    target = Path(path)
    _require_parent(target)
    if target.is_dir():
        raise ParameterError(f"{target}: is a folder, a file name is needed")
    temporary = _hidden_sibling(target)
    try:
        with temporary.open("xb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def output_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a folder to write into that appears under its name only if the block succeeds.

    Parameters
    ----------
    path
        Target folder. If it exists it must be empty or written by sptrack before: its files are then replaced
        one by one, those of an earlier run that this one did not write are removed, others stay.

    Yields
    ------
    pathlib.Path
        A temporary folder beside the target; removed, and the target left as it was, when the block raises.

    Raises
    ------
    ParameterError
        If the target is a file, its parent does not exist, or it holds files that sptrack did not write.
    """
    target = Path(path).resolve()
    _require_parent(target)
    if target.exists() and not target.is_dir():
        raise ParameterError(f"{path}: is a file, a folder name is needed")
    if target.exists() and any(target.iterdir()) and not (target / _FILE_LIST).is_file():
        raise ParameterError(f"{path}: holds files that sptrack did not write; name a new or an empty folder")
    temporary = _hidden_sibling(target)
    temporary.mkdir()
    try:
        yield temporary
        _publish(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, target: Path) -> None:
    """Move the files of a finished temporary folder to the target and list them there."""
    names = sorted(f.relative_to(temporary).as_posix() for f in temporary.rglob("*") if f.is_file())
    write_atomic(temporary / _FILE_LIST, "".join(f"{name}\n" for name in names))
    if not target.is_dir():
        temporary.rename(target)
        return
    listed = target / _FILE_LIST
    earlier = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    for name in [*names, _FILE_LIST]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (temporary / name).replace(target / name)
    for name in set(earlier) - set(names):
        if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts:
            (target / name).unlink(missing_ok=True)


def _require_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise ParameterError(f"{target}: folder '{target.parent}' does not exist")


def _hidden_sibling(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}")


def _seal(content: bytes | memoryview) -> bytes:
    return _SEAL + hashlib.sha256(content).hexdigest().encode()


def _require_units(result: "xr.Dataset") -> None:
    for name, values in result.variables.items():
        label = name in result.coords and values.dtype.kind in "OSTU"
        if not label and not values.attrs.get("units"):
            raise ParameterError(f"dataset: variable {str(name)!r} has no units ('1' for a pure number)")


def _plain(value: Any) -> Any:
    """Turn a value into what JSON can hold; NaN and infinities become None."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise ParameterError(f"a value of type {type(value).__name__} has no JSON form: {one_line(repr(value))}")
