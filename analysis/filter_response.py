"""Which low-pass should find the symmetric point?

The exponential moving average of lemma 3.10 (Xiao et al. 2026, arXiv 2602.21321) and its alternatives, on
linear cells (scales 1.3 up, 0.7 down, symmetric point 0.3) that a chopped gradient drives. First at equal
delay, settled: what each filter passes, and the error of Q that is left. Then from rest at 0 with a budget of
steps, each filter as slow as serves it best (chosen by theory, on no sample). Crosses: an independent
simulation.

One sees: at equal delay the filters differ little, and the EMA is the best of them, unless the chopper's line
falls into its skirt (slow periodic chopping): then averaging over whole periods wins by its nulls. From rest,
the EMA is held back by its memory of the start: an average that forgets it (boxcar, bias-corrected EMA) has
0.7 times its error after 8000 steps, or needs half the steps. A second stage gains less, a CIC filter no more
than the boxcar.
"""  # noqa: D400

from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sptrack.blocks import CIC, EMA, Block, Boxcar, Chopper, CorrectedEMA, PeriodicChopper, SignSource
from sptrack.devices import Cells, Device, cells_from_parameters
from sptrack.intervals import half_width
from sptrack.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
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
from sptrack.response import OpenLoop, best_filter
from sptrack.results import dataset, provenance

DELAY = 100
"""Group delay at omega = 0 of the filters that are compared settled, samples."""
FAMILIES: dict[str, Callable[[int], Block]] = {
    "EMA": lambda delay: EMA(eta=1 / (delay + 1)),
    "2 x EMA": lambda delay: EMA(eta=1 / (delay / 2 + 1), order=2),
    "boxcar": lambda delay: Boxcar(length=2 * delay),
    "CIC, order 2": lambda delay: CIC(length=delay),
    "bias-corrected EMA": lambda delay: CorrectedEMA(eta=1 / (delay + 1)),
}
"""Filters by name, made to have a group delay in samples (boxcar and CIC: half a sample or one less)."""
SETTLED: dict[str, Block] = {name: FAMILIES[name](DELAY) for name in list(FAMILIES)[:3]} | {
    "boxcar off null": Boxcar(length=187),
    "CIC, order 2": FAMILIES["CIC, order 2"](DELAY),
}
DRIVES: dict[str, tuple[float, float, SignSource]] = {
    "telegraph, p = 0.1": (0.3, 1.0, Chopper(p=0.1, scope="cell")),
    "periodic, T = 10": (1.0, 0.3, PeriodicChopper(half_period=10)),
    "periodic, T = 50": (1.0, 0.3, PeriodicChopper(half_period=50)),
}
"""Mean and std of the gradient, and chopper, by name."""
EARLIER_SETTLED = np.array([[50.2, 55.2, 56.6, 58.3, 64.6], [3.31, 3.66, 3.76, 3.89, 4.38],
                            [7.69, 5.34, 4.08, 4.97, 4.72]]) * 1e-4  # fmt: skip
"""Mean square error of the independent simulation, drives by filters, weight units squared."""
BUDGETS = (500, 2000, 8000)
EARLIER = {
    "EMA": (0.0747, 0.0428, 0.0240), "2 x EMA": (np.nan, np.nan, 0.0221), "boxcar": (0.0745, 0.0376, 0.0180),
    "CIC, order 2": (np.nan, np.nan, 0.0213), "bias-corrected EMA": (0.0733, 0.0370, 0.0195),
}  # fmt: skip
"""Rms error after each budget, each filter tuned on the sample it is scored on, weight units."""
ALPHA = 0.01
LOOKS = {
    "EMA": Look(BLUE, "o"),
    "boxcar": Look(VERMILLION, "^"),
    "bias-corrected EMA": Look(GREEN, "s"),
    "2 x EMA": Look(GREY, "v", "--"),
    "CIC, order 2": Look(LIGHT, "D", "-."),
    "boxcar off null": Look(GREY, "<", ":"),
}
_SHORT = {"bias-corrected EMA": "corrected EMA"}

CUT = 0.6
"""Highest omega that is drawn."""


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Predict and simulate; 1024 cells (``small``: 64). ``threads`` is not used.

    Returns
    -------
    Dataset
        ``magnitude`` over filter and omega; ``settled`` (theory), ``settled_simulated`` with ``settled_ci``
        (half of the 95 % interval over cells), ``settled_earlier`` over drive and filter; ``rms`` and
        ``delay`` over family and steps (theory); ``rms_simulated``, ``rms_ci``, ``rms_earlier`` over family
        and budget.
    """
    cells = _cells(64 if small else 1024)
    length = 2000 if small else 10000
    omega = np.geomspace(1e-3, np.pi, 400)
    squared, weight, pure = ({"units": unit} for unit in ("weight units squared", "weight units", "1"))
    more = [] if small else np.round(np.geomspace(250, 16000, 16)).astype(int).tolist()
    steps = np.array(sorted({*BUDGETS, *more}))
    settled = [_settled(cells, name, length, seed) for name in DRIVES]
    rms, delay, chosen = _tuned(steps, 25 if small else 100)
    simulated = _budget(cells, chosen, seed)
    over_drive, over_family = ("drive", "filter"), ("family", "steps")
    variables = {
        "magnitude": (("filter", "omega"), [np.abs(_response(f, omega)) for f in SETTLED.values()], pure),
        "settled": (over_drive, [one[0] for one in settled], squared),
        "settled_simulated": (over_drive, [one[1] for one in settled], squared),
        "settled_ci": (over_drive, [one[2] for one in settled], squared),
        "settled_earlier": (over_drive, EARLIER_SETTLED, squared),
        "rms": (over_family, rms, weight),
        "delay": (over_family, delay, {"units": "steps"}),
        "rms_simulated": (("family", "budget"), simulated[0], weight),
        "rms_ci": (("family", "budget"), simulated[1], weight),
        "rms_earlier": (("family", "budget"), [EARLIER[name] for name in FAMILIES], weight),
    }
    coordinates = {
        "omega": (("omega",), omega, {"units": "rad per step"}),
        "filter": (("filter",), list(SETTLED), {}),
        "drive": (("drive",), list(DRIVES), {}),
        "family": (("family",), list(FAMILIES), {}),
        "steps": (("steps",), steps, {"units": "steps"}),
        "budget": (("budget",), list(BUDGETS), {"units": "steps"}),
    }
    parameters = {"cells": cells.size, "length": length, "alpha": ALPHA, "device": cells.device}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=parameters))


def _cells(number: int) -> Cells:
    device = Device(dw_min=1e-3)
    scales = {"step_up": 1.3, "step_down": 0.7}
    full = {name: np.full((1, number), scale * device.dw_min) for name, scale in scales.items()}
    return cells_from_parameters(device, full)


def _response(block: Block, omega: np.ndarray) -> np.ndarray:
    return block.frequency_response(omega)  # type: ignore[attr-defined]


def _loop(cells: Cells, name: str, seed: int) -> OpenLoop:
    mean, std, chopper = DRIVES[name]
    return OpenLoop(cells=cells, chopper=chopper, alpha=ALPHA, mean=mean, std=std, law="binomial", seed=seed)


def _settled(cells: Cells, name: str, length: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean square of Q - w* by filter: predicted, simulated, and half of its 95 % interval over cells."""
    driven = _loop(cells, name, seed)
    error = driven.record(length + 10 * DELAY, skip=20 * DELAY).error
    loop = driven.linear()
    predicted, measured, half = [], [], []
    for block in SETTLED.values():
        predicted.append(np.mean(loop.predict(block, driven.chopper).rms_q ** 2))
        square = (block.process(error)[0][10 * DELAY :] ** 2).mean(axis=0)
        measured.append(square.mean())
        half.append(half_width(square))
    return np.array(predicted), np.array(measured), np.array(half)


def _candidates(name: str, steps: int, count: int) -> dict[Block, int]:
    """Filters of a family, and their delays, of which the best for a number of steps is chosen."""
    longest = steps // 2 if name in ("boxcar", "CIC, order 2") else 2 * steps
    delays = np.unique(np.round(np.geomspace(steps / 50, longest, count)).astype(int))
    return {FAMILIES[name](int(delay)): int(delay) for delay in delays}


def _tuned(steps: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, dict[tuple[str, int], Block]]:
    """Smallest predicted rms and the delay that gives it, by family and number of steps; and the filters."""
    cells = _cells(1)
    one = _loop(cells, "telegraph, p = 0.1", 0)
    loop, start = one.linear(), -cells.symmetric_point
    rms, delay = np.empty((2, len(FAMILIES), len(steps)))
    chosen = {}
    for i, name in enumerate(FAMILIES):
        for k, number in enumerate(steps.tolist()):
            delays = _candidates(name, number, count)
            block, rms[i, k] = best_filter(loop, delays, number, start=start, chopper=one.chopper)
            delay[i, k] = delays[block]
            chosen[name, number] = block
    return rms, delay, chosen


def _budget(cells: Cells, chosen: dict[tuple[str, int], Block], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulated rms after each budget with the filters that theory chose, and half of its 95 % interval."""
    p = _loop(cells, "telegraph, p = 0.1", seed + 1).record(max(BUDGETS)).p
    rms, half = np.empty((2, len(FAMILIES), len(BUDGETS)))
    for i, name in enumerate(FAMILIES):
        for k, steps in enumerate(BUDGETS):
            last = chosen[name, steps].process(p[:steps])[0][-1]
            square = (last - cells.symmetric_point.ravel()) ** 2
            rms[i, k] = np.sqrt(square.mean())
            half[i, k] = half_width(square) / (2 * rms[i, k])
    return rms, half


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """Magnitude of the filters; error at equal delay; error against the budget of steps."""
    figure = new_figure(7.2, 8.6)
    at = int(data["budget"][-1])
    last = data["rms_simulated"].sel({"budget": at})
    ratio = float(last.sel({"family": "boxcar"}) / last.sel({"family": "EMA"}))
    headline(
        figure,
        f"A boxcar, which forgets the start, has {ratio:.1f} times the error of an EMA after {at:,} steps",
        "Lines: theory; open markers: simulated, 95 %; crosses: independent simulation. Above: filters "
        "of equal "
        f"delay ({DELAY} steps), settled; below: from rest, each filter as slow as serves it best.",
    )
    axes = figure.subplot_mosaic([["magnitude"], ["settled"], ["budget"]], height_ratios=[1, 1, 1.1])
    _plot_magnitude(axes["magnitude"], data)
    _plot_settled(axes["settled"], data)
    _plot_budget(axes["budget"], data)
    return figure


def _plot_magnitude(ax: Axes, data: xr.Dataset) -> None:
    inside = data["omega"].values <= CUT
    ends = []
    for name in data["filter"].values.tolist():
        look = LOOKS[name]
        level = 20 * np.log10(np.maximum(data["magnitude"].sel({"filter": name}), 1e-6)).values
        ax.plot(data["omega"][inside], level[inside], look.line, color=look.colour, linewidth=1.3)
        skirt = (data["omega"].values > CUT / 2) & inside
        ends.append((float(level[skirt].max()), name, text_colour(look.colour)))
    for half in (50, 10):
        ax.axvline(np.pi / half, color="black", linestyle=":", linewidth=1)
        ax.text(np.pi / half, 4, f"chopper, T = {half}", fontsize=9.5, ha="center", va="bottom")
    log_scale(ax, "x")
    ax.set(ylim=(-60, 3), xlim=(1e-3, CUT))
    label(ax, "What passes", "ω (rad per step)", "|H| (dB)")
    label_ends(ax, ends)


def _plot_settled(ax: Axes, data: xr.Dataset) -> None:
    """Each drive relative to its EMA, side by side."""
    filters, drives = data["filter"].values.tolist(), data["drive"].values.tolist()
    ends = []
    for k, (drive, colour, marker) in enumerate(zip(drives, (GREY, BLUE, VERMILLION), "o^s", strict=True)):
        one = data.sel({"drive": drive}).drop_vars("filter")
        x = np.arange(len(filters)) + 0.22 * (k - 1)
        ema = float(one["settled"][0])
        ax.plot(x, one["settled"] / ema, "_", color=colour, markersize=16, markeredgewidth=2)
        ax.errorbar(
            x, one["settled_simulated"] / ema, one["settled_ci"] / ema, fmt=marker, color=colour,
            markerfacecolor="white", markersize=5, capsize=2,
        )  # fmt: skip
        ax.plot(x, one["settled_earlier"] / ema, "x", color="black", markersize=5, zorder=4)
        ends.append((float(one["settled"][-1]) / ema, drive.replace(", ", ",\n"), colour))
    ax.axhline(1, color=GREY, linewidth=0.8)
    ax.set_ylim(0.4, 1.45)
    names = [name.replace(", ", ",\n").replace(" off", "\noff") for name in filters]
    ax.set_xticks(np.arange(len(filters)), names)
    label(ax, "Error left when settled, over that of the EMA", "", "ratio of mean squares")
    label_ends(ax, ends)


def _plot_budget(ax: Axes, data: xr.Dataset) -> None:
    ends = []
    for k, name in enumerate(data["family"].values.tolist()):
        one, look = data.sel({"family": name}), LOOKS[name]
        budget = data["budget"] * 1.05 ** (k - 2)
        ax.plot(data["steps"], one["rms"], look.line, color=look.colour, linewidth=1.5)
        ax.errorbar(
            budget, one["rms_simulated"], one["rms_ci"], fmt=look.marker, color=look.colour,
            markerfacecolor="white", markersize=5, capsize=2,
        )  # fmt: skip
        ax.plot(budget, one["rms_earlier"], "x", color="black", markersize=5, zorder=4)
        ends.append((float(one["rms"][-1]), _SHORT.get(name, name), text_colour(look.colour)))
    log_scale(ax, "xy")
    label(ax, "Error after a budget of steps", "steps K", "RMS error of Q (weight units)")
    label_ends(ax, ends)
