"""`sptrack report`: a result folder in, one HTML page out."""

from pathlib import Path

from sptrack.errors import ParameterError
from sptrack.report import html_page, read_folder
from sptrack.results import write_atomic


def report(folder: Path, /, *, out: Path | None = None) -> None:
    """Make one self-contained HTML page of a result folder of any command.

    The page holds the verdict, figures, tables, parameters, versions, seeds and the command that makes the
    result again. It needs no network and no other file, on screens from 390 pixels wide and on paper.

    Parameters
    ----------
    folder
        Folder that a command wrote with --out.
    out
        HTML file; default: beside the folder, its name with .html.
    """
    page = html_page(read_folder(folder))
    resolved = folder.resolve()
    target = resolved.with_name(f"{resolved.name}.html") if out is None else out
    if target.suffix not in (".html", ".htm"):
        raise ParameterError(f"out must end in .html, got {target}")
    write_atomic(target, page)
    print(f"wrote {_short(target)}: {len(page) / 1e6:.1f} MB")


def _short(path: Path) -> str:
    """A path as seen from the working folder, if it lies below it."""
    here = Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
