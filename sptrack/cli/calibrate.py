"""`sptrack calibrate`: a device in, its symmetric points and a certificate out."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from sptrack.calibration import METHODS, Calibrator, Estimates, calibrator
from sptrack.calibration.interface import check_read_noise
from sptrack.calibration.methods import check_pulses
from sptrack.calibration.zero_shifting import PROGRAMS
from sptrack.cli._figures import load_ahead, write_figures
from sptrack.cli._input import ArrayInput
from sptrack.cli._progress import progress_bar
from sptrack.cli._show import Column, console, show_next, show_pairs, show_table, show_verdict
from sptrack.cost import CostModel
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells
from sptrack.devices.device import ReadingScale
from sptrack.errors import ParameterError
from sptrack.evaluation.certificate import (
    PLAIN,
    Calibration,
    Certificate,
    calibration_arrays,
    certify,
    check_target,
    default_target,
    require_symmetric_points,
)
from sptrack.evaluation.recommendation import Candidate, recommend
from sptrack.intervals import interval_text
from sptrack.results import json_text, output_folder, save, write_atomic
from sptrack.values import check_choice

_PILOT = 64
_LONG = 60.0
_FIGURES = "sptrack.plotting.calibration"
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


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class MethodInput:
    """How the array is calibrated.

    Parameters
    ----------
    method
        Calibrator (zero-shifting, stochastic, tail-average, transient, bursts-known, bursts, bursts-prior,
        root-finding, observer), or auto: try all on a small array and take the cheapest.
    mode
        Of zero-shifting: cyclic (up, down, up, ...) or stochastic (a fair coin per cell and pulse).
    reads
        Reads of each cell per pulse count; default: the method's.
    read_cost
        Cost of one read of one cell in units of one pulse on one cell.
    """

    method: str = "zero-shifting"
    mode: Literal["cyclic", "stochastic"] = "cyclic"
    reads: int | None = None
    read_cost: float = CostModel().read

    @property
    def name(self) -> str:
        """Name of the calibrator that method and mode stand for, or "auto"."""
        return "stochastic" if self.mode == "stochastic" else self.method

    def check(self, pulses: tuple[int, ...] | None, read_noise: float) -> None:
        """Refuse bad settings before anything is drawn.

        Raises
        ------
        ParameterError
            Unknown method, mode with another method than zero-shifting, reads with auto, a bad schedule.
        """
        check_choice("method", self.method, (*METHODS, "auto"))
        if self.mode == "stochastic" and self.method not in ("zero-shifting", "stochastic"):
            raise ParameterError(f"mode 'stochastic' needs method 'zero-shifting', got {self.method!r}")
        if self.method == "auto" and self.reads is not None:
            raise ParameterError(
                f"reads = {self.reads} with method 'auto', which chooses them: leave one out"
            )
        CostModel(read=self.read_cost)
        check_read_noise(read_noise)
        if pulses is not None:
            check_pulses(self.name, pulses)


_ARRAY, _OUTPUT, _METHOD = ArrayInput(), Output(), MethodInput()
_SCHEDULE = (500, 1000, 2000, 4000, 8000)


def calibrate(
    *,
    array: ArrayInput = _ARRAY,
    pulses: Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True)] = None,
    method: MethodInput = _METHOD,
    target: float | None = None,
    read_noise: float | None = None,
    output: Output = _OUTPUT,
) -> int:
    """Find the symmetric point of every cell and certify the result.

    Parameters
    ----------
    array
        Device, cells, seed, threads.
    pulses
        Pulse counts after which the points are estimated, rising; even for zero-shifting. Default: 500 1000
        2000 4000 8000, or what method auto found to be enough.
    method
        Calibrator and price of reads.
    target
        Wanted RMS error, weight units; exit status 1 if it is missed. Default for the verdict: 1 % of the
        range.
    read_noise
        Std of the reading noise, weight units; default 0, or what the fit of a measured file says.
    output
        Folder and form of the results.
    """
    method.check(pulses, read_noise or 0.0)
    if target is not None:
        check_target(target)
    with _folder(output.out) as folder:
        cells, fitted = array.draw()
        require_symmetric_points(cells)
        noise = fitted if read_noise is None else read_noise
        chosen, schedule, candidates = _choose(cells, method, pulses, target, noise, output.quiet)
        bar = Crossbar(cells, seed=array.seed, threads=array.threads)
        if folder is not None:
            load_ahead("h5netcdf", _FIGURES)
        if not output.quiet:
            _announce(bar, schedule, method.mode)
        estimates = _run(chosen, bar, schedule, noise, output.quiet)
        cost = CostModel(read=method.read_cost)
        result = certify(cells, estimates, target=target, cost=cost, candidates=candidates)
        if folder is not None:
            _write(result, folder, array.seed)
    if folder is not None and not output.quiet:
        print(f"wrote {output.out}", file=sys.stderr)
    if output.json:
        print(json_text(result.certificate), end="")
    else:
        _print(result.certificate, cells.device.scale, method.method == "auto", output.out)
    return 1 if target is not None and not result.certificate.met else 0


def _run(
    chosen: Calibrator, bar: Crossbar, schedule: tuple[int, ...], noise: float, quiet: bool
) -> Estimates:
    with progress_bar(chosen.name, "pulses", quiet=quiet) as progress:
        return chosen.calibrate(bar, schedule, read_noise=noise, progress=progress)


def _choose(
    cells: Cells,
    wanted: MethodInput,
    pulses: tuple[int, ...] | None,
    target: float | None,
    noise: float,
    quiet: bool,
) -> tuple[Calibrator, tuple[int, ...], tuple[Candidate, ...]]:
    """The calibrator that is asked for or the cheapest, its schedule, and what was tried."""
    if wanted.method != "auto":
        made = calibrator(wanted.name, cells.device, reads=wanted.reads)
        return made, pulses or _SCHEDULE, ()
    with progress_bar("trying calibrators", "methods", quiet=quiet) as progress:
        found = recommend(
            cells.device,
            target=default_target(cells) if target is None else target,
            read_noise=noise,
            cost=CostModel(read=wanted.read_cost),
            progress=progress,
        )
    best = found[0]
    enough = round(best.pulses * (best.rms_ci[1] / best.rms) ** 2)
    return calibrator(best.method, cells.device, reads=best.reads), pulses or (enough + enough % 2,), found


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


def _print(c: Certificate, unit: ReadingScale | None, auto: bool, out: Path | None) -> None:
    to = console()
    show_verdict(to, "TARGET MET" if c.met else "TARGET MISSED", c.verdict, good=c.met)
    if c.candidates:
        columns = (
            Column("method", left=True),
            Column("pulses"),
            Column("reads", 2),
            Column("placement", 3),
            Column("cost"),
            Column("RMS error (95 %)"),
            Column("median", 4),
        )
        show_table(
            to, "calibrators for this device, cheapest first", columns, [*map(_candidate, c.candidates)]
        )
    columns = (
        Column("pulses"),
        Column("RMS error (95 %)"),
        *((Column("theory"),) if c.rms_theory is not None else ()),
        Column("median", 1),
        Column("mean offset", 2),
        Column("std offset", 3),
    )
    rows, columns_of_cells = c.cells
    show_table(to, f"{c.device}, {rows} x {columns_of_cells} cells, {method_title(c)}", columns, [*_rows(c)])
    show_pairs(to, _summary(c, unit))
    show_next(to, _advice(c, auto, out))


def _rows(c: Certificate) -> Iterator[list[str]]:
    for k, pulses in enumerate(c.pulses):
        theory = [] if c.rms_theory is None else [f"{c.rms_theory[k]:.4g}"]
        offsets = (f"{value[k]:+.3g}" for value in (c.mean_offset, c.std_offset))
        error = interval_text(c.rms_error[k], *c.rms_error_ci[k])
        yield [f"{pulses:,}", error, *theory, f"{c.median_error[k]:.3g}", *offsets]


def method_title(c: Certificate) -> str:
    """The method as a heading says it."""
    return f"{c.mode} zero-shifting" if c.method in PLAIN else c.method


def _candidate(row: Candidate) -> list[str]:
    cost = f"{row.cost:,.0f}" if row.met else "missed"
    error = interval_text(row.rms, *row.rms_ci)
    numbers = (f"{row.pulses:,}", f"{row.reads}", f"{row.placement:,.0f}", cost, error, f"{row.median:.2g}")
    return [row.method, *numbers]


def _summary(c: Certificate, unit: ReadingScale | None) -> Iterator[tuple[str, str]]:
    if unit is not None and unit.unit:
        low, high = (unit.size(end) for end in c.rms_error_ci[-1])
        error = interval_text(unit.size(c.rms_error[-1]), low, high)
        yield f"in {unit.unit}", f"RMS error {error}, target {unit.size(c.target):.4g}"
    if c.method not in PLAIN:
        yield "reads", f"{c.reads[-1]:,} of each cell, placement {c.placement[-1]:,.0f} pulses"
    if c.pulses_needed_theory is not None:
        yield "pulses needed", f"{c.pulses_needed_theory:,} by theory ({c.theory})"
    if c.pulses_needed_measured is not None:
        yield "pulses needed", f"{c.pulses_needed_measured:,} in this simulation"
    if c.recommended_pulses is not None:
        cost = "" if c.cost is None else f", cost {c.cost:,.0f} pulse units per cell"
        yield "recommended", f"{c.recommended_pulses:,} pulses{cost}"
    if c.floor is not None:
        yield "error floor", f"{c.floor:.4g} weight units remain however many pulses are applied"
    for note in c.notes:
        yield "note", note


def _advice(c: Certificate, auto: bool, out: Path | None) -> str:
    if not auto and c.method in PLAIN:
        return "--method auto compares cheaper calibrators for this device"
    if not c.met and c.recommended_pulses is not None:
        return f"--pulses {c.recommended_pulses}"
    if out is None:
        return "--out DIR writes certificate, map of symmetric points and figures"
    return f"sptrack report {out} makes one page of it"


def _write(result: Calibration, folder: Path, seed: int) -> None:
    write_atomic(folder / "certificate.json", json_text(result.certificate))
    rows = result.estimates.points[-1].tolist()
    form = ",".join(["%.6g"] * len(rows[0])) + "\n"
    write_atomic(folder / "symmetric_points.csv", "".join(form % tuple(row) for row in rows))
    data = calibration_arrays(result, seed)
    save(data, folder / "calibration.nc")
    write_figures(folder, data, certificate=f"{_FIGURES}:certificate_figure", map=f"{_FIGURES}:map_figure")
