"""`sptrack sweep`: a command over a grid, a random or a Sobol design of its parameters, on any engine."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App, Parameter

from sptrack.cli._app import BAD_INPUT, INCOMPLETE
from sptrack.cli._figures import write_figures
from sptrack.cli._progress import Progress, progress_bar
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
from sptrack.errors import ParameterError
from sptrack.results import json_text

if TYPE_CHECKING:
    from rich.console import Console

    from sptrack.sweep import Engine, Report, SweepFolder

sweep = App(name="sweep", help="Run a command over a grid or sample of its parameters.")

_EVERY = 30.0
_ROWS = 20


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInput:
    """Engine; by default this process, one cell after the other. All give the same bytes.

    Parameters
    ----------
    processes
        So many processes of this machine.
    local
        A dask cluster of so many processes of this machine; its dashboard is printed.
    scheduler
        Address of the scheduler of a dask cluster whose workers see the folder under the same path.
    jobs
        Nothing is computed: print a SLURM script of an array of so many jobs that share the sweep.
    """

    processes: int | None = None
    local: int | None = None
    scheduler: str | None = None
    jobs: int | None = None

    def engine(self) -> "Engine":
        """The engine.

        Raises
        ------
        ParameterError
            More than one option, or fewer than one process or job.
        """
        from sptrack.sweep import Dask, Processes, Serial

        names = ("processes", "local", "scheduler", "jobs")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ParameterError(f"--{given[0]} and --{given[1]}: only one of them can be given")
        for name in ("processes", "local", "jobs"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ParameterError(f"{name} must be at least 1, got {count}")
        if self.processes is not None:
            return Processes(workers=self.processes)
        if self.local is not None or self.scheduler is not None:
            return Dask(address=self.scheduler, workers=self.local, announce=_dashboard)
        return Serial()


_ENGINE = EngineInput()


@sweep.default
def run(
    file: Path,
    *,
    out: Path | None = None,
    engine: EngineInput = _ENGINE,
    netcdf: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Compute the cells of a sweep that are not there yet; the same command goes on after any interrupt.

    Parameters
    ----------
    file
        TOML file: [sweep] with command (track, calibrate, response, design, budget, train), design (grid,
        random, sobol), samples, repeats, seed, paired; [set] with parameters of all cells; [vary] with the
        axes: lists of values, or low, high, scale (linear, log), count.
    out
        Folder of the sweep; default: the name of the file without its ending. A sweep that is there is gone
        on with if the file has all its cells: repeats, samples and values may be added.
    engine
        Who computes.
    netcdf
        Write sweep.nc beside sweep.zarr.
    json
        Print the points as a JSON list alone.
    quiet
        Nothing on stderr but errors.
    """
    from sptrack.sweep import load_plan, run_sweep
    from sptrack.sweep.folder import SweepFolder
    from sptrack.sweep.running import require_extra

    chosen = engine.engine()
    require_extra()
    plan = load_plan(file)
    folder = Path(file.stem) if out is None else out
    if engine.jobs is not None:
        from sptrack.sweep.jobs import job_script

        print(job_script(SweepFolder.make(folder, plan), engine.jobs), end="")
        return 0
    with _progress(quiet) as progress:
        report = run_sweep(plan, folder, chosen, progress=progress)
    return _finish(report, netcdf=netcdf, json=json, quiet=quiet)


@sweep.command
def worker(folder: Path, *, part: str = "0/1", quiet: bool = False) -> int:
    """Compute a part of the sweep of a folder: what each job of an array calls.

    Parameters
    ----------
    folder
        Folder of a sweep.
    part
        K/N: every N-th cell, from the K-th on, K = 0 .. N - 1.
    quiet
        Nothing on stderr but errors.
    """
    from sptrack.sweep import run_sweep

    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", part)
    if match is None:
        raise ParameterError(f"part must be K/N, such as 0/4, got {part!r}")
    with _progress(quiet) as progress:
        report = run_sweep(None, folder, part=(int(match[1]), int(match[2])), progress=progress)
    _tell_failed(report)
    return INCOMPLETE if report.failed else 0


@sweep.command
def status(folder: Path, *, json: bool = False) -> None:
    """Count the cells that are done, refused and missing, and the time left; nothing is changed.

    Parameters
    ----------
    folder
        Folder of a sweep.
    json
        Print JSON alone.
    """
    from sptrack.sweep import SweepFolder

    there = SweepFolder(folder)
    standing = there.standing()
    if json:
        print(json_text(standing._asdict()), end="")
        return
    to, missing = console(), standing.cells - standing.done
    _tell(to, there, missing, standing.refused, standing.reasons)
    lines = []
    if standing.damaged:
        lines.append(f"{standing.damaged:,} records are damaged: the next run makes them again")
    if standing.idle is not None and missing:
        left = (
            "" if standing.seconds_left is None else f"; {_duration(standing.seconds_left)} left at that rate"
        )
        lines.append(f"last cell {_duration(standing.idle)} ago{left}")
    show_lines(to, lines)
    _advise(to, there, missing)


@sweep.command(name="collect")
def collect_sweep(folder: Path, *, netcdf: bool = False, json: bool = False, quiet: bool = False) -> int:
    """Write the dataset of a sweep, as far as it is done: sweep.zarr in its folder.

    Parameters
    ----------
    folder
        Folder of a sweep.
    netcdf
        Write sweep.nc as well.
    json
        Print the points as a JSON list alone.
    quiet
        Nothing on stderr but errors.
    """
    from sptrack.sweep import SweepFolder
    from sptrack.sweep.running import Report, require_extra

    require_extra()
    return _finish(Report(SweepFolder(folder), 0, 0, {}), netcdf=netcdf, json=json, quiet=quiet)


@sweep.command
def plot(folder: Path, *, quantity: str | None = None, quiet: bool = False) -> None:
    """Draw a quantity of a sweep over its axes: sweep.png and sweep.svg in its folder.

    Parameters
    ----------
    folder
        Folder of a sweep.
    quantity
        Name of the quantity; default: the one by which points are ranked.
    quiet
        Nothing on stderr but errors.
    """
    from sptrack.sweep import SweepFolder, sweep_dataset
    from sptrack.sweep.results import chosen_quantity

    there = SweepFolder(folder)
    data = sweep_dataset(there)
    data.attrs["shown"] = chosen_quantity(data, quantity)
    write_figures(there.path, data, sweep="sptrack.plotting.sweep:sweep_figure")
    if not quiet:
        print(f"wrote {folder}/sweep.png, sweep.svg")


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress | None]:
    """A bar with the time left; off a terminal a line every half minute."""
    with progress_bar("sweeping", "cells", quiet=quiet) as bar:
        if bar is None or sys.stderr.isatty():
            yield bar
        else:
            yield _lines()


def _lines() -> Progress:
    begun = last = time.monotonic()
    first: int | None = None

    def tell(done: int, total: int) -> None:
        nonlocal last, first
        first = done if first is None else first
        now = time.monotonic()
        if now - last < _EVERY or done == first:
            return
        last = now
        left = (now - begun) * (total - done) / (done - first)
        print(f"sptrack: {done:,} of {total:,} cells, {_duration(left)} left", file=sys.stderr)

    return tell


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _dashboard(link: str) -> None:
    print(f"sptrack: dashboard {link}", file=sys.stderr)


def _finish(report: "Report", *, netcdf: bool, json: bool, quiet: bool) -> int:
    """Dataset and table; the status says whether cells are missing, or else refused."""
    from sptrack.sweep.results import DONE, MISSING, collect, quantities, sweep_rows

    data = collect(report.folder, netcdf=netcdf)
    rows = sweep_rows(data)
    done = int((data["state"] == DONE).sum())
    if not quiet:
        names = "sweep.zarr, sweep.nc" if netcdf else "sweep.zarr"
        print(f"wrote {report.folder.path}: {names}", file=sys.stderr)
    _tell_failed(report)
    missing = int((data["state"] == MISSING).sum())
    if json:
        print(json_text(rows), end="")
    else:
        to, refused = console(), len(report.folder) - missing - done
        reasons = report.folder.standing().reasons if refused else []
        _tell(to, report.folder, missing, refused, reasons)
        if quantities(data):
            _print(to, data, rows, report.folder)
        _advise(to, report.folder, missing)
    if missing:
        return INCOMPLETE
    return BAD_INPUT if done < len(report.folder) else 0


def _tell_failed(report: "Report") -> None:
    """Cells that were not written, by reason."""
    counts: dict[str, int] = {}
    for reason in report.failed.values():
        counts[reason] = counts.get(reason, 0) + 1
    for reason, count in counts.items():
        print(f"sptrack: {count:,} cells failed: {reason}; run the command again", file=sys.stderr)


def _tell(
    to: "Console", folder: "SweepFolder", missing: int, refused: int, reasons: list[tuple[str, int]]
) -> None:
    """Verdict on the cells, and why some were refused."""
    total = len(folder)
    word, good = ("INCOMPLETE", None) if missing else ("REFUSED", False) if refused else ("COMPLETE", True)
    told = [f"{total - missing - refused:,} of {total:,} cells of {folder.command} are done"]
    told += [f"{count:,} {name}" for count, name in ((missing, "missing"), (refused, "refused")) if count]
    show_verdict(to, word, ", ".join(told), good)
    show_lines(to, [f"{count:,} refused: {reason}" for reason, count in reasons])


def _advise(to: "Console", folder: "SweepFolder", missing: int) -> None:
    if missing:
        show_next(to, f"run the sweep again: it computes the {missing:,} missing cells")
    else:
        show_next(to, f"sptrack sweep plot {folder.path} draws it over its axes")


def _print(to: "Console", data: Any, rows: list[dict[str, Any]], folder: "SweepFolder") -> None:
    """Points by the quantity of the command, the smallest first."""
    from sptrack.sweep.results import chosen_quantity

    best = chosen_quantity(data)
    known = [row for row in rows if row["quantities"][best]["mean"] is not None]
    known.sort(key=lambda row: row["quantities"][best]["mean"])
    if not known:
        return
    means = f", means over {folder.repeats} repeats" if folder.repeats > 1 else ""
    columns = [Column("rank"), *map(Column, folder.axes), Column(best)]
    columns += [Column("95 %", 1)] if means else []
    body = []
    for rank, row in enumerate(known[:_ROWS], 1):
        told = row["quantities"][best]
        ends = "-" if told["ci"] is None else f"{told['ci'][0]:.3g} .. {told['ci'][1]:.3g}"
        values = (f"{told['mean']:.4g}", ends)[: 2 if means else 1]
        body.append([str(rank), *(_text(each) for each in row["point"].values()), *values])
    show_table(to, f"{best} ({data[best].attrs['units']}){means}, smallest first", columns, body)
    if len(known) > _ROWS:
        show_lines(to, [f"{len(known) - _ROWS:,} more points are in the dataset."])


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
