"""Pictures of the fit of measured pulse responses, drawn from its dataset alone."""

import json
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.devices.measured import ResponseFit
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, json_text, provenance

_SHOWN = 6


def fit_dataset(fit: ResponseFit) -> xr.Dataset:
    """Dataset of a fit: readings, what the fit makes of them, and the parameters of every cell.

    Parameters
    ----------
    fit : ResponseFit
        What `fit_responses` returns.

    Returns
    -------
    Dataset
        Over ``reading`` (all cells one after the other, ``cell_number``): ``measured``, ``predicted``,
        ``mean``, ``residual``, ``pulses``, ``run``. Over ``cell`` and ``parameter``: ``estimate``, and
        ``interval`` (NaN where a cell has no such parameter). Attribute ``fit``: family and held-out scores.
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
    data = dataset(variables, coordinates, provenance(seed=None, parameters=parameters))
    scores = [] if fit.selection is None else list(fit.selection.scores)
    data.attrs["fit"] = json_text({"family": fit.family, "file": measured.name, "scores": scores})
    return data


def fit_figure(data: xr.Dataset) -> Figure:
    """Figure of a `fit_dataset`: readings over the fit, residuals, symmetric points, held-out scores."""
    about = json.loads(data.attrs["fit"])
    shown = min(data.sizes["cell"], _SHOWN)
    figure = new_figure(13.0, 8.0)
    axes = figure.subplot_mosaic(
        [["response", "response"], ["residual", "residual"], ["points", "scores"]],
        height_ratios=[2.2, 1, 1.3],
    )
    plot_response(axes["response"], data, shown)
    plot_residuals(axes["residual"], data, shown)
    axes["residual"].sharex(axes["response"])
    plot_symmetric_points(axes["points"], data)
    plot_scores(axes["scores"], about)
    more = f" (first {shown} drawn)" if data.sizes["cell"] > shown else ""
    figure.suptitle(f"{about['file']}: {about['family']}, {data.sizes['cell']} cell(s){more}")
    return figure


def plot_response(ax: Axes, data: xr.Dataset, shown: int) -> Axes:
    """Readings against their number: measured, predicted one reading ahead, and the mean response."""
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
    for name, colour, width, text in (
        ("predicted", COLOURS[5], 0.9, "fit: next reading from those before"),
        ("mean", COLOURS[2], 2.0, "fit: mean response, no noise"),
    ):
        ax.plot(np.insert(x.astype(float), breaks, np.nan), np.insert(part[name].values, breaks, np.nan),
                color=colour, linewidth=width, label=text)  # fmt: skip
    for k in np.flatnonzero(np.diff(part["cell_number"].values)):
        ax.axvline(k + 1.5, color=GREY, linewidth=0.8)
    low, high = float(part["measured"].min()), float(part["measured"].max())
    ax.set_ylim(low - 0.05 * (high - low), high + 0.3 * (high - low))
    ax.legend(fontsize=9, ncols=4, loc="upper left")
    return label(ax, "Readings over the fit", "", "weight (weight units)")


def plot_residuals(ax: Axes, data: xr.Dataset, shown: int) -> Axes:
    """Innovations over their standard deviation: a good fit leaves a band without structure."""
    part = data.where(data["cell_number"] < shown, drop=True)
    x = np.arange(1, part.sizes["reading"] + 1)
    ax.plot(x, part["residual"], ".", color=GREY, markersize=3)
    for level in (-1.96, 1.96):
        ax.axhline(level, color=COLOURS[1], linewidth=0.8, linestyle="--")
    ax.set_ylim(-4.5, 4.5)
    return label(ax, "Residuals (95 % should lie between the dashed lines)", "reading", "residual / its std")


def plot_symmetric_points(ax: Axes, data: xr.Dataset) -> Axes:
    """Symmetric point of every cell with its 95 % interval; an arrow where the interval is open."""
    points = data.sel(parameter="symmetric_point")
    value, ends = points["estimate"].values, points["interval"].values
    order = np.argsort(value)
    visited = [float(data["measured"].min()), float(data["measured"].max())]
    bars = np.abs(np.clip(ends, visited[0], visited[1]).T - value)[:, order]
    y = np.arange(1, value.size + 1)
    ax.errorbar(value[order], y, xerr=bars, fmt="o", color=COLOURS[0], markersize=4, capsize=2)
    for side, marker in ((0, "<"), (1, ">")):
        is_open = ~np.isfinite(ends[order, side])
        ax.plot(np.full(is_open.sum(), visited[side]), y[is_open], marker, color=COLOURS[0])
    ax.set_xlim(*visited)
    ax.set_ylim(0.0, value.size + 1.0)
    ax.set_yticks(y if value.size <= _SHOWN else [1, value.size])
    return label(
        ax, "Symmetric points (95 %; arrow: open)", "weight (weight units), all readings", "cell, by point"
    )


def plot_scores(ax: Axes, about: dict[str, object]) -> Axes:
    """Held-out score of every family behind the best, with its standard error; the chosen one is filled."""
    scores = about["scores"]
    if not isinstance(scores, list) or not scores:
        ax.text(0.5, 0.5, "family given, none compared", ha="center", transform=ax.transAxes, color=GREY)
        ax.set_axis_off()
        return ax
    names = [f"{one['family']} ({one['coefficients']})" for one in scores]
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
        "Families (coefficients) on held-out readings; chosen: filled",
        "log density per reading behind the best ± s.e.",
        "",
    )
