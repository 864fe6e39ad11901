"""Studies: one question a file. Each has ``run(...) -> Dataset`` and ``plot(dataset) -> Figure``."""

import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from sptrack.errors import ParameterError, nearest
from sptrack.plotting.style import save_figure
from sptrack.results import save

__all__ = ["GALLERY", "choose", "produce", "question", "small_folder", "study", "study_names"]

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
    names = study_names()
    if name not in names:
        raise ParameterError(f"study {name!r}: one of {', '.join(names)} wanted{nearest(name, names)}")
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
    wanted = tuple(dict.fromkeys(words))
    if "all" in wanted:
        return study_names()
    for name in wanted:
        study(name)
    return wanted


def small_folder() -> Path:
    """A new temporary folder for figures of small size, which must not replace those of the gallery."""
    return Path(tempfile.mkdtemp(prefix="sptrack-figures-"))


def produce(name: str, folder: Path, **options: Any) -> list[Path]:
    """Run a study and write its picture, twice, beside the data from which it was drawn.

    Parameters
    ----------
    name : str
        Name of a study.
    folder : Path
        Where NAME.nc, NAME.png and NAME.svg go; made if its parent exists.
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
    data = module.run(**options)
    files = [folder / f"{name}{suffix}" for suffix in (".nc", *PICTURES)]
    save(data, files[0])
    figure = module.plot(data)
    for picture in files[1:]:
        save_figure(figure, picture)
    return files
