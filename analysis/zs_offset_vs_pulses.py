"""How far from the truth are the symmetric points of an array after so many zero-shifting pulses?

Figure 1a of Xiao et al. 2026 (arXiv 2602.21321): the default soft-bounds array, offset of the mean and of the
standard deviation of the estimates from the true ones, here with the RMS error of the cells beside them.
Points are simulated; lines are exact moments of the very same cells, without any fit.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells, Device, sample_cells
from sptrack.intervals import NORMAL_QUANTILE, error_arms
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance, read_provenance
from sptrack.theory import ArrayOffset, array_offset, stationary_moments, zero_shifting_moments
from sptrack.theory.sampling import array_offset_error
from sptrack.theory.zero_shifting import Mode

MODES: tuple[Mode, ...] = ("cyclic", "stochastic")
STATISTICS = ("mean", "std", "rms")
PULSES = (500, 1000, 2000, 4000, 8000)
SHARE = 0.01
"""Allowed error: of the true mean, of the true standard deviation, and of the nominal range (rms)."""
_STYLES = {"cyclic": (COLOURS[0], "-", "o", "white"), "stochastic": (COLOURS[1], "--", "s", None)}
"""Colour, line, marker and its filling (None: the colour) of each mode."""


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Simulate 512 x 512 cells (``small``: 64 x 64) in both modes and predict the same.

    Returns
    -------
    Dataset
        ``simulated``, ``standard_error`` (of one run on these cells) and ``exact`` over mode, pulses and
        statistic; ``curve`` over mode, curve_pulses and statistic; ``floor`` (rms) over mode; ``target`` over
        statistic; ``true_mean`` and ``true_std``.
    """
    side = 64 if small else 512
    cells = sample_cells(Device(), (side, side), seed=seed)
    grid = 2 * np.unique(np.geomspace(100, 4200, 9 if small else 33).round().astype(int))
    axes = ("mode", "pulses", "statistic")
    variables = {
        "simulated": (axes, [_simulated(cells, mode, seed, threads) for mode in MODES]),
        "standard_error": (axes, [[_sigma(cells, mode, n) for n in PULSES] for mode in MODES]),
        "exact": (axes, [[_predicted(cells, mode, n) for n in PULSES] for mode in MODES]),
        "curve": (
            ("mode", "curve_pulses", "statistic"),
            [[_predicted(cells, mode, n) for n in grid] for mode in MODES],
        ),
        "floor": (("mode",), [array_offset(cells, stationary_moments(cells, mode)).rms for mode in MODES]),
        "target": (("statistic",), _targets(cells)),
        "true_mean": ((), cells.symmetric_point.mean()),
        "true_std": ((), cells.symmetric_point.std()),
    }
    return dataset(
        {name: (*values, {"units": "weight units"}) for name, values in variables.items()},
        {
            "mode": (("mode",), list(MODES), {}),
            "statistic": (("statistic",), list(STATISTICS), {}),
            "pulses": (("pulses",), list(PULSES), {"units": "pulses"}),
            "curve_pulses": (("curve_pulses",), grid, {"units": "pulses"}),
        },
        provenance(seed=seed, parameters={"device": cells.device, "cells": cells.shape}),
    )


def _targets(cells: Cells) -> list[float]:
    points, response = cells.symmetric_point, cells.device.response
    return [
        SHARE * float(size) for size in (abs(points.mean()), points.std(), response.w_max - response.w_min)
    ]


def _fields(offset: ArrayOffset) -> list[float]:
    return [getattr(offset, name) for name in STATISTICS]


def _predicted(cells: Cells, mode: Mode, pulses: int) -> list[float]:
    return _fields(array_offset(cells, zero_shifting_moments(cells, mode, int(pulses))))


def _sigma(cells: Cells, mode: Mode, pulses: int) -> list[float]:
    return _fields(array_offset_error(cells, zero_shifting_moments(cells, mode, pulses)))


def _simulated(cells: Cells, mode: Mode, seed: int, threads: int | None) -> list[list[float]]:
    bar = Crossbar(cells, seed=seed, threads=threads)
    points = zero_shift(bar, PULSES, mode=mode).points.astype(np.float64)
    truth = cells.symmetric_point
    return [[(p - truth).mean(), p.std() - truth.std(), np.sqrt(np.mean((p - truth) ** 2))] for p in points]


def plot(data: xr.Dataset) -> Figure:
    """Size of the three errors against pulses; below, how far the simulation is from the exact moments."""
    figure = new_figure(13.5, 6.6)
    upper, lower = figure.subplots(2, 3, sharex=True, height_ratios=[3, 1])
    texts = (
        ("Offset of the array's mean", "|mean of estimates $-$ true mean|"),
        ("Offset of the array's standard deviation", "|std of estimates $-$ true std|"),
        ("RMS error of the cells", "RMS of estimate $-$ truth"),
    )
    for k, (statistic, (title, name)) in enumerate(zip(STATISTICS, texts, strict=True)):
        part = data.sel(statistic=statistic)
        _draw_errors(upper[k], part)
        label(upper[k], title, "", f"{name} (weight units)")
        _draw_deviation(lower[k], part)
        label(lower[k], "", "pulses per cell N", "(simulated $-$ exact) / $\\sigma$")
    upper[0].legend(fontsize=9, loc="lower left")
    _draw_floors(upper[2], data)
    made = read_provenance(data)["parameters"]
    figure.suptitle(
        "Zero-shifting, {} x {} soft-bounds cells, ".format(*made["cells"])
        + f"dw_min = {made['device']['dw_min']:g}, true symmetric points "
        + f"{data['true_mean'].item():.3f} $\\pm$ {data['true_std'].item():.3f} weight units"
    )
    return figure


def _draw_errors(ax: Axes, part: xr.Dataset) -> None:
    for mode, style in _STYLES.items():
        one = part.sel(mode=mode)
        colour, line, marker, face = style
        ax.plot(one["curve_pulses"], abs(one["curve"]), line, color=colour, label=f"{mode}, exact moments")
        size = abs(one["simulated"])  # the errors are exact
        interval = error_arms(size, one["standard_error"], repeats=None, positive=True)
        ax.errorbar(
            one["pulses"], size, interval, fmt=marker, color=colour, capsize=3,
            markerfacecolor=face, markersize=9 if face else 4, label=f"{mode}, simulated (95 %)",
        )  # fmt: skip
    target = part["target"].item()
    whole = {"mean": "true mean", "std": "true std", "rms": "range"}[part["statistic"].item()]
    ax.axhline(target, color=GREY, linestyle="--", linewidth=1)
    ax.text(
        210, target, f"1 % of the {whole}", color=GREY, fontsize=9, va="top" if whole == "range" else "bottom"
    )
    ax.set(xscale="log", yscale="log")


def _draw_floors(ax: Axes, data: xr.Dataset) -> None:
    for mode, (colour, *_) in _STYLES.items():
        floor = data["floor"].sel(mode=mode).item()
        ax.axhline(floor, color=colour, linestyle=":", linewidth=1)
        ax.text(210, floor, f"left after ever more pulses, {mode}", color=colour, fontsize=9, va="bottom")


def _draw_deviation(ax: Axes, part: xr.Dataset) -> None:
    ax.axhspan(-NORMAL_QUANTILE, NORMAL_QUANTILE, color="#eeeeee")
    for shift, (mode, (colour, _, marker, face)) in zip((0.97, 1.03), _STYLES.items(), strict=True):
        one = part.sel(mode=mode)
        deviation = (one["simulated"] - one["exact"]) / one["standard_error"]
        ax.plot(shift * one["pulses"], deviation, marker, color=colour, markerfacecolor=face, markersize=6)
    ax.set_xticks(part["pulses"].values, [str(n) for n in part["pulses"].values])
    ax.minorticks_off()
    ax.set_ylim(-4, 4)
