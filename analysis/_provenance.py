"""Stamp of a figure's data, and checks of what is stored against sources and against a redraw."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from analysis._sources import data_sources, picture_sources
from sptrack.errors import ParameterError
from sptrack.results import load, read_provenance

STAMP = "study"
"""Entry of the provenance."""
TOLERANCE = 1e-5
"""Largest change of a value that a redraw may bring, over the largest magnitude of its variable, unless the
study's own ``TOLERANCE``, by variable, says more: kernels are the same to the bit on one machine, and to
rounding on another."""

_NAMED = 4
"""Changed modules that are named."""


@dataclass(frozen=True)
class State:
    """State of a stored figure.

    Attributes
    ----------
    name : str
        Study.
    verdict : str
        "current", "missing", "not stamped", "stale" (its data) or "stale picture".
    detail : str
        Files that are missing, or some of the modules that have changed.
    """

    name: str
    verdict: str
    detail: str = ""


def stamped(data: xr.Dataset, name: str, options: dict[str, Any]) -> xr.Dataset:
    """Data with the stamp of their study: command, options and hashes of the sources of data and picture."""
    told = read_provenance(data)
    words = ["python", "-m", "analysis", name]
    words += ["--small"] if options.get("small") else []
    words += ["--seed", str(options["seed"])] if options.get("seed") else []
    told["command"] = shlex.join(words)
    told[STAMP] = {
        "name": name,
        "small": bool(options.get("small", False)),
        "seed": int(options.get("seed", 0)),
        "sources": data_sources(name),
        "picture": picture_sources(name),
    }
    return data.assign_attrs(provenance=json.dumps(told))


def redrawn(data: xr.Dataset, name: str) -> xr.Dataset:
    """Data whose picture was drawn anew: the hashes of the picture alone change; unstamped data stay so."""
    told = read_provenance(data)
    if STAMP not in told:
        return data
    told[STAMP]["picture"] = picture_sources(name)
    return data.assign_attrs(provenance=json.dumps(told))


def state_of(name: str, folder: Path, pictures: tuple[str, ...]) -> State:
    """State of the figure of a study in a folder."""
    files = [f"{name}{ending}" for ending in (".nc", *pictures)]
    missing = [file for file in files if not (folder / file).exists()]
    if missing:
        return State(name, "missing", ", ".join(missing))
    stamp = read_provenance(load(folder / f"{name}.nc")).get(STAMP)
    if stamp is None:
        return State(name, "not stamped", "drawn before figures carried the hashes of their sources")
    for kind, verdict, now in (
        ("sources", "stale", data_sources(name)),
        ("picture", "stale picture", picture_sources(name)),
    ):
        changed = _changed(stamp[kind], now)
        if changed:
            return State(name, verdict, _some(changed))
    return State(name, "current")


def _some(changed: list[str]) -> str:
    """The first names of those that have changed, the study's own before all, and the number of the rest."""
    own_first = sorted(changed, key=lambda module: (not module.startswith("analysis"), module))
    rest = len(changed) - _NAMED
    return ", ".join(own_first[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def stored_options(name: str, folder: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Stored data of a study and the options that drew them.

    Raises
    ------
    ParameterError
        No such file, or data without a stamp.
    """
    data = load(folder / f"{name}.nc")
    stamp = read_provenance(data).get(STAMP)
    if stamp is None:
        raise ParameterError(f"{folder / name}.nc must carry a stamp to be compared, got none: draw it first")
    return data, {"small": stamp["small"], "seed": stamp["seed"]}


def differences(stored: xr.Dataset, fresh: xr.Dataset, tolerances: dict[str, float]) -> list[str]:
    """Variables in which a redraw departs from stored data by more than its tolerance, a line each."""
    found = []
    for name in sorted({str(k) for k in stored.variables} | {str(k) for k in fresh.variables}):
        if name not in stored.variables or name not in fresh.variables:
            found.append(f"{name}: only in the {'redraw' if name in fresh.variables else 'stored data'}")
            continue
        old, new = stored[name].values, fresh[name].values
        if old.shape != new.shape or stored[name].dims != fresh[name].dims:
            found.append(f"{name}: shape {list(new.shape)}, stored {list(old.shape)}")
        elif old.dtype.kind not in "fiub":
            if not np.array_equal(old, new):
                found.append(f"{name}: other labels")
        else:
            found += _departure(name, old, new, tolerances.get(name, TOLERANCE))
    return found


def _departure(name: str, old: np.ndarray, new: np.ndarray, tolerance: float) -> list[str]:
    """Line about numbers that differ by more than the tolerance."""
    a, b = old.astype(np.float64), new.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return []
    scale = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    gap = np.where(same, 0.0, np.abs(a - b))
    fraction = float("inf") if not np.isfinite(gap).all() or scale == 0 else float(gap.max() / scale)
    if fraction <= tolerance:
        return []
    return [f"{name}: off by {fraction:.3g} of its largest value, tolerance {tolerance:g}"]


def _changed(then: dict[str, str], now: dict[str, str]) -> list[str]:
    """Modules whose hash has changed, or that came or went."""
    return sorted(module for module in then.keys() | now.keys() if then.get(module) != now.get(module))
