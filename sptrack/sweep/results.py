"""Results of a sweep: one labelled dataset of its cells, and one record per point."""

import json
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError, nearest
from sptrack.intervals import mean_interval
from sptrack.results import dataset, provenance, read_provenance, save
from sptrack.sweep.cells import Cell
from sptrack.sweep.commands import COMMANDS
from sptrack.sweep.folder import SweepFolder

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

ZARR, NETCDF = "sweep.zarr", "sweep.nc"
MISSING, DONE, REFUSED = 0, 1, 2
_OWN = ("seed", "state", "key")
_UNITS = {
    "steps": "steps",
    "read_every": "steps",
    "every": "steps",
    "half_period": "steps",
    "length": "samples",
    "pulses": "pulses per cell",
    "reads": "reads per cell",
    **dict.fromkeys(("read_noise", "dw_min", "target", "threshold", "w_max", "w_min"), "weight units"),
}
"""Units of parameters by their last name; all others are pure numbers."""


def sweep_dataset(folder: SweepFolder) -> "xr.Dataset":
    """Dataset of the cells of a sweep, as far as they are there.

    Parameters
    ----------
    folder : SweepFolder
        The sweep. Records that are damaged are removed and count as missing.

    Returns
    -------
    Dataset
        Of a grid over its axes and ``repeat``, of other designs over ``point``, along which the axes are
        coordinates, and ``repeat``. Quantities of the command with their units, NaN where a cell has none;
        ``state`` (0: missing, 1: done, 2: refused by the command), ``seed`` and ``key`` of every cell.
    """
    cells = list(folder.cells())
    place = {cell.key: k for k, cell in enumerate(cells)}
    state = np.full(len(cells), MISSING, np.int8)
    values: dict[str, Array] = {}
    units: dict[str, str] = {}
    for key, record in folder.records(place):
        state[place[key]] = REFUSED if record.refused else DONE
        for name, (value, unit) in record.quantities.items():
            units[name] = unit
            values.setdefault(name, np.full(len(cells), np.nan))[place[key]] = value
    dimensions, shape, coordinates = _axes(folder, cells)
    meaning = {"units": "1", "flag_values": [MISSING, DONE, REFUSED], "flag_meanings": "missing done refused"}
    columns: dict[str, tuple[Array, dict[str, Any]]] = {
        name: (column, {"units": units[name]}) for name, column in values.items()
    }
    columns["state"] = (state, meaning)
    columns["seed"] = (np.array([cell.seed for cell in cells], np.int64), {"units": "1"})
    columns["key"] = (np.array([cell.key for cell in cells]), {"units": "1"})
    variables = {
        name: (dimensions, column.reshape(shape), about) for name, (column, about) in columns.items()
    }
    told = folder.told
    del told["parameters"]
    return dataset(variables, coordinates, provenance(seed=told["seed"], parameters=told))


def collect(folder: SweepFolder, *, netcdf: bool = False) -> "xr.Dataset":
    """Write the dataset of a sweep into its folder: ``sweep.zarr``, and ``sweep.nc`` if asked for.

    What is there of the same name is replaced when the new one is whole.
    """
    data = sweep_dataset(folder)
    temporary, target = (folder.path / f".sptrack-{secrets.token_hex(6)}" for _ in range(2))
    try:
        data.to_zarr(temporary, mode="w", zarr_format=2, consolidated=True)
        if (folder.path / ZARR).exists():
            (folder.path / ZARR).rename(target)
        temporary.rename(folder.path / ZARR)
    finally:
        for path in (temporary, target):
            shutil.rmtree(path, ignore_errors=True)
    if netcdf:
        save(data, folder.path / NETCDF)
    return data


def quantities(data: "xr.Dataset") -> list[str]:
    """Names of the quantities of a sweep's dataset."""
    return [str(name) for name in data.data_vars if name not in _OWN]


def chosen_quantity(data: "xr.Dataset", name: str | None = None) -> str:
    """A quantity by name; None: the one by which cells of the command are ranked.

    Raises
    ------
    ParameterError
        A sweep without any quantity, or without that one.
    """
    known = quantities(data)
    if not known:
        raise ParameterError("the sweep must have a cell that is done, got none")
    best = COMMANDS[read_provenance(data)["parameters"]["command"]].best
    wanted = (best if best in known else known[0]) if name is None else name
    if wanted not in known:
        raise ParameterError(
            f"unknown quantity {wanted!r}; choose from {', '.join(known)}{nearest(wanted, known)}"
        )
    return wanted


def sweep_rows(data: "xr.Dataset") -> list[dict[str, Any]]:
    """One record per point of a dataset of `sweep_dataset`, in the order of the design.

    Keys: ``point`` (values of the axes by name), ``done`` (its cells with quantities), ``quantities``: by
    name the mean over the cells, and ``ci``, its 95 % interval (`sptrack.intervals.mean_interval`).
    """
    axes = read_provenance(data)["parameters"]["axes"]
    flat = data.stack({"one": [name for name in data["state"].dims if name != "repeat"]})
    flat = flat.transpose("one", "repeat")
    labels = [flat[name].values.tolist() for name in axes]
    done = (flat["state"].values == DONE).sum(axis=1).tolist()
    tables = {name: flat[name].values for name in quantities(data)}
    rows = []
    for k, point in enumerate(zip(*labels, strict=True)):
        told = {}
        for name, table in tables.items():
            known = table[k][~np.isnan(table[k])]
            mean = float(known.mean()) if known.size else None
            told[name] = {"mean": mean, "ci": mean_interval(known)}
        rows.append({"point": dict(zip(axes, point, strict=True)), "done": done[k], "quantities": told})
    return rows


def _axes(folder: SweepFolder, cells: list[Cell]) -> tuple[tuple[str, ...], tuple[int, ...], dict[str, Any]]:
    """Dimensions, shape and coordinates of the variables, whose cells are in the order of the design."""
    repeats = folder.repeats
    points = [cell.point for cell in cells[::repeats]]
    columns = {name: [point[k] for point in points] for k, name in enumerate(folder.axes)}
    coordinates: dict[str, Any] = {"repeat": ("repeat", np.arange(repeats), {"units": "1"})}
    if folder.design == "grid":
        different = {name: list({_label(v): v for v in column}.values()) for name, column in columns.items()}
        for name, values in different.items():
            coordinates[name] = (name, *_coordinate(name, values))
        sizes = (len(values) for values in different.values())
        return (*folder.axes, "repeat"), (*sizes, repeats), coordinates
    coordinates["point"] = ("point", np.arange(len(points)), {"units": "1"})
    for name, column in columns.items():
        coordinates[name] = ("point", *_coordinate(name, column))
    return ("point", "repeat"), (len(points), repeats), coordinates


def _coordinate(name: str, values: list[Any]) -> tuple[Array, dict[str, str]]:
    """Numbers with their unit, or texts: JSON of what is neither."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values), {"units": _UNITS.get(name.rpartition(".")[2], "1")}
    return np.array([_label(value) for value in values]), {}


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def dataset_path(folder: Path) -> Path:
    """Where `collect` writes the dataset."""
    return folder / ZARR
