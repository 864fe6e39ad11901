"""A method, a problem and their device as plain mappings and TOML text.

A file has up to six tables, none of which is needed::

    [method]              # name of a factory, and settings that differ from its own
    name = "e-rider"
    alpha = 0.02
    reference = "corrected-ema:eta=0.01"   # a text, or a table [method.reference] with its kind
    chopper = "periodic:half_period=500"   # likewise
    [method.transfer]     # fields of `Transfer`
    every = 4

    [problem]             # name of a problem, and fields of `ProblemSettings`
    name = "quadratic"    # or "recorded", with recorded = "gradient.csv"
    read_noise = 0.02

    [device]              # a device file's keys; or, without the table, device = "soft-bounds" or "FILE.toml"
    dw_min = 0.002

    [filter]              # reference of the method, see `sptrack.blocks.spec`; or filter = "ema:eta=0.01"
    kind = "boxcar"
    length = 200

    [chopper]             # chopper of the method, likewise; or chopper = "periodic:half_period=50"
    kind = "telegraph"
    p = 0.1

    [tune]                # search of `sptrack tune`, see `sptrack.design.plan.table_values`
    trials = 200

Without ``device`` the device is that of `ProblemSettings`; a ``device`` table describes a whole device.
``filter`` and ``chopper`` belong to the file's method or, in a file without one, to that of the command.
``[method]`` also takes the spellings of `with_settings`: eta, estimator, p, half_period, and the tables
[method.chop] and [method.observing].
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from sptrack.blocks import Chopper, ObserverSettings, SignSource
from sptrack.blocks.spec import FILTERS, OBSERVERS, Described, chopper_from, reference_from, spec_text
from sptrack.devices.config import (
    build_described,
    described_scalar,
    device_from_mapping,
    device_named,
    plain_mapping,
    read_toml,
    toml_lines,
)
from sptrack.devices.device import Device
from sptrack.errors import ParameterError, nearest
from sptrack.tracking.methods import METHODS, SPELLINGS, Method, Transfer, method, with_settings
from sptrack.tracking.problems import PROBLEM_NAMES, RECORDED, ProblemSettings
from sptrack.tracking.rated import SOURCES

_SPELLED = {"eta": float, "p": float, "half_period": int, "estimator": str}
_CHOP = {"probability": float, "half_period": int, "scope": str}
_OBSERVING = {
    key: kind for key, kind in get_type_hints(ObserverSettings).items() if key not in ("form", "forgetting")
}
TABLES = ("method", "problem", "device", "filter", "chopper", "tune")
_ALSO_TEXT = ("device", "filter", "chopper")
_REFERENCE_KEYS = ("reference", "eta", "estimator", "observing")
_CHOPPER_KEYS = ("chopper", "chop", "p", "half_period")
_FIXED = (*SOURCES, "filter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Contents of a file.

    Parameters
    ----------
    method : Method or None
        Method, if the file names one, with the file's filter and chopper.
    problem : str
        Name of the problem.
    settings : ProblemSettings
        Its settings, with the device.
    filter : Block, ObserverSettings or None
        Reference for the method of the command (`chained`); None: its own.
    chopper : SignSource or None
        Chopper, likewise; one that never flips takes the method's away.
    """

    method: Method | None = None
    problem: str = "quadratic"
    settings: ProblemSettings = field(default_factory=ProblemSettings)
    filter: Described | None = None
    chopper: SignSource | None = None

    def with_recording(self, path: str | os.PathLike[str]) -> "Setup":
        """The setup with the gradients recorded in a file in place of its problem."""
        return replace(self, problem=RECORDED, settings=replace(self.settings, recorded=os.fspath(path)))

    def with_device(self, device: Device) -> "Setup":
        """The setup on another device, with its reading noise unless the setup has one of its own."""
        own = self.settings.read_noise not in (0.0, self.settings.device.read_noise)
        noise = self.settings.read_noise if own else device.read_noise
        return replace(self, settings=replace(self.settings, device=device, read_noise=noise))


def chained(base: Method, reference: Described | None = None, chopper: SignSource | None = None) -> Method:
    """``base`` with another filter or observer as its reference, or another chopper; None keeps its own.

    Raises
    ------
    ParameterError
        A filter for a method whose reference does not move, a chopper for one that has neither a chopper nor
        such a reference, or a combination that `Method` refuses.
    """
    if reference is not None:
        _refuse_fixed(base, f"filter {_label(reference)}", base.moving)
        base = replace(base, reference=reference)
    if chopper is not None:
        _refuse_fixed(base, f"chopper {_label(chopper)}", takes_chopper(base))
        base = replace(base, chopper=_flipping(chopper))
    return base


def takes_chopper(base: Method) -> bool:
    """Whether `chained` gives a method another chopper: its reference moves, or it has a chopper."""
    return base.moving or base.chopper is not None


def _refuse_fixed(base: Method, what: str, allowed: bool) -> None:
    if not allowed:
        moving = [name for name, factory in METHODS.items() if factory().moving]
        why = "which has no reference" if base.direct else f"whose reference is fixed ({base.reference})"
        raise ParameterError(
            f"{what} cannot be used with {base.name}, {why}: choose a method whose reference moves "
            f"({', '.join(moving)})"
        )


def _flipping(chopper: SignSource) -> SignSource | None:
    """The chopper; None for one that never flips."""
    return None if isinstance(chopper, Chopper) and chopper.p == 0 else chopper


def _label(block: Described) -> str:
    """Text of a description, or its label where it has none."""
    try:
        return spec_text(block)
    except ParameterError:
        return str(block)


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
        Unknown table, key or name (with the nearest valid one), value of a wrong type, or outside its range;
        a reference or a chopper that is given twice, or that the method cannot have.
    """
    for name, table in mapping.items():
        if name not in TABLES:
            raise ParameterError(
                f"{where}: unknown table '{name}'; choose from {', '.join(TABLES)}{nearest(name, TABLES)}"
            )
        known = isinstance(table, Mapping) or (name in _ALSO_TEXT and isinstance(table, str))
        if not known and not (name == "filter" and isinstance(table, list)):
            raise ParameterError(f"{where}: {name} must be a table, got {table!r}")
    reference = reference_from(mapping["filter"], f"{where}: filter") if "filter" in mapping else None
    chopper = chopper_from(mapping["chopper"], f"{where}: chopper") if "chopper" in mapping else None
    chosen = None
    if "method" in mapping:
        _refuse_twice(mapping, where)
        chosen = _method(mapping["method"], where)
        try:
            chosen = chained(chosen, reference, chopper)
        except ParameterError as error:
            raise ParameterError(f"{where}: {error}") from error
        reference = chopper = None
    settings = dict(mapping.get("problem", {}))
    name = settings.pop("name", RECORDED if settings.get("recorded") else "quadratic")
    if not isinstance(name, str) or name not in PROBLEM_NAMES:
        raise ParameterError(
            f"{where}: problem.name must be one of {', '.join(PROBLEM_NAMES)}, got {name!r}"
            + nearest(str(name), PROBLEM_NAMES)
        )
    if isinstance(settings.get("recorded"), str) and settings["recorded"]:
        settings["recorded"] = str(folder / settings["recorded"])
    if "device" in settings:
        raise ParameterError(f"{where}: unknown table 'problem.device': use the table 'device'")
    if "device" in mapping:
        device = _device(mapping["device"], where, folder)
        settings["device"] = plain_mapping(device)
        settings.setdefault("read_noise", device.read_noise)
    made: ProblemSettings = build_described(ProblemSettings, settings, "problem.", where)
    return Setup(method=chosen, problem=name, settings=made, filter=reference, chopper=chopper)


def _refuse_twice(mapping: Mapping[str, Any], where: str) -> None:
    """Refuse a table of a filter or a chopper beside one in the method."""
    for table, keys in (("filter", _REFERENCE_KEYS), ("chopper", _CHOPPER_KEYS)):
        said = [key for key in keys if key in mapping["method"]]
        if table in mapping and said:
            raise ParameterError(f"{where}: both {table} and method.{said[0]} are given: keep one of them")


def _device(table: Mapping[str, Any] | str, where: str, folder: Path) -> Device:
    """The device that the table describes or the text names."""
    if isinstance(table, str):
        return device_named(table, folder)
    return device_from_mapping(table, f"{where}: device")


def _method(table: Mapping[str, Any], where: str) -> Method:
    """The factory's method with the keys of ``table`` laid over its settings."""
    if not isinstance(table.get("name"), str):
        names = ", ".join(METHODS)
        raise ParameterError(f"{where}: method.name must be one of {names}, got {table.get('name')!r}")
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
                f"{where}: unknown key 'method.{key}'; choose from {', '.join(known)}{nearest(key, known)}"
            )
        settings[key] = _setting(key, value, base, hints, where)
    try:
        return with_settings(base, **_without_rest(settings))
    except ParameterError as error:
        raise ParameterError(f"{where}: method: {error}") from error


def _without_rest(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without what describes a filter at rest (eta = 0), beside a fixed reference."""
    reference = settings.get("reference")
    if not (isinstance(reference, str) and reference in SOURCES):
        return settings
    if settings.get("eta"):
        raise ParameterError(
            f"eta = {settings['eta']} is for a reference that moves, got reference = {reference!r}: "
            "remove one of the two"
        )
    return {key: value for key, value in settings.items() if key not in _REFERENCE_KEYS[1:]}


def _reference(value: Any, where: str) -> Described | str:
    """Filter or observer of a text, a table or a list of tables; fixed references as they are."""
    if isinstance(value, str):
        if value in _FIXED:
            return value
        kind, names = value.partition(":")[0].strip(), (*_FIXED, *FILTERS, *OBSERVERS)
        if kind not in names:
            raise ParameterError(
                f"{where} must be one of {', '.join(names)}, got {kind!r}{nearest(kind, names)}"
            )
    return reference_from(value, where)


def _setting(key: str, value: Any, base: Method, hints: Mapping[str, Any], where: str) -> Any:
    """One key of a method as `with_settings` takes it."""
    name = f"method.{key}"
    if key == "reference":
        return _reference(value, f"{where}: {name}")
    if key == "chopper":
        return _flipping(chopper_from(value, f"{where}: {name}"))
    if key == "transfer":
        if not isinstance(value, Mapping):
            raise ParameterError(f"{where}: {name} must be a table, got {value!r}")
        return build_described(Transfer, {**plain_mapping(base.transfer), **value}, f"{name}.", where)
    if key in ("chop", "observing"):
        if not isinstance(value, Mapping):
            raise ParameterError(f"{where}: {name} must be a table, got {value!r}")
        kinds = _CHOP if key == "chop" else _OBSERVING
        unknown = [one for one in value if one not in kinds]
        if unknown:
            raise ParameterError(
                f"{where}: unknown key '{name}.{unknown[0]}'; choose from {', '.join(kinds)}"
                + nearest(unknown[0], kinds)
            )
        return {one: described_scalar(kinds[one], it, f"{name}.{one}", where) for one, it in value.items()}
    kind = _SPELLED.get(key) or hints[key]
    return described_scalar(kind, value, name, where)


def method_mapping(method: Method) -> dict[str, Any]:
    """Plain mapping of every field, reference and chopper as texts; see `setup_from_mapping`.

    A filter that has no text, such as a `CustomFilter`, is there with its label.
    """
    plain = {item.name: getattr(method, item.name) for item in fields(Method)}
    plain["transfer"] = plain_mapping(method.transfer)
    if not isinstance(method.reference, str):
        plain["reference"] = _label(method.reference)
    plain["chopper"] = "none" if method.chopper is None else _label(method.chopper)
    return plain


def setup_to_mapping(setup: Setup) -> dict[str, Any]:
    """Nested plain mapping of every field: `setup_from_mapping` makes an equal setup of it.

    Raises
    ------
    ParameterError
        A response of the device, or a filter or a chopper, that is made of a user's own functions: it has no
        form as data. A filter or a chopper that the method cannot have.
    """
    problem = plain_mapping(setup.settings)
    device = problem.pop("device")
    tables: dict[str, Any] = {}
    if setup.method is not None:
        chosen = chained(setup.method, setup.filter, setup.chopper)
        for block in (chosen.reference, chosen.chopper):
            if block is not None and not isinstance(block, str):
                spec_text(block)
        tables["method"] = method_mapping(chosen)
    else:
        for name, one in (("filter", setup.filter), ("chopper", setup.chopper)):
            if one is not None:
                tables[name] = spec_text(one)
    return tables | {"problem": {"name": setup.problem, **problem}, "device": device}


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
