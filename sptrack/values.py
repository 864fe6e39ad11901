"""Checks and conversions of arguments; no cast loses information silently."""

import math
from collections.abc import Iterable
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError, nearest, one_line

__all__ = [
    "as_seed",
    "check_choice",
    "check_number",
    "check_whole",
    "integer_array",
    "plain_fields",
    "plain_item",
    "real_array",
]

Array = NDArray[Any]

_SHOWN = 40
_LARGEST = 2**63 - 1
"""Largest number that numpy counts with."""
_NO_NUMBERS = (bool, np.bool_, np.timedelta64)


def as_seed(seed: Any, name: str = "seed") -> int:
    """Root seed as a Python integer: a whole number from 0, of any integer type.

    Raises
    ------
    ParameterError
        Anything else: True, 1.0, None, "1", -1.
    """
    check_whole(name, seed, most=None)
    return int(seed)


def check_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> None:
    """Refuse anything but a finite number inside the limits given; truth values and spans of time are none.

    Parameters
    ----------
    name
        Of the value, for the message.
    value
        The number.
    least, most
        Limits that are allowed themselves.
    above, below
        Limits that are not.

    Raises
    ------
    ParameterError
        With the name, the rule and the value.
    """
    try:
        finite = not (isinstance(value, _NO_NUMBERS) or value is np.ma.masked) and math.isfinite(value)
    except (TypeError, ValueError, OverflowError):
        finite = False
    fits = finite and (least is None or value >= least) and (above is None or value > above)
    if not (fits and (most is None or value <= most) and (below is None or value < below)):
        low = "" if least is None else f">= {least:.12g}"
        low = low if above is None else f"> {above:.12g}"
        high = "" if most is None else f"<= {most:.12g}"
        high = high if below is None else f"< {below:.12g}"
        limits = " and ".join(filter(None, (low, high)))
        rule = f"lie in {least:.12g} .. {most:.12g}" if least is not None and most is not None else ""
        rule = rule or " ".join(filter(None, ("be" if finite else "be a finite number", limits)))
        raise ParameterError(f"{name} must {rule}, got {_shown(value)}")


def check_whole(name: str, value: Any, least: int = 0, most: int | None = _LARGEST) -> None:
    """Refuse anything but a whole number of any integer type, ``least`` to ``most`` (ParameterError)."""
    integer = isinstance(value, int | np.integer) and not isinstance(value, _NO_NUMBERS)
    if not (integer and value >= least and (most is None or value <= most)):
        open_end = most is None or (most == _LARGEST and not (integer and value > most))
        rule = f">= {least}" if open_end else f"in {least} .. {most}"
        raise ParameterError(f"{name} must be a whole number {rule}, got {_shown(value)}")


def check_choice(kind: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse a name that is not among ``choices``, which the message lists (ParameterError)."""
    known = tuple(choices)
    if value not in known:
        close = nearest(value, known) if isinstance(value, str) else ""
        raise ParameterError(f"unknown {kind} {_shown(value)}; choose from {', '.join(known)}{close}")


def real_array(values: ArrayLike, name: str, dtype: Any = np.float64) -> Array:
    """Array of real numbers in the precision ``dtype`` (None: their own); not a copy where nothing changes.

    Raises
    ------
    ParameterError
        Complex numbers, texts, dates, rows of different lengths, other objects, or masked values: their cast
        would drop the imaginary part, the meaning or the mask.
    """
    array = _numbers(values, name)
    if array.dtype.kind not in "fiub":
        found = "texts" if array.dtype.kind in "US" else array.dtype
        raise ParameterError(f"{name} must be real numbers, got {found}")
    return array if dtype is None else array.astype(dtype, copy=False)


def integer_array(values: ArrayLike, name: str, dtype: Any = np.int64) -> Array:
    """Array of whole numbers in the type ``dtype``; floats that are whole will do.

    Raises
    ------
    ParameterError
        As `real_array`; also fractions, NaN, and numbers outside the range of ``dtype``.
    """
    array = real_array(values, name, None)
    limits = np.iinfo(dtype)
    wrong = ~((array == np.floor(array)) & (array >= limits.min) & (array <= limits.max))
    if wrong.any():
        raise ParameterError(
            f"{name} must be whole numbers from {limits.min} to {limits.max}, got {array[wrong][0]}"
        )
    return array.astype(dtype, copy=False)


def _numbers(values: Any, name: str) -> Array:
    """Array of whatever type numpy sees; of objects float64 where they convert to it."""
    if np.ma.is_masked(values):
        hidden = np.count_nonzero(np.ma.getmaskarray(values))
        raise ParameterError(f"{name} must hold no masked values, got {hidden}: fill or drop them first")
    try:
        array = np.asarray(values)
        return array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must be real numbers ({one_line(error)[:_SHOWN]})") from error


def plain_item(value: Any) -> Any:
    """Python's number or list of a numpy scalar or array: ``default`` of `json.dumps`."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def plain_fields(described: Any) -> None:
    """Turn all numbers among the fields of a frozen dataclass that are not Python's into those, in place.

    Texts made of them can be read back, and arithmetic with a float32 is not that of float32. Dates stay.
    """
    for field in fields(described):
        value = getattr(described, field.name, None)
        plain = tuple(map(_plain, value)) if type(value) is tuple else _plain(value)
        if plain is not value:
            object.__setattr__(described, field.name, plain)


def _plain(value: Any) -> Any:
    """Python's number of a scalar or array of one element of numpy, a fraction or a decimal."""
    if isinstance(value, Fraction | Decimal):
        return float(value)
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim)
    if not scalar or value.dtype.kind in "mMO" or value is np.ma.masked:
        return value
    return value.item()


def _shown(value: Any) -> str:
    text = one_line(repr(value.item() if isinstance(value, np.generic) else value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
