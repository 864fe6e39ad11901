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
from sptrack.plotting.style import (
    BLUE,
    VERMILLION,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
)
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
    schedule = sorted(
        {2 * round(n * fraction / 2) for n in around[np.isfinite(around)] for fraction in AROUND}
    )
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


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Pulses against granularity; below, their product, which a law N ~ 1/dw would leave constant."""
    figure = new_figure(7.2, 7.2)
    side = "{} x {} cells".format(*read_provenance(data)["parameters"]["cells"])
    slopes = data["exponent"].values[np.isfinite(data["exponent"].values)]
    headline(
        figure,
        f"Pulses grow as 1 / dw: exponents of {slopes.max():.2f} to {slopes.min():.2f}; random pulses "
        "never meet the "
        "RMS target on coarse devices",
        f"Pulses until the mean error or the RMS error is 1 % of the range, {side}. Lines: exact "
        "moments, open "
        "markers: simulated, 95 %; solid: mean, dashed: RMS.",
    )
    above, below = figure.subplots(2, 1, sharex=True)
    ends: list[list[tuple[float, str, str]]] = [[], []]
    for criterion, line in zip(CRITERIA, ("-", "--"), strict=True):
        for mode, colour in zip(MODES, (BLUE, VERMILLION), strict=False):
            one = data.sel(mode=mode, criterion=criterion)
            name = f"{'RMS' if criterion == 'rms' else criterion}, {mode}"
            for ax, factor, into, more in (
                (above, one["granularity"] ** 0, ends[0], f":\n{_slope(one)}"),
                (below, one["granularity"], ends[1], ""),
            ):
                _draw(ax, one, factor, (colour, line))
                product = (factor * one["exact"]).values
                into.append((float(product[int(np.argmin(one["granularity"].values))]), name + more, colour))
    log_scale(above, "y")
    log_scale(below, "x", most=8)
    above.invert_xaxis()
    label(above, "Pulses per cell (numbers: exponent of dw)", "", "pulses N")
    label(below, "Departure from N ~ 1 / dw", "granularity dw (weight units), finer to the right",
          "N dw (weight units)")  # fmt: skip
    _mark_out_of_reach(below, data.sel(mode="stochastic", criterion="rms"))
    label_ends(above, ends[0])
    label_ends(below, ends[1])
    return figure


def _slope(one: xr.Dataset) -> str:
    if not np.isfinite(one["exponent"]):
        return "not measured"
    return f"{one['exponent'].item():.3f}"


def _draw(ax: Axes, one: xr.Dataset, factor: xr.DataArray, style: tuple[str, str]) -> None:
    colour, line = style
    ax.plot(one["granularity"], factor * one["exact"], line, color=colour)
    value = factor * one["simulated"]
    ends = abs(xr.concat([factor * one["simulated_low"], factor * one["simulated_high"]], "end") - value)
    ax.errorbar(
        one["granularity"], value, ends, fmt="o" if one["mode"].item() == "cyclic" else "^", color=colour,
        markerfacecolor="white", markersize=5, capsize=3,
    )  # fmt: skip


def _mark_out_of_reach(ax: Axes, one: xr.Dataset) -> None:
    """Say at which granularities no number of pulses suffices."""
    steps, product = one["granularity"].values, (one["granularity"] * one["exact"]).values
    reached = np.isfinite(product)
    if reached.all() or not reached.any():
        return
    coarse = steps[~reached].min()
    text = f"RMS, stochastic: never met\nat dw ≥ {coarse:g} (noise\nfloor above target)"
    ax.text(0.4 * coarse, 0.95, text, color=VERMILLION, va="top", transform=ax.get_xaxis_transform())
