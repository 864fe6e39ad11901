"""Fields of tables: numbers, gaps, and how they are quoted in messages."""

from __future__ import annotations

import re

__all__ = ["COMMA_NUMBER", "NUMBER", "THOUSANDS", "WITH_UNIT", "is_gap", "is_number", "quoted", "ungrouped"]

_ECHO = 80
NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)([eEdD][+-]?\d+)?")
COMMA_NUMBER = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+([eEdD][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
WITH_UNIT = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s.,+-]{1,12})")
_GROUPED = re.compile(r"(?<=\d)['\u2019\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_GAPS = {
    *(
        "",
        "-",
        "--",
        "---",
        "?",
        "nan",
        "+nan",
        "-nan",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "null",
        "none",
        "missing",
    ),
    *("inf", "+inf", "-inf", "infinity", "-infinity", "#num!", "#div/0!", "#value!", "-1.#ind", "1.#inf"),
    *("ovld", "overload", "overld", "ovrflw", "overflow", "over", "ofl", "o.l", "o.l.", "ol", "out of range"),
    *(
        "open",
        "comp",
        "compliance",
        "cmpl",
        "over range",
        "overrange",
        "error",
        "invalid",
        "fehlt",
        "ueberlauf",
    ),
    *("überlauf", "timeout", "underflow", "+ovld", "-ovld"),
}


def quoted(text: object) -> str:
    """Text of a file in quotes, at most 80 characters."""
    plain = " ".join(str(text).split())
    return repr(plain if len(plain) <= _ECHO - 2 else plain[: _ECHO - 5] + "...")


def is_gap(text: str) -> bool:
    """Whether a field is empty or says that there is no reading."""
    return text.strip().lower() in _GAPS


def ungrouped(text: str) -> str:
    """Text without the blanks and apostrophes that group the digits of its numbers by three."""
    return _GROUPED.sub("", text)


def is_number(text: str) -> bool:
    """Whether a field is a number, with decimal point or comma."""
    text = ungrouped(text.strip())
    return bool(NUMBER.fullmatch(text) or COMMA_NUMBER.fullmatch(text) or THOUSANDS.fullmatch(text))
