"""Bytes of a file to its lines, or to the rows of a workbook's sheet."""

from __future__ import annotations

import gzip
import io
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

from sptrack.errors import ParameterError
from sptrack.fitting.texts import is_number, quoted
from sptrack.fitting.vocabulary import FOREIGN

__all__ = ["decoded", "file_content", "logical_lines", "workbook_rows"]


_HEAD = 20_000
_LARGEST = 2**31
_NOTES = 0.1
"""Fraction of the rows of numbers of the largest sheet up to which another one holds notes, not a table."""
_FORMATS = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "the old Excel format .xls",
    b"\x89HDF": "HDF5",
    b"CDF": "NetCDF",
    b"MATLAB 5.0 MAT-file": "a MAT-file of MATLAB",
    b"TDSm": "the TDMS format of LabVIEW",
    b"PAR1": "Parquet",
    b"%PDF": "a PDF document",
    b"\x93NUMPY": "an array of NumPy",
}
"""Formats by their first bytes."""


def file_content(path: Path) -> bytes:
    """Bytes of a file, unpacked if it is gzip or a zip archive of one file, without zeros at its end.

    Formats that are no tables of text, such as the old Excel format, are refused by their first bytes.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or f"damaged gzip file: {error}"
        raise ParameterError(f"{path}: cannot be read ({reason})") from error
    except Exception as error:
        raise ParameterError(f"{path}: cannot be read (damaged gzip file)") from error
    if content[:4] == b"PK\x03\x04":
        return _unzipped(path, content)
    for start, name in _FORMATS.items():
        if content[: len(start)] == start:
            raise ParameterError(f"{path}: {name}; save its table as CSV, other text or .xlsx")
    text = content.lstrip(b"\xef\xbb\xbf\0 \t\r\n")[:1]
    if text in (b"<", b"{"):
        kind = "a page of HTML or XML" if text == b"<" else "JSON"
        raise ParameterError(f"{path}: {kind}, not a table; save it as CSV, other text or .xlsx")
    short = content.rstrip(b"\0")
    return short + b"\0" * (-len(short) % 4) if b"\0" in short[:_HEAD] else short


def _unzipped(path: Path, content: bytes) -> bytes:
    """The workbook that a zip archive is, or the one file in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [one.filename for one in archive.infolist() if not one.is_dir()]
            names = [name for name in names if not name.startswith("__MACOSX/")]
            if "[Content_Types].xml" in names:
                return content
            if len(names) == 1 and archive.getinfo(names[0]).file_size <= _LARGEST:
                return archive.read(names[0])
    except Exception as error:
        raise ParameterError(f"{path}: cannot be read (damaged zip archive)") from error
    raise ParameterError(
        f"{path}: a zip archive of {len(names)} files, {quoted(', '.join(names))}; unpack it and give the "
        "files of readings"
    )


def _best_decoding(content: bytes) -> str:
    """Encoding, of those that are not Unicode, in whose text most words of the vocabulary stand."""
    found = {}
    for name in ("cp1252", "cp932", "gb18030", "latin-1"):
        try:
            text = unicodedata.normalize("NFKC", content[:_HEAD].decode(name, "ignore"))
            content.decode(name)
        except UnicodeDecodeError:
            continue
        found[name] = sum(word in text for word in FOREIGN)
    return max(found, key=lambda name: found[name])


def decoded(path: Path, content: bytes) -> tuple[str, str]:
    """Text, and the encoding that was found."""
    guesses: tuple[str, ...]
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe\x00\x00", "utf-32"),
        (b"\x00\x00\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(mark):
            guesses = (name,)
            break
    else:
        head = content[:4000]
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > len(head) // 6:
            guesses = ("utf-16-le",) if odd > even else ("utf-16-be",)
        else:
            guesses = ("utf-8", _best_decoding(content))
    for name in guesses:
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        begin = text[:4000]
        if sum(not (c.isprintable() or c.isspace() or c == "\x1a") for c in begin) <= len(begin) // 50:
            return text, name
    raise ParameterError(f"{path}: not a text table; CSV, other text, gzip of it and .xlsx can be read")


def logical_lines(text: str) -> tuple[list[str], list[int]]:
    """Lines with quoted line breaks joined, blank ones left out, and the rows where they begin."""
    raw = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").split("\n")
    if '"' not in text:
        kept = [(line, k) for k, line in enumerate(raw, start=1) if line.strip("\x1a \t\f")]
        return [line for line, _ in kept], [k for _, k in kept]
    lines, numbers, start, part = [], [], 0, ""
    for k, line in enumerate(raw, start=1):
        joined = f"{part} {line}" if part else line
        if joined.count('"') % 2 and k - start < 5:
            part, start = joined, start if part else k
            continue
        if joined.strip():
            lines.append(joined)
            numbers.append(start if part else k)
        part, start = "", k + 1
    if part:
        lines.append(part)
        numbers.append(start)
    return lines, numbers


def workbook_rows(
    path: Path, content: bytes, sheet: str | None
) -> dict[str, tuple[list[list[str]], list[int]]]:
    """Fields of the rows that are not blank, and their numbers, of the sheets that hold tables by name.

    If a sheet is given, of that alone.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise ParameterError(
            f"{path}: reading .xlsx needs openpyxl: pip install 'sptrack[excel]', or save it as CSV"
        ) from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        grids = {
            name: [
                (k, [_cell_text(value) for value in row])
                for k, row in enumerate(book[name].iter_rows(values_only=True), start=1)
            ]
            for name in book.sheetnames
            if hasattr(book[name], "iter_rows")
        }
    except Exception as error:
        raise ParameterError(f"{path}: not a workbook that can be read ({type(error).__name__})") from error
    if sheet is not None and sheet not in grids:
        raise ParameterError(f"{path}: no sheet {quoted(sheet)}; it has {quoted(', '.join(grids))}")
    filled = {name: [(k, row) for k, row in rows if any(row)] for name, rows in grids.items()}
    counts = {name: sum(any(map(is_number, row)) for _, row in rows) for name, rows in filled.items()}
    least = max(2.0, _NOTES * max(counts.values(), default=0))
    with_table = [name for name, count in counts.items() if count > least]
    if sheet is None and not with_table:
        raise ParameterError(f"{path}: no sheet holds a table of numbers")
    chosen = with_table if sheet is None else [sheet]
    return {name: ([row for _, row in filled[name]], [k for k, _ in filled[name]]) for name in chosen}


def _cell_text(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value).strip()
