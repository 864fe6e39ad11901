"""What does a calibrator that assumes a linear response cost on a device that is not linear?

RMS error and bias (mean error over the cells) against pulses for a linear, an exponentially saturating and
a power-law device, with 96 reads of every cell at 1 % of the range. The fits assume steps that fall
linearly to the bounds; root finding and the methods on zero-shifting do not.
"""  # noqa: D400

import math
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from analysis._cells import each
from sptrack.devices import (
    Asymmetry,
    CycleNoise,
    Device,
    ExpStep,
    PowStep,
    SoftBounds,
    Spread,
    sample_cells,
)
from sptrack.evaluation.recommendation import trial
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

READ_NOISE, READS, TARGET = 0.02, 96, 0.02
METHODS = ("zero-shifting", "transient", "observer", "root-finding", "bursts-known", "bursts", "bursts-prior")
_LOOK = {
    "bursts-prior": Look(BLUE, "o"),
    "bursts": Look(VERMILLION, "^"),
    "transient": Look(GREEN, "s"),
    "zero-shifting": Look(PURPLE, "D"),
    "root-finding": Look(GREY, "v", "-."),
    "observer": Look(GREY, "P", ":"),
    "bursts-known": Look(LIGHT, "x"),
}


_EXPONENTIAL = ExpStep(a=0.5, b=0.0, A_up=math.exp(-1.5), A_down=math.exp(-1.5), gamma_up=3.0, gamma_down=3.0)
"""q_plus = 1 - exp(-1.5 (1 - w)), and its mirror image."""


def devices() -> dict[str, Device]:
    """Three devices whose cells differ in gain and asymmetry alike."""
    spread = Spread(dw_min=0.2, log_normal=True, asymmetry=Asymmetry(mean=0.2, std=0.2))
    responses = {
        "linear": (SoftBounds(), 0.001),
        "exponential saturation": (_EXPONENTIAL, 0.001),
        "power law (exponent 2)": (PowStep(gamma_up=2.0, gamma_down=2.0), 0.004),
    }
    noise = CycleNoise(std=0.3)
    return {
        name: Device(response=response, dw_min=step, spread=spread, cycle_noise=noise)
        for name, (response, step) in responses.items()
    }


def run(*, small: bool = False, seed: int = 0, threads: int | None = None) -> xr.Dataset:
    """Calibrate 24 x 24 cells (``small``: 6 x 6) of each device.

    Returns
    -------
    Dataset
        Over device, method and pulses: ``rms`` and ``mean`` error with ``_low`` and ``_high`` (95 % over
        cells).
    """
    side = 6 if small else 24
    pulses = [800, 3200] if small else [500, 800, 1200, 2000, 3200, 5000, 8000]
    kinds = list(devices())
    found = each(_errors, list(product(kinds, METHODS, pulses)), side=side, seed=seed)
    values = np.array(found).reshape(len(kinds), len(METHODS), len(pulses), 2, 3)
    axes, units = ("device", "method", "pulses"), {"units": "weight units"}
    variables: dict[str, Any] = {
        f"{name}{end}": (axes, values[..., i, j], units)
        for i, name in enumerate(("rms", "mean"))
        for j, end in enumerate(("", "_low", "_high"))
    }
    coordinates = {
        "device": (("device",), kinds, {}),
        "method": (("method",), list(METHODS), {}),
        "pulses": (("pulses",), pulses, {"units": "pulses per cell"}),
    }
    settings = {"cells": (side, side), "read_noise": READ_NOISE, "reads": READS}
    return dataset(variables, coordinates, provenance(seed=seed, parameters=settings))


def _errors(kind: str, method: str, pulses: int, *, side: int, seed: int) -> list[tuple[float, ...]]:
    """RMS and mean error of a calibrator, each with its interval."""
    cells = sample_cells(devices()[kind], (side, side), seed=seed)
    row = trial(cells, method, pulses, READS, target=TARGET, read_noise=READ_NOISE, seed=seed)
    return [(row.rms, *row.rms_ci), (row.mean, *row.mean_ci)]


@house_style()
def plot(data: xr.Dataset) -> Figure:
    """RMS error above, bias below, one column per device."""
    figure = new_figure(7.2, 6.8)
    headline(
        figure, _finding(data),
        f"{READS} reads of each cell, read noise 1 % of the range; simulated, 95 % over cells. Red "
        "line: target of 1 % "
        "of the range.",
    )  # fmt: skip
    axes = figure.subplots(2, data.sizes["device"], sharex=True, sharey="row")
    ends = []
    for d, device in enumerate(data["device"].values):
        for ax, name in zip(axes[:, d], ("rms", "mean"), strict=True):
            log_scale(ax, "x", most=3)
            if name == "rms":
                log_scale(ax, "y")
                ax.axhline(TARGET, color="#cc3311", linewidth=0.9)
            else:
                ax.axhline(0.0, color="#cc3311", linewidth=0.9)
            for method, look in _LOOK.items():
                one = data.isel(device=d).sel({"method": method})
                value = one[name].values
                reach = np.abs(np.stack([one[f"{name}_low"].values, one[f"{name}_high"].values]) - value)
                ax.errorbar(
                    one["pulses"], value, reach, color=look.colour, marker=look.marker, linestyle=look.line,
                    markerfacecolor="white", markersize=4.5, linewidth=1.2, elinewidth=0.8,
                )  # fmt: skip
                if name == "rms" and d == data.sizes["device"] - 1:
                    ends.append((float(value[-1]), method, text_colour(look.colour)))
        kind, _, more = str(device).partition(" ")
        label(axes[0, d], f"{kind[0].upper()}{kind[1:]} {more.partition('(')[0]}".strip(), "", "")
        label(axes[1, d], "", "pulses per cell" if d == 1 else "", "")
    axes[0, 0].set_ylabel("RMS error (weight units)")
    axes[1, 0].set_ylabel("mean error (weight units)")
    label_ends(axes[0, -1], ends, size=9.0)
    return figure


def _finding(data: xr.Dataset) -> str:
    """Calibrators that meet the target on every device at the largest number of pulses."""
    last = data["rms"].isel(pulses=-1).transpose("method", "device").values
    met = [str(name) for name, row in zip(data["method"].values, last, strict=True) if (row <= TARGET).all()]
    pulses = int(data["pulses"][-1])
    if not met:
        return f"No calibrator meets the target on all three devices with {pulses:,} pulses"
    verb = "meets" if len(met) == 1 else "meet"
    return f"{', '.join(met)} {verb} the target on all three devices with {pulses:,} pulses"
