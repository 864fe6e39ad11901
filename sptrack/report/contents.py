"""Read a result folder of any command into what a page shows: verdict, figures, tables, origin, files."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sptrack.errors import ParameterError
from sptrack.results import load, read_provenance

if TYPE_CHECKING:
    import xarray as xr

State = Literal["met", "missed", "none"]

MAX_ROWS = 200
"""Rows of a table that a page shows; it says how many there are."""
_MAX_LISTED = 12
_MAX_FILES = 200
_PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}
"""Kinds of pictures, the preferred one first."""
_MAX_COLUMNS = 12
"""A table with more columns and fewer rows is turned on its side."""
_TEXTS = (".toml",)
_INTERVAL = "_ci"


class Verdict(NamedTuple):
    """Whether targets are met, and the sentence on it."""

    state: State
    text: str


class Figure(NamedTuple):
    """A picture: file name without ending, media type, bytes."""

    name: str
    media: str
    content: bytes


class Table(NamedTuple):
    """Headings and rows of text; ``rows_in_all`` counts those left out as well."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    rows_in_all: int


class File(NamedTuple):
    """A file of the folder: path in it, size in bytes, SHA-256 of its content."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Contents of the page of a result folder.

    Parameters
    ----------
    name
        Name of the folder.
    verdict
        Of the targets that were given, as the result's own files say it.
    notes
        Warnings and notes kept in the result.
    figures, tables
        In the order of their files' names.
    variables
        One table a dataset: its variables with dimensions, units, meaning and range.
    origin
        Provenance of every dataset, by file name.
    texts
        Settings files as they are, by file name.
    files
        What the folder holds; at most 200 are listed.
    files_in_all
        How many there are.
    """

    name: str
    verdict: Verdict
    notes: list[str]
    figures: list[Figure]
    tables: list[Table]
    variables: list[Table]
    origin: dict[str, dict[str, Any]]
    texts: dict[str, str]
    files: list[File]
    files_in_all: int


def read_folder(path: str | os.PathLike[str]) -> Contents:
    """Read a result folder; checksums of its datasets are verified.

    Files in sub-folders are listed, not shown: they are states and parts of what the folder itself holds.

    Raises
    ------
    ParameterError
        If ``path`` is no folder, holds neither a dataset nor a JSON file, or one of them is damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ParameterError(f"{os.fspath(path)}: no such folder; name one that a command wrote with --out")
    own = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    datasets = {each.name: load(each) for each in own if each.suffix == ".nc"}
    documents = {each.name: _document(each) for each in own if each.suffix == ".json"}
    if not datasets and not documents:
        raise ParameterError(
            f"{os.fspath(path)}: holds no result (no .nc or .json file); name a folder written with --out"
        )
    known = _along_one_dimension(datasets)
    listed, count = _files(folder)
    tables = [table for name, value in documents.items() for table in _tables(name, value, known)]
    return Contents(
        name=folder.resolve().name,
        verdict=_verdict(documents.values()),
        notes=[note for value in documents.values() for note in _notes(value)],
        figures=list(_figures(own)),
        tables=tables + list(_dataset_tables(datasets, tables)),
        variables=[_variables(name, data) for name, data in datasets.items()],
        origin={name: read_provenance(data) for name, data in datasets.items()},
        texts={each.name: _text(each) for each in own if each.suffix in _TEXTS},
        files=listed,
        files_in_all=count,
    )


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names ("device.response.w_max") and texts of all values in nested mappings."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif _records(value):
        for place, item in enumerate(value):
            yield from flat(item, f"{prefix}[{place}]")
    else:
        yield prefix, text_of(value)


def text_of(value: Any) -> str:
    """One value as a table shows it: four digits, yes or no, lists cut after 12 entries, "-" for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text_of(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list):
        parts = [f"[{text_of(item)}]" if isinstance(item, list) else text_of(item) for item in value]
        if len(parts) > _MAX_LISTED:
            parts = [*parts[: _MAX_LISTED - 1], f"... ({len(parts)} values)"]
        return ", ".join(parts) or "-"
    return str(value)


def _document(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise ParameterError(f"{path}: damaged, not valid JSON ({error})") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: cannot be read ({error})") from error


def _verdict(documents: Any) -> Verdict:
    """The first verdict that the files of a result hold."""
    for value in documents:
        rows = value if isinstance(value, list) else []
        holding = [
            row["holds"] for row in rows if isinstance(row, dict) and isinstance(row.get("holds"), bool)
        ]
        if holding:
            state: State = "met" if all(holding) else "missed"
            return Verdict(state, f"{sum(holding)} of {len(holding)} bounds hold")
        if not isinstance(value, dict):
            continue
        met = value.get("met")
        state = "met" if met is True else "missed" if met is False else "none"
        if isinstance(value.get("verdict"), str):
            return Verdict(state, value["verdict"])
        if state != "none":
            return Verdict(state, "all requirements are met" if met else _missed(value))
    return Verdict("none", "none, since no target was given")


def _missed(value: Mapping[str, Any]) -> str:
    names = [
        str(miss["name"]) for miss in value.get("misses") or () if isinstance(miss, dict) and "name" in miss
    ]
    return f"requirements are not met: {', '.join(names)}" if names else "requirements are not met"


def _notes(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key in ("warnings", "notes"):
            found = value.get(key)
            yield from (note for note in found or () if isinstance(note, str))


def _figures(files: Sequence[Path]) -> Iterator[Figure]:
    for name in sorted({each.stem for each in files if each.suffix in _PICTURES}):
        for suffix, media in _PICTURES.items():
            found = [each for each in files if each.stem == name and each.suffix == suffix]
            if found:
                yield Figure(name, media, found[0].read_bytes())
                break


def _along_one_dimension(datasets: Mapping[str, "xr.Dataset"]) -> dict[str, tuple[str, int, str]]:
    """Dimension, length and unit of the variables and coordinates that have one dimension, by name."""
    out = {}
    for data in datasets.values():
        for name, values in data.variables.items():
            if values.ndim == 1:
                unit = str(values.attrs.get("units", ""))
                out[str(name)] = (str(values.dims[0]), values.size, "" if unit == "1" else unit)
    return out


def _tables(name: str, value: Any, known: Mapping[str, tuple[str, int, str]]) -> Iterator[Table]:
    """Tables of a JSON value: its plain values, its columns along a dimension, its lists of records."""
    if _records(value):
        yield _table(name, value)
    if not isinstance(value, dict):
        return
    columns: dict[str, list[str]] = {}
    for key, item in value.items():
        lone = key.removesuffix(_INTERVAL) not in value or not key.endswith(_INTERVAL)
        if lone and key in known and isinstance(item, list) and len(item) == known[key][1]:
            columns.setdefault(known[key][0], []).append(key)
    in_columns = {key for keys in columns.values() for key in keys}
    in_columns |= {key + _INTERVAL for key in in_columns}
    nested = {key: item for key, item in value.items() if _records(item)}
    plain = {
        key: item
        for key, item in value.items()
        if key not in in_columns and key not in nested and key not in ("notes", "warnings")
    }
    for dimension, keys in columns.items():
        rows = [
            {key: value[key][place] for key in keys}
            | {key + _INTERVAL: value[key + _INTERVAL][place] for key in keys if key + _INTERVAL in value}
            for place in range(known[keys[0]][1])
        ]
        units = {key: known[key][2] for key in keys}
        yield _table(f"{name}, by {dimension}", rows, units)
    for key, records in nested.items():
        yield _table(f"{name}: {key}", records)
    pairs = list(_pairs(plain))
    if pairs:
        yield Table(name, ("name", "value"), pairs[:MAX_ROWS], len(pairs))


def _records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(title: str, records: list[dict[str, Any]], units: Mapping[str, str] | None = None) -> Table:
    """Table of records: a value and its interval share a column, other nested values get one each.

    More than 12 columns with fewer rows are turned on their side.
    """
    rows = [dict(_pairs(row)) for row in records]
    headings = tuple(dict.fromkeys(key for row in rows for key in row))
    body = [tuple(row.get(key, "-") for key in headings) for row in rows]
    named = tuple(f"{key} ({units[key]})" if units and units.get(key) else key for key in headings)
    if len(named) > max(_MAX_COLUMNS, len(body)):
        top, *side = zip(named, *body, strict=True)
        return Table(title, top, side, len(side))
    return Table(title, named, body[:MAX_ROWS], len(body))


def _pairs(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, item in _with_intervals(value).items():
        yield from flat(item, key)


def _with_intervals(value: Mapping[str, Any]) -> dict[str, Any]:
    """Join a value and its interval to one text: "x" and "x_ci", or "value", "low", "high"; also inside."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        interval = value.get(key + _INTERVAL)
        if key.endswith(_INTERVAL) and key.removesuffix(_INTERVAL) in value:
            continue
        if isinstance(item, Mapping) and {"value", "low", "high"} <= item.keys():
            known = f"{text_of(item['value'])} [{text_of(item['low'])}, {text_of(item['high'])}]"
            out[key] = f"{known} {item['unit']}" if item.get("unit") else known
        elif isinstance(item, Mapping):
            out[key] = _with_intervals(item)
        elif isinstance(interval, list) and len(interval) == 2 and not isinstance(item, list):
            out[key] = f"{text_of(item)} [{text_of(interval)}]"
        else:
            out[key] = item
    return out


def _dataset_tables(datasets: Mapping[str, "xr.Dataset"], tables: Sequence[Table]) -> Iterator[Table]:
    """Tables of what the datasets hold along one short dimension and no table shows so far."""
    names = {heading.split(" (")[0] for table in tables for heading in table.headings}
    for file, data in datasets.items():
        known = _along_one_dimension({file: data})
        for dimension, count in data.sizes.items():
            values = [str(name) for name, each in data.data_vars.items() if each.dims == (dimension,)]
            values = [name for name in values if not _is_interval(name, data)]
            if not 0 < count <= MAX_ROWS or not values or set(values) <= names:
                continue
            named = [str(name) for name, each in data.coords.items() if each.dims == (dimension,)] + values
            rows = [{name: data[name].values[place].item() for name in named} for place in range(count)]
            yield _table(f"{file}, by {dimension}", rows, {name: known[name][2] for name in named})


def _is_interval(name: str, data: "xr.Dataset") -> bool:
    return name.endswith(_INTERVAL) and name.removesuffix(_INTERVAL) in data


def _variables(name: str, data: "xr.Dataset") -> Table:
    rows = []
    for variable, values in data.variables.items():
        sizes = ", ".join(f"{dimension} {size}" for dimension, size in values.sizes.items())
        numeric = values.dtype.kind in "iuf" and values.size > 0
        extent = f"{text_of(float(values.min()))} .. {text_of(float(values.max()))}" if numeric else "-"
        attributes = values.attrs
        rows.append(
            (
                str(variable),
                sizes or "-",
                str(attributes.get("units", "-")),
                extent,
                str(attributes.get("long_name", "-")),
            )
        )
    return Table(name, ("variable", "dimensions", "unit", "range", "meaning"), rows, len(rows))


def _files(folder: Path) -> tuple[list[File], int]:
    """Files below a folder, hidden ones left out: the first 200 by name, and how many there are."""
    paths = sorted(
        each
        for each in folder.rglob("*")
        if each.is_file() and not any(part.startswith(".") for part in each.relative_to(folder).parts)
    )
    out = []
    for each in paths[:_MAX_FILES]:
        with each.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        out.append(File(each.relative_to(folder).as_posix(), each.stat().st_size, digest))
    return out, len(paths)
