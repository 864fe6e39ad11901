"""`sptrack warmup`: every kernel compiled before it is needed.

A complete warm-up leaves a list of the files that it used beside them; while all of them are whole, and the
sources, versions and processor are the same, a later one has nothing to do.
"""

import hashlib
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import sptrack
from sptrack.cli._progress import Progress, progress_bar
from sptrack.results import json_text, write_atomic


class Warmed(NamedTuple):
    """Outcome of a warm-up: cache folder, specialisations used and compiled, runs made, seconds."""

    folder: str | None
    kernels: int
    compiled: int
    runs: int
    seconds: float


def warmup(*, json: bool = False, quiet: bool = False) -> None:
    """Compile what the commands need and keep it in the cache folder; a second call finds it there.

    Parameters
    ----------
    json
        Print JSON alone.
    quiet
        Nothing on stderr but errors.
    """
    with progress_bar("compiling kernels", "kinds of run", quiet=quiet) as progress:
        report = warm(progress)
    if report.folder is None:
        print("sptrack: no cache folder: set SPTRACK_CACHE_DIR, or every process compiles", file=sys.stderr)
    if json:
        print(json_text(report._asdict()), end="")
        return
    print(
        f"{report.kernels} specialisations of kernels, {report.compiled} compiled now, {report.seconds:.1f} s"
    )
    if report.folder is not None:
        print(f"cache: {report.folder}")


def warm(progress: Progress | None = None) -> Warmed:
    """Go through all kinds of runs, unless all that they need is in the cache.

    Parameters
    ----------
    progress
        Called with the runs done and their number.
    """
    from sptrack.kernels import CACHE_FOLDER
    from sptrack.kernels._cache import FOUND, MADE, whole

    begin = time.perf_counter()
    manifest = None if CACHE_FOLDER is None else CACHE_FOLDER / f"warm-{_key()}.txt"
    known = [] if manifest is None else _listed(manifest)
    if known and all(whole(manifest.with_name(name)) is not None for name in known if manifest):
        return Warmed(str(CACHE_FOLDER), len(known), 0, 0, time.perf_counter() - begin)
    from sptrack.cli._runs import small_runs

    runs = list(small_runs())
    for number, (_, run) in enumerate(runs, start=1):
        run()
        if progress is not None:
            progress(number, len(runs))
    used = sorted(path.name for path in FOUND | MADE)
    if manifest is not None:
        with suppress(OSError, sptrack.SptrackError):
            write_atomic(manifest, "".join(f"{name}\n" for name in used))
    folder = None if CACHE_FOLDER is None else str(CACHE_FOLDER)
    return Warmed(folder, len(used), len(MADE), len(runs), time.perf_counter() - begin)


def _key() -> str:
    """Hash of all that the list depends on: the sources of the package, versions and processor."""
    from numba.core.registry import cpu_target

    from sptrack.kernels._cache import built_for, source_digest

    sources = source_digest(Path(sptrack.__file__).parent)
    built = built_for(cpu_target.target_context.codegen())
    return hashlib.sha256(repr((sources, built)).encode()).hexdigest()[:16]


def _listed(manifest: Path) -> list[str]:
    try:
        return manifest.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []
