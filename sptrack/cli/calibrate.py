"""`sptrack calibrate`: a device in, its symmetric points and a certificate out."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from sptrack.calibration import Progress
from sptrack.certificate import Calibration, Certificate, calibration_dataset, certify
from sptrack.cli._input import cells_shape, device_cells
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells
from sptrack.results import json_text, output_folder, provenance, save, write_atomic

_PILOT = 64
_LONG = 60.0


def calibrate(
    *,
    device: str | None = None,
    config: Path | None = None,
    measured: Path | None = None,
    cells: str = "512x512",
    pulses: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (500, 1000, 2000, 4000, 8000),
    mode: Literal["cyclic", "stochastic"] = "cyclic",
    target: float | None = None,
    read_noise: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    out: Path | None = None,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Find the symmetric point of every cell by zero-shifting and certify the result.

    Parameters
    ----------
    device
        Preset (see `sptrack devices list`); the default is soft-bounds.
    config
        TOML file that describes a device.
    measured
        CSV file with consecutive up and down readings of one cell in two columns; cells are drawn with the
        uncertainty of its fit.
    cells
        Rows x columns of the array.
    pulses
        Pulse counts after which the cells are read, rising; even in cyclic mode.
    mode
        cyclic: up, down, up, ...; stochastic: a fair coin per cell and pulse.
    target
        Wanted RMS error, weight units; exit status 1 if it is missed. Default for the verdict: 1 % of the range.
    read_noise
        Std of the reading noise, weight units; default 0, or what the fit of a measured file says.
    seed
        Root seed.
    threads
        Threads of the kernels; default: one per processor.
    out
        Folder for certificate, map of symmetric points, dataset and figures.
    json
        Print the certificate as JSON alone.
    quiet
        No progress on stderr.
    """
    drawn, noise = device_cells(device, config, measured, cells_shape(cells), seed)
    noise = noise if read_noise is None else read_noise
    schedule = tuple(pulses)
    if not quiet:
        _announce(drawn, max(schedule, default=0), threads)
    with _progress(quiet) as progress:
        result = certify(
            drawn, schedule, mode=mode, target=target, read_noise=noise, seed=seed, threads=threads, progress=progress
        )
    if out is not None:
        _write(result, out, seed)
    if json:
        print(json_text(result.certificate), end="")
    else:
        _print(result.certificate)
    return 1 if target is not None and not result.certificate.met else 0


def _announce(cells: Cells, pulses: int, threads: int | None) -> None:
    """Say how long it will take, if more than a minute, from a pilot run of a few pulses."""
    pilot = Crossbar(cells, threads=threads)
    pilot.pulse("alternating", 2)
    begin = time.perf_counter()
    pilot.pulse("alternating", _PILOT)
    seconds = (time.perf_counter() - begin) * pulses / _PILOT
    if seconds > _LONG:
        gigabytes = cells.size * (cells.law.cell.itemsize * (cells.law.cell.shape[0] + 8) + 64) / 1e9
        print(f"about {seconds / 60:.0f} minutes and {gigabytes:.1f} GB of memory", file=sys.stderr)


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress | None]:
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("zero-shifting"), BarColumn(), MofNCompleteColumn(), TextColumn("pulses"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("zero-shifting", total=None)
        yield lambda sent, total: bar.update(task, completed=sent, total=total)


def _print(certificate: Certificate) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    c = certificate
    rows, columns = c.cells
    table = Table(title=f"{c.device}, {rows} x {columns} cells, {c.mode} zero-shifting", box=box.SIMPLE_HEAD)
    for heading in ("pulses", "RMS error (95 %)", "theory", "median", "mean offset", "std offset"):
        table.add_column(heading, justify="right", no_wrap=True)
    for k, pulses in enumerate(c.pulses):
        half = 0.5 * (c.rms_error_ci[k][1] - c.rms_error_ci[k][0])
        table.add_row(
            str(pulses),
            f"{c.rms_error[k]:.4g} ± {half:.1g}",
            "-" if c.rms_theory is None else f"{c.rms_theory[k]:.4g}",
            f"{c.median_error[k]:.4g}",
            f"{c.mean_offset[k]:+.4g}",
            f"{c.std_offset[k]:+.4g}",
        )
    console = Console()
    console.print(table)
    for line in _summary(c):
        console.print(line, highlight=False, soft_wrap=True)


def _summary(c: Certificate) -> Iterator[str]:
    def number(value: int | float | None) -> str:
        return "-" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"

    yield f"pulses for the target   theory {number(c.pulses_needed_theory)} ({c.theory})"
    yield f"                        measured {number(c.pulses_needed_measured)}"
    yield f"error floor             {number(c.floor)} weight units"
    yield f"recommended             {number(c.recommended_pulses)} pulses, cost {number(c.cost)} pulse units per cell"
    for note in c.notes:
        yield f"note                    {note}"
    yield f"verdict                 {c.verdict}"


def _write(result: Calibration, out: Path, seed: int) -> None:
    import numpy as np

    from sptrack.plotting.calibration import certificate_figure, map_figure
    from sptrack.plotting.style import save_figure

    with output_folder(out) as folder:
        write_atomic(folder / "certificate.json", json_text(result.certificate))
        points = np.asarray(result.estimates.points[-1], np.float64)
        rows = "\n".join(",".join(f"{value:.6g}" for value in row) for row in points)
        write_atomic(folder / "symmetric_points.csv", rows + "\n")
        data = calibration_dataset(result, seed)
        save(data, folder / "calibration.nc")
        for name, draw in (("certificate", certificate_figure), ("map", map_figure)):
            figure = draw(data)
            for ending in ("png", "svg"):
                save_figure(figure, folder / f"{name}.{ending}")
    print(f"wrote {out}", file=sys.stderr)
