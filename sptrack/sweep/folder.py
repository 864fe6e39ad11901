"""The folder of a sweep: its manifest, what of it is done, and how it stands."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sptrack import __version__
from sptrack.errors import ParameterError
from sptrack.results import json_text, write_atomic
from sptrack.sweep.cells import Cell, Damaged, Record, cell_path, read_record
from sptrack.sweep.design import Plan

MANIFEST = "sweep.json"
_FORM = 1
_STALE = 3600.0
"""Seconds after which an unfinished file is nobody's."""
_RECENT = 200
_HIDDEN = ".sptrack-"
_PLAIN = ("command", "design", "axes", "repeats", "seed", "paired")


class Standing(NamedTuple):
    """State of a sweep.

    Parameters
    ----------
    cells, done, refused : int
        Cells of the manifest; those with a record; of these the ones whose parameters the command refused.
    damaged : int
        Records that were cut or changed, not counted as done.
    reasons : list of (str, int)
        Why cells were refused, and how many, the most frequent first.
    seconds_left : float or None
        At the rate of the last 200 records; None with fewer than two, or when nothing is left.
    idle : float or None
        Seconds since the last record.
    """

    cells: int
    done: int
    refused: int
    damaged: int
    reasons: list[tuple[str, int]]
    seconds_left: float | None
    idle: float | None


class SweepFolder:
    """A folder that holds a sweep.

    Parameters
    ----------
    path : Path
        The folder; a manifest must be in it.

    Raises
    ------
    ParameterError
        A folder without a manifest, or one that is damaged or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._told = _read_manifest(path)
        self.command: str = self._told["command"]
        self.design: str = self._told["design"]
        self.axes: list[str] = self._told["axes"]
        self.repeats: int = self._told["repeats"]

    @classmethod
    def make(cls, path: Path, plan: Plan) -> "SweepFolder":
        """Folder of a plan: made if need be, gone on with if it holds a part of the plan.

        Raises
        ------
        ParameterError
            A folder with other files, with cells that are not of the plan, or of another version of sptrack.
        """
        if not path.parent.is_dir():
            raise ParameterError(f"{path}: folder '{path.parent}' does not exist")
        if path.exists() and not path.is_dir():
            raise ParameterError(f"{path}: is a file, a folder name is needed")
        cells = list(plan.cells())
        told = json.loads(json_text({"form": _FORM, "sptrack": __version__, **plan.identity()}))
        if path.is_dir() and any(not each.name.startswith(_HIDDEN) for each in path.iterdir()):
            if not (path / MANIFEST).is_file():
                raise ParameterError(
                    f"{path}: holds files that are not of a sweep; name a new or an empty folder"
                )
            _require_part(cls(path), {cell.key for cell in cells}, path)
        path.mkdir(exist_ok=True)
        (path / "cells").mkdir(exist_ok=True)
        write_atomic(path / MANIFEST, _manifest_text(told, cells))
        made = cls(path)
        made._remove_stale()
        return made

    @property
    def told(self) -> dict[str, Any]:
        """Manifest without its cells."""
        return {name: value for name, value in self._told.items() if name != "cells"}

    def cells(self) -> Iterator[Cell]:
        """Cells in the order of the design."""
        for key, seed, repeat, point, parameters in self._told["cells"]:
            yield Cell(key, seed, repeat, tuple(point), self._told["parameters"][parameters])

    def __len__(self) -> int:
        return len(self._told["cells"])

    def done(self) -> set[str]:
        """Keys of the cells that have a record."""
        there = {path.stem for path in self._records()}
        return there & {cell[0] for cell in self._told["cells"]}

    def records(self, keys: Iterable[str]) -> Iterator[tuple[str, Record]]:
        """Records that are there, of the cells of these keys; a damaged one is removed, to be made again."""
        done = self.done()
        for key in keys:
            if key in done:
                try:
                    yield key, read_record(cell_path(self.path, key))
                except Damaged:
                    cell_path(self.path, key).unlink(missing_ok=True)

    def standing(self) -> Standing:
        """State of the sweep; nothing is changed."""
        done, damaged, reasons, times = self.done(), 0, Counter[str](), []
        for key in done:
            path = cell_path(self.path, key)
            try:
                record = read_record(path)
                times.append(path.stat().st_mtime)
            except (Damaged, OSError):
                damaged += 1
                continue
            if record.refused:
                reasons[record.refused] += 1
        whole = len(done) - damaged
        last = sorted(times)[-_RECENT:]
        left = None
        if len(last) > 1 and whole < len(self):
            left = (len(self) - whole) * (last[-1] - last[0]) / (len(last) - 1)
        return Standing(
            cells=len(self),
            done=whole,
            refused=reasons.total(),
            damaged=damaged,
            reasons=reasons.most_common(),
            seconds_left=left,
            idle=max(0.0, time.time() - last[-1]) if last else None,
        )

    def _records(self) -> Iterator[Path]:
        with os.scandir(self.path / "cells") as folders:
            for folder in folders:
                yield from (path for path in Path(folder.path).iterdir() if path.suffix == ".json")

    def _remove_stale(self) -> None:
        """Remove temporary files that a process which was killed left an hour ago or before."""
        before = time.time() - _STALE
        for path in [*self.path.glob(f"{_HIDDEN}*"), *self.path.glob(f"cells/*/{_HIDDEN}*")]:
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)


def _manifest_text(told: dict[str, Any], cells: list[Cell]) -> str:
    """The manifest: what is told, the parameters of each point, and a line per cell."""
    points: dict[int, int] = {}
    parameters: list[str] = []
    rows: list[str] = []
    for cell in cells:
        number = points.setdefault(id(cell.parameters), len(points))
        if number == len(parameters):
            parameters.append(json.dumps(cell.parameters))
        rows.append(json.dumps([cell.key, cell.seed, cell.repeat, cell.point, number]))
    head = json.dumps(told, indent=1)[:-2]
    middle, end = ",\n".join(parameters), ",\n".join(rows)
    return f'{head},\n "parameters": [\n{middle}\n ],\n "cells": [\n{end}\n ]\n}}\n'


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise ParameterError(f"{folder}: holds no sweep (no {MANIFEST}); name the folder of a sweep")
    try:
        told: dict[str, Any] = json.loads(path.read_bytes())
        whole = told["form"] == _FORM and {*_PLAIN, "fixed", "parameters", "cells", "sptrack"} <= set(told)
        whole = whole and all(len(cell) == 5 for cell in told["cells"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ParameterError(f"{path}: damaged, not a manifest of a sweep") from error
    if not whole:
        raise ParameterError(f"{path}: not a manifest of a sweep of this version of sptrack ({__version__})")
    return told


def _require_part(known: SweepFolder, keys: set[str], path: Path) -> None:
    """Refuse a folder whose sweep is not a part of the plan with these keys."""
    other = known.told["sptrack"]
    if other != __version__:
        raise ParameterError(
            f"{path}: a sweep of sptrack {other}, this is {__version__}; name another folder"
        )
    foreign = sum(cell.key not in keys for cell in known.cells())
    if foreign:
        raise ParameterError(
            f"{path}: holds another sweep ({foreign} of its {len(known)} cells are not in this plan); "
            "name another folder"
        )
