"""Fits and files in words and as plain data: the user's unit first, weights beside it, the verdict on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, isfinite, isinf, isnan
from typing import Any, NamedTuple

import numpy as np

from sptrack.devices.device import Device
from sptrack.fitting.cell import Estimate, MeasuredDevice
from sptrack.fitting.files import Measurement
from sptrack.fitting.lookup import StepTables
from sptrack.fitting.population import ResponseFit
from sptrack.fitting.programs import describe_directions
from sptrack.fitting.units import parse_unit

__all__ = [
    "Rows",
    "fit_notes",
    "fit_outcome",
    "fit_pairs",
    "fit_report",
    "fit_tables",
    "look_pairs",
    "look_report",
    "table_outcome",
    "table_pairs",
    "table_report",
    "to_unit",
    "verdict",
]

_SHOWN = 40
_WHITE = 0.01
_FEWEST_STATES = 3.0


class Verdict(NamedTuple):
    """Whether the readings determine a symmetric point, and why not."""

    determined: bool
    reason: str


def verdict(fit: ResponseFit) -> Verdict:
    """Verdict on a fit: of one cell on its symmetric point, of several on most of them."""
    open_points = [
        next((item.reason for item in cell.unidentified if item.name == "symmetric_point"), "")
        for cell in fit.cells
    ]
    coarse = [cell for cell in fit.cells if cell.range[1] - cell.range[0] < _FEWEST_STATES * cell.dw_min]
    missing = sum(bool(reason) for reason in open_points)
    if len(coarse) > len(fit.cells) / 2:
        return Verdict(False, "one pulse moves a cell by a third of the visited states or more")
    if len(fit.cells) == 1:
        return Verdict(not missing, open_points[0])
    return Verdict(
        missing <= len(fit.cells) / 2, f"it is not determined in {missing} of {len(fit.cells)} cells"
    )


def to_unit(name: str, one: Estimate, measured: Measurement) -> tuple[Estimate, str]:
    """A parameter in the user's unit, and that unit."""
    unit = measured.unit or "reading units"
    if name.startswith(("tau", "w_m", "symmetric")):
        return Estimate(*(measured.in_unit(value) for value in one)), unit
    if name.startswith("step"):
        return Estimate(*(value * measured.scale for value in one)), f"{unit} per pulse"
    if name in ("read_noise", "slow_noise"):
        return Estimate(*(value * measured.scale for value in one)), unit
    if name.startswith("kappa"):
        return Estimate(*(value / measured.scale for value in one)), f"1/{unit}"
    return one, {"cycle_noise": "steps", "slow_memory": "readings"}.get(name, "1")


def _weight_unit(name: str) -> str:
    if name.startswith("step"):
        return "weight units per pulse"
    if name.startswith(("tau", "w_m", "symmetric")) or name in ("read_noise", "slow_noise"):
        return "weight units"
    if name.startswith("kappa"):
        return "1 / weight unit"
    return {"cycle_noise": "steps", "slow_memory": "readings"}.get(name, "1")


def _text(one: Estimate) -> str:
    """Value and interval, with digits that follow the interval."""
    digits = 3
    width = one.high - one.low
    if isfinite(width) and width > 0.0 and one.value != 0.0:
        digits = int(np.clip(np.ceil(np.log10(abs(one.value) / width)) + 2, 2, 6))
    return f"{one.value:.{digits}g} [{_end(one.low, digits)}, {_end(one.high, digits)}]"


def _end(end: float, digits: int) -> str:
    if isnan(end):
        return "not found"
    return "open" if isinf(end) else f"{end:.{digits}g}"


def _resistance(point: Estimate, measured: Measurement) -> str:
    """The symmetric point as a resistance, where the file holds such; else empty."""
    told, unit = parse_unit(measured.resistance), parse_unit(measured.unit)
    if told is None or unit is None or not point.value > 0.0:
        return ""
    low, value, high = (
        1.0 / (end * unit.factor * told.factor) if isfinite(end) and end > 0.0 else inf
        for end in (point.high, point.value, point.low)
    )
    return f" = {_text(Estimate(value, low, high))} {told.text}"


def _point_text(point: Estimate, measured: Measurement) -> str:
    own, unit = to_unit("symmetric_point", point, measured)
    if measured.in_weights:
        return f"{_text(point)} weight units"
    return f"{_text(own)} {unit}{_resistance(own, measured)}, weight {_text(point)}"


class Rows(NamedTuple):
    """A table: title, headings with their ranks (0 stays; the highest is left out first), rows of texts."""

    title: str
    headings: tuple[tuple[str, int], ...]
    rows: Sequence[tuple[str, ...]]


def fit_outcome(fit: ResponseFit) -> tuple[str, str]:
    """Word of the verdict on a fit, and its symmetric point, with the reason if it is not determined."""
    said = verdict(fit)
    what = "symmetric point" if len(fit.cells) == 1 else "mean symmetric point"
    text = f"{what} {_point_text(fit.symmetric_point, fit.measurement)}"
    if said.determined:
        return "FITTED", text
    return "NOT DETERMINED", f"{text}: {said.reason}"


def fit_pairs(fit: ResponseFit) -> Iterator[tuple[str, str]]:
    """Readings, weights and family of a fit, by label."""
    measured = fit.measurement
    count = sum(cell.diagnostics.readings for cell in fit.cells)
    cells = "1 cell" if len(fit.cells) == 1 else f"{len(fit.cells)} cells"
    yield "readings", f"{measured.name}: {cells}, {count:,} readings"
    if not measured.in_weights:
        unit = measured.unit or "reading units"
        yield "weights", f"{measured.low:.4g} .. {measured.high:.4g} {unit} are -1 .. 1"
    yield "family", fit.family + (", as given" if fit.selection is None else ", chosen by held-out readings")


def fit_tables(fit: ResponseFit) -> Iterator[Rows]:
    """Tables of a fit: parameters, families."""
    if len(fit.cells) == 1:
        yield _parameters(fit.cells[0], fit.measurement)
    else:
        yield from _population(fit)
    if fit.selection is not None:
        yield _families(fit)


def fit_notes(fit: ResponseFit) -> Iterator[tuple[str, str]]:
    """Reservations on a fit, by label: gaps, notes, parameters that are not identified, warnings."""
    for kind, number in fit.measurement.gaps.items():
        yield "gap", f"{number:,} readings: {kind}"
    for note in (*fit.measurement.notes, *fit.notes):
        yield "note", note
    if len(fit.cells) == 1:
        for item in fit.cells[0].unidentified:
            yield "not identified", f"{item.name}: {item.reason}"
    white = [cell for cell in fit.cells if cell.diagnostics.whiteness < _WHITE]
    if white:
        who = "residuals" if len(fit.cells) == 1 else f"residuals of {len(white)} of {len(fit.cells)} cells"
        least = min(cell.diagnostics.whiteness for cell in white)
        yield (
            "warning",
            f"{who} are correlated (p = {least:.1g}): the readings have structure that the model lacks; "
            "intervals are too short",
        )


def _families(fit: ResponseFit) -> Rows:
    rows = []
    for score in fit.selection.scores if fit.selection is not None else ():
        behind = f"{score.behind:.4f} ± {score.error:.4f}" if score.behind > 0.0 else "best"
        mark = " (taken)" if score.family == fit.family else ""
        rows.append((score.family + mark, str(score.coefficients), behind))
    for family, reason in fit.selection.failed.items() if fit.selection is not None else ():
        rows.append((family, "", "at the limit of its shapes" if "limit" in reason else "did not converge"))
    return Rows("", (("family", 0), ("coefficients", 1), ("behind the best per reading", 0)), rows)


def _parameters(cell: MeasuredDevice, measured: Measurement) -> Rows:
    weights = () if measured.in_weights else (("in weights", 1),)
    rows: list[tuple[str, ...]] = []
    for name, one in cell.parameters.items():
        if measured.in_weights:
            rows.append((name, _text(one), _weight_unit(name)))
            continue
        own, unit = to_unit(name, one, measured)
        rows.append((name, _text(own), unit, "" if own == one else _text(one)))
    return Rows("", (("parameter", 0), ("value [95 %]", 0), ("unit", 0), *weights), rows)


def _population(fit: ResponseFit) -> Iterator[Rows]:
    measured = fit.measurement
    if fit.spread:
        rows: list[tuple[str, ...]] = []
        for name, spread in fit.spread.items():
            mean, unit = to_unit(name, spread.mean, measured)
            ratio = 1.0 if unit in ("1", "steps", "readings") else measured.scale
            ratio = 1.0 / measured.scale if name.startswith("kappa") else ratio
            std = Estimate(*(value * ratio for value in spread.std))
            rows.append((name, _text(mean), _text(std), unit, str(spread.cells)))
        headings = ("parameter", 0), ("mean [95 %]", 0), ("std of cells [95 %]", 0), ("unit", 0), ("cells", 1)
        yield Rows("", headings, rows)
    unit = measured.unit or ("weight units" if measured.in_weights else "reading units")
    rows = []
    for k, cell in enumerate(fit.cells[:_SHOWN]):
        own, _ = to_unit("symmetric_point", cell.symmetric_point, measured)
        rows.append(
            (
                cell.name[:20] or str(k + 1),
                _text(own),
                f"{cell.symmetric_point.value:.3g}",
                f"{cell.read_noise * measured.scale:.3g}",
                f"{cell.parameters['cycle_noise'].value:.3g} steps",
            )
        )
    more = len(fit.cells) - _SHOWN
    title = f"the first {_SHOWN} cells; {more} more in fit.json" if more > 0 else ""
    headings = (
        ("cell", 0),
        (f"symmetric point in {unit} [95 %]", 0),
        ("in weights", 1),
        (f"read noise in {unit}", 2),
        ("cycle noise", 3),
    )
    yield Rows(title, headings, rows)


def fit_report(fit: ResponseFit) -> dict[str, Any]:
    """A fit as plain data."""
    measured, selection, said = fit.measurement, fit.selection, verdict(fit)
    return {
        "file": measured.name,
        "unit": measured.unit,
        "quantity": measured.quantity,
        "range": [measured.low, measured.high],
        "verdict": "determined" if said.determined else "not determined",
        "reason": said.reason if not said.determined else "",
        "symmetric_point": {
            "weight": fit.symmetric_point._asdict(),
            "reading": to_unit("symmetric_point", fit.symmetric_point, measured)[0]._asdict(),
        },
        "family": fit.family,
        "selection": None if selection is None else list(selection.scores),
        "failed": {} if selection is None else selection.failed,
        "notes": [*measured.notes, *fit.notes],
        "gaps": dict(measured.gaps),
        "cells": [_cell_report(cell, measured) for cell in fit.cells],
        "spread": {
            name: {"mean": one.mean._asdict(), "std": one.std._asdict(), "cells": one.cells}
            for name, one in fit.spread.items()
        },
    }


def _cell_report(cell: MeasuredDevice, measured: Measurement) -> dict[str, Any]:
    in_units = {name: to_unit(name, one, measured) for name, one in cell.parameters.items()}
    return {
        "name": cell.name,
        "readings": cell.diagnostics.readings,
        "visited": cell.range,
        "parameters": {name: one._asdict() for name, one in cell.parameters.items()},
        "in_units": {name: one._asdict() | {"unit": unit} for name, (one, unit) in in_units.items()},
        "unidentified": {item.name: item.reason for item in cell.unidentified},
        "whiteness": cell.diagnostics.whiteness,
    }


# --- what was understood of a file


def look_report(measured: Measurement) -> dict[str, Any]:
    """The reading of a file as plain data."""
    return {
        "file": measured.name,
        "form": measured.form,
        "columns": [{"name": name, "meaning": role, "found": why} for name, role, why in measured.columns],
        "quantity": measured.quantity,
        "unit": measured.unit,
        "range": [measured.low, measured.high],
        "cells": [
            {
                "name": cell.name,
                "readings": int(np.sum(~np.isnan(cell.readings))),
                "gaps": int(np.sum(np.isnan(cell.readings))),
                "up": int(np.sum(np.asarray(cell.pulses) > 0)),
                "down": int(np.sum(np.asarray(cell.pulses) < 0)),
                "runs": int(cell.program.runs[-1]) + 1,
                "program": describe_directions(np.sign(cell.pulses)),
                "lowest": measured.in_unit(float(np.nanmin(cell.readings))),
                "highest": measured.in_unit(float(np.nanmax(cell.readings))),
            }
            for cell in measured.cells
        ],
        "gaps": dict(measured.gaps),
        "notes": list(measured.notes),
    }


def look_pairs(measured: Measurement) -> Iterator[tuple[str, str]]:
    """The reading of a file, by label."""
    told = look_report(measured)
    yield "file", f"{measured.name} ({measured.form})"
    for k, (name, role, why) in enumerate(measured.columns[:12]):
        how = f" ({why})" if why else ""
        yield "columns" if k == 0 else "", f"{name}: {role}{how}"
    if len(measured.columns) > 12:
        yield "", f"and {len(measured.columns) - 12} more"
    source = f", from resistances in {measured.resistance}" if measured.resistance else ""
    unit = measured.unit or ("weight units" if measured.in_weights else "no unit")
    yield "quantity", f"{measured.quantity or 'not said'} in {unit}{source}"
    if not measured.in_weights:
        yield "weights", f"{measured.low:.4g} .. {measured.high:.4g} {unit} are -1 .. 1"
    yield "cells", str(len(measured.cells))
    for cell in told["cells"][:8]:
        name = f"{cell['name']}: " if cell["name"] else ""
        runs = "1 run" if cell["runs"] == 1 else f"{cell['runs']} runs"
        yield "", f"{name}{cell['readings']:,} readings, {cell['up']:,} up and {cell['down']:,} down, {runs}"
    if len(told["cells"]) > 8:
        yield "", f"and {len(told['cells']) - 8} more"
    yield "program", told["cells"][0]["program"]
    if not measured.gaps:
        yield "gaps", "none"
    for kind, number in measured.gaps.items():
        yield "gap", f"{number:,} readings: {kind}"
    for note in measured.notes:
        yield "note", note


# --- look-up tables


def table_report(tables: StepTables, device: Device) -> dict[str, Any]:
    """A device of look-up tables, as plain data."""
    return {
        "file": tables.name,
        "unit": tables.unit,
        "range": [float(tables.conductance[0]), float(tables.conductance[-1])],
        "family": "look-up table",
        "verdict": "determined" if isfinite(tables.symmetric_point) else "not determined",
        "symmetric_point": {
            "reading": tables.symmetric_point,
            "weight": None if device.fit is None else device.fit.symmetric_point,
        },
        "dw_min": device.dw_min,
        "states": device.states,
        "cycle_noise": device.cycle_noise.std,
        "conductance": tables.conductance,
        "mean": tables.mean,
        "deviation": tables.deviation,
        "notes": list(tables.notes),
    }


def table_outcome(tables: StepTables, device: Device) -> tuple[str, str]:
    """Word of the verdict on look-up tables, and their symmetric point."""
    point = device.fit.symmetric_point if device.fit is not None else None
    if point is None:
        return "NOT DETERMINED", "the mean steps of the tables are equal nowhere: no symmetric point"
    value = f"{tables.symmetric_point:.4g} {tables.unit}, weight {point:.3g}"
    return "FITTED", f"symmetric point {value}; no interval: a table has none"


def table_pairs(tables: StepTables, device: Device) -> Iterator[tuple[str, str]]:
    """A device of look-up tables, by label."""
    unit, scale = tables.unit, device.scale
    yield "tables", tables.name
    yield "weights", f"{tables.conductance[0]:.4g} .. {tables.conductance[-1]:.4g} {unit} are -1 .. 1"
    size = device.dw_min if scale is None else scale.size(device.dw_min)
    yield (
        "step at w = 0",
        f"{size:.3g} {unit} per pulse, weight {device.dw_min:.3g}: {device.states:.3g} states",
    )
    noise = device.cycle_noise
    yield "cycle noise", f"{noise.std:.3g} x (|step| + {noise.offset:.3g} weight units)"
    for note in tables.notes:
        yield "note", note
    yield "not identified", "reading noise, spread between cells: a table does not hold them"
