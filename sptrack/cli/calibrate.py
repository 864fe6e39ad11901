"""`sptrack calibrate`: a device in, its symmetric points and a certificate out."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from sptrack.calibration.zero_shifting import PROGRAMS, check_schedule, zero_shift
from sptrack.certificate import (
    Calibration,
    Certificate,
    calibration_dataset,
    certify,
    check_target,
    require_symmetric_points,
)
from sptrack.cli._input import ArrayInput
from sptrack.cli._progress import progress_bar
from sptrack.crossbar import Crossbar
from sptrack.results import json_text, output_folder, save, write_atomic

_PILOT = 64
_LONG = 60.0
_BYTES = 3e8, 160
"""Memory: of the process, and per cell beside its estimates (measured at 2048 x 2048 cells)."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results go.

    Parameters
    ----------
    out
        Folder for certificate, map of symmetric points, dataset and figures.
    json
        Print the certificate as JSON alone.
    quiet
        Nothing on stderr but errors.
    """

    out: Path | None = None
    json: bool = False
    quiet: bool = False


_ARRAY, _OUTPUT = ArrayInput(), Output()


def calibrate(
    *,
    array: ArrayInput = _ARRAY,
    pulses: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = (500, 1000, 2000, 4000, 8000),
    mode: Literal["cyclic", "stochastic"] = "cyclic",
    target: float | None = None,
    read_noise: float | None = None,
    output: Output = _OUTPUT,
) -> int:
    """Find the symmetric point of every cell by zero-shifting and certify the result.

    Parameters
    ----------
    array
        Device, cells, seed, threads.
    pulses
        Pulse counts after which the cells are read, rising; even in cyclic mode.
    mode
        cyclic: up, down, up, ...; stochastic: a fair coin per cell and pulse.
    target
        Wanted RMS error, weight units; exit status 1 if it is missed. Default for the verdict: 1 % of the
        range.
    read_noise
        Std of the reading noise, weight units; default 0, or what the fit of a measured file says.
    output
        Folder and form of the results.
    """
    schedule = check_schedule(pulses, mode, read_noise or 0.0)
    if target is not None:
        check_target(target)
    with _folder(output.out) as folder:
        cells, fitted = array.draw()
        require_symmetric_points(cells)
        bar = Crossbar(cells, seed=array.seed, threads=array.threads)
        if not output.quiet:
            _announce(bar, schedule, mode)
        noise = fitted if read_noise is None else read_noise
        with progress_bar("zero-shifting", "pulses", quiet=output.quiet) as progress:
            estimates = zero_shift(bar, schedule, mode=mode, read_noise=noise, progress=progress)
        result = certify(cells, estimates, target=target)
        if folder is not None:
            _write(result, folder, array.seed)
    if folder is not None and not output.quiet:
        print(f"wrote {output.out}", file=sys.stderr)
    if output.json:
        print(json_text(result.certificate), end="")
    else:
        _print(result.certificate)
    return 1 if target is not None and not result.certificate.met else 0


def _folder(out: Path | None) -> AbstractContextManager[Path | None]:
    return nullcontext() if out is None else output_folder(out)


def _announce(bar: Crossbar, schedule: tuple[int, ...], mode: str) -> None:
    """Say how long it will take, if more than a minute, from a pilot run of a few pulses."""
    pilot = Crossbar(bar.cells, threads=bar.threads)
    pilot.pulse(PROGRAMS[mode], 2)
    begin = time.perf_counter()
    pilot.pulse(PROGRAMS[mode], _PILOT)
    seconds = (time.perf_counter() - begin) * schedule[-1] / _PILOT
    if seconds > _LONG:
        per_cell = _BYTES[1] + len(schedule) * bar.cells.law.cell.itemsize
        gigabytes = (_BYTES[0] + per_cell * bar.cells.size) / 1e9
        print(f"about {seconds / 60:.0f} minutes and {gigabytes:.1f} GB of memory", file=sys.stderr)


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
    cost = "" if c.cost is None else f", cost {number(c.cost)} pulse units per cell"
    yield f"recommended             {number(c.recommended_pulses)} pulses{cost}"
    for note in c.notes:
        yield f"note                    {note}"
    yield f"verdict                 {c.verdict}"


def _write(result: Calibration, folder: Path, seed: int) -> None:
    import numpy as np

    from sptrack.plotting.calibration import certificate_figure, map_figure
    from sptrack.plotting.style import save_figure

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
