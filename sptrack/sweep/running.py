"""A sweep from its plan to its records."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sptrack.errors import ParameterError, SptrackError
from sptrack.sweep.cells import kinds, run_cell, warm_up
from sptrack.sweep.design import Plan
from sptrack.sweep.engines import Engine, Serial, Task
from sptrack.sweep.folder import SweepFolder

_EXTRA = ("distributed", "dask", "zarr", "threadpoolctl")


class Report(NamedTuple):
    """Result of a run of a sweep.

    Parameters
    ----------
    folder : SweepFolder
        Where the sweep is.
    found, made : int
        Cells that were there before, and that were computed now.
    failed : dict
        Cells that were not written, by key, and why; a later run tries them again.
    """

    folder: SweepFolder
    found: int
    made: int
    failed: dict[str, str]


def run_sweep(
    plan: Plan | None,
    path: Path,
    engine: Engine | None = None,
    *,
    part: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Compute the cells of a sweep that are not there yet.

    Parameters
    ----------
    plan : Plan or None
        The sweep; None: that of the folder.
    path : Path
        Its folder, made if need be.
    engine : Engine or None
        Who computes; None: this process.
    part : (int, int)
        ``(k, n)``: every n-th cell from the k-th on, for processes that share a sweep without talking.
    progress : callable or None
        Called with the cells of the part that are done, and all of them.

    Returns
    -------
    Report

    Raises
    ------
    ParameterError
        As `SweepFolder.make` and `SweepFolder`, or a part that is none.
    SptrackError
        A package of the extra that is missing, or as the engine.
    """
    require_extra()
    number, of = part
    if not 0 <= number < of:
        raise ParameterError(f"part must be K/N with 0 <= K < N, got {number}/{of}")
    folder = SweepFolder(path) if plan is None else SweepFolder.make(path, plan)
    mine = [cell for k, cell in enumerate(folder.cells()) if k % of == number]
    there = {key for key, _ in folder.records(cell.key for cell in mine)}
    missing = [cell for cell in mine if cell.key not in there]
    fixed = (str(folder.path), folder.command)
    tasks = [Task(cell.key, run_cell, (*fixed, cell.parameters, cell.seed, cell.key)) for cell in missing]
    failed: dict[str, str] = {}
    if progress is not None:
        progress(len(there), len(mine))
    if tasks:
        warm = partial(warm_up, folder.command, kinds(missing))
        outcomes = (Serial() if engine is None else engine).run(tasks, warm)
        for count, over in enumerate(outcomes, start=len(there) + 1):
            if over.error:
                failed[over.key] = over.error
            if progress is not None:
                progress(count, len(mine))
    return Report(folder, len(there), len(tasks) - len(failed), failed)


def require_extra() -> None:
    """Refuse to begin without the packages of the extra (SptrackError)."""
    from importlib.util import find_spec

    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise SptrackError(f"sweep needs {', '.join(missing)}: pip install 'sptrack[sweep]'")
