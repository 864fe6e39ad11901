"""Devices of the literature by name. The numbers are data: ``presets.toml`` beside this file."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from sptrack.devices.config import device_from_mapping
from sptrack.devices.device import Device
from sptrack.values import check_choice


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(files("sptrack.devices").joinpath("presets.toml").read_text(encoding="utf-8"))


def preset_names() -> tuple[str, ...]:
    """Names of all presets, the default device first."""
    return tuple(_tables())


@cache
def preset(name: str) -> Device:
    """Device of the literature.

    Parameters
    ----------
    name : str
        One of `preset_names`; "soft-bounds" is the default device.

    Returns
    -------
    Device
        With citation and the limits of the description in its ``source``.

    Raises
    ------
    ParameterError
        If there is no preset of that name.
    """
    check_choice("device", name, preset_names())
    table = _tables()[name]
    return device_from_mapping({**table, "source": {"name": name, **table["source"]}}, f"preset {name}")
