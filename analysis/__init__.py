"""Studies: one question a file. Each has ``run(...) -> Dataset`` and ``plot(dataset) -> Figure``."""

import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from analysis._cells import cells_kept
from analysis._provenance import State, differences, redrawn, stamped, state_of, stored_options
from analysis._sources import data_sources
from sptrack.errors import ParameterError
from sptrack.plotting.style import save_figure
from sptrack.results import load, save
from sptrack.sweep.engines import Engine
from sptrack.values import check_choice

__all__ = [
    "GALLERY",
    "choose",
    "compare",
    "draw",
    "produce",
    "question",
    "small_folder",
    "state",
    "study",
    "study_names",
]

GALLERY = Path("figures")
"""Where figures of full size go, below the working folder."""
PICTURES = (".png", ".svg")


def study_names() -> tuple[str, ...]:
    """Names of all studies: the modules of this package."""
    return tuple(sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_")))


def study(name: str) -> ModuleType:
    """Module of a study.

    Raises
    ------
    ParameterError
        If there is no study of that name; the nearest one is suggested.
    """
    check_choice("study", name, study_names())
    return import_module(f"{__name__}.{name}")


def question(name: str) -> str:
    """Question of a study: the first line of its text. Errors as in `study`."""
    return (study(name).__doc__ or "").strip().partition("\n")[0]


def choose(words: Iterable[str]) -> tuple[str, ...]:
    """Names of studies from words of a command line; "all" stands for all of them.

    Raises
    ------
    ParameterError
        If a word is neither "all" nor the name of a study.
    """
    chosen = tuple(dict.fromkeys(words))
    if "all" in chosen:
        return study_names()
    for name in chosen:
        study(name)
    return chosen


def small_folder() -> Path:
    """A new temporary folder for figures of small size, which must not replace those of the gallery."""
    return Path(tempfile.mkdtemp(prefix="sptrack-figures-"))


def produce(name: str, folder: Path, engine: Engine | None = None, **options: Any) -> list[Path]:
    """Run a study and write its picture, twice, beside the data from which it was drawn.

    Studies that loop over settings by `analysis._cells.each` go on after an interrupt: the same call computes
    the settings that are missing.

    Parameters
    ----------
    name : str
        Name of a study.
    folder : Path
        Where NAME.nc, NAME.png and NAME.svg go; made if its parent exists.
    engine : Engine or None
        Who computes the settings of such studies; None: this process.
    **options
        ``small``, ``seed`` and ``threads`` of its ``run``.

    Returns
    -------
    list of Path
        The files, each of which was replaced at once when it was complete.

    Raises
    ------
    ParameterError
        If there is no such study, or the folder cannot be made.
    """
    module = study(name)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ParameterError(f"{folder}: cannot be made a folder ({error.strerror})") from error
    with cells_kept(folder / f"{name}.cells", data_sources(name), engine):
        data = stamped(module.run(**options), name, options)
        return _write(module, name, data, folder)


def draw(name: str, folder: Path) -> list[Path]:
    """Draw the picture of a study again from its stored data; returns the files. Errors as in `load`.

    The data stay as they are, but for the hashes of the picture's sources where they carry a stamp.
    """
    module, stored = study(name), load(folder / f"{name}.nc")
    data = redrawn(stored, name)
    if data is stored:
        return _draw(module, name, data, folder)
    return _write(module, name, data, folder)


def state(name: str, folder: Path) -> State:
    """State of a stored figure: current, missing, not stamped, stale, or stale picture."""
    study(name)
    return state_of(name, folder, PICTURES)


def compare(name: str, folder: Path, *, threads: int | None = None) -> list[str]:
    """Run a study again with the options of its stored data and compare both.

    Returns
    -------
    list of str
        A line for each variable that departs by more than its tolerance: ``TOLERANCE`` of the study (mapping
        of variables), else `analysis._provenance.TOLERANCE`, of the largest magnitude.

    Raises
    ------
    ParameterError
        No such study or file, or data without a stamp.
    """
    module = study(name)
    stored, options = stored_options(name, folder)
    fresh = module.run(**options, threads=threads)
    return differences(stored, fresh, getattr(module, "TOLERANCE", {}))


def _write(module: ModuleType, name: str, data: Any, folder: Path) -> list[Path]:
    pictures = _draw(module, name, data, folder)
    save(data, folder / f"{name}.nc")
    return [folder / f"{name}.nc", *pictures]


def _draw(module: ModuleType, name: str, data: Any, folder: Path) -> list[Path]:
    pictures = [folder / f"{name}{suffix}" for suffix in PICTURES]
    figure = module.plot(data)
    for picture in pictures:
        save_figure(figure, picture)
    return pictures
