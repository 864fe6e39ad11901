"""How many zero-shifting pulses does a finer device need?

Figure 1b of Xiao et al. 2026 (arXiv 2602.21321): the smallest number of pulses after which the mean of the
estimates is within 1 % of the true mean, here also after which the RMS error of the cells is at most 1 % of
the range, against the response granularity. Simulation down to 2e-5, exact moments down to 1.6e-6.

The kernels' float32 serves all granularities here: with cycle noise, runs of the same draws in float32 and in
float64 differ by a millionth of the target at 2e-5. Without noise they would not.
"""  # noqa: D400

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells, Device, sample_cells
from sptrack.evaluation.scaling import crossing, power_law
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance, read_provenance
from sptrack.theory import pulses_to_target, zero_shifting_moments
from sptrack.theory.sampling import array_offset_error
from sptrack.theory.zero_shifting import Criterion, Mode

MODES: tuple[Mode, ...] = ("cyclic", "stochastic")
CRITERIA: tuple[Criterion, ...] = ("mean", "rms")
SHARE = 0.01
"""Allowed error: of the true mean, and of the nominal range."""
AROUND = (0.85, 0.93, 0.97, 1.0, 1.03, 1.07, 1.15)
"""Where a simulation is read, relative to the number of pulses that theory asks for."""
_AXES = ("mode", "criterion", "granularity")


class _Grid(NamedTuple):
    side: int
    simulated: tuple[float, ...]
    others: tuple[float, ...]


FULL = _Grid(
    512,
    (5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5),
    (3.2e-3, 1.4e-3, 7e-4, 3.2e-4, 1.4e-4, 7e-5, 3.2e-5, 1.4e-5, 1e-5, 7e-6, 5e-6, 3.2e-6, 2.2e-6, 1.6e-6),
)
SMALL = _Grid(64, (5e-3, 2e-3, 1e-3, 5e-4), (3.2e-3, 1.4e-3, 7e-4, 3.2e-4, 2e-4, 1.4e-4, 1e-4))


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Count pulses on 512 x 512 cells (``small``: 64 x 64) in both modes.

    Returns
    -------
    Dataset
        Over mode, criterion and granularity: ``exact``, the smallest even number of pulses by exact moments
        (NaN where no number suffices), and ``simulated`` with ``simulated_low`` and ``simulated_high``, its
        95 % sampling interval on these cells (NaN where not simulated; interpolated between reads, and so up
        to two pulses below the even number). Over mode and criterion: ``exponent`` and ``simulated_exponent``
        of N against granularity, each with ``_low`` and ``_high``.
    """
    grid = SMALL if small else FULL
    steps = np.sort([*grid.simulated, *grid.others])[::-1]
    shape = (len(MODES), len(CRITERIA), len(steps))
    exact, simulated = np.full(shape, np.nan), np.full((3, *shape), np.nan)
    for k, step in enumerate(steps):
        cells = sample_cells(replace(Device(), dw_min=float(step)), (grid.side, grid.side), seed=seed)
        targets = _targets(cells)
        for m, mode in enumerate(MODES):
            exact[m, :, k] = _needed(cells, mode, targets)
            if step in grid.simulated:
                bar = Crossbar(cells, seed=seed, threads=threads)
                simulated[:, m, :, k] = _crossings(bar, mode, targets, exact[m, :, k]).T
    variables = {
        "exact": (_AXES, exact, {"units": "pulses"}),
        **_with_interval("simulated", _AXES, simulated, "pulses"),
        **_with_interval("exponent", _AXES[:2], _exponents(steps, exact), "1"),
        **_with_interval("simulated_exponent", _AXES[:2], _exponents(steps, simulated[0]), "1"),
    }
    coordinates = {
        "mode": (("mode",), list(MODES), {}),
        "criterion": (("criterion",), list(CRITERIA), {}),
        "granularity": (("granularity",), steps, {"units": "weight units"}),
    }
    origin = provenance(seed=seed, parameters={"device": Device(), "cells": (grid.side, grid.side)})
    return dataset(variables, coordinates, origin)


def _with_interval(name: str, axes: tuple[str, ...], values: Any, units: str) -> dict[str, Any]:
    ends = ("", "_low", "_high")
    return {f"{name}{end}": (axes, value, {"units": units}) for end, value in zip(ends, values, strict=True)}


def _targets(cells: Cells) -> dict[str, float]:
    response = cells.device.response
    return {
        "mean": SHARE * abs(float(cells.symmetric_point.mean())),
        "rms": SHARE * (response.w_max - response.w_min),
    }


def _needed(cells: Cells, mode: Mode, targets: dict[str, float]) -> list[float]:
    found = [pulses_to_target(cells, targets[c], mode=mode, criterion=c) for c in CRITERIA]
    return [np.nan if n is None else float(n) for n in found]


def _crossings(bar: Crossbar, mode: Mode, targets: dict[str, float], around: Any) -> Any:
    """Simulated number of pulses and its interval [criterion, 3], from reads around the predicted ones."""
    cells = bar.cells
    schedule = sorted({2 * round(n * share / 2) for n in around[np.isfinite(around)] for share in AROUND})
    error = zero_shift(bar, schedule, mode=mode).points - cells.symmetric_point
    sizes = {"mean": error.mean((1, 2)), "rms": np.sqrt((error**2).mean((1, 2)))}
    spread = [array_offset_error(cells, zero_shifting_moments(cells, mode, n)) for n in schedule]
    return np.array(
        [crossing(schedule, sizes[c], targets[c], [getattr(s, c) for s in spread]) for c in CRITERIA]
    )


def _exponents(steps: Any, pulses: Any) -> Any:
    """Exponent with its interval [3, mode, criterion]; NaN with fewer than three numbers of pulses."""
    fits = np.full((3, *pulses.shape[:2]), np.nan)
    for index in np.ndindex(pulses.shape[:2]):
        known = np.isfinite(pulses[index])
        if known.sum() >= 3:
            fits[(slice(None), *index)] = power_law(steps[known], pulses[index][known])[:3]
    return fits


def plot(data: xr.Dataset) -> Figure:
    """Pulses against granularity; beside it their product, which a law N ~ 1/dw would leave constant."""
    figure = new_figure(13.5, 5.6)
    left, right = figure.subplots(1, 2, width_ratios=[5, 4])
    for criterion, line in zip(CRITERIA, ("-", "--"), strict=True):
        for mode, colour in zip(MODES, COLOURS, strict=False):
            one = data.sel(mode=mode, criterion=criterion)
            text = f"{criterion}, {mode}"
            _draw(
                left,
                one,
                one["granularity"] ** 0,
                (colour, line),
                f"{text}: {_slope(one, 'exponent')} ({_slope(one, 'simulated_exponent')})",
            )
            _draw(right, one, one["granularity"], (colour, line), text)
    left.set(xscale="log", yscale="log")
    right.set(xscale="log")
    left.invert_xaxis()
    right.invert_xaxis()
    states = left.secondary_xaxis("top", functions=(_states, _states))
    states.set_xlabel("number of states, 2 / dw_min")
    granularity = "response granularity dw_min (weight units), finer to the right"
    label(left, "", granularity, "pulses per cell N")
    label(right, "Departure from N ~ 1 / dw_min", granularity, "N dw_min (weight units)")
    left.legend(
        fontsize=9, title="exponent of N, 95 %: exact (simulated)", title_fontsize=9, loc="upper left"
    )
    right.legend(handles=_key(right), fontsize=9)
    side = "{} x {} cells".format(*read_provenance(data)["parameters"]["cells"])
    figure.suptitle(
        f"Pulses until the mean is within 1 % of the truth, or the RMS error 1 % of the range; {side}"
    )
    _mark_out_of_reach(right, data.sel(mode="stochastic", criterion="rms"))
    return figure


def _states(x: Any) -> Any:
    return 2.0 / np.maximum(x, 1e-300)


def _slope(one: xr.Dataset, name: str) -> str:
    if not np.isfinite(one[name]):
        return "not measured"
    half = (one[f"{name}_high"] - one[f"{name}_low"]).item() / 2
    return f"{one[name].item():.4f} $\\pm$ {half:.4f}"


def _draw(ax: Axes, one: xr.Dataset, factor: xr.DataArray, style: tuple[str, str], text: str) -> None:
    colour, line = style
    ax.plot(one["granularity"], factor * one["exact"], line, color=colour, label=text)
    value = factor * one["simulated"]
    ends = abs(xr.concat([factor * one["simulated_low"], factor * one["simulated_high"]], "end") - value)
    face = "white" if one["criterion"].item() == "rms" else colour
    marker = "o" if one["mode"].item() == "cyclic" else "s"
    ax.errorbar(
        one["granularity"],
        value,
        ends,
        fmt=marker,
        color=colour,
        markerfacecolor=face,
        markersize=5,
        capsize=3,
    )


def _mark_out_of_reach(ax: Axes, one: xr.Dataset) -> None:
    """Say at which granularities no number of pulses suffices."""
    steps, product = one["granularity"].values, (one["granularity"] * one["exact"]).values
    reached = np.isfinite(product)
    if reached.all() or not reached.any():
        return
    coarse = steps[~reached].min()
    text = f"rms, stochastic:\nnever met at\ndw_min $\\geq$ {coarse:g}\n(noise floor\nabove target)"
    ax.text(steps.max(), 0.95 * np.nanmax(product), text, color=COLOURS[1], fontsize=9, va="center")


def _key(ax: Axes) -> list[Any]:
    line, points = ax.plot([], [], color=GREY), ax.errorbar([], [], [], fmt="o", color=GREY, capsize=3)
    line[0].set_label("exact moments")
    points.set_label("simulated (95 %)")
    return [line[0], points]
