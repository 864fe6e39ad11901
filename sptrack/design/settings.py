"""Settings of a method by name: their values, and methods with other values."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sptrack.blocks import Block, GrowingBoxcar, PatternChopper, PeriodicChopper
from sptrack.blocks.settings import PRIORS, ObserverSettings
from sptrack.design.block_numbers import block_numbers, with_number
from sptrack.errors import ParameterError, nearest
from sptrack.tracking.methods import Method, with_settings
from sptrack.tracking.rated import ESTIMATORS, SOURCES

Value = float | int | str | bool

OBSERVER = ("prior", "weight", "limit", "floor", "sent", "drive", "weight_bits", "point_bits")
_TRANSFER = ("every", "threshold", "keep", "max_pulses", "by_column", "forget")
CHOPPER = ("p", "half_period", "scope")
_OWN = ("alpha", "beta", "gamma", "eta", "pulses", "bits", "reference", "estimator", "sync", "direct")
SETTINGS = (*_OWN, *CHOPPER, *_TRANSFER, *OBSERVER, "tail", "periods")
"""Settings that can be varied by name: the keywords of the factories, the spellings of `with_settings`, the
fields of `Transfer` and `ObserverSettings`. ``tail`` is eta/p: eta = min(tail p, 1), as in AGAD. ``periods``
makes the filter a mean over so many whole periods of a chopper whose signs repeat. ``beta`` of a method with
an observer is per step, as in its factory: a transfer takes it times the steps in between.
Besides these, ``filter.NAME`` and ``chopper.NAME`` are the numbers of the method's own blocks."""
_PLACES = {"chop.probability": "p", "chop.half_period": "half_period", "chop.scope": "scope"}
_PLACES |= {f"transfer.{name}": name for name in _TRANSFER}
_PLACES |= {f"observing.{name}": name for name in OBSERVER}
CHOICES: dict[str, tuple[Value, ...]] = {
    "reference": (*SOURCES, "filter"),
    "estimator": ESTIMATORS,
    "scope": ("array", "column"),
    "prior": PRIORS,
    **dict.fromkeys(("sync", "direct", "by_column", "forget", "sent"), (False, True)),
}
"""Settings that are not numbers, with all their values."""
SETTING_UNITS = {
    "threshold": "weight units",
    "pulses": "pulses",
    "half_period": "steps",
    "every": "steps",
    "p": "1/step",
}
"""Units of settings that are not pure numbers; of a chopper per column "step" is a read of the column."""


def setting_name(name: str) -> str:
    """Name of a setting from that, or from its place, such as "chop.probability".

    Raises
    ------
    ParameterError
        Unknown setting.
    """
    found = _PLACES.get(name, name)
    if found not in SETTINGS and not found.startswith(("filter.", "chopper.")):
        raise ParameterError(
            f"unknown setting {name!r}; choose from {', '.join(SETTINGS)}, filter.NAME, chopper.NAME"
            + nearest(name, SETTINGS)
        )
    return found


def own_block(method: Method, name: str) -> tuple[Block, str]:
    """Block of a dotted name and what the name is there.

    Raises
    ------
    ParameterError
        A method without that block, or a block without that number.
    """
    part, _, key = name.partition(".")
    block: Block | None = method.filter if part == "filter" else method.chopper
    if block is None:
        raise ParameterError(f"{name}: {method.name} has no {part} of its own")
    numbers = block_numbers(block)
    if key not in numbers:
        names = [f"{part}.{one}" for one in numbers]
        known = ", ".join(names) or "it has none"
        raise ParameterError(f"{name} must be a number of {block} ({known}){nearest(name, names)}")
    return block, key


def read_setting(method: Method, name: str) -> Value:
    """Value of a setting of ``method``.

    Of a chopper that is not random ``p`` is its mean number of sign changes per sample, of one that is not
    periodic ``half_period`` is 1/p: the mean length of a half. ``tail`` is eta/p (0 without a chopper).
    """
    if "." in name:
        block, key = own_block(method, name)
        return block_numbers(block)[key]
    if name in CHOPPER:
        return _read_chopper(method, name)
    if name == "tail":
        return method.eta / method.flips if method.flips else 0.0
    if name == "periods":
        boxcar, chopper = method.filter, method.chopper
        if isinstance(boxcar, GrowingBoxcar) and isinstance(chopper, PatternChopper):
            return round(boxcar.length / chopper.period)
        return 0
    if name == "beta" and method.observer is not None:
        return method.beta / method.transfer.every
    if name == "reference":
        return "filter" if method.moving else str(method.reference)
    if name in OBSERVER:
        found: Value = getattr(method.observer or ObserverSettings(), "reach" if name == "limit" else name)
        return found
    value: Value = getattr(method.transfer if name in _TRANSFER else method, name)
    return value


def _read_chopper(method: Method, name: str) -> Value:
    chopper = method.chopper
    if name == "scope":
        return "column" if chopper is not None and chopper.clock == "read" else "array"
    if name == "p":
        return method.flips
    if isinstance(chopper, PeriodicChopper):
        return chopper.half_period
    return round(1.0 / method.flips) if method.flips else 0


def with_point(base: Method, point: Mapping[str, Value]) -> Method:
    """``base`` with the settings of ``point``.

    ``p`` makes the chopper random, ``half_period`` periodic, and neither moves eta; ``tail`` sets it to
    min(tail p, 1); ``periods`` makes the filter a mean over whole periods of the chopper.

    Raises
    ------
    ParameterError
        If `Method` or a block refuses them.
    """
    blocks: dict[str, Any] = {}
    for name, value in point.items():
        if "." in name:
            _, key = own_block(base, name)
            part = "reference" if name.startswith("filter.") else "chopper"
            blocks[part] = with_number(blocks.get(part, getattr(base, part)), key, float(value))
    named = {name: value for name, value in point.items() if "." not in name}
    moved_by: dict[str, Any] = {name: named.pop(name) for name in _TRANSFER if name in named}
    transfer = replace(base.transfer, **moved_by)
    observer = {name: named.pop(name) for name in OBSERVER if name in named}
    tail, periods = named.pop("tail", None), named.pop("periods", None)
    if "reference" in blocks and named.get("reference") == "filter":
        del named["reference"]
    given: dict[str, Any] = {**blocks, **named, "transfer": transfer}
    if "scope" in given:
        chop: dict[str, Any] = {"scope": given.pop("scope")}
        for name, key in (("p", "probability"), ("half_period", "half_period")):
            if name in given:
                chop[key] = given.pop(name)
        given["chop"] = chop
    if observer:
        given["observing"] = observer
    if base.observer is not None and {"beta", "every"} & set(point):
        given["beta"] = float(point.get("beta", read_setting(base, "beta"))) * transfer.every
    made = with_settings(base, **given)
    if periods is not None:
        if not isinstance(made.chopper, PatternChopper):
            raise ParameterError(f"periods needs a chopper whose signs repeat, got {made.chopper or 'none'}")
        return replace(made, reference=GrowingBoxcar.over(made.chopper, int(periods)))
    return made if tail is None else with_settings(made, eta=min(float(tail) * made.flips, 1.0))
