"""Does O-RIDER find weights and references on cells that are not what it was told?

O-RIDER with its default observer, told of nominal cells and of a read noise, on cells and noise that differ:
steps 30 % larger or smaller, bounds 30 % and 20 % further out and in, bounds that scatter by 30 % from cell
to cell, a read noise told as 0, 0.7, 1.3 and 3 times the true one, and three combinations. Beside it the same
observer told the truth, the regression with a fixed prior and limits on its estimates (told the same wrong
things), and E-RIDER, which is told nothing. Default settings of each, read noise .02, the problem of 64
weights, the same problems for all; four families of responses, of which the observer is told the right one.

Mean drive is not among the things told: the adaptive observer counts the increments of every stretch.
"""  # noqa: D400

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sptrack.crossbar.threads import thread_count
from sptrack.devices import (
    Asymmetry,
    Cells,
    Device,
    ExpStep,
    PiecewiseStep,
    PowStep,
    Response,
    SoftBounds,
    sample_cells,
)
from sptrack.devices.statistics import nominal_cells
from sptrack.intervals import positive_interval
from sptrack.kernels import responses as laws
from sptrack.plotting.style import COLOURS, new_figure
from sptrack.results import dataset, provenance
from sptrack.tracking import Method, ProblemSettings, method, problem, track, with_settings
from sptrack.tracking.problems import Belief, Problem, default_device

NOISE = 0.02
"""Std of a read, weight units."""
RESPONSES: dict[str, Response] = {
    "linear": SoftBounds(),
    "power 2": PowStep(gamma_up=2.0, gamma_down=2.0),
    "piecewise": PiecewiseStep(nodes_up=(1.0, 0.9, 0.4, 0.1), nodes_down=(0.1, 0.5, 0.9, 1.0)),
    "exp-step": ExpStep(),
}


class Wrong(NamedTuple):
    """True steps over those told; bounds +30 % and -20 %; bounds that scatter; noise told over the true."""

    gain: float = 1.0
    bounds: bool = False
    scatter: bool = False
    noise: float = 1.0


CASES = {
    "nothing": Wrong(),
    "steps + 30 %": Wrong(gain=1.3),
    "steps - 30 %": Wrong(gain=0.7),
    "bounds + 30 %, - 20 %": Wrong(bounds=True),
    "bounds scatter 30 %": Wrong(scatter=True),
    "noise told x 0": Wrong(noise=0.0),
    "noise told x 0.7": Wrong(noise=0.7),
    "noise told x 1.3": Wrong(noise=1.3),
    "noise told x 3": Wrong(noise=3.0),
    "all, steps + 30 %, noise x 0": Wrong(1.3, bounds=True, scatter=True, noise=0.0),
    "all, steps - 30 %, noise x 3": Wrong(0.7, bounds=True, scatter=True, noise=3.0),
    "scatter, steps + 30 %, noise x 0.7": Wrong(1.3, scatter=True, noise=0.7),
}
METHODS = {
    "adaptive": "O-RIDER, told wrong",
    "told": "O-RIDER, told the truth",
    "regression": "fixed prior and limits, told wrong",
    "e-rider": "E-RIDER",
}
_COLOURS = dict(zip(METHODS, (COLOURS[2], COLOURS[5], COLOURS[1], COLOURS[0]), strict=True))
_MARKERS = dict(zip(METHODS, "os^D", strict=True))
_NODES = 33


def devices(response: Response, wrong: Wrong) -> tuple[Device, Device]:
    """Nominal device, and that of the true cells without their gain."""
    nominal = replace(default_device(), response=response)
    spread = nominal.spread
    if wrong.scatter:
        spread = replace(spread, w_max=0.3, w_min=0.3, asymmetry=Asymmetry(mean=0.4, std=0.3))
    if wrong.bounds:
        response = replace(response, w_max=1.3 * response.w_max, w_min=0.8 * response.w_min)
    return nominal, replace(nominal, response=response, spread=spread)


def scaled(cells: Cells, gain: float) -> Cells:
    """Cells whose steps are ``gain`` times as large."""
    values = cells.law.cell.copy()
    values[[laws.UP, laws.DOWN]] *= gain
    if cells.law.kind == laws.LINEAR:
        values[[laws.SLOPE_UP, laws.SLOPE_DOWN]] *= gain
    return replace(cells, law=cells.law._replace(cell=values))


def with_gain(device: Device, gain: float) -> Device:
    """Device whose nominal steps are ``gain`` times as large, between nodes of the response."""
    if gain == 1:
        return device
    cells, response = nominal_cells(device), device.response
    grid = np.linspace(response.w_min, response.w_max, _NODES)
    level, drift = (
        np.array([float(law(np.full((1, 1), w))[0, 0]) for w in grid]) for law in (cells.F, cells.G)
    )
    up, down = (tuple((gain * np.maximum(level + sign * drift, 0.0)).tolist()) for sign in (-1, 1))
    made = PiecewiseStep(nodes_up=up, nodes_down=down, w_max=response.w_max, w_min=response.w_min)
    return replace(device, response=made)


def posed(response: Response, wrong: Wrong, seed: int, steps_told: bool) -> Problem:
    """Problem on the true cells, its observer told the truth (``steps_told``) or what is nominal."""
    nominal, true = devices(response, wrong)
    made = problem("quadratic", ProblemSettings(device=true, read_noise=NOISE), seed=seed)
    told = with_gain(true, wrong.gain) if steps_told else nominal
    belief = Belief(sample_cells(told, made.fast.shape, seed=0), NOISE * (1.0 if steps_told else wrong.noise))
    fast, main = scaled(made.fast, wrong.gain), scaled(made.main, wrong.gain)
    return replace(made, fast=fast, main=main, believed=belief)


def _method(name: str) -> Method:
    if name == "e-rider":
        return method("e-rider")
    return with_settings(
        method("o-rider"), estimator="observer" if name == "regression" else "adaptive-observer"
    )


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """20 problems of 20000 steps (``small``: 2 of 1000, linear cells, three cases).

    Returns
    -------
    Dataset
        ``w`` and ``q``, mean squared errors over the last tenth, over ``family``, ``case``, ``method`` and
        ``seed``; ``w_ci``, 95 % interval of the mean of ``w``; ``ratio`` and ``ratio_ci`` over ``family`` and
        ``case``: rms error of W of the observer told wrong over that told the truth, paired by problem, and
        its 95 % interval by the bootstrap.
    """
    steps, seeds = (1000, 2) if small else (20000, 20)
    families = list(RESPONSES)[: 1 if small else None]
    cases = list(CASES)[: 3 if small else None]
    places = [(f, c, m, s) for f in families for c in cases for m in METHODS for s in range(seeds)]

    def one(place: tuple[str, str, str, int]) -> tuple[float, float]:
        family, case, name, number = place
        made = posed(RESPONSES[family], CASES[case], 300 + seeds * seed + number, name == "told")
        found = track(made, _method(name), steps, seed=number, threads=1).tail()
        return float(found[0]), float(found[2])

    with ThreadPoolExecutor(thread_count(threads)) as pool:
        errors = np.array(list(pool.map(one, places))).reshape(
            len(families), len(cases), len(METHODS), seeds, 2
        )
    w, axes = errors[..., 0], ("family", "case", "method")
    ratio, interval = _ratios(w[:, :, 0], w[:, :, 1])
    squared = {"units": "weight units squared"}
    variables = {
        "w": ((*axes, "seed"), w, squared),
        "q": ((*axes, "seed"), errors[..., 1], squared),
        "w_ci": ((*axes, "end"), positive_interval(w), squared),
        "ratio": (("family", "case"), ratio, {"units": "1"}),
        "ratio_ci": (("family", "case", "end"), interval, {"units": "1"}),
    }
    coordinates: dict[str, Any] = {
        "family": (("family",), families, {}),
        "case": (("case",), cases, {}),
        "method": (("method",), list(METHODS), {}),
    }
    asked = {"steps": steps, "seeds": seeds, "read_noise": NOISE}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))


def _ratios(wrong: NDArray[np.float64], told: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Ratio of rms errors over seeds (the last axis), paired, and its interval from 2000 resamplings."""
    picks = np.random.default_rng(0).integers(wrong.shape[-1], size=(2000, wrong.shape[-1]))
    drawn = np.sqrt(wrong[..., picks].mean(-1) / told[..., picks].mean(-1))
    ends = np.moveaxis(np.quantile(drawn, (0.025, 0.975), axis=-1), 0, -1)
    return np.sqrt(wrong.mean(-1) / told.mean(-1)), ends


def plot(data: xr.Dataset) -> Figure:
    """Error of W by case, a panel per family."""
    families, cases = data["family"].values.tolist(), data["case"].values.tolist()
    figure = new_figure(3.2 + 2.6 * len(families), 1.6 + 0.38 * len(cases))
    panels = np.atleast_1d(figure.subplots(1, len(families), sharey=True))
    place = np.arange(len(cases))[::-1]
    for ax, family in zip(panels, families, strict=True):
        for k, name in enumerate(METHODS):
            one = data.sel({"family": family, "method": name})
            value = one["w"].mean("seed").values
            bars = np.abs(one["w_ci"].values.T - value)
            ax.errorbar(value, place + 0.12 * (1.5 - k), xerr=bars, fmt=_MARKERS[name], color=_COLOURS[name],
                        markersize=5, capsize=2, label=METHODS[name])  # fmt: skip
        ax.set(xscale="log", xlabel="mean $(W - W^*)^2$ (weight units²)", title=family)
        ax.grid(axis="x", color="#dddddd", linewidth=0.6)
    panels[0].set_yticks(place, cases)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    worst = float(data["ratio"].max())
    figure.suptitle(
        f"Told wrong, O-RIDER's rms error of W is at most {worst:.2g} times that of one told the truth"
    )
    return figure
