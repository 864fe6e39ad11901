"""Command line of the studies, from the repository's root.

``python -m analysis [list | all | NAME ...]`` runs them, ``check`` compares figures with the sources that
drew them, ``draw`` draws pictures again from stored data.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from analysis import (
    GALLERY,
    choose,
    compare,
    draw,
    produce,
    question,
    small_folder,
    state,
    study_names,
)
from sptrack.errors import ParameterError, SptrackError, one_line
from sptrack.sweep.engines import Dask, Engine, Processes

NOT_CURRENT, BAD_INPUT = 1, 2

app = App(
    name="python -m analysis",
    help="Studies: one question each, answered by a figure and the data behind it.",
    default_parameter=Parameter(negative=""),
    version_flags=[],
)


@app.default
def studies(
    *names: str,
    small: bool = False,
    seed: int = 0,
    threads: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    out: Path | None = None,
) -> None:
    """List the studies, or run some. The same command goes on after an interrupt.

    Parameters
    ----------
    names
        "list" (or nothing), "all", or names of studies.
    small
        Seconds instead of minutes: small arrays, few points.
    seed
        Root seed of all random numbers.
    threads
        Threads of the kernels; one per processor by default.
    workers
        Processes, of one thread each, that share the settings over which a study loops.
    scheduler
        Address of a dask cluster that does (extra sweep); its workers must find this folder and its packages.
    out
        Folder of the files; "figures" by default, a new temporary folder for small ones.
    """
    if not names or "list" in names:
        for name in study_names():
            print(f"{name:<26} {question(name)}")
        return
    chosen = choose(names)
    engine = _engine(workers, scheduler)
    folder = out or (small_folder() if small else GALLERY)
    for name in chosen:
        begin = time.perf_counter()
        files = produce(name, folder, engine, small=small, seed=seed, threads=threads)
        print(f"{name}: {' '.join(map(str, files))} ({time.perf_counter() - begin:.1f} s)", flush=True)


def _engine(workers: int | None, scheduler: str | None) -> Engine | None:
    if workers is not None and scheduler is not None:
        raise ParameterError("--workers and --scheduler: only one of them can be given")
    if scheduler is not None:
        return Dask(address=scheduler)
    return None if workers is None else Processes(workers=workers)


@app.command
def check(*names: str, out: Path = GALLERY, redraw: bool = False, threads: int | None = None) -> int:
    """Say which figures are missing, not stamped or stale; the exit status is 1 if any is.

    Parameters
    ----------
    names
        Studies; all by default.
    out
        Folder of the figures.
    redraw
        Run the studies again too and compare with the stored data, within the tolerances that they state.
    threads
        Threads of the kernels; one per processor by default.
    """
    chosen = choose(names or ("all",))
    status = 0
    for name in chosen:
        found = state(name, out)
        print(f"{name:<26} {found.verdict}{': ' if found.detail else ''}{found.detail}", flush=True)
        status |= found.verdict != "current"
        if redraw and found.verdict not in ("missing", "not stamped"):
            lines = compare(name, out, threads=threads)
            print("\n".join(f"    {line}" for line in lines) or "    redraw agrees", flush=True)
            status |= bool(lines)
    return NOT_CURRENT if status else 0


@app.command(name="draw")
def pictures(*names: str, out: Path = GALLERY) -> None:
    """Draw pictures again from their stored data.

    Parameters
    ----------
    names
        Studies, or "all".
    out
        Folder of the figures.
    """
    for name in choose(names):
        print(f"{name}: {' '.join(map(str, draw(name, out)))}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status is 2 on bad input, with one line on stderr."""
    try:
        status = app(
            sys.argv[1:] if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except (CycloptsError, SptrackError) as error:
        print("analysis:", one_line(error), file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
