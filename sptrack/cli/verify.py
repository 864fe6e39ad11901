"""`sptrack verify`: bounds on zero-shifting held against simulation."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._progress import progress_bar
from sptrack.evaluation.verify import Report, Row, report_dataset
from sptrack.evaluation.verify import verify as run_verification
from sptrack.results import json_text, output_folder, save, write_atomic

_FILE_WIDTH = 110


def verify(
    *,
    device: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    printed: bool = False,
    seed: int = 0,
    threads: int | None = None,
    out: Path | None = None,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Hold the four bounds on zero-shifting against simulation; exit status 1 if a corrected one fails.

    Parameters
    ----------
    device
        Devices of the suite (linear, sticking, ...), presets, or TOML files of devices; default: the whole
        suite.
    printed
        Also show the bounds as published; they do not count for the exit status.
    seed
        Root seed.
    threads
        Devices run at a time; default: one per processor.
    out
        Folder for the rows as JSON, the dataset and the figure.
    json
        Print the rows as a JSON list alone.
    quiet
        No progress on stderr.
    """
    with progress_bar("simulating", "cases", quiet=quiet) as progress:
        report = run_verification(
            device or None, printed=printed, seed=seed, threads=threads, progress=progress
        )
    if out is not None:
        _write(report, out)
    if json:
        print(json_text(report.rows), end="")
    else:
        _print(report)
    return 1 if report.violations else 0


def _print(report: Report) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Bounds against simulation: the tightest row of each group", box=box.SIMPLE_HEAD)
    for heading in ("device", "bound"):
        table.add_column(heading)
    for heading in ("dw", "pulses", "measured", "bound", "ratio", "loosest", "holds"):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = ""
    for group in report.groups():
        rows = [report.rows[k] for k in group]
        tight, error = rows[0], report.standard_errors[group[0]]
        measured = f"{tight.measured:.3g}" + (f" ± {error:.0e}" if tight.samples > 1 else "")
        name = "" if tight.device == shown else tight.device
        table.add_row(
            *(name, _named(tight), f"{tight.dw:.3g}", str(tight.pulses), measured),
            *(f"{tight.bound_value:.3g}", f"{tight.ratio:.3g}", f"{rows[-1].ratio:.2g}"),
            f"{sum(row.holds for row in rows)}/{len(rows)}",
        )
        shown = tight.device
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(table)
    for line in (*report.notes, *_verdict(report)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _named(row: Row) -> str:
    return row.bound if row.form == "corrected" else f"{row.bound} printed"


def _verdict(report: Report) -> Iterator[str]:
    for row in report.rows:
        if not row.holds:
            yield (
                f"fails: {_named(row)}, {row.device}, dw {row.dw:g}, {row.pulses} pulses: "
                f"measured {row.measured:.4g}, bound {row.bound_value:.4g}"
            )
    checked = sum(row.form == "corrected" for row in report.rows)
    yield f"corrected bounds: {checked - len(report.violations)} of {checked} hold within 3 standard errors"


def _write(report: Report, out: Path) -> None:
    with output_folder(out) as folder:
        write_atomic(folder / "verify.json", json_text(report.rows))
        data = report_dataset(report)
        save(data, folder / "verify.nc")
        write_figures(folder, data, bounds="sptrack.plotting.bounds:bounds_figure")
    print(f"wrote {out}", file=sys.stderr)
