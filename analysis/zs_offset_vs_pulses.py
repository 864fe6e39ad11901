"""How far from the truth are the symmetric points of an array after so many zero-shifting pulses?

Figure 1a of Xiao et al. 2026 (arXiv 2602.21321): the default soft-bounds array, offset of the mean and of the
standard deviation of the estimates from the true ones (stored), and the RMS error of the cells (drawn).
Points are simulated; lines are exact moments of the very same cells, without any fit.
"""  # noqa: D400

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells, Device, sample_cells
from sptrack.intervals import error_arms
from sptrack.plotting.style import (
    BLUE,
    GREY,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
from sptrack.results import dataset, provenance, read_provenance
from sptrack.theory import ArrayOffset, array_offset, stationary_moments, zero_shifting_moments
from sptrack.theory.sampling import array_offset_error
from sptrack.theory.zero_shifting import Mode

MODES: tuple[Mode, ...] = ("cyclic", "stochastic")
STATISTICS = ("mean", "std", "rms")
PULSES = (500, 1000, 2000, 4000, 8000)
SHARE = 0.01
"""Allowed error: of the true mean, of the true standard deviation, and of the nominal range (rms)."""
_LOOKS = {"cyclic": Look(BLUE, "o"), "stochastic": Look(VERMILLION, "^", "--")}
_NAMES = {"cyclic": "alternating", "stochastic": "random"}


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
    true = cells.symmetric_point
    return [
        [
            (p - true).mean(),
            p.std() - true.std(),
            np.sqrt(np.mean((p - true) ** 2)),
        ]
        for p in points
    ]


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """RMS error of the cells against pulses, in both modes, with target and floors."""
    figure = new_figure(7.2, 4.6)
    part = data.sel(statistic="rms")
    made = read_provenance(data)["parameters"]
    headline(
        figure, _finding(part),
        "Zero-shifting, {} x {} soft-bounds cells, ".format(*made["cells"])
        + f"dw_min = {made['device']['dw_min']:g}, true symmetric points {data['true_mean'].item():.3f} ± "
        + f"{data['true_std'].item():.3f} weight units. Lines: exact moments of these cells; open markers: "
        "simulated, 95 %; dotted: floors.",
    )  # fmt: skip
    ax = figure.subplots()
    ends = []
    for mode, (colour, marker, line) in _LOOKS.items():
        one = part.sel(mode=mode)
        ax.plot(one["curve_pulses"], abs(one["curve"]), line, color=colour)
        size = abs(one["simulated"])  # the errors are exact
        interval = error_arms(size, one["standard_error"], repeats=None, positive=True)
        ax.errorbar(
            one["pulses"],
            size,
            interval,
            fmt=marker,
            color=colour,
            capsize=3,
            markerfacecolor="white",
            markersize=7,
        )
        floor = data["floor"].sel(mode=mode).item()
        ax.axhline(floor, color=colour, linestyle=":", linewidth=1.2)
        ends += [(float(abs(one["curve"][-1])), f"{_NAMES[mode]} pulses", colour), (floor, "floor", colour)]
    target = part["target"].item()
    ax.axhline(target, color=GREY, linestyle="--", linewidth=1.2)
    ends.append((target, "target: 1 % of range", GREY))
    log_scale(ax, "xy")
    label(ax, "", "pulses per cell", "RMS error (weight units)")
    label_ends(ax, ends)
    return figure


def _finding(part: xr.Dataset) -> str:
    """Pulses after which alternating ones reach the target, and the error at which random ones stall."""
    target = part["target"].item()
    curve = abs(part["curve"].sel(mode="cyclic").values)
    there = np.flatnonzero(curve <= target)
    stalled = part["floor"].sel(mode="stochastic").item()
    if not there.size or stalled <= target:
        return "RMS error of the symmetric points against pulses"
    k = max(int(there[0]), 1)
    around, steps = slice(k - 1, k + 1), np.log(part["curve_pulses"].values)
    pulses = float(np.exp(np.interp(-np.log(target), -np.log(curve[around]), steps[around])))
    return (
        f"Alternating pulses reach 1 % of the range after some {100 * round(pulses / 100):,} pulses; "
        "random ones stall at "
        f"{stalled:.3f}, above the target of {target:g}"
    )
