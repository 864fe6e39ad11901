"""Numbers that say what they are: with name, unit and meaning."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One number: its value (None where it has no meaning), unit, and what it says."""

    name: str
    value: float | None
    unit: str
    meaning: str


def quantity(name: str, value: float | None, unit: str, meaning: str) -> Quantity:
    """Number with its unit and meaning; no value where it is not finite."""
    known = None if value is None or not math.isfinite(value) else float(value)
    return Quantity(name=name, value=known, unit=unit, meaning=meaning)


def value_of(quantities: Iterable[Quantity], name: str) -> float | None:
    """Value of the quantity ``name``; KeyError if there is none of that name."""
    for one in quantities:
        if one.name == name:
            return one.value
    raise KeyError(name)
