"""Header of a table: names and units of its columns, titles above them, and where the data begin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sptrack.fitting.texts import WITH_UNIT, is_gap, is_number
from sptrack.fitting.units import parse_unit, split_unit
from sptrack.fitting.vocabulary import meaning, named_direction

__all__ = ["Header", "find_header"]

_LINES = 4


@dataclass(frozen=True, slots=True)
class Header:
    """Names, units and groups of columns, and the line from which the data stand.

    Attributes
    ----------
    names, units, groups : list of str
        Names as written; the row of units; titles over several columns. Empty: there are none.
    start : int
        First line of data.
    """

    names: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    start: int = 0

    def padded(self, width: int) -> Header:
        """Header with as many fields as the table has columns."""
        names, units, groups = (
            [*row[:width], *[""] * (width - len(row))] for row in (self.names, self.units, self.groups)
        )
        return Header(names, units, groups, self.start)


def find_header(
    head: Sequence[list[str]], body: Sequence[list[str]], comments: Sequence[tuple[int, list[str]]]
) -> Header:
    """Header of a table.

    Of the rows above the data, the one with most known names is the header, the lowest of equals; one of
    units may stand below it, with rows of comments or types. Where names repeat, a row above them holds
    titles of groups of columns.

    Parameters
    ----------
    head : sequence of list of str
        First lines, as fields.
    body : sequence of list of str
        Lines from the middle, which are data.
    comments : sequence of (int, list of str)
        Lines of comment, as fields, and the line before which each stands: the header, or the units, if there
        is no other.
    """
    width = Counter(map(len, body)).most_common(1)[0][0]
    start = _first_line_of_data(head, [row for row in body if len(row) == width], width)
    if start == 0:
        fitting = [
            row
            for place, row in comments
            if place == 0 and len(row) == width and not any(map(is_number, row))
        ]
        return Header(fitting[-1] if fitting else [])
    above: list[list[str]] = []
    for row in reversed(head[:start]):
        if len(above) == _LINES or not width - 1 <= len(row) <= width + 1:
            break
        above.insert(0, row)
    unit_rows = [k for k, row in enumerate(above) if _is_unit_row(row)]
    noted = [row for place, row in comments if 0 < place <= start and len(row) == width and _is_unit_row(row)]
    units = above[unit_rows[-1]] if unit_rows else noted[-1] if noted else []
    titles = [k for k, row in enumerate(above) if k not in unit_rows and _is_title(row, width)]
    if not titles:
        return Header([], units, [], start)
    chosen = max(titles, key=lambda k: (_known(above[k]), k))
    names = above[chosen]
    return Header(names, units, _groups(names, above[:chosen]), start)


def _first_line_of_data(head: Sequence[list[str]], regular: Sequence[list[str]], width: int) -> int:
    numeric = [
        sum(is_number(row[k]) or is_gap(row[k]) or bool(WITH_UNIT.fullmatch(row[k])) for row in regular)
        > 0.9 * len(regular)
        for k in range(width)
    ]

    def is_data(place: int) -> bool:
        row = head[place]
        if not width - 1 <= len(row) <= width + 1:
            return False
        if not any(is_number(text) or WITH_UNIT.fullmatch(text) for text in row):
            return False
        following = head[place + 1 : place + 3]
        return all(
            is_number(text)
            or is_gap(text)
            or bool(WITH_UNIT.fullmatch(text))
            or (len(following) == 2 and all(other[k : k + 1] == [text] for other in following))
            for k, (text, is_numeric) in enumerate(zip(row, numeric, strict=False))
            if is_numeric
        )

    data = [is_data(k) for k in range(len(head))]
    following = [data[k + 1 : k + 4] for k in range(len(head))]
    return next(
        (k for k, one in enumerate(data) if one and 2 * sum(following[k]) >= len(following[k])), len(head)
    )


def _known(row: Sequence[str]) -> int:
    """Number of names of a row that are known."""
    bare = [split_unit(text) for text in row]
    return sum(bool(unit or meaning(name) or named_direction(name)[0]) for name, unit in bare)


def _groups(names: Sequence[str], above: Sequence[list[str]]) -> list[str]:
    """Titles over columns whose names repeat, each carried on to the columns right of it."""
    filled = [name for name in names if name]
    if not above or len(set(filled)) == len(filled):
        return []
    row = above[-1]
    out: list[str] = []
    if sum(bool(text) for text in row) < 2 or len({text for text in row if text}) < 2:
        return []
    for k in range(len(names)):
        text = row[k] if k < len(row) else ""
        out.append(text or (out[-1] if out else ""))
    return out


def _is_title(row: Sequence[str], width: int) -> bool:
    filled = sum(bool(text) for text in row)
    return filled >= min(2, width) and filled <= width + 1


def _is_unit_row(row: Sequence[str]) -> bool:
    words = [text for text in row if text.strip("-()[] #")]
    return bool(words) and all(parse_unit(text) is not None for text in words)
