"""Command line of the studies: ``python -m analysis [list | all | NAME ...]``, from the repository's root."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from analysis import GALLERY, choose, produce, question, small_folder, study_names
from sptrack.errors import SptrackError, one_line

BAD_INPUT = 2

app = App(
    name="python -m analysis",
    help="Studies: one question each, answered by a figure and the data behind it.",
    default_parameter=Parameter(negative=""),
    version_flags=[],
)


@app.default
def studies(
    *names: str, small: bool = False, seed: int = 0, threads: int | None = None, out: Path | None = None
) -> None:
    """List the studies, or run some.

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
    out
        Folder of the files; "figures" by default, a new temporary folder for small ones.
    """
    if not names or "list" in names:
        for name in study_names():
            print(f"{name:<26} {question(name)}")
        return
    chosen = choose(names)
    folder = out or (small_folder() if small else GALLERY)
    for name in chosen:
        begin = time.perf_counter()
        files = produce(name, folder, small=small, seed=seed, threads=threads)
        print(f"{name}: {' '.join(map(str, files))} ({time.perf_counter() - begin:.1f} s)", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status is 2 on bad input, with one line on stderr."""
    try:
        app(
            sys.argv[1:] if arguments is None else list(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except (CycloptsError, SptrackError) as error:
        print("analysis:", one_line(error), file=sys.stderr)
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
