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
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
from sptrack.evaluation.budget import budget_rows, error_budget
from sptrack.intervals import interval_text
from sptrack.results import json_text, output_folder, save, write_atomic

if TYPE_CHECKING:
    import xarray as xr

_REMEDIES = {
    "chopper": "a periodic chopper (--chopper periodic:half_period=N) flips at regular intervals",
    "leakage": "a narrower filter (--filter ema:eta=...) passes less of the chopped gradient",
    "read-noise": "more reads, or a narrower filter (--filter ema:eta=...)",
    "granularity": "a smaller rate alpha, or a device with finer steps",
    "cycle-noise": "a smaller rate alpha averages over more pulses",
    "spread": "a regression (--method o-rider --filter observer) learns each cell's own response",
}
"""Remedy for each source of the error."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Length and number of the runs.

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
    """Output of the results.

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
    to, total = console(), rows["total"]
    sources = sorted(rows["sources"], key=lambda row: -row["saved"])
    show_verdict(to, *_verdict(sources, rows))
    columns = (
        Column("source", left=True),
        Column("saves if off (95 %)"),
        Column("share"),
        Column("adds if alone (95 %)", 2),
        Column("share", 3),
        Column("off means", 1, wraps=True),
    )
    body = [[row["source"], *_two(row, "saved", "added", total), row["off"]] for row in sources]
    body += [
        ["remainder", *_two(rows, "saved_remainder", "added_remainder", total), "interaction"],
        ["floor", *_two(rows, "floor", "floor", total), "all of them off"],
        ["total", *_two(rows, "total", "total", total), "all of them on"],
    ]
    show_table(to, f"Error budget: {title}", columns, body)
    show_lines(to, ["Mean (Q - SP)² over the cells and the last tenth of the steps, weight units squared."])
    show_next(to, _REMEDIES.get(sources[0]["source"], "sptrack design finds settings for a required error"))


def _verdict(sources: list[dict[str, Any]], rows: dict[str, Any]) -> tuple[str, str, bool | None]:
    """Word, reason and meaning: the largest source, if its interval is above zero."""
    first, total = sources[0], rows["total"]
    rms = f"of the mean squared error of Q, rms {total**0.5:.3g} weight units"
    fraction = f"{100 * first['saved'] / total:.0f} %" if total > 0 else "nothing"
    if first["saved_ci"][0] > 0:
        return "LARGEST SOURCE", f"{first['source']}: without it {fraction} {rms}, would go", True
    return "NOT RESOLVED", f"{first['source']} is the largest source with {fraction} {rms}; add --seeds", None


def _two(row: dict[str, Any], left: str, right: str, total: float) -> list[str]:
    cells = []
    for key in (left, right):
        fraction = f"{100 * row[key] / total:.0f} %" if total > 0 else "-"
        cells += [interval_text(row[key], *row[f"{key}_ci"]), fraction]
    return cells


def _write(data: "xr.Dataset", rows: dict[str, Any], folder: Path) -> None:
    write_atomic(folder / "budget.json", json_text(rows))
    save(data, folder / "budget.nc")
    write_figures(folder, data, budget="sptrack.plotting.budget:budget_figure")
