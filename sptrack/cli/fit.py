"""`sptrack fit`: files of measured pulse responses in, a device with intervals out."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._progress import progress_bar
from sptrack.cli._recipe import FileForm
from sptrack.cli._show import Column, console, show_lines, show_next, show_pairs, show_table, show_verdict
from sptrack.devices.config import device_to_toml
from sptrack.errors import ParameterError, nearest
from sptrack.fitting import FAMILIES, Measurement, ResponseFit, fit_responses, read_measurement, to_device
from sptrack.fitting.lookup import StepTables, is_lookup, read_lookup, table_device
from sptrack.fitting.recipe import Recipe, recipe_to_toml
from sptrack.fitting.report import (
    fit_notes,
    fit_outcome,
    fit_pairs,
    fit_report,
    fit_tables,
    look_pairs,
    look_report,
    table_outcome,
    table_pairs,
    table_report,
)
from sptrack.results import json_text, output_folder, save, write_atomic


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results go.

    Parameters
    ----------
    out
        Folder for device.toml (a device for every command), fit.json, recipe.toml, dataset and figure.
    json
        Print the results as JSON alone.
    quiet
        Nothing on stderr but errors.
    """

    out: Path | None = None
    json: bool = False
    quiet: bool = False


_SKETCH, _SCALE = 64, 14
"""Columns of a picture in text, and those of the scale beside it."""
_FORM, _OUTPUT = FileForm(), Output()


def fit(
    files: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)],
    /,
    *,
    look: bool = False,
    family: str | None = None,
    form: FileForm = _FORM,
    output: Output = _OUTPUT,
) -> None:
    """Fit measured pulse responses of one or many cells: family, steps, noises, symmetric points.

    Parameters
    ----------
    files
        Readings as CSV, other text, gzip or .xlsx: one reading per row, or a column per cell, ramp or
        direction; or a file for each direction or cell. Or look-up tables of steps over conductance, a file
        (or a folder) for both directions.
    look
        Only show what was understood: columns, units, pulses, cells, gaps, a first picture.
    family
        soft-bounds, pow-step, exp-step, soft-exponential, linear-step or piecewise; default: chosen by
        held-out readings.
    form
        What the file does not say itself.
    output
        Folder and form of the results.
    """
    if not files:
        raise ParameterError("no file of readings given: sptrack fit FILE")
    if family is not None and family not in FAMILIES:
        raise ParameterError(
            f"family must be one of {', '.join(FAMILIES)}, got {family[:60]!r}{nearest(family, FAMILIES)}"
        )
    recipe = form.load()
    if recipe == Recipe() and is_lookup(files):
        _tables(read_lookup(files), output, look)
        return
    folders = [path for path in files if path.is_dir()]
    if folders:
        raise ParameterError(f"{folders[0]}: a folder without look-up tables; give the files of readings")
    measurement = read_measurement(files, recipe)
    if look:
        _look(measurement, output)
    else:
        _fit(measurement, family, output)


def _fit(measurement: Measurement, family: str | None, output: Output) -> None:
    with nullcontext() if output.out is None else output_folder(output.out) as folder:
        with progress_bar("fitting", "parts", quiet=output.quiet) as progress:
            result = fit_responses(measurement, family, progress)
        device = device_to_toml(to_device(result))
        report = fit_report(result)
        if folder is not None:
            _write(result, device, report, folder)
    _say_where(output)
    if output.json:
        print(json_text(report | {"toml": device}), end="")
        return
    print_fit(result, output)


def print_fit(result: ResponseFit, output: Output) -> None:
    """Print a fit: verdict, parameters, what was fitted and what is left open, the next step."""
    to = console()
    word, text = fit_outcome(result)
    show_verdict(to, word, text, good=word == "FITTED")
    for table in fit_tables(result):
        columns = [Column(heading, rank, left=k == 0) for k, (heading, rank) in enumerate(table.headings)]
        show_table(to, table.title, columns, table.rows)
    show_pairs(to, [*fit_pairs(result), *fit_notes(result)])
    show_next(to, _next(output))


def _look(measurement: Measurement, output: Output) -> None:
    from sptrack.cli._sketch import sketch

    report = look_report(measurement)
    with nullcontext() if output.out is None else output_folder(output.out) as folder:
        if folder is not None:
            from sptrack.plotting.fit import readings_figure
            from sptrack.plotting.style import save_figure

            write_atomic(folder / "look.json", json_text(report))
            write_atomic(folder / "recipe.toml", recipe_to_toml(measurement.recipe))
            figure = readings_figure(measurement)
            for ending in ("png", "svg"):
                save_figure(figure, folder / f"look.{ending}")
    _say_where(output)
    if output.json:
        print(json_text(report), end="")
        return
    first = measurement.cells[0]
    marks = [
        {1: "/", -1: "\\"}.get(int(sign), ".") for sign in (first.pulses > 0) * 1 - (first.pulses < 0) * 1
    ]
    to = console()
    drawn = sketch(measurement.in_unit(first.readings), marks, width=min(_SKETCH, to.width - _SCALE))
    named = f" of cell {first.name}" if first.name else ""
    show_pairs(to, look_pairs(measurement))
    show_lines(to, ["", f"readings{named} in time, / up, \\ down, {measurement.unit or 'no unit'}:", *drawn])
    show_next(to, "sptrack fit, with the same files and options and without --look")


def _tables(tables: StepTables, output: Output, look: bool) -> None:
    device = table_device(tables)
    report = table_report(tables, device)
    with nullcontext() if output.out is None else output_folder(output.out) as folder:
        if folder is not None:
            from sptrack.plotting.fit import table_figure
            from sptrack.plotting.style import save_figure

            write_atomic(folder / "fit.json", json_text(report))
            if not look:
                write_atomic(folder / "device.toml", device_to_toml(device))
            figure = table_figure(tables)
            for ending in ("png", "svg"):
                save_figure(figure, folder / f"fit.{ending}")
    _say_where(output)
    if output.json:
        print(json_text(report | {"toml": device_to_toml(device)}), end="")
        return
    to = console()
    word, text = table_outcome(tables, device)
    show_verdict(to, word, text, good=word == "FITTED")
    show_pairs(to, table_pairs(tables, device))
    show_next(to, _next(output))


def _say_where(output: Output) -> None:
    if output.out is not None and not output.quiet:
        print(f"wrote {output.out}", file=sys.stderr)


def _next(output: Output) -> str:
    if output.out is None:
        return "--out DIR writes the device, for --device DIR/device.toml in every command"
    return f"sptrack calibrate --device {output.out / 'device.toml'}"


def _write(result: ResponseFit, device: str, report: dict[str, Any], folder: Path) -> None:
    from sptrack.plotting.fit import fit_dataset

    write_atomic(folder / "fit.json", json_text(report))
    write_atomic(folder / "device.toml", device)
    measured = result.measurement
    fixed = (
        measured.recipe
        if measured.in_weights
        else replace(measured.recipe, range=(measured.low, measured.high))
    )
    write_atomic(folder / "recipe.toml", recipe_to_toml(fixed))
    data = fit_dataset(result)
    save(data, folder / "fit.nc")
    write_figures(folder, data, fit="sptrack.plotting.fit:fit_figure")
