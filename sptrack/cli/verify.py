"""`sptrack verify`: bounds on zero-shifting checked by simulation."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._progress import progress_bar
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
from sptrack.evaluation.verify import Report, Row, report_dataset
from sptrack.evaluation.verify import verify as run_verification
from sptrack.intervals import interval_text
from sptrack.results import json_text, output_folder, save, write_atomic


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
    """Check the four bounds on zero-shifting by simulation; exit status 1 if a corrected one fails.

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
    to = console()
    checked = sum(row.form == "corrected" for row in report.rows)
    holding = checked - len(report.violations)
    text = f"{holding} of {checked} corrected bounds hold within 3 standard errors of the simulation"
    show_verdict(to, "BOUND BROKEN" if report.violations else "BOUNDS HOLD", text, good=not report.violations)
    columns = (
        Column("device", left=True),
        Column("bound", left=True),
        Column("dw", 1),
        Column("pulses"),
        Column("simulated"),
        Column("bound"),
        Column("ratio", 2),
        Column("loosest", 4),
        Column("holds", 3),
    )
    table, shown = [], ""
    for group in report.groups():
        rows = [report.rows[k] for k in group]
        tight, error = rows[0], report.standard_errors[group[0]]
        simulated = f"{tight.measured:.3g}"
        if tight.samples > 1:
            simulated = interval_text(tight.measured, tight.measured - error, tight.measured + error)
        name = "" if tight.device == shown else tight.device
        numbers = (f"{tight.dw:.3g}", f"{tight.pulses:,}", simulated, f"{tight.bound_value:.4g}")
        ratios = (f"{tight.ratio:.3g}", f"{rows[-1].ratio:.2g}", f"{sum(r.holds for r in rows)}/{len(rows)}")
        table.append([name, _named(tight), *numbers, *ratios])
        shown = tight.device
    show_table(to, "bounds and simulation (± standard error): the tightest row of each group", columns, table)
    show_lines(to, (*report.notes, *_failures(report)))
    show_next(to, "--printed shows the bounds as published beside them; --out DIR draws every row")


def _named(row: Row) -> str:
    return row.bound if row.form == "corrected" else f"{row.bound} printed"


def _failures(report: Report) -> Iterator[str]:
    for row in report.rows:
        if not row.holds:
            yield (
                f"fails: {_named(row)}, {row.device}, dw {row.dw:g}, {row.pulses:,} pulses: "
                f"simulated {row.measured:.4g}, bound {row.bound_value:.4g}"
            )


def _write(report: Report, out: Path) -> None:
    with output_folder(out) as folder:
        write_atomic(folder / "verify.json", json_text(report.rows))
        data = report_dataset(report)
        save(data, folder / "verify.nc")
        write_figures(folder, data, bounds="sptrack.plotting.bounds:bounds_figure")
    print(f"wrote {out}", file=sys.stderr)
