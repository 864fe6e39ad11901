"""A method, a problem and their device as plain mappings and TOML text.

A file has up to six tables, none of which is needed::

    [method]              # name of a factory, and what differs from it: keys of `with_settings`
    name = "e-rider"
    alpha = 0.02
    eta = 0.01            # or reference = "ema:eta=0.01", or a table [method.reference]
    p = 0.001             # or chopper = "telegraph:p=0.001", or a table [method.chopper]

    [problem]             # name of a problem, and fields of `ProblemSettings`
    name = "quadratic"
    read_noise = 0.02

    [device]              # a device file's keys; or, without the table, device = "soft-bounds"
    dw_min = 0.002

    [filter]              # reference of the method, see `sptrack.blocks.spec`; or filter = "ema:eta=0.01"
    kind = "boxcar"
    length = 200

    [chopper]             # its chopper, likewise; or chopper = "periodic:half_period=50"
    kind = "telegraph"
    p = 0.1

    [tune]                # what `sptrack tune` does with them, see `sptrack.tuning.plan.table_values`
    trials = 200

Without ``device`` the device is that of `ProblemSettings`; a ``device`` table describes a whole device.
``filter`` and ``chopper`` take the place of the method's own, whichever method a command chooses.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from sptrack.blocks import Chopper, ObserverSettings, SignSource
from sptrack.blocks.spec import Described, chopper_from, reference_from, spec_text
from sptrack.devices.config import (
    build_described,
    described_scalar,
    device_from_mapping,
    plain_mapping,
    read_toml,
    toml_lines,
)
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError, nearest
from sptrack.tracking.methods import SOURCES, SPELLINGS, Method, Transfer, method, with_settings
from sptrack.tracking.problems import PROBLEMS, ProblemSettings

_CHOP = {"probability": float, "half_period": int, "scope": str}
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
    filter : Block, ObserverSettings or None
        Reference of every method of the command, if the file describes one.
    chopper : SignSource or None
        Chopper, likewise.
    """

    method: Method | None = None
    problem: str = "quadratic"
    settings: ProblemSettings = field(default_factory=ProblemSettings)
    filter: Described | None = None
    chopper: SignSource | None = None


def chained(method: Method, setup: Setup) -> Method:
    """``method`` with the filter and the chopper of a setup, where it has them.

    Raises
    ------
    ParameterError
        A filter for a method whose reference does not move, a chopper for one without P.
    """
    if setup.filter is not None:
        if not method.moving:
            kind = "none, gradient pulses go straight onto W" if method.direct else method.reference
            raise ParameterError(
                "a filter is for methods whose reference moves (rider, e-rider, o-rider, agad), "
                f"got {method.name} (reference: {kind})"
            )
        method = replace(method, reference=setup.filter)
    if setup.chopper is not None:
        if method.direct:
            raise ParameterError(f"a chopper is for methods with an array P, got {method.name}")
        still = isinstance(setup.chopper, Chopper) and setup.chopper.p == 0
        method = replace(method, chopper=None if still else setup.chopper)
    return method


def setup_from_mapping(mapping: Mapping[str, Any], where: str = "setup") -> Setup:
    """Setup described by nested mappings, such as a TOML file holds.

    Parameters
    ----------
    mapping : mapping
        The tables "method", "problem", "device", "filter" and "chopper"; "tune" is let pass.
    where : str
        What error texts call the mapping: the name of the file.

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
        settings["device"] = _device(mapping["device"], where)
    made: ProblemSettings = build_described(ProblemSettings, settings, "problem.", where)
    return Setup(
        method=chosen,
        problem=name,
        settings=made,
        filter=reference_from(mapping["filter"], f"{where}: filter") if "filter" in mapping else None,
        chopper=chopper_from(mapping["chopper"], f"{where}: chopper") if "chopper" in mapping else None,
    )


def _device(table: Mapping[str, Any] | str, where: str) -> dict[str, Any]:
    """Every field of the device that the table describes or the text names."""
    if isinstance(table, str):
        return plain_mapping(preset(table))
    return plain_mapping(device_from_mapping(table, f"{where}: device"))


def _method(table: Mapping[str, Any], where: str) -> Method:
    """The factory's method with the keys of ``table`` laid over its settings."""
    if not isinstance(table.get("name"), str):
        raise ParameterError(f"{where}: method.name must be the name of a method, got {table.get('name')!r}")
    try:
        base = method(table["name"])
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error
    hints = get_type_hints(Method)
    known = [*(item.name for item in fields(Method)), *SPELLINGS]
    settings: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ParameterError(
                f"{where}: unknown key 'method.{key}': choose from {', '.join(known)}{nearest(key, known)}"
            )
        settings[key] = _setting(key, value, base, hints, where)
    try:
        return with_settings(base, **settings)
    except ParameterError as error:
        raise ParameterError(f"{where}: method: {error}") from error


def _setting(key: str, value: Any, base: Method, hints: Mapping[str, Any], where: str) -> Any:
    """One key of a method as `with_settings` takes it."""
    name = f"method.{key}"
    if key == "reference":
        fixed = isinstance(value, str) and value in (*SOURCES, "filter")
        return value if fixed else reference_from(value, f"{where}: {name}")
    if key == "chopper":
        found = chopper_from(value, f"{where}: {name}")
        return None if isinstance(found, Chopper) and found.p == 0 else found
    if key == "transfer":
        if not isinstance(value, Mapping):
            raise ParameterError(f"{where}: {name} must be a table, got {value!r}")
        return build_described(Transfer, {**plain_mapping(base.transfer), **value}, f"{name}.", where)
    if key in ("chop", "observing"):
        if not isinstance(value, Mapping):
            raise ParameterError(f"{where}: {name} must be a table, got {value!r}")
        kinds = _CHOP if key == "chop" else get_type_hints(ObserverSettings)
        unknown = [one for one in value if one not in kinds]
        if unknown:
            raise ParameterError(
                f"{where}: unknown key '{name}.{unknown[0]}': choose from {', '.join(kinds)}"
                + nearest(unknown[0], kinds)
            )
        return {one: described_scalar(kinds[one], it, f"{name}.{one}", where) for one, it in value.items()}
    kind = {"eta": float, "p": float, "half_period": int, "estimator": str}.get(key) or hints[key]
    return described_scalar(kind, value, name, where)


def method_mapping(method: Method) -> dict[str, Any]:
    """Plain mapping of every field, reference and chopper as texts; see `setup_from_mapping`.

    Raises
    ------
    ParameterError
        A filter that has no form as text.
    """
    plain: dict[str, Any] = {}
    for item in fields(Method):
        value = getattr(method, item.name)
        if item.name == "reference":
            plain["reference"] = value if isinstance(value, str) else spec_text(value)
        elif item.name == "chopper":
            plain["chopper"] = "none" if value is None else spec_text(value)
        else:
            plain[item.name] = plain_mapping(value) if item.name == "transfer" else value
    return plain


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
    return tables if setup.method is None else {"method": method_mapping(setup.method), **tables}


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
    return setup_from_mapping(read_toml(path), os.fspath(path))
