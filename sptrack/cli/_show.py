"""Results on a terminal: a verdict first, tables that fit the width, lines that wrap, the next step last."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

_FILE_WIDTH = 120
_GAP, _MARGIN, _LEAST_TEXT = 3, 2, 24
_STYLES = {True: "bold green", False: "bold red", None: "bold yellow"}


class Column(NamedTuple):
    """Column of a table.

    Parameters
    ----------
    heading : str
        Its heading.
    rank : int
        0 stays at every width; of the others the highest rank is left out first where the width is short.
    left : bool
        Text, set flush left; numbers are set flush right.
    wraps : bool
        Text that may be broken into lines of at least 24 characters.
    """

    heading: str
    rank: int = 0
    left: bool = False
    wraps: bool = False


def console() -> "Console":
    """Console on stdout: as wide as the terminal, COLUMNS, or 120 characters in a file or a pipe."""
    from rich.console import Console

    made = Console(highlight=False)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        made.width = _FILE_WIDTH
    return made


def show_verdict(to: "Console", word: str, text: str, good: bool | None) -> None:
    """Print the outcome in a line: a word in the colour of its meaning (None: undecided), then the reason."""
    from rich.text import Text

    to.print(Text.assemble((word, _STYLES[good]), "  ", text))


def show_lines(to: "Console", lines: Iterable[str]) -> None:
    """Print lines of text, wrapped at words."""
    from rich.text import Text

    for line in lines:
        to.print(Text(line))


def show_pairs(to: "Console", pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns, the values wrapped."""
    from rich.table import Table

    rows = list(pairs)
    if not rows:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=max(len(name) for name, _ in rows))
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, _plain(value))
    to.print(table)


def show_next(to: "Console", text: str) -> None:
    """Print what to do next."""
    show_lines(to, [f"Next: {text}"])


def show_table(
    to: "Console",
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    note: str = "--json",
) -> None:
    """Print a table whole: on narrow terminals columns are left out and named, or rows become paragraphs.

    Parameters
    ----------
    to
        Where it is printed.
    title
        A heading above it.
    columns
        The columns in order.
    rows
        Cells as text, as many as columns.
    note
        Where the columns that are left out can be found.
    """
    from rich import box
    from rich.table import Table

    kept = list(range(len(columns)))
    while _width(columns, rows, kept) > to.width and any(columns[k].rank for k in kept):
        kept.remove(max(kept, key=lambda k: (columns[k].rank, k)))
    if _width(columns, rows, kept) > to.width:
        _paragraphs(to, title, columns, rows)
        return
    to.print()
    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for k in kept:
        one = columns[k]
        table.add_column(
            one.heading,
            justify="left" if one.left or one.wraps else "right",
            no_wrap=not one.wraps,
            min_width=None if one.wraps else _natural(columns, rows, k),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_plain(row[k]) for k in kept))
    to.print(table)
    left = [one.heading for k, one in enumerate(columns) if k not in kept]
    if left:
        show_lines(to, [f"Left out at {to.width} columns: {', '.join(left)} (see {note})."])


def _plain(text: str) -> "str":
    from rich.markup import escape

    return escape(text)


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]], k: int) -> int:
    from rich.cells import cell_len

    return max([cell_len(columns[k].heading), *(cell_len(row[k]) for row in rows)])


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    """Least width of the table with the columns ``kept``."""
    widths = [_natural(columns, rows, k) for k in kept]
    least = [min(w, _LEAST_TEXT) if columns[k].wraps else w for k, w in zip(kept, widths, strict=True)]
    return sum(least) + _GAP * (len(kept) - 1) + _MARGIN


def _paragraphs(to: "Console", title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """The table on its side: a paragraph for each row, a line for each column."""
    if title:
        show_lines(to, ["", title])
    for row in rows:
        show_lines(to, ["", row[0] or columns[0].heading])
        pairs = zip(columns[1:], row[1:], strict=True)
        show_pairs(to, [(f"  {one.heading}", value) for one, value in pairs if value not in ("", "-")])
