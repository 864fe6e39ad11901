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
from sptrack.plotting.style import COLOURS, GREY, label, new_figure
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
COLOUR = dict(zip((*FAMILIES, "boxcar off null"), (*COLOURS[:5], COLOURS[5]), strict=True))


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
    fast = _loop(cells, "telegraph, p = 0.1", seed + 1).record(max(BUDGETS)).fast
    rms, half = np.empty((2, len(FAMILIES), len(BUDGETS)))
    for i, name in enumerate(FAMILIES):
        for k, steps in enumerate(BUDGETS):
            last = chosen[name, steps].process(fast[:steps])[0][-1]
            square = (last - cells.symmetric_point.ravel()) ** 2
            rms[i, k] = np.sqrt(square.mean())
            half[i, k] = half_width(square) / (2 * rms[i, k])
    return rms, half


def plot(data: xr.Dataset) -> Figure:
    """Magnitude of the filters; error at equal delay; error against the budget of steps."""
    figure = new_figure(13.5, 8.6)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    left, middle = top.subplots(1, 2, width_ratios=[1.25, 1])
    _plot_magnitude(left, data)
    _plot_settled(middle, data)
    near, far = bottom.subplots(1, 2, width_ratios=[1.25, 1])
    _plot_budget(near, data)
    _plot_delay(far, data)
    return figure


def _plot_magnitude(ax: Axes, data: xr.Dataset) -> None:
    for name in data["filter"].values.tolist():
        level = 20 * np.log10(np.maximum(data["magnitude"].sel({"filter": name}), 1e-6))
        style = "--" if name == "boxcar off null" else "-"
        ax.plot(data["omega"], level, style, color=COLOUR[name], linewidth=1.3, label=name)
    for half, text in ((50, "T = 50"), (10, "T = 10")):
        for m in (1, 3):
            ax.axvline(np.pi * m / half, color=GREY, linestyle=":", linewidth=1)
        ax.text(np.pi / half * 1.04, -2, text, color=GREY, fontsize=9, va="top")
    ax.set(xscale="log", ylim=(-60, 3), xlim=(1e-3, np.pi))
    ax.legend(fontsize=8, loc="lower left")
    label(
        ax,
        f"What passes: filters of equal delay ({DELAY} steps)",
        "omega (rad per step); dotted: lines of the chopper",
        "|H| (dB)",
    )


def _plot_settled(ax: Axes, data: xr.Dataset) -> None:
    """Each drive relative to its EMA, side by side."""
    filters, drives = data["filter"].values.tolist(), data["drive"].values.tolist()
    for k, (drive, marker) in enumerate(zip(drives, "o^s", strict=True)):
        one = data.sel({"drive": drive}).drop_vars("filter")
        x = np.arange(len(filters)) + 0.2 * (k - 1)
        ema = float(one["settled"][0])
        ax.plot(x, one["settled"] / ema, "_", color=GREY, markersize=20, markeredgewidth=2)
        ax.errorbar(
            x, one["settled_simulated"] / ema, one["settled_ci"] / ema, fmt=marker, color="black",
            markersize=5, capsize=3, label=f"{drive} (EMA: {ema:.2g})",
        )  # fmt: skip
        ax.plot(x, one["settled_earlier"] / ema, "x", color=COLOURS[1], markersize=7, zorder=4)
    ax.plot([], [], "_", color=GREY, markersize=18, markeredgewidth=2, label="theory")
    ax.plot([], [], "x", color=COLOURS[1], label="independent simulation")
    ax.axhline(1, color=GREY, linewidth=0.6)
    ax.set_ylim(0.4, 1.75)
    names = [name.replace(", ", ",\n").replace(" off", "\noff") for name in filters]
    ax.set_xticks(np.arange(len(filters)), names)
    ax.tick_params(axis="x", labelsize=9)
    ax.legend(fontsize=8, ncols=2, loc="upper center")
    label(ax, "Error left when settled, at equal delay", "", "mean $(Q - w^*)^2$ over that of the EMA")


def _plot_budget(ax: Axes, data: xr.Dataset) -> None:
    for k, name in enumerate(data["family"].values.tolist()):
        one = data.sel({"family": name})
        budget = data["budget"] * 1.06 ** (k - 2)
        ax.plot(data["steps"], one["rms"], color=COLOUR[name], linewidth=1.3)
        ax.errorbar(
            budget, one["rms_simulated"], one["rms_ci"], fmt="o", color=COLOUR[name], markersize=4,
            capsize=3, label=name,
        )  # fmt: skip
        ax.plot(budget, one["rms_earlier"], "x", color=COLOUR[name], markersize=7, markeredgewidth=2)
    ax.plot([], [], color=GREY, label="theory (all)")
    ax.plot([], [], "x", color=GREY, label="independent simulation")
    ax.set(xscale="log", yscale="log")
    ax.legend(fontsize=8)
    label(
        ax,
        "Error after a budget of steps, each filter at its best",
        "steps K",
        "rms of $Q - w^*$ (weight units)",
    )


def _plot_delay(ax: Axes, data: xr.Dataset) -> None:
    for name in data["family"].values.tolist():
        ax.plot(data["steps"], data["delay"].sel({"family": name}), color=COLOUR[name], label=name)
    ax.set(xscale="log", yscale="log")
    label(ax, "How slow the best filter is", "steps K", "group delay at omega = 0 (steps)")
