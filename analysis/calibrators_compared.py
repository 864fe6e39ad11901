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

from analysis._cells import each
from sptrack.calibration import calibrator
from sptrack.cost import CostModel
from sptrack.devices import Cells, Device, sample_cells
from sptrack.evaluation.recommendation import least_errors, trial
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    PURPLE,
    VERMILLION,
    Look,
    headline,
    house_style,
    label,
    label_ends,
    log_scale,
    new_figure,
    text_colour,
)
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
    "bursts-prior": Look(BLUE, "o"),
    "bursts": Look(VERMILLION, "^"),
    "transient": Look(GREEN, "s"),
    "zero-shifting": Look(PURPLE, "D"),
    "root-finding": Look(GREY, "v", "-."),
    "observer": Look(GREY, "P", ":"),
    "tail-average": Look(LIGHT, "<", "--"),
    "bursts-known": Look(LIGHT, "x"),
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
        rows = each(_trial, [(method, n, r) for n, r in ways], side=size.side, seed=seed)
        ends = _ends(ways)
        for c, price in enumerate(READ_COSTS):
            total = [_total(price, row["pulses"] + row["placement"], int(row["reads"])) for row in rows]
            best = least_errors(total, [row["rms"] for row in rows], costs)
            for k, chosen in enumerate(searched(best, ends)):
                if chosen >= 0:
                    for name, values in found.items():
                        values[c, m, k] = rows[chosen][name]
    variables = {
        name: (("read_cost", "method", "cost"), v, {"units": _unit(name)}) for name, v in found.items()
    }
    for name, values in zip(ERRORS, _bounds(size, costs, seed), strict=True):
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


def _trial(method: str, pulses: int, reads: int, *, side: int, seed: int) -> dict[str, float]:
    """Errors of a calibrator, each with the ends of its interval, and what it spent."""
    cells = sample_cells(device(), (side, side), seed=seed)
    row = trial(cells, method, pulses, reads, target=TARGET, read_noise=READ_NOISE, seed=seed)
    out = {name: getattr(row, name) for name in (*ERRORS, "pulses", "reads", "placement")}
    for name in ERRORS:
        out[f"{name}_low"], out[f"{name}_high"] = getattr(row, f"{name}_ci")
    return out


def _bound(bounds: str, pulses: int, reads: int, *, size: _Size, seed: int) -> tuple[float, ...]:
    """Least errors (rms, median) over a few of the cells."""
    few = sample_cells(device(), (size.side, size.side), seed=seed).thinned(size.bound_cells)
    return array_bound(few, pulses, reads, READ_NOISE, bounds=bounds, prior=BOUNDS[bounds])


def _bounds(size: _Size, costs: Any, seed: int) -> Any:
    """Least errors [rms or median, read cost, bounds, cost]."""
    made = np.full((2, len(READ_COSTS), len(BOUNDS), len(costs)), np.nan)
    ways = [(n, r) for n in size.pulses for r in sorted({*size.reads[1::2], size.reads[-1]}) if 3 <= r <= n]
    for b, bounds in enumerate(BOUNDS):
        values = np.array(each(_bound, [(bounds, n, r) for n, r in ways], size=size, seed=seed))
        for c, price in enumerate(READ_COSTS):
            total = [_total(price, n, r) for n, r in ways]
            for kind in range(2):
                best = searched(least_errors(total, values[:, kind], costs), _ends(ways))
                made[kind, c, b] = np.where(best >= 0, values[best, kind], np.nan)
    return made


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Least RMS error that a total cost affords, one panel per price of a read."""
    figure = new_figure(7.2, 5.0)
    headline(
        figure, _finding(data),
        "Least RMS error that a total cost affords; bounds of the cells differ by 30 %, read noise 1 % "
        "of the "
        "range. bursts-prior is told mean and spread of the cells. Markers: simulated, 95 %; black: "
        "Cramer-Rao bounds. Lines end where the search does.",
    )  # fmt: skip
    axes = figure.subplots(1, len(data["read_cost"]), sharex=True, sharey=True)
    for ax, price in zip(axes, data["read_cost"].values, strict=True):
        one = data.sel(read_cost=price)
        _panel(ax, one)
        log_scale(ax, "x", most=3)
        log_scale(ax, "y")
        ax.set_xlim(400, 1.2 * float(data["cost"][-1]))
        title = f"Read = {price:g} pulse{'s' if price > 1 else ''}"
        label(ax, title, "cost per cell (pulses)" if ax is axes[1] else "",
              "RMS error (weight units)" if ax is axes[0] else "")  # fmt: skip
    ends = [
        (_last(one["rms"].sel({"method": name}).values), name, text_colour(look.colour))
        for name, look in _LOOK.items()
    ]
    bounds = (("known", "bound, known"), ("unknown", "bound, prior"))
    ends += [(_last(one["rms_bound"].sel(bounds=key).values), text, "black") for key, text in bounds]
    ends.append((TARGET, "target", "#cc3311"))
    label_ends(axes[-1], ends, size=9.0)
    return figure


def _last(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if known.size else np.nan


def _finding(data: xr.Dataset) -> str:
    """Calibrator that reaches the target at the least cost at every price, and its gain on zero-shifting."""
    least = {
        name: [
            float(np.min(data["cost"].values[row <= TARGET], initial=np.inf))
            for row in data["rms"].sel({"method": name}).transpose("read_cost", "cost").values
        ]
        for name in data["method"].values.tolist()
    }
    best = [min(least, key=lambda name: least[name][k]) for k in range(data.sizes["read_cost"])]
    base = np.array(least["zero-shifting"])
    gain = base / np.array([least[name][k] for k, name in enumerate(best)])
    names = " or ".join(dict.fromkeys(best))
    if not np.isfinite(gain).all():
        return f"{names} reaches the target at the least cost"
    return (
        f"{names} reaches 1 % of the range at the least cost: {gain.min():.1f} to {gain.max():.1f} times "
        "cheaper than zero-shifting"
    )


def _panel(ax: Axes, data: xr.Dataset) -> None:
    cost = data["cost"].values
    for bounds, line in zip(data["bounds"].values, (":", "--"), strict=True):
        ax.plot(cost, data["rms_bound"].sel(bounds=bounds), line, color="black", linewidth=1.4)
    for method, (colour, marker, line) in _LOOK.items():
        one = data.sel({"method": method})
        value = one["rms"].values
        spread = np.abs(np.stack([one["rms_low"].values, one["rms_high"].values]) - value)
        front = 2 if colour in (GREY, LIGHT) else 3
        ax.errorbar(
            cost, value, spread, color=colour, linestyle=line, marker=marker, markerfacecolor="white",
            markersize=4, linewidth=1.2, elinewidth=0.8, zorder=front,
        )  # fmt: skip
    ax.axhline(TARGET, color="#cc3311", linewidth=0.9)
