"""Pictures of a sweep, drawn from a dataset of `sptrack.sweep` alone."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sptrack.plotting.style import COLOURS, headline, house_style, label, log_scale, new_figure
from sptrack.results import read_provenance

_LINES = 4
"""Lines with a colour of their own; more of them are grey but for the first, the last and the best."""
_PANELS = 6
_DECADE = 20.0
"""Ratio of the ends of an axis from which on it is drawn logarithmically."""


@house_style()
def sweep_figure(data: xr.Dataset) -> Figure:
    """A quantity over the axes of a sweep.

    A grid of up to three axes that vary: the axis with most numbers below, the next as lines, the third as
    panels (up to six of its values). Any other design: a panel per axis (up to six) with all points.

    Parameters
    ----------
    data : Dataset
        Of `sptrack.sweep.sweep_dataset`.
    quantity : str
        Name of a quantity of it.
    """
    quantity = str(data.attrs["shown"])
    axes = [str(name) for name in read_provenance(data)["parameters"]["axes"]]
    mean = data[quantity].mean("repeat")
    varied = [name for name in axes if data.sizes.get(name, 0) > 1]
    grid = "point" not in data.dims and 1 <= len(varied) <= 3
    figure, note = _grid(data, quantity, varied) if grid else _panels(data, mean, axes)
    finding, setting = _finding(data, mean, axes, quantity)
    headline(figure, finding, ". ".join(part for part in (setting, note) if part))
    return figure


def _grid(data: xr.Dataset, quantity: str, varied: list[str]) -> tuple[Figure, str]:
    order = sorted(varied, key=lambda name: (data[name].dtype.kind in "OSTU", -data.sizes[name]))
    below, *rest = order
    lines, panels = (*rest, None, None)[:2]
    shown = [None] if panels is None else list(range(min(data.sizes[panels], _PANELS)))
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure = new_figure(7.2, 1.2 + (3.4 if rows == 1 else 2.8 * rows))
    places = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax, k in zip(places.flat, shown, strict=False):
        part = data if panels is None or k is None else data.isel({panels: k})
        for name in [name for name in part[quantity].dims if name not in (below, lines, "repeat")]:
            part = part.isel({name: 0})
        _plot_lines(ax, part[quantity], below, lines)
        title = "" if panels is None else f"{panels} {_text(part[panels].values.item())}"
        unit = data[quantity].attrs["units"]
        label(
            ax, title, below if ax in places[-1] else "", f"{quantity} ({unit})" if ax in places[:, 0] else ""
        )
    for ax in list(places.flat)[len(shown) :]:
        ax.set_visible(False)
    if lines is not None:
        handles, names = places[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right center", title=lines)
    if panels is not None and data.sizes[panels] > _PANELS:
        return figure, f"{panels}: the first {_PANELS} of {data.sizes[panels]} values"
    return figure, ""


def _plot_lines(ax: Axes, values: xr.DataArray, below: str, lines: str | None) -> None:
    """Means over the repeats with their 95 % intervals, a line per value of an axis."""
    x: Any = values[below].values
    place = np.arange(len(x)) if x.dtype.kind in "OSTU" else x
    rows = [None] if lines is None else list(range(values.sizes[lines]))
    ends = [values if k is None else values.isel({lines: k}) for k in rows]
    means = [one.mean("repeat").values for one in ends]
    lowest = [float(np.nanmin(one)) if np.isfinite(one).any() else np.inf for one in means]
    shown: list[np.ndarray] = []
    coloured = {0, len(rows) - 1, int(np.argmin(lowest))} if len(rows) > _LINES else set(range(len(rows)))
    for k, (one, mean) in enumerate(zip(ends, means, strict=True)):
        colour = COLOURS[sorted(coloured).index(k)] if k in coloured else "#bbbbbb"
        (drawn,) = ax.plot(
            place, mean, "o-", color=colour, markerfacecolor="white", markersize=4.5, linewidth=1.4
        )
        shown.append(mean)
        if one.sizes["repeat"] > 1:
            low, high = _interval(one.transpose(below, "repeat").values)
            ax.vlines(place, low, high, color=colour, linewidth=1)
            shown += [low, high]
        if lines is not None and k in coloured:
            drawn.set_label(_text(one[lines].values.item()))
    if x.dtype.kind in "OSTU":
        ax.set_xticks(place, [str(text)[:24] for text in x])
    _scales(ax, place, np.concatenate(shown), texts=x.dtype.kind in "OSTU")


def _panels(data: xr.Dataset, mean: xr.DataArray, axes: list[str]) -> tuple[Figure, str]:
    """A panel per axis with all points; the best tenth is coloured."""
    shown = axes[:_PANELS]
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure = new_figure(7.2, 1.3 + 2.8 * rows)
    places = figure.subplots(rows, columns, squeeze=False, sharey=True)
    flat = mean if "point" in mean.dims else mean.stack({"point": mean.dims})
    y = flat.values
    best = y <= np.nanquantile(y, 0.1) if np.isfinite(y).any() else np.zeros(y.shape, bool)
    for ax, name in zip(places.flat, shown, strict=False):
        values = flat[name].values
        texts = values.dtype.kind in "OSTU"
        names, codes = np.unique(values, return_inverse=True)
        x = codes if texts else values
        for which, colour in ((~best, "#bbbbbb"), (best, COLOURS[0])):
            ax.plot(x[which], y[which], "o", color=colour, markersize=3.5, alpha=0.8)
        if texts:
            ax.set_xticks(np.arange(len(names)), [str(text)[:24] for text in names])
        _scales(ax, np.asarray(x, float), y, texts=texts)
        label(
            ax, "", name, f"{mean.name} ({data[str(mean.name)].attrs['units']})" if ax in places[:, 0] else ""
        )
    for ax in list(places.flat)[len(shown) :]:
        ax.set_visible(False)
    note = f"the first {_PANELS} of {len(axes)} axes; " if len(axes) > _PANELS else ""
    return figure, f"{note}blue: the lowest tenth of {y.size} points, means over repeats"


def _finding(data: xr.Dataset, mean: xr.DataArray, axes: list[str], quantity: str) -> tuple[str, str]:
    """Place where the mean over the repeats is smallest; amount of the sweep that is done."""
    done = int((data["state"] == 1).sum())
    of = f"{done} of {data['state'].size} cells" if done < data["state"].size else f"{done} cells"
    if not np.isfinite(mean.values).any():
        return f"{quantity}: no value yet", of
    at = mean.stack({"all": mean.dims})
    best = at.isel({"all": int(np.nanargmin(at.values))})
    where = ", ".join(f"{name} {_text(best[name].values.item())}" for name in axes)
    bars = "; bars: 95 % of the mean over the repeats" if data.sizes["repeat"] > 1 else ""
    return f"{quantity} is smallest, {float(best):.3g}, at {where}", f"{of} of {_command(data)}{bars}"


def _command(data: xr.Dataset) -> str:
    return str(read_provenance(data)["parameters"]["command"])


def _interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sptrack.intervals import mean_interval

    ends = [mean_interval(row[np.isfinite(row)]) or (np.nan, np.nan) for row in values]
    low, high = np.transpose(ends)
    return low, high


def _scales(ax: Axes, x: np.ndarray, y: np.ndarray, *, texts: bool) -> None:
    for direction, values in (("x", np.asarray(x, float)), ("y", np.asarray(y, float))):
        known = values[np.isfinite(values)]
        if direction == "x" and texts:
            ax.margins(x=0.15)
        elif known.size and known.min() > 0 and known.max() > _DECADE * known.min():
            log_scale(ax, direction)  # type: ignore[arg-type]
        elif direction == "x":
            ax.xaxis.set_major_locator(MaxNLocator(5))


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
