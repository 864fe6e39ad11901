"""Results as data: labelled arrays with units and provenance.

A dataset file is netCDF 4 followed by a line ``sha256:<digest of all bytes before it>``. Readers of netCDF
ignore the line; `load` verifies it. A file appears under its final name complete or not at all.
"""

import io
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sptrack import __version__
from sptrack.errors import ParameterError, one_line
from sptrack.files import output_folder, sealed, unsealed, write_atomic
from sptrack.invocation import command_line

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Arrays",
    "Labelled",
    "arrays",
    "dataset",
    "json_text",
    "load",
    "output_folder",
    "provenance",
    "read_provenance",
    "save",
    "write_atomic",
]

Variable = tuple[Any, Any, Mapping[str, Any]]
"""Dimensions, values and attributes."""


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
        Plain JSON values: versions, ``seed``, ``parameters``, ``machine``, ``created`` (UTC, ISO 8601) and
        ``command``, the command line that runs, None in a Python program.
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
        "command": command_line(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@dataclass(frozen=True, slots=True)
class Arrays:
    """Labelled arrays with units and provenance, as numpy holds them: what `dataset` makes, without xarray.

    ``arrays[name]`` are the values of a variable or coordinate; `save` writes them, `labelled` makes the
    xarray dataset that `load` reads from that file.

    Parameters
    ----------
    variables, coordinates
        Name to ``(dimensions, values, attributes)``, see `dataset`.
    attrs
        Attributes of the whole; ``provenance`` in JSON is needed to be saved.

    Raises
    ------
    ParameterError
        If a unit is missing or a shape does not fit its dimensions.
    """

    variables: Mapping[str, Variable]
    coordinates: Mapping[str, Variable]
    attrs: dict[str, str]

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for name, (dimensions, values, attributes) in self._all().items():
            _require_unit(name, np.asarray(values), attributes, name in self.coordinates)
            given, shape = _names(dimensions), np.shape(values)
            known = tuple(sizes.setdefault(d, n) for d, n in zip(given, shape, strict=False))
            if len(given) != len(shape) or known != shape:
                raise ParameterError(
                    f"dataset: {name!r} has shape {shape}, its dimensions {given} are {known}"
                )

    def __contains__(self, name: object) -> bool:
        return name in self.variables or name in self.coordinates

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._all()[name][1])

    def _all(self) -> dict[str, Variable]:
        return {**self.coordinates, **self.variables}

    def labelled(self) -> "xr.Dataset":
        """The same as an xarray dataset."""
        import xarray as xr

        return xr.Dataset(dict(self.variables), dict(self.coordinates), dict(self.attrs))

    def netcdf(self) -> bytes:
        """The same as a netCDF 4 file, by the conventions of xarray for truth values and coordinates."""
        import h5netcdf
        import h5py

        buffer = io.BytesIO()
        with h5netcdf.File(buffer, "w") as file:
            for name, (dimensions, values, attributes) in self._all().items():
                data, given = np.asarray(values), _names(dimensions)
                for dimension, size in zip(given, data.shape, strict=True):
                    if dimension not in file.dimensions:
                        file.dimensions[dimension] = size
                text, truth = data.dtype.kind in "OTU", data.dtype.kind == "b"
                kind = h5py.string_dtype() if text else np.int8 if truth else data.dtype
                made = file.create_variable(name, given, kind)
                made[...] = data.astype(object) if text else data
                made.attrs.update({**attributes, **({"dtype": "bool"} if truth else {})})
                beside = self._coordinates_beside(given)
                if beside and name in self.variables:
                    made.attrs["coordinates"] = " ".join(beside)
            file.attrs.update(self.attrs)
        return buffer.getvalue()

    def _coordinates_beside(self, dimensions: tuple[str, ...]) -> list[str]:
        """Coordinates along some of these dimensions that do not name one."""
        along = {name: _names(entry[0]) for name, entry in self.coordinates.items()}
        return [name for name, own in along.items() if own != (name,) and set(own) <= set(dimensions)]


def arrays(
    variables: Mapping[str, Variable], coordinates: Mapping[str, Variable], origin: Mapping[str, Any]
) -> Arrays:
    """Labelled arrays with units and provenance, made from the arguments of `dataset`."""
    return Arrays(variables, coordinates, {"provenance": json_text(origin)})


def dataset(
    variables: Mapping[str, Variable], coordinates: Mapping[str, Variable], origin: Mapping[str, Any]
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
    return arrays(variables, coordinates, origin).labelled()


class Labelled(Protocol):
    """A result that `save` takes: it makes its own dataset."""

    def labelled(self) -> "xr.Dataset":
        """The result as a dataset with units and provenance."""
        ...


def save(result: "xr.Dataset | Labelled", path: str | os.PathLike[str]) -> None:
    """Write a result as netCDF, sealed with its SHA-256 checksum.

    A file at ``path`` is replaced at once when the new one is complete.

    Parameters
    ----------
    result : Dataset or result object
        A dataset, or what makes one with ``labelled()``: `Arrays`, `Track`, `Calibration`, `Design`, a report
        of `verify`.
    path : path
        File to write; its folder must exist.

    Raises
    ------
    ParameterError
        If ``result`` is something else, units or provenance are missing, or the path cannot hold a file.
    """
    if not isinstance(result, Arrays):
        result = _dataset_of(result)
    read_provenance(result)
    if isinstance(result, Arrays):
        content: bytes | memoryview = result.netcdf()
    else:
        for name, values in result.variables.items():
            _require_unit(str(name), values, values.attrs, name in result.coords)
        content = result.to_netcdf(engine="h5netcdf")
    write_atomic(path, sealed(content))


def _dataset_of(result: Any) -> "xr.Dataset":
    import xarray as xr

    made = result.labelled() if hasattr(result, "labelled") else result
    if not isinstance(made, xr.Dataset):
        raise ParameterError(
            f"save: {type(result).__name__} is no result; give a dataset, or an object with labelled()"
        )
    return made


def load(path: str | os.PathLike[str]) -> "xr.Dataset":
    """Read a dataset that `save` wrote to ``path`` into memory, after verifying its checksum.

    Raises
    ------
    ParameterError
        If the file is missing, was not written by `save`, or was cut or changed since.
    """
    import xarray as xr

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ParameterError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from error
    content = unsealed(data, f"{os.fspath(path)}: not a complete sptrack dataset")
    return xr.load_dataset(io.BytesIO(content), engine="h5netcdf")


def read_provenance(result: "xr.Dataset | Arrays") -> dict[str, Any]:
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


def _require_unit(name: str, values: Any, attributes: Mapping[str, Any], coordinate: bool) -> None:
    label = coordinate and values.dtype.kind in "OSTU"
    if not label and not attributes.get("units"):
        raise ParameterError(f"dataset: variable {name!r} has no units ('1' for a pure number)")


def _names(dimensions: Any) -> tuple[str, ...]:
    return (dimensions,) if isinstance(dimensions, str) else tuple(dimensions)


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
