"""Tables as instruments and colleagues write them.

A file becomes a `Table` of texts whose rows still know where they stand in the file. What the columns mean is
the matter of `sptrack.fitting.columns`.

Text files: UTF-8, UTF-16, UTF-32 (with or without byte order mark) or Windows-1252, plain or gzip; comma,
semicolon, tab, bar or blanks between fields; decimal point or comma; quoted fields; lines of comment (``#``,
``%``, ``!``, ``//``) and of preamble; blank lines; trailing separators; a header, which may be a comment; a
row of units below it, titles over groups of columns above it; the header again where files were joined, lines
such as ``# Device A`` between blocks, closing lines of text; a row for each quantity instead of a column; the
``DataName``/``DataValue`` lines of parameter analysers. Excel workbooks (``.xlsx``): the first sheet that
holds a table, or the one that is named.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.fitting.blocks import block_label, cut_blocks
from sptrack.fitting.content import decoded, file_content, logical_lines, workbook_rows
from sptrack.fitting.header import Header, find_header
from sptrack.fitting.texts import (
    COMMA_NUMBER,
    NUMBER,
    is_gap,
    is_number,
    quoted,
    ungrouped,
)

__all__ = ["Dialect", "Table", "read_table", "read_tables"]

_SAMPLE = 400
_SMALL = 20
_MAX_ROWS = 64
_CLOSING = 6
"""Most rows of a summary at the end of a table."""
_SEPARATORS = {"tab": "\t", "semicolon": ";", "bar": "|", "comma": ",", "blanks": " "}
_COMMENT = re.compile(r"\s*(#|%|!|//)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Format of a file; None is inferred.

    Parameters
    ----------
    separator : str, optional
        One of tab, semicolon, bar, comma, blanks.
    decimal : str, optional
        Decimal sign, "." or ",".
    sheet : str, optional
        Sheet of a workbook.
    """

    separator: str | None = None
    decimal: str | None = None
    sheet: str | None = None

    def __post_init__(self) -> None:
        """Refuse names and signs that are not known."""
        if self.separator is not None and self.separator not in _SEPARATORS:
            raise ParameterError(
                f"separator must be one of {', '.join(_SEPARATORS)}, got {quoted(self.separator)}"
            )
        if self.decimal not in (None, ".", ","):
            raise ParameterError(f"decimal must be '.' or ',', got {quoted(self.decimal or '')}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A table of texts.

    Attributes
    ----------
    path : Path
        File.
    header, units : list of str
        Name and unit row of every column, empty where there is none.
    columns : list of array [N] of str
        Fields, stripped; empty where a row has none.
    rows : array [N]
        Row of the file, from 1.
    blocks : array [N]
        Number of the block, from 0: a new one begins where the header stands again.
    groups : list of str
        Titles over the columns; empty where there is none.
    labels : list of (str, str)
        Role (cell, run or none) and name that a line before each block says.
    preamble : list of str
        Comments, and lines before the header.
    dialect : Dialect
        How the file is written.
    encoding : str
        Encoding of the text; "xlsx" of a workbook.
    other_sheets : tuple of str
        Further sheets of the workbook that hold tables.
    """

    path: Path
    header: list[str]
    units: list[str]
    columns: list[NDArray[Any]]
    rows: NDArray[np.int64]
    blocks: NDArray[np.int64]
    groups: list[str] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    preamble: list[str] = field(default_factory=list)
    dialect: Dialect = Dialect()
    encoding: str = ""
    other_sheets: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def name(self, k: int) -> str:
        """Column ``k`` as texts call it: its name in the file, else its number."""
        return quoted(self.header[k]) if self.header[k] else f"{k + 1}"


def read_table(path: str | Path) -> Table:
    """The first table of a file, as `read_tables`."""
    return read_tables(path)[0]


def read_tables(path: str | Path, dialect: Dialect | None = None) -> list[Table]:
    """Read the table of a file, or those of all sheets of a workbook whose columns are those of the first.

    Parameters
    ----------
    path : str or Path
        File; gzip and .xlsx are told by their first bytes.
    dialect : Dialect, optional
        What is known of its form; the rest is found out.

    Returns
    -------
    list of Table

    Raises
    ------
    ParameterError
        File that cannot be read, is no table, or has a row with more fields than the others.
    """
    path, dialect = Path(path), dialect or Dialect()
    content = file_content(path)
    if content[:4] == b"PK\x03\x04":
        sheets = workbook_rows(path, content, dialect.sheet)
        made = [
            _parse_grid(path, *rows, [], replace(dialect, sheet=name), "xlsx")
            for name, rows in sheets.items()
        ]
        if len(made) == 1:
            return made
        alike = [table for table in made if any(table.header) and table.header == made[0].header] or made[:1]
        rest = tuple(str(table.dialect.sheet) for table in made if table not in alike)
        return [*alike[:-1], replace(alike[-1], other_sheets=rest)]
    if dialect.sheet is not None:
        raise ParameterError(f"{path}: sheet {quoted(dialect.sheet)} is given, but this is not a workbook")
    text, encoding = decoded(path, content)
    lines, numbers = logical_lines(text)
    if not lines:
        raise ParameterError(f"{path}: no readings, the file is empty")
    return [_parse_text(path, lines, numbers, dialect, encoding)]


# --- lines to fields


def _split(line: str, separator: str) -> list[str]:
    """Fields of a line, stripped; quotes protect separators."""
    if separator == " ":
        found = re.findall(r'"[^"]*"|\S+', re.sub(r"(?<!\s)\s+(?=[(\[][^)\]]*[)\]])", "", line))
        return [part.strip('"').strip() for part in found]
    if '"' in line:
        parts = re.split(re.escape(separator) + r'(?=(?:[^"]*"[^"]*")*[^"]*$)', line)
        return [part.strip().strip('"').replace('""', '"').strip() for part in parts]
    return [part.strip() for part in line.split(separator)]


def _is_clean(text: str) -> bool:
    return is_number(text) or is_gap(text) or not re.search(r"[;|\t,\s]", text)


def _find_separator(lines: Sequence[str]) -> str:
    """Separator under which most fields of the sample are numbers or words, in rows of one length."""
    scores = {}
    for separator in _SEPARATORS.values():
        split = [_split(line, separator) for line in lines]
        count, times = Counter(map(len, split)).most_common(1)[0]
        fields = [text for row in split for text in row]
        clean = sum(map(_is_clean, fields)) / max(len(fields), 1)
        if count > 1:
            scores[separator] = round(clean * times / len(split), 1)
    best = max(scores.values(), default=0.0)
    return next((separator for separator, score in scores.items() if score == best), ",")


def _sample(lines: Sequence[str]) -> list[str]:
    """Lines from the second half of the first few thousand, where preambles have ended."""
    part = lines[: 20 * _SAMPLE]
    body = part[len(part) // 2 :] if len(part) > _SMALL else part
    return list(body[:: max(1, len(body) // _SAMPLE)])


def _comma_is_decimal(rows: Sequence[Sequence[str]]) -> bool:
    fields = [ungrouped(text) for row in rows for text in row]
    commas = sum(bool(COMMA_NUMBER.fullmatch(text)) for text in fields)
    points = sum("." in text and bool(NUMBER.fullmatch(text)) for text in fields)
    return commas > points


def _parse_text(path: Path, lines: list[str], numbers: list[int], dialect: Dialect, encoding: str) -> Table:
    comments: list[tuple[int, str]] = []
    kept: list[str] = []
    rows: list[int] = []
    for line, number in zip(lines, numbers, strict=True):
        if _COMMENT.match(line):
            comments.append((len(kept), line.strip().lstrip("#%!/").strip()))
        else:
            kept.append(line)
            rows.append(number)
    blocks = None
    if kept and kept[0].strip() == "IGOR":
        kept, rows = _igor_lines(path, kept, rows)
    if sum(line.startswith("DataValue") for line in kept) > 1:
        kept, rows, blocks, preamble = _analyser_lines(kept, rows)
        comments += [(0, line) for line in preamble]
    if not kept:
        raise ParameterError(f"{path}: no readings, {len(lines)} lines of comment only")
    sample = _sample(kept)
    separator = _SEPARATORS[dialect.separator] if dialect.separator else _find_separator(sample)
    decimal = dialect.decimal
    single = separator == "," and dialect.separator is None and _is_one_comma_column(kept, sample)
    if single:
        separator, decimal = "\t", ","
    turned = _exchanged(kept, separator)
    if turned:
        notes = [text for _, text in comments] + [" ".join(row) for row in turned[1]]
        known = Dialect(separator=dialect.separator, decimal=decimal)
        return _parse_grid(path, turned[0], list(range(1, len(turned[0]) + 1)), notes, known, encoding)
    split = [_split(line, separator) for line in sample]
    if decimal is None:
        decimal = "," if separator != "," and _comma_is_decimal(split) else "."
    found = Dialect(
        separator=next(name for name, sign in _SEPARATORS.items() if sign == separator), decimal=decimal
    )
    head = [_split(line, separator) for line in kept[: 2 * _SAMPLE]]
    header = find_header(head, split, [(place, _split(text, separator)) for place, text in comments])
    start, titles = header.start, kept[: header.start]
    again = {line for line in titles if _split(line, separator) in (header.names, header.units)}
    marked = {place - start: text for place, text in comments if place >= start}
    parts = cut_blocks(kept[start:], again, marked, separator, max(map(len, split)))
    if not parts.lines:
        raise ParameterError(f"{path}: no readings below the header")
    places = np.array(rows[start:], np.int64)[parts.kept]
    numbered = parts.blocks if blocks is None else np.array(blocks[start:], np.int64)[parts.kept]
    over = [text for place, text in comments if place <= start] + titles
    named = [label for text in over if (label := block_label(text))[0]]
    labels = list(parts.labels)
    if named and not labels[0][0]:
        labels[0] = named[-1]
    columns = _fields(path, parts.lines, places, (separator, max(max(map(len, split)), len(header.names))))
    preamble = [text for _, text in comments] + titles
    made = _finish(path, header, columns, (places, numbered), preamble, (found, encoding))
    return replace(made, labels=labels)


def _analyser_lines(kept: list[str], rows: list[int]) -> tuple[list[str], list[int], list[int], list[str]]:
    """Header and data of DataName and DataValue lines, their rows and blocks; the other lines."""
    block, lines, places, blocks, rest = -1, [], [], [], []
    for line, row in zip(kept, rows, strict=True):
        kind, _, content = re.sub(r"^(DataName|DataValue)\s*[,;\t]\s*", r"\1\0", line).partition("\0")
        if kind == "DataName":
            block += 1
        if kind == "DataValue" or (kind == "DataName" and block == 0):
            lines.append(content)
            places.append(row)
            blocks.append(max(block, 0))
        elif kind != "DataName":
            rest.append(line)
    return lines, places, blocks, rest


def _igor_lines(path: Path, kept: list[str], rows: list[int]) -> tuple[list[str], list[int]]:
    """Header and data of the waves of an Igor text file side by side, and their rows."""
    blocks: list[tuple[list[str], list[str], list[int]]] = []
    inside = False
    for line, row in zip(kept, rows, strict=True):
        word = line.strip()
        if word.upper().startswith("WAVES"):
            names = re.split(r"[\s,]+", re.sub(r"(?i)^waves\S*\s*(/\S+\s*)*(\([^)]*\)\s*)?", "", word))
            blocks.append(([name.strip("'\"") for name in names if name], [], []))
        elif word.upper() in ("BEGIN", "END"):
            inside = word.upper() == "BEGIN" and bool(blocks)
        elif inside:
            blocks[-1][1].append("\t".join(word.split()))
            blocks[-1][2].append(row)
    count = max((len(lines) for _, lines, _ in blocks), default=0)
    same = [block for block in blocks if len(block[1]) == count]
    if not count:
        raise ParameterError(f"{path}: no readings, no waves between BEGIN and END")
    body = ["\t".join(parts) for parts in zip(*(lines for _, lines, _ in same), strict=True)]
    header = "\t".join(name for names, _, _ in same for name in names)
    return [header, *body], [rows[0], *same[0][2]]


def _exchanged(kept: Sequence[str], separator: str) -> tuple[list[list[str]], list[list[str]]] | None:
    """Rows and columns exchanged, and rows that do not belong to it; None unless each row is a quantity."""
    if not 1 < len(kept) <= _MAX_ROWS:
        return None
    rows = [_split(line, separator) for line in kept]
    width = max(map(len, rows))
    fitting = [row for row in rows if width - 1 <= len(row) <= width]
    if width < max(_SMALL, 3 * len(fitting)) or any(is_number(row[0]) or not row[0] for row in fitting):
        return None
    if not any(sum(map(is_number, row[1:])) > 0.5 * (width - 1) for row in fitting):
        return None
    padded = [[*row, *[""] * (width - len(row))] for row in fitting]
    return [list(column) for column in zip(*padded, strict=True)], [r for r in rows if r not in fitting]


def _is_one_comma_column(kept: Sequence[str], sample: Sequence[str]) -> bool:
    """Whether ``12,345`` in every line is one number with a decimal comma and not two."""
    if not all(COMMA_NUMBER.fullmatch(line.strip().strip('"')) for line in sample):
        return False
    if not COMMA_NUMBER.fullmatch(kept[0].strip()) and "," not in kept[0]:
        return True
    decimals = [line.strip().rpartition(",")[2] for line in sample]
    alike = Counter(map(len, decimals)).most_common(1)[0]
    padded = any(text.startswith("0") and len(text) > 1 for text in decimals)
    return "," not in kept[0] or (padded and alike[0] > 1 and alike[1] > 0.8 * len(decimals))


def _fields(
    path: Path, body: list[str], places: NDArray[np.int64], form: tuple[str, int]
) -> list[NDArray[Any]]:
    """Columns of texts, by pandas; a row with too many fields, or with half a quotation, is refused."""
    import pandas as pd

    separator, width = form
    options: dict[str, Any] = {"sep": r"\s+" if separator == " " else separator}
    if separator == "\t" and width == 1:
        options = {"sep": "\x01"}
    try:
        frame = pd.read_csv(
            io.StringIO("\n".join(body)),
            header=None,
            names=list(range(width)),
            index_col=False,
            dtype=str,
            na_filter=False,
            skipinitialspace=True,
            skip_blank_lines=False,
            **options,
        )
    except pd.errors.ParserError as error:
        match = re.search(r"line (\d+), saw (\d+)", str(error))
        if match is None:
            raise ParameterError(f"{path}: cannot be read as a table ({quoted(error)})") from error
        row = int(match[1]) - 1
        if row >= len(body) or body[row].count('"') % 2:
            raise _open_quote(path, body, places, row) from error
        raise ParameterError(
            f"{path}, row {places[row]}: {match[2]} fields in {quoted(body[row])}, {width} in the others; "
            "pass --separator or --decimal if they were not recognised"
        ) from error
    if len(frame) != len(body):
        raise _open_quote(path, body, places, 0)
    return [frame[k].fillna("").str.strip().to_numpy(dtype=object) for k in frame.columns]


def _open_quote(path: Path, body: list[str], places: NDArray[np.int64], first: int) -> ParameterError:
    """Refusal of a quotation that goes on beyond its row: the first with a quote, from row ``first`` on."""
    row = next((k for k in range(min(first, len(body) - 1), len(body)) if '"' in body[k]), 0)
    return ParameterError(
        f"{path}, row {places[row]}: the quote in {quoted(body[row])} is not closed in its row; remove it"
    )


def _parse_grid(
    path: Path, grid: list[list[str]], numbers: list[int], notes: list[str], dialect: Dialect, encoding: str
) -> Table:
    """Table of a workbook's sheet."""
    width = max(map(len, grid))
    padded = [row + [""] * (width - len(row)) for row in grid]
    body = padded[len(padded) // 2 :]
    decimal = dialect.decimal or ("," if _comma_is_decimal(body) else ".")
    header = find_header(padded[: 2 * _SAMPLE], body[:_SAMPLE], [])
    start = header.start
    columns = [np.array([row[k] for row in padded[start:]], object) for k in range(width)]
    places = np.array(numbers[start:], np.int64), np.zeros(len(padded) - start, np.int64)
    titles = [" ".join(filter(None, row)) for row in grid[:start]]
    found = Dialect(decimal=decimal, sheet=dialect.sheet)
    return _finish(path, header, columns, places, notes + titles, (found, encoding))


def _finish(
    path: Path,
    header: Header,
    columns: list[NDArray[Any]],
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    preamble: list[str],
    form: tuple[Dialect, str],
) -> Table:
    """Pad the header, leave columns out that are empty and have no name."""
    width = len(columns)
    header = header.padded(width)
    last = _last_row(columns)
    preamble = preamble + [
        " ".join(str(column[k]) for column in columns) for k in range(last, places[0].size)
    ]
    columns, places = [column[:last] for column in columns], (places[0][:last], places[1][:last])
    kept = [k for k in range(width) if header.names[k] or any(columns[k])]
    if not kept or not columns[0].size:
        raise ParameterError(f"{path}: no readings below the header")
    return Table(
        path=path,
        header=[header.names[k] for k in kept],
        units=[header.units[k] for k in kept],
        groups=[header.groups[k] for k in kept],
        columns=[columns[k] for k in kept],
        rows=places[0],
        blocks=places[1],
        preamble=preamble,
        dialect=form[0],
        encoding=form[1],
    )


def _last_row(columns: Sequence[NDArray[Any]]) -> int:
    """Number of rows without a summary at the end: words below numbers that rise, as an index does."""
    first, count = columns[0], columns[0].size
    for last in range(count, max(count - _CLOSING, 1), -1):
        text = str(first[last - 1]).strip()
        if re.fullmatch(r"[^\W\d_]{2,}[\w .:-]*", text) is None or is_gap(text):
            return last
        above = [str(one) for one in first[max(last - 1 - _SMALL, 0) : last - 1]]
        numbers = [float(one.replace(",", ".")) for one in above if NUMBER.fullmatch(one.replace(",", "."))]
        if len(numbers) < len(above) - _CLOSING or np.any(np.diff(numbers) <= 0.0):
            return last
    return count
