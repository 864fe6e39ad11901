"""Which way of finding the symmetric points is the cheapest, and how close does it come to what is possible?

Every calibrator on the array of Figure 1 of Xiao et al. 2026 (arXiv 2602.21321) with bounds that differ by
30 % from cell to cell, read with a noise of 1 % of the range, over many numbers of pulses and reads. For
three prices of a read the least error that a total cost affords is drawn, pulses, reads and the pulses that
bring the cells to their points included (zero-shifting ends there by itself). Lines: Cramer-Rao bounds of
the same cells by the best of simple burst experiments, for known bounds and for unknown ones with their
spread as a prior; cells need neither travel nor placement there.

Lines and bounds end where the search does: a cost that buys no more than the most pulses (9000) or reads
(192) that were tried says nothing of what it could buy beyond them, and leaves a gap in the line.
"""  # noqa: D400

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.calibration import calibrator
from sptrack.cost import CostModel
from sptrack.devices import Cells, Device, sample_cells
from sptrack.evaluation.recommendation import least_errors, trial
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
from sptrack.results import dataset, provenance
from sptrack.theory import array_bound

SPREAD = 0.3
READ_NOISE = 0.02
TARGET = 0.02
READ_COSTS = (1.0, 10.0, 100.0)
METHODS = (
    "zero-shifting",
    "tail-average",
    "transient",
    "observer",
    "root-finding",
    "bursts-known",
    "bursts",
    "bursts-prior",
)
BOUNDS = {"known": None, "unknown": (0.0, 0.0, SPREAD**-2, SPREAD**-2)}
ERRORS = ("rms", "median")
_LOOK = {
    "zero-shifting": (COLOURS[5], "o"),
    "tail-average": (GREY, "v"),
    "transient": (COLOURS[3], "s"),
    "observer": (COLOURS[4], "D"),
    "root-finding": (COLOURS[2], "^"),
    "bursts-known": ("#999999", "x"),
    "bursts": (COLOURS[0], "P"),
    "bursts-prior": (COLOURS[1], "*"),
}


class _Size(NamedTuple):
    side: int
    bound_cells: int
    pulses: tuple[int, ...]
    reads: tuple[int, ...]
    budgets: int


FULL = _Size(32, 100, (300, 600, 900, 1300, 1900, 2800, 4000, 6000, 9000), (1, 6, 13, 24, 48, 96, 192), 22)
SMALL = _Size(6, 2, (600, 4000), (1, 24), 6)


def device() -> Device:
    """The array of Figure 1 with a spread of its bounds."""
    plain = Device()
    return replace(plain, spread=replace(plain.spread, w_max=SPREAD, w_min=SPREAD))


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Calibrate 32 x 32 cells (``small``: 6 x 6) in every way, and bound the error on 100 (2) of them.

    Returns
    -------
    Dataset
        Over read cost, method and cost: ``rms``, ``median`` with ``_low`` and ``_high`` (95 % over cells) and
        the ``pulses`` and ``reads`` that the cost is best spent on; over read cost, bounds and cost:
        ``rms_bound``, ``median_bound``. NaN where a cost affords nothing, or more than was tried.
    """
    size = SMALL if small else FULL
    cells = sample_cells(device(), (size.side, size.side), seed=seed)
    costs = np.geomspace(300.0, 3e4, size.budgets)
    shape = (len(READ_COSTS), len(METHODS), len(costs))
    names = [f"{e}{end}" for e in ERRORS for end in ("", "_low", "_high")] + ["pulses", "reads"]
    found = {name: np.full(shape, np.nan) for name in names}
    for m, method in enumerate(METHODS):
        ways = _ways(method, cells, size)
        rows = [trial(cells, method, n, r, target=TARGET, read_noise=READ_NOISE, seed=seed) for n, r in ways]
        ends = _ends(ways)
        for c, price in enumerate(READ_COSTS):
            total = [_total(price, row.pulses + row.placement, row.reads) for row in rows]
            best = least_errors(total, [row.rms for row in rows], costs)
            for k, chosen in enumerate(searched(best, ends)):
                if chosen >= 0:
                    _note(found, (c, m, k), rows[chosen])
    variables = {
        name: (("read_cost", "method", "cost"), v, {"units": _unit(name)}) for name, v in found.items()
    }
    for name, values in zip(ERRORS, _bounds(cells, size, costs), strict=True):
        variables[f"{name}_bound"] = (("read_cost", "bounds", "cost"), values, {"units": "weight units"})
    coordinates = {
        "read_cost": (("read_cost",), list(READ_COSTS), {"units": "pulses per read"}),
        "method": (("method",), list(METHODS), {}),
        "bounds": (("bounds",), list(BOUNDS), {}),
        "cost": (("cost",), costs, {"units": "pulses"}),
    }
    settings = {"device": device(), "cells": (size.side, size.side), "read_noise": READ_NOISE}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=settings))


def _unit(name: str) -> str:
    return name if name in ("pulses", "reads") else "weight units"


def _total(price: float, pulses: float, reads: int) -> float:
    return CostModel(read=price).total(pulses=pulses, reads=reads)


def _ways(method: str, cells: Cells, size: _Size) -> list[tuple[int, int]]:
    """Pulses and reads that a calibrator is tried with."""
    least = calibrator(method, cells.device).fewest_reads
    reads = sorted({max(n, least) for n in size.reads})
    return [(n, r) for n in size.pulses for r in reads if n >= 2 * r and n >= 64]


def _ends(ways: list[tuple[int, int]]) -> np.ndarray:
    """Whether each way has the most pulses or the most reads of all."""
    table = np.array(ways)
    return np.asarray((table == table.max(axis=0)).any(axis=1))


def searched(best: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Choices [costs] without those that stand for want of a dearer trial.

    Parameters
    ----------
    best : int array [costs]
        Index of the best trial that each of the rising costs affords; -1 for none.
    ends : bool array [trials]
        Whether a trial lies at the end of what was tried.

    Returns
    -------
    int array [costs]
        ``best``, but -1 where a trial at the end stands again at a higher cost.
    """
    again = np.zeros(len(best), np.bool_)
    again[1:] = (best[1:] == best[:-1]) & (best[1:] >= 0)
    return np.where(again & ends[best], -1, best)


def _note(found: dict[str, Any], index: tuple[int, int, int], row: Any) -> None:
    for name in ERRORS:
        found[name][index] = getattr(row, name)
        found[f"{name}_low"][index], found[f"{name}_high"][index] = getattr(row, f"{name}_ci")
    found["pulses"][index], found["reads"][index] = row.pulses, row.reads


def _bounds(cells: Cells, size: _Size, costs: Any) -> Any:
    """Least errors [rms or median, read cost, bounds, cost]."""
    few = cells.thinned(size.bound_cells)
    made = np.full((2, len(READ_COSTS), len(BOUNDS), len(costs)), np.nan)
    ways = [(n, r) for n in size.pulses for r in sorted({*size.reads[1::2], size.reads[-1]}) if 3 <= r <= n]
    for b, (bounds, prior) in enumerate(BOUNDS.items()):
        values = np.array([array_bound(few, n, r, READ_NOISE, bounds=bounds, prior=prior) for n, r in ways])
        for c, price in enumerate(READ_COSTS):
            total = [_total(price, n, r) for n, r in ways]
            for kind in range(2):
                best = searched(least_errors(total, values[:, kind], costs), _ends(ways))
                made[kind, c, b] = np.where(best >= 0, values[best, kind], np.nan)
    return made


def plot(data: xr.Dataset) -> Figure:
    """Least RMS and median error that a total cost affords, one column per price of a read."""
    figure = new_figure(14.0, 8.2)
    axes = figure.subplots(2, len(data["read_cost"]), sharex=True, sharey="row")
    for c, price in enumerate(data["read_cost"].values):
        for row, name in enumerate(ERRORS):
            _panel(axes[row, c], data.sel(read_cost=price), name)
            title = f"a read costs {price:g} pulse{'s' if price > 1 else ''}" if row == 0 else ""
            y = f"{'RMS' if name == 'rms' else 'median'} error (weight units)" if c == 0 else ""
            label(axes[row, c], title, "total cost per cell (pulses)" if row else "", y)
    handles, texts = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=6, fontsize=9)
    figure.suptitle(
        "Error of the symmetric points against total cost: bounds differ by 30 %, read noise 1 % of the range"
    )
    return figure


def _panel(ax: Axes, data: xr.Dataset, name: str) -> None:
    cost = data["cost"].values
    for bounds, line in zip(data["bounds"].values, (":", "--"), strict=True):
        text = f"Cramer-Rao, {bounds} bounds" + (", their spread as prior" if bounds == "unknown" else "")
        ax.plot(cost, data[f"{name}_bound"].sel(bounds=bounds), line, color="black", label=text)
    for method in data["method"].values:
        one, (colour, marker) = data.sel({"method": method}), _LOOK[str(method)]
        value = one[name].values
        spread = np.abs(np.stack([one[f"{name}_low"].values, one[f"{name}_high"].values]) - value)
        ax.errorbar(
            cost, value, spread, color=colour, marker=marker, markersize=5, linewidth=1.0, label=str(method)
        )
    if name == "rms":
        ax.axhline(TARGET, color="#cc3311", linewidth=0.8, label="target: 1 % of the range")
    ax.set(xscale="log", yscale="log", xlim=(cost[0], cost[-1]))
