"""Training runs as plain mappings, such as TOML files and sweeps hold."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from sptrack.blocks.spec import chopper_from, reference_from
from sptrack.devices.config import described_scalar, device_from_mapping, device_named
from sptrack.errors import ParameterError, nearest
from sptrack.nn.data import Images, load_images
from sptrack.nn.training import TrainSettings, published_batch, published_device, published_settings
from sptrack.tiles import AnalogIO, TileSettings

TABLES = ("tile", "io", "filter", "chopper", "device")
"""Tables of a file; filter, chopper and device may also be texts."""
NUMBERS = {
    "ref_mean": float,
    "ref_std": float,
    "lr": float,
    "batch": int,
    "per_sample": bool,
    "seed": int,
    "device_seed": int,
}
METHOD, NET, DATA = "e-rider", "fcn", "digits"
_TILE: dict[str, type] = {
    "fast_lr": float,
    "scale_fast_lr": bool,
    "train_length": int,
    "transfer_lr": float,
    "scale_transfer_lr": bool,
    "transfer_every": int,
    "gamma": float,
    "residual": str,
    "hold": int,
    "beyond_bounds": bool,
    "frozen": bool,
    "calibration": int,
    "reference": str,
    "auto_granularity": float,
    "momentum": float,
}
"""Keys of the table [tile], and the types of their values."""
_REF_STD = 0.05


def images_named(data: str) -> Images:
    """Images of a name, see `load_images`; "mnist" is the folder mnist/ in SPTRACK_DATA.

    Raises
    ------
    ParameterError
        SPTRACK_DATA is not set, or as in `load_images`.
    """
    if data != "mnist":
        return load_images(data)
    place = os.environ.get("SPTRACK_DATA")
    if not place:
        raise ParameterError("data mnist: set SPTRACK_DATA to the folder that holds mnist/, or pass its path")
    return load_images(str(Path(place) / "mnist"))


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch in one thread meanwhile: sums in one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train_settings(mapping: Mapping[str, Any], where: str) -> TrainSettings:
    """Settings of a training run.

    Parameters
    ----------
    mapping : mapping
        ``method``, ``net``, ``data`` (texts), ``ref_mean``, ``ref_std`` (weight units), ``lr``, ``batch``,
        ``per_sample``, ``seed``, ``device_seed``, and the tables ``tile``, ``io`` (fields of `AnalogIO`),
        ``filter``, ``chopper`` and ``device``, the last three also as texts. What is missing has the default
        of the method or of the published runs: an error 0 +- 0.05 of the reference, unless the device has a
        ``reference`` of its own, and the noise of the published converter on reads, unless the device has a
        ``read_noise``.
    where : str
        What error texts call the mapping: the name of a file.

    Raises
    ------
    ParameterError
        Unknown method or key (with the nearest valid one), or a value of a wrong type or range.
    """
    known = ("method", "net", "data", *NUMBERS, *TABLES)
    for key in mapping:
        if key not in known:
            raise ParameterError(
                f"{where}: unknown key {key!r}; choose from {', '.join(known)}{nearest(key, known)}"
            )
    name, net, data = (
        described_scalar(str, mapping.get(key, default), key, where)
        for key, default in (("method", METHOD), ("net", NET), ("data", DATA))
    )
    given = {
        key: described_scalar(kind, mapping[key], key, where)
        for key, kind in NUMBERS.items()
        if key in mapping
    }
    settings, lr = published_settings(name, net)
    if "tile" in mapping:
        settings = _with_tile(settings, mapping["tile"], where)
    if "filter" in mapping:
        found = reference_from(mapping["filter"], "filter")
        settings = replace(settings, reference=found)
    if "chopper" in mapping:
        settings = replace(settings, chopper=chopper_from(mapping["chopper"], "chopper"))
    device = mapping.get("device")
    if isinstance(device, str):
        device = device_named(device)
    elif device is not None:
        device = device_from_mapping(device, f"{where}: device")
    asked = {key: given.pop(key) for key in ("ref_mean", "ref_std") if key in given}
    own = None if device is None else device.reference
    if own is None or asked:
        mean = asked.get("ref_mean", 0.0 if own is None else own.mean)
        device = published_device(mean, asked.get("ref_std", _REF_STD if own is None else own.std), device)
    assert device is not None
    if device.read_noise > 0:
        settings = replace(settings, reads=replace(settings.reads, output_noise=device.read_noise))
    if "io" in mapping:
        settings = _with_io(settings, mapping["io"], where)
    return TrainSettings(
        **({"lr": lr, "per_sample": data == "digits", "batch": published_batch(net)} | given),
        net=net,
        settings=settings,
        device=device,
    )


def _with_io(settings: TileSettings, table: Any, where: str) -> TileSettings:
    """Settings with the converters of a table [io]: of both passes and, but for management, of reads."""
    if not isinstance(table, Mapping):
        raise ParameterError(f"{where}: io must be a table, got {table!r}")
    kinds = {one.name: type(one.default) for one in fields(AnalogIO)}
    for key in table:
        if key not in kinds:
            raise ParameterError(f"{where}: unknown key {key!r} in [io]{nearest(key, kinds)}")
    own = {key: described_scalar(kinds[key], value, f"io.{key}", where) for key, value in table.items()}
    of_reads = {key: value for key, value in own.items() if not key.endswith("_management")}
    changed = {key: replace(getattr(settings, key), **own) for key in ("forward", "backward")}
    return replace(settings, **changed, reads=replace(settings.reads, **of_reads))


def _with_tile(settings: TileSettings, table: Any, where: str) -> TileSettings:
    """Settings with the keys of a table [tile]."""
    if not isinstance(table, Mapping):
        raise ParameterError(f"{where}: tile must be a table, got {table!r}")
    for key in table:
        if key not in _TILE:
            raise ParameterError(f"{where}: unknown key {key!r} in [tile]{nearest(key, _TILE)}")
    table = {key: described_scalar(_TILE[key], value, f"tile.{key}", where) for key, value in table.items()}
    direct = ("gamma", "residual", "hold", "beyond_bounds", "frozen", "calibration", "reference")
    own = {key: table[key] for key in direct if key in table}
    spelled = {"fast_lr": "rate", "scale_fast_lr": "scaled"}
    fast = {new: table[old] for old, new in spelled.items() if old in table}
    if "train_length" in table:
        fast["scheme"] = replace(settings.fast.scheme, train_length=table["train_length"])
    spelled = {"transfer_lr": "rate", "scale_transfer_lr": "scaled", "transfer_every": "every"}
    transfer = {new: table[old] for old, new in spelled.items() if old in table}
    kept = {key: table[key] for key in ("auto_granularity", "momentum") if key in table}
    if kept and settings.buffer is None:
        raise ParameterError(f"{where}: {', '.join(kept)} in [tile]: method {settings.name} has no buffer")
    if kept and settings.buffer is not None:
        own["buffer"] = replace(settings.buffer, **kept)
    own["fast"] = replace(settings.fast, **fast)
    own["transfer"] = replace(settings.transfer, **transfer)
    return replace(settings, **own)
