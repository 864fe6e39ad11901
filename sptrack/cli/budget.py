"""`sptrack budget`: what limits the error of the symmetric points that a method tracks."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._progress import progress_bar
from sptrack.cli._setup import SetupInput, chosen_methods
from sptrack.evaluation.budget import budget_rows, error_budget
from sptrack.results import json_text, output_folder, save, write_atomic

if TYPE_CHECKING:
    import xarray as xr

_FILE_WIDTH = 120


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """How much is run.

    Parameters
    ----------
    steps
        Steps of each run; the last tenth is scored.
    seed
        First seed.
    seeds
        Number of seeds, each a problem of its own with its own noise; at least 2.
    threads
        Runs at a time; default: one per processor.
    """

    steps: int = 20000
    seed: int = 0
    seeds: int = 10
    threads: int | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results go.

    Parameters
    ----------
    out
        Folder for the table as JSON, the dataset and the figure.
    json
        Print JSON alone.
    quiet
        No progress on stderr.
    """

    out: Path | None = None
    json: bool = False
    quiet: bool = False


_SETUP, _RUNS, _OUTPUT = SetupInput(), Runs(), Output()


def budget(
    *,
    setup: SetupInput = _SETUP,
    bits: int | None = None,
    read_noise: float | None = None,
    runs: Runs = _RUNS,
    output: Output = _OUTPUT,
) -> None:
    """Switch each source of error off, and on, alone, with the same random numbers.

    Parameters
    ----------
    setup
        Method, problem, device, file.
    bits
        Width of the fixed-point register of the reference; default: that of the file, or floating point.
    read_noise
        Std of the noise of reading P, weight units; default: that of the file, or 0.
    runs
        Steps, seeds, threads.
    output
        Folder and form of the results.
    """
    loaded = setup.load()
    (method,) = chosen_methods(loaded, () if setup.method is None else (setup.method,))
    method = method if bits is None else replace(method, bits=bits)
    settings = loaded.settings if read_noise is None else replace(loaded.settings, read_noise=read_noise)
    with nullcontext() if output.out is None else output_folder(output.out) as folder:
        with progress_bar("switching", "runs", quiet=output.quiet) as progress:
            data = error_budget(
                method,
                loaded.problem,
                settings,
                steps=runs.steps,
                seeds=runs.seeds,
                seed=runs.seed,
                threads=runs.threads,
                progress=progress,
            )
        rows = budget_rows(data)
        if folder is not None:
            _write(data, rows, folder)
    if output.out is not None and not output.quiet:
        print(f"wrote {output.out}", file=sys.stderr)
    if output.json:
        print(json_text(rows), end="")
    else:
        _print(rows, f"{method.name} on {loaded.problem}, {runs.steps} steps, {runs.seeds} seeds")


def _print(rows: dict[str, Any], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Error budget: {title}", box=box.SIMPLE_HEAD)
    table.add_column("source")
    for heading in ("saves if off (95 %)", "share", "adds if alone (95 %)", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("off means")
    total = rows["total"]
    for row in sorted(rows["sources"], key=lambda row: -row["saved"]):
        table.add_row(row["source"], *_two(row, "saved", "added", total), row["off"])
    table.add_row("remainder", *_two(rows, "saved_remainder", "added_remainder", total), "interaction")
    table.add_row("floor", *_two(rows, "floor", "floor", total), "all of them off")
    table.add_row("total", *_two(rows, "total", "total", total), "all of them on")
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(table)
    text = "Mean (Q - SP)² over the cells and the last tenth of the steps, weight units squared; "
    text += f"RMS {total**0.5:.3g} weight units."
    console.print(text, highlight=False)


def _two(row: dict[str, Any], left: str, right: str, total: float) -> list[str]:
    cells = []
    for key in (left, right):
        half = 0.5 * (row[f"{key}_ci"][1] - row[f"{key}_ci"][0])
        share = f"{100 * row[key] / total:.0f} %" if total > 0 else "-"
        cells += [f"{row[key]:.3g} ± {half:.1g}", share]
    return cells


def _write(data: "xr.Dataset", rows: dict[str, Any], folder: Path) -> None:
    write_atomic(folder / "budget.json", json_text(rows))
    save(data, folder / "budget.nc")
    write_figures(folder, data, budget="sptrack.plotting.budget:budget_figure")
