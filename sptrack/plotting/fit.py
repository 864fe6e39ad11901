"""Pictures of the fit of measured pulse responses, drawn from its dataset alone."""

import json
from contextlib import suppress
from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.errors import ConvergenceError
from sptrack.fitting import Measurement, ResponseFit, not_identified, step_curves
from sptrack.fitting.lookup import StepTables
from sptrack.intervals import NORMAL_QUANTILE
from sptrack.plotting.style import COLOURS, GREY, headline, house_style, label, new_figure
from sptrack.results import dataset, json_text, provenance

_SHOWN = 6
_COLOURED = 0.01
_LINE, _LINES = 92, 7


def fit_dataset(fit: ResponseFit) -> xr.Dataset:
    """Dataset of a fit: readings, what the fit makes of them, and the parameters of every cell.

    Parameters
    ----------
    fit : ResponseFit
        What `fit_responses` returns.

    Returns
    -------
    Dataset
        Over ``reading`` (all cells one after the other, ``cell_number``): ``measured``, ``predicted``
        and its standard ``deviation``, ``mean``, ``residual``, ``pulses``, ``run``. Over ``cell`` and
        ``parameter``: ``estimate``, and ``interval`` (NaN where a cell has no such parameter, or the end was
        not found). Of a single cell, if its refits converge, also ``step`` over ``direction`` and
        ``weight``, and its ``step_interval``. Attribute ``fit``: family, held-out scores, and what is not
        identified.
    """
    cells, measured = fit.cells, fit.measurement
    weight = {"units": "weight units"}
    responses = measured.cells
    numbers = np.concatenate([np.full(r.readings.size, k) for k, r in enumerate(responses)])
    names = list(dict.fromkeys(name for cell in cells for name in cell.parameters))
    blank = (np.nan, np.nan, np.nan)
    table = np.array([[cell.parameters.get(name, blank) for name in names] for cell in cells])
    along = ("reading",)
    variables = {
        "measured": (along, np.concatenate([r.readings for r in responses]), weight),
        "predicted": (along, np.concatenate([cell.predicted for cell in cells]), weight),
        "deviation": (along, np.concatenate([cell.deviation for cell in cells]), weight),
        "mean": (along, np.concatenate([cell.mean for cell in cells]), weight),
        "residual": (along, np.concatenate([cell.residuals for cell in cells]), {"units": "1"}),
        "pulses": (along, np.concatenate([r.program.pulses for r in responses]), {"units": "pulses"}),
        "run": (along, np.concatenate([r.program.runs for r in responses]), {"units": "1"}),
        "cell_number": (along, numbers, {"units": "1"}),
        "estimate": (("cell", "parameter"), table[..., 0], {"units": "see parameter"}),
        "interval": (("cell", "parameter", "end"), table[..., 1:], {"units": "see parameter"}),
        "dw_min": (("cell",), [cell.dw_min for cell in cells], weight),
    }
    parameters = {"file": measured.name, "unit": measured.unit, "range": [measured.low, measured.high]}
    coordinates: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "cell": (("cell",), [cell.name or str(k + 1) for k, cell in enumerate(cells)], {}),
        "parameter": (("parameter",), names, {}),
    }
    if len(cells) == 1:
        with suppress(ConvergenceError):
            weights, step, ends = step_curves(cells[0])
            units = {"units": "weight units per pulse"}
            variables["step"] = (("direction", "weight"), step, units)
            variables["step_interval"] = (("direction", "weight", "end"), ends, units)
            coordinates["weight"] = (("weight",), weights, weight)
            coordinates["direction"] = (("direction",), ["up", "down"], {})
    data = dataset(variables, coordinates, provenance(seed=None, parameters=parameters))
    about = {
        "family": fit.family,
        "file": measured.name,
        "scores": [] if fit.selection is None else list(fit.selection.scores),
        "failed": [] if fit.selection is None else list(fit.selection.failed),
        "unidentified": not_identified(fit),
        "white": [cell.diagnostics.whiteness for cell in cells],
    }
    data.attrs["fit"] = json_text(about)
    return data


@house_style()
def fit_figure(data: xr.Dataset) -> Figure:
    """Figure of a `fit_dataset`: readings over the fit, residuals, steps, scores, what remains unknown.

    Steps with the symmetric point of a single cell; else the symmetric points of all.
    """
    about = json.loads(data.attrs["fit"])
    shown = min(data.sizes["cell"], _SHOWN)
    figure = new_figure(7.2, 9.8)
    more = f", first {shown} drawn" if data.sizes["cell"] > shown else ""
    cells = "one cell" if data.sizes["cell"] == 1 else f"{data.sizes['cell']} cells"
    headline(
        figure, _finding(data),
        f"{about['file']}: {about['family']} fitted to {cells}{more}. Dots: readings after up (blue) "
        "and down (red) "
        "pulses; band: 95 % of next readings; green: mean response without noise.",
    )  # fmt: skip
    axes = figure.subplot_mosaic(
        [["response"] * 2, ["residual"] * 2, ["points", "scores"], ["words"] * 2],
        height_ratios=[2.0, 0.9, 1.8, 0.25 + 0.13 * min(_LINES, 1 + len(about["unidentified"]))],
    )
    plot_response(axes["response"], data, shown)
    plot_residuals(axes["residual"], data, shown)
    axes["residual"].sharex(axes["response"])
    if "step" in data:
        plot_steps(axes["points"], data)
    else:
        plot_symmetric_points(axes["points"], data)
    plot_scores(axes["scores"], about)
    plot_words(axes["words"], about)
    return figure


def _finding(data: xr.Dataset) -> str:
    """Symmetric point of a single cell with its interval, or mean and standard deviation over the cells."""
    points = data.sel(parameter="symmetric_point")
    value = points["estimate"].values
    value = value[np.isfinite(value)]
    if value.size == 0:
        return "The readings determine no symmetric point"
    if value.size > 1:
        mean, std = value.mean(), value.std(ddof=1)
        return f"Symmetric points at {mean:.2g} ± {std:.2g} weight units (mean ± std over cells)"
    low, high = (f"{end:.2g}" if np.isfinite(end) else "open" for end in points["interval"].values[0])
    return f"Symmetric point at {value[0]:.2g} weight units, 95 % interval {low} to {high}"


def plot_response(ax: Axes, data: xr.Dataset, shown: int) -> Axes:
    """Readings against their number, where each should fall given those before it, and the mean response."""
    part = data.where(data["cell_number"] < shown, drop=True)
    x = np.arange(1, part.sizes["reading"] + 1)
    up, first = part["pulses"].values, np.ones(x.size, bool)
    first[1:] = (np.diff(part["run"].values) != 0) | (np.diff(part["cell_number"].values) != 0)
    direction = np.where(first, np.roll(up, -1), up)
    for keep, colour, text in (
        (direction > 0, COLOURS[0], "measured, up pulses"),
        (direction < 0, COLOURS[1], "measured, down pulses"),
        (direction == 0, GREY, "measured, no pulse"),
    ):
        if keep.any():
            ax.plot(
                x[keep], part["measured"].values[keep], ".", color=colour, markersize=3, alpha=0.6, label=text
            )
    breaks = np.flatnonzero(first)[1:]
    names = ("predicted", "deviation", "mean")
    broken = {name: np.insert(part[name].values, breaks, np.nan) for name in names}
    along = np.insert(x.astype(float), breaks, np.nan)
    reach = NORMAL_QUANTILE * broken["deviation"]
    ax.fill_between(
        along,
        broken["predicted"] - reach,
        broken["predicted"] + reach,
        color=GREY,
        alpha=0.25,
        linewidth=0.0,
        label="fit: 95 % of next readings",
    )
    ax.plot(along, broken["mean"], color=COLOURS[2], linewidth=2.0, label="fit: mean response, no noise")
    for k in np.flatnonzero(np.diff(part["cell_number"].values)):
        ax.axvline(k + 1.5, color=GREY, linewidth=0.8)
    low, high = float(part["measured"].min()), float(part["measured"].max())
    ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    return label(ax, "Readings over the fit", "", "weight (weight units)")


def plot_residuals(ax: Axes, data: xr.Dataset, shown: int) -> Axes:
    """Innovations over their standard deviation: a good fit leaves a band without structure."""
    part = data.where(data["cell_number"] < shown, drop=True)
    x = np.arange(1, part.sizes["reading"] + 1)
    ax.plot(x, part["residual"], ".", color=GREY, markersize=3)
    for level in (-NORMAL_QUANTILE, NORMAL_QUANTILE):
        ax.axhline(level, color=COLOURS[1], linewidth=0.8, linestyle="--")
    limit = max(4.5, 1.05 * float(np.nanmax(np.abs(part["residual"].values))))
    ax.set_ylim(-limit, limit)
    return label(ax, "Residuals: 95 % between the dashed lines", "reading", "residual / std")


def plot_symmetric_points(ax: Axes, data: xr.Dataset) -> Axes:
    """Symmetric point of every cell with its 95 % interval; an arrow where the interval is open."""
    points = data.sel(parameter="symmetric_point")
    value, ends = points["estimate"].values, points["interval"].values
    order = np.argsort(value)
    visited = [float(data["measured"].min()), float(data["measured"].max())]
    bars = np.nan_to_num(np.abs(np.clip(ends, visited[0], visited[1]).T - value))[:, order]
    y = np.arange(1, value.size + 1)
    ax.errorbar(value[order], y, xerr=bars, fmt="o", color=COLOURS[0], markersize=4, capsize=2)
    for side, marker in ((0, "<"), (1, ">")):
        is_open = np.isinf(ends[order, side])
        for k in y[np.isnan(ends[order, side])]:
            ax.annotate("end not found", (visited[side], k), ha="right" if side else "left", fontsize=9)
        ax.plot(np.full(is_open.sum(), visited[side]), y[is_open], marker, color=COLOURS[0])
    ax.set_xlim(*visited)
    ax.set_ylim(0.0, value.size + 1.0)
    ax.set_yticks(y if value.size <= _SHOWN else [1, value.size])
    return label(ax, "Symmetric points (95 %; arrow: open)", "weight (weight units)", "cell, by point")


def plot_steps(ax: Axes, data: xr.Dataset) -> Axes:
    """Mean steps of a single cell with 95 % bands, and the symmetric point, where they are equal."""
    weights = data["weight"].values
    for k, word in enumerate(("up", "down")):
        one = data.sel(direction=word)
        ends = one["step_interval"].values
        ax.fill_between(weights, ends[:, 0], ends[:, 1], color=COLOURS[k], alpha=0.2, linewidth=0.0)
        ax.plot(weights, one["step"], color=COLOURS[k], linewidth=2.0, label=f"{word} pulse")
    point = data.sel(parameter="symmetric_point").isel(cell=0)
    value, ends = float(point["estimate"]), point["interval"].values
    top = 1.35 * float(data["step_interval"].max())
    inside = np.clip(np.where(np.isnan(ends), value, ends), weights[0], weights[-1])
    low, high = (f"{end:.2g}" if np.isfinite(end) else "not found" for end in ends)
    text = f"symmetric point {value:.2g}"
    ax.axvspan(*inside, color=COLOURS[2], alpha=0.15)
    ax.axvline(value, color=COLOURS[2], linestyle="--", label=text)
    ax.set_ylim(0.0, top)
    ax.set_xlim(weights[0], weights[-1])
    ax.legend(fontsize=9, loc="upper center", frameon=True, framealpha=1, edgecolor="none")
    return label(ax, "Mean step of one pulse", "weight (weight units)", "weight units per pulse")


def plot_words(ax: Axes, about: dict[str, Any]) -> Axes:
    """Parameters that the readings do not determine, in words."""
    lines = about["unidentified"] or ["nothing: every interval is closed and short enough"]
    if min(about["white"]) < _COLOURED:
        lines = [*lines, "residuals are correlated: the model lacks something, intervals are too short"]
    text = "\n".join(fill(line.replace("_", " "), _LINE) for line in lines[:_LINES])
    if len(lines) > _LINES:
        text += f"\nand {len(lines) - _LINES} more"
    ax.text(0.0, 0.98, text, va="top", transform=ax.transAxes, fontsize=10)
    ax.set_axis_off()
    ax.set_title("Not determined by these readings")
    return ax


def plot_scores(ax: Axes, about: dict[str, Any]) -> Axes:
    """Held-out score per reading of every family behind the best, ± standard error; the chosen one filled."""
    scores = about["scores"]
    if not scores:
        ax.text(0.5, 0.5, "family given, none compared", ha="center", transform=ax.transAxes, color=GREY)
        ax.set_axis_off()
        return ax
    names = [f"{one['family']} ({one['coefficients']})" for one in scores]
    names += [f"{name}: no fit" for name in about["failed"]]
    for k, one in enumerate(scores):
        fill = COLOURS[0] if one["family"] == about["family"] else "white"
        ax.errorbar(
            one["behind"], k, xerr=one["error"], fmt="o", color=COLOURS[0], markerfacecolor=fill, capsize=3
        )
    ax.axvline(0.0, color=GREY, linewidth=0.8)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    return label(
        ax,
        "Families (filled: chosen)",
        "log density behind best",
        "",
    )


@house_style()
def readings_figure(measured: Measurement) -> Figure:
    """Readings of the first cells against their number, in the user's unit, up and down pulses told apart."""
    shown = measured.cells[:_SHOWN]
    figure = new_figure(7.2, 1.6 + 1.7 * len(shown))
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    unit = measured.unit or ("weight units" if measured.in_weights else "no unit")
    for ax, cell in zip(axes, shown, strict=True):
        x, sign = np.arange(1, cell.readings.size + 1), np.sign(np.asarray(cell.pulses))
        values = measured.in_unit(cell.readings)
        for direction, colour, marker in ((1, COLOURS[0], "^"), (-1, COLOURS[1], "v"), (0, GREY, ".")):
            keep = sign == direction
            if keep.any():
                word = {1: "up", -1: "down", 0: "no pulse"}[direction]
                ax.plot(
                    x[keep], values[keep], marker, color=colour, markersize=2.5, label=word, linestyle="none"
                )
        label(ax, cell.name or measured.name, "", f"{measured.quantity or 'reading'} ({unit})")
    axes[-1].set_xlabel("reading")
    axes[0].legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, markerscale=2.0)
    return figure


@house_style()
def table_figure(tables: StepTables) -> Figure:
    """Mean steps of look-up tables with one standard deviation, and the symmetric point."""
    figure = new_figure(7.2, 4.2)
    ax = figure.subplots()
    for row, word in enumerate(("up", "down")):
        mean, deviation = tables.mean[row], tables.deviation[row]
        ax.fill_between(
            tables.conductance,
            mean - deviation,
            mean + deviation,
            color=COLOURS[row],
            alpha=0.15,
            linewidth=0.0,
        )
        ax.plot(
            tables.conductance, mean, color=COLOURS[row], linewidth=2.0, label=f"{word} pulse, mean ± one std"
        )
    if np.isfinite(tables.symmetric_point):
        text = f"symmetric point {tables.symmetric_point:.4g} {tables.unit}"
        ax.axvline(tables.symmetric_point, color=COLOURS[2], linestyle="--", label=text)
    ax.legend(frameon=False)
    label(
        ax,
        "Steps of the look-up tables",
        f"conductance ({tables.unit})",
        f"size of a step ({tables.unit} per pulse)",
    )
    return figure
