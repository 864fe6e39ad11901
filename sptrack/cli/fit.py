"""`sptrack fit`: measured pulse responses in, a device with intervals out."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from math import isinf, isnan
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sptrack.cli._progress import progress_bar
from sptrack.devices.config import device_to_toml
from sptrack.fitting import (
    FAMILIES,
    Estimate,
    Measurement,
    ResponseFit,
    fit_responses,
    read_measurement,
    to_device,
)
from sptrack.errors import ParameterError, nearest
from sptrack.results import json_text, output_folder, save, write_atomic


def fit(
    file: Path,
    *,
    family: str | None = None,
    range_: Annotated[tuple[float, float] | None, Parameter(name="--range")] = None,
    out: Path | None = None,
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Fit measured pulse responses of one or many cells: family, parameters, noises, symmetric points.

    Parameters
    ----------
    file
        CSV: two columns (readings of an up and of a down run of one cell), or one reading per row with the
        columns direction (up, down, 0), reading and if need be cell, run, pulses; header and unit optional.
    family
        soft-bounds, pow-step, exp-step, soft-exponential, linear-step or piecewise; default: chosen by
        held-out readings.
    range_
        Readings that are to be the weights -1 and +1; default: the lowest and highest states visited if the
        header gives a unit, else readings are weights.
    out
        Folder for fit.json, device.toml (a device for every command), dataset and figure.
    json
        Print the results as JSON alone.
    quiet
        Nothing on stderr but errors.
    """
    if family is not None and family not in FAMILIES:
        raise ParameterError(
            f"family {family!r}: one of {', '.join(FAMILIES)} wanted{nearest(family, FAMILIES)}"
        )
    measurement = read_measurement(file, range_)
    with nullcontext() if out is None else output_folder(out) as folder:
        total = 0 if family else len(FAMILIES) * len(measurement.cells)
        result = _fit(measurement, family, total, quiet)
        device = device_to_toml(to_device(result))
        report = _report(result)
        if folder is not None:
            _write(result, device, report, folder)
    if out is not None and not quiet:
        print(f"wrote {out}", file=sys.stderr)
    if json:
        print(json_text(report | {"toml": device}), end="")
    else:
        _print(result)


def _fit(measurement: Measurement, family: str | None, total: int, quiet: bool) -> ResponseFit:
    done = 0
    with progress_bar("fitting", "fits", quiet=quiet) as progress:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, total)

        return fit_responses(measurement, family, advance)


def _report(result: ResponseFit) -> dict[str, Any]:
    measured = result.measurement
    selection = result.selection
    return {
        "file": measured.name,
        "unit": measured.unit,
        "range": [measured.low, measured.high],
        "family": result.family,
        "selection": None if selection is None else list(selection.scores),
        "failed": {} if selection is None else selection.failed,
        "cells": [
            {
                "name": cell.name,
                "readings": cell.diagnostics.readings,
                "visited": cell.range,
                "parameters": {name: one._asdict() for name, one in cell.parameters.items()},
                "unidentified": {item.name: item.reason for item in cell.unidentified},
                "whiteness": cell.diagnostics.whiteness,
            }
            for cell in result.cells
        ],
        "spread": {
            name: {"mean": one.mean._asdict(), "std": one.std._asdict(), "cells": one.cells}
            for name, one in result.spread.items()
        },
    }


def _print(result: ResponseFit) -> None:
    from rich.console import Console

    console = Console()
    measured = result.measurement
    for table in _tables(result):
        console.print(table)
    for line in _summary(result):
        console.print(line, highlight=False, soft_wrap=True)
    if measured.unit:
        low, high = measured.low, measured.high
        console.print(f"weights         {low:.4g} .. {high:.4g} {measured.unit} are -1 .. 1", highlight=False)


def _tables(result: ResponseFit) -> Iterator[Any]:
    from rich import box
    from rich.table import Table

    def table(title: str, *headings: str) -> Table:
        made = Table(title=title, box=box.SIMPLE_HEAD)
        for k, heading in enumerate(headings):
            made.add_column(heading, justify="left" if k == 0 else "right", no_wrap=True)
        return made

    if result.selection is not None:
        scores = table(
            "Held-out readings, mean log density per reading",
            "family",
            "coefficients",
            "score",
            "behind best",
        )
        for score in result.selection.scores:
            mark = " *" if score.family == result.family else ""
            behind = f"{score.behind:.4f} ± {score.error:.4f}" if score.behind > 0 else "best"
            scores.add_row(score.family + mark, str(score.coefficients), f"{score.score:.4f}", behind)
        for family in result.selection.failed:
            scores.add_row(family, "", "fit did not converge", "")
        yield scores
    if len(result.cells) == 1:
        values = table(
            f"{result.measurement.name}: {result.family}", "parameter", "estimate", "95 % interval", "unit"
        )
        for name, one in result.cells[0].parameters.items():
            values.add_row(name, f"{one.value:.4g}", _interval(one), _unit(name))
        yield values
        return
    points = table(
        f"{result.measurement.name}: {result.family}, {len(result.cells)} cells",
        "parameter", "mean (95 %)", "std of cells (95 %)", "cells",
    )  # fmt: skip
    for name, spread in result.spread.items():
        mean, std = spread.mean, spread.std
        points.add_row(name, _short(mean), _short(std), str(spread.cells))
    yield points
    cells = table("Cells", "cell", "readings", "symmetric point (95 %)", "read noise", "cycle noise")
    for cell in result.cells:
        p = cell.parameters
        cells.add_row(
            cell.name or "-",
            str(cell.diagnostics.readings),
            _short(cell.symmetric_point),
            f"{p['read_noise'].value:.3g}",
            f"{p['cycle_noise'].value:.3g}",
        )
    yield cells


def _short(one: Estimate) -> str:
    return f"{one.value:.3g} ({_end(one.low, 3)} .. {_end(one.high, 3)})"


def _interval(one: Estimate) -> str:
    return f"{_end(one.low, 4)} .. {_end(one.high, 4)}"


def _end(end: float, digits: int) -> str:
    """One end of an interval: open where the readings do not bound it."""
    if isnan(end):
        return "not found"
    return "open" if isinf(end) else f"{end:.{digits}g}"


def _unit(name: str) -> str:
    """Unit of a parameter."""
    if name.startswith("step"):
        return "weight units per pulse"
    if name.startswith("gamma"):
        return "1"
    special = {"cycle_noise": "steps", "slow_memory": "readings"}
    return special.get(name, "1 / weight unit" if name.startswith("kappa") else "weight units")


def _summary(result: ResponseFit) -> Iterator[str]:
    for cell in result.cells:
        where = f" (cell {cell.name})" if cell.name else ""
        for item in cell.unidentified if len(result.cells) == 1 else ():
            yield f"not identified  {item.name}{where}: {item.reason}"
        if cell.diagnostics.whiteness < 0.01:
            yield (
                f"warning{where}  residuals are correlated (p = {cell.diagnostics.whiteness:.1g}): "
                "the readings have structure that the model lacks; intervals are too short"
            )


def _write(result: ResponseFit, device: str, report: dict[str, Any], folder: Path) -> None:
    from sptrack.plotting.fit import fit_dataset, fit_figure
    from sptrack.plotting.style import save_figure

    write_atomic(folder / "fit.json", json_text(report))
    write_atomic(folder / "device.toml", device)
    data = fit_dataset(result)
    save(data, folder / "fit.nc")
    figure = fit_figure(data)
    for ending in ("png", "svg"):
        save_figure(figure, folder / f"fit.{ending}")
