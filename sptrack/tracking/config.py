"""A method, a problem and their device as plain mappings and TOML text.

A file has up to six tables, none of which is needed::

    [method]              # name of a factory, and the fields of `Method` that differ from it
    name = "e-rider"
    alpha = 0.02
    [method.chop]         # fields of `Chop`
    probability = 0.001

    [problem]             # name of a problem, and fields of `ProblemSettings`
    name = "quadratic"
    read_noise = 0.02

    [device]              # a device file's keys; or, without the table, device = "soft-bounds" or "FILE.toml"
    dw_min = 0.002

    [filter]              # a filter of `sptrack.blocks.spec`; or a text, filter = "ema:eta=0.01"
    kind = "boxcar"
    length = 200

    [chopper]             # a chopper, likewise; or chopper = "periodic:half_period=50"
    kind = "telegraph"
    p = 0.1

    [tune]                # what `sptrack tune` does with them, see `sptrack.tuning.plan.table_values`
    trials = 200

Without ``device`` the device is that of `ProblemSettings`; a ``device`` table describes a whole device.
``filter`` and ``chopper`` are looked at on their own: a method has its own, eta and chop.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sptrack.blocks import Block, SignSource
from sptrack.blocks.spec import chopper_from, filter_from, spec_text
from sptrack.devices.config import (
    build_described,
    device_from_mapping,
    device_named,
    plain_mapping,
    read_toml,
    toml_lines,
)
from sptrack.devices.device import Device
from sptrack.errors import ParameterError, nearest
from sptrack.tracking.methods import Method, method
from sptrack.tracking.problems import PROBLEMS, ProblemSettings

TABLES = ("method", "problem", "device", "filter", "chopper", "tune")
_ALSO_TEXT = ("device", "filter", "chopper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a file describes.

    Parameters
    ----------
    method : Method or None
        Method, if the file names one.
    problem : str
        Name of the problem.
    settings : ProblemSettings
        Its settings, with the device.
    filter : Block or None
        Filter, if the file describes one.
    chopper : SignSource or None
        Chopper, likewise.
    """

    method: Method | None = None
    problem: str = "quadratic"
    settings: ProblemSettings = field(default_factory=ProblemSettings)
    filter: Block | None = None
    chopper: SignSource | None = None

    def with_device(self, device: Device) -> "Setup":
        """The setup on another device, with its reading noise unless the setup has one of its own."""
        own = self.settings.read_noise not in (0.0, self.settings.device.read_noise)
        noise = self.settings.read_noise if own else device.read_noise
        return replace(self, settings=replace(self.settings, device=device, read_noise=noise))


def setup_from_mapping(mapping: Mapping[str, Any], where: str = "setup", folder: Path = Path()) -> Setup:
    """Setup described by nested mappings, such as a TOML file holds.

    Parameters
    ----------
    mapping : mapping
        The tables "method", "problem", "device", "filter" and "chopper"; "tune" is let pass.
    where : str
        What error texts call the mapping: the name of the file.
    folder : Path
        Folder in which the path of a device file begins.

    Raises
    ------
    ParameterError
        Unknown table, key or name (with the nearest valid one), value of a wrong type, or outside its range.
    """
    for name, table in mapping.items():
        if name not in TABLES:
            raise ParameterError(
                f"{where}: unknown table '{name}': one of {', '.join(TABLES)} wanted{nearest(name, TABLES)}"
            )
        known = isinstance(table, Mapping) or (name in _ALSO_TEXT and isinstance(table, str))
        if not known and not (name == "filter" and isinstance(table, list)):
            raise ParameterError(f"{where}: {name} = {table!r}: a table wanted")
    chosen = _method(mapping["method"], where) if "method" in mapping else None
    settings = dict(mapping.get("problem", {}))
    name = settings.pop("name", "quadratic")
    if not isinstance(name, str) or name not in PROBLEMS:
        raise ParameterError(
            f"{where}: problem.name = {name!r}: one of {', '.join(PROBLEMS)} wanted"
            + nearest(str(name), PROBLEMS)
        )
    if "device" in settings:
        raise ParameterError(f"{where}: unknown table 'problem.device': the table 'device' wanted")
    if "device" in mapping:
        device = _device(mapping["device"], where, folder)
        settings["device"] = plain_mapping(device)
        settings.setdefault("read_noise", device.read_noise)
    made: ProblemSettings = build_described(ProblemSettings, settings, "problem.", where)
    return Setup(
        method=chosen,
        problem=name,
        settings=made,
        filter=filter_from(mapping["filter"], f"{where}: filter") if "filter" in mapping else None,
        chopper=chopper_from(mapping["chopper"], f"{where}: chopper") if "chopper" in mapping else None,
    )


def _device(table: Mapping[str, Any] | str, where: str, folder: Path) -> Device:
    """The device that the table describes or the text names."""
    if isinstance(table, str):
        return device_named(table, folder)
    return device_from_mapping(table, f"{where}: device")


def _method(table: Mapping[str, Any], where: str) -> Method:
    """The factory's method with the fields of ``table`` laid over its own."""
    if not isinstance(table.get("name"), str):
        raise ParameterError(f"{where}: method.name = {table.get('name')!r}: the name of a method wanted")
    try:
        fields = plain_mapping(method(table["name"]))
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error
    for key, value in table.items():
        nested = isinstance(value, Mapping) and isinstance(fields.get(key), Mapping)
        fields[key] = {**fields[key], **value} if nested else value
    made: Method = build_described(Method, fields, "method.", where)
    return made


def setup_to_mapping(setup: Setup) -> dict[str, Any]:
    """Nested plain mapping of every field: `setup_from_mapping` makes an equal setup of it.

    Raises
    ------
    ParameterError
        If the device's response is made of a user's own functions: it has no form as data.
    """
    problem = plain_mapping(setup.settings)
    device = problem.pop("device")
    tables = {"problem": {"name": setup.problem, **problem}, "device": device}
    for name, block in (("filter", setup.filter), ("chopper", setup.chopper)):
        if block is not None:
            tables[name] = spec_text(block)
    return tables if setup.method is None else {"method": plain_mapping(setup.method), **tables}


def setup_to_toml(setup: Setup) -> str:
    """TOML text of every field, of which `load_setup` makes an equal setup.

    Raises
    ------
    ParameterError
        As in `setup_to_mapping`.
    """
    return "\n".join(toml_lines(setup_to_mapping(setup), "")).lstrip() + "\n"


def load_setup(path: str | os.PathLike[str]) -> Setup:
    """Setup described by the TOML file at ``path``.

    Raises
    ------
    ParameterError
        If the file cannot be read, is not TOML, or does not describe a setup (see `setup_from_mapping`).
    """
    return setup_from_mapping(read_toml(path), os.fspath(path), Path(path).parent)
