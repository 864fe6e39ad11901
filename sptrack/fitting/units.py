"""Units of readings: what quantity a unit measures, and how much of the SI unit it is."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from sptrack.fitting.vocabulary import meaning

__all__ = ["QUANTITIES", "Unit", "convenient", "parse_unit", "split_logarithm", "split_unit"]

QUANTITIES = ("conductance", "resistance", "current", "weight")
"""Quantities that a reading can be."""

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_BASES = {"S": "conductance", "Ohm": "resistance", "A": "current", "V": "voltage", "s": "time"}
_WORDS = {
    "micro": "u", "nano": "n", "pico": "p", "milli": "m", "kilo": "k", "mega": "M", "giga": "G", "femto": "f",
}  # fmt: skip
_PLAIN = ("1", "-", "a.u.", "au", "arb", "arb. u.", "arb.u.", "w.u.", "weight", "weight unit", "weight units",
          "normalized", "normalised", "norm")  # fmt: skip


class Unit(NamedTuple):
    """Quantity (empty of a pure number), SI units in one of these, and the unit as it is written here."""

    quantity: str
    factor: float
    text: str


def parse_unit(text: str) -> Unit | None:
    """Unit of a text such as ``uS``, ``(µS)``, ``kΩ``, ``nA``, ``microsiemens``; None if it is none."""
    plain = text.strip().strip("()[]{}").strip()
    plain = re.sub("[µμ]", "u", plain).replace("Ω", "Ohm").replace("Ω", "Ohm")
    if not plain:
        return None
    if plain.lower() in _PLAIN:
        return Unit("", 1.0, "")
    for word, prefix in _WORDS.items():
        if plain.lower().startswith(word):
            plain = prefix + plain[len(word) :].strip(" -")
            break
    plain = re.sub(r"(?i)ohms?$", "Ohm", plain)
    plain = re.sub(r"(?i)siemens$|mhos?$", "S", plain)
    plain = re.sub(r"(?i)amp(ere)?s?$", "A", plain)
    plain = re.sub(r"(?i)volts?$", "V", plain)
    plain = re.sub(r"^K(?=Ohm$)", "k", plain)
    for base, quantity in _BASES.items():
        prefix = plain.removesuffix(base)
        if prefix != plain and prefix in _PREFIXES:
            return Unit(quantity, _PREFIXES[prefix], plain)
    return None


_LONGEST = 200


def split_unit(name: str) -> tuple[str, str]:
    """Name of a column without its unit, and the unit as written (empty: none).

    Units stand in brackets, behind a slash or comma, after "in", or as the last part of the name: ``G (uS)``,
    ``G/uS``, ``G, uS``, ``G in uS``, ``G_uS``. Names of more than 200 characters are taken as they are.
    """
    if len(name) > _LONGEST:
        return name.strip(), ""
    for match in reversed(list(re.finditer(r"[(\[{]\s*([^()\[\]{}]*?)\s*[)\]}]", name))):
        if parse_unit(match[1]) is not None:
            return (name[: match.start()] + name[match.end() :]).strip(" _,:"), match[1]
    for pattern in (r"^(.+?)\s*/\s*([^\s/]+)$", r"^(.+?)\s*,\s*([^,]+)$", r"^(.+?)\s+in\s+(\S+)$"):
        found = re.match(pattern, name)
        if found is not None and parse_unit(found[2]) is not None:
            return found[1].strip(), found[2]
    found = re.match(r"^(.*?[^_\s])[_\s]+(\S+)$", name)
    unit = parse_unit(found[2]) if found is not None else None
    own = found is not None and unit is not None and unit.quantity == meaning(found[1])
    if found is not None and unit is not None and unit.quantity and (len(found[2]) > 1 or own):
        return found[1].strip(), found[2]
    return name.strip(), ""


def split_logarithm(name: str) -> tuple[str, float]:
    """Name of a column without a logarithm, and its base (0: none): ``log10(R/Ohm)``, ``lg G [S]``."""
    found = re.match(r"(log_?10|lg|ln|log)(?=[\s_([]|[A-Z])[\s_]*(.*)$", name.strip(), re.IGNORECASE)
    if found is None or (found[1].lower() not in ("log10", "log_10", "lg") and not _is_quantity(found[2])):
        return name, 0.0
    rest, unit = found[2].strip(), ""
    if rest.startswith("(") and ")" in rest:
        rest, _, unit = rest[1:].rpartition(")")
    return f"{rest} {unit}".strip(), float(np.e) if found[1].lower() == "ln" else 10.0


def _is_quantity(text: str) -> bool:
    """Whether a text begins as the name of a quantity that has a logarithm."""
    return bool(
        re.match(r"[\s(]*(?:G|R|I|I_?\w{1,4}|cond\w*|res\w*|curr\w*)(?![a-zA-Z])", text, re.IGNORECASE)
    )


def convenient(quantity: str, size: float) -> Unit:
    """Unit of a quantity in which a number of ``size`` SI units lies between 1 and 1000."""
    base = next((name for name, kind in _BASES.items() if kind == quantity), "")
    if not base or not np.isfinite(size) or size <= 0.0:
        return Unit(quantity, 1.0, base)
    fitting = [(factor, prefix) for prefix, factor in _PREFIXES.items() if factor <= size * (1 + 1e-9)]
    factor, prefix = max(fitting, default=(1e-15, "f"))
    return Unit(quantity, factor, prefix + base)
