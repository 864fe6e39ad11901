"""`sptrack devices`: the devices of the literature, and any device that a file describes."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cyclopts import App

from sptrack.cli._show import Column, console, show_next, show_table
from sptrack.devices.config import device_named, device_to_mapping, device_to_toml
from sptrack.devices.device import Device, Fit, Reference
from sptrack.devices.presets import preset, preset_names
from sptrack.devices.sampling import cells_shape, sample_cells
from sptrack.devices.statistics import CellStatistics, Moments, cell_statistics
from sptrack.results import json_text

devices = App(name="devices", help="List devices, or show one: parameters, symmetric points, pictures.")

_CELLS = "64x64"
_COLUMNS = (
    Column("name", left=True),
    Column("family", 1, left=True),
    Column("states"),
    Column("dw_min", 5),
    Column("SP mean"),
    Column("SP std", 3),
    Column("cycle noise", 4),
    Column("source", 2, wraps=True),
)


@devices.command(name="list")
def list_devices(*, json: bool = False) -> None:
    """List the devices of the literature; symmetric points (SP) are those of a drawn array of 64x64 cells.

    Parameters
    ----------
    json
        Print JSON alone instead of a table.
    """
    entries = [_entry(preset(name)) for name in preset_names()]
    if json:
        print(json_text(entries), end="")
        return
    to = console()
    show_table(to, f"symmetric points (SP) of {_CELLS} cells, weight units", _COLUMNS, [*map(_row, entries)])
    show_next(to, "sptrack devices show NAME; sptrack calibrate --device NAME")


@devices.command(name="show")
def show_device(
    device: str, *, json: bool = False, plot: Path | None = None, cells: str = _CELLS, seed: int = 0
) -> None:
    """Show one device: parameters, statistics of a drawn array, and its TOML text.

    Parameters
    ----------
    device
        Name from `sptrack devices list`, or a TOML file (name ending on .toml).
    json
        Print JSON alone.
    plot
        Figure to write (.png, .svg or .pdf): responses, symmetric points and a pulse train.
    cells
        Rows x columns of the array that is drawn.
    seed
        Root seed of the draw.
    """
    if plot is not None:
        from sptrack.plotting.style import check_figure_path

        check_figure_path(plot)
    described = device_named(device)
    array = sample_cells(described, cells_shape(cells), seed=seed)
    statistics = cell_statistics(array)
    if plot is not None:
        from sptrack.crossbar.portrait import portrait
        from sptrack.plotting.devices import device_figure
        from sptrack.plotting.style import save_figure

        save_figure(device_figure(portrait(array, seed=seed)), plot)
    if json:
        report = {"device": device_to_mapping(described), "statistics": asdict(statistics), "seed": seed}
        print(json_text(report), end="")
        return
    print("\n".join([*_parameters(described), "", *_statistics(described, statistics), "", "As TOML:", ""]))
    print(device_to_toml(described), end="")


def _entry(device: Device) -> dict[str, Any]:
    point = cell_statistics(sample_cells(device, cells_shape(_CELLS))).point
    return {
        "name": device.source.name,
        "family": device.response.family,
        "states": device.states,
        "dw_min": device.dw_min,
        "symmetric_point": None if point is None else asdict(point),
        "cycle_noise": device.cycle_noise.std,
        "source": device.source.citation,
    }


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    point = entry["symmetric_point"]
    moments = ("none", "") if point is None else (f"{point['mean']:+.4f}", f"{point['std']:.4f}")
    numbers = (f"{entry['states']:.5g}", f"{entry['dw_min']:.5g}", *moments, f"{entry['cycle_noise']:g}")
    return (entry["name"], entry["family"], *numbers, entry["source"])


def _parameters(device: Device) -> list[str]:
    response, spread, noise = device.response, device.spread, device.cycle_noise
    lines = [f"{device.source.name}: {device.source.citation or 'no citation'}"]
    lines += [device.source.note] if device.source.note else []
    step = "step at full scale" if noise.additive else "actual step"
    further = f" + {noise.offset:g} + {noise.slope:g} |w|" if noise.offset or noise.slope else ""
    written = device.write_noise * device.dw_min
    pairs = {
        "response": f"{response.family}, bounds {response.w_min:g} .. {response.w_max:g} weight units",
        "dw_min": f"{device.dw_min:g} weight units, {device.states:.5g} states",
        "cells differ by": f"dw_min {spread.dw_min:g}{' (log-normal)' if spread.log_normal else ''}, "
        f"w_max {spread.w_max:g}, w_min {spread.w_min:g}, shape {spread.shape:g} (relative std)",
        "asymmetry": f"{device_to_mapping(device)['spread']['asymmetry']['kind']}, "
        f"{spread.asymmetry.mean:g} +- {spread.asymmetry.std:g}",
        "cycle noise": f"{noise.std:g} x ({step}{further})",
        "write noise": f"{device.write_noise:g} dw_min ({written:.4g} weight units)",
        "reading noise": f"{device.read_noise:.4g} weight units{_in_unit(device, device.read_noise)}",
        "reference": _reference(device.reference),
    }
    if device.scale is not None:
        scale = device.scale
        pairs["scale"] = f"{scale.low:.4g} .. {scale.high:.4g} {scale.unit or 'reading units'} are -1 .. 1"
        pairs["dw_min"] += _in_unit(device, device.dw_min)
    if device.fit is not None:
        pairs |= _fit(device, device.fit)
    return lines + [f"  {name:<16}{text}" for name, text in pairs.items()]


def _in_unit(device: Device, size: float) -> str:
    """A difference of weights in the unit of the readings, in brackets; nothing without a scale."""
    return (
        ""
        if device.scale is None
        else f" ({device.scale.size(size):.4g} {device.scale.unit or 'reading units'})"
    )


def _fit(device: Device, made: Fit) -> dict[str, str]:
    """Lines on the fit that a device comes from."""
    ends = made.symmetric_point_low, made.symmetric_point_high
    low, high = ("open" if end is None else f"{end:.3g}" for end in ends)
    point = (
        "not determined" if made.symmetric_point is None else f"{made.symmetric_point:.3g} [{low}, {high}]"
    )
    if made.symmetric_point is not None and device.scale is not None:
        scale = device.scale
        own = ["open" if end is None else f"{scale.reading(end):.4g}" for end in ends]
        point = f"{scale.reading(made.symmetric_point):.4g} [{', '.join(own)}] {scale.unit}, weight {point}"
    pairs = {
        "fitted from": f"{made.file}: {made.cells} cell(s), {made.readings:,} readings, {made.family}, "
        "{made.created}",
        "SP of the fit": point,
    }
    if made.not_identified:
        pairs["not identified"] = "; ".join(made.not_identified[:3])
    return pairs


def _reference(reference: Reference | None) -> str:
    if reference is None:
        return "none"
    part = "symmetric point, error" if reference.subtract else "map,"
    return f"{part} {reference.mean:g} +- {reference.std:g} weight units, subtracted from reads"


def _statistics(device: Device, statistics: CellStatistics) -> list[str]:
    lines = [f"{statistics.cells} cells drawn"]
    if device.one_sided:
        return [*lines, "  one-sided: pulses only raise a cell, there is no symmetric point"]
    pairs = {
        "SP of pulses": _moments(statistics.point),
        "SP as read": _moments(statistics.target),
        "without SP": f"{_percent(statistics.without_point)} of the live cells",
        "overshooting": f"{_percent(statistics.overshooting)} of those with an SP: one pulse can pass it",
        "stuck": f"{_percent(statistics.stuck)} of the cells",
        "clipped": f"{_percent(statistics.clipped)} of the cells (a drawn parameter was out of range)",
    }
    return lines + [f"  {name:<16}{text}" for name, text in pairs.items()]


def _moments(moments: Moments | None) -> str:
    return "none" if moments is None else f"{moments.mean:+.4f} +- {moments.std:.4f} weight units"


def _percent(fraction: float) -> str:
    return "none" if math.isnan(fraction) else f"{100.0 * fraction:.3g} %"
