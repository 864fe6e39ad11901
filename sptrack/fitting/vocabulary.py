"""Words of columns and of directions: what a name means, and which direction it holds."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.resources import files

__all__ = [
    "AFTER",
    "BEFORE",
    "FOREIGN",
    "KNOWN_DIRECTIONS",
    "direction_sign",
    "is_derived",
    "meaning",
    "named_direction",
    "named_sides",
    "normal",
]


def _words(table: str) -> dict[str, tuple[str, ...]]:
    """Words of a table of ``words.toml``."""
    content = files("sptrack.fitting").joinpath("words.toml").read_text(encoding="utf-8")
    found = tomllib.loads(content)[table]
    return {name: tuple(re.split(r",\s*", text.strip())) for name, text in found.items()}


_UP, _DOWN, _NONE = (_words("directions")[name] for name in ("up", "down", "none"))
KNOWN_DIRECTIONS = tuple(word for word in _UP + _DOWN if len(word) > 1)
"""Words of direction columns, for suggestions."""
_AMBIGUOUS = {"1", "0", "-", "+", "u", "d", "on", "off"}

_BUFFER = re.compile(r"(?i)^smu[a-z]?\.\w*buffer\d*\.")
_DERIVED = frozenset(_words("qualifiers")["derived"])
BEFORE, AFTER = (frozenset(_words("qualifiers")[name]) for name in ("before", "after"))
"""Words of readings before and after the pulse of their row."""
_MEANING = {word: role for role, words in _words("columns").items() for word in words}


FOREIGN = frozenset(
    word
    for word in (*_UP, *_DOWN, *_MEANING)
    if len(word) > 1 and any(unicodedata.category(letter) == "Lo" for letter in word)
)
"""Words in scripts without cases, which tell an encoding."""


def normal(name: str) -> str:
    """Words of a name, lower case, single blanks between them; camel case and digits are split off."""
    name = re.sub(r"([a-zäöü])([A-Z])", r"\1 \2", _BUFFER.sub("", unicodedata.normalize("NFKC", name)))
    return " ".join(re.findall(r"[^\W\d_]+|#", name.lower()))


def meaning(name: str) -> str:
    """Role or quantity of a name; empty if it is not known."""
    plain = normal(name)
    return _MEANING.get(plain) or _MEANING.get(plain.replace(" ", "")) or ""


def is_derived(name: str) -> bool:
    """Whether a name says a spread, a limit or a difference of readings, and not a reading."""
    return bool(_DERIVED & set(normal(name).split(" ")))


def named_direction(name: str) -> tuple[int, str]:
    """Direction (1, -1, or 0: none) that a name of a column or file holds, and the rest of the name."""
    parts = re.findall(r"[^\W\d_]+|\d+(?:\.\d+)?|[+\-]1?", re.sub(r"([a-zäöü])([A-Z])", r"\1 \2", name))
    words = [part.lower() for part in parts]
    single = len(words) == 1
    for sign, known in ((1, _UP), (-1, _DOWN)):
        for k, word in enumerate(words):
            alone = single or (
                word in ("p", "d", "u") and all(other.isdigit() for other in words if other != word)
            )
            plain = word not in _AMBIGUOUS | {"p", "+1", "-1"}
            if word in known and (plain or alone) and not word.isdigit():
                return sign, " ".join(parts[:k] + parts[k + 1 :])
    return 0, name


def named_sides(names: Sequence[str]) -> list[tuple[int, str]]:
    """Directions and rests of names, as `named_direction`; also of pairs such as ``A_P`` and ``A_D``."""
    found = [named_direction(name) for name in names]
    if {sign for sign, _ in found} >= {1, -1}:
        return found
    letters = {"p": 1, "u": 1, "+": 1, "d": -1, "-": -1}
    split = [re.fullmatch(r"(.*[^A-Za-z])([PpUuDd+-])", name.strip()) for name in names]
    loose = [
        (letters[m[2].lower()], m[1].strip(" _-.")) if m else (0, name)
        for m, name in zip(split, names, strict=True)
    ]
    rests = {sign: {rest for one, rest in loose if one == sign} for sign in (1, -1)}
    return loose if rests[1] and rests[1] == rests[-1] else found


def direction_sign(word: str, words: Mapping[str, int]) -> int | None:
    """Direction of a word of a direction column: 1, -1, 0 (no pulse); None if it is not known."""
    plain = word.strip().lower()
    if plain in words:
        return words[plain]
    if re.fullmatch(r"[+-]?\d+(\.0*)?", plain):
        plain = f"{float(plain):g}"
    for sign, known in ((1, _UP), (-1, _DOWN), (0, _NONE)):
        if plain in known:
            return sign
    first = normal(plain).split(" ")
    return next((s for s, known in ((1, _UP), (-1, _DOWN)) for w in first if w in known and len(w) > 1), None)
